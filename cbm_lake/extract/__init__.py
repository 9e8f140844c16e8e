"""Extraction: plan scenes over a parcel set, compute the statistics of every parcel on Dask, record the outcomes.

    scenes and parcels ─ plan ─► jobs ─ extract_scene (one per scene, anywhere) ─► cube, signatures, ledger

A job is small and self-contained, so it can run in this process, in a local cluster or on any Dask scheduler; it writes
its scene in one commit, and only its outcome is sent back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from typing import TypedDict, Unpack

from cbm_lake import cards
from cbm_lake.extract.causes import as_before
from cbm_lake.extract.clusters import MOST_WORKERS, PATIENCE, Scheduler
from cbm_lake.extract.jobs import Extracted, Job, Outcome, Plan
from cbm_lake.extract.planning import plan
from cbm_lake.extract.running import run
from cbm_lake.extract.scene import extract_scene
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.progress import Wish

log = logging.getLogger(__name__)

__all__ = [
    "MOST_WORKERS",
    "Extracted",
    "Job",
    "Outcome",
    "Plan",
    "bs",
    "c6",
    "extract",
    "extract_scene",
    "plan",
    "run",
    "s2",
]


class Options(TypedDict, total=False):
    """Options of `extract` besides card, days and parcel set."""

    bands: Iterable[str] | None
    cube: bool
    rule: str
    inner_buffer: float
    statistics: str | Iterable[str]
    indices: str | Iterable[str]
    shifted: bool
    again: bool
    clear: bool
    dilate: int
    mask: str | None
    workers: int | None
    scheduler: Scheduler
    patience: float
    lake: Lake | None
    progress: Wish


def s2(
    start: date | str, end: date | str, *, aoi: str, year: int, ptype: str | None = None, **options: Unpack[Options]
) -> Extracted:
    """Extract Sentinel-2: statistics of the bands and counts of the scene classes; see `extract`."""
    return extract("s2", start, end, aoi=aoi, year=year, ptype=ptype, **options)


def bs(
    start: date | str, end: date | str, *, aoi: str, year: int, ptype: str | None = None, **options: Unpack[Options]
) -> Extracted:
    """Extract Sentinel-1 backscatter: statistics of linear power; see `extract`."""
    return extract("bs", start, end, aoi=aoi, year=year, ptype=ptype, **options)


def c6(
    start: date | str, end: date | str, *, aoi: str, year: int, ptype: str | None = None, **options: Unpack[Options]
) -> Extracted:
    """Extract Sentinel-1 six-day coherence; see `extract`."""
    return extract("c6", start, end, aoi=aoi, year=year, ptype=ptype, **options)


def __getattr__(name: str) -> Callable[..., Extracted]:
    """The function of any other card, such as `extract.ls`."""
    if name not in cards.CARDS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return partial(extract, name)


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
    inner_buffer: float = 0,
    statistics: str | Iterable[str] = (),
    indices: str | Iterable[str] = (),
    shifted: bool = False,
    again: bool = False,
    clear: bool = True,
    dilate: int = 0,
    mask: str | None = None,
    workers: int | None = None,
    scheduler: Scheduler = None,
    patience: float = PATIENCE,
    lake: Lake | None = None,
    progress: Wish = "auto",
) -> Extracted:
    """Compute the statistics of every parcel in every scene from `start` to `end` (inclusive) that is not done yet.

    Args:
        card: s2, bs, c6, …, see `cards.CARDS`.
        start: first day.
        end: last day.
        aoi: area of the parcel set.
        year: year of the parcel set.
        ptype: which parcel set; None is the main one.
        bands: any 10 m or 20 m bands; None means the card's usual ones. The classification always comes along.
        cube: also store the pixels around the parcels in the cube, for chips and for extracting again.
        statistics: names of `cbm_lake.cards.STATISTICS`, such as p10, p90 and valid_share, beside the eight that every
            signature has (count, mean, std, min, max, p25, p50, p75); the tables of the card get columns for them,
            which are null in all rows that were extracted without. What a scene has stays: it is extracted again with
            what is new.
        indices: names of `cbm_lake.cards.INDICES`, such as ndvi and ndmi, whose statistics are also computed of the
            index of each pixel, as columns NDVI_count, NDVI_mean, …, NDVI_p75 (dimensionless). Their bands come along.
            Pixels are harmonised first; one has no index where a band has no data or the denominator is not positive.
            Where bands have pixels of several sizes, the smaller ones are averaged to the largest. What a scene has
            stays.
        shifted: whether parcels are moved by the shift of each scene that `guard.shifts` called shifted (s2 only),
            rounded to half a metre. It is part of the rule: a row says "centre, moved +5.0 -1.5 m" (east, north), and
            scenes that were extracted otherwise are extracted again.
        again: also what is done: signatures take the place of those that are there, say since a file of them was lost.
            Pixels that the cube has come from the cube; with cube=False all are read from the scenes.
        clear: also signatures of the clear pixels alone of partly clouded parcels, as further rows, whose `mask` says
            what was left out: pixels in the card's screened classes (SCL 3, 8, 9, 10, 11) and those of no class, on the
            grid of each band. Only where that changes a number and at least 8 clear pixels remain. `observations`
            counts a look by them where enough of the parcel is clear. What was extracted before there were any stays.
        dilate: by how many pixels of the classification clouds are grown to all sides first.
        mask: a further mask and which of its values hide the ground: "cloud_probability > 40", "cloud_mask != 0",
            "/data/masks = 1,3". Its name is that of an asset of the scenes' items, of a raster in their product
            folders, or of a folder with a raster for each scene, whose name contains that of the scene or product.
            What it does not know (no data, beside it) counts as masked. A scene without one fails. What was extracted
            with another mask is extracted again.
        rule: "centre" (as rasterstats) or "coverage" (weighted by the covered part; needs the extra `exact`).
        inner_buffer: width in metres, 0 to 100, of a margin inside the parcels' boundaries, and round their holes,
            whose pixels do not count. It is part of the rule: a row says "centre, 5 m inside", and what was extracted
            by another rule is extracted again. A parcel of which fewer than 8 pixels would be left, on the grid of the
            finest bands, or none on another grid, counts as a whole: "centre, too small for 5 m inside".
        workers: processes on this machine, 256 at most; None is one per core as far as free memory goes, 0 is this
            process itself. Where memory might not be enough for that, 0 is one process beside it, so that a scene that
            runs out of memory costs itself only.
        scheduler: address of a running Dask scheduler (tcp://host:8786), a client of one, or a cluster object, to use
            instead.
        patience: seconds to wait for that scheduler to get workers; more where they queue for a machine.
        lake: the lake; None is the workspace's.
        progress: called after each scene with how many are done and how many there are, and where it takes three
            arguments the scene; "auto" is a bar in a notebook or on a terminal, None is nothing.

    Raises:
        InvalidInputError: unknown card, band, rule, statistic or index, an inner buffer that cannot be, or dates
            reversed.
        NotFoundError: no such parcels, or no scene covers them in that time.
        SourceError: some scenes failed; all others are done, and the next run tries those again. Scenes that only fail
            as they did at an earlier run, of the same cause, are one warning and `still_failing` of the result.
    """
    lake = lake_or_default(lake)
    todo = plan(
        card,
        start,
        end,
        aoi=aoi,
        year=year,
        ptype=ptype,
        bands=bands,
        cube=cube,
        rule=rule,
        inner_buffer=inner_buffer,
        statistics=statistics,
        indices=indices,
        shifted=shifted,
        again=again,
        clear=clear,
        dilate=dilate,
        mask=mask,
        lake=lake,
    )
    done = run(todo, workers=workers, scheduler=scheduler, patience=patience, progress=progress)
    if done.still_failing:
        log.warning("%s", as_before(done.still_failing))
    if done.too_small:
        log.warning("%s", done.too_small)
    return done
