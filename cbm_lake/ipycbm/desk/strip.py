"""Strip of the workbench: the chosen parcel's year as small images in the order of days, from which one is chosen."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

import anywidget
import ipywidgets
import traitlets

from cbm_lake.errors import LakeError
from cbm_lake.ipycbm.desk import thumbnails
from cbm_lake.ipycbm.desk.arriving import Arriving
from cbm_lake.ipycbm.desk.evidence import THEMES
from cbm_lake.ipycbm.desk.observed import Observations, Observed
from cbm_lake.ipycbm.desk.state import Drawn, Request, State
from cbm_lake.ipycbm.desk.thumbnails import Overflight, Thumbnails
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.show import views
from cbm_lake.show.views import View

_WORDS: Final = ("clouded", "cloud_free", "is_chosen", "loading", "no_image", "no_images", "unknown", "small", "cut")
_AHEAD: Final = 6
"""Parcels whose looks are kept ahead."""
_MOST: Final = 32
"""Strips that are remembered."""
_READERS: Final = 4
"""Images that are read at once."""


class Film(anywidget.AnyWidget):
    """The strip in the browser; see strip.js."""

    _esm = Path(__file__).with_name("strip.js")
    _css = Path(__file__).with_name("strip.css")
    looks = traitlets.List(traitlets.Dict()).tag(sync=True)
    """id, day (YYYY-MM-DD), cloud (0 to 1, None where it is not known), clouded, why_not, optical."""
    pictures = traitlets.Dict().tag(sync=True)
    """By id: png (bytes, empty where it cannot be read) and outline."""
    events = traitlets.List(traitlets.Dict()).tag(sync=True)
    """name and day of what was done on the parcel."""
    day = traitlets.Unicode("").tag(sync=True)
    """The chosen one."""
    label = traitlets.Unicode("").tag(sync=True)
    note = traitlets.Unicode("").tag(sync=True)
    """Why there are no images."""
    words = traitlets.Dict().tag(sync=True)
    language = traitlets.Unicode("en").tag(sync=True)
    theme = traitlets.Enum(THEMES, "light").tag(sync=True)


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks at a parcel, without their images."""

    observed: Observed
    view: View
    layer: str
    """The name of the view."""
    looks: Sequence[Overflight]
    request: Request | None = None
    """By whom they are shown; None of those that are read ahead."""


