"""Time series of NDVI and coherence of all parcels of a set, as ragged arrays read with one SQL statement each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake
from cbm_lake.lake.looks import count as counted
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import kernels
from cbm_lake.markers.parameters import EPOCH, Clear, Parameters, Spike

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.int32]


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

    def until(self, last: int, least: int) -> Observations:
        """The observations up to a day, from `least` dates of which a parcel counts as observable; `gap` stays."""
        ndvi = self.ndvi.take(self.ndvi.day <= last)
        coherence = self.coherence.take(self.coherence.day <= last)
        count = ndvi.count
        return replace(self, ndvi=ndvi, coherence=coherence, dates=count, observable=count >= least)

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
        )


@dataclass(frozen=True, eq=False)
class Orbits:
    """Coherence of every parcel by orbit, one entry per image, sorted by parcel and day."""

    parcel: Ints
    """Index of the parcel."""
    day: Days
    orbit: Ints
    value: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]

    def take(self, keep: npt.NDArray[np.bool_]) -> Orbits:
        """Only the images where `keep` is True."""
        return Orbits(*(column[keep] for column in (self.parcel, self.day, self.orbit, self.value, self.weight)))

    def joined(self, parcels: int, first: int) -> Series:
        """One series per parcel from day `first`: the mean of each orbit is made that of all, as each sees another side."""
        orbits = np.unique(self.orbit)
        number = self.parcel * len(orbits) + np.searchsorted(orbits, self.orbit)
        usual = _means(number, self.value, parcels * len(orbits))[number]
        level = self.value + _means(self.parcel, self.value, parcels)[self.parcel] - usual
        inside = self.day >= first
        parcel, day, weight = self.parcel[inside], self.day[inside], self.weight[inside]
        begins = np.ones(len(day), bool)
        begins[1:] = (np.diff(parcel) != 0) | (np.diff(day) != 0)
        place = np.cumsum(begins) - 1
        value = np.bincount(place, weight * level[inside]) / np.bincount(place, weight)
        offsets = np.searchsorted(parcel[begins], np.arange(parcels + 1)).astype(np.int64)
        return Series(offsets, day[begins], value.astype(np.float32))


def _means(group: Ints, value: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """The mean of each group's values; 0 for one without any."""
    size = np.bincount(group, minlength=count)
    return np.asarray(np.bincount(group, value, minlength=count) / size.clip(1))


@dataclass(frozen=True, eq=False)
class Raw:
    """What the lake holds of the parcels of a set, from which they can be observed as of any day."""

    pids: pa.Array
    crops: npt.NDArray[np.object_]
    codes: pa.Array
    year: int
    ndvi: Series
    """On clear dates, with the faults and spikes that `clean` leaves out."""
    spread: Floats
    """Standard deviation of each NDVI within the parcel; NaN where unknown."""
    pixels: Ints
    """Clear pixels of each NDVI."""
    orbits: Orbits
    parameters: Parameters

    def until(self, last: Ints | int | None = None, some: Ints | None = None) -> Observations:
        """The observations as they were at the end of a day, as if nothing later were in the lake.

        Args:
            last: that day, one for all or one per parcel, in days since 1970-01-01; None is the end of the season.
            some: indices of the parcels that are observed, ascending; None is all.
        """
        parameters = self.parameters
        some = np.arange(len(self.pids)) if some is None else some
        place = np.full(len(self.pids), -1)
        place[some] = np.arange(len(some))
        begin, end = parameters.season.days(self.year)
        bound = np.full(len(self.pids), np.iinfo(np.int32).min)
        bound[some] = np.minimum(end if last is None else last, end)
        keep = self.ndvi.day <= bound[self.ndvi.owner]
        raw = _pick(self.ndvi.take(keep), some)
        inline = clean(raw, parameters.clear, parameters.spike)
        ndvi = raw.take(inline)
        spread, pixels = self.spread[keep][inline], self.pixels[keep]
        compared = ndvi.day <= parameters.peers.last_day(self.year, end)
        widest = np.zeros(len(some), np.int64)
        np.maximum.at(widest, raw.owner, pixels)
        images = self.orbits.take(self.orbits.day <= bound[self.orbits.parcel])
        images = replace(images, parcel=place[images.parcel])
        return Observations(
            self.pids.take(pa.array(some)),
            self.crops[some],
            ndvi,
            images.joined(len(some), begin),
            ndvi.count,
            widest,
            _gaps(ndvi, *parameters.mowing.season.days(self.year)),
            kernels.medians(ndvi.offsets, np.where(compared, spread, np.float32(np.nan))),
            ndvi.count >= parameters.clear.dates,
        )


def nothing(parameters: Parameters) -> Observations:
    """The observations of no parcel."""
    none = np.zeros(0)
    orbits = Orbits(none.astype(np.int64), none.astype(np.int32), none.astype(np.int64), none, none)
    empty = Series(np.zeros(1, np.int64), none.astype(np.int32), none.astype(np.float32))
    names = pa.array([], pa.string())
    raw = Raw(names, none.astype(object), names, EPOCH.year, empty, empty.value, none.astype(np.int64), orbits, parameters)
    return raw.until()


def _pick(series: Series, some: Ints) -> Series:
    """The series of some parcels; no other has a value."""
    return replace(series, offsets=np.concatenate([[0], np.cumsum(series.count[some])]).astype(np.int64))


def read(lake: Lake, parcels: ParcelSet, parameters: Parameters, pids: Sequence[str] | None = None) -> Observations:
    """Read the observations of a parcel set, or of some of its parcels, in the season, without undetected clouds.

    Raises:
        NotFoundError: one of `pids` is not in the set.
    """
    return read_raw(lake, parcels, parameters, pids).until()


def read_raw(lake: Lake, parcels: ParcelSet, parameters: Parameters, pids: Sequence[str] | None = None) -> Raw:
    """Read what the lake holds of a parcel set, or of some of its parcels, in the season.

    Raises:
        NotFoundError: one of `pids` is not in the set.
    """
    requested = None if pids is None else sorted(set(pids))
    key: dict[str, Any] = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "pids": requested}
    declared = lake.query("markers.declared", **key)
    check_pids(declared["pid"], requested or [], parcels)
    first, last = parameters.season.days(parcels.year)
    key |= {"pixels": parameters.clear.pixels, "share": parameters.clear.share, "last": last}
    how = {
        "screen": list(parameters.clear.screen),
        "cloud": parameters.clear.cloud,
        "brightest": parameters.clear.brightest,
    }
    optical = lake.query("markers.optical", **key, **how, first=first)
    waves = lake.query("markers.coherence", **key)
    columns = {name: waves[name].to_numpy() for name in ("place", "day", "orbit", "coherence", "weight")}
    return Raw(
        declared["pid"].combine_chunks(),
        declared["crop_name"].to_numpy(),
        declared["crop_code"].combine_chunks(),
        parcels.year,
        ragged(optical, declared.num_rows, "ndvi"),
        optical["spread"].to_numpy().astype(np.float32),
        optical["pixels"].to_numpy().astype(np.int64),
        Orbits(
            columns["place"].astype(np.int64),
            columns["day"].astype(np.int32),
            columns["orbit"].astype(np.int64),
            columns["coherence"].astype(np.float64),
            columns["weight"].astype(np.float64),
        ),
        parameters,
    )


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
