"""Statistics of the pixels of every parcel: count, mean, std, min, max, p25, p50, p75, and counts per class.

The default rule is that of rasterstats: a pixel belongs to a parcel when its centre is inside. Polygons are turned
into an index once per parcel set and grid (`build_index`); statistics of a band are then one pass over the
parcels' pixels (`statistics`), or over a pool that was gathered block by block (`pool_statistics`).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from cbm_lake.errors import InvalidInputError, of_extra
from cbm_lake.zonal import ragged
from cbm_lake.zonal.compiled import Floats, Ints, Pixels, frozen
from cbm_lake.zonal.spans import Block, BlockPlan, SpanIndex, as_affine, build_index, count_whole, polygon_parts

__all__ = [
    "STATISTICS",
    "Block",
    "BlockPlan",
    "SpanIndex",
    "build_index",
    "count_whole",
    "coverage_statistics",
    "histogram",
    "pool_histogram",
    "pool_statistics",
    "statistics",
    "warm_up",
    "zonal_stats",
]

STATISTICS = ("count", "mean", "std", "min", "max", "p25", "p50", "p75")
"""The columns of a table of statistics; std is that of the population, percentiles are interpolated linearly."""

SCL_CLASSES = range(12)
"""The classes of Sentinel-2's scene classification."""

COVERAGE_OPERATIONS = {
    "count": "count",
    "mean": "mean",
    "stdev": "stdev",
    "min": "min",
    "max": "max",
    "quantile(q=0.25)": "quantile_25",
    "quantile(q=0.5)": "quantile_50",
    "quantile(q=0.75)": "quantile_75",
}
"""What exactextract is asked for each of STATISTICS, and what it calls the answer."""

BATCH = 1 << 17
"""Pixels that are gathered before their statistics are taken: so many stay in the processor's second cache."""

KINDS = {
    "uint8": np.uint16,
    "uint16": np.uint16,
    "int16": np.int32,
    "int32": np.int32,
    "float32": np.float64,
    "float64": np.float64,
}
"""What pixels are widened to for the statistics: three kinds to compile instead of six."""


WIDER = {"int8": "int16", "uint32": "float64", "float16": "float32"}
"""Types that are converted first, which is exact."""

log = logging.getLogger(__name__)


def statistics(index: SpanIndex, array: Pixels, nodata: float | None = 0, *, threads: int = 1) -> pa.Table:
    """Statistics of every parcel in a band, in the index's order; NaN where no pixel counts.

    Args:
        index: the parcels on the array's grid.
        array: the band, 2-D, uint8, uint16, int16, int32, float32 or float64.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        threads: how many threads share the work.
    """
    kind = _kind(_on_grid(index, array))
    missing = _missing(nodata, array.dtype)
    visit = index.visit
    pixels = frozen(array).reshape(-1)
    ends = index.pixel_offsets
    sizes = (ends[1:] - ends[:-1])[visit.order]

    def describe(first: int, last: int, result: Floats) -> None:
        offsets = np.zeros(last - first + 1, np.int64)
        np.cumsum(sizes[first:last], out=offsets[1:])
        pool: Pixels = np.empty(int(offsets[-1]), kind)
        spans = slice(visit.offsets[first], visit.offsets[last])
        ragged.collect(pixels, visit.start[spans], visit.length[spans], pool)
        ragged.describe(frozen(pool), frozen(offsets), missing, result[:, first:last])

    result = _filled(describe, sizes, threads)
    ordered = np.empty_like(result)
    for column, visited in zip(ordered, result, strict=True):
        column[visit.order] = visited
    return _as_table(ordered)


def pool_statistics(pool: Pixels, offsets: Ints, nodata: float | None = 0, *, threads: int = 1) -> pa.Table:
    """Statistics of every parcel from the pool of its pixels, as `statistics` gives them.

    Args:
        pool: pixels, parcel by parcel; see `BlockPlan.gather`.
        offsets: where each parcel's pixels begin, and where the last one's end.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        threads: how many threads share the work.
    """
    kind = _kind(_of_length(pool, offsets))
    missing = _missing(nodata, pool.dtype)

    def describe(first: int, last: int, result: Floats) -> None:
        part: Pixels = pool[offsets[first] : offsets[last]].astype(kind, copy=False)
        ends = offsets[first : last + 1] - offsets[first]
        ragged.describe(frozen(part), frozen(ends), missing, result[:, first:last])

    return _as_table(_filled(describe, np.diff(offsets), threads))


def histogram(index: SpanIndex, array: Pixels, classes: Sequence[int] = SCL_CLASSES) -> pa.Table:
    """The number of pixels of each class in every parcel: one int32 column per class, named by its number."""
    _on_grid(index, array)
    pool = np.empty(index.pixel_count, array.dtype)
    ragged.copy_spans(frozen(array), frozen(index.row), frozen(index.col), frozen(index.length), pool)
    return pool_histogram(pool, index.pixel_offsets, classes)


