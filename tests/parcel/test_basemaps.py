"""Backgrounds: georeferenced to the pixel, from servers that are slow, broken or lack tiles, and from the lake."""

import json
import logging
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

import imagecodecs
import numpy as np
import pytest
import rasterio
import xyzservices
from pyproj import Transformer
from rasterio.transform import from_bounds

from cbm_lake import card2db
from cbm_lake.config import Workspace
from cbm_lake.demo import sample
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.parcel import basemaps, chips, tileservers
from cbm_lake.parcel import tiles as fetching

HALF = 20037508.342789244
WAVE = 700.0
"""Metres: how far one goes until the colours of the tiles come again."""
LON, LAT = 4.7, 51.2


def colours(x, y):
    """What the tiles show at a place of Web Mercator: red by x, green by y, blue of both; uint8 (3, …)."""
    red = 127 + 110 * np.sin(2 * np.pi * x / WAVE)
    green = 127 + 110 * np.sin(2 * np.pi * y / WAVE)
    blue = 127 + 110 * np.cos(2 * np.pi * (x + y) / WAVE)
    return np.stack([red, green, blue]).round().astype(np.uint8)


def centres(bounds, size):
    """x and y of the pixels of a square, (size, size) each."""
    place = from_bounds(*bounds, size, size)
    columns, rows = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    return place.c + columns * place.a, place.f + rows * place.e


def tile(z, x, y):
    """One tile as PNG."""
    side = 2 * HALF / 2**z
    west, north = x * side - HALF, HALF - y * side
    drawn = colours(*centres((west, north - side, west + side, north), 256))
    return imagecodecs.png_encode(np.ascontiguousarray(np.moveaxis(drawn, 0, -1)))


def place_of(quadkey):
    """z, x, y of Bing's name of a tile."""
    digits = [int(digit) for digit in quadkey]
    return len(digits), int("".join(str(d & 1) for d in digits), 2), int("".join(str(d >> 1) for d in digits), 2)


class Tiles:
    """What a tile server is asked, and how it misbehaves."""

    def __init__(self):
        self.asked, self.agents = [], set()
        self.deepest, self.failures, self.garbage, self.delay = 30, 0, False, 0.0

    def answer(self, path):
        """Status and body."""
        name = path.strip("/").removesuffix(".png")
        z, x, y = place_of(name[1:]) if name.startswith("q") else map(int, name.split("/"))
        self.asked.append((z, x, y))
        time.sleep(self.delay)
        if self.failures > 0:
            self.failures -= 1
            return 503, b"busy"
        if z > self.deepest:
            return 404, b"no such tile"
        return 200, b"\x89PNG this is none" if self.garbage else tile(z, x, y)


