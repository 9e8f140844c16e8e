"""Reads what was done (truth) and time series from tables: files, folders of files, tables in memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from cbm_lake.errors import InvalidInputError, SourceError, counted, some
from cbm_lake.files import delimited
from cbm_lake.files.dates import parse_day

Source: TypeAlias = str | Path | pa.Table
_PIDS: Final = ("pid", "id", "parcel_id", "foi_id", "field_id", "pseudo_id", "parcel")
_DATES: Final = ("date", "event_date", "activity_date", "event_start_date", "obstime", "day", "datetime")
_TYPES: Final = ("event", "type", "event_type", "activity", "marker")
_LABELS: Final = ("label", "done", "class")
_STRATA: Final = ("stratum", "group", "crop")
_SIGNALS: Final = ("signal", "band", "index")
_NO_VALUES: Final = frozenset({"", "cwithin", "chalf", "call", "count", "week", "orbit", "fid", "year", "doy", "area"})
"""Columns of numbers that are no statistics."""
_CLASS: Final = re.compile(r"(?:hist\.|scl_)(\d+)")
"""Columns with pixels by scene class."""
_CLOUDS: Final = frozenset({3, 8, 9, 10, 11})
_YES: Final = frozenset({"1", "true", "yes", "y", "done", "t"})
_NO: Final = frozenset({"0", "false", "no", "n", "not", "not done", "f"})
_SLASHED: Final = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})(?:[ T].*)?")
_EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, eq=False)
class Truth:
    """What was done: events with days, or labels of parcels."""

    pid: list[str]
    day: NDArray[np.int64] | None
    """Days since 1970-01-01 of events; None: labels."""
    done: NDArray[np.bool_]
    stratum: list[str]
    """Of labels: inside of which they are compared."""


def table_of(source: Source, what: str) -> pa.Table:
    """A table of a file (text or Parquet) or in memory, with names of columns in lower case.

    Raises:
        SourceError: it cannot be read.
    """
    table = source if isinstance(source, pa.Table) else _read(Path(source), what)
    return table.rename_columns([name.strip().lower() for name in table.column_names])


def _read(path: Path, what: str) -> pa.Table:
    try:
        if path.suffix.lower() == ".parquet":
            return pq.read_table(path)
        with duckdb.connect() as connection, TemporaryDirectory() as scratch:
            return delimited.read(connection, path, Path(scratch)).to_arrow_table()
    except (OSError, pa.ArrowException, duckdb.Error) as error:
        reason = " ".join(str(error).split())[:250]
        raise SourceError(f"{what} {path} cannot be read ({reason}); it has to be CSV or Parquet") from error


def truth_of(source: Source, event: str | None) -> Truth:
    """Read what was done.

    Args:
        source: columns pid and date (and event, its type), or pid and label (and stratum).
        event: the type of event; None where there is one only.

    Raises:
        InvalidInputError: columns are missing, dates or labels cannot be read, or several types are not told apart.
        SourceError: it cannot be read.
    """
    table = table_of(source, "truth")
    pid, dates, label = (_column(table, names) for names in (_PIDS, _DATES, _LABELS))
    if pid is None or (dates is None and label is None):
        raise InvalidInputError(
            f"truth has the columns {some(table.column_names)}; it has to have pid and date of what was done, or "
            "pid and label (done or not)"
        )
    if dates is not None:
        table = _of_type(table, event)
        table = table if label is None else table.filter(pa.array(_flags(texts(table[label]))))  # of not done: no event
    table = table.filter(pc.is_valid(table[pid]))
    if not table.num_rows:
        raise InvalidInputError("truth has no rows; it has to have pid and date of what was done, or pid and label")
    pids = texts(table[pid])
    if dates is None:
        stratum = _column(table, _STRATA)
        strata = texts(table[stratum]) if stratum else [""] * len(pids)
        return Truth(pids, None, _flags(texts(table[str(label)])), strata)
    day = days(table[dates], "truth")
    missing = int((day == NO_DAY).sum())
    if missing:
        raise InvalidInputError(f"truth has {counted(missing, 'row')} without a date; fill them in or leave them out")
    return Truth(pids, day, np.ones(len(pids), bool), [""] * len(pids))


def _column(table: pa.Table, names: Iterable[str]) -> str | None:
    return next((name for name in names if name in table.column_names), None)


def _of_type(table: pa.Table, event: str | None) -> pa.Table:
    name = _column(table, _TYPES)
    kinds = sorted(set(texts(table[name]))) if name else []
    if event is None and len(kinds) > 1:
        raise InvalidInputError(f"truth has several types of events: {some(kinds)}; say event= one of them")
    if event is None:
        return table
    if event not in kinds:
        raise InvalidInputError(f"truth has no event {event!r}; there are: {some(kinds) or 'no column of types'}")
    return table.filter(pa.array([text == event for text in texts(table[str(name)])], pa.bool_()))


def texts(values: pa.ChunkedArray) -> list[str]:
    """Values as texts, whole numbers without decimals; "" for null."""
    listed = [str(int(v)) if isinstance(v, float) and v.is_integer() else v for v in values.to_pylist()]
    return ["" if value is None else str(value).strip() for value in listed]


def _flags(labels: list[str]) -> NDArray[np.bool_]:
    low = [label.lower() for label in labels]
    other = sorted(set(low) - _YES - _NO)
    if other:
        raise InvalidInputError(f"truth has labels that are neither done nor not: {some(other)}; write true or false")
    return np.array([label in _YES for label in low], bool)


NO_DAY: Final = np.iinfo(np.int64).min
"""The day of a row without one."""


def days(values: pa.ChunkedArray, what: str) -> NDArray[np.int64]:
    """Days since 1970-01-01 of dates, timestamps or texts; NO_DAY where there is none.

    Texts are in ISO 8601, or all with the day first, or all with the month first: which is found out from those where
    only one can be.

    Raises:
        InvalidInputError: one is no date, or either may be meant.
    """
    distinct = {value for value in values.to_pylist() if value is not None and str(value).strip() not in ("", "NA")}
    slashed = {text: _SLASHED.fullmatch(text.strip()) for text in distinct if isinstance(text, str)}
    parts = {text: tuple(map(int, match.groups())) for text, match in slashed.items() if match}
    read = _order(parts, what)
    try:
        numbers = {v: (read(*parts[v]) if v in parts else parse_day(v)).toordinal() - _EPOCH for v in distinct}
    except ValueError as error:
        raise InvalidInputError(
            f"{what} has a date that cannot be read ({error}); write dates as 2024-06-30"
        ) from error
    return np.array([numbers.get(value, NO_DAY) for value in values.to_pylist()], np.int64)


def _order(parts: Mapping[str, tuple[int, ...]], what: str) -> Callable[[int, int, int], date]:
    """How dates with slashes are read."""
    day_first = all(month <= 12 for _, month, _ in parts.values())
    month_first = all(month <= 12 for month, _, _ in parts.values())
    if parts and day_first and month_first:
        raise InvalidInputError(
            f"{what} has dates as {min(parts)}, where the day or the month may come first; write them as 2024-06-30"
        )
    return (lambda d, m, y: date(y, m, d)) if day_first else (lambda m, d, y: date(y, m, d))


@dataclass(frozen=True, eq=False)
class Rows:
    """Observations of a table: n rows."""

    pid: list[str]
    day: NDArray[np.int64]
    signal: list[str]
    values: dict[str, NDArray[np.float64]]
    """By name of the statistic, (n,)."""
    clouded: int
    """How many rows more were clouded."""
    undated: int


def series_of(source: Source) -> list[Rows]:
    """Read time series from a table, a file, or the files of a folder.

    Columns are pid (or the name of each file begins with it: 12_s2.csv), date, signal (or band; without it each column
    of numbers is a signal) and one column of numbers per statistic. Pixels by scene class (scl_9, hist.9) leave out
    rows with clouds.

    Raises:
        InvalidInputError: a column is missing.
        SourceError: a file cannot be read.
    """
    if isinstance(source, pa.Table):
        return [_rows(table_of(source, "series"), None, "series")]
    path = Path(source)
    files = (
        sorted(each for each in path.iterdir() if each.suffix.lower() in (".csv", ".parquet"))
        if path.is_dir()
        else [path]
    )
    if not files:
        raise SourceError(f"folder {path} has no .csv or .parquet; give a folder or file of time series")
    return [_rows(table_of(file, "series"), file.stem, str(file)) for file in files]


def _rows(table: pa.Table, stem: str | None, name: str) -> Rows:
    pid, dates, signal = (_column(table, names) for names in (_PIDS, _DATES, _SIGNALS))
    if dates is None or (pid is None and (stem is None or "_" not in stem)):
        raise InvalidInputError(
            f"{name} has the columns {some(table.column_names)}; time series have to have pid (or files named pid_…), "
            "date and a column for each statistic"
        )
    day, clear = days(table[dates], name), _is_clear(table)
    keep = (day != NO_DAY) & clear
    undated = int((day == NO_DAY).sum())
    table, day = table.filter(pa.array(keep)), day[keep]
    pids = texts(table[pid]) if pid else [str(stem).partition("_")[0]] * table.num_rows
    others = {pid, dates, signal, *_NO_VALUES}
    values = {
        column: numbers
        for column in table.column_names
        if column not in others and not _CLASS.fullmatch(column) and (numbers := _numbers(table[column])) is not None
    }
    if signal is None:
        return _melted(pids, day, values, int((~clear).sum()), undated)
    return Rows(pids, day, texts(table[signal]), values, int((~clear).sum()), undated)


def _melted(pids: list[str], day: NDArray[np.int64], columns: dict[str, NDArray[np.float64]], *counts: int) -> Rows:
    """Each column as a signal of one statistic."""
    joined = np.concatenate([*columns.values()]) if columns else np.zeros(0)
    signals = [name for name in columns for _ in pids]
    return Rows(pids * len(columns), np.tile(day, len(columns)), signals, {"value": joined}, *counts)


def _is_clear(table: pa.Table) -> NDArray[np.bool_]:
    clear = np.ones(table.num_rows, bool)
    for column in table.column_names:
        match = _CLASS.fullmatch(column)
        if match and int(match[1]) in _CLOUDS:
            pixels = _numbers(table[column])
            clear &= pixels is None or ~(pixels > 0)
    return clear


def _numbers(values: pa.ChunkedArray) -> NDArray[np.float64] | None:
    """A column of numbers, or of texts that are numbers, NaN for null, "NA" and infinite ones; else None."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        numbers = values.cast(pa.float64(), safe=False).to_numpy()
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        cleaned = pc.if_else(pc.is_in(values, pa.array(["", "NA", "NaN", "nan"], values.type)), None, values)
        try:
            numbers = cleaned.cast(pa.float64()).to_numpy()
        except pa.ArrowInvalid:
            return None
    else:
        return None
    return np.where(np.isfinite(numbers), numbers, np.nan)
