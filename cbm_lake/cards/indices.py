"""Spectral indices (NDVI, NDWI, …): formula, range, colour map and source of each, as data.

An index is the ratio of two weighted sums of bands, each with a constant. What needs an index derives from these data:
SQL macros, the columns of the view `observations`, questions about crops, curves, images, calendars and the choices of
the command line.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cbm_lake.cards.card import Card
from cbm_lake.cards.sentinel2 import S2

SCALE: Final = 1e-4
"""Reflectance of one DN, offset removed, as the views and the chips have it."""


@dataclass(frozen=True)
class Linear:
    """A weighted sum of reflectances, and a constant."""

    weights: Mapping[str, float]
    """By the bands' common names (STAC, electro-optical extension): red, nir, swir16."""
    constant: float = 0.0
    """In reflectance."""

    def of(self, values: Mapping[str, NDArray[np.float64]], scale: float) -> NDArray[np.float64]:
        """The sum over arrays of one shape, in DN of that scale."""
        total = sum(weight * values[role] for role, weight in self.weights.items())
        return np.asarray(total + self.constant / scale, np.float64)


@dataclass(frozen=True)
class Index:
    """The ratio of two weighted sums of reflectances."""

    name: str
    """In SQL, in figures and on the command line, in lower case."""
    label: str
    """On axes and colour bars."""
    numerator: Linear
    denominator: Linear
    """The index has no value where this is not positive."""
    limits: tuple[float, float]
    """Values of the darkest and the brightest colour of an image."""
    axis: tuple[float, float]
    """Least range of the axis of curves and histograms."""
    cmap: str
    """Colour map of matplotlib."""
    description: str
    """What it measures."""
    source: str
    """Publication of the formula."""
    aliases: tuple[str, ...] = ()
    """Other names of it in figures."""

    @property
    def roles(self) -> tuple[str, ...]:
        """Common names of its bands, by wavelength; the order of the macro's parameters."""
        weighted = {**self.numerator.weights, **self.denominator.weights}
        return tuple(sorted(weighted, key=_wavelength))

    @property
    def bands(self) -> tuple[str, ...]:
        """Its bands of Sentinel-2, by wavelength."""
        return self.bands_of(S2)

    def bands_of(self, card: Card) -> tuple[str, ...]:
        """Its bands of a card, by wavelength; none where the card lacks one."""
        bands = [card.band_named(role) for role in self.roles]
        return tuple(band for band in bands if band) if all(bands) else ()

    @property
    def has_constant(self) -> bool:
        """Whether its value depends on the unit of the bands."""
        return bool(self.numerator.constant or self.denominator.constant)

    @property
    def is_normalized_difference(self) -> bool:
        """Whether it is (a - b) / (a + b) of sums of bands, from -1 to 1."""
        weights = self.numerator.weights
        return (
            not self.has_constant
            and set(weights.values()) <= {1, -1}
            and dict(self.denominator.weights) == dict.fromkeys(weights, 1)
        )

    def of(self, bands: Mapping[str, ArrayLike], scale: float = SCALE) -> NDArray[np.float64]:
        """The index of DN (offset removed), such as pixels, or means of parcels.

        Args:
            bands: arrays of one shape, by Sentinel-2 band (B04) or by common name (red). NaN is no measurement.
            scale: reflectance of one DN; 1 where the arrays are reflectances.

        Returns:
            float64 of that shape, NaN where a band has no measurement or the denominator is not positive.
        """
        pairs = zip(self.roles, self.bands, strict=True)
        values = {role: np.asarray(bands[role if role in bands else band], np.float64) for role, band in pairs}
        below = self.denominator.of(values, scale)
        ratio = np.full(np.shape(below), np.nan)
        np.divide(self.numerator.of(values, scale), below, out=ratio, where=below > 0)
        return ratio

    def between(
        self, low: Mapping[str, ArrayLike], high: Mapping[str, ArrayLike], scale: float = SCALE
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest index where every band is anywhere between two values.

        A ratio of weighted sums changes in one direction with each band, so both are at corners of that box.

        Args:
            low: lower values, by Sentinel-2 band; arrays of one shape.
            high: upper values.
            scale: reflectance of one DN.

        Returns:
            Two float64 arrays of that shape; NaN where the index has no value at any corner.
        """
        corners = [
            self.of({band: side[band] for band, side in zip(self.bands, sides, strict=True)}, scale)
            for sides in itertools.product((low, high), repeat=len(self.bands))
        ]
        least, most = corners[0], corners[0]
        for corner in corners[1:]:
            least, most = np.fmin(least, corner), np.fmax(most, corner)
        return least, most


def _wavelength(role: str) -> float:
    """The centre of the band of Sentinel-2 of that common name; those that it lacks come last."""
    named = S2.band_named(role)
    return next((band.wavelength for band in S2.bands if band.name == named and band.wavelength), math.inf)


def normalized_difference(plus: Sequence[str], minus: Sequence[str]) -> tuple[Linear, Linear]:
    """Numerator and denominator of (plus - minus) / (plus + minus) of the sums of bands."""
    weights = {**dict.fromkeys(plus, 1.0), **dict.fromkeys(minus, -1.0)}
    return Linear(weights), Linear(dict.fromkeys(weights, 1.0))


_LISTED: Final = (
    Index(
        "ndvi",
        "NDVI",
        *normalized_difference(["nir"], ["red"]),
        limits=(0.0, 0.9),
        axis=(0.0, 1.0),
        cmap="YlGn",
        description="green vegetation",
        source="Rouse et al. (1974), Monitoring vegetation systems in the Great Plains with ERTS, NASA SP-351",
    ),
    Index(
        "ndwi",
        "NDWI (B03, B08)",
        *normalized_difference(["green"], ["nir"]),
        limits=(-0.8, 0.4),
        axis=(-0.8, 0.2),
        cmap="YlGnBu",
        description="open water, as on flooded fields; positive on water",
        source="McFeeters (1996), doi:10.1080/01431169608948714",
    ),
    Index(
        "bsi",
        "bare soil index",
        *normalized_difference(["swir16", "red"], ["nir", "blue"]),
        limits=(-0.4, 0.3),
        axis=(-0.4, 0.3),
        cmap="YlOrBr",
        description="bare soil",
        source="Rikimaru, Roy and Miyatake (2002), Tropical Ecology 43(1), 39-47",
        aliases=("bare soil", "bare soil index"),
    ),
    Index(
        "ndmi",
        "NDMI (B08, B11)",
        *normalized_difference(["nir"], ["swir16"]),
        limits=(-0.4, 0.6),
        axis=(-0.4, 0.6),
        cmap="YlGnBu",
        description="water in leaves, and drought; also called NDWI after Gao",
        source="Gao (1996), doi:10.1016/S0034-4257(96)00067-3",
    ),
    Index(
        "ndti",
        "NDTI (B11, B12)",
        *normalized_difference(["swir16"], ["swir22"]),
        limits=(0.0, 0.3),
        axis=(-0.1, 0.4),
        cmap="YlOrBr_r",
        description="dry crop residue on ground that is not green; higher under green leaves too",
        source="van Deventer et al. (1997), Photogrammetric Engineering and Remote Sensing 63(1), 87-93",
    ),
    Index(
        "evi",
        "EVI",
        Linear({"nir": 2.5, "red": -2.5}),
        Linear({"nir": 1.0, "red": 6.0, "blue": -7.5}, 1.0),
        limits=(0.0, 0.9),
        axis=(0.0, 1.0),
        cmap="YlGn",
        description="green vegetation, also where it is dense, corrected for soil and haze",
        source="Huete et al. (2002), doi:10.1016/S0034-4257(02)00096-2",
    ),
)
_BY_NAME: Final = {index.name: index for index in _LISTED}
INDICES: Final[Mapping[str, Index]] = MappingProxyType(_BY_NAME)
"""Indices by name."""
