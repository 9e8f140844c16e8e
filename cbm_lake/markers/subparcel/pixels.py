"""NDVI of the pixels inside parcels on all dates, out of the cubes of Sentinel-2: block by block, parcels in batches.

A pixel counts where its centre is inside the parcel by a margin, so that it is not mixed with what lies beyond, and on
the dates on which neither it nor, by the margin of `dilate`, its surroundings are in a screened scene class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import shapely
from scipy.ndimage import binary_dilation

from cbm_lake import cards
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.geo.windows import Window
from cbm_lake.lake import Lake
from cbm_lake.markers.parameters import EPOCH, Parameters
from cbm_lake.rasters import Grid
from cbm_lake.rasters.datasets import CountingCube, cubes_of
from cbm_lake.rasters.selection import Choice
from cbm_lake.zonal import SpanIndex, build_index

if TYPE_CHECKING:
    import xarray as xr

Values = npt.NDArray[np.float32]
Shapes = npt.NDArray[np.object_]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CARD: Final = "s2"
RED, NEAR_INFRARED = "B04", "B08"
_BLOCK: Final = 512
_DATES: Final = 8
"""Dates whose pixels of a block are in memory at once."""
_READERS: Final = 2
_METRES: Final = 5120
"""Height of the bands of parcels in the order of which they are read, so that batches share blocks."""


@dataclass(frozen=True, eq=False)
class View:
    """One grid of the cube with NDVI, and its scenes in the order of time."""

    grid: Grid
    scenes: xr.Dataset
    """Stored DN of the two bands, and the offset along time."""
    classes: xr.Dataset | None
    """Scene classes of the same scenes, perhaps on a coarser grid; None where there are none."""
    transform: tuple[float, ...]
    """Of the grid of the classes."""
    day: Ints
    """Days since 1970-01-01, UTC, of each scene."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Some parcels and their pixels on one grid."""

    parcels: Ints
    """Their numbers."""
    view: View
    offsets: Ints
    """Where the pixels of each parcel begin."""
    row: npt.NDArray[np.int32]
    col: npt.NDArray[np.int32]
    ndvi: Values
    """(scenes, pixels), NaN where not clear."""


def views(lake: Lake, aoi: str, year: int, parameters: Parameters) -> list[View]:
    """The grids on which NDVI can be computed, that with the most scenes first.

    Raises:
        SourceError: a cube is damaged.
    """
    first, last = (EPOCH + timedelta(days=day) for day in days(year, parameters))
    choice = Choice.of(CARD, aoi, year, start=first, end=last)
    cubes = cubes_of(lake, choice)
    measured = [cube for cube in cubes if {RED, NEAR_INFRARED} <= set(cube.bands)]
    views = [_view(cube, cubes, choice) for cube in measured]
    return sorted(views, key=lambda view: (-len(view.day), view.grid.name))


def days(year: int, parameters: Parameters) -> tuple[int, int]:
    """First and last day on which mowing or ploughing is looked for."""
    seasons = parameters.mowing.season.days(year), parameters.work.season.days(year)
    return min(first for first, _ in seasons), max(last for _, last in seasons)


def are_inside(shapes: Shapes, epsg: int, view: View) -> Flags:
    """Which parcels a grid holds whole.

    Args:
        shapes: geometries of parcels.
        epsg: their coordinate system.
        view: the grid.
    """
    west, south, east, north = view.grid.bounds
    box = shapely.bounds(reprojected(shapes, epsg, view.grid.epsg))
    return np.asarray((box[:, 0] >= west) & (box[:, 1] >= south) & (box[:, 2] <= east) & (box[:, 3] <= north))


def batches(shapes: Shapes, epsg: int, view: View, parameters: Parameters, numbers: Ints, most: int) -> Iterator[Batch]:
    """The pixels of parcels on a grid, in batches from the north.

    Args:
        shapes: geometries of all parcels.
        epsg: their coordinate system.
        view: the grid.
        parameters: how far inside pixels count, and what is clear.
        numbers: numbers of the parcels, which the grid holds whole.
        most: pixels times dates of a batch, unless a parcel alone has more.
    """
    if not len(numbers):
        return
    moved = np.asarray(reprojected(shapes[numbers], epsg, view.grid.epsg))
    order = _by_place(moved)
    moved, numbers = moved[order], numbers[order]
    area = abs(view.grid.transform.a * view.grid.transform.e) / max(len(view.day), 1)
    number = np.cumsum(shapely.area(moved) / area) // most
    for some in np.split(np.arange(len(numbers)), np.flatnonzero(np.diff(number)) + 1):
        core = shapely.buffer(moved[some], -parameters.parts.inside)
        yield _batch(numbers[some], build_index(core, view.grid.transform, view.grid.shape), view, parameters)


