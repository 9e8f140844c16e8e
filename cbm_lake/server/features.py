"""OGC API - Features (https://docs.ogc.org/is/17-069r4/17-069r4.html) over the parcels, and map tiles of scenes."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
import shapely
from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from cbm_lake import chips
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import ParcelSet
from cbm_lake.server import security
from cbm_lake.server.security import User
from cbm_lake.sources import LakeSource

router = APIRouter(prefix="/ogc", tags=["OGC API - Features"])
tiles = APIRouter(prefix="/v1", tags=["lake"])

_CONFORMS: Final = [
    f"http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/{part}" for part in ("core", "oas30", "geojson")
]
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_GEOJSON: Final = "application/geo+json"
_PROPERTIES: Final = ("crop_name", "crop_code", "area_m2")

Bbox = Annotated[str, Query(max_length=200, description="west,south,east,north in degrees.")]
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
def collections(request: Request, user: User) -> Response:
    """The parcel sets that the user may read."""
    sets = [parcels for parcels in _source(request).lake.parcel_sets() if user.may_read(parcels.aoi)]
    root = _root(request)
    found = [_collection(request, parcels) for parcels in sets]
    return _json({"collections": found, "links": [_link(f"{root}/collections", "self", "application/json")]})


@router.get("/collections/{name}")
def collection(request: Request, user: User, name: str) -> Response:
    """A parcel set."""
    return _json(_collection(request, _named(request, user, name)))


@router.get("/collections/{name}/items")
def items(request: Request, user: User, name: str, bbox: Bbox = "", limit: Limit = 10, offset: Offset = 0) -> Response:
    """A page of parcels, by their identifiers, with their outlines in degrees."""
    parcels = _named(request, user, name)
    found, total = _source(request).parcels_of_page(parcels, _box(bbox), offset, limit)
    base = f"{_root(request)}/collections/{name}/items"
    asked = f"bbox={bbox}&" if bbox else ""
    links = [_link(f"{base}?{asked}limit={limit}&offset={offset}", "self", _GEOJSON)]
    if offset + len(found) < total:
        links.append(_link(f"{base}?{asked}limit={limit}&offset={offset + limit}", "next", _GEOJSON))
    page = {"numberMatched": total, "numberReturned": len(found), "links": links}
    return _json({"type": "FeatureCollection", "features": [_feature(row) for row in found], **page}, _GEOJSON)


@router.get("/collections/{name}/items/{pid}")
def item(request: Request, user: User, name: str, pid: str) -> Response:
    """A parcel."""
    row = _source(request).declared_parcel(_named(request, user, name), pid)
    base = f"{_root(request)}/collections/{name}"
    links = [_link(f"{base}/items/{pid}", "self", _GEOJSON), _link(base, "collection", "application/json")]
    return _json({**_feature(row), "links": links}, _GEOJSON)


@tiles.get("/tiles/{card}/{scene}/{z}/{x}/{y}.png")
def tile(
    request: Request, user: User, card: str, scene: str, z: int, x: int, y: int,
    bands: Annotated[str, Query(max_length=50, description="B04_B03_B02, or one.")] = "B04_B03_B02",
) -> Response:  # fmt: skip
    """A map tile (256 pixels, Web Mercator) of a scene."""
    lake = _source(request).lake
    with request.app.state.heavy:
        picture = chips.tile(lake, chips.by_id(lake, scene, card), bands.split("_"), z, x, y)
    return Response(picture, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})


def _source(request: Request) -> LakeSource:
    source: LakeSource = request.app.state.source
    return source


def _root(request: Request) -> str:
    return f"{request.base_url}ogc"


def _json(answer: Any, kind: str = "application/json") -> Response:
    return Response(orjson.dumps(answer), media_type=kind)


def _link(href: str, rel: str, kind: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": kind}


def _id(parcels: ParcelSet) -> str:
    """A parcel set as the name of a collection: parcels_ms_2024, parcels_ms_2024_m."""
    return "_".join(filter(None, ("parcels", parcels.aoi, str(parcels.year), parcels.ptype)))


def _named(request: Request, user: User, name: str) -> ParcelSet:
    for parcels in _source(request).lake.parcel_sets():
        if _id(parcels) == name:
            security.allowed(user, parcels.aoi)
            return parcels
    raise NotFoundError(f"there is no collection {name!r}; /ogc/collections says which there are")


def _collection(request: Request, parcels: ParcelSet) -> dict[str, Any]:
    name = _id(parcels)
    base = f"{_root(request)}/collections/{name}"
    extent = _source(request).lake.footprint(parcels.aoi).bounds
    return {
        "id": name,
        "title": f"Parcels of {parcels.name}",
        "extent": {"spatial": {"bbox": [list(extent)], "crs": _CRS84}},
        "itemType": "feature",
        "crs": [_CRS84],
        "links": [_link(base, "self", "application/json"), _link(f"{base}/items", "items", _GEOJSON)],
    }


def _feature(row: dict[str, Any]) -> dict[str, Any]:
    properties = {"pid": row["pid"], **{name: row[name] for name in _PROPERTIES}}
    shape = orjson.Fragment(shapely.to_geojson(row["shape"]))
    return {"type": "Feature", "id": row["pid"], "geometry": shape, "properties": properties}


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
