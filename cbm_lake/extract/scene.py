"""Extraction of one scene over one parcel set, as run by a worker: compute, write and record its signatures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import chain, islice
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from affine import Affine

from cbm_lake import cards, zonal
from cbm_lake.errors import LakeError, SourceError
from cbm_lake.extract import blocks as job_blocks
from cbm_lake.extract import clear, jobparcels, pixelindices, pixelsources
from cbm_lake.extract.causes import cause
from cbm_lake.extract.clear import ClearPart
from cbm_lake.extract.jobparcels import Numbers
from cbm_lake.extract.jobs import Job, Outcome
from cbm_lake.extract.pixelindices import PixelIndices, gathering
from cbm_lake.files import installed
from cbm_lake.lake import open_lake, schemas
from cbm_lake.lake.records import LedgerEntry
from cbm_lake.rasters import Grid, PixelArray, encoding
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
        rows, discarded = signatures(job)
        blocks = pixelsources.stored_blocks(job)
        lake.write_signatures(job.card, rows, job.extraction)
    except LakeError as error:
        outcome = Outcome(job.scene.id, 0, str(error), reading=isinstance(error, SourceError))
    else:
        warning = _emptied(job) if job.before and not job.base and not rows.num_rows else None
        part = rows.num_rows - rows["mask"].null_count
        outcome = Outcome(
            job.scene.id, rows.num_rows - part, discarded=discarded, warning=warning, blocks=blocks, clear=part
        )
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
        "version": installed.version(),
        "revision": job.scene.revision,
        "slots": [{"grid": grid, "slot": slot} for grid, slot in (job.slots or {}).items()],
        "discarded": outcome.discarded,
        "blocks": None if outcome.blocks is None else [block.record() for block in outcome.blocks],
        "pixels": job.pixels,
        "statistics": list(job.statistics) or None,
        "indices": list(job.indices) or None,
        "mask": None if cards.get(job.card).classification is None else str(job.mask or ""),
        "mask_stamp": job.mask_stamp,
        "clear": outcome.clear or None,
    }


# -- statistics ---------------------------------------------------------------------------------------------------


def signatures(job: Job) -> tuple[pa.Table, int]:
    """The wide rows of the parcels that have at least one valid pixel, ordered by pid; and how many were discarded.

    Behind those of all pixels stand, for partly masked parcels, those of their clear pixels alone; see `clear`.
    """
    columns: Columns = {}
    clear_columns: Columns = {}
    discarded = 0
    indices = PixelIndices(job)
    rasters = _read(job)
    if len(job.rasters) > len(job.bands):
        name, pixels = next(rasters)
        classes = _assembled(job, name, pixels)
        part = clear.of(job, classes)
        columns, clear_columns = _classes(job, name, classes, part)
    else:
        part = clear.of(job, None)
    for band, pixels in rasters:
        statistics, of_clear, wrong = _band(job, band, pixels, part, indices)
        columns |= statistics
        clear_columns |= of_clear
        discarded += wrong
    columns |= indices.columns()
    pids = jobparcels.pids(job)
    whole = _rows(job, columns, pids)
    table = whole.filter(pa.array(np.any([np.asarray(whole[f"{band}_count"]) > 0 for band in job.bands], axis=0)))
    rows = table.take(pc.sort_indices(table["pid"]))
    if part is None:
        return _with_keys(rows, job), discarded
    clear_columns |= indices.columns(part)
    table = _rows(job, clear_columns, pids.take(part.parcels), part.parcels)
    share, fullest = np.asarray(table["share"]), _finest(job, clear_columns, part.parcels)[0]
    table = table.filter(clear.worth_writing(job, part, columns, clear_columns, share, fullest))
    masked = table.take(pc.sort_indices(table["pid"]))
    return _with_keys(clear.joined(rows, masked, str(job.mask)), job), discarded


def _rows(job: Job, columns: Columns, pids: pa.ChunkedArray, parcels: Numbers | None = None) -> pa.Table:
    """The columns of all parcels, or of those with some numbers, with what follows from those of all bands."""
    rules = jobparcels.rules(job)
    columns = {**columns, "pid": pids, "share": _share(job, columns, parcels)}
    columns["rule"] = rules if parcels is None else rules.take(parcels)
    if job.rule == "coverage":
        columns["covered"] = np.max([np.asarray(columns[f"{band}_covered"]) for band in job.bands], axis=0)
    return pa.table(columns)


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
    arrays, names = [], frozenset(table.column_names)
    schema = schemas.signatures(job.card, job.statistics, job.indices)
    for item in schema:
        if item.name in names:
            arrays.append(table[item.name].cast(item.type))
        else:
            arrays.append(pa.repeat(pa.scalar(keys.get(item.name), item.type), table.num_rows))
    return pa.table(arrays, schema=schema)


def _band(
    job: Job, band: str, pixels: Blocks, part: ClearPart | None, indices: PixelIndices
) -> tuple[Columns, Columns, int]:
    """The statistics of one band, of all pixels and of the clear ones; and how many pixels were discarded.

    With the pixels covered, not rounded. Offset and scale are applied to what is computed of pixels, which is exact and
    clips no dark pixel, and before formulas over it.
    """
    raster, card = job.rasters[band], cards.get(job.card)
    names = (*cards.statistics.STORED, *job.statistics)
    if job.rule == "coverage":
        tables, discarded = _covered(job, band, pixels, names, part, indices)
    else:
        index = jobparcels.index(job, raster.grid.name)
        pool = indices.pools.add(band, _pool(job, band, gathering(job, band).spans, pixels))
        discarded = _checked(job, band, pool)
        whole = _whole(job, raster.grid).astype(np.int64, copy=False)
        describe = partial(
            zonal.pool_statistics, nodata=card.nodata, statistics=names, convert=partial(_in_unit, job, card)
        )
        tables = [describe(pool, index.pixel_offsets, whole=whole)]
        if part:
            positions, ends = part.pixels(index)
            tables.append(describe(pool[positions], ends, whole=whole[part.parcels]))
    of_all, *of_clear = (_named(job, band, table, names) for table in tables)
    return of_all, of_clear[0] if of_clear else {}, discarded


def _named(job: Job, band: str, table: pa.Table, names: Sequence[str]) -> Columns:
    """The statistics of a band under the names of signatures; null where no pixel counts."""
    statistics: Columns = {f"{band}_covered": table["covered" if job.rule == "coverage" else "count"]}
    counted = pc.greater(table["count"], 0)
    for name in names:
        values = table[name]
        statistics[f"{band}_{name}"] = (
            _defined(values) if cards.STATISTICS[name].counts else pc.if_else(counted, values, None)
        )
    return statistics


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


def _share(job: Job, columns: Columns, parcels: Numbers | None = None) -> pa.Array:
    """The share of each whole parcel that was counted, 0 to 1, float32: pixels of its fullest band ÷ those it has.

    Bands of the finest grid on which a parcel has pixels decide: of 10 m rather than of 20 m. What lies beyond the
    raster's edge, has no data, was discarded or is left out was not seen.
    """
    counted, whole = _finest(job, columns, parcels)
    share = np.full(len(whole), np.nan, np.float32)
    np.divide(counted, whole, out=share, where=whole > 0, casting="same_kind")
    return pa.array(np.minimum(share, 1), from_pandas=True)


def _finest(job: Job, columns: Columns, parcels: Numbers | None = None) -> tuple[Numbers, Numbers]:
    """The pixels counted of each parcel, or of those with some numbers, in its fullest band, and those that it has.

    Of the finest grid on which it has any; 0 where it has none.
    """
    selected = slice(None) if parcels is None else parcels
    number, pixels = np.zeros((2, len(columns[f"{job.bands[0]}_covered"])))
    grids = {job.rasters[band].grid for band in job.bands}
    for grid in sorted(grids, key=lambda grid: (-_pixel_area(grid), grid.name)):
        bands = [band for band in job.bands if job.rasters[band].grid == grid]
        counted = np.max([np.asarray(columns[f"{band}_covered"]) for band in bands], axis=0)
        whole = _whole(job, grid)[selected]
        number, pixels = np.where(whole > 0, counted, number), np.where(whole > 0, whole, pixels)
    return number, pixels


def _pixel_area(grid: Grid) -> float:
    return abs(grid.transform.a * grid.transform.e)


def _whole(job: Job, grid: Grid) -> Numbers:
    """How many pixels of a grid each whole parcel has, by the job's rule; 0 where that is not known."""
    if job.rule == "coverage":
        shapes = jobparcels.shapes(job, grid.epsg)
        return np.asarray(np.nan_to_num(shapely.area(shapes) / _pixel_area(grid)))
    index = jobparcels.index(job, grid.name)
    return np.zeros(index.n_parcels, np.int64) if index.whole is None else index.whole


