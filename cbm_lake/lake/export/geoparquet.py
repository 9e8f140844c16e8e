"""GeoParquet 1.1 export, batch by batch; geometries in several coordinate systems are converted to EPSG:4326."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import shapely
from numpy.typing import NDArray

from cbm_lake.geo import geoparquet
from cbm_lake.lake.export.geography import Layer, has_boxes, kinds_of
from cbm_lake.lake.export.streamed import PLAIN, with_descriptions


def write(layer: Layer, path: Path, others: list[str]) -> int:
    """Write the rows; returns how many.

    Args:
        layer: rows with their geometries.
        path: where to.
        others: further columns of geometries, in EPSG:4326 or, with the layer's own column of codes, in that system.
    """
    columns = {name: _described(layer, name) for name in (layer.geometry, *others)}
    schema = with_descriptions(layer.schema, geoparquet.file_metadata(columns))
    with pq.ParquetWriter(path, schema, **PLAIN) as writer:
        for batch in layer.batches():
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
    return layer.rows


def _described(layer: Layer, name: str) -> geoparquet.ColumnMetadata:
    """What GeoParquet says of a column of geometries."""
    kinds: set[str] = set()
    bounds = [np.full(4, np.nan)]
    for batch in layer.batches():
        shapes = shapely.from_wkb(batch.column(name).to_numpy(zero_copy_only=False))
        kinds |= kinds_of(shapes)
        bounds.append(shapely.total_bounds(shapes))
    primary = name == layer.geometry
    crs = layer.crs if primary else pyproj.CRS.from_epsg(4326)
    covering = "bbox" if primary and has_boxes(layer.schema) else None
    return geoparquet.column_metadata(sorted(kinds), crs=crs, bbox=_corners(np.array(bounds)), covering=covering)


def _corners(bounds: NDArray[np.float64]) -> list[float] | None:
    """The union of bounding boxes; None where all are empty."""
    finite = bounds[np.isfinite(bounds).all(axis=1)]
    return [*finite[:, :2].min(axis=0).tolist(), *finite[:, 2:].max(axis=0).tolist()] if len(finite) else None
