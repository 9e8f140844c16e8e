"""Calendars of indices, radar and pixels, the crop behind a curve, slides: their numbers are those of the lake."""

import re
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pptx
import pytest
import rasterio
import small_demo
from matplotlib.colors import to_rgb
from pyproj import Geod
from typer.testing import CliRunner

from cbm_lake import extract, get, report, show
from cbm_lake.cards import S2
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.ipycbm import view_panel
from cbm_lake.lake import Lake, open_lake
from cbm_lake.parcel.sources import wire
from cbm_lake.show import computing, curves, distributions, panels, peers, rendering, views
from cbm_lake.show.reading import Reading, Season

pytestmark = pytest.mark.thorough


CLOUDS = [3, 8, 9, 10, 11]
runner = CliRunner()
deck = sys.modules["cbm_lake.report.slides"]
SHOWN = ("NDVI, and that of its crop", "Histograms of NDVI", "Coherence by day")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBM_LAKE_HOME", str(folder))
        yield small_demo.make(folder)


@pytest.fixture(autouse=True)
def lake(home, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_HOME", str(home))
    return open_lake()


@pytest.fixture
def parcel(lake):
    """The largest parcel of the crop that most have."""
    [row] = lake.sql(
        "select pid from parcels where crop_name = (select mode(crop_name) from parcels) order by area_m2 desc limit 1"
    ).to_pylist()
    return Reading.of(lake).parcels("demo", 2024, row["pid"])[0]


# -- what images are made of ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ndvi", (3000 - 500) / 3500),
        ("ndwi", (600 - 3000) / 3600),
        ("ndmi", (3000 - 1500) / 4500),
        ("evi", 2.5 * (0.3 - 0.05) / (0.3 + 6 * 0.05 - 7.5 * 0.04 + 1)),
        ("bare soil", (1500 + 500 - 3000 - 400) / 5400),
        ("BSI", (1500 + 500 - 3000 - 400) / 5400),
    ],
)
def test_an_index_is_by_its_formula_and_has_none_where_a_band_has_none(name, expected):
    stored = {"B02": 400, "B03": 600, "B04": 500, "B08": 3000, "B11": 1500}
    kind = views.view(name)
    bands = {band: np.array([[stored[band], 0]], np.uint16) for band in kind.bands}
    bands[kind.bands[0]] = np.array([[stored[kind.bands[0]]] * 2], np.uint16)
    [value, missing] = kind.values(bands)[0]
    assert value == pytest.approx(expected)
    assert np.isnan(missing)
    assert kind.scaled
    assert kind.limits([bands]) == (kind.index.limits,)


def test_backscatter_is_drawn_in_decibel_and_coherence_as_it_is():
    bands = {"VV": np.array([[0.1, 0.01, 0.0]], np.float32)}
    assert views.view("bs VV").values(bands)[0, :2] == pytest.approx([-10, -20])
    assert views.view("c6_VV").values(bands)[0, :2] == pytest.approx([0.1, 0.01])
    assert np.isnan(views.view("bs VV").values(bands)[0, 2])
    assert views.view(("bs", "vh")).name == "bs_VH"
    assert views.view("c6 VVc").bands == ("VV",)


def test_scene_classes_have_the_colours_of_their_numbers_and_no_data_is_clear():
    kind = views.view("scl")
    drawn = kind.colours({"SCL": np.array([[4, 9, 0]], np.uint8)}, ())
    assert drawn[0].tolist() == [[0, 160, 0, 255], [255, 255, 255, 255], [0, 0, 0, 0]]
    assert not kind.scaled


@pytest.mark.parametrize("wrong", ["bs", "bs B04", "c6 VV VH", "ndxi", "VV", "B04 B11", "SCL B04", ""])
def test_what_is_no_view_is_refused_with_those_there_are(wrong):
    with pytest.raises(
        InvalidInputError, match=r"is no view; write ndvi, ndwi, bsi, ndmi, ndti, evi, true colour, SCL, .* bs VV"
    ):
        views.view(wrong)


