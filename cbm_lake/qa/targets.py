"""Target number of parcels per bucket, as a function of group size."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

SHARE: Final = 0.05
"""The share of a group's rows that is looked at."""
_STEPS: Final = (200, 300, 400, 500, 700, 800, 1200)
_TARGETS_OF_STEPS: Final = (50, 55, 110, 115, 170, 175, 230, 300)
"""Targets by group size, from the table of the Union-level methodology 2024."""
_LEAST_OF_STEPS: Final = 60


def _share(rows: int, limit: int) -> int:
    """5 % of the rows, rounded half to even, at least 1; capped at the target of `limit` rows."""
    return round(min(rows, limit) * SHARE) or 1


def _simple(rows: int) -> int:
    return _share(rows, 6000)


def _buffer(rows: int) -> int:
    return round(_simple(rows) * 1.2)


def _minimal(rows: int) -> int:
    return _share(rows, 1200)


def _ulm(rows: int) -> int:
    return rows if rows <= 50 else _TARGETS_OF_STEPS[bisect_left(_STEPS, rows)]


def _ulm_minimal(rows: int) -> int:
    return min(_ulm(rows), _LEAST_OF_STEPS)


RULES: Final[dict[str, Callable[[int], int]]] = {
    "simple": _simple,
    "buffer": _buffer,
    "minimal": _minimal,
    "ulm": _ulm,
    "ulm_minimal": _ulm_minimal,
}
"""simple: 5 %, at most 300; buffer: a fifth more; minimal: at most 60; ulm and ulm_minimal: the steps of 2024."""


def raised(target: int, percent: float) -> int:
    """Raise (or lower) a target by a percentage, truncated to an integer."""
    return max(int(target + target * percent / 100), 0)
