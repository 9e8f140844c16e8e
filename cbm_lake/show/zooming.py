"""Time series panels in bokeh (by holoviews) for notebooks: they can be zoomed, and observations say what they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from cbm_lake.cards import observation, palette
from cbm_lake.show import computing, notebooks, style
from cbm_lake.show import panels as content
from cbm_lake.show.panels import Entry, Layer, Panel
from cbm_lake.show.style import Interactive

if TYPE_CHECKING:
    import pandas as pd

    from cbm_lake.show.reading import Event

_DASHES: Final = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dashdot"}
_LONG: Final = 36
"""Letters of a label beside the panels."""
_PER_POINT: Final = 100 / 72
"""Pixels of a point: a figure is as wide as the static one at 100 pixels an inch."""
_LEFT: Final = {"bottom": "left", "top": "right"}
_BOTTOM: Final = {"right": "bottom", "left": "top"}
_TICKS: Final[style.Look] = {"hours": "%-d %b, %H:%M", "days": "%-d %b", "months": "%b %Y", "years": "%Y"}
_TICKS_OF_ANY_YEAR: Final[style.Look] = {"hours": "%-d %b", "days": "%-d %b", "months": "%b", "years": "%b"}


@dataclass(frozen=True)
class _Key:
    """What the elements of one panel are called in the figure's key; each entry is named by one element."""

    number: int
    """Of the panel."""
    panel: Panel
    unnamed: list[Entry]
    """Entries that no element of this or an earlier panel has yet."""

    def label(self, kind: str, name: str = "") -> str:
        """The label for an element of a kind, of the line of that name; "" where another element has it."""
        for entry in self.unnamed:
            if entry.kind == kind and name in ("", entry.name):
                self.unnamed.remove(entry)
                return entry.label
        return ""

    def column(self, name: str) -> Any:
        """A column of values, by a name of this panel alone: holoviews links axes of the same name and unit."""
        return notebooks.drawing().Dimension(f"{name}_{self.number}", label=name, unit=self.panel.unit)


def interactive(
    panels: Sequence[Panel], heading: str, spread: str, days: tuple[float, float] | None = None
) -> Interactive:
    """Interactive version of `curves.draw`: zoom, and a tooltip for each observation.

    Args:
        panels: one below the other, on one axis of time.
        heading: above them.
        spread: what the bands are.
        days: since 1970, from which to which they reach; None is `panels.span`.
    """
    hv = notebooks.drawing()
    entries = content.entries(panels, spread)
    labels = [entry.label for entry in entries]
    first, last = (datetime(1970, 1, 1) + timedelta(days=day) for day in days or content.span(panels))
    elements = []
    for number, panel in enumerate(panels):
        key, legend = _Key(number, panel, entries), _Legend.of(labels, below=number > 0)
        overlay = hv.Overlay([*_panel(key), *_tags(key, last)])
        title = _title(panel, "" if number else heading)
        look = {"hooks": [_in_order(labels)], "height": _height(panel, len(panels), legend.height)}
        elements.append(overlay.opts(xlim=(first, last), title=title, **look, **legend.options, **_look(panel)))
    figure: Interactive = elements[0] if len(elements) == 1 else hv.Layout(elements).cols(1).opts(merge_tools=False)
    return figure


def _look(panel: Panel) -> dict[str, Any]:
    """Options of holoviews for a panel, whatever it stands beside."""
    return {
        "xlabel": "",
        "ylabel": panel.unit,
        "ylim": (0, 1) if panel.empty else content.limits_of(panel),
        "width": 900,
        "xformatter": _ticks(panel),
        "show_grid": True,
        "active_tools": ["wheel_zoom"],
    }


