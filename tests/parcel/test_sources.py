"""Reading from a REST server with the original's habits, good and bad, and what is written from it."""

import csv
import json
import math
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
import shapely
from factories import X, Y, fill, outline, parcels
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from typer.testing import CliRunner

import cbm_lake
from cbm_lake import get
from cbm_lake.cli import app
from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import sources
from cbm_lake.parcel.sources import (
    ApiSource,
    ByLocation,
    ByPid,
    ByPolygon,
    ImageRequest,
    LakeSource,
    Markers,
    Peers,
    Statistics,
    Weather,
    http,
)

WHO = ("ada", "correct horse")
PRODUCT = "S2A_MSIL2A_20240501T104021_N0510_R008_T31TEJ_20240501T142821"
INFO = {
    "area": [10004],
    "clat": [43.35],
    "clon": [3.0],
    "cropcode": ["1"],
    "cropname": ["wheat"],
    "pid": ["0012"],
    "srid": [32631],
}
SERIES = {"date_part": [1704105600.0], "band": ["B04"], "count": [100.0], "mean": [400.0], "hist": [{"4": 25}]}
WEATHER = {"meteo_date": ["2024-05-01"], "tmin": [3.5], "tmax": [17.0], "tmean": [10.0], "prec": [0.2]}
DAYS = ("2024-05-01", "2024-05-31")


def tiff(metres=1280, bands=1):
    """A GeoTIFF of 10 m pixels, each with its own value."""
    size = metres // 10
    pixels = np.arange(bands * size * size, dtype=np.uint16).reshape(bands, size, size)
    place = {"crs": "EPSG:32631", "transform": from_origin(X, Y, 10, 10)}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=size, height=size, count=bands, dtype="uint16", **place) as raster:
            raster.write(pixels)
        return memory.read()


class Original:
    """A server on loopback: `answers` are (status, body, headers) by path; `asked` is what it was asked."""

    def __init__(self):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                url = urlsplit(self.path)
                path = "/" + url.path.lstrip("/")
                asked = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
                outer.asked.append((path, asked, self.headers.get("Authorization")))
                found = outer.answers.get(path, (404, "<h1>Not Found</h1>", {}))
                status, body, headers = found.pop(0) if isinstance(found, list) else found
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def say(self, name, body, status=200, **headers):
        """What a question is answered with; an object as JSON, in the original's content type."""
        text = body if isinstance(body, (bytes, str)) else json.dumps(body)
        path = name if name.startswith("/") else f"/query/{name}"
        self.answers[path] = (status, text, {"Content-Type": "text/html", **headers})


@pytest.fixture
def original():
    server = Original()
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def source(original):
    return ApiSource(original.url, *WHO)


@pytest.fixture
def account(original, workspace):
    cbm_lake.set_api_account(original.url + "/", *WHO)
    return original


# -- the account ------------------------------------------------------------------------------------------------------


def test_an_account_is_kept_in_the_settings_and_its_password_is_shown_to_nobody(workspace, capsys):
    cbm_lake.set_api_account("https://cbm.example.org/", *WHO)
    kept = json.loads(workspace.config_file.read_text())
    assert kept["api"] == {"url": "https://cbm.example.org/", "user": "ada", "pass": "correct horse"}
    assert kept["set"]["data_source"] == "api"
    assert "correct horse" not in repr(Workspace.here().config) + "".join(capsys.readouterr())
    assert isinstance(sources.here(), ApiSource)


def test_naming_the_account_again_forgets_what_was_remembered(workspace):
    cbm_lake.set_api_account("https://cbm.example.org/", *WHO)
    first = sources.here()
    assert sources.here() is first
    cbm_lake.set_api_account("https://cbm.example.org/", *WHO)
    assert sources.here() is not first


@pytest.mark.parametrize("url", ["", "cbm.example.org", "ftp://cbm.example.org", "https://", "file:///etc/passwd"])
def test_an_address_that_is_none_is_refused_and_nothing_is_kept(workspace, url):
    before = workspace.config_file.read_text()
    with pytest.raises(InvalidInputError, match="is no address of a server"):
        cbm_lake.set_api_account(url, *WHO)
    assert workspace.config_file.read_text() == before


