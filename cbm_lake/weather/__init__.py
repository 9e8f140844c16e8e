"""Daily weather per grid cell from ERA5, AgERA5, E-OBS or tables, for the cells that contain parcels: `load`.

NetCDF, Zarr ─ fields round the parcels ─► units, steps, totals ─► days of each cell ┐
CSV, Parquet ─ rows of a table ───────────────────────────────────────────────────────┴► weather/days, weather/cells
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from cbm_lake.errors import InvalidInputError, NotFoundError, some
from cbm_lake.files import clock
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.weather import days as daily
from cbm_lake.weather import files, grids, tables, variables
from cbm_lake.weather.cells import CELL_NAMES, Boxes, Places, first_column, holding, read_grid
from cbm_lake.weather.grids import Field
from cbm_lake.weather.totals import Totals

__all__ = ["CELL_NAMES", "COLUMNS", "Boxes", "Loaded", "first_column", "load", "read_grid", "store"]

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many files are read and how many there are."""

COLUMNS: Final = ("meteo_date", "tmin", "tmax", "tmean", "prec")
_TOTALS: Final = ("step", "midnight")


@dataclass(frozen=True)
class Loaded:
    """Result of `load`."""

    aoi: str
    cells: int
    """Cells of the grid in which the area has parcels."""
    rows: int
    """Days of cells."""
    first: str
    """First day, ISO."""
    last: str


