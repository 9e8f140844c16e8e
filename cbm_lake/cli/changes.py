"""cbm-lake changes: what changed of lights, markers and scenes since a night, and recording it."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbm_lake.cli.shared import Format, Ptype, Shown, err, out, show
from cbm_lake.errors import InvalidInputError
from cbm_lake.files.dates import day_of

if TYPE_CHECKING:
    import pyarrow as pa


log = logging.getLogger(__name__)


class By(StrEnum):
    """Which day of a change counts."""

    recorded = "recorded"
    judged = "judged"


class Kind(StrEnum):
    """What can change."""

    light = "light"
    marker = "marker"
    scene = "scene"


def changes(
    since: Annotated[
        str | None, typer.Option("--since", help="A day (2024-06-15), last (the last night), or a night run.")
    ] = None,
    by: Annotated[
        By,
        typer.Option("--by", help="Whether --since is the day of recording (UTC), or the day judged."),
    ] = By.recorded,
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
    from cbm_lake.markers.lights import refusals

    if record:
        if aoi is None or year is None:
            raise InvalidInputError("changes are recorded of one area and year: name them by --aoi and --year")
        lake = open_lake()
        with err.status("recording changes"):
            until = None if day is None else day_of(day)
            parcels = lake.parcel_set(aoi, year, ptype)
            news = season.record(lake, parcels, until, scenarios=scenarios, parameters=parameters)
        for reason in refusals(news).values():
            log.warning("%s", reason)
        if since == "last" and not news.num_rows:
            out.print("nothing has changed since the last night")
            return
    elif day is not None or scenarios or parameters is not None:
        raise InvalidInputError("--day, --record-scenario and --parameters say how changes are recorded: add --record")
    rows = season.changes(
        aoi,
        year,
        ptype,
        since=since,
        by="judged" if by is By.judged else "recorded",
        kind=kind,
        scenario=scenario,
        pids=pid,
        details=details,
    )
    if output is Format.table:
        show(_brief(rows), output, _title(rows), folded=True)
    else:
        show(rows, output)


def _sets(rows: pa.Table) -> list[str]:
    """The parcel sets that changes are of, by name."""
    sets = {tuple(row.values()) for row in rows.select(["aoi", "year", "ptype"]).to_pylist()}
    return [_name(*each) for each in sorted(sets)]


def _name(aoi: str, year: int, ptype: str) -> str:
    return f"{aoi} {year} {ptype}".rstrip()


def _title(rows: pa.Table) -> str:
    return f"changes of {', '.join(_sets(rows))}" if rows.num_rows else "changes"


def _brief(rows: pa.Table) -> pa.Table:
    """The columns that a person reads; that of the parcel set only where there are several."""
    import pyarrow as pa

    several = len(_sets(rows)) > 1
    brief = [
        {
            "day": row["day"],
            **({"parcels": _name(row["aoi"], row["year"], row["ptype"])} if several else {}),
            "pid": row["pid"],
            "of": _subject(row),
            "before": row["before"],
            "after": row["after"],
            "cause": row["cause"],
        }
        for row in rows.to_pylist()
    ]
    return pa.Table.from_pylist(brief) if brief else pa.table({"day": []})


def _subject(row: dict[str, Any]) -> str:
    """What changed: a scenario, a marker with its number, or a scene."""
    if row["kind"] == "marker":
        return f"{row['marker']} {row['number']}"
    return str(row["scenario"] if row["kind"] == "light" else f"{row['card']} {row['scene']}")
