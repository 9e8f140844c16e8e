"""cbm-lake crops: does the declared crop grow on each parcel, how sure is that, and how good is the check?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cbm_lake.cli.markers import Parameters
from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, bar, out, params, picture_file, say, show, table_file
from cbm_lake.errors import counted

if TYPE_CHECKING:
    import pyarrow as pa

app = typer.Typer(no_args_is_help=True, help="Whether the declared crop grows on each parcel, with a promised error.")

Alpha = Annotated[str, typer.Option("--alpha", help="The promised error: at most so many accusations are wrong, 5%.")]
Until = Annotated[
    str | None, typer.Option("--until", help="Nothing later than this day is used, 2024-06-15; else all that was seen.")
]
By = Annotated[
    str | None, typer.Option("--by", help="Column of the declared crop: hcat, crop_code or crop_name; else the first.")
]
Groups = Annotated[
    Path | None, typer.Option("--groups", help="YAML of crop: group; without it crops that look alike are one group.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of all random choices.")]
Setting = Annotated[
    list[str] | None, typer.Option("--setting", help="name=value of a further setting, see docs/crops.md; repeatable.")
]
Verdict = Annotated[str | None, typer.Option("--verdict", help="Only these: disagrees, agrees or 'cannot say'.")]
Group = Annotated[str | None, typer.Option("--group", help="Only declarations of this group of crops.")]
To = Annotated[
    Path | None,
    typer.Option("--to", callback=table_file, help="Write the ranked list there: .gpkg, .parquet, .csv, .xlsx, …"),
]
Top = Annotated[int, typer.Option("--top", min=0, help="So many of the least likely declarations are shown.")]
Picture = Annotated[
    Path | None,
    typer.Option("--picture", callback=picture_file, help="Draw how good the check is, and a map; .png, .pdf, …"),
]
_BRIEF = ("rank", "pid", "verdict", "crop_group", "likely", "since", "reason")
_LISTED = ("rank", "pid", "crop_name", "crop_code", "verdict", "likely", "since", "reason")


@app.callback()
def crops() -> None:
    """Whether the declared crop grows on each parcel, with a promised error."""


@app.command("check")
def check(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    *,
    alpha: Alpha = "5%",
    until: Until = None,
    by: By = None,
    groups: Groups = None,
    seed: Seed = 0,
    since: Annotated[
        bool | None, typer.Option(help="Work out from when on each verdict was the same; else up to 20,000 parcels.")
    ] = None,
    setting: Setting = None,
    parameters: Parameters = None,
    top: Top = 10,
    to: To = None,
    picture: Picture = None,
    output: Shown = Format.table,
) -> None:
    """Judge every declared crop by models that did not see the parcel, and write the verdicts into the lake."""
    from cbm_lake.crops.checking import check as verb

    with bar("checking crops") as progress:
        rows = verb(
            aoi,
            year,
            ptype,
            alpha=alpha,
            day=until,
            by=by,
            groups=groups,
            seed=seed,
            since=since,
            settings=params(setting, "--setting"),
            parameters=parameters,
            progress=progress,
        )
    if output is Format.table:
        show(_brief(rows.slice(0, top), _BRIEF), output, f"the least likely declarations of {aoi} {year}")
        _say_figures(aoi, year, ptype)
    else:
        show(rows, output)
    if to is not None:
        _export(to, aoi, year, ptype, None, None)
    if picture is not None:
        _draw(picture, aoi, year, ptype)


@app.command("list")
def listed(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    verdict: Verdict = None,
    group: Group = None,
    top: Top = 200,
    to: To = None,
    output: Shown = Format.table,
) -> None:
    """Show the verdicts of the last check, the least likely declaration first."""
    from cbm_lake.crops.listing import ranked

    rows = ranked(aoi, year, ptype, verdict=verdict, crop_group=group)
    if output is Format.table:
        show(_brief(rows.slice(0, top), _LISTED), output, f"declarations of {aoi} {year}, the least likely first")
    else:
        show(rows.drop_columns(["geometry"]), output)
    if to is not None:
        _export(to, aoi, year, ptype, verdict, group)


@app.command("runs")
def runs(aoi: Aoi, year: Year, ptype: Ptype = None, output: Shown = Format.table) -> None:
    """Show the checks of a parcel set: what each promised, of which day, and how many of its verdicts are in force."""
    from cbm_lake.crops.listing import runs as verb

    rows = verb(aoi, year, ptype)
    show(rows.select(["run", "day", "alpha", "verdicts", "checked"]) if output is Format.table else rows, output)


@app.command("days")
def days(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    *,
    alpha: Alpha = "5%",
    until: Until = None,
    by: By = None,
    groups: Groups = None,
    seed: Seed = 0,
    setting: Setting = None,
    parameters: Parameters = None,
    output: Shown = Format.table,
) -> None:
    """Show how good a check by each day of the season would have been; nothing is written."""
    from cbm_lake.crops.checking import by_day

    with bar("judging by day") as progress:
        rows = by_day(
            aoi,
            year,
            ptype,
            alpha=alpha,
            until=until,
            by=by,
            groups=groups,
            seed=seed,
            settings=params(setting, "--setting"),
            parameters=parameters,
            progress=progress,
        )
    show(
        rows,
        output,
        f"crop checks of {aoi} {year} by day",
        digits=dict.fromkeys(("accuracy", "accuracy_of_groups", "undecided"), 3),
    )


@app.command("verify")
def verify(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    run: Annotated[str | None, typer.Option("--run", help="Which check; else the one in force.")] = None,
    since: Annotated[
        bool, typer.Option("--since", help="Also from when on verdicts were the same: takes longer.")
    ] = False,
) -> None:
    """Repeat a check by the lake as it was then, and compare the verdicts; exit 1 where something differs."""
    from cbm_lake.crops.listing import last_run
    from cbm_lake.crops.verification import recompute
    from cbm_lake.lake import open_lake

    lake = open_lake()
    which = run or str(last_run(lake, lake.parcel_set(aoi, year, ptype))["run"])
    differences = recompute(lake, aoi, year, ptype, which, since=since)
    say(f"check {which}: {'; '.join(differences) or 'the same verdicts'}")
    if differences:
        raise typer.Exit(1)


@app.command("show")
def draw(
    aoi: Aoi,
    year: Year,
    file: Annotated[Path, typer.Argument(help="Picture to write: .png, .svg or .pdf.")],
    ptype: Ptype = None,
) -> None:
    """Draw how good the last check is, and its ranked list as a map."""
    _draw(file, aoi, year, ptype)


@app.command("signals")
def separating(
    truth: Annotated[str, typer.Argument(help="CSV or Parquet: pid and date of what was done, or pid and label.")],
    *,
    aoi: Annotated[str | None, typer.Option("--aoi", help="Area in the lake.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Year of the parcels.")] = None,
    ptype: Ptype = None,
    series: Annotated[
        str | None, typer.Option("--series", help="File or folder of pid, date, signal, statistics; else the lake.")
    ] = None,
    event: Annotated[str | None, typer.Option("--event", help="Type of event, where truth has several.")] = None,
    statistics: Annotated[str | None, typer.Option("--statistics", help="Only these: mean,std.")] = None,
    against: Annotated[
        str, typer.Option("--against", help="parcels: others on the same day; dates: other days of the parcel.")
    ] = "parcels",
    weeks: Annotated[int, typer.Option("--weeks", min=3, help="So many before and after an event.")] = 7,
    permutations: Annotated[int, typer.Option("--permutations", min=99, help="How many are drawn.")] = 9999,
    fdr: Annotated[str, typer.Option("--fdr", help="bh, or by: under any dependence.")] = "bh",
    seed: Seed = 0,
    top: Annotated[int, typer.Option("--top", min=1, help="So many of the best are shown.")] = 20,
    to: Annotated[
        Path | None, typer.Option("--to", callback=table_file, help="Write all combinations there: .csv, .xlsx, …")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", callback=picture_file, help="Draw a heat map: .png, .svg or .pdf.")
    ] = None,
    output: Shown = Format.table,
) -> None:
    """Rank bands, indices, statistics and weeks by how well they tell what was done from what was not."""
    import json

    from cbm_lake import crops

    options: dict[str, Any] = {"statistics": statistics, "against": against, "weeks": weeks, "fdr": fdr, "seed": seed}
    rows = crops.signals(
        truth, aoi, year, ptype, series=series, event=event, permutations=permutations, figure=figure, **options
    )
    show(rows.slice(0, top), output)
    say(json.loads(rows.schema.metadata[b"notes"])[0])
    if to is not None:
        _write(rows, to)


def _write(rows: pa.Table, to: Path) -> None:
    """Write rows to a file, in the format that its name says."""
    import duckdb

    from cbm_lake.lake import export

    count = export.write(duckdb.from_arrow(rows.replace_schema_metadata()), to)
    say(f"{counted(count, 'combination')} written to {to}")


def _brief(rows: pa.Table, names: tuple[str, ...]) -> pa.Table:
    """Some columns, lists as texts."""
    import pyarrow as pa

    rows = rows.select(names)
    texts = [each if isinstance(each, str) else ", ".join(each or ()) for each in rows["likely"].to_pylist()]
    return rows.set_column(rows.column_names.index("likely"), "likely", pa.array(texts, pa.string()))


def _say_figures(aoi: str, year: int, ptype: str | None) -> None:
    """What the promise cost, and how good the check is."""
    from cbm_lake.crops.listing import in_words, last_run
    from cbm_lake.lake import open_lake

    lake = open_lake()
    for line in in_words(last_run(lake, lake.parcel_set(aoi, year, ptype))):
        say(line)


def _export(to: Path, aoi: str, year: int, ptype: str | None, verdict: str | None, group: str | None) -> None:
    from cbm_lake.lake import open_lake

    lake = open_lake()
    parcels = lake.parcel_set(aoi, year, ptype)
    narrowed: dict[str, Any] = {"verdict": verdict, "crop_group": group}
    count = lake.export("crops.ranked", to, aoi=parcels.aoi, year=parcels.year, ptype=parcels.ptype, **narrowed)
    say(f"{counted(count, 'verdict')} written to {to}")


def _draw(file: Path, aoi: str, year: int, ptype: str | None) -> None:
    from cbm_lake.crops import picture

    picture.show(aoi, year, ptype, file=file)
    out.print(str(file), highlight=False, soft_wrap=True, markup=False)
