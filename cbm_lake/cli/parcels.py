"""cbm-lake parcels: load what was declared."""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, Ptype, Year, err, out

app = typer.Typer(no_args_is_help=True, help="Load declared parcels.")


@app.callback()
def parcels() -> None:
    """Load declared parcels."""


@app.command("load")
def parcels_load(
    path: Annotated[str, typer.Argument(help="Shapefile (also zipped), GeoPackage, GeoJSON or GeoParquet.")],
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Annotated[
        str | None, typer.Option("--pid", help="Column of the parcel's identifier; guessed without it.")
    ] = None,
    crop_name: Annotated[str | None, typer.Option("--crop-name", help="Column of the crop's name.")] = None,
    crop_code: Annotated[str | None, typer.Option("--crop-code", help="Column of the crop's code.")] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Layer of a file that has several.")] = None,
    crs: Annotated[
        str | None, typer.Option("--crs", help="Coordinate system, where the file names none: EPSG:2154.")
    ] = None,
) -> None:
    """Load the declared parcels of an area and year."""
    from cbm_lake import parcels

    with err.status("loading parcels"):
        loaded = parcels.load(
            path, aoi, year, ptype, pid=pid, crop_name=crop_name, crop_code=crop_code, layer=layer, crs=crs
        )
    mended = f", {loaded.repaired} geometries mended" if loaded.repaired else ""
    size = f"{loaded.parcels:,} parcels, {loaded.area_ha:,.1f} ha, EPSG:{loaded.epsg}"
    out.print(f"{size}: {loaded.outcome}{mended} (version {loaded.version})")
