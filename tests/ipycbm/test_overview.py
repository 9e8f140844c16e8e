"""Maps of all parcels: what is painted, what a click finds, by what parcels are coloured."""

import base64
import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime

import imagecodecs
import ipywidgets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import rasterio.features
import shapely
from affine import Affine
from factories import degrees, fill, outline
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.ipycbm import choice, drawing, maps, overview
from cbm_lake.lake import open_lake

RED, BLUE = (255, 0, 0, 210), (0, 0, 255, 210)


@pytest.fixture
def lake(workspace):
    return fill(open_lake())


@pytest.fixture(scope="module")
def found():
    """Two squares of 100 m that stand 10 m apart, in different coordinate systems."""
    move = Transformer.from_crs(32631, 3035, always_xy=True).transform
    shapes = [outline(0), shapely.transform(outline(1), move, interleaved=False)]
    return drawing.Geometries.of(
        pa.table({"pid": ["a", "b"], "geometry": shapely.to_wkb(shapes), "epsg": [32631, 3035]})
    )


def read(svg):
    return ET.fromstring(svg)  # noqa: S314 - our own


def colours(*rows):
    return np.array(rows, np.uint8)


# -- painting ---------------------------------------------------------------------------------------------------------


def test_what_is_painted_is_what_gdal_rasterizes(found):
    view, width = found.extent, 300
    painted = found.painted(view, width, colours(RED, BLUE))
    west, _, east, north = (value for place in (view[:2], view[2:]) for value in drawing._metres(*place))
    pixel = (east - west) / width
    transform = Affine(pixel, 0, west, 0, -pixel, north)
    numbers = rasterio.features.rasterize(
        zip(found.shapes, (1, 2), strict=True), out_shape=painted.shape[:2], transform=transform
    )
    assert (painted[numbers == 1] == RED).all()
    assert (painted[numbers == 2] == BLUE).all()
    assert not painted[numbers == 0].any()


def test_parcels_smaller_than_a_pixel_are_still_seen(found):
    painted = found.painted((2, 42, 4, 44), 50, colours(RED, RED))
    assert (painted == RED).all(axis=2).sum() == 1
    row, column = np.argwhere(painted[..., 3])[0]
    assert (row, column) == (pytest.approx((44 - 43.35) / 2 * painted.shape[0], abs=1), 25)


@pytest.mark.parametrize(
    "view", [(-180, -90, 180, 90), (100, 10, 100, 10), (3.0, 43.35, 3.0001, 43.3501), (170, 0, -170, 1)]
)
def test_no_view_of_a_map_is_too_much(found, view):
    painted = found.painted(view, 40, colours(RED, BLUE))
    assert painted.shape[1:] == (40, 4)
    assert painted.shape[0] <= 160


@given(st.floats(-0.002, 0.002), st.floats(-0.002, 0.002))
def test_a_click_finds_the_parcel_that_holds_the_place(across, up):
    rows = pa.table(
        {"pid": ["0", "1", "2"], "geometry": shapely.to_wkb([outline(n) for n in range(3)]), "epsg": [32631] * 3}
    )
    lon, lat = degrees(500_160, 4_800_050)
    place = shapely.Point(*Transformer.from_crs(4326, 32631, always_xy=True).transform(lon + across, lat + up))
    holding = [str(n) for n in range(3) if outline(n).buffer(-0.01).contains(place)]
    near = [str(n) for n in range(3) if outline(n).buffer(0.01).contains(place)]
    pid = drawing.Geometries.of(rows).at(lon + across, lat + up)
    assert [pid] == holding if holding else pid is None or pid in near


def test_of_parcels_over_each_other_a_click_finds_the_smallest():
    shapes = [outline(0).buffer(50), outline(0), outline(0).buffer(20)]
    rows = pa.table({"pid": ["large", "small", "middle"], "geometry": shapely.to_wkb(shapes), "epsg": [32631] * 3})
    assert drawing.Geometries.of(rows).at(*degrees(500_050, 4_800_050)) == "small"


def test_no_parcels_are_told():
    with pytest.raises(NotFoundError, match="no parcels"):
        drawing.Geometries.of(
            pa.table({"pid": pa.array([], pa.string()), "geometry": pa.array([], pa.binary()), "epsg": []})
        )


# -- colours ----------------------------------------------------------------------------------------------------------


def test_numbers_run_from_dark_to_bright_and_unknown_ones_are_grey():
    made = drawing.coloured(pa.array([0.0, 0.5, 1.0, None, math.nan]))
    assert [tuple(row[:3]) for row in made.colours[[0, 2]]] == [(68, 1, 84), (253, 231, 37)]
    assert (made.colours[3:, :3] == 150).all()
    assert [word for word, _ in made.key][-1] == "not known"


@pytest.mark.parametrize("values", [[None, None], [1.0, 1.0], [7], []])
def test_numbers_that_do_not_differ_or_are_none_have_a_colour_too(values):
    assert len(drawing.coloured(pa.array(values, pa.float64())).colours) == len(values)


