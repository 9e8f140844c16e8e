"""cbm-lake run: one night by season.yaml, or night after night; cbm-lake runs: what they did."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from cbm_lake.cli.shared import Format, Shown, err, out, say, show
from cbm_lake.errors import HeldError, InvalidInputError, LakeError
from cbm_lake.files import clock

if TYPE_CHECKING:
    import pyarrow as pa

    from cbm_lake.season import Night
    from cbm_lake.season.journal import Entry
    from cbm_lake.season.step import Progress

DONE, FAILED, WRONG, HELD, INTERRUPTED, STOPPED = 0, 1, 2, 3, 130, 143
"""Exit status: all is done, or nothing was new; something failed, all else is done; the file is wrong; another run goes
on; Ctrl-C; SIGTERM."""
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_RESULTS: Final = {"unchanged": "nothing to do", "interrupted": "broken off"}
_OVERVIEW: Final = 200
"""Characters of a note where the last run is shown without being named."""
_STYLES: Final = {"done": "green", "failed": "red"}
_MARKS: Final = {"done": "✓", "failed": "✗"}

app = typer.Typer()


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What a night does, see docs/season.md.")] = Path(
        "season.yaml"
    ),
    once: Annotated[bool, typer.Option("--once", help="One run, then the end; so without --watch.")] = False,
    watch: Annotated[
        str | None, typer.Option("--watch", help="Again and again, from begin to begin: 6h, 90m, 1d.")
    ] = None,
) -> None:
    """Do the work of a night by a file; exit 0 done, 1 something failed, 2 the file is wrong, 3 another run goes on."""
    from cbm_lake import season

    seconds = None if watch is None else _seconds(watch)
    if once and watch:
        raise typer.BadParameter("either once or again and again", param_hint="--once / --watch")
    _read(file)
    with _stopped_by_sigterm(), _ended_with_status(), _watcher() as watcher:
        if seconds is None:
            raise typer.Exit(_status(season.run(file, watcher=watcher), watcher))
        for night in season.watch(file, seconds, watcher=watcher):
            if isinstance(night, LakeError):
                for line in str(night).splitlines():
                    watcher.say(f"error: {line}", "red")
            else:
                _status(night, watcher)


@app.command()
def runs(
    run: Annotated[str | None, typer.Argument(help="Which run; the last one without it.")] = None,
    output: Shown = Format.table,
) -> None:
    """Show what a run did, step by step, from the journal of the lake; below, what there is to say of steps."""
    from cbm_lake import season

    rows = season.steps(run)
    if output is not Format.table or not rows.num_rows:
        show(rows, output, "runs")
        return
    first = rows.slice(0, 1).to_pylist()[0]
    title = f"run {first['run']} of {first['who']}, begun {first['started']:%Y-%m-%d %H:%M:%S} UTC"
    words = _in_words(rows)
    show(words.drop_columns(["note"]), output, title, folded=True)
    for row in words.to_pylist():
        if row["note"]:
            say(f"{row['step']}: {row['note'] if run else _shortened(row['note'], first['run'])}")


def _shortened(note: str, run: str) -> str:
    """A note of a length that an overview has room for."""
    if len(note) <= _OVERVIEW:
        return note
    return f"{note[:_OVERVIEW].rsplit(' ', 1)[0]} …; `cbm-lake runs {run}` says all"


def _in_words(rows: pa.Table) -> pa.Table:
    """The steps of a run for a person: what, what came of it, how long it took, and what there is to say."""
    import pyarrow as pa

    listed = [row for row in rows.to_pylist() if row["status"] != "begun"]
    running = not any(row["step"] == "run" for row in listed)
    words = [
        {
            "step": "the whole run" if row["step"] == "run" else _title(row),
            "result": _RESULTS.get(row["status"], row["status"]),
            "scenes": row["scenes"] or None,
            "rows": row["rows"] or None,
            "took": _duration(row["seconds"]),
            "note": row["problem"],
        }
        for row in listed
    ]
    empty = dict.fromkeys(("scenes", "rows", "took"))
    if running:
        words.append({"step": "the whole run", "result": "still running, or killed", **empty, "note": None})
    schema = pa.schema([(name, pa.int64() if name in ("scenes", "rows") else pa.string()) for name in words[0]])
    return pa.Table.from_pylist(words, schema=schema)


def _title(row: dict[str, Any]) -> str:
    from cbm_lake.season.journal import Key

    return Key(row["step"], row["aoi"], row["year"], row["ptype"], row["what"]).title


def _duration(seconds: float | None) -> str | None:
    """A time in the units that a person reads: 0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return None
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _read(file: Path) -> None:
    """End with the status of a wrong file where it is wrong, with a line for each fault, before anything is done."""
    from cbm_lake import season
    from cbm_lake.lake import open_lake

    try:
        season.read(file, open_lake())
    except InvalidInputError as error:
        _say(error)
        raise typer.Exit(WRONG) from error


