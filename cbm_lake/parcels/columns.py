"""The columns of a file of parcels: its identifier, its crop, and the agency's other ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.vectors import Features

PID_NAMES: Final = ("id", "parcel_id", "parcelid", "pid", "gsa_par_id", "id_parcel")
"""Columns taken for the parcel's identifier when exactly one of them is there; in a fiboa file `id` wins."""
CROP_NAME_NAMES: Final = ("crop:name", "crop_name", "cropname", "ec_hcat_n")
"""Columns taken for the crop's name: the first that is there."""
CROP_CODE_NAMES: Final = ("crop:code", "crop_code", "cropcode", "code_cultu", "ec_hcat_c")
"""Columns taken for the crop's code: the first that is there."""
_VIEW_NAMES: Final = ("pid", "crop_name", "crop_code", "area_m2", "aoi", "year", "ptype", "version")
"""Columns of the view `parcels` that are not in its files' schema."""


def take_columns(source: Features, pid: str | None, crop_name: str | None, crop_code: str | None) -> dict[str, str]:
    """Which of the file's columns become id, crop:name and crop:code."""
    names = source.columns.column_names
    for option, name in {"pid": pid, "crop_name": crop_name, "crop_code": crop_code}.items():
        if name is not None and names.count(name) != 1:
            raise InvalidInputError(f"{source.name} has no column {name!r}; say {option}= one of: {', '.join(names)}")
    wanted = {
        "id": pid or _guess_pid(source),
        "crop:code": crop_code or _first(names, CROP_CODE_NAMES),
        "crop:name": crop_name or _first(names, CROP_NAME_NAMES),
    }
    return {ours: theirs for ours, theirs in wanted.items() if theirs is not None}


def _guess_pid(source: Features) -> str:
    names = source.columns.column_names
    if "id" in names and any(name.startswith(("crop:", "determination", "admin:")) for name in names):
        return "id"  # fiboa says what it is
    found = [name for name in names if name.lower() in PID_NAMES]
    if len(found) == 1:
        return str(found[0])
    problem = f"any of {', '.join(found)} may be" if found else "no column is known to be"
    raise InvalidInputError(
        f"{source.name}: {problem} the parcel's identifier; say pid= one of: {', '.join(names) or '(no columns)'}"
    )


def _first(names: Sequence[str], known: Sequence[str]) -> str | None:
    ranked = sorted((known.index(name.lower()), name) for name in names if name.lower() in known)
    return ranked[0][1] if ranked else None


def identifiers(source: Features, column: str) -> pa.Array:
    """The parcels' identifiers as text; refused where one is blank or stands in several rows."""
    ids = as_text(source, column)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), fill_value=True)
    rows = np.flatnonzero(blank) + 1
    if len(rows):
        raise InvalidInputError(
            f"{source.name}: {len(rows)} rows have no identifier in column {column!r}: rows {some(rows)}; "
            "fill it in or name another column by pid="
        )
    counts = pc.value_counts(ids)
    double = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(double):
        raise InvalidInputError(
            f"{source.name}: {len(double)} identifiers in column {column!r} stand in several rows: "
            f"{some(map(repr, double.to_pylist()))}; "
            "dissolve the parts of one parcel into one row, or name another column by pid="
        )
    return ids


def as_text(source: Features, column: str) -> pa.Array:
    """A column as text: texts as they are, whole numbers without point or exponent."""
    values = source.columns[column].combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # how pyarrow hands back an empty column
        values = pa.concat_arrays(values.chunks)
    try:
        if pa.types.is_floating(values.type):
            return _float_text(values)
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        texts = values.cast(pa.string())
    except (pa.ArrowException, ValueError) as error:
        raise InvalidInputError(
            f"{source.name}: column {column!r} cannot be taken as text ({error}); name another column"
        ) from error
    return pc.replace_substring_regex(texts, r"\.0+$", "") if pa.types.is_decimal(values.type) else texts


def _float_text(values: pa.Array) -> pa.Array:
    """Numbers as text, the shortest that reads back the same; whole ones as integers, non-finite ones as null.

    Raises:
        ValueError: a number so large that neighbouring whole numbers cannot be told apart.
    """
    numbers = values.to_numpy(zero_copy_only=False)
    known = np.isfinite(numbers)
    if np.abs(numbers[known], dtype=float).max(initial=0) >= 2 ** (np.finfo(numbers.dtype).nmant + 1):
        raise ValueError("numbers stored with a floating point have lost their last digits")
    if (numbers[known] % 1 == 0).all():
        return pa.array(np.where(known, numbers, 0).astype(np.int64), mask=~known).cast(pa.string())
    texts = [np.format_float_positional(number, trim="-") if np.isfinite(number) else None for number in numbers]
    return pa.array(texts, pa.string())


def with_others(columns: pa.Table, source: Features, taken: set[str]) -> pa.Table:
    """Our columns, then the agency's other ones; one that would clash is prefixed with "source:"."""
    used = {name.lower() for name in (*columns.column_names, *_VIEW_NAMES)}  # SQL does not tell capitals apart
    for number, field in enumerate(source.columns.schema):
        if field.name in taken:
            continue
        name = field.name
        while name.lower() in used:
            name = f"source:{name}"
        used.add(name.lower())
        columns = columns.append_column(name, _plain(source.columns.column(number)))
    return columns


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values in a type that every reader of Parquet knows."""
    if pa.types.is_dictionary(values.type):
        return values.cast(values.type.value_type)
    return values.cast(pa.string()) if pa.types.is_null(values.type) else values
