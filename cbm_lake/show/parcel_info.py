"""Figures of parcel information: geometry, crop, area and location of declared parcels."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import shapely

from cbm_lake.cards import palette
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.basemaps import Background, Square
from cbm_lake.parcel.declaration import Parcel, degrees, hectares
from cbm_lake.show import background, browsing, rendering, style
from cbm_lake.show.reading import LakeLike, Reading
from cbm_lake.show.style import Figure, Interactive, Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

log = logging.getLogger(__name__)

_SIDE, _GAP = 3.2, 0.45
"""Inches: a map, and between maps."""
_WORDS: Final = 5.0
"""Inches for the facts."""
_PIXELS: Final = 512
"""Pixels a side of the orthophoto."""


@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    tms: str | None = None,
    view: bool | None = None,
    debug: bool = False,
    *,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot parcel information: geometry, crop, area and location; several parcels are stacked.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        ptype: which parcel set; None is the main one.
        tms: name of a tile server whose orthophoto is under the geometry; see `show.background`. None is none.
        view: True shows the figure in the notebook and gives nothing back.
        debug: log the steps at level DEBUG.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or no orthophoto there.
        InvalidInputError: a server or file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    reading = Reading.of(lake)
    parcels = reading.parcels(aoi, year, pid, ptype)
    if debug:
        log.debug("cards of %d parcels drawn%s", len(parcels), f" into {file}" if file else "")
    photos = [_photo(reading, parcel, tms) if tms else None for parcel in parcels]
    if interactive:
        maps = [_map(parcel, photo) for parcel, photo in zip(parcels, photos, strict=True)]
        return style.displayed(style.save(browsing.beside(maps), file), view)
    height = len(parcels) * (_SIDE + _GAP) - _GAP + 0.3
    figure = style.figure(_SIDE + _WORDS + 0.45, height, constrained=False)
    for number, (parcel, photo) in enumerate(zip(parcels, photos, strict=True)):
        _card(figure, parcel, photo, height - 0.15 - _SIDE - number * (_SIDE + _GAP))
    return style.displayed(style.save(figure, file), view)


def _photo(reading: Reading, parcel: Parcel, tms: str) -> Background:
    """The orthophoto under a parcel's geometry."""
    return reading.background(Square(parcel.lon, parcel.lat, tms, _PIXELS, background.extent_of(parcel)))


def _map(parcel: Parcel, photo: Background | None) -> Interactive:
    if photo is None:
        return browsing.outline(_plain(parcel), parcel.label, facts(parcel))
    title = f"{parcel.label}\nbackground: {photo.caption}"
    return browsing.picture(photo.pixels, photo.bounds, parcel.outline_in(background.MERCATOR), title)


@checked_options
def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    ptype: str | None = None,
    tms: str | None = None,
    view: bool | None = None,
    debug: bool = False,
    *,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot the parcels at a location (degrees). Args and errors are those of `by_pid`."""
    style.suffix(file, interactive=interactive)
    reading = Reading.of(lake)
    pids = reading.pids_at(aoi, year, lon, lat, ptype)
    return by_pid(aoi, year, pids, ptype, tms, view, debug, file=file, interactive=interactive, lake=reading)


def facts(parcel: Parcel) -> dict[str, str]:
    """Attributes of a parcel as text; lengths are measured in the UTM zone of its centroid."""
    plain = _plain(parcel)
    parts, rings = shapely.get_parts(plain), len(shapely.get_rings(shapely.get_parts(plain)))
    holes = rings - len(parts)
    pieces = f"{len(parts)} part{'s' * (len(parts) != 1)}" + (f", {holes} hole{'s' * (holes != 1)}" if holes else "")
    return {
        "crop": parcel.crop or "none declared",
        "crop code": parcel.code or "none declared",
        "area": f"{hectares(parcel.area)} ({parcel.area:,.0f} m²)",
        "perimeter": f"{plain.length:,.0f} m",
        "outline": f"{pieces}, {shapely.get_num_coordinates(plain) - rings:,} corners",
        "centre": degrees(parcel.lon, parcel.lat),
        "declared in": f"{parcel.aoi} {parcel.year}" + (f", {parcel.ptype}" if parcel.ptype else ""),
        "coordinates": f"EPSG:{parcel.epsg}",
    }


def _plain(parcel: Parcel) -> shapely.Geometry:
    """The geometry in the UTM zone of its centroid."""
    return parcel.outline_in(parcel.utm)


def _card(figure: Page, parcel: Parcel, photo: Background | None, bottom: float) -> None:
    """Draw a parcel's map at the left and its attributes at the right."""
    axes = rendering.axes_in(figure, (0.15, bottom, _SIDE, _SIDE))
    if photo is None:
        _plain_map(axes, _plain(parcel))
    else:
        rendering.draw(axes, photo.pixels, photo.bounds, parcel.outline_in(background.MERCATOR))
        axes.spines[:].set(color=palette.EDGE)
        rendering.scale_bar(axes, metre=1 / math.cos(math.radians(parcel.lat)))
    texts = facts(parcel) | ({"background": photo.caption} if photo else {})
    _facts(figure, parcel.pid, texts, ((0.15 + _SIDE + 0.3) / figure.get_figwidth(), bottom + _SIDE))


def _plain_map(axes: Axes, shape: shapely.Geometry) -> None:
    """Draw a geometry on a plain background."""
    west, south, east, north = shape.bounds
    half = rendering.ROUND * max(east - west, north - south, 1)
    x, y = (west + east) / 2, (south + north) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[], aspect="equal")
    axes.set_facecolor(palette.GROUND)
    axes.spines[:].set_visible(False)
    rendering.fill(axes, shape, palette.NDVI)
    rendering.draw_outline(axes, shape)
    rendering.scale_bar(axes)


def _facts(figure: Page, pid: str, texts: dict[str, str], corner: tuple[float, float]) -> None:
    """What is known of a parcel, from a left upper corner on: a share of the width, and inches."""
    (x, top), (width, height) = corner, figure.get_size_inches()
    title = style.fitted(f"Parcel {pid}", _WORDS - 0.3, style.TITLE, 1)
    figure.text(x, top / height, title, size=style.TITLE, va="top", color=palette.INK, weight="bold")
    y = top - 0.42
    for name, value in texts.items():
        size, lines = (style.SMALL, 7) if name == "background" else (style.TEXT, 3)  # whose every word counts
        text = style.fitted(value, _WORDS - 1.35, size, lines)
        figure.text(x, y / height, name, size=style.TEXT, va="top", color=palette.PALE)
        figure.text(x + 1.05 / width, y / height, text, size=size, va="top", color=palette.INK)
        y -= 0.3 + 0.17 * text.count("\n")
