"""Interactive figures hold what the static ones hold: ranges, series, colours, marks, keys and crops."""

from datetime import datetime, timedelta

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.models import ColorBar, GlyphRenderer, HoverTool, Legend, Patch, Plot, Quad, Scatter, Text, WheelZoomTool
from bokeh.models import Line as Drawn
from matplotlib import colors
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle
from test_show import at_home, files, home  # noqa: F401 - fixtures

from cbm_lake import show
from cbm_lake.cards import palette
from cbm_lake.show import curves, series_panels, style, zooming
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.reading import Event, Reading

pytestmark = pytest.mark.thorough


def panels_of(drawn):
    """The panels of an interactive figure by their units, as bokeh has them."""
    found = hv.render(drawn, backend="bokeh").select({"type": Plot})
    return {plot.yaxis[0].axis_label: plot for plot in found if plot.renderers}


def days(values):
    """Days since 1970 of the times of either."""
    values = np.asarray(values)
    return values.astype("datetime64[ms]").astype(float) / 86_400_000 if values.dtype.kind in "MO" else values


def points(x, y):
    return list(zip(np.round(days(x), 4).tolist(), np.round(np.asarray(y, float), 9).tolist(), strict=True))


def interactive_points(plot, kind, colour, fits=lambda _: True):
    """Colours and points of the glyphs of a kind."""
    of_kind = [
        (each.glyph, each.data_source.data) for each in plot.select(GlyphRenderer) if isinstance(each.glyph, kind)
    ]
    found = [(getattr(g, colour).lower(), points(data[g.x], data[g.y])) for g, data in of_kind if fits(g)]
    return sorted((shade, where) for shade, where in found if where)


def static_points(axes, fits, colour):
    """Colours and points of the lines that fit."""
    lines = [line for line in axes.lines if fits(str(line.get_label())) and len(line.get_xdata())]
    return sorted((colors.to_hex(colour(line)), points(line.get_xdata(), line.get_ydata())) for line in lines)


def check(static, interactive):
    """Compare two figures of curves, panel by panel."""
    panels = panels_of(interactive)
    assert sorted(panels) == sorted(axes.get_title(loc="left") for axes in static.axes)
    for axes in static.axes:
        plot = panels[axes.get_title(loc="left")]
        ends = pd.to_datetime([plot.x_range.start, plot.x_range.end])
        assert days(ends) == pytest.approx(axes.get_xlim(), abs=1e-3)
        if axes.lines or axes.patches:
            assert (plot.y_range.start, plot.y_range.end) == pytest.approx(axes.get_ylim())
        _check_lines(axes, plot)
        _check_areas(axes, plot)
        assert isinstance(plot.toolbar.active_scroll, WheelZoomTool)
    _check_words(static, list(panels.values()))


def _check_lines(axes, plot):
    """Curves, points, hollow points, bars and events."""
    curve = static_points(axes, lambda label: label[0] != "_" or label == "_peers", lambda line: line.get_color())
    events = [line for line in axes.lines if str(line.get_label()).startswith("_child")]
    drawn = [each for each in interactive_points(plot, Drawn, "line_color") if each[0] != palette.INK]
    assert drawn == [each for each in curve if each[0] != palette.INK]
    dotted = [each for each in interactive_points(plot, Drawn, "line_color") if each[0] == palette.INK]
    assert sorted(where[0][0] for _, where in dotted) == sorted(round(days(line.get_xdata())[0], 4) for line in events)
    hollow = interactive_points(plot, Scatter, "line_color", lambda g: g.fill_color == "white")
    assert hollow == static_points(axes, lambda label: label == "_clouded", lambda line: line.get_markeredgecolor())
    filled = interactive_points(plot, Scatter, "fill_color", lambda g: g.fill_color != "white")
    assert filled == static_points(axes, lambda label: label == "_points", lambda line: line.get_color())
    bars = [each for each in axes.patches if isinstance(each, Rectangle) and each.get_height() != 1]
    quads = [each.data_source.data for each in plot.select(GlyphRenderer) if isinstance(each.glyph, Quad)]
    assert sorted(top for data in quads for top in data["top"]) == sorted(each.get_height() for each in bars)
    widths = [np.diff([days(data["left"]), days(data["right"])], axis=0).ravel() for data in quads]
    assert np.concatenate([*widths, []]) == pytest.approx([each.get_width() for each in bars])


