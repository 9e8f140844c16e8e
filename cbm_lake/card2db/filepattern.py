"""File name patterns: group files into scenes and parse date, band and tile from their names.

    S1_{date}_{band}.tif    {sensor}/{date}/T{tile}_*_{band}_*m.jp2    **/{date}_{direction}.tif

`*` is any text within a name, `**/` any folders. Files whose placeholders other than {band} agree are one scene.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.storage import access
from cbm_lake.storage.location import Location
from cbm_lake.storage.store import Store

_TOKEN = re.compile(r"\{(?P<name>[^{}]*)\}|(?P<folders>\*\*/)|(?P<any>\*)")
_DAY: Final = r"(?:\d{8}|\d{4}-\d{2}-\d{2}|\d{4}_\d{2}_\d{2})"
_CLOCK: Final = r"(?:T\d{2}(?P<colon>[:-]?)\d{2}(?:(?P=colon)\d{2})?Z?)?"
_FORMS: Final = "20240501, 2024-05-01 or 20240501T055000"
_YEARS: Final = range(2014, 2101)
"""Since the first Sentinel was launched; day, month and year in another order give none of them."""
_PLACEHOLDERS: Final = {
    "date": rf"(?<!\d){_DAY}{_CLOCK}(?!\d)",
    "band": r"(?<![A-Za-z]){known}(?![A-Za-z0-9])",
    "tile": r"[A-Za-z0-9-]+",
    "sensor": r"[A-Za-z0-9-]+",
    "orbit": r"\d{1,3}",
    "direction": r"(?:ascending|descending|asc|desc|a|d)(?![A-Za-z])",
}
_ANY_DATE: Final = r"[^/]*?\d[^/]*?"
_ANY_BAND: Final = r"[A-Za-z0-9]+"
_NUMBERS: Final = (*(f"B{number:02d}" for number in range(2, 13)), *(f"B{number}" for number in range(2, 10)))
"""Bands by number, also those that the card lacks: their files are of the card and left out by name."""


def _names(card: cards.Card) -> tuple[str, ...]:
    """Accepted file name variants of a card's bands."""
    return (*(_NUMBERS if card.is_optical else ()), *card.rasters, *card.aliases)


@dataclass
class Scene:
    """The files of one scene."""

    date: datetime
    has_time: bool
    """Whether its files' names hold the time of day."""
    about: dict[str, str]
    """The other placeholders but {band}, as in the file names."""
    bands: dict[str, Location] = field(default_factory=dict)
    problem: str = ""
    """Why it cannot be a scene; empty if nothing is wrong."""

    @property
    def name(self) -> str:
        """Scene name built from its file names: 20240501T055000_31TEJ."""
        time = f"{self.date:%Y%m%dT%H%M%S}" if self.has_time else f"{self.date:%Y%m%d}"
        return "_".join((time, *self.about.values()))


@dataclass
class Listing:
    """Matches of a pattern."""

    scenes: list[Scene]
    refused: list[str]
    """Files whose names match except for an invalid date or other placeholder, with reasons."""
    others: list[str]
    """Files of the same suffix that do not match."""
    foreign: dict[str, int]
    """How many files are of bands that the card does not have."""

    def remarks(self, card: str) -> list[str]:
        """Remarks on files that belong to no scene."""
        lines = []
        if self.foreign:
            counts = ", ".join(f"{band} ({count})" for band, count in sorted(self.foreign.items()))
            lines.append(f"files of bands that card {card} does not have are left out: {counts}")
        if self.others:
            lines.append(f"{len(self.others)} files do not match the pattern: {some(self.others, 5)}")
        return lines


