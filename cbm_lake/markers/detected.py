"""The events of one detector in a block of parcels, and what is made of those of several."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.markers import kernels, work
from cbm_lake.markers.kinds import Relation
from cbm_lake.markers.relations import related, united

Sign = str | tuple[str, str]
"""The card behind all events, or the cards of which value_1 and value_3 are, where an event may have either or both."""
Mask = npt.NDArray[np.bool_]

FIELD: Final = {"start": 0, "main": 1, "end": 2}
"""The field of each day of an event."""
_WHOLE: Final = (0, 2)


@dataclass(frozen=True, eq=False)
class Detected:
    """The events of one detector in a block of parcels."""

    rows: kernels.Array
    """(parcels, events, FIELDS)."""
    count: kernels.Array
    """How many there are of each parcel."""
    sign: Sign
    source: npt.NDArray[np.object_] | None = None
    """(parcels, events): the detector whose event it is, where there are several."""

    @property
    def events(self) -> kernels.EventRows:
        """Rows and their number, as kernels take them."""
        return self.rows, self.count

    def selected(self, mask: Mask) -> Detected:
        """Only the events of a mask."""
        if self.source is None:
            return self._with(work.selected(*self.events, mask))
        order = np.argsort(~mask, axis=1, kind="stable")
        source = np.take_along_axis(self.source, order, axis=1)
        return replace(self._with(work.selected(*self.events, mask)), source=source)

    def _with(self, events: kernels.EventRows) -> Detected:
        return replace(self, rows=events[0], count=events[1])

    def near(self, others: Detected, relation: Relation) -> Mask:
        """Mask (parcels, events) of the events that have another detector's event where the relation says."""
        fields, low, high = _span(relation)
        return np.asarray(related(*self.events, *others.events, fields, low, high, relation.confidence))

    def longest(self) -> Detected:
        """The longest event of each parcel."""
        length = np.where(self.filled, self.rows[..., 2] - self.rows[..., 0], -np.inf)
        best = length.argmax(axis=1)[:, None]
        source = None if self.source is None else np.take_along_axis(self.source, best, axis=1)
        rows = np.take_along_axis(self.rows, best[..., None], axis=1)
        return replace(self, rows=rows, count=np.minimum(self.count, 1), source=source)

    @property
    def filled(self) -> Mask:
        """Mask of the rows that are events."""
        return np.asarray(np.arange(self.rows.shape[1]) < self.count[:, None])


def _span(relation: Relation) -> tuple[tuple[tuple[int, int], tuple[int, int]], float, float]:
    """The fields that a relation compares, and so many days before and after."""
    other, event = (FIELD[relation.its],) * 2, (FIELD[relation.from_],) * 2
    if relation.before is not None:
        return (event, other), -float(relation.before), 0.0
    if relation.after is not None:
        return (event, other), 0.0, float(relation.after)
    if relation.overlapping:
        return (_WHOLE, _WHOLE), 0.0, 0.0
    days = float(relation.within or 0)
    return (_WHOLE, other), -days, days


def cards_of(first: Sign, others: Detected | None) -> Sign:
    """The cards of value_1 and value_3, where the events of another detector may give value_3."""
    own = first if isinstance(first, str) else first[0]
    if others is None:
        return first
    return own, others.sign if isinstance(others.sign, str) else others.sign[1]


def union(names: tuple[str, ...], parts: list[Detected]) -> Detected:
    """The events of several detectors by date."""
    rows, count, source = united([part.events for part in parts])
    signs = {part.sign for part in parts}
    of_one = signs.pop() if len(signs) == 1 else None
    cards = sorted(
        {card for part in parts for card in ([part.sign] if isinstance(part.sign, str) else part.sign) if card}
    )
    return Detected(rows, count, of_one or "+".join(cards), np.array(names, object)[source])
