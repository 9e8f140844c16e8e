"""cbm-lake extract: the statistics of every parcel in every scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cbm_lake.cards import CARDS
from cbm_lake.cli.shared import Aoi, End, Ptype, Start, Year, bar, err, out

if TYPE_CHECKING:
    from cbm_lake.extract import Extracted, Plan

app = typer.Typer(no_args_is_help=True, help="Take the statistics of every parcel in every scene.")


def _extract(  # noqa: PLR0917 - options
    card: str,
    start: Start,
    end: End,
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    bands: Annotated[str | None, typer.Option("--bands", help="B02,B03,… without it the card's usual ones.")] = None,
    cube: Annotated[bool, typer.Option(help="Also keep the pixels round the parcels in the cube.")] = True,
    rule: Annotated[
        str, typer.Option("--rule", help="Which pixels belong to a parcel: centre or coverage.")
    ] = "centre",
    inner_buffer: Annotated[
        float, typer.Option("--inner-buffer", help="Metres inside the parcels' boundaries that do not count.")
    ] = 0,
    statistics: Annotated[
        str, typer.Option("--statistics", help="p10,p90,valid_share: further ones, beside those that always come.")
    ] = "",
    indices: Annotated[
        str, typer.Option("--indices", help="ndvi,ndmi,…: statistics also of the index of each pixel.")
    ] = "",
    shifted: Annotated[
        bool, typer.Option("--correct-shift", help="Move parcels with the scenes that the shift guard calls shifted.")
    ] = False,
    clear: Annotated[bool, typer.Option(help="Also of the clear pixels alone of partly clouded parcels.")] = True,
    dilate: Annotated[int, typer.Option("--dilate", min=0, help="Grow clouds by so many pixels of the classes.")] = 0,
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask", help="Further mask, 'cloud > 40' or '/data/masks = 1': asset or folder, and its values."
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Also what is done; it is replaced.")] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes here; one per core without it, 0 is none.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="Running Dask scheduler, tcp://host:8786.")
    ] = None,
    patience: Annotated[
        float, typer.Option("--patience", help="Seconds for that scheduler to get workers; more where they queue.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    from cbm_lake import extract

    with bar("planning: reading headers") as progress:
        todo = extract.plan(
            card,
            start,
            end,
            aoi=aoi,
            year=year,
            ptype=ptype,
            bands=bands.split(",") if bands else None,
            cube=cube,
            rule=rule,
            inner_buffer=inner_buffer,
            statistics=statistics,
            indices=indices,
            shifted=shifted,
            again=again,
            clear=clear,
            dilate=dilate,
            mask=mask,
            dry=dry_run,
            progress=progress,
        )
    if todo.jobs or not todo.failed or dry_run:  # where none can be extracted, the error says why
        cannot = f", {len(todo.failed)} cannot be extracted" if todo.failed else ""
        out.print(
            f"{len(todo.jobs)} scenes to extract over {todo.parcel_count:,} parcels, {todo.done} done before{cannot}"
        )
    if dry_run:
        _planned(todo, workers)
        return
    finished = 0
    try:
        with bar(f"extracting {card}", parcels=todo.parcel_count) as progress:

            def count(done: int, total: int) -> None:
                nonlocal finished
                finished = done
                progress(done, total)

            done = extract.run(todo, workers=workers, scheduler=scheduler, patience=patience, progress=count)
    except KeyboardInterrupt as stop:
        err.print(f"stopped: {finished} of {len(todo.jobs)} scenes are done; the same command goes on from there")
        raise typer.Exit(130) from stop
    _extracted(done)


def _planned(todo: Plan, workers: int | None) -> None:
    """What a plan would do, scene by scene, and what that costs on this machine."""
    from cbm_lake.extract.cost import CLEAR, estimate

    for job in todo.jobs:
        which = "parcels that changed" if job.base else "all parcels"
        measured = ", ".join((*job.bands, *(name.upper() for name in job.indices)))
        rule = f" ({job.pixel_rule})" if job.inner_buffer or any(job.moved) else ""
        out.print(f"{job.scene.obstime:%Y-%m-%d} {job.scene.id}: {measured}; {which}{rule}", soft_wrap=True)
    for outcome in todo.failed:
        err.print(f"cannot be done: {outcome.scene}: {outcome.problem}", style="yellow", markup=False, soft_wrap=True)
    full = [job for job in todo.jobs if not job.base]
    if full:
        tiles = len({raster.grid for job in full for raster in job.rasters.values() if raster.grid.transform.a <= 10})
        dates = len({job.scene.obstime.date() for job in full})
        with bar("measuring this machine") as progress:
            cost = estimate(
                todo.parcel_count,
                dates,
                len(full[0].bands),
                workers=workers or 1,
                tiles=max(tiles, 1),
                cube=full[0].slots is not None,
                indices=len(full[0].indices),
                inner_buffer=full[0].inner_buffer,
                clear=CLEAR if full[0].mask else 0.0,
                progress=progress,
            )
        out.print(f"estimated for all parcels on whole tiles: {cost}", soft_wrap=True)


def _extracted(done: Extracted) -> None:
    from cbm_lake.extract.causes import as_before

    beside = f", and {done.clear:,} of clear pixels alone" if done.clear else ""
    out.print(f"{done.scenes} scenes extracted, {done.rows:,} signatures written{beside}")
    if done.discarded:
        out.print(f"{done.discarded:,} pixels were no measurement (below 0, or reflectance above 3.2767): nodata")
    if done.too_small:
        err.print(str(done.too_small), style="yellow", markup=False, highlight=False, soft_wrap=True)
    if done.still_failing:
        err.print(as_before(done.still_failing), style="yellow", markup=False, highlight=False, soft_wrap=True)


def _extract_command(card: str, sensor: str) -> None:
    """Give a card its command; the options are those of `_extract`."""
    import functools
    import inspect

    command = functools.partial(_extract, card)
    functools.update_wrapper(command, _extract)
    signature = inspect.signature(_extract, eval_str=True)
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[value for name, value in signature.parameters.items() if name != "card"]
    )
    app.command(card, help=f"Extract {sensor}.")(command)


for _card in CARDS.values():
    _extract_command(_card.name, _card.extracted)
