"""Interactive figures hold what the static ones hold: ranges, series, colours, marks, keys and crops."""

from datetime import datetime, timedelta

import holoviews as hv
import numpy as np
import pandas as pd
import pytest
from bokeh.models import ColorBar, GlyphRenderer, Legend, Patch, Plot, Scatter
from bokeh.models import Line as Drawn
from matplotlib import colors
from matplotlib.collections import PolyCollection
from test_show import at_home, files, home  # noqa: F401 - fixtures

from cbm_lake import show
from cbm_lake.cards import palette
from cbm_lake.show import curves, style, zooming
from cbm_lake.show.curves import Line, Panel
from cbm_lake.show.reading import Event


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
        curve = static_points(axes, lambda label: label[0] != "_" or label == "_peers", lambda line: line.get_color())
        work = [each for each in interactive_points(plot, Drawn, "line_color") if each[0] != palette.INK]
        assert work == curve
        if axes.lines or axes.patches:
            assert (plot.y_range.start, plot.y_range.end) == pytest.approx(axes.get_ylim())
        hollow = interactive_points(plot, Scatter, "line_color", lambda g: g.fill_color == "white")
        assert hollow == static_points(axes, lambda label: label == "_clouded", lambda line: line.get_markeredgecolor())
        bands = [each for each in axes.collections if isinstance(each, PolyCollection)]
        drawn = [each.glyph for each in plot.select(GlyphRenderer) if isinstance(each.glyph, Patch)]
        assert sorted(round(glyph.fill_alpha, 3) for glyph in drawn if glyph.fill_alpha) == sorted(
            round(each.get_alpha(), 3) for each in bands if _has_area(each)
        )
    keys = [item.label.value for plot in panels.values() for each in plot.select(Legend) for item in each.items]
    assert sorted(keys) == sorted(text.get_text() for text in static.legends[0].get_texts())


def _has_area(band):
    return any(len(path.vertices) and np.isfinite(path.vertices).all() for path in band.get_paths())


KINDS = {
    "ndvi": lambda pid, **how: show.time_series.ndvi("ms", 2024, pid, **how),
    "all clouded": lambda pid, **how: show.time_series.ndvi("ms", 2024, pid, screen=(4, 9), **how),
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


def test_bars_stand_on_the_same_range():
    bars = [Panel("mm", (Line("rain", palette.BLUE, rows([3.0, 12.0])),), (0, 5), bars=True, marks=False)]
    static, plot = curves.draw(bars, "heading", ""), panels_of(zooming.interactive(bars, "heading", ""))["mm"]
    assert (plot.y_range.start, plot.y_range.end) == pytest.approx(static.axes[0].get_ylim())
    tops = plot.renderers[0].data_source.data["y1"]
    assert sorted(tops) == sorted(patch.get_height() for patch in static.axes[0].patches)


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
