"""Opening of cases for lights, and the same lights judged again."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cbm_lake import markers
from cbm_lake.cases import lineage
from cbm_lake.cases.judgedlights import worst
from cbm_lake.cases.judgements import judgements
from cbm_lake.cases.record import Names, Row, as_day, as_json, as_list, as_table
from cbm_lake.config import current_user
from cbm_lake.errors import InvalidInputError, some
from cbm_lake.files import clock
from cbm_lake.lake import Lake, lake_or_default, schemas
from cbm_lake.lake.arguments import checked
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.markers.lastday import last_day
from cbm_lake.markers.parameters import document

log = logging.getLogger(__name__)

LIGHT: Final = ("colour", "reason", "date_start", "date_end", "confidence")
"""What of a light is recorded."""


@checked
def open_cases(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    scenarios: Names | None = None,
    colours: Names | None = None,
    pids: Names | None = None,
    decisions: Names | None = None,
    day: date | str | None = None,
    parameters: Mapping[str, Any] | str | Path | None = None,
    note: str = "",
    who: str | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Open a case for each parcel and scenario whose light has one of some colours, in one commit.

    Parcels that have a case of that scenario already, closed or not, get no second one; nor do those of which at least
    half lies in the parcel of a case under another identifier, as after a parcel was renamed or divided.

    With `decisions` cases are opened for what people decided, such as to ask for a photo: for each parcel and scenario
    whose judgement that stands now is one of these; the case says by which judgement (its number). That of a
    declaration as a whole gives a case with no scenario, of the worst light. Parcels that have no light there, or are
    declared no more, get no case, with a warning that names them.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        scenarios: names of scenarios; None is all.
        colours: of the lights; None is red, with `decisions` every colour.
        pids: only these parcels.
        decisions: some of `cases.DECISIONS`; None is whatever was decided, or nothing.
        day: see `markers.traffic_light`.
        parameters: see `markers.traffic_light`; what they say, also of a file, is recorded.
        note: free text.
        who: decides it; None is the user of the settings (set.user), else of the computer.
        lake: the lake; None is the workspace's.

    Returns:
        The cases that were opened, rows of the view `cases`.

    Raises:
        NotFoundError: no such parcels, or no markers of them.
        InvalidInputError: a scenario, colour or decision is unknown.
    """
    lake = lake_or_default(lake)
    as_of = lake.as_of or clock.now()
    own = document(parameters)
    named, only, parcels = as_list(scenarios), as_list(pids), lake.parcel_set(aoi, year, ptype)
    if decisions is None:
        lights = _lights(lake, (aoi, year, ptype), named, only, day, own)
    else:
        key = (parcels.aoi, parcels.year, parcels.ptype)
        standing = judgements(*key, decisions=decisions, scenarios=named, pids=only, lake=lake.at(None))
        lights = _lights_judged(lake, parcels, standing.to_pylist(), day, own)
    selected = _colours(colours, ("red",) if decisions is None else markers.COLOURS)
    coloured = [light for light in lights if light["colour"] in selected]
    common = {
        "aoi": parcels.aoi,
        "year": parcels.year,
        "ptype": parcels.ptype,
        "parcels": parcels.version,
        "note": note.strip(),
        "who": who or current_user(),
        "as_of": as_of,
        "parameters": as_json(own),
    }
    outlines = _outlines(lake, parcels, {light["pid"] for light in coloured})
    opened: list[str] = []

    def rows() -> pa.Table:
        fresh = lineage.without_case(lake.at(None), parcels, coloured, outlines)
        decisions = [_opening({**common, **light, **outlines[light["pid"]]}) for light in fresh]
        opened[:] = [decision["case_id"] for decision in decisions]
        return as_table(decisions)

    if coloured:
        lake.at(None).decide(rows)
    return lake.at(None).query("cases.of_ids", ids=opened)


