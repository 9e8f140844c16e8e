"""Numbers for figures: curves from statistics, clouds and places of pixels. Plain tables and arrays in and out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from affine import Affine

from cbm_lake.cards import S2, Classes, scene_classes
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.parcel.chips import Cutout
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

_REFLECTANCE: Final = 10_000
"""DN of reflectance 1."""
CLEAR_SKY: Final = 0.0
"""The greatest share of clouded pixels of an observation that counts as cloud-free."""

# -- time series --------------------------------------------------------------------------------------------------


def cloud_share(histogram: Mapping[str, float], screen: Classes) -> float:
    """The share of classified pixels in the screened classes; NaN where none is classified.

    Pixels without data, class 0, count only where that class is screened.
    """
    screened = scene_classes(screen)
    counts = {int(value): number for value, number in histogram.items() if int(value) > 0 or 0 in screened}
    total = sum(counts.values())
    return sum(counts.get(value, 0) for value in screened) / total if total else math.nan


def ndvi_curve(series: TimeSeries, screen: Classes) -> pd.DataFrame:
    """NDVI over time: (B08 - B04) / (B08 + B04) of the bands' means; see `index_curve`."""
    return index_curve(series, ("B08",), ("B04",), screen)


def index_curve(series: TimeSeries, plus: Sequence[str], minus: Sequence[str], screen: Classes) -> pd.DataFrame:
    """An index over time: (plus - minus) / (plus + minus) of the sums of the bands' means.

    low and high combine the quartiles of the bands: low is of the 25th percentile of those that count as plus and the
    75th of those that count as minus, high of the others.

    Args:
        series: of Sentinel-2.
        plus: bands that are added.
        minus: bands that are subtracted.
        screen: scene classes that count as clouds, in any form of `cards.scene_classes`.

    Returns:
        time, value, low, high, cloud (share, NaN where not known), count (pixels, of the band that has fewest), seen
        (whether enough of the parcel was), by time; only where all bands have pixels.
    """
    rows = series.rows((*plus, *minus))

    def total(bands: Sequence[str], statistic: str) -> pd.Series[float]:
        first, *others = (rows[f"{band}_{statistic}"] for band in bands)
        return sum(others, first)

    value = _index(total(plus, "mean"), total(minus, "mean"))
    low = _index(total(plus, "p25"), total(minus, "p75"))
    high = _index(total(plus, "p75"), total(minus, "p25"))
    return _curve(rows, value, low, high, _clouds(rows["classes"], screen))


def band_curve(series: TimeSeries, band: str, screen: Classes) -> pd.DataFrame:
    """The reflectance of a band over time: its mean, and as low and high its quartiles; columns as of `ndvi_curve`."""
    rows = series.rows([band])
    value, low, high = (rows[f"{band}_{name}"] / _REFLECTANCE for name in ("mean", "p25", "p75"))
    return _curve(rows, value, low, high, _clouds(rows["classes"], screen))


def radar_curve(series: TimeSeries, band: str, *, decibel: bool) -> pd.DataFrame:
    """Backscatter in dB (10 log10 of its linear mean and quartiles), or coherence as it is; clouds do not matter."""
    rows = series.rows([band])
    value, low, high = (rows[f"{band}_{name}"] for name in ("mean", "p25", "p75"))
    if decibel:
        value, low, high = (10 * np.log10(part.where(part > 0)) for part in (value, low, high))
    return _curve(rows, value, low, high, 0.0)


def _curve(
    rows: pd.DataFrame,
    value: pd.Series[float],
    low: pd.Series[float],
    high: pd.Series[float],
    cloud: NDArray[np.float64] | float,
) -> pd.DataFrame:
    curve = rows[["time"]].assign(
        value=value, low=low, high=high, cloud=cloud, count=rows["count"], seen=rows["seen"].astype(bool)
    )
    return curve.dropna(subset="value").reset_index(drop=True)


def _index(one: pd.Series[float], other: pd.Series[float]) -> pd.Series[float]:
    total = one + other
    return ((one - other) / total.where(total > 0)).clip(-1, 1)


