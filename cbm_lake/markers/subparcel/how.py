"""The thresholds of the search for parts of parcels, and the arrays that it works on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int8]
"""1 where a pixel is of the part that fell, 0 where not, -1 where it was not seen on both dates."""


class How(NamedTuple):
    """Thresholds of the search; `parameters.Parts` documents them."""

    drop: float
    """Least fall of the part, and least contrast to the rest."""
    lag: float
    """Least contrast where the part did not fall by as much, but did not grow with the rest."""
    contrast: float
    """The same in standard deviations of a pixel's noise."""
    evidence: float
    """Least difference of BIC."""
    sharpness: float
    """Share of the contrast that the change jumps within three pixels across the edge."""
    contiguity: float
    """Weight of each neighbour of the other class, as a log-likelihood."""
    noise: float
    """Least standard deviation of a pixel's change."""
    pixels: int
    """Least pixels of either class."""
    inner: float
    """Least share of the pixels of either class away from the edge between them."""
    small: int
    """Pixels up to which a parcel is first searched for a straight edge."""
    share: float
    """Least share of a parcel's pixels that a look sees clearly."""
    confirmed: float
    """Share of the fall that must remain at the next look ..."""
    days: int
    """... if that is within so many days."""
