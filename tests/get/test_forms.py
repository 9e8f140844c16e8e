"""The original's documented calls, as they are written there: they work, or are refused with the form that does."""

import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import small_demo
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from typer.testing import CliRunner

import cbm_lake as cbm
from cbm_lake import cards
from cbm_lake.cli import app
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError
from cbm_lake.foi.signal import suspicious
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.markers import parameters
from cbm_lake.parcel import basemaps, sources
from cbm_lake.show import computing
from cbm_lake.show.reading import Reading
from cbm_lake.show.views import view

SCREEN = (3, 8, 9, 10, 11)
START, END = "2024-03-01", "2024-10-31"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace with parcels, images, backscatter and weather; shared by all tests, whose files go elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("CBM_LAKE_HOME", str(folder))
        small_demo.make(folder, dates=3)
        lake = cbm.open_lake()
        place = lake.sql("select avg(centroid_lon) as lon, avg(centroid_lat) as lat from parcels").to_pylist()[0]
        days = [f"2024-05-{day:02d}" for day in range(1, 11)]
        rows = [
            {
                "meteo_date": day,
                "lon": place["lon"] + east,
                "lat": place["lat"] + north,
                "tmin": 2.1,
                "tmax": 12.3,
                "tmean": -2.45,
                "prec": 0.1,
            }
            for day in days
            for east in (-0.5, 0, 0.5)
            for north in (-0.5, 0, 0.5)
        ]
        pd.DataFrame(rows).to_csv(folder / "weather.csv", index=False)
        cbm.weather.load(folder / "weather.csv", "demo")
        yield lake


@pytest.fixture
def what(home, tmp_path, monkeypatch):
    """The names that the documented calls use; the workspace's files are this test's own."""
    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path))
    cbm.Workspace.here().create()
    monkeypatch.setattr(sources, "open_lake", lambda: home)
    monkeypatch.setattr(basemaps, "_tiles", lambda name, bounds, size: np.full((3, size, size), 99, np.uint8))
    rows = home.sql("select pid, geometry, epsg from parcels order by area_m2 desc limit 7").to_pylist()
    inside = shapely.point_on_surface(reprojected(shapely.from_wkb(rows[0]["geometry"]), rows[0]["epsg"], 4326))
    return {
        "cbm": cbm,
        "aoi": "demo",
        "year": 2024,
        "pid": rows[0]["pid"],
        "pids": [row["pid"] for row in rows],
        "ptype": None,
        "lon": inside.x,
        "lat": inside.y,
        "start": START,
        "end": END,
        "debug": False,
        "tms": ["Google", "Bing"],
        "chipsize": 512,
        "extend": 512,
    }


def called(text, what):
    """The result of a call that is written as in the original's documents."""
    return eval(text, {}, what)  # noqa: S307 - our own words


