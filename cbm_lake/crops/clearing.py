"""From when on each verdict was the same, and how good the verdicts were by each day of the season."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.calendar import STEP
from cbm_lake.crops.features import Season
from cbm_lake.crops.model import Judged, judge_by_day
from cbm_lake.crops.settings import Settings
from cbm_lake.markers.groups import EPOCH

CANNOT_SAY: Final = "cannot say"
_EVERY: Final = 3
"""Steps from one tried day to the next: a month."""
_LEAST: Final = 3
"""Steps of the calendar before the first tried day."""


@dataclass(frozen=True, eq=False)
class Cleared:
    """What each tried day said."""

    since: npt.NDArray[np.int64]
    """Of each parcel the first tried day (since 1970-01-01) from which on the verdict was the last one; -1 for none."""
    by_day: list[dict[str, Any]]
    """Of each tried day: day, accuracy, undecided (share of parcels)."""


def tried(season: Season, last: int) -> list[int]:
    """The days by which a season is judged: the end of every third step, and the last day."""
    ends = season.days + (STEP - STEP // 2 - 1)
    return [*map(int, ends[_LEAST - 1 :: _EVERY][ends[_LEAST - 1 :: _EVERY] < last]), last]


def by_day(
    season: Season,
    settings: Settings,
    days: Sequence[int],
    final: Judged | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Cleared:
    """Judge a season by several days.

    Args:
        season: up to the last day.
        settings: of all checks.
        days: ascending, since 1970-01-01; the last one is that of the season.
        final: the verdicts by the last day, where they are there already.
        progress: called after each day.
    """
    earlier = days[:-1] if final is not None else days
    since = np.full(len(season.pids), -1, np.int64)
    verdicts: list[npt.NDArray[np.object_]] = []
    figures = []
    for number, (day, judged) in enumerate(judge_by_day(season, settings, earlier)):
        verdicts.append(judged.verdict)
        figures.append(figures_of(day, judged))
        if progress is not None:
            progress(number + 1, len(days))
    if final is not None:
        verdicts.append(final.verdict)
        figures.append(figures_of(days[-1], final))
    is_same = np.ones(len(since), bool)
    for day, verdict in zip(reversed(days), reversed(verdicts), strict=True):
        is_same &= verdict == verdicts[-1]
        since[is_same] = day
    since[verdicts[-1] == CANNOT_SAY] = -1
    return Cleared(since, figures)


def figures_of(day: int, judged: Judged) -> dict[str, Any]:
    """How good the verdicts by a day were."""
    return {
        "day": EPOCH + timedelta(day),
        "accuracy": judged.figures.get("accuracy"),
        "undecided": float(np.mean(judged.verdict == CANNOT_SAY)),
    }
