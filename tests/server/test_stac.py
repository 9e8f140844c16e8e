"""The STAC API by clients of others, unmodified: stac-api-validator, pystac-client, rustac; requests as of QGIS."""

import asyncio
import io
import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pystac_client
import pytest
import requests
import rustac
import shapely
from factories import PIDS, fill, parcels, scene, scenes
from rest_server import OTHER, ROOT, WHO, served

from cbm_lake.lake import Lake
from cbm_lake.server import selection
from cbm_lake.server.accounts import Accounts

FAR = {"geometry": shapely.box(20, 10, 21, 11).wkb, "bbox": {"xmin": 20.0, "ymin": 10.0, "xmax": 21.0, "ymax": 11.0}}
START = datetime(2023, 1, 1, 10, 30, tzinfo=UTC)


def when(number):
    return START + timedelta(days=number)


def build(lake):
    """Parcels of ms and be; 60 scenes of s2 and 20 of bs over ms, 7 of s2 far away, one reprocessed, one left out."""
    fill(lake)
    lake.add_parcels("be", 2024, "", "v1", parcels(PIDS))
    rows = [
        scene(f"S{number:03}", when(number), **{"eo:cloud_cover": float(number % 50), "platform": "sentinel-2a"})
        for number in range(60)
    ]
    rows += [scene(f"F{number}", when(number), **FAR) for number in range(7)]
    rows.append(scene("S000_NEW", when(0), acquisition="S000", baseline="05.11"))
    radar = {"boa_offset": 0, "s2:processing_baseline": None, "sensor": "S1A", "eo:cloud_cover": None}
    image = {"VV": {"href": "https://example.com/VV.tif", "type": "image/tiff"}}
    for number in range(20):
        rows.append({**scene(f"R{number:02}", when(number), card="bs", **radar), "assets": image})
    lake.add_scenes(scenes(*rows))
    return lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return build(Lake(str(tmp_path_factory.mktemp("lake"))))


