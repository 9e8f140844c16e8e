"""cbm-lake get: the data of one parcel or place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated

import typer

from cbm_lake.cards import CARDS
from cbm_lake.cli.shared import Aoi, End, Format, Ptype, Shown, Start, Year, err, out, show
from cbm_lake.errors import InvalidInputError

app = typer.Typer(no_args_is_help=True, help="Get the data of one parcel; files go to temp/<aoi>/<year>/<pid>/.")


@app.command("parcel-info")
def get_parcel_info(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str | None, typer.Option("--pid", help="Identifier of the parcel.")] = None,
    lon: Annotated[float | None, typer.Option("--lon", help="Or a place: degrees east …")] = None,
    lat: Annotated[float | None, typer.Option("--lat", help="… and degrees north.")] = None,
    polygon: Annotated[
        str | None, typer.Option("--polygon", help="Or a polygon: lon_lat-lon_lat-… or GeoJSON.")
    ] = None,
    ptype: Ptype = None,
    wgs84: Annotated[bool, typer.Option("--wgs84", help="Outline in degrees.")] = False,
) -> None:
    """Show what is declared of a parcel, as JSON."""
    from cbm_lake.get import parcel_info

    if pid is not None:
        answer = parcel_info.by_pid(aoi, year, pid, ptype, wgs84=wgs84)
    elif lon is not None and lat is not None:
        answer = parcel_info.by_location(aoi, year, lon, lat, ptype, wgs84=wgs84)
    elif polygon is not None:
        answer = parcel_info.by_polygon(aoi, year, polygon, ptype, geom=True, wgs84=wgs84, only_ids=False)
    else:
        raise InvalidInputError("which parcel? give --pid, --lon and --lat, or --polygon")
    out.print_json(json.dumps(answer))


@app.command("time-series")
def get_time_series(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str | None, typer.Option("--pid", help="Identifier of the parcel.")] = None,
    polygon: Annotated[
        str | None, typer.Option("--polygon", help="Or of any polygon: lon_lat-lon_lat-… or GeoJSON.")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="First day, of a polygon; 2024-03-01.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day, included, of a polygon.")] = None,
    tstype: Annotated[str, typer.Option("--tstype", help=f"{', '.join(CARDS)} or scl.")] = "s2",
    ptype: Ptype = None,
    band: Annotated[str, typer.Option("--band", help="One band only.")] = "",
    clear: Annotated[
        bool, typer.Option("--clear", help="Of clear pixels alone where they stand for the parcel.")
    ] = False,
    output: Shown = Format.table,
) -> None:
    """Show the statistics over time of a parcel, or of any polygon as if it were one of the parcels."""
    import pyarrow as pa

    from cbm_lake.get import time_series

    if (pid is None) == (polygon is None):
        raise InvalidInputError("of what? give --pid or --polygon, one of them")
    if polygon is not None:
        with err.status("reading scenes"):
            frame = time_series.by_polygon(
                aoi, year, polygon, tstype, ptype, band, start_date=start, end_date=end, clear=clear
            )
    elif start is not None or end is not None:
        raise InvalidInputError("a parcel's series has all its days; give --start and --end with --polygon only")
    else:
        frame = time_series.by_pid(aoi, year, str(pid), tstype, ptype, band, clear=clear)
    if "hist" in frame:
        frame["hist"] = frame["hist"].map(json.dumps)
    show(pa.Table.from_pandas(frame, preserve_index=False), output)


@app.command("peers")
def get_peers(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    ptype: Ptype = None,
    distance: Annotated[float, typer.Option("--distance", min=0, help="Metres from edge to edge.")] = 1000,
    most: Annotated[int, typer.Option("--max", min=0, help="So many at most.")] = 10,
    output: Shown = Format.table,
) -> None:
    """Show the nearest parcels of the same crop."""
    import pyarrow as pa

    from cbm_lake.get import parcels_list

    show(pa.table(parcels_list.peers(aoi, year, pid, distance, most, ptype)), output)


@app.command("weather")
def get_weather(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    ptype: Ptype = None,
    output: Shown = Format.table,
) -> None:
    """Show the daily weather of a parcel's grid cell."""
    import pyarrow as pa

    from cbm_lake.get import time_series

    show(pa.Table.from_pandas(time_series.weather(aoi, year, pid, ptype), preserve_index=False), output)


