"""Decides whether a STAC item belongs to a card: mission, processing level and product type must be stated.

What counts, strongest first: names of products, product type and processing level; then the collection, which alone
is not enough. Every refusal names what was read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

from cbm_lake import cards
from cbm_lake.card2db import fields
from cbm_lake.errors import InvalidInputError

log = logging.getLogger(__name__)

Statement = tuple[str, str]
"""What says something, and what it says: ("product type", "S2MSI2A")."""

_LEVEL_IN_NAME = re.compile(r"(?:MSI|^|[^A-Z0-9])_?(?P<level>L[123][A-D])(?:[^A-Z0-9]|$)")
_FORCE = re.compile(r"LEVEL2_SEN2[A-D]")
_FOREIGN: Final = ("HLS", "LANDSAT", "L[CETM]0[4-9]_", "ALOS", "MODIS", "VIIRS", "PROBAV", "S3[AB]_")
"""Patterns of other missions; `Mission.words` lists those that belong to a supported one."""
_COMPOSITE = re.compile(
    r"MOSAIC|COMPOSITE|GEOMAD|GEOMEDIAN|(?:^|[^A-Z])GM[_-]S|QUARTER|MONTHLY|ANNUAL|SYNTHESIS|(?:^|[^A-Z])L3[A-Z]?(?:[^A-Z0-9]|$)"
)
_DAY: Final = 86_400
"""Seconds; what took longer to sense is no scene."""


def mission_of(text: str) -> str | None:
    """Parse S2A, S1, … from a platform or constellation; None if no card, or several, match."""
    units_by_code = {
        mission.code: {match["unit"] or "" for match in mission.platform.finditer(text.upper())}
        for mission in cards.MISSIONS.values()
    }
    named = [(code, units) for code, units in units_by_code.items() if units]
    if len(named) != 1:
        return None
    code, units = named[0]
    return f"{code}{units.pop() if len(units) == 1 else ''}"


def sensor_in(name: str) -> str | None:
    """Parse S2A, S1, … from a product name."""
    matches = [
        (match.start(), mission.code, match["unit"] or "")
        for mission in cards.MISSIONS.values()
        if (match := mission.product.search(name.upper()))
    ]
    if not matches:
        return None
    _, code, unit = min(matches)
    return f"{code}{'' if unit == 'X' else unit}"


def _mission(sensor: str) -> cards.Mission:
    return next(mission for code, mission in cards.MISSIONS.items() if sensor.startswith(code))


@dataclass(frozen=True)
class Evidence:
    """Statements of an item about its mission, level and product type."""

    document: Mapping[str, Any]
    properties: Mapping[str, Any]
    reference: str
    """Product name, if the item states one."""
    seconds: float = 0
    """From the start of sensing to its end."""
    hrefs: tuple[str, ...] = ()
    """Of the rasters that were found."""

    def check(self, card: cards.Card) -> None:
        """Refuse an item that belongs to another card, or that nothing assigns to this one.

        Raises:
            InvalidInputError: the message names what was read.
        """
        if self.properties.get("deprecated") is not None and fields.boolean(
            self.properties["deprecated"], "deprecated"
        ):
            raise InvalidInputError("it is marked as deprecated: a newer version should be catalogued instead")
        self._check_mission(card)
        if card.acceptance.single:
            self._check_single()
        if card.acceptance.level:
            self._check_level(card)
        else:
            self._check_kind(card)

    @cached_property
    def sensor(self) -> str | None:
        """S2A, S1B, …; S2 or S1 if the unit is unknown; None if the mission is."""
        named = next((sensor for name in self._names if (sensor := sensor_in(name))), None)
        platform = mission_of(self._platform)
        if named and platform and _mission(named) == _mission(platform):
            return max(named, platform, key=len) if len(named) != len(platform) else named
        by_prefix = (
            code
            for code, mission in cards.MISSIONS.items()
            if any(key.startswith(f"{mission.prefix}:") for key in self.properties)
        )
        return platform or named or next(by_prefix, None)

    # -- what the checks ask ----------------------------------------------------------------------------------------

    def _check_mission(self, card: cards.Card) -> None:
        needed, others = card.mission.name, _others(card.mission)
        stated = mission_of(self._platform)
        if self._platform and (stated is None or (_mission(stated) != card.mission and _mission(stated).words)):
            raise InvalidInputError(f"it is of {self._platform.upper()}; card {card.name} is of {needed}")
        for source, text in (*self._named, ("collection", self._collection)):
            other = others.search(text.upper())
            if other:
                raise InvalidInputError(
                    f"it is of {other[1].strip('_')} by its {source} {text}; card {card.name} is of {needed}"
                )
        if self.sensor is None:
            raise InvalidInputError(f"nothing says that it is of {needed} ({self._read()})")
        named = {_mission(sensor).code for name in self._names if (sensor := sensor_in(name))}
        for sensor in (self.sensor, *sorted(named)):
            if _mission(sensor) != card.mission:
                raise InvalidInputError(f"it is of {sensor}; card {card.name} is of {needed}")

    def _check_level(self, card: cards.Card) -> None:
        """Refuse items of another level than the card's."""
        needed, words = card.acceptance.level, card.acceptance.product
        levels = list(self._levels())
        for source, text, level in levels:
            if level != needed:
                kind = "Level-1C (top of atmosphere)" if level.startswith("L1") else f"Level-{level[1:]}"
                raise InvalidInputError(f"it is {kind} by its {source} {text}; card {card.name} needs {words}")
        if levels or _of_ours(self.properties, card.name):
            return
        if not self._is_bare:
            raise InvalidInputError(f"nothing says that it is {words} ({self._read()})")
        log.warning(
            "%s: nothing says its level; taken for %s, as card %s was asked for", self.document["id"], words, card.name
        )

    def _check_kind(self, card: cards.Card) -> None:
        """Refuse items that are not stated to be of the card's kind, or stated to be of another."""
        accepted = card.acceptance
        strong = (*self._named, *self._types, ("collection", self._collection))
        if other := _refused(accepted.refused_before, strong):
            raise InvalidInputError(f"it is {other}; card {card.name} is of {card.quantity.name}")
        if _first_match(accepted.proof, (*strong, *self._files)) or _of_ours(self.properties, card.name):
            return
        if other := _refused(accepted.refused, strong):
            raise InvalidInputError(f"it is {other}; {accepted.advice}")
        if not _first_match(accepted.weak, self._assets):
            advice = f"; {accepted.advice}" if accepted.advice else ""
            raise InvalidInputError(f"nothing says that it is {accepted.product} ({self._read()}){advice}")

    def _check_single(self) -> None:
        """Refuse composites."""
        composite = _first_match(_COMPOSITE, (*self._named, *self._types, ("collection", self._collection)))
        if composite:
            raise InvalidInputError(f"it is a composite by its {composite[0]} {composite[1]}; single scenes are needed")
        if self.seconds > _DAY:
            raise InvalidInputError(f"it spans {self.seconds / _DAY:.0f} days: a composite; single scenes are needed")

    # -- what is said where -----------------------------------------------------------------------------------------

    @property
    def _is_bare(self) -> bool:
        """Whether the item names no collection, product or product type: hand-made rather than a provider's.

        Then the card that is asked for is the word of who made it.
        """
        return not (self._collection or self._types or any(sensor_in(name) for name in self._names))

    @cached_property
    def _platform(self) -> str:
        stated = fields.first(self.properties, "platform", "constellation", "eo:platform", "eo:constellation")
        return ",".join(map(str, stated)) if isinstance(stated, list) else str(stated or "")

    @property
    def _collection(self) -> str:
        return str(self.document.get("collection") or "")

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for _, name in self._named)

    @cached_property
    def _named(self) -> tuple[Statement, ...]:
        """Names of the item and its product."""
        granule = str(fields.first(self.properties, "s2:granule_id", "sentinel:granule_id") or "")
        return (("product name", self.reference), ("identifier", str(self.document["id"])), ("granule", granule))

    @cached_property
    def _types(self) -> tuple[Statement, ...]:
        """Stated product types and processing level."""
        names = (
            "s2:product_type",
            "product:type",
            "product_type",
            "sar:product_type",
            "odc:product",
            "processing:level",
            "landsat:correction",
        )
        stated = ((name, self.properties[name]) for name in names if self.properties.get(name) is not None)
        return tuple((_words(name), str(value)) for name, value in stated)

    @cached_property
    def _files(self) -> tuple[Statement, ...]:
        """File names of the rasters."""
        hrefs = (asset.get("href") for asset in (self.document.get("assets") or {}).values() if isinstance(asset, dict))
        names = (str(href).partition("?")[0].rsplit("/", 1)[-1] for href in hrefs if href)
        return tuple(("file", name) for name in names if name.lower().endswith((".tif", ".tiff", ".img", ".jp2")))

    @cached_property
    def _assets(self) -> tuple[Statement, ...]:
        """Keys and titles of the assets."""
        stated = (self.document.get("assets") or {}).items()
        keys = ((key, asset.get("title") or "") for key, asset in stated if isinstance(asset, dict))
        return tuple(("asset", f"{key} {title}") for key, title in keys)

    def _levels(self) -> Iterator[tuple[str, str, str]]:
        """Level statements: source, text, and L2A, L1C, L3, …"""
        for source, text in self._named:
            level = level_in_name(text)
            if level:
                yield source, text, level
        for source, text in self._types:
            level = _stated_level(text)
            if level:
                yield source, text, level
        for href in self.hrefs:
            path = href.partition("?")[0]
            match = re.search(r"(?:^|[^A-Z0-9])L1[A-C](?:[^A-Z0-9]|$)|MSI_?L(?:1C|2A)", path.upper())
            if match:
                yield "raster", path, "L2A" if match[0].endswith("2A") else "L1C"
        # weak: the mission is checked by then, so that the collection does not stand alone
        match = re.search(r"L[-_]?([123][A-D])(?![A-Z0-9])", self._collection.upper())
        if match:
            yield "collection", self._collection, f"L{match[1]}"

    def _read(self) -> str:
        """The statements that were examined, for messages."""
        said = [
            ("identifier", str(self.document["id"])),
            ("collection", self._collection),
            ("platform", self._platform),
        ]
        return ", ".join(f"{source} {text or 'none'}" for source, text in (*said, *self._types))


