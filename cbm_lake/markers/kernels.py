"""Compiled kernels over ragged time series: medians, gaps, spikes, falls, runs and extremes of each parcel.

Kernels that detect events return an array (parcels, MOST, FIELDS) and the number of valid rows of each parcel.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cbm_lake.zonal.compiled import compiled

Array = npt.NDArray[Any]
EventRows = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

MOST: Final = 12
"""Maximum number of events of one kind per parcel; later ones are dropped."""
FIELDS: Final = ("start", "main", "end", "value_1", "value_2", "value_3", "confidence")
"""Bounds and best estimate of an event in days since 1970-01-01, three values, and the confidence."""


@compiled
def medians(offsets: Array, value: Array) -> Array:
    """The median of each parcel's values, ignoring NaN; NaN where there is no value."""
    result = np.full(len(offsets) - 1, np.nan, np.float32)
    for parcel in range(len(result)):
        part = value[offsets[parcel] : offsets[parcel + 1]]
        part = part[~np.isnan(part)]
        if len(part):
            result[parcel] = np.median(part)
    return result


@compiled
def most(offsets: Array, value: Array) -> Array:
    """The largest of each parcel's counts; 0 where there is none."""
    result = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(result)):
        for index in range(offsets[parcel], offsets[parcel + 1]):
            result[parcel] = max(result[parcel], value[index])
    return result


@compiled
def longest_gap(offsets: Array, day: Array, first: int, last: int) -> Array:
    """The largest number of days between consecutive values of each parcel; `first` and `last` count as values."""
    result = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(result)):
        before = first
        for index in range(offsets[parcel], offsets[parcel + 1]):
            result[parcel] = max(result[parcel], day[index] - before)
            before = day[index]
        result[parcel] = max(result[parcel], last - before)
    return result


@compiled
def unspiked(offsets: Array, day: Array, value: Array, depth: float, regain: float, days: int) -> Array:
    """Mask without low spikes: falls of at least `depth` of which the share `regain` is recovered within `days`."""
    keep = np.ones(len(value), np.bool_)
    for parcel in range(len(offsets) - 1):
        for index in range(offsets[parcel] + 1, offsets[parcel + 1] - 1):
            fall = value[index - 1] - value[index]
            back = value[index + 1] - value[index]
            soon = day[index + 1] - day[index] <= days
            if soon and keep[index - 1] and fall >= depth and back >= regain * fall:
                keep[index] = False
    return keep


@compiled
def _foot(day: Array, value: Array, top: int, end: int, window: int) -> int:
    """The index where a fall from `top` ends, at most `window` days later; `top` where there is no fall."""
    foot = top
    while foot + 1 < end and value[foot + 1] < value[foot] and (foot == top or day[foot + 1] - day[top] <= window):
        foot += 1
    return foot


@compiled
def _steepest(value: Array, top: int, foot: int) -> int:
    """The index before the largest single step of a fall."""
    best = top
    for index in range(top, foot):
        if value[index] - value[index + 1] > value[best] - value[best + 1]:
            best = index
    return best


@compiled
def _regained(day: Array, value: Array, foot: int, end: int, days: int) -> float:
    """The rise from the foot to the highest value of the following days; NaN where there is no value."""
    highest = np.nan
    index = foot + 1
    while index < end and day[index] - day[foot] <= days:
        if not value[index] <= highest:
            highest = value[index]
        index += 1
    return float(highest - value[foot])


@compiled
def add(rows: Array, count: Array, parcel: int, apart: float, event: Array) -> None:
    """Append an event; of two less than `apart` days apart only the one with the greater value_1 remains."""
    number = count[parcel]
    if number and event[1] - rows[parcel, number - 1, 1] < apart:
        if event[3] > rows[parcel, number - 1, 3]:
            rows[parcel, number - 1] = event
    elif number < rows.shape[1]:
        rows[parcel, number] = event
        count[parcel] += 1


@compiled
def confidence_of(value: float, threshold: float) -> float:
    """Confidence from 0.5 at the threshold towards 1; the remainder halves with each further threshold's worth."""
    return float(1 - 0.5 * 0.5 ** ((value - threshold) / threshold))


Bound = float | npt.NDArray[np.float64]
"""A day since 1970-01-01: the same for all parcels, or one for each (NaN: there is none, which nothing reaches)."""


def per_parcel(bound: Bound, parcels: int) -> Array:
    """A day for each parcel."""
    return np.ascontiguousarray(np.broadcast_to(np.asarray(bound, np.float64), parcels))


