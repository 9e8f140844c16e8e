"""The types `Card`, `Band`, `Mission`, `Classification` and those that they consist of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cbm_lake.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NUMBER: Final = re.compile(r"B0?(\d{1,2}A?)")
"""Of a band of Sentinel-2 in its name."""
_NOTHING: Final = re.compile(r"(?!)")
"""Matches no text."""


@dataclass(frozen=True)
class Band:
    """One band of a card that has statistics."""

    name: str
    """As in the columns of signatures, the cubes and the catalogue: B04."""
    metres: int
    """Pixel size; every band keeps its own grid."""
    aliases: tuple[str, ...] = ()
    """Aliases used by providers, in lower case, including the common names of STAC's electro-optical extension."""
    wavelength: float | None = None
    """Centre in micrometres; None of radar."""
    display: tuple[float, float] = (0, 3000)
    """Display range from black to full intensity, in the unit of signatures."""
    colour: str = "#777777"
    """Of its curve."""
    title: str = ""
    """What it measures, in words: near infrared."""

    @property
    def label(self) -> str:
        """Name, meaning and pixel size for people: Band 8: near infrared (10 m)."""
        number = _NUMBER.fullmatch(self.name)
        name = f"Band {number[1]}" if number else self.name
        meaning = f": {self.title}" if self.title else ""
        return f"{name}{meaning} ({self.metres} m)"


@dataclass(frozen=True)
class Classification:
    """The band of a card whose classes are counted: a histogram per parcel instead of statistics.

    Class 0 always means that a pixel is not classified.
    """

    name: str
    """Of the band in the catalogue and the cubes: SCL."""
    column: str
    """Of signatures: scl_0, scl_1, … there, and the list `scl` in the views."""
    names: tuple[str, ...]
    """Of the classes 0, 1, 2, …"""
    screened: tuple[int, ...]
    """Classes that hide the ground and are screened unless a caller says otherwise."""
    metres: int
    """Pixel size; copies at other sizes are resampled ones."""
    aliases: tuple[str, ...] = ()
    """Aliases of the band used by providers, in lower case."""
    title: re.Pattern[str] = _NOTHING
    """In the title of an asset that is it."""
    bits: tuple[int, ...] = ()
    """Of a bit mask: its bits, each the number of a class, that which decides first; empty where pixels are classes."""
    colours: tuple[tuple[int, int, int], ...] = ()
    """Red, green and blue of each class."""

    @property
    def classes(self) -> tuple[int, ...]:
        """Their numbers."""
        return tuple(range(len(self.names)))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of signatures that count the pixels of each class: scl_0, …"""
        return tuple(f"{self.column}_{value}" for value in self.classes)

    def classes_of(self, pixels: NDArray[np.integer]) -> NDArray[np.uint8]:
        """The classes of stored pixels of any shape: as they are, or by the first of `bits` that is set, else 0."""
        if not self.bits:
            return pixels.astype(np.uint8)
        classes = np.zeros(pixels.shape, np.uint8)
        for bit in reversed(self.bits):
            classes[(pixels >> bit) & 1 == 1] = bit
        return classes


@dataclass(frozen=True)
class Mission:
    """The satellites of a card, and how they are recognised."""

    code: str
    """How sensors begin: S2."""
    name: str
    """Sentinel-2."""
    platform: re.Pattern[str]
    """In a platform or constellation, upper case; the group `unit` tells the satellite."""
    product: re.Pattern[str]
    """In the name of a product, upper case; the group `unit` tells the satellite."""
    satellite: str
    """The platform of an item of one's own files; {unit} is the satellite: sentinel-2{unit}."""
    sensor: re.Pattern[str]
    """A sensor as people write it in names of files, upper case, whole; the group `unit` tells the satellite."""
    prefix: str = ""
    """How properties begin that only its items have: s2."""
    words: tuple[str, ...] = ()
    """Which of the words for missions without a card mean it nevertheless."""
    orbits: int = 0
    """How many relative orbits it has."""


