"""The file of a season (season.yaml): what one night run does, checked before anything is done."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, get_type_hints

from pydantic import BaseModel, Field, StrictBool, ValidationError, create_model, model_validator

from cbm_lake import cards, extract
from cbm_lake.cards.pixelrule import METHODS
from cbm_lake.errors import InvalidInputError, some
from cbm_lake.files.documents import read_yaml
from cbm_lake.lake.export import EXTENSIONS
from cbm_lake.markers import parameters
from cbm_lake.parcels import check_set
from cbm_lake.season.fields import CardName, Group, Names, Period
from cbm_lake.season.sources import KINDS, Source

_SHOWN: Final = 3
"""Problems of a file that one message names."""


class Parcels(Group):
    """The file of a parcel set, loaded when it has changed; the options are those of `parcels.load`."""

    path: str
    pid: str | None = None
    crop_name: str | None = None
    crop_code: str | None = None
    layer: str | None = None
    crs: str | int | None = None
    encoding: str | None = None


class Area(Group):
    """A parcel set, over which scenes are extracted and lights judged."""

    aoi: str
    year: int
    ptype: str = ""
    parcels: Parcels | None = None
    """None: the set is loaded by other means."""
    season: Period | None = None
    """None is that of the file."""

    @model_validator(mode="after")
    def _is_a_set(self) -> Area:
        check_set(self.aoi, self.year, self.ptype or None)
        return self

    @property
    def key(self) -> tuple[str, int, str]:
        """Its identity, as parcel sets have it."""
        return self.aoi.lower(), self.year, self.ptype

    @property
    def name(self) -> str:
        """As messages name parcel sets: ms 2024, or ms 2024 m."""
        return f"{self.aoi.lower()} {self.year} {self.ptype}".rstrip()


_OF_A_RUN: Final = frozenset({"card", "start", "end", "aoi", "year", "ptype", "again", "dry", "lake", "progress"})
"""Arguments of `extract.plan` that a season gives for all cards, or none."""


class _Extraction(Group):
    """How a card is extracted; see `Extraction`."""

    @model_validator(mode="after")
    def _is_possible(self) -> _Extraction:
        written = self.model_dump()
        if written["rule"] not in METHODS:
            raise ValueError(f"unknown rule {written['rule']!r}; choose from {', '.join(METHODS)}")
        cards.statistics.optional(written["statistics"])
        return self


def _options() -> dict[str, Any]:
    """The options of `extract.plan` that say how, with their types and defaults; lists may be texts with commas."""
    hints, options = get_type_hints(extract.plan), {}
    for name, parameter in inspect.signature(extract.plan).parameters.items():
        if name not in _OF_A_RUN:
            several = "Iterable" in str(hints[name])
            options[name] = (Names | None if several else hints[name], parameter.default)
    return options


if TYPE_CHECKING:

    class Extraction(_Extraction):
        """How a card is extracted: the options of `extract.plan` by their names."""

else:
    Extraction = create_model("Extraction", __base__=_Extraction, **_options())


class Markers(Group):
    """What is detected and judged."""

    parameters: dict[str, Any] | str | None = None
    """Overrides of the defaults of markers: groups, or a YAML file of them."""
    scenarios: tuple[str, ...] | None = None
    """Which are judged; None is all."""


class Export(Group):
    """A file for other tools, written anew when something has changed; the options are those of `Lake.export`."""

    what: str
    path: str
    params: Mapping[str, Any] = Field(default_factory=dict)
    pseudonymous: bool = False
    identifiers: Names = ()
    neutralise: bool | None = None

    @model_validator(mode="after")
    def _can_be_written(self) -> Export:
        if "://" in self.path:
            raise ValueError(f"exports are files of this machine, not {self.path}")
        double = sorted(self.params.keys() & {"self", "what", "path", *type(self).model_fields})
        if double:
            raise ValueError(f"no parameter of a statement can have the name {', '.join(double)}")
        if Path(self.path).suffix.lower() not in EXTENSIONS:
            raise ValueError(f"cannot export to {self.path!r}: its name ends in {', '.join(EXTENSIONS)}")
        return self


class Compaction(Group):
    """When signature files are merged."""

    files: Annotated[int, Field(ge=2)] = 40
    """So many that no compaction has merged, in one area and year of a card."""


class Guards(Group):
    """What is checked of Sentinel-2's scenes by their pixels."""

    offsets: StrictBool = True
    """Suspects are left out."""
    shifts: StrictBool = True
    """Where the scenes lie; extraction moves parcels by it where it has `shifted`."""


