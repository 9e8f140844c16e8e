"""Renders scenes as PNG: map tiles and chips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.parcel.chips.pixels import Pixels, Reader, read
from cbm_lake.parcel.chips.scenes import Scene
from cbm_lake.rasters import render

HALF_MAP: Final = 20_037_508.342789244
"""Metres from the centre of Web Mercator to its edge."""
TILE: Final = 256
"""Pixels a side of a map tile."""
_DEEPEST: Final = 22
"""The last zoom level of map tiles: 4 cm."""


def mapped(
    lake: Lake, scene: Scene, bands: Sequence[str], bounds: Sequence[float], size: int, reader: Reader | None = None
) -> dict[str, Pixels]:
    """Reproject bands of a scene to a square of Web Mercator (west, south, east, north), harmonised; 0 is nodata.

    Zoomed out, the files' overviews are read, so that the work does not grow.

    Args:
        lake: where the scene is catalogued.
        scene: see `by_id`.
        bands: their names.
        bounds: west, south, east, north.
        size: pixels a side.
        reader: of that lake, where there is one already.

    Raises:
        InvalidInputError: the square is too large for files without overviews.
        SourceError: the scene lacks a band, or a file cannot be read.
    """
    reader = reader or Reader(lake)
    reader.prepare([scene], bands)
    return {band: reader.mapped(scene, band, bounds, size) for band in bands}


def tile(
    lake: Lake, scene: Scene, bands: str | Sequence[str], z: int, x: int, y: int, *, lut: str | None = None
) -> bytes:
    """Render a map tile (XYZ, 256 pixels, Web Mercator) of a scene as PNG, transparent where there is no data.

    Args:
        lake: where the scene is.
        scene: see `by_id`.
        bands: three for red, green and blue (B08_B04_B03 or a list), or one, which is grey unless it is SCL.
        z: zoom level.
        x: column from the west.
        y: row from the north.
        lut: see `render.stretched`; None is the same stretch for all tiles, so that they fit together.

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
    lake: Lake,
    scene: Scene,
    bands: str | Sequence[str],
    lon: float,
    lat: float,
    chipsize: int = 1280,
    *,
    lut: str | None = "5_95",
) -> bytes:
    """Render a chip of a scene as PNG at native resolution; see `read` and `tile`."""
    names = render.names_of(bands)
    dataset = read(lake, scene, names, lon, lat, chipsize)
    return _png({name: dataset[name].to_numpy() for name in names}, lut)


def _png(pixels: Mapping[str, Pixels], lut: str | None) -> bytes:
    nodata = np.all([values == 0 for values in pixels.values()], axis=0)
    return render.png(render.stretched(pixels, lut, nodata), nodata)
