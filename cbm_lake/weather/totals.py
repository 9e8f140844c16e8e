"""Assigns precipitation of time steps to days, and detects totals that accumulate since midnight."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError

log = logging.getLogger(__name__)

Times: TypeAlias = NDArray[np.datetime64]
Values: TypeAlias = NDArray[np.float64]
"""Times by cells."""
Totals: TypeAlias = Literal["step", "midnight"]
"""What a value of precipitation is of: the step before its time, or all since midnight (UTC)."""

_DAY: Final = np.timedelta64(1, "D")
_ENOUGH: Final = 12
"""Wet steps after which it is no chance that none of the totals of single steps was less than the one before."""
_SAME: Final = 1e-4
"""Part of the greatest value by which packing in 16 bits may move a value."""


@dataclass(frozen=True, eq=False)
class Daily:
    """Daily values: arrays of days by cells."""

    days: Times
    low: Values
    high: Values
    total: Values
    steps: NDArray[np.int64]
    share: Values
    """Part of the day that the values cover."""


def accumulation(times: Times, values: Values, step: np.timedelta64, label: str, *, land: bool) -> Totals:
    """Whether totals are per time step or accumulate since midnight.

    Totals that run on never become less within a day, and begin anew after it; those of steps become less whenever rain
    slackens.

    Args:
        times: in order, without doubles.
        values: times by cells.
        step: from one time to the next.
        label: what it is of, for messages.
        land: whether the file says that it is ERA5-Land, whose totals run on since midnight.

    Raises:
        InvalidInputError: they run on since another hour, or the values do not decide.
    """
    if not np.nanmax(values, initial=0) > 0:
        return "step"
    before, change, begins = _changes(times, values, step)
    limit = _SAME * float(np.nanmax(values))
    wet, falls = before > limit, change < -limit
    inside = wet & ~begins[:, None]
    anew = wet & begins[:, None]
    if (falls & inside).any():
        _refuse_other_hours(times[1:][_steps(times, step)], falls, wet, label)
        return "step"
    if anew.any() and not (falls & anew).any():
        if not (change[~begins] > limit).any():
            return "step"  # the same in each step
        raise InvalidInputError(
            f"{label} never becomes less, not after midnight either; give totals of steps or since midnight (UTC)"
        )
    steps = int(inside.any(axis=1).sum())
    if not land and (steps < _ENOUGH or (falls & anew).sum() < anew.sum() / 2):
        raise InvalidInputError(
            f"{label}: its values do not decide whether they are totals of steps or run on since midnight, for only "
            f"{steps} steps are wet; say which"
        )
    log.warning("%s: its totals run on since midnight (UTC), as those of ERA5-Land; a day's is that at its end", label)
    return "midnight"


def _steps(times: Times, step: np.timedelta64) -> NDArray[np.bool_]:
    """Which times follow the one before by one step."""
    return np.asarray(np.diff(times) == step)


def _changes(times: Times, values: Values, step: np.timedelta64) -> tuple[Values, Values, NDArray[np.bool_]]:
    """Of the steps: the value before, the change, and whether the step is the first after midnight."""
    follows = _steps(times, step)
    before, change = values[:-1][follows], np.diff(values, axis=0)[follows]
    midnight = times[:-1][follows]
    return before, change, np.asarray(midnight == midnight.astype("datetime64[D]"))


def _refuse_other_hours(times: Times, falls: NDArray[np.bool_], wet: NDArray[np.bool_], label: str) -> None:
    """Refuse totals that become less only after the same one or two hours of each day: they run on since then."""
    hours = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "h")
    drops = hours[falls.any(axis=1)]
    at = np.unique(drops)
    elsewhere = int((wet.any(axis=1) & ~np.isin(hours, at)).sum())
    if len(at) <= 2 and len(drops) >= 3 and elsewhere >= _ENOUGH:
        listed = " and ".join(f"{hour:g}:00" for hour in at)
        raise InvalidInputError(
            f"{label} becomes less only at {listed}: its totals run on since an hour other than midnight (UTC); "
            "give totals of steps or since midnight"
        )


def of_steps(times: Times, values: Values, step: np.timedelta64, *, before: bool) -> Daily:
    """Daily extremes and totals from values per time step, each covering the step before or after its timestamp."""
    moments = times - step if before and step < _DAY else times
    days, starts = np.unique(moments.astype("datetime64[D]"), return_index=True)
    steps = np.add.reduceat(np.isfinite(values).astype(np.int64), starts, axis=0)
    return Daily(
        days,
        np.fmin.reduceat(values, starts, axis=0),
        np.fmax.reduceat(values, starts, axis=0),
        np.add.reduceat(np.nan_to_num(values), starts, axis=0),
        steps,
        steps * min(1.0, float(step / _DAY)),
    )


def since_midnight(times: Times, values: Values, step: np.timedelta64) -> Daily:
    """Daily totals from values that accumulate since midnight, and the part of the day that they cover."""
    moments = times - np.minimum(step, np.timedelta64(1, "h"))
    days, starts = np.unique(moments.astype("datetime64[D]"), return_index=True)
    shape = len(days), values.shape[1]
    total, share = np.zeros(shape), np.zeros(shape)
    steps = np.add.reduceat(np.isfinite(values).astype(np.int64), starts, axis=0)
    cells = np.arange(values.shape[1])
    for number, (first, end) in enumerate(zip(starts, [*starts[1:], len(times)], strict=True)):
        block = values[first:end]
        last = len(block) - 1 - np.isfinite(block)[::-1].argmax(axis=0)
        rising = steps[number] > 0
        total[number] = np.where(rising, block[last, cells], 0)
        share[number] = np.where(rising, (times[first:end][last] - days[number]) / _DAY, 0)
    return Daily(days, total, total, total, steps, share)
