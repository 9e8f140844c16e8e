"""The rules of a scenario: which markers each counts, in which days of each parcel, and which rule holds first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cbm_lake.errors import InvalidInputError
from cbm_lake.markers.claims import NEVER, Claims, day_number
from cbm_lake.markers.events import Events
from cbm_lake.markers.groups import CROP_CHECK
from cbm_lake.markers.parameters import Parameters, Rule, Scenario, When

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
_ALWAYS = np.iinfo(np.int32).min


@dataclass(frozen=True, eq=False)
class Evidence:
    """The markers of some parcels as columns, one entry per marker, and how well each parcel was seen."""

    parcel: Ints
    """Index of the parcel."""
    marker: npt.NDArray[np.object_]
    kind: npt.NDArray[np.object_]
    fields: npt.NDArray[np.float64]
    """Shape (markers, kernels.FIELDS)."""
    unseen: Flags
    """Whether each parcel was not observable."""
    gap: Ints
    """Longest gap without a clear observation of each parcel, in days."""

    @classmethod
    def of(cls, markers: Sequence[Events], unseen: Flags, gap: Ints) -> Evidence:
        """The evidence of what detectors give."""
        return cls(
            np.concatenate([events.parcel for events in markers]),
            np.concatenate([np.full(len(events.parcel), events.marker, object) for events in markers]),
            np.concatenate([events.kind for events in markers]),
            np.concatenate([events.fields for events in markers]),
            unseen,
            gap,
        )


@dataclass(frozen=True, eq=False)
class Windows:
    """The days of a scenario for each parcel, since 1970-01-01; NEVER where a parcel's claim is null."""

    due: Ints
    """(parcels,): when the scenario is judged."""
    rule_due: Ints
    """(rules, parcels): when each rule is."""
    first: Ints
    """(rules, parcels): first day whose markers each rule counts."""
    last: Ints

    def take(self, some: Ints | Flags) -> Windows:
        """Those of some parcels."""
        return Windows(self.due[some], self.rule_due[:, some], self.first[:, some], self.last[:, some])

    @property
    def complete(self) -> Flags:
        """Mask of the parcels that have all days that the scenario asks for."""
        ends = np.concatenate([self.due[None], self.rule_due, self.first, self.last])
        return np.asarray((ends != NEVER).all(axis=0))


def windows(name: str, scenario: Scenario, claims: Claims, year: int, parameters: Parameters) -> Windows:
    """The days of a scenario, as its rules and each parcel's claim say.

    Claims that cannot be judged (not readable, due outside the season, from after to) are noted, see `Claims.problems`.

    Raises:
        InvalidInputError: a column is not there or has no dates, or a due date of all parcels is outside the season.
    """
    no_due = np.full(len(claims), season_end(parameters, year))
    choices = [rule.due or scenario.due for rule in scenario.rules]
    due = no_due if scenario.due is None else claims.days(scenario.due, year, name)
    dues = np.array([due if rule.due is None else claims.days(rule.due, year, name) for rule in scenario.rules])
    for choice, days in zip((scenario.due, *choices), (due, *dues), strict=True):
        _check_season(name, choice, days, claims, year, parameters.season.days(year))
    bounds = [_bounds(name, rule, claims, year) for rule in scenario.rules]
    first, last = (np.array(side) for side in zip(*bounds, strict=True))
    for number, rule in enumerate(scenario.rules):
        _check_order(name, rule, claims, first[number], last[number], dues[number])
    if scenario.due is not None:
        last = np.where(last == NEVER, NEVER, np.minimum(last, _ends(scenario, dues)))
    return Windows(due, dues, first, last)


def _ends(scenario: Scenario, dues: Ints) -> Ints:
    """The last day whose markers each rule may count: its due date; of crop checks, which become clear later, any."""
    checks = np.array([[rule.marker == CROP_CHECK] for rule in scenario.rules])
    return np.where(checks & (dues != NEVER), NEVER - 1, dues)


def _check_season(
    name: str, choice: When | None, days: Ints, claims: Claims, year: int, season: tuple[int, int]
) -> None:
    """Refuse due dates of all parcels outside the season, and note those that parcels claim."""
    begin, end = season
    period = f"outside the season that is observed ({as_date(begin)} to {as_date(end)})"
    for day in choice or ():
        if day.column is None and not begin <= (number := day_number(day, year)) <= end:
            raise InvalidInputError(
                f"scenario {name!r} is due on {as_date(number)}, {period}: `season` of the parameters"
            )
    outside = (days != NEVER) & ((days < begin) | (days > end))
    if outside.any():
        texts = [
            f"claim cannot be judged: due on {as_date(day)}, {period}" if out else ""
            for day, out in zip(days, outside, strict=True)
        ]
        claims.note(name, outside, np.array(texts, object))


