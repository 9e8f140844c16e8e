"""Maps the columns of a parcel file: identifier, crop, and the agency's own attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.files.charsets import is_text
from cbm_lake.files.validation import nearest
from cbm_lake.geo.vectors import ROW_NUMBERS, Features


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PID_NAMES: Final = _words(
    """
    id parcel_id parcelid pid gsa_par_id id_parcel
    field_id geo_id pollu_id zakres_id localid ref_id reference_id cropfield par_lab
    parc_lab
    """
)
"""Columns taken for the parcel's identifier when exactly one of them is there; in a fiboa file `id` wins.

After the general ones those of EuroLand, AT, EE, CZ, INSPIRE (IE), BE-VLG (twice), EuroCrops 2 and IE (twice).
"""
CROP_NAME_NAMES: Final = _words(
    """
    crop:name crop_name cropname
    gewas gws_gewas afgroede snar_bezeichnung kasvikoodi_selite_fi taotletud_kultuur rastlina
    plodina plod_naze gwsnam_h maincrop_title cult_nom nutz_txt code_bez cultiu ct_português
    roslina nutzung crop_desc original_name
    ec_trans_n ec_hcat_n crop
    """
)
"""Columns taken for the crop's name: the first that is there and not empty.

Between the general ones and those of EuroCrops, what NL (twice), DK, AT, FI, EE, SI, SK, CZ, BE-VLG (twice), BE-WAL,
DE-NW, DE-BB, ES-CT, PT, PL, CH, IE and EuroCrops 2 call it.
"""
CROP_CODE_NAMES: Final = _words(
    """
    crop:code crop_code cropcode code_cultu
    gewascode gws_gewascode afgkode snar_code kasvikoodi product_code sifra_kmrs plodina_id
    gwscod_h maincrop_code cult_cod nutz_code kulturcode nc_festg kc_festg cul_codigo
    grdkod_mar parc_producto lnf_code original_code ec_hcat_c
    """
)
"""Columns taken for the crop's code: the first that is there and not empty.

Between the general ones (and FR) and that of EuroCrops, what NL (twice), DK, AT, FI, LV, SI, CZ, BE-VLG (twice),
BE-WAL, DE-NW, DE-NI (three times), PT, SE, ES, CH and EuroCrops 2 call it.
"""
SEPARATOR: Final = "~"
"""Between the parts of an identifier that several columns make together."""
_ESCAPED: Final = {"%": "%25", SEPARATOR: "%7E"}
"""What a part must not hold, so that two rows of other parts never have the same identifier."""
_VIEW_NAMES: Final = ("pid", "crop_name", "crop_code", "area_m2", "aoi", "year", "ptype", "version")
"""Columns of the view `parcels` that are not in its files' schema."""
_LISTED: Final = 40
_TRIED: Final = 12
"""Columns whose pairs are tried as identifier if no single column is unique."""


@dataclass(frozen=True)
class Chosen:
    """Mapping of the file's columns to id, crop:name and crop:code."""

    columns: dict[str, str]
    """Of ours (id, crop:name, crop:code) theirs; several of theirs joined by commas are one id."""
    notes: tuple[str, ...]
    """What was guessed."""


def take_columns(source: Features, pid: str | None, crop_name: str | None, crop_code: str | None) -> Chosen:
    """Select the columns of the file that become id, crop:name and crop:code."""
    names = source.columns.column_names
    for option, name in missing_columns(names, pid, crop_name, crop_code):
        near = _near(name, names)
        advice = _candidates(source) if option == "pid" else f"say {option}= one of: {_listed(names) or '(no columns)'}"
        raise InvalidInputError(f"{source.name} has no column {name!r}; {near}{advice}")
    for name in parts_of(names, pid) if pid else ():
        _refuse_capitals(source, name)
    requested = {
        "id": pid or _guess_pid(source),
        "crop:code": crop_code or _first(source, CROP_CODE_NAMES),
        "crop:name": crop_name or _first(source, CROP_NAME_NAMES),
    }
    columns = {ours: theirs for ours, theirs in requested.items() if theirs is not None}
    return Chosen(columns, tuple(_guesses(names, columns, {"id": pid, "crop:code": crop_code, "crop:name": crop_name})))