def _clouds(counts: pd.Series[Any], screen: Classes) -> NDArray[np.float64]:
    """The clouded share by scene, of its pixels of each scene class."""
    histograms = ({} if np.ndim(row) == 0 else _histogram(row) for row in counts)
    return np.array([cloud_share(histogram, screen) for histogram in histograms], np.float64)


def _histogram(counts: Iterable[float]) -> dict[str, float]:
    return {str(value): 0 if count is None or math.isnan(count) else count for value, count in enumerate(counts)}


def clear(curve: pd.DataFrame) -> NDArray[np.bool_]:
    """Which observations are cloud-free and of enough of the parcel; where clouds are never known, the latter alone."""
    cloud = np.asarray(curve["cloud"], np.float64)
    enough = np.asarray(curve["seen"], bool) if "seen" in curve else np.ones(len(cloud), bool)
    return enough if np.isnan(cloud).all() else np.asarray(enough & (cloud <= CLEAR_SKY))


def hidden(curve: pd.DataFrame) -> dict[str, int]:
    """How many observations are not clear, by the reason in a word or three."""
    cloud = np.asarray(curve["cloud"], np.float64)
    left_out, enough = ~clear(curve), np.asarray(curve.get("seen", np.ones(len(cloud), bool)), bool)
    reasons = {
        "seen in part": ~enough,
        "not known": left_out & enough & np.isnan(cloud),
        "clouded": left_out & enough & (cloud > CLEAR_SKY),
    }
    return {words: int(rows.sum()) for words, rows in reasons.items() if rows.any()}


# -- places -------------------------------------------------------------------------------------------------------


def mask(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid that the outline touches, so that even a tiny parcel has some."""
    from rasterio.features import rasterize

    touched = rasterize(
        [(reprojected(outline, source, epsg), 1)], (size, size), transform=transform, all_touched=True, dtype="uint8"
    )
    return np.asarray(touched, bool)


def inside(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid whose centre lies in the outline; those that it touches where there are none."""
    from rasterio.features import rasterize

    shape = reprojected(outline, source, epsg)
    centres = rasterize([(shape, 1)], (size, size), transform=transform, dtype="uint8").astype(bool)
    return np.asarray(centres) if centres.any() else mask(outline, source, epsg, transform, size)


def clouded(classes: NDArray[Any], inside: NDArray[np.bool_] | None, screen: Classes) -> float:
    """The share of an image's classified pixels in the screened classes; NaN where none is classified."""
    screened = scene_classes(screen)
    classified = (classes > 0) | (0 in screened)
    pixels = classes[classified] if inside is None else classes[inside & classified]
    return float(np.isin(pixels, screened).mean()) if pixels.size else math.nan


def with_clouds(
    data: xr.Dataset, cutouts: Iterable[Cutout], bands: Sequence[str], parcel: Parcel | None, screen: Classes
) -> xr.Dataset:
    """Images and the clouded share of each, of the parcel where there is one; NaN where not known, 0 of radar.

    Args:
        data: as `parcel.images.assembled` gives it.
        cutouts: that it is made of.
        bands: that are drawn; only these remain.
        parcel: in whose outline clouds are counted.
        screen: scene classes that count as clouds.
    """
    band, optical = S2.class_band, set(bands) <= set(S2.rasters)
    classified = {np.datetime64(cut.obstime.replace(tzinfo=None)) for cut in cutouts if cut.band == band}
    size, transform = data.sizes["x"], Affine(*data.attrs["transform"])
    pixels = mask(parcel.outline, parcel.epsg, data.attrs["epsg"], transform, size) if parcel else None
    clouds = [
        clouded(data[band][number].to_numpy(), pixels, screen) if time in classified else math.nan if optical else 0.0
        for number, time in enumerate(data["time"].to_numpy())
    ]
    return data[list(dict.fromkeys(bands))].assign(cloud=("time", clouds))


def nice(metres: float) -> int:
    """The greatest of 1, 2, 5, 10, 20, 50, … that is not more than that many metres."""
    steps = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    return int(max(step for step in steps if step <= max(metres, 1)))


def distance(metres: float) -> str:
    """A length in words: 200 m, 2 km, 1.28 km."""
    return f"{metres:g} m" if metres < 1000 else f"{metres / 1000:g} km"
