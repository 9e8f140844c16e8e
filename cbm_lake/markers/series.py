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
_NO_DAY: Final = (1, 0)
"""From a day to the one before it."""
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

    def some(self, parcels: Ints) -> Series:
        """The series of the parcels at these indices, in this order."""
        rows = rows_of(self.offsets, parcels)
        offsets = np.concatenate([[0], np.cumsum(self.count[parcels])])
        return Series(offsets, self.day[rows], self.value[rows])


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

    def some(self, parcels: Ints) -> Observations:
        """The observations of the parcels at these indices, in this order."""
        return Observations(
            self.pids.take(pa.array(parcels)),
            self.crops[parcels],
            self.ndvi.some(parcels),
            self.coherence.some(parcels),
            self.dates[parcels],
            self.pixels[parcels],
            self.gap[parcels],
            self.spread[parcels],
            self.observable[parcels],
            {name: series.some(parcels) for name, series in self.others.items()},
            {name: days[parcels] for name, days in self.claims.items()},
            self.skipped,
        )

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


@dataclass(frozen=True, eq=False)
class Raw:
    """What the lake has of the parcels of a set in the season; the optical looks of parcel p are those from offsets[p].

    Days are since 1970-01-01, UTC, ascending for each parcel, each at most once.
    """

    offsets: Ints
    day: Days
    ndvi: Floats
    spread: Floats
    """Standard deviation of the NDVI within the parcel; NaN where unknown."""
    pixels: npt.NDArray[np.int32]
    coherence: Series


def rows_of(offsets: Ints, parcels: Ints) -> Ints:
    """The indices of all values of the parcels at these indices, one after the other."""
    begins, counts = offsets[parcels], np.diff(offsets)[parcels]
    ends = np.cumsum(counts)
    return np.asarray(np.arange(counts.sum()) + np.repeat(begins - ends + counts, counts), np.int64)


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
    listed = declared(lake, parcels, pids)
    raw = gather(lake, parcels, parameters, listed.num_rows, pids)
    observations = observed(listed, raw, parcels.year, parameters)
    return with_inputs(lake, parcels, observations, parameters, pids) if for_detectors else observations


def declared(lake: Lake, parcels: ParcelSet, pids: Sequence[str] | None = None) -> pa.Table:
    """The parcels of a set, or some of them, by pid: pid, crop_name, crop_code.

    Raises:
        NotFoundError: one of `pids` is not in the set.
    """
    rows = lake.query("markers.declared", **parcels.params, pids=_requested(pids))
    check_pids(rows["pid"], pids or [], parcels)
    return rows


def gather(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, count: int, pids: Sequence[str] | None = None
) -> Raw:
    """What the lake has of `count` parcels: all of a set, or those of `pids`, each once."""
    first, last = parameters.season.days(parcels.year)
    optical = look(lake, parcels, parameters, (first, last), pids)
    return Raw(
        _offsets(optical["place"].to_numpy(), count),
        optical["day"].to_numpy(),
        optical["ndvi"].to_numpy(),
        optical["spread"].to_numpy(),
        optical["pixels"].to_numpy(),
        coherence(lake, parcels, parameters, count, pids),
    )


def with_inputs(
    lake: Lake,
    parcels: ParcelSet,
    observations: Observations,
    parameters: Parameters,
    pids: Sequence[str] | None = None,
) -> Observations:
    """The observations (of all parcels, or of `pids`) with the further series and claims that detectors ask for."""
    detectors, count, clear = parameters.detectors, len(observations.pids), parameters.clear
    key = _period(parcels, parameters.season.days(parcels.year), pids) | clear.seen
    claims = inputs.claimed(lake, parcels, detectors, key["pids"])
    others: dict[str, Series] = {}
    for asked in asked_for(detectors):
        part = ragged(inputs.rows_of(lake, asked, key, clear.sky), count, "value")
        others[asked.name] = part.take(part.on_days_of(observations.ndvi)) if asked.is_optical else part
    missing = frozenset(name for name, part in others.items() if not len(part.value))
    if pids is None and observations.dates.any():  # else `looks` says what became of all
        inputs.say_skipped(lake, parcels, parameters, missing)
    return replace(observations, others=others, claims=claims, skipped=skipped(detectors, missing))


