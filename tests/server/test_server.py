"""The REST service over real sockets: the original's answers on the wire, accounts, results, the same lake by API."""

import base64
import contextlib
import io
import json
import logging
import math
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime

import imagecodecs
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio
import requests
import shapely
from factories import PIDS, X, Y, day, degrees, fill, outline, scene, scenes, signature, signatures, write
from pyproj import Transformer
from rest_server import OTHER, WHO, served
from typer.testing import CliRunner

import cbm_lake
from cbm_lake import card2db, extract, get, parcels
from cbm_lake.cli import app
from cbm_lake.demo import sample
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, schemas, tables
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import chips
from cbm_lake.parcel.sources import (
    ApiSource,
    ByLocation,
    ByPid,
    ByPolygon,
    LakeSource,
    Markers,
    Peers,
    Statistics,
    Weather,
)
from cbm_lake.server import legacy_images
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.openeo.api import OPEN
from cbm_lake.storage.store import Store

runner = CliRunner()
KEY = {"aoi": "ms", "year": 2024}
PARCEL = ParcelKey("ms", 2024, "", "0012")
DAYS = {"start_date": "2024-01-01", "end_date": "2024-12-31"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    made = fill(Lake(str(tmp_path_factory.mktemp("lake"))))
    unknown = {f"scl_{value}": None for value in range(12)}
    write(made, signatures(signature("0012", "C", day(2), **unknown)), scene="C")
    return made


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server")) as address:
        yield address


def ask(url, name, *, who=WHO, **params):
    return requests.get(f"{url}/query/{name}", params={**KEY, **params}, auth=who, timeout=30)


# -- the original's answers -------------------------------------------------------------------------------------------


def test_a_parcel_comes_with_its_keys_in_order_and_its_geometry_when_asked(url, lake):
    answer = ask(url, "parcelByID", pid="0012", withGeometry="True")
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert list(found) == ["area", "clat", "clon", "cropcode", "cropname", "geom", "pid", "srid"]
    assert json.loads(found["geom"][0])["crs"]["properties"]["name"] == "EPSG:32631"
    assert found == get.parcel_info.by_pid("ms", 2024, "0012", lake=lake) | {"geom": found["geom"]}
    degrees_too = ask(url, "parcelByID", pid="0012", withGeometry="True", wgs84="True").json()
    assert "crs" not in json.loads(degrees_too["geom"][0])
    for flag in ("true", "1", "yes", ""):
        assert "geom" not in ask(url, "parcelByID", pid="0012", withGeometry=flag).json()


@pytest.mark.parametrize("pid", ["nobody", "", "0012'; drop table parcels; --", "../../etc/passwd", "0" * 150])
def test_nobody_is_the_same_keys_with_empty_lists(url, pid):
    assert ask(url, "parcelByID", pid=pid).json() == {
        "area": [],
        "clat": [],
        "clon": [],
        "cropcode": [],
        "cropname": [],
        "pid": [],
        "srid": [],
    }
    series = ask(url, "parcelTimeSeries", pid=pid).json()
    assert list(series) == ["date_part", "band", "count", "mean", "std", "min", "p25", "p50", "p75", "max", "hist"]
    assert not any(series.values())
    assert ask(url, "parcelPeers", pid=pid).json() == {"distance": [], "pids": []}
    assert ask(url, "weatherTimeSeries", pid=pid).json()["meteo_date"] == []


def test_areas_are_told_apart_without_regard_to_case_and_paths_with_it(url):
    assert ask(url, "parcelByID", aoi="MS", pid="0012").json()["pid"] == ["0012"]
    assert ask(url, "parcelById", pid="0012").status_code == 404
    assert requests.get(f"{url}//query/parcelByID", params={**KEY, "pid": "0012"}, auth=WHO, timeout=9).json()["pid"]


def test_places_and_polygons(url):
    lon, lat = degrees(X + 50, Y + 50)
    assert ask(url, "parcelByLocation", lon=lon, lat=lat).json()["pid"] == ["0012"]
    assert ask(url, "parcelByLocation", lon=0, lat=0).json()["pid"] == []
    ring = [degrees(*point) for point in shapely.get_coordinates(outline(0).buffer(-1))]
    text = "-".join(f"{lon}_{lat}" for lon, lat in ring)
    assert ask(url, "parcelsByPolygon", polygon=text).json() == {"pid": ["0012"]}
    assert "cropname" in ask(url, "parcelsByPolygon", polygon=text, only_ids="False").json()
    for bad in ("garbage", text[:-30], "1_1-2_2"):
        assert ask(url, "parcelsByPolygon", polygon=bad).content == b"{}"


def test_a_time_series_comes_in_the_order_of_columns_with_options(url):
    found = ask(url, "parcelTimeSeries", pid="0012").json()
    assert found["band"] == ["B04", "B08"] * 2  # the scene without histogram is left out
    assert found["hist"][0] == {"4": 25}
    assert all(isinstance(count, float) for count in found["count"])
    assert len(ask(url, "parcelTimeSeries", pid="0012", scl="False", ref="True").json()["reference"]) == 6
    assert set(ask(url, "parcelTimeSeries", pid="0012", band="B08").json()["band"]) == {"B08"}
    assert list(ask(url, "parcelTimeSeries", pid="0012", tstype="scl").json()) == ["obsid", "hist"]
    answer = ask(url, "parcelTimeSeries", pid="0012", tsformat="csv")
    assert answer.headers["content-disposition"] == "attachment; filename=timeseries_ms2024_0012_s2.csv"
    assert answer.content.startswith(b"date_part,band,count,")
    assert answer.content.count(b"\r\n") == 5
    assert list(pd.read_csv(io.BytesIO(answer.content))["mean"]) == found["mean"]


def test_peers_are_the_nearest_of_the_same_crop(url, lake):
    found = ask(url, "parcelPeers", pid="0012", distance=1e5).json()
    shapes = {number: outline(number) for number in range(len(PIDS))}
    assert found["distance"] == sorted(found["distance"])
    assert "0012" not in found["pids"]
    assert ask(url, "parcelPeers", pid="0012", max=0).json() == {"distance": [], "pids": []}
    assert len(shapes) >= len(found["pids"])


def test_info_tells_of_the_users_areas_only(url):
    (area,) = requests.get(f"{url}/query/info", auth=WHO, timeout=9).json()["aois"].items()
    assert area[0] == "ms"
    assert area[1]["years"] == ["2024"]
    assert area[1]["time_series"] == ["s2"]
    assert len(area[1]["id_examples_2024"]) == len(PIDS)
    assert requests.get(f"{url}/query/info", auth=OTHER, timeout=9).json()["aois"] == {}


def test_old_names_of_bands_are_understood_and_those_that_are_not_there_are_empty_lists(url):
    now = ask(url, "parcelTimeSeries", pid="0012", band="B04").content
    assert ask(url, "parcelTimeSeries", pid="0012", band="B4").content == now
    empty = ask(url, "parcelTimeSeries", pid="nobody").content
    for band in ("SC", "SCL", "B1", "B99", "VV", "../x", "'"):
        assert ask(url, "parcelTimeSeries", pid="0012", band=band).content == empty
    assert not any(json.loads(empty).values())
    answer = ask(url, "parcelTimeSeries", pid="0012", band="SC", tsformat="csv")
    assert answer.content == b"date_part,band,count,mean,std,min,p25,p50,p75,max,hist\r\n"


def test_a_kind_of_parcels_that_there_is_not_is_an_empty_object_and_an_unknown_area_or_year_is_404(url):
    place = {"lon": 3, "lat": 43.35, "polygon": "1_1-2_1-2_2-1_1"}
    for name in (
        "parcelByID",
        "parcelByLocation",
        "parcelsByPolygon",
        "parcelPeers",
        "markers",
        "parcelTimeSeries",
        "weatherTimeSeries",
    ):
        assert ask(url, name, pid="0012", ptype="nope", **place).content == b"{}"
        assert ask(url, name, pid="0012", ptype="nope", year=2030, **place).status_code == 404
        assert ask(url, name, pid="0012", ptype="", **place).content != b"{}"


def test_references_of_sentinel_2_end_in_safe(tmp_path):
    made = fill(Lake(str(tmp_path / "lake")), names=())
    reference = "S2A_MSIL2A_20240101T104000_N0510_R008_T31TEJ_20240101T142821"
    for name, known in (("A", reference), ("B", f"{reference}.SAFE")):
        made.add_scenes(scenes(scene(name, day(0))))
        write(made, signatures({**signature("0012", name, day(0)), "reference": known}), scene=name)
    with served(made, tmp_path) as address:
        found = ask(address, "parcelTimeSeries", pid="0012", ref="True").json()["reference"]
    assert set(found) == {f"{reference}.SAFE"}
    assert set(LakeSource(made).answer(Statistics(PARCEL, ref=True))["reference"]) == set(found)


def test_numbers_have_the_digits_of_their_precision(tmp_path):
    made = fill(Lake(str(tmp_path / "lake")), names=())
    numbers = {"mean": 0.1, "std": -2.45, "min": 1 / 3, "p25": 400.0, "p50": 1e-7, "p75": 16777216.0, "max": 123456.789}
    made.add_scenes(scenes(scene("A", day(0))))
    write(
        made, signatures({**signature("0012", "A", day(0)), **{f"B04_{key}": value for key, value in numbers.items()}})
    )
    shortest = {key: float(str(np.float32(value))) for key, value in numbers.items()}
    with served(made, tmp_path) as address:
        found = ask(address, "parcelTimeSeries", pid="0012", band="B04")
        table = ask(address, "parcelTimeSeries", pid="0012", band="B04", tsformat="csv").text.splitlines()
        rows = requests.get(f"{address}/v1/timeseries", params={**KEY, "pid": "0012"}, auth=WHO, timeout=9).text
    assert b'"std":[-2.45]' in found.content
    assert {key: found.json()[key][0] for key in numbers} == shortest
    assert dict(zip(table[0].split(","), table[1].split(","), strict=True))["std"] == "-2.45"
    first = json.loads(rows.splitlines()[0])
    assert {key: first[key] for key in numbers} == shortest


# -- accounts ---------------------------------------------------------------------------------------------------------

ROUTES = [
    "/query/parcelByID",
    "/query/parcelByLocation",
    "/query/parcelsByPolygon",
    "/query/parcelPeers",
    "/query/markers",
    "/query/parcelTimeSeries",
    "/query/weatherTimeSeries",
    "/query/rawChipByParcelID",
    "/query/backgroundByParcelID",
    "/v1/parcels",
    "/v1/timeseries",
]
ALL = {
    **KEY,
    "pid": "0012",
    "lon": 3,
    "lat": 43.5,
    "polygon": "1_1-2_1-2_2-1_1",
    "start_date": "2024-01-01",
    "end_date": "2024-02-01",
}


@pytest.mark.parametrize("path", [*ROUTES, "/query/info", "/files", "/files/ms/list.csv", "/query/rawChipByLocation"])
@pytest.mark.parametrize("who", [None, ("carl", "wrong"), ("nobody", "correct horse"), ("", "")])
def test_without_the_right_login_there_is_nothing(url, path, who):
    answer = requests.get(url + path, params=ALL, auth=who, timeout=30)
    assert answer.status_code in (401, 429)
    if answer.status_code == 401:
        assert answer.text == "Could not verify."
        assert answer.headers["www-authenticate"] == 'Basic realm="Login Required"'


@pytest.mark.parametrize("path", [*ROUTES, "/files/ms/list.csv"])
def test_other_areas_are_refused_without_a_challenge(url, path):
    answer = requests.get(url + path, params=ALL, auth=OTHER, timeout=30)
    if path.startswith("/query/"):  # as the original answers
        assert answer.status_code == 401
        assert answer.text.startswith("Not authorized for this dataset.")
    else:
        assert answer.status_code == 404
    assert "www-authenticate" not in answer.headers


def test_every_route_of_the_description_wants_a_login(url):
    paths = requests.get(f"{url}/openapi.json", timeout=9).json()["paths"]
    assert set(ROUTES) <= set(paths)
    for path in ("/health", "/metrics", *OPEN):  # for monitors, and what openEO says to all; no area, file or person
        assert paths.pop(path, {"get": {}}).keys() == {"get"}
    paths.pop("/oauth/token")  # a login of its own: name and password are in its body
    for path, methods in paths.items():
        for method in methods:
            answer = requests.request(method, url + re.sub(r"{\w+}", "1", path), json={}, timeout=9)
            assert answer.status_code in (401, 429), (method, path)


def test_tokens_are_as_good_as_passwords(lake, tmp_path):
    with served(lake, tmp_path) as address:
        token = Accounts(tmp_path / "users.json").token("ada")
        for value, status in ((token, 200), ("x" * 43, 401), ("", 401)):
            headers = {"Authorization": f"Bearer {value}"}
            params = {**KEY, "pid": "0012"}
            answer = requests.get(f"{address}/query/parcelByID", params=params, headers=headers, timeout=9)
            assert answer.status_code == status
        for broken in ("Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff\xff").decode(), "Digest x"):
            answer = requests.get(f"{address}/query/info", headers={"Authorization": broken}, timeout=9)
            assert answer.status_code == 401


