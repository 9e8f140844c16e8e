"""Reads what the map of the workbench is to show; touches no widget."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from cbm_lake.cards import S2, Card
from cbm_lake.ipycbm.desk import frames, mapwords, parcelpictures
from cbm_lake.ipycbm.desk.frames import Box, Frame
from cbm_lake.ipycbm.desk.looks import Look, ordered_by_clearness
from cbm_lake.ipycbm.desk.observed import of_parcels
from cbm_lake.ipycbm.desk.parcelpictures import ParcelPicture
from cbm_lake.ipycbm.desk.scenepictures import Asked, Picture, Pictures
from cbm_lake.ipycbm.desk.state import Request
from cbm_lake.ipycbm.texts import Texts
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel.chips import HALF_MAP, TILE
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.show import views
from cbm_lake.show.views import View

T = TypeVar("T")
_MOST: Final = 4
"""Parcels, and pictures of parcels, that are remembered."""


@dataclass(frozen=True)
class Viewport:
    """Where the map is."""

    centre: tuple[float, float]
    """x and y in Web Mercator."""
    zoom: float
    size: tuple[int, int]
    """Width and height in pixels."""

    @property
    def frame(self) -> Frame:
        """What of it is drawn of scenes."""
        return Frame.of_view(self.centre, self.zoom, self.size)

    def is_near(self, other: Viewport) -> bool:
        """Whether it has the zoom level of another, and its centre within a pixel."""
        pixel = 2 * HALF_MAP / TILE / 2**self.zoom
        return self.zoom == other.zoom and all(
            abs(a - b) < pixel for a, b in zip(self.centre, other.centre, strict=True)
        )

    @property
    def seen(self) -> Box:
        """What is seen of it, in Web Mercator."""
        (x, y), pixel = self.centre, 2 * HALF_MAP / TILE / 2**self.zoom
        across, up = (pixels * pixel / 2 for pixels in self.size)
        return x - across, y - up, x + across, y + up

    @property
    def sharp(self) -> Frame:
        """What of it is drawn of parcels, in pixels of the screen."""
        return Frame.of_view(self.centre, self.zoom, self.size, 0)


@dataclass(frozen=True)
class Where:
    """Where the map is."""

    viewport: Viewport | None
    """None before it went anywhere."""
    key: ParcelKey | None
    """The parcel that it shows."""
    size: tuple[int, int]
    """Width and height in pixels."""

    def of(self, parcel: Parcel) -> Viewport:
        """Where the map stays for its parcel, or is to go for another."""
        return (
            self.viewport if self.viewport is not None and self.key == parcel.key else round_parcel(parcel, self.size)
        )


def round_parcel(parcel: Parcel, size: tuple[int, int]) -> Viewport:
    """The place in which a parcel is seen with what is round it."""
    centre, zoom = frames.fitting(parcel.outline_in(3857).bounds, size)
    return Viewport(centre, zoom, size)


@dataclass(frozen=True, eq=False)
class Sight:
    """What the map is to show."""

    request: Request
    parcel: Parcel
    view: View
    pictures: Pictures
    viewport: Viewport
    look: Look | None
    picture: Picture
    against: tuple[Look | None, Picture] | None
    """The second image."""
    parcels: ParcelPicture
    layers: mapwords.Options


@dataclass(frozen=True, eq=False)
class About:
    """What was read of a parcel."""

    parcel: Parcel
    cards: list[str]
    """Of which there are scenes."""
    pictures: dict[str, Pictures] = field(default_factory=dict)
    """By card."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held while they are looked up, so that whoever asks meanwhile waits for them."""


