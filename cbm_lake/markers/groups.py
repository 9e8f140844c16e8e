"""What groups of parameters are made of: shares, days, and periods of the year as month-days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=0)]
EPOCH: Final = date(1970, 1, 1)
PARTIAL: Final = ("mown_part", "ploughed_part", "harvested_part")
"""Markers of work on a part of a parcel only: of the table `parts`, not of a detector."""
CROP_CHECK: Final = "crop_check"
"""Marker of the verdict on the declared crop: of the view `crop_checks`, not of a detector."""


class Group(BaseModel):
    """Parameters that belong together; unknown ones are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _is_a_day(text: str) -> str:
    date.fromisoformat(f"2023-{text}")
    return text


MonthDay = Annotated[str, AfterValidator(_is_a_day)]
"""A day of any year as month-day: 05-01."""


class Season(Group):
    """Days of the year, as month-day."""

    start: MonthDay
    end: MonthDay

    def days(self, year: int) -> tuple[int, int]:
        """The first and last day, since 1970-01-01; a start after the end lies in the year before."""
        first = year if self.start <= self.end else year - 1
        start, end = (date.fromisoformat(text) for text in (f"{first}-{self.start}", f"{year}-{self.end}"))
        return (start - EPOCH).days, (end - EPOCH).days
