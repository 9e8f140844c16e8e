"""What a parcel's own declaration claims: dates, flags and numbers in the agency's columns of the parcel file.

A claim that cannot be read, or that contradicts itself, concerns its parcel alone: it is noted for the scenario that
asks for it. A column that is not there, or has something else altogether, concerns the scenario: `ColumnError`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, counted, some
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import claimvalues
from cbm_lake.markers.claimvalues import Meaning, Meanings, Texts, Values
from cbm_lake.markers.parameters import CLAIM, EPOCH, Day

log = logging.getLogger(__name__)
Days = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
NEVER: Final = np.iinfo(np.int32).max
"""The day of a parcel that has none."""
_OURS: Final = ("ptype", "version")
"""Columns of a set's rows that are not in its file."""
_EXAMPLES: Final = 3
"""Parcels that a warning names."""


class ColumnError(InvalidInputError):
    """A scenario asks for a column that the parcels do not have, or that has something else than what it asks for."""


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
        self._meanings: dict[tuple[str, str], Meanings] = {}
        self._problems: dict[str, Texts] = {}

    def __len__(self) -> int:
        return len(self._pids)

    def problems(self, scenario: str) -> Texts:
        """Why the claim of each parcel cannot be judged in a scenario, of what was asked so far; empty where it can."""
        return self._problems.setdefault(scenario, np.full(len(self), "", object))

    def note(self, scenario: str, which: Flags, problems: Texts) -> None:
        """Note why claims of some parcels cannot be judged in a scenario; what was noted first stands."""
        there = self.problems(scenario)
        fresh = which & (there == "")
        there[fresh] = problems[fresh]

    def values(self, name: str, scenario: str) -> pa.Array:
        """The values of a column of the agency, as they stand in the file.

        Raises:
            ColumnError: the parcels have no such column.
        """
        order = pc.index_in(self._pids, self._column("id", scenario))
        return self._column(name, scenario).take(order)

    def flags(self, name: str, scenario: str) -> Flags:
        """Mask of the parcels that claim something, or whose claim cannot be read; null claims nothing.

        Raises:
            ColumnError: there is no such column, or it has something else than flags.
        """
        read = self._read(name, scenario, claimvalues.flag, claimvalues.FLAG)
        return np.asarray((read.values == 1) | self._noted(name, scenario, read))

    def numbers(self, name: str, scenario: str) -> tuple[Values, Flags]:
        """Numbers, NaN where there is none, and the mask of the parcels whose claim cannot be read.

        Raises:
            ColumnError: there is no such column, or it has something else than numbers.
        """
        read = self._read(name, scenario, claimvalues.number, claimvalues.NUMBER)
        return read.values, self._noted(name, scenario, read)

    def days(self, choice: Sequence[Day], year: int, scenario: str) -> Days:
        """The first day of a choice that each parcel has, since 1970-01-01; NEVER where it has none.

        It is NEVER, too, where the claim that would be the first one cannot be read, which is noted.

        Raises:
            ColumnError: there is no such column, or it has something else than dates.
        """
        result = np.full(len(self), NEVER, np.int64)
        missing = np.ones(len(self), bool)
        for day in choice:
            if not missing.any():
                break
            if day.column is None:
                result[missing] = day_number(day, year)
                break
            read = self.dates(day.column, year, scenario)
            self._noted(day.column, scenario, read, missing)
            there = missing & ~np.isnan(read.values)
            result[there] = read.values[there].astype(np.int64) + day.shift
            missing &= read.is_null
        return result

    def dates(self, name: str, year: int, scenario: str) -> Meanings:
        """The dates of a column; problems are not noted.

        Raises:
            ColumnError: there is no such column, or it has something else than dates.
        """
        fresh = (name, claimvalues.DATE) not in self._meanings
        read = self._read(name, scenario, claimvalues.days(year), claimvalues.DATE)
        if fresh:
            say_counted(self._column(name, scenario), year, f"{CLAIM}{name}")
        return read

    def note_dates(self, names: Sequence[str], year: int, scenario: str) -> None:
        """Note the claims in some columns that cannot be read as dates; see `dates`."""
        for name in names:
            self._noted(name, scenario, self.dates(name, year, scenario))

    def warn(self, scenario: str, which: Flags) -> None:
        """Say how many parcels of some cannot be judged for their claims, with examples."""
        there = np.flatnonzero(which)
        if len(there):
            pids, problems = self._pids.take(pa.array(there)).to_pylist(), self.problems(scenario)[there]
            examples = some([f"{pid}: {problem}" for pid, problem in zip(pids, problems, strict=True)], _EXAMPLES)
            log.warning(
                "scenario %r cannot judge %s, yellow until the claim is corrected: %s",
                scenario,
                counted(len(there), "parcel"),
                examples,
            )

    def _noted(self, name: str, scenario: str, read: Meanings, among: Flags | None = None) -> Flags:
        """Note what cannot be read of a column among some parcels; mask of these."""
        broken = np.asarray(read.problems != "") & (True if among is None else among)
        if broken.any():
            self.note(scenario, broken, np.array([unreadable(name, problem) for problem in read.problems], object))
        return broken

    def _read(self, name: str, scenario: str, meaning: Meaning, kind: str) -> Meanings:
        """The values of a column as what they mean."""
        if (name, kind) not in self._meanings:
            column = self._column(name, scenario)
            read = read_column(column, meaning, f"scenario {scenario!r}: {CLAIM}{name}", kind)
            order = pc.index_in(self._pids, self._column("id", scenario)).to_numpy(zero_copy_only=False)
            self._meanings[name, kind] = Meanings(read.values[order], read.problems[order])
        return self._meanings[name, kind]

    def _column(self, name: str, scenario: str) -> pa.Array:
        """A column of all parcels of the file, in its order."""
        if name not in self._columns:
            there = self._lake.schema_of_parcels(self._parcels).names
            if name not in there:
                names = ", ".join(sorted(set(there).difference(_OURS, schemas.PARCELS.names))) or "none"
                raise ColumnError(
                    f"scenario {scenario!r} asks for {CLAIM}{name}, but the parcels of {self._parcels.name} have no "
                    f"column {name!r}; the agency's further columns: {names}"
                )
            column = self._lake.read_parcels(self._parcels, [name])[name].combine_chunks()
            self._columns[name] = column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        return self._columns[name]