def _say(error: LakeError) -> None:
    for line in str(error).splitlines():
        err.print(f"error: {line}", style="red", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _ended_with_status() -> Iterator[None]:
    """Why a run could not begin, or was ended, as line and status, when the bars are off the terminal."""
    try:
        yield
    except HeldError as error:
        _say(error)
        raise typer.Exit(HELD) from error
    except InvalidInputError as error:  # of a file that has changed since it was read
        _say(error)
        raise typer.Exit(WRONG) from error
    except KeyboardInterrupt as error:
        err.print("stopped: the next run goes on from here", style="red")
        raise typer.Exit(INTERRUPTED) from error


def _seconds(text: str) -> float:
    """A time between runs: 6h, 90m, 45s, 1d."""
    written = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip())
    length = timedelta(**{_UNITS[written[2]]: float(written[1])}).total_seconds() if written else 0.0
    if not length:
        raise typer.BadParameter(f"{text!r} is no time between runs; write 6h, 90m or 1d", param_hint="--watch")
    return length


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """End as SIGTERM asks, with the lock given back and the journal written."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(STOPPED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _status(night: Night, watcher: _Watcher) -> int:
    watcher.say(f"run {night.run}: {night.outcome}, {night.seconds:,.1f} s", "red" if night.failed else None)
    return FAILED if night.failed else DONE


# -- what is shown ----------------------------------------------------------------------------------------------------


class _Watcher(logging.Handler):
    """Lines, each with its time where they go into a log; on a terminal a bar too. Warnings are lines among them."""

    def __init__(self, console: Console, bars: Bars | None) -> None:
        super().__init__(logging.WARNING)
        self._console, self._bars = console, bars
        self._task: Any = None

    def begin(self, title: str) -> Progress:
        """Show a bar for the step."""
        if self._bars is None:
            return lambda _done, _total: None
        bars = self._bars
        task = bars.add_task(title, total=None)
        self._task = task
        return lambda done, total: bars.update(task, completed=done, total=total or None)

    def end(self, entry: Entry) -> None:
        """Put a line in the place of the bar."""
        if self._bars is not None and self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
        mark = f"{_MARKS.get(entry.status, '·')} " if self._bars is not None else ""
        self.say(f"{mark}{entry.key.title}: {entry.outcome}, {entry.seconds or 0:.1f} s", _STYLES.get(entry.status))

    def say(self, text: str, style: str | None = None) -> None:
        """Print a line."""
        time = "" if self._bars is not None else f"{clock.now():%Y-%m-%dT%H:%M:%SZ} "
        line = " ".join(f"{time}{text}".split())
        self._console.print(line, style=style, markup=False, highlight=False, soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a warning of the library."""
        self.say(f"warning: {record.getMessage()}", "yellow")


@contextmanager
def _watcher() -> Iterator[_Watcher]:
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    bars = Bars(*columns, TimeElapsedColumn(), console=out, transient=True) if out.is_terminal else None
    watcher, logger = _Watcher(out, bars), logging.getLogger("cbm_lake")
    logger.addHandler(watcher)
    try:
        if bars is None:
            yield watcher
        else:
            with bars:
                yield watcher
    finally:
        logger.removeHandler(watcher)
