"""Ranges of bytes: right whatever the server does, repeated by range, in bounded memory, no secrets in messages."""

import contextlib
import io
import logging
import os
import re
import threading
import traceback
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import numpy as np
import pytest
import rasterio
from factories import X, Y, parcels, scene, scenes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from range_server import range_server
from rasterio.errors import RasterioError

from cbm_lake import extract
from cbm_lake.errors import SourceError
from cbm_lake.lake import Lake
from cbm_lake.rasters import Raster, Window, opened
from cbm_lake.rasters.readers import FileSource, TiffSource, source
from cbm_lake.storage import access, ranges, stores
from cbm_lake.storage.ranges import LocalFile, RemoteFile, open_bytes, stamp
from cbm_lake.storage.vsi import BytesFile

CONTENT = np.random.default_rng(1).bytes(5_000_000)
PARTS = [(10, 50), (70_000, 200_000), (200_000, 260_000), (300_000, 300_000), (4_000_000, 4_999_999), (90_000, 91_000)]
SECRET = "c2VjcmV0/AB+CD=="
TEMPORARY = ["503", "500", "429", "502", "504", "cut", "unsaid", "reset", "dead", "other", "short", "less", "more"]


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """What was waited for, which takes no time."""
    waited = []
    monkeypatch.setattr(ranges.time, "sleep", waited.append)
    return waited


@pytest.fixture
def server():
    with range_server() as running:
        running.files["/b.bin"] = CONTENT
        running.etags["/b.bin"] = '"v1"'
        yield running


def cuts(parts=PARTS):
    return [CONTENT[start:end] for start, end in parts]


# -- right bytes ------------------------------------------------------------------------------------------------------


def test_a_local_file_and_a_remote_one_give_the_same_bytes(server, tmp_path):
    (tmp_path / "b.bin").write_bytes(CONTENT)
    local, remote = open_bytes(str(tmp_path / "b.bin")), open_bytes(f"{server.url}/b.bin")
    assert isinstance(local, LocalFile)
    assert isinstance(remote, RemoteFile)
    assert open_bytes((tmp_path / "b.bin").as_uri()).read(5, 9) == CONTENT[5:9]
    for file in (local, remote):
        assert file.size == len(CONTENT)
        assert list(file.stream(PARTS)) == cuts()
        assert file.read(0, len(CONTENT)) == CONTENT
        assert file.read(4_999_990, 5_000_100) == CONTENT[4_999_990:]
        assert file.read(7, 7) == b""
        assert list(file.stream([])) == []


@pytest.mark.thorough
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.tuples(st.integers(0, 299_999), st.integers(0, 90_000)), max_size=12),
    faults=st.lists(st.sampled_from(["", "", *TEMPORARY]), max_size=8),
    gap=st.sampled_from([0, 100, 60_000]),
    largest=st.sampled_from([1_000, 30_000, 10**6]),
    window=st.sampled_from([1, 40_000, 10**6]),
)
def test_any_ranges_come_right_in_their_order_whatever_fails(server, monkeypatch, parts, faults, gap, largest, window):
    content = CONTENT[:300_000]
    server.files["/c.bin"] = content
    for name, value in {"_GAP": gap, "_LARGEST": largest, "_WINDOW": window, "_CHUNK": 10_000}.items():
        monkeypatch.setattr(ranges, name, value)
    monkeypatch.setattr(ranges._Attempts, "again", lambda self, problem: True)
    file = open_bytes(f"{server.url}/c.bin")
    server.faults = list(faults)
    wanted = [(start, start + length) for start, length in parts]
    assert list(file.stream(wanted)) == [content[start:end] for start, end in wanted]
    server.faults = []


@pytest.mark.parametrize("fault", TEMPORARY)
def test_a_fault_costs_one_range_and_no_scene(server, pauses, fault):
    file = open_bytes(f"{server.url}/b.bin")
    asked = len(server.asked)
    server.faults = ["", fault]
    assert list(file.stream(PARTS)) == cuts()
    probes = fault in ("503", "429")  # whether it asks to wait
    assert len(server.asked) - asked == 3 + 1 + probes
    assert len(pauses) == 1


