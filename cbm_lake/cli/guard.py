"""cbm-lake guard: scenes whose reflectance offset was handled wrongly."""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, out, show

app = typer.Typer(no_args_is_help=True, help="Find scenes whose reflectance offset was handled wrongly, by their data.")


@app.command("check")
def guard_check(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="Leave suspects out of what is asked.")] = True,
    every: Annotated[bool, typer.Option("--all", help="Show the scenes that are right, too.")] = False,
    output: Shown = Format.table,
) -> None:
    """Look at every extracted Sentinel-2 scene; exit 1 where one is suspect."""
    import pyarrow.compute as pc

    from cbm_lake import guard

    rows = guard.scenes(aoi, year, ptype, mark=mark)
    wrong = rows.filter(pc.equal(rows["verdict"], "suspect"))
    show(rows if every else wrong, output)
    if wrong.num_rows:
        outcome = "left out of what is asked until: cbm-lake guard clear SCENE --reason …" if mark else "not marked"
        out.print(f"{wrong.num_rows} of {rows.num_rows} scenes are suspect; they are {outcome}", soft_wrap=True)
        raise typer.Exit(1)


@app.command("list")
def guard_list(output: Shown = Format.table) -> None:
    """Show the scenes that are marked."""
    from cbm_lake import guard

    show(guard.suspects(), output)


@app.command("clear")
def guard_clear(
    scene: Annotated[str, typer.Argument(help="Identifier of the scene.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is right; kept.")],
) -> None:
    """Take the mark off a scene that you looked at."""
    from cbm_lake import guard

    guard.clear(scene, reason)
    out.print(f"{scene} counts again", soft_wrap=True)
