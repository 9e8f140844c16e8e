"""Tables for a terminal of 80 or 120 columns: nothing wider, nothing lost, and the words that a person reads."""

import io
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest
from rich.console import Console

from cbm_lake.cli import changes, guard, run, shared
from cbm_lake.cli.shared import Format

SCENE = "S2A_MSIL2A_20240615T104021_N0510_R008_T31TEJ_20240615T151510"
CHANGE = {"aoi": "ms", "year": 2024, "ptype": "", "day": date(2024, 6, 15)}
CHANGES = [
    {
        **CHANGE,
        "kind": "light",
        "pid": "BEVL-2024-000123456789",
        "scenario": "soil is covered in the sensitive time",
        "before": "not yet due",
        "after": "cannot be seen",
        "cause": f"declared.until is 2024-06-01, was empty; new scene s2 {SCENE}; due on 2024-06-15",
    },
    {
        **CHANGE,
        "kind": "marker",
        "pid": "7",
        "marker": "mowing",
        "number": 12,
        "before": None,
        "after": "s2 2024-05-01 to 2024-05-06 about 2024-05-03",
        "cause": f"new scene s2 {SCENE}",
    },
    {
        **CHANGE,
        "kind": "scene",
        "card": "s2",
        "scene": SCENE,
        "before": None,
        "after": "extracted",
        "cause": "extracted",
    },
]
SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("kind", "pid", "scenario", "marker", "card", "scene", "before", "after", "cause")]
    + [("number", pa.int32()), ("aoi", pa.string()), ("year", pa.int32()), ("ptype", pa.string()), ("day", pa.date32())]
)


def printed(monkeypatch, width, table, title=None, **options):
    """The lines of a table on a terminal."""
    screen = io.StringIO()
    monkeypatch.setattr(shared, "out", Console(file=screen, width=width, force_terminal=True, color_system=None))
    shared.show(table, Format.table, title, **options)
    return screen.getvalue().splitlines()


def joined(lines):
    """What the columns of a folded table say, without the frame and the folds."""
    rows = [line.strip("│┃").replace("┃", "│").split("│") for line in lines if line.startswith(("│", "┃"))]
    return "".join("".join(cell.strip() for cell in column) for column in zip(*rows, strict=True)).replace(" ", "")


@pytest.mark.parametrize("width", [80, 120])
def test_changes_fit_the_terminal_and_lose_nothing(monkeypatch, width):
    rows = pa.Table.from_pylist(CHANGES, schema=SCHEMA)
    lines = printed(monkeypatch, width, changes._brief(rows), changes._title(rows), folded=True)
    assert max(map(len, lines)) <= width
    assert lines[0].strip() == "changes of ms 2024"
    text = joined(lines)
    for word in (SCENE, "mowing12", "BEVL-2024-000123456789", "notyetdue", "dueon2024-06-15", "cannotbeseen"):
        assert word in text


def test_changes_of_several_sets_say_of_which_each_is():
    rows = pa.Table.from_pylist([CHANGES[0], {**CHANGES[1], "aoi": "be", "ptype": "m"}], schema=SCHEMA)
    assert changes._brief(rows)["parcels"].to_pylist() == ["ms 2024", "be 2024 m"]
    assert changes._title(rows) == "changes of be 2024 m, ms 2024"


STEP = {"aoi": "ms", "year": 2024, "ptype": "", "what": "s2", "who": "x", "run": "R", "rows": 0, "scenes": 0}
STEPS = [
    {**STEP, "step": "run", "status": "begun", "seconds": None, "problem": None},
    {**STEP, "step": "extract", "status": "done", "seconds": 83.123456, "problem": None, "rows": 1234, "scenes": 3},
    {**STEP, "step": "catalogue", "status": "failed", "seconds": 0.123456, "problem": f"{SCENE} cannot be read"},
    {**STEP, "step": "lights", "status": "unchanged", "seconds": 7_501.0, "problem": None},
]


