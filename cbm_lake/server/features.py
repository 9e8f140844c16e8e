"""OGC API - Features (https://docs.ogc.org/is/17-069r4/17-069r4.html): parcels, FOI results, verdicts as features."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Final, Literal, NamedTuple, TypeAlias
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from cbm_lake.errors import InvalidInputError
from cbm_lake.server import collections as offered
from cbm_lake.server import cql2
from cbm_lake.server.collections import Collection, Feature
from cbm_lake.server.cql2 import LONGEST, Tree
from cbm_lake.server.security import User
from cbm_lake.server.selection import Box, Selection, Selections, Wanted, gone, selections_of
from cbm_lake.server.state import State, state_of

router = APIRouter(prefix="/ogc", tags=["OGC API - Features"])

CQL2_CONFORMS: Final = [
    f"http://www.opengis.net/spec/cql2/1.0/conf/{part}"
    for part in (
        *("cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators", "case-insensitive-comparison"),
        *("accent-insensitive-comparison", "basic-spatial-functions", "basic-spatial-functions-plus"),
        *("spatial-functions", "temporal-functions", "property-property", "arithmetic"),
    )
]
_CONFORMS: Final = [
    *(f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")),
    *(
        f"http://www.opengis.net/spec/ogcapi-features-3/1.0/conf/{part}"
        for part in ("queryables", "filter", "features-filter")
    ),
    *CQL2_CONFORMS,
]
FilterLang: TypeAlias = Literal["cql2-text", "cql2-json"]
CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_OPENAPI: Final = "application/vnd.oai.openapi+json;version=3.1"
_GEOJSON: Final = "application/geo+json"

_SCHEMA: Final = "application/schema+json"
_QUERYABLES: Final = "http://www.opengis.net/def/rel/ogc/1.0/queryables"
_BODY: Final = {"content": {"application/json": {"schema": {"type": "object"}}}, "required": True}

Limit = Annotated[int, Query(ge=1, le=10_000, description="Features of a page at most.")]
Offset = Annotated[int, Query(ge=0, le=100_000_000, description="Features that are passed over.")]


class Page(NamedTuple):
    """Which features of a selection are asked for, and what of them."""

    limit: int
    offset: int
    state: str
    """Of the rows, as the link to a next page names it; "" is as they are now."""
    properties: frozenset[str] | None
    """None is all."""


def paged(
    limit: Limit = 10,
    offset: Offset = 0,
    state: Annotated[str, Query(max_length=16, description="Of the rows, as the link to a next page has it.")] = "",
    properties: Annotated[str, Query(max_length=5_000, description="Those that are wanted, with commas.")] = "",
) -> Page:
    """The dependency that gives an endpoint its page."""
    names = frozenset(filter(None, properties.split(",")))
    return Page(limit, offset, state, names or None)


def boxed(
    bbox: Annotated[str, Query(max_length=200, description="west,south,east,north in degrees.")] = "",
    bbox_crs: Annotated[str, Query(alias="bbox-crs", max_length=200, description="Of bbox: CRS84 only.")] = "",
    crs: Annotated[str, Query(max_length=200, description="Of the outlines: CRS84 only.")] = "",
) -> Box | None:
    """The dependency that gives an endpoint its box."""
    check_crs({"bbox-crs": bbox_crs, "crs": crs})
    return box_of(bbox)


def wish(
    box: Annotated[Box | None, Depends(boxed)],
    filter: Annotated[str, Query(max_length=LONGEST, description="CQL2.")] = "",  # noqa: A002 - the standard's name
    filter_lang: Annotated[FilterLang, Query(alias="filter-lang", description="How filter is written.")] = "cql2-text",
    filter_crs: Annotated[str, Query(alias="filter-crs", max_length=200, description="CRS84 only.")] = "",
    sortby: Annotated[str, Query(max_length=1_000, description="Properties with commas; - before: descending.")] = "",
) -> Wanted:
    """The dependency that gives an endpoint its wish."""
    check_crs({"filter-crs": filter_crs})
    return Wanted(box, tree_of(filter, filter_lang), order_of(sortby))


Paged = Annotated[Page, Depends(paged)]
Wish = Annotated[Wanted, Depends(wish)]


@router.get("")
def landing(request: Request, user: User) -> Response:
    """Where everything is."""
    root = _root(request)
    links = [
        _link(root, "self", "application/json"),
        _link(f"{root}/conformance", "conformance", "application/json"),
        _link(f"{root}/collections", "data", "application/json"),
        _link(f"{request.base_url}openapi.json", "service-desc", _OPENAPI),
    ]
    return _json({"title": "cbm-lake", "links": links})


@router.get("/conformance")
def conformance(user: User) -> Response:
    """Which parts of the standard hold."""
    return _json({"conformsTo": _CONFORMS})


@router.get("/collections")
def collections(request: Request, state: State, user: User) -> Response:
    """The parcel sets, FOI results and verdicts that the user may read."""
    root = _root(request)
    described = [_described(request, one) for one in offered.all_of(state.source, user)]
    return _json({"collections": described, "links": [_link(f"{root}/collections", "self", "application/json")]})


@router.get("/collections/{name}")
def collection(request: Request, user: User, name: str) -> Response:
    """One of them."""
    return _json(_described(request, _named(request, user, name)))


@router.get("/collections/{name}/queryables")
def queryables(request: Request, user: User, name: str) -> Response:
    """The properties that a filter of a collection may name, and their types, as a JSON schema."""
    one = _named(request, user, name)
    address = f"{_root(request)}/collections/{name}/queryables"
    return _json(cql2.document(address, one.title, one.queryables()), _SCHEMA)


@router.get("/collections/{name}/items")
def items(request: Request, user: User, name: str, wish: Wish, page: Paged) -> Response:
    """A page of features with their outlines in degrees, chosen by a box and a filter (CQL2), in an order."""
    return _answered(request, _named(request, user, name), wish, page)


@router.post("/collections/{name}/items", openapi_extra={"requestBody": _BODY})
async def filtered_items(request: Request, user: User, name: str, wish: Wish, page: Paged) -> Response:
    """The same with the filter as the body, CQL2 as JSON."""
    try:
        tree = json.loads(await request.body())
    except ValueError as error:
        raise InvalidInputError(f"the body is no JSON: {error}") from error
    whole = replace(wish, filter=joined(wish.filter, tree))
    return await run_in_threadpool(lambda: _answered(request, _named(request, user, name), whole, page))


@router.get("/collections/{name}/items/{feature}")
def item(request: Request, user: User, name: str, feature: str) -> Response:
    """A feature."""
    content = _named(request, user, name).one(feature)
    base = f"{_root(request)}/collections/{name}"
    links = [_link(f"{base}/items/{feature}", "self", _GEOJSON), _link(base, "collection", "application/json")]
    return _json({**content, "links": links}, _GEOJSON)


def _answered(request: Request, one: Collection, wish: Wanted, page: Page) -> Response:
    selection = _selected(selections_of(request), one, wish, page)
    if page.properties is not None and (unknown := page.properties - {*(named := one.queryables())}):
        raise InvalidInputError(f"there is no property {min(unknown)[:60]!r}; there are: {', '.join(named)}")
    features = [_with(feature, page.properties) for feature in one.features(selection, page.offset, page.limit)]
    links = [_link(str(request.url), "self", _GEOJSON)]
    if page.offset + len(features) < selection.total and features:
        links.append(_link(_next(request, one, wish, page, selection), "next", _GEOJSON))
    counts = {"numberMatched": selection.total, "numberReturned": len(features), "links": links}
    return _json({"type": "FeatureCollection", "features": features, **counts}, _GEOJSON)


def _selected(selections: Selections, one: Collection, wish: Wanted, page: Page) -> Selection:
    """The selection that a page is of; one that is not kept is made again, of the same rows or not at all."""
    selection = selections.get(one.id, wish, page.state)
    if selection is None:
        selection = one.select(wish)
        if page.state not in ("", selection.state):
            selection = one.former(wish, page.state)
            if selection is None:
                raise gone()
    if page.offset + page.limit < selection.total:
        selections.keep(one.id, wish, selection)
    return selection


def _next(request: Request, one: Collection, wish: Wanted, page: Page, selection: Selection) -> str:
    asked = dict(request.query_params)
    if wish.filter is not None and request.method == "POST":
        asked |= {"filter": orjson.dumps(wish.filter).decode(), "filter-lang": "cql2-json"}
    asked |= {"limit": str(page.limit), "offset": str(page.offset + page.limit), "state": selection.state}
    return f"{_root(request)}/collections/{one.id}/items?{urlencode(asked)}"


def _with(feature: Feature, names: frozenset[str] | None) -> Feature:
    properties = feature["properties"]
    if names is None or not isinstance(properties, dict):
        return feature
    return {**feature, "properties": {name: value for name, value in properties.items() if name in names}}


def tree_of(text: str, language: str) -> Tree:
    """A filter as it stands in an address; None is none.

    Raises:
        InvalidInputError: it cannot be read.
    """
    if not text:
        return None
    if language == "cql2-text":
        return cql2.parse(text)
    try:
        tree: Tree = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(
            f"the filter is no JSON: {error}; say filter-lang=cql2-text where it is text"
        ) from error
    return tree


def joined(first: Tree, second: Tree) -> Tree:
    """Both filters, of which None is none."""
    trees = [tree for tree in (first, second) if tree is not None]
    return {"op": "and", "args": trees} if len(trees) > 1 else next(iter(trees), None)


def order_of(text: str) -> tuple[tuple[str, bool], ...]:
    """What features are sorted by: properties with commas, of which - makes one descending."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return tuple((name.lstrip("+- "), name.startswith("-")) for name in names)


