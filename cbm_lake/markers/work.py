"""Compiled kernels that detect field operations (harvest, ploughing, sowing) in NDVI and coherence, and join events."""

from __future__ import annotations

import numpy as np

from cbm_lake.markers.kernels import FIELDS, MOST, Array, Bound, EventRows, add, confidence_of, per_parcel
from cbm_lake.zonal.compiled import compiled


@compiled
def _lowest(day: Array, value: Array, begin: int, end: int, after: float, until: float) -> float:
    """The minimum of the values after day `after`, up to day `until`; NaN where there is none."""
    lowest = np.nan
    for index in range(begin, end):
        if after < day[index] <= until and not value[index] >= lowest:
            lowest = value[index]
    return lowest


@compiled
def _highest(day: Array, value: Array, index: int, end: int, days: int) -> float:
    """The maximum of the values up to `days` after an index; NaN where there is none."""
    highest = np.nan
    for other in range(index + 1, end):
        if day[other] - day[index] <= days and not value[other] <= highest:
            highest = value[other]
    return highest


def between(rows: Array, count: Array, first: Bound, last: Bound, field: int = 1) -> EventRows:
    """The events whose main day (or the one of another field) lies between two days, inclusive."""
    begin, end = (per_parcel(bound, len(rows))[:, None] for bound in (first, last))
    return selected(rows, count, (rows[..., field] >= begin) & (rows[..., field] <= end))


@compiled
def selected(rows: Array, count: Array, mask: Array) -> EventRows:
    """The events of a mask (parcels, events)."""
    result = np.full(rows.shape, np.nan)
    result_count = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        for number in range(count[parcel]):
            if mask[parcel, number]:
                result[parcel, result_count[parcel]] = rows[parcel, number]
                result_count[parcel] += 1
    return result, result_count


@compiled
def _within(rows: Array, first: float, last: float) -> int:
    """The index of the earliest event whose main day lies between `first` and `last`; -1 where there is none."""
    for number in range(len(rows)):
        if first <= rows[number, 1] <= last:
            return number
    return -1


@compiled
def _neighbours(day: Array, begin: int, end: int, time: float) -> tuple[int, int]:
    """The last day up to a time and the first one after it, among those from begin to end."""
    index = begin + int(np.searchsorted(day[begin:end], time, side="right"))
    return day[max(index - 1, begin)], day[min(index, end - 1)]


@compiled
def harvests(
    offsets: Array,
    day: Array,
    value: Array,
    green: Array,
    green_count: Array,
    dips: Array,
    dip_count: Array,
    grown: float,
    fall: float,
    away: int,
    days: int,
) -> EventRows:
    """Ends of vegetation periods that reached `grown`: value_1 the fall, value_2 NDVI after, value_3 the dip or NaN.

    The date is that of a dip of coherence up to `days` after the end of the period; without one it is that of the NDVI,
    which is early in crops that ripen on the stalk. A period that begins again within `away` days was mown.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        for number in range(green_count[parcel]):
            peak, over = green[parcel, number, 3], green[parcel, number, 2]
            again = green[parcel, number + 1, 0] if number + 1 < green_count[parcel] else np.inf
            lowest = _lowest(day, value, begin, end, over, min(again, over + days))
            if peak < grown or again - over < away or not peak - lowest >= fall:
                continue
            start, stop = _neighbours(day, begin, end, over)
            event = np.array([start, over, stop, peak - lowest, lowest, np.nan, confidence_of(peak - lowest, fall)])
            dip = _within(dips[parcel, : dip_count[parcel]], start, min(again, over + days))
            if dip >= 0:
                event[:3], event[5] = dips[parcel, dip, :3], dips[parcel, dip, 5]
                event[6] = 1 - (1 - event[6]) / 2
            add(rows, count, parcel, 0.0, event)
    return rows, count


@compiled
def bared(
    offsets: Array, day: Array, value: Array, bare: float, fall: float, green: float, days: int, apart: float
) -> EventRows:
    """Falls of the NDVI to bare soil: value_1 the fall, value_2 the NDVI after, value_3 NaN.

    They must last: no value of at least `green` in the following `days` (0: nothing is asked). One observed only
    once has less confidence.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        end = offsets[parcel + 1]
        for index in range(offsets[parcel] + 1, end):
            down = value[index - 1] - value[index]
            after = _highest(day, value, index, end, days)
            if value[index] < bare <= value[index - 1] and down >= fall and not after >= green:
                start, stop = day[index - 1], day[index]
                confidence = confidence_of(down, fall) * (0.7 if days and np.isnan(after) else 1.0)
                event = np.array([start, (start + stop) / 2, stop, down, value[index], np.nan, confidence])
                add(rows, count, parcel, apart, event)
    return rows, count


