"""Spatial blocks and folds: no parcel is judged by a model that saw it or its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from cbm_lake.crops.features import Bools, Floats, Ints
from cbm_lake.crops.settings import Settings

PER_FOLD: Final = 2
"""Blocks of the smallest kind of set that still has blocks: two per fold."""
HALVINGS: Final = 6
"""How often the side of a block is halved, at most, where there are too few."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The folds of n parcels."""

    fold: Ints
    """(n,) number of the fold, from 0."""
    blocks: int
    side_m: float
    """Of a block, in metres; smaller than asked for where the set is small."""
    count: int


def folds_of(x: Floats, y: Floats, settings: Settings, dealing: int = 0) -> Folds:
    """Cut the plane into square blocks and deal them to folds, so that all have about as many parcels.

    Blocks are those of a grid through the origin of the coordinate system; halved up to six times until there are two
    per fold. The largest blocks are dealt first, each to the fold with the fewest parcels.

    Args:
        x, y: (n,) metres.
        settings: block_m, folds, seed.
        dealing: number of the dealing; each deals the same blocks in another way.
    """
    side = settings.block_m
    for _ in range(HALVINGS + 1):
        block, sizes = _blocks(x, y, side)
        if len(sizes) >= PER_FOLD * settings.folds:
            break
        side /= 2
    else:
        side *= 2
    count = max(min(settings.folds, len(sizes)), 1)
    seed = [settings.seed, 1, dealing] if dealing else [settings.seed, 1]
    return Folds(_dealt(sizes, count, seed)[block], len(sizes), side, count)


def _blocks(x: Floats, y: Floats, side: float) -> tuple[Ints, Ints]:
    """The number of each parcel's block, and how many parcels each block has."""
    cells = np.stack([np.floor(x / side), np.floor(y / side)], axis=1)
    _, block, sizes = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    return block.reshape(-1), sizes


def _dealt(sizes: Ints, count: int, seed: list[int]) -> Ints:
    """The fold of each block."""
    luck = np.random.default_rng(seed).random(len(sizes))
    fold, load = np.zeros(len(sizes), np.int64), np.zeros(count, np.int64)
    for block in np.lexsort((luck, -sizes)):
        fold[block] = np.argmin(load)
        load[fold[block]] += sizes[block]
    return fold


def training(folds: Folds, number: int, x: Floats, y: Floats, buffer_m: float) -> Bools:
    """(n,) parcels that the model of a fold may learn from: of other folds, and not nearer than the buffer to it."""
    allowed = np.asarray(folds.fold != number)
    if buffer_m > 0 and allowed.any() and not allowed.all():
        from scipy.spatial import cKDTree

        tree = cKDTree(np.stack([x, y], axis=1)[~allowed])
        distance, _ = tree.query(np.stack([x, y], axis=1), distance_upper_bound=buffer_m)
        allowed &= ~np.isfinite(np.asarray(distance))
    return np.asarray(allowed)
