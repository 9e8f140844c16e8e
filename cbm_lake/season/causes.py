"""Why something changed: which scenes came, were done again or count no more; other parcels, rules, or time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import memory
from cbm_lake.markers.parameters import Parameters

_LISTED: Final = 3
"""Scenes that a cause names; of more it says how many."""
NOT_YET_DUE: Final = "not yet due"


@dataclass(frozen=True)
class Basis:
    """What the lake held when changes were recorded."""

    scenes: memory.Scenes
    parcels: str
    how: str
    """The parameters, scenarios included."""

    @classmethod
    def now(cls, lake: Lake, parcels: ParcelSet, parameters: Parameters, scenarios: Iterable[str]) -> Basis:
        """What it holds now."""
        how = memory.digest([parameters.model_dump_json(), *scenarios])
        return cls(memory.scenes(lake, parcels), parcels.version, how)

    @classmethod
    def read(cls, text: str) -> Basis:
        """What `text` says."""
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        """As JSON."""
        return json.dumps(self.__dict__, sort_keys=True)


@dataclass
class Causes:
    """The causes of one night's changes, by parcel."""

    day: date
    general: list[str] = field(default_factory=list)
    """What is about all parcels."""
    scenes: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Of each parcel its scenes, by what was done to them."""

    @classmethod
    def since(
        cls, former: Basis | None, basis: Basis, lake: Lake, parcels: ParcelSet, day: date, pids: frozenset[str]
    ) -> Causes:
        """What has happened since the last night to the parcels `pids`."""
        causes = cls(day)
        if former is None:
            causes.general.append("first night that is recorded")
            return causes
        if former.parcels != basis.parcels:
            causes.general.append(f"parcels loaded anew (version {basis.parcels})")
        if former.how != basis.how:
            causes.general.append("other parameters or scenarios")
        for card, scene, done, concerned in _happened(former, basis, lake, parcels):
            for pid in pids.intersection(concerned):
                causes.scenes.setdefault(pid, {}).setdefault(f"{done} {card}", []).append(scene)
        return causes

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        """The columns `cause` and `scenes` of a change."""
        if row["kind"] == "scene":
            status = row["after"] or "gone"
            return {"cause": f"{status}: {row['reason']}" if row["reason"] else status, "scenes": [row["scene"]]}
        done = self.scenes.get(row["pid"], {})
        parts = [*(_named(what, sorted(scenes)) for what, scenes in sorted(done.items())), *self.general]
        if row["kind"] == "light" and row["before"] == NOT_YET_DUE and row["after"] != NOT_YET_DUE:
            parts.append(f"due by {self.day}")
        if not parts:
            parts.append(f"the season went on to {self.day}, or other parcels of its crop changed")
        scenes = sorted({scene for some in done.values() for scene in some})
        return {"cause": "; ".join(parts), "scenes": scenes or None}


def _named(what: str, scenes: list[str]) -> str:
    """What was done to scenes: new scene s2 S2A_…, or 12 times new scene s2."""
    return f"{what} {', '.join(scenes)}" if len(scenes) <= _LISTED else f"{len(scenes)} times {what}"


def _happened(former: Basis, basis: Basis, lake: Lake, parcels: ParcelSet) -> Iterator[tuple[str, str, str, list[str]]]:
    """Card, scene, what was done to it, and the parcels concerned, for each scene that is not as it was."""
    listed = lake.query("changes.scenes", **parcels.params).to_pylist()
    statuses = {(row["card"], row["scene"]): row["status"] for row in listed}
    for card in sorted(former.scenes.keys() | basis.scenes.keys()):
        then, now = former.scenes.get(card, {}), basis.scenes.get(card, {})
        seen = sorted(name for name in now if then.get(name) != now[name])
        gone = sorted(then.keys() - now.keys())
        pids = _by_scene(lake, f"changes.seen_{card}", {**parcels.params, "scenes": seen}) if seen else {}
        for scene in seen:
            yield card, scene, "extracted again:" if scene in then else "new scene", pids.get(scene, [])
        under = _by_scene(lake, "changes.under", {**parcels.params, "scenes": gone, "card": card}) if gone else {}
        for scene in gone:
            yield card, scene, f"{statuses.get((card, scene), 'gone')}:", under.get(scene, [])


def _by_scene(lake: Lake, question: str, params: dict[str, Any]) -> dict[str, list[str]]:
    pids: dict[str, list[str]] = {}
    for row in lake.query(question, **params).to_pylist():
        pids.setdefault(row["scene"], []).append(row["pid"])
    return pids
