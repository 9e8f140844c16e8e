"""The lake: its tables, snapshots of them, and SQL over a snapshot."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import shapely
from deltalake import DeltaTable

from cbm_lake import cards, queries, schemas
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.store import Store, Table, stamp

_COMPACT_BYTES = 32 * 1024**2
"""A look-up reads one footer; at 128 MB that alone takes as long as the rest of the look-up."""
_PARCEL_FILE = re.compile(
    r"/aoi=(?P<aoi>[^/]+)/year=(?P<year>\d+)/(?P<ptype>\w+)-(?P<stamp>\w+Z)-(?P<version>\w+)\.parquet$"
)


_READING = (duckdb.StatementType.SELECT, duckdb.StatementType.MULTI)
"""What may be run: SELECT, to which DESCRIBE, SHOW and SUMMARIZE belong, and PIVOT, which DuckDB calls several."""


@dataclass(frozen=True)
class ParcelSet:
    """One version of the declared parcels of an area and year."""

    aoi: str
    year: int
    ptype: str
    """Which of several parcel sets; "" is the main one."""
    version: str
    """Hash of the content: the same parcels always have the same version."""
    loaded: str
    """When, as it stands in the file's name."""
    path: str

    @property
    def name(self) -> str:
        """As a person says it: ms 2024, or ms 2024 m."""
        return f"{self.aoi} {self.year} {self.ptype}".rstrip()


@dataclass(frozen=True)
class Snapshot:
    """Which files make up the lake at one moment; equal snapshots give equal answers."""

    scenes: tuple[str, ...]
    parcels: tuple[str, ...]
    """Those in force."""
    outlines: tuple[str, ...]
    """Parcel files of all versions."""
    versions: tuple[tuple[str, int | None], ...]
    """Version of each Delta table; None where the table had not been made yet."""


