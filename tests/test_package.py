"""The wheel is whole: it carries every file that the package reads."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    if not importlib.util.find_spec("hatchling"):
        pytest.skip("hatchling, which builds the wheel, is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(folder),
        str(ROOT),
    ]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(next(folder.glob("cbm_lake-*.whl"))) as opened:
        yield opened


def test_the_wheel_contains_every_sql_file(wheel):
    expected = {f"cbm_lake/{file.relative_to(ROOT)}" for file in (ROOT / "sql").rglob("*.sql")}
    assert len(expected) > 20
    assert {name for name in wheel.namelist() if name.endswith(".sql")} == expected


def test_the_wheel_contains_every_file_of_the_package_and_nothing_else(wheel):
    files = (ROOT / "cbm_lake").rglob("*")
    expected = {str(file.relative_to(ROOT)) for file in files if file.is_file() and "__pycache__" not in file.parts}
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name and not name.endswith(".sql")}
    assert inside == {name for name in expected if not name.endswith(".sql")}


def test_the_command_and_the_licence_are_declared(wheel):
    names = {Path(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "cbm-lake = cbm_lake.cli:main" in wheel.read(names["entry_points.txt"]).decode()
    assert "LICENSE" in names


def test_queries_are_found_in_an_unpacked_wheel(wheel, tmp_path):
    wheel.extractall(tmp_path / "site")
    code = "import cbm_lake.queries as q; print(q.__file__, len(q.statements()) + len(q.definitions()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "CBM_LAKE_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    file, number = done.stdout.split()
    assert file.startswith(str(tmp_path / "site"))
    assert int(number) == len(list((ROOT / "sql").rglob("*.sql")))
