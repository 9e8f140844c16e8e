"""The geometries of a file of parcels: polygons, in a coordinate system of the lake, and valid."""

from __future__ import annotations

import logging
from typing import Final

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError, ProjError

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.reprojection import reprojected
from cbm_lake.vectors import Features, Geometries

log = logging.getLogger(__name__)

EQUAL_AREA: Final = 3035
"""EPSG code of the European equal-area projection: areas, and the lake's coordinates where the file's do not serve."""
POLYGONAL: Final = {shapely.GeometryType.POLYGON: "Polygon", shapely.GeometryType.MULTIPOLYGON: "MultiPolygon"}
_COLLECTION: Final = shapely.GeometryType.GEOMETRYCOLLECTION


def outlines_of(source: Features, ids: pa.Array) -> Geometries:
    """The geometries in two dimensions, all of them polygonal and none without coordinates."""
    found = source.geometries
    advice = "delete these rows or draw their outlines"
    refuse(source, ids, shapely.is_missing(found) | shapely.is_empty(found), "have no geometry", advice)
    other = ~np.isin(shapely.get_type_id(found), (*POLYGONAL, _COLLECTION))
    refuse(source, ids, other, "are no polygons", "give polygons or multipolygons only")
    flat = shapely.force_2d(found)
    _refuse_infinite(source, ids, flat)
    return np.asarray(flat)


def source_crs(source: Features, outlines: Geometries, given: str | int | None) -> CRS:
    """The coordinate system of the file, or the one given in its stead; refused where the coordinates deny it."""
    try:
        crs = source.crs if given is None else CRS.from_user_input(given)
    except CRSError as error:
        raise InvalidInputError(f"crs {given!r} is no coordinate system; write it as EPSG:2154") from error
    if crs is None:
        raise InvalidInputError(f"{source.name} does not say its coordinate system; give it by crs=, as EPSG:2154")
    if given is not None and source.crs is not None and not crs.equals(source.crs, ignore_axis_order=True):
        log.warning("%s says %s, but is read as %s", source.name, source.crs.name, crs.name)
    if crs.is_projected and np.abs(shapely.total_bounds(outlines)).max() <= 360:
        raise InvalidInputError(
            f"{source.name} says {crs.name}, but its coordinates look like degrees; give the right one by crs="
        )
    return crs


def own_epsg(crs: CRS) -> int | None:
    """The code of a coordinate system that is projected in metres, without any heights."""
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if not flat.is_projected or any(axis.unit_name != "metre" for axis in flat.axis_info):
        return None
    return flat.to_epsg()


def reproject(source: Features, ids: pa.Array, outlines: Geometries, crs: CRS, target: CRS) -> Geometries:
    """The outlines in another coordinate system; refused where one lies outside of it."""
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    if flat.equals(target, ignore_axis_order=True):
        return outlines
    try:
        moved = transform(outlines, flat, target)
    except (CRSError, ProjError) as error:
        raise InvalidInputError(
            f"{source.name}: no way leads from {crs.name} to {target.name}; give another by crs="
        ) from error
    _refuse_infinite(source, ids, moved)
    return moved


def transform(geometries: Geometries, source: CRS | int, target: CRS | int) -> Geometries:
    """The geometries in another coordinate system, vertex by vertex; infinite where one has no image in it."""
    return np.asarray(reprojected(geometries, source, target))


def mend(source: Features, ids: pa.Array, outlines: Geometries) -> tuple[Geometries, int]:
    """Valid polygons and multipolygons, and how many had to be mended.

    Method "structure" keeps every lobe of a bow-tie, and what an outline covers twice; the other one, "linework",
    would make holes of the latter.
    """
    broken = ~shapely.is_valid(outlines) | (shapely.get_type_id(outlines) == _COLLECTION)
    if not broken.any():
        return outlines, 0
    mended = outlines.copy()
    mended[broken] = _polygonal(shapely.make_valid(outlines[broken], method="structure", keep_collapsed=False))
    lost = shapely.is_empty(mended)
    refuse(source, ids, lost, "have outlines that enclose nothing", "draw them again or delete these rows")
    return mended, int(broken.sum())


def _polygonal(geometries: Geometries) -> Geometries:
    """The geometries with the polygonal parts only of those that are collections."""
    mixed = shapely.get_type_id(geometries) == _COLLECTION
    for row in np.flatnonzero(mixed):
        parts = shapely.get_parts(shapely.get_parts(geometries[row]))  # collections may hold multipolygons
        geometries[row] = shapely.union_all(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    return geometries


def _refuse_infinite(source: Features, ids: pa.Array, outlines: Geometries) -> None:
    coordinates, row = shapely.get_coordinates(outlines, return_index=True)
    bad = np.zeros(len(outlines), bool)
    bad[row[~np.isfinite(coordinates).all(axis=1)]] = True
    refuse(source, ids, bad, "lie outside the world", "wrong CRS? Give the right one by crs=")


def refuse(source: Features, ids: pa.Array, bad: NDArray[np.bool_], problem: str, advice: str) -> None:
    """Raise InvalidInputError that lists the parcels marked as bad."""
    if bad.any():
        listed = some(map(repr, ids.filter(pa.array(bad)).to_pylist()))
        raise InvalidInputError(f"{source.name}: {bad.sum()} parcels {problem}: {listed}; {advice}")