@dataclass(frozen=True)
class Quantity:
    """The physical quantity of a card."""

    name: str
    """reflectance, backscatter or coherence."""
    form: str
    """The required form of the values, for messages: linear power."""
    units: frozenset[str]
    """Units, in lower case, that denote that form."""
    most: float
    """Upper bound of any median over parcels."""
    axis: tuple[float, float] = (0, 0.1)
    """Least range of the axis of its curves; of decibels where they are shown in these."""
    decibels: bool = False
    """Whether they may be stored, and are shown, in decibels."""


@dataclass(frozen=True)
class Refusal:
    """A pattern in an item that proves it to be of another kind."""

    pattern: re.Pattern[str]
    words: str
    """The kind; {kind} is what the pattern calls so."""
    advice: str = ""


@dataclass(frozen=True)
class Acceptance:
    """Evidence in an item or product name, besides the mission, that it belongs to a card."""

    product: str
    """The kind of product, for messages: geocoded backscatter."""
    proof: re.Pattern[str] = _NOTHING
    """Pattern required, in upper case, in names, product types, the collection or the names of the rasters."""
    weak: re.Pattern[str] = _NOTHING
    """What is enough in the keys and titles of assets, unless something is refused."""
    level: str = ""
    """The only processing level that counts; then nothing else is a proof: L2A."""
    refused_before: tuple[Refusal, ...] = ()
    """What is refused whatever proves the opposite."""
    refused: tuple[Refusal, ...] = ()
    """What is refused where there is no proof."""
    advice: str = ""
    single: bool = True
    """Whether composites are recognised by their words and by what they span."""


@dataclass(frozen=True)
class Product:
    """Pattern of product names that identifies the acquisition."""

    pattern: re.Pattern[str]
    """Groups: taken (when), tile (where), made (when it was processed)."""


