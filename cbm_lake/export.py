"""Rows of the lake as files for other tools: Parquet, GeoParquet, CSV, Arrow, GeoPackage, GeoJSON."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pyproj
import shapely

from cbm_lake import queries
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.reprojection import reprojected
from cbm_lake.store import translated
from cbm_lake.vectors import check_whole

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

_BATCH: Final = 100_000
"""Rows that are held at once."""
_SIDES: Final = ("xmin", "ymin", "xmax", "ymax")
_GEOMETRIES: Final = {"geometry": "epsg", "footprint": None}
"""Columns that hold WKB, and the column that says their coordinate system; none means EPSG:4326."""


def write(relation: duckdb.DuckDBPyRelation, path: Path) -> int:
    """Write the rows to a file whose ending says the format, in one step; returns how many.

    Rows with an outline become GeoParquet when written as .parquet. All but .gpkg and .geojson is streamed, never held
    whole.

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
    reader = relation.to_arrow_reader(_BATCH)
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
    reader = relation.to_arrow_reader(_BATCH)
    rows = 0
    with path.open("wb") as file:
        pyarrow.csv.write_csv(as_text(reader.schema.empty_table()), file)
        for batch in reader:
            pyarrow.csv.write_csv(as_text(batch), file, pyarrow.csv.WriteOptions(include_header=False))
            rows += batch.num_rows
    return rows


def as_text(batch: pa.RecordBatch | pa.Table) -> pa.Table:
    """The columns as a CSV can hold them: nested values as JSON and WKB as WKT."""
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

    frame = relation.to_arrow_table().to_pandas()
    for name in frame.columns.difference([geometry]):
        nested = frame[name].map(lambda value: isinstance(value, (dict, list)) or hasattr(value, "tolist"))
        if nested.any():
            frame[name] = [json.dumps(_listed(value), default=str) for value in frame[name]]
    shapes = shapely.from_wkb(frame.pop(geometry).to_numpy())
    system = _GEOMETRIES[geometry]
    if system and system not in frame:
        _check_degrees(shapes, system)
    codes = frame[system] if system in frame else pd.Series([4326] * len(frame))
    if codes.nunique() <= 1:
        return gpd.GeoDataFrame(frame, geometry=shapes, crs=int(codes.iloc[0]) if len(codes) else 4326)
    parts = [
        gpd.GeoSeries(shapes[codes == code], index=frame.index[codes == code], crs=int(code)).to_crs(4326)
        for code in codes.unique()
    ]
    return gpd.GeoDataFrame(frame, geometry=pd.concat(parts).sort_index(), crs=4326)


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _geoparquet(relation: duckdb.DuckDBPyRelation, path: Path, geometry: str | None) -> int:
    """GeoParquet 1.1, batch by batch, nested values as they are; outlines of several systems come in EPSG:4326."""
    name = geometry or "geometry"
    codes = _systems(relation, name)
    reader = relation.to_arrow_reader(_BATCH)
    kinds: set[str] = set()
    bounds, rows = [np.full(4, np.nan)], 0
    # readers by pyarrow would look for `geo` in a stored Arrow schema, which is written before `geo` is known
    with pq.ParquetWriter(path, reader.schema, compression="zstd", store_schema=False) as writer:
        for batch in reader:
            shapes = shapely.from_wkb(batch[name].to_numpy(zero_copy_only=False))
            if not codes:
                _check_degrees(shapes, str(_GEOMETRIES[name]))
            elif len(codes) > 1:
                shapes = _to_degrees(shapes, batch[_GEOMETRIES[name]].to_numpy(zero_copy_only=False))
                batch = _moved(batch, name, shapes)  # noqa: PLW2901
            kinds |= {shape.geom_type + " Z" * shape.has_z for shape in shapes if shape is not None}
            bounds.append(shapely.total_bounds(shapes))
            writer.write_batch(batch)
            rows += batch.num_rows
        covered = "bbox" in reader.schema.names and _is_box(reader.schema.field("bbox").type)
        column = _described(codes[0] if len(codes) == 1 else 4326, kinds, np.array(bounds), covered=covered)
        geo = {"version": "1.1.0", "primary_column": name, "columns": {name: column}}
        writer.add_key_value_metadata({"geo": json.dumps(geo)})
    return rows


