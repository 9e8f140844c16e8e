"""Scenes that a person leaves out: wrong or unreadable ones that are not to be extracted, nor to count any more.

A scene that is left out is not planned, its signatures do not count in the views s2, bs and c6, and it supersedes no
other, so an older product of the same acquisition counts again. Its rows, its pixels and its entries in the ledger stay
where they are: put back, it counts as before. Every decision is kept, with who made it, when and why.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.config import current_user
from cbm_lake.errors import InvalidInputError, NotFoundError, some
from cbm_lake.files import clock, installed
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked


@checked
def leave_out(
    scenes: str | Sequence[str],
    why: str,
    *,
    card: str | None = None,
    who: str | None = None,
    lake: Lake | None = None,
) -> list[str]:
    """Leave scenes out until `put_back`; returns their identifiers.

    Args:
        scenes: identifiers, or patterns of them with * and ?.
        why: kept, and shown by `cbm-lake status`.
        card: s2, bs, c6, …, see `cards.CARDS`; None looks among the scenes of all cards.
        who: decides it; None is the user of the settings (set.user), else of the computer.
        lake: which; None is the workspace's.

    Raises:
        NotFoundError: no scene is catalogued under one of the identifiers; near ones are named.
        InvalidInputError: no reason is given, or the card is unknown.
    """
    lake = lake_or_default(lake)
    catalogued = lake.query("scenes.ids", card=cards.get(card).name if card else None).to_pylist()
    selected = _select(scenes, {(row["card"], row["id"]) for row in catalogued}, "catalogued")
    _decide(lake, selected, "left out", why, who)
    return [scene for _, scene in selected]


@checked
def put_back(
    scenes: str | Sequence[str],
    why: str,
    *,
    card: str | None = None,
    who: str | None = None,
    lake: Lake | None = None,
) -> list[str]:
    """Let scenes that were left out count again, and be extracted where they were not; returns their identifiers.

    Args are those of `leave_out`.

    Raises:
        NotFoundError: one of the scenes is not left out; near ones are named.
        InvalidInputError: no reason is given, or the card is unknown.
    """
    lake = lake_or_default(lake)
    gone = {(row["card"], row["scene"]) for row in left_out(lake=lake).to_pylist()}
    name_of_card = cards.get(card).name if card else None
    selected = _select(scenes, {pair for pair in gone if name_of_card in (None, pair[0])}, "left out")
    _decide(lake, selected, "put back", why, who)
    return [scene for _, scene in selected]


def left_out(*, lake: Lake | None = None) -> pa.Table:
    """The scenes that are left out: card, scene, obstime, why, who, decided."""
    lake = lake_or_default(lake)
    return lake.query("scenes.left_out")


def _select(patterns: str | Sequence[str], pairs: set[tuple[str, str]], state: str) -> list[tuple[str, str]]:
    """Card and identifier of the scenes that are meant."""
    selected: set[tuple[str, str]] = set()
    for name in [patterns] if isinstance(patterns, str) else patterns:
        matches = {pair for pair in pairs if pair[1] == name} or {pair for pair in pairs if fnmatchcase(pair[1], name)}
        if not matches:
            near = difflib.get_close_matches(name, [scene for _, scene in pairs], 3, 0.5)
            there = f"did you mean {some(near)}?" if near else "`cbm-lake scenes list` shows those that there are"
            raise NotFoundError(f"no scene {name!r} is {state}; {there}")
        selected |= matches
    return sorted(selected)


def _decide(lake: Lake, selected: Sequence[tuple[str, str]], status: str, why: str, who: str | None) -> None:
    """Record the decision for all scenes in one commit."""
    if not why.strip():
        raise InvalidInputError(f"say why the scenes are {status}; the reason is kept")
    decision = {"status": status, "why": why.strip(), "who": who or current_user(), "decided": clock.now()}
    rows = [{"card": card, "scene": scene, **decision, "version": installed.version()} for card, scene in selected]
    if rows:
        lake.add_exclusions(pa.Table.from_pylist(rows, schema=schemas.EXCLUSIONS))
