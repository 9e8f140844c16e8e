"""What the kernels find, as columns of markers."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from cbm_lake.markers import kernels, radar, work
from cbm_lake.markers.kernels import FIELDS, Found
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.series import Seen

Every = tuple[kernels.Array, kernels.Array, kernels.Array]
"""Offsets, days and values of a series."""
_SAME_WORK: Final = 15.0
"""Days within which two signs of ploughing are of one work."""


class Events:
    """Markers of one kind as columns, one entry each."""

    def __init__(
        self,
        marker: str,
        place: npt.NDArray[np.int64],
        fields: npt.NDArray[np.float64],
        kind: npt.NDArray[np.object_] | str | None = None,
        practice: npt.NDArray[np.object_] | None = None,
    ) -> None:
        self.marker = marker
        self.place = place
        """Of the parcel."""
        self.fields = fields
        """(markers, FIELDS)."""
        self.kind = kind if isinstance(kind, np.ndarray) else np.full(len(place), kind, object)
        """marker_type."""
        self.practice = np.full(len(place), None, object) if practice is None else practice

    @classmethod
    def of(cls, marker: str, found: Found, kind: npt.NDArray[np.object_] | str | None = "s2") -> Events:
        """Those that a kernel found; `kind` for all, or (parcels, MOST)."""
        rows, count = found
        held = np.arange(rows.shape[1]) < count[:, None]
        return cls(marker, np.nonzero(held)[0], rows[held], kind[held] if isinstance(kind, np.ndarray) else kind)

    def moved(self, places: int) -> Events:
        """The same for parcels that stand so many places later."""
        return Events(self.marker, self.place + places, self.fields, self.kind, self.practice)


def of_parcels(seen: Seen, year: int, chosen: Parameters) -> list[Events]:
    """Every kind of marker that concerns one parcel alone."""
    ndvi, cover = seen.ndvi, chosen.cover
    every = (ndvi.offsets, ndvi.day, ndvi.value)
    green = kernels.runs(*every, cover.vegetated, np.inf, cover.days)
    upside_down = (ndvi.offsets, ndvi.day, -ndvi.value)
    bare = kernels.runs(*upside_down, -cover.bare, np.inf, cover.days)
    low = kernels.extremes(*upside_down)
    for rows in (bare[0], low[0]):
        rows[..., 3:5] *= -1
    done = _work(seen, year, green, chosen)
    return [
        _observed(seen),
        Events.of("vegetated", green),
        Events.of("bare_soil", bare),
        Events.of("presence", _longest(green)),
        Events.of("ndvi_maximum", kernels.extremes(*every)),
        Events.of("ndvi_minimum", low),
        mowing(seen, year, _harvests(every, green, None, chosen), chosen),
        *(Events.of(marker, events, _signs(events)) for marker, events in done.items()),
    ]


def mowing(seen: Seen, year: int, harvest: Found, chosen: Parameters) -> Events:
    """Cuts of the sward; a rise of coherence makes one surer, and what is a harvest is none."""
    how, ndvi = chosen.mowing, seen.ndvi
    first, last = how.season.days(year)
    found = kernels.falls(
        ndvi.offsets,
        ndvi.day,
        ndvi.value,
        first,
        last,
        how.drop,
        how.high,
        how.window,
        how.regain,
        how.regrowth,
        how.apart,
    )
    found = work.apart_from(*found, *harvest)
    wave = seen.coherence
    factor, before = float(norm.isf(how.false_alarm)), chosen.work.coherence_days
    least = (how.least_deviation, how.coherence_rise)
    rises = radar.rises(wave.offsets, wave.day, wave.value, how.samples, factor, *least, before)
    radar.confirm(*found, *rises, how.fusion)
    every = (ndvi.offsets, ndvi.day, ndvi.value)
    alone = radar.unseen(*every, *rises, first, last, how.high, chosen.cover.vegetated, how.blind)
    found = work.joined(*found, *work.apart_from(*alone, *harvest), how.fusion)
    return Events.of("mowing", found, _signs(found))


def _work(seen: Seen, year: int, green: Found, chosen: Parameters) -> dict[str, Found]:
    """Harvest, ploughing and sowing."""
    days = chosen.work.season.days(year)
    how, ndvi, wave = chosen.work, seen.ndvi, seen.coherence
    every = (ndvi.offsets, ndvi.day, ndvi.value)
    dips = radar.dips(wave.offsets, wave.day, wave.value, how.coherence_change, how.coherence_base, how.coherence_days)
    harvest = _harvests(every, green, dips, chosen)
    sown, sown_count, ploughed, count = work.tilled(*green, *harvest, *dips, how.sowing_days)
    cover = chosen.cover
    bared = work.bared(*every, cover.bare, how.ploughed, cover.vegetated, how.away, _SAME_WORK)
    ploughing = work.joined(*bared, ploughed, count, _SAME_WORK)
    done = {"harvest": harvest, "ploughing": ploughing, "sowing": (sown, sown_count)}
    return {marker: work.between(*found, *days) for marker, found in done.items()}


def _harvests(every: Every, green: Found, dips: Found | None, chosen: Parameters) -> Found:
    """Harvests, dated by dips of coherence or, without them, by the NDVI."""
    how = chosen.work
    dips = dips or (green[0], np.zeros_like(green[1]))
    return work.harvests(*every, *green, *dips, how.grown, how.fall, how.away, how.harvest_days)


def _signs(found: Found) -> npt.NDArray[np.object_]:
    """What tells of each event: NDVI (s2), coherence (c6) or both."""
    optical, radar_too = ~np.isnan(found[0][..., 3]), ~np.isnan(found[0][..., 5])
    return np.select([optical & radar_too, optical], ["s2+c6", "s2"], "c6").astype(object)


def _observed(seen: Seen) -> Events:
    """One marker for every parcel: how well it was seen."""
    fields = np.full((len(seen.pids), len(FIELDS)), np.nan)
    held = np.flatnonzero(seen.dates)
    fields[held, 0] = seen.ndvi.day[seen.ndvi.offsets[held]]
    fields[held, 2] = seen.ndvi.day[seen.ndvi.offsets[held + 1] - 1]
    fields[:, 3], fields[:, 4], fields[:, 5] = seen.dates, seen.pixels, seen.gap
    fields[:, 6] = seen.dates / (seen.dates + 1)
    return Events("observed", np.arange(len(seen.pids)), fields, "s2")


def _longest(found: Found) -> Found:
    """Of each parcel's events the longest; value_1 its largest value, value_2 its mean, value_3 its values."""
    rows, count = found
    held = np.arange(rows.shape[1]) < count[:, None]
    length = np.where(held, rows[..., 2] - rows[..., 0], -np.inf)
    return np.take_along_axis(rows, length.argmax(axis=1)[:, None, None], axis=1), np.minimum(count, 1)
