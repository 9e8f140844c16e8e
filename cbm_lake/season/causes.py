"""Why something changed: which scenes came, were done again or count no more; other parcels, rules, or time."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow as pa

from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import memory
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.parameters import Parameters
from cbm_lake.season.differences import compared

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
    parts: int = 0
    """How often parts of parcels were written."""

    @classmethod
    def now(cls, lake: Lake, parcels: ParcelSet, parameters: Parameters, scenarios: Iterable[str]) -> Basis:
        """What it holds now."""
        how = memory.digest([parameters.model_dump_json(), *scenarios])
        return cls(memory.scenes(lake, parcels), parcels.version, how, lake.puts("divided", part_of(parcels)))

    @classmethod
    def read(cls, text: str) -> Basis:
        """What `text` says."""
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        """As JSON."""
        return json.dumps(self.__dict__, sort_keys=True)


def with_causes(
    changes: pa.Table, former: Basis | None, basis: Basis, lake: Lake, parcels: ParcelSet, day: date
) -> pa.Table:
    """Changes with the columns `cause` and `scenes`: what has happened since the last night."""
    general = []
    done: list[dict[str, str]] = []
    over = [pa.table({name: pa.array([], pa.string()) for name in ("card", "scene", "pid")})]
    if former is None:
        general.append("first night that is recorded")
    else:
        if former.parcels != basis.parcels:
            general.append(f"parcels loaded anew (version {basis.parcels})")
        if former.how != basis.how:
            general.append("other parameters or scenarios")
        if former.parts != basis.parts:
            general.append("parts of parcels searched")
        done, tables = _happened(former, basis, lake, parcels)
        over += tables
    kinds = pa.schema([(name, pa.string()) for name in ("card", "scene", "what")])
    tables_of = {"changes": changes, "done": pa.Table.from_pylist(done, schema=kinds), "over": pa.concat_tables(over)}
    words = {"general": "; ".join(general) or None, "day": day, "not_yet": NOT_YET_DUE, "listed": _LISTED}
    return compared("caused", tables_of, **words)


def _happened(
    former: Basis, basis: Basis, lake: Lake, parcels: ParcelSet
) -> tuple[list[dict[str, str]], list[pa.Table]]:
    """What was done to scenes that are not as they were (card, scene, what), over which parcels (card, scene, pid)."""
    listed = lake.query("changes.scenes", **parcels.params).to_pylist()
    statuses = {(row["card"], row["scene"]): row["status"] for row in listed}
    done, over = [], []
    for card in sorted(former.scenes.keys() | basis.scenes.keys()):
        then, now = former.scenes.get(card, {}), basis.scenes.get(card, {})
        seen = sorted(name for name in now if then.get(name) != now[name])
        gone = sorted(then.keys() - now.keys())
        what = {name: "extracted again:" if name in then else "new scene" for name in seen}
        what |= {name: f"{statuses.get((card, name), 'gone')}:" for name in gone}
        done += [{"card": card, "scene": name, "what": words} for name, words in what.items()]
        if seen:
            over.append(_of_card(lake.query(f"changes.seen_{card}", **parcels.params, scenes=seen), card))
        if gone:
            over.append(_of_card(lake.query("changes.under", **parcels.params, scenes=gone, card=card), card))
    return done, over


def _of_card(rows: pa.Table, card: str) -> pa.Table:
    """Rows (scene, pid) of a card."""
    columns = [pa.repeat(card, rows.num_rows), rows["scene"], rows["pid"]]
    return pa.table(columns, names=["card", "scene", "pid"])
