"""The clear pixels of partly clouded parcels: which parcels have a row of these alone, and which pixels are in it.

The mask is the classification's screened classes, grown where that is asked for, and where one is given another raster.
Both are looked up for the pixels of each band's own grid (`zonal.masks`), so nothing is resampled but the mask. A pixel
of no class, or outside the classification, is not known to be clear, and left out too; it alone masks no parcel. Of
another raster what it does not know counts as masked.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from affine import Affine

from cbm_lake import cards, zonal
from cbm_lake.cards import observation
from cbm_lake.errors import SourceError
from cbm_lake.extract import blocks, jobparcels
from cbm_lake.extract.jobparcels import Numbers, Shapes
from cbm_lake.extract.jobs import Job
from cbm_lake.extract.masks import MaskRaster
from cbm_lake.rasters import Grid, PixelArray, Raster, Window, opened
from cbm_lake.storage import stores
from cbm_lake.zonal import masks
from cbm_lake.zonal.compiled import Ints
from cbm_lake.zonal.masks import PixelMask

log = logging.getLogger(__name__)
Flags: TypeAlias = npt.NDArray[np.bool_]
"""One for each parcel."""


@dataclass(frozen=True, eq=False)
class ClearPart:
    """The clear pixels of some parcels of a job."""

    layers: tuple[PixelMask, ...]
    """One or two; a pixel is clear where it is in all of them."""
    parcels: Ints
    """The numbers of those that are partly masked, perhaps wholly."""
    _pixels: dict[tuple[Affine, tuple[int, int]], tuple[Ints, Ints]] = field(default_factory=dict)
    """By grid, what `pixels` gives."""

    def pixels(self, index: zonal.SpanIndex) -> tuple[Ints, Ints]:
        """The positions of their clear pixels in the pool of an index, and where those of each parcel begin and end."""
        grid = index.transform, index.shape
        if grid not in self._pixels:  # for all bands of a grid
            self._pixels[grid] = masks.clear_pixels(index, _on(self.layers, index), self.parcels)
        return self._pixels[grid]

    def masked(self, array: PixelArray, transform: Affine, nodata: float) -> PixelArray:
        """An array with all pixels nodata that are not clear."""
        codes = _resampled(self.layers, transform, array.shape)
        return np.where(codes == masks.CLEAR, array, array.dtype.type(nodata))


def of(job: Job, classes: PixelArray | None) -> ClearPart | None:
    """The clear part of a job's scene; None where no parcel is partly masked.

    Args:
        job: what is extracted.
        classes: the classification on its whole grid, 0 where it was not read; None where the scene has none.

    Raises:
        SourceError: the job's mask cannot be read, or is in another coordinate system than its bands.
    """
    layers = () if job.mask is None else _layers(job, classes)
    if not any((layer.codes == masks.MASKED).any() or layer.outside == masks.MASKED for layer in layers):
        return None
    grids = sorted({job.rasters[band].grid for band in job.bands}, key=lambda grid: grid.name)
    find = _masked_by_coverage if job.rule == "coverage" else _masked_by_centre
    is_masked = np.any([find(job, grid, layers) for grid in grids], axis=0)
    return ClearPart(layers, np.flatnonzero(is_masked)) if is_masked.any() else None


def joined(whole: pa.Table, part: pa.Table, mask: str) -> pa.Table:
    """Rows of all pixels, and behind them those of the clear ones, with the column that tells them apart."""
    both = [
        rows.append_column("mask", pa.repeat(pa.scalar(text, pa.string()), rows.num_rows))
        for rows, text in ((whole, None), (part, mask))
    ]
    return pa.concat_tables(both, promote_options="permissive")


def worth_writing(
    job: Job,
    part: ClearPart,
    whole: Mapping[str, object],
    clear: Mapping[str, object],
    share: Numbers,
    fullest: Numbers,
) -> pa.Array:
    """Which of a part's parcels get a row: those whose statistics differ, with enough clear pixels to be of use.

    Enough are `observation.LEAST_PIXELS` and the share `observation.LEAST_STORED` of the parcel. Of a mask that is more
    than scene classes also those with fewer, unless all their pixels are in a screened class: nothing else tells that
    they are masked.

    Args:
        job: what is extracted.
        part: of which.
        whole: columns of all pixels of all parcels.
        clear: columns of the clear pixels of those of the part.
        share: of each whole parcel that is clear, NaN where that is not known.
        fullest: clear pixels of each, of its finest grid's fullest band.
    """
    differs = np.any(
        [
            np.asarray(clear[name]) < np.asarray(whole[name])[part.parcels]
            for name in clear
            if name.endswith("_covered")
        ],
        axis=0,
    )
    enough = (fullest >= observation.LEAST_PIXELS) & ~(share < observation.LEAST_STORED)
    if job.mask is not None and not job.mask.is_usual:
        enough |= ~_all_screened(job, whole, part)
    return pa.array(differs & enough)


def _all_screened(job: Job, whole: Mapping[str, object], part: ClearPart) -> Flags:
    """Whether all classified pixels of parcels are in screened classes."""
    kinds = cards.get(job.card).classification
    if kinds is None or kinds.columns[0] not in whole:
        return np.zeros(len(part.parcels), bool)
    counts = np.stack([np.asarray(whole[column])[part.parcels] for column in kinds.columns[1:]])
    screened = counts[[value - 1 for value in kinds.screened if value]].sum(axis=0)
    return np.asarray((counts.sum(axis=0) > 0) & (counts.sum(axis=0) == screened))


# -- masks --------------------------------------------------------------------------------------------------------


def _layers(job: Job, classes: PixelArray | None) -> tuple[PixelMask, ...]:
    """The codes of the classification and of the other raster, where there are these."""
    mask, epsg = job.mask, blocks.finest(job).epsg
    assert mask is not None  # noqa: S101 - the caller looks
    layers = []
    if classes is not None:
        grid = job.rasters[mask.classification].grid
        if grid.epsg == epsg:
            is_screened = np.zeros(256, bool)
            is_screened[list(mask.classes)] = True
            screened = masks.dilated(is_screened[classes], mask.dilate)
            layers.append(PixelMask(masks.coded(screened, classes == 0), grid.transform))
        else:
            log.warning("scene %s: its classes are in another system than its bands: no clear pixels", job.scene.id)
    if mask.other is not None and mask.other.raster is not None:
        layers.append(_other(job, mask.other, mask.other.raster, epsg))
    return tuple(layers)


def _other(job: Job, mask: MaskRaster, raster: Raster, epsg: int) -> PixelMask:
    """The codes of the other raster round the job's parcels; masked is also what it does not know."""
    name = stores.redacted(raster.href)
    if raster.grid.epsg != epsg:
        reason = f"mask {name} is in EPSG:{raster.grid.epsg}, the bands of scene {job.scene.id} are in EPSG:{epsg}"
        raise SourceError(reason, advice="reproject it to that of the bands")
    window = _window(job, raster.grid)
    if window is None:
        raise SourceError(
            f"mask {name} lies beside the parcels of scene {job.scene.id}", advice="give that of the scene"
        )
    with opened(raster.href) as dataset:
        pixels = dataset.read(raster.band, window=window.ranges)
        unknown = np.zeros(pixels.shape, bool) if raster.nodata is None else pixels == raster.nodata
        if raster.masked:
            unknown |= dataset.read_masks(raster.band, window=window.ranges) == 0
    codes = masks.coded(mask.values.hides(pixels) | unknown, np.zeros(pixels.shape, bool))
    corner = raster.grid.transform * Affine.translation(window.col, window.row)
    return PixelMask(codes, corner, outside=masks.MASKED)


