"""cbm-lake weather: daily weather of an area."""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, bar, out


def weather(
    aoi: Aoi,
    files: Annotated[list[str], typer.Argument(help="NetCDF or Zarr of ERA5 or AgERA5, CSV or Parquet.")],
    grid: Annotated[
        str | None, typer.Option("--grid", help="Polygons of the cells, where a table names cells.")
    ] = None,
) -> None:
    """Load the daily weather of the grid cells in which an area has parcels."""
    from cbm_lake import weather

    with bar("reading weather") as advance:
        loaded = weather.load(files, aoi, grid=grid, progress=advance)
    out.print(f"{loaded.cells:,} cells, {loaded.rows:,} days of cells from {loaded.first} to {loaded.last}")
