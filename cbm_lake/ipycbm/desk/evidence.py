"""Evidence of the workbench: what is known of the chosen parcel, and its season as linked curves."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import anywidget
import ipywidgets
import traitlets

from cbm_lake.cards import INDICES
from cbm_lake.errors import LakeError
from cbm_lake.files import clock
from cbm_lake.ipycbm.desk import chartdata, facts, sketched
from cbm_lake.ipycbm.desk.arriving import Arriving
from cbm_lake.ipycbm.desk.chartdata import Json, Panels
from cbm_lake.ipycbm.desk.observed import RADAR, Observations, Observed
from cbm_lake.ipycbm.desk.state import Drawn, Request, State
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.report.facts import foi_results
from cbm_lake.show import computing, peers
from cbm_lake.show.peers import Peers

_WORDS: Final = ("no_clear", "value", "clear_share", "scene", "small", "cut", "unknown", "cloudy")
_LEGEND: Final = ("hollow", "hollow_tip", "spread", "spread_tip", "peers", "peers_loading", "work", "work_tip")
THEMES: Final = ("light", "dark")
_AHEAD: Final = 6
"""Figures that are kept ahead."""


class Chart(anywidget.AnyWidget):
    """The figure in the browser; see evidence.js."""

    _esm = Path(__file__).with_name("evidence.js")
    _css = Path(__file__).with_name("evidence.css")
    figure = traitlets.Dict().tag(sync=True)
    """See `chartdata.figure`; empty where nothing is drawn."""
    band = traitlets.Dict().tag(sync=True)
    """lines: see `chartdata.band`; loading: whether they are still read."""
    drawn = traitlets.Dict().tag(sync=True)
    """The curve of a polygon that was drawn, see `chartdata.beside`; empty where there is none."""
    days = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """The days (YYYY-MM-DD) that can be chosen, in order."""
    day = traitlets.Unicode("").tag(sync=True)
    """The chosen one."""
    label = traitlets.Unicode("").tag(sync=True)
    """What the figure shows, in a sentence."""
    words = traitlets.Dict().tag(sync=True)
    language = traitlets.Unicode("en").tag(sync=True)
    theme = traitlets.Enum(THEMES, "light").tag(sync=True)


@dataclass(frozen=True, eq=False)
class Season:
    """What is drawn of a parcel."""

    request: Request
    observed: Observed
    panels: Panels
    figure: Json
    days: Sequence[str]
    label: str


@dataclass(frozen=True)
class Later:
    """What came after the figure."""

    peers: Peers | None = None
    foi: str = ""
    complete: bool = field(default=False)
    """Whether this is all."""


class Evidence(ipywidgets.VBox):
    """Facts and curves of the chosen parcel; a `Part` of the workbench.

    The band of peers comes later, and is named as loading until then.

    Args:
        state: of the workbench.
        observations: what reads the lake, which several parts may share; None is one of its own.
        language: one of `texts.LANGUAGES`; None is that of the settings.
    """

    theme = traitlets.Enum(THEMES, "light")
    decision = traitlets.Unicode("")
    """The standing decision on the parcel in words; shown among the facts."""
    since = traitlets.Instance(datetime, allow_none=True)
    """The last visit, from which changes are counted; None counts all."""

    def __init__(self, state: State, observations: Observations | None = None, *, language: str | None = None) -> None:
        self.state, self.observations = state, observations or Observations()
        self.texts = Texts("evidence", language)
        self._season: Season | None = None
        self._foi = ""
        self._ready: dict[ParcelKey, Season] = {}
        """What was worked out ahead; replaced as a whole."""
        self._later: Arriving[Later] = Arriving(self._add, self._refuse)
        self._ahead: Arriving[None] = Arriving(lambda _: None, lambda _: None)
        self._sketched: Arriving[Json] = Arriving(self._draw_sketched, self._refuse_sketched)
        self.facts, self.note, self.sketch_note = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        names = [(self.texts(name), name) for name in INDICES]
        self.index = ipywidgets.Dropdown(options=names, description=self.texts("index"), layout={"width": "320px"})
        self.chart = Chart(
            words={name: self.texts.template(name) for name in (*_WORDS, *_LEGEND)},
            language=self.texts.language,
            label=self.texts("chart_none"),
            layout={"flex": "1 1 auto", "min_height": "240px"},
        )
        super().__init__([self.facts, self.index, self.chart, self.note, self.sketch_note])
        self.add_class("cbm-evidence")
        self.chart.add_class("cbm-chart-box")
        self._connect()

    def _connect(self) -> None:
        self.observe(lambda change: setattr(self.observations, "since", change["new"]), "since")
        traitlets.link((self.state, "day"), (self.chart, "day"))
        traitlets.link((self.state, "index"), (self.index, "value"))
        traitlets.dlink((self, "theme"), (self.chart, "theme"))
        self.index.observe(self._explain, "value")
        self.observe(lambda _: self._tell(), ["decision", "theme"])
        self.state.observe(lambda _: self._read_sketched(), "polygon")
        self._explain()

    def _explain(self, _: object = None) -> None:
        """Say what the chosen index measures."""
        self.index.tooltip = f"{self.texts('index_tip')}. {self.texts(f'{self.index.value}_tip')}"

    # -- a part of the workbench ---------------------------------------------------------------------------------------

    def read(self, request: Request) -> Season:
        """See `Part.read`."""
        observed = self.observations.of(request.key, self.since)
        ready = self._ready.get(request.key)
        if ready is not None and ready.observed is observed and ready.request.index == request.index:
            return replace(ready, request=request)
        panels = Panels.of(observed, request.index)
        figure = chartdata.figure(observed, panels, request.index, self.texts)
        label = self._label(observed, panels, request.index)
        return Season(request, observed, panels, figure, chartdata.looks(panels), label)

    def show(self, data: Season) -> Drawn:
        """See `Part.show`."""
        self._season, self._foi = data, ""
        band = None if data.panels.index.empty else data.observed.bands.get(data.request.index)
        with self.chart.hold_sync():
            self.chart.figure, self.chart.days, self.chart.label = data.figure, list(data.days), data.label
            self.chart.band = _band(data, band)
        self._tell()
        self._say(self._missing(data), *([band.note] if band and band.note else []))
        self._later.start(lambda: self._arriving(data))
        self._read_sketched()
        return Drawn(data.request.key, None, data.request.index, data.request.as_of)

    def clear(self, problem: str = "") -> None:
        """See `Part.clear`."""
        self._later.stop()
        self._season, self._foi = None, ""
        self._read_sketched()
        with self.chart.hold_sync():
            self.chart.figure, self.chart.band, self.chart.days = {}, {}, []
            self.chart.label = self.texts("chart_none")
        self.facts.value = ""
        self._say(*([self.texts("problem", problem=problem)] if problem else []))

    def prefetch(self, keys: Iterable[ParcelKey]) -> None:
        """Read the next parcels in the background; those of an earlier call that were not begun are left out."""
        coming, since = list(keys), self.since

        def work() -> Iterator[None]:
            for key in coming:
                self._read_ahead(key, since)
                yield None

        self._ahead.start(work)

    def _read_ahead(self, key: ParcelKey, since: datetime | None) -> None:
        """Work out the figure of a parcel that may come; it holds as long as its reading does."""
        self.observations.prefetch([key], since)
        state = self.state
        try:
            season = self.read(Request(key, "", "", state.layer, state.index, clock.now()))
        except LakeError:  # whoever asks for it is told
            return
        self._ready = dict([*self._ready.items(), (key, season)][-_AHEAD:])

    # -- what comes later ----------------------------------------------------------------------------------------------

    def _arriving(self, season: Season) -> Iterator[Later]:
        """The band of peers, and what the checks of the feature of interest say."""
        observed, index = season.observed, season.request.index
        if not season.panels.index.empty and index not in observed.bands:
            card = observed.optical.card.name
            observed.bands[index] = peers.of_index(
                observed.reading, observed.parcel, INDICES[index], observed.screen, card
            )
        band = observed.bands.get(index)
        yield Later(band)
        results = foi_results(observed.reading.lake, observed.parcel.key.params)
        yield Later(band, "; ".join(map(self._foi_words, results)), complete=True)

    def _add(self, later: Later) -> None:
        """Draw what came."""
        if self._season is None:
            return
        self._foi = later.foi
        self.chart.band = _band(self._season, later.peers)
        self._say(self._missing(self._season), *([later.peers.note] if later.peers and later.peers.note else []))
        if later.foi:
            self._tell()

    def _refuse(self, error: LakeError) -> None:
        """Say why what was to come does not."""
        self.chart.band = {**self.chart.band, "loading": False}
        self._say(self.texts("problem", problem=error))

    def _foi_words(self, result: Mapping[str, Any]) -> str:
        words = [
            self.texts(f"{name}_{int(result[name])}") for name in ("foi_h", "foi_c") if result.get(name) is not None
        ]
        return f"{result['check']}: {', '.join(words)}" if words else str(result["check"])

    # -- the drawn polygon ---------------------------------------------------------------------------------------------

    def _read_sketched(self) -> None:
        """Have the curve of the drawn polygon read and drawn; of none, or before a parcel is drawn, there is none."""
        self._sketched.stop()
        self.chart.drawn, self.sketch_note.value = {}, ""
        season, polygon = self._season, self.state.polygon
        if season is None or not polygon or season.panels.index.empty:
            return
        self._say_sketched(self.texts("sketch_reading"))

        def work() -> Iterator[Json]:
            label = self.texts("sketch")
            yield sketched.curve(season.observed, season.panels, polygon, season.request.index, label)

        self._sketched.start(work)

    def _draw_sketched(self, curve: Json) -> None:
        self.chart.drawn, self.sketch_note.value = curve, ""

    def _refuse_sketched(self, error: LakeError) -> None:
        self._say_sketched(self.texts("problem", problem=error.plain))

    def _say_sketched(self, words: str) -> None:
        self.sketch_note.value = _status(words)

    # -- words ---------------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Write the facts."""
        if self._season is None:
            return
        lines = facts.lines(self._season.observed, self.texts, decision=self.decision, foi=self._foi, since=self.since)
        dark = " cbm-dark" if self.theme == "dark" else ""
        head = f'<section class="cbm-facts{dark}" tabindex="0" aria-label="{html.escape(self.texts("facts"))}">'
        self.facts.value = head + "".join(f"<p>{line}</p>" for line in lines) + "</section>"

    def _say(self, *notes: str) -> None:
        self.note.value = _status(*notes)

    def _missing(self, season: Season) -> str:
        """What is not drawn since the lake has nothing of it."""
        if not season.figure and not season.observed.optical.table.num_rows:
            return self.texts("no_looks")
        empty = {"index": season.panels.index.empty, "weather": season.panels.temperature.empty}
        empty |= {card: season.panels.radar[card].empty for card in RADAR}
        names = [self.texts(f"no_{name}") for name in ("index", *RADAR, "weather") if empty[name]]
        return self.texts("absent", names=", ".join(names)) if names else ""

    def _label(self, observed: Observed, panels: Panels, index: str) -> str:
        """The figure in a sentence, for who cannot see it."""
        parcel = observed.parcel
        parts = [self.texts("chart_of", pid=parcel.pid, year=parcel.year)]
        rows = panels.index.lines[0].rows
        clear = rows[computing.clear(rows)]
        if len(clear):
            ends = {"low": f"{clear['value'].min():.2f}", "high": f"{clear['value'].max():.2f}"}
            counts = {"looks": len(rows), "clear": len(clear)}
            parts.append(self.texts("chart_index", index=self.texts(index), **counts, **ends))
        for card, panel in panels.radar.items():
            if not panel.empty:
                parts.append(self.texts("chart_other", name=self.texts(card), looks=len(panel.lines[0].rows)))
        if not panels.temperature.empty:
            days = len(panels.temperature.lines[0].rows)
            parts.append(self.texts("chart_other", name=self.texts("weather"), looks=days))
        return ". ".join(parts)


def _status(*notes: str) -> str:
    """Notes, as far as they say something, as HTML."""
    lines = "".join(f"<div>{html.escape(note)}</div>" for note in notes if note)
    return f'<div class="cbm-facts" role="status">{lines}</div>' if lines else ""


def _band(season: Season, band: Peers | None) -> Json:
    """The band of peers as the chart takes it; without one it is loading, unless there is no curve before it."""
    if season.panels.index.empty:
        return {}
    return chartdata.band(season.panels.index, band.lines) if band else {"loading": True}
