"""Arrow table of a parcel set: column order, types, and the content hash that is its version."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from cbm_lake.geo import geoparquet
from cbm_lake.geo.vectors import Features
from cbm_lake.lake import schemas
from cbm_lake.parcels.geometry import CHUNK, EQUAL_AREA, OUTSIDE, POLYGONAL, Refusals, transform
from cbm_lake.parcels.identity import gather

_DEGREES: Final = 4326
_ROW_GROUP: Final = 50_000
_GEOMETRY_COLUMNS: Final = ("id", "geometry", "bbox", "area", "epsg", "centroid_lon", "centroid_lat")
"""Columns that follow from the geometries; all others are attributes."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements derived from the geometries of a set."""

    geometries: pa.ChunkedArray
    """WKB."""
    area: NDArray[np.float64]
    """Hectares."""
    bounds: NDArray[np.float64]
    """n by 4: xmin, ymin, xmax, ymax."""
    centroids: NDArray[np.float64]
    """n by 2, in the area's coordinate system."""
    degrees: NDArray[np.float64]
    """The same in longitude and latitude."""
    kinds: frozenset[int]
    """Numbers of the types of geometry."""
    epsg: int


def measured(source: Features, ids: pa.Array, geometries: list[pa.Array], epsg: int) -> Measured:
    """Compute areas, bounding boxes and centroids of WKB geometries, in chunks of CHUNK rows.

    Raises:
        InvalidInputError: one lies where areas or degrees cannot be computed.
    """
    refusals = Refusals(source, ids)
    parts, kinds = [], set()
    for number, wkb in enumerate(geometries):
        shapes = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))
        equal_area = shapes if epsg == EQUAL_AREA else transform(shapes, epsg, EQUAL_AREA)
        centroids = shapely.centroid(shapes)
        with np.errstate(invalid="ignore"):  # infinite geometries are refused below
            area = shapely.area(equal_area) / 10_000
        degrees = shapely.get_coordinates(transform(centroids, epsg, _DEGREES))
        refusals.note(number * CHUNK, ~np.isfinite(area + degrees.sum(axis=1)), *OUTSIDE)
        parts.append((area, shapely.bounds(shapes), shapely.get_coordinates(centroids), degrees))
        kinds |= set(shapely.get_type_id(shapes).tolist())
    refusals.check()
    area, bounds, centroids, degrees = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Measured(pa.chunked_array(geometries), area, bounds, centroids, degrees, frozenset(kinds), epsg)


def own_columns(ids: pa.Array, measured: Measured, attributes: Mapping[str, pa.Array]) -> pa.Table:
    """Columns of schemas.PARCELS, in file order."""
    box = schemas.PARCELS.field("bbox").type
    columns = {
        "id": ids,
        "geometry": measured.geometries,
        "bbox": pa.StructArray.from_arrays(list(map(pa.array, measured.bounds.T)), fields=list(box)),
        "area": measured.area,
        "crop:code": pa.nulls(len(ids), pa.string()),
        "crop:name": pa.nulls(len(ids), pa.string()),
        "epsg": np.full(len(ids), measured.epsg, np.int32),
        "centroid_lon": measured.degrees[:, 0],
        "centroid_lat": measured.degrees[:, 1],
    }
    return pa.table(columns | dict(attributes), schema=schemas.PARCELS)


def in_order(table: pa.Table, measured: Measured) -> pa.RecordBatchReader:
    """Sort rows along a Hilbert curve for spatial locality; ties by id.

    They come as GeoParquet's metadata says, in batches, so that no second copy of the table is in memory.
    """
    order = _order(table["id"], measured.centroids)
    schema = table.schema.with_metadata(_geo(measured))

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(order), _ROW_GROUP):
            rows = order[start : start + _ROW_GROUP]
            yield pa.RecordBatch.from_arrays([gather(column, rows) for column in table.columns], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _order(ids: pa.ChunkedArray, centroids: NDArray[np.float64]) -> NDArray[np.int64]:
    bounds = (*centroids.min(axis=0), *centroids.max(axis=0))
    along = [
        gpd.GeoSeries(shapely.points(centroids[start : start + CHUNK])).hilbert_distance(total_bounds=bounds)
        for start in range(0, len(centroids), CHUNK)
    ]
    keys = pa.table({"along": np.concatenate(along), "id": ids})
    return np.asarray(pc.sort_indices(keys, sort_keys=[("along", "ascending"), ("id", "ascending")])).astype(np.int64)


def attributes_of(table: pa.Table) -> pa.Table:
    """Columns other than location and geometry, in alphabetical order."""
    names = [name for name in table.column_names if name not in (*_GEOMETRY_COLUMNS, "ptype", "version")]
    return table.select(sorted(names, key=str.casefold))


def version_of(table: pa.Table) -> str:
    """Content hash of a set (hexadecimal, in two parts), independent of row order.

    The first part, of twelve digits, depends on ids, geometries and coordinate system; the second, of eight, behind an
    underscore, on crops and the agency's other columns.
    """
    order = np.asarray(pc.sort_indices(table["id"])).astype(np.int64)
    geometries = hashlib.sha256(str(table["epsg"][0]).encode())
    for name in ("id", "geometry"):
        _digest(geometries, table[name], order)
    attributes = hashlib.sha256()
    for field, column in zip((others := attributes_of(table)).schema, others.columns, strict=True):
        attributes.update(f"{field.name.casefold()} {family(field.type)}\n".encode())
        _digest(attributes, as_texts(column), order)
    return f"{geometries.hexdigest()[:12]}_{attributes.hexdigest()[:8]}"


def _digest(content: Any, column: pa.ChunkedArray, order: NDArray[np.int64]) -> None:
    """Add the values of a column of texts or bytes to a hash; their lengths say where one ends, -1 is null."""
    lengths = pc.fill_null(pc.binary_length(column), -1)
    content.update(lengths.to_numpy()[order].astype("<i8").tobytes())
    for start in range(0, len(order), CHUNK):
        values = gather(column, order[start : start + CHUNK]).cast(pa.large_binary())
        first, last = np.frombuffer(values.buffers()[1], np.int64)[[values.offset, values.offset + len(values)]]
        content.update(memoryview(values.buffers()[2] or b"")[first:last])


def family(kind: pa.DataType) -> str:
    """Type family of a column, regardless of bit width or precision."""
    types = pa.types
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return "number"
    if types.is_string(kind) or types.is_large_string(kind):
        return "text"
    if types.is_date(kind) or types.is_timestamp(kind):
        return "date" if types.is_date(kind) else "time"
    return str(kind)


def as_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cast values to text or bytes such that equal values are equal in any type."""
    kind, types = column.type, pa.types
    if types.is_decimal(kind):
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0*$|(\.\d*[1-9])0+$", r"\1")
    if family(kind) == "time":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    if family(kind) == "date":
        column = column.cast(pa.date32())
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return column.cast(pa.binary())
    if types.is_nested(kind):
        return pa.chunked_array([[None if value is None else repr(value) for value in column.to_pylist()]], pa.string())
    return column.cast(pa.string())


def _geo(measured: Measured) -> dict[bytes, bytes]:
    """The metadata that makes the table GeoParquet."""
    geometry = geoparquet.column_metadata(
        [name for kind, name in POLYGONAL.items() if kind in measured.kinds],
        crs=CRS.from_epsg(measured.epsg),
        bbox=[*measured.bounds[:, :2].min(axis=0).tolist(), *measured.bounds[:, 2:].max(axis=0).tolist()],
        covering="bbox",
    )
    return geoparquet.file_metadata({"geometry": geometry})