@pytest.mark.parametrize("fault", TEMPORARY)
def test_a_fault_at_the_first_request_is_got_over_too(server, fault):
    server.faults = [fault]
    assert open_bytes(f"{server.url}/b.bin").read(100_000, 100_010) == CONTENT[100_000:100_010]


def test_what_came_before_an_answer_broke_off_is_not_asked_for_again(server, monkeypatch):
    monkeypatch.setattr(ranges, "_CHUNK", 10_000)
    file = open_bytes(f"{server.url}/b.bin")
    server.faults = ["cut"]
    assert file.read(1_000_000, 2_000_000) == CONTENT[1_000_000:2_000_000]
    (first, again) = [asked[1] for asked in server.asked[1:]]
    assert first == "bytes=1000000-1999999"
    start, end = (int(number) for number in again.removeprefix("bytes=").split("-"))
    assert end == 1_999_999
    assert 1_400_000 < start <= 1_500_000


def test_a_server_that_knows_no_ranges_is_read_whole_once(server):
    server.faults = ["whole", "whole"]
    file = open_bytes(f"{server.url}/b.bin")
    assert file.size == len(CONTENT)
    assert list(file.stream(PARTS)) == cuts()
    assert len(server.asked) == 2


def test_a_file_smaller_than_the_first_request_and_an_empty_one(server):
    server.files["/s.bin"] = b"abc"
    file = open_bytes(f"{server.url}/s.bin")
    assert (file.size, file.read(1, 100)) == (3, b"bc")
    assert len(server.asked) == 1


