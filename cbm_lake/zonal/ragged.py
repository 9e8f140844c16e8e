"""Compiled kernels of statistics over a pool: the ragged buffer with the pixels of all parcels one after another.

The rows of a result from QUANTILES on have the probabilities of the quantiles on entry, ascending, and the quantiles on
return: one more array to pass down, or a call for each of them, costs a tenth of the time.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numba import types
from numba.extending import overload

from cbm_lake.zonal.compiled import Floats, Ints, Ints32, Number, Pixels, compiled

LOOK_AHEAD = 32
"""Prefetch distance in spans."""

BINS = 1024
"""Maximum number of bins counted for percentiles; only bins that contain one of them are then sorted."""

EXACT = 4096
"""Integers in so narrow a range are counted one by one instead: then their percentiles are read off, not sorted."""

SPARSE = 16
"""Maximum ratio of integers in the range to values for counting, as clearing would take too long."""

GROUP = 32
"""So many counts are summed, so that reading percentiles off steps over them at once."""

SMALL = 24
"""Maximum number of pixels of parcels that are sorted directly."""

QUANTILES = 5
"""Row of the result at which quantiles begin, behind count, mean, standard deviation, minimum and maximum."""


@compiled
def collect(pixels: Pixels, start: Ints, length: Ints32, pool: Pixels) -> np.int64:
    """Copy spans from the flattened raster into the pool one after another; the number returned is of no use."""
    end, touched = np.uint64(0), np.int64(0)
    for i in range(len(start)):
        # reading both ends of a later span lets the memory fetch many rows side by side: twice as fast
        later = min(i + LOOK_AHEAD, len(start) - 1)
        touched += np.int64(pixels[start[later]]) + np.int64(pixels[start[later] + length[later] - 1])
        # unsigned indices: numba need not look for negative ones
        first, number = np.uint64(start[i]), np.uint64(length[i])
        for k in range(number):
            pool[end + k] = pixels[first + k]
        end += number
    return touched


@compiled
def copy_spans(array: Pixels, row: Ints32, col: Ints32, length: Ints32, pool: Pixels) -> None:
    """Copy the pixels of all spans from the raster into the pool."""
    end = 0
    for i in range(len(row)):
        for k in range(length[i]):
            pool[end + k] = array[row[i], col[i] + k]
        end += length[i]


@compiled
def count_class(pool: Pixels, offsets: Ints, value: int, number: Ints32) -> None:
    """Count the pixels of one class in every parcel."""
    for parcel in range(len(offsets) - 1):
        values = pool[offsets[parcel] : offsets[parcel + 1]]
        total = np.int32(0)
        for i in range(len(values)):
            total += np.int32(values[i] == value)
        number[parcel] = total


@compiled
def describe(pool: Pixels, offsets: Ints, missing: tuple[bool, bool, Number], result: Floats) -> None:
    """Write the summary of the pool's parcels, and behind it their quantiles, to the columns of `result`."""
    real, has_nodata, nodata = missing
    longest = 0
    for parcel in range(len(offsets) - 1):
        longest = max(longest, offsets[parcel + 1] - offsets[parcel])
    valid, candidates = np.empty(longest, pool.dtype), np.empty(longest, pool.dtype)
    counts = np.empty(EXACT + EXACT // GROUP, np.int32)
    for parcel in range(len(offsets) - 1):
        values = pool[offsets[parcel] : offsets[parcel + 1]]
        low, high = _extremes(values, nodata)
        # of integers only nodata is missing, and it lies outside low..high as a rule; NaN hides from a comparison
        if real or (has_nodata and low <= nodata <= high):
            values = valid[: _compact(values, has_nodata, nodata, valid)]
            low, high = _extremes(values, nodata)
        _summarise(values, low, high, candidates, counts, result[:, parcel])


@compiled
def _extremes(values: Pixels, otherwise: Number) -> tuple[Number, Number]:
    """The least and the greatest value, or something else where there is none."""
    low = high = values[0] if len(values) else otherwise
    for i in range(len(values)):  # by index, here and below: of `for value in values` numba makes no vector code
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high


@compiled
def _compact(values: Pixels, has_nodata: bool, nodata: Number, valid: Pixels) -> int:
    """Copy the values that are neither nodata nor NaN; their number."""
    number = 0
    for i in range(len(values)):
        if not ((has_nodata and values[i] == nodata) or math.isnan(values[i])):
            valid[number] = values[i]
            number += 1
    return number


@compiled
def _summarise(values: Pixels, low: Number, high: Number, candidates: Pixels, counts: Ints32, result: Floats) -> None:
    """Write all statistics of one parcel's values; `candidates` and `counts` are room to work in."""
    result[0] = len(values)
    if len(values) == 0:
        result[1:] = np.nan
        return
    result[3], result[4] = low, high
    result[1], result[2] = _moments(values, low, high)
    if low == high:
        result[QUANTILES:] = low
    elif len(values) <= SMALL:
        candidates[: len(values)] = values
        _sort(candidates, len(values))
        for k in range(QUANTILES, len(result)):
            result[k] = _at(candidates, (len(values) - 1) * result[k])
    elif len(result) > QUANTILES:
        _quantiles(values, low, high, candidates, counts, result)


def _moments(values: Pixels, low: Number, high: Number) -> tuple[float, float]:
    """Mean and population standard deviation; compiled as one of the two functions below, by dtype."""
    raise NotImplementedError


@overload(_moments)
def _choose_moments(values: Pixels, low: Number, high: Number) -> Callable[..., tuple[float, float]]:
    return _exact_moments if isinstance(values.dtype, types.Integer) else _two_pass_moments


def _exact_moments(values: Pixels, low: Number, high: Number) -> tuple[float, float]:
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


def _two_pass_moments(values: Pixels, low: Number, high: Number) -> tuple[float, float]:
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


def _bins(low: Number, high: Number, number: int) -> tuple[Number, Number, bool]:
    """The step that `_bin` needs to put so many values from low to high into bins, the number of bins, and whether
    every bin holds equal values only."""
    raise NotImplementedError


@overload(_bins)
def _choose_bins(low: Number, high: Number, number: int) -> Callable[..., tuple[Number, Number, bool]]:
    return _integer_bins if isinstance(low, types.Integer) else _real_bins


def _integer_bins(low: Number, high: Number, number: int) -> tuple[Number, Number, bool]:
    """The step is the number of bits by which values above the minimum are shifted."""
    span = np.int64(high) - np.int64(low)
    if span < EXACT and span <= SPARSE * number:
        return 0, span + 1, True
    shift = 1
    while span >> shift >= min(BINS, number):
        shift += 1
    return shift, (span >> shift) + 1, False


def _real_bins(low: Number, high: Number, number: int) -> tuple[Number, Number, bool]:
    """The step is the factor by which values above the minimum are multiplied.

    There is one bin where they span too much or too little.
    """
    most = min(BINS, number)
    scale = (most - 1) / (high - low)
    usable = 0.0 < scale < np.inf
    return scale if usable else 0.0, most if usable else 1, False


def _bin(value: Number, low: Number, step: Number) -> np.int64 | np.uint64:
    """The bin of a value."""
    raise NotImplementedError


@overload(_bin)
def _choose_bin(value: Number, low: Number, step: Number) -> Callable[..., np.int64 | np.uint64]:
    return _integer_bin if isinstance(value, types.Integer) else _real_bin


def _integer_bin(value: Number, low: Number, step: Number) -> np.uint64:
    above = np.int64(value) - np.int64(low)
    return np.uint64(above >> np.int64(step))  # unsigned: numba need not look for a negative index


def _real_bin(value: Number, low: Number, step: Number) -> np.int64:
    return np.int64((value - low) * step) if step > 0.0 else np.int64(0)


@compiled
def _at(ordered: Pixels, position: float) -> float:
    """The value at a position among sorted values, interpolated linearly, as numpy's default does."""
    rank = np.int64(position)
    share = position - rank
    below = np.float64(ordered[rank])
    return below if share == 0.0 else below + (np.float64(ordered[rank + 1]) - below) * share


@compiled
def _quantiles(values: Pixels, low: Number, high: Number, candidates: Pixels, counts: Ints32, result: Floats) -> None:
    """Write the quantiles: count values in bins, then sort only the values of bins that hold a quantile."""
    step, bins, exact = _bins(low, high, len(values))
    if exact:
        groups = (bins - 1) // GROUP + 1
        _count_exactly(values, low, counts[: groups * GROUP], counts[EXACT : EXACT + groups])
        _read_quantiles(counts[:EXACT], counts[EXACT:], len(values), low, result)
        return
    counts[:bins] = 0
    for i in range(len(values)):
        counts[_bin(values[i], low, step)] += 1
    _mark_bins(counts, len(values), result)
    number = 0
    for i in range(len(values)):
        candidates[number] = values[i]
        number += counts[_bin(values[i], low, step)] < 0
    _sort(candidates, number)
    for k in range(QUANTILES, len(result)):
        result[k] = _at(candidates, result[k])


@compiled
def _count_exactly(values: Pixels, low: Number, counts: Ints32, groups: Ints32) -> None:
    """Count how often each integer from low on occurs, and the sums of GROUP such counts."""
    counts[:] = 0
    groups[:] = 0
    for i in range(len(values)):
        above = np.uint64(np.int64(values[i]) - np.int64(low))
        counts[above] += 1
        groups[above // np.uint64(GROUP)] += 1


@compiled
def _read_quantiles(counts: Ints32, groups: Ints32, number: int, low: Number, result: Floats) -> None:
    """Write the quantiles of so many integers from the counts of each from low on."""
    group, before = 0, 0
    for k in range(QUANTILES, len(result)):
        position = (number - 1) * result[k]
        rank = np.int64(position)
        share = position - rank
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
        result[k] = low + (current + (after - current) * share)


@compiled
def _mark_bins(counts: Ints32, number: int, result: Floats) -> None:
    """Make the counts of bins negative that hold a quantile or the value after it.

    Probabilities become positions among the values in marked bins; what is subtracted are whole numbers, so no digit
    of a position is lost. Where the bin of the value after a quantile is passed already, the next quantile may be in
    the one before: all values between are in marked bins, so its position is right.
    """
    current, before, marked = 0, 0, 0
    for k in range(QUANTILES, len(result)):
        position = (number - 1) * result[k]
        rank = np.int64(position)
        for after in range(1 if position == rank else 2):
            size = abs(counts[current])
            while before + size <= rank + after:
                before += size
                marked += size if counts[current] < 0 else 0
                current += 1
                size = abs(counts[current])
            counts[current] = -size
            if not after:
                result[k] = position - (before - marked)
