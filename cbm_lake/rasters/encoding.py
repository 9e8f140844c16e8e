"""Conversion of stored pixel values to the unit of the card, and refusal of what cannot be converted.

Card s2 counts in DN as ESA writes them: uint16, of which (DN + offset) / 10000 is reflectance, and 0 is nodata. Signed
integers (MAJA, FORCE, openEO) keep their bits, so that a negative number becomes one above 32767; products that wrapped
round below 0 hold such numbers themselves. None of them is a reflectance: `without_wrapped` makes them nodata. Floats
are reflectance and become DN. Other scaled reflectance stays as it is stored, and is scaled with the statistics; a bit
mask becomes classes. Cards of radar count in linear units, as floats; backscatter in decibels becomes power.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import CRSError

from cbm_lake import cards
from cbm_lake.cards import Card
from cbm_lake.errors import SourceError
from cbm_lake.geo.windows import PixelArray

INTEGERS: Final = "integers"
REFLECTANCE: Final = "reflectance"
DECIBELS: Final = "decibels"
_MASKS: Final = {
    f"bits of {card.class_band}": card.classification
    for card in cards.CARDS.values()
    if card.classification and card.classification.bits
}
"""Bit masks of which every pixel becomes a class."""
DTYPES: Final = {
    INTEGERS: "uint16",
    REFLECTANCE: "uint16",
    DECIBELS: "float32",
    **dict.fromkeys(_MASKS, "uint8"),
}
"""The numpy dtype of the result of `decoded`."""

HIGHEST: Final = int(cards.S2.highest or 0)
"""DN of card s2: reflectance above 3.2767 does not occur, and a number below 0 that wrapped round is above it."""
_DN: Final = 10_000
"""Of reflectance 1."""
_ABSURD: Final = cards.S2.quantity.most
"""No median of reflectance is above it."""
_MOST_DECIBELS: Final = 300
"""What is beyond is a number for nodata that the file does not declare."""
_METRES_PER_DEGREE: Final = 111_320
_INTEGERS: Final = frozenset({"int16", "int32", "uint32", "int64", "uint64"})


def of_raster(
    card: Card, band: str, boa_offset: int, *, href: str, dtype: str, scale: float = 1, unit: str = ""
) -> str | None:
    """How the stored numbers of a band become the card's, or None where they are so already.

    Args:
        card: of the scene.
        band: of the card, or its classification.
        boa_offset: of the scene, in DN.
        href: of the raster, for messages.
        dtype: numpy dtype of the stored numbers.
        scale: as the file's header states it.
        unit: db where the catalogue says that it stores decibels.

    Raises:
        SourceError: the type, scale or unit is not the card's.
    """
    kind = np.dtype(dtype).kind
    if card.is_classes(band):
        if kind not in "ui":
            raise SourceError(
                f"{href} is {dtype}; classes of card {card.name} are whole numbers", advice="leave out this scene"
            )
        return mask if (mask := f"bits of {band}") in _MASKS else None
    if unit and not card.quantity.decibels:
        raise SourceError(f"{href} is in {unit}; card {card.name} is never", advice="leave out this scene")
    if not card.is_optical:
        _check_power(card, href, dtype, scale)
        return DECIBELS if unit else None
    if scale not in (0, 1) and not np.isclose(scale, card.scale):
        raise SourceError(f"{href} has a scale of {scale:g}; band {band} needs {card.scale:.9g}; leave out this scene")
    if card.offset:
        _check_scaled(band, href, dtype)
        return None
    return _of_reflectance(band, boa_offset, href, dtype)


def _check_scaled(band: str, href: str, dtype: str) -> None:
    """Refuse other numbers than the card's own, of which 0 is nodata though it is a reflectance."""
    if dtype != "uint16":
        raise SourceError(f"{href} is {dtype}; band {band} needs uint16", advice="leave out this scene")


def _of_reflectance(band: str, boa_offset: int, href: str, dtype: str) -> str | None:
    if np.dtype(dtype).kind == "f":
        if boa_offset:
            raise SourceError(
                f"{href} is {dtype} reflectance, and its item does not state that the offset is in it already "
                f"(scale 1, offset 0); state it, or store whole numbers"
            )
        return REFLECTANCE
    if dtype == "uint16":
        return None
    if dtype in _INTEGERS:
        return INTEGERS
    raise SourceError(f"{href} is {dtype}; band {band} needs uint16, int16 or float32", advice="leave out this scene")


def _check_power(card: Card, href: str, dtype: str, scale: float) -> None:
    """Refuse radar in scaled or whole numbers."""
    expected = card.quantity.form
    if np.dtype(dtype).kind != "f" or scale not in (0, 1):
        stored = dtype if scale in (0, 1) else f"{dtype} with a scale of {scale:g}"
        raise SourceError(
            f"{href} is {stored}; card {card.name} needs {expected} as float32", advice="leave out this scene"
        )


