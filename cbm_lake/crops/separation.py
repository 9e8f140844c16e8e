"""How well values separate the done from the not done: rank statistics and permutation tests of all columns at once.

Members of a stratum are exchangeable: had nothing been done, any of them might as well have been called done. So
labels are permuted inside of strata only, the same permutation for all columns, which keeps their dependence.

The statistic of a column is the sum over strata of the Mann-Whitney U of done against not done, about its mean; it is a
sum over the done of r, the number of members of its stratum below each minus those above. Its variance over
permutations is known: n (m - n) / (m (m - 1)) times the sum of r squared, for n done of m members.

Sources: van Elteren, Bulletin de l'Institut International de Statistique 37 (1960), 351, for strata; Phipson and Smyth,
Statistical Applications in Genetics and Molecular Biology 9 (2010), 39, for p-values of random permutations; Westfall
and Young, Resampling-Based Multiple Testing, Wiley (1993), for the family-wise p-value by the largest statistic.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]

_CELLS: Final = 1 << 24
"""Values of one portion of the matrix of permutations."""


@dataclass(frozen=True, eq=False)
class Separated:
    """The answer for f columns."""

    n_done: Ints
    """(f,): how many done have a value."""
    n_not: Ints
    done: Floats
    """(f,): mean of the done; NaN where none has a value."""
    not_done: Floats
    effect: Floats
    """(f,): mean difference of done and not done inside of strata, in standard deviations of the not done there."""
    auc: Floats
    """(f,): the probability that one done is above one not done of its stratum; ties count half."""
    z: Floats
    """(f,): the statistic in standard deviations over permutations; NaN where there is nothing to compare."""
    p: Floats
    """(f,): two-sided, by permutation."""
    p_max: Floats
    """(f,): the probability that any of the columns would separate so well by chance."""
    exact: bool
    """Whether all permutations were looked at, not a random part of them."""
    smallest: float
    """The smallest p-value that is possible."""


def separate(values: Floats, done: Flags, stratum: Ints, permutations: int = 9999, seed: int = 0) -> Separated:
    """Compare the done with the not done, inside of strata.

    Args:
        values: (m, f): columns of values of m members; NaN where one has none.
        done: (m,).
        stratum: (m,): numbers from 0; members of one are exchangeable.
        permutations: how many are drawn; where there are no more than so many, each is looked at once.
        seed: of the random ones.
    """
    order = np.argsort(stratum, kind="stable")
    values, done, bounds = values[order], done[order], _bounds(stratum[order])
    ranks = np.concatenate([_scores(values[begin:end]) for begin, end in bounds])
    spread = np.sqrt(sum(_variance(ranks[begin:end], int(done[begin:end].sum())) for begin, end in bounds))
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(spread > 0, done @ ranks / spread, np.nan)
    total = math.prod(math.comb(end - begin, int(done[begin:end].sum())) for begin, end in bounds)
    exact = total <= permutations + 1
    labels = _all(done, bounds) if exact else _drawn(done, bounds, permutations, np.random.default_rng(seed))
    p, p_max = _by_permutation(ranks, spread, z, labels, observed=0 if exact else 1)
    return Separated(
        *_described(values, done, bounds, ranks), z, p, p_max, exact, 1 / total if exact else 1 / (permutations + 1)
    )


def adjusted(p: Floats, method: str) -> Floats:
    """The false discovery rate up to each p-value, "bh" (Benjamini and Hochberg) or "by" (Benjamini and Yekutieli).

    The first holds where columns are independent or positively dependent, as neighbouring weeks mostly are; the
    second under any dependence, at the price of power. NaN stays so and counts for nothing.
    """
    q = np.full(len(p), np.nan)
    valid = ~np.isnan(p)
    if valid.any():
        q[valid] = stats.false_discovery_control(p[valid], method=method)
    return q


def _bounds(stratum: Ints) -> list[tuple[int, int]]:
    edges = [0, *(np.flatnonzero(np.diff(stratum)) + 1).tolist(), len(stratum)]
    return [(begin, end) for begin, end in itertools.pairwise(edges) if end > begin]


def _scores(values: Floats) -> Floats:
    """Of the members of a stratum how many are below each minus how many above, 0 without a value."""
    valid = ~np.isnan(values)
    ranks = stats.rankdata(np.where(valid, values, np.inf), axis=0)  # those without a value are above all others
    return np.where(valid, 2 * ranks - (valid.sum(axis=0) + 1), 0)


def _variance(scores: Floats, n: int) -> Floats:
    m = len(scores)
    return np.asarray(n * (m - n) / max(m * (m - 1), 1) * (scores**2).sum(axis=0), np.float64)


def _by_permutation(
    ranks: Floats, spread: Floats, z: Floats, labels: Iterator[Flags], observed: int
) -> tuple[Floats, Floats]:
    """The p-values of each column, and of the largest of them; `observed` counts the labels as they are once more."""
    valid = ~np.isnan(z)
    scores, size = ranks[:, valid] / spread[valid], np.abs(z[valid]) * (1 - 1e-12)  # equal sums may differ by rounding
    beyond, largest, number = np.zeros(len(size), np.int64), [], 0
    for portion in labels:
        sums = np.abs(portion.astype(np.float64) @ scores)
        beyond += (sums >= size).sum(axis=0)
        largest.append(sums.max(axis=1, initial=0))
        number += len(portion)
    above = np.sort(np.concatenate(largest))
    p, p_max = np.full(len(z), np.nan), np.full(len(z), np.nan)
    p[valid] = (beyond + observed) / (number + observed)
    p_max[valid] = (len(above) - np.searchsorted(above, size) + observed) / (number + observed)
    return p, p_max


def _all(done: Flags, bounds: list[tuple[int, int]]) -> Iterator[Flags]:
    """Every way to choose as many done of each stratum as there are."""
    choices = [itertools.combinations(range(begin, end), int(done[begin:end].sum())) for begin, end in bounds]
    ways = itertools.product(*choices)
    while several := list(itertools.islice(ways, 1000)):
        portion = np.zeros((len(several), len(done)), bool)
        for row, choice in enumerate(several):
            portion[row, list(itertools.chain.from_iterable(choice))] = True
        yield portion


def _drawn(done: Flags, bounds: list[tuple[int, int]], number: int, rng: np.random.Generator) -> Iterator[Flags]:
    """Random choices of as many done of each stratum as there are."""
    size = max(1, min(number, _CELLS // max(len(done), 1)))
    for begin in range(0, number, size):
        count = min(size, number - begin)
        parts = [rng.permuted(np.tile(done[start:end], (count, 1)), axis=1) for start, end in bounds]
        yield np.concatenate(parts, axis=1)


def _described(
    values: Floats, done: Flags, bounds: list[tuple[int, int]], ranks: Floats
) -> tuple[Ints, Ints, Floats, Floats, Floats, Floats]:
    """Counts, means, effect and AUC of each column, of members in strata that have both."""
    valid = ~np.isnan(values)
    zero = np.zeros(values.shape[1])
    pairs, sums, difference, weight, squares, freedom = (zero.copy() for _ in range(6))
    for begin, end in bounds:
        part, yes = valid[begin:end], done[begin:end, None]
        n, k = (part & yes).sum(axis=0), (part & ~yes).sum(axis=0)
        both = (n > 0) & (k > 0)
        mean, base = (_mean(values[begin:end], part & which) for which in (yes, ~yes))
        pairs += n * k
        sums += np.where(both, (ranks[begin:end] * yes).sum(axis=0), 0)
        difference += np.where(both, n * (mean - base), 0)
        weight += np.where(both, n, 0)
        squares += (np.where(part & ~yes, values[begin:end] - base, 0) ** 2).sum(axis=0)
        freedom += np.maximum(k - 1, 0)
    yes = valid & done[:, None]
    means = [_mean_or_nan(values, which) for which in (yes, valid & ~done[:, None])]
    with np.errstate(invalid="ignore", divide="ignore"):
        effect = difference / weight / np.sqrt(squares / freedom)
        auc = 0.5 + sums / pairs / 2
    return yes.sum(axis=0), (valid & ~done[:, None]).sum(axis=0), means[0], means[1], effect, auc


def _mean(values: Floats, which: Flags) -> Floats:
    """Mean of some values of each column; 0 where there is none."""
    return np.asarray(np.where(which, values, 0).sum(axis=0) / np.maximum(which.sum(axis=0), 1), np.float64)


def _mean_or_nan(values: Floats, which: Flags) -> Floats:
    return np.asarray(np.where(which.sum(axis=0) > 0, _mean(values, which), np.nan), np.float64)