class Strip(ipywidgets.VBox):
    """Images of the chosen parcel by day; a `Part` of the workbench.

    Images come after the days, and are remembered for the parcels that were looked at last.

    Args:
        state: of the workbench.
        observations: what reads the lake, which several parts may share; None is one of its own.
        language: one of `texts.LANGUAGES`; None is that of the settings.
    """

    theme = traitlets.Enum(THEMES, "light")

    def __init__(self, state: State, observations: Observations | None = None, *, language: str | None = None) -> None:
        self.state, self.observations = state, observations or Observations()
        self.texts = Texts("evidence", language)
        self._looks: Looks | None = None
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="strip")
        self._lock = threading.Lock()
        self._strips: OrderedDict[tuple[ParcelKey, str], tuple[Observed, Thumbnails]] = OrderedDict()
        self._ready: dict[tuple[ParcelKey, str], Looks] = {}
        """What was read ahead; replaced as a whole."""
        self._later: Arriving[Thumbnails] = Arriving(self._add, self._refuse)
        self._ahead: Arriving[None] = Arriving(lambda _: None, lambda _: None)
        self.film = Film(
            words={name: self.texts.template(name) for name in _WORDS},
            language=self.texts.language,
            label=self.texts("strip_none"),
        )
        super().__init__([self.film])
        traitlets.link((self.state, "day"), (self.film, "day"))
        traitlets.dlink((self, "theme"), (self.film, "theme"))

    # -- a part of the workbench ---------------------------------------------------------------------------------------

    def read(self, request: Request) -> Looks:
        """See `Part.read`; the images come later."""
        return self._read(request.key, request.layer, request)

    def _read(self, key: ParcelKey, layer: str, request: Request | None = None) -> Looks:
        observed, view = self.observations.of(key, self.observations.since), views.view(layer)
        ready = self._ready.get((key, layer))
        if ready is not None and ready.observed is observed:
            return replace(ready, request=request)
        return Looks(observed, view, layer, thumbnails.looks(observed, view), request)

    def show(self, data: Looks) -> Drawn:
        """See `Part.show`."""
        request = data.request
        if request is None:
            raise LakeError("these looks were read ahead, and are not to be shown")
        self._looks = data
        ready = self._remembered(data)
        with self.film.hold_sync():
            self.film.looks = [_described(look, data.view) for look in data.looks]
            self.film.pictures = _sent(ready or {})
            self.film.events = [
                {"name": self.texts(event.name), "day": event.day.date().isoformat()} for event in data.observed.work
            ]
            self.film.label = self.texts("strip", pid=request.key.pid)
            self.film.note = "" if data.looks else self.texts("no_images")
        if ready is None and data.looks:
            self._later.start(lambda: self._drawn(data))
        else:
            self._later.stop()
        day = date.fromisoformat(request.day) if request.day else None
        return Drawn(request.key, day, request.layer, request.as_of)

    def clear(self, problem: str = "") -> None:
        """See `Part.clear`."""
        self._later.stop()
        self._looks = None
        with self.film.hold_sync():
            self.film.looks, self.film.pictures, self.film.events = [], {}, []
            self.film.label = self.texts("strip_none")
            self.film.note = self.texts("problem", problem=problem) if problem else ""

    def prefetch(self, keys: Iterable[ParcelKey]) -> None:
        """Read images of the next parcels in the background, in the layer that is chosen now."""
        coming, layer = list(keys), self.state.layer

        def work() -> Iterator[None]:
            for key in coming:
                self._ahead_of(key, layer)
                yield None

        self._ahead.start(work)

    def _ahead_of(self, key: ParcelKey, layer: str) -> None:
        try:
            data = self._read(key, layer)
        except LakeError:  # whoever asks for it is told
            return
        self._ready = dict([*self._ready.items(), ((key, layer), data)][-_AHEAD:])
        if self._remembered(data) is None:
            for _ in self._drawn(data):
                pass

    # -- images --------------------------------------------------------------------------------------------------------

    def _drawn(self, data: Looks) -> Iterator[Thumbnails]:
        """The images, read now; remembered once all are there."""
        reader = self.observations.reader
        for images, complete in thumbnails.drawn(data.observed, data.view, data.looks, reader, self._pool):
            if complete:
                self._remember(data, images)
            yield images

    def _remember(self, data: Looks, images: Thumbnails) -> None:
        with self._lock:
            key = data.observed.parcel.key, data.layer
            self._strips[key] = data.observed, images
            self._strips.move_to_end(key)
            while len(self._strips) > _MOST:
                self._strips.popitem(last=False)

    def _remembered(self, data: Looks) -> Thumbnails | None:
        """The images, if they were read of the same reading of the parcel."""
        with self._lock:
            observed, images = self._strips.get((data.observed.parcel.key, data.layer), (None, None))
        return images if observed is data.observed else None

    def _add(self, images: Thumbnails) -> None:
        """Show images that came; looks that hold no pixel of their scene go once all are there."""
        if self._looks is None:
            return
        with self.film.hold_sync():
            self.film.pictures = _sent(images)
            if self._remembered(self._looks) is not None:
                there = [look for look in self._looks.looks if look.scene.id in images]
                self.film.looks = [_described(look, self._looks.view) for look in there]

    def _refuse(self, error: LakeError) -> None:
        self.film.note = self.texts("problem", problem=error)


def _described(look: Overflight, view: View) -> dict[str, Any]:
    return {
        "id": look.scene.id,
        "day": look.day.isoformat(),
        "cloud": look.cloud,
        "clouded": look.clouded,
        "why_not": look.why_not,
        "optical": view.card.is_optical,
    }


def _sent(images: Thumbnails) -> dict[str, dict[str, Any]]:
    """Images as they are sent to the page."""
    return {scene: {"png": image.png, "outline": image.outline} for scene, image in images.items()}
