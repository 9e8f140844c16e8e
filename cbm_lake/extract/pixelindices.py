"""Indices pixel by pixel: harmonised pixels of a scene's bands on one grid, the formula, and the statistics of parcels.

    pools of the bands, as `scene` gathers them ─ add ─► IndexPixels ─ columns ─► NDVI_count, NDVI_mean, …

The grid of an index is the coarsest of its bands' grids; the pixels of finer bands are averaged to it (see
`zonal.finer`). A pixel has no index where a band has no data or the denominator of the formula is not positive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from affine import Affine

from cbm_lake import cards, zonal
from cbm_lake.cards import Index
from cbm_lake.errors import InvalidInputError
from cbm_lake.extract import jobparcels
from cbm_lake.extract.jobs import Job
from cbm_lake.lake import open_lake
from cbm_lake.rasters import Grid, PixelArray, Window, encoding
from cbm_lake.zonal import finer
from cbm_lake.zonal.compiled import Floats, Ints

Columns: TypeAlias = "dict[str, pa.ChunkedArray]"
_BATCH: Final = 1 << 20
"""Pixels, at least, of which an index is in memory at once."""


class Part(Protocol):
    """Some pixels of some parcels, such as the clear ones of those that are partly clouded."""

    @property
    def parcels(self) -> Ints:
        """The numbers of these parcels."""

    def pixels(self, index: zonal.SpanIndex) -> tuple[Ints, Ints]:
        """The positions of the pixels in the pool of an index, and where those of each parcel begin and end."""

    def masked(self, array: PixelArray, transform: Affine, nodata: float) -> PixelArray:
        """An array with all other pixels nodata."""


# -- grids ----------------------------------------------------------------------------------------------------------


def of_bands(job: Job, index: Index) -> tuple[str, ...]:
    """The bands of an index of the job's card, in the order of `index.roles`."""
    return index.bands_of(cards.get(job.card))


def grid_of(job: Job, index: Index) -> Grid:
    """The coarsest grid of an index's bands."""
    grids = {job.rasters[band].grid for band in of_bands(job, index)}
    return max(grids, key=lambda grid: (grid.pixel_area, grid.name))


def _indices(job: Job, band: str) -> list[Index]:
    """The job's indices that need a band."""
    return [cards.INDICES[name] for name in job.indices if band in of_bands(job, cards.INDICES[name])]


def _coarser(job: Job, band: str) -> list[Grid]:
    """Other grids than a band's own to which its pixels are brought."""
    grids = {grid_of(job, index) for index in _indices(job, band)} - {job.rasters[band].grid}
    return sorted(grids, key=lambda grid: grid.name)


def _fit(job: Job, coarse: Grid, fine: Grid) -> finer.Fit:
    """How a grid fits into another.

    Raises:
        InvalidInputError: it does not, so that no pixel of one is the mean of pixels of the other.
    """
    fitting = finer.fit(coarse.transform, fine.transform) if coarse.epsg == fine.epsg else None
    if fitting is None:
        raise InvalidInputError(
            f"the bands of scene {job.scene.id} lie on grids that do not fit into each other ({fine.name} and "
            f"{coarse.name}), so pixels have no index; extract it without indices"
        )
    return fitting


@dataclass(frozen=True)
class Gathering:
    """The pixels of a band to gather, and how they come to coarser grids."""

    spans: zonal.SpanIndex
    """The pixels of the parcels first, then those that are averaged."""
    coarser: tuple[tuple[str, finer.Finer], ...]
    """By the names of the grids, in the order in which their pixels follow."""


def gathering(job: Job, band: str) -> Gathering:
    """The pixels to gather of a band, cached between scenes."""
    own = jobparcels.index(job, job.rasters[band].grid.name)
    coarser = _coarser(job, band)
    if not coarser:
        return Gathering(own, ())
    return open_lake(job.lake).caches.extraction.get(
        ("averaged", *jobparcels.key(job), job.rasters[band].grid.name, *(grid.name for grid in coarser)),
        lambda: _gathering(job, band, own, coarser),
        lambda plan: 6 * plan.spans.row.nbytes + 2 * plan.spans.offsets.nbytes,
    )


