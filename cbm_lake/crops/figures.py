"""How good a crop check is: accuracy, confusion, reliability, errors by group and size, what is undecided."""

from __future__ import annotations

from typing import Final

import numpy as np

from cbm_lake.crops.evidence import Evidence
from cbm_lake.crops.features import Objects
from cbm_lake.crops.settings import Settings
from cbm_lake.crops.verdicts import CANNOT_SAY, DISAGREES, VERDICTS
from cbm_lake.errors import counted

BINS: Final = 10
"""Of the reliability curve, of equal width."""


def figures(evidence: Evidence, settings: Settings, verdict: Objects, against: str | None) -> dict[str, object]:
    """The figures of a check, as can be written as JSON.

    Args:
        evidence: of the parcels.
        settings: of the check.
        verdict: (n,)
        against: why no parcel could be judged.
    """
    rows, total = np.flatnonzero(evidence.judged), max(len(verdict), 1)
    counts = {name: int((verdict == name).sum()) for name in VERDICTS}
    crop = evidence.predicted.together[rows].argmax(axis=1) if len(rows) else np.zeros(0, np.int64)
    group = evidence.probability[rows].argmax(axis=1) if len(rows) else np.zeros(0, np.int64)
    return {
        "parcels": len(verdict),
        "judged": len(rows),
        "verdicts": counts,
        "undecided": counts[CANNOT_SAY] / total,
        "accuracy": _share(crop == evidence.crop[rows]),
        "accuracy_of_groups": _share(group == evidence.cells.group[rows]),
        "promise": settings.promise,
        "alpha": settings.alpha,
        "wrong_share": round(evidence.suspicion.mixture.estimate, 5),
        "wrong_share_at_least": round(evidence.suspicion.mixture.wrong, 5),
        "folds": evidence.folds.count,
        "blocks": evidence.folds.blocks,
        "block_m": evidence.folds.side_m,
        "groups": evidence.cells.names,
        "confusion": _confusion(evidence),
        "reliability": _reliability(evidence),
        "cells": _cells(evidence, settings, verdict),
        "warnings": _warnings(evidence, settings, against, counts["disagrees"]),
    }


def _share(values: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
    return round(float(values.mean()), 5) if len(values) else None


def _confusion(evidence: Evidence) -> list[list[int]]:
    """Parcels by declared (rows) and likeliest group (columns)."""
    rows, count = np.flatnonzero(evidence.judged), len(evidence.cells.names)
    table = np.zeros((count, count), np.int64)
    if len(rows):
        np.add.at(table, (evidence.cells.group[rows], evidence.probability[rows].argmax(axis=1)), 1)
    return [[int(number) for number in row] for row in table]


def _reliability(evidence: Evidence) -> list[dict[str, float]]:
    """By probability of the likeliest group: its mean, how often it is the declared one, and how many parcels."""
    rows = np.flatnonzero(evidence.judged)
    if not len(rows):
        return []
    top, right = evidence.probability[rows].max(axis=1), evidence.probability[rows].argmax(axis=1)
    right = right == evidence.cells.group[rows]
    number = np.clip((top * BINS).astype(int), 0, BINS - 1)
    return [
        {
            "predicted": round(float(top[number == one].mean()), 4),
            "declared": round(float(right[number == one].mean()), 4),
            "parcels": int((number == one).sum()),
        }
        for one in np.unique(number)
    ]


def _cells(evidence: Evidence, settings: Settings, verdict: Objects) -> list[dict[str, object]]:
    """Per crop group and size class: parcels, how many calibrate it, verdicts, alpha and beta as they are estimated.

    alpha is the expected share of the correctly declared parcels that are accused; beta, of parcels of other groups
    (drawn by their frequency) that are planted there, the share whose p-value does not fall to the promised error.
    """
    cells = []
    weight = np.bincount(evidence.cells.group[evidence.judged], minlength=len(evidence.cells.names))
    for group, name in enumerate(evidence.cells.names):
        others = evidence.judged & (evidence.cells.group != group)
        for size in np.unique(evidence.cells.size[evidence.cells.group == group]):
            rows = evidence.judged & (evidence.cells.group == group) & (evidence.cells.size == size)
            planted = others & (evidence.cells.size == size)
            correct = 1 - evidence.suspicion.wrong[rows]
            wrongly = correct[verdict[rows] == DISAGREES].sum()
            missed = evidence.p_value[planted, group] > settings.alpha
            cells.append(
                {
                    "group": name,
                    "size_class": evidence.cells.size_names[size],
                    "parcels": int(rows.sum()),
                    "calibrating": int(evidence.calibrating[group, size]) if weight[group] else 0,
                    DISAGREES: int((verdict[rows] == DISAGREES).sum()),
                    CANNOT_SAY: int((verdict[rows] == CANNOT_SAY).sum()),
                    "alpha": round(float(wrongly / correct.sum()), 5) if correct.sum() else None,
                    "beta": _share(missed),
                }
            )
    return cells


def _warnings(evidence: Evidence, settings: Settings, against: str | None, disagrees: int) -> list[str]:
    """What a user must know before he reads a verdict."""
    if against is not None:
        return [f"no parcel is judged: {against}"]
    warnings = []
    percent = f"{settings.alpha * 100:g} %"
    few = [
        name
        for number, name in enumerate(evidence.cells.names)
        if evidence.calibrating[number].max(initial=0) + 1 < 1 / settings.alpha
    ]
    if few:
        warnings.append(f"too few parcels for {percent}: {', '.join(few)}; these are not judged")
    if evidence.folds.side_m < settings.block_m:
        warnings.append(f"blocks of {evidence.folds.side_m:,.0f} m, because the parcels lie close together")
    doubtful = int(evidence.suspicion.doubtful.sum())
    if doubtful and settings.promise == "accusations":
        where = ", ".join(evidence.suspicion.doubts)
        warnings.append(
            f"among {counted(doubtful, 'parcel')} (by {where}) more look wrong than wrong declarations explain, so "
            f"that {percent} cannot be promised there; none of them is accused, see the ranking"
        )
    if not disagrees:
        why = "too few parcels, or crops too much alike"
        warnings.append(f"none disagrees: {why}, for a promise of {percent}; see the ranking")
    return warnings
