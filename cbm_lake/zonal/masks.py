"""Masks of pixels: a raster with codes of its own grid, looked up for the pixels of parcels on another grid.

Nearest neighbour: a pixel has the code of the pixel of the mask that its centre lies in. The grids need neither the
same pixel size nor the same edges; what lies outside the mask's raster has the code of what is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
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
Flags: TypeAlias = npt.NDArray[np.bool_]
Layer: TypeAlias = tuple[Codes, Ints, Ints]
"""Flattened codes, and what each row and each column of another grid contribute to the position in them."""
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
        return frozen(codes).reshape(-1), frozen((rows + 1) * codes.shape[1]), frozen(cols + 1)

    def resampled(self, transform: Affine, shape: tuple[int, int]) -> Codes:
        """The codes of all pixels of another grid in the same coordinate system."""
        codes, rows, cols = self.on(transform, shape)
        resampled: Codes = codes[rows[:, np.newaxis] + cols]
        return resampled


def _positions(start: float, step: float, count: int, mask_start: float, mask_step: float, mask_count: int) -> Ints:
    """The pixel of the mask, along one axis, that the centre of each pixel lies in; -1 outside."""
    centres = start + (np.arange(count) + 0.5) * step
    positions = np.floor((centres - mask_start) / mask_step)
    return np.where((positions >= 0) & (positions < mask_count), positions, -1).astype(np.int64)


def touched(index: SpanIndex, layers: Sequence[Layer]) -> Flags:
    """Whether each parcel has a pixel that is masked in one of the layers."""
    marked = np.zeros(index.n_parcels, bool)
    for layer in layers:
        _mark(_spans(index), layer, MASKED, marked)
    return marked


def clear_pixels(index: SpanIndex, layers: Sequence[Layer], parcels: Ints) -> tuple[Ints, Ints]:
    """The positions in the pool of the pixels of some parcels that are clear in all layers, int64.

    Returns:
        Positions, parcel by parcel, and where those of each parcel begin and the last ones end.
    """
    offsets = index.pixel_offsets
    sizes = offsets[parcels + 1] - offsets[parcels]
    starts = np.append(0, np.cumsum(sizes))
    clear = np.ones(int(starts[-1]), np.uint8)
    for layer in layers:
        _select(_spans(index), layer, frozen(parcels), clear)
    positions = np.flatnonzero(clear)
    ends = np.searchsorted(positions, starts)
    return positions + np.repeat(offsets[parcels] - starts[:-1], np.diff(ends)), ends


def dilated(masked: Flags, pixels: int) -> Flags:
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
    touched(index, (layer,))
    clear_pixels(index, (layer,), np.arange(index.n_parcels))


def _spans(index: SpanIndex) -> Spans:
    return frozen(index.row), frozen(index.col), frozen(index.length), frozen(index.offsets)


@compiled
def _mark(spans: Spans, layer: Layer, code: int, marked: Flags) -> None:
    """Mark the parcels that have a pixel of a code in a layer."""
    row, col, length, offsets = spans
    codes, rows, cols = layer
    for parcel in range(len(offsets) - 1):
        is_marked = False
        for i in range(offsets[parcel], offsets[parcel + 1]):
            start, first = np.uint64(rows[row[i]]), np.uint64(col[i])
            # no early end inside a span, so that there is no branch for each pixel
            for k in range(np.uint64(length[i])):
                is_marked |= codes[start + np.uint64(cols[first + k])] == code
            if is_marked:
                break
        marked[parcel] |= is_marked


@compiled
def _select(spans: Spans, layer: Layer, parcels: Ints, clear: Codes) -> None:
    """Take from the pixels of some parcels, one parcel after another, those that are not clear in a layer."""
    row, col, length, offsets = spans
    codes, rows, cols = layer
    number = 0
    for n in range(len(parcels)):
        for i in range(offsets[parcels[n]], offsets[parcels[n] + 1]):
            start, first = np.uint64(rows[row[i]]), np.uint64(col[i])
            for k in range(np.uint64(length[i])):
                clear[number] &= codes[start + np.uint64(cols[first + k])] == CLEAR
                number += 1


def coded(masked: Flags, unknown: Flags) -> Codes:
    """Codes of pixels; what is masked is not unknown."""
    codes = np.zeros(masked.shape, np.uint8)
    codes[unknown] = UNKNOWN
    codes[masked] = MASKED
    return codes