def test_frequent_words_have_a_colour_of_their_own_and_the_others_share_one():
    words = [word for number, word in enumerate("abcdefghij") for _ in range(20 - number)] + [None]
    made = drawing.coloured(pa.array(words))
    shades = {word: {tuple(made.colours[n]) for n, one in enumerate(words) if one == word} for word in set(words)}
    assert all(len(each) == 1 for each in shades.values())
    assert len({next(iter(shades[word])) for word in "abcdef"}) == 6
    assert shades["g"] == shades["j"] not in [shades[word] for word in "abcdef"]
    assert [word for word, _ in made.key] == ["a", "b", "c", "d", "e", "f", "4 others", "not known"]


def test_the_meaning_of_colours_takes_no_markup():
    assert "<script>" not in drawing.key(drawing.coloured(pa.array(["<script>"])))


def test_a_curve_holds_a_point_for_each_scene_and_its_line_none_with_clouds():
    days = [datetime(2024, 1, number, tzinfo=UTC) for number in (1, 2, 3)]
    drawn = read(drawing.curve(days, [0.1, -0.9, 0.8], [False, True, False]))
    circles = drawn.findall("circle")
    assert [circle.find("title").text for circle in circles] == [
        "2024-01-01: 0.100",
        "2024-01-02: -0.900",
        "2024-01-03: 0.800",
    ]
    assert len(drawn.find("polyline").get("points").split()) == 2
    assert all(0 <= float(circle.get("cy")) <= 190 for circle in circles)
    assert float(circles[2].get("cy")) < float(circles[0].get("cy"))
    assert read(drawing.curve(days[:1], [0.5], [True])).find("circle") is not None


# -- the widget -------------------------------------------------------------------------------------------------------


def draw(**values):
    """The form of all parcels, filled in and pressed; what came back, and the form."""
    form = overview.panel().children[1]
    for name, value in values.items():
        (form.inputs[name].path if name == "table" else form.inputs[name]).value = value
    return form.submit().result(60), form


def test_all_parcels_are_drawn_and_a_click_shows_the_ndvi(lake):
    shown, form = draw()
    assert form.message.value == ""
    assert "wheat" in shown.children[0].value
    shown._clicked(type="click", coordinates=degrees(500_160, 4_800_050)[::-1])
    assert "parcel 12" in shown.under.value
    assert shown.under.value.count("<circle") == 2
    shown._clicked(type="click", coordinates=(0, 0))
    assert shown.under.value == "there is no parcel"
    shown._clicked(type="mousemove", coordinates=(0, 0))


def test_the_picture_follows_the_map(lake):
    shown, _ = draw()
    layer = shown.overlay.layer
    (south, west), (north, east) = before = layer.bounds
    shown.map.set_trait("bounds", ((south, west), (north, (west + east) / 2)))
    assert shown.overlay.settled(60)
    assert layer.bounds != before
    picture = imagecodecs.png_decode(base64.b64decode(layer.url.partition(",")[2]))
    assert picture.shape[1:] == (1200, 4)
    assert picture[..., 3].any()


def test_parcels_are_shown_on_the_map_on_which_one_chooses(lake):
    known = choice.ParcelSet()
    marker = maps.Marker(known)
    form = overview.beneath(marker.map, known)
    for _ in range(2):
        assert form.submit().result(60) == "3 parcels"
        layers = [type(layer).__name__ for layer in marker.map.layers]
        assert sorted(layers) == ["ImageOverlay", "ImageOverlay", "Marker"]


def test_parcels_are_coloured_by_the_ndvi_of_a_day(lake):
    shown, form = draw(colour_by="ndvi")
    assert form.inputs["day"].options == ("2024-01-01", "2024-01-11")
    assert form.inputs["day"].value == "2024-01-11"
    assert "0.5" in shown.children[0].value


def test_parcels_are_coloured_by_a_column_of_a_file(lake, tmp_path):
    pq.write_table(pa.table({"pid": ["12", "0012"], "foi_h": [1, 0]}), tmp_path / "foi.parquet")
    shown, form = draw(colour_by="file", table=str(tmp_path / "foi.parquet"), column="foi_h")
    assert form.message.value == ""
    assert "not known" in shown.children[0].value  # of a/b
    (tmp_path / "table.csv").write_text('"parcel",x\n0012,1.5\n')
    pids, values = overview.of_file(tmp_path / "table.csv", "x")
    assert (pids.to_pylist(), values.to_pylist()) == (["0012"], [1.5])
    with pytest.raises(InvalidInputError, match="there are: parcel, x"):
        overview.of_file(tmp_path / "table.csv", "y")
    (tmp_path / "wrong.parquet").write_bytes(b"no")
    with pytest.raises(SourceError, match=r"wrong\.parquet"):
        overview.of_file(tmp_path / "wrong.parquet", "x")
    with pytest.raises(SourceError, match=r"none\.csv"):
        overview.of_file(tmp_path / "none.csv", "x")


def test_an_empty_lake_says_what_to_do(workspace):
    shown, form = draw()
    assert shown is None
    assert "load some" in form.message.value
    _, form = draw(colour_by="ndvi")
    assert "load some" in form.message.value


def test_what_a_click_raises_is_shown(lake):
    shown, _ = draw()

    def fails(pid):
        raise ZeroDivisionError

    shown._tell = fails
    shown._clicked(type="click", coordinates=degrees(500_160, 4_800_050)[::-1])
    assert "a fault of cbm-lake" in shown.under.value
    assert isinstance(shown.under, ipywidgets.HTML)
