"""A parcel's year: the images of every month in a column, and the NDVI below on the same axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cbm_lake import palette
from cbm_lake.cards import CLOUD_CLASSES, Classes
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.show import browsing, computing, curves, pictures, reading, style
from cbm_lake.show.curves import Line, Panel
from cbm_lake.show.pictures import Row
from cbm_lake.show.reading import Images

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

_LEFT, _RIGHT, _TOP, _CURVE, _BOTTOM = 0.5, 0.2, 0.85, 1.9, 0.95
"""Inches: the edges, height of the curve, and what is below it."""
_LABEL, _GAP = 0.19, 0.05
"""Inches: the words above an image, and between images."""
_SMALLEST: Final = 0.95
"""Inches a side from which images of a month stand side by side."""
_MOST: Final = 12
"""Months."""


def by_pid(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    bands: str | Sequence[str] = "true colour",
    chipsize: int | None = None,
    *,
    cmap: str | None = None,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of a parcel's year: its images month by month with its outline, and its NDVI below.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        ptype: which parcel set; None is the main one.
        start_date: the first day; None is 1 January of the year.
        end_date: the last day, at most twelve months later; None is 31 December of the year.
        bands: what the images show: "true colour", "ndvi", three bands or one.
        chipsize: metres a side of the images; None shows the parcel and its surroundings.
        cmap: colour map of matplotlib for NDVI or one band.
        screen: scene classes (SCL) that count as clouds: numbers, or 3_8_9_10_11.
        file: also write the figure there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews with a slider over the dates instead of a matplotlib figure.

    Raises:
        NotFoundError: no such parcel, or neither images nor statistics of it.
        InvalidInputError: more than twelve months, or a date, band, colour map or file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    months = _months(year, start_date, end_date)
    parcel = reading.parcels(aoi, year, [pid], ptype)[0]
    first, last = months[0][0], months[-1][1]
    kind, size = computing.view(bands), chipsize or reading.chipsize_for([parcel])
    curve = computing.ndvi_curve(reading.series(parcel, "s2"), screen)
    curve = curve[(curve["time"] >= str(first)) & (curve["time"] < str(last + timedelta(days=1)))]
    shown = None
    try:
        images = reading.images_of(parcel, first, last, kind.bands, size, screen)
        shown = pictures.row(parcel.label, kind, images, parcel.outline_in(images.epsg), cmap)
        curve = _with_clouds(curve, images)
    except NotFoundError:
        if curve.empty:
            raise
    missing = "no s2 statistics in these months; cbm-lake extract s2 makes them"
    panel = Panel("NDVI", (Line("NDVI", palette.NDVI, curve),), (0, 1), missing)
    heading = f"Parcel {parcel.label} · {parcel.aoi} {parcel.year}"
    if interactive:
        chart = curves.interactive([panel], heading)
        return style.save(
            chart if shown is None else (chart + browsing.images([shown], heading)).cols(1).opts(shared_axes=False),
            file,
        )
    return style.save(_draw(shown, panel, heading, months), file)


def _months(year: int, start: str | date | None, end: str | date | None) -> list[tuple[date, date]]:
    """The months of the calendar: those of the year, unless days are given."""
    months = reading.months(start or f"{int(year)}-01-01", end or f"{int(year)}-12-31")
    if len(months) > _MOST:
        raise InvalidInputError(f"{start} to {end} are {len(months)} months; a calendar shows at most {_MOST}")
    return months


def _with_clouds(curve: pd.DataFrame, images: Images) -> pd.DataFrame:
    """The curve; where a parcel is too small for scene classes of its own, with the clouds that its images show."""
    seen = {image.obstime.date(): image.cloud for image in images.images}
    return curve.assign(cloud=curve["cloud"].fillna(curve["time"].dt.date.map(seen).astype(float)))


def _draw(shown: Row | None, panel: Panel, heading: str, months: Sequence[tuple[date, date]]) -> Figure:
    """The figure; places are reckoned in inches, so that images stand above their time on the axis."""
    length = (months[-1][1] - months[0][0]).days + 1
    inch = (style.WIDTH + 0.7 - _LEFT - _RIGHT) / length
    """Inches a day."""
    narrowest = min((final - first).days + 1 for first, final in months) if len(months) < 3 else 28
    across = max(1, int(narrowest * inch // _SMALLEST))
    side = min(narrowest * inch / across - _GAP, 2.2)
    columns = [_of_month(shown, month) for month in months]
    lines = max(1, *(-(-len(column) // across) for column in columns))
    tall = lines * (side + _LABEL) + 0.1
    width, height = _LEFT + length * inch + _RIGHT, _TOP + tall + 0.3 + _CURVE + _BOTTOM
    figure = style.figure(width, height, constrained=False)
    bottom = height - _TOP - tall
    for number, ((first, final), moments) in enumerate(zip(months, columns, strict=True)):
        left = _LEFT + (first - months[0][0]).days * inch
        _month(figure, (left, bottom, ((final - first).days + 1) * inch, tall), first, number, len(months))
        for place, moment in enumerate(moments):
            line, column = divmod(place, across)
            box = (left + _GAP / 2 + column * (side + _GAP), bottom + tall - (line + 1) * (side + _LABEL), side, side)
            _day(figure, box, shown, moment, scaled=len(figure.axes) == 0)
    if shown is None:
        figure.text(0.5, (bottom + tall / 2) / height, "no images of these months; cbm-lake card2db catalogues scenes",
                    ha="center", va="center", size=style.TEXT, color=palette.PALE)  # fmt: skip
    _curve(figure, panel, (_LEFT, _BOTTOM, length * inch, _CURVE), months)
    pictures.head(figure, style.fitted(heading, width - 0.3, lines=1))
    _foot(figure, shown)
    return figure


def _of_month(shown: Row | None, month: tuple[date, date]) -> list[datetime]:
    """When the images of a month were taken."""
    images = shown.images.images if shown else ()
    return [image.obstime for image in images if month[0] <= image.obstime.date() <= month[1]]


def _month(figure: Figure, box: tuple[float, float, float, float], first: date, number: int, months: int) -> None:
    """The column of a month: every other one shaded, its name above."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    left, bottom, wide, tall = box
    if number % 2 == 0:
        place = (left / width, (_BOTTOM) / height)
        size = wide / width, (bottom + tall + 0.28 - _BOTTOM) / height
        figure.add_artist(Rectangle(place, *size, transform=figure.transFigure, color=palette.GROUND, zorder=-1))
    name = f"{first:%b}" if number and first.month > 1 and months > 6 else f"{first:%b %Y}"
    figure.text((left + 0.04) / width, (bottom + tall + 0.09) / height, name, size=style.TEXT, color=palette.INK,
                weight="bold")  # fmt: skip


