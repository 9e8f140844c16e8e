"""The figure of a parcel's year as plain data, which the page draws: the panels of `cbm_lake.show`, to the number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cbm_lake import cards
from cbm_lake.cards import INDICES, palette
from cbm_lake.ipycbm.desk.observed import RADAR, Observed
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.show import computing, series_panels
from cbm_lake.show import panels as content
from cbm_lake.show.panels import Line, Panel

if TYPE_CHECKING:
    import pandas as pd

Json = dict[str, Any]
"""What is sent to the page."""
_HEIGHTS: Final = {"index": 2.4, "bs": 1.3, "c6": 1.0, "weather": 1.0}
"""Shares of the height that panels take."""
_ROW: Final = ("value", "low", "high")
_DUE: Final = palette.PURPLE
"""Colour of due dates."""


@dataclass(frozen=True)
class Panels:
    """The panels of a parcel's year."""

    index: Panel
    radar: Mapping[str, Panel]
    """By card; empty ones too."""
    temperature: Panel
    rain: Panel

    @classmethod
    def of(cls, observed: Observed, index: str) -> Panels:
        """The panels, with the curve of an index of `cards.INDICES`."""
        parcels, days = [observed.parcel], [observed.weather]
        return cls(
            _index(observed, index),
            {card: _radar(observed, card) for card in RADAR},
            series_panels.temperature(parcels, days),
            series_panels.precipitation(parcels, days),
        )

    @property
    def drawable(self) -> list[Panel]:
        """Those with something to draw."""
        return [panel for panel in (self.index, *self.radar.values(), self.temperature, self.rain) if not panel.empty]


def _index(observed: Observed, name: str) -> Panel:
    """The panel of an index; without rows where the card lacks a band of it."""
    series, index = observed.optical, INDICES[name]
    rows = observed.curve(index) if index.bands_of(series.card) else _nothing()
    line = Line("", palette.NDVI, rows)
    return Panel(index.label, (line,), index.axis, events=observed.work)


def _radar(observed: Observed, card: str) -> Panel:
    """The panel of a card of Sentinel-1, both polarisations."""
    quantity, series = cards.get(card).quantity, observed.radar.get(card)
    if series is None:
        return Panel(cards.get(card).picture, (), quantity.axis)
    curves_of = {band: computing.radar_curve(series, band, decibel=quantity.decibels) for band in ("VV", "VH")}
    lines = tuple(Line(band, palette.BANDS[band], rows) for band, rows in curves_of.items())
    return Panel(cards.get(card).picture, lines, quantity.axis)


def _nothing() -> pd.DataFrame:
    """A curve without rows."""
    import pandas as pd

    names = ["value", "low", "high", "cloud", "count", "why_not", "clear_part"]
    return pd.DataFrame({"time": pd.Series([], dtype="datetime64[us]"), **{name: [] for name in names}})


def figure(observed: Observed, panels: Panels, index: str, texts: Texts) -> Json:
    """The figure without the band of peers, which comes later; see `band`."""
    drawable = panels.drawable
    if not drawable:
        return {}
    first, last = content.span(drawable)
    return {
        "span": [_iso(first), _iso(last)],
        "panels": [panel for panel in _panels(observed, panels, index, texts) if panel],
        "events": [
            {"name": texts(event.name), "first": _day(event.first), "day": _day(event.day), "last": _day(event.last)}
            for event in observed.work
        ],
        "days": [*_days(observed.about, texts)],
    }


def band(panel: Panel, lines: Sequence[Line]) -> Json:
    """The bands of peers, behind the curve of a panel, and the limits of both together."""
    limits = [_number(limit) for limit in content.limits_of(replace(panel, peers=tuple(lines)))]
    return {"lines": _bands(lines), "limits": limits, "loading": False}


def beside(panel: Panel, line: Line, label: str) -> Json:
    """A further curve in a panel, and the limits of all of them together."""
    limits = [_number(limit) for limit in content.limits_of(replace(panel, lines=(*panel.lines, line)))]
    return {"series": _named(line, label), "limits": limits}