def _colours(colours: Names | None, default: Sequence[str]) -> set[str]:
    """The colours of lights for which cases are opened.

    Raises:
        InvalidInputError: one of them is none of a light.
    """
    selected = set(default if colours is None else as_list(colours) or ())
    unknown = sorted(selected - set(markers.COLOURS))
    if unknown:
        raise InvalidInputError(f"no light is {unknown[0]}; choose from {', '.join(markers.COLOURS)}")
    return selected


def openings(lake: Lake, case: Row) -> list[Row]:
    """The decisions by which a case was opened, with the light that each saw."""
    rows: list[Row] = lake.query("cases.history", case_id=case["case_id"]).to_pylist()
    return [row for row in rows if row["colour"] is not None]


def light(lake: Lake, row: Mapping[str, Any]) -> Row | None:
    """The light of a decision that opened a case, judged again on a lake; None where the parcel has none."""
    parameters = json.loads(row["parameters"]) if row["parameters"] else None
    key = (row["aoi"], row["year"], row["ptype"] or None)
    named = [row["scenario"]] if row["scenario"] else None
    lights = _lights(lake, key, named, [row["pid"]], row["day"], parameters)
    return next(iter(lights), None) if named else worst(lights)


def _lights(
    lake: Lake,
    key: tuple[str, int, str | None],
    scenarios: Sequence[str] | None,
    pids: Sequence[str] | None,
    day: date | str | None,
    parameters: Mapping[str, Any] | None,
) -> list[Row]:
    """Lights, each with the day at the end of which it was judged."""
    table = markers.traffic_light(*key, scenarios=scenarios, pids=pids, parameters=parameters, day=day, lake=lake)
    judged = as_day(day) or last_day(lake, lake.parcel_set(*key))
    return [{**row, "day": judged} for row in table.to_pylist()]


def _lights_judged(
    lake: Lake,
    parcels: ParcelSet,
    standing: Sequence[Row],
    day: date | str | None,
    parameters: Mapping[str, Any] | None,
) -> list[Row]:
    """The lights of which judgements are, each with the number of its judgement."""
    numbers = {(row["scenario"], row["pid"]): row["number"] for row in standing if row["outdated"] != "gone"}
    key, lights = (parcels.aoi, parcels.year, parcels.ptype or None), []
    for scenario in sorted({scenario for scenario, _ in numbers}):
        pids = sorted(pid for name, pid in numbers if name == scenario)
        rows = _lights(lake, key, [scenario] if scenario else None, pids, day, parameters)
        by_pid = groupby(sorted(rows, key=itemgetter("pid")), itemgetter("pid"))
        lights += rows if scenario else [light for _, group in by_pid if (light := worst(list(group)))]
    judged = {(row["scenario"], row["pid"]) for row in standing}
    missing = {pid for _, pid in judged - {(light["scenario"], light["pid"]) for light in lights}}
    if missing:
        log.warning(
            "no case is opened for %s of %s, although judged so: there is no light of it by these rules, or it is "
            "declared no more",
            some(sorted(missing)),
            parcels.name,
        )
    return [{**light, "judgement": numbers[light["scenario"], light["pid"]]} for light in lights]


def _opening(light: Row) -> Row:
    """The decision that opens a case."""
    identity = [light[name] for name in ("aoi", "year", "ptype", "pid", "scenario", "geometry")]
    content = json.dumps([part.hex() if isinstance(part, bytes) else part for part in identity])
    columns = {name: light[name] for name in schemas.DECISIONS.names if name in light}
    case_id = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {**columns, "case_id": case_id, "number": 1, "status": "open", "decided": clock.now()}


def _outlines(lake: Lake, parcels: ParcelSet, pids: set[str]) -> dict[str, Row]:
    rows = lake.query("cases.geometries", **parcels.params, pids=sorted(pids)).to_pylist()
    return {row["pid"]: {"epsg": row["epsg"], "geometry": row["geometry"]} for row in rows}
