"""Chips: small windows of scenes round a place, out of the cube or the scenes' own files, as GeoTIFF or xarray."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.errors import RasterioError

from cbm_lake import cards
from cbm_lake.cube import CubeSource
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.rasters import Grid, Raster, Window, source

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

LARGEST: Final = 5120
"""Metres: the widest chip."""
_READERS: Final = 4
"""Scenes read at once."""


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
    overlap: float
    """Share of the chip that the scene's footprint covers."""
    hrefs: tuple[tuple[str, str], ...]
    """Path or URL of each band."""


# -- which scenes -----------------------------------------------------------------------------------------------------


def covering(
    lake: Lake, lon: float, lat: float, start: date | str, end: date | str, *, card: str = "s2", chipsize: int = 1280
) -> list[Scene]:
    """The scenes whose footprint covers a place, by time; of those of one moment the one that covers more of the chip.

    Where two cover it alike, the one of the higher processing baseline. Superseded scenes are left out.

    Args:
        lake: where they are catalogued.
        lon: degrees east.
        lat: degrees north.
        start: the first day.
        end: the last day, included.
        card: s2, bs or c6.
        chipsize: metres a side of the chip.

    Raises:
        InvalidInputError: no such place or card, a date that is none, or a chip too large.
    """
    _check(lon, lat, chipsize)
    first, last = _day(start), _day(end) + timedelta(days=1)
    place = {"lon": float(lon), "lat": float(lat)}
    rows = lake.query("scenes.covering", card=cards.get(card).name, start=first, stop=last, **place).to_pylist()
    square = _square(lon, lat, chipsize)
    best: dict[datetime, Scene] = {}
    for row in rows:
        footprint = shapely.from_wkb(row["footprint"])
        if footprint.covers(shapely.Point(lon, lat)):
            scene = _scene(row, shapely.area(shapely.intersection(footprint, square)) / square.area)
            moment = scene.obstime.replace(microsecond=0)
            held = best.get(moment)
            if held is None or (scene.overlap, scene.baseline) > (held.overlap, held.baseline):
                best[moment] = scene
    return [best[moment] for moment in sorted(best)]


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
    product = row["reference"].removesuffix(".SAFE").replace(".", "_")
    hrefs = tuple((name, asset["href"]) for name, asset in row["assets"].items() if asset and asset["href"])
    baseline = row["processing_baseline"] or ""
    obstime = row["obstime"].astimezone(UTC)
    return Scene(row["id"], product, obstime, row["card"], row["boa_offset"], baseline, overlap, hrefs)


def _check(lon: float, lat: float, chipsize: float) -> None:
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in degrees; longitude comes first")
    if not 0 < chipsize <= LARGEST:
        raise InvalidInputError(f"chipsize {chipsize} is not between 1 and {LARGEST} metres")


def _square(lon: float, lat: float, metres: float) -> shapely.Geometry:
    """A chip in degrees, well enough to compare how much of it scenes cover."""
    up = metres / 2 / 111_320
    across = up / max(np.cos(np.radians(lat)), 0.01)
    return shapely.box(lon - across, lat - up, lon + across, lat + up)


def _day(value: date | str) -> datetime:
    """The first moment of a day."""
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value)
    except (ValueError, TypeError) as error:
        raise InvalidInputError(f"{value!r} is no day ({error}); write dates as 2024-03-01") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


# -- pixels -----------------------------------------------------------------------------------------------------------


