"""Types of values in the file of a season, and the base of its groups."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, model_validator

from cbm_lake import cards
from cbm_lake.files.dates import day_of

_LONGEST: Final = 731
"""Days of a season at most: more is a mistyped year."""


class Group(BaseModel):
    """A group of keys; others are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _names(value: object) -> object:
    """A list, which may be written as one text with commas."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


def _card(name: str) -> str:
    return cards.get(name).name


Day = Annotated[date, BeforeValidator(day_of)]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]
CardName = Annotated[str, AfterValidator(_card)]


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