@pytest.fixture(scope="module")
def service(lake, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    with served(lake, folder, rate=1e6) as address:
        yield address, Accounts(folder / "users.json").token("ada")


@pytest.fixture(scope="module")
def url(service):
    return service[0]


@pytest.fixture(scope="module")
def client(service):
    address, token = service
    return pystac_client.Client.open(f"{address}/stac", headers={"Authorization": f"Bearer {token}"})


def at(url, path, who=WHO, **params):
    return requests.get(f"{url}{path}", params=params, auth=who, timeout=30)


def counting(lake, where="true"):
    """The scenes near ms that count, by SQL."""
    near = "not superseded and left_out is null and bbox.xmin < 10"
    rows = lake.sql(f"select card, id from scenes where {near} and ({where}) order by obstime desc, card, id")  # noqa: S608
    return [(row["card"], row["id"]) for row in rows.to_pylist()]


def named(items):
    return [(item["collection"], item["id"]) for item in items if item["collection"] not in ("statistics", "cubes")]


# -- clients ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stac_api_validator_finds_nothing(service, tmp_path):
    address, token = service
    classes = ("core", "collections", "features", "item-search", "filter", "item-search#sort")
    missing = tmp_path / "missing"
    done = subprocess.run(
        [
            *(sys.executable, Path(__file__).with_name("stac_validator_offline.py"), missing),
            *("--root-url", f"{address}/stac", "--collection", "s2", "--validate-pagination"),
            *("--geometry", json.dumps(shapely.geometry.mapping(shapely.box(2.95, 43.2, 3.05, 43.8)))),
            *("-H", f"Authorization: Bearer {token}", "--log-level", "WARNING"),
            *itertools.chain(*(("--conformance", name) for name in classes)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Errors: none" in done.stdout, done.stdout + done.stderr
    unknown = {line.split("/")[2] for line in missing.read_text().split()}
    assert unknown == {"stac-extensions.github.io"}  # of these no schema was at hand


def test_pystac_client_searches_as_sql_does(client, lake):
    assert {one.id for one in client.get_collections()} == {"s2", "bs", "statistics"}
    for search, where in (
        ({"collections": ["s2"]}, "card = 's2'"),
        ({"collections": ["s2", "bs"]}, "true"),
        (
            {"collections": ["bs"], "datetime": "2023-01-05/2023-01-08"},
            "card = 'bs' and obstime::date between '2023-01-05' and '2023-01-08'",
        ),
        (
            {"collections": ["s2"], "filter": "eo:cloud_cover < 10 AND platform = 'sentinel-2a'"},
            "card = 's2' and cloud_cover < 10 and id like 'S%'",
        ),
        (
            {"collections": ["s2"], "filter": {"op": ">=", "args": [{"property": "eo:cloud_cover"}, 45]}},
            "card = 's2' and cloud_cover >= 45",
        ),
        ({"ids": ["S001", "R01", "F1", "nobody"]}, "id in ('S001', 'R01')"),
        ({"collections": ["s2"], "bbox": [2.95, 43.1, 2.96, 43.2]}, "card = 's2'"),
        ({"collections": ["s2"], "bbox": [20.1, 10.1, 20.2, 10.2]}, "false"),
        ({"collections": ["bs"], "intersects": shapely.geometry.mapping(shapely.Point(3, 43.5))}, "card = 'bs'"),
    ):
        for method in ("GET", "POST"):
            language = {"filter_lang": "cql2-json" if isinstance(search.get("filter"), dict) else "cql2-text"}
            more = language if "filter" in search else {}
            found = client.search(method=method, limit=7, **search, **more)
            assert named(found.items_as_dicts()) == counting(lake, where), search
            assert found.matched() == len(counting(lake, where))
    ordered = client.search(collections=["s2"], sortby="+properties.eo:cloud_cover,-id", limit=100)
    covers = [(item.properties["eo:cloud_cover"], item.id) for item in ordered.items() if item.id.startswith("S")]
    assert covers == sorted(sorted(covers, key=lambda pair: pair[1], reverse=True), key=lambda pair: pair[0])


def test_an_item_says_what_the_catalogue_knows(client, url):
    (item,) = client.search(ids=["S004"]).items()
    assert item.datetime == when(4)
    assert item.properties["eo:cloud_cover"] == 4
    assert (item.properties["proj:code"], item.properties["grid:code"]) == ("EPSG:32631", "MGRS-31TEJ")
    assert item.assets["B04"].href == "file:///data/S004/B04.tif"
    assert shapely.geometry.shape(item.geometry).equals(shapely.box(2.9, 43, 3.1, 44))
    (radar,) = client.search(ids=["R03"]).items()
    assert radar.assets["VV"].href == "https://example.com/VV.tif"
    assert "eo:cloud_cover" not in radar.properties
    assert at(url, "/stac/collections/bs/items/S004").status_code == 404


def test_reprocessed_scenes_and_scenes_that_were_left_out_are_not_listed(tmp_path):
    made = fill(Lake(str(tmp_path / "lake")), names=("A", "B", "C"))
    made.add_scenes(scenes(scene("A_NEW", acquisition="A", baseline="05.11")))
    with served(made, tmp_path) as address:
        listed = {item["id"] for item in at(address, "/stac/collections/s2/items").json()["features"]}
        assert listed == {"A_NEW", "B", "C"}


def test_statistics_are_parquet_as_sql_gives_them(client, lake, url):
    (item,) = client.search(collections=["statistics"]).items()
    assert (item.id, item.properties["scenes"]) == ("s2_ms_2024", 2)
    answer = requests.get(item.assets["statistics"].href, auth=WHO, timeout=30)
    got = pq.read_table(io.BytesIO(answer.content)).sort_by([("pid", "ascending"), ("scene", "ascending")])
    expected = lake.sql("select * from s2 where aoi = 'ms' order by pid, scene")
    assert got.num_rows == 6
    assert got.to_pylist() == expected.to_pylist()
    assert requests.get(item.assets["parcels"].href, auth=WHO, timeout=30).json()["numberMatched"] == len(PIDS)
    assert requests.get(item.assets["statistics"].href, auth=OTHER, timeout=30).status_code == 404


def test_rustac_reads_it(service, lake):
    address, token = service
    headers = {"Authorization": f"Bearer {token}"}

    async def search():
        return await rustac.search(f"{address}/stac", collections=["bs"], max_items=100, limit=6, headers=headers)

    assert named(asyncio.run(search())) == counting(lake, "card = 'bs'")


def test_the_requests_of_the_form_of_qgis(url):
    root = at(url, "/stac").json()
    links = {link["rel"]: link for link in root["links"]}
    assert any("item-search" in name for name in root["conformsTo"])
    listed = requests.get(links["data"]["href"], auth=WHO, timeout=30).json()["collections"]
    assert all(one["extent"]["spatial"]["bbox"][0][0] < 10 for one in listed)
    found, address = [], links["search"]["href"]
    asked = {
        "limit": 20,
        "bbox": "2,42,4,45",
        "collections": "s2",
        "datetime": "2023-01-01T00:00:00Z/2023-02-01T23:59:59Z",
    }
    while address:
        page = requests.get(address, params=asked, auth=WHO, timeout=30)
        assert page.headers["content-type"] == "application/geo+json"
        found += page.json()["features"]
        address = next((link["href"] for link in page.json()["links"] if link["rel"] == "next"), None)
        asked = None
    assert {item["id"] for item in found} == {f"S{number:03}" for number in range(1, 32)} | {"S000_NEW"}


# -- fields, refusals -------------------------------------------------------------------------------------------------


def test_fields_that_are_wanted(url):
    def fields(wanted, **more):
        (item,) = at(url, "/stac/search", ids="S001", fields=wanted, **more).json()["features"]
        return item

    assert set(fields("id,geometry")) == {"type", "id", "collection", "geometry"}
    assert "geometry" not in fields("-geometry")
    assert set(fields("-geometry")) > {"links", "assets", "properties"}
    assert fields("properties.eo:cloud_cover")["properties"] == {"eo:cloud_cover": 1.0}
    assert fields("-properties,+properties.eo:cloud_cover")["properties"] == {"eo:cloud_cover": 1.0}
    assert "eo:cloud_cover" not in fields("-properties.eo:cloud_cover")["properties"]
    assert "geometry" in fields("+geometry,-geometry")


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "nan,1,2,3"}, "bbox"),
        ({"bbox": "1,1,2,2", "intersects": '{"type": "Point", "coordinates": [1, 1]}'}, "bbox and intersects"),
        ({"intersects": "{"}, "JSON"),
        ({"intersects": "[]"}, "geometry"),
        ({"intersects": '{"type": "Point", "coordinates": ["a"]}'}, "geometry"),
        ({"datetime": "yesterday"}, "timestamp"),
        ({"datetime": "2024-01-02T00:00:00Z/2024-01-01T00:00:00Z"}, "ends before"),
        ({"filter": "nobody = 1"}, "nobody"),
        ({"filter": "{}", "filter-lang": "cql2-json"}, "no value"),
        ({"filter": "id = 'a'", "filter-lang": "cql"}, "filter-lang"),
        ({"filter": "id = 'a'", "filter-crs": "EPSG:3035"}, "filter-crs"),
        ({"sortby": "nobody"}, "nobody"),
        ({"token": "../../etc"}, "page"),
        ({"limit": 0}, "limit"),
        ({"collections": ",".join(map(str, range(200)))}, "collections"),
        ({"sortby": ",".join(["id"] * 20)}, "sortby"),
    ],
)
def test_what_is_wrong_is_refused_by_name(url, asked, word):
    answer = at(url, "/stac/search", **asked)
    assert (answer.status_code, word in answer.text) == (400, True), answer.text


