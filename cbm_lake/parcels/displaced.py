"""Recognises parcels of another year by their outline alone where they lie elsewhere, as after a shift of all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.geo.reprojection import Shapes
from cbm_lake.parcels.identity import same_place

Ints = npt.NDArray[np.int64]


def displaced(
    later: Shapes, earlier: Shapes, pids: pa.Array, pids_before: pa.Array, tolerance: float
) -> tuple[Ints, Ints]:
    """Pairs of parcels that have the same outline at different positions, each parcel in one pair at most.

    They have the same identifier, wherever they are, or else are no farther apart, from centroid to centroid, than the
    diagonal of the later one's bounding box; of several the one with the same identifier, and then the nearest, counts.

    Args:
        later: n polygons.
        earlier: m polygons in the same coordinate system.
        pids: n identifiers.
        pids_before: m identifiers.
        tolerance: how far outlines may differ, in units of the coordinate system, once their centroids coincide.

    Returns:
        Indices of the later and of the earlier parcels.
    """
    mine, theirs = _candidates(later, earlier, pids, pids_before)
    step = _centroids(later[mine]) - _centroids(earlier[theirs])
    same = same_place(later[mine], _shifted(earlier[theirs], step), tolerance)
    mine, theirs, distance = mine[same], theirs[same], np.hypot(*step[same].T)
    is_other = np.asarray(pc.not_equal(pids.take(pa.array(mine)), pids_before.take(pa.array(theirs))))
    pairs: dict[int, int] = {}
    used: set[int] = set()
    for row in np.lexsort((theirs, mine, distance, is_other)).tolist():
        if mine[row] not in pairs and theirs[row] not in used:
            pairs[int(mine[row])] = int(theirs[row])
            used.add(int(theirs[row]))
    return np.array(list(pairs), np.int64), np.array(list(pairs.values()), np.int64)


def _candidates(later: Shapes, earlier: Shapes, pids: pa.Array, pids_before: pa.Array) -> tuple[Ints, Ints]:
    """Pairs of the same identifier, and pairs that are near each other; some twice."""
    partner = np.asarray(pc.fill_null(pc.index_in(pids, pids_before), -1)).astype(np.int64)
    named = np.flatnonzero(partner >= 0)
    west, south, east, north = shapely.bounds(later).T
    tree = shapely.STRtree(shapely.centroid(earlier))
    near = tree.query(shapely.centroid(later), predicate="dwithin", distance=np.hypot(east - west, north - south))
    return np.concatenate([named, near[0]]), np.concatenate([partner[named], near[1]])


def _centroids(shapes: Shapes) -> npt.NDArray[np.float64]:
    return np.asarray(shapely.get_coordinates(shapely.centroid(shapes)))


def _shifted(shapes: Shapes, step: npt.NDArray[np.float64]) -> Shapes:
    """Polygons moved by steps in x and y."""
    vertices = shapely.get_num_coordinates(shapes)
    return np.asarray(shapely.transform(shapes, lambda xy: xy + np.repeat(step, vertices, axis=0)))