def _bands(lines: Sequence[Line]) -> list[Json]:
    return [
        {
            "label": line.label,
            "colour": line.colour,
            "rows": [
                list(row)
                for row in zip(_times(line.rows["time"]), *(_numbers(line.rows[name]) for name in _ROW), strict=True)
            ],
        }
        for line in lines
    ]


def _panels(observed: Observed, panels: Panels, index: str, texts: Texts) -> Iterable[Json]:
    if not panels.index.empty:
        optical = observed.optical.card
        title = texts(index) if optical is cards.S2 else f"{texts(index)} · {optical.picture}"
        yield _curves("index", title, panels.index, [_named(panels.index.lines[0], texts("clear"), observed)])
    for card, panel in panels.radar.items():
        if not panel.empty:
            yield _curves(card, texts(card), panel, [_named(line, line.label) for line in panel.lines])
    if not panels.temperature.empty:
        rain, warmth = panels.rain, panels.temperature
        yield {
            **_curves("weather", texts("weather"), rain, [_named(rain.lines[0], texts("rain"))]),
            "bars": True,
            "right": {
                "limits": [*map(_number, content.limits_of(warmth))],
                "series": [_named(warmth.lines[0], texts("temperature"))],
                "title": texts("degrees"),
            },
        }


def _curves(name: str, title: str, panel: Panel, series: Sequence[Json]) -> Json:
    limits = [_number(limit) for limit in content.limits_of(panel)]
    return {"name": name, "title": title, "height": _HEIGHTS[name], "limits": limits, "series": series}


def _named(line: Line, label: str, observed: Observed | None = None) -> Json:
    """A curve; of optical ones each point with the clear share of the parcel and its scene."""
    rows, usable = line.rows, computing.clear(line.rows)
    scenes = None if observed is None else observed.scenes.reindex(rows["time"])
    nothing = [None] * len(rows)
    columns = [
        _times(rows["time"]),
        *(_numbers(rows[name]) for name in _ROW),
        usable.tolist(),
        [reason or None for reason in rows["why_not"]] if "why_not" in rows else nothing,
        nothing if scenes is None else _numbers(scenes["clear_share"]),
        nothing if scenes is None else scenes["scene"].tolist(),
    ]
    points = [list(point) for point in zip(*columns, strict=True)]
    return {"label": label, "colour": line.colour, "points": points}


def _days(about: Mapping[str, Any], texts: Texts) -> Iterable[Json]:
    """Days that count for the lights and the crop check, in words."""
    dues: dict[str, list[str]] = {}
    for light in about["lights"] or ():
        if light["due"] is not None:
            dues.setdefault(light["due"].isoformat(), []).append(light["scenario"])
    for due, scenarios in sorted(dues.items()):
        yield {"day": due, "label": texts("due_line", scenarios=", ".join(scenarios)), "colour": _DUE}
    check = about["crop_check"]
    if check and check["since"] is not None:
        yield {"day": check["since"].isoformat(), "label": texts("since_line"), "colour": palette.BLUE}


def looks(panels: Panels) -> list[str]:
    """The days of the index curve, each once, in order."""
    return sorted({time[:10] for time in _times(panels.index.lines[0].rows["time"])})


def _numbers(values: pd.Series[float]) -> list[float | None]:
    """Numbers that JSON can hold; None for NaN."""
    return [None if math.isnan(value) else value for value in values.to_numpy(np.float64).tolist()]


def _times(moments: pd.Series[Any]) -> list[str]:
    """Timestamps (UTC) to the second."""
    return [str(time) for time in np.datetime_as_string(moments.to_numpy("datetime64[s]"))]


def _number(value: float | None) -> float | None:
    """A number that JSON can hold; None for NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _day(moment: pd.Timestamp) -> str:
    return str(moment.date())


def _iso(days: float) -> str:
    """Days since 1970 as a timestamp."""
    return str(np.datetime64(round(days * 86_400), "s"))
