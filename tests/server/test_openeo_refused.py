"""What openEO refuses: by the process's name, within bounds, and without a word of others' areas."""

import base64
import json
import socket
import threading

import numpy as np
import pyarrow as pa
import pytest
import requests
import shapely
import two_tiles
from factories import day, degrees, fill, parcels, scene, scenes
from openeo_graphs import mean_of, node, of, reducer
from rest_server import OTHER, ROOT, WHO, served

from cbm_lake import extract
from cbm_lake.lake import Lake
from cbm_lake.server.openeo import graph, working
from cbm_lake.server.openeo.refusals import OpenEoError


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """ada's ms with parcels and pixels, and be, which is bob's."""
    made = two_tiles.make(tmp_path_factory.mktemp("lake"), areas=("ms",))
    made.add_parcels("be", 2024, "", "v1", parcels())
    return made


@pytest.fixture(scope="module")
def url(lake, tmp_path_factory):
    with served(lake, tmp_path_factory.mktemp("server"), rate=1e6) as address:
        yield address


def post(url, document, who=WHO, path="result"):
    return requests.post(f"{url}/openeo/{path}", json={"process": {"process_graph": document}}, auth=who, timeout=60)


REFERENCE = "http://anywhere/ogc/collections/parcels_ms_2024/items"
LOADED = node("load_collection", id="s2", spatial_extent=None, temporal_extent=None)
SQUARE = json.loads(shapely.to_geojson(two_tiles.footprint(32631).centroid.buffer(0.001)))
FAR = {"type": "Polygon", "coordinates": [[[10, 50], [10.1, 50], [10.1, 50.1], [10, 50]]]}
BOW = {"type": "Polygon", "coordinates": [[[3, 43], [3.1, 43.1], [3.1, 43], [3, 43.1], [3, 43]]]}


def callback(process, /, **arguments):
    return {"process_graph": {"x": node(process, True, **arguments)}}


def then(process, /, **arguments):
    """The mean of parcels after a process."""
    return mean_of(REFERENCE, step=node(process, data=of("load"), **arguments))


def with_reducer(document):
    graph_of = mean_of(REFERENCE)
    graph_of["statistics"]["arguments"]["reducer"] = document
    return graph_of


