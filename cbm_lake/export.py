"""Rows of the lake as files for other tools: Parquet, GeoParquet, CSV, Arrow, GeoPackage, GeoJSON."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from cbm_lake import queries
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.store import translated

if TYPE_CHECKING:
    import geopandas as gpd

_GEOMETRIES: Final = {"geometry": "epsg", "footprint": None}
"""Columns that hold WKB, and the column that says their coordinate system; none means EPSG:4326."""


def write(relation: duckdb.DuckDBPyRelation, path: Path) -> int:
    """Write the rows to a file whose ending says the format, in one step; returns how many.

    Rows with an outline become GeoParquet when written as .parquet. Tables without one are streamed, never held whole.

    Raises:
        InvalidInputError: unknown ending, or a geographic format for rows without geometry.
        SourceError: the file cannot be written.
    """
    geometry = next((name for name in _GEOMETRIES if name in relation.columns), None)
    writers = _STREAMED if geometry is None or path.suffix in (".csv", ".arrow", ".feather") else _GEOGRAPHIC
    if path.suffix not in writers:
        raise InvalidInputError(
            f"cannot export to {path.name!r}: write .parquet, .csv, .arrow, or, for rows with a geometry, .gpkg or "
            ".geojson"
        )
    with translated("write", str(path)), queries.translated():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:  # also holds GDAL's journals
            draft = Path(folder) / path.name
            rows = writers[path.suffix](relation, draft, geometry)
            draft.replace(path)
    return rows


def _stream(relation: duckdb.DuckDBPyRelation, sink: Callable[[pa.Schema], Any]) -> int:
    reader = relation.to_arrow_reader(100_000)
    rows = 0
    with sink(reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _parquet(relation: duckdb.DuckDBPyRelation, path: Path, _: str | None) -> int:
    return _stream(relation, lambda schema: pq.ParquetWriter(path, schema, compression="zstd"))


def _arrow(relation: duckdb.DuckDBPyRelation, path: Path, _: str | None) -> int:
    return _stream(relation, lambda schema: pa.ipc.new_file(str(path), schema))


def _csv(relation: duckdb.DuckDBPyRelation, path: Path, _: str | None) -> int:
    reader = relation.to_arrow_reader(100_000)
    rows = 0
    with path.open("wb") as file:
        pyarrow.csv.write_csv(as_text(reader.schema.empty_table()), file)
        for batch in reader:
            pyarrow.csv.write_csv(as_text(batch), file, pyarrow.csv.WriteOptions(include_header=False))
            rows += batch.num_rows
    return rows


def as_text(batch: pa.RecordBatch | pa.Table) -> pa.Table:
    """The columns as a CSV can hold them: nested values as JSON and WKB as WKT."""
    import shapely

    columns = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_nested(column.type):
            columns[name] = pa.array(
                [None if v is None else json.dumps(v, default=str) for v in column.to_pylist()], pa.string()
            )
        elif pa.types.is_binary(column.type):
            columns[name] = pa.array(
                shapely.to_wkt(shapely.from_wkb(column.to_pylist()), rounding_precision=9), pa.string()
            )
        else:
            columns[name] = column
    return pa.table(columns)


def _frame(relation: duckdb.DuckDBPyRelation, geometry: str) -> gpd.GeoDataFrame:
    """All rows with their outlines in one coordinate system: their own if they share one, else EPSG:4326."""
    import geopandas as gpd
    import pandas as pd
    import shapely

    frame = relation.to_arrow_table().to_pandas()
    for name in frame.columns.difference([geometry]):
        nested = frame[name].map(lambda value: isinstance(value, (dict, list)) or hasattr(value, "tolist"))
        if nested.any():
            frame[name] = [json.dumps(_listed(value), default=str) for value in frame[name]]
    shapes = shapely.from_wkb(frame.pop(geometry).to_numpy())
    system = _GEOMETRIES[geometry]
    if system and system not in frame and not _in_degrees(shapes):
        raise InvalidInputError(f"these outlines are not in degrees; select {system} too, which names their system")
    codes = frame[system] if system in frame else pd.Series([4326] * len(frame))
    if codes.nunique() <= 1:
        return gpd.GeoDataFrame(frame, geometry=shapes, crs=int(codes.iloc[0]) if len(codes) else 4326)
    parts = [
        gpd.GeoSeries(shapes[codes == code], index=frame.index[codes == code], crs=int(code)).to_crs(4326)
        for code in codes.unique()
    ]
    return gpd.GeoDataFrame(frame, geometry=pd.concat(parts).sort_index(), crs=4326)


def _in_degrees(shapes: Any) -> bool:
    """Whether no coordinate is off the globe; outlines without any count as well."""
    import shapely

    west, south, east, north = shapely.total_bounds(shapes)
    return not (west < -180 or south < -90 or east > 180 or north > 90)


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _geoparquet(relation: duckdb.DuckDBPyRelation, path: Path, geometry: str | None) -> int:
    frame = _frame(relation, geometry or "geometry")
    frame.to_parquet(path, index=False, compression="zstd", schema_version="1.1.0")
    return len(frame)


def _vector_file(relation: duckdb.DuckDBPyRelation, path: Path, geometry: str | None) -> int:
    from pyogrio.errors import DataLayerError, DataSourceError

    frame = _frame(relation, geometry or "geometry")
    options = {}
    if path.suffix == ".geojson":
        frame = frame.to_crs(4326)  # RFC 7946 knows no other
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": "9"}
    try:
        frame.to_file(path, engine="pyogrio", layer=re.sub(r"\W", "_", path.stem), **options)
    except (DataSourceError, DataLayerError) as error:
        raise SourceError(f"cannot write {path.name}: {error}; check the folder and the free space") from error
    return len(frame)


_STREAMED: Final = {".parquet": _parquet, ".csv": _csv, ".arrow": _arrow, ".feather": _arrow}
_GEOGRAPHIC: Final = {
    ".parquet": _geoparquet,
    ".geoparquet": _geoparquet,
    ".gpkg": _vector_file,
    ".geojson": _vector_file,
}
