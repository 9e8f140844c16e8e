"""Which ground an account may ask about: that of the areas whose parcels it may read, by polygons of bounded work."""

from __future__ import annotations

from typing import Final

import shapely

from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.areas import Area
from cbm_lake.server.accounts import Account
from cbm_lake.server.security import RefusedError, parcel_sets
from cbm_lake.server.state import ServerState

_AROUND: Final = 0.01
"""Degrees by which ground may reach beyond the box round an area's parcels: what lies beside one is looked at, too."""
_MOST_CROSSING: Final = 500
"""Vertices of a polygon that crosses itself: to repair it takes seconds, and of twice as many four times as long."""


def check_shape(ground: Area) -> None:
    """Refuse a polygon whose repair would take too long, or whose system is described by who asks, files included.

    Raises:
        InvalidInputError: it crosses itself, and has many vertices; or its coordinate system has no number.
    """
    if not isinstance(ground.crs, int):
        raise InvalidInputError("the polygon's coordinate system has no EPSG number; transform it to degrees")
    vertices = shapely.get_num_coordinates(ground.shape)
    if vertices > _MOST_CROSSING and not ground.shape.is_valid:
        reason = f"{shapely.is_valid_reason(ground.shape)}; of {vertices} vertices it is not repaired here"
        raise InvalidInputError(f"the polygon is not valid, {reason}")


def area_of(state: ServerState, user: Account, ground: Area) -> str:
    """The area of theirs in whose box the ground lies; "" of who may read all of them, wherever it lies.

    Raises:
        RefusedError: it lies in none.
    """
    if user.admin:
        return ""
    box = shapely.box(*ground.bounds)
    for aoi in sorted({parcels.aoi for parcels in parcel_sets(state, user)}):
        if is_in(state, aoi, box):
            return aoi
    raise RefusedError


def check(state: ServerState, user: Account, aoi: str, ground: Area) -> None:
    """Refuse ground outside of an area's box, unless they may read all areas.

    Raises:
        RefusedError: it lies outside.
    """
    if not user.admin and not is_in(state, aoi, shapely.box(*ground.bounds)):
        raise RefusedError


def is_in(state: ServerState, aoi: str, box: shapely.Geometry) -> bool:
    """Whether a box in degrees lies in that round an area's parcels, or a little beyond."""
    west, south, east, north = state.lake.footprint(aoi).bounds
    return bool(shapely.box(west - _AROUND, south - _AROUND, east + _AROUND, north + _AROUND).covers(box))
