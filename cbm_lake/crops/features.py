"""What is seen of parcels in a season, and the numbers that models learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.errors import InvalidInputError, counted, some

Floats: TypeAlias = npt.NDArray[np.floating]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Objects: TypeAlias = npt.NDArray[np.object_]

NODE_DAYS: Final = 20
"""Between the positions on the calendar at which smoothed curves are sampled."""
WIDTH_DAYS: Final = 15
"""Standard deviation of the kernel that smooths."""
WIDE: Final = 4
"""Gaps are filled by a kernel so much wider, which hardly counts beside near observations."""
WIDE_WEIGHT: Final = 1e-3
FEWEST_STEPS: Final = 3
"""Steps of one quantity that a parcel needs to be judged."""
NORMALISED: Final = {
    "NDVI": ("B08", "B04"),
    "NDMI": ("B08", "B11"),
    "NDTI": ("B11", "B12"),
    "NDRE": ("B08", "B05"),
    "GNDVI": ("B08", "B03"),
}
"""Normalised differences that are added where both bands are there: Tucker 1979 (NDVI), Gao 1996 (NDMI), van Deventer
1997 (NDTI), Gitelson & Merzlyak 1994 (NDRE), Gitelson 1996 (GNDVI)."""
UNSEEN: Final = "nothing is seen of it"


@dataclass(frozen=True, eq=False)
class Season:
    """What is seen of n parcels on a common calendar of t steps, whatever it comes from."""

    pids: pa.Array
    """(n,) texts, each once."""
    x: Floats
    """(n,) centroid, easting in metres, in an equal-area coordinate system such as EPSG:3035."""
    y: Floats
    """(n,) northing in metres."""
    area_m2: Floats
    """(n,) square metres; NaN where it is unknown."""
    codes: Objects
    """(n,) the declared crop: HCAT code as text, or the agency's code or name; None where it is unknown."""
    days: Ints
    """(t,) the middle of each step, ascending, in days since 1970-01-01."""
    values: Mapping[str, Floats]
    """By quantity (NDVI, B11, VV, VH/VV, coherence …): (n, t) float32, NaN where nothing is seen, gaps not filled."""
    static: Mapping[str, Floats] = field(default_factory=dict)
    """By quantity that does not change (elevation, slope): (n,)."""

    def until(self, day: int) -> Season:
        """The same with the steps until a day (since 1970-01-01), inclusive."""
        steps = int(np.searchsorted(self.days, day, side="right"))
        return replace(
            self, days=self.days[:steps], values={name: values[:, :steps] for name, values in self.values.items()}
        )

    def at(self, positions: Ints) -> Season:
        """The same of the parcels at these positions, in their order."""
        return replace(
            self,
            pids=self.pids.take(pa.array(positions)),
            **{name: getattr(self, name)[positions] for name in ("x", "y", "area_m2", "codes")},
            values={name: values[positions] for name, values in self.values.items()},
            static={name: values[positions] for name, values in self.static.items()},
        )


def check(season: Season) -> None:
    """Refuse a season whose arrays do not fit each other.

    Raises:
        InvalidInputError: lengths differ, a parcel stands twice, the calendar is not ascending, a location is missing.
    """
    count, steps = len(season.pids), len(season.days)
    columns = {name: getattr(season, name).shape for name in ("x", "y", "area_m2", "codes")}
    columns |= {name: values.shape for name, values in season.static.items()}
    shapes: dict[str, tuple[tuple[int, ...], tuple[int, ...]]]
    shapes = {name: (shape, (count,)) for name, shape in columns.items()}
    shapes |= {name: (values.shape, (count, steps)) for name, values in season.values.items()}
    wrong = [f"{name} is {shape}, not {due}" for name, (shape, due) in shapes.items() if shape != due]
    if wrong:
        raise InvalidInputError(f"arrays of the season do not fit its {counted(count, 'parcel')}: {some(wrong)}")
    if season.pids.null_count or len(season.pids.unique()) < count:
        twice = [one["values"] for one in season.pids.value_counts().to_pylist() if one["counts"] > 1]
        raise InvalidInputError(f"parcels stand twice in the season, or have no identifier: {some(twice)}")
    if np.any(np.diff(season.days) <= 0):
        raise InvalidInputError("the days of the season are not ascending")
    lost = ~(np.isfinite(season.x) & np.isfinite(season.y))
    if lost.any():
        pids = season.pids.filter(pa.array(lost)).to_pylist()
        raise InvalidInputError(f"{counted(len(pids), 'parcel')} without location: {some(pids)}")


def through_gaps(season: Season, rows: Ints, others: Ints) -> Season:
    """The parcels at some positions as they would look through the gaps of others: seen where both are seen."""
    some = season.at(rows)
    seen = {name: np.isfinite(values[others]) for name, values in season.values.items()}
    values = {name: np.where(seen[name], each, np.float32(np.nan)) for name, each in some.values.items()}
    return replace(some, values=values)


