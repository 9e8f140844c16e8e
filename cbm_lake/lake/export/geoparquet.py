"""GeoParquet 1.1, batch by batch, nested values as they are; geometries of several systems come in EPSG:4326."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely
from numpy.typing import NDArray

from cbm_lake.lake.export.geography import SIDES, Layer, has_boxes, kinds_of
from cbm_lake.lake.export.streamed import PLAIN, with_descriptions


def write(layer: Layer, path: Path, others: list[str]) -> int:
    """Write the rows; returns how many.

    Args:
        layer: rows with their geometries.
        path: where to.
        others: further columns of geometries, in EPSG:4326 or, with the layer's own column of codes, in that system.
    """
    columns = {name: _described(layer, name) for name in (layer.geometry, *others)}
    geo = {"version": "1.1.0", "primary_column": layer.geometry, "columns": columns}
    schema = with_descriptions(layer.schema, {b"geo": json.dumps(geo, allow_nan=False).encode()})
    with pq.ParquetWriter(path, schema, **PLAIN) as writer:
        for batch in layer.batches():
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    return layer.rows


def _described(layer: Layer, name: str) -> dict[str, object]:
    """What GeoParquet says of a column of geometries."""
    kinds: set[str] = set()
    bounds = [np.full(4, np.nan)]
    for batch in layer.batches():
        shapes = shapely.from_wkb(batch.column(name).to_numpy(zero_copy_only=False))
        kinds |= kinds_of(shapes)
        bounds.append(shapely.total_bounds(shapes))
    primary = name == layer.geometry
    crs = layer.crs if primary else pyproj.CRS.from_epsg(4326)
    column: dict[str, object] = {"encoding": "WKB", "geometry_types": sorted(kinds), "crs": crs.to_json_dict()}
    corners = _corners(np.array(bounds))
    if corners:
        column["bbox"] = corners
    if primary and has_boxes(layer.schema):
        column["covering"] = {"bbox": {side: ["bbox", side] for side in SIDES}}
    return column


def _corners(bounds: NDArray[np.float64]) -> list[float]:
    """The box round all boxes; empty where all are."""
    finite = bounds[np.isfinite(bounds).all(axis=1)]
    return [*finite[:, :2].min(axis=0).tolist(), *finite[:, 2:].max(axis=0).tolist()] if len(finite) else []
