"""Chips: small windows of scenes round a place, out of the cube or the scenes' own files, as GeoTIFF or xarray.

Everything that is read here is harmonised: DN are reflectance x 10000 whatever the scene's processing baseline, DN 0 is
nodata, and what the offset would make darker than nothing is DN 1. Scene classes and radar stay as they are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import shapely
from affine import Affine
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.warp import reproject

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError, TooManyError
from cbm_lake.files.dates import day_of
from cbm_lake.geo.areas import bounds_in
from cbm_lake.geo.reprojection import transformer
from cbm_lake.lake import Lake
from cbm_lake.rasters import Grid, Raster, Window, encoding, eopf, opened, render, stamp_of
from cbm_lake.rasters.blocks import CubeSource, DamagedError
from cbm_lake.rasters.readers import source, without_nodata
from cbm_lake.storage import stores
from cbm_lake.storage.location import Location

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

LARGEST: Final = 5120
"""Metres: the widest chip."""
HALF_MAP: Final = 20_037_508.342789244
"""Metres from the centre of Web Mercator to its edge."""
TILE: Final = 256
"""Pixels a side of a map tile."""
_DEEPEST: Final = 22
"""The last zoom level of map tiles: 4 cm."""
_MOST_DECODED: Final = 4096 * 4096
"""Pixels of a band that are decoded for one picture at most."""
_YEARS: Final = (1970, 2200)
_READERS: Final = 4
"""Scenes read at once."""
_TAKEN = re.compile(r"_MSIL\d\w_(\d{8}T\d{6})_")
"""When a Sentinel-2 datatake began, in its products' names; catalogues tell the moment of each tile."""
_UNSAFE = re.compile(r"[^\w-]")
"""What is not put into the name of a file."""


@dataclass(frozen=True)
class Chip:
    """One band of a scene round a place, in a file."""

    scene: str
    """Name of the product, which is also the first part of the file's name."""
    obstime: datetime
    band: str
    file: Path


@dataclass(frozen=True)
class Scene:
    """A scene over a place."""

    id: str
    product: str
    """The product's name as a file's name has it: without .SAFE, without dots."""
    obstime: datetime
    card: str
    boa_offset: int
    """DN to add to the stored DN."""
    baseline: str
    cloud_cover: float | None
    """Percent of the whole scene."""
    overlap: float
    """Share of the chip that the scene's footprint covers."""
    hrefs: tuple[tuple[str, str], ...]
    """Path or URL of each band."""

    def href(self, band: str) -> str:
        """Path or URL of a band.

        Raises:
            SourceError: the scene was catalogued without it.
        """
        known = dict(self.hrefs)
        if band not in known:
            raise SourceError(f"scene {self.id} has no raster of {band}; it has {', '.join(known) or 'none at all'}")
        return known[band]

    @property
    def moment(self) -> str:
        """Equal for all products of one overflight that show the same place."""
        found = _TAKEN.search(self.product)
        return found[1] if found else f"{self.obstime:%Y%m%dT%H%M%S}"


# -- which scenes -----------------------------------------------------------------------------------------------------


def covering(
    lake: Lake, lon: float, lat: float, start: date | str, end: date | str,
    *, card: str = "s2", chipsize: int = 1280, products: Collection[str] | None = None,
) -> list[Scene]:  # fmt: skip
    """The scenes whose footprint covers a place, by time; of those of one moment the one that covers more of the chip.

    Where two cover it alike, the one of the higher processing baseline. Superseded scenes are left out.

    Args:
        lake: where they are catalogued.
        lon: degrees east.
        lat: degrees north.
        start: the first day.
        end: the last day, included.
        card: s2, bs, c6, …, see `cards.CARDS`.
        chipsize: metres a side of the chip.
        products: only these, by their names (`Scene.product`).

    Raises:
        InvalidInputError: no such place or card, a date that is none, a last day before the first, or a chip too large.
    """
    _check(lon, lat, chipsize)
    first, last = _day(start), _day(end) + timedelta(days=1)
    if last <= first:
        raise InvalidInputError(f"the last day, {end}, comes before the first, {start}; turn them round")
    place = {"lon": float(lon), "lat": float(lat)}
    rows = lake.query("scenes.covering", card=cards.get(card).name, start=first, stop=last, **place).to_pylist()
    best: dict[str, Scene] = {}
    for scene in _over(rows, shapely.Point(lon, lat), _square(lon, lat, chipsize)):
        held = best.get(scene.moment)
        if products is not None and scene.product not in products:
            continue
        if held is None or (round(scene.overlap, 6), scene.baseline) > (round(held.overlap, 6), held.baseline):
            best[scene.moment] = scene
    return sorted(best.values(), key=lambda scene: (scene.obstime, scene.id))


