"""Which pixels belong to which parcel: polygons turned into scanline spans by GDAL's pixel-centre rule.

A pixel belongs to a parcel when its centre is inside, as `rasterio.features.rasterize(..., all_touched=False)` has it,
so that statistics equal those of rasterstats. Every parcel keeps its own spans: where parcels overlap, a pixel counts
for each of them.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine
from numba.core import event

from cbm_lake.errors import InvalidInputError

log = logging.getLogger(__name__)

Ints = npt.NDArray[np.int64]
Ints32 = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[Any]
Spans = tuple[Ints32, Ints32, Ints32]
Function = TypeVar("Function", bound=Callable[..., Any])

ROW_BAND = 128
"""Parcels are visited in bands of so many raster rows, then by column: neighbours share cache lines."""

POLYGON = 3
"""The type number of a polygon in GEOS; those of collections are greater."""

METADATA_KEY = b"cbm_lake.grid"

_COMPILED: set[Callable[..., Any]] = set()


def compiled(function: Function) -> Function:
    """The function as machine code without the interpreter's lock, cached on disk wherever a folder is writable."""
    _COMPILED.add(function)
    try:
        return cast("Function", numba.njit(nogil=True, cache=True)(function))
    except RuntimeError:  # numba found no folder to write to: compile anew in every process
        return cast("Function", numba.njit(nogil=True)(function))


class _CompileNotice(event.Listener):
    """Says once per process that kernels are being compiled; numba tells it only when its disk cache had none."""

    def __init__(self) -> None:
        self.said = False
        self.depth = 0
        self.began = 0.0

    def on_start(self, event: event.Event) -> None:
        if event.data["dispatcher"].py_func not in _COMPILED:
            return
        self.depth += 1
        self.began = self.began if self.depth > 1 else time.perf_counter()
        if not self.said:
            self.said = True
            log.warning("compiling the statistics kernels for this machine, about 20 seconds, once …")

    def on_end(self, event: event.Event) -> None:
        if event.data["dispatcher"].py_func not in _COMPILED:
            return
        self.depth -= 1
        if self.depth == 0:
            log.info("compiled in %.1f s", time.perf_counter() - self.began)


event.register("numba:compile", _CompileNotice())  # type: ignore[no-untyped-call]


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A contiguous, native, read-only view: numba compiles anew for every other kind, so kernels see this one only."""
    view = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).view()
    view.flags.writeable = False
    return view


class Outlines(NamedTuple):
    """The outlines of all parcels, as kernels read them."""

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


class Block(NamedTuple):
    """A rectangle of the raster that holds parcel pixels, all in pixels."""

    row: int
    col: int
    height: int
    width: int


class Visit(NamedTuple):
    """Parcels by row band, then by column: neighbours share cache lines, and spans are read one after another."""

    order: Ints
    """The parcels' numbers."""
    offsets: Ints
    """Where the spans of each parcel visited begin."""
    start: Ints
    """The number of each span's first pixel in the flattened raster."""
    length: Ints32


