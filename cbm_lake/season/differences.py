"""The differences between what is recorded and what is there now, of lights, markers and scenes; it writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import duckdb
import pyarrow as pa

from cbm_lake.lake import Lake, queries
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.finding import part_of

MEASURES: Final = ("observed", "similarity", "distance_rank", "homogeneity")
"""Markers of the season as a whole: what counts of them is their type, not the dates from which to which they are."""
_STATE: Final = ("marker_type", "date_start", "date_main", "date_end", "practice", "observable")
_APART: Final = 15
"""Days within which two states can be of the same event."""

Row = dict[str, Any]
"""A change by the columns of schemas.CHANGES."""


def of_lights(lake: Lake, parcels: ParcelSet, lights: pa.Table) -> list[Row]:
    """Changes of lights, given those that there are now, as `markers.traffic_light` gives them."""
    now = lights if "due" in lights.column_names else lights.append_column("due", pa.nulls(len(lights), pa.date32()))
    rows = _compared("lights", now, _recorded(lake, parcels, "light"))
    return [{"kind": "light", **row} for row in rows]


def of_scenes(lake: Lake, parcels: ParcelSet) -> list[Row]:
    """Changes of the status of scenes over a parcel set."""
    now = lake.query("changes.scenes", **parcels.params)
    rows = _compared("scenes", now, _recorded(lake, parcels, "scene"))
    return [{"kind": "scene", **row} for row in rows]


def of_markers(lake: Lake, parcels: ParcelSet) -> list[Row]:
    """Changes of markers: of their type, dates, practice, and whether the parcel is observable.

    An event that is there with other dates is the same where they meet those that it had, or nearly do.
    """
    key = {"aoi": parcels.aoi, "year": parcels.year, "part": part_of(parcels)}
    now = lake.query("changes.markers", **key, measures=list(MEASURES))
    differing = _compared("markers", now, _recorded(lake, parcels, "marker"))
    if not differing:
        return []
    used = lake.query("changes.numbers", **parcels.params).to_pylist()
    highest = {(row["pid"], row["marker"]): row["number"] for row in used}
    changes: list[Row] = []
    for (pid, marker), states in groupby(differing, itemgetter("pid", "marker")):
        for number, before, after in _paired(list(states), highest.get((pid, marker), 0)):
            texts = {"before": before and described(before), "after": after and described(after)}
            changes.append({"kind": "marker", "pid": pid, "marker": marker, "number": number, **texts, **(after or {})})
    return changes


def _recorded(lake: Lake, parcels: ParcelSet, kind: str) -> pa.Table:
    return lake.query("changes.present", **parcels.params, kind=kind)


def _compared(step: str, now: pa.Table, was: pa.Table) -> list[Row]:
    """The rows of a step of sql/changing over what is there now and what is recorded."""
    with duckdb.connect() as connection, queries.translated():
        connection.execute("set timezone = 'UTC'")
        connection.from_arrow(now).create_view("now")
        connection.from_arrow(was).create_view("was")
        rows: list[Row] = connection.sql(queries.get(f"changing.{step}").sql).to_arrow_table().to_pylist()
    return rows


def _paired(states: list[Row], highest: int) -> Iterator[tuple[int, Row | None, Row | None]]:
    """Number, former and present state of each marker of one name of a parcel that changed.

    Args:
        states: those that are there more or less often than recorded, by date; see sql/changing/markers.sql.
        highest: the greatest number given so far.
    """
    gone: list[tuple[int, Row]] = []
    come: list[Row] = []
    for row in states:
        numbers, state = row["numbers"] or [], {name: row[name] for name in _STATE}
        gone += [(number, state) for number in numbers[row["present"] :]]
        come += [state] * (row["present"] - len(numbers))
    for state in come:
        same = next((pair for pair in gone if _meet(pair[1], state)), None)
        if same is not None:
            gone.remove(same)
            yield same[0], same[1], state
        else:
            highest += 1
            yield highest, None, state
    for number, state in gone:
        yield number, state, None


def _meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two states can be of one event: both without dates, or their periods less than `_APART` days apart."""
    first, second = _days(one), _days(other)
    if not first or not second:
        return not first and not second
    return (max(first[0], second[0]) - min(first[-1], second[-1])).days < _APART


def _days(state: Mapping[str, Any]) -> list[date]:
    return sorted(state[name] for name in ("date_start", "date_main", "date_end") if state[name] is not None)


def described(state: Mapping[str, Any]) -> str:
    """The state of a marker in words: s2 2024-04-29 to 2024-05-14, about 2024-05-06."""
    start, main, end = (state[name] for name in ("date_start", "date_main", "date_end"))
    period = f"{start} to {end}" if start and end else f"{start or end or ''}"
    about = f"about {main}" if main else ""
    dates = ", ".join(filter(None, (period, about)))
    seldom = "seen too seldom" if state["observable"] is False else None
    words = [state["marker_type"], dates, state["practice"], seldom]
    return " ".join(filter(None, words)) or "there"
