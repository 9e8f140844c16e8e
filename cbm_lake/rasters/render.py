"""Rendering of arrays: stretch to eight bits, colour, encode as PNG; and atomic writing of GeoTIFF files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np
import rasterio
from rasterio.errors import RasterioError

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import durable
from cbm_lake.geo.windows import PixelArray

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

BRIGHTEST: Final = MappingProxyType(
    {band.name: band.display[1] for card in cards.CARDS.values() for band in card.bands}
)
"""Values rendered white by default, as farmland is rarely brighter: harmonised DN; linear power of radar."""
CLASS_COLOURS: Final = MappingProxyType(
    {
        card.classification.name: np.array(card.classification.colours, np.uint8)
        for card in cards.CARDS.values()
        if card.classification
    }
)
"""Red, green and blue of the classes 0, 1, … of each classification."""
_PERCENTILES = re.compile(r"^(\d{1,2})_(\d{1,3})$")
_GAMMA: Final = 0.8
"""Gamma; below 1 brightens dark pixels, such as most vegetation."""


def stretched(
    bands: Mapping[str, PixelArray], lut: str | None = None, nodata: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """Red, green and blue (3, y, x), of three bands in that order, or of one in grey, scene classes in their colours.

    Args:
        bands: arrays (y, x) by the bands' names.
        lut: "5_95" stretches each band between these percentiles of its data; None between 0 and `BRIGHTEST`, the same
            for all images.
        nodata: pixels that are left out of the percentiles; None is where a band is 0.

    Raises:
        InvalidInputError: neither one nor three bands, or a lut that is none.
    """
    if len(bands) not in (1, 3):
        raise InvalidInputError(f"a picture needs one band or three, not {len(bands)}")
    name = next(iter(bands))
    if name in CLASS_COLOURS and len(bands) == 1:
        colours = CLASS_COLOURS[name]
        classes = np.minimum(bands[name].astype(np.intp), len(colours))
        return np.moveaxis(np.vstack([colours, [(0, 0, 0)]])[classes], -1, 0).astype(np.uint8)
    layers = [_stretched(name, values, lut, nodata) for name, values in bands.items()]
    return np.stack(layers if len(layers) == 3 else layers * 3)


def _stretched(name: str, values: PixelArray, lut: str | None, nodata: NDArray[np.bool_] | None) -> NDArray[np.uint8]:
    """One band as 0 to 255."""
    valid = np.isfinite(values) & (values != 0 if nodata is None else ~nodata)
    if lut is None:
        low, high, power = 0.0, float(BRIGHTEST.get(name, 10_000)), _GAMMA
    else:
        limits = _percentiles(lut)
        low, high = np.percentile(values[valid], limits) if valid.any() else (0.0, 1.0)
        power = 1.0
    scaled = (np.where(valid, values, low).astype(np.float32) - low) / max(high - low, 1e-9)
    return (scaled.clip(0, 1) ** power * 255).round().astype(np.uint8)


def _percentiles(lut: str) -> tuple[float, float]:
    match = _PERCENTILES.match(lut)
    low, high = (float(match[1]), float(match[2])) if match else (0.0, 0.0)
    if not low < high <= 100:
        raise InvalidInputError(f"lut {lut!r} is no stretch; write two percentiles, for instance 5_95")
    return low, high


def png(colours: NDArray[np.uint8], nodata: NDArray[np.bool_] | None = None) -> bytes:
    """An image (3, y, x) as PNG, transparent where there is nodata."""
    picture = np.moveaxis(colours, 0, -1)
    if nodata is not None and nodata.any():
        picture = np.dstack([picture, np.where(nodata, 0, 255).astype(np.uint8)])
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(picture)))


def save_geotiff(
    file: Path, pixels: PixelArray, epsg: int, transform: Affine, tags: Mapping[str, object], **profile: object
) -> None:
    """Write bands (band, y, x) as GeoTIFF, atomically.

    Raises:
        SourceError: the folder or disk does not take it.
    """
    count, height, width = pixels.shape
    shape = {"count": count, "height": height, "width": width, "dtype": pixels.dtype}
    form = {"driver": "GTiff", "crs": f"EPSG:{epsg}", "transform": transform, "compress": "deflate"}
    try:
        with durable.replacing(file) as draft, rasterio.open(draft, "w", **form, **shape, **profile) as dataset:
            dataset.write(pixels)
            dataset.update_tags(**tags)
    except (OSError, RasterioError) as error:
        raise SourceError(f"{file} cannot be written: {error}; check the folder and the disk's space") from error


def names_of(bands: str | Sequence[str]) -> list[str]:
    """Bands out of B08_B04_B03 or a list."""
    return bands.split("_") if isinstance(bands, str) else list(bands)
