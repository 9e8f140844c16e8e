"""Zonal statistics by the centre rule of rasterstats: a pixel belongs to a parcel when its centre is inside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import pyarrow as pa

from cbm_lake.cards.statistics import STORED
from cbm_lake.errors import InvalidInputError
from cbm_lake.zonal import ragged, values
from cbm_lake.zonal.columns import Columns, Convert
from cbm_lake.zonal.compiled import Floats, Ints, Pixels, frozen
from cbm_lake.zonal.spans import SpanIndex

SCL_CLASSES: Final = range(12)
"""The classes of Sentinel-2's scene classification."""

BATCH: Final = 1 << 17
"""Pixels that are gathered before their statistics are computed, which fit in the processor's L2 cache."""


def statistics(
    index: SpanIndex,
    array: Pixels,
    nodata: float | None = 0,
    *,
    statistics: str | Iterable[str] = STORED,
    threads: int = 1,
) -> pa.Table:
    """Statistics of every parcel in a band, in the index's order; NaN where no pixel counts.

    Args:
        index: the parcels on the array's grid.
        array: the band, 2-D, uint8, uint16, int16, int32, float32 or float64.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        statistics: names of `cbm_lake.cards.STATISTICS`: the columns, in its order. Shares of a parcel are of the whole
            one where the index knows its pixels (`whole`), else of the part inside the array.
        threads: how many threads share the work.

    Raises:
        InvalidInputError: the array has another shape than the index, or a type that is not provided for; or a name is
            no statistic.
    """
    columns = Columns.of(statistics)
    kind, missing = values.kind(_on_grid(index, array)), values.missing(nodata, array)
    visit = index.visit
    pixels = frozen(array).reshape(-1)
    ends = index.pixel_offsets
    sizes = (ends[1:] - ends[:-1])[visit.order]

    def describe(first: int, last: int, results: Floats) -> None:
        offsets = np.zeros(last - first + 1, np.int64)
        np.cumsum(sizes[first:last], out=offsets[1:])
        pool: Pixels = np.empty(int(offsets[-1]), kind)
        spans = slice(visit.offsets[first], visit.offsets[last])
        ragged.collect(pixels, visit.start[spans], visit.length[spans], pool)
        ragged.describe(frozen(pool), frozen(offsets), missing, results[:, first:last])

    results = _filled(describe, sizes, columns.probabilities, threads)
    ordered = np.empty_like(results)
    for row, visited in zip(ordered, results, strict=True):
        row[visit.order] = visited
    return columns.table(ordered, lambda: np.diff(ends) if index.whole is None else index.whole)


def pool_statistics(
    pool: Pixels,
    offsets: Ints,
    nodata: float | None = 0,
    *,
    statistics: str | Iterable[str] = STORED,
    whole: Ints | None = None,
    convert: Convert | None = None,
    threads: int = 1,
) -> pa.Table:
    """Statistics of every parcel from the pool of its pixels, as `statistics` gives them.

    Args:
        pool: pixels, parcel by parcel; see `BlockPlan.gather`.
        offsets: where each parcel's pixels begin, and where the last one's end.
        nodata: the pixel value that does not count; None: all count. NaN never counts.
        statistics: names of `cbm_lake.cards.STATISTICS`: the columns, in its order.
        whole: pixels of each whole parcel, of which shares are; None is those of the pool.
        convert: to the unit of the table, where that is not the raster's; see `Convert`.
        threads: how many threads share the work.

    Raises:
        InvalidInputError: the pool does not end where the offsets do, or has a type that is not provided for; or a name
            is no statistic.
    """
    columns = Columns.of(statistics)
    kind, missing = values.kind(_of_length(pool, offsets)), values.missing(nodata, pool)

    def describe(first: int, last: int, results: Floats) -> None:
        part: Pixels = pool[offsets[first] : offsets[last]].astype(kind, copy=False)
        ends = offsets[first : last + 1] - offsets[first]
        ragged.describe(frozen(part), frozen(ends), missing, results[:, first:last])

    sizes = np.diff(offsets)
    results = _filled(describe, sizes, columns.probabilities, threads)
    return columns.table(results, lambda: sizes if whole is None else whole, convert)


def histogram(index: SpanIndex, array: Pixels, classes: Sequence[int] = SCL_CLASSES) -> pa.Table:
    """The number of pixels of each class in every parcel: one int32 column per class, named by its number."""
    return pool_histogram(pool_of(index, array), index.pixel_offsets, classes)


def pool_of(index: SpanIndex, array: Pixels) -> Pixels:
    """The pool of the pixels of all parcels, from a whole band.

    Raises:
        InvalidInputError: the array has another shape than the index.
    """
    _on_grid(index, array)
    pool = np.empty(index.pixel_count, array.dtype)
    ragged.copy_spans(frozen(array), frozen(index.row), frozen(index.col), frozen(index.length), pool)
    return pool


def pool_histogram(pool: Pixels, offsets: Ints, classes: Sequence[int] = SCL_CLASSES) -> pa.Table:
    """The number of pixels of each class in every parcel, as `histogram` gives them, from the pool of its pixels."""
    _of_length(pool, offsets)
    if pool.dtype.kind not in "ui" or pool.dtype.itemsize > 4 or pool.dtype == np.uint32:
        raise InvalidInputError(f"classes cannot be counted in {pool.dtype}: give an integer array up to int32")
    counts = np.zeros((len(classes), len(offsets) - 1), np.int32)
    for numbers, value in zip(counts, classes, strict=True):
        ragged.count_class(frozen(pool), frozen(offsets), value, numbers)
    return pa.table({str(value): numbers for value, numbers in zip(classes, counts, strict=True)})


def _on_grid(index: SpanIndex, array: Pixels) -> Pixels:
    """The array, checked to have the shape of the index."""
    if array.shape != tuple(index.shape):
        raise InvalidInputError(
            f"the array has shape {array.shape}, but the index was built for {tuple(index.shape)}: build another"
        )
    return array


def _of_length(pool: Pixels, offsets: Ints) -> Pixels:
    """The pool, checked to end where the last parcel does, as kernels do not check bounds."""
    if pool.ndim != 1 or not len(offsets) or len(pool) != offsets[-1]:
        raise InvalidInputError(f"the pool has shape {pool.shape}, which its offsets do not end at: gather it anew")
    return pool


def _filled(describe: Callable[[int, int, Floats], None], sizes: Ints, probabilities: Floats, threads: int) -> Floats:
    """What `describe` writes, batch by batch, float64 of shape (statistics, parcels); sizes are in pixels."""
    results = np.empty((ragged.QUANTILES + len(probabilities), len(sizes)), np.float64)
    results[ragged.QUANTILES :] = probabilities[:, np.newaxis]
    if threads == 1:
        for first, last in _batches(sizes):
            describe(first, last, results)
    else:
        with ThreadPoolExecutor(threads) as workers:
            list(workers.map(lambda batch: describe(batch[0], batch[1], results), _batches(sizes)))
    return results


def _batches(sizes: Ints) -> Iterator[tuple[int, int]]:
    """First and last + 1 of consecutive parcels that have about BATCH pixels together, at least one parcel."""
    ends = np.cumsum(sizes)
    first = 0
    while first < len(sizes):
        done = ends[first - 1] if first else 0
        last = max(int(np.searchsorted(ends, done + BATCH, side="right")), first + 1)
        yield first, last
        first = last
