"""Files and Delta tables of a lake, on a local folder or an object store: every write is whole or not at all."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
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
from obstore.exceptions import BaseError
from pyarrow import fs

from cbm_lake import access, s3files
from cbm_lake.errors import InvalidInputError, SourceError

_ATTEMPTS = 20
_UNUSABLE = frozenset("[]^|?#%\\=")
"""What deltalake 1.6 mistakes or ends the process on in a local path, also when escaped; = would mark a partition."""
_ROW_GROUP = 8_192
"""Rows of one row group of what is appended."""
_COLUMNS = "cbm-lake.columns"
"""The property of a Delta table that says with how many columns it was made."""
_REWRITTEN = "rewritten-"
"""How the names of files begin that `rewrite` made."""


@dataclass(frozen=True)
class Store:
    """The folder or URL that holds a lake."""

    url: str

    def __post_init__(self) -> None:
        if not _UNUSABLE.isdisjoint(self.url):
            raise InvalidInputError(
                f"the lake cannot be in {self.url!r}: the table format takes no {' '.join(sorted(_UNUSABLE))} in a path"
            )

    @cached_property
    def _filesystem(self) -> tuple[fs.FileSystem, str]:
        with translated("open", self.url):
            if "://" not in self.url:
                return fs.LocalFileSystem(), self.url
            if access.is_remote(self.url):
                return s3files.filesystem(self.url), self.url.partition("://")[2].rstrip("/")
            raise InvalidInputError(f"lake {self.url!r} is neither a folder nor an s3:// URL")

    @property
    def options(self) -> dict[str, str] | None:
        """What deltalake is told to reach the store; never kept, for keys of a role run out."""
        return access.Access.of(self.url).delta() if access.is_remote(self.url) else None

    def path(self, name: str) -> str:
        """The full path or URL of a file of this store."""
        return f"{self.url.rstrip('/')}/{name}"

    def files(self, folder: str, ending: str = ".parquet") -> list[str]:
        """Full paths of the files of that ending below a folder, in order; none where there is no such folder."""
        filesystem, root = self._filesystem
        with translated("list", self.path(folder)):
            found = filesystem.get_file_info(fs.FileSelector(f"{root}/{folder}", recursive=True, allow_not_found=True))
        names = (
            info.path.removeprefix(root).lstrip("/") for info in found if info.is_file and info.path.endswith(ending)
        )
        return sorted(self.path(name) for name in names if not name.rpartition("/")[2].startswith("."))

    def folders(self, folder: str) -> list[str]:
        """Names of the folders in a folder; none where there is no such folder."""
        filesystem, root = self._filesystem
        with translated("list", self.path(folder)):
            found = filesystem.get_file_info(fs.FileSelector(f"{root}/{folder}", allow_not_found=True))
        return sorted(info.base_name for info in found if not info.is_file)

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table | None:
        """A Parquet file, or some columns of it, as a table; None when there is none of that name."""
        filesystem, root = self._filesystem
        with translated("read", self.path(name)):
            try:
                remote = access.is_remote(self.url)  # where one long request is better than a hundred short ones
                with pq.ParquetFile(f"{root}/{name}", filesystem=filesystem, pre_buffer=remote) as file:
                    return file.read(columns)  # read_table would add the columns of a path like aoi=…/year=…
            except FileNotFoundError:
                return None

    def open(self, path: str) -> pa.NativeFile:
        """A file of this store that never changes, by its full path, to be read in places."""
        if access.is_remote(self.url):
            return pa.PythonFile(s3files.S3Files(self.url).open(path), mode="r")
        filesystem, root = self._filesystem
        return filesystem.open_input_file(root + path.removeprefix(self.url))

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        filesystem, root = self._filesystem
        with translated("look for", self.path(name)):
            return bool(filesystem.get_file_info(f"{root}/{name}").type != fs.FileType.NotFound)

    def prove(self) -> None:
        """See that commits to the store are safe, at the first write of a process.

        Raises:
            SourceError: it is an object store without conditional put.
        """
        if access.is_remote(self.url):
            access.check_conditional_put(self.url)

    def write(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file in one step: nobody ever sees half of it."""
        filesystem, root = self._filesystem
        self.prove()
        options = {"compression": "zstd", "compression_level": 3}
        with translated("write", self.path(name)):
            if access.is_remote(self.url):
                content = pa.BufferOutputStream()
                pq.write_table(table, content, **options)
                with filesystem.open_output_stream(f"{root}/{name}") as file:  # an object is there whole or not at all
                    file.write(content.getvalue())
                return
            folder, _, file = f"{root}/{name}".rpartition("/")
            draft = f"{folder}/.{file}.{uuid.uuid4().hex}"
            filesystem.create_dir(folder, recursive=True)
            try:
                pq.write_table(table, draft, filesystem=filesystem, **options)
                filesystem.move(draft, f"{folder}/{file}")
            except (OSError, pa.ArrowException):
                _discard(filesystem, draft)
                raise


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

        Where known also min.<key> and max.<key> of the first key.
        """
        told = pa.table(table.get_add_actions(flatten=True))
        wanted = {"path", "size_bytes", *(f"{end}.{name}" for end in ("min", "max") for name in self.keys[:1])}
        wanted |= {f"partition.{name}" for name in self.partitions}
        rows: list[dict[str, Any]] = told.select([name for name in told.column_names if name in wanted]).to_pylist()
        return [
            {**row, "name": row["path"], "path": self.store.path(f"{self.name}/{unquote(row['path'])}")} for row in rows
        ]

    def moved_on(self, table: DeltaTable) -> bool:
        """Whether someone committed since: one look for the next entry of the log, so that it costs nothing to ask."""
        return self.store.exists(f"{self.name}/_delta_log/{table.version() + 1:020}.json")

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
                table.alter.set_table_properties({_COLUMNS: "of several versions"}, raise_if_not_exists=False)
                table.alter.add_columns(missing)
            table.update_incremental()
        return table

    def is_uniform(self, table: DeltaTable) -> bool:
        """Whether all files of a snapshot have all columns, since the table was made with as many as it has now."""
        made_with = table.metadata().configuration.get(_COLUMNS)
        return made_with == str(len(self.schema)) == str(len(table.schema().fields))

    def append(self, rows: pa.Table) -> None:
        """Add rows in one commit."""

        def write() -> bool:
            write_deltalake(self.create(), rows, mode="append", writer_properties=self._properties())
            return True

        self._retried(write)

    def put(self, rows: pa.Table, key: str, value: int) -> None:
        """Make `rows` all that the table holds where column `key` has that value, in one commit, whoever else writes.

        The first writer of a value appends; every later one, also one that started at the same time, is refused by the
        log, looks again and replaces.
        """

        def write(table: DeltaTable, seen: int, options: dict[str, Any]) -> bool:
            if seen:
                write_deltalake(table, rows, mode="overwrite", predicate=f"{key} = {value}", **options)
            elif rows.num_rows:
                write_deltalake(table, rows, mode="append", **options)
            return True

        self._numbered(str(value), write)

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
                write_deltalake(table, found, mode="append", **options)
            return found is not None

        return self._numbered(name, write)

    def _numbered(self, name: str, write: Callable[[DeltaTable, int, dict[str, Any]], bool]) -> bool:
        """Let `write` make the next commit of a name; again from the start when another writer was quicker."""

        def commit() -> bool:
            table = self.create()
            seen = table.transaction_version(name) or 0
            properties = CommitProperties(app_transactions=[Transaction(name, seen + 1)])
            return write(table, seen, {"commit_properties": properties, "writer_properties": self._properties()})

        return self._retried(commit)

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
        folder = unquote(files[0]["name"][: files[0]["name"].rfind("/") + 1])  # the log escapes paths by itself
        values: dict[str, str | None] = {name: str(files[0][f"partition.{name}"]) for name in self.partitions}
        with translated("compact", self.url), ExitStack() as drafts:
            added = [self._add(f"{folder}{_REWRITTEN}{uuid.uuid4()}.parquet", values, part, drafts) for part in parts]
            now = int(time.time() * 1000)
            # deltalake 1.6 lets two writers through who both take the same file out "without changing data"
            gone = [RemoveAction(unquote(file["name"]), True, now, file["size_bytes"], values) for file in files]
            done = self._retried(lambda: self._exchange(added, gone, drafts))
            if done:
                drafts.pop_all()
            return done

    def _exchange(self, added: Sequence[AddAction], gone: Sequence[RemoveAction], drafts: ExitStack) -> bool:
        """Commit new files for old ones, on the table as it is now; False where one of the old ones is not there."""
        table = self.open()
        if table is None or not {action.path for action in gone} <= self._names(table):
            return False
        if access.is_remote(self.url):
            drafts.pop_all()  # the answer of a commit that was made can be lost, so `vacuum` alone may delete them
        try:
            table.create_write_transaction([*added, *gone], "append", table.schema(), list(self.partitions))
        except (DeltaError, OSError):
            latest = self.open()
            if latest is None or not {action.path for action in added} <= self._names(latest):
                raise
        return True

    def _names(self, table: DeltaTable) -> set[str]:
        """The files of a snapshot by their paths in the table's folder."""
        return {unquote(file["name"]) for file in self.files(table)}

    def _add(
        self, name: str, partition: dict[str, str | None], groups: Sequence[pa.Table], drafts: ExitStack
    ) -> AddAction:
        """Write a file of these row groups, which goes away with `drafts`; what the log is to say of it."""
        filesystem, root = self.store._filesystem  # noqa: SLF001 - same module
        path = f"{root}/{self.name}/{name}"
        drafts.callback(_discard, filesystem, path)
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
        split = {field.name: "BYTE_STREAM_SPLIT" for field in self.schema if pa.types.is_floating(field.type)}
        return {
            "compression": "zstd",
            "compression_level": 3,
            "column_encoding": split,
            "use_dictionary": [field.name for field in self.schema if field.name not in (*split, *self.partitions)],
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
        """Numbers byte-stream-split and zstd: 137 bytes a wide row of eight bands, against 174 of long rows.

        Only the keys have statistics in the file: nobody passes over a file by a mean, and a footer is half as large.
        """
        bare = ColumnProperties(dictionary_enabled=False, statistics_enabled="NONE")
        split = ColumnProperties(encoding="BYTE_STREAM_SPLIT", dictionary_enabled=False, statistics_enabled="NONE")
        columns = {
            field.name: split if pa.types.is_floating(field.type) else bare
            for field in self.schema
            if field.name not in (*self.keys, *self.partitions)
        }
        return WriterProperties(
            compression="ZSTD",
            compression_level=3,
            max_row_group_size=_ROW_GROUP,
            column_properties=columns,
        )


def _created(table: DeltaTable) -> datetime:
    """When the table was made; the log keeps it in the table's own description, so it outlives old commits."""
    return datetime.fromtimestamp(table.metadata().created_time / 1000, UTC)


def stamp(moment: datetime) -> str:
    """A moment as it stands in file names: sorts as time does."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")


@contextmanager
def translated(action: str, path: str) -> Iterator[None]:
    """Turn what the storage libraries raise into one line that names the file and says what to do."""
    try:
        yield
    except (OSError, DeltaError, pa.ArrowException, BaseError) as error:
        if access.is_remote(path):
            raise SourceError(f"cannot {action} {path}: {access.explained(error)}; {access.ADVICE}") from error
        told, _, _ = str(error).partition("\n   0: ")  # what follows is a trace of the library's own calls
        reason = " ".join(told.split())
        raise SourceError(f"cannot {action} {path}: {reason}; check the path, its rights and the free space") from error


def _statistics(rows: pa.Table, keys: Sequence[str]) -> str:
    """What the log says of a file's rows, as JSON."""
    bounds = {name: pc.min_max(rows[name]) for name in keys}
    found = {
        "numRecords": rows.num_rows,
        "minValues": {name: bound["min"].as_py() for name, bound in bounds.items()},
        "maxValues": {name: bound["max"].as_py() for name, bound in bounds.items()},
        "nullCount": {name: rows[name].null_count for name in keys},
    }
    return json.dumps(found, default=lambda moment: f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}")


def _discard(filesystem: fs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_file(path)
