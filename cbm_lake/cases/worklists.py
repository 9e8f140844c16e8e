"""Worklists: rows to be decided on, however many there are: paged, counted, searched, filtered and sorted."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, export, queries
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.server import statements

Ints = npt.NDArray[np.int64]
STANDING: Final = ("decision", "who", "decided", "note", "outdated")
"""Columns of what was decided, in all worklists."""
_OF_THE_MOMENT: Final = re.compile(r"\b(now|today|age|current_\w+|localtime\w*)\b", re.IGNORECASE)
"""Words of conditions that are true at one time and not at another."""
_WITH_GEOMETRY: Final = frozenset({".gpkg", ".parquet", ".fgb", ".geojson"})


@dataclass(frozen=True)
class Count:
    """How many rows a worklist has."""

    rows: int
    open: int
    """Those without a decision."""


@dataclass(frozen=True, eq=False)
class Listed:
    """The rows of a desk in its own order, and what was decided on them."""

    lake: Lake = field(repr=False)
    parcels: ParcelSet
    rows: pa.Table = field(repr=False)
    """pid and the columns of the desk; in one piece."""
    standing: pa.Table = field(repr=False)
    """number of the row, ascending, and STANDING; only rows that were decided on."""
    key: Hashable = field(default=None, repr=False)
    """What the rows rest on; their orders are held where it is not None."""
    decided: Hashable = field(default=None, repr=False)
    """What `standing` rests on."""

    @cached_property
    def numbers(self) -> Ints:
        """Of the rows that were decided on, ascending."""
        numbers: Ints = self.standing["number"].to_numpy()
        return numbers

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the rows with what was decided."""
        return pa.schema([*self.rows.schema, *self.standing.select(list(STANDING)).schema])

    def with_standing(self) -> pa.Table:
        """All rows with what was decided on them."""
        standing = self._standing(np.arange(self.rows.num_rows))
        return pa.Table.from_arrays([*self.rows.columns, *standing.columns], schema=self.schema)

    def take(self, numbers: Ints) -> pa.Table:
        """Rows by their numbers, with what was decided on them."""
        rows, standing = self.rows.take(pa.array(numbers)), self._standing(numbers)
        return pa.Table.from_arrays([*rows.columns, *standing.columns], schema=self.schema)

    def _standing(self, numbers: Ints) -> pa.Table:
        """What was decided on rows, null where nothing was."""
        at = np.searchsorted(self.numbers, numbers)
        there = at < len(self.numbers)
        there[there] = self.numbers[at[there]] == numbers[there]
        return self.standing.select(list(STANDING)).take(pa.array(at, mask=~there))


@dataclass(frozen=True, eq=False)
class Worklist:
    """Rows to be decided on, in an order; what is decided afterwards is in the next worklist that is asked for.

    Attributes:
        listed: all rows of the desk.
        numbers: those that are selected, in their order.
    """

    listed: Listed
    numbers: Ints = field(repr=False)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of its rows, by which it can be sorted and filtered."""
        return tuple(self.listed.schema.names)

    def count(self) -> Count:
        """How many rows it has, and how many of them are without a decision."""
        return Count(len(self.numbers), int(np.count_nonzero(~self._decided)))

    def page(self, offset: int = 0, limit: int = 100) -> pa.Table:
        """Some rows in their order, as many as there are.

        Args:
            offset: of the first one, from 0.
            limit: at most so many.

        Raises:
            InvalidInputError: a number is below 0.
        """
        if offset < 0 or limit < 0:
            raise InvalidInputError(f"there is no page of {limit} rows from row {offset}; give 0 or more")
        return self.listed.take(self.numbers[offset : offset + limit])

    def position(self, pid: str) -> int | None:
        """The place of a parcel's first row, from 0; None where it is not in the worklist."""
        of_parcel = np.flatnonzero(pc.equal(self.listed.rows["pid"], pid).to_numpy(zero_copy_only=False))
        positions = np.flatnonzero(np.isin(self.numbers, of_parcel))
        return int(positions[0]) if len(positions) else None

    def next_open(self, after: int = -1) -> int | None:
        """The place of the next row without a decision, after those at its end the first; None where there is none.

        Args:
            after: a place from 0; -1 begins with the first row.
        """
        places = np.flatnonzero(~self._decided)
        if not len(places):
            return None
        at = int(np.searchsorted(places, after, side="right"))
        return int(places[at % len(places)])

    def export(self, path: str | Path) -> int:
        """Write all rows in their order to a file; returns their number.

        Args:
            path: its extension is the format, see `Lake.export`. In .parquet, .gpkg, .fgb and .geojson the parcels have
                their geometries, as declared.

        Raises:
            InvalidInputError: the format is unknown, or cannot hold a column.
            SourceError: the file cannot be written.
        """
        target, rows = Path(path), self.listed.take(self.numbers)
        with _alone() as connection:
            if target.suffix.lower() not in _WITH_GEOMETRY:
                return export.write(connection.from_arrow(rows), target)
            geometries = self.listed.lake.query("cases.geometries", **self.listed.parcels.params, pids=None)
            connection.register("listed", rows.append_column("number", pa.array(np.arange(rows.num_rows))))
            connection.register("geometries", geometries)
            return export.write(connection.sql(queries.get("desk.exported").sql), target)

    @cached_property
    def _decided(self) -> npt.NDArray[np.bool_]:
        """Of each row in its order whether it has a decision."""
        return np.isin(self.numbers, self.listed.numbers)