def check_crs(stated: dict[str, str]) -> None:
    """Refuse coordinate systems other than CRS84; "" is that."""
    for parameter, crs in stated.items():
        if crs not in ("", CRS84):
            raise HTTPException(400, f"{parameter} {crs!r} is not offered here; boxes and outlines are in {CRS84}")


def _root(request: Request) -> str:
    return f"{request.base_url}ogc"


def _json(answer: object, kind: str = "application/json") -> Response:
    return Response(orjson.dumps(answer, default=str), media_type=kind)


def _link(href: str, rel: str, kind: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": kind}


def _named(request: Request, user: User, name: str) -> Collection:
    collection = offered.named(state_of(request).source, user, name)
    request.state.aoi = collection.aoi or None
    return collection


def _described(request: Request, one: Collection) -> dict[str, object]:
    base = f"{_root(request)}/collections/{one.id}"
    return {
        "id": one.id,
        "title": one.title,
        "extent": {"spatial": {"bbox": [list(one.bounds())], "crs": CRS84}},
        "itemType": "feature",
        "crs": [CRS84],
        "links": [
            _link(base, "self", "application/json"),
            _link(f"{base}/items", "items", _GEOJSON),
            _link(f"{base}/queryables", _QUERYABLES, _SCHEMA),
        ],
    }


def box_of(text: str) -> Box | None:
    """A box in degrees as it stands in an address; None is none.

    Raises:
        InvalidInputError: it is none.
    """
    if not text:
        return None
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError as error:
        raise InvalidInputError(f"bbox {text!r} is none; write west,south,east,north") from error
    if len(numbers) == 6:  # with heights, which do not matter
        numbers = [*numbers[:2], *numbers[3:5]]
    inside = len(numbers) == 4 and abs(numbers[0]) <= 180 and abs(numbers[2]) <= 180
    if not inside or not (-90 <= numbers[1] <= numbers[3] <= 90 and numbers[0] <= numbers[2]):
        raise InvalidInputError(f"bbox {text!r} is none; write west,south,east,north in degrees, west first")
    return numbers[0], numbers[1], numbers[2], numbers[3]