def _assembled(job: Job, band: str, pixels: Blocks) -> PixelArray:
    """The classification on its whole grid, 0 where it is not read."""
    raster = job.rasters[band]
    array = np.zeros(raster.grid.shape, raster.pixel_dtype)
    for window, values in zip(job_blocks.windows(job, band), pixels, strict=True):
        array[window.slices] = values
    return array


def _classes(job: Job, band: str, classes: PixelArray, part: ClearPart | None) -> tuple[Columns, Columns]:
    """How many pixels of each parcel are of each class, of all and of the clear ones."""
    index = jobparcels.index(job, job.rasters[band].grid.name)
    kinds = cards.get(job.card).classification
    assert kinds is not None  # noqa: S101 - a band without statistics is the classification
    pool = zonal.pool_of(index, classes)
    tables = [zonal.pool_histogram(pool, index.pixel_offsets, kinds.classes)]
    if part:
        positions, ends = part.pixels(index)
        tables.append(zonal.pool_histogram(pool[positions], ends, kinds.classes))
    named = [
        {name: table[str(value)] for name, value in zip(kinds.columns, kinds.classes, strict=True)} for table in tables
    ]
    return named[0], named[1] if part else {}


# -- pixels -------------------------------------------------------------------------------------------------------


def _read(job: Job) -> Iterator[tuple[str, Blocks]]:
    """The classification and every band with the pixels of its blocks; the next one is prefetched meanwhile."""
    classification = next((name for name in job.rasters if name not in job.bands), None)
    names = [*([classification] if classification else []), *job.bands]  # which says what is clear of the bands
    with ThreadPoolExecutor(1, "ahead") as ahead:
        coming: Future[Blocks] | None = None
        for name, following in zip(names, [*names[1:], None], strict=True):
            pixels = coming.result() if coming else _begun(job, name)
            distant = following is not None and stores.is_distant(job.rasters[following].href)
            coming = ahead.submit(_begun, job, following) if following and distant else None
            yield name, pixels


