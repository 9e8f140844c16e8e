"""Geometries and places from one coordinate system to another: a pair of systems is looked up once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import shapely
from pyproj import Transformer


@lru_cache(maxsize=64)
def transformer(source: Any, target: Any) -> Transformer:
    """The way from one coordinate system to another, x (longitude) before y, on whatever thread.

    PROJ takes up to a tenth of a second to choose one, for national systems above all.

    Args:
        source: EPSG number, or what pyproj takes for a system.
        target: the same.

    Raises:
        pyproj.exceptions.ProjError: there is no such system, or no way (CRSError is one).
    """
    return Transformer.from_crs(source, target, always_xy=True)


def reprojected(shapes: Any, source: Any, target: Any) -> Any:
    """A geometry, or an array of them, in another coordinate system, point by point; errors as of `transformer`."""
    if source == target:
        return shapes
    return shapely.transform(shapes, transformer(source, target).transform, interleaved=False)
