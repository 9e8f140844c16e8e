"""cbm-lake changes: what changed of lights, markers and scenes since a night, and recording it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cbm_lake.cli.shared import Format, Ptype, Shown, err, show
from cbm_lake.errors import InvalidInputError
from cbm_lake.files.dates import day_of


class Kind(StrEnum):
    """What can change."""

    light = "light"
    marker = "marker"
    scene = "scene"


def changes(
    since: Annotated[
        str | None, typer.Option("--since", help="A day (2024-06-15), last (the last night), or a night run.")
    ] = None,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Only of this area.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Only of this year.")] = None,
    ptype: Ptype = None,
    kind: Annotated[Kind | None, typer.Option("--kind", help="Only of this kind.")] = None,
    scenario: Annotated[str | None, typer.Option("--scenario", help="Only lights of this scenario.")] = None,
    pid: Annotated[list[str] | None, typer.Option("--pid", help="Only of this parcel; may be repeated.")] = None,
    details: Annotated[
        bool, typer.Option("--details", help="Also lights of which only the evidence, not the colour, changed.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="First record what has changed of --aoi and --year since the last night.")
    ] = False,
    day: Annotated[
        str | None, typer.Option("--day", help="With --record: lights as of the end of this day, else the last seen.")
    ] = None,
    scenarios: Annotated[
        list[str] | None,
        typer.Option("--record-scenario", help="With --record: judge this scenario only; may be repeated."),
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option("--parameters", help="With --record: YAML of what differs from the defaults.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Show what changed of lights, markers and scenes: before, after, and the cause."""
    from cbm_lake import season
    from cbm_lake.lake import open_lake

    if record:
        if aoi is None or year is None:
            raise InvalidInputError("changes are recorded of one area and year: name them by --aoi and --year")
        lake = open_lake()
        with err.status("recording changes"):
            until = None if day is None else day_of(day)
            parcels = lake.parcel_set(aoi, year, ptype)
            season.record(lake, parcels, until, scenarios=scenarios, parameters=parameters)
    elif day is not None or scenarios or parameters is not None:
        raise InvalidInputError("--day, --record-scenario and --parameters say how changes are recorded: add --record")
    rows = season.changes(aoi, year, ptype, since=since, kind=kind, scenario=scenario, pids=pid, details=details)
    if output is Format.table:
        rows = rows.select(
            ["day", "aoi", "year", "ptype", "kind", "pid", "scenario", "marker", "scene", "before", "after", "cause"]
        )
    show(rows, output, "changes")
