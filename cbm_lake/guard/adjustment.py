"""Positions of the scenes of a season out of displacements between pairs: a network, adjusted by least squares.

Each pair says s_i - s_j = d. Weights are inverse squares of the pairs' errors, lowered for pairs that fit badly
(Huber); the errors of the positions are scaled by how well pairs fit. Zero is where most scenes of the season lie: the
mean of all positions in Tukey's biweight, in which a displaced scene counts nothing (Beaton and Tukey 1974,
Technometrics 16, 147-185). Of each scene it is the mean of the others, in the same weights: a scene that had a vote on
where zero lies would look less displaced than it is.
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
_LONE: Final = 0.5
"""Weights of the others, of up to 1 each, below which they say nothing of where most lie."""
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
    """(scenes, 2): east, north, about where most scenes lie."""
    zero: Floats
    """(scenes, 2): where most of the other scenes lie, in the same coordinates."""
    error: Floats
    """Standard error of either, (scenes,); without that of zero."""
    frame_error: float
    """Standard error of where zero lies, of either."""


def adjusted(count: int, pairs: Sequence[Pair]) -> Positions:
    """The positions of scenes 0 to `count` - 1; all NaN where fewer than FEWEST are connected."""
    xy, zeros, error = np.full((count, 2), np.nan), np.full((count, 2), np.nan), np.full(count, np.nan)
    connected = _connected(count, pairs)
    if len(connected) < FEWEST:
        return Positions(xy, zeros, error, np.nan)
    number = {scene: n for n, scene in enumerate(connected)}
    used = [pair for pair in pairs if pair.scene in number and pair.other in number]
    design = np.zeros((len(used), len(connected)))
    for row, pair in zip(design, used, strict=True):
        row[number[pair.scene]], row[number[pair.other]] = 1, -1
    positions, variances = _solve(design, used)
    zero, zero_error = centre(positions)
    xy[connected], error[connected] = positions - zero, np.sqrt(variances)
    zeros[connected] = _without_each(positions) - zero
    return Positions(xy, zeros, error, zero_error)


def centre(values: Floats) -> tuple[Floats, float]:
    """Where most of some points, (n, 2), lie; and the standard error of either coordinate."""
    weights, spread = _weighed(values)
    return (weights * values).sum(axis=0) / weights.sum(axis=0), float(spread.mean() / np.sqrt(len(values)))


def _without_each(values: Floats) -> Floats:
    """Where most of some points lie without each of them, (n, 2); with it where the others count nothing."""
    weights, _ = _weighed(values)
    total, other = (weights * values).sum(axis=0), weights.sum(axis=0) - weights
    enough = other > _LONE
    left_out = np.where(enough, weights * values, 0), np.where(enough, weights, 0)
    return np.asarray((total - left_out[0]) / (weights.sum(axis=0) - left_out[1]))


def _weighed(values: Floats) -> tuple[Floats, Floats]:
    """Weights of points in either coordinate, (n, 2), and the spread of either, (2,)."""
    middle = np.median(values, axis=0)
    spread = np.maximum(_SPREAD * np.median(np.abs(values - middle), axis=0), 1e-6)
    for _ in range(20):
        weights = np.maximum(1 - ((values - middle) / (_FAR * spread)) ** 2, 0) ** 2
        middle = (weights * values).sum(axis=0) / weights.sum(axis=0)
    return weights, spread


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
