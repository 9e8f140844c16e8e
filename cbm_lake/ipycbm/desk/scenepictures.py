"""Draws the lake's scenes for a frame of the map, and keeps the pictures.

What is drawn in colour is of one day: of the scene that is the look of that day at the parcel, and where that ends, of
others of the same day. Where the day has none, the clearest scenes of the year are drawn in grey under a hatch, and
where there are none either, the hatch alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Final

import imagecodecs
import matplotlib as mpl
import numpy as np
import shapely
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cbm_lake.cards import BS, C6, S2, Card
from cbm_lake.errors import LakeError
from cbm_lake.ipycbm.desk import looks
from cbm_lake.ipycbm.desk.frames import Frame
from cbm_lake.ipycbm.desk.looks import Look
from cbm_lake.lake import Lake
from cbm_lake.parcel import chips
from cbm_lake.parcel.chips import Reader, Scene
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.rasters import render
from cbm_lake.show.views import Bands, Limits, View, view

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LARGEST: Final = 96_000_000
"""Bytes of pictures that are kept."""
_DARKEST_DB: Final = -20.0
"""Decibels below the brightest backscatter at which black begins."""
_HATCH: Final = 9
"""Pixels from one line of the hatch to the next."""
_PAPER, _LINE = (226, 229, 232), (150, 157, 165)
"""Where there is no scene at all, and the lines over it."""
_UNDER: Final = view("true colour")
"""In which Sentinel-2 is drawn in grey."""


class OutdatedError(LakeError):
    """A newer picture is asked for, and this one is not drawn to its end."""


@dataclass(frozen=True)
class Asked:
    """Who asks for a picture: whether it is still wanted, and whom to tell what is read."""

    outdated: Callable[[], bool] = lambda: False
    tell: Callable[[str, str], None] = lambda scene, band: None
    """Called with the scene and the band before it is read."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of a frame."""

    png: bytes
    day: date | None
    """Of what is in colour; None where nothing is."""
    scenes: tuple[Scene, ...] = ()
    """What is in colour, in the order of their weight."""
    around: tuple[Scene, ...] = ()
    """What is in grey."""
    blank: bool = False
    """Whether a part of it is hatched."""
    problems: tuple[tuple[str, str], ...] = ()
    """Scenes of the day that could not be read, and why."""


@dataclass(eq=False)
class _Mosaic:
    """Pixels of several scenes, the first that has any at a position."""

    owner: NDArray[np.int16]
    """The number of the scene at each pixel, -1 where there is none."""
    bands: dict[str, NDArray[np.number]] = field(default_factory=dict)
    scenes: list[Scene] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    @property
    def valid(self) -> NDArray[np.bool_]:
        """Where it has pixels."""
        valid: NDArray[np.bool_] = self.owner >= 0
        return valid

    def add(self, scene: Scene, bands: dict[str, NDArray[np.number]]) -> None:
        """Put a scene beneath those that are there."""
        new = np.all([values > 0 for values in bands.values()], axis=0) & ~self.valid
        if not new.any():
            return
        for name, values in bands.items():
            self.bands[name] = np.where(new, values, self.bands.get(name, np.zeros_like(values)))
        self.owner[new] = len(self.scenes)
        self.scenes.append(scene)


