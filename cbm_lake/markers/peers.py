"""Comparison of each parcel with others of its declared crop: median curves, distances, outlier scores and ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.zonal.compiled import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_AT_ONCE: Final = 20_000
"""Parcels whose distances are computed together."""


@dataclass(frozen=True, eq=False)
class Compared:
    """How each parcel compares with its crop; NaN, or -1 for integers, where it cannot be compared."""

    crops: npt.NDArray[np.object_]
    """The crops that have enough parcels, sorted."""
    correlation: Floats
    """Pearson's correlation with the median curve of the declared crop."""
    distance: Floats
    """Root mean square of the difference from it, in NDVI."""
    score: Floats
    """The distance's modified z-score among the parcels of the crop."""
    rank: Ints
    """Rank of the distance within the crop; 1 is the farthest."""
    members: Ints
    """Number of parcels of the crop that were compared."""
    nearest: Ints
    """Index of the crop whose median curve is nearest."""
    margin: Floats
    """Distance from the nearest other crop as a share of both distances: above 0.5 the declared crop is nearer."""


def compare(curves: Floats, declared: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], least: int) -> Compared:
    """Compare each parcel's curve with the median curves of its own and of the other crops.

    Args:
        curves: (parcels, steps), NaN where unknown; only steps that both curves have are compared.
        declared: crop of each parcel, None where there is none.
        usable: mask of the parcels that contribute to the medians and are compared.
        least: crops with fewer usable parcels have no median curve.
    """
    crops, crop_index = _coded(declared, usable, least)
    medians = np.full((len(crops), curves.shape[1]), np.nan)
    for number in range(len(crops)):
        members = curves[crop_index == number]
        finite = ~np.isnan(members).all(axis=0)
        medians[number, finite] = np.nanmedian(members[:, finite], axis=0)
    parts = range(0, max(len(curves), 1), _AT_ONCE)
    distance = np.concatenate([_distances(curves[begin : begin + _AT_ONCE], medians) for begin in parts])
    compared = crop_index >= 0
    own_distance = np.full(len(curves), np.nan)
    own_distance[compared] = distance[compared, crop_index[compared]]
    distance = np.where(np.isnan(distance), np.inf, distance)
    nearest = np.where(compared & np.isfinite(own_distance), distance.argmin(axis=1) if len(crops) else -1, -1)
    score, rank, count = _ranked(own_distance, crop_index, len(crops))
    correlation = np.full(len(curves), np.nan)
    correlation[compared] = _correlations(curves[compared], medians, crop_index[compared])
    return Compared(
        crops, correlation, own_distance, score, rank, count, nearest, _margins(distance, own_distance, crop_index)
    )


def scores(
    values: Floats, declared: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], least: int
) -> tuple[Floats, Ints, Ints]:
    """Modified z-score, rank (1 is the greatest) and number of compared parcels of each value within its crop."""
    crops, crop_index = _coded(declared, usable, least)
    return _ranked(values, crop_index, len(crops))


def _coded(
    declared: npt.NDArray[np.object_], usable: npt.NDArray[np.bool_], least: int
) -> tuple[npt.NDArray[np.object_], Ints]:
    """The crops with enough usable parcels, and the index of each usable parcel's crop; -1 for all others."""
    named = usable & np.array([crop is not None for crop in declared], bool)
    names, numbers, counts = np.unique(declared[named].astype(str), return_inverse=True, return_counts=True)
    renumbered = np.where(counts >= least, np.cumsum(counts >= least) - 1, -1)
    crop_index = np.full(len(declared), -1)
    crop_index[named] = renumbered[numbers]
    return names[counts >= least].astype(object), crop_index


def _distances(curves: Floats, medians: Floats) -> Floats:
    """Root mean square differences (parcels, crops) over the steps that both have; NaN where they share none."""
    finite, reference = ~np.isnan(curves), ~np.isnan(medians)
    filled_curves, filled_medians = np.where(finite, curves, 0), np.where(reference, medians, 0)
    both = finite.astype(float) @ reference.T
    square = filled_curves**2 @ reference.T - 2 * filled_curves @ filled_medians.T + finite @ (filled_medians**2).T
    return np.asarray(np.sqrt(square.clip(0) / np.where(both > 0, both, np.nan)))


@compiled
def _correlations(curves: Floats, medians: Floats, crop: Ints) -> Floats:
    """Pearson's correlation of each curve with the median curve of its crop; NaN where either is constant.

    Args:
        curves: (parcels, steps), NaN where unknown; only steps that both curves have are compared.
        medians: (crops, steps), likewise.
        crop: index of each parcel's crop.
    """
    result = np.full(len(curves), np.nan)
    for parcel in range(len(curves)):
        curve, median = curves[parcel], medians[crop[parcel]]
        count, curve_sum, median_sum = 0, 0.0, 0.0
        for step in range(len(curve)):
            if not (np.isnan(curve[step]) or np.isnan(median[step])):
                count, curve_sum, median_sum = count + 1, curve_sum + curve[step], median_sum + median[step]
        if count == 0:
            continue
        curve_mean, median_mean = curve_sum / count, median_sum / count
        product, curve_square, median_square = 0.0, 0.0, 0.0
        for step in range(len(curve)):
            if not (np.isnan(curve[step]) or np.isnan(median[step])):
                one, other = curve[step] - curve_mean, median[step] - median_mean
                product, curve_square, median_square = (
                    product + one * other,
                    curve_square + one**2,
                    median_square + other**2,
                )
        size = np.sqrt(curve_square * median_square)
        if size > 1e-12:
            result[parcel] = product / size
    return result


def _ranked(values: Floats, crop_index: Ints, crops: int) -> tuple[Floats, Ints, Ints]:
    """Modified z-score, rank, and number of compared parcels within each parcel's crop."""
    score, rank = np.full(len(values), np.nan), np.full(len(values), -1)
    members = np.full(len(values), -1)
    for crop in range(crops):
        some = np.flatnonzero((crop_index == crop) & np.isfinite(values))
        sample = values[some]
        deviation = np.median(np.abs(sample - np.median(sample))) if len(sample) else 0.0
        # Iglewicz and Hoaglin (1993): 0.6745 makes the median absolute deviation a standard one
        score[some] = 0.6745 * (sample - np.median(sample)) / deviation if deviation > 0 else 0.0
        rank[some[np.argsort(-sample, kind="stable")]] = np.arange(1, len(some) + 1)
        members[some] = len(some)
    return score, rank, members


def _margins(distance: Floats, own_distance: Floats, crop_index: Ints) -> Floats:
    """The distance from the nearest other crop as a share of the sum of both distances."""
    others = distance.copy()
    compared = np.flatnonzero(crop_index >= 0)
    others[compared, crop_index[compared]] = np.inf
    nearest = others.min(axis=1, initial=np.inf)
    comparable = np.isfinite(nearest) & (nearest + own_distance > 0)
    return np.asarray(
        np.divide(nearest, nearest + own_distance, out=np.full(len(own_distance), np.nan), where=comparable)
    )
