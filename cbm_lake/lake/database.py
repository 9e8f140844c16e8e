"""The DuckDB database over a snapshot of a lake: its views, and partition pruning for queries about one parcel."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import damaged, derived, lookup, queries, schemas, sums, tables, templates, unions
from cbm_lake.lake.settling import Judge
from cbm_lake.lake.snapshots import Snapshot, aoi_and_year
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

_FID = "ogc_fid"
"""The column of parcels that came from a database of the original library: the number by which its tables know them."""
_OF_SIGNATURES = "views.40"
"""Definitions from here on need the signatures; those before do with scenes, parcels and the ledger."""
_OF_VERSIONS = "aoi, year, ptype, version, id, geometry"
"""What the views of all versions of parcel sets have: every version of this package has written these columns."""
_FIRST = ("ledger", "obsids", "suspects", "exclusions")
"""Tables that those before need."""
_DECIDING = ("ledger", "suspects", "exclusions", "stac_scenes")
"""Tables that say which signatures count."""
_UNREAD = tuple(f"aside_{name}" for name, card in tables.SIGNATURES.items() if name != card)
"""Tables without views: of rows set aside those of a card are read by the guard, and to say why a light changed."""
_COLUMN = re.compile(r"[a-z][a-z0-9_]*")
"""How the columns of parcel_attributes are called."""
_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""What may be run: SELECT, to which DESCRIBE, SHOW and SUMMARIZE belong, and PIVOT, which DuckDB calls several."""


@dataclass(frozen=True)
class Part:
    """The files and rows of a database that contains only a part of a lake."""

    files: Mapping[str, Sequence[DataFile]]
    """Of each table those files that it may read, as `Table.files` lists them."""
    rows: Mapping[str, pa.Table]
    """Tables, and stac_scenes, whose rows are put into the database in place of views over files."""
    returning: Mapping[str, pa.Table]
    """Of tables of signatures the rows that are still set aside; see `settling`."""
    file: Path
    """Where the database is written."""


