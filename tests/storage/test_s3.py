"""A lake and scenes in an object store give what they give on a disk, and what fails is told in one line."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from datetime import UTC, datetime, timedelta
from functools import partial

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import xarray as xr
from affine import Affine
from factories import PIDS, day, entry, fill, scenes, signature, signatures, write
from s3_server import BUCKET, KEY, SECRET, object_store

from cbm_lake import card2db, cases, extract, get, parcels
from cbm_lake import scenes as decisions
from cbm_lake.demo import sample
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, check, compaction, open_lake, snapshots
from cbm_lake.rasters import Grid, Raster, Window, stack
from cbm_lake.rasters.cube import Cube
from cbm_lake.rasters.readers import source
from cbm_lake.storage import s3files
from cbm_lake.storage.access import Access, explained
from cbm_lake.storage.s3files import S3Files
from cbm_lake.storage.store import Store

pytestmark = pytest.mark.slow

ROWS = "from s2 order by scene, ptype, pid"
OF_SET = "select * exclude (ptype) from s2 where ptype = $ptype"
YEAR = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024, "bands": ("B04", "B08")}
WARM = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "12", "bands": None}
QUESTION = {"aoi": "demo", "year": 2024, "ptype": "", "bands": None}
NOTHING = """
import sys
import cbm_lake
sys.exit(" ".join(name for name in ("obstore", "boto3", "fsspec", "moto") if name in sys.modules) or 0)
"""
ROLE = """
import json, time
from datetime import UTC, datetime, timedelta
keys = {"AccessKeyId": "AKIDROLE", "SecretAccessKey": "x", "SessionToken": str(time.time_ns())}
until = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
print(json.dumps({"Version": 1, **keys, "Expiration": until}))
"""
WRITING = """
import sys
from factories import entry, signature, signatures
from cbm_lake.lake import Lake

lake = Lake(sys.argv[1])
for number in range(int(sys.argv[2])):
    name = f"{sys.argv[3]}{number}"
    lake.write_signatures("s2", signatures(signature("12", name, extraction=number)), number)
    lake.record(entry("shared"))
    lake.record(entry(name))
