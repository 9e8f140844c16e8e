"""What stands in the file of a season (season.yaml): what one night run does."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, get_type_hints

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, create_model, model_validator

from cbm_lake import extract
from cbm_lake.crops.asking import further, share_of
from cbm_lake.crops.settings import settings_of
from cbm_lake.files.validation import noun
from cbm_lake.lake.export import EXTENSIONS
from cbm_lake.parcels import check_set
from cbm_lake.season.fields import CardName, Crs, Group, Names, Period, Real, Whole
from cbm_lake.season.sources import Source


class Parcels(Group):
    """The file of a parcel set, loaded when it has changed; the options are those of `parcels.load`."""

    path: str
    pid: str | None = None
    crop_name: str | None = None
    crop_code: str | None = None
    layer: str | None = None
    crs: Crs = None
    encoding: str | None = None
    hcat: str | None = None


class Area(Group):
    """A parcel set, over which scenes are extracted and lights judged."""

    aoi: str
    year: Whole
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
_STRICT: Final[Mapping[object, object]] = {int: Whole, float: Real, bool: StrictBool}
"""Types of which the text of a value is refused."""


def _options() -> dict[str, Any]:
    """The options of `extract.plan` that say how, with their types and defaults; lists may be texts with commas."""
    hints, options = get_type_hints(extract.plan), {}
    for name, parameter in inspect.signature(extract.plan).parameters.items():
        if name not in _OF_A_RUN:
            several = "Iterable" in str(hints[name])
            kind = Names | None if several else _STRICT.get(hints[name], hints[name])
            options[name] = (kind, parameter.default)
    return options


if TYPE_CHECKING:

    class Extraction(Group):
        """How a card is extracted: the options of `extract.plan` by their names."""

else:
    Extraction = create_model("Extraction", __base__=Group, **_options())


def _overrides(value: object) -> object:
    if value is not None and not isinstance(value, str | Mapping):
        raise ValueError(f"{noun(value)}, where groups of parameters, or the path of a file of them, is due")
    return value


def _not_empty(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names == ():
        raise ValueError("is empty; leave it out for all, or write markers: null for none")
    return names


def _settings(values: dict[str, Any]) -> dict[str, Any]:
    settings_of(**further(values))
    return values


class Markers(Group):
    """What is detected and judged."""

    parameters: Annotated[dict[str, Any] | str | None, BeforeValidator(_overrides)] = None
    """Overrides of the defaults of markers: groups, or a YAML file of them."""
    scenarios: Annotated[Names | None, AfterValidator(_not_empty)] = None
    """Which are judged; None is all."""


class Crops(Group):
    """How declared crops are checked; the options are those of `crops.check`."""

    alpha: Annotated[Real | Whole | str, AfterValidator(share_of)] = 0.05
    by: Literal["hcat", "crop_code", "crop_name"] | None = None
    groups: dict[str, str] | str | None = None
    """Group by crop, or a YAML file of it."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    since: StrictBool | None = None
    settings: Annotated[dict[str, Any], AfterValidator(_settings)] = Field(default_factory=dict)
    """Further settings by name."""


def _crops(value: object) -> object:
    """true is a check as it is by default, false none."""
    if isinstance(value, bool):
        return Crops() if value else None
    if value is None or isinstance(value, Mapping | Crops):
        return value
    raise ValueError(f"{noun(value)}, where true, false or {{alpha: 5%, …}} is due")


def _writable(path: str) -> str:
    """The path of a file that can be exported to, by its name."""
    if "://" in path:
        raise ValueError(f"exports are files of this machine, not {path}")
    if Path(path).suffix.lower() not in EXTENSIONS:
        raise ValueError(f"cannot export to {path!r}: its name ends in {', '.join(EXTENSIONS)}")
    return path


def _params(values: Mapping[str, Any]) -> Mapping[str, Any]:
    double = sorted(values.keys() & {"self", *Export.model_fields})
    if double:
        raise ValueError(f"no parameter of a statement can have the name {', '.join(double)}")
    return values


class Export(Group):
    """A file for other tools, written anew when something has changed; the options are those of `Lake.export`."""

    what: str
    path: Annotated[str, AfterValidator(_writable)]
    params: Annotated[Mapping[str, Any], AfterValidator(_params)] = Field(default_factory=dict)
    pseudonymous: StrictBool = False
    identifiers: Names = ()
    neutralise: StrictBool | None = None


class Compaction(Group):
    """When signature files are merged."""

    files: Annotated[Whole, Field(ge=2)] = 40
    """So many that no compaction has merged, in one area and year of a card."""


class Guards(Group):
    """What is checked of Sentinel-2's scenes by their pixels."""

    offsets: StrictBool = True
    """Suspects are left out."""
    shifts: StrictBool = True
    """Where the scenes lie; extraction moves parcels by it where it has `shifted`."""


def _both(value: object) -> object:
    """true and false are both guards, or none."""
    if isinstance(value, bool):
        return Guards(offsets=value, shifts=value)
    if isinstance(value, Mapping | Guards):
        return value
    raise ValueError(f"{noun(value)}, where true, false or {{offsets: …, shifts: …}} is due")


class General(Group):
    """What a night run does, but for areas, sources, cards and exports."""

    season: Period | None = None
    workers: Annotated[Whole, Field(ge=0, le=extract.MOST_WORKERS)] | None = None
    """Processes that extract; None is one per core, 0 none beside this one."""
    guard: Annotated[Guards, BeforeValidator(_both)] = Guards()
    """Whether Sentinel-2's offsets and shifts are checked by the data: both, none, or each by its name."""
    markers: Markers | None = Markers()
    """None: only extraction."""
    crops: Annotated[Crops | None, BeforeValidator(_crops)] = None
    """None: declared crops are not checked."""
    compact: Compaction | None = Compaction()
    """None: never."""

    def parameters_in(self, folder: Path) -> Mapping[str, Any] | Path | None:
        """The overrides of the markers' parameters, as `markers.find` takes them; relative paths are in the folder."""
        overrides = self.markers.parameters if self.markers else None
        return folder / overrides if isinstance(overrides, str) else overrides

    def groups_in(self, folder: Path) -> Mapping[str, str] | Path | None:
        """The groups of crops, as `crops.check` takes them; a relative path is in the folder."""
        groups = self.crops.groups if self.crops else None
        return folder / groups if isinstance(groups, str) else groups


class Season(General):
    """What a night run does, as `reading.read` has it from a file."""

    areas: Annotated[tuple[Area, ...], Field(min_length=1)]
    sources: tuple[Source, ...] = ()
    extract: Annotated[dict[CardName, Extraction], Field(min_length=1)]
    exports: tuple[Export, ...] = ()
    file: Annotated[Path, Field(exclude=True)]

    def moves(self, card: str) -> bool:
        """Whether parcels are moved with the shifts of the scenes of a card."""
        return bool(self.extract[card].model_dump()["shifted"])

    def period(self, area: Area) -> Period:
        """The season of an area."""
        period = area.season or self.season
        assert period is not None  # noqa: S101 - `reading`
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
    def groups(self) -> Mapping[str, str] | Path | None:
        """The groups of crops, as `crops.check` takes them."""
        return self.groups_in(self.file.parent)

    @cached_property
    def parameters(self) -> Mapping[str, Any] | Path | None:
        """The overrides of the markers' parameters, as `markers.find` takes them."""
        return self.parameters_in(self.file.parent)
