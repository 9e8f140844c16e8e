"""Compiled kernels over time series of coherence: rises after mowing, dips caused by tillage."""

from __future__ import annotations

import numpy as np

from cbm_lake.markers.kernels import FIELDS, MOST, Array, EventRows, add, confidence_of
from cbm_lake.zonal.compiled import compiled


@compiled
def _expected(day: Array, value: Array, begin: int, end: int) -> tuple[float, float]:
    """The regression line of the values, evaluated at their last day, and their RMS deviation from it."""
    x, y = day[begin:end] - day[end - 1] + 0.0, value[begin:end] + 0.0
    middle = x.mean()
    slope = ((x - middle) * (y - y.mean())).sum() / ((x - middle) ** 2).sum()
    level = y.mean() - slope * middle
    return level, np.sqrt(((y - level - slope * x) ** 2).mean())


@compiled
def rises(
    offsets: Array, day: Array, value: Array, samples: int, factor: float, floor: float, least: float, before: int
) -> EventRows:
    """Values above the trend of the preceding ones: value_1 the rise, value_2 the rise in deviations.

    A constant false alarm rate (CFAR) rule: `factor` deviations, each at least `floor`, and a rise of at least `least`.
    An image reflects what happened in the `before` days up to it.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        for index in range(offsets[parcel] + samples, offsets[parcel + 1]):
            level, deviation = _expected(day, value, index - samples, index)
            rise = value[index] - level
            times = rise / max(deviation, floor)
            if rise >= least and times > factor:
                start, end = day[index - 1] - before, day[index]
                event = np.array([start, (start + end) / 2, end, rise, times, np.nan, confidence_of(times, factor)])
                add(rows, count, parcel, 10.0, event)
    return rows, count


@compiled
def _around(day: Array, value: Array, begin: int, end: int, index: int, days: int) -> float:
    """The median of the values up to `days` before and after an index, without it; NaN for fewer than three."""
    first, last = index, index
    while first > begin and day[index] - day[first - 1] <= days:
        first -= 1
    while last + 1 < end and day[last + 1] - day[index] <= days:
        last += 1
    if last - first < 3:
        return np.nan
    return float(np.median(np.concatenate((value[first:index], value[index + 1 : last + 1]))))


@compiled
def dips(offsets: Array, day: Array, value: Array, change: float, days: int, before: int) -> EventRows:
    """Values at least `change` below the median of those within `days`: value_3 the dip, no other values.

    Of dips less than 9 days apart, which two orbits observe of one operation, only the deepest counts.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        for index in range(begin, end):
            dip = _around(day, value, begin, end, index, days) - value[index]
            if dip >= change:
                main = day[index] - before / 2
                event = np.array([day[index] - before, main, day[index], dip, np.nan, dip, confidence_of(dip, change)])
                add(rows, count, parcel, 9.0, event)
        rows[parcel, :, 3] = np.nan  # needed only to select the deepest
    return rows, count


@compiled
def confirm(rows: Array, count: Array, others: Array, other_count: Array, days: float) -> Array:
    """Mask of events with another within `days` of their bounds; the nearest sets value_3 and raises the confidence."""
    confirmed = np.zeros(rows.shape[:2], np.bool_)
    for parcel in range(len(rows)):
        for number in range(count[parcel]):
            event, nearest = rows[parcel, number], days + 0.5
            for other in others[parcel, : other_count[parcel]]:
                away = max(event[0] - other[1], other[1] - event[2], 0.0)
                if away < nearest:
                    nearest = away
                    event[5] = other[3]
                    confirmed[parcel, number] = True
            if confirmed[parcel, number]:
                event[6] = 1 - (1 - event[6]) / 2
    return confirmed


@compiled
def unseen(
    offsets: Array, day: Array, value: Array, rows: Array, count: Array, high: float, low: float, blind: int
) -> EventRows:
    """Rises of coherence within gaps of `blind` or more days without NDVI; value_3 the rise, no other values.

    The NDVI before must be at least `high`, the one after at least `low`: the sward has regrown. The confidence is half
    that of the rise, as rain and frost raise coherence too.
    """
    result = np.full(rows.shape, np.nan)
    cut_count = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        begin, end = offsets[parcel], offsets[parcel + 1]
        for event in rows[parcel, : count[parcel]]:
            after = begin + np.searchsorted(day[begin:end], event[1])
            if after in (begin, end):
                continue
            if day[after] - day[after - 1] >= blind and value[after - 1] >= high and value[after] >= low:
                cut = np.array([event[0], event[1], event[2], np.nan, np.nan, event[3], event[6] / 2])
                result[parcel, cut_count[parcel]] = cut
                cut_count[parcel] += 1
    return result, cut_count
