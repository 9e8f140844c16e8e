"""Planning of an extraction: the scenes to do, their raster headers, pixel indexes, and slots in the cubes."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import NotRequired, TypedDict

from cbm_lake import cards, zonal
from cbm_lake.cards.statistics import optional
from cbm_lake.errors import InvalidInputError, LakeError, NoSceneError
from cbm_lake.extract.causes import cause
from cbm_lake.extract.jobparcels import geometries
from cbm_lake.extract.jobs import RULES, Base, Block, Job, Outcome, Plan, Progress, Scene
from cbm_lake.extract.scene import record
from cbm_lake.files.dates import day_of
from cbm_lake.geo import areas
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.records import SceneAsset
from cbm_lake.lake.slots import SlotContent
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.rasters import Grid, Raster, encoding
from cbm_lake.rasters.cube import Cube, Slot
from cbm_lake.storage import stores

log = logging.getLogger(__name__)


class CataloguedScene(TypedDict):
    """A row of the query scenes.between."""

    id: str
    obstime: datetime
    reference: str
    boa_offset: int
    revision: str
    footprint: bytes
    """WKB, EPSG:4326."""
    assets: dict[str, SceneAsset | None]


class LatestExtraction(TypedDict):
    """A row of the query extractions.done: the latest attempt at a scene, and what counts of it."""

    scene: str
    attempt: int
    extraction: int | None
    """None where no attempt has succeeded."""
    current: bool
    signatures: int
    bands: NotRequired[list[str]]
    statistics: NotRequired[list[str] | None]
    """Beside those that every signature has."""
    rule: NotRequired[str]
    boa_offset: NotRequired[int | None]
    cube: NotRequired[bool]
    versions: NotRequired[list[str]]
    """Of the parcel set, for which it and what it builds upon were made."""
    started: NotRequired[datetime]
    pixels: NotRequired[str | None]


_READERS = 16
"""Headers that are read concurrently, as they may be remote."""


@dataclass(frozen=True)
class Asked:
    """What is requested of every scene."""

    bands: tuple[str, ...]
    rule: str
    statistics: tuple[str, ...]
    """Beside those that every signature has."""
    cube: bool
    again: bool
    """Whether also what is done."""


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
    statistics: str | Iterable[str] = (),
    again: bool = False,
    dry: bool = False,
    lake: Lake | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Select the scenes to extract, inspect their rasters, build missing pixel indexes and reserve slots in the cubes.

    Args and errors are those of `extract`; progress is called for every scene whose headers were read. A dry plan
    writes nothing: it is to be looked at, not to be carried out.
    """
    lake = lake_or_default(lake)
    kind = cards.get(card)
    checked = kind.check_bands(_names(bands) if bands is not None else kind.default_bands)
    if rule not in RULES:
        raise InvalidInputError(f"unknown rule {rule!r}; choose from {', '.join(RULES)}")
    first, last = days(start, end)
    parcels = lake.parcel_set(aoi, year, ptype)
    rows = _covering_scenes(lake, kind.name, first, last, parcels)
    asked = Asked(bands=checked, rule=rule, statistics=optional(statistics), cube=cube, again=again)
    drafts = _drafts(lake, kind, rows, parcels, asked)
    remembered = {} if again else _known_rasters(lake, drafts)
    jobs, failed = _inspect(kind, drafts, remembered, progress)
    jobs = _of_same_pixels(lake, jobs)
    if not dry:
        jobs = _prepare(lake, kind.name, parcels, jobs, remembered, cube=cube)
        failed = [(job, record(job, datetime.now(UTC), outcome)) for job, outcome in failed]
    count = lake.read_parcels(parcels, ["id"]).num_rows
    outcomes = tuple(outcome for _, outcome in failed)
    return Plan(kind.name, parcels, count, tuple(jobs), len(rows) - len(drafts), outcomes, lake.url)


def _names(bands: Iterable[str]) -> tuple[str, ...]:
    return tuple(name.strip() for name in bands.split(",")) if isinstance(bands, str) else tuple(bands)


def days(start: date | str, end: date | str) -> tuple[datetime, datetime]:
    """From the start of the first day to the start of the day after the last.

    Raises:
        InvalidInputError: one is no day, or they are reversed.
    """
    first, last = day_of(start), day_of(end)
    if first > last:
        raise InvalidInputError(f"the dates are reversed: start {first} is after end {last}")
    midnight = datetime.min.time()
    return datetime.combine(first, midnight, UTC), datetime.combine(last, midnight, UTC) + timedelta(days=1)


