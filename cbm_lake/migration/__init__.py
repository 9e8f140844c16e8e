"""`migrate`: imports a database of the original library into a lake.

    tables as files, or a database ─ dumps ─► parcels ─► catalogue ─► signatures, histograms ─► weather, markers

What was migrated is served like what was extracted: wide rows that count by the ledger, scenes and parcels that
keep the numbers by which the original knew them (obsid, ogc_fid).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.migration import catalogue as scenes
from cbm_lake.migration import database, datasets, declared, events, series
from cbm_lake.migration.dumps import Dumps
from cbm_lake.migration.series import Counts, Progress
from cbm_lake.parcels import check_set

__all__ = ["Counts", "Migrated", "migrate"]

log = logging.getLogger(__name__)

_OFFSETS: Final = ("auto", "keep")
Files: TypeAlias = "str | Path | Sequence[str | Path]"


@dataclass(frozen=True)
class Migrated:
    """Row counts of a migration by outcome."""

    tables: dict[str, Counts]
    """parcels, catalogue, signatures, hists, weather, markers: those that were given."""
    refused: tuple[tuple[str, str, int], ...]
    """Table, reason, and number of rows that were refused for it."""
    listed: Path | None
    """Where the refused rows are listed one by one; None where there are none."""


@dataclass(frozen=True)
class _Given:
    """The files of each table, or their names in a database."""

    parcels: tuple[str, ...]
    catalogue: str | None
    signatures: tuple[str, ...]
    hists: tuple[str, ...]
    weather: str | None
    weather_grid: str | None
    markers: str | None


def migrate(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    parcels: Files | None = None,
    pid: str | None = None,
    fid: str | None = None,
    crop_name: str | None = None,
    crop_code: str | None = None,
    datasets_file: str | Path | None = None,
    crs: str | None = None,
    catalogue: str | Path | None = None,
    signatures: Files = (),
    hists: Files = (),
    weather: str | Path | None = None,
    weather_grid: str | Path | None = None,
    markers: str | Path | None = None,
    markers_by: str = "auto",
    dsn: str | None = None,
    boa_offset: str = "auto",
    refused: str | Path = "refused.csv",
    lake: Lake | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Migrated:
    """Migrate dumps of the original library's tables into the lake; idempotent and resumable.

    Args:
        aoi: name of the area.
        year: of the declaration.
        ptype: which of several parcel sets of that area and year; none is the main one.
        parcels: table of the parcels, or several whose rows belong together; without it those migrated before.
        pid: its column of the identifier; without it that of datasets_file, or "id".
        fid: its column of the number by which the other tables know a parcel; without it "ogc_fid".
        crop_name: its column of the crop's name; without it that of datasets_file, or one of the names that
            `parcels.load` knows. Where there is none, the crops that the lake has of these parcels stay.
        crop_code: its column of the crop's code; as crop_name.
        datasets_file: the original's datasets.json or main.json, which names these columns (pcolumns).
        crs: coordinate system of parcels whose file names none.
        catalogue: table of the scenes: id, obstime, reference, card [, sensor, footprint].
        signatures: tables of long rows: pid (the number), obsid, band, count, mean, std, min, max, p25, p50, p75.
        hists: tables of histograms: pid (the number), obsid, hist (JSON).
        weather: table of days: meteo_date, tmin, tmax, tmean, prec, and grid_id where there are several cells.
        weather_grid: its cells: grid_id, polygon.
        markers: table of events: pid, marker, marker_type, date_start, date_main, date_end, …
        markers_by: what that pid is: "pid", the identifier; "fid", the number; "auto", what the rows tell.
        dsn: a PostgreSQL database; what is given above are then names of tables (schema.table).
        boa_offset: auto: -1000 is added to statistics of Sentinel-2 products of baseline 04.00 and later, as their
            names tell, for the original took them of the stored numbers; keep: they are harmonised already.
        refused: CSV file to list refused rows in.
        lake: where to; without it the lake of the current workspace.
        progress: called with the name of the step, the progress and the total.

    Raises:
        InvalidInputError: an argument or a column is wrong or missing.
        NotFoundError: no parcels of that set, or none with numbers, are there.
        SourceError: a dump or the database cannot be read, or the lake cannot be written.
    """
    lake = lake_or_default(lake)
    if boa_offset not in _OFFSETS:
        raise InvalidInputError(f"boa_offset {boa_offset!r} is none of {', '.join(_OFFSETS)}")
    if markers_by not in events.BY:
        raise InvalidInputError(f"markers_by {markers_by!r} is none of {', '.join(events.BY)}")
    if (signatures or hists) and catalogue is None:
        raise InvalidInputError("signatures are of scenes; give the catalogue by catalogue= too")
    key = check_set(aoi, year, ptype)
    columns = declared.Columns(pid, fid, crop_name, crop_code)
    if datasets_file is not None:
        columns = datasets.completed(columns, datasets_file, key)
    sources = _Given(
        _texts(parcels or ()),
        _text(catalogue),
        _texts(signatures),
        _texts(hists),
        _text(weather),
        _text(weather_grid),
        _text(markers),
    )
    with tempfile.TemporaryDirectory(prefix="cbm-lake-migrate-") as scratch:
        dumps = Dumps(Path(scratch))
        with dumps.own_names():
            if dsn:
                sources = _fetched(dsn, sources, dumps, progress)
            tables: dict[str, Counts] = {}
            if sources.parcels:
                loaded = declared.load(lake, dumps, sources.parcels, key, columns, crs)
                tables["parcels"] = Counts(loaded.parcels, 0, 0 if loaded.new else loaded.parcels)
            tables |= _take(lake, dumps, sources, key, progress, shifted=boa_offset == "auto", markers_by=markers_by)
            lake.settle()
            dumps.write_refused(Path(refused))
        reasons = tuple(dumps.refused())
    return Migrated(tables, reasons, Path(refused) if reasons else None)


def _take(
    lake: Lake,
    dumps: Dumps,
    sources: _Given,
    key: tuple[str, int, str],
    progress: Progress,
    *,
    shifted: bool,
    markers_by: str,
) -> dict[str, Counts]:
    """Take the tables that belong to parcels; what became of their rows."""
    parcels = lake.parcel_set(*key)
    tables: dict[str, Counts] = {}
    if sources.catalogue:
        dumps.view("catalogue", [sources.catalogue], scenes.COLUMNS, scenes.DEFAULTS)
        read, numbers = scenes.take(lake, dumps, parcels.aoi, shifted=shifted)
        tables["catalogue"] = Counts(read, read - len(numbers))
    if sources.signatures or sources.hists:
        declared.number(lake, dumps, parcels)
        dumps.view("dump", sources.signatures, series.SIGNATURES, numbers=series.SIGNATURES[3:])
        dumps.view("dump_hists", sources.hists, series.HISTS)
        tables |= series.Series(lake, dumps, parcels, numbers, progress).take()
    if sources.weather:
        tables["weather"] = events.days(lake, dumps, parcels.aoi, sources.weather, sources.weather_grid)
    if sources.markers:
        dumps.view(
            "markers_dump", [sources.markers], events.MARKERS, events.MARKERS_MAYBE, numbers=events.MARKERS_NUMBERS
        )
        tables["markers"] = events.markers(lake, dumps, parcels, sources.markers, markers_by)
    return tables


def _fetched(dsn: str, sources: _Given, dumps: Dumps, progress: Progress) -> _Given:
    """The tables of a database as files."""

    def fetch(table: str | None, name: str) -> str | None:
        if table is None:
            return None
        target = dumps.folder / f"{name}.csv.gz"
        dumps.names[str(target)] = f"table {table}"
        return database.fetch(dsn, table, target, lambda size: progress(f"fetching {table}", size, 0))

    many = {
        name: tuple(str(fetch(table, f"{name}{number}")) for number, table in enumerate(getattr(sources, name)))
        for name in ("parcels", "signatures", "hists")
    }
    single = {name: fetch(getattr(sources, name), name) for name in ("catalogue", "weather", "weather_grid", "markers")}
    return _Given(**many, **single)  # type: ignore[arg-type]


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def _texts(paths: Files) -> tuple[str, ...]:
    return (str(paths),) if isinstance(paths, (str, Path)) else tuple(map(str, paths))