WORKS = [
    "cbm.get.parcel_info.by_pid(aoi, year, pid, ptype, True, False)",
    "cbm.get.parcel_info.by_pid(aoi, str(year), pid)",
    "cbm.get.parcel_info.by_pid(aoi, year, pid, ptype='', geom=True, wgs84=True, debug=False)",
    "cbm.get.parcel_info.by_location(aoi, year, lon, lat, ptype, True, False, debug)",
    "cbm.get.parcels_list.peers(aoi, year, pid)",
    "cbm.get.parcels_list.peers(aoi, year, pid, 1000.0, 10)",
    "cbm.get.parcels_list.peers(aoi, year, pid, 1000, 5, ptype, debug)",
    "cbm.get.parcels_list.peers(aoi, year, pid, distance=1000, maxPeers=5, ptype=ptype)",
    "cbm.get.time_series.by_pid(aoi, year, pid, 's2', ptype)",
    "cbm.get.time_series.by_pid(aoi, year, pid, 's2', ptype, '', debug)",
    "cbm.get.time_series.by_pid(aoi, year, pid, 's2', ptype, 'B4', debug)",
    "cbm.get.time_series.sentinel(aoi, year, pid, tstype='bs', band='VVb')",
    "cbm.get.time_series.by_location(aoi, year, lon, lat, 's2', ptype)",
    "cbm.get.time_series.weather(aoi, year, pid, ptype, debug)",
    "cbm.get.chip_images.by_pid(aoi, year, pid, start, end, 'B08', 640)",
    "cbm.get.chip_images.by_pid(aoi=aoi, year='2024', pid=pid, start_date=start, end_date=end, band='SCL', chipsize=640)",  # noqa: E501
    "cbm.get.chip_images.by_pid(aoi, year, pid, start, end, 'B8', 640, ptype, debug)",
    "cbm.get.chip_images.by_location(lon, lat, start, end, 'B08', 640)",
    "cbm.get.chip_images.by_location(lon, lat, start, end, 'B08', 640, debug)",
    "cbm.get.chip_images.by_location(str(lon), str(lat), start, end, 'B08', 640)",
    "cbm.get.chip_images.by_location(aoi, lon, lat, start, end, 'B08', 640)",
    "cbm.get.background.by_pid(aoi, year, pid, chipsize, extend, tms, ptype, True, debug)",
    "cbm.get.background.by_pid(aoi, year, pid, chipsize, extend, 'Google')",
    "cbm.get.background.by_location(aoi, year, lon, lat, chipsize, extend, tms, ptype, True, debug)",
    "cbm.show.time_series.ndvi(aoi, year, pid, ptype, '3_8_9_10_11', True, 10, True, False, debug)",
    "cbm.show.time_series.ndvi(aoi, year, pid, ptype, True, '3_8_9_10_11', debug)",
    "cbm.show.time_series.ndvi(aoi, year, pids=pids, scl='3_8_9_10_11', std=True, errorbar=False, view=False)",
    "cbm.show.time_series.ndvi(aoi, year, pids, ptype=ptype, max_line_plots=1, view=False)",
    "cbm.show.time_series.s2(aoi, year, pid, bands=['B02', 'B03', 'B08'], scl='3_8_9_10_11', ptype=ptype, view=False)",
    "cbm.show.time_series.s2(aoi, year, pid, ptype, ['B3', 'B4'], '3_8_9_10_11', False, debug)",
    "cbm.show.time_series.s2(aoi, year, pid, ptype, ['B03', 'B04'], True, '3_8_9_10_11', debug)",
    "cbm.show.time_series.s1(aoi, year, pid, 'bs', ptype, view=False)",
    "cbm.show.time_series.s1(aoi, year, pids, 'bs', ptype, max_line_plots=1, view=False)",
    "cbm.show.time_series.s1(aoi, year, pid, 'bs', ptype, True, 10, True, False, debug)",
    "cbm.show.time_series.weather(aoi, year, pid)",
    "cbm.show.time_series.weather(aoi, year, pid, 'tp', ptype, False, debug)",
    "cbm.show.time_series.weather(aoi, year, pid, tstype='p', view=False)",
    "cbm.show.chip_images.by_pid(aoi, year, pid, start, end, ['B04', 'B08'], 400, 4, True, 'RdYlGn_r', [2, 98], '')",
    "cbm.show.chip_images.by_pid(aoi, year, pid, start, end, 'NDVI', 400, 4, True, None, [2, 98], '', False, False, 0)",
    "cbm.show.chip_images.by_pid(aoi, year, pid, start, end, imgtype='NDVI', columns=2, view=False)",
    "cbm.show.chip_images.by_pid(aoi, year, pid, imgtype='True color', show_parcel=False, view=False)",
    "cbm.show.chip_images.by_pid(aoi=aoi, year='2024', pid=pid, start_date=start, end_date=end, band='SCL', chipsize=640)",  # noqa: E501
    "cbm.show.chip_images.grid(aoi, year, pid, start, end, ['B04', 'B08'], 400, 4, True, 'RdYlGn_r', [2, 98], '')",
    "cbm.show.chip_images.grid(aoi, year, pid, start, end, imgtype=['B04', 'B03', 'B02'], clean_history=True)",
    "cbm.show.chip_images.by_location(lon, lat, start, end, ['B04', 'B08'], 400, 4, True, 'RdYlGn_r', [2, 98])",
    "cbm.show.chip_images.by_location(lon, lat, start, end, imgtype='B08', clean_history=True, view=False)",
    "cbm.show.background.by_pid(aoi, year, pid, 550, 550, ['Google'])",
    "cbm.show.background.by_pid(aoi, year, pid, ptype, chipsize, extend, tms, ptype, 4, debug)",
    "cbm.get.background.by_pid(aoi, year, pid, ptype, chipsize, extend, tms, ptype, True, debug)",
    "cbm.get.background.by_pid(aoi, year, pid, ptype, chipsize, extend, tms, ptype, debug)",
    "cbm.show.background.by_pid(aoi, year, pid, chipsize, extend, tms, ptype, 4, debug)",
    "cbm.show.background.by_location(aoi, year, lon, lat, chipsize, extend, tms, ptype, 4, debug)",
    "cbm.show.background.by_pid(aoi, year, pid, 512, None, ['google'], None, 4, False, False)",
    "cbm.show.background.by_pid(aoi, year, pid, tms=['google', 'bing'], columns=2, view=False, debug=True)",
    "cbm.show.background.by_location(aoi, year, lon, lat, 512, 512, ['google'], '', 4, False, False)",
    "cbm.show.parcel_info.by_pid(aoi, year, pid, ptype)",
    "cbm.show.parcel_info.by_pid(aoi, year, pid, ptype, 'osm', False, debug)",
    "cbm.show.parcel_info.by_pid(aoi, year, pid, ptype, view=False)",
    "cbm.config.get_value(['paths', 'temp'])",
    "cbm.__version__",
]


