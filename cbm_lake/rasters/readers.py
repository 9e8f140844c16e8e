"""Readers of the pixels of rasters, block by block: TIFF, JPEG 2000, Zarr products, and anything else by GDAL.

`source` returns the fastest reader: tiled TIFF files and JPEG 2000 are decoded here (`tiff`, `jp2`), bands of Zarr
products by zarr (`eopf`), all else by GDAL. Remote files are read through `ranges`, for GDAL too. All of them
give the stored numbers, with two exceptions: pixels that the file declares to be nodata, by another number than 0 or by
a mask, are 0, the nodata of all cards; and numbers of a raster that is known to be of a band (`Raster.encoded`) are in
the unit of its card.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from cbm_lake.errors import SourceError
from cbm_lake.rasters import PixelArray, Raster, Window, encoding, environment, eopf, jp2, opened, stamp_of
from cbm_lake.rasters.jp2 import Jp2
from cbm_lake.rasters.tiff import Tiff
from cbm_lake.storage import stores
from cbm_lake.storage.ranges import ByteSource, open_bytes

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

_RUN: Final = 4096
"""Adjacent blocks are read at once up to this number of columns where requests or threads can overlap."""


class Source(Protocol):
    """A source of blocks of pixels."""

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """The pixels of each window, in that order; each array is the caller's own.

        Raises:
            SourceError: the raster is missing or damaged; the message names it.
        """


def source(raster: Raster, threads: int = 1) -> Source:
    """The fastest reader of a raster, in the unit of its card where it belongs to one.

    Args:
        raster: as its header was read.
        threads: how many may decode it, where it is JPEG 2000; a lone scene gains from more.
    """
    stored = _stored(raster, threads)
    return EncodedSource(stored, raster) if raster.encoding else stored


def _stored(raster: Raster, threads: int) -> Source:
    """The fastest reader of the stored numbers."""
    path = raster.path
    if eopf.holds(path) or _is_in_archive(path):
        _check_unchanged(raster, stamp_of(path))
        return ProductSource(raster) if eopf.holds(path) else FileSource(raster, threads)
    file = open_bytes(path)
    _check_unchanged(raster, file.stamp)
    decoded = None
    if not raster.masked and raster.band == 1:
        decoded = _tiff_source(raster, file) or _jp2_source(raster, file, threads)
    return decoded or FileSource(raster, threads, file)


def _check_unchanged(raster: Raster, now: str) -> None:
    if raster.stamp and now != raster.stamp:
        raise SourceError(f"raster {stores.redacted(raster.path)} has changed since its header was read; run again")


def _tiff_source(raster: Raster, file: ByteSource) -> TiffSource | None:
    """The raster's tiles, where it is TIFF of the kind that `tiff` decodes."""
    tiff = Tiff.inspect(file)
    if tiff is None or (tiff.shape, tiff.native) != (raster.grid.shape, np.dtype(raster.dtype)):
        return None
    if tiff.has_holes and tiff.nodata and raster.nodata is None:
        return None  # holes are not to be 0, and GDAL knows what else
    return TiffSource(raster, tiff)


def _jp2_source(raster: Raster, file: ByteSource, threads: int) -> Jp2Source | None:
    """The raster's tiles, where it is JPEG 2000 of the kind that `jp2` decodes."""
    if not file.href.lower().endswith(".jp2"):
        return None
    tiles = Jp2.inspect(file)
    if tiles is None or (tiles.shape, tiles.dtype) != (raster.grid.shape, np.dtype(raster.dtype)):
        return None
    return Jp2Source(raster, tiles, file, threads)


def _is_in_archive(href: str) -> bool:
    """Whether only GDAL can reach it: in a /vsizip/ or another of its own file systems."""
    return href.startswith("/vsi") and not stores.is_distant(href)