@compiled
def _kind(dip: Array, green: Array, harvest: Array, days: int) -> int:
    """Classify a dip of coherence: 0 known or under vegetation, 1 sowing, 2 ploughing."""
    for number in range(len(harvest)):
        if abs(harvest[number, 1] - dip[1]) < 10:
            return 0
    for number in range(len(green)):
        if green[number, 0] <= dip[1] <= green[number, 2]:
            return 0
        if 0 < green[number, 0] - dip[1] <= days:
            return 1
    return 2


@compiled
def tilled(
    green: Array, green_count: Array, harvest: Array, harvest_count: Array, dips: Array, dip_count: Array, days: int
) -> tuple[Array, Array, Array, Array]:
    """Classify dips of coherence on bare ground as sowing or ploughing.

    The last one in the `days` before vegetation begins is sowing, all others are ploughing; that of a harvest is
    neither.
    """
    sown, ploughed = np.full(dips.shape, np.nan), np.full(dips.shape, np.nan)
    sown_count, ploughed_count = np.zeros(len(dips), np.int64), np.zeros(len(dips), np.int64)
    for parcel in range(len(dips)):
        mine, work = green[parcel, : green_count[parcel]], harvest[parcel, : harvest_count[parcel]]
        waiting = -1
        for number in range(dip_count[parcel]):
            kind = _kind(dips[parcel, number], mine, work, days)
            if kind == 0:
                continue
            if kind == 1 and waiting >= 0 and dips[parcel, number, 1] - dips[parcel, waiting, 1] <= days:
                _move(sown, sown_count, ploughed, ploughed_count, parcel)
            if kind == 1:
                add(sown, sown_count, parcel, 0.0, dips[parcel, number])
                waiting = number
            else:
                add(ploughed, ploughed_count, parcel, 0.0, dips[parcel, number])
    return sown, sown_count, ploughed, ploughed_count


@compiled
def _move(sown: Array, sown_count: Array, ploughed: Array, ploughed_count: Array, parcel: int) -> None:
    """Reclassify the last sowing of a parcel as ploughing, as another sowing follows it."""
    sown_count[parcel] -= 1
    add(ploughed, ploughed_count, parcel, 0.0, sown[parcel, sown_count[parcel]])


@compiled
def joined(rows: Array, count: Array, others: Array, other_count: Array, apart: float) -> EventRows:
    """Merge the events of two signals by main day; events of the same operation are joined, with the narrower bounds.

    They are the same where their bounds overlap or their main days are less than `apart` days apart. A value that one
    of them lacks (NaN) is taken from the other.
    """
    result = np.full(rows.shape, np.nan)
    result_count = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        one, two = 0, 0
        while one < count[parcel] or two < other_count[parcel]:
            first = two >= other_count[parcel] or (
                one < count[parcel] and rows[parcel, one, 1] <= others[parcel, two, 1]
            )
            event = rows[parcel, one] if first else others[parcel, two]
            one, two = (one + 1, two) if first else (one, two + 1)
            _join(result, result_count, parcel, apart, event)
    return result, result_count


@compiled
def _join(rows: Array, count: Array, parcel: int, apart: float, event: Array) -> None:
    number = count[parcel]
    last = rows[parcel, max(number - 1, 0)]
    if number and (event[0] <= last[2] or event[1] - last[1] < apart):
        if event[2] - event[0] < last[2] - last[0]:
            last[:3] = event[:3]
        for field in range(3, 6):
            last[field] = event[field] if np.isnan(last[field]) else last[field]
        last[6] = 1 - (1 - last[6]) * (1 - event[6])
    elif number < rows.shape[1]:
        rows[parcel, number] = event
        count[parcel] += 1
