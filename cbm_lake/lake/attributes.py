"""The view parcel_attributes: a row per parcel that was described, a column per attribute that any of them has."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import duckdb
import pyarrow as pa

KEYS: Final = pa.schema([(name, pa.string()) for name in ("aoi", "year", "ptype", "pid")])
"""The columns that it has in any case."""
_COLUMN: Final = re.compile(r"[a-z][a-z0-9_]*")
"""How attributes are called that are columns."""


def create_view(connection: duckdb.DuckDBPyConnection) -> None:
    """Create the view from parcel_attributes_long and the table attributes.

    A column is text where one of its values is the text of a class, BIGINT where all are classes, else DOUBLE.
    """
    kinds: dict[str, set[str]] = {}
    for name, kind in connection.table("attributes").project("attribute, kind").distinct().fetchall():
        kinds.setdefault(name, set()).add(kind)
    columns = [
        f"any_value({_typed(kinds[name])}) filter (attribute = '{name}') as \"{name}\""
        for name in sorted(kinds)
        if _COLUMN.fullmatch(name)
    ]
    grouped = ", ".join([*KEYS.names, *columns])
    connection.table("parcel_attributes_long").aggregate(grouped).create_view("parcel_attributes")


def _typed(kinds: Collection[str]) -> str:
    """The value of an attribute of those kinds as SQL."""
    if "label" in kinds:
        return "coalesce(label, format('{:g}', value))"
    return "value::bigint" if kinds == {"class"} else "value"
