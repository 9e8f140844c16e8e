"""What was seen of all parcels, one after the other: ragged arrays out of one SQL statement."""

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
from cbm_lake.markers.parameters import Clear, Parameters, Spike

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Days = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Series:
    """Values of many parcels in the order of parcel and day: those of parcel p are offsets[p] to offsets[p + 1]."""

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
        """The parcel of each value."""
        return np.repeat(np.arange(len(self)), self.count)

    def take(self, keep: npt.NDArray[np.bool_]) -> Series:
        """The same without some values."""
        kept = np.concatenate([[0], np.cumsum(keep)])[self.offsets]
        return replace(self, offsets=kept, day=self.day[keep], value=self.value[keep])

    def block(self, begin: int, end: int) -> Series:
        """Those of the parcels from one to another, without it."""
        bounds = self.offsets[begin : end + 1]
        part = slice(bounds[0], bounds[-1])
        return Series(bounds - bounds[0], self.day[part], self.value[part])


@dataclass(frozen=True, eq=False)
class Seen:
    """All that the markers are found from."""

    pids: pa.Array
    """Text, in order."""
    crops: npt.NDArray[np.object_]
    """The declared crop of each parcel, or None."""
    ndvi: Series
    """On clear dates."""
    coherence: Series
    dates: Ints
    """Clear dates of each parcel."""
    pixels: Ints
    """Most pixels that were clear on one of them."""
    gap: Ints
    """Longest time in days of the mowing season without one."""
    spread: Floats
    """Median over the dates of the NDVI's standard deviation inside the parcel; NaN where it is not known."""
    observable: npt.NDArray[np.bool_]

    def block(self, begin: int, end: int) -> Seen:
        """What was seen of the parcels from one to another, without it."""
        part = slice(begin, end)
        return Seen(
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


def read(lake: Lake, parcels: ParcelSet, chosen: Parameters, pids: Sequence[str] | None = None) -> Seen:
    """What was seen of all parcels of a set, or of some, in the season; days of missed clouds are left out.

    Raises:
        NotFoundError: one of `pids` is not in the set.
    """
    wanted = None if pids is None else sorted(set(pids))
    key: dict[str, Any] = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "pids": wanted}
    declared = lake.query("markers.declared", **key)
    check_known(declared["pid"], wanted or [], parcels)
    first, last = chosen.season.days(parcels.year)
    key |= {"first": first, "last": last, "pixels": chosen.clear.pixels, "share": chosen.clear.share}
    how = {"screen": list(chosen.clear.screen), "cloud": chosen.clear.cloud, "brightest": chosen.clear.brightest}
    optical = lake.query("markers.optical", **key, **how)
    count = declared.num_rows
    raw = ragged(optical, count, "ndvi")
    keep = clean(raw, chosen.clear, chosen.spike)
    ndvi = raw.take(keep)
    spread = kernels.medians(ndvi.offsets, optical["spread"].to_numpy()[keep])
    pixels = np.zeros(count, np.int64)
    np.maximum.at(pixels, raw.owner, optical["pixels"].to_numpy())
    coherence = ragged(lake.query("markers.coherence", **key), count, "coherence")
    return Seen(
        declared["pid"].combine_chunks(),
        declared["crop_name"].to_numpy(),
        ndvi,
        coherence,
        ndvi.count,
        pixels,
        _gaps(ndvi, *chosen.mowing.season.days(parcels.year)),
        spread,
        ndvi.count >= chosen.clear.dates,
    )


def looks(lake: Lake, parcels: ParcelSet, chosen: Parameters, pids: Sequence[str] | None = None) -> dict[str, int]:
    """How many looks of Sentinel-2 at the parcels are clear in the season, and why the others are not."""
    first, last = chosen.season.days(parcels.year)
    clear = chosen.clear
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


def check_known(pids: pa.ChunkedArray | pa.Array, wanted: Sequence[str], parcels: ParcelSet) -> None:
    """Raise NotFoundError where a parcel asked for is not among those of the set."""
    missing = set(wanted) - set(pids.to_pylist()) if wanted else set()
    if missing:
        raise NotFoundError(f"no parcel {min(missing)!r} in {parcels.name}; pids are text, as the agency wrote them")


def ragged(rows: pa.Table, count: int, name: str) -> Series:
    """The series of `count` parcels out of rows (place, day, …) in the order of place and day."""
    place = rows["place"].to_numpy()
    offsets = np.searchsorted(place, np.arange(count + 1)).astype(np.int64)
    return Series(offsets, rows["day"].to_numpy().astype(np.int32), rows[name].to_numpy().astype(np.float32))


def clean(raw: Series, clear: Clear, spike: Spike) -> npt.NDArray[np.bool_]:
    """Which values of the NDVI are neither faults nor the low spikes that missed clouds make."""
    keep = raw.value >= clear.corrupted
    left = raw.take(keep)
    kept = kernels.unspiked(left.offsets, left.day, left.value, spike.depth, spike.regain, spike.days)
    keep[keep] = kept
    return keep


def _gaps(series: Series, first: int, last: int) -> Ints:
    """The longest time of each parcel without a value from one day to another."""
    return kernels.longest_gap(series.offsets, series.day.clip(first, last), first, last)
