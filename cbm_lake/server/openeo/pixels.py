"""Answers from pixels: the layers of a plan worked on the pixels of polygons, out of the lake's cubes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import shapely

from cbm_lake.cards import Card
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.rasters import Grid
from cbm_lake.server.openeo import layers, tiles
from cbm_lake.server.openeo.arithmetic import Floats
from cbm_lake.server.openeo.geometries import Shapes
from cbm_lake.server.openeo.layers import Layer
from cbm_lake.server.openeo.plan import Aggregated, Output
from cbm_lake.server.openeo.series import Filling
from cbm_lake.server.openeo.signatures import derived
from cbm_lake.server.openeo.tiles import Check, Tile
from cbm_lake.zonal import SpanIndex, build_index, ragged
from cbm_lake.zonal.compiled import Ints, frozen

log = logging.getLogger(__name__)

_AT_ONCE: Final = 20_000_000
"""Pixels, those of each scene and band, that are in memory at once."""
_SUMMARY: Final = {"count": 0, "mean": 1, "sum": 1, "sd": 2, "variance": 2, "min": 3, "max": 4}
"""Row of what the kernel gives that an output is made of."""


@dataclass(frozen=True, eq=False)
class Ground:
    """Polygons of one area."""

    lake: Lake
    aoi: str
    year: int | None
    shapes: Shapes
    epsg: int
    """Of the polygons."""
    rows: Ints
    """Their numbers in the result."""
    parcels: ParcelSet | None = None
    """The set that they all are, in the order of its file: then its stored pixel indexes are theirs."""

    def in_system(self, epsg: int) -> Shapes:
        """The polygons in another coordinate system."""
        return np.asarray(reprojected(self.shapes, self.epsg, epsg))

    def index(self, grid: Grid) -> SpanIndex:
        """Their pixels on a grid."""
        stored = None if self.parcels is None else self.lake.index(self.parcels, grid.name)
        if stored is not None and stored.num_rows == len(self.shapes):
            return SpanIndex.from_table(stored)
        return build_index(self.in_system(grid.epsg), grid.transform, grid.shape)


def fill(ground: Ground, aggregated: Aggregated, filling: Filling, check: Check) -> int:
    """Enter the statistics of polygons of an area; the number of scenes that were read.

    Args:
        ground: the polygons.
        aggregated: what is asked for.
        filling: where statistics are entered.
        check: see `tiles.Check`.

    Raises:
        NotFoundError: no scene of that time is in a cube, or the polygons touch ground that the cubes do not hold.
    """
    layer = aggregated.layer
    there = tiles.of_area(ground.lake, layer.card, ground.aoi, ground.year, (layer.start, layer.end))
    scenes = sum(_fill_tile(_Work(ground, aggregated, tile, filling, check)) for tile in there)
    if not scenes:
        raise NotFoundError(
            f"no scene of {layer.card.name} with these bands is in a cube over {ground.aoi} in that time; "
            "extract with a cube first"
        )
    return scenes


@dataclass(frozen=True)
class _Work:
    ground: Ground
    aggregated: Aggregated
    tile: Tile
    filling: Filling
    check: Check

    @property
    def layer(self) -> Layer:
        return self.aggregated.layer

    @property
    def card(self) -> Card:
        return self.layer.card

    @cached_property
    def probabilities(self) -> list[float]:
        """Of the quantiles, ascending."""
        return sorted({one.probability for one in self.aggregated.outputs if one.probability is not None})


def _fill_tile(work: _Work) -> int:
    """Enter what the scenes of a tile saw, group by group of bands that are worked on the same grid."""
    groups: dict[Grid, list[str]] = {}
    for band in work.layer.bands:
        base = _loaded(work.layer, [band])
        grid = work.tile.finest(base)
        if grid is None:
            log.info("no cube has the bands %s of %s", ", ".join(base), work.card.name)
            continue
        for name in base:
            factor = work.tile.bands[name].grid.transform.a / grid.transform.a
            if abs(factor - round(factor)) > 1e-6:
                raise InvalidInputError(f"pixels of {name} are {factor:g} times as large as others; ask for it alone")
        groups.setdefault(grid, []).append(band)
    scenes: set[str] = set()
    for grid, bands in groups.items():
        base = _loaded(work.layer, bands)
        names = work.tile.with_any(base, work.layer.start, work.layer.end)
        scenes.update(names)
        if names:
            _check_written(work, base, names, grid)
            _fill_bands(work, bands, names, grid)
    return len(scenes)


def _loaded(layer: Layer, bands: Sequence[str]) -> list[str]:
    """The bands of the card that some bands of a layer are made of."""
    looked = layers.needs(layer, bands)
    names = {name for one in layers.ordered(layer) if one.operation is None for name in looked[id(one)]}
    return [name for name in layer.card.rasters if name in names]


def _check_written(work: _Work, base: Sequence[str], scenes: Sequence[str], grid: Grid) -> None:
    shapes = work.ground.in_system(grid.epsg)
    if tiles.unwritten(work.ground.lake, work.card, work.tile, base, scenes, shapes):
        raise NotFoundError(
            f"the cubes of {work.ground.aoi} do not hold all the ground of these polygons: blocks without parcels are "
            "not kept",
            advice="ask for polygons near parcels, or extract again after new parcels were loaded",
        )


def _fill_bands(work: _Work, bands: Sequence[str], scenes: list[str], grid: Grid) -> None:
    index = work.ground.index(grid)
    looked = layers.needs(work.layer, bands)
    base = _loaded(work.layer, bands)
    for group in _groups(work, scenes):
        most = max(1, _AT_ONCE // (len(group) * (len(base) + 1)))
        for rows, part in _parts(index, most):
            pools = tiles.pools(work.tile, work.card, base, group, part, grid, work.check)
            days = [work.tile.scenes[scene] for scene in group]
            pixels, labels = layers.values(work.layer, pools, days, looked)
            if work.layer.areas:
                beyond = ~tiles.inside(work.layer.areas, part, grid)
                pixels = {band: np.where(beyond, np.nan, values) for band, values in pixels.items()}
            for band in bands:
                for label, values in zip(labels, pixels[band], strict=True):
                    results, counts = _statistics(work, values, part.pixel_offsets)
                    number = work.layer.bands.index(band)
                    work.filling.add(label, days[0], work.ground.rows[rows], number, results, counts)


def _groups(work: _Work, scenes: list[str]) -> Iterator[list[str]]:
    """The scenes that are worked together: one, those of a period, or all."""
    kinds = {type(one.operation) for one in layers.ordered(work.layer)}
    if layers.OfTime in kinds:
        yield scenes
    elif layers.OfPeriod in kinds:
        days = [work.tile.scenes[scene] for scene in scenes]
        period = next(
            one.operation.period for one in layers.ordered(work.layer) if isinstance(one.operation, layers.OfPeriod)
        )
        for numbers in layers.periods(days, period).values():
            yield [scenes[number] for number in numbers]
    else:
        yield from ([scene] for scene in scenes)


def _parts(index: SpanIndex, most: int) -> Iterator[tuple[Ints, SpanIndex]]:
    """An index in parts of so many pixels at most, a parcel at least, neighbours together, with their numbers."""
    if index.pixel_count <= most:
        yield np.arange(index.n_parcels), index
        return
    order, table = np.asarray(index.visit.order), index.to_table()
    ends = np.cumsum(np.diff(index.pixel_offsets)[order])
    first = 0
    while first < len(order):
        before = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, before + most, side="right")), first + 1)
        rows = order[first:last]
        yield rows, SpanIndex.from_table(table.take(rows))
        first = last


def _statistics(work: _Work, pixels: Floats, offsets: Ints) -> tuple[Floats, Floats]:
    """The outputs of each polygon, of shape (polygons, outputs), and the number of pixels that count."""
    probabilities = work.probabilities
    results = np.empty((ragged.QUANTILES + len(probabilities), len(offsets) - 1), np.float64)
    results[ragged.QUANTILES :] = np.array(probabilities)[:, np.newaxis]
    pool = np.ascontiguousarray(pixels, np.float64)
    ragged.describe(frozen(pool), frozen(offsets), (True, False, np.float64(0)), results)
    counts = results[0]
    columns = [derived(one, results[_row(one, probabilities)], counts) for one in work.aggregated.outputs]
    return np.stack(columns, axis=1), counts


def _row(output: Output, probabilities: list[float]) -> int:
    if output.probability is not None:
        return ragged.QUANTILES + probabilities.index(output.probability)
    return _SUMMARY[output.name]


# -- polygons -----------------------------------------------------------------------------------------------------


def of_uploaded(lake: Lake, shapes: Shapes, aois: Sequence[str]) -> list[Ground]:
    """Polygons in degrees by the area, of some, round whose parcels each of them lies.

    Raises:
        NotFoundError: one lies in none of the areas; which others there are is not said.
    """
    boxes = {aoi: lake.footprint(aoi) for aoi in aois}
    rows: dict[str, list[int]] = {}
    for number, shape in enumerate(shapes):
        aoi = next((aoi for aoi, box in boxes.items() if box.covers(shapely.box(*shape.bounds))), None)
        if aoi is None:
            raise NotFoundError(
                f"polygon {number} does not lie in an area that you may read and that has scenes of this collection"
            )
        rows.setdefault(aoi, []).append(number)
    return [Ground(lake, aoi, None, shapes[some], 4326, np.array(some)) for aoi, some in rows.items()]
