"""Extraction of one scene over one parcel set, as run by a worker: compute, write and record its signatures."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from affine import Affine

from cbm_lake import cards, zonal
from cbm_lake.errors import LakeError, SourceError
from cbm_lake.extract import jobparcels, pixelindices
from cbm_lake.extract.causes import cause
from cbm_lake.extract.jobparcels import Numbers
from cbm_lake.extract.jobs import Block, Job, Outcome
from cbm_lake.extract.pixelindices import PixelIndices, gathering
from cbm_lake.lake import open_lake, schemas
from cbm_lake.lake.records import LedgerEntry
from cbm_lake.rasters import Grid, PixelArray, Window, encoding
from cbm_lake.rasters.blocks import CubeSource, sync_blocks
from cbm_lake.rasters.readers import Source, source
from cbm_lake.storage import stores
from cbm_lake.zonal.compiled import Floats

Blocks: TypeAlias = Iterator[PixelArray]
"""Arrays of pixels, one for each block."""
Columns: TypeAlias = dict[str, "pa.Array | pa.ChunkedArray | Numbers"]
"""Equally long columns of a table, a row for each parcel."""


def extract_scene(job: Job) -> Outcome:
    """Compute the statistics of one scene, write them and its pixels, and record the outcome, also a failure."""
    started = datetime.now(UTC)
    lake = open_lake(job.lake)
    try:
        rows, discarded = _signatures(job)
        blocks = _stored_blocks(job)
        lake.write_signatures(job.card, rows, job.extraction)
    except LakeError as error:
        outcome = Outcome(job.scene.id, 0, str(error), reading=isinstance(error, SourceError))
    else:
        warning = _emptied(job) if job.before and not job.base and not rows.num_rows else None
        outcome = Outcome(job.scene.id, rows.num_rows, discarded=discarded, warning=warning, blocks=blocks)
    return record(job, started, outcome)


def record(job: Job, started: datetime, outcome: Outcome) -> Outcome:
    """Record the outcome of a job in the ledger; from then on its signatures count.

    When another run has finished other work on the same scene since this job was planned, nothing is entered: what
    counts would otherwise depend on who comes last.
    """
    lake = open_lake(job.lake)
    entry = _entry(job, started, outcome)
    if outcome.problem:
        lake.record(entry)
        return replace(outcome, repeated=cause(outcome) in job.causes)
    if not lake.record(entry, after=job.after):
        key = {"card": job.card, **job.parcels.params}
        entry_there = {row["scene"]: row for row in lake.query("extractions.done", **key).to_pylist()}.get(job.scene.id)
        if entry_there is None:  # a file of the ledger was lost: the log alone remembers that there were attempts
            lake.record(entry)
            return outcome
        if entry_there["extraction"] not in (None, job.extraction, job.base.extraction if job.base else None):
            reason = f"scene {job.scene.id} was meanwhile extracted by another run, with other bands or parcels"
            return Outcome(job.scene.id, 0, f"{reason}; run again to add what is missing")
        lake.record(entry, after=entry_there["attempt"])
    return outcome


def _emptied(job: Job) -> str:
    return (
        f"it had {job.before:,} signatures over {job.parcels.name} and has none now, since no parcel has a valid pixel "
        "in its files as they are; see whether they were replaced, and leave the scene out if they are of no use "
        f"(`cbm-lake scenes leave-out {job.scene.id} --why …`)"
    )


def _entry(job: Job, started: datetime, outcome: Outcome) -> LedgerEntry:
    return {
        "card": job.card,
        "scene": outcome.scene,
        "aoi": job.parcels.aoi,
        "year": job.parcels.year,
        "ptype": job.parcels.ptype,
        "parcels": job.parcels.version,
        "extraction": job.extraction,
        "base": job.base.extraction if job.base else None,
        "bands": list(job.bands),
        "rule": str(job.pixel_rule),
        "boa_offset": job.scene.boa_offset,
        "cube": job.slots is not None and outcome.problem is None,
        "status": "failed" if outcome.problem else "done",
        "problem": outcome.problem or outcome.warning,
        "rows": outcome.rows,
        "started": started,
        "finished": datetime.now(UTC),
        "version": version("cbm-lake"),
        "revision": job.scene.revision,
        "slots": [{"grid": grid, "slot": slot} for grid, slot in (job.slots or {}).items()],
        "discarded": outcome.discarded,
        "blocks": None if outcome.blocks is None else [block.record() for block in outcome.blocks],
        "pixels": job.pixels,
        "statistics": list(job.statistics) or None,
        "indices": list(job.indices) or None,
    }


# -- statistics ---------------------------------------------------------------------------------------------------


def _signatures(job: Job) -> tuple[pa.Table, int]:
    """The wide rows of the parcels that have at least one valid pixel, ordered by pid; and how many were discarded."""
    columns: Columns = {}
    discarded = 0
    indices = PixelIndices(job)
    for band, pixels in _read(job):
        if band in job.bands:
            statistics, wrong = _band(job, band, pixels, indices)
            columns |= statistics
            discarded += wrong
        else:
            columns |= _classes(job, band, pixels)
    columns |= indices.columns()
    columns["pid"] = jobparcels.pids(job)
    columns["rule"] = jobparcels.rules(job)
    columns["share"] = _share(job, columns)
    if job.rule == "coverage":
        columns["covered"] = np.max([np.asarray(columns[f"{band}_covered"]) for band in job.bands], axis=0)
    counted = np.any([np.asarray(columns[f"{band}_count"]) > 0 for band in job.bands], axis=0)
    table = pa.table(columns).filter(pa.array(counted))
    return _with_keys(table.take(pc.sort_indices(table["pid"])), job), discarded


def _with_keys(table: pa.Table, job: Job) -> pa.Table:
    """The rows in the schema of the card's signatures; bands that were not requested are null."""
    keys = {
        "aoi": job.parcels.aoi,
        "year": job.parcels.year,
        "ptype": job.parcels.ptype,
        "scene": job.scene.id,
        "obstime": job.scene.obstime,
        "reference": job.scene.reference,
        "rule": str(job.pixel_rule),
        "extraction": job.extraction,
    }
    arrays = []
    schema = schemas.signatures(job.card, job.statistics, job.indices)
    for item in schema:
        if item.name in table.column_names:
            arrays.append(table[item.name].cast(item.type))
        else:
            arrays.append(pa.repeat(pa.scalar(keys.get(item.name), item.type), table.num_rows))
    return pa.table(arrays, schema=schema)


