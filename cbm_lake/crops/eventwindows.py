"""Values of weeks around events, and of the same weeks where nothing was done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

WEEK: Final = 7
BEFORE: Final = (-3, -1)
"""The weeks before an event that a change is counted from, first and last."""


@dataclass(frozen=True, eq=False)
class Members:
    """Parcels at reference days: those where something was done, and those that they are compared with."""

    parcel: Ints
    """(m,): index of the parcel."""
    day: Ints
    """(m,): days since 1970-01-01 at which week 0 begins."""
    done: Flags
    stratum: Ints
    """(m,): numbers from 0; members of one are exchangeable."""
    left_out: int = 0
    """Events to which nothing is comparable."""


@dataclass(frozen=True, eq=False)
class LongSeries:
    """Observations of one signal, sorted by parcel and day."""

    signal: str
    parcel: Ints
    day: Ints
    names: tuple[str, ...]
    """Of the statistics."""
    values: Floats
    """(n, statistics)."""

    def of(self, names: Sequence[str]) -> LongSeries:
        """The same with some of the statistics."""
        columns = [index for index, name in enumerate(self.names) if name in names]
        return replace(self, names=tuple(self.names[index] for index in columns), values=self.values[:, columns])


def against_parcels(parcel: Ints, day: Ints, parcels: int, guard: int, controls: int, seed: int) -> Members:
    """Compare each event with the other parcels on its day, but those of which another event is within `guard` days.

    Args:
        parcel: of each event.
        day: of each event.
        parcels: how many there are.
        guard: days.
        controls: the most per day; of more they are drawn.
        seed: of the draw.
    """
    rng = np.random.default_rng(seed)
    parts, left_out = [], 0
    for number, date in enumerate(np.unique(day)):
        yes = np.unique(parcel[day == date])
        near = np.unique(parcel[np.abs(day - date) <= guard])
        others = np.setdiff1d(np.arange(parcels), near)
        if not len(others):
            left_out += len(yes)
            continue
        if len(others) > controls:
            others = np.sort(rng.choice(others, controls, replace=False))
        parts.append((np.concatenate([yes, others]), date, len(yes), number))
    return _members(parts, left_out)


def _members(parts: list[tuple[Ints, int, int, int]], left_out: int) -> Members:
    parcel = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, np.int64)
    sizes = [len(part[0]) for part in parts]
    day = np.repeat([int(part[1]) for part in parts], sizes).astype(np.int64)
    done = np.concatenate([np.arange(len(part[0])) < part[2] for part in parts]) if parts else np.zeros(0, bool)
    return Members(parcel, day, done, np.repeat([part[3] for part in parts], sizes).astype(np.int64), left_out)


def against_dates(parcel: Ints, day: Ints, guard: int, span: int) -> Members:
    """Compare each event with other days of its own parcel, a week apart, of which no event is within `guard` days.

    Args:
        parcel: of each event.
        day: of each event.
        guard: days.
        span: how many days before and after the event they may be.
    """
    steps = np.arange(-(span // WEEK), span // WEEK + 1) * WEEK
    parts: list[tuple[Ints, Ints]] = []
    left_out = 0
    for one, date in zip(parcel, day, strict=True):
        mine = day[parcel == one]
        days = date + steps
        free = days[np.abs(days[:, None] - mine).min(axis=1) > guard]
        left_out += not len(free)
        parts.append((one, np.concatenate([[date], free]) if len(free) else free))
    sizes = [len(days) for _, days in parts]
    first = np.concatenate([np.arange(size) == 0 for size in sizes]) if parts else np.zeros(0, bool)
    return Members(
        np.repeat([one for one, _ in parts], sizes).astype(np.int64),
        np.concatenate([days for _, days in parts]).astype(np.int64) if parts else np.zeros(0, np.int64),
        first,
        np.repeat(np.arange(len(parts)), sizes),
        left_out,
    )


def weekly(series: LongSeries, members: Members, first: int, last: int) -> Floats:
    """Means of the weeks around the reference days.

    Returns:
        (members, weeks from first to last, statistics), NaN where there is no observation; week 0 is the seven days
        from the reference day on, week -1 those before it.
    """
    begin = np.searchsorted(series.parcel, members.parcel)
    count = np.searchsorted(series.parcel, members.parcel, side="right") - begin
    owner = np.repeat(np.arange(len(count)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(begin, count)
    week = (series.day[row] - members.day[owner]) // WEEK
    inside = (week >= first) & (week <= last)
    row, cell = row[inside], owner[inside] * (last - first + 1) + week[inside] - first
    cells = len(members.parcel) * (last - first + 1)
    result = np.full((cells, len(series.names)), np.nan)
    for column in range(len(series.names)):
        values = series.values[row, column]
        valid = ~np.isnan(values)
        number = np.bincount(cell[valid], minlength=cells)
        total = np.bincount(cell[valid], values[valid], minlength=cells)
        result[number > 0, column] = total[number > 0] / number[number > 0]
    return result.reshape(len(members.parcel), last - first + 1, len(series.names))


def changes(weeks: Floats, first: int) -> Floats:
    """How values differ from their mean over the weeks BEFORE; of the weeks from 0 on.

    Args:
        weeks: (members, weeks, statistics), the first of which is week `first`.
        first: at most the first of BEFORE.
    """
    before = weeks[:, BEFORE[0] - first : BEFORE[1] - first + 1]
    valid = ~np.isnan(before)
    number = valid.sum(axis=1)
    base = np.where(number > 0, np.where(valid, before, 0).sum(axis=1) / np.maximum(number, 1), np.nan)
    return np.asarray(weeks[:, -first:] - base[:, None], np.float64)