class Season(Group):
    """What a night run does."""

    season: Period | None = None
    areas: Annotated[tuple[Area, ...], Field(min_length=1)]
    sources: tuple[Source, ...] = ()
    extract: Annotated[dict[CardName, Extraction], Field(min_length=1)]
    workers: Annotated[int, Field(ge=0)] | None = None
    """Processes that extract; None is one per core, 0 none beside this one."""
    guard: Guards | StrictBool = True
    """Whether Sentinel-2's offsets and shifts are checked by the data: both, none, or each by its name."""
    markers: Markers | None = Markers()
    """None: only extraction."""
    exports: tuple[Export, ...] = ()
    compact: Compaction | None = Compaction()
    """None: never."""
    file: Annotated[Path, Field(exclude=True)]

    @model_validator(mode="after")
    def _fits_together(self) -> Season:
        problems = [*self._problems()]
        if problems:
            raise ValueError(some(problems, _SHOWN))
        return self

    def _problems(self) -> Iterator[str]:
        keys = [area.key for area in self.areas]
        yield from (f"area {area.name} stands there twice" for area in self.areas if keys.count(area.key) > 1)
        paths = [export.path for export in self.exports]
        yield from (f"two exports write {path}" for path in dict.fromkeys(paths) if paths.count(path) > 1)
        for area in self.areas:
            period = area.season or self.season
            if period is None:
                yield f"area {area.name} has no season; write season: {{start: …, end: …}}"
            elif not period.start.year <= area.year <= period.end.year:
                yield f"season {period.start} to {period.end} has no day of {area.year}, the year of area {area.name}"
        for card, extraction in self.extract.items():
            bands = extraction.model_dump()["bands"]
            if bands is not None:
                cards.get(card).check_bands(bands)
        for source in self.sources:
            yield from source.problems({area.aoi.lower() for area in self.areas}, self.extract.keys(), self.span())

    @property
    def guards(self) -> Guards:
        """Which guards are on."""
        both = Guards(offsets=bool(self.guard), shifts=bool(self.guard))
        return self.guard if isinstance(self.guard, Guards) else both

    def moves(self, card: str) -> bool:
        """Whether parcels are moved with the shifts of the scenes of a card."""
        return bool(self.extract[card].model_dump()["shifted"])

    def period(self, area: Area) -> Period:
        """The season of an area."""
        period = area.season or self.season
        assert period is not None  # noqa: S101 - `_problems`
        return period

    def span(self, aoi: str | None = None) -> tuple[date, date] | None:
        """The first and the last day of any season, or of those of an area of interest."""
        periods = [area.season or self.season for area in self.areas if aoi in (None, area.aoi.lower())]
        dated = [period for period in periods if period is not None]
        return (min(one.start for one in dated), max(one.end for one in dated)) if dated else None

    def path(self, text: str) -> str:
        """A path of the file: relative ones are in its folder."""
        return text if "://" in text else str(self.file.parent / text)

    @cached_property
    def parameters(self) -> Mapping[str, Any] | Path | None:
        """The overrides of the markers' parameters, as `markers.find` takes them."""
        overrides = self.markers.parameters if self.markers else None
        return Path(self.path(overrides)) if isinstance(overrides, str) else overrides


def read(path: str | Path) -> Season:
    """The season in a YAML file, docs/season.md describes it.

    Raises:
        InvalidInputError: the file cannot be read, or something in it is unknown, missing or wrong; the message names
            the first of these.
    """
    file = Path(path).absolute()
    try:
        document = read_yaml(file)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path} cannot be read ({error})") from error
    if not isinstance(document, Mapping):
        raise InvalidInputError(f"{path} is no season; write areas:, sources:, extract: as docs/season.md shows")
    if "file" in document:
        raise InvalidInputError(f"{path}: file: is unknown; {_advice('file', Season)}")
    try:
        season = Season.model_validate({**document, "file": file})
        if season.markers is not None:
            _check_markers(season)
    except ValidationError as error:
        raise InvalidInputError(f"{path}: {some(_problems(error), _SHOWN)}") from error
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    return season


def _check_markers(season: Season) -> None:
    """Raise InvalidInputError where parameters or scenarios are unknown or wrong."""
    assert season.markers is not None  # noqa: S101 - the caller's question
    names = parameters.read(season.parameters).scenarios
    unknown = [name for name in season.markers.scenarios or () if name not in names]
    if unknown:
        raise InvalidInputError(
            f"markers.scenarios: there is no scenario {unknown[0]!r}; there are: {', '.join(names)}"
        )


def _problems(error: ValidationError) -> list[str]:
    """Each problem in one line; a list whose members are wrong is not called too short besides."""
    errors = error.errors()
    return [_explained(one) for one in errors if one["type"] != "too_short" or len(errors) == 1]


def _explained(error: Mapping[str, Any]) -> str:
    """A problem of the file in one line: where it is, what is wrong, what to write."""
    location = [str(part) for part in error["loc"]]
    group = _group_of(location[:-1])
    if location[:1] == ["sources"] and len(location) > 2:  # the third part is the kind of the source
        location.pop(2)
    where = _where(location)
    if error["type"] == "extra_forbidden":
        return f"{where} is unknown; {_advice(location[-1], group)}"
    if error["type"] == "missing":
        return f"{where} is missing"
    value = error["input"]
    written = f"={value!r}" if isinstance(value, str | int | float | bool) and where else ""
    reason = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}{written} is not right: {reason}" if where else reason


def _where(location: Iterable[str]) -> str:
    """The place in the file: members of lists are counted from 1."""
    text = ""
    for part in location:
        text += f" no. {int(part) + 1}," if part.isdecimal() else f"{' ' if text.endswith(',') else '.'}{part}"
    return text.removeprefix(".").removesuffix(".[key]").rstrip(",")


def _group_of(location: Iterable[str]) -> type[BaseModel] | None:
    """The group in which a key stands."""
    return _GROUPS.get(".".join(part for part in location if not part.isdecimal()))


def _advice(key: str, group: type[BaseModel] | None) -> str:
    """What may have been meant by a key."""
    names = [name for name in group.model_fields if name != "file"] if group else []
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.7)
    if near:
        return f"did you mean {near[0]}?"
    return f"there are: {', '.join(names)}" if names else "see docs/season.md"


_GROUPS: Final[Mapping[str, type[BaseModel]]] = {
    "": Season,
    "season": Period,
    "areas": Area,
    "areas.parcels": Parcels,
    "areas.season": Period,
    "markers": Markers,
    "exports": Export,
    "compact": Compaction,
    **{f"sources.{kind}": model for kind, model in KINDS.items()},
    **{f"extract.{card}": Extraction for card in cards.CARDS},
}
