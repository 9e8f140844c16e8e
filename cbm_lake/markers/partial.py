"""Work on a part of a parcel only, as markers that rules of scenarios count: of the table `parts`, if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.events import Events
from cbm_lake.markers.groups import PARTIAL
from cbm_lake.markers.rules import Evidence, Flags, Ints

END: Final = 2
"""Field of an event: the first clear look after the work, from which on it counts."""
_SHARE, _WORKED, _HECTARES = 3, 4, 5
"""Fields of an event: value_1 to value_3."""


def read(lake: Lake, parcels: ParcelSet, pids: pa.Array, some: Sequence[str] | None = None) -> list[Events]:
    """The work on parts of parcels, by marker.

    Args:
        lake: the lake.
        parcels: the parcel set.
        pids: its parcels that are judged, in order.
        some: only these of them are read; None reads all.

    Returns:
        Events with the last clear look before the work, its best date and the first look after it; value_1 is the
        worked share of the parcel, value_2 its hectares, value_3 those of the parcel.
    """
    rows = lake.query("markers.worked_parts", **parcels.params, pids=None if some is None else list(some))
    rows = rows.filter(pc.is_in(rows["pid"], pids))
    of_marker = {marker: rows.filter(pc.equal(rows["marker"], marker)) for marker in PARTIAL}
    values = ("share", "worked", "hectares", "confidence")
    return [Events.of_rows(marker, some, pids, values, "s2") for marker, some in of_marker.items()]


def seen_by(events: Events, last: Ints) -> Events:
    """The events that were over by the end of a day of each parcel."""
    there = np.asarray(events.fields[:, END] <= last[events.parcel], bool)
    return Events(events.marker, events.parcel[there], events.fields[there], events.kind[there], events.practice[there])


def areas(evidence: Evidence, counts: Flags) -> dict[int, str]:
    """The largest worked part of each parcel in words (0.80 of 1.60 ha), of the markers of a mask."""
    result = {}
    fields, parcel = evidence.fields[counts], evidence.parcel[counts]
    for number in np.argsort(fields[:, _SHARE], kind="stable"):
        result[int(parcel[number])] = f"{fields[number, _WORKED]:.2f} of {fields[number, _HECTARES]:.2f} ha"
    return result
