"""A thread-safe registry of open objects: one per key and process, recreated after a fork."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")
_LAST: Final = 8
"""How many objects stay open without references."""


class Registry(Generic[T]):
    """Objects by key: each lives as long as it is referenced, and the most recently used few in any case.

    Args:
        leave: called with each object in a child process that was forked, where it is the parent's: its threads and
            locks do not work there.
    """

    def __init__(self, leave: Callable[[T], None]) -> None:
        self._leave = leave
        self._begin()
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._in_child)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._all: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._last: deque[T] = deque(maxlen=_LAST)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The object of a key, created where there is none."""
        with self._lock:
            item = self._all.get(key)
            if item is None:
                item = self._all[key] = make()
            if item in self._last:
                self._last.remove(item)
            self._last.append(item)
            return item

    def _in_child(self) -> None:
        inherited = list(self._all.values())
        self._begin()
        for each in inherited:
            self._leave(each)
