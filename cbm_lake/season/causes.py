"""Why something changed: by what differs between two nights of the declaration, the scenes, the rules and the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import pyarrow as pa

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.detectors import asked_for
from cbm_lake.markers.groups import PARTIAL
from cbm_lake.markers.judging import PEERS
from cbm_lake.markers.memory import COHERENCE, OPTICAL
from cbm_lake.markers.rules import markers_of
from cbm_lake.season.basis import NightBasis, asked_attributes
from cbm_lake.season.differences import compared
from cbm_lake.season.redeclared import PARCELS, Asked, checked_scenarios, compared_scenarios, redeclared
from cbm_lake.season.scenehistory import DONE, OVER, Count, Scenehistory

FIRST: Final = "first night that is recorded"
"""The cause of all that there is on the night before which none was recorded."""
_LISTED: Final = 3
"""Scenes that a cause names; of more it says how many."""
_GENERAL: Final = pa.schema([(name, pa.string()) for name in ("kind", "scenario", "marker", "what")])
_TURNS: Final = pa.schema([("pid", pa.string()), ("scenario", pa.string()), ("turned", pa.date32())])
_OF_ALL: Final = frozenset({"new parcel", "parcel declared no more", "outline changed"})
Row = dict[str, Any]


@dataclass(frozen=True)
class Former:
    """The night before."""

    basis: NightBasis
    day: date


@dataclass(frozen=True)
class Present:
    """This night."""

    lake: Lake
    parcels: ParcelSet
    asked: Asked
    basis: NightBasis
    day: date
    turns: pa.Table
    """The day that had to come for each light (pid, scenario, turned)."""

    def with_causes(self, changes: pa.Table, former: Former | None) -> pa.Table:
        """Changes with the columns `cause` and `scenes`: what has happened since the night before."""
        declared, general = PARCELS.empty_table(), [{"what": FIRST}]
        done, over = DONE.empty_table(), OVER.empty_table()
        if former is not None:
            declared, general = self._declared(former)
            declared = pa.concat_tables([declared, self._checked(former.basis)])
            done, over = self._scenes(former)
        tables = {
            "changes": changes,
            "declared": declared,
            "general": pa.Table.from_pylist(general, schema=_GENERAL),
            "done": done,
            "over": over,
            "turns": self.turns.select(_TURNS.names).cast(_TURNS) if former else _TURNS.empty_table(),
            "decided": self.lake.query("changes.decided"),
        }
        words = {"peers": list(PEERS), "compared": compared_scenarios(self.asked), "listed": _LISTED}
        words |= {"checked": checked_scenarios(self.asked)}
        return compared("caused", tables, **words, day=self.day, before=former.day if former else None)

    def _scenes(self, former: Former) -> tuple[pa.Table, pa.Table]:
        """What happened to scenes, of lights and of markers, which rest on what the last search had read."""
        further = asked_for(self.asked.parameters.detectors)
        cards = frozenset({OPTICAL, COHERENCE, *(one.card for one in further)})
        recorded = self.lake.query("changes.present", **self.parcels.params, kind="scene").to_pylist()
        before = {(row["card"], row["scene"]): row["after"] for row in recorded}
        nights = self.lake.query("changes.nights", **self.parcels.params)["rests_on"].to_pylist()
        searched = [night for night in nights if NightBasis.read(night).search != former.basis.search]
        by_kind = {"light": nights, "marker": searched}
        history = Scenehistory(self.lake, self.parcels, before, by_kind, cards)
        return history.happened(
            {
                "light": (Count(former.basis.scenes, former.day), Count(self.basis.scenes, self.day)),
                "marker": (Count(former.basis.searched_scenes, None), Count(self.basis.searched_scenes, None)),
            }
        )

    def _declared(self, former: Former) -> tuple[pa.Table, list[Row]]:
        """What is declared otherwise, by parcel; and what else is other, for all of a kind."""
        general = [*self._rules(former.basis)]
        if former.basis.parcels == self.basis.parcels:
            return PARCELS.empty_table(), general
        rows = redeclared(self.lake, self.parcels, former.basis.parcels, self.asked)
        if rows is None:
            what = f"parcels loaded anew (version {self.basis.parcels}); what they were before is not there any more"
            return PARCELS.empty_table(), [{"what": what}, *general]
        if any(what in _OF_ALL or what.startswith("crop") for what in rows["what"].unique().to_pylist()):
            what = "parcels that it is compared with were declared otherwise"
            general += [{"kind": "marker", "marker": marker, "what": what} for marker in PEERS]
            general += [{"kind": "light", "scenario": name, "what": what} for name in compared_scenarios(self.asked)]
        return rows, general

    def _checked(self, former: NightBasis) -> pa.Table:
        """What a crop check that was made since the night before says of each parcel."""
        rows: list[Row] = []
        if former.checks is not None and former.checks != self.basis.checks:
            says = self.lake.query("markers.crop_checks", **self.parcels.params, pids=None)
            rows = [
                {"kind": "light", "scenario": name, "pid": one["pid"], "what": _of_check(one)}
                for name in checked_scenarios(self.asked)
                for one in says.select(["pid", "marker_type", "date_end"]).to_pylist()
            ]
        return pa.Table.from_pylist(rows, schema=PARCELS)

    def _rules(self, former: NightBasis) -> list[Row]:
        """What differs of parameters, scenarios, attributes, and this package."""
        now, rows = self.basis, []
        if not former.is_detailed:
            return [] if former.how == now.how else [{"what": "other parameters or scenarios"}]
        if former.detected != now.detected:
            rows.append({"kind": "light", "what": "other parameters"})
        if None not in (former.searched_how, now.searched_how) and former.searched_how != now.searched_how:
            other_version = former.version != now.version and former.detected == now.detected
            what = f"searched by cbm-lake {now.version}" if other_version else "searched by other parameters"
            rows.append({"kind": "marker", "what": what})
        if former.version != now.version:
            rows.append({"kind": "light", "what": f"judged by cbm-lake {now.version}, before by {former.version}"})
        rows += [
            {"kind": "light", "scenario": name, "what": _of_rules(name, former, now)}
            for name in sorted(former.rules.keys() | now.rules.keys())
            if former.rules.get(name) != now.rules.get(name)
        ]
        if None not in (former.parts, now.parts) and former.parts != now.parts:
            rows += [
                {"kind": "light", "scenario": name, "what": "parts of parcels were searched"}
                for name in now.rules
                if markers_of(self.asked.parameters.scenarios[name]) & set(PARTIAL)
            ]
        for name in now.rules:
            asked = asked_attributes(self.asked.parameters, name)
            other = [one for one in asked if former.attributes.get(one) != now.attributes.get(one)]
            what = f"described anew: {', '.join(other)}"
            rows += [{"kind": "light", "scenario": name, "what": what}] if other and name in former.rules else []
        return rows


def _of_check(row: Row) -> str:
    return f"crop check of {row['date_end']} says {row['marker_type']}"


def _of_rules(scenario: str, former: NightBasis, now: NightBasis) -> str:
    if scenario not in former.rules:
        return "scenario is judged since"
    return "scenario is judged no more" if scenario not in now.rules else "rules of the scenario changed"
