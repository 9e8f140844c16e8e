"""cbm-lake estimate: what a season will cost on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import Format, Shown, bar, out, show

app = typer.Typer()


@app.command()
def estimate(
    parcels: Annotated[int, typer.Option("--parcels", help="How many parcels.")],
    scenes: Annotated[int, typer.Option("--scenes", help="Dates on which each of them is seen.")],
    bands: Annotated[int, typer.Option("--bands", help="Bands with statistics.")] = 6,
    workers: Annotated[int, typer.Option("--workers", help="Processes that share the work.")] = 1,
    tiles: Annotated[
        int | None, typer.Option("--tiles", help="Sentinel-2 tiles; one for 100,000 parcels without it.")
    ] = None,
    cube: Annotated[bool, typer.Option(help="Also keep the pixels in cubes.")] = True,
    indices: Annotated[int, typer.Option("--indices", help="Indices of each pixel, of how many.")] = 0,
    inner_buffer: Annotated[
        float, typer.Option("--inner-buffer", help="Metres inside the parcels' boundaries that do not count.")
    ] = 0,
    clear: Annotated[bool, typer.Option(help="Also of the clear pixels alone of partly clouded parcels.")] = True,
    output: Shown = Format.table,
) -> None:
    """Measure this machine for some 20 seconds and say what a season takes: time by stage, memory, storage."""
    from cbm_lake.extract.cost import CLEAR
    from cbm_lake.extract.cost import estimate as calculate

    share = CLEAR if clear else 0.0
    with bar("measuring this machine") as progress:
        needs = calculate(
            parcels,
            scenes,
            bands,
            workers=workers,
            tiles=tiles,
            cube=cube,
            indices=indices,
            inner_buffer=inner_buffer,
            clear=share,
            progress=progress,
        )
    show(needs.to_table(), output)
    if output is Format.table:
        out.print(str(needs), soft_wrap=True)