def _band(job: Job, band: str, pixels: Blocks, indices: PixelIndices) -> tuple[Columns, int]:
    """The statistics of one band, with the pixels covered, not rounded; and how many pixels were discarded.

    Offset and scale are applied to what is computed of pixels, which is exact and clips no dark pixel, and before
    formulas over it.
    """
    raster, card = job.rasters[band], cards.get(job.card)
    names = (*cards.statistics.STORED, *job.statistics)
    if job.rule == "coverage":
        table, discarded = _covered(job, band, pixels, names, indices)
    else:
        index = jobparcels.index(job, raster.grid.name)
        pool = indices.pools.add(band, _pool(job, band, gathering(job, band).spans, pixels))
        discarded = _checked(job, band, pool)
        whole = _whole(job, raster.grid).astype(np.int64, copy=False)
        convert = partial(_in_unit, job, card)
        offsets = index.pixel_offsets
        table = zonal.pool_statistics(pool, offsets, card.nodata, statistics=names, whole=whole, convert=convert)
    statistics = {f"{band}_covered": table["covered" if job.rule == "coverage" else "count"]}
    counted = pc.greater(table["count"], 0)
    for name in names:
        values = table[name]
        statistics[f"{band}_{name}"] = (
            _defined(values) if cards.STATISTICS[name].counts else pc.if_else(counted, values, None)
        )
    return statistics, discarded


