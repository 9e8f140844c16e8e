"""Which blocks of a scene's rasters a job reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from cbm_lake import zonal
from cbm_lake.extract import jobparcels, pixelindices
from cbm_lake.extract.jobparcels import Shapes
from cbm_lake.extract.jobs import Job
from cbm_lake.lake import open_lake
from cbm_lake.rasters import Grid, Raster, Window
from cbm_lake.zonal.compiled import Floats


def windows(job: Job, name: str) -> list[Window]:
    """The blocks of a band, or of the classification, that hold parcels; by the coverage rule all round them."""
    raster = job.rasters[name]
    if name not in job.bands:
        own = jobparcels.index(job, raster.grid.name).blocks(raster.block)
        return list(own) if job.mask is None else _cached_with_masks(job, raster, list(own))
    if job.rule == "coverage":
        shapes = jobparcels.shapes(job, raster.grid.epsg)
        return list(blocks_of(around(shapes, raster, pixelindices.margin(job, name)), raster.block))
    return list(pixelindices.gathering(job, name).spans.blocks(raster.block))


def around(shapes: Shapes, raster: Raster, margin: int = 0) -> Window:
    """The blocks of the raster round all shapes and so many pixels more; one block where they lie outside it."""
    west, south, east, north = shapely.total_bounds(shapes)
    to_pixels = ~raster.grid.transform
    corners = np.nan_to_num([to_pixels * (west, north), to_pixels * (east, south)])[:, ::-1]  # row, column
    block, shape = np.array(raster.block), np.array(raster.grid.shape)
    beyond = margin * np.array([[-1], [1]])
    first, last = np.clip(corners + beyond, 0, shape - 1).astype(int) // block
    start = first * block
    size = np.minimum((last + 1) * block, shape) - start
    return Window(*start.tolist(), *size.tolist())


def blocks_of(window: Window, block: tuple[int, int]) -> Iterator[Window]:
    """The blocks of a window that begins at a block, in row-major order."""
    bottom, right = window.row + window.height, window.col + window.width
    for row in range(window.row, bottom, block[0]):
        for col in range(window.col, right, block[1]):
            yield Window(row, col, min(block[0], bottom - row), min(block[1], right - col))


def finest(job: Job) -> Grid:
    """The grid of the smallest pixels of the job's bands."""
    grids = {job.rasters[band].grid for band in job.bands}
    return min(grids, key=lambda grid: (abs(grid.transform.a * grid.transform.e), grid.name))


def pixel_bounds(index: zonal.SpanIndex) -> Floats:
    """First column, first row, last column + 1 and last row + 1 of the pixels of each parcel that has some, (n, 4)."""
    filled = np.flatnonzero(np.diff(index.offsets))
    starts = index.offsets[:-1][filled]
    if not len(starts):
        return np.empty((0, 4))
    left, right = np.minimum.reduceat(index.col, starts), np.maximum.reduceat(index.col + index.length, starts)
    top, bottom = index.row[starts], index.row[index.offsets[1:][filled] - 1] + 1
    return np.stack([left, top, right, bottom], axis=1).astype(np.float64)


def map_bounds(job: Job) -> Floats:
    """West, south, east and north of what a job may count of each parcel, (n, 4), in the system of its rasters."""
    grid = finest(job)
    if job.rule == "coverage":
        bounds = shapely.bounds(jobparcels.shapes(job, grid.epsg))
        return np.asarray(bounds[np.isfinite(bounds).all(axis=1)])
    t, pixels = grid.transform, pixel_bounds(jobparcels.index(job, grid.name))
    west, north, east, south = (pixels * [t.a, t.e, t.a, t.e] + [t.c, t.f, t.c, t.f]).T
    return np.stack([west, south, east, north], axis=1)


def _cached_with_masks(job: Job, raster: Raster, own: list[Window]) -> list[Window]:
    grids = raster.grid.name, raster.block, finest(job).name
    key = (
        "blocks of masks",
        job.parcels,
        job.base and job.base.versions,
        job.rule,
        *grids,
        job.mask and job.mask.dilate,
    )
    return open_lake(job.lake).caches.extraction.get(
        key, lambda: _with_masks(job, raster, own), lambda windows: 64 * len(windows)
    )


def _with_masks(job: Job, raster: Raster, own: list[Window]) -> list[Window]:
    """The blocks that hold parcels, and those that masks of these parcels on other grids need, in row-major order."""
    t, (height, width), block = raster.grid.transform, raster.grid.shape, raster.block
    west, south, east, north = map_bounds(job).T
    room = job.mask.dilate if job.mask else 0
    rows = (np.floor((north - t.f) / t.e) - room, np.ceil((south - t.f) / t.e) + room)
    cols = (np.floor((west - t.c) / t.a) - room, np.ceil((east - t.c) / t.a) + room)
    inside = (rows[1] > 0) & (rows[0] < height) & (cols[1] > 0) & (cols[0] < width)
    down = np.clip(np.stack([rows[0], rows[1] - 1]), 0, height - 1).astype(int) // block[0]
    across = np.clip(np.stack([cols[0], cols[1] - 1]), 0, width - 1).astype(int) // block[1]
    corners = {(window.row // block[0], window.col // block[1]) for window in own}
    for top, bottom, left, right in np.unique(np.concatenate([down, across])[:, inside], axis=1).T.tolist():
        corners |= {(row, col) for row in range(top, bottom + 1) for col in range(left, right + 1)}
    return [
        Window(
            row * block[0],
            col * block[1],
            min(block[0], height - row * block[0]),
            min(block[1], width - col * block[1]),
        )
        for row, col in sorted(corners)
    ]
