"""What the models say of the parcels of a season: cross-predicted probabilities, plausibility, groups and p-values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from cbm_lake.crops import conformal, groups
from cbm_lake.crops.assumption import Suspicion, suspicion
from cbm_lake.crops.features import Bools, Features, Floats, Ints, Season, features, through_gaps
from cbm_lake.crops.folds import Folds, folds_of
from cbm_lake.crops.learning import Hidden, Matrix, Predicted, cross_predict
from cbm_lake.crops.plausibility import plausibility
from cbm_lake.crops.settings import Settings

DEALINGS: Final = 3
"""How often the blocks of a set of at most `MANY` parcels are dealt to folds: what is said of a parcel is the mean of
models of which none saw it."""
MANY: Final = 4_000
HIDDEN: Final = 8_000
"""Parcels that are learned from once more, as they would look through the gaps of others, at most."""
SURE: Final = 4.0
"""Standard errors by which the accuracy must be above that of guessing."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Crop groups and size classes of n parcels."""

    names: list[str]
    """Of the groups."""
    group: Ints
    """(n,) of the declared crop, -1 for none."""
    members: list[Ints]
    """Per group its classes."""
    size: Ints
    """(n,)"""
    size_names: list[str]
    group_of: dict[str, str]
    """Group by crop."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Everything from which verdicts follow."""

    numbers: int
    """How many features tell parcels apart."""
    crops: list[str]
    """The declared crops."""
    crop: Ints
    """(n,) of each parcel, -1 for none."""
    seen: Bools
    """(n,) enough is seen of it."""
    folds: Folds
    predicted: Predicted
    scores: Matrix
    """(n, crops) plausibility; NaN where nothing was predicted."""
    cells: Cells
    by_group: Matrix
    """(n, groups) plausibility of the group: of its most plausible crop."""
    probability: Matrix
    """(n, groups)"""
    p_value: Floats
    """(n, groups)"""
    agreement: Floats
    """(n,) p-value of the declared group against parcels of other groups."""
    calibrating: Ints
    """(groups, sizes) parcels by which a cell is calibrated."""
    suspicion: Suspicion
    better_than_chance: bool

    @property
    def judged(self) -> Bools:
        """(n,) parcels with a declared crop and a prediction."""
        return self.predicted.done & (self.crop >= 0)


def gather(season: Season, settings: Settings) -> Evidence:
    """Predict, and compare with what is declared. Results depend on the order of the parcels: sort them first."""
    numbers, hidden = _numbers(season, settings)
    crops, crop = groups.texts(season.codes)
    folds = folds_of(season.x, season.y, settings)
    predicted, scores = _predicted(season, settings, numbers, hidden, crops, crop)
    cells = _cells(season, settings, crops, crop, predicted)
    by_group = _by_group(scores, cells.members, np.max)
    fewest = int(np.ceil(1 / settings.alpha))
    usable = predicted.done & (cells.group >= 0)
    cell, calibrating = conformal.cells_of(cells.group, cells.size, usable, fewest, len(cells.names))
    p_value = conformal.p_values(by_group, cells.group, cells.size, usable, predicted.done, cell)
    agreement = conformal.agreement(by_group, cells.group, cells.size, usable)
    probability = _by_group(predicted.together, cells.members, np.sum) if crops else predicted.together
    suspected = suspicion(season, by_group, probability, cells.group, usable, settings)
    return Evidence(
        len(numbers.names),
        crops,
        crop,
        numbers.seen,
        folds,
        predicted,
        scores,
        cells,
        by_group,
        probability,
        p_value,
        agreement,
        calibrating,
        suspected,
        _beats_chance(predicted.together, crop, usable),
    )


def _numbers(season: Season, settings: Settings) -> tuple[Features, Hidden]:
    """The numbers of the parcels, and of some as they would look through the gaps of others."""
    count = len(season.pids)
    luck = np.random.default_rng([settings.seed, 8])
    rows, others = np.sort(luck.permutation(count)[:HIDDEN]), luck.integers(max(count, 1), size=min(count, HIDDEN))
    both = features(season, through_gaps(season, rows, others))
    enough = both.seen[count:]
    hidden = Hidden(rows[enough], both.matrix[count:][enough])
    return Features(both.matrix[:count], both.names, both.seen[:count]), hidden


def _predicted(
    season: Season, settings: Settings, numbers: Features, hidden: Hidden, crops: Sequence[str], crop: Ints
) -> tuple[Predicted, Matrix]:
    """Probabilities and plausibility, by models of several dealings of the blocks where there are few parcels."""
    by_model, scores, done = [], [], numbers.seen.copy()
    for dealing in range(DEALINGS if len(crop) <= MANY else 1):
        folds = folds_of(season.x, season.y, settings, dealing)
        one = cross_predict(numbers.matrix, hidden, crop, numbers.seen, folds, season.x, season.y, settings)
        scores.append(plausibility(one, crop, crops, folds, settings.seed))
        by_model += one.by_model
        done &= one.done & np.isfinite(scores[-1]).all(axis=1)
    return Predicted(by_model, done), np.asarray(sum(scores) / np.float32(len(scores)), np.float32)


def _cells(season: Season, settings: Settings, crops: Sequence[str], crop: Ints, predicted: Predicted) -> Cells:
    count = np.bincount(crop[crop >= 0], minlength=len(crops))
    counts = {name: int(count[number]) for number, name in enumerate(crops)}
    group_of: Mapping[str, str] = groups.join_rare(counts, settings.min_parcels)
    if settings.groups is None:
        group_of = groups.merge_confused(
            group_of, crops, predicted.together, crop, predicted.done & (crop >= 0), settings.seed
        )
    else:
        group_of = {name: settings.groups.get(name, group_of[name]) for name in crops}
    names = sorted(set(group_of.values()))
    of_crop = np.array([names.index(group_of[name]) for name in crops], np.int64)
    members = [np.flatnonzero(of_crop == number) for number in range(len(names))]
    group = np.where(crop >= 0, of_crop[crop], -1) if len(crops) else np.full(len(crop), -1, np.int64)
    size, size_names = groups.size_classes(season.area_m2, settings.size_limits_m2)
    return Cells(names, group, members, size, size_names, dict(group_of))


def _by_group(values: Matrix, members: Sequence[Ints], reduce: Callable[..., Matrix]) -> Matrix:
    """(n, crops) to (n, groups)."""
    columns = [reduce(values[:, crops], axis=1) for crops in members]
    return np.stack(columns, axis=1) if columns else np.zeros((len(values), 0), np.float32)


def _beats_chance(together: Matrix, crop: Ints, usable: Bools) -> bool:
    """Whether the models' crop is the declared one more often than if the two had nothing to do with each other."""
    if not usable.any():
        return False
    guess, declared = together[usable].argmax(axis=1), crop[usable]
    count = together.shape[1]
    by_luck = float(np.bincount(guess, minlength=count) @ np.bincount(declared, minlength=count)) / len(guess) ** 2
    error = np.sqrt(max(by_luck * (1 - by_luck), 1e-9) / len(guess))
    return bool((guess == declared).mean() > by_luck + SURE * error)
