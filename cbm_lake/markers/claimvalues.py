"""What the values of an agency's columns mean: dates, flags and numbers as people and programs write them.

Only what can be meant in one way is read; everything else is a problem of that value, which says why:

    dates     dates, timestamps (the day that is written in them), 2024-06-15, 20240615, 06-15 (in the year of the
              declaration), 15.06.2024, and numbers of days as Excel counts them (45458), near the season only
    flags     true and false, 1 and 0, yes and no in the languages of the EU, TRUE and FALSE as Excel writes them there
    numbers   numbers; texts with a decimal point, or a decimal comma that cannot separate thousands

What is blank, or what programs write for a missing value (None, NaN, NaT, NULL, <NA>), is null.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Values: TypeAlias = npt.NDArray[np.float64]
Texts: TypeAlias = npt.NDArray[np.object_]
Meaning: TypeAlias = Callable[[object], float]
"""What a value means, or ValueError with the reason why it means nothing."""

EPOCH: Final = date(1970, 1, 1)
_EXCEL: Final = date(1899, 12, 30)
"""Day 0 of Excel's dates, from March 1900 on."""
_MISSING: Final = frozenset({"", "none", "null", "nan", "nat", "<na>"})
_POINTED: Final = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ T]00:00(?::00)?)?")
"""Day, month and year, as no country writes them in another order with points."""
_MONTH_DAY: Final = re.compile(r"\d\d-\d\d")
_DIGITS: Final = re.compile(r"\d+(?:\.0+)?")
_COUNTED: Final = re.compile(r"\d{5}(?:\.0+)?")
_COMMA: Final = re.compile(r"[-+]?\d+,(?:\d{1,2}|\d{4,})")
"""A decimal comma: three digits behind it may be thousands."""
_YES_WORDS: Final = """
    1 1.0 1,0 true t yes y ja j oui si sí sì sim tak da да ano áno igen kyllä jah jā taip ναι iva
    wahr vrai vero verdadero verdadeiro prawda
"""  # noqa: RUF001 - Greek
_NO_WORDS: Final = """
    0 0.0 0,0 false f no n nein nee nej non não nie ne не nem ei nē όχι le
    falsch faux falso fałsz
"""
_YES, _NO = frozenset(_YES_WORDS.split()), frozenset(_NO_WORDS.split())
DATE: Final = "date (2024-06-15, 15.06.2024 or 06-15)"
FLAG: Final = "flag (yes or no, true or false, 1 or 0)"
NUMBER: Final = "number"


@dataclass(frozen=True, eq=False)
class Meanings:
    """What the values of a column mean, one entry for each."""

    values: Values
    """NaN where a value is null, or means nothing that can be read."""
    problems: Texts
    """Why a value cannot be read, with the value; empty where it can, or is null."""

    @property
    def is_null(self) -> npt.NDArray[np.bool_]:
        """Mask of the values that are missing."""
        return np.asarray(np.isnan(self.values) & (self.problems == ""))


def is_readable(kind: pa.DataType) -> bool:
    """Whether columns of a type may have dates, flags or numbers."""
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean)
    others = (pa.types.is_date, pa.types.is_timestamp, pa.types.is_null)
    return is_text(kind) or any(is_one(kind) for is_one in (*numbers, *others))


def is_text(kind: pa.DataType) -> bool:
    """Whether columns of a type have texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def meanings(column: pa.Array, meaning: Meaning) -> Meanings:
    """What the values of a column mean; each different value is read once."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    distinct = [_read(value, meaning) for value in encoded.dictionary.to_pylist()]
    values = np.array([*(value for value, _ in distinct), np.nan])
    problems = np.array([*(problem for _, problem in distinct), ""], object)
    index = encoded.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    return Meanings(values[index], problems[index])


def _read(value: object, meaning: Meaning) -> tuple[float, str]:
    if value is None or value != value or (isinstance(value, str) and value.strip().lower() in _MISSING):  # noqa: PLR0124 - NaN
        return np.nan, ""
    try:
        return meaning(value), ""
    except (ValueError, OverflowError) as error:
        return np.nan, f"{written(value)!r}{f', {error},' if str(error) else ''}"


def written(value: object) -> str:
    """A value as it is shown to people; whole numbers without a fraction."""
    return f"{value:g}" if isinstance(value, float) and value.is_integer() and abs(value) < 1e6 else str(value)


def days(year: int) -> Meaning:
    """The days since 1970-01-01 that dates in columns of a declaration of a year mean."""

    def meaning(value: object) -> float:
        day = _date(value, year)
        if abs(day.year - year) > 1:
            raise ValueError(f"outside the season of {year}")
        return float((day - EPOCH).days)

    return meaning


def flag(value: object) -> float:
    """1 for yes, 0 for no.

    Raises:
        ValueError: it is neither.
    """
    text = f"{value:g}" if isinstance(value, float | Decimal) else str(value).strip().lower()
    if isinstance(value, bool | int | float | Decimal | str) and text in _YES | _NO:
        return float(text in _YES)
    raise ValueError


def number(value: object) -> float:
    """A number, or the one that a text is.

    Raises:
        ValueError: it is none, or may be two different ones: 1,250.
    """
    if not _is_written(value):
        raise ValueError
    text = str(value).strip()
    try:
        result = float(text.replace(",", ".") if _COMMA.fullmatch(text) else text)
    except ValueError:
        raise ValueError from None
    if "_" in text or not np.isfinite(result):
        raise ValueError
    return result


def _is_written(value: object) -> bool:
    """Whether a value is a text or a number, of which the truth values are none."""
    return isinstance(value, int | float | Decimal | str) and not isinstance(value, bool)


def _date(value: object, year: int) -> date:
    if isinstance(value, date):  # also a timestamp, whose day is that of its own zone
        return date(value.year, value.month, value.day)
    if not _is_written(value):
        raise ValueError
    text = str(value).strip().removeprefix("--")
    try:
        if pointed := _POINTED.fullmatch(text):
            day, month, of = map(int, pointed.groups())
            return date(of, month, day)
        if _DIGITS.fullmatch(text):
            return _of_digits(text.partition(".")[0], year)
        return datetime.fromisoformat(f"{year}-{text}" if _MONTH_DAY.fullmatch(text) else text).date()
    except ValueError:
        raise ValueError from None


def counted_day(column: pa.Array, year: int) -> tuple[str, date] | None:
    """A value of a column of dates that is read as a number of Excel's days, and its date; None without any."""
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        return None
    digits = (str(value).strip() for value in column.dictionary_encode().dictionary.to_pylist())
    read = ((text, _EXCEL + timedelta(days=int(text[:5]))) for text in digits if _COUNTED.fullmatch(text))
    return next(((text, day) for text, day in read if abs(day.year - year) <= 1), None)


def _of_digits(digits: str, year: int) -> date:
    """The date of eight digits, or the number of days of Excel, which is near the season or no date."""
    if len(digits) == len("20240615"):
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    if len(digits) != len("45458") or abs((day := _EXCEL + timedelta(days=int(digits))).year - year) > 1:
        raise ValueError
    return day
