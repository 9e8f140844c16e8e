"""Searches STAC APIs.

pystac-client is not used: it follows a `next` that goes in circles for ever, ends at an empty page that has a `next`,
says nothing when less comes than was announced, and follows links to whichever host they name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

import shapely

from cbm_lake import cards
from cbm_lake.card2db.paging import Page, Pages, linked, next_link, number
from cbm_lake.card2db.web import Answer, HttpError, Request, Web, host, words
from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files.validation import nearest
from cbm_lake.storage.credentials import without_secrets

_LIMIT: Final = 100
"""Items asked for in a page; a server that refuses it is asked without."""
_LONGEST: Final = 1500
"""Characters of a geometry that still fit into the address of a request."""
_LIMIT_REFUSED: Final = frozenset({400, 413, 422, 502})
_NO_SEARCH_THERE: Final = frozenset({404, 405, 501})


@dataclass(frozen=True)
class Provider:
    """A STAC API, with the collections that can be extracted."""

    url: str
    collections: MappingProxyType[str, str]
    """Card to collection; a card that is not named is not to be had there."""


_URLS: Final = {
    "earth-search": "https://earth-search.aws.element84.com/v1",
    "cdse": "https://stac.dataspace.copernicus.eu/v1",
    "planetary-computer": "https://planetarycomputer.microsoft.com/api/stac/v1",
    "terrascope": "https://stac.terrascope.be",
}
PROVIDERS: Final = MappingProxyType(
    {
        name: Provider(
            url,
            MappingProxyType(
                {card.name: card.collections[name] for card in cards.CARDS.values() if name in card.collections}
            ),
        )
        for name, url in _URLS.items()
    }
)
"""STAC APIs by short name. Sentinel-1 GRD, which several have, is in radar geometry: it cannot be extracted."""


def api(url: str, card: str, collection: str | None) -> tuple[str, str | None]:
    """Resolve a STAC API by short name or URL; the collection defaults to the provider's usual one.

    Raises:
        InvalidInputError: `url` is neither, or the provider has nothing of the card.
    """
    named = {provider.url: name for name, provider in PROVIDERS.items()}
    name = url if url in PROVIDERS else named.get(url.rstrip("/"))
    if name is None:
        if not url.startswith(("http://", "https://")):
            label = without_secrets(url)
            raise InvalidInputError(
                f"{label!r} is no STAC API; give its URL or one of {', '.join(PROVIDERS)} (for files use card2db items)"
            )
        return url, collection
    provider = PROVIDERS[name]
    if collection is None and card not in provider.collections:
        raise InvalidInputError(_elsewhere(name, card))
    return provider.url, collection or provider.collections[card]


def _elsewhere(name: str, card: str) -> str:
    """Providers that have a card which this one lacks."""
    others = [other for other, provider in PROVIDERS.items() if card in provider.collections]
    where = f"{' and '.join(others)} has it" if others else "no provider that is built in has it: catalogue files"
    return f"{name} has no usual collection for card {card} that can be extracted; {where}, or name a collection"


@dataclass(frozen=True)
class Query:
    """Parameters of a search."""

    collection: str | None
    """None for all."""
    dates: str | None
    """The interval as STAC writes it; None for all times."""
    geometry: shapely.Geometry
    """The area, in degrees."""

    def request(self, method: str, url: str, limit: int) -> Request:
        """The request for the first page; a limit of 0 leaves the page size to the server."""
        area = self.geometry if method == "POST" else short(self.geometry)
        asked = {
            "collections": [self.collection] if self.collection else None,
            "datetime": self.dates,
            "intersects": shapely.geometry.mapping(area),
            "limit": limit,
        }
        body = {name: value for name, value in asked.items() if value}
        if method == "POST":
            return Request(url, method, body)
        texts = {**body, "intersects": json.dumps(body["intersects"], separators=(",", ":"))}
        if self.collection:
            texts["collections"] = self.collection
        return Request(f"{url}{'&' if '?' in url else '?'}{urlencode(texts)}")


class Search(Pages):
    """Search results of a STAC API for a collection, period and area."""

    def __init__(self, url: str, web: Web, query: Query) -> None:
        """Ask for the first page.

        Raises:
            SourceError: the server failed or is no STAC API.
            InvalidInputError: it has no such collection.
        """
        self._api, self._collection = web, query.collection
        self._root, endpoints, stated = _opened(url, web)
        try:
            original, limit, first = _first_page(web, endpoints, query)
        except HttpError as error:
            if error.status in {400, 404, 422}:
                self._check_collection()
            if error.status == 404 and not stated:
                raise SourceError(f"{error}, or use card2db items for a catalogue without a search") from error
            if error.status == 404 and self._collection:
                raise SourceError(f"{error} and the collection {self._collection}") from error
            raise
        super().__init__(web, first, reader(original, limit))

    def __iter__(self) -> Iterator[list[Any]]:
        """The new items of each page.

        Raises:
            SourceError: the server failed, or its pages go in circles.
            InvalidInputError: nothing was found, and there is no such collection.
        """
        yield from super().__iter__()
        if not self.received and not self._check_collection():
            self.missing.append(
                f"{host(self._root)} has nothing of collection {self._collection} there and then, and does not list "
                "its collections; check the name"
            )

    def _check_collection(self) -> bool:
        """Check whether the requested collection exists."""
        if not self._collection:
            return True
        try:
            pages = Pages(self._api, Request(f"{self._root}/collections"), _read_collections)
            names = sorted(str(entry["id"]) for page in pages for entry in page)
        except SourceError:
            return False  # not every API lists its collections
        if names and self._collection not in names:
            like = {name.lower(): name for name in names}
            near = nearest(self._collection.lower(), like)
            meant = f"did you mean {like[near]}? " if near else ""
            raise InvalidInputError(
                f"{host(self._root)} has no collection {self._collection}; {meant}it has {some(names, 20)}"
            )
        return bool(names)


def reader(original: Request, limit: int = 0) -> Callable[[Answer], Page]:
    """What makes pages of the answers to a search.

    Args:
        original: the request for the first page, whose body is merged if a `next` link says so.
        limit: how many items a page may hold; 0 when that is not known.
    """

    def read(answer: Answer) -> Page:
        document, server = answer.document, host(answer.url)
        about = document if isinstance(document, dict) else {}
        context = about["context"] if isinstance(about.get("context"), dict) else {}
        features = about.get("features")
        if features is None and "features" in about and about.get("numberMatched") == 0:
            features = []  # how Go writes an empty list
        if not isinstance(features, list):
            raise SourceError(_no_items(document, answer.url))
        returned = number(about.get("numberReturned") or context.get("returned"))
        return Page(
            features,
            matched=number(about.get("numberMatched") or context.get("matched")),
            following=lambda: _following(next_link(about.get("links"), server), answer.url, original),
            lacking=max(0, returned - len(features)),
            full=len(features) == (number(context.get("limit")) or limit),
        )

    return read


def short(area: shapely.Geometry) -> shapely.Geometry:
    """The area, or its bounding box if the area would not fit into a URL."""
    return area if len(area.wkt) < _LONGEST else shapely.box(*area.bounds)


def _opened(url: str, web: Web) -> tuple[str, list[tuple[str, str]], bool]:
    """Root document of an API; candidate search endpoints, best first; whether a search link is stated."""
    address, mark, query = url.partition("?")
    landing = web.ask(Request(address.rstrip("/").removesuffix("/search") + mark + query))
    document = landing.document
    if not isinstance(document, dict) or not document.keys() & {"links", "conformsTo", "stac_version"}:
        raise SourceError(f"{host(url)} sent something that is no STAC answer; check {without_secrets(url)}")
    root = landing.url.partition("?")[0].rstrip("/")
    links = document.get("links") if isinstance(document.get("links"), list) else []
    stated = {
        str(link.get("method") or "GET").upper(): str(link["href"]).partition("{")[0]
        for link in links or []
        if isinstance(link, dict) and link.get("rel") == "search" and link.get("href")
        if "json" in str(link.get("type") or "json")  # OpenSearch has links of this name too
    }
    endpoints: list[tuple[str, str]] = []
    for method in sorted(stated.keys() & {"GET", "POST"}, reverse=True):
        near = linked(stated[method], landing.url)
        named = urljoin(landing.url, stated[method])
        if urlsplit(named).netloc == urlsplit(root).netloc.rpartition("@")[2]:
            endpoints.append((method, near))
        else:  # often a name of inside, and then the search is where STAC wants it
            endpoints += [(method, f"{root}/search"), (method, named)]
    if "GET" not in stated:
        endpoints.append(("GET", endpoints[0][1] if endpoints else f"{root}/search"))
    return root, endpoints, bool(stated)


def _first_page(web: Web, endpoints: list[tuple[str, str]], query: Query) -> tuple[Request, int, Answer]:
    """Request, page limit and response of the first endpoint that exists."""
    first: HttpError | None = None
    for method, url in endpoints:
        for limit in (_LIMIT, 0):
            request = query.request(method, url, limit)
            try:
                return request, limit, web.ask(request)
            except HttpError as error:
                if not (limit and error.status in _LIMIT_REFUSED):
                    first = first or error
                    break
            except SourceError as error:
                raise first or error from error
        if first and first.status not in _NO_SEARCH_THERE:
            break
    raise first or AssertionError


def _following(link: dict[str, Any] | None, asked: str, original: Request) -> Request | None:
    """Request of a `next` link."""
    if link is None:
        return None
    url, method = linked(link["href"], asked), str(link.get("method") or "GET").upper()
    headers = link.get("headers") if isinstance(link.get("headers"), dict) else {}
    texts = {str(name): str(value) for name, value in (headers or {}).items()}
    if method == "POST":
        body = link.get("body") if isinstance(link.get("body"), dict) else {}
        merged = {**(original.body or {}), **(body or {})} if link.get("merge") else body
        return Request(url, method, merged or {}, texts)
    if urlsplit(url).path == urlsplit(original.url).path and not urlsplit(url).query:
        server = host(asked)
        raise SourceError(
            f"{server} loses the search on its way to the next page; search shorter times or smaller areas"
        )
    return Request(url, headers=texts)


def _no_items(document: Any, url: str) -> str:
    """Error for a response without items."""
    server, stated = host(url), words(document, url)
    if (
        stated
        and isinstance(document, dict)
        and document.get("type") not in {"FeatureCollection", "Catalog", "Feature"}
    ):
        return f"{server} sent an error instead of items: {stated}; try again later or search shorter times"
    return f"{server} sent something that is no STAC answer (it has no list of features); check {without_secrets(url)}"


def _read_collections(answer: Answer) -> Page:
    entries = answer.document.get("collections") if isinstance(answer.document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and entry.get("id") for entry in entries):
        raise SourceError(f"{host(answer.url)} does not list its collections")
    links = answer.document.get("links")
    return Page(entries, following=lambda: _following(next_link(links, host(answer.url)), answer.url, Request("")))
