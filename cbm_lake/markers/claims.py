"""What a parcel's own declaration claims: dates and flags in the agency's columns of the parcel file."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.parameters import CLAIM, EPOCH, Day

log = logging.getLogger(__name__)
T = TypeVar("T")
Days = npt.NDArray[np.int64]
NEVER: Final = np.iinfo(np.int32).max
"""The day of a parcel that has none."""
_YES: Final = frozenset({"1", "true", "t", "yes", "y"})
_NO: Final = frozenset({"0", "false", "f", "no", "n"})


class Claims:
    """The columns of a parcel file, in the order of `pids`; each is read once, when it is first asked for.

    Args:
        lake: that has the file.
        parcels: the parcel set.
        pids: the identifiers of the parcels that are asked about.
    """

    def __init__(self, lake: Lake, parcels: ParcelSet, pids: pa.Array) -> None:
        self._lake, self._parcels, self._pids = lake, parcels, pids
        self._columns: dict[str, pa.Array] = {}

    def __len__(self) -> int:
        return len(self._pids)

    def column(self, name: str, scenario: str) -> pa.Array:
        """The values of a column of the agency.

        Raises:
            InvalidInputError: the parcels have no such column.
        """
        if name not in self._columns:
            there = self._lake.schema_of_parcels(self._parcels).names
            if name not in there:
                names = ", ".join(sorted(set(there) - {"geometry", "bbox"}))
                raise InvalidInputError(
                    f"scenario {scenario!r} asks for {CLAIM}{name}, but the parcels of {self._parcels.name} have no "
                    f"column {name!r}; there are: {names}"
                )
            rows = self._lake.read_parcels(self._parcels, ["id", name] if name != "id" else ["id"])
            order = pc.index_in(self._pids, rows["id"].combine_chunks())
            self._columns[name] = rows[name].combine_chunks().take(order)
        return self._columns[name]

    def flags(self, name: str, scenario: str) -> npt.NDArray[np.bool_]:
        """Mask of the parcels that claim something; null claims nothing.

        Raises:
            InvalidInputError: there is no such column, or it has something else than true and false (also 1 and 0, yes
                and no).
        """
        return np.array(
            [bool(flag) for flag in self._read(name, scenario, _flag, "flag (true or false, 1 or 0)")], bool
        )

    def days(self, choice: Sequence[Day], year: int, scenario: str) -> Days:
        """The first day of a choice that each parcel has, since 1970-01-01; NEVER where it has none.

        Raises:
            InvalidInputError: there is no such column, or it has something else than dates (also ISO texts of them, and
                month-day in the year of the declaration), or a date more than a year away from that year.
        """
        result = np.full(len(self._pids), NEVER, np.int64)
        for day in choice:
            missing = result == NEVER
            if not missing.any():
                break
            result[missing] = self._candidates(day, year, scenario)[missing]
        return result

    def _candidates(self, day: Day, year: int, scenario: str) -> Days:
        if day.column is None:
            return np.full(len(self._pids), _number(date.fromisoformat(f"{year}-{day.day}"), day.shift))
        rows = self._read(day.column, scenario, lambda value: date_of(value, year), "date (2024-06-15, or 06-15)")
        self._check_years(rows, year, day.column, scenario)
        return np.array([NEVER if row is None else _number(row, day.shift) for row in rows], np.int64)

    def _check_years(self, rows: Iterable[date | None], year: int, column: str, scenario: str) -> None:
        for pid, row in zip(self._pids, rows, strict=True):
            if row is not None and abs(row.year - year) > 1:
                raise InvalidInputError(
                    f"scenario {scenario!r}: {CLAIM}{column} of parcel {pid} is {row}, outside the season of {year}"
                )

    def _read(self, name: str, scenario: str, read: Callable[[object], T], kind: str) -> list[T | None]:
        """The values as what they mean; texts that are blank count as null."""
        values = self.column(name, scenario)
        result: list[T | None] = []
        for pid, value in zip(self._pids, values.to_pylist(), strict=True):
            blank = value is None or (isinstance(value, str) and not value.strip())
            try:
                result.append(None if blank else read(value))
            except ValueError as error:
                raise InvalidInputError(
                    f"scenario {scenario!r}: {CLAIM}{name} ({values.type}) of parcel {pid} is {value!r}, "
                    f"which is no {kind}"
                ) from error
        return result


def _number(day: date, shift: int) -> int:
    return (day + timedelta(days=shift) - EPOCH).days


def _flag(value: object) -> bool:
    text = f"{value:g}" if isinstance(value, float) else str(value).strip().lower()
    if isinstance(value, bool | int | float | str) and text in _YES | _NO:
        return text in _YES
    raise ValueError(value)


def date_of(value: object, year: int) -> date:
    """The date that a value of an agency's column is: dates, timestamps, ISO texts, or month-day of a year.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, date):  # also a timestamp, whose day is that of its own zone
        return date(value.year, value.month, value.day)
    text = value.strip().removeprefix("--") if isinstance(value, str) else ""
    return datetime.fromisoformat(f"{year}-{text}" if len(text) == len("06-15") else text).date()
