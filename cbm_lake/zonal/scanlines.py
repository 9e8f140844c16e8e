"""Compiled kernels of spans (scanline runs): rasterisation of polygons, cutting at blocks, and copying of pixels.

A row of pixels is crossed by an edge when lower <= row + 0.5 < upper; a crossing at x begins or ends a span at pixel
floor(x + 0.5). These are the rules of GDALdllImageFilledPolygon in GDAL's alg/llrasterize.cpp.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cbm_lake.zonal.compiled import Floats, Ints, Ints32, Pixels, compiled

Spans = tuple[Ints32, Ints32, Ints32]
"""Row, first column and length of each."""


class Outlines(NamedTuple):
    """The polygons of all parcels, as arrays for kernels."""

    xy: Floats
    """Corners in map coordinates, (n, 2)."""
    x: Floats
    """Corners' columns in pixel coordinates."""
    y: Floats
    """Corners' rows in pixel coordinates."""
    rings: Ints
    """Where each ring's corners begin; one more than there are rings."""
    parts: Ints
    """Where each polygon's rings begin; one more than there are polygons."""
    parcels: Ints
    """Where each parcel's polygons begin; one more than there are parcels."""


class Pieces(NamedTuple):
    """Spans cut at block borders, sorted by block; uint16 and uint32 wherever they suffice."""

    row: npt.NDArray[Any]
    """Row inside the block."""
    col: npt.NDArray[Any]
    """First column inside the block."""
    length: npt.NDArray[Any]
    target: npt.NDArray[Any]
    """Place of the first pixel in the pool."""


@compiled
def _row_at(y: float, height: int) -> int:
    """The first pixel row whose centre is at or after y, kept inside 0..height."""
    return int(min(max(math.ceil(y - 0.5), 0.0), float(height)))


@compiled
def _column_at(x: float, width: int) -> int:
    """The pixel column at which a span begins or ends that is crossed at x, kept inside 0..width."""
    return int(min(max(math.floor(x + 0.5), 0.0), float(width)))


@compiled
def bounds(boundaries: Outlines, height: int) -> tuple[int, int]:
    """At most so many spans in all, and so many crossings in one polygon."""
    y, rings, parts = boundaries.y, boundaries.rings, boundaries.parts
    spans, most_crossings = 0, 0
    for part in range(len(parts) - 1):
        crossings = 0
        for ring in range(parts[part], parts[part + 1]):
            previous = rings[ring + 1] - 1
            for i in range(rings[ring], rings[ring + 1]):
                crossings += abs(_row_at(y[i], height) - _row_at(y[previous], height))
                spans += y[i] == y[previous]
                previous = i
        most_crossings = max(most_crossings, crossings)
        spans += crossings // 2
    return spans, most_crossings


@compiled
def scan(boundaries: Outlines, shape: tuple[int, int], crossings: Ints32, spans: Spans, offsets: Ints) -> None:
    """Write the spans of every parcel and where they begin; `crossings` is room for one polygon."""
    row, col, length = spans
    parts, parcels = boundaries.parts, boundaries.parcels
    ends = np.zeros(shape[0] + 1, np.int64)
    written = 0
    for parcel in range(len(parcels) - 1):
        begin = written
        disordered = parcels[parcel + 1] - parcels[parcel] > 1
        for part in range(parcels[parcel], parcels[parcel + 1]):
            written = _scan_part(boundaries, part, shape, crossings, ends, spans, written)
            before = written
            for ring in range(parts[part], parts[part + 1]):
                written = _scan_level(boundaries, ring, shape, spans, written)
            disordered |= written > before
        if disordered:
            _sort_spans(row[begin:written], col[begin:written], length[begin:written])
        written = begin + _unite(row[begin:written], col[begin:written], length[begin:written])
        offsets[parcel + 1] = written


