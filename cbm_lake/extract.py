"""Extraction: plan scenes over a parcel set, take every parcel's statistics on Dask, record what was done.

    scenes and parcels ─ plan ─► jobs ─ extract_scene (one per scene, anywhere) ─► cube, signatures, ledger

A job is small and complete, so it can run in this process, in a local cluster or on any Dask scheduler; it writes its
own scene in one commit, and nothing but its outcome travels back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from importlib.metadata import version
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake import cards, schemas, zonal
from cbm_lake.cube import Cube, CubeWriter, Slot
from cbm_lake.errors import InvalidInputError, LakeError, NotFoundError, SourceError
from cbm_lake.lake import Lake, ParcelSet, open_lake
from cbm_lake.rasters import FileSource, Grid, Raster, StackSource, Window

log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with how many scenes are finished and how many there are."""

RULES = ("centre", "coverage")
"""centre: a pixel belongs to a parcel when its centre is inside; coverage: pixels weigh by the part that is inside."""


@dataclass(frozen=True)
class Scene:
    """What a job needs to know of a scene."""

    id: str
    obstime: datetime
    reference: str
    boa_offset: int
    assets: dict[str, str]
    """Href of each band."""


@dataclass(frozen=True)
class Job:
    """One scene over one parcel set: the unit of work, of failure and of repetition."""

    lake: str
    card: str
    scene: Scene
    parcels: ParcelSet
    bands: tuple[str, ...]
    rule: str
    rasters: dict[str, Raster]
    """Every band, and the classification, by name."""
    slots: dict[str, int] | None
    """Slot in the cube of each grid by the grid's name; None leaves the cube alone."""


@dataclass(frozen=True)
class Outcome:
    """What became of a scene."""

    scene: str
    rows: int
    """Signatures written; 0 is right for a scene without data over the parcels."""
    problem: str | None = None
    """Why it failed, or None."""


@dataclass(frozen=True)
class Plan:
    """What is to be done, and what needs not."""

    card: str
    parcels: ParcelSet
    parcel_count: int
    jobs: tuple[Job, ...]
    done: int
    """Scenes that the ledger already has."""
    failed: tuple[Outcome, ...] = ()
    """Scenes whose rasters cannot even be opened."""


@dataclass(frozen=True)
class Extracted:
    """The result of an extraction."""

    scenes: int
    """Scenes that were extracted now."""
    rows: int
    """Signatures that were written now."""
    skipped: int
    """Scenes that had been done before."""
    outcomes: tuple[Outcome, ...] = field(repr=False, default=())


class Source(Protocol):
    """Where blocks of pixels come from."""

    def read(self, windows: Iterable[Window]) -> Iterator[Any]:
        """The pixels of each window, in that order."""


def s2(
    start: date | str, end: date | str, *, aoi: str, year: int, ptype: str | None = None, **options: Any
) -> Extracted:
    """Extract Sentinel-2: statistics of the bands and counts of the scene classes; see `extract`."""
    return extract("s2", start, end, aoi=aoi, year=year, ptype=ptype, **options)


def bs(
    start: date | str, end: date | str, *, aoi: str, year: int, ptype: str | None = None, **options: Any
) -> Extracted:
    """Extract Sentinel-1 backscatter: statistics of linear power; see `extract`."""
    return extract("bs", start, end, aoi=aoi, year=year, ptype=ptype, **options)


def c6(
    start: date | str, end: date | str, *, aoi: str, year: int, ptype: str | None = None, **options: Any
) -> Extracted:
    """Extract Sentinel-1 six-day coherence; see `extract`."""
    return extract("c6", start, end, aoi=aoi, year=year, ptype=ptype, **options)


