"""The shared tables: which there are of an area and year, and the rows of each as they are, or were."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Final

import duckdb
import pyarrow as pa

from cbm_lake import cards
from cbm_lake.errors import NotFoundError, SourceError
from cbm_lake.files import installed
from cbm_lake.lake import Lake, queries
from cbm_lake.lake.history import Changes, Sources, sources_of
from cbm_lake.lake.tables import of as tables_of
from cbm_lake.storage.store import Store

PART: Final = "part"
"""The column of sql/sharing/ that says which rows have files of their own; it is not given."""
_OPTICAL: Final = tuple(f"signatures_{card.name}" for card in cards.CARDS.values() if card.is_optical)
SHARED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "parcels": (),
        **{card: (f"signatures_{card}",) for card in cards.CARDS},
        "observations": _OPTICAL,
        "markers": ("marked",),
        "lights": ("changed",),
        "changes": ("changed",),
        "judgements": ("judged",),
        "crop_checks": ("checked_crops",),
    }
)
"""Views that are shared, and the Delta tables in which an area and year must have files so that it has rows."""
_ATTEMPTS: Final = 50
"""How often the rows are asked for anew while others write."""


@dataclass(frozen=True)
class Name:
    """A table of an area and year."""

    aoi: str
    year: int
    table: str

    def __str__(self) -> str:
        return f"{self.aoi}.{self.year}.{self.table}"


@dataclass(frozen=True)
class Version:
    """The rows of a table at one version."""

    name: Name
    number: int
    state: str
    """A digest of what the rows depend on: with the number it identifies them."""
    rows: duckdb.DuckDBPyRelation
    """With the column `PART`; read when they are asked for, whatever is written meanwhile."""

    @property
    def schema(self) -> pa.Schema:
        """The columns that are given."""
        schema = self.rows.limit(0).to_arrow_table().schema
        return schema.remove(schema.get_field_index(PART))


def names(lake: Lake, aoi: str, year: int) -> list[Name]:
    """The tables of an area and year that have rows, in alphabetical order."""
    snapshot, by_name = lake.snapshot(), tables_of(Store(lake.url))

    def has_files(table: str) -> bool:
        files = by_name[table].files(snapshot.tables[table]) if table in snapshot.tables else ()
        return any((file.partition["aoi"], file.partition["year"]) == (aoi, str(year)) for file in files)

    needed = {table for sources in SHARED.values() for table in sources}
    there = {table for table in needed if has_files(table)}
    return [Name(aoi, year, view) for view in sorted(SHARED) if not SHARED[view] or there.intersection(SHARED[view])]


class Tables:
    """The tables of a lake."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._sources: dict[str, Sources] = {}

    def id(self, name: Name) -> str:
        """The identity of a table, the same at all versions."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.lake.url}#{name}"))

    def number(self, name: Name) -> int:
        """The present version."""
        return self._of(name).version(self.lake.snapshot())

    def current(self, name: Name) -> Version:
        """The rows as they are."""
        return self._version_of(self.lake, name)

    def at_version(self, name: Name, number: int) -> Version:
        """The rows at a version.

        Raises:
            NotFoundError: there was no such version, or it can no longer be told from a later one, or read.
        """
        if number == self.number(name):
            return self.current(name)
        version = self.at_moment(name, self._changes(name).moment(number))
        if version.number != number:
            reason = f"version {number} of {name} was replaced within a millisecond, or its times were changed"
            raise NotFoundError(reason, advice=f"the next that can be read is {version.number}")
        return version

    def at_moment(self, name: Name, moment: date | str) -> Version:
        """The rows as the lake was at a moment.

        Raises:
            InvalidInputError: it is none.
            NotFoundError: there was nothing then, or it can no longer be read.
        """
        try:
            version = self._version_of(self.lake.at(moment), name)
        except SourceError as error:
            raise NotFoundError(f"{name} of {moment} can no longer be read; its files were vacuumed") from error
        if not version.number:
            raise NotFoundError(f"there was nothing of {name} yet at {moment}")
        return version

    def since(self, name: Name, moment: datetime) -> int:
        """The first version that is not older than a moment; see `Changes.since`."""
        return self._changes(name).since(moment)

    def _changes(self, name: Name) -> Changes:
        return self._of(name).changes(Store(self.lake.url))

    def _of(self, name: Name) -> Sources:
        if name.table not in self._sources:
            self._sources[name.table] = sources_of(name.table, Store(self.lake.url))
        return self._sources[name.table]

    def _version_of(self, lake: Lake, name: Name) -> Version:
        """The rows of a lake with the version that they are of: what is the same before and after asking for them."""
        statement, sources = queries.get(f"sharing.{name.table}").sql, self._of(name)
        for _ in range(_ATTEMPTS):
            before = lake.snapshot()
            rows = lake.relation(statement, aoi=name.aoi, year=name.year)
            state = sources.state(lake.snapshot())
            if sources.state(before) == state:
                digest = hashlib.sha256(repr((installed.version(), state)).encode()).hexdigest()
                return Version(name, sources.version(before), digest[:32], rows)
        raise SourceError(f"others went on writing while {name} was asked for; ask again")