@dataclass(frozen=True)
class Card:
    """A card: one kind of scene."""

    name: str
    """s2, bs, …; the name of its view, table, cubes and commands."""
    title: str
    """In a few words: Sentinel-2 Level-2A."""
    picture: str
    """Label of images of its bands: backscatter."""
    extracted: str
    """What an extraction takes, for the command line."""
    measured: str
    """What the numbers of its signatures are, for the documentation of its views."""
    mission: Mission
    bands: tuple[Band, ...]
    key_band: str
    """The band without whose raster an entry of the catalogue is a copy without rasters."""
    default_bands: tuple[str, ...]
    """The bands extracted by default."""
    quantity: Quantity
    acceptance: Acceptance
    product_type: str
    """As catalogues of the original library and Resto name it: S2MSI2A."""
    stated: Mapping[str, str]
    """Properties by which an item of one's own files says what it is."""
    nodata: float = 0
    """The stored number that means that there is no measurement."""
    dtype: str = "uint16"
    """How measurements are stored in the cube; classes are stored as uint8."""
    scale: float = 1
    """What one stored number is of the quantity."""
    offset: float = 0
    """The quantity of the stored number 0, where no offset of the scene itself is added."""
    unit: float = 1
    """What one unit of signatures is of the quantity: 0.0001 where reflectance 1 is 10000."""
    highest: float | None = None
    """Stored numbers above it are no measurement; None where all are."""
    shifted: bool = False
    """Whether stored numbers may have an offset given by a scene's metadata (BOA_ADD_OFFSET)."""
    classification: Classification | None = None
    """The band whose classes are counted."""
    spacings: tuple[int, ...] = ()
    """Pixel sizes in metres that providers geocode this card to; empty where each band has its own and no other."""
    migrated: bool = False
    """Whether databases of the original library have it."""
    wire_suffix: str = ""
    """What the REST service of the original appends to the names of bands: VVb."""
    collections: Mapping[str, str] = field(default_factory=dict)
    """The usual collection by the short name of each built-in provider that has one."""
    product: Product | None = None
    """How names of its products are read; None where acquisitions are identified otherwise."""

    @cached_property
    def resolutions(self) -> MappingProxyType[str, int]:
        """Pixel size in metres of each band that has statistics."""
        return MappingProxyType({band.name: band.metres for band in self.bands})

    @property
    def class_band(self) -> str | None:
        """The name of the classification; None where there is none."""
        return self.classification.name if self.classification else None

    @cached_property
    def rasters(self) -> tuple[str, ...]:
        """The bands, and the classification, if there is one: what a scene has files of."""
        return (*self.resolutions, *filter(None, [self.class_band]))

    @cached_property
    def aliases(self) -> Mapping[str, str]:
        """Aliases of rasters, in lower case, and the raster of each."""
        of_bands = {alias: band.name for band in self.bands for alias in band.aliases}
        return of_bands | dict.fromkeys(self.classification.aliases if self.classification else (), self.rasters[-1])

    @property
    def is_optical(self) -> bool:
        """Whether it measures reflectance."""
        return self.quantity.name == "reflectance"

    @property
    def factor(self) -> float:
        """By what stored numbers are multiplied to be in the unit of signatures."""
        return round(self.scale / self.unit, 12)

    @property
    def shift(self) -> float:
        """What is added then."""
        return round(self.offset / self.unit, 9)

    def measured_of(self, stored: Any) -> Any:
        """Stored numbers, offset of the scene added, in the unit of signatures: an array, lazy or not, of any shape."""
        return stored if (self.factor, self.shift) == (1, 0) else stored * self.factor + self.shift

    def is_classes(self, band: str) -> bool:
        """Whether that raster is the classification."""
        return band == self.class_band

    def pixel_sizes(self, band: str) -> tuple[int, ...]:
        """The pixel sizes in metres that a raster of the band, or of the classes, may have."""
        if self.spacings:
            return self.spacings
        fallback = self.classification.metres if self.classification else 0
        return (self.resolutions.get(band, fallback),)

    def cube_dtype(self, band: str) -> str:
        """The numpy dtype of a band in the cube."""
        return "uint8" if self.is_classes(band) else self.dtype

    def check_bands(self, bands: Iterable[str]) -> tuple[str, ...]:
        """The requested bands, each once, in the card's order.

        Raises:
            InvalidInputError: one of them is not a band of this card.
        """
        bands = tuple(bands)
        unknown = [band for band in bands if band not in self.resolutions]
        if unknown or not bands:
            raise InvalidInputError(
                f"card {self.name} has no band {', '.join(unknown) or 'in an empty list'}; "
                f"choose from {', '.join(self.resolutions)}"
            )
        return tuple(band for band in self.resolutions if band in bands)

    def band_named(self, name: str) -> str | None:
        """The band or classification of that name, whatever its case and zeros (B04, b4, Band 4, red), else None."""
        name = name.strip().lower()
        return next((band for band in self._spellings(name) if band in self.rasters), None)

    def asset_band(self, key: str) -> str | None:
        """The band of an asset by its key at any provider (B04, red, red-jp2, B04_10m, r10m/b04, FRE_B4, gamma0_vv).

        None when it is no band of the card, and for a copy resampled to another pixel size (B04_20m, scl_60m).
        """
        name = _EXTENSION.sub("", key.strip().lower())
        grouped, sized = _GROUP.match(name), _SIZE.search(name)
        name = grouped["name"] if grouped else _SIZE.sub("", name)
        band = self.band_named(_BEHIND.sub("", _BEFORE.sub("", name)))
        stated = grouped or sized
        if stated and band is not None and not self.spacings:
            return band if int(stated["metres"]) in self.pixel_sizes(band) else None
        return band

    def _spellings(self, name: str) -> Iterator[str]:
        numbered = _NUMBERED.match(name)
        if numbered:
            yield f"B{numbered['number'].upper():0>2}"
        if name in self.aliases:
            yield self.aliases[name]
        yield from (band for band in self.rasters if band.lower() == name)


_GROUP = re.compile(r"(?:.*/)?r(?P<metres>\d{2})m/(?P<name>\w+)$")
"""Path of a band in an EOPF product: r10m/b02."""
_SIZE = re.compile(r"[_-](?P<metres>\d{2,3})m$")
_EXTENSION = re.compile(r"[._-](?:jp2|tiff?)$")
_BEFORE = re.compile(r"^(?:toc|fre|sre|sr|boa|surface_reflectance|reflectance|gamma0|sigma0|coh|coherence)[_-]")
_BEHIND = re.compile(r"[_-](?:toc|fre|sre|sr|boa|reflectance|coh|coherence|[gs]-lin)$")
_NUMBERED = re.compile(r"(?:b|band[ _-]?)0?(?P<number>[2-8]|8a|11|12)$")
