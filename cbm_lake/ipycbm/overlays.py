"""Images over or below a map that the kernel paints for what the map shows: nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import imagecodecs
import ipywidgets
import numpy as np
from rasterio.enums import Resampling
from rasterio.transform import from_bounds
from rasterio.warp import reproject, transform_bounds

from cbm_lake.errors import InvalidInputError, NotFoundError, of_extra
from cbm_lake.geo.reprojection import transformer
from cbm_lake.ipycbm.newest import Newest
from cbm_lake.ipycbm.outlines import Outlines
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.parcel import basemaps, chips
from cbm_lake.parcel.basemaps import Square

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

    from cbm_lake.ipycbm.drawing import Box

GROUND: Final = "ground"
"""Pane of a map below the tiles of a server, so that these cover it where the server answers."""
_WEB_OF: Final = transformer(4326, 3857)
"""Degrees to Web Mercator."""
_PIXELS: Final = 900
"""Pixels a side of the scene below a map."""
_WIDEST: Final = 50_000.0
"""Metres of Web Mercator a side of the scene below a map: beyond that it would be one of many."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels and where they lie."""

    pixels: NDArray[np.uint8]
    """(y, x, 3 or 4), in Web Mercator, north up."""
    box: Box
    """In degrees."""

    @property
    def traits(self) -> dict[str, Any]:
        """What an ImageOverlay of ipyleaflet is to have."""
        west, south, east, north = self.box
        return {"url": png_url(self.pixels), "bounds": ((south, west), (north, east))}


def png_url(pixels: NDArray[np.uint8]) -> str:
    """Pixels (y, x, 3 or 4) as a URL that holds them."""
    image = imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1)  # soon rather than small
    return f"data:image/png;base64,{base64.b64encode(image).decode('ascii')}"


NOTHING: Final = Picture(np.zeros((1, 1, 4), np.uint8), (0.0, 0.0, 1e-6, 1e-6))
"""A transparent pixel."""


class Overlay:
    """An image on a map that is painted anew for each view, beside the page; of several views the newest is painted.

    Args:
        view: the map.
        paint: the picture of a box in degrees.
        problem: where errors are shown.
        first: what is shown before the map is on a page.
        look: further traits of the ImageOverlay of ipyleaflet.
    """

    def __init__(
        self,
        view: Any,
        paint: Callable[[Box], Picture],
        problem: ipywidgets.HTML,
        *,
        first: Picture = NOTHING,
        **look: Any,
    ) -> None:
        with of_extra("notebook", "a map"):
            import ipyleaflet
        self._map, self._is_removed = view, False
        self.layer = ipyleaflet.ImageOverlay(**first.traits, **look)
        self._newest = Newest(paint, self._put, problem)
        view.add(self.layer)
        view.observe(self._follow, "bounds")
        self._follow()

    def remove(self) -> None:
        """Take the image off the map."""
        self._map.unobserve(self._follow, "bounds")
        self._is_removed = True
        self._map.remove(self.layer)

    def settled(self, seconds: float) -> bool:
        """Wait until the newest view is painted; False if that takes longer."""
        return self._newest.settled(seconds)

    def _follow(self, _: object = None) -> None:
        """Paint what the map shows now; nothing before it is on a page, and while it is hidden."""
        (south, west), (north, east) = self._map.bounds or ((0, 0), (0, 0))
        if west < east and south < north:
            self._newest.ask((west, south, east, north))

    def _put(self, picture: Picture) -> None:
        if not self._is_removed:
            put(self.layer, picture)


def put(layer: Any, picture: Picture) -> None:
    """Show a picture in an ImageOverlay."""
    with layer.hold_sync():
        for name, value in picture.traits.items():
            setattr(layer, name, value)


class Ground:
    """The lake's clearest scene in true colour, as the ground of a map; where it has none, the parcels' outlines.

    Args:
        lake: whose scenes; None is that of the settings, which is opened for the first picture.
        said: where the date and product of the scene are written.
    """

    def __init__(self, lake: Lake | None, said: ipywidgets.HTML) -> None:
        self._lake, self._said = lake, said
        self._reader: chips.Reader | None = None
        self._outlines: Outlines | None = None

    def paint(self, view: Box) -> Picture:
        """The scene in a view, in its middle if that is very wide, else the parcels' outlines."""
        west, south, east, north = view
        (left, bottom), (right, top) = _WEB_OF.transform(west, south), _WEB_OF.transform(east, north)
        lon, lat = _WEB_OF.transform((left + right) / 2, (bottom + top) / 2, direction="INVERSE")
        square = Square(lon, lat, basemaps.SENTINEL, _PIXELS, min(max(right - left, top - bottom), _WIDEST))
        lake = lake_or_default(self._lake)
        self._reader = self._reader or chips.Reader(lake)
        try:
            background = basemaps.render_square(square, lake, self._reader)
        except (InvalidInputError, NotFoundError) as error:
            return self._without_scene(view, lake, error.plain)
        self._said.value = html.escape(f"ground: {background.caption}")
        alpha = np.where(background.pixels.any(axis=2), 255, 0).astype(np.uint8)
        return Picture(np.dstack([background.pixels, alpha]), in_degrees(background.bounds))

    def _without_scene(self, view: Box, lake: Lake, why: str) -> Picture:
        """The outlines of the parcels in a view, nothing where there are none."""
        self._outlines = self._outlines or Outlines(lake)
        painted = self._outlines.painted(view)
        if painted is None:
            self._said.value = html.escape(f"no ground below the map: {why}")
            return NOTHING
        pixels, names = painted
        self._said.value = html.escape(f"ground: outlines of the parcels of {', '.join(names)}; {why}")
        return Picture(pixels, view)


def warped(pixels: NDArray[np.uint8], transform: Affine, epsg: int, *, finer: int = 1) -> Picture:
    """An image of another coordinate system as a map shows it; every pixel keeps its colour.

    Args:
        pixels: (y, x, 4).
        transform: from column and row of a pixel's upper left corner to x and y.
        epsg: of x and y.
        finer: pixels of the map along one of the image, so that these stay squares.
    """
    height, width = pixels.shape[:2]
    west, north = transform * (0, 0)
    east, south = transform * (width, height)
    bounds: Box = transform_bounds(f"EPSG:{epsg}", "EPSG:3857", west, south, east, north, densify_pts=21)
    shape = (4, height * finer, width * finer)
    target = np.zeros(shape, np.uint8)
    reproject(
        np.moveaxis(pixels, -1, 0),
        target,
        src_transform=transform,
        src_crs=f"EPSG:{epsg}",
        dst_transform=from_bounds(*bounds, shape[2], shape[1]),
        dst_crs="EPSG:3857",
        resampling=Resampling.nearest,
    )
    return Picture(np.moveaxis(target, 0, -1), in_degrees(bounds))


def in_degrees(bounds: Box) -> Box:
    """A box of Web Mercator in degrees."""
    west, south = _WEB_OF.transform(*bounds[:2], direction="INVERSE")
    east, north = _WEB_OF.transform(*bounds[2:], direction="INVERSE")
    return west, south, east, north