@pytest.mark.parametrize("fault", ["cut", "reset", "503"])
def test_a_whole_file_that_breaks_off_is_fetched_again(server, fault):
    server.faults = ["whole", fault, *([""] if fault == "503" else []), "whole"]
    assert open_bytes(f"{server.url}/b.bin").read(0, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("name", ["a b/ä+y%20z~(1).tif", "a//b.tif", "c%2Fd.tif", "x:y@z.tif", "s1;v=2.tif"])
def test_any_name_of_a_file_is_asked_for_as_it_is_written(server, name):
    from urllib.parse import quote, unquote

    server.files["/" + name] = b"content"
    quoted = quote(name)
    assert open_bytes(f"{server.url}/{quoted}").read(0, 7) == b"content"
    assert unquote(server.asked[0][0]) == "/" + name


# -- how it is asked --------------------------------------------------------------------------------------------------


def test_opening_is_one_request_and_the_header_costs_no_other(server):
    file = open_bytes(f"{server.url}/b.bin")
    assert list(file.stream([(0, 100), (5000, 60_000)])) == [CONTENT[:100], CONTENT[5000:60_000]]
    assert [asked[1] for asked in server.asked] == ["bytes=0-65535"]


def test_neighbours_are_one_request_and_a_long_range_is_several(server):
    file = open_bytes(f"{server.url}/b.bin")
    close = [(at, at + 900) for at in range(100_000, 200_000, 1000)]
    assert list(file.stream(close)) == cuts(close)
    assert len(server.asked) == 2
    file.read(100_000, 4_900_000)
    assert len(server.asked) == 2 + 4


def test_requests_are_under_way_side_by_side_but_no_more_than_are_allowed(server, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_S3__CONNECTIONS", "3")
    together = threading.Event()

    def meet(path, headers):
        if not headers["Range"].startswith("bytes=0-"):
            if server.now >= 3:
                together.set()
            together.wait(30)

    server.check = meet
    files = [open_bytes(f"{server.url}/b.bin") for _ in range(2)]
    threads = [threading.Thread(target=lambda file=file: file.read(100_000, 4_900_000)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.most == 3


def test_no_more_is_fetched_ahead_than_the_window(server, monkeypatch):
    monkeypatch.setattr(ranges, "_LARGEST", 100_000)
    monkeypatch.setattr(ranges, "_WINDOW", 300_000)
    monkeypatch.setattr(ranges, "_GAP", 0)
    file = open_bytes(f"{server.url}/b.bin")
    stream = file.stream([(at, at + 100_000) for at in range(100_000, 4_900_000, 100_000)])
    for _ in range(10):
        next(stream)
    assert len(server.asked) <= 1 + 10 + 3
    stream.close()


def test_who_stops_reading_stops_the_requests(server):
    file = open_bytes(f"{server.url}/b.bin")
    stream = file.stream([(100_000, 110_000), *((at, at + 1) for at in range(300_000, 5_000_000, 100_000))])
    assert next(stream) == CONTENT[100_000:110_000]
    stream.close()
    assert open_bytes(f"{server.url}/b.bin").read(5, 6) == CONTENT[5:6]


# -- what does not pass -----------------------------------------------------------------------------------------------


def test_a_server_that_keeps_failing_is_given_up_with_its_answer(server, pauses):
    server.faults = ["500"] * 50
    with pytest.raises(SourceError, match=r"raster http://127.0.0.1:\d+/b.bin cannot be opened: Code500"):
        open_bytes(f"{server.url}/b.bin")
    assert len(server.asked) == 5
    assert pauses == sorted(pauses)


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "409", "410"])
def test_a_refusal_is_told_at_once_in_one_line_with_what_to_do(server, pauses, status):
    server.faults = [status] * 3
    with pytest.raises(SourceError, match=f"b.bin cannot be opened: Code{status}; ") as caught:
        open_bytes(f"{server.url}/b.bin?sig={SECRET}")
    advice = "CBM_LAKE_TOKEN_127_0_0_1" if status in ("401", "403", "409") else "leave out this scene"
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert (len(server.asked), pauses) == (1, [])


@pytest.mark.parametrize("said", ["37", "Thu, 01 Jan 2099 00:00:00 GMT", "7200", "", "soon"])
def test_a_server_that_says_how_long_to_wait_is_waited_for_unless_it_is_too_long(server, pauses, caplog, said):
    server.headers = {"Retry-After": said} if said else {}
    server.faults = ["503", "503"]
    if said in ("37", "", "soon"):
        with caplog.at_level(logging.DEBUG):
            assert open_bytes(f"{server.url}/b.bin?token={SECRET}").read(0, 5) == CONTENT[:5]
        assert (pauses == [37]) == (said == "37")
        assert ("is busy; going on in 37 s" in caplog.text) == (said == "37")
        assert SECRET not in caplog.text
    else:
        with pytest.raises(SourceError, match=r"b.bin cannot be opened: Code503"):
            open_bytes(f"{server.url}/b.bin")
        assert pauses == []


@pytest.mark.parametrize("fault", ["silent", "slow start"])
def test_a_server_that_accepts_and_never_answers_ends_with_its_name(server, monkeypatch, fault):
    monkeypatch.setattr(access, "READ_TIMEOUT", timedelta(milliseconds=50))
    server.faults = [fault] * 20
    with pytest.raises(SourceError, match=r"http://127.0.0.1:\d+/b.bin cannot be opened: .*(does not answer|body)"):
        open_bytes(f"{server.url}/b.bin")
    assert len(server.asked) <= 1  # a busy machine may give up before it is counted


def test_nobody_there_is_an_error_with_the_address():
    with pytest.raises(SourceError, match=r"cannot be opened: http://127.0.0.1:9 does not answer"):
        open_bytes(f"http://user:{'pass'}@127.0.0.1:9/b.bin?sig={SECRET}")


@pytest.mark.parametrize("change", ["etag", "size", "time"])
def test_a_file_that_changes_while_it_is_read_is_never_mixed(server, change):
    if change == "time":
        server.etags = {}
        server.modified["/b.bin"] = "Wed, 01 May 2024 10:00:00 GMT"
    file = open_bytes(f"{server.url}/b.bin")
    if change == "etag":
        server.etags["/b.bin"] = '"v2"'
    elif change == "size":
        server.files["/b.bin"] = CONTENT + b"!"
    else:
        server.modified["/b.bin"] = "Wed, 01 May 2024 10:00:01 GMT"
    with pytest.raises(SourceError, match=r"b.bin changed while it was read; run again"):
        list(file.stream(PARTS))


def test_a_weak_etag_is_that_of_the_same_content(server):
    file = open_bytes(f"{server.url}/b.bin")
    server.etags["/b.bin"] = 'W/"v1"'
    assert list(file.stream(PARTS)) == cuts()


# -- stamps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", ["etag", "time", "nothing"])
def test_the_stamp_of_a_remote_file_tells_contents_apart(server, known):
    server.etags = {"/b.bin": '"v1"'} if known == "etag" else {}
    if known == "time":
        server.modified["/b.bin"] = "Wed, 01 May 2024 10:00:00 GMT"
    first = stamp(f"{server.url}/b.bin")
    assert stamp(f"{server.url}/b.bin?sig={SECRET}") == open_bytes(f"{server.url}/b.bin").stamp == first
    if known == "nothing":
        server.files["/b.bin"] = b"!" + CONTENT[1:]
    elif known == "etag":
        server.etags["/b.bin"] = '"v2"'
    else:
        server.modified["/b.bin"] = "Wed, 01 May 2024 10:00:01 GMT"
    assert stamp(f"{server.url}/b.bin") != first
    with pytest.raises(SourceError, match=r"none cannot be opened: Code404|none cannot be opened: 404"):
        stamp(f"{server.url}/none")


def test_the_stamp_of_a_local_file_is_size_and_time_of_it_or_of_its_archive(tmp_path):
    file = tmp_path / "b.bin"
    file.write_bytes(b"abc")
    first = stamp(str(file))
    assert first == LocalFile(str(file)).stamp == stamp(file.as_uri())
    os.utime(file, ns=(1, file.stat().st_mtime_ns + 1))
    assert stamp(str(file)) != first
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.write(file, "IMG/b.bin")
    size, _, time = stamp(f"/vsizip/{tmp_path}/p.zip/IMG/b.bin").partition("-")
    status = (tmp_path / "p.zip").stat()
    assert (int(size), int(time)) == (status.st_size, status.st_mtime_ns)
    assert stamp(f"/vsizip/{{{tmp_path}/p.zip}}/IMG/b.bin") == f"{size}-{time}"
    for missing in (tmp_path / "none", f"/vsizip/{tmp_path}/none.zip/b"):
        with pytest.raises(SourceError, match=r"none.* cannot be opened: No such file"):
            stamp(str(missing))


# -- where it leads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "url", "path"),
    [
        ("/vsicurl/https://host/a/b.tif", "https://host/a/b.tif", "a/b.tif"),
        ("https://host/a%20b/c.tif?x=1", "https://host/a%20b/c.tif?x=1", "a b/c.tif"),
        ("gs://bucket/a/b.tif", "gs://bucket/a/b.tif", "a/b.tif"),
        ("/vsigs/bucket/a/b.tif", "gs://bucket/a/b.tif", "a/b.tif"),
        ("az://container/a/b.tif", "az://container/a/b.tif", "a/b.tif"),
        ("abfs://container@account.dfs.core.windows.net/a/b.tif", None, "a/b.tif"),
        ("/vsis3/bucket/a/b.tif", "s3://bucket/a/b.tif", "a/b.tif"),
    ],
)
def test_every_kind_of_url_has_a_client(monkeypatch, href, url, path):
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("CBM_LAKE_S3__ANONYMOUS", "true")
    remote = stores.Remote(href)
    assert (remote.url, remote.path) == (url or href, path)
    assert type(remote.store()).__name__ in ("HTTPStore", "GCSStore", "AzureStore", "S3Store")


def test_a_container_without_an_account_is_told(monkeypatch):
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SourceError, match="set AZURE_STORAGE_ACCOUNT_NAME"):
        open_bytes("az://container/a/b.tif")


