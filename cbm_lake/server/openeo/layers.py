"""Data cubes of a process graph as lazy layers: each is what a process makes of others, nothing is read yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from typing import TypeAlias

import numpy as np
import shapely

from cbm_lake.cards import Card
from cbm_lake.server.openeo.arithmetic import Floats, Function, Stack


class Time(Enum):
    """What the labels along t are."""

    SCENES = "scenes"
    PERIODS = "periods"
    NONE = "none"


@dataclass(frozen=True)
class Select:
    """Some of the bands."""


@dataclass(frozen=True)
class Mask:
    """The first layer where the second is 0 or no-data, elsewhere `replacement`."""

    replacement: float


@dataclass(frozen=True)
class OfBands:
    """One value of the bands of each pixel; as the band `added` beside the others, or instead of them."""

    function: Function
    added: str = ""


@dataclass(frozen=True)
class Apply:
    """A function of each pixel and band."""

    function: Function


@dataclass(frozen=True)
class OfPeriod:
    """One value of the scenes of each period."""

    function: Function
    period: str


@dataclass(frozen=True)
class OfTime:
    """One value of all that is along t."""

    function: Function


Operation: TypeAlias = "Select | Mask | OfBands | Apply | OfPeriod | OfTime"


@dataclass(frozen=True, eq=False)
class Layer:
    """A data cube; without an operation it is a card as it is loaded."""

    card: Card
    labels: tuple[str, ...] | None
    """Of the bands; None where there is no such dimension any more."""
    time: Time = Time.SCENES
    start: datetime | None = None
    """First moment."""
    end: datetime | None = None
    """The moment after the last."""
    areas: tuple[shapely.Geometry, ...] = ()
    """In degrees: pixels count whose centre is in each of them."""
    operation: Operation | None = None
    inputs: tuple[Layer, ...] = ()

    def then(self, operation: Operation, *others: Layer, **changes: object) -> Layer:
        """What an operation makes of this layer and others."""
        return replace(self, operation=operation, inputs=(self, *others), **changes)  # type: ignore[arg-type]

    @property
    def bands(self) -> tuple[str, ...]:
        """The labels; "" stands for the one band of a layer without that dimension."""
        return ("",) if self.labels is None else self.labels

    @property
    def is_plain(self) -> bool:
        """Whether nothing was done to the pixels."""
        return all(isinstance(layer.operation, Select | None) for layer in ordered(self))


Needs: TypeAlias = dict[int, set[str]]
"""Of each layer, by its identity, the bands that others look at."""


def ordered(layer: Layer) -> list[Layer]:
    """A layer and all that it is made of, each once, and after what it is made of."""
    order: dict[int, Layer] = {}
    remaining = [(layer, False)]
    while remaining:
        one, expanded = remaining.pop()
        if id(one) in order:
            continue
        if expanded:
            order[id(one)] = one
        else:
            remaining.append((one, True))
            remaining += [(other, False) for other in one.inputs]
    return list(order.values())


def needs(layer: Layer, bands: Iterable[str] | None = None) -> Needs:
    """Which bands of each layer are looked at for some bands of the last, or for all."""
    looked: Needs = {id(one): set() for one in ordered(layer)}
    looked[id(layer)] = set(layer.bands if bands is None else bands)
    for one in reversed(ordered(layer)):
        for number, other in enumerate(one.inputs):
            looked[id(other)].update(_needed(one, number, looked[id(one)]))
    return looked


def _needed(layer: Layer, number: int, asked: set[str]) -> Iterable[str]:
    """The bands of an input that a layer looks at for those that it is asked for."""
    operation, other = layer.operation, layer.inputs[number]
    if isinstance(operation, OfBands):
        used = set(operation.function.used(other.bands)) if operation.added in asked or not operation.added else set()
        return used | (asked - {operation.added})
    if isinstance(operation, Mask) and number == 1 and len(other.bands) == 1:
        return other.bands
    return asked


Values: TypeAlias = "dict[str, Floats]"
"""Pixels by band, of shape (t, pixels)."""


def values(layer: Layer, loaded: Values, days: list[datetime], looked: Needs) -> tuple[Values, list[str]]:
    """The pixels of a layer and its labels along t.

    Args:
        layer: whose pixels.
        loaded: of the card: float64 of shape (scenes, pixels), NaN where there is no measurement.
        days: of the scenes, in order.
        looked: see `needs`.
    """
    done: dict[int, Values] = {}
    labels: dict[int, list[str]] = {}
    for one in ordered(layer):
        if one.operation is None:
            done[id(one)], labels[id(one)] = loaded, [_moment(day) for day in days]
            continue
        before = [done[id(other)] for other in one.inputs]
        bands = [band for band in one.bands if band in looked[id(one)]]
        done[id(one)] = _worked(one, before, bands, days)
        labels[id(one)] = _labels(one, labels[id(one.inputs[0])], days)
    return done[id(layer)], labels[id(layer)]


def _worked(layer: Layer, before: list[Values], bands: list[str], days: list[datetime]) -> Values:
    operation, first = layer.operation, before[0]
    if isinstance(operation, OfBands):
        used = operation.function.used(layer.inputs[0].bands)
        arrays = {band: first[band] for band in used}
        full = tuple(layer.inputs[0].bands)
        shape = next(iter(first.values())).shape
        absent = np.broadcast_to(np.nan, shape)
        result = operation.function(Stack(full, [arrays.get(band, absent) for band in full]), shape)
        return {band: result if band == operation.added else first[band] for band in bands}
    if isinstance(operation, Apply):
        return {band: operation.function(first[band], first[band].shape) for band in bands}
    if isinstance(operation, Mask):
        return {band: _masked(first[band], before[1], band, operation.replacement) for band in bands}
    if isinstance(operation, OfPeriod):
        groups = list(periods(days, operation.period).values())
        return {band: np.stack([_reduced(operation.function, first[band][rows]) for rows in groups]) for band in bands}
    if isinstance(operation, OfTime):
        return {band: _reduced(operation.function, first[band])[np.newaxis] for band in bands}
    return {band: first[band] for band in bands}


def _masked(values_of_band: Floats, mask: Values, band: str, replacement: float) -> Floats:
    hides = mask[band] if band in mask else next(iter(mask.values()))
    return np.where(np.isnan(hides) | (hides == 0), values_of_band, replacement)


def _reduced(function: Function, along: Floats) -> Floats:
    """What a function makes of the first axis."""
    return function(Stack(tuple(map(str, range(len(along)))), list(along)), along.shape[1:])


def _labels(layer: Layer, before: list[str], days: list[datetime]) -> list[str]:
    if isinstance(layer.operation, OfPeriod):
        return list(periods(days, layer.operation.period))
    return [""] if isinstance(layer.operation, OfTime) else before


# -- time ---------------------------------------------------------------------------------------------------------


def periods(days: Iterable[datetime], period: str) -> dict[str, list[int]]:
    """The numbers of the days in each period of which there is a day, by openEO's labels, in the order of time."""
    groups: dict[str, list[int]] = {}
    for number, day in enumerate(days):
        groups.setdefault(period_of(day.date(), period), []).append(number)
    return groups


def period_of(day: date, period: str) -> str:
    """openEO's label of the period of a day (UTC)."""
    if period == "day":
        return f"{day.year}-{day.timetuple().tm_yday:03d}"
    if period == "week":
        year, week, _ = day.isocalendar()
        return f"{year}-{week:02d}"
    if period == "dekad":
        return f"{day.year}-{3 * (day.month - 1) + min((day.day - 1) // 10, 2):02d}"
    if period == "season":
        name = ("djf", "mam", "jja", "son")[day.month % 12 // 3]
        return f"{day.year + (day.month == 12)}-{name}"  # December begins the winter of the next year
    return f"{day.year}-{day.month:02d}" if period == "month" else f"{day.year}"


def _moment(day: datetime) -> str:
    """A moment as RFC 3339 has it, in UTC."""
    return day.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"


def moments(days: Iterable[datetime]) -> Iterator[str]:
    """Moments as RFC 3339 has them, in UTC."""
    return map(_moment, days)
