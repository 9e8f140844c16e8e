"""Parses polygons from shapely, geopandas, GeoJSON or the original library's text format."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import geopandas as gpd
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError

from cbm_lake.errors import InvalidInputError
from cbm_lake.files.documents import load_json
from cbm_lake.geo.areas import DEGREES, Area

_BETWEEN_POINTS: Final = re.compile(r"(?<=[\d.])-|\s+-\s+|\s*,\s*")
"""Separator of points: a hyphen after a number is not a minus sign."""


def read(value: Any, *, crossing: bool = False) -> Area:
    """Parse a polygon into an area.

    Args:
        crossing: whether it may cross itself.
        value: a shapely geometry, a GeoSeries or GeoDataFrame, GeoJSON, or lon_lat-lon_lat-… (a closed ring). It is in
            degrees, unless the GeoSeries, the SRID of the geometry or the member "crs" of the GeoJSON says another
            coordinate system.

    Raises:
        InvalidInputError: it is no valid polygon, or in no known coordinate system.
    """
    try:
        shape, crs = _shape(value)
    except (ValueError, TypeError, KeyError, shapely.GEOSException) as error:
        raise InvalidInputError(
            f"this is no polygon: {error}; write lon_lat-lon_lat-…, first and last point equal"
        ) from error
    usable = shape is not None and shape.geom_type in ("Polygon", "MultiPolygon") and not shape.is_empty
    if shape is None or not usable or not (crossing or shape.is_valid):
        raise InvalidInputError(
            "this is no polygon, or it is empty, not closed or crosses itself; first and last point must be equal"
        )
    west, south, east, north = shape.bounds
    if crs == DEGREES and not (west >= -360 and east <= 360 and -360 <= south <= 90 and -90 <= north <= 360):
        raise InvalidInputError(
            f"the polygon is not in degrees, longitude first: it reaches from {west:g}, {south:g} to {east:g}, "
            f"{north:g}; transform it to EPSG:4326, or give it as a GeoSeries with its coordinate system"
        )
    return Area(shape, crs)


def _shape(value: Any) -> tuple[shapely.Geometry | None, Any]:
    """Geometry with its coordinate system as EPSG code or CRS."""
    if isinstance(value, gpd.GeoSeries | gpd.GeoDataFrame):
        return value.union_all(), _system(value.crs)
    if isinstance(value, shapely.Geometry):
        return value, int(shapely.get_srid(value)) or DEGREES
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return _ring(_BETWEEN_POINTS.split(value)), DEGREES
    document = load_json(value) if isinstance(value, str) else value
    name = document["crs"]["properties"]["name"] if isinstance(document, Mapping) and document.get("crs") else None
    return shapely.from_geojson(json.dumps(document)), _system(name)


def _system(crs: Any) -> Any:
    """EPSG code of a coordinate system, if it has one."""
    try:
        system = CRS.from_user_input(DEGREES if crs is None else crs)
    except CRSError as error:
        raise InvalidInputError(f"the polygon is in {crs!r}, which is no coordinate system") from error
    if not (system.is_geographic or system.is_projected):  # of heights, or from the centre of the earth
        raise InvalidInputError(f"the polygon is in {system.name!r}, which is no coordinate system of the ground")
    if system.equals(CRS.from_epsg(DEGREES), ignore_axis_order=True):
        return DEGREES
    return system.to_epsg() or system


def _ring(points: Iterable[str]) -> shapely.Geometry | None:
    numbers = [[float(number) for number in point.replace("_", " ").split()] for point in points]
    return shapely.Polygon(numbers) if numbers[0] == numbers[-1] else None
