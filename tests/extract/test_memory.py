"""Memory that runs out costs the scene that wants it, never the run and never the lake: in real control groups."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_dask import SCENES, YEAR, fill, rows, scenes  # noqa: F401 - a fixture

from cbm_lake import extract
from cbm_lake.extract import child, memory, running
from cbm_lake.lake import Lake

LIMIT = 1_200_000_000
GREEDY = """
import os, sys
if os.environ.get("GREEDY") and not any("resource_tracker" in word for word in sys.orig_argv):
    from cbm_lake.extract import scene
    kept, signatures = [], scene.signatures

    def greedy(job):
        if job.scene.id == os.environ["GREEDY"]:
            while True:
                kept.append(bytearray(os.urandom(1 << 20)) * 64)
        return signatures(job)

    scene.signatures = greedy
"""
RUN = """
import sys
from cbm_lake import extract
from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake

if __name__ == "__main__":
    year = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024, "bands": ("B04", "B08")}
    try:
        extract.s2(**year, workers=int(sys.argv[2]), lake=Lake(sys.argv[1]))
    except SourceError as error:
        print(error)
"""


class Group:
    """A control group that limits memory, of version 1 or 2."""

    def __init__(self, name, limit):
        root = Path("/sys/fs/cgroup")
        second = (root / "cgroup.controllers").exists()
        self.folder = (root if second else root / "memory") / name
        self.folder.mkdir()
        (self.folder / ("memory.max" if second else "memory.limit_in_bytes")).write_text(str(limit))

    def run(self, command, **options):
        inside = ["sh", "-c", f'echo $$ > {self.folder}/cgroup.procs && exec "$@"', "sh", *command]
        return subprocess.run(inside, capture_output=True, text=True, check=False, **options)


@pytest.fixture
def group():
    """A group with little memory, where this process may make one."""
    try:
        made = Group(f"cbm-lake-test-{os.getpid()}", LIMIT)
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield made
    made.folder.rmdir()


@pytest.fixture
def lake(tmp_path, scenes):  # noqa: F811
    return fill(tmp_path / "lake", scenes)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_a_scene_that_takes_all_memory_fails_with_the_reason_and_the_others_are_done(group, lake, tmp_path, workers):
    greedy = extract.plan("s2", **YEAR, lake=lake).jobs[1].scene.id
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(GREEDY)
    (tmp_path / "run.py").write_text(RUN)
    path = os.pathsep.join([str(tmp_path / "site"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(tmp_path / "run.py"), lake.url, str(workers)]
    ended = group.run(command, env={**os.environ, "GREEDY": greedy, "PYTHONPATH": path}, timeout=600)
    assert ended.returncode == 0, ended.stderr
    assert f"1 of {SCENES} scenes failed, {SCENES - 1} are done" in ended.stdout
    assert "for want of memory" in ended.stdout
    assert "give" in ended.stdout  # what to do
    assert lake.query("scenes.failed")["scene"].to_pylist() == [greedy]
    extract.s2(**YEAR, workers=0, lake=Lake(lake.url))  # where there is memory
    done = Lake(lake.url).sql("select count(*) as n from extractions where status = 'done'")
    assert done["n"].to_pylist() == [SCENES]


WATCH = "from cbm_lake.extract import memory; print(memory.free())"


@pytest.mark.slow
def test_what_a_control_group_has_left_is_what_is_free(group):
    ended = group.run([sys.executable, "-c", WATCH], timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert LIMIT / 2 < int(ended.stdout) < LIMIT
    assert memory.free() > LIMIT  # outside of it


def group_files(folder, names, most, used, cached):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (most, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"cache 1\ninactive_file {cached}\ntotal_inactive_file {cached}\n")


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes")
V2 = ("memory.max", "memory.current")


@pytest.mark.parametrize(
    ("line", "root", "names"),
    [("4:memory:/outer/inner", "memory", V1), ("3:cpu,memory:/outer/inner", "memory", V1), ("0::/outer/inner", "", V2)],
)
def test_the_tightest_of_nested_groups_counts(tmp_path, monkeypatch, line, root, names):
    own = tmp_path / "self"
    own.write_text(f"7:pids:/elsewhere\n{line}\n")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(memory, "_OWN", own)
    top = tmp_path / "groups" / root
    group_files(top / "outer" / "inner", names, 900, 400, 100)  # 600 left
    group_files(top / "outer", names, 1000, 700, 50)  # 350 left
    group_files(top, names, "max" if names is V2 else 2**62, 5_000, 0)
    assert memory.free() == 350
    group_files(top / "outer", names, 1000, 1200, 0)
    assert memory.free() == 0


def test_without_control_groups_the_machine_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_OWN", tmp_path / "nothing")
    assert memory.free() > 0


def job(indices=(), **raster):
    given = {"grid": SimpleNamespace(shape=(10_980, 10_980)), "href": "B04.tif", **raster}
    return SimpleNamespace(rasters={"B04": SimpleNamespace(**given)}, bands=("B04",) * 10, indices=indices)


def test_what_a_scene_may_take_is_above_what_was_measured():
    assert memory.needed(job(), 500_000) > 2_600_000_000  # measured: 10 bands of a tile with half a million parcels
    assert memory.needed(job(indices=("ndvi",)), 500_000) > memory.needed(job(), 500_000) + 700_000_000
    assert memory.needed(job(href="B04.jp2"), 1) > memory.needed(job(), 1)
    assert memory.needed(job(grid=SimpleNamespace(shape=(100, 100))), 1) < 1.1e9


@pytest.mark.slow
def test_where_memory_is_short_scenes_are_extracted_in_another_process_with_the_same_rows(lake, monkeypatch, tmp_path):
    used = []
    ask = child.Child._ask
    monkeypatch.setattr(child.Child, "_ask", lambda self, job: used.append(job) or ask(self, job))
    monkeypatch.setattr(running.memory, "free", lambda: 500_000_000)
    extract.s2(**YEAR, workers=0, lake=lake)
    assert len(used) == SCENES
    monkeypatch.undo()
    again = Lake(lake.url)
    alone = rows(again)
    extract.s2(**YEAR, workers=0, again=True, lake=again)
    assert rows(again).equals(alone)
