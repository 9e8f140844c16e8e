"""Search parameters of a catalogue query: date range and area."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, TypeAlias

import shapely

from cbm_lake.errors import InvalidInputError
from cbm_lake.files.dates import day_of
from cbm_lake.lake import Lake

GeometryLike: TypeAlias = shapely.Geometry | Sequence[float] | Mapping[str, Any]
"""An area in degrees: shapely, (west, south, east, north), or GeoJSON."""


def days(start: date | str | None, end: date | str | None) -> tuple[str, str]:
    """Start and end timestamps, "" if open."""
    first, last = (day_of(value, "date") if value else None for value in (start, end))
    if first and last and last < first:
        raise InvalidInputError(f"end {last} lies before start {first}; swap them")
    return f"{first}T00:00:00Z" if first else "", f"{last}T23:59:59Z" if last else ""


def area_of(lake: Lake, aoi: str | None, geometry: GeometryLike | None, source: str) -> shapely.Geometry:
    """Search area in degrees."""
    if geometry is not None:
        return _geometry(geometry)
    if aoi is None:
        raise InvalidInputError(
            f"{source} has the whole world; say with aoi= or geometry= which part of it you want",
            plain=f"{source} has the whole world; choose an area, of which parcels are loaded",
        )
    return lake.footprint(aoi)


def _geometry(value: GeometryLike) -> shapely.Geometry:
    try:
        if isinstance(value, Mapping):
            value = shapely.geometry.shape(value.get("geometry") or value)
        area = value if isinstance(value, shapely.Geometry) else shapely.box(*(float(side) for side in value))
    except (AttributeError, KeyError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        raise InvalidInputError(
            f"geometry {value!r:.60} is neither shapely, GeoJSON nor west, south, east, north"
        ) from error
    bounds = west, south, east, north = area.bounds if area else (math.nan,) * 4  # shapely makes no box of nan
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInputError(f"geometry with bounds {bounds} is not in degrees; transform it to EPSG:4326")
    return area
