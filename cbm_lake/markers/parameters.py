"""The parameters of the markers: defaults.yaml merged with a caller's overrides, and validated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from cbm_lake.cards import scene_classes
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import validation
from cbm_lake.files.documents import parse_yaml, read_yaml
from cbm_lake.files.validation import Problem, ProblemsError
from cbm_lake.markers.detectors import KINDS, DetectorModel, checked, with_values
from cbm_lake.markers.groups import CROP_CHECK, EPOCH, PARTIAL, Days, MonthDay, Positive, Season, Share
from cbm_lake.markers.groups import Group as _Group
from cbm_lake.markers.kinds import CLAIM

__all__ = ["CLAIM", "EPOCH", "Day", "Parameters", "Rule", "Scenario", "Season", "Where", "defaults", "read"]


class Clear(_Group):
    """What counts as a clear observation of a parcel."""

    screen: Annotated[tuple[Annotated[int, Field(ge=1, le=11)], ...], BeforeValidator(scene_classes)]
    cloud: Share | None
    pixels: Annotated[int, Field(ge=1)] | None
    share: Share | None
    brightest: Positive
    corrupted: float
    dates: Annotated[int, Field(ge=1)]

    @property
    def seen(self) -> dict[str, Any]:
        """The parameters of statements that say how much of a parcel has to be seen: pixels, share."""
        return {"pixels": self.pixels, "share": self.share}

    @property
    def sky(self) -> dict[str, Any]:
        """Those that say which optical looks are clear: screen, cloud, brightest."""
        return {"screen": list(self.screen), "cloud": self.cloud, "brightest": self.brightest}


class Spike(_Group):
    """When a single low value is an undetected cloud."""

    depth: Share
    regain: Share
    days: Days


class Mowing(_Group):
    """When a fall of the NDVI is a cut."""

    season: Season
    falls: Season
    drop: Share
    high: Share
    window: Days
    regain: Share
    regrowth: Days
    confidence: Share
    apart: Days
    samples: Annotated[int, Field(ge=3)]
    false_alarm: Annotated[float, Field(gt=0, lt=0.5)]
    least_deviation: Positive
    coherence_rise: Share
    fusion: Days
    blind: Days


class Cover(_Group):
    """When ground is vegetated and when bare."""

    vegetated: Share
    bare: Share
    days: Days


class Work(_Group):
    """Thresholds that detect ploughing, sowing and harvest."""

    season: Season
    grown: Share
    fall: Share
    away: Days
    ploughed: Share
    coherence_change: Share
    coherence_base: Days
    coherence_days: Annotated[int, Field(ge=1)]
    harvest_days: Days
    sowing_days: Days


class Smooth(_Group):
    """Gap filling, smoothing, and the phenology derived from the smooth curve."""

    step: Annotated[int, Field(ge=1, le=30)]
    lambda_: Annotated[float, Field(gt=0, alias="lambda")]
    start: Share
    end: Share
    amplitude: Share


class Peers(_Group):
    """Comparison of a parcel with others of its crop."""

    least: Annotated[int, Field(ge=2)]
    outlier: Positive
    until: MonthDay | None

    def last_day(self, year: int, end: int) -> int:
        """The last day that is compared, since 1970-01-01; `end` where no day is set."""
        return end if self.until is None else (date.fromisoformat(f"{year}-{self.until}") - EPOCH).days


class Judging(_Group):
    """When a light may be said."""

    looks: Annotated[int, Field(ge=0)]
    wait: Days


@dataclass(frozen=True)
class Day:
    """A day that a scenario names: of the year, or as each parcel's own claim has it."""

    text: str
    """As it was written."""
    day: str | None
    """Month-day, for all parcels."""
    column: str | None
    """Column of the parcel file with the day of each parcel."""
    shift: int
    """Days that are added."""


_DAY: Final = re.compile(r"(?:declared\.(?P<column>\S.*?)|(?P<day>\d\d-\d\d))(?:\s*(?P<shift>[+-]\s*\d+)\s*days?)?")