def extract(
    card: str,
    start: date | str,
    end: date | str,
    *,
    aoi: str,
    year: int,
    ptype: str | None = None,
    bands: Iterable[str] | None = None,
    cube: bool = True,
    rule: str = "centre",
    workers: int | None = None,
    scheduler: str | None = None,
    lake: Lake | None = None,
    progress: Progress | None = None,
) -> Extracted:
    """Take the statistics of every parcel in every scene from `start` to `end` (both included) that is not done yet.

    Args:
        card: s2, bs or c6.
        start: first day.
        end: last day.
        aoi: area of the parcel set.
        year: year of the parcel set.
        ptype: which parcel set; None is the main one.
        bands: any 10 m or 20 m bands; None means the card's usual ones. The classification always comes along.
        cube: also keep the pixels round the parcels in the cube, for chips and for extracting again.
        rule: "centre" (as rasterstats) or "coverage" (weighted by the covered part; needs the extra `exact`).
        workers: processes on this machine; None is one per core, 0 is this process itself.
        scheduler: address of a running Dask scheduler (tcp://host:8786) to use instead.
        lake: the lake; None is the workspace's.
        progress: called after each scene.

    Raises:
        InvalidInputError: unknown card, band or rule, or dates reversed.
        NotFoundError: no such parcels, or no scene covers them in that time.
        SourceError: some scenes failed; all others are done, and the next run tries those again.
    """
    lake = lake or open_lake()
    todo = plan(card, start, end, aoi=aoi, year=year, ptype=ptype, bands=bands, cube=cube, rule=rule, lake=lake)
    return run(todo, workers=workers, scheduler=scheduler, progress=progress)


# -- planning -----------------------------------------------------------------------------------------------------


def plan(
    card: str,
    start: date | str,
    end: date | str,
    *,
    aoi: str,
    year: int,
    ptype: str | None = None,
    bands: Iterable[str] | None = None,
    cube: bool = True,
    rule: str = "centre",
    lake: Lake | None = None,
) -> Plan:
    """Choose the scenes to extract, look at their rasters, build missing pixel indexes and make room in the cube.

    Args and errors are those of `extract`.
    """
    lake = lake or open_lake()
    kind = cards.get(card)
    wanted = kind.check_bands(tuple(bands) if bands is not None else kind.default_bands)
    if rule not in RULES:
        raise InvalidInputError(f"unknown rule {rule!r}; choose from {', '.join(RULES)}")
    first, last = _days(start, end)
    parcels = lake.parcel_set(aoi, year, ptype)
    rows = _covering_scenes(lake, kind.name, first, last, parcels)
    held = _ledger(lake, kind.name, parcels)
    todo = [
        (row, _bands_of(row["id"], wanted, held))
        for row in rows
        if not _is_done(row["id"], wanted, rule, cube, parcels, held)
    ]
    lake.prepare(kind.name)
    jobs, failed = _inspect(lake, kind, todo, parcels, rule)
    _index_grids(lake, parcels, {raster.grid for job in jobs for raster in job.rasters.values()})
    if cube:
        jobs = _reserve(lake, kind.name, jobs)
    for outcome in failed:
        lake.record([_entry(kind.name, parcels, wanted, rule, cube, datetime.now(UTC), outcome)])
    count = lake.read_parcels(parcels, ["id"]).num_rows
    return Plan(kind.name, parcels, count, tuple(jobs), len(rows) - len(todo), tuple(failed))


def _days(start: date | str, end: date | str) -> tuple[datetime, datetime]:
    """From the start of the first day to the start of the day after the last."""
    try:
        first, last = (day if isinstance(day, date) else date.fromisoformat(day) for day in (start, end))
    except ValueError as error:
        raise InvalidInputError(f"{error}; write dates as 2024-03-01") from error
    if first > last:
        raise InvalidInputError(f"the dates are reversed: start {first} is after end {last}")
    midnight = datetime.min.time()
    return datetime.combine(first, midnight, UTC), datetime.combine(last, midnight, UTC) + timedelta(days=1)


def _covering_scenes(
    lake: Lake, card: str, first: datetime, last: datetime, parcels: ParcelSet
) -> list[dict[str, Any]]:
    rows = lake.query("scenes.between", card=card, start=first, stop=last).to_pylist()
    days = f"from {first:%Y-%m-%d} to {last - timedelta(days=1):%Y-%m-%d}"
    if not rows:
        raise NotFoundError(f"no scene of card {card} {days} is catalogued; add scenes with card2db first")
    extent = lake.footprint(parcels.aoi)
    covering = [row for row in rows if shapely.from_wkb(row["footprint"]).intersects(extent)]
    if not covering:
        raise NotFoundError(
            f"none of the {len(rows)} scenes of card {card} {days} covers the parcels of {parcels.name}"
        )
    return covering


