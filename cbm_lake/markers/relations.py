"""Compiled kernel that relates the events of one detector to those of another, and the union of several detectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cbm_lake.markers.kernels import Array
from cbm_lake.zonal.compiled import compiled


@compiled
def related(
    rows: Array,
    count: Array,
    others: Array,
    other_count: Array,
    fields: tuple[tuple[int, int], tuple[int, int]],
    low: float,
    high: float,
    least: float,
) -> Array:
    """Mask (parcels, events) of the events with another event so many days before or after.

    That is one that begins at most `high` days after an event ends, and ends at least `low` days after the event
    begins; negative days are days before.

    Args:
        rows: events.
        count: how many there are of each parcel.
        others: events of the other detector.
        other_count: how many there are of each parcel.
        fields: the fields of begin and end of an event, and those of another; both the same for a single day.
        low: days.
        high: days.
        least: least confidence of the other event.
    """
    (begin, end), (other_begin, other_end) = fields
    mask = np.zeros(rows.shape[:2], np.bool_)
    for parcel in range(len(rows)):
        for number in range(count[parcel]):
            event = rows[parcel, number]
            for other in others[parcel, : other_count[parcel]]:
                near = other[other_begin] - event[end] <= high and other[other_end] - event[begin] >= low
                mask[parcel, number] |= near and other[6] >= least
    return mask


def united(parts: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    """The events of several detectors by main day, their number, and of which detector each is."""
    rows = np.concatenate([rows for rows, _ in parts], axis=1)
    source = np.repeat(np.arange(len(parts)), [rows.shape[1] for rows, _ in parts])
    filled = np.concatenate([np.arange(rows.shape[1]) < count[:, None] for rows, count in parts], axis=1)
    order = np.argsort(np.where(filled, rows[..., 1], np.inf), axis=1, kind="stable")
    return np.take_along_axis(rows, order[..., None], axis=1), filled.sum(axis=1), source[order]
