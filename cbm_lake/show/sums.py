"""Sums of temperature and of rain since the season began, for years that are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from cbm_lake.errors import counted
from cbm_lake.show.seasons import Season

if TYPE_CHECKING:
    import pandas as pd

TEMPERATURE: Final = "temperature sum"
RAIN: Final = "precipitation sum"
UNITS: Final = {TEMPERATURE: "°C d", RAIN: "mm"}
_MEASURED: Final = {TEMPERATURE: ("tmean", "temperature"), RAIN: ("prec", "precipitation")}
"""Column of the weather, and what it is in words."""


@dataclass(frozen=True)
class Sum:
    """One sum of one season."""

    rows: pd.DataFrame
    """time (naive, midnight), value; until the first day that is missing."""
    note: str = ""
    """What is missing."""


def of(days: pd.DataFrame, season: Season, name: str, base: float) -> Sum:
    """The sum of a season.

    Args:
        days: `time` (midnight), tmean (°C) and prec (mm) of each day, of any years.
        season: which.
        name: TEMPERATURE, in °C d above `base`, or RAIN, in mm.
        base: °C; a day counts by how far its mean is above it, or not at all.

    Returns:
        Its days up to the first one that is missing: a sum across a gap would be too small.
    """
    import pandas as pd

    column, measured = _MEASURED[name]
    calendar = pd.date_range(season.first, season.last)
    one = days.drop_duplicates("time").set_index("time")[column].astype(np.float64).reindex(calendar)
    counted = (one - base).clip(lower=0) if name == TEMPERATURE else one
    sums = counted.cumsum(skipna=False)
    rows = pd.DataFrame({"time": calendar, "value": sums.to_numpy()}).dropna().reset_index(drop=True)
    return Sum(rows, _note(one, season, measured))


def _note(one: pd.Series[float], season: Season, measured: str) -> str:
    """What is missing before the last day that is known."""
    if one.isna().all():
        return f"{season.year}: no {measured} is loaded"
    loaded = one[: one.last_valid_index()]
    missing = loaded.index[loaded.isna()]
    if not len(missing):
        return ""
    first = f"{missing[0]:%-d %B %Y}"
    more = f" and {counted(len(missing) - 1, 'more day')}" if len(missing) > 1 else ""
    ends = "there is no sum" if missing[0] == one.index[0] else "its sum ends before"
    return f"{season.year}: no {measured} of {first}{more}, so that {ends}"


def common(season: Season, rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a curve on the common year."""
    nothing = {"low": np.nan, "high": np.nan}
    dates = rows["time"].dt.strftime("%Y-%m-%d")
    return rows.assign(date=dates, time=season.common(rows["time"]), **nothing)