def _covering_scenes(
    lake: Lake, card: str, first: datetime, last: datetime, parcels: ParcelSet
) -> list[CataloguedScene]:
    rows: list[CataloguedScene] = lake.query("scenes.between", card=card, start=first, stop=last).to_pylist()
    days_in_words = f"from {first:%Y-%m-%d} to {last - timedelta(days=1):%Y-%m-%d}"
    if not rows:
        raise NoSceneError(f"no scene of card {card} {days_in_words} is catalogued; add scenes with card2db first")
    extent = lake.footprint(parcels.aoi)
    covering = [row for row in rows if areas.is_seen(extent, row["footprint"])]
    if not covering:
        raise NoSceneError(
            f"none of the {len(rows)} scenes of card {card} {days_in_words} covers the parcels of {parcels.name}"
        )
    return covering


# -- what is missing ------------------------------------------------------------------------------------------------


def _drafts(
    lake: Lake,
    kind: cards.Card,
    rows: list[CataloguedScene],
    parcels: ParcelSet,
    asked: Asked,
) -> list[tuple[Job, dict[str, str]]]:
    """A job, still without rasters, and the hrefs by band, for every scene that is not done; again for every one."""
    key = {"card": kind.name, **parcels.params}
    extracted: list[LatestExtraction] = lake.query("extractions.done", **key).to_pylist()
    entries = {row["scene"]: row for row in extracted}
    causes: dict[str, set[str]] = {}
    for failure in lake.query("extractions.failures", **key).to_pylist():
        outcome = Outcome(failure["scene"], 0, failure["problem"])
        causes.setdefault(outcome.scene, set()).add(cause(outcome))
    changes = _Changes(lake, parcels)
    drafts = []
    for row in rows:
        entry = entries.get(
            row["id"], LatestExtraction(scene=row["id"], attempt=0, extraction=None, current=False, signatures=0)
        )
        scene = Scene(row["id"], row["obstime"], row["reference"], row["boa_offset"], row["revision"])
        extraction = entry["extraction"]
        bands = kind.check_bands((*asked.bands, *(entry["bands"] if extraction else ())))
        statistics = optional((*asked.statistics, *((entry["statistics"] or ()) if extraction else ())))
        job = Job(lake.url, kind.name, scene, parcels, bands, asked.rule, {}, after=entry["attempt"])
        job = replace(job, before=entry["signatures"], causes=tuple(sorted(causes.get(row["id"], ()))))
        job = replace(job, statistics=statistics)
        same = not asked.again and entry["current"] and entry["boa_offset"] in (None, scene.boa_offset)
        if same and extraction is not None and _is_covered(job, entry):
            if not changes.since(entry["versions"]) and (entry["cube"] or not asked.cube):
                continue
            if changes.few_since(entry["versions"]) and (entry["cube"] or not asked.cube):
                made_for = tuple(sorted(entry["versions"]))
                job = replace(job, base=Base(extraction, made_for, entry["started"], entry["pixels"]))
        drafts.append((job, {name: asset["href"] for name, asset in row["assets"].items() if asset and asset["href"]}))
    return drafts


def _is_covered(job: Job, entry: LatestExtraction) -> bool:
    """Whether an existing extraction of a scene covers what a job requests, by the same rule."""
    return (
        entry["rule"] == job.rule
        and set(job.bands) == set(entry["bands"])
        and set(job.statistics) == set(entry["statistics"] or ())
    )


class _Changes:
    """How many parcels have changed since versions of their set."""

    def __init__(self, lake: Lake, parcels: ParcelSet) -> None:
        self._lake, self._parcels = lake, parcels
        self._counted: dict[tuple[str, ...], int] = {}

    def since(self, versions: Iterable[str]) -> int:
        """How many are in none of those versions with their present geometry."""
        key = tuple(sorted(versions))
        if self._parcels.version in key:
            return 0
        if key not in self._counted:
            self._counted[key] = len(self._lake.changed(self._parcels, key))
        return self._counted[key]

    def few_since(self, versions: Iterable[str]) -> bool:
        """Whether few enough have changed to keep the existing signatures of the others."""
        return 2 * self.since(versions) <= self._count

    @cached_property
    def _count(self) -> int:
        return int(self._lake.read_parcels(self._parcels, ["id"]).num_rows)


# -- rasters --------------------------------------------------------------------------------------------------------


def _known_rasters(lake: Lake, drafts: list[tuple[Job, dict[str, str]]]) -> dict[str, Raster]:
    """The rasters, by href, whose headers the lake remembers."""
    hrefs = [href for _, assets in drafts for href in assets.values()]
    rows = lake.query("extractions.headers", hrefs=hrefs).to_pylist()
    return {row["href"]: Raster.from_json(row["header"]) for row in rows}


