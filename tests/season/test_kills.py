"""A night that is killed at any step is continued by the next one: nothing is lost, nothing is done twice."""

import signal
import subprocess
import sys

import pytest
import small_season
from test_run import anew, same

from cbm_lake import season
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


KILLED = """
import os, signal, sys
from cbm_lake import season
from cbm_lake.lake import Lake
from cbm_lake.season import exporting, gathering, guarding, judging, nightly

file, lake, step, moment = sys.argv[1:]

def killed(original):
    def work(self, progress):
        if moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, progress)
        os.kill(os.getpid(), signal.SIGKILL)
    return work

where = {
    "parcels": (gathering.Loading, "load"), "catalogue": (gathering.Cataloguing, "take"),
    "extract": (gathering.Extracting, "extract"), "guard": (guarding.Guarding, "offsets"),
    "shifts": (guarding.Guarding, "shifts"), "markers": (judging.Judging, "find"),
    "lights": (judging.Judging, "record"), "export": (exporting.Exporting, "write"),
    "compact": (nightly.Steps, "_compact"),
}
owner, name = where[step]
setattr(owner, name, killed(getattr(owner, name)))
season.run(file, lake=Lake(lake))
"""
"""A night that is killed before the first work of a step, or after it and before the journal has it."""
COMMITS = """
import os, signal, sys
from cbm_lake import season
from cbm_lake.lake import Lake
from cbm_lake.storage.commits import Committed

file, lake, number, moment = sys.argv[1:]
original, count = Committed.commit, 0

def commit(self, *args, **options):
    global count
    count += 1
    if count == int(number) and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    original(self, *args, **options)
    if count == int(number):
        os.kill(os.getpid(), signal.SIGKILL)

Committed.commit = commit
season.run(file, lake=Lake(lake))
"""
"""A night that is killed before or after its n-th commit to any table."""


def kill(script, folder, *words):
    command = [sys.executable, "-c", script, str(folder / "season.yaml"), str(folder / "lake"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def begin(folder):
    """A season of one area and two dates: each night is killed once, so it has to be a small one."""
    small_season.make(folder, scenes=2)
    lines = (folder / "season.yaml").read_text().splitlines()
    one = [line for line in lines if "aoi: be" not in line and "start: 2023" not in line]
    (folder / "season.yaml").write_text("\n".join(one))
    return Lake(str(folder / "lake"))


def undisturbed(folder):
    """What the verbs give one by one."""
    return anew(folder, folder / "undisturbed", (("ms", 2024),))


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_night_killed_at_each_step_in_turn_ends_as_one_that_was_not(tmp_path, moment):
    lake = begin(tmp_path)
    for step in ("parcels", "catalogue", "extract", "guard", "shifts", "markers", "lights", "export", "compact"):
        ended = kill(KILLED, tmp_path, step, moment)
        assert ended.returncode == -signal.SIGKILL, (step, ended.stderr)
        assert season.last_run(lake)["outcome"] is None
    night = season.run(tmp_path / "season.yaml", lake=lake)
    assert not night.failed
    assert {entry.key.step for entry in night.changed} <= {"export", "compact"}
    assert same(lake, undisturbed(tmp_path))
    assert lake.unsettled() == []
    attempts = lake.sql("select scene, aoi, year, count(*) as tries from ledger where status = 'done' group by all")
    assert set(attempts["tries"].to_pylist()) == {1}  # nothing was extracted twice


@pytest.mark.slow
def test_a_night_killed_at_its_commits_ends_as_one_that_was_not(tmp_path):
    lake = begin(tmp_path)
    for number, moment in ((2, "after"), (7, "before"), (5, "after"), (9, "before"), (6, "after"), (11, "before")):
        ended = kill(COMMITS, tmp_path, number, moment)
        assert ended.returncode in (-signal.SIGKILL, 0), ended.stderr
    night = season.run(tmp_path / "season.yaml", lake=lake)
    assert not night.failed
    assert same(lake, undisturbed(tmp_path))
    assert lake.unsettled() == []


def test_a_run_that_was_killed_gives_its_lock_back(tmp_path):
    small_season.make(tmp_path, scenes=1)
    ended = kill(KILLED, tmp_path, "catalogue", "after")
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    lake = Lake(str(tmp_path / "lake"))
    with lake.alone("night run"):
        pass
    assert season.last_run(lake)["outcome"] is None
    assert lake.sql("from scenes").num_rows == 2
