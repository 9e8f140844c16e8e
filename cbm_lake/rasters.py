"""Rasters of scenes: the grid and header of a band, and its blocks of pixels from whatever it is stored in.

`source` answers with the fastest reader: tiled TIFF files are decoded here (`tiff`), bands of Zarr products by zarr
(`eopf`), all else by GDAL. What lies at a distance comes through `ranges`, for GDAL too. All of them give the stored
numbers, with one exception: pixels that the file declares to be nodata, by another number than 0 or by a mask, are 0,
the nodata of all cards.
"""

from __future__ import annotations

import contextvars
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import MaskFlags
from rasterio.errors import CRSError, RasterioError
from rasterio.session import Session

from cbm_lake import access, eopf, jp2, stores
from cbm_lake.errors import SourceError
from cbm_lake.jp2 import Jp2
from cbm_lake.ranges import ByteSource, open_bytes, unreadable
from cbm_lake.tiff import Tiff
from cbm_lake.vsi import GdalFile

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

CHUNK: Final = 512
"""Pixels a side of what is read at once: a 30-pixel chip touches one to four chunks of a date."""
_ALONE: Final = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""For GDAL where a file is at a distance: nothing is looked for beside it. Beside local files .msk, .aux.xml count."""
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
    masked: bool = False
    """Whether a mask in the file or beside it says where there are no data; its pixels are read as 0."""

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
            return cls._of(href, dataset)

    @classmethod
    def _of(cls, href: str, dataset: Any) -> Raster:
        """What a dataset of rasterio says of its one band."""
        name = stores.shown(href)
        epsg = dataset.crs.to_epsg() if dataset.crs else None
        t = dataset.transform
        if epsg is None or t.b or t.d or t.e >= 0 or t.a <= 0:
            raise SourceError(f"{name} has no known coordinate system or is not north-up; mend or leave out this scene")
        if dataset.count != 1:
            raise SourceError(f"{name} has {dataset.count} bands where one is expected; leave out this scene")
        dtype = dataset.dtypes[0]
        if dtype.startswith("complex"):
            raise SourceError(f"{name} has complex numbers ({dtype}); leave out this scene, or take its backscatter")
        block = _block(dataset.block_shapes[0], dataset.shape)
        masked = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
        return cls(href, Grid(epsg, t, dataset.shape), dtype, block, _own_nodata(dataset.nodata, dtype), masked)

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
        with np.errstate(over="ignore"):
            possible = np.isinf(np.float64(declared).astype(dtype)) == np.isinf(declared)
        return float(declared) if possible else None
    limits = np.iinfo(dtype)
    return float(declared) if float(declared).is_integer() and limits.min <= declared <= limits.max else None


class _Bucket(Session):  # type: ignore[misc]
    """Settings of an object store; rasterio's own session of that kind needs boto3."""

    def __init__(self, href: str) -> None:
        self._settings = stores.gdal_settings(href)

    def get_credential_options(self) -> dict[str, str]:
        return self._settings


@contextmanager
def opened(href: str, threads: int = 1) -> Iterator[Any]:
    """The raster as a rasterio dataset, to be used in a with statement; what fails in there is a SourceError too.

    Args:
        href: path or URL.
        threads: how many share the decoding of one read; scenes usually run side by side, and each takes one core.
            At a distance it is always one.

    Raises:
        SourceError: it is missing or unreadable.
    """
    distant = GdalFile(open_bytes(href)) if stores.is_distant(href) else None
    threads = 1 if distant else threads
    action = "opened"
    home = (
        contextvars.copy_context()
    )  # where rasterio remembers open files: a generator may be closed by another thread
    try:
        with _environment(threads, **_ALONE if distant else {}):
            dataset = home.run(distant.dataset) if distant else rasterio.open(stores.gdal_path(href))
        action = "read"
        try:  # `with dataset` would tie it to this thread
            yield dataset
        finally:
            home.run(dataset.close)
    except (RasterioError, CRSError) as error:
        problem = distant.problem if distant else None
        raise problem or unreadable(stores.shown(href), _reason(error), action=action) from error
    if distant and distant.problem:
        raise distant.problem