class _Legend(NamedTuple):
    """Where the legend stands: beside the panels, or below the first where it would take half of their width."""

    options: dict[str, Any]
    height: int = 0
    """Pixels that it takes of the first panel."""

    @classmethod
    def of(cls, labels: Sequence[str], *, below: bool) -> _Legend:
        """That of these labels; `below` the first panel are others, which have few."""
        if max(map(len, labels), default=0) <= _LONG:
            return cls({"legend_position": "right"})
        columns = style.columns(labels, 4, 7.0)
        height = 0 if below else 20 + 26 * -(-len(labels) // columns)
        return cls({"legend_position": "bottom", "legend_cols": columns}, height)


def _in_order(labels: Sequence[str]) -> Any:
    """A hook that orders a panel's legend as that of the static figure is, and gives each panel its own tools."""

    def hook(plot: Any, _: Any) -> None:
        plot.state.toolbar_location = "right"
        for legend in plot.state.legend:
            legend.items = sorted(legend.items, key=lambda item: labels.index(item.label.value))

    return hook


def _height(panel: Panel, panels: int, legend: int) -> int:
    """Pixels of one of several panels; notes stand above."""
    return (380 if panels == 1 else 260) + 20 * len(panel.notes) + legend


def _ticks(panel: Panel) -> Any:
    """Dates on the axis of time, which has no years where these are compared."""
    from bokeh.models import DatetimeTickFormatter

    return DatetimeTickFormatter(**(_TICKS_OF_ANY_YEAR if panel.by_year else _TICKS))


def _title(panel: Panel, heading: str) -> str:
    """The heading, with what is not drawn and why."""
    words = panel.missing if panel.empty else content.NONE_CLEAR if panel.all_hidden else ""
    return "\n".join([*filter(None, [" · ".join(filter(None, [heading, words]))]), *panel.notes])


# -- layers -----------------------------------------------------------------------------------------------------------


def _panel(key: _Key) -> Iterator[Interactive]:
    """The elements of a panel, from bottom to top."""
    for event in key.panel.events if not key.panel.empty else ():
        yield from _event(event, key)
    for layer in content.layers(key.panel):
        yield _ELEMENTS[layer.kind](layer, key, key.label(*layer.entry))


def _event(event: Event, key: _Key) -> Iterator[Interactive]:
    """An event: its possible days, its likeliest day and its name, where that hides fewest points."""
    hv, (low, high) = notebooks.drawing(), content.limits_of(key.panel)
    yield hv.VSpan(event.first, event.last).opts(color=palette.PALE, alpha=0.1)
    ends = {"time": [event.day] * 2, key.column("value").name: (low, high)}
    line = hv.Curve(ends, "time", key.column("value"), label=key.label("work"))
    yield line.opts(color=palette.INK, line_dash="dotted", line_width=1)
    share, vertical, side = content.label_position(key.panel, (low, high), event)
    # of text that is turned its own left is below, and its own bottom is at the left
    look = {"text_align": _LEFT[vertical], "text_baseline": _BOTTOM[side], "angle": 90, "text_font_size": "9pt"}
    text = hv.Text(event.day, low + share * (high - low), f" {event.name}")
    yield text.opts(text_color=palette.INK, **look)


def _tags(key: _Key, end: datetime) -> Iterator[Interactive]:
    """What lines are called, at the right edge, clear of each other."""
    hv, tags = notebooks.drawing(), content.tags_of(key.panel) if not key.panel.empty else []
    for line, _, height in tags:
        low, high = content.limits_of(key.panel)
        text = hv.Text(end, low + height * (high - low), f"{line.tag} ")
        look = {"text_align": "right", "text_baseline": "middle", "text_font_size": "9pt"}
        yield text.opts(text_color=line.colour, **look)


def _is_peers(layer: Layer) -> bool:
    return layer.entry[0] == "peers"


def _band(layer: Layer, key: _Key, label: str) -> Interactive:
    """The area between the low and high values."""
    low, high = key.column("low"), key.column("high")
    rows = _named(layer.rows, {low.name: layer.rows["low"], high.name: layer.rows["high"]})
    area: Interactive = notebooks.drawing().Area(rows, "time", [low, high], label=label)
    return area.opts(fill_color=layer.colour, fill_alpha=layer.opacity, line_alpha=0)


def _curve(layer: Layer, key: _Key, label: str) -> Interactive:
    """Values joined; where they are not marked the line says what they are."""
    tooltip = {} if key.panel.marks or _is_peers(layer) else _tooltip(layer, key)
    look = {"color": layer.colour, "line_dash": _DASHES[layer.dash], "line_alpha": layer.opacity}
    curve: Interactive = notebooks.drawing().Curve(*_table(layer, key, tooltip), label=label)
    return curve.opts(line_width=layer.width, **look, **(_hover(tooltip) if tooltip else {}))


def _points(layer: Layer, key: _Key, label: str) -> Interactive:
    """Observations, filled, or hollow where they do not count."""
    tooltip, look = _tooltip(layer, key), {"color": layer.colour}
    if layer.kind == "hollow":
        look = {"fill_color": "white", "line_color": layer.colour}
    points: Interactive = notebooks.drawing().Scatter(*_table(layer, key, tooltip), label=label)
    size = round(layer.size * _PER_POINT, 1)
    return points.opts(size=size, line_alpha=layer.opacity, **look, **_hover(tooltip))


def _errors(layer: Layer, key: _Key, label: str) -> Interactive:
    """A bar from low to high at each value."""
    columns = [key.column(name) for name in ("value", "below", "above")]
    values = (layer.rows["value"], *content.errors(layer.rows))
    rows = _named(layer.rows, {column.name: part for column, part in zip(columns, values, strict=True)})
    bars: Interactive = notebooks.drawing().ErrorBars(rows, "time", columns, label=label)
    return bars.opts(color=layer.colour, line_width=layer.width, line_alpha=layer.opacity)


def _bars(layer: Layer, key: _Key, label: str) -> Interactive:
    """A bar from 0 to each value, as wide as most of a day."""
    import pandas as pd

    hv, half, value, bottom = notebooks.drawing(), pd.Timedelta(days=content.BAR / 2), *map(key.column, ("value", "0"))
    times, tooltip = layer.rows["time"], _tooltip(layer, key)
    sides = {"time": times - half, bottom.name: 0.0, "end": times + half, value.name: layer.rows["value"]}
    rows = _named(layer.rows, {**sides, **_columns(tooltip)})
    bars: Interactive = hv.Rectangles(rows, ["time", bottom, "end", value], list(_columns(tooltip)), label=label)
    return bars.opts(color=layer.colour, line_alpha=0, **_hover(tooltip))


_ELEMENTS: Final = {
    "band": _band,
    "curve": _curve,
    "points": _points,
    "hollow": _points,
    "errors": _errors,
    "bars": _bars,
}


def _named(rows: pd.DataFrame, columns: dict[str, Any]) -> pd.DataFrame:
    """A table of the times and other columns."""
    return rows[["time"]].assign(**columns)


def _table(layer: Layer, key: _Key, tooltip: dict[str, pd.Series[str]]) -> tuple[pd.DataFrame, str, list[Any]]:
    """Values as they are drawn, with what tooltips say of them; the time; and the other columns."""
    value, columns = key.column("value"), _columns(tooltip)
    return _named(layer.rows, {value.name: layer.values, **columns}), "time", [value, *columns]


def _columns(tooltip: dict[str, pd.Series[str]]) -> dict[str, pd.Series[str]]:
    """Columns of a tooltip, by names that bokeh understands."""
    return {f"told_{number}": text for number, text in enumerate(tooltip.values())}


def _tooltip(layer: Layer, key: _Key) -> dict[str, pd.Series[str]]:
    """What a tooltip says of each row, by label."""
    rows, unit = layer.rows, key.panel.unit
    tooltip = {"date": rows["date"] if "date" in rows else rows["time"].dt.strftime("%-d %B %Y")}
    tooltip[unit] = rows["value"].map("{:.4g}".format)
    if rows["low"].notna().any():
        tooltip["band"] = rows["low"].map("{:.4g}".format) + " to " + rows["high"].map("{:.4g}".format)
    if "cloud" in rows:
        tooltip["clouds"] = rows["cloud"].map(computing.share_words).astype(object) + _of_part(rows)
        tooltip["pixels"] = rows["count"].map("{:,.0f}".format)
    if layer.kind == "hollow":
        tooltip["not used"] = [observation.WHY_NOT[reason] for reason in computing.reasons(rows)]
    return tooltip


def _of_part(rows: pd.DataFrame) -> Any:
    """Says of which rows the numbers are those of the clear part alone."""
    part = rows["clear_part"] if "clear_part" in rows else np.zeros(len(rows), bool)
    return np.where(part, "; of the clear part", "")


def _hover(tooltip: dict[str, pd.Series[str]]) -> dict[str, Any]:
    """Options of the tooltip that says it."""
    return {"tools": ["hover"], "hover_tooltips": [(name, f"@told_{n}") for n, name in enumerate(tooltip)]}