def _day(
    figure: Figure, box: tuple[float, float, float, float], shown: Row | None, moment: datetime, *, scaled: bool
) -> None:
    """An image with its day of the month, and how much of the parcel is clouded."""
    image = shown.at(moment) if shown else None
    if shown is None or image is None:
        return
    axes = pictures.axes_in(figure, box)
    pictures.draw(axes, pictures.rgba(shown, image), shown.images.bounds, shown.outline, width=1.0)
    pictures.frame(axes, image)
    clouds = pictures.cloud_words(image)
    pictures.above(axes, f"{moment:%-d}", 3, 8, bold=not clouds)
    if clouds and "%" in clouds:
        share = clouds.removesuffix(" cloud")
        axes.annotate(share, (1, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", size=7, ha="right",
                      color=palette.PALE)  # fmt: skip
    if scaled and box[2] > 1:
        pictures.scale_bar(axes)


def _curve(
    figure: Figure, panel: Panel, box: tuple[float, float, float, float], months: Sequence[tuple[date, date]]
) -> None:
    """The NDVI below the images, on the same axis of time."""
    axes = pictures.axes_in(figure, box)
    curves.draw_panel(axes, panel)
    axes.patch.set_alpha(0)
    begin, end = np.array([months[0][0], months[-1][1] + timedelta(days=1)], "datetime64[D]").astype(float)
    axes.set_xlim(begin, end)
    style.date_axis(axes, year=False)


def _foot(figure: Figure, shown: Row | None) -> None:
    """What the frames mean, what the images show, how wide they are."""
    if shown is None:
        return
    metres = computing.distance(shown.images.size * shown.images.transform.a)
    words = [f"images: {shown.view.title}, {metres} wide", "%: share of the parcel under clouds"]
    pictures.key(figure, words, 0.42, parcel=True)
