"""Background images: orthophotos round a place from tile servers, or true colour from the lake's own scenes."""

from __future__ import annotations

import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import from_bounds
from rasterio.warp import reproject
from rasterio.windows import from_bounds as window_of

from cbm_lake import access, chips
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

SENTINEL: Final = "sentinel"
"""Name of the background that the lake itself gives."""
_SERVERS: Final = {
    "google": "https://mt1.google.com/vt/lyrs=s&x={x}&y={y}&z={z}",
    "bing": "https://ecn.t3.tiles.virtualearth.net/tiles/a{quadkey}.jpeg?g=1",
    "osm": "https://tile.openstreetmap.org/{z}/{x}/{y}.png",
    "esri": "https://services.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}",
    "ags": "https://server.arcgisonline.com/ArcGIS/rest/services/World_Imagery/MapServer/tile/{z}/{y}/{x}",
}
_HALF: Final = 20_037_508.342789244
"""Metres from the centre of Web Mercator to its edge."""
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
_LARGEST: Final = 4096
"""Pixels a side."""
_FARTHEST: Final = 50_000
"""Metres a side."""
_TRIED: Final = 12
"""Scenes, those with the fewest clouds first, among which the clearest is looked for."""
_BRIGHTEST: Final = 2800.0
"""DN that is drawn white: farmland rarely reflects more than 0.28 in visible light."""
_CLOUDED: Final = (0, 1, 3, 8, 9, 10, 11)


def names() -> list[str]:
    """All backgrounds that can be asked for."""
    return [*_SERVERS, *Workspace.here().config.tms, SENTINEL]


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
        tms: name of a tile server (google, bing, osm, esri, ags, or one of the settings), or "sentinel".
        file: where to.
        lake: whose clearest scene is drawn for "sentinel", and where the server does not answer.

    Raises:
        InvalidInputError: no such place, size or server.
        NotFoundError: the lake has no scene there.
        SourceError: the server does not answer, and there is no lake.
    """
    if not (abs(lon) <= 180 and abs(lat) <= 85):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place on a web map; longitude comes first")
    if not (1 <= chipsize <= _LARGEST and 1 <= extend <= _FARTHEST):
        raise InvalidInputError(f"chipsize is 1 to {_LARGEST} pixels and extend 1 to {_FARTHEST} metres")
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    bounds = x - extend / 2, y - extend / 2, x + extend / 2, y + extend / 2
    if tms.lower() == SENTINEL:
        pixels = _sentinel(lake, lon, lat, bounds, chipsize)
    else:
        try:
            pixels = _tiles(tms, bounds, chipsize)
        except SourceError as error:
            if lake is None:
                raise
            log.warning("%s; true colour of the lake is taken instead", error)
            pixels = _from_lake(lake, lon, lat, bounds, chipsize, error)
    _save(file, pixels, bounds, tms)
    return file


def _from_lake(
    lake: Lake, lon: float, lat: float, bounds: tuple[float, ...], chipsize: int, unanswered: SourceError
) -> NDArray[np.uint8]:
    """True colour, or the server's error where the lake has none."""
    try:
        return _sentinel(lake, lon, lat, bounds, chipsize)
    except NotFoundError as error:
        raise unanswered from error


# -- tile servers -----------------------------------------------------------------------------------------------------


def _tiles(name: str, bounds: tuple[float, ...], chipsize: int) -> NDArray[np.uint8]:
    """Red, green and blue of a square, resampled by GDAL out of the tiles of the level that fits."""
    try:
        with rasterio.Env(GDAL_HTTP_MAX_RETRY="2", GDAL_HTTP_TIMEOUT="10"), rasterio.open(_definition(name)) as dataset:
            window = window_of(*bounds, transform=dataset.transform)
            shape = (min(dataset.count, 3), chipsize, chipsize)
            indexes = list(range(1, shape[0] + 1))
            found = dataset.read(indexes, window=window, out_shape=shape, resampling=Resampling.bilinear)
    except RasterioError as error:
        told = access.explained(error.__cause__ or error)
        raise SourceError(f"tile server {name} does not answer: {told}; try another, or tms=sentinel") from error
    return np.asarray(np.broadcast_to(found, (3, chipsize, chipsize)), np.uint8)


