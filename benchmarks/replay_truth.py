"""Who truly breaks the rule of a scenario: of the sample its generator knows, on the Swiss plots people looked.

A parcel breaks it wholly, or on a part only: fields of two crops, of which one does as declared. Of meadows that were
not mown those are told apart that were grazed. Parcels that are not named comply. Of scenarios without an entry nothing
is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TypeAlias

import pandas as pd

Broken: TypeAlias = Mapping[str, Mapping[str, str]]
"""By scenario: how each parcel breaks its rule, one of the next three."""
WHOLLY, GRAZED, PARTLY = "wholly", "wholly, but grazed", "on a part"
DUE_OF_MOWING = (9, 15)
"""Month and day on which "grassland is mown" is judged."""


def of_sample(events: pd.DataFrame, kinds: pd.DataFrame) -> Broken:
    """What the generator knows: events (pid, crop, event, date) and kinds (pid, declared, crop, second, share)."""
    done: dict[tuple[str, str], set[str]] = {}
    due = date(pd.to_datetime(events.date).dt.year.iloc[0], *DUE_OF_MOWING)
    for row in events[pd.to_datetime(events.date).dt.date <= due].itertuples():
        done.setdefault((row.pid, row.crop), set()).add(row.event)
    return {scenario: _broken(kinds, done, complies) for scenario, complies in _COMPLIES.items()}


def _broken(
    kinds: pd.DataFrame, done: Mapping[tuple[str, str], set[str]], complies: Callable[[str, str, set[str]], bool]
) -> dict[str, str]:
    """The parcels of which not all crops comply."""
    result = {}
    for row in kinds.itertuples():
        crops = {row.crop, row.second} if row.share > 0 else {row.crop}
        failed = {crop for crop in crops if not complies(row.declared, crop, done.get((row.pid, crop), set()))}
        if failed:
            result[row.pid] = WHOLLY if failed == crops else PARTLY
    return result


_COMPLIES: Mapping[str, Callable[[str, str, set[str]], bool]] = {
    "grassland is mown": lambda declared, crop, done: bool(done & {"mowing", "mulching"}) and not done & _TILLED,
    "arable land is worked": lambda declared, crop, done: crop not in {"grassland", "fallow"},
    "cover stays": lambda declared, crop, done: crop in {"grassland", "fallow"} and not done & _TILLED,
    "looks as declared": lambda declared, crop, done: crop == declared,
}
_TILLED = {"sowing", "harvest", "ploughing"}


def of_meadows(plots: pd.DataFrame, observed: pd.DataFrame, year: int) -> Broken:
    """Meadows on which no mowing was observed up to the due date; plots: pid, grazed; observed: pid, date."""
    mown = set(observed.pid[observed.date <= date(year, *DUE_OF_MOWING)])
    rows = plots[~plots.pid.isin(mown)]
    return {"grassland is mown": {row.pid: GRAZED if row.grazed else WHOLLY for row in rows.itertuples()}}
