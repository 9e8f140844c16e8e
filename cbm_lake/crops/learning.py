"""Probabilities of crops, cross-predicted: those of a fold by models that learned from the other folds."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from cbm_lake.crops.features import Bools, Floats, Ints
from cbm_lake.crops.folds import Folds, training
from cbm_lake.crops.settings import Settings
from cbm_lake.errors import of_extra

MOST: Final = 8_000
"""Parcels from which the models of one fold learn: of each crop its share, but at least `LEAST` where it has them."""
LEAST: Final = 20
FEWEST: Final = 3
"""A crop of fewer parcels is not learned: it cannot be recognised, and would only draw others to it."""
TREES: Final = 100
"""Per fold and dealing."""
COMPONENTS: Final = 60
"""Principal components from which the models that are not trees learn."""
SHRINKAGE: Final = 0.3
"""Of the covariance of the linear discriminant towards a multiple of the identity (Friedman 1989)."""
TEMPERATURE: Final = 2.0
"""By which the log odds of the linear discriminant are divided: with few parcels it is too sure of itself."""
CHUNK: Final = 20_000
"""Parcels that are predicted at once."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Hidden:
    """Some parcels once more, as they would look through the gaps of others."""

    rows: Ints
    """(m,) their positions."""
    matrix: Matrix
    """(m, p) features."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """Probabilities by several models that know nothing of each other's."""

    by_model: list[Matrix]
    """Each (n, classes); all 0 where nothing was predicted."""
    done: Bools
    """(n,)"""

    @property
    def together(self) -> Matrix:
        """The normalised geometric mean of the models' probabilities (n, classes)."""
        log = sum(np.log(one + FLOOR) for one in self.by_model) / len(self.by_model)
        mean = np.exp(log)
        return np.asarray(mean / mean.sum(axis=1, keepdims=True), np.float32)


FLOOR: Final = np.float32(3e-3)
"""Added to a probability before its logarithm, so that no single model can rule a crop out."""


