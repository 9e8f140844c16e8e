"""Migrates parcel tables of the original library; parcels keep their numbers (ogc_fid) and crops."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS
from shapely.errors import ShapelyError

from cbm_lake import parcels
from cbm_lake.errors import InvalidInputError, NotFoundError, some
from cbm_lake.files import delimited
from cbm_lake.geo import geoparquet, vectors
from cbm_lake.geo.vectors import Features
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.migration.catalogue import geometry
from cbm_lake.migration.dumps import Dumps
from cbm_lake.parcels.columns import as_text

log = logging.getLogger(__name__)

_FID: Final = "ogc_fid"
"""How the lake's parcel files call the number; the view parcels reads it."""
_GEOMETRIES: Final = ("wkb_geometry", "geometry", "geom", "the_geom", "wkt", "wkt_geom", "shape", "polygon")
"""Columns of a table taken for the geometry: the first that is there."""
_WKT_OR_WKB: Final = re.compile(
    r"(SRID=\d+;)?\s*(MULTI)?POLYGON|(\\x)?0[01](0[36]000000|0000000[36]|0[36]0000[02]0|[02]00000[0][36])", re.I
)
"""How a geometry begins as WKT, or as WKB in hexadecimal digits."""
_CROPS: Final = {"crop:name": parcels.CROP_NAME_NAMES, "crop:code": parcels.CROP_CODE_NAMES}
_PID: Final = "id"


@dataclass(frozen=True)
class Columns:
    """Column mapping of the parcel table; None where the caller does not set it."""

    pid: str | None = None
    fid: str | None = None
    crop_name: str | None = None
    crop_code: str | None = None


def load(
    lake: Lake, dumps: Dumps, paths: Sequence[str], key: tuple[str, int, str], columns: Columns, crs: str | None
) -> parcels.Loaded:
    """Load dumps of parcels; see `parcels.load`.

    Crops that are in the lake already stay where the dump has none.

    Args:
        lake: where to.
        dumps: reads tables of text.
        paths: tables of text with the geometry as WKT or WKB in hexadecimal digits, or what `parcels.load` takes; of
            several the rows are put together.
        columns: area, year, and kind.
        columns: what the columns are called.
        crs: coordinate system, where a file names none.
    """
    source = _joined([_features(dumps, path, columns.fid or _FID, crs) for path in paths])
    source, pid = _numbered(source, columns)
    aoi, year, ptype = key
    source, crops = _with_crops(lake, key, source, columns, pid)
    target = dumps.folder / "parcels.parquet"
    dumps.names[str(target)] = source.name
    _write(source, target)
    loaded = parcels.load(target, aoi, year, ptype or None, pid=pid, crs=crs, lake=lake, **crops)
    if not loaded.new and _FID not in lake.read_parcels(lake.parcel_set(*key), None).column_names:
        _add_numbers(lake, source, loaded, pid)
    return loaded


def _add_numbers(lake: Lake, source: Features, loaded: parcels.Loaded, pid: str) -> None:
    """Give the parcels in force, which were loaded without, their numbers: the same rows as another version."""
    parcel_set = lake.parcel_set(loaded.aoi, loaded.year, loaded.ptype)
    rows = lake.read_parcels(parcel_set).drop_columns(["ptype", "version"])
    names = as_text(source, pid).to_pylist()
    numbers = dict(zip(names, source.columns[_FID].to_pylist(), strict=True))
    values = pa.array([numbers.get(name) for name in rows["id"].to_pylist()], pa.int64())
    version = hashlib.sha256(f"{loaded.version} {sorted(numbers.items())}".encode()).hexdigest()[:12]
    lake.add_parcels(loaded.aoi, loaded.year, loaded.ptype, version, rows.append_column(_FID, values))


