"""Where a job's pixels come from and go to: files of the scene, and the cube."""

from __future__ import annotations

from cbm_lake.extract.blocks import windows
from cbm_lake.extract.jobs import Block, Job
from cbm_lake.lake import open_lake
from cbm_lake.rasters.blocks import CubeSource, sync_blocks
from cbm_lake.rasters.parts import PartSource, RasterPart, RasterStack, StackSource
from cbm_lake.rasters.readers import Source, source


def of_band(job: Job, band: str) -> Source:
    """Where a band's blocks come from: the file, or the cube, which fetches from the file what it lacks."""
    raster = job.rasters[band]
    if isinstance(raster, RasterStack):
        return StackSource(raster, band, job.threads)
    if isinstance(raster, RasterPart):
        return PartSource(raster, band, job.threads)
    return source(raster, job.threads) if job.slots is None else _cube_source(job, band, job.slots[raster.grid.name])


def _cube_source(job: Job, band: str, slot: int) -> CubeSource:
    raster = job.rasters[band]
    written: dict[tuple[int, int], set[int]] = {}
    for block in job.blocks:
        if (block.grid, block.band) == (raster.grid.name, band):
            written.setdefault((block.row, block.col), set()).add(block.bytes)
    cube = open_lake(job.lake).cube_url(job.card, raster.grid.name)
    return CubeSource(cube, band, slot, raster, job.threads, written)


def stored_blocks(job: Job) -> tuple[Block, ...] | None:
    """The blocks of the cubes that hold the job's pixels, which are then on the disk; None without a cube."""
    if job.slots is None:
        return None
    blocks: list[Block] = []
    files: list[str] = []
    for band, raster in job.rasters.items():
        written = _cube_source(job, band, job.slots[raster.grid.name]).written(windows(job, band))
        files += written
        blocks += [Block(raster.grid.name, band, *corner, size) for corner, size in written.values()]
    sync_blocks(files)
    return tuple(blocks)
