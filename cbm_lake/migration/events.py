"""Migrates markers and weather of the original library."""

from __future__ import annotations

import hashlib
import logging
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import weather
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import delimited
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.migration.declared import numbers_of
from cbm_lake.migration.dumps import Dumps
from cbm_lake.migration.series import Counts

log = logging.getLogger(__name__)

MARKERS: Final = ("pid", "marker", "marker_type", "date_start", "date_main", "date_end")
MARKERS_MAYBE: Final = ("foi_id", "duration_days", "value_1", "value_2", "value_3", "practice")
MARKERS_NUMBERS: Final = ("duration_days", "value_1", "value_2", "value_3")
WEATHER_NUMBERS: Final = ("tmin", "tmax", "tmean", "prec")
BY: Final = ("auto", "pid", "fid")
"""How markers reference parcels: by identifier, by number, or inferred from the rows."""


def markers(lake: Lake, dumps: Dumps, parcels: ParcelSet, name: str, by: str) -> Counts:
    """Migrate the rows of the view "markers_dump" to the markers of a parcel set.

    Args:
        lake: where to.
        dumps: where from.
        parcels: whose markers they are.
        name: of the dump, for messages.
        by: one of BY.

    Raises:
        InvalidInputError: the rows do not tell how they reference parcels.
    """
    declared = lake.read_parcels(parcels, ["id"]).rename_columns(["pid"])
    numbers = numbers_of(lake, parcels)
    if by == "auto":
        by = _named_by(dumps, declared, numbers, name)
    if by == "fid":
        if numbers is None:
            raise NotFoundError(f"the parcels of {parcels.name} have no number; give the dump of the parcels too")
        keys = numbers["fid"].cast(pa.string()), numbers["pid"]
    else:
        keys = declared["pid"], declared["pid"]
    dumps.table("declared", pa.table({"key": keys[0], "pid": keys[1]}))
    read, rows = _judged(dumps, "markers", numbered=by == "fid")
    key: dict[str, str | int] = parcels.params
    part = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]) >> 1
    key["part"] = part
    columns = [
        pa.repeat(pa.scalar(key[field.name], field.type), rows.num_rows)
        if field.name in key
        else rows[field.name].cast(field.type)
        for field in schemas.MARKERS
    ]
    lake.put("marked", pa.table(columns, schema=schemas.MARKERS), part)
    return Counts(read, read - rows.num_rows)


def _named_by(dumps: Dumps, declared: pa.Table, numbers: pa.Table | None, name: str) -> str:
    """Infer from the rows how markers reference parcels: pid or fid."""
    if numbers is None:
        return "pid"
    dumps.table("pids", declared)
    dumps.table("marked_fids", numbers)
    (row,) = dumps.rows("marker_keys").to_pylist()
    by_pid, by_number, differing = row["by_pid"], row["by_number"], row["differing"]
    if min(by_pid, by_number) * 9 > max(by_pid, by_number) or (by_pid == by_number and differing):
        raise InvalidInputError(
            f"{name}: {by_pid} of its parcels are known by the identifier only, {by_number} by the number only, and "
            f"{differing} are two different ones; say which it is by markers_by=pid or markers_by=fid"
        )
    if by_number <= by_pid:
        return "pid"
    log.warning(
        "%s names parcels by their number, not by their identifier: %d of them are no identifiers", name, by_number
    )
    return "fid"


def days(lake: Lake, dumps: Dumps, aoi: str, path: str, grid: str | None) -> Counts:
    """Migrate a dump of the weather, with all cells of its grid."""
    if grid is None:
        raise InvalidInputError(
            f"{path} does not say where its cells are; give the dump of the grid by weather_grid= too"
        )
    boxes = weather.read_grid(grid)
    column = weather.first_column(dumps.read(path).columns, weather.CELL_NAMES)
    if column is None and len(boxes) > 1:
        raise InvalidInputError(f"{path} has none of the columns {', '.join(weather.CELL_NAMES)}; say in one the cell")
    named = {"cell": delimited.column_name(column)} if column else None
    dumps.view("weather_dump", [path], weather.COLUMNS, ["cell"], named, WEATHER_NUMBERS)
    # a table without column of the cell is of the only one
    dumps.table("grid", pa.table({"cell": [*boxes], "single": [column is None] * len(boxes)}))
    read, rows = _judged(dumps, "weather")
    if rows.num_rows:
        weather.store(lake, aoi, rows, boxes)
    return Counts(read, read - rows.num_rows)


def _judged(dumps: Dumps, table: str, **params: bool) -> tuple[int, pa.Table]:
    """How many rows a dump has, and those that are not refused; the others go on the list."""
    rows = dumps.rows(table, **params)
    good = pc.is_null(rows["reason"])
    bad = rows.filter(pc.invert(good))
    dumps.refuse_rows(table, zip(bad["line"].to_pylist(), bad["reason"].to_pylist(), strict=True))
    unreadable = dumps.refuse_unreadable(table)
    return int(rows.num_rows) + unreadable, rows.filter(good)
