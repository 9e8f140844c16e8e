"""Numbers for figures: curves from statistics, colours from pixels. Plain tables and arrays in and out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from cbm_lake.cards import S2
from cbm_lake.errors import InvalidInputError
from cbm_lake.reprojection import reprojected

if TYPE_CHECKING:
    import pandas as pd
    from affine import Affine
    from numpy.typing import NDArray

_REFLECTANCE: Final = 10_000
"""DN of reflectance 1."""
CLEAR_SKY: Final = 0.0
"""The greatest share of clouded pixels of an observation that counts as cloud-free."""

# -- time series --------------------------------------------------------------------------------------------------


def band_name(band: str) -> str:
    """A band by the lake's name: B4 is B04, VVb and VVc are VV."""
    if band[:2] in ("VV", "VH"):
        return band[:2]
    return f"B0{band[1]}" if len(band) == 2 and band[0] == "B" and band[1].isdigit() else band


def cloud_share(histogram: dict[str, float], screen: Sequence[int]) -> float:
    """The share of classified pixels (scene classes 1 to 11) in the screened classes; NaN where none is classified."""
    counts = {int(value): number for value, number in histogram.items() if int(value) > 0}
    total = sum(counts.values())
    return sum(counts.get(value, 0) for value in screen) / total if total else math.nan


def ndvi_curve(series: pd.DataFrame, screen: Sequence[int]) -> pd.DataFrame:
    """NDVI over time: (B08 - B04) / (B08 + B04) of the bands' means.

    low and high combine the quartiles of the two bands: low is of B08's 25th percentile and B04's 75th, high of the
    others.

    Args:
        series: rows by time and band, in the columns of the contract.
        screen: scene classes that count as clouds.

    Returns:
        time, value, low, high, cloud (share, NaN where not known), count (pixels), seen (whether enough of the parcel
        was), by time.
    """
    red, nir = (_of_band(series, band) for band in ("B04", "B08"))
    pairs = red.join(nir, how="inner", lsuffix="_red", rsuffix="_nir")
    curve = pairs[[]].assign(
        value=_index(pairs["mean_nir"], pairs["mean_red"]),
        low=_index(pairs["p25_nir"], pairs["p75_red"]),
        high=_index(pairs["p75_nir"], pairs["p25_red"]),
        cloud=_clouds(pairs.get("hist_red"), len(pairs), screen),
        count=pairs["count_red"],
        seen=pairs.get("seen_red", True),
    )
    return curve.dropna(subset="value").reset_index()


def band_curve(series: pd.DataFrame, band: str, screen: Sequence[int]) -> pd.DataFrame:
    """The reflectance of a band over time: its mean, and as low and high its quartiles; columns as of `ndvi_curve`."""
    rows = _of_band(series, band)
    curve = rows[[]].assign(
        value=rows["mean"] / _REFLECTANCE, low=rows["p25"] / _REFLECTANCE, high=rows["p75"] / _REFLECTANCE,
        cloud=_clouds(rows.get("hist"), len(rows), screen), count=rows["count"], seen=rows.get("seen", True),
    )  # fmt: skip
    return curve.dropna(subset="value").reset_index()


def radar_curve(series: pd.DataFrame, band: str, *, decibel: bool) -> pd.DataFrame:
    """Backscatter in dB (10 log10 of its linear mean and quartiles), or coherence as it is; clouds do not matter."""
    rows = _of_band(series, band)
    values = rows[["mean", "p25", "p75"]].set_axis(["value", "low", "high"], axis=1).astype(float)
    if decibel:
        values = 10 * np.log10(values.where(values > 0))
    return (
        values.assign(cloud=0.0, count=rows["count"], seen=rows.get("seen", True)).dropna(subset="value").reset_index()
    )


def _of_band(series: pd.DataFrame, band: str) -> pd.DataFrame:
    """A band's rows that have pixels, indexed by time; of several of one moment the one with the most pixels."""
    rows = series[(series["band"] == band) & (series["count"] > 0)]
    return rows.sort_values(["time", "count"]).drop_duplicates("time", keep="last").set_index("time")


def _index(one: Any, other: Any) -> Any:
    total = one + other
    return ((one - other) / total.where(total > 0)).clip(-1, 1)


def _clouds(histograms: pd.Series[Any] | None, number: int, screen: Sequence[int]) -> NDArray[np.float64]:
    if histograms is None:
        return np.full(number, np.nan)
    return np.array([cloud_share(found, screen) if found else np.nan for found in histograms], np.float64)


def clear(curve: pd.DataFrame) -> NDArray[np.bool_]:
    """Which observations are cloud-free and of enough of the parcel; where clouds are never known, the latter alone."""
    cloud = np.asarray(curve["cloud"], np.float64)
    seen = np.asarray(curve["seen"], bool) if "seen" in curve else np.ones(len(cloud), bool)
    return seen if np.isnan(cloud).all() else np.asarray(seen & (cloud <= CLEAR_SKY))


def hidden(curve: pd.DataFrame) -> dict[str, int]:
    """How many observations are not clear, by the reason in a word or three."""
    cloud = np.asarray(curve["cloud"], np.float64)
    left_out, seen = ~clear(curve), np.asarray(curve.get("seen", np.ones(len(cloud), bool)), bool)
    counts = {
        "seen in part": ~seen,
        "not known": left_out & seen & np.isnan(cloud),
        "clouded": left_out & seen & (cloud > CLEAR_SKY),
    }
    return {words: int(found.sum()) for words, found in counts.items() if found.any()}


