"""What each card (Copernicus application-ready data) is: its bands, their grids, and what providers call them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cbm_lake.errors import InvalidInputError


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
)
BS: Final = Card(
    "bs", MappingProxyType({"VV": 10, "VH": 10}), ("VV", "VH"), classification=None, nodata=0, dtype="float32"
)
C6: Final = Card(
    "c6", MappingProxyType({"VV": 20, "VH": 20}), ("VV", "VH"), classification=None, nodata=0, dtype="float32"
)
CARDS: Final = MappingProxyType({card.name: card for card in (S2, BS, C6)})

COMMON_NAMES: Final = MappingProxyType(
    {
        "blue": "B02", "green": "B03", "red": "B04", "rededge1": "B05", "rededge2": "B06", "rededge3": "B07",
        "nir": "B08", "nir08": "B8A", "swir16": "B11", "swir22": "B12", "scl": "SCL",
    }
)  # fmt: skip
"""Sentinel-2 bands by the common names of STAC's electro-optical extension, which Earth Search uses as asset keys."""

CLOUD_CLASSES: Final = (3, 8, 9, 10, 11)
"""SCL classes that are screened by default: cloud shadow, cloud (medium, high probability), thin cirrus, snow."""


def get(name: str) -> Card:
    """The card of that name.

    Raises:
        InvalidInputError: there is none.
    """
    if name not in CARDS:
        raise InvalidInputError(f"unknown card {name!r}; choose from {', '.join(CARDS)}")
    return CARDS[name]


def asset_band(key: str) -> str | None:
    """The band of an asset by its key at any provider (B04, B4, red, red-jp2, B04_10m, vv, gamma0_vv).

    None when it is no band of ours, and for a copy resampled to another pixel size (B04_20m, scl_60m).
    """
    name = key.lower().removesuffix("-jp2").removeprefix("gamma0_").removeprefix("sigma0_")
    name, _, size = name.partition("_")
    band = COMMON_NAMES.get(name, name.upper())
    if len(band) == 2 and band[0] == "B" and band[1].isdigit():
        band = f"B0{band[1]}"
    if band in {"VV", "VH"}:
        return band
    metres = {**_S2_METRES, "SCL": 20}.get(band)
    return band if metres and size in {"", f"{metres}m"} else None
