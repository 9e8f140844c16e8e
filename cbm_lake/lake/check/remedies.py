"""Advice of `check`: the commands that repair what is damaged or lost."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import duckdb
import pyarrow as pa

from cbm_lake import cards
from cbm_lake.cards.maskrule import MaskRule
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
    statistics: tuple[str, ...]
    indices: tuple[str, ...]
    mask: str | None

    @classmethod
    def of(cls, row: Row) -> _Run:
        """That of a row of check.commands."""
        lists = {name: tuple(row[name] or ()) for name in ("bands", "statistics", "indices")}
        return cls(**{**{name: row[name] for name in cls._fields}, **lists})

    def command(self, first: str, last: str) -> str:
        """What extracts the scenes of some days again by the same rule."""
        words = ["cbm-lake", "extract", self.card, "--start", first, "--end", last]
        words += ["--aoi", self.aoi, "--year", str(self.year)]
        words += ["--ptype", self.ptype] if self.ptype else []
        for option in ("bands", "statistics", "indices"):
            names = getattr(self, option)
            words += [f"--{option}", ",".join(names)] if names else []
        words += [*_of_rule(PixelRule.parse(self.rule)), *_of_mask(self.card, self.mask)]
        return shlex.join([*words, "--again", *([] if self.cube else ["--no-cube"])])


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
        commands = list(dict.fromkeys(self._commands({id(row) for row in rows})))
        if not commands:
            return "extract again, with --again, what it is of"
        text = " and ".join(f"`{command}`" for command in commands[:_MOST])
        more = len(commands) - _MOST
        return f"run {text}{f' and the same for {more} more; check again names them' if more > 0 else ''}"

    def _commands(self, asked: set[int]) -> Iterator[str]:
        """One command for the scenes of successive days over a parcel set that were extracted alike.

        No scene that was extracted otherwise lies between them: it would be extracted again by their rule.
        """
        by_set = sorted(
            self.done, key=lambda row: (row["card"], row["aoi"], row["year"], row["ptype"], row["day"] or "")
        )
        for run, group in groupby(by_set, _Run.of):
            days = [row["day"] or "DAY" for row in group if id(row) in asked]
            if days:
                yield run.command(days[0], days[-1])


def _of_rule(rule: PixelRule) -> list[str]:
    """The options of `extract` for a pixel rule."""
    words = ["--rule", rule.method] if rule.method != "centre" else []
    words += ["--inner-buffer", repr(rule.inner_buffer).removesuffix(".0")] if rule.inner_buffer else []
    return [*words, *(["--correct-shift"] if any(rule.moved) else [])]


def _of_mask(card: str, mask: str | None) -> list[str]:
    """The options of `extract` for a mask of clear pixels, as the ledger states it."""
    if cards.get(card).classification is None:
        return []
    if not mask:
        return ["--no-clear"]
    rule = MaskRule.parse(mask)
    words = ["--dilate", str(rule.dilate)] if rule.dilate else []
    return [*words, *(["--mask", rule.other] if rule.other else [])]
