"""Versions of views: how often the files that a view is made of have changed, and when.

A version is a count of changes: of the commits to the tables behind a view, and of the files of the catalogue and of
the parcels. It grows with every change whatever clocks say, so equal versions have equal rows. Only to find a former
one again are times needed: those of the files.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files.filenames import order_of_scenes, parts_of_parcels
from cbm_lake.lake import derived, needs, tables
from cbm_lake.lake.snapshots import Snapshot
from cbm_lake.storage.store import Store

_ENTRY: Final = re.compile(r"/_delta_log/(\d{20})\.(json|checkpoint\.parquet)$")
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"
_OF_PARCELS: Final = frozenset({"fiboa_parcels", "former_parcels", "parcel_versions", "unreadable"})
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Changes:
    """When the sources of a view changed."""

    former: int
    """Changes whose times are not kept; they come before all others."""
    times: tuple[datetime, ...]
    """Those of all others, in order."""

    def moment(self, version: int) -> datetime:
        """A moment at which that version was the newest.

        Raises:
            NotFoundError: there never was such a version, or its time is not kept.
        """
        number = version - self.former
        if not 1 <= number <= len(self.times):
            first, last = self.former + 1, self.former + len(self.times)
            raise NotFoundError(f"there is no version {version}", advice=f"there are {first} to {last}")
        return self.times[number - 1]

    def since(self, moment: datetime) -> int:
        """The first version that is not older than a moment.

        Raises:
            InvalidInputError: all are older.
        """
        number = bisect_left(self.times, moment)
        if number == len(self.times):
            raise InvalidInputError(f"nothing has changed since {moment:%Y-%m-%dT%H:%M:%SZ}; ask for an earlier time")
        return self.former + number + 1


@dataclass(frozen=True)
class Sources:
    """The files that a view is made of."""

    tables: tuple[str, ...]
    """Delta tables, by the names of `tables.of`."""
    catalogue: bool
    """Whether it reads the catalogue of scenes."""
    parcels: bool
    """Whether it reads parcels."""

    def version(self, snapshot: Snapshot) -> int:
        """The number of changes that a snapshot has seen; 0 when there were none yet."""
        commits = sum(version + 1 for name, version in snapshot.versions if name in self.tables and version is not None)
        files = (snapshot.scenes if self.catalogue else (), snapshot.all_parcels if self.parcels else ())
        return commits + sum(map(len, files))

    def state(self, snapshot: Snapshot) -> tuple[object, ...]:
        """What the rows depend on: of snapshots with equal ones a view has the same rows."""
        versions = zip(snapshot.versions, snapshot.remade, strict=True)
        commits = [(*version, remade) for version, remade in versions if version[0] in self.tables]
        files = (snapshot.scenes if self.catalogue else (), snapshot.all_parcels if self.parcels else ())
        return (*commits, *files)

    def changes(self, store: Store) -> Changes:
        """When they changed, by the files of a store."""
        former, times = 0, list(self._written(store))
        by_name = tables.of(store)
        for name in self.tables:
            entries = list(_entries(store, by_name[name].name))
            newest = max((version for version, _ in entries), default=-1)
            dated = {version: time for version, time in entries if time is not None}
            former += newest + 1 - len(dated)
            times += dated.values()
        return Changes(former, tuple(sorted(map(_whole, times))))

    def _written(self, store: Store) -> Iterator[datetime]:
        """When files of the catalogue and of parcels were written, by the clock of who wrote them."""
        scenes = store.files("scenes") if self.catalogue else []
        parcels = map(parts_of_parcels, store.files("parcels")) if self.parcels else ()
        stamps = [*(order_of_scenes(path).stamp for path in scenes), *(parts[4].stamp for parts in parcels if parts)]
        yield from (datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC) for stamp in stamps)


def sources_of(view: str, store: Store) -> Sources:
    """What a view, one of `needs`, is made of in a store."""
    made_of = {needs.created(each): needs.read_by(each.sql) for each in derived.definitions()}
    judging = frozenset(needs.read_by_steps("settling"))
    by_name = tables.of(store)
    visited: set[str] = set()
    waiting = [view]
    while waiting:
        name = waiting.pop()
        if name not in visited:
            visited.add(name)
            of_signatures = name in by_name and name.startswith("signatures_")
            aside = {name.replace("signatures_", "aside_", 1)} if of_signatures else set()
            waiting += (judging | aside) if of_signatures else made_of.get(name, ())
    return Sources(tuple(sorted(visited & by_name.keys())), "stac_scenes" in visited, bool(visited & _OF_PARCELS))


def _entries(store: Store, name: str) -> Iterable[tuple[int, datetime | None]]:
    """The versions in the log of a table, and when each was committed; of a checkpoint alone that is not known."""
    for path, info in store.listing(f"{name}/_delta_log").items():
        entry = _ENTRY.search(f"/{path}")
        if entry:
            yield int(entry[1]), info.mtime if entry[2] == "json" else None


def _whole(time: datetime) -> datetime:
    """The next whole millisecond, to which times in logs are exact."""
    part = time.microsecond % 1000
    return time.astimezone(UTC) + (_MILLISECOND - timedelta(microseconds=part) if part else timedelta())
