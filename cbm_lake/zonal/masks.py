"""Masks of pixels: a raster with codes of its own grid, looked up for the pixels of parcels on another grid.

Nearest neighbour: a pixel has the code of the pixel of the mask that its centre lies in. The grids need neither the
same pixel size nor the same edges; what lies outside the mask's raster has the code of what is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from affine import Affine

from cbm_lake.zonal.compiled import Ints, Ints32, compiled, frozen
from cbm_lake.zonal.spans import SpanIndex

CLEAR: Final = 0
UNKNOWN: Final = 1
"""Neither known to be clear nor masked."""
MASKED: Final = 2
Codes: TypeAlias = npt.NDArray[np.uint8]
"""CLEAR, UNKNOWN or MASKED of each pixel."""
Layer: TypeAlias = tuple[Codes, Ints32, Ints32]
"""Codes, and the row and the column in them of each row and column of another grid; -1 where it is outside."""
Spans: TypeAlias = tuple[Ints32, Ints32, Ints32, Ints]
"""Row, first column and length of each span, and where each parcel's spans begin."""


@dataclass(frozen=True, eq=False)
class PixelMask:
    """Codes on a grid of their own."""

    codes: Codes
    transform: Affine
    """From (column, row) to map coordinates, without rotation."""
    outside: int = UNKNOWN
    """The code of what lies outside."""

    def on(self, transform: Affine, shape: tuple[int, int]) -> Layer:
        """The mask as it is looked up from another grid in the same coordinate system."""
        height, width = self.codes.shape
        # a border all round, which what lies outside is mapped to
        codes = np.pad(self.codes, 1, constant_values=self.outside)
        rows = _positions(transform.f, transform.e, shape[0], self.transform.f, self.transform.e, height)
        cols = _positions(transform.c, transform.a, shape[1], self.transform.c, self.transform.a, width)
        return frozen(codes), frozen(rows + 1), frozen(cols + 1)

    def resampled(self, transform: Affine, shape: tuple[int, int]) -> Codes:
        """The codes of all pixels of another grid in the same coordinate system."""
        codes, rows, cols = self.on(transform, shape)
        resampled: Codes = codes[rows[:, np.newaxis], cols]
        return resampled


def _positions(start: float, step: float, count: int, mask_start: float, mask_step: float, mask_count: int) -> Ints32:
    """The pixel of the mask, along one axis, that the centre of each pixel lies in; -1 outside."""
    centres = start + (np.arange(count) + 0.5) * step
    positions = np.floor((centres - mask_start) / mask_step)
    return np.where((positions >= 0) & (positions < mask_count), positions, -1).astype(np.int32)


def counted(index: SpanIndex, layers: tuple[Layer, ...]) -> Ints:
    """How many pixels of each parcel are masked in one of the layers, int64."""
    masked = np.zeros(index.n_parcels, np.int64)
    _count(_spans(index), *_two(layers), masked)
    return masked


def clear_pixels(index: SpanIndex, layers: tuple[Layer, ...], parcels: Ints) -> tuple[Ints, Ints]:
    """The positions in the pool of the clear pixels of some parcels, and where those of each begin and the last end."""
    offsets = index.pixel_offsets
    positions = np.empty(int((offsets[parcels + 1] - offsets[parcels]).sum()), np.int64)
    ends = np.zeros(len(parcels) + 1, np.int64)
    _select(_spans(index), *_two(layers), frozen(parcels), frozen(offsets), positions, ends)
    return positions[: ends[-1]], ends


def dilated(masked: npt.NDArray[np.bool_], pixels: int) -> npt.NDArray[np.bool_]:
    """A mask grown by so many pixels to all sides and corners."""
    for axis in (0, 1):
        grown = masked.copy()
        along, source = np.moveaxis(grown, axis, 0), np.moveaxis(masked, axis, 0)
        for step in range(1, min(pixels, len(source) - 1) + 1):
            along[step:] |= source[:-step]
            along[:-step] |= source[step:]
        masked = grown
    return masked


def warm_up(index: SpanIndex) -> None:
    """Compile the kernels, or load them from disk."""
    layer = PixelMask(np.zeros((1, 1), np.uint8), index.transform).on(index.transform, index.shape)
    counted(index, (layer,))
    clear_pixels(index, (layer,), np.arange(index.n_parcels))


def _spans(index: SpanIndex) -> Spans:
    return frozen(index.row), frozen(index.col), frozen(index.length), frozen(index.offsets)


def _two(layers: tuple[Layer, ...]) -> tuple[Layer, Layer]:
    """Two layers, the first one twice where there is only one: kernels are compiled for two."""
    return layers[0], layers[-1]


@compiled
def _count(spans: Spans, first: Layer, second: Layer, masked: Ints) -> None:
    """Count the masked pixels of every parcel."""
    row, col, length, offsets = spans
    codes, rows, cols = first
    others, other_rows, other_cols = second
    for parcel in range(len(offsets) - 1):
        for i in range(offsets[parcel], offsets[parcel + 1]):
            line, other_line = codes[rows[row[i]]], others[other_rows[row[i]]]
            for k in range(col[i], col[i] + length[i]):
                masked[parcel] += max(line[cols[k]], other_line[other_cols[k]]) == MASKED


@compiled
def _select(
    spans: Spans, first: Layer, second: Layer, parcels: Ints, starts: Ints, positions: Ints, ends: Ints
) -> None:
    """Write the positions of the clear pixels of some parcels, one parcel after another."""
    row, col, length, offsets = spans
    codes, rows, cols = first
    others, other_rows, other_cols = second
    number = 0
    for n in range(len(parcels)):
        position = starts[parcels[n]]
        for i in range(offsets[parcels[n]], offsets[parcels[n] + 1]):
            line, other_line = codes[rows[row[i]]], others[other_rows[row[i]]]
            for k in range(col[i], col[i] + length[i]):
                if max(line[cols[k]], other_line[other_cols[k]]) == CLEAR:
                    positions[number] = position
                    number += 1
                position += 1
        ends[n + 1] = number


def coded(masked: npt.NDArray[np.bool_], unknown: npt.NDArray[np.bool_]) -> Codes:
    """Codes of pixels; what is masked is not unknown."""
    codes = np.zeros(masked.shape, np.uint8)
    codes[unknown] = UNKNOWN
    codes[masked] = MASKED
    return codes
