"""Deciding: a decision is bound to what is drawn, recorded in a thread, and can be taken back."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from cbm_lake import report
from cbm_lake.ipycbm import opened
from cbm_lake.ipycbm.desk.decisionbar import DecisionBar
from cbm_lake.ipycbm.desk.desks import DESKS, AmbiguousCaseError, Desk, MeanwhileError, Standing, Subject
from cbm_lake.ipycbm.desk.loading import Loader, summary
from cbm_lake.ipycbm.desk.state import Drawn, Request, State
from cbm_lake.ipycbm.panel import explained
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey

OWN: Final = "decision"
"""Name of the part that says what stands."""
LONGEST_NOTE: Final = 2000
"""Characters."""
_UNDOABLE: Final = 200
"""Decisions of this page that can be taken back, the last first."""


@dataclass(frozen=True)
class _Read:
    request: Request
    standing: Standing | None


class StandingPart:
    """The part of the page that says which decision stands on the parcel."""

    def __init__(self, state: State, lake: Lake, bar: DecisionBar, texts: Texts) -> None:
        self._state, self._lake, self._bar, self._texts = state, lake, bar, texts
        self.standing: Standing | None = None
        """As it is on the screen."""

    def read(self, request: Request) -> _Read:
        """What stands."""
        desk, name = DESKS[self._state.desk], self._state.subject
        return _Read(request, desk.standing(self._lake.at(None), request.key, name))

    def show(self, data: _Read) -> Drawn:
        """Say it."""
        self.standing = data.standing
        self._bar.standing = self._texts("standing", **words(self._texts, data.standing)) if data.standing else ""
        return Drawn(data.request.key, None, "", data.request.as_of)

    def clear(self, problem: str = "") -> None:
        """Say nothing, or why."""
        self.standing, self._bar.standing = None, problem


class Decisions:
    """What can be decided now, and what was.

    Args:
        state: what is chosen.
        lake: the lake.
        bar: on which all is said.
        texts: of the table "bench".
        advance: called from a thread after a decision was recorded or taken back, with the parcel that comes next:
            None is the next one without a decision.
    """

    def __init__(
        self, state: State, lake: Lake, bar: DecisionBar, texts: Texts, advance: Callable[[ParcelKey | None], None]
    ) -> None:
        self._state, self._lake, self._bar, self._texts, self._advance = state, lake, bar, texts, advance
        self._lock = threading.RLock()
        self._subject: Subject | None = None
        self._number = 0
        self._busy = ""
        self._done: list[tuple[Desk, Subject, Standing]] = []
        self.part = StandingPart(state, lake, bar, texts)
        self._loader: Loader | None = None

    def follow(self, loader: Loader) -> None:
        """Say what can be decided on, after anything has changed; called from any thread."""
        with self._lock:
            self._loader = loader
            key = self._state.key
            drawn = loader.drawn_of(key) if key.pid else None
            subject = self._subject_of(key, drawn) if drawn else None
            if subject != self._subject:
                self._subject, self._number = subject, self._number + 1
            self._bar.what = self._what(key, subject)
            lock = self._busy or ("" if subject else self._why(key, loader))
            with self._bar.hold_sync():
                self._bar.bound = {"number": self._number, "pid": key.pid} if subject and not lock else {}
                self._bar.locked = lock
                self._bar.undoable = bool(self._done) and not self._busy

    def decide(self, choice: str, note: str, number: int) -> None:
        """Record a decision on what had this number, and go on to the next parcel."""
        desk = DESKS[self._state.desk]
        if len(note) > LONGEST_NOTE:
            self.say("note_too_long", most=LONGEST_NOTE, characters=len(note))
            return
        subject = self._bound(number) if choice in desk.choices else None
        if subject:
            self._start("recording", lambda: self._record(desk, subject, choice, note))

    def undo(self) -> None:
        """Take back the last decision of this page."""
        with self._lock:
            if self._busy:
                return
            if not self._done:
                self.say("nothing_to_undo")
                return
            desk, subject, recorded = self._done.pop()
        self._start("recording", lambda: self._undo(desk, subject, recorded))

    def report(self, number: int) -> None:
        """Write the report of what had this number."""
        subject = self._bound(number)
        if subject:
            self._start("reporting", lambda: self._report(subject), pid=subject.key.pid)

    def say(self, text: str, **values: object) -> None:
        """Say a line on the bar."""
        self._bar.said = self._texts(text, **values)

    def _bound(self, number: int) -> Subject | None:
        """What is drawn, if it has this number; otherwise it is said that nothing was done."""
        with self._lock:
            if self._subject is None or number != self._number or self._busy:
                if not self._busy:
                    self.say("not_yet", pid=self._state.pid)
                return None
            return self._subject

    def _start(self, step: str, action: Callable[[], None], **values: object) -> None:
        """Run an action in a thread, locked meanwhile."""
        with self._lock:
            self._busy = self._texts(step, **values) + " …"
        self._refresh()
        threading.Thread(target=self._run, args=(action,), daemon=True).start()

    def _run(self, action: Callable[[], None]) -> None:
        try:
            with _Said(self):
                action()
        finally:
            self._busy = ""
            self._refresh()

    def _refresh(self) -> None:
        if self._loader:
            self.follow(self._loader)

    def _record(self, desk: Desk, subject: Subject, choice: str, note: str) -> None:
        recorded = desk.record(self._lake, subject, choice, note, opened.visitor())
        with self._lock:
            self._done = [*self._done, (desk, subject, recorded)][-_UNDOABLE:]
        self._bar.recorded()
        self.say("recorded", pid=subject.key.pid, decision=self._texts(choice))
        self._advance(None)

    def _undo(self, desk: Desk, subject: Subject, recorded: Standing) -> None:
        desk.undo(self._lake.at(None), subject, recorded, opened.visitor())
        self.say(desk.undone, pid=subject.key.pid)
        self._advance(subject.key)

    def _report(self, subject: Subject) -> None:
        key = subject.key
        with tempfile.TemporaryDirectory() as folder:
            written = report.parcel(
                key.aoi, key.year, key.pid, key.ptype or None, folder=folder, formats="pdf", lake=self._lake.at(None)
            )
            path = written.files["pdf"]
            self._bar.hand_over(path.name, path.read_bytes(), "application/pdf")
        self.say("reported", pid=key.pid, path=path.name)

    def _subject_of(self, key: ParcelKey, drawn: dict[str, Drawn]) -> Subject:
        as_of = min(each.as_of for each in drawn.values())
        parts = summary({name: each for name, each in drawn.items() if name != OWN})
        return Subject(key, self._state.subject, as_of, parts, self.part.standing)

    def _what(self, key: ParcelKey, subject: Subject | None) -> str:
        """The parcel, with the scenario or sample and the day of its image."""
        if not key.pid:
            return ""
        name = self._state.subject
        line = self._texts("of_scenario", pid=key.pid, scenario=name) if name else self._texts("parcel", pid=key.pid)
        days = {each["day"] for each in subject.pictures.values() if each["day"]} if subject else set()
        return f"{line} · {self._texts('image_of', day=min(days))}" if len(days) == 1 else line

    def _why(self, key: ParcelKey, loader: Loader) -> str:
        """Why nothing can be decided."""
        if not key.pid:
            return self._texts("none_chosen")
        standings = loader.standings()
        names = ", ".join(self._texts(name) for name, each in standings.items() if each.loading)
        if names:
            return self._texts("loading", pid=key.pid, parts=names)
        for name, each in standings.items():
            if each.problem:
                return self._texts("failed", part=self._texts(name), problem=each.problem)
        return self._texts("differs", pid=key.pid)

    def explain(self, error: Exception) -> None:
        """Say an error of an action."""
        pid = self._state.pid
        if isinstance(error, MeanwhileError):
            self.say("meanwhile", pid=pid, **words(self._texts, error.standing))
            self._advance(self._state.key)
        elif isinstance(error, AmbiguousCaseError):
            text = "several_cases" if error.scenarios else "no_case"
            self.say(text, pid=pid, **({"scenarios": ", ".join(error.scenarios)} if error.scenarios else {}))
        else:
            self._bar.said = explained(error)


class _Said:
    """Context manager that says the error of an action on the bar."""

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Say an error; what ends a process goes on."""
        if not isinstance(error, Exception):
            return False
        self._decisions.explain(error)
        return True


def words(texts: Texts, standing: Standing) -> dict[str, str]:
    """A decision that stands, in words."""
    decided: date | datetime = standing.decided
    return {"decision": texts(standing.decision), "who": standing.who, "decided": f"{decided:%Y-%m-%d %H:%M} UTC"}
