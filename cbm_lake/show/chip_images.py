"""Figures of satellite images (chips) of parcels and locations: NDVI, true colour, band composites, single bands."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from cbm_lake import get
from cbm_lake.cards import CLOUD_CLASSES, Classes, band_named, scene_classes
from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake.arguments import Args, Kwargs, also, is_number, ptype_stood_at
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel.declaration import degrees
from cbm_lake.parcel.images import Images
from cbm_lake.show import browsing, contact_sheets, rendering, style
from cbm_lake.show.reading import LARGEST, LakeLike, Reading, Season, chipsize_for, heading
from cbm_lake.show.rendering import Row
from cbm_lake.show.style import Figure
from cbm_lake.show.views import view as view_of

log = logging.getLogger(__name__)


@also(ptype_stood_at(7, is_number), imgtype="bands", band="bands", scl="screen")
@checked_options
def by_pid(  # noqa: PLR0917 - the original's order
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    bands: str | Sequence[str] = "ndvi",
    chipsize: int | None = None,
    columns: int | None = None,
    show_parcel: bool = True,
    cmap: str | None = None,
    percentile: Sequence[float] | None = None,
    ptype: str | None = None,
    clean_history: bool = False,
    view: bool | None = None,
    hspace: float = 0.0,
    debug: bool = False,
    *,
    limits: Sequence[float] | None = None,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot all images of a parcel in a period, with its geometry; several parcels get one row each.

    Every image is also written by itself to temp/<aoi>/<year>/<pid>/chipimages/<bands>_<date>.png. All images of a row
    have the same scale of colours, so that dates can be compared.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        start_date: the first day, 2024-03-01; None is 1 January of the year.
        end_date: the last day, included; None is 31 December of the year.
        bands: an index (a name in `cards.INDICES`), "true colour", scene classes ("SCL"), three bands ("B08_B04_B03"
            or a list), one ("B08"), or of radar "bs VV", "bs VH", "c6 VV", "c6 VH"; also by the original's names,
            imgtype and band.
        chipsize: metres a side; None shows the parcel and its surroundings, the same for all.
        columns: images side by side.
        show_parcel: with the geometry.
        cmap: colour map of matplotlib for NDVI or one band.
        percentile: two percentiles between which colours are stretched, over all images of a row; None is the usual
            stretch, which for NDVI is 0 to 0.9.
        ptype: which parcel set; None is the main one. It may also precede columns, as in version 0.1.
        clean_history: delete the chips that are there first.
        view: True shows the figure in the notebook and gives nothing back.
        hspace: room between lines of images, as a share of an image's height.
        debug: log the steps at level DEBUG.
        limits: the two numbers between which the colours of an index or of one band run, in its own unit (reflectance,
            dB), instead.
        screen: scene classes (SCL) that count as clouds: numbers, or 3_8_9_10_11; also by the original's name, scl.
        file: also write the figure there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews with a slider over the dates instead of a matplotlib figure.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Raises:
        NotFoundError: no such parcel, or no images of it in these days.
        InvalidInputError: a date, band, size, colour map or file that cannot be.
    """
    _check(chipsize, columns, hspace, file, interactive=interactive)
    kind, days, screened, reading = (
        view_of(bands),
        _days(year, start_date, end_date),
        scene_classes(screen),
        Reading.of(lake),
    )
    parcels = reading.parcels(aoi, year, pid, ptype)
    season = Season.of(*days, chipsize or chipsize_for(parcels), screened, kind.card.name)
    rows = []
    for parcel in parcels:
        folder = get.folders.place(parcel.aoi, parcel.year, parcel.pid, "")
        if clean_history:
            get.folders.clear_chips(folder)
        images = reading.images(parcel, season, kind.bands)
        outline = parcel.outline_in(images.epsg)
        row = rendering.row(
            parcel.label, kind, images, outline, cmap, percentile=percentile, limits=limits, outlined=show_parcel
        )
        _store(folder, season, images)
        rendering.write(row, get.chip_images.folder_of(folder, kind.card.name), f"Parcel {parcel.label}")
        rows.append(row)
    figure = _figure(rows, f"{heading(parcels)}: {kind.title}", columns, hspace, interactive=interactive)
    return _finished(figure, file, view, debug=debug)


