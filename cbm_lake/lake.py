"""The lake: the one door to its tables, for those who read them with SQL and for those who write."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from cbm_lake import (
    cards,
    clock,
    database,
    digests,
    filenames,
    lookup,
    manifest,
    options,
    ordering,
    queries,
    revisions,
    schemas,
    sums,
)
from cbm_lake.areas import DEGREES, bounds_in
from cbm_lake.config import Workspace
from cbm_lake.database import Database
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.filenames import Order
from cbm_lake.pixels import Pixels
from cbm_lake.slots import SlotContent, lost, reserved
from cbm_lake.snapshots import Moments, ParcelSet, Snapshot, outlines_of
from cbm_lake.store import Store, Written, translated
from cbm_lake.upkeep import Upkeep

_ROUNDED = 1e-6
"""Degrees, a tenth of a metre: what rounding may take off a box of parcels."""
_BATCH = 50_000
"""Rows of parcels that are read at once where there may be a million."""


class Lake(Pixels):
    """A lake at a folder or URL, as it is now or as it was at a moment."""

    def __init__(self, url: str, as_of: datetime | None = None) -> None:
        self.url = url if "://" in url else str(Path(url).absolute())  # the same after a chdir, and to workers
        self.as_of = as_of
        self._store = Store(self.url)
        self._moments = Moments(self._store, as_of)
        self._tables = self._moments.tables
        self._lock = threading.Lock()
        self._opened: Database | None = None
        self._upkeep = Upkeep(self._tables, lambda: self._database().facts())

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
        return database.rows(self._cursor(), statement, params)

    def query(self, name: str, /, **params: Any) -> pa.Table:
        """The rows of the named query sql/<folder>/<file>.sql.

        Raises:
            NotFoundError: there is no query of that name, or no parcel $pid in the parcel set that it asks about.
            InvalidInputError: a parameter is missing or not known to it, or $screen is no list of scene classes.
            SourceError: a file of the lake cannot be read.
        """
        query, params = queries.get(name), cards.with_classes(params)
        found = self._database().series(lookup.QUESTIONS[name], params) if name in lookup.QUESTIONS else None
        if found is None:
            found = database.rows(self._cursor(params if query.narrows else None), query.sql, params)
        if query.of_one_parcel and not found.num_rows:
            self._check_declared(params)
        return found

    def _check_declared(self, params: dict[str, Any]) -> None:
        """Raise NotFoundError unless a parcel of which nothing is found is declared."""
        key: dict[str, Any] = {name: params[name] for name in ("aoi", "year", "ptype", "pid") if name in params}
        declared = queries.get("parcels.by_pid").sql
        if len(key) == 4 and key["pid"] is not None and not database.rows(self._cursor(), declared, key).num_rows:
            name = f"{key['aoi']} {key['year']} {key['ptype']}".rstrip()
            raise NotFoundError(
                f"no parcel {key['pid']!r} in {name}; identifiers are text, exactly as the agency wrote them"
            )

    def relation(self, statement: str, /, **params: Any) -> duckdb.DuckDBPyRelation:
        """The same as a DuckDB relation, for results that should not be held in memory at once.

        Raises:
            InvalidInputError: DuckDB does not accept the statement or a parameter is missing.
        """
        return database.relation(self._cursor(), statement, params)

    def export(
        self, what: str, path: str | Path, /, *, pseudonymous: bool | str | Path = False,
        identifiers: str | Sequence[str] = (), neutralise: bool | None = None, **params: Any,
    ) -> int:  # fmt: skip
        """Write rows to a file for other tools; its ending says the format. Returns how many rows.

        Every value keeps its type, or the column is refused by its name. Where a format has another form of a value
        (milliseconds, text), a warning says so. The rows come in the order that the statement says, and those that it
        leaves equal in the order of all columns: the same rows are the same file, however they lie in the lake.

        Args:
            what: a view (s2, parcels, …), a named query, or a SELECT statement.
            path: .parquet (GeoParquet when the rows have a geometry), .csv, .arrow, .xlsx, or, for rows with a
                geometry, .gpkg, .fgb or .geojson.
            pseudonymous: whether identifiers of parcels and holdings are replaced by keyed hashes (HMAC-SHA256). The
                key is the setting pseudonyms.key or the workspace's file config/pseudonyms.key, which is made when
                first needed and never exported; or give the path of another. The same identifier has the same
                pseudonym in all files of one key. Geometries and other columns stay, which a warning says.
            identifiers: further columns that are replaced so, or one; naming some makes the file pseudonymous.
            neutralise: whether texts that a spreadsheet takes for formulas (= + - @ first) are made harmless: in .csv
                by an apostrophe before them, in .xlsx by the mark of a text. Without it in .xlsx alone; numbers stay.
            params: values of the statement's parameters.

        Raises:
            InvalidInputError: the statement cannot be run, the ending is unknown, or a column cannot be written.
            ConfigError: the key cannot be read or made.
            SourceError: the file cannot be written.
        """
        from cbm_lake import export

        params = cards.with_classes(params)
        keys = ordering.KEYS.get(what.lower(), ())
        if what in queries.load():
            if queries.get(what).of_one_parcel:
                self.query(what, **params)  # a parcel that there is not is refused before a file is made
            what = queries.get(what).sql
        elif what.isidentifier():
            what = f"from {what}"
        pseudonyms = None
        if pseudonymous or identifiers or isinstance(pseudonymous, (str, Path)):
            file = None if isinstance(pseudonymous, bool) else pseudonymous
            further = frozenset([identifiers] if isinstance(identifiers, str) else identifiers)
            pseudonyms = export.Pseudonyms(export.key_of(Workspace.here(), file), further)
        options = export.Options(pseudonyms, neutralise)
        cursor = self._cursor()
        columns = database.relation(cursor, what, params).columns  # refuses what is not one SELECT
        hidden = None
        if pseudonyms:
            hidden = ordering.Hidden(frozenset(pseudonyms.identifiers(columns)), pseudonyms.of("the order of the rows"))
        return export.write(ordering.ordered(cursor, what, params, keys, hidden), Path(path), options)

    def connect(self) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection of your own with the lake's views; it goes on seeing the lake as it is now."""
        return Database(self._store, self._tables, self.snapshot()).connection

    def parcel_sets(self) -> list[ParcelSet]:
        """The parcel sets in force: for each area, year and kind the one that was loaded last."""
        return self._moments.parcel_sets()

    def parcel_set(self, aoi: str, year: int, ptype: str | None = None) -> ParcelSet:
        """The parcel set of an area and year.

        Raises:
            NotFoundError: none was loaded; the message lists those that were.
            InvalidInputError: the year is no number.
        """
        key = {"aoi": aoi, "year": year, "ptype": ptype or ""}
        area, declared, kind = (options.checked_option(name, value) for name, value in key.items())
        wanted = (str(area).lower(), declared, kind)
        for found in self.parcel_sets():
            if (found.aoi, found.year, found.ptype) == wanted:
                return found
        known = ", ".join(found.name for found in self.parcel_sets()) or "none yet; load them first"
        raise NotFoundError(f"no parcels of {aoi} {year} {ptype or ''}".rstrip() + f" in this lake; there are: {known}")

    def parcel_versions(self, aoi: str, year: int, ptype: str) -> list[ParcelSet]:
        """The versions of a parcel set with other outlines than each other: the one in force, then from the newest."""
        versions: dict[str, ParcelSet] = {}
        for found in reversed(self._moments.parcel_files()):
            if (found.aoi, found.year, found.ptype) == (aoi, year, ptype):
                versions.setdefault(found.outlines, found)
        return list(versions.values())

    def changed(self, parcels: ParcelSet, since: Sequence[str]) -> pa.Array:
        """The pids of a parcel set whose outline is in none of those versions of it, or another one there."""
        if parcels.outlines in {outlines_of(version) for version in since}:
            return pa.array([], pa.string())
        key = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "version": parcels.version}
        return self.query("parcels.changed", **key, since=list(since))["pid"].combine_chunks()

    def epsg(self, aoi: str) -> int | None:
        """The coordinate system of an area's parcels, or None when none were loaded."""
        for found in self.parcel_sets():
            if found.aoi == aoi.lower():
                for batch in self.iter_parcels(found, ["epsg"]):
                    if batch.num_rows:
                        return int(batch["epsg"][0].as_py())
        return None

    def footprint(self, aoi: str) -> shapely.Geometry:
        """The box in degrees (EPSG:4326) round all parcels of an area.

        Raises:
            NotFoundError: no parcels of that area were loaded.
        """
        table = self.query("parcels.areas", aoi=aoi.lower())
        if not table.num_rows:
            known = ", ".join(found.name for found in self.parcel_sets()) or "none yet"
            raise NotFoundError(
                f"no parcels of {aoi} in this lake, so its extent is unknown; there are: {known}; load them first"
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
        """Whether nothing was ever put there."""
        taken = self.snapshot()
        return not (taken.scenes or taken.outlines or any(version is not None for _, version in taken.versions))

    def snapshot(self) -> Snapshot:
        """Which files and table versions answer a question asked now."""
        return self._moments.take()

    def _check_present(self) -> None:
        """Raise InvalidInputError for the lake as it was: nothing is written into the past."""
        if self.as_of is not None:
            raise InvalidInputError(f"{self!r} is the lake as it was; open it without as_of to change it")

    # -- writing ------------------------------------------------------------------------------------------------

    def add_scenes(self, rows: pa.Table) -> int:
        """Catalogue scenes and return how many are new by card and id; see `catalogue`."""
        return self.catalogue(rows)[0]

    def catalogue(self, rows: pa.Table) -> tuple[int, int]:
        """Catalogue scenes and return how many are new by card and id, and how many have a new revision.

        An entry of an older product than the one that is catalogued under its id changes nothing.
        """
        self._check_present()
        held = dict(revisions.by_key(self.query("scenes.entries")))
        chosen = revisions.choose(rows, held)
        if chosen:
            order = filenames.following(order for _, order in self._moments.scene_files())
            numbered = _numbered(revisions.rows(rows, chosen), order.sequence)
            written = self._store.write(filenames.scenes(order, uuid.uuid4().hex[:8]), _stac_geoparquet(numbered))
            manifest.record(self._tables["files"], "scenes", written)
            sums.sum_up(self._store, self.snapshot().scenes)
        for card in sorted({card for card, _ in chosen.keys() & held.keys()}):
            self.settle(card)  # what is of the former revision or offset counts no more
        changed = sum(revisions.is_another(held[key], revision) for key, (_, revision) in chosen.items() if key in held)
        return len(chosen.keys() - held.keys()), changed

    def add_parcels(self, aoi: str, year: int, ptype: str, version: str, rows: pa.Table | pa.RecordBatchReader) -> bool:
        """Make `rows` the parcels of an area and year; False when that very version is in force already."""
        self._check_present()
        there = [
            found
            for found in self._moments.parcel_files()
            if (found.aoi, found.year, found.ptype) == (aoi, year, ptype)
        ]
        if there and there[-1].version == version:
            return False
        order = filenames.following(Order(found.sequence, found.loaded) for found in there)
        name = filenames.parcels(aoi, year, ptype, order, version)
        written = self._store.write(name, _labelled(rows, ptype, version))
        self._record_parcels(aoi, year, ptype, version, written)
        self._upkeep.settle(None)
        return True

    def _record_parcels(self, aoi: str, year: int, ptype: str, version: str, written: Written) -> None:
        """Record what was written; of this very version a file that has gone is replaced."""
        files, folder = self._tables["files"], f"parcels/aoi={aoi}/year={year}"
        gone = {name: filenames.parts_of_parcels(f"/{name}") for name in manifest.missing(files, folder)}
        same = [name for name, parts in gone.items() if parts and parts[2:4] == (ptype, version)]
        manifest.record(files, folder, written, replaced=same)

    def files(self) -> dict[str, Mapping[str, Any]]:
        """The plain files that the lake must have, rows of schemas.FILES by name; those of version 0.1 once recorded.

        Raises:
            SourceError: the manifest cannot be read.
        """
        return manifest.recorded(self._tables["files"], self.snapshot().tables.get("files"))

    def forget_file(self, name: str) -> None:
        """Accept that a plain file that has gone, of parcels or of the catalogue, does not come back.

        Args:
            name: in the lake, as `check` names it.

        Raises:
            NotFoundError: no such file is recorded.
            InvalidInputError: it is still there.
        """
        self._check_present()
        manifest.forget(self._tables["files"], name)

    def prepare(self, card: str) -> None:
        """Make the tables that extraction writes, so that workers find them."""
        self._check_present()
        for name in (f"signatures_{card}", "ledger", "slots", "rasters"):
            self._tables[name].create()

    def write_signatures(self, card: str, rows: pa.Table, extraction: int) -> None:
        """Make `rows` the signatures of that extraction, in one commit; they count once the ledger has it."""
        self._check_present()
        self._tables[f"signatures_{card}"].put(rows, "extraction", extraction)

    def record(self, entry: dict[str, Any], after: int | None = None) -> bool:
        """Add an attempt to the ledger; see schemas.EXTRACTIONS, of which `attempt` is filled in here.

        Args:
            entry: the row.
            after: number of the latest attempt at that scene and set that the writer knows of. When there are later
                ones, nothing is added and the answer is False.
        """
        self._check_present()

        def rows(seen: int) -> pa.Table | None:
            if after is not None and seen != after:
                return None
            return pa.Table.from_pylist([{**entry, "attempt": seen + 1}], schema=schemas.EXTRACTIONS)

        key = (entry[name] for name in ("card", "aoi", "year", "ptype", "scene"))
        return self._tables["ledger"].append_next(rows, "/".join(map(str, key)))

    def reserve_slots(self, card: str, grid: str, wanted: Sequence[SlotContent], length: int = 0) -> pa.Table:
        """All slots on the time axis of a cube, after giving one to the pixels that have none.

        A scene whose offset or files are others than before gets a new slot: what stands at the old one is of those.

        Args:
            card: of the cube.
            grid: of the cube.
            wanted: what is to have a slot.
            length: that the cube has: slots below it are not given again, also where the list has lost them.
        """
        self._check_present()

        def rows(_: int) -> pa.Table | None:
            held = self.query("extractions.slots", card=card, grid=grid).to_pylist()
            gone = list(lost(held, length))
            known = sorted([*held, *gone], key=lambda row: int(row["slot"]))
            placed = [{"card": card, "grid": grid, **row} for row in (*gone, *reserved(known, wanted))]
            return pa.Table.from_pylist(placed, schema=schemas.SLOTS) if placed else None

        self._tables["slots"].append_next(rows, f"{card}/{grid}")
        return self.query("extractions.slots", card=card, grid=grid)

    def remember_rasters(self, headers: dict[str, str]) -> None:
        """Keep what the headers of rasters say, as JSON by href."""
        self._check_present()
        now = clock.now()
        rows = [{"href": href, "header": header, "seen": now} for href, header in headers.items()]
        if rows:
            self._tables["rasters"].append(pa.Table.from_pylist(rows, schema=schemas.RASTERS))

    def add_inspection(self, row: dict[str, Any]) -> None:
        """Keep a verdict on a parcel of a sample; see schemas.INSPECTIONS."""
        self._check_present()
        self._tables["inspections"].append(pa.Table.from_pylist([row], schema=schemas.INSPECTIONS))

    def add_suspects(self, rows: pa.Table) -> None:
        """Keep verdicts on scenes; see schemas.SUSPECTS."""
        self._check_present()
        self._tables["suspects"].append(rows)
        for card in rows["card"].unique().to_pylist():
            self.settle(card)

    def add_exclusions(self, rows: pa.Table) -> None:
        """Store decisions to leave scenes out or to put them back; see schemas.EXCLUSIONS."""
        self._check_present()
        self._tables["exclusions"].append(rows)
        for card in rows["card"].unique().to_pylist():
            self.settle(card)

    def put(self, name: str, rows: pa.Table, part: int) -> None:
        """Make `rows` the part of that number of the table of that name (see `tables.of`), in one commit."""
        self._check_present()
        self._tables[name].put(rows, "part", part)

    def compact(self, card: str | None = None) -> int:
        """Merge signature files into files ordered by parcel; returns how many were merged.

        Readers go on with the files they opened; answers stay the same. Old files stay for time travel. Rows that no
        longer count, since their scene was extracted again, are left out. The ledger and the other small tables become
        one file each, and the logs are summed up.

        Raises:
            InvalidInputError: unknown card.
            SourceError: some files cannot be read or written, or others went on replacing rows; those partitions,
                which the message names, stay as they were, and all others are done.
        """
        self._check_present()
        sums.sum_up(self._store, self.snapshot().scenes)
        return self._upkeep.compact(card)

    def vacuum(self, days: float) -> int:
        """Delete files that the lake of the last days does not need; returns how many.

        The lake as it was before, `as_of` an earlier moment, cannot be read any more.

        Args:
            days: how many; with less than one nobody may read or write meanwhile.

        Raises:
            InvalidInputError: less than no days.
            SourceError: files cannot be deleted.
        """
        self._check_present()
        if days < 0:
            raise InvalidInputError(f"days must be 0 or more, not {days:g}")
        return (
            sum(table.vacuum(days) for table in self._tables.values())
            + self._store.sweep("", days)
            + sums.sweep(self._store, days)
        )

    def settle(self, card: str | None = None) -> None:
        """Let tables and cubes hold exactly what counts, for readers that know nothing of the ledger.

        Whatever changes what counts ends with it; after a command that was killed, the next one does it, or `compact`.

        Args:
            card: of which; all without it.

        Raises:
            SourceError: files cannot be read or written, or others went on writing.
        """
        self._check_present()
        self._upkeep.settle(card)
        for name in [card] if card else schemas.CARD_BANDS:
            self.publish_cubes(name)

    def unsettled(self) -> list[str]:
        """The cards whose tables do not hold what counts: a command was killed, or is running; see `settle`."""
        return self._upkeep.unsettled()

    def publish_cubes(self, card: str) -> None:
        """Say in the cubes of a card which of their scenes count, for readers that know nothing of the ledger."""
        from cbm_lake import datasets

        self._check_present()
        datasets.publish(self, card)

    def index(self, parcels: ParcelSet, grid: str) -> pa.Table | None:
        """The stored pixel index of that parcel version on that grid, or None."""
        files = self._store.files(f"indexes/{parcels.version}")
        names = [file.removeprefix(self._store.path("")) for file in files]
        fitting = [name for name in names if _is_index(name, grid)]
        return (
            self._store.read(max(fitting, key=lambda name: (digests.recorded(name) is not None, name)))
            if fitting
            else None
        )

    def write_index(self, parcels: ParcelSet, grid: str, rows: pa.Table) -> None:
        """Store the pixel index of that parcel version on that grid."""
        self._check_present()
        stem = f"indexes/{parcels.version}/{grid}"

        def write(writer: pq.ParquetWriter) -> None:
            writer.write_table(rows)

        self._store.write_as(lambda digest: digests.named(stem, digest), rows.schema, write)

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

    def iter_parcels(self, parcels: ParcelSet, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """The same in batches, without ever having the whole columns in memory."""
        with translated("read", parcels.path), self._store.open(parcels.path) as file:
            yield from pq.ParquetFile(file, page_checksum_verification=True).iter_batches(_BATCH, columns=columns)

    def schema_of_parcels(self, parcels: ParcelSet) -> pa.Schema:
        """The columns of a version of a parcel set, those of the agency too."""
        with self._store.open(parcels.path) as file:
            return pq.read_schema(file)

    def mixed_columns(self) -> dict[str, tuple[str, ...]]:
        """The columns of parcels that the view fiboa_parcels has as text, with the types that they have in the sets."""
        return self._database().mixed

    def _cursor(self, parcel: dict[str, Any] | None = None) -> duckdb.DuckDBPyConnection:
        """A cursor over the current snapshot; see Database.cursor."""
        return self._database().cursor(parcel)

    def _database(self) -> Database:
        """DuckDB over the current snapshot; the same one until the lake has moved on."""
        snapshot = self.snapshot()
        with self._lock:
            if self._opened is None or self._opened.snapshot != snapshot or not self._opened.is_whole:
                self._opened = Database(self._store, self._tables, snapshot)
            return self._opened


def open_lake(url: str | None = None, as_of: date | str | None = None) -> Lake:
    """The lake at a folder or URL; without one, the lake of the current workspace.

    Args:
        url: folder, or s3:// URL.
        as_of: a moment (date, datetime, or ISO text; UTC unless it says a zone): the lake as it was recorded then,
            whatever season its data are of. It cannot be changed. This goes by the time, and so by the clocks of those
            who wrote: what a clock that was ahead wrote is seen from its time on only. What is in force then goes by
            the numbers of what is seen, as it does without `as_of`.

    Raises:
        InvalidInputError: `as_of` is no date.
    """
    return Lake(url or Workspace.here().lake_url, _moment(as_of))


def _moment(value: date | str | None) -> datetime | None:
    if value is None:
        return None
    try:
        value = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InvalidInputError(
            f"as_of {value!r} is no date; write it as 2024-06-30 or 2024-06-30T12:00:00Z"
        ) from error
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _numbered(rows: pa.Table, sequence: int) -> pa.Table:
    """The rows of the catalogue with the number of their file."""
    index, field = rows.schema.get_field_index("sequence"), schemas.SCENES.field("sequence")
    numbers = pa.repeat(pa.scalar(sequence, field.type), rows.num_rows)
    return rows.append_column(field, numbers) if index < 0 else rows.set_column(index, field, numbers)


def _stac_geoparquet(rows: pa.Table) -> pa.Table:
    """The table with the metadata that makes its file GeoParquet 1.1 and STAC-GeoParquet 1.0."""
    import json

    covering = {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}
    geometry = {"encoding": "WKB", "geometry_types": [], "covering": {"bbox": covering}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    return rows.replace_schema_metadata({"geo": json.dumps(geo), "stac-geoparquet": json.dumps({"version": "1.0.0"})})


def _labelled(rows: pa.Table | pa.RecordBatchReader, ptype: str, version: str) -> pa.Table | pa.RecordBatchReader:
    """The rows with what they are of as columns, which tells them apart in one view over many files."""
    labels = {"ptype": ptype, "version": version}

    def label(part: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        for name, value in labels.items():
            part = part.append_column(name, pa.array([value] * part.num_rows, pa.string()))
        return part

    if isinstance(rows, pa.Table):
        return label(rows)
    schema = label(pa.Table.from_batches([], rows.schema)).schema
    return pa.RecordBatchReader.from_batches(schema, map(label, rows))


def _is_index(name: str, grid: str) -> bool:
    """Whether a file is the pixel index of a grid; of version 0.1 its name has no digest."""
    stem = name.rpartition("/")[2].removesuffix(".parquet")
    digest = digests.recorded(name)
    return stem == (grid if digest is None else digests.named(grid, digest, ""))
