"""Data behind the figures: index, band and radar curves, cloud shares and pixel masks; tables and arrays in and out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely
from affine import Affine

from cbm_lake.cards import INDICES, Card, Classes, Index, observation, scene_classes, screened
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.parcel.chips import Cutout
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    import xarray as xr
    from numpy.typing import NDArray

_REFLECTANCE: Final = 10_000
"""DN of reflectance 1."""
CLEAR_SKY: Final = observation.MOST_CLOUD
"""The greatest share of clouded pixels of an observation that counts as cloud-free."""

# -- time series --------------------------------------------------------------------------------------------------


def cloud_share(histogram: Mapping[str, float], screen: Classes) -> float:
    """Share of classified pixels in the screened classes; NaN where no pixel is classified.

    Pixels without data, class 0, count only where that class is screened.
    """
    screened = scene_classes(screen)
    counts = {int(value): number for value, number in histogram.items() if int(value) > 0 or 0 in screened}
    total = sum(counts.values())
    return sum(counts.get(value, 0) for value in screened) / total if total else math.nan


def ndvi_curve(series: TimeSeries, screen: Classes) -> pd.DataFrame:
    """NDVI time series from band means, (B08 - B04) / (B08 + B04); see `index_curve`."""
    return index_curve(series, INDICES["ndvi"], screen)


def cloud_shares(series: TimeSeries, screen: Classes) -> pd.Series[float]:
    """Share of a parcel that clouds hide, by time (naive UTC) of each scene; NaN where not known, none of radar.

    It is what the view of observations leaves of the parcel as clear, or of what a server answers, which does not say
    that, `cloud_share` of its pixels in each scene class. Curves, images and their tooltips all tell this number.
    """
    import pandas as pd

    table = series.screened(scene_classes(screen)).table if series.card.classification else series.table.slice(0, 0)
    times = table["obstime"].to_pandas().dt.tz_convert(None)
    if "clear_share" in table.column_names:
        clear, seen = (table[name].to_pandas().astype(float) for name in ("clear_share", "share"))
        part = table["clear_part"].to_pandas().fillna(False).astype(bool)
        shares = 1 - clear.where(~part, clear / seen)  # of a part the share is of all the parcel, seen or not
        rows = pd.DataFrame({"time": times, "seen": seen, "cloud": shares})
    else:
        shares = _clouds(table, series.card, screen)
        rows = pd.DataFrame({"time": times, "seen": 1.0, "cloud": shares})
    rows = rows.sort_values(["time", "seen"], kind="stable").drop_duplicates("time", keep="last")
    return rows.set_index("time")["cloud"]


def index_curve(series: TimeSeries, index: Index, screen: Classes) -> pd.DataFrame:
    """Time series of an index, computed from the mean of each band.

    low and high are the least and the greatest index of bands between their quartiles.

    Args:
        series: of an optical card that has the index's bands.
        index: one of `cards.INDICES`.
        screen: scene classes that count as clouds, in any form of `cards.scene_classes`.

    Returns:
        time, value, low, high, cloud (share as of `cloud_shares`; none of radar), count (pixels, of the band that has
        fewest), why_not (why it is not usable, as in `cards.observation`; else None), clear_part (whether it is of the
        clear pixels alone of a parcel that is partly clouded), by time; only where all bands have pixels.
    """
    bands = dict(zip(index.bands, index.bands_of(series.card), strict=True))
    rows = series.screened(scene_classes(screen)).rows(bands.values())
    mean, p25, p75 = (
        {name: rows[f"{band}_{statistic}"].to_numpy() for name, band in bands.items()}
        for statistic in ("mean", "p25", "p75")
    )
    return _curve(rows, (index.of(mean), *index.between(p25, p75)), cloud_shares(series, screen))


def band_curve(series: TimeSeries, band: str, screen: Classes) -> pd.DataFrame:
    """Reflectance time series of a band: mean, with the quartiles as low and high; columns as of `ndvi_curve`."""
    rows = series.screened(scene_classes(screen)).rows([band])
    values = [rows[f"{band}_{name}"].to_numpy() / _REFLECTANCE for name in ("mean", "p25", "p75")]
    return _curve(rows, values, cloud_shares(series, screen))


def pixel_index_curve(series: TimeSeries, index: Index, screen: Classes) -> pd.DataFrame:
    """Time series of an index of pixels: mean, with the quartiles as low and high; columns as of `ndvi_curve`."""
    rows = series.rows([index.column])
    values = [rows[f"{index.column}_{name}"].to_numpy() for name in ("mean", "p25", "p75")]
    return _curve(rows, values, cloud_shares(series, screen))


def radar_curve(series: TimeSeries, band: str, *, decibel: bool) -> pd.DataFrame:
    """Time series of backscatter in dB (10 log10 of the linear mean and quartiles) or of coherence."""
    rows = series.rows([band])
    values = [rows[f"{band}_{name}"] for name in ("mean", "p25", "p75")]
    if decibel:
        values = [10 * np.log10(part.where(part > 0)) for part in values]
    return _curve(rows, [part.to_numpy() for part in values], None)


def _curve(rows: pd.DataFrame, values: Sequence[NDArray[np.float64]], clouds: pd.Series[float] | None) -> pd.DataFrame:
    """Value, low and high of each row, with its cloud share (None: no clouds hide it) and usability."""
    columns = dict(zip(("value", "low", "high"), values, strict=True))
    hidden = np.zeros(len(rows))
    if clouds is not None:
        columns["cloud"] = rows["time"].map(clouds).to_numpy(np.float64)
        hidden = np.where(rows["clear_part"], 0.0, columns["cloud"])
    curve = rows[["time"]].assign(**columns, count=rows["count"], why_not=_why_not(rows, hidden))
    curve = curve.assign(clear_part=rows["clear_part"])
    return curve.dropna(subset="value").reset_index(drop=True)


def _why_not(rows: pd.DataFrame, hidden: NDArray[np.float64]) -> list[str | None]:
    """The reason why an observation is not usable (`why_not`, else its hidden share); None where it is usable."""
    return [
        reason
        if isinstance(reason, str)
        else ("unknown" if math.isnan(share) else "cloudy" if share > CLEAR_SKY else None)
        for reason, share in zip(rows["why_not"], hidden, strict=True)
    ]


def _clouds(table: pa.Table, card: Card, screen: Classes) -> list[float]:
    """Cloud share per scene, from its pixel count per scene class; NaN where these are not known."""
    if card.classification is None or card.classification.column not in table.column_names:
        return [math.nan] * table.num_rows
    counts = table[card.classification.column].to_pylist()
    return [math.nan if row is None else cloud_share(_histogram(row), screen) for row in counts]


def _histogram(counts: Iterable[float | None]) -> dict[str, float]:
    return {str(value): 0 if count is None or math.isnan(count) else count for value, count in enumerate(counts)}


def share_words(share: float) -> str:
    """A cloud share as text; only none is 0 %, and only all is 100 %."""
    if math.isnan(share):
        return "not known"
    percent = round(100 * share)
    return f"{percent if share in (0, 1) else min(max(percent, 1), 99)} %"


def clear(curve: pd.DataFrame) -> NDArray[np.bool_]:
    """Mask of the usable observations; all are usable where nothing is stated, as of weather."""
    return ~reasons(curve).astype(bool)


def hidden(curve: pd.DataFrame) -> dict[str, int]:
    """Number of observations that are not usable, by reason."""
    why_not = reasons(curve)
    return {words: int((why_not == name).sum()) for name, words in observation.WHY_NOT.items() if name in why_not}


def reasons(curve: pd.DataFrame) -> NDArray[np.object_]:
    """Reasons why observations are not usable, from their cloud share where none is stated; "" where they are."""
    if "why_not" in curve:
        return np.array([reason or "" for reason in curve["why_not"]], object)
    if "cloud" not in curve:
        return np.full(len(curve), "", object)
    return np.where(np.asarray(curve["cloud"], np.float64) > CLEAR_SKY, "cloudy", "").astype(object)


# -- places -------------------------------------------------------------------------------------------------------


def mask(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid that the geometry touches (all_touched), so that a tiny parcel has some."""
    from rasterio.features import rasterize

    touched = rasterize(
        [(reprojected(outline, source, epsg), 1)], (size, size), transform=transform, all_touched=True, dtype="uint8"
    )
    return np.asarray(touched, bool)


