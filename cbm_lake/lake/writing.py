"""The methods of `Lake` that write: scenes, parcels, signatures, the ledger, verdicts; and maintenance."""

from __future__ import annotations

import uuid
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cbm_lake import cards
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import clock, digests, filenames
from cbm_lake.files.filenames import Order
from cbm_lake.geo import geoparquet
from cbm_lake.lake import manifest, revisions, schemas, sums, tables
from cbm_lake.lake.nights import Nights, memory_of
from cbm_lake.lake.pixels import Pixels
from cbm_lake.lake.records import FileEntry, LedgerEntry
from cbm_lake.lake.slots import SlotContent, lost, reserved
from cbm_lake.lake.snapshots import ParcelSet, Snapshot, Snapshots
from cbm_lake.lake.templates import Further
from cbm_lake.lake.upkeep import Upkeep
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store, Written

_FIRST_CARDS = ("s2", "bs", "c6")
"""Those of version 0.1, whose assets are in every file of the catalogue: its readers ask for them."""


class Writing(Nights, Pixels):
    """A lake that is written to; what it is now is asked of `query` and `snapshot`."""

    url: str
    as_of: datetime | None
    _store: Store
    _snapshots: Snapshots
    _tables: dict[str, Table]
    _upkeep: Upkeep

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """The files and table versions that answer a query now."""

    def _check_present(self) -> None:
        """Raise InvalidInputError for a lake opened `as_of`, which is read-only; create the workspace."""
        if self.as_of is not None:
            raise InvalidInputError(f"{self!r} is the lake as it was; open it without as_of to change it")
        if "://" not in self.url and not Path(self.url).exists():
            Workspace.here().prepare(self.url)

    def add_scenes(self, rows: pa.Table) -> int:
        """Catalogue scenes and return how many are new by card and id; see `catalogue`."""
        return self.catalogue(rows)[0]

    def catalogue(self, rows: pa.Table) -> tuple[int, int]:
        """Catalogue scenes and return how many are new by card and id, and how many have a new revision.

        An entry of an older product than the one that is catalogued under its id changes nothing.
        """
        self._check_present()
        entries = dict(revisions.by_key(self.query("scenes.entries")))
        accepted = revisions.choose(rows, entries)
        if accepted:
            order = filenames.following(order for _, order in self._snapshots.scene_files())
            numbered = _numbered(revisions.rows(rows, accepted), order.sequence)
            written = self._store.write(filenames.scenes(order, uuid.uuid4().hex[:8]), _stac_geoparquet(numbered))
            manifest.record(self._tables["files"], "scenes", written)
            self._sum_up()
        for card in sorted({card for card, _ in accepted.keys() & entries.keys()}):
            self.settle(card)  # what is of the former revision or offset counts no more
        changed = sum(
            revisions.is_another(entries[key], revision) for key, (_, revision) in accepted.items() if key in entries
        )
        return len(accepted.keys() - entries.keys()), changed

    def _sum_up(self) -> None:
        """Let the catalogue be read from few files."""
        sums.sum_up(self._store, [path for path, _ in self._snapshots.scene_files()])

    def add_parcels(self, aoi: str, year: int, ptype: str, version: str, rows: pa.Table | pa.RecordBatchReader) -> bool:
        """Replace the parcels of an area and year by `rows`; False where that version is already in force."""
        self._check_present()
        there = [
            parcels
            for parcels in self._snapshots.parcel_files()
            if (parcels.aoi, parcels.year, parcels.ptype) == (aoi, year, ptype)
        ]
        if there and there[-1].version == version:
            return False
        order = filenames.following(Order(parcels.sequence, parcels.loaded) for parcels in there)
        name = filenames.parcels(aoi, year, ptype, order, version)
        written = self._store.write(name, _labelled(rows, ptype, version))
        self._record_parcels(aoi, year, ptype, version, written)
        self._upkeep.settle(None)
        return True

    def _record_parcels(self, aoi: str, year: int, ptype: str, version: str, written: Written) -> None:
        """Record written files; a lost file of the same version is replaced."""
        files, folder = self._tables["files"], f"parcels/aoi={aoi}/year={year}"
        gone = {name: filenames.parts_of_parcels(f"/{name}") for name in manifest.missing(files, folder)}
        same = [name for name, parts in gone.items() if parts and parts[2:4] == (ptype, version)]
        manifest.record(files, folder, written, replaced=same)

    def files(self) -> dict[str, FileEntry]:
        """The plain files that the lake must have, rows of schemas.FILES by name; those of version 0.1 once recorded.

        Raises:
            SourceError: the manifest cannot be read.
        """
        return manifest.recorded(self._tables["files"], self.snapshot().tables.get("files"))

    def forget_file(self, name: str) -> None:
        """Accept the loss of a plain file, of parcels or of the catalogue.

        Args:
            name: in the lake, as `check` names it.

        Raises:
            NotFoundError: no such file is recorded.
            InvalidInputError: it is still there.
        """
        self._check_present()
        manifest.forget(self._tables["files"], name)

    def prepare(self, card: str, statistics: Iterable[str] = (), indices: Iterable[str] = ()) -> None:
        """Create the tables that extraction writes to, so that workers find them.

        Args:
            card: its name.
            statistics: the optional statistics to be written: the table gets their columns.
            indices: the indices of pixels whose statistics are to be written.
        """
        self._check_present()
        columns = [field.name for field in tables.columns_of(card, Further(tuple(statistics), tuple(indices)))]
        self._tables[f"signatures_{card}"].create(columns)
        for name in ("ledger", "slots", "rasters"):
            self._tables[name].create()

    def write_signatures(self, card: str, rows: pa.Table, extraction: int) -> None:
        """Replace the signatures of an extraction by `rows`, in one commit; they count once the ledger has it."""
        self._check_present()
        self._tables[f"signatures_{card}"].put(rows, "extraction", extraction)

    def record(self, entry: LedgerEntry, after: int | None = None) -> bool:
        """Add an attempt to the ledger; see schemas.EXTRACTIONS, of which `attempt` is filled in here.

        Args:
            entry: the row.
            after: number of the latest attempt at that scene and set that the writer knows of. When there are later
                ones, nothing is added and the answer is False.
        """
        self._check_present()

        def rows(attempts: int) -> pa.Table | None:
            if after is not None and attempts != after:
                return None
            return pa.Table.from_pylist([{**entry, "attempt": attempts + 1}], schema=schemas.EXTRACTIONS)

        key = f"{entry['card']}/{entry['aoi']}/{entry['year']}/{entry['ptype']}/{entry['scene']}"
        return self._tables["ledger"].append_next(rows, key)

    def reserve_slots(self, card: str, grid: str, contents: Sequence[SlotContent], length: int = 0) -> pa.Table:
        """All slots on the time axis of a cube, after giving one to the pixels that have none.

        A scene whose offset or files have changed gets a new slot, as the pixels at the old one are of the former.

        Args:
            card: of the cube.
            grid: of the cube.
            contents: what is to have a slot.
            length: of the cube: slots below it are not assigned again, even where the table has lost them.
        """
        self._check_present()

        def rows(_: int) -> pa.Table | None:
            listed = self.query("extractions.slots", card=card, grid=grid).to_pylist()
            gone = list(lost(listed, length))
            ordered = sorted([*listed, *gone], key=lambda row: int(row["slot"]))
            placed = [{"card": card, "grid": grid, **row} for row in (*gone, *reserved(ordered, contents))]
            return pa.Table.from_pylist(placed, schema=schemas.SLOTS) if placed else None

        self._tables["slots"].append_next(rows, f"{card}/{grid}")
        return self.query("extractions.slots", card=card, grid=grid)

    def remember_rasters(self, headers: dict[str, str]) -> None:
        """Store the headers of rasters, as JSON by href."""
        self._check_present()
        now = clock.now()
        rows = [{"href": href, "header": header, "seen": now} for href, header in headers.items()]
        if rows:
            self._tables["rasters"].append(pa.Table.from_pylist(rows, schema=schemas.RASTERS))

    def add_inspection(self, row: Mapping[str, object]) -> None:
        """Store a verdict on a parcel of a sample; see schemas.INSPECTIONS."""
        self._check_present()
        self._tables["inspections"].append(pa.Table.from_pylist([row], schema=schemas.INSPECTIONS))

    def add_suspects(self, rows: pa.Table) -> None:
        """Store verdicts on scenes; see schemas.SUSPECTS."""
        self._check_present()
        self._tables["suspects"].append(rows)
        for card in rows["card"].unique().to_pylist():
            self.settle(card)

    def add_shifts(self, rows: pa.Table) -> None:
        """Store estimates of scenes' shifts; see schemas.SHIFTS."""
        self._check_present()
        self._tables["measured_shifts"].append(rows)

    def add_exclusions(self, rows: pa.Table) -> None:
        """Store decisions to leave scenes out or to put them back; see schemas.EXCLUSIONS."""
        self._check_present()
        self._tables["exclusions"].append(rows)
        for card in rows["card"].unique().to_pylist():
            self.settle(card)

    def put(self, name: str, rows: pa.Table, part: int, memory: int | None = None) -> None:
        """Replace one numbered part of a table (see `tables.of`) by `rows`, in one commit.

        Args:
            name: of the table.
            rows: of the part.
            part: its number.
            memory: the number of the file of what the rows rest on, as `write_memory` gave it; 0 is none, and None
                where rows of the table never rest on one.
        """
        self._check_present()
        self._tables[name].put(rows, "part", part, {} if memory is None else {memory_of(part): memory})

    def compact(self, card: str | None = None) -> int:
        """Merge signature files into files sorted by parcel; returns how many were merged.

        Readers go on with the files they opened; answers stay the same. Old files stay for time travel. Rows that no
        longer count, since their scene was extracted again, are left out. The ledger and the other small tables become
        one file each, and the logs are summed up.

        Raises:
            InvalidInputError: unknown card.
            SourceError: some files cannot be read or written, or others went on replacing rows; those partitions,
                which the message names, stay as they were, and all others are done.
        """
        self._check_present()
        self._sum_up()
        return self._upkeep.compact(card)

    def uncompacted(self, card: str | None = None) -> int:
        """The number of signature files that no compaction has merged, of the area and year that has most of them."""
        return self._upkeep.uncompacted(card)

    def vacuum(self, days: float) -> int:
        """Delete files that are not needed by the lake of the last days; returns how many.

        The lake `as_of` an earlier timestamp can no longer be read.

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
        for name in [card] if card else cards.CARD_BANDS:
            self.publish_cubes(name)

    def unsettled(self) -> list[str]:
        """The cards whose tables do not hold what counts: a command was killed, or is running; see `settle`."""
        return self._upkeep.unsettled()

    def publish_cubes(self, card: str) -> None:
        """Say in the cubes of a card which of their scenes count, for readers that know nothing of the ledger."""
        from cbm_lake.rasters import datasets

        self._check_present()
        datasets.publish(self, card)

    def write_index(self, parcels: ParcelSet, grid: str, rows: pa.Table) -> None:
        """Store the pixel index of that parcel version on that grid."""
        self._check_present()
        stem = f"indexes/{parcels.version}/{grid}"

        def write(writer: pq.ParquetWriter) -> None:
            writer.write_table(rows)

        self._store.write_as(lambda digest: digests.named(stem, digest), rows.schema, write)


def _stac_geoparquet(rows: pa.Table) -> pa.Table:
    """The table, assets of its cards only, with the metadata of GeoParquet 1.1 and STAC-GeoParquet 1.0."""
    import json

    rows = _with_assets(rows, [*_FIRST_CARDS, *rows["card"].unique().to_pylist()])
    column = geoparquet.column_metadata(crs=geoparquet.DEFAULT_CRS, covering="bbox")
    stac = {b"stac-geoparquet": json.dumps({"version": "1.0.0"}).encode()}
    return rows.replace_schema_metadata(geoparquet.file_metadata({"geometry": column}) | stac)


def _with_assets(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """The rows of the catalogue with the assets of these cards only, so that a new card changes no file of others."""
    index, names_of_assets = (
        rows.schema.get_field_index("assets"),
        {asset for name in names for asset in cards.get(name).rasters},
    )
    column = rows["assets"].combine_chunks()
    fields = [field for field in column.type if field.name in names_of_assets]
    parts = [column.field(field.name) for field in fields]
    assets = pa.StructArray.from_arrays(parts, fields=fields, mask=column.is_null())
    return rows.set_column(index, rows.schema.field(index).with_type(assets.type), assets)


def _labelled(rows: pa.Table | pa.RecordBatchReader, ptype: str, version: str) -> pa.Table | pa.RecordBatchReader:
    """The rows with their labels as columns, which distinguish them in one view over many files."""
    labels = {"ptype": ptype, "version": version}

    def label(part: pa.Table | pa.RecordBatch) -> pa.Table | pa.RecordBatch:
        for name, value in labels.items():
            part = part.append_column(name, pa.array([value] * part.num_rows, pa.string()))
        return part

    if isinstance(rows, pa.Table):
        return label(rows)
    schema = label(pa.Table.from_batches([], rows.schema)).schema
    return pa.RecordBatchReader.from_batches(schema, map(label, rows))


def _numbered(rows: pa.Table, sequence: int) -> pa.Table:
    """The rows of the catalogue with the number of their file."""
    index, field = rows.schema.get_field_index("sequence"), schemas.SCENES.field("sequence")
    numbers = pa.repeat(pa.scalar(sequence, field.type), rows.num_rows)
    return rows.append_column(field, numbers) if index < 0 else rows.set_column(index, field, numbers)
