"""Snapshots: the scene files, parcel sets and table versions of a lake, now or as of a timestamp."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeVar

from deltalake import DeltaTable

from cbm_lake.errors import SourceError
from cbm_lake.files import filenames
from cbm_lake.files.filenames import Order
from cbm_lake.lake import tables
from cbm_lake.lake.keys import Params, ParcelKey
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.log import DamagedLogError, Newest
from cbm_lake.storage.store import Store

T = TypeVar("T")
_NAMING: Final = frozenset({"ledger", "checked_crops"})
"""Tables whose rows name rows of others that were written before."""
_TRUSTED: Final = 30.0
"""Seconds for which a snapshot of a lake in an object store is reused where no change was announced."""


@dataclass(frozen=True)
class ParcelSet:
    """One version of the declared parcels of an area and year."""

    aoi: str
    year: int
    ptype: str
    """Which of several parcel sets; "" is the main one."""
    version: str
    """Hash of the content, beginning with that of the geometries: the same parcels always have the same version."""
    loaded: str
    """When, as it stands in the file's name, by the clock of who loaded it."""
    path: str
    sequence: int = 0
    """1, 2, …: of two versions the one with the higher number was loaded later; 0 where version 0.1 loaded it."""

    @property
    def geometry_version(self) -> str:
        """The part of the version that is equal where all parcels have the same geometries."""
        return geometry_part(self.version)

    @property
    def geometry_key(self) -> tuple[str, int, str, str]:
        """The identity of its geometries, whatever the attributes and the time of loading."""
        return self.aoi, self.year, self.ptype, self.geometry_version

    @property
    def params(self) -> Params:
        """The parameters of a statement that asks about this parcel set."""
        return {"aoi": self.aoi, "year": self.year, "ptype": self.ptype}

    def key(self, pid: object) -> ParcelKey:
        """The key of the parcel of that identifier, whether it has one or not."""
        return ParcelKey(self.aoi, self.year, self.ptype, str(pid))

    @property
    def name(self) -> str:
        """The name in messages: ms 2024, or ms 2024 m."""
        return f"{self.aoi} {self.year} {self.ptype}".rstrip()


@dataclass(frozen=True)
class Snapshot:
    """The files that make up the lake at one time; equal snapshots give equal results."""

    scenes: tuple[str, ...]
    parcels: tuple[str, ...]
    """Those in force."""
    all_parcels: tuple[str, ...]
    """Parcel files of all versions."""
    former: tuple[str, ...]
    """Parcel files of the versions some of whose geometries may no longer be in force."""
    versions: tuple[tuple[str, int | None], ...]
    """Version of each Delta table; None where the table had not been made yet, -1 where its log is damaged."""
    tables: dict[str, DeltaTable] = field(compare=False, repr=False)
    """Those that had been made, opened at that version."""
    remade: tuple[int, ...] = ()
    """How often each table was deleted and recreated while the lake was open: its versions restart then."""
    damaged: dict[str, str] = field(default_factory=dict, compare=False)
    """Those whose logs are damaged: which file it is, and what to do."""


@dataclass
class _Opened:
    """A table as it was opened."""

    table: DeltaTable | DamagedLogError | None
    """None where it does not exist yet, or did not at the timestamp."""
    latest: int
    """Version of the newest entry of its log, whatever the timestamp; -1 without one."""
    newest: Newest | None
    """That entry, once it has been looked at."""
    remade: int
    """How often the table was recreated since it was first opened."""


@dataclass(frozen=True)
class _Noted:
    """A snapshot of a lake in an object store, and what its validity depends on."""

    snapshot: Snapshot
    change: str
    """The last change that was noted before it was taken."""
    until: float
    """When to look at everything again, by `time.monotonic`, since not all who write note it."""


