"""Judgements of lights: what stands after whatever several people decide and withdraw; nothing is ever lost."""

import json
import random
import shutil
import signal
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

import geopandas as gpd
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import copied, fill, outline, parcels, powerless
from typer.testing import CliRunner

from cbm_lake import cases, markers
from cbm_lake.cases import record
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake import Lake, open_lake, schemas, tables
from cbm_lake.lake.columns import describe
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.thorough


SETS = (("ms", 2024, ""), ("ms", 2024, "m"), ("ms", 2023, ""), ("be", 2024, ""))
PIDS = ("1", "2", "a/b")
MOWN, GROWN = "grassland is mown", "a crop grows"
LIGHTS = {("1", MOWN): "red", ("1", GROWN): "green", ("2", MOWN): "not yet due", ("2", GROWN): "yellow"}
"""As a night recorded them, in each set; parcel a/b has none."""
DAY, DUE = date(2024, 6, 1), date(2024, 7, 1)


def recorded(lake, key, lights):
    """Record lights of a set as a night does."""
    common = {**dict(zip(("aoi", "year", "ptype"), key, strict=True)), "kind": "light", "day": DAY, "due": DUE}
    common |= {"recorded": datetime(2024, 6, 2, tzinfo=UTC), "version": "x", "cause": "a scene"}
    rows = [
        {**common, "pid": pid, "scenario": scenario, "after": colour, "reason": f"{key[0]} {colour}"}
        for (pid, scenario), colour in lights.items()
    ]
    table = pa.Table.from_pylist(rows, schema=schemas.CHANGES)
    lake.record_changes(lake.parcel_set(*key), lambda: table)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Two areas, two years, two sets of one, each with the same identifiers and lights."""
    lake = Lake(str(tmp_path_factory.mktemp("prepared")))
    for aoi, year, ptype in SETS:
        lake.add_parcels(aoi, year, ptype, f"{aoi}{year}{ptype}", parcels(PIDS, [("wheat", "1")] * 3))
        recorded(lake, (aoi, year, ptype), LIGHTS)
    return lake


@pytest.fixture
def lake(prepared, workspace):
    """The workspace's lake, a copy of it."""
    return copied(prepared, open_lake())


def standing(**limits):
    rows = cases.judgements(**limits).to_pylist()
    return {(row["aoi"], row["year"], row["ptype"], row["pid"], row["scenario"]): row["decision"] for row in rows}


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_a_judgement_says_who_when_of_which_light_and_what_was_drawn(lake):
    drawn = {"aoi": "ms", "pid": "1", "day": date(2024, 5, 20), "layer": "true colour", "parts": ["map", "curve"]}
    (row,) = cases.judge("MS", 2024, "1", "refused", " grazed ", scenario=MOWN, shown=drawn, who="ann").to_pylist()
    assert {name: row[name] for name in ("aoi", "year", "ptype", "pid", "scenario", "number")} == {
        "aoi": "ms",
        "year": 2024,
        "ptype": "",
        "pid": "1",
        "scenario": MOWN,
        "number": 1,
    }
    assert (row["decision"], row["note"], row["who"]) == ("refused", "grazed", "ann")
    assert (row["colour"], row["reason"], row["due"], row["day"]) == ("red", "ms red", DUE, DAY)
    assert json.loads(row["shown"]) == {**drawn, "day": "2024-05-20"}
    assert (row["parcels"], row["outdated"], row["former_decision"]) == ("ms2024", None, None)
    assert (row["crop_name"], row["crop_code"], row["epsg"]) == ("wheat", "1", 32631)
    assert row["geometry"] == outline(0).wkb
    assert row["as_of"] == row["decided"] > datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("pid", "worst"),
    [("1", ("red", f"{MOWN}: be red")), ("2", ("yellow", f"{GROWN}: be yellow")), ("a/b", (None, None))],
)
def test_a_declaration_as_a_whole_has_its_worst_light_and_all_of_them(lake, pid, worst):
    (row,) = cases.judge("be", 2024, pid, "confirmed").to_pylist()
    assert (row["scenario"], row["colour"], row["reason"]) == ("", *worst)
    lights = {light["scenario"]: light["colour"] for light in json.loads(row["lights"] or "[]")}
    assert lights == {scenario: colour for (of, scenario), colour in LIGHTS.items() if of == pid}


