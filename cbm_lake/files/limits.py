"""Size limits of untrusted rasters and arrays, checked from their headers before anything is allocated.

A raster may be as large as the earth where it is read by windows; what is bounded then is what is decoded at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from cbm_lake.errors import SourceError

LONGEST: Final = 8_000_000
"""Pixels a side: the earth at 5 m."""
BLOCK: Final = 2 * 2**30
"""Bytes that are decoded at once: a scene of Sentinel-1 that is one strip has 1.2 thousand million."""
WHOLE: Final = 256 * 2**20
"""Bytes of an image that is read as a whole: a background of 4096 x 4096 pixels has 50 million."""
AXIS: Final = 50_000_000
"""Values along an axis of a grid of weather: a century by the minute."""


def check_shape(name: str, shape: Sequence[int]) -> None:
    """Refuse more rows or columns than the earth has.

    Raises:
        SourceError: there are.
    """
    if max(shape) > LONGEST:
        raise SourceError(
            f"{name} says that it has {_times(shape)} pixels, more than {LONGEST:,} a side", advice="check the file"
        )


def check_block(name: str, block: Sequence[int], dtype: str | np.dtype[np.generic]) -> None:
    """Refuse blocks (tiles, strips, chunks) of which one alone has more than `BLOCK` bytes.

    Args:
        name: of the raster, for messages.
        block: its sizes along all axes.
        dtype: of its values.

    Raises:
        SourceError: it has.
    """
    size = math.prod(block) * np.dtype(dtype).itemsize
    if size > BLOCK:
        raise SourceError(
            f"{name} is stored in blocks of {_times(block)} {np.dtype(dtype)}, {size:,} bytes each, of which at most "
            f"{BLOCK:,} are decoded at once",
            advice="write it anew in tiles of 512 x 512",
        )


def check_whole(name: str, shape: Sequence[int], dtype: str | np.dtype[np.generic]) -> None:
    """Refuse an image that is read as a whole and has more than `WHOLE` bytes.

    Args:
        name: of the image, for messages.
        shape: its sizes along all axes, bands included.
        dtype: of its values.

    Raises:
        SourceError: it has.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > WHOLE:
        raise SourceError(
            f"{name} says that it has {_times(shape)} values, {size:,} bytes, of which an image may have at most "
            f"{WHOLE:,}",
            advice="check where it is from",
        )


def check_axes(name: str, sizes: Mapping[str, int]) -> None:
    """Refuse an axis with more than `AXIS` values, as its coordinates are read as a whole.

    Raises:
        SourceError: one has.
    """
    for axis, size in sizes.items():
        if size > AXIS:
            raise SourceError(
                f"{name} says that its axis {axis} has {size:,} values, more than {AXIS:,}", advice="check the file"
            )


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))
