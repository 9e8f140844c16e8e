"""The displacement on which many voters agree: least squares, in which one that disagrees weighs less (Huber).

A voter, a tile or a border, brings the sums over its pixels of a linear model: residual = x right + y down. Weights are
iterated: a voter whose equations are missed by more than a multiple of the median counts in inverse proportion. The
standard error is that of the voters' scatter (the sandwich estimator).
"""

from __future__ import annotations

import numpy as np

from cbm_lake.zonal.compiled import Floats, compiled


@compiled
def agreed(sums: Floats, votes: Floats, scales: Floats, limit: float, rounds: int) -> tuple[float, float, float]:
    """The displacement (right, down) on which voters agree, and the standard error of either; inf where it is any.

    Args:
        sums: xx, yy, xy, xr, yr of each voter, over the derivatives x and y of its model and the residual r, (5, n).
        votes: by which each weighs before it is compared with others, (n,).
        scales: by which what is left of both equations of a voter is multiplied before it is compared, (2, n).
        limit: multiple of the median from which a voter weighs less.
        rounds: of weighing, at least one.
    """
    xx, yy, xy, xr, yr = sums
    weights = votes.copy()
    for _ in range(rounds):
        a, b, d = (weights * xx).sum(), (weights * xy).sum(), (weights * yy).sum()
        determinant = a * d - b * b
        if determinant <= 1e-12 * a * d:  # no texture, or in one direction only
            return 0.0, 0.0, np.inf
        east, south = (weights * xr).sum(), (weights * yr).sum()
        right, down = (d * east - b * south) / determinant, (a * south - b * east) / determinant
        across, along = weights * (xr - xx * right - xy * down), weights * (yr - xy * right - yy * down)
        # both by the weights of this round, with which the equations were solved
        misfit = np.hypot((xr - xx * right - xy * down) * scales[0], (yr - xy * right - yy * down) * scales[1])
        usual = limit * np.median(misfit)
        weights = votes * np.minimum(1, usual / np.maximum(misfit, 1e-9))
    p, q, r = (across * across).sum(), (across * along).sum(), (along * along).sum()
    variances = (d * d + b * b) * p - 2 * b * (a + d) * q + (a * a + b * b) * r
    count = len(votes)
    return right, down, np.sqrt(max(variances, 0.0) / determinant**2 / 2 * count / max(count - 2, 1))
