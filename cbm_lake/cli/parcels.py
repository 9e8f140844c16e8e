"""cbm-lake parcels: load what was declared, describe it by rasters, and relate it to another year."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cbm_lake.cli.shared import (
    Format,
    NewAoi,
    NewYear,
    Ptype,
    Shown,
    as_options,
    bar,
    err,
    in_options,
    out,
    picture_file,
    table_file,
)
from cbm_lake.cli.shared import show as show_rows
from cbm_lake.errors import InvalidInputError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

_ARGUMENTS: Final = (
    *("pid", "crop_name", "crop_code", "layer", "crs", "encoding", "hcat", "as_of"),
    *("pids", "ptype", "ptype_before", "least_share"),
)
_OPTIONS: Final = {name: f"--{name.replace('_', '-')}" for name in _ARGUMENTS} | {"pids": "--pid"}
"""How Python calls what is an option here."""

_OF_MAPS: Final = frozenset({".gpkg", ".fgb", ".geojson"})
"""Formats of which each row has a geometry."""
_BRIEF: Final = ("pid_before", "pid", "relation", "area_before_m2", "area_m2", "shared_m2", "share_before", "share")
"""Columns of a lineage that a table on the screen has."""
_HELP: Final = "Load declared parcels, join rasters to them, and relate those of two years."

app = typer.Typer(no_args_is_help=True, help=_HELP)


@app.callback(help=_HELP)
def parcels() -> None:
    """Load declared parcels, join rasters to them, and relate those of two years."""


@app.command("load")
def parcels_load(
    path: Annotated[
        str,
        typer.Argument(help="Vector file (also zipped), GeoParquet, CSV or Excel with WKT."),
    ],
    aoi: NewAoi,
    year: NewYear,
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
    hcat: Annotated[
        str | None,
        typer.Option("--hcat", help="Crops in HCAT: a column, a table (see codes), a CSV of code,hcat, or none."),
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
            hcat=hcat,
        )
    mended = f", {loaded.repaired} geometries mended" if loaded.repaired else ""
    size = f"{loaded.parcels:,} parcels, {loaded.area_ha:,.1f} ha, EPSG:{loaded.epsg}"
    out.print(f"{size}: {loaded.outcome}{mended} (version {loaded.version})", markup=False, soft_wrap=True)
    for note in loaded.notes:
        out.print(as_options(note, _OPTIONS), markup=False, highlight=False, soft_wrap=True)


@app.command("codes")
def parcels_codes(
    table: Annotated[
        str | None,
        typer.Argument(help="A table, or hcat for the taxonomy; without it what tables there are."),
    ] = None,
    output: Shown = Format.table,
) -> None:
    """List the tables of national crop codes in HCAT, the taxonomy of EuroCrops, or the codes of one of them."""
    from cbm_lake import parcels

    if table is None:
        show_rows(parcels.crop_tables(), output)
    else:
        show_rows(parcels.crop_codes(None if table.lower() == "hcat" else table), output)


@app.command("describe")
def parcels_describe(
    raster: Annotated[str, typer.Argument(help="Path or URL of a raster in any coordinate system.")],
    name: Annotated[str, typer.Option("--as", help="Name of the columns: elevation, soil, …")],
    aoi: Annotated[str | None, typer.Option("--aoi", help="Area, where there are several.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Year, where there are several.")] = None,
    ptype: Ptype = None,
    statistics: Annotated[
        str | None,
        typer.Option("--statistics", help="mean,p10,p90 or others; of classes majority,share,variety."),
    ] = None,
    categories: Annotated[
        str | None, typer.Option("--categories", help="Pixels are classes: yes, or their texts: 1=sand,2=clay.")
    ] = None,
    rule: Annotated[
        str, typer.Option("--rule", help="centre, or coverage for rasters coarser than parcels.")
    ] = "centre",
    band: Annotated[int | None, typer.Option("--band", help="Band of a raster that has several, from 1.")] = None,
    unit: Annotated[str | None, typer.Option("--unit", help="Unit of the values; else what the file says.")] = None,
) -> None:
    """Join a raster to the parcels, as columns of the view parcel_attributes: elevation, slope, soil class."""
    from cbm_lake import parcels

    with err.status("describing parcels"):
        described = parcels.describe(
            raster,
            name,
            aoi,
            year,
            ptype,
            statistics=statistics,
            categories=_categories(categories),
            rule=rule,
            band=band,
            unit=unit,
        )
    without = f"; {described.without:,} have no value" if described.without else ""
    out.print(
        f"{described.parcels:,} parcels described by {', '.join(described.columns)}{without}",
        highlight=False,
        soft_wrap=True,
    )


@app.command("lineage")
def parcels_lineage(
    aoi: Annotated[str, typer.Argument(help="Area, for instance ms.")],
    year_a: Annotated[int, typer.Argument(help="A year.")],
    year_b: Annotated[int, typer.Argument(help="The other year; which is the later does not matter.")],
    ptype: Ptype = None,
    ptype_before: Annotated[
        str | None, typer.Option("--ptype-before", help="Parcel set of the earlier year, where it is another one.")
    ] = None,
    least_share: Annotated[
        float, typer.Option("--least-share", help="Share of a parcel below which an overlap is a sliver.")
    ] = 0.05,
    pid: Annotated[
        list[str] | None, typer.Option("--pid", help="Show only rows of this parcel of either year; may be repeated.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", callback=table_file, help="Also write the rows there: .csv, .parquet; with outlines .gpkg, …."
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            "--figure", callback=picture_file, help="Draw a map of both years, coloured by relation: .png, .svg, .pdf."
        ),
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="As the lake was at that moment; then nothing is written to it.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Tell what the parcels of an earlier year became in a later one, and write it into the lake."""
    from cbm_lake import parcels, show
    from cbm_lake.lake import open_lake
    from cbm_lake.parcels.lineage import in_words, rows_of_parcels

    lake, pids = open_lake(as_of=as_of), sorted(set(pid or ())) or None
    if as_of is not None and (to is not None or figure is not None):
        raise InvalidInputError("--to and --figure are of the lineage in the lake, which --as-of does not write")
    with bar("parcels") as progress, _in_options():
        rows = parcels.lineage(
            aoi,
            year_a,
            year_b,
            ptype,
            ptype_before=ptype_before,
            least_share=least_share,
            progress=progress,
            lake=lake,
        )
    if to is not None:
        out.print(f"{_written(rows, to):,} rows written to {to}", highlight=False, soft_wrap=True)
    if figure is not None:
        with _in_options():
            show.lineage.by_relation(aoi, year_a, year_b, ptype, ptype_before=ptype_before, pids=pids, file=figure)
        out.print(str(figure), highlight=False, soft_wrap=True)
    listed = rows_of_parcels(rows, pids, changed=output is Format.table)
    if output is Format.table:
        listed = listed.select(list(_BRIEF))
    show_rows(listed, output, f"lineage of {aoi} {max(year_a, year_b)} from {min(year_a, year_b)}")
    if output is Format.table:
        out.print(in_words(rows), highlight=False, soft_wrap=True)


