"""The wheel is whole: it carries every file that the package reads."""

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cbm_lake.lake import queries

pytestmark = pytest.mark.thorough


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
    code = "import cbm_lake.lake.queries as q; print(q.__file__, len(q.statements()) + len(q.definitions()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site"), "CBM_LAKE_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    file, number = done.stdout.split()
    assert file.startswith(str(tmp_path / "site"))
    assert int(number) == len(queries.statements()) + len(queries.definitions())


def pinned():
    """Every release of constraints.txt: name, version, digests; a name may stand there for several platforms."""
    text = (ROOT / "constraints.txt").read_text()
    entries = re.split(r"\n(?=\S)", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    for entry in entries:
        name, version = re.match(r"([A-Za-z0-9._-]+)==([^\s;\\]+)", entry).groups()
        yield canonicalize_name(name), version, re.findall(r"--hash=(\S+)", entry)


def test_every_package_that_is_installed_has_its_digests_and_no_host_is_named():
    releases = list(pinned())
    assert len(releases) > 300
    for name, version, digests in releases:
        assert digests, f"{name} {version} has no digest"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in digests), name
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_what_is_installed_is_what_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    asked += [*project["build-system"]["requires"], *(name for extra in extras for name in extra)]
    releases = list(pinned())
    for requirement in map(Requirement, asked):
        versions = [version for name, version, _ in releases if name == canonicalize_name(requirement.name)]
        assert versions, f"{requirement.name} is not in constraints.txt: make lock"
        assert all(requirement.specifier.contains(version) for version in versions), requirement


APPLICATIONS = frozenset({"hvplot", "jupyterlab"})
"""Declared for people who start them or draw with them in notebooks; the package does not import them."""


def imported():
    """The top-level packages that the modules of cbm_lake import, but for type checking alone."""
    for file in (ROOT / "cbm_lake").rglob("*.py"):
        tree = ast.parse(file.read_text())
        blocks = [
            node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ]
        unchecked = {id(node) for block in blocks for node in ast.walk(block)}
        for node in ast.walk(tree):
            if id(node) in unchecked:
                continue
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module.partition(".")[0]


def test_every_package_that_is_imported_is_declared_and_every_declared_one_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {canonicalize_name(Requirement(line).name) for line in requirements}
    modules = set(imported()) - sys.stdlib_module_names - {"cbm_lake"}
    providers = packages_distributions()
    unknown = {module for module in modules if not declared & {*map(canonicalize_name, providers.get(module, []))}}
    assert unknown == set(), "imported, not declared"
    used = {canonicalize_name(name) for module in modules for name in providers[module]}
    assert declared - used == APPLICATIONS, "declared, not imported"
