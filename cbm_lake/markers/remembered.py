"""What was settled when lights were judged last, so that next time only what is new or other since is weighed.

A verdict that is settled on a day rests on what was seen of the parcel up to it. So it stays as long as that stays, and
days that settled nothing need not be looked at again. Whether it stays is decided by what was read, whatever the reason
may be that it is another: beside the verdicts there is a fingerprint of the observations of each parcel in every ten
days, and of the work on its parts. What is compared with all parcels of a crop, or said by a crop check, is
judged anew each time.

The file can be lost: then everything is weighed. It is used only by those who record lights night by night.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.files import installed
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers import memory, partial
from cbm_lake.markers.claims import NEVER
from cbm_lake.markers.events import Events
from cbm_lake.markers.finding import part_of
from cbm_lake.markers.groups import CROP_CHECK
from cbm_lake.markers.history import Images
from cbm_lake.markers.judging import PEERS, Case, Remembered, Verdicts
from cbm_lake.markers.parameters import Parameters, Scenario
from cbm_lake.markers.rules import Flags, Ints, Windows, markers_of
from cbm_lake.markers.series import Series

Prints = npt.NDArray[np.uint64]
_Columns = Sequence[npt.NDArray[np.int32] | npt.NDArray[np.int64] | npt.NDArray[np.float32] | npt.NDArray[np.float64]]
_Rows = tuple[str, Ints, _Columns]
"""The name of what was seen, and of each row its parcel, and columns, the first of which is the day."""
_FORMAT: Final = 1
"""Number of the layout of the files."""
_STEP: Final = 10
"""Days of one fingerprint."""
_AT_ONCE: Final = 1 << 22
"""Values whose fingerprints are computed together."""
_FIRST: Final = np.iinfo(np.int64).min
"""Before every day."""
_GOLDEN, _ONE, _OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
"""The constants of splitmix64 (Steele, Lea and Flood 2014)."""
_COLUMNS: Final = {"rule": "<i2", "day": "<i4", "asked": "?", "windows": "<u8"}
"""The columns of a scenario, and how their numbers are stored."""


@dataclass(frozen=True, eq=False)
class Settled:
    """What was settled about the parcels of a scenario; one entry per parcel of the set."""

    last: int
    """The day as of whose end it was judged."""
    rule: Ints
    day: Ints
    asked: Flags
    """Whether the scenario asked about the parcel."""
    windows: Prints
    """Fingerprints of the days of the scenario."""


@dataclass(frozen=True, eq=False)
class Record:
    """The verdicts of one time, and on what they rest."""

    how: str
    """Digest of the parcel set, the parameters and the version of this package."""
    begin: int
    """The first day of the season, since 1970-01-01."""
    prints: Prints
    """(parcels, steps) of what was seen."""
    begins: dict[str, int]
    """See `History.begins`."""
    scenarios: dict[str, Settled] = field(default_factory=dict)
    """By name."""

    @classmethod
    def of(cls, case: Case, parcels: ParcelSet) -> Record:
        """A record without verdicts yet."""
        history = case.history
        begin = history.parameters.season.days(history.year)[0]
        return cls(_how(parcels, history.parameters), begin, fingerprints(case), dict(history.begins))

    def note(self, name: str, parcels: Ints, days: Windows, last: int, verdicts: Verdicts) -> None:
        """Add the verdicts of a scenario about some parcels."""
        count = len(self.prints)
        rule, day, windows = np.full(count, -1), np.full(count, NEVER), np.zeros(count, np.uint64)
        rule[parcels], day[parcels], windows[parcels] = verdicts.rule, verdicts.day, _of_windows(days)
        asked = np.zeros(count, bool)
        asked[parcels] = True
        self.scenarios[name] = Settled(last, rule, day, asked, windows)

    def changed(self, former: Record) -> Ints:
        """The first day on which what was seen of each parcel may be another than then; NEVER where all is the same."""
        other = former.prints != self.prints
        step = other.argmax(axis=1)
        days = np.where(step == 0, _FIRST, self.begin + _STEP * step)
        then, now = former.begins, self.begins
        begun = [min(first, then.get(name, _FIRST)) for name, first in now.items() if first != then.get(name)]
        return np.minimum(np.where(other.any(axis=1), days, NEVER), min(begun, default=NEVER))


@dataclass(frozen=True, eq=False)
class Docket:
    """The verdicts of this time, and those of the last where the same was asked of the same parcels."""

    now: Record
    former: Record | None

    def earlier(self, name: str, scenario: Scenario, parcels: Ints, days: Windows) -> Remembered | None:
        """What is settled already about some parcels of a scenario; None where nothing is."""
        then = self.former.scenarios.get(name) if self.former else None
        if then is None or markers_of(scenario) & {*PEERS, CROP_CHECK}:
            return None
        since = np.minimum(self._changed[parcels], then.last + 1)
        same = then.asked[parcels] & (then.windows[parcels] == _of_windows(days))
        return Remembered(Verdicts(then.rule[parcels], then.day[parcels]), np.where(same, since, _FIRST))

    @cached_property
    def _changed(self) -> Ints:
        return np.zeros(0, np.int64) if self.former is None else self.now.changed(self.former)


def docket(lake: Lake, parcels: ParcelSet, case: Case) -> Docket:
    """The verdicts that are remembered, to be completed by those of now."""
    now = Record.of(case, parcels)
    former = _load(lake, parcels, now.how)
    return Docket(now, former if former and former.prints.shape == now.prints.shape else None)


def save(lake: Lake, parcels: ParcelSet, record: Record) -> None:
    """Store a record in the place of others."""
    part = _part(parcels)
    number = lake.write_memory(memory.folder(parcels), part, memory.packed(_packed(record)))
    lake.forget_memories(memory.folder(parcels), part, number)


def fingerprints(case: Case) -> Prints:
    """What was seen of each parcel in every ten days as one number, (parcels, steps), which is another if that is.

    Images before the season count to the first step: they are compared with all later ones. Work on a part of a parcel
    counts to the step from which on verdicts may rest on it.
    """
    history = case.history
    begin, end = history.parameters.season.days(history.year)
    prints = np.zeros((len(history.pids), (end - begin) // _STEP + 1), np.uint64)
    usual: dict[str, Series | Images] = {"": history.looks, " images": history.images}
    rows = [_rows(name, part) for name, part in {**usual, **history.others, **history.radar}.items()]
    for name, owner, columns in (*rows, *map(_rows_of_work, case.parts)):
        seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
        step = ((columns[0] - begin) // _STEP).clip(0, prints.shape[1] - 1).astype(np.int64)
        for first in range(0, len(owner), _AT_ONCE):
            some = slice(first, first + _AT_ONCE)
            np.add.at(prints, (owner[some], step[some]), _hashed(seed, [column[some] for column in columns]))
    return prints


def _rows(name: str, part: Series | Images) -> _Rows:
    """The rows of a series or of images."""
    if isinstance(part, Series):
        return name, part.owner, [part.day, part.value]
    return name, part.parcel, [part.day, part.value, part.orbit, part.weight]


def _rows_of_work(events: Events) -> _Rows:
    """The rows of work on parts of parcels."""
    day = events.fields[:, partial.END]
    return f" {events.marker}", events.parcel, [day, *map(np.ascontiguousarray, events.fields.T)]


def _hashed(seed: np.uint64, columns: _Columns) -> Prints:
    """A number for each row of the columns, by their bits."""
    result = np.full(len(columns[0]), seed, np.uint64)
    for column in columns:
        bits = column.view(f"u{column.itemsize}").astype(np.uint64)
        mixed = (result ^ bits) + _GOLDEN
        mixed = (mixed ^ (mixed >> np.uint64(30))) * _ONE
        mixed = (mixed ^ (mixed >> np.uint64(27))) * _OTHER
        result = mixed ^ (mixed >> np.uint64(31))
    return result


def _of_windows(days: Windows) -> Prints:
    """Fingerprints of the days of a scenario for each parcel."""
    rows = np.concatenate([days.due[None], days.rule_due, days.first, days.last]).astype(np.int64)
    return _hashed(np.uint64(0), list(np.ascontiguousarray(rows)))


def _how(parcels: ParcelSet, parameters: Parameters) -> str:
    return memory.digest([str(_FORMAT), installed.version(), parcels.version, parameters.model_dump_json()])


def _part(parcels: ParcelSet) -> int:
    """The number of the files, another than that of searches."""
    return int.from_bytes(hashlib.sha256(f"verdicts {part_of(parcels)}".encode()).digest()[:8]) >> 1


def _packed(record: Record) -> Iterator[tuple[str, bytes]]:
    """The columns of a file."""
    last = {name: one.last for name, one in record.scenarios.items()}
    facts = {"how": record.how, "begin": record.begin, "begins": record.begins, "shape": record.prints.shape}
    yield "facts", json.dumps({**facts, "last": last}).encode()
    yield "prints", record.prints.astype("<u8").tobytes()
    for name, one in record.scenarios.items():
        for column, kind in _COLUMNS.items():
            yield f"{column} {name}", getattr(one, column).astype(kind).tobytes()


def _load(lake: Lake, parcels: ParcelSet, how: str) -> Record | None:
    """The record of how things are judged now; None where there is none, or it is damaged."""
    part, folder = _part(parcels), memory.folder(parcels)
    for number in lake.memories(folder, part):
        rows = lake.read_memory(folder, part, number)
        columns = {} if rows is None else memory.unpacked(rows)
        facts = json.loads(bytes(columns.pop("facts", b"{}")))
        if facts.get("how") == how:
            prints = np.frombuffer(columns["prints"], "<u8").reshape(facts["shape"])
            scenarios = {name: _settled(name, last, columns) for name, last in facts["last"].items()}
            return Record(how, facts["begin"], prints, facts["begins"], scenarios)
    return None


def _settled(name: str, last: int, columns: Mapping[str, pa.Buffer | bytes]) -> Settled:
    """The verdicts of a scenario, from the columns of a file."""
    arrays = {column: np.frombuffer(columns[f"{column} {name}"], kind) for column, kind in _COLUMNS.items()}
    rule, day = (arrays[column].astype(np.int64) for column in ("rule", "day"))
    return Settled(last, rule, day, arrays["asked"], arrays["windows"])
