"""Rasters of scenes: the grid and header of a band, and its blocks of pixels from whatever it is stored in.

`source` answers with the fastest reader: tiled TIFF files on this machine are decoded here (`tiff`), bands of Zarr
products by zarr (`products`), all else by GDAL. All of them give the stored numbers, with one exception: pixels that
the file declares to be nodata by another number than 0 are 0, the nodata of all cards.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.session import Session

from cbm_lake import access, eopf
from cbm_lake.errors import SourceError
from cbm_lake.tiff import Tiff

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK: Final = 512
"""Pixels a side of what is read at once: a 30-pixel chip touches one to four chunks of a date."""
_GDAL_OPTIONS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing of the folder, no .aux.xml beside remote files
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
}
_RUN: Final = 4096
"""Blocks side by side are read at once up to so many columns where their requests or threads can overlap."""


@dataclass(frozen=True)
class Grid:
    """A bounded north-up pixel grid in a coordinate system."""

    epsg: int
    transform: Affine
    """From (column, row) of a pixel's upper left corner to (x, y)."""
    shape: tuple[int, int]
    """Rows, columns."""

    @property
    def name(self) -> str:
        """Unique and readable: 32631_10m_523560_4832780_353x232 (EPSG, pixel, left, top, rows x columns)."""
        t = self.transform
        return f"{self.epsg}_{t.a:g}m_{t.c:.12g}_{t.f:.12g}_{self.shape[0]}x{self.shape[1]}"

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        t, (rows, columns) = self.transform, self.shape
        return (t.c, t.f + rows * t.e, t.c + columns * t.a, t.f)


@dataclass(frozen=True)
class Raster:
    """What the header of one band's file says."""

    href: str
    grid: Grid
    dtype: str
    block: tuple[int, int]
    """Rows and columns that are decoded together, gathered to about 512 where the file has smaller ones."""
    nodata: float | None = None
    """The file's own number for nodata, where it is another than 0 and can occur; its pixels are read as 0."""

    @classmethod
    def inspect(cls, href: str) -> Raster:
        """Read the header.

        Raises:
            SourceError: the file is missing, unreadable, has no coordinate system or is rotated.
        """
        if eopf.holds(href):
            band = eopf.Band.inspect(href)
            grid = Grid(band.epsg, band.transform, band.shape)
            return cls(href, grid, band.dtype, _block(band.chunk, band.shape), _own_nodata(band.nodata, band.dtype))
        with opened(href) as dataset:
            epsg = dataset.crs.to_epsg() if dataset.crs else None
            t = dataset.transform
            if epsg is None or t.b or t.d or t.e >= 0:
                raise SourceError(
                    f"{href} has no known coordinate system or is not north-up; mend or leave out this scene"
                )
            if dataset.count != 1:
                raise SourceError(f"{href} has {dataset.count} bands where one is expected; leave out this scene")
            grid, dtype = Grid(epsg, t, dataset.shape), dataset.dtypes[0]
            block = _block(dataset.block_shapes[0], dataset.shape)
            return cls(href, grid, dtype, block, _own_nodata(dataset.nodata, dtype))

    def to_json(self) -> str:
        """Everything, so that the header need not be read again."""
        own = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "grid"}
        grid = {"epsg": self.grid.epsg, "transform": list(self.grid.transform)[:6], "shape": self.grid.shape}
        return json.dumps({**own, **grid})

    @classmethod
    def from_json(cls, text: str) -> Raster:
        """What `to_json` wrote."""
        own = json.loads(text)
        grid = Grid(own.pop("epsg"), Affine(*own.pop("transform")), tuple(own.pop("shape")))
        return cls(**{**own, "grid": grid, "block": tuple(own["block"])})


