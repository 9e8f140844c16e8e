"""Features of a season per pixel, read block by block from the lake's cubes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.extract.jobparcels import geometries
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.rasters import CHUNK, Grid, Window, datasets
from cbm_lake.rasters.datasets import CountingCube
from cbm_lake.rasters.encoding import HIGHEST
from cbm_lake.rasters.selection import Choice

if TYPE_CHECKING:
    import xarray as xr

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

DECIBEL: Final = 0.05
"""What radar's decibels are multiplied by: 10 dB then weigh as much as 0.5 of NDVI."""


@dataclass(frozen=True)
class Season:
    """Cubes of one grid, restricted to the dates of a season, and the parcels on it."""

    grid: Grid
    optical: xr.Dataset
    classes: xr.Dataset
    """Scene classes, date by date those of `optical`, on their own grid."""
    radar: xr.Dataset | None
    periods: int
    """How many parts of about equally many dates the season is cut into."""
    screen: tuple[int, ...]
    """Scene classes in which the ground is not seen."""
    shapes: npt.NDArray[np.object_]
    """The parcels in the grid's coordinates, in the order of their file."""

    def windows(self) -> list[Window]:
        """Blocks of the grid that contain parcels, by row."""
        rows, columns = self.grid.shape
        corners = ((row, col) for row in range(0, rows, CHUNK) for col in range(0, columns, CHUNK))
        blocks = (Window(row, col, min(CHUNK, rows - row), min(CHUNK, columns - col)) for row, col in corners)
        return [block for block in blocks if self._within(block).size]

    def features(self, window: Window) -> Floats:
        """NDVI medians of the periods and, with radar, VV and VH in dB x DECIBEL; (features, rows, columns).

        A period in which a pixel was not seen is interpolated between those before and after it (at the ends it is as
        the nearest); a pixel that was never seen is NaN.
        """
        layers = [medians(self.optical["time"], self.periods, lambda dates: self._ndvi(dates, window))]
        if self.radar is not None:
            layers += [_backscatter(self.radar[band], self.periods, window) for band in ("VV", "VH")]
        return np.concatenate(layers)

    def owners(self, window: Window, margin: float = 0.0) -> Ints:
        """Index of the parcel that contains each pixel's centre, -1 for none; (rows, columns).

        Args:
            window: which block.
            margin: metres by which the parcels are made smaller first.
        """
        inside = self._within(window)
        shapes = shapely.buffer(self.shapes[inside], -margin)
        numbered = [(shape, int(number)) for shape, number in zip(shapes, inside, strict=True) if not shape.is_empty]
        size = (window.height, window.width)
        if not numbered:
            return np.full(size, -1, np.int64)
        owners = rasterize(numbered, size, fill=-1, transform=_transform(self.grid, window), dtype="int32")
        return np.asarray(owners, np.int64)

    def _within(self, window: Window) -> Ints:
        """The numbers of the parcels whose boxes touch a block."""
        west, south, east, north = Grid(self.grid.epsg, _transform(self.grid, window), window[2:]).bounds
        xmin, ymin, xmax, ymax = shapely.bounds(self.shapes).T
        return np.flatnonzero((xmin < east) & (xmax > west) & (ymin < north) & (ymax > south))

    def _ndvi(self, dates: Ints, window: Window) -> Floats:
        """NDVI on some dates, NaN where the ground is not seen; (dates, rows, columns)."""
        stored = self.optical.isel(time=dates)
        red, nir = (_pixels(stored[band], window) for band in ("B04", "B08"))
        visible = (red > 0) & (nir > 0) & (red <= HIGHEST) & (nir <= HIGHEST) & self._clear(dates, window)
        offset = stored["boa_offset"].to_numpy().astype(np.float32)[:, None, None]
        red, nir = (np.maximum(band + offset, np.float32(1)) for band in (red, nir))
        return np.where(visible, (nir - red) / (nir + red), np.float32(np.nan))

    def _clear(self, dates: Ints, window: Window) -> npt.NDArray[np.bool_]:
        """Where the scene class nearest to each pixel is one in which the ground is seen."""
        rows = _nearest(self.optical["y"], self.classes["y"])[window.row : window.row + window.height]
        columns = _nearest(self.optical["x"], self.classes["x"])[window.col : window.col + window.width]
        inner = Window(rows[0], columns[0], rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1)
        classes = _pixels(self.classes["SCL"].isel(time=dates), inner)
        clear = (classes > 0) & ~np.isin(classes, self.screen)
        return np.asarray(clear[:, rows - rows[0]][:, :, columns - columns[0]])


