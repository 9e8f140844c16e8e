"""Which Delta tables a lake has, and by what their files are passed over."""

from __future__ import annotations

from typing import Any

from cbm_lake import cards
from cbm_lake.lake import schemas
from cbm_lake.lake.settling import Pair
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

_OF_SIGNATURES: dict[str, Any] = {
    "keys": ("pid", "scene", "ptype", "obstime", "extraction"),
    "partitions": ("aoi", "year"),
    "small": False,
}


def of(store: Store) -> dict[str, Table]:
    """Every Delta table of a lake by the name of its view; the ledger, which speaks of the others, first."""
    signatures = {
        f"signatures_{card}": Table(store, f"signatures/{card}", schemas.signatures(card), **_OF_SIGNATURES)
        for card in cards.CARD_BANDS
    }
    return {
        "ledger": Table(store, "extractions", schemas.EXTRACTIONS, keys=("scene", "aoi", "finished", "sequence")),
        **signatures,
        "signatures_sc": Table(store, "signatures/sc", schemas.SC, **_OF_SIGNATURES),
        **{
            f"aside_{card}": Table(store, f"set_aside/{card}", schema, **_OF_SIGNATURES)
            for card, schema in (*((card, schemas.signatures(card)) for card in cards.CARD_BANDS), ("sc", schemas.SC))
        },
        "slots": Table(store, "slots", schemas.SLOTS, keys=("card", "grid")),
        "rasters": Table(store, "rasters", schemas.RASTERS, keys=("href", "sequence")),
        "inspections": Table(
            store, "qa/inspections", schemas.INSPECTIONS, keys=("sample_id", "pid", "inspected", "sequence")
        ),
        "suspects": Table(store, "suspects", schemas.SUSPECTS, keys=("scene", "found", "sequence")),
        "exclusions": Table(store, "exclusions", schemas.EXCLUSIONS, keys=("scene", "decided", "sequence")),
        "obsids": Table(store, "obsids", schemas.OBSIDS, keys=("scene",)),
        "weather_days": Table(
            store, "weather/days", schemas.WEATHER, keys=("cell", "meteo_date", "sequence"), partitions=("aoi",)
        ),
        "weather_boxes": Table(store, "weather/cells", schemas.WEATHER_CELLS, keys=("cell", "sequence")),
        "attributes": Table(
            store, "attributes", schemas.ATTRIBUTES, keys=("pid", "sequence"), partitions=("aoi", "year")
        ),
        "marked": Table(store, "markers", schemas.MARKERS, keys=("pid",), partitions=("aoi", "year")),
        "files": Table(store, "files", schemas.FILES, keys=("name", "sequence")),
    }


def pairs(by_name: dict[str, Table], card: str | None = None) -> list[Pair]:
    """Where the signatures of a card are, or those of all; the migrated statistics of classes belong to card s2."""
    owners = {**{name: name for name in cards.CARD_BANDS}, "sc": "s2"}
    return [
        Pair(owner, by_name[f"signatures_{name}"], by_name[f"aside_{name}"])
        for name, owner in owners.items()
        if card in (None, owner)
    ]