def pool_histogram(pool: Pixels, offsets: Ints, classes: Sequence[int] = SCL_CLASSES) -> pa.Table:
    """The number of pixels of each class in every parcel, as `histogram` gives them, from the pool of its pixels."""
    _of_length(pool, offsets)
    if pool.dtype.kind not in "ui" or pool.dtype.itemsize > 4 or pool.dtype == np.uint32:
        raise InvalidInputError(f"classes cannot be counted in {pool.dtype}: give an integer array up to int32")
    counts = np.zeros((len(classes), len(offsets) - 1), np.int32)
    for number, wanted in zip(counts, classes, strict=True):
        ragged.count_class(frozen(pool), frozen(offsets), wanted, number)
    return pa.table({str(wanted): number for wanted, number in zip(classes, counts, strict=True)})


def zonal_stats(
    geometries: Any,
    array: Pixels,
    transform: Affine | Sequence[float],
    nodata: float | None = 0,
    method: str = "centre",
) -> pa.Table:
    """Statistics of the pixels of every geometry, one row each in the order given.

    Args:
        geometries: as for `build_index`, in the coordinate system of the raster.
        array: the band, 2-D: integers up to 32 bits, or floats. Pixels masked in a numpy masked array do not count.
        transform: from (column, row) to map coordinates, without rotation; also as six numbers in Affine's order.
        nodata: the pixel value that does not count, compared in the type of the array; None: all count. NaN never
            counts.
        method: "centre": pixels whose centre is inside, as rasterstats; "coverage": pixels weighted by the share
            that is inside, as exactextract.
    """
    array, nodata = _plain(_two_dimensional(np.asanyarray(array)), nodata)
    if method == "coverage":
        return coverage_statistics(geometries, array, transform, nodata)
    if method != "centre":
        raise InvalidInputError(f"there is no method {method!r}: choose 'centre' or 'coverage'")
    return statistics(build_index(geometries, transform, array.shape), array, nodata)


def _plain(array: Any, nodata: float | None) -> tuple[Pixels, float | None]:
    """An array of one of KINDS without a mask, and its nodata: converted where that is exact."""
    if array.dtype.name in WIDER:
        wider = np.dtype(WIDER[array.dtype.name])
        if nodata is not None and array.dtype.kind == "f":
            with np.errstate(over="ignore"):
                nodata = float(np.float64(nodata).astype(array.dtype))
        array = array.astype(wider)
    if not np.ma.isMaskedArray(array):
        return array, nodata
    if not np.ma.is_masked(array):
        return array.data, nodata
    _, possible, value = _missing(nodata, _known(array).dtype)
    if array.dtype.kind != "f" and not possible:
        array, value = array.astype(np.float64), np.nan  # which holds all integers of 32 bits
    return array.filled(value if possible else np.nan), nodata


def coverage_statistics(
    geometries: Any, array: Pixels, transform: Affine | Sequence[float], nodata: float | None = 0
) -> pa.Table:
    """Statistics weighted by the share of each pixel inside the geometry; count is the sum of shares (float64).

    Invalid geometries are repaired, and it is said how many: every lobe of a bow-tie counts, and what is covered twice
    counts once. A geometry with infinite coordinates has no pixels.

    Args:
        geometries: as for `build_index`, in the coordinate system of the raster.
        array: the band, 2-D.
        transform: from (column, row) to map coordinates, without rotation.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
    """
    with of_extra("exact", "the method 'coverage'"):
        import exactextract
    import shapely

    raster = _coverage_raster(_two_dimensional(array), as_affine(transform), nodata)
    shapes = _repaired(*polygon_parts(geometries))
    columns = np.full((len(STATISTICS), len(shapes)), np.nan)
    columns[0] = 0.0
    drawn = np.flatnonzero(shapely.area(shapes) > 0)
    if len(drawn):
        features = [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
            for shape in shapes[drawn]
        ]
        found = exactextract.exact_extract(raster, features, list(COVERAGE_OPERATIONS), output="pandas")
        columns[:, drawn] = found[list(COVERAGE_OPERATIONS.values())].to_numpy(np.float64).T
    return pa.table(dict(zip(STATISTICS, columns, strict=True)))