@pytest.mark.thorough
@pytest.mark.parametrize("text", WORKS)
def test_a_documented_call_works_as_it_is_written(text, what):
    result = called(text, what)
    assert result is not None
    if text.startswith("cbm.show"):
        assert isinstance(result, Figure)


PEERS = "cbm.get.parcels_list.peers(aoi, year, pid, 1000.0, 3)"
OWN = [
    ("cbm.get.parcels_list.peers(aoi, year, pid, None, 1000.0, 3)", PEERS),
    ("cbm.get.parcels_list.peers(aoi, year, pid, None, 1000.0, 3, True)", PEERS),
    (
        "cbm.get.chip_images.by_location(aoi, year, lon, lat, start, end, 'B08', 640).to_dict()",
        "cbm.get.chip_images.by_location(lon, lat, start, end, 'B08', 640).to_dict()",
    ),
    ("len(cbm.show.time_series.s1(aoi, year, pid, None, 'bs').axes)", "1"),
    ("len(cbm.show.time_series.s1(aoi, year, pid, None).axes)", "2"),
    ("len(cbm.show.time_series.weather(aoi, year, pid, None).axes)", "2"),
    ("len(cbm.show.chip_images.by_location(aoi, year, lon, lat, start, end, 'B08', 640).axes)", "4"),
    ("len(cbm.show.chip_images.by_pid(aoi, year, pid, start, end, 'B08', 640, None).axes)", "4"),
    ("len(cbm.show.chip_images.grid(aoi, year, pid, start, end, views=['B04', 'B08']).axes)", "7"),
    ("len(cbm.show.chip_images.grid(aoi, year, pid, start, end, ['true colour', 'ndvi'], 640, None).axes)", "7"),
    ("len(cbm.show.background.by_pid(aoi, year, pid, None, 64, 256, 'Google').axes)", "1"),
]


@pytest.mark.parametrize(("old", "new"), OWN)
def test_the_forms_of_version_0_1_go_on_working(old, new, what):
    assert called(old, what) == called(new, what)