def _check_areas(axes, plot):
    """Bands: what they enclose, how opaque they are."""
    bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
    areas = [
        (
            round(each.get_alpha(), 3),
            {(round(x, 4), round(y, 9)) for path in each.get_paths() for x, y in path.vertices},
        )
        for each in bands
        if _has_area(each)
    ]
    drawn = [
        (round(each.glyph.fill_alpha, 3), set(points(each.data_source.data["x"], each.data_source.data["y"])))
        for each in plot.select(GlyphRenderer)
        if isinstance(each.glyph, Patch) and each.glyph.fill_alpha
    ]
    assert sorted(alpha for alpha, _ in drawn) == sorted(alpha for alpha, _ in areas)
    for alpha, where in areas:
        assert any(alpha == other and where <= there for other, there in drawn)


def _check_words(static, plots):
    """Legend, in its order, heading, notes, names of events and tags."""
    keys = [[item.label.value for each in plot.select(Legend) for item in each.items] for plot in plots]
    entries = [text.get_text() for text in static.legends[0].get_texts()]
    assert sorted(key for of_panel in keys for key in of_panel) == sorted(entries)
    assert all(of_panel == sorted(of_panel, key=entries.index) for of_panel in keys)
    titles = "\n".join(plot.title.text for plot in plots)
    said = [static.get_suptitle(), static.legends[0].get_title().get_text()]
    texts = [text.get_text() for axes in static.axes for text in axes.texts]
    inside = {text.strip() for plot in plots for text in _texts(plot)}
    whole = " ".join([*titles.split(), *inside])
    assert all(word in whole for each in [*said, *texts] for word in each.split())


def _texts(plot):
    """Texts in a panel."""
    glyphs = [(each.glyph, each.data_source.data) for each in plot.select(GlyphRenderer)]
    return [text for glyph, data in glyphs if isinstance(glyph, Text) for text in data[glyph.text]]


def _has_area(band):
    return any(len(path.vertices) and np.isfinite(path.vertices).all() for path in band.get_paths())


KINDS = {
    "ndvi": lambda pid, **how: show.time_series.ndvi("ms", 2024, pid, **how),
    "all clouded": lambda pid, **how: show.time_series.ndvi("ms", 2024, pid, screen=(4, 9), **how),
    "bars": lambda pid, **how: show.time_series.ndvi("ms", 2024, pid, std=False, errorbar=True, **how),
    "lines of one": lambda pid, **how: show.time_series.ndvi("ms", 2024, pid, max_line_plots=1, **how),
    "s2": lambda pid, **how: show.time_series.s2("ms", 2024, pid, **how),
    "s1": lambda pid, **how: show.time_series.s1("ms", 2024, pid, **how),
}


@pytest.mark.parametrize("pid", ["0012", ["0012", "12"]], ids=["one", "several"])
@pytest.mark.parametrize("kind", KINDS)
def test_curves_have_the_ranges_series_colours_and_key_of_the_static_figure(kind, pid):
    assert panels_of(KINDS[kind](pid, interactive=True))
    check(KINDS[kind](pid), KINDS[kind](pid, interactive=True))


def rows(values, *, cloud=0.0, first=datetime(2024, 3, 1), spread=0.1):
    """A curve of a value every tenth day."""
    count = len(values)
    values = np.asarray(values, float)
    clouds = np.broadcast_to(np.asarray(cloud, float), count)
    times = pd.to_datetime([first + timedelta(days=10 * number) for number in range(count)])
    return pd.DataFrame(
        {"time": times, "value": values, "low": values - spread, "high": values + spread, "cloud": clouds, "count": 9.0}
    )


