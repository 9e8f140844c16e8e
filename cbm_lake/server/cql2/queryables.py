"""The properties that may be asked for in a filter, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import pyarrow as pa


class Kind(Enum):
    """What the values of a property are; values of two kinds are not compared."""

    TEXT = "text"
    NUMBER = "number"
    TRUTH = "boolean"
    TIME = "timestamp"
    DAY = "date"
    GEOMETRY = "geometry"


@dataclass(frozen=True)
class Queryable:
    """A property."""

    column: str
    """Of the rows that are filtered."""
    kind: Kind


Queryables: TypeAlias = Mapping[str, Queryable]
"""By the names that they have in filters."""

_SCHEMAS: Mapping[Kind, dict[str, str]] = {
    Kind.TEXT: {"type": "string"},
    Kind.NUMBER: {"type": "number"},
    Kind.TRUTH: {"type": "boolean"},
    Kind.TIME: {"type": "string", "format": "date-time"},
    Kind.DAY: {"type": "string", "format": "date"},
    Kind.GEOMETRY: {"$ref": "https://geojson.org/schema/Geometry.json"},
}


def of_schema(schema: pa.Schema) -> dict[str, Queryable]:
    """The queryables of a table: its plain columns, and the geometry where it has one.

    Columns with nested values, and binary ones, are left out.
    """
    kinds = ((field.name, _kind(field)) for field in schema)
    return {name: Queryable(name, kind) for name, kind in kinds if kind is not None}


def _kind(field: pa.Field) -> Kind | None:
    kind, types = field.type, pa.types
    if field.name == "geometry":
        return Kind.GEOMETRY
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return Kind.TEXT
    if types.is_boolean(kind):
        return Kind.TRUTH
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return Kind.NUMBER
    if types.is_timestamp(kind):
        return Kind.TIME
    return Kind.DAY if types.is_date(kind) else None


def document(address: str, title: str, queryables: Queryables) -> dict[str, object]:
    """The JSON schema of queryables, as clients fetch it from `address`."""
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": address,
        "type": "object",
        "title": title,
        "properties": {name: {"title": name, **_SCHEMAS[one.kind]} for name, one in queryables.items()},
        "additionalProperties": False,
    }
