"""Time series of NDVI and coherence of all parcels of a set, as ragged arrays read with one SQL statement each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.looks import count as counted
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import inputs, kernels
from cbm_lake.markers.detectors import asked_for, skipped
from cbm_lake.markers.parameters import Clear, Parameters, Spike

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.int32]
_DAYS: Final = 1_000_000
"""More than any number of days since 1970-01-01."""


@dataclass(frozen=True, eq=False)
class Series:
    """Ragged time series sorted by parcel and day: those of parcel p are value[offsets[p]:offsets[p + 1]]."""

    offsets: Ints
    day: Days
    """Days since 1970-01-01, UTC; each at most once per parcel."""
    value: Floats

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def count(self) -> Ints:
        """How many values each parcel has."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> Ints:
        """The index of the parcel of each value."""
        return np.repeat(np.arange(len(self)), self.count)

    def take(self, keep: npt.NDArray[np.bool_]) -> Series:
        """The series with only the values where `keep` is True."""
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets]
        return replace(self, offsets=offsets, day=self.day[keep], value=self.value[keep])

    def on_days_of(self, other: Series) -> npt.NDArray[np.bool_]:
        """Mask of the values on days on which the other series has a value of the parcel, too."""
        key, others = (part.owner * _DAYS + part.day for part in (self, other))
        index = np.minimum(np.searchsorted(others, key), max(len(others) - 1, 0))
        return others[index] == key if len(others) else np.zeros(len(key), bool)

    def block(self, begin: int, end: int) -> Series:
        """The series of parcels begin to end - 1."""
        bounds = self.offsets[begin : end + 1]
        part = slice(bounds[0], bounds[-1])
        return Series(bounds - bounds[0], self.day[part], self.value[part])


@dataclass(frozen=True, eq=False)
class Observations:
    """The observations from which markers are detected; one entry per parcel."""

    pids: pa.Array
    """Text, sorted."""
    crops: npt.NDArray[np.object_]
    """The declared crop of each parcel, or None."""
    ndvi: Series
    """On clear dates only."""
    coherence: Series
    dates: Ints
    """Number of clear dates of each parcel."""
    pixels: Ints
    """The largest number of clear pixels on any date."""
    gap: Ints
    """Longest gap between clear dates in the mowing season, in days."""
    spread: Floats
    """Median over the dates of the NDVI's standard deviation within the parcel; NaN where unknown."""
    observable: npt.NDArray[np.bool_]
    others: Mapping[str, Series] = field(default_factory=dict)
    """The further series that detectors ask for, by name; without any value where they were not extracted."""
    claims: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    """The dates that the parcels' declarations claim, by column, in days since 1970-01-01; NaN where there is none."""
    skipped: frozenset[str] = frozenset()
    """Detectors that say nothing, as a series that they need was not extracted."""

    def block(self, begin: int, end: int) -> Observations:
        """The observations of parcels begin to end - 1."""
        part = slice(begin, end)
        return Observations(
            self.pids[part],
            self.crops[part],
            self.ndvi.block(begin, end),
            self.coherence.block(begin, end),
            self.dates[part],
            self.pixels[part],
            self.gap[part],
            self.spread[part],
            self.observable[part],
            {name: series.block(begin, end) for name, series in self.others.items()},
            {name: days[part] for name, days in self.claims.items()},
            self.skipped,
        )


