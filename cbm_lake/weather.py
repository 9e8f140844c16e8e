"""Daily weather per grid cell, from ERA5, AgERA5 or tables, for the cells in which an area has parcels: `load`.

NetCDF, Zarr ─ box round the parcels ─► days of each cell ┐
CSV, Parquet ─ rows of the original's table ──────────────┴► tables weather/days and weather/cells
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
import shapely.geometry

from cbm_lake import schemas
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, open_lake

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many files are read and how many there are."""
Boxes: TypeAlias = "dict[str, tuple[float, float, float, float]]"
"""West, south, east, north of cells, in degrees."""

COLUMNS: Final = ("meteo_date", "tmin", "tmax", "tmean", "prec")
CELL_NAMES: Final = ("cell", "grid_id", "grid", "gridid", "grid_no")
"""Columns of a table taken for the cell: the first that is there."""

_MEASURED: Final = {
    "t2m": ("tmin", "tmax", "tmean"), "2t": ("tmin", "tmax", "tmean"), "2m_temperature": ("tmin", "tmax", "tmean"),
    "mn2t": ("tmin",), "mx2t": ("tmax",), "Temperature_Air_2m_Min_24h": ("tmin",),
    "Temperature_Air_2m_Max_24h": ("tmax",), "Temperature_Air_2m_Mean_24h": ("tmean",),
    "tp": ("prec",), "total_precipitation": ("prec",), "Precipitation_Flux": ("prec",),
    "tmin": ("tmin",), "tmax": ("tmax",), "tmean": ("tmean",), "prec": ("prec",),
}  # fmt: skip
"""What the variables of ERA5, AgERA5, and files with our own names tell."""
_AXES: Final = {
    "time": ("time", "valid_time", "date", "meteo_date"),
    "lat": ("latitude", "lat", "y"),
    "lon": ("longitude", "lon", "x"),
}
_WHOLE: Final = 0.8
"""Part of a day's steps that must be there for the day to count."""
_HOTTEST: Final = 100
"""Degrees Celsius above which a table must hold kelvin."""


@dataclass(frozen=True)
class Loaded:
    """What `load` did."""

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
    lake: Lake | None = None,
    progress: Progress | None = None,
) -> Loaded:
    """Load the daily weather of the grid cells that hold a centroid of a parcel of the area.

    Hours become days of UTC: the least, greatest and mean temperature, and the sum of precipitation, whose hour is the
    one that ends at its time; a day counts when at least four fifths of it are there. Kelvin become degrees Celsius and
    metres mm. Days that were loaded before are replaced.

    Args:
        path: NetCDF (.nc) or Zarr (.zarr) of ERA5 or AgERA5 on a regular grid in degrees, or a CSV or Parquet table
            with meteo_date, tmin, tmax, tmean (degrees Celsius), prec (mm) and lon, lat (centre of the cell) or a
            column of the cell; one or several, which may hold different variables.
        grid: the cells' polygons, where a table names cells: JSON or CSV with grid_id and polygon, or a vector file.
        lake: where to; without it the lake of the current workspace.
        progress: called after each file.

    Raises:
        NotFoundError: no parcels of the area were loaded, or none of them lies in a cell.
        InvalidInputError: a file holds nothing that is known, or its grid is not regular.
        SourceError: a file cannot be read.
    """
    lake = lake or open_lake()
    paths = list(dict.fromkeys(map(str, [path] if isinstance(path, (str, Path)) else path)))
    places = _places(lake, aoi.lower())
    boxes: Boxes = {}
    parts = []
    for number, one in enumerate(paths, 1):
        days, found = _table(one, grid) if _is_table(one) else _gridded(one, places)
        kept = _holding(found, places)
        boxes |= {cell: found[cell] for cell in kept}
        parts.append(days[days["cell"].isin(kept)])
        if progress:
            progress(number, len(paths))
    days = _combined(parts)
    if days.empty:
        raise NotFoundError(f"no cell of {', '.join(paths[:3])} holds a parcel of {aoi}; give weather of that area")
    return store(lake, aoi.lower(), pa.Table.from_pandas(days, preserve_index=False), boxes)


