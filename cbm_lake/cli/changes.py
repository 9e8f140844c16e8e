"""cbm-lake changes: what changed of lights, markers and scenes since a night, and recording it."""

from __future__ import annotations

import logging
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cbm_lake.cli.shared import Format, Ptype, Shown, err, out, show
from cbm_lake.errors import InvalidInputError
from cbm_lake.files.dates import day_of

if TYPE_CHECKING:
    import pyarrow as pa


log = logging.getLogger(__name__)
_SCREEN: Final = 20
"""Changes that a screen holds."""


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
        bool,
        typer.Option(
            "--details",
            help="Also lights of which only the evidence changed; and each of a first night.",
        ),
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

    if record:
        news = _record(aoi, year, ptype, day, scenarios, parameters)
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
        _print(rows, details=details)
    else:
        show(rows, output)


def _record(
    aoi: str | None, year: int | None, ptype: str | None, day: str | None, scenarios: list[str] | None, how: Path | None
) -> pa.Table:
    """Record what has changed since the last night; warn of scenarios that cannot be judged."""
    from cbm_lake import season
    from cbm_lake.lake import open_lake
    from cbm_lake.markers.lights import refusals

    if aoi is None or year is None:
        raise InvalidInputError("changes are recorded of one area and year: name them by --aoi and --year")
    lake = open_lake()
    with err.status("recording changes"):
        until = None if day is None else day_of(day)
        news = season.record(lake, lake.parcel_set(aoi, year, ptype), until, scenarios=scenarios, parameters=how)
    for reason in refusals(news).values():
        log.warning("%s", reason)
    return news


def _print(rows: pa.Table, *, details: bool) -> None:
    """Show changes as tables: those of a first night counted, if they are many."""
    first, others = ([], rows) if details else _apart(rows)
    if first:
        words = "all that the first night recorded, counted; --details lists it"
        show(_counted(first), Format.table, f"{_title(rows)}: {words}")
    if others.num_rows or not first:
        show(_brief(others), Format.table, _title(others), folded=True)


def _apart(rows: pa.Table) -> tuple[list[dict[str, Any]], pa.Table]:
    """Changes that a first night recorded, where they are more than a screen holds, and the others."""
    import pyarrow.compute as pc

    from cbm_lake.season.causes import FIRST

    is_first = pc.fill_null(pc.match_substring(rows["cause"], FIRST), fill_value=False)
    first = rows.filter(is_first)
    return (first.to_pylist(), rows.filter(pc.invert(is_first))) if first.num_rows > _SCREEN else ([], rows)


def _counted(rows: list[dict[str, Any]]) -> pa.Table:
    """How many changes there are of each kind, of lights by colour, of markers by name, of scenes by status."""
    import pyarrow as pa

    counts = Counter((row["kind"], _group(row)) for row in rows)
    listed = [{"kind": kind, "now": group, "changes": count} for (kind, group), count in sorted(counts.items())]
    return pa.Table.from_pylist(listed)


def _group(row: dict[str, Any]) -> str:
    """The colour of a light, the name of a marker, the status of a scene."""
    return str(row["marker"] if row["kind"] == "marker" else row["after"])


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