def load(
    path: str | Path | Sequence[str | Path],
    aoi: str,
    *,
    grid: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    totals: Totals | None = None,
    lake: Lake | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Load daily weather for the grid cells that contain a parcel centroid of the area.

    Hours become days of UTC: the least, greatest and mean temperature, and the sum of precipitation, whose hour is the
    one that ends at its time; a day counts when at least four fifths of it are there, and which days are not whole is
    said. Kelvin become degrees Celsius and metres mm. A file that names no unit is decided by its values, or refused;
    so are totals of precipitation that run on since midnight, as those of ERA5-Land. What was concluded is logged.
    Days that were loaded before are replaced.

    Args:
        path: NetCDF (.nc) or Zarr (.zarr) of ERA5, ERA5-Land, AgERA5 or E-OBS on a regular grid in degrees, archives of
            such files as the Climate Data Store gives them, or CSV or Parquet tables with a date, tmin, tmax, tmean
            (degrees Celsius), prec (mm) and lon, lat (centre of the cell) or a column of the cell; one or several,
            which may hold different variables and times.
        grid: the cells' polygons, where a table names cells: JSON, CSV or Parquet with grid_id and polygon, or a vector
            file.
        columns: how a file calls meteo_date, tmin, tmax, tmean, prec, lon, lat or cell, where its names are not known.
        units: units by names of variables (or, of tables, by our names of columns), which go before what a file says.
        totals: what a value of precipitation is: "step", of the step before its time (of daily values: of the day of
            its time), or "midnight", all since midnight UTC; without it the values decide.
        lake: where to; without it the lake of the current workspace.
        progress: called after each file.

    Raises:
        NotFoundError: no parcels of the area were loaded, or none of them lies in a cell.
        InvalidInputError: a file holds nothing that is known, its grid is not regular, or it neither says nor shows
            what its numbers are.
        SourceError: a file cannot be read.
    """
    lake = lake_or_default(lake)
    if totals is not None and totals not in _TOTALS:
        raise InvalidInputError(f"totals {totals!r} is none of {', '.join(_TOTALS)}")
    variables.check_columns(columns or {})
    paths = list(dict.fromkeys(map(str, [path] if isinstance(path, (str, Path)) else path)))
    places = _places(lake, aoi.lower())
    boxes: Boxes = {}
    fields: list[Field] = []
    parts = []
    for number, one in enumerate(paths, 1):
        with files.unpacked(one) as members:
            for label, file in members:
                if files.is_table(file):
                    rows, table_boxes = tables.read(label, file, grid, columns or {}, units or {})
                    table_boxes = {cell: table_boxes[cell] for cell in holding(table_boxes, places)}
                    parts.append(rows[rows["cell"].isin(table_boxes)])
                else:
                    read, table_boxes = grids.read(label, file, places, columns or {})
                    fields += read
                boxes |= table_boxes
        if progress:
            progress(number, len(paths))
    _check_names(columns or {}, units or {}, fields, tables=bool(parts))
    days = _combined([*parts, daily.of_fields(fields, units or {}, totals)])
    if days.empty:
        raise NotFoundError(
            f"no cell of {', '.join(paths[:3])} holds a parcel of {aoi} on a whole day; give weather of that area"
        )
    return store(lake, aoi.lower(), pa.Table.from_pandas(days, preserve_index=False), boxes)


def store(lake: Lake, aoi: str, days: pa.Table, boxes: Boxes) -> Loaded:
    """Write days (cell, meteo_date, tmin, tmax, tmean, prec) and cells; idempotent."""
    boxed = [
        {"cell": cell, **dict(zip(("west", "south", "east", "north"), box, strict=True))}
        for cell, box in sorted(boxes.items())
    ]
    days = days.sort_by([("cell", "ascending"), ("meteo_date", "ascending")])
    _put(lake, "weather_boxes", aoi, pa.Table.from_pylist(boxed), schemas.WEATHER_CELLS)
    _put(lake, "weather_days", aoi, days, schemas.WEATHER)
    dates = days["meteo_date"].to_pylist()
    log.info("weather of %s: %d cells, %d days of cells", aoi, len(boxes), days.num_rows)
    return Loaded(aoi, len(boxes), days.num_rows, str(min(dates)), str(max(dates)))


def _put(lake: Lake, name: str, aoi: str, rows: pa.Table, schema: pa.Schema) -> None:
    """Write rows as the part of a table whose number follows from them."""
    own_schema = pa.schema([field for field in schema if field.name not in ("aoi", "part", "loaded", "sequence")])
    rows = rows.select(own_schema.names).cast(own_schema)
    content = pd.util.hash_pandas_object(rows.to_pandas(), index=False).to_numpy().tobytes()
    part = int.from_bytes(hashlib.sha256(aoi.encode() + content).digest()[:8]) >> 1
    added = {"aoi": aoi, "part": part, "loaded": clock.now(), "sequence": None}
    columns = [
        rows[field.name]
        if field.name in rows.column_names
        else pa.repeat(pa.scalar(added[field.name], field.type), rows.num_rows)
        for field in schema
    ]
    lake.put(name, pa.table(columns, schema=schema), part)


def _places(lake: Lake, aoi: str) -> Places:
    """Centroids of the area's parcels of all years, lon and lat."""
    centroids = lake.sql("select centroid_lon, centroid_lat from parcels where aoi = $aoi", aoi=aoi)
    if not centroids.num_rows:
        raise NotFoundError(f"no parcels of {aoi} in this lake; load them first, for only their weather is kept")
    return np.column_stack([centroids[name].to_numpy() for name in centroids.column_names])


def _check_names(
    columns: Mapping[str, str], units: Mapping[str, str], fields: Sequence[Field], *, tables: bool
) -> None:
    """See that what the caller says is about something that the files have."""
    there = {field.name for field in fields}
    unknown = [name for name in units if name.lower() not in there and name not in COLUMNS]
    unknown += [] if tables else [name for name in columns.values() if name.lower() not in there]
    if unknown:
        raise InvalidInputError(f"the files have no variable {some(unknown)}; they have {some(sorted(there))}")


def _combined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Days of several sources as one row per cell and day."""
    whole = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    keys = ["cell", "meteo_date", "name"]
    once = whole.drop_duplicates([*keys, "value"])
    double = once[once.duplicated(keys)]
    if len(double):
        row = double.iloc[0]
        raise InvalidInputError(
            f"the files have several values of {row['name']} of cell {row['cell']} on {row['meteo_date']}; give one"
        )
    days = once.pivot_table(index=keys[:2], columns="name", values="value").reset_index()
    return days.reindex(columns=["cell", *COLUMNS])
