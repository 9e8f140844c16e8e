"""Desks: what can be decided at the workbench, on what, and how it is recorded and taken back.

A desk has the choices, reads what stands, records and undoes; the page around it is the same for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from cbm_lake import cases, qa
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey

Pictures = dict[str, dict[str, str | None]]
"""Day and layer by part, of what was drawn."""


@dataclass(frozen=True)
class Choice:
    """A decision that a desk offers."""

    key: str
    """On the keyboard."""


@dataclass(frozen=True)
class Standing:
    """The decision that stands on a parcel."""

    decision: str
    who: str
    decided: datetime
    note: str = ""
    number: int = 0
    """Of the judgement; 0 where the desk counts none."""
    thing: str = ""
    """The scenario that was judged, or the case that was closed."""


@dataclass(frozen=True)
class Subject:
    """On what is decided, as it was drawn."""

    key: ParcelKey
    name: str
    """The scenario, "" for the declaration as a whole; or the sample."""
    as_of: datetime
    """open_lake(as_of=…) shows what was seen."""
    pictures: Pictures = field(default_factory=dict)
    standing: Standing | None = None
    """What was said to stand when it was drawn."""


class MeanwhileError(InvalidInputError):
    """Somebody else has decided since the parcel was drawn."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(f"{standing.who} has decided {standing.decision} meanwhile; look again")
        self.standing = standing


class AmbiguousCaseError(InvalidInputError):
    """Not exactly one case of the parcel could be closed; scenarios are those of the cases."""

    def __init__(self, key: ParcelKey, scenarios: list[str]) -> None:
        super().__init__(f"parcel {key} has {len(scenarios)} cases that can be closed; choose the scenario")
        self.scenarios = scenarios


class Desk(Protocol):
    """What is decided on."""

    @property
    def choices(self) -> Mapping[str, Choice]:
        """By the names under which decisions are recorded."""

    @property
    def table(self) -> str:
        """The table of the lake with the decisions: at another version of it there are new ones."""

    @property
    def undone(self) -> str:
        """Text that says what an undo has done."""

    def standing(self, lake: Lake, key: ParcelKey, name: str) -> Standing | None:
        """The decision that stands; None where there is none."""

    def record(self, lake: Lake, subject: Subject, decision: str, note: str, who: str | None) -> Standing:
        """Record a decision; returns it as it stands then.

        Raises:
            MeanwhileError: somebody else decided since the parcel was drawn; nothing is recorded.
            LakeError: it cannot be recorded.
        """

    def undo(self, lake: Lake, subject: Subject, recorded: Standing, who: str | None) -> None:
        """Take back what `record` returned, as far as the record allows it."""


class SeasonDesk:
    """Decides on lights, or where no scenario is chosen on the declaration as a whole."""

    choices: Final = {
        "confirmed": Choice("c"),
        "refused": Choice("r"),
        "photo": Choice("p"),
        "undecidable": Choice("n"),
    }
    table: Final = "judged"
    undone: Final = "undone"

    def standing(self, lake: Lake, key: ParcelKey, name: str) -> Standing | None:
        """The judgement that stands on a scenario, or the last one of all where none is chosen, as in the worklist."""
        return max(self._judgements(lake, key, name), key=lambda standing: standing.decided, default=None)

    def record(self, lake: Lake, subject: Subject, decision: str, note: str, who: str | None) -> Standing:
        """Record a judgement."""
        _check_unchanged(self, lake, subject)
        key = subject.key
        judged = self._judgements(lake.at(None), key, subject.name)
        earlier = [standing.number for standing in judged if standing.thing == subject.name]
        rows = cases.judge(
            key.aoi,
            key.year,
            key.pid,
            decision,
            note,
            ptype=key.ptype or None,
            scenario=subject.name or None,
            shown=subject.pictures,
            expected=max(earlier, default=0),
            who=who,
            lake=lake.at(subject.as_of),
        )
        return _judged(rows.to_pylist()[0])

    def undo(self, lake: Lake, subject: Subject, recorded: Standing, who: str | None) -> None:
        """Withdraw the judgement, unless somebody has decided since."""
        key = subject.key
        cases.withdraw(
            key.aoi,
            key.year,
            key.pid,
            ptype=key.ptype or None,
            scenario=subject.name or None,
            expected=recorded.number,
            who=who,
            lake=lake,
        )

    def _judgements(self, lake: Lake, key: ParcelKey, name: str) -> list[Standing]:
        """Those that stand on a scenario, or on any."""
        scenarios = [name] if name else None
        rows = cases.judgements(key.aoi, key.year, key.ptype, pids=key.pid, scenarios=scenarios, lake=lake)
        return [_judged(row) for row in rows.to_pylist()]