def test_the_cdse_gets_the_four_connections_that_it_allows_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("CBM_LAKE_S3__HOST", "https://eodata.dataspace.copernicus.eu")
    assert access.Access.of("s3://eodata/x").connections == 4
    assert stores.Remote("https://zipper.dataspace.copernicus.eu/x").connections == 4
    monkeypatch.setenv("CBM_LAKE_S3__CONNECTIONS", "7")
    assert access.Access.of("s3://eodata/x").connections == 7
    assert stores.Remote("https://example.org/x").connections == 7


# -- rasters ----------------------------------------------------------------------------------------------------------


def raster_bytes(pixels, **profile):
    """A GeoTIFF in memory."""
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=1,
            dtype=pixels.dtype,
            height=pixels.shape[0],
            width=pixels.shape[1],
            **{"crs": "EPSG:32631", "transform": rasterio.Affine(10, 0, 600000, 0, -10, 5000000)} | profile,
        ) as file:
            file.write(pixels, 1)
        return memory.read()


TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2}


@pytest.mark.parametrize(("profile", "kind"), [(TILED, TiffSource), ({"compress": "deflate"}, FileSource)])
@pytest.mark.parametrize("fault", ["", *TEMPORARY])
def test_a_raster_has_the_right_pixels_whatever_the_server_does(server, profile, kind, fault):
    pixels = np.random.default_rng(1).integers(0, 5000, (1000, 1100)).astype(np.uint16)
    server.files["/b.tif"] = raster_bytes(pixels, **profile)
    server.faults = ["", fault, "", fault, "", "", fault]
    raster = Raster.inspect(f"{server.url}/b.tif")
    reader = source(raster)
    assert isinstance(reader, kind)
    windows = [Window(row, 0, min(256, 1000 - row), 1100) for row in range(0, 1000, 256)]
    assert np.array_equal(np.concatenate(list(reader.read(windows))), pixels)


