"""SQL over HTTP: an answer is whole or an error, and each account has its share of the server and no more."""

import asyncio
import contextlib
import json
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import shapely
from factories import fill
from rest_server import OTHER, ROOT, WHO, served

from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.sources import ApiSource, ByPolygon, LakeSource, Peers
from cbm_lake.server.results import Results, Room
from cbm_lake.server.sqlbox import Limits
from cbm_lake.server.turns import Allowance, BusyError, Turns

ARROW, PARQUET = "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
FORMATS = ("application/json", "text/csv", ARROW, PARQUET)
LIMITS = Limits(memory_mb=200, seconds=20, rows=30_000, bytes=1_000_000)
ENDLESS = "select sum(a.i * b.i) from range(100000000) a(i), range(100000000) b(i)"
REFUSED = {
    "select " + "abs(" * 600 + "1" + ")" * 600: "nested too deep",
    "select " + "(" * 9000 + "1" + ")" * 9000: "nested too deep",
    "select " + "not " * 4000 + "true": "nested too deep",
    "select " + "1 + " * 4900 + "1": "nested too deep",
    "select " + "case when true then " * 700 + "1" + " end" * 700: "nested too deep",
    "select " + "s2.*, " * 900 + "1 from s2": "columns; at most",
    "select " + "[" * 40 + "1" + "]" * 40: "nested more than 16 deep",
    "select repeat('x', 1000000000)": "memory",
    "select repeat('x', 100000000)": "row of the answer has more than",
    "select repeat('x', 100000000)::int": "this SQL cannot be run|seconds",
    "with recursive t(n) as (select 1 union all select n + 1 from t) select max(n) from t": "recursive",
    "select list(i) from range(1000000000000) t(i)": "memory|seconds",
    "select i from range(1000000000000) t(i)": "more than 30000 rows",
    "select 'x.parquet'::int": "this SQL cannot be run",
    "select chr(55296)": "",
    "select 9223372036854775807 + 1": "this SQL cannot be run",
    "select * from parcels where pid = $nope": "this SQL cannot be run",
}
"""Statements that are no question, and what is said of them."""
ODD = (
    "select 170141183460469231731687303715884105727::hugeint as a",
    "select interval 3 months as a",
    "select map([1], ['a']) as a",
    "select 1 as a, 2 as a",
    "select date '290000-01-01' as a",
    "select 'infinity'::date as a",
    "select 'a'::blob as a",
    "select null as a",
    "select 'nan'::double as a",
    "select 1.5::decimal(38, 10) as a",
    "select {'b': [1, null]} as a",
    "select uuid '00000000-0000-0000-0000-000000000001' as a",
    "select time '10:00' as a",
    "select 'infinity'::timestamptz as a",
    "select '101'::bit as a",
    "select geometry from parcels",
    "select [] as a",
)
"""Values that some formats have no form for."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return fill(Lake(str(tmp_path_factory.mktemp("desk") / "lake")))


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server"), sql=True, limits=LIMITS) as address:
        yield address


def ask(url, statement, who=WHO, accept="application/json", **more):
    return requests.post(
        f"{url}/v1/sql", json={"statement": statement, **more}, auth=who, headers={"Accept": accept}, timeout=120
    )


def children():
    """The processes that answer SQL: children of the one that forks them, which is a child of this one."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if "sqlbox" in (folder / "cmdline").read_text():
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    return {child for child, parent in parents.items() if parents.get(parent) == os.getpid()}