class Pattern:
    """A file name pattern.

    Args:
        text: folder or s3:// URL and file name with placeholders.
        card: whose bands are looked for.
        bands: what the bands of each file are, in order, - for none; empty where names have {band}.

    Raises:
        InvalidInputError: a placeholder is unknown or missing, or the card has no such band.
    """

    def __init__(self, text: str, card: str, bands: Sequence[str] = ()) -> None:
        self.text, self._card = text, card
        self._bands = [None if band == "-" else _band(band, card) for band in bands]
        if text.startswith(("http://", "https://")):
            raise InvalidInputError(
                f"{text}: a web server does not list its files; catalogue STAC items of them instead"
            )
        names = [match["name"] for match in _TOKEN.finditer(text) if match["name"] is not None]
        unknown = [name for name in names if name not in _PLACEHOLDERS]
        if unknown:
            placeholders = ", ".join(f"{{{name}}}" for name in _PLACEHOLDERS)
            raise InvalidInputError(f"{text}: {{{unknown[0]}}} is not known; there are {placeholders}")
        if "date" not in names:
            raise InvalidInputError(f"{text}: the pattern holds no {{date}}; write it where the date stands")
        if ("band" in names) == bool(bands):
            raise InvalidInputError(
                f"{text}: write {{band}} where the band stands, or name the bands of each file (VV,VH); one of the two"
            )
        start = _TOKEN.search(text)
        self.root, _, self._below = text.rpartition("/") if start is None else _split(text, start.start())
        if "://" not in self.root:
            self.root = str(Path(self.root).absolute())
        known_bands = "|".join(sorted(map(re.escape, _names(cards.get(card))), key=len, reverse=True))
        self._strict = self._compiled({"band": _PLACEHOLDERS["band"].replace("{known}", f"(?:{known_bands})")})
        self._greedy = self._compiled({"band": _PLACEHOLDERS["band"].replace("{known}", f"(?:{known_bands})")}, "")
        self._any_band = self._compiled({"band": _ANY_BAND})
        self._any_date = self._compiled({"band": _ANY_BAND, "date": _ANY_DATE})

    def find(self) -> Listing:
        """Find the scenes whose files match.

        Raises:
            SourceError: there is no such folder, or nothing matches.
        """
        scenes: dict[tuple[object, ...], Scene] = {}
        listing = Listing([], [], [], {})
        for name in sorted(self._names()):
            match = self._strict.fullmatch(name)
            if match is None:
                self._explain(name, listing)
                continue
            try:
                self._take(name, match, scenes)
            except InvalidInputError as error:
                listing.refused.append(str(error))
        listing.scenes = sorted(scenes.values(), key=lambda scene: scene.name)
        if not (listing.scenes or listing.refused):
            others = f"there are {some(listing.others, 5)}" if listing.others else "there is none of that kind"
            foreign = f"; files of {', '.join(sorted(listing.foreign))} are not of card {self._card}"
            raise SourceError(
                f"no file matches {self.text}; in {self.root} {others}{foreign if listing.foreign else ''}"
            )
        return listing

    def _take(self, name: str, match: re.Match[str], scenes: dict[tuple[object, ...], Scene]) -> None:
        """Add a file to its scene."""
        path = f"{self.root}/{name}"
        date, has_time = _date(path, match["date"])
        greedy = self._greedy.fullmatch(name)
        if greedy and _date(path, greedy["date"])[0].date() != date.date():
            raise InvalidInputError(
                f"{path} holds two dates, {match['date']} and {greedy['date']}; say more of its name in the pattern"
            )
        keys = [key for key in sorted(match.groupdict()) if key not in ("date", "band", "colon")]
        about = {key: _checked(path, key, match[key], self._card) for key in keys}
        if Location.of(path).path != path:
            raise InvalidInputError(f"{path}: the end of its name, after #, has a meaning of its own; rename it")
        scene = scenes.setdefault((date, *about.items()), Scene(date, has_time, about))
        bands = [_band(match["band"], self._card)] if "band" in match.groupdict() else self._bands
        for number, band in enumerate(bands, 1 if len(bands) > 1 else 0):
            if band in scene.bands:
                both = f"{scene.bands[band].path} and {path} are both {band} of {scene.name}"
                scene.problem = f"{both}; write what tells them apart into the pattern ({{tile}}, {{orbit}})"
            elif band is not None:
                scene.bands[band] = Location(path, number)

    def _explain(self, name: str, listing: Listing) -> None:
        """Record why a file does not match."""
        other = self._any_band.fullmatch(name)
        loose = None if other else self._any_date.fullmatch(name)
        if other and "*" not in self.text:
            listing.foreign[other["band"]] = listing.foreign.get(other["band"], 0) + 1
        elif loose and "*" not in self.text:
            listing.refused.append(f"{self.root}/{name}: {loose['date']!r} is no date; dates are read as {_FORMS}")
        elif Path(name).suffix.lower() == Path(self._below).suffix.lower():
            listing.others.append(name)

    def _names(self) -> Iterator[str]:
        """The files below the folder that the pattern begins with, with / between folders."""
        if access.is_remote(self.root):
            yield from (url.removeprefix(f"{self.root}/") for url in Store(self.root).files("", ""))
            return
        if "://" in self.root:
            raise InvalidInputError(f"{self.text}: patterns are read from folders and s3:// URLs only")
        if not Path(self.root).is_dir():
            raise SourceError(f"folder {self.root} does not exist; check the pattern")
        deepest = None if "**/" in self._below else self._below.count("/")
        for here, folders, files in os.walk(self.root, followlinks=False):
            below = Path(here).relative_to(self.root)
            if deepest is not None and len(below.parts) >= deepest:
                folders.clear()
            yield from ((below / name).as_posix() for name in files)

    def _compiled(self, changed: dict[str, str], lazy: str = "?") -> re.Pattern[str]:
        """The pattern as a regular expression."""
        parts, end, names_used = [], 0, set[str]()
        for token in _TOKEN.finditer(self._below):
            parts.append(re.escape(self._below[end : token.start()]))
            end, name = token.end(), token["name"]
            if name is None:
                parts.append(rf"(?:[^/]+/)*{lazy}" if token["folders"] else rf"[^/]*{lazy}")
            elif name in names_used:
                parts.append(f"(?P={name})")
            else:
                names_used.add(name)
                parts.append(f"(?P<{name}>{changed.get(name, _PLACEHOLDERS[name])})")
        return re.compile("".join((*parts, re.escape(self._below[end:]))), re.IGNORECASE)