@pytest.mark.parametrize("profile", [TILED, {"compress": "deflate"}], ids=["tiled", "striped"])
def test_a_raster_of_which_a_part_is_out_of_reach_is_an_error_and_never_zeros(server, profile):
    pixels = np.random.default_rng(1).integers(0, 5000, (1000, 1100)).astype(np.uint16)
    server.files["/b.tif"] = raster_bytes(pixels, **profile)
    raster = Raster.inspect(f"{server.url}/b.tif")
    reader = source(raster)
    server.faults = ["500"] * 1000
    with pytest.raises(SourceError, match=r"b.tif cannot be (read|opened): Code500"):
        list(reader.read([Window(500, 0, 500, 1100)]))


def test_what_gdal_does_not_say_of_a_failure_is_an_error_all_the_same(server):
    pixels = np.random.default_rng(1).integers(0, 5000, (1000, 1100)).astype(np.uint16)
    server.files["/b.tif"] = raster_bytes(pixels, compress="deflate")

    def read():
        with opened(f"{server.url}/b.tif") as dataset:
            server.faults = ["500"] * 1000
            with contextlib.suppress(RasterioError):
                dataset.read(1)

    with pytest.raises(SourceError, match=r"b.tif cannot be read: Code500"):
        read()


def test_the_header_of_a_raster_costs_one_request(server):
    pixels = np.random.default_rng(1).integers(0, 5000, (1000, 1100)).astype(np.uint16)
    server.files["/b.tif"] = raster_bytes(pixels, **TILED)
    Raster.inspect(f"{server.url}/b.tif")
    assert len(server.asked) == 1


@pytest.mark.parametrize("profile", [TILED, {"compress": "deflate"}], ids=["tiled", "striped"])
def test_a_raster_that_one_thread_begins_to_read_is_read_on_by_another(server, profile):
    pixels = np.random.default_rng(1).integers(0, 5000, (1000, 1100)).astype(np.uint16)
    server.files["/b.tif"] = raster_bytes(pixels, **profile)
    raster = Raster.inspect(f"{server.url}/b.tif")
    windows = [Window(row, 0, 250, 1100) for row in range(0, 1000, 250)]
    with ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            blocks = source(raster).read(windows)
            first = pool.submit(next, blocks).result()
            with rasterio.Env(GDAL_NUM_THREADS="1"):
                assert np.array_equal(np.concatenate([first, *blocks]), pixels)


def test_a_raster_replaced_at_its_address_is_read_as_it_is_now(server):
    for seed in (1, 2):
        pixels = np.random.default_rng(seed).integers(0, 5000, (300, 300)).astype(np.uint16)
        server.files["/b.tif"] = raster_bytes(pixels, compress="deflate")
        (found,) = source(Raster.inspect(f"{server.url}/b.tif")).read([Window(0, 0, 300, 300)])
        assert np.array_equal(found, pixels)


BANDS = ("B02", "B04", "B08", "B11")


