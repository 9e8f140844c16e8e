"""Events detected in the series of single parcels (cover, mowing, harvest, ploughing, sowing), as marker columns."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from cbm_lake.markers import kernels, radar, work
from cbm_lake.markers.kernels import FIELDS, EventRows
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.series import Observations

SeriesArrays = tuple[kernels.Array, kernels.Array, kernels.Array]
"""Offsets, days and values of a series."""
_SAME_WORK: Final = 15.0
"""Days within which two signals of ploughing belong to the same operation."""


class Events:
    """Markers of one kind as columns, one entry per marker."""

    def __init__(
        self,
        marker: str,
        parcel: npt.NDArray[np.int64],
        fields: npt.NDArray[np.float64],
        kind: npt.NDArray[np.object_] | str | None = None,
        practice: npt.NDArray[np.object_] | None = None,
    ) -> None:
        self.marker = marker
        self.parcel = parcel
        """Index of the parcel."""
        self.fields = fields
        """Shape (markers, FIELDS)."""
        self.kind = kind if isinstance(kind, np.ndarray) else np.full(len(parcel), kind, object)
        """The column marker_type."""
        self.practice = np.full(len(parcel), None, object) if practice is None else practice

    @classmethod
    def of(cls, marker: str, events: EventRows, kind: npt.NDArray[np.object_] | str | None = "s2") -> Events:
        """The events detected by a kernel; `kind` is one value for all, or of shape (parcels, MOST)."""
        rows, count = events
        filled = np.arange(rows.shape[1]) < count[:, None]
        return cls(marker, np.nonzero(filled)[0], rows[filled], kind[filled] if isinstance(kind, np.ndarray) else kind)

    def moved(self, shift: int) -> Events:
        """The same events with the parcel indices shifted."""
        return Events(self.marker, self.parcel + shift, self.fields, self.kind, self.practice)

    def at(self, parcels: npt.NDArray[np.int64]) -> Events:
        """The same events, of the parcels at these indices."""
        return Events(self.marker, parcels[self.parcel], self.fields, self.kind, self.practice)


def of_parcels(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """All markers that are detected in each parcel by itself."""
    ndvi, cover = observations.ndvi, parameters.cover
    arrays = (ndvi.offsets, ndvi.day, ndvi.value)
    green = kernels.runs(*arrays, cover.vegetated, np.inf, cover.days)
    upside_down = (ndvi.offsets, ndvi.day, -ndvi.value)
    bare = kernels.runs(*upside_down, -cover.bare, np.inf, cover.days)
    low = kernels.extremes(*upside_down)
    for rows in (bare[0], low[0]):
        rows[..., 3:5] *= -1
    done = _work(observations, year, green, parameters)
    return [
        _observed(observations),
        Events.of("vegetated", green),
        Events.of("bare_soil", bare),
        Events.of("presence", _longest(green)),
        Events.of("ndvi_maximum", kernels.extremes(*arrays)),
        Events.of("ndvi_minimum", low),
        mowing(observations, year, _harvests(arrays, green, None, parameters), parameters),
        *(Events.of(marker, events, _signs(events)) for marker, events in done.items()),
    ]


def mowing(observations: Observations, year: int, harvest: EventRows, parameters: Parameters) -> Events:
    """Mowing events, without harvests; a rise of coherence increases the confidence."""
    how, ndvi = parameters.mowing, observations.ndvi
    first, last = how.season.days(year)
    cuts = kernels.falls(
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
    cuts = work.apart_from(*cuts, *harvest)
    wave = observations.coherence
    factor, before = float(norm.isf(how.false_alarm)), parameters.work.coherence_days
    least = (how.least_deviation, how.coherence_rise)
    rises = radar.rises(wave.offsets, wave.day, wave.value, how.samples, factor, *least, before)
    radar.confirm(*cuts, *rises, how.fusion)
    arrays = (ndvi.offsets, ndvi.day, ndvi.value)
    alone = radar.unseen(*arrays, *rises, first, last, how.high, parameters.cover.vegetated, how.blind)
    cuts = work.joined(*cuts, *work.apart_from(*alone, *harvest), how.fusion)
    return Events.of("mowing", cuts, _signs(cuts))


def _work(observations: Observations, year: int, green: EventRows, parameters: Parameters) -> dict[str, EventRows]:
    """Harvest, ploughing and sowing."""
    days = parameters.work.season.days(year)
    how, ndvi, wave = parameters.work, observations.ndvi, observations.coherence
    arrays = (ndvi.offsets, ndvi.day, ndvi.value)
    dips = radar.dips(wave.offsets, wave.day, wave.value, how.coherence_change, how.coherence_base, how.coherence_days)
    harvest = _harvests(arrays, green, dips, parameters)
    sown, sown_count, ploughed, count = work.tilled(*green, *harvest, *dips, how.sowing_days)
    cover = parameters.cover
    bared = work.bared(*arrays, cover.bare, how.ploughed, cover.vegetated, how.away, _SAME_WORK)
    ploughing = work.joined(*bared, ploughed, count, _SAME_WORK)
    done = {"harvest": harvest, "ploughing": ploughing, "sowing": (sown, sown_count)}
    return {marker: work.between(*events, *days) for marker, events in done.items()}


def _harvests(arrays: SeriesArrays, green: EventRows, dips: EventRows | None, parameters: Parameters) -> EventRows:
    """Harvests, dated by dips of coherence or, where there are none, by the NDVI."""
    how = parameters.work
    dips = dips or (green[0], np.zeros_like(green[1]))
    return work.harvests(*arrays, *green, *dips, how.grown, how.fall, how.away, how.harvest_days)


def _signs(events: EventRows) -> npt.NDArray[np.object_]:
    """The signal behind each event: NDVI (s2), coherence (c6) or both."""
    optical, radar_too = ~np.isnan(events[0][..., 3]), ~np.isnan(events[0][..., 5])
    return np.select([optical & radar_too, optical], ["s2+c6", "s2"], "c6").astype(object)


def _observed(observations: Observations) -> Events:
    """One marker per parcel: how well it was observed."""
    fields = np.full((len(observations.pids), len(FIELDS)), np.nan)
    observed = np.flatnonzero(observations.dates)
    fields[observed, 0] = observations.ndvi.day[observations.ndvi.offsets[observed]]
    fields[observed, 2] = observations.ndvi.day[observations.ndvi.offsets[observed + 1] - 1]
    fields[:, 3], fields[:, 4], fields[:, 5] = observations.dates, observations.pixels, observations.gap
    fields[:, 6] = observations.dates / (observations.dates + 1)
    return Events("observed", np.arange(len(observations.pids)), fields, "s2")


def _longest(events: EventRows) -> EventRows:
    """The longest event of each parcel; value_1 is its maximum, value_2 its mean, value_3 its number of values."""
    rows, count = events
    filled = np.arange(rows.shape[1]) < count[:, None]
    length = np.where(filled, rows[..., 2] - rows[..., 0], -np.inf)
    return np.take_along_axis(rows, length.argmax(axis=1)[:, None, None], axis=1), np.minimum(count, 1)