def _definition(name: str) -> str:
    """What GDAL opens for a tile server."""
    known: dict[str, str] = {**_SERVERS, **{key.lower(): value for key, value in Workspace.here().config.tms.items()}}
    found = known.get(name.lower())
    if found is None:
        raise InvalidInputError(f"there is no background {name!r}; choose from {', '.join(names())}")
    if "{quadkey}" in found:
        return _TILES.format(service="VirtualEarth", url=escape(found.replace("{quadkey}", "${quadkey}")), half=_HALF)
    if "{x}" not in found:
        return found
    url = found.replace("{x}", "${x}").replace("{y}", "${y}").replace("{z}", "${z}")
    return _TILES.format(service="TMS", url=escape(url), half=_HALF)


# -- the lake ---------------------------------------------------------------------------------------------------------


def _sentinel(lake: Lake | None, lon: float, lat: float, bounds: tuple[float, ...], chipsize: int) -> NDArray[np.uint8]:
    """True colour of the clearest scene over a place."""
    if lake is None:
        raise InvalidInputError("a Sentinel background needs a lake")
    metres = min(chips.LARGEST, 1.5 * (bounds[2] - bounds[0]) + 200)  # wider, since the map is turned and stretched
    scene = _clearest(lake, lon, lat, round(metres))
    found = chips.read(lake, scene, ("B04", "B03", "B02"), lon, lat, round(metres))
    stored = np.stack([found[band].to_numpy() for band in ("B04", "B03", "B02")]).astype(np.float32)
    shown = (stored / _BRIGHTEST).clip(0, 1) ** 0.8 * 255
    target = np.zeros((3, chipsize, chipsize), np.float32)
    reproject(
        shown, target, src_transform=rasterio.Affine(*found.attrs["transform"]), src_crs=f"EPSG:{found.attrs['epsg']}",
        dst_transform=from_bounds(*bounds, chipsize, chipsize), dst_crs="EPSG:3857", resampling=Resampling.bilinear,
    )  # fmt: skip
    return target.round().astype(np.uint8)


def _clearest(lake: Lake, lon: float, lat: float, metres: int) -> chips.Scene:
    """The scene whose chip has the fewest clouded pixels; its classification decides."""
    scenes = chips.covering(lake, lon, lat, "2015-01-01", f"{datetime.now(UTC):%Y-%m-%d}", chipsize=metres)
    if not scenes:
        raise NotFoundError(f"the lake has no Sentinel-2 scene at longitude {lon}, latitude {lat}")
    cloudiness = {row["id"]: row["cloud_cover"] for row in lake.sql("select id, cloud_cover from scenes").to_pylist()}
    likely = sorted(scenes, key=lambda scene: cloudiness.get(scene.id) or 0)[:_TRIED]

    def clouded(scene: chips.Scene) -> float:
        if "SCL" not in dict(scene.hrefs):
            return 0.5
        return float(np.isin(chips.read(lake, scene, ["SCL"], lon, lat, metres)["SCL"], _CLOUDED).mean())

    return min(likely, key=clouded)


def _save(file: Path, pixels: NDArray[np.uint8], bounds: tuple[float, ...], tms: str) -> None:
    size = pixels.shape[1]
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": 3, "dtype": "uint8", "height": size, "width": size, "crs": "EPSG:3857",
        "transform": from_bounds(*bounds, size, size), "compress": "deflate", "photometric": "RGB",
    }  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}", suffix=".tif")
    os.close(handle)
    try:
        with rasterio.open(draft, "w", **profile) as dataset:
            dataset.write(pixels)
            dataset.update_tags(tms=tms)
        Path(draft).replace(file)
    finally:
        Path(draft).unlink(missing_ok=True)
