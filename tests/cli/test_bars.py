"""Progress on a terminal leaves nothing behind where a command fails; elsewhere there is none."""

import io
import re

import pytest
import small_season
from rich.console import Console
from typer.testing import CliRunner

from cbm_lake import card2db, cli, parcels
from cbm_lake.cli import run, shared
from cbm_lake.errors import SourceError
from cbm_lake.lake import open_lake
from cbm_lake.season.journal import Key, Stopwatch

CODE = re.compile(r"\x1b\[(?P<count>\d*)(?P<what>[AK])|\x1b\[[?\d;]*[a-zA-Z]|(?P<text>[^\x1b])")


def screen(written):
    """What stands on a terminal after all that was written to it: lines, upwards and erasing are enough for bars."""
    lines, row, column = [""], 0, 0
    for code in CODE.finditer(written):
        if code["what"] == "A":
            row -= int(code["count"] or 1)
        elif code["what"] == "K":
            lines[row] = ""
        elif code["text"] == "\n":
            row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
        elif code["text"] == "\r":
            column = 0
        elif code["text"]:
            lines[row] = lines[row][:column].ljust(column) + code["text"] + lines[row][column + 1 :]
            column += 1
    return "\n".join(lines).strip()


@pytest.fixture
def terminal(monkeypatch):
    """What is written to a terminal by bars."""
    file = io.StringIO()
    for module, name in ((shared, "err"), (run, "out"), (run, "err")):
        monkeypatch.setattr(module, name, Console(file=file, force_terminal=True, width=100, legacy_windows=False))
    return file


@pytest.mark.parametrize("error", [SourceError("x"), ValueError("x"), KeyboardInterrupt()])
def test_nothing_is_left_of_a_bar_when_a_command_fails(terminal, error):
    def fail():
        with shared.bar("extracting s2") as advance:
            advance(3, 10)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert "extracting s2" in terminal.getvalue()
    assert screen(terminal.getvalue()) == ""


def test_a_bar_stays_when_a_command_has_ended(terminal):
    with shared.bar("extracting s2") as advance:
        advance(10, 10)
    assert screen(terminal.getvalue()).count("extracting s2") == 1


def test_there_is_no_bar_where_there_is_no_terminal(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(shared, "err", Console(file=file))
    with shared.bar("extracting s2") as advance:
        advance(3, 10)
    assert file.getvalue() == ""


def test_a_step_that_fails_leaves_its_line_alone(terminal):
    with run._watcher() as watcher:
        watcher.begin("extract ms 2024 s2")(1, 2)
        watcher.end(Stopwatch().entry(Key("extract", "ms", 2024, "", "s2"), "failed", problem="no such file"))
        watcher.begin("markers ms 2024")(0, 0)
    assert screen(terminal.getvalue()) == "✗ extract ms 2024 s2: failed: no such file, 0.0 s"


def test_scenes_that_have_no_mask_are_one_error_and_not_scenes_to_extract(workspace):
    folder = workspace.root
    small_season.parcels(folder, "ms", 12)
    small_season.scene(folder, 0)
    parcels.load(folder / "ms.gpkg", "ms", 2024, pid="pid", crop_name="crop")
    card2db.items(folder / "items")
    words = "extract s2 --aoi ms --year 2024 --start 2024-03-01 --end 2024-10-31 --bands B04,B08"
    result = CliRunner().invoke(cli.app, [*words.split(), "--mask", "cloud > 40"])
    assert result.output == ""
    assert str(result.exception).startswith("1 of 1 scenes failed")
    assert "has no mask cloud" in str(result.exception)
    assert open_lake().sql("from s2").num_rows == 0