class EncodedSource:
    """Blocks in the unit of the card, out of those that are stored."""

    def __init__(self, stored: Source, raster: Raster) -> None:
        self._stored, self._raster = stored, raster

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `Source`."""
        for pixels in self._stored.read(windows):
            yield encoding.decoded(pixels, self._raster.encoding or "", stores.redacted(self._raster.href))


class TiffSource:
    """Blocks of a tiled TIFF file, local or remote."""

    def __init__(self, raster: Raster, tiff: Tiff) -> None:
        self._raster, self._tiff = raster, tiff

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `Source`."""
        windows = list(windows)
        numbers = [number for window in windows for _, _, number in self._touched(window)]
        with closing(self._tiff.tiles(numbers)) as tiles:  # type: ignore[type-var]
            for window in windows:
                yield without_nodata(self._assembled(tiles, window), self._raster.nodata)

    def _touched(self, window: Window) -> Iterator[tuple[int, int, int]]:
        """The tiles that a window touches: row and column of their first pixels in it, and number."""
        tiff, (row, col, height, width) = self._tiff, window
        for down in range(row // tiff.tile[0], -(-(row + height) // tiff.tile[0])):
            for across in range(col // tiff.tile[1], -(-(col + width) // tiff.tile[1])):
                yield down * tiff.tile[0] - row, across * tiff.tile[1] - col, down * tiff.across + across

    def _assembled(self, tiles: Iterator[PixelArray], window: Window) -> PixelArray:
        """The pixels of a window out of all tiles that it touches, which come next."""
        tiff, (row, col, height, width) = self._tiff, window
        if row % tiff.tile[0] == col % tiff.tile[1] == 0 and height <= tiff.tile[0] and width <= tiff.tile[1]:
            return next(tiles)[:height, :width]
        pixels = np.empty((height, width), self._raster.dtype)
        for top, left, _ in self._touched(window):
            tile = next(tiles)[max(-top, 0) :, max(-left, 0) :]
            part = pixels[max(top, 0) : top + tiff.tile[0], max(left, 0) : left + tiff.tile[1]]
            part[:] = tile[: part.shape[0], : part.shape[1]]
        return pixels


class Jp2Source:
    """Blocks of a JPEG 2000 file, local or remote, of which only the needed tiles are fetched."""

    def __init__(self, raster: Raster, tiles: Jp2, file: ByteSource, threads: int = 1) -> None:
        self._raster, self._tiles, self._file, self._threads = raster, tiles, file, threads

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `Source`."""
        self._tiles = self._tiles.located(self._file)
        for pixels in jp2.read(self._tiles, self._file, windows, self._threads):
            yield without_nodata(pixels, self._raster.nodata)


class ProductSource:
    """Blocks of a band in a Zarr product."""

    def __init__(self, raster: Raster) -> None:
        self._raster = raster

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `Source`."""
        band = eopf.Band.inspect(self._raster.href)
        for window in windows:
            yield without_nodata(band.read(window), self._raster.nodata)


class FileSource:
    """Blocks of any file that GDAL reads, local or remote."""

    def __init__(self, raster: Raster, threads: int = 1, file: ByteSource | None = None) -> None:
        distant = stores.is_distant(raster.path)
        self._raster, self._threads, self._file = raster, 1 if distant else threads, file
        self._run = _RUN if threads > 1 or distant else 0

    def read(self, windows: Iterable[Window]) -> Iterator[PixelArray]:
        """See `Source`."""
        with opened(self._raster.href, self._threads, self._file) as dataset:
            for run in _runs(windows, self._run):
                yield from _parts(self._pixels(dataset, run), run)

    def _pixels(self, dataset: DatasetReader, run: list[Window]) -> PixelArray:
        """The pixels of windows side by side."""
        window = run[0]._replace(width=run[-1].col + run[-1].width - run[0].col).ranges
        with environment(self._threads):
            pixels = without_nodata(dataset.read(self._raster.band, window=window), self._raster.nodata)
            if self._raster.masked:
                pixels[dataset.read_masks(self._raster.band, window=window) == 0] = 0
        return pixels


def _parts(pixels: PixelArray, run: list[Window]) -> Iterator[PixelArray]:
    """The pixels of each of the windows side by side."""
    left = run[0].col
    return (pixels[:, window.col - left : window.col - left + window.width] for window in run)


def _runs(windows: Iterable[Window], columns: int) -> Iterator[list[Window]]:
    """Windows that follow one another side by side, up to so many columns together, or one by one."""
    run: list[Window] = []
    for window in windows:
        if run:
            last = run[-1]
            beside = (window.row, window.col, window.height) == (last.row, last.col + last.width, last.height)
            if not beside or window.col + window.width - run[0].col > columns:
                yield run
                run = []
        run.append(window)
    if run:
        yield run


def without_nodata(pixels: PixelArray, nodata: float | None) -> PixelArray:
    """The pixels, with a value replaced by 0 in place."""
    if nodata is not None:
        pixels[pixels == pixels.dtype.type(nodata)] = 0
    return pixels
