"""`show_parts` draws the NDVI of a parcel before and after an event on a part of it, with the parts that were found."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shapely

from cbm_lake.cards import palette
from cbm_lake.errors import NotFoundError
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.show import rendering, style
from cbm_lake.show.reading import Reading, Season, chipsize_for, heading
from cbm_lake.show.rendering import Row
from cbm_lake.show.style import Page
from cbm_lake.show.views import view

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIDE: Final = 3.9
"""Inches of an image."""
_TITLE: Final = 0.75
_GAP: Final = 0.45
_LINE: Final = 0.17
"""Inches of a line of words below an image."""


@checked
def show_parts(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    *,
    file: str | Path | None = None,
    lake: Lake | None = None,
) -> Page:
    """Plot the NDVI before and after each event on a part of a parcel, with the outlines of the parts.

    The parts are those that `parts` wrote to the lake.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        ptype: which parcel set; None is the main one.
        file: also write the figure there: .png, .svg or .pdf.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcel, or no parts of it were found.
        InvalidInputError: a file that cannot be written.
    """
    lake = lake_or_default(lake)
    style.suffix(file, interactive=False)
    key = lake.parcel_set(aoi, year, ptype).params
    reading = Reading.of(lake)
    (parcel,) = reading.parcels(aoi, year, pid, ptype)
    rows = lake.query("markers.parts_of", **key, pids=[pid]).to_pylist()
    if not rows:
        raise NotFoundError(
            f"no parts of parcel {pid} were found; look for them first (cbm-lake markers parts), which says why"
        )
    events = [list(group) for _, group in groupby(rows, key=lambda row: row["date_start"])]
    return style.save(_figure(reading, parcel, events), file)


def _figure(reading: Reading, parcel: Parcel, events: Sequence[Sequence[dict[str, Any]]]) -> Page:
    """One line of two images for each event."""
    width = 2 * _SIDE + _GAP + 2 * rendering.LEFT
    below = [_TITLE + _LINE * len(parts) for parts in events]
    height = len(events) * _SIDE + sum(below) + _TITLE
    figure = style.figure(width, height, constrained=False)
    bold: style.Look = {"size": style.TITLE, "va": "top", "color": palette.INK, "weight": "bold"}
    figure.text(rendering.LEFT / width, 1 - 0.15 / height, style.fitted(heading([parcel]), width, lines=1), **bold)
    bottom = height - _TITLE
    for parts in events:
        images = _images(reading, parcel, parts[0]["date_start"], parts[0]["date_end"])
        bottom -= _SIDE
        for column, day in enumerate((parts[0]["date_start"], parts[0]["date_end"])):
            left = rendering.LEFT + column * (_SIDE + _GAP)
            axes = rendering.axes_in(figure, (left, bottom, _SIDE, _SIDE))
            _draw(axes, images, day, parts if column else ())
        rendering.scale_of(figure, images, (rendering.LEFT, bottom - 0.22, 1.9, 0.09))
        bottom -= _TITLE + _LINE * len(parts)
    return figure


def _images(reading: Reading, parcel: Parcel, first: date, last: date) -> Row:
    """The NDVI from one day to another, in common colours."""
    kind = view("ndvi")
    season = Season.of(first, last, chipsize_for([parcel]))
    images = reading.images(parcel, season, kind.bands)
    return rendering.row(parcel.label, kind, images, parcel.outline_in(images.epsg), None)


def _draw(axes: Axes, row: Row, day: date, parts: Sequence[dict[str, Any]]) -> None:
    """The image of a day, with parts and their areas."""
    image = next(image for image in row.images.images if image.obstime.date() == day)
    rendering.draw(axes, rendering.rgba(row, image), row.images.bounds, row.outline)
    rendering.frame(axes, row, image)
    rendering.scale_bar(axes)
    for part in parts:
        shape = reprojected(shapely.from_wkb(part["geometry"]), part["epsg"], row.images.epsg)
        rendering.draw_outline(axes, shape)
        where = shape.representative_point()
        look: style.Look = {"size": style.SMALL, "ha": "center", "va": "center", "color": palette.INK}
        text = axes.text(where.x, where.y, str(part["part"]), **look)
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "boxstyle": "round,pad=0.2"})
    axes.set_xlabel("\n".join(map(_in_words, parts)), loc="left", size=style.SMALL, color=palette.INK)
    words = f"{parts[0]['marker']}, confidence {parts[0]['confidence']:.2f}" if parts else ""
    title = " · ".join(filter(None, [f"{day:%-d %B %Y}", "NDVI", rendering.cloud_words(image), words]))
    axes.set_title(title, loc="left", size=style.TEXT, color=palette.PALE)


def _in_words(part: dict[str, Any]) -> str:
    """A part in a line: 1 mown: 1.05 ± 0.04 ha."""
    area, deviation = part["area_m2"] / 10_000, part["area_std_m2"] / 10_000
    return f"{part['part']} {part['state']}: {area:.2f} ± {deviation:.2f} ha"