def select(listed: Listed, where: str = "", search: str = "", sort: str = "") -> Worklist:
    """The worklist of some rows of a desk, in an order; held in the cache of the lake.

    Args:
        listed: the rows.
        where: a condition on their columns, as it stands after `where` in SQL.
        search: the beginning of a pid, or words that are all in the name of the crop, small and capital letters alike.
        sort: a column, `-column` for descending; ties, and all without it, are in the desk's own order.

    Raises:
        InvalidInputError: the condition is none, or there is no such column.
    """
    where, search = where.strip(), search.strip().lower()
    column = sort.removeprefix("-")
    if where:
        statements.check_condition(where)
    if column and column not in listed.schema.names:
        raise InvalidInputError(
            f"there is no column {column!r} to sort by; choose from {', '.join(listed.schema.names)}"
        )
    if not (where or search or column):
        return Worklist(listed, np.arange(listed.rows.num_rows))
    judged = column in STANDING or any(name in where.lower() for name in STANDING)
    order = f'"{column}" {"desc" if sort.startswith("-") else "asc"} nulls last, ' if column else ""
    key = ("order", listed.key, listed.decided if judged else None, where, search, order)

    def ordered() -> Ints:
        return _ordered(listed, where, search, order, judged=judged)

    if listed.key is None or _OF_THE_MOMENT.search(where):
        return Worklist(listed, ordered())
    return Worklist(listed, listed.lake.caches.worklists.get(key, ordered, lambda numbers: numbers.nbytes))


def joined(question: str, tables: Mapping[str, pa.Table], **params: object) -> pa.Table:
    """The result of a step of sql/desk/ over some tables, in one piece."""
    with _alone() as connection, queries.translated():
        for name, table in tables.items():
            connection.register(name, table)
        result = connection.sql(queries.get(f"desk.{question}").sql, params=params or None).to_arrow_table()
    return result.combine_chunks()


def cached(lake: Lake, key: Hashable, make: Callable[[], pa.Table]) -> pa.Table:
    """A table that is made once, while the cache of the lake has room for it."""
    return lake.caches.worklists.get(key, make, lambda table: table.nbytes)


@contextmanager
def _alone() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that sees the tables that it is given and nothing else, whatever a condition says."""
    with closing(duckdb.connect(config={"enable_external_access": "false"})) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set lock_configuration = true")
        yield connection


def _ordered(listed: Listed, where: str, search: str, order: str, *, judged: bool) -> Ints:
    """The numbers of the rows that satisfy a condition and a search, in their order."""
    rows = listed.with_standing() if judged else listed.rows
    with _alone() as connection:
        connection.register("listed", rows.append_column("number", pa.array(np.arange(rows.num_rows))))
        searched = queries.get("desk.searched").sql
        statement = f"select number from (\n{searched}\n) where (\n{where or 'true'}\n)\norder by {order}number"  # noqa: S608
        try:
            numbers: Ints = connection.execute(statement, {"search": search}).fetchnumpy()["number"]
        except duckdb.Error as error:
            raise InvalidInputError(_explained(str(error), searched.count("\n") + 3)) from error
    return numbers


def _explained(error: str, before: int) -> str:
    """An error of DuckDB with its mark and candidates; lines are counted without those before the condition."""

    def counted(line: re.Match[str]) -> str:
        return f"LINE {max(int(line[1]) - before, 1)}:".ljust(len(line[0]))  # so that the mark stays below

    reason = re.sub(r"LINE (\d+):", counted, error.strip())
    return f"this condition cannot be used: {reason}"
