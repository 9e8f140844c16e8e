"""Rasterizes parcels on the thematic grid: the class of every pixel of every parcel; shared by versions 1 and 2."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.foi import components
from cbm_lake.foi.parcels import Parcels
from cbm_lake.foi.rasters import Thematic, unit
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.geo.vectors import Geometries
from cbm_lake.zonal.compiled import Pixels
from cbm_lake.zonal.spans import SpanIndex, build_index

log = logging.getLogger(__name__)

_THREADS = 2
_QUARTER = 16
"""Corners by which a quarter of a circle is drawn, as shapely's buffers of single geometries have it."""


@dataclass(frozen=True, eq=False)
class Survey:
    """Pixels of all parcels by class."""

    index: SpanIndex
    codes: components.Codes
    """For every pixel the place of its class among the classes; -1 where it does not count."""
    counts: npt.NDArray[np.int32]
    """Pixels, (parcels, classes)."""


def buffered(parcels: Parcels, raster: Thematic, distance: float) -> Geometries:
    """Buffer geometries by a (negative) distance in metres, in the raster's coordinate system.

    Raises:
        InvalidInputError: there is a distance, but both coordinate systems are in degrees.
    """
    system = parcels.crs or raster.crs
    if distance and system is not None and system.is_geographic:
        if raster.crs is None or raster.crs.is_geographic:
            raise InvalidInputError(f"{parcels.name} and the raster are in degrees, a buffer needs metres: warp them")
        return _buffer(reproject(parcels, raster.crs), distance / unit(raster.crs))
    geometries = _buffer(parcels.geometries, distance / unit(system)) if distance else parcels.geometries
    return reproject(replace(parcels, geometries=geometries), raster.crs)


def reproject(parcels: Parcels, crs: CRS | None) -> Geometries:
    """Reproject geometries; unchanged if either coordinate system is unknown or both are equal.

    None for those that the other one cannot express, which lie far off.
    """
    if parcels.crs is None or crs is None:
        if parcels.crs is not crs:
            log.warning("%s or the raster names no coordinate system: they are taken for the same", parcels.name)
        return parcels.geometries
    if parcels.crs.equals(crs, ignore_axis_order=True):
        return parcels.geometries
    log.info("%s: reprojected from %s to %s", parcels.name, parcels.crs.name, crs.name)
    shapes: Geometries = reprojected(parcels.geometries, parcels.crs, crs)
    shapes[~np.isfinite(shapely.bounds(shapes)).all(axis=1) & ~shapely.is_empty(shapes)] = None
    return shapes


def _buffer(geometries: Geometries, distance: float) -> Geometries:
    """The geometries made smaller by a negative distance in units of their coordinate system."""
    parts = np.array_split(geometries, _THREADS)
    with ThreadPoolExecutor(_THREADS) as workers:
        return np.concatenate(list(workers.map(lambda part: shapely.buffer(part, distance, quad_segs=_QUARTER), parts)))


def survey(
    geometries: Geometries,
    raster: Thematic,
    classes: Mapping[int, str],
    *,
    zero_counts: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Read the raster around the parcels, and the class of every pixel whose centre lies in one.

    Args:
        geometries: in the raster's coordinate system.
        raster: of class values.
        classes: names by value.
        zero_counts: whether 0 is a class like others, or never counts.
        progress: called with the number of blocks read and of all blocks.

    Raises:
        InvalidInputError: parcels contain values that are no class; the declared nodata is ignored.
    """
    index = _index(geometries, raster)
    if not index.pixel_count:
        log.warning("no parcel has a pixel of raster %s; check the coordinate systems of both", raster.path)
    pool, mask = raster.read(index, progress)
    values = np.array([value if value or zero_counts else _NEVER for value in classes], np.int64)
    ignored = [] if zero_counts else [0]
    ignored += [] if raster.nodata is None else [raster.nodata]
    codes = components.encode(pool, values, np.array(ignored, np.int64))
    if mask is not None:
        codes[mask == 0] = components.NOT_COUNTED
    _refuse_unknown(raster, classes, pool, codes)
    return Survey(index, codes, components.count(codes, index.pixel_offsets, len(classes)))


def _index(geometries: Geometries, raster: Thematic) -> SpanIndex:
    """The pixels of all geometries, made in parts side by side."""
    parts = np.array_split(geometries, _THREADS)
    with ThreadPoolExecutor(_THREADS) as workers:
        indexes = list(workers.map(lambda part: build_index(part, raster.transform, raster.shape), parts))
    begins = np.cumsum([0, *(part.offsets[-1] for part in indexes)])
    ends = [part.offsets[1:] + begin for part, begin in zip(indexes, begins, strict=False)]
    spans = (np.concatenate([getattr(part, name) for part in indexes]) for name in ("row", "col", "length"))
    return SpanIndex(raster.shape, raster.transform, np.concatenate([[0], *ends]), *spans)


_NEVER = np.iinfo(np.int64).min
"""Stands in the place of a class that no pixel can have."""


def _refuse_unknown(raster: Thematic, classes: Mapping[int, str], pool: Pixels, codes: components.Codes) -> None:
    unknown = codes == components.UNKNOWN
    if not unknown.any():
        return
    values, numbers = np.unique(pool[unknown], return_counts=True)
    listed = some(f"{value} ({number} pixels)" for value, number in zip(values, numbers, strict=True))
    names = ", ".join(map(str, classes))
    raise InvalidInputError(
        f"raster {raster.path} has values in parcels that are no class: {listed}; the classes are {names}: add them"
    )
