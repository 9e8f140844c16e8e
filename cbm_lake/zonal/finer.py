"""Pixels of a finer grid averaged to those of a coarser one, in the order of a pool of the coarser one.

A coarse pixel has the mean of all fine pixels in it. Where one of them is missing, has no data or lies beyond the fine
raster, the coarse pixel has no value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from affine import Affine

from cbm_lake.zonal.compiled import Floats, Ints, Pixels
from cbm_lake.zonal.spans import SpanIndex

_BATCH: Final = 1 << 20
"""Coarse pixels that are averaged at once."""
_EXACT: Final = 1e-3
"""Part of a pixel by which edges of grids may differ that are meant to be the same."""


class Fit(NamedTuple):
    """How a finer grid fits into a coarser one."""

    factor: int
    """Fine pixels in a coarse one, each way; 1 where both have pixels of one size."""
    row: int
    """Fine row at which the first coarse row begins."""
    col: int
    """Fine column at which the first coarse column begins."""


def fit(coarse: Affine, fine: Affine) -> Fit | None:
    """How a finer grid of the same coordinate system fits into a coarser one; None where edges do not coincide."""
    factors = coarse.a / fine.a, coarse.e / fine.e
    starts = (coarse.f - fine.f) / fine.e, (coarse.c - fine.c) / fine.a
    factor, row, col = round(factors[0]), round(starts[0]), round(starts[1])
    differ = max(abs(factors[0] - factor), abs(factors[1] - factor), abs(starts[0] - row), abs(starts[1] - col))
    return Fit(factor, row, col) if factor >= 1 and differ < _EXACT else None


@dataclass(frozen=True, eq=False)
class Finer:
    """The fine pixels of the parcels' coarse pixels: rows of fine pixels of all parcels, then the next rows, …

    Of `factor` indexes, number i has the fine row i of every coarse row, so that each of them has `factor` pixels for
    every coarse pixel, in its order.
    """

    factor: int
    indexes: tuple[SpanIndex, ...]
    within: npt.NDArray[np.bool_] | None
    """Of the pixels of the coarse pool, those that the fine raster has wholly; None: it has all."""

    @classmethod
    def of(cls, coarse: SpanIndex, fine: Affine, shape: tuple[int, int], fitting: Fit) -> Finer:
        """The fine pixels on a raster of that transform and shape."""
        factor, row, col = fitting
        within = _within(coarse, shape, fitting)
        first = np.clip(coarse.col, -(-max(-col, 0) // factor), None)
        last = np.clip(coarse.col + coarse.length, None, max(shape[1] - col, 0) // factor)
        inside = (last > first) & _rows_within(coarse.row, shape[0], fitting)
        offsets = np.append(0, np.cumsum(inside))[coarse.offsets]
        rows, first, last = (values[inside].astype(np.int64) for values in (coarse.row, first, last))
        spans = (first * factor + col).astype(np.int32), ((last - first) * factor).astype(np.int32)
        lines = (rows * factor + row).astype(np.int32)
        indexes = tuple(SpanIndex(shape, fine, offsets, (lines + i).astype(np.int32), *spans) for i in range(factor))
        return cls(factor, indexes, None if within.all() else within)

    def averages(self, pools: Sequence[Pixels], nodata: float) -> Floats:
        """The mean of the fine pixels of every pixel of the coarse pool, NaN where one of them is missing.

        Args:
            pools: the fine pixels of each of `indexes`.
            nodata: the value of pixels without data.
        """
        means = np.empty(len(pools[0]) // self.factor)
        for first in range(0, len(means), _BATCH):
            part = slice(first * self.factor, (first + _BATCH) * self.factor)
            squares = np.stack([pool[part].reshape(-1, self.factor) for pool in pools])
            valid = np.where(squares == nodata, np.nan, squares.astype(np.float64))
            means[first : first + _BATCH] = valid.mean(axis=(0, 2))
        if self.within is None:
            return means
        filled = np.full(len(self.within), np.nan)
        filled[self.within] = means
        return filled


def _rows_within(row: npt.NDArray[np.int32], height: int, fitting: Fit) -> npt.NDArray[np.bool_]:
    start = row.astype(np.int64) * fitting.factor + fitting.row
    return np.asarray((start >= 0) & (start + fitting.factor <= height))


def _within(coarse: SpanIndex, shape: tuple[int, int], fitting: Fit) -> npt.NDArray[np.bool_]:
    """Of the pixels of a coarse pool, in its order, those that a fine raster has wholly."""
    ends = np.cumsum(coarse.length, dtype=np.int64)
    column = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - coarse.length - coarse.col, coarse.length)
    start = column * fitting.factor + fitting.col
    inside = (start >= 0) & (start + fitting.factor <= shape[1])
    return np.asarray(inside & np.repeat(_rows_within(coarse.row, shape[0], fitting), coarse.length))


def joined(indexes: Sequence[SpanIndex]) -> SpanIndex:
    """Indexes of one grid as one: the parcels of each follow those of the one before, and so do their pools."""
    starts: Ints = np.append(0, np.cumsum([len(index.row) for index in indexes]))
    offsets = [index.offsets[:-1] + start for index, start in zip(indexes, starts[:-1], strict=True)]
    row, col, length = (
        np.concatenate([getattr(index, name) for index in indexes]) for name in ("row", "col", "length")
    )
    return SpanIndex(indexes[0].shape, indexes[0].transform, np.concatenate([*offsets, starts[-1:]]), row, col, length)


def averaged(pixels: Floats, factor: int) -> Floats:
    """Means of squares of factor x factor pixels of a 2-D array, NaN where one of them is NaN."""
    height, width = pixels.shape
    return np.asarray(pixels.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3)))
