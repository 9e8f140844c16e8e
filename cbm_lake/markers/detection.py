"""Evaluation of detectors over the observations of a block of parcels: a kernel or two for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import singledispatchmethod
from typing import Final

import numpy as np
from scipy.stats import norm

from cbm_lake.markers import kernels, radar, work
from cbm_lake.markers.detected import FIELD, Detected, Mask, cards_of, union
from cbm_lake.markers.detectors import DetectorModel, asked_for, order, skipped
from cbm_lake.markers.groups import EPOCH, Season
from cbm_lake.markers.kinds import (
    CLAIM,
    Bounds,
    Combination,
    Detector,
    Dip,
    Drop,
    End,
    Gap,
    Peak,
    Rise,
    State,
    Threshold,
    Tillage,
    Unseen,
    Window,
)
from cbm_lake.markers.series import Observations, Series
from cbm_lake.markers.signals import COHERENCE, NDVI

_ALWAYS: Final = (-1e9, 1e9)


def detect(observations: Observations, year: int, detectors: Mapping[str, DetectorModel]) -> dict[str, Detected]:
    """The events of every detector that is not hidden, in the order of `detectors`.

    Those that ask for a series that was not read or not extracted have none.
    """
    block = _Block(observations, year)
    unread = {asked.name for asked in asked_for(detectors)}.difference(observations.others)
    silent = observations.skipped | skipped(detectors, unread)
    running = {name: one for name, one in detectors.items() if name not in silent}
    last = _last_uses(running)
    result: dict[str, Detected] = {}
    for name in order(running):
        block.detected[name] = block.finished(running[name])
        if not running[name].hidden:
            result[name] = block.detected[name]
        for done in last.get(name, ()):
            del block.detected[done]
    return {name: result[name] for name in detectors if name in result}


def _last_uses(detectors: Mapping[str, DetectorModel]) -> dict[str, list[str]]:
    """The detectors whose events nobody asks for after each one; theirs can be forgotten."""
    latest = {name: name for name in detectors}
    for name in order(detectors):
        for other in (*detectors[name].needs, *detectors[name].uses):
            if other in detectors:
                latest[other] = name
    result: dict[str, list[str]] = {}
    for name, user in latest.items():
        result.setdefault(user, []).append(name)
    return result


class _Block:
    """The observations of a block of parcels, and what was detected in them so far."""

    def __init__(self, observations: Observations, year: int) -> None:
        self.observations = observations
        self.year = year
        self.detected: dict[str, Detected] = {}
        self._clipped: dict[tuple[str, Bounds | None, Window | None], Series] = {}

    # -- series and windows --------------------------------------------------------------------------------------------

    def series(self, name: str) -> Series:
        """The series of that name."""
        if name in {NDVI, COHERENCE}:
            return self.observations.ndvi if name == NDVI else self.observations.coherence
        return self.observations.others[name]

    def clipped(self, name: str, only_where: Bounds | None = None, window: Window | None = None) -> Series:
        """The values of a series in the window, on dates on which another series is within its bounds."""
        key = (name, only_where, window)
        if key not in self._clipped:
            result = self.series(name)
            if window:
                first, last = self.days(window)
                result = result.take((result.day >= first[result.owner]) & (result.day <= last[result.owner]))
            if only_where:
                result = result.take(result.on_days_of(self._within(only_where)))
            self._clipped[key] = result
        return self._clipped[key]

    def _within(self, bounds: Bounds) -> Series:
        """The values of a series between two values."""
        other = self.series(bounds.series)
        low, high = (bounds.at_least, bounds.at_most)
        return other.take(
            (other.value >= (-np.inf if low is None else low)) & (other.value <= (np.inf if high is None else high))
        )

    def days(self, window: Window | None) -> tuple[kernels.Array, kernels.Array]:
        """First and last day of the window of each parcel; NaN where its declaration claims no date."""
        parcels = len(self.observations.pids)
        if window is None:
            bounds = [np.full(parcels, day) for day in _ALWAYS]
        elif isinstance(window.start, str) and isinstance(window.end, str) and not window.claims:
            season = Season(start=window.start, end=window.end).days(self.year)
            bounds = [np.full(parcels, float(day)) for day in season]
        else:
            ends = zip((window.start, window.end), _ALWAYS, strict=True)
            bounds = [self._day(day, default) for day, default in ends]
        return bounds[0], bounds[1]

    def _day(self, day: str | None, default: float) -> kernels.Array:
        """One end of a window for each parcel."""
        if day and day.startswith(CLAIM):
            return self.observations.claims[day.removeprefix(CLAIM)]
        fixed = default if day is None else float((date.fromisoformat(f"{self.year}-{day}") - EPOCH).days)
        return np.full(len(self.observations.pids), fixed)

    # -- kinds ---------------------------------------------------------------------------------------------------------

    def finished(self, detector: Detector) -> Detected:
        """The events of a detector, with what all kinds may ask for applied."""
        result = self.run(detector)
        if detector.confidence:
            result = result.selected(result.rows[..., 6] >= detector.confidence)
        if detector.crops is not None:
            result = replace(result, count=np.where(self._among(detector.crops), result.count, 0))
        return result.longest() if detector.longest else result

    def _among(self, words: tuple[str, ...]) -> Mask:
        """Mask of the parcels whose declared crop contains one of some words."""
        names = self.observations.crops
        lower = [word.casefold() for word in words]
        asked = {name: any(word in (name or "").casefold() for word in lower) for name in set(names)}
        return np.array([asked[name] for name in names], bool)

    @singledispatchmethod
    def run(self, detector: Detector) -> Detected:
        """The events of a detector of some kind."""
        raise NotImplementedError(type(detector))

    @run.register
    def _state(self, detector: State) -> Detected:
        part = self.clipped(detector.series, detector.only_where, detector.window)
        limits = detector.days, detector.looks
        if detector.at_least is None and detector.at_most is not None:
            events = kernels.runs(part.offsets, part.day, -part.value, -detector.at_most, np.inf, *limits)
            events[0][..., 3:5] *= -1
        else:
            high = np.inf if detector.at_most is None else np.nextafter(detector.at_most, np.inf)
            low = -np.inf if detector.at_least is None else detector.at_least
            events = kernels.runs(part.offsets, part.day, part.value, low, high, *limits)
        return Detected(*events, detector.of.card)

    @run.register
    def _peak(self, detector: Peak) -> Detected:
        part = self.clipped(detector.series, detector.only_where, detector.window)
        sign = 1 if detector.which == "highest" else -1
        events = kernels.extremes(part.offsets, part.day, sign * part.value)
        if sign < 0:
            events[0][..., 3:5] *= -1
        return Detected(*events, detector.of.card)

    @run.register
    def _drop(self, detector: Drop) -> Detected:
        part, sign = self._turned(detector, up=detector.direction == "up")
        least = -np.inf if detector.from_ is None else sign * detector.from_
        regain = -np.inf if detector.regain is None else detector.regain
        first, last = self.days(detector.window)
        rows, count = kernels.falls(
            part.offsets,
            part.day,
            part.value,
            first,
            last,
            drop=detector.by,
            high=least,
            window=detector.within,
            regain=regain,
            regrowth=detector.regrowth,
            apart=detector.apart,
        )
        if detector.regain is None:
            rows[..., 6] = 1 - 0.5 * 0.5 ** ((rows[..., 3] - detector.by) / detector.by)
        return Detected(rows, count, detector.of.card)

    @run.register
    def _threshold(self, detector: Threshold) -> Detected:
        part, sign = self._turned(detector, up=detector.above is not None)
        level = sign * ((detector.below if detector.above is None else detector.above) or 0.0)
        stay, days = level, 0
        if detector.stays:
            limit = detector.stays.below if detector.above is None else detector.stays.above
            stay, days = sign * (limit or 0.0), detector.stays.days
        rows, count = work.bared(
            part.offsets, part.day, part.value, level, detector.by, stay, days, float(detector.apart)
        )
        rows[..., 4] *= sign
        result = Detected(rows, count, detector.of.card)
        return self._in_window(result, detector.window)

    def _turned(self, detector: Drop | Threshold, *, up: bool) -> tuple[Series, int]:
        """The series, upside down where a rise is looked for, and the sign of its values."""
        part = self.clipped(detector.series, detector.only_where)
        return (replace(part, value=-part.value), -1) if up else (part, 1)

    @run.register
    def _gap(self, detector: Gap) -> Detected:
        part = self.clipped(detector.series, detector.only_where, detector.window)
        first, last = self.days(detector.window) if detector.window else _ends(part)
        return Detected(*kernels.gaps(part.offsets, part.day, first, last, detector.days), detector.of.card)

    @run.register
    def _rise(self, detector: Rise) -> Detected:
        part = self.clipped(detector.series, detector.only_where)
        factor = float(norm.isf(detector.false_alarm))
        how = (detector.samples, factor, detector.least_deviation, detector.by, detector.days)
        result = Detected(*radar.rises(part.offsets, part.day, part.value, *how), detector.of.card)
        return self._in_window(result, detector.window)

    @run.register
    def _dip(self, detector: Dip) -> Detected:
        part = self.clipped(detector.series, detector.only_where)
        how = (detector.by, detector.around, detector.days)
        result = Detected(*radar.dips(part.offsets, part.day, part.value, *how), ("", detector.of.card))
        return self._in_window(result, detector.window)

    @run.register
    def _end(self, detector: End) -> Detected:
        part = self.clipped(detector.series, detector.only_where)
        periods = self.detected[detector.ends]
        dips = self.detected.get(detector.dated_by or "")
        dated, number = dips.events if dips else (periods.rows, np.zeros_like(periods.count))
        events = work.harvests(
            part.offsets,
            part.day,
            part.value,
            periods.rows,
            periods.count,
            dated,
            number,
            *(detector.grown, detector.by, detector.away, detector.days),
        )
        result = Detected(*events, cards_of(detector.of.card, dips))
        return self._in_window(result, detector.window)

    @run.register
    def _tillage(self, detector: Tillage) -> Detected:
        cover, harvest, dips = (self.detected[name] for name in (detector.cover, detector.harvest, detector.dips))
        sown, sown_count, ploughed, count = work.tilled(*cover.events, *harvest.events, *dips.events, detector.days)
        events = (sown, sown_count) if detector.which == "sowing" else (ploughed, count)
        return self._in_window(Detected(*events, dips.sign), detector.window)

    @run.register
    def _unseen(self, detector: Unseen) -> Detected:
        part = self.clipped(detector.series, detector.only_where)
        others = self.detected[detector.events]
        limits = (detector.before, detector.after)
        events = radar.unseen(part.offsets, part.day, part.value, *others.events, *limits, blind=detector.days)
        return self._in_window(Detected(*events, cards_of(detector.of.card, others)), detector.window)

    # -- combinations --------------------------------------------------------------------------------------------------

    @run.register
    def _combination(self, detector: Combination) -> Detected:
        parts = [self._combined(name, detector) for name in detector.parts]
        parts = [self._in_window(part, detector.window, detector.day) for part in parts] if detector.any_of else parts
        result = parts[0] if len(parts) == 1 else union(detector.parts, parts)
        if detector.confirmed_by:
            others = self.detected.get(detector.confirmed_by.detector)
            if others:
                rows, sign = result.rows.copy(), cards_of(result.sign, others)
                radar.confirm(rows, result.count, *others.events, detector.confirmed_by.within)
                result = replace(result, rows=rows, sign=sign)
        if detector.or_:
            others = self.detected.get(detector.or_.detector)
            if others:
                events = work.joined(*result.events, *others.events, float(detector.or_.within))
                result = Detected(*events, cards_of(result.sign, others))
        result = result if detector.any_of else self._in_window(result, detector.window, detector.day)
        length = result.rows[..., 2] - result.rows[..., 0]
        return result.selected(length >= detector.days) if detector.days else result

    def _combined(self, name: str, detector: Combination) -> Detected:
        """The events of a detector that have the events near them that they must have, and none that they must not."""
        result = self.detected[name]
        for relation in detector.with_:
            result = result.selected(result.near(self.detected[relation.detector], relation))
        for relation in detector.without:
            result = result.selected(~result.near(self.detected[relation.detector], relation))
        return result

    def _in_window(self, events: Detected, window: Window | None, day: str = "main") -> Detected:
        """The events of which a day lies in the window."""
        if window is None:
            return events
        first, last = (bound[:, None] for bound in self.days(window))
        which = events.rows[..., FIELD[day]]
        return events.selected((which >= first) & (which <= last))


def _ends(series: Series) -> tuple[kernels.Array, kernels.Array]:
    """The first and last day of the values of each parcel; NaN where there is none."""
    some = series.count > 0
    first, last = (np.full(len(series), np.nan) for _ in range(2))
    first[some] = series.day[series.offsets[:-1][some]]
    last[some] = series.day[series.offsets[1:][some] - 1]
    return first, last
