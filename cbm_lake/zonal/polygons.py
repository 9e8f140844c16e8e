"""Normalisation of geometries in all accepted forms to ragged arrays of polygons and rings."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from cbm_lake.errors import InvalidInputError
from cbm_lake.zonal.compiled import Floats, Ints

if TYPE_CHECKING:
    import shapely

log = logging.getLogger(__name__)

Geometries: TypeAlias = (
    "shapely.Geometry | bytes | bytearray | memoryview | pa.Array | pa.ChunkedArray | Iterable[object]"
)
"""Geometries as a caller may give them; see `build_index`."""

POLYGON: Final = 3
"""The type number of a polygon in GEOS; those of collections are greater."""


class Rings(NamedTuple):
    """The rings of all geometries."""

    xy: Floats
    """Coordinates, (n, 2)."""
    rings: Ints
    """Where rings begin among the coordinates, and where the last one ends."""
    parts: Ints
    """Where polygons begin among the rings, and where the last one ends."""
    parcels: Ints
    """Where parcels begin among the polygons, and where the last one ends."""


def as_affine(transform: Affine | Sequence[float]) -> Affine:
    """The transform of a grid along the axes.

    Args:
        transform: Affine, or its first six numbers or all nine, in the order a, b, c, d, e, f of Affine.

    Raises:
        InvalidInputError: it is in GDAL's order (c, a, b, f, d, e), rotated, without pixel size, or no transform.
    """
    try:
        numbers = [float(number) for number in transform]
        a, b, c, d, e, f = numbers[:6] if len(numbers) == 9 else numbers
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"{transform!r} is no transform ({error}); give an Affine or its six numbers"
        ) from error
    if b and not c and f and not e:  # x, width, 0, y, 0, height: no rotation of 90 degrees puts both corners at 0
        raise InvalidInputError(
            f"the transform {tuple(numbers)} is in GDAL's order: give Affine.from_gdal(*transform) instead"
        )
    if b or d or not a or not e or not np.isfinite(numbers).all():
        raise InvalidInputError(f"the transform {tuple(numbers[:6])} is rotated or has no pixel size: warp it first")
    return Affine(a, b, c, d, e, f)


def polygon_parts(geometries: Geometries) -> tuple[npt.NDArray[np.object_], Ints, int]:
    """The polygons of all geometries (see `build_index`), to which geometry each belongs, and how many there are."""
    import shapely

    shapes = as_shapely(geometries)
    polygons, owner = shapely.get_parts(shapes, return_index=True)
    while (shapely.get_type_id(polygons) > POLYGON).any():  # a collection in a collection
        polygons, inner = shapely.get_parts(polygons, return_index=True)
        owner = owner[inner]
    filled = (shapely.get_type_id(polygons) == POLYGON) & ~shapely.is_empty(polygons)
    return polygons[filled], owner[filled], len(shapes)


def rings_of(geometries: Geometries) -> Rings:
    """The rings of geometries; those of parcels that have infinite coordinates (a failed reprojection) are left out."""
    import shapely

    polygons, owner, number = polygon_parts(geometries)
    rings, polygon_of = shapely.get_rings(polygons, return_index=True)
    xy, ring_of = shapely.get_coordinates(rings, return_index=True)
    parts, parcels = _starts(polygon_of, len(polygons)), _starts(owner, number)
    return _without_infinite(Rings(xy, _starts(ring_of, len(rings)), parts, parcels))


def _starts(owner: Ints, number: int) -> Ints:
    """Where each of `number` owners begins in a sorted list of owners, and where the last one ends."""
    starts = np.zeros(number + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=number), out=starts[1:])
    return starts


def as_shapely(geometries: Geometries) -> npt.NDArray[np.object_]:
    """One object array of shapely geometries (None where missing) from any accepted form."""
    import shapely

    geometries = getattr(geometries, "geometry", geometries)  # the column of a GeoDataFrame
    if isinstance(geometries, shapely.Geometry | bytes | bytearray | memoryview):
        geometries = [geometries]
    if isinstance(geometries, pa.Array | pa.ChunkedArray):
        storage = geometries.combine_chunks() if isinstance(geometries, pa.ChunkedArray) else geometries
        storage = storage.storage if isinstance(storage, pa.ExtensionArray) else storage
        values = np.array(storage.to_pylist(), dtype=object)
    else:
        values = np.fromiter(geometries, dtype=object)
    if any(isinstance(value, bytes | bytearray | memoryview) for value in values):
        try:
            return np.asarray(shapely.from_wkb(values), dtype=object)
        except shapely.errors.GEOSException as err:
            raise InvalidInputError(f"a geometry is not well-known binary ({err}): correct the file") from err
    missing = np.array([value is None or (isinstance(value, float) and math.isnan(value)) for value in values], bool)
    values[missing] = None
    if not (shapely.is_geometry(values) | missing).all():
        raise InvalidInputError("geometries must be shapely geometries or well-known binary: convert them first")
    return values


def _without_infinite(rings: Rings) -> Rings:
    """The same without the polygons of parcels that have infinite coordinates (a failed reprojection)."""
    bad = ~np.isfinite(rings.xy).all(axis=1)
    if not bad.any():
        return rings
    first = rings.rings[rings.parts[rings.parcels]]
    broken = np.diff(np.concatenate([[0], np.cumsum(bad)])[first]) > 0
    log.warning(
        "%d parcels with infinite coordinates have no pixels, first at position %d", broken.sum(), broken.argmax()
    )
    keep_part = np.repeat(~broken, np.diff(rings.parcels))
    keep_ring = np.repeat(keep_part, np.diff(rings.parts))
    keep_xy = np.repeat(keep_ring, np.diff(rings.rings))
    counts = (
        np.diff(rings.rings)[keep_ring],
        np.diff(rings.parts)[keep_part],
        np.where(broken, 0, np.diff(rings.parcels)),
    )
    starts = [np.concatenate([[0], np.cumsum(count)]) for count in counts]
    return Rings(rings.xy[keep_xy], starts[0], starts[1], starts[2])
