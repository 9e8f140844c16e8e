"""cbm-lake status, compact, vacuum, backup, sql: the lake as a whole."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from cbm_lake.cli.shared import CARD_NAMES, Format, Shown, bar, err, objects, out, params, show
from cbm_lake.errors import InvalidInputError

app = typer.Typer()


@app.command()
def status(output: Shown = Format.table) -> None:
    """Say what is catalogued, loaded, extracted, failed, left out and suspect, and why."""
    from cbm_lake.lake import open_lake

    if output is Format.csv:
        raise InvalidInputError(
            "status is several tables; ask for --format json, or for one: cbm-lake sql status.parcels --format csv"
        )
    lake = open_lake()
    if lake.is_empty:
        err.print(f"nothing is in {lake.url} yet; is it the right place?", soft_wrap=True, markup=False)
    tables = {"scenes": "scenes.status", "parcels": "status.parcels", "failed": "scenes.failed"}
    tables |= {"left out": "scenes.left_out", "suspect": "guard.suspects"}
    rows = {title: lake.query(name) for title, name in tables.items()}
    if output is Format.json:
        sys.stdout.write(json.dumps({title.replace(" ", "_"): objects(table) for title, table in rows.items()}) + "\n")
    else:
        for title, table in rows.items():
            show(table, output, title)


@app.command()
def compact(card: Annotated[str | None, typer.Argument(help=f"{CARD_NAMES}; all without it.")] = None) -> None:
    """Merge signature files into files ordered by parcel: look-ups become fast."""
    from cbm_lake.lake import open_lake

    with err.status("compacting"):
        merged = open_lake().compact(card)
    out.print(f"{merged} files merged")


@app.command()
def vacuum(
    days: Annotated[int, typer.Option("--days", min=1, help="Keep what the lake of so many days needs.")] = 30,
) -> None:
    """Delete files that only the lake of earlier days needs; how it was then can no longer be read."""
    from cbm_lake.lake import open_lake

    with err.status("deleting old files"):
        gone = open_lake().vacuum(days)
    out.print(f"{gone} files deleted")


@app.command()
def backup(
    destination: Annotated[str, typer.Argument(help="Folder, or s3:// URL, of the copy; made where it is missing.")],
    deep: Annotated[bool, typer.Option("--deep", help="Read the whole copy in looking through it.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete from the copy what `vacuum` has deleted from the lake.")
    ] = False,
    output: Shown = Format.table,
) -> None:
    """Copy the lake, or bring its copy up to date, while others write; exit status 1 when the copy has a fault."""
    from cbm_lake.lake.backups import backup as copy

    with bar("copying and checking") as progress:
        done = copy(destination, deep=deep, prune=prune, progress=progress)
    out.print(f"{done.files:,} files of {done.bytes:,} bytes copied", highlight=False)
    if done.findings.num_rows:
        show(done.findings, output)
    notes = done.findings.num_rows - done.faults
    err.print(f"{done.faults} faults, {notes} notes in the copy" if done.findings.num_rows else "the copy is whole")
    if done.faults:
        raise typer.Exit(1)


@app.command()
def sql(
    statement: Annotated[
        str, typer.Argument(help="A SELECT over scenes, parcels, s2, bs, c6, …; or a named query; or `list`.")
    ],
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", help="name=value of a $name in the statement.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="As the lake was at that moment.")] = None,
    output: Shown = Format.table,
) -> None:
    """Run SQL, or a query of sql/ by its name; `sql list` says which there are and what they answer."""
    from cbm_lake.lake import open_lake, queries

    if statement == "list":
        for query in queries.load().values():
            out.print(f"{query.name}: {query.description}", markup=False, soft_wrap=True)
        return
    lake = open_lake(as_of=as_of)
    ask = lake.query if statement in queries.load() else lake.sql
    show(ask(statement, **params(param)), output)
