"""Types of values in the file of a season, and the base of its groups."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictFloat, StrictInt, model_validator
from pyproj import CRS
from pyproj.exceptions import CRSError

from cbm_lake import cards
from cbm_lake.errors import quoted
from cbm_lake.files.dates import day_of
from cbm_lake.files.validation import meant, noun

_LONGEST: Final = 731
"""Days of a season at most: more is a mistyped year."""


class Group(BaseModel):
    """A group of keys; others are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _names(value: object) -> object:
    """A list, which may be written as one text with commas."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _card(name: object) -> object:
    if isinstance(name, str) and name not in cards.CARDS:
        raise ValueError(f"there is no card {quoted(name)}; {meant(name, cards.CARDS)}")
    return name


def _crs(value: object) -> object:
    """A coordinate system by its name or EPSG code."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise ValueError(f"{noun(value)}, where a coordinate system is due: EPSG:3035, or 3035")
    try:
        CRS.from_user_input(value) if value is not None else None
    except CRSError as error:
        raise ValueError(f"{quoted(value)} is no coordinate system; write it as EPSG:2154") from error
    return value


Day = Annotated[date, BeforeValidator(day_of)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
CardName = Annotated[str, BeforeValidator(_card)]
Crs = Annotated[str | int | None, BeforeValidator(_crs)]
Whole = StrictInt
"""A whole number, not its text."""
Real = StrictFloat
"""A number, whole ones too, not its text."""


class Period(Group):
    """First and last day, included."""

    start: Day
    end: Day

    @model_validator(mode="after")
    def _is_forward(self) -> Period:
        if self.start > self.end:
            raise ValueError(f"the dates are reversed: start {self.start} is after end {self.end}")
        if (self.end - self.start).days > _LONGEST:
            raise ValueError(f"from {self.start} to {self.end} are more than two years; write one file for each season")
        return self
