"""Whether a season resembles a crop: signs of water, sealed ground and forest, and the distance to the declared crops.

Pure arrays. The signs are simple thresholds on indices from the literature; a sign that many parcels of a crop bear
(vineyards look half bare, orchards like woods) is none where the season is near that crop's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]

WATER: Final = 0.75
"""Share of looks with NDWI (McFeeters 1996) or MNDWI (Xu 2006) above 0, which both take for water."""
ROUGH: Final = -13.0
"""Backscatter VV in dB above which it is no open water, which reflects away from the satellite (about -20 dB when calm;
Twele et al. 2016). Where there is no backscatter, the optical sign stands alone."""
NO_GREEN: Final = 0.35
"""The 90th percentile of NDVI of ground that nothing grows on: between bare soil, 0.2, and full cover, 0.5 (Sobrino and
Raissouni 2000), as roofs and roads have gardens and verges in their pixels."""
FLAT: Final = 0.2
"""Between the 10th and the 90th percentile of NDVI: what turns green at no time of the year varies less."""
EVERGREEN: Final = (0.45, 0.75)
"""Least 10th and 90th percentile of NDVI of closed woods with the winter among the looks."""
DARK: Final = (0.05, 0.15)
"""Greatest red and short-wave infrared (1.6 µm) reflectance of closed forest, which is dark in both: the bands of the
forest index of Huang et al. (2010). Grass and crops as green as that are brighter."""
LOOKS: Final = 6
MONTHS: Final = 4
SPAN: Final = 120
"""Clear looks, months with one, and days between the first and the last, without which nothing is said."""
PEERS: Final = 10
"""Parcels of a crop from which on it has an envelope."""
USUAL: Final = 0.2
"""Share of a crop's parcels that bear a sign, from which on the sign is usual for the crop."""
NEAR: Final = 2.0
"""Distance, in robust standard deviations, up to which a season is that of a crop."""
FARTHEST: Final = 4.0
"""Robust standard deviations beyond the usual distance to the nearest crop, from which on a season is like no crop;
and that distance is at least `UNLIKE`."""
UNLIKE: Final = 3.0
KINDS: Final = ("water", "sealed or bare", "forest", "unlike any crop")
_FLOORS: Final = {"ndvi": 0.05, "swir": 0.03, "mndwi": 0.06}
"""Least standard deviation of a monthly median within a crop."""
_MOST: Final = 10.0
"""Deviations count up to so many standard deviations: one odd month does not decide."""


@dataclass(frozen=True, eq=False)
class Seasons:
    """What is seen of n parcels: one value per parcel, NaN where nothing is; monthly medians by quantity, (n, 12)."""

    crop: npt.NDArray[np.object_]
    """Name or code of the declared crop; None where there is none."""
    looks: Floats
    months: Floats
    """Months of the year with a clear look."""
    days: Floats
    """Between the first and the last clear look."""
    whole: dict[str, Floats]
    """ndvi, ndvi_p10, ndvi_p90, ndwi, mndwi, ndbi, red, swir, water, uneven, vv."""
    monthly: dict[str, Floats]
    """ndvi, swir, mndwi."""


@dataclass(frozen=True, eq=False)
class Resembled:
    """The judgement of n parcels."""

    seen: Bools
    """Whether there are enough looks to say anything."""
    kind: npt.NDArray[np.object_]
    """One of KINDS of candidates, else None."""
    distance: Floats
    """To the nearest crop, in robust standard deviations; NaN where there is none, or too little was seen."""
    nearest: npt.NDArray[np.object_]
    """That crop."""
    compared: bool
    """Whether there are crops with enough parcels to compare with."""


