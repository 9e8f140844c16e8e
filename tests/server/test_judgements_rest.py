"""Judgements over REST: of one's own areas alone, in every format, page by page, and nothing is written."""

import io
import json

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
from factories import outline, parcels
from rest_server import OTHER, ROOT, WHO, served

from cbm_lake import cases
from cbm_lake.lake import Lake

pytestmark = pytest.mark.thorough


SETS = (("ms", 2024, ""), ("ms", 2024, "m"), ("ms", 2023, ""), ("be", 2024, ""))
PIDS = ("1", "2", "a/b")


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Three parcels of each set judged as a whole, one of them twice."""
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for aoi, year, ptype in SETS:
        lake.add_parcels(aoi, year, ptype, "v1", parcels(PIDS, [("wheat", "1")] * 3))
    for number, (aoi, year, ptype) in enumerate(SETS):
        for pid, decision in zip(PIDS, cases.DECISIONS[number:] + cases.DECISIONS, strict=False):
            cases.judge(aoi, year, pid, decision, f"{aoi} {year} {ptype}", ptype=ptype, who="ann", lake=lake)
    cases.judge("ms", 2024, "1", "photo", who="bob", lake=lake)
    return lake


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server")) as address:
        yield address


def at(url, path, who=WHO, accept="application/json", **params):
    return requests.get(f"{url}{path}", params=params, auth=who, headers={"Accept": accept}, timeout=60)


def rows(url, **params):
    answer = at(url, "/v1/judgements", **{"aoi": "ms", "year": 2024, **params})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_what_stands_and_all_that_was_decided_is_given_of_the_set_that_is_asked_for(url):
    assert {row["pid"]: (row["decision"], row["who"]) for row in rows(url)} == {
        "1": ("photo", "bob"),
        "2": ("refused", "ann"),
        "a/b": ("photo", "ann"),
    }
    assert {row["pid"]: row["decision"] for row in rows(url, ptype="m")} == dict(
        zip(PIDS, cases.DECISIONS[1:], strict=True)
    )
    assert {row["note"] for row in rows(url, year=2023)} == {"ms 2023"}
    assert [row["pid"] for row in rows(url, decision="photo")] == ["1", "a/b"]
    assert [row["pid"] for row in rows(url, decision=["photo", "refused"], pid=["2", "a/b"])] == ["2", "a/b"]
    assert rows(url, scenario="grassland is mown") == []
    assert [row["number"] for row in rows(url, history=True, pid="1")] == [1, 2]


def test_rows_come_in_the_format_that_is_accepted(url):
    params = {"aoi": "ms", "year": 2024, "geometry": True}
    arrow = pa.ipc.open_stream(
        at(url, "/v1/judgements", accept="application/vnd.apache.arrow.stream", **params).content
    )
    table = arrow.read_all()
    assert table["geometry"][0].as_py() == outline(0).wkb
    parquet = at(url, "/v1/judgements", accept="application/vnd.apache.parquet", **params).content
    assert pq.read_table(io.BytesIO(parquet)).equals(table)
    csv = at(url, "/v1/judgements", accept="text/csv", **params).content
    assert pd.read_csv(io.BytesIO(csv), dtype={"pid": str})["pid"].tolist() == list(PIDS)
    assert "geometry" not in rows(url)[0]


@pytest.mark.parametrize(("who", "aoi", "status"), [(OTHER, "ms", 404), (WHO, "be", 404), (ROOT, "be", 200)])
def test_judgements_of_another_s_area_are_not_there(url, who, aoi, status):
    answer = at(url, "/v1/judgements", who, aoi=aoi, year=2024)
    nowhere = at(url, "/v1/judgements", who, aoi="zz", year=2024)
    assert answer.status_code == status
    assert nowhere.status_code == 404
    assert at(url, f"/ogc/collections/judgements_{aoi}_2024/items", who).status_code == status


def test_what_stands_is_features_page_by_page(url):
    names = {one["id"] for one in at(url, "/ogc/collections").json()["collections"]}
    assert {name for name in names if name.startswith("judgements")} == {
        "judgements_ms_2024",
        "judgements_ms_2024_m",
        "judgements_ms_2023",
    }
    path, features = "/ogc/collections/judgements_ms_2024/items", []
    while page := at(url, path, limit=2, offset=len(features)).json()["features"]:
        features += page
    assert [feature["id"] for feature in features] == ["1:", "2:", "a/b:"]
    frame = gpd.GeoDataFrame.from_features(features, crs=4326).to_crs(32631)
    assert frame.geometry[1].symmetric_difference(outline(1)).area < 0.1
    one = at(url, f"{path}/1:").json()
    assert (one["properties"]["decision"], one["properties"]["former_who"]) == ("photo", "ann")


def test_a_decision_that_there_is_not_is_refused_and_not_answered_with_nothing(url):
    asked = {"aoi": "ms", "year": 2024}
    for unknown in ("confirm", "Photo", ""):
        answer = at(url, "/v1/judgements", decision=["photo", unknown], **asked)
        assert answer.status_code in (400, 422), unknown
        assert "undecidable" in answer.text
    for known in (*cases.DECISIONS, "withdrawn"):
        assert at(url, "/v1/judgements", decision=known, history=True, **asked).status_code == 200


@pytest.mark.parametrize("verb", ["post", "put", "delete", "patch"])
def test_nothing_is_judged_over_rest(url, lake, verb):
    answer = requests.request(verb, f"{url}/v1/judgements", auth=ROOT, json={"decision": "confirmed"}, timeout=60)
    assert answer.status_code == 405
    assert cases.judgements(history=True, lake=lake).num_rows == 13


def test_the_question_is_in_the_openapi_document(url):
    asked = at(url, "/openapi.json").json()["paths"]["/v1/judgements"]["get"]
    assert {one["name"] for one in asked["parameters"]} >= {"aoi", "year", "ptype", "decision", "history"}
