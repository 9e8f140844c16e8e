"""Map of the workbench: the lake's own scenes by day, the parcels over them, and the chosen one outlined.

ipyleaflet has no tiles that a kernel draws, so a picture of the view and a margin round it is laid over the map, and
drawn anew when the view leaves it. Nothing comes from elsewhere.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import ipywidgets
import shapely

from cbm_lake.errors import LakeError, NotFoundError
from cbm_lake.files import clock
from cbm_lake.ipycbm import maps
from cbm_lake.ipycbm.desk import frames, mapbar, mapwords, overlaid
from cbm_lake.ipycbm.desk.arriving import Arriving
from cbm_lake.ipycbm.desk.scenepictures import Asked, OutdatedError, Picture
from cbm_lake.ipycbm.desk.sights import Sight, Sights, Viewport, Where, round_parcel
from cbm_lake.ipycbm.desk.sketch import Sketch
from cbm_lake.ipycbm.desk.state import Drawn, Request, State
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.sources import ByLocation

_SIZE: Final = (560, 380)
"""Width and height of the map in pixels, until the browser says it."""
_CALM: Final = 0.2
"""Seconds that a map must stand still before it is drawn anew."""
_PATIENCE: Final = 0.5
"""Seconds after which it is said what is read."""
_AHEAD: Final = (1, -1, 2, 3)
"""Looks that are drawn before they are asked for, counted from the one that is shown."""
_HALO, _LINE = {"color": "#ffffff", "weight": 6, "opacity": 0.9}, {"color": "#d6007a", "weight": 3, "opacity": 1}
_WATCHED: Final = ("aoi", "year", "ptype", "pid", "day", "compared", "layer")
"""Traits of the state that decide what is drawn."""


class SceneMap(ipywidgets.VBox):
    """Map of the chosen parcel; a `Part` of the workbench.

    Args:
        state: of the workbench.
        lake: what is read; None is that of the settings.
        language: one of `texts.LANGUAGES`; None is that of the settings.
    """

    def __init__(self, state: State, lake: Lake | None = None, language: str | None = None) -> None:
        self.state, self._texts = state, Texts("map", language)
        self._sights = Sights(lake or open_lake(), self._texts)
        self._lock = threading.RLock()
        self._turn = self._again = self._ahead = 0
        self._reading = ("", "")
        self._size = _SIZE
        self._viewport: Viewport | None = None
        self._went: Viewport | None = None
        """Where the map was sent last."""
        self._sight: Sight | None = None
        self._outlined: shapely.Geometry | None = None
        self._broken: set[str] = set()
        self._coming: Arriving[None] = Arriving(lambda _: None, lambda _: None)
        self._timers: dict[str, threading.Timer] = {}
        self._telling = threading.local()
        """Its `on` is set in a thread that lets the controls say something, which is no choice of a person."""
        self._build()
        self._sketch = Sketch(state, self.map, self.bar)
        super().__init__([self.bar, self.map, self.foot])
        self.add_class("cbm-map")
        self._listen()

    # -- the part -----------------------------------------------------------------------------------------------------

    def read(self, request: Request) -> Sight:
        """Read the pictures of a request; see `Part`.

        Raises:
            NotFoundError: no such parcel.
            InvalidInputError: a layer that is none.
            OutdatedError: a newer request has come.
        """
        with self._lock:
            self._turn += 1
            self._ahead += 1
            turn = self._turn
        return self._read(request, Asked(lambda: turn != self._turn, self._note))

    def show(self, data: Sight) -> Drawn:
        """Put the pictures on the map; see `Part`."""
        with self._lock:
            moves = self._sight is None or self._sight.parcel.key != data.parcel.key
            self._sight = data
            if moves:
                resized = data.viewport.size != self._size
                self._go(round_parcel(data.parcel, self._size) if resized else data.viewport)
            self._lay(data)
            self._telling.on = True
            self._say(data)
            self._telling.on = False
            self.bar.busy = not self._is_current(data)
            self.bar.progress = ""
            self._follow()
        self._look_ahead(data)
        return Drawn(data.request.key, data.picture.day, data.request.layer, data.request.as_of)

    def clear(self, problem: str = "") -> None:
        """Show nothing, or why there is nothing; see `Part`."""
        with self._lock:
            self._sight, self._turn, self._ahead = None, self._turn + 1, self._ahead + 1
            for overlay in (self._scene, self._second, self._parcels):
                overlay.url = overlaid.CLEAR
            self._halo.data = self._line.data = overlaid.features(None)
            self.bar.looks, self.bar.others, self.bar.drawn, self.bar.against = [], [], "", ""
            self.bar.busy, self.bar.progress = False, ""
            line = f'<div class="cbm-map-problem" role="alert">{html.escape(problem)}</div>'
            self.foot.value = self._worded(line) if problem else ""

    def prefetch(self, keys: Iterable[ParcelKey]) -> None:
        """Read the next parcels in the background, until something else is asked for."""
        coming, turn = list(keys), self._turn
        asked = Asked(lambda: turn != self._turn)

        def work() -> Iterator[None]:
            for key in coming:
                self._read_ahead(key, asked)
                yield None

        self._coming.start(work)

    def _read_ahead(self, key: ParcelKey, asked: Asked) -> None:
        if asked.outdated():
            return
        state = self.state
        request = Request(key, "", "", state.layer, state.index, clock.now())
        try:
            self._sights.read(request, Where(None, None, self._size), self._colouring(), asked)
        except LakeError:  # whoever asks for it is told
            return

    def _colouring(self) -> tuple[str, str]:
        """By which column parcels are coloured, and the scenario of lights."""
        return self.bar.colour, self.state.subject if self.state.desk == "season" else ""

    def step(self, by: int) -> None:
        """Go so many looks on, or back where negative; at the ends nothing changes."""
        days = [look["day"] for look in self.bar.looks]
        if self.bar.day in days:
            self.state.day = days[min(max(days.index(self.bar.day) + by, 0), len(days) - 1)]

    def _read(self, request: Request, asked: Asked) -> Sight:
        with self._lock:
            key = self._sight.parcel.key if self._sight else None
            where = Where(self._viewport, key, self._size)
        return self._sights.read(request, where, self._colouring(), asked)

    def _note(self, scene: str, band: str) -> None:
        self._reading = scene, band

    # -- showing ------------------------------------------------------------------------------------------------------

    def _go(self, viewport: Viewport) -> None:
        """Have the map show a place."""
        self._viewport = self._went = viewport
        lon, lat = frames.in_degrees(*viewport.centre)
        with self.map.hold_sync():
            self.map.center, self.map.zoom = (lat, lon), viewport.zoom

    def _lay(self, sight: Sight) -> None:
        """Put the pictures on the map."""
        overlaid.put(self._scene, sight.picture.png, sight.viewport.frame)
        if sight.against:
            overlaid.put(self._second, sight.against[1].png, sight.viewport.frame)
        else:
            self._second.url = overlaid.CLEAR
        overlaid.put(self._parcels, sight.parcels.png, sight.viewport.sharp)
        outline = sight.parcel.outline_in(4326)
        if self._outlined != outline:
            self._outlined = outline
            self._halo.data = self._line.data = overlaid.features(outline)

    def _say(self, sight: Sight) -> None:
        """Let the controls and the caption say what is on the map."""
        pictures = [sight.picture, *([sight.against[1]] if sight.against else [])]
        self._broken |= {scene for picture in pictures for scene, _ in picture.problems}
        looks = sight.pictures.looks
        labels = [mapwords.label(self._texts, look, look.scene.id in self._broken) for look in looks]
        with self.bar.hold_sync():
            self.bar.looks = [
                {"day": str(look.day), "label": words, "mark": "broken" if look.scene.id in self._broken else look.mark}
                for look, words in zip(looks, labels, strict=True)
            ]
            days = ([str(look.day), words] for look, words in zip(looks, labels, strict=True))
            self.bar.others = [["", self._texts("none")], *days]
            self.bar.layers = [list(option) for option in sight.layers]
            day = str(sight.look.day) if sight.look else sight.request.day
            self.bar.drawn, self.bar.day = day, self.state.day or day
            self.bar.layer, self.bar.compared = self.state.layer, self.state.compared
            self.bar.against = sight.request.compared if sight.against else ""
        self.foot.value = self._caption(sight, pictures)

    def _caption(self, sight: Sight, pictures: list[Picture]) -> str:
        """Caption and legend, as HTML."""
        layer = dict(sight.layers)[sight.request.layer]
        lines = [mapwords.problems(self._texts, picture) for picture in pictures]
        lines.append(mapwords.caption(self._texts, sight.picture, sight.look, layer, sight.request.day))
        if sight.against:
            look, picture = sight.against
            right = mapwords.caption(self._texts, picture, look, layer, sight.request.compared)
            lines.append(f"{html.escape(self._texts('right'))}: {right}")
        lines += [mapwords.around(self._texts, picture) for picture in pictures[:1]]
        legend = mapwords.legend(sight.view)
        words = ((mapwords.spoken(self._texts, word), colour) for word, colour in sight.parcels.legend)
        legend += "".join(mapwords.swatch(word, colour) for word, colour in words)
        credit = html.escape(mapwords.credit(pictures))
        lines.append(f'{legend}<span class="cbm-map-credit">{credit}</span>')
        return self._worded("".join(f"<div>{line}</div>" for line in lines if line))

    def _worded(self, lines: str) -> str:
        """Lines below the map, in a box that can be scrolled by keys."""
        label = html.escape(self._texts("caption"), quote=True)
        return f'<div class="cbm-map-words" tabindex="0" role="region" aria-label="{label}">{lines}</div>'

    def _is_current(self, sight: Sight) -> bool:
        """Whether what is on the map is what the state says; the clearest day may be said by its date, too."""
        request, state = sight.request, self.state
        days = {request.day, str(sight.look.day) if sight.look and not request.day else request.day}
        is_same = (request.key, request.compared, request.layer) == (state.key, state.compared, state.layer)
        return is_same and state.day in days

    # -- following ----------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self.state.observe(self._changed, list(_WATCHED))
        self.bar.observe(self._pick, ["day", "layer", "compared"])
        self.bar.observe(lambda _: self._later("again", 0, self._redraw), "colour")
        self.bar.observe(lambda change: setattr(self._parcels, "opacity", change["new"]), "opacity")
        self.bar.on_msg(self._pressed)
        self.map.observe(self._moved, "bounds")
        self.map.on_interaction(self._clicked)

    def _changed(self, _: object) -> None:
        """Fade what is on the map until what is asked for now is drawn."""
        sight = self._sight
        if sight is None or not self._is_current(sight):
            self.bar.busy = bool(self.state.pid)
            if self.state.day:
                self.bar.day = self.state.day  # which chooses nothing: it is the state's already
            self._later("say", _PATIENCE, self._say_what_is_read)
        else:
            self.bar.busy = False

    def _pick(self, change: Mapping[str, Any]) -> None:
        """Take what a person chose at the controls."""
        if not getattr(self._telling, "on", False):
            self.state.set_trait(change["name"], change["new"])

    def _pressed(self, _: object, content: Mapping[str, Any], __: object) -> None:
        sight = self._sight
        if content.get("event") == "zoom" and sight is not None:
            self._go(round_parcel(sight.parcel, self._size))
            self._later("again", 0, self._redraw)

    def _clicked(self, **event: Any) -> None:
        """Choose the parcel that was clicked."""
        if event.get("type") != "click" or not self.state.pid:
            return
        lat, lon = event["coordinates"]
        if self._sketch.takes(lat, lon):
            return
        key = self.state.key
        try:
            answer = self._sights.source.answer(ByLocation(key.aoi, key.year, lon, lat, key.ptype))
        except LakeError as error:
            self.bar.progress = self._texts("no_parcel") if isinstance(error, NotFoundError) else error.plain
            self._later("say", 4 * _PATIENCE, self._say_what_is_read)
            return
        self.state.pid = str(answer["pid"][0])

    def _moved(self, _: object) -> None:
        """Note where the map is, and draw it anew if it has left the picture."""
        if len(self.map.bounds) != 2 or len(self.map.pixel_bounds) != 2:
            return
        (left, top), (right, bottom) = self.map.pixel_bounds
        size = round(right - left), round(bottom - top)
        if min(size) < 1 or max(size) > 10_000:
            return
        lat, lon = self.map.center
        x, y = frames.in_metres((lon, lat, lon, lat))[:2]
        with self._lock:
            resized, self._size, sight = size != self._size, size, self._sight
            viewport = Viewport((x, y), float(self.map.zoom), size)
            if resized and sight is not None and self._went is not None and viewport.is_near(self._went):
                self._go(round_parcel(sight.parcel, size))
            else:
                self._viewport = viewport
        self._follow()

    def _follow(self) -> None:
        """Draw the map anew, soon, if it has left the picture."""
        sight, viewport = self._sight, self._viewport
        if sight is None or viewport is None:
            return
        if viewport.zoom != sight.viewport.zoom or not sight.viewport.frame.covers(viewport.seen):
            self._later("again", _CALM, self._redraw)

    def _redraw(self) -> None:
        """Draw what is shown at the place where the map is now."""
        with self._lock:
            sight, self._again, turn = self._sight, self._again + 1, self._turn
            again = self._again
        if sight is None:
            return
        asked = Asked(lambda: (turn, again) != (self._turn, self._again), self._note)
        self._later("say", _PATIENCE, self._say_what_is_read)
        try:
            newer = self._read(sight.request, asked)
        except OutdatedError:
            return
        except LakeError as error:
            self.bar.progress = error.plain
            return
        with self._lock:
            if self._sight is sight and not asked.outdated():
                self.show(newer)

    def _look_ahead(self, sight: Sight) -> None:
        """Draw the looks beside the one that is shown, before they are asked for."""
        with self._lock:
            self._ahead += 1
            ahead = self._ahead
        looks = sight.pictures.looks
        if sight.look not in looks:
            return
        number, asked = looks.index(sight.look), Asked(lambda: ahead != self._ahead)

        def draw() -> None:
            for by in _AHEAD:
                if 0 <= number + by < len(looks):
                    try:
                        sight.pictures.picture(sight.viewport.frame, sight.view, looks[number + by], asked)
                    except OutdatedError:
                        return

        self._later("ahead", 0, draw)

    def _say_what_is_read(self) -> None:
        """Say which scene and band are being read, while something is."""
        scene, band = self._reading
        if self.bar.busy and scene:
            self.bar.progress = self._texts("reading", scene=scene, band=band)
        elif self.bar.busy:
            self.bar.progress = self._texts("looking")
        else:
            self.bar.progress = ""
            return
        self._later("say", _PATIENCE, self._say_what_is_read)

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        """Call in a thread after some time, instead of what was to be called under that name."""
        timer = threading.Timer(seconds, call)
        timer.daemon = True
        with self._lock:
            if name in self._timers:
                self._timers[name].cancel()
            self._timers[name] = timer
            timer.start()

    # -- widgets ------------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        package, texts = maps.leaflet(), self._texts
        self.bar = mapbar.bar(texts, self.state.layer)
        self._scene, self._second, self._parcels = (
            package.ImageOverlay(url=overlaid.CLEAR, bounds=((0, 0), (1, 1)), pane=pane)
            for pane in ("cbmscene", "cbmcompared", "cbmparcels")
        )
        self._halo, self._line = (
            package.GeoJSON(data=overlaid.features(None), style={**style, "fill": False}, pane="cbmoutline")
            for style in (_HALO, _LINE)
        )
        order = ("cbmscene", "cbmcompared", "cbmparcels", "cbmoutline")
        self.map = package.Map(
            layers=(self._scene, self._second, self._parcels, self._halo, self._line),
            panes={pane: {"zIndex": 300 + 10 * number, "pointerEvents": "none"} for number, pane in enumerate(order)},
            center=(50, 10),
            zoom=4,
            zoom_snap=0.25,
            zoom_delta=0.5,
            scroll_wheel_zoom=True,
            attribution_control=False,
        )
        self.map.add_class("cbm-map-ground")
        self.map.add(package.ScaleControl(position="bottomleft", imperial=False))
        self.foot = ipywidgets.HTML()
        self.foot.add_class("cbm-map-foot")
