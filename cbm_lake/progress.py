"""Progress of long work: callbacks of the caller, or a bar where one can be seen.

with reported(progress, "extract") as tell:
    tell(12, 203, "scene S2A_…")
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Literal, Protocol, TypeAlias

Callback: TypeAlias = Callable[..., None]
"""Called as (done, total), or as (done, total, step) where it takes three: step says in words what is going on."""
Wish: TypeAlias = Callback | Literal["auto"] | None
"""A callback, a bar where one can be seen ("auto"), or nothing."""
_WITHOUT_ESTIMATE: Final = 1.0
"""Seconds of work by which no time left is foretold."""


class Tell(Protocol):
    """What work calls as it goes on."""

    def __call__(self, done: int, total: int, step: str = "") -> None:
        """So many parts of all are done, and what is going on."""


class Pace:
    """Time left of work, by its mean speed since it began."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._total = self._done = self._first = -1
        self._began = 0.0

    def at(self, done: int, total: int) -> None:
        """Note how far it is; another total, or less than before, is another piece of work."""
        if total != self._total or done < self._done:
            self._began, self._first = self._clock(), done
        self._done, self._total = done, total

    def left(self) -> float | None:
        """Seconds until it is done; None where that is not known yet."""
        elapsed, done = self._clock() - self._began, self._done - self._first
        if done <= 0 or elapsed < _WITHOUT_ESTIMATE:
            return None
        return max(elapsed / done * (self._total - self._first) - elapsed, 0.0)


def in_words(done: int, total: int, step: str = "", left: float | None = None) -> str:
    """Progress in a line: 12 of 203 · scene S2A_… · about 40 s left."""
    parts = [f"{done:,} of {total:,}" if total else "", step, "" if left is None else f"about {duration(left)} left"]
    return " · ".join(filter(None, parts))


def duration(seconds: float) -> str:
    """A time in words: 40 s, 3 min, 2 h 5 min."""
    if seconds < 60:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def reported(progress: Wish, title: str) -> Iterator[Tell]:
    """The function to call as work goes on.

    Args:
        progress: a callback; "auto" is a bar in notebooks and on terminals, nothing elsewhere; None is nothing.
        title: of the bar.
    """
    if progress == "auto":
        with _bar(title) as tell:
            yield tell
    elif progress is None:
        yield _silent
    else:
        yield _adapted(progress)


def during(tell: Tell, step: str) -> Callable[[int, int], None]:
    """What a step of the work calls, which is then named."""
    return lambda done, total: tell(done, total, step)


def _silent(done: int, total: int, step: str = "") -> None:
    """Tell nobody."""


def _adapted(callback: Callback) -> Tell:
    """A callback of two or three arguments, called as one of three."""
    try:
        inspect.signature(callback).bind(0, 0, "")
    except TypeError:
        return lambda done, total, step="": callback(done, total)
    except ValueError:  # of a builtin
        return lambda done, total, step="": callback(done, total)
    return callback


@contextmanager
def _bar(title: str) -> Iterator[Tell]:
    """A bar in a notebook, else on a terminal, else nothing."""
    if threading.current_thread() is threading.main_thread() and _in_notebook():
        yield _of_widgets(title)
    elif sys.stderr.isatty():
        with _of_terminal(title) as tell:
            yield tell
    else:
        yield _silent


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel, with the widgets that a bar is made of."""
    ipython = sys.modules.get("IPython")
    is_kernel = ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
    return is_kernel and importlib.util.find_spec("ipywidgets") is not None


def _of_widgets(title: str) -> Tell:
    import ipywidgets

    bar, line, pace = ipywidgets.IntProgress(description=title), ipywidgets.Label("…"), Pace()
    bar.style.description_width = "auto"
    importlib.import_module("IPython.display").display(ipywidgets.HBox([bar, line]))

    def tell(done: int, total: int, step: str = "") -> None:
        pace.at(done, total)
        bar.max, bar.value = max(total, 1), done
        line.value = in_words(done, total, step, pace.left() if done < total else None)

    return tell


@contextmanager
def _of_terminal(title: str) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    name, step_column = (TextColumn(text, markup=False) for text in ("{task.description}", "{task.fields[step]}"))
    columns = (name, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), step_column)
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None, step="")

        def tell(done: int, total: int, step: str = "") -> None:
            bars.update(task, completed=done, total=total or None, step=step)

        yield tell
