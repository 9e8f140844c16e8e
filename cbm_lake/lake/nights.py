"""The methods of `Lake` for the season: runs and their lock, what searches rest on, changes, cases, judgements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from cbm_lake.files import digests
from cbm_lake.lake.snapshots import ParcelSet, Snapshot, Snapshots
from cbm_lake.storage import leases
from cbm_lake.storage.delta import Table
from cbm_lake.storage.leases import Lease
from cbm_lake.storage.store import Store


class Nights:
    """A lake in which runs are noted."""

    _store: Store
    _tables: dict[str, Table]
    _snapshots: Snapshots

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """The files and table versions that answer a query now."""

    @abstractmethod
    def _check_present(self) -> None:
        """Raise InvalidInputError for a lake opened `as_of`; create the workspace."""

    def add_runs(self, rows: pa.Table) -> None:
        """Store what a run did; see schemas.RUNS."""
        self._check_present()
        self._tables["runs"].append(rows)

    def add_crop_runs(self, rows: pa.Table) -> None:
        """Store what crop checks were made of, before their verdicts; see schemas.CROP_RUNS."""
        self._check_present()
        self._tables["checks_of_crops"].append(rows)

    @contextmanager
    def alone(self, purpose: str) -> Iterator[Lease]:
        """The lake for one run of a purpose at a time, on this machine and on others; see `storage.leases`.

        Raises:
            HeldError: another run has it; the message says who and since when.
            SourceError: the lake cannot be written.
        """
        self._check_present()
        with leases.acquired(self._store, purpose) as lease:
            yield lease

    def parcel_version(self, parcels: ParcelSet, version: str) -> ParcelSet | None:
        """The version of a parcel set that was loaded last under that hash; None where its file is no more there."""
        key = (parcels.aoi, parcels.year, parcels.ptype, version)
        files = reversed(self._snapshots.parcel_files())
        return next((one for one in files if (one.aoi, one.year, one.ptype, one.version) == key), None)

    def puts(self, name: str, part: int) -> int:
        """How often a numbered part of a table was written; compaction does not count."""
        table = self.snapshot().tables.get(name)
        return 0 if table is None else table.transaction_version(str(part)) or 0

    def appended(self) -> dict[str, int]:
        """How often rows were added to each table that numbers its rows; compaction does not count.

        Attempts of extraction (`ledger`), which many write at once, are not counted.
        """
        opened = self.snapshot().tables
        return {name: opened[name].transaction_version("sequence") or 0 for name in self._tables if name in opened}

    def remembered(self, name: str, part: int) -> tuple[int, int]:
        """The number of the file of what the rows of a part rest on (0: none), and how often the part was replaced."""
        table = self._tables[name].open()
        if table is None:
            return 0, 0
        return table.transaction_version(memory_of(part)) or 0, table.transaction_version(str(part)) or 0

    def write_memory(self, folder: str, part: int, rows: pa.Table) -> int:
        """Store what the rows of a part are to rest on, as a file that can be lost; returns its number."""
        self._check_present()
        written = self._store.write_as(
            lambda digest: digests.named(f"{folder}/{part:x}", digest),
            rows.schema,
            lambda writer: writer.write_table(rows),
            use_dictionary=False,
            write_statistics=False,
            compression="lz4",  # numbers that hardly shrink: written every night, read once
            compression_level=None,
        )
        return _number(written.name)

    def read_memory(self, folder: str, part: int, number: int) -> pa.Table | None:
        """What `write_memory` stored; None where it is no more there, or is damaged."""
        name = next((name for name in self._memories(folder, part) if _number(name) == number), None)
        if name is None or not self._store.is_as_written(name):
            return None
        return self._store.read(name)

    def memories(self, folder: str, part: int) -> list[int]:
        """The numbers of all that `write_memory` stored of a part and nobody has deleted."""
        return [_number(name) for name in self._memories(folder, part)]

    def forget_memories(self, folder: str, part: int, but: int) -> None:
        """Delete what other rows of a part rested on."""
        self._store.discard_old([name for name in self._memories(folder, part) if _number(name) != but], 0)

    def _memories(self, folder: str, part: int) -> list[str]:
        names = map(self._store.name, self._store.files(folder))
        return [name for name in names if name.rpartition("/")[2].startswith(f"{part:x}-") and digests.recorded(name)]

    def record_changes(self, parcels: ParcelSet, rows: Callable[[], pa.Table | None]) -> bool:
        """Record the changes of a night over a parcel set, all in one commit; see schemas.CHANGES.

        Args:
            parcels: the set.
            rows: works out what is to be recorded, given what is; again where somebody else has recorded meanwhile.
                None records nothing.

        Returns:
            Whether anything was recorded.
        """
        self._check_present()
        key = f"{parcels.aoi}/{parcels.year}/{parcels.ptype}"
        return self._tables["changed"].append_next(lambda _: rows(), key, in_sequence=True)

    def decide(self, rows: Callable[[], pa.Table]) -> None:
        """Store decisions on cases; see schemas.DECISIONS.

        Args:
            rows: gives the decisions by what the lake then has, or raises where they cannot be made any more. When
                somebody else decides at the same time it is called again afterwards.
        """
        self._check_present()
        self._tables["decisions"].append_next(lambda _: rows(), "decisions", in_sequence=True)

    def add_judgements(self, rows: Callable[[], pa.Table]) -> None:
        """Store judgements of lights; see schemas.JUDGEMENTS, and `decide`, whose argument it takes."""
        self._check_present()
        self._tables["judged"].append_next(lambda _: rows(), "judgements", in_sequence=True)

    def store_file(self, name: str, content: bytes) -> None:
        """Store a file beside the tables under a name that says what is in it, such as its digest, unless it is there.

        Raises:
            SourceError: the lake does not take it.
        """
        self._check_present()
        self._store.create(name, content)

    def stored_file(self, name: str) -> bytes | None:
        """The content of a file that was stored beside the tables; None where there is none of that name."""
        return self._store.read_bytes(name)


def _number(name: str) -> int:
    """The number of a file with a digest on record, 1 or more."""
    return int((digests.recorded(name) or "0")[:15], 16) + 1


def memory_of(part: int) -> str:
    """The name of the number that says on what the rows of a part rest."""
    return f"memory/{part}"
