"""OGC API - Features with filters, order, property selection, and pages that fit together; by OWSLib's client."""

import itertools
import json
import threading

import numpy as np
import pytest
import requests
import shapely
from factories import day, degrees, fill, outline, parcels
from owslib.ogcapi.features import Features
from owslib.util import Authentication
from rest_server import OTHER, WHO, served

from cbm_lake.lake import Lake
from cbm_lake.server import selection

pytestmark = pytest.mark.thorough


MANY = 25_000
CROPS = [("wheat", "1"), ("Blé d'hiver", "2"), (None, None), ("maize", "3")]


def declared(count, first=0):
    pids = [f"p{number:05}" for number in range(first, first + count)]
    return parcels(pids, [CROPS[number % len(CROPS)] for number in range(count)])


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    made = fill(Lake(str(tmp_path_factory.mktemp("lake"))))
    made.add_parcels("demo", 2023, "", "v1", declared(40))
    made.add_parcels("be", 2023, "", "v1", declared(7))
    for number, verdict in enumerate(("inconclusive", "conforming", "non-conforming")):
        inspected(made, f"s{number}", "0012" if number < 2 else "12", verdict, number)
    return made


def inspected(lake, sample, pid, verdict, number=1):
    key = {"sample_id": sample, "pid": pid, "holding_id": None, "bucket_id": None, "version": "1", "as_of": day(1)}
    lake.add_inspection({**key, "verdict": verdict, "note": "", "inspector": "eve", "inspected": day(number + 1)})


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server"), rate=1e6) as address:
        yield address


def items(url, collection, who=WHO, **asked):
    return requests.get(f"{url}/ogc/collections/{collection}/items", params=asked, auth=who, timeout=60)


def walked(url, collection, between=lambda: None, **asked):
    """The identifiers of all pages."""
    found, page = [], items(url, collection, **asked)
    while True:
        assert page.status_code == 200, page.text
        found += [feature["id"] for feature in page.json()["features"]]
        following = [link["href"] for link in page.json()["links"] if link["rel"] == "next"]
        if not following:
            return found
        between()
        page = requests.get(following[0], auth=WHO, timeout=60)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("crop_name = 'wheat'", "crop_name = 'wheat'"),
        ("crop_name LIKE 'Bl_ d''%' OR crop_name IS NULL", "crop_name = 'Blé d''hiver' or crop_name is null"),
        ("area_m2 > 10000 AND pid < 'p00010'", "area_m2 > 10000 and pid < 'p00010'"),
        ("NOT crop_code IN ('1', '2')", "crop_code not in ('1', '2')"),
        ("crop_name = 'nothing'", "false"),
    ],
)
def test_a_filter_finds_what_sql_does_page_by_page(url, lake, text, where):
    rows = lake.sql(f"select pid from parcels where aoi = 'demo' and ({where}) order by pid")  # noqa: S608
    assert walked(url, "parcels_demo_2023", filter=text, limit=3) == rows["pid"].to_pylist()
    assert items(url, "parcels_demo_2023", filter=text).json()["numberMatched"] == rows.num_rows


def test_spatial_filters_and_boxes_choose_alike_with_other_conditions(url):
    box = shapely.transform(outline(5).union(outline(8)).envelope.buffer(-1), lambda xy: [degrees(*p) for p in xy])
    sides = ",".join(map(str, box.bounds))
    by_box = walked(url, "parcels_demo_2023", bbox=sides, limit=2)
    assert by_box == ["p00005", "p00006", "p00007", "p00008"]
    assert walked(url, "parcels_demo_2023", filter=f"S_INTERSECTS(geometry, BBOX({sides}))", limit=2) == by_box
    disjoint = walked(url, "parcels_demo_2023", filter=f"S_DISJOINT(geometry, BBOX({sides}))", limit=7)
    assert sorted(disjoint + by_box) == [f"p{number:05}" for number in range(40)]
    both = walked(url, "parcels_demo_2023", bbox=sides, filter="crop_name = 'maize'", sortby="-pid")
    assert both == ["p00007"]