REFUSED = [
    ("cbm.get.time_series.by_pid(aoi, year, pid, 's2', '', True)", "leave save out"),
    ("cbm.get.background.by_pid(aoi, year, pid, chipsize, extend, tms, True)", "quiet of early calls"),
    ("cbm.show.background.by_pid(aoi, year, pid, 'g', chipsize, extend, tms, 'm', 4, debug)", "ptype is 'g'"),
    ("cbm.show.time_series.ndvi(aoi, year, pid, ptype, False, '3_8')", "cloud_free=False"),
    ("cbm.show.time_series.ndvi(aoi, year, pid, scl='3', screen=(3,))", "scl is screen"),
    ("cbm.show.time_series.ndvi(aoi, year, pid, max_line_plots=0)", "max_line_plots=0 is not right"),
    ("cbm.show.time_series.s1(aoi, year, pid, ['s2'])", "choose bs or c6"),
    ("cbm.show.time_series.weather(aoi, year, pid, tstype='x')", "no weather"),
    ("cbm.show.chip_images.by_pid(aoi, year, pid, percentile=[98, 2])", "two percentiles, 0 to 100"),
    ("cbm.show.chip_images.by_pid(aoi, year, pid, hspace=-1)", "hspace=-1 is not right"),
    ("cbm.show.chip_images.by_pid(aoi, year, pid, imgtype='NDVI', bands='ndvi')", "imgtype is bands"),
    ("cbm.show.chip_images.by_location(lon, lat)", "give start_date and end_date"),
    ("cbm.show.background.by_pid(aoi, year, pid, columns=0)", "columns=0 is not right"),
    ("cbm.reports.export_to_pdf.with_pdfme(aoi, year, pid, params={'x': 1})", "have no meaning"),
    ("cbm.reports.export_to_pdf.with_pdfme(aoi, year, pid, fname='../x.pdf')", "no name of a file"),
    ("cbm.reports.export_to_pdf.from_notebook()", "which notebook"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_cannot_be_is_refused_by_name(text, message, what):
    with pytest.raises((InvalidInputError, NotFoundError), match=message):
        called(text, what)


@pytest.mark.parametrize("name", ["quiet", "cloud_free", "save"])
def test_no_argument_is_silently_ignored(name, what):
    with pytest.raises(TypeError, match=name):
        called(f"cbm.show.time_series.ndvi(aoi, year, pid, {name}=True)", what)


# -- their effects ----------------------------------------------------------------------------------------------------


def shades(figure):
    return [each for each in figure.axes[0].collections if isinstance(each, PolyCollection)]


@pytest.mark.thorough
def test_std_errorbar_and_max_line_plots_have_the_effects_of_the_original(what):
    draw = lambda rest: called(f"cbm.show.time_series.ndvi(aoi, year, pids[:3]{rest})", what)  # noqa: E731
    plain = draw("")
    assert (len(shades(plain)), len(lines(plain))) == (3, 3)
    assert shades(draw(", std=False")) == []
    bars = [each for each in draw(", errorbar=True").axes[0].collections if isinstance(each, LineCollection)]
    assert len(bars) == 3
    few = draw(", max_line_plots=1")
    assert (len(shades(few)), len(lines(few))) == (3, 1)
    assert "bands of 2 more parcels" in [text.get_text() for text in few.legends[0].get_texts()]
    assert shades(called("cbm.show.time_series.ndvi(aoi, year, pids)", what)) == []
    assert len(shades(called("cbm.show.time_series.ndvi(aoi, year, pids, max_line_plots=1)", what))) == 7


def lines(figure):
    return [each for each in figure.axes[0].lines if not each.get_label().startswith("_")]


def test_error_bars_are_as_long_as_the_band_is_wide(what):
    figure = called("cbm.show.time_series.ndvi(aoi, year, pid, errorbar=True)", what)
    bars = next(each for each in figure.axes[0].collections if isinstance(each, LineCollection))
    reading = Reading.of(None)
    frame = computing.ndvi_curve(reading.series(reading.parcels("demo", 2024, what["pid"])[0], "s2"), SCREEN)
    clear = frame[computing.clear(frame)]
    drawn = [segment[:, 1] for segment in bars.get_segments()]
    assert [low for low, _ in drawn] == pytest.approx(list(np.minimum(clear["low"], clear["value"])))
    assert [high for _, high in drawn] == pytest.approx(list(np.maximum(clear["high"], clear["value"])))


def test_percentiles_stretch_the_colours_of_all_images_alike():
    image = {"B04": np.array([[0, 100, 200, 300, 400]]), "B08": np.array([[0, 300, 300, 300, 1200]])}
    ndvi = np.array([200 / 400, 100 / 500, 0.0, 800 / 1600])
    assert view("ndvi").limits([image], [0, 100])[0] == (0.0, 0.5)
    assert view("ndvi").limits([image], (25, 75))[0] == pytest.approx(tuple(np.percentile(ndvi, (25, 75))))
    assert view("B04").limits([image], (0, 50)) == ((0.01, 0.025),)
    assert view("ndvi").limits([image]) == ((0.0, 0.9),)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (["B04", "B08"], "ndvi"),
        ("NDVI", "ndvi"),
        (["ndvi"], "ndvi"),
        (["B4", "B8"], "ndvi"),
        ("True color", "B04_B03_B02"),
        ("true_color", "B04_B03_B02"),
        (["True color"], "B04_B03_B02"),
        (["B8"], "B08"),
        (["B04", "B03", "B02"], "B04_B03_B02"),
        ("b8a", "B8A"),
    ],
)
def test_views_are_understood_in_the_originals_words(asked, name):
    assert view(asked).name == name


def test_a_picture_without_the_outline_has_none_and_hspace_makes_room(what):
    outlined = lambda figure: [line for axes in figure.axes for line in axes.lines if line.get_label() == "_outline"]  # noqa: E731
    call = "cbm.show.chip_images.by_pid(aoi, year, pid, start, end, columns=1"
    plain = called(f"{call})", what)
    assert outlined(plain)
    assert outlined(called(f"{call}, show_parcel=False)", what)) == []
    assert called(f"{call}, hspace=0.5)", what).get_figheight() > 1.2 * plain.get_figheight()


