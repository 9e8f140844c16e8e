"""cbm-lake worklist: what there is to decide on, in the order in which it is to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, say, show, table_file
from cbm_lake.errors import counted

if TYPE_CHECKING:
    from cbm_lake.cases import Worklist

app = typer.Typer(no_args_is_help=True, help="Worklists: what there is to decide on, red lights first.")

Scenario = Annotated[str | None, typer.Option("--scenario", help="Only of this one.")]
Where = Annotated[
    str, typer.Option("--where", help='A condition on the columns in SQL: "area_ha > 2 and decision is null".')
]
Search = Annotated[str, typer.Option("--search", help="Beginning of a parcel's identifier, or words of a crop's name.")]
Sort = Annotated[str, typer.Option("--sort", help="A column, -column for descending; else the worklist's own order.")]
To = Annotated[
    Path | None,
    typer.Option("--to", callback=table_file, help="Write all rows there: .csv, .xlsx; with outlines .gpkg, …."),
]


@app.command("season")
def worklist_season(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    scenario: Scenario = None,
    where: Where = "",
    search: Search = "",
    sort: Sort = "",
    since: Annotated[
        str | None, typer.Option("--since", help="Say what changed since then, 2027-05-01; visit is the last one.")
    ] = None,
    who: Annotated[str | None, typer.Option("--who", help="Whose last visit, else the user's.")] = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """List the parcels of a season, red lights first, with what was decided on them."""
    from cbm_lake import cases

    visited = cases.last_visit(aoi, year, ptype, who) if since == "visit" else since
    listed = cases.worklist(aoi, year, ptype, scenario=scenario, where=where, search=search, sort=sort, since=visited)
    _show(listed, to, output)


@app.command("sample")
def worklist_sample(
    sample_id: Annotated[str, typer.Argument(metavar="SAMPLE", help="Identifier of a sample of the QA.")],
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    where: Where = "",
    search: Search = "",
    sort: Sort = "",
    folder: Annotated[Path | None, typer.Option("--folder", help="Of the sample's files, else output/.")] = None,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """List the parcels of a sample in the order drawn, with their verdicts."""
    from cbm_lake import cases

    listed = cases.sample_worklist(sample_id, aoi, year, ptype, where=where, search=search, sort=sort, folder=folder)
    _show(listed, to, output)


@app.command("cases")
def worklist_cases(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    scenario: Scenario = None,
    where: Where = "",
    search: Search = "",
    sort: Sort = "",
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """List the cases of a parcel set, open ones first, those that are to be answered soonest before others."""
    from cbm_lake import cases

    _show(cases.case_worklist(aoi, year, ptype, scenario=scenario, where=where, search=search, sort=sort), to, output)


def _show(worklist: Worklist, to: Path | None, output: Format) -> None:
    """Write the rows to a file, or print them."""
    if to is not None:
        say(f"{counted(worklist.export(to), 'row')} written to {to}")
        return
    count = worklist.count()
    show(worklist.page(limit=count.rows), output, f"{counted(count.rows, 'row')}, {count.open:,} without a decision")
