"""Delta tables of a lake: plain Parquet files, and a log whose every entry is whole or not there at all.

rows ─► files, on the disk (`datafiles`) ─► an entry of the log that names them, on the disk (`log`) ─► done
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError
from pyarrow import fs

from cbm_lake import access, datafiles, digests, log, smallfiles
from cbm_lake.datafiles import File
from cbm_lake.errors import SourceError
from cbm_lake.log import Action, Log
from cbm_lake.store import Store, discard, translated

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 20
_READERS: Final = 8
"""Small files that are read at once."""
_COLUMNS: Final = "cbm-lake.columns"
"""The property of a Delta table that says with how many columns it was made."""
_STATISTICS: Final = "delta.dataSkippingStatsColumns"
_SEQUENCE: Final = "sequence"
"""The column that says which rows are later, whatever clocks said; and the name of the commits that are numbered so."""


@dataclass(frozen=True)
class Table:
    """A Delta table: plain Parquet files and a transaction log that says which of them count."""

    store: Store
    name: str
    schema: pa.Schema
    keys: tuple[str, ...]
    """Columns by whose smallest and largest value a file can be passed over."""
    partitions: tuple[str, ...] = ()
    small: bool = True
    """Whether its files are merged by the way; else only `compact` does it."""

    @property
    def url(self) -> str:
        """Where the table is."""
        return self.store.path(self.name)

    @property
    def log(self) -> Log:
        """The table's log."""
        return Log(self.store, self.name)

    @property
    def writer(self) -> datafiles.Writer:
        """What writes the table's files."""
        return datafiles.Writer(self.store, self.name, self.schema, self.keys, self.partitions)

    def files(self, table: DeltaTable) -> list[dict[str, Any]]:
        """The files of a snapshot as its log tells: path, name in the log, size_bytes, num_records, partition.<column>.

        Where known also min.<key> and max.<key> of the first and the last key.
        """
        told = pa.table(table.get_add_actions(flatten=True))
        ends = (*self.keys[:1], *self.keys[-1:])
        wanted = {"path", "size_bytes", "num_records", *(f"{end}.{name}" for end in ("min", "max") for name in ends)}
        wanted |= {f"partition.{name}" for name in self.partitions}
        rows: list[dict[str, Any]] = told.select([name for name in told.column_names if name in wanted]).to_pylist()
        return [
            {**row, "name": row["path"], "path": self.store.path(f"{self.name}/{unquote(row['path'])}")} for row in rows
        ]

    def moved_on(self, table: DeltaTable | None) -> bool:
        """Whether someone committed since, or made the table: one look for the next entry of the log."""
        following = 0 if table is None else table.version() + 1
        return self.store.exists(f"{self.name}/_delta_log/{following:020}.json")

    def open(self, as_of: datetime | None = None) -> DeltaTable | None:
        """The table as it is, or as it was; None when it had not been made yet.

        Raises:
            SourceError: its log cannot be read; what is damaged is named, with what to do.
        """
        table = self.log.open()
        if table is not None and as_of is not None:
            if as_of < _created(table):
                return None
            with translated("read", self.url):
                table.load_as_version(as_of)
        return table

    def create(self) -> DeltaTable:
        """The table, made empty when it is not there."""
        table = self.open()
        if table is None:
            self.store.prove()
            with suppress(CommitFailedError):  # another writer makes it at the same moment
                self.log.commit(self._made(), -1, lambda _: True)
            table = self.open()
        if table is None:
            raise SourceError(f"{self.url} has gone while it was made; run the command again")
        return self._completed(table)

    def _made(self) -> list[Action]:
        """That the table comes into being."""
        configuration = {
            _STATISTICS: ",".join(self.keys),
            # what was is forgotten by `vacuum` alone: a log that forgets first would let it delete too much
            "delta.enableExpiredLogCleanup": "false",
            "delta.deletedFileRetentionDuration": "interval 36500 days",
            _COLUMNS: str(len(self.schema)),
        }
        return log.made(Schema.from_arrow(self.schema), self.partitions, configuration)

    def _completed(self, table: DeltaTable) -> DeltaTable:
        """The table with the columns that it lacks because an older version of this package made it."""
        there = table.schema().fields
        names = {field.name for field in there}
        missing = [field for field in Schema.from_arrow(self.schema).fields if field.name not in names]
        if not missing:
            return table
        configuration = {_COLUMNS: "of several versions", _STATISTICS: ",".join(self.keys)}
        actions = log.altered(table, Schema([*there, *missing]), configuration)
        with suppress(CommitFailedError):  # another writer adds them at this moment
            self.log.commit(actions, table.version(), _alters)
        return self.open() or table

    def is_uniform(self, table: DeltaTable) -> bool:
        """Whether all files of a snapshot have all columns, since the table was made with as many as it has now."""
        made_with = table.metadata().configuration.get(_COLUMNS)
        return made_with == str(len(self.schema)) == str(len(table.schema().fields))

    def append(self, rows: pa.Table) -> None:
        """Add rows in one commit, after all that are there."""

        def actions(table: DeltaTable, _: int, drafts: list[str]) -> list[Action]:
            return self.writer.write(self._in_sequence(rows, table), drafts)

        self._numbered([_SEQUENCE], actions)

    def put(self, rows: pa.Table, key: str, value: int) -> None:
        """Make `rows` all that the table holds where column `key` has that value, in one commit, whoever else writes.

        The first writer of a value appends; every later one, also one that started at the same time, is refused by the
        log, looks again and replaces.
        """

        def actions(table: DeltaTable, seen: int, drafts: list[str]) -> list[Action] | None:
            replaced = self._replaced(table, key, value, drafts) if seen else []
            written = self.writer.write(self._in_sequence(rows, table), drafts) if rows.num_rows else []
            return [*written, *replaced] if seen or written else None

        names = [str(value), *([_SEQUENCE] if self._is_sequenced else [])]
        self._numbered(names, actions, lambda action: _adds(action, key, value))

    def _replaced(self, table: DeltaTable, key: str, value: int, drafts: list[str]) -> list[Action]:
        """Take all rows out whose column `key` has that value."""
        actions = []
        for file in self.files(table):
            first, last = file.get(f"min.{key}"), file.get(f"max.{key}")
            if first is None or last is None or first <= value <= last:
                actions += self.writer.without(file, key, value, drafts) or []
        return actions

    def append_next(self, rows: Callable[[int], pa.Table | None], name: str) -> bool:
        """Add rows in the next commit of that name, which no two writers can have.

        Args:
            rows: what to add, told how many commits of that name there are; None gives up.
            name: under which the commits are counted.

        Returns:
            Whether anything was added.
        """

        def actions(table: DeltaTable, seen: int, drafts: list[str]) -> list[Action] | None:
            found = rows(seen)
            return None if found is None else self.writer.write(self._in_sequence(found, table), drafts)

        return self._numbered([name], actions)

    def _numbered(
        self,
        names: Sequence[str],
        actions: Callable[[DeltaTable, int, list[str]], list[Action] | None],
        conflicts: Callable[[Action], bool] = lambda _: False,
    ) -> bool:
        """Make the next commit of each name; `actions` is told how many there are of the first.

        Again from the start when another writer was quicker.
        """

        def commit() -> bool:
            table = self.create()
            seen = [table.transaction_version(name) or 0 for name in names]
            with self._drafts() as drafts:
                found = actions(table, seen[0], drafts)
                if found is None:
                    return False
                numbers = [log.numbered(name, number + 1) for name, number in zip(names, seen, strict=True)]
                return self.commit(table, [*found, *numbers], drafts, conflicts)

        return self._retried(commit)

    @property
    def _is_sequenced(self) -> bool:
        return _SEQUENCE in self.schema.names

    def _in_sequence(self, rows: pa.Table, table: DeltaTable) -> pa.Table:
        """The rows with a number that is above all that a snapshot of the table has, where it numbers its rows.

        The versions of a table grow, and so do numbers made of them; the numbers of its files count too, for a table
        that was written anew begins with version 0 again.
        """
        if not self._is_sequenced:
            return rows
        there = [file.get(f"max.{_SEQUENCE}") for file in self.files(table)]
        number = 1 + max(table.version(), *(number for number in there if number is not None), 0)
        index, field = self.schema.get_field_index(_SEQUENCE), self.schema.field(_SEQUENCE)
        return rows.set_column(index, field, pa.repeat(pa.scalar(number, field.type), rows.num_rows))

    def commit(
        self,
        snapshot: DeltaTable,
        actions: Sequence[Action],
        drafts: list[str],
        conflicts: Callable[[Action], bool] = lambda _: False,
    ) -> bool:
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
        self._keep_small(version)
        return True

    def _keep_small(self, version: int) -> None:
        """Sum the log up and merge small files, by the writer alone whose commit makes it due.

        What fails is done after a later commit: that one is made.
        """
        for due, work in ((self.log.is_due(version), self.checkpoint), (self._merges(version), self._merge_small)):
            if due:
                try:
                    work()
                except SourceError as error:
                    logger.warning("%s goes on growing: %s", self.url, error)

    def _merges(self, version: int) -> bool:
        return self.small and smallfiles.is_due(version)

    def _merge_small(self) -> None:
        table = self.open()
        for files in smallfiles.groups([] if table is None else self.files(table)):
            names = [f"{self.name}/{unquote(file['name'])}" for file in files]
            with ThreadPoolExecutor(_READERS) as pool:
                parts = [part for part in pool.map(self.store.read, names) if part is not None]
            if len(parts) == len(files):  # else others have merged them, and a vacuum has been
                self.rewrite(files, [[pa.concat_tables(parts, promote_options="default")]])

    def _retried(self, commit: Callable[[], bool]) -> bool:
        """Make a commit; again from the start when another writer was quicker, or made the table at the same moment."""
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

    def is_rewritten(self, file: File) -> bool:
        """Whether that file of a snapshot was written by `rewrite`."""
        return datafiles.is_rewritten(file)

    def rewrite(self, files: Sequence[File], parts: Iterable[Sequence[pa.Table]]) -> bool:
        """Replace some of the table's files by new ones, atomically: readers see the old ones or the new.

        What others commit meanwhile stays.

        Args:
            files: those that go, all of one partition, as `files` lists them.
            parts: for each new file its row groups.

        Returns:
            False where others have taken one of the old files out by then; nothing is changed.

        Raises:
            SourceError: a file cannot be read or written.
        """
        with translated("compact", self.url), self._drafts() as drafts:
            added = [self._add(files[0], datafiles.REWRITTEN, part, drafts) for part in parts]
            gone = {unquote(file["name"]): self._removed(file) for file in files}

            def exchange() -> bool:
                table = self.open()
                if table is None or not gone.keys() <= self._names(table):
                    return False
                return self.commit(table, [*added, *gone.values()], drafts)

            return self._retried(exchange)

    def _names(self, table: DeltaTable) -> set[str]:
        """The files of a snapshot by their paths in the table's folder."""
        return {unquote(file["name"]) for file in self.files(table)}

    @contextmanager
    def exchange(self, snapshot: DeltaTable) -> Iterator[Exchange]:
        """Files that come and go in one commit on that very snapshot; what is not committed goes away."""
        with translated("write", self.url), self._drafts() as drafts:
            yield Exchange(self, snapshot, drafts)

    @contextmanager
    def _drafts(self) -> Iterator[list[str]]:
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
            for name in set(names) - (set() if latest is None else self._names(latest)):
                discard(filesystem, f"{root}/{self.name}/{name}")

    def _add(self, beside: File, prefix: str, groups: Sequence[pa.Table], drafts: list[str]) -> Action:
        """Write a file of the partition, and in the folder, of the file `beside`."""
        return self.writer.add(self.writer.partition(beside), prefix, groups, drafts, datafiles.folder_of(beside))

    def _removed(self, file: File) -> Action:
        """That a file goes."""
        return log.removed(unquote(file["name"]), file["size_bytes"], self.writer.partition(file))

    def merge(self) -> int:
        """Make the files of each partition of a small table one, in memory; returns how many were merged.

        A single one is written anew where it has no digest on record, since an earlier version wrote it.
        """
        table = self.open()
        merged = 0
        for values, files in self.by_partition(table):
            if table is None or (len(files) < 2 and all(digests.recorded(file["name"]) for file in files)):
                continue
            kinds = {name: self.schema.field(name).type for name in values}
            only = [(name, "=", pa.scalar(value).cast(kinds[name]).as_py()) for name, value in values.items()]
            table = self._completed(table)
            with translated("read", self.url):
                rows = table.to_pyarrow_table(filters=only or None)
            merged += len(files) if self.rewrite(files, [[rows]]) else 0
        return merged

    def by_partition(self, table: DeltaTable | None) -> Iterator[tuple[dict[str, str], list[dict[str, Any]]]]:
        """The files of a snapshot, those of each partition by themselves, with the partition's values by column."""

        def partition(file: dict[str, Any]) -> tuple[str, ...]:
            return tuple(str(file[f"partition.{name}"]) for name in self.partitions)

        files = [] if table is None else sorted(self.files(table), key=partition)
        for values, found in groupby(files, partition):
            yield dict(zip(self.partitions, values, strict=True)), list(found)

    def checkpoint(self) -> None:
        """Sum the log up in one file, so that who opens the table need not read every commit."""
        with translated("write", self.url):
            self.log.checkpoint()

    def vacuum(self, days: float) -> int:
        """Delete files that no version of the last days needs, and what broken-off writers left; returns how many."""
        table = self.open()
        if table is None:
            return 0
        remote = access.is_remote(self.url)
        with translated("vacuum", self.url):
            gone = table.vacuum(int(days * 24), dry_run=not remote, enforce_retention_duration=False, full=True)
            if remote:
                return len(gone)
            filesystem, root = self.store.filesystem
            paths = {f"{root}/{self.name}/{unquote(name)}" for name in gone} | set(self._leftovers(days))
            for path in paths:
                discard(filesystem, path)
            return len(paths)

    def _leftovers(self, days: float) -> Iterator[str]:
        """Drafts that broken-off writers left in a local table."""
        filesystem, root = self.store.filesystem
        oldest = time.time() - days * 86_400
        for info in filesystem.get_file_info(fs.FileSelector(f"{root}/{self.name}", recursive=True)):
            if info.is_file and info.base_name.startswith(".") and info.mtime.timestamp() <= oldest:
                yield info.path