class Database:
    """A DuckDB database with the views of a snapshot: in memory, or in a file with a part of the lake only."""

    def __init__(
        self, store: Store, all_tables: dict[str, Table], snapshot: Snapshot, part: Part | None = None
    ) -> None:
        """Create the views of scenes, parcels and the ledger; those of the signatures are created when first used."""
        self.snapshot = snapshot
        self._store = store
        self._tables = all_tables
        self._files = dict(part.files) if part else files_of(all_tables, snapshot)
        self._rows = dict(part.rows) if part else {}
        self._refused = dict(snapshot.damaged)
        """Why views refuse, by the name of the table that each is of."""
        self._unreadable: list[damaged.Unreadable] = []
        """Areas and years whose parcels cannot be read, so that their signatures cannot be judged either."""
        self._lock = threading.Lock()
        self._complete = False
        self.mixed: dict[str, tuple[str, ...]] = {}
        """Columns of parcels that are text in fiboa_parcels, and the types that they have in the sets' own files."""
        self._card_files: dict[str, lookup.CardFiles] = {}
        self._coming: dict[str, pa.Table] = dict(part.returning) if part else {}
        self._connection = duckdb.connect(part.file if part else ":memory:")
        if is_remote(store.url):
            self._connection.register_filesystem(store.lasting_files)
        with queries.translated():
            configure(self._connection)
            self._begin()

    @property
    def is_whole(self) -> bool:
        """Whether no table or file is damaged."""
        return not (self._refused or self._unreadable)

    def cursor(self, parcel: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """A new cursor, as a connection shared between threads returns wrong rows.

        Args:
            parcel: pid, and optionally aoi and year, of the only parcel whose signatures are needed.
        """
        cursor = self.connection.cursor()
        if parcel and parcel.get("pid") is not None and self.is_whole:
            self._narrow(cursor, parcel)
        return cursor

    def facts(self) -> duckdb.DuckDBPyConnection:
        """A cursor with only the views of scenes, parcels and the ledger, and those derived from them."""
        return self._connection.cursor()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection with all views; each thread uses a cursor of it."""
        with self._lock:
            if not self._complete:
                self._end()
            self._complete = True
        return self._connection

    def series(self, card: str, params: dict[str, Any]) -> pa.Table | None:
        """The long rows of one parcel, or None where SQL has to answer."""
        if not self.is_whole:
            return None
        others = (name for name, owner in tables.SIGNATURES.items() if owner == card != name)
        if any(lookup.of_parcel(self._files[f"signatures_{name}"], {"pid": "", **params}) for name in others):
            return None
        if self.returning(f"signatures_{card}").num_rows:
            return None
        if card not in self._card_files:
            cursor = self._connection.cursor()
            counting = rows(cursor, queries.get("lookup.counting").sql, {"card": card})["extraction"]
            outdated = rows(cursor, queries.get("lookup.outdated").sql, {})["pid"].to_pylist()
            files = self._files[f"signatures_{card}"]
            judged = counting.combine_chunks(), frozenset(outdated)
            self._card_files[card] = lookup.CardFiles(self._store, files, *judged, self._further[card])
        return lookup.series(card, self._card_files[card], params)

    def _begin(self) -> None:
        """Make the views that look-ups need."""
        self._catalogue()
        faults = self._parcels()
        self._unreadable = _unreadable_partitions(faults, [*self.snapshot.parcels, *self.snapshot.former])
        damaged.record(self._connection, self._unreadable)
        for name in _FIRST:
            self._view(name)
        for definition in derived.definitions():
            if definition.name < _OF_SIGNATURES:
                self._define(definition)
        for name, paths in self._of_parcels.items() if faults else ():  # after "outdated", which speaks of the others
            damaged.refuse_unreadable(self._connection, name, _unreadable_partitions(faults, paths))

    def _catalogue(self) -> None:
        """Make the view of what was catalogued."""
        if "stac_scenes" in self._rows:
            self._connection.from_arrow(self._rows["stac_scenes"]).create("stac_scenes")
            return
        try:
            files = sums.shortened(self._store, self.snapshot.scenes)
            unions.view_files(self._connection, "stac_scenes", files, schemas.SCENES, union_by_name=True)
        except duckdb.Error as error:
            advice = "delete it and catalogue its scenes again"
            self._refuse("stac_scenes", self.snapshot.scenes, schemas.SCENES, advice, error)

    def _define(self, definition: queries.Query) -> None:
        """Make a view, or a table whose rows are worked out at once unless something that it may need is damaged."""
        self._connection.execute(damaged.lazily(definition.sql) if self._refused else definition.sql)

    @property
    def _of_parcels(self) -> dict[str, tuple[str, ...]]:
        """The views of parcels and the files of each."""
        snapshot = self.snapshot
        paths = (snapshot.parcels, snapshot.all_parcels, snapshot.former)
        return dict(zip(("fiboa_parcels", "parcel_versions", "former_parcels"), paths, strict=True))

    def _parcels(self) -> dict[str, str]:
        """Make the views of the parcels that can be read; which files cannot, and why."""
        try:
            self._view_parcels(self._of_parcels)
        except duckdb.Error:
            faults = damaged.unreadable(self._connection, self.snapshot.all_parcels)
            if not faults:
                raise
            self._view_parcels(
                {name: tuple(path for path in paths if path not in faults) for name, paths in self._of_parcels.items()},
                damaged.sound,
            )
            for name in self._of_parcels:
                self._connection.table(damaged.sound(name)).create_view(name)
            return faults
        return {}

    def _view_parcels(self, files: dict[str, tuple[str, ...]], naming: Callable[[str], str] = str) -> None:
        columns = _partitioned(schemas.PARCELS)
        union = unions.create_view(self._connection, naming("fiboa_parcels"), files["fiboa_parcels"], columns)
        self.mixed = union.mixed
        for name in ("parcel_versions", "former_parcels"):
            unions.view_files(
                self._connection, naming(name), files[name], columns, union_by_name=True, columns=_OF_VERSIONS
            )

    @cached_property
    def _further(self) -> dict[str, templates.Further]:
        """The optional statistics, and the indices of pixels, in the table of each card."""
        opened = self.snapshot.tables
        return {
            card: tables.further_of(self._tables[f"signatures_{card}"], opened.get(f"signatures_{card}"))
            for card in cards.CARDS
        }

    def _schema(self, name: str) -> pa.Schema:
        """The columns of a table's view: of signatures with every statistic that the card's table has for some band."""
        schema, of = self._tables[name].schema, name.removeprefix("signatures_")
        if of not in tables.SIGNATURES or of == name:
            return schema
        return pa.schema([*schema, *tables.columns_of(of, self._further[tables.SIGNATURES[of]])])

    def _refuse(self, name: str, files: Sequence[str], schema: pa.Schema, advice: str, error: duckdb.Error) -> None:
        """Make a view that says which of its files cannot be read; raise the error where all can be."""
        faults = damaged.unreadable(self._connection, files)
        if not faults:
            raise error
        path, reason = next(iter(faults.items()))
        self._refused[name] = damaged.message(path, reason, advice)
        damaged.refuse(self._connection, name, schema, self._refused[name])

    def _used(self) -> list[str]:
        """The cards that may have signatures: in files, set aside, or given as rows."""
        return [
            card
            for card in cards.CARDS
            if any(self._files[f"{kind}_{card}"] for kind in ("signatures", "aside"))
            or f"signatures_{card}" in self._rows
        ]

    def _end(self) -> None:
        """Make the views of the signatures and of the other tables."""
        with queries.translated():
            for name in self._tables:
                if name not in _FIRST and not name.startswith(_UNREAD):
                    self._view(name)
                if name.startswith("signatures_") and self._files[name]:
                    empty = self._schema(name).empty_table()
                    self._connection.from_arrow(empty).create(f"no_{name}")
            for definition in derived.definitions(self._further, self._used()):
                if definition.name >= _OF_SIGNATURES:
                    self._define(definition)
            self._attributes()

    def _attributes(self) -> None:
        """Make parcel_attributes: a row per parcel that was described, a column per attribute that any of them has.

        A column is text where one of its values is the text of a class, BIGINT where all are classes, else DOUBLE.
        """
        if "attributes" in self._refused:
            columns = pa.schema([(name, pa.string()) for name in ("aoi", "year", "ptype", "pid")])
            damaged.refuse(self._connection, "parcel_attributes", columns, self._refused["attributes"])
            return
        long = self._connection.table("parcel_attributes_long")
        kinds: dict[str, set[str]] = {}
        for name, kind in self._connection.table("attributes").project("attribute, kind").distinct().fetchall():
            kinds.setdefault(name, set()).add(kind)
        columns = [
            f"any_value({_typed(kinds[name])}) filter (attribute = '{name}') as \"{name}\""
            for name in sorted(kinds)
            if _COLUMN.fullmatch(name)
        ]
        long.aggregate(", ".join(["aoi, year, ptype, pid", *columns])).create_view("parcel_attributes")

    def _view(self, name: str) -> None:
        """Make the view of a Delta table; where files may lack columns, all footers are read.

        Signatures have many files, so they are asked whether that is so.
        """
        if name in self._rows:
            self._connection.from_arrow(self._rows[name]).create(name)
            return
        files, schema = [file.path for file in self._files[name]], self._schema(name)
        of_signatures = name.startswith("signatures_")
        needed = (name, _aside(name), *_DECIDING) if of_signatures else (name,)
        refused = next((self._refused[one] for one in needed if one in self._refused), None)
        if refused:
            damaged.refuse(self._connection, name, schema, refused)
            return
        try:
            self._view_files(name, files)
        except duckdb.Error as error:
            self._refuse(name, files, schema, "see what `cbm-lake check` advises", error)

    def _view_files(self, name: str, files: list[str]) -> None:
        """Create the view of a table whose log can be read."""
        schema, table = self._schema(name), self.snapshot.tables.get(name)
        of_signatures = name.startswith("signatures_")
        mixed = not of_signatures or (table is not None and not self._tables[name].is_uniform(table))
        view = damaged.sound(name) if of_signatures and self._unreadable else name
        if not of_signatures or not (coming := self.returning(name)).num_rows:
            unions.view_files(self._connection, view, files, schema, union_by_name=mixed)
        else:  # a command has not ended, or was killed
            unions.view_files(self._connection, f"stored_{name}", files, schema, union_by_name=mixed)
            self._connection.from_arrow(coming).create(f"coming_{name}")
            columns = ", ".join(f'"{column}"' for column in schema.names)
            others = self._connection.table(f"coming_{name}").project(columns)
            self._connection.table(f"stored_{name}").project(columns).union(others).create_view(view)
        if view != name:
            damaged.refuse_unreadable(self._connection, name, self._unreadable)

    def returning(self, name: str) -> pa.Table:
        """Rows of signatures that count but are still set aside; see `settling`."""
        if name not in self._coming:
            pair = next(pair for pair in tables.pairs(self._tables) if pair.counting is self._tables[name])
            counting, aside = (self.snapshot.tables.get(key) for key in (name, _aside(name)))
            if counting is None or aside is None:
                self._coming[name] = self._schema(name).empty_table()
            else:
                self._coming[name] = Judge(pair, self._connection.cursor()).returning(counting, aside)
        return self._coming[name]

    def _narrow(self, cursor: duckdb.DuckDBPyConnection, parcel: dict[str, Any]) -> None:
        """Restrict a cursor to the signature files that can contain the parcel."""
        for card in tables.SIGNATURES:
            files = self._files[f"signatures_{card}"]
            if self.returning(f"signatures_{card}").num_rows:
                continue
            keep = [file.path for file in lookup.of_parcel(files, parcel)]
            if len(keep) < len(files):
                cursor.execute(f"set variable files_{card} = $files", {"files": keep or [files[0].path]})
                cursor.execute(queries.get(f"lookup.{card}").sql)


def _aside(name: str) -> str:
    """The table of signature rows that are set aside."""
    return name.replace("signatures", "aside")


def _unreadable_partitions(faults: Mapping[str, str], paths: Iterable[str]) -> list[damaged.Unreadable]:
    """The areas and years of those of the parcel files that cannot be read."""
    unreadable: dict[tuple[str, int], damaged.Unreadable] = {}
    for path in paths:
        if path in faults:
            aoi, year = aoi_and_year(path)
            advice = f"delete it and load the parcels of {aoi} {year} again"
            unreadable[aoi, year] = damaged.Unreadable(aoi, year, damaged.message(path, faults[path], advice))
    return list(unreadable.values())


def configure(connection: duckdb.DuckDBPyConnection) -> None:
    """Set the DuckDB options that the views of a lake rely on."""
    # global, because a cursor does not inherit what is set for its connection only
    # geometries stay WKB in every version
    connection.execute("set global enable_geoparquet_conversion = false")
    connection.execute("set global parquet_metadata_cache = true")
    connection.execute("set global timezone = 'UTC'")


def files_of(all_tables: Mapping[str, Table], snapshot: Snapshot) -> dict[str, Sequence[DataFile]]:
    """The files of every table of a snapshot, as `Table.files` lists them."""
    return {
        name: table.files(snapshot.tables[name]) if name in snapshot.tables else []
        for name, table in all_tables.items()
    }


def _typed(kinds: set[str]) -> str:
    """The value of an attribute of those kinds as SQL."""
    if "label" in kinds:
        return "coalesce(label, format('{:g}', value))"
    return "value::bigint" if kinds == {"class"} else "value"


def rows(cursor: duckdb.DuckDBPyConnection, statement: str, params: dict[str, Any]) -> pa.Table:
    """The result of a statement with bound parameters."""
    with queries.translated():
        return relation(cursor, statement, params).to_arrow_table()


def relation(cursor: duckdb.DuckDBPyConnection, statement: str, params: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    """The relation of a statement, not yet run; several statements, or none that reads, raise InvalidInputError."""
    with queries.translated():
        kinds = [part.type for part in cursor.extract_statements(statement)]
        if len(kinds) != 1 or kinds[0] not in _READING:
            raise InvalidInputError("this SQL is not one statement that gives rows; the lake is read by one SELECT")
        return cursor.sql(statement, params=params or None)


def _partitioned(schema: pa.Schema) -> pa.Schema:
    extra = [("aoi", pa.string()), ("year", pa.int64()), ("ptype", pa.string()), ("version", pa.string())]
    extra.append((_FID, pa.int64()))
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in extra)])
