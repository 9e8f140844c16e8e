"""The slots of scenes in the cubes, which jobs get before any worker starts."""

from __future__ import annotations

from dataclasses import replace

from cbm_lake import cards
from cbm_lake.extract.jobs import Block, Job
from cbm_lake.lake import Lake
from cbm_lake.lake.slots import SlotContent
from cbm_lake.rasters import Grid
from cbm_lake.rasters.cube import Cube, Slot


def reserve(lake: Lake, card: str, jobs: list[Job]) -> list[Job]:
    """Give every job its slot in the cube of each of its grids, before any worker starts."""
    by_grid: dict[Grid, list[Job]] = {}
    for job in jobs:
        for grid in {raster.grid for raster in job.rasters.values()}:
            by_grid.setdefault(grid, []).append(job)
    numbers: dict[str, dict[str, int]] = {}
    for grid, users in by_grid.items():
        bands = {name for job in users for name, raster in job.rasters.items() if raster.grid == grid}
        dtypes = {name: cards.get(card).cube_dtype(name) for name in sorted(bands)}
        numbers[grid.name] = _make_room(lake, card, grid, dtypes, users)
    return _with_blocks(lake, card, [_with_slots(job, numbers) for job in jobs])


def _make_room(lake: Lake, card: str, grid: Grid, dtypes: dict[str, str], jobs: list[Job]) -> dict[str, int]:
    """The slot of each scene by its id; the cube is as long as the list of slots, whoever else lengthens it."""
    cube = Cube(lake.cube_url(card, grid.name))
    contents = [_content(job, grid) for job in jobs]
    reserved = lake.reserve_slots(card, grid.name, contents, cube.length())
    while True:
        slots = [Slot(row["scene"], row["obstime"], row["boa_offset"]) for row in reserved.to_pylist()]
        counting = lake.query("cube.slots", card=card, grid=grid.name, aoi=None, year=None)["slot"].to_pylist()
        cube.extend(grid, dtypes, slots, set(counting), cards.get(card))
        again = lake.reserve_slots(card, grid.name, contents)
        if again.num_rows == reserved.num_rows:  # nobody who knew of fewer slots can have written after this
            rows = again.to_pylist()
            return {content.scene: content.find(rows) for content in contents}
        reserved = again


def _content(job: Job, grid: Grid) -> SlotContent:
    """The part of a job's scene that belongs in the cube of a grid."""
    stamps = {name: raster.stamp for name, raster in job.rasters.items() if raster.grid == grid}
    return SlotContent(job.scene.id, job.scene.obstime, job.scene.boa_offset, stamps, job.scene.revision)


def _with_blocks(lake: Lake, card: str, jobs: list[Job]) -> list[Job]:
    """The jobs with the blocks that earlier extractions wrote at their slots."""
    scenes = sorted({job.scene.id for job in jobs if job.after})
    written: dict[tuple[str, int], list[Block]] = {}
    for row in lake.query("cube.blocks", card=card, scenes=scenes).to_pylist() if scenes else []:
        written.setdefault((row["grid"], row.pop("slot")), []).append(Block(**row))
    return [
        replace(
            job, blocks=tuple(block for position in (job.slots or {}).items() for block in written.get(position, ()))
        )
        for job in jobs
    ]


def _with_slots(job: Job, numbers: dict[str, dict[str, int]]) -> Job:
    names = {raster.grid.name for raster in job.rasters.values()}
    return replace(job, slots={name: numbers[name][job.scene.id] for name in names})
