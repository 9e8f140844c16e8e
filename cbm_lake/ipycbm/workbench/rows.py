"""Rows of the worklist as the page walks through them: what comes next, and how far it is."""

from __future__ import annotations

import threading

from cbm_lake import cases
from cbm_lake.errors import LakeError
from cbm_lake.ipycbm.workbench.state import State
from cbm_lake.lake import Lake


def worklist(state: State, lake: Lake) -> cases.Worklist:
    """The worklist of a state: of its desk, filtered, searched and sorted.

    Raises:
        LakeError: there is none, such as for a condition that cannot be.
    """
    ptype = state.ptype or None
    chosen = {"where": state.where, "search": state.search, "sort": state.sort}
    if state.desk == "sample":
        return cases.sample_worklist(state.subject, state.aoi, state.year, ptype, **chosen, lake=lake)
    make = cases.worklist if state.desk == "season" else cases.case_worklist
    return make(state.aoi, state.year, ptype, scenario=state.subject or None, **chosen, lake=lake)


class Rows:
    """Walks through the worklist of a state; each question is answered of what the lake holds then.

    Where the state's condition cannot be, the last worklist that could be counts: the table says what is wrong.
    """

    def __init__(self, state: State, lake: Lake) -> None:
        self._state, self._lake = state, lake
        self._lock = threading.Lock()
        self._last: cases.Worklist | None = None

    def progress(self) -> tuple[int, int]:
        """How many rows are decided, and how many there are."""
        rows = self._now()
        if rows is None:
            return 0, 0
        count = rows.count()
        return count.rows - count.open, count.rows

    def next_open(self, pid: str) -> str | None:
        """The next parcel without a decision after this one, after those at the end the first; None if none is left."""
        rows = self._now()
        place = rows.position(pid) if rows and pid else None
        following = rows.next_open(-1 if place is None else place) if rows else None
        return None if rows is None or following is None else _pid(rows, following)

    def step(self, pid: str, by: int) -> str | None:
        """The parcel so many rows below; None beyond the ends. The first one where this one is in no row."""
        rows = self._now()
        place = rows.position(pid) if rows and pid else None
        target = 0 if place is None else place + by
        return _pid(rows, target) if rows is not None and 0 <= target < len(rows.numbers) else None

    def following(self, pid: str, many: int) -> list[str]:
        """The parcels of the next rows."""
        rows = self._now()
        place = rows.position(pid) if rows and pid else None
        if rows is None or place is None:
            return []
        return [str(each) for each in rows.page(place + 1, many)["pid"].to_pylist()]

    def _now(self) -> cases.Worklist | None:
        if self._state.desk == "sample" and not self._state.subject:
            return None
        with self._lock:
            try:
                self._last = worklist(self._state, self._lake)
            except LakeError:
                if not (self._state.where or self._state.sort):
                    raise
            return self._last


def _pid(rows: cases.Worklist, place: int) -> str:
    return str(rows.page(place, 1)["pid"][0].as_py())