def missing_columns(
    names: Sequence[str], pid: str | None, crop_name: str | None, crop_code: str | None
) -> Iterator[tuple[str, str]]:
    """The columns that are asked for and are not there, or not once: option and name.

    Args:
        names: of the file's columns.
        pid: the column, or columns between commas.
        crop_name: the column.
        crop_code: the column.
    """
    parts = [("pid", name) for name in (parts_of(names, pid) if pid else ())]
    crops = [("crop_name", crop_name), ("crop_code", crop_code)]
    yield from ((option, name) for option, name in [*parts, *crops] if name is not None and names.count(name) != 1)


def _near(name: str, names: Sequence[str]) -> str:
    """Which column may be meant, as the begin of advice; empty where none is like it."""
    near = nearest(name, names)
    return "" if near is None else f"did you mean {near!r}, else "


def _refuse_capitals(source: Features, name: str) -> None:
    """Refuse "fid" where the file has a column FID: its own numbering of the rows, or that column, may be meant."""
    if name.lower() not in ROW_NUMBERS:
        return
    others = [other for other in source.columns.column_names if other != name and other.lower() == name.lower()]
    if others:
        number = next(number for number in ROW_NUMBERS if number != name.lower())
        problem = f"{name!r} is the file's own numbering of its rows, but there is a column {others[0]!r}"
        raise InvalidInputError(
            f"{source.name}: pid={problem}; say pid={others[0]} for the column, or pid={number} for the numbering",
            plain=f"{source.name}: {problem}; write {others[0]} for the column, or {number} for the numbering",
        )


def _guesses(names: Sequence[str], columns: dict[str, str], options: dict[str, str | None]) -> Iterator[str]:
    """What was guessed, and which columns might have been meant instead."""
    if not options["id"]:
        yield f"column {columns['id']} is taken for the parcel's identifier; another by pid="
    for ours, option, candidates in (
        ("crop:name", "crop_name", CROP_NAME_NAMES),
        ("crop:code", "crop_code", CROP_CODE_NAMES),
    ):
        if options[ours] or ours not in columns:
            continue
        others = [name for name in names if name.lower() in candidates and name != columns[ours]]
        also = f" ({some(others)} may be too)" if others else ""
        yield f"column {columns[ours]} is taken for the crop's {ours[5:]}{also}; another by {option}="
    if "crop:name" not in columns and "crop:code" not in columns:
        rest = [name for name in names if name not in columns.values()]
        advice = f"say crop_name= or crop_code= one of: {_listed(rest)}" if rest else "the file has no other columns"
        yield f"no column is known to be the crop; {advice}"


def parts_of(names: Sequence[str], pid: str) -> list[str]:
    """Columns that form the identifier: one, or several separated by commas."""
    return [pid] if pid in names else [name.strip() for name in pid.split(",")]


def _guess_pid(source: Features) -> str:
    names = source.columns.column_names
    candidates = possible_pids(names)
    if len(candidates) == 1:
        return candidates[0]
    raise InvalidInputError(f"{source.name}: {not_one(candidates)}; {_candidates(source)}")


def possible_pids(names: Sequence[str]) -> list[str]:
    """The columns that may be the parcel's identifier by their names; loading needs exactly one."""
    if "id" in names and any(name.startswith(("crop:", "determination", "admin:")) for name in names):
        return ["id"]  # fiboa says what it is
    return [name for name in names if name.lower() in PID_NAMES]


def not_one(candidates: Sequence[str]) -> str:
    """Why no column is taken for the identifier, where several may be, or none."""
    problem = f"any of {', '.join(candidates)} may be" if candidates else "no column is known to be"
    return f"{problem} the parcel's identifier"


def _candidates(source: Features) -> str:
    """Advice that lists the columns, unique ones first; if none is unique, a pair that is."""
    names = source.columns.column_names
    unique = [name for name in names if names.count(name) == 1 and _tells_apart(source, name)]
    rest = [name for name in names if name not in unique]
    pair = None if unique else _pair(source)
    kinds = [f"each row has its own {some(unique)}"] if unique else []
    kinds += [f'"{pair}" tells the rows apart'] if pair else []
    kinds += ["fid is the file's row number, which another delivery may give to other parcels"]
    return f"say pid= one of: {_listed([*unique, *rest]) or '(no columns)'} ({'; '.join(kinds)})"


