"""While others write a lake, and after they were killed, `check` gives no false alarm."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import damage
import factories
import pytest

import cbm_lake.lake.check as checking
from cbm_lake import extract
from cbm_lake.files import durable
from cbm_lake.lake import Lake
from cbm_lake.lake.check import check

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Object at .* is not recognized:UserWarning"),  # a draft of who was killed
]


@pytest.fixture
def lake(undamaged, tmp_path):
    return damage.copy(undamaged, tmp_path / "lake")


def faults(lake, *, deep=False):
    return [row for row in check(Lake(lake.url), deep=deep).to_pylist() if row["severity"] == "fault"]


def extracted(lake):
    extract.s2(**damage.SEASON, bands=(*damage.BANDS, "B11"), workers=0, lake=lake)


def extracted_again(lake):
    extract.s2(**damage.SEASON, bands=damage.BANDS, workers=0, again=True, lake=lake)


def compacted(lake):
    lake.compact()


def vacuumed(lake):
    lake.vacuum(0)


def loaded(lake):
    lake.add_parcels("other", 2024, "", "v1", factories.parcels())


def catalogued(lake):
    lake.add_scenes(factories.scenes("X", "Y"))


WORKS = {work.__name__: work for work in (extracted, extracted_again, compacted, vacuumed, loaded, catalogued)}


@pytest.mark.parametrize("work", WORKS.values())
def test_at_every_moment_of_a_command_there_is_no_fault(lake, work, monkeypatch):
    """Looked whenever the command has put a file on the disk, or is about to."""
    sync, looks, found = durable._sync, [], []

    def looked(path):
        if str(path).startswith(lake.url) and len(looks) < 40:
            looks.append(path)
            monkeypatch.setattr(durable, "_sync", sync)
            found.extend(faults(lake))
            monkeypatch.setattr(durable, "_sync", looked)
        sync(path)

    monkeypatch.setattr(durable, "_sync", looked)
    work(Lake(lake.url))
    monkeypatch.setattr(durable, "_sync", sync)
    assert found == []
    assert faults(lake, deep=True) == []
    assert looks or work is vacuumed


@pytest.mark.parametrize("work", WORKS.values())
@pytest.mark.parametrize("moment", ["check_table", "check_parcels", "check_cubes", "check_settled"])
def test_a_command_in_the_midst_of_a_look_makes_no_fault(lake, work, moment, monkeypatch):
    """The files are listed, then a whole command runs, then they are opened."""
    step, todo = getattr(checking, moment), [work]

    def disturbed(*args):
        if todo:
            todo.pop()(Lake(lake.url))
        return step(*args)

    monkeypatch.setattr(checking, moment, disturbed)
    assert faults(lake, deep=True) == []
    assert todo == []


def test_what_is_really_wrong_is_told_though_a_command_runs_meanwhile(lake, monkeypatch):
    (file,) = Path(lake.url).glob("cubes/s2/*/B04/c/0/0/0")
    damage.emptied(file)
    step, todo = checking.check_cubes, [loaded]

    def disturbed(*args):
        if todo:
            todo.pop()(Lake(lake.url))
        return step(*args)

    monkeypatch.setattr(checking, "check_cubes", disturbed)
    assert [row["file"] for row in faults(lake)] == [str(file.relative_to(lake.url))]


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_check_running as running
left, sync = int(sys.argv[4]), running.durable._sync

def counted(path):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(path)

running.durable._sync = counted
running.WORKS[sys.argv[2]](running.Lake(sys.argv[3]))
"""


@pytest.mark.parametrize(
    ("work", "moment"),
    [
        *(("extracted", moment) for moment in (2, 9, 23, 41, 60, 75)),
        *(("extracted_again", moment) for moment in (3, 14, 33)),
        *(("compacted", moment) for moment in (1, 6, 13)),
        *(("loaded", moment) for moment in (0, 2, 4)),
    ],
)
def test_after_a_kill_there_is_no_fault_and_the_command_completes(lake, work, moment, undamaged):
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parents[1]), work, lake.url, str(moment)]
    ended = subprocess.run(command, check=False, capture_output=True, env=dict(os.environ))
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    assert faults(lake, deep=True) == []
    WORKS[work](Lake(lake.url))
    assert faults(lake, deep=True) == []
