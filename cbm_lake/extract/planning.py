"""Planning of an extraction: the scenes to do, their raster headers, pixel indexes, and slots in the cubes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import TypeAlias

from cbm_lake import cards
from cbm_lake.cards import indices as pixel_indices
from cbm_lake.cards.maskrule import MaskRule
from cbm_lake.cards.pixelrule import checked_buffer, checked_method
from cbm_lake.cards.statistics import optional
from cbm_lake.errors import InvalidInputError, LakeError, NoSceneError
from cbm_lake.extract import jobparcels, shifting
from cbm_lake.extract.causes import cause
from cbm_lake.extract.jobs import (
    Base,
    CataloguedScene,
    Job,
    LatestExtraction,
    Outcome,
    Plan,
    Progress,
    Scene,
)
from cbm_lake.extract.masks import Catalogued, Mask
from cbm_lake.extract.replacing import Content, remasked, rewritten
from cbm_lake.extract.reserving import reserve
from cbm_lake.extract.scene import record
from cbm_lake.files.dates import day_of
from cbm_lake.geo import areas
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.rasters import Raster, encoding
from cbm_lake.storage import stores

log = logging.getLogger(__name__)


Draft: TypeAlias = tuple[Job, CataloguedScene]
"""A job that has no rasters yet, and the catalogue entry of its scene."""
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
    inner_buffer: float = 0.0
    """Width in metres of the margin inside parcels whose pixels do not count."""
    indices: tuple[str, ...] = ()
    """Indices that are computed pixel by pixel."""
    shifted: bool = False
    """Whether parcels are moved with the scenes' shifts."""
    mask: Mask | None = None
    """What is left out of signatures of clear pixels alone."""


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
    inner_buffer: float = 0,
    statistics: str | Iterable[str] = (),
    indices: str | Iterable[str] = (),
    shifted: bool = False,
    again: bool = False,
    clear: bool = True,
    dilate: int = 0,
    mask: str | None = None,
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
    of_pixels = pixel_indices.check(indices, kind)
    checked = kind.check_bands(_names(bands) if bands is not None else kind.default_bands)
    checked = kind.check_bands((*checked, *pixel_indices.bands_of(of_pixels, kind)))
    checked_method(rule)
    masked = Mask.of(kind, clear=clear, dilate=dilate, mask=mask)
    margin = checked_buffer(inner_buffer)
    first, last = days(start, end)
    parcels = lake.parcel_set(aoi, year, ptype)
    rows = _covering_scenes(lake, kind.name, first, last, parcels)
    asked = Asked(checked, rule, optional(statistics), cube, again, margin, of_pixels, shifted, masked)
    drafts = _drafts(lake, kind, rows, parcels, asked)
    remembered = {} if again else _known_rasters(lake, drafts)
    jobs, failed = _inspect(kind, drafts, remembered, progress)
    jobs = _of_same_pixels(lake, jobs)
    if not dry:
        jobs = _prepare(lake, kind.name, parcels, jobs, remembered, cube=cube)
        failed = [(job, record(job, datetime.now(UTC), outcome)) for job, outcome in failed]
    count = lake.read_parcels(parcels, ["id"]).num_rows
    outcomes = tuple(outcome for _, outcome in failed)
    small = None if dry else jobparcels.count_too_small(jobs, count)
    return Plan(kind.name, parcels, count, tuple(jobs), len(rows) - len(drafts), outcomes, lake.url, small)


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
) -> list[Draft]:
    """A job, still without rasters, and its catalogue entry, for every scene that is not done; again for every one."""
    key = {"card": kind.name, **parcels.params}
    extracted: list[LatestExtraction] = lake.query("extractions.done", **key).to_pylist()
    entries = {row["scene"]: row for row in extracted}
    causes: dict[str, set[str]] = {}
    for failure in lake.query("extractions.failures", **key).to_pylist():
        outcome = Outcome(failure["scene"], 0, failure["problem"])
        causes.setdefault(outcome.scene, set()).add(cause(outcome))
    changes = _Changes(lake, parcels)
    shifts = shifting.measured(lake, kind, parcels) if asked.shifted else {}
    stale = _remasked(rows, entries, asked.mask) | _rewritten(kind, rows, entries)
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
        indices = pixel_indices.check((*asked.indices, *((entry["indices"] or ()) if extraction else ())), kind)
        job = replace(job, statistics=statistics, inner_buffer=asked.inner_buffer, indices=indices, mask=asked.mask)
        job = replace(job, moved=shifts.get(scene.id, job.moved))
        same = not asked.again and entry["current"] and entry["boa_offset"] in (None, scene.boa_offset)
        if same and extraction is not None and _is_covered(job, entry) and row["id"] not in stale:
            if not changes.since(entry["versions"]) and (entry["cube"] or not asked.cube):
                continue
            if changes.few_since(entry["versions"]) and (entry["cube"] or not asked.cube):
                made_for = tuple(sorted(entry["versions"]))
                job = replace(job, base=Base(extraction, made_for, entry["started"], entry["pixels"]))
        drafts.append((job, row))
    return drafts


def _is_covered(job: Job, entry: LatestExtraction) -> bool:
    """Whether an existing extraction of a scene covers what a job requests, by the same rule."""
    return (
        entry["rule"] == str(job.pixel_rule)
        and set(job.bands) == set(entry["bands"])
        and set(job.statistics) == set(entry["statistics"] or ())
        and set(job.indices) == set(entry["indices"] or ())
        and _has_mask(entry, job.mask)
    )