def test_whoever_asks_too_often_waits(lake, tmp_path):
    with served(lake, tmp_path, rate=2) as address:
        answers = [ask(address, "parcelByID", pid="0012") for _ in range(8)]
        late = [answer for answer in answers if answer.status_code == 429]
        assert late
        assert int(late[0].headers["retry-after"]) >= 1
        assert requests.get(f"{address}/query/info", auth=("root", "very long password"), timeout=9).ok


def test_headers_keep_browsers_from_guessing_and_the_log_has_no_secrets(url, caplog):
    caplog.set_level(logging.INFO, "cbm_lake.server")
    answer = ask(url, "parcelByID", pid="0012")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    for _ in range(500):  # the line is written once the answer has gone
        if "ada GET /query/parcelByID 200" in caplog.text:
            break
        time.sleep(0.02)
    assert "ada GET /query/parcelByID 200" in caplog.text
    assert WHO[1] not in caplog.text


# -- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "params", "status"),
    [
        ("parcelByID", {"aoi": None}, 400),
        ("parcelByID", {"year": "x"}, 400),
        ("parcelByID", {"year": 2030, "pid": "0012"}, 404),
        ("parcelByID", {"aoi": "demo", "pid": "0012"}, 404),
        ("parcelByLocation", {"lon": "a", "lat": 1}, 400),
        ("parcelByLocation", {"lon": 43, "lat": 200}, 400),
        ("parcelByLocation", {"lon": "nan", "lat": "inf"}, 400),
        ("parcelPeers", {"pid": "0012", "max": -1}, 400),
        ("parcelPeers", {"pid": "0012", "distance": "1e99"}, 400),
        ("parcelTimeSeries", {"pid": "0012", "tstype": "S2"}, 400),
        ("parcelTimeSeries", {"pid": "0012", "band": "B" * 99}, 400),
        ("parcelByID", {"year": 2030, "pid": "0012", "ptype": "nope"}, 404),
        ("rawChipByLocation", {"lon": 3, "lat": 43, "start_date": "x", "end_date": "2024-01-01"}, 400),
        ("rawChipByLocation", {"lon": 3, "lat": 43, **DAYS, "chipsize": 99999}, 400),
        ("rawChipByLocation", {"lon": 3, "lat": 43, "start_date": "2024-03-09", "end_date": "2024-03-02"}, 400),
        ("chipsByLocation", {"lon": 3, "lat": 43, "start_date": "2024-03-09", "end_date": "2024-03-02"}, 400),
        ("backgroundByLocation", {"lon": 3, "lat": 89}, 400),
    ],
)
def test_what_cannot_be_asked_has_its_status_and_a_plain_line(url, name, params, status):
    answer = ask(url, name, **params)
    assert answer.status_code == status, answer.text
    detail = answer.json()["detail"]
    assert detail
    assert "\n" not in detail
    assert "Traceback" not in detail