@pytest.mark.thorough
@pytest.mark.parametrize("cube", [False, True], ids=["rows", "cube"])
@pytest.mark.parametrize("rule", ["centre", "coverage"])
def test_a_scene_on_the_web_has_the_rows_of_the_same_scene_on_a_disk(server, tmp_path, rule, cube):
    if rule == "coverage":
        pytest.importorskip("exactextract")
    rows = []
    for number, band in enumerate((*BANDS, "SCL")):
        size = 20 if band in ("B11", "SCL") else 10
        values = np.random.default_rng(number).integers(0, 12 if band == "SCL" else 5000, (7000 // size, 7000 // size))
        place = rasterio.Affine(size, 0, X - 3000, 0, -size, Y + 4000)
        content = raster_bytes(values.astype(np.uint8 if band == "SCL" else np.uint16), transform=place, **TILED)
        (tmp_path / f"{band}.tif").write_bytes(content)
        server.files[f"/{band}.tif"] = content
    server.faults = ["", "503", "", "", "cut", "", "reset", "", "429", "", "", "other", "unsaid"] * 5
    for root in (str(tmp_path), server.url):
        lake = Lake(str(tmp_path / f"lake-{root == server.url}"))
        lake.add_parcels("ms", 2024, "", "v1", parcels())
        assets = {band: {"href": f"{root}/{band}.tif", "type": "image/tiff"} for band in (*BANDS, "SCL")}
        lake.add_scenes(scenes(scene("A", assets=assets)))
        options = {"aoi": "ms", "year": 2024, "bands": BANDS, "rule": rule, "cube": cube, "workers": 0, "lake": lake}
        extract.extract("s2", "2024-05-01", "2024-05-01", **options)
        rows.append(lake.sql("select * from s2 order by pid"))
    assert rows[0].num_rows == 3
    assert rows[0].equals(rows[1])


def test_a_scene_of_which_a_band_is_gone_fails_alone_with_its_reason(server, tmp_path):
    content = raster_bytes(
        np.ones((700, 700), np.uint16), transform=rasterio.Affine(10, 0, X - 3000, 0, -10, Y + 4000), **TILED
    )
    lake = Lake(str(tmp_path / "lake"))
    lake.add_parcels("ms", 2024, "", "v1", parcels())
    names, bands = ("A", "B"), ("B02", "B04", "B08")
    for name in names:
        server.files |= {f"/{name}/{band}.tif": content for band in bands}
    found = [
        scene(name, assets={b: {"href": f"{server.url}/{name}/{b}.tif?sig=x", "type": "image/tiff"} for b in bands})
        for name in names
    ]
    lake.add_scenes(scenes(*found))
    options = {"aoi": "ms", "year": 2024, "bands": bands, "cube": False, "lake": lake}
    plan = extract.plan("s2", "2024-05-01", "2024-05-01", **options)
    del server.files["/A/B08.tif"]
    outcomes = {job.scene.id: extract.extract_scene(job) for job in plan.jobs}
    assert outcomes["B"].problem is None
    assert re.search(r"raster http://[^ ?]*/A/B08.tif cannot be (opened|read): Code404", outcomes["A"].problem)


def test_a_byte_source_is_a_file_like_any_other(server):
    file, other = BytesFile(open_bytes(f"{server.url}/b.bin")), io.BytesIO(CONTENT)
    numbers = np.random.default_rng(2)
    for _ in range(50):
        at, size = int(numbers.integers(5_100_000)), int(numbers.choice([0, 1, 1000, 70_000, 200_000]))
        for whence, offset in ((io.SEEK_SET, at), (io.SEEK_CUR, 5), (io.SEEK_END, -at)):
            if whence == io.SEEK_END and at > len(CONTENT):
                continue
            assert file.seek(offset, whence) == other.seek(offset, whence)
            assert file.read(size) == other.read(size)


def test_a_page_in_the_place_of_a_raster_is_refused_by_its_address_alone(server):
    server.files["/login/B04.tif"] = b"<html>sign in</html>" * 200
    with pytest.raises(SourceError) as refused:
        Raster.inspect(server.url + "/login/B04.tif")
    assert "login/B04.tif cannot be opened: 'B04.tif' not recognized" in str(refused.value)
    assert "/vsi" not in str(refused.value)
