"""Background images: orthophotos round a place from tile servers, or true colour from the lake's own scenes.

GDAL fetches the tiles: of servers with a URL of {x}, {y}, {z} (or {quadkey}), of WMTS, and of whatever a description of
GDAL_WMS or GDAL_WMTS names, in any coordinate system. Decided here is from which zoom level, and so how many.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.geo.reprojection import transformer
from cbm_lake.lake import Lake
from cbm_lake.parcel import chips, tileservers
from cbm_lake.rasters import render
from cbm_lake.storage import access

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

SENTINEL: Final = "sentinel"
"""Name of the background that the lake itself gives."""
_CREDIT: Final = "Contains modified Copernicus Sentinel data"
_GDAL_OPTIONS: Final = {
    "GDAL_HTTP_TIMEOUT": "10",
    "GDAL_HTTP_CONNECTTIMEOUT": "5",
    "GDAL_HTTP_USERAGENT": "cbm-lake",
    "GDAL_ENABLE_WMS_CACHE": "NO",  # nothing is written to the folder where the program happens to run
}
_ATTEMPTS: Final = 3
"""How often tiles are asked for."""
_MOST_TILES: Final = 100
"""Of one image; where it would take more, a coarser zoom level is taken."""
_LARGEST: Final = 4096
"""Pixels a side."""
_FARTHEST: Final = 50_000
"""Metres a side."""
_TRIED: Final = 12
"""Scenes, those with the fewest clouds first, among which the clearest is looked for."""
_CLOUDED: Final = (0, 1, 3, 8, 9, 10, 11)
"""Scene classes that hide the ground, and those without data."""
_VISIBLE: Final = ("B04", "B03", "B02")


def names() -> list[str]:
    """The backgrounds that go by a name of their own; providers of xyzservices go by theirs."""
    return list(dict.fromkeys([*tileservers.names(), SENTINEL]))


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
    """Write a GeoTIFF (EPSG:3857, three bands of uint8) of a square round a place.

    Args:
        lon: degrees east.
        lat: degrees north.
        chipsize: pixels a side.
        extend: metres of Web Mercator a side.
        tms: name of a tile server (google, bing, osm, esri, ags, one of the settings, or a provider of xyzservices such
            as "BasemapAT.orthofoto"), or "sentinel".
        file: where to. Its tags say what it shows: tms, product and date (of a scene), attribution, and asked, what was
            asked for.
        lake: whose clearest scene is drawn for "sentinel", and where the server does not answer.

    Returns:
        Where it is: `file`, or where that bears the name of a server that does not answer, sentinel.tif beside it.

    Raises:
        InvalidInputError: no such place, size or server.
        NotFoundError: the lake has no scene there, and no server was asked, or it does not answer.
        SourceError: the server does not answer, and there is no lake.
    """
    if not (abs(lon) <= 180 and abs(lat) <= 85):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place on a web map; longitude comes first")
    if not (1 <= chipsize <= _LARGEST and 1 <= extend <= _FARTHEST):
        raise InvalidInputError(f"chipsize is 1 to {_LARGEST} pixels and extend 1 to {_FARTHEST} metres")
    x, y = transformer(4326, 3857).transform(lon, lat)
    bounds = x - extend / 2, y - extend / 2, x + extend / 2, y + extend / 2
    if max(-bounds[0], bounds[2]) > chips.HALF_MAP:
        raise InvalidInputError(f"the image at lon {lon}, lat {lat} lies across the antimeridian, where none are made")
    shown, pixels = _drawn(tms.lower(), lake, lon, lat, bounds, chipsize)
    shown |= {"asked": tms.lower(), "attribution": _attribution(shown["tms"])}
    target = named_truly(file, tms.lower(), shown["tms"])
    render.save_geotiff(target, pixels, 3857, from_bounds(*bounds, chipsize, chipsize), shown, photometric="RGB")
    return target


def _attribution(tms: str) -> str:
    return _CREDIT if tms == SENTINEL else tileservers.attribution(tms)


def named_truly(file: Path, asked: str, shown: str) -> Path:
    """Where an image is to be that shows another background than was asked for: never under the other's name.

    A file of that name that shows something else, as earlier versions left it, is deleted.

    Raises:
        SourceError: it cannot be deleted.
    """
    if shown == asked or file.stem.lower() != asked:
        return file
    try:
        if file.exists() and tags(file).get("tms") != asked:
            file.unlink()
    except OSError as error:
        raise SourceError(f"{file} cannot be deleted: {error.strerror}; check its rights") from error
    return file.with_name(f"{shown}{file.suffix}")


def tags(file: Path) -> dict[str, str]:
    """What a background says of itself: tms, and perhaps product, date, asked, attribution; {} where it says nothing.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with rasterio.open(file) as dataset:
            return {str(name): str(value) for name, value in dataset.tags().items()}
    except RasterioError as error:
        raise SourceError(f"{file} cannot be read: {error}; delete it, and it will be fetched again") from error


def caption(shown: Mapping[str, str], asked: str = "") -> str:
    """What a background shows, in words, by its tags: "sentinel, 2024-06-11, S2A_MSIL2A_…".

    Args:
        shown: its tags.
        asked: what was asked for, where the tags do not say it.
    """
    if not shown.get("tms"):
        return f"not said by the file; {asked} was asked for" if asked else "not said by the file"
    other = shown.get("asked") or asked.lower()
    is_other = bool(other) and other != shown["tms"]
    instead = f"instead of {other}, which did not answer" if is_other else ""
    return ", ".join(filter(None, [shown["tms"], shown.get("date"), instead, shown.get("product")]))


