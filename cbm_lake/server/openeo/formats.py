"""Results as files: JSON as openEO's clients read series of polygons, CSV, Parquet, GeoParquet, NetCDF."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import shapely

from cbm_lake.geo import geoparquet
from cbm_lake.server.openeo.series import Series

Write = Callable[[Series, Path], None]
_MEDIA: Final = {
    "JSON": (".json", "application/json"),
    "CSV": (".csv", "text/csv"),
    "Parquet": (".parquet", "application/vnd.apache.parquet"),
    "GeoParquet": (".parquet", "application/vnd.apache.parquet"),
    "netCDF": (".nc", "application/netcdf"),
}


def extension(name: str) -> str:
    """How a file of a format ends."""
    return _MEDIA[name][0]


def media_type(name: str) -> str:
    """The media type of a format."""
    return _MEDIA[name][1]


def write(series: Series, name: str, file: Path) -> None:
    """Write a result.

    Args:
        series: the result.
        name: of the format, one of `processes.FORMATS`.
        file: where it is written; what is there is replaced.
    """
    _WRITERS[name](series, file)


def _json(series: Series, file: Path) -> None:
    """{moment: [[a value for each band and statistic] for each polygon]}; a list alone where time was reduced."""
    times, polygons = series.values.shape[:2]
    pages = [np.ascontiguousarray(page.reshape(polygons, -1)) for page in series.values]
    document = pages[0] if series.times == ("",) and times else dict(zip(series.times, pages, strict=True))
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def _tables(series: Series) -> Iterator[pa.Table]:
    """Rows by time and polygon, a table for each label along t."""
    ids = pa.array(series.ids, pa.string())
    moments = [_moment(label) for label in series.times]
    are_moments = all(moment is not None for moment in moments)
    for number, label in enumerate(series.times):
        columns: dict[str, pa.Array] = {}
        if are_moments:
            columns["t"] = pa.repeat(pa.scalar(moments[number], pa.timestamp("us", tz="UTC")), len(ids))
        elif label:
            columns["t"] = pa.repeat(pa.scalar(label, pa.string()), len(ids))
        flat = series.values[number].reshape(len(ids), -1)
        columns["id"] = ids
        for name, values in zip(series.columns, flat.T, strict=True):
            columns[name] = pa.array(values, pa.float64(), from_pandas=True)
        yield pa.table(columns)


def _moment(label: str) -> datetime | None:
    return datetime.fromisoformat(label) if label.endswith("Z") else None


def _csv(series: Series, file: Path) -> None:
    with file.open("wb") as stream:
        for number, table in enumerate(_tables(series)):
            labels = pa.repeat(series.times[number], table.num_rows)
            rows = table.set_column(0, "t", labels) if "t" in table.column_names else table
            options = pyarrow.csv.WriteOptions(include_header=number == 0, quoting_style="needed")
            pyarrow.csv.write_csv(rows, stream, options)


def _parquet(series: Series, file: Path) -> None:
    _write_parquet(_tables(series), file)


def _geoparquet(series: Series, file: Path) -> None:
    shapes = series.shapes if series.shapes is not None else np.array([], object)
    geometry = pa.array(shapely.to_wkb(shapes), pa.binary())
    kinds = sorted({str(shape.geom_type) for shape in shapes if shape is not None})
    column = geoparquet.column_metadata(kinds, crs=geoparquet.DEFAULT_CRS, bbox=shapely.total_bounds(shapes).tolist())
    metadata = geoparquet.file_metadata({"geometry": column})
    tables = (table.append_column("geometry", geometry) for table in _tables(series))
    _write_parquet((table.replace_schema_metadata(metadata) for table in tables), file)


def _write_parquet(tables: Iterator[pa.Table], file: Path) -> None:
    first = next(tables)
    with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _netcdf(series: Series, file: Path) -> None:
    import xarray as xr

    flat = series.values.reshape(*series.values.shape[:2], -1)
    coordinates: dict[str, object] = {
        "feature": ("feature", np.array(series.ids, object), {"cf_role": "timeseries_id"})
    }
    dimensions: tuple[str, ...] = ("t", "feature")
    moments = [_moment(label) for label in series.times]
    if series.times == ("",):
        dimensions, flat = ("feature",), flat[0]
    elif all(moment is not None for moment in moments):
        days = [np.datetime64(moment.replace(tzinfo=None), "ns") for moment in moments if moment]
        coordinates["t"] = ("t", np.array(days), {"standard_name": "time"})
    else:
        coordinates["t"] = ("t", np.array(series.times, object))
    variables = {name: (dimensions, flat[..., number]) for number, name in enumerate(series.columns)}
    attributes = {"Conventions": "CF-1.11", "featureType": "timeSeries", "comment": series.way}
    dataset = xr.Dataset(variables, coordinates, attributes)
    dataset.to_netcdf(file, engine="netcdf4", encoding={name: {"zlib": True} for name in variables})


_WRITERS: Final[dict[str, Write]] = {
    "JSON": _json,
    "CSV": _csv,
    "Parquet": _parquet,
    "GeoParquet": _geoparquet,
    "netCDF": _netcdf,
}
