"""Cards: definitions of the products (Sentinel-2, Sentinel-1, Landsat), from which schemas, views and options derive.

`sentinel2`, `sentinel1` and `landsat` hold the cards, `card` the types; `CARDS` lists them.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from cbm_lake.cards import indices, statistics
from cbm_lake.cards.card import Band, Card, Classification, Mission, Quantity, Refusal
from cbm_lake.cards.classes import CLASS_NAMES, CLASSES, CLOUD_CLASSES, Classes, scene_classes, screened, with_classes
from cbm_lake.cards.indices import INDICES, Index
from cbm_lake.cards.landsat import LS
from cbm_lake.cards.sentinel1 import BS, C6
from cbm_lake.cards.sentinel2 import S2
from cbm_lake.cards.statistics import STATISTICS
from cbm_lake.errors import InvalidInputError

__all__ = [
    "ASSETS",
    "BS",
    "C6",
    "CARDS",
    "CARD_BANDS",
    "CLASSES",
    "CLASS_NAMES",
    "CLOUD_CLASSES",
    "COMMON_NAMES",
    "INDICES",
    "LS",
    "MISSIONS",
    "S2",
    "STATISTICS",
    "Band",
    "Card",
    "Classes",
    "Classification",
    "Index",
    "Mission",
    "Quantity",
    "Refusal",
    "asset_band",
    "band_called",
    "band_named",
    "get",
    "indices",
    "scene_classes",
    "screened",
    "statistics",
    "with_classes",
]

CARDS: Final = MappingProxyType({card.name: card for card in (S2, BS, C6, LS)})
"""Every card by its name; this is the only list of them."""

CARD_BANDS: Final = MappingProxyType({card.name: tuple(card.resolutions) for card in CARDS.values()})
"""The bands of each card that have statistics."""

ASSETS: Final = tuple(dict.fromkeys(name for card in CARDS.values() for name in card.rasters))
"""The asset keys of a catalogued scene, whatever its provider calls them."""

COMMON_NAMES: Final = MappingProxyType({**S2.aliases, "scl": "SCL"})
"""Sentinel-2 bands by the common names of STAC's electro-optical extension, which Earth Search uses as asset keys."""

MISSIONS: Final = MappingProxyType({card.mission.code: card.mission for card in CARDS.values()})
"""Missions by the code with which their sensors begin."""


def get(name: str) -> Card:
    """The card of that name.

    Raises:
        InvalidInputError: there is none.
    """
    if name not in CARDS:
        raise InvalidInputError(f"unknown card {name!r}; choose from {', '.join(CARDS)}")
    return CARDS[name]


def asset_band(key: str, card: Card | None = None) -> str | None:
    """The band of an asset by its key at any provider; see `Card.asset_band`.

    Args:
        key: of the asset.
        card: whose bands; None is any card of the Sentinels.
    """
    return next((band for one in _of(card) if (band := one.asset_band(key))), None)


def band_named(name: str, card: Card | None = None) -> str | None:
    """The band of that name, whatever its case and its zeros (B04, b4, Band 4, red, vv), else None.

    Args:
        name: in any spelling.
        card: whose bands; None is any card of the Sentinels.
    """
    return next((band for one in _of(card) if (band := one.band_named(name))), None)


_RADAR = re.compile(r"(?P<polarisation>VV|VH)[BC]?")


def band_called(name: str, card: Card | None = None) -> str:
    """The band that is meant by a name of the original's tables: B4 is B04, VVb and VVc are VV; other names stay.

    Args:
        name: in any spelling.
        card: whose bands; None is any card of the Sentinels.

    Raises:
        InvalidInputError: it is no text.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"{name!r} is no name of a band, such as B04")
    radar = _RADAR.fullmatch(name.strip().upper())
    return radar["polarisation"] if radar else band_named(name, card) or name


def _of(card: Card | None) -> tuple[Card, ...]:
    return (S2, BS) if card is None else (card,)
