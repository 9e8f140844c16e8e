"""Reading of season.yaml to its end: all that is wrong in it is said at once, each by its line and its key's path."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from cbm_lake import cards
from cbm_lake.cards import indices
from cbm_lake.cards.pixelrule import METHODS, checked_buffer
from cbm_lake.cards.statistics import STATISTICS, optional
from cbm_lake.crops.asking import groups_of
from cbm_lake.errors import InvalidInputError, quoted
from cbm_lake.extract.masks import Mask
from cbm_lake.files import documents, validation
from cbm_lake.files.validation import MISSING, Problem, ProblemsError, meant, nearest, noun, unknown_key
from cbm_lake.lake import Lake
from cbm_lake.markers import parameters
from cbm_lake.season import inputs, targets
from cbm_lake.season.fields import Group, Period
from cbm_lake.season.file import Area, Export, Extraction, General, Season
from cbm_lake.season.sources import KINDS, Source, kind_of

G = TypeVar("G", bound=Group)
T = TypeVar("T")
_MAPPING: Final = "where a mapping (key: value) is due"


def read(path: str | Path, lake: Lake | None = None) -> Season:
    """The season in a YAML file, docs/season.md describes it.

    Args:
        path: of the file.
        lake: which it is to be run in: exports are tried on it, areas without a file need parcels there, and what is
            read has to be there; None leaves these out.

    Raises:
        InvalidInputError: the file cannot be read, or something in it is unknown, missing or wrong. The message has a
            line for each problem, with the file, the line, the path of the key (list members from 0) and what is due.
        SourceError: the lake cannot be read.
    """
    file = Path(path).absolute()
    document, lines = _document(path, file)
    draft = _Draft(document, file)
    season = draft.season()
    problems = [*draft.problems, *_Checks(draft).all()]
    if lake is not None:
        problems += inputs.missing(draft.areas, draft.sources, file.parent)
        problems += inputs.misnamed(draft.areas, file.parent)
        problems += inputs.without_parcels(draft.areas, lake)
        problems += targets.inside(draft.exports, lake, file.parent)
        unsure = any(one.path[:1] == ("extract",) for one in problems)
        problems += targets.statements(draft.exports, draft.cards, lake, unsure=unsure)
    if problems or season is None:
        unique = dict.fromkeys(sorted(_by_themselves(problems), key=lambda one: _line(one, lines)))
        message = "\n".join(f"{path}:{_line(one, lines)}: {one}" for one in unique)
        raise ProblemsError(message, unique)
    return season


def _by_themselves(problems: list[Problem]) -> list[Problem]:
    """The problems without those that another one explains: a key is missing that stands there misspelt."""
    misspelt = {(*one.path[:-1], one.meant) for one in problems}
    return [one for one in problems if one.reason != MISSING or one.path not in misspelt]


def _document(path: str | Path, file: Path) -> tuple[Mapping[str, Any], Mapping[validation.Path, int]]:
    """The document in a file, and the lines of its keys."""
    try:
        document = documents.read_yaml(file)
        lines = documents.lines_of(file.read_text("utf-8-sig"))
    except InvalidInputError as error:
        line, reason = documents.parsing_problem(error)
        message = f"{path}:{line}: cannot be read: {reason}" if line else f"{path} cannot be read ({reason})"
        raise InvalidInputError(message) from error
    if not isinstance(document, Mapping):
        what = "is empty" if document is None else "is no season"
        advice = "write season:, areas:, extract: and, for new scenes, sources: as docs/season.md shows"
        raise InvalidInputError(f"{path} {what}; {advice}")
    return document, lines


def _line(problem: Problem, lines: Mapping[validation.Path, int]) -> int:
    """The line of a problem: of its key, or of the group in which that is missing."""
    path = problem.path
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


@dataclass
class _Draft:
    """The groups of a document that are right by themselves, and the problems of the others."""

    document: Mapping[str, Any]
    file: Path
    problems: list[Problem] = field(default_factory=list)
    general: General | None = None
    areas: dict[int, Area] = field(default_factory=dict)
    sources: dict[int, Source] = field(default_factory=dict)
    cards: dict[str, Extraction] = field(default_factory=dict)
    exports: dict[int, Export] = field(default_factory=dict)

    def season(self) -> Season | None:
        """The season; None where there are problems."""
        names = [name for name in Season.model_fields if name != "file"]
        self.problems += [unknown_key((str(key),), names) for key in self.document if key not in names]
        whole = {key: value for key, value in self.document.items() if key in General.model_fields}
        self.general = self._group(General, whole, ())
        self.areas = self._members("areas", lambda raw, path: self._group(Area, raw, path), required=True)
        self.sources = self._members("sources", self._source)
        self.exports = self._members("exports", lambda raw, path: self._group(Export, raw, path))
        self.cards = self._extraction()
        if self.problems or self.general is None:
            return None
        several: dict[str, Mapping[int, Group]] = {
            "areas": self.areas,
            "sources": self.sources,
            "exports": self.exports,
        }
        groups = {name: tuple(members.values()) for name, members in several.items()}
        own = {name: getattr(self.general, name) for name in General.model_fields}
        return Season.model_validate({**own, **groups, "extract": self.cards, "file": self.file})

    def _group(self, model: type[G], raw: object, path: validation.Path) -> G | None:
        """A group; where some of its keys are wrong, that of the others, as far as they are enough."""
        if not isinstance(raw, Mapping):
            self.problems.append(Problem(path, f"{noun(raw)}, {_MAPPING}"))
            return None
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            self.problems += [one.below(path) for one in validation.problems(error, model, raw)]
            wrong = {one["loc"][0] for one in error.errors() if one["loc"]}
        try:
            return model.model_validate({key: value for key, value in raw.items() if key not in wrong})
        except ValidationError:  # which is said already
            return None

    def _members(
        self, key: str, read_one: Callable[[object, validation.Path], T | None], *, required: bool = False
    ) -> dict[int, T]:
        """The members of a list that are right, by their number."""
        raw = self.document.get(key)
        if key not in self.document:
            self.problems += [Problem((key,), MISSING)] * required
            return {}
        if not isinstance(raw, list):
            self.problems.append(Problem((key,), f"{noun(raw)}, where a list is due"))
            return {}
        if required and not raw:
            self.problems.append(Problem((key,), "is empty; one at least is due"))
        members = {number: read_one(one, (key, number)) for number, one in enumerate(raw)}
        return {number: member for number, member in members.items() if member is not None}

    def _source(self, raw: object, path: validation.Path) -> Source | None:
        kind = kind_of(raw) if isinstance(raw, Mapping) else None
        if kind is None:
            reason = f"a source has one of the keys {', '.join(KINDS)}, which says what it is"
            keys = [key for key in raw if key not in KINDS] if isinstance(raw, Mapping) else []
            advice = next((f"; did you mean {near!r}?" for key in keys if (near := nearest(key, KINDS))), "")
            self.problems.append(Problem(path, reason + advice))
            return None
        return self._group(KINDS[kind], raw, path)

    def _extraction(self) -> dict[str, Extraction]:
        """The cards that are right."""
        raw = self.document.get("extract")
        if not isinstance(raw, Mapping) or not raw:
            words = "is empty; one card at least is due" if raw in ({}, None) else f"{noun(raw)}, {_MAPPING}"
            self.problems.append(Problem(("extract",), words if "extract" in self.document else MISSING))
            return {}
        result = {}
        for name, options in raw.items():
            path = ("extract", str(name))
            if name not in cards.CARDS:
                self.problems.append(Problem(path, f"there is no card {quoted(name)}; {meant(name, cards.CARDS)}"))
                continue
            extraction = self._group(Extraction, options, path)
            if extraction is not None:
                wrong = [*_of_card(cards.get(name), extraction.model_dump())]
                self.problems += [one.below(path) for one in wrong]
                usual = Extraction().model_dump()
                result[name] = extraction.model_copy(
                    update={str(one.path[0]): usual[str(one.path[0])] for one in wrong}
                )
        return result


def _of_card(card: cards.Card, options: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong in how a card is extracted, each option by itself."""
    masking = {name: options[name] for name in ("clear", "dilate", "mask")}
    checks: dict[str, tuple[Callable[[], object], Mapping[str, object]]] = {
        "bands": (lambda: options["bands"] is None or card.check_bands(options["bands"]), card.resolutions),
        "indices": (lambda: indices.check(options["indices"], card), indices.INDICES),
        "statistics": (lambda: optional(options["statistics"]), STATISTICS),
        "inner_buffer": (lambda: checked_buffer(options["inner_buffer"]), {}),
        "mask" if options["mask"] is not None else "dilate": (lambda: Mask.of(card, **masking), {}),
    }
    for name, (check, names) in checks.items():
        try:
            check()
        except InvalidInputError as error:
            value = options[name] if isinstance(options[name], tuple) else ()
            near = [one for item in value if item not in names and (one := nearest(item, names))]
            yield Problem((name,), "; ".join([str(error), *(f"did you mean {one!r}?" for one in near[:1])]))
    if options["rule"] not in METHODS:
        yield Problem(("rule",), f"unknown rule {options['rule']!r}; {meant(options['rule'], METHODS)}")
    if options["shifted"] and card.name != cards.S2.name:
        yield Problem(("shifted",), f"shifts are measured of card {cards.S2.name} alone; leave it out of {card.name}")


