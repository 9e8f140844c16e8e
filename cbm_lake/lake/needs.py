"""The tables, views and macros of a connection, each created when a statement first needs it.

Creating all of them costs more than most questions. So a statement gets those whose names are among its words, and what
these are made of: that may be more than it reads, never less, as nothing is read but by its name. What lists views, or
makes a name up while it runs, gets all.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cbm_lake.lake import queries
from cbm_lake.lake.queries import Query

_WORD: Final = re.compile(r"\w+")
_CREATED: Final = re.compile(r"^create (?:table|view|macro) (\w+)", re.MULTILINE)
_READ: Final = re.compile(r"\b(?:from|join)\s+(\w+)|(\w+)\(")
"""What a definition of this package reads: tables behind these words, and macros, which are called."""
_COMMENT: Final = re.compile(r"--.*")
_LISTING: Final = re.compile(
    r"\b(?:show|describe|pragma|information_schema|query|query_table|(?:duckdb|pg|pragma|sqlite)_\w+)\b|(?:^|\(|\*/)\s*desc\b",
    re.MULTILINE,
)
"""What lists views or names them by an expression."""


@dataclass(frozen=True)
class Definition:
    """Tables, views or macros that are created together."""

    names: tuple[str, ...]
    needs: Collection[str]
    """Names of others that have to be there before."""
    create: Callable[[], None]


class Definitions:
    """What a connection offers; what is needed is created, each once, in the order in which it is given.

    Thread-safe. What could not be created is tried again by the next statement.
    """

    def __init__(self, definitions: Iterable[Definition]) -> None:
        self._lock = threading.RLock()  # as one may ask for others while it is created
        self._all = tuple(definitions)
        self._by_name = {name: one for one in self._all for name in one.names}
        self._missing = set(self._by_name)

    @property
    def is_complete(self) -> bool:
        """Whether all is there."""
        return not self._missing

    def has(self, name: str) -> bool:
        """Whether the table, view or macro of that name is there."""
        return name in self._by_name and name not in self._missing

    def provide(self, names: Iterable[str]) -> None:
        """Create what has those names, and what it needs; other names are ignored."""
        with self._lock:
            needed = self._with_needs(self._missing.intersection(names))
            for one in self._all if needed else ():
                if not needed.isdisjoint(one.names) and not self._missing.isdisjoint(one.names):
                    self._create(one)

    def _create(self, one: Definition) -> None:
        self._missing.difference_update(one.names)  # first, so that what it asks for does not ask for it
        try:
            one.create()
        except BaseException:
            self._missing.update(one.names)
            raise

    def provide_for(self, statement: str | None) -> None:
        """Create what a statement may need; everything for None."""
        text = None if statement is None else statement.casefold()
        self.provide(self._by_name if text is None or _LISTING.search(text) else _WORD.findall(text))

    def provide_all(self) -> None:
        """Create everything."""
        self.provide(self._by_name)

    def _with_needs(self, names: Iterable[str]) -> set[str]:
        needed: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in needed and name in self._by_name:
                needed.add(name)
                waiting += self._by_name[name].needs
        return needed


def created(definition: Query) -> str:
    """The name of what a definition creates.

    Raises:
        ValueError: it creates nothing.
    """
    match = _CREATED.search(definition.sql)
    if match is None:
        raise ValueError(f"{definition.name} creates neither a table nor a view nor a macro")
    return match[1].casefold()


@lru_cache(512)
def read_by(sql: str) -> frozenset[str]:
    """The names that a definition of this package reads, among others that are none of its parts."""
    text = _COMMENT.sub("", sql).casefold()
    return frozenset(table or macro for table, macro in _READ.findall(text))


def read_by_steps(*folders: str) -> Iterator[str]:
    """The names that the statements of folders of sql/ read."""
    for name, query in queries.statements().items():
        if name.partition(".")[0] in folders:
            yield from read_by(query.sql)
