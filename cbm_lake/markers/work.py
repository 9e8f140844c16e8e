"""Compiled loops that read the work on arable land out of vegetation periods, the NDVI and dips of coherence."""

from __future__ import annotations

import numpy as np

from cbm_lake.markers.kernels import FIELDS, MOST, Array, Found, add, sureness
from cbm_lake.zonal.compiled import compiled


@compiled
def _lowest(day: Array, value: Array, begin: int, end: int, after: float, until: float) -> float:
    """The lowest value of the days after `after`, up to `until`; NaN where there is none."""
    lowest = np.nan
    for place in range(begin, end):
        if after < day[place] <= until and not value[place] >= lowest:
            lowest = value[place]
    return lowest


@compiled
def _highest(day: Array, value: Array, place: int, end: int, days: int) -> float:
    """The highest value of so many days after a place; NaN where there is none."""
    highest = np.nan
    for other in range(place + 1, end):
        if day[other] - day[place] <= days and not value[other] <= highest:
            highest = value[other]
    return highest


@compiled
def between(rows: Array, count: Array, first: int, last: int) -> Found:
    """The events whose main day lies between two days, both included."""
    result = np.full(rows.shape, np.nan)
    found = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        for event in rows[parcel, : count[parcel]]:
            if first <= event[1] <= last:
                result[parcel, found[parcel]] = event
                found[parcel] += 1
    return result, found


@compiled
def _within(rows: Array, first: float, last: float) -> int:
    """The number of the earliest event whose main day lies from `first` to `last`; -1 where there is none."""
    for number in range(len(rows)):
        if first <= rows[number, 1] <= last:
            return number
    return -1


@compiled
def _neighbours(day: Array, begin: int, end: int, moment: float) -> tuple[int, int]:
    """The last day up to a moment and the first after it, among begin to end."""
    place = begin + int(np.searchsorted(day[begin:end], moment, side="right"))
    return day[max(place - 1, begin)], day[min(place, end - 1)]


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
) -> Found:
    """Ends of vegetation periods that reached `grown`: value_1 the fall, value_2 the NDVI left, value_3 the dip or NaN.

    A dip of coherence from the end of the period to `days` later dates the work; without one the NDVI does, which in
    crops that ripen on the stalk is early. A period that begins again within `away` days was mown, not harvested.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        begin, end = offsets[parcel], offsets[parcel + 1]
        for number in range(green_count[parcel]):
            peak, over = green[parcel, number, 3], green[parcel, number, 2]
            again = green[parcel, number + 1, 0] if number + 1 < green_count[parcel] else np.inf
            left = _lowest(day, value, begin, end, over, min(again, over + days))
            if peak < grown or again - over < away or not peak - left >= fall:
                continue
            start, stop = _neighbours(day, begin, end, over)
            event = np.array([start, over, stop, peak - left, left, np.nan, sureness(peak - left, fall)])
            dip = _within(dips[parcel, : dip_count[parcel]], start, min(again, over + days))
            if dip >= 0:
                event[:3], event[5] = dips[parcel, dip, :3], dips[parcel, dip, 5]
                event[6] = 1 - (1 - event[6]) / 2
            add(rows, count, parcel, 0.0, event)
    return rows, count


@compiled
def bared(
    offsets: Array, day: Array, value: Array, bare: float, fall: float, green: float, days: int, apart: float
) -> Found:
    """Falls of the NDVI to bare soil: value_1 the fall, value_2 the NDVI left, value_3 NaN.

    They must last: nothing as high as `green` for so many days after. One that was seen only once is less sure.
    """
    rows = np.full((len(offsets) - 1, MOST, len(FIELDS)), np.nan)
    count = np.zeros(len(offsets) - 1, np.int64)
    for parcel in range(len(offsets) - 1):
        end = offsets[parcel + 1]
        for place in range(offsets[parcel] + 1, end):
            down = value[place - 1] - value[place]
            after = _highest(day, value, place, end, days)
            if value[place] < bare <= value[place - 1] and down >= fall and not after >= green:
                start, stop = day[place - 1], day[place]
                sure = sureness(down, fall) * (0.7 if np.isnan(after) else 1.0)
                event = np.array([start, (start + stop) / 2, stop, down, value[place], np.nan, sure])
                add(rows, count, parcel, apart, event)
    return rows, count


@compiled
def _kind(dip: Array, green: Array, harvest: Array, days: int) -> int:
    """What a dip of coherence was: 0 nothing new or under vegetation, 1 sowing, 2 ploughing."""
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
    """Dips of coherence on ground without vegetation, as sowing and ploughing.

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
    """Make the last sowing of a parcel ploughing: another one follows it."""
    sown_count[parcel] -= 1
    add(ploughed, ploughed_count, parcel, 0.0, sown[parcel, sown_count[parcel]])


@compiled
def joined(rows: Array, count: Array, others: Array, other_count: Array, apart: float) -> Found:
    """Events of both kinds by their main days; those that can be of one work are one, with the narrower bounds.

    Their bounds overlap, or their main days are less than `apart` days from each other. A value that one of them lacks
    (NaN) is the other's.
    """
    result = np.full(rows.shape, np.nan)
    found = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        one, two = 0, 0
        while one < count[parcel] or two < other_count[parcel]:
            first = two >= other_count[parcel] or (
                one < count[parcel] and rows[parcel, one, 1] <= others[parcel, two, 1]
            )
            event = rows[parcel, one] if first else others[parcel, two]
            one, two = (one + 1, two) if first else (one, two + 1)
            _join(result, found, parcel, apart, event)
    return result, found


@compiled
def _join(rows: Array, count: Array, parcel: int, apart: float, event: Array) -> None:
    number = count[parcel]
    held = rows[parcel, max(number - 1, 0)]
    if number and (event[0] <= held[2] or event[1] - held[1] < apart):
        if event[2] - event[0] < held[2] - held[0]:
            held[:3] = event[:3]
        for field in range(3, 6):
            held[field] = event[field] if np.isnan(held[field]) else held[field]
        held[6] = 1 - (1 - held[6]) * (1 - event[6])
    elif number < rows.shape[1]:
        rows[parcel, number] = event
        count[parcel] += 1


@compiled
def apart_from(rows: Array, count: Array, others: Array, other_count: Array) -> Found:
    """The events whose bounds overlap with none of the others'."""
    result = np.full(rows.shape, np.nan)
    found = np.zeros(len(rows), np.int64)
    for parcel in range(len(rows)):
        for event in rows[parcel, : count[parcel]]:
            clear = True
            for other in others[parcel, : other_count[parcel]]:
                clear &= event[2] < other[0] or event[0] > other[2]
            if clear:
                result[parcel, found[parcel]] = event
                found[parcel] += 1
    return result, found
