"""Extraction on Dask with real processes: whatever is killed, the table is that of a serial run."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager

import dask
import distributed
import pytest

from cbm_lake import card2db, extract, parcels
from cbm_lake.config import Workspace
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.extract import clusters, running
from cbm_lake.extract.jobs import Outcome
from cbm_lake.lake import Lake

YEAR = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024, "bands": ("B04", "B08")}
SCENES = 6
pytestmark = pytest.mark.slow


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
    """A scheduler, and workers that nobody starts again, as processes of their own, on loopback."""

    def __init__(self, folder, workers):
        self.file = folder / "scheduler.json"
        self.log = (folder / "log.txt").open("w")
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        alone = ("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        self.workers = [self.start(*alone) for _ in range(workers)]  # they wait for the scheduler's file
        deadline = time.monotonic() + 30
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, *words):
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(self.file)]
        return subprocess.Popen(command, stdout=self.log, stderr=self.log, env={**os.environ, "OMP_NUM_THREADS": "1"})

    def close(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait(10)
        self.log.close()


@contextmanager
def cluster(folder, workers):
    made = Cluster(folder, workers)
    try:
        yield made
    finally:
        made.close()


def test_on_a_scheduler_with_workers_the_rows_are_those_of_a_serial_run(lake, serial, tmp_path):
    with cluster(tmp_path, 2) as made:
        done = extract.s2(**YEAR, scheduler=made.address, lake=lake)
    assert done.scenes == SCENES
    assert_whole(lake, serial)


def test_a_killed_worker_costs_nothing_but_time(lake, serial, tmp_path):
    with cluster(tmp_path, 2) as made:

        def kill(done, _):
            if done == 1:
                made.workers[0].send_signal(signal.SIGKILL)

        assert extract.s2(**YEAR, scheduler=made.address, lake=lake, progress=kill).scenes == SCENES
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


@pytest.mark.slow
def test_a_killed_client_is_followed_by_another_that_ends_the_work(lake, serial, tmp_path):
    with cluster(tmp_path, 1) as made:
        killed = client(tmp_path, lake, scheduler=made.address)
        assert killed.stdout.readline()
        killed.kill()
        killed.communicate()
        done = extract.s2(**YEAR, scheduler=made.address, lake=lake)
    assert done.scenes < SCENES
    assert_whole(lake, serial)


@pytest.mark.slow
def test_two_clients_at_once_do_the_same_work_and_leave_it_once(lake, serial, tmp_path):
    with cluster(tmp_path, 2) as made:
        started = [client(tmp_path, lake, scheduler=made.address) for _ in range(2)]
        errors = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], errors
    assert_whole(lake, serial)


def test_a_lost_scheduler_is_one_line_that_says_how_far_it_came(lake, serial, tmp_path):
    with cluster(tmp_path, 1) as made:

        def kill(done, _):
            if done == 2:
                made.scheduler.send_signal(signal.SIGKILL)

        with pytest.raises(SourceError, match=r"the Dask scheduler \S+ was lost .*: \d of 6 scenes are done") as caught:
            extract.s2(**YEAR, scheduler=made.address, lake=lake, progress=kill)
    assert "\n" not in str(caught.value)
    extract.s2(**YEAR, workers=0, lake=lake)
    assert_whole(lake, serial)


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(lake, tmp_path):
    with (
        cluster(tmp_path, 0) as made,
        pytest.raises(SourceError, match=rf"{made.address} has no workers \(start some with: dask worker .*: 0 of 6"),
    ):
        extract.s2(**YEAR, scheduler=made.address, patience=0.5, lake=lake)


@pytest.mark.slow
def test_when_all_workers_have_died_the_others_are_not_waited_for_for_ever(lake, serial, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_LOOK", 0.5)
    with cluster(tmp_path, 1) as made:

        def kill(done, _):
            if done == 1:
                made.workers[0].send_signal(signal.SIGKILL)

        with pytest.raises(SourceError, match=r"has no workers .*: [12] of 6 scenes are done; run again for the other"):
            extract.s2(**YEAR, scheduler=made.address, patience=10, lake=lake, progress=kill)
    extract.s2(**YEAR, workers=0, lake=lake)
    assert_whole(lake, serial)


def die_at(name):
    """What does the work of a scene, but kills its process at one of them."""

    def work(job):
        if job.scene.id == name:
            os.kill(os.getpid(), signal.SIGKILL)
        return extract.extract_scene(job)

    return work


def test_a_scene_that_kills_its_worker_is_recorded_and_the_others_are_done(lake, monkeypatch):
    first = extract.plan("s2", **YEAR, lake=lake).jobs[0].scene.id
    monkeypatch.setattr(running, "extract_scene", die_at(first))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(SourceError, match=r"1 of 6 scenes failed, 5 are done.*: its workers died, for want of memory"),
    ):
        extract.s2(**YEAR, workers=1, lake=lake)
    assert lake.query("scenes.failed")["scene"].to_pylist() == [first]


INTERRUPTED = """
import os, signal
from cbm_lake import extract
from cbm_lake.cli import main