X = {"from_parameter": "x"}
DATA = {"from_parameter": "data"}
REFUSED = {
    "no process": (mean_of(REFERENCE, step=node("run_udf", data=of("load"))), "ProcessUnsupported", "run_udf"),
    "another's namespace": (
        mean_of(REFERENCE, step={**node("ndvi", data=of("load")), "namespace": "user"}),
        "ProcessUnsupported",
        "ndvi",
    ),
    "a cycle": (
        mean_of(REFERENCE, a=node("ndvi", data=of("b")), b=node("ndvi", data=of("a"))),
        "ProcessGraphInvalid",
        "cycle",
    ),
    "itself": (mean_of(REFERENCE, a=node("ndvi", data=of("a"))), "ProcessGraphInvalid", "cycle"),
    "no node": (mean_of(REFERENCE, a=node("ndvi", data=of("nowhere"))), "ProcessGraphInvalid", "nowhere"),
    "two results": (mean_of(REFERENCE, a=node("ndvi", True, data=of("load"))), "ProcessGraphInvalid", "result"),
    "no statistics": ({"load": {**LOADED, "result": True}}, "ProcessGraphInvalid", "aggregate_spatial"),
    "numbers outside": ({"a": node("add", True, x=1, y=2)}, "ProcessGraphInvalid", "add"),
    "a collection": (mean_of(REFERENCE, card="SENTINEL2"), "CollectionNotFound", "SENTINEL2"),
    "a band": (mean_of(REFERENCE, bands=("B99",)), "ProcessParameterInvalid", "B99"),
    "a parameter": (then("ndvi", scale=1), "ProcessParameterUnsupported", "scale"),
    "a parameter that lacks": (then("filter_bands"), "ProcessParameterRequired", "bands"),
    "no time": (mean_of(REFERENCE, extent=["2024-06-01", "2024-06-01"]), "TemporalExtentEmpty", "empty"),
    "no moment": (mean_of(REFERENCE, extent=["June", None]), "ProcessParameterInvalid", "June"),
    "no box": (
        then("filter_bbox", extent={"west": 5, "east": 4, "north": 1, "south": 0}),
        "ProcessParameterInvalid",
        "b",
    ),
    "metres": (
        then("filter_bbox", extent={"west": 4, "east": 5, "north": 1, "south": 0, "crs": 3857}),
        "ProcessParameterInvalid",
        "4326",
    ),
    "a dimension": (
        then("reduce_dimension", reducer=reducer("mean"), dimension="z"),
        "DimensionNotAvailable",
        "'z'",
    ),
    "a period": (
        then("aggregate_temporal_period", period="hour", reducer=reducer("mean")),
        "ProcessParameterInvalid",
        "hour",
    ),
    "a statistic": (with_reducer(callback("add", x=DATA, y=1)), "ProcessParameterInvalid", "add"),
    "what is no data": (with_reducer(reducer("mean", ignore_nodata=False)), "ProcessParameterInvalid", "ignore_nodata"),
    "an element": (
        then("reduce_dimension", reducer=callback("array_element", data=DATA, index=7), dimension="bands"),
        "ArrayElementNotAvailable",
        "7",
    ),
    "a list": (
        then("reduce_dimension", reducer=callback("array_create", data=[DATA]), dimension="t"),
        "ProcessParameterInvalid",
        "list",
    ),
    "text in arithmetic": (then("apply", process=callback("add", x=X, y="a")), "ProcessParameterInvalid", "'y'"),
    "cubes in arithmetic": (then("apply", process=callback("ndvi", data=X)), "ProcessParameterInvalid", "ndvi"),
    "a parameter of a callback": (
        then("apply", process=callback("sqrt", x={"from_parameter": "z"})),
        "ProcessParameterInvalid",
        "z",
    ),
    "an address": (mean_of("http://169.254.169.254/latest"), "ProcessParameterInvalid", "parcel set"),
    "another's parcels": (mean_of(REFERENCE.replace("_ms_", "_be_")), "ProcessParameterInvalid", "not yours"),
    "no parcels": (mean_of(REFERENCE.replace("_ms_", "_xx_")), "ProcessParameterInvalid", "not yours"),
    "a parcel": (mean_of(f"{REFERENCE}?ids=12&ids=nobody"), "NoDataAvailable", "nobody"),
    "a page": (mean_of(f"{REFERENCE}?bbox=1,2,3,4"), "ProcessParameterInvalid", "ids="),
    "a point": (mean_of({"type": "Point", "coordinates": [3, 43]}), "ProcessParameterInvalid", "polygon"),
    "no geometry": (mean_of({"type": "FeatureCollection", "features": []}), "ProcessParameterInvalid", "no feature"),
    "a bow tie": (mean_of(BOW), "ProcessParameterInvalid", "valid"),
    "metres in GeoJSON": (
        mean_of({"type": "Polygon", "coordinates": [[[5e5, 0], [5e5, 9], [6e5, 9], [5e5, 0]]]}),
        "ProcessParameterInvalid",
        "degrees",
    ),
    "far away": (mean_of(FAR), "NoDataAvailable", "polygon 0"),
    "a time without scenes": (mean_of(REFERENCE, extent=["1999-01-01", "2000-01-01"]), "NoDataAvailable", "extract"),
    "a format": (
        {
            **mean_of(REFERENCE),
            "statistics": {**mean_of(REFERENCE)["statistics"], "result": False},
            "save": node("save_result", True, data=of("statistics"), format="GTiff"),
        },
        "FormatUnsupported",
        "GTiff",
    ),
    "bands without scenes": (mean_of(REFERENCE, bands=("B11",)), "NoDataAvailable", "extract"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_its_name(url, name):
    document, code, word = REFUSED[name]
    answer = post(url, document)
    assert 400 <= answer.status_code < 500
    assert (answer.json()["code"], word in answer.json()["message"]) == (code, True), answer.json()
    if code != "NoDataAvailable":  # that is known of the data only
        for path in ("validation", "jobs"):
            body = {"process_graph": document} if path == "validation" else {"process": {"process_graph": document}}
            checked = requests.post(f"{url}/openeo/{path}", json=body, auth=WHO, timeout=60).json()
            assert (checked["errors"][0] if path == "validation" else checked)["code"] == code


def test_nothing_tells_whether_anothers_parcels_are_there(url):
    answers = [
        post(url, mean_of(REFERENCE.replace("_ms_", f"_{area}_"))).text.replace(area, "") for area in ("be", "zz")
    ]
    assert answers[0] == answers[1]
    assert post(url, mean_of(REFERENCE), OTHER).json()["code"] == "CollectionNotFound"
    assert requests.get(f"{url}/openeo/collections/s2", auth=OTHER, timeout=9).status_code == 404


@pytest.mark.thorough
def test_graphs_of_any_size_and_depth_are_refused_soon(url):
    many = {str(n): node("ndvi", data=of(str(n - 1))) for n in range(1, 10_000)}
    assert post(url, many).json()["code"] == "ProcessGraphInvalid"
    headers = {"Content-Type": "application/json"}
    ids = "&".join(f"ids={n}" for n in range(1_000_000))
    for body in (
        json.dumps({"process": {"process_graph": mean_of(f"{REFERENCE}?{ids}")}}),
        json.dumps({"process": {"process_graph": {str(n): node("ndvi", data=of(str(n - 1))) for n in range(100_000)}}}),
    ):
        answer = requests.post(f"{url}/openeo/result", data=body, headers=headers, auth=WHO, timeout=60)
        assert (answer.status_code, answer.json()["code"]) == (413, "ContentTooLarge")
    for body in (
        f'{{"process": {"[" * 100_000}',
        f'{{"process": {{"process_graph": {"[" * 5_000 + "]" * 5_000}}}}}',
        "",
        "null",
        "\ufffd",
    ):
        answer = requests.post(f"{url}/openeo/result", data=body.encode(), headers=headers, auth=WHO, timeout=60)
        assert answer.status_code == 400, body[:60]
        assert answer.json()["code"]


def test_vertices_beyond_what_a_body_holds_are_refused_by_the_graph_itself():
    chain = {str(n): node("ndvi", data=of(str(n - 1))) for n in range(1, 100_000)}
    with pytest.raises(OpenEoError, match="most"):
        graph.read(chain)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(OpenEoError, match="deep"):
        graph.read({"a": node("array_create", True, data=deep)})


def test_a_thousand_masks_of_masks_are_worked_once_each(url):
    """A layer that is used twice by the next, and so on: 2 ** 200 pixels, were each worked again."""
    steps = {"m0": node("apply", data=of("load"), process=callback("gt", x=X, y=1e9))}
    for number in range(1, 200):
        steps[f"m{number}"] = node("mask", data=of(f"m{number - 1}"), mask=of(f"m{number - 1}"))
    answer = post(url, mean_of(REFERENCE, **steps))
    assert answer.status_code == 200
    assert {value for page in answer.json().values() for values in page for value in values} == {0.0}


def moved(table, places):
    """Parcels at other places, given by their lower left corners."""
    rows = table.to_pylist()
    for row, (x, y) in zip(rows, places, strict=True):
        shape = shapely.box(x, y, x + 100, y + 100)
        lon, lat = degrees(x + 50, y + 50)
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True))
        row |= {"geometry": shape.wkb, "bbox": box, "centroid_lon": lon, "centroid_lat": lat}
    return pa.Table.from_pylist(rows, schema=table.schema)