def _check_order(name: str, rule: Rule, claims: Claims, first: Ints, last: Ints, due: Ints) -> None:
    """Note the claims of which the days of a rule end before they begin."""
    if not any(day.column for days in (rule.from_, rule.to) for day in days or ()):
        return
    end = np.minimum(last, due)
    reversed_ = (first != NEVER) & (end != NEVER) & (first > end)
    if reversed_.any():
        texts = [
            f"claim cannot be judged: from {as_date(start)} to {as_date(stop)}, which is before" if wrong else ""
            for start, stop, wrong in zip(first, end, reversed_, strict=True)
        ]
        claims.note(name, reversed_, np.array(texts, object))


def season_end(parameters: Parameters, year: int) -> int:
    """When a scenario without a due date is judged: when neither mowing nor other work is looked for any more."""
    ends = [group.season.days(year)[1] for group in (parameters.mowing, parameters.work)]
    return min(max(ends), parameters.season.days(year)[1])


def as_date(day: int) -> np.datetime64:
    """A number of days since 1970-01-01 as a date."""
    return np.datetime64(int(day), "D")


def _bounds(name: str, rule: Rule, claims: Claims, year: int) -> tuple[Ints, Ints]:
    """The first and last day of each parcel; of the year alone, a start after the end lies in the year before."""
    first = np.full(len(claims), _ALWAYS) if rule.from_ is None else claims.days(rule.from_, year, name)
    last = np.full(len(claims), NEVER - 1) if rule.to is None else claims.days(rule.to, year, name)
    of_year = rule.from_ is not None and not any(day.column for day in rule.from_)
    if of_year and rule.to is not None and (first > last).any():
        earlier = claims.days(rule.from_ or (), year - 1, name)
        first = np.where(first > last, earlier, first)
    return first, last


def counted(evidence: Evidence, rule: Rule, first: Ints, last: Ints) -> Flags:
    """Mask of the markers that a rule counts, with the first and last day of each parcel."""
    start, end, confidence = (evidence.fields[:, number] for number in (0, 2, 6))
    mask = np.asarray(evidence.marker == rule.marker) & (np.nan_to_num(confidence) >= rule.confidence)
    if rule.type is not None:
        mask &= evidence.kind == rule.type
    first, last = first[evidence.parcel], last[evidence.parcel]
    start, end = np.floor(start + 0.5), np.floor(end + 0.5)
    if rule.within:
        return mask & (start >= first) & (end <= last)
    return mask & ~(start > last) & ~(end < first)


def holds(evidence: Evidence, rule: Rule, mask: Flags) -> Flags:
    """Mask of the parcels that satisfy all conditions of a rule, which counts the markers of a mask."""
    number = np.bincount(evidence.parcel[mask], minlength=len(evidence.unseen))
    return holding(rule, number, evidence.unseen, evidence.gap)


def holding(rule: Rule, number: Ints, unseen: Flags, gap: Ints) -> Flags:
    """Mask of the parcels that satisfy all conditions of a rule, given how many markers it counts of each."""
    result = np.ones(len(unseen), bool)
    if rule.unseen is not None:
        result &= unseen == rule.unseen
    if rule.gap is not None:
        result &= gap > rule.gap
    if rule.at_least is not None:
        result &= number >= rule.at_least
    if rule.at_most is not None:
        result &= number <= rule.at_most
    return result


def first_rule(evidence: Evidence, rules: Sequence[Rule], days: Windows, asked: Flags) -> Ints:
    """The number of the first rule that holds for each parcel, of those asked (rules, parcels); -1 for none."""
    decided = np.full(len(evidence.unseen), -1)
    for number, rule in enumerate(rules):
        here = asked[number] & (decided < 0)
        if here.any():
            mask = counted(evidence, rule, days.first[number], days.last[number])
            decided[here & holds(evidence, rule, mask)] = number
    return decided


def markers_of(scenario: Scenario) -> set[str]:
    """The names of the markers that a scenario counts."""
    return {rule.marker for rule in scenario.rules if rule.marker is not None}
