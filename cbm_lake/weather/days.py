"""Aggregates weather fields to daily values per cell: unit conversion, time steps, totals.

fields of a variable ─ degrees Celsius, mm ─► in order, each time once ─► days ─► rows (cell, meteo_date, name, value)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.weather import grids, totals, units
from cbm_lake.weather.grids import Field
from cbm_lake.weather.totals import Daily, Totals
from cbm_lake.weather.units import Unit
from cbm_lake.weather.variables import Variable

log = logging.getLogger(__name__)

_DAY: Final = np.timedelta64(24 * 3600 * 10**9, "ns")
_HOUR: Final = np.timedelta64(3600 * 10**9, "ns")
_WHOLE: Final = 0.8
"""Part of a day's steps that must be there for the day to count."""
_STATISTICS: Final = {"minimum": "tmin", "maximum": "tmax", "mean": "tmean"}


def of_fields(fields: Sequence[Field], stated_units: Mapping[str, str], total: Totals | None) -> pd.DataFrame:
    """Daily values of all cells: cell, meteo_date, name, value; where sources compete, the most specific counts.

    Args:
        fields: of one or several files.
        stated_units: units by the names of variables, where the caller says them.
        total: what totals of precipitation are of, where the caller says it.

    Raises:
        InvalidInputError: a unit, or what totals are of, is neither said nor decided by the values.
    """
    parts = [part for group in grids.groups(list(fields)) for part in _of_group(group, stated_units, total)]
    if not parts:
        return pd.DataFrame(columns=["cell", "meteo_date", "name", "value"])
    whole = pd.concat(parts, ignore_index=True).sort_values("general", kind="stable")
    return whole.drop_duplicates(["cell", "meteo_date", "name"]).drop(columns="general")


def _of_group(fields: list[Field], stated_units: Mapping[str, str], total: Totals | None) -> Iterator[pd.DataFrame]:
    fields = [field for field in fields if len(field.times)]
    if not fields or not fields[0].cells:
        return
    step = _step(fields)
    variable = _variable(fields[0], step)
    metric, rate = _metric(fields, step, stated_units)
    times, values = grids.ordered(metric)
    if rate is not None:
        values = values * (step / np.timedelta64(1, "s")) / rate
    units.check(values, variable.kind, float(step / _HOUR), fields[0].label)
    if variable.kind == "precipitation" and fields[0].name not in stated_units and np.isfinite(values).any():
        units.doubt_drought(float(np.nanmax(values)), float(step / _HOUR), _days_of(fields), fields[0].label)
    daily = _daily(fields, times, values, step, variable, total if rate is None else "step")
    if variable.kind == "precipitation":
        units.check(daily.total, variable.kind, 24, fields[0].label)
    _log_incomplete(fields[0].label, daily)
    numbers = {
        "tmin": daily.low,
        "tmax": daily.high,
        "tmean": daily.total / np.maximum(daily.steps, 1),
        "prec": np.maximum(daily.total, 0),
    }
    for name in variable.measures:
        yield _rows(fields[0].cells, daily, numbers[name], name, len(variable.measures))


def _step(fields: Sequence[Field]) -> np.timedelta64:
    """The time from one value to the next; of a single one a day if its variable is one of days, else an hour."""
    gaps = np.diff(np.unique(np.concatenate([field.times for field in fields])))
    if len(gaps):
        return np.timedelta64(int(np.median(gaps.astype(np.int64))), "ns")
    return _DAY if fields[0].variable.daily else _HOUR


def _variable(field: Field, step: np.timedelta64) -> Variable:
    """What the variable is in a file of such steps: of one value a day it has to be said how it was made."""
    variable = field.variable
    if variable.daily and step < _DAY:
        return replace(variable, daily=False, before=variable.kind == "precipitation")
    if variable.kind == "precipitation" or len(variable.measures) == 1 or step < _DAY:
        return variable
    if field.statistic not in _STATISTICS:
        raise InvalidInputError(
            f"{field.label} has one value a day and does not say whether it is the mean, the least or the greatest; "
            f"say which column it is, such as tmean={field.name}"
        )
    return replace(variable, measures=(_STATISTICS[field.statistic],), daily=True)


# -- units -----------------------------------------------------------------------------------------------------------


