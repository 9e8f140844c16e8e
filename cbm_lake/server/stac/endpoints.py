"""The endpoints under /stac."""

from __future__ import annotations

from typing import Annotated

import orjson
import pyarrow.compute as pc
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.datastructures import URL
from starlette.responses import Response

from cbm_lake import cards
from cbm_lake.lake import queries
from cbm_lake.server import cql2
from cbm_lake.server.accounts import Account
from cbm_lake.server.modern import streamed
from cbm_lake.server.questions import Ptype
from cbm_lake.server.security import Declared, RefusedError, User
from cbm_lake.server.stac import documents
from cbm_lake.server.stac.documents import GEOJSON, JSON, SCHEMA, Json, link
from cbm_lake.server.stac.entries import QUERYABLES, catalogue_of
from cbm_lake.server.stac.search import PARAMETERS, Search, from_address, page_of, with_fields
from cbm_lake.server.state import State, state_of

router = APIRouter(prefix="/stac", tags=["STAC API"])

_BATCH = 10_000
Asked = Annotated[Search, Depends(from_address)]


@router.get("")
def landing(request: Request, user: User) -> Response:
    """The catalogue: scenes, cubes and statistics of parcels."""
    return _json(documents.landing(_root(request), str(request.base_url), catalogue_of(request).entries(user)))


@router.get("/conformance")
def conformance(user: User) -> Response:
    """Which parts of the standards hold."""
    return _json({"conformsTo": documents.CONFORMS})


@router.get("/queryables")
def queryables(request: Request, user: User) -> Response:
    """The properties that a filter may name, as a JSON schema."""
    return _json(cql2.document(f"{_root(request)}/queryables", "cbm-lake", QUERYABLES), SCHEMA)


@router.get("/collections")
def collections(request: Request, user: User) -> Response:
    """Scenes by card, cubes, statistics."""
    root, entries = _root(request), catalogue_of(request).entries(user)
    described = [_collection(request, user, name) for name in documents.names(entries)]
    links = [link("self", f"{root}/collections"), link("root", root)]
    return _json({"collections": described, "links": links})


@router.get("/collections/{name}")
def collection(request: Request, user: User, name: str) -> Response:
    """One of them."""
    return _json(_collection(request, user, name))


@router.get("/collections/{name}/queryables")
def queryables_of(request: Request, user: User, name: str) -> Response:
    """The properties that a filter of a collection may name."""
    described = _collection(request, user, name)
    address = f"{_root(request)}/collections/{name}/queryables"
    return _json(cql2.document(address, described["title"], QUERYABLES), SCHEMA)


@router.get("/collections/{name}/items")
def items(request: Request, user: User, name: str, asked: Asked) -> Response:
    """The items of a collection, page by page; of the parameters as in a search."""
    _collection(request, user, name)
    return _answered(request, user, asked.model_copy(update={"collections": [name]}))


@router.get("/collections/{name}/items/{item}")
def item(request: Request, user: User, name: str, item: str) -> Response:
    """An item."""
    entries = catalogue_of(request).entries(user)
    rows = entries.filter(pc.and_(pc.equal(entries["collection"], name), pc.equal(entries["id"], item)))
    if not rows.num_rows:
        raise RefusedError
    request.state.aoi = rows["aoi"][0].as_py()
    lake = state_of(request).lake
    (document,) = documents.items(_root(request), str(request.base_url), lake, rows.to_pylist())
    return _json(document, GEOJSON)


@router.get("/search")
def search(request: Request, user: User, asked: Asked) -> Response:
    """Items of all collections by box or geometry, time, identifiers and filter (CQL2), in an order."""
    return _answered(request, user, asked)


@router.post("/search")
def search_by_body(request: Request, user: User, asked: Search) -> Response:
    """The same with a body."""
    return _answered(request, user, asked)


@router.get("/statistics/{aoi}/{year}/{card}.parquet")
def statistics(state: State, user: User, aoi: str, year: int, card: str, ptype: Ptype = "") -> Response:
    """All statistics of a parcel set by a card as Parquet, one row per parcel and scene."""
    params = Declared(state, user, aoi, year, ptype).parcels.params
    relation = state.lake.relation(queries.get(f"granted.statistics_{cards.get(card).name}").sql, **params)
    return streamed(relation.to_arrow_reader(_BATCH), "application/vnd.apache.parquet")


def _root(request: Request) -> str:
    return f"{request.base_url}stac"


def _json(answer: Json, kind: str = JSON) -> Response:
    return Response(orjson.dumps(answer), media_type=kind)


def _collection(request: Request, user: Account, name: str) -> Json:
    entries = catalogue_of(request).entries(user)
    rows = entries.filter(pc.equal(entries["collection"], name))
    if not rows.num_rows:
        raise RefusedError
    return documents.collection(_root(request), name, rows)


def _answered(request: Request, user: Account, asked: Search) -> Response:
    root, lake = _root(request), state_of(request).lake
    page = page_of(request, user, catalogue_of(request).entries(user), asked)
    features = documents.items(root, str(request.base_url), lake, page.rows)
    links = [link("self", str(_address(request)), GEOJSON), link("root", root)]
    if page.token is not None:
        links.append(_next(request, asked, page.token))
    counts = {"numberMatched": page.total, "numberReturned": len(features)}
    trimmed = [with_fields(feature, asked.fields) for feature in features]
    return _json({"type": "FeatureCollection", "features": trimmed, **counts, "links": links}, GEOJSON)


def _next(request: Request, asked: BaseModel, token: str) -> Json:
    if request.method == "GET":
        return link("next", str(_address(request).include_query_params(token=token)), GEOJSON, method="GET")
    body = asked.model_copy(update={"token": token}).model_dump(by_alias=True, exclude_none=True, exclude_defaults=True)
    return link("next", str(_address(request)), GEOJSON, method="POST", body=body, merge=False)


def _address(request: Request) -> URL:
    """What was asked, without parameters that are none of a search."""
    searching = request.query_params.keys() & PARAMETERS if request.method == "GET" else set[str]()
    return request.url.remove_query_params([*(request.query_params.keys() - searching)])