def read(lake: Lake, scene: Scene, bands: Sequence[str], lon: float, lat: float, chipsize: int = 1280) -> xr.Dataset:
    """The bands of a scene round a place as a dataset (y, x) on one grid, harmonised: DN are reflectance x 10000.

    Bands of 20 m come in pixels of 10 m, each repeated, where they are asked for with bands of 10 m. DN 0 is nodata;
    what is darker than nothing after the offset is DN 1.

    Raises:
        InvalidInputError: no such place, or the scene lacks a band.
        SourceError: a file cannot be read.
    """
    import xarray as xr

    _check(lon, lat, chipsize)
    rasters = {band: _raster(lake, scene, band) for band in bands}
    finest = min((raster.grid for raster in rasters.values()), key=lambda grid: grid.transform.a)
    coarsest = max((raster.grid for raster in rasters.values()), key=lambda grid: grid.transform.a)
    frame = _window(coarsest, lon, lat, chipsize)
    parts = {}
    for band, raster in rasters.items():
        factor = round(coarsest.transform.a / raster.grid.transform.a)
        pixels = _pixels(lake, scene, band, raster, Window(*(factor * value for value in frame)))
        times = round(raster.grid.transform.a / finest.transform.a)
        parts[band] = ("y", "x"), pixels.repeat(times, 0).repeat(times, 1)
    factor = round(coarsest.transform.a / finest.transform.a)
    place = finest.transform * Affine.translation(factor * frame.col, factor * frame.row)
    axes = {
        "x": place.c + (np.arange(factor * frame.width) + 0.5) * place.a,
        "y": place.f + (np.arange(factor * frame.height) + 0.5) * place.e,
    }
    about = {
        "scene": scene.id,
        "obstime": scene.obstime.isoformat(),
        "epsg": finest.epsg,
        "transform": tuple(place)[:6],
    }
    return xr.Dataset(parts, coords=axes, attrs=about)


def _raster(lake: Lake, scene: Scene, band: str) -> Raster:
    """The header of a band: as the lake remembers it, else as the file says."""
    hrefs = dict(scene.hrefs)
    if band not in hrefs:
        raise InvalidInputError(f"scene {scene.id} has no band {band!r}; it has {', '.join(hrefs) or 'none'}")
    return _header(lake.url, hrefs[band])


@lru_cache(4096)
def _header(lake: str, href: str) -> Raster:
    """What a file's header says; scenes never change."""
    rows = Lake(lake).query("extractions.headers", hrefs=[href]).to_pylist()
    return Raster.from_json(rows[0]["header"]) if rows else Raster.inspect(href)


def _window(grid: Grid, lon: float, lat: float, chipsize: float) -> Window:
    """The pixels of a chip that is centred on a place; it may lie across the raster's edge."""
    x, y = Transformer.from_crs(4326, grid.epsg, always_xy=True).transform(lon, lat)
    if not (np.isfinite(x) and np.isfinite(y)):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in EPSG:{grid.epsg}")
    size = max(1, round(chipsize / grid.transform.a))
    column, row = ~grid.transform * (x, y)
    return Window(round(row - size / 2), round(column - size / 2), size, size)


def _pixels(lake: Lake, scene: Scene, band: str, raster: Raster, window: Window) -> NDArray[Any]:
    """The harmonised pixels of a window; 0 outside the raster."""
    rows, columns = raster.grid.shape
    top, left = max(window.row, 0), max(window.col, 0)
    bottom, right = min(window.row + window.height, rows), min(window.col + window.width, columns)
    found = np.zeros((window.height, window.width), raster.dtype)
    if top < bottom and left < right:
        inside = Window(top, left, bottom - top, right - left)
        stored = _stored(lake, scene, band, raster, inside)
        found[top - window.row : bottom - window.row, left - window.col : right - window.col] = stored
    return _harmonised(found, scene, band)


def _stored(lake: Lake, scene: Scene, band: str, raster: Raster, window: Window) -> NDArray[Any]:
    """The pixels of a window inside the raster: from the cube where it has them, else from the file."""
    slot = _slots(lake, scene.card, raster.grid.name).get((scene.id, scene.boa_offset))
    if slot is not None:
        kept = CubeSource(lake.cube_url(scene.card, raster.grid.name), band, slot, raster).kept(window)
        if kept is not None:
            return kept
    return next(iter(source(raster).read([window])))


def _slots(lake: Lake, card: str, grid: str) -> dict[tuple[str, int], int]:
    """The places of scenes on a cube's time axis."""
    rows = lake.query("extractions.slots", card=card, grid=grid).to_pylist()
    return {(row["scene"], row["boa_offset"]): row["slot"] for row in rows}


