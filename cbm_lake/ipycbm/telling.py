"""`Telling`: says every moment what a running action does, for how long, and the time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from cbm_lake.progress import Pace, duration, in_words

_TICK: Final = 0.5
"""Seconds after which it is said anew that an action still runs."""


class Telling:
    """Says a line about an action, from `begin` to `end`; what is said after that is not overwritten.

    Args:
        say: shows a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._began, self._pace, self._step = 0.0, Pace(), ""

    def begin(self) -> None:
        """An action begins."""
        self._ended = threading.Event()
        self._began, self._pace, self._step = time.monotonic(), Pace(), ""
        self._say("working …")
        threading.Thread(target=self._tick, args=(self._ended,), daemon=True).start()

    def step(self, done: int, total: int, step: str = "") -> None:
        """So much of it is done."""
        self._pace.at(done, total)
        self._step = in_words(done, total, step)
        self._tell(self._ended)

    def end(self) -> None:
        """It has ended, or is about to be stopped."""
        with self._lock:
            self._ended.set()

    def _tick(self, ended: threading.Event) -> None:
        while not ended.wait(_TICK):
            self._tell(ended)

    def _tell(self, ended: threading.Event) -> None:
        seconds, left = time.monotonic() - self._began, self._pace.left()
        parts = [
            self._step or "working …",
            f"for {duration(seconds)}" if seconds >= 1 else "",
            "" if left is None else f"about {duration(left)} left",
        ]
        with self._lock:
            if not ended.is_set():
                self._say(" · ".join(filter(None, parts)))
