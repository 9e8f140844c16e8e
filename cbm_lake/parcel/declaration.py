"""`Parcel`: a declared parcel with its key, crop, area and geometry."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Final

import shapely

from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake.keys import ParcelKey

_LONGEST: Final = 60
"""Letters of a crop's name."""


@dataclass(frozen=True)
class Parcel:
    """A declared parcel."""

    aoi: str
    year: int
    pid: str
    ptype: str | None
    crop: str | None
    code: str | None
    area: float
    """m²."""
    lon: float
    lat: float
    epsg: int
    outline: shapely.Geometry

    @property
    def key(self) -> ParcelKey:
        """Primary key of the parcel in a lake."""
        return ParcelKey(self.aoi.lower(), self.year, self.ptype or "", self.pid)

    @property
    def label(self) -> str:
        """Label: identifier, (shortened) crop and hectares."""
        crop = textwrap.shorten(self.crop or self.code or "no crop declared", _LONGEST, placeholder=" …")
        return " · ".join([self.pid, crop, hectares(self.area)])

    def outline_in(self, epsg: int) -> shapely.Geometry:
        """The geometry in another coordinate system."""
        return reprojected(self.outline, self.epsg, epsg)

    @property
    def utm(self) -> int:
        """EPSG code of the UTM zone of the centroid."""
        return (32600 if self.lat >= 0 else 32700) + min(int((self.lon + 180) // 6) + 1, 60)

    @property
    def widest(self) -> float:
        """Width or height in metres, whichever is larger, in the UTM zone of the centroid."""
        west, south, east, north = self.outline_in(self.utm).bounds
        return float(max(east - west, north - south))


def hectares(area: float) -> str:
    """Format an area given in m²: 2.68 ha, 0.0120 ha, 1,240 ha."""
    value = area / 10_000
    digits = 0 if value >= 1000 else 1 if value >= 100 else 2 if value >= 0.1 else 4
    return f"{value:,.{digits}f} ha"


def degrees(lon: float, lat: float) -> str:
    """Format a position: 50.9566° N, 3.7906° E."""
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'}, {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"
