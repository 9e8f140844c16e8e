"""The methods of `Lake` for runs that do a night's work: their journal, their lock, and how much has been written."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from cbm_lake.lake.snapshots import Snapshot
from cbm_lake.storage import leases
from cbm_lake.storage.delta import Table
from cbm_lake.storage.leases import Lease
from cbm_lake.storage.store import Store


class Nights:
    """A lake in which runs are noted."""

    _store: Store
    _tables: dict[str, Table]

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

    @contextmanager
    def alone(self, purpose: str) -> Iterator[Lease]:
        """The lake for one run of a purpose at a time, on this machine and on others; see `storage.leases`.

        Raises:
            HeldError: another run has it; the message says who and since when.
            SourceError: the lake cannot be written.
        """
        self._check_present()
        with leases.held(self._store, purpose) as lease:
            yield lease

    def puts(self, name: str, part: int) -> int:
        """How often a numbered part of a table was written; compaction does not count."""
        table = self.snapshot().tables.get(name)
        return 0 if table is None else table.transaction_version(str(part)) or 0

    def appended(self) -> dict[str, int]:
        """How often rows were added to each table that numbers its rows; compaction does not count."""
        opened = self.snapshot().tables
        return {name: opened[name].transaction_version("sequence") or 0 for name in self._tables if name in opened}