def _environment(threads: int, **options: str) -> rasterio.Env:
    """GDAL's settings, for as long as it opens or reads a file."""
    return rasterio.Env(GDAL_NUM_THREADS=str(threads), **options)


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
        threads: how many may decode it, where it is JPEG 2000; a lone scene gains from more.
    """
    if eopf.holds(raster.href):
        return ProductSource(raster)
    if (tiles := _jp2_source(raster, threads)) is not None:
        return tiles
    tiff = None if raster.masked or _is_in_archive(raster.href) else Tiff.inspect(raster.href)
    if tiff is None or (tiff.shape, tiff.native) != (raster.grid.shape, np.dtype(raster.dtype)):
        return FileSource(raster, threads)
    if tiff.has_holes and tiff.nodata and raster.nodata is None:
        return FileSource(raster, threads)  # holes are not to be 0, and GDAL knows what else
    return TiffSource(raster, tiff)


def _jp2_source(raster: Raster, threads: int) -> Jp2Source | None:
    """The raster's tiles, where it is JPEG 2000 of the kind that `jp2` decodes."""
    if raster.masked or _is_in_archive(raster.href) or not raster.href.partition("?")[0].lower().endswith(".jp2"):
        return None
    file = open_bytes(raster.href)
    tiles = Jp2.inspect(file)
    if tiles is None or (tiles.shape, tiles.dtype) != (raster.grid.shape, np.dtype(raster.dtype)):
        return None
    return Jp2Source(raster, tiles, file, threads)


def _is_in_archive(href: str) -> bool:
    """Whether only GDAL can reach it: in a /vsizip/ or another of its own file systems."""
    return href.startswith("/vsi") and not stores.is_distant(href)


class TiffSource:
    """Blocks of a tiled TIFF file, here or at a distance."""

    def __init__(self, raster: Raster, tiff: Tiff) -> None:
        self._raster, self._tiff = raster, tiff

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
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

    def _assembled(self, tiles: Iterator[NDArray[Any]], window: Window) -> NDArray[Any]:
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
    """Blocks of a JPEG 2000 file, here or at a distance, of which only the tiles that are needed are fetched."""

    def __init__(self, raster: Raster, tiles: Jp2, file: ByteSource, threads: int = 1) -> None:
        self._raster, self._tiles, self._file, self._threads = raster, tiles, file, threads

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """See `Source`."""
        self._tiles = self._tiles.located(self._file)
        for pixels in jp2.read(self._tiles, self._file, windows, self._threads):
            yield without_nodata(pixels, self._raster.nodata)


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
        distant = stores.is_distant(raster.href)
        self._raster, self._threads = raster, 1 if distant else threads
        self._run = _RUN if threads > 1 or distant else 0

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """See `Source`."""
        with opened(self._raster.href, self._threads) as dataset:
            for run in _runs(windows, self._run):
                row, col, height, _ = run[0]
                window = ((row, row + height), (col, run[-1].col + run[-1].width))
                with _environment(self._threads):
                    pixels = without_nodata(dataset.read(1, window=window), self._raster.nodata)
                    if self._raster.masked:
                        pixels[dataset.read_masks(1, window=window) == 0] = 0
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


def open_stack(hrefs: Sequence[str], raster: Raster) -> xr.DataArray:
    """The stored DN of one band over time as a lazy array (time, band, y, x) on the raster's own grid; nodata is 0.

    stackstac is told everything that it would else guess: the grid, pixel centres, the stored values without
    rescaling; and that a missing file is an error, never nodata.
    """
    import stackstac

    grid = raster.grid
    items = [_stack_item(number, href, grid) for number, href in enumerate(hrefs)]
    stack = stackstac.stack(
        items,
        assets=["band"],
        epsg=grid.epsg,
        resolution=(grid.transform.a, -grid.transform.e),
        bounds=grid.bounds,
        snap_bounds=False,
        chunksize=(1, 1, *raster.block),
        dtype=np.dtype(raster.dtype),
        fill_value=np.dtype(raster.dtype).type(0),
        rescale=False,
        sortby_date=False,
        xy_coords="center",
        properties=False,
        band_coords=False,
        errors_as_nodata=(),
        gdal_env=stackstac.DEFAULT_GDAL_ENV.updated({"session": _Bucket(hrefs[0]), **_ALONE, "GDAL_NUM_THREADS": "1"}),
    )
    return cast("xr.DataArray", stack.drop_attrs(deep=False))


def _stack_item(number: int, href: str, grid: Grid) -> dict[str, Any]:
    """The least STAC item that stackstac accepts."""
    rows, columns = grid.shape
    asset = {"href": stores.gdal_path(href), "proj:shape": [rows, columns], "proj:transform": list(grid.transform)[:6]}
    properties = {"datetime": f"2000-01-01T00:00:{number % 60:02}Z", "proj:epsg": grid.epsg}
    return {"type": "Feature", "id": str(number), "properties": properties, "assets": {"band": asset}, "bbox": None}
