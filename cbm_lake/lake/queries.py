"""Named queries: loads the statements of sql/, one per file, documented by its leading comment lines.

A file whose name or text says so is a template of one statement a card; see `templates`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import duckdb

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError, StatementError
from cbm_lake.lake import templates

VIEWS = ("macros", "views")
"""Folders whose files define what a connection offers."""
STEPS = ("changing", "check", "compaction", "desk", "granted", "lookup", "migrate", "settling", "validation")
"""Folders whose statements are steps of the package's own work, over tables that it makes for them.

All other folders hold questions to the lake.
"""

_READING: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
_PARAMETER: Final = re.compile(r"\$(\w+)")
_ONE_PARCEL: Final = frozenset({"aoi", "year", "ptype", "pid"})
"""The parameters that name a parcel."""

DAMAGED = "damaged: "
"""How an error of SQL begins that says which file of the lake cannot be read, and what to do; see `damaged`."""


@dataclass(frozen=True)
class Query:
    """One statement of sql/."""

    name: str
    """Folder and file: sql/parcels/by_pid.sql is parcels.by_pid."""
    description: str
    """The leading comment; it names every $parameter."""
    sql: str
    """The statement as it is run."""

    @property
    def of_one_parcel(self) -> bool:
        """Whether it is about parcel $pid of a parcel set, and no other."""
        return _ONE_PARCEL.issubset(_PARAMETER.findall(self.sql))

    @property
    def narrows(self) -> bool:
        """Whether it reads the signatures of parcel $pid and of no other: some questions of sql/time_series/ do."""
        return self.name.startswith("time_series.") and self.of_one_parcel


def get(name: str) -> Query:
    """The named query or internal step of that name.

    Raises:
        NotFoundError: there is none; the message lists the questions that there are.
    """
    try:
        return statements()[name]
    except KeyError:
        raise NotFoundError(f"no query {name!r}; there are: {', '.join(load())}") from None


@cache
def load() -> dict[str, Query]:
    """All named queries, sorted by name."""
    return {name: query for name, query in statements().items() if name.partition(".")[0] not in STEPS}


@cache
def statements() -> dict[str, Query]:
    """All named queries and internal steps, sorted by name."""
    folders = sorted({file.parent.name for file in _root().glob("*/*.sql")} - {*VIEWS})
    return {query.name: query for folder in folders for query in _folder(folder)}


def definitions(statistics: templates.Statistics = templates.NONE) -> tuple[Query, ...]:
    """The macros and views of a connection, in the order of creation (by file name).

    Args:
        statistics: the optional statistics in the table of each card.
    """
    return _definitions(tuple(sorted((card, further) for card, further in statistics.items() if any(further))))


@lru_cache(32)
def _definitions(statistics: tuple[tuple[str, templates.Further], ...]) -> tuple[Query, ...]:
    return tuple(query for folder in VIEWS for query in _folder(folder, dict(statistics)))


@contextmanager
def translated() -> Iterator[None]:
    """Translate DuckDB's errors into one line; unreadable files are distinguished from invalid statements."""
    try:
        yield
    except duckdb.Error as error:
        reason, _, others = str(error).strip().partition("\n")
        if reason.startswith("Traceback"):  # of what reads the files of an object store
            _, _, reason = others.splitlines()[-1].partition(": ")
            raise SourceError(f"cannot read the lake: {reason}; check the object store and the keys to it") from error
        if DAMAGED in reason:
            raise SourceError(reason.partition(DAMAGED)[2]) from error
        damaged = type(error) is duckdb.Error  # what its Parquet reader says of bytes that are no Parquet
        if damaged or isinstance(error, duckdb.IOException) or ".parquet" in reason:
            advice = "a Parquet file is damaged or missing; restore it, or load or extract it again"
            if "No files found" in reason:
                advice += "; the lake of a moment before a vacuum cannot be read any more"
            raise SourceError(f"cannot read the lake: {reason.rstrip(': ')}; {advice}") from error
        advice = next(
            (line for line in others.splitlines() if line.startswith(("Candidate bindings", "Did you mean"))), ""
        )
        raise StatementError(f"this SQL cannot be run: {reason} {advice}".rstrip(), excerpt=_excerpt(others)) from error


def relation(cursor: duckdb.DuckDBPyConnection, statement: str, params: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    """The relation of a statement, not yet run; several statements, or none that reads, raise InvalidInputError."""
    with translated():
        kinds = [part.type for part in cursor.extract_statements(statement)]
        if len(kinds) != 1 or kinds[0] not in _READING:
            raise InvalidInputError("this SQL is not one statement that gives rows; the lake is read by one SELECT")
        try:
            return cursor.sql(statement, params=params or None)
        except (duckdb.BinderException, duckdb.CatalogException):
            cursor.execute(statement, params or None)  # fails alike, and says at which place
            raise


def _excerpt(text: str) -> str:
    """The line of a statement that DuckDB points at, and its caret below; "" where it points at none."""
    lines = text.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith("LINE ")), None)
    return "" if first is None else "\n".join(lines[first : first + 2])


def _folder(folder: str, statistics: templates.Statistics = templates.NONE) -> Iterator[Query]:
    """The statements of a folder, in the order of their names; what is of a card itself counts for that card."""
    files = {file.stem: file.read_text("utf-8") for file in (_root() / folder).glob("*.sql")}
    texts: dict[str, str] = {}
    for name in sorted(files, key=templates.is_general, reverse=True):
        text = files[name]
        of_cards = templates.rendered(name, text, statistics)
        texts.update(of_cards if templates.is_template(name, text) else [(name, text)])
    return (_parse(f"{folder}.{name}", texts[name]) for name in sorted(texts))


def _parse(name: str, text: str) -> Query:
    lines = text.splitlines()
    count = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    description = " ".join(line.removeprefix("--").strip() for line in lines[:count])
    return Query(name, description, text)


def _root() -> Path:
    """sql/ inside the installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parents[1]
    return next(path for path in (package / "sql", package.parent / "sql") if path.is_dir())
