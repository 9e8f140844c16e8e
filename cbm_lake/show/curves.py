"""Time series panels in matplotlib: lines, quartile bands, markers, axis limits and the legend."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from cbm_lake.cards import observation, palette
from cbm_lake.show import computing, style
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cbm_lake.show.reading import Event


@dataclass(frozen=True)
class Line:
    """One time series of a panel."""

    label: str
    colour: str
    rows: pd.DataFrame
    """time, value, low, high, cloud and perhaps why_not, by time."""
    dash: style.Dash = "-"
    background: bool = False
    """Only its band is drawn, behind the others."""
    tag: str = ""
    """Stands beside the end of the line, in the margin."""


@dataclass(frozen=True)
class Panel:
    """Time series that share a unit and an axis."""

    unit: str
    lines: tuple[Line, ...]
    limits: tuple[float, float] | None = None
    """Least range of values that is shown; data outside widen it."""
    missing: str = "no data"
    """What is said where no line has rows."""
    bars: bool = False
    """Values are drawn as daily bars."""
    marks: bool = True
    """Observations are marked, clouded ones apart."""
    compared: bool = False
    """Each line is another parcel."""
    events: Sequence[Event] = ()
    """What was done on the parcel; drawn across the panel."""
    shaded: bool = True
    """Bands are drawn, unless there are so many parcels that they would hide each other."""
    error_bars: bool = False
    """Each cloud-free observation has a bar from low to high."""
    peers: tuple[Line, ...] = ()
    """How other parcels of the crop are; drawn behind, in pale colours."""
    notes: tuple[str, ...] = ()
    """What is not drawn, and why; below the panels."""

    by_year: bool = False
    """Each line is another year; times are those of a common one, the column date says which they are."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return all(line.rows.empty for line in self.lines)

    @property
    def all_hidden(self) -> bool:
        """Whether the panel has markers, and none of its observations is clear."""
        return self.marks and not any(computing.clear(line.rows).any() for line in self.lines)

    @property
    def has_bands(self) -> bool:
        """Whether the bands of its lines are drawn; those of background parcels always are."""
        few = not self.compared or len(self.lines) <= _BANDS or any(line.background for line in self.lines)
        return self.shaded and few


_BANDS: Final = 4
"""The greatest number of parcels whose bands are drawn together."""
_EDGE: Final = 0.05
"""Share of the days that is shown before and after them."""
PEERS_OPACITY: Final = 0.13
"""Of the band of a crop's other parcels."""
_LABEL_WIDTH, _LABEL_HEIGHT = 0.03, 0.35
"""Shares of a panel that the name of an event takes, with half a marker."""
_CORNERS: Final = (
    (0.02, "bottom", "right"),
    (0.98, "top", "right"),
    (0.02, "bottom", "left"),
    (0.98, "top", "left"),
)
_TAG_HEIGHT: Final = 0.085
"""Share of a panel that a line of small text takes."""
NONE_CLEAR: Final = "no cloud-free observation"
_MONTH: Final = 30.0
"""Days that are shown at least."""
_TALL: Final = 3.2
"""Inches of a single panel."""


def draw(panels: Sequence[Panel], heading: str, spread: str) -> Page:
    """Draw panels stacked on one time axis under a heading; `spread` describes the bands."""
    height = 1.35 + (_TALL if len(panels) == 1 else 2.3 * len(panels))
    names = _names(panels)
    height += 0.2 * max(0, len(names) // 3)
    figure = style.figure(style.WIDTH, height)
    rows = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, panels, strict=True):
        draw_panel(axes, panel)
    rows[-1].set_xlim(*span(panels))
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
    limits = limits_of(panel)
    for line in panel.peers:
        _peers(axes, line)
    for line in panel.lines:
        if panel.bars:
            axes.bar(line.rows["time"], line.rows["value"], width=0.9, color=line.colour)
        else:
            _curve(axes, line, limits, panel)
    axes.set_ylim(limits)
    _events(axes, panel, limits)
    _tags(axes, panel, limits)
    if panel.all_hidden:
        look: style.Look = {"size": style.TEXT, "color": palette.PALE, "backgroundcolor": "white"}
        axes.text(0.5, 0.94, NONE_CLEAR, transform=axes.transAxes, ha="center", va="top", **look)