def test_an_order_has_its_ties_by_identifier(url):
    first = walked(url, "parcels_demo_2023", sortby="-crop_name", limit=7)
    names = {f"p{number:05}": CROPS[number % 4][0] for number in range(40)}
    expected = [pid for name in ("wheat", "maize", "Blé d'hiver", None) for pid in names if names[pid] == name]
    assert first == expected


def test_properties_that_are_wanted_and_queryables(url):
    (one,) = items(url, "parcels_demo_2023", properties="crop_name", limit=1).json()["features"]
    assert one["properties"] == {"crop_name": "wheat"}
    assert one["geometry"]["type"] == "Polygon"
    described = requests.get(f"{url}/ogc/collections/parcels_demo_2023/queryables", auth=WHO, timeout=9)
    assert described.headers["content-type"] == "application/schema+json"
    assert described.json()["properties"]["area_m2"]["type"] == "number"
    asked = requests.get(f"{url}/ogc/collections/inspections_ms_2024/queryables", auth=WHO, timeout=9).json()
    assert asked["properties"]["inspected"]["format"] == "date-time"
    assert requests.get(f"{url}/ogc/collections/parcels_demo_2023/queryables", auth=OTHER, timeout=9).status_code == 404


def test_verdicts_are_filtered_and_sorted_too(url):
    found = walked(
        url,
        "inspections_ms_2024",
        filter="inspected >= TIMESTAMP('2024-01-20T00:00:00Z')",
        sortby="-inspected",
        limit=1,
    )
    assert found == ["s2:12", "s1:0012"]
    assert walked(url, "inspections_ms_2024", filter="verdict LIKE '%conforming'", limit=1) == ["s1:0012", "s2:12"]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"filter": "nobody = 1"}, "nobody"),
        ({"filter": "epsg = 1"}, "epsg"),
        ({"filter": "pid = "}, "its end"),
        ({"filter": "{", "filter-lang": "cql2-json"}, "JSON"),
        ({"filter": "pid = '1'", "filter-lang": "ecql"}, "filter-lang"),
        ({"filter": "pid = '1'", "filter-crs": "http://www.opengis.net/def/crs/EPSG/0/3035"}, "filter-crs"),
        ({"sortby": "nobody"}, "nobody"),
        ({"sortby": "geometry"}, "geometry"),
        ({"properties": "nobody"}, "nobody"),
        ({"filter": "pid = '1' OR pid IN (SELECT pid FROM parcels)"}, "cannot be read"),
    ],
)
def test_what_is_wrong_is_refused_by_name(url, asked, word):
    answer = items(url, "parcels_demo_2023", **asked)
    assert (answer.status_code, word in answer.text) == (400, True), answer.text


def test_owslib_reads_it(url):
    client = Features(f"{url}/ogc", auth=Authentication(*WHO))
    assert {"parcels_ms_2024", "parcels_demo_2023", "inspections_ms_2024"} == {*client.feature_collections()}
    assert "crop_name" in client.collection_queryables("parcels_demo_2023")["properties"]
    page = client.collection_items(
        "parcels_demo_2023", limit=2, offset=1, sortby=("pid", "desc"), filter="crop_code = '1'"
    )
    assert [one["id"] for one in page["features"]] == ["p00032", "p00028"]
    tree = {"op": "=", "args": [{"property": "crop_code"}, "3"]}
    page = client.collection_items("parcels_demo_2023", limit=4, cql=json.dumps(tree))
    assert [one["id"] for one in page["features"]] == ["p00003", "p00007", "p00011", "p00015"]
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    second = requests.get(following, auth=WHO, timeout=9).json()
    assert [one["id"] for one in second["features"]] == ["p00019", "p00023", "p00027", "p00031"]
    assert client.collection_item("parcels_demo_2023", "p00003")["properties"]["crop_name"] == "maize"
    west, south, east, north = shapely.transform(outline(3).buffer(-1), lambda xy: [degrees(*p) for p in xy]).bounds
    page = client.collection_items("parcels_demo_2023", bbox=[west, south, east, north])
    assert [one["id"] for one in page["features"]] == ["p00003"]


