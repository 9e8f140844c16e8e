"""Compiled fit of a straight edge to the pixels of a parcel: the line on whose two sides they changed by two amounts.

A pixel that the line cuts changed by the mixture of the two amounts in the shares of its area, so that the line is
located within a fraction of a pixel. Least squares over all directions and distances, from coarse to fine.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cbm_lake.zonal.compiled import Floats, compiled

_DIRECTIONS: Final = 16
_STEP: Final = 0.25
"""Pixels between the lines of one direction that are tried."""
_SAMPLE: Final = 400
"""Pixels of a large parcel with which the coarse search is content."""
_BLUR: Final = 1.2
"""Width of the edge that a sensor makes of a sharp one, relative to its pixels."""
LINE: Final = 5
"""Numbers of a line: direction of its normal, distance, change on the near and on the far side, sum of squares."""


@compiled
def fit(y: Floats, x: Floats, change: Floats) -> Floats:
    """The best line: direction of its normal in radians, distance from (0, 0), change on both sides, sum of squares.

    The near side is that of points whose projection on the normal (cos, sin) is less than the distance.

    Args:
        y: row of each pixel, its centre.
        x: column of each.
        change: of each.
    """
    best = np.full(LINE, np.inf)
    stride = max(1, len(change) // _SAMPLE)
    some = (y[::stride].copy(), x[::stride].copy(), change[::stride].copy())
    for number in range(_DIRECTIONS):
        angle = np.pi * number / _DIRECTIONS
        along = some[1] * np.cos(angle) + some[0] * np.sin(angle)
        for k in range(int((along.max() - along.min()) / _STEP)):
            _try(angle, along.min() + k * _STEP, some[0], some[1], some[2], best)
    best[LINE - 1] = np.inf
    _refine(y, x, change, best)
    return best


@compiled
def _refine(y: Floats, x: Floats, change: Floats, best: Floats) -> None:
    """Improve a line by ever smaller steps of direction and distance."""
    turn, step = np.pi / _DIRECTIONS / 2, _STEP / 2
    centre_y, centre_x = y.mean(), x.mean()
    for _ in range(5):
        angle, distance = best[0], best[1]
        pivot = distance - centre_x * np.cos(angle) - centre_y * np.sin(angle)
        for i in range(-2, 3):
            turned = angle + i * turn
            through = pivot + centre_x * np.cos(turned) + centre_y * np.sin(turned)
            for j in range(-2, 3):
                _try(turned, through + j * step, y, x, change, best)
        turn, step = turn / 2, step / 2


@compiled
def _try(angle: float, distance: float, y: Floats, x: Floats, change: Floats, best: Floats) -> None:
    """Replace the best line by this one where the sum of squares is less."""
    n, s, ss, c, sc, cc = len(change), 0.0, 0.0, 0.0, 0.0, 0.0
    cos, sin = np.cos(angle), np.sin(angle)
    for i in range(n):
        share = share_of(distance - x[i] * cos - y[i] * sin, cos, sin)
        s += share
        ss += share * share
        c += change[i]
        sc += share * change[i]
        cc += change[i] * change[i]
    spread = ss - s * s / n
    if spread < 0.5:  # of less than a pixel or two on one side nothing can be said
        return
    slope = (sc - s * c / n) / spread
    squares = cc - c * c / n - slope * slope * spread
    if squares < best[LINE - 1]:
        far = (c - slope * s) / n
        best[0], best[1], best[2], best[3], best[4] = angle, distance, far + slope, far, squares


@compiled
def share_of(inside: float, cos: float, sin: float) -> float:
    """The share of a pixel on the near side of a line, whose centre is `inside` pixels on that side of it."""
    wide, narrow = _BLUR * max(abs(cos), abs(sin)), _BLUR * min(abs(cos), abs(sin))
    far, half = abs(inside), (wide + narrow) / 2
    if far >= half:
        share = 1.0
    elif far <= (wide - narrow) / 2:
        share = 0.5 + far / wide
    else:
        share = 1.0 - (half - far) ** 2 / (2 * wide * narrow)
    return share if inside > 0 else 1.0 - share
