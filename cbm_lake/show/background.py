"""Orthophotos behind parcels and places."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shapely

from cbm_lake import get, palette
from cbm_lake.show import browsing, pictures, reading, style
from cbm_lake.show.reading import Background, Parcel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MERCATOR: Final = 3857
_SIDE: Final = 4.6
"""Inches."""


def by_pid(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    ptype: str | None = None,
    chipsize: int = 512,
    extend: int | None = None,
    tms: str = "Google",
    *,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the orthophoto of a parcel with its outline; of several parcels side by side.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        ptype: which parcel set; None is the main one.
        chipsize: pixels a side.
        extend: metres of Web Mercator a side; None shows the parcel and its surroundings.
        tms: name of a tile server: google, bing, osm, esri, ags, one of the settings, or sentinel.
        file: also write it there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews for notebooks instead of a matplotlib figure.

    Raises:
        NotFoundError: no such parcel, or no orthophoto there.
        SourceError: the tile server fails.
        InvalidInputError: a size, server or file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    chosen = reading.parcels(aoi, year, pid, ptype)
    metres = [extend or _extend(parcel) for parcel in chosen]
    found = []
    for parcel, wide in zip(chosen, metres, strict=True):
        files = get.background.by_pid(aoi, year, parcel.pid, chipsize, wide, tms, ptype)
        found.append(reading.background(files[0]))
    outlines = [parcel.outline_in(_MERCATOR) for parcel in chosen]
    titles = [parcel.label for parcel in chosen]
    latitudes = [parcel.lat for parcel in chosen]
    return _finish(found, outlines, titles, latitudes, tms, file, interactive=interactive)


def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    chipsize: int = 512,
    extend: int = 512,
    tms: str = "Google",
    *,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of the orthophoto of a place in degrees. Args and errors are those of `by_pid`."""
    style.suffix(file, interactive=interactive)
    found = [
        reading.background(file) for file in get.background.by_location(aoi, year, lon, lat, chipsize, extend, tms)
    ]
    return _finish(found, [None], [reading.degrees(lon, lat)], [lat], tms, file, interactive=interactive)


def _extend(parcel: Parcel) -> int:
    """Metres of Web Mercator round a parcel, of which there are more in a metre the farther it is from the equator."""
    return math.ceil(max(1.6 * parcel.widest, 100) / math.cos(math.radians(parcel.lat)) / 10) * 10


def _finish(
    found: Sequence[Background],
    outlines: Sequence[shapely.Geometry | None],
    titles: Sequence[str],
    latitudes: Sequence[float],
    tms: str,
    file: str | Path | None,
    *,
    interactive: bool,
) -> Any:
    if interactive:
        maps = [
            browsing.picture(photo.pixels, photo.bounds, outline, title)
            for photo, outline, title in zip(found, outlines, titles, strict=True)
        ]
        return style.save(browsing.beside(maps), file)
    figure = style.figure(*_size(len(found)), constrained=False)
    for number, (photo, outline, title) in enumerate(zip(found, outlines, titles, strict=True)):
        _photo(figure, number, photo, outline, title)
        pictures.scale_bar(figure.axes[-1], metre=1 / math.cos(math.radians(latitudes[number])))
    figure.text(0.15 / figure.get_figwidth(), 0.1 / figure.get_figheight(), f"background: {tms}", size=style.SMALL,
                color=palette.PALE)  # fmt: skip
    return style.save(figure, file)


def _size(number: int) -> tuple[float, float]:
    """Inches of a figure of so many pictures, at most three side by side."""
    columns, rows = min(number, 3), -(-number // 3)
    return 0.15 + columns * (_SIDE + 0.15), rows * (_SIDE + 0.5) + 0.35


def _photo(figure: Figure, number: int, photo: Background, outline: shapely.Geometry | None, title: str) -> None:
    row, column = divmod(number, 3)
    bottom = figure.get_figheight() - (row + 1) * (_SIDE + 0.5)
    axes = pictures.axes_in(figure, (0.15 + column * (_SIDE + 0.15), bottom, _SIDE, _SIDE))
    pictures.draw(axes, photo.pixels, photo.bounds, outline, width=2)
    axes.spines[:].set(color=palette.EDGE)
    axes.set_title(style.fitted(title, _SIDE, 11, 1), loc="left", size=11, color=palette.INK, weight="bold")
