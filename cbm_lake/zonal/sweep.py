"""Compiled kernels of the area that two polygons share, by a plane sweep.

A vertical line sweeps from one end of an edge to the next. Between two such positions no edge of either polygon begins,
ends or crosses another one of the same polygon, so that each polygon is a stack of trapezoids, whose overlaps with
those of the other one are summed. All summands are positive and coordinates count from a corner of the common bounding
box: nothing is lost by cancellation, and shared, collinear or touching boundaries are no special cases. It is the
decomposition into trapezoids of Shamos and Hoey (1976), "Geometric intersection problems", without the search for
crossings, as areas need none.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cbm_lake.zonal.compiled import Floats, Ints, compiled

_FEW = 64
"""Edges up to which insertion is the faster way to sort."""


class Outlines(NamedTuple):
    """The rings of n polygons and multipolygons, which are valid; holes are rings like others."""

    xy: Floats
    """Vertices, (v, 2); the last of a ring is its first."""
    rings: Ints
    """Where the vertices of each ring begin, and where the last one ends."""
    parcels: Ints
    """Where the rings of each polygon begin, and where the last one ends."""
    bounds: Floats
    """(n, 4): west, south, east, north; not finite where a polygon is empty or missing."""
    areas: Floats
    """(n,)."""


class _Room(NamedTuple):
    """Arrays to work in, as long as the two polygons have vertices, and one longer."""

    edges: Floats
    """(m, 4): x and y of the left end, x and y of the right end."""
    order: Ints
    """Edges by their left ends."""
    below: Ints
    """Edges of the one polygon that the sweep line crosses, from the lowest."""
    above: Ints
    """Those of the other."""
    one: Floats
    """(m, 2): where the edges `below` enter and leave a slab."""
    other: Floats
    """The same of `above`."""


@compiled
def shared_areas(one: Outlines, other: Outlines, first: Ints, second: Ints, areas: Floats) -> None:
    """Write the area that each pair of polygons shares.

    Args:
        one: polygons.
        other: polygons in the same coordinate system.
        first: (p,) which of `one`.
        second: (p,) which of `other`.
        areas: (p,) receives the areas, in square units of the coordinate system.
    """
    longest = 0
    for k in range(len(first)):
        longest = max(longest, _vertices(one, first[k]) + _vertices(other, second[k]))
    room = _Room(
        np.empty((longest, 4)),
        np.empty(longest, np.int64),
        np.empty(longest, np.int64),
        np.empty(longest, np.int64),
        np.empty((longest + 1, 2)),
        np.empty((longest + 1, 2)),
    )
    for k in range(len(first)):
        areas[k] = _shared_area(one, first[k], other, second[k], room)


@compiled
def _vertices(outlines: Outlines, number: int) -> int:
    parcels, rings = outlines.parcels, outlines.rings
    return int(rings[parcels[number + 1]] - rings[parcels[number]])


@compiled
def _shared_area(one: Outlines, i: int, other: Outlines, j: int, room: _Room) -> float:
    west, south = max(one.bounds[i, 0], other.bounds[j, 0]), max(one.bounds[i, 1], other.bounds[j, 1])
    east, north = min(one.bounds[i, 2], other.bounds[j, 2]), min(one.bounds[i, 3], other.bounds[j, 3])
    if not (west < east and south < north):
        return 0.0
    if _are_equal(one, i, other, j):
        return float(one.areas[i])
    box = (west, south, east, north)
    of_one = _collect(one, i, box, room.edges, 0)
    number = _collect(other, j, box, room.edges, of_one)
    if of_one in (0, number):
        return 0.0
    _sort(room.edges, number, room.order)
    return _sweep(room, of_one, number, east - west, north - south)


@compiled
def _are_equal(one: Outlines, i: int, other: Outlines, j: int) -> bool:
    """Whether two polygons have the same vertices in the same order, as most have that were declared again."""
    first, second, number = one.rings[one.parcels[i]], other.rings[other.parcels[j]], _vertices(one, i)
    if number != _vertices(other, j) or one.areas[i] != other.areas[j]:
        return False
    for k in range(number):
        if one.xy[first + k, 0] != other.xy[second + k, 0] or one.xy[first + k, 1] != other.xy[second + k, 1]:
            return False
    return True


@compiled
def _collect(outlines: Outlines, number: int, box: tuple[float, float, float, float], edges: Floats, total: int) -> int:
    """Append the edges of a polygon that lie in the columns of a box and not above it; returns how many there are then.

    Vertical ones bound no slab.
    """
    west, south, east, north = box
    xy, rings = outlines.xy, outlines.rings
    for ring in range(outlines.parcels[number], outlines.parcels[number + 1]):
        for k in range(rings[ring] + 1, rings[ring + 1]):
            left, right = (k - 1, k) if xy[k - 1, 0] <= xy[k, 0] else (k, k - 1)
            begins, ends = xy[left, 0] - west, xy[right, 0] - west
            if begins < ends and ends > 0 and xy[left, 0] < east and min(xy[left, 1], xy[right, 1]) < north:
                edges[total, 0], edges[total, 1] = begins, xy[left, 1] - south
                edges[total, 2], edges[total, 3] = ends, xy[right, 1] - south
                total += 1
    return total


@compiled
def _sort(edges: Floats, number: int, order: Ints) -> None:
    """Order edges by their left ends."""
    if number > _FEW:
        order[:number] = np.argsort(edges[:number, 0])
        return
    for i in range(number):
        k = i
        while k and edges[order[k - 1], 0] > edges[i, 0]:
            order[k] = order[k - 1]
            k -= 1
        order[k] = i


@compiled
def _sweep(room: _Room, of_one: int, number: int, width: float, height: float) -> float:
    """The shared area inside a box of that size; the first edges are of the one polygon, the others of the other."""
    edges, order, below, above = room.edges, room.order, room.below, room.above
    x, area, entered, crossed, met = 0.0, 0.0, 0, 0, 0
    while x < width:
        crossed, met = _leave(edges, below, crossed, x), _leave(edges, above, met, x)
        while entered < number and edges[order[entered], 0] <= x:
            if order[entered] < of_one:
                below[crossed] = order[entered]
                crossed += 1
            else:
                above[met] = order[entered]
                met += 1
            entered += 1
        end = min(width, edges[order[entered], 0]) if entered < number else width
        end = min(_first_end(edges, below, crossed, end), _first_end(edges, above, met, end))
        if crossed and met:
            lines = _levels(edges, below, crossed, (x, end), height, room.one)
            others = _levels(edges, above, met, (x, end), height, room.other)
            area += (end - x) * _common(room.one, lines, room.other, others)
        x = end
    return area


@compiled
def _leave(edges: Floats, active: Ints, number: int, x: float) -> int:
    """Remove the edges that end at or before a position; returns how many remain."""
    remaining = 0
    for k in range(number):
        if edges[active[k], 2] > x:
            active[remaining] = active[k]
            remaining += 1
    return remaining


@compiled
def _first_end(edges: Floats, active: Ints, number: int, end: float) -> float:
    for k in range(number):
        end = min(end, edges[active[k], 2])
    return end


@compiled
def _levels(edges: Floats, active: Ints, number: int, slab: tuple[float, float], height: float, levels: Floats) -> int:
    """Where edges enter and leave a slab, from the lowest; two by two they bound the polygon.

    An edge without partner is bounded by the top of the box, above which edges were not collected.
    """
    for i in range(number):
        edge = active[i]
        left, rise, run = edges[edge, 0], edges[edge, 3] - edges[edge, 1], edges[edge, 2] - edges[edge, 0]
        enters = edges[edge, 1] + rise * ((slab[0] - left) / run)
        leaves = edges[edge, 1] + rise * ((slab[1] - left) / run)
        k = i
        while k and levels[k - 1, 0] + levels[k - 1, 1] > enters + leaves:
            levels[k], active[k] = levels[k - 1], active[k - 1]
            k -= 1
        levels[k, 0], levels[k, 1], active[k] = enters, leaves, edge
    if number % 2:
        levels[number] = height
    return number + number % 2


@compiled
def _common(one: Floats, lines: int, other: Floats, others: int) -> float:
    """The mean height, over a slab, of what trapezoids of two polygons share."""
    height, start = 0.0, 0
    for i in range(0, lines, 2):
        while start < others and other[start + 1, 0] <= one[i, 0] and other[start + 1, 1] <= one[i, 1]:
            start += 2
        for j in range(start, others, 2):
            if other[j, 0] >= one[i + 1, 0] and other[j, 1] >= one[i + 1, 1]:
                break
            height += _mean_height(one[i], one[i + 1], other[j], other[j + 1])
    return height


@compiled
def _mean_height(low: Floats, high: Floats, other_low: Floats, other_high: Floats) -> float:
    """The mean of max(0, the lower of two upper sides minus the higher of two lower sides) over a slab.

    That is linear between the positions at which the sides cross, which are shares of the slab's width.
    """
    first, second = _crossing(high, other_high), _crossing(low, other_low)
    total, start = 0.0, 0.0
    before = min(high[0], other_high[0]) - max(low[0], other_low[0])
    for end in (min(first, second), max(first, second), 1.0):
        top = min(_at(high, end), _at(other_high, end))
        after = top - max(_at(low, end), _at(other_low, end))
        if before >= 0 and after >= 0:
            total += (end - start) * (before + after)
        elif before > 0 or after > 0:
            total += (end - start) * max(before, after) ** 2 / abs(before - after)
        start, before = end, after
    return total / 2


@compiled
def _at(side: Floats, share: float) -> float:
    return float(side[0] * (1 - share) + side[1] * share)


@compiled
def _crossing(side: Floats, other: Floats) -> float:
    """The share of the slab's width at which two sides cross; 1 where they do not."""
    enters, leaves = side[0] - other[0], side[1] - other[1]
    return float(enters / (enters - leaves)) if (enters < 0) != (leaves < 0) else 1.0
