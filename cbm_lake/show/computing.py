"""Numbers for figures: curves from statistics, clouds and places of pixels. Plain tables and arrays in and out."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from cbm_lake.cards import INDICES, S2, Card, Classes, Index, observation, scene_classes
from cbm_lake.geo.reprojection import reprojected

if TYPE_CHECKING:
    import pandas as pd
    from affine import Affine
    from numpy.typing import NDArray

_REFLECTANCE: Final = 10_000
"""DN of reflectance 1."""
CLEAR_SKY: Final = observation.MOST_CLOUD
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
    return index_curve(series, INDICES["ndvi"], screen)


def index_curve(series: pd.DataFrame, index: Index, screen: Classes, card: Card = S2) -> pd.DataFrame:
    """An index over time, of the bands' means.

    low and high are the least and the greatest index of bands between their quartiles.

    Args:
        series: rows by time and band, in the columns of the contract.
        index: one of `cards.INDICES`.
        screen: scene classes that count as clouds, in any form of `cards.scene_classes`.
        card: whose bands.

    Returns:
        time, value, low, high, cloud (share, NaN where not known), count (pixels, of the band that has fewest), why_not
        (why it is not usable, as in `cards.observation`; else None), by time; only where all bands have pixels.
    """
    own = dict(zip(index.bands, index.bands_of(card), strict=True))
    rows = {band: _of_band(series, own[band]) for band in index.bands}
    times = functools.reduce(lambda one, other: one.intersection(other), (part.index for part in rows.values()))
    rows = {band: part.loc[times.sort_values()] for band, part in rows.items()}
    mean, p25, p75 = (
        {band: part[statistic].to_numpy(np.float64) for band, part in rows.items()}
        for statistic in ("mean", "p25", "p75")
    )
    low, high = index.between(p25, p75)
    count = np.minimum.reduce([part["count"].to_numpy() for part in rows.values()])
    return _curve(rows[index.bands[0]], (index.of(mean), low, high), screen).assign(count=count)


def band_curve(series: pd.DataFrame, band: str, screen: Classes) -> pd.DataFrame:
    """The reflectance of a band over time: its mean, and as low and high its quartiles; columns as of `ndvi_curve`."""
    rows = _of_band(series, band)
    mean, low, high = (rows[name].to_numpy(np.float64) / _REFLECTANCE for name in ("mean", "p25", "p75"))
    return _curve(rows, (mean, low, high), screen)


def _curve(rows: pd.DataFrame, values: Sequence[NDArray[np.float64]], screen: Classes) -> pd.DataFrame:
    """Value, low and high at the times of a band's rows, with the clouds of these and what the looks are worth."""
    cloud = _clouds(rows.get("hist"), len(rows), screen)
    columns = dict(zip(("value", "low", "high"), values, strict=True))
    curve = rows[[]].assign(**columns, cloud=cloud, count=rows["count"], why_not=_why_not(rows, cloud))
    return curve.dropna(subset="value").reset_index()


def _why_not(rows: pd.DataFrame, cloud: NDArray[np.float64]) -> list[str | None]:
    """Why looks are not usable: what `why_not` of the rows says, else their clouds; None where they are."""
    reasons: Sequence[str | None] = list(rows["why_not"]) if "why_not" in rows else [None] * len(rows)
    return [
        reason or ("unknown" if math.isnan(share) else "cloudy" if share > CLEAR_SKY else None)
        for reason, share in zip(reasons, cloud, strict=True)
    ]


def too_small(series: pd.DataFrame) -> list[str | None]:
    """Which rows of a series are of looks with too few pixels, by its counts alone: "small", else None.

    The pixels of a look are the fewest of its bands of the finest grid that have any, as in the lake.
    """
    metres = series["band"].map(S2.resolutions).fillna(0)
    rows = series[series["count"] > 0].assign(metres=metres)
    finest = rows[rows["metres"] == rows.groupby("date_part")["metres"].transform("min")]
    pixels = series["date_part"].map(finest.groupby("date_part")["count"].min()).fillna(0)
    return ["small" if number < observation.LEAST_PIXELS else None for number in pixels]


def radar_curve(series: pd.DataFrame, band: str, *, decibel: bool) -> pd.DataFrame:
    """Backscatter in dB (10 log10 of its linear mean and quartiles), or coherence as it is; clouds do not matter."""
    rows = _of_band(series, band)
    values = rows[["mean", "p25", "p75"]].set_axis(["value", "low", "high"], axis=1).astype(float)
    if decibel:
        values = 10 * np.log10(values.where(values > 0))
    worth = values.assign(cloud=0.0, count=rows["count"], why_not=_why_not(rows, np.zeros(len(rows))))
    return worth.dropna(subset="value").reset_index()


def _of_band(series: pd.DataFrame, band: str) -> pd.DataFrame:
    """A band's rows that have pixels, indexed by time; of several of one moment the one with the most pixels."""
    rows = series[(series["band"] == band) & (series["count"] > 0)]
    return rows.sort_values(["time", "count"]).drop_duplicates("time", keep="last").set_index("time")


def _clouds(histograms: pd.Series[Any] | None, number: int, screen: Classes) -> NDArray[np.float64]:
    if histograms is None:
        return np.full(number, np.nan)
    return np.array([cloud_share(found, screen) if found else np.nan for found in histograms], np.float64)


def clear(curve: pd.DataFrame) -> NDArray[np.bool_]:
    """Which observations are usable: by their clouds alone where nothing else is said, as of weather."""
    return ~_reasons(curve).astype(bool)


def hidden(curve: pd.DataFrame) -> dict[str, int]:
    """How many observations are not usable, by the reason in a word or three."""
    reasons = _reasons(curve)
    return {words: int((reasons == name).sum()) for name, words in observation.WHY_NOT.items() if name in reasons}


def _reasons(curve: pd.DataFrame) -> NDArray[np.object_]:
    """Why observations are not usable; "" where they are."""
    return np.array([reason or "" for reason in _why_not(curve, np.asarray(curve["cloud"], np.float64))], object)


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
