"""The map of the workbench: true pixels at true places, of the day that is said, and never another's unlabelled."""

import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import factories
import imagecodecs
import matplotlib as mpl
import numpy as np
import pytest
import rasterio
import scenemap_page
import shapely
import two_tiles
from pyproj import Transformer

from cbm_lake.cards import S2
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.ipycbm.desk import frames, parcelpictures
from cbm_lake.ipycbm.desk.frames import Frame
from cbm_lake.ipycbm.desk.looks import Look, ordered_by_clearness
from cbm_lake.ipycbm.desk.scenemap import SceneMap
from cbm_lake.ipycbm.desk.scenepictures import Asked, OutdatedError, Pictures
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.chips import Scene
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.show.views import view

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SIZE = (300, 200)
TOPS = {"B04": 2800, "B05": 3500, "B08": 5500}
"""DN that are drawn brightest."""
LAYERS = {"ndvi": ("B04", "B08"), "B08": ("B08",), "B08_B05_B04": ("B08", "B05", "B04"), "SCL": ("SCL",)}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Two tiles in two zones with three days each; nothing is extracted."""
    return two_tiles.make(tmp_path_factory.mktemp("map"), cube=False)


@pytest.fixture(scope="module")
def files(lake):
    return Path(lake.url).parent


def parcel_of(lake, aoi="ms", pid="0012"):
    return LakeSource(lake).parcel(ParcelKey(aoi, 2024, "", pid))


def frame_of(parcel, zoom=None, shift=(0, 0)):
    centre, fitted = frames.fitting(parcel.outline_in(3857).bounds, SIZE)
    return Frame.of_view((centre[0] + shift[0], centre[1] + shift[1]), zoom or fitted, SIZE)


def decoded(picture):
    return imagecodecs.png_decode(picture.png)[..., :3].astype(int)


def centres(frame):
    """x and y in Web Mercator of every pixel's centre."""
    rows, columns = frame.size
    x = frame.bounds[0] + (np.arange(columns) + 0.5) * frame.pixel
    y = frame.bounds[3] - (np.arange(rows) + 0.5) * frame.pixel
    return np.meshgrid(x, y)


def stored(path, x, y):
    """Stored numbers of a file at places of Web Mercator, and which places are well inside of its pixels."""
    with rasterio.open(path) as file:
        turn = Transformer.from_crs(3857, file.crs, always_xy=True)
        east, north = turn.transform(x, y)
        columns, rows = ~file.transform * (east, north)
        values = file.read(1)
    inside = (columns >= 0) & (rows >= 0) & (columns < values.shape[1]) & (rows < values.shape[0])
    numbers = np.where(
        inside,
        values[np.clip(rows, 0, len(values) - 1).astype(int), np.clip(columns, 0, values.shape[1] - 1).astype(int)],
        0,
    )
    margin = np.minimum.reduce([columns % 1, 1 - columns % 1, rows % 1, 1 - rows % 1])
    return numbers.astype(float), margin > 0.1


def expected(layer, numbers, offset):
    """Red, green and blue, by formulas of this test."""
    if layer == "SCL":
        return np.array(S2.classification.colours)[numbers["SCL"].astype(int)]
    dn = {band: np.maximum(values + offset, 1) for band, values in numbers.items()}
    if layer == "ndvi":
        share = (dn["B08"] - dn["B04"]) / (dn["B08"] + dn["B04"]) / 0.9
        return np.array(mpl.colormaps["YlGn"](share.clip(0, 1)))[..., :3] * 255
    if layer == "B08":
        return np.array(mpl.colormaps["viridis"]((dn["B08"] / 5500).clip(0, 1)))[..., :3] * 255
    return np.stack([(dn[band] / TOPS[band]).clip(0, 1) ** 0.8 * 255 for band in LAYERS[layer]], -1)


