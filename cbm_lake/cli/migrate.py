"""cbm-lake migrate: take a database of the original library over."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cbm_lake.cli.shared import NewAoi, NewYear, Ptype, bar, err, out
from cbm_lake.errors import InvalidInputError


def migrate(
    *,
    more: Annotated[
        list[str] | None, typer.Argument(help="More tables of statistics, as a shell lists them behind --signatures.")
    ] = None,
    aoi: NewAoi,
    year: NewYear,
    ptype: Ptype = None,
    parcels: Annotated[
        list[str] | None,
        typer.Option("--parcels", help="Table of the parcels; without it those migrated before; may be repeated."),
    ] = None,
    pid: Annotated[
        str | None, typer.Option("--pid", help="Its column of the parcel's identifier; id without it.")
    ] = None,
    fid: Annotated[
        str | None, typer.Option("--fid", help="Its column of the number that other tables use; ogc_fid without it.")
    ] = None,
    crop_name: Annotated[str | None, typer.Option("--crop-name", help="Its column of the crop's name.")] = None,
    crop_code: Annotated[str | None, typer.Option("--crop-code", help="Its column of the crop's code.")] = None,
    datasets: Annotated[
        str | None, typer.Option("--datasets", help="The original's datasets.json, which names these columns.")
    ] = None,
    crs: Annotated[str | None, typer.Option("--crs", help="Coordinate system, where the file names none.")] = None,
    catalogue: Annotated[str | None, typer.Option("--catalogue", help="Table of the scenes.")] = None,
    signatures: Annotated[
        list[str] | None, typer.Option("--signatures", help="Table of long statistics; may be repeated.")
    ] = None,
    hists: Annotated[
        list[str] | None, typer.Option("--hists", help="Table of histograms of scene classes; may be repeated.")
    ] = None,
    weather: Annotated[str | None, typer.Option("--weather", help="Table of daily weather.")] = None,
    weather_grid: Annotated[str | None, typer.Option("--weather-grid", help="Its cells: grid_id, polygon.")] = None,
    markers: Annotated[str | None, typer.Option("--markers", help="Table of markers.")] = None,
    markers_by: Annotated[
        str,
        typer.Option("--markers-by", help="What its pid is: identifier (pid), number (fid), what rows tell (auto)."),
    ] = "auto",
    dsn: Annotated[
        str | None,
        typer.Option("--dsn", help="PostgreSQL database; the options above then name its tables, as schema.table."),
    ] = None,
    boa_offset: Annotated[
        str,
        typer.Option(
            "--boa-offset", help="auto: add -1000 to products of baseline 04.00 and later; keep: numbers are right."
        ),
    ] = "auto",
    refused: Annotated[Path, typer.Option("--refused", help="Where to list rows that are refused.")] = Path(
        "refused.csv"
    ),
) -> None:
    """Take tables of the original library over: CSV, Parquet or vector files, or a PostgreSQL database."""
    from cbm_lake.migration import migrate as take

    if not any((parcels, catalogue, signatures, more, hists, weather, markers)):
        raise InvalidInputError("nothing is given to be migrated; say --parcels, --catalogue, --weather or --markers")
    with bar("migrating") as advance:
        done = take(
            aoi,
            year,
            ptype,
            parcels=parcels,
            pid=pid,
            fid=fid,
            crop_name=crop_name,
            crop_code=crop_code,
            datasets_file=datasets,
            crs=crs,
            catalogue=catalogue,
            markers_by=markers_by,
            signatures=[*(signatures or ()), *(more or ())],
            hists=hists or (),
            weather=weather,
            weather_grid=weather_grid,
            markers=markers,
            dsn=dsn,
            boa_offset=boa_offset,
            refused=refused,
            progress=lambda step, number, total: advance(number, total),
        )
    table = Table("table", "rows", "taken", "of these already there", "refused")
    for name, rows in done.tables.items():
        table.add_row(name, f"{rows.read:,}", f"{rows.taken:,}", f"{rows.already:,}", f"{rows.refused:,}")
    out.print(table)
    for name, reason, count in done.refused:
        err.print(f"{name}: {count:,} refused: {reason}", markup=False, highlight=False, soft_wrap=True)
    if done.listed:
        err.print(f"they are listed in {done.listed}", markup=False, highlight=False, soft_wrap=True)
