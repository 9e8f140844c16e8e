"""What the models say of the parcels of a season: cross-predicted probabilities, plausibility, groups and p-values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops import accusations, conformal, groups
from cbm_lake.crops.features import Bools, Floats, Ints, Season, features
from cbm_lake.crops.folds import Folds, folds_of
from cbm_lake.crops.learning import Matrix, Predicted, cross_predict
from cbm_lake.crops.plausibility import plausibility
from cbm_lake.crops.settings import Settings

PLANTED: Final = 5
"""Groups as which each parcel is planted, to learn what wrong declarations look like."""
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
    wrong: npt.NDArray[np.float64]
    """(n,) probability that the declaration is wrong; NaN where nothing was predicted."""
    mixture: accusations.Mixture
    better_than_chance: bool

    @property
    def judged(self) -> Bools:
        """(n,) parcels with a declared crop and a prediction."""
        return self.predicted.done & (self.crop >= 0)


def gather(season: Season, settings: Settings) -> Evidence:
    """Predict, and compare with what is declared. Results depend on the order of the parcels: sort them first."""
    numbers = features(season)
    crops, crop = groups.texts(season.codes)
    folds = folds_of(season.x, season.y, settings)
    predicted = cross_predict(numbers.matrix, crop, numbers.seen, folds, season.x, season.y, settings)
    scores = plausibility(predicted, crop, crops, folds, settings.seed)
    predicted.done[~np.isfinite(scores).all(axis=1)] = False
    cells = _cells(season, settings, crops, crop, predicted)
    by_group = _by_group(scores, cells.members, np.max)
    fewest = int(np.ceil(1 / settings.alpha))
    usable = predicted.done & (cells.group >= 0)
    cell, calibrating = conformal.cells_of(cells.group, cells.size, usable, fewest, len(cells.names))
    p_value = conformal.p_values(by_group, cells.group, cells.size, usable, predicted.done, cell)
    agreement = conformal.agreement(by_group, cells.group, cells.size, usable)
    mixture, wrong = _wrong(by_group, cells.group, usable, settings)
    probability = _by_group(predicted.together, cells.members, np.sum) if crops else predicted.together
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
        wrong,
        mixture,
        _beats_chance(predicted.together, crop, usable),
    )


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


def _wrong(
    by_group: Matrix, group: Ints, usable: Bools, settings: Settings
) -> tuple[accusations.Mixture, npt.NDArray[np.float64]]:
    """The mixture of right and wrong declarations, and the probability that each is wrong."""
    wrong = np.where(usable, 0.0, np.nan)
    rows = np.flatnonzero(usable)
    luck = np.random.default_rng([settings.seed, 5])
    if len(rows) > accusations.MOST:
        rows = np.sort(luck.choice(rows, accusations.MOST, replace=False))
    share = np.bincount(group[usable], minlength=by_group.shape[1])
    if not len(rows) or (share > 0).sum() < 2:
        return accusations.Mixture(0, 0, 0, 1), wrong
    planted = luck.choice(len(share), size=(len(rows), PLANTED), p=share / share.sum())
    other = planted != group[rows, None]
    declared = by_group[rows, group[rows]]
    mixture = accusations.fit(declared, np.take_along_axis(by_group[rows], planted, 1)[other], settings.wrong_share)
    wrong[usable] = mixture.wrong_probability(by_group[usable, group[usable]])
    return mixture, wrong


def _beats_chance(together: Matrix, crop: Ints, usable: Bools) -> bool:
    """Whether the models' crop is the declared one more often than if the two had nothing to do with each other."""
    if not usable.any():
        return False
    guess, declared = together[usable].argmax(axis=1), crop[usable]
    count = together.shape[1]
    by_luck = float(np.bincount(guess, minlength=count) @ np.bincount(declared, minlength=count)) / len(guess) ** 2
    error = np.sqrt(max(by_luck * (1 - by_luck), 1e-9) / len(guess))
    return bool((guess == declared).mean() > by_luck + SURE * error)
