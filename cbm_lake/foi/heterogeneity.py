"""foi_h: whether a class has a share of the parcel between two thresholds, and the shares of all classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Counts = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_TIE = 1e-6
_LOST = 1e-13
"""More than a product of a number up to 100 loses by rounding, and far less than shares differ."""


def between(counts: Counts, low: float, high: float) -> Flags:
    """Whether any class that occurs has low <= share <= high, in % of the counted pixels, unrounded.

    Both sides are multiplied by the number of pixels, so that 29 of 100 pixels are exactly 29 %; what a bound like 1.1
    loses as a binary number is given back.
    """
    total = counts.sum(axis=1, keepdims=True)
    hundredfold, lost = 100.0 * counts, _LOST * total
    inside = (counts > 0) & (hundredfold >= low * total - lost) & (hundredfold <= high * total + lost)
    flags: Flags = np.any(inside, axis=1)
    return flags


def shares(counts: Counts) -> Floats:
    """Share of each class in % with two decimals, as "%.2f" rounds; 0 where there are no pixels."""
    total = counts.sum(axis=1, keepdims=True)
    exact = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0) * 100
    rounded: Floats = np.round(exact, 2)
    # numpy multiplies before it rounds, which can tip what lies halfway to the other side
    halfway = np.abs(exact * 100 % 1 - 0.5) < _TIE
    rounded[halfway] = [float(f"{share:.2f}") for share in exact[halfway]]
    return rounded


def rounded_shares(counts: Counts) -> Floats:
    """Share of each class in %, rounded half away from zero as in SQL; NaN if a parcel has no pixels."""
    total = counts.sum(axis=1, keepdims=True, dtype=np.int64)
    hundredths = (counts.astype(np.int64) * 20_000 + total) // np.maximum(2 * total, 1)
    return np.where(total > 0, hundredths / 100, np.nan)


def rounded_between(rounded: Floats, low: float, high: float) -> Flags:
    """Whether any class, even an absent one, has low <= share <= high of `rounded_shares`."""
    flags: Flags = np.any((rounded >= low) & (rounded <= high), axis=1)
    return flags


def largest(counts: Counts, names: Sequence[str]) -> dict[str, pa.Array]:
    """The class with most pixels, and its share in % (float64); null where there are none."""
    total = counts.sum(axis=1)
    there = pa.array(total > 0)
    share = 100.0 * counts.max(axis=1) / np.maximum(total, 1)
    most = pa.array(names).take(pa.array(counts.argmax(axis=1)))
    return {"largest": pc.if_else(there, most, None), "largest_share": pc.if_else(there, pa.array(share), None)}
