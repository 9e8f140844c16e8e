"""Delta tables of a lake: plain Parquet files, and a log whose every entry is whole or not there at all."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import (
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from cbm_lake import access
from cbm_lake.errors import SourceError
from cbm_lake.store import Store, discard, translated

_ATTEMPTS = 20
_ROW_GROUP = 8_192
"""Rows of one row group of what is appended."""
_COLUMNS = "cbm-lake.columns"
"""The property of a Delta table that says with how many columns it was made."""
_SEQUENCE = "sequence"
"""The column that says which rows are later, whatever clocks said; and the name of the commits that are numbered so."""
_REWRITTEN = "sorted-"
"""How the names of files begin that `rewrite` made; of version 0.1, rewritten-…, have an encoding that few know."""


@dataclass(frozen=True)
class Table:
    """A Delta table: plain Parquet files and a transaction log that says which of them count."""

    store: Store
    name: str
    schema: pa.Schema
    keys: tuple[str, ...]
    """Columns by whose smallest and largest value a file can be passed over."""
    partitions: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """Where the table is."""
        return self.store.path(self.name)

    def files(self, table: DeltaTable) -> list[dict[str, Any]]:
        """The files of a snapshot as its log tells: path, name in the log, size_bytes, partition.<column>.

        Where known also min.<key> and max.<key> of the first and the last key.
        """
        told = pa.table(table.get_add_actions(flatten=True))
        ends = (*self.keys[:1], *self.keys[-1:])
        wanted = {"path", "size_bytes", *(f"{end}.{name}" for end in ("min", "max") for name in ends)}
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
        """The table as it is, or as it was; None when it had not been made yet."""
        with translated("read", self.url):
            try:
                table = DeltaTable(self.url, storage_options=self.store.options)
                if as_of is not None:
                    if as_of < _created(table):
                        return None
                    table.load_as_version(as_of)
            except TableNotFoundError:
                return None
            return table

    def create(self) -> DeltaTable:
        """The table, made empty when it is not there."""
        configuration = {
            "delta.dataSkippingStatsColumns": ",".join(self.keys),
            # what was is forgotten by `vacuum` alone: a log that forgets first would let it delete too much
            "delta.enableExpiredLogCleanup": "false",
            "delta.deletedFileRetentionDuration": "interval 36500 days",
            _COLUMNS: str(len(self.schema)),
        }
        self.store.prove()
        with translated("write", self.url):
            try:
                table = DeltaTable.create(
                    self.url,
                    self.schema,
                    mode="ignore",
                    partition_by=list(self.partitions),
                    configuration=configuration,
                    storage_options=self.store.options,
                    raise_if_key_not_exists=False,
                )
            except CommitFailedError:  # another writer made it at the same moment
                table = DeltaTable(self.url, storage_options=self.store.options)
        return self._completed(table)

    def _completed(self, table: DeltaTable) -> DeltaTable:
        """The table with the columns that it lacks because an older version of this package made it."""
        there = {field.name for field in table.schema().fields}
        missing = [field for field in Schema.from_arrow(self.schema).fields if field.name not in there]
        if missing:
            with translated("write", self.url), suppress(CommitFailedError):  # another writer adds them at this moment
                properties = {_COLUMNS: "of several versions", "delta.dataSkippingStatsColumns": ",".join(self.keys)}
                table.alter.set_table_properties(properties, raise_if_not_exists=False)
                table.alter.add_columns(missing)
            table.update_incremental()
        return table

    def is_uniform(self, table: DeltaTable) -> bool:
        """Whether all files of a snapshot have all columns, since the table was made with as many as it has now."""
        made_with = table.metadata().configuration.get(_COLUMNS)
        return made_with == str(len(self.schema)) == str(len(table.schema().fields))

    def append(self, rows: pa.Table) -> None:
        """Add rows in one commit, after all that are there."""

        def write(table: DeltaTable, _: int, options: dict[str, Any]) -> bool:
            write_deltalake(table, self._in_sequence(rows, table), mode="append", **options)
            return True

        self._numbered([_SEQUENCE], write)

    def put(self, rows: pa.Table, key: str, value: int) -> None:
        """Make `rows` all that the table holds where column `key` has that value, in one commit, whoever else writes.

        The first writer of a value appends; every later one, also one that started at the same time, is refused by the
        log, looks again and replaces.
        """

        def write(table: DeltaTable, seen: int, options: dict[str, Any]) -> bool:
            found = self._in_sequence(rows, table)
            if seen:
                write_deltalake(table, found, mode="overwrite", predicate=f"{key} = {value}", **options)
            elif rows.num_rows:
                write_deltalake(table, found, mode="append", **options)
            return True

        self._numbered([str(value), *([_SEQUENCE] if self._is_sequenced else [])], write)

    def append_next(self, rows: Callable[[int], pa.Table | None], name: str) -> bool:
        """Add rows in the next commit of that name, which no two writers can have.

        Args:
            rows: what to add, told how many commits of that name there are; None gives up.
            name: under which the commits are counted.

        Returns:
            Whether anything was added.
        """

        def write(table: DeltaTable, seen: int, options: dict[str, Any]) -> bool:
            found = rows(seen)
            if found is not None:
                write_deltalake(table, self._in_sequence(found, table), mode="append", **options)
            return found is not None

        return self._numbered([name], write)

    def _numbered(self, names: Sequence[str], write: Callable[[DeltaTable, int, dict[str, Any]], bool]) -> bool:
        """Let `write`, told the number of the first, make the next commit of each name.

        Again from the start when another writer was quicker.
        """

        def commit() -> bool:
            table = self.create()
            seen = {name: table.transaction_version(name) or 0 for name in names}
            numbers = [Transaction(name, number + 1) for name, number in seen.items()]
            properties = CommitProperties(app_transactions=numbers)
            options = {"commit_properties": properties, "writer_properties": self._properties()}
            return write(table, seen[names[0]], options)

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

    def is_rewritten(self, file: dict[str, Any]) -> bool:
        """Whether that file of a snapshot was written by `rewrite`."""
        return str(file["name"]).rpartition("/")[2].startswith(_REWRITTEN)

    def rewrite(self, files: Sequence[dict[str, Any]], parts: Iterable[Sequence[pa.Table]]) -> bool:
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
            added = [self._add(files[0], _REWRITTEN, part, drafts) for part in parts]
            gone = [self._removed(file) for file in files]
            return self._retried(lambda: self._exchange(added, gone, drafts))

    def _exchange(self, added: Sequence[AddAction], gone: Sequence[RemoveAction], drafts: list[str]) -> bool:
        """Commit new files for old ones, on the table as it is now; False where one of the old ones is not there."""
        table = self.open()
        if table is None or not {action.path for action in gone} <= self._names(table):
            return False
        if access.is_remote(self.url):
            drafts.clear()  # the answer of a commit that was made can be lost, so `vacuum` alone may delete them
        try:
            table.create_write_transaction([*added, *gone], "append", table.schema(), list(self.partitions))
        except (DeltaError, OSError):
            if not self._has_committed([*added, *gone]):
                raise
        drafts.clear()
        return True

    def _has_committed(self, actions: Sequence[AddAction | RemoveAction]) -> bool:
        """Whether a commit was made although an error was raised, as by the checkpoint that follows every hundredth."""
        latest = self.open()
        names = set() if latest is None else self._names(latest)
        return all((action.path in names) is isinstance(action, AddAction) for action in actions)

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

    def _removed(self, file: dict[str, Any]) -> RemoveAction:
        """That a file goes.

        As a change of data: deltalake 1.6 lets two writers through who both take the same file out without one.
        """
        path, now = unquote(file["name"]), int(time.time() * 1000)
        return RemoveAction(path, True, now, file["size_bytes"], self._partition(file))

    def _partition(self, file: dict[str, Any]) -> dict[str, str | None]:
        return {name: str(file[f"partition.{name}"]) for name in self.partitions}

    def _add(self, beside: dict[str, Any], prefix: str, groups: Sequence[pa.Table], drafts: list[str]) -> AddAction:
        """Write a file of these row groups, which becomes one of `drafts`; what the log is to say of it.

        It is of the partition, and in the folder, of the file `beside`.
        """
        folder = unquote(beside["name"][: beside["name"].rfind("/") + 1])  # the log escapes paths by itself
        name, partition = f"{folder}{prefix}{uuid.uuid4()}.parquet", self._partition(beside)
        filesystem, root = self.store.filesystem
        path = f"{root}/{self.name}/{name}"
        drafts.append(name)
        filesystem.create_dir(path.rpartition("/")[0], recursive=True)
        found = pa.concat_tables(groups)  # of a table that an older version made, it may lack columns
        stored = set(found.column_names).difference(self.partitions)
        schema = pa.schema([field for field in self.schema if field.name in stored])
        rows = found.select(schema.names).cast(schema)
        with pq.ParquetWriter(path, schema, filesystem=filesystem, **self._options()) as file:
            start = 0
            for group in groups:
                file.write_table(rows.slice(start, group.num_rows), row_group_size=group.num_rows)
                start += group.num_rows
        size = filesystem.get_file_info(path).size
        return AddAction(name, size, partition, int(time.time() * 1000), True, _statistics(rows, self.keys))

    def _options(self) -> dict[str, Any]:
        """How `rewrite` writes Parquet: like `_properties`, and whole numbers, which repeat, by dictionary."""
        floating = {field.name for field in self.schema if pa.types.is_floating(field.type)}
        return {
            "compression": "zstd",
            "compression_level": 3,
            "use_dictionary": [field.name for field in self.schema if field.name not in (*floating, *self.partitions)],
            "write_statistics": list(self.keys),
            "store_schema": False,  # the copy of the schema for Arrow makes the footer longer
        }

    def merge(self) -> int:
        """Make the files of each partition of a small table one, in memory; returns how many were merged."""
        table = self.open()
        merged = 0
        for values, files in self.by_partition(table):
            if table is None or len(files) < 2:
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
        table = self.open()
        if table is not None:
            with translated("write", self.url):
                table.create_checkpoint()

    def vacuum(self, days: float) -> int:
        """Delete files that no version of the last days needs, and what broken-off writers left; returns how many."""
        table = self.open()
        if table is None:
            return 0
        with translated("vacuum", self.url):
            gone = table.vacuum(int(days * 24), dry_run=False, enforce_retention_duration=False, full=True)
            return len(gone)

    def _properties(self) -> WriterProperties:
        """Numbers plain, which every reader knows, and zstd; byte-stream-split would be an eighth to a sixth smaller.

        Only the keys have statistics in the file: nobody passes over a file by a mean, and a footer is half as large.
        """
        bare = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
        others = [field.name for field in self.schema if field.name not in (*self.keys, *self.partitions)]
        return WriterProperties(
            compression="ZSTD",
            compression_level=3,
            max_row_group_size=_ROW_GROUP,
            column_properties=dict.fromkeys(others, bare),
        )


class Exchange:
    """Files that come and go in one commit, of which nobody sees anything before."""

    def __init__(self, table: Table, snapshot: DeltaTable, drafts: list[str]) -> None:
        self._table = table
        self._snapshot = snapshot
        self._drafts = drafts
        self._actions: list[AddAction | RemoveAction] = []

    def add(self, groups: Sequence[pa.Table], beside: dict[str, Any], *, rewritten: bool = False) -> None:
        """Write a file of these row groups, of the partition of the file `beside`, which may be another table's."""
        prefix = _REWRITTEN if rewritten else "part-"
        self._actions.append(self._table._add(beside, prefix, groups, self._drafts))  # noqa: SLF001 - same module

    def remove(self, file: dict[str, Any]) -> None:
        """Take a file out."""
        self._actions.append(self._table._removed(file))  # noqa: SLF001 - same module

    def commit(self, numbers: dict[str, int] | None = None) -> bool:
        """Make the commit, under names and with a number for each where they are given.

        Returns:
            False where another writer was quicker: with a commit of such a name since the snapshot, or with other files
            for those that were to go. Nothing is changed then.
        """
        named = CommitProperties(app_transactions=[Transaction(*number) for number in (numbers or {}).items()])
        schema, partitions = self._snapshot.schema(), list(self._table.partitions)
        if access.is_remote(self._table.url):
            self._drafts.clear()  # the answer of a commit that was made can be lost, so `vacuum` alone deletes
        try:
            self._snapshot.create_write_transaction(
                self._actions, "append", schema, partitions, commit_properties=named
            )
        except CommitFailedError:
            return False
        except (DeltaError, OSError):
            if not self._table._has_committed(self._actions):  # noqa: SLF001 - same module
                raise
        self._drafts.clear()
        return True


def _created(table: DeltaTable) -> datetime:
    """When the table was made; the log keeps it in the table's own description, so it outlives old commits."""
    return datetime.fromtimestamp(table.metadata().created_time / 1000, UTC)


def _statistics(rows: pa.Table, keys: Sequence[str]) -> str:
    """What the log says of a file's rows, as JSON."""
    bounds = {name: pc.min_max(rows[name]) for name in keys}
    found = {
        "numRecords": rows.num_rows,
        "minValues": {name: bound["min"].as_py() for name, bound in bounds.items() if bound["min"].is_valid},
        "maxValues": {name: bound["max"].as_py() for name, bound in bounds.items() if bound["max"].is_valid},
        "nullCount": {name: rows[name].null_count for name in keys},
    }
    return json.dumps(found, default=lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}")
