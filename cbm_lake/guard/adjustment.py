"""Positions of the scenes of a season out of displacements between pairs: a network, adjusted by least squares.

Each pair says s_i - s_j = d. Weights are inverse squares of the pairs' errors, lowered for pairs that fit badly
(Huber); the errors of the positions are scaled by how well pairs fit. Zero is where most scenes of the season lie: the
mean of all positions in Tukey's biweight, in which a displaced scene counts nothing (Beaton and Tukey 1974,
Technometrics 16, 147-185).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from cbm_lake.zonal.compiled import Floats

FEWEST: Final = 3
"""Scenes that have a common position."""
_HUBER: Final = 1.5
_FAR: Final = 3.0
"""Standard deviations from which a scene counts nothing in where most lie."""
_SPREAD: Final = 1.4826
"""Standard deviation in median absolute deviations."""


class Pair(NamedTuple):
    """By how much a scene is displaced against another one."""

    scene: int
    other: int
    east: float
    north: float
    error: float
    """Standard error of either."""


class Positions(NamedTuple):
    """Where scenes lie; NaN for those that no pair connects with most of the others."""

    xy: Floats
    """(scenes, 2): east, north."""
    error: Floats
    """Standard error of either, (scenes,); without that of zero."""
    frame_error: float
    """Standard error of where zero lies, of either."""


def adjusted(count: int, pairs: Sequence[Pair]) -> Positions:
    """The positions of scenes 0 to `count` - 1; all NaN where fewer than FEWEST are connected."""
    xy, error = np.full((count, 2), np.nan), np.full(count, np.nan)
    connected = _connected(count, pairs)
    if len(connected) < FEWEST:
        return Positions(xy, error, np.nan)
    number = {scene: n for n, scene in enumerate(connected)}
    used = [pair for pair in pairs if pair.scene in number and pair.other in number]
    design = np.zeros((len(used), len(connected)))
    for row, pair in zip(design, used, strict=True):
        row[number[pair.scene]], row[number[pair.other]] = 1, -1
    positions, variances = _solve(design, used)
    zero, zero_error = centre(positions)
    xy[connected], error[connected] = positions - zero, np.sqrt(variances)
    return Positions(xy, error, zero_error)


def centre(values: Floats) -> tuple[Floats, float]:
    """Where most of some points, (n, 2), lie; and the standard error of either coordinate."""
    middle = np.median(values, axis=0)
    spread = np.maximum(_SPREAD * np.median(np.abs(values - middle), axis=0), 1e-6)
    for _ in range(20):
        weights = np.maximum(1 - ((values - middle) / (_FAR * spread)) ** 2, 0) ** 2
        middle = (weights * values).sum(axis=0) / weights.sum(axis=0)
    return middle, float(spread.mean() / np.sqrt(len(values)))


def _connected(count: int, pairs: Sequence[Pair]) -> list[int]:
    """The scenes of the largest group that pairs connect."""
    group = list(range(count))
    for pair in pairs:
        first, second = group[pair.scene], group[pair.other]
        group = [first if name == second else name for name in group]
    largest = max(group, key=group.count, default=None)
    return [scene for scene, name in enumerate(group) if name == largest]


def _solve(design: Floats, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
    """Positions about their mean, (scenes, 2), and the variance of either coordinate."""
    said = np.array([[pair.east, pair.north] for pair in pairs])
    precise = np.array([pair.error for pair in pairs]) ** -2.0
    weights = precise
    for _ in range(10):
        inverse = np.linalg.pinv(design.T @ (weights[:, None] * design))
        positions = inverse @ (design.T @ (weights[:, None] * said))
        misfit = np.hypot(*(said - design @ positions).T) * np.sqrt(precise)
        scale = max(float(np.median(misfit)) / 1.18, 1.0)
        weights = precise * np.minimum(1, _HUBER * scale / np.maximum(misfit, 1e-9))
    free = max(2 * (len(pairs) - design.shape[1] + 1), 1)
    inflation = max(1.0, float((weights / precise) @ misfit**2) / free)
    return positions, np.diag(inverse) * inflation
