"""Contact sheets: figures of many small images, one row per parcel or view and one column per date."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from cbm_lake.cards import palette
from cbm_lake.show import computing, style
from cbm_lake.show.rendering import (
    LEFT,
    Row,
    above,
    axes_in,
    class_key,
    cloud_words,
    draw,
    frame,
    head,
    key,
    rgba,
    scale_bar,
    scale_of,
)
from cbm_lake.show.style import Page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE, _GAP, _TOP, _BOTTOM = 0.2, 0.1, 0.5, 0.66
"""Inches: a line of text above an image, between images, above and below all images."""
_NAMES: Final = 0.5
"""Inches for the names of rows."""
_NARROWEST: Final = 6.0


def sheet(rows: Sequence[Row], heading: str, columns: int | None = None, hspace: float = 0.0) -> Page:
    """Draw a contact sheet: one row per parcel or view, one column per date, wrapped where the page is too narrow.

    Args:
        rows: the rows; their dates are merged.
        heading: above all.
        columns: images side by side; by default as many as stay legible, at most eight.
        hspace: extra space between rows, as a fraction of an image's height.
    """
    days = sorted({image.obstime.date(): image.obstime for each in rows for image in each.images.images}.values())
    across = columns or _columns(len(days), len(rows))
    blocks = [days[first : first + across] for first in range(0, len(days), across)]
    side, named = _side(across), _NAMES if len(rows) > 1 else 0.0
    width = max(_NARROWEST, 2 * LEFT + named + across * (side + _GAP) - _GAP)
    lines = [_lines(rows, number) for number in range(len(rows))]
    tall = len(blocks) * (sum(lines) * _LINE + len(rows) * (1 + hspace) * side + 0.12)
    heading = style.fitted(heading, width - 2 * LEFT)
    begin = _TOP + 0.22 * heading.count("\n")
    figure = style.figure(width, begin + tall + _BOTTOM, constrained=False)
    top = begin
    for block in blocks:
        for each, words in zip(rows, lines, strict=True):
            top += words * _LINE
            _line(figure, each, block, (LEFT + named, top, side), words)
            if named:
                _name(figure, each.label, top + side / 2, side)
            top += (1 + hspace) * side
        top += 0.12
    scale_bar(next(axes for axes in figure.axes if axes.images))
    head(figure, heading)
    _foot(figure, rows)
    return figure


def _lines(rows: Sequence[Row], number: int) -> int:
    """Lines of text above a row: date and clouds for the first, clouds for other parcels, none for other views."""
    if not number:
        return 2
    return 1 if rows[number].images is not rows[0].images else 0


def _line(figure: Page, row: Row, block: Sequence[datetime], corner: tuple[float, float, float], words: int) -> None:
    """Draw the images of a row for some dates, side by side from a corner (left, top, side in inches from the top)."""
    x, top, side = corner
    for column, moment in enumerate(block):
        box = (x + column * (side + _GAP), figure.get_figheight() - top - side, side, side)
        _cell(axes_in(figure, box), row, moment, words)


def _columns(days: int, rows: int) -> int:
    """Images side by side: up to five dates in one line, more in lines of similar length."""
    most = 6 if rows == 1 else 8
    lines = -(-days // most)
    return -(-days // lines)


def _side(across: int) -> float:
    """Side length of an image in inches, for `across` images side by side."""
    return float(np.clip((style.WIDTH - 2 * LEFT) / across - _GAP, 1.35, 5.7 if across == 1 else 4.2))


def _cell(axes: Axes, row: Row, moment: datetime, words: int) -> None:
    """Draw one image of a sheet, or "no image"; above it up to two lines: date, clouds."""
    image = row.at(moment)
    axes.set(xticks=[], yticks=[])
    if image is None:
        axes.spines[:].set(color=palette.GRID)
        centred: style.Look = {"ha": "center", "va": "center", "transform": axes.transAxes}
        axes.text(0.5, 0.5, "no image", size=style.SMALL, color=palette.PALE, **centred)
    else:
        draw(axes, rgba(row, image), row.images.bounds, row.drawn_outline)
        frame(axes, row, image)
    clouds = cloud_words(image) if image else ""
    if words > 1:
        above(axes, f"{moment:%-d %b %Y}", 13 if clouds else 4, style.SMALL, bold=not clouds)
    if words and clouds:
        above(axes, clouds, 3, 7.5, bold=False)


def _name(figure: Page, label: str, middle: float, side: float) -> None:
    """Label of a row, rotated at its left."""
    width, height = figure.get_size_inches()
    text = "\n".join(style.fitted(part, side + _LINE, style.SMALL, 1) for part in label.split(" · "))
    upright: style.Look = {
        "rotation": 90,
        "ha": "right",
        "va": "center",
        "multialignment": "center",
        "linespacing": 1.15,
    }
    x, y = (LEFT + _NAMES - 0.1) / width, 1 - middle / height
    figure.text(x, y, text, size=style.SMALL, color=palette.INK, **upright)


def _foot(figure: Page, rows: Sequence[Row]) -> None:
    """Legend: frame colours, width of the images and colour bar; for several single bands only that of the first."""
    images, width = rows[0].images, figure.get_figwidth()
    metres = computing.distance(images.size * images.transform.a)
    clouds = any(each.view.card.is_optical for each in rows)
    outlined = any(each.outline is not None for each in rows)
    key(figure, [f"each image is {metres} wide"], 0.52, parcel=outlined, clouds=clouds)
    classes = next((each for each in rows if each.view.classes), None)
    if classes:
        class_key(figure, classes, 0.38)
    scaled = next((each for each in rows if each.view.scaled), None)
    if scaled:
        scale_of(figure, scaled, (width - LEFT - 2.0, 0.43, 1.9, 0.09))