def _defined(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Null where a number is none (NaN)."""
    return pc.if_else(pc.is_nan(values), None, values) if pa.types.is_floating(values.type) else values


def _in_unit(job: Job, card: cards.Card, name: str, values: Floats) -> Floats:
    """A statistic of stored numbers in the unit of the card's signatures: linear, so it can be done to the result."""
    statistic = cards.STATISTICS[name]
    if statistic.unit is not None:
        return values
    offset = job.scene.boa_offset if statistic.shifts else 0
    return (values + offset) * card.factor + (card.shift if statistic.shifts else 0)


def _checked(job: Job, band: str, pixels: PixelArray) -> int:
    """Set pixels that are no measurement to nodata in place, and refuse radar in another unit; returns how many.

    Here, and not where rasters are read, so that it holds for what cubes have, too.
    """
    card = cards.get(job.card)
    if card.is_optical:
        return encoding.without_wrapped(pixels, card.highest)
    encoding.check_radar(card, band, pixels)
    return encoding.without_negative(pixels)


def _share(job: Job, columns: Columns) -> pa.Array:
    """The share of each whole parcel that was counted, 0 to 1, float32: pixels of its fullest band ÷ those it has.

    Bands of the finest grid on which a parcel has pixels decide: of 10 m rather than of 20 m. What lies beyond the
    raster's edge, has no data or was discarded was not seen.
    """
    share = np.full(len(columns["pid"]), np.nan, np.float32)
    grids = {job.rasters[band].grid for band in job.bands}
    for grid in sorted(grids, key=lambda grid: (-_pixel_area(grid), grid.name)):
        bands = [band for band in job.bands if job.rasters[band].grid == grid]
        counted = np.max([np.asarray(columns[f"{band}_covered"]) for band in bands], axis=0)
        whole = _whole(job, grid)
        np.divide(counted, whole, out=share, where=whole > 0, casting="same_kind")
    return pa.array(np.minimum(share, 1), from_pandas=True)


def _pixel_area(grid: Grid) -> float:
    return abs(grid.transform.a * grid.transform.e)


def _whole(job: Job, grid: Grid) -> Numbers:
    """How many pixels of a grid each whole parcel has, by the job's rule; 0 where that is not known."""
    if job.rule == "coverage":
        shapes = jobparcels.shapes(job, grid.epsg)
        return np.asarray(np.nan_to_num(shapely.area(shapes) / _pixel_area(grid)))
    index = jobparcels.index(job, grid.name)
    return np.zeros(index.n_parcels, np.int64) if index.whole is None else index.whole


def _classes(job: Job, band: str, pixels: Blocks) -> Columns:
    """How many pixels of each parcel are of each class."""
    index = jobparcels.index(job, job.rasters[band].grid.name)
    kinds = cards.get(job.card).classification
    assert kinds is not None  # noqa: S101 - a band without statistics is the classification
    table = zonal.pool_histogram(_pool(job, band, index, pixels), index.pixel_offsets, kinds.classes)
    return {column: table[str(value)] for column, value in zip(kinds.columns, kinds.classes, strict=True)}


# -- pixels -------------------------------------------------------------------------------------------------------


def _read(job: Job) -> Iterator[tuple[str, Blocks]]:
    """Every band and classification with the pixels of its blocks; the next one is prefetched meanwhile."""
    classification = next((name for name in job.rasters if name not in job.bands), None)
    names = [*job.bands, *([classification] if classification else [])]
    with ThreadPoolExecutor(1, "ahead") as ahead:
        coming: Future[Blocks] | None = None
        for name, following in zip(names, [*names[1:], None], strict=True):
            pixels = coming.result() if coming else _begun(job, name)
            distant = following is not None and stores.is_distant(job.rasters[following].href)
            coming = ahead.submit(_begun, job, following) if following and distant else None
            yield name, pixels


def _begun(job: Job, band: str) -> Blocks:
    """The pixels of a band's blocks, of which the first are read."""
    pixels = _source(job, band).read(_windows(job, band))
    return chain(list(islice(pixels, 1)), pixels)


def _windows(job: Job, band: str) -> list[Window]:
    """The blocks of a band that hold parcels; by the coverage rule all round them."""
    raster = job.rasters[band]
    if job.rule == "coverage" and band in job.bands:
        return list(_blocks(_around(job, band), raster.block))
    spans = gathering(job, band).spans if band in job.bands else jobparcels.index(job, raster.grid.name)
    return list(spans.blocks(raster.block))


def _pool(job: Job, band: str, index: zonal.SpanIndex, pixels: Blocks) -> PixelArray:
    """The pixels of all parcels as a pool; each block is decoded once and also written to the cube."""
    raster = job.rasters[band]
    blocks = index.blocks(raster.block)
    pool = blocks.new_pool(raster.pixel_dtype)
    for number, values in enumerate(pixels):
        blocks.gather(values, number, pool)
    return pool


def _covered(
    job: Job, band: str, pixels: Blocks, statistics: tuple[str, ...], indices: PixelIndices
) -> tuple[pa.Table, int]:
    """The statistics by the coverage rule, and how many pixels round the parcels were discarded.

    count is the sum of covered parts, rounded, and at least 1 where there is any; covered is the sum itself.
    """
    raster = job.rasters[band]
    shapes = jobparcels.shapes(job, raster.grid.epsg)
    around = _around(job, band)
    array = np.zeros((around.height, around.width), raster.pixel_dtype)
    for window, values in zip(_blocks(around, raster.block), pixels, strict=True):
        array[window.relative_to(around).slices] = values
    discarded = _checked(job, band, array)
    indices.arrays.add(band, array, around)
    transform = raster.grid.transform * Affine.translation(around.col, around.row)
    card = cards.get(job.card)
    convert = partial(_in_unit, job, card)
    table = zonal.coverage_statistics(shapes, array, transform, card.nodata, statistics=statistics, convert=convert)
    table = table.append_column("covered", table["count"])
    covered = np.asarray(table["count"])
    count = np.where(covered > 0, np.maximum(np.rint(covered), 1), 0)
    return table.set_column(table.column_names.index("count"), "count", pa.array(count)), discarded


def _around(job: Job, band: str) -> Window:
    """The blocks of a band's raster round all parcels; one block where they lie outside it."""
    raster = job.rasters[band]
    west, south, east, north = shapely.total_bounds(jobparcels.shapes(job, raster.grid.epsg))
    to_pixels = ~raster.grid.transform
    corners = np.nan_to_num([to_pixels * (west, north), to_pixels * (east, south)])[:, ::-1]  # row, column
    block, shape = np.array(raster.block), np.array(raster.grid.shape)
    beyond = pixelindices.margin(job, band) * np.array([[-1], [1]])
    first, last = np.clip(corners + beyond, 0, shape - 1).astype(int) // block
    start = first * block
    size = np.minimum((last + 1) * block, shape) - start
    return Window(*start.tolist(), *size.tolist())


def _blocks(around: Window, block: tuple[int, int]) -> Iterator[Window]:
    """The blocks of a window that begins at a block, in row-major order."""
    bottom, right = around.row + around.height, around.col + around.width
    for row in range(around.row, bottom, block[0]):
        for col in range(around.col, right, block[1]):
            yield Window(row, col, min(block[0], bottom - row), min(block[1], right - col))


def _source(job: Job, band: str) -> Source:
    """Where a band's blocks come from: the file, or the cube, which fetches from the file what it lacks."""
    raster = job.rasters[band]
    return source(raster, job.threads) if job.slots is None else _cube_source(job, band, job.slots[raster.grid.name])


def _cube_source(job: Job, band: str, slot: int) -> CubeSource:
    raster = job.rasters[band]
    written: dict[tuple[int, int], set[int]] = {}
    for block in job.blocks:
        if (block.grid, block.band) == (raster.grid.name, band):
            written.setdefault((block.row, block.col), set()).add(block.bytes)
    cube = open_lake(job.lake).cube_url(job.card, raster.grid.name)
    return CubeSource(cube, band, slot, raster, job.threads, written)


def _stored_blocks(job: Job) -> tuple[Block, ...] | None:
    """The blocks of the cubes that hold the job's pixels, which are then on the disk; None without a cube."""
    if job.slots is None:
        return None
    blocks: list[Block] = []
    files: list[str] = []
    for band, raster in job.rasters.items():
        written = _cube_source(job, band, job.slots[raster.grid.name]).written(_windows(job, band))
        files += written
        blocks += [Block(raster.grid.name, band, *corner, size) for corner, size in written.values()]
    sync_blocks(files)
    return tuple(blocks)