def numbers_of(lake: Lake, parcels: ParcelSet) -> pa.Table | None:
    """The numbers of a parcel set (fid, pid), or None.

    Raises:
        InvalidInputError: a number is duplicate or invalid.
    """
    table = lake.read_parcels(parcels)
    if _FID not in table.column_names:
        return None
    try:
        numbers = table[_FID].cast(pa.int64())
    except pa.ArrowException as error:
        raise InvalidInputError(
            f"{_FID} of {parcels.name} holds what is no number ({error}); name another by fid="
        ) from error
    if numbers.null_count or len(numbers.unique()) < table.num_rows:
        raise InvalidInputError(
            f"{_FID} of {parcels.name} is missing or doubled in some rows; name another column by fid="
        )
    return pa.table({"fid": numbers, "pid": table["id"]})


def number(lake: Lake, dumps: Dumps, parcel_set: ParcelSet) -> int:
    """Create the table fids (fid, pid) of a parcel set; returns its size.

    Raises:
        NotFoundError: the set has no numbers.
        InvalidInputError: a number is duplicate or invalid.
    """
    table = numbers_of(lake, parcel_set)
    if table is None:
        raise NotFoundError(
            f"the parcels of {parcel_set.name} have no {_FID}; give the dump of the parcels by parcels= too"
        )
    dumps.table("fids", table)
    return int(table.num_rows)


# -- reading ---------------------------------------------------------------------------------------------------------


def _features(dumps: Dumps, path: str, fid: str, crs: str | None) -> Features:
    return _of_text(dumps, path, crs) if delimited.is_text(path) else vectors.read(path, key=fid)


def _of_text(dumps: Dumps, path: str, crs: str | None) -> Features:
    """A table of text with a column of geometries."""
    rows = dumps.read(path).to_arrow_table()
    column = _geometry_column(path, rows)
    try:
        shapes = [geometry(text) if text else None for text in rows[column].to_pylist()]
    except (ShapelyError, ValueError) as error:
        raise InvalidInputError(f"{path}: {column} is neither WKT nor WKB in hexadecimal digits ({error})") from error
    srids = {int(shapely.get_srid(shape)) for shape in shapes if shape is not None} - {0}
    if crs is None and len(srids) != 1:
        raise InvalidInputError(f"{path} does not say its coordinate system; give it by crs=, as EPSG:2154")
    system = CRS.from_user_input(crs or srids.pop())
    return Features(path, rows.drop_columns([column]), np.array(shapes, dtype=object), system)


def _geometry_column(path: str, rows: pa.Table) -> str:
    """The geometry column, by name or contents."""
    spelling: dict[str, str] = {delimited.column_name(name): name for name in rows.column_names}
    named = next((spelling[name] for name in _GEOMETRIES if name in spelling), None)
    if named is not None:
        return named
    begins = {name: next(iter(rows[name].drop_null().slice(0, 1).to_pylist()), "") for name in rows.column_names}
    candidates: list[str] = [name for name, text in begins.items() if _WKT_OR_WKB.match(text.strip())]
    if len(candidates) != 1:
        raise InvalidInputError(
            f"{path} has none of the columns {', '.join(_GEOMETRIES)}; give the parcels with geometry"
        )
    log.warning("%s: the outlines are in its column %s", path, candidates[0])
    return candidates[0]


def _joined(sources: Sequence[Features]) -> Features:
    """Several tables of parcels as one."""
    first = sources[0]
    if len(sources) == 1:
        return first
    names = ", ".join(source.name for source in sources)
    if any(source.crs != first.crs for source in sources):
        raise InvalidInputError(f"{names} have several coordinate systems; convert them to one")
    try:
        columns = pa.concat_tables([source.columns for source in sources], promote_options="permissive")
    except pa.ArrowException as error:
        raise InvalidInputError(f"the columns of {names} are of different types ({error}); convert them") from error
    return Features(names, columns, np.concatenate([source.geometries for source in sources]), first.crs)


# -- columns ---------------------------------------------------------------------------------------------------------


def _column(source: Features, option: str, name: str) -> str:
    """A column by its name, in any case.

    Raises:
        InvalidInputError: there is none.
    """
    names: list[str] = source.columns.column_names
    if names.count(name) == 1:
        return name
    alike = [column for column in names if delimited.column_name(column) == delimited.column_name(name)]
    if len(alike) != 1:
        raise InvalidInputError(f"{source.name} has no column {name!r}; say {option}= one of: {', '.join(names)}")
    return alike[0]


