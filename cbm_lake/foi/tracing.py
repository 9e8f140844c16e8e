"""Vectorizes clusters: compiled tracing of rings along pixel edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine

from cbm_lake.foi.components import Clusters, Runs
from cbm_lake.geo.vectors import Geometries
from cbm_lake.zonal.compiled import Ints, compiled, frozen

Mask = npt.NDArray[np.uint8]


def polygons(runs: Runs, transform: Affine) -> tuple[Clusters, Geometries]:
    """Vectorize the clusters that runs form: their parcels, and valid multipolygons along pixel edges.

    Args:
        runs: as `components.runs` gives them.
        transform: from (column, row) to map coordinates.
    """
    order = np.lexsort((runs.piece, runs.cluster))
    ordered = Runs._make(values[order] for values in runs)
    clusters, pieces = _starts(ordered.cluster), _starts(ordered.piece)
    corners = np.empty((5 * len(order), 2), np.int64)
    rings, ring_ends = np.zeros(len(order) + 1, np.int64), np.zeros(len(pieces), np.int64)
    row, col, length = frozen(ordered.row), frozen(ordered.col), frozen(ordered.length)
    number = _trace(row, col, length, frozen(pieces), _greatest(ordered, pieces), corners, rings, ring_ends)
    xy = corners[: rings[number]] * [transform.a, transform.e] + [transform.c, transform.f]
    offsets = rings[: number + 1], ring_ends, np.searchsorted(pieces, clusters)
    shapes = shapely.from_ragged_array(shapely.GeometryType.MULTIPOLYGON, xy, offsets)
    first = clusters[:-1]
    return Clusters(ordered.parcel[first], ordered.code[first], ordered.size[first]), shapes


def _starts(numbers: Ints) -> Ints:
    """Where each stretch of equal numbers begins, and where the last one ends."""
    changes = np.flatnonzero(np.diff(numbers)) + 1
    return np.concatenate([[0], changes, [len(numbers)]]) if len(numbers) else np.zeros(1, np.int64)


def _greatest(runs: Runs, pieces: Ints) -> tuple[int, int]:
    """Rows and columns that are room enough for any piece, with a margin of one pixel all round."""
    first = pieces[:-1]
    if not len(first):
        return 2, 2
    ends = runs.row, runs.col + runs.length
    spread = [np.maximum.reduceat(ends[0], first) - np.minimum.reduceat(runs.row, first) + 1]
    spread += [np.maximum.reduceat(ends[1], first) - np.minimum.reduceat(runs.col, first)]
    return int(spread[0].max()) + 2, int(spread[1].max()) + 2


# Kernels. Headings are 0 east, 1 south, 2 west, 3 north; the piece is always on the right.


@compiled
def _trace(
    row: Ints, col: Ints, length: Ints, pieces: Ints, room: tuple[int, int], corners: Ints, rings: Ints, ring_ends: Ints
) -> int:
    """Write corners (column, row) ring by ring, where rings end, and where each piece's rings end; rings in all.

    The first ring of a piece is its outer one: its upper left corner is met first.
    """
    mask = np.zeros(room, np.uint8)
    number, position = 0, 0
    for piece in range(len(pieces) - 1):
        first, last = pieces[piece], pieces[piece + 1]
        row_min, col_min, row_max, col_max = row[first], col[first], row[first], col[first]
        for run in range(first, last):
            row_min, col_min = min(row_min, row[run]), min(col_min, col[run])
            row_max, col_max = max(row_max, row[run] + 1), max(col_max, col[run] + length[run])
        area = mask[: row_max - row_min + 2, : col_max - col_min + 2]
        area[:] = 0
        for run in range(first, last):
            begin = col[run] - col_min + 1
            area[row[run] - row_min + 1, begin : begin + length[run]] = 1
        for run in range(first, last):
            for k in range(col[run] - col_min + 1, col[run] - col_min + 1 + length[run]):
                i = row[run] - row_min + 1
                if area[i, k] == 1 and area[i - 1, k] == 0:  # a side with nothing above that was not followed yet
                    position = _follow(area, i, k, row_min - 1, col_min - 1, corners, position)
                    number += 1
                    rings[number] = position
        ring_ends[piece + 1] = number
    return number


@compiled
def _follow(area: Mask, i: int, k: int, row_min: int, col_min: int, corners: Ints, position: int) -> int:
    """Write the corners of the ring that begins at the upper left of pixel i, k, the first one again at the end.

    Where two pixels of the piece meet at a corner only, the ring passes so that they stay joined there: no ring
    then touches itself.
    """
    y, x, heading = i, k, 0
    corners[position, 0], corners[position, 1] = x + col_min, y + row_min
    position += 1
    while True:
        if heading == 0:
            area[y, x] = 2
        x += (heading == 0) - (heading == 2)
        y += (heading == 1) - (heading == 3)
        ahead_left = area[y - (heading % 3 == 0), x - (heading >= 2)]
        ahead_right = area[y - (heading >= 2), x - (heading % 3 != 0)]
        if not ahead_left and ahead_right:
            continue
        heading = (heading + (3 if ahead_left else 1)) % 4
        corners[position, 0], corners[position, 1] = x + col_min, y + row_min
        position += 1
        if y == i and x == k and heading == 0:
            return position