def test_the_source_is_the_one_that_the_settings_name(lake, workspace):
    assert isinstance(sources.here(), LakeSource)
    workspace.configure("set", data_source="api")
    with pytest.raises(ConfigError, match="no REST server is set; call set_api_account"):
        sources.here()
    assert isinstance(sources.here(lake), LakeSource)


# -- questions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_a_question_is_asked_in_the_originals_words_and_with_the_account(original, slashes):
    original.say("parcelByID", INFO)
    found = ApiSource(original.url + slashes, *WHO).answer(ByPid(ParcelKey("ms", 2024, "m", "0012"), geometry=True))
    path, asked, login = original.asked[0]
    assert found == INFO
    assert (path, login) == ("/query/parcelByID", "Basic YWRhOmNvcnJlY3QgaG9yc2U=")
    assert asked == {"aoi": "ms", "year": "2024", "pid": "0012", "ptype": "m", "withGeometry": "True"}


def test_a_polygon_west_of_greenwich_reaches_the_server_with_its_signs(original, source):
    original.say("parcelsByPolygon", {"pid": ["1"]})
    source.answer(ByPolygon("ms", 2024, shapely.box(-7.5, 39.25, -7.25, 39.5), only_ids=False))
    asked = original.asked[0][1]
    points = [tuple(map(float, point.split(" "))) for point in asked["polygon"].split(",")]
    assert shapely.Polygon(points).equals(shapely.box(-7.5, 39.25, -7.25, 39.5))
    assert (points[0] == points[-1], asked["only_ids"]) == (True, "False")


def test_a_time_column_is_named_alike_whatever_postgres_the_server_has(original, source):
    original.say("parcelTimeSeries", {("extract" if key == "date_part" else key): SERIES[key] for key in SERIES})
    assert source.answer(Statistics(ParcelKey("ms", 2024, "", "0012"))) == SERIES
    assert list(source.answer(Statistics(ParcelKey("ms", 2024, "", "0012")))) == list(SERIES)


@pytest.mark.parametrize("answer", [{}, {name: [] for name in INFO}])
def test_a_parcel_of_which_the_server_knows_nothing_is_not_found(original, source, answer):
    original.say("parcelByID", answer)
    original.say("parcelByLocation", answer)
    for name in ("parcelPeers", "parcelTimeSeries", "weatherTimeSeries", "markers"):
        original.say(name, answer)
    for question in (ByPid, Peers, Statistics, Weather, Markers):
        with pytest.raises(NotFoundError, match="no parcel '0012' in ms 2024"):
            source.answer(question(ParcelKey("ms", 2024, "", "0012")))
    with pytest.raises(NotFoundError, match=r"no parcel of ms 2024 .*at longitude 3"):
        source.answer(ByLocation("ms", 2024, 3, 43))


def test_a_parcel_that_is_there_may_have_no_peers_and_no_series(original, source):
    original.say("parcelByID", INFO)
    original.say("parcelPeers", {"pids": [], "distance": []})
    original.say("parcelTimeSeries", {})
    assert source.answer(Peers(ParcelKey("ms", 2024, "", "0012"))) == {"pids": [], "distance": []}
    with pytest.raises(SourceError, match="cannot answer parcelTimeSeries of parcel '0012'"):
        source.answer(Statistics(ParcelKey("ms", 2024, "", "0012")))


