"""What is said of parcels of which nothing is settled yet: passing days alone never take back what was said.

What was said before a due date stands until enough clear looks have come since that date.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from cbm_lake.markers import rules
from cbm_lake.markers.claims import NEVER
from cbm_lake.markers.history import gaps
from cbm_lake.markers.judging import Case, looks_asked
from cbm_lake.markers.parameters import Rule, Scenario
from cbm_lake.markers.rules import Evidence, Flags, Ints, Windows, as_date

NOT_YET_DUE: Final = "not yet due"
CANNOT_BE_SEEN: Final = "cannot be seen"
_FORWARD: Final = {NOT_YET_DUE: 0, CANNOT_BE_SEEN: 1, "yellow": 2, "green": 3, "red": 4}
"""The order in which colours follow each other while nothing new is seen."""


class Said(NamedTuple):
    """What is said of a parcel."""

    colour: str
    reason: str
    due: int
    """When that is judged, or was."""
    turned: int
    """The day that had to come for this to be said, whatever was seen; NEVER for what needs no waiting."""
    rule: int
    """Number of the rule that decided; -1 for none."""


@dataclass(frozen=True, eq=False)
class Saying:
    """What is said of some parcels in a scenario, from their evidence as of the end of a day."""

    case: Case
    scenario: Scenario
    parcels: Ints
    """Indices of the parcels, ascending."""
    days: Windows
    evidence: Evidence
    day: int
    """The day that is judged."""
    last: int
    """The last day that the comparison with other parcels allows to judge."""

    def said(self, firm: Flags) -> list[Said | None]:
        """What is said of each parcel that is not firm; None where no rule holds, and of those that are.

        Between two clear looks only the calendar changes what is said: rules become due, and the time ends in which
        looks are waited for. Each such day is gone through since the last clear look, or since the day before the first
        due date of which looks are missing still, and what is said moves forward.
        """
        result: list[Said | None] = [None] * len(self.parcels)
        numbers = self._counted()
        for days in self._calendar(firm):
            some = np.flatnonzero(days != NEVER)
            rule, looks = self._rule(days, numbers), self._looks(days)
            for index in some.tolist():
                now = self._of(index, int(days[index]), int(rule[index]), looks[index])
                result[index] = _forward(result[index], now)
        return result

    def _calendar(self, firm: Flags) -> Iterator[Ints]:
        """The days on which something may be said of each parcel, in order, NEVER where none is left; the day last."""
        dues = np.unique(np.concatenate([self.days.rule_due, self.days.due[None]]), axis=0)
        turns = np.concatenate([dues, dues + self.case.history.parameters.judging.wait + 1])
        begin = self._begin(dues)
        passed = (turns > begin) & (turns <= self.day)
        times = np.concatenate([np.where(passed, turns - 1, NEVER), np.where(passed, turns, NEVER)])
        times = np.concatenate([np.where(passed.any(axis=0), begin, NEVER)[None], times])
        times = np.sort(np.where(times == self.day, NEVER, times), axis=0)
        times[1:][times[1:] == times[:-1]] = NEVER
        for row in np.where(firm, NEVER, times):
            if (row != NEVER).any():
                yield row
        yield np.where(firm, NEVER, self.day)

    def _begin(self, dues: Ints) -> Ints:
        """The day of each parcel from which on what is said moves forward only."""
        looks = self.case.history.looks_at(self.parcels)
        looks = looks.take(looks.day <= self.day)
        last = np.full(len(self.parcels), self.case.history.parameters.season.days(self.case.history.year)[0])
        np.maximum.at(last, looks.owner, looks.day)
        for due in dues:
            since = np.bincount(looks.owner, looks.day >= due[looks.owner], minlength=len(last))
            missing = since < looks_asked(self.scenario, self.case.history.parameters)
            last = np.where(missing & (due <= last), due - 1, last)
        return np.asarray(np.minimum(last, self.day), np.int64)

    def _counted(self) -> list[Ints]:
        """How many markers each rule counts of each parcel."""
        masks = (
            rules.counted(self.evidence, rule, self.days.first[number], self.days.last[number])
            for number, rule in enumerate(self.scenario.rules)
        )
        return [np.bincount(self.evidence.parcel[mask], minlength=len(self.parcels)) for mask in masks]

    def _rule(self, days: Ints, numbers: list[Ints]) -> Ints:
        """The first rule that holds for each parcel at the end of a day of each; -1 for none."""
        cut = np.minimum(np.minimum(days, self.day), self.last)
        gap = self._gap(cut)
        decided = np.full(len(self.parcels), -1)
        for number, rule in enumerate(self.scenario.rules):
            asked = rule.early | (self.days.rule_due[number] <= cut)
            holds = rules.holding(rule, numbers[number], self.evidence.unseen, gap)
            decided[asked & (decided < 0) & holds] = number
        return decided

    def _gap(self, cut: Ints) -> Ints:
        """The longest gap of each parcel up to a day of each."""
        if all(rule.gap is None for rule in self.scenario.rules) or (cut == min(self.day, self.last)).all():
            return self.evidence.gap
        history = self.case.history
        first, end = history.parameters.mowing.season.days(history.year)
        ndvi = history.until(min(self.day, self.last), self.parcels).ndvi
        return gaps(ndvi, first, np.minimum(np.minimum(self.days.due, cut), end))

    def _looks(self, days: Ints) -> list[tuple[int, ...]]:
        """Of each parcel the clear looks up to a day of each: since each rule was due, and at last the scenario."""
        looks = self.case.history.looks_at(self.parcels)
        cut = np.minimum(np.minimum(days, self.day), self.last)
        counts = [
            np.bincount(
                looks.owner, (looks.day >= due[looks.owner]) & (looks.day <= cut[looks.owner]), minlength=len(cut)
            ).astype(np.int64)
            for due in (*self.days.rule_due, self.days.due)
        ]
        return list(zip(*(count.tolist() for count in counts), strict=True))

    def _of(self, index: int, day: int, number: int, looks: tuple[int, ...]) -> Said | None:
        """What is said of a parcel by the calendar of a day, given the rule that holds then."""
        rule = self.scenario.rules[number] if number >= 0 else None
        final, cut = int(self.days.due[index]), min(day, self.last)
        own = int(self.days.rule_due[number, index]) if rule else final
        if rule and rule.early and rule.colour != "red" and (rule.colour == "green" or final > day):
            return Said(rule.colour, rule.reason, own, NEVER, number)
        is_final = final <= cut or rule is None or rule.early
        due, seen = (final, looks[-1]) if is_final else (own, looks[number])
        if cut < due:
            return self._uncertain(rule, own, number, early=True) if rule else self._waits(index, cut)
        enough = looks_asked(self.scenario, self.case.history.parameters)
        if seen < enough:
            return self._unseen(due, day, seen, enough, number)
        return self._uncertain(rule, own, number, early=rule.early) if rule else None

    def _uncertain(self, rule: Rule, due: int, number: int, *, early: bool) -> Said:
        """What is said by a rule that holds, where the next look may still change it."""
        turned = NEVER if early else due
        if rule.colour in ("red", "green"):
            return Said("yellow", f"not certain yet: {rule.reason}", due, turned, number)
        return Said(rule.colour, rule.reason, due, turned, number)

    def _waits(self, index: int, cut: int) -> Said:
        """What is said before a rule, or the scenario, is due: when the next of them is."""
        dues = [
            int(due[index]) for rule, due in zip(self.scenario.rules, self.days.rule_due, strict=True) if not rule.early
        ]
        due = min(due for due in (*dues, int(self.days.due[index])) if due > cut)
        return Said(NOT_YET_DUE, f"is judged on {as_date(due)}", due, NEVER, -1)

    def _unseen(self, due: int, day: int, looks: int, enough: int, number: int) -> Said:
        """What is said of a parcel after its due date without enough clear looks."""
        until = due + self.case.history.parameters.judging.wait
        if day <= until:
            reason = f"was due on {as_date(due)}, waits for clear looks until {as_date(until)}"
            return Said(NOT_YET_DUE, reason, due, due, number)
        reason = f"seen clearly {looks} of {enough} times since it was due on {as_date(due)}"
        return Said(CANNOT_BE_SEEN, reason, due, until + 1, number)


def _forward(was: Said | None, now: Said | None) -> Said | None:
    """What is said now, unless it lies behind what was said."""
    if was is None or _FORWARD[was.colour] == 0:
        return now
    return now if now is not None and _FORWARD[now.colour] >= _FORWARD[was.colour] else was
