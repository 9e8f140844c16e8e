"""The original's markers and weather as tables of the lake."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import schemas, weather
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.migration.dumps import Dumps
from cbm_lake.migration.series import Counts
from cbm_lake.snapshots import ParcelSet

MARKERS: Final = ("pid", "marker", "marker_type", "date_start", "date_main", "date_end")
MARKERS_MAYBE: Final = ("foi_id", "duration_days", "value_1", "value_2", "value_3", "practice")


def markers(lake: Lake, dumps: Dumps, parcels: ParcelSet) -> Counts:
    """Make the rows of the view "markers_dump" the markers of a parcel set."""
    dumps.table("declared", lake.read_parcels(parcels, ["id"]).rename_columns(["pid"]))
    read, rows = _judged(dumps, "markers")
    found: dict[str, Any] = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype}
    part = int.from_bytes(hashlib.sha256(repr(found).encode()).digest()[:8]) >> 1
    found["part"] = part
    columns = [
        pa.repeat(pa.scalar(found[field.name], field.type), rows.num_rows)
        if field.name in found
        else rows[field.name].cast(field.type)
        for field in schemas.MARKERS
    ]
    lake.put("marked", pa.table(columns, schema=schemas.MARKERS), part)
    return Counts(read, read - rows.num_rows)


def days(lake: Lake, dumps: Dumps, aoi: str, path: str, grid: str | None) -> Counts:
    """Take a dump of the weather, with all cells of its grid."""
    if grid is None:
        raise InvalidInputError(
            f"{path} does not say where its cells are; give the dump of the grid by weather_grid= too"
        )
    boxes = weather.read_grid(grid)
    names = {name.lower() for name in dumps.read(path).columns}
    column = next((name for name in weather.CELL_NAMES if name in names), None)
    if column is None and len(boxes) > 1:
        raise InvalidInputError(f"{path} has none of the columns {', '.join(weather.CELL_NAMES)}; say in one the cell")
    dumps.view("weather_dump", [path], weather.COLUMNS, ["cell"], {"cell": column} if column else None)
    # a table without column of the cell is of the only one
    dumps.table("grid", pa.table({"cell": [*boxes], "single": [column is None] * len(boxes)}))
    read, rows = _judged(dumps, "weather")
    if rows.num_rows:
        weather.store(lake, aoi, rows, boxes)
    return Counts(read, read - rows.num_rows)


def _judged(dumps: Dumps, table: str) -> tuple[int, pa.Table]:
    """How many rows a dump has, and those that are not refused; the others go on the list."""
    found = dumps.rows(table)
    good = pc.is_null(found["reason"])
    bad = found.filter(pc.invert(good))
    dumps.refuse_rows(table, zip(bad["line"].to_pylist(), bad["reason"].to_pylist(), strict=True))
    unreadable = dumps.refuse_unreadable(table)
    return int(found.num_rows) + unreadable, found.filter(good)