@contextmanager
def served(tiles):
    """The server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = tiles.answer(self.path)
            tiles.agents.add(self.headers["User-Agent"])
            self.send_response(status)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def tiles(workspace):
    """A tile server that the settings name "here", and by quadkeys "keys"."""
    found = Tiles()
    with served(found) as url:
        workspace.configure("tms", here=url + "/{z}/{x}/{y}.png", keys=url + "/q{quadkey}.png")
        yield found


def square(lon, lat, extend):
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
    return x - extend / 2, y - extend / 2, x + extend / 2, y + extend / 2


def off(file, bounds, size):
    """How many grey levels a picture differs from the truth, at most and on average."""
    with rasterio.open(file) as dataset:
        shown = dataset.read()
    difference = np.abs(shown.astype(int) - colours(*centres(bounds, size)))
    return difference.max(), difference.mean()


# -- from a server ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Here", "keys"])
@pytest.mark.parametrize(("size", "extend"), [(256, 256), (300, 1000), (64, 2000), (257, 511.5)])
def test_every_pixel_shows_its_place(tiles, tmp_path, name, size, extend):
    file = basemaps.write(LON, LAT, chipsize=size, extend=extend, tms=name, file=tmp_path / "a" / "b.tif")
    bounds = square(LON, LAT, extend)
    with rasterio.open(file) as dataset:
        assert (dataset.crs.to_epsg(), dataset.shape, dataset.dtypes) == (3857, (size, size), ("uint8",) * 3)
        assert tuple(dataset.bounds) == pytest.approx(bounds, abs=1e-6)
        assert dataset.tags()["tms"] == name.lower()
    most, mean = off(file, bounds, size)
    shift = 110 * 2 * np.pi / WAVE * extend / size  # grey levels that one pixel beside would be off at the steepest
    assert most <= max(3, shift / 3)
    assert mean < 1
    assert tiles.agents == {"cbm-lake"}


def test_pixels_that_are_the_tiles_own_come_unchanged(tiles, tmp_path):
    z, pixel = 17, 2 * HALF / 2**17 / 256
    x, y = 67_000 * 256 + 100, 43_000 * 256 + 31
    lon, lat = Transformer.from_crs(3857, 4326, always_xy=True).transform(x * pixel - HALF, HALF - y * pixel)
    file = basemaps.write(lon, lat, chipsize=200, extend=200 * pixel, tms="here", file=tmp_path / "b.tif")
    with rasterio.open(file) as dataset:
        shown = dataset.read()
    left, top = (x - 100) * pixel - HALF, HALF - (y - 100) * pixel
    assert np.array_equal(shown, colours(*centres((left, top - 200 * pixel, left + 200 * pixel, top), 200)))
    assert {place[0] for place in tiles.asked} == {z}


def test_a_wide_view_takes_few_tiles(tiles, tmp_path):
    basemaps.write(LON, LAT, chipsize=1500, extend=50_000, tms="here", file=tmp_path / "b.tif")
    assert len(set(tiles.asked)) <= 100


def test_where_the_deepest_tiles_are_missing_coarser_ones_are_taken(tiles, tmp_path):
    tiles.deepest = 17
    file = basemaps.write(LON, LAT, chipsize=256, extend=128, tms="here", file=tmp_path / "b.tif")
    assert off(file, square(LON, LAT, 128), 256)[0] <= 3
    assert {place[0] for place in tiles.asked} >= {17, 18}


def test_a_server_that_fails_once_is_asked_again(tiles, tmp_path):
    tiles.failures = 1
    file = basemaps.write(LON, LAT, tms="here", file=tmp_path / "b.tif")
    assert off(file, square(LON, LAT, 256), 256)[0] <= 4


@pytest.mark.parametrize(
    "trouble", [{"failures": 10_000}, {"deepest": 3}, {"garbage": True}], ids=["busy", "no tiles", "garbage"]
)
def test_a_server_that_gives_no_tiles_is_an_error_and_leaves_no_file(tiles, tmp_path, trouble):
    vars(tiles).update(trouble)
    with pytest.raises(
        SourceError, match=r"tile server here does not answer: .*; try another, or tms=sentinel"
    ) as told:
        basemaps.write(LON, LAT, tms="here", file=tmp_path / "out" / "b.tif")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_slow_server_is_given_up(tiles, tmp_path, monkeypatch):
    tiles.delay = 1.2
    monkeypatch.setattr(tileservers, "_TILES", tileservers._TILES.replace("<Timeout>10<", "<Timeout>1<"))
    monkeypatch.setitem(fetching._GDAL_OPTIONS, "GDAL_HTTP_TIMEOUT", "1")
    begun = time.monotonic()
    with pytest.raises(SourceError, match="does not answer"):
        basemaps.write(LON, LAT, tms="here", file=tmp_path / "b.tif")
    assert time.monotonic() - begun < 8


def test_nobody_there_is_an_error(workspace, tmp_path):
    workspace.configure("tms", nowhere="http://127.0.0.1:9/{z}/{x}/{y}.png")
    with pytest.raises(SourceError, match="nowhere does not answer"):
        basemaps.write(LON, LAT, tms="nowhere", file=tmp_path / "b.tif")


def test_descriptions_of_the_original_are_taken(tiles, workspace, tmp_path):
    url = Workspace.here().config.tms["here"].replace("{", "${").replace("&", "&amp;")
    folder = workspace.config_file.parent / "tms"
    folder.mkdir()
    (folder / "Ortho.xml").write_text(tileservers._TILES.format(service="TMS", url=url, half=HALF, level=19))
    assert "ortho" in basemaps.names()
    file = basemaps.write(LON, LAT, tms="Ortho", file=tmp_path / "b.tif")
    assert off(file, square(LON, LAT, 256), 256)[0] <= 3


def test_maps_in_a_national_system_are_turned(tiles, workspace, tmp_path):
    """A file of GDAL stands for a server: any dataset in any system will do."""
    turn = Transformer.from_crs(31370, 3857, always_xy=True)
    x, y = Transformer.from_crs(4326, 31370, always_xy=True).transform(LON, LAT)
    columns, rows = centres((x - 250, y - 250, x + 250, y + 250), 500)
    place = {"crs": "EPSG:31370", "transform": from_bounds(x - 250, y - 250, x + 250, y + 250, 500, 500)}
    shape = {"width": 500, "height": 500, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "national.tif", "w", driver="GTiff", **place, **shape) as dataset:
        dataset.write(colours(*turn.transform(columns, rows)))
    workspace.configure("tms", national=str(tmp_path / "national.tif"))
    file = basemaps.write(LON, LAT, tms="national", file=tmp_path / "b.tif")
    assert off(file, square(LON, LAT, 256), 256)[0] <= 4


# -- from the lake ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """A small generated season: 6 dates, 160 x 160 pixels."""
    return sample.write(tmp_path_factory.mktemp("sample"), dates=6, size=160)


@pytest.fixture
def filled(workspace, scenes):
    lake = Lake(str(workspace.root / "lake"))
    card2db.items(str(scenes.items["s2"]), card="s2", lake=lake)
    return lake


def middle(lake):
    box = lake.sql("select bbox from scenes limit 1")["bbox"][0].as_py()
    return (box["xmin"] + box["xmax"]) / 2, (box["ymin"] + box["ymax"]) / 2


def test_true_colour_of_the_clearest_scene_lies_where_it_should(filled, tmp_path):
    lon, lat = middle(filled)
    file = basemaps.write(lon, lat, chipsize=128, extend=1200, tms="Sentinel", file=tmp_path / "b.tif", lake=filled)
    with rasterio.open(file) as dataset:
        shown, bounds = dataset.read().astype(float), dataset.bounds
        tags = dataset.tags()
    clearest = basemaps._clearest(filled, lon, lat, 1200)[0]
    assert tags == {
        "tms": "sentinel",
        "asked": "sentinel",
        "date": f"{clearest.obstime:%Y-%m-%d}",
        "product": clearest.product,
        "attribution": "contains modified Copernicus Sentinel data 2024",
        "AREA_OR_POINT": "Area",
    }
    found = chips.read(filled, clearest, ["B04", "SCL"], lon, lat, 1400)
    assert not np.isin(found["SCL"], (3, 8, 9, 10)).any()
    turn = Transformer.from_crs(3857, found.attrs["epsg"], always_xy=True)
    x, y = turn.transform(*centres(bounds, 128))
    place = rasterio.Affine(*found.attrs["transform"])
    columns, rows = (np.floor(values).astype(int) for values in ~place * (x, y))
    agreement = [
        np.corrcoef(found["B04"].to_numpy()[rows + down, columns + across].ravel(), shown[0].ravel())[0, 1]
        for down, across in ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))
    ]
    assert agreement[0] > 0.95
    assert agreement[0] == max(agreement)


def test_the_lake_stands_in_for_a_server_that_does_not_answer(filled, workspace, tmp_path, caplog):
    workspace.configure("tms", nowhere="http://127.0.0.1:9/{z}/{x}/{y}.png")
    lon, lat = middle(filled)
    with caplog.at_level(logging.WARNING):
        file = basemaps.write(lon, lat, tms="nowhere", file=tmp_path / "b.tif", lake=filled)
    assert "true colour of the lake is taken instead" in caplog.text
    with rasterio.open(file) as dataset:
        assert dataset.tags()["tms"] == "sentinel"
        assert dataset.read().mean() > 20


def test_a_lake_without_a_scene_there_does_not_hide_why_the_server_failed(filled, workspace, tmp_path):
    workspace.configure("tms", nowhere="http://127.0.0.1:9/{z}/{x}/{y}.png")
    with pytest.raises(NotFoundError, match=r"nowhere does not answer.* no Sentinel-2 scene"):
        basemaps.write(10, 10, tms="nowhere", file=tmp_path / "b.tif", lake=filled)
    with pytest.raises(NotFoundError, match="no Sentinel-2 scene"):
        basemaps.write(10, 10, tms="sentinel", file=tmp_path / "b.tif", lake=filled)


def test_a_scene_whose_file_is_gone_is_passed_over(filled, tmp_path, monkeypatch):
    lon, lat = middle(filled)
    ranked = basemaps._clearest(filled, lon, lat, 256)
    real = chips.mapped

    def broken(lake, scene, *rest):
        if scene == ranked[0]:
            raise SourceError("gone")
        return real(lake, scene, *rest)

    monkeypatch.setattr(chips, "mapped", broken)
    file = basemaps.write(lon, lat, tms="sentinel", file=tmp_path / "b.tif", lake=filled)
    assert file.exists()


# -- what is asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"lon": 181}, "longitude comes first"),
        ({"lat": 89}, "longitude comes first"),
        ({"lon": float("nan")}, "longitude comes first"),
        ({"lon": 179.9999}, "antimeridian"),
        ({"chipsize": 0}, "chipsize is 1 to"),
        ({"chipsize": 100_000}, "chipsize is 1 to"),
        ({"extend": float("inf")}, "extend 1 to"),
        ({"tms": "../../etc/passwd"}, "there is no background"),
        ({"tms": "/etc/passwd"}, "there is no background"),
        ({"tms": "sentinel"}, "needs a lake"),
    ],
)
def test_what_cannot_be_is_told(workspace, tmp_path, changes, told):
    asked = {"lon": LON, "lat": LAT, "tms": "osm", **changes}
    with pytest.raises(InvalidInputError, match=told):
        basemaps.write(asked.pop("lon"), asked.pop("lat"), **asked, file=tmp_path / "b.tif")


def test_the_names_are_those_of_the_original_and_the_settings(workspace):
    workspace.configure("tms", PNOA="WMTS:https://example.org/wmts,layer=ortho")
    assert basemaps.names() == ["google", "bing", "osm", "esri", "ags", "pnoa", "sentinel"]
    assert json.loads(Workspace.here().config_file.read_text())["tms"]["PNOA"].startswith("WMTS:")


@pytest.mark.parametrize("name", ["BasemapAT.orthofoto", "basemapat.ORTHOFOTO", "nlmaps.luchtfoto", "esri", "osm"])
def test_a_provider_that_xyzservices_lists_is_read_with_its_depth_and_credited(workspace, name):
    listed = {key.lower(): value for key, value in xyzservices.providers.flatten().items()}
    provider = listed[{"esri": "esri.worldimagery", "osm": "openstreetmap.mapnik"}.get(name, name).lower()]
    described = tileservers.definition(name)
    assert escape(provider.build_url().replace("{", "${")) in described
    assert f"<TileLevel>{provider.get('max_zoom', 19)}</TileLevel>" in described
    assert tileservers.attribution(name) == provider.attribution


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MapBox", "needs a key"),
        ("Jawg.Sunny", "needs a key"),
        ("OrdnanceSurvey.Road_27700", "needs a key|EPSG:27700"),
        ("NASAGIBS.BlueMarble3031", "EPSG:3031"),
        ("Nobody.Nothing", "no background"),
    ],
)
def test_a_provider_that_cannot_be_read_is_refused_by_name(workspace, name, message):
    with pytest.raises(InvalidInputError, match=f"{name}.*({message})|({message}).*{name}"):
        tileservers.definition(name)
    workspace.configure("tms", **{name: "https://example.org/{z}/{x}/{y}.png"})
    assert "example.org" in tileservers.definition(name)
