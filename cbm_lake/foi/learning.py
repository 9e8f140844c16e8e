"""Pixel classifiers: k-means clusters of similar pixels, or random forests of declared crops with their accuracy."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from cbm_lake.errors import InvalidInputError
from cbm_lake.foi.season import Floats, Ints, Season

log = logging.getLogger(__name__)

Model = Callable[[Floats, Ints], Ints]
"""Gives class numbers from 0 on for the features of pixels and the numbers of their parcels, -1 for none."""

MOST: Final = 200_000
"""Pixels from which is learned: as many of every parcel, at most PER_PARCEL and at least one."""
PER_PARCEL: Final = 20
FEWEST: Final = 5
"""A crop declared on fewer parcels cannot be learned."""
TREES: Final = 100
FOLDS: Final = 5
BLOCKS: Final = 20
"""Number of compact blocks of parcels for cross-validation; each block is in one fold."""


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of the crop classification, cross-validated over blocks of parcels."""

    overall: float
    """Share of the pixels that are classified as their parcel's declared crop, 0 to 1."""
    by_parcel: float
    """Share of the parcels whose most frequent class is the declared crop."""
    classes: pd.DataFrame
    """By crop: precision, recall, f1 (each 0 to 1) and the number of pixels."""
    confusion: pd.DataFrame
    """Pixels by declared crop (rows) and class (columns)."""
    skipped: dict[str, int]
    """Crops with too few parcels to be learned, and how many."""


@dataclass(frozen=True)
class Sample:
    """Training pixels."""

    features: Floats
    """(pixels, features)."""
    parcel: Ints
    """The number of each pixel's parcel."""
    optical: int
    """How many features, the first ones, are NDVI."""