def test_clean_history_takes_away_the_chips_of_before(what):
    called("cbm.show.chip_images.by_pid(aoi, year, pid, start, end)", what)
    folder = chips(what)
    (folder / "old.B08.tif").write_bytes(b"")
    called("cbm.show.chip_images.by_pid(aoi, year, pid, start, end)", what)
    assert (folder / "old.B08.tif").exists()
    called("cbm.show.chip_images.by_pid(aoi, year, pid, start, end, clean_history=True)", what)
    assert not (folder / "old.B08.tif").exists()
    assert list(folder.glob("*.B08.tif"))


def test_several_servers_and_parcels_are_side_by_side_with_their_names(what):
    figure = called("cbm.show.background.by_pid(aoi, year, pids[:2], 64, 256, tms, columns=2)", what)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title.partition(" · ")[0] for title in titles] == ["google", "bing"] * 2
    assert figure.get_figheight() > figure.get_figwidth()
    there = called("cbm.show.background.by_location(aoi, year, lon, lat, 64, 256, 'Google')", what)
    assert any(line.get_label() == "_outline" for line in there.axes[0].lines)
    sea = called("cbm.show.background.by_location(aoi, year, lon + 1, lat, 64, 256, 'Google')", what)
    assert not any(line.get_label() == "_outline" for line in sea.axes[0].lines)


def test_the_card_of_a_parcel_may_be_on_an_orthophoto(what):
    figure = called("cbm.show.parcel_info.by_pid(aoi, year, pid, ptype, 'osm')", what)
    assert np.unique(figure.axes[0].images[0].get_array()).tolist() == [99]
    assert not called("cbm.show.parcel_info.by_pid(aoi, year, pid)", what).axes[0].images


def test_view_shows_a_figure_where_there_is_a_notebook(what, monkeypatch, caplog):
    assert isinstance(called("cbm.show.parcel_info.by_pid(aoi, year, pid, view=True)", what), Figure)
    assert "no notebook" in caplog.text
    shown = []
    ipython = types.SimpleNamespace(get_ipython=object)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=shown.append))
    assert called("cbm.show.time_series.ndvi(aoi, year, pid, view=True)", what) is None
    assert called("cbm.show.background.by_pid(aoi, year, pid, chipsize, extend, tms, ptype, 4, True)", what) is None
    assert all(isinstance(figure, Figure) for figure in shown)
    assert len(shown) == 2


def test_the_widgets_of_backgrounds_take_the_originals_arguments(what):
    pytest.importorskip("ipywidgets")
    from cbm_lake import ipycbm

    what["ipycbm"] = ipycbm
    assert len(called("ipycbm.bg_grid(aoi, year, pid, chipsize, extend, tms)", what).axes) == 2
    slider, stack = called("ipycbm.bg_slider(aoi, year, pid, chipsize, extend, tms)", what).children
    assert [title.partition(",")[0] for title, _ in slider.options] == ["google", "bing"]
    assert len(stack.children) == 2


def test_reports_are_written_by_the_originals_names(what, monkeypatch, tmp_path):
    asked = []

    def made(*args, **kwargs):
        asked.append((args, kwargs))
        return types.SimpleNamespace(files={"pdf": tmp_path / "x.pdf"})

    monkeypatch.setattr(cbm.report, "parcel", made)
    call = (
        "cbm.reports.export_to_pdf.with_pdfme(aoi, year, pid, '', {'general': 'wet'}, folder='reports', fname='a.pdf')"
    )
    assert called(call, what) == tmp_path / "x.pdf"
    assert asked[0][0] == ("demo", 2024, what["pid"], None)
    assert asked[0][1] == {"folder": "reports", "formats": ("pdf",), "notes": "wet", "name": "a"}
    assert called("cbm.reports.export_to_pdf(aoi, year, pid)", what) == tmp_path / "x.pdf"


def test_settings_are_kept_by_the_originals_functions(what):
    cbm.config.set_value(["api", "url"], "https://cbm.example.org")
    assert cbm.config.get_value(["api", "url"]) == "https://cbm.example.org"
    cbm.config.set_value(["api", "pass"], "secret")
    assert cbm.Workspace.here().config.api.password.get_secret_value() == "secret"
    assert "secret" not in str(cbm.config.get_value(["api"]))
    for wrong in (["api", "nope"], ["nope", "x"], "api", ["api"]):
        with pytest.raises(ConfigError):
            cbm.config.set_value(wrong, "x")
    with pytest.raises(ConfigError, match="is no setting"):
        cbm.config.get_value(["api", "nope"])


