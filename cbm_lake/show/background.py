"""Orthophotos of parcels and locations as figures: `by_pid`, `by_location`."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import shapely

from cbm_lake.cards import palette
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake.arguments import also, is_number, ptype_stood_at
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.basemaps import Background, Square
from cbm_lake.parcel.declaration import Parcel, degrees
from cbm_lake.show import browsing, rendering, style
from cbm_lake.show.reading import LakeLike, Reading
from cbm_lake.show.style import Figure, Page

log = logging.getLogger(__name__)

MERCATOR: Final = 3857
_SIDE: Final = 4.6
"""Inches."""
_LINE: Final = 0.16
"""Inches of a line of a caption."""
_LINES: Final = 6
"""Lines that a caption may have."""
_COLUMNS, _MOST_COLUMNS = 3, 24
"""Images side by side, by default and at most."""


@dataclass(frozen=True)
class _Photo:
    """An orthophoto with its title."""

    image: Background
    title: str
    outline: shapely.Geometry | None
    """In Web Mercator."""
    lat: float


@also(ptype_stood_at(3, is_number, now=6))
@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    chipsize: int = 512,
    extend: float | None = None,
    tms: str | Sequence[str] = "Google",
    ptype: str | None = None,
    columns: int | None = None,
    view: bool | None = None,
    debug: bool = False,
    *,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot orthophotos of a parcel with its geometry; several parcels or tile servers are placed side by side.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        chipsize: pixels a side.
        extend: metres of Web Mercator a side; None shows the parcel and its surroundings.
        tms: name of a tile server, or several: google, bing, osm, esri, ags, one of the settings, or sentinel.
        ptype: which parcel set; None is the main one. It may also precede chipsize, as in version 0.1.
        columns: images side by side; None is at most three.
        view: True shows the figure in the notebook and gives nothing back.
        debug: log the steps at level DEBUG.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or no orthophoto there.
        SourceError: the tile server fails.
        InvalidInputError: a size, server or file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    reading, photos = Reading.of(lake), []
    for parcel in reading.parcels(aoi, year, pid, ptype):
        square = Square(parcel.lon, parcel.lat, "", chipsize, extend or extent_of(parcel))
        photos += _photos(reading, square, tms, parcel.label, parcel.outline_in(MERCATOR))
    return style.displayed(_finish(photos, columns, file, interactive=interactive, debug=debug), view)


@checked_options
def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    chipsize: int = 512,
    extend: float = 512,
    tms: str | Sequence[str] = "Google",
    ptype: str | None = None,
    columns: int | None = None,
    view: bool | None = None,
    debug: bool = False,
    *,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot the orthophoto of a location (degrees), with the geometry of the parcel there, if any.

    Args and errors are those of `by_pid`; ptype says of which parcel set the geometry is.
    """
    style.suffix(file, interactive=interactive)
    reading = Reading.of(lake)
    parcel = _parcel_at(reading, aoi, year, lon, lat, ptype)
    label, outline = (parcel.label, parcel.outline_in(MERCATOR)) if parcel else (degrees(lon, lat), None)
    photos = _photos(reading, Square(float(lon), float(lat), "", chipsize, extend), tms, label, outline)
    return style.displayed(_finish(photos, columns, file, interactive=interactive, debug=debug), view)


def _parcel_at(reading: Reading, aoi: str, year: int, lon: float, lat: float, ptype: str | None) -> Parcel | None:
    """The parcel at a location, or None; of several the one whose identifier sorts first."""
    try:
        pids = reading.pids_at(aoi, year, lon, lat, ptype)
    except NotFoundError as error:
        log.log(logging.WARNING if ptype else logging.DEBUG, "no outline is drawn: %s", error)
        return None
    return reading.parcels(aoi, year, pids[0], ptype)[0]


def extent_of(parcel: Parcel) -> int:
    """Side length in Web Mercator units around a parcel; a metre on the ground is more units at high latitudes."""
    return math.ceil(max(1.6 * parcel.widest, 100) / math.cos(math.radians(parcel.lat)) / 10) * 10


def _photos(
    reading: Reading, square: Square, tms: str | Sequence[str], label: str, outline: shapely.Geometry | None
) -> list[_Photo]:
    """The orthophotos of one position, with titles where there are several."""
    names = [tms] if isinstance(tms, str) else list(tms)
    images = [reading.background(replace(square, tms=name)) for name in names]
    titles = [label if len(names) == 1 else f"{image.name or 'unknown'} · {label}" for image in images]
    return [_Photo(image, title, outline, square.lat) for image, title in zip(images, titles, strict=True)]


def _finish(
    photos: Sequence[_Photo],
    columns: int | None,
    file: str | Path | None,
    *,
    interactive: bool,
    debug: bool,
) -> Figure:
    if columns is not None and not 0 < columns <= _MOST_COLUMNS:
        raise InvalidInputError(f"{columns} images side by side cannot be; choose 1 to {_MOST_COLUMNS}")
    captions = "; ".join(dict.fromkeys(photo.image.caption for photo in photos))
    if debug:
        log.debug("%d backgrounds drawn of %s%s", len(photos), captions, f" into {file}" if file else "")
    across = min(len(photos), columns or _COLUMNS)
    if interactive:
        maps = [
            browsing.picture(photo.image.pixels, photo.image.bounds, photo.outline, _title(photo)) for photo in photos
        ]
        return style.save(browsing.beside(maps, across), file)
    rows, width = -(-len(photos) // across), 0.15 + across * (_SIDE + 0.15)
    words = [style.fitted(f"background: {photo.image.caption}", _SIDE, style.SMALL, _LINES) for photo in photos]
    tall = _SIDE + 0.6 + _LINE * (1 + max(text.count("\n") for text in words))
    figure = style.figure(width, rows * tall, constrained=False)
    for number, (photo, text) in enumerate(zip(photos, words, strict=True)):
        row, column = divmod(number, across)
        _draw(figure, (0.15 + column * (_SIDE + 0.15), (rows - row) * tall - 0.4 - _SIDE), photo, text)
    figure.set_label(captions)
    return style.save(figure, file)


def _title(photo: _Photo) -> str:
    return f"{photo.title}\nbackground: {photo.image.caption}"


def _draw(figure: Page, corner: tuple[float, float], photo: _Photo, words: str) -> None:
    """Draw a photo with its lower left corner there (inches), and below it what it is."""
    axes = rendering.axes_in(figure, (*corner, _SIDE, _SIDE))
    units: style.Look = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    axes.annotate(words, (0, 0), (0, -5), size=style.SMALL, color=palette.PALE, **units)
    rendering.draw(axes, photo.image.pixels, photo.image.bounds, photo.outline, width=2)
    axes.spines[:].set(color=palette.EDGE)
    axes.set_title(style.fitted(photo.title, _SIDE, 11, 1), loc="left", size=11, color=palette.INK, weight="bold")
    rendering.scale_bar(axes, metre=1 / math.cos(math.radians(photo.lat)))