def _over(rows: list[dict[str, Any]], point: shapely.Point, square: shapely.Geometry) -> Iterator[Scene]:
    """The scenes whose footprint covers a point, and how much of a square they cover."""
    for row in rows:
        footprint = shapely.make_valid(shapely.from_wkb(row["footprint"]))
        if footprint.covers(point):
            yield _scene(row, shapely.area(shapely.intersection(footprint, square)) / square.area)


def by_id(lake: Lake, scene: str, card: str = "s2") -> Scene:
    """The scene of that id.

    Raises:
        NotFoundError: none is catalogued.
    """
    rows = lake.query("scenes.by_id", card=cards.get(card).name, scene=scene).to_pylist()
    if not rows:
        raise NotFoundError(f"no scene {scene!r} of card {card} is catalogued")
    return _scene(rows[0], 1.0)


def _scene(row: dict[str, Any], overlap: float) -> Scene:
    product = _UNSAFE.sub("_", row["reference"].removesuffix(".SAFE"))
    hrefs = tuple((name, asset["href"]) for name, asset in row["assets"].items() if asset and asset["href"])
    baseline = row["processing_baseline"] or ""
    obstime = row["obstime"].astimezone(UTC)
    return Scene(
        row["id"], product, obstime, row["card"], row["boa_offset"], baseline, row["cloud_cover"], overlap, hrefs
    )  # fmt: skip


def _check(lon: float, lat: float, chipsize: float) -> None:
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in degrees; longitude comes first")
    if not 0 < chipsize <= LARGEST:
        raise InvalidInputError(f"chipsize {chipsize} is not between 1 and {LARGEST} metres")
    west, _, east, _ = _square(lon, lat, chipsize).bounds
    if west < -180 or east > 180:
        raise InvalidInputError(f"the chip at lon {lon}, lat {lat} lies across the antimeridian, where none are made")


def _square(lon: float, lat: float, metres: float) -> shapely.Geometry:
    """A chip in degrees, well enough to compare how much of it scenes cover."""
    up = metres / 2 / 111_320
    across = up / max(np.cos(np.radians(lat)), 0.01)
    return shapely.box(lon - across, lat - up, lon + across, lat + up)


def _day(value: date | str) -> datetime:
    """The first moment of a day."""
    day = day_of(value)
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        raise InvalidInputError(f"{value} is not between the years {_YEARS[0]} and {_YEARS[1]}")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def check_rasters(scenes: Sequence[Scene], bands: Collection[str]) -> None:
    """Raise NotFoundError where there are scenes, of which none was catalogued with rasters of the bands."""
    if not scenes or any(set(bands) <= dict(scene.hrefs).keys() for scene in scenes):
        return
    raise NotFoundError(
        f"no raster of {', '.join(bands)} is catalogued of the scenes there ({len(scenes)}, one is {scenes[0].id}); "
        "catalogue them with their rasters, which cbm-lake card2db does"
    )


# -- pixels -----------------------------------------------------------------------------------------------------------


def read(lake: Lake, scene: Scene, bands: Sequence[str], lon: float, lat: float, chipsize: int = 1280) -> xr.Dataset:
    """The bands of a scene round a place as a dataset (y, x) on the grid of the finest, harmonised.

    Each pixel of 10 m has the value of the pixel of 20 m that holds its centre. Outside the raster it is nodata, 0.
    The attributes are scene, obstime, epsg and transform (a, b, c, d, e, f).

    Raises:
        InvalidInputError: no such place or size.
        SourceError: the scene lacks a band, or a file cannot be read.
    """
    import xarray as xr

    _check(lon, lat, chipsize)
    reader = _Reader(lake, [scene], bands)
    finest = min((reader.raster(scene, band).grid for band in bands), key=lambda grid: grid.transform.a)
    frame = _window(finest, lon, lat, chipsize)
    place = finest.transform * Affine.translation(frame.col, frame.row)
    x = place.c + (np.arange(frame.width) + 0.5) * place.a
    y = place.f + (np.arange(frame.height) + 0.5) * place.e
    parts = {band: (("y", "x"), reader.at(scene, band, finest.epsg, x, y)) for band in bands}
    about = {"scene": scene.id, "obstime": scene.obstime.isoformat(), "epsg": finest.epsg}
    return xr.Dataset(parts, coords={"x": x, "y": y}, attrs={**about, "transform": tuple(place)[:6]})


