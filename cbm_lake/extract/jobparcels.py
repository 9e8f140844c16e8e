"""The parcels of a job: identifiers, geometries, pixel index and rule, which workers cache between scenes.

With an inner buffer, geometries and index are those of parcels without their margin; of a parcel that is too small for
it they are those of the whole parcel.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake import zonal
from cbm_lake.cards.pixelrule import PixelRule
from cbm_lake.errors import SourceError
from cbm_lake.extract import innerbuffer, shifting
from cbm_lake.extract.drawn import DrawnSet
from cbm_lake.extract.jobs import Job, TooSmall
from cbm_lake.geo.inside import shrunk
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.rasters import Grid, Raster
from cbm_lake.rasters.parts import RasterStack

log = logging.getLogger(__name__)

Numbers: TypeAlias = npt.NDArray[np.number]
Shapes: TypeAlias = npt.NDArray[np.object_]
"""Geometries of shapely."""
Flags: TypeAlias = npt.NDArray[np.bool_]
Selection: TypeAlias = "tuple[slice | Numbers, pa.ChunkedArray]"
"""Rows in the parcel file, and the identifiers of these parcels."""
_BYTES_OF_SHAPE = 200
"""Of a geometry in memory, besides its vertices."""


def geometries(lake: Lake, parcels: ParcelSet, epsg: int) -> Shapes:
    """The parcels' geometries in another coordinate system, in the order of their file."""
    if isinstance(parcels, DrawnSet):
        return np.tile(np.asarray(reprojected(parcels.shapes, parcels.epsg, epsg)), parcels.repeats)
    table = lake.read_parcels(parcels, ["geometry", "epsg"])
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    stored_epsg = table["epsg"][0].as_py() if table.num_rows else epsg
    return np.asarray(reprojected(shapes, stored_epsg, epsg))


def index_grids(
    lake: Lake, parcels: ParcelSet, grids: set[Grid], inner_buffer: float, moved: tuple[float, float] = (0.0, 0.0)
) -> None:
    """Build and store the pixel index of every grid that has none, or one of version 0.1, which knows no `whole`.

    Args:
        lake: where they are stored.
        parcels: whose pixels.
        grids: of rasters.
        inner_buffer: width in metres of the margin inside the parcels that does not count; each has an index.
    """
    rule = PixelRule(inner_buffer=inner_buffer, moved=moved)
    for grid in sorted(grids, key=lambda grid: grid.name):
        stored = lake.index(parcels, rule.index_name(grid.name))
        if stored is None or "whole" not in stored.column_names:
            log.info("indexing the pixels of parcels %s (%s) on grid %s", parcels.name, rule, grid.name)
            shapes = shifting.moved(geometries(lake, parcels, grid.epsg), moved)
            index = innerbuffer.build_index(shapes, grid, inner_buffer)
            lake.write_index(parcels, rule.index_name(grid.name), index.to_table())


def pids(job: Job) -> pa.ChunkedArray:
    """The pids of the parcels that a job extracts: those that changed since its base, or all."""
    return _selected(job)[1]


def shapes(job: Job, epsg: int) -> Shapes:
    """The geometries of the same parcels, in a coordinate system."""
    opened = open_lake(job.lake)
    return opened.caches.extraction.get(
        ("geometries", epsg, *key(job)),
        lambda: _read_shapes(job, epsg)[_selected(job)[0]],
        lambda moved: int(16 * shapely.get_num_coordinates(moved).sum()) + _BYTES_OF_SHAPE * len(moved),
    )


def index(job: Job, grid: str) -> zonal.SpanIndex:
    """The stored pixel index of the same parcels on the grid of that name."""
    return open_lake(job.lake).caches.extraction.get(
        ("index", grid, *key(job)),
        lambda: _read_index(job, grid),
        lambda spans: 2 * (spans.offsets.nbytes + spans.row.nbytes + spans.col.nbytes + spans.length.nbytes),
    )


def rules(job: Job) -> pa.Array:
    """The pixel rule of each of the same parcels, as text."""
    rows, identifiers = _selected(job)
    if not job.inner_buffer:
        return pa.repeat(str(job.pixel_rule), len(identifiers))
    small = pa.array(too_small(job)[rows])
    return pc.if_else(small, str(job.pixel_rule.of_small), str(job.pixel_rule))


def too_small(job: Job) -> Flags:
    """Mask of the parcels of the set, changed or not, that are too small for the job's inner buffer."""
    return open_lake(job.lake).caches.extraction.get(
        ("too small", job.parcels, *_of_buffer(job)), lambda: _too_small(job), lambda small: int(small.nbytes)
    )