def store(lake: Lake, aoi: str, days: pa.Table, boxes: Boxes) -> Loaded:
    """Write days (cell, meteo_date, tmin, tmax, tmean, prec) and cells; the same ones once more change nothing."""
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
    own = pa.schema([field for field in schema if field.name not in ("aoi", "part", "loaded")])
    rows = rows.select(own.names).cast(own)
    content = pd.util.hash_pandas_object(rows.to_pandas(), index=False).to_numpy().tobytes()
    part = int.from_bytes(hashlib.sha256(aoi.encode() + content).digest()[:8]) >> 1
    added = {"aoi": aoi, "part": part, "loaded": datetime.now(UTC)}
    columns = [
        rows[field.name]
        if field.name in rows.column_names
        else pa.repeat(pa.scalar(added[field.name], field.type), rows.num_rows)
        for field in schema
    ]
    lake.put(name, pa.table(columns, schema=schema), part)


def _places(lake: Lake, aoi: str) -> np.ndarray[Any, Any]:
    """Centroids of the area's parcels of all years, lon and lat."""
    found = lake.sql("select centroid_lon, centroid_lat from parcels where aoi = $aoi", aoi=aoi)
    if not found.num_rows:
        raise NotFoundError(f"no parcels of {aoi} in this lake; load them first, for only their weather is kept")
    return np.column_stack([found[name].to_numpy() for name in found.column_names])


def _holding(boxes: Boxes, places: np.ndarray[Any, Any]) -> list[str]:
    """Cells that hold a place; west and south are inside, east and north are not."""
    tree = shapely.STRtree(shapely.box(*np.array([*boxes.values()]).T)) if boxes else shapely.STRtree([])
    point, cell = tree.query(shapely.points(places))
    sides = np.array([*boxes.values()]).reshape(-1, 4)[cell]
    lon, lat = places[point].T
    inside = (lon >= sides[:, 0]) & (lon < sides[:, 2]) & (lat >= sides[:, 1]) & (lat < sides[:, 3])
    names = [*boxes]
    return [names[number] for number in np.unique(cell[inside])]


