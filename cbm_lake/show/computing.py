"""Numbers for figures: curves from statistics, clouds and places of pixels. Plain tables and arrays in and out."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from cbm_lake.cards import Classes, scene_classes
from cbm_lake.geo.reprojection import reprojected

if TYPE_CHECKING:
    import pandas as pd
    from affine import Affine
    from numpy.typing import NDArray

_REFLECTANCE: Final = 10_000
"""DN of reflectance 1."""
CLEAR_SKY: Final = 0.0
"""The greatest share of clouded pixels of an observation that counts as cloud-free."""

# -- time series --------------------------------------------------------------------------------------------------


def cloud_share(histogram: dict[str, float], screen: Classes) -> float:
    """The share of classified pixels in the screened classes; NaN where none is classified.

    Pixels without data, class 0, count only where that class is screened.
    """
    screened = scene_classes(screen)
    counts = {int(value): number for value, number in histogram.items() if int(value) > 0 or 0 in screened}
    total = sum(counts.values())
    return sum(counts.get(value, 0) for value in screened) / total if total else math.nan


def ndvi_curve(series: pd.DataFrame, screen: Classes) -> pd.DataFrame:
    """NDVI over time: (B08 - B04) / (B08 + B04) of the bands' means; see `index_curve`."""
    return index_curve(series, ("B08",), ("B04",), screen)


def index_curve(series: pd.DataFrame, plus: Sequence[str], minus: Sequence[str], screen: Classes) -> pd.DataFrame:
    """An index over time: (plus - minus) / (plus + minus) of the sums of the bands' means.

    low and high combine the quartiles of the bands: low is of the 25th percentile of those that count as plus and the
    75th of those that count as minus, high of the others.

    Args:
        series: rows by time and band, in the columns of the contract.
        plus: bands that are added.
        minus: bands that are subtracted.
        screen: scene classes that count as clouds, in any form of `cards.scene_classes`.

    Returns:
        time, value, low, high, cloud (share, NaN where not known), count (pixels, of the band that has fewest), seen
        (whether enough of the parcel was), by time; only where all bands have pixels.
    """
    rows = {band: _of_band(series, band) for band in (*plus, *minus)}
    times = functools.reduce(lambda one, other: one.intersection(other), (part.index for part in rows.values()))
    rows = {band: part.loc[times.sort_values()] for band, part in rows.items()}

    def total(bands: Sequence[str], statistic: str) -> pd.Series[float]:
        return sum((rows[band][statistic].astype(float) for band in bands[1:]), rows[bands[0]][statistic].astype(float))

    first = rows[minus[0]]
    curve = first[[]].assign(
        value=_index(total(plus, "mean"), total(minus, "mean")),
        low=_index(total(plus, "p25"), total(minus, "p75")),
        high=_index(total(plus, "p75"), total(minus, "p25")),
        cloud=_clouds(first.get("hist"), len(first), screen),
        count=np.minimum.reduce([part["count"].to_numpy() for part in rows.values()]),
        seen=first.get("seen", True),
    )
    return curve.dropna(subset="value").reset_index()


def band_curve(series: pd.DataFrame, band: str, screen: Classes) -> pd.DataFrame:
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


def _clouds(histograms: pd.Series[Any] | None, number: int, screen: Classes) -> NDArray[np.float64]:
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


# -- places -------------------------------------------------------------------------------------------------------


def mask(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid that the outline touches, so that even a tiny parcel has some."""
    from rasterio.features import rasterize

    touched = rasterize(
        [(reprojected(outline, source, epsg), 1)], (size, size), transform=transform, all_touched=True, dtype="uint8"
    )
    return np.asarray(touched, bool)


def inside(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid whose centre the outline holds; those that it touches where it holds none."""
    from rasterio.features import rasterize

    shape = reprojected(outline, source, epsg)
    held = rasterize([(shape, 1)], (size, size), transform=transform, dtype="uint8").astype(bool)
    return np.asarray(held) if held.any() else mask(outline, source, epsg, transform, size)


def clouded(classes: NDArray[Any], inside: NDArray[np.bool_] | None, screen: Classes) -> float:
    """The share of an image's classified pixels in the screened classes; NaN where none is classified."""
    screened = scene_classes(screen)
    known = (classes > 0) | (0 in screened)
    seen = classes[known] if inside is None else classes[inside & known]
    return float(np.isin(seen, screened).mean()) if seen.size else math.nan


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