def test_the_curve_of_an_index_needs_all_its_bands_and_its_spread_is_of_opposite_quartiles():
    first, second = (datetime(2024, 5, day, tzinfo=UTC).timestamp() for day in (1, 6))
    rows = [
        (first, "B08", 30, 3000, 2900, 3100),
        (first, "B11", 8, 1500, 1400, 1600),
        (second, "B08", 30, 3000, 2900, 3100),
    ]
    columns = pd.DataFrame(rows, columns=["date_part", "band", "count", "mean", "p25", "p75"])
    columns = columns.assign(std=0.0, min=0.0, p50=0.0, max=0.0, hist=[{"4": 8}] * 3).to_dict("list")
    series = wire.series(None, S2, columns)
    [row] = computing.index_curve(series, views.INDICES["ndmi"], CLOUDS).to_dict("records")
    assert row["value"] == pytest.approx(1500 / 4500)
    assert row["low"] == pytest.approx((2900 - 1600) / 4500)
    assert row["high"] == pytest.approx((3100 - 1400) / 4500)
    assert (row["count"], row["cloud"]) == (8, 0)


# -- the peers behind a curve ---------------------------------------------------------------------------------------


def clear_means(lake, parcel):
    """What is known of the crop's other parcels on clear days, by pandas: of all pixels, or of enough clear ones."""
    question = "from s2_rows join parcels using (aoi, year, ptype, pid) where crop_name = $crop"
    rows = lake.sql(question, crop=parcel.crop).to_pandas()
    rows = rows[(rows["pid"] != parcel.pid)].set_index(["scene", "pid"])
    whole, part = rows[rows["mask"].isna()], rows[rows["mask"].notna()]
    histogram = np.stack(whole["scl"].to_numpy()).astype(float)
    clear = whole[(histogram[:, CLOUDS].sum(axis=1) == 0) & (histogram[:, 1:].sum(axis=1) > 0)]
    part = part[(part["share"] >= 0.6) & (part[["B04_count", "B08_count"]].min(axis=1) >= 8)]
    part = part.assign(observable=whole["observable"].reindex(part.index))
    rows = pd.concat([clear[~clear.index.isin(part.index)], part]).reset_index()
    return rows.assign(day=rows["obstime"].dt.tz_convert("UTC").dt.date)


def deciles(values, days, pids, year=2024):
    """Median, tenth and ninetieth percentile over parcels of their means in steps of ten days, by numpy."""
    step = (pd.to_datetime(days) - pd.Timestamp(year, 1, 1)).dt.days // 10
    means = values.astype(float).groupby([step, pids]).mean()
    return {
        number: (*np.quantile(parcels, [0.5, 0.1, 0.9]), len(parcels))
        for number, parcels in means.groupby(level=0)
        if len(parcels) >= peers.FEWEST
    }


def assert_band(line, expected, scale=lambda values: values, rtol=1e-6):
    steps = (line.rows["time"] - pd.Timestamp(2024, 1, 1)).dt.days // 10
    assert steps.tolist() == list(expected)
    assert len(expected) > 2
    median, low, high, count = zip(*expected.values(), strict=True)
    for column, values in {"value": median, "low": low, "high": high}.items():
        assert np.allclose(line.rows[column], scale(np.array(values)), rtol=rtol), column
    assert line.rows["count"].tolist() == list(count)


def test_the_band_is_the_median_and_outer_deciles_of_the_other_parcels_by_ten_days(lake, parcel):
    rows = clear_means(lake, parcel)
    rows = rows[rows["observable"]]
    ndvi = (rows["B08_mean"] - rows["B04_mean"]) / (rows["B08_mean"] + rows["B04_mean"])
    [line] = peers.of_index(Reading.of(lake), parcel, views.INDICES["ndvi"], CLOUDS).lines
    assert_band(line, deciles(ndvi, rows["day"], rows["pid"]))
    others = lake.sql("select count(*) as n from parcels where crop_name = $crop", crop=parcel.crop)["n"][0].as_py() - 1
    assert line.label == f"median and 10 to 90 % of {others} other parcels of {parcel.crop}, by 10 days"
    red, _ = peers.of_bands(Reading.of(lake), parcel, ["B04", "B08"], CLOUDS).lines
    assert_band(red, deciles(rows["B04_mean"], rows["day"], rows["pid"]), lambda values: values / 10_000)