def _ledger(lake: Lake, card: str, parcels: ParcelSet) -> dict[str, dict[str, Any]]:
    key = {"card": card, "aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype}
    return {row["scene"]: row for row in lake.query("extractions.done", **key).to_pylist()}


def _is_done(
    scene: str, bands: tuple[str, ...], rule: str, cube: bool, parcels: ParcelSet, held: dict[str, dict[str, Any]]
) -> bool:
    entry = held.get(scene)
    if entry is None or entry["status"] != "done":
        return False
    same = entry["parcels"] == parcels.version and entry["rule"] == rule
    return same and set(bands) <= set(entry["bands"]) and (entry["cube"] or not cube)


def _bands_of(scene: str, wanted: tuple[str, ...], held: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    """The wanted bands and those that the scene's rows already have: a scene's rows are replaced as a whole."""
    entry = held.get(scene)
    return tuple(dict.fromkeys((*wanted, *(entry["bands"] if entry and entry["status"] == "done" else ()))))


def _inspect(
    lake: Lake, kind: cards.Card, todo: list[tuple[dict[str, Any], tuple[str, ...]]], parcels: ParcelSet, rule: str
) -> tuple[list[Job], list[Outcome]]:
    """Read the headers of all rasters, many at a time: they may be far away."""

    def job(row: dict[str, Any], bands: tuple[str, ...]) -> Job | Outcome:
        assets = {name: asset["href"] for name, asset in row["assets"].items() if asset and asset["href"]}
        names = (*bands, kind.classification) if kind.classification in assets else bands
        missing = [name for name in bands if name not in assets]
        if missing:
            return Outcome(row["id"], 0, f"scene {row['id']} has no asset {', '.join(missing)}; ask for other bands")
        try:
            rasters = {name: Raster.inspect(assets[name]) for name in names if name}
        except SourceError as error:
            return Outcome(row["id"], 0, str(error))
        scene = Scene(row["id"], row["obstime"], row["reference"], row["boa_offset"], assets)
        return Job(lake.url, kind.name, scene, parcels, bands, rule, rasters, None)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(lambda item: job(*item), todo))
    return [r for r in results if isinstance(r, Job)], [r for r in results if isinstance(r, Outcome)]


def _index_grids(lake: Lake, parcels: ParcelSet, grids: set[Grid]) -> None:
    """Build the pixel index of every grid that has none in the lake."""
    for grid in sorted(grids, key=lambda grid: grid.name):
        if lake.index(parcels, grid.name) is None:
            log.info("indexing the pixels of parcels %s on grid %s", parcels.name, grid.name)
            index = zonal.build_index(_geometries(lake, parcels, grid.epsg), grid.transform, grid.shape)
            lake.write_index(parcels, grid.name, index.to_table())


def _geometries(lake: Lake, parcels: ParcelSet, epsg: int) -> Any:
    """The parcels' geometries in another coordinate system, in the order of their file."""
    from pyproj import Transformer

    table = lake.read_parcels(parcels, ["geometry", "epsg"])
    geometries = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    source = table["epsg"][0].as_py() if table.num_rows else epsg
    if source == epsg:
        return geometries
    transformer = Transformer.from_crs(source, epsg, always_xy=True)
    return shapely.transform(geometries, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


def _reserve(lake: Lake, card: str, jobs: list[Job]) -> list[Job]:
    """Give every job its slot in the cube of each of its grids, before any worker starts."""
    by_grid: dict[Grid, list[Job]] = {}
    for job in jobs:
        for grid in {raster.grid for raster in job.rasters.values()}:
            by_grid.setdefault(grid, []).append(job)
    numbers: dict[str, dict[str, int]] = {}
    for grid, users in by_grid.items():
        bands = {name for job in users for name, raster in job.rasters.items() if raster.grid == grid}
        dtypes = {name: cards.get(card).cube_dtype(name) for name in bands}
        slots = [Slot(job.scene.id, job.scene.obstime, job.scene.boa_offset) for job in users]
        numbers[grid.name] = Cube(lake.cube_url(card, grid.name)).reserve(grid, dtypes, slots)
    return [_with_slots(job, numbers) for job in jobs]


def _with_slots(job: Job, numbers: dict[str, dict[str, int]]) -> Job:
    names = {raster.grid.name for raster in job.rasters.values()}
    return replace(job, slots={name: numbers[name][job.scene.id] for name in names})


# -- running ------------------------------------------------------------------------------------------------------


def run(
    todo: Plan, *, workers: int | None = None, scheduler: str | None = None, progress: Progress | None = None
) -> Extracted:
    """Carry out a plan; see `extract`.

    Raises:
        SourceError: some scenes failed; all others are done.
    """
    outcomes = list(todo.failed)
    total = len(todo.jobs) + len(outcomes)
    if todo.jobs:
        zonal.warm_up()  # once, here, and not at the same time in every worker
        for outcome in _outcomes(todo.jobs, workers, scheduler):
            outcomes.append(outcome)
            if progress:
                progress(len(outcomes), total)
    failed = [outcome for outcome in outcomes if outcome.problem]
    if failed:
        reasons = "; ".join(f"{outcome.scene}: {outcome.problem}" for outcome in failed)
        rest = total - len(failed)
        raise SourceError(f"{len(failed)} of {total} scenes failed, {rest} are done; run again to retry. {reasons}")
    return Extracted(len(outcomes), sum(outcome.rows for outcome in outcomes), todo.done, tuple(outcomes))


def _outcomes(jobs: tuple[Job, ...], workers: int | None, scheduler: str | None) -> Iterator[Outcome]:
    if workers == 0 and scheduler is None:
        yield from map(extract_scene, jobs)
        return
    from distributed import as_completed

    with _client(min(workers, len(jobs)) if workers else None, scheduler) as client:
        futures = {
            client.submit(extract_scene, job, key=f"{job.scene.id}-{time.time_ns()}", pure=False): job for job in jobs
        }
        for future in as_completed(futures):
            error = future.exception()
            yield future.result() if error is None else _lost(futures[future], error)


@contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A Dask client of that scheduler, or of a cluster of processes on this machine."""
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="5s")
        except OSError as error:
            raise SourceError(f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler") from error
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            host="127.0.0.1",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _lost(job: Job, error: BaseException) -> Outcome:
    """A job that could not tell its outcome: its worker died, or there is a fault in the program."""
    outcome = Outcome(job.scene.id, 0, f"{type(error).__name__}: {error}")
    log.error("scene %s was lost", job.scene.id, exc_info=error)
    _record(job, datetime.now(UTC), outcome)
    return outcome


def extract_scene(job: Job) -> Outcome:
    """Take one scene's statistics, write them and its pixels, record it; a scene that fails is recorded as failed."""
    started = datetime.now(UTC)
    lake = Lake(job.lake)
    try:
        rows = _signatures(lake, job)
        lake.write_signatures(job.card, rows, job.parcels, job.scene.id)
    except LakeError as error:
        outcome = Outcome(job.scene.id, 0, str(error))
    else:
        outcome = Outcome(job.scene.id, rows.num_rows)
    _record(job, started, outcome)
    return outcome


def _record(job: Job, started: datetime, outcome: Outcome) -> None:
    entry = _entry(job.card, job.parcels, job.bands, job.rule, job.slots is not None, started, outcome)
    Lake(job.lake).record([entry])


def _entry(
    card: str, parcels: ParcelSet, bands: tuple[str, ...], rule: str, cube: bool, started: datetime, outcome: Outcome
) -> dict[str, Any]:
    return {
        "card": card, "scene": outcome.scene, "aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype,
        "parcels": parcels.version, "bands": list(bands), "rule": rule, "cube": cube and outcome.problem is None,
        "status": "failed" if outcome.problem else "done", "problem": outcome.problem, "rows": outcome.rows,
        "started": started, "finished": datetime.now(UTC), "version": version("cbm-lake"),
    }  # fmt: skip


# -- one scene ----------------------------------------------------------------------------------------------------


def _signatures(lake: Lake, job: Job) -> pa.Table:
    """The wide rows of the parcels that have at least one valid pixel, ordered by pid."""
    columns: dict[str, Any] = {}
    for band in job.bands:
        columns |= _band(lake, job, band)
    classification = next((name for name in job.rasters if name not in job.bands), None)
    if classification:
        columns |= _classes(lake, job, classification)
    columns["pid"] = lake.read_parcels(job.parcels, ["id"])["id"]
    seen = np.any([np.asarray(columns[f"{band}_count"]) > 0 for band in job.bands], axis=0)
    table = pa.table(columns).filter(pa.array(seen))
    return _with_keys(table.take(pc.sort_indices(table["pid"])), job)


def _with_keys(table: pa.Table, job: Job) -> pa.Table:
    """The rows in the schema of the card's signatures; bands that were not asked for are null."""
    keys = {
        "aoi": job.parcels.aoi, "year": job.parcels.year, "ptype": job.parcels.ptype, "scene": job.scene.id,
        "obstime": job.scene.obstime, "reference": job.scene.reference, "rule": job.rule,
    }  # fmt: skip
    arrays = []
    for item in schemas.signatures(job.card):
        if item.name in table.column_names:
            arrays.append(table[item.name].cast(item.type))
        else:
            arrays.append(pa.repeat(pa.scalar(keys.get(item.name), item.type), table.num_rows))
    return pa.table(arrays, schema=schemas.signatures(job.card))


def _band(lake: Lake, job: Job, band: str) -> dict[str, Any]:
    """The statistics of one band; the offset is added to the results, which is exact and clips no dark pixel."""
    raster, nodata = job.rasters[band], cards.get(job.card).nodata
    if job.rule == "coverage":
        geometries = _geometries(lake, job.parcels, raster.grid.epsg)
        table = zonal.coverage_statistics(geometries, _whole(job, band), raster.grid.transform, nodata=nodata)
        table = table.set_column(table.column_names.index("count"), "count", pc.round(table["count"]))
    else:
        index = _index(job.lake, job.parcels, raster.grid.name)
        table = zonal.pool_statistics(_pool(job, band, index), index.pixel_offsets, nodata=nodata)
    statistics = {}
    for name in schemas.STATISTICS:
        shift = 0 if name in ("count", "std") else job.scene.boa_offset
        values = pc.add(table[name], shift) if shift else table[name]
        statistics[f"{band}_{name}"] = (
            pc.if_else(pc.greater(table["count"], 0), values, None) if name != "count" else values
        )
    return statistics


def _classes(lake: Lake, job: Job, band: str) -> dict[str, Any]:
    """How many pixels of each parcel are of each class."""
    index = _index(job.lake, job.parcels, job.rasters[band].grid.name)
    table = zonal.pool_histogram(_pool(job, band, index), index.pixel_offsets, schemas.CLASSES)
    return {f"scl_{value}": table[str(value)] for value in schemas.CLASSES}


def _pool(job: Job, band: str, index: zonal.SpanIndex) -> Any:
    """The pixels of every parcel one after the other; each block is decoded once and also goes into the cube."""
    raster = job.rasters[band]
    blocks = index.blocks(raster.block)
    pool = blocks.new_pool(raster.dtype)
    source, writer = _open(job, band)
    windows = [Window(block.row, block.col, block.height, block.width) for block in blocks]
    for number, values in enumerate(source.read(windows)):
        blocks.gather(values, number, pool)
        if writer:
            writer.put(windows[number], values)
    if writer:
        writer.close()
    return pool


def _whole(job: Job, band: str) -> Any:
    """A band as one array: what the coverage rule reads, since parcels also cover pixels whose centre is outside."""
    raster = job.rasters[band]
    (rows, columns), (height, width) = raster.grid.shape, raster.block
    array = np.empty(raster.grid.shape, raster.dtype)
    source, writer = _open(job, band)
    windows = [
        Window(row, col, min(height, rows - row), min(width, columns - col))
        for row in range(0, rows, height)
        for col in range(0, columns, width)
    ]
    for window, values in zip(windows, source.read(windows), strict=True):
        array[window.row : window.row + window.height, window.col : window.col + window.width] = values
        if writer:
            writer.put(window, values)
    if writer:
        writer.close()
    return array


def _open(job: Job, band: str) -> tuple[Source, CubeWriter | None]:
    """Where a band's blocks come from, and the cube that keeps them when one is wanted."""
    raster = job.rasters[band]
    if job.slots is None:
        return FileSource(raster), None
    url = Lake(job.lake).cube_url(job.card, raster.grid.name)
    return StackSource(raster), CubeWriter(url, band, job.slots[raster.grid.name])


@lru_cache(maxsize=4)
def _index(lake: str, parcels: ParcelSet, grid: str) -> zonal.SpanIndex:
    """The stored pixel index; kept in the worker from scene to scene."""
    table = Lake(lake).index(parcels, grid)
    if table is None:
        raise SourceError(f"the pixel index of {parcels.name} on grid {grid} has gone; run again")
    return zonal.SpanIndex.from_table(table)