def until(condition, seconds=60):
    """Wait for something that has to happen soon."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


# -- whole, or not at all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", FORMATS)
def test_an_answer_of_as_many_rows_as_it_may_have_is_whole_and_of_one_more_is_none(url, accept):
    whole = ask(url, "select i from range(30000) t(i)", accept=accept)
    assert whole.status_code == 200
    assert whole.headers["content-type"].startswith(accept if accept != "application/json" else "application/x-ndjson")
    if accept == ARROW:
        assert pa.ipc.open_stream(whole.content).read_all()["i"].to_pylist() == list(range(30_000))
    elif accept == PARQUET:
        assert pq.read_table(pa.BufferReader(whole.content))["i"].to_pylist() == list(range(30_000))
    else:
        assert len(whole.text.splitlines()) == 30_000 + (accept == "text/csv")
    cut = ask(url, "select i from range(30001) t(i)", accept=accept)
    assert cut.status_code == 413
    assert "more than 30000 rows" in cut.json()["detail"]
    assert "offset" in cut.json()["detail"]


@pytest.mark.parametrize("accept", FORMATS)
def test_an_answer_of_more_bytes_than_it_may_have_is_none(url, accept):
    five = ", ".join(f"md5({n} || i)" for n in range(5))
    answer = ask(url, f"select {five} from range(30000) t(i)", accept=accept)  # noqa: S608 - numbers
    assert answer.status_code == 413
    assert "more than 1000000 bytes" in answer.json()["detail"]


def test_an_answer_that_breaks_off_in_its_midst_is_an_error(url):
    answer = ask(url, "select case when i < 25000 then 1 else ('x' || i)::int end from range(26000) t(i)")
    assert answer.status_code == 400
    assert "x25000" in answer.json()["detail"]


def test_an_answer_can_be_fetched_as_a_file_in_parts(url):
    answer = ask(url, "select i from range(1000) t(i)", accept="text/csv", link=True).json()
    whole = requests.get(url + answer["link"], timeout=60)
    assert len(whole.content) == answer["bytes"]
    half = answer["bytes"] // 2
    parts = [
        requests.get(url + answer["link"], headers={"Range": f"bytes={part}"}, timeout=60)
        for part in (f"0-{half - 1}", f"{half}-")
    ]
    assert [part.status_code for part in parts] == [206, 206]
    assert b"".join(part.content for part in parts) == whole.content
    assert whole.text.splitlines()[-1] == "999"


def test_answers_that_were_sent_are_not_kept(lake, tmp_path):
    with served(lake, tmp_path, sql=True, limits=LIMITS) as address:
        assert ask(address, "select 1").status_code == 200
        assert ask(address, "select nope").status_code == 400
        until(lambda: not list((tmp_path / "results").iterdir()))
        assert ask(address, "select 1", link=True).status_code == 200
        assert len(list((tmp_path / "results").iterdir())) == 1


@pytest.mark.parametrize("statement", REFUSED, ids=lambda statement: statement[:40])
def test_what_cannot_be_answered_is_refused_in_one_line(url, statement):
    answer = ask(url, statement)
    assert answer.status_code in (400, 413)
    told = answer.json()["detail"]
    assert REFUSED[statement] in told or any(word in told for word in REFUSED[statement].split("|"))
    assert "\n" not in told
    assert len(told) < 3_000


@pytest.mark.slow
@pytest.mark.parametrize("accept", FORMATS)
def test_a_value_that_a_format_has_no_form_for_is_no_fault_of_the_server(url, accept):
    for statement in ODD:
        answer = ask(url, statement, accept=accept)
        assert answer.status_code == 200 or (answer.status_code == 400 and "cast" in answer.text), statement


def test_of_columns_with_the_same_name_json_loses_none(url):
    answer = ask(url, "select 1 as a, 2 as a, 3 as a_1, 4 as a, 5 as b")
    assert answer.json() == {"a": 1, "a_2": 2, "a_1": 3, "a_3": 4, "b": 5}
    assert ask(url, "select 1 as a, 2 as a", accept="text/csv").text == '"a","a"\n1,2\n'


def test_odd_parameters_are_refused(url):
    for value in (10**300, -(2**200), "\x00", "x" * 500_000):
        assert ask(url, "select $x as x", params={"x": value}).status_code in (200, 400)
    assert ask(url, "select 1", params={"nope": 1}).status_code == 400


# -- one's share ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_of_one_account_so_many_are_answered_at_once_and_others_are_not_kept_waiting(lake, tmp_path):
    allowance = Allowance(each=2, all=3, waiting=1, patience=0.5)
    others = children()
    with served(lake, tmp_path, sql=True, limits=Limits(seconds=8), allowance=allowance) as address:
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(ask, address, ENDLESS) for _ in range(6)]
            until(lambda: sum(answer.done() for answer in asked) == 4)
            refused = [answer.result() for answer in asked if answer.done()]
            assert len(children() - others) <= 3  # two at work, one ready
            assert ask(address, "select 1 as one", OTHER).json() == {"one": 1}
        assert {answer.status_code for answer in refused} == {429}
        assert all(int(answer.headers["Retry-After"]) >= 1 for answer in refused)
        assert "as many as one account may have at once" in refused[0].json()["detail"]
        assert sorted(answer.result().status_code for answer in asked) == [400, 400, 429, 429, 429, 429]
        assert ask(address, "select 1 as one").json() == {"one": 1}


def test_a_client_that_goes_away_ends_its_process(lake, tmp_path):
    others = children()
    with served(lake, tmp_path, sql=True, limits=Limits(seconds=600)) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        assert ask(address, "select 1").status_code == 200
        (ready,) = children() - others
        body = json.dumps({"statement": ENDLESS}).encode()
        request = requests.Request("POST", f"{address}/v1/sql", auth=ROOT).prepare()
        head = f"POST /v1/sql HTTP/1.1\r\nHost: x\r\nAuthorization: {request.headers['Authorization']}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(head.encode() + body)
            until(lambda: len(children() - others) == 2)
            assert ready in children()
        until(lambda: ready not in children())
        assert ask(address, "select 1 as one", ROOT).json() == {"one": 1}


def test_the_seconds_of_an_account_are_used_up_and_come_back(monkeypatch):
    now = 1_000.0
    monkeypatch.setattr("cbm_lake.server.turns.time.monotonic", lambda: now)

    async def run():
        nonlocal now
        turns = Turns(Allowance(seconds=36))
        for who, spent in (("ada", 40), ("bob", 30)):
            async with turns.turn(who):
                now += spent
        async with turns.turn("bob"):
            pass
        with pytest.raises(BusyError, match="36 seconds an hour") as caught:
            async with turns.turn("ada"):
                pass
        assert caught.value.status == 429
        now += caught.value.seconds
        async with turns.turn("ada"):
            pass

    asyncio.run(run())


def test_turns_are_given_back_whatever_happens():
    async def run():
        turns = Turns(Allowance(each=1, all=1, patience=0.01))
        for _ in range(3):
            with pytest.raises(ValueError, match="x"):
                async with turns.turn("ada"):
                    raise ValueError("x")
        async with turns.turn("ada"):
            for who, status in (("ada", 429), ("bob", 503)):
                with pytest.raises(BusyError) as caught:
                    async with turns.turn(who):
                        pass
                assert caught.value.status == status
        async with turns.turn("bob"):
            pass

    asyncio.run(run())


# -- results that are kept -----------------------------------------------------------------------------------------


def test_an_account_fills_its_own_room_and_no_other_s(tmp_path):
    results = Results(tmp_path / "results", 3600, Room(folders=3, bytes=100, all_bytes=1_000))
    mine = results.folder("bob", "chip", 1)
    (mine / "a.tif").write_bytes(b"x" * 50)
    for place in range(3):
        results.folder("ada", place)
    with pytest.raises(BusyError, match="of yours are kept") as caught:
        results.folder("ada", "more")
    assert (caught.value.status, caught.value.seconds > 3000) == (429, True)
    assert results.folder("ada", 2).is_dir()  # what is there can be asked for again
    assert results.folder("bob", "chip", 1) == mine
    assert results.find(mine.name, "a.tif").stat().st_size == 50
    (results.folder("bob", "chip", 2) / "b.tif").write_bytes(b"x" * 60)
    with pytest.raises(BusyError, match="of yours are kept"):
        results.folder("bob", "chip", 3)


def test_all_results_together_have_room_for_so_many_bytes(tmp_path):
    results = Results(tmp_path / "results", 3600, Room(all_bytes=100))
    (results.folder("ada", 1) / "a.tif").write_bytes(b"x" * 100)
    with pytest.raises(BusyError, match="no room") as caught:
        results.folder("bob", 1)
    assert caught.value.status == 503


def test_a_folder_s_name_tells_nothing_and_is_the_same_for_the_same_question(tmp_path):
    results, others = Results(tmp_path / "results", 3600), Results(tmp_path / "results", 3600)
    folder = results.folder("ada", "x")
    assert folder == results.folder("ada", "x")
    assert len({folder, results.folder("ada", "y"), results.folder("bob", "x"), others.folder("ada", "x")}) == 4
    assert len(folder.name) == 64


# -- the original's questions --------------------------------------------------------------------------------------


def test_parcels_of_a_polygon_beyond_those_that_are_given_are_told(tmp_path, caplog):
    lake = fill(Lake(str(tmp_path / "lake")), names=(), pids=[f"{number:03}" for number in range(101)])
    with served(lake, tmp_path) as address:
        source = ApiSource(address, *WHO)
        assert len(source.answer(ByPolygon("ms", 2024, shapely.box(2.9, 43, 3.3, 44)))["pid"]) == 100
        assert "more parcels than the 100 that are given" in caplog.text
        caplog.clear()
        assert len(source.answer(ByPolygon("ms", 2024, shapely.box(2.9, 43, 3.1, 44)))["pid"]) < 100
        assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_more_peers_than_are_listed_are_refused(url, lake):
    what = {"aoi": "ms", "year": 2024, "pid": "0012", "max": 10_001}
    assert requests.get(f"{url}/query/parcelPeers", what, auth=WHO, timeout=60).status_code == 400
    with pytest.raises(InvalidInputError, match="at most 10000 peers"):
        LakeSource(lake).answer(Peers(ParcelKey("ms", 2024, "", "0012"), limit=10_001))
