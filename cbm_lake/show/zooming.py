"""Interactive time series for notebooks (hvplot, holoviews), with the limits, colours and legend of the static ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cbm_lake.cards import palette
from cbm_lake.show import computing, curves, style
from cbm_lake.show.curves import Entry, Line, Panel
from cbm_lake.show.style import Interactive

if TYPE_CHECKING:
    import pandas as pd

    from cbm_lake.show.reading import Event

_DASHES: Final = {"-": "solid", "--": "dashed", ":": "dotted", "-.": "dashdot"}
_LONG: Final = 36
"""Letters of a label beside the panels."""
_VALUES: Final = ("value", "low", "high", "position", "below", "above")
"""Columns in the unit of a panel."""


@dataclass(frozen=True)
class _Key:
    """What the elements of one panel are called in the figure's key; each entry is named by one element."""

    number: int
    """Of the panel."""
    unit: str
    """Of the panel's values: holoviews takes axes of the same name and unit for one."""
    unnamed: list[Entry]
    """Entries that no element of this or an earlier panel has yet."""

    def __call__(self, kind: str, name: str = "") -> str:
        """The label for an element of a kind, of the line of that name; "" where another element has it."""
        for entry in self.unnamed:
            if entry.kind == kind and name in ("", entry.name):
                self.unnamed.remove(entry)
                return entry.label
        return ""

    def column(self, name: str) -> Any:
        """A column of values, by a name of this panel alone."""
        import holoviews as hv

        column = f"{name}_{self.number}" if self.number else name
        return hv.Dimension(column, label=name, unit=self.unit if name in _VALUES else None)

    def curve(self, rows: pd.DataFrame, label: str, **look: Any) -> Interactive:
        """A line through the values of the rows."""
        import hvplot.pandas  # noqa: F401 - data frames get .hvplot

        value = self.column("value")
        options = {"x": "time", "y": value.name, "label": label, "hover": False, "legend": bool(label)}
        line: Interactive = self.table(rows).hvplot.line(**options, **look).redim(**{value.name: value})
        return line

    def band(self, rows: pd.DataFrame, label: str, **look: Any) -> Interactive:
        """The area between the low and high values of the rows."""
        import hvplot.pandas  # noqa: F401 - data frames get .hvplot

        low, high = self.column("low"), self.column("high")
        options = {"x": "time", "y": low.name, "y2": high.name, "label": label, "hover": False, "legend": bool(label)}
        area = self.table(rows).hvplot.area(**options, stacked=False, line_alpha=0)
        band: Interactive = area.redim(**{low.name: low, high.name: high}).opts(**look)
        return band

    def table(self, rows: pd.DataFrame, **others: Any) -> pd.DataFrame:
        """The rows under those names."""
        rows = rows.assign(**others)
        return rows.rename(columns={name: self.column(name).name for name in rows.columns if name != "time"})


def interactive(
    panels: Sequence[Panel], heading: str, spread: str, days: tuple[float, float] | None = None
) -> Interactive:
    """Interactive version of `curves.draw`: zoom, and a tooltip for each observation.

    Args:
        panels: one below the other, on one axis of time.
        heading: above them.
        spread: what the bands are.
        days: since 1970, from which to which they reach; None is `curves.span`.
    """
    import holoviews as hv

    hv.extension("bokeh", logo=False)
    unnamed = curves.entries(panels, spread)
    legend = _Legend.of([entry.label for entry in unnamed])
    span = tuple(datetime(1970, 1, 1) + timedelta(days=day) for day in days or curves.span(panels))
    elements = []
    for number, panel in enumerate(panels):
        elements.append(
            hv.Overlay(list(_panel(panel, _Key(number, panel.unit, unnamed)))).opts(
                xlabel="",
                ylabel=panel.unit,
                xlim=span,
                ylim=(0, 1) if panel.empty else curves.limits_of(panel),
                title=_title(panel, "" if number else heading),
                width=900,
                height=_height(panel, len(panels), 0 if number else legend.height),
                **legend.options,
                show_grid=True,
                active_tools=[],
                **_axis(panel),
            )
        )
    figure: Interactive = elements[0] if len(elements) == 1 else hv.Layout(elements).cols(1)
    return figure


