"""cbm-lake cases: what is decided of a light, and from the light that opens a case to its end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from cbm_lake.cli.shared import Aoi, Format, Ptype, Shown, Year, bar, out, say, show
from cbm_lake.errors import InvalidInputError, counted

app = typer.Typer(
    no_args_is_help=True, help="Cases: judge lights, open cases for them, notify, record answers and photos, close."
)

Cases = Annotated[list[str], typer.Argument(metavar="CASE...", help="Identifiers, or the beginnings of them.")]
Case = Annotated[str, typer.Argument(metavar="CASE", help="Identifier, or the beginning of one.")]
Note = Annotated[str, typer.Option("--note", help="Free text; it is kept.")]
Who = Annotated[str | None, typer.Option("--who", help="Who decides, else the user.")]
Scenarios = Annotated[list[str] | None, typer.Option("--scenario", help="Only of this one; may stand several times.")]
Pids = Annotated[list[str] | None, typer.Option("--pid", help="Only this parcel; may stand several times.")]
Until = Annotated[str | None, typer.Option("--answer-by", help="Day until which an answer is expected, 2027-09-01.")]
Parameters = Annotated[
    Path | None, typer.Option("--parameters", help="YAML with parameters that replace defaults; they are recorded.")
]
Pid = Annotated[str, typer.Argument(metavar="PARCEL", help="Identifier of the parcel.")]
Scenario = Annotated[str | None, typer.Option("--scenario", help="Of its light; else of the declaration as a whole.")]
Decisions = Annotated[
    list[str] | None,
    typer.Option("--judged", help="Only judged so: confirmed, refused, photo or undecidable; may stand several times."),
]
Expected = Annotated[
    int | None,
    typer.Option("--expected", help="Number of the judgement seen, 0 for none; refused if it is another."),
]
_COLUMNS = ("case_id", "aoi", "year", "pid", "scenario", "colour", "status", "who", "decided", "photos")
_OF_JUDGEMENTS = ("aoi", "year", "ptype", "pid", "scenario", "number", "decision", "colour", "who", "decided", "note")


@app.command("open")
def cases_open(
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    scenarios: Scenarios = None,
    colours: Annotated[
        list[str] | None, typer.Option("--colour", help="Of the lights; else red, with --judged every colour.")
    ] = None,
    pids: Pids = None,
    decisions: Decisions = None,
    day: Annotated[str | None, typer.Option("--day", help="As judged at its end; else the last one seen.")] = None,
    parameters: Parameters = None,
    note: Note = "",
    who: Who = None,
    output: Shown = Format.table,
) -> None:
    """Open a case for each parcel and scenario whose light is red, or which was judged so, and that has none yet."""
    from cbm_lake import cases

    opened = cases.open_cases(
        aoi,
        year,
        ptype,
        scenarios=scenarios,
        colours=colours or None,
        pids=pids,
        decisions=decisions or None,
        day=day,
        parameters=parameters,
        note=note,
        who=who,
    )
    show(_columns(opened, output), output, f"{counted(opened.num_rows, 'case was', 'cases were')} opened")


@app.command("list")
def cases_list(
    aoi: Annotated[str | None, typer.Option("--aoi", help="Only of this area.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Only of this year.")] = None,
    ptype: Ptype = None,
    statuses: Annotated[
        list[str] | None, typer.Option("--status", help="open, notified, answered or closed; may stand several times.")
    ] = None,
    scenarios: Scenarios = None,
    pids: Pids = None,
    output: Shown = Format.table,
) -> None:
    """List the cases as they stand."""
    from cbm_lake import cases

    rows = cases.listed(aoi, year, ptype, statuses=statuses, scenarios=scenarios, pids=pids)
    show(_columns(rows, output), output, counted(rows.num_rows, "case"))


@app.command("history")
def cases_history(case: Case, output: Shown = Format.table) -> None:
    """List all decisions on a case, and its photos with what speaks against them."""
    from cbm_lake import cases

    rows = cases.history(case)
    if output is not Format.table:
        show(rows.drop_columns(["geometry"]), output)
        return
    show(
        rows.select(["number", "status", "answer_by", "who", "decided", "as_of", "note", "outcome", "judgement"]),
        output,
        f"case {case}",
    )
    for photo in (photo for photos in rows["photos"].to_pylist() for photo in photos or ()):
        against = "; ".join(photo["contradictions"]) or "nothing speaks against it"
        out.print(f"photo {photo['name']}: {against}", markup=False, highlight=False, soft_wrap=True)


@app.command("judge")
def cases_judge(
    pid: Pid,
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="confirmed, refused, photo or undecidable.")],
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    scenario: Scenario = None,
    note: Note = "",
    parameters: Parameters = None,
    expected: Expected = None,
    who: Who = None,
) -> None:
    """Record what is decided of a parcel's light: confirmed, refused, photo (one is asked for) or undecidable."""
    from cbm_lake import cases

    judged = cases.judge(
        aoi,
        year,
        pid,
        decision,
        note,
        ptype=ptype,
        scenario=scenario,
        parameters=parameters,
        expected=expected,
        who=who,
    )
    (row,) = judged.to_pylist()
    light = f"{row['colour']}: {row['reason']}" if row["colour"] else "it has no light"
    former = f"; before it was {row['former_decision']}, by {row['former_who']}" if row["former_decision"] else ""
    say(f"parcel {row['pid']}, {row['scenario'] or 'as a whole'} ({light}): {row['decision']}, by {row['who']}{former}")


