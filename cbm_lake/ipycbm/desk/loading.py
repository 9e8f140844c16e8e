"""Loading of what the workbench draws: every part reads in threads of its own, and the newest request wins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from cbm_lake.ipycbm.desk.state import Drawn, Part, Request
from cbm_lake.ipycbm.panel import explained
from cbm_lake.lake.keys import ParcelKey

_AT_ONCE: Final = 2
"""Reads of one part at the same time: a slow one of a former request does not hold up the newest."""


@dataclass(frozen=True)
class Slot:
    """A part, and on what of a request its picture depends."""

    part: Part[Any]
    needs: tuple[str, ...] = ("key",)
    """Fields of `Request`; a request that differs in others alone is not read again."""

    def of(self, request: Request) -> tuple[object, ...]:
        """What matters of a request."""
        return tuple(getattr(request, name) for name in self.needs)


@dataclass(frozen=True)
class Standing:
    """How a part stands."""

    drawn: Drawn | None
    """What is on the screen; None where nothing is, or an error."""
    loading: bool
    problem: str
    """Why nothing is drawn."""


class Loader:
    """Gives requests to the parts, and says what all of them show.

    Args:
        slots: the parts by their names.
        changed: called after each change of a standing, from any thread.
    """

    def __init__(self, slots: Mapping[str, Slot], changed: Callable[[], None]) -> None:
        self._channels = {name: _Channel(slot, changed) for name, slot in slots.items()}

    def ask(self, request: Request, *, again: Collection[str] = ()) -> None:
        """Draw a request; the parts `again` also where it is what they draw or load, since something else changed."""
        for name, channel in self._channels.items():
            channel.ask(request, again=name in again)

    def name_day(self, key: ParcelKey, day: str) -> None:
        """Take the clearest day of a parcel, which was asked for without its name, by its name from now on."""
        for channel in self._channels.values():
            channel.name_day(key, day)

    def clear(self, problem: str = "") -> None:
        """Show nothing; what is still read is dropped."""
        for channel in self._channels.values():
            channel.clear(problem)

    def standings(self) -> dict[str, Standing]:
        """How the parts stand, by their names."""
        return {name: channel.standing() for name, channel in self._channels.items()}

    def drawn_of(self, key: ParcelKey) -> dict[str, Drawn] | None:
        """What the parts show if all of them show this parcel and none is loading, else None."""
        standings = self.standings()
        drawn = {name: each.drawn for name, each in standings.items() if each.drawn and not each.loading}
        complete = len(drawn) == len(standings) and all(each.key == key for each in drawn.values())
        return drawn if complete else None


def summary(drawn: Mapping[str, Drawn]) -> dict[str, dict[str, str | None]]:
    """What was drawn, as it is recorded with a decision: day and layer by part."""
    return {name: {"day": _iso(each.day), "layer": each.layer} for name, each in drawn.items()}


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


class _Channel:
    """The requests of one part.

    A request is numbered; only the answer to the highest number is shown. At most `_AT_ONCE` reads run; a request that
    comes meanwhile is taken by the first of them that ends, unless a newer one has come.
    """

    def __init__(self, slot: Slot, changed: Callable[[], None]) -> None:
        self._slot, self._changed = slot, changed
        self._lock, self._showing = threading.Lock(), threading.Lock()
        self._asked: Request | None = None
        self._number = self._begun = self._running = 0
        self._standing = Standing(None, False, "")

    def standing(self) -> Standing:
        """How the part stands."""
        return self._standing

    def ask(self, request: Request, *, again: bool) -> None:
        """Read and show a request, unless it is what is shown or loading already."""
        with self._lock:
            if not again and self._is_answered(request):
                return
            self._asked, self._number = request, self._number + 1
            self._standing = Standing(self._standing.drawn, True, "")
            starts = self._running < _AT_ONCE
            self._running += starts
        self._changed()
        if starts:
            threading.Thread(target=self._work, name="cbm-part", daemon=True).start()

    def name_day(self, key: ParcelKey, day: str) -> None:
        """See `Loader.name_day`: what is drawn or loading answers a request for that day too."""
        with self._lock:
            if self._asked is not None and self._asked.key == key and not self._asked.day:
                self._asked = replace(self._asked, day=day)

    def clear(self, problem: str) -> None:
        """Show nothing, or a problem."""
        with self._lock:
            self._asked, self._number, self._begun = None, self._number + 1, self._number + 1
            self._standing = Standing(None, False, problem)
        with self._showing:
            self._slot.part.clear(problem)
        self._changed()

    def _is_answered(self, request: Request) -> bool:
        same = self._asked is not None and self._slot.of(self._asked) == self._slot.of(request)
        return same and (self._standing.loading or self._standing.drawn is not None)

    def _work(self) -> None:
        """Answer the newest request until none is left."""
        while (following := self._take()) is not None:
            number, request = following
            outcome = _Outcome()
            with outcome:
                outcome.data = self._slot.part.read(request)
            self._show(number, outcome)

    def _take(self) -> tuple[int, Request] | None:
        with self._lock:
            if self._asked is None or self._begun == self._number:
                self._running -= 1
                return None
            self._begun = self._number
            return self._number, self._asked

    def _show(self, number: int, outcome: _Outcome) -> None:
        """Put an answer on the screen unless a newer request has come."""
        with self._showing:
            if number != self._number:
                return
            drawn = None
            if not outcome.problem:
                with outcome:
                    drawn = self._slot.part.show(outcome.data)
            if outcome.problem:
                self._slot.part.clear(outcome.problem)
                drawn = None
            with self._lock:
                self._standing = Standing(drawn, number != self._number, outcome.problem)
        self._changed()


class _Outcome:
    """Data that were read, or the problem in words; as a context manager it takes the error of what is run in it."""

    def __init__(self) -> None:
        self.data: object = None
        self.problem = ""

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        """Put an error in words; what ends a process goes on."""
        if not isinstance(error, Exception):
            return False
        self.problem = explained(error)
        return True