def test_large_bodies_and_odd_methods_are_refused(url):
    for path in ("/query/rawChipsBatch", "/v1/sql"):
        assert requests.post(url + path, data=b"x" * 2_000_000, auth=WHO, timeout=9).status_code == 413
        assert requests.post(url + path, data=b"no json", auth=WHO, timeout=9).status_code == 400
        assert requests.get(url + path, auth=WHO, timeout=9).status_code in (404, 405)
    assert requests.delete(f"{url}/query/parcelByID", auth=WHO, timeout=9).status_code == 405


def test_batches_say_what_is_wrong_with_their_keys_in_the_originals_words(url):
    good = {"lon": 3.0, "lat": 43.5, "tiles": [], "bands": ["B04"], "chipsize": 1280}
    post = lambda body: requests.post(f"{url}/query/rawChipsBatch", json=body, auth=WHO, timeout=9)  # noqa: E731
    assert post({**good, "more": 1}).json() == {"error": "more not allowed as key"}
    assert post({"lon": 3.0}).json() == {"error": "1 parameters supplied, 5 required"}
    assert post({**good, "tiles": ["a"] * 40}).content == b"{}"
    assert post(good).content == b'{"dates":[],"chips":[]}'
    assert post({**good, "lon": "x"}).status_code == 400


