"""Tile servers: orthophotos of a square of Web Mercator.

GDAL fetches the tiles: of servers with a URL of {x}, {y}, {z} (or {quadkey}), of WMTS, and of whatever a description of
GDAL_WMS or GDAL_WMTS names, in any coordinate system. Decided here is from which zoom level, and so how many.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.geo.areas import Bounds
from cbm_lake.parcel.chips import HALF_MAP
from cbm_lake.storage import access

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_SERVERS: Final = MappingProxyType(
    {
        "google": "https://mt1.google.com/vt/lyrs=s&x={x}&y={y}&z={z}",
        "bing": "https://ecn.t3.tiles.virtualearth.net/tiles/a{quadkey}.jpeg?g=1",
        "osm": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
        "esri": "https://services.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}",
        "ags": "https://server.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}",
    }
)
_TILES: Final = """<GDAL_WMS>
  <Service name="{service}"><ServerUrl>{url}</ServerUrl></Service>
  <DataWindow>
    <UpperLeftX>-{half}</UpperLeftX><UpperLeftY>{half}</UpperLeftY>
    <LowerRightX>{half}</LowerRightX><LowerRightY>-{half}</LowerRightY>
    <TileLevel>19</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY><YOrigin>top</YOrigin>
  </DataWindow>
  <Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY><BandsCount>3</BandsCount>
  <Timeout>10</Timeout><MaxConnections>4</MaxConnections><ZeroBlockHttpCodes>204</ZeroBlockHttpCodes>
  <UserAgent>cbm-lake</UserAgent>
</GDAL_WMS>"""
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


def tiles(name: str, bounds: Bounds, size: int) -> NDArray[np.uint8]:
    """Red, green and blue of a square of Web Mercator, out of the tiles of the zoom level that fits."""
    definition = _definition(name)
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
        raise SourceError(
            f"tile server {name} does not answer: {_reason(error)}; try another, or tms=sentinel"
        ) from error
    raise SourceError(f"tile server {name} has no coordinate system; mend its description")


def _levels(definition: str, bounds: Bounds, size: int) -> Iterator[int | None]:
    """The overview to read, again and again, the next coarser each time: servers lack the deepest levels in places.

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
    """How many tiles of that side a square can touch."""
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
    """What went wrong in the first place."""
    while error.__cause__ is not None:
        error = error.__cause__
    answer = re.search(r"error: (.+?)\.?$", str(error), re.MULTILINE)  # GDAL writes a paragraph round it
    return answer[1] if answer else access.explained(error)


def _definition(name: str) -> str:
    """What GDAL opens for a tile server."""
    definition = definitions().get(name.lower())
    if definition is None:
        raise InvalidInputError(
            f"there is no background {name!r}; choose from {', '.join([*definitions(), 'sentinel'])}"
        )
    if not re.search(r"\{(x|quadkey)\}", definition):
        return definition
    url = re.sub(r"\{(x|y|z|quadkey)\}", r"${\1}", definition)
    service = "VirtualEarth" if "{quadkey}" in definition else "TMS"
    return _TILES.format(service=service, url=escape(url), half=HALF_MAP)


def definitions() -> dict[str, str]:
    """What is known of each server: those built in, files config/tms/<name>.xml, and the settings, which go first."""
    workspace = Workspace.here()
    files = {file.stem.lower(): str(file) for file in sorted(workspace.config_file.parent.glob("tms/*.xml"))}
    return {**_SERVERS, **files, **{name.lower(): url for name, url in workspace.config.tms.items()}}
