"""Kernels of the registration of tiles: blur about a displaced point, moments, and sums over gradients."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.zonal.compiled import Floats, Ints, compiled

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

TILE: Final = 32
"""Pixels a side."""
REACH: Final = 4
"""Pixels to either side over which is blurred."""


@compiled
def sum_tiles(
    image: Image,
    clear: Mask,
    reference: Image,
    reference_clear: Mask,
    corners: Ints,
    whole: Ints,
    taps: tuple[Floats, Floats],
    sums: Floats,
) -> None:
    """Of each tile: clear pixels, correlation, variance of the residual, and xx, yy, xy, xr, yr (see `_gradients`).

    Args:
        image: not blurred.
        clear: its pixels that count.
        reference: blurred.
        reference_clear: its pixels that count.
        corners: rows and columns at which tiles begin, (n, 2).
        whole: whole pixels, (right, down), by which the image is displaced.
        taps: weights of the blur across and down, about a point that lies off the middle by the rest.
        sums: (n, 8), to be filled; zero where a tile has no clear pixels or no texture.
    """
    across = np.empty((TILE + 2 + 2 * REACH, TILE + 2))
    moved = np.empty((TILE + 2, TILE + 2))
    counts = np.empty((TILE + 2, TILE + 2), np.bool_)
    for tile in range(len(corners)):
        top, left = corners[tile, 0] - 1, corners[tile, 1] - 1
        _blur(image, top + whole[1], left + whole[0], taps, across, moved)
        for i in range(TILE + 2):
            for j in range(TILE + 2):
                counts[i, j] = clear[top + i + whole[1], left + j + whole[0]] and reference_clear[top + i, left + j]
        part = reference[top : top + TILE + 2, left : left + TILE + 2]
        n, mean, other, spread, other_spread, common = _moments(moved, part, counts)
        sums[tile, 0] = n
        if spread > 0 and other_spread > 0:
            sums[tile, 1] = common / np.sqrt(spread * other_spread)
            gain = np.sqrt(spread / other_spread)
            squares = _gradients(moved, part, counts, (mean, other, gain), sums[tile])
            sums[tile, 2] = squares / n + 1e-6 * spread / n


@compiled
def _blur(image: Image, top: int, left: int, taps: tuple[Floats, Floats], across: Floats, moved: Floats) -> None:
    """The blurred image of a tile and the pixels next to it, from row `top` and column `left` on."""
    for i in range(TILE + 2 + 2 * REACH):
        for j in range(TILE + 2):
            total = 0.0
            for k in range(2 * REACH + 1):
                total += taps[0][k] * image[top - REACH + i, left - REACH + j + k]
            across[i, j] = total
    for i in range(TILE + 2):
        for j in range(TILE + 2):
            total = 0.0
            for k in range(2 * REACH + 1):
                total += taps[1][k] * across[i + k, j]
            moved[i, j] = total


@compiled
def _moments(moved: Floats, reference: Image, counts: Mask) -> tuple[int, float, float, float, float, float]:
    """Number of pixels, both means, both sums of squares and that of products, about the means."""
    n = 0
    first = other = squares = other_squares = products = 0.0
    for i in range(1, TILE + 1):
        for j in range(1, TILE + 1):
            if counts[i, j]:
                n += 1
                a, b = moved[i, j], float(reference[i, j])
                first, other = first + a, other + b
                squares, other_squares, products = squares + a * a, other_squares + b * b, products + a * b
    first, other = first / max(n, 1), other / max(n, 1)
    return n, first, other, squares - n * first**2, other_squares - n * other**2, products - n * first * other


@compiled
def _gradients(moved: Floats, reference: Image, counts: Mask, fit: tuple[float, float, float], sums: Floats) -> float:
    """Fill in the sums xx, yy, xy, xr, yr over gradients x, y and the residual r; returns that of the squares of r.

    Args:
        moved: the image.
        reference: the other one.
        counts: the pixels that count.
        fit: means of both, and the gain of the image.
        sums: of the tile.
    """
    mean, other, gain = fit
    squares = xx = yy = xy = xr = yr = 0.0
    for i in range(1, TILE + 1):
        for j in range(1, TILE + 1):
            if counts[i, j]:
                x = 0.25 * (moved[i, j + 1] - moved[i, j - 1] + gain * (reference[i, j + 1] - reference[i, j - 1]))
                y = 0.25 * (moved[i + 1, j] - moved[i - 1, j] + gain * (reference[i + 1, j] - reference[i - 1, j]))
                residual = moved[i, j] - mean - gain * (reference[i, j] - other)
                squares += residual * residual
                xx, yy, xy = xx + x * x, yy + y * y, xy + x * y
                xr, yr = xr + x * residual, yr + y * residual
    sums[3], sums[4], sums[5], sums[6], sums[7] = xx, yy, xy, xr, yr
    return squares