def _tells_apart(source: Features, name: str) -> bool:
    """Whether each row has a value of its own in a column of texts or whole numbers."""
    values = source.columns[name]
    if not _may_identify(values.type) or values.null_count:
        return False
    few = values.slice(0, 1000)
    return len(few.unique()) == len(few) and len(values.unique()) == len(values)


def _may_identify(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind)) or is_text(kind)


def _pair(source: Features) -> str | None:
    """Two columns that are unique together."""
    kinds = [
        field.name
        for field in source.columns.schema
        if source.columns.column_names.count(field.name) == 1
        and (pa.types.is_integer(field.type) or is_text(field.type))
    ]
    for pair in combinations(kinds[:_TRIED], 2):
        rows = source.columns.select(pair)
        for part in (rows.slice(0, 1000), rows):
            if part.group_by(list(pair)).aggregate([]).num_rows < part.num_rows:
                break
        else:
            return ",".join(pair)
    return None


def _listed(names: Sequence[str]) -> str:
    return some(names, _LISTED)


def _first(source: Features, candidates: Sequence[str]) -> str | None:
    """The column whose name comes first among the known ones; non-empty columns are preferred."""
    ranked = [
        (bool(values.null_count == len(values)), candidates.index(name.lower()), name)
        for name, values in zip(source.columns.column_names, source.columns.columns, strict=True)
        if name.lower() in candidates
    ]
    return min(ranked)[2] if ranked else None


def identifiers(source: Features, column: str) -> pa.Array:
    """Identifiers of the parcels as text; blanks and duplicates are refused.

    Those of several columns are joined by SEPARATOR, which is written %7E within a part (and % as %25); an empty part
    stays empty, where not all of them are.
    """
    parts = [as_text(source, name) for name in parts_of(source.columns.column_names, column)]
    ids = parts[0] if len(parts) == 1 else _joined(parts)
    blank = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(ids), ""), fill_value=True)
    rows = np.flatnonzero(blank) + 1
    if len(rows):
        problem = f"{source.name}: {len(rows)} rows have no identifier in column {column!r}: rows {some(rows)}"
        raise InvalidInputError(
            f"{problem}; fill it in or name another column by pid=",
            plain=f"{problem}; fill it in or name another column of identifiers",
        )
    counts = pc.value_counts(ids)
    double = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(double):
        raise InvalidInputError(
            f"{source.name}: {len(double)} identifiers in column {column!r} stand in several rows: "
            f"{some(map(repr, double.to_pylist()))}; "
            f"dissolve the parts of one parcel into one row, or {_candidates(source)}"
        )
    return ids


def _joined(parts: Sequence[pa.Array]) -> pa.Array:
    """Identifiers of several parts; null where all of them are blank."""
    blank = [pc.fill_null(pc.equal(pc.utf8_trim_whitespace(part), ""), fill_value=True) for part in parts]
    escaped = [pc.fill_null(part, "") for part in parts]
    for mark, code in _ESCAPED.items():
        escaped = [pc.replace_substring(part, mark, code) for part in escaped]
    joined = pc.binary_join_element_wise(*escaped, SEPARATOR)
    return pc.if_else(reduce(pc.and_, blank), pa.scalar(None, joined.type), joined)


def as_text(source: Features, column: str) -> pa.Array:
    """Cast a column to text; whole numbers are written without decimal point or exponent."""
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
        ValueError: a number too large to represent consecutive integers.
    """
    numbers = values.to_numpy(zero_copy_only=False)
    valid = np.isfinite(numbers)
    if np.abs(numbers[valid], dtype=float).max(initial=0) >= 2 ** (np.finfo(numbers.dtype).nmant + 1):
        raise ValueError("numbers stored with a floating point have lost their last digits")
    if (numbers[valid] % 1 == 0).all():
        return pa.array(np.where(valid, numbers, 0).astype(np.int64), mask=~valid).cast(pa.string())
    texts = [np.format_float_positional(number, trim="-") if np.isfinite(number) else None for number in numbers]
    return pa.array(texts, pa.string())


def with_others(columns: pa.Table, source: Features, reserved: set[str]) -> pa.Table:
    """Append the agency's other columns; clashing names are prefixed with "source:"."""
    used = {name.lower() for name in (*columns.column_names, *_VIEW_NAMES)}  # SQL does not tell capitals apart
    for number, field in enumerate(source.columns.schema):
        if field.name in reserved:
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
