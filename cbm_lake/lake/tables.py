"""The Delta tables of a lake: names, schemas, and the columns by which their files are pruned."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

import pyarrow as pa
from deltalake import DeltaTable

from cbm_lake import cards
from cbm_lake.lake import schemas
from cbm_lake.lake.settling import Pair
from cbm_lake.lake.templates import Further
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

SIGNATURES: Final = MappingProxyType({**{card: card for card in cards.CARDS}, "sc": "s2"})
"""Tables of signatures, and the card that each is of: migrated statistics of classes are of s2."""
_OF_SIGNATURES: dict[str, Any] = {
    "keys": ("pid", "scene", "ptype", "obstime", "extraction"),
    "partitions": ("aoi", "year"),
    "small": False,
}


def of(store: Store) -> dict[str, Table]:
    """Every Delta table of a lake by the name of its view; the ledger, which speaks of the others, first."""
    schema = {**{card: schemas.signatures(card) for card in cards.CARDS}, "sc": schemas.SC}
    optional = {name: pa.schema(columns_of(name, _every(name))) for name in SIGNATURES}
    return {
        "ledger": Table(store, "extractions", schemas.EXTRACTIONS, keys=("scene", "aoi", "finished", "sequence")),
        **{
            f"{kind}_{name}": Table(store, f"{folder}/{name}", schema[name], optional=optional[name], **_OF_SIGNATURES)
            for kind, folder in (("signatures", "signatures"), ("aside", "set_aside"))
            for name in SIGNATURES
        },
        "slots": Table(store, "slots", schemas.SLOTS, keys=("card", "grid")),
        "rasters": Table(store, "rasters", schemas.RASTERS, keys=("href", "sequence")),
        "inspections": Table(
            store, "qa/inspections", schemas.INSPECTIONS, keys=("sample_id", "pid", "inspected", "sequence")
        ),
        "suspects": Table(store, "suspects", schemas.SUSPECTS, keys=("scene", "found", "sequence")),
        "measured_shifts": Table(store, "shifts", schemas.SHIFTS, keys=("scene", "measured", "sequence")),
        "exclusions": Table(store, "exclusions", schemas.EXCLUSIONS, keys=("scene", "decided", "sequence")),
        "decisions": Table(store, "cases", schemas.DECISIONS, keys=("pid", "sequence"), partitions=("aoi", "year")),
        "judged": Table(store, "judgements", schemas.JUDGEMENTS, keys=("pid", "sequence"), partitions=("aoi", "year")),
        "obsids": Table(store, "obsids", schemas.OBSIDS, keys=("scene",)),
        "weather_days": Table(
            store, "weather/days", schemas.WEATHER, keys=("cell", "meteo_date", "sequence"), partitions=("aoi",)
        ),
        "weather_boxes": Table(store, "weather/cells", schemas.WEATHER_CELLS, keys=("cell", "sequence")),
        "attributes": Table(
            store, "attributes", schemas.ATTRIBUTES, keys=("pid", "sequence"), partitions=("aoi", "year")
        ),
        "marked": Table(store, "markers", schemas.MARKERS, keys=("pid",), partitions=("aoi", "year")),
        "runs": Table(store, "runs", schemas.RUNS, keys=("run", "step", "sequence")),
        "changed": Table(store, "changes", schemas.CHANGES, keys=("pid", "sequence"), partitions=("aoi", "year")),
        "divided": Table(store, "parts", schemas.PARTS, keys=("pid",), partitions=("aoi", "year")),
        "checked_crops": Table(store, "crops", schemas.CROP_CHECKS, keys=("pid",), partitions=("aoi", "year")),
        "checks_of_crops": Table(store, "crop_runs", schemas.CROP_RUNS, keys=("run", "sequence")),
        "related_parcels": Table(store, "lineage", schemas.LINEAGE, keys=("pid",), partitions=("aoi", "year")),
        "files": Table(store, "files", schemas.FILES, keys=("name", "sequence")),
    }


def columns_of(name: str, further: Further) -> list[pa.Field]:
    """The optional columns of a table of signatures, one of `SIGNATURES`."""
    bands = cards.CARD_BANDS[name] if name in cards.CARDS else ["SC"]
    return schemas.optional_columns(bands, further.statistics, further.indices if name in cards.CARDS else ())


def _every(name: str) -> Further:
    """All that signatures of a card may have beside what all have."""
    card = cards.get(SIGNATURES[name])
    return Further(cards.statistics.OPTIONAL, tuple(n for n, index in cards.INDICES.items() if index.bands_of(card)))


def further_of(table: Table, snapshot: DeltaTable | None) -> Further:
    """The optional statistics, and the indices of pixels, in a snapshot of a table of signatures."""
    columns = table.optional_columns(snapshot)
    statistics = (name for name in cards.statistics.OPTIONAL if any(column.endswith(f"_{name}") for column in columns))
    indices = (name for name, index in cards.INDICES.items() if f"{index.column}_count" in columns)
    return Further(tuple(statistics), tuple(indices))


def pairs(by_name: dict[str, Table], card: str | None = None) -> list[Pair]:
    """Where the signatures of a card are, or those of all."""
    return [
        Pair(owner, by_name[f"signatures_{name}"], by_name[f"aside_{name}"])
        for name, owner in SIGNATURES.items()
        if card in (None, owner)
    ]