@dataclass(frozen=True, eq=False)
class SpanIndex:
    """The pixels of every parcel on one grid, as scanline spans: rows of parcel i are at offsets[i]:offsets[i + 1].

    Spans of a parcel are in row-major order, do not overlap, and lie wholly inside the raster.
    """

    shape: tuple[int, int]
    """Height and width of the raster in pixels."""
    transform: Affine
    """From (column, row) to map coordinates."""
    offsets: Ints
    """Where each parcel's spans begin; one more than there are parcels."""
    row: Ints32
    col: Ints32
    length: Ints32

    @property
    def n_parcels(self) -> int:
        """The number of parcels, those without pixels included."""
        return len(self.offsets) - 1

    @property
    def pixel_count(self) -> int:
        """The number of parcel pixels; a pixel in two parcels counts twice."""
        return int(self.pixel_offsets[-1])

    @cached_property
    def pixel_offsets(self) -> Ints:
        """Where each parcel's pixels begin in a parcel-contiguous pool; one more than there are parcels."""
        total = np.zeros(len(self.length) + 1, np.int64)
        np.cumsum(self.length, out=total[1:])
        return total[self.offsets]

    @cached_property
    def visit(self) -> Visit:
        """The spans once more in the order in which the raster's memory is read fastest; made at first use."""
        number = np.diff(self.offsets)
        start = self.row.astype(np.int64) * self.shape[1] + self.col
        first = start[np.minimum(self.offsets[:-1], len(start) - 1)] if len(start) else self.offsets[:-1]
        row, col = first // self.shape[1], first % self.shape[1]
        order = np.argsort(row // ROW_BAND * self.shape[1] + col, kind="stable")
        offsets = np.zeros(len(order) + 1, np.int64)
        np.cumsum(number[order], out=offsets[1:])
        spans = np.repeat(self.offsets[:-1][order] - offsets[:-1], number[order]) + np.arange(offsets[-1])
        return Visit(*(frozen(v) for v in (order, offsets, start[spans], self.length[spans])))

    def __reduce__(self) -> tuple[Any, ...]:
        """What travels to a worker: not what was computed and kept."""
        return SpanIndex, (self.shape, self.transform, self.offsets, self.row, self.col, self.length)

    def to_table(self) -> pa.Table:
        """One row per parcel with its list of spans; the grid is in the schema's metadata."""
        fields = {"row": self.row, "col": self.col, "length": self.length}
        spans = pa.StructArray.from_arrays([pa.array(v) for v in fields.values()], list(fields))
        lists = pa.LargeListArray.from_arrays(pa.array(self.offsets), spans)
        grid = json.dumps({"shape": self.shape, "transform": tuple(self.transform)[:6]})
        return pa.table({"spans": lists}).replace_schema_metadata({METADATA_KEY: grid})

    @classmethod
    def from_table(cls, table: pa.Table) -> SpanIndex:
        """The index that `to_table` made a table of."""
        metadata = table.schema.metadata or {}
        if METADATA_KEY not in metadata or "spans" not in table.column_names:
            raise InvalidInputError("this table is not a span index: build it again with build_index")
        grid = json.loads(metadata[METADATA_KEY])
        lists = table["spans"].combine_chunks()
        lists = lists.chunk(0) if isinstance(lists, pa.ChunkedArray) else lists
        spans = lists.flatten()
        row, col, length = (spans.field(i).to_numpy() for i in range(3))
        offsets = lists.offsets.to_numpy()
        return cls(tuple(grid["shape"]), Affine(*grid["transform"]), offsets - offsets[0], row, col, length)

    def blocks(self, block_shape: tuple[int, int]) -> BlockPlan:
        """The plan to read only those blocks of the raster that hold parcel pixels; kept, for all bands and scenes.

        Args:
            block_shape: height and width of a block in pixels, as the file is tiled.
        """
        height, width = (int(size) for size in block_shape)
        if (height, width) not in self._plans:
            self._plans[height, width] = BlockPlan(self, (height, width))
        return self._plans[height, width]

    @cached_property
    def _plans(self) -> dict[tuple[int, int], BlockPlan]:
        """Plans by block shape; two threads may make the same one, and then either is as good."""
        return {}


class BlockPlan(Sequence[Block]):
    """The blocks that hold parcel pixels, in row-major order, and how their pixels are copied into a pool."""

    def __init__(self, index: SpanIndex, block_shape: tuple[int, int]) -> None:
        height, width = (int(size) for size in block_shape)
        if height < 1 or width < 1:
            raise InvalidInputError(f"block shape {block_shape} is not positive: give height and width in pixels")
        down, across = -(-index.shape[0] // height), -(-index.shape[1] // width)
        spans = frozen(index.row), frozen(index.col), frozen(index.length)
        held = np.zeros(down * across, np.int64)
        _count_pieces(spans, (height, width), across, held)
        ends = np.cumsum(held)
        inside = np.uint16 if max(height, width) < 1 << 16 else np.int32
        pooled = np.uint32 if index.pixel_count < 1 << 32 else np.int64
        places = [np.empty(held.sum(), kind) for kind in (inside, inside, inside, pooled)]
        _cut_spans(spans, (height, width), across, ends - held, Pieces(*places))
        self.block_shape = (height, width)
        self.shape = index.shape
        self.offsets = index.pixel_offsets
        numbers = np.flatnonzero(held)
        self._blocks = [self._block(*divmod(int(number), across)) for number in numbers]
        self._starts = np.append(0, ends[numbers])
        self._pieces = Pieces(*(frozen(values) for values in places))

    @property
    def pixel_count(self) -> int:
        """The length of the pool."""
        return int(self.offsets[-1])

    def _block(self, down: int, across: int) -> Block:
        """The block of that row and column of blocks, clipped to the raster."""
        (height, width), (rows, columns) = self.block_shape, self.shape
        row, col = down * height, across * width
        return Block(row, col, min(height, rows - row), min(width, columns - col))

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, i: int) -> Block:  # type: ignore[override]
        return self._blocks[i]

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    def new_pool(self, dtype: npt.DTypeLike, fill: float = 0) -> Pixels:
        """An empty pool for one band, filled with a value that stands until blocks are gathered (nodata)."""
        # zeros come from the system as they are first touched, which is cheaper than writing them
        return np.full(self.pixel_count, fill, dtype) if fill else np.zeros(self.pixel_count, dtype)

    def gather(self, block_array: Pixels, i: int, pool: Pixels) -> None:
        """Copy the parcel pixels of block i into the pool; several threads may gather different blocks at once.

        Args:
            block_array: the block's pixels, 2-D; at least as large as the block (a padded edge block is accepted).
            i: the number of the block.
            pool: one value per parcel pixel of the whole index, of the same dtype.
        """
        i = range(len(self))[i]
        block = self._blocks[i]
        if block_array.ndim != 2 or block_array.shape[0] < block.height or block_array.shape[1] < block.width:
            raise InvalidInputError(
                f"block {i} has shape {block_array.shape}, not {(block.height, block.width)}: read the whole block"
            )
        if pool.dtype != block_array.dtype or len(pool) != self.pixel_count:
            raise InvalidInputError(
                f"the pool holds {len(pool)} {pool.dtype}, not {self.pixel_count} {block_array.dtype}: "
                "make it with new_pool"
            )
        _gather(frozen(block_array), self._pieces, self._starts[i], self._starts[i + 1], pool)


def build_index(geometries: Any, transform: Affine, shape: tuple[int, int]) -> SpanIndex:
    """The pixels of every geometry on a grid, in the order given.

    Geometries that are missing, empty, outside the raster or without an area have no pixels.

    Args:
        geometries: shapely geometries (array, list, GeoSeries) or WKB (pyarrow array, numpy array or list of bytes)
            in the coordinate system of the raster; of collections the polygons count.
        transform: from (column, row) to map coordinates, without rotation.
        shape: height and width of the raster in pixels.
    """
    check_unrotated(transform)
    height, width = (int(size) for size in shape)
    outlines = _outlines(*_without_infinite(*_rings(geometries)), transform)
    spans_bound, part_bound = _bounds(outlines, height)
    row, col, length = (np.empty(spans_bound, np.int32) for _ in range(3))
    offsets = np.zeros(len(outlines.parcels), np.int64)
    _scan(outlines, (height, width), np.empty(part_bound, np.int32), (row, col, length), offsets)
    used = int(offsets[-1])
    return SpanIndex((height, width), transform, offsets, row[:used].copy(), col[:used].copy(), length[:used].copy())


def check_unrotated(transform: Affine) -> None:
    """Raise InvalidInputError for a transform with rotation or without pixel size."""
    if transform.b or transform.d or not transform.a or not transform.e:
        raise InvalidInputError(f"the transform {tuple(transform)[:6]} is rotated or has no pixel size: warp it first")


def polygon_parts(geometries: Any) -> tuple[npt.NDArray[np.object_], Ints, int]:
    """The polygons of all geometries (see `build_index`), to which geometry each belongs, and how many there are."""
    import shapely

    shapes = _as_shapely(geometries)
    polygons, owner = shapely.get_parts(shapes, return_index=True)
    while (shapely.get_type_id(polygons) > POLYGON).any():  # a collection in a collection
        polygons, inner = shapely.get_parts(polygons, return_index=True)
        owner = owner[inner]
    filled = (shapely.get_type_id(polygons) == POLYGON) & ~shapely.is_empty(polygons)
    return polygons[filled], owner[filled], len(shapes)


def _rings(geometries: Any) -> tuple[Floats, Ints, Ints, Ints]:
    """Coordinates (n, 2), then where rings, polygons and parcels begin among coordinates, rings and polygons."""
    import shapely

    polygons, owner, number = polygon_parts(geometries)
    rings, polygon_of = shapely.get_rings(polygons, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    return xy, _starts(ring_of, len(rings)), _starts(polygon_of, len(polygons)), _starts(owner, number)


def _outlines(xy: Floats, rings: Ints, parts: Ints, parcels: Ints, transform: Affine) -> Outlines:
    """The outlines in map and pixel coordinates, by GDAL's order of operations so that ties fall alike."""
    x = -transform.c / transform.a + xy[:, 0] * (1.0 / transform.a)  # GDALInvGeoTransform, then
    y = -transform.f / transform.e + xy[:, 1] * (1.0 / transform.e)  # GDALApplyGeoTransform
    return Outlines(*(frozen(values) for values in (xy, x, y, rings, parts, parcels)))


def _starts(owner: Ints, number: int) -> Ints:
    """Where each of `number` owners begins in a sorted list of owners, and where the last one ends."""
    starts = np.zeros(number + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=number), out=starts[1:])
    return starts


def _as_shapely(geometries: Any) -> npt.NDArray[np.object_]:
    """One object array of shapely geometries (None where missing) of whatever was given."""
    import shapely

    if isinstance(geometries, pa.Array | pa.ChunkedArray):
        storage = geometries.combine_chunks() if isinstance(geometries, pa.ChunkedArray) else geometries
        storage = storage.storage if isinstance(storage, pa.ExtensionArray) else storage
        values = np.array(storage.to_pylist(), dtype=object)
    else:
        values = np.fromiter(geometries, dtype=object)
    if any(isinstance(value, bytes | bytearray | memoryview) for value in values):
        try:
            return np.asarray(shapely.from_wkb(values), dtype=object)
        except shapely.errors.GEOSException as err:
            raise InvalidInputError(f"a geometry is not well-known binary ({err}): correct the file") from err
    missing = np.array([value is None or (isinstance(value, float) and math.isnan(value)) for value in values], bool)
    values[missing] = None
    if not (shapely.is_geometry(values) | missing).all():
        raise InvalidInputError("geometries must be shapely geometries or well-known binary: convert them first")
    return values


def _without_infinite(xy: Floats, rings: Ints, parts: Ints, parcels: Ints) -> tuple[Floats, Ints, Ints, Ints]:
    """The same without the polygons of parcels that have infinite coordinates (a failed reprojection)."""
    bad = ~np.isfinite(xy).all(axis=1)
    if not bad.any():
        return xy, rings, parts, parcels
    first = rings[parts[parcels]]
    broken = np.diff(np.concatenate([[0], np.cumsum(bad)])[first]) > 0
    log.warning(
        "%d parcels with infinite coordinates have no pixels, first at position %d", broken.sum(), broken.argmax()
    )
    keep_part = np.repeat(~broken, np.diff(parcels))
    keep_ring = np.repeat(keep_part, np.diff(parts))
    keep_xy = np.repeat(keep_ring, np.diff(rings))
    counts = np.diff(rings)[keep_ring], np.diff(parts)[keep_part], np.where(broken, 0, np.diff(parcels))
    starts = [np.concatenate([[0], np.cumsum(count)]) for count in counts]
    return xy[keep_xy], starts[0], starts[1], starts[2]


# Kernels. A row of pixels is crossed by an edge when lower <= row + 0.5 < upper; a crossing at x begins or ends a span
# at pixel floor(x + 0.5). These are the rules of GDALdllImageFilledPolygon in GDAL's alg/llrasterize.cpp.


@compiled
def _row_at(y: float, height: int) -> int:
    """The first pixel row whose centre is at or after y, kept inside 0..height."""
    return int(min(max(math.ceil(y - 0.5), 0.0), float(height)))


@compiled
def _column_at(x: float, width: int) -> int:
    """The pixel column at which a span begins or ends that is crossed at x, kept inside 0..width."""
    return int(min(max(math.floor(x + 0.5), 0.0), float(width)))


@compiled
def _bounds(outlines: Outlines, height: int) -> tuple[int, int]:
    """At most so many spans in all, and so many crossings in one polygon."""
    y, rings, parts = outlines.y, outlines.rings, outlines.parts
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
def _scan(outlines: Outlines, shape: tuple[int, int], crossings: Ints32, spans: Spans, offsets: Ints) -> None:
    """Write the spans of every parcel and where they begin; `crossings` is room for one polygon."""
    row, col, length = spans
    parts, parcels = outlines.parts, outlines.parcels
    ends = np.zeros(shape[0] + 1, np.int64)
    written = 0
    for parcel in range(len(parcels) - 1):
        begin = written
        disordered = parcels[parcel + 1] - parcels[parcel] > 1
        for part in range(parcels[parcel], parcels[parcel + 1]):
            written = _scan_part(outlines, part, shape, crossings, ends, spans, written)
            before = written
            for ring in range(parts[part], parts[part + 1]):
                written = _scan_level(outlines, ring, shape, spans, written)
            disordered |= written > before
        if disordered:
            _sort_spans(row[begin:written], col[begin:written], length[begin:written])
        written = begin + _unite(row[begin:written], col[begin:written], length[begin:written])
        offsets[parcel + 1] = written


@compiled
def _scan_part(
    outlines: Outlines,
    part: int,
    shape: tuple[int, int],
    crossings: Ints32,
    ends: Ints,
    spans: Spans,
    written: int,
) -> int:
    """Append the spans of one polygon; the number of spans then written."""
    height = shape[0]
    begin, end = outlines.rings[outlines.parts[part]], outlines.rings[outlines.parts[part + 1]]
    top, bottom = height, 0
    for i in range(begin, end):
        line = _row_at(outlines.y[i], height)
        top, bottom = min(top, line), max(bottom, line)
    if bottom <= top:
        return written
    _bucket_crossings(outlines, part, shape, (top, bottom), crossings, ends)
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
    outlines: Outlines,
    part: int,
    shape: tuple[int, int],
    lines: tuple[int, int],
    crossings: Ints32,
    ends: Ints,
) -> None:
    """Write the columns at which a polygon's edges cross the rows top..bottom - 1, row by row.

    `ends` gets where each row's crossings end.
    """
    x, y, rings = outlines.x, outlines.y, outlines.rings
    height, width = shape
    top = lines[0]
    _count_crossings(outlines, part, height, lines, ends)
    for ring in range(outlines.parts[part], outlines.parts[part + 1]):
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
def _count_crossings(outlines: Outlines, part: int, height: int, lines: tuple[int, int], ends: Ints) -> None:
    """Set `ends` to where each row's crossings begin: filling them moves it to where they end."""
    y, rings = outlines.y, outlines.rings
    top, bottom = lines
    ends[: bottom - top + 1] = 0
    for ring in range(outlines.parts[part], outlines.parts[part + 1]):
        previous = rings[ring + 1] - 1
        for i in range(rings[ring], rings[ring + 1]):
            a, b = _row_at(y[i], height), _row_at(y[previous], height)
            for line in range(min(a, b), max(a, b)):
                ends[line - top + 1] += 1
            previous = i
    for k in range(bottom - top):
        ends[k + 1] += ends[k]


