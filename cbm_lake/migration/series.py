"""Migrates the original library's signatures and histograms, stored in long form, to extractions of the lake.

    dumps ─ staged, one pass ─► portions of scenes ─ pivoted ─► wide rows of one scene ─► signatures, then the ledger

A scene is done when the ledger says so, as when it is extracted; its number depends on what the dump holds of it, so
that the same dump does nothing the second time and another one replaces what the first brought.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import cards
from cbm_lake.files import installed
from cbm_lake.lake import Lake, queries, schemas
from cbm_lake.lake.records import LedgerEntry
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.migration.catalogue import Numbered
from cbm_lake.migration.dumps import Dumps

SIGNATURES: Final = ("pid", "obsid", "band", *cards.statistics.STORED)
HISTS: Final = ("pid", "obsid", "hist")
CARDS: Final = tuple(card.name for card in cards.CARDS.values() if card.migrated)
"""Cards that databases of the original library have."""
_PORTION: Final = 60_000_000
"""Bytes of a dump that are pivoted at once: half a million to four million rows, as they are packed."""
_MOST_PORTIONS: Final = 512
_MIGRATED: Final = " migrated"
"""How the version in the ledger ends where a scene was migrated."""

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, the progress and the total."""


@dataclass(frozen=True)
class Counts:
    """Row counts of a table by outcome."""

    read: int
    refused: int
    already: int = 0
    """Of those that count, how many the lake had from an earlier run."""

    @property
    def taken(self) -> int:
        """Rows that the lake holds."""
        return self.read - self.refused