class SampleDesk:
    """Inspects the parcels of a QA sample. Verdicts stay in the record, so an undo leads back to the parcel only."""

    choices: Final = {"conforming": Choice("c"), "nonconforming": Choice("n"), "inconclusive": Choice("i")}
    table: Final = "inspections"
    undone: Final = "undone_sample"

    def standing(self, lake: Lake, key: ParcelKey, name: str) -> Standing | None:
        """The latest verdict on the parcel."""
        rows = [row for row in qa.inspections(name, lake=lake).to_pylist() if row["pid"] == key.pid]
        if not rows:
            return None
        last = rows[-1]
        return Standing(last["verdict"], last["inspector"], last["inspected"], last["note"], len(rows))

    def record(self, lake: Lake, subject: Subject, decision: str, note: str, who: str | None) -> Standing:
        """Record a verdict on all that the parcel was drawn for."""
        _check_unchanged(self, lake, subject)
        qa.inspect(subject.name, subject.key.pid, decision, note, who=who, lake=lake.at(subject.as_of))
        return _recorded(self, lake, subject)

    def undo(self, lake: Lake, subject: Subject, recorded: Standing, who: str | None) -> None:
        """Nothing: the next verdict stands then."""


class CasesDesk:
    """Closes cases with an outcome; an undo opens them again."""

    choices: Final = {"conforming": Choice("c"), "nonconforming": Choice("n"), "inconclusive": Choice("i")}
    table: Final = "decisions"
    undone: Final = "undone_case"
    _OPEN: Final = ("open", "notified", "answered")

    def standing(self, lake: Lake, key: ParcelKey, name: str) -> Standing | None:
        """The outcome of the case that was closed last, unless another is open."""
        rows = sorted(self._cases(lake, key, name), key=lambda row: row["decided"])
        if not rows or any(row["status"] in self._OPEN for row in rows):
            return None
        return _closed(rows[-1])

    def record(self, lake: Lake, subject: Subject, decision: str, note: str, who: str | None) -> Standing:
        """Close the one case of the parcel."""
        _check_unchanged(self, lake, subject)
        closable = [row for row in self._cases(lake, subject.key, subject.name) if row["status"] in self._OPEN]
        if len(closable) != 1:
            raise AmbiguousCaseError(subject.key, [row["scenario"] for row in closable])
        closed = cases.close(closable[0]["case_id"], decision, note, who=who, lake=lake.at(subject.as_of))
        return _closed(closed.to_pylist()[0])

    def undo(self, lake: Lake, subject: Subject, recorded: Standing, who: str | None) -> None:
        """Open the case again that was closed, unless somebody has decided on it since."""
        rows = self._cases(lake, subject.key, subject.name)
        now = next(_closed(row) for row in rows if row["case_id"] == recorded.thing)
        if now != recorded:
            raise MeanwhileError(now)
        cases.reopen(recorded.thing, "closed by mistake", who=who, lake=lake)

    def _cases(self, lake: Lake, key: ParcelKey, name: str) -> list[dict[str, Any]]:
        scenarios = [name] if name else None
        rows: list[dict[str, Any]] = cases.listed(
            key.aoi, key.year, key.ptype, scenarios=scenarios, pids=key.pid, lake=lake
        ).to_pylist()
        return rows


def _check_unchanged(desk: Desk, lake: Lake, subject: Subject) -> None:
    """Raise MeanwhileError unless what stands is what was said to stand when the parcel was drawn."""
    standing = desk.standing(lake.at(None), subject.key, subject.name)
    if standing is not None and standing != subject.standing:
        raise MeanwhileError(standing)


def _recorded(desk: Desk, lake: Lake, subject: Subject) -> Standing:
    """What was just recorded."""
    standing = desk.standing(lake.at(None), subject.key, subject.name)
    if standing is None:
        raise NotFoundError(f"what was recorded of parcel {subject.key} is not found again; check the lake")
    return standing


def _judged(row: dict[str, Any]) -> Standing:
    """A judgement of the lake."""
    return Standing(row["decision"], row["who"], row["decided"], row["note"], row["number"], row["scenario"])


def _closed(row: dict[str, Any]) -> Standing:
    """A case as it stands: its outcome, or its status where it has none."""
    return Standing(row["outcome"] or row["status"], row["who"], row["decided"], row["note"], thing=row["case_id"])


DESKS: Final[dict[str, Desk]] = {"season": SeasonDesk(), "sample": SampleDesk(), "cases": CasesDesk()}
"""By the values of `State.desk`."""