@compiled
def _scan_level(outlines: Outlines, ring: int, shape: tuple[int, int], spans: Spans, written: int) -> int:
    """Append the spans of a ring's horizontal edges through pixel centres; the number of spans then written.

    Of a ring turned clockwise GDAL fills the edges that run leftwards.
    """
    x, y = outlines.x, outlines.y
    height, width = shape
    begin, end = outlines.rings[ring], outlines.rings[ring + 1]
    previous = end - 1
    for i in range(begin, end):
        line = y[i] - 0.5
        if y[i] == y[previous] and x[i] != x[previous] and 0 <= line < height and line == math.floor(line):
            leftwards = x[previous] > x[i]
            left = _column_at(min(x[i], x[previous]), width)
            right = _column_at(max(x[i], x[previous]), width)
            if right > left and leftwards == _is_clockwise(outlines.xy[begin:end]):
                _write_span(spans, written, int(line), left, right)
                written += 1
        previous = i
    return written


@compiled
def _write_span(spans: Spans, place: int, line: int, left: int, right: int) -> None:
    """Write one span, columns left..right - 1 of a row."""
    spans[0][place] = line
    spans[1][place] = left
    spans[2][place] = right - left


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
    kept = 0
    for i in range(len(row)):
        if kept and row[kept - 1] == row[i] and col[kept - 1] + length[kept - 1] >= col[i]:
            length[kept - 1] = max(length[kept - 1], col[i] + length[i] - col[kept - 1])
        else:
            row[kept], col[kept], length[kept] = row[i], col[i], length[i]
            kept += 1
    return kept


