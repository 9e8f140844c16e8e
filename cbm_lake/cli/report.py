"""cbm-lake report: parcels as documents, and whether what they say still holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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

    result = report.parcel(aoi, year, pid, ptype, folder=folder, formats=formats or ("pdf", "html"), tms=tms)
    for name, reason in result.missing.items():
        out.print(f"without figure {name}: {reason}", markup=False, soft_wrap=True)
    for file in result.files.values():
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
        result = report.batch(
            aoi,
            year,
            report.listed(pids),
            ptype,
            folder=folder,
            formats=formats or ("pdf",),
            tms=tms,
            progress=progress,
        )
    for one in result:
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


Keys = Annotated[
    list[Path] | None,
    typer.Option("--key", help="File of the public key by which it must be signed; may stand several times."),
]


@app.command("verify")
def report_verify(
    file: Annotated[Path, typer.Argument(help="A report: .pdf, .html or .json.")],
    key: Keys = None,
    lake: Annotated[
        bool | None,
        typer.Option("--lake/--no-lake", help="Whether the lake is asked; without --key it is."),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Of the lake; else the workspace's.")] = None,
    redraw: Annotated[bool, typer.Option("--redraw/--no-redraw", help="Whether pictures are drawn again.")] = True,
    recheck: Annotated[
        bool, typer.Option("--recheck/--no-recheck", help="Whether the crop check is repeated from what it read.")
    ] = True,
) -> None:
    """Set the pages anew, check the signature, ask the lake; exit 0 equal, 1 different, 2 it cannot be verified."""
    from cbm_lake import report

    with _exit_2():
        verdict = report.verify(file, key=key, lake=lake, url=url, redraw=redraw, recheck=recheck)
    out.print(str(verdict), markup=False, soft_wrap=True)
    raise typer.Exit(verdict.status)


@app.command("chain")
def report_chain(
    files: Annotated[list[Path], typer.Argument(help="Reports, or folders of them.")],
    key: Keys = None,
    register: Annotated[Path | None, typer.Option("--register", help="The agency's register of reports.")] = None,
) -> None:
    """Whether signed reports follow each other without a gap; exit 0 they do, 1 not, 2 that cannot be told."""
    from cbm_lake import report

    with _exit_2():
        reports = _reports(files)
        outcome = report.verify_chain(reports, key=key, register=register)
    for one in outcome:
        out.print(one, markup=False, soft_wrap=True)
    if not outcome:
        out.print(f"{len(reports)} files of reports are signed and follow each other")
    raise typer.Exit(1 if outcome else 0)


@contextmanager
def _exit_2() -> Iterator[None]:
    """What fails cannot be verified."""
    from cbm_lake.cli.shared import err
    from cbm_lake.errors import LakeError

    try:
        yield
    except LakeError as error:
        err.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error


def _reports(paths: list[Path]) -> list[Path]:
    """Files, and the reports in folders."""
    from cbm_lake.errors import InvalidInputError

    inside = [sorted(path.rglob("report_*")) if path.is_dir() else [path] for path in paths]
    reports = [file for files in inside for file in files if file.suffix.lower() in (".pdf", ".html", ".json")]
    if not reports:
        raise InvalidInputError(f"there is no report in {', '.join(map(str, paths))}; give files or folders of them")
    return reports


keys_app = typer.Typer(no_args_is_help=True, help="The keys by which reports are signed.")
app.add_typer(keys_app, name="keys")


@keys_app.command("make")
def keys_make(
    another: Annotated[bool, typer.Option("--another", help="Although there is one, which stays known.")] = False,
) -> None:
    """Make a key; reports are signed with it from now on."""
    from cbm_lake import report

    key = report.keys.make(another=another)
    out.print(f"made the key {key.name}, number {key.number}; its public part is {key.origin}", soft_wrap=True)


@keys_app.command("show")
def keys_show(
    name: Annotated[str | None, typer.Argument(help="Of the key; else the one that signs.")] = None,
) -> None:
    """Show a public key, as an inspector needs it to verify reports."""
    from cbm_lake import report

    typer.echo(report.keys.of_name(name).pem, nl=False)


@keys_app.command("list")
def keys_list() -> None:
    """List the keys, the newest last."""
    from cbm_lake import report

    keys = report.keys.listed()
    signer = report.keys.signer()
    for key in keys:
        signs = "signs" if signer and key.raw == signer.public.raw else "signs no more"
        out.print(f"{key.number}  {key.name}  {signs}  {key.origin}", markup=False, soft_wrap=True)
    if not keys:
        out.print("no keys; reports are not signed. Make one: cbm-lake report keys make")
