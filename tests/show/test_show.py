"""Figures: the numbers in them are those of the lake, nothing is cut off, and what is missing is said."""

import functools
import itertools
import math
import re
from datetime import UTC, date, datetime, timedelta

import factories
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from factories import SIDE, STEP, X, Y, band, parcel_set, scenes, signature, signatures
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from rest_server import WHO, served
from typer.testing import CliRunner

from cbm_lake import show
from cbm_lake.cards import CLOUD_CLASSES, INDICES, S2
from cbm_lake.cli import app
from cbm_lake.cli import main as run_main
from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError, TooManyError
from cbm_lake.lake import schemas
from cbm_lake.parcel import basemaps, sources
from cbm_lake.parcel.basemaps import Square
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.sources import LakeSource, api, wire
from cbm_lake.parcel.sources.http import Server
from cbm_lake.report import facts
from cbm_lake.show import computing, curves, panels, rendering, style, views
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.reading import Event, Reading, Season, chipsize_for

DAYS = [datetime(2024, 3, 2, 10, 40, 21, tzinfo=UTC) + timedelta(days=20 * number) for number in range(4)]
CLOUDED = 2
"""The number of the day on which clouds hide parcel 0012."""
RED, NIR = (400, 450, 3000, 500), (1200, 1800, 3100, 2500)
"""Mean DN of the first parcel by day; quartiles are 7 DN off (factories.band)."""
LEFT, TOP, PIXELS = X - 200, Y + 300, 60
NAME = "S2A_MSIL2A_{:%Y%m%dT%H%M%S}_N0510_R008_T31TEJ_20240501T142821"


