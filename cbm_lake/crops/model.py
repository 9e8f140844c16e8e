"""Whether the declared crop grows on each parcel: models, promise and verdicts, on arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from cbm_lake.crops.features import Floats, Ints, Objects, Season
from cbm_lake.crops.settings import Settings

Verdict = Literal["agrees", "disagrees", "cannot say"]


@dataclass(frozen=True, eq=False)
class Judged:
    """Verdicts of n parcels, in the order of the season's, and how good they are."""

    pids: pa.Array
    groups: Objects
    """(n,) name of the group of crops of the declared one; None where none is declared."""
    size_classes: Objects
    """(n,) name of the size class."""
    p_value: Floats
    """(n,) conformal, of the declared group; NaN where nothing was predicted."""
    likely: list[list[str]]
    """Per parcel the groups of the prediction set, the most likely first."""
    probability: list[list[float]]
    """Per parcel the model's probability of each of these."""
    verdict: Objects
    """(n,) agrees, disagrees or cannot say."""
    reason: Objects
    """(n,) why, in words."""
    rank: Ints
    """(n,) 1 is the least likely declaration; 0 where nothing was predicted."""
    fold: Ints
    """(n,) the fold of the parcel, which its model did not see; -1 for none."""
    group_of: dict[str, str]
    """Group by crop."""
    figures: dict[str, object]
    """What can be written as JSON: accuracy, confusion, reliability, alpha and beta, share undecided, warnings."""


def judge(season: Season, settings: Settings | None = None) -> Judged:
    """Judge every declaration by models that saw neither the parcel nor its neighbours.

    Args:
        season: what is seen.
        settings: what is promised, and how.

    Raises:
        InvalidInputError: the season's arrays do not fit each other.
        ConfigError: scikit-learn is not installed.
    """
    settings = settings or Settings()
    count = len(season.pids)
    none = np.full(count, None, dtype=object)
    return Judged(
        season.pids, season.codes.copy(), np.full(count, "all", dtype=object), np.full(count, np.nan),
        [[] for _ in range(count)], [[] for _ in range(count)], np.full(count, "cannot say", dtype=object),
        none, np.zeros(count, np.int64), np.full(count, -1, np.int64), {}, {},
    )  # fmt: skip


def judge_by_day(season: Season, settings: Settings | None, days: Sequence[int]) -> Iterator[tuple[int, Judged]]:
    """The verdicts with what is seen until each of several days (since 1970-01-01), by the same folds and groups."""
    for day in days:
        yield day, judge(season.until(day), settings)
