"""The sample of a grid that shifts are measured on: a window with many parcels, or several, one below another.

Windows lie inside blocks of the cube, so that few are decoded. Parcels are in pixels of the image, cut to their window.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import shapely
from affine import Affine

from cbm_lake import zonal
from cbm_lake.geo.areas import DEGREES
from cbm_lake.geo.reprojection import reprojected, transformer
from cbm_lake.guard.borders import Borders, Shapes, trace
from cbm_lake.guard.registration import blurred, tiles
from cbm_lake.guard.tilesums import Image, Mask
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel.chips.pixels import Reader
from cbm_lake.parcel.chips.scenes import Scene
from cbm_lake.rasters import CHUNK, Grid, Window
from cbm_lake.zonal.compiled import Floats, Ints

log = logging.getLogger(__name__)

RED: Final = "B04"
NIR: Final = "B08"
CLASSES: Final = "SCL"
SCREEN: Final = (0, 1, 3, 8, 9, 10, 11)
"""Scene classes that count as no ground: no data, saturated, cloud shadow, cloud, cirrus, snow."""
SIZES: Final = ((1, 8), (9, 20), (21, 50), (51, 150), (151, None))
"""Size classes of parcels, in pixels."""
_WINDOWS: Final = 3
"""Most windows."""
_ENOUGH: Final = 150
"""Parcels with which no further window is taken: their borders say more than the error of what was declared."""
_PARCELS: Final = 250
"""Most parcels of a window."""
_TILES: Final = 64
"""Most tiles of the sample: the error of a displacement is far below its floor with fewer."""
_ROOM: Final = 16
"""Pixels round the parcels."""
_SMALLEST: Final = 352
"""Pixels a side of a window, where the block is as large: what lies round few parcels shows displacements, too."""
_APART: Final = 8
"""Pixels between two windows in the image."""
_CLOUD_EDGE: Final = 7
"""Pixels a side of the square with a cloud in it that is not clear."""


@dataclass(frozen=True)
class Look:
    """The sample in one scene."""

    red: Image
    nir: Image
    clear: Mask

    @property
    def share(self) -> float:
        """The clear share of the pixels."""
        return float(self.clear.mean())

    @property
    def bands(self) -> tuple[Image, Image]:
        """Both images."""
        return self.red, self.nir

    @cached_property
    def references(self) -> tuple[Image, Image]:
        """The images as others are registered to them."""
        return blurred(self.red), blurred(self.nir)


@dataclass(frozen=True)
class Sheet:
    """The sample of a grid."""

    grid: Grid
    windows: tuple[Window, ...]
    tops: tuple[int, ...]
    """Row of the image at which each window begins."""
    shape: tuple[int, int]
    shapes: Shapes
    """Parcels in pixels of the image."""

    @cached_property
    def borders(self) -> Borders:
        """Those of the parcels."""
        return trace(self.shapes, self.shape)

    @cached_property
    def corners(self) -> Ints:
        """Upper left corners of the tiles, (n, 2)."""
        most = _TILES // max(len(self.windows), 1)
        parts = [
            tiles((window.height, window.width), most) + np.array([top, 0])
            for window, top in zip(self.windows, self.tops, strict=True)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 2), np.int64)

    @cached_property
    def pixels(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Row, column and parcel of each pixel of parcels that do not touch the image's edge, and their counts."""
        index = zonal.build_index(self.shapes, Affine(1, 0, 0, 0, 1, 0), self.shape)
        span = np.repeat(np.arange(len(index.length)), index.length)
        col = index.col[span] + np.arange(len(span)) - (np.cumsum(index.length) - index.length)[span]
        row, counts = index.row[span].astype(np.int64), np.diff(index.pixel_offsets)
        parcel = np.repeat(np.arange(len(counts)), counts)
        inside = (row > 0) & (col > 0) & (row < self.shape[0] - 1) & (col < self.shape[1] - 1)
        whole = np.bincount(parcel, inside, len(counts)) == counts
        used = whole[parcel]
        return row[used], col[used], parcel[used], np.where(whole, counts, 0)

    def read(self, reader: Reader, scene: Scene) -> Look:
        """The sample in a scene.

        Raises:
            SourceError: it lacks a band or its classes, or a file cannot be read.
        """
        parts = [self._part(reader, scene, window) for window in self.windows]
        bands = [np.zeros(self.shape, np.float32) for _ in range(2)]
        clear = np.zeros(self.shape, bool)
        for (red, nir, part), window, top in zip(parts, self.windows, self.tops, strict=True):
            window_slices = slice(top, top + window.height), slice(0, window.width)
            bands[0][window_slices], bands[1][window_slices], clear[window_slices] = red, nir, part
        return Look(bands[0], bands[1], clear)

    def _part(self, reader: Reader, scene: Scene, window: Window) -> tuple[Image, Image, Mask]:
        from scipy import ndimage

        red, nir = (reader.pixels(scene, band, window) for band in (RED, NIR))
        transform = self.grid.transform * Affine.translation(window.col, window.row)
        x = transform.c + (np.arange(window.width) + 0.5) * transform.a
        y = transform.f + (np.arange(window.height) + 0.5) * transform.e
        classes = reader.at(scene, CLASSES, self.grid.epsg, x, y)
        clear = (red > 0) & (nir > 0) & ~np.isin(classes, SCREEN)
        if not clear.all():
            clear = np.asarray(ndimage.minimum_filter(clear, _CLOUD_EDGE, mode="nearest"))
            red = np.where(red > 0, red, np.median(red[red > 0]) if red.any() else 0)
        return red.astype(np.float32), nir.astype(np.float32), clear

    def slopes(self, look: Look) -> list[dict[str, float | int | None]]:
        """How fast the mean NDVI of parcels changes with a shift, by size class; see schemas.SHIFTS, but per pixel."""
        ndvi = (look.nir - look.red) / np.maximum(look.red + look.nir, 1)
        row, col, parcel, counts = self.pixels
        right = 0.5 * (ndvi[row, col + 1] - ndvi[row, col - 1])
        down = 0.5 * (ndvi[row + 1, col] - ndvi[row - 1, col])
        clear = np.bincount(parcel, look.clear[row, col], len(counts)) == counts
        sums = [np.bincount(parcel, values, len(counts)) for values in (right, down)]
        steep = np.sqrt(0.5 * (sums[0] ** 2 + sums[1] ** 2)) / np.maximum(counts, 1)
        return [_slope(fewest, most, counts, steep, clear) for fewest, most in SIZES]