def _block(stored: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int]:
    """As many stored blocks as make CHUNK rows and columns or more, at most the whole raster."""
    rows, columns = (min(-(-CHUNK // size) * size, full) for size, full in zip(stored, shape, strict=True))
    return rows, columns


def _own_nodata(declared: float | None, dtype: str) -> float | None:
    """The declared nodata, unless it is 0 or no value of that type; NaN stays NaN, and counts nowhere."""
    if declared is None or declared == 0 or math.isnan(declared):
        return None
    if np.dtype(dtype).kind == "f":
        return float(declared)
    limits = np.iinfo(dtype)
    return float(declared) if float(declared).is_integer() and limits.min <= declared <= limits.max else None


class _Bucket(Session):  # type: ignore[misc]
    """Settings of an object store; rasterio's own session of that kind needs boto3."""

    def __init__(self, href: str) -> None:
        self._settings = access.gdal_settings(href)

    def get_credential_options(self) -> dict[str, str]:
        return self._settings


@contextmanager
def _settings(href: str, threads: int) -> Iterator[None]:
    """GDAL's settings for a request, and leave to make it."""
    environment = rasterio.Env(_Bucket(href), **_GDAL_OPTIONS, GDAL_NUM_THREADS=str(threads))
    with access.limited(href), environment:
        yield


def opened(href: str, threads: int = 1) -> Any:
    """The raster as a rasterio dataset, to be used in a with statement.

    Args:
        href: path or URL.
        threads: how many share the decoding of one read; scenes usually run side by side, and each takes one core.

    Raises:
        SourceError: it is missing or unreadable.
    """
    try:
        with _settings(href, threads):
            return rasterio.open(access.gdal_path(href))
    except RasterioError as error:
        raise SourceError(
            f"raster {href} cannot be opened: {_reason(error)}; fetch it again or leave out this scene"
        ) from error


def _reason(error: BaseException) -> str:
    """What went wrong in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    return access.explained(error)


class Window(NamedTuple):
    """A rectangle of pixels."""

    row: int
    col: int
    height: int
    width: int


class Source(Protocol):
    """Where blocks of pixels come from."""

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """The pixels of each window, in that order; each array is the caller's own.

        Raises:
            SourceError: the raster is missing or damaged; the message names it.
        """


def source(raster: Raster, threads: int = 1) -> Source:
    """What reads the raster fastest.

    Args:
        raster: as its header was read.
        threads: how many GDAL may use for it, where it is JPEG 2000; a lone scene gains from more.
    """
    if eopf.holds(raster.href):
        return ProductSource(raster)
    tiff = None if _is_remote(raster.href) else Tiff.inspect(raster.href)
    if tiff is None or (tiff.shape, tiff.native) != (raster.grid.shape, np.dtype(raster.dtype)):
        return FileSource(raster, threads)
    if tiff.has_holes and tiff.nodata and raster.nodata is None:
        return FileSource(raster, threads)  # holes are not to be 0, and GDAL knows what else
    return TiffSource(raster, tiff)


def _is_remote(href: str) -> bool:
    return "://" in href or href.startswith("/vsi")


class TiffSource:
    """Blocks of a tiled TIFF file on this machine."""

    def __init__(self, raster: Raster, tiff: Tiff) -> None:
        self._raster, self._tiff = raster, tiff

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """See `Source`."""
        with _descriptor(self._tiff.path) as descriptor:
            for window in windows:
                yield without_nodata(self._assembled(descriptor, window), self._raster.nodata)

    def _assembled(self, descriptor: int, window: Window) -> NDArray[Any]:
        """The pixels of a window out of all tiles that it touches."""
        tiff, (row, col, height, width) = self._tiff, window
        if row % tiff.tile[0] == col % tiff.tile[1] == 0 and height <= tiff.tile[0] and width <= tiff.tile[1]:
            return self._tile(descriptor, row // tiff.tile[0], col // tiff.tile[1])[:height, :width]
        pixels = np.empty((height, width), self._raster.dtype)
        for down in range(row // tiff.tile[0], -(-(row + height) // tiff.tile[0])):
            for across in range(col // tiff.tile[1], -(-(col + width) // tiff.tile[1])):
                top, left = down * tiff.tile[0] - row, across * tiff.tile[1] - col
                tile = self._tile(descriptor, down, across)[max(-top, 0) :, max(-left, 0) :]
                part = pixels[max(top, 0) : top + tiff.tile[0], max(left, 0) : left + tiff.tile[1]]
                part[:] = tile[: part.shape[0], : part.shape[1]]
        return pixels

    def _tile(self, descriptor: int, down: int, across: int) -> NDArray[Any]:
        """The pixels of one tile; 0 where none was written."""
        stored = self._tiff.inflate(descriptor, down * self._tiff.across + across)
        return np.zeros(self._tiff.tile, self._raster.dtype) if stored is None else self._tiff.restore(stored)


class ProductSource:
    """Blocks of a band in a Zarr product."""

    def __init__(self, raster: Raster) -> None:
        self._raster = raster

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """See `Source`."""
        band = eopf.Band.inspect(self._raster.href)
        for row, col, height, width in windows:
            yield without_nodata(band.read(slice(row, row + height), slice(col, col + width)), self._raster.nodata)


class FileSource:
    """Blocks of any file that GDAL reads, here or at a distance."""

    def __init__(self, raster: Raster, threads: int = 1) -> None:
        self._raster, self._threads = raster, threads
        self._run = _RUN if threads > 1 or _is_remote(raster.href) else 0

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """See `Source`."""
        with opened(self._raster.href, self._threads) as dataset:
            for run in _runs(windows, self._run):
                row, col, height, _ = run[0]
                right = run[-1].col + run[-1].width
                try:
                    with _settings(self._raster.href, self._threads):
                        pixels = dataset.read(1, window=((row, row + height), (col, right)))
                except RasterioError as error:
                    raise _unreadable(self._raster.href, error) from error
                pixels = without_nodata(pixels, self._raster.nodata)
                yield from (pixels[:, w.col - col : w.col - col + w.width] for w in run)


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


def without_nodata(pixels: NDArray[Any], nodata: float | None) -> NDArray[Any]:
    """The pixels, those of that value made 0 in place."""
    if nodata is not None:
        pixels[pixels == pixels.dtype.type(nodata)] = 0
    return pixels


@contextmanager
def _descriptor(path: str) -> Iterator[int]:
    """The file opened for reading."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unreadable(href: str, error: Exception) -> SourceError:
    return SourceError(f"raster {href} cannot be read: {_reason(error)}; fetch it again or leave out this scene")