@app.command("chips")
def get_chips(
    aoi: Aoi,
    year: Year,
    start: Start,
    end: End,
    pid: Annotated[str | None, typer.Option("--pid", help="Round this parcel.")] = None,
    lon: Annotated[float | None, typer.Option("--lon", help="Or round a place: degrees east …")] = None,
    lat: Annotated[float | None, typer.Option("--lat", help="… and degrees north.")] = None,
    bands: Annotated[str, typer.Option("--bands", help="B02,B03,…,SCL.")] = "B04",
    chipsize: Annotated[int, typer.Option("--chipsize", help="Metres a side.")] = 1280,
    ptype: Ptype = None,
) -> None:
    """Write chips, one GeoTIFF per scene and band, and print where they are."""
    from cbm_lake.get import chip_images

    with err.status("reading scenes"):
        if pid is not None:
            files = chip_images.by_pid(aoi, year, pid, start, end, bands.split(","), chipsize, ptype)
        else:
            files = chip_images.by_location(*_location(lon, lat), start, end, bands.split(","), chipsize)
    _list(files["chips"])


@app.command("background")
def get_background(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str | None, typer.Option("--pid", help="Round this parcel.")] = None,
    lon: Annotated[float | None, typer.Option("--lon", help="Or round a place: degrees east …")] = None,
    lat: Annotated[float | None, typer.Option("--lat", help="… and degrees north.")] = None,
    tms: Annotated[str, typer.Option("--tms", help="google, bing, osm, esri, ags, sentinel, or of the settings.")] = (
        "Google"
    ),
    chipsize: Annotated[int, typer.Option("--chipsize", help="Pixels a side.")] = 512,
    extend: Annotated[int, typer.Option("--extend", help="Metres a side.")] = 512,
    ptype: Ptype = None,
) -> None:
    """Write an orthophoto, or true colour of the lake's scenes, and print where it is."""
    from cbm_lake.get import background

    with err.status("reading tiles"):
        if pid is not None:
            files = background.by_pid(aoi, year, pid, chipsize, extend, tms, ptype)
        else:
            files = background.by_location(aoi, year, *_location(lon, lat), chipsize, extend, tms, ptype)
    _list(files)


@app.command("notes")
def get_notes(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    write: Annotated[str | None, typer.Option("--write", help="What is to be noted, instead of what was.")] = None,
) -> None:
    """Print the notes on a parcel, or write them; they are in data/, which nothing clears away."""
    from cbm_lake.get import notes

    if write is not None:
        _list([notes.write(aoi, year, pid, write)])
    else:
        noted = notes.read(aoi, year, pid)
        if noted:
            out.print(noted, soft_wrap=True, markup=False, highlight=False)
        else:
            err.print(f"no notes on {pid} yet; --write makes some", soft_wrap=True, markup=False, highlight=False)


@app.command("delete")
def get_delete(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it only what would go is said.")] = False,
    also_notes: Annotated[
        bool, typer.Option("--also-notes", help="Also the notes, and what else a person put there.")
    ] = False,
) -> None:
    """Delete what was got of a parcel from temp/; says what that is, of whom, and what stays."""
    from cbm_lake.get import folders, leftovers

    leftover_files = leftovers.of_folders([folders.place(aoi, year, pid, "")])
    if not leftover_files:
        raise InvalidInputError(f"nothing was got of parcel {pid!r} of {aoi} {year}; there is nothing to delete")
    _list([leftovers.in_words(leftover_files)])
    by_person = leftovers.by_person(leftover_files)
    if by_person and not also_notes:
        _list([f"a person made this, and it stays without --also-notes: {by_person}"])
    if yes:
        gone = leftovers.delete(leftover_files, also_by_person=also_notes)
        _list([f"{gone:,} files deleted"])
    else:
        _list(["nothing is deleted without --yes"])


def _location(lon: float | None, lat: float | None) -> tuple[float, float]:
    if lon is None or lat is None:
        raise InvalidInputError("where? give --pid, or --lon and --lat")
    return lon, lat


def _list(files: Iterable[object]) -> None:
    for file in files:
        out.print(file, soft_wrap=True, markup=False, highlight=False)
