"""Sub-pixel registration of one scene to another of the same grid, by least squares over small tiles.

Both images are blurred. In a tile, scene S and reference R are taken to be S(p) = a R(p - d) + b, with gain a and
offset b of the tile's own, so that growth and harvest of single fields move no result; to first order
S - (a R + b) = -d . gradient, with the mean of both gradients, which makes the next order vanish (the iteration of
Lucas and Kanade 1981, Proc. IJCAI, 674-679, here with a symmetric gradient). Tiles vote by iterated weights (Huber);
the standard error is that of their scatter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from cbm_lake.guard.tilesums import REACH, TILE, Image, Mask, sum_tiles
from cbm_lake.guard.voting import agreed
from cbm_lake.zonal.compiled import Floats, Ints

MARGIN: Final = 10
"""Pixels that a tile lies inside its image: the reach of the blur, of gradients and of the greatest displacement."""
FEWEST: Final = 6
"""Tiles that an estimate needs."""
_BLUR: Final = 0.8
"""Standard deviation in pixels."""
_FARTHEST: Final = 4.0
"""Largest displacement in pixels that is looked for."""
_STEPS: Final = 5
_ENOUGH: Final = 0.02
"""Pixels by which the last step may change the result: what is left of it is far below the floor of the error."""
_ALIKE: Final = 0.5
"""Smallest correlation of a tile that votes."""
_CLEAR: Final = 0.5
"""Smallest clear share of a tile that votes."""
_HUBER: Final = 1.5
_MEDIAN: Final = 1.18
"""Median of the misfit of two equations, in standard deviations of either (Rayleigh)."""
_ROUNDS: Final = 8
"""Of weighing tiles."""
FLOOR: Final = 0.03
"""Standard error in pixels that no estimate is below: visible bands of one scene differ by that much."""
_ALONE: Final = 0.1
"""Standard error in pixels of what one band says alone: red and near infrared differ by that much."""


class Displacement(NamedTuple):
    """By how much one image is displaced against another."""

    right: float
    """Pixels eastwards."""
    down: float
    """Pixels southwards."""
    error: float
    """Standard error of either, in pixels."""
    tiles: int
    """That voted."""


def tiles(shape: tuple[int, int], most: int) -> Ints:
    """Upper left corners (n, 2) of at most `most` tiles that are spread over an image."""
    rows, cols = (np.arange(MARGIN, size - TILE - MARGIN + 1, TILE) for size in shape)
    corners = np.stack(np.meshgrid(rows, cols, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.int64)
    if len(corners) <= most:
        return corners
    return np.asarray(corners[np.linspace(0, len(corners) - 1, most).round().astype(int)])


def blurred(image: Image) -> Image:
    """The image as it serves as a reference."""
    from scipy import ndimage

    taps = _taps(0.0).astype(np.float32)
    across = ndimage.correlate1d(image, taps, axis=1, mode="nearest")
    return np.asarray(ndimage.correlate1d(across, taps, axis=0, mode="nearest"), np.float32)


def register(
    image: Image,
    clear: Mask,
    reference: Image,
    reference_clear: Mask,
    corners: Ints,
    start: tuple[float, float] = (0.0, 0.0),
) -> Displacement | None:
    """By how much an image is displaced against a reference; None where too few tiles are clear and alike.

    Args:
        image: (rows, columns), not blurred.
        clear: its pixels that count.
        reference: blurred, of the same shape.
        reference_clear: its pixels that count.
        corners: of the tiles, see `tiles`.
        start: where to begin, (right, down) in pixels: what another band says.
    """
    moved = np.array(start)
    for _ in range(_STEPS):
        whole = np.rint(moved).astype(np.int64)
        taps = _taps(moved[0] - whole[0]), _taps(moved[1] - whole[1])
        sums = np.zeros((len(corners), 8))
        sum_tiles(image, clear, reference, reference_clear, corners, whole, taps, sums)
        alike = sums[(sums[:, 0] >= _CLEAR * TILE**2) & (sums[:, 1] >= _ALIKE)]
        if len(alike) < FEWEST:
            return None
        step, error = _vote(alike)
        moved += step
        if not np.isfinite([error, *moved]).all() or np.abs(moved).max() > _FARTHEST:
            return None
        if np.abs(step).max() < _ENOUGH:
            break
    return Displacement(float(moved[0]), float(moved[1]), max(error, FLOOR), len(alike))


def together(bands: Sequence[Displacement]) -> Displacement | None:
    """The displacement by all bands of a scene; None where there are none.

    Shadows and harvests move the bands apart: by how much is in the error, as far as several bands tell.
    """
    if not bands:
        return None
    weights = np.array([band.error for band in bands]) ** -2.0
    said = np.array([(band.right, band.down) for band in bands])
    right, down = weights @ said / weights.sum()
    apart = float(np.hypot(*np.ptp(said, axis=0))) / 2 if len(bands) > 1 else _ALONE
    error = math.hypot(float(weights.sum() ** -0.5), apart)
    return Displacement(float(right), float(down), error, max(band.tiles for band in bands))


def _taps(offset: float) -> Floats:
    """Weights of the blur about a point that lies `offset` pixels off the middle one."""
    weights = np.exp(-((np.arange(-REACH, REACH + 1) - offset) ** 2) / (2 * _BLUR**2))
    return np.asarray(weights / weights.sum(), np.float64)


def _vote(sums: Floats) -> tuple[Floats, float]:
    """The displacement on which tiles agree, (right, down), and its standard error.

    Args:
        sums: of each tile, as `sum_tiles` gives them.
    """
    variance, xx, yy, xy, xr, yr = sums[:, 2:].T
    scales = np.sqrt(1 / np.maximum(np.stack([xx, yy]) * variance, 1e-12))
    right, down, error = agreed(np.stack([xx, yy, xy, -xr, -yr]), 1 / variance, scales, _HUBER / _MEDIAN, _ROUNDS)
    return np.array([right, down]), error