@compiled
def _scan_part(
    boundaries: Outlines,
    part: int,
    shape: tuple[int, int],
    crossings: Ints32,
    ends: Ints,
    spans: Spans,
    written: int,
) -> int:
    """Append the spans of one polygon; the number of spans then written."""
    height = shape[0]
    begin, end = boundaries.rings[boundaries.parts[part]], boundaries.rings[boundaries.parts[part + 1]]
    top, bottom = height, 0
    for i in range(begin, end):
        line = _row_at(boundaries.y[i], height)
        top, bottom = min(top, line), max(bottom, line)
    if bottom <= top:
        return written
    _bucket_crossings(boundaries, part, shape, (top, bottom), crossings, ends)
    start = 0
    for line in range(top, bottom):
        stop = ends[line - top]
        _insertion_sort(crossings, start, stop)
        for k in range(start, stop - 1, 2):
            if crossings[k + 1] > crossings[k]:
                _write_span(spans, written, line, crossings[k], crossings[k + 1])
                written += 1
        start = stop
    return written


@compiled
def _bucket_crossings(
    boundaries: Outlines,
    part: int,
    shape: tuple[int, int],
    lines: tuple[int, int],
    crossings: Ints32,
    ends: Ints,
) -> None:
    """Write the columns at which a polygon's edges cross the rows top..bottom - 1, row by row.

    `ends` gets where each row's crossings end.
    """
    x, y, rings = boundaries.x, boundaries.y, boundaries.rings
    height, width = shape
    top = lines[0]
    _count_crossings(boundaries, part, height, lines, ends)
    for ring in range(boundaries.parts[part], boundaries.parts[part + 1]):
        previous = rings[ring + 1] - 1
        for i in range(rings[ring], rings[ring + 1]):
            lower, upper = (i, previous) if y[i] < y[previous] else (previous, i)
            for line in range(_row_at(y[lower], height), _row_at(y[upper], height)):
                # keep this order of operations: it is GDAL's, and ties depend on the rounding
                share = (line + 0.5 - y[lower]) * (x[upper] - x[lower]) / (y[upper] - y[lower])
                crossings[ends[line - top]] = _column_at(share + x[lower], width)
                ends[line - top] += 1
            previous = i


@compiled
def _count_crossings(boundaries: Outlines, part: int, height: int, lines: tuple[int, int], ends: Ints) -> None:
    """Set `ends` to where each row's crossings begin: filling them moves it to where they end."""
    y, rings = boundaries.y, boundaries.rings
    top, bottom = lines
    ends[: bottom - top + 1] = 0
    for ring in range(boundaries.parts[part], boundaries.parts[part + 1]):
        previous = rings[ring + 1] - 1
        for i in range(rings[ring], rings[ring + 1]):
            a, b = _row_at(y[i], height), _row_at(y[previous], height)
            for line in range(min(a, b), max(a, b)):
                ends[line - top + 1] += 1
            previous = i
    for k in range(bottom - top):
        ends[k + 1] += ends[k]


@compiled
def _scan_level(boundaries: Outlines, ring: int, shape: tuple[int, int], spans: Spans, written: int) -> int:
    """Append the spans of a ring's horizontal edges through pixel centres; the number of spans then written.

    Of a ring turned clockwise GDAL fills the edges that run leftwards.
    """
    x, y = boundaries.x, boundaries.y
    height, width = shape
    begin, end = boundaries.rings[ring], boundaries.rings[ring + 1]
    previous = end - 1
    for i in range(begin, end):
        line = y[i] - 0.5
        if y[i] == y[previous] and x[i] != x[previous] and 0 <= line < height and line == math.floor(line):
            leftwards = x[previous] > x[i]
            first = _column_at(min(x[i], x[previous]), width)
            stop = _column_at(max(x[i], x[previous]), width)
            if stop > first and leftwards == _is_clockwise(boundaries.xy[begin:end]):
                _write_span(spans, written, int(line), first, stop)
                written += 1
        previous = i
    return written


@compiled
def _write_span(spans: Spans, number: int, line: int, first: int, stop: int) -> None:
    """Write the span of that number, columns first..stop - 1 of a row."""
    spans[0][number] = line
    spans[1][number] = first
    spans[2][number] = stop - first


