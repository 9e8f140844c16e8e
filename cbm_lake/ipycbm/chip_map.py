"""Images of a parcel on a map, with a slider over their dates and Play."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

import geopandas as gpd
import ipywidgets
import matplotlib as mpl
import numpy as np
import shapely
from matplotlib.colors import to_hex

from cbm_lake.cards import palette
from cbm_lake.errors import NotFoundError
from cbm_lake.ipycbm import maps, overlays
from cbm_lake.lake import Lake
from cbm_lake.parcel.images import Image
from cbm_lake.show import computing, rendering
from cbm_lake.show.rendering import Row

_HEIGHT: Final = 460
"""Pixels of the map."""
_FINEST: Final = 1200
"""Pixels a side of an image that is drawn on the map."""
_PACE: Final = 700
"""Milliseconds for which Play shows an image."""
_STEPS: Final = 9
"""Colours of a legend."""


class ChipMap(ipywidgets.VBox):
    """The images of a row over a map, one date at a time; clouded dates are marked and can be left out.

    Args:
        row: the images and how they are coloured.
        lake: whose clearest scene is the ground.

    Raises:
        NotFoundError: there is no image.
    """

    def __init__(self, row: Row, lake: Lake | None = None) -> None:
        if not row.images.images:
            raise NotFoundError("there are no images between these days; choose others")
        self.row = row
        self._pictures: dict[int, overlays.Picture] = {}
        first = self._picture(0)
        self.map, said = maps.blank(lake, **maps.showing(first.box, _HEIGHT), height=_HEIGHT)
        self.layer = maps.leaflet().ImageOverlay(**first.traits, name="image")
        self.map.add(self.layer)
        if row.drawn_outline is not None:
            self.map.add(_outline(row.drawn_outline, row.images.epsg))
        self.opacity = ipywidgets.FloatSlider(
            value=1, min=0, max=1, step=0.05, description="opacity", tooltip="of the image over the ground"
        )
        ipywidgets.jslink((self.opacity, "value"), (self.layer, "opacity"))
        self.clear_only = ipywidgets.Checkbox(description="leave clouded dates out", indent=False)
        self.dates = ipywidgets.SelectionSlider(
            options=self._options(), description="date", continuous_update=True, layout={"width": "70%"}
        )
        self.play = ipywidgets.Play(interval=_PACE, max=len(self.dates.options) - 1, tooltip="show one after another")
        ipywidgets.jslink((self.play, "value"), (self.dates, "index"))
        self.marks = ipywidgets.HTML()
        self.dates.observe(self._show, "value")
        self.clear_only.observe(self._offer, "value")
        self._show()
        controls = ipywidgets.HBox([self.play, self.dates])
        below = ipywidgets.HBox([self.opacity, self.clear_only])
        super().__init__([ipywidgets.HTML(legend(row)), self.map, controls, self.marks, below, said])

    @property
    def image(self) -> Image:
        """The image that is shown."""
        current: Image = self.row.images.images[self.dates.value]
        return current

    def _options(self, *, clear_only: bool = False) -> list[tuple[str, int]]:
        """Dates in words, and the number of the image of each; all where none is clear."""
        images = self.row.images.images
        numbers = [n for n, image in enumerate(images) if not (clear_only and _is_clouded(image))] or range(len(images))
        return [(_titled(images[number], optical=self.row.view.card.is_optical), number) for number in numbers]

    def _offer(self, change: dict[str, bool]) -> None:
        before = self.dates.value
        options = self._options(clear_only=change["new"])
        self.dates.options = options
        numbers = [number for _, number in options]
        self.dates.value = min(numbers, key=lambda number: abs(number - before))
        self.play.max = len(options) - 1
        self._show()

    def _show(self, _: object = None) -> None:
        overlays.put(self.layer, self._picture(self.dates.value))
        self.marks.value = self._strip()

    def _picture(self, number: int) -> overlays.Picture:
        """The image of that number on the map; made once."""
        if number not in self._pictures:
            images = self.row.images
            finer = max(1, min(4, _FINEST // images.size))
            pixels = rendering.rgba(self.row, images.images[number])
            self._pictures[number] = overlays.warped(pixels, images.transform, images.epsg, finer=finer)
        return self._pictures[number]

    def _strip(self) -> str:
        """A box for each date in the colour of its sky, the shown one with an edge."""
        if not self.row.view.card.is_optical:
            return ""
        boxes = "".join(
            f'<span title="{html.escape(title)}" style="display: inline-block; width: 10px; height: 10px; margin: 1px; '
            f"background: {_sky(self.row.images.images[number])}; "
            f'outline: {2 if number == self.dates.value else 0}px solid {palette.INK}"></span>'
            for title, number in self.dates.options
        )
        return f"{boxes} &ensp;{_key()}"


def legend(row: Row) -> str:
    """What is drawn and between which numbers, as HTML."""
    words = html.escape(row.view.in_words(row.limits))
    title = f"<b>{html.escape(row.view.title)}</b>"
    if row.view.classes:
        named = (f"{_box(colour)}{html.escape(name)}" for name, colour in rendering.classes_there(row))
        return f"{title}: {' '.join(named)}"
    if not row.view.scaled:
        return f"{title}: {words}"
    colours = ", ".join(to_hex(colour) for colour in mpl.colormaps[row.cmap](np.linspace(0, 1, _STEPS)))
    (low, high) = row.limits[0]
    shape = "display: inline-block; width: 160px; height: 12px"
    bar = f'<span style="{shape}; background: linear-gradient(90deg, {colours})"></span>'
    return f"{title} ({html.escape(row.view.unit)}): {low:.4g} {bar} {high:.4g}"


def _outline(shape: shapely.Geometry, epsg: int) -> ipywidgets.Widget:
    collection = gpd.GeoSeries([shape], crs=epsg).to_crs(4326).__geo_interface__
    style = {"color": palette.INK, "weight": 2, "fillOpacity": 0}
    return maps.leaflet().GeoJSON(data=collection, style=style, name="parcel")


def _is_clouded(image: Image) -> bool:
    return bool(image.cloud > computing.CLEAR_SKY)


def _titled(image: Image, *, optical: bool) -> str:
    """Date, and how clouded: 2024-05-01 · 30 % cloud."""
    words = rendering.cloud_words(image) if optical else ""
    return " · ".join(filter(None, [f"{image.obstime:%Y-%m-%d}", words]))


def _sky(image: Image) -> str:
    if np.isnan(image.cloud):
        return rendering.UNKNOWN
    return rendering.CLOUDED if _is_clouded(image) else rendering.CLEAR


def _key() -> str:
    skies: Sequence[tuple[str, str]] = (
        ("clear", rendering.CLEAR),
        ("clouds on the parcel", rendering.CLOUDED),
        ("not known", rendering.UNKNOWN),
    )
    return " ".join(f"{_box(colour)}{words}" for words, colour in skies)


def _box(colour: str) -> str:
    shape = "display: inline-block; width: 10px; height: 10px; margin: 0 4px 0 8px"
    return f'<span style="{shape}; background: {colour}"></span>'
