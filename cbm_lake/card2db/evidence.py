"""Whether an item is a scene of its card: only where something says so, and nothing says otherwise.

What counts, strongest first: names of products, product type and processing level; then the collection, which alone
is not enough. Every refusal names what was read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from cbm_lake import cards
from cbm_lake.card2db import fields
from cbm_lake.errors import InvalidInputError

log = logging.getLogger(__name__)

Statement = tuple[str, str]
"""What says something, and what it says: ("product type", "S2MSI2A")."""

_MISSION = re.compile(r"(?:^|[^A-Z0-9])S(?:ENTINEL)?[-_ ]?0?(?P<mission>[12])[-_ ]?(?P<unit>[A-D]?)(?![A-Z0-9])")
_SENSOR_IN_NAME = re.compile(
    r"(?:^|[^A-Z0-9])(?:S|SENTINEL|SEN)(?P<mission>[12])(?P<unit>[A-DX])[_-]|^SENTINEL-(?P<mission_only>[12])_"
)
_LEVEL_IN_NAME = re.compile(r"(?:MSI|^|[^A-Z0-9])_?(?P<level>L[123][A-D])(?:[^A-Z0-9]|$)")
_FORCE = re.compile(r"LEVEL2_SEN2[A-D]")
_OTHERS = re.compile(r"(?:^|[^A-Z])(HLS|LANDSAT|L[CETM]0[4-9]_|ALOS|MODIS|VIIRS|PROBAV|S3[AB]_)")
_COMPOSITE = re.compile(
    r"MOSAIC|COMPOSITE|GEOMAD|GEOMEDIAN|(?:^|[^A-Z])GM[_-]S|QUARTER|MONTHLY|ANNUAL|SYNTHESIS|(?:^|[^A-Z])L3[A-Z]?(?:[^A-Z0-9]|$)"
)
_COHERENCE = re.compile(r"(?:^|[^A-Z])COH(?:ERENCE)?\d{0,2}(?:[^A-Z]|$)|COHERENCE")
_BACKSCATTER = re.compile(
    r"(?:^|[^A-Z])RTC(?:[^A-Z]|$)|CARD[-_]?BS|(?:^|[^A-Z])NRB(?:[^A-Z]|$)|"
    r"(?:GAMMA|SIGMA)[-_ ]?(?:0|NOUGHT|NAUGHT)|BACKSCATTER|(?:^|[^A-Z])(?:GAM|SIG)0"
)
_RADAR_GEOMETRY = re.compile(r"(?:^|[^A-Z])(?P<kind>GRD|SLC|RAW|OCN|ETA)[FHM]?(?:[^A-Z]|$)")
_DAY: Final = 86_400
"""Seconds; what took longer to sense is no scene."""
_ADVICE: Final = (
    "use sentinel-1-rtc of Planetary Computer, OPERA RTC-S1 or CARD-BS instead, which are geocoded backscatter"
)


def mission_of(text: str) -> str | None:
    """S2A, S1, …, from a platform or constellation in any spelling; None when it is no Sentinel-1 or -2."""
    found = {(match["mission"], match["unit"]) for match in _MISSION.finditer(text.upper())}
    missions, units = {mission for mission, _ in found}, {unit for _, unit in found}
    return f"S{missions.pop()}{units.pop() if len(units) == 1 else ''}" if len(missions) == 1 else None


def sensor_in(name: str) -> str | None:
    """S2A, S1, …, from the name of a product."""
    found = _SENSOR_IN_NAME.search(name.upper())
    if found is None:
        return None
    unit = found["unit"] or ""
    return f"S{found['mission'] or found['mission_only']}{'' if unit == 'X' else unit}"


@dataclass(frozen=True)
class Evidence:
    """What an item says of its own kind."""

    document: Mapping[str, Any]
    properties: Mapping[str, Any]
    reference: str
    """The product's name as far as the item tells one."""
    seconds: float = 0
    """From the start of sensing to its end."""
    hrefs: tuple[str, ...] = ()
    """Of the rasters that were found."""

    def check(self, card: cards.Card) -> None:
        """Refuse what is not of the card, and what nothing says to be.

        Raises:
            InvalidInputError: the message names what was read.
        """
        if self.properties.get("deprecated") is not None and fields.boolean(
            self.properties["deprecated"], "deprecated"
        ):
            raise InvalidInputError("it is marked as deprecated: a newer version should be catalogued instead")
        self._check_mission(card)
        if card.name == "s2":
            self._check_level()
        elif card.name == "bs":
            self._check_backscatter()
        else:
            self._check_coherence()

    @cached_property
    def sensor(self) -> str | None:
        """S2A, S1B, …; only S2 or S1 where the unit is not told; None where nothing tells the mission."""
        named = next((sensor for name in self._names if (sensor := sensor_in(name))), None)
        platform = mission_of(self._platform)
        if named and platform and named[:2] == platform[:2]:
            return max(named, platform, key=len) if len(named) != len(platform) else named
        found = platform or named
        if found is None and any(key.startswith(("s2:", "s1:")) for key in self.properties):
            return "S2" if any(key.startswith("s2:") for key in self.properties) else "S1"
        return found

    # -- what the checks ask ----------------------------------------------------------------------------------------

    def _check_mission(self, card: cards.Card) -> None:
        wanted = f"Sentinel-{card.mission[1]}"
        if self._platform and mission_of(self._platform) is None:
            raise InvalidInputError(f"it is of {self._platform.upper()}; card {card.name} is of {wanted}")
        for what, text in (*self._named, ("collection", self._collection)):
            other = _OTHERS.search(text.upper())
            if other:
                raise InvalidInputError(
                    f"it is of {other[1].strip('_')} by its {what} {text}; card {card.name} is of {wanted}"
                )
        if self.sensor is None:
            raise InvalidInputError(f"nothing says that it is of {wanted} ({self._read()})")
        named = {sensor[:2] for name in self._names if (sensor := sensor_in(name))}
        for sensor in (self.sensor, *sorted(named)):
            if not sensor.startswith(card.mission):
                raise InvalidInputError(f"it is of {sensor}; card {card.name} is of {wanted}")

    def _check_level(self) -> None:
        """Refuse what is not Level-2A."""
        self._check_single()
        levels = list(self._levels())
        for what, text, level in levels:
            if level != "L2A":
                kind = "Level-1C (top of atmosphere)" if level.startswith("L1") else f"Level-{level[1:]}"
                raise InvalidInputError(f"it is {kind} by its {what} {text}; card s2 needs Level-2A")
        if levels or _of_ours(self.properties, "s2"):
            return
        if not self._is_bare:
            raise InvalidInputError(f"nothing says that it is Level-2A ({self._read()})")
        log.warning("%s: nothing says its level; taken for Level-2A, as card s2 was asked for", self.document["id"])

    def _check_backscatter(self) -> None:
        """Refuse what is not geocoded backscatter."""
        self._check_single()
        strong = (*self._named, *self._types, ("collection", self._collection))
        coherence = _found(_COHERENCE, strong)
        if coherence:
            raise InvalidInputError(f"it is coherence by its {coherence[0]} {coherence[1]}; card bs is of backscatter")
        if _found(_BACKSCATTER, (*strong, *self._files)) or _of_ours(self.properties, "bs"):
            return
        for what, text in strong:
            found = _RADAR_GEOMETRY.search(text.upper())
            if found:
                kind = (
                    "a single-look complex product" if found["kind"] == "SLC" else f"{found['kind']} in radar geometry"
                )
                raise InvalidInputError(f"it is {kind} by its {what} {text}; {_ADVICE}")
        if not _found(_BACKSCATTER, self._assets):
            raise InvalidInputError(f"nothing says that it is geocoded backscatter ({self._read()}); {_ADVICE}")

    def _check_coherence(self) -> None:
        """Refuse what is not coherence."""
        said = (*self._named, *self._types, ("collection", self._collection), *self._files, *self._assets)
        if not _found(_COHERENCE, said) and not _of_ours(self.properties, "c6"):
            raise InvalidInputError(f"nothing says that it is coherence ({self._read()})")

    def _check_single(self) -> None:
        """Refuse composites."""
        found = _found(_COMPOSITE, (*self._named, *self._types, ("collection", self._collection)))
        if found:
            raise InvalidInputError(f"it is a composite by its {found[0]} {found[1]}; single scenes are needed")
        if self.seconds > _DAY:
            raise InvalidInputError(f"it spans {self.seconds / _DAY:.0f} days: a composite; single scenes are needed")

    # -- what is said where -----------------------------------------------------------------------------------------

    @property
    def _is_bare(self) -> bool:
        """Whether it names no collection, product or product type: no provider's item, but one made by hand.

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
        """The names of the item and its product."""
        granule = str(fields.first(self.properties, "s2:granule_id", "sentinel:granule_id") or "")
        return (("product name", self.reference), ("identifier", str(self.document["id"])), ("granule", granule))

    @cached_property
    def _types(self) -> tuple[Statement, ...]:
        """Product types, and processing level, as stated."""
        names = (
            "s2:product_type",
            "product:type",
            "product_type",
            "sar:product_type",
            "odc:product",
            "processing:level",
        )
        stated = ((name, self.properties[name]) for name in names if self.properties.get(name) is not None)
        return tuple((_words(name), str(value)) for name, value in stated)

    @cached_property
    def _files(self) -> tuple[Statement, ...]:
        """The names of the rasters."""
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
        """Each statement of a level: by what, in which words, and L2A, L1C, L3, …"""
        for what, text in self._named:
            level = level_in_name(text)
            if level:
                yield what, text, level
        for what, text in self._types:
            level = _stated_level(text)
            if level:
                yield what, text, level
        for href in self.hrefs:
            path = href.partition("?")[0]
            found = re.search(r"(?:^|[^A-Z0-9])L1[A-C](?:[^A-Z0-9]|$)|MSI_?L(?:1C|2A)", path.upper())
            if found:
                yield "raster", path, "L2A" if found[0].endswith("2A") else "L1C"
        # weak: the mission is checked by then, so that the collection does not stand alone
        found = re.search(r"L[-_]?([123][A-D])(?![A-Z0-9])", self._collection.upper())
        if found:
            yield "collection", self._collection, f"L{found[1]}"

    def _read(self) -> str:
        """What there was to read, for messages."""
        said = [
            ("identifier", str(self.document["id"])),
            ("collection", self._collection),
            ("platform", self._platform),
        ]
        return ", ".join(f"{what} {text or 'none'}" for what, text in (*said, *self._types))


def level_in_name(name: str) -> str | None:
    """L2A, L1C, …, from the name of a Sentinel-2 product at any provider."""
    upper = name.upper()
    found = _LEVEL_IN_NAME.search(upper)
    return found["level"] if found else ("L2A" if _FORCE.search(upper) else None)


def _stated_level(text: str) -> str | None:
    """The level that a product type or a processing level states; None for words that do not tell (L2, REFLECTANCE)."""
    word = re.sub(r"[^A-Z0-9]", "", text.upper()).removesuffix("P").removesuffix("PROCESSED")
    found = re.match(r"(?:S0?2)?(?:MSI)?(?:LEVEL|L)?([0-4])([A-D]?)(?:$|M|COMPOSITE)", word)
    if found is None or found[0] == "":
        return None
    if found[1] == "2" and not found[2]:
        return None
    return f"L{found[1]}{found[2]}"


def _words(name: str) -> str:
    return name.rpartition(":")[2].replace("_", " ") if name != "odc:product" else "product"


def _found(pattern: re.Pattern[str], statements: Iterable[Statement]) -> Statement | None:
    """The first statement in which a pattern occurs."""
    return next(((what, text) for what, text in statements if pattern.search(text.upper())), None)


def _of_ours(properties: Mapping[str, Any], card: str) -> bool:
    """Whether the item comes out of a catalogue of ours, where it was accepted for that card."""
    return properties.get("card") == card and str(properties.get("acquisition")).startswith(f"{card}/")
