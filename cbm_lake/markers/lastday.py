"""The day as of which lights are judged, where none is asked for: by the scenes that count, not by a wrong date of one.

A scene of a day that has not come yet has a wrong date, or the clock of the machine is slow. Such scenes are left
aside, by name. It is the clock that is wrong where they are of three days and more and products or entries of the
catalogue were made after today, too: those times are other clocks', or this one's when it was right.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, TypedDict

from cbm_lake.errors import some
from cbm_lake.files import clock
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet

log = logging.getLogger(__name__)

_AGREE: Final = 3
"""Days after today, by the clock, of which there are scenes: from so many on the clock is wrong."""
_NAMED: Final = 3


class Later(TypedDict):
    """A row of the query markers.later."""

    scene: str
    day: date


def tomorrow() -> datetime:
    """The first moment of the day (UTC) after today, by the clock of the machine."""
    return datetime.combine(clock.now().astimezone(UTC).date() + timedelta(days=1), time.min, UTC)


def is_clock_slow(lake: Lake, *, warn: bool = True) -> bool:
    """Whether the catalogue has scenes of so many days after today, and was made so late, that the clock is wrong."""
    days: list[date] = lake.query("scenes.later", until=tomorrow())["day"].to_pylist()
    if len(days) < _AGREE or not warn:
        return len(days) >= _AGREE
    log.warning(
        "the clock of this machine says %s, but there are scenes of %d later days, %s to %s: the clock is wrong, and "
        "the scenes count; correct it",
        f"{clock.now():%Y-%m-%d}",
        len(days),
        days[0],
        days[-1],
    )
    return True


def left_aside(later: Iterable[Later]) -> str:
    """Scenes of days after today are left aside, in words; "" where there are none."""
    scenes = [f"{row['scene']} (of {row['day']})" for row in later]
    if not scenes:
        return ""
    today = f"{clock.now():%Y-%m-%d}"
    return f"left aside until its day has come, for the clock of this machine says {today}: {some(scenes, _NAMED)}"


def last_day(lake: Lake, parcels: ParcelSet) -> date | None:
    """The last day on which a scene was taken of which signatures over a parcel set count: lights are judged by it.

    Scenes after today do not decide it, with a warning; where the clock is wrong, they do.
    """
    last, until = _last(lake, parcels, None), tomorrow()
    if last is None or last < until.date():
        return last
    later: list[Later] = lake.query("markers.later", until=until, **parcels.params).to_pylist()
    if is_clock_slow(lake):
        return last
    log.warning(
        "lights of %s: %s; a scene whose date is wrong can be left out (`cbm-lake scenes leave-out`)",
        parcels.name,
        left_aside(later),
    )
    return _last(lake, parcels, until)


def _last(lake: Lake, parcels: ParcelSet, until: datetime | None) -> date | None:
    """The last day of scenes that count, of those before `until`."""
    days: list[date] = lake.query("markers.last_day", until=until, **parcels.params)["day"].to_pylist()
    return days[0] if days else None
