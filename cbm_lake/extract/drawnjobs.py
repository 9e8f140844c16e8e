"""Jobs of the statistics of polygons that no parcel set has: one for each scene, over parts of its rasters.

The rasters are cut to the polygons and a margin, so that what is read, decoded and masked is what they touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np
import shapely

from cbm_lake import cards
from cbm_lake.cards import indices as pixel_indices
from cbm_lake.cards.pixelrule import PixelRule, checked_buffer, checked_method
from cbm_lake.cards.statistics import optional
from cbm_lake.errors import InvalidInputError, LakeError, SourceError
from cbm_lake.extract import jobparcels, planning
from cbm_lake.extract.drawn import DrawnSet
from cbm_lake.extract.jobs import CataloguedScene, Job, Outcome, Scene
from cbm_lake.extract.masks import Mask
from cbm_lake.geo import areas
from cbm_lake.lake import Lake
from cbm_lake.rasters import Grid, Raster, Window
from cbm_lake.rasters.parts import RasterPart, StoredPixels
from cbm_lake.storage.store import Store

MOST_PIXELS: Final = 4_000_000
"""Of the finest band in the box round all polygons: 20 x 20 km of 10 m."""
_MARGIN: Final = 2
"""Pixels of the coarsest band that are read on all sides of the polygons, besides those by which clouds are grown."""
Slots: TypeAlias = dict[tuple[str, str, int], StoredPixels]
"""By grid, scene and offset."""


@dataclass(frozen=True)
class Recipe:
    """How polygons are extracted; the defaults are those of `extract`."""

    bands: tuple[str, ...]
    rule: PixelRule = field(default_factory=PixelRule)
    statistics: tuple[str, ...] = ()
    """Beside those that every signature has."""
    indices: tuple[str, ...] = ()
    mask: Mask | None = None
    """What is left out of rows of clear pixels alone; None is no such rows."""

    @classmethod
    def of(
        cls,
        card: cards.Card,
        *,
        bands: Iterable[str] | None = None,
        rule: str = "centre",
        inner_buffer: float = 0.0,
        statistics: str | Iterable[str] = (),
        indices: str | Iterable[str] = (),
        clear: bool = True,
    ) -> Recipe:
        """The validated recipe from a caller's arguments; see `extract`.

        Raises:
            InvalidInputError: unknown band, rule, statistic or index, or a buffer that cannot be.
        """
        checked_method(rule)
        of_pixels = pixel_indices.check(indices, card)
        asked = card.check_bands(tuple(bands) if bands is not None else card.default_bands)
        asked = card.check_bands((*asked, *pixel_indices.bands_of(of_pixels, card)))
        mask = Mask.of(card, clear=clear, dilate=0, mask=None)
        return cls(asked, PixelRule(rule, checked_buffer(inner_buffer)), optional(statistics), of_pixels, mask)


def of_scenes(
    lake: Lake, card: cards.Card, polygons: DrawnSet, selection: Sequence[tuple[CataloguedScene, Recipe]]
) -> tuple[list[Job], list[Outcome]]:
    """A job for each scene whose rasters meet the polygons, and the scenes that cannot have one."""
    headers = _headers(lake, card, selection)
    slots = _slots(lake, card)
    windows: dict[tuple[frozenset[Grid], float], dict[Grid, Window] | None] = {}
    jobs, failed = [], []
    for row, recipe in selection:
        job = _job(lake, card, polygons, row, recipe)
        try:
            rasters = _rasters(job, row, headers)
        except LakeError as error:
            failed.append(Outcome(row["id"], 0, str(error)))
            continue
        grids = frozenset(raster.grid for raster in rasters.values())
        room = room_of(job, grids)
        if (grids, room) not in windows:
            windows[grids, room] = _windows(lake, polygons, grids, room)
        around = windows[grids, room]
        if around is not None:
            jobs.append(replace(job, rasters=_parts(rasters, around, slots, job)))
    return jobs, failed


def _job(lake: Lake, card: cards.Card, polygons: DrawnSet, row: CataloguedScene, recipe: Recipe) -> Job:
    about = Scene(row["id"], row["obstime"], row["reference"], row["boa_offset"], row["revision"])
    job = Job(lake.url, card.name, about, polygons, recipe.bands, recipe.rule.method, {})
    job = replace(job, statistics=recipe.statistics, inner_buffer=recipe.rule.inner_buffer, indices=recipe.indices)
    return replace(job, moved=recipe.rule.moved, mask=recipe.mask)


def _headers(lake: Lake, card: cards.Card, selection: Sequence[tuple[CataloguedScene, Recipe]]) -> dict[str, Raster]:
    """The headers that the lake remembers, by href."""
    hrefs = [href for row, recipe in selection for href in planning.used(card, recipe.bands, row).values()]
    rows = lake.query("extractions.headers", hrefs=hrefs).to_pylist() if hrefs else []
    return {row["href"]: Raster.from_json(row["header"]) for row in rows}


def _rasters(job: Job, row: CataloguedScene, headers: dict[str, Raster]) -> dict[str, Raster]:
    """The rasters of a job's bands and classification.

    Raises:
        SourceError: the scene lacks a band, or its header cannot be read.
    """
    card = cards.get(job.card)
    hrefs = planning.used(card, job.bands, row)
    missing = [name for name in job.bands if name not in hrefs]
    if missing:
        raise SourceError(f"scene {job.scene.id} has no asset {', '.join(missing)}")
    rasters = {name: headers.get(href) or Raster.current(href) for name, href in hrefs.items()}
    if len({raster.grid.epsg for raster in rasters.values()}) > 1:
        raise SourceError(f"the bands of scene {job.scene.id} are in several coordinate systems")
    return {name: planning.of_band(raster, card, name, job) for name, raster in rasters.items()}


def _slots(lake: Lake, card: cards.Card) -> Slots:
    """Where the cubes have scenes."""
    rows = lake.query("cube.slots", card=card.name, grid=None, aoi=None, year=None).to_pylist()
    urls = {row["grid"]: lake.cube_url(card.name, row["grid"]) for row in rows}
    cubes = {grid: StoredPixels(url, 0, Store(url)) for grid, url in urls.items()}
    return {
        (row["grid"], row["scene"], row["boa_offset"]): replace(cubes[row["grid"]], slot=row["slot"]) for row in rows
    }


def room_of(job: Job, grids: Iterable[Grid]) -> float:
    """The width, in units of the grids, of the margin round the polygons from which pixels can matter."""
    pixel = max(max(grid.transform.a, -grid.transform.e) for grid in grids)
    grown = job.mask.dilate if job.mask else 0
    return (_MARGIN + grown) * pixel + max(map(abs, job.moved))


def _windows(lake: Lake, polygons: DrawnSet, grids: frozenset[Grid], room: float) -> dict[Grid, Window] | None:
    """What a scene's grids show of the polygons and the margin round them; None where that is nothing."""
    coarsest = max(grids, key=lambda grid: (grid.pixel_area, grid.name))
    shapes = jobparcels.geometries(lake, polygons, coarsest.epsg)
    west, south, east, north = shapely.total_bounds(shapely.box(*shapely.total_bounds(shapes)).buffer(room))
    windows: dict[Grid, Window] = {}
    for grid in sorted(grids, key=lambda grid: (-grid.pixel_area, grid.name)):
        window = _window(grid, (west, south, east, north))
        if window is None:
            return None
        if window.height * window.width > MOST_PIXELS:
            raise InvalidInputError(
                f"the box round the polygon has {window.height:,} x {window.width:,} pixels of {grid.transform.a:g} m, "
                f"more than {MOST_PIXELS:,}; draw a smaller one, or load it as a parcel and extract it"
            )
        windows[grid] = window
        if grid == coarsest:  # finer windows hold all of its pixels, whole
            west, south, east, north = _bounds(grid, window)
    return windows


