"""OGC API - Environmental Data Retrieval: the series of parcels at a place or within a polygon, by OWSLib's client."""

import csv
import io
import math

import pytest
import requests
import shapely
from factories import PIDS, day, degrees, fill, outline, parcels, scene, scenes, signature, signatures, write
from owslib.ogcapi.edr import EnvironmentalDataRetrieval
from owslib.util import Authentication
from rest_server import OTHER, WHO, served

from cbm_lake.lake import Lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    made = fill(Lake(str(tmp_path_factory.mktemp("lake"))), names=("A", "B", "C", "D"))
    made.add_scenes(scenes(scene("E", day(7))))
    rows = [signature(pid, "E", day(7), red=100 * number + 50) for number, pid in enumerate(sorted(PIDS))]
    write(made, signatures(*rows), scene="E", finished=day(7))
    made.add_parcels("be", 2024, "", "v1", parcels(PIDS))
    return made


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server")) as address:
        yield address


def at(url, query, who=WHO, collection="s2_ms_2024", **asked):
    path = f"{url}/edr/collections/{collection}/{query}"
    return requests.get(
        path, params={key.replace("_", "-"): value for key, value in asked.items()}, auth=who, timeout=30
    )


def point(number):
    return "POINT({} {})".format(*degrees(*outline(number).centroid.coords[0]))


def polygon(*numbers, by=5):
    shape = shapely.union_all([outline(number) for number in numbers]).envelope.buffer(by, join_style="mitre")
    return shapely.transform(shape, lambda xy: [degrees(*place) for place in xy]).wkt


def series(lake, pid, column="B04_mean"):
    rows = lake.sql("select * from s2 where pid = $pid and aoi = 'ms' order by obstime", pid=pid).to_pylist()
    return [row["obstime"].isoformat().replace("+00:00", "Z") for row in rows], [row[column] for row in rows]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_place_has_the_series_of_its_parcel(url, lake, number):
    answer = at(url, "position", coords=point(number), parameter_name="B04_mean,B08_std")
    assert answer.headers["content-type"] == "application/prs.coverage+json"
    one = answer.json()
    times, values = series(lake, PIDS[number])
    assert (one["id"], one["domain"]["domainType"]) == (PIDS[number], "PointSeries")
    assert one["domain"]["axes"]["t"]["values"] == times
    assert one["ranges"]["B04_mean"]["values"] == values
    assert len(values) == 5
    assert set(one["ranges"]) == set(one["parameters"]) == {"B04_mean", "B08_std"}


def test_a_polygon_has_the_parcels_that_lie_within_it(url, lake):
    found = at(url, "area", coords=polygon(0, 1), parameter_name="B04_mean").json()
    assert found["type"] == "CoverageCollection"
    assert {one["id"]: one["ranges"]["B04_mean"]["values"] for one in found["coverages"]} == {
        pid: series(lake, pid)[1] for pid in PIDS[:2]
    }
    assert {one["domain"]["domainType"] for one in found["coverages"]} == {"PolygonSeries"}
    alone = at(url, "area", coords=polygon(2), parameter_name="B04_mean").json()
    assert (alone["type"], alone["id"]) == ("Coverage", PIDS[2])
    assert at(url, "area", coords=polygon(0, by=-30)).status_code == 404  # a part of a parcel only


@pytest.mark.parametrize("query", ["position", "area"])
def test_other_formats_have_the_same_numbers(url, lake, query):
    asked = {"coords": point(1) if query == "position" else polygon(1), "parameter_name": "B04_mean"}
    times, values = series(lake, PIDS[1])
    listed = list(csv.DictReader(io.StringIO(at(url, query, f="CSV", **asked).text)))
    assert [float(row["B04_mean"]) for row in listed] == values
    features = at(url, query, f="GeoJSON", **asked).json()["features"]
    assert [one["properties"]["datetime"] for one in features] == times
    assert [one["properties"]["B04_mean"] for one in features] == values
    assert features[0]["geometry"]["type"] == "Polygon"


def test_a_time_and_all_parameters(url):
    one = at(url, "position", coords=point(0), datetime="2024-01-05T00:00:00Z/2024-01-25T00:00:00Z").json()
    assert one["domain"]["axes"]["t"]["values"] == ["2024-01-11T10:40:00Z", "2024-01-21T10:40:00Z"]
    described = requests.get(f"{url}/edr/collections/s2_ms_2024", auth=WHO, timeout=9).json()
    assert set(described["parameter_names"]) == set(one["ranges"]) > {"B04_p50", "B08_count", "observable", "share"}
    assert all(value is None or math.isfinite(value) for of in one["ranges"].values() for value in of["values"])


@pytest.mark.parametrize(
    ("query", "asked", "status", "word"),
    [
        ("position", {"coords": "POINT(3"}, 400, "WKT"),
        ("position", {"coords": "POLYGON((0 0, 1 0, 1 1, 0 0))"}, 400, "Polygon"),
        ("area", {"coords": "POINT(3 43)"}, 400, "Point"),
        ("position", {"coords": "POINT(300 43)"}, 400, "degrees"),
        ("position", {"coords": "POINT EMPTY"}, 400, "empty"),
        ("position", {"coords": "POINT(10 10)"}, 404, "no parcel"),
        ("position", {"coords": "POINT(3 43)", "parameter_name": "B99_mean"}, 400, "B99_mean"),
        ("position", {"coords": "POINT(3 43)", "crs": "EPSG:32631"}, 400, "CRS84"),
        ("position", {"coords": "POINT(3 43)", "f": "NetCDF"}, 400, "CoverageJSON"),
        ("position", {}, 400, "coords"),
    ],
)
def test_what_is_wrong_is_refused_by_name(url, query, asked, status, word):
    answer = at(url, query, **asked)
    assert (answer.status_code, word in answer.text) == (status, True), answer.text
    assert at(url, query, collection="s2_be_2024", **asked).status_code in (400, 404)


def test_a_time_that_is_none_is_refused(url):
    answer = at(url, "position", coords=point(0), datetime="yesterday")
    assert (answer.status_code, "timestamp" in answer.text) == (400, True)


def test_series_of_others_are_not_theirs(url):
    assert requests.get(f"{url}/edr/collections", auth=OTHER, timeout=9).json()["collections"] == []
    assert at(url, "position", OTHER, coords=point(0)).status_code == 404
    assert requests.get(f"{url}/edr", timeout=9).status_code == 401


def test_owslib_reads_it(url, lake):
    client = EnvironmentalDataRetrieval(f"{url}/edr", auth=Authentication(*WHO))
    assert client.data() == ["s2_ms_2024"]
    got = client.query_data("s2_ms_2024", "position", coords=point(0), parameter_names=["B04_mean"])
    assert got["ranges"]["B04_mean"]["values"] == series(lake, PIDS[0])[1]
    got = client.query_data(
        "s2_ms_2024", "area", coords=polygon(0, 1, 2), datetime_="2024-02-01T00:00:00Z/..", parameter_names=["B08_mean"]
    )
    assert [one["id"] for one in got["coverages"]] == sorted(PIDS)
    assert all(len(one["ranges"]["B08_mean"]["values"]) == 2 for one in got["coverages"])