class _Reader:
    """Reads windows of some scenes; the lake is asked once what it knows of their files and cubes."""

    def __init__(self, lake: Lake, scenes: Sequence[Scene], bands: Sequence[str]) -> None:
        self._lake = lake
        self._slots: dict[tuple[str, str], dict[tuple[str, int], int]] = {}
        hrefs = [href for scene in scenes for band, href in scene.hrefs if band in bands]
        distant = [href for href in hrefs if "://" in href]  # those on this machine are read sooner than asked for
        rows = lake.query("extractions.headers", hrefs=distant).to_pylist() if distant else []
        self._headers = {row["href"]: Raster.from_json(row["header"]) for row in rows}

    def raster(self, scene: Scene, band: str) -> Raster:
        """The header of a band: as the lake remembers it, else as the file says."""
        href = scene.href(band)
        header = self._headers.get(href) or _inspected(href)
        return header.encoded(cards.get(scene.card), band, scene.boa_offset)

    def pixels(self, scene: Scene, band: str, window: Window) -> NDArray[Any]:
        """The harmonised pixels of a window; 0 outside the raster."""
        raster = self.raster(scene, band)
        found = np.zeros((window.height, window.width), raster.pixel_dtype)
        inside = _clipped(window, raster.grid)
        if inside is not None:
            top, left = inside.row - window.row, inside.col - window.col
            stored = self._stored(scene, band, raster, inside)
            found[top : top + inside.height, left : left + inside.width] = stored
        return _harmonised(found, scene, band)

    def at(self, scene: Scene, band: str, epsg: int, x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        """The harmonised pixels that hold the points of these axes (x eastwards, y southwards)."""
        grid = self.raster(scene, band).grid
        if grid.epsg != epsg:
            raise SourceError(f"the bands of scene {scene.id} are in EPSG:{epsg} and EPSG:{grid.epsg}; leave it out")
        columns = np.floor((x - grid.transform.c) / grid.transform.a).astype(int)
        rows = np.floor((y - grid.transform.f) / grid.transform.e).astype(int)
        corner, size = (int(rows[0]), int(columns[0])), (int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
        return self.pixels(scene, band, Window(*corner, *size))[np.ix_(rows - rows[0], columns - columns[0])]

    def mapped(self, scene: Scene, band: str, bounds: tuple[float, ...], size: int) -> NDArray[Any]:
        """A band on a square of Web Mercator, `size` pixels a side; 0 where there is none of it."""
        raster = self.raster(scene, band)
        found: NDArray[Any] = np.zeros((size, size), raster.pixel_dtype)
        window = _under(raster.grid, bounds)
        if window is None:
            return found
        pixels = self._coarse(scene, band, raster, window, size)
        scale = Affine.scale(window.width / pixels.shape[1], window.height / pixels.shape[0])
        place = raster.grid.transform * Affine.translation(window.col, window.row) * scale
        reproject(
            pixels, found, src_transform=place, src_crs=f"EPSG:{raster.grid.epsg}", src_nodata=0, dst_nodata=0,
            dst_transform=from_bounds(*bounds, size, size), dst_crs="EPSG:3857",
            resampling=Resampling.nearest if band == _classes(scene) else Resampling.bilinear,
        )  # fmt: skip
        return found

    def _coarse(self, scene: Scene, band: str, raster: Raster, window: Window, size: int) -> NDArray[Any]:
        """The harmonised pixels of a window inside the raster, fewer of them where it has far more than `size` a side.

        The file's overviews are used where it has any; their pixels are means of the stored DN.
        """
        step = max(1, max(window.height, window.width) // (2 * size))
        if step == 1:
            return self.pixels(scene, band, window)
        if eopf.holds(raster.href):
            _check_size(raster, window, 1)
            whole: NDArray[Any] = self.pixels(scene, band, window)
            places = ((np.arange(-(-size // step)) + 0.5) * size / -(-size // step) for size in whole.shape)
            return whole[np.ix_(*(place.astype(int) for place in places))]
        return _harmonised(_overview(raster, window, step, band == _classes(scene)), scene, band)

    def _stored(self, scene: Scene, band: str, raster: Raster, window: Window) -> NDArray[Any]:
        """The pixels of a window inside the raster: from the cube where it has them all, else from the file."""
        slot = self._slot(scene, raster.grid.name)
        if slot is not None:
            try:
                kept = CubeSource(self._lake.cube_url(scene.card, raster.grid.name), band, slot, raster).stored(window)
            except DamagedError as error:
                log.warning("%s; the scene's own file is read meanwhile", error)
                kept = None
            except SourceError as error:  # no such band in the cube; the file is the truth
                log.debug("%s; the scene's own file is read", error)
                kept = None
            if kept is not None:
                return kept
        now = Raster.current(raster.href, replace(raster, encoding=None))
        if now.grid != raster.grid:
            raise SourceError(f"raster {stores.shown(raster.href)} is on another grid than before; extract it again")
        [pixels] = source(replace(now, encoding=raster.encoding)).read([window])
        return pixels

    def _slot(self, scene: Scene, grid: str) -> int | None:
        """The slot of a scene in a cube, where it counts."""
        key = scene.card, grid
        if key not in self._slots:
            rows = self._lake.query("cube.slots", card=scene.card, grid=grid, aoi=None, year=None).to_pylist()
            self._slots[key] = {(row["scene"], row["boa_offset"]): row["slot"] for row in rows}
        return self._slots[key].get((scene.id, scene.boa_offset))


def _overview(raster: Raster, window: Window, step: int, classes: bool) -> NDArray[Any]:
    """The stored pixels of a window, of so many a side one: their mean, or of classes any of them."""
    rows, columns = (window.row, window.row + window.height), (window.col, window.col + window.width)
    shape = (-(-window.height // step), -(-window.width // step))
    resampling = Resampling.nearest if classes else Resampling.average
    with opened(raster.href) as dataset:
        _check_size(raster, window, max((factor for factor in dataset.overviews(1) if factor <= step), default=1))
        pixels = dataset.read(raster.band, window=(rows, columns), out_shape=shape, resampling=resampling)
        if raster.masked:
            pixels[dataset.read_masks(raster.band, window=(rows, columns), out_shape=shape) == 0] = 0
    pixels = without_nodata(pixels, raster.nodata)
    return encoding.decoded(pixels, raster.encoding, stores.shown(raster.href)) if raster.encoding else pixels


def _check_size(raster: Raster, window: Window, factor: int) -> None:
    """Raise InvalidInputError where too many pixels would be decoded from overviews of that factor."""
    if window.height * window.width > _MOST_DECODED * factor**2:
        raise InvalidInputError(f"{stores.shown(raster.href)} has no overviews for a picture of all that; zoom in")


def _classes(scene: Scene) -> str | None:
    return cards.get(scene.card).class_band


def _inspected(href: str) -> Raster:
    """What a file's header says now."""
    return _header(href, stamp_of(Location.of(href).path))


@lru_cache(4096)
def _header(href: str, stamp: str) -> Raster:
    """What the header of a file of that content says."""
    return replace(Raster.inspect(href), stamp=stamp)


def _window(grid: Grid, lon: float, lat: float, chipsize: float) -> Window:
    """The pixels of a chip that is centred on a place as well as whole pixels can; it may lie across the edge."""
    x, y = transformer(4326, grid.epsg).transform(lon, lat)
    if not (np.isfinite(x) and np.isfinite(y)):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in EPSG:{grid.epsg}")
    size = max(1, round(chipsize / grid.transform.a))
    column, row = ~grid.transform * (x, y)
    return Window(round(row - size / 2), round(column - size / 2), size, size)


def _under(grid: Grid, bounds: tuple[float, ...]) -> Window | None:
    """The pixels of a raster under a square of Web Mercator, and one or two more on each side; None where none are."""
    own = bounds_in(shapely.box(*grid.bounds), grid.epsg, 3857)
    shared = (*np.maximum(own[:2], bounds[:2]), *np.minimum(own[2:], bounds[2:]))
    if shared[0] >= shared[2] or shared[1] >= shared[3]:
        return None
    west, south, east, north = bounds_in(shapely.box(*shared), 3857, grid.epsg)
    left, top = ~grid.transform * (west, north)
    right, bottom = ~grid.transform * (east, south)
    row, column = int(np.floor(top)) - 2, int(np.floor(left)) - 2
    return _clipped(Window(row, column, int(np.ceil(bottom)) + 2 - row, int(np.ceil(right)) + 2 - column), grid)


def _clipped(window: Window, grid: Grid) -> Window | None:
    """The part of a window inside the raster; None where there is none."""
    top, left = max(window.row, 0), max(window.col, 0)
    bottom = min(window.row + window.height, grid.shape[0])
    right = min(window.col + window.width, grid.shape[1])
    return Window(top, left, bottom - top, right - left) if top < bottom and left < right else None


def _harmonised(pixels: NDArray[Any], scene: Scene, band: str) -> NDArray[Any]:
    """Stored DN as harmonised DN, those that are no reflectance made nodata; classes and radar stay."""
    card = cards.get(scene.card)
    if card.is_classes(band) or pixels.dtype.kind == "f":
        return pixels
    encoding.without_wrapped(pixels, card.highest)
    if not scene.boa_offset and card.factor == 1:
        return pixels
    measured = np.rint(card.measured_of(pixels.astype(np.int32) + scene.boa_offset))
    shifted = np.clip(measured, 1, np.iinfo(pixels.dtype).max)
    return np.where(pixels == 0, 0, shifted).astype(pixels.dtype)


# -- maps -------------------------------------------------------------------------------------------------------------


def mapped(
    lake: Lake, scene: Scene, bands: Sequence[str], bounds: tuple[float, ...], size: int
) -> dict[str, NDArray[Any]]:
    """Bands of a scene on a square of Web Mercator (west, south, east, north), harmonised; 0 where there is nothing.

    Zoomed out, the files' overviews are read, so that the work does not grow.

    Raises:
        InvalidInputError: the square is too large for files without overviews.
        SourceError: the scene lacks a band, or a file cannot be read.
    """
    reader = _Reader(lake, [scene], bands)
    return {band: reader.mapped(scene, band, bounds, size) for band in bands}


def tile(
    lake: Lake, scene: Scene, bands: str | Sequence[str], z: int, x: int, y: int, *, lut: str | None = None
) -> bytes:
    """A map tile (XYZ, 256 pixels, Web Mercator) of a scene as PNG, transparent where there is nothing.

    Args:
        lake: where the scene is.
        scene: see `by_id`.
        bands: three for red, green and blue (B08_B04_B03 or a list), or one, which is grey unless it is SCL.
        z: zoom level.
        x: column from the west.
        y: row from the north.
        lut: see `pictures.stretched`; None is the same stretch for all tiles, so that they fit together.

    Raises:
        InvalidInputError: no such tile, bands or lut, or too large a tile for files without overviews.
        SourceError: the scene lacks a band, or a file cannot be read.
    """
    if not (0 <= z <= _DEEPEST and 0 <= x < 2**z and 0 <= y < 2**z):
        raise InvalidInputError(f"there is no tile {z}/{x}/{y}")
    side = 2 * HALF_MAP / 2**z
    west, north = x * side - HALF_MAP, HALF_MAP - y * side
    return _png(mapped(lake, scene, render.names_of(bands), (west, north - side, west + side, north), TILE), lut)


def picture(
    lake: Lake, scene: Scene, bands: str | Sequence[str], lon: float, lat: float, chipsize: int = 1280,
    *, lut: str | None = "5_95",
) -> bytes:  # fmt: skip
    """A chip of a scene as PNG in the scene's own pixels; see `read` and `tile`."""
    names = render.names_of(bands)
    found = read(lake, scene, names, lon, lat, chipsize)
    return _png({name: found[name].to_numpy() for name in names}, lut)


def _png(found: dict[str, NDArray[Any]], lut: str | None) -> bytes:
    nodata = np.all([values == 0 for values in found.values()], axis=0)
    return render.png(render.stretched(found, lut, nodata), nodata)


# -- files ------------------------------------------------------------------------------------------------------------


def write(
    lake: Lake,
    lon: float,
    lat: float,
    start: date | str,
    end: date | str,
    *,
    band: str,
    chipsize: int = 1280,
    folder: Path,
    limit: int = 24,
    card: str = "s2",
    products: Collection[str] | None = None,
) -> list[Chip]:
    """One band of every scene over a place as GeoTIFFs <product>.<band>.tif, in the scene's own pixels; by time.

    Of radar they are <product>_<band>.tif. The tag boa_offset says what was added to the stored DN. What is in
    the folder with that place, size and offset stays. A scene that cannot be read is left out, and the log warns of it.

    Args:
        lake: where the scenes are catalogued.
        lon: degrees east.
        lat: degrees north.
        start: the first day.
        end: the last day, included.
        band: B02, …, SCL; VV or VH of radar.
        chipsize: metres a side.
        folder: where to; it is made.
        limit: the greatest number of scenes that are read.
        card: s2, bs, c6, …, see `cards.CARDS`.
        products: names of the only products wanted, without .SAFE.

    Raises:
        InvalidInputError: no such place, band or date, or more scenes than the limit.
        NotFoundError: there are scenes, but none was catalogued with a raster of the band.
        SourceError: no scene at all could be read, or the folder takes nothing.
    """
    known = cards.get(card)
    if not known.is_classes(band):
        known.check_bands((band,))
    scenes = covering(lake, lon, lat, start, end, card=card, chipsize=chipsize, products=products)
    scenes = [scene for scene in scenes if products is None or scene.product in products]
    check_rasters(scenes, (band,))
    chips = {scene: Chip(scene.product, scene.obstime, band, folder / _name(scene, band)) for scene in scenes}
    missing = [scene for scene, chip in chips.items() if not _is_there(chip, scene, lon, lat, chipsize)]
    if len(missing) > limit:
        reason = f"{len(missing)} scenes from {start} to {end} are more than {limit}"
        raise TooManyError(reason, advice="ask for fewer days", count=len(missing), limit=limit)
    lost = _failures(lake, [(scene, chips[scene]) for scene in missing], lon, lat, chipsize)
    if lost and len(lost) == len(scenes):
        raise next(iter(lost.values()))
    return [chip for scene, chip in chips.items() if scene not in lost]


def _failures(
    lake: Lake, chips: Sequence[tuple[Scene, Chip]], lon: float, lat: float, chipsize: int
) -> dict[Scene, SourceError]:
    """Write chips, some at a time; the scenes that cannot be read, and why."""
    if not chips:
        return {}
    reader = _Reader(lake, [scene for scene, _ in chips], [chips[0][1].band])

    def attempt(item: tuple[Scene, Chip]) -> SourceError | None:
        try:
            _write(reader, *item, lon, lat, chipsize)
        except SourceError as error:
            log.warning("no chip of scene %s: %s", item[0].id, error)
            return SourceError(f"no chip of scene {item[0].id}: {error}")
        return None

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(attempt, chips))
    return {scene: error for (scene, _), error in zip(chips, found, strict=True) if error}


def _is_there(chip: Chip, scene: Scene, lon: float, lat: float, chipsize: float) -> bool:
    """Whether the file of a chip has that place, size and offset already."""
    if not chip.file.exists():
        return False
    try:
        with rasterio.open(chip.file) as dataset:
            grid = Grid(dataset.crs.to_epsg(), dataset.transform, dataset.shape)
            tags = dataset.tags()
    except (RasterioError, AttributeError):
        return False
    same = tags.get("scene") == scene.id and tags.get("boa_offset") == str(scene.boa_offset)
    return same and _window(grid, lon, lat, chipsize) == Window(0, 0, *grid.shape)


def _name(scene: Scene, band: str) -> str:
    separator = "." if cards.get(scene.card).is_optical else "_"
    return f"{scene.product}{separator}{band}.tif"


def _write(reader: _Reader, scene: Scene, chip: Chip, lon: float, lat: float, chipsize: int) -> None:
    grid = reader.raster(scene, chip.band).grid
    window = _window(grid, lon, lat, chipsize)
    pixels = reader.pixels(scene, chip.band, window)
    place = grid.transform * Affine.translation(window.col, window.row)
    tags = {"scene": scene.id, "obstime": scene.obstime.isoformat(), "band": chip.band, "boa_offset": scene.boa_offset}
    render.save_geotiff(chip.file, pixels[np.newaxis], grid.epsg, place, tags, nodata=0)