def test_a_band_lies_at_the_mean_time_of_the_looks_of_its_parcels(lake, parcel):
    rows = clear_means(lake, parcel)
    rows = rows[rows["observable"]]
    time = rows["obstime"].dt.tz_convert("UTC").dt.tz_localize(None)
    step = (time - pd.Timestamp(2024, 1, 1)).dt.days // 10
    seconds = (time - pd.Timestamp(1970, 1, 1)).dt.total_seconds().groupby([step, rows["pid"]]).mean()
    mean = seconds.groupby(level=0).mean()[seconds.groupby(level=0).size() >= peers.FEWEST]
    [line] = peers.of_index(Reading.of(lake), parcel, views.INDICES["ndvi"], CLOUDS).lines
    drawn = (line.rows["time"] - pd.Timestamp(1970, 1, 1)).dt.total_seconds()
    assert np.allclose(drawn, mean, atol=1)


def test_the_nearest_peers_are_asked_where_there_are_more(lake, parcel, monkeypatch):
    monkeypatch.setattr(peers, "MOST", 12)
    places = lake.sql(
        "select pid, centroid_lon as lon, centroid_lat as lat from parcels where crop_name = $crop and pid <> $pid",
        crop=parcel.crop,
        pid=parcel.pid,
    ).to_pandas()
    here = np.full(len(places), parcel.lon), np.full(len(places), parcel.lat)
    metres = Geod(ellps="WGS84").inv(*here, places["lon"], places["lat"])[2]
    nearest = set(places["pid"].to_numpy()[np.argsort(metres)[:12]])
    rows = clear_means(lake, parcel)
    rows = rows[rows["observable"] & rows["pid"].isin(nearest)]
    ndvi = (rows["B08_mean"] - rows["B04_mean"]) / (rows["B08_mean"] + rows["B04_mean"])
    [line] = peers.of_index(Reading.of(lake), parcel, views.INDICES["ndvi"], CLOUDS).lines
    assert_band(line, deciles(ndvi, rows["day"], rows["pid"]))
    assert f"of the 12 nearest of {len(places)} other parcels of {parcel.crop}" in line.label


def test_the_band_of_a_single_curve_has_its_colour_in_the_legend_and_is_not_taken_for_the_crops(parcel):
    figure = show.time_series.ndvi("demo", 2024, parcel.pid, crop=True)
    [legend] = figure.legends
    [key] = [patch for patch in legend.get_patches() if "quartiles" in patch.get_label()]
    [curve] = [line for line in figure.axes[0].lines if line.get_label() == "cloud-free"]
    assert key.get_facecolor()[:3] == to_rgb(curve.get_color())


def test_the_band_in_decibel_is_of_linear_power(lake, parcel):
    rows = lake.sql(
        "select pid, obstime::date as day, VV_mean as power from bs "
        "join parcels using (aoi, year, ptype, pid) where crop_name = $crop and pid <> $pid and VV_count >= 8",
        crop=parcel.crop,
        pid=parcel.pid,
    ).to_pandas()
    line, _ = peers.of_radar(Reading.of(lake), parcel, "bs").lines
    assert_band(line, deciles(rows["power"], rows["day"], rows["pid"]), lambda power: 10 * np.log10(power))


def test_indices_of_pixels_have_a_band_too(home, parcel, tmp_path):
    copied = Lake(str(shutil.copytree(home / "data/lake", tmp_path / "lake")))
    extract.s2("2024-03-01", "2024-10-31", aoi="demo", year=2024, indices="ndvi", workers=0, lake=copied)
    rows = copied.sql(
        "select pid, obstime, NDVI_mean from observed_s2([3, 8, 9, 10, 11]) join parcels using (aoi, year, ptype, pid) "
        "where crop_name = $crop and pid <> $pid and is_usable(observable, unknown, clouded)",
        crop=parcel.crop,
        pid=parcel.pid,
    ).to_pandas()
    [line] = peers.of_bands(Reading.of(copied), parcel, ["NDVI"], CLOUDS).lines
    assert_band(line, deciles(rows["NDVI_mean"], rows["obstime"].dt.tz_convert("UTC").dt.date, rows["pid"]))


def test_the_band_is_of_all_files_also_after_they_were_merged_by_parcel(lake, parcel):
    [before] = peers.of_index(Reading.of(lake), parcel, views.INDICES["ndvi"], CLOUDS).lines
    lake.compact()
    [after] = peers.of_index(Reading.of(lake), parcel, views.INDICES["ndvi"], CLOUDS).lines
    pd.testing.assert_frame_equal(after.rows, before.rows)


