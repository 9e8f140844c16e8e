"""Majority class of categorical rasters per parcel."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STATISTICS_OF_CLASSES: Final = ("majority", "share", "variety", "count")
"""The class of most pixels, of equally many the least; the part of the pixels that is of it, 0 to 1; how many classes
there are; how many pixels."""


def of_classes(values: Floats, owner: NDArray[np.int64], weights: Floats | None, number: int) -> dict[str, Floats]:
    """Compute STATISTICS_OF_CLASSES per parcel; NaN, and count 0, where a parcel has no pixel.

    Args:
        values: classes of pixels, NaN for nodata.
        owner: the parcel of each pixel, from 0.
        weights: what each pixel counts for; None: 1.
        number: of parcels.
    """
    weights = np.ones(len(values)) if weights is None else weights
    counted = np.isfinite(values) & (weights > 0)
    values, owner, weights = values[counted], owner[counted], weights[counted]
    pairs, position = np.unique(np.column_stack([owner, values]), axis=0, return_inverse=True)
    total = np.bincount(position.reshape(-1), weights, minlength=len(pairs))
    holder = pairs[:, 0].astype(np.int64)
    count = np.bincount(holder, total, minlength=number)
    # of each parcel the heaviest class first, of equally heavy ones the least
    order = np.lexsort([pairs[:, 1], -total, holder])
    first = order[np.flatnonzero(np.diff(holder[order], prepend=-1))]
    majority, share, variety = (np.full(number, np.nan) for _ in range(3))
    majority[holder[first]] = pairs[first, 1]
    share[holder[first]] = total[first] / count[holder[first]]
    variety[holder[first]] = np.bincount(holder, minlength=number)[holder[first]]
    return {"majority": majority, "share": share, "variety": variety, "count": count}
