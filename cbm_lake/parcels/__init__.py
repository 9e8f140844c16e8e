"""Declared parcels: `load` imports them from vector files, `describe` adds rasters, `lineage` relates two years."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyproj import CRS

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.files.charsets import asked
from cbm_lake.files.validation import meant
from cbm_lake.geo import vectors
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.changes import Changes, changes_of
from cbm_lake.parcels.columns import (
    CROP_CODE_NAMES,
    CROP_NAME_NAMES,
    PID_NAMES,
    SEPARATOR,
    as_text,
    identifiers,
    missing_columns,
    not_one,
    possible_pids,
    take_columns,
    with_others,
)
from cbm_lake.parcels.cropclass import classify
from cbm_lake.parcels.describing import Described, describe
from cbm_lake.parcels.geometry import EQUAL_AREA, bounds_of, geometries_in, own_epsg, source_crs
from cbm_lake.parcels.hcat import crop_codes, crop_tables
from cbm_lake.parcels.identity import TOLERANCE, tolerance, with_stored_bytes
from cbm_lake.parcels.lineage import lineage, outdated
from cbm_lake.parcels.tables import in_order, measured, own_columns, version_of

__all__ = [
    "CROP_CODE_NAMES",
    "CROP_NAME_NAMES",
    "PID_NAMES",
    "SEPARATOR",
    "TOLERANCE",
    "Changes",
    "Described",
    "Loaded",
    "check_set",
    "crop_codes",
    "crop_tables",
    "describe",
    "lineage",
    "load",
    "misnamed",
]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """Result of `load`."""

    aoi: str
    year: int
    ptype: str
    """Which of several parcel sets; "" is the main one."""
    version: str
    """Hash of the content, that of the geometries first, so that the same parcels always have the same version."""
    parcels: int
    repaired: int
    """Geometries that were invalid and have been repaired."""
    area_ha: float
    """Sum of the parcels' areas, measured in EPSG:3035."""
    epsg: int
    """Coordinate system of the parcels in the lake."""
    new: bool
    """False when the very same parcels were in force already."""
    notes: tuple[str, ...] = ()
    """What was guessed, substituted or damaged on the way: columns, layer, encoding of texts; one sentence each."""
    changes: Changes | None = None
    """What is different from the version in force before; None where there was none."""

    @property
    def outcome(self) -> str:
        """Summary of the load: what changed, or that nothing did."""
        if not self.new:
            return "were there already"
        return f"loaded; {self.changes}" if self.changes else "loaded"


def load(
    path: str | Path,
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    pid: str | None = None,
    crop_name: str | None = None,
    crop_code: str | None = None,
    layer: str | None = None,
    crs: str | int | None = None,
    encoding: str | None = None,
    hcat: str | Path | None = None,
    lake: Lake | None = None,
) -> Loaded:
    """Load the declared parcels of an area and year from a vector file; nothing is written if any parcel is refused.

    A parcel of the same identifier whose geometry differs nowhere by more than TOLERANCE from the one that the lake has
    is the same: its geometry stays to the bit, so that its signatures go on counting, whatever the format writes. What
    else is different makes a new version, see `Loaded.changes`; where nothing is, none is made.

    Args:
        path: shapefile, GeoPackage, FileGDB, FlatGeobuf, GeoJSON (any of them also in a .zip), GeoParquet (also a
            folder of parts), CSV or Excel with a column of WKT or WKB, or what else GDAL reads.
        aoi: name of the area: letters, digits, _ and -; kept in lower case.
        year: of the declaration.
        ptype: which of several parcel sets of that area and year; none is the main one.
        pid: column of the parcel's identifier, kept as text exactly as written; without it see PID_NAMES. Several
            between commas ("block,parcel") are joined by SEPARATOR; "fid" is the file's own numbering of its rows.
        crop_name: column of the crop's name; without it see CROP_NAME_NAMES.
        crop_code: column of the crop's code, kept as text; without it see CROP_CODE_NAMES.
        layer: which layer of a file that has several, or which file of an archive.
        crs: coordinate system ("EPSG:2154") of a file that names none, or a wrong one.
        encoding: of the texts ("cp1250", "UTF-8"), where the file says none, or a wrong one; else it is found out.
        hcat: what the crops are in HCAT, the taxonomy of EuroCrops, for the columns hcat and hcat_name of the view
            parcels: a column of the file, a table of `crop_tables`, a CSV with columns code and hcat, or "none".
            Without it a column of the file that is HCAT by its name, or the table that column names, country or the
            codes themselves are evidence of; where nothing is, they stay empty.
        lake: where to; without it the lake of the current workspace.

    Raises:
        SourceError: the file cannot be read, or the lake cannot be written.
        InvalidInputError: an argument is wrong, or the file has duplicate parcels or ones without area.
    """
    lake = lake_or_default(lake)
    aoi, year, ptype = check_set(aoi, year, ptype)
    source = vectors.read_noted(str(path), layer, key=pid, numbered=True, encoding=encoding)
    selection = take_columns(source, pid, crop_name, crop_code)
    columns = selection.columns
    ids = identifiers(source, columns["id"])
    stated_crs = source_crs(source, bounds_of(source, ids), crs)
    epsg = lake.epsg(aoi) or own_epsg(stated_crs) or EQUAL_AREA
    chunks, source = source.chunks(), source.without_geometries()
    geometries, repaired = geometries_in(source, chunks, ids, stated_crs, CRS.from_epsg(epsg))
    versions = lake.parcel_versions(aoi, year, ptype)
    geometries = with_stored_bytes(lake, versions, ids, geometries, tolerance(epsg))
    measures = measured(source, ids, geometries, epsg)
    attributes = {name: as_text(source, column) for name, column in columns.items() if name != "id"}
    classes = classify(source, attributes, columns, measures.degrees, None if hcat is None else str(hcat))
    own = classes.joined(own_columns(ids, measures, attributes))
    table = with_others(own, source, {*columns.values(), *classes.columns})
    version = version_of(table)
    changes = changes_of(lake, versions[0], table, version) if versions else None
    if changes is not None and changes.same_geometries:
        version = _of_same_geometries(versions[0], version, changes)
    new = lake.add_parcels(aoi, year, ptype, version, in_order(table, measures))
    guessed = (*selection.notes, *classes.notes)
    notes = (*source.notes, *guessed, *_of_changes(changes, len(ids), columns), *_of_types(lake, table))
    notes += tuple(outdated(lake, lake.parcel_set(aoi, year, ptype))) if new else ()
    for note in notes:
        log.log(logging.INFO if note in guessed else logging.WARNING, "%s: %s", path, note)
    area = float(measures.area.sum())
    loaded = Loaded(aoi, year, ptype, version, len(ids), repaired, area, epsg, new, notes, changes)
    log.info("%s: %d parcels of %s %d %s, version %s, %s", path, len(ids), aoi, year, ptype, version, loaded.outcome)
    return loaded