def _described(epsg: int, kinds: set[str], bounds: NDArray[np.float64], *, covered: bool) -> dict[str, Any]:
    """What GeoParquet says of a column of outlines; covered: column bbox holds the box of each."""
    column: dict[str, Any] = {
        "encoding": "WKB", "geometry_types": sorted(kinds), "crs": pyproj.CRS.from_epsg(epsg).to_json_dict(),
    }  # fmt: skip
    if kinds:
        column["bbox"] = [*np.nanmin(bounds[:, :2], axis=0).tolist(), *np.nanmax(bounds[:, 2:], axis=0).tolist()]
    if covered:
        column["covering"] = {"bbox": {side: ["bbox", side] for side in _SIDES}}
    return column


def _systems(relation: duckdb.DuckDBPyRelation, geometry: str) -> list[int]:
    """The EPSG codes of the outlines' coordinate systems; none when the rows do not tell."""
    system = _GEOMETRIES[geometry]
    if system is None:
        return [4326]
    if system not in relation.columns:
        return []
    codes = relation.project(system).filter(f"{system} is not null").distinct().fetchall()
    return sorted(int(code) for (code,) in codes) or [4326]


def _to_degrees(shapes: NDArray[Any], codes: NDArray[Any]) -> NDArray[Any]:
    """Outlines, each in the system of its code, in EPSG:4326."""
    moved = shapes.copy()
    for code in set(codes[~np.isnan(codes.astype(float))].tolist()):
        moved[codes == code] = reprojected(shapes[codes == code], int(code), 4326)
    return moved


def _moved(batch: pa.RecordBatch, geometry: str, shapes: NDArray[Any]) -> pa.RecordBatch:
    """The batch with other outlines, and their boxes where it has boxes."""
    place = batch.schema.get_field_index(geometry)
    batch = batch.set_column(place, batch.schema.field(place), pa.array(shapely.to_wkb(shapes), batch[place].type))
    place = batch.schema.get_field_index("bbox")
    if place < 0 or not _is_box(batch[place].type):
        return batch
    boxes = dict(zip(_SIDES, shapely.bounds(shapes).T, strict=True))
    sides = [pa.array(boxes[side.name], side.type) for side in batch[place].type]
    return batch.set_column(
        place, batch.schema.field(place), pa.StructArray.from_arrays(sides, fields=list(batch[place].type))
    )


def _is_box(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and sorted(side.name for side in kind) == sorted(_SIDES)


def _check_degrees(shapes: NDArray[Any], system: str) -> None:
    """Refuse outlines of which a coordinate is off the globe; outlines without any count as well."""
    west, south, east, north = shapely.total_bounds(shapes)
    if west < -180 or south < -90 or east > 180 or north > 90:
        raise InvalidInputError(f"these outlines are not in degrees; select {system} too, which names their system")


def _vector_file(relation: duckdb.DuckDBPyRelation, path: Path, geometry: str | None) -> int:
    from pyogrio.errors import DataLayerError, DataSourceError

    frame = _frame(relation, geometry or "geometry")
    if path.suffix == ".geojson":
        frame = frame.to_crs(4326)  # RFC 7946 knows no other
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": "9"}
    else:
        options = {"FID": "row_number"}  # GeoPackage's own key would be "fid", which the parcels have as a column
    try:
        frame.to_file(path, engine="pyogrio", layer=re.sub(r"\W", "_", path.stem), **options)
        check_whole(path, len(frame), len(frame.columns) - 1)
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