@pytest.mark.parametrize("draw", [show.time_series.ndvi, show.time_series.s2, show.time_series.s1])
def test_a_parcel_has_the_band_of_its_peers_unless_it_is_left_out(parcel, draw):
    def bands(**options):
        figure = draw("demo", 2024, parcel.pid, **options)
        return [line.get_label() for axes in figure.axes for line in axes.lines].count("_peers")

    assert bands() > 0
    assert bands(peers=False) == bands(crop=False) == 0
    assert bands(peers=True) == bands(crop=True) == bands()


def test_the_band_is_drawn_behind_one_parcel_only(lake, parcel):
    others = lake.sql("select pid from parcels limit 2")["pid"].to_pylist()
    figure = show.time_series.ndvi("demo", 2024, others)
    assert "_peers" not in [line.get_label() for line in figure.axes[0].lines]
    with pytest.raises(InvalidInputError, match="behind one parcel"):
        show.time_series.s2("demo", 2024, others, crop=True)


def test_too_few_peers_are_no_band_and_the_figure_says_so(parcel, monkeypatch):
    monkeypatch.setattr(peers, "FEWEST", 1000)
    figure = show.time_series.ndvi("demo", 2024, parcel.pid)
    note = figure.legends[0].get_title().get_text()
    assert re.fullmatch(rf"no band of peers: \d+ other parcels of {parcel.crop}, 1000 are needed", note)
    assert "_peers" not in [line.get_label() for line in figure.axes[0].lines]


def test_enough_peers_that_were_never_seen_clear_together_are_no_band(lake, parcel):
    others = lake.sql("select count(*) as n from parcels where crop_name = $crop", crop=parcel.crop)["n"][0].as_py() - 1
    assert others >= peers.FEWEST
    note = peers.of_index(Reading.of(lake), parcel, views.INDICES["ndvi"], list(range(1, 12))).note
    assert f"0 of the {others} of {parcel.crop} at most were seen clear within 10 days, 10 are needed" in note


def test_a_parcel_that_is_alone_with_its_crop_has_no_band(lake, parcel):
    alone = peers.of_index(Reading.of(lake), replace(parcel, crop="quinoa"), views.INDICES["ndvi"], CLOUDS)
    assert alone == ((), "no band of peers: no other parcel of quinoa, 10 are needed")


def test_a_parcel_without_a_crop_has_no_peers(lake, parcel):
    alone = peers.of_index(Reading.of(lake), replace(parcel, crop=None, code=None), views.INDICES["ndvi"], CLOUDS)
    assert alone == ((), f"no band of peers: no crop is declared of parcel {parcel.pid}")


# -- calendars -----------------------------------------------------------------------------------------------------


def images(parcel, view):
    kind = views.view(view)
    season = Season.of("2024-01-01", "2024-12-31", 400, CLOUDS, kind.card.name)
    seen = Reading.of(None).images(parcel, season, kind.bands)
    return rendering.row("", kind, seen, parcel.outline_in(seen.epsg), None)


def test_images_of_radar_are_the_pixels_of_their_files(lake, parcel):
    row = images(parcel, "bs VV")
    scenes = lake.sql("select obstime, assets.VV.href as href from scenes where card = 'bs' order by obstime")
    hrefs = {row["obstime"].replace(tzinfo=None): row["href"] for row in scenes.to_pylist()}
    assert len(row.images.images) == len(hrefs) > 5
    for image in row.images.images:
        with rasterio.open(hrefs[image.obstime.replace(tzinfo=None)]) as dataset:
            x, y = row.images.transform * (5.5, 7.5)
            [[expected]] = dataset.sample([(x, y)])
        assert image.bands["VV"][7, 5] == expected
        assert image.cloud == 0


def test_the_pixels_of_a_parcel_are_those_whose_centres_are_inside(lake, parcel):
    row = images(parcel, "ndvi")
    inside = distributions.Pixels.of(row, parcel)
    count = lake.sql("select max(B04_count) as n from s2 where pid = $pid", pid=parcel.pid)["n"][0].as_py()
    assert inside.inside.sum() == count
    [clear, *_] = [image for image in row.images.images if image.cloud == 0]
    day = clear.obstime.replace(tzinfo=None)
    ndvi = lake.sql(
        "select (B08_p50 - B04_p50) / (B08_p50 + B04_p50) as median from s2 where pid = $pid and obstime = $day",
        pid=parcel.pid,
        day=day,
    )["median"][0].as_py()
    assert np.median(inside.values(clear)) == pytest.approx(ndvi, abs=0.02)  # of medians is near the median of


