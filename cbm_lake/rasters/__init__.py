"""Rasters of scenes: grid and header of a band in any supported format; pixels are read by `readers`."""

from __future__ import annotations

import contextvars
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader

from cbm_lake.cards import Card
from cbm_lake.errors import LakeError, SourceError
from cbm_lake.files import limits
from cbm_lake.geo.windows import PixelArray, Window
from cbm_lake.rasters import encoding, eopf
from cbm_lake.storage import access, stores
from cbm_lake.storage.location import Location
from cbm_lake.storage.ranges import ByteSource, open_bytes, stamp, unreadable
from cbm_lake.storage.vsi import GdalFile

__all__ = [
    "CHUNK",
    "Grid",
    "PixelArray",
    "Raster",
    "Window",
    "environment",
    "is_masked",
    "measured",
    "opened",
    "stamp_of",
]

CHUNK: Final = 512
"""Side of a chunk in pixels: a 30-pixel chip touches one to four chunks of a date."""
_ALONE: Final = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR"}
"""GDAL options for remote files: no sidecar files are searched. For local files .msk and .aux.xml count."""
_UNUSABLE: Final = (ArithmeticError, AttributeError, LookupError, OSError, RasterioError, TypeError, ValueError)
"""Errors that GDAL, rasterio, numpy, zarr and JSON raise for invalid headers."""
_OPENER: Final = re.compile(r"/vsiriopener_\w+/\w+/")
"""How rasterio names the folder of a file that `vsi` opens."""
_FARTHEST: Final = 2e8
"""Upper bound of the coordinates of any projection, in metres or feet."""
_FINEST: Final = 1e-9
"""Lower bound of pixel sizes, in metres or degrees."""


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
        pixel = _exact(t.a) if t.e == -t.a else f"{_exact(t.a)}x{_exact(-t.e)}"
        return f"{self.epsg}_{pixel}m_{_exact(t.c)}_{_exact(t.f)}_{self.shape[0]}x{self.shape[1]}"

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in units of the coordinate system."""
        return abs(self.transform.a * self.transform.e)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        t, (rows, columns) = self.transform, self.shape
        return (t.c, t.f + rows * t.e, t.c + columns * t.a, t.f)


def _exact(value: float) -> str:
    """The shortest decimal form of a number that is read back as the same number."""
    return next(text for text in (f"{value:.12g}", repr(float(value))) if float(text) == value)


@dataclass(frozen=True)
class Raster:
    """The header of one band's raster."""

    href: str
    """The href of the catalogue, with band and unit; see `location`."""
    grid: Grid
    dtype: str
    block: tuple[int, int]
    """Rows and columns that are decoded together; smaller blocks of the file are grouped to about 512."""
    nodata: float | None = None
    """The nodata value of the file, where it is not 0 and can occur; such pixels are read as 0."""
    masked: bool = False
    """Whether the file has an internal or external mask; masked pixels are read as 0."""
    scale: float = 1
    """As the header states it; it is not applied."""
    band: int = 1
    """Number of the band in its file, from 1."""
    unit: str = ""
    """db where the file stores decibels."""
    stamp: str = ""
    """Identifies the content of the file, see `ranges.stamp`; "" where unknown."""
    encoding: str | None = None
    """Conversion of stored numbers to those of the card (`encoding`); None reads them unchanged."""

    @classmethod
    def current(cls, href: str, remembered: Raster | None = None) -> Raster:
        """The current header: this one where the file is unchanged, otherwise read again.

        For a deleted file it is the present one too, as a cube may have its pixels.

        Raises:
            SourceError: as `inspect`.
        """
        path = Location.of(href).path
        try:
            file = open_bytes(path) if stores.is_distant(path) and not eopf.holds(path) else None
            now = file.stamp if file else stamp_of(path)
        except SourceError as error:
            if remembered is None or not isinstance(error.__cause__, FileNotFoundError):
                raise
            return remembered
        if remembered is not None and remembered.stamp == now:
            return remembered
        return replace(cls.inspect(href, file), stamp=now)

    @classmethod
    def inspect(cls, href: str, file: ByteSource | None = None) -> Raster:
        """Read the header.

        Args:
            href: of the raster.
            file: its bytes, where somebody has opened it already.

        Raises:
            SourceError: the file is missing, unreadable, has no coordinate system, is rotated, or holds what is no
                band of a scene.
        """
        try:
            return cls._of_header(href, file)
        except LakeError:
            raise
        except _UNUSABLE as error:
            raise SourceError(
                f"the header of raster {stores.redacted(href)} is of no use: {_reason(error)}",
                advice="mend or leave out this scene",
            ) from error

    @classmethod
    def _of_header(cls, href: str, file: ByteSource | None) -> Raster:
        if eopf.holds(href):
            band = eopf.Band.inspect(href)
            grid = Grid(band.epsg, band.transform, band.shape)
            limits.check_block(stores.redacted(href), band.chunk, band.array.dtype)
            return cls(href, grid, band.dtype, _block(band.chunk, band.shape), _own_nodata(band.nodata, band.dtype))
        with opened(href, file=file) as dataset:
            return cls._of(href, dataset)

    @classmethod
    def _of(cls, href: str, dataset: DatasetReader) -> Raster:
        """What a dataset of rasterio says of its one band."""
        name, location = stores.redacted(href), Location.of(href)
        grid = _grid_of(name, dataset)
        number = _number(measured(dataset), location, name)
        dtype = dataset.dtypes[number - 1]
        if dtype.startswith("complex"):
            raise SourceError(
                f"{name} has complex numbers ({dtype})", advice="leave out this scene, or take its backscatter"
            )
        block = _block(dataset.block_shapes[number - 1], dataset.shape)
        limits.check_block(name, block, dtype)
        nodata = _own_nodata(dataset.nodatavals[number - 1], dtype)
        masked = is_masked(dataset, number)
        scale = float(dataset.scales[number - 1])
        return cls(href, grid, dtype, block, nodata, masked, scale, number, location.unit)

    def encoded(self, card: Card, band: str, boa_offset: int) -> Raster:
        """The raster as a band of a card, whose pixels are read in the card's unit.

        Raises:
            SourceError: type or scale are not the card's.
        """
        kind = encoding.of_raster(
            card, band, boa_offset, href=stores.redacted(self.href), dtype=self.dtype, scale=self.scale, unit=self.unit
        )
        return replace(self, encoding=kind)

    @property
    def path(self) -> str:
        """Path or URL of the file, without band and unit."""
        return Location.of(self.href).path

    @property
    def pixel_dtype(self) -> str:
        """The numpy dtype of the pixels of `source`."""
        return encoding.DTYPES[self.encoding] if self.encoding else self.dtype

    def to_json(self) -> str:
        """Serialise the header, so that it need not be read again."""
        header = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "grid"}
        grid = {"epsg": self.grid.epsg, "transform": list(self.grid.transform)[:6], "shape": self.grid.shape}
        return json.dumps({**header, **grid})

    @classmethod
    def from_json(cls, text: str) -> Raster:
        """Deserialise what `to_json` wrote."""
        header = json.loads(text)
        grid = Grid(header.pop("epsg"), Affine(*header.pop("transform")), tuple(header.pop("shape")))
        return cls(**{**header, "grid": grid, "block": tuple(header["block"])})