def _slope(fewest: int, most: int | None, counts: Ints, steep: Floats, clear: Mask) -> dict[str, float | int | None]:
    of_class = steep[clear & (counts >= fewest) & (counts <= (most or counts.max(initial=0)))]
    median, p90 = np.quantile(of_class, [0.5, 0.9]) if len(of_class) else (None, None)
    return {"fewest": fewest, "most": most, "parcels": len(of_class), "median": median, "p90": p90}


def sample(lake: Lake, parcels: ParcelSet, grid: Grid) -> Sheet:
    """The sample of a grid: the windows with most parcels.

    Args:
        lake: that holds the parcels.
        parcels: their set.
        grid: with pixels of 10 m.
    """
    table = lake.read_parcels(parcels, ["geometry", "epsg", "centroid_lon", "centroid_lat"])
    x, y = transformer(DEGREES, grid.epsg).transform(table["centroid_lon"].to_numpy(), table["centroid_lat"].to_numpy())
    centres = np.column_stack(~grid.transform * (x, y)).reshape(-1, 2)
    parts: list[Shapes] = []
    windows: list[Window] = []
    tops: list[int] = []
    top = 0
    for members in _crowded(centres, grid):
        shapes = _in_pixels(table.take(members), grid)
        window = _window(shapes, centres[members], grid)
        parts.append(_laid_out(shapes, window, top))
        windows.append(window)
        tops.append(top)
        top += window.height + _APART
    height, width = max(top - _APART, 0), max((window.width for window in windows), default=0)
    joined = np.concatenate(parts) if parts else np.zeros(0, object)
    return Sheet(grid, tuple(windows), tuple(tops), (height, width), joined)


def _in_pixels(table: pa.Table, grid: Grid) -> Shapes:
    """The geometries of a table of parcels, in pixels of a grid."""
    stored = shapely.make_valid(shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False)))
    shapes = reprojected(stored, table["epsg"][0].as_py(), grid.epsg)
    inverse = ~grid.transform
    return np.asarray(shapely.transform(shapes, lambda xy: np.column_stack(inverse * (xy[:, 0], xy[:, 1]))))


def _laid_out(shapes: Shapes, window: Window, top: int) -> Shapes:
    """The polygons of parcels cut to a window, in pixels of the image."""
    box = shapely.box(window.col, window.row, window.col + window.width, window.row + window.height)
    cut = shapely.intersection(shapes, box)
    cut = cut[shapely.area(cut) > 0]
    return np.asarray(shapely.transform(cut, lambda xy: xy + np.array([-window.col, top - window.row])))


def _crowded(centres: Floats, grid: Grid) -> list[Ints]:
    """The numbers of the parcels of the blocks with most of them, of each block."""
    inside = np.flatnonzero(((centres >= 0) & (centres < grid.shape[::-1])).all(axis=1))
    across = -(-grid.shape[1] // CHUNK)
    block = (centres[inside, 1] // CHUNK * across + centres[inside, 0] // CHUNK).astype(np.int64)
    numbers, counts = np.unique(block, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_WINDOWS]
    needed = int(np.searchsorted(np.cumsum(counts[order]), _ENOUGH)) + 1
    return [_middle(inside[block == number], centres) for number in numbers[order[:needed]]]


def _middle(members: Ints, centres: Floats) -> Ints:
    """Those in the middle, where there are too many."""
    if len(members) <= _PARCELS:
        return members
    away = np.abs(centres[members] - np.median(centres[members], axis=0)).max(axis=1)
    return np.sort(members[np.argsort(away, kind="stable")[:_PARCELS]])


def _window(shapes: Shapes, centres: Floats, grid: Grid) -> Window:
    """The pixels round parcels, inside the block that their centres lie in."""
    start = (centres[0, ::-1] // CHUNK * CHUNK).astype(int)
    end = np.minimum(start + CHUNK, grid.shape)
    west, north, east, south = shapely.total_bounds(shapes)
    first, last = np.floor([north, west]).astype(int), np.ceil([south, east]).astype(int)
    room = np.maximum(_ROOM, -((first - last + _SMALLEST) // -2))
    first, last = np.maximum(first - room, start), np.minimum(last + room, end)
    return Window(int(first[0]), int(first[1]), int(last[0] - first[0]), int(last[1] - first[1]))