def inside(outline: shapely.Geometry, source: int, epsg: int, transform: Affine, size: int) -> NDArray[np.bool_]:
    """Pixels of a square grid whose centre lies in the geometry; if none, those that it touches."""
    from rasterio.features import rasterize

    shape = reprojected(outline, source, epsg)
    centres = rasterize([(shape, 1)], (size, size), transform=transform, dtype="uint8").astype(bool)
    return np.asarray(centres) if centres.any() else mask(outline, source, epsg, transform, size)


def clouded(classes: NDArray[Any], inside: NDArray[np.bool_] | None, screen: Classes) -> float:
    """Share of an image's classified pixels in the screened classes; NaN where no pixel is classified."""
    screened = scene_classes(screen)
    classified = (classes > 0) | (0 in screened)
    pixels = classes[classified] if inside is None else classes[inside & classified]
    return float(np.isin(pixels, screened).mean()) if pixels.size else math.nan


def with_clouds(
    data: xr.Dataset,
    cutouts: Iterable[Cutout],
    bands: Sequence[str],
    parcel: Parcel | None,
    screen: Classes,
    card: Card,
) -> xr.Dataset:
    """Images with the cloud share of the parcel, or of the whole image; NaN where unknown, 0 for radar.

    Args:
        data: as `parcel.images.assembled` gives it.
        cutouts: the source images.
        bands: that are drawn; only these remain.
        parcel: clouds are counted inside its geometry.
        screen: scene classes that count as clouds.
        card: whose images they are.
    """
    band, optical = card.class_band, card.is_optical
    classified = {np.datetime64(cut.obstime.replace(tzinfo=None)) for cut in cutouts if cut.band == band}
    size, transform = data.sizes["x"], Affine(*data.attrs["transform"])
    pixels = mask(parcel.outline, parcel.epsg, data.attrs["epsg"], transform, size) if parcel else None
    clouds = [
        clouded(data[band][number].to_numpy(), pixels, screened(screen, card))
        if time in classified
        else math.nan
        if optical
        else 0.0
        for number, time in enumerate(data["time"].to_numpy())
    ]
    return data[list(dict.fromkeys(bands))].assign(cloud=("time", clouds))


def as_observed(data: xr.Dataset, shares: pd.Series[float]) -> xr.Dataset:
    """Images with the cloud shares of the looks of their days, the nearest in time; theirs where there was no look."""
    looks = list(shares.items())
    clouds = []
    for time, own in zip(data["time"].to_pandas(), data["cloud"].to_numpy(), strict=True):
        of_day = [(abs(look - time), share) for look, share in looks if look.date() == time.date()]
        clouds.append(min(of_day)[1] if of_day else own)
    return data.assign(cloud=("time", clouds))


def nice(metres: float) -> int:
    """The largest of 1, 2, 5, 10, 20, 50, … that is not greater than `metres`."""
    steps = [step * 10**power for power in range(7) for step in (1, 2, 5)]
    return int(max(step for step in steps if step <= max(metres, 1)))


def distance(metres: float) -> str:
    """Format a length: 200 m, 2 km, 1.28 km."""
    return f"{metres:g} m" if metres < 1000 else f"{metres / 1000:g} km"