# -- scene classes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("3_8_9_10_11", SCREEN),
        ("3,8,9,10,11", SCREEN),
        ("3, 8; 9 10_11", SCREEN),
        (["3", "8", 9], (3, 8, 9)),
        (3, (3,)),
        ("3", (3,)),
        (np.array([10, 3]), (10, 3)),
        (np.int64(3), (3,)),
        ({9}, (9,)),
        (range(8, 10), (8, 9)),
        ((), ()),
        ("3_3", (3,)),
        ("0_1", (0, 1)),
    ],
)
def test_scene_classes_are_understood_in_every_form(named, expected):
    assert cards.scene_classes(named) == expected


@pytest.mark.parametrize("named", ["x", ("x",), (99,), 99, -1, "3_99", True, [True], None, 3.5, [None], "3.5", [[3]]])
def test_what_is_no_scene_class_is_refused_by_name(named):
    with pytest.raises(InvalidInputError, match="no list of scene classes"):
        cards.scene_classes(named)


@given(st.lists(st.integers(0, 11), unique=True, min_size=1), st.dictionaries(st.integers(1, 11), st.integers(1, 99)))
def test_text_and_numbers_screen_the_same(classes, counts):
    histogram = {str(value): count for value, count in counts.items()}
    shares = [
        computing.cloud_share(histogram, form)
        for form in (classes, "_".join(map(str, classes)), [str(value) for value in classes])
    ]
    assert np.array_equal(shares, [shares[0]] * 3, equal_nan=True)
    if counts:
        screened = sum(count for value, count in counts.items() if value in classes)
        assert shares[0] == pytest.approx(screened / sum(counts.values()))


def test_pixels_without_data_count_where_they_are_screened():
    assert computing.cloud_share({"0": 5, "4": 15}, (3,)) == 0
    assert computing.cloud_share({"0": 5, "4": 15}, "0_3") == 0.25
    classes = np.array([[0, 4], [4, 9]])
    assert computing.clouded(classes, None, "9") == pytest.approx(1 / 3)
    assert computing.clouded(classes, None, "0_9") == 0.5


SCREENED = [
    "cbm.show.time_series.ndvi(aoi, year, pid, screen={})",
    "cbm.show.time_series.s2(aoi, year, pid, scl={})",
    "cbm.show.chip_images.by_pid(aoi, year, pid, start, end, scl={})",
    "cbm.show.chip_images.by_location(lon, lat, start, end, screen={})",
    "cbm.show.chip_images.grid(aoi, year, pid, start, end, ['ndvi'], screen={})",
    "cbm.show.calendar.by_pid(aoi, year, pid, screen={})",
]


@pytest.mark.parametrize("text", SCREENED)
def test_every_figure_takes_classes_as_text_and_refuses_nonsense(text, what):
    assert isinstance(called(text.format("'3_8_9_10_11'"), what), Figure)
    for nonsense in ("'nonsense'", "('x',)", "(99,)"):
        with pytest.raises(InvalidInputError, match="no list of scene classes"):
            called(text.format(nonsense), what)


def test_analyses_take_classes_as_text_too(home):
    as_text, as_numbers = (
        suspicious("demo", 2024, screen=form, dates=1, lake=home) for form in ("3_8_9_10_11", SCREEN)
    )
    assert as_text.equals(as_numbers)
    with pytest.raises(InvalidInputError, match="no list of scene classes"):
        suspicious("demo", 2024, screen="x", lake=home)
    assert parameters.read({"clear": {"screen": "3_8"}}).clear.screen == (3, 8)
    with pytest.raises(InvalidInputError, match=r"clear\.screen"):
        parameters.read({"clear": {"screen": "3_99"}})


# -- names of bands ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ("B4", "B04"),
        ("b8", "B08"),
        ("B8A", "B8A"),
        ("B11", "B11"),
        ("VVb", "VV"),
        ("VHc", "VH"),
        ("vv", "VV"),
        ("SC", "SC"),
        ("B99", "B99"),
        ("../x", "../x"),
    ],
)
def test_old_names_of_bands_are_those_of_the_lake(old, now):
    assert cards.band_called(old) == now


