"""What happened to scenes between two nights, and over which parcels: by the ledger, and the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Final

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.memory import Scenes

Row = dict[str, Any]
_COUNTS_AGAIN: Final = {
    "left out": "put back:",
    "suspect": "cleared of suspicion:",
    "superseded": "no longer superseded:",
}
"""What is said of a scene that counts now, by its status on the night before."""
_OPTIONS: Final = (
    ("revision", "reprocessed:"),
    ("mask", "extracted again with another mask:"),
    ("rule", "extracted again by another pixel rule:"),
    ("boa_offset", "extracted again with another offset:"),
    ("indices", "extracted again with other indices:"),
)
"""What differs between two extractions of a scene, the first of these counts."""
DONE: Final = pa.schema(
    [(name, pa.string()) for name in ("kind", "card", "scene", "what")] + [("extraction", pa.int64())]
)
OVER: Final = pa.schema(
    [("card", pa.string()), ("scene", pa.string()), ("extraction", pa.int64()), ("pid", pa.string())]
)


@dataclass(frozen=True)
class Count:
    """The scenes that counted on a night."""

    scenes: Scenes
    day: date | None
    """The last day that was judged by them; None is without end."""


@dataclass(frozen=True)
class Scenehistory:
    """What is known of the scenes over a parcel set, up to a night."""

    lake: Lake
    parcels: ParcelSet
    before: Mapping[tuple[str, str], str]
    """The status of each scene (card, scene) on the night before."""
    nights: Mapping[str, Sequence[str]]
    """By the kind of change what earlier nights rested on, as JSON; of markers those before the last search alone."""
    cards: frozenset[str]
    """Those that anything is made of."""

    def happened(self, changes: Mapping[str, tuple[Count, Count]]) -> tuple[pa.Table, pa.Table]:
        """What happened to scenes (kind, card, scene, what, extraction), and over which parcels (card, …, pid).

        Args:
            changes: by the kind of change (light, marker) the scenes that it rested on, and those that it rests on.
        """
        done: list[Row] = []
        for kind, (then, now) in changes.items():
            done += [
                {"kind": kind, **one} for card in sorted(self.cards) for one in self._of_card(kind, card, then, now)
            ]
        over = [OVER.empty_table()]
        for card in sorted({one["card"] for one in done}):
            numbers = sorted({one["extraction"] for one in done if one["card"] == card})
            rows = self.lake.query(f"changes.rows_{card}", **self.parcels.params, extractions=numbers)
            over.append(rows.append_column("card", pa.repeat(card, len(rows))).select(OVER.names).cast(OVER))
        return pa.Table.from_pylist(done, schema=DONE), pa.concat_tables(over)

    def _of_card(self, kind: str, card: str, then: Count, now: Count) -> Iterator[Row]:
        was, present = then.scenes.get(card, {}), now.scenes.get(card, {})
        days = self._days(card) if now.day is not None else {}
        late = {name for name, day in days.items() if now.day is not None and day > now.day}
        reached = {name for name, day in days.items() if then.day is not None and day > then.day} - late
        other = {name for name in was.keys() | present.keys() if was.get(name) != present.get(name)}
        touched = sorted(other - late | reached & was.keys() & present.keys())
        facts = self._extractions(card, touched) if touched else {}
        for name in touched:
            of_scene = facts.get(name, {})
            old, new = _numbers(was.get(name), of_scene), _numbers(present.get(name), of_scene)
            if name in reached and old:
                yield from self._rows(card, name, "of a day that was not judged before:", new)
            elif not new:
                yield from self._rows(card, name, f"{self._statuses.get((card, name), 'gone')}:", old)
            elif not old:
                yield from self._rows(card, name, self._counts_again(kind, card, name, new), new)
            elif old == new and not cards.get(card).is_optical:  # whose images are compared within an orbit
                yield from self._rows(card, name, "catalogued with another orbit:", new)
            else:
                for number in sorted(new - old):
                    yield from self._rows(card, name, _again(of_scene, number, old), {number})

    @staticmethod
    def _rows(card: str, scene: str, what: str, extractions: set[int]) -> Iterator[Row]:
        yield from ({"card": card, "scene": scene, "what": what, "extraction": one} for one in sorted(extractions))

    def _counts_again(self, kind: str, card: str, scene: str, extractions: set[int]) -> str:
        """What is said of a scene that did not count on the night before."""
        status = self.before.get((card, scene))
        if status in _COUNTS_AGAIN:
            return _COUNTS_AGAIN[status]
        counted = any(str(number) in night for number in extractions for night in self.nights[kind])
        if counted:
            return "counts again:"
        return "reprocessed:" if status == "changed" else "new scene"

    @cached_property
    def _statuses(self) -> dict[tuple[str, str], str]:
        """The status of each scene now, in words."""
        rows = self.lake.query("changes.scenes", **self.parcels.params).to_pylist()
        words = {"changed": "catalogued anew"}
        return {(row["card"], row["scene"]): words.get(row["status"], row["status"]) for row in rows}

    def _days(self, card: str) -> dict[str, date]:
        rows = self.lake.query("changes.days", **self.parcels.params, card=card).to_pylist()
        return {row["scene"]: row["day"] for row in rows}

    def _extractions(self, card: str, scenes: list[str]) -> dict[str, dict[int, Row]]:
        """What the ledger has of scenes: how each was extracted, by the number of the extraction."""
        facts: dict[str, dict[int, Row]] = {}
        asked = {**self.parcels.params, "card": card, "scenes": scenes}
        for row in self.lake.query("changes.extractions", **asked).to_pylist():
            facts.setdefault(row["scene"], {})[row["extraction"]] = row
        return facts


def _numbers(state: str | None, facts: Mapping[int, Row]) -> set[int]:
    """The extractions that the state of a scene names; see sql/markers/counted.sql."""
    return {int(part) for part in (state or "").split() if part.lstrip("-").isdecimal()} & facts.keys()


def _again(facts: Mapping[int, Row], number: int, old: set[int]) -> str:
    """How an extraction differs from those that counted before."""
    now = facts[number]
    if now["base"] is not None:
        return "extracted for new outlines:"
    last = max((facts[one] for one in old), key=lambda row: row["attempt"])
    differing = (what for name, what in _OPTIONS if now[name] != last[name])
    return next(differing, "extracted again:")
