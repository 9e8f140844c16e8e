"""Geometric equality of parcels within a tolerance; equal geometries keep the bytes of the earlier version.

Formats and programs turn rings, begin them elsewhere, order parts anew, double vertices, add some on straight lines,
wrap polygons as multipolygons, and round coordinates: geodatabases by 0.1 mm, GeoJSON of 7 decimals by 8 mm, MapInfo in
national systems by 19 mm, a way through another coordinate system by less than one. None of it is another geometry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from cbm_lake.geo.vectors import Geometries
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcels.geometry import CHUNK

TOLERANCE: Final = 0.02
"""Metres by which a geometry may differ anywhere and still be the same: a five-hundredth of a pixel of Sentinel-2."""
_LARGE: Final = 500
"""Vertices from which an index of the edges pays."""
_DEGREE: Final = 111_320.0
"""Metres of a degree at the equator."""


def tolerance(epsg: int) -> float:
    """TOLERANCE in the units of a coordinate system (metres or degrees)."""
    return TOLERANCE / _DEGREE if CRS.from_epsg(epsg).is_geographic else TOLERANCE


def same_place(first: Geometries, second: Geometries, distance: float) -> NDArray[np.bool_]:
    """Pairwise geometric equality of polygons: no point of one's rings is further than TOLERANCE from the other's.

    Most pairs are decided vertex by vertex in normal form; the others by the Hausdorff distance of their rings, at
    vertices and halfway between, and by their areas, which tell a hole from an island within the distance.

    Args:
        first: n polygons or multipolygons.
        second: as many, in the same coordinate system.
        distance: in the unit of that system.
    """
    with np.errstate(invalid="ignore"):
        near = (np.abs(shapely.bounds(first) - shapely.bounds(second)) <= distance).all(axis=1)
        allowed = distance * np.maximum(shapely.length(first), shapely.length(second))
        near &= np.abs(shapely.area(first) - shapely.area(second)) <= allowed
    rows = np.flatnonzero(near)
    one, other = _normal(first[rows]), _normal(second[rows])
    same = shapely.equals_exact(one, other, distance)
    rest = np.flatnonzero(~same)
    same[rest] = _are_near(one[rest], other[rest], distance)
    near[rows] = same
    return np.asarray(near)


def _are_near(first: Geometries, second: Geometries, distance: float) -> NDArray[np.bool_]:
    """Whether no vertex of one's rings, and no point halfway between two, is farther from the other's."""
    large = np.maximum(shapely.get_num_coordinates(first), shapely.get_num_coordinates(second)) > _LARGE
    near = np.zeros(len(first), bool)
    near[~large] = shapely.hausdorff_distance(first[~large], second[~large], densify=0.5) <= distance
    for row in np.flatnonzero(large):  # whose Hausdorff distance takes seconds, since each is compared with each
        near[row] = _lies_near(first[row], second[row], distance) and _lies_near(second[row], first[row], distance)
    return near


def _lies_near(geometry: shapely.Geometry, other: shapely.Geometry, distance: float) -> bool:
    """Whether one's rings are near the other's, by an index of its edges."""
    xy, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(geometry)), return_index=True)
    halfway = (xy[1:] + xy[:-1])[np.diff(ring) == 0] / 2
    edges = shapely.boundary(other)
    shapely.prepare(edges)
    return bool(shapely.dwithin(edges, shapely.points(np.concatenate([xy, halfway])), distance).all())


def _normal(geometries: Geometries) -> Geometries:
    """The geometries in GEOS's normal form, without doubled vertices; multipolygons of one part as polygons."""
    plain = geometries.copy()
    alone = (shapely.get_type_id(plain) == shapely.GeometryType.MULTIPOLYGON) & (shapely.get_num_geometries(plain) == 1)
    plain[alone] = shapely.get_geometry(plain[alone], 0)
    return np.asarray(shapely.normalize(shapely.remove_repeated_points(plain)))


def with_stored_bytes(
    lake: Lake, versions: Sequence[ParcelSet], ids: pa.Array, geometries: list[pa.Array], distance: float
) -> list[pa.Array]:
    """Replace geometries that equal those of an earlier version by the stored bytes.

    Args:
        lake: where the versions are.
        versions: the first that has the place decides.
        ids: n identifiers.
        geometries: n geometries as WKB, in arrays of CHUNK rows; replaced in place.
        distance: how far they may differ.
    """
    undecided = np.ones(len(ids), bool)
    for version in versions:
        if not undecided.any():
            break
        rows = rows_of(lake, version, ids)
        rows[~undecided] = -1
        if (rows >= 0).any():
            undecided &= ~_replace(geometries, lake.iter_parcels(version, ["geometry"]), rows, distance)
    return geometries


def _replace(
    geometries: list[pa.Array], stored: Iterable[pa.RecordBatch], rows: NDArray[np.int64], distance: float
) -> NDArray[np.bool_]:
    """Replace the geometries that are at the same place as the stored one of their row; which ones were."""
    done, first = np.zeros(len(rows), bool), 0
    for batch in stored:
        inside = (rows >= first) & (rows < first + batch.num_rows)
        for number, start in enumerate(range(0, len(rows), CHUNK)):
            part = slice(start, start + CHUNK)
            if inside[part].any():
                partner = np.where(inside[part], rows[part] - first, -1)
                same, geometries[number] = _replaced(geometries[number], batch["geometry"], partner, distance)
                done[part] |= same
        first += batch.num_rows
    return done


def rows_of(lake: Lake, version: ParcelSet, ids: pa.Array) -> NDArray[np.int64]:
    """Row of each identifier in the file of a version; -1 if absent."""
    stored = lake.read_parcels(version, ["id"])["id"].combine_chunks()
    return np.asarray(pc.fill_null(pc.index_in(ids, stored), -1)).astype(np.int64)


def _replaced(
    geometries: pa.Array, stored: pa.Array, rows: NDArray[np.int64], distance: float
) -> tuple[NDArray[np.bool_], pa.Array]:
    """Which geometries are at the same place as the stored one of that row, and all with the bytes of these."""
    candidates = np.flatnonzero(rows >= 0)
    former = stored.take(pa.array(rows[candidates]))
    mine = geometries.take(pa.array(candidates))
    same = np.asarray(pc.equal(mine, former))
    rest = np.flatnonzero(~same)
    if len(rest):
        mine, former = (shapely.from_wkb(values.take(pa.array(rest)).to_numpy(False)) for values in (mine, former))
        same[rest] = same_place(mine, former, distance)
    mask = np.zeros(len(rows), bool)
    mask[candidates[same]] = True
    if same[rest].any():
        geometries = pc.replace_with_mask(geometries, pa.array(mask), stored.take(pa.array(rows[mask])))
    return mask, geometries


def gather(column: pa.ChunkedArray, rows: NDArray[np.int64]) -> pa.Array:
    """Take rows of a column in that order, without copying the whole column."""
    starts = np.cumsum([0, *map(len, column.chunks)])
    chunk = np.searchsorted(starts, rows, side="right") - 1
    order = np.argsort(chunk, kind="stable")
    parts = [
        column.chunk(number).take(pa.array(rows[order][chunk[order] == number] - starts[number]))
        for number in np.unique(chunk)
    ]
    if not parts:
        return pa.array([], column.type)
    back = np.empty(len(rows), np.int64)
    back[order] = np.arange(len(rows))
    return pa.concat_arrays(parts).take(pa.array(back))