@also(get.chip_images.at_place, imgtype="bands", band="bands", scl="screen")
@checked_options
def by_location(
    lon: float,
    lat: float,
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    bands: str | Sequence[str] = "ndvi",
    chipsize: int = 1280,
    columns: int | None = None,
    show_parcel: bool = True,
    cmap: str | None = None,
    percentile: Sequence[float] | None = None,
    clean_history: bool = False,
    view: bool | None = None,
    hspace: float = 0.0,
    debug: bool = False,
    *,
    aoi: str | None = None,
    year: int | None = None,
    limits: Sequence[float] | None = None,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot all images of a location in a period; cloud cover is computed over the whole image.

    Every image is also written by itself to temp/<lon>_<lat>/chipimages/<bands>_<date>.png. Args and errors are those
    of `by_pid`; lon and lat are in degrees. An area and a year may precede them, as in version 0.1: the year is
    the one whose days are meant where none are given, the area does not matter. No geometry is drawn, whatever
    show_parcel says.
    """
    _check(chipsize, columns, hspace, file, interactive=interactive)
    kind, days, screened, reading = (
        view_of(bands),
        _days(year, start_date, end_date),
        scene_classes(screen),
        Reading.of(lake),
    )
    folder = Workspace.here().temp / get.folders.of_location(lon, lat)
    if clean_history:
        get.folders.clear_chips(folder)
    position = float(lon), float(lat)
    season = Season.of(*days, chipsize, screened, kind.card.name)
    images, label = reading.images(position, season, kind.bands), degrees(*position)
    row = rendering.row(label, kind, images, None, cmap, percentile=percentile, limits=limits)
    _store(folder, season, images)
    rendering.write(row, get.chip_images.folder_of(folder, kind.card.name), label)
    figure = _figure([row], f"{label}: {kind.title}", columns, hspace, interactive=interactive)
    return _finished(figure, file, view, debug=debug)


def _store(folder: Path, season: Season, images: Images) -> None:
    """Write the chips behind the images, as `get` does, and record their size and period."""
    card = season.card
    get.chip_images.store(folder, card, images.cutouts)
    chips = get.chip_images.folder_of(folder, card)
    for old in [*chips.glob("chipsize_*"), *chips.glob("daterange_*")]:
        old.unlink(missing_ok=True)
    for mark in (f"chipsize_{season.chipsize}", f"daterange_{season.first}_{season.last}"):
        get.folders.write_file(chips / mark, "")


def _one_view(args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """Convert the original library's imgtype, a list of bands of one image, to a list of one view."""
    if "imgtype" in kwargs:
        kwargs = {**kwargs, "views": [kwargs["imgtype"]]}
        del kwargs["imgtype"]
    if len(args) > 5 and isinstance(args[5], (list, tuple)) and all(_is_band(name) for name in args[5]):
        args = (*args[:5], [args[5]], *args[6:])
    return ptype_stood_at(7, is_number)(args, kwargs)


def _is_band(name: object) -> bool:
    return isinstance(name, str) and band_named(name) is not None


@also(_one_view, scl="screen")
@checked_options
def grid(  # noqa: PLR0917 - the original's order
    aoi: str,
    year: int,
    pid: str,
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    views: str | Sequence[str | Sequence[str]] = ("true colour", "B08_B04_B03", "ndvi"),
    chipsize: int | None = None,
    columns: int | None = None,
    show_parcel: bool = True,
    cmap: str | None = None,
    percentile: Sequence[float] | None = None,
    ptype: str | None = None,
    clean_history: bool = False,
    view: bool | None = None,
    hspace: float = 0.0,
    debug: bool = False,
    *,
    limits: Sequence[float] | None = None,
    screen: Classes = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
    lake: LakeLike = None,
) -> Figure | None:
    """Plot several views of one parcel, also of several cards, one row each and one column per date.

    Args and errors are those of `by_pid`; views are what its `bands` are, and limits are of those that have a scale.
    A list of bands at their position, or as the original's imgtype, is one image of these bands; views=["B04", "B08"]
    are two.
    """
    _check(chipsize, columns, hspace, file, interactive=interactive)
    kinds = [view_of(each) for each in ([views] if isinstance(views, str) else views)]
    days, screened, reading = _days(year, start_date, end_date), scene_classes(screen), Reading.of(lake)
    parcel = reading.parcels(aoi, year, [pid], ptype)[0]
    folder = get.folders.place(parcel.aoi, parcel.year, parcel.pid, "")
    if clean_history:
        get.folders.clear_chips(folder)
    by_card = {}
    for card in dict.fromkeys(kind.card.name for kind in kinds):
        bands = list(dict.fromkeys(band for kind in kinds if kind.card.name == card for band in kind.bands))
        season = Season.of(*days, chipsize or chipsize_for([parcel]), screened, card)
        by_card[card] = reading.images(parcel, season, bands)
        _store(folder, season, by_card[card])
    outlines = {card: parcel.outline_in(images.epsg) for card, images in by_card.items()}
    rows = [
        rendering.row(
            kind.title,
            kind,
            by_card[kind.card.name],
            outlines[kind.card.name],
            cmap,
            percentile=percentile,
            limits=limits if kind.scaled else None,
            outlined=show_parcel,
        )
        for kind in kinds
    ]
    figure = _figure(rows, heading([parcel]), columns, hspace, interactive=interactive)
    return _finished(figure, file, view, debug=debug)


def _check(
    chipsize: int | None, columns: int | None, hspace: float, file: str | Path | None, *, interactive: bool
) -> None:
    if chipsize is not None and not 0 < chipsize <= LARGEST:
        raise InvalidInputError(f"chipsize {chipsize} is not between 1 and {LARGEST} metres")
    if columns is not None and not 0 < columns <= 24:
        raise InvalidInputError(f"{columns} images side by side cannot be; choose 1 to 24")
    if not 0 <= hspace <= 10:
        raise InvalidInputError(f"hspace {hspace} is no room between images; choose 0 to 10 times their height")
    style.suffix(file, interactive=interactive)


def _days(year: int | None, start: str | date | None, end: str | date | None) -> tuple[str | date, str | date]:
    """First and last day; default to those of the year."""
    if year is None and not (start and end):
        raise InvalidInputError(
            "which days? give start_date and end_date",
            plain="which days? give a first and a last one",
        )
    return start or f"{year}-01-01", end or f"{year}-12-31"


def _figure(rows: Sequence[Row], title: str, columns: int | None, hspace: float, *, interactive: bool) -> Figure:
    return browsing.images(rows, title) if interactive else contact_sheets.sheet(rows, title, columns, hspace)


def _finished(figure: Figure, file: str | Path | None, view: bool | None, *, debug: bool) -> Figure | None:
    if debug:
        log.debug("images drawn%s", f" into {file}" if file else "")
    return style.displayed(style.save(figure, file), view)