def test_time_series_are_asked_for_by_old_names_of_bands(what):
    for old, now in (("B4", "B04"), ("B8", "B08")):
        frame = called(f"cbm.get.time_series.by_pid(aoi, year, pid, 's2', band='{old}')", what)
        assert set(frame["band"]) == {now}
    for old in ("VVb", "VV", "VVc"):
        frame = called(f"cbm.get.time_series.by_pid(aoi, year, pid, 'bs', band='{old}')", what)
        assert set(frame["band"]) == {"VVb"}
    assert called("cbm.get.time_series.by_pid(aoi, year, pid, 's2', band='SC')", what).empty
    with pytest.raises(InvalidInputError, match="has no band B99"):
        called("cbm.get.time_series.by_pid(aoi, year, pid, 's2', band='B99')", what)


def test_chips_of_old_names_of_bands_have_the_names_of_the_lake(what):
    frame = called("cbm.get.chip_images.by_pid(aoi, year, pid, start, end, 'B4', 640)", what)
    assert all(file.endswith(".B04.tif") for file in frame["chips"])
    assert (chips(what) / "images_list.B04.csv").is_file()


# -- folders ----------------------------------------------------------------------------------------------------------


def parcel_folder(what):
    return cbm.Workspace.here().temp / "demo" / "2024" / what["pid"]


def chips(what):
    return parcel_folder(what) / "chipimages"


def originals_view(folder):
    """What the original's widget finds in the folder of a parcel, by its own paths, patterns and columns.

    Ways to look, kinds of time series, and for each view of images the dates with the shapes of their bands.
    """
    names = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
    info = json.loads((folder / "info.json").read_text())
    assert {"pid", "cropname", "cropcode", "area", "srid", "clon", "clat", "geom"} <= set(info)
    assert json.loads(info["geom"][0])["coordinates"]
    series = {path.name.split("_")[-1].split(".")[0] for path in folder.glob("*time_series*.csv")}
    found = {
        "ways": {way for way in ("time_series", "chip_images") if any(way in name for name in names)},
        "series": series,
        "images": {},
    }
    lists = sorted((folder / "chip_images").glob("images_list.*.csv"))
    bands = [path.name.split(".")[-2] for path in lists]
    for shown in (["B02", "B03", "B04"], ["B04", "B08"], *([band] for band in bands)):
        if set(shown) <= set(bands):
            found["images"]["".join(shown)] = originals_images(folder / "chip_images", shown)
    return found


def originals_images(folder, bands):
    """Dates of the first band that all bands have, and the shapes of the files that belong to them."""
    tables = [pd.read_csv(folder / f"images_list.{band}.csv", index_col=0) for band in bands]
    days = [set(table["dates"].astype(str).str[0:8]) for table in tables]
    frame = tables[0][tables[0]["dates"].astype(str).str[0:8].isin(set.intersection(*days))]
    shapes = {}
    for moment, chip in zip(frame["dates"], frame["chips"], strict=True):
        product = chip.split("/")[-1].split(".")[0]
        for band in bands:
            with rasterio.open(folder / f"{product}.{band}.tif") as image:
                assert image.crs.to_epsg()
                shapes.setdefault(str(moment)[:8], []).append(image.shape)
    return shapes


def fetch(what):
    for text in (
        "cbm.get.parcel_info.by_pid(aoi, year, pid)",
        "cbm.get.time_series.by_pid(aoi, year, pid, 's2')",
        "cbm.get.time_series.by_pid(aoi, year, pid, 'bs')",
        "cbm.get.time_series.weather(aoi, year, pid)",
        "cbm.get.chip_images.by_pid(aoi, year, pid, start, end, ['B02', 'B03', 'B04', 'B08', 'SCL'], 640)",
        "cbm.get.background.by_pid(aoi, year, pid, 256, 1024, tms)",
    ):
        called(text, what)


def test_the_originals_widget_finds_everything_in_a_folder_of_ours(what):
    fetch(what)
    found = originals_view(parcel_folder(what))
    assert found["ways"] == {"time_series", "chip_images"}
    assert found["series"] == {"s2", "bs", "weather"}
    assert set(found["images"]) == {"B02B03B04", "B04B08", "B02", "B03", "B04", "B08", "SCL"}
    assert len(found["images"]["B04B08"]) == 3
    assert set(map(tuple, found["images"]["B04B08"].values())) == {((64, 64), (64, 64))}
    assert set(map(tuple, found["images"]["SCL"].values())) == {((32, 32),)}