def judge(seasons: Seasons) -> Resembled:
    """Which parcels bear signs of other uses than crops, or are like none of the declared crops."""
    seen = (seasons.looks >= LOOKS) & (seasons.months >= MONTHS) & (seasons.days >= SPAN)
    names, distances = crop_distances(seasons, seen)
    signs = signs_of(seasons)
    kind = np.full(len(seen), None, object)
    for name, sign in signs.items():
        usual = np.array([_is_usual(sign, seen, seasons.crop == crop) for crop in names], bool)
        explained = ((distances < NEAR) & usual).any(axis=1) if len(names) else np.zeros(len(seen), bool)
        kind[seen & sign & ~explained & (kind == None)] = name  # noqa: E711
    nearest, distance = _nearest(names, distances)
    odd = seen & (distance > _farthest(distance[seen])) & np.isin(seasons.crop, names)
    kind[odd & (kind == None)] = KINDS[-1]  # noqa: E711
    return Resembled(seen, kind, np.where(seen, distance, np.nan), nearest, bool(len(names)))


def signs_of(seasons: Seasons) -> dict[str, Bools]:
    """Which parcels bear the sign of each kind; a value that is missing bears none."""
    of = seasons.whole
    with np.errstate(invalid="ignore"):
        no_green = of["ndvi_p90"] < NO_GREEN
        flat = of["ndvi_p90"] - of["ndvi_p10"] < FLAT
        water = (of["water"] >= WATER) & no_green & ~(of["vv"] > ROUGH)
        dark = (of["red"] < DARK[0]) & (of["swir"] < DARK[1])
        green = (of["ndvi_p10"] > EVERGREEN[0]) & (of["ndvi_p90"] > EVERGREEN[1])
        return {"water": water, "sealed or bare": no_green & flat & ~water, "forest": green & dark & ~water}


def crop_distances(seasons: Seasons, seen: Bools) -> tuple[list[str], Floats]:
    """The crops with enough parcels, and the distance of each parcel to each, (n, crops).

    The root of the mean squared deviation of monthly medians from the crop's median, in units of 1.4826 times the
    crop's median absolute deviation, or of the least that is taken for one.
    """
    counted, number = np.unique(seasons.crop[seen & (seasons.crop != None)].astype(str), return_counts=True)  # noqa: E711
    names = [str(name) for name, count in zip(counted, number, strict=True) if count >= PEERS]
    distances = np.full((len(seen), len(names)), np.nan)
    for column, name in enumerate(names):
        peers = seen & (seasons.crop == name)
        parts = [_deviations(values, peers, _FLOORS[key]) for key, values in seasons.monthly.items()]
        squares = np.minimum(np.concatenate(parts, axis=1) ** 2, _MOST**2)
        count = np.isfinite(squares).sum(axis=1)
        total = np.nansum(squares, axis=1)
        distances[:, column] = np.sqrt(np.divide(total, count, out=np.full(len(seen), np.nan), where=count > 0))
    return names, distances


def _deviations(values: Floats, peers: Bools, floor: float) -> Floats:
    """Deviations of values (n, months) from the median of some parcels; NaN in months with few of them."""
    own = values[peers]
    enough = np.isfinite(own).sum(axis=0) >= max(PEERS // 2, 1)
    deviations = np.full(values.shape, np.nan)
    median = np.nanmedian(own[:, enough], axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(own[:, enough] - median), axis=0)
    deviations[:, enough] = (values[:, enough] - median) / np.maximum(spread, floor)
    return deviations


def _is_usual(sign: Bools, seen: Bools, crop: Bools) -> bool:
    """Whether many parcels of a crop bear a sign."""
    peers = seen & crop
    return bool(sign[peers].mean() >= USUAL) if peers.any() else False


def _nearest(names: list[str], distances: Floats) -> tuple[npt.NDArray[np.object_], Floats]:
    nearest, distance = np.full(len(distances), None, object), np.full(len(distances), np.nan)
    finite = np.isfinite(distances).any(axis=1) if names else np.zeros(len(distances), bool)
    column = np.nanargmin(distances[finite], axis=1) if finite.any() else np.empty(0, int)
    nearest[finite] = np.array([*names, ""], object)[column]
    distance[finite] = distances[np.flatnonzero(finite), column]
    return nearest, distance


def _farthest(distances: Floats) -> float:
    """The distance from which on a season is like no crop."""
    finite = distances[np.isfinite(distances)]
    if not len(finite):
        return float("inf")
    median = float(np.median(finite))
    return max(UNLIKE, median + FARTHEST * 1.4826 * float(np.median(np.abs(finite - median))))
