"""cbm-lake get: the data of one parcel."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, out, show
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
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    tstype: Annotated[str, typer.Option("--tstype", help="s2, bs or c6.")] = "s2",
    ptype: Ptype = None,
    band: Annotated[str, typer.Option("--band", help="One band only.")] = "",
    shown: Shown = Format.table,
) -> None:
    """Show a parcel's statistics over time."""
    import pyarrow as pa

    from cbm_lake.get import time_series

    frame = time_series.by_pid(aoi, year, pid, tstype, ptype, band)
    if "hist" in frame:
        frame["hist"] = frame["hist"].map(json.dumps)
    show(pa.Table.from_pandas(frame, preserve_index=False), shown)