def _gathering(job: Job, band: str, own: zonal.SpanIndex, coarser: list[Grid]) -> Gathering:
    grid = job.rasters[band].grid
    parts = [
        finer.Finer.of(jobparcels.index(job, other.name), grid.transform, grid.shape, _fit(job, other, grid))
        for other in coarser
    ]
    spans = finer.joined([own, *(index for part in parts for index in part.indexes)])
    return Gathering(spans, tuple(zip([other.name for other in coarser], parts, strict=True)))


def margin(job: Job, band: str) -> int:
    """Pixels round parcels that are needed to average a band to the coarsest of its indices' grids."""
    own = job.rasters[band].grid
    return max((_fit(job, grid, own).factor for grid in _coarser(job, band)), default=0)


# -- pixels ---------------------------------------------------------------------------------------------------------


@dataclass
class IndexPixels:
    """The pixels that indices of a scene are computed of, by the rule centre."""

    job: Job
    pools: dict[tuple[str, str], PixelArray] = field(default_factory=dict)
    """The parcels' pixels of each band on a grid by its name: as stored on its own grid, float64 on a coarser one."""

    def add(self, band: str, gathered: PixelArray) -> PixelArray:
        """Keep what indices need of the gathered pixels of a band; return those of the parcels on its own grid."""
        plan, card = gathering(self.job, band), cards.get(self.job.card)
        grid = self.job.rasters[band].grid.name
        start = jobparcels.index(self.job, grid).pixel_count
        own, others = gathered[:start], gathered[start:]
        encoding.without_wrapped(others, card.highest)
        if any(grid_of(self.job, index).name == grid for index in _indices(self.job, band)):
            self.pools[band, grid] = own
        for name, part in plan.coarser:
            sizes = np.cumsum([0, *(index.pixel_count for index in part.indexes)])
            pools = [others[begin:end] for begin, end in pairwise(sizes)]
            self.pools[band, name] = part.averages(pools, card.nodata)
            others = others[sizes[-1] :]
        return own

    def columns(self, part: Part | None) -> Columns:
        """The statistics of every index, a value for each parcel, or for those of a part of the pixels."""
        columns: Columns = {}
        for name in self.job.indices:
            columns |= self._statistics(cards.INDICES[name], part)
        return columns

    def values(self, index: Index, pixels: slice | Ints) -> Floats:
        """The index of pixels, by their positions in the parcels' pool on its grid; NaN where there is none."""
        grid = grid_of(self.job, index).name
        bands = zip(index.roles, of_bands(self.job, index), strict=True)
        return index.of({role: self._harmonised(self.pools[band, grid][pixels]) for role, band in bands})

    def _harmonised(self, pixels: PixelArray) -> Floats:
        """Pixels in the unit of signatures, NaN where they have no data."""
        if pixels.dtype.kind != "f":
            pixels = np.where(pixels == cards.get(self.job.card).nodata, np.nan, pixels.astype(np.float64))
        return _measured(self.job, pixels)

    def _statistics(self, index: Index, part: Part | None) -> Columns:
        spans = jobparcels.index(self.job, grid_of(self.job, index).name)
        whole = np.diff(spans.pixel_offsets) if spans.whole is None else spans.whole
        positions, ends = (None, spans.pixel_offsets) if part is None else part.pixels(spans)
        whole = whole if part is None else whole[part.parcels]
        names = (*cards.statistics.STORED, *self.job.statistics)
        tables = []
        for first, last in _batches(ends):
            pixels = slice(ends[first], ends[last])
            values = self.values(index, pixels if positions is None else positions[pixels])
            offsets = ends[first : last + 1] - ends[first]
            tables.append(zonal.pool_statistics(values, offsets, None, statistics=names, whole=whole[first:last]))
        return named(index, pa.concat_tables(tables))


def _measured(job: Job, stored: Floats) -> Floats:
    """Stored numbers, the scene's offset added, in the unit of signatures."""
    return np.asarray(cards.get(job.card).measured_of(stored + job.scene.boa_offset), np.float64)


def _batches(ends: Ints) -> Iterator[tuple[int, int]]:
    """First and last + 1 of consecutive parcels that have `_BATCH` pixels together; one batch where there are none."""
    first, number = 0, len(ends) - 1
    while first < number or number == first == 0:
        last = min(max(int(np.searchsorted(ends, ends[first] + _BATCH)), first + 1), number)
        yield first, last
        if last == number:
            return
        first = last