class _Legend(NamedTuple):
    """Where the legend stands: beside the panels, or below the first where it would take half of their width."""

    options: dict[str, Any]
    height: int = 0
    """Pixels that it takes of the first panel."""

    @classmethod
    def of(cls, labels: Sequence[str]) -> _Legend:
        if max(map(len, labels), default=0) <= _LONG:
            return cls({"legend_position": "right"})
        columns = style.columns(labels, 4, 7.0)
        return cls({"legend_position": "bottom", "legend_cols": columns}, 20 + 26 * -(-len(labels) // columns))


def _height(panel: Panel, panels: int, legend: int) -> int:
    """Pixels of one of several panels; notes stand above."""
    return (380 if panels == 1 else 260) + 20 * len(panel.notes) + legend


def _axis(panel: Panel) -> dict[str, Any]:
    """Options of the time axis, which has no years where these are compared."""
    if not panel.by_year:
        return {}
    from bokeh.models import DatetimeTickFormatter

    formatter = DatetimeTickFormatter(years="%b", months="%b", days="%-d %b", hours="%-d %b")
    return {"xformatter": formatter}


def _hover(panel: Panel, key: _Key) -> dict[str, Any]:
    """Options of a tooltip: of years that are compared with the true date."""
    if not panel.by_year:
        return {"tools": ["hover"]}
    return {"tools": ["hover"], "hover_tooltips": [("date", "@date"), (panel.unit, f"@{key.column('value').name}")]}


def _title(panel: Panel, heading: str) -> str:
    """The heading, with what is not drawn and why."""
    words = panel.missing if panel.empty else curves.NONE_CLEAR if panel.all_hidden else ""
    return "\n".join([*filter(None, [" · ".join(filter(None, [heading, words]))]), *panel.notes])


def _panel(panel: Panel, key: _Key) -> Iterator[Interactive]:
    """The layers of a panel, from bottom to top."""
    for line in panel.peers:
        yield from _peers(line, key)
    for line in panel.lines:
        yield from _line(line, panel, key)
    for event in panel.events if not panel.empty else ():
        yield from _event(event, panel, key)


def _event(event: Event, panel: Panel, key: _Key) -> Iterator[Interactive]:
    """An event: its likeliest day, name and possible days."""
    import holoviews as hv

    yield hv.VSpan(event.first, event.last).opts(color=palette.PALE, alpha=0.1)
    ends = {"time": [event.day] * 2, key.column("value").name: curves.limits_of(panel)}
    line = hv.Curve(ends, "time", key.column("value"), label=key("work"))
    yield line.opts(color=palette.INK, line_dash="dotted", line_width=1)
    look = {"angle": 90, "text_align": "left", "text_baseline": "bottom", "text_font_size": "9pt"}
    text = hv.Text(event.day, curves.limits_of(panel)[0], f" {event.name}")
    yield text.opts(**look, text_color=palette.INK)


def _peers(line: Line, key: _Key) -> Iterator[Interactive]:
    """Median of the other parcels of the crop (dotted), and the band of most of them."""
    if line.rows.empty:
        return
    yield key.band(line.rows, "", fill_color=line.colour, fill_alpha=curves.PEERS_OPACITY)
    look = {"color": line.colour, "line_dash": _DASHES[line.dash], "line_width": 1.2, "line_alpha": 0.8}
    yield key.curve(line.rows, key("peers", line.label), **look)


def _line(line: Line, panel: Panel, key: _Key) -> Iterator[Interactive]:
    """A line whose observations have tooltips with date, value and cloud share."""
    import holoviews as hv

    clear = computing.clear(line.rows)
    usable, hidden = line.rows[clear], line.rows[~clear]
    label = "" if line.background else key("line", line.label)
    if panel.bars:
        bars = hv.Spikes(key.table(line.rows), "time", key.column("value"), label=label)
        yield bars.opts(color=line.colour, line_width=2)
        return
    if panel.has_bands and usable["low"].notna().any():
        kind = "behind" if line.background else "band"
        yield key.band(usable, key(kind), fill_color=line.colour, fill_alpha=curves.opacity(line))
    if line.background:
        return
    if panel.error_bars:
        below, above = curves.errors(usable)
        rows = key.table(usable[["time", "value"]], below=below, above=above)
        bars = hv.ErrorBars(rows, "time", [key.column(name) for name in ("value", "below", "above")])
        yield bars.opts(color=palette.PALE)
    yield key.curve(usable, label, color=line.colour, line_dash=_DASHES[line.dash], line_width=1.6)
    if panel.marks:
        yield from _marks(line, panel, key, usable, hidden)


def _marks(line: Line, panel: Panel, key: _Key, usable: pd.DataFrame, hidden: pd.DataFrame) -> Iterator[Interactive]:
    """Observations as points; clouded ones are hollow, and clipped to the panel's limits."""
    import holoviews as hv

    fields = [key.column(name) for name in ("value", "low", "high", "cloud", "count")]
    true = ["date"] if panel.by_year else []
    points = key.table(usable, **{name: usable[name] for name in true}).rename(
        columns={key.column("date").name: "date"}
    )
    yield hv.Scatter(points, "time", [*fields, *true]).opts(color=line.colour, size=6, **_hover(panel, key))
    if hidden.empty:
        return
    rows = key.table(hidden, position=hidden["value"].clip(*curves.limits_of(panel)))
    look = {"fill_color": "white", "line_color": curves.hollow_edge(line, panel), "size": 6, "tools": ["hover"]}
    yield hv.Scatter(rows, "time", [key.column("position"), *fields], label=key("hollow")).opts(**look)
