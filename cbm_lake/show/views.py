"""`View`: an index, band, band composite, scene classification or radar band, and how its pixels map to colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from cbm_lake.cards import BS, C6, CARDS, INDICES, S2, Card, Index, band_called
from cbm_lake.errors import InvalidInputError
from cbm_lake.rasters import render

if TYPE_CHECKING:
    from numpy.typing import NDArray

Bands = Mapping[str, "NDArray[np.number]"]
"""Pixels (y, x) by band: harmonised DN, classes, linear power or coherence; 0 is nodata."""
Limits = tuple[tuple[float, float], ...]
"""For each band the DN that are darkest and brightest; for a scale of one number its own."""

_REFLECTANCE: Final = 10_000
"""DN of reflectance 1."""
_NDVI: Final = ["B04", "B08"]
"""How the original asks for it."""
_TRUE_COLOUR: Final = ("B04", "B03", "B02")
_COMPOSITES: Final[Mapping[tuple[str, ...], str]] = {
    _TRUE_COLOUR: "true colour",
    ("B08", "B04", "B03"): "infrared · B08, B04, B03",
    ("B08", "B11", "B04"): "vegetation · B08, B11, B04",
}
_BRIGHTEST: Final = (1600, 3500)
"""Between which DN white begins in true colour: fields are rarely brighter, clouds always."""
_SPREAD_MAP: Final = "viridis"
"""A colour map whose lightness grows evenly."""


_WORDS: Final = {"true color": "true colour", "rgb": "true colour"}


@dataclass(frozen=True)
class View:
    """A rendering of image bands: index, band, composite or classification."""

    name: str
    """As files are called: ndvi, B04_B03_B02, B08, bs_VV."""
    title: str
    bands: tuple[str, ...]
    card: Card = S2
    index: Index | None = None

    @property
    def classes(self) -> bool:
        """Whether it shows a scene classification."""
        return self.bands == (self.card.class_band,)

    @property
    def scaled(self) -> bool:
        """Whether it maps one value per pixel to a colour scale: an index or a single band."""
        return len(self.bands) != 3 and not self.classes if self.index is None else True

    @property
    def unit(self) -> str:
        """Unit of the colour scale."""
        if self.index:
            return self.index.label
        names = {BS.name: f"{self.bands[0]} (dB)", C6.name: f"coherence, {self.bands[0]}"}
        return names.get(self.card.name, f"reflectance, {self.title}")

    @property
    def cmap(self) -> str:
        """Default colour map."""
        return self.index.cmap if self.index else _SPREAD_MAP

    def values(self, bands: Bands) -> NDArray[np.float64]:
        """Values of the colour scale per pixel: index, reflectance, dB or coherence; NaN for nodata."""
        if self.index:
            roles = zip(self.index.roles, self.bands, strict=True)
            return self.index.of({role: np.where(bands[name] > 0, bands[name], np.nan) for role, name in roles})
        pixels = bands[self.bands[0]].astype(np.float64)
        measured = np.where(pixels > 0, pixels, np.nan)
        if self.card is BS:
            return 10 * np.log10(measured)
        return measured if self.card is C6 else measured / _REFLECTANCE

    def limits(self, images: Sequence[Bands], percentile: Sequence[float] | None = None) -> Limits:
        """Common colour limits of several images: 2nd and 98th percentile.

        An index and coherence have fixed limits. True colour begins at 0 and ends alike for its three bands, which
        keeps the hues.

        Args:
            images: the bands of each.
            percentile: the two between which the numbers of the scale, or each band, are stretched instead.

        Raises:
            InvalidInputError: percentiles that are none.
        """
        if percentile is not None:
            return self._stretched(images, _between(percentile))
        if self.index:
            return (self.index.limits,)
        if self.card is C6:
            return ((0.0, 1.0),)
        if self.scaled:
            samples = [self.values(image) for image in images]
            return (_spread(np.concatenate([sample[np.isfinite(sample)] for sample in samples])),)
        parts = [np.concatenate([image[band][image[band] > 0] for image in images]) for band in self.bands]
        if self.bands == _TRUE_COLOUR:
            brightest = float(np.clip(_spread(np.concatenate(parts))[1], *_BRIGHTEST))
            return ((0.0, brightest),) * 3
        return tuple(_spread(part) for part in parts)

    def fixed(self, limits: Sequence[float]) -> Limits:
        """Colour limits that are given, in the unit of the scale.

        Raises:
            InvalidInputError: they are not two rising numbers, or the view has no scale.
        """
        if not self.scaled:
            raise InvalidInputError(f"{self.title} has no scale of one number; choose an index or a single band")
        try:
            low, high = (float(value) for value in limits)
        except (TypeError, ValueError):
            low, high = np.nan, np.nan
        if not (np.isfinite([low, high]).all() and low < high):
            raise InvalidInputError(f"limits {limits!r} are no two numbers of which the second is greater")
        return ((low, high),)

    def in_words(self, between: Limits) -> str:
        """Between which numbers colours are stretched: NDVI 0 to 0.9; B08 212 to 4810, …; "" of classes."""
        if self.classes:
            return ""
        names = [self.unit] if self.scaled else self.bands
        return ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, (low, high) in zip(names, between, strict=True))

    def _stretched(self, images: Sequence[Bands], between: tuple[float, float]) -> Limits:
        """Limits at percentiles of all valid pixels."""
        if self.scaled:
            samples = [self.values(image) for image in images]
            return (_spread(np.concatenate([sample[np.isfinite(sample)] for sample in samples]), between),)
        parts = [np.concatenate([image[band][image[band] > 0] for image in images]) for band in self.bands]
        return tuple(_spread(part, between) for part in parts)

    def colours(self, bands: Bands, between: Limits) -> NDArray[np.uint8]:
        """RGBA (y, x, 4) of a classification, or of three bands stretched between limits.

        Clear where a band has no measurement.
        """
        if self.classes:
            rgb = np.moveaxis(render.stretched({self.bands[0]: bands[self.bands[0]]}), 0, -1)
            return np.dstack([rgb, np.where(bands[self.bands[0]] > 0, 255, 0)]).astype(np.uint8)
        stored = np.stack([bands[band] for band in self.bands], axis=-1).astype(np.float64)
        low, high = (np.array(values) for values in zip(*between, strict=True))
        stretched = ((stored - low) / (high - low)).clip(0, 1) ** 0.8 * 255
        opacity = np.where((stored > 0).all(axis=-1), 255, 0)
        return np.dstack([stretched, opacity]).round().astype(np.uint8)


def view(bands: str | Sequence[str]) -> View:
    """Parse a view: an index, "true colour", "SCL", "B08", "B08_B04_B03", ("B08", "B04", "B03"), "bs VV", "c6 VH".

    The original's forms are understood too: ["ndvi"], ["True color"], and B04 with B08 for NDVI.

    Raises:
        InvalidInputError: nothing of these.
    """
    asked = bands if isinstance(bands, str) or len(bands) != 1 else bands[0]
    text = asked.strip().lower().replace("_", " ") if isinstance(asked, str) else ""
    names = asked.replace(",", "_").replace(" ", "_").split("_") if isinstance(asked, str) else list(asked)
    text = "ndvi" if [band_called(name) for name in names] == _NDVI else _WORDS.get(text, text)
    index = _index_named(text)
    if index:
        return View(index.name, index.label, index.bands, index=index)
    if text == "true colour":
        names = list(_TRUE_COLOUR)
    bands_of = tuple(band_called(name.strip().upper()) for name in names if name.strip())
    other = CARDS.get(bands_of[0].lower()) if bands_of else None
    if other and other is not S2:
        return _of_card(bands, other, [name for name in names[1:] if name])
    if bands_of == (S2.class_band,):
        return View("SCL", "scene classes", bands_of)
    if len(bands_of) not in (1, 3) or not set(bands_of) <= set(S2.resolutions):
        raise InvalidInputError(_advice(bands))
    return View("_".join(bands_of), _COMPOSITES.get(bands_of, ", ".join(bands_of)), bands_of)


def _index_named(text: str) -> Index | None:
    return next((index for index in INDICES.values() if text in (index.name, *index.aliases)), None)


def _of_card(bands: str | Sequence[str], card: Card, words: Sequence[str]) -> View:
    """Views of other cards than Sentinel-2: one band, an index, the classification, or an optical composite."""
    text = "_".join(words)
    index = _index_named(text.replace("_", " ").lower())
    if index and (bands_of := index.bands_of(card)):
        return View(f"{card.name}_{index.name}", f"{card.picture} {index.label}", bands_of, card, index)
    whole = card.band_named(text)  # QA_PIXEL has a line in its name
    names = (whole,) if whole else tuple(band_called(word, card) for word in words)
    if card.is_optical and (text := text.replace("_", " ").lower()) and _WORDS.get(text, text) == "true colour":
        names = tuple(card.band_named(role) or role for role in ("red", "green", "blue"))
    name = "_".join((card.name, *names))
    if names == (card.class_band,):
        return View(name, f"{card.mission.name} {names[0]}", names, card)
    if len(names) not in ((1, 3) if card.is_optical else (1,)) or not set(names) <= set(card.resolutions):
        raise InvalidInputError(_advice(bands))
    return View(name, f"{card.picture} {', '.join(names)}", names, card)


def _advice(bands: str | Sequence[str]) -> str:
    return (
        f"{bands!r} is no view; write {', '.join(INDICES)}, true colour, SCL, one band or three of "
        f"{', '.join(S2.resolutions)}, or of radar bs VV, bs VH, c6 VV, c6 VH, "
        "or of another card its name and one of these: ls ndvi"
    )


def _between(percentile: Sequence[float]) -> tuple[float, float]:
    """Validate a lower and a higher percentile."""
    try:
        low, high = (float(value) for value in percentile)
    except (TypeError, ValueError):
        low, high = np.nan, np.nan
    if not 0 <= low < high <= 100:
        raise InvalidInputError(f"percentile {percentile!r} are no two percentiles, such as [2, 98]")
    return low, high


def _spread(sample: NDArray[np.number], between: tuple[float, float] = (2, 98)) -> tuple[float, float]:
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample.astype(np.float64), between))
    return (low, high) if high > low else (low, low + 1)
