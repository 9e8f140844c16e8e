"""When a scenario is judged: verdicts that rest only on what was seen up to a day, and that nothing later changes.

A verdict is settled on a day of a clear look when it is the same whatever may be seen next. It is always given from
what the lake has up to that day: with more looks it is the same, by whatever markers it is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

import numpy as np

from cbm_lake.markers import partial
from cbm_lake.markers.claims import NEVER
from cbm_lake.markers.events import Events, of_parcels
from cbm_lake.markers.groups import CROP_CHECK, PARTIAL
from cbm_lake.markers.history import History, empty, gaps
from cbm_lake.markers.parameters import EPOCH, Parameters, Scenario
from cbm_lake.markers.rules import Evidence, Flags, Ints, Windows, first_rule
from cbm_lake.markers.series import Observations, Series

PEERS: Final = ("similarity", "distance_rank", "homogeneity")
"""Markers of the comparison with other parcels, which the search writes to the lake."""
_AT_ONCE: Final = 10_000
"""Parcels per block."""
_THREADS: Final = 2
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
"""The sward grows again or is bare; this is seen at once, or once a single low value is no spike any more."""
_NEXT_LOOKS: Final = 5 * np.arange(13)
_NEXT_IMAGES: Final = 6 * np.arange(10)


@dataclass(frozen=True, eq=False)
class Case:
    """All that verdicts rest on."""

    history: History
    peers: Sequence[Events]
    """Markers of the comparison with other parcels, which nothing later than `peers.until` changes."""
    parts: Sequence[Events] = ()
    """Work on parts of parcels; each counts from the first clear look after it on."""
    checks: Sequence[Events] = ()
    """Verdicts of the crop check; who judges asks nothing of parcels on which they do not count."""

    def evidence(self, some: Ints, last: Ints, due: Ints, future: Future | None = None) -> Evidence:
        """The evidence about some parcels as of the end of a day of each, or with what may be seen after it.

        Whether a parcel was observable, and its longest gap up to the due date, are always of what was seen.
        """
        seen = self.history.until(last, some)
        parameters, year = self.history.parameters, self.history.year
        first, end = parameters.mowing.season.days(year)
        gap = gaps(seen.ndvi, first, np.minimum(np.minimum(due, last), end))
        assumed = seen if future is None else followed(seen, last, future)
        index = np.full(len(self.history.pids), -1)
        index[some] = np.arange(len(some))
        peers = [_of_some(events, index) for events in self.peers]
        parts = [partial.seen_by(_of_some(events, index), last) for events in self.parts]
        markers = _of_groups(assumed, self.history.silent(last), year, parameters)
        checks = [_of_some(events, index) for events in self.checks]
        return Evidence.of([*markers, *peers, *parts, *checks], ~seen.observable, gap)


def _of_groups(
    observations: Observations, groups: Sequence[tuple[Ints, frozenset[str]]], year: int, parameters: Parameters
) -> list[Events]:
    """The markers of single parcels, where some detectors say nothing of each group."""
    if len(groups) <= 1:
        skipped = groups[0][1] if groups else observations.skipped
        return _of_blocks(replace(observations, skipped=skipped), year, parameters)
    result: list[Events] = []
    for group, skipped in groups:
        some = replace(observations.some(group), skipped=skipped)
        result += [
            Events(events.marker, group[events.parcel], events.fields, events.kind, events.practice)
            for events in _of_blocks(some, year, parameters)
        ]
    return result


def _of_blocks(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """The markers of single parcels, detected block by block on two threads."""
    begins = range(0, max(len(observations.pids), 1), _AT_ONCE)

    def search_block(begin: int) -> list[Events]:
        return [
            events.moved(begin) for events in of_parcels(observations.block(begin, begin + _AT_ONCE), year, parameters)
        ]

    with ThreadPoolExecutor(_THREADS) as workers:
        return [*chain.from_iterable(workers.map(search_block, begins))]


def marker_names(parameters: Parameters) -> frozenset[str]:
    """The names of all markers that a search with these parameters can give, a search for parts, or a crop check."""
    detected = of_parcels(empty(parameters), EPOCH.year, parameters)
    return frozenset((*PEERS, *PARTIAL, CROP_CHECK, *(events.marker for events in detected)))


def _of_some(events: Events, index_of: Ints) -> Events:
    """The markers of the parcels that have an index, with it."""
    index = index_of[events.parcel]
    keep = index >= 0
    return Events(events.marker, index[keep], events.fields[keep], events.kind[keep], events.practice[keep])


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


@dataclass(frozen=True, eq=False)
class Remembered:
    """What is settled already about the parcels of a scenario; see `markers.remembered`."""

    verdicts: Verdicts
    since: Ints
    """The first day of each parcel on whose evidence nothing rests yet: all before was weighed and is as it was."""


def settled(
    case: Case, scenario: Scenario, parcels: Ints, days: Windows, last: int, earlier: Remembered | None = None
) -> Verdicts:
    """The verdicts that are settled by the end of a day.

    Args:
        case: all that is known; nothing later than `last` is used.
        scenario: the rules.
        parcels: indices of the parcels that it asks about, ascending.
        days: its days for these.
        last: the day, since 1970-01-01.
        earlier: what is settled already; None is nothing.
    """
    if scenario.due is None:
        return _at_the_end(case, scenario, parcels, days, last)
    rule, day = np.full(len(parcels), -1), np.full(len(parcels), NEVER)
    since = np.full(len(parcels), np.iinfo(np.int64).min)
    if earlier is not None:
        since = earlier.since
        stays = (earlier.verdicts.day < since) & (earlier.verdicts.day <= last)
        rule[stays], day[stays] = earlier.verdicts.rule[stays], earlier.verdicts.day[stays]
    for one in _rounds(case, scenario, parcels, days):
        some = np.flatnonzero((one.at <= last) & (one.at < day) & (one.at >= since))
        if len(some):
            decided, firm = _firm(case, scenario, parcels[some], one.at[some], days.take(some), one, some)
            rule[some[firm]], day[some[firm]] = decided[firm], one.at[some[firm]]
    return Verdicts(rule, day)


def _at_the_end(case: Case, scenario: Scenario, parcels: Ints, days: Windows, last: int) -> Verdicts:
    """Verdicts without a due date: whatever holds at the end of the season."""
    if not len(parcels) or days.due[0] > last:
        return Verdicts(np.full(len(parcels), -1), np.full(len(parcels), NEVER))
    evidence = case.evidence(parcels, days.due, days.due)
    return Verdicts(first_rule(evidence, scenario.rules, days, np.ones(days.first.shape, bool)), days.due)


def _rounds(case: Case, scenario: Scenario, parcels: Ints, days: Windows) -> Iterator[_Round]:
    """When a scenario is looked at: every ten days for early reds, and at each clear look after rules are due."""
    early = np.array([[rule.early] for rule in scenario.rules])
    if any(rule.early and rule.colour == "red" for rule in scenario.rules):
        begin = case.history.parameters.season.days(case.history.year)[0]
        for day in range(begin, int(days.due.max(initial=begin)), _EARLY):
            yield _Round(np.where(days.due > day, day, NEVER), early & np.ones(days.first.shape, bool), final=False)
    looks = case.history.looks_at(parcels)
    own = [due for rule, due in zip(scenario.rules, days.rule_due, strict=True) if rule.due is not None]
    for due in (*own, days.due):
        asked = early | (days.rule_due <= due)
        for at in _at_looks(looks, due, looks_asked(scenario, case.history.parameters)):
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
    case: Case, scenario: Scenario, parcels: Ints, at: Ints, days: Windows, one: _Round, some: Ints
) -> tuple[Ints, Flags]:
    """The rule that decides on a day, and whether the colour is the same whatever is seen next."""
    asked = one.asked[:, some]
    now = case.evidence(parcels, at, days.due)
    rule = first_rule(now, scenario.rules, days, asked)
    colour = np.array([*(each.colour for each in scenario.rules), ""], object)
    firm = (colour[rule] == "red") | ((colour[rule] == "green") & one.final)
    for future in FUTURES:
        left = np.flatnonzero(firm)
        if not len(left):
            break
        then = case.evidence(parcels[left], at[left], days.due[left], future)
        other = first_rule(then, scenario.rules, days.take(left), asked[:, left])
        firm[left] = colour[other] == colour[rule[left]]
    return rule, firm