def square(x, y):
    """A polygon of 50 m in degrees."""
    return {"type": "Polygon", "coordinates": [[degrees(x + a, y + b) for a, b in ((0, 0), (50, 0), (50, 50), (0, 0))]]}


def test_polygons_on_ground_that_the_cube_does_not_hold_are_refused(tmp_path):
    """Blocks of the cube without parcels are not written: their pixels would be no-data without a word."""
    made = Lake(str(tmp_path / "lake"))
    places = [(500_000, 4_800_000), (525_000, 4_775_000)]
    made.add_parcels("ms", 2024, "", "v1", moved(parcels(["a", "z"], [("wheat", "1")] * 2), places))
    href = two_tiles.write(tmp_path / "B04.tif", np.full((2600, 2600), 1000, "uint16"), 10, 32631)
    wide = shapely.box(2.9, 42.9, 3.5, 43.5)
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), wide.bounds, strict=True))
    assets = {"B04": {"href": href, "type": "image/tiff"}}
    made.add_scenes(scenes(scene("A", day(0), geometry=wide.wkb, bbox=box, assets=assets, boa_offset=0)))
    extract.s2(*two_tiles.DAYS, aoi="ms", year=2024, lake=made, bands=("B04",), workers=0)
    with served(made, tmp_path) as address:
        for x, y in ((500_200, 4_800_020), (524_800, 4_775_020)):
            answer = post(address, mean_of(square(x, y)))
            assert answer.json() == {"2024-01-01T10:40:00Z": [[1000.0]]}
        answer = post(address, mean_of(square(524_000, 4_799_000)))
        assert answer.json()["code"] == "NoDataAvailable"
        assert "blocks without parcels" in answer.json()["message"]


def test_who_goes_away_ends_the_work(url, monkeypatch):
    began, ended = threading.Event(), threading.Event()

    def endless(lake, account, document, folder, check):
        began.set()
        try:
            while not ended.wait(0.01):
                check()
        finally:
            ended.set()

    monkeypatch.setattr(working, "work", endless)
    body = json.dumps({"process": {"process_graph": mean_of(REFERENCE)}}).encode()
    login = base64.b64encode(":".join(ROOT).encode()).decode()
    head = (
        f"POST /openeo/result HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {login}\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=30) as connection:
        connection.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert began.wait(30)
    assert ended.wait(30)


def test_a_lake_without_pixels_answers_from_signatures_and_says_what_lacks(tmp_path):
    made = fill(Lake(str(tmp_path / "lake")))
    with served(made, tmp_path) as address:
        answer = post(address, mean_of(REFERENCE))
        assert answer.json() == {f"{day(number):%Y-%m-%dT%H:%M:%SZ}": [[400.0]] * 3 for number in range(2)}
        pixels = post(address, mean_of(REFERENCE, step=node("apply", data=of("load"), process=callback("sqrt", x=X))))
        assert (pixels.status_code, pixels.json()["code"]) == (400, "NoDataAvailable")
        assert "cube" in pixels.json()["message"]
