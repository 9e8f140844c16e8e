"""Reads pixels of scenes around a position from the cube or the scene files, with harmonised offsets."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.transform import from_bounds
from rasterio.warp import reproject

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.geo.areas import bounds_in
from cbm_lake.geo.reprojection import transformer
from cbm_lake.lake import Lake
from cbm_lake.parcel.chips.scenes import Scene, check_square
from cbm_lake.rasters import Grid, Raster, Window, encoding, eopf, opened, stamp_of
from cbm_lake.rasters.blocks import CubeSource, DamagedError
from cbm_lake.rasters.readers import source, without_nodata
from cbm_lake.storage import stores
from cbm_lake.storage.location import Location

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from cbm_lake.storage.access import ZarrArray

log = logging.getLogger(__name__)

Pixels: TypeAlias = "NDArray[np.number]"
_MARGIN: Final = 2
"""Pixels that are read on every side of what a picture shows."""
_MOST_DECODED: Final = 4096 * 4096
"""Most pixels of a band that are decoded for one image."""


def read(lake: Lake, scene: Scene, bands: Sequence[str], lon: float, lat: float, chipsize: int = 1280) -> xr.Dataset:
    """Read bands of a scene around a position as a dataset (y, x) on the grid of the finest band, harmonised.

    Each pixel of 10 m has the value of the pixel of 20 m that contains its centre. Outside the raster it is nodata, 0.
    The attributes are scene, obstime, epsg and transform (a, b, c, d, e, f).

    Raises:
        InvalidInputError: no such position or size.
        SourceError: the scene lacks a band, or a file cannot be read.
    """
    return Reader(lake).dataset(scene, bands, lon, lat, chipsize)


class Reader:
    """Reads windows of scenes; headers and cube locations are fetched from the lake once.

    For as long as one question takes: a cube that is written meanwhile is not noticed.
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, str], dict[tuple[str, int], int]] = {}
        self._headers: dict[str, Raster | None] = {}
        self._arrays: dict[tuple[str, str], ZarrArray] = {}
        self._several = False
        """Whether many scenes are read, so that the slots of all grids are asked for at once."""

    def prepare(self, scenes: Sequence[Scene], bands: Collection[str], *, local: bool = False) -> None:
        """Fetch the headers of several rasters from the lake at once; others are read from their files.

        Args:
            scenes: whose rasters.
            bands: of which bands.
            local: also those of files on this machine, where so many are read that one question to the lake is cheaper.
        """
        self._several |= len(scenes) > 1
        hrefs = [href for scene in scenes for band, href in scene.hrefs if band in bands]
        # those on this machine are read sooner than asked for
        distant = [href for href in hrefs if (local or "://" in href) and href not in self._headers]
        if not distant:
            return
        rows = self._lake.query("extractions.headers", hrefs=distant).to_pylist()
        self._headers.update(dict.fromkeys(distant))
        self._headers.update({row["href"]: Raster.from_json(row["header"]) for row in rows})

    def dataset(self, scene: Scene, bands: Sequence[str], lon: float, lat: float, chipsize: int) -> xr.Dataset:
        """See `read`."""
        import xarray as xr

        check_square(lon, lat, chipsize)
        self.prepare([scene], bands)
        finest = min((self.raster(scene, band).grid for band in bands), key=lambda grid: grid.transform.a)
        window = centred(finest, lon, lat, chipsize)
        transform = finest.transform * Affine.translation(window.col, window.row)
        x = transform.c + (np.arange(window.width) + 0.5) * transform.a
        y = transform.f + (np.arange(window.height) + 0.5) * transform.e
        parts = {band: (("y", "x"), self.at(scene, band, finest.epsg, x, y)) for band in bands}
        about = {"scene": scene.id, "obstime": scene.obstime.isoformat(), "epsg": finest.epsg}
        return xr.Dataset(parts, coords={"x": x, "y": y}, attrs={**about, "transform": tuple(transform)[:6]})

    def raster(self, scene: Scene, band: str) -> Raster:
        """Header of a band: as stored in the lake, else read from the file."""
        href = scene.href(band)
        header = self._headers.get(href) or _inspected(href)
        return header.encoded(cards.get(scene.card), band, scene.boa_offset)

    def pixels(self, scene: Scene, band: str, window: Window) -> Pixels:
        """Harmonised pixels of a window; 0 outside the raster."""
        raster = self.raster(scene, band)
        pixels = np.zeros((window.height, window.width), raster.pixel_dtype)
        inside = _clipped(window, raster.grid)
        if inside is not None:
            row, column = inside.row - window.row, inside.col - window.col
            stored = self._stored(scene, band, raster, inside)
            pixels[row : row + inside.height, column : column + inside.width] = stored
        return _harmonised(pixels, scene, band)

    def at(self, scene: Scene, band: str, epsg: int, x: NDArray[np.floating], y: NDArray[np.floating]) -> Pixels:
        """Harmonised pixels that contain the points of these axes (x eastwards, y southwards)."""
        grid = self.raster(scene, band).grid
        if grid.epsg != epsg:
            raise SourceError(f"the bands of scene {scene.id} are in EPSG:{epsg} and EPSG:{grid.epsg}; leave it out")
        columns = np.floor((x - grid.transform.c) / grid.transform.a).astype(int)
        rows = np.floor((y - grid.transform.f) / grid.transform.e).astype(int)
        corner, size = (int(rows[0]), int(columns[0])), (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        return self.pixels(scene, band, Window(*corner, *size))[np.ix_(rows - rows[0], columns - columns[0])]

    def mapped(
        self, scene: Scene, band: str, bounds: Sequence[float], size: int | tuple[int, int], *, exact: bool = False
    ) -> Pixels:
        """Reproject a band to a rectangle of Web Mercator; 0 is nodata.

        Args:
            scene: of which scene.
            band: its name.
            bounds: west, south, east, north.
            size: pixels a side of a square, or (rows, columns).
            exact: draw pixels that are larger than those of the rectangle as they are, with their edges; otherwise
                values between their centres are interpolated.
        """
        raster = self.raster(scene, band)
        rows, columns = (size, size) if isinstance(size, int) else size
        target = np.zeros((rows, columns), raster.pixel_dtype)
        window = _under(raster.grid, bounds)
        if window is None:
            return target
        detail = _detail(raster.grid, window, bounds, (rows, columns))
        pixels = self._coarse(scene, band, raster, window, int(max(1, detail // 2)))
        nearest = band == _classes(scene) or (exact and detail <= 1)
        scale = Affine.scale(window.width / pixels.shape[1], window.height / pixels.shape[0])
        transform = raster.grid.transform * Affine.translation(window.col, window.row) * scale
        reproject(
            pixels,
            target,
            src_transform=transform,
            src_crs=f"EPSG:{raster.grid.epsg}",
            src_nodata=0,
            dst_nodata=0,
            dst_transform=from_bounds(*bounds, columns, rows),
            dst_crs="EPSG:3857",
            resampling=Resampling.nearest if nearest else Resampling.bilinear,
        )
        return target

    def _coarse(self, scene: Scene, band: str, raster: Raster, window: Window, step: int) -> Pixels:
        """Harmonised pixels of a window, one for `step` of them in each direction.

        The file's overviews are used where it has any; their pixels are means of the stored DN.
        """
        if step == 1:
            return self.pixels(scene, band, window)
        if eopf.holds(raster.href):
            _check_size(raster, window, 1)
            whole = self.pixels(scene, band, window)
            axes = ((np.arange(-(-size // step)) + 0.5) * size / -(-size // step) for size in whole.shape)
            return whole[np.ix_(*(indices.astype(int) for indices in axes))]
        return _harmonised(_overview(raster, window, step, band == _classes(scene)), scene, band)

    def _stored(self, scene: Scene, band: str, raster: Raster, window: Window) -> Pixels:
        """Stored pixels of a window: from the cube if complete there, else from the file."""
        cached = self._from_cube(scene, band, raster, window)
        if cached is not None:
            return cached
        now = Raster.current(raster.href, replace(raster, encoding=None))
        if now.grid != raster.grid:
            raise SourceError(f"raster {stores.redacted(raster.href)} is on another grid than before; extract it again")
        [pixels] = source(replace(now, encoding=raster.encoding)).read([window])
        return pixels

    def _from_cube(self, scene: Scene, band: str, raster: Raster, window: Window) -> Pixels | None:
        """Pixels of a window from the cube; None if incomplete."""
        slot = self._slot(scene, raster.grid.name)
        if slot is None:
            return None
        try:
            url = self._lake.cube_url(scene.card, raster.grid.name)
            cube = CubeSource(url, band, slot, raster, array=self._arrays.get((url, band)))
            self._arrays[url, band] = cube.array
            return cube.stored(window)
        except DamagedError as error:
            log.warning("%s; the scene's own file is read meanwhile", error)
        except SourceError as error:  # no such band in the cube; the file is the truth
            log.debug("%s; the scene's own file is read", error)
        return None

    def _slot(self, scene: Scene, grid: str) -> int | None:
        """Valid slot of a scene in a cube, if any."""
        key = scene.card, grid
        with self._lock:  # so that threads do not all ask
            if key not in self._slots:
                params = {"card": scene.card, "grid": None if self._several else grid, "aoi": None, "year": None}
                for row in self._lake.query("cube.slots", **params).to_pylist():
                    slots = self._slots.setdefault((scene.card, row["grid"]), {})
                    slots[row["scene"], row["boa_offset"]] = row["slot"]
                self._slots.setdefault(key, {})
        return self._slots[key].get((scene.id, scene.boa_offset))


def _overview(raster: Raster, window: Window, step: int, classes: bool) -> Pixels:
    """Stored pixels of a window, downsampled: the mean of a block, or for classes one of its pixels."""
    rows, columns = (window.row, window.row + window.height), (window.col, window.col + window.width)
    shape = (-(-window.height // step), -(-window.width // step))
    resampling = Resampling.nearest if classes else Resampling.average
    with opened(raster.href) as dataset:
        _check_size(raster, window, max((factor for factor in dataset.overviews(1) if factor <= step), default=1))
        pixels = dataset.read(raster.band, window=(rows, columns), out_shape=shape, resampling=resampling)
        if raster.masked:
            pixels[dataset.read_masks(raster.band, window=(rows, columns), out_shape=shape) == 0] = 0
    pixels = without_nodata(pixels, raster.nodata)
    return encoding.decoded(pixels, raster.encoding, stores.redacted(raster.href)) if raster.encoding else pixels


def _check_size(raster: Raster, window: Window, factor: int) -> None:
    """Raise InvalidInputError if overviews of that factor would decode too many pixels."""
    if window.height * window.width > _MOST_DECODED * factor**2:
        raise InvalidInputError(f"{stores.redacted(raster.href)} has no overviews for a picture of all that; zoom in")


def _classes(scene: Scene) -> str | None:
    return cards.get(scene.card).class_band


def _inspected(href: str) -> Raster:
    """Read the current header of a file."""
    return _header(href, stamp_of(Location.of(href).path))


@lru_cache(4096)
def _header(href: str, stamp: str) -> Raster:
    """What the header of a file of that content says."""
    return replace(Raster.inspect(href), stamp=stamp)


def centred(grid: Grid, lon: float, lat: float, chipsize: float) -> Window:
    """Window of a chip, centred on a position to the nearest whole pixel; it may extend beyond the raster."""
    x, y = transformer(4326, grid.epsg).transform(lon, lat)
    if not (np.isfinite(x) and np.isfinite(y)):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in EPSG:{grid.epsg}")
    size = max(1, round(chipsize / grid.transform.a))
    column, row = ~grid.transform * (x, y)
    return Window(round(row - size / 2), round(column - size / 2), size, size)


def _under(grid: Grid, bounds: Sequence[float]) -> Window | None:
    """Pixels of a raster under a square of Web Mercator, with a margin of one or two pixels; None if there are none."""
    extent = bounds_in(shapely.box(*grid.bounds), grid.epsg, 3857)
    shared = (*np.maximum(extent[:2], bounds[:2]), *np.minimum(extent[2:], bounds[2:]))
    if shared[0] >= shared[2] or shared[1] >= shared[3]:
        return None
    west, south, east, north = bounds_in(shapely.box(*shared), 3857, grid.epsg)
    first_column, first_row = ~grid.transform * (west, north)
    last_column, last_row = ~grid.transform * (east, south)
    row, column = int(np.floor(first_row)) - _MARGIN, int(np.floor(first_column)) - _MARGIN
    height, width = int(np.ceil(last_row)) + _MARGIN - row, int(np.ceil(last_column)) + _MARGIN - column
    return _clipped(Window(row, column, height, width), grid)


def _detail(grid: Grid, window: Window, bounds: Sequence[float], size: tuple[int, int]) -> float:
    """How many pixels of a window lie side by side in one of a picture of these bounds, of `size` rows and columns."""
    extent = bounds_in(shapely.box(*grid.bounds), grid.epsg, 3857)
    west, south = np.maximum(extent[:2], bounds[:2])
    east, north = np.minimum(extent[2:], bounds[2:])
    across = (east - west) / (bounds[2] - bounds[0]) * size[1]
    up = (north - south) / (bounds[3] - bounds[1]) * size[0]
    return float(max((window.width - 2 * _MARGIN) / across, (window.height - 2 * _MARGIN) / up))


def _clipped(window: Window, grid: Grid) -> Window | None:
    """The part of a window inside the raster; None where missing."""
    row, column = max(window.row, 0), max(window.col, 0)
    height = min(window.row + window.height, grid.shape[0]) - row
    width = min(window.col + window.width, grid.shape[1]) - column
    return Window(row, column, height, width) if height > 0 and width > 0 else None


def _harmonised(pixels: Pixels, scene: Scene, band: str) -> Pixels:
    """Harmonise stored DN, masking those that are no reflectance; classes and radar are unchanged."""
    card = cards.get(scene.card)
    if card.is_classes(band) or pixels.dtype.kind == "f":
        return pixels
    encoding.without_wrapped(pixels, card.highest)
    if not scene.boa_offset and card.factor == 1:
        return pixels
    measured = np.rint(card.measured_of(pixels.astype(np.int32) + scene.boa_offset))
    shifted = np.clip(measured, 1, np.iinfo(pixels.dtype.name).max)
    return np.where(pixels == 0, 0, shifted).astype(pixels.dtype)
