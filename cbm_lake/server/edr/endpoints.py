"""The endpoints under /edr."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

import orjson
import shapely
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from cbm_lake.errors import InvalidInputError
from cbm_lake.server.cql2 import LONGEST
from cbm_lake.server.edr import documents
from cbm_lake.server.edr.documents import Json
from cbm_lake.server.edr.series import Offered, all_of, named, shape_of
from cbm_lake.server.features import CRS84
from cbm_lake.server.modern import streamed
from cbm_lake.server.security import User

router = APIRouter(prefix="/edr", tags=["OGC API - EDR"])

_CONFORMS: Final = [
    f"http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/{part}"
    for part in ("core", "collections", "json", "geojson", "covjson", "oas30")
]
_COVERAGE: Final = "application/prs.coverage+json"
_KEYS: Final = ("pid", "obstime", "scene")

Names = Annotated[str, Query(alias="parameter-name", max_length=5_000, description="With commas; empty is all.")]


class Asked(NamedTuple):
    """What is wanted of a series."""

    coords: str
    during: str | None
    names: list[str]
    format: str


def asked(
    coords: Annotated[str, Query(max_length=LONGEST, description="WKT in degrees: POINT(3 43.5), POLYGON((…)).")] = "",
    datetime: Annotated[str | None, Query(max_length=200, description="An instant, or two with a slash.")] = None,
    parameter_name: Names = "",
    parameter_names: Annotated[str, Query(max_length=5_000, description="The same, as OWSLib calls it.")] = "",
    f: Annotated[Literal["CoverageJSON", "GeoJSON", "CSV"], Query(description="Format.")] = "CoverageJSON",
    crs: Annotated[str, Query(max_length=200, description="CRS84 only.")] = "",
) -> Asked:
    """The dependency that gives an endpoint what is wanted."""
    if crs not in ("", "CRS84", CRS84):
        raise InvalidInputError(f"crs {crs!r} is not offered here; places are in CRS84")
    names = [name for name in (parameter_name or parameter_names).split(",") if name]
    return Asked(coords, datetime, names, f)


Wanted = Annotated[Asked, Depends(asked)]


@router.get("")
def landing(request: Request, user: User) -> Response:
    """Where everything is."""
    root = _root(request)
    links = [
        *({"rel": rel, "href": f"{root}{path}", "type": "application/json"} for rel, path in _PLACES),
        {"rel": "service-desc", "href": f"{request.base_url}openapi.json", "type": "application/json"},
    ]
    return _json({"title": "cbm-lake", "description": "Series of parcels.", "links": links})


_PLACES: Final = (("self", ""), ("conformance", "/conformance"), ("data", "/collections"))


@router.get("/conformance")
def conformance(user: User) -> Response:
    """Which parts of the standard hold."""
    return _json({"conformsTo": _CONFORMS})


@router.get("/collections")
def collections(request: Request, user: User) -> Response:
    """The series that the account may read, by card and parcel set."""
    root = _root(request)
    described = [documents.collection(root, one) for one in all_of(request, user)]
    links = [{"rel": "self", "href": f"{root}/collections", "type": "application/json"}]
    return _json({"collections": described, "links": links})


@router.get("/collections/{name}")
def collection(request: Request, user: User, name: str) -> Response:
    """One of them."""
    return _json(documents.collection(_root(request), named(request, user, name)))


@router.get("/collections/{name}/position")
def position(request: Request, user: User, name: str, question: Wanted) -> Response:
    """The series of the parcel at a point."""
    one = named(request, user, name)
    return _answered(one, shape_of(question.coords, ("Point",)), question)


@router.get("/collections/{name}/area")
def area(request: Request, user: User, name: str, question: Wanted) -> Response:
    """The series of the parcels that lie within a polygon."""
    one = named(request, user, name)
    return _answered(one, shape_of(question.coords, ("Polygon", "MultiPolygon")), question)


def _answered(one: Offered, location: shapely.Geometry, question: Asked) -> Response:
    offered = one.parameters()
    unknown = [name for name in question.names if name not in offered]
    if unknown:
        raise InvalidInputError(f"there is no parameter {unknown[0][:60]!r}; there are: {', '.join(offered)}")
    names, parcels = question.names or offered, one.at(location)
    rows = one.rows([parcel["pid"] for parcel in parcels], question.during)
    if question.format == "CSV":
        return streamed(rows.select([*_KEYS, *names]), "text/csv")
    if question.format == "GeoJSON":
        return _json(documents.features(parcels, rows, names), "application/geo+json")
    return _json(documents.coverages(one, location, parcels, rows, names), _COVERAGE)


def _root(request: Request) -> str:
    return f"{request.base_url}edr"


def _json(answer: Json, kind: str = "application/json") -> Response:
    return Response(orjson.dumps(answer), media_type=kind)
