"""Counts of observations by their fate: how many were clear, screened as cloudy, or undecidable.

A look is one parcel in one scene. Where no pixel of a parcel is classified, for example because it is narrower than
the 20 m of the scene classification, no screen can decide whether it is cloudy: such looks are left out like cloudy
ones, but counted separately.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from cbm_lake.lake import Lake

log = logging.getLogger(__name__)

_CAUSES = {
    "small": "too few pixels",
    "cut": "only part of the parcel seen",
    "unknown": "sky unknown (no pixel classified)",
    "cloudy": "cloudy",
    "bright": "too bright",
}
"""Why looks are left out, in words."""


def count(lake: Lake, query: str, **params: object) -> dict[str, int]:
    """Number of looks by fate, from a named query that counts them: looks, clear, and those of _CAUSES."""
    rows = lake.query(query, **params)
    return dict(rows.to_pylist()[0]) if rows.num_rows else dict.fromkeys(rows.column_names, 0)


def in_words(counts: Mapping[str, int]) -> str:
    """The counts in a sentence: 310 of 402 looks at parcels were clear; left out: 12 sky unknown (…), 80 cloudy."""
    left_out = [f"{counts[name]:,} {words}" for name, words in _CAUSES.items() if counts.get(name)]
    sentence = f"{counts['clear']:,} of {counts['looks']:,} looks at parcels were clear"
    return f"{sentence}; left out: {', '.join(left_out)}" if left_out else sentence


def tell(name: str, counts: Mapping[str, int]) -> None:
    """Log the counts of a parcel set: a warning where the sky of some is unknown, else for information."""
    log.log(logging.WARNING if counts["unknown"] else logging.INFO, "%s: %s", name, in_words(counts))