def _metric(
    fields: Sequence[Field], step: np.timedelta64, stated_units: Mapping[str, str]
) -> tuple[list[Field], float | None]:
    """The fields in degrees Celsius or mm, and the seconds in which a rate counts, None where they are totals."""
    silent = [field for field in fields if _named(field, stated_units) is None]
    guess = _by_values(silent, step) if silent else None
    each = [_named(field, stated_units) or guess for field in fields]
    rates = {unit.per for unit in each if unit is not None}
    if len(rates) > 1:
        raise InvalidInputError(f"{fields[0].label}: some of the files hold rates and others totals; give one kind")
    metric = [
        replace(field, values=field.values * unit.scale + unit.offset)
        for field, unit in zip(fields, each, strict=True)
        if unit is not None
    ]
    return metric, rates.pop()


def _named(field: Field, stated_units: Mapping[str, str]) -> Unit | None:
    said = {name.lower(): unit for name, unit in stated_units.items()}
    names = (field.name, *(field.variable.measures if len(field.variable.measures) == 1 else ()))
    text = next((said[name] for name in names if name in said), field.units)
    return units.named(text, field.variable.kind, field.label)


def _by_values(fields: Sequence[Field], step: np.timedelta64) -> Unit:
    """The unit of fields of which nothing says it."""
    low, high = min(field.extremes[0] for field in fields), max(field.extremes[1] for field in fields)
    if fields[0].variable.kind == "temperature":
        return units.of_temperatures(low, high, fields[0].label)
    if fields[0].variable.rate and high > 0:
        raise InvalidInputError(f"{fields[0].label} names no unit, and a rate may be in several; say the unit")
    return units.of_totals(high, float(step / _HOUR), _days_of(fields), fields[0].label)


def _days_of(fields: Sequence[Field]) -> int:
    """How many days files have values of."""
    times = np.concatenate([field.times for field in fields])
    return len(np.unique(times.astype("datetime64[D]")))


# -- days ------------------------------------------------------------------------------------------------------------


def _daily(
    fields: Sequence[Field],
    times: NDArray[np.datetime64],
    values: NDArray[np.float64],
    step: np.timedelta64,
    variable: Variable,
    total: Totals | None,
) -> Daily:
    if variable.kind == "precipitation" and not variable.daily:
        total = total or _totals(fields, times, values, step)
        if total == "midnight":
            return totals.since_midnight(times, values, step)
    between = bool(((times - times.astype("datetime64[D]")) % step != 0).any())  # the middles of steps, not their ends
    return totals.of_steps(times, values, step, before=variable.before and not between)


def _totals(
    fields: Sequence[Field], times: NDArray[np.datetime64], values: NDArray[np.float64], step: np.timedelta64
) -> Totals:
    land = any(field.land for field in fields)
    label = fields[0].label
    if step < _DAY:
        return totals.accumulation(times, values, step, label, land=land)
    if land and fields[0].statistic != "sum" and bool((times == times.astype("datetime64[D]")).all()):
        raise InvalidInputError(
            f"{label} is of ERA5-Land and has one value a day at 00:00, which may be the total of the day before or of "
            "this one; say which by the totals: midnight (the day before) or step (this one)"
        )
    log.warning("%s has one value a day; it is taken for the total of the day of its time", label)
    return "step"


def _log_incomplete(label: str, daily: Daily) -> None:
    """Say which days are not whole; the one before the first, of which a file has its last hour at 00:00, is none."""
    share = daily.share.max(axis=1)
    share[:1][daily.steps[:1].max(axis=1) == 1] *= share[0] == 1 or len(share) == 1
    for problem, short in (
        ("are left out, for less than four fifths of their hours are there", (share > 0) & (share < _WHOLE)),
        ("count without some of their hours", (share >= _WHOLE) & (share < 1 - 1e-9)),
    ):
        if short.any():
            log.warning("%s: %d days %s: %s", label, short.sum(), problem, some(map(str, daily.days[short]), 5))


def _rows(cells: Sequence[str], daily: Daily, values: NDArray[np.float64], name: str, general: int) -> pd.DataFrame:
    """Days that are whole enough as rows; general: how many numbers the variable gives."""
    day, cell = np.nonzero((daily.share >= _WHOLE) & (daily.steps > 0))
    dates = pd.Series(daily.days[day].astype("datetime64[ns]")).dt.date
    return pd.DataFrame(
        {
            "cell": np.array(cells)[cell],
            "meteo_date": dates,
            "name": name,
            "value": values[day, cell],
            "general": general,
        }
    )
