"""Conversion of float32 columns to the float64 with the same shortest decimal representation.

-2.45 is stored as the nearest float32, which as float64 is -2.450000047683716. The float64 nearest to its shortest
decimal, -2.45, is what it is written from; converted to float32 it is the same number again.
"""

from __future__ import annotations

from typing import TypeVar

import pyarrow as pa

Column = TypeVar("Column", pa.Array, pa.ChunkedArray)
Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


def shortest(column: Column) -> Column:
    """A column whose float32, also those in lists and structs, are float64 of the same shortest decimals."""
    text, number = (_instead(column.type, kind) for kind in (pa.string(), pa.float64()))
    return column if text.equals(column.type) else column.cast(text).cast(number)


def written(rows: Rows) -> Rows:
    """Rows whose columns are `shortest`, in the order and with the metadata that they have."""
    columns = [shortest(column) for column in rows.columns]
    fields = [field.with_type(column.type) for field, column in zip(rows.schema, columns, strict=True)]
    return type(rows).from_arrays(columns, schema=pa.schema(fields, rows.schema.metadata))


def _instead(kind: pa.DataType, other: pa.DataType) -> pa.DataType:
    """A type with another one instead of float32."""
    if pa.types.is_float32(kind):
        return other
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_instead(kind.value_type, other)))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_instead(field.type, other)) for field in kind])
    return kind
