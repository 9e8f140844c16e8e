"""`cbm-lake crops`: the same words as the verbs, what the promise cost, files for other tools."""

import json
import sqlite3
import sys

import crops_lake
import factories
import pytest
import stand_in
from typer.testing import CliRunner

from cbm_lake import cli
from cbm_lake.crops import checking, clearing
from cbm_lake.lake import Lake, schemas

pytestmark = pytest.mark.thorough


KEY = ("--aoi", "ms", "--year", "2024")
WRONG = (4, 9)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return crops_lake.fill(Lake(str(tmp_path_factory.mktemp("crops"))), wrong=WRONG)


@pytest.fixture(autouse=True)
def filled(prepared, lake, monkeypatch):
    """The workspace's lake with parcels of which 4 and 9 declare what does not grow there; and a simple model."""
    monkeypatch.setattr(checking, "judge", stand_in.judge)
    monkeypatch.setattr(clearing, "judge_by_day", stand_in.judge_by_day)
    return factories.copied(prepared, lake)


def run(*words):
    return CliRunner().invoke(cli.app, ["crops", *map(str, words)], catch_exceptions=False)


def refused(monkeypatch, capsys, *words):
    """The message of a command that is refused."""
    monkeypatch.setattr(sys, "argv", ["cbm-lake", "crops", *words])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 1
    return capsys.readouterr().err


def test_a_check_shows_the_least_likely_and_what_the_promise_cost(tmp_path):
    picture, table = tmp_path / "check.png", tmp_path / "list.gpkg"
    done = run("check", *KEY, "--alpha", "10%", "--top", 2, "--picture", picture, "--to", table)
    assert done.exit_code == 0, done.output
    assert "24 parcels by what was seen until 2024-07-12: 2 disagrees, 22 agrees, 0 cannot say" in done.output
    assert "promised: at most 10 % of the accused are accused wrongly; undecided are 0.0% of the parcels" in done.output
    assert all(crops_lake.pid(number) in done.output for number in WRONG)
    assert picture.stat().st_size > 50_000
    with sqlite3.connect(table) as file:
        assert file.execute("select count(*) from list where verdict = 'disagrees'").fetchone() == (2,)


def test_the_rows_of_a_check_are_json_for_programs():
    lines = run("check", *KEY, "--no-since", "--format", "json").stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 24
    assert rows[0]["rank"] == 1
    assert set(rows[0]) >= {field.name for field in schemas.CROP_CHECKS} - {"part", "sequence"}


def test_the_list_can_be_narrowed_and_written(tmp_path):
    run("check", *KEY, "--no-since")
    done = run("list", *KEY, "--verdict", "disagrees", "--to", tmp_path / "list.csv")
    assert "2 verdicts written" in done.output
    assert len((tmp_path / "list.csv").read_text().splitlines()) == 3
    assert crops_lake.pid(5) not in run("list", *KEY, "--group", "maize").output


def test_runs_and_their_repetition():
    run("check", *KEY, "--no-since", "--seed", 3)
    listed = run("runs", *KEY)
    assert "0.05" in listed.output
    done = run("verify", *KEY)
    assert done.exit_code == 0
    assert "the same verdicts" in done.output


def test_a_forged_verdict_makes_the_repetition_fail(filled):
    run("check", *KEY, "--no-since")
    rows = filled.sql("select * from checked_crops")
    forged = rows.set_column(rows.column_names.index("verdict"), "verdict", [["agrees"] * 24])
    filled.put(
        "checked_crops", forged.select(schemas.CROP_CHECKS.names).cast(schemas.CROP_CHECKS), rows["part"][0].as_py()
    )
    done = run("verify", *KEY)
    assert done.exit_code == 1
    assert "the verdicts in the lake differ" in done.output


def test_days_of_the_season(tmp_path):
    done = run("days", *KEY, "--format", "csv")
    assert done.stdout.splitlines()[0] == '"day","accuracy","accuracy_of_groups","undecided"'
    assert "2024-07-12" in done.stdout.splitlines()[-1]


def test_a_picture_of_the_last_check(tmp_path):
    run("check", *KEY)
    assert run("show", *KEY, tmp_path / "check.svg").exit_code == 0
    assert (tmp_path / "check.svg").read_text().count("<path") > 24


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", *KEY, "--alpha", "5"), "write 5%"),
        (("check", *KEY, "--until", "2023-01-01"), "the season of 2024 begins on 2023-10-01"),
        (("check", *KEY, "--until", "2199-01-01"), "has not come yet"),
        (("check", *KEY, "--by", "colour"), "--by 'colour' is no column of crops"),
        (("check", *KEY, "--setting", "fold=3"), "fold"),
        (("check", *KEY, "--setting", "folds"), "--setting 'folds' is not of the form name=value"),
        (("check", *KEY, "--setting", "alpha=10%"), "alpha is no further setting"),
        (("check", *KEY, "--parameters", "none.yaml"), "none.yaml"),
        (("check", *KEY, "--to", "list.abc"), "list.abc cannot be written"),
        (("check", *KEY, "--picture", "check.doc"), "check.doc cannot be written"),
        (("days", *KEY, "--until", "2023-10-03"), "the season of 2024 begins on 2023-10-01"),
        (("check", *KEY, "--groups", "none.yaml"), "none.yaml"),
        (("check", "--aoi", "x", "--year", "2024"), "no parcels of x 2024"),
        (("list", *KEY), "the crops of ms 2024 were never checked"),
        (("list", *KEY, "--verdict", "maybe"), "there is no verdict 'maybe'"),
        (("show", *KEY, "check.doc"), "check.doc cannot be written"),
        (("verify", *KEY, "--run", "x"), "there is no crop check x"),
    ],
)
def test_what_cannot_be_done_is_one_plain_line(monkeypatch, capsys, words, message):
    said = refused(monkeypatch, capsys, *words)
    assert message in said
    assert len(said.strip().splitlines()) == 1


@pytest.mark.parametrize(("option", "file"), [("--to", "list.doc"), ("--to", "list"), ("--picture", "check.gif")])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_judged(
    monkeypatch, capsys, lake, tmp_path, option, file
):
    monkeypatch.setattr(checking, "judge", None)
    said = refused(monkeypatch, capsys, "check", *KEY, option, str(tmp_path / file))
    assert said.count("\n") == 1
    assert f"{file} cannot be written" in said
    assert lake.sql("select * from crop_runs").num_rows == 0


@pytest.mark.parametrize("name", ["alpha", "groups"])
def test_a_setting_with_an_option_of_its_own_is_refused_among_the_further_ones(monkeypatch, capsys, name):
    said = refused(monkeypatch, capsys, "check", *KEY, "--setting", f"{name}=0.1")
    assert f"error: {name} is no further setting, but is given by itself" in said


def test_an_unknown_setting_is_refused_with_the_name_that_may_be_meant(monkeypatch, capsys):
    said = refused(monkeypatch, capsys, "check", *KEY, "--setting", "fold=3")
    assert "error: there is no setting 'fold' of a crop check; did you mean 'folds'?" in said