def misnamed(
    path: str | Path,
    *,
    pid: str | None = None,
    crop_name: str | None = None,
    crop_code: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
) -> dict[str, str]:
    """What `load` would refuse of its options for their names, without reading the file where its metadata are enough.

    Args:
        path: the file, on this machine; the others are those of `load`.

    Returns:
        By option the reason, with the columns that may be meant; empty where all of them are right.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: there is no such layer or encoding, several layers, or nothing in the file.
    """
    asked(encoding)
    names = vectors.column_names(str(path), layer)
    if (pid or "").lower() in vectors.ROW_NUMBERS:
        names = [*names, *([pid] if pid and pid not in names else [])]
    if not _misnamed(names, pid, crop_name, crop_code):
        return {}
    source = vectors.read_noted(str(path), layer, key=pid, numbered=True, encoding=encoding)
    return _misnamed(source.columns.column_names, pid, crop_name, crop_code)


def _misnamed(names: list[str], pid: str | None, crop_name: str | None, crop_code: str | None) -> dict[str, str]:
    """By option why names of columns are not enough, or wrong."""
    candidates, problems = possible_pids(names), {}
    if not pid and len(candidates) != 1:
        problems["pid"] = f"{not_one(candidates)}; name one of: {some(names)}"
    for option, name in missing_columns(names, pid, crop_name, crop_code):
        problems.setdefault(option, f"there is no column {name!r}; {meant(name, names)}")
    return problems


def _of_same_geometries(before: ParcelSet, version: str, changes: Changes) -> str:
    """Version of parcels with unchanged geometries: the first part of the hash is inherited, even from 0.1."""
    return f"{before.geometry_version}_{version.partition('_')[2]}" if changes else before.version


def _of_changes(changes: Changes | None, parcels: int, mapped: dict[str, str]) -> Iterator[str]:
    """Notes on unexpected changes in a delivery; `mapped` are the columns of identifier and crop."""
    removed = [name for name in changes.columns_removed if name not in mapped.values()] if changes else []
    if removed:
        names = ", ".join(removed)
        yield f"there is no column {names} any more, which the parcels in force before had; as_of= still shows it"
    if changes and changes.renamed:
        yield (
            f"{changes.renamed} parcels have the outline of another identifier before; signatures go by identifier, so "
            "they are extracted anew; if another column has the former identifiers, name that one by pid="
        )
    if changes and changes.redrawn > 1 and changes.redrawn == parcels - changes.added:
        yield (
            f"all {changes.redrawn} parcels that were there before have another outline, so nothing of them counts any "
            "more; if they were not redrawn, give their coordinate system by crs="
        )


def _of_types(lake: Lake, table: pa.Table) -> Iterator[str]:
    """Notes on columns whose type differs in other sets."""
    mixed = lake.mixed_columns() if len(lake.parcel_sets()) > 1 else {}
    names = {name.casefold() for name in table.column_names}
    for name, types in mixed.items():
        if name.casefold() in names:
            kinds = ", ".join(types)
            yield f"parcel sets have column {name} in different types ({kinds}); the view fiboa_parcels has it as text"


def check_set(aoi: str, year: int, ptype: str | None) -> tuple[str, int, str]:
    """Validate and normalise the key of a parcel set.

    Raises:
        InvalidInputError: it cannot name one.
    """
    aoi, ptype = aoi.lower(), ptype or ""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", aoi):
        raise InvalidInputError(f"aoi {aoi!r} cannot name an area; use letters, digits, _ and -, a letter first")
    if not re.fullmatch(r"[a-z0-9_]*", ptype):
        raise InvalidInputError(f"ptype {ptype!r} cannot name a parcel set; use small letters, digits and _ only")
    if ptype == "main":
        raise InvalidInputError("ptype 'main' is how the set without ptype is stored; leave ptype out")
    if not re.fullmatch(r"\d{4}", str(year)) or not 1980 <= int(year) <= 2100:
        raise InvalidInputError(f"year {year!r} is none of 1980 to 2100; give the year of the declaration")
    return aoi, int(year), ptype