def level_in_name(name: str) -> str | None:
    """Parse L2A, L1C, … from a Sentinel-2 product name of any provider."""
    upper = name.upper()
    match = _LEVEL_IN_NAME.search(upper)
    return match["level"] if match else ("L2A" if _FORCE.search(upper) else None)


def _stated_level(text: str) -> str | None:
    """Level stated by a product type or processing level; None for ambiguous words (L2, REFLECTANCE)."""
    word = re.sub(r"[^A-Z0-9]", "", text.upper()).removesuffix("P").removesuffix("PROCESSED")
    match = re.match(r"(?:S0?2)?(?:MSI)?(?:LEVEL|L)?([0-4])([A-D]?)(?:$|M|COMPOSITE)", word)
    if match is None or match[0] == "":
        return None
    if match[1] == "2" and not match[2]:
        return None
    return f"L{match[1]}{match[2]}"


def _words(name: str) -> str:
    return name.rpartition(":")[2].replace("_", " ") if name != "odc:product" else "product"


def _first_match(pattern: re.Pattern[str], statements: Iterable[Statement]) -> Statement | None:
    """The first statement in which a pattern occurs."""
    return next(((source, text) for source, text in statements if pattern.search(text.upper())), None)


def _refused(refusals: Iterable[cards.Refusal], statements: Iterable[Statement]) -> str | None:
    """What the first matching refusal shows an item to be, with its source."""
    for source, text in statements:
        for refusal in refusals:
            if match := refusal.pattern.search(text.upper()):
                return f"{refusal.words.format(**match.groupdict())} by its {source} {text}"
    return None


@cache
def _others(mission: cards.Mission) -> re.Pattern[str]:
    """Pattern of missions other than this one."""
    return re.compile(rf"(?:^|[^A-Z])({'|'.join(word for word in _FOREIGN if word not in mission.words)})")


def _of_ours(properties: Mapping[str, Any], card: str) -> bool:
    """Whether the item comes from a catalogue of this project that accepted it for the card."""
    return properties.get("card") == card and str(properties.get("acquisition")).startswith(f"{card}/")