# -- pages while the lake is written to -------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{}, {"filter": "crop_code IS NOT NULL", "sortby": "-crop_name"}])
def test_25000_parcels_come_once_each_while_their_set_is_loaded_anew(tmp_path, asked):
    made, version, stop = Lake(str(tmp_path / "lake")), itertools.count(2), threading.Event()
    loaded = threading.Event()
    made.add_parcels("ms", 2024, "", "v1", declared(MANY))
    with served(made, tmp_path, rate=1e6) as address:

        def load():
            while not stop.is_set():
                number = next(version)
                made.add_parcels("ms", 2024, "", f"v{number}", declared(1000, first=number))
                loaded.set()
                stop.wait(0.05)

        first = items(address, "parcels_ms_2024", limit=1000, **asked).json()
        thread = threading.Thread(target=load)
        thread.start()
        try:
            assert loaded.wait(120)
            found = [feature["id"] for feature in first["features"]]
            while following := [link["href"] for link in first["links"] if link["rel"] == "next"]:
                first = requests.get(following[0], auth=WHO, timeout=60).json()
                found += [feature["id"] for feature in first["features"]]
        finally:
            stop.set()
            thread.join()
        expected = [f"p{number:05}" for number in range(MANY) if not asked or number % 4 != 2]
        assert sorted(found) == expected
        assert asked or found == expected
        assert items(address, "parcels_ms_2024", limit=1).json()["numberMatched"] == 1000


@pytest.mark.parametrize(
    "text",
    [
        '{"op": "not", "args": [' * 400 + "true" + "]}" * 400,
        '{"op": "=", "args": [{"property": "area_m2"}, 1%s]}' % ("0" * 30),
        r'{"op": "=", "args": [{"property": "pid"}, "\ud800"]}',
    ],
    ids=["deep", "large number", "half a character"],
)
def test_filters_that_cannot_be_kept_are_refused(url, text):
    for answer in (
        items(url, "parcels_ms_2024", filter=text, **{"filter-lang": "cql2-json"}),
        requests.post(f"{url}/ogc/collections/parcels_ms_2024/items", data=text, auth=WHO, timeout=60),
    ):
        assert answer.status_code == 400, answer.text


def test_verdicts_come_once_each_while_others_are_given(lake, tmp_path, monkeypatch):
    made, number = fill(Lake(str(tmp_path / "lake"))), itertools.count(100)
    for sample in range(10):
        inspected(made, f"s{sample}", "12", "conforming")
    with served(made, tmp_path) as address:
        before = [f"s{sample}:12" for sample in range(10)]
        assert (
            walked(address, "inspections_ms_2024", lambda: inspected(made, f"a{next(number)}", "12", "x"), limit=3)
            == before
        )
        first = items(address, "inspections_ms_2024", limit=3).json()
        monkeypatch.setattr(selection.Selections, "get", lambda *_: None)
        following = next(link["href"] for link in first["links"] if link["rel"] == "next")
        assert requests.get(following, auth=WHO, timeout=9).status_code == 200
        inspected(made, "b", "12", "x")
        assert requests.get(following, auth=WHO, timeout=9).status_code == 410


def test_selections_that_are_kept_take_so_much_memory_and_no_more(lake, monkeypatch):
    kept, table = selection.Selections(), lake.sql("select pid, geometry from parcels")
    monkeypatch.setattr(selection, "_MOST", int(table.nbytes * 2.5))
    made = [
        selection.Selection(f"{number}", lake.sql("select pid, geometry from parcels"), np.arange(3))
        for number in range(5)
    ]
    for one in made:
        kept.keep("x", selection.Wanted(), one)
    there = [kept.get("x", selection.Wanted(), one.state) is not None for one in made]
    assert there == [False, False, False, True, True]
