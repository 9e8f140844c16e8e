"""Draws curves over time, in one panel or several: for files by matplotlib, for notebooks by holoviews."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cbm_lake import palette
from cbm_lake.show import computing, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cbm_lake.show.reading import Event


@dataclass(frozen=True)
class Line:
    """One curve."""

    label: str
    colour: str
    rows: pd.DataFrame
    """time, value, low, high, cloud and perhaps seen, by time."""
    dash: style.Dash = "-"
    background: bool = False
    """Only its band is drawn, behind the others."""


@dataclass(frozen=True)
class Panel:
    """Curves of one unit."""

    unit: str
    lines: tuple[Line, ...]
    limits: tuple[float, float] | None = None
    """Least range of values that is shown; data outside widen it."""
    missing: str = "no data"
    """What is said where no line has rows."""
    bars: bool = False
    """Values stand as bars on the axis, one a day."""
    marks: bool = True
    """Observations are marked, clouded ones apart."""
    compared: bool = False
    """Each line is another parcel."""
    events: Sequence[Event] = ()
    """What was done on the parcel; drawn across the panel."""
    shaded: bool = True
    """Bands are drawn, unless of so many parcels that they would hide each other."""
    error_bars: bool = False
    """Each cloud-free observation has a bar from low to high."""
    crops: tuple[Line, ...] = ()
    """How other parcels of the crop are; drawn behind, in pale colours."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return all(line.rows.empty for line in self.lines)

    @property
    def has_bands(self) -> bool:
        """Whether the bands of its curves are drawn; those of parcels in the background always are."""
        few = not self.compared or len(self.lines) <= _BANDS or any(line.background for line in self.lines)
        return self.shaded and few


_BANDS: Final = 4
"""The greatest number of parcels whose bands are drawn together."""
_MONTH: Final = 30.0
"""Days that are shown at least."""
_TALL: Final = 3.2
"""Inches of a single panel."""


