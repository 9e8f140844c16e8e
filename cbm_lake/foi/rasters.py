"""Thematic raster input: header checks and block-wise reading of the pixels of all parcels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioError

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import limits
from cbm_lake.geo.windows import Window
from cbm_lake.rasters import is_masked, measured
from cbm_lake.zonal.compiled import Pixels
from cbm_lake.zonal.spans import SpanIndex

_CHUNK: Final = 512
"""Side length in pixels of blocks read at once, rounded up to the file's own blocks."""


@dataclass(frozen=True)
class Thematic:
    """A thematic raster: one class value per pixel."""

    path: str
    crs: CRS | None
    transform: Affine
    shape: tuple[int, int]
    dtype: str
    nodata: int | None
    """The value that the file declares to be none."""
    block: tuple[int, int]
    """Rows and columns that are read together."""
    masked: bool = False
    """Whether the raster has an internal or external mask."""

    @classmethod
    def inspect(cls, path: str | Path) -> Thematic:
        """Read and validate the header of a thematic raster.

        Raises:
            SourceError: the file is not there or cannot be read.
            InvalidInputError: it has several bands, no integers, or is rotated.
        """
        with _opened(path) as file:
            if measured(file) != 1:
                raise InvalidInputError(f"raster {path} has {file.count} bands; give one with one band of classes")
            if not re.fullmatch(r"u?int\d+", file.dtypes[0]):
                raise InvalidInputError(f"raster {path} holds {file.dtypes[0]}; classes are whole numbers, convert it")
            t = file.transform
            if t.b or t.d:
                raise InvalidInputError(f"raster {path} is rotated; warp it to a grid along the axes first")
            rows, columns = (-(-_CHUNK // size) * size for size in file.block_shapes[0])
            block = (min(rows, file.height), min(columns, file.width))
            limits.check_shape(f"raster {path}", file.shape)
            limits.check_block(f"raster {path}", block, file.dtypes[0])
            nodata = int(file.nodata) if file.nodata is not None and float(file.nodata).is_integer() else None
            masked = is_masked(file, 1)
            crs = CRS.from_wkt(file.crs.to_wkt()) if file.crs else None
            system = None if crs is None or crs.is_engineering else crs
            return cls(str(path), system, t, file.shape, file.dtypes[0], nodata, block, masked)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Minimum x and y, maximum x and y."""
        (x, y), (far_x, far_y) = self.transform * (0, 0), self.transform * self.shape[::-1]
        return min(x, far_x), min(y, far_y), max(x, far_x), max(y, far_y)

    @property
    def pixel_area(self) -> float:
        """Pixel area in m²; an unknown coordinate system is assumed to be in metres."""
        return float(abs(self.transform.a * self.transform.e)) * unit(self.crs) ** 2

    def read(
        self, index: SpanIndex, progress: Callable[[int, int], None] | None = None
    ) -> tuple[Pixels, Pixels | None]:
        """Read the pixels of all parcels with their mask, parcel by parcel; blocks without parcels are skipped.

        Returns:
            The pixels, and uint8 of the same length, 0 where a pixel is masked; None where the raster has no mask.

        Raises:
            SourceError: the file is damaged.
        """
        plan = index.blocks(self.block)
        pool, mask = plan.new_pool(self.dtype), plan.new_pool("uint8") if self.masked else None
        with _opened(self.path) as file:
            for number, block in enumerate(plan):
                plan.gather(file.read(1, window=block.ranges), number, pool)
                if mask is not None:
                    plan.gather(file.read_masks(1, window=block.ranges), number, mask)
                if progress is not None:
                    progress(number + 1, len(plan))
        return pool, mask

    def window(self, row: int, col: int, height: int, width: int) -> Pixels:
        """Read the pixels of a window inside the raster; masked ones are nodata, or 0 if none is declared."""
        window = Window(row, col, height, width).ranges
        with _opened(self.path) as file:
            pixels: Pixels = file.read(1, window=window)
            if self.masked:
                pixels[file.read_masks(1, window=window) == 0] = self.nodata or 0
            return pixels


def unit(crs: CRS | None) -> float:
    """Metres per unit of a projected coordinate system; 1 if unknown."""
    return float(crs.axis_info[0].unit_conversion_factor) if crs is not None else 1.0


@contextmanager
def _opened(path: str | Path) -> Iterator[rasterio.DatasetReader]:
    try:
        with rasterio.Env(GDAL_NUM_THREADS="2"), rasterio.open(path) as file:
            yield file
    except RasterioError as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"raster {path} cannot be read ({reason}); check the file") from error
