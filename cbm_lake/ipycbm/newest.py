"""Work beside the page of which only the newest request counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Generic, TypeVar

import ipywidgets

from cbm_lake.ipycbm.panel import reporting

THREAD: Final = "cbm-lake newest"
"""Name of the threads; they are short, and a process that ends waits for them: none may end inside the database."""
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Newest(Generic[Asked, Answer]):
    """Answers requests one after another in a thread; one that is followed by another meanwhile is dropped.

    Args:
        answer: does the work.
        show: called with what came, unless a newer request waits.
        problem: where errors are shown.
    """

    def __init__(
        self, answer: Callable[[Asked], Answer], show: Callable[[Answer], None], problem: ipywidgets.HTML
    ) -> None:
        self._answer, self._show, self._problem = answer, show, problem
        self._lock, self._is_working = threading.Lock(), False
        self._waiting: list[Asked] = []
        self._settled = threading.Event()
        self._settled.set()

    def ask(self, asked: Asked) -> None:
        """Begin, or take the place of a request that waits."""
        with self._lock:
            self._waiting = [asked]
            if self._is_working:
                return
            self._is_working = True
            self._settled.clear()
        threading.Thread(target=self._work, name=THREAD).start()

    def settled(self, seconds: float) -> bool:
        """Wait until all is answered; False if that takes longer."""
        return self._settled.wait(seconds)

    def _work(self) -> None:
        while request := self._next_request():
            with reporting(self._problem):
                answer = self._answer(request[0])
                if not self._waiting:
                    self._show(answer)

    def _next_request(self) -> list[Asked]:
        """The request that waits; none ends the work."""
        with self._lock:
            request, self._waiting = self._waiting, []
            if not request:
                self._is_working = False
                self._settled.set()
            return request
