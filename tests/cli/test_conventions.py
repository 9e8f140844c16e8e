"""What every command does alike: its help with an example, the data set that it is about, output for other programs."""

import json
import os
import shlex
import subprocess
import sys

import pytest
from factories import PIDS, fill, parcels
from test_cli import commands, program
from typer.testing import CliRunner

from cbm_lake import cli
from cbm_lake.cli.examples import EXAMPLES
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, LakeError

COMMANDS = {" ".join(words): command for words, command in commands()}


def invoked(*words):
    return CliRunner().invoke(cli.app, [str(word) for word in words])


@pytest.fixture(autouse=True)
def kept_environment(monkeypatch):
    """--lake sets a variable, which must not outlive the test."""
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", "")


@pytest.mark.thorough
@pytest.mark.parametrize("words", COMMANDS)
def test_help_is_asked_for_by_h_too_and_ends_with_an_example(words):
    short, long = invoked(*words.split(), "-h"), invoked(*words.split(), "--help")
    assert short.exit_code == long.exit_code == 0
    assert short.output == long.output
    assert long.output.endswith(f"\n  Example:\n{'    cbm-lake ' + words + ' ' + EXAMPLES[words]}".rstrip() + "\n")


@pytest.mark.parametrize("words", COMMANDS)
def test_an_example_is_of_options_that_the_command_has(words):
    COMMANDS[words].make_context(words, shlex.split(EXAMPLES[words]))


def test_examples_are_of_commands_that_there_are():
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("words", [(), ("get",), ("report", "keys"), ("cases",)])
def test_help_of_a_group_is_asked_for_by_h_too(words):
    assert invoked(*words, "-h").output == invoked(*words, "--help").output


# -- the data set -----------------------------------------------------------------------------------------------------


def test_without_a_name_a_command_is_about_the_only_set_and_says_so(lake):
    fill(lake)
    named = invoked("get", "parcel-info", "--aoi", "ms", "--year", 2024, "--pid", PIDS[0])
    unnamed = invoked("get", "parcel-info", "--pid", PIDS[0])
    assert unnamed.exit_code == 0, unnamed.output
    assert unnamed.stdout == named.stdout
    assert "--aoi ms: the only one in the lake" in unnamed.stderr
    assert "--year 2024: the only one in the lake" in unnamed.stderr
    assert not named.stderr


def test_of_several_sets_the_settings_name_one_and_without_them_none_is_guessed(lake):
    fill(lake)
    lake.add_parcels("nl", 2024, "", "v1", parcels(PIDS, [("wheat", "1")] * len(PIDS)))
    with pytest.raises(InvalidInputError, match="--aoi: there are ms, nl"):
        CliRunner().invoke(cli.app, ["get", "parcel-info", "--pid", PIDS[0]], catch_exceptions=False)
    assert invoked("get", "parcel-info", "--aoi", "ms", "--pid", PIDS[0]).exit_code == 0
    Workspace.here().configure("set", dataset="ms", ds_year="2024")
    chosen = invoked("get", "parcel-info", "--pid", PIDS[0])
    assert chosen.exit_code == 0, chosen.output
    assert not chosen.stderr


def test_of_several_years_none_is_guessed(lake):
    fill(lake)
    lake.add_parcels("ms", 2023, "", "v1", parcels(PIDS, [("wheat", "1")] * len(PIDS)))
    with pytest.raises(InvalidInputError, match="--year: there are 2023, 2024"):
        CliRunner().invoke(cli.app, ["get", "parcel-info", "--pid", PIDS[0]], catch_exceptions=False)


def test_a_year_of_the_settings_that_is_none_is_named(lake):
    fill(lake)
    Workspace.here().configure("set", ds_year="last")
    with pytest.raises(InvalidInputError, match=r"set\.ds_year of the settings is 'last'"):
        CliRunner().invoke(cli.app, ["get", "parcel-info", "--pid", PIDS[0]], catch_exceptions=False)


def test_what_is_written_for_the_first_time_is_of_no_set_that_nobody_named(lake, tmp_path):
    fill(lake)
    done = invoked("parcels", "load", tmp_path / "parcels.gpkg")
    assert done.exit_code == 2
    assert "--aoi" in done.output


# -- output -----------------------------------------------------------------------------------------------------------


def test_status_is_one_json_document_of_named_tables(lake):
    fill(lake)
    document = json.loads(invoked("status", "--format", "json").stdout)
    assert list(document) == ["scenes", "parcels", "failed", "left_out", "suspect"]
    assert {row["aoi"] for row in document["parcels"]} == {"ms"}
    assert document["suspect"] == []


def test_status_is_not_several_tables_in_one_csv(lake):
    fill(lake)
    with pytest.raises(LakeError, match="--format json"):
        CliRunner().invoke(cli.app, ["status", "--format", "csv"], catch_exceptions=False)


def test_a_table_on_a_pipe_has_all_rows_and_whole_values(workspace):
    numbers = "select i, repeat('x', 200) || i as text, 1 / 3 as share from range(1000) as t(i)"
    done = program("sql", numbers, folder=workspace.root)
    assert done.returncode == 0, done.stderr
    assert "…" not in done.stdout
    assert all(f"{'x' * 200}{i} " in done.stdout for i in range(1000))


def test_a_statement_that_is_wrong_is_shown_with_a_caret_at_the_place(workspace):
    done = program("sql", "select crop\nfrom parcels", folder=workspace.root)
    assert done.returncode == 1
    error, line, caret = done.stderr.splitlines()
    assert "crop_name" in error  # the candidates
    assert line == "LINE 1: select crop"
    assert caret.index("^") == line.index("crop")


def test_a_reader_that_goes_away_ends_a_command_quietly(workspace):
    numbers = "select i from range(200000) as t(i)"
    command = f"{sys.executable} -m cbm_lake.cli sql '{numbers}' --format csv | head -2; exit ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "CBM_LAKE_HOME": str(workspace.root)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=workspace.root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout in {"i\n0\n", '"i"\n0\n'}
    assert "Traceback" not in done.stderr
