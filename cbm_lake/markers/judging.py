"""When a scenario is judged: verdicts that rest only on what was seen up to a day, and that nothing later changes.

A verdict is settled on a day of a clear look when it is the same whatever may be seen next. It is always given from what
the lake has up to that day: with more looks it is the same, by whatever markers it is reached. See docs/markers.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.markers.claims import NEVER
from cbm_lake.markers.events import Events
from cbm_lake.markers.finding import of_blocks
from cbm_lake.markers.parameters import Parameters, Scenario
from cbm_lake.markers.rules import Evidence, Flags, Ints, Windows, first_rule
from cbm_lake.markers.series import Observations, Raw, Series

_EARLY: Final = 10
"""Days between the dates on which red is looked for before a scenario is due."""


@dataclass(frozen=True)
class Future:
    """What may be seen next: clear looks every five days for two months, and images of coherence every six."""

    ndvi: float
    coherence: float
    after: int
    """Days until the first look."""


FUTURES: Final = (Future(0.9, 0.3, 1), Future(0.9, 0.3, 11), Future(0.12, 0.8, 1), Future(0.12, 0.8, 11))
"""The sward grows again or is bare, and this is seen at once or when a single low value is taken for no cloud any more."""
_NEXT_LOOKS: Final = 5 * np.arange(13)
_NEXT_IMAGES: Final = 6 * np.arange(10)


@dataclass(frozen=True, eq=False)
class History:
    """All that verdicts rest on."""

    raw: Raw
    peers: Sequence[Events]
    """Markers of the comparison with other parcels, which nothing later than `peers.until` changes."""

    def looks(self, some: Ints) -> Series:
        """The clear looks at some parcels."""
        member = np.zeros(len(self.raw.pids), bool)
        member[some] = True
        taken = self.raw.ndvi.take(member[self.raw.ndvi.owner])
        return replace(taken, offsets=np.concatenate([[0], np.cumsum(taken.count[some])]))

    def evidence(self, some: Ints, last: Ints, due: Ints, future: Future | None = None) -> Evidence:
        """The evidence about some parcels as of the end of a day of each, or with what may be seen after it.

        Whether a parcel was observable, and its longest gap up to the due date, are always of what was seen.
        """
        seen = self.raw.until(last, some)
        parameters, year = self.raw.parameters, self.raw.year
        first, end = parameters.mowing.season.days(year)
        gap = gaps(seen.ndvi, first, np.minimum(np.minimum(due, last), end))
        told = seen if future is None else followed(seen, last, future)
        place = np.full(len(self.raw.pids), -1)
        place[some] = np.arange(len(some))
        peers = [_of_some(events, place) for events in self.peers]
        return Evidence.of([*of_blocks(told, year, parameters), *peers], ~seen.observable, gap)


def _of_some(events: Events, place: Ints) -> Events:
    """The markers of the parcels that have a place, with it as their index."""
    index = place[events.parcel]
    keep = index >= 0
    return Events(events.marker, index[keep], events.fields[keep], events.kind[keep], events.practice[keep])


def gaps(series: Series, first: int, last: Ints) -> Ints:
    """Longest gap between looks of each parcel from day `first` to a day of each, which both count as looks; in days."""
    last = np.maximum(last, first)
    parcels = np.arange(len(series))
    owner = np.concatenate([parcels, series.owner, parcels])
    day = np.concatenate([np.full(len(series), first), np.clip(series.day, first, last[series.owner]), last])
    order = np.lexsort([day, owner])
    owner, day = owner[order], day[order]
    result = np.zeros(len(series), np.int64)
    np.maximum.at(result, owner[1:], np.where(np.diff(owner) == 0, np.diff(day), 0))
    return result


def followed(seen: Observations, last: Ints, future: Future) -> Observations:
    """The observations with what may be seen after a day of each parcel."""
    start = last + future.after
    has_radar = seen.coherence.count > 0
    ndvi = _extended(seen.ndvi, start, _NEXT_LOOKS, future.ndvi, np.ones(len(last), bool))
    coherence = _extended(seen.coherence, start, _NEXT_IMAGES, future.coherence, has_radar)
    return replace(seen, ndvi=ndvi, coherence=coherence, dates=ndvi.count)


def _extended(series: Series, start: Ints, steps: Ints, value: float, some: Flags) -> Series:
    """The series with a constant value after the last one of some parcels."""
    added = np.where(some, len(steps), 0)
    before = np.concatenate([[0], np.cumsum(added)])
    offsets = series.offsets + before
    old = np.arange(len(series.day)) + before[:-1][series.owner]
    new = (offsets[1:][some, None] - len(steps) + np.arange(len(steps))).ravel()
    day, values = np.empty(offsets[-1], np.int32), np.full(offsets[-1], value, np.float32)
    day[old], values[old] = series.day, series.value
    day[new] = (start[some, None] + steps).ravel()
    return Series(offsets.astype(np.int64), day, values)


@dataclass(frozen=True, eq=False)
class Verdicts:
    """What is settled about the parcels of a scenario."""

    rule: Ints
    """Number of the rule that decided; -1 where no rule holds, or nothing is settled."""
    day: Ints
    """The day on which it was settled, and of whose end the evidence is; NEVER where nothing is."""


@dataclass(frozen=True, eq=False)
class _Round:
    """One look at the parcels of a scenario, on a day of each."""

    at: Ints
    """NEVER where it does not take place."""
    asked: Flags
    """(rules, parcels)"""
    final: bool
    """Whether green is settled too: all rules are asked."""


def settled(history: History, scenario: Scenario, parcels: Ints, days: Windows, last: int) -> Verdicts:
    """The verdicts that are settled by the end of a day.

    Args:
        history: all that is known; nothing later than `last` is used.
        scenario: the rules.
        parcels: indices of the parcels that it asks about, ascending.
        days: its days for these.
        last: the day, since 1970-01-01.
    """
    rule, day = np.full(len(parcels), -1), np.full(len(parcels), NEVER)
    if scenario.due is None:
        return _at_the_end(history, scenario, parcels, days, last)
    for one in _rounds(history, scenario, parcels, days):
        some = np.flatnonzero((one.at <= last) & (one.at < day))
        if len(some):
            decided, firm = _firm(history, scenario, parcels[some], one.at[some], days.take(some), one, some)
            rule[some[firm]], day[some[firm]] = decided[firm], one.at[some[firm]]
    return Verdicts(rule, day)


def _at_the_end(history: History, scenario: Scenario, parcels: Ints, days: Windows, last: int) -> Verdicts:
    """Verdicts without a due date: whatever holds at the end of the season."""
    if not len(parcels) or days.due[0] > last:
        return Verdicts(np.full(len(parcels), -1), np.full(len(parcels), NEVER))
    evidence = history.evidence(parcels, days.due, days.due)
    return Verdicts(first_rule(evidence, scenario.rules, days, np.ones(days.first.shape, bool)), days.due)


def _rounds(history: History, scenario: Scenario, parcels: Ints, days: Windows) -> Iterator[_Round]:
    """When a scenario is looked at: every ten days for early reds, and at each clear look after rules are due."""
    early = np.array([[rule.early] for rule in scenario.rules])
    if any(rule.early and rule.colour == "red" for rule in scenario.rules):
        begin = history.raw.parameters.season.days(history.raw.year)[0]
        for day in range(begin, int(days.due.max(initial=begin)), _EARLY):
            yield _Round(np.where(days.due > day, day, NEVER), early & np.ones(days.first.shape, bool), final=False)
    looks = history.looks(parcels)
    own = [due for rule, due in zip(scenario.rules, days.rule_due, strict=True) if rule.due is not None]
    for due in (*own, days.due):
        asked = early | (days.rule_due <= due)
        for at in _at_looks(looks, due, looks_asked(scenario, history.raw.parameters)):
            yield _Round(at, asked, final=due is days.due)


def looks_asked(scenario: Scenario, parameters: Parameters) -> int:
    """How many clear looks a scenario asks for from its due date on."""
    return parameters.judging.looks if scenario.looks is None else scenario.looks


def _at_looks(looks: Series, due: Ints, least: int) -> Iterator[Ints]:
    """The days of the clear looks of each parcel from its due date on, beginning with look number `least`."""
    before = np.bincount(looks.owner, looks.day < due[looks.owner], minlength=len(looks)).astype(np.int64)
    if least == 0:
        yield due
    for number in range(max(least, 1), int((looks.count - before).max(initial=0)) + 1):
        there = looks.count - before >= number
        at = np.full(len(looks), NEVER)
        at[there] = looks.day[(looks.offsets[:-1] + before)[there] + number - 1]
        yield at


def _firm(
    history: History, scenario: Scenario, parcels: Ints, at: Ints, days: Windows, one: _Round, some: Ints
) -> tuple[Ints, Flags]:
    """The rule that decides on a day, and whether the colour is the same whatever is seen next."""
    asked = one.asked[:, some]
    now = history.evidence(parcels, at, days.due)
    rule = first_rule(now, scenario.rules, days, asked)
    colour = np.array([*(each.colour for each in scenario.rules), ""], object)
    firm = (colour[rule] == "red") | ((colour[rule] == "green") & one.final)
    for future in FUTURES:
        left = np.flatnonzero(firm)
        if not len(left):
            break
        then = history.evidence(parcels[left], at[left], days.due[left], future)
        other = first_rule(then, scenario.rules, days.take(left), asked[:, left])
        firm[left] = colour[other] == colour[rule[left]]
    return rule, firm
