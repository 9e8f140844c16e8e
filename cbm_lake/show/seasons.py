"""Seasons of twelve months, and the common year on which several of them are drawn one over the other."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final

from cbm_lake.errors import quoted, wrong_argument

if TYPE_CHECKING:
    import pandas as pd

_LEAP: Final = 2000
"""A year that has a 29 February."""
_FEBRUARY: Final = 2
_AUTUMN: Final = 7
"""From this month on a season begins in the year before that of the declaration."""


@dataclass(frozen=True)
class Season:
    """The season of a year of declaration."""

    year: int
    start: int = 1
    """Month in which it begins; from July on that of the year before."""

    def __post_init__(self) -> None:
        if isinstance(self.start, bool) or self.start not in range(1, 13):
            raise wrong_argument("start", f"{quoted(self.start)} is not right: it is a month, 1 to 12")

    @property
    def first(self) -> date:
        """The first day."""
        return date(self.year - (self.start >= _AUTUMN), self.start, 1)

    @property
    def last(self) -> date:
        """The last day, twelve months after the first."""
        return date(self.first.year + 1, self.start, 1) - timedelta(days=1)

    @property
    def from_autumn(self) -> bool:
        """Whether it begins in the year before."""
        return self.first.year < self.year

    def within(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of the season by their column `time` (naive UTC)."""
        after = str(self.last + timedelta(days=1))
        return rows[(rows["time"] >= str(self.first)) & (rows["time"] < after)].reset_index(drop=True)

    def common(self, times: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
        """Times of the season in the common year: the same day and month for all seasons of that start.

        The February of the common year has 29 days, so that 29 February has a place and 1 March the same in all years.
        """
        import pandas as pd

        years = times.dt.year + _LEAP - self._year_of_february
        return pd.to_datetime(years.astype(str) + times.dt.strftime("-%m-%d %H:%M:%S"))

    @property
    def _year_of_february(self) -> int:
        return self.first.year + (int(self.start > _FEBRUARY))

    def day(self, times: pd.Series[pd.Timestamp]) -> pd.Series[int]:
        """Day of the season: 1 is the first."""
        import pandas as pd

        return (times.dt.normalize() - pd.Timestamp(self.first)).dt.days + 1
