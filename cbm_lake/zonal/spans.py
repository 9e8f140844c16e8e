"""`SpanIndex`: the pixels of every parcel as spans (scanline runs), rasterised by GDAL's pixel-centre rule.

A pixel belongs to a parcel when its centre is inside, as `rasterio.features.rasterize(..., all_touched=False)` has it,
so that statistics equal those of rasterstats. Every parcel keeps its own spans: where parcels overlap, a pixel counts
for each of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from cbm_lake.errors import InvalidInputError
from cbm_lake.geo.windows import Window
from cbm_lake.zonal import scanlines
from cbm_lake.zonal.compiled import Floats, Ints, Ints32, Pixels, frozen
from cbm_lake.zonal.polygons import Geometries, Rings, as_affine, as_shapely, rings_of

ROW_BAND = 128
"""Parcels are visited in bands of so many raster rows, then by column: neighbours share cache lines."""

METADATA_KEY = b"cbm_lake.grid"

LARGEST_GEOMETRY = 1 << 20
"""Side in pixels up to which geometries beyond the raster are rasterised to be counted: 10,000 km at 10 m."""


Block: TypeAlias = Window
"""A rectangle of the raster that holds parcel pixels."""


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
    whole: Ints | None = None
    """Pixels of each whole geometry, inside the raster or not; None where `count_whole` has not counted them."""

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
        """The state to pickle, without cached values."""
        return SpanIndex, (self.shape, self.transform, self.offsets, self.row, self.col, self.length, self.whole)

    def to_table(self) -> pa.Table:
        """One row per parcel with its list of spans and, where known, `whole`; the grid is in the schema's metadata."""
        fields = {"row": self.row, "col": self.col, "length": self.length}
        spans = pa.StructArray.from_arrays([pa.array(v) for v in fields.values()], list(fields))
        lists = pa.LargeListArray.from_arrays(pa.array(self.offsets), spans)
        grid = json.dumps({"shape": self.shape, "transform": tuple(self.transform)[:6]})
        whole = {} if self.whole is None else {"whole": pa.array(self.whole)}
        return pa.table({"spans": lists, **whole}).replace_schema_metadata({METADATA_KEY: grid})

    def repeated(self, times: int, spacing: int) -> SpanIndex:
        """The index of the same parcels in a raster that shows them several times, one below the other.

        Args:
            times: how often; parcel i of copy k is number k · n_parcels + i.
            spacing: rows from one copy to the next, at least those of the raster.
        """
        down = np.repeat(np.arange(times) * spacing, len(self.row)).astype(self.row.dtype)
        ends = np.arange(times)[:, None] * len(self.row) + self.offsets[1:]
        offsets = np.concatenate([self.offsets[:1], ends.ravel()])
        whole = None if self.whole is None else np.tile(self.whole, times)
        row, col, length = (np.tile(values, times) for values in (self.row, self.col, self.length))
        shape = (times * spacing, self.shape[1])
        return SpanIndex(shape, self.transform, offsets, row + down, col, length, whole)

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
        whole = table["whole"].to_numpy() if "whole" in table.column_names else None
        return cls(tuple(grid["shape"]), Affine(*grid["transform"]), offsets - offsets[0], row, col, length, whole)

    def blocks(self, block_shape: tuple[int, int]) -> BlockPlan:
        """The plan to read only those blocks of the raster that hold parcel pixels; cached for all bands and scenes.

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
        pieces = np.zeros(down * across, np.int64)
        scanlines.count_pieces(spans, (height, width), across, pieces)
        ends = np.cumsum(pieces)
        inside = np.uint16 if max(height, width) < 1 << 16 else np.int32
        pooled = np.uint32 if index.pixel_count < 1 << 32 else np.int64
        targets = [np.empty(pieces.sum(), kind) for kind in (inside, inside, inside, pooled)]
        scanlines.cut_spans(spans, (height, width), across, ends - pieces, scanlines.Pieces(*targets))
        self.block_shape = (height, width)
        self.shape = index.shape
        self.offsets = index.pixel_offsets
        numbers = np.flatnonzero(pieces)
        self._blocks = [self._block(*divmod(int(number), across)) for number in numbers]
        self._starts = np.append(0, ends[numbers])
        self._pieces = scanlines.Pieces(*(frozen(values) for values in targets))

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
        scanlines.gather(frozen(block_array), self._pieces, self._starts[i], self._starts[i + 1], pool)


def build_index(geometries: Geometries, transform: Affine | Sequence[float], shape: tuple[int, int]) -> SpanIndex:
    """The pixels of every geometry on a grid, in the order given.

    Geometries that are missing, empty, outside the raster or without an area have no pixels.

    Args:
        geometries: shapely geometries (one, an array or list, GeoSeries, GeoDataFrame) or WKB (bytes, pyarrow array,
            numpy array or list of bytes) in the coordinate system of the raster, which a GeoSeries is not asked for;
            of collections the polygons count.
        transform: from (column, row) to map coordinates, without rotation; also as the numbers (a, b, c, d, e, f).
        shape: height and width of the raster in pixels.
    """
    transform = as_affine(transform)
    height, width = (int(size) for size in shape)
    boundaries = _boundaries(rings_of(geometries), transform)
    spans_bound, part_bound = scanlines.bounds(boundaries, height)
    row, col, length = (np.empty(spans_bound, np.int32) for _ in range(3))
    offsets = np.zeros(len(boundaries.parcels), np.int64)
    scanlines.scan(boundaries, (height, width), np.empty(part_bound, np.int32), (row, col, length), offsets)
    used = int(offsets[-1])
    return SpanIndex((height, width), transform, offsets, row[:used].copy(), col[:used].copy(), length[:used].copy())


def count_whole(geometries: Geometries, index: SpanIndex) -> Ints:
    """The number of pixels of each whole geometry on the unbounded grid, int64 of shape (parcels,).

    Geometries inside the raster have the pixels of the index. Those that its edge cuts are rasterised by the same rule
    on the grid continued round them; one of more than `LARGEST_GEOMETRY` pixels a side has its area divided by that of
    a pixel. Those that do not touch the raster have 0.

    Args:
        geometries: those of which the index was built, in its order.
        index: which pixels they have inside the raster.
    """
    import shapely

    shapes = as_shapely(geometries)
    inside = np.diff(index.pixel_offsets)
    first, last = _pixel_bounds(shapes, index.transform)
    touching = (last >= 0).all(axis=1) & (first <= index.shape).all(axis=1)  # false where there are no bounds
    cut = touching & ((first < 0).any(axis=1) | (last > index.shape).any(axis=1))
    huge = cut & (last - first > LARGEST_GEOMETRY).any(axis=1)
    whole = inside.copy()
    whole[huge] = shapely.area(shapes[huge]) / abs(index.transform.a * index.transform.e)
    cut &= ~huge
    if cut.any():
        start = np.floor(first[cut].min(axis=0)).astype(int)
        height, width = np.ceil(last[cut].max(axis=0)).astype(int) - start
        around = index.transform * Affine.translation(int(start[1]), int(start[0]))
        whole[cut] = np.diff(build_index(shapes[cut], around, (int(height), int(width))).pixel_offsets)
    return np.maximum(whole, inside)


def _pixel_bounds(shapes: npt.NDArray[np.object_], transform: Affine) -> tuple[Floats, Floats]:
    """First and last (row, column) of the geometries' bounds, (n, 2), in pixel coordinates; NaN where empty."""
    import shapely

    west, south, east, north = shapely.bounds(shapes).T.reshape(4, -1)
    rows = np.sort((np.array([north, south]) - transform.f) / transform.e, axis=0)
    columns = np.sort((np.array([west, east]) - transform.c) / transform.a, axis=0)
    bounds = np.stack([rows, columns], axis=-1)
    bounds[:, ~np.isfinite(bounds).all(axis=(0, 2))] = np.nan
    return bounds[0], bounds[1]


def _boundaries(rings: Rings, transform: Affine) -> scanlines.Outlines:
    """The polygons in map and pixel coordinates, in GDAL's order of operations so that ties are resolved alike."""
    x = -transform.c / transform.a + rings.xy[:, 0] * (1.0 / transform.a)  # GDALInvGeoTransform, then
    y = -transform.f / transform.e + rings.xy[:, 1] * (1.0 / transform.e)  # GDALApplyGeoTransform
    return scanlines.Outlines(*(frozen(values) for values in (rings.xy, x, y, rings.rings, rings.parts, rings.parcels)))