def read_column(column: pa.Array, meaning: Meaning, title: str, kind: str) -> Meanings:
    """What the values of a column mean.

    Args:
        column: the values of all parcels of a set.
        meaning: what a value means.
        title: how a message names who asks for which column.
        kind: what the values have to be.

    Raises:
        ColumnError: values of its type cannot be that, or none of those of a column that is not of texts is.
    """
    if not claimvalues.is_readable(column.type):
        raise ColumnError(f"{title} is of type {column.type}, of which no value is a {kind}")
    read = claimvalues.meanings(column, meaning)
    broken = np.flatnonzero(read.problems != "")
    if len(broken) and np.isnan(read.values).all() and not claimvalues.is_text(column.type):
        example = read.problems[broken[0]]
        raise ColumnError(f"{title} is of type {column.type} and no value of it, such as {example}, is a {kind}")
    return read


def say_counted(column: pa.Array, year: int, title: str) -> None:
    """Say that numbers of a column of dates are taken as Excel's days, with an example."""
    example = claimvalues.counted_day(column, year)
    if example is not None:
        log.warning("%s: numbers are taken as days as Excel counts them; %s is %s", title, *example)


def unreadable(name: str, problem: str) -> str:
    """What is said of a claim that cannot be read; empty where it can."""
    return problem and f"claim not readable: {problem} in {name}"


def day_number(day: Day, year: int) -> int:
    """The number, since 1970-01-01, of a day that is the same for all parcels."""
    return (date.fromisoformat(f"{year}-{day.day}") + timedelta(days=day.shift) - EPOCH).days
