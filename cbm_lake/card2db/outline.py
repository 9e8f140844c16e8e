"""Footprints of STAC items in EPSG:4326, validated against the item's own tile or grid."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import shapely
from pyproj import CRS
from pyproj.exceptions import ProjError
from shapely import affinity
from shapely.geometry import shape

from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.reprojection import reprojected

log = logging.getLogger(__name__)

_COLUMNS: Final = ("STUVWXYZ", "ABCDEFGH", "JKLMNPQR")
"""Letters of the 100 km squares from west to east, by the zone's number modulo 3."""
_ROWS: Final = "ABCDEFGHJKLMNPQRSTUV"
"""Letters from south to north in odd zones; even zones begin five letters later."""
_LATITUDES: Final = "CDEFGHJKLMNPQRSTUVWX"
"""Letters of the latitude bands, of eight degrees each, from 80 degrees south."""
_SQUARE: Final = 100_000
_CYCLE: Final = len(_ROWS) * _SQUARE
"""Metres after which the letters of rows begin again."""
_OVERLAP: Final = 20_000
"""Metres by which tiles may reach beyond their square."""
_NEAR: Final = 0.5
"""Degrees: a footprint further away than that belongs to another place."""
_EPSG = re.compile(r"(?:EPSG(?:/\d+)?[:/]{1,2})?(?P<epsg>\d{4,6})$", re.IGNORECASE)


def utm(tile: str) -> str:
    """EPSG code of the UTM zone of an MGRS tile: 31TEJ is EPSG:32631; latitude bands below N are southern."""
    return f"EPSG:{'326' if tile[2] >= 'N' else '327'}{tile[:2]}"


def epsg_of(code: object) -> int | None:
    """Parse an EPSG code from EPSG:32631, urn:ogc:def:crs:EPSG::32631, "32631" or 32631."""
    text = str(int(code)) if isinstance(code, float) and code.is_integer() else str(code).strip()
    match = _EPSG.search(text)
    return int(match["epsg"]) if match else None


def footprint(
    geometry: Mapping[str, Any] | None,
    name: str,
    tile: str | None,
    crs: str | None,
    places: Iterable[Mapping[str, Any]],
) -> shapely.Geometry:
    """Footprint in EPSG:4326, valid and two-dimensional; swapped axes are corrected.

    Args:
        geometry: GeoJSON, as the item has it.
        name: of the item, for the log.
        tile: of the military grid, such as 31TEJ.
        crs: of the rasters.
        places: where `proj:bbox`, or `proj:transform` and `proj:shape`, may stand: assets and properties.

    Raises:
        InvalidInputError: there is none, it is not in degrees, or it lies elsewhere than the tile or the rasters.
    """
    if not geometry:
        raise InvalidInputError("it has no geometry")
    polygon = shapely.force_2d(shape(geometry))
    turned = shapely.transform(polygon, lambda points: points[:, ::-1])
    if polygon.is_empty or not (_in_degrees(polygon) or _in_degrees(turned)):
        raise InvalidInputError(f"its geometry is empty or not in degrees (bounds {polygon.bounds})")
    truth = of_tile(tile) if tile else _of_rasters(crs, places)
    if truth is not None and not _near(polygon, truth):
        if not _near(turned, truth):
            raise InvalidInputError(
                f"its footprint (bounds {_rounded(polygon)}) lies elsewhere than its "
                f"{'tile ' + tile if tile else 'rasters'} (bounds {_rounded(truth)})"
            )
        log.warning("%s has the axes of its footprint swapped: turned, as its tile or rasters show", name)
        polygon = turned
    if not _in_degrees(polygon):
        raise InvalidInputError(f"its geometry is not in degrees (bounds {polygon.bounds})")
    return polygon if polygon.is_valid else shapely.make_valid(polygon)


def _in_degrees(outline: shapely.Geometry) -> bool:
    west, south, east, north = outline.bounds
    return bool(-360 <= west <= east <= 360 and -90 <= south <= north <= 90)


def of_tile(tile: str) -> shapely.Geometry:
    """Bounding box of an MGRS tile in degrees, including the overlap of Sentinel-2 tiles."""
    zone, band, column, row = int(tile[:2]), tile[2], tile[3], tile[4]
    epsg = int(utm(tile)[5:])
    if column not in _COLUMNS[zone % 3] or row not in _ROWS:
        raise InvalidInputError(f"there is no tile {tile}")
    middle = shapely.Point(6 * zone - 183, -76 + 8 * _LATITUDES.index(band))
    northing = reprojected(middle, 4326, epsg).y
    xmin = (_COLUMNS[zone % 3].index(column) + 1) * _SQUARE
    low = (_ROWS.index(row) - (0 if zone % 2 else 5)) * _SQUARE
    low += round((northing - low) / _CYCLE) * _CYCLE
    square = shapely.box(xmin, low, xmin + _SQUARE, low + _SQUARE).buffer(_OVERLAP, join_style="mitre")
    return shapely.box(*_degrees(square, epsg).bounds)


def _of_rasters(crs: str | None, places: Iterable[Mapping[str, Any]]) -> shapely.Geometry | None:
    """Footprint of the first grid that the item states, in degrees."""
    epsg = epsg_of(crs) if crs else None
    if epsg is None:
        return None
    for source in places:
        box, transform, size = (source.get(name) for name in ("proj:bbox", "proj:transform", "proj:shape"))
        if transform and size and len(transform) >= 6 and len(size) == 2:
            a, _, xmin, _, e, ymax = (float(value) for value in transform[:6])
            box = (xmin, ymax + e * float(size[0]), xmin + a * float(size[1]), ymax)
        if box and len(box) == 4:
            return _projected(shapely.box(*(float(side) for side in box)), epsg)
    return None


def _projected(box: shapely.Geometry, epsg: int) -> shapely.Geometry | None:
    """Reproject a box to degrees; None if invalid, as proj:bbox of EOPF products, which is in degrees already."""
    try:
        if not CRS.from_epsg(epsg).is_geographic and _in_degrees(box):
            return None
        outline = _degrees(box, epsg)
    except ProjError:
        return None
    return outline if _in_degrees(outline) else None


def _degrees(box: shapely.Geometry, epsg: int) -> shapely.Geometry:
    return reprojected(shapely.segmentize(box, max(box.length / 128, 1e-9)), epsg, 4326)


def _near(outline: shapely.Geometry, truth: shapely.Geometry) -> bool:
    """Whether they intersect, on either side of the antimeridian."""
    around = (affinity.translate(outline, degrees) for degrees in (0, 360, -360))
    return any(shapely.distance(moved, truth) < _NEAR for moved in around)


def _rounded(outline: shapely.Geometry) -> str:
    return ", ".join(f"{side:.1f}" for side in outline.bounds)