class Series:
    """Migrates the views "dump" and "dump_hists" into the lake.

    Args:
        lake: where to.
        dumps: where from; the table fids (fid, pid) is in it.
        parcels: whose signatures they are.
        scenes: by number.
        progress: called with the progress.
    """

    def __init__(
        self, lake: Lake, dumps: Dumps, parcels: ParcelSet, scenes: dict[int, Numbered], progress: Progress
    ) -> None:
        self._lake, self._dumps, self._parcels, self._scenes = lake, dumps, parcels, scenes
        self._progress = progress
        self._read: dict[str, int] = {}
        self._done = self._known_extractions()

    def take(self) -> dict[str, Counts]:
        """Write the rows that are not in the lake yet; returns the row counts of signatures and hists."""
        _write_names(self._dumps, self._scenes)
        portions = self._stage()
        already = {"signatures": 0, "hists": 0}
        for number in range(portions):
            for name, rows in self._portion(number).items():
                already[name] += rows
            self._progress("migrating scenes", number + 1, portions)
        return {name: self._counts(name, already[name]) for name in already}

    def _counts(self, name: str, already: int) -> Counts:
        refused = sum(rows for table, _, rows in self._dumps.refused() if table == name)
        return Counts(self._read[name], refused, already)

    def _known_extractions(self) -> dict[tuple[str, str], tuple[int, str]]:
        """By card and scene, the extraction that counts over this parcel set and the version that wrote it."""
        key = self._parcels.params
        return {
            (card, row["scene"]): (row["extraction"], row["version"])
            for card in CARDS
            for row in self._lake.query("migrate.done", card=card, **key).to_pylist()
        }

    # -- staging ------------------------------------------------------------------------------------------------------

    def _stage(self) -> int:
        """Read the dumps once, judge every row, and spread the good ones over portions; how many portions there are."""
        dumps = self._dumps
        size = dumps.sizes["dump"] + dumps.sizes["dump_hists"]
        portions = max(1, min(_MOST_PORTIONS, size // _PORTION, len(self._scenes)))
        dumps.connection.execute(
            "create or replace table portions as select $count::bigint as buckets", {"count": portions}
        )
        for name, step in (("signatures", "staged"), ("hists", "staged_hists")):
            folder = dumps.folder / step
            relation = dumps.run(step)
            self._watch(partial(relation.to_parquet, str(folder), partition_by=["bucket"]), f"reading {name}")
            dumps.view_staged(folder, relation)
            self._read[name] = dumps.count("staged_rows") + dumps.refuse_unreadable(name)
            dumps.refuse("refused", name=name)
        return portions

    def _watch(self, work: Callable[[], object], title: str) -> None:
        """Run a long DuckDB statement and report its progress."""
        with ThreadPoolExecutor(1) as pool, queries.translated():
            running = pool.submit(work)
            while wait([running], timeout=0.5).not_done:
                self._progress(title, max(0, int(self._dumps.connection.query_progress())), 100)
            running.result()
        self._progress(title, 100, 100)

    # -- portions -----------------------------------------------------------------------------------------------------

    def _portion(self, number: int) -> dict[str, int]:
        """Write the scenes of a portion that are not there yet; how many rows of those that count were there."""
        self._dumps.hold_portion(number)
        self._dumps.refuse("doubled")
        already = {"signatures": 0, "hists": 0}
        work, refused = {}, []
        for row in self._dumps.rows("digests").to_pylist():
            scene = self._scenes[row["obsid"]]
            extraction = self._extraction(scene, row["digest"])
            previous, by = self._done.get((scene.card, scene.id), (None, _MIGRATED))
            if previous == extraction:
                already = {name: rows + row[name] for name, rows in already.items()}
            elif by.endswith(_MIGRATED):
                work[row["obsid"]] = extraction
            else:
                refused.append(row["obsid"])
        if refused:
            self._dumps.refuse("held", obsids=refused)
        self._write(work)
        return already

    def _extraction(self, scene: Numbered, digest: int) -> int:
        """The number of what the dump holds of a scene over this version of the parcels."""
        parcels = self._parcels
        parts = ["migrated", scene.card, scene.id, parcels.aoi, parcels.year, parcels.ptype, parcels.version, digest]
        return int.from_bytes(hashlib.sha256(json.dumps(parts).encode()).digest()[:8]) >> 1

    def _write(self, work: dict[int, int]) -> None:
        """Write and record scenes, given their extractions by their numbers."""
        if not work:
            return
        started = datetime.now(UTC)
        wide = {card: self._dumps.rows(f"wide_{card}") for card in (*CARDS, "sc")}
        for obsid, extraction in work.items():
            scene = self._scenes[obsid]
            rows = self._wide(scene.card, wide[scene.card], obsid, extraction)
            self._lake.write_signatures(scene.card, rows, extraction)
            if scene.card == "s2":
                classes = self._wide("sc", wide["sc"], obsid, extraction)
                if classes.num_rows:
                    self._lake.write_signatures("sc", classes, extraction)
            self._lake.record(self._entry(scene, extraction, rows, started))

    def _wide(self, card: str, portion: pa.Table, obsid: int, extraction: int) -> pa.Table:
        """The rows of one scene in the schema of its table; bands that the dump has not are null."""
        scene = self._scenes[obsid]
        rows = portion.filter(pc.equal(portion["obsid"], obsid))
        keys = {
            "aoi": self._parcels.aoi,
            "year": self._parcels.year,
            "ptype": self._parcels.ptype,
            "scene": scene.id,
            "obstime": scene.obstime,
            "reference": scene.reference,
            "rule": "centre",
            "extraction": extraction,
        }
        schema = schemas.SC if card == "sc" else schemas.signatures(card)
        columns = [
            pa.repeat(pa.scalar(keys[item.name], item.type), rows.num_rows)
            if item.name in keys
            else rows[item.name].cast(item.type)
            if item.name in rows.column_names
            else pa.nulls(rows.num_rows, item.type)  # dumps do not say which share of a parcel was seen
            for item in schema
        ]
        return pa.table(columns, schema=schema)

    def _entry(self, scene: Numbered, extraction: int, rows: pa.Table, started: datetime) -> LedgerEntry:
        """The entry in the ledger."""
        bands = [band for band in cards.CARD_BANDS[scene.card] if rows[f"{band}_count"].null_count < rows.num_rows]
        return {
            "card": scene.card,
            "scene": scene.id,
            "aoi": self._parcels.aoi,
            "year": self._parcels.year,
            "ptype": self._parcels.ptype,
            "parcels": self._parcels.version,
            "extraction": extraction,
            "base": None,
            "bands": bands,
            "rule": "centre",
            "boa_offset": scene.boa_offset,
            "cube": False,
            "status": "done",
            "problem": None,
            "rows": rows.num_rows,
            "started": started,
            "finished": datetime.now(UTC),
            "version": installed.version() + _MIGRATED,
        }


def _write_names(dumps: Dumps, scenes: dict[int, Numbered]) -> None:
    """Tables of the scenes by number, and of the bands by every name that the original gave them."""
    scene_rows = [{"obsid": number, "card": scene.card, "shift": scene.shift} for number, scene in scenes.items()]
    names = [{"card": card, "given": alias, "band": band} for card, alias, band in _given_names()]
    known_schema = pa.schema([("obsid", pa.int64()), ("card", pa.string()), ("shift", pa.int32())])
    dumps.table("known", pa.Table.from_pylist(scene_rows, schema=known_schema))
    dumps.table("names", pa.Table.from_pylist(names))


def _given_names() -> Iterator[tuple[str, str, str]]:
    """Card, name in capitals in the dump, and name in the lake, of every band."""
    for name in CARDS:
        card = cards.get(name)
        for band in card.resolutions:
            yield name, band, band
            if card.wire_suffix:
                yield name, f"{band}{card.wire_suffix.upper()}", band
            elif band[1] == "0":
                yield name, f"B{band[2]}", band
    yield "s2", "SC", "SC"
    yield "s2", "SCL", "SC"
