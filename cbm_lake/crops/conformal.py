"""Conformal p-values: how many of the parcels that are declared as a crop look as little like it as this one?

Mondrian (label- and size-conditional) conformal prediction: Vovk, Gammerman & Shafer, Algorithmic learning in a random
world (2005), section 4.5; a gentle introduction: Angelopoulos & Bates, arXiv 2107.07511 (2021). Of a correctly declared
parcel that is exchangeable with those of its cell (crop group and size class), P(p <= alpha) <= alpha.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from cbm_lake.crops.features import Bools, Floats, Ints

FEWEST: Final = 100
"""Parcels of other groups that a size class needs to calibrate agreement by itself."""


def cells_of(groups: Ints, sizes: Ints, usable: Bools, fewest: int, count: int) -> tuple[Ints, Ints]:
    """The cell of each parcel by group and size class; small cells of a group are joined to one.

    Args:
        groups: (n,) number of the group, -1 for none.
        sizes: (n,) number of the size class.
        usable: (n,) parcels that calibrate.
        fewest: parcels that a cell needs.
        count: of the groups.

    Returns:
        (groups, sizes) the size class of the cell by which a parcel of a group and a size is calibrated: -1 is all
        sizes of the group; and (groups, sizes) how many parcels calibrate it.
    """
    parcels = np.zeros((count, sizes.max(initial=0) + 1), np.int64)
    np.add.at(parcels, (groups[usable], sizes[usable]), 1)
    enough = (parcels >= fewest) | (parcels == 0)
    own = np.broadcast_to(np.arange(parcels.shape[1]), parcels.shape)
    cell = np.where(enough.all(axis=1, keepdims=True) & (parcels > 0), own, -1)
    return cell, np.where(cell >= 0, parcels, parcels.sum(axis=1, keepdims=True))


def p_values(scores: Floats, groups: Ints, sizes: Ints, usable: Bools, predicted: Bools, cell: Ints) -> Floats:
    """The conformal p-value of every group for every parcel, calibrated by the other parcels of its cell.

    All scores are of models that saw none of the parcels that they score, and each parcel is treated as any other of
    its cell: those are exchangeable, and no fold need be left out.

    Args:
        scores: (n, groups) how much a parcel looks like a group: any order-preserving scale.
        groups: (n,) declared group, -1 for none.
        sizes: (n,) size class.
        usable: (n,) parcels that calibrate.
        predicted: (n,) parcels with scores.
        cell: (groups, sizes) of `cells_of`.

    Returns:
        (n, groups): (1 + others with a score that is not greater) / (1 + others); NaN where nothing was predicted.
    """
    values = np.full(scores.shape, np.nan)
    for group in range(scores.shape[1]):
        declared = usable & (groups == group)
        for size_class in np.unique(cell[group]):
            inside = declared if size_class < 0 else declared & (sizes == size_class)
            rows = predicted & (cell[group][sizes] == size_class)
            calibration = np.sort(scores[inside, group])
            lower = np.searchsorted(calibration, scores[rows, group], side="right")
            itself = inside[rows]
            values[rows, group] = (1 + lower - itself) / (1 + len(calibration) - itself)
    return values


def agreement(scores: Floats, groups: Ints, sizes: Ints, usable: Bools) -> Floats:
    """The p-value of each declaration against parcels of other groups: how many look as much like it?

    Of a wrong declaration that is exchangeable with the parcels of other groups of its size class, P(p <= alpha) <=
    alpha. Where a size class has too few of them, those of all sizes calibrate it.

    Args:
        scores, groups, sizes, usable: as for `p_values`.

    Returns:
        (n,): (1 + parcels of other groups whose score is not lower) / (1 + parcels of other groups); NaN where nothing
        was predicted or declared.
    """
    values = np.full(len(groups), np.nan)
    for group, size_class in sorted(set(zip(groups[usable].tolist(), sizes[usable].tolist(), strict=True))):
        rows = usable & (groups == group) & (sizes == size_class)
        others = usable & (groups != group)
        alike = others & (sizes == size_class)
        calibration = np.sort(scores[alike if alike.sum() >= FEWEST else others, group])
        lower = np.searchsorted(calibration, scores[rows, group], side="left")
        values[rows] = (1 + len(calibration) - lower) / (1 + len(calibration))
    return values