def _window(job: Job, grid: Grid) -> Window | None:
    """The part of a grid round all parcels of a job; None where there is none."""
    bounds = blocks.map_bounds(job)
    if not len(bounds):
        return Window(0, 0, *grid.shape)
    (west, south), (east, north) = bounds[:, :2].min(axis=0), bounds[:, 2:].max(axis=0)
    t, (height, width) = grid.transform, grid.shape
    top, bottom = np.clip([np.floor((north - t.f) / t.e), np.ceil((south - t.f) / t.e)], 0, height).astype(int)
    left, right = np.clip([np.floor((west - t.c) / t.a), np.ceil((east - t.c) / t.a)], 0, width).astype(int)
    return Window(int(top), int(left), int(bottom - top), int(right - left)) if bottom > top and right > left else None


# -- parcels ------------------------------------------------------------------------------------------------------


def _masked_by_centre(job: Job, grid: Grid, layers: tuple[PixelMask, ...]) -> Flags:
    """Whether each parcel has a masked pixel of a grid."""
    index = jobparcels.index(job, grid.name)
    return masks.touched(index, _on(layers, index))


def _masked_by_coverage(job: Job, grid: Grid, layers: tuple[PixelMask, ...]) -> Flags:
    """Whether each parcel covers a part of a masked pixel of a grid."""
    shapes = jobparcels.shapes(job, grid.epsg)
    raster = next(job.rasters[band] for band in job.bands if job.rasters[band].grid == grid)
    window = blocks.around(shapes, raster)
    transform = grid.transform * Affine.translation(window.col, window.row)
    masked = _resampled(layers, transform, (window.height, window.width)) == masks.MASKED
    near = np.flatnonzero(_boxes_meet(shapes, masked, transform))
    is_masked = np.zeros(len(shapes), bool)
    if len(near):
        table = zonal.coverage_statistics(shapes[near], masked.astype(np.uint8), transform, 0, statistics=("count",))
        is_masked[near] = np.asarray(table["count"]) > 0
    return is_masked


def _boxes_meet(shapes: Shapes, masked: PixelArray, transform: Affine) -> Flags:
    """Whether there is a masked pixel in the box of each shape."""
    import shapely

    height, width = masked.shape
    sums = np.zeros((height + 1, width + 1), np.int64)
    np.cumsum(np.cumsum(masked, axis=0, dtype=np.int64), axis=1, out=sums[1:, 1:])
    west, south, east, north = np.nan_to_num(shapely.bounds(shapes)).T
    top, bottom = (north - transform.f) / transform.e, (south - transform.f) / transform.e
    left, right = (west - transform.c) / transform.a, (east - transform.c) / transform.a
    top, bottom = (np.clip(side, 0, height).astype(int) for side in (np.floor(top), np.ceil(bottom)))
    left, right = (np.clip(side, 0, width).astype(int) for side in (np.floor(left), np.ceil(right)))
    return np.asarray(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0)


def _on(layers: tuple[PixelMask, ...], index: zonal.SpanIndex) -> tuple[masks.Layer, ...]:
    return tuple(layer.on(index.transform, index.shape) for layer in layers)


def _resampled(layers: tuple[PixelMask, ...], transform: Affine, shape: tuple[int, ...]) -> masks.Codes:
    codes = [layer.resampled(transform, (shape[0], shape[1])) for layer in layers]
    worst: masks.Codes = np.maximum.reduce(codes)
    return worst
