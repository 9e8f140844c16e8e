"""Reads windows of XYZ tile servers with GDAL.

GDAL fetches the tiles: of servers with a URL of {x}, {y}, {z} (or {quadkey}), of WMTS, and of whatever a description of
GDAL_WMS or GDAL_WMTS names, in any coordinate system. Decided here is from which zoom level, and so how many.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform, transform_bounds

from cbm_lake.errors import SourceError
from cbm_lake.geo.areas import Bounds
from cbm_lake.parcel import tileservers
from cbm_lake.storage import access

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_GDAL_OPTIONS: Final = {
    "GDAL_HTTP_TIMEOUT": "10",
    "GDAL_HTTP_CONNECTTIMEOUT": "5",
    "GDAL_HTTP_USERAGENT": "cbm-lake",
    "GDAL_ENABLE_WMS_CACHE": "NO",  # nothing is written to the folder where the program happens to run
}
_ATTEMPTS: Final = 3
"""How often tiles are asked for."""
_PROBE: Final = 256
"""Pixels a side of a picture that is only to show that there is one."""
_MOST_TILES: Final = 100
"""Of one image; where it would take more, a coarser zoom level is taken."""


def tiles(name: str, bounds: Bounds, size: int) -> NDArray[np.uint8]:
    """RGB pixels of a square of Web Mercator, from the tiles of the best fitting zoom level."""
    return _read(name, tileservers.definition(name), bounds, size)


def probe(name: str, template: str, places: Sequence[tuple[float, float]]) -> None:
    """Read a picture of 500 m from a server that is not in the settings yet, at the first place where it has one.

    Args:
        name: what it is to be called.
        template: a URL with {x}, {y}, {z}, or what else the settings may hold.
        places: longitudes and latitudes, one or more.

    Raises:
        SourceError: it has no picture of any of them; the error is that of the last one.
    """
    definition = tileservers.of_template(template)
    for number, (lon, lat) in enumerate(places, 1):
        (x,), (y,) = transform("EPSG:4326", "EPSG:3857", [lon], [lat])
        try:
            _read(name, definition, (x - 250, y - 250, x + 250, y + 250), _PROBE)
        except SourceError:
            if number == len(places):
                raise
        else:
            return


def _read(name: str, definition: str, bounds: Bounds, size: int) -> NDArray[np.uint8]:
    attempts = 0
    try:
        with rasterio.Env(**_GDAL_OPTIONS):
            for level in _levels(definition, bounds, size):
                attempts += 1
                try:
                    return _resampled(definition, level, bounds, size)
                except RasterioError as error:
                    log.debug("tile server %s, attempt %d: %s", name, attempts, _reason(error))
                    if attempts == _ATTEMPTS:
                        raise
    except (RasterioError, CRSError) as error:
        problem = f"tile server {name} does not answer: {_reason(error)}"
        raise SourceError(
            problem,
            advice="try another, or tms=sentinel",
            plain=f"{problem}; try another, or the background sentinel",
        ) from error
    raise SourceError(f"tile server {name} has no coordinate system; mend its description")


def _levels(definition: str, bounds: Bounds, size: int) -> Iterator[int | None]:
    """Overview levels to try, from fine to coarse, because servers lack deep levels in some regions.

    None stands for the full resolution.
    """
    with rasterio.open(definition) as dataset:
        if dataset.crs is None:
            return
        west, south, east, north = transform_bounds("EPSG:3857", dataset.crs, *bounds)
        resolution = min(east - west, north - south) / size
        pixels = dataset.transform.a
        factors = [1, *dataset.overviews(1)]
        block = dataset.block_shapes[0][0]
    level = max(n for n, factor in enumerate(factors) if factor == 1 or factor * pixels <= resolution * 1.01)
    while level + 1 < len(factors) and _count(east - west, factors[level] * pixels * block) > _MOST_TILES:
        level += 1
    for number in range(level, len(factors)):
        yield number - 1 if number else None


def _count(extent: float, tile: float) -> int:
    """Maximum number of tiles that a square can intersect."""
    return (math.ceil(extent / tile) + 1) ** 2


def _resampled(definition: str, level: int | None, bounds: Bounds, size: int) -> NDArray[np.uint8]:
    options = {} if level is None else {"overview_level": level}
    target = {"crs": "EPSG:3857", "transform": from_bounds(*bounds, size, size), "width": size, "height": size}
    with (
        rasterio.open(definition, **options) as dataset,
        WarpedVRT(dataset, resampling=Resampling.bilinear, **target) as warped,
    ):
        pixels = warped.read([1, 2, 3] if dataset.count >= 3 else [1, 1, 1])
    return np.asarray(pixels, np.uint8)


def _reason(error: BaseException) -> str:
    """Root cause of an error."""
    while error.__cause__ is not None:
        error = error.__cause__
    answer = re.search(r"error: (.+?)\.?$", str(error), re.MULTILINE)  # GDAL writes a paragraph round it
    return answer[1] if answer else access.explained(error)