class Snapshots:
    """The snapshots of a store: the current one whenever asked, or always the one as of a timestamp.

    On a disk each question looks at the names of scenes and parcels, and at the newest entry of each log. In an object
    store, where that is two dozen requests, it looks at one object that all writers replace after a change; at
    everything again after a change, and every half minute, since other programs do not replace it.
    """

    def __init__(self, store: Store, as_of: datetime | None) -> None:
        self.tables = tables.of(store)
        """Every table that a lake has, whether made yet or not, by the name of its view."""
        self._store = store
        self._as_of = as_of
        self._lock = threading.Lock()
        self._opened: dict[str, _Opened] = {}
        self._noted: _Noted | None = None

    def forget(self) -> None:
        """Free cached state; it is read again when needed."""
        with self._lock:
            self._opened.clear()
            self._noted = None

    def take(self) -> Snapshot:
        """The current snapshot."""
        change, noted, now = self._store.change(), self._noted, time.monotonic()
        if noted is not None and noted.change == change and now < noted.until:
            return noted.snapshot
        snapshot = self._look()
        self._noted = None if change is None else _Noted(snapshot, change, now + _TRUSTED)
        return snapshot

    def _look(self) -> Snapshot:
        opened = self._open()
        scenes = [path for path, order in self.scene_files() if not self._later(order)]
        sets = self.parcel_files()
        current = _in_force(sets)
        in_force = {parcels.geometry_key for parcels in current}
        logs = {name: each.table for name, each in opened.items()}
        return Snapshot(
            tuple(scenes),
            tuple(parcels.path for parcels in current),
            tuple(parcels.path for parcels in sets),
            tuple(parcels.path for parcels in sets if parcels.geometry_key not in in_force),
            tuple((name, _version(table)) for name, table in logs.items()),
            {name: table for name, table in logs.items() if isinstance(table, DeltaTable)},
            tuple(each.remade for each in opened.values()),
            {name: str(table) for name, table in logs.items() if isinstance(table, DamagedLogError)},
        )

    def parcel_sets(self) -> list[ParcelSet]:
        """The parcel sets in force: for each area, year and kind the one that was loaded last."""
        if not is_remote(self._store.url):
            return _in_force(self.parcel_files())
        sets = (_parcel_set(path) for path in self.take().parcels)
        return [parcels for parcels in sets if parcels]

    def parcel_files(self) -> list[ParcelSet]:
        """Every version as of the timestamp, in the order in which they were loaded, whatever clocks said."""
        sets = [_parcel_set(path) for path in self._store.files("parcels")]
        counting = [each for each in sets if each and not self._later(Order(each.sequence, each.loaded))]
        return sorted(counting, key=lambda version: (version.sequence, version.loaded, version.version))

    def scene_files(self) -> list[tuple[str, Order]]:
        """Every file of the catalogue, whatever the timestamp, in the order in which they were written."""
        files = [(path, filenames.order_of_scenes(path)) for path in self._store.files("scenes")]
        return sorted(files, key=lambda file: (file[1], file[0]))

    def _later(self, order: Order) -> bool:
        """Whether a file was written after the timestamp, by the clock of its writer."""
        return self._as_of is not None and order.stamp > filenames.stamp(self._as_of)

    def _open(self) -> dict[str, _Opened]:
        """The Delta tables, read again only when their logs have moved on.

        The ledger is read before the signatures that it speaks of, and looked at again after them: what counts by it
        has been written by then, and has not been compacted away since. So are the signatures that were set aside: each
        row is in the one table or the other at any time, and so in what was read. Verdicts on crops are read before
        the checks that they name, which were written before them.
        """
        first = [name for name in self.tables if name in _NAMING or name.startswith("aside_")]
        others = [name for name in self.tables if name not in first]
        with self._lock:
            while True:
                for names in (first, others):
                    self._each(self._renew, names)
                if self._as_of is not None or not any(self._each(self._has_moved_on, first)):
                    return {name: self._opened[name] for name in self.tables}

    def _each(self, work: Callable[[str], T], names: list[str]) -> list[T]:
        """Do work for each table, at once where a look takes time."""
        if is_remote(self._store.url) or not self._opened.keys() >= set(names):
            with ThreadPoolExecutor(len(names)) as pool:
                return list(pool.map(work, names))
        return list(map(work, names))

    def _renew(self, name: str) -> None:
        """Read a table again when its log has moved on."""
        opened = self._opened.get(name)
        if opened is None or isinstance(opened.table, DamagedLogError) or self._has_moved_on(name):
            self._opened[name] = self._read(name, opened)

    def _read(self, name: str, former: _Opened | None) -> _Opened:
        table, remade = self.tables[name], former.remade if former else 0
        try:
            latest = table.open()
            version = -1 if latest is None else latest.version()
            newest = None if is_remote(self._store.url) else table.log.newest(version)
            if latest is not None and self._as_of is not None:
                latest = table.as_it_was(latest, self._as_of)
            if former is not None and 0 <= version <= former.latest:
                remade += 1
            return _Opened(latest, version, newest, remade)
        except DamagedLogError as error:  # stops what needs this table, and nothing else
            return _Opened(error, -1, None, remade)

    def _has_moved_on(self, name: str) -> bool:
        """Whether other writers changed, created or recreated a table, so that it must be read again."""
        opened = self._opened[name]
        if isinstance(opened.table, DamagedLogError):
            return False
        newest = self.tables[name].log.newest(opened.latest)
        if opened.newest is None:
            opened.newest = newest
        return newest is None or newest != opened.newest


def _parcel_set(path: str) -> ParcelSet | None:
    """What a parcel file holds, by its name; None where it is called like none."""
    parts = filenames.parts_of_parcels(path)
    if parts is None:
        return None
    aoi, year, ptype, version, order = parts
    return ParcelSet(aoi, year, ptype, version, order.stamp, path, order.sequence)


def aoi_and_year(path: str) -> tuple[str, int]:
    """The area and year of a parcel file."""
    parts = filenames.parts_of_parcels(path)
    if parts is None:
        raise SourceError(f"{path} is called like no parcel file of a lake")
    return parts[0], parts[1]


def geometry_part(version: str) -> str:
    """The part of a parcel set's version that depends on its geometries; all of it where version 0.1 wrote it."""
    return version.partition("_")[0]


def _version(table: DeltaTable | DamagedLogError | None) -> int | None:
    if isinstance(table, DamagedLogError):
        return -1
    return None if table is None else table.version()


def _in_force(versions: Iterable[ParcelSet]) -> list[ParcelSet]:
    """For each area, year and kind the version that was loaded last; they come oldest first."""
    newest = {(parcels.aoi, parcels.year, parcels.ptype): parcels for parcels in versions}
    return sorted(newest.values(), key=lambda parcels: parcels.name)
