"""Background images of a location: orthophotos from tile servers, or true colour composites of the lake's scenes.

See `tiles` for how tiles are read.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds

from cbm_lake.cards import CLOUD_CLASSES
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.files import limits
from cbm_lake.geo.areas import Bounds
from cbm_lake.geo.reprojection import transformer
from cbm_lake.lake import Lake
from cbm_lake.parcel import chips, tileservers
from cbm_lake.parcel.tiles import tiles as _tiles
from cbm_lake.rasters import render

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

SENTINEL: Final = "sentinel"
"""Name of the background that the lake itself gives."""
_CREDIT: Final = "contains modified Copernicus Sentinel data"
_LARGEST: Final = 4096
"""Pixels a side."""
_FARTHEST: Final = 50_000
"""Metres a side."""
_TRIED: Final = 12
"""Scenes, those with the fewest clouds first, among which the clearest is looked for."""
_CLOUDED: Final = (0, 1, *CLOUD_CLASSES)
"""Scene classes that hide the ground, and those without data."""
_VISIBLE: Final = ("B04", "B03", "B02")


def names() -> list[str]:
    """Backgrounds with a name of their own; providers of xyzservices are known by theirs."""
    return list(dict.fromkeys([*tileservers.names(), SENTINEL]))


@dataclass(frozen=True)
class Square:
    """A requested background: a square of Web Mercator around a position."""

    lon: float
    lat: float
    tms: str = "Google"
    """Name of a tile server (google, bing, osm, esri, ags, one of the settings, or a provider of xyzservices such as
    "BasemapAT.orthofoto"), or "sentinel".
    """
    chipsize: int = 256
    """Pixels a side."""
    extend: float = 256
    """Metres of Web Mercator a side."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in Web Mercator.

        Raises:
            InvalidInputError: no such position or size.
        """
        lon, lat = self.lon, self.lat
        if not (abs(lon) <= 180 and abs(lat) <= 85):
            raise InvalidInputError(f"lon {lon}, lat {lat} is no place on a web map; longitude comes first")
        if not (1 <= self.chipsize <= _LARGEST and 1 <= self.extend <= _FARTHEST):
            raise InvalidInputError(f"chipsize is 1 to {_LARGEST} pixels and extend 1 to {_FARTHEST} metres")
        x, y = transformer(4326, 3857).transform(lon, lat)
        half = self.extend / 2
        if max(half - x, x + half) > chips.HALF_MAP:
            message = f"the image at lon {lon}, lat {lat} lies across the antimeridian, where none are made"
            raise InvalidInputError(message)
        return x - half, y - half, x + half, y + half


@dataclass(frozen=True, eq=False)
class Background:
    """An orthophoto with its bounds in Web Mercator."""

    pixels: NDArray[np.uint8]
    """(y, x, 3): red, green and blue."""
    transform: Affine
    """From column and row of a pixel's upper left corner to x and y."""
    tags: Mapping[str, str]
    """What it says of itself: tms, product and date (of a scene), attribution, and asked, what was asked for."""
    asked: str = ""
    """What was asked for, where the tags do not say it."""

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        height, width = self.pixels.shape[:2]
        a, _, west, _, e, north = self.transform[:6]
        return west, north + e * height, west + a * width, north

    @property
    def name(self) -> str:
        """Source of the image: the tile server or sentinel; "" if unknown."""
        return self.tags.get("tms", "")

    @property
    def caption(self) -> str:
        """The same with date and product, and instead of what it is there."""
        return caption(self.tags, self.asked)


def render_square(square: Square, lake: Lake | None = None, reader: chips.Reader | None = None) -> Background:
    """Render the background of a square.

    Args:
        square: which.
        lake: whose clearest scene is drawn for "sentinel", and where the server does not answer.
        reader: of that lake, where there is one already.

    Raises:
        InvalidInputError: no such position, size or server.
        NotFoundError: the lake has no scene there, and no server was asked, or it does not answer.
        SourceError: the server does not answer, and there is no lake.
    """
    bounds, name = square.bounds, square.tms.lower()
    about, pixels = _rendered(square, bounds, lake, reader)
    about |= {"asked": name, "attribution": _attribution(about)}
    transform = from_bounds(*bounds, square.chipsize, square.chipsize)
    return Background(np.moveaxis(pixels, 0, -1), transform, about, square.tms)


def _attribution(about: Mapping[str, str]) -> str:
    """Whom to credit; data of Copernicus are named with their year."""
    return f"{_CREDIT} {about['date'][:4]}" if about["tms"] == SENTINEL else tileservers.attribution(about["tms"])


def load(file: str | Path | MemoryFile, name: str, asked: str = "") -> Background:
    """Load a background from a GeoTIFF.

    Args:
        file: where it is.
        name: of the file, for messages.
        asked: what was asked for, where its tags do not say it.

    Raises:
        SourceError: it cannot be read, or is too large to be read as a whole.
    """
    try:
        with file.open() if isinstance(file, MemoryFile) else rasterio.open(file) as dataset:
            limits.check_whole(name, (dataset.count, *dataset.shape), dataset.dtypes[0])
            bands = list(range(1, min(dataset.count, 3) + 1))
            pixels = np.broadcast_to(dataset.read(bands), (3, *dataset.shape))
            about = {str(key): str(value) for key, value in dataset.tags().items()}
            return Background(np.moveaxis(pixels, 0, -1).astype(np.uint8), dataset.transform, about, asked)
    except RasterioError as error:
        raise SourceError(f"{name} cannot be read: {error}; delete it, and it will be fetched again") from error


