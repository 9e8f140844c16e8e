"""The lake: `open_lake` and class `Lake`, the handle through which all tables are queried, exported and written."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import date, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cbm_lake import cards
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError, UnknownSetError, quoted
from cbm_lake.files import digests
from cbm_lake.files.dates import timestamp_of
from cbm_lake.geo.areas import DEGREES, bounds_in
from cbm_lake.lake import lookup, options, ordering, queries
from cbm_lake.lake.database import Database
from cbm_lake.lake.registry import Registry
from cbm_lake.lake.snapshots import ParcelSet, Snapshot, Snapshots, geometry_part
from cbm_lake.lake.upkeep import Upkeep
from cbm_lake.lake.writing import Writing
from cbm_lake.storage.access import Access, is_remote
from cbm_lake.storage.caches import Caches
from cbm_lake.storage.store import Store, translated

log = logging.getLogger(__name__)

_ROUNDED = 1e-6
"""Degrees, about 0.1 m: tolerance for the rounding of bounding boxes."""
_INHERITED: Final[list[object]] = []
"""What a forked child neither uses nor ends while it runs: the threads of it are in the parent."""
_BATCH = 50_000
"""Rows of parcels that are read at once where there may be a million."""


class Lake(Writing):
    """A lake at a folder or URL, as it is now or as of a timestamp.

    Thread-safe, and shared by all callers of `open_lake` in a process. Its caches are bounded (see `caches`) and freed
    by `close`, also at the end of a `with` block. A pickled lake is reopened where it is unpickled.
    """

    def __init__(self, url: str, as_of: datetime | None = None) -> None:
        self.url = url if "://" in url else str(Path(url).absolute())  # the same after a chdir, and to workers
        self.as_of = as_of
        self._start()

    def _start(self) -> None:
        """Reset all open resources."""
        self._store = Store(self.url)
        self._snapshots = Snapshots(self._store, self.as_of)
        self._tables = self._snapshots.tables
        self._lock = threading.Lock()
        self._opened: Database | None = None
        self._upkeep = Upkeep(self._tables, lambda: self._database().facts())

    def __repr__(self) -> str:
        return f"Lake({self.url!r}{f', as_of={self.as_of:%Y-%m-%dT%H:%M:%SZ}' if self.as_of else ''})"

    def __reduce__(self) -> tuple[Callable[..., Lake], tuple[str, datetime | None]]:
        return open_lake, (self.url, self.as_of)

    def __enter__(self) -> Lake:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the caches and the DuckDB database; they are opened again by the next query.

        So a lake may be closed while other code of the process uses it. Results that are being read, and connections
        of `connect`, stay valid.
        """
        with self._lock:
            self._opened = None  # not closed, as that would end the cursors of other threads
        self._snapshots.forget()
        self.caches.clear()

    def _leave(self) -> None:
        """Reopen in a forked child process; inherited resources stay there, unused, until it exits."""
        _INHERITED.append((self._opened, self._store, self._snapshots))
        self._start()

    def at(self, as_of: date | str | None) -> Lake:
        """The same lake as of another timestamp, or as it is now with None."""
        return open_lake(self.url, as_of)

    @property
    def caches(self) -> Caches:
        """The caches of the lake; docs/lake.md lists their sizes."""
        return self._store.caches

    def sql(self, statement: str, /, **params: object) -> pa.Table:
        """The result of a SQL statement over the views scenes, parcels, s2, bs, c6, s2_long, extractions and others.

        Args:
            statement: one SQL statement in DuckDB's dialect; `$name` refers to the parameter `name`.
            params: values of the parameters; they are bound, never interpolated into the text.

        Raises:
            InvalidInputError: DuckDB does not accept the statement or a parameter is missing.
            SourceError: a file of the lake cannot be read.
        """
        return self._database().rows(statement, params)

    def query(self, name: str, /, **params: object) -> pa.Table:
        """The result of the named query sql/<folder>/<file>.sql.

        Raises:
            NotFoundError: there is no query of that name, or no parcel $pid in the parcel set that it asks about.
            InvalidInputError: a parameter is missing or not known to it, or $screen is no list of scene classes.
            SourceError: a file of the lake cannot be read.
        """
        query, params = queries.get(name), cards.with_classes(params)
        rows = self._database().series(lookup.QUESTIONS[name], params) if name in lookup.QUESTIONS else None
        if rows is None:
            rows = self._database().rows(query.sql, params, params if query.narrows else None)
        if query.of_one_parcel and not rows.num_rows:
            self._check_declared(params)
        return rows

    def query_over(self, signatures: pa.Table, card: str, name: str, /, **params: object) -> pa.Table:
        """The result of a named query to which these rows are the signatures of a card; errors are those of `query`."""
        return self._database().over(card, signatures, queries.get(name).sql, cards.with_classes(params))

    def _check_declared(self, params: dict[str, Any]) -> None:
        """Raise NotFoundError where an empty result is about a parcel that was never declared."""
        key: dict[str, Any] = {name: params[name] for name in ("aoi", "year", "ptype", "pid") if name in params}
        declared = queries.get("parcels.by_pid").sql
        if len(key) == 4 and key["pid"] is not None and not self._database().rows(declared, key).num_rows:
            name = f"{key['aoi']} {key['year']} {key['ptype']}".rstrip()
            raise NotFoundError(
                f"no parcel {key['pid']!r} in {name}; identifiers are text, exactly as the agency wrote them"
            )

    def relation(self, statement: str, /, **params: object) -> duckdb.DuckDBPyRelation:
        """The result of a SQL statement as a DuckDB relation, for results larger than memory.

        Raises:
            InvalidInputError: DuckDB does not accept the statement or a parameter is missing.
        """
        return queries.relation(self._cursor(), statement, params)

    def export(
        self,
        what: str,
        path: str | Path,
        /,
        *,
        pseudonymous: bool | str | Path = False,
        identifiers: str | Sequence[str] = (),
        neutralise: bool | None = None,
        **params: object,
    ) -> int:
        """Export rows to a file for other tools; its extension determines the format. Returns the number of rows.

        Every value keeps its type; a column that the format cannot represent is refused by name. Where a value is
        stored in another form (milliseconds, text), a warning says so. Rows are in the order of the statement, and ties
        in the order of all columns, so that the same rows give the same file whatever their layout in the lake.

        Args:
            what: a view (s2, parcels, …), a named query, or a SELECT statement.
            path: .parquet (GeoParquet when the rows have a geometry), .csv, .arrow, .xlsx, or, for rows with a
                geometry, .gpkg, .fgb or .geojson.
            pseudonymous: whether identifiers of parcels and holdings are replaced by keyed hashes (HMAC-SHA256). The
                key is the setting pseudonyms.key or the workspace's file config/pseudonyms.key, which is created when
                first needed and never exported; or give the path of another. The same identifier has the same
                pseudonym in all files of one key. Geometries and other columns stay, which a warning says.
            identifiers: further columns to replace, or one; naming some makes the file pseudonymous.
            neutralise: whether texts that a spreadsheet takes for formulas (= + - @ first) are escaped: in .csv by an
                apostrophe, in .xlsx by the text prefix. By default only in .xlsx; numbers are unchanged.
            params: values of the statement's parameters.

        Raises:
            InvalidInputError: the statement cannot be run, the extension is unknown, or a column cannot be written.
            ConfigError: the key cannot be read or created.
            SourceError: the file cannot be written.
        """
        from cbm_lake.lake import export

        params = cards.with_classes(params)
        keys = ordering.KEYS.get(what.lower(), ())
        if what in queries.load() and queries.get(what).of_one_parcel:
            self.query(what, **params)  # an unknown parcel is refused before a file is created
        what = export.statement(what)
        pseudonyms = None
        if pseudonymous or identifiers or isinstance(pseudonymous, (str, Path)):
            file = None if isinstance(pseudonymous, bool) else pseudonymous
            further = frozenset([identifiers] if isinstance(identifiers, str) else identifiers)
            pseudonyms = export.Pseudonyms(export.key_of(Workspace.here(), file), further)
        options = export.Options(pseudonyms, neutralise)
        relation, cursor = self._database().ask(what, params)  # refuses what is not one SELECT
        hidden = None
        if pseudonyms:
            hidden = ordering.Hidden(
                frozenset(pseudonyms.identifiers(relation.columns)), pseudonyms.of("the order of the rows")
            )
        return export.write(ordering.ordered(cursor, what, params, keys, hidden), Path(path), options)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A new DuckDB connection with the lake's views; it keeps the snapshot of the time it was opened."""
        return Database(self._store, self._tables, self.snapshot()).connection

    def parcel_sets(self) -> list[ParcelSet]:
        """The parcel sets in force: for each area, year and kind the one that was loaded last."""
        return self._snapshots.parcel_sets()

    def parcel_set(self, aoi: str, year: int, ptype: str | None = None) -> ParcelSet:
        """The parcel set of an area and year.

        Raises:
            NotFoundError: none was loaded; the message lists those that were.
            InvalidInputError: the year is no number.
        """
        key = {"aoi": aoi, "year": year, "ptype": ptype or ""}
        area, declared, kind = (options.checked_option(name, value) for name, value in key.items())
        named = (str(area).lower(), declared, kind)
        for parcels in self.parcel_sets():
            if (parcels.aoi, parcels.year, parcels.ptype) == named:
                return parcels
        names = ", ".join(parcels.name for parcels in self.parcel_sets()) or "none yet; load them first"
        raise UnknownSetError(f"no parcels of {aoi} {year} {ptype or ''}".rstrip(), names)

    def parcel_versions(self, aoi: str, year: int, ptype: str) -> list[ParcelSet]:
        """The versions of a parcel set with distinct geometries: the current one first, then from the newest."""
        versions: dict[str, ParcelSet] = {}
        for parcels in reversed(self._snapshots.parcel_files()):
            if (parcels.aoi, parcels.year, parcels.ptype) == (aoi, year, ptype):
                versions.setdefault(parcels.geometry_version, parcels)
        return list(versions.values())

    def changed(self, parcels: ParcelSet, since: Sequence[str]) -> pa.Array:
        """The pids of a parcel set whose geometry is missing from, or different in, all of the given versions."""
        if parcels.geometry_version in {geometry_part(version) for version in since}:
            return pa.array([], pa.string())
        key = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "version": parcels.version}
        return self.query("parcels.changed", **key, since=list(since))["pid"].combine_chunks()

    def epsg(self, aoi: str) -> int | None:
        """The coordinate system of an area's parcels, or None when none were loaded."""
        for parcels in self.parcel_sets():
            if parcels.aoi == aoi.lower():
                for batch in self.iter_parcels(parcels, ["epsg"]):
                    if batch.num_rows:
                        return int(batch["epsg"][0].as_py())
        return None

    def footprint(self, aoi: str) -> shapely.Geometry:
        """The bounding box in degrees (EPSG:4326) of all parcels of an area.

        Raises:
            NotFoundError: no parcels of that area were loaded.
        """
        table = self.query("parcels.areas", aoi=aoi.lower())
        if not table.num_rows:
            names = ", ".join(parcels.name for parcels in self.parcel_sets()) or "none yet"
            raise NotFoundError(
                f"no parcels of {aoi} in this lake, so its extent is unknown; there are: {names}; load them first"
            )
        sides = ("west", "south", "east", "north")
        loose = shapely.box(*(table[side][0].as_py() for side in sides))
        extents = self.query("cube.extent", aoi=aoi.lower(), year=None).to_pylist()
        boxes = [bounds_in(shapely.box(*(row[side] for side in sides)), row["epsg"], DEGREES) for row in extents]
        west, south, east, north = shapely.total_bounds([shapely.box(*box) for box in boxes])
        # each box holds all parcels, so what both share does, too
        return loose.intersection(shapely.box(west - _ROUNDED, south - _ROUNDED, east + _ROUNDED, north + _ROUNDED))

    @property
    def is_empty(self) -> bool:
        """Whether the lake has never been written to."""
        snapshot = self.snapshot()
        return not (
            snapshot.scenes or snapshot.all_parcels or any(version is not None for _, version in snapshot.versions)
        )

    def snapshot(self) -> Snapshot:
        """The files and table versions that answer a query now."""
        return self._snapshots.take()

    def index(self, parcels: ParcelSet, grid: str) -> pa.Table | None:
        """The stored pixel index of a parcel version on a grid, or None; a damaged file counts as none."""
        files = self._store.files(f"indexes/{parcels.version}")
        names = [self._store.name(file) for file in files]
        fitting = [name for name in names if _is_index(name, grid)]
        if not fitting:
            return None
        name = max(fitting, key=lambda name: (digests.recorded(name) is not None, name))
        if self._store.is_as_written(name):
            return self._store.read(name)
        log.warning("%s is not what was written; the index is built again", self._store.path(name))
        return None

    def cube_url(self, card: str, grid: str) -> str:
        """The path or URL of the cube of a card and grid."""
        return self._store.path(f"cubes/{card}/{grid}.zarr")

    def read_parcels(self, parcels: ParcelSet, columns: list[str] | None = None) -> pa.Table:
        """The parcels of one version of a parcel set, in the order of its file."""
        name = self._store.name(parcels.path)
        table = self._store.read(name, columns)
        if table is None:
            raise NotFoundError(f"parcel file {parcels.path} has gone; load the parcels of {parcels.name} again")
        return table

    def iter_parcels(self, parcels: ParcelSet, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The parcels of one version in batches, without reading whole columns into memory."""
        with translated("read", parcels.path), self._store.open(parcels.path) as file:
            yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(_BATCH, columns=columns)

    def schema_of_parcels(self, parcels: ParcelSet) -> pa.Schema:
        """The columns of a version of a parcel set, including those of the agency."""
        with self._store.open(parcels.path) as file:
            return pq.read_schema(file)

    def mixed_columns(self) -> dict[str, tuple[str, ...]]:
        """The columns that are text in the view fiboa_parcels, as their types differ between sets, with these types."""
        return self._database().mixed

    def _cursor(self, parcel: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """A cursor over the current snapshot; see Database.cursor."""
        return self._database().cursor(parcel)

    def _database(self) -> Database:
        """The database of the current snapshot; it is reused until the lake changes."""
        snapshot = self.snapshot()
        with self._lock:
            if self._opened is None or self._opened.snapshot != snapshot or not self._opened.is_whole:
                self._opened = Database(self._store, self._tables, snapshot)
            return self._opened


def open_lake(url: str | PathLike[str] | None = None, as_of: date | str | None = None) -> Lake:
    """Open the lake at a folder or URL; by default the lake of the current workspace.

    A process has one object per location and `as_of`, which stays open: its caches serve all callers, and changes by
    other writers are visible to the next query. See `Lake.close`.

    Args:
        url: folder, or s3:// URL.
        as_of: a timestamp (date, datetime, or ISO text; UTC unless it has a zone): the lake as it was recorded then,
            whatever season its data are of, read-only. It depends on the clocks of the writers: what was written by a
            clock that was ahead becomes visible at its timestamp. What is in force among the visible rows is decided
            by sequence numbers, as without `as_of`.

    Raises:
        InvalidInputError: `as_of` is no date, or `url` neither a folder nor a URL.
    """
    location, timestamp = _location(url), None if as_of is None else timestamp_of(as_of, "as_of")
    return _OPEN.get(_key(location, timestamp), lambda: Lake(location, timestamp))


_OPEN: Final = Registry(Lake._leave)  # noqa: SLF001


def lake_or_default(lake: object) -> Lake:
    """The lake that a caller gives, or that of the workspace where it is None.

    Raises:
        InvalidInputError: it is no lake, but for instance the folder of one.
    """
    if lake is None:
        return open_lake()
    if not isinstance(lake, Lake):
        raise InvalidInputError(f"lake={quoted(lake)} is not right: it is a Lake, as open_lake gives it")
    return lake


def _location(url: object) -> str:
    location = os.fspath(url) if isinstance(url, PathLike) else url or Workspace.here().lake_url
    if not isinstance(location, str):
        raise InvalidInputError(f"url={quoted(url)} is not right: it is the folder or the s3:// URL of a lake")
    return location


def _key(url: str, as_of: datetime | None) -> Hashable:
    """The identity of an open lake: location, timestamp and, in an object store, credentials."""
    location = url.rstrip("/") if "://" in url else str(Path(url).absolute())
    return location, as_of, Access.of(url) if is_remote(url) else None


def _is_index(name: str, grid: str) -> bool:
    """Whether a file is the pixel index of a grid; names of version 0.1 have no digest."""
    stem = name.rpartition("/")[2].removesuffix(".parquet")
    digest = digests.recorded(name)
    return stem == (grid if digest is None else digests.named(grid, digest, ""))