def _days(value: object) -> object:
    """The days of a text or a list of them, of which each parcel takes the first that it has."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts:
        raise ValueError(_NO_DAY)
    return tuple(_a_day(text) for text in texts)


def _a_day(text: object) -> Day:
    if isinstance(text, Day):
        return text
    parts = _DAY.fullmatch(text.strip()) if isinstance(text, str) else None
    if parts is None:
        raise ValueError(_NO_DAY)
    if parts["day"]:
        date.fromisoformat(f"2023-{parts['day']}")
    return Day(str(text), parts["day"], parts["column"], int((parts["shift"] or "0").replace(" ", "")))


_NO_DAY: Final = "a day is written 07-31, declared.COLUMN, or declared.COLUMN + 20 days"
When = Annotated[tuple[Day, ...], BeforeValidator(_days)]
"""One day or several, of which each parcel takes the first that it has."""


class Practices(_Group):
    """Periods and thresholds of practices, which the detectors of defaults.yaml ask for."""

    winter_season: Season
    summer_season: Season
    n_fixing: Season
    catch_crop: Season
    sensitive: Season
    fallow: Season
    first_mowing: Season
    later_mowing: Season
    after_harvest: Days
    least_cover: Days
    bared: Days
    residue: Annotated[float, Field(ge=-1, le=1)]
    not_green: Annotated[float, Field(ge=-1, le=1)]


class Parts(_Group):
    """When a part of a parcel was mown or ploughed while the rest was not."""

    inside: Annotated[float, Field(ge=0)]
    smallest: Positive
    pixels: Annotated[int, Field(ge=3)]
    drop: Share
    lag: Share
    contrast: Positive
    evidence: float
    sharpness: Share
    contiguity: Annotated[float, Field(ge=0)]
    noise: Positive
    inner: Share
    small: Annotated[int, Field(ge=0)]
    share: Share
    confirmed: Share
    days: Days
    dilate: Annotated[int, Field(ge=0, le=10)]
    shift: Annotated[float, Field(ge=0)]


class Rule(_Group):
    """One rule of a scenario; all of its conditions must hold."""

    colour: Literal["green", "yellow", "red", "cannot be seen"]
    reason: str
    due: When | None = None
    early: bool = False
    marker: str | None = None
    type: str | None = None
    from_: Annotated[When | None, Field(alias="from")] = None
    to: When | None = None
    within: bool = False
    confidence: Share = 0.0
    at_least: int | None = None
    at_most: int | None = None
    unseen: bool | None = None
    gap: Days | None = None

    @model_validator(mode="after")
    def _counts_a_marker(self) -> Rule:
        if (self.marker is None) != (self.at_least is None and self.at_most is None):
            raise ValueError("a rule that names a marker says at_least or at_most how many, and the other way round")
        if self.marker in PARTIAL and self.colour != "yellow":
            raise ValueError(f"a rule that counts {self.marker} is yellow: parts may be searched later, or again")
        return self


class Where(_Group):
    """Conditions on an attribute of a parcel, a column of parcel_attributes; all of them must hold."""

    at_least: float | None = None
    at_most: float | None = None
    among: tuple[str | int, ...] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Where:
        if self.at_least is None and self.at_most is None and self.among is None:
            raise ValueError("say at_least, at_most or among which values")
        return self


class Scenario(_Group):
    """Rules for the parcels of certain crops and with certain attributes."""

    crops: tuple[str, ...] | None = None
    codes: tuple[str, ...] | None = None
    where: dict[str, Where] = {}  # noqa: RUF012 - pydantic copies it
    claimed: str | None = None
    due: When | None = None
    looks: Annotated[int | None, Field(ge=0)] = None
    example: bool = False
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _is_due(self) -> Scenario:
        if self.due is None and any(rule.due is not None for rule in self.rules):
            raise ValueError("a scenario whose rules are due says itself when the last of them is: due")
        if self.claimed is not None and not self.claimed.startswith(CLAIM):
            raise ValueError(f"claimed names a column of the parcel file: {CLAIM}COLUMN")
        return self

    @model_validator(mode="after")
    def _waits_for_checks(self) -> Scenario:
        if not any(rule.marker == CROP_CHECK for rule in self.rules):
            return self
        if self.due is None or any(rule.early or rule.due is not None for rule in self.rules):
            raise ValueError(
                f"a scenario that counts {CROP_CHECK} is due on one day for all of its rules, and none is early: "
                "before that day a check may still say another thing"
            )
        return self


class Parameters(_Group):
    """All parameters; defaults.yaml documents each one and its source."""

    season: Season
    clear: Clear
    spike: Spike
    mowing: Mowing
    cover: Cover
    work: Work
    smooth: Smooth
    peers: Peers
    judging: Judging
    practices: Practices
    detectors: Annotated[dict[str, DetectorModel], AfterValidator(checked)]
    parts: Parts
    scenarios: dict[str, Scenario]


@cache
def defaults() -> dict[str, Any]:
    """The default parameters, as parsed from defaults.yaml."""
    text = Path(__file__).with_name("defaults.yaml").read_text(encoding="utf-8")
    document: dict[str, Any] = parse_yaml(text)
    return document


def read(changes: Mapping[str, Any] | str | Path | None = None) -> Parameters:
    """The default parameters with a caller's overrides.

    Args:
        changes: groups of parameters as in defaults.yaml, or a YAML file of them; everything else keeps its default. A
            scenario is replaced as a whole, and so is a detector whose `kind` is given; `null` removes either.

    Raises:
        ProblemsError: parameters are unknown or out of range; the message names the first, `problems` has all.
        InvalidInputError: the file cannot be read.
    """
    own = document(changes)
    merged = _merged(defaults(), own)
    mowing = own.get("mowing")
    if isinstance(mowing, Mapping) and "season" in mowing and "falls" not in mowing:
        merged["mowing"]["falls"] = merged["mowing"]["season"]
    for named in ("detectors", "scenarios"):
        if isinstance(merged[named], Mapping):
            merged[named] = {name: item for name, item in merged[named].items() if item is not None}
    merged["detectors"] = with_values(merged["detectors"], merged)
    try:
        return Parameters.model_validate(merged)
    except ValidationError as error:
        problems = [_of_kind(one) for one in validation.problems(error, Parameters, merged)]
        first = problems[0]
        value = validation.value_at(merged, first.path)
        assigned = "" if isinstance(value, Mapping) or value is None else f"={value!r}"
        where = validation.location(first.path)
        message = f"parameter {where}{assigned} is not right: {first.reason}; see defaults.yaml"
        raise ProblemsError(message, problems) from error


def _of_kind(problem: Problem) -> Problem:
    """A problem, where it is that a detector is of no kind in plain words."""
    if problem.reason.startswith(("Input tag", "Unable to extract tag")):
        return Problem(problem.path, f"kind must be one of {', '.join(KINDS)}")
    return problem


def document(changes: Mapping[str, Any] | str | Path | None) -> Mapping[str, Any]:
    """The overrides that a caller gives, read where they are a file; not validated.

    Raises:
        InvalidInputError: the file cannot be read, or is none of parameters.
    """
    if changes is None or isinstance(changes, Mapping):
        return changes or {}
    try:
        document = read_yaml(Path(changes))
    except InvalidInputError as error:
        raise InvalidInputError(f"parameters cannot be read from {changes} ({error}); give a YAML file") from error
    if not isinstance(document, Mapping):
        raise InvalidInputError(f"{changes} holds no parameters; write them as in defaults.yaml, groups with names")
    return document


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The base with `changes` applied; groups are merged, scenarios and detectors of a kind are replaced."""
    result = dict(base)
    for name, value in changes.items():
        below = result.get(name)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and not {"rules", "kind"} & set(value):
            value = _merged(below, value)  # noqa: PLW2901 - completed from the base
        result[name] = value
    return result
