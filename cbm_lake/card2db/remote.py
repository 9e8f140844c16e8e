"""Catalogues far away and in files: STAC APIs, static STAC, RESTO feeds; the only module here that speaks HTTP."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import shapely

from cbm_lake.card2db.scene import absolute
from cbm_lake.errors import InvalidInputError, SourceError

if TYPE_CHECKING:
    from pystac_client.stac_api_io import StacApiIO

log = logging.getLogger(__name__)

_PAGE = 100
_LONGEST = 1500
"""Characters of an outline that still fit into the address of a request."""
_RETRIED: Final = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Provider:
    """A STAC API, and which of its collections holds what."""

    url: str
    collections: MappingProxyType[str, str]
    """Card to collection; a card that is not named is not to be had there."""


PROVIDERS: Final = MappingProxyType(
    {
        # Collection 1, because some items of sentinel-2-l2a there state wrongly whether the offset was applied
        "earth-search": Provider(
            "https://earth-search.aws.element84.com/v1",
            MappingProxyType({"s2": "sentinel-2-c1-l2a", "bs": "sentinel-1-grd"}),
        ),
        "cdse": Provider(
            "https://stac.dataspace.copernicus.eu/v1",
            MappingProxyType({"s2": "sentinel-2-l2a", "bs": "sentinel-1-grd"}),
        ),
        "planetary-computer": Provider(
            "https://planetarycomputer.microsoft.com/api/stac/v1",
            MappingProxyType({"s2": "sentinel-2-l2a", "bs": "sentinel-1-rtc"}),
        ),
        "terrascope": Provider("https://stac.terrascope.be", MappingProxyType({"s2": "sentinel-2-l2a"})),
    }
)
"""STAC APIs by short name."""

RESTO: Final = "https://catalogue.dataspace.copernicus.eu/resto/api/collections"
"""The OpenSearch feed of CREODIAS and the Copernicus Data Space."""

RESTO_PRODUCTS: Final = MappingProxyType(
    {"s2": ("Sentinel2", "S2MSI2A"), "bs": ("Sentinel1", "CARD-BS"), "c6": ("Sentinel1", "CARD-COH6")}
)
"""Collection and product type of each card in that feed."""

_RESTO_OPTIONS: Final = MappingProxyType({"LEVEL2A": "S2MSI2A", "LEVEL2AP": "S2MSI2Ap"})


def api(url: str, card: str, collection: str | None) -> tuple[str, str | None]:
    """Address and collection of a STAC API given by short name or URL; without a collection, the usual one.

    Raises:
        InvalidInputError: `url` is neither, or the provider has no such card.
    """
    named = {provider.url: provider for provider in PROVIDERS.values()}
    provider = PROVIDERS.get(url) or named.get(url.rstrip("/"))
    if provider is None:
        if not url.startswith(("http://", "https://")):
            raise InvalidInputError(
                f"{url!r} is no STAC API; give its URL or one of {', '.join(PROVIDERS)} (for files use card2db.items)"
            )
        return url, collection
    if collection is None and card not in provider.collections:
        raise InvalidInputError(f"{url} has no usual collection for card {card}; name one with collection=")
    return provider.url, collection or provider.collections[card]


def connection(timeout: float, retries: int) -> StacApiIO:
    """A connection that tries again, each time after a longer pause, what may succeed later."""
    from pystac_client.stac_api_io import StacApiIO
    from urllib3.util import Retry

    again = Retry(
        total=retries,
        backoff_factor=0.5,
        status_forcelist=_RETRIED,
        allowed_methods=None,  # a search by POST changes nothing and may be repeated
        raise_on_status=True,
    )
    return StacApiIO(timeout=timeout, max_retries=again)


def search(
    url: str, io: StacApiIO, *, collection: str | None, dates: str | None, geometry: shapely.Geometry
) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """The pages of a search, each with how many items the server says match in all (0 when it does not say).

    Raises:
        SourceError: the server failed or sent something that is no STAC.
    """
    from pystac_client import Client

    with _translated(url):
        client = Client.open(url, stac_io=io, timeout=io.timeout)  # without it here the connection's would be lost
        methods = {link.extra_fields.get("method") or "GET" for link in client.get_links("search")}
        found = client.search(
            method="POST" if "POST" in methods else "GET",
            collections=[collection] if collection else None,
            datetime=dates,
            intersects=shapely.geometry.mapping(geometry if "POST" in methods else _short(geometry)),
            limit=_PAGE,
        )
        for page in found.pages_as_dicts():
            total = page.get("numberMatched") or (page.get("context") or {}).get("matched")
            yield page["features"], int(total or 0)


def walk(location: str, io: StacApiIO, problems: list[str]) -> Iterator[tuple[dict[str, Any], str]]:
    """Every item at a file, URL or folder, with the address that its relative hrefs start from.

    An item is taken as it is, an item collection item by item, a catalogue or collection along its links, a folder
    file by file. What cannot be read on the way is added to `problems`; only the start itself must be readable.

    Raises:
        SourceError: the start cannot be read, or holds no STAC.
    """
    folder = Path(location)
    if "://" not in location and folder.is_dir():
        starts = [str(path) for path in sorted(folder.rglob("*.json"))]
        yield from _items_of([(start, _attempt(start, io, problems)) for start in starts], io, problems, follow=False)
        return
    document = fetch(location, io)
    if _kind(document) not in {"Feature", "FeatureCollection", "Catalog", "Collection"}:
        raise SourceError(f"{location} holds no STAC item, item collection or catalogue; give another file")
    yield from _items_of([(location, document)], io, problems, follow=True)


def resto(location: str, io: StacApiIO, parameters: dict[str, str]) -> Iterator[tuple[list[dict[str, Any]], int]]:
    """The pages of an OpenSearch feed (or of one saved answer) as STAC items, each with how many match in all.

    Raises:
        SourceError: the server failed or sent something else.
    """
    seen: set[str] = set()
    following: str | None = location
    while following and following not in seen:
        seen.add(following)
        page = fetch(following, io, parameters if len(seen) == 1 else None)
        if _kind(page) != "FeatureCollection" or not isinstance(page.get("features"), list):
            raise SourceError(f"{location} gave no OpenSearch answer; check the address")
        about = page.get("properties") or {}
        yield [_from_resto(feature) for feature in page["features"]], int(about.get("totalResults") or 0)
        links = (about.get("links") or []) if "://" in location else []  # a saved answer is taken as it is
        following = next((link["href"] for link in links if link.get("rel") == "next"), None)


def resto_parameters(card: str, option: str | None, dates: tuple[str, str], area: shapely.Geometry) -> dict[str, str]:
    """What to ask an OpenSearch feed for."""
    product = _RESTO_OPTIONS.get(option.upper(), option) if option else RESTO_PRODUCTS[card][1]
    outline = shapely.to_wkt(_short(area), rounding_precision=5)
    asked = {"productType": product, "startDate": dates[0], "completionDate": dates[1], "geometry": outline}
    return {name: value for name, value in asked.items() if value} | {"maxRecords": str(_PAGE)}


def _short(area: shapely.Geometry) -> shapely.Geometry:
    """The area, or its box where the area would not fit into an address."""
    return area if len(area.wkt) < _LONGEST else shapely.box(*area.bounds)


def fetch(location: str, io: StacApiIO, parameters: dict[str, str] | None = None) -> Any:
    """The JSON at a file or URL.

    Raises:
        SourceError: it cannot be read or is not JSON.
    """
    if location.startswith(("http://", "https://")):
        with _translated(location):
            return json.loads(io.request(location, parameters=parameters))
    try:
        return json.loads(Path(location).read_text("utf-8"))
    except OSError as error:
        raise SourceError(f"{location} cannot be read: {error.strerror}; check the path") from error
    except ValueError as error:
        raise SourceError(f"{location} is not JSON ({error}); mend it or leave it out") from error


def _items_of(
    documents: list[tuple[str, Any]], io: StacApiIO, problems: list[str], *, follow: bool
) -> Iterator[tuple[dict[str, Any], str]]:
    """The items in these documents and, along links, below them; none twice."""
    seen: set[str] = set()
    while documents:
        location, document = documents.pop(0)
        seen.add(location)
        kind = _kind(document)
        if kind == "Feature":
            yield document, location
        elif kind == "FeatureCollection":
            yield from ((item, location) for item in document["features"])
        elif kind in {"Catalog", "Collection"}:
            links = [absolute(str(link["href"]), location) for link in document.get("links") or [] if _leads_down(link)]
            below = [link for link in dict.fromkeys(links) if link not in seen] if follow else []
            documents[:0] = [(link, _attempt(link, io, problems)) for link in below]
        elif document is not None:
            problems.append(f"{location}: it is no STAC item, item collection or catalogue")


def _leads_down(link: dict[str, Any]) -> bool:
    return link.get("rel") in {"item", "items", "child"} and bool(link.get("href"))


def _attempt(location: str, io: StacApiIO, problems: list[str]) -> Any:
    try:
        return fetch(location, io)
    except SourceError as error:
        problems.append(str(error))
        return None


def _kind(document: Any) -> str | None:
    return document.get("type") if isinstance(document, dict) else None


def _from_resto(feature: dict[str, Any]) -> dict[str, Any]:
    """An entry of the feed as a STAC item: the product's folder is known, the rasters in it are not."""
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


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Errors of the client as one line that names the server and says what to do."""
    from pystac.errors import STACError
    from pystac_client.errors import ClientTypeError
    from pystac_client.exceptions import APIError
    from pystac_client.warnings import PystacClientWarning

    server = urlsplit(url).netloc or url
    try:
        yield
    except APIError as error:
        raise SourceError(f"{server} failed: {_reason(error)}; check the address or try again later") from error
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        STACError,
        ClientTypeError,
        PystacClientWarning,  # raised, not only warned of, by a server that has no search
    ) as error:
        reason = _first_line(error)
        raise SourceError(f"{server} sent something that is no STAC answer ({reason}); check {url}") from error


_REASONS: Final = (
    (re.compile(r"too many (\d+) error", re.IGNORECASE), r"it went on answering HTTP \1"),
    (re.compile(r"timed out", re.IGNORECASE), "it does not answer in time"),
    (re.compile(r"refused", re.IGNORECASE), "it refuses connections"),
    (re.compile(r"name resolution|not known|getaddrinfo|resolve", re.IGNORECASE), "there is no host of that name"),
)


def _reason(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    if status is not None:
        return f"it answered HTTP {status}"
    for pattern, words in _REASONS:
        found = pattern.search(str(error))
        if found:
            return found.expand(words)
    return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
