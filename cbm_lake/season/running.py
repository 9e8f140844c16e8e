"""`run`: one night, or one after another; every step is tried, and what fails stops no other."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cbm_lake.errors import INTERRUPTED, LakeError, wrong_argument
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.season.journal import Entry, Journal, Outcome, Stopwatch
from cbm_lake.season.nightly import Steps
from cbm_lake.season.reading import read
from cbm_lake.season.step import Progress, Step

log = logging.getLogger(__name__)

LOCK = "night run"
"""The purpose of the lease."""


class Watcher(Protocol):
    """Who is told of the steps of a run."""

    def begin(self, title: str) -> Progress:
        """A step begins; gives what is called with the number done and the total."""

    def end(self, entry: Entry) -> None:
        """A step has ended."""


class _Silent:
    """Nobody."""

    def begin(self, title: str) -> Progress:
        return lambda _done, _total: None

    def end(self, entry: Entry) -> None:
        pass


@dataclass(frozen=True)
class Night:
    """What a run did."""

    run: str
    """Its identifier in the journal, the table `runs`."""
    steps: tuple[Entry, ...]
    """In order."""
    seconds: float

    @property
    def failed(self) -> tuple[Entry, ...]:
        """The steps that could not be done."""
        return tuple(entry for entry in self.steps if entry.failed)

    @property
    def changed(self) -> tuple[Entry, ...]:
        """The steps that had something to do, and did it."""
        return tuple(entry for entry in self.steps if entry.status == "done")

    @property
    def outcome(self) -> str:
        """In one line."""
        counts = Counter(entry.status for entry in self.steps)
        words = {"done": "steps done", "unchanged": "had nothing to do", "failed": "failed", "not run": "not run"}
        always = ("done", "unchanged")
        return ", ".join(
            f"{counts[status]} {text}" for status, text in words.items() if counts[status] or status in always
        )


def run(path: str | Path, *, lake: Lake | None = None, watcher: Watcher | None = None) -> Night:
    """Run one night by the file of a season, from loading changed parcels to exports and compaction.

    What is done is not done again, so a run that was killed is continued by the next one. A step that fails is noted
    in the journal (table `runs`) with its reason, and the others go on; see `Night.failed`.

    Args:
        path: season.yaml, docs/season.md describes it.
        lake: the lake; None is the workspace's.
        watcher: who is told of each step.

    Raises:
        InvalidInputError: something in the file is wrong, each of which is a line of the message; nothing was done.
        HeldError: another run is going on in this lake; nothing was done.
        SourceError: the lake cannot be read or written.
    """
    lake = lake_or_default(lake)
    season = read(path, lake)
    with lake.alone(LOCK) as lease:
        journal, stopwatch = Journal(lake, str(season.file)), Stopwatch()
        journal.begin()
        with _ending(journal):
            for step in Steps(season, lake, journal.run):
                lease.check()
                _try(step, journal, watcher or _Silent())
        return Night(journal.run, tuple(journal.entries), stopwatch.seconds)


@contextmanager
def _ending(journal: Journal) -> Iterator[None]:
    """Note the end of a run, however it ends."""
    status, problem = "interrupted", None
    try:
        yield
        failed = sum(entry.failed for entry in journal.entries)
        status = "failed" if failed else "done"
        problem = f"{failed} of {len(journal.entries)} steps failed" if failed else None
    except LakeError as error:
        problem = str(error)
        raise
    except BaseException as error:
        problem = _named(error)
        raise
    finally:
        journal.end(status, problem)


def _named(error: BaseException) -> str:
    """The type of an error that is not one of the lake's, and its text."""
    return ": ".join(filter(None, (type(error).__name__, str(error))))


def _try(step: Step, journal: Journal, watcher: Watcher) -> None:
    """Do a step, unless it is done."""
    progress, stopwatch = watcher.begin(step.key.title), Stopwatch()
    try:
        entry = _done(step, journal, progress, stopwatch)
    except LakeError as error:
        entry = stopwatch.entry(step.key, "failed", problem=str(error))
    except Exception as error:  # the one border where any is caught: a fault of one step must not end the whole night
        if isinstance(error, RuntimeError) and str(error) == INTERRUPTED:
            journal.add(stopwatch.entry(step.key, "interrupted", problem=INTERRUPTED))
            raise KeyboardInterrupt from error
        log.exception("%s failed", step.key.title)
        entry = stopwatch.entry(step.key, "failed", problem=_named(error))
    except BaseException as error:
        journal.add(stopwatch.entry(step.key, "interrupted", problem=_named(error)))
        raise
    journal.add(entry)
    watcher.end(entry)


def _done(step: Step, journal: Journal, progress: Progress, stopwatch: Stopwatch) -> Entry:
    read_before = step.reads() if step.reads else None
    if step.reads and journal.is_done(step.key, step.state(read_before)):
        return stopwatch.entry(step.key, "unchanged", state=step.state(read_before))
    done = step.work(progress)
    state = step.state(read_before) if step.reads else None
    outcome = Outcome(rows=done.rows, scenes=done.scenes, problem=done.note, state=state)
    return stopwatch.entry(step.key, done.status, **outcome)


def watch(
    path: str | Path,
    seconds: float,
    *,
    lake: Lake | None = None,
    watcher: Watcher | None = None,
    stop: threading.Event | None = None,
) -> Iterator[Night | LakeError]:
    """Run again and again, so many seconds from begin to begin; the file is read anew each time.

    Args:
        path: season.yaml.
        seconds: from the begin of a run to that of the next; one that takes longer is followed at once.
        lake: the lake; None is the workspace's.
        watcher: who is told of each step.
        stop: ends it when it is set.

    Yields:
        What each run did, or why it could not begin: the next one is tried all the same.

    Raises:
        InvalidInputError: the seconds are not above 0.
    """
    if not seconds > 0:
        raise wrong_argument("seconds", f"{seconds} is no time between runs; give more than 0")
    stop = stop or threading.Event()
    while not stop.is_set():
        stopwatch = Stopwatch()
        try:
            yield run(path, lake=lake, watcher=watcher)
        except LakeError as error:
            yield error
        stop.wait(max(0.0, seconds - stopwatch.seconds))
