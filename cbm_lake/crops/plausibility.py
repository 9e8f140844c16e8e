"""How much more a parcel looks like one that is declared as a crop than like one that is declared so by mistake.

The models' probabilities are not comparable between crops: of a crop that is hard to recognise, or of which there are
few parcels, they are low for correct declarations too. So a second model learns, from wrong declarations that are
planted (each parcel is offered as other crops, drawn by their frequency), what the probabilities of a wrong declaration
look like beside those that were made: stacking (Wolpert 1992) with a contrast as in noise-contrastive estimation
(Gutmann & Hyvärinen 2010). Its log odds are an estimate of log p(x | declared as c) / p(x | another crop).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.features import Bools, Ints
from cbm_lake.crops.folds import Folds
from cbm_lake.crops.groups import related
from cbm_lake.crops.learning import Matrix, Predicted
from cbm_lake.errors import of_extra

SMALL: Final = np.float32(5e-3)
"""Added to shares and probabilities before their ratio."""
PLANTED: Final = 10
"""Wrong declarations that are planted per parcel."""
MOST: Final = 20_000
"""Parcels from which the second model learns."""
CHUNK: Final = 5_000


@dataclass(frozen=True, eq=False)
class Contrast:
    """What the second model learns from: declared crops and planted ones."""

    predicted: Predicted
    classes: Ints
    """(n,) class of the declared crop, -1 for none."""
    folds: Folds
    share: npt.NDArray[np.float32]
    """(classes,) of the declarations."""
    parents: list[npt.NDArray[np.float32]]
    """Per level of the hierarchy (classes, parents): 1 where a class is below the parent."""

    def rows(self) -> Ints:
        """Parcels that were predicted and have a declared crop."""
        return np.flatnonzero(self.predicted.done & (self.classes >= 0))


def plausibility(predicted: Predicted, classes: Ints, names: Sequence[str], folds: Folds, seed: int) -> Matrix:
    """Log odds of every crop for every parcel, by a model that saw no parcel of its fold.

    Args:
        predicted: probabilities by the models.
        classes: (n,) class of the declared crop, -1 for none.
        names: of the classes.
        folds: of the parcels.
        seed: of what is planted.

    Returns:
        (n, classes) float32; NaN where nothing was predicted.
    """
    share = np.bincount(classes[classes >= 0], minlength=len(names)) / max((classes >= 0).sum(), 1)
    contrast = Contrast(predicted, classes, folds, share.astype(np.float32), _hierarchy(names))
    scores = np.full((len(classes), len(names)), np.nan, np.float32)
    if len(np.unique(classes[contrast.rows()])) < 2:
        return scores
    parcels, crops, declared = _pairs(contrast, np.random.default_rng([seed, 4]))
    numbers = _numbers_of_pairs(contrast, parcels, crops)
    usual = {number: _usual(contrast, number) for number in range(folds.count)}
    for number in range(folds.count):
        learned = folds.fold[parcels] != number
        if len(np.unique(declared[learned])) < 2:
            continue
        of_crop = usual[number]
        rows = np.concatenate([numbers[learned], of_crop[crops[learned]]], axis=1)
        weight, constant = _fit(rows, declared[learned], seed)
        split = numbers.shape[1]
        base = of_crop @ weight[split:] + constant
        for start, planes in _planes(contrast, np.flatnonzero((folds.fold == number) & predicted.done)):
            scores[start] = planes @ weight[:split] + base
    return scores


def _hierarchy(names: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """Levels of parents at which some classes are together, from the nearest."""
    levels = []
    for level in range(3):
        parents = [(related(name) or [name] * 3)[min(level, len(related(name) or [0] * 3) - 1)] for name in names]
        _, number = np.unique(np.array(parents, dtype=object).astype(str), return_inverse=True)
        if number.max(initial=-1) + 1 < len(names):
            levels.append(np.eye(number.max() + 1, dtype=np.float32)[number])
    return levels


def _pairs(contrast: Contrast, luck: np.random.Generator) -> tuple[Ints, Ints, Bools]:
    """Parcels, crops, and whether it is the declared one or was planted."""
    rows = contrast.rows()
    if len(rows) > MOST:
        rows = np.sort(luck.choice(rows, MOST, replace=False))
    planted = np.repeat(rows, PLANTED)
    crops = contrast.classes[contrast.rows()][luck.integers(len(contrast.rows()), size=len(planted))]
    wrong = crops != contrast.classes[planted]
    parcels = np.concatenate([rows, planted[wrong]])
    return (
        parcels,
        np.concatenate([contrast.classes[rows], crops[wrong]]),
        np.arange(len(parcels)) < len(rows),
    )


def _numbers(contrast: Contrast, rows: Ints) -> Matrix:
    """What is known of the probabilities of some parcels: (m, classes, numbers)."""
    share = contrast.share + SMALL
    together = contrast.predicted.together[rows]
    planes = []
    for probability in (*(one[rows] for one in contrast.predicted.by_model), together):
        planes.append(np.log((probability + SMALL) / share))
        planes.append(np.log((probability + SMALL) / (probability.max(axis=1, keepdims=True) + SMALL)))
    planes += [_ranks(together), _ranks(together / share)]
    for members in contrast.parents:
        odds = np.log((together @ members + SMALL) / (contrast.share @ members + SMALL))
        planes.append(odds @ members.T)
    return np.stack(planes, axis=2)


def _ranks(values: Matrix) -> Matrix:
    """How many classes have greater values: 0 for the greatest; on a logarithmic scale."""
    order = np.argsort(np.argsort(-values, axis=1, kind="stable"), axis=1, kind="stable")
    return np.log1p(order).astype(np.float32)


def _planes(contrast: Contrast, rows: Ints) -> Iterator[tuple[Ints, Matrix]]:
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        yield chunk, _numbers(contrast, chunk)


def _numbers_of_pairs(contrast: Contrast, parcels: Ints, crops: Ints) -> Matrix:
    """The numbers of pairs of a parcel and a crop: (pairs, numbers)."""
    order = np.argsort(parcels, kind="stable")
    parts = []
    for chunk, planes in _planes(contrast, np.unique(parcels)):
        pairs = order[np.searchsorted(parcels[order], chunk[0]) : np.searchsorted(parcels[order], chunk[-1], "right")]
        parts.append(planes[np.searchsorted(chunk, parcels[pairs]), crops[pairs]])
    numbers = np.concatenate(parts)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return numbers[back]


def _usual(contrast: Contrast, number: int) -> Matrix:
    """What is usual of each crop in the other folds: (classes, 2), the mean log ratio of its own parcels, log count."""
    rows = contrast.rows()
    rows = rows[contrast.folds.fold[rows] != number]
    own = contrast.classes[rows]
    ratio = np.log((contrast.predicted.together[rows, own] + SMALL) / (contrast.share[own] + SMALL))
    count = np.bincount(own, minlength=len(contrast.share))
    total = np.bincount(own, weights=ratio, minlength=len(contrast.share))
    return np.stack([total / (count + 1), np.log1p(count)], axis=1).astype(np.float32)


def _fit(numbers: Matrix, declared: Bools, seed: int) -> tuple[Matrix, np.float32]:
    """Logistic regression: the weight of each number, and the constant."""
    with of_extra("crops", "the crop check"):
        from sklearn.linear_model import LogisticRegression

    mean, spread = numbers.mean(axis=0), numbers.std(axis=0) + np.float32(1e-6)
    balance = np.where(declared, 1.0, declared.sum() / max((~declared).sum(), 1))
    model: Any = LogisticRegression(C=0.1, max_iter=500, random_state=seed)
    model.fit((numbers - mean) / spread, declared, sample_weight=balance)
    weight = (model.coef_[0] / spread).astype(np.float32)
    return weight, np.float32(model.intercept_[0] - mean @ weight)