class Sights:
    """Reads requests; remembers what belongs to the parcels looked at last, or read ahead, of the newest snapshot."""

    def __init__(self, lake: Lake, texts: Texts) -> None:
        self._lake, self._texts = lake, texts
        self.source = LakeSource(lake)
        self._lock = threading.Lock()
        self._abouts: OrderedDict[object, About] = OrderedDict()
        self._parcels: OrderedDict[object, ParcelPicture] = OrderedDict()

    def read(self, request: Request, where: Where, colouring: tuple[str, str], asked: Asked) -> Sight:
        """Read what a request is to show.

        Args:
            request: which parcel, days and layer.
            where: where the map is, and how large.
            colouring: by which column parcels are coloured, and the scenario of lights ("" is all).
            asked: who asks.

        Raises:
            NotFoundError: no such parcel.
            InvalidInputError: a layer that is none.
            OutdatedError: a newer one is asked for.
        """
        view = views.view(request.layer)
        about = self.about(request.key)
        pictures = self._pictures(about, view.card)
        viewport = where.of(about.parcel)
        look, picture = _drawn(pictures, viewport.frame, view, request.day, asked)
        against = None
        if request.compared:
            against = _drawn(pictures, viewport.frame, view, request.compared, asked)
        bands = self._pictures(about, S2).bands if S2.name in about.cards else frozenset[str]()
        layers = mapwords.layers(self._texts, about.cards, bands, request.layer)
        parcels = self._parcels_in(about.parcel, viewport.sharp, *colouring)
        return Sight(request, about.parcel, view, pictures, viewport, look, picture, against, parcels, layers)

    def about(self, key: ParcelKey) -> About:
        """What is read of a parcel once.

        Raises:
            NotFoundError: no such parcel.
        """
        what = key, of_parcels(self._lake.snapshot())
        about = self._remembered(self._abouts, what)
        return about or self._remember(
            self._abouts, what, About(parcel := self.source.parcel(key), self._cards(parcel))
        )

    def _remembered(self, memory: OrderedDict[object, T], what: object) -> T | None:
        with self._lock:
            return memory.get(what)

    def _remember(self, memory: OrderedDict[object, T], what: object, new: T) -> T:
        """Remember something, unless another thread was faster; returns what is remembered."""
        with self._lock:
            new = memory.setdefault(what, new)
            memory.move_to_end(what)
            while len(memory) > _MOST:
                memory.popitem(last=False)
        return new

    def _cards(self, parcel: Parcel) -> list[str]:
        """Cards of which there are scenes over a parcel in its year."""
        start, stop = datetime(parcel.year, 1, 1, tzinfo=UTC), datetime(parcel.year + 1, 1, 1, tzinfo=UTC)
        rows = self._lake.query("scenes.cards_over", start=start, stop=stop, lon=parcel.lon, lat=parcel.lat)
        return [str(card) for card in rows["card"].to_pylist()]

    def _pictures(self, about: About, card: Card) -> Pictures:
        """What draws the scenes of a card round a parcel."""
        with about.lock:
            if card.name not in about.pictures:
                about.pictures[card.name] = Pictures(self._lake, about.parcel, card)
            return about.pictures[card.name]

    def _parcels_in(self, parcel: Parcel, frame: Frame, column: str, scenario: str) -> ParcelPicture:
        """The parcels of a frame, drawn again where it is another, or they are coloured otherwise."""
        what = parcel.key.set_name, frame, column, scenario, self._lake.snapshot()
        drawn = self._remembered(self._parcels, what)
        return drawn or self._remember(
            self._parcels, what, parcelpictures.picture(self._lake, parcel, frame, column, scenario)
        )


def _drawn(pictures: Pictures, frame: Frame, view: View, day: str, asked: Asked) -> tuple[Look | None, Picture]:
    """The picture of a day; of the clearest look that can be read where the day is ""."""
    if day:
        look = pictures.on(day)
        return look, pictures.picture(frame, view, look, asked)
    problems: list[tuple[str, str]] = []
    for look in ordered_by_clearness(pictures.looks):
        picture = pictures.picture(frame, view, look, asked)
        problems += picture.problems
        if picture.day is not None:
            return look, replace(picture, problems=tuple(problems))
    return None, replace(pictures.picture(frame, view, None, asked), problems=tuple(problems))