# -- pixels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aoi", ["ms", "east"])
@pytest.mark.parametrize("name", ["S0", "S2"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_place_has_the_colour_of_the_scenes_pixel_there(lake, files, aoi, name, layer):
    parcel = parcel_of(lake, aoi, "12")
    pictures, frame = Pictures(lake, parcel, S2), frame_of(parcel)
    look = next(look for look in pictures.looks if look.scene.id == f"{name}_{aoi}")
    pixels = decoded(pictures.picture(frame, view(layer), look))
    x, y = centres(frame)
    read = {band: stored(files / aoi / name / f"{band}.tif", x, y) for band in LAYERS[layer]}
    numbers = {band: values for band, (values, _) in read.items()}
    sure = np.all([inside for _, inside in read.values()], axis=0) & np.all([n > 0 for n in numbers.values()], axis=0)
    assert sure.sum() > 10_000
    colours = expected(layer, numbers, two_tiles.OFFSETS[name])
    assert np.abs(pixels - colours)[sure].max() <= 1.01


@pytest.mark.parametrize("aoi", ["ms", "east"])
def test_a_parcels_edges_are_where_they_are_on_the_ground(lake, aoi):
    parcel, epsg = parcel_of(lake, aoi, "12"), two_tiles.ZONES[aoi]
    frame = Frame.of_view(frame_of(parcel).bounds[:2], 17, SIZE, 0)
    x, y = shapely.get_coordinates(shapely.centroid(parcel.outline_in(3857)))[0]
    frame = Frame.of_view((x, y), 17, SIZE, 0)
    drawn = parcelpictures.picture(lake, parcel, frame, "crop")
    opaque = imagecodecs.png_decode(drawn.png)[..., 3] > 0
    west, south, east, north = factories.outline(1).bounds
    turn = Transformer.from_crs(epsg, 3857, always_xy=True)
    for easting, northing, inside in [
        (west + 3, north - 3, True),
        (west - 3, north - 3, False),
        (east - 3, south + 3, True),
        (east - 3, south - 3, False),
        (west + 3, north + 3, False),
        (east + 3, south + 3, False),
    ]:
        px, py = turn.transform(easting, northing)
        column, row = int((px - frame.bounds[0]) / frame.pixel), int((frame.bounds[3] - py) / frame.pixel)
        assert opaque[row, column] == inside, (easting - west, northing - south)


def test_zoomed_out_parcels_are_a_dot_each_in_their_colour(lake):
    parcel = parcel_of(lake)
    frame = frame_of(parcel, zoom=11)
    assert frame.pixel >= 20
    pixels = imagecodecs.png_decode(parcelpictures.picture(lake, parcel, frame, "crop").png)
    assert 1 <= (pixels[..., 3] > 0).sum() <= 6
    legend = dict(parcelpictures.picture(lake, parcel, frame, "crop").legend)
    assert set(legend) == {"wheat", "not known"}


def test_zoomed_out_a_picture_is_the_mean_of_what_lies_under_it(lake, files):
    parcel = parcel_of(lake)
    pictures, frame = Pictures(lake, parcel, S2), frame_of(parcel, zoom=10)
    pixels = decoded(pictures.picture(frame, view("B08"), pictures.looks[0]))
    ramp = mpl.colormaps["viridis"](np.linspace(0, 1, 256))[:, :3] * 255
    with rasterio.open(files / "ms" / "S0" / "B08.tif") as file:
        mean = file.read(1)[20:100, 20:100].mean()
    middle = Transformer.from_crs(32631, 3857, always_xy=True).transform(two_tiles.LEFT + 600, two_tiles.TOP - 600)
    row, column = int((frame.bounds[3] - middle[1]) / frame.pixel), int((middle[0] - frame.bounds[0]) / frame.pixel)
    reach = int(680 / frame.pixel)
    around = pixels[row - reach : row + reach, column - reach : column + reach].reshape(-1, 3)
    shares = [np.abs(ramp - colour).sum(1).argmin() / 255 for colour in around]
    assert len(shares) >= 36
    assert abs(np.mean(shares) * 5500 - mean) < 200
    assert np.std(shares) * 5500 < 900  # of single pixels it is 2300


# -- days --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aoi", ["ms", "east"])
def test_the_days_are_those_of_the_parcels_own_scenes(lake, aoi):
    pictures = Pictures(lake, parcel_of(lake, aoi), S2)
    assert [look.scene.id for look in pictures.looks] == [f"{name}_{aoi}" for name in two_tiles.OFFSETS]
    assert [look.day for look in pictures.looks] == [factories.day(number).date() for number in range(3)]
    assert pictures.on("2024-12-24") is None


def look(day, cloud, why_not=None, whole=0.0):
    scene = Scene(f"S{day}", "P", datetime(2024, 5, day, tzinfo=UTC), "s2", 0, "", whole, 1.0, ())
    return Look(date(2024, 5, day), scene, cloud, why_not)


def test_the_clearest_is_usable_has_the_fewest_clouds_and_is_the_latest_of_equals():
    looks = [
        look(1, 0.0),
        look(2, 0.3),
        look(3, 0.0),
        look(4, 0.9, "cloudy"),
        look(5, None, None, 80),
        look(6, 0.0, "small"),
    ]
    assert [one.day.day for one in ordered_by_clearness(looks)] == [3, 1, 2, 5, 6, 4]
    only_clouded = [look(1, 1.0, "cloudy"), look(2, 0.6, "cloudy")]
    assert ordered_by_clearness(only_clouded)[0].day.day == 2
    assert [one.mark for one in looks] == ["clear", "clear", "clear", "clouded", "unknown", "poor"]


def test_beside_a_scene_are_the_clearest_in_grey_under_a_hatch_and_they_are_named(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    wide = two_tiles.write(
        tmp_path / "wide.tif",
        np.full((400, 400), 2000, "uint16"),
        10,
        32631,
        two_tiles.LEFT - 1400,
        two_tiles.TOP + 1400,
    )
    left, top = two_tiles.LEFT - 1400, two_tiles.TOP + 1400
    corners = shapely.box(
        *Transformer.from_crs(32631, 4326, always_xy=True).transform_bounds(left, top - 4000, left + 4000, top)
    )
    lake.add_scenes(
        factories.scenes(
            factories.scene(
                "wide",
                factories.day(30),
                boa_offset=0,
                geometry=corners.wkb,
                bbox=dict(zip(("xmin", "ymin", "xmax", "ymax"), corners.bounds, strict=True)),
                assets={band: {"href": wide, "type": "image/tiff"} for band in ("B04", "B08", "B05")},
            )
        )
    )
    parcel = parcel_of(lake)
    pictures, frame = Pictures(lake, parcel, S2), frame_of(parcel, shift=(-250, 0))
    first = pictures.looks[0]
    picture = pictures.picture(frame, view("ndvi"), first)
    assert (picture.day, [scene.id for scene in picture.scenes]) == (first.day, ["S0_ms"])
    assert picture.blank
    assert [scene.id for scene in picture.around] == ["wide"]
    pixels, (x, y) = decoded(picture), centres(frame)
    inside, _ = stored(tmp_path / "ms" / "S0" / "B08.tif", x, y)
    beside = x < x[inside > 0].min() - 30
    assert beside.sum() > 5000
    assert (np.ptp(pixels[beside], axis=-1) <= 16).all()  # grey, or the line of the hatch
    assert len(np.unique(pixels[beside], axis=0)) >= 2
    assert (np.ptp(pixels[(inside > 0)], axis=-1) > 16).mean() > 0.9


def test_others_of_the_same_day_go_on_where_a_scene_ends_also_from_another_zone(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    turn = Transformer.from_crs(32631, 32632, always_xy=True)
    x, y = turn.transform(two_tiles.LEFT - 600, two_tiles.TOP + 300)
    left, top = round(x / 10) * 10, round(y / 10) * 10
    pixels = np.random.default_rng(5).integers(1000, 8000, (120, 120)).astype("uint16")
    href = two_tiles.write(tmp_path / "zone.tif", pixels, 10, 32632, left, top)
    corners = shapely.box(
        *Transformer.from_crs(32632, 4326, always_xy=True).transform_bounds(left, top - 1200, left + 1200, top)
    )
    lake.add_scenes(
        factories.scenes(
            factories.scene(
                "zone32",
                factories.day(0),
                boa_offset=0,
                geometry=corners.wkb,
                bbox=dict(zip(("xmin", "ymin", "xmax", "ymax"), corners.bounds, strict=True)),
                assets={"B08": {"href": href, "type": "image/tiff"}},
                **{"proj:code": "EPSG:32632", "grid:code": "MGRS-32TLP"},
            )
        )
    )
    parcel = parcel_of(lake)
    pictures, frame = Pictures(lake, parcel, S2), frame_of(parcel, shift=(-200, 0))
    picture = pictures.picture(frame, view("B08"), pictures.looks[0])
    assert [scene.id for scene in picture.scenes] == ["S0_ms", "zone32"]
    x, y = centres(frame)
    own, _ = stored(tmp_path / "ms" / "S0" / "B08.tif", x, y)
    other, sure = stored(tmp_path / "zone.tif", x, y)
    here = (own == 0) & (other > 0) & sure
    near = x > x[own > 0].min() - 25  # where both meet, a pixel may be of either
    assert (here & ~near).sum() > 1000
    colours = np.array(mpl.colormaps["viridis"]((other / 5500).clip(0, 1)))[..., :3] * 255
    assert np.abs(decoded(picture) - colours)[here & ~near].max() <= 1.01


def test_a_newer_request_stops_an_older_one(lake):
    parcel = parcel_of(lake)
    pictures, seen = Pictures(lake, parcel, S2), []
    asked = Asked(lambda: len(seen) >= 1, lambda scene, band: seen.append((scene, band)))
    with pytest.raises(OutdatedError, match="S0_ms"):
        pictures.picture(frame_of(parcel), view("ndvi"), pictures.looks[0], asked)
    assert seen == [("S0_ms", "B04")]


# -- the widget -------------------------------------------------------------------------------------------------------


def shown(scene_map, state, day="", layer="ndvi", compared=""):
    state.layer, state.day, state.compared = layer, day, compared
    request = Request(state.key, state.day, state.compared, state.layer, state.index, datetime.now(UTC))
    return scene_map.show(scene_map.read(request))


@pytest.fixture
def bench(lake, workspace):
    state = State(aoi="ms", year=2024, pid="12", layer="ndvi")
    return SceneMap(state, lake, "en"), state


def test_what_is_drawn_is_said_with_product_time_and_credit(bench):
    scene_map, state = bench
    drawn = shown(scene_map, state, "2024-01-11")
    assert (drawn.key, drawn.day, drawn.layer) == (state.key, date(2024, 1, 11), "ndvi")
    assert "<b>2024-01-11 10:40 UTC</b>" in scene_map.foot.value
    assert "Contains modified Copernicus Sentinel data 2024" in scene_map.foot.value
    assert (scene_map.bar.day, scene_map.bar.drawn, scene_map.bar.busy) == ("2024-01-11", "2024-01-11", False)
    assert "clearest" not in scene_map.foot.value
    shown(scene_map, state)
    assert "the clearest day" in scene_map.foot.value
    assert (state.day, scene_map.bar.busy) == ("", False)  # which one it is is no choice
    for named, is_old in (("2024-01-01", True), (scene_map.bar.drawn, False)):  # whoever names it chooses no other
        state.day = named
        assert scene_map.bar.busy == is_old
    assert scene_map.bar.drawn not in ("", "2024-01-01")


def test_controls_set_the_state_and_what_is_old_is_marked_at_once(bench):
    scene_map, state = bench
    shown(scene_map, state, "2024-01-01")
    scene_map.step(1)
    assert (state.day, scene_map.bar.day, scene_map.bar.drawn) == ("2024-01-11", "2024-01-11", "2024-01-01")
    assert scene_map.bar.busy
    scene_map.bar.layer = "B08"
    assert state.layer == "B08"
    assert shown(scene_map, state, state.day, "B08").day == date(2024, 1, 11)
    assert not scene_map.bar.busy
    scene_map.step(5)
    assert state.day == "2024-01-21"


def test_an_older_picture_that_comes_late_changes_no_choice(bench):
    scene_map, state = bench
    shown(scene_map, state, "2024-01-01")
    late = scene_map.read(Request(state.key, "2024-01-01", "", "ndvi", "ndvi", datetime.now(UTC)))
    state.day, state.layer = "2024-01-21", "B08"
    drawn = scene_map.show(late)
    assert (drawn.day, drawn.layer) == (date(2024, 1, 1), "ndvi")
    assert (state.day, state.layer, scene_map.bar.busy) == ("2024-01-21", "B08", True)


def test_two_days_are_compared_and_both_are_named(bench):
    scene_map, state = bench
    shown(scene_map, state, "2024-01-01", compared="2024-01-21")
    assert scene_map.bar.against == "2024-01-21"
    assert "right of the line: <b>2024-01-21" in scene_map.foot.value
    assert scene_map._scene.url != scene_map._second.url
    shown(scene_map, state, "2024-01-01")
    assert scene_map.bar.against == ""


def test_a_click_chooses_the_neighbour_and_beside_all_none(bench):
    scene_map, state = bench
    shown(scene_map, state)
    for number, pid in enumerate(factories.PIDS):
        lon, lat = factories.degrees(*shapely.get_coordinates(factories.outline(number).centroid)[0])
        scene_map._clicked(type="click", coordinates=(lat, lon))
        assert state.pid == pid
    lon, lat = factories.degrees(factories.X - 300, factories.Y)
    scene_map._clicked(type="click", coordinates=(lat, lon))
    assert state.pid == "a/b"
    assert scene_map.bar.progress == "There is no parcel of this set"


def test_a_day_without_a_scene_shows_none_in_its_stead(bench):
    scene_map, state = bench
    drawn = shown(scene_map, state, "2024-08-08")
    assert drawn.day is None
    assert "no scene of this parcel of 2024-08-08" in scene_map.foot.value
    assert "Where it is hatched" in scene_map.foot.value


def test_a_parcel_without_scenes_is_outlined_on_a_hatch(tmp_path, workspace):
    lake = Lake(str(tmp_path / "bare"))
    lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
    state = State(aoi="ms", year=2024, pid="12", layer="ndvi")
    scene_map = SceneMap(state, lake, "de")
    drawn = shown(scene_map, state)
    assert drawn.day is None
    assert "keine Szene dieser Parzelle" in scene_map.foot.value
    assert len(scene_map._line.data["features"]) == 1
    assert scene_map.bar.looks == []


def test_what_cannot_be_drawn_is_refused_by_name(bench):
    scene_map, state = bench
    for change, error in (
        ({"layer": "nonsense"}, InvalidInputError),
        ({"key": ParcelKey("ms", 2024, "", "none")}, NotFoundError),
    ):
        request = {
            "key": state.key,
            "day": "",
            "compared": "",
            "layer": "ndvi",
            "index": "ndvi",
            "as_of": datetime.now(UTC),
        }
        with pytest.raises(error, match=r"nonsense|none"):
            scene_map.read(Request(**{**request, **change}))


def test_clear_takes_everything_away_and_says_why(bench):
    scene_map, state = bench
    shown(scene_map, state)
    scene_map.clear("the disk <is> gone")
    assert scene_map._line.data["features"] == []
    assert len({overlay.url for overlay in (scene_map._scene, scene_map._second, scene_map._parcels)}) == 1
    assert "the disk &lt;is&gt; gone" in scene_map.foot.value
    assert scene_map.bar.drawn == ""


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_scene_that_cannot_be_read_stays_a_day_and_is_named(tmp_path, workspace, damage):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    file = tmp_path / "ms" / "S2" / "B08.tif"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:3000])
    state = State(aoi="ms", year=2024, pid="12", layer="ndvi")
    scene_map = SceneMap(state, lake, "en")
    drawn = shown(scene_map, state, "2024-01-21")
    assert drawn.day is None
    assert "Scene S2_ms cannot be read" in scene_map.foot.value
    assert "Nothing of 2024-01-21 can be shown here" in scene_map.foot.value
    assert [entry["mark"] for entry in scene_map.bar.looks] == ["unknown", "unknown", "broken"]
    drawn = shown(scene_map, state)  # the clearest, which is the latest of equals, is broken
    assert drawn.day == date(2024, 1, 11)
    assert "Scene S2_ms cannot be read" in scene_map.foot.value
    assert "<b>2024-01-11" in scene_map.foot.value


# -- a browser --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no chromium: apt-get install chromium")
def test_in_a_browser_days_are_walked_through_by_keys_and_nothing_is_fetched_from_elsewhere(
    tmp_path, monkeypatch, workspace
):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", lake.url)
    choice = {"aoi": "ms", "year": 2024, "pid": "12", "layer": "ndvi"}
    with scenemap_page.served(tmp_path, choice) as url, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 640, "height": 480})
        page.set_default_timeout(120_000)
        page.route(
            lambda address: "cdn.jsdelivr.net" in address, lambda route: route.abort()
        )  # fonts of voila's own page
        elsewhere = []
        page.on(
            "request",
            lambda asked: elsewhere.append(asked.url) if not asked.url.startswith((url, "data:", "blob:")) else None,
        )
        page.goto(url)
        caption = page.locator(".cbm-map-words b")
        caption.filter(has_text="2024-01-21").wait_for()
        slider = page.get_by_label("Day of the image")
        slider.focus()
        before = page.locator(".leaflet-cbmscene-pane img").get_attribute("src")
        for day in ("2024-01-11", "2024-01-01"):
            slider.press("ArrowLeft")
            caption.filter(has_text=day).wait_for()
        assert page.locator(".leaflet-cbmscene-pane img").get_attribute("src") != before
        page.get_by_label("compare with").select_option("2024-01-21")
        swipe = page.get_by_role("slider", name="Line between the two images")
        swipe.wait_for()
        swipe.press("ArrowRight")
        assert swipe.get_attribute("aria-valuenow") == "55"
        assert axe.Axe().run(page, context=".cbm-map").response["violations"] == []
        assert [address for address in elsewhere if "cdn.jsdelivr.net" not in address] == []
        browser.close()
