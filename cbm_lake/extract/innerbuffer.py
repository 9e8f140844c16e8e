"""Pixel indexes of parcels without a margin (inner buffer), and which parcels are too small for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from cbm_lake import zonal
from cbm_lake.cards.observation import LEAST_PIXELS
from cbm_lake.geo.inside import shrunk
from cbm_lake.geo.reprojection import Shapes
from cbm_lake.rasters import Grid


def build_index(shapes: Shapes, grid: Grid, inner_buffer: float) -> zonal.SpanIndex:
    """The pixels of parcels on a grid, with those of each whole geometry, in the order given.

    Args:
        shapes: whole parcels in the coordinate system of the grid.
        grid: of the raster.
        inner_buffer: width in metres of the margin that does not count; 0 is none.
    """
    inside = shrunk(shapes, grid.epsg, inner_buffer)
    index = zonal.build_index(inside, grid.transform, grid.shape)
    whole = zonal.count_whole(inside, index)
    if inner_buffer:
        # what the buffer moves off the raster has no pixels there, but enough of them elsewhere
        beyond = ~shapely.intersects(inside, shapely.box(*grid.bounds)) & (whole == 0)
        whole[beyond] = shapely.area(inside[beyond]) / grid.pixel_area
    return replace(index, whole=whole)


def pixels_of(table: pa.Table) -> npt.NDArray[np.int64]:
    """The pixels of each whole geometry by the table of an index."""
    return np.asarray(table["whole"].to_numpy(), np.int64)


def too_small(
    whole: Sequence[npt.NDArray[np.int64]], inside: Sequence[npt.NDArray[np.int64]], finest: int
) -> npt.NDArray[np.bool_]:
    """Mask of the parcels that are too small for an inner buffer and count as a whole.

    That are those of which fewer than `observation.LEAST_PIXELS` pixels would be left on the grid of the finest bands,
    so that no look at them would be usable, or none on another grid on which they have some. Centres decide by either
    method, and pixels beyond the edge of the raster count too, so that a parcel is the same in all scenes of a grid.

    Args:
        whole: pixels of the whole parcels on each grid, each of shape (parcels,).
        inside: pixels of the parcels without their margin.
        finest: how many grids, from the first, are of the finest bands.
    """
    few: npt.NDArray[np.bool_] = np.maximum.reduce(inside[:finest]) < LEAST_PIXELS
    for before, after in zip(whole[finest:], inside[finest:], strict=True):
        few |= (before > 0) & (after == 0)
    return few
