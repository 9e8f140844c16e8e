"""The calendar of a crop check: steps of ten days from the autumn before to a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.errors import InvalidInputError
from cbm_lake.markers.groups import EPOCH

STEP: Final = 10
"""Days of a step."""
_BEGIN: Final = (10, 1)
"""Month and day in the year before with which a season begins: winter crops are sown then."""


@dataclass(frozen=True)
class Calendar:
    """Steps of STEP days, of which the last may be shorter; days are since 1970-01-01."""

    first: int
    last: int
    """Included."""

    @classmethod
    def until(cls, year: int, day: date) -> Calendar:
        """From 1 October of the year before to a day, at most to the end of the year.

        Raises:
            InvalidInputError: the season has hardly begun then.
        """
        begin = date(year - 1, *_BEGIN)
        if day < begin + timedelta(STEP):
            raise InvalidInputError(f"the season of {year} begins on {begin}, so that nothing can be said by {day}")
        return cls((begin - EPOCH).days, (min(day, date(year, 12, 31)) - EPOCH).days)

    @property
    def steps(self) -> int:
        """How many there are."""
        return (self.last - self.first) // STEP + 1

    @property
    def middles(self) -> npt.NDArray[np.int64]:
        """The middle of each step."""
        return np.minimum(self.first + STEP * np.arange(self.steps) + STEP // 2, self.last)
