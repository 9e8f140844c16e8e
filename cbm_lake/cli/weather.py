"""cbm-lake weather: daily weather of an area."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cbm_lake.cli.shared import Aoi, bar, out
from cbm_lake.errors import InvalidInputError


def weather(
    aoi: Aoi,
    files: Annotated[
        list[str],
        typer.Argument(help="NetCDF or Zarr of ERA5, ERA5-Land, AgERA5 or E-OBS, zipped or not; CSV or Parquet."),
    ],
    grid: Annotated[
        str | None, typer.Option("--grid", help="Polygons of the cells, where a table names cells.")
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="tmin, tmax, tmean, prec, meteo_date, lon, lat or cell=its name in the file."),
    ] = None,
    unit: Annotated[
        list[str] | None, typer.Option("--unit", help="variable=unit, as tp=m, where the file does not say it.")
    ] = None,
    totals: Annotated[
        str | None,
        typer.Option("--totals", help="Precipitation is of each step (step) or since midnight UTC (midnight)."),
    ] = None,
) -> None:
    """Load the daily weather of the grid cells in which an area has parcels."""
    from cbm_lake import weather

    options: Any = {"columns": _pairs("--column", column), "units": _pairs("--unit", unit), "totals": totals}
    with bar("reading weather") as advance:
        loaded = weather.load(files, aoi, grid=grid, progress=advance, **options)
    out.print(f"{loaded.cells:,} cells, {loaded.rows:,} days of cells from {loaded.first} to {loaded.last}")


def _pairs(option: str, pairs: list[str] | None) -> dict[str, str]:
    """The name=value pairs of an option."""
    for pair in pairs or ():
        if not pair.partition("=")[0] or not pair.partition("=")[2]:
            raise InvalidInputError(f"{option} {pair!r} is not of the form name=value")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs or ())}