class Exchange:
    """Files that come and go in one commit, of which nobody sees anything before."""

    def __init__(self, table: Table, snapshot: DeltaTable, drafts: list[str]) -> None:
        self._table = table
        self._snapshot = snapshot
        self._drafts = drafts
        self._actions: list[Action] = []

    def add(self, groups: Sequence[pa.Table], beside: File, *, rewritten: bool = False) -> None:
        """Write a file of these row groups, of the partition of the file `beside`, which may be another table's."""
        prefix = datafiles.REWRITTEN if rewritten else datafiles.PART
        self._actions.append(self._table._add(beside, prefix, groups, self._drafts))  # noqa: SLF001 - same module

    def remove(self, file: File) -> None:
        """Take a file out."""
        self._actions.append(self._table._removed(file))  # noqa: SLF001 - same module

    def commit(self, numbers: dict[str, int] | None = None) -> bool:
        """Make the commit, under names and with a number for each where they are given.

        Returns:
            False where another writer was quicker: with a commit of such a name since the snapshot, or with other files
            for those that were to go. Nothing is changed then.
        """
        numbered = [log.numbered(*number) for number in (numbers or {}).items()]
        try:
            return self._table.commit(self._snapshot, [*self._actions, *numbered], self._drafts)
        except CommitFailedError:
            return False


def _created(table: DeltaTable) -> datetime:
    """When the table was made; the log keeps it in the table's own description, so it outlives old commits."""
    return datetime.fromtimestamp(table.metadata().created_time / 1000, UTC)


def _claims(actions: Iterable[Action]) -> set[tuple[str, str]]:
    """What no two commits on the same snapshot may do both: take out a file, or be the next of a name."""
    gone = {("remove", unquote(action["remove"]["path"])) for action in actions if "remove" in action}
    return gone | {("txn", action["txn"]["appId"]) for action in actions if "txn" in action}


def _alters(action: Action) -> bool:
    """Whether an action gives the table other columns or properties."""
    return "metaData" in action or "protocol" in action


def _adds(action: Action, key: str, value: int) -> bool:
    """Whether an action can add rows of that value."""
    return "add" in action and datafiles.can_hold(action["add"].get("stats"), key, value)
