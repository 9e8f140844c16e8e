"""OGC API - Features (https://docs.ogc.org/is/17-069r4/17-069r4.html): parcels, FOI results, verdicts as features."""

from __future__ import annotations

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from cbm_lake.errors import InvalidInputError
from cbm_lake.server import collections as offered
from cbm_lake.server.collections import Collection
from cbm_lake.server.security import User
from cbm_lake.server.state import State, state_of

router = APIRouter(prefix="/ogc", tags=["OGC API - Features"])

_CONFORMS: Final = [
    f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")
]
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_GEOJSON: Final = "application/geo+json"

Bbox = Annotated[str, Query(max_length=200, description="west,south,east,north in degrees.")]
BboxCrs = Annotated[str, Query(alias="bbox-crs", max_length=200, description="Of bbox: CRS84 only.")]
OutlineCrs = Annotated[str, Query(max_length=200, description="Of the outlines: CRS84 only.")]
Limit = Annotated[int, Query(ge=1, le=10_000, description="Features of a page at most.")]
Offset = Annotated[int, Query(ge=0, le=100_000_000, description="Features that are passed over.")]


@router.get("")
def landing(request: Request, user: User) -> Response:
    """Where everything is."""
    root = _root(request)
    links = [
        _link(root, "self", "application/json"),
        _link(f"{root}/conformance", "conformance", "application/json"),
        _link(f"{root}/collections", "data", "application/json"),
        _link(f"{request.base_url}openapi.json", "service-desc", "application/vnd.oai.openapi+json;version=3.1"),
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


@router.get("/collections/{name}/items")
def items(
    request: Request,
    user: User,
    name: str,
    bbox: Bbox = "",
    limit: Limit = 10,
    offset: Offset = 0,
    bbox_crs: BboxCrs = "",
    crs: OutlineCrs = "",
) -> Response:
    """A page of features with their outlines in degrees."""
    for stated, parameter in ((bbox_crs, "bbox-crs"), (crs, "crs")):
        if stated not in ("", _CRS84):
            raise HTTPException(400, f"{parameter} {stated!r} is not offered here; boxes and outlines are in {_CRS84}")
    features, total = _named(request, user, name).page(_box(bbox), offset, limit)
    base = f"{_root(request)}/collections/{name}/items"
    asked = f"bbox={bbox}&" if bbox else ""
    links = [_link(f"{base}?{asked}limit={limit}&offset={offset}", "self", _GEOJSON)]
    if offset + len(features) < total:
        links.append(_link(f"{base}?{asked}limit={limit}&offset={offset + limit}", "next", _GEOJSON))
    page = {"numberMatched": total, "numberReturned": len(features), "links": links}
    return _json({"type": "FeatureCollection", "features": features, **page}, _GEOJSON)


@router.get("/collections/{name}/items/{feature}")
def item(request: Request, user: User, name: str, feature: str) -> Response:
    """A feature."""
    content = _named(request, user, name).one(feature)
    base = f"{_root(request)}/collections/{name}"
    links = [_link(f"{base}/items/{feature}", "self", _GEOJSON), _link(base, "collection", "application/json")]
    return _json({**content, "links": links}, _GEOJSON)


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
        "extent": {"spatial": {"bbox": [list(one.bounds())], "crs": _CRS84}},
        "itemType": "feature",
        "crs": [_CRS84],
        "links": [_link(base, "self", "application/json"), _link(f"{base}/items", "items", _GEOJSON)],
    }


def _box(text: str) -> tuple[float, float, float, float] | None:
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
        raise HTTPException(400, f"bbox {text!r} is none; write west,south,east,north in degrees, west first")
    return numbers[0], numbers[1], numbers[2], numbers[3]
