"""Leases: of several runs one at a time has a lake; one that is killed gives it back, one that lives keeps it."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from s3_server import BUCKET, object_store

from cbm_lake.errors import HeldError, SourceError
from cbm_lake.storage import leases
from cbm_lake.storage.leases import Holder, acquired
from cbm_lake.storage.store import Store

HOLDING = """
import sys, time
from cbm_lake.storage.leases import acquired
from cbm_lake.storage.store import Store
with acquired(Store(sys.argv[1]), "night run", beat=0.2, term=2):
    print("held", flush=True)
    time.sleep(600)
"""


class Other:
    """A process that has the lease until it is killed."""

    def __init__(self, url, **environment):
        command, environment = [sys.executable, "-c", HOLDING, url], {**os.environ, **environment}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout.readline() == "held\n"

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "lake"))


def test_one_at_a_time_has_it_and_the_next_gets_it(store):
    for _ in range(2):
        with acquired(store, "night run") as lease:
            lease.check()
            going_on = rf"another night run is going on in this lake: .*{os.getpid()}\), since"
            with pytest.raises(HeldError, match=going_on), acquired(store, "night run"):
                pytest.fail("two have it")
            with acquired(store, "something else"):
                pass


def test_what_fails_gives_it_back(store):
    with pytest.raises(KeyError), acquired(store, "night run"):
        raise KeyError
    with acquired(store, "night run"):
        pass


def test_a_killed_process_gives_it_back_at_once(store):
    other = Other(store.url)
    with pytest.raises(HeldError, match=f"process {other.process.pid}"), acquired(store, "night run"):
        pytest.fail("two have it")
    other.kill()
    with acquired(store, "night run"):
        pass


def test_of_many_at_once_one_gets_it(store):
    begin, taken = threading.Barrier(8), []

    def take(_):
        begin.wait()
        try:
            with acquired(store, "night run"):
                taken.append(1)
                begin.wait()
        except HeldError:
            begin.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, range(8)))
    assert len(taken) == 1


def test_a_note_that_is_damaged_names_somebody(store):
    with acquired(store, "night run"):
        (note,) = (file for file in store.listing("locks") if file.endswith(".json"))
        store.replace(note, b"{}")
        unknown = "somebody, since a time that is not on record"
        with pytest.raises(HeldError, match=unknown), acquired(store, "night run"):
            pytest.fail("two have it")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(SourceError, match="cannot lock"), acquired(Store(str(tmp_path / "lake")), "night run"):
        pytest.fail("it cannot be locked")


def test_a_holder_is_what_was_written():
    holder = Holder.here()
    assert Holder.read(holder.written) == holder


# -- object stores ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server():
    with object_store() as running:
        yield running


@pytest.fixture
def bucket(server, monkeypatch, workspace, request):
    """A store in a bucket, and what tells other processes of it."""
    server.set()
    settings = {**server.settings("lake"), "CBM_LAKE_LAKE__URL": f"s3://{BUCKET}/{abs(hash(request.node.name))}"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Store(settings["CBM_LAKE_LAKE__URL"]), settings


QUICK = {"beat": 0.2, "term": 2.0}


@pytest.mark.slow
def test_in_an_object_store_one_at_a_time_has_it_and_the_next_gets_it(bucket):
    store, _ = bucket
    for number in (1, 2, 3):
        with acquired(store, "night run", **QUICK) as lease:
            lease.check()
            with pytest.raises(HeldError, match=rf"{os.getpid()}\), since"), acquired(store, "night run", **QUICK):
                pytest.fail("two have it")
        assert {name.rpartition("/")[2].partition(".")[0] for name in store.listing("locks")} == {f"{number:012}"}


@pytest.mark.slow
def test_in_an_object_store_the_lease_of_a_killed_process_runs_out(bucket):
    store, settings = bucket
    other = Other(store.url, **settings)
    with pytest.raises(HeldError, match=f"process {other.process.pid}"), acquired(store, "night run", **QUICK):
        pytest.fail("two have it")
    other.kill()
    begun = time.monotonic()
    with acquired(store, "night run", **QUICK) as lease:
        lease.check()
    assert time.monotonic() - begun >= QUICK["term"]


@pytest.mark.slow
def test_in_an_object_store_one_of_many_gets_the_lease_of_a_dead_one(bucket):
    store, settings = bucket
    Other(store.url, **settings).kill()
    taken, ended = [], threading.Event()

    def take(_):
        try:
            with acquired(store, "night run", **QUICK):
                taken.append(1)
                ended.wait(30)
        except HeldError:
            return 1
        return 0

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(take, number) for number in range(4)]
        while sum(one.done() for one in waiting) < 3:
            time.sleep(0.05)
        ended.set()
        refused = sum(one.result() for one in waiting)
    assert (len(taken), refused) == (1, 3)


@pytest.mark.slow
def test_a_holder_that_slept_finds_that_another_has_it(bucket, monkeypatch):
    store, _ = bucket
    asleep, renew = threading.Event(), leases._Numbers.renew

    def renewing(self, number):
        if asleep.is_set() and number == 1:
            raise SourceError("asleep")
        renew(self, number)

    monkeypatch.setattr(leases._Numbers, "renew", renewing)
    with acquired(store, "night run", beat=0.2, term=30.0) as slept:
        asleep.set()
        with acquired(store, "night run", **QUICK) as other:
            slept._taken.wait(30)
            with pytest.raises(HeldError, match="took it over at"):
                slept.check()
            other.check()


@pytest.mark.slow
def test_a_holder_that_cannot_renew_for_long_gives_up(bucket, monkeypatch):
    store, _ = bucket
    with acquired(store, "night run", beat=0.1, term=0.5) as lease:

        def renewing(_self, _number):
            raise SourceError("no connection")

        monkeypatch.setattr(leases._Numbers, "renew", renewing)
        lease._taken.wait(30)
        with pytest.raises(HeldError, match="another run may have it by now"):
            lease.check()


@pytest.mark.slow
def test_a_store_that_overwrites_is_refused(bucket, server, monkeypatch):
    from cbm_lake.storage import access

    store, _ = bucket
    server.set(deaf=True)
    access._check_conditional_put.cache_clear()
    with pytest.raises(SourceError, match="does not refuse to overwrite"), acquired(store, "night run", **QUICK):
        pytest.fail("it is not safe")
    access._check_conditional_put.cache_clear()
