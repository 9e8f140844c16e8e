"""`cbm-lake run` and `cbm-lake runs`: exit statuses for cron, lines for a log, steps from the journal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import small_season
from typer.testing import CliRunner

from cbm_lake import card2db, cli, season
from cbm_lake.cli.run import _seconds
from cbm_lake.errors import HeldError, NotFoundError
from cbm_lake.lake import Lake, open_lake

pytestmark = pytest.mark.thorough


SLOW_SOURCE = """
import sys, time
from cbm_lake import card2db, cli
from cbm_lake.season import sources

def waiting(*_args, **_options):
    print("waiting", flush=True)
    time.sleep(600)

card2db.items = waiting
sys.argv = ["cbm-lake", "run", sys.argv[1]]
cli.main()
"""


def command(*words):
    return CliRunner().invoke(cli.app, list(map(str, words)))


@pytest.fixture
def file(workspace):
    """A season with its parcels only: nothing to extract yet."""
    folder = workspace.root
    small_season.parcels(folder, "ms", 12)
    small_season.parcels(folder, "be", 6)
    small_season.radar(folder, 0)
    small_season.scene(folder, 0)
    changes = [("  - {items: radar, card: bs}\n", ""), ("  bs: {cube: false}\n", "")]
    text = small_season.write_file(folder).read_text()
    for before, after in changes:
        text = text.replace(before, after)
    (folder / "season.yaml").write_text(text.split("exports:", maxsplit=1)[0] + "markers: null\nguard: false\n")
    return folder / "season.yaml"


def test_all_done_is_0_with_a_line_for_each_step_and_its_time(file):
    result = command("run", file, "--once")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert all(line[10] == "T" and line[19] == "Z" for line in lines), lines
    assert any("extract ms 2024 s2: 1 scenes, 12 rows" in line for line in lines)
    assert "0 steps done" in command("run", file).output


def test_something_failed_is_1_and_the_reason_is_in_the_log_and_the_journal(file):
    (file.parent / "ms.gpkg").write_bytes(b"nothing")
    result = command("run", file)
    assert result.exit_code == 1
    assert "parcels ms 2024: failed: " in result.output
    assert "extract be 2024 s2: 1 scenes, 6 rows" in result.output
    shown = command("runs", "--format", "json")
    rows = [json.loads(line) for line in shown.output.splitlines()]
    assert [row["step"] for row in rows if row["status"] == "failed"] == ["parcels", "run"]
    assert "1 of " in rows[-1]["problem"]


def test_a_wrong_file_is_2_and_nothing_is_done(file):
    file.write_text(file.read_text().replace("bands", "band"))
    result = command("run", file)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "season.yaml:11: extract.s2.band: unknown key 'band'; did you mean 'bands'?" in result.output
    assert open_lake().is_empty


def test_each_fault_of_a_wrong_file_is_a_line(file):
    file.write_text(file.read_text().replace("bands", "band").replace("workers: 0", "workers: '0'"))
    result = command("run", file)
    assert result.exit_code == 2
    lines = result.output.splitlines()
    assert [line.startswith(f"error: {file}:") for line in lines] == [True, True], lines


def test_a_second_run_is_3_and_says_who_has_the_lake(file):
    with open_lake().alone("night run"):
        result = command("run", file)
    assert (result.exit_code, result.output.count("\n")) == (3, 1)
    assert f"(process {os.getpid()}), since 20" in result.output


def test_sigterm_is_143_gives_the_lock_back_and_is_in_the_journal(file):
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_SOURCE, str(file)], stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
    )
    while "waiting" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 143, output
    assert season.last_run(open_lake())["outcome"] == "interrupted"
    assert command("run", file).exit_code == 0


def _done(_file, _monkeypatch):
    pass


def _nothing_new(file, _monkeypatch):
    assert command("run", file).exit_code == 0


def _failed_step(file, _monkeypatch):
    (file.parent / "ms.gpkg").write_bytes(b"nothing")


def _wrong_file(file, _monkeypatch):
    file.write_text(file.read_text() + "workers: 1\n")


def _no_file(file, _monkeypatch):
    file.unlink()


def _held(_file, monkeypatch):
    def alone(_lake, purpose):
        raise HeldError(f"another {purpose} has the lake")

    monkeypatch.setattr(Lake, "alone", alone)


def _raising(error):
    def begin(_file, monkeypatch):
        def items(*_args, **_options):
            raise error

        monkeypatch.setattr(card2db, "items", items)

    return begin


TABLE = {
    "done": (_done, 0, "done"),
    "nothing new": (_nothing_new, 0, "done"),
    "a step failed": (_failed_step, 1, "failed"),
    "a step failed for a reason that nobody thought of": (_raising(ValueError("cannot reshape")), 1, "failed"),
    "the file is wrong": (_wrong_file, 2, None),
    "there is no file": (_no_file, 2, None),
    "another run has the lake": (_held, 3, None),
    "Ctrl-C": (_raising(KeyboardInterrupt()), 130, "interrupted"),
    "Ctrl-C in the middle of a query": (_raising(RuntimeError("Query interrupted")), 130, "interrupted"),
    "SIGTERM": (_raising(SystemExit(143)), 143, "interrupted"),
}
"""What happens: how it is brought about, the exit status, and the outcome in the journal."""


@pytest.mark.parametrize("what", TABLE)
def test_the_exit_status_is_that_of_the_table(file, monkeypatch, what):
    begin, status, outcome = TABLE[what]
    begin(file, monkeypatch)
    result = command("run", file)
    assert result.exit_code == status, result.output
    last = season.last_run(open_lake())
    assert (last and last["outcome"]) == outcome


def test_the_table_of_exit_statuses_in_the_docs_is_that_of_the_command():
    page = (Path(__file__).parents[2] / "docs" / "season.md").read_text()
    section = page.partition("## Exit status")[2].partition("## ")[0]
    documented = {int(row[2:].partition(" ")[0]) for row in section.splitlines() if row[:3].strip("| ").isdigit()}
    assert documented == {status for _, status, _ in TABLE.values()}


def test_the_journal_is_a_table_and_another_run_is_shown_by_its_name(file):
    command("run", file)
    first = season.last_run(open_lake())["run"]
    command("run", file)
    assert first not in command("runs").output
    shown = command("runs", first).output
    assert first in shown
    assert "extract ms 2024 s2" in shown
    unknown = command("runs", "nonsense")
    assert isinstance(unknown.exception, NotFoundError)
    assert str(unknown.exception).startswith("there was no run 'nonsense'; there are: 20")
    with pytest.raises(NotFoundError, match="did you mean"):
        season.steps(first[:-1])


@pytest.mark.parametrize(("text", "seconds"), [("6h", 21_600), ("90m", 5400), ("1.5 d", 129_600), ("45s", 45)])
def test_a_time_between_runs_is_a_number_and_a_unit(text, seconds):
    assert _seconds(text) == seconds


@pytest.mark.parametrize("text", ["6", "0h", "h", "-1h", "6 weeks", ""])
def test_what_is_no_time_between_runs_is_refused(file, text):
    result = command("run", file, "--watch", text)
    assert result.exit_code == 2
    assert "is no time between runs" in result.output


def test_once_and_again_and_again_exclude_each_other(file):
    assert command("run", file, "--once", "--watch", "6h").exit_code == 2


@pytest.mark.slow
def test_watching_goes_on_until_it_is_ended(file):
    words = [sys.executable, "-m", "cbm_lake.cli", "run", str(file), "--watch", "0.1s"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT)
    ends = 0
    while ends < 2:
        ends += "Z run 20" in process.stdout.readline()
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