run = extract.run


def interrupted(todo, *, progress, **options):
    def interrupt(done, total):
        progress(done, total)
        if done == 2:
            os.killpg(0, signal.SIGINT)

    return run(todo, progress=interrupt, **options)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it
    extract.run = interrupted
    main()
"""


@pytest.mark.slow
def test_an_interrupt_ends_in_one_line_and_the_next_run_does_the_rest(lake, serial, tmp_path):
    (tmp_path / "script.py").write_text(INTERRUPTED)
    options = [f"--{name}={YEAR[name]}" for name in ("start", "end", "aoi", "year")]
    command = [sys.executable, "script.py", f"--lake={lake.url}", "extract", "s2", *options, "--bands=B04,B08"]
    stopped = subprocess.run(
        [*command, "--workers=2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        start_new_session=True,
        check=False,
    )
    assert stopped.returncode == 130
    assert "stopped: 2 of 6 scenes are done; the same command goes on from there" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert extract.s2(**YEAR, workers=0, lake=lake).scenes <= SCENES - 2
    assert_whole(lake, serial)


def told(**others):
    """What Dask says of the versions on a cluster of two workers, of which the last has others."""
    packages = {
        "python": "3.11.7.final.0",
        "dask": "2026.3.0",
        "distributed": distributed.__version__,
        "msgpack": "1.1.0",
    }
    packages |= {"cloudpickle": "3.1.0", "cbm-lake": clusters.version("cbm-lake")}
    workers = {"tcp://a:1": {"packages": packages}, "tcp://b:1": {"packages": {**packages, **others}}}
    return {"client": {"packages": packages}, "scheduler": {"packages": packages}, "workers": workers}


@pytest.mark.parametrize(
    ("held", "words"), [("9.9", "worker tcp://b:1 has 9.9;"), (None, "worker tcp://b:1 has none;")]
)
def test_a_worker_with_another_version_of_the_package_is_refused(held, words):
    with pytest.raises(SourceError, match=words):
        clusters.check_versions(told(**{"cbm-lake": held}))


def test_other_versions_than_the_packages_own_are_one_line_of_warning(caplog):
    clusters.check_versions(told())
    assert not caplog.records
    clusters.check_versions(told(dask="2025.1.0", python="3.12.1.final.0"))
    (record,) = caplog.records
    assert "dask is 2026.3.0 here and 2025.1.0 there, python is 3.11.7.final.0 here and 3.12.1" in record.getMessage()


def test_there_are_no_more_processes_than_jobs_cores_and_memory_allow(monkeypatch):
    monkeypatch.setattr("dask.system.CPU_COUNT", 8)
    for free, jobs, asked, count in [
        (64, 100, None, 8),
        (10, 100, None, 3),
        (1, 100, None, 1),
        (64, 5, None, 5),
        (1, 9, 4, 4),
    ]:
        monkeypatch.setattr(clusters, "_free_memory", lambda free=free: free * 10**9)
        assert clusters.worker_count(jobs, asked) == count


def test_local_workers_share_the_free_memory_and_never_pause(monkeypatch):
    monkeypatch.setattr(clusters, "_free_memory", lambda: 8 * 10**9)
    with clusters.local(1, 1) as client:
        nanny = next(iter(client.cluster.workers.values()))
        assert nanny.memory_manager.memory_limit == 8 * 10**9
        ((address, pid),) = client.run(os.getpid).items()
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while list(client.nthreads()) in ([], [address]) and time.monotonic() < deadline:
            time.sleep(0.1)  # until another is started in its place, with the same settings
        (memory,) = client.run(dask.config.get, "distributed.worker.memory").values()
    assert (memory["pause"], memory["spill"], memory["target"]) == (False, False, False)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "nope://x:1", "127.0.0.1:notaport"])
def test_a_scheduler_that_is_none_is_one_line(lake, address):
    with pytest.raises(SourceError, match="no Dask scheduler answers at"):
        extract.s2(**YEAR, scheduler=address, lake=lake)


@contextmanager
def threads(workers):
    """A cluster in this process."""
    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
    with distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        scheduler_kwargs=quiet,
    ) as made:
        yield made


def test_a_cluster_that_gets_workers_only_when_work_waits_is_given_work_first(lake, serial):
    with threads(0) as made:
        made.adapt(minimum=0, maximum=2, interval="50ms")
        assert extract.s2(**YEAR, scheduler=made.scheduler_address, lake=lake).scenes == SCENES
    assert_whole(lake, serial)


def test_a_cluster_object_is_a_scheduler_and_stays_usable(lake, serial):
    with threads(1) as made:
        assert extract.s2(**YEAR, scheduler=made, lake=lake).scenes == SCENES
        with distributed.Client(made, set_as_default=False) as client:
            assert client.submit(pow, 2, 5).result() == 32
    assert_whole(lake, serial)


class Gateway:
    """A cluster that is reached by its own client only, as those of Dask Gateway."""

    scheduler_address = "gateway://nowhere"

    def __init__(self, cluster):
        self.cluster = cluster

    def get_client(self, set_as_default=True):
        return distributed.Client(self.cluster, set_as_default=set_as_default)


def test_the_cluster_of_a_gateway_is_reached_by_its_own_client(lake):
    with threads(1) as made:
        assert extract.s2(**YEAR, scheduler=Gateway(made), lake=lake).scenes == SCENES


@pytest.mark.parametrize("given", [5, object(), ["tcp://127.0.0.1:1"]])
def test_what_is_no_scheduler_is_refused(lake, given):
    with pytest.raises(InvalidInputError, match="is no Dask scheduler; give its address, a client or a cluster"):
        extract.s2(**YEAR, scheduler=given, lake=lake)


def test_a_closed_client_is_refused(lake):
    with threads(1) as made:
        client = distributed.Client(made, set_as_default=False)
        client.close()
        with pytest.raises(InvalidInputError, match="the Dask client is closed"):
            extract.s2(**YEAR, scheduler=client, lake=lake)


def test_a_worker_with_another_version_that_comes_later_does_no_work(lake, monkeypatch):
    """What comes after the look at versions is refused by what it was sent."""
    monkeypatch.setattr(running, "version", lambda _: "9.9")
    own = clusters.version("cbm-lake")
    with threads(1) as made, pytest.raises(SourceError, match=rf"not all have cbm-lake .*: worker \S+ has {own};"):
        extract.s2(**YEAR, scheduler=made, lake=lake)
    assert lake.sql("from ledger").num_rows == 0
    assert lake.sql("from signatures_s2").num_rows == 0


def test_a_worker_that_lacks_what_is_sent_is_told_apart_from_a_fault_of_the_program(lake, monkeypatch):
    def lacking(*_):
        raise ImportError("no module named cbm_lake")

    monkeypatch.setattr(running, "guarded", lacking)
    monkeypatch.setattr(clusters.Watch, "check_workers", lambda self: self._fail())
    monkeypatch.setattr(
        clusters.Watch,
        "_fail",
        lambda self: (_ for _ in ()).throw(clusters.mismatch({"worker a": None})),
        raising=False,
    )
    with threads(1) as made, pytest.raises(SourceError, match="worker a has none; install that version there"):
        extract.s2(**YEAR, scheduler=made, lake=lake)


def test_what_was_submitted_is_taken_back_when_the_run_is_interrupted(lake):
    """On a client that goes on; a job that has begun ends by itself."""

    def interrupt(done, _):
        raise KeyboardInterrupt

    with threads(1) as made, distributed.Client(made, set_as_default=False) as client:
        with pytest.raises(KeyboardInterrupt):
            extract.s2(**YEAR, scheduler=client, lake=lake, progress=interrupt)
        assert client.submit(pow, 2, 5).result() == 32  # in the queue behind what was submitted, were it still there
        left = [key for key in made.scheduler.tasks if str(key).startswith("extract_scene")]
        assert left == []
    assert lake.sql("from extractions").num_rows < SCENES


def test_an_address_that_accepts_and_never_answers_is_named(lake, monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECTING", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SourceError, match=f"no Dask scheduler answers at {address}"):
            extract.s2(**YEAR, scheduler=address, lake=lake)


def test_a_scheduler_that_answers_no_more_is_named(lake, serial, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "_ANSWER", 2)
    monkeypatch.setattr(running, "_LOOK", 0.2)
    with cluster(tmp_path, 1) as made:

        def stop(done, _):
            if done == 1:
                made.scheduler.send_signal(signal.SIGSTOP)

        with pytest.raises(SourceError, match=rf"{made.address} does not answer .*: \d of 6 scenes are done"):
            extract.s2(**YEAR, scheduler=made.address, lake=lake, progress=stop)
        made.scheduler.send_signal(signal.SIGCONT)
    extract.s2(**YEAR, workers=0, lake=lake)
    assert_whole(lake, serial)


def test_a_lake_by_a_relative_path_is_the_same_to_workers_and_after_a_change_of_folder(
    lake, serial, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    near = Lake("lake")
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", "lake")
    default = Workspace.here()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert near.url == default.lake_url == Workspace.here().lake_url == str(tmp_path / "lake")
    with cluster(tmp_path, 1) as made:
        assert extract.s2(**YEAR, scheduler=made.address, lake=near).scenes == SCENES
    assert_whole(lake, serial)


def test_fewer_than_no_workers_are_refused(lake):
    with pytest.raises(InvalidInputError, match="workers=-1 is no number of processes"):
        extract.s2(**YEAR, workers=-1, lake=lake)


@pytest.mark.slow
def test_processes_of_a_script_without_main_guard_are_refused_with_what_to_do(lake, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CLIENT.replace('if __name__ == "__main__":', "if True:"))
    command = [sys.executable, str(script), lake.url, json.dumps({**YEAR, "workers": 2})]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
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
    assert f"scene {first} failed: ZeroDivisionError" in caplog.text


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
