"""What a step of a night run is, what comes of it, and what all of them work on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from cbm_lake.cards import S2
from cbm_lake.extract import shifting
from cbm_lake.files import installed
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.season.file import Area, Season
from cbm_lake.season.journal import Key

Progress = Callable[[int, int], None]
"""Called with the number done and the total, 0 where that is not known."""
Shift: TypeAlias = Mapping[str, Any]
"""A row of the query guard.shifts."""
SHOWN: Final = 5
"""Scenes or refusals that a line names."""


@dataclass(frozen=True)
class Done:
    """What came of a step."""

    rows: int = 0
    scenes: int = 0
    note: str | None = None
    """What is odd about it."""
    changed: bool = True
    """False where there was nothing to do."""
    tried: bool = True
    """False where what it needs is not there; the note says what."""

    @property
    def status(self) -> str:
        """As the journal has it."""
        if not self.tried:
            return "not run"
        return "done" if self.changed else "unchanged"


@dataclass(frozen=True)
class Step:
    """One step over one area, source or file."""

    key: Key
    work: Callable[[Progress], Done]
    reads: Callable[[], object] | None = None
    """Of what it is made, as JSON; None: the verb sees by itself what is to be done."""
    wrote: Callable[[], object] = lambda: None
    """What is there of it, as JSON."""

    def state(self, read: object) -> str:
        """What it is made of, and what is there of it."""
        return digest([installed.version(), read, self.wrote()])


def digest(document: object) -> str:
    """A short text that is another one for another document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()[:24]


@dataclass(frozen=True)
class Context:
    """What the steps of a run work on."""

    season: Season
    lake: Lake
    run: str
    """Identifier of the run."""

    def declared(self, area: Area) -> ParcelSet | None:
        """The parcel set in force of an area; None where none was loaded."""
        return next((one for one in self.lake.parcel_sets() if (one.aoi, one.year, one.ptype) == area.key), None)

    def parcels(self, area: Area) -> ParcelSet:
        """The parcel set in force of an area.

        Raises:
            NotFoundError: none was loaded.
        """
        return self.lake.parcel_set(*area.key)

    def counting(self, area: Area) -> list[dict[str, object]]:
        """Which extractions count over an area: one row, or none where nothing does."""
        aoi, year, ptype = area.key
        counted: list[dict[str, object]] = self.lake.query(
            "season.counting", aoi=aoi, year=year, ptype=ptype
        ).to_pylist()
        return counted

    def shifts(self, area: Area) -> dict[str, Shift]:
        """The shifts of Sentinel-2's scenes that are measured over an area, by scene."""
        rows: list[Shift] = self.lake.query("guard.shifts", **self.parcels(area).params).to_pylist()
        return {row["scene"]: row for row in rows if row["card"] == S2.name}

    def shifted(self, area: Area) -> dict[str, tuple[float, float]]:
        """By how many metres (east, north) extraction moves parcels in which scene."""
        return shifting.measured(self.lake, S2, self.parcels(area)) if self.shifts(area) else {}

    def is_extracted(self, area: Area) -> bool:
        """Whether any extraction counts over an area."""
        return bool(self.counting(area))


def key_of(step: str, area: Area, what: str | None = None) -> Key:
    """The identity of a step over an area."""
    aoi, year, ptype = area.key
    return Key(step, aoi, year, ptype, what)


def joined(texts: Iterable[str | None]) -> str | None:
    """Notes in one line; None where there are none."""
    return "; ".join(filter(None, texts)) or None