def _combined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Days of several files as one row per cell and day, without what has too few of its steps."""
    keys = ["cell", "meteo_date", "name"]
    whole = pd.concat(parts, ignore_index=True).groupby(keys, sort=True)
    found = whole.agg({"low": "min", "high": "max", "total": "sum", "steps": "sum", "share": "sum"}).reset_index()
    found = found[found["share"] >= _WHOLE]
    value = {"tmin": found["low"], "tmax": found["high"], "tmean": found["total"] / found["steps"]}
    found["value"] = found["total"]
    for name, values in value.items():
        found["value"] = found["value"].where(found["name"] != name, values)
    days = found.pivot_table(index=keys[:2], columns="name", values="value").reset_index()
    return days.reindex(columns=["cell", *COLUMNS])


# -- grids -----------------------------------------------------------------------------------------------------------


def _gridded(path: str, places: np.ndarray[Any, Any]) -> tuple[pd.DataFrame, Boxes]:
    """What a NetCDF or Zarr file says of the days of the cells round the places, and the boxes of the cells."""
    try:
        with _opened(path) as data:
            named = _with_axes(path, data)
            near = _near(named, places)
            known = [name for name in near.data_vars if name in _MEASURED]
            if not known:
                raise InvalidInputError(
                    f"{path} has no variable that is known; it has {', '.join(map(str, data.data_vars))}; "
                    f"known are {', '.join(_MEASURED)}"
                )
            parts = [part for name in known for part in _daily(near[name].load(), _MEASURED[str(name)])]
            return pd.concat(parts, ignore_index=True), _boxes(path, near)
    except (OSError, ValueError, KeyError) as error:
        if isinstance(error, InvalidInputError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise SourceError(
            f"{path} cannot be read ({reason}); give NetCDF, which wants package netCDF4, or Zarr"
        ) from error


def _opened(path: str) -> Any:
    """The file as a dataset whose numbers are read when they are asked for."""
    import xarray as xr

    engine = "zarr" if path.rstrip("/").endswith(".zarr") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a store without consolidated metadata is slower to open only
        return xr.open_dataset(path, engine=engine, decode_timedelta=False)


def _with_axes(path: str, data: Any) -> Any:
    """The dataset with axes time, lat and lon, in degrees from -180 to 180; others, such as members, are merged."""
    names = {}
    for ours, theirs in _AXES.items():
        found = next((name for name in theirs if name in data.dims), None)
        if found is None:
            raise InvalidInputError(f"{path} has no axis {', '.join(theirs)}; it has {', '.join(map(str, data.dims))}")
        names[found] = ours
    data = data.rename({theirs: ours for theirs, ours in names.items() if theirs != ours})
    others = [name for name in data.dims if name not in _AXES]
    if others:
        data = data.max(others, keep_attrs=True)  # expver: of first and final numbers one is missing
    return data.assign_coords(lon=(data["lon"] + 180) % 360 - 180).sortby("lon").sortby("lat").sortby("time")


def _near(data: Any, places: np.ndarray[Any, Any]) -> Any:
    """The part of a dataset whose cells can hold a place."""
    (west, south), (east, north) = places.min(axis=0), places.max(axis=0)
    pad_lon, pad_lat = (_step(data[name].to_numpy(), name) for name in ("lon", "lat"))
    return data.sel(lon=slice(west - pad_lon, east + pad_lon), lat=slice(south - pad_lat, north + pad_lat))


def _step(values: np.ndarray[Any, Any], name: str) -> float:
    """The distance of neighbours on a regular axis."""
    steps = np.diff(np.sort(values.astype(float)))
    if not len(steps) or np.ptp(steps) > 0.02 * steps.mean():
        raise InvalidInputError(f"the weather grid is not regular along {name} or has one line only; give a larger cut")
    return float(steps.mean())


def _boxes(path: str, data: Any) -> Boxes:
    """The box of each cell round its centre."""
    lon, lat = (np.round(data[name].to_numpy().astype(float), 6) for name in ("lon", "lat"))
    if not len(lon) or not len(lat):
        return {}
    return _squares(lon, lat, _step(lon, "lon"), _step(lat, "lat"))


def _squares(lons: Any, lats: Any, width: float, height: float) -> Boxes:
    """Boxes round all centres of a grid."""
    half_width, half_height = width / 2, height / 2
    return {
        _cell(lon, lat): (
            round(float(lon) - half_width, 6), round(float(lat) - half_height, 6),
            round(float(lon) + half_width, 6), round(float(lat) + half_height, 6),
        )
        for lat in lats
        for lon in lons
    }  # fmt: skip


def _cell(lon: float, lat: float) -> str:
    return f"{lon:.6g}_{lat:.6g}"


def _daily(values: Any, names: Sequence[str]) -> Iterator[pd.DataFrame]:
    """What a variable says of each cell and day: least, greatest, sum, steps, and their part of a whole day."""
    rows = _metric(values).to_series().dropna().rename("value").reset_index()
    moments = np.unique(values["time"].to_numpy())
    gaps = np.diff(moments)
    step = np.median(gaps) if len(gaps) else np.timedelta64(1, "D")
    share = min(1.0, float(step / np.timedelta64(1, "D")))
    if "prec" in names and share < 1:
        rows["time"] -= pd.Timedelta(step)  # what has fallen until then
    rows["meteo_date"] = rows["time"].dt.date
    rows["cell"] = [_cell(*place) for place in zip(rows["lon"].round(6), rows["lat"].round(6), strict=True)]
    days = rows.groupby(["cell", "meteo_date"])["value"].agg(low="min", high="max", total="sum", steps="count")
    days["share"] = days["steps"] * share
    for name in names:
        yield days.reset_index().assign(name=name)


def _metric(values: Any) -> Any:
    """Temperatures in degrees Celsius, precipitation in mm."""
    unit = str(values.attrs.get("units", "")).lower()
    if unit in {"k", "kelvin"}:
        return values - 273.15
    return values * 1000 if unit in {"m", "metre", "meter", "m of water equivalent"} else values


# -- tables ----------------------------------------------------------------------------------------------------------


def _is_table(path: str) -> bool:
    return path.lower().endswith((".csv", ".csv.gz", ".parquet"))


def _table(path: str, grid: str | Path | None) -> tuple[pd.DataFrame, Boxes]:
    """The days that a table holds, and the boxes of its cells."""
    frame = _read_table(path)
    if {"lon", "lat"} <= {*frame.columns}:
        lon, lat = (pd.to_numeric(frame[name]).round(6) for name in ("lon", "lat"))
        frame["cell"] = [_cell(*place) for place in zip(lon, lat, strict=True)]
        boxes = _squares(lon.unique(), lat.unique(), _step(lon.unique(), "lon"), _step(lat.unique(), "lat"))
    elif grid is None:
        raise InvalidInputError(f"{path} has no columns lon and lat; say by grid= where its cells are")
    else:
        boxes = read_grid(grid)
        frame["cell"] = _cells(frame, path, boxes)
    frame["meteo_date"] = pd.to_datetime(frame["meteo_date"]).dt.date
    long = frame.melt(["cell", "meteo_date"], COLUMNS[1:], "name", "total").astype({"total": float}).dropna()
    if len(long) and long.loc[long["name"] != "prec", "total"].max() > _HOTTEST:
        raise InvalidInputError(f"{path} has temperatures above {_HOTTEST} degrees; give degrees Celsius, not kelvin")
    return long.assign(low=long["total"], high=long["total"], steps=1, share=1.0), boxes


def _cells(frame: pd.DataFrame, path: str, boxes: Boxes) -> pd.Series[str]:
    """The cell of each row; the only one of the grid where the table has no column of it."""
    column = next((name for name in CELL_NAMES if name in frame.columns), None)
    if column is not None:
        return frame[column].astype(str)
    if len(boxes) == 1:
        return pd.Series([next(iter(boxes))] * len(frame))
    raise InvalidInputError(
        f"{path} has none of the columns {', '.join(CELL_NAMES)}; say in one which cell a row is of"
    )


def _read_table(path: str) -> pd.DataFrame:
    try:
        with duckdb.connect() as connection:
            if path.lower().endswith(".parquet"):
                frame = connection.read_parquet(path).df()
            else:
                frame = connection.read_csv(path, header=True, all_varchar=True).df()
    except duckdb.Error as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"{path} cannot be read ({reason}); give a CSV with header, or Parquet") from error
    frame.columns = frame.columns.str.lower()
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise InvalidInputError(f"{path} has no column {', '.join(missing)}; it has {', '.join(frame.columns)}")
    return frame


def read_grid(path: str | Path) -> Boxes:
    """The boxes of the cells of a grid: JSON or CSV with grid_id and polygon, or a vector file.

    Raises:
        InvalidInputError: it does not hold cells with polygons in degrees.
        SourceError: it cannot be read.
    """
    try:
        shapes = {str(name): _polygon(polygon) for name, polygon in _grid_rows(Path(path))}
    except (OSError, ValueError, KeyError, TypeError, shapely.errors.ShapelyError, duckdb.Error) as error:
        reason = " ".join(str(error).split())[:200]
        raise SourceError(f"grid {path} cannot be read ({reason}); give grid_id and polygon as JSON or CSV") from error
    boxes = {name: shape.bounds for name, shape in shapes.items()}
    if not boxes or not all(
        -360 <= west < east <= 360 and -90 <= south < north <= 90 for west, south, east, north in boxes.values()
    ):
        raise InvalidInputError(
            f"grid {path} has no cells, or some that are not in degrees; give longitude and latitude"
        )
    return boxes


def _grid_rows(path: Path) -> Iterator[tuple[Any, Any]]:
    """Name and polygon of each cell."""
    ending = path.suffix.lower()
    if ending == ".csv":
        with duckdb.connect() as connection:
            yield from (
                connection.read_csv(str(path), header=True, all_varchar=True).project("grid_id, polygon").fetchall()
            )
        return
    if ending == ".json":
        found = json.loads(path.read_text("utf-8"))
        if "features" not in found:
            yield from ((row["grid_id"], row["polygon"]) for row in (found if isinstance(found, list) else [found]))
            return
    import geopandas as gpd

    frame = gpd.read_file(path).to_crs(4326)
    column = next((name for name in CELL_NAMES if name in frame.columns), None)
    yield from zip(frame[column] if column else frame.index, frame.geometry, strict=True)


def _polygon(value: Any) -> shapely.Geometry:
    """A polygon from shapely, GeoJSON, WKT, WKB in hexadecimal digits, or a list of points."""
    if isinstance(value, shapely.Geometry):
        return value
    if isinstance(value, Mapping):
        return shapely.geometry.shape(value)
    if isinstance(value, str) and value.lstrip()[:1] in "{[":
        return _polygon(json.loads(value))
    if isinstance(value, str):
        wkt = value.rpartition(";")[2].strip()
        return shapely.from_wkb(wkt) if wkt[:2] in ("00", "01") else shapely.from_wkt(wkt)
    points = value[0] if isinstance(value[0][0], Sequence) else value
    return shapely.Polygon(points)
