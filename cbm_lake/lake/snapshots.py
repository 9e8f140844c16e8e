"""What makes up a lake at a moment: its scene files, its parcel sets, and the versions of its tables."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from deltalake import DeltaTable

from cbm_lake.errors import SourceError
from cbm_lake.files import filenames
from cbm_lake.files.filenames import Order
from cbm_lake.lake import tables
from cbm_lake.lake.keys import Params, ParcelKey
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.log import DamagedLogError
from cbm_lake.storage.store import Store


@dataclass(frozen=True)
class ParcelSet:
    """One version of the declared parcels of an area and year."""

    aoi: str
    year: int
    ptype: str
    """Which of several parcel sets; "" is the main one."""
    version: str
    """Hash of the content, that of the outlines first: the same parcels always have the same version."""
    loaded: str
    """When, as it stands in the file's name, by the clock of who loaded it."""
    path: str
    sequence: int = 0
    """1, 2, …: of two versions the one with the higher number was loaded later; 0 where version 0.1 loaded it."""

    @property
    def outlines(self) -> str:
        """The part of the version that is equal where all parcels have the same outlines."""
        return outlines_of(self.version)

    @property
    def places(self) -> tuple[str, int, str, str]:
        """Whose outlines it has, whatever its attributes and whenever it was loaded."""
        return self.aoi, self.year, self.ptype, self.outlines

    @property
    def params(self) -> Params:
        """The parameters of a statement that asks about this parcel set."""
        return {"aoi": self.aoi, "year": self.year, "ptype": self.ptype}

    def key(self, pid: object) -> ParcelKey:
        """The key of one of its parcels."""
        return ParcelKey.of(self.aoi, self.year, pid, self.ptype)

    @property
    def name(self) -> str:
        """As a person says it: ms 2024, or ms 2024 m."""
        return f"{self.aoi} {self.year} {self.ptype}".rstrip()


@dataclass(frozen=True)
class Snapshot:
    """Which files make up the lake at one moment; equal snapshots give equal answers."""

    scenes: tuple[str, ...]
    parcels: tuple[str, ...]
    """Those in force."""
    outlines: tuple[str, ...]
    """Parcel files of all versions."""
    former: tuple[str, ...]
    """Parcel files of the versions some of whose outlines may be in force no longer."""
    versions: tuple[tuple[str, int | None], ...]
    """Version of each Delta table; None where the table had not been made yet, -1 where its log is damaged."""
    tables: dict[str, DeltaTable] = field(compare=False, repr=False)
    """Those that had been made, opened at that version."""
    damaged: dict[str, str] = field(default_factory=dict, compare=False)
    """Those whose logs are damaged: which file it is, and what to do."""


class Moments:
    """The snapshots of a store: as it is whenever it is asked, or always as it was at a moment."""

    def __init__(self, store: Store, as_of: datetime | None) -> None:
        self.tables = tables.of(store)
        """Every table that a lake has, whether made yet or not, by the name of its view."""
        self._store = store
        self._as_of = as_of
        self._lock = threading.Lock()
        self._held: dict[str, DeltaTable | DamagedLogError | None] = {}

    def take(self) -> Snapshot:
        """What makes up the lake now."""
        opened = self._open()
        scenes = [path for path, order in self.scene_files() if not self._later(order)]
        sets = self.parcel_files()
        current = _in_force(sets)
        in_force = {found.places for found in current}
        return Snapshot(
            tuple(scenes),
            tuple(found.path for found in current),
            tuple(found.path for found in sets),
            tuple(found.path for found in sets if found.places not in in_force),
            tuple((name, _version(table)) for name, table in opened.items()),
            {name: table for name, table in opened.items() if isinstance(table, DeltaTable)},
            {name: str(table) for name, table in opened.items() if isinstance(table, DamagedLogError)},
        )

    def parcel_sets(self) -> list[ParcelSet]:
        """The parcel sets in force: for each area, year and kind the one that was loaded last."""
        return _in_force(self.parcel_files())

    def parcel_files(self) -> list[ParcelSet]:
        """Every version that counts at this moment, in the order in which they were loaded, whatever clocks said."""
        found = []
        for path in self._store.files("parcels"):
            parts = filenames.parts_of_parcels(path)
            if parts and not self._later(parts[-1]):
                aoi, year, ptype, version, order = parts
                found.append(ParcelSet(aoi, year, ptype, version, order.stamp, path, order.sequence))
        return sorted(found, key=lambda version: (version.sequence, version.loaded, version.version))

    def scene_files(self) -> list[tuple[str, Order]]:
        """Every file of the catalogue, of whatever moment, in the order in which they were written."""
        found = [(path, filenames.order_of_scenes(path)) for path in self._store.files("scenes")]
        return sorted(found, key=lambda file: (file[1], file[0]))

    def _later(self, order: Order) -> bool:
        """Whether the clock of who wrote a file was past the moment, which is all that is known of when it was."""
        return self._as_of is not None and order.stamp > filenames.stamp(self._as_of)

    def _open(self) -> dict[str, DeltaTable | DamagedLogError | None]:
        """The Delta tables, read again only when their logs have moved on.

        The ledger is read before the signatures that it speaks of, and looked at again after them: what counts by it
        has been written by then, and has not been compacted away since. So are the signatures that were set aside: each
        row stands in the one table or the other at any moment, and so in what was read.
        """
        first = [name for name in self.tables if name == "ledger" or name.startswith("aside_")]
        others = [name for name in self.tables if name not in first]
        with self._lock:
            while True:
                for names in (first, others):
                    self._renew_all(names)
                if self._as_of is not None or not any(map(self._has_moved_on, first)):
                    return {name: self._held[name] for name in self.tables}

    def _renew_all(self, names: list[str]) -> None:
        if is_remote(self._store.url) or not self._held.keys() >= set(names):  # where a look takes time
            with ThreadPoolExecutor(len(names)) as pool:
                list(pool.map(self._renew, names))
        else:
            for name in names:
                self._renew(name)

    def _renew(self, name: str) -> None:
        """Read a table again when its log has moved on."""
        held = self._held.get(name)
        if not isinstance(held, DeltaTable) or self._has_moved_on(name):
            try:
                self._held[name] = self.tables[name].open(self._as_of)
            except DamagedLogError as error:  # stops what needs this table, and nothing else
                self._held[name] = error

    def _has_moved_on(self, name: str) -> bool:
        """Whether others wrote a table since it was read, so that it is to be read again."""
        held = self._held[name]
        return self._as_of is None and not isinstance(held, DamagedLogError) and self.tables[name].moved_on(held)


def place_of(path: str) -> tuple[str, int]:
    """The area and year of a parcel file."""
    parts = filenames.parts_of_parcels(path)
    if parts is None:
        raise SourceError(f"{path} is called like no parcel file of a lake")
    return parts[0], parts[1]


def outlines_of(version: str) -> str:
    """The part of a parcel set's version that depends on its outlines; all of it where version 0.1 wrote it."""
    return version.partition("_")[0]


def _version(table: DeltaTable | DamagedLogError | None) -> int | None:
    if isinstance(table, DamagedLogError):
        return -1
    return None if table is None else table.version()


def _in_force(versions: Iterable[ParcelSet]) -> list[ParcelSet]:
    """For each area, year and kind the version that was loaded last; they come oldest first."""
    newest = {(found.aoi, found.year, found.ptype): found for found in versions}
    return sorted(newest.values(), key=lambda found: found.name)
