"""Compiled loops over the series of all parcels: what no library does for ragged arrays at once.

Every kernel that finds events gives an array (parcels, MOST, FIELDS) and how many of each parcel's rows count.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cbm_lake.zonal.compiled import compiled

Array = npt.NDArray[Any]
Found = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

MOST: Final = 12
"""Events of one kind that a parcel can have; what comes later is not kept."""
FIELDS: Final = ("start", "main", "end", "value_1", "value_2", "value_3", "confidence")
"""Days since 1970-01-01 of an event's bounds and of its best estimate, three values, and how sure it is."""


@compiled
def medians(offsets: Array, value: Array) -> Array:
    """The median of each parcel's values that are numbers; NaN where there is none."""
    result = np.full(len(offsets) - 1, np.nan, np.float32)
    for parcel in range(len(result)):
        part = value[offsets[parcel] : offsets[parcel + 1]]
        part = part[~np.isnan(part)]
        if len(part):
            result[parcel] = np.median(part)
    return result


@compiled
def longest_gap(offsets: Array, day: Array, first: int, last: int) -> Array:
    """The most days from one value of a parcel to the next; `first` and `last` count as values."""
    result = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(result)):
        before = first
        for place in range(offsets[parcel], offsets[parcel + 1]):
            result[parcel] = max(result[parcel], day[place] - before)
            before = day[place]
        result[parcel] = max(result[parcel], last - before)
    return result


@compiled
def unspiked(offsets: Array, day: Array, value: Array, depth: float, regain: float, days: int) -> Array:
    """Which values are no low spike: a fall of at least `depth` of which the share `regain` is back after `days`."""
    keep = np.ones(len(value), np.bool_)
    for parcel in range(len(offsets) - 1):
        for place in range(offsets[parcel] + 1, offsets[parcel + 1] - 1):
            fall = value[place - 1] - value[place]
            back = value[place + 1] - value[place]
            soon = day[place + 1] - day[place] <= days
            if soon and keep[place - 1] and fall >= depth and back >= regain * fall:
                keep[place] = False
    return keep


@compiled
def _foot(day: Array, value: Array, top: int, end: int, window: int) -> int:
    """Where a fall that begins at `top` ends, as long as it goes on, at most `window` days; `top` where none does."""
    foot = top
    while foot + 1 < end and value[foot + 1] < value[foot] and (foot == top or day[foot + 1] - day[top] <= window):
        foot += 1
    return foot


@compiled
def _steepest(value: Array, top: int, foot: int) -> int:
    """The place from which the largest single step of a fall goes down."""
    best = top
    for place in range(top, foot):
        if value[place] - value[place + 1] > value[best] - value[best + 1]:
            best = place
    return best


@compiled
def _regained(day: Array, value: Array, foot: int, end: int, days: int) -> float:
    """How much higher than the foot the highest value of the days after it is; NaN where there is no value."""
    highest = np.nan
    place = foot + 1
    while place < end and day[place] - day[foot] <= days:
        if not value[place] <= highest:
            highest = value[place]
        place += 1
    return float(highest - value[foot])


@compiled
def add(rows: Array, count: Array, parcel: int, apart: float, event: Array) -> None:
    """Keep an event; of two that are less than `apart` days from each other the one with the greater value_1."""
    number = count[parcel]
    if number and event[1] - rows[parcel, number - 1, 1] < apart:
        if event[3] > rows[parcel, number - 1, 3]:
            rows[parcel, number - 1] = event
    elif number < rows.shape[1]:
        rows[parcel, number] = event
        count[parcel] += 1


@compiled
def sureness(value: float, threshold: float) -> float:
    """From 0.5 at the threshold towards 1: half of what is missing for each threshold's worth more."""
    return float(1 - 0.5 * 0.5 ** ((value - threshold) / threshold))


@compiled
def falls(
    offsets: Array,
    day: Array,
    value: Array,
    first: int,
    last: int,
    drop: float,
    high: float,
    window: int,
    regain: float,
    regrowth: int,
    apart: int,
) -> Found:
    """Falls of the NDVI that recover: value_1 the fall, value_2 the share that came back (NaN: not seen), value_3 NaN.

    start and end are the dates between which the steepest step lies, main is the middle.
    """
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
                sure = sureness(fall, drop) * (0.7 if np.isnan(back) else 1.0)
                if not back < regain and first <= main <= last:
                    event = np.array([day[step], main, day[step + 1], fall, back, np.nan, sure])
                    add(rows, count, parcel, apart, event)
            top = max(foot, top + 1)
    return rows, count


@compiled
def runs(offsets: Array, day: Array, value: Array, low: float, high: float, days: int) -> Found:
    """Times in which values are in [low, high): value_1 the largest, value_2 the mean, value_3 how many.

    start and end are where the straight line to the neighbour crosses the bound; main is the day of the largest value.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        place = begin
        while place < end:
            stop = place
            while stop < end and low <= value[stop] < high:
                stop += 1
            if stop > place:
                start = _crossing(day, value, place, place - 1, begin, end, low, high)
                over = _crossing(day, value, stop - 1, stop, begin, end, low, high)
                if over - start >= days:
                    part = value[place:stop]
                    seen = stop - place
                    event = np.array(
                        [start, day[place + np.argmax(part)], over, part.max(), part.mean(), seen, seen / (seen + 1)]
                    )
                    add(rows, count, parcel, 0.0, event)
            place = max(stop, place + 1)
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
def extremes(offsets: Array, day: Array, value: Array) -> Found:
    """The largest value of each parcel, value_1; start and end are the days before and after it.

    The confidence is 1 where these are at most 10 days from it, and 10 / days for the farther one else.
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
