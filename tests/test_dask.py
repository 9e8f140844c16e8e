"""Extraction on Dask with real processes: whatever is killed, the table is that of a serial run."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from cbm_lake import card2db, extract, parcels
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.extract import running
from cbm_lake.extract.jobs import Outcome
from cbm_lake.lake import Lake

YEAR = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024, "bands": ("B04", "B08")}
SCENES = 6


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("sample"), dates=SCENES, size=160)


def fill(folder, scenes):
    lake = Lake(str(folder))
    card2db.items(str(scenes.items["s2"]), lake=lake)
    parcels.load(str(scenes.parcels), "demo", 2024, pid="parcel_id", lake=lake)
    return lake


@pytest.fixture
def lake(tmp_path, scenes):
    return fill(tmp_path / "lake", scenes)


@pytest.fixture(scope="module")
def serial(tmp_path_factory, scenes):
    """What a serial run gives."""
    lake = fill(tmp_path_factory.mktemp("serial") / "lake", scenes)
    extract.s2(**YEAR, workers=0, lake=lake)
    return rows(lake)


def rows(lake):
    return lake.sql("from s2 order by scene, pid")


def assert_whole(lake, serial):
    """The rows are those of the serial run, none twice, and the ledger says so."""
    assert rows(lake).equals(serial)
    done = lake.sql("select count(*) as n from extractions where status = 'done'")
    assert done["n"].to_pylist() == [SCENES]
    kept = lake.sql("select count(*) as n, count(distinct (scene, pid)) as different from signatures_s2").to_pylist()[0]
    assert kept["n"] == kept["different"] == serial.num_rows


class Cluster:
    """A scheduler and workers as processes of their own, on loopback."""

    def __init__(self, folder):
        self.file = folder / "scheduler.json"
        self.log = (folder / "log.txt").open("w")
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        self.workers = []
        deadline = time.monotonic() + 30
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, *words):
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(self.file)]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def work(self, count):
        """Start workers that nobody starts again."""
        for _ in range(count):
            self.workers.append(self.start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard"))
        return self

    def close(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait(10)
        self.log.close()


@contextmanager
def cluster(folder, workers):
    made = Cluster(folder)
    try:
        yield made.work(workers)
    finally:
        made.close()


def test_on_a_scheduler_with_workers_the_rows_are_those_of_a_serial_run(lake, serial, tmp_path):
    with cluster(tmp_path, 2) as dask:
        done = extract.s2(**YEAR, scheduler=dask.address, lake=lake)
    assert done.scenes == SCENES
    assert_whole(lake, serial)


def test_a_killed_worker_costs_nothing_but_time(lake, serial, tmp_path):
    with cluster(tmp_path, 2) as dask:

        def kill(done, _):
            if done == 1:
                dask.workers[0].send_signal(signal.SIGKILL)

        assert extract.s2(**YEAR, scheduler=dask.address, lake=lake, progress=kill).scenes == SCENES
    assert_whole(lake, serial)


CLIENT = """
import json, sys
from cbm_lake import extract
from cbm_lake.lake import Lake

options = json.loads(sys.argv[2])
if __name__ == "__main__":
    extract.s2(**options, lake=Lake(sys.argv[1]), progress=lambda *seen: print(*seen, flush=True))
"""


def client(folder, lake, **options):
    """A process that extracts and prints its progress."""
    script = folder / "client.py"
    script.write_text(CLIENT)
    command = [sys.executable, str(script), lake.url, json.dumps({**YEAR, **options})]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_killed_client_is_followed_by_another_that_ends_the_work(lake, serial, tmp_path):
    with cluster(tmp_path, 1) as dask:
        killed = client(tmp_path, lake, scheduler=dask.address)
        assert killed.stdout.readline()
        killed.kill()
        killed.communicate()
        done = extract.s2(**YEAR, scheduler=dask.address, lake=lake)
    assert done.scenes < SCENES
    assert_whole(lake, serial)


def test_two_clients_at_once_do_the_same_work_and_leave_it_once(lake, serial, tmp_path):
    with cluster(tmp_path, 2) as dask:
        started = [client(tmp_path, lake, scheduler=dask.address) for _ in range(2)]
        errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert_whole(lake, serial)


def test_a_lost_scheduler_is_one_line_that_says_how_far_it_came(lake, serial, tmp_path):
    with cluster(tmp_path, 1) as dask:

        def kill(done, _):
            if done == 2:
                dask.scheduler.send_signal(signal.SIGKILL)

        with pytest.raises(SourceError, match=r"the Dask scheduler was lost: \d of 6 scenes are done") as caught:
            extract.s2(**YEAR, scheduler=dask.address, lake=lake, progress=kill)
    assert "\n" not in str(caught.value)
    extract.s2(**YEAR, workers=0, lake=lake)
    assert_whole(lake, serial)


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_PATIENCE", 0.5)
    with (
        cluster(tmp_path, 0) as dask,
        pytest.raises(SourceError, match=f"{dask.address} has no workers; start some with: dask worker"),
    ):
        extract.s2(**YEAR, scheduler=dask.address, lake=lake)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "nope://x:1", "127.0.0.1:notaport"])
def test_a_scheduler_that_is_none_is_one_line(lake, address):
    with pytest.raises(SourceError, match="no Dask scheduler answers at"):
        extract.s2(**YEAR, scheduler=address, lake=lake)


def test_fewer_than_no_workers_are_refused(lake):
    with pytest.raises(InvalidInputError, match="workers=-1 is no number of processes"):
        extract.s2(**YEAR, workers=-1, lake=lake)


def test_processes_of_a_script_without_main_guard_are_refused_with_what_to_do(lake, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CLIENT.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, str(script), lake.url, json.dumps({**YEAR, "workers": 2})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "cbm_lake.errors.InvalidInputError: worker processes cannot be started"
    )
    assert "__main__" in done.stderr.splitlines()[-1]


def test_what_goes_through_the_scheduler_is_small(lake):
    jobs = extract.plan("s2", **{**YEAR, "bands": None}, lake=lake).jobs
    assert max(len(pickle.dumps(job)) for job in jobs) < 5_000


def test_a_fault_in_one_scene_is_recorded_and_the_others_are_done(lake, monkeypatch, caplog):
    work = running.extract_scene
    first = extract.plan("s2", **YEAR, lake=lake).jobs[0].scene.id

    def fault(job):
        if job.scene.id == first:
            raise ZeroDivisionError("a fault in the program")
        return work(job)

    monkeypatch.setattr(running, "extract_scene", fault)
    with pytest.raises(SourceError, match=r"1 of 6 scenes failed.*ZeroDivisionError: a fault in the program"):
        extract.s2(**YEAR, workers=0, lake=lake)
    assert lake.query("scenes.failed")["scene"].to_pylist() == [first]
    assert "Traceback" in caplog.text


def test_a_remote_scene_that_could_not_be_read_is_tried_once_more(lake, monkeypatch):
    todo, tries = extract.plan("s2", **YEAR, lake=lake), []

    def break_once(job):
        tries.append(job.scene.id)
        broken = tries.count(job.scene.id) == 1 and job.scene.id == todo.jobs[0].scene.id
        return Outcome(job.scene.id, 0 if broken else 7, "no answer" if broken else None, reading=broken)

    monkeypatch.setattr(running, "extract_scene", break_once)
    monkeypatch.setattr(running, "_is_remote", lambda job: True)
    done = extract.run(todo, workers=0)
    assert (done.scenes, done.rows) == (SCENES, 7 * SCENES)
    assert tries == [*(job.scene.id for job in todo.jobs), todo.jobs[0].scene.id]
