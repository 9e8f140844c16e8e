"""Calendar view of a parcel's year: monthly columns of images, histograms or scatter plots above an index curve."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from cbm_lake.cards import CLOUD_CLASSES, INDICES, Classes, palette, screened
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.images import Image
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.show import browsing, computing, curves, distributions, rendering, style, views, zooming
from cbm_lake.show.distributions import Draw, Pixels
from cbm_lake.show.panels import Line, Panel
from cbm_lake.show.reading import LakeLike, Reading, Season, chipsize_for, months_between
from cbm_lake.show.rendering import Row
from cbm_lake.show.style import Figure, Page
from cbm_lake.show.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT, _RIGHT, _TOP, _CURVE, _BOTTOM = 0.6, 0.2, 0.85, 1.9, 0.95
"""Inches: the edges, height of the curve, and what is below it."""
_LABEL, _GAP = 0.19, 0.05
"""Inches: the words above an image, and between images."""
_SMALLEST: Final = 0.95
"""Inches a side from which images of a month stand side by side."""
_MOST: Final = 12
"""Months."""


@checked_options
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
    lake: LakeLike = None,
) -> Figure:
    """Plot the calendar view of a parcel's year: its images by month, and an index curve below.

    The curve is of what the images show: an index, backscatter or coherence; else of NDVI.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        ptype: which parcel set; None is the main one.
        start_date: the first day; None is 1 January of the year.
        end_date: the last day, at most twelve months later; None is 31 December of the year.
        bands: what the images show: an index (a name in `cards.INDICES`), "true colour", scene classes ("SCL"),
            three bands or one, or of radar "bs VV", "bs VH", "c6 VV", "c6 VH".
        chipsize: metres a side of the images; None shows the parcel and its surroundings.
        cmap: colour map of matplotlib for an index or one band.
        screen: scene classes (SCL) that count as clouds: numbers, or 3_8_9_10_11.
        file: also write the figure there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews with a slider over the dates instead of a matplotlib figure.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or neither images nor statistics of it.
        InvalidInputError: more than twelve months, or a date, band, colour map or file that cannot be.
    """
    style.suffix(file, interactive=interactive)
    kind = views.view(bands)
    months, reading = _months(year, start_date, end_date), Reading.of(lake)
    page = _content(reading, reading.parcels(aoi, year, [pid], ptype)[0], kind, months, _Look(chipsize, cmap, screen))
    if interactive:
        curve = zooming.interactive([page.panel], page.heading, "25th to 75th percentile", _days(page.months))
        if page.images:
            browsed = browsing.images([page.images], page.heading)
            return style.save(browsing.beside([curve, browsed], 1), file)
        return style.save(curve, file)
    return style.save(_draw(page, _image), file)


@checked_options
def histograms(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    index: str = "ndvi",
    *,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    lake: LakeLike = None,
) -> Page:
    """Plot a parcel's year as histograms: an index over its pixels on each date, and the index curve below.

    Args and errors are those of `by_pid`; index is one of `cards.INDICES`.
    """
    style.suffix(file, interactive=False)
    kind = views.view(index)
    if kind.index is None:
        raise InvalidInputError(f"{index!r} is no index; choose from {', '.join(INDICES)}")
    months, reading = _months(year, start_date, end_date), Reading.of(lake)
    page = _content(reading, reading.parcels(aoi, year, [pid], ptype)[0], kind, months, _Look(screen=screen))
    low, high = kind.index.axis
    words = f"{kind.index.label} of the parcel's pixels, {low:g} to {high:g}, grid of 0.2; dotted: median"
    return _saved(page, partial(distributions.histogram, index=kind.index), words, file)


@checked_options
def scatter(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    *,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    lake: LakeLike = None,
) -> Page:
    """Plot a parcel's year as scatter plots: red against near infrared on each date, and the NDVI curve below.

    Args and errors are those of `by_pid`.
    """
    style.suffix(file, interactive=False)
    months, reading = _months(year, start_date, end_date), Reading.of(lake)
    kind, parcel = views.view("ndvi"), reading.parcels(aoi, year, [pid], ptype)[0]
    page = _content(reading, parcel, kind, months, _Look(screen=screen))
    words = "right: B04, 0 to 0.3; up: B08, 0 to 0.6; grid 0.1; pale: all dates; dotted: NDVI 0"
    return _saved(page, distributions.scatter, words, file)


@dataclass(frozen=True)
class _Look:
    """Layout options of the images in a calendar."""

    chipsize: int | None = None
    """Metres a side; None shows the parcel and its surroundings."""
    cmap: str | None = None
    screen: Classes = CLOUD_CLASSES


@dataclass(frozen=True)
class _Content:
    """The data of a calendar."""

    parcel: Parcel
    view: View
    images: Row | None
    panel: Panel
    months: list[tuple[date, date]]

    @property
    def heading(self) -> str:
        return f"Parcel {self.parcel.label} · {self.parcel.aoi} {self.parcel.year}"


def _content(reading: Reading, parcel: Parcel, kind: View, months: list[tuple[date, date]], look: _Look) -> _Content:
    """The data of a calendar; images may be missing if there is a curve.

    Raises:
        NotFoundError: neither images nor statistics.
    """
    first, last = months[0][0], months[-1][1]
    panel = _panel(reading.series(parcel, kind.card.name), kind, look.screen, first, last)
    season = Season(first, last, look.chipsize or chipsize_for([parcel]), look.screen, kind.card.name)
    try:
        images = reading.images(parcel, season, kind.bands)
    except NotFoundError:
        if panel.empty:
            raise
        return _Content(parcel, kind, None, panel, months)
    row = rendering.row(parcel.label, kind, images, parcel.outline_in(images.epsg), look.cmap)
    return _Content(parcel, kind, row, panel, months)


def _panel(series: TimeSeries, kind: View, screen: Classes, first: date, last: date) -> Panel:
    """The time series panel of a view between two days."""
    card, index = kind.card, kind.index or INDICES["ndvi"]
    if card.is_optical:
        label, limits, colour = index.label, index.axis, palette.NDVI
        curve = computing.index_curve(series, index, screened(screen, card))
    else:
        label, limits, colour = kind.title, card.quantity.axis, palette.BANDS[kind.bands[0]]
        curve = computing.radar_curve(series, kind.bands[0], decibel=card.quantity.decibels)
    curve = curve[(curve["time"] >= str(first)) & (curve["time"] < str(last + timedelta(days=1)))]
    unit = label if card.is_optical else kind.unit
    missing = f"no {card.name} statistics in these months; cbm-lake extract {card.name} makes them"
    return Panel(unit, (Line(label, colour, curve),), limits, missing)


def _saved(page: _Content, cells: Callable[[Pixels], Draw], words: str, file: str | Path | None) -> Page:
    """The figure with one distribution plot per date."""
    if page.images is None:
        raise NotFoundError(
            f"no images of parcel {page.parcel.pid} in these months; cbm-lake card2db catalogues scenes"
        )
    draw = cells(Pixels.of(page.images, page.parcel))

    def cell(axes: Axes, row: Row, image: Image) -> None:
        draw(axes, image)
        rendering.frame(axes, row, image)

    figure = _draw(page, cell, words)
    style.save(figure, file)
    return figure


def _months(year: int, start: str | date | None, end: str | date | None) -> list[tuple[date, date]]:
    """The months of the calendar: those of the year, or of the requested days."""
    months = months_between(start or f"{year}-01-01", end or f"{year}-12-31")
    if len(months) > _MOST:
        raise InvalidInputError(f"{start} to {end} are {len(months)} months; a calendar shows at most {_MOST}")
    return months


Cell = Callable[["Axes", Row, "Image"], None]
"""Draws a day into its axes."""


def _draw(page: _Content, cell: Cell, words: str | None = None) -> Page:
    """Draw the figure; positions are in inches, so that images align with their dates on the time axis."""
    months, images = page.months, page.images
    length = (months[-1][1] - months[0][0]).days + 1
    inch = (style.WIDTH + 0.7 - _LEFT - _RIGHT) / length
    """Inches a day."""
    narrowest = min((final - first).days + 1 for first, final in months) if len(months) < 3 else 28
    across = max(1, int(narrowest * inch // _SMALLEST))
    side = min(narrowest * inch / across - _GAP, 2.2)
    columns = [_of_month(images, month) for month in months]
    lines = max(1, *(-(-len(column) // across) for column in columns))
    tall = lines * (side + _LABEL) + 0.1
    width, height = _LEFT + length * inch + _RIGHT, _TOP + tall + 0.3 + _CURVE + _BOTTOM
    figure = style.figure(width, height, constrained=False)
    bottom = height - _TOP - tall
    for number, ((first, final), moments) in enumerate(zip(months, columns, strict=True)):
        x = _LEFT + (first - months[0][0]).days * inch
        _month(figure, (x, bottom, ((final - first).days + 1) * inch, tall), first, number, len(months))
        for index, moment in enumerate(moments):
            line, column = divmod(index, across)
            box = (x + _GAP / 2 + column * (side + _GAP), bottom + tall - (line + 1) * (side + _LABEL), side, side)
            _day(figure, box, images, moment, cell, scaled=words is None and not figure.axes)
    if images is None:
        text = "no images of these months; cbm-lake card2db catalogues scenes"
        centred: style.Look = {"ha": "center", "va": "center"}
        figure.text(0.5, (bottom + tall / 2) / height, text, size=style.TEXT, color=palette.PALE, **centred)
    _curve(figure, page.panel, (_LEFT, _BOTTOM, length * inch, _CURVE), months)
    rendering.head(figure, style.fitted(page.heading, width - 0.3, lines=1))
    _foot(figure, images, words)
    return figure


def _image(axes: Axes, row: Row, image: Image) -> None:
    """The image of a day, in a frame coloured by cloud cover."""
    rendering.draw(axes, rendering.rgba(row, image), row.images.bounds, row.outline, width=1.0)
    rendering.frame(axes, row, image)


def _of_month(row: Row | None, month: tuple[date, date]) -> list[datetime]:
    """Timestamps of the images of a month."""
    images = row.images.images if row else ()
    return [image.obstime for image in images if month[0] <= image.obstime.date() <= month[1]]


def _month(figure: Page, box: tuple[float, float, float, float], first: date, number: int, months: int) -> None:
    """The column of a month with its name above; every other column is shaded."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    x, bottom, wide, tall = box
    if number % 2 == 0:
        corner = (x / width, (_BOTTOM) / height)
        size = wide / width, (bottom + tall + 0.28 - _BOTTOM) / height
        figure.add_artist(Rectangle(corner, *size, transform=figure.transFigure, color=palette.GROUND, zorder=-1))
    name = f"{first:%b}" if number and first.month > 1 and months > 6 else f"{first:%b %Y}"
    x, y = (x + 0.04) / width, (bottom + tall + 0.09) / height
    figure.text(x, y, name, size=style.TEXT, color=palette.INK, weight="bold")


