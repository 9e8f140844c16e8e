"""Parcels without a margin inside their boundary (an inner buffer in metres), in any coordinate system."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import shapely
from pyproj import CRS

from cbm_lake.geo.reprojection import Shapes, reprojected

_QUARTER: Final = 16
"""Corners by which a quarter of a circle is drawn, as buffers of single geometries of shapely and geopandas have it."""
_DEGREES: Final = 4326


def shrunk(shapes: Shapes, epsg: int, metres: float) -> Shapes:
    """Polygons without the margin of so many metres inside their boundary and round their holes.

    It is measured in the zone of UTM of `epsg` itself, else in that of the middle of all shapes: degrees are no metres,
    and those of Web Mercator are too short. Invalid polygons are repaired first; parts of a multipolygon each lose
    their margin.

    Args:
        shapes: polygons and multipolygons, array of shape (n,); None where missing.
        epsg: their coordinate system.
        metres: width of the margin; 0 changes nothing.

    Returns:
        Array of the same shape and coordinate system; empty polygons where nothing is left.
    """
    finite = np.isfinite(shapely.bounds(shapes)).all(axis=1)
    if not metres or not finite.any():
        return shapes
    metric = epsg if _is_utm(epsg) else _zone(shapes[finite], epsg)
    moved = np.asarray(reprojected(shapes[finite], epsg, metric))
    broken = ~shapely.is_valid(moved)
    moved[broken] = shapely.make_valid(moved[broken], method="structure", keep_collapsed=False)
    result = shapes.copy()
    result[finite] = reprojected(shapely.buffer(moved, -metres, quad_segs=_QUARTER), metric, epsg)
    return result


@lru_cache(maxsize=64)
def _is_utm(epsg: int) -> bool:
    """Whether a coordinate system is a zone of UTM, in metres."""
    system = CRS.from_epsg(epsg)
    return system.utm_zone is not None and all(axis.unit_conversion_factor == 1 for axis in system.axis_info)


def _zone(shapes: Shapes, epsg: int) -> int:
    """The EPSG code of the zone of UTM (WGS 84) that the middle of shapes is in."""
    west, south, east, north = shapely.total_bounds(shapes)
    middle = shapely.Point((west + east) / 2, (south + north) / 2)
    position = reprojected(middle, epsg, _DEGREES)
    number = min(max(int((position.x + 180) // 6) + 1, 1), 60)
    return (32600 if position.y >= 0 else 32700) + number
