"""Whether the declared crop grows on each parcel: models, promise and verdicts, on arrays."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from cbm_lake.crops import features, figures
from cbm_lake.crops.evidence import Evidence, gather
from cbm_lake.crops.features import Floats, Ints, Objects, Season
from cbm_lake.crops.settings import Settings
from cbm_lake.crops.verdicts import reasons_against_all, verdicts

log = logging.getLogger(__name__)


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
    """Per parcel the groups of the prediction set, the most likely first; of an empty one, the most likely group."""
    probability: list[list[float]]
    """Per parcel the models' probability of each of these."""
    verdict: Objects
    """(n,) agrees, disagrees or cannot say."""
    reason: Objects
    """(n,) why, in words."""
    rank: Ints
    """(n,) 1 is the least plausible declaration; 0 where nothing was predicted."""
    fold: Ints
    """(n,) the fold of the parcel, which its model did not see; -1 where nothing was predicted."""
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
    features.check(season)
    order = np.argsort(np.array(season.pids.to_pylist(), dtype=object), kind="stable").astype(np.int64)
    evidence = gather(season.at(order), settings)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    judged = _judged(season.pids, evidence, settings, back)
    for warning in judged.figures["warnings"]:  # type: ignore[attr-defined]
        log.warning("%s", warning)
    return judged


def _judged(pids: pa.Array, evidence: Evidence, settings: Settings, back: Ints) -> Judged:
    verdict, reason = verdicts(evidence, settings)
    likely = _likely(evidence, settings)
    group = evidence.cells.group
    names, sizes = np.array([*evidence.cells.names, None], object), np.array(evidence.cells.size_names, object)
    declared = np.full(len(group), np.nan)
    declared[evidence.judged] = evidence.p_value[evidence.judged, group[evidence.judged]]
    return Judged(
        pids,
        names[group][back],
        sizes[evidence.cells.size][back],
        declared[back],
        [likely[row][0] for row in back],
        [likely[row][1] for row in back],
        verdict[back],
        reason[back],
        _rank(evidence)[back],
        np.where(evidence.predicted.done, evidence.folds.fold, -1)[back],
        evidence.cells.group_of,
        figures.figures(evidence, settings, verdict, reasons_against_all(evidence)),
    )


def _rank(evidence: Evidence) -> Ints:
    rank = np.zeros(len(evidence.crop), np.int64)
    rows = np.flatnonzero(evidence.judged)
    rank[rows[np.argsort(evidence.scores[rows, evidence.crop[rows]], kind="stable")]] = np.arange(1, len(rows) + 1)
    return rank


def _likely(evidence: Evidence, settings: Settings) -> list[tuple[list[str], list[float]]]:
    """Per parcel the groups of the prediction set and their probabilities."""
    inside = evidence.p_value > settings.alpha
    order = np.argsort(-evidence.probability, axis=1, kind="stable")
    lists: list[tuple[list[str], list[float]]] = []
    for row in range(len(order)):
        if not evidence.predicted.done[row]:
            lists.append(([], []))
            continue
        selected = [number for number in order[row] if inside[row, number]] or [order[row][0]]
        names = [evidence.cells.names[number] for number in selected]
        lists.append((names, [round(float(evidence.probability[row, number]), 4) for number in selected]))
    return lists


def judge_by_day(season: Season, settings: Settings | None, days: Sequence[int]) -> Iterator[tuple[int, Judged]]:
    """The verdicts with what is seen until each of several days (since 1970-01-01), by the same folds and groups.

    Groups are those of the whole season: before its end crops are alike that are not later.
    """
    settings = settings or Settings()
    if settings.groups is None:
        settings = settings.model_copy(update={"groups": judge(season, settings).group_of})
    for day in sorted(days):
        yield day, judge(season.until(day), settings)
