"""The Parquet files of a Delta table: how they are named and written, and what the log says of them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cbm_lake.files import digests
from cbm_lake.storage import log
from cbm_lake.storage.store import Store

File = dict[str, Any]
"""A file of a table, as `Table.files` lists it."""
Partition = Mapping[str, str | None]
"""The values of the columns by whose folders a table is parted."""
PART: Final = "part-"
"""How the names of files begin that were written once and for all."""
REWRITTEN: Final = "sorted-"
"""How the names of files begin that were made of others; of version 0.1, rewritten-…, few know the encoding."""
_ROW_GROUP: Final = 8_192
"""Rows of one row group of what is appended."""
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Writer:
    """Writes the files of a table; they belong to it once a commit names them."""

    store: Store
    name: str
    """Folder of the table in the store."""
    schema: pa.Schema
    keys: tuple[str, ...]
    partitions: tuple[str, ...]

    def write(self, rows: pa.Table, drafts: list[str]) -> list[log.Action]:
        """Write rows, one file for each partition; what the log is to say of them.

        Args:
            rows: of the columns of the table.
            drafts: to which the paths of the files in the table's folder are added.
        """
        rows = rows.select([field.name for field in self.schema if field.name in rows.column_names])
        return [self.add(part, PART, _sliced(found), drafts) for part, found in self._parted(rows) if found.num_rows]

    def add(
        self,
        partition: Partition,
        prefix: str,
        groups: Sequence[pa.Table],
        drafts: list[str],
        folder: str | None = None,
    ) -> log.Action:
        """Write a file of these row groups; what the log is to say of it.

        Args:
            partition: to which all rows belong.
            prefix: how the file's name begins.
            groups: the rows; of a table that an older version made, they may lack columns.
            drafts: to which the path of the file in the table's folder is added.
            folder: of the partition, where it is known.
        """
        rows = pa.concat_tables(groups)
        stored = set(rows.column_names).difference(self.partitions)
        schema = pa.schema([field for field in self.schema if field.name in stored])
        rows = rows.select(schema.names).cast(schema)

        def write(writer: pq.ParquetWriter) -> None:
            start = 0
            for group in groups:
                writer.write_table(rows.slice(start, group.num_rows), row_group_size=group.num_rows)
                start += group.num_rows

        stem = f"{self.name}/{_folder(partition) if folder is None else folder}{prefix}{uuid.uuid4()}"
        written = self.store.write_as(lambda digest: digests.named(stem, digest), schema, write, **self._options())
        path = written.name.removeprefix(f"{self.name}/")
        drafts.append(path)
        return log.added(path, written.size, partition, _statistics(rows, self.keys))

    def without(self, file: File, key: str, value: int, drafts: list[str]) -> list[log.Action] | None:
        """Take the rows of a file out whose column has that value; None where there are none.

        What is left of its row groups is written anew.
        """
        name = f"{self.name}/{unquote(file['name'])}"
        values = self.store.read(name, [key])
        if values is None or key not in values.column_names or not pc.any(pc.equal(values[key], value)).as_py():
            return None
        groups = [rest for group in self._groups(name) if (rest := _others(group, key, value)).num_rows]
        gone = log.removed(unquote(file["name"]), file["size_bytes"], self.partition(file))
        if not groups:
            return [gone]
        prefix = REWRITTEN if is_rewritten(file) else PART
        return [self.add(self.partition(file), prefix, groups, drafts, folder_of(file)), gone]

    def partition(self, file: File) -> Partition:
        """The partition of a file."""
        return {name: str(file[f"partition.{name}"]) for name in self.partitions}

    def _groups(self, name: str) -> Iterator[pa.Table]:
        with self.store.open(self.store.path(name)) as source, pq.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)

    def _parted(self, rows: pa.Table) -> Iterator[tuple[Partition, pa.Table]]:
        """The rows of each partition by themselves."""
        if not self.partitions:
            yield {}, rows
            return
        for values in rows.select(self.partitions).group_by(self.partitions).aggregate([]).to_pylist():
            chosen = rows
            for name, value in values.items():
                column = chosen[name]
                chosen = chosen.filter(pc.is_null(column) if value is None else pc.equal(column, value))
            yield {name: None if value is None else str(value) for name, value in values.items()}, chosen

    def _options(self) -> dict[str, Any]:
        """Whole numbers and texts, which repeat, by dictionary; floats plain, which every reader knows.

        Only the keys have statistics in the file: nobody passes over a file by a mean, and a footer is half as large.
        """
        floating = {field.name for field in self.schema if pa.types.is_floating(field.type)}
        return {
            "use_dictionary": [field.name for field in self.schema if field.name not in (*floating, *self.partitions)],
            "write_statistics": list(self.keys),
            "store_schema": False,  # the copy of the schema for Arrow makes the footer longer
        }


def is_rewritten(file: File) -> bool:
    """Whether a file was made of others, and has its digest on record."""
    name = str(file["name"]).rpartition("/")[2]
    return name.startswith(REWRITTEN) and digests.recorded(name) is not None


def folder_of(file: File) -> str:
    """The folder of a file in the table's."""
    return unquote(file["name"][: file["name"].rfind("/") + 1])


def can_hold(statistics: str | None, key: str, value: int) -> bool:
    """Whether a file can have rows of that value, by what the log says of it as JSON."""
    statistics_of_columns = json.loads(statistics or "{}")
    first, last = (
        statistics_of_columns.get("minValues", {}).get(key),
        statistics_of_columns.get("maxValues", {}).get(key),
    )
    return first is None or last is None or first <= value <= last


def _folder(partition: Partition) -> str:
    """The folder of a partition, as Hive and the Delta library name it."""
    values = {name: _NULL if value is None else quote(value, safe="") for name, value in partition.items()}
    return "".join(f"{name}={value}/" for name, value in values.items())


def _sliced(rows: pa.Table) -> list[pa.Table]:
    return [rows.slice(start, _ROW_GROUP) for start in range(0, rows.num_rows, _ROW_GROUP)]


def _others(rows: pa.Table, key: str, value: int) -> pa.Table:
    return rows.filter(pc.fill_null(pc.not_equal(rows[key], value), True))


def _statistics(rows: pa.Table, keys: Sequence[str]) -> str:
    """What the log says of a file's rows, as JSON."""
    bounds = {name: pc.min_max(rows[name]) for name in keys if name in rows.column_names}
    known = {name: bound for name, bound in bounds.items() if bound["min"].is_valid}
    statistics_of_columns = {
        "numRecords": rows.num_rows,
        "minValues": {name: bound["min"].as_py() for name, bound in known.items()},
        "maxValues": {name: bound["max"].as_py() for name, bound in known.items()},
        "nullCount": {name: rows[name].null_count for name in bounds},
    }
    return json.dumps(statistics_of_columns, default=_text, ensure_ascii=False)


def _text(moment: Any) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(moment, datetime) else str(moment)
