"""Events on parts of the parcels of a batch: the search of `steps` on threads, without repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.markers.parameters import Parameters, Parts
from cbm_lake.markers.subparcel import steps
from cbm_lake.markers.subparcel.how import How
from cbm_lake.markers.subparcel.outlines import Pixels
from cbm_lake.markers.subparcel.pixels import Batch
from cbm_lake.zonal.compiled import frozen

Ints = npt.NDArray[np.int64]
_THREADS: Final = 2
_PIECES: Final = 8
_SURE: Final = 20.0
"""Difference of BIC at which a split that the next look confirms has the confidence 1 - 1/e."""
_MOST_SURE: Final = 0.99
_UNCONFIRMED: Final = 0.75
"""Factor of the confidence where no look came in time to confirm it."""
_SAME: Final = 0.5
"""Share of the pixels of two parts, together, that are in both when they are one part."""


@dataclass(frozen=True, eq=False)
class Event:
    """A fall of NDVI on a part of a parcel."""

    parcel: int
    """Number of the parcel."""
    start: int
    """Day of the last clear look before, since 1970-01-01."""
    end: int
    """Day of the first clear look after."""
    fell: float
    """Mean change of NDVI of the part."""
    stayed: float
    """That of the rest."""
    noise: float
    """Standard deviation of a pixel's change."""
    level: float
    """NDVI of the part afterwards."""
    rest: float
    """The greater NDVI of the rest, before or afterwards."""
    confidence: float
    """To two digits, 0.99 at most: no split is certain."""
    line: tuple[float, float] | None
    """Direction and distance of the edge where it is straight; see `lines.fit`."""
    pixels: Pixels

    @property
    def before(self) -> float:
        """NDVI of the part before."""
        return self.level - self.fell


def detected(batch: Batch, parameters: Parameters) -> tuple[list[Event], Ints]:
    """All events on parts, by parcel and date, and the number of clear looks at each parcel of the batch."""
    count = len(batch.parcels)
    fields = np.full((count, steps.MOST, len(steps.FIELDS)), np.nan)
    labels = np.full((steps.MOST, len(batch.row)), -1, np.int8)
    looks = np.zeros(count, np.int64)
    inputs = [frozen(array) for array in (batch.ndvi, batch.view.day, batch.offsets, batch.row, batch.col)]
    ndvi, day, offsets, row, col = inputs
    how = _how(parameters.parts)

    def search(begin: int, end: int) -> None:
        steps.search(ndvi, day, offsets[begin : end + 1], row, col, how, fields[begin:end], labels, looks[begin:end])

    bounds = np.linspace(0, count, _PIECES + 1).astype(int).tolist()
    with ThreadPoolExecutor(_THREADS) as workers:
        list(workers.map(search, bounds[:-1], bounds[1:]))
    there = np.argwhere(~np.isnan(fields[:, :, 0])).tolist()
    return [_event(batch, at, fields[at, number], labels[number]) for at, number in there], looks


def apart(events: Sequence[Event], days: int) -> list[Event]:
    """The events, by parcel and date, of which none repeats the one before it within so many days."""
    distinct: list[Event] = []
    for event in events:
        last = distinct[-1] if distinct and distinct[-1].parcel == event.parcel else None
        if last is not None and event.start - last.end < days and _alike(last.pixels, event.pixels):
            if event.stayed - event.fell > last.stayed - last.fell:
                distinct[-1] = event
        else:
            distinct.append(event)
    return distinct


def _how(parts: Parts) -> How:
    return How(**{name: getattr(parts, name) for name in How._fields})


def _event(batch: Batch, at: int, fields: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]) -> Event:
    """The event of the parcel at a place of the batch that the kernel's fields describe."""
    before, after, fell, stayed, noise, evidence, level, confirmed, angle, distance, straight = fields.tolist()
    part = slice(*batch.offsets[at : at + 2].tolist())
    change = batch.ndvi[int(after), part].astype(np.float64) - batch.ndvi[int(before), part]
    fallen = np.clip((stayed - change) / (stayed - fell), 0, 1)
    return Event(
        int(batch.parcels[at]),
        int(batch.view.day[int(before)]),
        int(batch.view.day[int(after)]),
        fell,
        stayed,
        noise,
        level,
        _rest(batch.ndvi[[int(before), int(after)], part], labels[part]),
        _confidence(evidence, bool(confirmed)),
        (angle, distance) if straight else None,
        Pixels(batch.row[part], batch.col[part], labels[part].copy(), fallen),
    )


def _rest(ndvi: npt.NDArray[np.floating], labels: npt.NDArray[np.int8]) -> float:
    """The greater mean NDVI, on one of some dates, of the pixels that did not fall."""
    stayed = np.where(labels == 1, np.nan, ndvi.astype(np.float64))
    return float(np.nanmax(np.nanmean(stayed, axis=1)))


def _confidence(evidence: float, confirmed: bool) -> float:
    confidence = float(1 - np.exp(-evidence / _SURE)) * (1 if confirmed else _UNCONFIRMED)
    return min(round(confidence, 2), _MOST_SURE)


def _alike(one: Pixels, other: Pixels) -> bool:
    """Whether two events are on the same part."""
    fell, too = one.labels == 1, other.labels == 1
    return bool((fell & too).sum() > _SAME * (fell | too).sum())
