"""cbm-lake check: is the lake whole?"""

from __future__ import annotations

from typing import Annotated

import typer

from cbm_lake.cli.shared import Format, Shown, bar, err, show

app = typer.Typer()


@app.command()
def check(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read everything, not only footers and lengths: takes its time.")
    ] = False,
    forget: Annotated[
        str | None, typer.Option("--forget", help="A file that is missing and does not come back, as check names it.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Say what is damaged, missing or left behind in the lake, and what to do; exit status 1 when there is a fault."""
    import pyarrow.compute as pc

    from cbm_lake.lake import open_lake
    from cbm_lake.lake.check import check as look

    if forget is not None:
        open_lake().forget_file(forget)
    with bar("checking") as progress:
        findings = look(open_lake(), deep=deep, progress=progress)
    faults = pc.sum(pc.equal(findings["severity"], "fault")).as_py() or 0
    if findings.num_rows:
        show(findings, output)
    err.print(f"{faults} faults, {findings.num_rows - faults} notes" if findings.num_rows else "the lake is whole")
    if faults:
        raise typer.Exit(1)