def _curve(axes: Axes, line: Line, limits: tuple[float, float], panel: Panel) -> None:
    """Draw a line: band between low and high, clear observations joined, clouded ones as hollow markers.

    Bands are omitted for more than a few curves. Clouded values beyond the limits are drawn at the edge.
    """
    usable = computing.clear(line.rows)
    clear, hidden = line.rows[usable], line.rows[~usable]
    if panel.has_bands:
        band: style.Look = {"color": line.colour, "alpha": opacity(line), "linewidth": 0, "label": "_band"}
        axes.fill_between(clear["time"], clear["low"], clear["high"], **band)
    if line.background:
        return
    if panel.error_bars:
        bars: style.Look = {"fmt": "none", "ecolor": palette.PALE, "elinewidth": 1.2, "capsize": 3, "alpha": 0.5}
        axes.errorbar(clear["time"], clear["value"], errors(clear), label="_errors", **bars)
    size = _mark(len(line.rows))
    look: style.Look = {"linewidth": 1.6, "label": line.label}
    if panel.marks:
        look |= {"marker": "o", "markersize": size, "markeredgecolor": "white", "markeredgewidth": size / 12}
    axes.plot(clear["time"], clear["value"], line.dash, color=line.colour, **look)
    if len(hidden):
        hollow: style.Look = {
            "markersize": 0.8 * size,
            "markerfacecolor": "white",
            "markeredgecolor": hollow_edge(line, panel),
        }
        hollow |= {"markeredgewidth": 0.9, "alpha": 0.55 if len(panel.lines) > 1 else 1, "zorder": 1.5}
        axes.plot(hidden["time"], hidden["value"].clip(*limits), "o", clip_on=False, label="_clouded", **hollow)