class Lake:
    """A lake at a folder or URL, as it is now or as it was at a moment."""

    def __init__(self, url: str, as_of: datetime | None = None) -> None:
        self.url = url
        self.as_of = as_of
        self._store = Store(url)
        self._signatures = {
            card: Table(
                self._store,
                f"signatures/{card}",
                schemas.signatures(card),
                keys=("pid", "scene", "ptype", "obstime", "extraction"),
                partitions=("aoi", "year"),
            )
            for card in schemas.CARD_BANDS
        }
        self._ledger = Table(self._store, "extractions", schemas.EXTRACTIONS, keys=("scene", "aoi", "finished"))
        self._slots = Table(self._store, "slots", schemas.SLOTS, keys=("card", "grid"))
        self._inspections = Table(
            self._store, "qa/inspections", schemas.INSPECTIONS, keys=("sample_id", "pid", "inspected")
        )
        self._rasters = Table(self._store, "rasters", schemas.RASTERS, keys=("href",))
        self._lock = threading.Lock()
        self._held: dict[str, DeltaTable | None] = {}
        self._opened: tuple[Snapshot, duckdb.DuckDBPyConnection, dict[str, list[dict[str, Any]]]] | None = None

    def __repr__(self) -> str:
        return f"Lake({self.url!r}{f', as_of={self.as_of:%Y-%m-%dT%H:%M:%SZ}' if self.as_of else ''})"

    # -- reading ------------------------------------------------------------------------------------------------

    def sql(self, statement: str, /, **params: Any) -> pa.Table:
        """The rows that a SQL statement gives over the views scenes, parcels, s2, bs, c6, s2_long, extractions.

        Args:
            statement: one SQL statement of DuckDB; `$name` stands for the parameter `name`.
            params: values of the parameters; they are bound, never pasted into the text.

        Raises:
            InvalidInputError: DuckDB does not accept the statement or a parameter is missing.
            SourceError: a file of the lake cannot be read.
        """
        return _rows(self._cursor(), statement, params)

    def query(self, name: str, /, **params: Any) -> pa.Table:
        """The rows of the named query sql/<folder>/<file>.sql.

        Raises:
            NotFoundError: there is no query of that name.
            InvalidInputError: a parameter is missing or not known to it.
            SourceError: a file of the lake cannot be read.
        """
        query = queries.get(name)
        return _rows(self._cursor(params if query.of_one_parcel else None), query.sql, params)

    def relation(self, statement: str, /, **params: Any) -> duckdb.DuckDBPyRelation:
        """The same as a DuckDB relation, for results that should not be held in memory at once.

        Raises:
            InvalidInputError: DuckDB does not accept the statement or a parameter is missing.
        """
        return _relation(self._cursor(), statement, params)

    def export(self, what: str, path: str | Path, /, **params: Any) -> int:
        """Write rows to a file for other tools; its ending says the format. Returns how many rows.

        Args:
            what: a view (s2, parcels, …), a named query, or a SELECT statement.
            path: .parquet (GeoParquet when the rows have a geometry), .csv, .arrow, .gpkg or .geojson.
            params: values of the statement's parameters.

        Raises:
            InvalidInputError: the statement cannot be run or the ending is unknown.
            SourceError: the file cannot be written.
        """
        from cbm_lake import export

        if what in queries.load():
            what = queries.get(what).sql
        elif what.isidentifier():
            what = f"from {what}"
        return export.write(self.relation(what, **params), Path(path))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection of your own with the lake's views; it goes on seeing the lake as it is now."""
        with queries.translated():
            return self._connect(self._take())[0]

    def parcel_sets(self) -> list[ParcelSet]:
        """The parcel sets in force: for each area, year and kind the one that was loaded last."""
        return _in_force(self._parcel_files())

    def parcel_set(self, aoi: str, year: int, ptype: str | None = None) -> ParcelSet:
        """The parcel set of an area and year.

        Raises:
            NotFoundError: none was loaded; the message lists those that were.
        """
        for found in self.parcel_sets():
            if (found.aoi, found.year, found.ptype) == (aoi.lower(), int(year), ptype or ""):
                return found
        known = ", ".join(found.name for found in self.parcel_sets()) or "none yet; load them first"
        raise NotFoundError(f"no parcels of {aoi} {year} {ptype or ''}".rstrip() + f" in this lake; there are: {known}")

    def changed(self, parcels: ParcelSet, since: Sequence[str]) -> pa.Array:
        """The pids of a parcel set whose outline is in none of those versions of it, or another one there."""
        key = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "version": parcels.version}
        return self.query("parcels.changed", **key, since=list(since))["pid"].combine_chunks()

    def epsg(self, aoi: str) -> int | None:
        """The coordinate system of an area's parcels, or None when none were loaded."""
        table = self.query("parcels.areas", aoi=aoi.lower())
        return table["epsg"][0].as_py() if table.num_rows else None

    def footprint(self, aoi: str) -> shapely.Geometry:
        """The box in degrees (EPSG:4326) round all parcels of an area.

        Raises:
            NotFoundError: no parcels of that area were loaded.
        """
        table = self.query("parcels.areas", aoi=aoi.lower())
        if not table.num_rows:
            raise NotFoundError(
                f"no parcels of {aoi} in this lake, so its extent is unknown; load them or give geometry="
            )
        return shapely.box(*(table[name][0].as_py() for name in ("west", "south", "east", "north")))

    def snapshot(self) -> Snapshot:
        """Which files and table versions answer a question asked now."""
        return self._take()[0]

    # -- writing ------------------------------------------------------------------------------------------------

    def add_scenes(self, rows: pa.Table) -> int:
        """Catalogue scenes and return how many are new by card and id; rasters and offsets that changed are updated."""
        held = dict(_by_key(self.sql("select card, id, assets, boa_offset from stac_scenes order by ingested")))
        fresh: dict[tuple[str, str], int] = {}
        known = set(held)
        for number, (key, row) in enumerate(_by_key(rows.select(["card", "id", "assets", "boa_offset"]))):
            if held.get(key) != row:
                fresh.setdefault(key, number)
        if fresh:
            name = f"scenes/{stamp(datetime.now(UTC))}-{uuid.uuid4().hex[:8]}.parquet"
            self._store.write(name, _stac_geoparquet(rows.take(list(fresh.values()))))
        return len(fresh.keys() - known)

    def add_parcels(self, aoi: str, year: int, ptype: str, version: str, rows: pa.Table) -> bool:
        """Make `rows` the parcels of an area and year; False when that very version is in force already."""
        current = {(found.aoi, found.year, found.ptype): found.version for found in self.parcel_sets()}
        if current.get((aoi, year, ptype)) == version:
            return False
        for name, value in (("ptype", ptype), ("version", version)):
            rows = rows.append_column(pa.field(name, pa.string()), pa.array([value] * rows.num_rows, pa.string()))
        name = f"{ptype or 'main'}-{stamp(datetime.now(UTC))}-{version}.parquet"
        self._store.write(f"parcels/aoi={aoi}/year={year}/{name}", rows)
        return True

    def prepare(self, card: str) -> None:
        """Make the tables that extraction writes, so that workers find them."""
        for table in (self._signatures[card], self._ledger, self._slots, self._rasters):
            table.create()

    def write_signatures(self, card: str, rows: pa.Table, extraction: int) -> None:
        """Make `rows` the signatures of that extraction, in one commit; they count once the ledger has it."""
        self._signatures[card].put(rows, "extraction", extraction)

    def record(self, entry: dict[str, Any], after: int | None = None) -> bool:
        """Add an attempt to the ledger; see schemas.EXTRACTIONS, of which `attempt` is filled in here.

        Args:
            entry: the row.
            after: number of the latest attempt at that scene and set that the writer knows of. When there are later
                ones, nothing is added and the answer is False.
        """

        def rows(seen: int) -> pa.Table | None:
            if after is not None and seen != after:
                return None
            return pa.Table.from_pylist([{**entry, "attempt": seen + 1}], schema=schemas.EXTRACTIONS)

        key = (entry[name] for name in ("card", "aoi", "year", "ptype", "scene"))
        return self._ledger.append_next(rows, "/".join(map(str, key)))

    def reserve_slots(self, card: str, grid: str, scenes: Sequence[dict[str, Any]]) -> pa.Table:
        """All places on the time axis of a cube, after giving one to each scene (scene, obstime, boa_offset) without.

        A scene whose offset is another than before gets a new place: what stands at the old one was stored with the
        old offset.
        """

        def rows(_: int) -> pa.Table | None:
            held = self.query("extractions.slots", card=card, grid=grid).to_pylist()
            known = {(row["scene"], row["boa_offset"]) for row in held}
            new = [scene for scene in scenes if (scene["scene"], scene["boa_offset"]) not in known]
            placed = [{"card": card, "grid": grid, "slot": len(held) + n, **scene} for n, scene in enumerate(new)]
            return pa.Table.from_pylist(placed, schema=schemas.SLOTS) if placed else None

        self._slots.append_next(rows, f"{card}/{grid}")
        return self.query("extractions.slots", card=card, grid=grid)

    def remember_rasters(self, headers: dict[str, str]) -> None:
        """Keep what the headers of rasters say, as JSON by href."""
        now = datetime.now(UTC)
        rows = [{"href": href, "header": header, "seen": now} for href, header in headers.items()]
        if rows:
            self._rasters.append(pa.Table.from_pylist(rows, schema=schemas.RASTERS))

    def add_inspection(self, row: dict[str, Any]) -> None:
        """Keep a verdict on a parcel of a sample; see schemas.INSPECTIONS."""
        self._inspections.append(pa.Table.from_pylist([row], schema=schemas.INSPECTIONS))

    def compact(self, card: str | None = None) -> int:
        """Merge signature files into few large ones ordered by pid; returns how many files became fewer.

        Readers go on with the files they opened; answers stay the same. Old files stay for time travel.

        Raises:
            InvalidInputError: unknown card.
            SourceError: the files cannot be read or written; everything stays as it was.
        """
        merged = 0
        for name in [cards.get(card).name] if card else list(self._signatures):
            gone = self.query("extractions.dropped", card=name)["extraction"].to_pylist()
            self._signatures[name].remove("extraction", gone)
            done = self._signatures[name].compact("pid", _COMPACT_BYTES)
            merged += done.get("numFilesRemoved", 0) - done.get("numFilesAdded", 0)
        return merged

    def index(self, parcels: ParcelSet, grid: str) -> pa.Table | None:
        """The stored pixel index of that parcel version on that grid, or None."""
        return self._store.read(_index_name(parcels, grid))

    def write_index(self, parcels: ParcelSet, grid: str, rows: pa.Table) -> None:
        """Store the pixel index of that parcel version on that grid."""
        self._store.write(_index_name(parcels, grid), rows)

    def cube_url(self, card: str, grid: str) -> str:
        """Where the cube of a card and grid stands."""
        return self._store.path(f"cubes/{card}/{grid}.zarr")

    def read_parcels(self, parcels: ParcelSet, columns: list[str] | None = None) -> pa.Table:
        """One version of a parcel set, in the order of its file."""
        name = parcels.path.removeprefix(self._store.path(""))
        table = self._store.read(name, columns)
        if table is None:
            raise NotFoundError(f"parcel file {parcels.path} has gone; load the parcels of {parcels.name} again")
        return table

    # -- snapshots ----------------------------------------------------------------------------------------------

    def _parcel_files(self) -> list[ParcelSet]:
        """Every version that counts at this moment, oldest first."""
        found = []
        for path in self._store.files("parcels"):
            parts = _PARCEL_FILE.search(path)
            if parts and not self._later(parts["stamp"]):
                ptype = "" if parts["ptype"] == "main" else parts["ptype"]
                found.append(ParcelSet(parts["aoi"], int(parts["year"]), ptype, parts["version"], parts["stamp"], path))
        return sorted(found, key=lambda version: version.loaded)

    def _later(self, moment: str) -> bool:
        return self.as_of is not None and moment > stamp(self.as_of)

    def _take(self) -> tuple[Snapshot, dict[str, DeltaTable | None]]:
        tables = self._tables()
        scenes = [
            path for path in self._store.files("scenes") if not self._later(path.rpartition("/")[2].split("-")[0])
        ]
        versions = self._parcel_files()
        snapshot = Snapshot(
            tuple(scenes),
            tuple(found.path for found in _in_force(versions)),
            tuple(found.path for found in versions),
            tuple((name, None if table is None else table.version()) for name, table in tables.items()),
        )
        return snapshot, tables

    @property
    def _known(self) -> dict[str, Table]:
        """Every Delta table by the name of its view."""
        signatures = {f"signatures_{card}": table for card, table in self._signatures.items()}
        others = {"slots": self._slots, "rasters": self._rasters, "inspections": self._inspections}
        return {"ledger": self._ledger, **signatures, **others}

    def _tables(self) -> dict[str, DeltaTable | None]:
        """The Delta tables, read again only when their logs have moved on.

        The ledger is read before the signatures that it speaks of, and looked at again after them: what counts by it
        has been written by then, and has not been compacted away since.
        """
        with self._lock:
            while True:
                for name, table in self._known.items():
                    held = self._held.get(name)
                    if held is None or (self.as_of is None and table.moved_on(held)):
                        self._held[name] = table.open(self.as_of)
                ledger = self._held["ledger"]
                if ledger is None or self.as_of is not None or not self._ledger.moved_on(ledger):
                    return dict(self._held)

    def _cursor(self, parcel: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """A cursor over the current snapshot: never a shared connection, which gives wrong rows under threads.

        Args:
            parcel: pid, and perhaps aoi and year, of the only parcel whose signatures are wanted.
        """
        taken = self._take()
        with self._lock:
            if self._opened is None or self._opened[0] != taken[0]:
                with queries.translated():
                    self._opened = (taken[0], *self._connect(taken))
            _, connection, files = self._opened
            cursor = connection.cursor()
        if parcel and parcel.get("pid") is not None:
            _narrow(cursor, files, parcel)
        return cursor

    def _connect(
        self, taken: tuple[Snapshot, dict[str, DeltaTable | None]]
    ) -> tuple[duckdb.DuckDBPyConnection, dict[str, list[dict[str, Any]]]]:
        """A new in-memory DuckDB with every view, and the file statistics by which look-ups are narrowed."""
        snapshot, tables = taken
        connection = duckdb.connect()
        # global, because a cursor does not inherit what is set for its connection only
        connection.execute("set global enable_geoparquet_conversion = false")  # geometries stay WKB in every version
        connection.execute("set global parquet_metadata_cache = true")
        connection.execute("set global timezone = 'UTC'")
        _view(connection, "stac_scenes", list(snapshot.scenes), schemas.SCENES)
        for name, paths in {"fiboa_parcels": snapshot.parcels, "parcel_versions": snapshot.outlines}.items():
            _view(connection, name, list(paths), _partitioned(schemas.PARCELS), union_by_name=True)
        files = {}
        for name, known in self._known.items():
            table = tables[name]
            files[name] = [] if table is None else known.files(table)
            _view(connection, name, [file["path"] for file in files[name]], known.schema)
        for definition in queries.definitions():
            connection.execute(definition.sql)
        return connection, files


def _in_force(versions: Iterable[ParcelSet]) -> list[ParcelSet]:
    """For each area, year and kind the version that was loaded last; they come oldest first."""
    newest = {(found.aoi, found.year, found.ptype): found for found in versions}
    return sorted(newest.values(), key=lambda found: found.name)


def open_lake(url: str | None = None, as_of: datetime | str | None = None) -> Lake:
    """The lake at a folder or URL; without one, the lake of the current workspace.

    Args:
        url: folder, or s3:// URL.
        as_of: a moment (datetime, or ISO text; without a time zone it is UTC): the lake as it was then.

    Raises:
        InvalidInputError: `as_of` is no date.
    """
    return Lake(url or Workspace.here().lake_url, _moment(as_of))


def _moment(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidInputError(
                f"as_of {value!r} is no date; write it as 2024-06-30 or 2024-06-30T12:00:00Z"
            ) from error
    if value is None:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _rows(cursor: duckdb.DuckDBPyConnection, statement: str, params: dict[str, Any]) -> pa.Table:
    with queries.translated():
        return _relation(cursor, statement, params).to_arrow_table()


def _relation(cursor: duckdb.DuckDBPyConnection, statement: str, params: dict[str, Any]) -> duckdb.DuckDBPyRelation:
    with queries.translated():
        kinds = [part.type for part in cursor.extract_statements(statement)]
        if len(kinds) != 1 or kinds[0] not in _READING:
            raise InvalidInputError("this SQL is not one statement that gives rows; the lake is read by one SELECT")
        return cursor.sql(statement, params=params or None)


def _view(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    files: list[str],
    schema: pa.Schema,
    *,
    union_by_name: bool = False,
) -> None:
    """A view over Parquet files, or over an empty table of the right columns."""
    if files:
        connection.read_parquet(files, hive_partitioning=True, union_by_name=union_by_name).create_view(name)
        return
    empty = schema.empty_table()
    connection.register(f"{name}_empty", empty)
    connection.execute(f"create table {name} as from {name}_empty")
    connection.unregister(f"{name}_empty")


def _partitioned(schema: pa.Schema) -> pa.Schema:
    extra = [("aoi", pa.string()), ("year", pa.int64()), ("ptype", pa.string()), ("version", pa.string())]
    return pa.schema([*schema, *(pa.field(name, kind) for name, kind in extra)])


def _narrow(cursor: duckdb.DuckDBPyConnection, files: dict[str, list[dict[str, Any]]], params: dict[str, Any]) -> None:
    """Let this cursor see only the signature files that can hold the parcel asked for."""
    pid = str(params["pid"])
    partition = {name: str(params[name]) for name in ("aoi", "year") if params.get(name) is not None}
    for card in schemas.CARD_BANDS:
        held = files[f"signatures_{card}"]
        keep = [
            file["path"]
            for file in held
            if (file.get("min.pid") is None or file["min.pid"] <= pid <= file["max.pid"])
            and all(str(file[f"partition.{name}"]) == value for name, value in partition.items())
        ]
        if len(keep) < len(held):
            cursor.execute("set variable files = $files", {"files": keep or [held[0]["path"]]})
            cursor.execute(queries.get(f"lookup.{card}").sql)


def _by_key(scenes: pa.Table) -> Iterator[tuple[tuple[str, str], dict[str, Any]]]:
    """Scenes as rows, with the card and id that tell them apart."""
    for row in scenes.to_pylist():
        yield (row["card"], row["id"]), row


def _stac_geoparquet(rows: pa.Table) -> pa.Table:
    """The table with the metadata that makes its file GeoParquet 1.1 and STAC-GeoParquet 1.0."""
    import json

    covering = {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}
    geometry = {"encoding": "WKB", "geometry_types": [], "covering": {"bbox": covering}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    return rows.replace_schema_metadata({"geo": json.dumps(geo), "stac-geoparquet": json.dumps({"version": "1.0.0"})})


def _index_name(parcels: ParcelSet, grid: str) -> str:
    return f"indexes/{parcels.version}/{grid}.parquet"