@pytest.mark.parametrize("name", ["../users.json", "..%2Fusers.json", "%2e%2e/users.json", ".hidden", "nothing.csv"])
def test_files_of_other_places_are_not_handed_out(url, name):
    assert requests.get(f"{url}/files/ms/{name}", auth=WHO, timeout=9).status_code in (401, 404)
    assert requests.get(f"{url}/static/tmp/{name}", timeout=9).status_code == 404
    assert requests.get(f"{url}/static/tmp/{'0' * 64}/{name}", timeout=9).status_code == 404


def test_files_of_ones_own_area_are(url):
    assert requests.get(f"{url}/files", auth=WHO, timeout=9).json() == {"ms": ["list.csv"]}
    assert requests.get(f"{url}/files/MS/list.csv", auth=WHO, timeout=9).text == "a"


# -- today's formats --------------------------------------------------------------------------------------------------


def test_rows_come_in_the_format_that_is_accepted(url, lake):
    def rows(path, accept):
        params = {**KEY, "pid": "0012", "geometry": True}
        return requests.get(url + path, params=params, headers={"Accept": accept}, auth=WHO, timeout=9).content

    for path, count in (("/v1/parcels", len(PIDS)), ("/v1/timeseries", 6)):
        arrow = pa.ipc.open_stream(rows(path, "application/vnd.apache.arrow.stream")).read_all()
        assert arrow.num_rows == count
        assert pq.read_table(io.BytesIO(rows(path, "application/vnd.apache.parquet"))).equals(arrow)
        assert len(pd.read_csv(io.BytesIO(rows(path, "text/csv")), dtype={"pid": str})) == count
        lines = [json.loads(line) for line in rows(path, "*/*").splitlines()]
        assert len(lines) == count
    assert lake.sql("select pid from parcels order by pid")["pid"].to_pylist() == [
        json.loads(line)["pid"] for line in rows("/v1/parcels", "application/json").splitlines()
    ]


