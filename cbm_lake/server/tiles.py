"""Map tiles in Web Mercator: renderings of scenes (PNG) and vector tiles of parcels (MVT)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, TypeAlias

import mapbox_vector_tile
import numpy as np
import numpy.typing as npt
import shapely
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.geo.areas import Area
from cbm_lake.parcel import chips
from cbm_lake.server import security
from cbm_lake.server.questions import Ptype
from cbm_lake.server.security import User
from cbm_lake.server.state import State

router = APIRouter(prefix="/v1/tiles", tags=["tiles"])

_HEADERS: Final = {"Cache-Control": "private, no-cache", "Vary": "Authorization"}
"""Each time it is asked whether the tile is still right, and still theirs to see."""
_UNITS: Final = 4096
"""Steps of the coordinates along a side of a vector tile."""
_MARGIN: Final = 64
"""By so many an outline may go over the side, so that its line does not show there."""
_LEAST: Final = 16
"""A parcel of a smaller box, which is one pixel of a screen, is left out."""
_PROPERTIES: Final = ("pid", "crop_name", "crop_code")

Floats: TypeAlias = npt.NDArray[np.float64]
Zoom = Annotated[int, Path(ge=0, le=22)]
Number = Annotated[int, Path(ge=0, le=2**22 - 1)]


@router.get("/{card}/{scene}/{z}/{x}/{y}.png")
def scene_tile(
    request: Request,
    state: State,
    user: User,
    card: str,
    scene: str,
    z: Zoom,
    x: Number,
    y: Number,
    bands: Annotated[str, Query(max_length=50, description="B04_B03_B02, or one.")] = "B04_B03_B02",
) -> Response:
    """A picture (256 pixels) of a scene."""
    lake = state.lake
    names = _bands(card, bands)
    entry = chips.by_id(lake, scene, card)
    missing = [name for name in names if name not in dict(entry.hrefs)]
    if missing:
        raise NotFoundError(f"scene {scene} was catalogued without {', '.join(missing)}; ask for other bands")
    with state.heavy:
        picture = chips.tile(lake, entry, names, z, x, y)
    return _tile(request, picture, "image/png")


@router.get("/parcels/{aoi}/{year}/{z}/{x}/{y}.mvt")
def parcel_tile(
    request: Request,
    state: State,
    user: User,
    aoi: str,
    year: int,
    z: Zoom,
    x: Number,
    y: Number,
    ptype: Ptype = "",
) -> Response:
    """The parcels as a vector tile (layer "parcels"; https://github.com/mapbox/vector-tile-spec), those that are large
    enough to be seen."""
    parcels = security.Declared(state, user, aoi, year, ptype).parcels
    with state.heavy:
        rows = state.source.parcels_of_area(parcels, _area(z, x, y))
        tile = _encoded(rows, z, x, y)
    return _tile(request, tile, "application/vnd.mapbox-vector-tile")


def _tile(request: Request, content: bytes, kind: str) -> Response:
    """A tile with its digest; who has the same one already gets none (304)."""
    headers = {**_HEADERS, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}
    cached = request.headers.get("if-none-match", "")
    if headers["ETag"] in {tag.strip().removeprefix("W/") for tag in cached.split(",")}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def _bands(card: str, text: str) -> list[str]:
    """The bands that are asked for.

    Raises:
        InvalidInputError: the card has none of that name.
    """
    asked = cards.get(card)
    offered = asked.rasters
    names = [cards.band_called(name, asked) for name in text.split("_")]
    for name in names:
        if name not in offered:
            raise InvalidInputError(f"band {name!r} is none of {card}; there are: {', '.join(sorted(set(offered)))}")
    return names


def _area(z: int, x: int, y: int) -> Area:
    """A tile and its margin."""
    side, margin = 2 * chips.HALF_MAP / 2**z, _MARGIN / _UNITS
    west, east = (column * side - chips.HALF_MAP for column in (x - margin, x + 1 + margin))
    south, north = (chips.HALF_MAP - row * side for row in (y + 1 + margin, y - margin))
    return Area(shapely.box(max(west, -chips.HALF_MAP), south, min(east, chips.HALF_MAP), north), 3857)


def _encoded(rows: Sequence[Mapping[str, object]], z: int, x: int, y: int) -> bytes:
    """Parcels, with `shape` in degrees, as a tile."""

    def units(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        column = (lon + 180) / 360
        row = (1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2
        return (column * 2**z - x) * _UNITS, (row * 2**z - y) * _UNITS

    shapes = shapely.transform(np.array([row["shape"] for row in rows], dtype=object), units, interleaved=False)
    west, south, east, north = shapely.bounds(shapes).T
    large = np.maximum(east - west, north - south) >= _LEAST
    shapes = shapely.clip_by_rect(shapes, -_MARGIN, -_MARGIN, _UNITS + _MARGIN, _UNITS + _MARGIN)
    visible = np.flatnonzero(large & ~shapely.is_empty(shapes))
    features = [
        {"geometry": shapes[number], "properties": {name: rows[int(number)][name] or "" for name in _PROPERTIES}}
        for number in visible
    ]
    encoded: bytes = mapbox_vector_tile.encode(
        {"name": "parcels", "features": features}, default_options={"extents": _UNITS, "y_coord_down": True}
    )
    return encoded
