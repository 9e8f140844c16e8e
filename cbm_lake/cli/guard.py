"""cbm-lake guard: scenes whose reflectance offset was handled wrongly, or that lie beside their place."""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, out, show

app = typer.Typer(no_args_is_help=True, help="Find scenes whose offset or location is wrong, by their data.")


@app.command("check")
def guard_check(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="Leave suspects out of what is asked.")] = True,
    but: Annotated[list[str] | None, typer.Option("--but", help="Do not mark this scene; may be repeated.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show the scenes that are right, too.")] = False,
    output: Shown = Format.table,
) -> None:
    """Look at every extracted Sentinel-2 scene; exit 1 where one is suspect."""
    import pyarrow.compute as pc

    from cbm_lake import guard

    rows = guard.scenes(aoi, year, ptype, mark=mark, but=but or ())
    wrong = rows.filter(pc.equal(rows["verdict"], "suspect"))
    show(rows if every else wrong, output, digits=_OFFSETS)
    if wrong.num_rows:
        outcome = "left out of what is asked until: cbm-lake guard clear SCENE --reason …" if mark else "not marked"
        out.print(f"{wrong.num_rows} of {rows.num_rows} scenes are suspect; they are {outcome}", soft_wrap=True)
        raise typer.Exit(1)


@app.command("list")
def guard_list(output: Shown = Format.table) -> None:
    """Show the scenes that are marked."""
    from cbm_lake import guard

    show(guard.suspects(), output, digits=_OFFSETS)


@app.command("clear")
def guard_clear(
    scene: Annotated[str, typer.Argument(help="Identifier of the scene.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it is right; kept.")],
) -> None:
    """Take the mark off a scene that you looked at."""
    from cbm_lake import guard

    guard.clear(scene, reason)
    out.print(f"{scene} counts again", soft_wrap=True)


@app.command("shifts")
def guard_shifts(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    again: Annotated[bool, typer.Option("--again", help="Also measure scenes that were measured before.")] = False,
    keep: Annotated[bool, typer.Option("--store/--no-store", help="Write what is new into the lake.")] = True,
    every: Annotated[bool, typer.Option("--all", help="Show all columns.")] = False,
    output: Shown = Format.table,
) -> None:
    """Estimate by how many metres each extracted Sentinel-2 scene is displaced; exit 1 where one is shifted."""
    import pyarrow.compute as pc

    from cbm_lake import guard

    rows = guard.shifts(aoi, year, ptype, again=again, store=keep)
    listed = rows if every or output is not Format.table else rows.select(_BRIEF)
    show(listed, output, digits=_METRES)
    verdicts = {row["values"]: row["counts"] for row in pc.value_counts(rows["verdict"]).to_pylist()}
    if verdicts.get("shifted"):
        undecided = f", {verdicts['undecided']} are undecided" if verdicts.get("undecided") else ""
        advice = "extract again with --correct-shift to move their parcels with them"
        out.print(f"{verdicts['shifted']} of {rows.num_rows} scenes are shifted{undecided}; {advice}", soft_wrap=True)
        raise typer.Exit(1)


@app.command("shift-errors")
def guard_shift_errors(aoi: Aoi, year: Year, ptype: Ptype = None, output: Shown = Format.csv) -> None:
    """Show how far each parcel's NDVI may be off in each look by the scene's shift."""
    from cbm_lake import guard

    show(guard.shift_errors(aoi, year, ptype), output)


_BRIEF = ["scene", "obstime", "verdict", "east", "north", "error", "borders", "scenes", "reason"]
_METRES = dict.fromkeys(
    [f"{of}{part}" for of in ("", "borders_", "scenes_", "frame_") for part in ("east", "north", "error")], 2
)
"""Metres to centimetres, for tables."""
_OFFSETS = {"shift": 1, "floor_shift": 1}
"""DN to tenths."""
