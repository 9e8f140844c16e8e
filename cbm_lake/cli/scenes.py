"""cbm-lake scenes: what is catalogued, and which scenes are left out."""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import CARD_NAMES, Format, Shown, out, show

app = typer.Typer(
    no_args_is_help=True, help="List scenes, leave out those that are wrong or unreadable, or put them back."
)

Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Identifiers, or patterns of them with * and ?.")]
Why = Annotated[str, typer.Option("--why", help="The reason; kept with who and when.")]
Only = Annotated[str | None, typer.Option("--card", help=f"{CARD_NAMES}; without it scenes of all cards.")]
Who = Annotated[str | None, typer.Option("--who", help="Who decides, else the user.")]


@app.command("list")
def scenes_list(
    card: Annotated[str, typer.Option("--card", help=f"{CARD_NAMES}.")] = "s2",
    start: Annotated[str, typer.Option("--start", help="First day, 2024-03-01.")] = "2014-01-01",
    end: Annotated[str, typer.Option("--end", help="Last day, included.")] = "2099-12-31",
    left_out: Annotated[bool, typer.Option("--left-out", help="Only those left out, of all cards.")] = False,
    output: Shown = Format.table,
) -> None:
    """Show the catalogued scenes and what became of each; with --left-out those left out, why, by whom and when."""
    from cbm_lake import cards, scenes
    from cbm_lake.extract.planning import days
    from cbm_lake.lake import open_lake

    if left_out:
        show(scenes.left_out(), output)
        return
    first, stop = days(start, end)
    show(open_lake().query("scenes.listed", card=cards.get(card).name, start=first, stop=stop, clouds=100), output)


@app.command("leave-out")
def scenes_leave_out(scenes: Ids, why: Why, card: Only = None, who: Who = None) -> None:
    """Leave scenes out: they are not extracted and do not count until they are put back."""
    from cbm_lake import scenes as verbs

    _report(verbs.leave_out(scenes, why, card=card, who=who), "left out")


@app.command("put-back")
def scenes_put_back(scenes: Ids, why: Why, card: Only = None, who: Who = None) -> None:
    """Put scenes back that were left out: they count again as before, and are extracted where they were not."""
    from cbm_lake import scenes as verbs

    _report(verbs.put_back(scenes, why, card=card, who=who), "put back")


def _report(scenes: list[str], state: str) -> None:
    for scene in scenes:
        out.print(f"{scene} is {state}", soft_wrap=True, markup=False, highlight=False)