# -- servers that fail ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (401, "Could not verify.", ConfigError, "Could not verify.*set_api_account"),
        (401, "Not authorized for this dataset. ask", ConfigError, "Not authorized for this dataset"),
        (404, "<html><h1>Not Found</h1></html>", NotFoundError, "Not Found"),
        (400, '{"detail": "year: not a number"}', InvalidInputError, "year: not a number"),
        (500, "<html><title>500 Internal</title></html>", SourceError, "status 500: 500 Internal; try again later"),
        (200, "<html>welcome</html>", SourceError, r"\(status 200\) with what is no JSON"),
        (200, "[1, 2]", SourceError, "no JSON object"),
        (200, '"text"', SourceError, "no JSON object"),
        (200, '{"pid": ["1"], "area": []}', SourceError, "not equally long lists"),
        (200, '{"pid": "1"}', SourceError, "not equally long lists"),
    ],
)
def test_what_a_server_refuses_or_garbles_is_told_in_one_line(original, source, status, body, error, told):
    original.say("parcelByID", body, status)
    with pytest.raises(error, match=told) as caught:
        source.answer(ByPid(ParcelKey("ms", 2024, "", "0012")))
    assert "\n" not in str(caught.value)
    assert "correct horse" not in str(caught.value)
    assert len(original.asked) == 1


def test_a_busy_server_is_asked_again(original, source):
    busy = (503, "busy", {"Retry-After": "600"})
    original.answers["/query/parcelByID"] = [busy, busy, (200, json.dumps(INFO), {})]
    assert source.answer(ByPid(ParcelKey("ms", 2024, "", "0012"))) == INFO
    assert len(original.asked) == 3


def test_a_server_that_is_not_there_is_told(workspace, monkeypatch):
    monkeypatch.setattr("urllib3.util.retry.Retry.sleep", lambda *_: None)
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 does not answer .*; check the address"):
        ApiSource("http://127.0.0.1:9", *WHO).info()


# -- files ------------------------------------------------------------------------------------------------------------


def link_chip(original, body, absolute=False):
    """One chip in the server's list, by a relative or absolute link; the path of its file."""
    path = f"/static/tmp/E3N43/{PRODUCT}.B04.tif"
    original.say("parcelByID", INFO)
    original.say("rawChipByLocation", {"dates": ["20240501T104021"], "chips": [absolute * original.url + path]})
    original.say(path, body)
    return path


@pytest.mark.parametrize("absolute", [True, False])
def test_chips_are_fetched_without_login_and_listed(account, workspace, absolute):
    path = link_chip(account, tiff(), absolute)
    frame = get.chip_images.by_pid("ms", 2024, "0012", *DAYS, "B04")
    folder = workspace.temp / "ms/2024/0012/chipimages"
    file = folder / f"{PRODUCT}.B04.tif"
    assert file.read_bytes() == tiff()
    assert [login for asked, _, login in account.asked if asked == path] == [None]
    assert frame.to_dict("list") == {"dates": ["20240501T104021"], "chips": [str(file)]}
    rows = list(csv.reader((folder / "images_list.B04.csv").read_text().splitlines()))
    assert rows == [["", "dates", "chips"], ["0", "20240501T104021", str(file)]]
    assert sorted(found.name for found in folder.iterdir()) == [file.name, "images_list.B04.csv"]


def test_a_chip_that_is_there_is_not_fetched_again_unless_another_size_is_wanted(account, workspace):
    path = link_chip(account, tiff())
    for chipsize, times in ((1280, 1), (1280, 1), (640, 2)):
        account.say(path, tiff(chipsize))
        get.chip_images.by_pid("ms", 2024, "0012", *DAYS, "B04", chipsize)
        assert [asked for asked, _, _ in account.asked].count(path) == times
    with rasterio.open(next((workspace.temp / "ms/2024/0012/chipimages").glob("*.tif"))) as raster:
        assert raster.width == 64


def test_chips_in_the_originals_folder_are_found(account, workspace):
    path = link_chip(account, tiff())
    old = workspace.temp / "ms/2024/0012/chip_images"
    old.mkdir(parents=True)
    (old / f"{PRODUCT}.B04.tif").write_bytes(tiff())
    assert get.chip_images.by_pid("ms", 2024, "0012", *DAYS)["chips"][0] == str(old / f"{PRODUCT}.B04.tif")
    assert path not in [asked for asked, _, _ in account.asked]