def _has_mask(entry: LatestExtraction, mask: Mask | None) -> bool:
    """Whether an existing extraction has the clear pixels that are asked for.

    The usual ones are not asked of what was extracted before there were any: a season would be extracted again.
    """
    return mask is None or entry["mask"] == str(mask) or (entry["mask"] is None and mask.is_usual)


def _remasked(
    rows: Iterable[CataloguedScene], entries: Mapping[str, LatestExtraction], mask: Mask | None
) -> frozenset[str]:
    """The scenes whose mask is another file than the one that they were extracted with."""
    stamps = {name: entry["mask_stamp"] for name, entry in entries.items() if entry.get("mask_stamp")}
    return remasked([catalogued(row) for row in rows if row["id"] in stamps], stamps, mask)


def _rewritten(
    kind: cards.Card, rows: Iterable[CataloguedScene], entries: Mapping[str, LatestExtraction]
) -> frozenset[str]:
    """The scenes whose rasters are other files than those that they were extracted from."""
    files, extracted = {}, {}
    for row in rows:
        entry = entries.get(row["id"])
        if entry and entry["current"] and entry["pixels"] and _is_stamped(entry):
            extracted[row["id"]] = Content(entry["pixels"], entry["mask_stamp"])
            files[row["id"]] = used(kind, entry["bands"], row)
    return rewritten(files, extracted)


def _is_stamped(entry: LatestExtraction) -> bool:
    """Whether the content of all files of an extraction was recorded: not that of a mask before masks had stamps."""
    mask = entry["mask"]
    return not mask or MaskRule.parse(mask).other is None or entry["mask_stamp"] is not None


def used(kind: cards.Card, bands: Iterable[str], row: CataloguedScene) -> dict[str, str]:
    """The hrefs of the rasters of a scene that an extraction of bands reads."""
    hrefs = _hrefs(row)
    names = [*bands, *([kind.class_band] if kind.class_band else [])]
    return {name: hrefs[name] for name in names if name in hrefs}


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


def _hrefs(row: CataloguedScene) -> dict[str, str]:
    """The hrefs of a scene's rasters by band."""
    return {name: asset["href"] for name, asset in row["assets"].items() if asset and asset["href"]}


def _known_rasters(lake: Lake, drafts: list[Draft]) -> dict[str, Raster]:
    """The rasters, by href, whose headers the lake remembers."""
    hrefs = [href for _, row in drafts for href in _hrefs(row).values()]
    rows = lake.query("extractions.headers", hrefs=hrefs).to_pylist()
    return {row["href"]: Raster.from_json(row["header"]) for row in rows}


def _inspect(
    kind: cards.Card, drafts: list[Draft], remembered: dict[str, Raster], progress: Progress | None
) -> tuple[list[Job], list[tuple[Job, Outcome]]]:
    """Give every job its rasters: headers that are not known are read, many at a time."""

    def complete(draft: Draft) -> Job | Outcome:
        job, assets = draft[0], _hrefs(draft[1])
        missing = [name for name in job.bands if name not in assets]
        if missing:
            reason = f"scene {job.scene.id} has no asset {', '.join(missing)}; ask for other bands"
            if not assets:  # a scene of another database's table, of which only statistics were migrated
                reason = f"scene {job.scene.id} has no rasters; catalogue it with card2db to extract it"
            return Outcome(job.scene.id, 0, reason)
        try:
            hrefs = used(kind, job.bands, draft[1])
            rasters = {name: Raster.current(href, remembered.get(href)) for name, href in hrefs.items()}
            job = replace(job, mask=job.mask and job.mask.with_raster(catalogued(draft[1])))
            return replace(job, rasters={name: of_band(raster, kind, name, job) for name, raster in rasters.items()})
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


def catalogued(row: CataloguedScene) -> Catalogued:
    """What the catalogue has of a scene by which its mask is located."""
    return Catalogued(row["id"], row["reference"], row["source"], tuple(row["links"] or ()), row["assets"])


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


def of_band(raster: Raster, kind: cards.Card, name: str, job: Job) -> Raster:
    """The raster in the unit of the card, on a grid that the card may have."""
    transform = raster.grid.transform
    encoding.check_pixel(kind, name, stores.redacted(raster.href), raster.grid.epsg, (transform.a, -transform.e))
    return raster.encoded(kind, name, job.scene.boa_offset)


def _prepare(
    lake: Lake, card: str, parcels: ParcelSet, jobs: list[Job], remembered: dict[str, Raster], *, cube: bool
) -> list[Job]:
    """Make what the jobs need: tables, pixel indexes, and places in the cubes, which the jobs then know."""
    lake.prepare(card, optional(name for job in jobs for name in job.statistics), _indices_of(card, jobs))
    rasters = {raster.href: raster for job in jobs for raster in job.rasters.values()}
    headers = {href: replace(raster, encoding=None).to_json() for href, raster in rasters.items()}
    before = {href: raster.to_json() for href, raster in remembered.items()}
    lake.remember_rasters({href: header for href, header in headers.items() if before.get(href) != header})
    for moved in sorted({job.moved for job in jobs}):
        grids = {raster.grid for job in jobs if job.moved == moved for raster in job.rasters.values()}
        for margin in sorted({0.0, *(job.inner_buffer for job in jobs)}):
            jobparcels.index_grids(lake, parcels, grids, margin, moved)
    return reserve(lake, card, jobs) if cube else jobs


def _indices_of(card: str, jobs: list[Job]) -> tuple[str, ...]:
    return pixel_indices.check([name for job in jobs for name in job.indices], cards.get(card))
