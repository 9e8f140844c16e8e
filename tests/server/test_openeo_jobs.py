"""Batch jobs of openEO: what is left after the service ended, snapshots, grants, logs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openeo
import pytest
import requests
from factories import PIDS, day, fill, parcel_set, scene, scenes, signature, signatures, write
from openeo_graphs import mean_of
from rest_server import WHO, served

from cbm_lake.lake import Lake
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.openeo import jobs as module
from cbm_lake.server.openeo.jobs import Jobs
from cbm_lake.server.openeo.refusals import OpenEoError
from cbm_lake.server.openeo.working import Written

pytestmark = pytest.mark.thorough


REFERENCE = "http://here/ogc/collections/parcels_ms_2024/items"


@pytest.fixture
def lake(tmp_path):
    return fill(Lake(str(tmp_path / "lake")))


def connected(url, who=WHO):
    return openeo.connect(f"{url}/openeo").authenticate_basic(*who)


def quick(job):
    return job.start_and_wait(max_poll_interval=0.1, print=lambda _: None)


def add(lake, name, number):
    """Another scene with signatures."""
    lake.add_scenes(scenes(scene(name, day(number))))
    rows = [signature(pid, name, day(number)) for pid in sorted(PIDS)]
    write(lake, signatures(*rows), parcel_set(), name, finished=day(number))


def waited(condition):
    """What becomes true: the test's own runner ends one that does not."""
    while not (result := condition()):
        time.sleep(0.02)
    return result


def text(job):
    return job.get_results().get_asset().load_bytes()


def test_a_job_is_made_worked_and_deleted_by_the_client(lake, tmp_path):
    with served(lake, tmp_path) as url:
        connection = connected(url)
        job = connection.create_job(mean_of(REFERENCE), title="means", description="of red")
        assert job.status() == "created"
        assert job.describe()["process"]["process_graph"] == mean_of(REFERENCE)
        assert job.estimate()["costs"] == 0
        with pytest.raises(openeo.rest.OpenEoApiError, match="JobNotFinished"):
            job.get_results().get_metadata()
        quick(job)
        assert json.loads(text(job)) == connection.execute(mean_of(REFERENCE))
        messages = [entry["message"] for entry in job.logs()]
        assert messages[-1] == "answered from signatures"
        assert [entry["message"] for entry in job.logs(offset="2")] == messages[2:]
        assert job.logs(level="error") == []
        assert [one["id"] for one in connection.list_jobs()] == [job.job_id]
        assert job.get_results().get_metadata()["description"] == "answered from signatures"
        job.delete()
        assert connection.list_jobs() == []
        with pytest.raises(openeo.rest.OpenEoApiError, match="JobNotFound"):
            job.describe()


def test_a_job_that_cannot_be_done_says_why(lake, tmp_path):
    with served(lake, tmp_path) as url:
        job = connected(url).create_job(mean_of(f"{REFERENCE}?ids=nobody"))
        with pytest.raises(openeo.rest.JobFailedException):
            quick(job)
        assert "'nobody'" in job.logs(level="error")[0]["message"]
        answer = requests.get(f"{url}/openeo/jobs/{job.job_id}/results", auth=WHO, timeout=9)
        assert (answer.status_code, answer.json()["code"]) == (424, "JobNotFinished")


def test_a_job_reads_the_lake_as_it_was_when_it_was_created_however_often(lake, tmp_path):
    with served(lake, tmp_path) as url:
        connection = connected(url)
        before = connection.create_job(mean_of(REFERENCE))
        add(lake, "C", 2)
        first = text(quick(before))
        assert len(json.loads(first)) == 2
        after = quick(connection.create_job(mean_of(REFERENCE)))
        assert len(json.loads(text(after))) == 3
        add(lake, "D", 3)
        assert text(quick(before)) == first
        assert len(json.loads(text(quick(after)))) == 3