def classes(number):
    """Scene classes of a day at 20 m: vegetation, and clouds over the western half of the first parcel on one day."""
    found = np.full((PIXELS // 2, PIXELS // 2), 4, np.uint8)
    if number == CLOUDED:
        found[:, :12] = 9  # to 40 m right of the parcel's western edge, which is at 200 m
    return found


def pixels(number, band_name):
    """Stored DN of a day (the offset of -1000 comes off): a gradient, so that every pixel is known."""
    base = {"B02": 1300, "B03": 1500, "B04": 1400, "B08": 3000, "B11": 2500}[band_name]
    rows, columns = np.mgrid[:PIXELS, :PIXELS]
    found = (base + 100 * number + 5 * rows + 3 * columns).astype(np.uint16)
    found[0, 0] = 0
    return found


def raster(path, values, metres):
    place = {"crs": "EPSG:32631", "transform": Affine(metres, 0, LEFT, 0, -metres, TOP), "nodata": 0}
    shape = {"height": values.shape[0], "width": values.shape[1], "count": 1, "dtype": values.dtype}
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    with rasterio.open(path, "w", driver="GTiff", **place, **shape, **tiles) as file:
        file.write(values, 1)
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bands of each day's scene."""
    folder = tmp_path_factory.mktemp("scenes")
    found = []
    for number in range(len(DAYS)):
        hrefs = {
            name: raster(folder / f"{number}.{name}.tif", pixels(number, name), 10)
            for name in ("B02", "B03", "B04", "B08")
        }
        found.append({**hrefs, "SCL": raster(folder / f"{number}.SCL.tif", classes(number), 20)})
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory, files):
    """A workspace with three parcels (one without statistics), four scenes of s2, two of bs; shared by all tests."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("CBM_LAKE_HOME", str(folder))
        Workspace.here().create()
        from cbm_lake.lake import open_lake

        lake = open_lake()
        lake.add_parcels("ms", 2024, "", "v1", factories.parcels())
        rows = []
        for number, (moment, hrefs) in enumerate(zip(DAYS, files, strict=True)):
            assets = {name: {"href": href, "type": "image/tiff"} for name, href in hrefs.items()}
            reference = NAME.format(moment) + ".SAFE"
            rows.append(factories.scene(f"S{number}", moment, assets=assets, reference=reference))
        lake.add_scenes(scenes(*rows))
        for number, moment in enumerate(DAYS):
            cloud = {4: 15, 9: 10} if number == CLOUDED else {4: 25}
            both = [
                signature("0012", f"S{number}", moment, red=RED[number], nir=NIR[number], scl=cloud),
                signature("12", f"S{number}", moment, scl={9: 25}),
            ]
            factories.write(lake, signatures(*both), parcel_set(), f"S{number}", finished=moment)
        for number, moment in enumerate(DAYS[:2]):
            row = {
                "aoi": "ms",
                "year": 2024,
                "ptype": "",
                "pid": "0012",
                "scene": f"R{number}",
                "obstime": moment,
                "reference": f"R{number}.SAFE",
                "rule": "centre",
                "extraction": 0,
                **band("VV", 100),
                **band("VH", 50),
            }
            factories.write(lake, signatures(row, card="bs"), parcel_set(), f"R{number}", card="bs", finished=moment)
        patch.setattr(sources, "open_lake", lambda: lake)  # opened once, not for every question
        yield folder


@pytest.fixture(autouse=True)
def at_home(home, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(home))


def line(figure, label, panel=0):
    """Dates and values of the line of that label."""
    found = next(each for each in figure.axes[panel].lines if each.get_label() == label)
    return pd.to_datetime(found.get_xdata()), np.asarray(found.get_ydata(), float)


def words(figure):
    """All that is written in a figure."""
    texts = [text for axes in figure.axes for text in [*axes.texts, axes.title, axes._left_title]]
    texts += [*figure.texts, *([figure._suptitle] if figure._suptitle else [])]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    return " | ".join(text.get_text() for text in texts if text.get_text())


def cut(figure):
    """Words that do not lie wholly in the figure."""
    FigureCanvasAgg(figure).draw()
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    texts = [*figure.texts, *([figure._suptitle] if figure._suptitle else [])]
    texts += [text for legend in figure.legends for text in legend.get_texts()]
    for axes in figure.axes:
        texts += [*axes.texts, axes.title, axes._left_title, *seen_labels(axes.xaxis), *seen_labels(axes.yaxis)]
    boxes = {text.get_text(): text.get_window_extent(renderer) for text in texts if text.get_text()}
    return [
        text for text, box in boxes.items() if min(box.x0, box.y0) < -1 or box.x1 > page.x1 + 1 or box.y1 > page.y1 + 1
    ]


def seen_labels(axis):
    """The labels of an axis that are drawn: those between its limits."""
    low, high = sorted(axis.get_view_interval())
    return [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


# -- curves from the lake ------------------------------------------------------------------------------------------


def test_the_ndvi_in_the_figure_is_that_of_the_means_and_clouded_points_stand_apart():
    figure = show.time_series.ndvi("ms", 2024, "0012")
    assert isinstance(figure, Figure)
    truth = [(nir - red) / (nir + red) for red, nir in zip(RED, NIR, strict=True)]
    clear = [0, 1, 3]
    times, values = line(figure, "cloud-free")
    assert values == pytest.approx([truth[number] for number in clear])
    assert list(times) == [pd.Timestamp(DAYS[number]).tz_localize(None) for number in clear]
    times, values = line(figure, "_clouded")
    assert values == pytest.approx([truth[CLOUDED]])
    assert [text in words(figure) for text in ("0012", "wheat", "1.00 ha", "NDVI", "clouded", "ms 2024")] == [True] * 6


def test_the_band_of_ndvi_combines_the_quartiles_of_both_bands():
    figure = show.time_series.ndvi("ms", 2024, "0012")
    shade = next(each for each in figure.axes[0].collections if isinstance(each, PolyCollection))
    ys = shade.get_paths()[0].vertices[:, 1]
    low = [(nir - 7 - red - 7) / (nir + red) for red, nir in zip(RED, NIR, strict=True)]
    high = [(nir + 7 - red + 7) / (nir + red) for red, nir in zip(RED, NIR, strict=True)]
    for number in (0, 1, 3):
        assert np.isclose(ys, low[number]).any()
        assert np.isclose(ys, high[number]).any()


def test_other_scene_classes_can_be_screened():
    figure = show.time_series.ndvi("ms", 2024, "0012", screen=(3,))
    assert len(line(figure, "cloud-free")[1]) == 4


def test_several_parcels_are_overlaid_and_those_without_data_are_named():
    figure = show.time_series.ndvi("ms", 2024, ["0012", "12", "a/b"])
    assert len(line(figure, "0012 · wheat · 1.00 ha")[1]) == 3
    assert len(line(figure, "12 · wheat · 1.00 ha")[1]) == 0
    assert "a/b · no crop declared · 1.00 ha (no data)" in words(figure)
    assert "3 parcels of ms 2024" in words(figure)


def test_a_parcel_under_clouds_all_year_is_said_to_be():
    assert "no cloud-free observation" in words(show.time_series.ndvi("ms", 2024, "12"))


def test_reflectance_is_dn_by_ten_thousand():
    figure = show.time_series.s2("ms", 2024, "0012", bands=["B08", "B4"])
    assert line(figure, "B04")[1] == pytest.approx([RED[number] / 10_000 for number in (0, 1, 3)])
    assert line(figure, "B08")[1] == pytest.approx([NIR[number] / 10_000 for number in (0, 1, 3)])
    several = show.time_series.s2("ms", 2024, ["0012", "12"], bands=["B04", "B08"])
    assert [axes._left_title.get_text() for axes in several.axes] == ["reflectance, B04", "reflectance, B08"]


def test_backscatter_is_in_decibel_and_missing_coherence_is_said():
    figure = show.time_series.s1("ms", 2024, "0012")
    assert line(figure, "VV")[1] == pytest.approx([20, 20])
    assert line(figure, "VH")[1] == pytest.approx([10 * math.log10(50)] * 2)
    assert "no c6 statistics of this parcel; cbm-lake extract c6 makes them" in words(figure)


def test_weather_shows_the_year_and_sums_rain_for_several(monkeypatch):
    days = pd.date_range("2023-12-30", periods=10, freq="D")
    frame = pd.DataFrame(
        {
            "meteo_date": [f"{day:%Y-%m-%d}" for day in days],
            "tmin": range(10),
            "tmax": range(10, 20),
            "tmean": range(5, 15),
            "prec": [2.0] * 10,
        }
    )
    monkeypatch.setattr(LakeSource, "_weather", lambda *_: frame.to_dict("list"))
    single = show.time_series.weather("ms", 2024, "0012")
    times, values = line(single, "daily mean, between least and greatest")
    assert (times[0], len(times), values[0]) == (pd.Timestamp("2024-01-01"), 8, 7)
    assert [bar.get_height() for bar in single.axes[1].patches] == [2] * 8
    several = show.time_series.weather("ms", 2024, ["0012", "12"])
    assert list(line(several, "12 · wheat · 1.00 ha", panel=1)[1]) == [2 * number for number in range(1, 9)]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (
            lambda: show.time_series.ndvi("ms", 2024, "a/b"),
            r"no s2 of parcel a/b of ms 2024; make it with cbm-lake extr",
        ),
        (lambda: show.time_series.s1("ms", 2024, "12"), "no bs or c6 of parcel 12"),
        (lambda: show.time_series.ndvi("ms", 2024, ["a/b", "0012", "nope"]), "no parcel 'nope'"),
        (
            lambda: show.chip_images.by_pid("ms", 2024, "12", "2023-01-01", "2023-02-01"),
            "no images of B04, B08 from 2023",
        ),
    ],
)
def test_nothing_to_show_is_an_error_with_advice(draw, message):
    with pytest.raises(NotFoundError, match=message):
        draw()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: show.time_series.ndvi("ms", 2024, []), "which parcel"),
        (lambda: show.time_series.ndvi("ms", 2024, "0012", file="x.gif"), "x.gif cannot be written; figures are"),
        (lambda: show.time_series.ndvi("ms", 2024, "0012", file="x.html"), "x.html cannot be written"),
        (lambda: show.time_series.s1("ms", 2024, "0012", tstype="s2"), "not of Sentinel-1"),
        (lambda: show.time_series.s2("ms", 2024, "0012", bands="B99"), "no band B99"),
        (
            lambda: show.chip_images.by_pid("ms", 2024, "12", "March", "2024-05-01"),
            "start_date='March' is not right: it is a day",
        ),
        (lambda: show.chip_images.by_pid("ms", 2024, "12", "2024-05-02", "2024-05-01"), "comes before the first"),
        (lambda: show.chip_images.by_pid("ms", 2024, "12", "2024-05-02", "2024-05-03", "B08_B04"), "is no view"),
        (lambda: show.chip_images.by_pid("ms", 2024, "12", "2024-05-02", "2024-05-03", chipsize=9999), "9999 is not"),
        (
            lambda: show.chip_images.by_pid("ms", 2024, "0012", "2024-03-01", "2024-05-30", cmap="x"),
            "no colour map 'x'",
        ),
        (lambda: show.calendar.by_pid("ms", 2024, "12", None, "2023-01-01", "2024-12-31"), "at most 12"),
    ],
)
def test_what_cannot_be_asked_is_told(draw, message):
    with pytest.raises(InvalidInputError, match=message):
        draw()


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="cannot be written"):
        show.time_series.ndvi("ms", 2024, "0012", file=tmp_path / "file" / "x.png")


@pytest.fixture
def server(home, tmp_path, monkeypatch):
    """The settings name a server that gives the lake; what it is asked."""
    asked = []
    real = Server.asked

    def spy(self, name, params, **others):
        asked.append(name)
        return real(self, name, params, **others)

    with served(sources.open_lake(), tmp_path) as address:
        monkeypatch.setenv("CBM_LAKE_SET__DATA_SOURCE", "api")
        monkeypatch.setattr(sources, "_server", functools.lru_cache(lambda *_: sources.ApiSource(address, *WHO)))
        monkeypatch.setattr(Server, "asked", spy)
        yield asked


def test_what_a_server_gave_is_not_asked_for_again(server):
    for _ in range(2):
        figure = show.time_series.ndvi("ms", 2024, "0012")
        assert len(line(figure, "cloud-free")[1]) == 3
        assert len(images_in(show.chip_images.by_pid("ms", 2024, "0012", "2024-03-01", "2024-05-30"))) == 4
    assert sorted(server) == sorted(["parcelByID", "parcelTimeSeries", *["rawChipByLocation"] * 3])


@pytest.mark.thorough
def test_a_server_and_its_lake_draw_the_same_figures(server, monkeypatch):
    draw = [
        lambda: show.time_series.ndvi("ms", 2024, "0012", peers=False),
        lambda: show.time_series.s2("ms", 2024, ["0012", "12"]),
        lambda: show.time_series.s1("ms", 2024, "0012", peers=False),
        lambda: show.years.by_pid("ms", 2024, "0012", [2024]),
        lambda: show.chip_images.by_pid("ms", 2024, "0012", "2024-03-01", "2024-05-30", "true colour"),
        lambda: show.calendar.by_pid("ms", 2024, "0012", bands="ndvi"),
    ]
    by_server = [figure() for figure in draw]
    monkeypatch.delenv("CBM_LAKE_SET__DATA_SOURCE")
    for one, figure in zip(by_server, draw, strict=True):
        assert np.array_equal(drawn_pixels(one), drawn_pixels(figure()))


def test_a_server_tells_no_peers_and_the_figure_says_so(server):
    figure = show.time_series.ndvi("ms", 2024, "0012")
    note = figure.legends[0].get_title().get_text()
    assert note == "no band of peers: a server does not tell how other parcels are; read from a lake"
    with pytest.raises(InvalidInputError, match="there is no band of peers: a server does not tell"):
        show.time_series.ndvi("ms", 2024, "0012", peers=True)


def test_a_server_knows_no_lineage_so_that_other_years_are_named_as_missing(server):
    figure = show.years.by_pid("ms", 2024, "0012", [2023, 2024])
    assert "2023: missing; " in figure.legends[0].get_title().get_text()


def drawn_pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def test_an_outline_without_system_is_in_degrees():
    truth = Reading.of(None).parcels("ms", 2024, "0012")[0]
    answer = sources.here().answer(sources.ByPid(truth.key, geometry=True))
    answer["geom"] = [shapely.to_geojson(truth.outline_in(4326))]
    found = wire.parcel(truth.key, answer)
    assert found.epsg == 4326
    assert found.outline_in(32631).area == pytest.approx(SIDE**2, rel=1e-6)


# -- images --------------------------------------------------------------------------------------------------------


def images_in(figure):
    return [axes for axes in figure.axes if axes.images]


def test_the_pixels_of_ndvi_lie_where_they_lie_and_have_their_values():
    parcel = Reading.of(None).parcels("ms", 2024, "0012")[0]
    found = Reading.of(None).images(parcel, Season.of("2024-03-01", "2024-03-31", 200), ("B08", "B04"))
    assert (found.epsg, found.size, len(found.images)) == (32631, 20, 2)
    west, south, east, north = found.bounds
    assert (west, south, east, north) == (X - 50, Y - 50, X + 150, Y + 150)
    row, column = round((TOP - north) / 10), round((west - LEFT) / 10)
    part = slice(row, row + 20), slice(column, column + 20)
    nir, red = (pixels(1, name)[part].astype(float) - 1000 for name in ("B08", "B04"))
    shown = views.view("ndvi").values(found.images[1].bands)
    assert np.allclose(shown, (nir - red) / (nir + red))


def test_every_image_has_the_outline_of_its_parcel_and_clouds_are_told():
    figure = show.chip_images.by_pid("ms", 2024, "0012", "2024-03-01", "2024-05-30", "ndvi")
    drawn = images_in(figure)
    assert len(drawn) == 4
    for axes in drawn:
        outline = next(each for each in axes.lines if each.get_label() == "_outline")
        assert shapely.Polygon(np.column_stack(outline.get_data())).equals(factories.outline(0))
    told = [[text.get_text() for text in axes.texts] for axes in drawn]
    assert [any("cloud" in text for text in texts) for texts in told] == [number == CLOUDED for number in range(4)]
    assert "40 % cloud" in told[CLOUDED]
    assert "2 Mar 2024" in told[0]
    assert "100 m" in words(figure) or "50 m" in words(figure)


@pytest.mark.thorough
def test_one_share_of_clouds_of_a_look_is_told_everywhere(monkeypatch, home):
    monkeypatch.setattr(computing, "clouded", lambda *_: 0.99)  # what images alone would say
    singles = []
    monkeypatch.setattr(rendering, "single", lambda row, image, _: singles.append(image.cloud) or style.figure(1, 1))
    asked = "ms", 2024, "0012", "2024-03-01", "2024-05-30"
    sheets = [show.chip_images.by_pid(*asked, "true colour"), show.chip_images.grid(*asked)]
    for figure in sheets:
        told = {text.get_text() for axes in figure.axes for text in axes.texts if "cloud" in text.get_text()}
        assert told == {"40 % cloud"}
    assert singles == [0.4 if number == CLOUDED else 0 for number in range(4)]
    year = show.calendar.by_pid("ms", 2024, "0012")
    assert [text.get_text() for axes in images_in(year) for text in axes.texts if "%" in text.get_text()] == ["40 %"]
    reading = Reading.of(None)
    (parcel,) = reading.parcels("ms", 2024, "0012")
    for curve in (
        computing.index_curve(reading.series(parcel, "s2"), INDICES["ndvi"], CLOUD_CLASSES),
        computing.band_curve(reading.series(parcel, "s2"), "B04", CLOUD_CLASSES),
    ):
        assert [computing.share_words(share) for share in curve["cloud"] if share] == ["40 %"]
    values = facts.gather(LakeSource(reading.lake), {"aoi": "ms", "year": 2024, "ptype": "", "pid": "0012"})
    assert [share for row in values["optical"] if (share := facts.hidden_share(row))] == [pytest.approx(0.4)]


def test_images_are_also_written_one_by_one_with_marks(home):
    show.chip_images.by_pid("ms", 2024, "0012", "2024-03-01", "2024-03-31", "true colour", 240)
    folder = home / "temp" / "ms" / "2024" / "0012" / "chipimages"
    assert {"B04_B03_B02_2024-03-02.png", "B04_B03_B02_2024-03-22.png"} <= {file.name for file in folder.iterdir()}
    marks = [file.name for file in folder.iterdir() if file.name.startswith(("chipsize_", "daterange_"))]
    assert sorted(marks) == ["chipsize_240", "daterange_2024-03-01_2024-03-31"]


def test_images_of_a_place_need_no_parcel(home):
    lon, lat = factories.degrees(X + 50, Y + 50)
    figure = show.chip_images.by_location("ms", 2024, lon, lat, "2024-03-01", "2024-03-31", "B08", 200)
    assert len(images_in(figure)) == 2
    assert "reflectance, B08" in [axes.get_xlabel() for axes in figure.axes]
    assert len(list((home / "temp").rglob("B08_2024-03-02.png"))) == 1


def test_rows_are_parcels_or_views_and_share_dates():
    several = show.chip_images.by_pid("ms", 2024, ["0012", "12"], "2024-03-01", "2024-05-30")
    assert len(images_in(several)) == 8
    views = show.chip_images.grid("ms", 2024, "0012", "2024-03-01", "2024-05-30", ["true colour", "ndvi"])
    assert len(images_in(views)) == 8
    assert "true colour" in words(views)
    assert words(views).count("11 Apr 2024") == 1
    assert cut(several) == cut(views) == []


def test_where_more_scenes_are_than_given_at_once_days_are_asked_for_in_parts(monkeypatch):
    asked = []

    def answer(first, last):
        asked.append((first, last))
        return None if (last - first).days > 40 else (first, last)

    parts = list(api.in_parts(answer, date(2024, 1, 1), date(2024, 12, 31)))
    assert parts == [(first, last) for first, last in asked if (last - first).days <= 40]
    given_days = [
        first + timedelta(days=number)
        for first, last in asked
        if (last - first).days <= 40
        for number in range((last - first).days + 1)
    ]
    assert given_days == [date(2024, 1, 1) + timedelta(days=number) for number in range(366)]


def test_what_never_can_be_given_is_told_and_not_tried_for_ever():
    tries = []

    def refuse(*asked):
        tries.append(asked)
        raise InvalidInputError("no such band")

    with pytest.raises(InvalidInputError, match="no such band"):
        list(api.in_parts(refuse, date(2024, 1, 1), date(2024, 12, 31)))
    assert len(tries) <= 11
    with pytest.raises(TooManyError, match="2024-01-01 alone has more scenes"):
        list(api.in_parts(lambda *_: None, date(2024, 1, 1), date(2024, 12, 31)))


def test_a_broken_chip_is_told():
    with pytest.raises(SourceError, match=r"S2A_MSIL2A_20240302T104021_N0510\.B04\.tif cannot be read"):
        wire.cutout(DAYS[0], "B04", "S2A_MSIL2A_20240302T104021_N0510.B04.tif", b"II*\0no image")


def test_the_calendar_has_every_image_above_its_month_and_the_curve_below():
    figure = show.calendar.by_pid("ms", 2024, "0012")
    axes = images_in(figure)
    assert len(axes) == len(DAYS)
    curve = figure.axes[-1]
    _, values = line(figure, "NDVI", panel=-1)
    assert len(values) == 3
    for each, moment in zip(axes, DAYS, strict=True):
        first = pd.Timestamp(moment.replace(day=1)).tz_localize(None)
        last = first + pd.offsets.MonthBegin(1)
        month = [
            curve.transData.transform((number, 0))[0]
            for number in (first - pd.Timestamp(0)).total_seconds() / 86400 * np.ones(1)
        ]
        end = curve.transData.transform(((last - pd.Timestamp(0)).total_seconds() / 86400, 0))[0]
        box = each.get_window_extent()
        assert month[0] - 1 <= box.x0 < box.x1 <= end + 1
    assert [name in words(figure) for name in ("Jan 2024", "Dec", "40 %", "true colour")] == [True] * 4
    assert cut(figure) == []


def test_a_calendar_without_images_shows_the_curve_and_says_so(monkeypatch):
    def nothing(*_, **__):
        raise NotFoundError("none")

    monkeypatch.setattr(Reading, "images", nothing)
    figure = show.calendar.by_pid("ms", 2024, "0012")
    assert "no images of these months" in words(figure)
    assert len(line(figure, "NDVI", panel=-1)[1]) == 3
    with pytest.raises(NotFoundError):
        show.calendar.by_pid("ms", 2024, "a/b")


def test_the_background_has_the_outline_in_web_mercator_and_true_metres(monkeypatch, tmp_path):
    parcel = Reading.of(None).parcels("ms", 2024, "0012")[0]
    middle = parcel.outline_in(3857).centroid
    file = tmp_path / "google.tif"
    colours = np.random.default_rng(1).integers(0, 255, (3, 64, 64)).astype(np.uint8)
    place = {"crs": "EPSG:3857", "transform": Affine(4, 0, middle.x - 128, 0, -4, middle.y + 128)}
    with rasterio.open(file, "w", driver="GTiff", count=3, height=64, width=64, dtype="uint8", **place) as dataset:
        dataset.write(colours)
    asked = []
    monkeypatch.setattr(LakeSource, "background", lambda _, square: asked.append(square) or basemaps.load(file, "x"))
    figure = show.background.by_pid("ms", 2024, "0012", extend=256)
    assert asked == [Square(parcel.lon, parcel.lat, "Google", 512, 256)]
    axes = figure.axes[0]
    assert np.array_equal(np.moveaxis(np.asarray(axes.images[0].get_array()), -1, 0), colours)
    outline = next(each for each in axes.lines if each.get_label() == "_outline")
    assert shapely.Polygon(np.column_stack(outline.get_data())).equals(parcel.outline_in(3857))
    bar = next(each for each in axes.lines if each.get_label() == "_scale")
    ends = np.array(bar.get_xdata())
    lengths = re.findall(r"(\d+) m", words(figure))
    assert np.ptp(ends) * math.cos(math.radians(parcel.lat)) == pytest.approx(float(lengths[0]))


def test_the_card_of_a_parcel_says_what_is_declared():
    figure = show.parcel_info.by_pid("ms", 2024, ["0012", "a/b"])
    told = words(figure)
    assert [
        text in told
        for text in (
            "Parcel 0012",
            "wheat",
            "1.00 ha (10,004 m²)",
            "400 m",
            "1 part, 4 corners",
            "Parcel a/b",
            "none declared",
            "EPSG:32631",
        )
    ] == [True] * 8
    assert cut(figure) == []
    lon, lat = factories.degrees(X + STEP + 50, Y + 50)
    assert "Parcel 12" in words(show.parcel_info.by_location("ms", 2024, lon, lat))


# -- numbers -------------------------------------------------------------------------------------------------------


@given(st.dictionaries(st.integers(0, 11), st.integers(1, 500), max_size=12), st.sets(st.integers(1, 11)))
def test_the_share_of_clouds_leaves_unclassified_pixels_out(counts, screen):
    pixels_of = [value for value, number in counts.items() for _ in range(number) if value]
    found = computing.cloud_share({str(value): number for value, number in counts.items()}, sorted(screen))
    if pixels_of:
        assert found == pytest.approx(np.isin(pixels_of, list(screen)).mean())
    else:
        assert math.isnan(found)


@given(st.floats(1, 1e6))
def test_a_scale_bar_is_a_round_number_that_fits(metres):
    found = computing.nice(metres)
    assert found <= metres < 2.5 * found + 1e-6
    assert str(found).strip("0") in {"1", "2", "5"}


@pytest.mark.parametrize(
    ("bands", "name"),
    [
        ("NDVI", "ndvi"),
        ("true colour", "B04_B03_B02"),
        ("rgb", "B04_B03_B02"),
        ("B8", "B08"),
        ("B08_B04_B03",) * 2,
        (["B11", "b08", "B02"], "B11_B08_B02"),
        ("B08,B11,B04", "B08_B11_B04"),
        ("B8A", "B8A"),
    ],
)
def test_views_are_understood(bands, name):
    assert views.view(bands).name == name


def test_of_one_moment_the_row_with_more_pixels_counts_and_rows_without_pixels_do_not():
    first, second = (datetime(2024, 5, day, tzinfo=UTC).timestamp() for day in (1, 6))
    statistics = dict.fromkeys(("std", "min", "p50", "max"), [0.0] * 3)
    columns = {"date_part": [first, first, second], "band": ["B04"] * 3, "count": [4.0, 9.0, 0.0]}
    columns |= {"mean": [100.0, 200.0, 5.0], "p25": [1.0] * 3, "p75": [2.0] * 3, "hist": [{}, {"4": 9}, {}]}
    found = computing.band_curve(wire.series(None, S2, columns | statistics), "B04", (9,))
    assert found[["value", "cloud", "count"]].to_numpy().tolist() == [[0.02, 0.0, 9.0]]


def test_colours_are_stretched_between_limits_and_nodata_is_clear():
    kind = views.view("B08_B04_B03")
    bands = {name: np.array([[0, 1000, 2000, 3000]], np.uint16) for name in kind.bands}
    found = kind.colours(bands, ((1000, 2000),) * 3)
    assert found[0, :, 3].tolist() == [0, 255, 255, 255]
    assert found[0, 1:, 0].tolist() == [0, 255, 255]


def test_even_a_parcel_smaller_than_a_pixel_has_one_and_its_clouds_are_known():
    shape = shapely.box(X + 1, Y + 1, X + 3, Y + 3)
    inside = computing.mask(shape, 32631, 32631, Affine(10, 0, X - 50, 0, -10, Y + 50), 10)
    assert inside.sum() == 1
    classes_of = np.full((10, 10), 4)
    classes_of[inside] = 8
    assert computing.clouded(classes_of, inside, (8,)) == 1
    assert computing.clouded(classes_of, None, (8,)) == 0.01


# -- looks ---------------------------------------------------------------------------------------------------------


def rows(number, *, cloud=0.4):
    rng = np.random.default_rng(number)
    times = pd.date_range("2024-01-02", periods=number, freq=pd.Timedelta(days=360 / number))
    hidden = (rng.random(number) < cloud).astype(float)
    values = 0.5 + 0.3 * np.sin(np.arange(number) / number * 6)
    return pd.DataFrame(
        {"time": times, "value": values, "low": values - 0.05, "high": values + 0.05, "cloud": hidden, "count": 20.0}
    )


@pytest.mark.parametrize("number", [1, 5, 73, 300])
@pytest.mark.parametrize("lines", [1, 12])
def test_nothing_is_cut_off_or_overlaps_at_any_number_of_dates_and_parcels(number, lines):
    name = "permanent grassland and other herbaceous forage under agri-environmental commitments " * 2
    several = tuple(
        Line(f"{each} · {name}", style.curve_colour(each), rows(number), style.dash(each)) for each in range(lines)
    )
    figure = curves.draw([Panel("NDVI", several, (0, 1), compared=lines > 1)], f"Parcel 1 · {name} · 2 ha", "spread")
    assert cut(figure) == []
    renderer = figure.canvas.get_renderer()
    labels = [text.get_window_extent(renderer) for text in seen_labels(figure.axes[0].xaxis) if text.get_text()]
    assert len(labels) >= 1
    assert all(one.x1 < two.x0 for one, two in itertools.pairwise(labels))
    title, key = figure._suptitle.get_window_extent(renderer), figure.legends[0].get_window_extent(renderer)
    area = figure.axes[0].get_tightbbox(renderer)
    assert key.y1 <= area.y0 + 1 < area.y1 - 1 <= title.y0


def test_bright_clouds_do_not_squeeze_the_curve():
    bright = rows(20)
    bright.loc[bright["cloud"] > 0, "value"] = 30
    figure = curves.draw([Panel("reflectance", (Line("B04", "red", bright),), (0, 0.1))], "one", "spread")
    assert figure.axes[0].get_ylim()[1] < 1
    assert max(line(figure, "_clouded")[1]) == pytest.approx(figure.axes[0].get_ylim()[1])


def test_figures_belong_to_no_global_state():
    from matplotlib import pyplot as plt

    show.time_series.ndvi("ms", 2024, "0012")
    assert plt.get_fignums() == []


def test_a_long_crop_name_keeps_the_area_in_sight():
    shape = factories.outline(0)
    parcel = Parcel("ms", 2024, "7", None, "clover " * 30, "1", 12_345_678, 3.0, 43.3, 32631, shape)
    assert re.fullmatch(r"7 · clover .{10,60} … · 1,235 ha", parcel.label)
    assert chipsize_for([parcel]) == 160


# -- files and the command line ------------------------------------------------------------------------------------


def command(*words_, fails=False):
    done = CliRunner().invoke(app, ["show", *map(str, words_)])
    assert (done.exit_code != 0) == fails, done.output
    return done


@pytest.mark.parametrize(
    ("asked", "begins"),
    [
        (["time-series", "--pid", "0012", "--out", "x.png"], b"\x89PNG"),
        (["time-series", "--pid", "0012", "--pid", "12", "--kind", "s2", "--out", "x.svg"], b"<?xml"),
        (["time-series", "--pid", "0012", "--kind", "bs", "--out", "x.pdf"], b"%PDF"),
        (["time-series", "--pid", "0012", "--out", "x.html"], b"<!DOCTYPE"),
        (["chips", "--pid", "0012", "--start", "2024-03-01", "--end", "2024-03-09", "--out", "x.png"], b"\x89PNG"),
        (
            ["calendar", "--pid", "0012", "--start", "2024-03-01", "--end", "2024-04-30", "--out", "x.html"],
            b"<!DOCTYPE",
        ),
        (["parcel-info", "--pid", "0012", "--out", "x.html"], b"<!DOCTYPE"),
        (["parcel-info", "--pid", "0012", "--out", "x.pdf"], b"%PDF"),
    ],
)
def test_every_kind_of_file_is_written(tmp_path, monkeypatch, asked, begins):
    monkeypatch.chdir(tmp_path)
    done = command(asked[0], "--aoi", "ms", "--year", 2024, *asked[1:])
    file = tmp_path / asked[-1]
    assert file.read_bytes().lstrip()[: len(begins)] == begins
    assert f"{asked[-1]} written" in done.output


def test_a_figure_for_notebooks_holds_the_same_numbers():
    overlay = show.time_series.ndvi("ms", 2024, "0012", interactive=True)
    curve = next(each for each in overlay if type(each).__name__ == "Curve")
    truth = [(NIR[number] - RED[number]) / (NIR[number] + RED[number]) for number in (0, 1, 3)]
    assert curve.dimension_values("value") == pytest.approx(truth)
    maps = show.chip_images.by_pid("ms", 2024, "0012", "2024-03-01", "2024-03-31", interactive=True)
    assert list(maps.keys()) == ["2024-03-02", "2024-03-22"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["time-series", "--out", "x.png"], "which parcel"),
        (["chips", "--start", "2024-03-01", "--end", "2024-03-09", "--out", "x.png"], "which parcel"),
        (["background", "--out", "x.png"], "which parcel"),
        (["parcel-info", "--out", "x.png"], "which parcel"),
        (["time-series", "--pid", "0012", "--kind", "odd", "--out", "x.png"], "--kind odd is not known"),
        (["time-series", "--pid", "0012", "--screen", "a", "--out", "x.png"], "no list of scene classes"),
    ],
)
def test_the_command_line_tells_what_is_wrong(asked, message):
    done = command(asked[0], "--aoi", "ms", "--year", 2024, *asked[1:], fails=True)
    assert re.search(message, str(done.exception))


def test_the_program_knows_the_command(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["cbm-lake", "show", "--help"])
    with pytest.raises(SystemExit) as caught:
        run_main()
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(name in told for name in ("time-series", "chips", "calendar", "background", "parcel-info"))


def test_a_notebook_is_given_a_picture_whatever_it_knows_of_matplotlib():
    drawn = style.figure(4, 3)
    assert drawn._repr_png_().startswith(b"\x89PNG")


def test_work_that_was_found_is_drawn_on_its_day_between_its_bounds(home):
    days = [date(2024, 5, 1), date(2024, 5, 6), date(2024, 5, 11)]
    mown = {"aoi": "ms", "year": 2024, "ptype": "", "pid": "0012", "marker": "mowing", "marker_type": "s2"}
    mown |= dict(zip(("date_start", "date_main", "date_end"), days, strict=True))
    dull = {**mown, "marker": "vegetated"}
    sources.open_lake().put(
        "marked", pa.Table.from_pylist([{**row, "part": 1} for row in (mown, dull)], schema=schemas.MARKERS), 1
    )
    (axes,) = show.time_series.ndvi("ms", 2024, "0012", markers=True).axes
    (line,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert line.get_xdata()[0].date() == days[1]
    assert [text.get_text() for text in axes.texts] == [" mowing"]
    (band,) = [patch for patch in axes.patches if patch.get_alpha() == 0.1]
    assert band.get_width() == (days[2] - days[0]).days
    (plain,) = show.time_series.ndvi("ms", 2024, "0012").axes
    assert not plain.texts


def test_an_image_is_as_clear_as_the_nearest_look_of_its_day():
    days = pd.to_datetime(["2024-05-01", "2024-05-06", "2024-05-11"])
    data = xr.Dataset({"B04": (("time", "y", "x"), np.ones((3, 1, 1)))}, {"time": days}).assign(
        cloud=("time", [0.0] * 3)
    )
    looks = days[[0, 1, 1]] + pd.to_timedelta([10, 23, 10], "h")
    clouds = computing.as_observed(data, pd.Series([np.nan, 0.9, 0.4], looks))["cloud"]
    np.testing.assert_array_equal(clouds, [np.nan, 0.4, 0.0])


@pytest.mark.parametrize(
    ("value", "day", "corner"),
    [
        (0.1, "2024-05-09", "top right"),
        (0.9, "2024-05-09", "bottom right"),
        (0.5, "2024-05-09", "bottom right"),
        (0.1, "2024-05-12", "bottom right"),
    ],
    ids=["a point below", "a point above", "a point between", "a point on the other side"],
)
def test_the_name_of_an_event_does_not_cover_a_point(value, day, corner):
    assert label_of([(day, value)]) == corner


def test_the_name_of_an_event_goes_to_the_other_side_where_points_are_below_and_above():
    assert label_of([("2024-05-07", 0.1), ("2024-05-07", 0.9)]) == "bottom left"


def label_of(points):
    """Where the name of an event of the tenth of May stands in a panel with a few points in it."""
    times = pd.to_datetime(["2024-03-01", *(day for day, _ in points), "2024-10-01"])
    rows = pd.DataFrame({"time": times, "value": [0.5, *(value for _, value in points), 0.5]})
    event = Event("sowing", *map(pd.Timestamp, ("2024-05-08", "2024-05-10", "2024-05-12")))
    _, vertical, side = panels.label_position(Panel("NDVI", (Line("NDVI", "g", rows),), events=[event]), (0, 1), event)
    return f"{vertical} {side}"