WORK = [Event("mowing", *pd.to_datetime(["2024-02-01", "2024-03-12", "2024-05-20"]))]
NOTHING = rows([])
MANY = tuple(
    Line(f"parcel {number}", style.curve_colour(number), rows([0.1 * number, 0.5]), style.dash(number))
    for number in range(9)
)
FIGURES = {
    "coherence beside backscatter": [
        Panel("backscatter (dB)", (Line("VV", palette.BLUE, rows([-12, -9])),), (-22, -8)),
        Panel("six-day coherence", (Line("VV", palette.BLUE, rows([0.2, 0.9])),), (0, 1)),
    ],
    "clouds brighter than the panel": [
        Panel("NDVI", (Line("clear", palette.NDVI, rows([0.1, 0.4, 3.0], cloud=[0, 0, 1])),), (0, 1))
    ],
    "one observation": [Panel("NDVI", (Line("clear", palette.NDVI, rows([0.3])),), (0, 1))],
    "work and the crop": [
        Panel(
            "NDVI",
            (Line("clear", palette.NDVI, rows([0.1, 0.4])),),
            (0, 1),
            events=WORK,
            peers=(Line("wheat, 12 others", palette.PALE, rows([0.2, 0.9], first=datetime(2024, 1, 5)), ":"),),
        )
    ],
    "many parcels": [Panel("NDVI", MANY, (0, 1), compared=True)],
    "bands alone": [
        Panel("NDVI", (MANY[0], Line("b", palette.PALE, rows([0.3, 0.4]), background=True)), (0, 1), compared=True)
    ],
    "one without data": [Panel("NDVI", (MANY[0], Line("none", palette.RED, NOTHING)), (0, 1), compared=True)],
    "an empty panel": [
        Panel("backscatter (dB)", (Line("VV", palette.BLUE, NOTHING),), (-22, -8), "no bs statistics"),
        Panel("six-day coherence", (Line("VV", palette.BLUE, rows([0.2, 0.9])),), (0, 1)),
    ],
}


@pytest.mark.parametrize("kind", FIGURES)
def test_what_figures_may_hold_is_the_same_in_both(kind):
    static = curves.draw(FIGURES[kind], "heading", "quartiles")
    assert len(static.axes) == len(FIGURES[kind])
    check(static, zooming.interactive(FIGURES[kind], "heading", "quartiles"))


@pytest.mark.parametrize("parcels", [1, 2])
def test_weather_is_the_same_in_both_with_its_days(parcels):
    pids, frames = ["0012", "12"][:parcels], [weather_rows(number) for number in range(parcels)]
    declared = Reading.of(None).parcels("ms", 2024, pids)
    panels = [series_panels.temperature(declared, frames), series_panels.precipitation(declared, frames)]
    drawn = zooming.interactive(panels, "heading", "quartiles")
    check(curves.draw(panels, "heading", "quartiles"), drawn)
    told = [data for plot in panels_of(drawn).values() for data in _told(plot)]
    assert all("1 March 2024" in data for data in told)
    assert len(told) == 2 * parcels


def test_a_sum_of_rain_ends_before_the_first_day_that_is_missing_and_nothing_known_is_said_to_be():
    pids, gap = ["0012", "12"], weather_rows(0).drop(index=1)
    unknown = weather_rows(1).assign(prec=[1.0, np.nan, 2.0], tmean=np.nan)
    declared = Reading.of(None).parcels("ms", 2024, pids)
    rain = series_panels.precipitation(declared, [gap, unknown])
    assert [line.rows["value"].tolist() for line in rain.lines] == [[0.0], [1.0]]
    one = series_panels.temperature(declared[:1], [unknown])
    assert one.empty
    assert one.missing == "no temperature in this lake"


def _told(plot):
    """What tooltips say of the days."""
    glyphs = [each.data_source.data for each in plot.select(GlyphRenderer)]
    return [list(data["told_0"]) for data in glyphs if "told_0" in data]


