"""Images of parcels and places over time: NDVI, true colour, any three bands, one band in a colour map."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cbm_lake.cards import CLOUD_CLASSES
from cbm_lake.errors import InvalidInputError
from cbm_lake.show import browsing, pictures, reading, style
from cbm_lake.show.pictures import Row
from cbm_lake.show.reading import Images, Parcel
from cbm_lake.show.views import View, view


def by_pid(
    aoi: str,
    year: int,
    pid: str | Sequence[str],
    start_date: str | date,
    end_date: str | date,
    bands: str | Sequence[str] = "ndvi",
    chipsize: int | None = None,
    ptype: str | None = None,
    *,
    cmap: str | None = None,
    columns: int | None = None,
    screen: Sequence[int] = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of all images of a parcel in some days, with its outline; of several parcels, a row for each.

    Every image is also written by itself to temp/<aoi>/<year>/<pid>/chipimages/<bands>_<date>.png. All images of a row
    have the same scale of colours, so that dates can be compared.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of a parcel, or several.
        start_date: the first day, 2024-03-01.
        end_date: the last day, included.
        bands: an index ("ndvi", "ndwi", "bare soil"), "true colour", scene classes ("SCL"), three bands ("B08_B04_B03"
            or a list), one ("B08"), or of radar "bs VV", "bs VH", "c6 VV", "c6 VH".
        chipsize: metres a side; None shows the parcel and its surroundings, the same for all.
        ptype: which parcel set; None is the main one.
        cmap: colour map of matplotlib for NDVI or one band.
        columns: images side by side.
        screen: scene classes (SCL) that count as clouds.
        file: also write the figure there: .png, .svg, .pdf; .html of an interactive one.
        interactive: an object of holoviews with a slider over the dates instead of a matplotlib figure.

    Raises:
        NotFoundError: no such parcel, or no images of it in these days.
        InvalidInputError: a date, band, size, colour map or file that cannot be.
    """
    _check(chipsize, columns)
    style.suffix(file, interactive=interactive)
    kind = view(bands)
    chosen = reading.parcels(aoi, year, pid, ptype)
    size = chipsize or reading.chipsize_for(chosen)
    rows = []
    for parcel in chosen:
        images = reading.images_of(parcel, start_date, end_date, kind.bands, size, screen, kind.card.name)
        outline = parcel.outline_in(images.epsg)
        shown = pictures.row(parcel.label, kind, images, outline, cmap)
        pictures.write(shown, reading.chip_folder(parcel, kind.card.name), f"Parcel {parcel.label}")
        rows.append(shown)
    return _finish(rows, f"{reading.heading(chosen)}: {kind.title}", columns, file, interactive=interactive)


def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    start_date: str | date,
    end_date: str | date,
    bands: str | Sequence[str] = "ndvi",
    chipsize: int = 1280,
    *,
    cmap: str | None = None,
    columns: int | None = None,
    screen: Sequence[int] = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of all images of a place in some days; clouds are counted in the whole image.

    Every image is also written by itself to temp/<lon>_<lat>/chipimages/<bands>_<date>.png. Args and errors are those
    of `by_pid`; lon and lat are in degrees, aoi and year matter not.
    """
    _check(chipsize, columns)
    style.suffix(file, interactive=interactive)
    kind = view(bands)
    days, card = (start_date, end_date), kind.card.name
    images, folder = reading.images_at(aoi, year, lon, lat, *days, kind.bands, chipsize, screen, card)
    place = reading.degrees(lon, lat)
    shown = pictures.row(place, kind, images, None, cmap)
    pictures.write(shown, folder, place)
    return _finish([shown], f"{place}: {kind.title}", columns, file, interactive=interactive)


def grid(
    aoi: str,
    year: int,
    pid: str,
    start_date: str | date,
    end_date: str | date,
    views: Sequence[str | Sequence[str]] = ("true colour", "B08_B04_B03", "ndvi"),
    chipsize: int | None = None,
    ptype: str | None = None,
    *,
    columns: int | None = None,
    screen: Sequence[int] = CLOUD_CLASSES,
    file: str | Path | None = None,
    interactive: bool = False,
) -> Any:
    """A figure of one parcel in several views, also of several cards, one below the other, date by date.

    Args and errors are those of `by_pid`; views are what its `bands` are.
    """
    _check(chipsize, columns)
    style.suffix(file, interactive=interactive)
    kinds = [view(each) for each in ([views] if isinstance(views, str) else views)]
    parcel = reading.parcels(aoi, year, [pid], ptype)[0]
    size = chipsize or reading.chipsize_for([parcel])
    seen = {}
    for card in dict.fromkeys(kind.card.name for kind in kinds):
        bands = list(dict.fromkeys(band for kind in kinds if kind.card.name == card for band in kind.bands))
        seen[card] = reading.images_of(parcel, start_date, end_date, bands, size, screen, card)
    rows = [_in_view(parcel, kind, seen[kind.card.name]) for kind in kinds]
    return _finish(rows, reading.heading([parcel]), columns, file, interactive=interactive)


def _in_view(parcel: Parcel, kind: View, images: Images) -> Row:
    return pictures.row(kind.title, kind, images, parcel.outline_in(images.epsg), None)


def _check(chipsize: int | None, columns: int | None) -> None:
    if chipsize is not None and not 0 < chipsize <= reading.LARGEST:
        raise InvalidInputError(f"chipsize {chipsize} is not between 1 and {reading.LARGEST} metres")
    if columns is not None and not 0 < columns <= 24:
        raise InvalidInputError(f"{columns} images side by side cannot be; choose 1 to 24")


def _finish(
    rows: Sequence[Row], heading: str, columns: int | None, file: str | Path | None, *, interactive: bool
) -> Any:
    drawn = browsing.images(rows, heading) if interactive else pictures.sheet(rows, heading, columns)
    return style.save(drawn, file)
