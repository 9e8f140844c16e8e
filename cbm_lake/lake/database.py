"""The DuckDB database over a snapshot of a lake: its views, and partition pruning for queries about one parcel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import attributes, damaged, derived, lookup, needs, queries, schemas, sums, tables, templates, unions
from cbm_lake.lake.needs import Definition, Definitions
from cbm_lake.lake.settling import Judge
from cbm_lake.lake.snapshots import Snapshot, aoi_and_year
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

_FID = "ogc_fid"
"""The column of parcels that came from a database of the original library: the number by which its tables know them."""
_HCAT = ("hcat:code", "hcat:name")
"""The columns of parcels that say what their crops are in HCAT, where that was known."""
_OF_VERSIONS = "aoi, year, ptype, version, id, geometry"
"""What the views of all versions of parcel sets have: every version of this package has written these columns."""
_PARCELS = ("fiboa_parcels", "parcel_versions", "former_parcels")
"""The views of parcels."""
_JUDGING = tuple(needs.read_by_steps("settling"))
"""What says which rows of signatures count."""
_FACTS = ("settling", "extractions", "compaction")
"""Folders of sql/ whose statements do with scenes, parcels and the ledger."""
_DECIDING = ("ledger", "suspects", "exclusions", "stac_scenes")
"""Tables that say which signatures count."""
_UNREAD = tuple(f"aside_{name}" for name, card in tables.SIGNATURES.items() if name != card)
"""Tables without views: of rows set aside those of a card are read by the guard, and to say why a light changed."""
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
        """Connect; each view is created when it is first needed, see `needs`."""
        self.snapshot = snapshot
        self._store = store
        self._tables = all_tables
        self._files = dict(part.files) if part else files_of(all_tables, snapshot)
        self._rows = dict(part.rows) if part else {}
        self._refused = dict(snapshot.damaged)
        """Why views refuse, by the name of the table that each is of."""
        self._unreadable: list[damaged.Unreadable] = []
        """Areas and years whose parcels cannot be read, so that their signatures cannot be judged either."""
        self._mixed: dict[str, tuple[str, ...]] = {}
        self._card_files: dict[str, lookup.CardFiles] = {}
        self._coming: dict[str, pa.Table] = dict(part.returning) if part else {}
        self._connection = duckdb.connect(part.file if part else ":memory:")
        if is_remote(store.url):
            self._connection.register_filesystem(store.lasting_files)
        with queries.translated():
            configure(self._connection)
        self._definitions = Definitions(self._listed())

    @property
    def is_whole(self) -> bool:
        """Whether no table or file of those that were needed is damaged."""
        return not (self._refused or self._unreadable)

    def ask(
        self, statement: str, params: dict[str, Any], parcel: dict[str, Any] | None = None
    ) -> tuple[duckdb.DuckDBPyRelation, duckdb.DuckDBPyConnection]:
        """The relation of a statement, not yet run, and its cursor.

        Args:
            statement: one that reads.
            params: values of its parameters.
            parcel: pid, and optionally aoi and year, of the only parcel whose signatures are needed.

        Raises:
            InvalidInputError: DuckDB does not accept the statement or a parameter is missing.
        """
        cursor = self.cursor(parcel, statement)
        try:
            return queries.relation(cursor, statement, params), cursor
        except InvalidInputError:
            cursor = self.cursor(parcel)  # whose error lists all that there is
            return queries.relation(cursor, statement, params), cursor

    def rows(self, statement: str, params: dict[str, Any], parcel: dict[str, Any] | None = None) -> pa.Table:
        """The result of a statement; see `ask`."""
        with queries.translated():
            return self.ask(statement, params, parcel)[0].to_arrow_table()

    def over(self, card: str, signatures: pa.Table, statement: str, params: dict[str, Any]) -> pa.Table:
        """The result of a statement to which other rows, and all of them, are the signatures of a card that count."""
        with queries.translated():
            cursor = self.cursor(None, statement)
            cursor.register(f"signatures_{card}", signatures)  # views of this cursor alone, before those of the lake
            cursor.register("counting", lookup.counting(card, signatures))
            return queries.relation(cursor, statement, params).to_arrow_table()

    def cursor(self, parcel: dict[str, Any] | None = None, statement: str | None = None) -> duckdb.DuckDBPyConnection:
        """A new cursor, as a connection shared between threads returns wrong rows; for any statement by default."""
        with queries.translated():
            self._definitions.provide_for(statement)
            cursor = self._connection.cursor()
            if parcel and parcel.get("pid") is not None and self.is_whole:
                self._narrow(cursor, parcel)
        return cursor

    def facts(self) -> duckdb.DuckDBPyConnection:
        """A cursor with only those views of scenes, parcels and the ledger that say what counts."""
        with queries.translated():
            self._definitions.provide(needs.read_by_steps(*_FACTS))
        return self._connection.cursor()

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The connection with all views; each thread uses a cursor of it."""
        with queries.translated():
            self._definitions.provide_all()
        return self._connection

    @property
    def mixed(self) -> dict[str, tuple[str, ...]]:
        """Columns of parcels that are text in fiboa_parcels, and the types that they have in the sets' own files."""
        with queries.translated():
            self._definitions.provide(_PARCELS)
        return self._mixed

    def series(self, card: str, params: dict[str, Any]) -> pa.Table | None:
        """The long rows of one parcel, or None where SQL has to answer."""
        with queries.translated():
            self._definitions.provide(_JUDGING)
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

    def _listed(self) -> Iterator[Definition]:
        """What there is, in the order of creation."""
        yield Definition(("stac_scenes",), (), self._catalogue)
        yield Definition((*_PARCELS, "unreadable"), (), self._parcels)
        for name in self._tables:
            if not name.startswith(_UNREAD):
                judging = _JUDGING if name.startswith("signatures_") else ()
                yield Definition((name,), judging, partial(self._view, name))
        for name in tables.SIGNATURES:
            yield Definition((f"no_signatures_{name}",), (), partial(self._empty, f"signatures_{name}"))
        for definition in derived.definitions(self._further, self._used()):
            yield Definition(
                (needs.created(definition),), needs.read_by(definition.sql), partial(self._define, definition)
            )
        yield Definition(("parcel_attributes",), ("parcel_attributes_long", "attributes"), self._attributes)

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
        return dict(zip(_PARCELS, paths, strict=True))

    def _parcels(self) -> None:
        """Make the views of the parcels that can be read, and of those that cannot."""
        faults = self._sound_parcels()
        self._unreadable = _unreadable_partitions(faults, [*self.snapshot.parcels, *self.snapshot.former])
        damaged.record(self._connection, self._unreadable)
        if not faults:
            return
        for name in self._of_parcels:
            self._connection.table(damaged.sound(name)).create_view(name)
        self._definitions.provide(["outdated"])  # which speaks of the others
        for name, paths in self._of_parcels.items():
            damaged.refuse_unreadable(self._connection, name, _unreadable_partitions(faults, paths))

    def _sound_parcels(self) -> dict[str, str]:
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
            return faults
        return {}

    def _view_parcels(self, files: dict[str, tuple[str, ...]], naming: Callable[[str], str] = str) -> None:
        columns = _partitioned(schemas.PARCELS)
        union = unions.create_view(self._connection, naming("fiboa_parcels"), files["fiboa_parcels"], columns)
        self._mixed = union.mixed
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

    def _empty(self, name: str) -> None:
        """Make the empty table with the columns of a table of signatures."""
        unions.create_empty(self._connection, f"no_{name}", self._schema(name))

    def _attributes(self) -> None:
        """Make parcel_attributes."""
        if "attributes" in self._refused:
            damaged.refuse(self._connection, "parcel_attributes", attributes.KEYS, self._refused["attributes"])
        else:
            attributes.create_view(self._connection)

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
                self._definitions.provide(_JUDGING)
                self._coming[name] = Judge(pair, self._connection.cursor()).returning(counting, aside)
        return self._coming[name]

    def _narrow(self, cursor: duckdb.DuckDBPyConnection, parcel: dict[str, Any]) -> None:
        """Restrict a cursor to the signature files that can contain the parcel."""
        for card in tables.SIGNATURES:
            files = self._files[f"signatures_{card}"]
            if not self._definitions.has(f"signatures_{card}") or self.returning(f"signatures_{card}").num_rows:
                continue
            keep = [file.path for file in lookup.of_parcel(files, parcel)]
            if len(keep) < len(files):
                self._definitions.provide([f"no_signatures_{card}"])
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


def rows(cursor: duckdb.DuckDBPyConnection, statement: str, params: dict[str, Any]) -> pa.Table:
    """The result of a statement with bound parameters."""
    with queries.translated():
        return queries.relation(cursor, statement, params).to_arrow_table()


def _partitioned(schema: pa.Schema) -> pa.Schema:
    extra = [("aoi", pa.string()), ("year", pa.int64()), ("ptype", pa.string()), ("version", pa.string())]
    extra += [(_FID, pa.int64()), *((name, pa.string()) for name in _HCAT)]
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in extra)])