def _harmonised(pixels: NDArray[Any], scene: Scene, band: str) -> NDArray[Any]:
    """Stored DN as harmonised DN; classes and radar stay."""
    if not scene.boa_offset or band == cards.get(scene.card).classification:
        return pixels
    shifted = np.clip(pixels.astype(np.int32) + scene.boa_offset, 1, np.iinfo(pixels.dtype).max)
    return np.where(pixels == 0, 0, shifted).astype(pixels.dtype)


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
) -> list[Chip]:
    """One band of every scene over a place as GeoTIFFs <product>.<band>.tif, in the scene's own pixels; by time.

    What is in the folder is not read again. A scene that cannot be read is left out with a warning to the log.

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
        card: s2, bs or c6.

    Raises:
        InvalidInputError: no such place, band or date, or more scenes than the limit.
        SourceError: no scene at all could be read.
    """
    scenes = covering(lake, lon, lat, start, end, card=card, chipsize=chipsize)
    chips = {scene: Chip(scene.product, scene.obstime, band, folder / _name(scene, band)) for scene in scenes}
    missing = [scene for scene, chip in chips.items() if not _fits(chip.file, lon, lat, chipsize)]
    if len(missing) > limit:
        raise InvalidInputError(
            f"{len(missing)} scenes from {start} to {end} are more than {limit}; ask for fewer days"
        )
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
    lost = dict(_failures(lake, [(scene, chips[scene]) for scene in missing], lon, lat, chipsize))
    if lost and len(lost) == len(scenes):
        raise next(iter(lost.values()))
    return [chip for scene, chip in chips.items() if scene not in lost]


def _failures(
    lake: Lake, chips: Sequence[tuple[Scene, Chip]], lon: float, lat: float, chipsize: int
) -> Iterable[tuple[Scene, SourceError]]:
    """Write chips, some at a time; those whose scene cannot be read."""

    def attempt(item: tuple[Scene, Chip]) -> SourceError | None:
        try:
            _write(lake, *item, lon, lat, chipsize)
        except SourceError as error:
            log.warning("no chip of scene %s: %s", item[0].id, error)
            return error
        return None

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(attempt, chips))
    return [(scene, error) for (scene, _), error in zip(chips, found, strict=True) if error]


def _fits(file: Path, lon: float, lat: float, chipsize: float) -> bool:
    """Whether a file is there and is the chip of that place and size."""
    if not file.exists():
        return False
    try:
        with rasterio.open(file) as dataset:
            grid = Grid(dataset.crs.to_epsg(), dataset.transform, dataset.shape)
    except (RasterioError, AttributeError):
        return False
    return _window(grid, lon, lat, chipsize) == Window(0, 0, *grid.shape)


def _name(scene: Scene, band: str) -> str:
    separator = "." if scene.card == "s2" else "_"
    return f"{scene.product}{separator}{band}.tif"


def _write(lake: Lake, scene: Scene, chip: Chip, lon: float, lat: float, chipsize: int) -> None:
    raster = _raster(lake, scene, chip.band)
    window = _window(raster.grid, lon, lat, chipsize)
    pixels = _pixels(lake, scene, chip.band, raster, window)
    profile = {
        "driver": "GTiff", "count": 1, "dtype": pixels.dtype, "height": window.height, "width": window.width,
        "crs": f"EPSG:{raster.grid.epsg}", "nodata": 0, "compress": "deflate",
        "transform": raster.grid.transform * Affine.translation(window.col, window.row),
    }  # fmt: skip
    handle, draft = tempfile.mkstemp(dir=chip.file.parent, prefix=f".{chip.file.name}", suffix=".tif")
    os.close(handle)
    try:
        with rasterio.open(draft, "w", **profile) as file:
            file.write(pixels, 1)
            file.update_tags(scene=scene.id, obstime=scene.obstime.isoformat(), band=chip.band, offset=scene.boa_offset)
        Path(draft).replace(chip.file)
    finally:
        Path(draft).unlink(missing_ok=True)