@pytest.mark.parametrize("width", [80, 120])
def test_runs_are_told_in_plain_words_and_fit_the_terminal(monkeypatch, width):
    rows = run._in_words(pa.Table.from_pylist([{**one, "started": datetime(2024, 6, 15, tzinfo=UTC)} for one in STEPS]))
    assert rows["took"].to_pylist() == ["1 min 23 s", "0.1 s", "2 h 05 min", None]
    assert rows["result"].to_pylist() == ["done", "failed", "nothing to do", "still running, or killed"]
    assert rows["step"].to_pylist()[0] == "extract ms 2024 s2"
    lines = printed(monkeypatch, width, rows.drop_columns(["note"]), folded=True)
    assert max(map(len, lines)) <= width


def _journal(monkeypatch, width, note, run_name=None, *, terminal=True):
    """The lines that `runs` prints of a run with a failed step."""
    steps = [dict(one) for one in STEPS]
    steps[2]["problem"] = note
    rows = pa.Table.from_pylist([{**one, "started": datetime(2024, 6, 15, tzinfo=UTC)} for one in steps])
    monkeypatch.setattr("cbm_lake.season.steps", lambda _run: rows)
    screen = io.StringIO()
    size = {"width": width} if width else {}
    monkeypatch.setattr(shared, "out", Console(file=screen, force_terminal=terminal, color_system=None, **size))
    run.runs(run_name, Format.table)
    return screen.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_notes_of_a_run_are_below_its_table_folded_between_words(monkeypatch, width):
    lines = _journal(monkeypatch, width, f"3 scenes failed: {SCENE} cannot be read, and {SCENE} not either")
    assert max(map(len, lines)) <= width
    assert sum(SCENE in line for line in lines) == 2


@pytest.mark.parametrize("columns", [None, "80"])
def test_a_long_note_makes_no_table_wide_that_goes_to_a_file(monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    note = "a word " * 100 + "end"
    lines = _journal(monkeypatch, int(columns or 0), note, "R", terminal=False)
    assert all(len(line) <= 80 for line in lines if line.startswith(("│", "┃")))
    assert max(map(len, lines)) <= 80 if columns else lines[-1].endswith("end")
    assert " ".join(lines).replace("  ", " ").count("a word") == 100


def test_an_overview_cuts_long_notes_and_says_what_shows_all(monkeypatch):
    note = f"{'word ' * 60}end"
    text = " ".join(_journal(monkeypatch, 120, note))
    assert "word …; `cbm-lake runs R` says all" in text.replace("  ", " ")
    assert "end" not in text.partition("catalogue ms 2024 s2: ")[2]
    assert "end" in " ".join(_journal(monkeypatch, 120, note, "R"))


def test_a_first_night_is_counted_by_kind_and_colour():
    cause = "first night that is recorded"
    light = {**CHANGES[0], "before": None, "cause": cause}
    many = [{**light, "pid": str(n), "after": "green" if n % 3 else "yellow"} for n in range(30)]
    rows = pa.Table.from_pylist([*many, {**CHANGES[1], "cause": cause}, CHANGES[2]], schema=SCHEMA)
    first, others = changes._apart(rows)
    assert others.to_pylist() == rows.slice(31).to_pylist()
    assert changes._counted(first).to_pylist() == [
        {"kind": "light", "now": "green", "changes": 20},
        {"kind": "light", "now": "yellow", "changes": 10},
        {"kind": "marker", "now": "mowing", "changes": 1},
    ]
    assert changes._apart(rows.slice(0, 20)) == ([], rows.slice(0, 20))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.6, "1 min 00 s"), (3600, "1 h 00 min")]
)
def test_durations_are_in_the_units_that_a_person_reads(seconds, text):
    assert run._duration(seconds) == text


def test_metres_of_shifts_have_two_decimals_in_tables_alone(monkeypatch):
    rows = pa.table({"scene": ["a", "b"], "east": [1.23456789, None], "error": [0.1, 0.25]})
    text = " ".join(printed(monkeypatch, 80, rows, digits=guard._METRES))
    assert "1.23 " in text
    assert "0.10" in text
    assert rows["east"].to_pylist() == [1.23456789, None]
