"""What is declared of parcels, as a card: the outline, and the facts beside it."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shapely

from cbm_lake import get
from cbm_lake.cards import palette
from cbm_lake.lake.options import checked_options
from cbm_lake.show import background, browsing, computing, pictures, reading, style
from cbm_lake.show.reading import Background, Parcel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
) -> Any:
    """A figure of what is declared of a parcel: outline, crop, area, place; of several parcels one below the other.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        ptype: which parcel set; None is the main one.
        tms: name of a tile server whose orthophoto is under the outline; see `show.background`. None is none.
        view: True shows the figure in the notebook and gives nothing back.
        debug: tell the log (level DEBUG) what is done.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.

    Raises:
        NotFoundError: no such parcel, or no orthophoto there.
        InvalidInputError: a server or file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    chosen = reading.parcels(aoi, year, pid, ptype)
    if debug:
        log.debug("cards of %d parcels drawn%s", len(chosen), f" into {file}" if file else "")
    photos = [_photo(parcel, tms) if tms else None for parcel in chosen]
    if interactive:
        maps = [_map(parcel, photo) for parcel, photo in zip(chosen, photos, strict=True)]
        return style.shown(style.save(browsing.beside(maps), file), view)
    height = len(chosen) * (_SIDE + _GAP) - _GAP + 0.3
    figure = style.figure(_SIDE + _WORDS + 0.45, height, constrained=False)
    for number, (parcel, photo) in enumerate(zip(chosen, photos, strict=True)):
        _card(figure, parcel, photo, height - 0.15 - _SIDE - number * (_SIDE + _GAP))
    return style.shown(style.save(figure, file), view)


def _photo(parcel: Parcel, tms: str) -> Background:
    """The orthophoto under a parcel's outline."""
    wide = background.extend_of(parcel)
    file = get.background.by_pid(parcel.aoi, parcel.year, parcel.pid, _PIXELS, wide, tms, parcel.ptype)[0]
    return reading.background(file, tms)


def _map(parcel: Parcel, photo: Background | None) -> Any:
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
) -> Any:
    """A figure of the parcels at a place in degrees. Args and errors are those of `by_pid`."""
    style.suffix(file, interactive=interactive)
    found = get.parcel_info.by_location(aoi, year, lon, lat, ptype)
    return by_pid(aoi, year, found["pid"], ptype, tms, view, debug, file=file, interactive=interactive)


def facts(parcel: Parcel) -> dict[str, str]:
    """What is known of a parcel, in words; lengths are measured on the UTM map of its place."""
    plain = _plain(parcel)
    parts, rings = shapely.get_parts(plain), len(shapely.get_rings(shapely.get_parts(plain)))
    holes = rings - len(parts)
    pieces = f"{len(parts)} part{'s' * (len(parts) != 1)}" + (f", {holes} hole{'s' * (holes != 1)}" if holes else "")
    return {
        "crop": parcel.crop or "none declared",
        "crop code": parcel.code or "none declared",
        "area": f"{reading.hectares(parcel.area)} ({parcel.area:,.0f} m²)",
        "perimeter": f"{plain.length:,.0f} m",
        "outline": f"{pieces}, {shapely.get_num_coordinates(plain) - rings:,} corners",
        "centre": reading.degrees(parcel.lon, parcel.lat),
        "declared in": f"{parcel.aoi} {parcel.year}" + (f", {parcel.ptype}" if parcel.ptype else ""),
        "coordinates": f"EPSG:{parcel.epsg}",
    }


def _plain(parcel: Parcel) -> shapely.Geometry:
    """The outline on the UTM map of its place."""
    return parcel.outline_in(computing.utm(parcel.lon, parcel.lat))


def _card(figure: Figure, parcel: Parcel, photo: Background | None, bottom: float) -> None:
    """A parcel's map at the left, its facts at the right."""
    axes = pictures.axes_in(figure, (0.15, bottom, _SIDE, _SIDE))
    if photo is None:
        _plain_map(axes, _plain(parcel))
    else:
        pictures.draw(axes, photo.pixels, photo.bounds, parcel.outline_in(background.MERCATOR))
        axes.spines[:].set(color=palette.EDGE)
        pictures.scale_bar(axes, metre=1 / math.cos(math.radians(parcel.lat)))
    known = facts(parcel) | ({"background": photo.caption} if photo else {})
    _facts(figure, parcel.pid, known, ((0.15 + _SIDE + 0.3) / figure.get_figwidth(), bottom + _SIDE))


def _plain_map(axes: Axes, shape: shapely.Geometry) -> None:
    """An outline on plain ground."""
    west, south, east, north = shape.bounds
    half = pictures.ROUND * max(east - west, north - south, 1)
    x, y = (west + east) / 2, (south + north) / 2
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half), xticks=[], yticks=[], aspect="equal")
    axes.set_facecolor(palette.GROUND)
    axes.spines[:].set_visible(False)
    pictures.fill(axes, shape, palette.NDVI)
    pictures.draw_outline(axes, shape)
    pictures.scale_bar(axes)


def _facts(figure: Figure, pid: str, known: dict[str, str], corner: tuple[float, float]) -> None:
    """What is known of a parcel, from a left upper corner on: a share of the width, and inches."""
    (left, top), (width, height) = corner, figure.get_size_inches()
    title = style.fitted(f"Parcel {pid}", _WORDS - 0.3, style.TITLE, 1)
    figure.text(left, top / height, title, size=style.TITLE, va="top", color=palette.INK, weight="bold")
    place = top - 0.42
    for name, value in known.items():
        text = style.fitted(value, _WORDS - 1.35, style.TEXT, 3)
        figure.text(left, place / height, name, size=style.TEXT, va="top", color=palette.PALE)
        figure.text(left + 1.05 / width, place / height, text, size=style.TEXT, va="top", color=palette.INK)
        place -= 0.3 + 0.17 * text.count("\n")