def test_sql_is_off_until_it_is_allowed_and_then_shows_ones_own_areas_only(url, lake, tmp_path):
    def sql(address, statement, who=WHO, **params):
        body = {"statement": statement, "params": params}
        return requests.post(f"{address}/v1/sql", json=body, auth=who, timeout=60)

    assert sql(url, "select 1").status_code == 404
    with served(lake, tmp_path, sql=True) as address:
        answer = sql(address, "select count(*) as n from parcels where aoi = $aoi", aoi="ms")
        assert json.loads(answer.text) == {"n": len(PIDS)}
        assert json.loads(sql(address, "select count(*) as n from parcels", OTHER).text) == {"n": 0}
        for attack in ("select * from read_text('/etc/passwd')", "copy parcels to '/tmp/x.csv'", "select 1; select 2"):
            assert sql(address, attack).status_code == 400


# -- images -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return sample.write(tmp_path_factory.mktemp("sample"), dates=3, size=160)


@pytest.fixture(scope="module")
def seen(tmp_path_factory, written):
    """A lake with real scenes over it, and a place in it."""
    made = Lake(str(tmp_path_factory.mktemp("seen") / "lake"))
    card2db.items(str(written.items["s2"]), lake=made)
    parcels.load(str(written.parcels), "demo", 2024, pid="parcel_id", lake=made)
    extract.s2("2024-01-01", "2024-12-31", aoi="demo", year=2024, bands=("B04", "B08"), workers=0, lake=made)
    row = made.sql("select pid, centroid_lon as lon, centroid_lat as lat from parcels order by area_m2 desc limit 1")
    return made, row.to_pylist()[0]


def test_chips_are_fetched_by_links_without_a_login_and_georeferenced(seen, tmp_path):
    lake, place = seen
    with served(lake, tmp_path) as address:
        params = {"lon": place["lon"], "lat": place["lat"], **DAYS, "band": "B08", "chipsize": 320}
        found = requests.get(f"{address}/query/rawChipByLocation", params=params, auth=WHO, timeout=30).json()
        assert len(found["dates"]) == len(found["chips"]) == 3
        assert found == requests.get(f"{address}/query/rawChipByLocation", params=params, auth=WHO, timeout=30).json()
        link = found["chips"][0]
        assert link.startswith("/static/tmp/")
        assert link.endswith(".B08.tif")
        with rasterio.open(io.BytesIO(requests.get(address + link, timeout=9).content)) as chip:
            assert chip.shape == (32, 32)
            x, y = Transformer.from_crs(4326, chip.crs, always_xy=True).transform(place["lon"], place["lat"])
            assert math.dist(chip.xy(15.5, 15.5), (x, y)) <= 10
        mine = requests.get(f"{address}/query/rawChipByLocation", params=params, auth=OTHER, timeout=30).json()[
            "chips"
        ][0]
        assert mine != link  # nobody gets another one's links
        names = requests.get(
            f"{address}/query/rawChipByLocation", params={**params, "onlylist": "True"}, auth=WHO, timeout=9
        ).json()["chips"]
        assert {name.removesuffix(".SAFE") for name in names} == {chip.split("/")[-1][:-8] for chip in found["chips"]}
        by_parcel = {"aoi": "demo", "year": 2024, "pid": place["pid"], **DAYS, "band": "B08", "chipsize": 320}
        again = requests.get(f"{address}/query/rawChipByParcelID", params=by_parcel, auth=WHO, timeout=30).json()
        assert again["dates"] == found["dates"]
        sea = {**params, "lon": 0, "lat": 0}
        answer = requests.get(f"{address}/query/rawChipByLocation", params=sea, auth=WHO, timeout=9)
        assert answer.json() == {"dates": [], "chips": []}