def cross_predict(
    matrix: Matrix,
    hidden: Hidden,
    classes: Ints,
    usable: Bools,
    folds: Folds,
    x: Floats,
    y: Floats,
    settings: Settings,
) -> Predicted:
    """Predict the probability of each class for each parcel by models of the other folds.

    Args:
        matrix: (n, p) features.
        hidden: from which is learned too, so that what is not seen is no evidence of another crop.
        classes: (n,) number of the declared crop from 0 on; -1 for none: predicted, but not learned from.
        usable: (n,) parcels of which enough is seen.
        folds: of the parcels.
        x, y: (n,) metres.
        settings: seed, buffer, threads.
    """
    with of_extra("crops", "the crop check"):
        import sklearn  # noqa: F401 - brings threadpoolctl
        from threadpoolctl import threadpool_limits

    count = int(classes.max(initial=-1)) + 1
    learned = usable & (np.bincount(classes + 1, minlength=count + 1)[classes + 1] >= FEWEST) & (classes >= 0)
    by_model = [np.zeros((len(classes), count), np.float32) for _ in MODELS]
    done = np.zeros(len(classes), bool)

    def one(number: int, make: Callable[[int, int, int], Any], into: Matrix) -> None:
        rows = np.flatnonzero(training(folds, number, x, y, settings.buffer_m) & learned)
        targets = np.flatnonzero((folds.fold == number) & usable)
        if not matrix.shape[1] or not len(targets) or not 2 <= len(np.unique(classes[rows])) <= len(rows) / 2:
            return
        luck = np.random.default_rng([settings.seed, 2, number])
        again = np.flatnonzero(np.isin(hidden.rows, rows))
        again = np.sort(luck.permutation(again)[: MOST // 2])
        rows = _sample(rows, classes, luck)
        seen = np.concatenate([matrix[rows], hidden.matrix[again]])
        of = np.concatenate([classes[rows], classes[hidden.rows[again]]])
        model = make(settings.seed, len(of), matrix.shape[1]).fit(seen, of)
        for start in range(0, len(targets), CHUNK):
            chunk = targets[start : start + CHUNK]
            into[np.ix_(chunk, model.classes_)] = model.predict_proba(matrix[chunk])
        done[targets] = True

    jobs = [(number, make, into) for make, into in zip(MODELS, by_model, strict=True) for number in range(folds.count)]
    with threadpool_limits(1), ThreadPoolExecutor(settings.threads or os.cpu_count()) as pool:
        trees = [pool.submit(one, *job) for job in jobs if job[1] is Trees]
        for job in jobs:
            if job[1] is not Trees:  # these change the filters of warnings, which all threads share
                one(*job)
        for submitted in trees:
            submitted.result()
    return Predicted(by_model, done)


def _sample(rows: Ints, classes: Ints, luck: np.random.Generator) -> Ints:
    """At most about `MOST` rows, of each class in proportion, but at least `LEAST`."""
    if len(rows) <= MOST:
        return rows
    order = rows[luck.permutation(len(rows))]
    order = order[np.argsort(classes[order], kind="stable")]
    _, first, count = np.unique(classes[order], return_index=True, return_counts=True)
    share = np.maximum(np.ceil(count * MOST / len(rows)), LEAST)
    rank = np.arange(len(order)) - np.repeat(first, count)
    return np.asarray(np.sort(order[rank < np.repeat(share, count)]))


class Trees:
    """Extremely randomised trees (Geurts et al. 2006), which may learn in several threads at once."""

    classes_: Ints

    def __init__(self, seed: int, *_: int) -> None:
        self.seeds = np.random.default_rng([seed, 6]).integers(2**31, size=TREES)
        self.trees: list[Any] = []

    def fit(self, matrix: Matrix, classes: Ints) -> Trees:
        """Learn from all rows, (n, p) and (n,)."""
        from sklearn.tree import ExtraTreeClassifier

        self.classes_ = np.unique(classes)
        self.trees = [
            ExtraTreeClassifier(max_features=0.1, random_state=int(seed)).fit(matrix, classes) for seed in self.seeds
        ]
        return self

    def predict_proba(self, matrix: Matrix) -> Matrix:
        """The mean of the trees' shares (n, classes)."""
        total = np.zeros((len(matrix), len(self.classes_)))
        for tree in self.trees:
            total += tree.predict_proba(matrix)
        return np.asarray(total / len(self.trees), np.float32)


def _linear(seed: int, rows: int, columns: int) -> Any:
    """Logistic regression on principal components."""
    from sklearn.linear_model import LogisticRegression

    return _on_components(seed, min(COMPONENTS, rows, columns), LogisticRegression(C=0.01, max_iter=300, tol=1e-3))


class Discriminant:
    """Linear discriminant analysis on principal components, with a covariance that is shrunk, tempered."""

    classes_: Ints

    def __init__(self, seed: int, rows: int, columns: int) -> None:
        from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

        model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
        self.model = _on_components(seed, min(COMPONENTS, rows, columns), model)

    def fit(self, matrix: Matrix, classes: Ints) -> Discriminant:
        """Learn from all rows, (n, p) and (n,)."""
        self.model.fit(matrix, classes)
        self.classes_ = self.model.classes_
        return self

    def predict_proba(self, matrix: Matrix) -> Matrix:
        """Probabilities (n, classes)."""
        odds = np.log(self.model.predict_proba(matrix) + 1e-30) / TEMPERATURE
        return np.asarray(softmax(odds, axis=1), np.float32)


def _on_components(seed: int, components: int, model: Any) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), PCA(components, random_state=seed), model)


MODELS: Final[tuple[Callable[[int, int, int], Any], ...]] = (Trees, _linear, Discriminant)
"""Each makes a model from a seed and the number of rows and columns that it learns from."""