def count_too_small(jobs: Sequence[Job], parcels: int) -> TooSmall | None:
    """The parcels that are too small for the inner buffer in any scene; None where there are none."""
    of_grids = {frozenset(raster.grid for raster in job.rasters.values()): job for job in jobs if job.inner_buffer}
    masks = [too_small(job) for job in of_grids.values()]
    number = int(np.logical_or.reduce(masks).sum()) if masks else 0
    return TooSmall(number, parcels, jobs[0].inner_buffer) if number else None


def _too_small(job: Job) -> Flags:
    plain, grids = replace(job, inner_buffer=0.0), _by_fineness(job)
    whole, inside = ([innerbuffer.pixels_of(_stored(one, grid)) for grid in chain(*grids)] for one in (plain, job))
    return innerbuffer.too_small(whole, inside, finest=len(grids[0]))


def key(job: Job) -> tuple[object, ...]:
    """What the parcels of a job and their outlines are: equal for jobs that share them."""
    return (job.parcels, _since(job), *_of_buffer(job))


def _of_buffer(job: Job) -> tuple[object, ...]:
    """What decides, besides the parcels, which of them count without their margin; nothing without a buffer."""
    buffer = (job.inner_buffer, *_by_fineness(job)) if job.inner_buffer else ()
    return (*buffer, job.moved) if any(job.moved) else buffer


def _by_fineness(job: Job) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the grids of the job's finest bands, and of its other grids."""
    bands = {job.rasters[band].grid for band in job.bands}
    finest = min(grid.pixel_area for grid in bands)
    fine = {grid.name for grid in bands if grid.pixel_area == finest}
    others = {raster.grid.name for raster in job.rasters.values()} - fine
    return tuple(sorted(fine)), tuple(sorted(others))


def _since(job: Job) -> tuple[str, ...]:
    """The versions of the parcel set since which parcels must have changed to be extracted; none is all parcels."""
    return job.base.versions if job.base else ()


def _selected(job: Job) -> Selection:
    opened, since = open_lake(job.lake), _since(job)
    return opened.caches.extraction.get(
        ("parcels", job.parcels, since),
        lambda: _changed(opened, job.parcels, since),
        lambda changed: int(changed[1].nbytes) + (0 if isinstance(changed[0], slice) else changed[0].nbytes),
    )


def _changed(lake: Lake, parcels: ParcelSet, since: tuple[str, ...]) -> Selection:
    if isinstance(parcels, DrawnSet):
        return slice(None), parcels.identifiers
    identifiers = lake.read_parcels(parcels, ["id"])["id"]
    if not since:
        return slice(None), identifiers
    rows = np.flatnonzero(pc.is_in(identifiers, lake.changed(parcels, since)).to_numpy(zero_copy_only=False))
    return rows, identifiers.take(rows)


def _read_shapes(job: Job, epsg: int) -> Shapes:
    whole = shifting.moved(geometries(open_lake(job.lake), job.parcels, epsg), job.moved)
    if not job.inner_buffer:
        return whole
    return np.where(too_small(job), whole, shrunk(whole, epsg, job.inner_buffer))


def _read_index(job: Job, grid: str) -> zonal.SpanIndex:
    table, (rows, _) = _stored(job, grid), _selected(job)
    numbers = np.arange(table.num_rows)
    if job.inner_buffer:
        numbers[too_small(job)] += table.num_rows
        table = pa.concat_tables([table, _stored(replace(job, inner_buffer=0.0), grid)])
    numbers = numbers[rows]
    return zonal.SpanIndex.from_table(table.take(numbers) if len(numbers) < table.num_rows else table)


def _stored(job: Job, grid: str) -> pa.Table:
    """The stored index of all parcels on a grid, without their margin where the job has a buffer.

    That of polygons which no parcel set has is built instead.
    """
    if isinstance(job.parcels, DrawnSet):
        raster = next(raster for raster in job.rasters.values() if raster.grid.name == grid)
        return _built(job, job.parcels, raster).to_table()
    table = open_lake(job.lake).index(job.parcels, job.pixel_rule.index_name(grid))
    if table is None:
        raise SourceError(f"the pixel index of {job.parcels.name} on grid {grid} has gone; run again")
    return table


def _built(job: Job, polygons: DrawnSet, raster: Raster) -> zonal.SpanIndex:
    """The index of polygons on the grid of a raster, in a stack of scenes once for each of them."""
    grid = raster.parts[0].grid if isinstance(raster, RasterStack) else raster.grid
    shapes = reprojected(polygons.shapes, polygons.epsg, grid.epsg)
    index = innerbuffer.build_index(shifting.moved(shapes, job.moved), grid, job.inner_buffer)
    return index.repeated(len(raster.parts), raster.spacing) if isinstance(raster, RasterStack) else index
