"""Deterministic row order: ties in the order of a statement are broken by all columns, so that exports are repeatable.

Without an order a query returns rows as they are stored and as threads finish, which compaction changes; with a partial
one, this holds for ties. The statement is parsed and rewritten by DuckDB itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import duckdb

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import queries

KEYS: Final = {
    **dict.fromkeys(cards.CARDS, ("aoi", "year", "ptype", "pid", "obstime", "scene")),
    "observations": ("aoi", "year", "ptype", "pid", "obstime", "scene", "card"),
    "parcels": ("aoi", "year", "ptype", "pid"),
    "scenes": ("card", "obstime", "id"),
}
"""Columns by which no two rows of a view are equal."""
_ORDER: Final = "ORDER_MODIFIER"
_FIRST: Final = frozenset({_ORDER, "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"})
"""What must not be done before the rows have their order."""
_POSITIONS: Final = frozenset({"query_location", "query_location_length"})

Node: TypeAlias = dict[str, Any]
"""A node of a statement as DuckDB serializes it, in JSON."""


@dataclass(frozen=True)
class Hidden:
    """Columns whose values are replaced afterwards, which the order of the rows must not undo."""

    columns: frozenset[str]
    salt: str
    """Hexadecimal digits that nobody knows."""


def ordered(
    cursor: duckdb.DuckDBPyConnection,
    statement: str,
    params: Mapping[str, object],
    keys: Sequence[str] = (),
    hidden: Hidden | None = None,
) -> duckdb.DuckDBPyRelation:
    """The rows of a statement in a deterministic order that depends only on the rows; equal rows are adjacent.

    Args:
        cursor: of the lake, its views known.
        statement: one SELECT. The order that it has itself comes first.
        params: values of its parameters.
        keys: columns by which no two rows are equal, where they are known; all without them.
        hidden: columns whose order must not be revealed, unless the statement itself reveals it.

    Raises:
        InvalidInputError: DuckDB does not accept the statement.
    """
    with queries.translated():
        rows = cursor.sql(statement, params=dict(params) or None)
        node = _parsed(cursor, statement)
        if node is None:  # PIVOT, of which DuckDB does not tell how it is parsed
            return rows if "order by" in " ".join(statement.lower().split()) else _by(rows, (), hidden)
        if _describes(node):
            return rows
        if not _FIRST.intersection(modifier["type"] for modifier in node["modifiers"]):
            doubled = _doubled(rows.columns)
            if not doubled:
                return _by(rows, keys, hidden)
            if hidden:
                raise InvalidInputError(f"columns {doubled} have one name but for capitals; rename one of them")
        total = _total(cursor, statement, len(rows.columns))
        return rows if total is None else cursor.sql(total, params=dict(params) or None)


def _by(rows: duckdb.DuckDBPyRelation, keys: Sequence[str], hidden: Hidden | None) -> duckdb.DuckDBPyRelation:
    """The rows by those columns, or by all; hidden ones come last, by a hash of their values."""
    names = rows.columns
    secret = hidden.columns if hidden else ()
    numbers = [number for number, name in enumerate(names, 1) if not keys or name in keys]
    visible = [f"#{number}" for number in numbers if names[number - 1] not in secret]
    salted = (
        [f"sha256(concat('{hidden.salt}', #{number}))" for number in numbers if f"#{number}" not in visible]
        if hidden
        else []
    )
    return rows.order(", ".join(visible + salted))


def _doubled(names: Sequence[str]) -> str:
    """The first two names that DuckDB does not tell apart, and of which it renames one in an outer SELECT."""
    former: dict[str, str] = {}
    for name in names:
        if name.lower() in former:
            return f"{former[name.lower()]} and {name}"
        former[name.lower()] = name
    return ""


def _parsed(cursor: duckdb.DuckDBPyConnection, statement: str) -> Node | None:
    """The top of a statement as DuckDB parses it; None where it tells that of SELECT alone."""
    document: Node = json.loads(_one(cursor, "select json_serialize_sql($given::varchar)", statement))
    return None if document["error"] else document["statements"][0]["node"]


def _describes(node: Node) -> bool:
    return node["type"] == "SELECT_NODE" and (node.get("from_table") or {}).get("type") == "SHOW_REF"


def _total(cursor: duckdb.DuckDBPyConnection, statement: str, columns: int) -> str | None:
    """The statement with all its columns behind its order; None where DuckDB would write it as another one."""
    text = _one(cursor, "select json_serialize_sql($given::varchar)", statement)
    document: Node = json.loads(text)
    if _plain(document) != _plain(json.loads(_serialized_again(cursor, text))):
        return None
    modifiers: list[Node] = document["statements"][0]["node"]["modifiers"]
    order = next((modifier for modifier in modifiers if modifier["type"] == _ORDER), None)
    if order is None:
        order = {"type": _ORDER, "orders": []}
        index = next((n for n, modifier in enumerate(modifiers) if modifier["type"] in _FIRST), len(modifiers))
        modifiers.insert(index, order)
    order["orders"] += _example(cursor, columns)
    return _one(cursor, "select json_deserialize_sql($given::json)", json.dumps(document))


def _example(cursor: duckdb.DuckDBPyConnection, columns: int) -> list[Node]:
    """The order by the first, the second, … column, as DuckDB parses it."""
    numbers = ", ".join(map(str, range(1, columns + 1)))
    example = f"select * from rows order by {numbers}"  # noqa: S608 - numbers made here, and nothing runs it
    node = _parsed(cursor, example) or {"modifiers": [{"orders": []}]}
    orders: list[Node] = node["modifiers"][0]["orders"]
    return orders


def _serialized_again(cursor: duckdb.DuckDBPyConnection, text: str) -> str:
    again = _one(cursor, "select json_deserialize_sql($given::json)", text)
    return _one(cursor, "select json_serialize_sql($given::varchar)", again)


def _one(cursor: duckdb.DuckDBPyConnection, statement: str, value: str) -> str:
    ((result,),) = cursor.execute(statement, {"given": value}).fetchall()
    return str(result)


def _plain(document: object) -> object:
    """A parsed statement without the positions of its words."""
    if isinstance(document, dict):
        return {name: _plain(value) for name, value in document.items() if name not in _POSITIONS}
    return [_plain(value) for value in document] if isinstance(document, list) else document