def test_jobs_and_results_outlast_the_service(lake, tmp_path):
    with served(lake, tmp_path) as url:
        job = quick(connected(url).create_job(mean_of(REFERENCE)))
        result, name = text(job), job.job_id
        waiting = connected(url).create_job(mean_of(REFERENCE)).job_id
    with served(lake, tmp_path) as url:
        connection = connected(url)
        assert text(connection.job(name)) == result
        assert text(quick(connection.job(waiting))) == result


KILLED = """
import sys, time
from pathlib import Path
from cbm_lake.server.openeo.jobs import Jobs

def work(job, folder, check):
    (folder / "result.json").write_bytes(b"half of")
    while True:
        time.sleep(0.01)

jobs = Jobs(Path(sys.argv[1]), work)
jobs.start()
for title in ("first", "second"):
    jobs.begin("ada", jobs.create("ada", {"a": {}}, title, None).id)
"""


def done(job, folder, check):
    file = folder / "result.json"
    file.write_bytes(b"whole")
    return Written(file, "application/json", "computed", ())


def killed(folder):
    """Work that is killed while a job runs and another waits."""
    command = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}) as process:
        read = Jobs(folder, done)
        waited(
            lambda: (
                sorted(job.status for job in read.of("ada")) == ["queued", "running"]
                and list(folder.rglob("result.json"))
            )
        )
        process.send_signal(signal.SIGKILL)
    assert sorted(job.status for job in read.of("ada")) == ["queued", "running"]


def test_what_was_killed_is_worked_again_to_its_end(tmp_path):
    killed(tmp_path / "jobs")
    again = Jobs(tmp_path / "jobs", done)
    again.start()
    waited(lambda: {job.status for job in again.of("ada")} == {"finished"})
    assert [again.file(job).read_bytes() for job in again.of("ada")] == [b"whole", b"whole"]
    (first,) = [job for job in again.of("ada") if job.title == "first"]
    assert "begins again" in " ".join(entry["message"] for entry in again.log_of(first))
    again.close()


def test_what_ends_the_service_again_and_again_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TRIES", 1)
    killed(tmp_path / "jobs")
    again = Jobs(tmp_path / "jobs", done)
    again.start()
    waited(lambda: {job.title: job.status for job in again.of("ada")} == {"first": "error", "second": "finished"})
    again.close()


def test_a_service_that_ends_in_order_costs_no_try(tmp_path):
    def patient(job, folder, check):
        while True:
            check()
            time.sleep(0.01)

    for _ in range(4):
        jobs = Jobs(tmp_path / "jobs", patient)
        jobs.start()
        if not jobs.of("ada"):
            jobs.begin("ada", jobs.create("ada", {"a": {}}, None, None).id)
        waited(lambda held=jobs: held.of("ada")[0].status == "running")
        jobs.close()
        assert (jobs.of("ada")[0].status, jobs.of("ada")[0].tries) == ("queued", 0)


def test_a_job_is_cancelled_while_it_runs(tmp_path):
    def patient(job, folder, check):
        while True:
            check()
            time.sleep(0.01)

    jobs = Jobs(tmp_path / "jobs", patient)
    jobs.start()
    name = jobs.create("ada", {"a": {}}, None, None).id
    jobs.begin("ada", name)
    waited(lambda: jobs.one("ada", name).status == "running")
    jobs.cancel("ada", name)
    jobs.close()
    assert jobs.one("ada", name).status == "canceled"


def test_files_that_broke_off_are_no_jobs_and_their_logs_end_before(tmp_path):
    jobs = Jobs(tmp_path / "jobs", done)
    whole, broken = (jobs.create("ada", {"a": {}}, title, None) for title in ("whole", "broken"))
    (tmp_path / "jobs" / broken.id / "job.json").write_bytes(b'{"id": "')
    with (tmp_path / "jobs" / whole.id / "log.ndjson").open("ab") as file:
        file.write(b'{"time": "2024')
    jobs.start()
    assert [job.id for job in jobs.of("ada")] == [whole.id]
    assert len(jobs.log_of(whole)) == 1
    jobs.close()


