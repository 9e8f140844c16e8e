"""Any polygon over HTTP: its series, and the Statistical API by the unmodified client of sentinelhub-py."""

import json
import stat

import numpy as np
import pytest
import rasterio
import requests
import sentinelhub
import shapely
import two_tiles
from rasterstats import zonal_stats
from rest_server import OTHER, ROOT, WHO, served
from sentinelhub import CRS, BBox, DataCollection, Geometry, SentinelHubStatistical, SHConfig
from sentinelhub.exceptions import DownloadFailedException

from cbm_lake.errors import ConfigError
from cbm_lake.get import time_series
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.sources import ApiSource, LakeSource, OfPolygon
from cbm_lake.server import audit, sessions
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.statistics import evalscript
from cbm_lake.server.statistics.asked import Aggregation, spans

LEFT, TOP = two_tiles.LEFT, two_tiles.TOP
FIELD = shapely.box(LEFT + 210, TOP - 490, LEFT + 395, TOP - 280).difference(
    shapely.box(LEFT + 250, TOP - 400, LEFT + 290, TOP - 330)
)
SCRIPT = """//VERSION=3
function setup() {
  return {
    input: [{ bands: ["B04", "B08", "dataMask"], units: "DN" }],
    output: [{ id: "bands", bands: ["red", "nir"] }, { id: "index", bands: 1, sampleType: "FLOAT32" },
             { id: "dataMask", bands: 1 }]
  };
}
function evaluatePixel(sample) {
  let ndvi = (sample.B08 - sample.B04) / (sample.B08 + sample.B04); // of each pixel
  return { bands: [sample.B04, sample.B08], index: [ndvi], dataMask: [sample.dataMask] };
}
"""
PERCENTILES = {"default": {"statistics": {"default": {"percentiles": {"k": [10, 25, 50, 90]}}}}}


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles")
    return folder, two_tiles.make(folder)


