"""RESTO OpenSearch feeds, as formerly served by CREODIAS, live or saved."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode

import shapely

from cbm_lake import cards
from cbm_lake.card2db.paging import Page, Pages, linked, next_link, number
from cbm_lake.card2db.remote import fetch
from cbm_lake.card2db.stacapi import short
from cbm_lake.card2db.web import Answer, Request, Web, host, words
from cbm_lake.errors import SourceError
from cbm_lake.storage.credentials import without_secrets

_RECORDS: Final = 100
PRODUCTS: Final = MappingProxyType({card.name: card.product_type for card in cards.CARDS.values()})
"""Product type of each card in a RESTO feed."""
_OPTIONS: Final = MappingProxyType({"LEVEL2A": "S2MSI2A", "LEVEL2AP": "S2MSI2Ap"})


def search(location: str, web: Web, parameters: dict[str, str]) -> Pages:
    """Products of a feed, or of a saved response, as STAC items.

    Raises:
        SourceError: the file cannot be read.
    """
    if "://" not in location:
        return Pages(web, fetch(location, web), _read_saved)
    return Pages(web, Request(f"{location}{'&' if '?' in location else '?'}{urlencode(parameters)}"), _read)


def parameters(card: str, option: str | None, dates: tuple[str, str], area: shapely.Geometry) -> dict[str, str]:
    """Query parameters of a feed."""
    product = _OPTIONS.get(option.upper(), option) if option else PRODUCTS[card]
    geometry = shapely.to_wkt(short(area), rounding_precision=5)
    asked = {"productType": product, "startDate": dates[0], "completionDate": dates[1], "geometry": geometry}
    return {name: value for name, value in asked.items() if value} | {"maxRecords": str(_RECORDS)}


def _read(answer: Answer) -> Page:
    document, server = answer.document, host(answer.url)
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        stated, label = words(document, answer.url), without_secrets(answer.url)
        raise SourceError(f"{label} gave no OpenSearch answer{f' ({stated})' if stated else ''}; check the address")
    about = document["properties"] if isinstance(document.get("properties"), dict) else {}

    def following() -> Request | None:
        link = next_link(about.get("links"), server)
        return Request(linked(link["href"], answer.url)) if link else None

    items = [_item(feature) for feature in document["features"] if isinstance(feature, dict)]
    return Page(
        items,
        matched=number(about.get("totalResults")),
        following=following,
        full=len(items) == _RECORDS,
    )


def _read_saved(answer: Answer) -> Page:
    """Read a saved response on its own, without its following pages."""
    return replace(_read(answer), following=lambda: None)


def _item(feature: dict[str, Any]) -> dict[str, Any]:
    """STAC item of a feed entry: the product folder is known, its rasters are not."""
    about = {name: value for name, value in (feature.get("properties") or {}).items() if value not in (None, "")}
    name = str(about.get("title") or "").removesuffix(".SAFE")
    radar = str(about.get("platform", "")).startswith("S1")
    properties = {
        "start_datetime": about.get("startDate"),
        "end_datetime": about.get("completionDate") or about.get("startDate"),
        "platform": about.get("platform"),
        "eo:cloud_cover": None if radar else about.get("cloudCover"),
        "sat:orbit_state": about.get("orbitDirection"),
        "sat:relative_orbit": about.get("relativeOrbitNumber"),
        "s2:processing_baseline": None if radar else about.get("processingBaseline"),
        "s2:datatake_id": about.get("missionTakeId"),
        "s2:product_uri": name,
    }
    links = [{"rel": "product", "href": about["productIdentifier"]}] if about.get("productIdentifier") else []
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        # upper case sorts before product names: the same product catalogued with its rasters comes first
        "id": str(feature.get("id") or "").upper(),
        "collection": about.get("collection"),
        "geometry": feature.get("geometry"),
        "properties": {key: value for key, value in properties.items() if value is not None},
        "links": links,
        "assets": {},
    }
