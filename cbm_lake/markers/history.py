"""What was seen of each parcel up to any day: the series as they stood then, whatever has come since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import inputs
from cbm_lake.markers.detectors import asked_for, claims, skipped
from cbm_lake.markers.parameters import EPOCH, Parameters
from cbm_lake.markers.series import Days, Ints, Observations, Series, check_pids, clean, ragged


@dataclass(frozen=True, eq=False)
class Images:
    """Coherence or backscatter of every parcel by orbit, one entry per image, sorted by parcel and day."""

    parcel: Ints
    """Index of the parcel."""
    day: Days
    orbit: Ints
    value: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: pa.Table) -> Images:
        """The images of rows (place, day, orbit, value, weight) sorted by place, the index of the parcel, and day."""
        return cls(
            rows["place"].to_numpy().astype(np.int64),
            rows["day"].to_numpy().astype(np.int32),
            rows["orbit"].to_numpy().astype(np.int64),
            rows["value"].to_numpy().astype(np.float64),
            rows["weight"].to_numpy().astype(np.float64),
        )

    def take(self, keep: npt.NDArray[np.bool_]) -> Images:
        """Only the images where `keep` is True."""
        return Images(self.parcel[keep], self.day[keep], self.orbit[keep], self.value[keep], self.weight[keep])

    def joined(self, parcels: int, first: int) -> Series:
        """One series per parcel from day `first`; each orbit sees another side, and its mean is made that of all."""
        orbits = np.unique(self.orbit)
        number = self.parcel * len(orbits) + np.searchsorted(orbits, self.orbit)
        usual = _means(number, self.value, parcels * len(orbits))[number]
        level = self.value + _means(self.parcel, self.value, parcels)[self.parcel] - usual
        inside = self.day >= first
        parcel, day, weight = self.parcel[inside], self.day[inside], self.weight[inside]
        begins = np.ones(len(day), bool)
        begins[1:] = (np.diff(parcel) != 0) | (np.diff(day) != 0)
        group = np.cumsum(begins) - 1
        value = np.bincount(group, weight * level[inside]) / np.bincount(group, weight)
        offsets = np.searchsorted(parcel[begins], np.arange(parcels + 1)).astype(np.int64)
        return Series(offsets, day[begins], value.astype(np.float32))


def _means(group: Ints, value: npt.NDArray[np.float64], count: int) -> npt.NDArray[np.float64]:
    """The mean of each group's values; 0 for one without any."""
    size = np.bincount(group, minlength=count)
    return np.asarray(np.bincount(group, value, minlength=count) / size.clip(1))


@dataclass(frozen=True, eq=False)
class History:
    """What the lake has of the parcels of a set; one entry per parcel."""

    pids: pa.Array
    crops: npt.NDArray[np.object_]
    codes: pa.Array
    year: int
    looks: Series
    """NDVI on clear dates, with the faults and spikes that `clean` leaves out."""
    images: Images
    parameters: Parameters
    others: Mapping[str, Series] = field(default_factory=dict)
    """The further optical series that detectors ask for, by name."""
    radar: Mapping[str, Images] = field(default_factory=dict)
    """Those of radar, by name; as of a day, each orbit's level is that of its images up to it."""
    claims: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    """The dates that declarations claim, which detectors ask for, by column."""

    def until(self, last: Ints | int, some: Ints) -> Observations:
        """The observations of some parcels as they were at the end of a day, as if nothing later were in the lake.

        The spread within parcels is not known, and pixels are not counted.

        Args:
            last: that day, one for all or one per parcel, in days since 1970-01-01.
            some: indices of the parcels, ascending.
        """
        parameters, parcels = self.parameters, len(self.pids)
        begin, end = parameters.season.days(self.year)
        index, bound = np.full(parcels, -1), np.full(parcels, np.iinfo(np.int32).min)
        index[some], bound[some] = np.arange(len(some)), np.minimum(last, end)
        raw = picked(self.looks.take(self.looks.day <= bound[self.looks.owner]), some)
        ndvi = raw.take(clean(raw, parameters.clear, parameters.spike))

        def joined(images: Images) -> Series:
            images = images.take(images.day <= bound[images.parcel])
            return replace(images, parcel=index[images.parcel]).joined(len(some), begin)

        return Observations(
            self.pids.take(pa.array(some)),
            self.crops[some],
            ndvi,
            joined(self.images),
            ndvi.count,
            np.zeros(len(some), np.int64),
            gaps(ndvi, parameters.mowing.season.days(self.year)[0], np.broadcast_to(last, len(some))),
            np.full(len(some), np.nan, np.float32),
            ndvi.count >= parameters.clear.dates,
            {name: _on_days(series, bound, some, ndvi) for name, series in self.others.items()}
            | {name: joined(images) for name, images in self.radar.items()},
            {name: days[some] for name, days in self.claims.items()},
            self._skipped(int(np.max(last, initial=0))),
        )

    def silent(self, last: Ints) -> list[tuple[Ints, frozenset[str]]]:
        """The detectors that say nothing as of a day of each parcel: of those in the set no series had a value yet.

        Returns:
            Groups of parcels (their indices in `last`), each with the names of its detectors; all parcels are in one.
        """
        begins = self.begins
        days = np.array(sorted(set(begins.values())), np.int64)
        begun = np.searchsorted(days, last, side="right")
        groups = [np.flatnonzero(begun == number) for number in np.unique(begun)]
        return [(group, self._skipped(int(last[group[0]]))) for group in groups]

    def _skipped(self, last: int) -> frozenset[str]:
        missing = frozenset(name for name, first in self.begins.items() if first > last)
        if missing not in self._silenced:
            self._silenced[missing] = skipped(self.parameters.detectors, missing)
        return self._silenced[missing]

    @cached_property
    def _silenced(self) -> dict[frozenset[str], frozenset[str]]:
        """The detectors that say nothing, by the series that have no value."""
        return {}

    @cached_property
    def begins(self) -> dict[str, int]:
        """The first day of each further series over all parcels; a day that never comes where it has no value."""
        days = {name: part.day for name, part in self.others.items()}
        days |= {name: part.day for name, part in self.radar.items()}
        return {name: int(day.min(initial=np.iinfo(np.int32).max)) for name, day in days.items()}

    def looks_at(self, some: Ints) -> Series:
        """The clear looks at some parcels."""
        member = np.zeros(len(self.pids), bool)
        member[some] = True
        return picked(self.looks.take(member[self.looks.owner]), some)


