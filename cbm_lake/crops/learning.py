"""Probabilities of crops, cross-predicted: those of a fold by models that learned from the other folds."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.features import Bools, Floats, Ints
from cbm_lake.crops.folds import Folds, training
from cbm_lake.crops.settings import Settings
from cbm_lake.errors import of_extra

MOST: Final = 8_000
"""Parcels from which the models of one fold learn: of each crop its share, but at least `LEAST` where it has them."""
LEAST: Final = 20
FEWEST: Final = 3
"""A crop of fewer parcels is not learned: it cannot be recognised, and would only draw others to it."""
TREES: Final = 200
COMPONENTS: Final = 60
"""Principal components from which the models that are not trees learn."""
NEIGHBOURS: Final = 15
CHUNK: Final = 20_000
"""Parcels that are predicted at once."""

Matrix = npt.NDArray[np.float32]


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
    matrix: Matrix, classes: Ints, usable: Bools, folds: Folds, x: Floats, y: Floats, settings: Settings
) -> Predicted:
    """Predict the probability of each class for each parcel by models of the other folds.

    Args:
        matrix: (n, p) features.
        classes: (n,) number of the declared crop from 0 on; -1 for none: predicted, but not learned from.
        usable: (n,) parcels of which enough is seen.
        folds: of the parcels.
        x, y: (n,) metres.
        settings: seed, buffer, threads.
    """
    from threadpoolctl import threadpool_limits

    count = int(classes.max(initial=-1)) + 1
    learned = usable & (np.bincount(classes + 1, minlength=count + 1)[classes + 1] >= FEWEST) & (classes >= 0)
    by_model = [np.zeros((len(classes), count), np.float32) for _ in MODELS]
    done = np.zeros(len(classes), bool)

    def one(number: int, make: Callable[[int, int], Any], into: Matrix) -> None:
        rows = np.flatnonzero(training(folds, number, x, y, settings.buffer_m) & learned)
        targets = np.flatnonzero((folds.fold == number) & usable)
        if not matrix.shape[1] or not len(targets) or not 2 <= len(np.unique(classes[rows])) <= len(rows) / 2:
            return
        rows = _sample(rows, classes, np.random.default_rng([settings.seed, 2, number]))
        model = make(settings.seed, min(*matrix[rows].shape)).fit(matrix[rows], classes[rows])
        for start in range(0, len(targets), CHUNK):
            chunk = targets[start : start + CHUNK]
            into[np.ix_(chunk, model.classes_)] = model.predict_proba(matrix[chunk])
        done[targets] = True

    with threadpool_limits(1), ThreadPoolExecutor(settings.threads or os.cpu_count()) as pool:
        jobs = [
            pool.submit(one, number, make, into)
            for make, into in zip(MODELS, by_model, strict=True)
            for number in range(folds.count)
        ]
        for job in jobs:
            job.result()
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


def _trees(seed: int, _: int) -> Any:
    """Extremely randomised trees (Geurts et al. 2006)."""
    with of_extra("crops", "the crop check"):
        from sklearn.ensemble import ExtraTreesClassifier
    return ExtraTreesClassifier(TREES, max_features=0.1, random_state=seed, n_jobs=1)


def _linear(seed: int, rank: int) -> Any:
    """Logistic regression on principal components."""
    with of_extra("crops", "the crop check"):
        from sklearn.linear_model import LogisticRegression
    return _on_components(seed, min(COMPONENTS, rank), LogisticRegression(C=0.01, max_iter=300, tol=1e-3))


def _neighbours(seed: int, rank: int) -> Any:
    """The nearest parcels by principal components."""
    from sklearn.neighbors import KNeighborsClassifier

    return _on_components(
        seed, min(COMPONENTS // 2, rank), KNeighborsClassifier(min(NEIGHBOURS, rank), weights="distance")
    )


def _on_components(seed: int, components: int, model: Any) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), PCA(components, random_state=seed), model)


MODELS: Final = (_trees, _linear, _neighbours)
"""Each makes a model from a seed and the rank of the features."""