class Pictures:
    """Draws what a card's scenes show round one parcel. Threads may share it.

    Files and cubes that change meanwhile are not noticed: it is for as long as a parcel is looked at.
    """

    def __init__(self, lake: Lake, parcel: Parcel, card: Card) -> None:
        self.parcel, self.card = parcel, card
        self.looks = looks.looks(lake, parcel, card)
        self._lake, self._reader = lake, Reader(lake)
        self._lock = threading.Lock()
        self._pictures: OrderedDict[tuple[Frame, str, date | None], Picture] = OrderedDict()
        self._meeting: dict[Frame, list[tuple[Scene, shapely.Geometry]]] = {}
        self._beneath: dict[Frame, tuple[NDArray[np.uint8], _Mosaic]] = {}

    @property
    def bands(self) -> frozenset[str]:
        """Bands of which its scenes have rasters."""
        return frozenset(band for look in self.looks for band, _ in look.scene.hrefs)

    def on(self, day: str) -> Look | None:
        """The look of a day (YYYY-MM-DD), of "" the clearest; None where there is none."""
        if not day:
            return looks.clearest(self.looks)
        return next((look for look in self.looks if str(look.day) == day), None)

    def ready(self, frame: Frame, view: View, look: Look | None) -> Picture | None:
        """The picture, if it has been drawn."""
        with self._lock:
            return self._pictures.get((frame, view.name, look.day if look else None))

    def picture(self, frame: Frame, view: View, look: Look | None, asked: Asked | None = None) -> Picture:
        """Draw a look; None is no day at all, which leaves what is round it.

        Raises:
            OutdatedError: a newer one is asked for.
        """
        ready = self.ready(frame, view, look)
        if ready is not None:
            return ready
        asked = asked or Asked()
        of_day = self._mosaic(frame, view, self._of_day(frame, look), asked)
        picture = self._composed(frame, view, of_day, asked)
        if not picture.problems:
            self._keep((frame, view.name, look.day if look else None), picture)
        return picture

    def _keep(self, key: tuple[Frame, str, date | None], picture: Picture) -> None:
        with self._lock:
            self._pictures[key] = picture
            while len(self._pictures) > 1 and sum(len(one.png) for one in self._pictures.values()) > _LARGEST:
                self._pictures.popitem(last=False)

    def _composed(self, frame: Frame, view: View, of_day: _Mosaic, asked: Asked) -> Picture:
        """The pixels of a day over what is round them."""
        around: tuple[Scene, ...] = ()
        rgb = coloured(view, of_day.bands)[..., :3] if of_day.scenes else np.zeros((*frame.size, 3), np.uint8)
        valid = of_day.valid
        if not valid.all():
            grey, under = self._round(frame, view, asked)
            rgb = np.where(valid[..., None], rgb, grey)
            around = tuple(under.scenes[number] for number in np.unique(under.owner[~valid]) if number >= 0)
        png = bytes(imagecodecs.png_encode(np.ascontiguousarray(rgb), level=1))  # soon rather than small
        scenes = tuple(of_day.scenes)
        day = scenes[0].obstime.date() if scenes else None
        return Picture(png, day, scenes, around, not valid.all(), tuple(of_day.problems))

    def _round(self, frame: Frame, view: View, asked: Asked) -> tuple[NDArray[np.uint8], _Mosaic]:
        """The clearest scenes of the year in grey under a hatch, and what they are."""
        if frame not in self._beneath:
            under = _UNDER if self.card is S2 and set(_UNDER.bands) <= self.bands else view
            mosaic = self._mosaic(frame, under, self._clearest(frame), asked)
            grey = np.full((*frame.size, 3), _PAPER, np.uint8)
            if mosaic.scenes:
                light = coloured(under, mosaic.bands)[..., :3].mean(axis=-1, keepdims=True) * 0.55 + 100
                grey = np.where(mosaic.valid[..., None], light.astype(np.uint8), grey)
            grey[_hatched(frame)] = _LINE
            self._beneath[frame] = grey, mosaic
        return self._beneath[frame]

    def _of_day(self, frame: Frame, look: Look | None) -> list[Scene]:
        """The scene of a look, then others of its day, the ones that cover most first."""
        if look is None:
            return []
        others = [
            scene for scene, _ in self._all(frame) if scene.obstime.date() == look.day and scene.id != look.scene.id
        ]
        return [look.scene, *sorted(others, key=lambda scene: -scene.overlap)]

    def _clearest(self, frame: Frame) -> list[Scene]:
        """The clearest scenes that cover the frame between them."""
        parts = {scene.id: part for scene, part in self._all(frame)}
        ordered = [look.scene for look in looks.ordered_by_clearness(self.looks)]
        ordered += [scene for scene, _ in self._all(frame)]
        scenes, covered = [], shapely.Polygon()
        for scene in ordered:
            part = parts.get(scene.id)
            if part is not None and part.difference(covered).area > 1e-4 * shapely.box(*frame.degrees).area:
                scenes.append(scene)
                covered = covered.union(part)
        return scenes

    def _all(self, frame: Frame) -> list[tuple[Scene, shapely.Geometry]]:
        """Scenes of the looks' time that meet the frame, with the part of it that they cover."""
        if frame not in self._meeting:
            days = [date(self.parcel.year, 1, 1), date(self.parcel.year, 12, 31), *(look.day for look in self.looks)]
            box = frame.degrees
            self._meeting[frame] = chips.meeting(self._lake, box, min(days), max(days), card=self.card.name)
        return self._meeting[frame]

    def _mosaic(self, frame: Frame, view: View, scenes: Sequence[Scene], asked: Asked) -> _Mosaic:
        """Pixels of scenes, each where those before it have none."""
        mosaic = _Mosaic(np.full(frame.size, -1, np.int16))
        self._reader.prepare(scenes, view.bands)
        for scene in scenes:
            if mosaic.valid.all():
                break
            try:
                mosaic.add(scene, self._read(frame, view, scene, asked))
            except OutdatedError:
                raise
            except LakeError as error:
                mosaic.problems.append((scene.id, error.plain))
        return mosaic

    def _read(self, frame: Frame, view: View, scene: Scene, asked: Asked) -> dict[str, NDArray[np.number]]:
        bands = {}
        for band in dict.fromkeys(view.bands):
            if asked.outdated():
                raise OutdatedError(f"scene {scene.id} is not drawn: a newer picture is asked for")
            asked.tell(scene.id, band)
            bands[band] = self._reader.mapped(scene, band, frame.bounds, frame.size, exact=True)
        return bands


def coloured(view: View, bands: Bands) -> NDArray[np.uint8]:
    """RGBA (y, x, 4) of bands, with limits that are the same for every day and place."""
    between = limits(view)
    if not view.scaled:
        return view.colours(bands, between)
    scale = ScalarMappable(Normalize(*between[0]), mpl.colormaps[view.cmap])
    return np.asarray(scale.to_rgba(np.ma.masked_invalid(view.values(bands)), bytes=True), np.uint8)


def limits(view: View) -> Limits:
    """Darkest and brightest value of each band of a composite, or of a scale: fixed, so that days can be compared."""
    if view.index:
        return (view.index.limits,)
    if view.card is C6:
        return ((0.0, 1.0),)
    brightest = [float(render.BRIGHTEST.get(band, 1)) for band in view.bands]
    if view.card is BS:
        top = 10 * float(np.log10(brightest[0]))
        return ((top + _DARKEST_DB, top),)
    if view.scaled:
        return ((0.0, brightest[0] / 10_000),)
    return tuple((0.0, value) for value in brightest)


def _hatched(frame: Frame) -> NDArray[np.bool_]:
    """Pixels of the lines of a hatch."""
    rows, columns = np.indices(frame.size, np.int32, sparse=True)
    hatch: NDArray[np.bool_] = (rows + columns) % _HATCH == 0
    return hatch
