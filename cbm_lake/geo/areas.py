"""Spatial filters: intersects an area with geometries in another coordinate system.

What is straight in one system is curved in another. The decision is therefore taken in the system of the area: the
geometries are transformed to it vertex by vertex, as `geopandas.GeoDataFrame.to_crs` does, and the area stays what it
is. Boxes that choose candidates are larger than they need to be, never smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from cbm_lake.geo.reprojection import CrsLike, Shapes, reprojected, transformer

Bounds: TypeAlias = tuple[float, float, float, float]
"""West, south, east, north."""
Floats: TypeAlias = npt.NDArray[np.float64]

DEGREES: Final = 4326
WORLD: Final[Bounds] = (-180.0, -90.0, 180.0, 90.0)
METRES_PER_DEGREE: Final = 100_000.0
"""Less than the 110,574 m of a degree of latitude at the equator: room for the scale of a projection."""
_INVERSE: Final = {"contains": "within", "within": "contains"}
"""Predicates that are others the other way round, so that the prepared area comes first."""
_ROBUST: Final = ("intersects", "disjoint", "dwithin")
"""Predicates that are worked out of invalid geometries too."""
_SAGITTA: Final = 0.01
"""Degrees by which the edges of a scene may bend: of a tile of 110 km, at 70 degrees north, 650 m."""
_PIECES: Final = 256
"""Segments per edge when densifying a box or polygon: an arc of 50 km then errs by a metre."""


@dataclass(frozen=True, eq=False)
class Area:
    """A polygon or point with its coordinate system (EPSG code, or any input of pyproj)."""

    shape: shapely.Geometry
    crs: CrsLike = DEGREES
    tolerance: float = 0.0
    """What is so near, in units of the system, meets it too; up to 1e-6 degrees."""

    @property
    def bounds(self) -> Bounds:
        """Bounding box of the area in degrees; may be larger, never smaller."""
        return bounds_in(self.shape, self.crs, DEGREES)

    def meets(self, shapes: Shapes, crs: CrsLike) -> npt.NDArray[np.bool_]:
        """Which geometries intersect the area, tested in the area's coordinate system.

        Args:
            shapes: array of n shapely geometries; those that are missing, or have no image there, meet nothing.
            crs: their coordinate system.
        """
        return self.related("dwithin" if self.tolerance else "intersects", shapes, crs)

    def related(self, relation: str, shapes: Shapes, crs: CrsLike) -> npt.NDArray[np.bool_]:
        """Which geometries have a relation to the area, tested in the area's coordinate system.

        Args:
            relation: a predicate of shapely, of each geometry and the area: contains, crosses, disjoint, equals,
                intersects, overlaps, touches, within; or dwithin, by the tolerance.
            shapes: array of n shapely geometries; those that are missing, or have no image there, have none, also
                not disjoint.
            crs: their coordinate system.
        """
        shapes = np.asarray(shapes, dtype=object)
        near = np.flatnonzero(overlap(_loose_bounds(shapes, crs), self.bounds))
        moved = reprojected(shapes[near], crs, self.crs)
        finite = np.isfinite(shapely.bounds(moved)).all(axis=1)
        mask = np.full(len(shapes), relation == "disjoint")
        mask[shapely.is_missing(shapes) | shapely.is_empty(shapes)] = False
        mask[near[~finite]] = False
        near, moved = near[finite], moved[finite]
        if relation not in _ROBUST:
            moved = np.where(shapely.is_valid(moved), moved, shapely.make_valid(moved))
        shapely.prepare(self.shape)
        inverse, others = _INVERSE.get(relation, relation), () if relation != "dwithin" else (self.tolerance,)
        mask[near] = getattr(shapely, inverse)(self.shape, moved, *others)
        return mask


def is_seen(ground: shapely.Geometry, footprint: bytes | None) -> bool:
    """Whether a scene can observe any of the ground.

    Args:
        ground: in degrees.
        footprint: of the scene, in degrees, as WKB. Between its corners the edge of a raster bends away from it by up
            to half a kilometre, and that is allowed for.
    """
    area = None if footprint is None else shapely.from_wkb(footprint)
    return bool(shapely.dwithin(area, ground, _SAGITTA))


def bounds_in(shape: shapely.Geometry, source: CrsLike, target: CrsLike) -> Bounds:
    """Bounding box of a geometry in another coordinate system, with densified edges.

    In degrees it is the whole range of longitudes where the geometry crosses the antimeridian or holds a pole, and the
    whole world where a part of the geometry has no place on earth.
    """
    if source == target:
        return _as_bounds(np.array(shape.bounds))
    dense = shapely.segmentize(shape, max(_longest_edge(shape) / _PIECES, 1e-9))
    moved = shapely.get_coordinates(reprojected(dense, source, target))
    box = np.concatenate([moved.min(axis=0), moved.max(axis=0)])
    if target != DEGREES:
        return _as_bounds(box)
    if not np.isfinite(box).all():
        return WORLD
    return _as_bounds(_round_poles(box, moved, shape, source))


def _round_poles(box: Floats, moved: Floats, shape: shapely.Geometry, source: CrsLike) -> Floats:
    """Widen a box in degrees if the geometry crosses the antimeridian or contains a pole."""
    if box[2] - box[0] > 180 and (np.abs(np.diff(moved[:, 0])) > 180).any():
        box[[0, 2]] = WORLD[0], WORLD[2]
    if shape.area:
        for latitude, side in ((-90.0, 1), (90.0, 3)):
            pole = transformer(DEGREES, source).transform(0.0, latitude)
            if np.isfinite(pole).all() and shapely.intersects_xy(shape, *pole):
                box[side], box[0], box[2] = latitude, WORLD[0], WORLD[2]
    return box


def loose_bounds(lon: Floats, lat: Floats, width: Floats, height: Floats, metres: float) -> Floats:
    """Boxes in degrees (n, 4) that contain anything of that size wherever it lies around a point.

    Args:
        lon: degrees east of n points.
        lat: degrees north.
        width: width of the object at each point, in the units of its own system.
        height: the same, across.
        metres: the length of such a unit; see `metres_per_unit`.
    """
    north_south = (width + height) * (metres / METRES_PER_DEGREE) + 1e-6
    with np.errstate(invalid="ignore"):
        east_west = north_south / np.cos(np.radians(np.minimum(np.abs(lat) + north_south, 89.9)))
        boxes = np.column_stack([lon - east_west, lat - north_south, lon + east_west, lat + north_south])
    boxes[~((np.abs(lon) <= 180) & (np.abs(lat) <= 90))] = WORLD  # the point has no place on earth, but others may
    return boxes


@lru_cache(maxsize=64)
def metres_per_unit(crs: CrsLike) -> float:
    """Metres per unit of a coordinate system; for angular units along a meridian."""
    axis = CRS.from_user_input(crs).axis_info[0]
    factor = float(axis.unit_conversion_factor) or 1.0
    return factor * 6_371_000 if CRS.from_user_input(crs).is_geographic else factor


def _loose_bounds(shapes: Shapes, crs: CrsLike) -> Floats:
    """Conservative boxes in degrees, from the centre of each geometry's box for speed."""
    west, south, east, north = shapely.bounds(shapes).T
    lon, lat = transformer(crs, DEGREES).transform((west + east) / 2, (south + north) / 2)
    return loose_bounds(np.asarray(lon), np.asarray(lat), east - west, north - south, metres_per_unit(crs))


def overlap(boxes: Floats, bounds: Bounds) -> npt.NDArray[np.bool_]:
    """Which of n boxes (n, 4) intersect a box."""
    west, south, east, north = boxes.T
    mask: npt.NDArray[np.bool_] = (
        (west <= bounds[2]) & (east >= bounds[0]) & (south <= bounds[3]) & (north >= bounds[1])
    )
    return mask


def _longest_edge(shape: shapely.Geometry) -> float:
    xy, part = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shape)), return_index=True)
    steps = np.hypot(*np.diff(xy, axis=0).T)[np.diff(part) == 0]
    return float(steps.max()) if len(steps) else 0.0


def _as_bounds(box: Floats) -> Bounds:
    west, south, east, north = (float(side) for side in box)
    return west, south, east, north
