"""What a figure of time series holds: panels of lines, their ranges, layers and legend, for any way of drawing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from cbm_lake.cards import observation, palette
from cbm_lake.show import computing, style

if TYPE_CHECKING:
    import pandas as pd
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
_PEERS_OPACITY: Final = 0.13
"""Of the band of a crop's other parcels."""
BAR: Final = 0.9
"""Days that a daily bar is wide."""
LINE_WIDTH, THIN = 1.6, 1.2
"""Points: of a curve, and of what is behind or beside it."""


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


def tags_of(panel: Panel) -> list[tuple[Line, pd.Series[float], float]]:
    """Lines that have a tag, the last usable row of each, and the height of its tag as a share of the panel."""
    limits = limits_of(panel)
    lines = [line for line in panel.lines if line.tag and computing.clear(line.rows).any()]
    ends = [line.rows[computing.clear(line.rows)].iloc[-1] for line in lines]
    shares = [(end["value"] - limits[0]) / (limits[1] - limits[0]) for end in ends]
    return list(zip(lines, ends, apart(shares, _TAG_HEIGHT), strict=True))


# -- layers -----------------------------------------------------------------------------------------------------------

Kind = Literal["band", "curve", "points", "hollow", "errors", "bars"]
"""Ways in which rows are drawn: the area from low to high, values joined, values marked, those that are not usable
marked hollow, a bar from low to high at each value, and a bar from 0 to each value."""


@dataclass(frozen=True)
class Layer:
    """Rows of a panel that are drawn in one way."""

    kind: Kind
    rows: pd.DataFrame
    colour: str
    entry: tuple[str, str] = ("", "")
    """Kind and name of the legend's entry that says what it is, if any does."""
    dash: style.Dash = "-"
    width: float = LINE_WIDTH
    """Points, of lines."""
    size: float = 0.0
    """Points, of markers."""
    opacity: float = 1.0
    edges: tuple[float, float] = (-np.inf, np.inf)
    """Values beyond are drawn on these."""

    @property
    def values(self) -> pd.Series[float]:
        """The values as they are drawn."""
        return self.rows["value"].clip(*self.edges)


_RANKS: Final[dict[Kind, int]] = {"band": 0, "hollow": 1, "errors": 2, "bars": 3, "curve": 4, "points": 4}
"""What lies over what; a line's own points follow it."""


def layers(panel: Panel) -> list[Layer]:
    """What is drawn of a panel, from bottom to top: peers, bands, hollow points, curves with their points."""
    unordered = [layer for line in panel.peers if not line.rows.empty for layer in _of_peers(line)]
    unordered += [layer for line in panel.lines for layer in _of_line(line, panel)]
    return sorted(unordered, key=lambda layer: (layer.entry[0] != "peers", _RANKS[layer.kind]))


def _of_peers(line: Line) -> Iterator[Layer]:
    """The band of most of the other parcels of the crop, and their median."""
    yield Layer("band", line.rows, line.colour, ("peers", "band"), opacity=_PEERS_OPACITY)
    yield Layer("curve", line.rows, line.colour, ("peers", line.label), line.dash, THIN, opacity=0.8)


def _of_line(line: Line, panel: Panel) -> Iterator[Layer]:
    """A line: its band, usable observations joined, others hollow; values beyond the panel lie on its edge."""
    named = ("line", line.label)
    if panel.bars:
        yield Layer("bars", line.rows, line.colour, named)
        return
    usable = computing.clear(line.rows)
    clear, hidden = line.rows[usable], line.rows[~usable]
    if panel.has_bands and _has_band(line):
        kind, opacity = ("behind", 0.08) if line.background else ("band", 0.16)
        yield Layer("band", clear, line.colour, (kind, ""), opacity=opacity)
    if line.background:
        return
    if panel.error_bars:
        yield Layer("errors", clear, palette.PALE, width=THIN, opacity=0.5)
    size, several = _mark(len(line.rows)), len(panel.lines) > 1
    yield Layer("curve", clear, line.colour, named, line.dash)
    if panel.marks:
        yield Layer("points", clear, line.colour, size=size)
    if panel.marks and len(hidden):
        colour, opacity = (line.colour, 0.55) if several else (palette.CLOUD, 1.0)
        edges = limits_of(panel)
        yield Layer("hollow", hidden, colour, ("hollow", ""), size=0.8 * size, opacity=opacity, edges=edges)


def _has_band(line: Line) -> bool:
    """Whether a usable observation has a low value."""
    return bool(line.rows.loc[computing.clear(line.rows), "low"].notna().any())


def errors(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Distances from value to low and to high, clipped at 0, as matplotlib error bars."""
    below, above = rows["value"] - rows["low"], rows["high"] - rows["value"]
    return np.maximum(np.array([below, above], np.float64), 0)


def _mark(number: int) -> float:
    """Marker size: 6.5 points for few observations, 2.6 for hundreds."""
    return float(np.clip(45 / np.sqrt(max(number, 1)), 2.6, 6.5))


# -- legend -----------------------------------------------------------------------------------------------------------


def names(panels: Sequence[Panel]) -> dict[str, Line]:
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
    named = names(panels)
    drawable = {line.label for panel in panels for line in panel.lines if not line.rows.empty}
    keys = []
    width = 2.8 if len(named) > 2 and not panels[0].by_year else 5.5 if not panels[0].by_year else style.WIDTH - 0.8
    for name, line in named.items():
        text = style.fitted(name, width, style.SMALL, 1) + " (no data)" * (name not in drawable)
        keys.append(Entry("line", text, line.colour, line.dash, name))
    marked = [line for panel in panels if panel.marks for line in panel.lines if not line.background]
    if any(not computing.clear(line.rows).all() for line in marked):
        keys.append(Entry("hollow", _hollow(panels), palette.CLOUD))
    if any(map(_has_band, marked)) and panels[0].has_bands:
        colours = {line.colour for line in named.values()}
        keys.append(Entry("band", spread, colours.pop() if len(colours) == 1 else palette.PALE))
    behind = len({line.label for panel in panels for line in panel.lines if line.background and _has_band(line)})
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
