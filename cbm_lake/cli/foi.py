"""cbm-lake foi: heterogeneity and cardinality of parcels, and the thematic rasters that they are told from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, bar, err, out, show
from cbm_lake.errors import InvalidInputError
from cbm_lake.files import durable

if TYPE_CHECKING:
    from cbm_lake.foi.result import Foi

app = typer.Typer(no_args_is_help=True, help="Heterogeneity and cardinality of parcels, from a thematic raster.")

Parcels = Annotated[
    Path | None, typer.Option("--parcels", help="Shapefile, GeoPackage, GeoParquet, …; or --aoi and --year.")
]
Raster = Annotated[Path, typer.Option("--raster", help="GeoTIFF with one band of class values.")]
Classes = Annotated[Path, typer.Option("--classes", help="YAML file: category_map: and below it value: name.")]
Least = Annotated[float, typer.Option("--min", help="Least share of a class in % that makes a parcel heterogeneous.")]
Greatest = Annotated[float, typer.Option("--max", help="Greatest such share; both included.")]
OptionalAoi = Annotated[str | None, typer.Option("--aoi", help="Take the lake's parcels of this area.")]
OptionalYear = Annotated[int | None, typer.Option("--year", help="Year of their declaration.")]
Layer = Annotated[str | None, typer.Option("--layer", help="Layer of a file that has several.")]
Folder = Annotated[Path | None, typer.Option("--folder", help="Where files go, else foi/output_data.")]
Picture = Annotated[Path | None, typer.Option("--picture", help="Write a map, or of --pid a parcel, to .png, .pdf, …")]
Pid = Annotated[str | None, typer.Option("--pid", help="Of this parcel --picture shows the clusters.")]
By = Annotated[str, typer.Option("--by", help="What the map shows: foi_h or foi_c.")]
Top = Annotated[int, typer.Option("--top", min=0, help="So many of the most suspicious parcels are listed.")]


@app.callback()
def foi() -> None:
    """Heterogeneity and cardinality of parcels, from a thematic raster."""


@app.command("v2")
def foi_v2(
    *,
    raster: Raster,
    classes: Classes,
    parcels: Parcels = None,
    negative_buffer: Annotated[
        float, typer.Option("--negative-buffer", help="Metres, 0 or below: -10 leaves a margin of 10 m out.")
    ] = 0,
    least: Least = 30,
    greatest: Greatest = 70,
    connectivity: Annotated[
        int, typer.Option("--connectivity", help="8: also pixels that meet at a corner hang together; or 4.")
    ] = 8,
    threshold: Annotated[float, typer.Option("--threshold", help="Clusters of more pixels count.")] = 20,
    aoi: OptionalAoi = None,
    year: OptionalYear = None,
    ptype: Ptype = None,
    layer: Layer = None,
    folder: Folder = None,
    picture: Picture = None,
    pid: Pid = None,
    by: By = "foi_h",
    top: Top = 10,
    output: Shown = Format.table,
) -> None:
    """Check parcels by clusters of pixels."""
    from cbm_lake.foi.version2 import v2

    options: dict[str, Any] = {"aoi": aoi, "year": year, "ptype": ptype, "layer": layer, "folder": folder}
    _check_picture(by, pid, picture)
    with bar("reading the raster") as progress:
        result = v2(
            parcels,
            raster,
            classes,
            negative_buffer,
            least,
            greatest,
            connectivity,
            threshold,
            **options,
            progress=progress,
        )
    _tell(result, picture, pid, by, top, output)


@app.command("v1")
def foi_v1(
    *,
    raster: Raster,
    classes: Classes,
    parcels: Parcels = None,
    least: Least = 30,
    greatest: Greatest = 70,
    area: Annotated[float, typer.Option("--area-threshold", help="Clusters of more m2 count.")] = 2000,
    aoi: OptionalAoi = None,
    year: OptionalYear = None,
    ptype: Ptype = None,
    layer: Layer = None,
    folder: Folder = None,
    picture: Picture = None,
    pid: Pid = None,
    by: By = "foi_h",
    top: Top = 10,
    output: Shown = Format.table,
) -> None:
    """Check parcels by the area of clusters."""
    from cbm_lake.foi.version1 import v1

    options: dict[str, Any] = {"aoi": aoi, "year": year, "ptype": ptype, "layer": layer, "folder": folder}
    _check_picture(by, pid, picture)
    with bar("reading the raster") as progress:
        result = v1(parcels, raster, classes, least, greatest, area, **options, progress=progress)
    _tell(result, picture, pid, by, top, output)


@app.command("thematic")
def foi_thematic(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    method: Annotated[str, typer.Option("--method", help="clusters: pixels alike; crops: learnt as declared.")] = (
        "clusters"
    ),
    clusters: Annotated[int, typer.Option("--clusters", help="How many, for the method clusters.")] = 6,
    periods: Annotated[int, typer.Option("--periods", help="Parts into which the season is cut.")] = 8,
    start: Annotated[str | None, typer.Option("--start", help="First day, 2024-03-01.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day, included.")] = None,
    radar: Annotated[bool, typer.Option(help="Use backscatter too, where there is a cube of it.")] = True,
    grid: Annotated[str | None, typer.Option("--grid", help="Which cube, where the parcels lie on several.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of all random choices.")] = 0,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where files go, else foi.")] = None,
) -> None:
    """Make a thematic raster and its classes out of the lake's cubes."""
    from cbm_lake.foi.thematic import thematic

    if method not in ("clusters", "crops"):
        raise InvalidInputError(f"there is no method {method!r}; choose clusters or crops")
    options: dict[str, Any] = {"method": method, "clusters": clusters, "periods": periods, "start": start, "end": end}
    options |= {"radar": radar, "grid": grid, "seed": seed, "folder": folder}
    with bar("classifying pixels") as progress:
        result = thematic(aoi, year, ptype, **options, progress=progress)
    for path in filter(None, (result.raster, result.classes, result.report)):
        out.print(path, soft_wrap=True, markup=False, highlight=False)
    if result.accuracy is not None:
        line = f"{result.accuracy.overall:.1%} of pixels and {result.accuracy.by_parcel:.1%} of parcels as declared"
        out.print(line, markup=False, highlight=False)


def _check_picture(by: str, pid: str | None, picture: Path | None) -> None:
    """Raise before hours of work what would only be noticed after them."""
    if by not in ("foi_h", "foi_c"):
        raise InvalidInputError(f"there is no map of {by!r}; choose foi_h or foi_c")
    if pid is not None and picture is None:
        raise InvalidInputError("--pid says what --picture is to show; give --picture too")


def _tell(result: Foi, picture: Path | None, pid: str | None, by: str, top: int, output: Format) -> None:
    show(result.ranked(top), output, f"{result.name}: most suspicious first")
    if picture is not None:
        _draw(result, picture, pid, by)
    console = out if output is Format.table else err
    console.print(str(result), markup=False, highlight=False, soft_wrap=True)
    for path in (*result.files.values(), *filter(None, [result.lake_file])):
        console.print(path, soft_wrap=True, markup=False, highlight=False)


def _draw(result: Foi, picture: Path, pid: str | None, by: Any) -> None:
    from cbm_lake.foi.plots import plot_clusters, plot_map

    figure = plot_map(result, by) if pid is None else plot_clusters(result, pid)
    try:
        with durable.replacing(picture if picture.suffix else picture.with_suffix(".png")) as draft:
            figure.savefig(draft, dpi=150)
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{picture} cannot be written ({error}); check the folder and the ending") from error