def _backscatter(power: xr.DataArray, periods: int, window: Window) -> Floats:
    """Medians of a band of backscatter in dB x DECIBEL."""

    def read(dates: Ints) -> Floats:
        values = _pixels(power.isel(time=dates), window)
        return np.float32(10 * DECIBEL) * np.log10(np.where(values > 0, values, np.float32(np.nan)))

    return medians(power["time"], periods, read)


def medians(times: xr.DataArray, periods: int, read: Callable[[Ints], Floats]) -> Floats:
    """Per-pixel medians over periods of similar date counts, with gaps interpolated; (periods, rows, columns).

    Only the dates of one period are held at once.

    Args:
        times: the timestamps, in order.
        periods: how many; no more than there are dates are made.
        read: returns the values of the dates with these indices, NaN where missing; (dates, rows, columns).
    """
    parts = np.array_split(np.arange(len(times)), min(periods, len(times)))
    middles = np.array([times.to_numpy()[part].astype(np.int64).mean() for part in parts])
    return filled(np.stack([_median(read(part)) for part in parts]), middles)


def _median(values: Floats) -> Floats:
    """Median along the first axis, ignoring NaN; sorting is many times faster than numpy.nanmedian."""
    ordered = np.sort(values, axis=0)  # NaN come last
    count = np.isfinite(ordered).sum(axis=0, keepdims=True)
    middle = ((count - 1).clip(0) // 2, count // 2)
    low, high = (np.take_along_axis(ordered, position, axis=0)[0] for position in middle)
    return np.asarray((low + high) / 2)


def filled(values: Floats, at: npt.NDArray[np.float64]) -> Floats:
    """Interpolate NaN linearly along the first axis, and extrapolate the nearest value at both ends.

    Args:
        values: (n, …).
        at: n places on the first axis, ascending.
    """
    last = len(values) - 1
    valid = np.isfinite(values)
    position = np.arange(last + 1).reshape(-1, *[1] * (values.ndim - 1))
    before = np.maximum.accumulate(np.where(valid, position, -1), axis=0)
    after = np.minimum.accumulate(np.where(valid, position, last + 1)[::-1], axis=0)[::-1]
    first, second = np.where(before < 0, after, before).clip(max=last), np.where(after > last, before, after).clip(0)
    span = at[second] - at[first]
    weight = np.divide(at[position] - at[first], span, out=np.zeros(values.shape), where=span > 0).astype(np.float32)
    low, high = (np.take_along_axis(values, positions, axis=0) for positions in (first, second))
    return np.asarray(low + (high - low) * weight)


def _transform(grid: Grid, window: Window) -> Affine:
    return grid.transform * Affine.translation(window.col, window.row)


def _pixels(band: xr.DataArray, window: Window) -> npt.NDArray[np.float32]:
    """A block of all dates of a band."""
    rows, columns = window.slices
    return np.asarray(band.isel(y=rows, x=columns).to_numpy())


def _nearest(fine: xr.DataArray, coarse: xr.DataArray) -> Ints:
    """For each pixel of an axis the pixel of a coarser axis that holds its centre."""
    step = float(coarse[1] - coarse[0])
    return np.floor((fine.to_numpy() - float(coarse[0])) / step + 0.5).astype(np.int64).clip(0, len(coarse) - 1)


# -- cubes --------------------------------------------------------------------------------------------------------


def find(
    lake: Lake,
    parcels: ParcelSet,
    dates: tuple[str, str],
    *,
    grid: str | None,
    periods: int,
    screen: Sequence[int],
    radar: bool,
) -> Season:
    """Find the season of a parcel set between two days, both included.

    Args:
        lake: where the cubes are.
        parcels: whose season.
        dates: first and last day, as 2024-03-01.
        grid: name of the cube's grid; None is the only one that holds parcels.
        periods: see `Season`.
        screen: see `Season`.
        radar: whether backscatter is used, if the grid has any.

    Raises:
        NotFoundError: no cube holds B04, B08 and SCL there and then.
        InvalidInputError: the parcels lie on several grids and none is named.
    """
    selection = Choice.of("s2", parcels.aoi, None, None, None, None, *dates)
    cubes = datasets.cubes_of(lake, selection)
    fine = _optical(lake, parcels, cubes, grid)
    optical, classes = fine.open(selection), _classes(cubes, fine).open(selection)
    numbers = {scene: number for number, scene in enumerate(classes["scene"].to_numpy())}
    aligned = [numbers.get(scene, -1) for scene in optical["scene"].to_numpy()]
    positions = np.flatnonzero(np.array(aligned, int) >= 0)
    if not positions.size:
        raise NotFoundError(
            f"no scene of {dates[0]} to {dates[1]} is in the cubes of {fine.name}; extract s2 with a cube first"
        )
    backscatter = _radar(lake, parcels, fine.name, dates) if radar else None
    shapes = np.asarray(geometries(lake, parcels, fine.grid.epsg), object)
    aligned_scl = classes.isel(time=[aligned[number] for number in positions])
    return Season(fine.grid, optical.isel(time=positions), aligned_scl, backscatter, periods, tuple(screen), shapes)


def _optical(lake: Lake, parcels: ParcelSet, cubes: Sequence[CountingCube], grid: str | None) -> CountingCube:
    """The cube of 10 m in which the parcels lie."""
    fitting = [cube for cube in cubes if {"B04", "B08"} <= set(cube.bands) and grid in (None, cube.name)]
    counts = {cube.name: _count(lake, parcels, cube.grid) for cube in fitting}
    candidates = [cube for cube in fitting if counts[cube.name]]
    if not candidates:
        asked = f"cube {grid}" if grid else "cube"
        raise NotFoundError(f"no {asked} holds B04 and B08 of parcels of {parcels.name}; extract s2 with a cube first")
    if len(candidates) > 1:
        names = ", ".join(f"{cube.name} ({counts[cube.name]} parcels)" for cube in candidates)
        raise InvalidInputError(
            f"the parcels of {parcels.name} lie on several grids; give grid=, one of {names}",
            plain=f"the parcels of {parcels.name} lie on several grids, {names}; load them as one parcel set for each",
        )
    return candidates[0]


def _count(lake: Lake, parcels: ParcelSet, grid: Grid) -> int:
    """How many parcels have their centres on a grid."""
    west, south, east, north = grid.bounds
    x, y = shapely.get_coordinates(shapely.centroid(geometries(lake, parcels, grid.epsg))).T
    return int(((x > west) & (x < east) & (y > south) & (y < north)).sum())


def _classes(cubes: Sequence[CountingCube], optical: CountingCube) -> CountingCube:
    """The cube with the scene classes of the same ground."""
    box = shapely.box(*optical.grid.bounds)
    for cube in cubes:
        # Clips of a tile often begin or end inside a pixel of 20 m.
        reach = shapely.box(*cube.grid.bounds).buffer(cube.grid.transform.a, join_style="mitre")
        if "SCL" in cube.bands and cube.grid.epsg == optical.grid.epsg and reach.contains(box):
            return cube
    raise NotFoundError(
        f"no cube holds the scene classes (SCL) of {optical.name}; extract s2 with a cube and all grids"
    )


def _radar(lake: Lake, parcels: ParcelSet, grid: str, dates: tuple[str, str]) -> xr.Dataset | None:
    """The backscatter of the same grid, if there is any."""
    selection = Choice.of("bs", parcels.aoi, None, None, None, ("VV", "VH"), *dates)
    for cube in datasets.cubes_of(lake, selection):
        if cube.name == grid and selection.fits(cube.name, cube.grid, cube.bands):
            backscatter = cube.open(selection)
            return backscatter if backscatter.sizes["time"] else None
    return None
