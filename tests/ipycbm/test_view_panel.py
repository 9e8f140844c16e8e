"""What view and get offer, find, get and draw: over two areas and years, and parcels with and without data."""

import base64
import threading
from datetime import date

import geopandas as gpd
import imagecodecs
import ipyleaflet
import ipywidgets
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import shapely
import small_demo
from factories import PIDS, degrees, fill, outline, parcel_set, parcels, signature, signatures, write
from pyproj import Transformer

from cbm_lake import cards, get, show
from cbm_lake.config import Workspace, settings
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.get.several import Wanted
from cbm_lake.ipycbm import (
    changes,
    choice,
    colours,
    config_panel,
    get_panel,
    guide,
    maps,
    more,
    newest,
    overlays,
    page,
    view_panel,
    wanted,
)
from cbm_lake.ipycbm import settings_words as words
from cbm_lake.ipycbm.backgrounds import BackgroundList, BackgroundTicks
from cbm_lake.ipycbm.chip_map import ChipMap, legend
from cbm_lake.ipycbm.panel import Panel
from cbm_lake.lake import open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import basemaps, inventory, sources
from cbm_lake.parcel.basemaps import Square
from cbm_lake.show import rendering, views
from cbm_lake.show.reading import Reading, Season

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace: area demo of 2024 with images of all kinds, area ms of two years, and a kind of its own, without."""
    folder = tmp_path_factory.mktemp("views")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder)
        lake = fill(open_lake())
        lake.add_parcels("ms", 2023, "", "v1", parcels(("p23", "q23", "r23")))
        lake.add_parcels("ms", 2024, "other", "v1", parcels(("o1", "o2", "12")))
        write(lake, signatures(signature("p23", "A", year=2023)), parcel_set(year=2023), "A")
    return folder


@pytest.fixture
def lake(home, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(home))
    yield open_lake()
    get.leftovers.delete(get.leftovers.of_folders(get.folders.of_parcels(Workspace.here().temp)), also_by_person=True)


@pytest.fixture
def empty_lake(tmp_path):
    return open_lake(str(tmp_path / "empty"))


@pytest.fixture
def largest(lake):
    """The largest parcel of the demo."""
    return lake.sql("select pid from parcels where aoi = 'demo' order by area_m2 desc limit 1")["pid"][0].as_py()


def all_of(widget, kind):
    inner = [one for child in getattr(widget, "children", ()) for one in all_of(child, kind)]
    return [widget, *inner] if isinstance(widget, kind) else inner


def png(layer):
    return imagecodecs.png_decode(base64.b64decode(layer.url.partition(",")[2]))


def row_of(lake, pid, view, **look):
    """The images of a parcel in a view."""
    reading, kind = Reading.of(lake), views.view(view)
    (parcel,) = reading.parcels("demo", 2024, pid)
    images = reading.images(parcel, Season.of("2024-01-01", "2024-12-31", 320, card=kind.card.name), kind.bands)
    return rendering.row(parcel.label, kind, images, parcel.outline_in(images.epsg), look.pop("cmap", None), **look)


# -- what there is ----------------------------------------------------------------------------------------------------


def test_the_inventory_counts_what_the_views_of_the_lake_have(lake, largest):
    found = inventory.of(sources.here(), ParcelKey("demo", 2024, "", largest))
    for card in ("s2", "bs"):
        rows = lake.sql(f"select aoi, pid from {card}").to_pylist()  # noqa: S608 - the name of a view
        assert found.series[card] == rows.count({"aoi": "demo", "pid": largest})
    assert set(found.series) == {"s2", "bs"}
    assets = lake.sql("select assets from scenes where card = 's2' and source <> 'made here'")["assets"].to_pylist()
    catalogued = {band for row in assets for band, asset in row.items() if asset}
    assert set(found.images["s2"].bands) == catalogued
    assert set(found.bands()) == {*catalogued, "bs VV", "bs VH"}


@pytest.mark.parametrize(
    ("year", "kind", "pid", "series"),
    [(2024, "", "0012", {"s2": 2}), (2023, "", "p23", {"s2": 1}), (2023, "", "q23", {})],
)
def test_the_inventory_of_parcels_with_little_or_nothing(lake, year, kind, pid, series):
    found = inventory.of(sources.here(), ParcelKey("ms", year, kind, pid))
    assert dict(found.series) == series
    assert found.weather == 0
    images = {2024: {"s2": inventory.Imagery(2, ("B04",))}, 2023: {}}  # scenes of 2024 alone
    assert found.images == images[year]


def test_the_kind_of_a_parcel_is_the_main_one_before_others(lake):
    kinds = [inventory.kind_of(sources.here(), "ms", 2024, pid) for pid in ("12", "o1")]
    assert kinds == ["", "other"]
    with pytest.raises(NotFoundError, match="nobody"):
        inventory.kind_of(sources.here(), "ms", 2024, "nobody")


def test_every_band_has_a_name_in_words():
    for card in cards.CARDS.values():
        assert len(wanted.labels(card)) == len(card.rasters)
    assert wanted.labels(cards.S2)["B8A"] == "Band 8A: near infrared, narrow (20 m)"
    assert wanted.labels(cards.C6)["c6 VV"] == "VV: sent and received vertically (20 m)"
    for name in colours.view_names():
        views.view(name)


def test_only_images_whose_bands_are_there_are_offered():
    assert colours.showable(("B04", "B08")) == ["ndvi", "B04", "B08"]
    assert "bs VV" in colours.showable(("bs VV",))
    assert colours.showable(()) == []


# -- view -------------------------------------------------------------------------------------------------------------


def test_view_offers_what_the_chosen_parcel_has(lake, largest):
    for aoi, year, pid in (("demo", 2024, largest), ("ms", 2023, "q23"), ("ms", 2024, "o1"), ("ms", 2024, "0012")):
        get.parcel_info.by_pid(aoi, year, pid, ptype="other" if pid == "o1" else None)
    panel = view_panel.panel()
    forms = dict(zip(panel.tabs.titles, panel.tabs.children, strict=True))
    offered = {}
    for aoi, year, pid in (
        ("demo", "2024", largest),
        ("ms", "2023", "q23"),
        ("ms", "2024", "o1"),
        ("ms", "2024", "0012"),
    ):
        panel.parcels.aoi.value, panel.parcels.year.value, panel.parcels.pid.value = aoi, year, pid
        assert panel.holdings.settled(60)
        offered[pid] = forms["time series"].inputs["kind"].options, panel.holdings.value
        assert forms["chips"].inputs["days"].value == (date(int(year), 1, 1), date(int(year), 12, 31))
    assert {"NDVI", "Sentinel-1"} <= set(offered[largest][0])
    assert "weather" not in offered[largest][0]
    assert "weather (load it with cbm-lake weather)" in offered[largest][1]
    assert offered["q23"][0] == ()
    assert "nothing but the declaration" in offered["q23"][1]
    assert "images (catalogue scenes" in offered["q23"][1]
    assert "a parcel of the kind other" in offered["o1"][1]
    assert "Sentinel-1" not in offered["0012"][0]
    assert "Sentinel-2 Level-2A: 2 observations" in offered["0012"][1]
    assert [name for _, name in forms["chips"].inputs["look"].views.options] == ["B04"]
    panel.parcels.year.value, panel.parcels.pid.value = "2023", "q23"
    assert panel.holdings.settled(60)
    forms["time series"].submit().result(60)
    assert "no time series of this parcel" in forms["time series"].message.value


def test_a_parcel_of_a_kind_of_its_own_is_shown(lake):
    get.parcel_info.by_pid("ms", 2024, "o1", ptype="other")
    panel = view_panel.panel()
    panel.parcels.aoi.value = "ms"
    assert panel.parcels.value == ("ms", 2024, "o1")
    information = panel.tabs.children[0]
    information.submit().result(60)
    assert information.message.value == ""
    assert information.result.children


def test_what_a_parcel_lacks_is_ticked_got_and_no_longer_missing(lake, largest):
    get.parcel_info.by_pid("demo", 2024, largest)
    panel = view_panel.panel()
    panel.parcels.aoi.value = "demo"
    assert panel.holdings.settled(60)
    form, inputs = panel.more.this, panel.more.this.inputs
    assert inputs["series"].value == ("s2", "bs")
    assert inputs["bands"].value == ("B04", "B08", "SCL")
    assert inputs["images"].value == ("sentinel",)
    assert "weather" not in inputs["series"].offered
    assert "ls red" not in inputs["bands"].offered
    inputs["bands"].boxes["bs VV"].value = True
    inputs["bands"].boxes["SCL"].value = False
    rows = form.submit().result(120)
    assert rows["problem"].isna().all(), rows["problem"].tolist()
    assert panel.holdings.settled(60)
    folder = get.folders.place("demo", 2024, largest, "")
    assert len(list((folder / "chipimages").glob("*.B08.tif"))) == 9
    assert len(list((folder / "chipimages" / "bs").glob("*VV.tif"))) > 0
    assert (folder / "backgrounds" / "sentinel.tif").exists()
    found = inventory.of(sources.here(), ParcelKey("demo", 2024, "", largest))
    assert more.lacks(("demo", 2024, largest), found) == {"series": [], "bands": [], "images": []}
    assert "has a file of each kind" in panel.more.lacking.value


def test_another_parcel_of_the_lake_is_got_and_chosen(lake, largest):
    get.parcel_info.by_pid("demo", 2024, largest)
    panel = view_panel.panel()
    chosen = next(one for one in all_of(panel.more, choice.ParcelSet))
    chosen.aoi.value, chosen.year.value = "ms", "2023"
    examples = next(one for one in all_of(panel.more, choice.Examples))
    assert [button.description for button in examples.children[1:]] == ["p23", "q23", "r23"]
    examples.children[2].click()
    panel.more.other.submit().result(60)
    assert panel.parcels.value == ("ms", 2023, "q23")


# -- images on the map ------------------------------------------------------------------------------------------------


def test_a_pixel_of_an_image_is_where_it_is_on_the_ground(lake, largest):
    row = row_of(lake, largest, "B08")
    chip_map = ChipMap(row, lake)
    for number in (0, 5):
        chip_map.dates.value = number
        shown, pixels = png(chip_map.layer), rendering.rgba(row, row.images.images[number])
        (south, west), (north, east) = chip_map.layer.bounds
        to_web = Transformer.from_crs(4326, 3857, always_xy=True)
        (left, bottom), (right, top) = to_web.transform(west, south), to_web.transform(east, north)
        places = Transformer.from_crs(row.images.epsg, 3857, always_xy=True)
        for line, column in ((3, 3), (10, 20), (25, 8)):
            x, y = places.transform(*(row.images.transform * (column + 0.5, line + 0.5)))
            across = int((x - left) / (right - left) * shown.shape[1])
            down = int((top - y) / (top - bottom) * shown.shape[0])
            assert shown[down, across].tolist() == pixels[line, column].tolist()


def test_the_slider_walks_over_the_dates_and_marks_clouds(lake, largest):
    row = row_of(lake, largest, "ndvi")
    chip_map = ChipMap(row, lake)
    images = row.images.images
    clouded = [number for number, image in enumerate(images) if image.cloud > 0.005]
    titles = [title for title, _ in chip_map.dates.options]
    assert [title[:10] for title in titles] == [f"{image.obstime:%Y-%m-%d}" for image in images]
    assert [number for number, title in enumerate(titles) if "cloud" in title] == clouded
    assert 0 < len(clouded) < len(images)
    before = chip_map.layer.url
    chip_map.dates.value = 1
    assert chip_map.image is images[1]
    assert chip_map.layer.url != before
    assert chip_map.play.max == len(images) - 1
    chip_map.dates.value = clouded[0]
    chip_map.clear_only.value = True
    assert [number for _, number in chip_map.dates.options] == [n for n in range(len(images)) if n not in clouded]
    assert chip_map.play.max == len(images) - len(clouded) - 1
    assert chip_map.image.cloud <= 0.005


@pytest.mark.parametrize("view", ["ndvi", "B08", "bs VV", "true colour", "SCL"])
@pytest.mark.parametrize("percentile", [None, (10, 90)])
def test_the_legend_says_between_which_numbers_colours_run(lake, largest, view, percentile):
    row = row_of(lake, largest, view, percentile=percentile)
    if view == "SCL":
        assert "vegetation" in legend(row)
        return
    for low, high in row.limits:
        assert f"{low:.4g}" in legend(row)
        assert f"{high:.4g}" in legend(row)


def test_colours_run_between_numbers_that_are_given(lake, largest):
    row = row_of(lake, largest, "B08", limits=(0.1, 0.2), cmap="magma")
    dn = row.images.images[0].bands["B08"].astype(float)
    assert (dn > 0).all()
    expected = mpl.colormaps["magma"](np.clip((dn / 10_000 - 0.1) / 0.1, 0, 1), bytes=True).astype(int)
    assert np.abs(rendering.rgba(row, row.images.images[0]) - expected).max() <= 4  # a step of the colour map
    for wrong in ((0.2, 0.1), (1,), (None, 1), (0, float("nan"))):
        with pytest.raises(InvalidInputError, match="no two numbers"):
            row_of(lake, largest, "B08", limits=wrong)
    with pytest.raises(InvalidInputError, match="no scale"):
        row_of(lake, largest, "true colour", limits=(0, 1))
    figure = show.chip_images.by_pid("demo", 2024, largest, bands="B08", limits=(0.1, 0.2))
    bar = next(axes for axes in figure.axes if axes.get_xlabel().startswith("reflectance"))
    assert bar.get_xlim() == pytest.approx((0.1, 0.2))


@pytest.mark.slow
def test_the_form_of_images_draws_maps_sheets_and_single_ones(lake, largest):
    get.parcel_info.by_pid("demo", 2024, largest)
    panel = view_panel.panel()
    panel.parcels.aoi.value = "demo"
    assert panel.holdings.settled(60)
    form = panel.tabs.children[3]
    look = form.inputs["look"]
    look.views.value = ("ndvi", "B08")
    for way, kind, count in (("map", ChipMap, 2), ("sheet", ipywidgets.Image, 1), ("single", ipywidgets.Stack, 2)):
        form.inputs["way"].value = way
        form.submit().result(120)
        assert form.message.value == ""
        assert len(all_of(form.result, kind)) == count
    look.stretch.value = "numbers"
    look.low.value, look.high.value = 0.4, 0.2
    form.submit().result(60)
    assert "cannot run from 0.4 to 0.2" in form.message.value


# -- get --------------------------------------------------------------------------------------------------------------


def test_parcels_are_found_in_a_polygon_before_they_are_got(lake):
    panel = get_panel.panel()
    panel.parcels.aoi.value, panel.parcels.year.value = "ms", "2024"
    ring = [degrees(*point) for point in outline(0, 150).exterior.coords]
    drawing = next(control for control in _map_of(panel, 3).controls if isinstance(control, ipyleaflet.DrawControl))
    drawing.data = [{"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}]
    panel.which.selected_index = 3
    panel.find.submit().result(60)
    assert panel.find.message.value == ""
    heading, tabs, these = panel.find.result.children[0].children
    assert "2 parcels" in heading.value
    assert "<td>0012</td>" in tabs.children[0].value
    assert "wheat" in tabs.children[0].value
    layer = next(one for one in all_of(tabs, ipyleaflet.Map)[0].layers if isinstance(one, ipyleaflet.GeoJSON))
    assert {one["properties"]["pid"] for one in layer.data["features"]} == {"0012", "12"}
    panel.which.selected_index = 0
    these.click()
    assert "find them first" in panel.find.message.value
    assert not panel.form.busy
    panel.which.selected_index = 3
    these.click()
    panel.form.submit().result(60)
    assert get.folders.kept(Workspace.here().temp) == {"ms": {"2024": ["0012", "12"]}}


def _map_of(panel, tab):
    return all_of(panel.which.children[tab], ipyleaflet.Map)[0]


def test_more_parcels_than_are_got_at_once_are_found_but_not_got(lake):
    Workspace.here().configure("set", plimit=2)
    try:
        rows = get_panel.matches({"aoi": "ms", "year": 2024, "ptype": None}, "polygon", _square())
        panel = get_panel.panel()
        shown = panel._matches(rows)
    finally:
        Workspace.here().configure("set", plimit=25)
    assert len(rows["pid"]) == 3
    assert "at most 2 are got at once" in shown.children[0].value
    assert shown.children[2].disabled


def _square():
    west, south = degrees(499_000, 4_799_000)
    east, north = degrees(501_000, 4_801_000)
    return {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
    }


def test_examples_exist_in_the_chosen_set_and_a_click_takes_one(lake):
    panel = get_panel.panel()
    examples = all_of(panel.which, choice.Examples)[0]
    taken = {}
    for aoi, year, kind in (("ms", "2024", ""), ("ms", "2023", ""), ("ms", "2024", "other"), ("demo", "2024", "")):
        panel.parcels.aoi.value, panel.parcels.year.value, panel.parcels.ptype.value = aoi, year, kind
        taken[aoi, year, kind] = [button.description for button in examples.children[1:]]
        rows = lake.query("parcels.declared", aoi=aoi, year=int(year), ptype=kind, outlines=False)
        assert set(taken[aoi, year, kind]) <= set(rows["pid"].to_pylist())
    assert len({tuple(pids) for pids in taken.values()}) == 4
    for button in (*examples.children[1:3], examples.children[1]):
        button.click()
    assert get_panel.split(panel.which.typed.value) == taken["demo", "2024", ""][:2]


def test_get_offers_what_there_is_of_the_area(lake):
    panel = get_panel.panel()
    offered = {}
    for aoi in ("demo", "ms"):
        panel.parcels.aoi.value = aoi
        offered[aoi] = panel.form.inputs["series"].offered
    assert offered == {"demo": ("s2", "scl", "bs", "weather"), "ms": ("s2", "scl", "weather")}
    assert "B08" in panel.form.inputs["bands"].offered
    assert "ls red" not in panel.form.inputs["bands"].offered
    assert "Sentinel-1 backscatter" in panel._lacking.value
    assert "Landsat" in panel._lacking.value


def test_chips_of_several_cards_are_got_each_from_its_own(lake, largest):
    days = {"start_date": "2024-01-01", "end_date": "2024-12-31"}
    request = Wanted((), ("B04", "bs VV", "bs VH", "SCL"), **days)
    rows = get.several.by_pids("demo", 2024, largest, request)
    assert rows["what"].tolist() == ["information", "chips B04, SCL", "chips bs VV, bs VH"]
    assert rows["problem"].isna().all()
    chips = get.folders.place("demo", 2024, largest, "chipimages")
    assert list((chips / "bs").glob("*VH.tif"))
    assert not list(chips.glob("*VV.tif"))


# -- maps -------------------------------------------------------------------------------------------------------------


def test_the_ground_of_a_map_is_the_clearest_scene_and_named(lake, largest):
    (parcel,) = Reading.of(lake).parcels("demo", 2024, largest)
    view, said = maps.blank(lake)
    assert [type(layer) for layer in view.layers] == [ipyleaflet.ImageOverlay]
    ground = view.layers[0]
    assert ground.pane in view.panes
    assert not png(ground).any()
    half = 0.004
    view.set_trait("bounds", ((parcel.lat - half, parcel.lon - half), (parcel.lat + half, parcel.lon + half)))
    for thread in threading.enumerate():
        if thread.name == newest.THREAD:
            thread.join(60)
    shown = png(ground)
    (south, west), (north, east) = ground.bounds
    to_web = Transformer.from_crs(4326, 3857, always_xy=True)
    (left, bottom), (right, _) = to_web.transform(west, south), to_web.transform(east, north)
    square = Square(
        (west + east) / 2, to_web.transform((left + right) / 2, bottom + (right - left) / 2, direction="INVERSE")[1]
    )
    expected = basemaps.render_square(Square(square.lon, square.lat, "sentinel", shown.shape[0], right - left), lake)
    assert np.abs(shown[..., :3].astype(int) - expected.pixels).mean() < 1
    assert expected.tags["date"] in said.value
    assert expected.tags["product"] in said.value


def test_where_there_is_neither_scene_nor_parcel_the_map_says_so(lake):
    said = ipywidgets.HTML()
    picture = overlays.Ground(lake, said).paint((10.0, 50.0, 10.1, 50.1))
    assert not picture.pixels.any()
    assert "no Sentinel-2 scene" in said.value


def inside(lake, aoi, year, ptype=""):
    """The parcels of a set in degrees."""
    rows = lake.read_parcels(lake.parcel_set(aoi, year, ptype), ["geometry", "epsg"])
    shapes = gpd.GeoSeries.from_wkb(rows["geometry"].to_numpy(), crs=rows["epsg"][0].as_py())
    return shapes.to_crs(4326)


@pytest.mark.parametrize(("half_in", "half_up"), [(0.004, 0.004), (0.02, 0.01)])
def test_where_there_is_no_scene_the_ground_is_the_parcels_outlines(empty_lake, half_in, half_up):
    for key in (("ms", 2023, ""), ("ms", 2024, "other"), ("zz", 2022, "a"), ("zz", 2023, "a")):
        empty_lake.add_parcels(*key, "v1", parcels(PIDS, [("grass", "1")] * len(PIDS)))
    shapes, said = inside(empty_lake, "ms", 2023), ipywidgets.HTML()
    middle = shapes.union_all().centroid
    west, south, east, north = middle.x - half_in, middle.y - half_up, middle.x + half_in, middle.y + half_up
    picture = overlays.Ground(empty_lake, said).paint((west, south, east, north))
    assert "ground: outlines of the parcels of ms 2023, zz 2023 a; " in said.value
    assert picture.box == (west, south, east, north)
    rows, columns = picture.pixels.shape[:2]
    to_web = Transformer.from_crs(4326, 3857, always_xy=True)
    (left, bottom), (right, top) = to_web.transform(west, south), to_web.transform(east, north)
    assert abs((top - bottom) / (right - left) - rows / columns) < 0.01
    x, y = np.meshgrid(
        left + (np.arange(columns) + 0.5) * (right - left) / columns,
        top - (np.arange(rows) + 0.5) * (top - bottom) / rows,
    )
    covered = shapely.contains_xy(shapes.to_crs(3857).union_all(), x, y)
    drawn = picture.pixels[..., 3] > 0
    assert covered.any()
    assert (covered & ~drawn).sum() <= 0.01 * covered.sum()
    beside = shapes.to_crs(3857).union_all().buffer(3 * (right - left) / columns)  # where lines and their shadows lie
    assert not (drawn & ~shapely.contains_xy(beside, x, y)).any()
    assert not overlays.Ground(empty_lake, said).paint((west - 1, south, east + 1, north)).pixels.any()


def test_a_card_without_scenes_in_these_days_is_not_said_to_be_got(lake, largest):
    request = Wanted((), ("B04", "bs VV", "c6 VV"), "2024-01-01", "2024-01-02")
    rows = get.several.by_pids("demo", 2024, largest, request).set_index("what")["problem"]
    assert rows["information"] is None
    for what, card in (("chips B04", "s2"), ("chips bs VV", "bs"), ("chips c6 VV", "c6")):
        assert f"no scene of {cards.CARDS[card].title} is over the parcel from 2024-01-01 to 2024-01-02" in rows[what]
    shown = wanted.summary(rows.rename("problem").reset_index().assign(pid=largest))
    assert shown["got"].tolist() == ["information"]


def test_tile_servers_that_are_saved_later_are_offered_and_what_is_chosen_stays(lake):
    widgets = [get_panel.panel(), view_panel.panel()]
    ticks = [one for widget in widgets for one in all_of(widget, BackgroundTicks)]
    (listed,) = all_of(widgets[1], BackgroundList)
    form = next(form for form in all_of(widgets[1], Panel) if listed in form.inputs.values())
    form.action = lambda **_: "drawn"
    form.submit().result(20)
    for one in ticks:
        one.boxes["osm"].value = True
    workspace = Workspace.here()
    try:
        for added, removed in (("agency", None), ("other", "agency")):
            workspace.configure("tms", **{added: f"http://127.0.0.1:9/{added}/{{z}}/{{x}}/{{y}}.png"})
            if removed:
                workspace.configure("tms", **{removed: None})
            changes.announce("settings")
            assert len(ticks) == 2
            for one in ticks:
                assert tuple(one.boxes) == tuple(basemaps.names())
                assert added in one.offered
                assert removed not in one.offered
                assert one.value == ("osm",)
            assert (added in listed.options, removed in listed.options) == (True, False)
            assert listed.value == ("sentinel",)
            assert not form.is_old
        fetch = widgets[0].form
        fetch.action = lambda **_: rows_of("1")
        fetch.submit().result(20)
        assert fetch.result_values is not None
        fetch.inputs["images"].boxes["other"].value = True
        assert fetch.result_values is None
    finally:
        workspace.configure("tms", agency=None, other=None)


def rows_of(pid):
    """What was got of a parcel."""
    return pd.DataFrame({"pid": [pid], "what": ["information"], "problem": [None]})


@pytest.mark.parametrize("make", [maps.Marker, maps.Polygon])
def test_no_map_asks_another_host_unless_the_settings_name_one(lake, make):
    def tiles(widget):
        return [
            layer.url for one in all_of(widget, ipyleaflet.Map) for layer in one.layers if hasattr(layer, "max_zoom")
        ]

    assert tiles(make(choice.ParcelSet())) == []
    wmts = "WMTS:https://127.0.0.1/wmts,layer=ortho"
    Workspace.here().configure("tms", mine="https://127.0.0.1/{z}/{x}/{y}.png", other=wmts)
    try:
        assert tiles(make(choice.ParcelSet())) == ["https://127.0.0.1/{z}/{x}/{y}.png"]
    finally:
        Workspace.here().configure("tms", mine=None, other=None)


def test_of_several_requests_the_newest_is_answered():
    begun, go, shown, asked = threading.Event(), threading.Event(), [], []

    def answer(number):
        asked.append(number)
        begun.set()
        go.wait(60)
        return number

    work = newest.Newest(answer, shown.append, ipywidgets.HTML())
    work.ask(1)
    assert begun.wait(60)
    work.ask(2)
    work.ask(3)
    go.set()
    assert work.settled(60)
    assert asked == [1, 3]
    assert shown == [3]


def test_an_answer_that_fails_is_told_and_the_next_one_comes():
    problem, shown = ipywidgets.HTML(), []

    def answer(number):
        if number == 1:
            raise NotFoundError("there is <nothing>")
        return number

    work = newest.Newest(answer, shown.append, problem)
    work.ask(1)
    assert work.settled(60)
    assert "there is &lt;nothing&gt;" in problem.value
    work.ask(2)
    assert work.settled(60)
    assert shown == [2]


# -- settings and help ------------------------------------------------------------------------------------------------


def test_every_setting_is_in_words_or_said_to_be_read_by_nothing():
    sections = {
        "set": settings.Set,
        "paths": settings.Paths,
        "lake": settings.LakeSettings,
        "api": settings.Api,
        "s3": settings.S3,
        "db": settings.Db,
    }
    assert set(words.WORDS) == set(sections)
    for name, section in sections.items():
        unread = words.UNREAD if name == "set" else set()
        assert set(words.WORDS[name]) | unread == set(section.model_fields)
        labels = [one.label for one in words.WORDS[name].values()]
        assert len(set(labels)) == len(labels)
        assert not any("_" in label for label in labels)


def test_the_language_is_chosen_from_a_list_and_other_settings_stay(lake):
    Workspace.here().configure("set", polygon="kept")
    form = next(form for form in all_of(config_panel.panel(), Panel) if "language" in form.inputs)
    assert dict(form.inputs["language"].options) == {
        "English": "en",
        "Deutsch": "de",
        "français": "fr",
        "español": "es",
    }
    form.inputs["language"].value = "fr"
    form.submit().result(60)
    assert Workspace.here().config.set.language == "fr"
    assert Workspace.here().config.set.polygon == "kept"
    Workspace.here().configure("set", language="en")


def test_every_page_says_what_it_is_for(lake):
    for module in set(page.TABS.values()) - {"desk.bench"}:  # it has no form; each of its parts says what it is
        help_, _ = guide.explained(module.removesuffix("_panel"), ipywidgets.HTML()).children
        assert help_.selected_index is None
        assert len(help_.children[0].value) > 60
