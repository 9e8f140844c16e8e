"""cbm-lake qa: the sample of the quality assessment, its inspection, the validation of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cbm_lake.cli.shared import Format, NewAoi, NewYear, Ptype, Shown, bar, err, out, show
from cbm_lake.errors import InvalidInputError, LakeError

app = typer.Typer(no_args_is_help=True, help="Quality assessment: draw the sample, record its inspection, validate.")

SampleId = Annotated[str, typer.Argument(help="The sample's extraction id.")]


@app.callback()
def qa() -> None:
    """Quality assessment: draw the sample, record its inspection, validate."""


@app.command("sample")
def qa_sample(
    parcel_file: Annotated[
        Path | None, typer.Option("--parcel_file", help="Ranked parcels, CSV or Parquet: gsa_par_id, gsa_hol_id, …")
    ] = None,
    target_file: Annotated[
        Path | None, typer.Option("--target_file", help="ua_grp_id and target; without it --target_rule decides.")
    ] = None,
    three_percent: Annotated[
        str | None, typer.Option("--3_percent", help="true: take the sample from 3 % of the holdings.")
    ] = None,
    covered_priority: Annotated[
        str | None, typer.Option("--covered_priority", help="0 all parcels, 1 covered ones first, 2 covered ones only.")
    ] = None,
    noncontributing_filtering: Annotated[
        str | None, typer.Option("--noncontributing_filtering", help="1 retains a holding's best parcel, 0 does not.")
    ] = None,
    extraction_id: Annotated[
        str | None, typer.Option("--extraction_id", help="Begins the names of the files; made up without it.")
    ] = None,
    target_rule: Annotated[
        str | None, typer.Option("--target_rule", help="simple (5 %, at most 300), buffer, minimal, ulm, ulm_minimal.")
    ] = None,
    raise_by: Annotated[str | None, typer.Option("--raise_by", help="Percent by which targets are raised.")] = None,
    holding_groups: Annotated[
        str | None, typer.Option("--holding_groups", help="Groups checked for whole holdings, with commas.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="INI or JSON file with any of these options.")] = None,
) -> None:
    """Draw the sample from a ranked parcel list; files go to output/ in the workspace."""
    from cbm_lake.qa.options import request
    from cbm_lake.qa.sample import sample

    asked = request(
        config,
        parcel_file=parcel_file,
        target_file=target_file,
        covered_priority=covered_priority,
        noncontributing_filtering=noncontributing_filtering,
        extraction_id=extraction_id,
        target_rule=target_rule,
        raise_by=raise_by,
        holding_groups=holding_groups,
        **{"3_percent": three_percent},
    )
    if asked.parcel_file is None:
        raise InvalidInputError("no parcel list; give --parcel_file, or parcel_file in the file of --config")
    result = sample(asked.parcel_file, asked.target_file, **asked.model_dump(exclude={"parcel_file", "target_file"}))
    show(result.buckets, Format.table, f"sample {result.extraction_id}")
    for path in result.files.values():
        out.print(path, soft_wrap=True, markup=False, highlight=False)


@app.command("inspect")
def qa_inspect(
    sample_id: SampleId,
    pid: Annotated[str, typer.Argument(help="Identifier of the parcel.")],
    verdict: Annotated[str, typer.Argument(help="conforming, nonconforming or inconclusive.")],
    note: Annotated[str, typer.Option("--note", help="Whatever is worth knowing.")] = "",
    who: Annotated[str | None, typer.Option("--who", help="The inspector, else the user.")] = None,
    holding: Annotated[str | None, typer.Option("--holding", help="Where several holdings share the pid.")] = None,
    bucket: Annotated[str | None, typer.Option("--bucket", help="The only group that the verdict is about.")] = None,
) -> None:
    """Record what was found at one parcel of a sample."""
    from cbm_lake.qa.inspection import inspect

    inspect(sample_id, pid, verdict, note, who=who, holding=holding, bucket=bucket)
    out.print(f"{pid} of sample {sample_id}: {verdict}", markup=False, soft_wrap=True)


@app.command("verdicts")
def qa_verdicts(
    sample_id: SampleId,
    export: Annotated[
        Path | None, typer.Option("--export", help="Write them to a .csv, .parquet, .arrow or .xlsx.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Show or export the rows of a sample with the latest verdict on each."""
    from cbm_lake.qa.inspection import export_verdicts, verdicts

    if export is None:
        show(verdicts(sample_id), output, f"sample {sample_id}")
    else:
        out.print(f"{export_verdicts(sample_id, export):,} rows written to {export}", markup=False, soft_wrap=True)


