"""Compiled measures of two classes of pixels: their means, the edge between them, and a smooth surface instead."""

from __future__ import annotations

from typing import Final

import numpy as np

from cbm_lake.markers.subparcel.how import How, Labels
from cbm_lake.zonal.compiled import Floats, Ints32, compiled

TERMS: Final = 6
"""Of a surface of second order in two dimensions."""


@compiled
def levels(change: Floats, beside: Ints32, labels: Labels) -> tuple[float, float]:
    """Mean change of the part and of the rest, each away from the edge where it has three such pixels or more."""
    total, count = np.zeros(4), np.zeros(4, np.int64)
    for i in range(len(change)):
        if labels[i] >= 0:
            kind = labels[i] + 2 * is_edge(beside, labels, i)
            total[kind] += change[i]
            count[kind] += 1
    levels = np.zeros(2)
    for kind in (0, 1):
        inner = count[kind] >= 3
        amount, number = total[kind], count[kind]
        if not inner:
            amount, number = amount + total[kind + 2], number + count[kind + 2]
        levels[kind] = amount / number if number else 0.0
    return levels[1], levels[0]


@compiled
def is_edge(beside: Ints32, labels: Labels, i: int) -> bool:
    """Whether a neighbour of a pixel is of the other class."""
    edges = 0
    for j in beside[i]:
        edges += j >= 0 and labels[j] >= 0 and labels[j] != labels[i]
    return edges > 0


@compiled
def is_wide(labels: Labels, beside: Ints32, how: How) -> bool:
    """Whether both classes are large enough and more than a rim, where geolocation mixes in what lies beyond."""
    count, inner = np.zeros(2), np.zeros(2)
    for i in range(len(labels)):
        if labels[i] >= 0:
            count[labels[i]] += 1
            inner[labels[i]] += not is_edge(beside, labels, i)
    return count.min() >= how.pixels and bool(np.all(inner >= how.inner * count))


@compiled
def sharpness(change: Floats, beside: Ints32, labels: Labels) -> float:
    """The mean jump of the change across the edge, from the second pixel on one side to the second on the other."""
    total, number = 0.0, 0
    for i in range(len(change)):
        for side in (1, 3):
            j = beside[i, side]
            if j >= 0 and labels[i] >= 0 and labels[j] >= 0 and labels[i] != labels[j]:
                inner, outer = _beyond(beside, labels, i, side - 1), _beyond(beside, labels, j, side)
                jump = change[inner] - change[outer]
                total += jump if labels[i] == 0 else -jump
                number += 1
    return total / number if number else 0.0


@compiled
def _beyond(beside: Ints32, labels: Labels, i: int, side: int) -> int:
    """The next pixel on that side if it is of the same class, else the pixel itself."""
    j = beside[i, side]
    return j if j >= 0 and labels[j] == labels[i] else i


@compiled
def surface(values: Floats, y: Floats, x: Floats) -> float:
    """Sum of squared residuals of a surface of second order, by modified Gram-Schmidt."""
    terms = np.empty((TERMS, len(values)))
    terms[0], terms[1], terms[2] = 1.0, y, x
    terms[3], terms[4], terms[5] = y * y, x * y, x * x
    rest = values.copy()
    for k in range(TERMS):
        length = np.sqrt((terms[k] ** 2).sum())
        if length < 1e-6 * np.sqrt(len(values)):
            continue
        base = terms[k] / length
        rest -= (rest * base).sum() * base
        for later in range(k + 1, TERMS):
            terms[later] -= (terms[later] * base).sum() * base
    return float((rest**2).sum())
