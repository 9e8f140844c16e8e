"""Statistics of the pixels of every parcel: count, mean, std, min, max, p25, p50, p75, and counts per class.

The default rule is that of rasterstats: a pixel belongs to a parcel when its centre is inside. Polygons are turned
into an index once per parcel set and grid (`build_index`); statistics of a band are then one pass over the
parcels' pixels (`statistics`), or over a pool that was gathered block by block (`pool_statistics`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine
from numba import types
from numba.extending import overload

from cbm_lake.errors import InvalidInputError, of_extra
from cbm_lake.spans import (
    Block,
    BlockPlan,
    Floats,
    Ints,
    Ints32,
    Pixels,
    SpanIndex,
    build_index,
    check_unrotated,
    compiled,
    frozen,
    polygon_parts,
)

__all__ = [
    "STATISTICS",
    "Block",
    "BlockPlan",
    "SpanIndex",
    "build_index",
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

LOOK_AHEAD = 32
"""So many spans before its turn a span is read for the first time."""

BINS = 1024
"""At most so many bins are counted for percentiles; then only bins that hold one of them are sorted."""

EXACT = 4096
"""Integers in so narrow a range are counted one by one instead: then their percentiles are read off, not sorted."""

SPARSE = 16
"""Unless the range has more than so many times as many integers as there are values: clearing would take too long."""

GROUP = 32
"""So many counts are summed, so that reading percentiles off steps over them at once."""

SMALL = 24
"""Parcels of so many pixels or fewer are sorted outright."""

KINDS = {
    "uint8": np.uint16,
    "uint16": np.uint16,
    "int16": np.int32,
    "int32": np.int32,
    "float32": np.float64,
    "float64": np.float64,
}
"""What pixels are widened to for the statistics: three kinds to compile instead of six."""


def statistics(index: SpanIndex, array: Pixels, nodata: float | None = 0, *, threads: int = 1) -> pa.Table:
    """Statistics of every parcel in a band, in the index's order; NaN where no pixel counts.

    Args:
        index: the parcels on the array's grid.
        array: the band, 2-D, uint8, uint16, int16, int32, float32 or float64.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        threads: how many threads share the work.
    """
    kind = _kind(_on_grid(index, array))
    missing = _missing(nodata, kind)
    visit = index.visit
    pixels = frozen(array).reshape(-1)
    ends = index.pixel_offsets
    sizes = (ends[1:] - ends[:-1])[visit.order]

    def describe(first: int, last: int, result: Floats) -> None:
        offsets = np.zeros(last - first + 1, np.int64)
        np.cumsum(sizes[first:last], out=offsets[1:])
        pool: Pixels = np.empty(int(offsets[-1]), kind)
        spans = slice(visit.offsets[first], visit.offsets[last])
        _collect(pixels, visit.start[spans], visit.length[spans], pool)
        _describe(frozen(pool), frozen(offsets), missing, result[:, first:last])

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
    missing = _missing(nodata, kind)

    def describe(first: int, last: int, result: Floats) -> None:
        part: Pixels = pool[offsets[first] : offsets[last]].astype(kind, copy=False)
        ends = offsets[first : last + 1] - offsets[first]
        _describe(frozen(part), frozen(ends), missing, result[:, first:last])

    return _as_table(_filled(describe, np.diff(offsets), threads))


def histogram(index: SpanIndex, array: Pixels, classes: Sequence[int] = SCL_CLASSES) -> pa.Table:
    """The number of pixels of each class in every parcel: one int32 column per class, named by its number."""
    _on_grid(index, array)
    pool = np.empty(index.pixel_count, array.dtype)
    _copy_spans(frozen(array), frozen(index.row), frozen(index.col), frozen(index.length), pool)
    return pool_histogram(pool, index.pixel_offsets, classes)


def pool_histogram(pool: Pixels, offsets: Ints, classes: Sequence[int] = SCL_CLASSES) -> pa.Table:
    """The number of pixels of each class in every parcel, as `histogram` gives them, from the pool of its pixels."""
    _of_length(pool, offsets)
    if pool.dtype.kind not in "ui" or pool.dtype.itemsize > 4 or pool.dtype == np.uint32:
        raise InvalidInputError(f"classes cannot be counted in {pool.dtype}: give an integer array up to int32")
    counts = np.zeros((len(classes), len(offsets) - 1), np.int32)
    for number, wanted in zip(counts, classes, strict=True):
        _count_class(frozen(pool), frozen(offsets), wanted, number)
    return pa.table({str(wanted): number for wanted, number in zip(classes, counts, strict=True)})


def zonal_stats(
    geometries: Any, array: Pixels, transform: Affine, nodata: float | None = 0, method: str = "centre"
) -> pa.Table:
    """Statistics of the pixels of every geometry, one row each in the order given.

    Args:
        geometries: as for `build_index`, in the coordinate system of the raster.
        array: the band, 2-D.
        transform: from (column, row) to map coordinates, without rotation.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        method: "centre": pixels whose centre is inside, as rasterstats; "coverage": pixels weighted by the share
            that is inside, as exactextract.
    """
    if method == "coverage":
        return coverage_statistics(geometries, array, transform, nodata)
    if method != "centre":
        raise InvalidInputError(f"there is no method {method!r}: choose 'centre' or 'coverage'")
    return statistics(build_index(geometries, transform, _two_dimensional(array).shape), array, nodata)


def coverage_statistics(geometries: Any, array: Pixels, transform: Affine, nodata: float | None = 0) -> pa.Table:
    """Statistics weighted by the share of each pixel inside the geometry; count is the sum of shares (float64).

    Args:
        geometries: as for `build_index`, in the coordinate system of the raster.
        array: the band, 2-D.
        transform: from (column, row) to map coordinates, without rotation.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
    """
    with of_extra("exact", "the method 'coverage'"):
        import exactextract
    import shapely

    raster = _coverage_raster(_two_dimensional(array), transform, nodata)
    polygons, owner, number = polygon_parts(geometries)
    columns = np.full((len(STATISTICS), number), np.nan)
    columns[0] = 0.0
    if len(polygons):
        features = [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
            for shape in shapely.multipolygons(polygons, indices=np.unique(owner, return_inverse=True)[1])
        ]
        found = exactextract.exact_extract(raster, features, list(COVERAGE_OPERATIONS), output="pandas")
        columns[:, np.unique(owner)] = found[list(COVERAGE_OPERATIONS.values())].to_numpy(np.float64).T
    return pa.table(dict(zip(STATISTICS, columns, strict=True)))


def _coverage_raster(array: Pixels, transform: Affine, nodata: float | None) -> Any:
    """The array as exactextract reads it: north up, and as floats, for it cuts percentiles of integers to integers."""
    from exactextract.raster import NumPyRasterSource

    check_unrotated(transform)
    kind = _kind(array)
    _, has_nodata, value = _missing(nodata, kind)
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


def _kind(array: Pixels) -> type:
    """The dtype in which statistics of this array are taken."""
    if array.dtype.name not in KINDS:
        raise InvalidInputError(
            f"statistics of {array.dtype} are not provided: convert it to one of {', '.join(KINDS)}"
        )
    return KINDS[array.dtype.name]


def _missing(nodata: float | None, kind: type) -> tuple[bool, bool, Any]:
    """Whether NaN can occur among values of a kind, whether nodata can, and nodata as such a value."""
    real = kind is np.float64
    if nodata is None or math.isnan(nodata):
        return real, False, kind(0)
    if real:
        return True, True, kind(nodata)
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


# Kernels. They work on a pool: the pixels of one parcel after those of another.


@compiled
def _collect(pixels: Pixels, start: Ints, length: Ints32, pool: Pixels) -> Any:
    """Copy spans from the flattened raster into the pool one after another; the number returned is of no use."""
    place, touched = np.uint64(0), np.int64(0)
    for i in range(len(start)):
        # reading both ends of a later span lets the memory fetch many rows side by side: twice as fast
        later = min(i + LOOK_AHEAD, len(start) - 1)
        touched += np.int64(pixels[start[later]]) + np.int64(pixels[start[later] + length[later] - 1])
        # unsigned indices: numba need not look for negative ones
        first, number = np.uint64(start[i]), np.uint64(length[i])
        for k in range(number):
            pool[place + k] = pixels[first + k]
        place += number
    return touched


@compiled
def _copy_spans(array: Pixels, row: Ints32, col: Ints32, length: Ints32, pool: Pixels) -> None:
    """Copy the pixels of all spans from the raster into the pool."""
    place = 0
    for i in range(len(row)):
        for k in range(length[i]):
            pool[place + k] = array[row[i], col[i] + k]
        place += length[i]


@compiled
def _count_class(pool: Pixels, offsets: Ints, wanted: int, number: Ints32) -> None:
    """Count the pixels of one class in every parcel."""
    for parcel in range(len(offsets) - 1):
        values = pool[offsets[parcel] : offsets[parcel + 1]]
        total = np.int32(0)
        for i in range(len(values)):
            total += np.int32(values[i] == wanted)
        number[parcel] = total


@compiled
def _describe(pool: Pixels, offsets: Ints, missing: tuple[bool, bool, Any], result: Floats) -> None:
    """Write the statistics of the pool's parcels to the columns of `result`."""
    real, has_nodata, nodata = missing
    longest = 0
    for parcel in range(len(offsets) - 1):
        longest = max(longest, offsets[parcel + 1] - offsets[parcel])
    valid, chosen = np.empty(longest, pool.dtype), np.empty(longest, pool.dtype)
    counts = np.empty(EXACT + EXACT // GROUP, np.int32)
    for parcel in range(len(offsets) - 1):
        values = pool[offsets[parcel] : offsets[parcel + 1]]
        low, high = _extremes(values, nodata)
        # of integers only nodata is missing, and it lies outside low..high as a rule; NaN hides from a comparison
        if real or (has_nodata and low <= nodata <= high):
            values = valid[: _compact(values, has_nodata, nodata, valid)]
            low, high = _extremes(values, nodata)
        _summarise(values, low, high, chosen, counts, result[:, parcel])


@compiled
def _extremes(values: Pixels, otherwise: Any) -> tuple[Any, Any]:
    """The least and the greatest value, or something else where there is none."""
    low = high = values[0] if len(values) else otherwise
    for i in range(len(values)):  # by index, here and below: of `for value in values` numba makes no vector code
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high


@compiled
def _compact(values: Pixels, has_nodata: bool, nodata: Any, valid: Pixels) -> int:
    """Copy the values that are neither nodata nor NaN; their number."""
    number = 0
    for i in range(len(values)):
        if not ((has_nodata and values[i] == nodata) or math.isnan(values[i])):
            valid[number] = values[i]
            number += 1
    return number


@compiled
def _summarise(values: Pixels, low: Any, high: Any, chosen: Pixels, counts: Ints32, result: Floats) -> None:
    """Write all statistics of one parcel's values; `chosen` and `counts` are room to work in."""
    result[0] = len(values)
    if len(values) == 0:
        result[1:] = np.nan
        return
    result[3], result[4] = low, high
    result[1], result[2] = _moments(values, low, high)
    if low == high:
        result[5:] = low
    elif len(values) <= SMALL:
        chosen[: len(values)] = values
        _sort(chosen, len(values))
        for k in range(3):
            rank, share = _place(len(values), k)
            result[5 + k] = _between(chosen, rank, share)
    else:
        _quartiles(values, low, high, chosen, counts, result)


def _moments(values: Pixels, low: Any, high: Any) -> tuple[float, float]:
    """Mean and population standard deviation; compiled as one of the two functions below, by dtype."""
    raise NotImplementedError


@overload(_moments)
def _choose_moments(values: Pixels, low: Any, high: Any) -> Callable[..., tuple[float, float]]:
    return _exact_moments if isinstance(values.dtype, types.Integer) else _two_pass_moments


def _exact_moments(values: Pixels, low: Any, high: Any) -> tuple[float, float]:
    """Mean and standard deviation from integer sums about the minimum, exact until the last division."""
    number = len(values)
    if np.float64(np.int64(high) - np.int64(low)) ** 2 * number >= 2.0**63:
        return _float_moments(values)
    base = np.int64(low)
    total, squares = np.int64(0), np.int64(0)
    for i in range(number):
        above = np.int64(values[i]) - base
        total += above
        squares += above * above
    mean = total / number
    # at least one value is 0 above the minimum, so the difference loses at most a share number * 2**-53
    return base + mean, math.sqrt(max(squares / number - mean * mean, 0.0))


def _two_pass_moments(values: Pixels, low: Any, high: Any) -> tuple[float, float]:
    return _float_moments(values)


@compiled
def _float_moments(values: Pixels) -> tuple[float, float]:
    """Mean and standard deviation in float64, first the mean, then the squares about it."""
    number = len(values)
    total = 0.0
    for i in range(number):
        total += values[i]
    mean = total / number
    squares = 0.0
    for i in range(number):
        squares += (values[i] - mean) ** 2
    return mean, math.sqrt(squares / number)


@compiled
def _sort(values: Pixels, number: int) -> None:
    """Sort the first values in place: by insertion when few, else a Shell sort."""
    gap = 1
    while number > 3 * SMALL and gap < number // 3:
        gap = 3 * gap + 1
    while gap:
        for i in range(gap, number):
            value = values[i]
            k = i
            while k >= gap and values[k - gap] > value:
                values[k] = values[k - gap]
                k -= gap
            values[k] = value
        gap //= 3


def _bins(low: Any, high: Any, number: int) -> tuple[Any, int, bool]:
    """The step that `_bin` needs to put so many values from low to high into bins, the number of bins, and whether
    every bin holds equal values only."""
    raise NotImplementedError


@overload(_bins)
def _choose_bins(low: Any, high: Any, number: int) -> Callable[..., tuple[Any, int, bool]]:
    return _integer_bins if isinstance(low, types.Integer) else _real_bins


def _integer_bins(low: Any, high: Any, number: int) -> tuple[int, Any, bool]:
    """The step is the number of bits by which values above the minimum are shifted."""
    span = np.int64(high) - np.int64(low)
    if span < EXACT and span <= SPARSE * number:
        return 0, span + 1, True
    shift = 1
    while span >> shift >= min(BINS, number):
        shift += 1
    return shift, (span >> shift) + 1, False


def _real_bins(low: Any, high: Any, number: int) -> tuple[float, int, bool]:
    """The step is the factor by which values above the minimum are multiplied.

    There is one bin where they span too much or too little.
    """
    most = min(BINS, number)
    scale = (most - 1) / (high - low)
    usable = 0.0 < scale < np.inf
    return scale if usable else 0.0, most if usable else 1, False


def _bin(value: Any, low: Any, step: Any) -> int:
    """The bin of a value."""
    raise NotImplementedError


@overload(_bin)
def _choose_bin(value: Any, low: Any, step: Any) -> Callable[..., int]:
    return _integer_bin if isinstance(value, types.Integer) else _real_bin


def _integer_bin(value: Any, low: Any, step: Any) -> Any:
    return np.uint64((np.int64(value) - np.int64(low)) >> step)  # unsigned: numba need not look for a negative index


def _real_bin(value: Any, low: Any, step: Any) -> Any:
    return np.int64((value - low) * step) if step > 0.0 else np.int64(0)


@compiled
def _place(number: int, quartile: int) -> tuple[int, float]:
    """Where quartile 0, 1 or 2 lies among sorted values: the rank below it, and the share of the way to the next."""
    quarters = (number - 1) * (quartile + 1)
    return quarters >> 2, (quarters & 3) * 0.25


@compiled
def _between(ordered: Pixels, rank: int, share: float) -> float:
    """The value at a rank of sorted values, interpolated linearly, as numpy's default does."""
    below = np.float64(ordered[rank])
    return below if share == 0.0 else below + (np.float64(ordered[rank + 1]) - below) * share


@compiled
def _quartiles(values: Pixels, low: Any, high: Any, chosen: Pixels, counts: Ints32, result: Floats) -> None:
    """Write the three quartiles: count values in bins, then sort only the values of bins that hold a quartile."""
    step, bins, exact = _bins(low, high, len(values))
    if exact:
        groups = (bins - 1) // GROUP + 1
        _count_exactly(values, low, counts[: groups * GROUP], counts[EXACT : EXACT + groups])
        _read_quartiles(counts[:EXACT], counts[EXACT:], len(values), low, result)
        return
    counts[:bins] = 0
    for i in range(len(values)):
        counts[_bin(values[i], low, step)] += 1
    places = _mark_bins(counts, len(values))
    number = 0
    for i in range(len(values)):
        chosen[number] = values[i]
        number += counts[_bin(values[i], low, step)] < 0
    _sort(chosen, number)
    for k in range(3):
        result[5 + k] = _between(chosen, places[k], _place(len(values), k)[1])


@compiled
def _count_exactly(values: Pixels, low: Any, counts: Ints32, groups: Ints32) -> None:
    """Count how often each integer from low on occurs, and the sums of GROUP such counts."""
    counts[:] = 0
    groups[:] = 0
    for i in range(len(values)):
        above = np.uint64(np.int64(values[i]) - np.int64(low))
        counts[above] += 1
        groups[above // np.uint64(GROUP)] += 1


@compiled
def _read_quartiles(counts: Ints32, groups: Ints32, number: int, low: Any, result: Floats) -> None:
    """Write the three quartiles of so many integers from the counts of each from low on."""
    group, before = 0, 0
    for k in range(3):
        rank, share = _place(number, k)
        while before + groups[group] <= rank:
            before += groups[group]
            group += 1
        current = group * GROUP
        passed = before + counts[current]
        while passed <= rank:
            current += 1
            passed += counts[current]
        after = current
        if share and passed == rank + 1:  # the next value is another one
            after += 1
            while counts[after] == 0:
                after += 1
        result[5 + k] = low + (current + (after - current) * share)


@compiled
def _mark_bins(counts: Ints32, number: int) -> tuple[int, int, int]:
    """Make the counts of bins negative that hold a quartile or the value after it.

    Returned are the ranks of the three quartiles among the values in marked bins.
    """
    current, before, kept = 0, 0, 0
    places = (0, 0, 0)
    for k in range(3):
        rank, share = _place(number, k)
        for after in range(2 if share else 1):
            size = abs(counts[current])
            while before + size <= rank + after:
                before += size
                kept += size if counts[current] < 0 else 0
                current += 1
                size = counts[current]
            counts[current] = -size
            if not after:
                places = (places[1], places[2], rank - before + kept)
    return places