def _drawn(
    tms: str, lake: Lake | None, lon: float, lat: float, bounds: tuple[float, ...], size: int
) -> tuple[dict[str, str], NDArray[np.uint8]]:
    """What is shown (tms, and of a scene product and date), and its pixels."""
    if tms == SENTINEL:
        if lake is None:
            raise InvalidInputError("a Sentinel background needs a lake")
        return _sentinel(lake, lon, lat, bounds, size)
    try:
        return {"tms": tms}, _tiles(tms, bounds, size)
    except SourceError as unanswered:
        if lake is None:
            raise
        try:
            instead = _sentinel(lake, lon, lat, bounds, size)
        except NotFoundError as error:
            raise NotFoundError(f"{unanswered}; and instead of it: {error}") from unanswered
        log.warning("%s; true colour of the lake is taken instead", unanswered)
        return instead


# -- tile servers -----------------------------------------------------------------------------------------------------


def _tiles(name: str, bounds: tuple[float, ...], size: int) -> NDArray[np.uint8]:
    """Red, green and blue of a square of Web Mercator, out of the tiles of the zoom level that fits."""
    definition = tileservers.definition(name)
    attempts = 0
    try:
        with rasterio.Env(**_GDAL_OPTIONS):
            for level in _levels(definition, bounds, size):
                attempts += 1
                try:
                    return _resampled(definition, level, bounds, size)
                except RasterioError as error:
                    log.debug("tile server %s, attempt %d: %s", name, attempts, _told(error))
                    if attempts == _ATTEMPTS:
                        raise
    except (RasterioError, CRSError) as error:
        raise SourceError(
            f"tile server {name} does not answer: {_told(error)}; try another, or tms=sentinel"
        ) from error
    raise SourceError(f"tile server {name} has no coordinate system; mend its description")


def _levels(definition: str, bounds: tuple[float, ...], size: int) -> Iterator[int | None]:
    """The overview to read, again and again, the next coarser each time: servers lack the deepest levels in places.

    None stands for the full resolution.
    """
    with rasterio.open(definition) as dataset:
        if dataset.crs is None:
            return
        west, south, east, north = transform_bounds("EPSG:3857", dataset.crs, *bounds)
        wanted = min(east - west, north - south) / size
        pixels = dataset.transform.a
        factors = [1, *dataset.overviews(1)]
        block = dataset.block_shapes[0][0]
    chosen = max(place for place, factor in enumerate(factors) if factor == 1 or factor * pixels <= wanted * 1.01)
    while chosen + 1 < len(factors) and _count(east - west, factors[chosen] * pixels * block) > _MOST_TILES:
        chosen += 1
    for place in range(chosen, len(factors)):
        yield place - 1 if place else None


def _count(extent: float, tile: float) -> int:
    """How many tiles of that side a square can touch."""
    return (math.ceil(extent / tile) + 1) ** 2


def _resampled(definition: str, level: int | None, bounds: tuple[float, ...], size: int) -> NDArray[np.uint8]:
    options = {} if level is None else {"overview_level": level}
    place = {"crs": "EPSG:3857", "transform": from_bounds(*bounds, size, size), "width": size, "height": size}
    with (
        rasterio.open(definition, **options) as dataset,
        WarpedVRT(dataset, resampling=Resampling.bilinear, **place) as turned,
    ):
        found = turned.read([1, 2, 3] if dataset.count >= 3 else [1, 1, 1])
    return np.asarray(found, np.uint8)


def _told(error: BaseException) -> str:
    """What went wrong in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    answer = re.search(r"error: (.+?)\.?$", str(error), re.MULTILINE)  # GDAL writes a paragraph round it
    return answer[1] if answer else access.explained(error)


# -- the lake ---------------------------------------------------------------------------------------------------------


def _sentinel(
    lake: Lake, lon: float, lat: float, bounds: tuple[float, ...], size: int
) -> tuple[dict[str, str], NDArray[np.uint8]]:
    """True colour of the clearest scene over a place of those that can be read, and which that is."""
    for scene in _clearest(lake, lon, lat, min(chips.LARGEST, bounds[2] - bounds[0])):
        shown = {"tms": SENTINEL, "product": scene.product, "date": f"{scene.obstime:%Y-%m-%d}"}
        try:
            return shown, render.stretched(chips.mapped(lake, scene, _VISIBLE, bounds, size))
        except SourceError as error:
            log.warning("scene %s cannot be a background: %s", scene.id, error)
    raise NotFoundError(f"the lake has no Sentinel-2 scene to be drawn at longitude {lon}, latitude {lat}")


def _clearest(lake: Lake, lon: float, lat: float, metres: float) -> list[chips.Scene]:
    """Scenes over a place, those with the fewest clouded pixels there first; their classification decides."""
    scenes = chips.covering(lake, lon, lat, "2015-01-01", "2100-01-01", chipsize=max(20, round(metres)))
    drawable = [scene for scene in scenes if set(_VISIBLE) <= dict(scene.hrefs).keys()]
    likely = sorted(drawable, key=lambda scene: 50.0 if scene.cloud_cover is None else scene.cloud_cover)[:_TRIED]
    return sorted(likely, key=lambda scene: _clouded(lake, scene, lon, lat, max(20, round(metres))))


def _clouded(lake: Lake, scene: chips.Scene, lon: float, lat: float, metres: int) -> float:
    """The share of a place that clouds hide or that has no data; half of it where classes are not known."""
    try:
        classes: Any = chips.read(lake, scene, ["SCL"], lon, lat, metres)["SCL"]
    except SourceError as error:
        log.debug("no classes of scene %s: %s", scene.id, error)
        return 0.5
    return float(np.isin(classes, _CLOUDED).mean())
