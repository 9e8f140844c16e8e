"""What each card (Copernicus application-ready data) is: its bands, their grids, and what providers call them."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

import numpy as np
from pydantic import SkipValidation

from cbm_lake.cards.indices import INDICES as INDICES
from cbm_lake.cards.indices import Index as Index
from cbm_lake.errors import InvalidInputError, given

STATISTICS: Final = ("count", "mean", "std", "min", "max", "p25", "p50", "p75")
"""The columns of one band in a signature, behind the band's name: B04_count, B04_mean, …"""

CLASSES: Final = tuple(range(12))
"""The classes of Sentinel-2's scene classification (SCL)."""


@dataclass(frozen=True)
class Card:
    """One kind of scene."""

    name: str
    """s2 (Sentinel-2 Level-2A), bs (Sentinel-1 backscatter) or c6 (Sentinel-1 six-day coherence)."""
    resolutions: MappingProxyType[str, int]
    """Pixel size in metres of each band that has statistics; every band keeps its own grid."""
    default_bands: tuple[str, ...]
    """What is extracted when nothing is asked for."""
    classification: str | None
    """The band whose classes are counted (a histogram, not statistics)."""
    nodata: float
    """The value that means that there is no measurement."""
    dtype: str
    """How measurements are kept in the cube; classes are kept as uint8."""
    mission: str
    """S1 or S2."""
    spacings: tuple[int, ...] = ()
    """Pixel sizes in metres that providers geocode this card to; empty where each band has its own and no other."""

    def pixel_sizes(self, band: str) -> tuple[int, ...]:
        """The pixel sizes in metres that a raster of the band, or of the classes, may have."""
        return self.spacings or (self.resolutions.get(band, _CLASSES_METRES),)

    def cube_dtype(self, band: str) -> str:
        """The numpy dtype of a band in the cube."""
        return "uint8" if band == self.classification else self.dtype

    def check_bands(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        """The bands asked for, each once, in the card's order.

        Raises:
            InvalidInputError: one of them is not a band of this card.
        """
        unknown = [band for band in bands if band not in self.resolutions]
        if unknown or not bands:
            raise InvalidInputError(
                f"card {self.name} has no band {', '.join(unknown) or 'in an empty list'}; "
                f"choose from {', '.join(self.resolutions)}"
            )
        return tuple(band for band in self.resolutions if band in bands)


_CLASSES_METRES: Final = 20
"""Pixel size of the classes; of the classification at 10 or 60 m there are only resampled copies."""
_S2_METRES = {
    "B02": 10,
    "B03": 10,
    "B04": 10,
    "B05": 20,
    "B06": 20,
    "B07": 20,
    "B08": 10,
    "B8A": 20,
    "B11": 20,
    "B12": 20,
}

S2: Final = Card(
    "s2",
    MappingProxyType(_S2_METRES),
    ("B02", "B03", "B04", "B05", "B08", "B11"),
    classification="SCL",
    nodata=0,
    dtype="uint16",
    mission="S2",
)
BS: Final = Card(
    "bs",
    MappingProxyType({"VV": 10, "VH": 10}),
    ("VV", "VH"),
    classification=None,
    nodata=0,
    dtype="float32",
    mission="S1",
    spacings=(10, 20, 30),  # CARD-BS and Planetary Computer 10, sentinel1-rtc of Indigo 20, OPERA RTC-S1 30
)
C6: Final = Card(
    "c6",
    MappingProxyType({"VV": 20, "VH": 20}),
    ("VV", "VH"),
    classification=None,
    nodata=0,
    dtype="float32",
    mission="S1",
    spacings=(10, 20, 40),
)
CARDS: Final = MappingProxyType({card.name: card for card in (S2, BS, C6)})

CARD_BANDS: Final = MappingProxyType({card.name: tuple(card.resolutions) for card in CARDS.values()})
"""The bands of each card that have statistics."""

ASSETS: Final = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL", "VV", "VH")
"""The asset keys of a catalogued scene, whatever its provider calls them."""

COMMON_NAMES: Final = MappingProxyType(
    {
        "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05", "rededge2": "B06", "rededge3": "B07",
        "rededge071": "B05", "rededge075": "B06", "rededge078": "B07",
        "nir": "B08", "nir08": "B8A", "swir16": "B11", "swir22": "B12", "scl": "SCL",
        "sceneclassification": "SCL", "scene_classification": "SCL",
    }
)  # fmt: skip
"""Sentinel-2 bands by the common names of STAC's electro-optical extension, which Earth Search uses as asset keys.

"rededge" is left out: three bands share it.
"""

CLOUD_CLASSES: Final = (3, 8, 9, 10, 11)
"""SCL classes that are screened by default: cloud shadow, cloud (medium, high probability), thin cirrus, snow."""
Classes: TypeAlias = Annotated[str | int | Iterable[str | int], SkipValidation]
"""Scene classes as a caller may name them; see `scene_classes`."""
_DIGITS = re.compile(r"\s*[0-9]{1,4}\s*")
_BETWEEN_CLASSES = re.compile(r"[\s_,;]+")


def scene_classes(named: Classes) -> tuple[int, ...]:
    """The scene classes (SCL) meant by "3_8_9_10_11", "3,8", [3, "8"] or 3, each once and in that order.

    An empty list screens nothing.

    Raises:
        InvalidInputError: one of them is not a class, 0 to 11, or it is an empty text.
    """
    if isinstance(named, np.ndarray) and named.ndim == 0:
        named = named.item()
    if isinstance(named, str):
        parts: Iterable[str | int] = _BETWEEN_CLASSES.split(named.strip())
    elif isinstance(named, Mapping | bytes | bytearray | memoryview):
        raise InvalidInputError(f"screen={given(named)} is no list of scene classes; write 3_8_9_10_11 or numbers")
    elif isinstance(named, Iterable):
        parts = named
    else:
        parts = [named]
    return tuple(dict.fromkeys(_scene_class(part, named) for part in parts))


def with_classes(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters of a question, their `screen`, if it has one, as a list of scene classes.

    Raises:
        InvalidInputError: it is none.
    """
    if params.get("screen") is None:
        return params
    return {**params, "screen": list(scene_classes(params["screen"]))}


def _scene_class(part: str | int, named: object) -> int:
    try:
        value = int(part) if isinstance(part, str) and _DIGITS.fullmatch(part) else operator.index(_whole(part))
    except (TypeError, ValueError):
        value = -1
    if isinstance(part, bool | np.bool_) or value not in CLASSES:
        raise InvalidInputError(
            f"screen={given(named)} is no list of scene classes, {given(part)} is none of 0 to 11; "
            "write 3_8_9_10_11 or numbers"
        )
    return value


def _whole(number: Any) -> Any:
    """A float that is a whole number as that; all else as it is."""
    return int(number) if isinstance(number, float | np.floating) and float(number).is_integer() else number


CLASS_NAMES: Final = (
    "no data", "saturated or defective", "dark area", "cloud shadow", "vegetation", "bare or built", "water",
    "unclassified", "cloud, medium probability", "cloud, high probability", "thin cirrus", "snow or ice",
)  # fmt: skip
"""Scene classes (SCL) 0 to 11, as Sen2Cor has them; "bare or built" is its "not vegetated"."""


def get(name: str) -> Card:
    """The card of that name.

    Raises:
        InvalidInputError: there is none.
    """
    if name not in CARDS:
        raise InvalidInputError(f"unknown card {name!r}; choose from {', '.join(CARDS)}")
    return CARDS[name]


_GROUP = re.compile(r"(?:.*/)?r(?P<metres>\d{2})m/(?P<name>\w+)$")
"""Path of a band in an EOPF product: r10m/b02."""
_SIZE = re.compile(r"[_-](?P<metres>\d{2,3})m$")
_EXTENSION = re.compile(r"[._-](?:jp2|tiff?)$")
_BEFORE = re.compile(r"^(?:toc|fre|sre|sr|boa|surface_reflectance|reflectance|gamma0|sigma0|coh|coherence)[_-]")
_BEHIND = re.compile(r"[_-](?:toc|fre|sre|sr|boa|reflectance|coh|coherence|[gs]-lin)$")
_NUMBERED = re.compile(r"(?:b|band[ _-]?)0?(?P<number>[2-8]|8a|11|12)$")


def asset_band(key: str) -> str | None:
    """The band of an asset by its key at any provider (B04, B4, red, red-jp2, B04_10m, r10m/b04, FRE_B4, gamma0_vv).

    None when it is no band of ours, and for a copy resampled to another pixel size (B04_20m, scl_60m).
    """
    name = _EXTENSION.sub("", key.strip().lower())
    grouped, sized = _GROUP.match(name), _SIZE.search(name)
    name = grouped["name"] if grouped else _SIZE.sub("", name)
    band = band_named(_BEHIND.sub("", _BEFORE.sub("", name)))
    stated = grouped or sized
    if stated and band in {**_S2_METRES, "SCL": _CLASSES_METRES}:
        return band if int(stated["metres"]) in S2.pixel_sizes(str(band)) else None
    return band


def band_named(name: str) -> str | None:
    """The band of that name, whatever its case and its zeros (B04, b4, Band 4, red, vv), else None."""
    name = name.strip().lower()
    numbered = _NUMBERED.match(name)
    if numbered:
        return f"B{numbered['number'].upper():0>2}"
    band = COMMON_NAMES.get(name, name.upper())
    return band if band in {"VV", "VH", "SCL"} or band in _S2_METRES else None


_RADAR = re.compile(r"(?P<polarisation>VV|VH)[BC]?")


def band_called(name: str) -> str:
    """The band that is meant by a name of the original's tables: B4 is B04, VVb and VVc are VV; other names stay.

    Raises:
        InvalidInputError: it is no text.
    """
    if not isinstance(name, str):
        raise InvalidInputError(f"{name!r} is no name of a band, such as B04")
    radar = _RADAR.fullmatch(name.strip().upper())
    return radar["polarisation"] if radar else band_named(name) or name
