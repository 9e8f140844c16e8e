"""Reprojects geometries and coordinates, with cached transformers."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer

CrsLike: TypeAlias = CRS | str | int
"""What pyproj reads as a coordinate system: one of its own, an EPSG code, "EPSG:32631", WKT."""
Shapes: TypeAlias = npt.NDArray[np.object_]
"""Geometries of shapely; None where missing."""


@lru_cache(maxsize=64)
def transformer(source: CrsLike, target: CrsLike) -> Transformer:
    """Thread-safe cached transformer between two coordinate systems, x (longitude) first.

    PROJ takes up to a tenth of a second to choose one, for national systems above all.

    Args:
        source: EPSG number, or what pyproj takes for a system.
        target: the same.

    Raises:
        pyproj.exceptions.ProjError: there is no such system, or no way (CRSError is one).
    """
    return Transformer.from_crs(source, target, always_xy=True)


def reprojected(shapes: Shapes | shapely.Geometry, source: CrsLike, target: CrsLike) -> Any:
    """Reproject a geometry or an array of them, vertex by vertex; errors as of `transformer`."""
    if source == target:
        return shapes
    return shapely.transform(shapes, transformer(source, target).transform, interleaved=False)
