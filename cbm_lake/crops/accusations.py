"""Which declarations are accused so that at most a promised share of the accusations is wrong.

Conformal p-values that are calibrated on declarations are uniform over all declarations, wrong ones included: by
themselves they say nothing of how many of the accusations are wrong, and the method of Benjamini & Hochberg on them
(Jin & Candès 2023, conformal selection) accuses nobody. What is needed beside them is what wrong declarations look
like. It is assumed that they are other crops of the set, drawn by their frequency, whatever the parcel looks like; then
the density of plausibility s among the declarations is

    f(s) / f_wrong(s) = w + (1 - w) exp(a + b s)

with f_wrong from planted declarations and w the share of wrong ones: a mixture of two components (Efron 2010,
Large-scale inference, chapter 5; Scott 2015, A rate of convergence for mixture proportion estimation). a and b are
those of parcels that are about as well seen: of parcels of which little is seen, correct declarations look implausible
more often, and one curve for all would count them as wrong. The numbers are estimated by maximum likelihood, w for all
at once, and w is replaced by the lower end of its 95 % interval (one-sided, by the
profile of the likelihood), so that few parcels, or correct declarations of an odd look, accuse nobody.

The assumption is tested: wrong declarations that are drawn by frequency are as frequent among the parcels of each
region, each declared and each likeliest group, and however sure the models are. Where more are accused than that
explains (Poisson), the excess may be correct declarations of an odd look, and `excessive` says where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.features import Floats, Ints

SHARES: Final = np.concatenate([[0.0], np.geomspace(0.001, 0.5, 40)])
"""Shares of wrong declarations that are tried."""
HALF_STEP: Final = float(np.sqrt(SHARES[2] / SHARES[1]))
"""By which the true share may be larger than the likeliest of these."""
DROP: Final = 1.3528
"""By which the log likelihood may fall inside a one-sided interval of 95 %: half of the 0.9 quantile of chi-squared."""
STEPS: Final = 40
MOST: Final = 20_000
"""Planted declarations from which the mixture is estimated."""


SURPRISE: Final = 0.01
"""Probability of seeing an excess anywhere in a partition where there is none."""

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Density of the declarations' plausibility relative to that of planted wrong ones, by stratum."""

    wrong: float
    """Share of wrong declarations at the lower end of its interval: what is counted on."""
    estimate: float
    """The likeliest share."""
    constant: Doubles
    """(strata,) a of the formula at `wrong`."""
    slope: Doubles
    """(strata,) b of the formula at `wrong`."""

    def wrong_probability(self, scores: Floats, stratum: Ints) -> Doubles:
        """Probability that a declaration of that plausibility is wrong: (n,) of (n,) and (n,)."""
        exponent = self.constant[stratum] + self.slope[stratum] * np.asarray(scores, np.float64)
        correct = (1 - self.wrong) * np.exp(np.clip(exponent, -60, 60))
        return np.asarray(self.wrong / np.maximum(self.wrong + correct, 1e-300))


@dataclass(frozen=True, eq=False)
class Declared:
    """Plausibility of declarations, or of planted ones."""

    scores: Floats
    """(n,)"""
    stratum: Ints
    """(n,) from 0 on: how well seen the parcel is."""

    def of(self, stratum: int) -> Floats:
        """The plausibility of those of a stratum."""
        return np.asarray(self.scores[self.stratum == stratum])


def fit(declared: Declared, planted: Declared, strata: int, share: float | None) -> Mixture:
    """Estimate the mixture from the plausibility of declarations and of planted ones.

    Args:
        declared: declarations.
        planted: wrong declarations of the same parcels.
        strata: how many there are.
        share: of wrong declarations, where it is known.
    """
    shares = SHARES if share is None else np.array([share])
    likelihood, curves = np.zeros(len(shares)), np.zeros((strata, len(shares), 2))
    scale = max(float(np.std(declared.scores)), 1e-6)
    for stratum in range(strata):
        own, wrong = declared.of(stratum) / scale, planted.of(stratum) / scale
        if not len(own) or not len(wrong):
            continue
        weight, start = np.full(len(wrong), len(own) / len(wrong)), np.array([0.0, 1.0])
        for number, each in enumerate(shares):
            start, one = _tilt(own, wrong, weight, each, start)
            likelihood[number] += one
            curves[stratum, number] = start
    best = int(np.argmax(likelihood))
    lower = int(np.flatnonzero(likelihood >= likelihood[best] - DROP)[0])
    return Mixture(float(shares[lower]), float(shares[best]), curves[:, lower, 0], curves[:, lower, 1] / scale)


def excessive(accused: Ints, expected: Floats, share_of_correct: float) -> npt.NDArray[np.bool_]:
    """Parts of a partition in which more are accused than wrong declarations explain.

    Args:
        accused: (parts,) how many are accused.
        expected: (parts,) how many wrong declarations are expected among these.
        share_of_correct: of the accused, that is expected.
    """
    from scipy.stats import poisson

    mean = np.maximum(expected / (1 - share_of_correct), 0.1)
    return np.asarray(poisson.sf(accused - 1, mean) < SURPRISE / max(len(accused), 1))


def _tilt(
    declared: Floats, planted: Floats, weights: Floats, wrong: float, start: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """The likeliest a and b at a share of wrong declarations, and the log likelihood: that of telling the two apart."""
    from scipy.optimize import minimize

    scores = np.concatenate([declared, planted]).astype(np.float64)
    is_declared = np.arange(len(scores)) < len(declared)
    weight = np.concatenate([np.ones(len(declared)), weights])

    def loss(parameters: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        exponential = np.exp(np.clip(parameters[0] + parameters[1] * scores, -60, 60))
        ratio = wrong + (1 - wrong) * exponential
        value = np.where(is_declared, np.log(ratio + 1e-12), 0) - np.log1p(ratio)
        inner = (1 - wrong) * exponential * (is_declared / (ratio + 1e-12) - 1 / (1 + ratio)) * weight
        return -float((weight * value).sum()), -np.array([inner.sum(), (inner * scores).sum()])

    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(-30, 30), (0, 30)], options={"maxiter": STEPS})
    return best.x, -float(best.fun)


def accused(wrong_probability: Floats, alpha: float) -> npt.NDArray[np.bool_]:
    """The largest set of the likeliest wrong ones of which at most a share of alpha is expected to be correct."""
    order = np.argsort(-wrong_probability, kind="stable")
    expected = np.cumsum(1 - wrong_probability[order]) / np.arange(1, len(order) + 1)
    allowed = np.flatnonzero(expected <= alpha)
    selected = np.zeros(len(order), bool)
    if allowed.size:
        selected[order[: allowed[-1] + 1]] = True
    return selected
