"""The Parquet data files of a Delta table: naming, writing, and their description in the log."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from cbm_lake.files import digests
from cbm_lake.storage import entries
from cbm_lake.storage.store import Store

Partition = Mapping[str, str | None]
"""Values of the partition columns."""
Bound: TypeAlias = Any
"""A value of a column, as deltalake decodes it by the column's type: str, int, float, date or datetime."""
PART: Final = "part-"
"""How the names of files begin that were written once and for all."""
REWRITTEN: Final = "sorted-"
"""Prefix of merged or rewritten files; few readers know the encoding of those of version 0.1, rewritten-…"""
_ROW_GROUP: Final = 8_192
"""Rows of one row group of what is appended."""
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


class DataFile(NamedTuple):
    """A Parquet file of a snapshot of a table, as described by the log."""

    path: str
    """Full path or URL, from which it is read."""
    name: str
    """In the log: the path in the table's folder, percent-encoded."""
    size: int
    """Bytes."""
    rows: int | None
    """None where the log does not say."""
    partition: Mapping[str, str]
    """The values of the partition columns, as text."""
    bounds: Mapping[str, tuple[Bound, Bound]]
    """Minimum and maximum of columns, where the log has both."""

    @property
    def relative(self) -> str:
        """The path in the table's folder."""
        return unquote(self.name)

    @property
    def folder(self) -> str:
        """The folder in the table's, which is that of its partition; "" or with a slash at the end."""
        return self.relative[: self.relative.rfind("/") + 1]

    @property
    def is_rewritten(self) -> bool:
        """Whether it was merged from others, and has its digest on record."""
        name = self.name.rpartition("/")[2]
        return name.startswith(REWRITTEN) and digests.recorded(name) is not None

    def only(self, column: str) -> Bound | None:
        """The one value that all its rows have in a column; None where the log does not say so."""
        first, last = self.bounds.get(column, (None, None))
        return first if first == last else None

    def can_hold(self, column: str, value: Bound) -> bool:
        """Whether it can contain rows with a value."""
        bounds = self.bounds.get(column)
        return bounds is None or bool(bounds[0] <= value <= bounds[1])


def listed(table: DeltaTable, root: str, partitions: Sequence[str], columns: Sequence[str]) -> list[DataFile]:
    """The files of a snapshot.

    Args:
        table: the snapshot.
        root: path or URL of the table.
        partitions: columns by whose folders it is parted.
        columns: those whose bounds are needed.
    """
    added = pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()  # imports no pandas

    def column(name: str) -> list[Bound]:
        values: list[Bound] = added[name].to_pylist() if name in added.column_names else [None] * added.num_rows
        return values

    names: list[str] = column("path")
    parts = [[str(value) for value in column(f"partition.{name}")] for name in partitions]
    shared: dict[tuple[str, ...], dict[str, str]] = {}
    of_partition = [
        shared.setdefault(values, dict(zip(partitions, values, strict=True)))
        for values in (zip(*parts, strict=True) if parts else [()] * len(names))
    ]
    ends = {name: zip(column(f"min.{name}"), column(f"max.{name}"), strict=True) for name in dict.fromkeys(columns)}
    bounds: list[dict[str, tuple[Bound, Bound]]] = [{} for _ in names]
    for name, pairs in ends.items():
        for of_file, pair in zip(bounds, pairs, strict=True):
            if None not in pair:
                of_file[name] = pair
    paths = [f"{root}/{unquote(name)}" for name in names]
    rows = zip(paths, names, column("size_bytes"), column("num_records"), of_partition, bounds, strict=True)
    return list(map(DataFile._make, rows))


@dataclass(frozen=True)
class Writer:
    """Writes the files of a table; they belong to it once a commit names them."""

    store: Store
    name: str
    """Folder of the table in the store."""
    schema: pa.Schema
    keys: tuple[str, ...]
    partitions: tuple[str, ...]

    def write(self, rows: pa.Table, drafts: list[str]) -> list[entries.Action]:
        """Write rows, one file for each partition; what the log is to say of them.

        Args:
            rows: of the columns of the table.
            drafts: to which the paths of the files in the table's folder are added.
        """
        rows = rows.select([field.name for field in self.schema if field.name in rows.column_names])
        return [self.add(part, PART, _sliced(inside), drafts) for part, inside in self._parted(rows) if inside.num_rows]

    def add(
        self,
        partition: Partition,
        prefix: str,
        groups: Sequence[pa.Table],
        drafts: list[str],
        folder: str | None = None,
    ) -> entries.Action:
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
        return entries.added(path, written.size, partition, _statistics(rows, self.keys))

    def without(self, file: DataFile, key: str, value: int, drafts: list[str]) -> list[entries.Action] | None:
        """Remove the rows of a file whose column has a value; None where there are none.

        The rest of its row groups is rewritten.
        """
        name = f"{self.name}/{file.relative}"
        values = self.store.read(name, [key])
        if values is None or key not in values.column_names or not pc.any(pc.equal(values[key], value)).as_py():
            return None
        gone = entries.removed(file.relative, file.size, file.partition)
        if not _others(values, key, value).num_rows:
            return [gone]
        groups = [rest for group in self._groups(name) if (rest := _others(group, key, value)).num_rows]
        prefix = REWRITTEN if file.is_rewritten else PART
        return [self.add(file.partition, prefix, groups, drafts, file.folder), gone]

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
            inside = rows
            for name, value in values.items():
                column = inside[name]
                inside = inside.filter(pc.is_null(column) if value is None else pc.equal(column, value))
            yield {name: None if value is None else str(value) for name, value in values.items()}, inside

    def _options(self) -> dict[str, object]:
        """Whole numbers and texts, which repeat, by dictionary; floats plain, which every reader knows.

        Only the keys have statistics in the file: nobody passes over a file by a mean, and a footer is half as large.
        """
        floating = {field.name for field in self.schema if pa.types.is_floating(field.type)}
        return {
            "use_dictionary": [field.name for field in self.schema if field.name not in (*floating, *self.partitions)],
            "write_statistics": list(self.keys),
            "store_schema": False,  # the copy of the schema for Arrow makes the footer longer
        }


def can_hold(statistics: str | None, key: str, value: int) -> bool:
    """Whether a file can have rows of that value, by what the log says of it as JSON."""
    columns = json.loads(statistics or "{}")
    first, last = (columns.get(end, {}).get(key) for end in ("minValues", "maxValues"))
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
    valid = {name: bound for name, bound in bounds.items() if bound["min"].is_valid}
    statistics = {
        "numRecords": rows.num_rows,
        "minValues": {name: bound["min"].as_py() for name, bound in valid.items()},
        "maxValues": {name: bound["max"].as_py() for name, bound in valid.items()},
        "nullCount": {name: rows[name].null_count for name in bounds},
    }
    return json.dumps(statistics, default=_text, ensure_ascii=False)


def _text(value: object) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%S.%fZ}" if isinstance(value, datetime) else str(value)