def falls(
    offsets: Array,
    day: Array,
    value: Array,
    first: Bound,
    last: Bound,
    drop: float,
    high: float,
    window: int,
    regain: float,
    regrowth: int,
    apart: int,
) -> EventRows:
    """Falls of the NDVI that recover: value_1 the fall, value_2 the share recovered (NaN: not observed), value_3 NaN.

    start and end are the dates between which the steepest step lies, main is the middle, from `first` to `last`.
    """
    begin, over = (per_parcel(bound, len(offsets) - 1) for bound in (first, last))
    return _falls(offsets, day, value, begin, over, drop, high, window, regain, regrowth, apart)


@compiled
def _falls(
    offsets: Array,
    day: Array,
    value: Array,
    first: Array,
    last: Array,
    drop: float,
    high: float,
    window: int,
    regain: float,
    regrowth: int,
    apart: int,
) -> EventRows:
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        top, end = offsets[parcel], offsets[parcel + 1]
        while top < end - 1:
            foot = _foot(day, value, top, end, window)
            fall = value[top] - value[foot]
            if fall >= drop and value[top] >= high:
                step = _steepest(value, top, foot)
                back = _regained(day, value, foot, end, regrowth) / fall
                main = (day[step] + day[step + 1]) / 2
                confidence = confidence_of(fall, drop) * (0.7 if np.isnan(back) else 1.0)
                if not back < regain and first[parcel] <= main <= last[parcel]:
                    event = np.array([day[step], main, day[step + 1], fall, back, np.nan, confidence])
                    add(rows, count, parcel, apart, event)
            top = max(foot, top + 1)
    return rows, count


@compiled
def runs(offsets: Array, day: Array, value: Array, low: float, high: float, days: int, looks: int = 1) -> EventRows:
    """Periods with values in [low, high): value_1 the maximum, value_2 the mean, value_3 the number of values.

    Those of less than `days` days and of fewer than `looks` values are left out.
    start and end are interpolated linearly to where the bound is crossed; main is the day of the maximum.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        index = begin
        while index < end:
            stop = index
            while stop < end and low <= value[stop] < high:
                stop += 1
            if stop > index:
                start = _crossing(day, value, index, index - 1, begin, end, low, high)
                over = _crossing(day, value, stop - 1, stop, begin, end, low, high)
                if over - start >= days and stop - index >= looks:
                    part = value[index:stop]
                    length = stop - index
                    event = np.array(
                        [
                            start,
                            day[index + np.argmax(part)],
                            over,
                            part.max(),
                            part.mean(),
                            length,
                            length / (length + 1),
                        ]
                    )
                    add(rows, count, parcel, 0.0, event)
            index = max(stop, index + 1)
    return rows, count


@compiled
def _crossing(
    day: Array, value: Array, inside: int, outside: int, begin: int, end: int, low: float, high: float
) -> float:
    """The day on which the line from a value in [low, high) to its neighbour outside crosses the bound."""
    if outside < begin or outside >= end:
        return float(day[inside])
    bound = low if value[outside] < low else high
    share = (bound - value[inside]) / (value[outside] - value[inside])
    return float(day[inside] + share * (day[outside] - day[inside]))


@compiled
def extremes(offsets: Array, day: Array, value: Array) -> EventRows:
    """The maximum of each parcel as value_1; start and end are the days of the neighbouring values.

    The confidence is 1 where both are at most 10 days away, otherwise 10 / days to the farther one.
    """
    rows = np.full((len(offsets) - 1, 1, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        if begin < end:
            best = begin + np.argmax(value[begin:end])
            before, after = day[max(best - 1, begin)], day[min(best + 1, end - 1)]
            rows[parcel, 0, :3] = before, day[best], after
            rows[parcel, 0, 3] = value[best]
            rows[parcel, 0, 6] = 10 / max(day[best] - before, after - day[best], 10)
            count[parcel] = 1
    return rows, count


@compiled
def gaps(offsets: Array, day: Array, first: Array, last: Array, days: int) -> EventRows:
    """Periods of at least `days` days without a value from `first` to `last`, which count as values: value_1 the days.

    main is the middle; the confidence is 1, since that nothing was observed is certain.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        before = first[parcel]
        for index in range(offsets[parcel], offsets[parcel + 1] + 1):
            after = min(day[index] + 0.0, last[parcel]) if index < offsets[parcel + 1] else last[parcel]
            if after - before >= days:
                middle = (before + after) / 2
                add(rows, count, parcel, 0.0, np.array([before, middle, after, after - before, np.nan, np.nan, 1.0]))
            before = max(before, after)
    return rows, count
