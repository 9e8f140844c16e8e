"""`Frame`: the rectangle of a web map that is drawn as one picture."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from cbm_lake.geo.reprojection import transformer
from cbm_lake.parcel.chips import HALF_MAP, TILE

Box = tuple[float, float, float, float]
"""West, south, east, north."""
_WEB: Final = 3857
_BEYOND: Final = 0.15
"""Of the view's width and height, how far a picture reaches beyond it on every side."""
_CLOSEST, _FARTHEST = 18.0, 3.0
"""Zoom levels between which a parcel is shown."""
_STEP: Final = 0.25
"""Of zoom levels."""
FINEST: Final = 2.0
"""Units of Web Mercator of a scene's pixel: pixels of 10 m have edges that are true to a fifth, or better."""
_FILLED: Final = 0.55
"""Of the view's width or height, how much a parcel fills at most."""


@dataclass(frozen=True)
class Frame:
    """A rectangle of the map, with a margin round what is seen of it."""

    bounds: Box
    """In Web Mercator."""
    size: tuple[int, int]
    """Rows and columns of its picture."""

    @classmethod
    def of_view(cls, centre: tuple[float, float], zoom: float, size: tuple[int, int], finest: float = FINEST) -> Frame:
        """The frame of a view of the map.

        Args:
            centre: x and y in Web Mercator.
            zoom: level of the map.
            size: width and height in pixels of the screen.
            finest: least units of Web Mercator of a pixel of the picture; 0 is as the screen has it.
        """
        pixel = 2 * HALF_MAP / TILE / 2**zoom
        drawn = max(pixel, finest)
        columns, rows = (max(math.ceil(pixels * (1 + 2 * _BEYOND) * pixel / drawn), 1) for pixels in size)
        x, y, across, up = *centre, columns * drawn / 2, rows * drawn / 2
        return cls((x - across, y - up, x + across, y + up), (rows, columns))

    @property
    def pixel(self) -> float:
        """Units of Web Mercator of a pixel's side."""
        return (self.bounds[2] - self.bounds[0]) / self.size[1]

    @property
    def degrees(self) -> Box:
        """West, south, east, north in degrees."""
        west, south = transformer(_WEB, 4326).transform(*self.bounds[:2])
        east, north = transformer(_WEB, 4326).transform(*self.bounds[2:])
        return float(west), float(south), float(east), float(north)

    def covers(self, view: Box) -> bool:
        """Whether a view (Web Mercator) lies within it, to half a pixel."""
        west, south, east, north = self.bounds
        slack = self.pixel / 2
        return (
            view[0] >= west - slack
            and view[1] >= south - slack
            and view[2] <= east + slack
            and view[3] <= north + slack
        )


def fitting(box: Box, size: tuple[int, int]) -> tuple[tuple[float, float], float]:
    """Centre (x, y) and zoom level of a map of that width and height at which a box of Web Mercator is well seen."""
    west, south, east, north = box
    pixel = max((east - west) / size[0], (north - south) / size[1], 1e-6) / _FILLED
    zoom = math.floor(math.log2(2 * HALF_MAP / TILE / pixel) / _STEP) * _STEP
    return ((west + east) / 2, (south + north) / 2), min(max(zoom, _FARTHEST), _CLOSEST)


def in_degrees(x: float, y: float) -> tuple[float, float]:
    """Longitude and latitude of a position in Web Mercator."""
    lon, lat = transformer(_WEB, 4326).transform(x, y)
    return float(lon), float(lat)


def in_metres(view: Box) -> Box:
    """A box in degrees in Web Mercator, clipped to its extent."""
    turn = transformer(4326, _WEB)
    corners = [(min(max(lon, -180), 180), min(max(lat, -85.06), 85.06)) for lon, lat in (view[:2], view[2:])]
    (west, south), (east, north) = (turn.transform(*corner) for corner in corners)
    return float(west), float(south), float(east), float(north)