@pytest.fixture(scope="module")
def url(tiles, tmp_path_factory):
    with served(tiles[1], tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def client(url, monkeypatch):
    """What the client needs to know."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # loopback has no https
    sentinelhub.SentinelHubDownloadClient.clear_cache()
    config = SHConfig()
    config.sh_client_id, config.sh_client_secret = WHO
    config.sh_base_url, config.sh_token_url = url, f"{url}/oauth/token"
    config.max_download_attempts = 1
    return config


def asked(config, script=SCRIPT, geometry=None, days=("2024-01-01", "2024-12-31"), interval="P1D", **others):
    name = f"LAKE_{config.sh_base_url.rpartition(':')[2]}"
    collection = DataCollection.SENTINEL2_L2A.define_from(name, service_url=config.sh_base_url)
    aggregation = SentinelHubStatistical.aggregation(script, days, interval, **others.pop("grid", {}))
    request = SentinelHubStatistical(
        aggregation=aggregation,
        input_data=[SentinelHubStatistical.input_data(collection, **others.pop("data", {}))],
        config=config,
        **(others or {"geometry": geometry or Geometry(FIELD, CRS(32631)), "calculations": PERCENTILES}),
    )
    return request.get_data()[0]


def truth(folder, scene, band):
    with rasterio.open(folder / "ms" / scene / f"{band}.tif") as file:
        stats = "count min max mean std percentile_10 percentile_25 percentile_50 percentile_90"
        return (
            file.read(1),
            file.transform,
            zonal_stats([FIELD], file.read(1), affine=file.transform, nodata=0, stats=stats)[0],
        )


def test_the_unmodified_client_gets_what_rasterstats_says(client, tiles):
    answer = asked(client)
    assert answer["status"] == "OK"
    assert len(answer["data"]) == len(two_tiles.OFFSETS)
    for interval, (scene, offset) in zip(answer["data"], two_tiles.OFFSETS.items(), strict=True):
        for name, band in (("red", "B04"), ("nir", "B08")):
            expected, stats = truth(tiles[0], scene, band)[2], interval["outputs"]["bands"]["bands"][name]["stats"]
            for mine, theirs in (("min", "min"), ("max", "max"), ("mean", "mean")):
                assert stats[mine] == pytest.approx(expected[theirs] + offset, rel=1e-6)
            assert stats["stDev"] == pytest.approx(expected["std"], rel=1e-6)
            assert stats["sampleCount"] - stats["noDataCount"] == expected["count"]
            for k in (10, 25, 50, 90):
                assert stats["percentiles"][f"{k}.0"] == pytest.approx(expected[f"percentile_{k}"] + offset, rel=1e-6)


def test_an_index_is_that_of_each_pixel(client, tiles):
    data = asked(client)["data"]
    for interval, (scene, offset) in zip(data, two_tiles.OFFSETS.items(), strict=True):
        (red, transform, _), (nir, _, _) = (truth(tiles[0], scene, band) for band in ("B04", "B08"))
        inside = rasterio.features.geometry_mask([FIELD], red.shape, transform, invert=True) & (red > 0) & (nir > 0)
        a, b = (band[inside].astype(float) + offset for band in (nir, red))
        expected, stats = ((a - b) / (a + b))[a + b > 0], interval["outputs"]["index"]["bands"]["B0"]["stats"]
        assert stats["mean"] == pytest.approx(expected.mean(), rel=1e-6)
        assert stats["stDev"] == pytest.approx(expected.std(), rel=1e-6)
        assert stats["percentiles"]["25.0"] == pytest.approx(np.percentile(expected, 25), rel=1e-6)


def test_boxes_units_days_and_lists(client, tiles):
    script = 'function setup(){return{input:["B08"],output:{bands:1}}} function evaluatePixel(s){return [s.B08]}'
    shape = shapely.box(*FIELD.bounds)
    answer = asked(client, script, bbox=BBox(shape.bounds, CRS(32631)), grid={"resolution": (10, 10)})
    with rasterio.open(tiles[0] / "ms" / "S1" / "B08.tif") as file:
        (expected,) = zonal_stats([shape], file.read(1), affine=file.transform, nodata=0, stats="mean max")
    stats = answer["data"][1]["outputs"]["default"]["bands"]["B0"]["stats"]
    assert stats["mean"] == pytest.approx((expected["mean"] + two_tiles.OFFSETS["S1"]) / 10_000, rel=1e-6)
    assert "percentiles" not in stats
    day = answer["data"][1]["interval"]["from"][:10]
    (one,) = asked(client, script, days=(day, day))["data"]
    assert one["interval"]["from"].startswith(day)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"script": SCRIPT.replace("[ndvi]", "[2 * ndvi]")}, "it computes"),
        ({"script": SCRIPT.replace("sample.B08 - sample.B04", "sample.B08 - sample.B8A")}, "it computes"),
        ({"script": "function setup() {"}, "not understood"),
        ({"grid": {"size": (10, 10)}}, "width and height"),
        ({"grid": {"resolution": (20, 20)}}, "resx and resy"),
        ({"interval": "PT1H"}, "aggregationInterval"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(client, change, problem):
    with pytest.raises(DownloadFailedException, match="400") as caught:
        asked(client, **change)
    assert problem in str(caught.value)


# -- raw requests ---


def body(crs=32631, geometry=FIELD, **aggregation):
    range_ = {"from": "2024-01-01T00:00:00Z", "to": "2024-12-31T00:00:00Z"}
    return {
        "input": {
            "bounds": {
                "geometry": shapely.geometry.mapping(geometry),
                "properties": {"crs": f"http://www.opengis.net/def/crs/EPSG/0/{crs}"},
            },
            "data": [{"type": "sentinel-2-l2a"}],
        },
        "aggregation": {"timeRange": range_, "aggregationInterval": {"of": "P1D"}, "evalscript": SCRIPT, **aggregation},
    }


def posted(url, document, who=WHO, path="/api/v1/statistics"):
    return requests.post(f"{url}{path}", json=document, auth=who, timeout=60)


def test_another_area_is_answered_as_one_that_is_not_there(url):
    assert posted(url, body(32631)).status_code == 200
    answers = [
        posted(url, body(32632)),
        posted(url, body(32632, shapely.box(9e5, 5e6, 9.1e5, 5.01e6))),
        posted(url, body(), OTHER),
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert posted(url, body(32632), ROOT).status_code == 200
    assert requests.post(f"{url}/api/v1/statistics", json=body(), timeout=9).status_code == 401


def test_several_scenes_in_an_interval_are_no_silent_mosaic(url):
    document = body(aggregationInterval={"of": "P366D", "lastIntervalBehavior": "SHORTEN"})
    (interval,) = posted(url, document).json()["data"]
    days = [one["outputs"] for one in posted(url, body()).json()["data"]]
    assert interval["outputs"] == days[-1]  # the latest, which sees all of it
    document["input"]["data"][0]["dataFilter"] = {"mosaickingOrder": "leastRecent"}
    assert posted(url, document).json()["data"][0]["outputs"] == days[0]
    edge = shapely.box(LEFT + 1100, TOP - 200, LEFT + 1400, TOP + 50)
    wide = body(geometry=edge, aggregationInterval={"of": "P366D", "lastIntervalBehavior": "SHORTEN"})
    (interval,) = posted(url, wide, ROOT).json()["data"]
    assert "not mosaicked" in interval["error"]["message"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("input", "bounds", "geometry"), {"type": "Point", "coordinates": [1, 2]}),
        (("input", "bounds", "geometry"), {"type": "Polygon", "coordinates": "x"}),
        (("input", "bounds", "geometry"), {}),
        (("input", "bounds", "properties"), {"crs": "x"}),
        (("input", "bounds", "properties"), {"crs": "http://www.opengis.net/def/crs/EPSG/0/999999"}),
        (("input", "data"), [{"type": "dem"}]),
        (("input", "data"), []),
        (("aggregation", "timeRange"), {"from": "2024-02-01T00:00:00Z", "to": "2024-01-01T00:00:00Z"}),
        (("aggregation", "timeRange"), {"from": "0001-01-01T00:00:00+14:00", "to": "9999-12-31T23:59:59-14:00"}),
        (("aggregation", "evalscript"), "return {" * 5000),
        (("calculations",), {"default": {"histograms": {"default": {"nBins": 5}}}}),
        (("calculations",), {"default": {"statistics": {"default": {"percentiles": {"k": [33]}}}}}),
    ],
)
def test_bad_requests_are_400(url, path, value):
    document = body()
    target = document
    for name in path[:-1]:
        target = target[name]
    target[path[-1]] = value
    answer = posted(url, document)
    assert answer.status_code == 400
    assert answer.json()["detail"]


# -- series ---


def test_a_series_over_http_is_that_of_the_library(url, tiles, workspace):
    key = ParcelKey("ms", 2024, "", "polygon")
    polygon = shapely.set_srid(FIELD, 32631)
    for question in (OfPolygon(key, polygon), OfPolygon(key, polygon, band="B08", clear=True)):
        direct = LakeSource(tiles[1]).answer(question)
        assert ApiSource(url, *WHO).answer(question) == direct
        assert len(direct["band"]) > 2
    frame = time_series.by_polygon("ms", 2024, polygon, lake=tiles[1])
    placed = moved_centre(polygon)
    assert time_series.by_location("ms", 2024, *placed, geometry=polygon, lake=tiles[1]).equals(frame)
    asked = {"aoi": "ms", "year": 2024, "polygon": shapely.geometry.mapping(shapely.box(0, 0, 0.01, 0.01))}
    assert posted(url, asked, path="/v1/polygon/timeseries").status_code == 404  # not theirs, since it is elsewhere
    assert posted(url, {**asked, "aoi": "east"}, path="/v1/polygon/timeseries").status_code == 404


def test_a_polygon_that_takes_minutes_to_repair_is_refused_at_once(url):
    corners = np.random.default_rng(1).uniform(0, 0.01, (4_000, 2)).tolist()
    polygon = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    asked = {"aoi": "ms", "year": 2024, "polygon": polygon}
    document = body()
    document["input"]["bounds"] = {"geometry": polygon}
    for answer in (posted(url, asked, path="/v1/polygon/timeseries"), posted(url, document)):
        assert (answer.status_code, "not valid" in answer.json()["detail"]) == (400, True)


def test_a_geometry_that_crosses_itself_is_not_cut_to_a_box(url):
    document = body()
    crossing = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    document["input"]["bounds"] = {"geometry": shapely.geometry.mapping(crossing), "bbox": [0.2, 0.2, 0.8, 0.8]}
    answer = posted(url, document)
    assert (answer.status_code, "crosses itself" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    "crs", ["EPSG:5773", "EPSG:4978", "+proj=utm +zone=31 +nadgrids=/etc/passwd", "+proj=geos +h=1"]
)
def test_systems_that_are_not_of_the_ground_or_have_no_number_are_refused(url, crs):
    polygon = {**shapely.geometry.mapping(FIELD), "crs": {"type": "name", "properties": {"name": crs}}}
    answer = posted(url, {"aoi": "ms", "year": 2024, "polygon": polygon}, path="/v1/polygon/timeseries")
    assert (answer.status_code, "coordinate system" in answer.json()["detail"]) == (400, True)


def test_the_access_log_says_whose_ground_was_asked_for(tiles, tmp_path):
    west, south = moved_centre(FIELD)
    polygon = shapely.geometry.mapping(shapely.box(west, south, west + 1e-4, south + 1e-4))
    document = body()
    document["input"]["bounds"] = {"geometry": polygon}
    with served(tiles[1], tmp_path, access=tmp_path / "access") as address:
        posted(address, {"aoi": "MS", "year": 2024, "polygon": polygon}, path="/v1/polygon/timeseries")
        posted(address, document)
    rows = audit.read(folder=tmp_path / "access").to_pylist()
    assert [(row["who"], row["aoi"], row["status"]) for row in rows] == [("ada", "ms", 200)] * 2


def moved_centre(polygon):
    from pyproj import Transformer

    point = polygon.representative_point()
    return Transformer.from_crs(32631, 4326, always_xy=True).transform(point.x, point.y)


# -- tokens ---


def token(url, name, password, **others):
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": password, **others}
    return requests.post(f"{url}/oauth/token", data=form, timeout=30)


def test_tokens_are_given_to_who_has_the_password(url):
    answer = token(url, *WHO).json()
    header = {"Authorization": f"Bearer {answer['access_token']}"}
    assert answer["token_type"] == "Bearer"
    assert requests.post(f"{url}/api/v1/statistics", json=body(), headers=header, timeout=60).status_code == 200
    forged = {"Authorization": header["Authorization"][:-4] + "AAAA"}
    assert requests.post(f"{url}/api/v1/statistics", json=body(), headers=forged, timeout=9).status_code == 401
    assert token(url, WHO[0], "wrong password").status_code == 401
    assert token(url, *WHO, grant_type="password").status_code == 400
    assert token(url, WHO[0], "x" * 5000).status_code == 413


def test_a_session_ends_with_its_time_and_with_the_password(tmp_path):
    accounts = Accounts(tmp_path / "users.json")
    accounts.add(*WHO, aois=("ms",))
    issued = accounts.session(WHO[0], 60)
    assert accounts.check_token(issued).name == WHO[0]
    assert accounts.check_token(accounts.session(WHO[0], -1)) is None
    accounts.add(WHO[0], "another password", aois=("ms",))
    assert accounts.check_token(issued) is None
    assert accounts.check_token(sessions.issued("nobody", b"x", 60)) is None
    assert accounts.check_token("a.b.c") is None


def test_the_end_of_all_tokens_ends_sessions_too(tmp_path):
    accounts = Accounts(tmp_path / "users.json")
    accounts.add(*WHO, aois=("ms", "be"))
    issued = accounts.session(WHO[0], 60)
    accounts.revoke(WHO[0], ("be",))
    assert Accounts(accounts.file).check_token(issued).aois == ("ms",)
    accounts.revoke(WHO[0], ())
    assert accounts.check_token(issued) is None
    assert accounts.check_token(accounts.session(WHO[0], 60)).name == WHO[0]


def test_who_reads_the_accounts_cannot_forge_a_session(tmp_path):
    accounts = Accounts(tmp_path / "users.json")
    accounts.add(*WHO, aois=("ms",))
    stored = json.loads(accounts.file.read_text())[WHO[0]]["hash"].encode()
    assert accounts.check_token(sessions.issued(WHO[0], stored, 60)) is None
    issued, key = accounts.session(WHO[0], 60), tmp_path / "sessions.key"
    assert accounts.check_token(sessions.issued(WHO[0], stored, 60)) is None
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    key.unlink()
    assert accounts.check_token(issued) is None
    key.write_bytes(b"")
    with pytest.raises(ConfigError, match="delete it"):
        accounts.session(WHO[0], 60)


# -- evalscripts and intervals ---


def script(values, bands='"B04","B08"', output="output: {bands: 1}", before=""):
    setup = f"function setup() {{ return {{ input: [{bands}], {output} }}; }}"
    return f"{setup} function evaluatePixel(s) {{ {before} return {values}; }}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (script("[s.B04]"), "B04"),
        (script("[ index(s.B08, s.B04) ]"), evalscript.Difference("B08", "B04")),
        (script("[(s.B08-s.B04)/(s.B04+s.B08)]"), evalscript.Difference("B08", "B04")),
        (
            script("[v]", before="const a = s.B08; var v = (a - s.B04) / (a + s.B04);"),
            evalscript.Difference("B08", "B04"),
        ),
        ("/* a */ //VERSION=3\n" + script("{default: [s.B08]}"), "B08"),
    ],
)
def test_what_is_understood(text, value):
    assert evalscript.parse(text).outputs == {"default": {"B0": value}}


@pytest.mark.parametrize(
    "text",
    [
        script("[s.B04 + 1]"),
        script("[B04]"),
        script("[s.B11]"),
        script("[s.B04, s.B08]"),
        script("[(s.B08-s.B04)/(s.B08+s.B08)]"),
        script("[(s.B08-B04)/(s.B08+B04)]"),
        script("[s.B04]", before="if (s.B04 > 1) x = 2;"),
        script("[s.B04]") + " fetch('x')",
        script("[s.B04]", output="output: {bands: 1}, mosaicking: 'ORBIT'"),
        script("[s.B04]", output="output: {bands: f(1)}"),
        script("{a: [s.B04]}"),
        script("{default: [s.B04], dataMask: [s.B04]}", output='output: [{bands: 1}, {id: "dataMask", bands: 1}]'),
        "",
        None,
    ],
)
def test_everything_else_is_refused(text):
    with pytest.raises(evalscript.InvalidInputError, match="evalscript"):
        evalscript.parse(text)


@pytest.mark.parametrize(
    ("stop", "last", "days"),
    [
        ("2024-03-21T00:00:00Z", "SKIP", [1, 11]),
        ("2024-03-20T23:59:59Z", "SKIP", [1, 11]),
        ("2024-03-25T00:00:00Z", "SKIP", [1, 11]),
        ("2024-03-25T00:00:00Z", "SHORTEN", [1, 11, 21]),
        ("2024-03-25T00:00:00Z", "EXTEND", [1, 11, 21]),
    ],
)
def test_intervals(stop, last, days):
    document = {
        "timeRange": {"from": "2024-03-01T00:00:00Z", "to": stop},
        "aggregationInterval": {"of": "P10D", "lastIntervalBehavior": last},
        "evalscript": SCRIPT,
    }
    found = spans(Aggregation.model_validate(document))
    assert [span.start.day for span in found] == days
    lengths = [(span.stop - span.start).days for span in found]
    assert lengths == [10] * len(days) if last != "SHORTEN" else lengths[-1] == 4
