"""What a report says of judgements, and whether the lake still has those that its evidence holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from cbm_lake.errors import LakeError
from cbm_lake.lake import Lake
from cbm_lake.report import facts
from cbm_lake.report.comparing import differences
from cbm_lake.report.facts import Facts

DECISIONS: Final = {
    "confirmed": "confirmed",
    "refused": "refused",
    "photo": "a photo is asked of the farmer",
    "undecidable": "it cannot be decided",
}
"""Decisions in words."""
WHOLE: Final = "the declaration as a whole"
_OUTDATED: Final = {
    "gone": "the parcel is declared no more",
    "geometry": "the parcel has another geometry by now",
    "crop": "another crop is declared by now",
    "set": "the parcels were loaded anew since",
}
_PRESENT: Final = frozenset({"stands", "outdated"})
"""What later judgements and parcels may change of a row."""


def lines(history: Sequence[Facts]) -> list[list[str]]:
    """The judgements that stand, as pairs of what was judged and a text, and how many others there were."""
    pairs = [[row["scenario"] or WHOLE, _told(row)] for row in history if row["stands"]]
    others = len(history) - len(pairs)
    return [*pairs, ["before", f"{others} earlier entries are in the evidence"]] if others else pairs


def _told(row: Facts) -> str:
    light = f"the light was {row['colour']}: {row['reason']}" if row["colour"] else "there was no light"
    due = f", final from {_day(row['due'])} on" if row["due"] else ""
    note = f"; note: {row['note']}" if row["note"] else ""
    outdated = f"; {_OUTDATED[row['outdated']]}" if row["outdated"] else ""
    drawn = f"; on the screen: {_drawn(row['shown'])}" if row["shown"] else ""
    by = f"by {row['who']}, {_moment(row['decided'])}"
    return f"{DECISIONS.get(row['decision'], row['decision'])}, {by}; {light}{due}{note}{outdated}{drawn}"


def _drawn(text: str) -> str:
    """What was drawn, in words: names and plain values; of what is nested the names alone."""
    drawn: dict[str, object] = json.loads(text)
    plain = {name: value for name, value in drawn.items() if value not in (None, "", [], {})}
    return ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in plain.items()) or "nothing"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_value(inner)}" for name, inner in value.items()) + ")"
    return " and ".join(map(_value, value)) if isinstance(value, list) else str(value)


def _moment(text: str) -> str:
    return f"{datetime.fromisoformat(text):%-d %B %Y %H:%M} UTC"


def _day(text: str) -> str:
    return f"{date.fromisoformat(text):%-d %B %Y}"


def altered(history: object, key: Facts, lake: Lake) -> list[str]:
    """What of the judgements in the evidence is missing from the lake as it is now, or another one there, in words.

    They are appended and never overwritten, so whatever was decided since they have to be there as they were.
    """
    if not isinstance(history, list) or not history:
        return []
    try:
        present = {(row["scenario"], row["number"]): _kept(row) for row in facts.judgements(lake, key)}
    except LakeError as error:
        return [f"the lake cannot say again what was judged: {error}"]
    try:
        return _missing(history, present)
    except (AttributeError, LookupError, TypeError) as error:
        return [f"what its evidence says of judgements cannot be read ({type(error).__name__}: {error})"]


def _missing(history: Sequence[Facts], present: Mapping[tuple[str, int], Facts]) -> list[str]:
    """What of a history is not there as it was, or was left out of it."""
    findings: list[str] = []
    numbers: Counter[str] = Counter()
    for row in history:
        scenario, number = row["scenario"], row["number"]
        numbers[scenario] += 1
        where = f"judgement {number} of {scenario or WHOLE}"
        if number != numbers[scenario]:
            return [*findings, f"judgement {numbers[scenario]} of {scenario or WHOLE} is missing"]
        now = present.get((scenario, number))
        findings += differences(_kept(row), now, where) if now else [f"{where} is in the lake no more"]
    return findings


def _kept(row: Facts) -> Facts:
    """What of a judgement stays as it is for ever."""
    return {name: value for name, value in row.items() if name not in _PRESENT}
