"""Each parcel beside the others of its declared crop: the median curve, distance from it, and rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_AT_ONCE: Final = 20_000
"""Parcels whose distances are taken together."""


@dataclass(frozen=True, eq=False)
class Compared:
    """How each parcel compares; NaN, and -1 for numbers, where it cannot be compared."""

    crops: npt.NDArray[np.object_]
    """The crops that have enough parcels, in order."""
    correlation: Floats
    """Pearson's, with the median curve of the declared crop."""
    distance: Floats
    """Root mean square of the difference from it, in NDVI."""
    score: Floats
    """The distance's modified z-score among the parcels of the crop."""
    rank: Ints
    """1 is the farthest of its crop."""
    members: Ints
    """Parcels of the crop that were compared."""
    nearest: Ints
    """Number of the crop whose median curve is nearest."""
    margin: Floats
    """Distance from the nearest other crop as a share of both distances: above 0.5 the declared crop is nearer."""


def compare(curves: Floats, declared: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], least: int) -> Compared:
    """Hold each parcel's curve against the median curve of its crop and of the others.

    Args:
        curves: (parcels, steps), NaN where nothing is known; only steps that both have are compared.
        declared: crop of each parcel, None where there is none.
        usable: which parcels make the median and are compared.
        least: crops with fewer usable parcels have no median curve.
    """
    crops, own = _coded(declared, usable, least)
    medians = np.full((len(crops), curves.shape[1]), np.nan)
    for number in range(len(crops)):
        members = curves[own == number]
        known = ~np.isnan(members).all(axis=0)
        medians[number, known] = np.nanmedian(members[:, known], axis=0)
    parts = range(0, max(len(curves), 1), _AT_ONCE)
    distance = np.concatenate([_distances(curves[begin : begin + _AT_ONCE], medians) for begin in parts])
    held = own >= 0
    mine = np.full(len(curves), np.nan)
    mine[held] = distance[held, own[held]]
    distance = np.where(np.isnan(distance), np.inf, distance)
    nearest = np.where(held & np.isfinite(mine), distance.argmin(axis=1) if len(crops) else -1, -1)
    score, rank, count = _ranked(mine, own, len(crops))
    correlation = np.full(len(curves), np.nan)
    correlation[held] = _correlations(curves[held], medians[own[held]])
    return Compared(crops, correlation, mine, score, rank, count, nearest, _margins(distance, mine, own))


def scores(
    values: Floats, declared: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], least: int
) -> tuple[Floats, Ints, Ints]:
    """Each value's modified z-score, rank (1 is the greatest) and how many are compared, within the declared crop."""
    crops, own = _coded(declared, usable, least)
    return _ranked(values, own, len(crops))


def _coded(
    declared: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], least: int
) -> tuple[npt.NDArray[np.object_], Ints]:
    """The crops of enough usable parcels, and the number of each usable parcel's; -1 for all others."""
    named = usable & np.array([crop is not None for crop in declared], bool)
    names, numbers, counts = np.unique(declared[named].astype(str), return_inverse=True, return_counts=True)
    renumbered = np.where(counts >= least, np.cumsum(counts >= least) - 1, -1)
    own = np.full(len(declared), -1)
    own[named] = renumbered[numbers]
    return names[counts >= least].astype(object), own


def _distances(curves: Floats, medians: Floats) -> Floats:
    """Root mean square differences (parcels, crops) over the steps that both have; NaN where there is none."""
    known, reference = ~np.isnan(curves), ~np.isnan(medians)
    left, right = np.where(known, curves, 0), np.where(reference, medians, 0)
    both = known.astype(float) @ reference.T
    square = left**2 @ reference.T - 2 * left @ right.T + known @ (right**2).T
    return np.asarray(np.sqrt(square.clip(0) / np.where(both > 0, both, np.nan)))


def _correlations(curves: Floats, medians: Floats) -> Floats:
    """Pearson's correlation of curves with medians, row by row; NaN where either is constant."""
    both = ~np.isnan(curves) & ~np.isnan(medians)
    count = both.sum(axis=1, keepdims=True).clip(1)
    left, right = (np.where(both, part, 0) for part in (curves, medians))
    left, right = (np.where(both, part - part.sum(axis=1, keepdims=True) / count, 0) for part in (left, right))
    size = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    return np.asarray((left * right).sum(axis=1) / np.where(size > 1e-12, size, np.nan))


def _ranked(values: Floats, own: Ints, crops: int) -> tuple[Floats, Ints, Ints]:
    """The modified z-score, the rank and the number of parcels in each parcel's crop."""
    score, rank = np.full(len(values), np.nan), np.full(len(values), -1)
    members = np.full(len(values), -1)
    for crop in range(crops):
        some = np.flatnonzero((own == crop) & np.isfinite(values))
        held = values[some]
        deviation = np.median(np.abs(held - np.median(held))) if len(held) else 0.0
        # Iglewicz and Hoaglin (1993): 0.6745 makes the median absolute deviation a standard one
        score[some] = 0.6745 * (held - np.median(held)) / deviation if deviation > 0 else 0.0
        rank[some[np.argsort(-held, kind="stable")]] = np.arange(1, len(some) + 1)
        members[some] = len(some)
    return score, rank, members


def _margins(distance: Floats, mine: Floats, own: Ints) -> Floats:
    """The distance from the nearest other crop as a share of both."""
    others = distance.copy()
    held = np.flatnonzero(own >= 0)
    others[held, own[held]] = np.inf
    nearest = others.min(axis=1, initial=np.inf)
    known = np.isfinite(nearest) & (nearest + mine > 0)
    return np.asarray(np.divide(nearest, nearest + mine, out=np.full(len(mine), np.nan), where=known))
