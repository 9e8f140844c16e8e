"""Conversion of values for export: to JSON, text cells or GDAL types; exact, or refused by column name."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.lake.export.formats import refuse

log = logging.getLogger(__name__)

SIGNS: Final = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""How a text begins that a spreadsheet takes for a formula: signs (also those of full width), tab, new line."""
_FORMULA: Final = f"^[{re.escape(''.join(sorted(SIGNS)))}]"

_Value = None | bool | int | float | str | list["_Value"] | dict[str, "_Value"]
_Plainer = Callable[[Any], _Value]
"""Converts a Python value of an Arrow type to a JSON value."""


def replaced(
    batch: pa.RecordBatch, change: Callable[[pa.Field, pa.Array], pa.Array], kind: str, *, but: str | None = None
) -> pa.RecordBatch:
    """The batch with every column changed; where one cannot be, its name is said.

    Args:
        batch: rows.
        change: gives the new column for a field and its column.
        kind: the format, for messages.
        but: a column that stays.
    """
    arrays, fields = [], []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name != but:
            try:
                column = change(field, column)  # noqa: PLW2901
            except InvalidInputError:  # which names the column already
                raise
            except (OverflowError, ValueError, pa.ArrowException) as error:
                raise refuse(field.name, kind, " ".join(str(error).split())) from error
        arrays.append(column)
        fields.append(pa.field(field.name, column.type, metadata=field.metadata))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def is_nested(kind: pa.DataType) -> bool:
    """Whether values are lists, structs, maps or unions."""
    return bool(pa.types.is_nested(kind))


def json_of(column: pa.Array) -> pa.Array:
    """Nested values as JSON texts, null where there is none."""
    plain = _plainer(column.type)
    texts = [None if value is None else _dumped(plain(value)) for value in column.to_pylist()]
    return pa.array(texts, pa.string())


def _dumped(value: _Value) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _plainer(kind: pa.DataType) -> _Plainer:
    """What turns a value of that type into what JSON knows: NaN and infinities into null, times into ISO 8601."""
    if pa.types.is_struct(kind):
        parts = {field.name: _plainer(field.type) for field in kind}
        return lambda value: None if value is None else {name: part(value[name]) for name, part in parts.items()}
    if pa.types.is_map(kind):
        item = _plainer(kind.item_type)
        return lambda value: None if value is None else {_key(key): item(one) for key, one in value}
    if is_nested(kind) and not pa.types.is_union(kind):
        item = _plainer(kind.value_type)
        return lambda value: None if value is None else [item(one) for one in value]
    return _plain


def _key(value: object) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else _dumped(plain)


def _plain(value: object) -> _Value:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return _named(value)


def _named(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return str(value.isoformat()) if hasattr(value, "isoformat") else _duration(value)


def json_rows(batch: pa.RecordBatch | pa.Table, of_bytes: Callable[[bytes], str]) -> Iterator[dict[str, _Value]]:
    """Every row as JSON has it: numbers as numbers, NaN and infinities null, times as ISO 8601.

    Args:
        batch: rows.
        of_bytes: what stands for bytes.
    """
    columns = []
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_floating(field.type):
            columns.append(pc.if_else(pc.is_finite(column), column, None).to_pylist())
        elif pa.types.is_string(field.type) or pa.types.is_integer(field.type):
            columns.append(column.to_pylist())
        else:
            plain = of_bytes if pa.types.is_binary(field.type) else _lenient(_plainer(field.type))
            columns.append([None if value is None else plain(value) for value in column.to_pylist()])
    for row in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, row, strict=True))


def _lenient(plain: _Plainer) -> _Plainer:
    """Rows as JSON values, with NaN and infinities as text."""

    def change(value: object) -> _Value:
        try:
            return plain(value)
        except ValueError:
            return str(value)

    return change


def _number(value: Decimal) -> int | float:
    if value == value.to_integral_value():
        return int(value)
    if Decimal(repr(float(value))) != value:
        raise ValueError(f"{value} inside a nested value has more digits than a float64")
    return float(value)


def without_json(batch: pa.RecordBatch, *, nested: bool = False) -> set[str]:
    """The columns with numbers that JSON does not know, NaN and infinity.

    Args:
        batch: rows.
        nested: whether only lists, structs and maps count, which formats of their own numbers write as JSON too.
    """
    return {
        name
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
        if (is_nested(column.type) or not nested) and _is_without_json(column)
    }


def with_nan(batch: pa.RecordBatch) -> set[str]:
    """The columns of numbers with NaN, which SQLite stores as null."""
    pairs = zip(batch.schema.names, batch.columns, strict=True)
    return {name for name, column in pairs if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py()}


def warn_of_nulls(name: str, columns: set[str]) -> None:
    """Say in which columns of a file numbers that JSON or SQLite does not know became null."""
    if columns:
        log.warning(
            "%s: numbers that the format does not know (NaN, infinity) are null in %s", name, some(sorted(columns), 20)
        )


def _is_without_json(column: pa.Array) -> bool:
    kind = column.type
    if pa.types.is_floating(kind):
        return bool(pc.any(pc.invert(pc.is_finite(column))).as_py())
    if pa.types.is_struct(kind):
        return any(map(_is_without_json, column.flatten()))
    if pa.types.is_map(kind):
        return _is_without_json(column.items)
    return is_nested(kind) and not pa.types.is_union(kind) and _is_without_json(column.flatten())


# -- text ------------------------------------------------------------------------------------------------------------