def test_a_body_with_what_is_not_offered_is_refused(url):
    for body in ({"query": {}}, {"ids": 5}, {"bbox": [1, 2]}, {"filter": {"op": "sleep", "args": []}}, [], "x"):
        answer = requests.post(f"{url}/stac/search", json=body, auth=WHO, timeout=30)
        assert answer.status_code == 400, body


# -- grants, pages ----------------------------------------------------------------------------------------------------


def test_an_account_sees_the_scenes_that_meet_its_areas(url, tmp_path):
    everything = {item["id"] for item in at(url, "/stac/search", ROOT, limit=1000).json()["features"]}
    assert {"F1", "S001", "R01", "s2_ms_2024"} <= everything
    theirs = {item["id"] for item in at(url, "/stac/search", limit=1000).json()["features"]}
    assert everything - theirs == {f"F{number}" for number in range(7)}
    of_be = {item["id"] for item in at(url, "/stac/search", OTHER, limit=1000).json()["features"]}
    assert of_be == theirs - {"s2_ms_2024"}  # the same place, but no statistics of theirs
    assert at(url, "/stac/collections/s2/items/F1").status_code == 404
    assert at(url, "/stac/collections/s2/items/F1", ROOT).status_code == 200
    assert at(url, "/stac/collections/statistics", OTHER).status_code == 404
    assert at(url, "/stac/statistics/ms/2024/s2.parquet", OTHER).status_code == 404
    assert at(url, "/stac", None).status_code == 401


