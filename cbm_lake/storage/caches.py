"""The in-memory caches of a lake: each is bounded in bytes, and closing the lake frees all of them.

They contain only immutable values: footers and row groups of files with unique names, versions of parcel sets, pixel
indexes. Changes of a lake are detected by `lake.snapshots`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Final, TypeVar, cast

T = TypeVar("T")
_MEGABYTE: Final = 1 << 20


class Cache:
    """An LRU cache bounded by the total size of its values; the newest value always stays.

    Args:
        megabytes: the limit.
    """

    def __init__(self, megabytes: int) -> None:
        self.limit = megabytes * _MEGABYTE
        self.size = 0
        """Bytes of all values."""
        self.misses = 0
        """How many values were made."""
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value of a key, created where it is not cached; concurrent threads may each create it.

        Args:
            key: of the value.
            make: makes it; what it raises is not cached.
            size: the bytes of a value.
        """
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return cast("T", self._values[key][0])
        value = make()
        self._put(key, value, size(value))
        return value

    def _put(self, key: Hashable, value: object, size: int) -> None:
        with self._lock:
            self.misses += 1
            self.size += size - self._values.pop(key, (None, 0))[1]
            self._values[key] = value, size
            while self.size > self.limit and len(self._values) > 1:
                self.size -= self._values.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Free all values."""
        with self._lock:
            self._values.clear()
            self.size = 0


class Caches:
    """The caches of one lake; docs/lake.md lists them."""

    def __init__(self) -> None:
        self.file_ends = Cache(64)
        """In an object store: size, time and last bytes of Parquet files."""
        self.footers = Cache(64)
        """Footers of files of signatures: 1 MB each of a compacted file."""
        self.row_groups = Cache(96)
        """Row groups of look-ups, decoded: 1.5 MB each of a compacted file. Neighbours are often asked for in turn."""
        self.parcel_sets = Cache(400)
        """Parcel sets of a server, which is asked often: 100 MB each of half a million parcels."""
        self.extraction = Cache(512)
        """In workers: pixel indexes and geometries of the parcels that are extracted, from scene to scene."""
        self.worklists = Cache(500)
        """Rows of worklists, 100 MB each of half a million parcels, and the orders in which they were asked for."""
        self.checkpoints = Cache(1)
        """Which checkpoints of logs were seen to be sound."""

    def __iter__(self) -> Iterator[tuple[str, Cache]]:
        """Each cache by its name."""
        return iter(vars(self).items())

    def clear(self) -> None:
        """Free all of them."""
        for _, cache in self:
            cache.clear()
