"""Tiles of JPEG 2000 coded with the reversible wavelet 5-3 (ISO/IEC 15444-1, annex F), decoded as machine code.

Every step is of whole numbers, so that the pixels are those of any other decoder.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from cbm_lake.compiling import Ints32, Pixels, lean
from cbm_lake.jp2 import ebcot, packets


def decode(data: Pixels, coding: packets.Coding, extent: tuple[int, int, int, int]) -> Ints32 | None:
    """The pixels of a tile before its level is shifted; None where the data make no sense.

    Args:
        data: bytes of its packets.
        coding: how they are coded.
        extent: top, left, bottom, right of the tile on the reference grid.
    """
    shape = extent[2] - extent[0], extent[3] - extent[1]
    blocks = packets.blocks(data, packets.layout(coding, extent))
    pixels = None if blocks is None else ebcot.decode(data, blocks, shape)
    if pixels is None:
        return None
    spare, even, odd = np.empty(shape, np.int32), np.empty(shape[1] + 2, np.int32), np.empty(shape[1] + 2, np.int32)
    for level in range(coding.levels - 1, -1, -1):
        top, left, bottom, right = packets.resolution(extent, level)
        if top < bottom and left < right:
            _joined(pixels, spare, even, odd, top, left, bottom - top, right - left)
    return pixels


@lean
def _joined(pixels: Any, spare: Any, even: Any, odd: Any, top: Any, left: Any, height: Any, width: Any) -> None:
    """Join the four bands of a level in the upper left of an array into the next finer image, in place.

    Row and column of the image on its own grid say whether it begins with a low or a high coefficient.
    """
    first = top & 1
    low = (height + 1 - first) // 2
    for row in range(height):
        target = 2 * row + first if row < low else 2 * (row - low) + 1 - first
        _row(pixels, row, spare, target, even, odd, left & 1, width)
    if height == 1:
        for col in range(width):
            pixels[0, col] = spare[0, col] >> 1 if first else spare[0, col]
        return
    for row in range(first, height, 2):
        above, below = row - 1 if row else 1, row + 1 if row + 1 < height else row - 1
        for col in range(width):
            pixels[row, col] = spare[row, col] - ((spare[above, col] + spare[below, col] + 2) >> 2)
    for row in range(1 - first, height, 2):
        above, below = row - 1 if row else 1, row + 1 if row + 1 < height else row - 1
        for col in range(width):
            pixels[row, col] = spare[row, col] + ((pixels[above, col] + pixels[below, col]) >> 1)


@lean
def _row(source: Any, row: Any, target: Any, into: Any, even: Any, odd: Any, first: Any, width: Any) -> None:
    """Join the low and high coefficients of a row; each list is padded by its own ends."""
    low = (width + 1 - first) // 2
    high = width - low
    if width == 1:
        target[into, 0] = source[row, 0] >> 1 if first else source[row, 0]
        return
    for col in range(high):
        odd[col + 1] = source[row, low + col]
    odd[0], odd[high + 1] = odd[1], odd[high]
    for col in range(low):
        even[col + 1] = source[row, col] - ((odd[col + first] + odd[col + first + 1] + 2) >> 2)
    even[0], even[low + 1] = even[1], even[low]
    for col in range(low):
        target[into, 2 * col + first] = even[col + 1]
    for col in range(high):
        target[into, 2 * col + 1 - first] = odd[col + 1] + ((even[col - first + 1] + even[col - first + 2]) >> 1)