def _numbered(source: Features, columns: Columns) -> tuple[Features, str]:
    """The parcels with their number called as the lake does, and what their identifier is called then."""
    pid = _column(source, "pid", columns.pid or _PID)
    fid = _column(source, "fid", columns.fid or _FID)
    table = source.columns
    numbers = table[fid]
    if fid != pid:
        table = table.drop_columns([fid])
    if _FID in table.column_names:  # what is called so, and is not the number
        renamed = {_FID: f"source:{_FID}"}
        table = table.rename_columns([renamed.get(name, name) for name in table.column_names])
        pid = renamed.get(pid, pid)
    if not pa.types.is_integer(numbers.type):
        numbers = _whole(source, fid, numbers)
    return replace(source, columns=table.append_column(_FID, numbers)), pid


def _whole(source: Features, fid: str, numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers that are texts or floats as integers."""
    try:
        return numbers.cast(pa.int64())
    except pa.ArrowException as error:
        raise InvalidInputError(
            f"{source.name}: column {fid!r} holds what is no whole number ({error}); name another column by fid="
        ) from error


def _with_crops(
    lake: Lake, key: tuple[str, int, str], source: Features, columns: Columns, pid: str
) -> tuple[Features, dict[str, str]]:
    """The parcels with columns of the crop's name and code, and what these are called.

    Where the dump has none, they are those that the lake has of these parcels.
    """
    stated = {"crop:name": columns.crop_name, "crop:code": columns.crop_code}
    options = {"crop:name": "crop_name", "crop:code": "crop_code"}
    renames: dict[str, str] = {}
    for ours, names in _CROPS.items():
        if (said := stated[ours]) is not None:
            renames[options[ours]] = _column(source, options[ours], said)
        elif (name := _first_filled(source, names)) is not None:
            renames[options[ours]] = name
    silent = [ours for ours, option in options.items() if option not in renames]
    if silent:
        source = _with_former(lake, key, source, silent, pid)
        renames |= {options[ours]: ours for ours in silent if ours in source.columns.column_names}
    if not renames:
        log.warning(
            "%s: no column is known to be the crop's; its columns are %s; say which by crop_name= and crop_code=",
            source.name,
            some(source.columns.column_names, 30),
        )
    return source, renames


def _first_filled(source: Features, candidates: Sequence[str]) -> str | None:
    """The first of the known names of a column that is there and is not empty."""
    names = {delimited.column_name(name): name for name in source.columns.column_names}
    there = [names[name] for name in candidates if name in names]
    return next((name for name in there if source.columns[name].null_count < len(source.columns[name])), None)


def _with_former(lake: Lake, key: tuple[str, int, str], source: Features, names: Sequence[str], pid: str) -> Features:
    """The parcels with columns that the lake has of them."""
    try:
        former = lake.read_parcels(lake.parcel_set(*key), ["id", *names])
    except NotFoundError:
        return source
    ids = as_text(source, pid)
    table = source.columns
    for name in names:
        if former[name].null_count == former.num_rows:
            continue
        values = dict(zip(former["id"].to_pylist(), former[name].to_pylist(), strict=True))
        crops = [values.get(one) for one in ids.to_pylist()]
        table = table.drop_columns([name]) if name in table.column_names else table
        table = table.append_column(name, pa.array(crops, pa.string()))
        count = sum(crop is not None for crop in crops)
        log.warning(
            "%s has no column of the %s; %d of %d parcels keep the one that is in the lake",
            source.name,
            name.replace(":", "'s "),
            count,
            len(crops),
        )
    return replace(source, columns=table)


def _write(source: Features, target: Path) -> None:
    """Write GeoParquet."""
    metadata = geoparquet.file_metadata({"geometry": geoparquet.column_metadata(crs=source.crs)})
    table = source.columns
    if "geometry" in table.column_names:  # a further one, beside that of the file
        table = table.drop_columns(["geometry"])
    table = table.append_column("geometry", pa.array(shapely.to_wkb(source.geometries), pa.binary()))
    pq.write_table(table.replace_schema_metadata(metadata), target)
