"""Markers of single parcels as columns: how well they were observed, and the events of the detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.markers.detected import Detected
from cbm_lake.markers.detection import detect
from cbm_lake.markers.kernels import FIELDS, EventRows
from cbm_lake.markers.parameters import Parameters
from cbm_lake.markers.series import Observations, Series
from cbm_lake.markers.signals import signal


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
    def of(
        cls,
        marker: str,
        events: EventRows,
        kind: npt.NDArray[np.object_] | str | None = "s2",
        practice: npt.NDArray[np.object_] | None = None,
    ) -> Events:
        """The events of a kernel; `kind` is one value for all, or of shape (parcels, events), as `practice` is."""
        rows, count = events
        filled = np.arange(rows.shape[1]) < count[:, None]
        of_each = kind[filled] if isinstance(kind, np.ndarray) else kind
        return cls(marker, np.nonzero(filled)[0], rows[filled], of_each, None if practice is None else practice[filled])

    @classmethod
    def of_rows(
        cls, marker: str, rows: pa.Table, pids: pa.Array, values: Sequence[str], kind: str | None = None
    ) -> Events:
        """The events of rows with a pid and three dates.

        Args:
            marker: their marker.
            rows: pid, date_start, date_main, date_end, the columns `values`; marker_type and practice without `kind`.
            pids: the parcels, in order.
            values: columns of the values and of the confidence, as FIELDS has them.
            kind: the marker_type of all, which have no practice.
        """
        days = [
            rows[f"date_{part}"].cast(pa.int32()).cast(pa.float64()).to_numpy() for part in ("start", "main", "end")
        ]
        fields = np.column_stack([*days, *(rows[name].cast(pa.float64()).to_numpy() for name in values)])
        parcel = pc.index_in(rows["pid"], pids).to_numpy().astype(np.int64)
        if kind is not None:
            return cls(marker, parcel, fields, kind)
        return cls(marker, parcel, fields, rows["marker_type"].to_numpy(), rows["practice"].to_numpy())

    def moved(self, shift: int) -> Events:
        """The same events with the parcel indices shifted."""
        return Events(self.marker, self.parcel + shift, self.fields, self.kind, self.practice)

    def at(self, parcels: npt.NDArray[np.int64]) -> Events:
        """The same events, of the parcels at these indices."""
        return Events(self.marker, parcels[self.parcel], self.fields, self.kind, self.practice)


def of_parcels(observations: Observations, year: int, parameters: Parameters) -> list[Events]:
    """All markers that are detected in each parcel by itself: how well it was observed, and the detectors' events."""
    detected = detect(observations, year, parameters.detectors)
    return [
        _observed(observations),
        *(_series_observed(name, series, observations.dates > 0) for name, series in observations.others.items()),
        *(Events.of(name, events.events, signs(events), events.practice) for name, events in detected.items()),
    ]


def signs(events: Detected) -> npt.NDArray[np.object_] | str:
    """The cards behind events: one for all, or of each event, of shape (parcels, events)."""
    if isinstance(events.sign, str):
        return events.sign
    first, second = events.sign
    own, other = ~np.isnan(events.rows[..., 3]), ~np.isnan(events.rows[..., 5])
    return np.select([own & other, own], [f"{first}+{second}", first], second).astype(object)


def _observed(observations: Observations) -> Events:
    """One marker per parcel: how well it was observed."""
    fields = np.full((len(observations.pids), len(FIELDS)), np.nan)
    observed = np.flatnonzero(observations.dates)
    fields[observed, 0] = observations.ndvi.day[observations.ndvi.offsets[observed]]
    fields[observed, 2] = observations.ndvi.day[observations.ndvi.offsets[observed + 1] - 1]
    fields[:, 3], fields[:, 4], fields[:, 5] = observations.dates, observations.pixels, observations.gap
    fields[:, 6] = observations.dates / (observations.dates + 1)
    return Events("observed", np.arange(len(observations.pids)), fields, "s2")


def _series_observed(name: str, series: Series, observed: npt.NDArray[np.bool_]) -> Events:
    """One marker per parcel that was observed: on how many dates a further series has a value; 0 says on none."""
    fields = np.full((len(series), len(FIELDS)), np.nan)
    some = np.flatnonzero(series.count)
    fields[some, 0] = series.day[series.offsets[some]]
    fields[some, 2] = series.day[series.offsets[some + 1] - 1]
    fields[:, 3], fields[:, 6] = series.count, series.count / (series.count + 1)
    parcel = np.flatnonzero(observed | (series.count > 0))
    return Events(f"observed_{name.lower()}", parcel, fields[parcel], signal(name).card)