def draw(panels: Sequence[Panel], heading: str, spread: str) -> Figure:
    """A figure of panels one below the other on one time axis, under a heading; spread says what the bands are."""
    height = 1.35 + (_TALL if len(panels) == 1 else 2.3 * len(panels))
    names = _names(panels)
    height += 0.2 * max(0, len(names) // 3)
    figure = style.figure(style.WIDTH, height)
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        draw_panel(axes, panel)
    _widen(rows[-1], panels)
    style.date_axis(rows[-1])
    title = style.fitted(heading, style.WIDTH - 0.3)
    figure.suptitle(title, x=0.012, ha="left", size=style.TITLE, color=palette.INK, weight="bold")
    _key(figure, panels, names, spread)
    return figure


def draw_panel(axes: Axes, panel: Panel) -> None:
    """One panel into axes: its unit above, its curves, or why there are none."""
    style.frame(axes)
    axes.set_title(panel.unit, loc="left", size=style.TEXT, color=palette.PALE)
    if panel.empty:
        axes.set_yticks([])
        style.say(axes, panel.missing)
        return
    limits = _range(panel)
    for line in panel.crops:
        _crop(axes, line)
    for line in panel.lines:
        if panel.bars:
            axes.bar(line.rows["time"], line.rows["value"], width=0.9, color=line.colour)
        else:
            _curve(axes, line, limits, panel)
    axes.set_ylim(limits)
    _events(axes, panel.events)
    if panel.marks and not any(computing.clear(line.rows).any() for line in panel.lines):
        axes.text(0.5, 0.94, "no cloud-free observation", transform=axes.transAxes, ha="center", va="top",
                  size=style.TEXT, color=palette.PALE, backgroundcolor="white")  # fmt: skip


def _curve(axes: Axes, line: Line, limits: tuple[float, float], panel: Panel) -> None:
    """The band between low and high, the line through cloud-free observations, and hollow marks where clouds were.

    Of more than a few curves the bands would hide each other. Clouds brighter than the panel stand at its edge.
    """
    seen = computing.clear(line.rows)
    shown, hidden = line.rows[seen], line.rows[~seen]
    if panel.has_bands:
        alpha = 0.08 if line.background else 0.16
        axes.fill_between(
            shown["time"], shown["low"], shown["high"], color=line.colour, alpha=alpha, linewidth=0, label="_band"
        )
    if line.background:
        return
    if panel.error_bars:
        axes.errorbar(shown["time"], shown["value"], _errors(shown), fmt="none", ecolor=palette.PALE, elinewidth=1.2,
                      capsize=3, alpha=0.5, label="_errors")  # fmt: skip
    size = _mark(len(line.rows))
    look: dict[str, Any] = {"linewidth": 1.6, "label": line.label}
    if panel.marks:
        look |= {"marker": "o", "markersize": size, "markeredgecolor": "white", "markeredgewidth": size / 12}
    axes.plot(shown["time"], shown["value"], line.dash, color=line.colour, **look)
    edge = line.colour if len(panel.lines) > 1 else palette.CLOUD
    if len(hidden):
        axes.plot(
            hidden["time"], hidden["value"].clip(*limits), "o", markersize=0.8 * size, markerfacecolor="white",
            markeredgecolor=edge, markeredgewidth=0.9, alpha=0.55 if len(panel.lines) > 1 else 1, zorder=1.5,
            clip_on=False, label="_clouded",
        )  # fmt: skip


def _errors(rows: pd.DataFrame) -> NDArray[np.float64]:
    """How far low lies below the value and high above it, never less than 0."""
    below, above = rows["value"] - rows["low"], rows["high"] - rows["value"]
    return np.maximum(np.array([below, above], np.float64), 0)


def _crop(axes: Axes, line: Line) -> None:
    """The mean of a crop's other parcels, dotted, and a standard deviation to either side."""
    rows = line.rows
    axes.fill_between(rows["time"], rows["low"], rows["high"], color=line.colour, alpha=0.13, linewidth=0, zorder=0.5)
    axes.plot(rows["time"], rows["value"], line.dash, color=line.colour, linewidth=1.2, alpha=0.8, zorder=0.6,
              label="_crop")  # fmt: skip


def _events(axes: Axes, events: Sequence[Event]) -> None:
    """A dotted line on the likeliest day of each, its name above, and a pale band over the days that are possible."""
    for event in events:
        axes.axvspan(event.first, event.last, color=palette.PALE, alpha=0.1, linewidth=0, zorder=0)
        axes.axvline(event.day, color=palette.INK, linestyle=":", linewidth=1, zorder=1)
        axes.text(event.day, 0.02, f" {event.name}", transform=axes.get_xaxis_transform(), rotation=90, va="bottom",
                  ha="right", size=style.SMALL, color=palette.INK)  # fmt: skip


def _mark(number: int) -> float:
    """Points of a mark: 6.5 for few observations, 2.6 for hundreds."""
    return float(np.clip(45 / np.sqrt(max(number, 1)), 2.6, 6.5))


def _range(panel: Panel) -> tuple[float, float]:
    """The panel's limits, widened to hold cloud-free values and bands; clouded ones only where there are no others."""
    seen = [line.rows[computing.clear(line.rows)] for line in panel.lines]
    rows = seen if any(len(part) for part in seen) else [line.rows for line in panel.lines]
    rows += [line.rows for line in panel.crops]
    joined = np.concatenate([np.asarray(part[["value", "low", "high"]], np.float64).ravel() for part in rows])
    joined = joined[np.isfinite(joined)]
    low, high = float(joined.min(initial=np.inf)), float(joined.max(initial=-np.inf))
    if panel.limits:
        low, high = min(low, panel.limits[0]), max(high, panel.limits[1])
    if panel.bars:
        return 0.0, 1.06 * max(high, 1.0)
    edge = 0.04 * max(high - low, 1e-6)
    return low - edge, high + edge


def _hollow(panels: Sequence[Panel]) -> str:
    """Why observations are hollow, with how many: 12 clouded, 3 not known; of bands of one parcel each counts once."""
    most: Counter[str] = Counter()
    for panel in panels:
        counts = [Counter(computing.hidden(line.rows)) for line in panel.lines if panel.marks and not line.background]
        most |= sum(counts, Counter()) if panel.compared else reduce(or_, counts, Counter())
    return ", ".join(f"{most[words]} {words}" for words in ("clouded", "not known", "seen in part") if most[words])


def _widen(axes: Axes, panels: Sequence[Panel]) -> None:
    """Show a month at least, so that a single observation has days beside it."""
    times = [np.asarray(line.rows["time"], "datetime64[s]") for panel in panels for line in panel.lines]
    days = np.concatenate(times).astype(float) / 86400
    if days.size and np.ptp(days) < _MONTH:
        middle = (days.min() + days.max()) / 2
        axes.set_xlim(middle - _MONTH / 2, middle + _MONTH / 2)


def _names(panels: Sequence[Panel]) -> dict[str, Line]:
    """The curves by what they are called, each once."""
    return {line.label: line for panel in panels for line in panel.lines if not line.background}


def _key(figure: Figure, panels: Sequence[Panel], names: dict[str, Line], spread: str) -> None:
    """What the colours and marks mean, below the panels."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen = {line.label for panel in panels for line in panel.lines if not line.rows.empty}
    handles: list[Any] = []
    for name, line in names.items():
        text = style.fitted(name, 5.5 if len(names) < 3 else 2.8, style.SMALL, 1) + " (no data)" * (name not in seen)
        handles.append(Line2D([], [], color=line.colour, linestyle=line.dash, linewidth=2, label=text))
    marked = [line for panel in panels if panel.marks for line in panel.lines if not line.background]
    if any(not computing.clear(line.rows).all() for line in marked):
        told = _hollow(panels)
        hollow: dict[str, Any] = {
            "marker": "o",
            "markersize": 5,
            "markerfacecolor": "white",
            "markeredgecolor": palette.CLOUD,
        }
        handles.append(Line2D([], [], linestyle="", label=told, **hollow))
    if any(line.rows["low"].notna().any() for line in marked) and panels[0].has_bands:
        colours = {line.colour for line in names.values()}
        colour = colours.pop() if len(colours) == 1 else palette.PALE
        handles.append(Patch(color=colour, alpha=0.25, linewidth=0, label=spread))
    behind = len({line.label for panel in panels for line in panel.lines if line.background})
    if behind and panels[0].has_bands:
        text = f"bands of {behind} more parcel{'s' * (behind > 1)}"
        handles.append(Patch(color=palette.PALE, alpha=0.12, linewidth=0, label=text))
    for line in {line.label: line for panel in panels for line in panel.crops if not line.rows.empty}.values():
        label = style.fitted(line.label, 5.5, style.SMALL, 1)
        handles.append(Line2D([], [], color=palette.PALE, linestyle=line.dash, linewidth=1.2, label=label))
    if any(panel.events and not panel.empty for panel in panels):
        handles.append(Line2D([], [], color=palette.INK, linestyle=":", linewidth=1, label="work found, in its days"))
    columns = 3 if len(names) > 2 else 4
    figure.legend(
        handles=handles, loc="outside lower left", ncols=min(len(handles), columns), frameon=False,
        fontsize=style.SMALL, labelcolor=palette.INK, handlelength=1.6,
    )  # fmt: skip


# -- notebooks ----------------------------------------------------------------------------------------------------


def interactive(panels: Sequence[Panel], heading: str) -> Any:
    """The same for notebooks, by holoviews: zoom, and the numbers of a point under the pointer."""
    import holoviews as hv

    hv.extension("bokeh", logo=False)
    elements = []
    for number, panel in enumerate(panels):
        title = heading if not number else ""
        layers = [layer for line in panel.crops for layer in _crop_layers(line)]
        layers += [layer for line in panel.lines for layer in _layers(line, panel)]
        for event in panel.events:
            layers.append(hv.VSpan(event.first, event.last).opts(color=palette.PALE, alpha=0.1))
            layers.append(hv.VLine(event.day).opts(color=palette.INK, line_dash="dotted", line_width=1))
            look = {"angle": 90, "text_align": "left", "text_baseline": "bottom", "text_font_size": "9pt"}
            layers.append(hv.Text(event.day, _range(panel)[0], f" {event.name}").opts(**look, text_color=palette.INK))
        if panel.empty:
            layers = [hv.Curve({"time": [], "value": []}, "time", "value")]
            title = f"{title} · {panel.missing}".removeprefix(" · ")
        elements.append(
            hv.Overlay(layers).opts(
                xlabel="",
                ylabel=panel.unit,
                ylim=(None, None) if panel.empty else _range(panel),
                title=title,
                width=900,
                height=380 if len(panels) == 1 else 260,
                show_grid=True,
                legend_position="right",
                active_tools=[],
                padding=(0.02, 0),
            )
        )
    return elements[0] if len(elements) == 1 else hv.Layout(elements).cols(1)


def _crop_layers(line: Line) -> list[Any]:
    """How other parcels of the crop are, as layers of holoviews."""
    import holoviews as hv

    if line.rows.empty:
        return []
    band = hv.Area(line.rows, "time", ["low", "high"]).opts(fill_color=line.colour, fill_alpha=0.12, line_alpha=0)
    curve = hv.Curve(line.rows, "time", "value", label=line.label)
    return [band, curve.opts(color=line.colour, line_dash="dotted", line_width=1)]


def _layers(line: Line, panel: Panel) -> list[Any]:
    """A line as layers of holoviews, each observation with its date, value and clouds to be read."""
    import holoviews as hv

    if line.rows.empty:
        return []
    seen = computing.clear(line.rows)
    shown, hidden = line.rows[seen], line.rows[~seen]
    if panel.bars:
        return [hv.Spikes(shown, "time", "value", label=line.label).opts(color=line.colour, line_width=2)]
    band = hv.Area(shown, "time", ["low", "high"]).opts(fill_color=line.colour, fill_alpha=0.16, line_alpha=0)
    curve = hv.Curve(shown, "time", "value", label=line.label).opts(color=line.colour, line_width=2)
    layers = [band] if panel.has_bands and shown["low"].notna().any() else []
    if line.background:
        return layers
    layers.append(curve)
    if panel.error_bars:
        below, above = _errors(shown)
        errors = shown[["time", "value"]].assign(below=below, above=above)
        layers.append(hv.ErrorBars(errors, "time", ["value", "below", "above"]).opts(color=palette.PALE))
    if panel.marks:
        fields = ["value", "low", "high", "cloud", "count"]
        layers.append(hv.Scatter(shown, "time", fields).opts(color=line.colour, size=6, tools=["hover"]))
        look = {"fill_color": "white", "line_color": palette.CLOUD, "size": 6, "tools": ["hover"]}
        layers.append(hv.Scatter(hidden, "time", fields).opts(**look))
    return layers