def _inspect(
    kind: cards.Card, drafts: list[tuple[Job, dict[str, str]]], remembered: dict[str, Raster], progress: Progress | None
) -> tuple[list[Job], list[tuple[Job, Outcome]]]:
    """Give every job its rasters: headers that are not known are read, many at a time."""

    def complete(draft: tuple[Job, dict[str, str]]) -> Job | Outcome:
        job, assets = draft
        missing = [name for name in job.bands if name not in assets]
        if missing:
            reason = f"scene {job.scene.id} has no asset {', '.join(missing)}; ask for other bands"
            if not assets:  # a scene of another database's table, of which only statistics were migrated
                reason = f"scene {job.scene.id} has no rasters; catalogue it with card2db to extract it"
            return Outcome(job.scene.id, 0, reason)
        names = [name for name in (*job.bands, kind.class_band) if name in assets]
        try:
            rasters = {name: Raster.current(assets[name], remembered.get(assets[name])) for name in names}
            return replace(job, rasters={name: _of_band(raster, kind, name, job) for name, raster in rasters.items()})
        except LakeError as error:
            return Outcome(job.scene.id, 0, str(error))

    jobs, failed = [], []
    with ThreadPoolExecutor(_READERS) as pool:
        for number, (draft, result) in enumerate(zip(drafts, pool.map(complete, drafts), strict=True), 1):
            if isinstance(result, Job):
                jobs.append(result)
            else:
                failed.append((draft[0], result))
            if progress:
                progress(number, len(drafts))
    return jobs, failed


def _of_same_pixels(lake: Lake, jobs: list[Job]) -> list[Job]:
    """The jobs, for all parcels where a raster has changed since: else a scene would mix pixels of two files."""
    undigested = [job for job in jobs if job.base and job.base.pixels is None]
    hrefs = [raster.href for job in undigested for raster in job.rasters.values()]
    history: dict[str, list[tuple[datetime, str]]] = {}
    for row in lake.query("extractions.stamps", hrefs=hrefs).to_pylist() if hrefs else []:
        history.setdefault(row["href"], []).append((row["seen"], row["stamp"]))

    def has_changed(raster: Raster, since: datetime) -> bool:
        stamps = [stamp for timestamp, stamp in history.get(raster.href, []) if timestamp <= since]
        first = [stamp for _, stamp in history.get(raster.href, [])[:1]]  # clocks of workers may be slow
        return (stamps or first or [raster.stamp])[-1] != raster.stamp

    def is_another(job: Job, base: Base) -> bool:
        if base.pixels is not None:
            return base.pixels != job.pixels
        return any(has_changed(raster, base.started) for raster in job.rasters.values())

    return [replace(job, base=None) if job.base and is_another(job, job.base) else job for job in jobs]


def _of_band(raster: Raster, kind: cards.Card, name: str, job: Job) -> Raster:
    """The raster in the unit of the card, on a grid that the card may have."""
    transform = raster.grid.transform
    encoding.check_pixel(kind, name, stores.redacted(raster.href), raster.grid.epsg, (transform.a, -transform.e))
    return raster.encoded(kind, name, job.scene.boa_offset)


def _prepare(
    lake: Lake, card: str, parcels: ParcelSet, jobs: list[Job], remembered: dict[str, Raster], *, cube: bool
) -> list[Job]:
    """Make what the jobs need: tables, pixel indexes, and places in the cubes, which the jobs then know."""
    lake.prepare(card, optional(name for job in jobs for name in job.statistics))
    rasters = {raster.href: raster for job in jobs for raster in job.rasters.values()}
    headers = {href: replace(raster, encoding=None).to_json() for href, raster in rasters.items()}
    before = {href: raster.to_json() for href, raster in remembered.items()}
    lake.remember_rasters({href: header for href, header in headers.items() if before.get(href) != header})
    _index_grids(lake, parcels, {raster.grid for raster in rasters.values()})
    return _reserve(lake, card, jobs) if cube else jobs


def _index_grids(lake: Lake, parcels: ParcelSet, grids: set[Grid]) -> None:
    """Build the pixel index of every grid that has none in the lake, or one of version 0.1, which knows no `whole`."""
    for grid in sorted(grids, key=lambda grid: grid.name):
        stored = lake.index(parcels, grid.name)
        if stored is None or "whole" not in stored.column_names:
            log.info("indexing the pixels of parcels %s on grid %s", parcels.name, grid.name)
            shapes = geometries(lake, parcels, grid.epsg)
            index = zonal.build_index(shapes, grid.transform, grid.shape)
            index = replace(index, whole=zonal.count_whole(shapes, index))
            lake.write_index(parcels, grid.name, index.to_table())


def _reserve(lake: Lake, card: str, jobs: list[Job]) -> list[Job]:
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
