"""Zonal statistics as data: column, unit and computation of each statistic.

To add one, add a line to `_ALL`: a quantile by its probability, anything else as a formula over statistics that exist.
Tables, views, look-ups, descriptions, `zonal_stats` and the command line follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from cbm_lake.errors import InvalidInputError, quoted

Floats: TypeAlias = npt.NDArray[np.float64]

SUMMARY: Final = ("count", "mean", "std", "min", "max")
"""The statistics that one pass over the pixels gives; all others are quantiles, or formulas over these."""

PIXELS: Final = "pixels"
"""Argument of formulas besides statistics: the number of pixels of the whole parcel, valid or not."""


@dataclass(frozen=True)
class Statistic:
    """One statistic of the valid pixels of a parcel in a band; its column is `<band>_<name>`."""

    name: str
    description: str
    dtype: str = "float32"
    """How tables store it: int32 or float32."""
    unit: str | None = None
    """As UCUM or CF write it; None is that of the band."""
    shifts: bool = False
    """Whether an offset that is added to all pixels is added to it, too."""
    stored: bool = False
    """Whether every extraction stores it; others are stored on request."""
    counts: bool = False
    """Whether it says something of a parcel without valid pixels; others are null there."""
    quantile: float | None = None
    """Probability of the quantile that it is, 0 to 1, interpolated linearly (Hyndman & Fan 1996, type 7)."""
    formula: Callable[..., Floats] | None = None
    """Computes it for all parcels at once from the columns `of`, each float64 of shape (parcels,)."""
    of: tuple[str, ...] = ()
    """Names of statistics, or `PIXELS`, that the formula takes as its arguments."""


def _share(part: Floats, whole: Floats) -> Floats:
    """Part ÷ whole, at most 1; NaN where the whole is 0 or not finite."""
    share = np.full(len(part), np.nan)
    np.divide(part, whole, out=share, where=(whole > 0) & np.isfinite(whole))
    np.minimum(share, 1, out=share)
    return share


_ALL: Final = (
    Statistic("count", "number of pixels", dtype="int32", unit="1", stored=True, counts=True),
    Statistic("mean", "mean", shifts=True, stored=True),
    Statistic("std", "standard deviation of the population", stored=True),
    Statistic("min", "smallest value", shifts=True, stored=True),
    Statistic("max", "greatest value", shifts=True, stored=True),
    Statistic("p25", "25th percentile", shifts=True, stored=True, quantile=0.25),
    Statistic("p50", "median", shifts=True, stored=True, quantile=0.5),
    Statistic("p75", "75th percentile", shifts=True, stored=True, quantile=0.75),
    Statistic("p10", "10th percentile", shifts=True, quantile=0.1),
    Statistic("p90", "90th percentile", shifts=True, quantile=0.9),
    Statistic(
        "valid_share",
        "share that is valid (0 to 1)",
        unit="1",
        counts=True,
        formula=_share,
        of=("count", PIXELS),
    ),
)

STATISTICS: Final = MappingProxyType({statistic.name: statistic for statistic in _ALL})
"""Every statistic by its name, in the order of the columns of a table."""

STORED: Final = tuple(name for name, statistic in STATISTICS.items() if statistic.stored)
"""The statistics that every signature has: count, mean, std, min, max, p25, p50, p75."""

SERIES: Final = ("count", "mean", "std", "min", "p25", "p50", "p75", "max")
"""`STORED` in the order of a time series, which is that of the original library."""

OPTIONAL: Final = tuple(name for name in STATISTICS if name not in STORED)
"""Optional statistics, whose columns are added when they are first requested."""


def check(names: str | Iterable[str]) -> tuple[str, ...]:
    """The statistics of those names, each once, in the order of `STATISTICS`.

    Args:
        names: as a list, or as text with commas.

    Raises:
        InvalidInputError: one of them is no statistic.
    """
    if not isinstance(names, str | Iterable):
        raise InvalidInputError(f"there is no statistic {quoted(names)}; choose from {', '.join(STATISTICS)}")
    asked = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else list(names)
    unknown = [name for name in asked if not isinstance(name, str) or name not in STATISTICS]
    if unknown:
        raise InvalidInputError(
            f"there is no statistic {', '.join(map(quoted, unknown))}; choose from {', '.join(STATISTICS)}"
        )
    return tuple(name for name in STATISTICS if name in asked)


def optional(names: str | Iterable[str]) -> tuple[str, ...]:
    """Those of the statistics of those names that not every signature has; see `check`."""
    return tuple(name for name in check(names) if not STATISTICS[name].stored)