def pages(url, between, **asked):
    """The items of all pages, with something done between them."""
    found, address = [], f"{url}/stac/search"
    while address:
        page = requests.get(address, params=asked, auth=WHO, timeout=30)
        assert page.status_code == 200, page.text
        found += [item["id"] for item in page.json()["features"]]
        address = next((link["href"] for link in page.json()["links"] if link["rel"] == "next"), None)
        asked = None
        between()
    return found


@pytest.mark.thorough
def test_pages_fit_together_while_scenes_are_catalogued(tmp_path):
    made, number = build(Lake(str(tmp_path / "lake"))), itertools.count()
    before = [name for _, name in counting(made, "card = 's2'")]
    with served(made, tmp_path) as address:

        def catalogue():
            made.add_scenes(scenes(scene(f"N{next(number)}", when(30 + 0.01 * next(number)))))

        assert pages(address, catalogue, collections="s2", limit=9) == before
        assert len(pages(address, lambda: None, collections="s2", limit=100)) > len(before)


def test_a_page_of_rows_that_have_changed_and_are_not_kept_is_gone(tmp_path, monkeypatch):
    made = build(Lake(str(tmp_path / "lake")))
    with served(made, tmp_path) as address:
        first = at(address, "/stac/search", limit=5).json()
        following = next(link["href"] for link in first["links"] if link["rel"] == "next")
        monkeypatch.setattr(selection.Selections, "get", lambda *_: None)
        assert requests.get(following, auth=WHO, timeout=30).status_code == 200  # the same rows are chosen again
        made.add_scenes(scenes(scene("N", when(3))))
        gone = requests.get(following, auth=WHO, timeout=30)
        assert (gone.status_code, "begin again" in gone.text) == (410, True)


def test_what_was_revoked_is_not_on_the_next_page(tmp_path):
    made = build(Lake(str(tmp_path / "lake")))
    with served(made, tmp_path) as address:
        first = at(address, "/stac/search", limit=5).json()
        following = next(link["href"] for link in first["links"] if link["rel"] == "next")
        Accounts(tmp_path / "users.json").revoke("ada", ("ms",))
        assert requests.get(following, auth=WHO, timeout=30).status_code == 410
        assert at(address, "/stac/search").json()["features"] == []