def _grid_of(name: str, dataset: DatasetReader) -> Grid:
    """The grid of a rasterio dataset, validated."""
    epsg = dataset.crs.to_epsg() if dataset.crs else None
    is_located = epsg is not None and (dataset.crs.is_projected or dataset.crs.is_geographic)
    t = dataset.transform
    if epsg is None or not is_located or t.b or t.d or not (0 < t.a < math.inf and 0 < -t.e < math.inf):
        raise SourceError(
            f"{name} has no known coordinate system or is not north-up", advice="mend or leave out this scene"
        )
    grid = Grid(epsg, t, dataset.shape)
    within = all(math.isfinite(bound) and abs(bound) < _FARTHEST for bound in grid.bounds)
    if not within or max(grid.shape) > limits.LONGEST or min(t.a, -t.e) <= _FINEST:
        raise SourceError(
            f"{name} says that it has {grid.shape[0]} x {grid.shape[1]} pixels of {t.a:g} from {t.c:g}, {t.f:g} on, "
            "which is no place on earth",
            advice="mend or leave out this scene",
        )
    return grid


def stamp_of(path: str) -> str:
    """The stamp that identifies the content of a file; for a Zarr band, with many chunk files, that of its metadata."""
    return eopf.stamp(path) if eopf.holds(path) else stamp(path)


def measured(dataset: DatasetReader) -> int:
    """How many bands of a dataset of rasterio hold measurements: an alpha band, which comes last, is a mask of them."""
    return int(dataset.count) - (ColorInterp.alpha in dataset.colorinterp)


def is_masked(dataset: DatasetReader, band: int) -> bool:
    """Whether a band has a mask besides its nodata: internal or external, per band or per dataset, or an alpha band."""
    return not {MaskFlags.all_valid, MaskFlags.nodata} & set(dataset.mask_flag_enums[band - 1])


def _number(count: int, location: Location, name: str) -> int:
    """The index of the band in its file, from 1."""
    if location.band > count:
        raise SourceError(f"{name} has {count} bands, not a band {location.band}", advice="leave out this scene")
    if not location.band and count != 1:
        raise SourceError(f"{name} has {count} bands where one is expected", advice="leave out this scene")
    return max(location.band, 1)


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


@contextmanager
def opened(href: str, threads: int = 1, file: ByteSource | None = None) -> Iterator[DatasetReader]:
    """The raster as a rasterio dataset, to be used in a with statement; what fails in there is a SourceError too.

    Args:
        href: path or URL.
        threads: how many share the decoding of one read; scenes usually run side by side, and each takes one core.
            At a distance it is always one.
        file: its bytes, where it is remote and has been opened already.

    Raises:
        SourceError: it is missing or unreadable.
    """
    path = Location.of(href).path
    distant = GdalFile(file or open_bytes(path)) if stores.is_distant(path) else None
    threads = 1 if distant else threads
    action = "opened"
    home = contextvars.copy_context()  # rasterio keeps its open files there, and another thread may close this
    try:
        with environment(threads, **_ALONE if distant else {}):
            dataset = home.run(distant.dataset) if distant else rasterio.open(_local(path))
        action = "read"
        try:  # `with dataset` would tie it to this thread
            yield dataset
        finally:
            home.run(dataset.close)
    except (RasterioError, CRSError) as error:
        problem = distant.problem if distant else None
        raise problem or unreadable(stores.redacted(href), _reason(error), action=action) from error
    if distant and distant.problem:
        raise distant.problem


def _local(path: str) -> str | Path:
    """A path on this machine as rasterio takes it: in a text it would take a ? for the query of a URL."""
    return stores.local_path(path) if path.startswith("/vsi") or "://" in path else Path(path)


def environment(threads: int, **options: str) -> rasterio.Env:
    """GDAL's settings, for as long as it opens or reads a file."""
    return rasterio.Env(GDAL_NUM_THREADS=str(threads), **options)


def _reason(error: BaseException) -> str:
    """The root cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    return _OPENER.sub("", access.explained(error))