def _day(
    figure: Page,
    box: tuple[float, float, float, float],
    row: Row | None,
    moment: datetime,
    cell: Cell,
    *,
    scaled: bool,
) -> None:
    """An image or plot with the day of the month and the cloud share above."""
    image = row.at(moment) if row else None
    if row is None or image is None:
        return
    axes = rendering.axes_in(figure, box)
    cell(axes, row, image)
    clouds = rendering.cloud_words(image)
    rendering.above(axes, f"{moment:%-d}", 3, 8, bold=not clouds)
    if clouds and "%" in clouds:
        share = clouds.removesuffix(" cloud")
        units: style.Look = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axes.annotate(share, (1, 1), (0, 3), size=7, ha="right", color=palette.PALE, **units)
    if scaled and box[2] > 1:
        rendering.scale_bar(axes)


def _curve(
    figure: Page, panel: Panel, box: tuple[float, float, float, float], months: Sequence[tuple[date, date]]
) -> None:
    """The index curve below the images, on the same time axis."""
    axes = rendering.axes_in(figure, box)
    curves.draw_panel(axes, panel)
    axes.patch.set_alpha(0)
    axes.set_xlim(*_days(months))
    style.date_axis(axes, year=False)


def _days(months: Sequence[tuple[date, date]]) -> tuple[float, float]:
    """Days since 1970 of the start of the first month and the end of the last."""
    begin, end = np.array([months[0][0], months[-1][1] + timedelta(days=1)], "datetime64[D]").astype(float)
    return float(begin), float(end)


def _foot(figure: Page, row: Row | None, words: str | None) -> None:
    """Legend: frame colours, contents and width of the images."""
    if row is None:
        return
    metres = computing.distance(row.images.size * row.images.transform.a)
    radar = not row.view.card.is_optical
    scaled = row.view.scaled and words is None
    texts = [words or (f"images: {metres} wide" if scaled else f"images: {row.view.title}, {metres} wide")]
    texts += [] if radar else ["%: clouds"]
    rendering.key(figure, texts, 0.46 if row.view.classes else 0.42, parcel=True, clouds=not radar)
    if row.view.classes:
        rendering.class_key(figure, row, 0.28)
    if scaled:
        rendering.scale_of(figure, row, (figure.get_figwidth() - 2.2, 0.4, 1.9, 0.08))