def look(
    lake: Lake,
    parcels: ParcelSet,
    parameters: Parameters,
    days: tuple[int, int],
    pids: Sequence[str] | None = None,
) -> pa.Table:
    """The clear optical looks from the first to the last of two days; the columns of the query markers.optical."""
    clear = parameters.clear
    return lake.query("markers.optical", **_period(parcels, days, pids), **clear.seen, **clear.sky)


def coherence(
    lake: Lake, parcels: ParcelSet, parameters: Parameters, count: int, pids: Sequence[str] | None = None
) -> Series:
    """The coherence of `count` parcels: all of a set, or those of `pids`, each once."""
    days = parameters.season.days(parcels.year)
    rows = lake.query("markers.coherence", **_period(parcels, days, pids), **parameters.clear.seen)
    return ragged(rows, count, "coherence")


def _period(parcels: ParcelSet, days: tuple[int, int], pids: Sequence[str] | None) -> dict[str, Any]:
    return {**parcels.params, "first": days[0], "last": days[1], "pids": _requested(pids)}


def _requested(pids: Sequence[str] | None) -> list[str] | None:
    return None if pids is None else sorted(set(pids))


def observed(listed: pa.Table, raw: Raw, year: int, parameters: Parameters) -> Observations:
    """The observations of the listed parcels: what was read of them, without undetected clouds."""
    everything = Series(raw.offsets, raw.day, raw.ndvi)
    keep = clean(everything, parameters.clear, parameters.spike)
    ndvi = everything.take(keep)
    return Observations(
        listed["pid"].combine_chunks(),
        listed["crop_name"].to_numpy(),
        ndvi,
        raw.coherence,
        ndvi.count,
        kernels.most(raw.offsets, raw.pixels),
        _gaps(ndvi, *parameters.mowing.season.days(year)),
        kernels.medians(ndvi.offsets, raw.spread[keep]),
        ndvi.count >= parameters.clear.dates,
    )


def looks(
    lake: Lake,
    parcels: ParcelSet,
    parameters: Parameters,
    pids: Sequence[str] | None = None,
    days: Sequence[tuple[int, int]] | None = None,
) -> dict[str, int]:
    """How many Sentinel-2 observations of the parcels are clear in the season, and why the others are not.

    Args:
        lake: that is read.
        parcels: the set.
        parameters: of the search.
        pids: only of these parcels.
        days: only from the first to the last of each; None is the whole season.
    """
    how = {**parameters.clear.seen, **parameters.clear.sky}
    spans = [parameters.season.days(parcels.year)] if days is None else days or [_NO_DAY]
    total: dict[str, int] = {}
    for span in spans:
        for name, number in counted(lake, "markers.looks", **_period(parcels, span, pids), **how).items():
            total[name] = total.get(name, 0) + number
    return total


def check_pids(pids: pa.ChunkedArray | pa.Array, requested: Sequence[str], parcels: ParcelSet) -> None:
    """Raise NotFoundError where a requested parcel is not in the set."""
    missing = set(requested) - set(pids.to_pylist()) if requested else set()
    if missing:
        raise NotFoundError(f"no parcel {min(missing)!r} in {parcels.name}; pids are text, as the agency wrote them")


def ragged(rows: pa.Table, count: int, name: str) -> Series:
    """The series of `count` parcels from rows (place, day, …) sorted by place, the index of the parcel, and day."""
    offsets = _offsets(rows["place"].to_numpy(), count)
    return Series(offsets, rows["day"].to_numpy().astype(np.int32), rows[name].to_numpy().astype(np.float32))


def _offsets(index: npt.NDArray[np.int32], count: int) -> Ints:
    """Where the rows of each of `count` parcels begin, and where the last ones end."""
    return np.searchsorted(index, np.arange(count + 1)).astype(np.int64)


def clean(raw: Series, clear: Clear, spike: Spike) -> npt.NDArray[np.bool_]:
    """Mask of the NDVI values that are neither corrupted nor low spikes of undetected clouds."""
    keep = raw.value >= clear.corrupted
    plausible = raw if keep.all() else raw.take(keep)
    inline = kernels.unspiked(plausible.offsets, plausible.day, plausible.value, spike.depth, spike.regain, spike.days)
    keep[keep] = inline
    return keep


def _gaps(series: Series, first: int, last: int) -> Ints:
    """The longest gap without a value of each parcel between two days, in days."""
    return kernels.longest_gap(series.offsets, series.day.clip(first, last), first, last)