@dataclass(frozen=True)
class _Checks:
    """What does not fit together, or to what is on disk."""

    draft: _Draft

    def all(self) -> Iterator[Problem]:
        """All that the file and the disk say."""
        draft, folder = self.draft, self.draft.file.parent
        yield from self._of_areas()
        for number, source in draft.sources.items():
            listed = (self._named("areas"), self._extracted(), self._span())
            yield from (Problem(("sources", number, key), text) for key, text in source.problems(*listed))
        yield from targets.problems(draft.exports, inputs.files(draft.areas, draft.sources, folder), folder)
        if draft.general is not None:
            yield from _of_markers(draft.general, folder)
            yield from _of_crops(draft.general, folder)

    def _raw(self, key: str) -> list[Any] | Mapping[Any, Any]:
        """A list or mapping of the document, an empty list where it is neither."""
        raw = self.draft.document.get(key)
        return raw if isinstance(raw, list | Mapping) else []

    def _named(self, key: str) -> set[str]:
        """The areas of interest of a list, of its wrong members too."""
        return {str(one["aoi"]).lower() for one in self._raw(key) if isinstance(one, Mapping) and "aoi" in one}

    def _extracted(self) -> set[str]:
        """The cards that are extracted; all where one that is unknown may mean any."""
        names = {str(name) for name in self._raw("extract")}
        return names if names and names <= cards.CARDS.keys() else {*cards.CARDS}

    def _season(self, area: Area) -> Period | None:
        return area.season or (self.draft.general.season if self.draft.general else None)

    def _span(self) -> tuple[date, date] | None:
        """The first and the last day of any season; None where one of them is wrong."""
        periods = [self._season(area) for area in self.draft.areas.values()]
        dated = [period for period in periods if period is not None]
        if len(dated) < len(self._raw("areas")) or not dated:
            return None
        return min(one.start for one in dated), max(one.end for one in dated)

    def _of_areas(self) -> Iterator[Problem]:
        keys: dict[tuple[str, int, str], int] = {}
        for number, area in self.draft.areas.items():
            path, period = ("areas", number), self._season(area)
            if keys.setdefault(area.key, number) != number:
                yield Problem(path, f"area {area.name} stands there twice, first as areas[{keys[area.key]}]")
            if period is None:
                if "season" not in self.draft.document and "season" not in self._raw("areas")[number]:
                    yield Problem(path, f"area {area.name} has no season; write season: {{start: …, end: …}}")
            elif not period.start.year <= area.year <= period.end.year:
                span = f"season {period.start} to {period.end}"
                yield Problem((*path, "year"), f"{span} has no day of {area.year}, the year of area {area.name}")


def _of_crops(general: General, folder: Path) -> Iterator[Problem]:
    """What is wrong in the file of groups of crops."""
    try:
        groups_of(general.groups_in(folder))
    except InvalidInputError as error:
        yield Problem(("crops", "groups"), str(error))


def _of_markers(general: General, folder: Path) -> Iterator[Problem]:
    """Parameters and scenarios that are unknown or wrong."""
    if general.markers is None:
        return
    path: validation.Path = ("markers", "parameters")
    try:
        names = parameters.read(general.parameters_in(folder)).scenarios
    except ProblemsError as error:
        inline = isinstance(general.markers.parameters, Mapping)
        yield from (one.below(path) if inline else Problem(path, str(one)) for one in error.problems)
        return
    except InvalidInputError as error:
        yield Problem(path, str(error))
        return
    for number, name in enumerate(general.markers.scenarios or ()):
        if name not in names:
            yield Problem(("markers", "scenarios", number), f"there is no scenario {name!r}; {meant(name, names)}")