@app.command("withdraw")
def cases_withdraw(
    pid: Pid,
    aoi: Aoi,
    year: Year,
    ptype: Ptype = None,
    scenario: Scenario = None,
    note: Note = "",
    whose: Annotated[str | None, typer.Option("--whose", help="Judgement it is, else one's own.")] = None,
    expected: Expected = None,
    who: Who = None,
) -> None:
    """Withdraw the judgement that stands; the one before stands again, and both stay in the history."""
    from cbm_lake import cases

    standing = cases.withdraw(
        aoi, year, pid, note, ptype=ptype, scenario=scenario, whose=whose, expected=expected, who=who
    )
    again = (f"{row['decision']}, by {row['who']}, stands again" for row in standing.to_pylist())
    stands = next(again, "no judgement stands")
    say(f"parcel {pid}: withdrawn; {stands}")


@app.command("judgements")
def cases_judgements(
    aoi: Annotated[str | None, typer.Option("--aoi", help="Only of this area.")] = None,
    year: Annotated[int | None, typer.Option("--year", help="Only of this year.")] = None,
    ptype: Ptype = None,
    decisions: Decisions = None,
    scenarios: Scenarios = None,
    pids: Pids = None,
    people: Annotated[list[str] | None, typer.Option("--by", help="Only by them; may stand several times.")] = None,
    history: Annotated[bool, typer.Option("--history", help="All that was ever decided, withdrawals too.")] = False,
    output: Shown = Format.table,
) -> None:
    """List what was decided of lights, as it stands."""
    from cbm_lake import cases

    rows = cases.judgements(
        aoi,
        year,
        ptype,
        decisions=decisions or None,
        scenarios=scenarios or None,
        pids=pids or None,
        people=people or None,
        history=history,
    )
    if output is not Format.table:
        show(rows.drop_columns(["geometry"]), output)
        return
    further = "stands" if history else "outdated"
    show(rows.select([*_OF_JUDGEMENTS, further]), output, counted(rows.num_rows, "judgement"))


@app.command("notify")
def cases_notify(
    cases: Cases,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Notices: .csv, .gpkg, .xlsx, .parquet, .geojson, or a folder for PDF reports."),
    ] = None,
    answer_by: Until = None,
    note: Note = "",
    who: Who = None,
    record: Annotated[
        bool, typer.Option("--record/--no-record", help="Record that they were notified; else files only.")
    ] = True,
) -> None:
    """Write the notices of cases and record that they were notified."""
    from cbm_lake import cases as verbs

    if to is None and not record:
        raise InvalidInputError("without --record there is nothing to do but write files: say where, by --to")
    if to is None:
        notified = verbs.notify(cases, answer_by=answer_by, note=note, who=who)
        out.print(f"{counted(notified.num_rows, 'case is', 'cases are')} notified")
        return
    with bar("notices") as progress:
        files = verbs.notices(cases, to, answer_by=answer_by, note=note, who=who, record_it=record, progress=progress)
    for file in files:
        out.print(str(file), markup=False, soft_wrap=True)


@app.command("reschedule")
def cases_reschedule(
    cases: Cases,
    answer_by: Annotated[str, typer.Option("--answer-by", help="The new day, 2027-10-01; past ones are refused.")],
    note: Annotated[str, typer.Option("--note", help="Why; it is kept.")],
    who: Who = None,
) -> None:
    """Give notified cases another day until which an answer is expected."""
    from cbm_lake import cases as verbs

    rescheduled = verbs.reschedule(cases, answer_by, note, who=who)
    days = sorted({f"{day}" for day in rescheduled["answer_by"].to_pylist()})
    out.print(f"{counted(rescheduled.num_rows, 'case is', 'cases are')} to be answered by {' and '.join(days)}")


@app.command("answer")
def cases_answer(
    case: Case,
    note: Note = "",
    photos: Annotated[
        list[Path] | None, typer.Option("--photo", help="A geotagged photo; may stand several times.")
    ] = None,
    who: Who = None,
) -> None:
    """Record the answer to a notice, with photos."""
    from cbm_lake import cases

    cases.answer(case, note, files=[str(path) for path in photos or ()], who=who)
    cases_history(case)


@app.command("close")
def cases_close(
    cases: Cases,
    outcome: Annotated[str, typer.Option("--outcome", help="conforming, nonconforming or inconclusive.")],
    note: Note = "",
    who: Who = None,
) -> None:
    """Close cases with an outcome."""
    from cbm_lake import cases as verbs

    out.print(f"{counted(verbs.close(cases, outcome, note, who=who).num_rows, 'case is', 'cases are')} closed")


@app.command("reopen")
def cases_reopen(cases: Cases, note: Note, who: Who = None) -> None:
    """Open closed cases again; say why by --note."""
    from cbm_lake import cases as verbs

    out.print(f"{counted(verbs.reopen(cases, note, who=who).num_rows, 'case is', 'cases are')} open again")


@app.command("photo")
def cases_photo(
    case: Case,
    name: Annotated[str, typer.Argument(help="Of the photo, as `history` says.")],
    folder: Annotated[Path, typer.Option("--to", help="Folder that it is written to.")] = Path(),
) -> None:
    """Write a photo of a case to a file."""
    from cbm_lake import cases

    out.print(str(cases.save_photo(case, name, folder)), markup=False, soft_wrap=True)


@app.command("verify")
def cases_verify(cases: Cases) -> None:
    """Judge the lights of cases again as of then, and compare their photos; exit 0 equal, 1 different."""
    from cbm_lake import cases as verbs

    different = False
    for case in cases:
        replay = verbs.verify(case)
        different |= not replay.equal
        result = "; ".join(replay.differences) or "all is as it was recorded"
        out.print(f"case {replay.case_id}: {result}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(1 if different else 0)


def _columns(rows: pa.Table, output: Format) -> pa.Table:
    """The columns for a terminal; all but geometries for programs."""
    return rows.select(_COLUMNS) if output is Format.table else rows.drop_columns(["geometry"])