def _repaired(polygons: npt.NDArray[np.object_], owner: Ints, number: int) -> npt.NDArray[np.object_]:
    """One valid multipolygon of each of so many owners' polygons; None where it has none, or an infinite one."""
    import shapely

    shapes = np.full(number, None, dtype=object)
    present, places = np.unique(owner, return_inverse=True)
    if not len(present):
        return shapes
    shapes[present] = shapely.multipolygons(polygons, indices=places)
    infinite = np.zeros(number, bool)
    infinite[owner[~np.isfinite(shapely.bounds(polygons)).all(axis=1)]] = True
    shapes[infinite] = None
    broken = ~shapely.is_valid(shapes) & ~infinite & shapely.is_geometry(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    for bad, what in (
        (infinite, "with infinite coordinates have no pixels"),
        (broken, "were invalid and are repaired"),
    ):
        if bad.any():
            log.warning("%d geometries %s, first at position %d", bad.sum(), what, bad.argmax())
    return shapes


def _coverage_raster(array: Pixels, transform: Affine, nodata: float | None) -> Any:
    """The array as exactextract reads it: north up, and as floats, for it cuts percentiles of integers to integers."""
    from exactextract.raster import NumPyRasterSource

    kind = _kind(array)
    _, has_nodata, value = _missing(nodata, array.dtype)
    array = array.astype(np.float32 if kind is np.uint16 else np.float64)
    array = array[:: -1 if transform.e > 0 else 1, :: -1 if transform.a < 0 else 1]
    (left, top), (right, bottom) = transform * (0, 0), transform * array.shape[::-1]
    box = min(left, right), min(top, bottom), max(left, right), max(top, bottom)
    return NumPyRasterSource(np.ascontiguousarray(array), *box, nodata=float(value) if has_nodata else None)


def warm_up(dtypes: Sequence[npt.DTypeLike] = tuple(KINDS)) -> float:
    """Compile everything that statistics of these dtypes need, or load it from the disk; the seconds that it took."""
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
    return time.perf_counter() - began


def _two_dimensional(array: Pixels) -> Pixels:
    if array.ndim != 2:
        raise InvalidInputError(f"the array has {array.ndim} dimensions: give one band, rows by columns")
    return array


def _on_grid(index: SpanIndex, array: Pixels) -> Pixels:
    """The array, if it has the index's shape."""
    if array.shape != tuple(index.shape):
        raise InvalidInputError(
            f"the array has shape {array.shape}, but the index was built for {tuple(index.shape)}: build another"
        )
    return array


def _of_length(pool: Pixels, offsets: Ints) -> Pixels:
    """The pool, if it ends where the last parcel does: kernels do not look again."""
    if pool.ndim != 1 or not len(offsets) or len(pool) != offsets[-1]:
        raise InvalidInputError(f"the pool has shape {pool.shape}, which its offsets do not end at: gather it anew")
    return pool


def _known(array: Pixels) -> Pixels:
    """The array, if it is of one of KINDS."""
    if array.dtype.name not in KINDS:
        raise InvalidInputError(
            f"statistics of {array.dtype} are not provided: convert it to one of {', '.join(KINDS)}"
        )
    return array


def _kind(array: Pixels) -> type:
    """The dtype in which statistics of this array are taken."""
    return KINDS[_known(array).dtype.name]


def _missing(nodata: float | None, dtype: np.dtype[Any]) -> tuple[bool, bool, Any]:
    """Whether NaN can occur among values of a type, whether nodata can, and nodata as such a value, widened."""
    kind: Any = KINDS[dtype.name]
    real = kind is np.float64
    if nodata is None or math.isnan(nodata):
        return real, False, kind(0)
    if real:
        with np.errstate(over="ignore"):
            stored = np.float64(nodata).astype(dtype)  # -9999.9 has more digits than float32
        return True, bool(np.isinf(stored)) == math.isinf(nodata), kind(stored)
    limits = np.iinfo(kind)
    possible = float(nodata).is_integer() and limits.min <= nodata <= limits.max
    return False, possible, kind(nodata if possible else 0)


def _filled(describe: Callable[[int, int, Floats], None], sizes: Ints, threads: int) -> Floats:
    """The statistics (8, parcels) that `describe` writes, batch by batch; sizes are in pixels."""
    result = np.empty((len(STATISTICS), len(sizes)), np.float64)
    if threads == 1:
        for first, last in _batches(sizes):
            describe(first, last, result)
    else:
        with ThreadPoolExecutor(threads) as workers:
            list(workers.map(lambda batch: describe(batch[0], batch[1], result), _batches(sizes)))
    return result


def _as_table(result: Floats) -> pa.Table:
    columns: dict[str, Any] = dict(zip(STATISTICS, result, strict=True))
    columns["count"] = columns["count"].astype(np.int32)
    return pa.table(columns)


def _batches(sizes: Ints) -> Iterator[tuple[int, int]]:
    """First and last + 1 of consecutive parcels that hold about BATCH pixels together, at least one parcel."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + BATCH, side="right")), first + 1)
        yield first, last
        first = last
