"""Rasters of scenes: the grid and header of a band's file, and its blocks of pixels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, cast

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import RasterioError

from cbm_lake.errors import SourceError

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

CHUNK: Final = 512
"""Pixels a side of what is read at once: a 30-pixel chip touches one to four chunks of a date."""
_GDAL_OPTIONS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # no listing of the folder, no .aux.xml beside remote files
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_NUM_THREADS": "1",  # scenes run side by side; a scene takes one core
}


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

    @classmethod
    def inspect(cls, href: str) -> Raster:
        """Read the header.

        Raises:
            SourceError: the file is missing, unreadable, has no coordinate system or is rotated.
        """
        with opened(href) as dataset:
            epsg = dataset.crs.to_epsg() if dataset.crs else None
            t = dataset.transform
            if epsg is None or t.b or t.d or t.e >= 0:
                raise SourceError(
                    f"{href} has no known coordinate system or is not north-up; mend or leave out this scene"
                )
            if dataset.count != 1:
                raise SourceError(f"{href} has {dataset.count} bands where one is expected; leave out this scene")
            block = tuple(
                min(-(-CHUNK // size) * size, full)
                for size, full in zip(dataset.block_shapes[0], dataset.shape, strict=True)
            )
            return cls(href, Grid(epsg, t, dataset.shape), dataset.dtypes[0], (block[0], block[1]))

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


def opened(href: str) -> Any:
    """The raster as a rasterio dataset, to be used in a with statement.

    Raises:
        SourceError: it is missing or unreadable.
    """
    try:
        with rasterio.Env(**_GDAL_OPTIONS):
            return rasterio.open(href)
    except RasterioError as error:
        raise SourceError(f"raster {href} cannot be opened: {error}; fetch it again or leave out this scene") from error


class Window(NamedTuple):
    """A rectangle of pixels."""

    row: int
    col: int
    height: int
    width: int


class Source(Protocol):
    """Where blocks of pixels come from."""

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """The pixels of each window, in that order."""


def source(raster: Raster) -> Source:
    """What reads the raster fastest."""
    return FileSource(raster)


class FileSource:
    """Blocks straight from a band's file."""

    def __init__(self, raster: Raster) -> None:
        self._raster = raster

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """The pixels of each window, in that order."""
        with opened(self._raster.href) as dataset, rasterio.Env(**_GDAL_OPTIONS):
            for row, col, height, width in windows:
                try:
                    yield dataset.read(1, window=((row, row + height), (col, col + width)))
                except RasterioError as error:
                    raise _unreadable(self._raster.href, error) from error


class StackSource:
    """Blocks out of stackstac's stack of the scene: how a scene gets into the cube."""

    def __init__(self, raster: Raster) -> None:
        self._raster = raster
        self._blocks = open_stack([raster.href], raster).data.to_delayed()[0, 0]

    def read(self, windows: Iterable[Window]) -> Iterator[NDArray[Any]]:
        """The pixels of each window, which must be blocks of the raster; a row of blocks is computed at once."""
        import dask

        height, width = self._raster.block
        for row, across in groupby(windows, key=lambda window: window.row):
            blocks = [self._blocks[row // height, window.col // width] for window in across]
            try:
                values = dask.compute(*blocks, scheduler="synchronous")  # type: ignore[attr-defined, no-untyped-call]
            except RuntimeError as error:  # what stackstac raises when a file cannot be opened or read
                raise _unreadable(self._raster.href, error) from error
            yield from (value[0, 0] for value in values)


def _unreadable(href: str, error: Exception) -> SourceError:
    reason = " ".join(str(error.__cause__ or error).split())
    return SourceError(f"raster {href} cannot be read: {reason}; fetch it again or leave out this scene")


def open_stack(hrefs: Sequence[str], raster: Raster) -> xr.DataArray:
    """The stored DN of one band over time as a lazy array (time, band, y, x) on the raster's own grid.

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
        gdal_env=stackstac.DEFAULT_GDAL_ENV.updated(_GDAL_OPTIONS),
    )
    return cast("xr.DataArray", stack.drop_attrs(deep=False))


def _stack_item(number: int, href: str, grid: Grid) -> dict[str, Any]:
    """The least STAC item that stackstac accepts."""
    rows, columns = grid.shape
    asset = {"href": href, "proj:shape": [rows, columns], "proj:transform": list(grid.transform)[:6]}
    properties = {"datetime": f"2000-01-01T00:00:{number % 60:02}Z", "proj:epsg": grid.epsg}
    return {"type": "Feature", "id": str(number), "properties": properties, "assets": {"band": asset}, "bbox": None}
