"""Selection of pixels of the lake by card, area, grid, bands and days, and the windows of grids that contain them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date
from typing import TYPE_CHECKING, TypeAlias

import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, UnknownSetError
from cbm_lake.files.dates import day_of
from cbm_lake.geo.areas import bounds_in
from cbm_lake.rasters import Grid, Window
from cbm_lake.rasters.cf import Slot

if TYPE_CHECKING:
    from cbm_lake.lake.pixels import Pixels

Extent: TypeAlias = tuple[tuple[int, tuple[float, float, float, float]], ...]
"""Boxes (west, south, east, north), each with its EPSG code."""


@dataclass(frozen=True)
class Choice:
    """A selection of pixels."""

    card: cards.Card
    aoi: str | None = None
    """Area whose scenes count and to whose parcels the pixels are cut; None is everything."""
    year: int | None = None
    """Of the area's parcels; None is any."""
    grid: str | None = None
    """Name of the grid; None is the only one that fits the rest."""
    resolution: float | None = None
    """Pixel size in the units of the grid's coordinate system."""
    bands: tuple[str, ...] | None = None
    """None is all that there are."""
    start: date | None = None
    end: date | None = None
    """The last day, included."""

    @classmethod
    def of(
        cls,
        card: str,
        aoi: str | None = None,
        year: int | None = None,
        grid: str | None = None,
        resolution: float | None = None,
        bands: Iterable[str] | None = None,
        start: date | str | None = None,
        end: date | str | None = None,
    ) -> Choice:
        """The validated selection from a caller's arguments.

        Raises:
            InvalidInputError: no such card, band or day, days reversed, or a year or pixel size that is none.
        """
        kind = cards.get(card)
        if year is not None and not isinstance(year, int):
            problem = f"{year!r} is no year; write it as 2024"
            raise InvalidInputError(
                f"{problem}, and days as start= and end=", plain=f"{problem}, and days as the first and the last one"
            )
        if resolution is not None and not (isinstance(resolution, (int, float)) and resolution > 0):
            raise InvalidInputError(f"{resolution!r} is no pixel size; give a number above 0")
        names = (bands,) if isinstance(bands, str) else None if bands is None else tuple(bands)
        if names is not None:
            measured = tuple(name for name in names if not kind.is_classes(name))
            if measured or not names:
                kind.check_bands(measured)
        first, last = (None if value is None else day_of(value) for value in (start, end))
        if first and last and first > last:
            raise InvalidInputError(f"the dates are reversed: start {first} is after end {last}")
        return cls(kind, aoi.lower() if aoi else None, year, grid, resolution, names, first, last)

    def fits(self, name: str, grid: Grid, bands: Collection[str]) -> bool:
        """Whether a grid with those bands is selected."""
        sized = self.resolution is None or math.isclose(grid.transform.a, self.resolution, rel_tol=1e-6)
        return sized and self.grid in (None, name) and set(self.bands or ()) <= set(bands)

    def contains(self, slot: Slot) -> bool:
        """Whether a scene was taken on one of the days (UTC)."""
        day = slot.obstime.astimezone(UTC).date()
        return (self.start is None or day >= self.start) and (self.end is None or day <= self.end)

    def __str__(self) -> str:
        """The selection in words, for messages."""
        days = f"from {self.start or 'the first day'} to {self.end or 'the last'}" if self.start or self.end else ""
        parts = (
            self.card.name,
            ", ".join(self.bands or ()),
            f"over {self.aoi} {self.year or ''}" if self.aoi else "",
            f"on grid {self.grid}" if self.grid else "",
            f"of {self.resolution:g} a pixel" if self.resolution else "",
            days,
        )
        return " ".join(" ".join(part for part in parts if part).split())


def extent_of(lake: Pixels, aoi: str, year: int | None) -> Extent:
    """The box round the parcels of an area in each of their coordinate systems."""
    rows = lake.query("cube.extent", aoi=aoi.lower(), year=year).to_pylist()
    if not rows:
        listing = ", ".join(parcels.name for parcels in lake.parcel_sets()) or "none yet; load them first"
        raise UnknownSetError(f"no parcels of {aoi} {year or ''}".rstrip(), listing)
    return tuple((row["epsg"], (row["west"], row["south"], row["east"], row["north"])) for row in rows)


def _bounds(extent: Extent, epsg: int) -> tuple[float, float, float, float]:
    """The box round all of an extent in a coordinate system."""
    boxes = [bounds_in(shapely.box(*box), stated, epsg) for stated, box in extent]
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def window_of(grid: Grid, extent: Extent) -> Window | None:
    """The whole pixels of a grid that an extent touches; None where it touches none."""
    west, south, east, north = _bounds(extent, grid.epsg)
    left, top = ~grid.transform * (west, north)
    right, bottom = ~grid.transform * (east, south)
    (first, last), (rows, columns) = ((top, left), (bottom, right)), grid.shape
    row, col = max(math.floor(first[0]), 0), max(math.floor(first[1]), 0)
    height, width = min(math.ceil(last[0]), rows) - row, min(math.ceil(last[1]), columns) - col
    return Window(row, col, height, width) if height > 0 and width > 0 else None


def grid_around(extent: Extent, epsg: int, size: float) -> Grid:
    """The grid of that pixel size round an extent, its edges at whole multiples of the size.

    Raises:
        InvalidInputError: no such coordinate system, or metres where degrees are needed.
    """
    try:
        degrees = CRS.from_epsg(epsg).is_geographic
    except (CRSError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{epsg!r} is no coordinate system; give the number of its EPSG code") from error
    west, south, east, north = _bounds(extent, epsg)
    if degrees and size > max(east - west, north - south):
        raise InvalidInputError(
            f"pixels of {size:g} degrees are larger than the area; EPSG:{epsg} is in degrees, 0.0001 is some 10 m"
        )
    left, top = math.floor(west / size) * size, math.ceil(north / size) * size
    shape = (math.ceil((top - south) / size), math.ceil((east - left) / size))
    return Grid(epsg, Affine(size, 0, left, 0, -size, top), shape)
