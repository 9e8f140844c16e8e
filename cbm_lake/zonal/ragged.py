"""Kernels of statistics. They work on a pool: the pixels of one parcel after those of another."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from cbm_lake.zonal.compiled import Floats, Ints, Ints32, Pixels, compiled

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


@compiled
def collect(pixels: Pixels, start: Ints, length: Ints32, pool: Pixels) -> Any:
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
def copy_spans(array: Pixels, row: Ints32, col: Ints32, length: Ints32, pool: Pixels) -> None:
    """Copy the pixels of all spans from the raster into the pool."""
    place = 0
    for i in range(len(row)):
        for k in range(length[i]):
            pool[place + k] = array[row[i], col[i] + k]
        place += length[i]


@compiled
def count_class(pool: Pixels, offsets: Ints, wanted: int, number: Ints32) -> None:
    """Count the pixels of one class in every parcel."""
    for parcel in range(len(offsets) - 1):
        values = pool[offsets[parcel] : offsets[parcel + 1]]
        total = np.int32(0)
        for i in range(len(values)):
            total += np.int32(values[i] == wanted)
        number[parcel] = total


@compiled
def describe(pool: Pixels, offsets: Ints, missing: tuple[bool, bool, Any], result: Floats) -> None:
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
