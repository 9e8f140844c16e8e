"""The cubes of an area as tiles: the grids of one ground side by side, and the pixels of polygons read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np
import shapely
from affine import Affine

from cbm_lake.cards import Card
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.rasters import CHUNK, Grid, PixelArray, cf, cube, datasets
from cbm_lake.rasters.selection import Choice
from cbm_lake.server.openeo.arithmetic import Floats
from cbm_lake.server.openeo.geometries import Shapes
from cbm_lake.zonal import SpanIndex

if TYPE_CHECKING:
    import xarray as xr

_EDGE: Final = 0.01
"""Degrees between vertices of an area that is reprojected: what is straight in degrees is curved in metres."""
Check = Callable[[], None]
"""Called between reads; it raises where nobody waits for the result any more."""


@dataclass(frozen=True, eq=False)
class Band:
    """A band of a tile."""

    grid: Grid
    stored: xr.DataArray
    """Stored numbers, 0 where there is no measurement; lazy, of (time, y, x)."""
    positions: Mapping[str, int]
    """Along time of each scene that has the band."""
    slots: Mapping[str, int]
    """The number in the cube of each scene."""


@dataclass(frozen=True, eq=False)
class Tile:
    """The cubes of one ground: grids of several pixel sizes with the same bounds."""

    bands: dict[str, Band]
    scenes: dict[str, datetime]
    offsets: dict[str, int]
    """What is added to the stored numbers of each scene."""

    def finest(self, names: Iterable[str]) -> Grid | None:
        """The finest grid of some bands; None where the tile has not all of them."""
        names = list(names)
        if not names or any(name not in self.bands for name in names):
            return None
        return min((self.bands[name].grid for name in names), key=lambda grid: grid.pixel_area)

    def with_any(self, names: Iterable[str], start: datetime | None, end: datetime | None) -> list[str]:
        """The scenes of an interval that have one of some bands, by time."""
        having = {scene for name in names if name in self.bands for scene in self.bands[name].positions}
        inside = [
            scene
            for scene in having
            if (start is None or self.scenes[scene] >= start) and (end is None or self.scenes[scene] < end)
        ]
        return sorted(inside, key=lambda scene: (self.scenes[scene], scene))


def of_area(
    lake: Lake, card: Card, aoi: str, year: int | None, days: tuple[datetime | None, datetime | None]
) -> list[Tile]:
    """The tiles of an area with scenes that count.

    Args:
        lake: whose cubes.
        card: of the scenes.
        aoi: over whose parcels they were extracted.
        year: of these parcels; None is any.
        days: first moment, and the one after the last; None is open.
    """
    start, end = (None if moment is None else moment.date() for moment in days)
    choice = Choice.of(card.name, aoi, year, start=start, end=end)
    tiles: dict[tuple[object, ...], Tile] = {}
    for one in datasets.cubes_of(lake, choice):
        stored = one.open(choice)
        scenes = [str(scene) for scene in stored["scene"].values]
        numbers = {slot.scene: number for number, slot in one.slots.items()}
        tile = tiles.setdefault((one.grid.epsg, *np.round(one.grid.bounds, 3)), Tile({}, {}, {}))
        for scene in scenes:
            slot = one.slots[numbers[scene]]
            tile.scenes[scene], tile.offsets[scene] = slot.obstime.astimezone(UTC), slot.boa_offset
        for name in one.bands:
            positions = {
                scene: n
                for n, scene in enumerate(scenes)
                if card.is_classes(name) or name in one.extracted[numbers[scene]]
            }
            if positions and (name not in tile.bands or one.grid.pixel_area < tile.bands[name].grid.pixel_area):
                tile.bands[name] = Band(one.grid, stored[name], positions, numbers)
    return list(tiles.values())


def pools(
    tile: Tile, card: Card, names: Sequence[str], scenes: Sequence[str], index: SpanIndex, grid: Grid, check: Check
) -> dict[str, Floats]:
    """The pixels of polygons, one after another, float64 of shape (scenes, pixels) by band; NaN is no measurement.

    Args:
        tile: whose pixels.
        card: of the tile.
        names: of the bands; those of coarser grids are repeated in the finer pixels that they hold.
        scenes: in the order of the first axis.
        index: the polygons on the grid.
        grid: the finest of these bands.
        check: see `Check`.
    """
    import xarray as xr

    blocks = index.blocks((CHUNK, CHUNK))
    stored = {}
    for name in names:
        band = tile.bands[name]
        pool = np.zeros((len(scenes), index.pixel_count), band.stored.dtype)
        for number, scene in enumerate(scenes):
            for k, block in enumerate(blocks if scene in band.positions else ()):
                check()
                blocks.gather(_read(band, band.positions[scene], block, grid), k, pool[number])
        stored[name] = (("time", "pixel"), pool)
    offsets = np.array([tile.offsets[scene] for scene in scenes], np.int32)
    harmonised = cf.harmonised(xr.Dataset(stored, {"boa_offset": ("time", offsets)}), card)
    return {name: harmonised[name].to_numpy().astype(np.float64) for name in names}


def _read(band: Band, row: int, block: tuple[int, int, int, int], grid: Grid) -> PixelArray:
    """The pixels of a block of a grid, from a band of the same or a coarser one: the nearest, as stored."""
    top, left, height, width = block
    factor = round(band.grid.transform.a / grid.transform.a)
    first, side = (top // factor, left // factor), (-(-(top + height) // factor), -(-(left + width) // factor))
    part = band.stored.isel(time=row, y=slice(first[0], side[0]), x=slice(first[1], side[1]))
    values = np.asarray(part.data.compute(scheduler="synchronous"))
    if factor > 1:
        values = np.repeat(np.repeat(values, factor, axis=0), factor, axis=1)
        top, left = top - first[0] * factor, left - first[1] * factor
        values = values[top : top + height, left : left + width]
    return np.ascontiguousarray(values)


def inside(areas: Sequence[shapely.Geometry], index: SpanIndex, grid: Grid) -> PixelArray:
    """Whether the centre of each pixel of the polygons is in all of some areas in degrees; of shape (pixels,)."""
    from rasterio.features import geometry_mask

    blocks = index.blocks((CHUNK, CHUNK))
    flags = np.ones(index.pixel_count, bool)
    for area in areas:
        shape = reprojected(shapely.segmentize(area, _EDGE), 4326, grid.epsg)
        pool = blocks.new_pool(np.uint8)
        for k, block in enumerate(blocks):
            transform = grid.transform * Affine.translation(block.col, block.row)
            within = geometry_mask([shape], (block.height, block.width), transform, invert=True)
            blocks.gather(within.astype(np.uint8), k, pool)
        flags &= pool == 1
    return flags


def unwritten(lake: Lake, card: Card, tile: Tile, names: Sequence[str], scenes: Sequence[str], shapes: Shapes) -> bool:
    """Whether polygons touch ground that the cubes do not hold: blocks without parcels are not written.

    Args:
        lake: whose ledger says which blocks were written.
        card: of the tile.
        tile: whose cubes.
        names: of the bands.
        scenes: that are read.
        shapes: the polygons in the coordinate system of the tile.
    """
    rows = lake.query("cube.blocks", card=card.name, scenes=list(scenes))
    written = set(zip(*(rows[name].to_pylist() for name in ("grid", "slot", "band", "row", "col")), strict=True))
    for name in names:
        band = tile.bands[name]
        corners = _corners(band.grid, shapes)
        for scene in scenes:
            slot = band.slots.get(scene)
            if any(
                (band.grid.name, slot, name, *corner) not in written for corner in corners if scene in band.positions
            ):
                return True
    return False


def _corners(grid: Grid, shapes: Shapes) -> set[tuple[int, int]]:
    """The blocks of a cube that the boxes of polygons touch, by their numbers down and across."""
    block, last = np.array(cube.block_shape(grid.shape)), np.array(grid.shape) - 1
    bounds = shapely.bounds(shapes)
    west, south, east, north = bounds[np.isfinite(bounds).all(axis=1)].T
    t = grid.transform
    start = np.stack([(north - t.f) / t.e, (west - t.c) / t.a], axis=1)
    stop = np.stack([(south - t.f) / t.e, (east - t.c) / t.a], axis=1)
    touching = (stop > 0).all(axis=1) & (start <= last).all(axis=1)
    first, final = (np.clip(edge[touching], 0, last).astype(int) // block for edge in (start, stop))
    boxes = np.unique(np.hstack([first, final]), axis=0).tolist()
    return {
        (row, column)
        for top, left, bottom, right in boxes
        for row in range(top, bottom + 1)
        for column in range(left, right + 1)
    }