@dataclass(frozen=True, eq=False)
class Features:
    """The numbers of n parcels."""

    matrix: npt.NDArray[np.float32]
    """(n, p), finite; what is missing of a parcel is the median of the others."""
    names: list[str]
    """(p,)"""
    seen: Bools
    """(n,) false for parcels of which too little is seen to be judged."""


def features(season: Season, again: Season | None = None) -> Features:
    """Smoothed curves sampled every 20 days, their extremes, and what does not change.

    A curve is the mean of its observations weighted by a Gaussian of their distance in time (kernel regression,
    Nadaraya 1964); where there are none near, those of a kernel four times wider count. Infinite values are missing.

    Args:
        season: the parcels.
        again: of m parcels, whose numbers stand below those of the season's; what is missing is that of the season's.
    """
    matrix, names, seen = _raw(season)
    if again is None:
        return _informative(_imputed(matrix, len(seen)), names, seen)
    below, _, seen_again = _raw(again)
    matrix = np.concatenate([matrix, below])
    return _informative(_imputed(matrix, len(seen)), names, np.concatenate([seen, seen_again]))


def _raw(season: Season) -> tuple[npt.NDArray[np.float32], list[str], Bools]:
    """The numbers with what is missing, their names, and of which parcels enough is seen."""
    columns, names = [], []
    seen = np.zeros(len(season.pids), bool)
    for name, values in quantities(season):
        finite = np.isfinite(values)
        seen |= finite.sum(axis=1) >= min(FEWEST_STEPS, max(len(season.days), 1))
        curve = smoothed(np.where(finite, values, np.nan), season.days)
        if not curve.shape[1]:
            continue
        columns += [curve, extremes(curve)]
        names += [f"{name} {node}" for node in range(curve.shape[1])]
        names += [f"{name} {extreme}" for extreme in ("least", "most", "day of least", "day of most", "spread")]
    for name, values in season.static.items():
        columns.append(np.asarray(values, np.float32)[:, None])
        names.append(name)
    matrix = np.concatenate(columns, axis=1) if columns else np.zeros((len(seen), 0), np.float32)
    return matrix, names, seen


def quantities(season: Season) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """The season's quantities by their names, and those that follow from them."""
    values = {name: np.asarray(season.values[name], np.float32) for name in sorted(season.values)}
    yield from values.items()
    with np.errstate(all="ignore"):
        for name, (high, low) in NORMALISED.items():
            if name not in values and {high, low} <= values.keys():
                yield name, (values[high] - values[low]) / (values[high] + values[low])
        if "VH/VV" not in values and {"VH", "VV"} <= values.keys():
            decibels = bool(np.nanmin(values["VV"], initial=0) < 0)
            yield "VH/VV", values["VH"] - values["VV"] if decibels else values["VH"] / values["VV"]


def smoothed(values: npt.NDArray[np.float32], days: Ints) -> npt.NDArray[np.float32]:
    """Curves (n, t) at positions every 20 days from the calendar's first to its last: (n, nodes); NaN: never seen."""
    if not len(days):
        return np.zeros((len(values), 0), np.float32)
    nodes = np.arange(days[0], days[-1] + NODE_DAYS / 2, NODE_DAYS)
    distance = (days[:, None] - nodes[None, :]) / WIDTH_DAYS
    wide = WIDE_WEIGHT * np.exp(-((distance / WIDE) ** 2) / 2) + 1e-9
    kernel = (np.exp(-(distance**2) / 2) + wide).astype(np.float32)
    there = np.isfinite(values)
    weight = there.astype(np.float32) @ kernel
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = (np.where(there, values, np.float32(0)) @ kernel) / weight
    return np.where(weight > 0, curve, np.float32(np.nan))


def extremes(curve: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Least, most, their positions, and standard deviation of curves (n, nodes): (n, 5); NaN where nothing is seen."""
    blank: Bools = np.asarray(np.isnan(curve).any(axis=1))
    full = np.where(blank[:, None], np.float32(0), curve)
    parts = (full.min(1), full.max(1), full.argmin(1), full.argmax(1), full.std(1))
    both = np.stack([part.astype(np.float32) for part in parts], axis=1)
    both[blank] = np.nan
    return both


def _imputed(matrix: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
    """Missing numbers replaced by the median of the first `count` of their column, 0 where all are missing."""
    missing = ~np.isfinite(matrix)
    for column in np.flatnonzero(missing.any(axis=0)):
        there = matrix[:count, column][~missing[:count, column]]
        matrix[missing[:, column], column] = np.median(there) if there.size else 0
    return matrix


def _informative(matrix: npt.NDArray[np.float32], names: list[str], seen: Bools) -> Features:
    """Without columns that are the same for all parcels."""
    varied: Bools = np.zeros(matrix.shape[1], bool)
    if len(matrix):
        varied |= np.asarray(np.ptp(matrix, axis=0) > 0)
    return Features(matrix[:, varied], [name for name, keep in zip(names, varied, strict=True) if keep], seen)
