"""Time series panels in matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from cbm_lake.cards import palette
from cbm_lake.show import panels as content
from cbm_lake.show import style
from cbm_lake.show.panels import Entry, Layer, Panel
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_TALL: Final = 3.2
"""Inches of a single panel."""


def draw(panels: Sequence[Panel], heading: str, spread: str) -> Page:
    """Draw panels stacked on one time axis under a heading; `spread` describes the bands."""
    height = 1.35 + (_TALL if len(panels) == 1 else 2.3 * len(panels))
    names = content.names(panels)
    height += 0.2 * max(0, len(names) // 3)
    figure = style.figure(style.WIDTH, height)
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        draw_panel(axes, panel)
    rows[-1].set_xlim(*content.span(panels))
    if panels[0].by_year:
        style.month_axis(rows[-1])
    else:
        style.date_axis(rows[-1])
    title = style.fitted(heading, style.WIDTH - 0.3)
    figure.suptitle(title, x=0.012, ha="left", size=style.TITLE, color=palette.INK, weight="bold")
    _key(figure, panels, names, spread)
    return figure


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw one panel: unit above, lines, or the reason why there are none."""
    style.frame(axes)
    axes.set_title(panel.unit, loc="left", size=style.TEXT, color=palette.PALE)
    if panel.empty:
        axes.set_yticks([])
        style.say(axes, panel.missing)
        return
    limits = content.limits_of(panel)
    for rank, layer in enumerate(content.layers(panel)):
        _layer(axes, layer, 1 + rank / 100)
    axes.set_ylim(limits)
    _events(axes, panel, limits)
    _tags(axes, panel)
    if panel.all_hidden:
        look: style.Look = {"size": style.TEXT, "color": palette.PALE, "backgroundcolor": "white"}
        axes.text(0.5, 0.94, content.NONE_CLEAR, transform=axes.transAxes, ha="center", va="top", **look)


def _layer(axes: Axes, layer: Layer, zorder: float) -> None:
    """Draw a layer; labels that begin with _ are in no legend of matplotlib's own."""
    rows, kind, name = layer.rows, *layer.entry
    times = rows["time"]
    look: style.Look = {"color": layer.colour, "alpha": layer.opacity, "zorder": zorder}
    marker: style.Look = {"marker": "o", "linestyle": "", "markersize": layer.size, "zorder": zorder}
    match layer.kind:
        case "band":
            axes.fill_between(times, rows["low"], rows["high"], linewidth=0, label=f"_{kind or 'band'}", **look)
        case "bars":
            axes.bar(times, rows["value"], width=content.BAR, **look)
        case "errors":
            bars: style.Look = {"fmt": "none", "elinewidth": layer.width, "capsize": 3, "label": "_errors"}
            axes.errorbar(times, rows["value"], content.errors(rows), ecolor=layer.colour, **bars, **look)
        case "curve":
            label = "_peers" if kind == "peers" else name
            axes.plot(times, rows["value"], layer.dash, linewidth=layer.width, label=label, **look)
        case "points":
            edges: style.Look = {"markeredgecolor": "white", "markeredgewidth": layer.size / 12, "label": "_points"}
            axes.plot(times, rows["value"], color=layer.colour, **marker, **edges)
        case "hollow":
            edges = {"markerfacecolor": "white", "markeredgecolor": layer.colour, "markeredgewidth": 0.9}
            edges |= {"alpha": layer.opacity, "clip_on": False, "label": "_clouded"}
            axes.plot(times, layer.values, **marker, **edges)


def _events(axes: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    """Draw events: a dotted line on the likeliest day, the name beside, a pale band over the possible days."""
    for event in panel.events:
        axes.axvspan(event.first, event.last, color=palette.PALE, alpha=0.1, linewidth=0, zorder=0)
        axes.axvline(event.day, color=palette.INK, linestyle=":", linewidth=1, zorder=1)
        height, vertical, side = content.label_position(panel, limits, event)
        look: style.Look = {"rotation": 90, "va": vertical, "ha": side, "transform": axes.get_xaxis_transform()}
        axes.text(event.day, height, f" {event.name}", size=style.SMALL, color=palette.INK, **look)


def _tags(axes: Axes, panel: Panel) -> None:
    """Write what lines are called into the right margin, each tied to the end of its line and clear of the others."""
    for line, end, height in content.tags_of(panel):
        tie: style.Look = {"arrowstyle": "-", "color": line.colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 2}
        look: style.Look = {"size": style.SMALL, "color": palette.INK, "va": "center", "annotation_clip": False}
        where: style.Look = {"xytext": (1.015, height), "textcoords": "axes fraction", "arrowprops": tie}
        axes.annotate(line.tag, (end["time"], end["value"]), **where, **look)


def _key(figure: Page, panels: Sequence[Panel], names: dict[str, content.Line], spread: str) -> None:
    """Draw the legend below the panels, under the notes."""
    keys = content.entries(panels, spread)
    columns = style.columns([entry.label for entry in keys], 3 if len(names) > 2 else 4)
    look: style.Look = {"fontsize": style.SMALL, "labelcolor": palette.INK, "handlelength": 1.6, "frameon": False}
    if missing := content.notes(panels):
        words = "\n".join(style.fitted(note, style.WIDTH - 0.3, style.SMALL) for note in missing)
        look |= {"title": words, "title_fontsize": style.SMALL, "alignment": "left"}
    legend = figure.legend(handles=[_handle(entry) for entry in keys], loc="outside lower left", ncols=columns, **look)
    legend.get_title().set_color(palette.PALE)


def _handle(entry: Entry) -> Artist:
    """A legend entry as a matplotlib artist."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if entry.kind in ("band", "behind"):
        alpha = 0.25 if entry.kind == "band" else 0.12
        return Patch(color=entry.colour, alpha=alpha, linewidth=0, label=entry.label)
    if entry.kind == "hollow":
        look: style.Look = {"marker": "o", "markersize": 5, "markerfacecolor": "white"}
        return Line2D([], [], linestyle="", label=entry.label, markeredgecolor=entry.colour, **look)
    width = {"line": 2.0, "peers": 1.2, "work": 1.0}[entry.kind]
    return Line2D([], [], color=entry.colour, linestyle=entry.dash, linewidth=width, label=entry.label)