def text_of(_: pa.Field, column: pa.Array) -> pa.Array:
    """A column as a cell of text can hold it: nested values as JSON, WKB as WKT, other bytes in hexadecimal digits."""
    if is_nested(column.type):
        return json_of(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array(_legible(column.to_pylist()), pa.string())
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    if pa.types.is_interval(column.type):
        return pa.array([None if value is None else _duration(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        _check_finite(column)
        zoned = pa.types.is_timestamp(column.type) and column.type.tz
        return column.cast(pa.timestamp(column.type.unit, "UTC")) if zoned else column
    return column


def _duration(value: pa.MonthDayNano) -> str:
    """An interval as ISO 8601 has it."""
    return f"P{value.months}M{value.days}DT{Decimal(value.nanoseconds) / 10**9:f}S"


def _legible(values: list[bytes | None]) -> list[str | None]:
    try:
        shapes = shapely.from_wkb(values, on_invalid="ignore")
    except NotImplementedError:  # curves among them
        shapes = [_shape(value) for value in values]
    texts = shapely.to_wkt(shapes, rounding_precision=9)
    return [
        text if text is not None or value is None else value.hex() for text, value in zip(texts, values, strict=True)
    ]


def _shape(value: bytes | None) -> shapely.Geometry | None:
    try:
        return shapely.from_wkb(value, on_invalid="ignore")
    except NotImplementedError:  # curves
        return None


def formulas(column: pa.Array) -> pa.Array:
    """Mask of the texts that begin like a formula."""
    return pc.fill_null(pc.match_substring_regex(column, _FORMULA), False)


def neutralised(column: pa.Array) -> pa.Array:
    """Texts, an apostrophe before those that begin as a formula does, so that spreadsheets take them for text."""
    return pc.if_else(formulas(column), pc.binary_join_element_wise("'", column, ""), column)


# -- GDAL ------------------------------------------------------------------------------------------------------------


def ogr_of(field: pa.Field, column: pa.Array) -> pa.Array:
    """A column in a type of which GDAL keeps every value; times to the millisecond."""
    kind = column.type
    if is_nested(kind):
        return json_of(column)
    if pa.types.is_uint64(kind):
        return _whole(column)
    if pa.types.is_decimal(kind):
        return _whole(column) if kind.scale == 0 else _real(column)
    if pa.types.is_timestamp(kind):
        _check_finite(column)
        return column.cast(pa.timestamp("ms", "UTC" if kind.tz else None), safe=False)
    if pa.types.is_date(kind):
        _check_finite(column)
    if pa.types.is_null(kind):
        return column.cast(pa.string())
    column = text_of(field, column) if pa.types.is_dictionary(kind) else column
    if pa.types.is_string(column.type) and pc.any(pc.match_substring(column, "\0")).as_py():
        raise ValueError("a text has the character U+0000, where GDAL ends it")
    return column


def is_rounded(column: pa.Array) -> bool:
    """Whether times have parts of a millisecond."""
    if not pa.types.is_timestamp(column.type):
        return False
    fine = column.cast(pa.int64())
    parts = {"ns": 1_000_000, "us": 1_000}.get(column.type.unit, 1)
    return bool(pc.any(pc.not_equal(fine, pc.multiply(pc.divide(fine, parts), parts))).as_py())


def _whole(column: pa.Array) -> pa.Array:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise ValueError("it has numbers beyond 64 bits with sign") from error


def _real(column: pa.Array) -> pa.Array:
    real = column.cast(pa.float64())
    if column.type.precision > 15:  # of fewer digits every number comes back
        try:
            same = real.cast(column.type) if column.type.precision <= 38 else real
        except pa.ArrowInvalid as error:
            raise ValueError("it has numbers of more digits than a float64") from error
        if not pc.all(pc.equal(same, column)).as_py() and real.null_count < len(real):
            raise ValueError("it has numbers of more digits than a float64")
    return real


def _check_finite(column: pa.Array) -> None:
    """Refuse DuckDB's infinite dates and those outside of the years 1 to 9999, which other programs do not know."""
    if not len(column) or column.null_count == len(column):
        return
    ends = pc.min_max(column)
    low, high = (ends[name].cast(pa.timestamp("s"), safe=False).value for name in ("min", "max"))
    if low < -62_135_596_800 or high > 253_402_300_799:
        raise ValueError("it has times outside of the years 1 to 9999")


# -- JSON ------------------------------------------------------------------------------------------------------------


def json_texts(field: pa.Field, column: pa.Array, *, is_json: bool) -> pa.Array:
    """Every value of a column as the text that stands for it in JSON; numbers keep all their digits."""
    kind = column.type
    if is_nested(kind):
        texts = json_of(column)
    elif is_json:
        texts = pa.array([None if text is None else _strict(text) for text in column.to_pylist()], pa.string())
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        texts = column.cast(pa.string())
    elif pa.types.is_decimal(kind):
        texts = pa.array([None if value is None else f"{value:f}" for value in column.to_pylist()], pa.string())
    elif pa.types.is_floating(kind):
        texts = pc.if_else(pc.is_finite(column), column, None).cast(pa.string())
    else:
        texts = pa.array(
            [None if text is None else _dumped(text) for text in _iso(text_of(field, column)).to_pylist()], pa.string()
        )
    return pc.fill_null(texts, "null")


def _strict(text: str) -> str:
    """DuckDB's JSON without the NaN and infinities that its to_json writes."""
    if "NaN" not in text and "Infinity" not in text:
        return text
    return _dumped(json.loads(text, parse_constant=lambda _: None))


def _iso(column: pa.Array) -> pa.Array:
    if pa.types.is_timestamp(column.type):
        return pc.replace_substring(column.cast(pa.string()), " ", "T", max_replacements=1)
    return column.cast(pa.string())