def named(index: Index, table: pa.Table) -> Columns:
    """The columns of an index's statistics: NDVI_count, NDVI_mean, …; null where no pixel has an index."""
    counted = pc.greater(table["count"], 0)
    columns: Columns = {}
    for name in table.column_names:
        values = table[name]
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        columns[f"{index.column}_{name}"] = (
            values if cards.STATISTICS[name].counts else pc.if_else(counted, values, None)
        )
    return columns


# -- by the rule coverage -------------------------------------------------------------------------------------------


@dataclass
class IndexArrays:
    """The pixels that indices of a scene are computed of, by the rule coverage: arrays round all parcels."""

    job: Job
    arrays: dict[str, tuple[PixelArray, Window]] = field(default_factory=dict)
    """Of each band that an index needs: its pixels, and where in the raster they lie."""

    def add(self, band: str, array: PixelArray, around: Window) -> None:
        """Keep the pixels of a band round all parcels where an index needs them."""
        if _indices(self.job, band):
            self.arrays[band] = array, around

    def columns(self, part: Part | None) -> Columns:
        """The statistics of every index, a value for each parcel, or for those of a part of the pixels."""
        columns: Columns = {}
        for name in self.job.indices:
            columns |= self._statistics(cards.INDICES[name], part)
        return columns

    def _statistics(self, index: Index, part: Part | None) -> Columns:
        grid, bands = grid_of(self.job, index), of_bands(self.job, index)
        around = next(window for band, (_, window) in self._of(bands) if self.job.rasters[band].grid == grid)
        values = index.of(
            {role: self._harmonised(band, grid, around) for role, band in zip(index.roles, bands, strict=True)}
        )
        shapes = jobparcels.shapes(self.job, grid.epsg)
        transform = grid.transform * Affine.translation(around.col, around.row)
        if part is not None:
            shapes, values = shapes[part.parcels], part.masked(values, transform, np.nan)
        names = (*cards.statistics.STORED, *self.job.statistics)
        table = zonal.coverage_statistics(shapes, values, transform, None, statistics=names)
        covered = np.asarray(table["count"])
        count = np.where(covered > 0, np.maximum(np.rint(covered), 1), 0)
        return named(index, table.set_column(table.column_names.index("count"), "count", pa.array(count)))

    def _of(self, bands: Iterable[str]) -> Iterator[tuple[str, tuple[PixelArray, Window]]]:
        return ((band, self.arrays[band]) for band in bands)

    def _harmonised(self, band: str, grid: Grid, around: Window) -> Floats:
        """Pixels of a band in a window of a grid in the unit of signatures, NaN where it has no data."""
        (array, window), own = self.arrays[band], self.job.rasters[band].grid
        stored = np.where(array == cards.get(self.job.card).nodata, np.nan, array.astype(np.float64))
        if grid != own:
            stored = _on_coarser(stored, window, around, _fit(self.job, grid, own))
        return _measured(self.job, stored)


def _on_coarser(pixels: Floats, window: Window, around: Window, fitting: finer.Fit) -> Floats:
    """Pixels of a window of a fine grid averaged to a window of a coarser one, NaN where they do not fill it."""
    factor, row, col = fitting
    wide = Window(around.row * factor + row, around.col * factor + col, around.height * factor, around.width * factor)
    filled = np.full((wide.height, wide.width), np.nan)
    rows = slice(max(window.row, wide.row), min(window.row + window.height, wide.row + wide.height))
    columns = slice(max(window.col, wide.col), min(window.col + window.width, wide.col + wide.width))
    if rows.start < rows.stop and columns.start < columns.stop:
        filled[rows.start - wide.row : rows.stop - wide.row, columns.start - wide.col : columns.stop - wide.col] = (
            pixels[
                rows.start - window.row : rows.stop - window.row, columns.start - window.col : columns.stop - window.col
            ]
        )
    return finer.averaged(filled, factor)


class PixelIndices:
    """The indices of a scene, whichever the rule."""

    def __init__(self, job: Job) -> None:
        self.pools, self.arrays = IndexPixels(job), IndexArrays(job)

    def columns(self, part: Part | None = None) -> Columns:
        """The statistics of every index, a value for each parcel, or for those of a part of the pixels."""
        return self.arrays.columns(part) if self.arrays.arrays else self.pools.columns(part)