def test_the_originals_figures_read_the_tables_that_we_wrote(what):
    fetch(what)
    folder = parcel_folder(what)
    s2 = pd.read_csv(folder / "time_series_s2.csv", index_col=0)
    assert {"B04", "B08"} <= set(s2["band"])
    hist = [json.loads(text.replace("'", '"')) for text in s2["hist"]]
    assert all(isinstance(each, dict) for each in hist)
    radar = pd.read_csv(folder / "time_series_bs.csv", index_col=0)
    assert set(radar["band"]) == {"VVb", "VHb"}
    weather = pd.read_csv(folder / "time_series_weather.csv", index_col=0)
    assert pd.to_datetime(weather["meteo_date"]).is_monotonic_increasing
    assert (weather["tmean"] == -2.45).all()
    assert "-2.45," in (folder / "time_series_weather.csv").read_text()
    for tms in ("google", "bing"):
        with rasterio.open(folder / "backgrounds" / f"{tms}.tif") as image:
            assert (image.crs.to_epsg(), image.count) == (3857, 3)
    (size,) = (folder / "backgrounds").glob("chipsize_extend_*")
    assert (int(size.name.split("_")[-2]), float(size.name.split("_")[-1])) == (256, 1024.0)


def test_the_link_holds_where_the_folder_is_moved_or_copied(what, tmp_path):
    fetch(what)
    folder = parcel_folder(what)
    assert (folder / "chip_images").is_symlink()
    assert (folder / "chip_images").readlink() == Path("chipimages")
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved, symlinks=True)
    shutil.rmtree(folder)
    assert len(originals_view(moved)["images"]["B08"]) == 3


def test_an_archive_without_links_is_mended_by_the_next_call(what, tmp_path):
    fetch(what)
    folder = parcel_folder(what)
    archive = shutil.make_archive(str(tmp_path / "parcel"), "zip", folder)
    shutil.rmtree(folder)
    shutil.unpack_archive(archive, folder)
    assert not (folder / "chip_images").is_symlink()
    called("cbm.get.chip_images.by_pid(aoi, year, pid, start, end, 'B08', 640)", what)
    assert len(originals_view(folder)["images"]["B08"]) == 3


def test_where_there_are_no_links_it_is_said_and_the_chips_are_there(what, monkeypatch, caplog):
    def refused(*args, **kwargs):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", refused)
    called("cbm.get.chip_images.by_pid(aoi, year, pid, start, end, 'B08', 640)", what)
    assert "cannot be made a link to chipimages (Operation not permitted)" in caplog.text
    assert len(list(chips(what).glob("*.B08.tif"))) == 3
    assert not (parcel_folder(what) / "chip_images").exists()


def test_chips_that_the_original_wrote_stay_where_they_are(what):
    old = parcel_folder(what) / "chip_images"
    old.mkdir(parents=True)
    called("cbm.get.chip_images.by_pid(aoi, year, pid, start, end, 'B08', 640)", what)
    assert len(list(old.glob("*.B08.tif"))) == 3
    assert not chips(what).exists()


def test_a_kept_folder_has_the_link_too_and_no_second_copy(what):
    for _ in range(2):
        fetch(what)
        target = cbm.get.folders.keep("demo", 2024, what["pid"])
        assert (target / "chip_images").readlink() == Path("chipimages")
        assert len(originals_view(target)["images"]["B08"]) == 3
    assert not parcel_folder(what).exists()


# -- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "time-series --kind ndvi --lines 1 --error-bars --no-bands",
        "time-series --kind bs --error-bars --screen 3_8_9",
        "chips --start 2024-03-01 --end 2024-10-31 --stretch 2,98 --no-outline",
        "background --tms google --tms bing --columns 1 --chipsize 64",
        "parcel-info --tms osm",
    ],
)
def test_the_same_is_drawn_from_the_command_line(words, what, tmp_path):
    command, *others = words.split()
    asked = ["show", command, "--aoi", "demo", "--year", "2024", "--pid", what["pid"], "--out", str(tmp_path / "x.png")]
    done = CliRunner().invoke(app, [*asked, *others])
    assert done.exit_code == 0, done.exception
    assert (tmp_path / "x.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("time-series --kind s2 --error-bars", "not for --kind s2"),
        ("chips --start 2024-03-01 --end 2024-10-31 --stretch 98", "--stretch 98 is no two percentiles"),
        ("time-series --screen 3_99", "screen='3_99' is no list of scene classes"),
    ],
)
def test_the_command_line_says_which_option_is_wrong(words, message, what, tmp_path):
    command, *others = words.split()
    asked = ["show", command, "--aoi", "demo", "--year", "2024", "--pid", what["pid"], "--out", str(tmp_path / "x.png")]
    done = CliRunner().invoke(app, [*asked, *others])
    assert message in str(done.exception)