@pytest.mark.slow
def test_histograms_and_scatter_plots_have_every_date_and_nothing_is_cut(parcel, tmp_path):
    row = images(parcel, "ndvi")
    for figure in (
        show.calendar.histograms("demo", 2024, parcel.pid, file=tmp_path / "h.png"),
        show.calendar.histograms("demo", 2024, parcel.pid, index="bare soil"),
        show.calendar.scatter("demo", 2024, parcel.pid),
    ):
        assert len(figure.axes) == len(row.images.images) + 1
        assert not any(label.get_text() for axes in figure.axes[:-1] for label in axes.get_xticklabels())
    assert (tmp_path / "h.png").stat().st_size > 10_000
    with pytest.raises(InvalidInputError, match="'B04' is no index; choose from ndvi, ndwi, bsi"):
        show.calendar.histograms("demo", 2024, parcel.pid, index="B04")


def test_a_histogram_counts_all_pixels_also_beyond_its_axis():
    edges = np.linspace(0, 1, 11)
    shares = distributions._shares(np.array([-0.5, 0.05, 0.95, 2.0]), edges)
    assert shares[0] == shares[-1] == 0.5
    assert distributions._shares(np.array([]), edges).sum() == 0


@pytest.mark.slow
@pytest.mark.parametrize("bands", ["ndmi", "bare soil", "SCL", "bs VV"])
def test_calendars_have_a_curve_of_what_they_show(parcel, bands):
    figure = show.calendar.by_pid("demo", 2024, parcel.pid, bands=bands)
    curve = figure.axes[-1] if bands == "SCL" else figure.axes[-2]  # the last one is the scale of colours
    units = {"ndmi": "NDMI (B08, B11)", "bare soil": "bare soil index", "SCL": "NDVI", "bs VV": "VV (dB)"}
    assert curve.get_title(loc="left") == units[bands]
    assert max(len(line.get_xdata()) for line in curve.lines) >= 2


def test_the_year_of_a_calendar_may_be_text_but_no_word(parcel):
    assert show.calendar.by_pid("demo", "2024", parcel.pid, bands="bs VV").axes
    with pytest.raises(InvalidInputError, match="year='MMXXIV' is not right"):
        show.calendar.by_pid("demo", "MMXXIV", parcel.pid)