def _begun(job: Job, band: str) -> Blocks:
    """The pixels of a band's blocks, of which the first are read."""
    pixels = pixelsources.of_band(job, band).read(job_blocks.windows(job, band))
    return chain(list(islice(pixels, 1)), pixels)


def _pool(job: Job, band: str, index: zonal.SpanIndex, pixels: Blocks) -> PixelArray:
    """The pixels of all parcels as a pool; each block is decoded once and also written to the cube."""
    raster = job.rasters[band]
    blocks = index.blocks(raster.block)
    pool = blocks.new_pool(raster.pixel_dtype)
    for number, values in enumerate(pixels):
        blocks.gather(values, number, pool)
    return pool


def _covered(
    job: Job, band: str, pixels: Blocks, statistics: tuple[str, ...], part: ClearPart | None, indices: PixelIndices
) -> tuple[list[pa.Table], int]:
    """The statistics by the coverage rule, of all pixels and of the clear ones; and how many pixels were discarded."""
    raster, card = job.rasters[band], cards.get(job.card)
    shapes = jobparcels.shapes(job, raster.grid.epsg)
    around = job_blocks.around(shapes, raster, pixelindices.margin(job, band))
    array = np.zeros((around.height, around.width), raster.pixel_dtype)
    for window, values in zip(job_blocks.blocks_of(around, raster.block), pixels, strict=True):
        array[window.relative_to(around).slices] = values
    discarded = _checked(job, band, array)
    indices.arrays.add(band, array, around)
    transform = raster.grid.transform * Affine.translation(around.col, around.row)
    describe = partial(_of_covered, job, statistics, transform)
    tables = [describe(shapes, array)]
    if part:
        tables.append(describe(shapes[part.parcels], part.masked(array, transform, card.nodata)))
    return tables, discarded


def _of_covered(
    job: Job, statistics: tuple[str, ...], transform: Affine, shapes: jobparcels.Shapes, array: PixelArray
) -> pa.Table:
    """The statistics of an array by the coverage rule.

    count is the sum of covered parts, rounded, and at least 1 where there is any; covered is the sum itself.
    """
    card = cards.get(job.card)
    convert = partial(_in_unit, job, card)
    table = zonal.coverage_statistics(shapes, array, transform, card.nodata, statistics=statistics, convert=convert)
    table = table.append_column("covered", table["count"])
    covered = np.asarray(table["count"])
    count = np.where(covered > 0, np.maximum(np.rint(covered), 1), 0)
    return table.set_column(table.column_names.index("count"), "count", pa.array(count))
