"""Importing the package changes nothing; the workspace is made when something is written into it."""

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

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


MAKE = "import cbm_lake; cbm_lake.Workspace.here().create()"
ALL = ["config", "config/main.json", "data", "temp"]


def test_an_import_changes_no_folder_and_no_variable_and_says_nothing(tmp_path):
    code = (
        "import os; before = dict(os.environ); import cbm_lake; cbm_lake.Workspace.here(); assert os.environ == before"
    )
    done = run(tmp_path, code)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not any(tmp_path.iterdir())


def test_the_workspace_is_made_in_the_current_folder_and_nothing_is_said(tmp_path):
    done = run(tmp_path, MAKE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(map(str, contents(tmp_path))) == ALL


WRITES = {
    "a setting": "cbm_lake.Workspace.here().configure('set', plimit=30)",
    "a note": "cbm_lake.get.notes.write('ms', 2024, '1', 'seen')",
    "the lake": "cbm_lake.open_lake().add_inspection({})",
    "a pseudonym": "cbm_lake.open_lake().export('select 1 as pid', 'rows.csv', pseudonymous=True)",
}


@pytest.mark.parametrize("what", WRITES)
def test_the_first_write_makes_the_workspace_and_lets_nobody_else_in(tmp_path, what):
    done = run(tmp_path, f"import contextlib, cbm_lake\nwith contextlib.suppress(Exception): {WRITES[what]}")
    assert done.returncode == 0, done.stderr
    assert set(ALL) <= {str(path) for path in contents(tmp_path)}
    assert all((tmp_path / name).stat().st_mode & 0o007 == 0 for name in ALL)


def test_reading_makes_nothing(tmp_path):
    code = """
import contextlib, cbm_lake
lake = cbm_lake.open_lake()
assert lake.is_empty and lake.sql("from s2").num_rows == 0 and lake.parcel_sets() == []
for ask in (cbm_lake.get.parcel_info.by_pid, cbm_lake.get.time_series.by_pid):
    with contextlib.suppress(cbm_lake.NotFoundError):
        ask("ms", 2024, "1")
"""
    done = run(tmp_path, code)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(tmp_path.iterdir())


def test_an_import_is_light_and_opens_no_socket(tmp_path):
    done = run(tmp_path, PEEK)
    assert (done.returncode, done.stderr) == (0, "")


def test_making_it_a_second_time_changes_nothing(tmp_path):
    run(tmp_path, MAKE)
    before = contents(tmp_path)
    run(tmp_path, MAKE)
    assert contents(tmp_path) == before


def test_the_variable_cbm_lake_home_says_where_the_workspace_is(tmp_path):
    elsewhere, home = tmp_path / "elsewhere", tmp_path / "home"
    elsewhere.mkdir()
    run(elsewhere, MAKE, home=home)
    assert not any(elsewhere.iterdir())
    assert (home / "config" / "main.json").exists()


@pytest.mark.parametrize("home", [None, "relative"])
def test_a_later_chdir_keeps_the_workspace_and_child_processes_are_told_of_it(tmp_path, home):
    code = """
import os, subprocess, sys, cbm_lake
os.mkdir("other"); os.chdir("other")
here = cbm_lake.Workspace.here()
print(here.root)
environment = {**os.environ, **here.environment()}
subprocess.run([sys.executable, "-c", "import cbm_lake; print(cbm_lake.Workspace.here().root)"], env=environment)
"""
    done = run(tmp_path, code, home=home)
    assert done.stdout.split() == [str(tmp_path / (home or ""))] * 2
    assert not any((tmp_path / "other").iterdir())


def test_a_folder_of_the_lake_that_a_variable_names_is_kept_too(tmp_path, monkeypatch):
    code = """
import os, cbm_lake
os.mkdir("other"); os.chdir("other")
here = cbm_lake.Workspace.here()
print(here.lake_url, here.environment()["CBM_LAKE_LAKE__URL"])
"""
    done = run(tmp_path, f"import os; os.environ['CBM_LAKE_LAKE__URL'] = 'mine'\n{code}", home=tmp_path / "home")
    assert done.stdout.split() == [str(tmp_path / "mine")] * 2


def refused(done):
    """The one line of a refusal."""
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("cbm_lake.errors.ConfigError: ")
    return done.stderr.splitlines()[-1]


def test_a_folder_that_cannot_be_made_is_refused_when_it_is_needed(tmp_path):
    (tmp_path / "file").write_text("in the way")
    home = tmp_path / "file" / "workspace"
    assert run(tmp_path, home=home).stderr == ""
    assert "cannot be written (Not a directory); set CBM_LAKE_HOME" in refused(run(tmp_path, MAKE, home=home))


def test_a_folder_without_rights_is_refused_when_it_is_needed(tmp_path):
    tmp_path.chmod(0o555)
    silent, done = run(tmp_path, before=powerless()), run(tmp_path, MAKE, before=powerless())
    tmp_path.chmod(0o755)
    assert (silent.returncode, silent.stderr) == (0, "")
    assert "Permission denied" in refused(done)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{nope", "[]", '{"paths": {"tmp": "x"}}', '{"set": {"plimit": 0}}', "\xff"])
def test_a_broken_main_json_is_named_when_it_is_needed_and_stays_as_it_is(tmp_path, text):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "main.json").write_text(text, "latin-1")
    silent, done = run(tmp_path), run(tmp_path, MAKE)
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "", "")
    assert "main.json" in refused(done)
    assert (tmp_path / "config" / "main.json").read_text("latin-1") == text


def test_a_current_folder_that_is_no_more_is_told_when_it_is_needed(tmp_path):
    gone = "import os; os.rmdir(os.getcwd()); "
    (tmp_path / "gone").mkdir()
    silent = run(tmp_path / "gone", gone + "import cbm_lake")
    (tmp_path / "gone").mkdir()
    done = run(tmp_path / "gone", gone + MAKE)
    assert (silent.returncode, silent.stderr) == (0, "")
    assert "the current folder is no more" in refused(done)


def test_unknown_names_are_told_as_python_tells_them():
    import cbm_lake

    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        cbm_lake.nope  # noqa: B018


def test_every_public_name_can_be_had():
    import cbm_lake

    assert all(getattr(cbm_lake, name) is not None for name in cbm_lake.__all__)
    assert dir(cbm_lake) == sorted(cbm_lake.__all__)


def test_the_names_for_tools_are_those_that_can_be_had():
    import cbm_lake

    (typed,) = [node for node in ast.parse(Path(cbm_lake.__file__).read_text()).body if isinstance(node, ast.If)]
    imported = {
        name.name: node.module.removeprefix("cbm_lake").lstrip(".") for node in typed.body for name in node.names
    }
    assert imported == cbm_lake._PUBLIC
    assert cbm_lake.__all__ == sorted(cbm_lake._PUBLIC)


def test_modules_go_by_the_names_that_they_had_in_version_0_1():
    from cbm_lake import backgrounds, basemaps, chips

    assert backgrounds is basemaps
    assert callable(basemaps.write)
    assert callable(chips.covering)


@pytest.mark.parametrize("name", ["cbm_lake.crops", "cbm_lake.foi", "cbm_lake.qa", "cbm_lake.season"])
def test_no_module_hides_a_public_name_that_is_imported_when_it_is_first_used(name):
    package = importlib.import_module(name)
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    hidden = {public for public, module in package._LATER.items() if public in modules and public != module}
    assert not hidden
