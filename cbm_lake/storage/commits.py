"""Opening and committing to Delta tables; a commit has succeeded when all of it is on disk.

rows ─► files, on the disk (`datafiles`) ─► an entry of the log that names them, on the disk (`log`) ─► done
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError

from cbm_lake.errors import SourceError
from cbm_lake.storage import access, datafiles, entries
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.entries import Action
from cbm_lake.storage.log import Log
from cbm_lake.storage.store import Store, discard, translated

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 20
_COLUMNS: Final = "cbm-lake.columns"
"""The property of a Delta table that says with how many columns it was made."""
_STATISTICS: Final = "delta.dataSkippingStatsColumns"
_NONE: Final = pa.schema([])


@dataclass(frozen=True)
class Committed:
    """A Delta table: plain Parquet files and a transaction log that says which of them count."""

    store: Store
    name: str
    schema: pa.Schema
    keys: tuple[str, ...]
    """Columns whose minimum and maximum are used to prune files."""
    partitions: tuple[str, ...] = ()
    small: bool = True
    """Whether small files are merged after commits; otherwise only by `compact`."""
    optional: pa.Schema = _NONE
    """Optional columns, added when rows with them are first written; null in earlier rows."""

    @property
    def url(self) -> str:
        """The path or URL of the table."""
        return self.store.path(self.name)

    @property
    def log(self) -> Log:
        """The table's log."""
        return Log(self.store, self.name)

    @property
    def writer(self) -> datafiles.Writer:
        """What writes the table's files."""
        schema = pa.schema([*self.schema, *self.optional])
        return datafiles.Writer(self.store, self.name, schema, self.keys, self.partitions)

    def optional_columns(self, table: DeltaTable | None) -> list[str]:
        """The names of the optional columns that a snapshot has."""
        names = set() if table is None else {field.name for field in table.schema().fields}
        return [name for name in self.optional.names if name in names]

    def schema_of(self, table: DeltaTable | None) -> pa.Schema:
        """The columns of a snapshot, those included that an older version of this package did not write."""
        return pa.schema([*self.schema, *(self.optional.field(name) for name in self.optional_columns(table))])

    def files(self, table: DeltaTable) -> list[DataFile]:
        """The files of a snapshot as its log describes them, with the bounds of the first and the last key."""
        return datafiles.listed(table, self.url, self.partitions, (*self.keys[:1], *self.keys[-1:]))

    def open(self, as_of: datetime | None = None) -> DeltaTable | None:
        """Open the table, now or as of a timestamp; None where it did not exist yet.

        Raises:
            SourceError: its log cannot be read; what is damaged is named, with what to do.
        """
        table = self.log.open()
        return table if table is None or as_of is None else self.as_it_was(table, as_of)

    def as_it_was(self, table: DeltaTable, as_of: datetime) -> DeltaTable | None:
        """Open the table as of a timestamp, None where it did not exist yet; errors are those of `open`."""
        if as_of < _created(table):
            return None
        with translated("read", self.url):
            table.load_as_version(as_of)
        self.log.check(table.version())
        return table

    def create(self, columns: Iterable[str] = ()) -> DeltaTable:
        """Open the table, created empty where it does not exist.

        Args:
            columns: of rows that are to be written; those of them that are optional are added where they are missing.
        """
        table = self.open()
        if table is None:
            self.store.prove()
            with suppress(CommitFailedError):  # another writer creates it at the same time
                self.log.commit(self._first_actions(), -1, lambda _: True)
            table = self.open()
        if table is None:
            raise SourceError(f"{self.url} has gone while it was made; run the command again")
        return self._completed(table, columns)

    def _first_actions(self) -> list[Action]:
        """That the table comes into being."""
        configuration = {
            _STATISTICS: ",".join(self.keys),
            # what was is forgotten by `vacuum` alone: a log that forgets first would let it delete too much
            "delta.enableExpiredLogCleanup": "false",
            "delta.deletedFileRetentionDuration": "interval 36500 days",
            _COLUMNS: str(len(self.schema)),
        }
        return entries.creation(Schema.from_arrow(self.schema), self.partitions, configuration)

    def _completed(self, table: DeltaTable, columns: Iterable[str] = ()) -> DeltaTable:
        """The table with the columns that it lacks: an older version of this package made it, or they are optional."""
        written = set(columns)
        needed = pa.schema([*self.schema, *(field for field in self.optional if field.name in written)])
        for _ in range(_ATTEMPTS):
            there = table.schema().fields
            names = {field.name for field in there}
            missing = [field for field in Schema.from_arrow(needed).fields if field.name not in names]
            if not missing:
                return table
            configuration = {_COLUMNS: "of several versions", _STATISTICS: ",".join(self.keys)}
            actions = entries.alteration(table, Schema([*there, *missing]), configuration)
            with suppress(CommitFailedError):  # another writer adds columns at the same time
                self.log.commit(actions, table.version(), _alters)
            table = self.open() or table
        raise SourceError(f"others went on adding columns to {self.url}; run the command again")

    def is_uniform(self, table: DeltaTable) -> bool:
        """Whether all files of a snapshot have all columns, since the table was made with as many as it has now.

        Not where it has optional columns, which some of the rows lack.
        """
        made_with = table.metadata().configuration.get(_COLUMNS)
        return made_with == str(len(self.schema)) == str(len(table.schema().fields))

    def commit(
        self,
        snapshot: DeltaTable,
        actions: Sequence[Action],
        drafts: list[str],
        conflicts: Callable[[Action], bool] = lambda _: False,
    ) -> None:
        """Add an entry to the log that rests on a snapshot, whatever others add meanwhile that is not in conflict.

        Args:
            snapshot: on which the actions rest.
            actions: what the entry says.
            drafts: the files that it adds; they are the table's from then on, and the list is cleared.
            conflicts: what else of another writer is in conflict, besides taking out the same files, a commit of the
                same name, and other columns.

        Raises:
            CommitFailedError: another writer was quicker with something that is in conflict.
            SourceError: the log cannot be read or written.
        """
        mine = _claims(actions)
        if access.is_remote(self.url):
            drafts.clear()  # the answer of a commit that was made can be lost, so `vacuum` alone may delete them
        version = self.log.commit(
            actions,
            snapshot.version(),
            lambda other: _alters(other) or bool(mine & _claims([other])) or conflicts(other),
        )
        drafts.clear()
        self.keep_small(version)

    def keep_small(self, version: int) -> None:
        """Write a checkpoint of the log where this commit makes one due.

        What fails is done after a later commit: that one is made.
        """
        if self.log.is_due(version):
            self.tried(self.checkpoint)

    def tried(self, work: Callable[[], object]) -> None:
        """Run maintenance whose failure is harmless."""
        try:
            work()
        except SourceError as error:
            logger.warning("%s goes on growing: %s", self.url, error)

    def checkpoint(self) -> None:
        """Write a checkpoint of the log, so that opening the table does not read every commit."""
        with translated("write", self.url):
            self.log.checkpoint()

    def retried(self, commit: Callable[[], bool]) -> bool:
        """Commit, and start again when another writer was faster or created the table at the same time."""
        with translated("write", self.url):
            attempt = 0
            while True:
                attempt += 1
                try:
                    return commit()
                except CommitFailedError:
                    if attempt == _ATTEMPTS:
                        raise
                    time.sleep(random.uniform(0.01, 0.1) * attempt)  # noqa: S311 - spreads writers, no secret

    def names(self, table: DeltaTable) -> set[str]:
        """The files of a snapshot by their paths in the table's folder."""
        return {file.relative for file in self.files(table)}

    @contextmanager
    def drafts(self) -> Iterator[list[str]]:
        """Names of files that go away at the end, unless the log has them.

        Whoever has committed them clears the list. An interrupt (Ctrl-C) may come between a commit and that.
        """
        names: list[str] = []
        try:
            yield names
        finally:
            if names:
                self._discard(names)

    def _discard(self, names: Sequence[str]) -> None:
        """Delete files that the log does not have; all stay where it cannot be read, for `vacuum`."""
        filesystem, root = self.store.filesystem
        with suppress(SourceError):
            latest = self.open()
            for name in set(names) - (set() if latest is None else self.names(latest)):
                discard(filesystem, f"{root}/{self.name}/{name}")


def _created(table: DeltaTable) -> datetime:
    """When the table was created; it is part of the table's metadata, so it outlives old commits."""
    return datetime.fromtimestamp(table.metadata().created_time / 1000, UTC)


def _claims(actions: Iterable[Action]) -> set[tuple[str, str]]:
    """What no two commits on the same snapshot may do both: take out a file, or be the next of a name."""
    gone = {("remove", unquote(action["remove"]["path"])) for action in actions if "remove" in action}
    return gone | {("txn", action["txn"]["appId"]) for action in actions if "txn" in action}


def _alters(action: Action) -> bool:
    """Whether an action changes the columns or properties of the table."""
    return "metaData" in action or "protocol" in action