def test_chips_of_scenes_without_rasters_are_404_with_the_reason(seen, written, tmp_path):
    _, place = seen
    items = json.loads(written.items["s2"].read_text())
    for item in items["features"]:
        item["assets"] = {}
        item["links"] = [{"rel": "product", "href": "/eodata/product"}]
    (tmp_path / "items.json").write_text(json.dumps(items))
    lake = Lake(str(tmp_path / "lake"))
    card2db.items(str(tmp_path / "items.json"), lake=lake)
    params = {"lon": place["lon"], "lat": place["lat"], **DAYS, "band": "B4", "bands": "B8_B4_B3", "chipsize": 320}
    with served(lake, tmp_path) as address:
        for name in ("rawChipByLocation", "chipsByLocation"):
            answer = requests.get(f"{address}/query/{name}", params=params, auth=WHO, timeout=30)
            assert answer.status_code == 404, name
            assert "no raster of B0" in answer.json()["detail"]
        names = requests.get(
            f"{address}/query/rawChipByLocation", params={**params, "onlylist": "True"}, auth=WHO, timeout=30
        )
        assert len(names.json()["chips"]) == 3


def test_chips_are_asked_for_by_old_names_of_bands(seen, tmp_path):
    lake, place = seen
    params = {"lon": place["lon"], "lat": place["lat"], **DAYS, "chipsize": 320}
    with served(lake, tmp_path) as address:
        old, now = (
            requests.get(f"{address}/query/rawChipByLocation", params={**params, "band": band}, auth=WHO, timeout=30)
            for band in ("B8", "B08")
        )
    assert old.json() == now.json()
    assert all(link.endswith(".B08.tif") for link in old.json()["chips"])


@pytest.mark.parametrize(
    ("product", "first"),
    [
        ("S1A_20240513T055000__1B__20240507T055010_20240507T055037_CARD-COH6", "20240507T055010"),
        ("S1_COH6_20240507T055010_20240513T055000", "20240507T055010"),
        ("coherence of May", "20240513T055000"),
    ],
)
def test_a_chip_of_coherence_is_dated_by_the_first_image_of_its_pair(product, first, tmp_path):
    seen = datetime(2024, 5, 13, 5, 50, tzinfo=UTC)
    chip = chips.Chip(chips.scenes._UNSAFE.sub("_", product), seen, "VV", tmp_path / "x.tif")
    assert legacy_images._first_moment(chip) == first


def test_scenes_come_as_map_tiles(seen, tmp_path):
    lake, place = seen
    scene = lake.sql("select id from scenes order by obstime limit 1")["id"][0].as_py()
    z, metres = 14, 2 * math.pi * 6378137
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(place["lon"], place["lat"])
    column, row = (int((value / metres + 0.5) * 2**z) for value in (x, -y))
    with served(lake, tmp_path) as address:
        path = f"{address}/v1/tiles/s2/{scene}/{z}/{column}/{row}.png"
        answer = requests.get(path, params={"bands": "B08"}, auth=WHO, timeout=30)
        assert answer.headers["content-type"] == "image/png"
        picture = imagecodecs.png_decode(answer.content)
        assert picture.shape[:2] == (256, 256)
        assert np.ptp(picture[..., 0]) > 0
        assert requests.get(path.replace(scene, "nope"), auth=WHO, timeout=9).status_code == 404
        assert requests.get(path.replace(f"/{z}/", "/99/"), auth=WHO, timeout=9).status_code == 400
        assert requests.get(path, timeout=9).status_code == 401


def test_a_scene_that_cannot_be_read_does_not_hide_the_others(seen, written, tmp_path):
    _, place = seen
    items = json.loads(written.items["s2"].read_text())
    (tmp_path / "items.json").write_text(json.dumps(items).replace(f"{items['features'][0]['id']}/B04.tif", "gone.tif"))
    lake = Lake(str(tmp_path / "lake"))
    card2db.items(str(tmp_path / "items.json"), lake=lake)
    params = {"lon": place["lon"], "lat": place["lat"], **DAYS, "bands": "B04", "chipsize": 320}
    with served(lake, tmp_path) as address:
        answer = requests.get(f"{address}/query/chipsByLocation", params=params, auth=WHO, timeout=30)
    assert (answer.status_code, answer.text.count("<img"), answer.text.count("cannot be read")) == (200, 2, 1)


