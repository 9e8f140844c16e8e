"""Stacks of scenes: the jobs of many scenes of one grid as one, since each costs more than the pixels of a polygon.

The parts of their rasters stand one below the other, far enough apart that nothing of one reaches into the next, and
the polygons as often; to the engine these are so many parcels of one raster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Final, TypeAlias, cast

import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.extract.drawn import DrawnSet
from cbm_lake.extract.drawnjobs import room_of
from cbm_lake.extract.jobs import Job
from cbm_lake.rasters import Grid, Raster
from cbm_lake.rasters.parts import RasterPart, RasterStack

_MOST_PIXELS: Final = 16_000_000
"""Of the finest band in a stack of several scenes."""
_EXACT: Final = 1024
"""Corners and sizes of pixels at multiples of its inverse have no rounding, however far down a stack."""
Key: TypeAlias = tuple[object, ...]


@dataclass(frozen=True)
class Stack:
    """A job of several scenes, and the job of each."""

    job: Job
    scenes: tuple[Job, ...]

    @classmethod
    def alone(cls, job: Job) -> Stack:
        """The stack of one scene, whose job is its own."""
        return cls(job, (job,))


def stacked(jobs: Iterable[Job]) -> Iterator[Stack]:
    """Stacks of those jobs that can share one: of one recipe and offset, and rasters of the same grids and types."""
    groups: dict[Key, list[Job]] = {}
    for job in jobs:
        key = _key(job)
        if key is None:
            yield Stack.alone(job)
        else:
            groups.setdefault(key, []).append(job)
    for group in groups.values():
        finest = max(height * width for height, width in (raster.grid.shape for raster in group[0].rasters.values()))
        size = max(1, _MOST_PIXELS // finest)
        for first in range(0, len(group), size):
            some = group[first : first + size]
            yield _stack(some) if len(some) > 1 else Stack.alone(some[0])


def unstacked(rows: pa.Table, stack: Stack) -> pa.Table:
    """The rows of a stack with the keys of each scene and polygon."""
    if len(stack.scenes) == 1:
        return rows
    number = pc.cast(pc.utf8_slice_codeunits(rows["pid"], 0, 4), pa.int32())
    keys = {
        "scene": [job.scene.id for job in stack.scenes],
        "obstime": [job.scene.obstime for job in stack.scenes],
        "reference": [job.scene.reference for job in stack.scenes],
        "extraction": [job.extraction for job in stack.scenes],
    }
    columns = {name: pa.array(values, rows.schema.field(name).type).take(number) for name, values in keys.items()}
    columns["pid"] = pc.utf8_slice_codeunits(rows["pid"], 5)
    for name, values in columns.items():
        rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), values)
    return rows


def _key(job: Job) -> Key | None:
    """What jobs of one stack have in common; None of a job that is to stay alone.

    By the rule coverage moved shapes would be rounded otherwise, and a further mask is a raster of one scene.
    """
    rasters = sorted(job.rasters.items())
    grids = {raster.grid for _, raster in rasters}
    if job.rule == "coverage" or (job.mask and job.mask.other) or not all(map(_is_exact, grids)):
        return None
    if any(_height(job, rasters) % _pixel(grid) for grid in grids):
        return None
    kinds = tuple((name, raster.grid, raster.pixel_dtype, raster.encoding) for name, raster in rasters)
    recipe = (job.bands, job.pixel_rule, job.statistics, job.indices, job.mask and str(job.mask))
    return (*recipe, job.scene.boa_offset, kinds)


def _is_exact(grid: Grid) -> bool:
    t = grid.transform
    return all((_EXACT * value).is_integer() for value in (float(t.a), float(t.c), float(t.e), float(t.f)))


def _pixel(grid: Grid) -> float:
    return float(-grid.transform.e)


def _height(job: Job, rasters: Sequence[tuple[str, Raster]]) -> float:
    """From one scene to the next, in units of the grids: the highest part and the margin, in whole coarse pixels."""
    grids = [raster.grid for _, raster in rasters]
    pixel = max(map(_pixel, grids))
    top, bottom = max(grid.bounds[3] for grid in grids), min(grid.bounds[1] for grid in grids)
    return ceil((top - bottom + room_of(job, grids)) / pixel) * pixel


def _stack(jobs: Sequence[Job]) -> Stack:
    first = jobs[0]
    height = _height(first, list(first.rasters.items()))
    rasters = {
        name: RasterStack.of(
            [cast("RasterPart", job.rasters[name]) for job in jobs], round(height / _pixel(raster.grid))
        )
        for name, raster in first.rasters.items()
    }
    polygons = cast("DrawnSet", first.parcels)
    spacings = [raster.spacing for _, raster in sorted(rasters.items())]
    repeated = replace(polygons, spacing=(len(jobs), *spacings))
    return Stack(replace(first, parcels=repeated, rasters=dict(rasters)), tuple(jobs))