@pytest.mark.parametrize("draw", ["calendar", "chips"])
def test_the_names_of_all_scene_classes_stand_inside_of_the_figure(parcel, monkeypatch, draw):
    monkeypatch.setattr("cbm_lake.show.rendering.np.unique", lambda _: np.arange(12))
    if draw == "calendar":
        figure = show.calendar.by_pid("demo", 2024, parcel.pid, bands="SCL")
    else:
        figure = show.chip_images.by_pid("demo", 2024, parcel.pid, "2024-03-01", "2024-10-30", "SCL")
    figure.draw_without_rendering()
    boxes = [legend.get_window_extent() for legend in figure.legends]
    assert len(figure.legends[-1].get_texts()) == 11
    assert min(box.y0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert boxes[-1].y1 <= boxes[-2].y0


def test_views_of_several_cards_stand_one_below_the_other(parcel):
    figure = show.chip_images.grid("demo", 2024, parcel.pid, "2024-04-01", "2024-04-30", ["SCL", "bs VH", "ndmi"])
    names = {text.get_text() for text in figure.texts}
    assert {"scene classes", "backscatter VH", "NDMI (B08, B11)"} <= names
    classes = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert {"cloud shadow", "thin cirrus"} & classes


@pytest.mark.slow
def test_calendars_from_the_command_line(parcel, tmp_path):
    whose = ["--aoi", "demo", "--year", "2024", "--pid", parcel.pid]
    for options in (["--cells", "histogram"], ["--cells", "scatter"], ["--bands", "bs VH"], ["--bands", "SCL"]):
        file = tmp_path / "x.png"
        answer = runner.invoke(app, ["show", "calendar", *whose, *options, "--out", str(file)])
        assert answer.exit_code == 0, answer.output
        assert file.exists()
        file.unlink()
    answer = runner.invoke(app, ["show", "calendar", *whose, "--cells", "pie", "--out", str(tmp_path / "x.png")])
    assert "choose images, histogram or scatter" in str(answer.exception)
    curve = tmp_path / "c.png"
    assert runner.invoke(app, ["show", "time-series", *whose, "--crop", "--out", str(curve)]).exit_code == 0
    assert curve.exists()


@pytest.mark.parametrize("band", ["B11", "SCL", "ndwi"])
def test_no_side_of_an_image_of_20_m_pixels_is_empty(parcel, band):
    for image in images(parcel, band).images.images:
        for pixels in image.bands.values():
            assert all(side.any() for side in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


# -- slides --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_slides_have_a_figure_each_or_say_why_there_is_none(lake, parcel, tmp_path, monkeypatch):
    monkeypatch.setattr(deck, "FIGURES", {title: deck.FIGURES[title] for title in SHOWN})
    other = lake.sql("select pid from parcels where pid <> $pid limit 1", pid=parcel.pid)["pid"][0].as_py()
    done = []
    path = report.slides(
        "demo", 2024, [parcel.pid, other], file=tmp_path / "x.pptx", progress=lambda *numbers: done.append(numbers)
    )
    slides = list(pptx.Presentation(path).slides)
    assert len(slides) == 2 * (1 + len(SHOWN))
    assert done[-1] == (2 * len(SHOWN),) * 2
    assert parcel.pid in slides[0].shapes[0].text_frame.text
    texts = {slide.shapes[0].text_frame.text: slide for slide in slides}
    ndvi = texts[f"{parcel.pid} · {SHOWN[0]}"]
    assert [shape.name for shape in ndvi.shapes][1:] == [SHOWN[0]]
    coherence = texts[f"{parcel.pid} · Coherence by day"]  # nothing of it is in this lake
    assert "no images of c6 VV" in coherence.shapes[1].text_frame.text
    inch = 914_400
    for shape in (shape for slide in slides for shape in slide.shapes):
        assert 0 <= shape.left < shape.left + shape.width <= 13.34 * inch
        assert 0 <= shape.top < shape.top + shape.height <= 7.51 * inch


def test_slides_of_a_parcel_without_a_crop_show_its_own_curves(lake, parcel, tmp_path, monkeypatch):
    title = SHOWN[0]
    monkeypatch.setattr(deck, "FIGURES", {title: deck.FIGURES[title]})
    monkeypatch.setattr(deck.Reading, "parcels", lambda *_: [replace(parcel, crop="", code="")])
    slides = list(pptx.Presentation(report.slides("demo", 2024, parcel.pid, file=tmp_path / "x.pptx")).slides)
    assert [shape.name for shape in slides[1].shapes][1:] == ["NDVI"]
    assert slides[1].shapes[0].text_frame.text == f"{parcel.pid} · NDVI"


def test_the_legend_counts_the_hollow_marks_that_are_drawn():
    rows = pd.DataFrame(
        {
            "time": pd.to_datetime(["2024-05-01", "2024-05-02"]),
            "value": 0.5,
            "low": 0.4,
            "high": 0.6,
            "cloud": [0.0, 1.0],
            "count": 9,
            "seen": True,
        }
    )
    lines = (panels.Line("a", "red", rows), panels.Line("b", "grey", rows, background=True))
    figure = curves.draw([panels.Panel("NDVI", lines, compared=True)], "two", "quartiles")
    assert "1 clouded" in [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_slides_of_unknown_parcels_or_into_other_files_are_refused(tmp_path, parcel):
    with pytest.raises(NotFoundError, match="no parcel 'nobody'"):
        report.slides("demo", 2024, "nobody", file=tmp_path / "x.pptx")
    with pytest.raises(InvalidInputError, match=r"slides are \.pptx"):
        report.slides("demo", 2024, parcel.pid, file=tmp_path / "x.pdf")
    assert not list(tmp_path.iterdir())


# -- the widget ----------------------------------------------------------------------------------------------------


def test_the_widget_shows_histograms_scatter_plots_and_the_crop(parcel):
    get.parcel_info.by_pid("demo", 2024, parcel.pid)
    view = view_panel.panel()
    view.parcels.aoi.value, view.parcels.year.value, view.parcels.pid.value = "demo", "2024", parcel.pid
    tabs = view.tabs
    forms = dict(zip(tabs.titles, tabs.children, strict=True))
    for cells in ("histograms", "scatter"):
        forms["calendar"].inputs["cells"].value = cells
        forms["calendar"].submit().result(120)
        assert not forms["calendar"].message.value
    series = forms["time series"]
    series.inputs["peers"].value, series.inputs["zoomable"].value = True, False
    series.submit().result(120)
    assert not series.message.value
