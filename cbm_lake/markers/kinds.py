"""The kinds of detectors, as models: what each asks for, and what it refuses.

A detector looks over a series, or at the events of other detectors, and detects events of one marker. docs/markers.md
describes each kind, `detection` evaluates them.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from cbm_lake.markers.groups import Group, Share
from cbm_lake.markers.signals import Signal, signal

Finite = Annotated[float, Field(allow_inf_nan=False)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1000)]
Length = Annotated[int, Field(ge=0, le=1000)]
"""Days; more than three seasons is a slip of the pen."""
Day = Literal["start", "main", "end"]
CLAIM: Final = "declared."


def _is_a_day_or_claim(text: str) -> str:
    if text.startswith(CLAIM) and text != CLAIM:
        return text
    try:
        date.fromisoformat(f"2023-{text}")
    except ValueError:
        raise ValueError("it is neither a day of the year, as 05-01, nor a claim, as declared.mown_before") from None
    return text


DayOrClaim = Annotated[str, AfterValidator(_is_a_day_or_claim)]
"""A month-day, or `declared.` and a column of the parcel file: the date that the parcel's own declaration gives."""


def _is_a_series(name: str) -> str:
    signal(name)
    return name


SeriesName = Annotated[str, AfterValidator(_is_a_series)]


class Window(Group):
    """Days from start to end, inclusive: month-days, or dates that the parcel's declaration claims."""

    start: DayOrClaim | None = None
    end: DayOrClaim | None = None

    @model_validator(mode="after")
    def _limits(self) -> Window:
        if self.start is None and self.end is None:
            raise ValueError("say start or end of the window, or both")
        return self

    @property
    def claims(self) -> tuple[str, ...]:
        """The columns of the parcel file that it asks for."""
        return tuple(day.removeprefix(CLAIM) for day in (self.start, self.end) if day and day.startswith(CLAIM))


class Bounds(Group):
    """Dates on which another series of the same day lies between two values."""

    series: SeriesName
    at_least: Finite | None = None
    at_most: Finite | None = None

    @model_validator(mode="after")
    def _limits(self) -> Bounds:
        _check_bounds(self.series, self.at_least, self.at_most)
        return self


class Detector(Group):
    """What all kinds of detectors may ask."""

    window: Window | None = None
    crops: tuple[str, ...] | None = None
    """Only parcels whose declared crop contains one of these words."""
    confidence: Share = 0.0
    """Events of less are left out."""
    longest: bool = False
    """Only the longest event of each parcel."""
    hidden: bool = False
    """No marker is written; other detectors use it."""

    @property
    def needs(self) -> tuple[str, ...]:
        """The detectors without whose events it says nothing."""
        return ()

    @property
    def uses(self) -> tuple[str, ...]:
        """The other detectors whose events it takes into account."""
        return ()

    @property
    def signals(self) -> tuple[str, ...]:
        """The series that it looks over."""
        return ()


class _OverSeries(Detector):
    series: SeriesName
    only_where: Bounds | None = None
    """Only dates on which another series lies between two values."""

    @property
    def signals(self) -> tuple[str, ...]:
        """The series that it looks over."""
        return (self.series, *([self.only_where.series] if self.only_where else []))

    @property
    def of(self) -> Signal:
        """What it looks over."""
        return signal(self.series)

    def _check_step(self, step: float, *levels: float | None) -> None:
        """Refuse levels that the series cannot reach, and a step that is wider than its range."""
        _check_levels(self.of, *levels)
        width = self.of.high - self.of.low
        if step > width:
            raise ValueError(f"{self.series} cannot change by {step:g}; it lies within {width:g}")


class State(_OverSeries):
    """Periods in which the series lies between two values."""

    kind: Literal["state"]
    at_least: Finite | None = None
    at_most: Finite | None = None
    days: Length = 0
    looks: Count = 1

    @model_validator(mode="after")
    def _limits(self) -> State:
        _check_bounds(self.series, self.at_least, self.at_most)
        return self


class Peak(_OverSeries):
    """The highest or lowest value of the season or of the window."""

    kind: Literal["peak"]
    which: Literal["highest", "lowest"] = "highest"


class Drop(_OverSeries):
    """A fall (or rise) of at least `by`, from a value of at least (or at most) `from`, that may have to come back."""

    kind: Literal["drop"]
    direction: Literal["down", "up"] = "down"
    by: Above0
    from_: Annotated[Finite | None, Field(alias="from")] = None
    within: Length
    regain: Share | None = None
    regrowth: Length = 0
    apart: Length = 0

    @model_validator(mode="after")
    def _limits(self) -> Drop:
        self._check_step(self.by, self.from_)
        if self.regain is not None and not self.regrowth:
            raise ValueError("regain needs regrowth, the days in which that share must come back")
        return self


class Stays(Group):
    """Where the series must stay after it crossed a level."""

    below: Finite | None = None
    above: Finite | None = None
    days: Annotated[int, Field(ge=1, le=1000)]


class Threshold(_OverSeries):
    """A step of at least `by` from one date to the next across a level."""

    kind: Literal["threshold"]
    below: Finite | None = None
    above: Finite | None = None
    by: Above0
    stays: Stays | None = None
    apart: Length = 0

    @model_validator(mode="after")
    def _limits(self) -> Threshold:
        if (self.below is None) == (self.above is None):
            raise ValueError("say below or above which level, one of them")
        stays = self.stays
        if stays and ((stays.below is None) != (self.below is None) or (stays.above is None) != (self.above is None)):
            raise ValueError("stays must say below where the detector says below, and above where it says above")
        self._check_step(self.by, self.below, self.above, *([stays.below, stays.above] if stays else []))
        return self


