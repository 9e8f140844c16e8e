"""Results that come after a part is drawn: worked out in a thread, shown one by one, and dropped for newer ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from cbm_lake.errors import LakeError

T = TypeVar("T")


class Arriving(Generic[T]):
    """Works in a thread of its own and shows what comes, as long as nothing newer was started.

    Args:
        show: called with each result, in the thread of the page where it has one that runs an event loop.
        failed: called with the error of the library that ended the work.
    """

    def __init__(self, show: Callable[[T], None], failed: Callable[[LakeError], None]) -> None:
        self._show, self._failed = show, failed
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="arriving")
        self._number = 0
        self._lock = threading.Lock()

    def start(self, work: Callable[[], Iterator[T]]) -> Future[None]:
        """Begin work that yields results; what was started before ends at its next result, unseen."""
        with self._lock:
            self._number += 1
            number = self._number
        return self._pool.submit(self._run, work, number, _loop())

    def stop(self) -> None:
        """Let nothing more be shown of what was started."""
        with self._lock:
            self._number += 1

    def _run(self, work: Callable[[], Iterator[T]], number: int, loop: asyncio.AbstractEventLoop | None) -> None:
        if number != self._number:
            return
        try:
            for result in work():
                if number != self._number:
                    return
                self._post(partial(self._show, result), number, loop)
        except LakeError as error:
            self._post(partial(self._failed, error), number, loop)

    def _post(self, call: Callable[[], None], number: int, loop: asyncio.AbstractEventLoop | None) -> None:
        """Call in the page's thread, if by then nothing newer was started."""

        def now() -> None:
            if number == self._number:
                call()

        if loop is not None and loop.is_running():
            loop.call_soon_threadsafe(now)
        else:
            now()


def _loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of this thread; None where it runs none, as in a script."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
