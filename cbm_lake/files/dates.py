"""The parser of dates for all public functions, commands and forms."""

from __future__ import annotations

from datetime import UTC, date, datetime

import numpy as np

from cbm_lake.errors import InvalidInputError


def parse_day(value: object) -> date:
    """The day of a date, of a timestamp, or of a text in ISO 8601.

    A timestamp counts for the day that is written in it, whatever its time zone. A text is a day (2024-03-01, 20240301,
    2024-W09-5), perhaps with a time after it; blanks around it do not matter.

    Args:
        value: datetime.date, datetime.datetime, pandas.Timestamp, numpy.datetime64 of a day or finer, or text.

    Raises:
        ValueError: it is none of these, or a missing value such as pandas.NaT.
    """
    if isinstance(value, np.datetime64):
        value = str(value)
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    day = value.date() if isinstance(value, datetime) else value
    if type(day) is not date:  # pandas.NaT is a datetime whose date is no date
        raise ValueError("neither a date nor a text")
    return day


def day_of(value: object, noun: str = "day") -> date:
    """The same for what a user gave.

    Args:
        value: as of `parse_day`.
        noun: what the message calls it.

    Raises:
        InvalidInputError: it is no day.
    """
    try:
        return parse_day(value)
    except ValueError as error:
        raise InvalidInputError(f"{value!r} is no {noun} ({error}); write dates as 2024-03-01") from error


def timestamp_of(value: date | str, noun: str) -> datetime:
    """The timestamp (UTC) of a date, a datetime or a text in ISO 8601; UTC unless it has a zone.

    Args:
        value: a date is its midnight.
        noun: what the message calls it.

    Raises:
        InvalidInputError: it is no timestamp.
    """
    try:
        timestamp = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise InvalidInputError(
            f"{noun} {value!r} is no date; write it as 2024-06-30 or 2024-06-30T12:00:00Z"
        ) from error
    return timestamp.replace(tzinfo=UTC) if timestamp.tzinfo is None else timestamp.astimezone(UTC)