def _by_place(shapes: Shapes) -> Ints:
    """The order of parcels in bands from the north, each from the west."""
    west, _, _, north = shapely.bounds(shapes).T
    return np.lexsort((west, -(np.nan_to_num(north) // _METRES)))


def _view(cube: CountingCube, cubes: Sequence[CountingCube], choice: Choice) -> View:
    scenes = cube.open(replace(choice, bands=(RED, NEAR_INFRARED)))
    band = cards.get(CARD).class_band
    classified = [other for other in cubes if band in other.bands and other.grid.epsg == cube.grid.epsg]
    fitting = [other for other in classified if _covers(other.grid, cube.grid)]
    day = (scenes["time"].to_numpy().astype("datetime64[D]") - np.datetime64(EPOCH)).astype(np.int64)
    if not fitting or band is None:
        return View(cube.grid, scenes, None, (), day)
    finest = min(fitting, key=lambda other: (other.grid.transform.a, other.name))
    classes = finest.open(replace(choice, bands=(band,)))
    return View(cube.grid, scenes, classes, tuple(finest.grid.transform)[:6], day)


def _covers(coarse: Grid, fine: Grid) -> bool:
    """Whether a grid covers another, but for less than a pixel of its own."""
    size = coarse.transform.a
    (left, bottom, right, top), (west, south, east, north) = coarse.bounds, fine.bounds
    return left <= west + size and bottom <= south + size and right >= east - size and top >= north - size


def _batch(parcels: Ints, index: SpanIndex, view: View, parameters: Parameters) -> Batch:
    row = np.repeat(index.row, index.length)
    starts = np.cumsum(index.length) - index.length
    col = np.arange(index.pixel_count) - np.repeat(starts - index.col, index.length)
    ndvi = np.full((len(view.day), index.pixel_count), np.nan, np.float32)
    plan = index.blocks((_BLOCK, _BLOCK))
    for number, block in enumerate(plan):
        for first in range(0, len(view.day), _DATES):
            dates = slice(first, min(first + _DATES, len(view.day)))
            for pool, values in zip(ndvi[dates], _read(view, block, dates, parameters), strict=True):
                plan.gather(values, number, pool)
    return Batch(parcels, view, index.pixel_offsets, row, col.astype(np.int32), ndvi)


def _read(view: View, block: Window, dates: slice, parameters: Parameters) -> Values:
    """NDVI of a block, (dates, rows, columns), NaN where not clear."""
    rows, columns = block.slices
    card = cards.get(CARD)
    offset = view.scenes["boa_offset"].to_numpy()[dates, None, None].astype(np.float32)
    bands = []
    for name in (RED, NEAR_INFRARED):
        lazy = view.scenes[name].data[dates, rows, columns]
        stored = lazy.compute(scheduler="threads", num_workers=_READERS)
        bands.append(np.where(stored == 0, np.nan, card.measured_of(stored.astype(np.float32) + offset)))
    red, near = bands
    with np.errstate(invalid="ignore", divide="ignore"):
        ndvi = (near - red) / (near + red)
        unclear = ~(red <= parameters.clear.brightest) | ~(near + red > 0) | _screened(view, block, dates, parameters)
    return np.where(unclear, np.float32(np.nan), ndvi.astype(np.float32))


def _screened(view: View, block: Window, dates: slice, parameters: Parameters) -> Flags:
    """Which pixels of a block are, on each date, in a screened class or near one; all where nothing is classified."""
    shape = (dates.stop - dates.start, block.height, block.width)
    if view.classes is None:
        return np.ones(shape, bool)
    margin = parameters.parts.dilate
    a, _, c, _, e, f = view.transform
    centre_x = view.grid.transform.c + (np.arange(block.width) + block.col + 0.5) * view.grid.transform.a
    centre_y = view.grid.transform.f + (np.arange(block.height) + block.row + 0.5) * view.grid.transform.e
    rows, columns = ((centre_y - f) // e).astype(int), ((centre_x - c) // a).astype(int)
    (band,) = view.classes.data_vars
    _, height, width = view.classes[band].shape
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    bottom, right = min(rows[-1] + margin + 1, height), min(columns[-1] + margin + 1, width)
    screened = np.ones((shape[0], bottom - top, right - left), bool)
    numbers = _numbers(view, dates)
    lazy = view.classes[band].data[numbers[numbers >= 0], top:bottom, left:right]
    screened[numbers >= 0] = _clouded(lazy.compute(scheduler="threads", num_workers=_READERS), parameters)
    return screened[:, rows.clip(top, bottom - 1) - top][:, :, columns.clip(left, right - 1) - left]


def _clouded(classes: npt.NDArray[np.integer], parameters: Parameters) -> Flags:
    """Which pixels are in a screened class, or near one; and which are in none."""
    clouded = np.isin(classes, parameters.clear.screen)
    if parameters.parts.dilate:
        around = np.ones((1, *(2 * parameters.parts.dilate + 1,) * 2), bool)
        clouded = binary_dilation(clouded, around)
    return np.asarray(clouded | (classes == 0))


def _numbers(view: View, dates: slice) -> Ints:
    """The numbers along time of the classes of those scenes; -1 where a scene has none."""
    assert view.classes is not None  # noqa: S101 - asked before
    there = {scene: number for number, scene in enumerate(view.classes["scene"].to_numpy().tolist())}
    return np.array([there.get(scene, -1) for scene in view.scenes["scene"].to_numpy()[dates].tolist()], np.int64)
