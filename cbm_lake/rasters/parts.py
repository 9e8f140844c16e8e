"""Parts of rasters: what is read of a scene for a polygon that nobody extracts, out of the cube or the scene's file.

Nothing is written: a block that the cube lacks is read from the file each time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import zarr
from affine import Affine

from cbm_lake.errors import SourceError
from cbm_lake.rasters import Grid, PixelArray, Raster, Window, shards
from cbm_lake.rasters.blocks import CubeSource, DamagedError
from cbm_lake.rasters.readers import source
from cbm_lake.storage import stores
from cbm_lake.storage.access import zarr_store
from cbm_lake.storage.store import Store, translated

if TYPE_CHECKING:
    from cbm_lake.storage.access import ZarrArray

_READERS: Final = 4
"""Blocks of a stack that are read side by side."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredPixels:
    """The cube of a card and grid, and the slot in it of a scene."""

    url: str
    slot: int
    store: Store = field(compare=False, repr=False)
    """Of the cube."""
    arrays: dict[str, tuple[ZarrArray, bool] | None] = field(default_factory=dict, compare=False, repr=False)
    """Those that were opened, by band, and whether `shards` can read them; None where the cube has no such band.

    Shared between scenes, as the store is.
    """

    def read(self, band: str, raster: Raster, window: Window) -> PixelArray | None:
        """The pixels of a window inside the raster; None where the cube lacks some.

        Raises:
            DamagedError: a block that it needs is damaged.
            SourceError: the cube cannot be read.
        """
        opened = self._array(band)
        if opened is None or self.slot >= opened[0].shape[0]:
            return None
        array, is_readable = opened
        if not is_readable:
            return CubeSource(self.url, band, self.slot, raster, array=array).stored(window)
        return shards.window(self.store, band, self.slot, array, window)

    def _array(self, band: str) -> tuple[ZarrArray, bool] | None:
        if band not in self.arrays:
            with translated("open", f"{self.url}/{band}"):
                try:
                    array = zarr.open_array(zarr_store(self.url), path=band, mode="r")
                    self.arrays[band] = array, shards.is_readable(array)
                except FileNotFoundError:
                    self.arrays[band] = None
        return self.arrays[band]


@dataclass(frozen=True)
class RasterPart(Raster):
    """A rectangle of a raster, as a raster of its own."""

    whole: Raster = field(kw_only=True)
    corner: tuple[int, int] = field(kw_only=True)
    """Row and column in the whole one of its first pixel."""
    stored: StoredPixels | None = field(default=None, kw_only=True)
    """Where its pixels may be, besides its file."""

    @classmethod
    def of(cls, raster: Raster, window: Window, stored: StoredPixels | None = None) -> RasterPart:
        """The part of a raster that a window inside it shows."""
        transform = raster.grid.transform * Affine.translation(window.col, window.row)
        grid = Grid(raster.grid.epsg, transform, (window.height, window.width))
        return cls(**_header(raster, grid), whole=raster, corner=(window.row, window.col), stored=stored)


@dataclass(frozen=True)
class RasterStack(Raster):
    """Equally large parts of the rasters of several scenes, one below the other, as one raster.

    So a job has the statistics of many scenes at once: to it they are the pixels of as many copies of its polygons.
    """

    parts: tuple[RasterPart, ...] = field(kw_only=True)
    """From the top; each is followed by as many rows without data as make it `spacing` high."""
    spacing: int = field(kw_only=True)

    @classmethod
    def of(cls, parts: Sequence[RasterPart], spacing: int) -> RasterStack:
        """The stack of parts of one shape, dtype and encoding, a part every `spacing` rows."""
        first = parts[0]
        grid = replace(first.grid, shape=(spacing * len(parts), first.grid.shape[1]))
        header = {**_header(first, grid), "block": (spacing, first.grid.shape[1]), "stamp": ""}
        return cls(**header, parts=tuple(parts), spacing=spacing)


def _header(raster: Raster, grid: Grid) -> dict[str, Any]:
    """The fields of a part of a raster that has that grid."""
    own = {item.name: getattr(raster, item.name) for item in fields(Raster)}
    return {**own, "grid": grid, "block": grid.shape}


class StackSource:
    """Blocks of a stack, each that of one part."""

    def __init__(self, stack: RasterStack, band: str, threads: int = 1) -> None:
        self._stack, self._band, self._threads = stack, band, threads

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `readers.Source`; windows are blocks of the stack."""
        with ThreadPoolExecutor(_READERS, "stack") as pool:
            yield from pool.map(self._block, windows)

    def _block(self, window: Window) -> PixelArray:
        part = self._stack.parts[window.row // self._stack.spacing]
        height, width = part.grid.shape
        pixels = np.zeros((window.height, window.width), part.pixel_dtype)
        (pixels[:height],) = PartSource(part, self._band, self._threads).read([Window(0, 0, height, width)])
        return pixels


class PartSource:
    """Blocks of a part of a raster: out of the cube where it has them all, else of the scene's file."""

    def __init__(self, part: RasterPart, band: str, threads: int = 1) -> None:
        self._part, self._band, self._threads = part, band, threads

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `readers.Source`."""
        row, col = self._part.corner
        for window in windows:
            moved = window._replace(row=window.row + row, col=window.col + col)
            pixels = self._of_cube(moved)
            yield self._of_file(moved) if pixels is None else np.asarray(pixels, self._part.pixel_dtype)

    def _of_cube(self, window: Window) -> PixelArray | None:
        stored = self._part.stored
        if stored is None:
            return None
        try:
            return stored.read(self._band, self._part.whole, window)
        except DamagedError as error:
            log.warning("%s; the scene's own file is read meanwhile", error)
            return None

    def _of_file(self, window: Window) -> PixelArray:
        """The pixels of a window of the file as it is now."""
        whole = self._part.whole
        now = Raster.current(whole.href, replace(whole, encoding=None))
        if now.grid != whole.grid:
            raise SourceError(f"raster {stores.redacted(whole.href)} is on another grid than before; extract it again")
        (pixels,) = source(replace(now, encoding=whole.encoding), self._threads).read([window])
        return pixels
