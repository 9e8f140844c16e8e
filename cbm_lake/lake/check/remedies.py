"""Advice of `check`: the commands that repair what is damaged or lost."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import duckdb
import pyarrow as pa

from cbm_lake.cards.pixelrule import PixelRule
from cbm_lake.lake import queries
from cbm_lake.lake.check.looking import Row

_MOST = 3
"""Commands that one line of advice names."""


class _Run(NamedTuple):
    """What scenes that one command extracts have in common."""

    card: str
    aoi: str
    year: int
    ptype: str
    bands: tuple[str, ...]
    rule: str
    cube: bool


@dataclass(frozen=True)
class Remedies:
    """The extractions to repeat when data of a scene are lost."""

    done: list[Row]
    """Rows of check.commands."""

    @classmethod
    def of(cls, ledger: pa.Table, catalogued: pa.Table) -> Remedies:
        """Those of a ledger and a catalogue (card, id, datetime)."""
        connection = duckdb.connect()
        connection.execute("set timezone = 'UTC'")
        connection.register("ledger", ledger)
        connection.register("catalogued", catalogued)
        return cls(connection.sql(queries.get("check.commands").sql).to_arrow_table().to_pylist())

    def of_scene(self, card: str, scene: str, *, cubes: bool = False) -> str:
        """The commands that extract a scene again over each parcel set, or only those of which the cube has pixels."""
        return self._joined(
            row for row in self.done if (row["card"], row["scene"]) == (card, scene) and (row["cube"] or not cubes)
        )

    def of_set(self, row: Row) -> str:
        """The command that extracts a scene again over one parcel set."""
        key = ("card", "scene", "aoi", "year", "ptype")
        return self._joined(other for other in self.done if all(other[name] == row[name] for name in key))

    def of_cube(self, card: str, grid: str) -> str:
        """The commands that fill a cube again."""
        return self._joined(
            row
            for row in self.done
            if row["card"] == card
            and row["cube"]
            and (row["slots"] is None or any(slot["grid"] == grid for slot in row["slots"]))
        )

    def _joined(self, rows: Iterable[Row]) -> str:
        commands = list(dict.fromkeys(_commands(list(rows))))
        if not commands:
            return "extract again, with --again, what it is of"
        text = " and ".join(f"`{command}`" for command in commands[:_MOST])
        more = len(commands) - _MOST
        return f"run {text}{f' and the same for {more} more; check again names them' if more > 0 else ''}"


def _commands(rows: list[Row]) -> Iterable[str]:
    """One command for all scenes of a card over a parcel set that were extracted alike."""
    groups: dict[_Run, list[str]] = {}
    for row in rows:
        run = _Run(*(row[name] for name in _Run._fields))._replace(bands=tuple(row["bands"] or ()))
        groups.setdefault(run, []).append(row["day"] or "DAY")
    for run, days in groups.items():
        words = ["cbm-lake", "extract", run.card, "--start", min(days), "--end", max(days)]
        words += ["--aoi", run.aoi, "--year", str(run.year)]
        words += ["--ptype", run.ptype] if run.ptype else []
        words += ["--bands", ",".join(run.bands)] if run.bands else []
        rule = PixelRule.parse(run.rule)
        words += ["--rule", rule.method] if rule.method != "centre" else []
        words += ["--inner-buffer", f"{rule.inner_buffer:g}"] if rule.inner_buffer else []
        words += ["--correct-shift"] if any(rule.moved) else []
        yield shlex.join([*words, "--again", *([] if run.cube else ["--no-cube"])])