def test_jobs_of_an_account_are_its_own_and_so_many(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_JOBS", 2)
    jobs = Jobs(tmp_path / "jobs", done)
    names = [jobs.create("ada", {"a": {}}, None, None).id for _ in range(2)]
    with pytest.raises(OpenEoError, match="as many as"):
        jobs.create("ada", {"a": {}}, None, None)
    jobs.create("bob", {"a": {}}, None, None)
    for name in (names[0], "../ada", "j-20240101T000000000000Z-000000000000"):
        with pytest.raises(OpenEoError, match="no such job"):
            jobs.one("bob", name)


def test_results_of_an_account_have_so_much_room(tmp_path):
    jobs = Jobs(tmp_path / "jobs", done, room=10)
    jobs.start()
    names = [jobs.create("ada", {"a": {}}, None, None).id for _ in range(3)]
    for name in names[:2]:
        jobs.begin("ada", name)
        waited(lambda name=name: jobs.one("ada", name).status == "finished")
    with pytest.raises(OpenEoError, match="delete some"):
        jobs.begin("ada", names[2])
    jobs.begin("ada", names[0])  # its own result makes room
    jobs.begin("bob", jobs.create("bob", {"a": {}}, None, None).id)
    jobs.delete("ada", names[1])
    jobs.begin("ada", names[2])
    jobs.close()


def test_jobs_that_were_queued_together_have_no_more_room(tmp_path):
    jobs = Jobs(tmp_path / "jobs", done, room=10)
    names = [jobs.create("ada", {"a": {}}, None, None).id for _ in range(3)]
    for name in names:
        jobs.begin("ada", name)
    jobs.start()
    waited(lambda: jobs.one("ada", names[2]).status not in ("queued", "running"))
    assert [jobs.one("ada", name).status for name in names] == ["finished", "finished", "error"]
    assert "delete some" in jobs.log_of(jobs.one("ada", names[2]))[-1]["message"]
    jobs.close()


def test_another_account_sees_nothing_of_a_job_and_a_grant_that_ends_ends_the_result(lake, tmp_path):
    with served(lake, tmp_path) as url:
        job = quick(connected(url).create_job(mean_of(REFERENCE)))
        carl = connected(url, ("carl", "another password"))
        assert carl.list_jobs() == []
        for path in ("", "/results", "/logs", "/results/result.json"):
            answer = requests.get(f"{url}/openeo/jobs/{job.job_id}{path}", auth=("carl", "another password"), timeout=9)
            assert (answer.status_code, answer.json()["code"]) == (404, "JobNotFound")
        Accounts(tmp_path / "users.json").revoke("ada", ("ms",))
        for path in ("/results", "/results/result.json"):
            assert requests.get(f"{url}/openeo/jobs/{job.job_id}{path}", auth=WHO, timeout=9).status_code == 404
        with pytest.raises(openeo.rest.JobFailedException):
            quick(job)


def test_logins_store_nothing_and_end_with_all_tokens(lake, tmp_path):
    accounts = Accounts(tmp_path / "users.json")
    with served(lake, tmp_path) as url:
        lasting = accounts.token("ada")
        before = accounts.file.read_text()
        connections = [connected(url) for _ in range(25)]
        assert accounts.file.read_text() == before
        assert {one.describe_account()["user_id"] for one in connections} == {"ada"}
        headers = {"Authorization": f"Bearer {lasting}"}
        assert requests.get(f"{url}/openeo/me", headers=headers, timeout=9).json()["user_id"] == "ada"
        accounts.revoke("ada", ())
        for one in connections[::12]:
            with pytest.raises(openeo.rest.OpenEoApiError, match="401"):
                one.describe_account()