# -- views of images ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """What is made of the bands of an image."""

    name: str
    """As files are called: ndvi, B04_B03_B02, B08."""
    title: str
    bands: tuple[str, ...]

    @property
    def index(self) -> bool:
        """Whether it is NDVI."""
        return self.name == "ndvi"

    @property
    def scaled(self) -> bool:
        """Whether it has a scale of one number per colour: an index or one band."""
        return len(self.bands) != 3


_TRUE_COLOUR: Final = ("B04", "B03", "B02")
_KNOWN: Final[dict[tuple[str, ...], str]] = {
    _TRUE_COLOUR: "true colour",
    ("B08", "B04", "B03"): "infrared · B08, B04, B03",
    ("B08", "B11", "B04"): "vegetation · B08, B11, B04",
}


def view(bands: str | Sequence[str]) -> View:
    """What is meant by "ndvi", "true colour", "B08", "B08_B04_B03" or ("B08", "B04", "B03").

    Raises:
        InvalidInputError: neither an index, nor one band, nor three.
    """
    text = bands.strip().lower().replace("_", " ") if isinstance(bands, str) else ""
    if text == "ndvi":
        return View("ndvi", "NDVI", ("B08", "B04"))
    names = bands.replace(",", "_").replace(" ", "_").split("_") if isinstance(bands, str) else list(bands)
    if text in ("true colour", "true color", "rgb"):
        names = list(_TRUE_COLOUR)
    chosen = tuple(band_name(name.strip().upper()) for name in names if name.strip())
    if len(chosen) not in (1, 3) or not set(chosen) <= set(S2.resolutions):
        raise InvalidInputError(
            f"{bands!r} is no view; write ndvi, true colour, one band or three, of {', '.join(S2.resolutions)}"
        )
    return View("_".join(chosen), _KNOWN.get(chosen, ", ".join(chosen)), chosen)


_BRIGHTEST: Final = (1600, 3500)
"""Between which DN white begins in true colour: fields are rarely brighter, clouds always."""
Limits = tuple[tuple[float, float], ...]
"""For each band the DN that are darkest and brightest; for an index its own."""


def limits(kind: View, images: Sequence[dict[str, NDArray[Any]]]) -> Limits:
    """Common limits of all images, so that their colours can be compared: 2nd and 98th percentile.

    NDVI has the fixed limits 0 and 0.9. True colour begins at 0 and ends alike for its three bands, which keeps the
    hues.

    Args:
        kind: what is made of them.
        images: bands of the cloud-free images.
    """
    if kind.index:
        return ((0.0, 0.9),)
    samples = [np.concatenate([image[band][image[band] > 0] for image in images]) for band in kind.bands]
    if kind.bands == _TRUE_COLOUR:
        brightest = float(np.clip(_spread(np.concatenate(samples))[1], *_BRIGHTEST))
        return ((0.0, brightest),) * 3
    return tuple(_spread(sample) for sample in samples)


def _spread(sample: NDArray[Any]) -> tuple[float, float]:
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(sample, (2, 98)))
    return (low, high) if high > low else (low, low + 1)


def scaled(kind: View, bands: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """NDVI of every pixel, or the reflectance of the one band; NaN where there is no measurement."""
    if not kind.index:
        pixels = bands[kind.bands[0]].astype(np.float64)
        return np.where(pixels > 0, pixels / _REFLECTANCE, np.nan)
    nir, red = (bands[band].astype(np.float64) for band in kind.bands)
    seen = (nir > 0) & (red > 0)
    found = np.full(nir.shape, np.nan)
    np.divide(nir - red, nir + red, out=found, where=seen)
    return found


def colours(kind: View, bands: dict[str, NDArray[Any]], between: Limits) -> NDArray[np.uint8]:
    """Red, green, blue and opacity of three bands, stretched between limits; clear where a band has no measurement."""
    stored = np.stack([bands[band] for band in kind.bands], axis=-1).astype(np.float64)
    low, high = (np.array(values) for values in zip(*between, strict=True))
    shown = ((stored - low) / (high - low)).clip(0, 1) ** 0.8 * 255
    opacity = np.where((stored > 0).all(axis=-1), 255, 0)
    return np.dstack([shown, opacity]).round().astype(np.uint8)


# -- places -------------------------------------------------------------------------------------------------------


def mask(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid that the outline touches, so that even a tiny parcel has some."""
    from rasterio.features import rasterize

    touched = rasterize(
        [(reprojected(outline, source, epsg), 1)], (size, size), transform=transform, all_touched=True, dtype="uint8"
    )
    return np.asarray(touched, bool)


def clouded(classes: NDArray[Any], inside: NDArray[np.bool_] | None, screen: Sequence[int]) -> float:
    """The share of an image's classified pixels in the screened classes; NaN where none is classified."""
    seen = classes[classes > 0] if inside is None else classes[inside & (classes > 0)]
    return float(np.isin(seen, list(screen)).mean()) if seen.size else math.nan


def utm(lon: float, lat: float) -> int:
    """The EPSG code of the UTM zone of a place."""
    return (32600 if lat >= 0 else 32700) + min(int((lon + 180) // 6) + 1, 60)


def nice(metres: float) -> int:
    """The greatest of 1, 2, 5, 10, 20, 50, … that is not more than that many metres."""
    steps = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    return int(max(step for step in steps if step <= max(metres, 1)))


def distance(metres: float) -> str:
    """A length in words: 200 m, 2 km, 1.28 km."""
    return f"{metres:g} m" if metres < 1000 else f"{metres / 1000:g} km"
