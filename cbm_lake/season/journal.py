"""The journal of runs: what each did, when, how long it took, what failed and why; the table `runs`.

What is later is said by the sequence of rows, which the table numbers, and by their number in the run: clocks decide
nothing. A run whose last row is not its end was killed, or goes on.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypedDict, Unpack

import pyarrow as pa

from cbm_lake.errors import NotFoundError
from cbm_lake.files import clock, installed
from cbm_lake.files.validation import meant
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.storage.leases import whoami

log = logging.getLogger(__name__)

RUN: Final = "run"
"""The step that is a whole run: its begin and its end."""
_TOLERATED: Final = timedelta(minutes=1)
"""By which clocks of machines may differ."""


@dataclass(frozen=True)
class Key:
    """The identity of a step in every run."""

    step: str
    aoi: str | None = None
    year: int | None = None
    ptype: str | None = None
    what: str | None = None

    @property
    def title(self) -> str:
        """In progress and log: extract demo 2024 s2."""
        key = (self.aoi, str(self.year) if self.year else None, self.ptype or None)
        return " ".join(filter(None, (self.step, *key, self.what)))


@dataclass(frozen=True)
class Entry:
    """A row of the journal, without the run that it belongs to."""

    key: Key
    status: str
    """begun, done, unchanged, failed, interrupted, not run."""
    started: datetime
    finished: datetime | None
    seconds: float | None
    rows: int = 0
    scenes: int = 0
    problem: str | None = None
    """Why it failed, or what is odd about it."""
    state: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it could not be done."""
        return self.status == "failed"

    @property
    def outcome(self) -> str:
        """In words."""
        counts = ((self.scenes, "scenes"), (self.rows, "rows"))
        numbers = ", ".join(f"{count:,} {noun}" for count, noun in counts if count)
        texts = (self.status if self.failed or not numbers else numbers, self.problem)
        return ": ".join(filter(None, texts))


class Outcome(TypedDict, total=False):
    """The optional fields of `Entry`."""

    rows: int
    scenes: int
    problem: str | None
    state: str | None


class Stopwatch:
    """Time since its start: by the clock for people, by a steady counter for durations."""

    def __init__(self) -> None:
        self.started, self._begun = clock.now(), time.monotonic()

    @property
    def seconds(self) -> float:
        """Since its start."""
        return time.monotonic() - self._begun

    def entry(self, key: Key, status: str, **others: Unpack[Outcome]) -> Entry:
        """An entry that ends now."""
        return Entry(key, status, self.started, clock.now(), self.seconds, **others)


class Journal:
    """The journal of one run, to which it adds its steps."""

    def __init__(self, lake: Lake, file: str) -> None:
        self.run = f"{clock.now():%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
        self.entries: list[Entry] = []
        self._lake, self._file, self._who = lake, file, whoami()
        self._waiting: list[dict[str, Any]] = []
        self._watch = Stopwatch()
        self._states = _states(lake)

    def begin(self) -> None:
        """Note that the run begins; warns of an earlier one that did not end, and of one of the future.

        Raises:
            SourceError: the lake cannot be written.
        """
        last = last_run(self._lake)
        if last is not None and last["outcome"] is None:
            log.warning(
                "run %s of %s, begun %s, was ended before it had finished; what it did is not done again",
                last["run"],
                last["who"],
                f"{last['started']:%Y-%m-%d %H:%M}Z",
            )
        if last is not None and max(last["started"], last["finished"] or last["started"]) > clock.now() + _TOLERATED:
            log.warning(
                "the last run, %s, is of %s, which is in the future by the clock of this machine (%s): one of the two "
                "clocks is wrong; what is later is said by the numbers of rows, so nothing is lost",
                last["run"],
                f"{last['finished'] or last['started']:%Y-%m-%d %H:%M}Z",
                f"{clock.now():%Y-%m-%d %H:%M}Z",
            )
        self._add(Entry(Key(RUN), "begun", self._watch.started, None, None), 0)
        self._write()

    def add(self, entry: Entry) -> None:
        """Note a step; one that changed nothing is written with the next that did."""
        self.entries.append(entry)
        self._add(entry, len(self.entries))
        if entry.status != "unchanged":
            self._write()

    def end(self, status: str, problem: str | None) -> Entry:
        """Note that the run has ended."""
        rows, scenes = (sum(getattr(entry, name) for entry in self.entries) for name in ("rows", "scenes"))
        entry = self._watch.entry(Key(RUN), status, problem=problem, rows=rows, scenes=scenes)
        self._add(entry, len(self.entries) + 1)
        self._write()
        return entry

    def is_done(self, key: Key, state: str) -> bool:
        """Whether a step was done last with what there is now, and what it wrote is still there."""
        return self._states.get(key) == state

    def _add(self, entry: Entry, number: int) -> None:
        columns = {name: value for name, value in asdict(entry).items() if name != "key"}
        origin = {"who": self._who, "file": self._file, "version": installed.version()}
        self._waiting.append({"run": self.run, "number": number, **asdict(entry.key), **columns, **origin})

    def _write(self) -> None:
        self._lake.add_runs(pa.Table.from_pylist(self._waiting, schema=schemas.RUNS))
        self._waiting.clear()


def _states(lake: Lake) -> Mapping[Key, str]:
    """The state in which each step was last done."""
    rows = lake.query("season.states").to_pylist()
    return {Key(**{name: row[name] for name in ("step", "aoi", "year", "ptype", "what")}): row["state"] for row in rows}


def steps(run: str | None = None, *, lake: Lake | None = None) -> pa.Table:
    """What a run did, step by step: the rows of the table `runs`.

    Args:
        run: its identifier; None is the last one.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: there was no such run.
    """
    lake = lake_or_default(lake)
    rows = lake.query("season.steps", run=run)
    if run is not None and not rows.num_rows:
        raise NotFoundError(f"there was no run {run!r}; {meant(run, lake.query('season.runs')['run'].to_pylist())}")
    return rows


def last_run(lake: Lake) -> dict[str, Any] | None:
    """The last run: run, who, file, started, finished, seconds, outcome, problem, steps, failed, good.

    Returns:
        `outcome` is done, failed or interrupted, None while it runs, or after it was killed; `active` is the time of
        its latest row; `good` is when the last run without failures ended. None where there was no run.
    """
    rows = lake.query("season.last").to_pylist()
    return rows[0] if rows else None