@compiled
def _is_clockwise(ring: Floats) -> bool:
    """Whether a closed ring turns clockwise on the map, judged as OGR does at its lowest rightmost corner.

    Where that corner is doubled or its neighbours coincide with it, the sign of the area decides.
    """
    corners = len(ring) - 1
    pivot, doubled = 0, False
    for i in range(1, corners):
        dx, dy = ring[i, 0] - ring[pivot, 0], ring[i, 1] - ring[pivot, 1]
        if dy < 0 or (dy == 0 and dx > 0):
            pivot, doubled = i, False
        elif dy == 0 and dx == 0:
            doubled = True
    before, after = ring[pivot - 1 if pivot else corners - 1], ring[(pivot + 1) % corners]
    x0, y0 = before[0] - ring[pivot, 0], before[1] - ring[pivot, 1]
    x1, y1 = after[0] - ring[pivot, 0], after[1] - ring[pivot, 1]
    turn = x1 * y0 - x0 * y1
    near = max(abs(x0), abs(y0)) < 1e-5 or max(abs(x1), abs(y1)) < 1e-5
    if turn != 0 and not doubled and not near:
        return bool(turn < 0)
    return _double_area(ring) < 0


@compiled
def _double_area(ring: Floats) -> float:
    """Twice the signed area of a closed ring about its first corner: negative where it is clockwise."""
    total = 0.0
    for i in range(len(ring) - 1):
        x0, y0 = ring[i, 0] - ring[0, 0], ring[i, 1] - ring[0, 1]
        x1, y1 = ring[i + 1, 0] - ring[0, 0], ring[i + 1, 1] - ring[0, 1]
        total += x0 * y1 - x1 * y0
    return total


@compiled
def _insertion_sort(values: Ints32, start: int, stop: int) -> None:
    """Sort values[start:stop] in place; there are few, and they are nearly sorted."""
    for i in range(start + 1, stop):
        value = values[i]
        k = i - 1
        while k >= start and values[k] > value:
            values[k + 1] = values[k]
            k -= 1
        values[k + 1] = value


@compiled
def _sort_spans(row: Ints32, col: Ints32, length: Ints32) -> None:
    """Put one parcel's spans in row-major order, in place (a Shell sort: parts come sorted in themselves)."""
    gap = len(row) // 2
    while gap:
        for i in range(gap, len(row)):
            line, first, number = row[i], col[i], length[i]
            k = i
            while k >= gap and (row[k - gap] > line or (row[k - gap] == line and col[k - gap] > first)):
                row[k], col[k], length[k] = row[k - gap], col[k - gap], length[k - gap]
                k -= gap
            row[k], col[k], length[k] = line, first, number
        gap //= 2


@compiled
def _unite(row: Ints32, col: Ints32, length: Ints32) -> int:
    """Join sorted spans that overlap or touch, in place; the number of spans that remain."""
    united = 0
    for i in range(len(row)):
        if united and row[united - 1] == row[i] and col[united - 1] + length[united - 1] >= col[i]:
            length[united - 1] = max(length[united - 1], col[i] + length[i] - col[united - 1])
        else:
            row[united], col[united], length[united] = row[i], col[i], length[i]
            united += 1
    return united


@compiled
def count_pieces(spans: Spans, block: tuple[int, int], across: int, pieces: Ints) -> None:
    """Count into `pieces` how many pieces spans leave in each block; `across` blocks lie side by side."""
    row, col, length = spans
    height, width = block
    for i in range(len(row)):
        begin = row[i] // height * across
        for number in range(begin + col[i] // width, begin + (col[i] + length[i] - 1) // width + 1):
            pieces[number] += 1


@compiled
def cut_spans(spans: Spans, block: tuple[int, int], across: int, following: Ints, pieces: Pieces) -> None:
    """Write the pieces of all spans, each at its block's following index."""
    row, col, length = spans
    height, width = block
    target = 0
    for i in range(len(row)):
        start, end = col[i], col[i] + length[i]
        while start < end:
            column = start // width
            stop = min(end, (column + 1) * width)
            k = following[row[i] // height * across + column]
            pieces.row[k] = row[i] % height
            pieces.col[k] = start - column * width
            pieces.length[k] = stop - start
            pieces.target[k] = target
            following[row[i] // height * across + column] = k + 1
            target += stop - start
            start = stop


@compiled
def gather(block: Pixels, pieces: Pieces, first: int, last: int, pool: Pixels) -> None:
    """Copy pieces first..last - 1 from a block to their places in the pool."""
    for i in range(first, last):
        line, col, target = block[pieces.row[i]], np.uint64(pieces.col[i]), np.uint64(pieces.target[i])
        for k in range(np.uint64(pieces.length[i])):
            pool[target + k] = line[col + k]
