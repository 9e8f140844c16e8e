"""Files and Delta tables of a lake, on a local folder or an object store: every write is whole or not at all."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from pyarrow import fs

from cbm_lake.errors import InvalidInputError, SourceError

_ATTEMPTS = 20
_UNUSABLE = frozenset("[]^|?#%\\")
"""What deltalake 1.6 mistakes or ends the process on in a local path, also when a URI escapes it."""
_ROW_GROUP = 8_192
"""Rows of one row group: a look-up decodes one or two of them."""


@dataclass(frozen=True)
class Store:
    """The folder or URL that holds a lake."""

    url: str

    def __post_init__(self) -> None:
        if "://" not in self.url and not _UNUSABLE.isdisjoint(self.url):
            raise InvalidInputError(
                f"the lake cannot be in {self.url!r}: the table format takes no {' '.join(sorted(_UNUSABLE))} in a path"
            )

    @cached_property
    def _filesystem(self) -> tuple[fs.FileSystem, str]:
        with translated("open", self.url):
            if "://" not in self.url:
                return fs.LocalFileSystem(), self.url
            try:
                return fs.FileSystem.from_uri(self.url)  # type: ignore[no-any-return]
            except pa.ArrowInvalid as error:
                raise InvalidInputError(
                    f"lake {self.url!r} is neither a folder nor a URL that can be opened: {error}"
                ) from error

    def path(self, name: str) -> str:
        """The full path or URL of a file of this store."""
        return f"{self.url.rstrip('/')}/{name}"

    def files(self, folder: str) -> list[str]:
        """Full paths of the Parquet files below a folder, in order; none where there is no such folder."""
        filesystem, root = self._filesystem
        with translated("list", self.path(folder)):
            found = filesystem.get_file_info(fs.FileSelector(f"{root}/{folder}", recursive=True, allow_not_found=True))
        names = (info.path.removeprefix(root).lstrip("/") for info in found if info.path.endswith(".parquet"))
        return sorted(self.path(name) for name in names if not name.rpartition("/")[2].startswith("."))

    def read(self, name: str) -> pa.Table | None:
        """A Parquet file as a table, or None when there is none of that name."""
        filesystem, root = self._filesystem
        with translated("read", self.path(name)):
            try:
                return pq.read_table(f"{root}/{name}", filesystem=filesystem)
            except FileNotFoundError:
                return None

    def exists(self, name: str) -> bool:
        """Whether there is a file of that name."""
        filesystem, root = self._filesystem
        with translated("look for", self.path(name)):
            return bool(filesystem.get_file_info(f"{root}/{name}").type != fs.FileType.NotFound)

    def write(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file in one step: nobody ever sees half of it."""
        filesystem, root = self._filesystem
        folder, _, file = f"{root}/{name}".rpartition("/")
        draft = f"{folder}/.{file}.{uuid.uuid4().hex}"
        with translated("write", self.path(name)):
            filesystem.create_dir(folder, recursive=True)
            try:
                pq.write_table(table, draft, filesystem=filesystem, compression="zstd", compression_level=3)
                filesystem.move(draft, f"{folder}/{file}")
            except OSError:
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
        """The files of a snapshot as its log tells: path, partition.<column>, where known min.<key>, max.<key>."""
        told: list[dict[str, Any]] = pa.table(table.get_add_actions(flatten=True)).to_pylist()
        return [{**file, "path": self.store.path(f"{self.name}/{unquote(file['path'])}")} for file in told]

    def moved_on(self, table: DeltaTable) -> bool:
        """Whether someone committed since: one look for the next entry of the log, so that it costs nothing to ask."""
        return self.store.exists(f"{self.name}/_delta_log/{table.version() + 1:020}.json")

    def open(self, as_of: datetime | None = None) -> DeltaTable | None:
        """The table as it is, or as it was; None when it had not been made yet."""
        with translated("read", self.url):
            try:
                table = DeltaTable(self.url)
                if as_of is not None:
                    if as_of < _created(table):
                        return None
                    table.load_as_version(as_of)
            except TableNotFoundError:
                return None
            return table

    def create(self) -> DeltaTable:
        """The table, made empty when it is not there."""
        with translated("write", self.url):
            return DeltaTable.create(
                self.url,
                self.schema,
                mode="ignore",
                partition_by=list(self.partitions),
                configuration={"delta.dataSkippingStatsColumns": ",".join(self.keys)},
            )

    def append(self, rows: pa.Table) -> None:
        """Add rows in one commit."""
        with translated("write", self.url):
            write_deltalake(self.create(), rows, mode="append", writer_properties=self._properties())

    def put(self, rows: pa.Table, **keys: str | int) -> None:
        """Make `rows` all that the table holds for those keys, in one commit, whoever else writes.

        The commit carries a transaction identifier made of the keys. The first writer of a set of keys appends; every
        later one, also one that started at the same time, is refused by the log, looks again and replaces.
        """
        name = "/".join(str(value) for value in keys.values())
        predicate = " and ".join(f"{column} = {_literal(value)}" for column, value in keys.items())
        with translated("write", self.url):
            for attempt in range(_ATTEMPTS):
                table = self.create()
                seen = table.transaction_version(name)
                if seen is None and not rows.num_rows:
                    return
                commit = CommitProperties(app_transactions=[Transaction(name, (seen or 0) + 1)])
                options: dict[str, Any] = (
                    {"mode": "append"} if seen is None else {"mode": "overwrite", "predicate": predicate}
                )
                try:
                    write_deltalake(
                        table, rows, commit_properties=commit, writer_properties=self._properties(), **options
                    )
                except CommitFailedError:
                    if attempt == _ATTEMPTS - 1:
                        raise
                    time.sleep(random.uniform(0.01, 0.1) * (attempt + 1))  # noqa: S311 - spreads writers, no secret
                else:
                    return

    def compact(self, by: str, target_size: int) -> dict[str, Any]:
        """Merge the files of each partition into few large ones, ordered by a column; returns what was done."""
        table = self.open()
        if table is None or table.history(1)[0].get("operation") == "OPTIMIZE":  # nothing came in since
            return {}
        with translated("compact", self.url):
            return table.optimize.z_order([by], target_size=target_size, writer_properties=self._properties())

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
    except (OSError, DeltaError, pa.ArrowException) as error:
        told, _, _ = str(error).partition("\n   0: ")  # what follows is a trace of the library's own calls
        reason = " ".join(told.split())
        raise SourceError(f"cannot {action} {path}: {reason}; check the path, its rights and the free space") from error


def _discard(filesystem: fs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(path).type != fs.FileType.NotFound:
        filesystem.delete_file(path)


def _literal(value: str | int) -> str:
    """A value in a Delta predicate, which knows no bound parameters."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
