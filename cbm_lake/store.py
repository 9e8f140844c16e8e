"""Files and Delta tables of a lake, on a local folder or an object store: every write is whole or not at all."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
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
_UNUSABLE = frozenset("[]^|?#%\\=")
"""What deltalake 1.6 mistakes or ends the process on in a local path, also when escaped; = would mark a partition."""
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
                with pq.ParquetFile(f"{root}/{name}", filesystem=filesystem) as file:
                    return file.read(columns)  # read_table would add the columns of a path like aoi=…/year=…
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
        with translated("write", self.url):
            attempt = 0
            while True:
                attempt += 1
                table = self.create()
                seen = table.transaction_version(name) or 0
                commit = CommitProperties(app_transactions=[Transaction(name, seen + 1)])
                try:
                    return write(table, seen, {"commit_properties": commit, "writer_properties": self._properties()})
                except CommitFailedError:
                    if attempt == _ATTEMPTS:
                        raise
                    time.sleep(random.uniform(0.01, 0.1) * attempt)  # noqa: S311 - spreads writers, no secret

    def remove(self, key: str, values: Iterable[int]) -> int:
        """Take out the rows whose column `key` has one of those values, in one commit; returns how many there were."""
        listed = ", ".join(str(int(value)) for value in values)
        table = self.open()
        if table is None or not listed:
            return 0
        with translated("write", self.url):
            done = table.delete(f"{key} in ({listed})", writer_properties=self._properties())
            return int(done.get("num_deleted_rows") or 0)

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