@compiled
def _count_pieces(spans: Spans, block: tuple[int, int], across: int, held: Ints) -> None:
    """Count into `held` the pieces that spans leave in each block; `across` blocks lie side by side."""
    row, col, length = spans
    height, width = block
    for i in range(len(row)):
        begin = row[i] // height * across
        for number in range(begin + col[i] // width, begin + (col[i] + length[i] - 1) // width + 1):
            held[number] += 1


@compiled
def _cut_spans(spans: Spans, block: tuple[int, int], across: int, following: Ints, pieces: Pieces) -> None:
    """Write the pieces of all spans, each at its block's following place."""
    row, col, length = spans
    height, width = block
    place = 0
    for i in range(len(row)):
        start, end = col[i], col[i] + length[i]
        while start < end:
            column = start // width
            stop = min(end, (column + 1) * width)
            k = following[row[i] // height * across + column]
            pieces.row[k] = row[i] % height
            pieces.col[k] = start - column * width
            pieces.length[k] = stop - start
            pieces.target[k] = place
            following[row[i] // height * across + column] = k + 1
            place += stop - start
            start = stop


@compiled
def _gather(block: Pixels, pieces: Pieces, first: int, last: int, pool: Pixels) -> None:
    """Copy pieces first..last - 1 from a block to their places in the pool."""
    for i in range(first, last):
        line, col, target = block[pieces.row[i]], np.uint64(pieces.col[i]), np.uint64(pieces.target[i])
        for k in range(np.uint64(pieces.length[i])):
            pool[target + k] = line[col + k]