@app.command("counts")
def qa_counts(
    sample_id: SampleId,
    limiting_quality: Annotated[
        float | None, typer.Option("--limiting-quality", help="Percent: adds acceptance numbers and results.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Show how far the inspection of each group is."""
    from cbm_lake.qa.inspection import inspection_counts

    show(inspection_counts(sample_id, limiting_quality=limiting_quality), output, f"sample {sample_id}")


@app.command("workflow")
def qa_workflow(
    aoi: NewAoi,
    year: NewYear,
    ptype: Ptype = None,
    parcels: Annotated[str | None, typer.Option("--parcels", help="File of the declared parcels.")] = None,
    pid: Annotated[str | None, typer.Option("--pid", help="Its column of the identifier.")] = None,
    scenes: Annotated[str | None, typer.Option("--scenes", help="SAFE folder, STAC file, Parquet, or API.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="First day, 2024-03-01.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Last day, included.")] = None,
    bands: Annotated[str | None, typer.Option("--bands", help="B02,B03,… without it the usual ones.")] = None,
    sample: Annotated[str | None, typer.Option("--sample", help="Get and view the parcels of this sample.")] = None,
    pids: Annotated[str | None, typer.Option("--pids", help="Instead of a sample: parcels, with commas.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes for the extraction.")] = None,
) -> None:
    """Go from parcels and scenes to pictures of a sample, as far as possible; what was given before is kept."""
    from cbm_lake.qa.guide import workflow

    options: dict[str, Any] = {
        "parcels": parcels,
        "pid": pid,
        "scenes": scenes,
        "start": start,
        "end": end,
        "sample": sample,
    }
    lists = {"bands": bands, "pids": pids}
    options |= {name: tuple(filter(None, value.split(","))) for name, value in lists.items() if value is not None}
    with err.status("working") as status:
        steps = workflow(
            aoi,
            year,
            ptype,
            workers=workers,
            progress=lambda step, done, total: status.update(f"{step}: {done} of {total or '?'}"),
            **options,
        )
    for step in steps:
        out.print(str(step), markup=False, soft_wrap=True)
    if steps[-1].status != "done":
        raise typer.Exit(1)


@app.command("validate")
def qa_validate(
    input_file: Annotated[Path, typer.Option("--input-file", help="CSV, Parquet, shapefile, GeoPackage, or a zip.")],
    table_type: Annotated[str, typer.Option("--table-type", help="gsa, lpis, gsa_lpis, inter or ua.")],
    interventions_file: Annotated[
        Path | None, typer.Option("--interventions-file", help="For ua: the interventions that it refers to.")
    ] = None,
    gsa_population_file: Annotated[
        Path | None, typer.Option("--gsa-population-file", help="For ua: the parcels that it refers to.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write the findings to .html, .json, …")] = None,
    output: Shown = Format.table,
) -> None:
    """Check a table by the rules; exit status 0: nothing to mend, 1: findings, 2: it cannot be checked."""
    from cbm_lake.qa.validation import validate

    try:
        with bar("validating") as progress:
            validation = validate(input_file, table_type, interventions_file, gsa_population_file, progress)
        if report is not None:
            validation.write(report)
    except LakeError as error:
        err.print(f"error: {error.plain}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    if output is Format.table:
        for step in validation.steps:
            out.print(str(step), markup=False, soft_wrap=True)
        show(validation.findings.select(["severity", "table", "column", "count", "message"]), output, "findings")
        out.print(validation.summary, markup=False, soft_wrap=True)
    else:
        show(validation.findings, output)
    if not validation.clean:
        raise typer.Exit(1)
