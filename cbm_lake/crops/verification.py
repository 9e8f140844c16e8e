"""Repeats a recorded crop check from the versions of the lake that it read, and compares the verdicts."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from cbm_lake.crops import checking, recording
from cbm_lake.crops.checking import Answer, Asked
from cbm_lake.crops.recording import Versions
from cbm_lake.crops.settings import settings_of
from cbm_lake.errors import NotFoundError, some
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.parameters import read as read_parameters

Row = dict[str, Any]
"""A row of the query crops.runs."""
CHANGED: Final = "the verdicts in the lake are not those that the check recorded"
"""The difference that is seen without repeating the check: no other library explains it."""


def recompute(lake: Lake, aoi: str, year: int, ptype: str | None, run: str, *, since: bool = False) -> list[str]:
    """Repeat a recorded check by the lake as it was then; what differs, in words; nothing where all is the same.

    Args:
        lake: the lake.
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        run: identifier of the check.
        since: whether the days from which on verdicts were the same are worked out again, too: that is a check for
            each month.

    Raises:
        NotFoundError: there is no such check.
        SourceError: what it read is no more there, as after a vacuum.
    """
    parcels = lake.parcel_set(aoi, year, ptype)
    rows: list[Row] = lake.query("crops.runs", **parcels.params, run=run).to_pylist()
    if not rows:
        raise NotFoundError(f"there is no crop check {run} of {parcels.name} in this lake")
    return list(_differences(lake, rows[0], since=since))


def _differences(lake: Lake, row: Row, *, since: bool) -> Iterator[str]:
    snapshot = json.loads(row["snapshot"])
    then = lake.at(snapshot["read"])
    parcels = then.parcel_set(row["aoi"], row["year"], row["ptype"])
    asked = asked_by(row, parcels)
    asked = asked if since else replace(asked, since=False)
    yield from _of_versions(row, snapshot, then, parcels)
    yield from other_libraries(json.loads(row["libraries"]))
    answer, _ = checking.answered(then, asked)
    if recording.digest_of_season(answer.observed.season) != snapshot["features"]:
        yield "what was seen of the parcels is not what the check saw"
    yield from _of_verdicts(lake, row, snapshot, answer, asked)


def asked_by(row: Row, parcels: ParcelSet) -> Asked:
    """What a recorded check asked for."""
    settings = json.loads(row["settings"])
    by, since, clear = (settings.pop(name) for name in ("by", "since", "clear"))
    return Asked(parcels, row["day"], by, settings_of(**settings), since, read_parameters({"clear": clear}).clear)


def _of_versions(row: Row, snapshot: Row, then: Lake, parcels: ParcelSet) -> Iterator[str]:
    """Whether the lake as of the timestamp is that which was read."""
    now = Versions.of(then)
    recorded = Versions(datetime.fromisoformat(snapshot["read"]), snapshot["tables"], snapshot["scenes"])
    others = [name for name, version in recorded.tables.items() if dict(now.tables).get(name) != version]
    if others:
        yield f"the tables {some(sorted(others))} are of other versions than those that the check read"
    if now.scenes != recorded.scenes:
        yield "the catalogue is not the one that the check read"
    if parcels.version != row["version"]:
        yield f"the parcels are of version {parcels.version}, the check was of {row['version']}"


def other_libraries(recorded: dict[str, str]) -> Iterator[str]:
    """Which libraries are of other versions now."""
    for name, version in recorded.items():
        now = importlib.metadata.version(name)
        if now != version:
            yield f"{name} is of version {now}, the check was made by {version}"


def _of_verdicts(lake: Lake, row: Row, snapshot: Row, answer: Answer, asked: Asked) -> Iterator[str]:
    """Whether the verdicts are those that were recorded, and those in the lake where they are still in force."""
    rows = checking.table(answer, asked, row["run"])
    repeated = recording.digest_of_verdicts(rows)
    if repeated != snapshot["verdicts"]:
        yield "the verdicts are not those that the check recorded"
    if row["verdicts"]:
        stored = lake.query("crops.stored", run=row["run"])
        if recording.digest_of_verdicts(stored) != snapshot["verdicts"]:
            yield CHANGED
        with_days = answer.cleared is not None
        different = _named(rows.to_pylist(), stored.to_pylist(), since=with_days)
        if different:
            yield f"the verdicts in the lake differ: {some(different, 3)}"


def _named(repeated: Sequence[Row], stored: Sequence[Row], *, since: bool) -> list[str]:
    """The parcels whose verdicts differ, with both."""
    others = {row["pid"]: row for row in stored}
    texts = []
    for row in repeated:
        other = others.pop(row["pid"], None)
        if other is None:
            texts.append(f"{row['pid']} has none, repeated: {row['verdict']}")
        elif recording.compared(row, since=since) != recording.compared(other, since=since):
            texts.append(f"{row['pid']} {other['verdict']}, repeated: {row['verdict']}")
    return [*texts, *(f"{pid} was not checked" for pid in others)]
