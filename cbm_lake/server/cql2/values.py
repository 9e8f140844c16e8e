"""Literals of CQL2: timestamps by RFC 3339, dates, geometries in degrees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any, Final, TypeAlias

import numpy as np
import shapely
import shapely.geometry

from cbm_lake.errors import InvalidInputError

Tree: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
"""A filter, or a part of it, in the JSON encoding."""
_RFC3339: Final = re.compile(r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TYPES: Final = frozenset(
    ["Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"]
)
_MOST_VERTICES: Final = 100_000


def instant(text: str) -> datetime:
    """A timestamp by RFC 3339, in UTC; of fractions of a second six digits count.

    Raises:
        InvalidInputError: it is none.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"{text[:60]!r} is no timestamp; write 2024-05-01T10:40:00Z")
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        return datetime.fromisoformat(f"{day}T{clock}.{(fraction or '')[:6]:0<6}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{text[:60]!r} is no timestamp: {error}") from error


def calendar_day(text: str) -> date:
    """A date.

    Raises:
        InvalidInputError: it is none.
    """
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInputError(f"{text[:60]!r} is no date: {error}") from error
    raise InvalidInputError(f"{text[:60]!r} is no date; write 2024-05-01")


def moment(text: str) -> tuple[datetime | None, datetime | None]:
    """First and last moment of a parameter `datetime`: one instant, or two with a slash; None is open.

    Raises:
        InvalidInputError: it is none, open on both sides, or ends before it begins.
    """
    ends = text.split("/")
    if len(ends) == 1:
        return (instant(text),) * 2
    if len(ends) > 2:
        raise InvalidInputError(f"{text[:80]!r} is no interval; write a begin and an end with one slash")
    begin, end = (None if side in ("", "..") else instant(side) for side in ends)
    if begin is None and end is None:
        raise InvalidInputError(f"{text[:80]!r} is open on both sides; leave it out, or say a begin or an end")
    if begin is not None and end is not None and end < begin:
        raise InvalidInputError(f"{text[:80]!r} ends before it begins")
    return begin, end


def is_geometry(tree: Tree) -> bool:
    """Whether a part of a filter is a geometry of GeoJSON, or a box."""
    return isinstance(tree, dict) and (tree.get("type") in _TYPES or set(tree) == {"bbox"})


def geometry(tree: Mapping[str, Any]) -> shapely.Geometry:
    """A geometry of GeoJSON in degrees; heights are left out.

    Raises:
        InvalidInputError: it cannot be read, is not in degrees, or has more vertices than are taken.
    """
    try:
        shape = shapely.box(*_box(tree["bbox"])) if "bbox" in tree and "type" not in tree else _shape(tree)
    except (
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
        shapely.errors.ShapelyError,
    ) as error:
        raise InvalidInputError(f"this is no geometry of GeoJSON: {str(error)[:80] or type(error).__name__}") from error
    shape = shapely.force_2d(shape)
    xy = shapely.get_coordinates(shape)
    if len(xy) > _MOST_VERTICES:
        raise InvalidInputError(f"the geometry has {len(xy)} vertices; at most {_MOST_VERTICES} are taken")
    if not len(xy) or not (np.abs(xy) <= (180, 90)).all():
        raise InvalidInputError("the geometry is not in degrees, longitude first, or is empty")
    return shape


def _shape(tree: Mapping[str, Any]) -> shapely.Geometry:
    if tree.get("type") not in _TYPES:
        raise ValueError(f"there is no type {str(tree.get('type'))[:40]!r}")
    shape = shapely.geometry.shape(tree)
    if not shape.is_valid:  # to repair it may take minutes of a few hundred vertices
        raise ValueError(f"it is not valid, {shapely.is_valid_reason(shape)}")
    return shape


def _box(sides: object) -> tuple[float, float, float, float]:
    if not isinstance(sides, list) or len(sides) not in (4, 6):
        raise ValueError("a box has four or six numbers")
    numbers = [float(side) for side in sides]
    west, south, east, north = numbers if len(numbers) == 4 else (*numbers[:2], *numbers[3:5])
    if not (west <= east and south <= north):
        raise ValueError("the box ends before it begins")
    return west, south, east, north