def test_chips_of_a_place_have_a_folder_of_their_own(account, workspace):
    link_chip(account, tiff())
    get.chip_images.by_location("ms", 2024, 3.5, -43.25, *DAYS, "B04")
    assert (workspace.temp / "3_5_-43_25/chipimages/images_list.B04.csv").is_file()


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"<html>login</html>", {}), (b"", {}), (b"II*\0half of it", {"Content-Length": "99999"})],
)
def test_a_picture_that_is_none_or_half_leaves_nothing(account, workspace, monkeypatch, body, headers):
    monkeypatch.setattr(http, "_PAUSE", 0)
    account.say(link_chip(account, b""), body, **headers)
    with pytest.raises(SourceError):
        get.chip_images.by_pid("ms", 2024, "0012", *DAYS, "B04")
    assert [path for path in workspace.temp.rglob("*") if path.is_file()] == []


def test_a_download_that_a_restart_of_the_server_cuts_off_is_begun_again(account, workspace, monkeypatch):
    monkeypatch.setattr(http, "_PAUSE", 0)
    whole = tiff()
    path = link_chip(account, whole)
    half = {"Content-Type": "image/tiff", "Content-Length": str(len(whole)), "Connection": "close"}
    account.answers[path] = [(200, whole[: len(whole) // 2], half), (200, whole, {"Content-Type": "image/tiff"})]
    get.chip_images.by_pid("ms", 2024, "0012", *DAYS, "B04")
    assert [asked for asked, _, _ in account.asked].count(path) == 2
    assert [file.read_bytes() for file in workspace.temp.rglob("*.tif")] == [whole]
    assert [file.name for file in workspace.temp.rglob("*.tif")] == [f"{PRODUCT}.B04.tif"]


@pytest.mark.parametrize("link", ["/static/tmp/", "/static/tmp/..", "/static/.hidden"])
def test_a_link_that_names_no_file_is_refused(original, source, tmp_path, link):
    original.say("rawChipByLocation", {"dates": ["20240501T104021"], "chips": [link]})
    with pytest.raises(SourceError, match="names a file"):
        source.write_chips(ImageRequest(3, 43, *DAYS, ("B04",)), tmp_path)


def test_no_scene_is_an_empty_list_and_too_many_are_told(original, source, tmp_path):
    original.say("rawChipByLocation", {"dates": [], "chips": []})
    assert source.write_chips(ImageRequest(3, 43, *DAYS, ("B04",)), tmp_path) == []
    original.say("rawChipByLocation", "{}")
    with pytest.raises(InvalidInputError, match="ask for fewer days"):
        source.write_chips(ImageRequest(3, 43, *DAYS, ("B04",)), tmp_path)
    original.say("rawChipByLocation", {"dates": ["yesterday"], "chips": ["/x.tif"]})
    with pytest.raises(SourceError, match="cannot be understood"):
        source.write_chips(ImageRequest(3, 43, *DAYS, ("B04",)), tmp_path)


@pytest.mark.parametrize("link", ["static/tmp/a/google.tif", "/static/tmp/a/google.tif", "absolute"])
def test_a_background_comes_by_any_kind_of_link(account, workspace, link):
    answer = f"{account.url}/static/tmp/a/google.tif" if link == "absolute" else link
    account.say("parcelByID", INFO)
    account.say("backgroundByLocation", answer)
    account.say("/static/tmp/a/google.tif", tiff(bands=3))
    files = get.background.by_pid("ms", 2024, "0012", 512, 256, "Google")
    folder = workspace.temp / "ms/2024/0012/backgrounds"
    assert files == [folder / "google.tif"]
    assert sorted(file.name for file in folder.iterdir()) == ["chipsize_extend_512_256", "google.tif"]
    asked = next(asked for path, asked, _ in account.asked if path == "/query/backgroundByLocation")
    told = {"chipsize": "512", "extend": "256", "tms": "Google", "iformat": "tif", "lon": "3.0", "lat": "43.35"}
    assert asked == told


@pytest.mark.parametrize("answer", ["{}", "{}\n", ""])
def test_a_background_that_there_is_not_is_told(account, answer):
    account.say("backgroundByLocation", answer)
    with pytest.raises(NotFoundError, match="no image of nope"):
        get.background.by_location("ms", 2024, 3, 43, tms="nope")


def test_everything_else_is_written_as_the_original_did(account, workspace):
    peers = {"pids": ["7"], "distance": [12.5]}
    for name, answer in {"parcelByID": INFO, "parcelPeers": peers, "weatherTimeSeries": WEATHER}.items():
        account.say(name, answer)
    get.parcel_info.by_pid("ms", 2024, "0012")
    assert get.parcels_list.peers("ms", 2024, "0012") == peers
    asked = account.asked[-1][1]
    assert (asked["distance"], asked["max"]) == ("1000.0", "10")
    assert get.time_series.weather("ms", 2024, "0012").to_dict("list") == WEATHER
    folder = workspace.temp / "ms/2024/0012"
    assert json.loads((folder / "info.json").read_text()) == INFO
    assert json.loads((folder / "parcel_peers.json").read_text()) == peers
    assert (folder / "time_series_weather.csv").read_text().splitlines() == [
        ",meteo_date,tmin,tmax,tmean,prec",
        "0,2024-05-01,3.5,17.0,10.0,0.2",
    ]


# -- the lake ---------------------------------------------------------------------------------------------------------


def test_peers_are_what_every_distance_taken_one_by_one_gives(lake):
    pids = [f"{number:03}" for number in range(40)]
    crops = [(("wheat", "barley")[number % 2], "1") for number in range(40)]
    lake.add_parcels("ms", 2024, "", "v1", parcels(pids, crops))
    found = LakeSource(lake).answer(Peers(ParcelKey("ms", 2024, "", "010"), distance=900, limit=100))
    held = LakeSource(lake, hold=True).answer(Peers(ParcelKey("ms", 2024, "", "010"), distance=900, limit=100))
    expected = {
        pid: outline(number).distance(outline(10))
        for number, pid in enumerate(pids)
        if number != 10 and number % 2 == 0 and outline(number).distance(outline(10)) <= 900
    }
    assert found == held
    assert set(found["pids"]) == set(expected)
    assert found["distance"] == sorted(found["distance"])
    # metres of UTM's central meridian and of EPSG:3035 differ by less than 1 %
    assert found["distance"] == pytest.approx([expected[pid] for pid in found["pids"]], rel=0.01)
    few = LakeSource(lake).answer(Peers(ParcelKey("ms", 2024, "", "010"), distance=900, limit=3))
    assert few["pids"] == found["pids"][:3]
    assert LakeSource(lake).answer(Peers(ParcelKey("ms", 2024, "", "010"), limit=0))["pids"] == []


@pytest.mark.parametrize("distance", [-1, math.nan, math.inf])
def test_a_distance_that_is_none_is_refused(lake, distance):
    fill(lake)
    with pytest.raises(InvalidInputError, match="no number of metres"):
        LakeSource(lake).answer(Peers(ParcelKey("ms", 2024, "", "0012"), distance=distance))


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_every_command_gets_what_the_library_gets(account, workspace):
    link_chip(account, tiff())
    account.say("backgroundByLocation", "static/tmp/a/osm.tif")
    account.say("/static/tmp/a/osm.tif", tiff(bands=3))
    account.say("parcelPeers", {"pids": ["7"], "distance": [12.5]})
    account.say("weatherTimeSeries", WEATHER)
    key = ["--aoi", "ms", "--year", "2024", "--pid", "0012"]

    def told(name, *words):
        done = CliRunner().invoke(app, ["get", name, *key, *words], catch_exceptions=False)
        assert done.exit_code == 0
        return done.stdout

    assert json.loads(told("peers", "--format", "json")) == {"pids": "7", "distance": 12.5}
    assert json.loads(told("weather", "--format", "json"))["tmax"] == 17.0
    days = ("--start", DAYS[0], "--end", DAYS[1])
    assert f"{PRODUCT}.B04.tif" in told("chips", *days, "--bands", "B04")
    assert "backgrounds/osm.tif" in told("background", "--tms", "osm")
    with pytest.raises(InvalidInputError, match="give --pid, or --lon and --lat"):
        CliRunner().invoke(app, ["get", "chips", *key[:4], *days], catch_exceptions=False)