def read(
    lake: Lake,
    parcels: ParcelSet,
    parameters: Parameters,
    pids: Sequence[str] | None = None,
    *,
    for_detectors: bool = True,
) -> Observations:
    """Read the observations of a parcel set, or of some of its parcels, in the season, without undetected clouds.

    Args:
        lake: the lake.
        parcels: the parcel set.
        parameters: what counts as clear, the season, and the detectors.
        pids: only these parcels.
        for_detectors: read also the further series and the claims that detectors ask for.

    Raises:
        NotFoundError: one of `pids` is not in the set.
        InvalidInputError: a detector asks for a claim that the parcels do not have, or that is no date.
    """
    requested = None if pids is None else sorted(set(pids))
    key: dict[str, Any] = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "pids": requested}
    declared = lake.query("markers.declared", **key)
    check_pids(declared["pid"], requested or [], parcels)
    first, last = parameters.season.days(parcels.year)
    key |= {"first": first, "last": last, "pixels": parameters.clear.pixels, "share": parameters.clear.share}
    how = {
        "screen": list(parameters.clear.screen),
        "cloud": parameters.clear.cloud,
        "brightest": parameters.clear.brightest,
    }
    optical = lake.query("markers.optical", **key, **how)
    count = declared.num_rows
    raw = ragged(optical, count, "ndvi")
    keep = clean(raw, parameters.clear, parameters.spike)
    ndvi = raw.take(keep)
    spread = kernels.medians(ndvi.offsets, optical["spread"].to_numpy()[keep])
    pixels = np.zeros(count, np.int64)
    np.maximum.at(pixels, raw.owner, optical["pixels"].to_numpy())
    coherence = ragged(lake.query("markers.coherence", **key), count, "coherence")
    result = Observations(
        declared["pid"].combine_chunks(),
        declared["crop_name"].to_numpy(),
        ndvi,
        coherence,
        ndvi.count,
        pixels,
        _gaps(ndvi, *parameters.mowing.season.days(parcels.year)),
        spread,
        ndvi.count >= parameters.clear.dates,
    )
    return _with_inputs(lake, parcels, result, parameters, key | how) if for_detectors else result


def _with_inputs(
    lake: Lake, parcels: ParcelSet, observations: Observations, parameters: Parameters, statement: dict[str, Any]
) -> Observations:
    """The observations with the further series and the claims that detectors ask for."""
    detectors, count = parameters.detectors, len(observations.pids)
    optical = {name: statement.pop(name) for name in ("screen", "cloud", "brightest")}
    how = {name: optical[name] for name in ("screen", "cloud")}
    claims = inputs.claimed(lake, parcels, detectors, statement["pids"])
    others: dict[str, Series] = {}
    for wanted in asked_for(detectors):
        part = ragged(inputs.rows_of(lake, wanted, statement, how), count, "value")
        others[wanted.name] = part.take(part.on_days_of(observations.ndvi)) if wanted.is_optical else part
    missing = frozenset(name for name, part in others.items() if not len(part.value))
    if observations.dates.any():  # else `looks` says what became of all
        inputs.say_skipped(detectors, missing, parcels)
    return replace(observations, others=others, claims=claims, skipped=skipped(detectors, missing))


def looks(lake: Lake, parcels: ParcelSet, parameters: Parameters, pids: Sequence[str] | None = None) -> dict[str, int]:
    """How many Sentinel-2 observations of the parcels are clear in the season, and why the others are not."""
    first, last = parameters.season.days(parcels.year)
    clear = parameters.clear
    return counted(
        lake,
        "markers.looks",
        aoi=parcels.aoi,
        year=parcels.year,
        ptype=parcels.ptype,
        first=first,
        last=last,
        pixels=clear.pixels,
        share=clear.share,
        screen=list(clear.screen),
        cloud=clear.cloud,
        brightest=clear.brightest,
        pids=None if pids is None else sorted(set(pids)),
    )


def check_pids(pids: pa.ChunkedArray | pa.Array, requested: Sequence[str], parcels: ParcelSet) -> None:
    """Raise NotFoundError where a requested parcel is not in the set."""
    missing = set(requested) - set(pids.to_pylist()) if requested else set()
    if missing:
        raise NotFoundError(f"no parcel {min(missing)!r} in {parcels.name}; pids are text, as the agency wrote them")


def ragged(rows: pa.Table, count: int, name: str) -> Series:
    """The series of `count` parcels from rows (place, day, …) sorted by place, the index of the parcel, and day."""
    parcel = rows["place"].to_numpy()
    offsets = np.searchsorted(parcel, np.arange(count + 1)).astype(np.int64)
    return Series(offsets, rows["day"].to_numpy().astype(np.int32), rows[name].to_numpy().astype(np.float32))


def clean(raw: Series, clear: Clear, spike: Spike) -> npt.NDArray[np.bool_]:
    """Mask of the NDVI values that are neither corrupted nor low spikes of undetected clouds."""
    keep = raw.value >= clear.corrupted
    plausible = raw.take(keep)
    inline = kernels.unspiked(plausible.offsets, plausible.day, plausible.value, spike.depth, spike.regain, spike.days)
    keep[keep] = inline
    return keep


def _gaps(series: Series, first: int, last: int) -> Ints:
    """The longest gap without a value of each parcel between two days, in days."""
    return kernels.longest_gap(series.offsets, series.day.clip(first, last), first, last)
