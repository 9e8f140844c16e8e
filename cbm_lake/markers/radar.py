"""Compiled loops over the coherence of all parcels: rises after a cut, dips where the soil was worked."""

from __future__ import annotations

import numpy as np

from cbm_lake.markers.kernels import FIELDS, MOST, Array, Found, add, sureness
from cbm_lake.zonal.compiled import compiled


@compiled
def _expected(day: Array, value: Array, begin: int, end: int) -> tuple[float, float]:
    """The line through values at the last of their days, and the deviation of the values from it."""
    x, y = day[begin:end] - day[end - 1] + 0.0, value[begin:end] + 0.0
    middle = x.mean()
    slope = ((x - middle) * (y - y.mean())).sum() / ((x - middle) ** 2).sum()
    level = y.mean() - slope * middle
    return level, np.sqrt(((y - level - slope * x) ** 2).mean())


@compiled
def rises(
    offsets: Array, day: Array, value: Array, samples: int, factor: float, floor: float, least: float, before: int
) -> Found:
    """Values that stand out above the line through those before: value_1 the rise, value_2 in deviations.

    The rule of a constant rate of false alarms: `factor` deviations, no smaller than `floor`, and at least `least`.
    The image of a day says what happened in the `before` days up to it.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        for place in range(offsets[parcel] + samples, offsets[parcel + 1]):
            level, deviation = _expected(day, value, place - samples, place)
            rise = value[place] - level
            times = rise / max(deviation, floor)
            if rise >= least and times > factor:
                start, end = day[place - 1] - before, day[place]
                event = np.array([start, (start + end) / 2, end, rise, times, np.nan, sureness(times, factor)])
                add(rows, count, parcel, 10.0, event)
    return rows, count


@compiled
def _around(day: Array, value: Array, begin: int, end: int, place: int, days: int) -> float:
    """The median of the values of `days` before and after one, without it; NaN where there are fewer than three."""
    first, last = place, place
    while first > begin and day[place] - day[first - 1] <= days:
        first -= 1
    while last + 1 < end and day[last + 1] - day[place] <= days:
        last += 1
    if last - first < 3:
        return np.nan
    return float(np.median(np.concatenate((value[first:place], value[place + 1 : last + 1]))))


@compiled
def dips(offsets: Array, day: Array, value: Array, change: float, days: int, before: int) -> Found:
    """Values that lie `change` below the median of those `days` before and after: value_3 the dip, no other values.

    Of dips that are less than 9 days from each other, which two orbits see of one work, the deepest.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        for place in range(begin, end):
            dip = _around(day, value, begin, end, place, days) - value[place]
            if dip >= change:
                main = day[place] - before / 2
                event = np.array([day[place] - before, main, day[place], dip, np.nan, dip, sureness(dip, change)])
                add(rows, count, parcel, 9.0, event)
        rows[parcel, :, 3] = np.nan  # only to choose the deepest by
    return rows, count


@compiled
def confirm(rows: Array, count: Array, others: Array, other_count: Array, days: float) -> Array:
    """For each event whether another stands within `days` of its bounds; value_3 and confidence grow by the nearest."""
    sure = np.zeros(rows.shape[:2], np.bool_)
    for parcel in range(len(rows)):
        for number in range(count[parcel]):
            event, nearest = rows[parcel, number], days + 0.5
            for other in others[parcel, : other_count[parcel]]:
                away = max(event[0] - other[1], other[1] - event[2], 0.0)
                if away < nearest:
                    nearest = away
                    event[5] = other[3]
                    sure[parcel, number] = True
            if sure[parcel, number]:
                event[6] = 1 - (1 - event[6]) / 2
    return sure


@compiled
def unseen(
    offsets: Array,
    day: Array,
    value: Array,
    rows: Array,
    count: Array,
    first: int,
    last: int,
    high: float,
    low: float,
    blind: int,
) -> Found:
    """The rises of coherence that fall into `blind` or more days without NDVI; value_3 the rise, no other values.

    The NDVI before must be at least `high`, the one after at least `low`: what stood there stands again. Half as sure
    as the rise: rain and frost make coherence rise too.
    """
    result = np.full(rows.shape, np.nan)
    found = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        begin, end = offsets[parcel], offsets[parcel + 1]
        for event in rows[parcel, : count[parcel]]:
            after = begin + np.searchsorted(day[begin:end], event[1])
            if after in (begin, end) or not first <= event[1] <= last:
                continue
            if day[after] - day[after - 1] >= blind and value[after - 1] >= high and value[after] >= low:
                cut = np.array([event[0], event[1], event[2], np.nan, np.nan, event[3], event[6] / 2])
                result[parcel, found[parcel]] = cut
                found[parcel] += 1
    return result, found
