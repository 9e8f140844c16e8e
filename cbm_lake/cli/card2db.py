"""cbm-lake card2db: catalogue scenes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbm_lake.cli.shared import CARD_NAMES, CardName, End, Start, bar, err, numbers, out

if TYPE_CHECKING:
    from cbm_lake.card2db import Ingested

app = typer.Typer(no_args_is_help=True, help="Catalogue scenes: from STAC, products and files on disk, feeds.")


@app.command("stac")
def card2db_stac(
    url: Annotated[
        str, typer.Argument(help="URL of a STAC API, or earth-search, cdse, planetary-computer, terrascope.")
    ],
    start: Start,
    end: End,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Area whose parcels the scenes are to cover.")] = None,
    bbox: Annotated[str | None, typer.Option("--bbox", help="Instead: west,south,east,north in degrees.")] = None,
    card: CardName = "s2",
    collection: Annotated[
        str | None, typer.Option("--collection", help="Without it, the provider's usual one.")
    ] = None,
) -> None:
    """Catalogue what a STAC API has."""
    from cbm_lake import card2db

    geometry = numbers(bbox) if bbox else None
    with _watched() as progress:
        ingested = card2db.stac(
            aoi=aoi,
            start=start,
            end=end,
            card=card,
            url=url,
            collection=collection,
            geometry=geometry,
            progress=progress,
        )
    _ingested(ingested)


@app.command("items")
def card2db_items(
    path: Annotated[str, typer.Argument(help="STAC item, item collection, catalogue, or a folder of items.")],
    card: CardName = "s2",
) -> None:
    """Catalogue static STAC files."""
    from cbm_lake import card2db

    with _watched() as progress:
        ingested = card2db.items(path, card=card, progress=progress)
    _ingested(ingested)


@app.command("geoparquet")
def card2db_geoparquet(
    path: Annotated[str, typer.Argument(help="STAC-GeoParquet file.")], card: CardName = "s2"
) -> None:
    """Catalogue a STAC-GeoParquet file."""
    from cbm_lake import card2db

    _ingested(card2db.geoparquet(path, card=card))


@app.command("products")
def card2db_products(
    folder: Annotated[Path, typer.Argument(help="A product, a zip archive, or a folder that holds some at any depth.")],
    card: Annotated[str | None, typer.Option("--card", help=f"Only products of this card: {CARD_NAMES}.")] = None,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Only products that touch the parcels of this area.")] = None,
) -> None:
    """Catalogue products on disk: Sentinel-2 L2A (SAFE, MAJA; also zipped), CARD-BS, CARD-COH, SNAP."""
    from cbm_lake import card2db

    with bar("cataloguing products") as progress:
        ingested = card2db.products(folder, card, aoi, progress=progress)
    _ingested(ingested)


@app.command("files")
def card2db_files(
    pattern: Annotated[str, typer.Argument(help='Folder and file name with placeholders: "s1/S1_{date}_{band}.tif".')],
    card: CardName = "s2",
    unit: Annotated[str | None, typer.Option("--unit", help="Of backscatter: linear or db.")] = None,
    offset: Annotated[int | None, typer.Option("--offset", help="Of Sentinel-2: 0, or -1000 to be added.")] = None,
    bands: Annotated[
        str | None, typer.Option("--bands", help="Bands of each file in order, VV,VH; - is one to leave out.")
    ] = None,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Only scenes that touch the parcels of this area.")] = None,
) -> None:
    """Catalogue rasters of your own by a pattern of their file names."""
    from cbm_lake import card2db

    names = [name.strip() for name in bands.split(",")] if bands else []
    with bar("cataloguing files") as progress:
        ingested = card2db.files(pattern, card, unit=unit, offset=offset, bands=names, aoi=aoi, progress=progress)
    _ingested(ingested)


@app.command("safe")
def card2db_safe(folder: Annotated[Path, typer.Argument(help="A .SAFE folder, or a folder that holds some.")]) -> None:
    """Catalogue Sentinel-2 products on disk."""
    from cbm_lake import card2db

    with bar("cataloguing products") as progress:
        ingested = card2db.safe(folder, progress=progress)
    _ingested(ingested)


@app.command("creodias")
def card2db_creodias(
    start: Start,
    end: End,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Area whose parcels the scenes are to cover.")] = None,
    bbox: Annotated[str | None, typer.Option("--bbox", help="Instead: west,south,east,north in degrees.")] = None,
    card: CardName = "s2",
    option: Annotated[
        str | None, typer.Option("--option", help="Product type, instead of the card's usual one.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="The feed, or a file with a saved answer.")] = None,
) -> None:
    """Catalogue what an OpenSearch feed like that of CREODIAS has, or a saved answer of one."""
    from cbm_lake import card2db

    geometry = numbers(bbox) if bbox else None
    with _watched() as progress:
        ingested = card2db.creodias(None, aoi, start, end, card, option, url=url, geometry=geometry, progress=progress)
    _ingested(ingested)


class _Lines(logging.Handler):
    """Prints what cataloguing warns of: waits that a server asks for, and what is missing."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(record.getMessage(), style="yellow", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _watched() -> Iterator[Any]:
    """A progress bar, with warnings above it."""
    logger, lines = logging.getLogger("cbm_lake.card2db"), _Lines(logging.WARNING)
    logger.addHandler(lines)
    try:
        with bar("cataloguing scenes") as progress:
            yield progress
    finally:
        logger.removeHandler(lines)


def _ingested(ingested: Ingested) -> None:
    again = f", {ingested.changed} changed: to be extracted again" if ingested.changed else ""
    out.print(f"{ingested.found} scenes found, {ingested.new} new{again}")
    for reason in ingested.skipped:
        err.print(f"skipped {reason}", style="yellow", markup=False, soft_wrap=True)
