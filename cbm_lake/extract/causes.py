"""Grouping of failures of scenes by cause, and a one-line summary for a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from cbm_lake.errors import some
from cbm_lake.extract.jobs import Outcome

_URL: Final = re.compile(r"\b([a-z0-9+]+://[^/\s?'\"]+)[^\s'\",;]*")
"""URLs are reduced to the server: scenes fail on whichever band comes first."""
_PATH: Final = re.compile(r"(?<![\w/:])/[^\s'\",;:]+")
_VOLATILE: Final = re.compile(
    r"\d{4}-\d\d-\d\dT[\d:.]+Z?|0x[0-9a-f]+|\b(?=[0-9a-f-]*\d)[0-9a-f][0-9a-f-]{11,}\b|\b(?![1-5]\d\d\b)\d+(\.\d+)?\b",
    re.I,
)
"""Timestamps, addresses in memory, request ids, numbers that are no status of HTTP: they differ at every attempt."""


def cause(outcome: Outcome) -> str:
    """What two failures of the same cause have in common: the reason without scene, paths, timestamps and counts."""
    text = (outcome.problem or "").replace(outcome.scene, "…")
    text = _PATH.sub("…", _URL.sub(r"\1", text))
    return " ".join(_VOLATILE.sub("…", text).split())


def listed(failed: Iterable[Outcome]) -> str:
    """The failures by their causes: each cause once, with the scenes that it stopped; the most frequent first."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in failed:
        groups.setdefault(cause(outcome), []).append(outcome)
    lines = []
    for group in sorted(groups.values(), key=len, reverse=True):
        scenes = [outcome.scene for outcome in group]
        which = scenes[0] if len(group) == 1 else f"{len(group)} scenes ({some(scenes, 3)}), of the first"
        lines.append(f"{which}: {group[0].problem}")
    return "; ".join(lines)


def still_failing(failing: Sequence[Outcome]) -> str:
    """Which scenes failed on what stopped them at an earlier run; "" where there are none."""
    if not failing:
        return ""
    scenes = some((outcome.scene for outcome in failing), 5)
    count = "1 scene still fails" if len(failing) == 1 else f"{len(failing)} scenes still fail"
    return f"{count} as before, of the same cause: {scenes}"


def as_before(failing: Sequence[Outcome]) -> str:
    """The line of `still_failing`, with what to do on the command line."""
    if not failing:
        return ""
    return (
        f"{still_failing(failing)}; `cbm-lake status` says why, "
        "`cbm-lake scenes leave-out ID --why …` leaves out what can never be read"
    )