def test_the_outline_is_on_the_picture_when_asked(seen, tmp_path):
    lake, place = seen
    key = {"aoi": "demo", "year": 2024, "pid": place["pid"], "tms": "sentinel", "chipsize": 128, "extend": 800}

    def yellow(address, **more):
        page = requests.get(f"{address}/query/backgroundByParcelID", params=key | more, auth=WHO, timeout=30).text
        assert "<img" in page, page
        link = re.search(r'src="([^"]+)"', page)[1]
        picture = imagecodecs.png_decode(requests.get(link, timeout=9).content)
        return int((picture[..., :3] == (255, 220, 0)).all(axis=-1).sum())

    with served(lake, tmp_path) as address:
        assert yellow(address) == 0
        drawn = yellow(address, withGeometry="True")
    shape = shapely.from_wkb(LakeSource(lake)._row(lake.parcel_set("demo", 2024), place["pid"])["geometry"])
    pixels = shape.length / math.cos(math.radians(place["lat"])) / (800 / 128)
    assert 0.7 * pixels < drawn < 2 * pixels


def test_results_expire(seen, tmp_path):
    lake, place = seen
    with served(lake, tmp_path, seconds=1.5) as address:
        params = {"lon": place["lon"], "lat": place["lat"], **DAYS}
        (link, *_) = requests.get(f"{address}/query/rawChipByLocation", params=params, auth=WHO, timeout=30).json()[
            "chips"
        ]
        assert requests.get(address + link, timeout=9).ok
        time.sleep(1.6)
        assert requests.get(address + link, timeout=9).status_code == 404


def test_a_background_is_an_absolute_address_also_the_second_time(seen, tmp_path):
    lake, place = seen
    with served(lake, tmp_path) as address:
        params = {"lon": place["lon"], "lat": place["lat"], "chipsize": 64, "extend": 512, "iformat": "tif"}
        for _ in range(2):
            answer = requests.get(
                f"{address}/query/backgroundByLocation", params={**params, "tms": "sentinel"}, auth=WHO, timeout=60
            )
            assert answer.text.startswith(f"{address}/static/tmp/")
            with rasterio.open(io.BytesIO(requests.get(answer.text, timeout=9).content)) as image:
                assert (image.shape, image.count, image.crs.to_epsg()) == ((64, 64), 3, 3857)
        unknown = requests.get(
            f"{address}/query/backgroundByLocation", params={**params, "tms": "nope"}, auth=WHO, timeout=9
        )
        assert unknown.content == b"{}"


# -- the same lake by API ---------------------------------------------------------------------------------------------


def test_the_api_and_the_lake_give_the_same(url, lake):
    api, direct = ApiSource(f"{url}/", *WHO), LakeSource(lake)
    lon, lat = degrees(X + 50, Y + 50)
    ring = shapely.Polygon([degrees(*point) for point in shapely.get_coordinates(outline(0).buffer(-1))])
    for question in (
        lambda source: source.answer(ByPid(PARCEL, geometry=True)),
        lambda source: source.answer(ByLocation("ms", 2024, lon, lat, wgs84=True, geometry=True)),
        lambda source: source.answer(ByPolygon("ms", 2024, ring)),
        lambda source: source.answer(ByPolygon("ms", 2024, ring, only_ids=False)),
        lambda source: source.answer(Peers(PARCEL, distance=1e5)),
        lambda source: source.answer(Statistics(PARCEL)),
        lambda source: source.answer(Statistics(PARCEL, scl=False, ref=True)),
        lambda source: source.answer(Statistics(PARCEL, tstype="scl")),
    ):
        assert question(api) == question(direct)
    for source in (api, direct):
        with pytest.raises(NotFoundError):
            source.answer(ByPid(ParcelKey("ms", 2024, "", "nobody")))
        with pytest.raises(NotFoundError):
            source.answer(ByLocation("ms", 2024, 0, 0))
        with pytest.raises(InvalidInputError):
            source.answer(ByPolygon("ms", 2024, "garbage"))