def sample_pixels(season_data: Season, seed: int, advance: Callable[[], None]) -> Sample:
    """Sample pixels of every parcel, at least one pixel inside its boundary."""
    most = int(np.clip(MOST // max(len(season_data.shapes), 1), 1, PER_PARCEL))
    parts = []
    for window in season_data.windows():
        owners = season_data.owners(window, margin=season_data.grid.transform.a).ravel()
        luck = np.random.default_rng([seed, window.row, window.col]).random(owners.size)
        selected = _smallest_ranks(owners, luck, most)
        values = season_data.features(window).reshape(-1, owners.size)[:, selected].T
        valid = np.isfinite(values).all(axis=1)
        parts.append((values[valid], owners[selected][valid], luck[selected][valid]))
        advance()
    features, parcel, luck = (np.concatenate(part) for part in zip(*parts, strict=True))
    final = _smallest_ranks(parcel, luck, most)  # a parcel may lie in several blocks
    return Sample(features[final], parcel[final], min(season_data.periods, season_data.optical.sizes["time"]))


def _smallest_ranks(owners: Ints, luck: npt.NDArray[np.float64], most: int) -> Ints:
    """Positions of at most `most` pixels per parcel, those with the smallest random numbers; -1 is no parcel."""
    order = np.lexsort((luck, owners))
    order = order[owners[order] >= 0]
    _, first, count = np.unique(owners[order], return_index=True, return_counts=True)
    rank = np.arange(order.size) - np.repeat(first, count)
    return np.asarray(np.sort(order[rank < most]))


def clusters_of(learned: Sample, count: int, seed: int) -> tuple[Model, list[str]]:
    """Fit a model that predicts clusters (numbered by mean NDVI from 0), and name them."""
    from sklearn.cluster import MiniBatchKMeans

    if len(learned.parcel) < 10 * count:
        raise InvalidInputError(
            f"{len(learned.parcel)} pixels inside parcels are too few for {count} clusters; ask for fewer"
        )
    means = MiniBatchKMeans(count, random_state=seed, n_init=5, batch_size=4096).fit(learned.features)
    rank = np.argsort(np.argsort(means.cluster_centers_[:, : learned.optical].mean(axis=1)))
    names = [f"c{number:02d}" for number in range(1, count + 1)]
    return lambda features, _: rank[means.predict(features)], names


def crops_of(
    learned: Sample, declared: npt.NDArray[np.str_], shapes: npt.NDArray[np.object_], seed: int
) -> tuple[Model, list[str], Accuracy]:
    """Fit a model that predicts crops (numbered from 0); returns it with their names and its accuracy.

    Each fold's parcels are classified by a forest that learned from all others: it would otherwise remember what was
    declared, and a parcel with two crops would look like one.
    """
    names, skipped = _learnable(learned.parcel, declared)
    fold = _folds(learned.parcel, shapes, seed)
    crop = np.searchsorted(names, declared[learned.parcel]).clip(max=len(names) - 1)
    learnable = np.isin(declared[learned.parcel], names)
    forests = [
        _forest(seed).fit(learned.features[rest], crop[rest])
        for rest in (learnable & (fold[learned.parcel] != number) for number in range(fold.max() + 1))
    ]

    def model(features: Floats, parcel: Ints) -> Ints:
        """The crops; pixels of no parcel are classified by the first forest."""
        folds, crops = np.where(parcel < 0, 0, fold[parcel]), np.empty(len(features), np.int64)
        for number in np.unique(folds):
            crops[folds == number] = forests[number].predict(features[folds == number])
        return crops

    guess = model(learned.features[learnable], learned.parcel[learnable])
    return model, names, _accuracy(crop[learnable], guess, learned.parcel[learnable], names, skipped)


def _learnable(parcel: Ints, declared: npt.NDArray[np.str_]) -> tuple[list[str], dict[str, int]]:
    """Crops with enough parcels that have pixels, and the number of parcels of the others."""
    names, count = np.unique(declared[np.unique(parcel)], return_counts=True)
    enough = (count >= FEWEST) & (names != "")
    if not 2 <= enough.sum() <= 255:
        raise InvalidInputError(
            f"{enough.sum()} crops are declared on at least {FEWEST} parcels, and 2 to 255 can be told apart; "
            "use method clusters"
        )
    skipped = {str(name): int(number) for name, number in zip(names[~enough], count[~enough], strict=True)}
    if skipped:
        listed = ", ".join(f"{name} ({number})" for name, number in skipped.items())
        log.warning("crops of fewer than %d parcels with pixels well inside are not learned: %s", FEWEST, listed)
    return [str(name) for name in names[enough]], skipped


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(TREES, min_samples_leaf=5, class_weight="balanced", random_state=seed, n_jobs=-1)


def _folds(parcel: Ints, shapes: npt.NDArray[np.object_], seed: int) -> Ints:
    """The fold of each of the parcels; neighbours are in one block, and a block is in one fold as a whole."""
    from sklearn.cluster import KMeans
    from sklearn.model_selection import GroupKFold

    present = np.unique(parcel)
    centres = shapely.get_coordinates(shapely.centroid(shapes[present]))
    means = KMeans(min(BLOCKS, len(present)), random_state=seed, n_init=1)
    block = means.fit_predict(centres - centres.mean(axis=0))
    folds = np.zeros(len(shapes), np.int64)
    for number, (_, members) in enumerate(GroupKFold(min(FOLDS, len(np.unique(block)))).split(centres, groups=block)):
        folds[present[members]] = number
    return folds


def _accuracy(truth: Ints, guess: Ints, parcel: Ints, names: list[str], skipped: dict[str, int]) -> Accuracy:
    """The usual figures of two lists of classes (numbers of names)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    numbers = np.arange(len(names))
    scores = precision_recall_fscore_support(truth, guess, labels=numbers, zero_division=0)
    confusion = confusion_matrix(truth, guess, labels=numbers)
    votes = pd.DataFrame({"parcel": parcel, "truth": truth, "guess": guess}).groupby("parcel")
    most = votes["guess"].agg(lambda classes: classes.mode().iloc[0])
    return Accuracy(
        float((truth == guess).mean()),
        float((most == votes["truth"].first()).mean()),
        pd.DataFrame(dict(zip(("precision", "recall", "f1", "pixels"), scores, strict=True)), index=names),
        pd.DataFrame(confusion, index=names, columns=names),
        skipped,
    )