def _written(rows: pa.Table, to: Path) -> int:
    """Export a lineage that is in the lake; with outlines where the format has geometries."""
    from cbm_lake.lake import open_lake

    names = ("aoi", "year", "ptype", "year_before", "ptype_before")
    of = {name: rows[name][0].as_py() for name in names}
    if to.suffix.lower() in _OF_MAPS:
        return open_lake().export("lineage.outlines", to, **of)
    return open_lake().export("lineage.of", to, **of, pids=None)


def _categories(text: str | None) -> dict[int, str] | bool:
    """Classes as they are written on the command line."""
    if text is None or text.lower() in {"no", "false"}:
        return False
    if text.lower() in {"yes", "true"}:
        return True
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        return {int(value): label.strip() or value.strip() for value, _, label in pairs}
    except ValueError as error:
        raise InvalidInputError(f"--categories {text!r} is neither yes nor a list as 1=sand,2=clay") from error


@contextmanager
def _in_options() -> Iterator[None]:
    """Errors name options; notes are not logged, because they are printed."""
    logger = logging.getLogger("cbm_lake.parcels")
    quiet = logging.Filter("cbm_lake.nothing")
    logger.addFilter(quiet)
    try:
        yield
    except (InvalidInputError, SourceError) as error:
        raise type(error)(in_options(error, _OPTIONS)) from error
    finally:
        logger.removeFilter(quiet)
