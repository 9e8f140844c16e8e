"""cbm-lake parcels: load what was declared."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from cbm_lake.cli.shared import Aoi, Ptype, Year, err, out
from cbm_lake.errors import InvalidInputError, SourceError

_OPTIONS: Final = re.compile(r"\b(pid|crop_name|crop_code|layer|crs|encoding)=")
"""How Python writes what is an option here."""

app = typer.Typer(no_args_is_help=True, help="Load declared parcels.")


@app.callback()
def parcels() -> None:
    """Load declared parcels."""


@app.command("load")
def parcels_load(
    path: Annotated[
        str,
        typer.Argument(help="Vector file (also zipped), GeoParquet, CSV or Excel with WKT."),
    ],
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    pid: Annotated[
        str | None,
        typer.Option("--pid", help="Column of the identifier, or several: block,parcel; or fid, the row number."),
    ] = None,
    crop_name: Annotated[str | None, typer.Option("--crop-name", help="Column of the crop's name.")] = None,
    crop_code: Annotated[str | None, typer.Option("--crop-code", help="Column of the crop's code.")] = None,
    layer: Annotated[str | None, typer.Option("--layer", help="Layer of a file, or file of a .zip.")] = None,
    crs: Annotated[
        str | None, typer.Option("--crs", help="Coordinate system, where the file names none: EPSG:2154.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option("--encoding", help="Of the texts, where the file says none or a wrong one: cp1250.")
    ] = None,
) -> None:
    """Load the declared parcels of an area and year."""
    from cbm_lake import parcels

    with err.status("loading parcels"), _in_options():
        loaded = parcels.load(
            path,
            aoi,
            year,
            ptype,
            pid=pid,
            crop_name=crop_name,
            crop_code=crop_code,
            layer=layer,
            crs=crs,
            encoding=encoding,
        )
    news = "loaded" if loaded.new else "were there already"
    mended = f", {loaded.repaired} geometries mended" if loaded.repaired else ""
    size = f"{loaded.parcels:,} parcels, {loaded.area_ha:,.1f} ha, EPSG:{loaded.epsg}"
    out.print(f"{size}: {news}{mended} (version {loaded.version})")
    for note in loaded.notes:
        out.print(_as_options(note), markup=False, highlight=False, soft_wrap=True)


def _as_options(text: str) -> str:
    """A message with the names of options instead of Python's arguments."""
    return _OPTIONS.sub(lambda found: "--" + found[1].replace("_", "-"), text)


@contextmanager
def _in_options() -> Iterator[None]:
    """Errors name options; notes are not logged, because they are printed."""
    logger = logging.getLogger("cbm_lake.parcels")
    quiet = logging.Filter("cbm_lake.nothing")
    logger.addFilter(quiet)
    try:
        yield
    except (InvalidInputError, SourceError) as error:
        raise type(error)(_as_options(str(error))) from error
    finally:
        logger.removeFilter(quiet)