def weather_rows(number):
    """Three days of weather."""
    days = pd.date_range("2024-03-01", periods=3)
    return pd.DataFrame({"time": days, "tmin": [1.0, 2, number], "tmean": 5.0, "tmax": 9.0, "prec": [0.0, 3.5, 12]})


def test_a_tooltip_tells_the_date_value_clouds_and_why_a_look_does_not_count():
    curve = rows([0.1, 0.4, 0.5, 0.6], cloud=[0.24, 0, 0.005, np.nan]).assign(clear_part=[True, False, False, False])
    curve["why_not"] = [None, None, "cloudy", "unknown"]
    panel = Panel("NDVI", (Line("clear", palette.NDVI, curve),), (0, 1))
    (plot,) = panels_of(zooming.interactive([panel], "", "")).values()
    points = [each for each in plot.select(GlyphRenderer) if isinstance(each.glyph, Scatter)]
    told = {}
    for each in points:
        tool = next(tool for tool in plot.select(HoverTool) if each in tool.renderers)
        columns = {label: list(each.data_source.data[column[2:-1]]) for label, column in tool.tooltips}
        told |= {
            date: [columns[name][n] for name in columns if name != "date"] for n, date in enumerate(columns["date"])
        }
    assert told == {
        "1 March 2024": ["0.1", "0 to 0.2", "24 %; of the clear part", "9"],
        "11 March 2024": ["0.4", "0.3 to 0.5", "0 %", "9"],
        "21 March 2024": ["0.5", "0.4 to 0.6", "1 %", "9", "clouded"],
        "31 March 2024": ["0.6", "0.5 to 0.7", "not known", "9", "not known"],
    }


def test_panels_move_together_in_time_and_each_has_its_own_values():
    one, other = panels_of(zooming.interactive(FIGURES["coherence beside backscatter"], "", "")).values()
    assert one.x_range.id == other.x_range.id
    assert one.y_range.id != other.y_range.id


def test_the_calendars_curve_reaches_over_its_months():
    static = show.calendar.by_pid("ms", 2024, "0012")
    plot = panels_of(show.calendar.by_pid("ms", 2024, "0012", interactive=True))["NDVI"]
    ends = pd.to_datetime([plot.x_range.start, plot.x_range.end])
    assert days(ends) == pytest.approx(static.axes[-1].get_xlim())


@pytest.mark.parametrize("bands", ["ndvi", "true colour", "SCL"])
def test_images_have_the_pixels_crop_outline_and_key_of_the_static_sheet(bands):
    asked = "ms", 2024, "0012", "2024-03-01", "2024-04-30", bands
    static, maps = show.chip_images.by_pid(*asked), show.chip_images.by_pid(*asked, interactive=True)
    sheets = [axes for axes in static.axes if axes.images]
    assert len(sheets) == len(maps)
    for axes, frame in zip(sheets, maps, strict=True):
        pixels = np.dstack([frame.RGB.I.dimension_values(number, flat=False) for number in range(2, 5)])[::-1]
        assert np.array_equal(pixels.astype(int), np.asarray(axes.images[0].get_array())[..., :3].astype(int))
        shown = frame.opts.get("plot").kwargs
        assert (*shown["xlim"], *shown["ylim"]) == (*axes.get_xlim(), *axes.get_ylim())
        outline = next(line for line in axes.lines if line.get_label() == "_outline")
        assert np.array_equal(np.column_stack(outline.get_data()), np.asarray(frame.Path.I.data[0])[:, :2])
    (plot,) = panels_of(maps).values()
    if bands == "ndvi":
        (bar,) = plot.select(ColorBar)
        scale = static.axes[-1].get_xlim()
        assert (bar.color_mapper.low, bar.color_mapper.high) == pytest.approx(scale)
    if bands == "SCL":
        keys = {item.label.value for each in plot.select(Legend) for item in each.items}
        assert keys == {text.get_text() for text in static.legends[-1].get_texts()}