def check_pixel(card: Card, band: str, href: str, epsg: int, pixel: tuple[float, float]) -> None:
    """Refuse other pixel sizes than the card's; those in degrees are compared along the meridian, and roughly.

    Args:
        card: of the scene.
        band: of the card, or its classification.
        href: of the raster, for messages.
        epsg: coordinate system.
        pixel: width and height in units of that system, both above 0.

    Raises:
        SourceError: pixels are of another size.
    """
    per_unit, tolerance = _metres(epsg)
    sizes = card.pixel_sizes(band)
    sides = pixel if tolerance < 0.1 else (pixel[1], pixel[1])
    if not any(all(abs(side * per_unit / size - 1) < tolerance for side in sides) for size in sizes):
        stored = " x ".join(f"{side * per_unit:.4g}" for side in dict.fromkeys(sides))
        expected = " or ".join(map(str, sizes))
        raise SourceError(
            f"{href} has pixels of {stored} m; band {band} of card {card.name} has {expected} m",
            advice="leave out this scene",
        )


@lru_cache(maxsize=256)
def _metres(epsg: int) -> tuple[float, float]:
    """Metres of a coordinate system's unit, and by which part pixel sizes may differ."""
    try:
        system = rasterio.CRS.from_epsg(epsg)
    except CRSError:
        return 1.0, 0.01
    if system.is_geographic:
        return float(_METRES_PER_DEGREE), 0.2
    return float(system.linear_units_factor[1]), 0.01


def decoded(pixels: PixelArray, encoding: str, href: str) -> PixelArray:
    """The stored numbers in the unit of the card; 0 stays nodata.

    Args:
        pixels: as stored, nodata made 0.
        encoding: of `of_raster`.
        href: for messages.

    Raises:
        SourceError: what should be reflectance cannot be.
    """
    if encoding in _MASKS:
        return _MASKS[encoding].classes_of(pixels)
    if encoding == INTEGERS:
        if pixels.dtype == np.int16:
            return pixels.view(np.uint16)
        return np.where((pixels < 0) | (pixels > HIGHEST), np.iinfo(np.uint16).max, pixels).astype(np.uint16)
    if encoding == DECIBELS:
        return _power(pixels)
    missing = ~np.isfinite(pixels) | (pixels == 0)
    if not missing.all() and np.median(pixels[~missing]) > _ABSURD:
        raise SourceError(
            f"{href} is {pixels.dtype} but holds numbers like {np.median(pixels[~missing]):.5g}, which are no "
            "reflectance; store them as uint16"
        )
    numbers = np.rint(np.where(missing, 0, pixels).astype(np.float64) * _DN)
    numbers = np.where((numbers == 0) & ~missing, 1, np.clip(numbers, -HIGHEST, np.iinfo(np.uint16).max))
    return numbers.astype(np.int32).astype(np.uint16)  # negative ones wrap round


def _power(decibels: PixelArray) -> NDArray[np.float32]:
    """Decibels as linear power; 0 where they are 0, not finite, or no measurement."""
    valid = (decibels != 0) & (np.abs(decibels) < _MOST_DECIBELS)  # false for NaN
    linear = np.zeros(decibels.shape, np.float32)
    np.power(10, decibels.astype(np.float64) / 10, out=linear, where=valid, casting="same_kind")
    return linear


def without_negative(pixels: PixelArray) -> int:
    """Set power or coherence below 0, an undeclared nodata value, to nodata in place; returns how many."""
    wrong = pixels < 0
    pixels[wrong] = 0
    return int(np.count_nonzero(wrong))


def without_wrapped(pixels: PixelArray, highest: float | None = HIGHEST) -> int:
    """Set DN that are no reflectance to nodata in place; returns how many.

    Args:
        pixels: DN of a band of any shape; other types than uint16 are left alone.
        highest: of the card; None where all are reflectance.
    """
    if highest is None or pixels.dtype != np.uint16 or pixels.max(initial=0) <= highest:
        return 0
    wrong = pixels > highest
    pixels[wrong] = 0
    return int(np.count_nonzero(wrong))


def check_radar(card: Card, band: str, pixels: PixelArray) -> None:
    """Refuse pixels over parcels whose median shows that they are in another unit than the card's.

    Raises:
        SourceError: most are negative, as in dB, or far too high, as in scaled numbers and amplitude.
    """
    valid = pixels[np.isfinite(pixels) & (pixels != 0)]
    median = float(np.median(valid)) if valid.size else 1.0
    if not 0 < median <= card.quantity.most:
        expected = card.quantity.form
        kind = "dB or undeclared nodata" if median < 0 else "scaled numbers or amplitude"
        raise SourceError(
            f"its {band} has a median of {median:.4g}, as {kind} would have; card {card.name} needs {expected}; "
            "leave out this scene"
        )
