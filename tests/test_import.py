"""Importing the package makes the workspace, and does nothing else."""

import os
import subprocess
import sys

import pytest
from factories import powerless

HEAVY = ("duckdb", "pyarrow", "numba", "rasterio", "xarray", "hvplot", "geopandas", "dask", "pandas")
PEEK = f"""
import socket, sys
def refused(*_):
    raise SystemExit("a socket was opened")
socket.socket.__init__ = refused
import cbm_lake
sys.exit(" ".join(name for name in {HEAVY} if name in sys.modules) or 0)
"""


def run(folder, code="import cbm_lake", *, home=None, before=()):
    """Run Python in a folder, with a workspace named or not."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CBM_LAKE_")}
    if home is not None:
        environment["CBM_LAKE_HOME"] = str(home)
    return subprocess.run(
        [*before, sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def contents(folder):
    """Every file below a folder with its bytes and time, and every folder with neither."""
    return {
        path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_an_import_makes_the_workspace_in_the_current_folder_and_says_nothing(tmp_path):
    done = run(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(map(str, contents(tmp_path))) == ["config", "config/main.json", "data", "temp"]


def test_an_import_is_light_and_opens_no_socket(tmp_path):
    done = run(tmp_path, PEEK)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_second_import_changes_nothing(tmp_path):
    run(tmp_path)
    before = contents(tmp_path)
    run(tmp_path)
    assert contents(tmp_path) == before


def test_the_variable_cbm_lake_home_says_where_the_workspace_is(tmp_path):
    elsewhere, home = tmp_path / "elsewhere", tmp_path / "home"
    elsewhere.mkdir()
    run(elsewhere, home=home)
    assert not any(elsewhere.iterdir())
    assert (home / "config" / "main.json").exists()


@pytest.mark.parametrize("home", [None, "relative"])
def test_a_later_chdir_and_child_processes_keep_the_workspace(tmp_path, home):
    code = """
import os, subprocess, sys, cbm_lake
os.mkdir("other"); os.chdir("other")
print(cbm_lake.Workspace.here().root)
subprocess.run([sys.executable, "-c", "import cbm_lake; print(cbm_lake.Workspace.here().root)"])
"""
    done = run(tmp_path, code, home=home)
    assert done.stdout.split() == [str(tmp_path / (home or ""))] * 2
    assert not any((tmp_path / "other").iterdir())


def test_a_folder_that_cannot_be_made_is_one_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    done = run(tmp_path, home=tmp_path / "file" / "workspace")
    assert done.returncode == 0
    assert done.stderr.count("Warning") == done.stderr.count("no workspace") == 1
    assert "cannot be written (Not a directory); set CBM_LAKE_HOME" in done.stderr


def test_a_folder_without_rights_is_one_warning(tmp_path):
    tmp_path.chmod(0o555)
    done = run(tmp_path, before=powerless())
    tmp_path.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Warning") == 1
    assert "Permission denied" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{nope", "[]", '{"paths": {"tmp": "x"}}', '{"set": {"plimit": 0}}', "\xff"])
def test_a_broken_main_json_is_one_warning_and_stays_as_it_is(tmp_path, text):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "main.json").write_text(text, "latin-1")
    done = run(tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.count("Warning") == done.stderr.count("main.json") == 1
    assert (tmp_path / "config" / "main.json").read_text("latin-1") == text


def test_a_current_folder_that_is_no_more_is_one_warning(tmp_path):
    code = "import os; os.rmdir(os.getcwd()); import cbm_lake"
    (tmp_path / "gone").mkdir()
    done = run(tmp_path / "gone", code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Warning") == 1
    assert "the current folder is no more" in done.stderr


def test_unknown_names_are_told_as_python_tells_them():
    import cbm_lake

    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        cbm_lake.nope  # noqa: B018


def test_every_public_name_can_be_had():
    import cbm_lake

    assert all(getattr(cbm_lake, name) is not None for name in cbm_lake.__all__)
    assert dir(cbm_lake) == sorted(cbm_lake.__all__)
