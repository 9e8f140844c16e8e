"""Copies of tables as Parquet files: of each version one, written when it is first asked for, deleted when it is not.

The Delta tables' own files are not handed out: they also hold the rows of clear pixels alone, rows of commands that
have not ended, and other columns from file to file, and `vacuum` deletes them. A copy has what the view has.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Schema

from cbm_lake.lake import queries
from cbm_lake.server.sharing.tables import PART, Name, Version
from cbm_lake.server.turns import BusyError

Bound: TypeAlias = str | int | datetime | date
"""The least or greatest value of a column; times are in UTC."""
_SCHEMA: Final = "schema.json"
"""The file of a copy that is written last."""
_DRAFT: Final = "draft-"
_KEPT: Final = 86_400.0
"""Seconds since a copy was last asked for, after which it is deleted."""
_ROW_GROUP: Final = 100_000


@dataclass(frozen=True)
class File:
    """A file of a copy."""

    path: Path
    name: str
    """In its copy, without a folder."""
    size: int
    """Bytes."""
    rows: int
    bounds: dict[str, tuple[Bound, Bound]]
    """Least and greatest value of columns of texts, whole numbers, days and times, where the file says them."""
    nulls: dict[str, int]


@dataclass(frozen=True)
class Copy:
    """The files of a version of a table."""

    name: Name
    number: int
    folder: Path

    @cached_property
    def schema(self) -> str:
        """The columns, as Delta writes them."""
        return (self.folder / _SCHEMA).read_text("utf-8")

    @cached_property
    def written(self) -> int:
        """When, in milliseconds since 1970."""
        return int(1000 * (self.folder / _SCHEMA).stat().st_mtime)

    @cached_property
    def files(self) -> tuple[File, ...]:
        """Those with rows, in the order of their parts."""
        paths = sorted(self.folder.rglob("*.parquet"))
        files = (_described(path, f"{number}.parquet") for number, path in enumerate(paths))
        return tuple(file for file in files if file.rows)


class Copies:
    """The copies below a folder.

    Args:
        root: where they are; made when it is needed, for the owner only.
        seconds: for which a link to a file holds, so that no copy is deleted before.
        room: bytes of all of them.
    """

    def __init__(self, root: Path, seconds: float, room: int) -> None:
        self._root, self._seconds, self._room = root, seconds, room
        self._writing, self._lock = threading.Lock(), threading.Lock()
        self._copies: dict[Path, Copy] = {}

    def existing(self, table: str, name: Name, number: int, state: str = "*") -> Copy | None:
        """The copy of a version that is there already; it is kept for longer from now on.

        Args:
            table: the identity of the table.
            name: the same in words.
            number: of the version.
            state: what its rows depend on; where it is not known, the copy that was written last.
        """
        folders = [folder for folder in self._root.glob(f"{table}-{number}-{state}") if (folder / _SCHEMA).exists()]
        if not folders:
            return None
        folder = max(folders, key=lambda folder: (folder / _SCHEMA).stat().st_mtime)
        os.utime(folder)
        with self._lock:
            return self._copies.setdefault(folder, Copy(name, number, folder))

    def copy(self, table: str, version: Version) -> Copy:
        """The copy of a version, which is written where there is none.

        Raises:
            BusyError: there is no room for another.
            SourceError: the lake cannot be read.
        """
        key = table, version.name, version.number, version.state
        copy = self.existing(*key)
        if copy is None:
            with self._writing:
                copy = self.existing(*key)
                if copy is None:
                    self._make_room()
                    _write(version, self._root, self._root / f"{table}-{version.number}-{version.state}")
                    copy = self.existing(*key)
        if copy is None:
            raise BusyError("the table could not be kept; ask again", 503, 1.0)
        return copy

    def file(self, folder: str, name: str) -> Path | None:
        """A file of a copy, by the names that a link says."""
        with self._lock:
            copy = self._copies.get(self._root / folder)
        files = copy.files if copy else ()
        return next((file.path for file in files if file.name == name and file.path.is_file()), None)

    def _make_room(self) -> None:
        """Delete what was not asked for lately; of too much, all to which no link holds any more, the oldest first.

        Raises:
            BusyError: that is not enough.
        """
        now = time.time()
        idle = {folder: now - folder.stat().st_mtime for folder in self._folders()}
        sizes = {folder: _size(folder) for folder in idle}
        for folder in sorted(idle, key=lambda folder: -idle[folder]):
            limit = self._seconds if sum(sizes.values()) > self._room else max(_KEPT, self._seconds)
            if idle[folder] > limit:
                with self._lock:
                    self._copies.pop(folder, None)
                shutil.rmtree(folder, ignore_errors=True)
                del sizes[folder]
        if sum(sizes.values()) > self._room:
            raise BusyError("there is no room for further tables on this server; ask again later", 503, self._seconds)

    def _folders(self) -> Iterator[Path]:
        if self._root.is_dir():
            yield from (folder for folder in self._root.iterdir() if folder.is_dir())


def _write(version: Version, root: Path, folder: Path) -> None:
    draft = root / f"{_DRAFT}{uuid.uuid4().hex}"
    draft.mkdir(mode=0o700, parents=True)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, draft, ignore_errors=True)
        with queries.translated():
            version.rows.write_parquet(
                str(draft / "rows"),
                compression="zstd",
                row_group_size=_ROW_GROUP,
                partition_by=[PART],
                write_partition_columns=False,
            )
            schema = Schema.from_arrow(version.schema).to_json()
        (draft / _SCHEMA).write_text(schema, "utf-8")
        draft.rename(folder)
        undo.pop_all()


def _described(path: Path, name: str) -> File:
    metadata = pq.read_metadata(path)
    bounds: dict[str, tuple[Bound, Bound]] = {}
    nulls: dict[str, int] = {}
    for number, field in enumerate(metadata.schema.to_arrow_schema()):
        if metadata.num_columns <= number or not _is_ordered(field.type):
            continue
        column = _column(metadata, field.name)
        statistics = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
        if all(each is not None and each.has_null_count for each in statistics):
            nulls[field.name] = sum(each.null_count for each in statistics)
        bounded = [each for each in statistics if each is not None and each.has_min_max]
        if bounded and len(bounded) == len(statistics):
            bounds[field.name] = _zoned(min(each.min for each in bounded)), _zoned(max(each.max for each in bounded))
    return File(path, name, path.stat().st_size, metadata.num_rows, bounds, nulls)


def _column(metadata: pq.FileMetaData, name: str) -> int:
    """The number of a column that is not nested."""
    return next(n for n in range(metadata.num_columns) if metadata.schema.column(n).path == name)


def _is_ordered(kind: pa.DataType) -> bool:
    """Whether the least and greatest values are worth knowing and exact: not those of floats, which may be NaN."""
    return bool(
        pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_timestamp(kind)
    )


def _zoned(value: Bound) -> Bound:
    """A value whose time, if it is one, says its zone."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
