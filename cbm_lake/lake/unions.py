"""Views over Parquet files with different columns: missing ones are null, types are widened without loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import duckdb
import pyarrow as pa

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

Columns: TypeAlias = Sequence[tuple[str, "DuckDBPyType"]]
"""Names and types."""
_ASKED: Final[dict[pa.Schema, Columns]] = {}
"""The columns of the tables of lakes, of which there are some thirty."""
_SIGNED: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"})
"""Whole numbers that BIGINT has all of."""
_EXACT_IN_DOUBLE: Final = frozenset({"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER", "FLOAT"})
_TIMES: Final = frozenset({"DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_WIDER: Final = (
    (_SIGNED, "BIGINT"),
    (_SIGNED | {"UBIGINT", "HUGEINT"}, "HUGEINT"),
    (_EXACT_IN_DOUBLE | {"DOUBLE"}, "DOUBLE"),
    (_TIMES, "TIMESTAMP"),
)
"""Types, and the first that holds the values of all of them."""
_TEXT: Final = "VARCHAR"


@dataclass
class Union:
    """The columns of files, some of which have other columns or types than the others."""

    groups: dict[tuple[tuple[str, str], ...], list[str]] = field(default_factory=dict)
    """Files by their columns: name and DuckDB's type."""

    @property
    def types(self) -> dict[str, dict[str, None]]:
        """Every column by its first spelling, and the types that it has in files; SQL does not tell capitals apart."""
        spelling: dict[str, str] = {}
        types: dict[str, dict[str, None]] = {}
        for columns in self.groups:
            for name, kind in columns:
                types.setdefault(spelling.setdefault(name.casefold(), name), {})[kind] = None
        return types

    @property
    def mixed(self) -> dict[str, tuple[str, ...]]:
        """The columns that are text in the view, since no other type holds all the types that they have in files."""
        return {
            name: tuple(kinds) for name, kinds in self.types.items() if len(kinds) > 1 and common_type(kinds) == _TEXT
        }


def common_type(kinds: Iterable[str]) -> str:
    """The type in which values of all those types of DuckDB stay what they are; VARCHAR where there is no other."""
    several = set(kinds)
    if len(several) == 1:
        return several.pop()
    return next((wider for narrower, wider in _WIDER if several <= narrower), _TEXT)


def create_view(connection: duckdb.DuckDBPyConnection, name: str, paths: Sequence[str], required: pa.Schema) -> Union:
    """Make a view over files, with all columns that any of them has, and those required, null where one lacks them."""
    union = Union()
    for path in paths:
        parts = _read(connection, [path])
        columns = tuple(sorted(zip(parts.columns, map(str, parts.types), strict=True)))
        union.groups.setdefault(columns, []).append(path)
    types = {column: common_type(kinds) for column, kinds in union.types.items()}
    spelled = set(map(str.casefold, types))
    types |= {c: str(t) for c, t in _columns(connection, required) if c.casefold() not in spelled}
    if not paths:
        create_empty(connection, name, required)
        return union
    whole: duckdb.DuckDBPyRelation | None = None
    for columns, files in union.groups.items():
        part = _read(connection, files).project(_projection(types, dict(columns)))
        whole = part if whole is None else whole.union(part)
    if whole is not None:
        whole.create_view(name)
    return union


def _read(connection: duckdb.DuckDBPyConnection, paths: list[str]) -> duckdb.DuckDBPyRelation:
    return connection.read_parquet(paths, hive_partitioning=True, union_by_name=len(paths) > 1)


def _projection(types: Mapping[str, str], present: Mapping[str, str]) -> str:
    """The select list that gives a group of files all columns, in their common types."""
    spelling = {name.casefold(): name for name in present}
    parts = []
    for name, kind in types.items():
        original = spelling.get(name.casefold())
        value = "null" if original is None else duckdb.ColumnExpression(original)
        cast = f"{value}::{kind}" if original is None or present[original] != kind else str(value)
        parts.append(f"{cast} as {duckdb.ColumnExpression(name)}")
    return ", ".join(parts)


def view_files(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: Sequence[str],
    schema: pa.Schema,
    *,
    union_by_name: bool = False,
    columns: str = "*",
) -> None:
    """A view over Parquet files, or an empty table, with all columns of the schema, null where files lack them.

    With `columns` it has those only, so that others, whose types may differ, are never looked at.
    """
    if not files:
        create_empty(connection, name, schema)
        return
    relation = connection.read_parquet(list(files), hive_partitioning=True, union_by_name=union_by_name)
    if columns == "*":
        columns = _completed(dict(zip(relation.columns, relation.types, strict=True)), _columns(connection, schema))
    (relation if columns == "*" else relation.project(columns)).create_view(name)


def _completed(stored: Mapping[str, DuckDBPyType], required: Columns) -> str:
    """The select list that gives files of some columns those required that they lack, and members of structs."""
    missing, wider = [], []
    for column, kind in required:
        if column not in stored:
            missing.append(f'null::{kind} as "{column}"')
        elif kind.id == "struct" and (lacking := _lacking(stored[column], kind)):
            wider.append(f'struct_insert("{column}", {lacking}) as "{column}"')
    replaced = f" replace ({', '.join(wider)})" if wider else ""
    return ", ".join([f"*{replaced}", *missing])


def create_empty(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    """Make an empty table with the columns of a schema."""
    columns = ", ".join(f'"{column}" {kind}' for column, kind in _columns(connection, schema))
    connection.execute(f"create table {name} ({columns})")


def _columns(connection: duckdb.DuckDBPyConnection, schema: pa.Schema) -> Columns:
    """The columns of a schema and their types of DuckDB, which it is asked for once."""
    if schema not in _ASKED:
        empty = connection.from_arrow(pa.Table.from_batches([], schema))  # imports no pandas, as empty_table would
        _ASKED[schema] = tuple(zip(empty.columns, empty.types, strict=True))
    return _ASKED[schema]


def _lacking(stored: DuckDBPyType, needed: DuckDBPyType) -> str:
    """The members of a struct that another has not, as null, as arguments of a function."""
    members = {name for name, _ in stored.children} if stored.id == "struct" else set()
    return ", ".join(f'"{name}" := null::{kind}' for name, kind in needed.children if name not in members)
