"""DuckDB types that each export format supports; others become text in text formats, or are refused by column name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb
import pyarrow as pa

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import columns

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_WITHOUT_ARROW: Final = frozenset({"bit", "time with time zone", "bignum", "variant"})
"""Types of which DuckDB hands over the bytes that it stores, or (a time's zone) only a part."""
_NO_JSON: Final = _WITHOUT_ARROW | {"interval", "blob", "geometry"}
_NESTED: Final = frozenset({"list", "array", "struct", "map", "union"})


@dataclass(frozen=True)
class Format:
    """A file format, and the DuckDB types that it does not support."""

    name: str
    refused: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    """Types written as DuckDB writes them as text."""
    json: bool = True
    """Whether nested values are written as JSON."""
    folds_case: bool = False
    """Whether two names that differ in capitals alone are the same to it."""
    reserved: frozenset[str] = frozenset()
    """Names in lower case that no column may have."""


PARQUET: Final = Format("Parquet", _WITHOUT_ARROW | {"interval", "union"}, json=False)
ARROW: Final = Format("Arrow", _WITHOUT_ARROW, json=False)
CSV: Final = Format("CSV", texts=_WITHOUT_ARROW | {"interval"})
XLSX: Final = Format("Excel", texts=_WITHOUT_ARROW | {"interval"})
GEOJSON: Final = Format("GeoJSON", _NO_JSON)
_NO_OGR: Final = _WITHOUT_ARROW | {"interval", "time", "time_ns"}
GEOPACKAGE: Final = Format("GeoPackage", _NO_OGR, folds_case=True)
FLATGEOBUF: Final = Format("FlatGeobuf", _NO_OGR, folds_case=True, reserved=frozenset({"ogc_fid"}))


@dataclass(frozen=True)
class Rows:
    """Batches of one schema, as they come."""

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]
    json_columns: frozenset[str]
    """Text columns that hold JSON."""

    def mapped(self, change: Callable[[pa.RecordBatch], pa.RecordBatch]) -> Rows:
        """The rows with every batch changed; the schema changes as that of an empty batch does."""
        return Rows(change(no_rows(self.schema)).schema, map(change, self.batches), self.json_columns)


def no_rows(schema: pa.Schema) -> pa.RecordBatch:
    """A batch without rows; Arrow makes empty columns of unions as nulls only."""
    return pa.RecordBatch.from_arrays([pa.nulls(0, field.type) for field in schema], schema=schema)


def rows(relation: duckdb.DuckDBPyRelation, kind: Format, size: int, geometry: str | None = None) -> Rows:
    """The rows of a relation in types that the format supports, every column with its description and unit.

    Args:
        relation: what is written.
        kind: the format.
        size: rows of a batch.
        geometry: the column that becomes the format's own geometry, whatever its type.

    Raises:
        InvalidInputError: a column cannot be written; the message names it.
    """
    _check_names(relation.columns, kind, geometry)
    selected = []
    for number, (name, type_) in enumerate(zip(relation.columns, relation.types, strict=True), 1):
        if name != geometry:
            _check_type(name, type_, kind)
        quoted = '"' + name.replace('"', '""') + '"'
        as_text = type_.id in kind.texts or type_.id == "enum"  # of whose nulls DuckDB leaves the numbers unset
        selected.append(f"#{number}::varchar as {quoted}" if as_text else f"#{number} as {quoted}")
    reader = relation.project(", ".join(selected)).to_arrow_reader(size)
    types = dict(zip(relation.columns, relation.types, strict=True))
    wide = {name: type_.id for name, type_ in types.items() if type_.id in {"hugeint", "uhugeint"}}
    for_json = frozenset(name for name, type_ in types.items() if str(type_) == "JSON")
    schema = _described(reader.schema)
    batches = (pa.RecordBatch.from_arrays(_checked(batch, wide).columns, schema=schema) for batch in reader)
    return Rows(schema, batches, for_json)


def refuse(name: str, kind: str, reason: str) -> InvalidInputError:
    """The error that names an unsupported column and what can be done."""
    return InvalidInputError(
        f"column {name} cannot be written to {kind}: {reason}; cast it to varchar, or leave it out by exclude"
    )


def leaves(type_: DuckDBPyType) -> Iterator[str]:
    """The ids of a type, or of the types that a nested one is made of."""
    if type_.id not in _NESTED:
        yield type_.id
        return
    yield type_.id
    for _, child in type_.children:
        if not isinstance(child, int | list):  # the length of an array, the values of an enum
            yield from leaves(child)


def _check_type(name: str, type_: DuckDBPyType, kind: Format) -> None:
    nested = kind.texts | (_NO_JSON if kind.json else frozenset()) if type_.id in _NESTED else frozenset()
    if (kind.refused | nested).intersection(leaves(type_)):
        raise refuse(name, kind.name, f"it is {type_}, which that format cannot hold")


def _check_names(names: list[str], kind: Format, geometry: str | None) -> None:
    former: dict[str, str] = {}
    for name in names:
        if name == geometry:
            continue
        key = name.lower() if kind.folds_case else name
        if key in former:
            raise InvalidInputError(
                f"columns {former[key]} and {name} have one name in {kind.name}; rename one in the statement with `as`"
            )
        if key in kind.reserved:
            raise InvalidInputError(f"{kind.name} has no column {name}; rename it in the statement with `as`")
        former[key] = name


def _described(schema: pa.Schema) -> pa.Schema:
    described = {name: columns.describe(name, schema.names) for name in schema.names}
    return pa.schema([_with_description(field, described[field.name]) for field in schema])


def _with_description(field: pa.Field, column: columns.Column | None) -> pa.Field:
    return field if column is None else field.with_metadata({**(field.metadata or {}), **column.metadata()})


def _checked(batch: pa.RecordBatch, wide: Mapping[str, str]) -> pa.RecordBatch:
    """The batch; refused where one of DuckDB's widest numbers has more digits than Arrow's decimals."""
    for name, type_ in wide.items():
        column = batch.column(name)
        try:
            column.validate(full=True)
        except pa.ArrowInvalid as error:
            raise refuse(name, "this format", "it has numbers of more than 38 digits") from error
        if type_ == "uhugeint" and any(value < 0 for value in column.drop_null().to_pylist()):
            raise refuse(name, "this format", "it has numbers of more than 38 digits")
    return batch
