"""From when on each verdict was the same, and how good the verdicts were by each day of the season."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.calendar import STEP
from cbm_lake.crops.features import Season
from cbm_lake.crops.model import Judged, judge_by_day
from cbm_lake.crops.settings import Settings
from cbm_lake.crops.verdicts import CANNOT_SAY
from cbm_lake.markers.groups import EPOCH

FIGURES: Final = ("accuracy", "accuracy_of_groups", "undecided")
"""What is said of each day, among the figures of its verdicts."""
_EVERY: Final = 3
"""Steps from one tried day to the next: a month."""
_LEAST: Final = 3
"""Steps of the calendar before the first tried day."""
_AFTER: Final = STEP - STEP // 2 - 1
"""Days of a step after its middle."""


@dataclass(frozen=True, eq=False)
class Cleared:
    """What each tried day said."""

    since: npt.NDArray[np.int64]
    """Of each parcel the first tried day (since 1970-01-01) from which on the verdict was the last one; -1 for none."""
    by_day: list[Mapping[str, Any]]
    """Of each tried day: day (date), and FIGURES."""


def tried(season: Season, last: int) -> list[int]:
    """The days by which a season is judged: the end of every third step, and the last day."""
    ends = (season.days + _AFTER)[_LEAST - 1 :: _EVERY]
    return [*map(int, ends[ends < last]), last]


def by_day(
    season: Season,
    settings: Settings,
    days: Sequence[int],
    final: Judged | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Cleared:
    """Judge a season by several days, all in the groups of crops of the last one.

    Before the last day a step counts from its end on: it is the mean of all its looks.

    Args:
        season: up to the last day.
        settings: of all checks.
        days: ascending, since 1970-01-01; the last one is that of the season.
        final: the verdicts by the last day, where they are there already.
        progress: called after each day.
    """
    by_days: list[tuple[int, Judged]] = []
    if final is not None and settings.groups is None:
        settings = settings.model_copy(update={"groups": final.group_of})
    ended = [*(day - _AFTER for day in days[:-1]), *(days[-1:] if final is None else [])]
    for day, (_, judged) in zip(days, judge_by_day(season, settings, ended), strict=False):
        by_days.append((day, judged))
        if progress is not None:
            progress(len(by_days), len(days))
    if final is not None:
        by_days.append((days[-1], final))
    return Cleared(_since(by_days), [figures_of(day, judged) for day, judged in by_days])


def _since(by_days: Sequence[tuple[int, Judged]]) -> npt.NDArray[np.int64]:
    """Of each parcel the first day from which on the verdict was the last one; -1 where nothing can be said."""
    verdict = by_days[-1][1].verdict
    since = np.full(len(verdict), -1, np.int64)
    is_same = verdict != CANNOT_SAY
    for day, judged in reversed(by_days):
        is_same &= judged.verdict == verdict
        since[is_same] = day
    return since


def figures_of(day: int, judged: Judged) -> dict[str, Any]:
    """How good the verdicts by a day were."""
    return {"day": EPOCH + timedelta(day), **{name: judged.figures.get(name) for name in FIGURES}}