def test_judgements_of_sets_years_areas_and_scenarios_are_apart(lake):
    wanted = {}
    for number, key in enumerate(
        (*of, pid, scenario) for of in SETS for pid in PIDS[:2] for scenario in (MOWN, GROWN, "")
    ):
        aoi, year, ptype, pid, scenario = key
        wanted[key] = cases.DECISIONS[number % 4]
        cases.judge(aoi, year, pid, wanted[key], ptype=ptype, scenario=scenario)
    assert standing() == wanted
    assert standing(aoi="ms", year=2024, ptype="") == {key: of for key, of in wanted.items() if key[:3] == SETS[0]}
    assert standing(aoi="MS") == {key: of for key, of in wanted.items() if key[0] == "ms"}
    assert standing(scenarios="", pids=["2"]) == {key: of for key, of in wanted.items() if key[3:] == ("2", "")}
    assert standing(decisions="photo") == {key: of for key, of in wanted.items() if of == "photo"}
    cases.withdraw("ms", 2024, "1", ptype="m", scenario=MOWN)
    del wanted["ms", 2024, "m", "1", MOWN]
    assert standing() == wanted


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"decision": "perhaps"},
            InvalidInputError,
            "'perhaps' is unknown; give confirmed, refused, photo",
        ),
        ({"decision": "withdrawn"}, InvalidInputError, "'withdrawn' is unknown"),
        ({"pid": "zzz"}, NotFoundError, "no parcel 'zzz' in ms 2024"),
        ({"aoi": "xx"}, NotFoundError, "no parcels of xx 2024"),
        ({"ptype": "q"}, NotFoundError, "no parcels of ms 2024 q"),
        ({"year": True}, InvalidInputError, "year"),
        ({"shown": {"pid": "2"}}, InvalidInputError, "what was drawn is of pid '2', the judgement of '1'"),
        ({"shown": {"year": 2023}}, InvalidInputError, "what was drawn is of year 2023"),
        ({"shown": {"scenario": GROWN}}, InvalidInputError, "what was drawn is of scenario"),
        ({"shown": {"x": float("nan")}}, InvalidInputError, "cannot be kept as JSON"),
        ({"shown": {"x": "y" * 100_001}}, InvalidInputError, "more than 100,000 characters"),
        ({"expected": 1}, InvalidInputError, "was withdrawn meanwhile"),
        ({"scenario": "no such thing"}, InvalidInputError, "there is no scenario 'no such thing'"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line_and_nothing_is_recorded(lake, change, error, words):
    asked = {"aoi": "ms", "year": 2024, "pid": "1", "decision": "confirmed", "scenario": MOWN, **change}
    with pytest.raises(error, match=words) as told:
        cases.judge(**asked)
    assert "\n" not in str(told.value)
    assert cases.judgements(history=True).num_rows == 0


def test_a_light_that_no_night_recorded_is_judged_then(workspace):
    rules = {"scenarios": {"is seen": {"due": "01-31", "rules": [{"colour": "red", "reason": "of wheat"}], "looks": 0}}}
    lake = fill(open_lake(), names=[f"S{number}" for number in range(9)], pids=PIDS)
    markers.find("ms", 2024, lake=lake)
    (row,) = cases.judge("ms", 2024, "2", "confirmed", scenario="is seen", parameters=rules).to_pylist()
    assert (row["colour"], row["reason"], row["day"]) == ("red", "of wheat", date(2024, 3, 21))
    assert json.loads(row["parameters"]) == rules
    with pytest.raises(InvalidInputError, match="is seen"):
        cases.judge("ms", 2024, "2", "confirmed", scenario="is seen")
    with pytest.raises(NotFoundError, match="has no light in the scenario 'grassland is mown'"):
        cases.judge("ms", 2024, "2", "confirmed", scenario=MOWN)


def test_a_lake_as_it_was_is_judged_as_it_was_and_recorded_today(lake):
    before = datetime.now(UTC)
    recorded(lake, SETS[0], {("1", MOWN): "green"})
    (row,) = cases.judge("ms", 2024, "1", "confirmed", scenario=MOWN, lake=open_lake(as_of=before)).to_pylist()
    assert (row["colour"], row["as_of"]) == ("red", before)
    (row,) = cases.judge("ms", 2024, "1", "confirmed", scenario=MOWN).to_pylist()
    assert (row["colour"], row["number"]) == ("green", 2)
    assert cases.judgements(lake=open_lake(as_of=before)).num_rows == 0


# -- what stands -------------------------------------------------------------------------------------------------------


def reference(steps):
    """What stands after steps, told slowly: a list of judgements from which one is taken away by who made it."""
    stack, refused = [], []
    for number, (who, what) in enumerate(steps):
        if what != "withdraw":
            stack.append((who, what))
        elif stack and stack[-1][0] == who:
            stack.pop()
        else:
            refused.append(number)
    return (stack[-1] if stack else None), refused


TABLE = [
    ([("ann", "confirmed")], ("ann", "confirmed"), []),
    ([("ann", "confirmed"), ("ann", "withdraw")], None, []),
    ([("ann", "confirmed"), ("bob", "withdraw")], ("ann", "confirmed"), [1]),
    ([("ann", "confirmed"), ("bob", "refused")], ("bob", "refused"), []),
    ([("ann", "confirmed"), ("bob", "refused"), ("bob", "withdraw")], ("ann", "confirmed"), []),
    ([("ann", "confirmed"), ("bob", "refused"), ("ann", "withdraw")], ("bob", "refused"), [2]),
    ([("ann", "confirmed"), ("ann", "photo"), ("ann", "withdraw"), ("ann", "withdraw")], None, []),
    ([("ann", "photo"), ("ann", "withdraw"), ("ann", "withdraw")], None, [2]),
    ([("ann", "photo"), ("ann", "withdraw"), ("bob", "undecidable")], ("bob", "undecidable"), []),
]
"""By pencil: steps, what stands, and which steps are refused."""
RANDOM = random.Random(4)  # noqa: S311 - of tests
STEPS = [
    [(RANDOM.choice(["ann", "bob"]), RANDOM.choice([*cases.DECISIONS, "withdraw", "withdraw"])) for _ in range(9)]
    for _ in range(3)
]


@pytest.mark.parametrize(("steps", "wanted", "refused"), [*TABLE, *((steps, *reference(steps)) for steps in STEPS)])
def test_the_last_judgement_that_nobody_withdrew_stands(lake, steps, wanted, refused):
    failed = []
    for number, (who, what) in enumerate(steps):
        try:
            if what == "withdraw":
                cases.withdraw("ms", 2024, "1", scenario=MOWN, who=who)
            else:
                cases.judge("ms", 2024, "1", what, scenario=MOWN, who=who)
        except InvalidInputError:
            failed.append(number)
    assert reference(steps) == (wanted, refused)
    rows = cases.judgements().to_pylist()
    assert (failed, next(((row["who"], row["decision"]) for row in rows), None)) == (refused, wanted)
    history = cases.judgements(history=True).to_pylist()
    assert [row["number"] for row in history] == list(range(1, len(steps) - len(refused) + 1))
    done = [(who, what) for number, (who, what) in enumerate(steps) if number not in refused]
    assert [(row["who"], row["decision"].removesuffix("n")) for row in history] == [
        (who, "withdraw" if what == "withdraw" else what) for who, what in done
    ]
    assert [row["stands"] for row in history].count(True) == (wanted is not None)


def test_who_decides_after_another_is_told_what_stood_and_another_s_is_withdrawn_by_name_only(lake):
    cases.judge("ms", 2024, "1", "confirmed", who="ann")
    (row,) = cases.judge("ms", 2024, "1", "refused", who="bob").to_pylist()
    assert (row["former_decision"], row["former_who"]) == ("confirmed", "ann")
    with pytest.raises(InvalidInputError, match=r"'refused' by bob on .* UTC stands on parcel 1 of ms 2024, .*ann's"):
        cases.withdraw("ms", 2024, "1", who="ann")
    with pytest.raises(InvalidInputError, match="not cleo's"):
        cases.withdraw("ms", 2024, "1", who="ann", whose="cleo")
    (row,) = cases.withdraw("ms", 2024, "1", "bob is ill", who="ann", whose="bob").to_pylist()
    assert (row["decision"], row["who"], row["number"]) == ("confirmed", "ann", 1)
    (*_, last) = cases.judgements(history=True).to_pylist()
    assert (last["decision"], last["who"], last["note"], last["withdraws"]) == ("withdrawn", "ann", "bob is ill", 2)


def test_who_says_which_judgement_was_seen_is_refused_where_it_is_another(lake):
    cases.judge("ms", 2024, "1", "confirmed", who="ann", expected=0)
    for verb in (
        lambda: cases.judge("ms", 2024, "1", "refused", who="bob", expected=0),
        lambda: cases.withdraw("ms", 2024, "1", who="ann", expected=2),
    ):
        with pytest.raises(InvalidInputError, match=r"'confirmed' by ann on .* stands on parcel 1 by now"):
            verb()
    assert cases.judge("ms", 2024, "1", "refused", who="bob", expected=1).num_rows == 1


# -- several at once ---------------------------------------------------------------------------------------------------

JUDGING = """
import sys
from cbm_lake import cases
for number in range(int(sys.argv[2])):
    row = cases.judge("ms", 2024, sys.argv[3], "photo", f"{sys.argv[1]} {number}", who=sys.argv[1])
    print(row["number"][0].as_py(), flush=True)
"""


@pytest.mark.slow
def test_of_several_people_at_once_none_is_lost_and_none_has_anothers_number(lake):
    people = [("ann", "1"), ("bob", "2"), ("cleo", "1")]
    running = [subprocess.Popen([sys.executable, "-c", JUDGING, who, "3", pid]) for who, pid in people]
    assert [process.wait() for process in running] == [0, 0, 0]
    for pid, count in (("1", 6), ("2", 3)):
        history = cases.judgements(history=True, pids=pid).to_pylist()
        assert [row["number"] for row in history] == list(range(1, count + 1))
        assert {row["note"] for row in history} == {f"{who} {n}" for who, of in people if of == pid for n in range(3)}
        assert [row["replaces"] for row in history] == [None, *range(1, count)]


def test_who_decides_between_a_look_and_a_commit_is_seen(lake, monkeypatch):
    ask, others = Lake.query, iter([lambda: cases.judge("ms", 2024, "1", "refused", who="bob")])

    def slowly(self, name, /, **params):
        rows = ask(self, name, **params)
        if name == "cases.judged":
            next(others, lambda: None)()
        return rows

    monkeypatch.setattr(Lake, "query", slowly)
    (row,) = cases.judge("ms", 2024, "1", "confirmed", who="ann").to_pylist()
    assert (row["number"], row["former_who"]) == (2, "bob")


def test_what_was_told_as_decided_is_there_after_a_kill(lake):
    command = [sys.executable, "-c", JUDGING, "ann", "100", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        told = [int(running.stdout.readline()) for _ in range(2)]
        running.send_signal(signal.SIGKILL)
        told += [int(line) for line in running.stdout.read().split()]
    numbers = cases.judgements(history=True)["number"].to_pylist()
    assert numbers == list(range(1, len(numbers) + 1))
    assert set(told) <= set(numbers)
    assert cases.judge("ms", 2024, "1", "confirmed")["number"].to_pylist() == [len(numbers) + 1]


# -- when parcels are declared anew, and other lakes -------------------------------------------------------------------


def test_a_judgement_says_what_of_its_declaration_is_another_one_by_now(lake):
    for pid in PIDS:
        cases.judge("ms", 2024, pid, "confirmed")
        cases.judge("ms", 2024, pid, "confirmed", ptype="m")
    cases.judge("be", 2024, "1", "confirmed")
    crops = [("maize", "2"), ("wheat", "1"), ("wheat", "1")]
    lake.add_parcels("ms", 2024, "", "v2", parcels(("1", "2", "new"), crops))
    moved = parcels(("2", "1", "a/b"), [("wheat", "1")] * 3)
    lake.add_parcels("ms", 2024, "m", "v2", moved)
    rows = cases.judgements(lake=Lake(lake.url)).to_pylist()
    assert {(row["aoi"], row["ptype"], row["pid"]): row["outdated"] for row in rows} == {
        ("ms", "", "1"): "crop",
        ("ms", "", "2"): "set",
        ("ms", "", "a/b"): "gone",
        ("ms", "m", "1"): "geometry",
        ("ms", "m", "2"): "geometry",
        ("ms", "m", "a/b"): "set",
        ("be", "", "1"): None,
    }
    assert cases.judge("ms", 2024, "1", "confirmed")["outdated"].to_pylist() == [None]
    assert cases.withdraw("ms", 2024, "a/b").num_rows == 0  # a parcel that is declared no more


def test_a_lake_without_the_table_has_no_judgements_until_the_first_one(lake):
    assert not (Path(lake.url) / "judgements").exists()
    assert cases.judgements().num_rows == cases.judgements(history=True).num_rows == 0
    with pytest.raises(InvalidInputError, match="parcel 1 of ms 2024 stands; there is nothing to withdraw"):
        cases.withdraw("ms", 2024, "1")
    assert (Path(lake.url) / "judgements").exists()  # empty
    assert cases.judge("ms", 2024, "1", "photo").num_rows == 1


@pytest.mark.slow
def test_a_lake_that_cannot_be_written_is_said_in_one_line(lake, workspace):
    folder = Path(lake.url)
    command = [*powerless(), sys.executable, "-m", "cbm_lake.cli", "cases", "judge", "1", "photo"]
    folder.chmod(0o555)
    try:
        ran = subprocess.run([*command, "--aoi", "ms", "--year", "2024"], capture_output=True, text=True, check=False)
    finally:
        folder.chmod(0o755)
    lines = [line for line in ran.stderr.splitlines() if "compiling" not in line]
    assert ran.returncode != 0
    assert "Traceback" not in ran.stderr
    assert any("written" in line or "denied" in line for line in lines), ran.stderr
    assert cases.judgements().num_rows == 0


# -- exports -----------------------------------------------------------------------------------------------------------


def test_judgements_are_exported_with_their_columns_described(lake, tmp_path):
    for pid in PIDS[:2]:
        cases.judge("ms", 2024, pid, "photo", '=1+1, "so"', scenario=MOWN, shown={"day": "2024-05-20"}, who="ann")
    for suffix in (".csv", ".xlsx", ".parquet", ".gpkg"):
        assert open_lake().export("judgements", tmp_path / f"a{suffix}") == 2
    frame = pd.read_csv(tmp_path / "a.csv", dtype={"pid": str})
    assert (frame["pid"].tolist(), set(frame["decision"])) == (["1", "2"], {"photo"})
    heading, *rows = openpyxl.load_workbook(tmp_path / "a.xlsx").active.values
    assert [row[heading.index("colour")] for row in rows] == ["red", "not yet due"]
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert [name for name in schema.names if not (schema.field(name).metadata or {}).get(b"description")] == []
    assert schema.field("colour").metadata[b"description"].startswith(b"colour of the light then")
    shapes = gpd.read_file(tmp_path / "a.gpkg")
    assert shapes.to_crs(32631).geometry[0].symmetric_difference(outline(0)).area < 0.1
    history = cases.judgements(history=True).column_names
    assert [name for name in history if describe(name, history) is None] == []


# -- cases for which a photo was asked ---------------------------------------------------------------------------------

RULES = {
    "scenarios": {
        "is seen": {"due": "01-31", "rules": [{"colour": "red", "reason": "of wheat"}], "looks": 0},
        "is yellow": {"due": "01-31", "rules": [{"colour": "yellow", "reason": "perhaps"}], "looks": 0},
    }
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    lake = fill(Lake(str(tmp_path_factory.mktemp("built"))), names=[f"S{number}" for number in range(9)], pids=PIDS)
    markers.find("ms", 2024, lake=lake)
    return Path(lake.url)


@pytest.fixture
def seen(built, workspace):
    shutil.copytree(built, workspace.lake_url, dirs_exist_ok=True)
    return open_lake()


def judged(pid, decision, scenario, **others):
    return cases.judge("ms", 2024, pid, decision, scenario=scenario, parameters=RULES, **others)


def test_cases_are_opened_for_what_a_photo_was_asked_of_and_say_by_which_judgement(seen):
    judged("1", "refused", "is yellow")
    judged("1", "photo", "is yellow", who="ann")
    judged("2", "photo", "is seen")
    judged("2", "confirmed", "is seen")
    judged("a/b", "photo", "is seen")
    judged("a/b", "photo", "")
    asked = {"parameters": RULES, "decisions": "photo"}
    assert cases.open_cases("ms", 2024, pids=["2"], **asked).num_rows == 0  # it was confirmed since
    rows = cases.open_cases("ms", 2024, **asked).to_pylist()
    opened = {(row["pid"], row["scenario"]): (row["colour"], row["reason"]) for row in rows}
    assert opened == {
        ("1", "is yellow"): ("yellow", "perhaps"),
        ("a/b", "is seen"): ("red", "of wheat"),
        ("a/b", ""): ("red", "is seen: of wheat"),
    }
    numbers = {(row["pid"], row["scenario"]): cases.history(row["case_id"])["judgement"].to_pylist() for row in rows}
    assert numbers == {("1", "is yellow"): [2], ("a/b", "is seen"): [1], ("a/b", ""): [1]}
    assert all(cases.verify(row["case_id"]).equal for row in rows)
    assert cases.open_cases("ms", 2024, **asked).num_rows == 0
    assert cases.open_cases("ms", 2024, colours="yellow", **asked).num_rows == 0
    (case,) = cases.open_cases("ms", 2024, parameters=RULES, scenarios="is seen", pids=["2"])["case_id"].to_pylist()
    assert cases.history(case)["judgement"].to_pylist() == [None]
    with pytest.raises(InvalidInputError, match="no judgement is 'perhaps'"):
        cases.open_cases("ms", 2024, parameters=RULES, decisions="perhaps")


def test_a_parcel_that_is_declared_no_more_is_named_and_the_others_get_their_cases(seen, caplog):
    for pid in ("1", "2"):
        judged(pid, "photo", "is seen")
    seen.add_parcels("ms", 2024, "", "v2", parcels(("1", "new", "a/b"), [("wheat", "1")] * 3))
    markers.find("ms", 2024)
    opened = cases.open_cases("ms", 2024, parameters=RULES, decisions=["photo"])
    assert opened["pid"].to_pylist() == ["1"]
    assert "no case is opened for 2 of ms 2024" in caplog.text


def test_a_judgement_without_a_light_by_now_is_named_though_another_of_the_parcel_has_one(seen, caplog):
    for pid, scenario in (("1", "is seen"), ("1", "is yellow"), ("2", "is seen")):
        judged(pid, "photo", scenario)
    of_rye = {"is yellow": {**RULES["scenarios"]["is yellow"], "codes": ["no such"]}}
    opened = cases.open_cases("ms", 2024, parameters={"scenarios": {**RULES["scenarios"], **of_rye}}, decisions="photo")
    assert list(zip(opened["pid"].to_pylist(), opened["scenario"].to_pylist(), strict=True)) == [
        ("1", "is seen"),
        ("2", "is seen"),
    ]
    assert "no case is opened for 1 of ms 2024" in caplog.text


def test_a_table_of_cases_of_an_earlier_version_gets_the_new_column(seen, monkeypatch):
    store = Store(seen.url)
    present = tables.of(store)["decisions"]
    before = pa.schema([field for field in schemas.DECISIONS if field.name != "judgement"])
    old = Table(store, present.name, before, keys=present.keys, partitions=present.partitions)
    cases.open_cases("ms", 2024, parameters=RULES, scenarios="is seen", pids=["1"])
    (row,) = cases.history(cases.listed()["case_id"][0].as_py()).to_pylist()
    shutil.rmtree(Path(seen.url) / "cases")
    old.append_next(lambda _: pa.Table.from_pylist([row], schema=before), "decisions", in_sequence=True)
    again = Lake(seen.url)
    assert cases.history(row["case_id"], lake=again)["judgement"].to_pylist() == [None]
    judged("2", "photo", "is seen", lake=again)
    opened = cases.open_cases("ms", 2024, parameters=RULES, decisions="photo", lake=Lake(seen.url))
    assert cases.history(opened["case_id"][0].as_py(), lake=Lake(seen.url))["judgement"].to_pylist() == [1]
    assert cases.listed(lake=Lake(seen.url)).num_rows == 2
    assert record.STATUSES[0] == opened["status"][0].as_py()


# -- the command line --------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(app, ["cases", *words], env={"COLUMNS": "250"})


def test_judgements_on_the_command_line(lake):
    key = ("--aoi", "ms", "--year", "2024")
    first = run("judge", "1", "confirmed", *key, "--scenario", MOWN, "--who", "ann")
    assert first.output == f"parcel 1, {MOWN} (red: ms red): confirmed, by ann\n"
    second = run("judge", "1", "photo", *key, "--scenario", MOWN, "--who", "bob", "--note", "which?")
    assert second.output == f"parcel 1, {MOWN} (red: ms red): photo, by bob; before it was confirmed, by ann\n"
    assert run("judge", "a/b", "undecidable", *key).output.startswith(
        "parcel a/b, as a whole (it has no light): undecid"
    )
    rows = [json.loads(line) for line in run("judgements", "--format", "json").output.splitlines()]
    assert [(row["pid"], row["decision"]) for row in rows] == [("1", "photo"), ("a/b", "undecidable")]
    assert "which?" in run("judgements", "--judged", "photo").output
    assert run("judgements", "--by", "ann").output == "0 judgements: no rows\n"
    assert "ann" in run("judgements", "--history").output
    refused = run("withdraw", "1", *key, "--scenario", MOWN, "--who", "ann")
    assert "say whose it is: bob" in str(refused.exception)
    done = run("withdraw", "1", *key, "--scenario", MOWN, "--who", "ann", "--whose", "bob")
    assert done.output == "parcel 1: withdrawn; confirmed, by ann, stands again\n"
    assert run("withdraw", "a/b", *key).output == "parcel a/b: withdrawn; no judgement stands\n"
    assert run("judge", "1", "photo", *key, "--scenario", MOWN, "--expected", "0").exception