"""


@pytest.fixture(scope="module")
def server():
    with object_store() as running:
        yield running


@pytest.fixture
def store(server, workspace, monkeypatch):
    """The object store without faults, known to the settings; AWS has said nothing."""
    server.set()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(workspace.root))
    for name, value in server.settings("s3").items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def url(request):
    """A place of its own in the bucket."""
    return f"s3://{BUCKET}/{request.node.originalname[5:]}"


def chain(url, written, items):
    """Everything from catalogue to signatures and cubes."""
    lake = Lake(str(url))
    card2db.items(str(items), lake=lake)
    parcels.load(str(written.parcels), "demo", 2024, pid="parcel_id", lake=lake)
    extract.s2(**YEAR, workers=0, lake=lake)
    return lake


def cube(lake):
    (grid,) = lake.sql("select distinct grid from slots where grid like '%_10m_%'")["grid"].to_pylist()
    return Cube(lake.cube_url("s2", grid)).open()


def small(url):
    """A lake with one scene and three parcels."""
    return fill(Lake(url), names=("A",))


def problem(action, kind=SourceError):
    """The one line of what an action raises, after seeing that it holds no secret, nor do those that caused it."""
    with pytest.raises(kind) as caught:
        action()
    told = str(caught.value)
    assert "\n" not in told
    assert len(told) < 400
    everything = "".join(traceback.format_exception(caught.value))
    assert SECRET not in everything
    assert KEY not in told
    return told


# -- the whole chain ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lakes(server, tmp_path_factory):
    """A lake on a disk, and one in the object store whose scenes are there too."""
    folder = tmp_path_factory.mktemp("lakes")
    written = sample.write(folder / "sample", dates=2, size=120)
    server.upload(written.folder, "sample", "scenes")
    items = folder / "items.json"
    items.write_text(written.items["s2"].read_text().replace(str(written.folder), "s3://scenes/sample"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.settings("s3").items():
            patch.setenv(name, value)
        here = chain(folder / "lake", written, written.items["s2"])
        there = chain(f"s3://{BUCKET}/whole", written, items)
    return here, there, written


def series(lake):
    (pid,) = lake.sql("select min(pid) as pid from s2")["pid"].to_pylist()
    found = lake.query("time_series.s2", **QUESTION, pid=pid)
    assert found.num_rows
    return found


def test_signatures_catalogue_and_parcels_equal_those_on_a_disk_row_for_row(store, lakes):
    here, there, _ = lakes
    assert here.sql(ROWS).num_rows
    for statement in (
        ROWS,
        "from fiboa_parcels order by id",
        "select * exclude (assets, ingested, source, revision) from stac_scenes order by id",
        "select * exclude (started, finished, extraction, revision, pixels) from ledger order by scene",
    ):
        assert there.sql(statement).equals(here.sql(statement))
    assert series(there).equals(series(here))


def test_cubes_equal_those_on_a_disk(store, lakes):
    here, there, _ = lakes
    xr.testing.assert_identical(cube(there).load(), cube(here).load())


@pytest.mark.exhaustive
def test_what_is_done_is_not_done_again_and_other_parcels_are_extracted_from_the_cube(store, lakes):
    _, there, written = lakes
    parcels.load(str(written.parcels), "demo", 2024, ptype="m", pid="parcel_id", lake=there)
    store.set()
    for ptype in (None, "m"):
        extract.s2(**YEAR, ptype=ptype, workers=0, lake=there)
    assert not [path for _, path, *_ in store.seen()["asked"] if path.endswith(".tif")]
    first, second = (there.sql(f"{OF_SET} order by scene, pid", ptype=ptype) for ptype in ("", "m"))
    assert first.num_rows
    assert second.equals(first)


@pytest.mark.exhaustive
def test_compaction_vacuum_and_time_travel_change_no_answer(store, lakes):
    here, there, _ = lakes
    rows, before = there.sql(ROWS), datetime.now(UTC)
    time.sleep(1)  # stores tell the time of a commit in whole seconds
    assert there.compact() == 2 * here.compact()  # two parcel sets
    assert there.sql(ROWS).equals(rows)
    assert series(there).equals(series(here))
    assert Lake(there.url, as_of=before).sql(ROWS).equals(rows)
    assert there.vacuum(0) > 0
    assert Lake(there.url).sql(ROWS).equals(rows)


def test_files_are_written_listed_and_read_back_by_their_names(store, url):
    held = Store(url)
    table = pa.table({"a": [1, 2, 3]})
    held.write("parcels/aoi=ms/year=2024/a.parquet", table)
    assert held.files("parcels") == [f"{url}/parcels/aoi=ms/year=2024/a.parquet"]
    assert held.folders("parcels") == ["aoi=ms"]
    assert held.read("parcels/aoi=ms/year=2024/a.parquet").equals(table)
    assert held.exists("parcels/aoi=ms/year=2024/a.parquet")
    assert not held.exists("parcels/aoi=ms")
    assert (held.read("b.parquet"), held.files("b"), held.folders("b")) == (None, [], [])


def test_many_threads_that_ask_at_once_get_each_its_own_rows(store, url):
    pids = [f"p{number:02}" for number in range(20)]
    connection = fill(Lake(url), names=("A", "B"), pids=pids).connect()
    wrong = []

    def ask(pid):
        rows = connection.cursor().execute("select pid, count(*) from s2 where pid = $pid group by 1", {"pid": pid})
        if (found := rows.fetchall()) != [(pid, 2)]:
            wrong.append((pid, found))

    threads = [threading.Thread(target=ask, args=(pid,)) for pid in pids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_compacted_lake_answers_as_before_also_of_the_past(store, url):
    lake = small(url)
    rows, before = lake.sql(ROWS), datetime.now(UTC)
    time.sleep(1)  # stores tell the time of a commit in whole seconds
    write(lake, signatures(signature("12", "B")), scene="B")
    assert lake.compact() == 2
    assert lake.vacuum(1) == 0
    assert Lake(url, as_of=before).sql(ROWS).equals(rows)
    assert Lake(url).sql("select scene, count(*) as n from s2 group by 1 order by 1")["n"].to_pylist() == [3, 1]


def test_check_looks_into_cubes_too(store, url, tmp_path):
    lake = small(url)
    Cube(lake.cube_url("s2", "g")).extend(Grid(32631, Affine(10, 0, 0, 0, -10, 0), (600, 600)), {"B04": "uint16"}, [])
    assert "cubes" not in check.check(lake, deep=True)["part"].to_pylist()
    S3Files(url, lasting=False).rm(f"{lake.cube_url('s2', 'g')}/B04/zarr.json")
    store.put(f"{url.removeprefix(f's3://{BUCKET}/')}/cubes/s2/g.zarr/B04/zarr.json", b"no JSON")
    assert "cubes" in check.check(lake)["part"].to_pylist()


def test_a_file_that_is_read_by_several_threads_is_at_a_place_for_each(store):
    store.put("letters", b"abcdefgh")
    file = S3Files(f"s3://{BUCKET}", lasting=False).open(f"{BUCKET}/letters")
    file.seek(3)
    other = threading.Thread(target=file.seek, args=(7,))
    other.start()
    other.join()
    assert (file.read(2), file.tell(), file.read()) == (b"de", 5, b"fgh")


@pytest.mark.parametrize("size", [1_000, s3files._END, 2 * s3files._END])
def test_the_end_of_a_file_that_never_changes_is_asked_for_once(store, size):
    content = np.random.default_rng(size).bytes(size)
    store.put(f"{size}", content)
    store.set()
    files = S3Files(f"s3://{BUCKET}")
    for _ in range(2):
        file = files.open(f"s3://{BUCKET}/{size}")
        file.seek(-8, 2)
        assert file.read() == content[-8:]
        assert file.size == size
    assert len(store.seen()["asked"]) == 1
    file.seek(0)
    assert file.read() == content


def test_sql_writes_nothing_into_an_object_store(store, url):
    connection = Lake(url).connect()
    with pytest.raises(duckdb.Error, match="is not written or deleted by SQL"):
        connection.execute(f"copy (select 1 as a) to '{url}/a.parquet'")
    assert Store(url).files("") == []


# -- several writers ---------------------------------------------------------------------------------------------------


@pytest.mark.exhaustive
def test_two_processes_that_write_at_once_lose_nothing(store, url):
    Lake(url).prepare("s2")
    each, environment = 3, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITING, url, str(each), name], env=environment) for name in "ab"
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    lake = Lake(url)
    attempts = lake.sql("select attempt from ledger where scene = 'shared' order by attempt")["attempt"].to_pylist()
    assert attempts == list(range(1, 2 * each + 1))
    assert lake.sql("select count(distinct scene) as n from ledger")["n"].to_pylist() == [2 * each + 1]
    # both wrote extraction 0 to 2, of which the later one counts, whole
    kept = lake.sql("select extraction, count(*) as n from signatures_s2 group by 1 order by 1").to_pylist()
    assert kept == [{"extraction": number, "n": 1} for number in range(each)]


LEAVING_OUT = """
import sys
from cbm_lake import open_lake, scenes
scenes.leave_out("A", why="cloud shadows", lake=open_lake(sys.argv[1]))
"""


def asked(store, action):
    """The requests of an action, method and name each, and what it gives."""
    store.set()
    answer = action()
    return [(method, path.rpartition("/")[2]) for method, path, *_ in store.seen()["asked"]], answer


def test_a_warm_look_up_asks_twice_and_sees_what_another_process_committed(store, url, monkeypatch):
    lake = fill(open_lake(url), names=("A", "B"))
    look_up = partial(get.time_series.by_pid, "ms", 2024, "12", lake=lake)
    look_up()
    requests, before = asked(store, look_up)
    assert requests == [("HEAD", ".changes")] * 2
    assert asked(store, lambda: lake.query("time_series.s2", **WARM))[0] == [("HEAD", ".changes")]
    subprocess.run([sys.executable, "-c", LEAVING_OUT, url], check=True, timeout=120)
    requests, after = asked(store, look_up)
    assert len(requests) > 3
    assert len(after) * 2 == len(before)
    assert asked(store, look_up)[0] == [("HEAD", ".changes")] * 2
    assert Lake(url).sql("select distinct scene from s2")["scene"].to_pylist() == ["B"]


def test_what_a_program_commits_that_notes_no_change_is_seen_half_a_minute_later(store, url, monkeypatch):
    lake = fill(open_lake(url), names=("A",))
    assert lake.query("scenes.left_out").num_rows == 0
    with monkeypatch.context() as patch:
        patch.setattr(Store, "note_change", lambda self: None)
        decisions.leave_out("A", why="cloud shadows", lake=Lake(url))
    now = time.monotonic()
    monkeypatch.setattr(snapshots.time, "monotonic", lambda: now + 31)
    assert lake.query("scenes.left_out").num_rows == 1


def test_a_change_that_cannot_be_noted_is_logged_and_what_was_written_is_there(store, url, caplog):
    lake = fill(open_lake(url), names=("A",))
    store.set(closed=".changes")
    lake.record(entry("B"))
    assert "see the change half a minute later" in caplog.text
    assert "B" in Lake(url).sql("select scene from extractions")["scene"].to_pylist()


def test_a_lake_that_was_deleted_and_made_anew_in_an_object_store_is_noticed(store, url):
    lake = fill(open_lake(url), names=("A",))
    assert set(lake.sql("select scene from s2")["scene"].to_pylist()) == {"A"}
    for name in Store(url).listing():
        S3Files(url, lasting=False).rm(f"{url}/{name}")
    assert lake.sql("from s2").num_rows == 0
    fill(Lake(url), names=("B",))
    assert set(lake.sql("select scene from s2")["scene"].to_pylist()) == {"B"}


@pytest.mark.parametrize("fault", ["deaf", "refuses"])
def test_a_store_that_overwrites_what_is_there_is_refused_before_anything_is_written(store, url, fault):
    store.set(**{fault: True})
    lake = Lake(url)
    for action in (
        lambda: lake.add_scenes(scenes("A")),
        lambda: lake.prepare("s2"),
        lambda: lake.record(entry("A")),
        lambda: write(lake, signatures(signature("12"))),
    ):
        told = problem(action)
        assert f"the object store of {url} does not refuse to overwrite" in told
        assert "use a store that has it, or a lake on a file system" in told
    written = {path.rpartition("/")[2] for method, path, *_ in store.seen()["asked"] if method in ("PUT", "POST")}
    assert written == {"put-if-absent"}


def test_no_variable_of_aws_makes_commits_unsafe(store, monkeypatch, url):
    monkeypatch.setenv("AWS_CONDITIONAL_PUT", "disabled")
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    monkeypatch.setenv("AWS_S3_LOCKING_PROVIDER", "dynamodb")
    assert small(url).sql("from s2").num_rows == 3
    assert store.seen()["unsafe"] == []


@pytest.mark.parametrize("answers", [1, 3])
def test_commits_of_which_the_answer_was_lost_lose_and_double_nothing(store, url, answers):
    """With one answer lost the commit is tried again, and refused by itself; with three the client gives up."""
    lake = fill(Lake(f"{url}/{answers}"))
    rows = lake.sql(ROWS)
    store.set(lost=answers)
    assert compaction.compact(lake._tables["signatures_s2"], lake.connect(), []) == (2, [])
    store.set(lost=1)
    write(lake, signatures(*(signature(pid, "B", day(1)) for pid in sorted(PIDS))), scene="B")
    for _ in range(2):
        assert Lake(lake.url).sql(ROWS).equals(rows)
        lake.vacuum(0)


def test_it_is_tried_once_in_a_process_whether_a_store_refuses(store, url):
    lake = Lake(url)
    lake.add_scenes(scenes("A"))
    Lake(url).add_scenes(scenes("B"))
    assert sum(path.endswith("put-if-absent") for _, path, *_ in store.seen()["asked"]) == 2


# -- scenes ------------------------------------------------------------------------------------------------------------

GRID = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 4_801_000), "width": 600, "height": 600}
DRIVERS = {
    "tif": {"driver": "COG", "blocksize": 256},
    "jp2": {"driver": "JP2OpenJPEG", "quality": 100, "reversible": True},
}


def image(folder, ending="tif"):
    pixels = np.random.default_rng(1).integers(1, 5000, (600, 600)).astype(np.uint16)
    file = folder / f"B04.{ending}"
    with rasterio.open(file, "w", **DRIVERS[ending], **GRID, count=1, dtype="uint16") as dataset:
        dataset.write(pixels, 1)
    return file, pixels


@pytest.mark.parametrize("ending", DRIVERS)
def test_a_scene_in_an_object_store_is_read_as_on_a_disk(store, tmp_path, ending):
    file, pixels = image(tmp_path, ending)
    store.upload(tmp_path, f"read-{ending}", "scenes")
    raster = Raster.inspect(f"s3://scenes/read-{ending}/{file.name}")
    assert raster.grid == Raster.inspect(str(file)).grid
    (found,) = source(raster).read([Window(100, 200, 300, 350)])
    assert np.array_equal(found, pixels[100:400, 200:550])
    assert np.array_equal(stack.band([raster], raster.grid, raster.dtype)[0].compute(), pixels)


def test_a_band_of_a_zarr_product_is_read_from_an_object_store(store, tmp_path):
    pixels = np.arange(400, dtype=np.uint16).reshape(20, 20)
    array = xr.DataArray(
        pixels, dims=("y", "x"), attrs={"proj:code": "EPSG:32631", "proj:transform": list(GRID["transform"])[:6]}
    )
    array.to_dataset(name="b04").to_zarr(tmp_path / "p.zarr", group="r10m", zarr_format=3, consolidated=False)
    store.upload(tmp_path, "product", "scenes")
    raster = Raster.inspect("s3://scenes/product/p.zarr/r10m/b04")
    (found,) = source(raster).read([Window(2, 3, 10, 11)])
    assert np.array_equal(found, pixels[2:12, 3:14])


def test_a_file_that_could_not_be_opened_once_can_be_later(store, tmp_path):
    image(tmp_path)
    store.upload(tmp_path, "later", "scenes")
    store.set(busy=1000)
    assert "SlowDown" in problem(lambda: Raster.inspect("s3://scenes/later/B04.tif"))
    store.set()
    assert Raster.inspect("s3://scenes/later/B04.tif").grid.shape == (600, 600)


def test_no_more_requests_are_under_way_than_the_store_is_said_to_bear(store, tmp_path, monkeypatch, url):
    monkeypatch.setenv("CBM_LAKE_S3__CONNECTIONS", "2")
    image(tmp_path)
    store.upload(tmp_path, "slow", "scenes")
    raster = Raster.inspect("s3://scenes/slow/B04.tif")
    files = S3Files(url)
    store.set(slow=0.02)

    def read():
        list(source(raster).read([Window(0, 0, 600, 200)]))
        files.exists(f"{BUCKET}/nothing")

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.seen()["most"] == 2


# -- settings ----------------------------------------------------------------------------------------------------------


def test_the_lake_and_the_scenes_may_be_in_different_stores(store, monkeypatch, url):
    for name in list(store.settings("s3")):
        monkeypatch.delenv(name)
    for name, value in {
        **store.settings("lake"),
        "CBM_LAKE_LAKE__URL": url,
        "CBM_LAKE_S3__HOST": "eodata.example",
    }.items():
        monkeypatch.setenv(name, value)
    assert Access.of(url).endpoint == store.endpoint
    assert Access.of("s3://eodata/x").endpoint == "https://eodata.example"
    assert Access.of("s3://eodata/x").access_key == ""
    assert small(url).sql("from s2").num_rows == 3


def test_settings_for_one_bucket_are_told_to_no_other(store, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_S3__BUCKET", "eodata")
    assert Access.of("s3://eodata/x").access_key == KEY
    assert Access.of("s3://other/x") == Access()


def test_what_the_settings_do_not_say_is_taken_from_the_variables_of_aws(store, monkeypatch, url):
    for name in list(store.settings("s3")):
        monkeypatch.delenv(name)
    variables = {
        "ENDPOINT_URL": store.endpoint,
        "ACCESS_KEY_ID": KEY,
        "SECRET_ACCESS_KEY": SECRET,
        "SESSION_TOKEN": "t0k",
    }
    for name, value in {**variables, "REGION": "eu-central-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    assert small(url).sql("from s2").num_rows == 3
    assert {token for *_, token, _ in store.seen()["asked"][1:]} == {"t0k"}


def test_a_token_of_the_environment_does_not_go_with_keys_of_the_settings(store, tmp_path, monkeypatch, url):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-other-keys")
    image(tmp_path)
    store.upload(tmp_path, "token", "scenes")
    store.set()
    Store(url).write("a.parquet", pa.table({"a": [1]}))
    Raster.inspect("s3://scenes/token/B04.tif")
    assert {token for *_, token, _ in store.seen()["asked"]} == {None}
    assert "unset it" in problem(lambda: Lake(url).snapshot(), ConfigError)  # deltalake takes it in any case


def test_a_profile_of_aws_is_used_where_no_keys_are_given(store, tmp_path, monkeypatch, url):
    monkeypatch.delenv("CBM_LAKE_S3__ACCESS_KEY")
    monkeypatch.delenv("CBM_LAKE_S3__SECRET_KEY")
    file = tmp_path / "credentials"
    file.write_text(f"[farm]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "farm")
    image(tmp_path)
    store.upload(tmp_path, "profile", "scenes")
    store.set()
    assert small(url).sql("from s2").num_rows == 3
    assert Raster.inspect("s3://scenes/profile/B04.tif").dtype == "uint16"
    assert all(signed for _, _, signed, *_ in store.seen()["asked"])


def test_keys_of_a_role_which_run_out_are_asked_for_again(store, tmp_path, monkeypatch, url):
    monkeypatch.delenv("CBM_LAKE_S3__ACCESS_KEY")
    script, config = tmp_path / "role.py", tmp_path / "aws.ini"
    script.write_text(ROLE)
    config.write_text(f"[profile role]\nregion = eu-south-1\ncredential_process = {sys.executable} {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_PROFILE", "role")
    held = Store(url)
    first, second = held.options, held.options
    assert first["aws_session_token"] != second["aws_session_token"]
    assert first["aws_region"] == "eu-south-1"
    assert Access.of(url)._provided()["expires_at"] < datetime.now(UTC) + timedelta(minutes=15)


@pytest.mark.parametrize(("name", "advice"), [("absent", "there is no AWS profile absent"), ("out", "sign in again")])
def test_a_profile_that_gives_no_keys_is_told_in_one_line(store, tmp_path, monkeypatch, name, advice):
    monkeypatch.delenv("CBM_LAKE_S3__ACCESS_KEY")
    (tmp_path / "aws.ini").write_text("[profile out]\ncredential_process = false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "aws.ini"))
    monkeypatch.setenv("AWS_PROFILE", name)
    assert advice in problem(lambda: Lake(f"s3://{BUCKET}/x").snapshot(), ConfigError)


def test_a_profile_without_the_package_that_reads_it_is_told_with_the_extra_to_install(store, monkeypatch):
    monkeypatch.delenv("CBM_LAKE_S3__ACCESS_KEY")
    monkeypatch.setenv("AWS_PROFILE", "absent")
    monkeypatch.setitem(sys.modules, "boto3", None)
    assert "pip install 'cbm-lake[s3]'" in problem(lambda: Lake(f"s3://{BUCKET}/x").snapshot(), ConfigError)


def test_who_pays_is_said_with_every_request_and_nobody_else_is_let_in(store, tmp_path, monkeypatch, url):
    image(tmp_path)
    store.upload(tmp_path, "paid", "scenes")
    store.set(pays=True)
    assert "AccessDenied" in problem(lambda: Raster.inspect("s3://scenes/paid/B04.tif"))
    assert "AccessDenied" in problem(lambda: small(url))
    monkeypatch.setenv("CBM_LAKE_S3__REQUESTER_PAYS", "true")
    assert Raster.inspect("s3://scenes/paid/B04.tif").dtype == "uint16"
    assert small(url).sql("from s2").num_rows == 3


def test_public_buckets_are_read_without_a_signature(store, tmp_path, monkeypatch):
    url = "s3://public-bucket/lake"
    image(tmp_path)
    store.upload(tmp_path, "public", "public-bucket")
    everyone = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::public-bucket/*"}
    store.request("PUT", "/public-bucket?policy", json.dumps({"Version": "2012-10-17", "Statement": [everyone]}))
    small(url)
    monkeypatch.setenv("CBM_LAKE_S3__ANONYMOUS", "true")
    monkeypatch.delenv("CBM_LAKE_S3__ACCESS_KEY")
    store.set()
    assert Lake(url).sql("from s2").num_rows == 3
    Raster.inspect("s3://public-bucket/public/B04.tif")
    assert not any(signed for _, _, signed, *_ in store.seen()["asked"])


def test_a_url_without_a_bucket_is_no_url_of_a_lake(store):
    assert "names no bucket" in problem(lambda: Lake("s3:///x").snapshot(), InvalidInputError)


# -- failures ----------------------------------------------------------------------------------------------------------


def everything(url):
    """What can be asked of a lake and a scene, by name."""
    return {
        "list": lambda: Store(url).files("parcels"),
        "read": lambda: Lake(url).sql("from s2"),
        "add scenes": lambda: Lake(url).add_scenes(scenes("A")),
        "load parcels": lambda: small(url),
        "write signatures": lambda: write(Lake(url), signatures(signature("12"))),
        "open a raster": lambda: Raster.inspect(f"{url}/B04.tif"),
        "open a product": lambda: Raster.inspect(f"{url}/p.zarr/b04"),
    }


@pytest.mark.parametrize("name", everything(""))
def test_wrong_keys_are_told_in_one_line(store, monkeypatch, caplog, url, name):
    monkeypatch.setenv("CBM_LAKE_S3__ACCESS_KEY", "AKIDOTHER")
    caplog.set_level(logging.DEBUG)
    assert "The AWS Access Key Id you provided does not exist in our records" in problem(everything(url)[name])
    assert SECRET not in caplog.text


@pytest.mark.parametrize("name", [name for name in everything("") if name != "open a product"])
def test_a_missing_bucket_is_told_in_one_line(store, name):
    told = problem(everything("s3://no-such-bucket/x")[name])
    assert "The specified bucket does not exist" in told
    assert "no-such-bucket" in told


def test_a_bucket_without_a_lake_is_an_empty_lake(store, url):
    assert Lake(url).sql("from s2").num_rows == 0
    with pytest.raises(NotFoundError, match="extract with a cube first"):
        Cube(f"{url}/cubes/s2/g.zarr").open()


def test_a_store_that_is_busy_is_asked_again(store, tmp_path, url):
    image(tmp_path)
    store.upload(tmp_path, "busy", "scenes")
    store.set(busy=2)
    assert Raster.inspect("s3://scenes/busy/B04.tif").href == "s3://scenes/busy/B04.tif"
    for name in ("list", "read", "add scenes", "write signatures"):
        store.set(busy=1)
        everything(url)[name]()
        assert len(store.seen()["asked"]) > 1, name  # the request that was refused, and another


@pytest.mark.slow
def test_a_server_that_stops_in_the_midst_of_work_is_told_in_one_line(workspace, monkeypatch):
    with object_store() as server:
        for name, value in server.settings("s3").items():
            monkeypatch.setenv(name, value)
        lake = small(f"s3://{BUCKET}/lake")
        own, held = Lake(lake.url), Lake(lake.url)
        connection = own.connect()
        held.sql("from s2")
        server.stop()
        for action in (lambda: held.sql("from s2"), *everything(lake.url).values()):
            told = problem(action)
            assert "does not answer" in told
        own.caches.clear()  # small files are kept
        assert "does not answer" in problem(lambda: _asked(connection))


def _asked(connection):
    from cbm_lake.lake.queries import translated

    with translated():
        connection.sql("select sum(B04_mean) from s2").fetchall()


def test_a_deleted_file_is_named(store, url):
    own = small(url)
    connection = own.connect()
    (file,) = Store(url).files("signatures/s2")
    S3Files(url, lasting=False).rm(file)
    own.caches.clear()  # small files are kept
    for action in (lambda: _asked(connection), lambda: Lake(url).sql("from s2")):
        assert f"there is no {file}" in problem(action)


def test_secrets_are_in_no_text_of_what_holds_them(store, url):
    lake = small(url)
    found = Access.of(url)
    texts = [repr(found), str(found), repr(lake), repr(lake._store), repr(S3Files(url)), repr(lake._store.filesystem)]
    texts += [repr(lake._snapshots._opened), repr(found.store("bucket", "").config)]
    for text in texts:
        assert SECRET not in text
        assert KEY not in text


def test_what_a_client_tells_of_missing_keys_becomes_advice():
    error = OSError("Error performing PUT http://169.254.169.254/latest/api/token in 3ms - 403 Forbidden")
    assert explained(error).startswith("no keys were found; give access_key and secret_key")


def test_the_package_imports_no_client_of_an_object_store(tmp_path):
    environment = {**os.environ, "CBM_LAKE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NOTHING], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_rows_that_do_not_count_are_set_aside_in_a_bucket_too_and_come_back(store, url):
    lake = fill(Lake(url))
    rows = lake.sql(ROWS)
    decisions.leave_out("A", "haze", lake=lake)
    assert lake.sql("select distinct scene from signatures_s2")["scene"].to_pylist() == ["B"]
    assert lake.sql("from aside_s2").num_rows == len(PIDS)
    lake.compact()
    decisions.put_back("A", "no haze", lake=lake)
    assert lake.sql("from signatures_s2").num_rows == 2 * len(PIDS)
    assert lake.sql(ROWS).equals(rows)


def test_judgements_stand_in_a_bucket_and_are_withdrawn_there_as_of_then(store, url):
    lake = fill(Lake(url), names=("A",))
    assert cases.judgements(lake=lake).num_rows == 0  # no table yet
    cases.judge("ms", 2024, PIDS[0], "confirmed", who="ann", lake=lake)
    cases.judge("ms", 2024, PIDS[0], "photo", who="bob", lake=Lake(url))
    then = datetime.now(UTC)
    cases.withdraw("ms", 2024, PIDS[0], who="bob", lake=lake)
    assert cases.judgements(lake=Lake(url))["who"].to_pylist() == ["ann"]
    assert cases.judgements(lake=Lake(url, as_of=then))["who"].to_pylist() == ["bob"]
    assert cases.judgements(history=True, lake=lake)["number"].to_pylist() == [1, 2, 3]
