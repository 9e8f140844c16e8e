"""The series over which detectors look: which there are, of which card and bands, and between which values they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from cbm_lake import cards

NDVI: Final = "ndvi"
COHERENCE: Final = "coherence"
_RADAR: Final = {"backscatter": "bs", "coherence": "c6"}
_DECIBELS: Final = (-60.0, 30.0)
_BRIGHTEST: Final = 20_000.0


@dataclass(frozen=True)
class Signal:
    """A series that can be read of every parcel."""

    name: str
    """ndvi, ndti, B11, coherence, backscatter_vh, …"""
    card: str
    bands: tuple[str, ...]
    """The bands of the card that it is computed from."""
    low: float
    """The least value that is possible; a threshold below it is an error."""
    high: float

    @property
    def is_index(self) -> bool:
        """Whether it is a spectral index."""
        return self.name in cards.INDICES

    @property
    def is_optical(self) -> bool:
        """Whether it has values on clear dates only."""
        return self.card == "s2"


@cache
def signals() -> dict[str, Signal]:
    """All series by name: indices of Sentinel-2, its bands (DN), coherence, and backscatter (dB)."""
    optical = cards.CARDS["s2"]
    indices = [
        Signal(name, "s2", index.bands, *((-1.0, 1.0) if index.is_normalized_difference else (-2.0, 2.0)))
        for name, index in cards.INDICES.items()
    ]
    bands = [
        Signal(band.name, "s2", (band.name,), 0.0, _BRIGHTEST)
        for band in optical.bands
        if not optical.is_classes(band.name)
    ]
    radar = [
        Signal(f"{kind}_{band.name.lower()}", card, (band.name,), *((0.0, 1.0) if card == "c6" else _DECIBELS))
        for kind, card in _RADAR.items()
        for band in cards.CARDS[card].bands
    ]
    both = Signal(COHERENCE, "c6", ("VV", "VH"), 0.0, 1.0)
    return {signal.name: signal for signal in (*indices, *bands, both, *radar)}


def signal(name: str) -> Signal:
    """The series of that name.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    try:
        return signals()[name]
    except KeyError:
        raise ValueError(f"there is no series {name!r}; there are: {', '.join(signals())}") from None
