"""Areas that the polygons of two sets share: `overlaps` of every pair of them that overlaps."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from cbm_lake.zonal.compiled import Floats, Ints, frozen
from cbm_lake.zonal.sweep import Outlines, shared_areas

__all__ = ["Outlines", "Overlaps", "outlines", "overlaps"]

Shapes = npt.NDArray[np.object_]
_ROWS: Final = 50_000
"""Polygons whose partners are looked up at once."""
_PAIRS: Final = 50_000
"""Pairs that one thread computes at once."""


class Overlaps(NamedTuple):
    """The pairs of polygons that share an area, in the order of `first` and then `second`."""

    first: Ints
    """(p,) index into the first set."""
    second: Ints
    """(p,) index into the second set."""
    area: Floats
    """(p,) shared area, in square units of the coordinate system; more than 0."""


def overlaps(
    first: Shapes | Outlines, second: Shapes | Outlines, progress: Callable[[int, int], None] | None = None
) -> Overlaps:
    """The shared area of every pair of polygons of two sets that overlap.

    Candidates are pairs whose bounding boxes meet (an R-tree). Areas come from a plane sweep on all processors, and are
    exact up to the rounding of single operations, also where boundaries nearly coincide.

    Args:
        first: n valid polygons and multipolygons, or their `outlines`; None and empty ones overlap with nothing.
        second: m of them, in the same coordinate system.
        progress: called with the number of polygons of the first set that are done, and n.
    """
    one, other = (each if isinstance(each, Outlines) else outlines([each]) for each in (first, second))
    parts = []
    for start, rows, columns in _candidates(one, other):
        areas = _shared(one, other, frozen(rows), frozen(columns))
        parts.append(Overlaps(rows[areas > 0], columns[areas > 0], areas[areas > 0]))
        if progress:
            progress(min(start + _ROWS, len(one.areas)), len(one.areas))
    return Overlaps(*map(np.concatenate, zip(*parts, strict=True)))


def _shared(one: Outlines, other: Outlines, rows: Ints, columns: Ints) -> Floats:
    areas = np.empty(len(rows))
    slices = [slice(start, start + _PAIRS) for start in range(0, len(rows), _PAIRS)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda part: shared_areas(one, other, rows[part], columns[part], areas[part]), slices))
    return areas


def _candidates(one: Outlines, other: Outlines) -> Iterator[tuple[int, Ints, Ints]]:
    """Pairs whose bounding boxes meet, for so many polygons of the first set at once, and where these start."""
    tree = shapely.STRtree(shapely.box(*other.bounds.T))
    for start in range(0, max(len(one.areas), 1), _ROWS):
        rows, columns = _in_order(*tree.query(shapely.box(*one.bounds[start : start + _ROWS].T)))
        yield start, rows + start, columns


def _in_order(rows: Ints, columns: Ints) -> tuple[Ints, Ints]:
    order = np.lexsort((columns, rows))
    return rows[order].astype(np.int64), columns[order].astype(np.int64)


def outlines(chunks: Iterable[Shapes]) -> Outlines:
    """Polygons in the form that kernels read, from arrays of shapely's, which need not be in memory together."""
    parts = [_outlines(shapes) for shapes in chunks] or [_outlines(np.empty(0, object))]
    return Outlines(
        frozen(np.concatenate([part.xy for part in parts])),
        frozen(_joined([part.rings for part in parts])),
        frozen(_joined([part.parcels for part in parts])),
        frozen(np.concatenate([part.bounds for part in parts])),
        frozen(np.concatenate([part.areas for part in parts])),
    )


def _joined(starts: list[Ints]) -> Ints:
    """Starts of parts one after another, each counted from 0, as starts in the whole."""
    return _starts(np.concatenate([np.diff(part) for part in starts]))


def _outlines(shapes: Shapes) -> Outlines:
    polygonal = np.isin(shapely.get_type_id(shapes), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    shapes = shapes.copy()
    shapes[~(polygonal & np.isfinite(shapely.bounds(shapes)).all(axis=1))] = None
    lengths, rings = _lengths_of_rings(shapes)
    return Outlines(
        shapely.get_coordinates(shapes),
        _starts(lengths),
        _starts(rings),
        shapely.bounds(shapes),
        np.nan_to_num(shapely.area(shapes)),
    )


def _lengths_of_rings(shapes: Shapes) -> tuple[Ints, Ints]:
    """The number of vertices of each ring, and of rings of each polygon; objects of rings are made where needed."""
    vertices = shapely.get_num_coordinates(shapes).astype(np.int64)
    is_ring = (shapely.get_type_id(shapes) == shapely.GeometryType.POLYGON) & (
        shapely.get_num_interior_rings(shapes) == 0
    )
    others = np.flatnonzero(~is_ring & (vertices > 0))
    parts, part_of = shapely.get_parts(shapes[others], return_index=True)
    rings, ring_of = shapely.get_rings(parts, return_index=True)
    counts = (vertices > 0).astype(np.int64)
    counts[others] = np.bincount(part_of[ring_of], minlength=len(others))
    lengths = np.empty(int(counts.sum()), np.int64)
    alone = np.repeat(is_ring, counts)
    lengths[alone] = vertices[is_ring & (vertices > 0)]
    lengths[~alone] = shapely.get_num_coordinates(rings)
    return lengths, counts


def _starts(lengths: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
