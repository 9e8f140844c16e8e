"""Predicates of readers, by which files without a fitting row are left out; what is not understood leaves none out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

from cbm_lake.server.sharing.copies import Bound, File

Node: TypeAlias = Mapping[str, Any]
"""A part of a predicate in JSON, as a stranger sent it."""
_SQL: Final = re.compile(r"\s*`?(?P<column>\w+)`?\s*(?P<op>==?|<=?|>=?)\s*(?:'(?P<text>[^']*)'|(?P<number>-?\d+))\s*")
_WORDS: Final = {
    "=": "equal",
    "==": "equal",
    "<": "lessThan",
    "<=": "lessThanOrEqual",
    ">": "greaterThan",
    ">=": "greaterThanOrEqual",
}
_MIRRORED: Final = {
    "lessThan": "greaterThan",
    "lessThanOrEqual": "greaterThanOrEqual",
    "greaterThan": "lessThan",
    "greaterThanOrEqual": "lessThanOrEqual",
}
_DEEPEST: Final = 50
_ZONES: Final = timedelta(hours=14)
"""By which a time that says no zone can differ from the same one in UTC."""


class Comparison(NamedTuple):
    """A column compared with a value."""

    column: str
    op: str
    value: str


def fitting(files: Iterable[File], sql: Sequence[str], document: str | None, limit: int | None) -> list[File]:
    """The files that can have rows that a reader wants.

    Args:
        files: of a table.
        sql: predicates that all have to hold, such as `obstime >= '2024-05-01'`.
        document: a predicate in JSON.
        limit: rows that are enough; the reader takes no more of them.
    """
    simple = [_of_sql(text) for text in sql]
    tree = _parsed(document)
    fitting_files = [
        file
        for file in files
        if all(one is None or _can_hold(file, one) for one in simple) and (tree is None or _may(file, tree, 0))
    ]
    if limit is None or len(fitting_files) < 2 or sql or document:  # a limit counts rows that fit: nobody has
        return fitting_files
    enough: list[File] = []
    rows = 0
    for file in fitting_files:
        if rows >= limit and enough:
            break
        enough.append(file)
        rows += file.rows
    return enough


def _of_sql(text: str) -> Comparison | None:
    match = _SQL.fullmatch(text)
    if match is None:
        return None
    value = match["number"] if match["text"] is None else match["text"]
    return Comparison(match["column"], _WORDS[match["op"]], value)


def _parsed(document: str | None) -> Node | None:
    try:
        tree = json.loads(document or "null")
    except (ValueError, RecursionError):
        return None
    return tree if isinstance(tree, dict) else None


def _may(file: File, node: Node, depth: int) -> bool:
    """Whether a file can have rows for which a predicate holds."""
    op, children = node.get("op"), node.get("children")
    if depth > _DEEPEST or not isinstance(children, list) or not all(isinstance(child, dict) for child in children):
        return True
    if op == "and":
        return all(_may(file, child, depth + 1) for child in children)
    if op == "or":
        return any(_may(file, child, depth + 1) for child in children) or not children
    if op == "isNull" and len(children) == 1:
        return bool(file.nulls.get(str(children[0].get("name")), 1))
    one = _compared(str(op), children) if len(children) == 2 else None
    return one is None or _can_hold(file, one)


def _compared(op: str, children: Sequence[Node]) -> Comparison | None:
    """A comparison of a column with a literal, whichever comes first."""
    first, second = children
    if (first.get("op"), second.get("op")) == ("literal", "column"):
        return _compared(_MIRRORED.get(op, op), (second, first))
    if (first.get("op"), second.get("op")) != ("column", "literal") or op not in _WORDS.values():
        return None
    return Comparison(str(first.get("name")), op, str(second.get("value")))


def _can_hold(file: File, one: Comparison) -> bool:
    """Whether a file can have rows for which a comparison holds, as far as its bounds tell."""
    least, greatest = file.bounds.get(one.column, (None, None))
    span = None if least is None else _span(least, one.value)
    if span is None:
        return True
    first, last = span
    holds: dict[str, bool] = {
        "equal": least <= last and greatest >= first,
        "lessThan": least < last,
        "lessThanOrEqual": least <= last,
        "greaterThan": greatest > first,
        "greaterThanOrEqual": greatest >= first,
    }
    return holds[one.op]


def _span(like: Bound, text: str) -> tuple[Any, Any] | None:
    """Between which values a literal lies, as a column's values are; None where it is no such value."""
    if isinstance(like, str):
        return text, text
    if isinstance(like, int):
        return (int(text), int(text)) if re.fullmatch(r"-?\d{1,18}", text) else None
    try:
        if not isinstance(like, datetime):
            return date.fromisoformat(text), date.fromisoformat(text)
        moment = datetime.fromisoformat(text)
        if moment.tzinfo:
            return moment, moment
        return moment.replace(tzinfo=UTC) - _ZONES, moment.replace(tzinfo=UTC) + _ZONES
    except (ValueError, OverflowError):  # no time, or one at an end of the calendar
        return None
