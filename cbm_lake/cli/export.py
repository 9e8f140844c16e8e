"""cbm-lake export: rows of the lake, or pixels of its cubes, as files for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from cbm_lake.cli.shared import CARD_NAMES, bar, err, out, params
from cbm_lake.errors import InvalidInputError


class _Export(TyperGroup):
    """`export WHAT PATH` is `export rows WHAT PATH`."""

    default = "rows"
    """The command that is meant where none is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the command's name before arguments that begin with none."""
        named = not args or args[0] in {*self.commands, "--help"}
        return super().parse_args(ctx, args if named else [self.default, *args])


app = typer.Typer(
    cls=_Export,
    no_args_is_help=True,
    help="Write rows or pixels of the lake to files for other tools; `export WHAT PATH` is `export rows WHAT PATH`.",
)


@app.command()
def rows(
    query: Annotated[str, typer.Argument(metavar="WHAT", help="A view (s2, parcels, …), a named query, or a SELECT.")],
    path: Annotated[Path, typer.Argument(help="File to write: .parquet, .csv, .xlsx, .gpkg, .fgb, .geojson, .arrow.")],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value of a $name in the statement.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As the lake was at that moment.")] = None,
    pseudonymous: Annotated[
        bool, typer.Option("--pseudonymous", help="Identifiers of parcels and holdings as keyed hashes.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option("--key", help="Their key, 16 bytes or more; else config/pseudonyms.key.")
    ] = None,
    identifier: Annotated[
        list[str] | None, typer.Option("--identifier", help="A further column that is replaced so.")
    ] = None,
    neutralise: Annotated[
        bool | None,
        typer.Option(help="Texts that spreadsheets take for formulas (= + - @) made harmless; .xlsx alone without it."),
    ] = None,
) -> None:
    """Write rows of the lake to a file for other tools."""
    from cbm_lake.lake import open_lake

    hashed: bool | Path = key or pseudonymous
    with err.status(f"writing {path}"), _in_options():
        count = open_lake(as_of=as_of).export(
            query, path, pseudonymous=hashed, identifiers=identifier or [], neutralise=neutralise, **params(param)
        )
    out.print(f"{count:,} rows written to {path}", soft_wrap=True)


@contextmanager
def _in_options() -> Iterator[None]:
    """Errors name the option instead of Python's argument."""
    try:
        yield
    except InvalidInputError as error:
        raise InvalidInputError(str(error).replace("identifiers=:", "--identifier:")) from error


@app.command()
def cube(
    card: Annotated[str, typer.Argument(help=f"{CARD_NAMES}.")],
    path: Annotated[Path, typer.Argument(help="out.tif (a band per date and band), out.nc, or a new folder of COGs.")],
    aoi: Annotated[str | None, typer.Option("--aoi", help="Cut to the box round this area's parcels.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Of the area's parcels; any without it.")] = None,
    bands: Annotated[str | None, typer.Option("--bands", help="B04,B08; all of the grid without it.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First day, 2024-03-01.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day, included.")] = None,
    resolution: Annotated[float | None, typer.Option("--resolution", help="Pixel size, where several fit.")] = None,
    grid: Annotated[str | None, typer.Option("--grid", help="Name of the grid, where several fit.")] = None,
    stored: Annotated[
        bool, typer.Option("--stored", help="DN as they are stored; else harmonised: float32, reflectance x 10000.")
    ] = False,
) -> None:
    """Write the scenes of a cube that count, harmonised, as GeoTIFF, NetCDF or a folder of COGs."""
    from cbm_lake.lake import open_lake

    names = bands.split(",") if bands else None
    with bar(f"writing {path}") as progress:
        count = open_lake().export_cube(
            card,
            path,
            aoi=aoi,
            year=year,
            grid=grid,
            resolution=resolution,
            bands=names,
            start=start,
            end=end,
            harmonised=not stored,
            progress=progress,
        )
    kind = "stored DN" if stored else "harmonised: offsets added"
    out.print(f"{count:,} rasters written to {path} ({kind})", soft_wrap=True)