def save(background: Background, file: Path) -> Path:
    """Write a background as GeoTIFF (EPSG:3857, three bands of uint8); tags describe its source.

    Returns:
        Where it is: `file`, or where that bears the name of a server that does not answer, sentinel.tif beside it.
    """
    target = named_truly(file, background.tags.get("asked", ""), background.name)
    pixels, about = np.moveaxis(background.pixels, -1, 0), dict(background.tags)
    render.save_geotiff(target, pixels, 3857, background.transform, about, photometric="RGB")
    return target


def write(
    lon: float,
    lat: float,
    *,
    chipsize: int = 256,
    extend: float = 256,
    tms: str = "Google",
    file: Path,
    lake: Lake | None = None,
) -> Path:
    """Write a GeoTIFF of a square around a position; see `Square`, `render_square` and `save`."""
    return save(render_square(Square(lon, lat, tms, chipsize, extend), lake), file)


def named_truly(file: Path, asked: str, name: str) -> Path:
    """Path of an image whose source differs from the requested one: it never gets the requested name.

    A file of that name that shows something else, as earlier versions left it, is deleted.

    Raises:
        SourceError: it cannot be deleted.
    """
    if name == asked or file.stem.lower() != asked:
        return file
    try:
        if file.exists() and tags(file).get("tms") != asked:
            file.unlink()
    except OSError as error:
        raise SourceError(f"{file} cannot be deleted: {error.strerror}; check its rights") from error
    return file.with_name(f"{name}{file.suffix}")


def tags(file: Path) -> dict[str, str]:
    """Tags of a background: tms, and optionally product, date, asked, attribution; {} if it has none.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with rasterio.open(file) as dataset:
            return {str(name): str(value) for name, value in dataset.tags().items()}
    except RasterioError as error:
        raise SourceError(f"{file} cannot be read: {error}; delete it, and it will be fetched again") from error


def caption(about: Mapping[str, str], asked: str = "") -> str:
    """What a background shows, in words, by its tags: "sentinel, 2024-06-11, S2A_MSIL2A_…; contains modified …".

    Args:
        about: its tags.
        asked: what is asked for; "" is what was asked for when it was made.
    """
    if not about.get("tms"):
        return f"of unknown origin; {asked} was asked for" if asked else "of unknown origin"
    other = asked.lower() or about.get("asked", "")
    instead = f"instead of {other}, which did not answer" if other not in ("", about["tms"]) else ""
    what = filter(None, [about["tms"], about.get("date", "no date given"), instead, about.get("product")])
    return "; ".join(filter(None, [", ".join(what), about.get("attribution")]))


def _rendered(
    square: Square, bounds: Bounds, lake: Lake | None, reader: chips.Reader | None
) -> tuple[dict[str, str], NDArray[np.uint8]]:
    """Source tags (tms, and for a scene product and date) and pixels (3, y, x)."""
    name = square.tms.lower()
    if name == SENTINEL:
        if lake is None:
            raise InvalidInputError("a Sentinel background needs a lake")
        return _sentinel(square, bounds, lake, reader)
    try:
        return {"tms": name}, _tiles(name, bounds, square.chipsize)
    except SourceError as unanswered:
        if lake is None:
            raise
        try:
            instead = _sentinel(square, bounds, lake, reader)
        except NotFoundError as error:
            raise NotFoundError(f"{unanswered}; and instead of it: {error}") from unanswered
        log.warning("%s; true colour of the lake is taken instead", unanswered)
        return instead


# -- the lake ---------------------------------------------------------------------------------------------------------


def _sentinel(
    square: Square, bounds: Bounds, lake: Lake, reader: chips.Reader | None
) -> tuple[dict[str, str], NDArray[np.uint8]]:
    """True colour of the clearest readable scene over a position, and its tags."""
    reader = reader or chips.Reader(lake)
    for scene in _clearest(lake, square.lon, square.lat, min(chips.LARGEST, bounds[2] - bounds[0]), reader):
        about = {"tms": SENTINEL, "product": scene.product, "date": f"{scene.obstime:%Y-%m-%d}"}
        try:
            return about, render.stretched(chips.mapped(lake, scene, _VISIBLE, bounds, square.chipsize, reader))
        except SourceError as error:
            log.warning("scene %s cannot be a background: %s", scene.id, error)
    raise NotFoundError(
        f"the lake has no Sentinel-2 scene to be drawn at longitude {square.lon}, latitude {square.lat}"
    )


def _clearest(
    lake: Lake, lon: float, lat: float, metres: float, reader: chips.Reader | None = None
) -> list[chips.Scene]:
    """Scenes over a position, ordered by the number of cloudy pixels in their classification."""
    reader, chipsize = reader or chips.Reader(lake), max(20, round(metres))
    scenes = chips.covering(lake, lon, lat, "2015-01-01", "2100-01-01", chipsize=chipsize)
    drawable = [scene for scene in scenes if set(_VISIBLE) <= dict(scene.hrefs).keys()]
    likely = sorted(drawable, key=lambda scene: 50.0 if scene.cloud_cover is None else scene.cloud_cover)[:_TRIED]
    reader.prepare(likely, ["SCL", *_VISIBLE])
    return sorted(likely, key=lambda scene: _clouded(reader, scene, lon, lat, chipsize))


def _clouded(reader: chips.Reader, scene: chips.Scene, lon: float, lat: float, metres: int) -> float:
    """Share of a position's surroundings that is cloudy or nodata; one half if unclassified."""
    try:
        classes = reader.dataset(scene, ["SCL"], lon, lat, metres)["SCL"].to_numpy()
    except SourceError as error:
        log.debug("no classes of scene %s: %s", scene.id, error)
        return 0.5
    return float(np.isin(classes, _CLOUDED).mean())
