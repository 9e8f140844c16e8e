"""Damaged files of a lake: queries that need one fail with its name and advice, all others go on working.

A table that cannot be opened is a view that refuses; a file of an area and year that cannot be read is one row of that
area and year which refuses, so that a question about others never comes to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import duckdb
import pyarrow as pa

from cbm_lake.lake import queries

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

Columns: TypeAlias = Sequence[tuple[str, "DuckDBPyType"]]
"""Names and types."""


@dataclass(frozen=True)
class Unreadable:
    """An area and year of which a file cannot be read."""

    aoi: str
    year: int
    reason: str
    """Which file, what is wrong, and what to do."""


def unreadable(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> dict[str, str]:
    """Those of the Parquet files that are damaged or missing, and what is wrong with each.

    What cannot be reached, or not be opened by this user, is no damage.
    """
    faults = {}
    for path in paths:
        try:
            connection.read_parquet([path])
        except duckdb.Error as error:
            problem = str(error).strip().partition("\n")[0]
            if "No files found" in problem or not (
                isinstance(error, duckdb.IOException) or problem.startswith("Traceback")
            ):
                faults[path] = problem
    return faults


def message(path: str, reason: str, advice: str) -> str:
    """The message about a file that cannot be read."""
    problem = reason if path in reason else f"{path}: {reason}"
    return f"cannot read the lake: {problem}; restore it from a copy, or {advice}"


def refusing(
    connection: duckdb.DuckDBPyConnection, columns: Columns, reason: str, values: Mapping[str, str | int] | None = None
) -> duckdb.DuckDBPyRelation:
    """One row that raises SourceError when it is read.

    Args:
        connection: of the relation.
        columns: of the row.
        reason: of the error.
        values: of some columns, by which the row may be passed over.
    """
    text = duckdb.ConstantExpression(f"{queries.DAMAGED}{reason}")
    error = duckdb.FunctionExpression("error", text).cast("VARCHAR")
    constants = {name: duckdb.ConstantExpression(value) for name, value in (values or {}).items()}
    # every other column is the error, for a null would be passed over by whoever looks for a value
    row = [constants.get(name, error).cast(kind).alias(name) for name, kind in columns]
    return connection.sql("select 1 as one").filter(error.isnotnull()).select(*row)


def refuse(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, reason: str) -> None:
    """Make a view of those columns that raises SourceError when it is asked."""
    refusing(connection, _columns(connection.from_arrow(schema.empty_table())), reason).create_view(name)


def refuse_unreadable(connection: duckdb.DuckDBPyConnection, name: str, refused: Sequence[Unreadable]) -> None:
    """Make a view of `sound(name)`, with columns aoi and year, that raises SourceError for what is refused."""
    whole = connection.table(sound(name))
    columns = _columns(whole)
    for each in refused:
        is_there = (duckdb.ColumnExpression("aoi").cast("VARCHAR") == duckdb.ConstantExpression(each.aoi)) & (
            duckdb.ColumnExpression("year").cast("BIGINT") == duckdb.ConstantExpression(each.year)
        )
        row = refusing(connection, columns, each.reason, {"aoi": each.aoi, "year": each.year})
        whole = whole.filter(~is_there).union(row)
    whole.create_view(name)


def sound(name: str) -> str:
    """What the view is called of what can be read."""
    return f"sound_{name}"


def record(connection: duckdb.DuckDBPyConnection, refused: Sequence[Unreadable]) -> None:
    """Make the table unreadable, of the areas and years of which nothing can be decided."""
    connection.execute("create table unreadable (aoi varchar, year bigint, reason varchar)")
    for each in refused:
        connection.execute("insert into unreadable values (?, ?, ?)", [each.aoi, each.year, each.reason])


def lazily(definition: str) -> str:
    """A definition whose rows are worked out when it is asked, so that what it needs may refuse."""
    return definition.replace("\ncreate table ", "\ncreate view ", 1)


def _columns(relation: duckdb.DuckDBPyRelation) -> Columns:
    return list(zip(relation.columns, relation.types, strict=True))