class Gap(_OverSeries):
    """Periods without a value."""

    kind: Literal["gap"]
    days: Annotated[int, Field(ge=1, le=1000)]


class Rise(_OverSeries):
    """Values above the line through the preceding ones, by a constant-false-alarm-rate rule."""

    kind: Literal["rise"]
    by: Above0
    samples: Annotated[int, Field(ge=3, le=100)]
    false_alarm: Annotated[float, Field(gt=0, lt=0.5)]
    least_deviation: Above0
    days: Annotated[int, Field(ge=0, le=60)]

    @model_validator(mode="after")
    def _limits(self) -> Rise:
        self._check_step(self.by)
        return self


class Dip(_OverSeries):
    """Single values below the median of those around them."""

    kind: Literal["dip"]
    by: Above0
    around: Count
    days: Annotated[int, Field(ge=0, le=60)]

    @model_validator(mode="after")
    def _limits(self) -> Dip:
        self._check_step(self.by)
        return self


class End(_OverSeries):
    """Ends for good of the periods of a state detector."""

    kind: Literal["end"]
    ends: str
    grown: Finite
    by: Above0
    away: Length
    days: Length
    dated_by: str | None = None

    @model_validator(mode="after")
    def _limits(self) -> End:
        self._check_step(self.by, self.grown)
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The detectors without whose events it says nothing."""
        return (self.ends,)

    @property
    def uses(self) -> tuple[str, ...]:
        """The other detectors whose events it takes into account."""
        return (self.dated_by,) if self.dated_by else ()


class Tillage(Detector):
    """Dips on ground without cover: the last one before cover begins is sowing, all others are ploughing."""

    kind: Literal["tillage"]
    which: Literal["sowing", "ploughing"]
    dips: str
    cover: str
    harvest: str
    days: Length

    @property
    def needs(self) -> tuple[str, ...]:
        """The detectors without whose events it says nothing."""
        return (self.dips, self.cover, self.harvest)


class Unseen(_OverSeries):
    """Events of another detector within a long time without a value of the series, which was high before and after."""

    kind: Literal["unseen"]
    events: str
    days: Length
    before: Finite
    after: Finite

    @model_validator(mode="after")
    def _limits(self) -> Unseen:
        self._check_step(0, self.before, self.after)
        return self

    @property
    def needs(self) -> tuple[str, ...]:
        """The detectors without whose events it says nothing."""
        return (self.events,)


class Relation(Group):
    """Another detector's event near an event: exactly one of before, after, within, during and overlapping."""

    detector: str
    before: Length | None = None
    after: Length | None = None
    within: Length | None = None
    during: Literal[True] | None = None
    overlapping: Literal[True] | None = None
    its: Day = "main"
    """The day of the other event that counts."""
    from_: Annotated[Day, Field(alias="from")] = "main"
    """The day of this event from which days before and after are counted."""
    confidence: Share = 0.0

    @model_validator(mode="after")
    def _says_where(self) -> Relation:
        relations = (self.before, self.after, self.within, self.during, self.overlapping)
        if sum(value is not None for value in relations) != 1:
            raise ValueError("say one of before, after and within (days), during and overlapping (true)")
        return self


class Near(Group):
    """A detector's events at most so many days away."""

    detector: str
    within: Length


class Combination(Detector):
    """Events of other detectors, chosen by events of further ones, confirmed by them, or united with them."""

    kind: Literal["combination"]
    of: str | None = None
    any_of: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    with_: Annotated[tuple[Relation, ...], Field(alias="with")] = ()
    without: tuple[Relation, ...] = ()
    confirmed_by: Near | None = None
    or_: Annotated[Near | None, Field(alias="or")] = None
    day: Day = "main"
    """The day that must lie in the window."""
    days: Length = 0

    @model_validator(mode="after")
    def _has_events(self) -> Combination:
        if (self.of is None) == (self.any_of is None):
            raise ValueError("say of which detector (of) or of which ones (any_of)")
        if self.any_of and (self.confirmed_by or self.or_):
            raise ValueError("confirmed_by and or need one detector (of), not any_of")
        return self

    @property
    def parts(self) -> tuple[str, ...]:
        """The detectors whose events these are."""
        return self.any_of or (self.of or "",)

    @property
    def needs(self) -> tuple[str, ...]:
        """The detectors without whose events it says nothing."""
        relations = (*self.with_, *self.without)
        return (*self.parts, *(relation.detector for relation in relations))

    @property
    def uses(self) -> tuple[str, ...]:
        """The other detectors whose events it takes into account."""
        return tuple(near.detector for near in (self.confirmed_by, self.or_) if near)


def _check_bounds(series: str, at_least: float | None, at_most: float | None) -> None:
    if at_least is None and at_most is None:
        raise ValueError("say at_least or at_most, or both")
    if at_least is not None and at_most is not None and at_least > at_most:
        raise ValueError(f"at_least {at_least:g} is more than at_most {at_most:g}")
    _check_levels(signal(series), at_least, at_most)


def _check_levels(of: Signal, *levels: float | None) -> None:
    for level in levels:
        if level is not None and not of.low <= level <= of.high:
            raise ValueError(f"{of.name} cannot be {level:g}; it lies between {of.low:g} and {of.high:g}")
