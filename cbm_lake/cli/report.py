"""cbm-lake report: parcels as documents, and whether what they say still holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cbm_lake.cli.shared import Aoi, Ptype, Year, bar, out

app = typer.Typer(no_args_is_help=True, help="Reports of parcels, with evidence; and their verification.")

Folder = Annotated[Path | None, typer.Option("--folder", help="Where they go; else temp/<aoi>/<year>/<pid>/.")]
Formats = Annotated[list[str] | None, typer.Option("--format", help="pdf, html or json; may stand several times.")]
Tms = Annotated[str, typer.Option("--background", help="Of which background the outline is drawn.")]


@app.command("parcel")
def report_parcel(
    aoi: Aoi,
    year: Year,
    pid: Annotated[str, typer.Option("--pid", help="Identifier of the parcel.")],
    ptype: Ptype = None,
    folder: Folder = None,
    formats: Formats = None,
    tms: Tms = "sentinel",
) -> None:
    """Write the report of a parcel, PDF and HTML."""
    from cbm_lake import report

    made = report.parcel(aoi, year, pid, ptype, folder=folder, formats=formats or ("pdf", "html"), tms=tms)
    for name, reason in made.missing.items():
        out.print(f"without figure {name}: {reason}", markup=False, soft_wrap=True)
    for file in made.files.values():
        out.print(str(file), markup=False, soft_wrap=True)


@app.command("batch")
def report_batch(
    aoi: Aoi,
    year: Year,
    pids: Annotated[list[str], typer.Argument(help="Identifiers; or one @file with an identifier in each line.")],
    ptype: Ptype = None,
    folder: Folder = None,
    formats: Formats = None,
    tms: Tms = "sentinel",
) -> None:
    """Write the reports of many parcels; one that fails does not stop the others."""
    from cbm_lake import report

    with bar("reports") as progress:
        made = report.batch(
            aoi,
            year,
            report.listed(pids),
            ptype,
            folder=folder,
            formats=formats or ("pdf",),
            tms=tms,
            progress=progress,
        )
    for one in made:
        out.print(str(one), markup=False, soft_wrap=True)


@app.command("slides")
def report_slides(
    aoi: Aoi,
    year: Year,
    pids: Annotated[list[str], typer.Argument(help="Identifiers; or one @file with an identifier in each line.")],
    ptype: Ptype = None,
    file: Annotated[Path | None, typer.Option("--out", help="File (.pptx); else temp/<aoi>/<year>/<pid>/.")] = None,
) -> None:
    """Write parcels' years as slides (.pptx): curves, calendars of images, histograms, scatter plots."""
    from cbm_lake import report

    with bar("slides") as progress:
        written = report.slides(aoi, year, report.listed(pids), ptype, file=file, progress=progress)
    out.print(str(written), markup=False, soft_wrap=True)


@app.command("notebook")
def report_notebook(
    file: Annotated[Path, typer.Argument(help="The notebook (.ipynb).")],
    code: Annotated[bool, typer.Option("--code/--no-code", help="Whether the code is shown too.")] = True,
    pdf: Annotated[bool, typer.Option("--pdf", help="As PDF, by a Chromium of this machine.")] = False,
    run: Annotated[bool, typer.Option("--run", help="Execute it first.")] = False,
    folder: Annotated[Path | None, typer.Option("--folder", help="Where it goes; else beside the notebook.")] = None,
) -> None:
    """Write a notebook as one HTML file, or as PDF."""
    from cbm_lake import report

    out.print(str(report.from_notebook(file, with_code=code, pdf=pdf, run=run, folder=folder)), soft_wrap=True)


@app.command("verify")
def report_verify(file: Annotated[Path, typer.Argument(help="A report: .pdf, .html or .json.")]) -> None:
    """Recompute every number as of the report's snapshot; exit 0 all equal, 1 not, 2 it cannot be told."""
    from cbm_lake import report
    from cbm_lake.cli.shared import err
    from cbm_lake.errors import LakeError

    try:
        verdict = report.verify(file)
    except LakeError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    out.print(str(verdict), markup=False, soft_wrap=True)
    raise typer.Exit(0 if verdict.equal else 1)
