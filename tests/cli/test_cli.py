"""The command line says what the library says: rows on standard output, errors in one line, exit statuses."""

import csv
import io
import json
import logging
import os
import re
import socket
import subprocess
import sys

import geopandas as gpd
import pyarrow.parquet as pq
import pytest
import typer
from factories import PIDS, entry, fill, outline, parcel_set, scenes, signature, signatures, write
from rich.console import Console
from typer.testing import CliRunner

from cbm_lake import cli
from cbm_lake.cli import shared
from cbm_lake.cli.shared import as_options, bar
from cbm_lake.errors import InvalidInputError, LakeError
from cbm_lake.lake import queries


@pytest.fixture(autouse=True)
def kept_environment(monkeypatch):
    """--lake sets a variable, which must not outlive the test."""
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", "")
    monkeypatch.setenv("COLUMNS", "300")


@pytest.fixture
def filled(lake):
    return fill(lake)


def run(*words):
    """What a command prints; it must succeed."""
    done = CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*words):
    """The error of the lake that a command ends with."""
    with pytest.raises(LakeError) as caught:
        CliRunner().invoke(cli.app, [str(word) for word in words], catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def program(*words, folder, **environment):
    """The installed command as a process of its own."""
    command = [sys.executable, "-m", "cbm_lake.cli", *words]
    environment = {**os.environ, "CBM_LAKE_HOME": str(folder), **environment}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def commands(group=None, words=()):
    """Every command with its words."""
    group = group or typer.main.get_command(cli.app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


# -- help and errors -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("words", "command"), list(commands()), ids=lambda part: "-".join(part) if isinstance(part, tuple) else ""
)
def test_every_command_and_option_has_help(words, command):
    text = run(*words, "--help")
    assert command.help
    assert command.help in " ".join(text.split())
    for option in command.params:
        assert option.help, f"{words}: {option.name} has no help"


@pytest.mark.parametrize("words", [(), ("get",), ("extract",), ("card2db",), ("parcels",)])
def test_a_group_says_what_it_has(words):
    done = CliRunner().invoke(cli.app, [*words, "--help"])
    assert done.exit_code == 0
    assert "Commands" in done.output


@pytest.mark.thorough
def test_an_error_of_the_lake_is_one_line_and_exit_status_1(tmp_path):
    done = program("get", "time-series", "--aoi", "ms", "--year", "2024", "--pid", "1", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: no parcels of ms 2024 in this lake; there are: none yet; load them first\n"


def test_a_wrong_statement_is_one_line_with_the_place_below_and_exit_status_1(tmp_path):
    done = program("sql", "select [nope] from\ns2", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    error, line, caret = done.stderr.splitlines()
    assert error.startswith("error: this SQL cannot be run: ")
    assert line.startswith("LINE ")
    assert set(caret.strip()) == {"^"}


@pytest.mark.thorough
def test_wrong_usage_is_exit_status_2(tmp_path):
    for words in (
        ["nope"],
        ["sql"],
        ["sql", "from s2", "--format", "nope"],
        ["get", "peers", "--aoi", "ms", "--year", "1"],
    ):
        done = program(*words, folder=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Usage" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_broken_config_ends_a_command_with_its_reason(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "main.json").write_text("{nope")
    done = program("status", folder=tmp_path)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "main.json cannot be read" in last
    assert "Traceback" not in done.stderr


def test_help_is_instant_because_nothing_heavy_is_imported(tmp_path):
    heavy = ("duckdb", "numba", "geopandas", "pandas", "dask")
    code = f"import sys, cbm_lake.cli; sys.exit(' '.join(name for name in {heavy} if name in sys.modules) or 0)"
    environment = {**os.environ, "CBM_LAKE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- init and status -------------------------------------------------------------------------------------------------


def test_init_makes_the_workspace_and_says_where(tmp_path):
    done = program("init", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"workspace {tmp_path}: settings in {tmp_path}/config/main.json, lake in {tmp_path}/data/lake\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config", "data", "temp"]


def test_the_status_of_an_empty_lake(lake):
    assert run("status") == "scenes: no rows\nparcels: no rows\nfailed: no rows\nleft out: no rows\nsuspect: no rows\n"


def test_the_status_says_what_there_is_and_what_failed_and_why(filled):
    filled.add_scenes(scenes("C"))
    filled.record(entry("C", "failed", problem="raster [x] is truncated"))
    text = run("status")
    assert "raster [x] is truncated" in text
    document = json.loads(run("status", "--format", "json"))
    (card,), (parcels,) = document["scenes"], document["parcels"]
    assert (card["scenes"], card["extracted"], card["failed"]) == (3, 2, 1)
    assert (parcels["parcels"], parcels["card"], parcels["scenes"]) == (3, "s2", 2)


# -- sql -------------------------------------------------------------------------------------------------------------


def test_sql_prints_a_table(filled):
    text = run("sql", "select pid, B04_mean, B02_mean, obstime from s2 where scene = 'A' order by pid")
    assert [word for word in text.splitlines()[3].split() if word not in "│"] == [
        "0012",
        "400",
        "2024-01-01",
        "10:40:00",
    ]
    assert "no rows" in run("sql", "from s2 limit 0")


def test_a_long_table_is_cut_on_a_terminal_alone_and_says_so(lake, monkeypatch):
    assert {str(number) for number in range(205)} <= set(run("sql", "from range(205)").split())
    monkeypatch.setattr(shared, "out", Console(force_terminal=True, color_system=None))
    assert "5 more rows" in run("sql", "from range(205)")
    assert len(rows(run("sql", "from range(205)", "--format", "csv"))) == 205


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_cut_off_where_lines_are_short(monkeypatch, lake, terminal):
    monkeypatch.delenv("COLUMNS")
    console = Console(width=80, force_terminal=terminal, no_color=True)
    monkeypatch.setattr(shared, "out", console)
    text = run("sql", "select repeat('x', 55) || i as first, repeat('y', 60) as second from range(2) t(i)")
    assert all(word in text for word in ("first", "x" * 55 + "0", "x" * 55 + "1", "second", "y" * 60))
    assert (max(map(len, text.splitlines())) <= 80) == terminal


@pytest.mark.parametrize("pid", ["[bold]x", "[/x]", "a\nb", ":smile:"])
def test_text_is_shown_as_it_is(lake, pid):
    write(lake, signatures(signature(pid)), parcel_set(), "A")
    assert all(part in run("sql", "select pid from s2") for part in pid.split("\n"))
    assert rows(run("sql", "select pid from s2", "--format", "csv"))[0]["pid"] == pid
    assert json.loads(run("sql", "select pid from s2", "--format", "json"))["pid"] == pid


def test_sql_prints_csv_that_keeps_whole_numbers_and_text(filled):
    text = run(
        "sql", "select pid, B04_count, B02_count, scl from s2 where pid = '0012' and scene = 'A'", "--format", "csv"
    )
    assert rows(text) == [
        {"pid": "0012", "B04_count": "100", "B02_count": "", "scl": "[0, 0, 0, 0, 25, 0, 0, 0, 0, 0, 0, 0]"}
    ]
    assert run("sql", "select pid from s2 limit 0", "--format", "csv").strip() == '"pid"'


def test_sql_prints_json_that_every_reader_takes(lake):
    def no_constant(name):
        pytest.fail(f"{name} is no JSON")

    statement = """
        select 'nan'::float as a, null as b, [1.5, 'inf'::double] as c,
            {'x': timestamptz '2024-01-01 10:40:00Z'} as d, 1.50::decimal(5, 2) as e
    """
    text = run("sql", statement, "--format", "json")
    answer = json.loads(text, parse_constant=no_constant)
    assert answer == {"a": None, "b": None, "c": [1.5, None], "d": {"x": "2024-01-01T10:40:00+00:00"}, "e": 1.5}


def test_sql_list_says_every_query_and_what_it_answers(lake):
    lines = run("sql", "list").splitlines()
    assert len(lines) == len(queries.load())
    assert any(line.startswith("parcels.by_pid: The parcel $pid") for line in lines)


def test_a_named_query_takes_parameters(filled):
    text = run(
        "sql",
        "time_series.s2",
        "-p",
        "pid=0012",
        "-p",
        "aoi=ms",
        "-p",
        "year=2024",
        "-p",
        "ptype=",
        "-p",
        'bands=["B04"]',
        "--format",
        "csv",
    )
    assert [(row["band"], row["mean"]) for row in rows(text)] == [("B04", "400"), ("B04", "400")]


@pytest.mark.parametrize("pid", ["0012", "12", "1e3", "null0", '"', "a=b"])
def test_a_pid_given_as_parameter_is_the_text_that_was_typed(lake, pid):
    others = ["0012", "12", "1000", "012", "1e3", "null0", '"', "a=b"]
    write(lake, signatures(*map(signature, others)), parcel_set(), "A")
    text = run("sql", "select pid from s2 where pid = $pid", "--param", f"pid={pid}", "--format", "json")
    assert [json.loads(line)["pid"] for line in text.splitlines()] == [pid]


@pytest.mark.parametrize(
    ("text", "value"),
    [("null", None), ("true", True), ("[1, 2]", [1, 2]), ('"12"', "12"), ("12", "12"), ("x", "x"), ("", "")],
)
def test_what_a_parameter_is_read_as(text, value):
    assert shared.params([f"x={text}"]) == {"x": value}


def test_a_parameter_without_a_sign_is_refused(lake):
    assert "--param 'pid' is not of the form name=value" in refused("sql", "from s2", "--param", "pid")


def test_sql_as_of_a_moment(filled):
    assert json.loads(run("sql", "select count(*) as n from s2", "--as-of", "2000-01-01", "--format", "json")) == {
        "n": 0
    }
    assert "is no date" in refused("sql", "from s2", "--as-of", "yesterday")


def test_another_lake_can_be_named(filled, tmp_path):
    counted = ["sql", "select count(*) as n from s2", "--format", "json"]
    assert json.loads(run("--lake", tmp_path / "other", *counted)) == {"n": 0}
    assert json.loads(run("--lake", filled.url, *counted)) == {"n": 6}


# -- parcels, get, export, compact -----------------------------------------------------------------------------------


def test_parcels_are_loaded_from_a_file(lake, tmp_path):
    frame = gpd.GeoDataFrame({"parcel_id": PIDS}, geometry=[outline(n) for n in range(3)], crs=32631)
    frame.to_file(tmp_path / "p.gpkg")
    text = run("parcels", "load", tmp_path / "p.gpkg", "--aoi", "ms", "--year", 2024, "--pid", "parcel_id")
    assert text.startswith("3 parcels, 3.0 ha, EPSG:32631: loaded")
    assert "were there already" in run(
        "parcels", "load", tmp_path / "p.gpkg", "--aoi", "ms", "--year", 2024, "--pid", "parcel_id"
    )
    assert "nope" in refused("parcels", "load", tmp_path / "p.gpkg", "--aoi", "ms", "--year", 2024, "--pid", "nope")


def test_get_parcel_info_is_json(filled):
    key = ["get", "parcel-info", "--aoi", "ms", "--year", 2024]
    answer = json.loads(run(*key, "--pid", "0012"))
    assert answer["pid"] == ["0012"]
    lon, lat = answer["clon"][0], answer["clat"][0]
    assert json.loads(run(*key, "--lon", lon, "--lat", lat))["pid"] == ["0012"]
    around = f"{lon - 1}_{lat - 1}-{lon + 1}_{lat - 1}-{lon + 1}_{lat + 1}-{lon - 1}_{lat + 1}-{lon - 1}_{lat - 1}"
    assert json.loads(run(*key, "--polygon", around))["pid"] == sorted(PIDS)
    assert "which parcel? give --pid" in refused(*key)
    assert "which parcel? give --pid" in refused(*key, "--lon", lon)
    assert "no parcel '7'" in refused(*key, "--pid", "7")


def test_get_time_series_in_every_format(filled):
    key = ["get", "time-series", "--aoi", "ms", "--year", 2024, "--pid", "0012"]
    assert [row["band"] for row in rows(run(*key, "--format", "csv"))] == ["B04", "B08"] * 2
    assert json.loads(run(*key, "--format", "json", "--band", "B04").splitlines()[0])["hist"] == '{"4": 25}'
    seconds = {row["date_part"].partition(".")[0] for row in rows(run(*key, "--format", "csv"))}
    assert seconds == set(re.findall(r"\b\d{10}\b", shown := run(*key)))  # which rounded to six digits are no times
    assert "B08" in shown


def test_a_parcel_without_notes_says_so(filled):
    key = ["get", "notes", "--aoi", "ms", "--year", "2024", "--pid", "0012"]
    assert "no notes on 0012 yet; --write" in CliRunner().invoke(cli.app, key).output
    run(*key, "--write", "seen twice")
    assert run(*key) == "seen twice\n"


def test_a_service_that_cannot_listen_says_where_and_what_to_do(lake):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        said = refused("serve", "--port", other.getsockname()[1])
    assert said.startswith("cannot listen at 127.0.0.1:")
    assert said.endswith("give another --port")


def test_a_second_key_is_asked_for_by_the_option_that_there_is(lake, monkeypatch, capsys):
    run("report", "keys", "make")
    monkeypatch.setattr("sys.argv", ["cbm-lake", "report", "keys", "make"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "--another makes one that replaces it" in " ".join(capsys.readouterr().err.split())


def test_export_writes_and_counts(filled, tmp_path):
    assert run("export", "s2", tmp_path / "a.parquet") == f"6 rows written to {tmp_path}/a.parquet\n"
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows == 6
    words = ["select pid from s2 where pid = $pid", tmp_path / "a.csv", "-p", "pid=0012"]
    assert run("export", *words).startswith("2 rows")
    assert "write .parquet" in refused("export", "s2", tmp_path / "a.nope")


def test_compact_says_how_many_files_it_merged(filled):
    assert run("compact", "s2") == "2 files merged\n"
    assert run("compact") == "0 files merged\n"
    assert "unknown card 'nope'" in refused("compact", "nope")


def test_vacuum_says_how_many_files_it_deleted(filled):
    run("compact")
    assert run("vacuum", "--days", "1") == "0 files deleted\n"


@pytest.mark.parametrize(
    ("package", "extra", "words"),
    [
        ("argon2", "server", "user list"),
        ("uvicorn", "server", "serve"),
        ("psycopg", "migrate", "migrate --aoi ms --year 2020 --dsn postgresql://127.0.0.1:1/x --catalogue scenes"),
        ("nbconvert", "report", "report notebook analysis.ipynb"),
    ],
)
def test_a_package_that_is_missing_is_told_with_the_extra_that_brings_it(package, extra, words, lake, monkeypatch):
    monkeypatch.delitem(sys.modules, "cbm_lake.server.accounts", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    assert refused(*words.split()).endswith(f" needs package {package}: pip install 'cbm-lake[{extra}]'")


def test_main_is_what_the_command_runs(lake, monkeypatch, capsys):
    def fail():
        raise InvalidInputError("what [and] which")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: what [and] which\n"


def test_an_interrupted_query_ends_as_other_commands_do_by_control_c(lake, monkeypatch, capsys):
    def stop():
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(cli, "app", stop)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "Aborted.\n"


def test_errors_of_every_command_name_its_options(lake, tmp_path, monkeypatch, capsys):
    for words, said in {
        "migrate --aoi aa --year 2024 --signatures nosuch.csv": "give the catalogue by --catalogue too",
        "migrate --aoi aa --year 2024": "nothing is given to be migrated; say --parcels",
    }.items():
        monkeypatch.setattr("sys.argv", ["cbm-lake", *words.split()])
        with pytest.raises(SystemExit):
            cli.main()
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("get chips --pid 12 --start soon --end 2024-03-02", "--start 'soon' is not right"),
        ("get chips --pid 12 --start 2024-03-09 --end 2024-03-02", "--end 2024-03-02 comes before"),
        ("get delete --pid 12 --yes --aoi ../..", "--aoi '../..' is not right"),
    ],
)
def test_errors_of_options_name_those_of_the_command_line(lake, monkeypatch, capsys, words, said):
    monkeypatch.setattr(
        "sys.argv", ["cbm-lake", *words.split()[:2], "--aoi", "ms", "--year", "2024", *words.split()[2:]]
    )
    with pytest.raises(SystemExit):
        cli.main()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "warning", "said"),
    [
        (
            "migrate --aoi aa --year 2024",
            "say which by crop_name= and crop_code=",
            "say which by --crop-name and --crop",
        ),
        ("export nothing a.txt", "neutralise= writes them", "--neutralise writes them"),
    ],
)
def test_warnings_of_the_library_name_options_of_the_command_line(lake, monkeypatch, capsys, words, warning, said):
    monkeypatch.setattr(logging.lastResort, "formatter", None)
    monkeypatch.setattr("sys.argv", ["cbm-lake", *words.split()])
    with pytest.raises(SystemExit):
        cli.main()
    capsys.readouterr()
    logging.lastResort.handle(logging.makeLogRecord({"msg": warning, "levelno": logging.WARNING}))
    assert said in capsys.readouterr().err


def test_parts_of_paths_and_of_words_are_no_options():
    options = {"aoi": "--aoi", "crop_name": "--crop-name"}
    assert as_options("a/aoi=he/x: say crop_name=, or aoi=x", options) == "a/aoi=he/x: say --crop-name, or --aoi x"
    assert as_options("my_aoi=1", options) == "my_aoi=1"


def test_a_bar_is_not_left_behind_before_an_error(monkeypatch):
    console = Console(file=io.StringIO())
    monkeypatch.setattr("cbm_lake.cli.shared.err", console)
    with pytest.raises(InvalidInputError), bar("planning"):
        raise InvalidInputError("what")
    assert "planning" not in console.file.getvalue()
