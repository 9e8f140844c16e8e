"""Zonal statistics: count, mean, percentiles, … of the pixels of every geometry, and histograms of classes.

The default rule is that of rasterstats: a pixel belongs to a parcel when its centre is inside. Polygons are turned
into an index once per parcel set and grid (`build_index`); statistics of a band are then one pass over the
parcels' pixels (`statistics`), or over a pool that was gathered block by block (`pool_statistics`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from cbm_lake.cards.statistics import STORED
from cbm_lake.errors import InvalidInputError
from cbm_lake.zonal import centre, masks, overlaps, values
from cbm_lake.zonal.centre import SCL_CLASSES, histogram, pool_histogram, pool_of, pool_statistics, statistics
from cbm_lake.zonal.columns import Columns
from cbm_lake.zonal.coverage import coverage_statistics
from cbm_lake.zonal.polygons import Geometries, as_shapely
from cbm_lake.zonal.spans import Block, BlockPlan, SpanIndex, build_index, count_whole

__all__ = [
    "SCL_CLASSES",
    "STATISTICS",
    "Block",
    "BlockPlan",
    "SpanIndex",
    "build_index",
    "count_whole",
    "coverage_statistics",
    "histogram",
    "pool_histogram",
    "pool_of",
    "pool_statistics",
    "statistics",
    "warm_up",
    "zonal_stats",
]

STATISTICS = STORED
"""The default statistics, which are columns of the result; see `cbm_lake.cards.STATISTICS`."""


def zonal_stats(
    geometries: Geometries,
    array: npt.ArrayLike,
    transform: Affine | Sequence[float],
    nodata: float | None = 0,
    method: str = "centre",
    *,
    statistics: str | Iterable[str] = STORED,
) -> pa.Table:
    """Statistics of the pixels of every geometry, one row each, in the order of the geometries.

    Args:
        geometries: as for `build_index`, in the coordinate system of the raster.
        array: the band, 2-D: integers up to 32 bits, or floats. Pixels masked in a numpy masked array do not count.
        transform: from (column, row) to map coordinates, without rotation; also as six numbers in Affine's order.
        nodata: the pixel value that does not count, compared in the type of the array; None: all count. NaN never
            counts.
        method: "centre": pixels whose centre is inside, as rasterstats; "coverage": pixels weighted by the share
            that is inside, as exactextract.
        statistics: names of `cbm_lake.cards.STATISTICS`, also as one text with commas: the columns, in its order.
            std is that of the population; percentiles are interpolated linearly; shares are of the whole geometry, also
            of what is outside the array.

    Raises:
        InvalidInputError: the method, a statistic, the transform or the array is none that is provided for.
    """
    columns = Columns.of(statistics)
    array, nodata = values.unmasked(values.two_dimensional(np.asanyarray(array)), nodata)
    if method == "coverage":
        return coverage_statistics(geometries, array, transform, nodata, statistics=columns.names)
    if method != "centre":
        raise InvalidInputError(f"there is no method {method!r}: choose 'centre' or 'coverage'")
    shapes = as_shapely(geometries)  # once: an iterator has no second time
    index = build_index(shapes, transform, array.shape)
    if columns.need_pixels:
        index = replace(index, whole=count_whole(shapes, index))
    return centre.statistics(index, array, nodata, statistics=columns.names)


def warm_up(dtypes: Sequence[npt.DTypeLike] = tuple(values.KINDS)) -> float:
    """Compile all kernels for these dtypes, or load them from disk; returns the seconds taken."""
    import shapely

    began = time.perf_counter()
    for dtype in dtypes:
        array = np.arange(100 * 100).astype(dtype).reshape(100, 100)
        index = build_index([shapely.box(0.5, 0.5, 80, 80)], Affine(1, 0, 0, 0, 1, 0), array.shape)
        statistics(index, array)
        plan = index.blocks((64, 64))
        pool = plan.new_pool(array.dtype)
        plan.gather(array[:64, :64], 0, pool)
        if array.dtype.kind != "f":
            pool_histogram(pool, plan.offsets)
            masks.warm_up(index)
    square = np.array([shapely.box(0, 0, 1, 1)], object)
    overlaps.overlaps(square, square)
    return time.perf_counter() - began