def errors(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Distances from value to low and to high, clipped at 0, as matplotlib error bars."""
    below, above = rows["value"] - rows["low"], rows["high"] - rows["value"]
    return np.maximum(np.array([below, above], np.float64), 0)


def _peers(axes: Axes, line: Line) -> None:
    """Draw the median of the other parcels of the crop (dotted) and the band of most of them."""
    rows = line.rows
    axes.fill_between(
        rows["time"], rows["low"], rows["high"], color=line.colour, alpha=PEERS_OPACITY, linewidth=0, zorder=0.5
    )
    look: style.Look = {"color": line.colour, "linewidth": 1.2, "alpha": 0.8, "zorder": 0.6, "label": "_peers"}
    axes.plot(rows["time"], rows["value"], line.dash, **look)


def _events(axes: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    """Draw events: a dotted line on the likeliest day, the name beside, a pale band over the possible days."""
    for event in panel.events:
        axes.axvspan(event.first, event.last, color=palette.PALE, alpha=0.1, linewidth=0, zorder=0)
        axes.axvline(event.day, color=palette.INK, linestyle=":", linewidth=1, zorder=1)
        height, vertical, side = label_position(panel, limits, event)
        look: style.Look = {"rotation": 90, "va": vertical, "ha": side, "transform": axes.get_xaxis_transform()}
        axes.text(event.day, height, f" {event.name}", size=style.SMALL, color=palette.INK, **look)


def _tags(axes: Axes, panel: Panel, limits: tuple[float, float]) -> None:
    """Write what lines are called into the right margin, each tied to the end of its line and clear of the others."""
    lines = [line for line in panel.lines if line.tag and computing.clear(line.rows).any()]
    ends = [line.rows[computing.clear(line.rows)].iloc[-1] for line in lines]
    shares = [(end["value"] - limits[0]) / (limits[1] - limits[0]) for end in ends]
    for line, end, height in zip(lines, ends, apart(shares, _TAG_HEIGHT), strict=True):
        tie: style.Look = {"arrowstyle": "-", "color": line.colour, "linewidth": 0.8, "shrinkA": 1, "shrinkB": 2}
        look: style.Look = {"size": style.SMALL, "color": palette.INK, "va": "center", "annotation_clip": False}
        where: style.Look = {"xytext": (1.015, height), "textcoords": "axes fraction", "arrowprops": tie}
        axes.annotate(line.tag, (end["time"], end["value"]), **where, **look)


def apart(positions: Sequence[float], least: float) -> list[float]:
    """Positions from 0 to 1 moved as little as need be so that neighbours are `least` apart, in the same order.

    Where they do not fit they are spread evenly.
    """
    order = np.argsort(np.asarray(positions, np.float64), kind="stable")
    least = min(least, 1 / max(len(order) - 1, 1))
    steps = least * np.arange(len(order))
    # what is to be spread is non-decreasing without the steps: groups that collide share their mean
    groups: list[tuple[float, int]] = []
    for value in np.asarray(positions, np.float64)[order] - steps:
        groups.append((float(value), 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (last, one), (before, other) = groups.pop(), groups.pop()
            groups.append(((last * one + before * other) / (one + other), one + other))
    placed = np.repeat([mean for mean, _ in groups], [size for _, size in groups])
    moved = np.empty(len(order))
    moved[order] = np.clip(placed, 0, 1 - steps[-1] if len(steps) else 1) + steps
    return [float(value) for value in moved]


def label_position(panel: Panel, limits: tuple[float, float], event: Event) -> tuple[float, str, str]:
    """Position of an event's name: height as a share of the panel, vertical and horizontal alignment.

    Of the corners beside its line it is that which covers the fewest points; the left one below where several do.
    """
    rows = [line.rows for line in panel.lines if not line.background]
    days = np.concatenate([np.asarray(part["time"], "datetime64[s]").astype(float) / 86400 for part in rows])
    values = np.concatenate([np.asarray(part["value"], np.float64).clip(*limits) for part in rows])
    shares = (values - limits[0]) / (limits[1] - limits[0])
    first, last = span([panel])
    before = float(np.datetime64(event.day, "s").astype(float) / 86400) - days
    width = _LABEL_WIDTH * (last - first)

    def covered(corner: tuple[float, str, str]) -> int:
        height, _, side = corner
        beside = before if side == "right" else -before
        near = shares < _LABEL_HEIGHT if height < 0.5 else shares > 1 - _LABEL_HEIGHT
        return int((near & (beside > -width / 4) & (beside < width)).sum())

    return min(_CORNERS, key=covered)


def _mark(number: int) -> float:
    """Marker size: 6.5 points for few observations, 2.6 for hundreds."""
    return float(np.clip(45 / np.sqrt(max(number, 1)), 2.6, 6.5))


def opacity(line: Line) -> float:
    """Opacity of the band of a line."""
    return 0.08 if line.background else 0.16


def hollow_edge(line: Line, panel: Panel) -> str:
    """Edge colour of hollow markers: the line's own where there are several lines."""
    return line.colour if len(panel.lines) > 1 else palette.CLOUD


def limits_of(panel: Panel) -> tuple[float, float]:
    """Axis limits of a panel, extended to clear values and bands; to clouded ones only if there are no others."""
    clear = [line.rows[computing.clear(line.rows)] for line in panel.lines]
    rows = clear if any(len(part) for part in clear) else [line.rows for line in panel.lines]
    rows += [line.rows for line in panel.peers]
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
    """Counts of unusable observations by reason (12 clouded, 3 not known); the bands of one parcel count once."""
    most: Counter[str] = Counter()
    for panel in panels:
        counts = [Counter(computing.hidden(line.rows)) for line in panel.lines if panel.marks and not line.background]
        most |= sum(counts, Counter()) if panel.compared else reduce(or_, counts, Counter())
    return ", ".join(f"{most[words]} {words}" for words in reversed(list(observation.WHY_NOT.values())) if most[words])


def span(panels: Sequence[Panel]) -> tuple[float, float]:
    """Time range of all panels in days since 1970, with a margin; at least one month.

    The minimum keeps a single observation readable.
    """
    lines = [line for panel in panels for line in (*panel.lines, *panel.peers)]
    times = [np.asarray(line.rows["time"], "datetime64[s]") for line in lines]
    events = [moment for panel in panels for event in panel.events for moment in (event.first, event.last)]
    days = np.concatenate([*times, np.asarray(events, "datetime64[s]")]).astype(float) / 86400
    first, last = days.min(), days.max()
    half = max((last - first) * (0.5 + _EDGE), _MONTH / 2)
    return float((first + last) / 2 - half), float((first + last) / 2 + half)


def _names(panels: Sequence[Panel]) -> dict[str, Line]:
    """Lines by their label, without duplicates."""
    return {line.label: line for panel in panels for line in panel.lines if not line.background}


@dataclass(frozen=True)
class Entry:
    """One entry of the legend."""

    kind: Literal["line", "hollow", "band", "behind", "peers", "work"]
    label: str
    colour: str
    dash: style.Dash = "-"
    name: str = ""
    """Of a line or of peers: its whole label."""


def entries(panels: Sequence[Panel], spread: str) -> list[Entry]:
    """Legend entries of a figure, in order; `spread` describes the bands."""
    names = _names(panels)
    drawable = {line.label for panel in panels for line in panel.lines if not line.rows.empty}
    keys = []
    width = 2.8 if len(names) > 2 and not panels[0].by_year else 5.5 if not panels[0].by_year else style.WIDTH - 0.8
    for name, line in names.items():
        text = style.fitted(name, width, style.SMALL, 1) + " (no data)" * (name not in drawable)
        keys.append(Entry("line", text, line.colour, line.dash, name))
    marked = [line for panel in panels if panel.marks for line in panel.lines if not line.background]
    if any(not computing.clear(line.rows).all() for line in marked):
        keys.append(Entry("hollow", _hollow(panels), palette.CLOUD))
    if any(line.rows.loc[computing.clear(line.rows), "low"].notna().any() for line in marked) and panels[0].has_bands:
        colours = {line.colour for line in names.values()}
        keys.append(Entry("band", spread, colours.pop() if len(colours) == 1 else palette.PALE))
    behind = len({line.label for panel in panels for line in panel.lines if line.background})
    if behind and panels[0].has_bands:
        keys.append(Entry("behind", f"bands of {behind} more parcel{'s' * (behind > 1)}", palette.PALE))
    peers = {line.label: line for panel in panels for line in panel.peers if not line.rows.empty}
    keys += [Entry("peers", name, palette.PALE, line.dash, name) for name, line in peers.items()]
    if any(panel.events and not panel.empty for panel in panels):
        keys.append(Entry("work", "work found, in its days", palette.INK, ":"))
    return keys


def notes(panels: Sequence[Panel]) -> list[str]:
    """What is not drawn, and why; each once."""
    return list(dict.fromkeys(note for panel in panels for note in panel.notes))


def _key(figure: Page, panels: Sequence[Panel], names: dict[str, Line], spread: str) -> None:
    """Draw the legend below the panels, under the notes."""
    keys = entries(panels, spread)
    columns = style.columns([entry.label for entry in keys], 3 if len(names) > 2 else 4)
    look: style.Look = {"fontsize": style.SMALL, "labelcolor": palette.INK, "handlelength": 1.6, "frameon": False}
    if missing := notes(panels):
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
