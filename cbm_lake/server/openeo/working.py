"""From a document to a file: the plan of an account's process graph, evaluated and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.server.accounts import Account
from cbm_lake.server.openeo import evaluation, formats, plan, refusals
from cbm_lake.server.openeo.geometries import Declared
from cbm_lake.server.openeo.graph import Json
from cbm_lake.server.openeo.plan import Plan
from cbm_lake.server.openeo.tiles import Check


@dataclass(frozen=True)
class Offered:
    """What an account may load: a card, its scenes and the areas that have it."""

    card: str
    scenes: int
    first: object
    last: object
    aois: tuple[str, ...]


def offered(lake: Lake, account: Account) -> list[Offered]:
    """The cards of which areas of the account have signatures."""
    aois = None if account.admin else list(account.aois)
    rows = lake.query("openeo.collections", aois=aois).to_pylist()
    return [Offered(row["card"], row["scenes"], row["first"], row["last"], tuple(row["aois"])) for row in rows]


Cards: TypeAlias = "dict[str, tuple[str, ...]]"
"""The areas that have signatures of a card, by the card's name."""


def readable(lake: Lake, account: Account) -> Cards:
    """The cards of which areas of the account have signatures; less work than `offered`."""
    cards: Cards = {}
    for row in lake.query("status.cards").to_pylist():
        if account.may_read(row["aoi"]):
            cards[row["card"]] = (*cards.get(row["card"], ()), row["aoi"])
    return cards


def planned(lake: Lake, account: Account, document: Json, cards: Cards | None = None) -> Plan:
    """The plan of a process graph of an account.

    Args:
        lake: as it is, or as it was.
        account: who asks.
        document: the graph.
        cards: see `readable`; looked up where they are not given.

    Raises:
        OpenEoError: something in it is not supported, or not theirs to read.
    """

    def sets() -> Sequence[ParcelSet]:
        return [parcels for parcels in lake.parcel_sets() if account.may_read(parcels.aoi)]

    return plan.of_document(document, sets, sorted(readable(lake, account) if cards is None else cards))


@dataclass(frozen=True)
class Written:
    """A result."""

    file: Path
    media_type: str
    way: str
    """How it was computed."""
    aois: tuple[str, ...]
    """The areas that it tells of."""


def work(lake: Lake, account: Account, document: Json, folder: Path, check: Check) -> Written:
    """Evaluate a process graph and write its result.

    Args:
        lake: as it is, or as it was.
        account: who asks.
        document: the graph.
        folder: where the file is written.
        check: called between reads; it raises where nobody waits any more.

    Raises:
        OpenEoError: something in the graph is not supported, or there is no data.
        LakeError: see `evaluation.evaluate`.
    """
    cards = readable(lake, account)
    prepared = planned(lake, account, document, cards)
    aggregated = prepared.aggregated
    aois = cards[aggregated.layer.card.name]
    series = evaluation.evaluate(lake, aggregated, aois, check)
    if not series.times:
        raise refusals.OpenEoError("NoDataAvailable", "there is no scene of that collection in that time")
    if prepared.format == "GeoParquet" and series.shapes is None:
        series = replace(series, shapes=evaluation.shapes_of(lake, aggregated))
    file = folder / f"result{formats.extension(prepared.format)}"
    formats.write(series, prepared.format, file)
    if isinstance(aggregated.geometries, Declared):
        aois = (aggregated.geometries.parcels.aoi,)
    return Written(file, formats.media_type(prepared.format), series.way, aois)
