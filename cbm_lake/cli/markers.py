"""cbm-lake markers: what the signatures tell of each parcel, and the traffic light."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, bar, err, out, show
from cbm_lake.errors import InvalidInputError

app = typer.Typer(no_args_is_help=True)


class Colour(StrEnum):
    """What a light can show."""

    green = "green"
    yellow = "yellow"
    red = "red"
    not_yet_due = "not yet due"
    cannot_be_seen = "cannot be seen"


Pids = Annotated[list[str] | None, typer.Option("--pid", help="Only this parcel; may be repeated.")]
Parameters = Annotated[
    Path | None, typer.Option("--parameters", help="YAML of what differs from the defaults, see docs/markers.md.")
]


Day = Annotated[
    str | None,
    typer.Option(
        "--day", help="As of the end of this day, 2024-06-15; without it the last one with an extracted scene."
    ),
]


@app.callback()
def markers() -> None:
    """Mowing, ploughing, harvest and others from signatures; traffic light; phenology."""


@app.command("find")
def find(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Pids = None,
    parameters: Parameters = None,
    only_new: Annotated[
        bool, typer.Option("--new", help="Look again only at parcels with new observations; the result is the same.")
    ] = False,
    output: Shown = Format.table,
) -> None:
    """Find the markers of all parcels, write them into the lake, and say how many there are of each."""
    from cbm_lake import markers
    from cbm_lake.lake.looks import in_words

    with err.status("finding markers"):
        events = markers.find(aoi, year, ptype, parameters=parameters, pids=pid, only_new=only_new)
    if pid or output is not Format.table:
        show(events.drop_columns(["part", "foi_id"]), output, f"markers of {aoi} {year}")
        return
    for marker, count in sorted(Counter(events["marker"].to_pylist()).items()):
        out.print(f"{count:9,} {marker}", highlight=False)
    unseen = Counter(zip(events["marker"].to_pylist(), events["observable"].to_pylist(), strict=True))[
        "observed", False
    ]
    out.print(f"{unseen:,} parcels were not seen on enough clear dates", highlight=False)
    out.print(in_words(json.loads(events.schema.metadata[b"looks"])), highlight=False)


@app.command("looks")
def looks(aoi: Aoi, year: Year, ptype: Ptype = None, pid: Pids = None, parameters: Parameters = None) -> None:
    """Say how many observations are clear, and why the others are left out."""
    from cbm_lake import markers
    from cbm_lake.lake.looks import in_words

    counts = markers.looks(aoi, year, ptype, parameters=parameters, pids=pid)
    out.print(in_words(counts), highlight=False, soft_wrap=True)


@app.command("lights")
def lights(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Pids = None,
    scenario: Annotated[
        list[str] | None, typer.Option("--scenario", help="Only this scenario; may be repeated.")
    ] = None,
    colour: Annotated[Colour | None, typer.Option("--colour", help="Only parcels of this colour.")] = None,
    day: Day = None,
    parameters: Parameters = None,
    output: Shown = Format.table,
) -> None:
    """Give each parcel a colour in each scenario, with the reason; red is final."""
    from cbm_lake import markers

    with err.status("judging"):
        lights = markers.traffic_light(aoi, year, ptype, scenarios=scenario, parameters=parameters, pids=pid, day=day)
    if colour is not None:
        lights = lights.filter(lights["colour"].to_numpy() == colour)
    show(lights, output, f"traffic light of {aoi} {year}")


@app.command("evidence")
def evidence(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Which parcel.")],
    scenario: Annotated[str, typer.Option("--scenario", help="Which scenario.")],
    ptype: Ptype = None,
    day: Day = None,
    parameters: Parameters = None,
    output: Shown = Format.table,
) -> None:
    """Show what the light of a parcel rests on: the markers that count, and all looks with why some do not."""
    from cbm_lake import markers

    rows = markers.evidence(aoi, year, pid, scenario, ptype, parameters=parameters, day=day)
    show(rows, output, f"evidence of {scenario} on parcel {pid} of {aoi} {year}")


@app.command("parts")
def parts(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Pids = None,
    parameters: Parameters = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Also write the parts there: .gpkg, .parquet (GeoParquet), .geojson.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Draw the NDVI before and after with the parts: one --pid; .png.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Find the parts of parcels that were mown or ploughed while the rest was not, and write them into the lake."""
    from cbm_lake import markers
    from cbm_lake.lake import open_lake
    from cbm_lake.markers.parts import in_words

    if figure is not None and (pid is None or len(pid) != 1):
        raise InvalidInputError("a figure is of one parcel; give one --pid")
    with bar("parcels") as progress:
        rows = markers.parts(aoi, year, ptype, parameters=parameters, pids=pid, progress=progress)
    if to is not None:
        of = open_lake().parcel_set(aoi, year, ptype)
        count = open_lake().export("markers.parts_of", to, aoi=of.aoi, year=of.year, ptype=of.ptype, pids=pid)
        out.print(f"{count:,} parts written to {to}", highlight=False, soft_wrap=True)
    if figure is not None and pid is not None:
        markers.show_parts(aoi, year, pid[0], ptype, file=figure)
        out.print(str(figure), highlight=False, soft_wrap=True)
    listed = rows if pid or output is not Format.table else rows.filter(rows["reason"].is_null())
    show(listed.drop_columns(["geometry"]), output, f"parts of {aoi} {year}")
    if output is Format.table:
        out.print(in_words(rows), highlight=False, soft_wrap=True)


@app.command("phenology")
def phenology(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Pids = None,
    curves: Annotated[bool, typer.Option("--curves", help="The smooth NDVI itself, gaps filled, instead.")] = False,
    parameters: Parameters = None,
    output: Shown = Format.table,
) -> None:
    """Show start, peak and end of each parcel's season."""
    from cbm_lake import markers

    verb = markers.smoothed if curves else markers.phenology
    with err.status("smoothing"):
        rows = verb(aoi, year, ptype, parameters=parameters, pids=pid)
    show(rows, output, f"phenology of {aoi} {year}")
