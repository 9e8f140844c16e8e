"""Polygons that no parcel set has, such as somebody drew: prepared as parcels are when they are loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from cbm_lake.errors import InvalidInputError, quoted
from cbm_lake.geo.areas import Area
from cbm_lake.geo.reprojection import Shapes, reprojected
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.geometry import EQUAL_AREA, OUTSIDE, POLYGONAL, own_epsg, repair

MOST_VERTICES: Final = 100_000
"""Of all polygons of a request."""
_FARTHEST: Final = 1e9


@dataclass(frozen=True)
class DrawnSet(ParcelSet):
    """Polygons in the place of a parcel set: a job has their statistics without anything in the lake."""

    outlines: tuple[bytes, ...] = ()
    """WKB, valid, in two dimensions."""
    ids: tuple[str, ...] = ()
    epsg: int = EQUAL_AREA
    spacing: tuple[int, ...] = ()
    """Where they stand repeatedly in a stack of scenes: how many, and what says how these lie; else nothing."""

    @property
    def repeats(self) -> int:
        """How often they stand in a job's rasters, one below the other."""
        return self.spacing[0] if self.spacing else 1

    @property
    def identifiers(self) -> pa.ChunkedArray:
        """The identifiers, and in a stack before each the number of the scene: 0003 parcel."""
        if not self.spacing:
            return pa.chunked_array([pa.array(self.ids, pa.string())])
        return pa.chunked_array([[f"{number:04d} {pid}" for number in range(self.repeats) for pid in self.ids]])

    @property
    def shapes(self) -> Shapes:
        """The geometries, once."""
        return np.asarray(shapely.from_wkb(np.array(self.outlines, object)), object)

    @property
    def ground(self) -> shapely.Geometry:
        """The box round all of them in degrees."""
        return shapely.box(*Area(shapely.box(*shapely.total_bounds(self.shapes)), self.epsg).bounds)


def drawn(lake: Lake, polygons: Mapping[str, Area], aoi: str = "", year: int = 0, ptype: str = "") -> DrawnSet:
    """Polygons as they would be stored if they were loaded as parcels of an area.

    They are reprojected to the coordinate system of the area's parcels; without such to their own where that is
    projected and in metres, else to EPSG:3035. Those that cross themselves are repaired as parcels are.

    Args:
        lake: where the area's parcels are.
        polygons: by identifier.
        aoi: area that the rows are to state; "" is none.
        year: of its parcels.
        ptype: which of its parcel sets.

    Raises:
        InvalidInputError: one is no polygon, encloses nothing, lies nowhere on earth, or has too many vertices.
    """
    if not polygons:
        raise InvalidInputError("there is no polygon; draw one")
    epsg = (lake.epsg(aoi) if aoi else None) or own_epsg(_system(next(iter(polygons.values())))) or EQUAL_AREA
    outlines = tuple(shapely.to_wkb(_prepared(name, area, epsg)) for name, area in polygons.items())
    digest = hashlib.sha256(b"".join(outlines)).hexdigest()[:16]
    return DrawnSet(aoi.lower(), year, ptype, digest, "", "", outlines=outlines, ids=tuple(polygons), epsg=epsg)


def _system(area: Area) -> CRS:
    try:
        return CRS.from_user_input(area.crs)
    except CRSError as error:
        raise InvalidInputError(f"{quoted(area.crs)} is no coordinate system; write it as EPSG:32631") from error


def _prepared(name: str, area: Area, epsg: int) -> shapely.Geometry:
    shape = shapely.force_2d(area.shape)
    of = f"polygon {quoted(name)}"
    if shapely.get_type_id(shape) not in POLYGONAL:
        raise InvalidInputError(f"{of} is a {shape.geom_type}; draw a polygon, or give several as a multipolygon")
    if shapely.get_num_coordinates(shape) > MOST_VERTICES:
        most = f"{shapely.get_num_coordinates(shape):,} vertices; at most {MOST_VERTICES:,} are taken"
        raise InvalidInputError(f"{of} has {most}: simplify it, or load it as a parcel and extract it")
    try:
        moved = np.array([reprojected(shape, _system(area), epsg)], object)
    except ProjError as error:
        raise InvalidInputError(f"{of}: no way leads from its coordinate system to EPSG:{epsg}") from error
    if not (np.abs(shapely.get_coordinates(moved)) <= _FARTHEST).all():
        raise InvalidInputError(f"{of}: coordinates {OUTSIDE[0]}; give degrees, longitude first, or say which system")
    (valid,), _ = repair(moved)
    if shapely.is_empty(valid) or not shapely.area(valid):
        raise InvalidInputError(f"{of} encloses nothing; draw it again")
    return valid
