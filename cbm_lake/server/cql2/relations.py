"""Temporal relations of CQL2, after Allen, of two stretches of time; an instant is one that ends when it begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from duckdb import Expression


class Stretch(NamedTuple):
    """A begin and an end."""

    begin: Expression
    end: Expression


def _starts(a: Stretch, b: Stretch) -> Expression:
    return (a.begin == b.begin) & (a.end < b.end)


def _finishes(a: Stretch, b: Stretch) -> Expression:
    return (a.begin > b.begin) & (a.end == b.end)


def _during(a: Stretch, b: Stretch) -> Expression:
    return (a.begin > b.begin) & (a.end < b.end)


def _overlaps(a: Stretch, b: Stretch) -> Expression:
    return (a.begin < b.begin) & (a.end > b.begin) & (a.end < b.end)


TEMPORAL: Final[dict[str, Callable[[Stretch, Stretch], Expression]]] = {
    "t_after": lambda a, b: a.begin > b.end,
    "t_before": lambda a, b: a.end < b.begin,
    "t_contains": lambda a, b: _during(b, a),
    "t_disjoint": lambda a, b: (a.end < b.begin) | (a.begin > b.end),
    "t_during": _during,
    "t_equals": lambda a, b: (a.begin == b.begin) & (a.end == b.end),
    "t_finishedby": lambda a, b: _finishes(b, a),
    "t_finishes": _finishes,
    "t_intersects": lambda a, b: (a.begin <= b.end) & (a.end >= b.begin),
    "t_meets": lambda a, b: a.end == b.begin,
    "t_metby": lambda a, b: a.begin == b.end,
    "t_overlappedby": lambda a, b: _overlaps(b, a),
    "t_overlaps": _overlaps,
    "t_startedby": lambda a, b: _starts(b, a),
    "t_starts": _starts,
}
SPATIAL: Final[dict[str, tuple[str, str]]] = {
    "s_contains": ("contains", "within"),
    "s_crosses": ("crosses", "crosses"),
    "s_disjoint": ("disjoint", "disjoint"),
    "s_equals": ("equals", "equals"),
    "s_intersects": ("intersects", "intersects"),
    "s_overlaps": ("overlaps", "overlaps"),
    "s_touches": ("touches", "touches"),
    "s_within": ("within", "contains"),
}
"""The predicate of shapely of the row's geometry and another one, and what it is the other way round."""