def _window(grid: Grid, bounds: areas.Bounds) -> Window | None:
    (left, top), (right, bottom) = ~grid.transform * (bounds[0], bounds[3]), ~grid.transform * (bounds[2], bounds[1])
    sides = np.array([[top, bottom], [left, right]])
    near = np.rint(sides)
    sides = np.where(np.abs(sides - near) < 1e-6, near, np.stack([np.floor(sides[:, 0]), np.ceil(sides[:, 1])], axis=1))
    (row, end), (col, stop) = np.clip(sides, 0, np.array(grid.shape)[:, None]).astype(int).tolist()
    return Window(row, col, end - row, stop - col) if end > row and stop > col else None


def _bounds(grid: Grid, window: Window) -> areas.Bounds:
    west, north = grid.transform * (window.col, window.row)
    east, south = grid.transform * (window.col + window.width, window.row + window.height)
    return west, south, east, north


def _parts(rasters: dict[str, Raster], around: dict[Grid, Window], slots: Slots, job: Job) -> dict[str, Raster]:
    stored = partial(_stored, slots, job)
    return {name: RasterPart.of(raster, around[raster.grid], stored(raster)) for name, raster in rasters.items()}


def _stored(slots: Slots, job: Job, raster: Raster) -> StoredPixels | None:
    return slots.get((raster.grid.name, job.scene.id, job.scene.boa_offset))