def test_radar_weather_and_markers_come_through_the_api_as_from_the_lake(lake, tmp_path):
    made = fill(Lake(str(tmp_path / "lake")))
    wide = {f"{band}_{key}": 0.1 for band in ("VV", "VH") for key in ("mean", "std", "min", "max", "p25", "p50", "p75")}
    counts = {"VV_count": 9, "VH_count": 9}
    row = {**signature("0012", "R", day(1)), **wide, **counts}
    names = schemas.signatures("bs").names
    rows = signatures({name: value for name, value in row.items() if name in names}, card="bs")
    made.add_scenes(scenes(scene("R", day(1), card="bs")))
    write(made, rows, scene="R", card="bs")
    cell = {"aoi": "ms", "cell": "1", "loaded": day(1), "part": 1}
    made.put(
        "weather_boxes",
        as_table([{**cell, "west": 2.0, "south": 42.0, "east": 4.0, "north": 45.0}], "weather_boxes"),
        1,
    )
    days = [
        {**cell, "meteo_date": day(n).date(), "tmin": 1.0, "tmax": 9.0, "tmean": 5.0, "prec": 0.5} for n in range(3)
    ]
    made.put("weather_days", as_table(days, "weather_days"), 1)
    event = {
        "aoi": "ms",
        "year": 2024,
        "ptype": "",
        "pid": "0012",
        "marker": "mowing",
        "date_start": day(2).date(),
        "part": 1,
    }
    made.put("marked", as_table([event], "marked"), 1)
    with served(made, tmp_path) as address:
        api, direct = ApiSource(address, *WHO), LakeSource(made)
        for band in ("", "VV", "VHb"):
            told = api.answer(Statistics(PARCEL, tstype="bs", band=band))
            assert told == direct.answer(Statistics(PARCEL, tstype="bs", band=band))
            assert set(told["band"]) == ({"VVb", "VHb"} if not band else {f"{band[:2]}b"})
        assert api.answer(Weather(PARCEL)) == direct.answer(Weather(PARCEL))
        assert len(api.answer(Weather(PARCEL))["tmin"]) == 3
        assert api.answer(Markers(PARCEL)) == direct.answer(Markers(PARCEL))
        assert api.answer(Markers(PARCEL))["marker"] == ["mowing"]


def as_table(rows, name):
    return pa.Table.from_pylist(rows, schema=tables.of(Store("."))[name].schema)


@pytest.mark.thorough
def test_an_account_that_is_set_is_read_from_in_the_call_forms_of_old(url, lake, workspace):
    cbm_lake.set_api_account(url, *WHO)
    assert get.parcel_info.by_pid("ms", 2024, "0012") == get.parcel_info.by_pid("ms", 2024, "0012", lake=lake)
    pd.testing.assert_frame_equal(
        get.time_series.by_pid("ms", 2024, "0012"), get.time_series.by_pid("ms", 2024, "0012", lake=lake)
    )
    assert json.loads((workspace.temp / "ms/2024/0012/info.json").read_text())["pid"] == ["0012"]
    cbm_lake.set_api_account(url, "ada", "wrong password")
    with pytest.raises(ConfigError, match="check the account"):
        get.parcel_info.by_pid("ms", 2024, "0012")
    cbm_lake.set_api_account("http://127.0.0.1:1", *WHO)
    with pytest.raises(SourceError, match="does not answer"):
        get.parcel_info.by_pid("ms", 2024, "0012")
    with pytest.raises(InvalidInputError, match="is no address of a server"):
        cbm_lake.set_api_account("nonsense", *WHO)


def test_chips_and_backgrounds_come_through_the_api_into_the_folders_of_the_contract(seen, tmp_path, workspace):
    lake, place = seen
    with served(lake, tmp_path) as address:
        cbm_lake.set_api_account(address, *WHO)
        found = get.chip_images.by_pid("demo", 2024, place["pid"], "2024-01-01", "2024-12-31", "B08", 320)
        get.background.by_pid("demo", 2024, place["pid"], 64, 512, "sentinel")
    folder = workspace.temp / "demo" / "2024" / place["pid"]
    names = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert {f"chipimages/{name.rpartition('/')[2]}" for name in found["chips"]} <= names
    assert {"chipimages/images_list.B08.csv", "backgrounds/sentinel.tif", "backgrounds/chipsize_extend_64_512"} <= names
    direct = get.chip_images.by_pid("demo", 2024, place["pid"], "2024-01-01", "2024-12-31", "B08", 320, lake=lake)
    assert list(direct["dates"]) == list(found["dates"])
    assert np.ptp(rasterio.open(found["chips"][0]).read(1)) > 0
    assert list(pd.read_csv(folder / "chipimages" / "images_list.B08.csv", index_col=0).columns) == ["dates", "chips"]


@pytest.mark.thorough
def test_the_command_serves_until_it_is_stopped(lake, workspace):
    assert (
        runner.invoke(app, ["user", "add", "ada", "--password-stdin", "--aoi", "ms"], input=WHO[1] + "\n").exit_code
        == 0
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cbm_lake.cli", f"--lake={lake.url}", "serve", f"--port={port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.ConnectionError):
                answer = ask(f"http://127.0.0.1:{port}", "parcelByID", pid="0012")
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        log = process.communicate(timeout=20)[1]
    assert answer.json()["pid"] == ["0012"]
    assert "ada GET /query/parcelByID 200" in log
    assert "Traceback" not in log
