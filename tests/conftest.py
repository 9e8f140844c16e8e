"""What every test shares: a workspace of its own, the lake in it, and the real data where they are to be had."""

import os
import sys
import tempfile

os.environ["CBM_LAKE_HOME"] = tempfile.mkdtemp(prefix="cbm-lake-")  # before the first import of the package
os.environ["COLUMNS"] = "300"  # consoles look once how wide they are, and workers of pytest are 80 wide

from pathlib import Path
from unittest import mock

import pytest
from hypothesis import settings

FOLDERS = [
    str(Path(__file__).parent),
    *(str(path) for path in sorted(Path(__file__).parent.iterdir()) if path.is_dir()),
]
"""Whose modules tests, and the processes that they start, import from each other."""
sys.path += FOLDERS
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (os.environ.get("PYTHONPATH"), *FOLDERS)))

settings.register_profile("patient", deadline=None)  # how long an example takes decides no test
settings.load_profile("patient")

REALDATA = Path(__file__).parent.parent.parent / "shared" / "realdata"


@pytest.fixture(scope="session", autouse=True)
def mains():
    """A test loses no power, so none waits for the disk; those that listen to syncs hear of each all the same."""
    with mock.patch.object(os, "fsync", return_value=None):
        yield


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Real scenes and parcels that may lie beside a checkout; never part of the project."""
    if not REALDATA.is_dir():
        pytest.skip("no real data beside this checkout")
    return REALDATA


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty workspace, in force for this test."""
    from cbm_lake.config import Workspace

    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    return Workspace.here().create()


@pytest.fixture
def lake(workspace):
    """The empty lake of that workspace."""
    from cbm_lake.lake import open_lake

    return open_lake()


@pytest.fixture(scope="session")
def two_scenes(tmp_path_factory):
    """A lake as `factories.fill` makes it, once; tests write to copies of it (`factories.copied`)."""
    from factories import fill

    from cbm_lake.lake import Lake

    return fill(Lake(str(tmp_path_factory.mktemp("two-scenes"))))


@pytest.fixture(scope="session")
def undamaged(tmp_path_factory):
    """A lake of scenes, parcels and cubes that is made once; tests damage copies of it (`damage.copy`)."""
    import damage

    return damage.build(tmp_path_factory.mktemp("undamaged"))
