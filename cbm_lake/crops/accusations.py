"""Which declarations are accused so that at most a promised share of the accusations is wrong.

Conformal p-values that are calibrated on declarations are uniform over all declarations, wrong ones included: by
themselves they say nothing of how many of the accusations are wrong, and the method of Benjamini & Hochberg on them
(Jin & Candès 2023, conformal selection) accuses nobody. What is needed beside them is what wrong declarations look
like. It is assumed that they are other crops of the set, drawn by their frequency, whatever the parcel looks like; then
the density of plausibility s among the declarations is

    f(s) / f_wrong(s) = w + (1 - w) exp(a + b s)

with f_wrong from planted declarations and w the share of wrong ones: a mixture of two components (Efron 2010,
Large-scale inference, chapter 5; Scott 2015, A rate of convergence for mixture proportion estimation). The three
numbers are estimated by maximum likelihood, and w is replaced by the lower end of its 95 % interval (one-sided, by the
profile of the likelihood), so that few parcels, or correct declarations of an odd look, accuse nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from cbm_lake.crops.features import Floats

SHARES: Final = np.concatenate([[0.0], np.geomspace(0.001, 0.5, 40)])
"""Shares of wrong declarations that are tried."""
DROP: Final = 1.3528
"""By which the log likelihood may fall inside a one-sided interval of 95 %: half of the 0.9 quantile of chi-squared."""
STEPS: Final = 40
MOST: Final = 20_000
"""Planted declarations from which the mixture is estimated."""


@dataclass(frozen=True)
class Mixture:
    """Density of the declarations' plausibility relative to that of planted wrong ones."""

    wrong: float
    """Share of wrong declarations at the lower end of its interval: what is counted on."""
    estimate: float
    """The likeliest share."""
    constant: float
    slope: float
    """a and b of the formula at `wrong`."""

    def wrong_probability(self, scores: Floats) -> npt.NDArray[np.float64]:
        """Probability that a declaration of that plausibility is wrong."""
        exponent = np.clip(self.constant + self.slope * np.asarray(scores, np.float64), -60, 60)
        correct = (1 - self.wrong) * np.exp(exponent)
        return self.wrong / np.maximum(self.wrong + correct, 1e-300)


def fit(declared: Floats, planted: Floats, share: float | None) -> Mixture:
    """Estimate the mixture from the plausibility of declarations and of planted ones.

    Args:
        declared: (n,)
        planted: (m,) plausibility of wrong declarations.
        share: of wrong declarations, where it is known.
    """
    planted_weight = np.full(len(planted), len(declared) / max(len(planted), 1))
    scale = max(float(np.std(declared)), 1e-6)
    profile = []
    start = np.array([0.0, 1.0])
    for wrong in SHARES if share is None else [share]:
        start, likelihood = _tilt(declared / scale, planted / scale, planted_weight, wrong, start)
        profile.append((likelihood, wrong, start[0], start[1] / scale))
    best = max(profile)
    lower = next(one for one in profile if one[0] >= best[0] - DROP)
    return Mixture(float(lower[1]), float(best[1]), float(lower[2]), float(lower[3]))


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
