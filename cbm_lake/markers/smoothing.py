"""Whittaker smoothing and gap filling of NDVI series on a regular time grid, and phenological metrics of the curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.markers.parameters import Smooth
from cbm_lake.markers.series import Series
from cbm_lake.zonal.compiled import compiled

Floats = npt.NDArray[np.float64]

_LEAST: Final = 3
"""Minimum number of values of a smooth curve."""


@dataclass(frozen=True, eq=False)
class Curves:
    """Smooth NDVI of every parcel on the same days."""

    day: npt.NDArray[np.int64]
    """The middle of each step, days since 1970-01-01."""
    value: Floats
    """(parcels, steps); NaN before the first and after the last value of a parcel, and where it has fewer than 3."""
    observed: npt.NDArray[np.bool_]
    """Mask (parcels, steps) of the steps with an observed value; the others are filled."""


def curves(series: Series, first: int, last: int, smooth: Smooth) -> Curves:
    """The smooth curve of each parcel from day `first` to day `last`."""
    steps = (last - first) // smooth.step + 1
    mean, weight = _gridded(series, first, steps, smooth.step)
    value = whittaker(mean, weight, smooth.lambda_)
    observed = weight > 0
    inside = np.logical_or.accumulate(observed, axis=1) & np.logical_or.accumulate(observed[:, ::-1], axis=1)[:, ::-1]
    value[~inside | (observed.sum(axis=1) < _LEAST)[:, None]] = np.nan
    return Curves(first + smooth.step * np.arange(steps) + smooth.step // 2, value, observed)


def _gridded(series: Series, first: int, steps: int, step: int) -> tuple[Floats, Floats]:
    """The mean and the number of each parcel's values in each step."""
    total, weight = np.zeros((len(series), steps)), np.zeros((len(series), steps))
    _add(series.offsets, (series.day - first) // step, series.value, total, weight)
    total /= weight.clip(1)
    return total, weight


@compiled
def _add(
    offsets: npt.NDArray[np.int64],
    step: npt.NDArray[np.int32],
    value: npt.NDArray[np.float32],
    total: Floats,
    weight: Floats,
) -> None:
    """Add the values of each parcel (a row) to the totals of their steps, and their numbers to the weights."""
    for parcel in range(len(offsets) - 1):
        for index in range(offsets[parcel], offsets[parcel + 1]):
            total[parcel, step[index]] += value[index]
            weight[parcel, step[index]] += 1


def whittaker(values: Floats, weights: Floats, smoothness: float) -> Floats:
    """The curves z that minimise sum w (y - z)² + smoothness x sum (second differences of z)².

    Eilers (2003), Analytical Chemistry 75, 3631. Values of weight 0 are gaps, which are filled.

    Args:
        values: (curves, steps), at least 3 steps.
        weights: of each value, 0 or more. Curves with fewer than 3 positive weights are undefined.
        smoothness: 0 or more; the penalty lambda, in steps.
    """
    difference = np.diff(np.eye(values.shape[1]), 2, axis=0)
    penalty = smoothness * difference.T @ difference
    bands = np.stack([np.pad(np.diagonal(penalty, -offset), (0, offset)) for offset in (0, 1, 2)])
    weights = np.where(((weights > 0).sum(axis=1) < _LEAST)[:, None], 1.0, weights)
    return _solved(bands, weights, values)


@compiled
def _solved(bands: Floats, weights: Floats, values: Floats) -> Floats:
    """Solve (diag(w) + P) z = w y for each row of w and y, P symmetric with two bands beside its diagonal.

    By P + diag(w) = L D L', Golub and Van Loan, Matrix Computations, 4.1.2, for five bands.

    Args:
        bands: (3, steps): the diagonal of P and the two below it.
        weights: w, (curves, steps).
        values: y, (curves, steps).
    """
    curves, steps = values.shape
    result = np.empty((curves, steps))
    diagonal, first, second = np.empty(steps), np.zeros(steps), np.zeros(steps)
    for curve in range(curves):
        solution = result[curve]
        for step in range(steps):
            pivot, below, right = bands[0, step] + weights[curve, step], bands[1, step], weights[curve, step]
            right *= values[curve, step]
            if step > 0:
                pivot -= diagonal[step - 1] * first[step - 1] ** 2
                below -= diagonal[step - 1] * first[step - 1] * second[step - 1]
                right -= first[step - 1] * solution[step - 1]
            if step > 1:
                pivot -= diagonal[step - 2] * second[step - 2] ** 2
                right -= second[step - 2] * solution[step - 2]
            diagonal[step], first[step], second[step] = pivot, below / pivot, bands[2, step] / pivot
            solution[step] = right
        for step in range(steps - 1, -1, -1):
            solution[step] /= diagonal[step]
            if step + 1 < steps:
                solution[step] -= first[step] * solution[step + 1]
            if step + 2 < steps:
                solution[step] -= second[step] * solution[step + 2]
    return result


def seasons(smooth_curves: Curves, smooth: Smooth) -> dict[str, Floats]:
    """Phenological metrics of the main season of each parcel; NaN where there is none.

    The season lies between the lowest points before and after the peak. It begins where the curve first rises above
    base + start x amplitude and ends where it last falls below base + end x amplitude, each with the base of its side,
    interpolated between steps. Thresholds as in Copernicus HR-VPP.

    Returns:
        start, peak and end (days since 1970-01-01), peak_ndvi, base_ndvi (mean of both sides), amplitude, length_days,
        and integral (NDVI x days from start to end).
    """
    value, day = smooth_curves.value, smooth_curves.day
    peak = np.argmax(np.where(np.isnan(value), -np.inf, value), axis=1)
    top = np.take_along_axis(value, peak[:, None], axis=1)[:, 0]
    trough_before, base_before = _lowest(value, peak, before=True)
    trough_after, base_after = _lowest(value, peak, before=False)
    start = _reached(value, day, trough_before, peak, base_before + smooth.start * (top - base_before))
    far, high = (value.shape[1] - 1 - step for step in (trough_after, peak))  # in reversed time
    end = -_reached(value[:, ::-1], -day[::-1], far, high, base_after + smooth.end * (top - base_after))
    base = (base_before + base_after) / 2
    amplitude = top - base
    none = ~(np.maximum(top - base_before, top - base_after) >= smooth.amplitude)
    inside = (day >= start[:, None]) & (day <= end[:, None])
    integral = smooth.step * np.where(inside, value, 0).sum(axis=1)
    columns = {
        "start": start,
        "peak": day[peak].astype(np.float64),
        "end": end,
        "peak_ndvi": top,
        "base_ndvi": base,
        "amplitude": amplitude,
        "length_days": end - start,
        "integral": integral,
    }
    return {name: np.where(none, np.nan, column) for name, column in columns.items()}


def _lowest(value: Floats, peak: npt.NDArray[np.int64], *, before: bool) -> tuple[npt.NDArray[np.int64], Floats]:
    """Step and value of the minimum on one side of each peak; the peak itself where there is no other value."""
    step = np.arange(value.shape[1])
    side = step <= peak[:, None] if before else step >= peak[:, None]
    index = np.argmin(np.where(side & ~np.isnan(value), value, np.inf), axis=1)
    return index, np.take_along_axis(value, index[:, None], axis=1)[:, 0]


def _reached(
    value: Floats, day: npt.NDArray[np.int64], low: npt.NDArray[np.int64], peak: npt.NDArray[np.int64], level: Floats
) -> Floats:
    """The day after the step `low` on which each curve first reaches its level; NaN where it begins above it."""
    step = np.arange(value.shape[1])
    reached = (step > low[:, None]) & (step <= peak[:, None]) & (value >= level[:, None])
    index = np.argmax(reached, axis=1)
    rows = np.arange(len(value))
    above, below = value[rows, index], value[rows, index - 1]
    share = (level - below) / np.where(above > below, above - below, np.nan)
    crossing = day[index - 1] + share * (day[index] - day[index - 1])
    return np.where(reached.any(axis=1), crossing, np.nan)