def _split(text: str, first: int) -> tuple[str, str, str]:
    """Folder before the first placeholder, and the remainder."""
    folder, slash, _ = text[:first].rpartition("/")
    return folder or slash or ".", slash, text[len(folder) + len(slash) :]


def _band(name: str, card: str) -> str:
    """A band of the card by any of its names.

    Raises:
        InvalidInputError: the card has none of that name.
    """
    band = cards.get(card).asset_band(name)
    bands = cards.get(card).rasters
    if band is None or band not in bands:
        raise InvalidInputError(f"card {card} has no band {name}; it has {', '.join(bands)}")
    return band


def _date(path: str, text: str) -> tuple[datetime, bool]:
    """Parse a date in UTC, and whether it has a time.

    Raises:
        InvalidInputError: there is no such day or time.
    """
    digits = re.sub(r"\D", "", text)
    try:
        date = datetime.strptime(digits.ljust(14, "0"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        date = None
    if date is None or date.year not in _YEARS:
        raise InvalidInputError(f"{path}: {text!r} is no date; dates are read as {_FORMS}")
    return date, len(digits) > 8


def _checked(path: str, key: str, text: str, card: str) -> str:
    """Normalise a placeholder's text.

    Raises:
        InvalidInputError: it is no sensor of the card, or no orbit.
    """
    if key == "sensor":
        mission = cards.get(card).mission
        match = mission.sensor.fullmatch(text.upper())
        if not match:
            raise InvalidInputError(f"{path}: {text} is not {mission.name}, of which card {card} is")
        return f"{mission.code}{match['unit']}"
    if key == "orbit":
        if not 1 <= int(text) <= cards.get(card).mission.orbits:
            raise InvalidInputError(f"{path}: {text} is no relative orbit")
        return f"R{int(text):03d}"
    if key == "direction":
        return "ascending" if text.lower().startswith("a") else "descending"
    return text.upper()
