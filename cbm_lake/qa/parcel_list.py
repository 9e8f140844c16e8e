"""Reads and validates the two inputs of the sample extraction: ranked parcel list and targets."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.files.charsets import UTF_8
from cbm_lake.files.textfiles import delimiter_of, encoding_of

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

Source: TypeAlias = "str | Path | pa.Table | pd.DataFrame"
"""What a list is read from: a CSV or Parquet file, or a table in memory."""

PARCEL_TEXTS: Final = ("gsa_par_id", "gsa_hol_id", "ua_grp_id")
PARCEL_NUMBERS: Final = ("covered", "ranking")


@dataclass(frozen=True)
class Listed:
    """A parsed list with its problems."""

    name: str
    rows: pa.Table
    problems: tuple[str, ...] = ()

    def checked(self, *more: str | None) -> pa.Table:
        """The rows, if there are no problems.

        Raises:
            InvalidInputError: something is; the message names all of it.
        """
        problems = [*self.problems, *(problem for problem in more if problem)]
        if problems:
            raise InvalidInputError(f"{self.name}: {'; '.join(problems)}; correct the list")
        return self.rows


def read_parcels(source: Source) -> pa.Table:
    """Read the ranked parcels: text gsa_par_id, gsa_hol_id, ua_grp_id; int64 covered, ranking; and all other columns.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: columns are missing, have gaps or wrong values, or rows are repeated; all of it is named.
    """
    listed = look_through(load(source, "the parcel list", PARCEL_NUMBERS), PARCEL_TEXTS, PARCEL_NUMBERS)
    return listed.checked(_beyond_0_and_1(listed.rows), repeated(listed.rows, PARCEL_TEXTS))


def read_targets(source: Source | Mapping[str, int], groups: Sequence[str]) -> dict[str, int]:
    """Read the target of each group, in the order of `groups`.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: columns are missing or wrong, or the groups are not just those of the parcel list, each once.
    """
    if isinstance(source, Mapping):
        source = pa.table({"ua_grp_id": list(source), "target": list(source.values())})
    listed = look_through(load(source, "the target list", ("target",)), ("ua_grp_id",), ("target",))
    rows = listed.checked(*_unfit_targets(listed.rows, groups))
    targets = dict(zip(rows["ua_grp_id"].to_pylist(), rows["target"].to_pylist(), strict=True))
    return {group: targets[group] for group in groups}


def codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], pa.StringArray]:
    """Encode a text column as integers in order of first appearance, with the list of texts."""
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):  # how pyarrow hands back an empty column
        encoded = pa.array([], pa.string()).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False), encoded.dictionary


# -- reading ---------------------------------------------------------------------------------------------------------


def load(source: Source, name: str, numbers: Sequence[str]) -> Listed:
    """Load the rows of a file or table unchanged.

    Args:
        source: Parquet file, CSV file, whose columns are read as texts, or table.
        name: what to call a table in errors; a file is called by its path.
        numbers: columns of a CSV file that are not read as texts.

    Raises:
        SourceError: it cannot be read.
    """
    if isinstance(source, (str, Path)):
        return Listed(str(source), _read_file(Path(source), numbers))
    if not (isinstance(source, pa.Table) or hasattr(source, "columns")):
        raise InvalidInputError(f"{name} is {type(source).__name__}; give a path, an Arrow table or a DataFrame")
    with _readable(name):
        return Listed(
            name, source if isinstance(source, pa.Table) else pa.Table.from_pandas(source, preserve_index=False)
        )


def look_through(listed: Listed, texts: Sequence[str], numbers: Sequence[str]) -> Listed:
    """Cast columns to string and int64 where possible, and list the problems of the others."""
    rows, problems = listed.rows, [] if listed.rows.num_rows else ["it holds no rows"]
    for column in (*texts, *numbers):
        rows, issues = _conform(rows, column, pa.string() if column in texts else pa.int64())
        problems += issues
    return Listed(listed.name, rows, (*listed.problems, *problems))


def _read_file(path: Path, numbers: Sequence[str]) -> pa.Table:
    """Read Parquet as is, other files as CSV with all columns as text except numeric ones."""
    if not path.is_file():
        raise SourceError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; give the path of a file")
    with _readable(str(path)):
        if path.suffix.lower() in (".parquet", ".geoparquet"):
            return pq.ParquetFile(path).read()  # read_table would add the columns of a path like aoi=…/year=…
        decision = encoding_of(path)
        if decision.note:
            log.warning("%s: %s", path, decision.note)
        codec = decision.codec.removesuffix("-sig")
        with path.open(encoding="utf-8-sig" if codec == UTF_8 else codec, newline="") as file:
            first = file.readline()
        delimiter = delimiter_of(first)
        header = next(csv.reader([first], delimiter=delimiter), [])
        kinds = {column: pa.string() for column in header if column not in numbers}
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(encoding=codec),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
            convert_options=pyarrow.csv.ConvertOptions(column_types=kinds),
        )


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException, TypeError) as error:
        reason = " ".join(str(error).split())
        raise SourceError(f"{name} cannot be read ({reason}); give a CSV or Parquet file") from error


# -- checks ----------------------------------------------------------------------------------------------------------


def _conform(rows: pa.Table, column: str, kind: pa.DataType) -> tuple[pa.Table, list[str]]:
    """Cast a column; on failure the rows unchanged, and the problem."""
    count = rows.column_names.count(column)
    if count != 1:
        there = ", ".join(rows.column_names) or "none"
        return rows, [f"column {column!r} {'stands there twice' if count else f'is missing (there are: {there})'}"]
    values = rows[column]
    empty = values.is_null()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if _is_text(values.type):
        empty = pc.fill_null(pc.equal(values, ""), fill_value=True)
    problems = [f"column {column!r} has empty values ({_numbered(empty)})"] if pc.any(empty).as_py() else []
    fits = _is_text(values.type) if kind == pa.string() else pa.types.is_integer(values.type)
    if not fits and not pa.types.is_null(values.type):
        return rows, [*problems, _of_wrong_type(column, values, kind)]
    return rows.set_column(rows.column_names.index(column), column, values.cast(kind)), problems


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _of_wrong_type(column: str, values: pa.ChunkedArray, kind: pa.DataType) -> str:
    if kind == pa.string():
        return f"column {column!r} is {values.type}, not text"
    if not _is_text(values.type):
        return f"column {column!r} is {values.type}, not whole numbers"
    whole = pc.match_substring_regex(pc.fill_null(values, "0"), r"^([+-]?[0-9]+)?$")
    wrong = pc.invert(whole)
    first = values.filter(wrong)[0].as_py() if pc.any(wrong).as_py() else ""
    return f"column {column!r} has other values than whole numbers ({_numbered(wrong)}, the first is {first!r})"


def _is(rows: pa.Table, column: str, kind: Callable[[pa.DataType], bool]) -> bool:
    """Whether a column exists exactly once, with that type."""
    return rows.column_names.count(column) == 1 and kind(rows[column].type)


def _beyond_0_and_1(rows: pa.Table) -> str | None:
    if not _is(rows, "covered", pa.types.is_integer):
        return None
    wrong = pc.fill_null(pc.invert(pc.is_in(rows["covered"], pa.array([0, 1], pa.int64()))), fill_value=False)
    wrong = pc.and_(wrong, pc.is_valid(rows["covered"]))
    return f"column 'covered' has other values than 0 and 1 ({_numbered(wrong)})" if pc.any(wrong).as_py() else None


def repeated(rows: pa.Table, key: Sequence[str]) -> str | None:
    """The problem if rows repeat the key of an earlier one, else None."""
    if not all(_is(rows, column, _is_text) for column in key):
        return None
    numbers = np.zeros(rows.num_rows, np.int64)
    for column in key:
        row_codes, names = codes(rows[column].fill_null(""))
        numbers = numbers * len(names) + row_codes  # three columns of a million names each would still fit
    ordered = np.sort(numbers)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    first = np.unique(numbers, return_index=True)[1]
    again = np.ones(rows.num_rows, np.bool_)
    again[first] = False
    return f"{again.sum()} rows repeat an earlier one: the same {', '.join(key)} ({_numbered(pa.array(again))})"


def _unfit_targets(rows: pa.Table, groups: Sequence[str]) -> Iterator[str]:
    if _is(rows, "target", pa.types.is_integer):
        negative = pc.fill_null(pc.less(rows["target"], 0), fill_value=False)
        if pc.any(negative).as_py():
            yield f"column 'target' has values below 0 ({_numbered(negative)})"
    if not _is(rows, "ua_grp_id", _is_text):
        return
    counts = Counter(name for name in rows["ua_grp_id"].to_pylist() if name)
    for words, names in {
        "groups stand there twice": {name for name, times in counts.items() if times > 1},
        "groups of the parcel list have no target": set(groups) - set(counts),
        "groups are not in the parcel list": set(counts) - set(groups),
    }.items():
        if names:
            yield f"{words}: {some(sorted(names))}"


def _numbered(wrong: pa.ChunkedArray | pa.Array) -> str:
    """Row numbers, starting at 1."""
    rows = np.flatnonzero(np.asarray(wrong)) + 1
    return f"{'rows' if len(rows) > 1 else 'row'} {some(rows.tolist())}"