def _on_days(series: Series, bound: Ints, some: Ints, ndvi: Series) -> Series:
    """A series of some parcels up to a day of each, on the days of their NDVI."""
    part = picked(series.take(series.day <= bound[series.owner]), some)
    return part.take(part.on_days_of(ndvi))


def picked(series: Series, some: Ints) -> Series:
    """The series of some parcels, ascending; no other has a value."""
    return replace(series, offsets=np.concatenate([[0], np.cumsum(series.count[some])]).astype(np.int64))


def gaps(series: Series, first: int, last: Ints) -> Ints:
    """Longest gap in days between looks of each parcel from day `first` to a day of each, which count as looks."""
    last = np.maximum(last, first)
    parcels = np.arange(len(series))
    owner = np.concatenate([parcels, series.owner, parcels])
    day = np.concatenate([np.full(len(series), first), np.clip(series.day, first, last[series.owner]), last])
    order = np.lexsort([day, owner])
    owner, day = owner[order], day[order]
    result = np.zeros(len(series), np.int64)
    np.maximum.at(result, owner[1:], np.where(np.diff(owner) == 0, np.diff(day), 0))
    return result


def read(lake: Lake, parcels: ParcelSet, parameters: Parameters, pids: Sequence[str] | None = None) -> History:
    """Read what the lake has of a parcel set, or of some of its parcels, in the season.

    Raises:
        NotFoundError: one of `pids` is not in the set.
    """
    requested = None if pids is None else sorted(set(pids))
    key: dict[str, Any] = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "pids": requested}
    declared = lake.query("markers.declared", **key)
    check_pids(declared["pid"], requested or [], parcels)
    first, last = parameters.season.days(parcels.year)
    key |= {**parameters.clear.seen, "last": last}
    sky = parameters.clear.sky
    optical = lake.query("markers.optical", **key, **sky, first=first)
    further = asked_for(parameters.detectors)
    return History(
        declared["pid"].combine_chunks(),
        declared["crop_name"].to_numpy(),
        declared["crop_code"].combine_chunks(),
        parcels.year,
        ragged(optical, declared.num_rows, "ndvi"),
        Images.of(lake.query("markers.images", **key)),
        parameters,
        {
            one.name: ragged(inputs.rows_of(lake, one, key | {"first": first}, sky), declared.num_rows, "value")
            for one in further
            if one.is_optical
        },
        {one.name: Images.of(inputs.images_of(lake, one, key)) for one in further if not one.is_optical},
        inputs.claimed(lake, parcels, parameters.detectors, requested),
    )


def empty(parameters: Parameters) -> Observations:
    """The observations of no parcel, over which every detector runs."""
    none = np.zeros(0)
    numbers, days = none.astype(np.int64), none.astype(np.int32)
    names = pa.array([], pa.string())
    looks = Series(np.zeros(1, np.int64), days, none.astype(np.float32))
    images = Images(numbers, days, numbers, none, none)
    further = asked_for(parameters.detectors)
    others = {one.name: looks for one in further if one.is_optical}
    radar = {one.name: images for one in further if not one.is_optical}
    dates = {column: none for _, column in claims(parameters.detectors)}
    history = History(names, none.astype(object), names, EPOCH.year, looks, images, parameters, others, radar, dates)
    return replace(history.until(0, numbers), skipped=frozenset())
