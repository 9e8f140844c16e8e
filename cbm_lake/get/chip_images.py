"""Get chips of a parcel or location: one GeoTIFF per scene and band."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cbm_lake.cards import CARDS, S2, band_called
from cbm_lake.config import Workspace
from cbm_lake.get import folders
from cbm_lake.lake import Lake
from cbm_lake.lake.arguments import Args, Kwargs, also, is_number
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel import sources
from cbm_lake.parcel.chips import Chip, Cutout, save
from cbm_lake.parcel.sources import ByPid, ImageRequest, Source

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_FARTHEST: Final = 360
"""Degrees east; greater numbers are years."""


@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str,
    start_date: date | str,
    end_date: date | str,
    band: str | Sequence[str] = "B04",
    chipsize: int = 1280,
    ptype: str | None = None,
    debug: bool = False,
    *,
    card: str = "s2",
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get chips around a parcel's centroid in temp/<aoi>/<year>/<pid>/chipimages/, listed in images_list.<band>.csv.

    Those of radar are in chipimages/bs/ and chipimages/c6/, since both have bands VV and VH.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        start_date: the first day.
        end_date: the last day, included.
        band: one band or several; of several, a list is written for each. Old names, B4 and B8, are B04 and B08.
        chipsize: metres a side.
        ptype: which parcel set; None is the main one.
        debug: log the steps at level DEBUG.
        card: s2, bs (backscatter) or c6 (coherence).
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Returns:
        dates (YYYYMMDDTHHMMSS) and chips (paths of the files), in the order of bands and time.

    Raises:
        NotFoundError: no such parcel.
        InvalidInputError: no such band or date, or more scenes than are given at once.
        SourceError: no scene could be read.
    """
    source = sources.here(lake)
    columns = source.answer(ByPid(ParcelKey(aoi, year, ptype or "", str(pid))))
    lon, lat = columns["clon"][0], columns["clat"][0]
    request = ImageRequest(lon, lat, start_date, end_date, _names(band, card), chipsize, card)
    return _written(source, folders.place(aoi, year, str(pid), ""), request, debug=debug)


def at_place(args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """Argument order: location first, or after area and year as in earlier versions."""
    if not args or is_number(args[0]):
        return args, kwargs
    has_year = len(args) > 1 and is_number(args[1]) and float(str(args[1])) > _FARTHEST
    return args[1 + has_year :], kwargs


@also(at_place)
@checked_options
def by_location(
    lon: float,
    lat: float,
    start_date: date | str,
    end_date: date | str,
    band: str | Sequence[str] = "B04",
    chipsize: int = 1280,
    debug: bool = False,
    *,
    aoi: str | None = None,
    year: int | None = None,
    card: str = "s2",
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get chips around a location in temp/<lon>_<lat>/chipimages/, with _ for the dots. See `by_pid`.

    An area and a year may precede the location, as in version 0.1, or be named; they are ignored.
    """
    request = ImageRequest(float(lon), float(lat), start_date, end_date, _names(band, card), chipsize, card)
    return _written(sources.here(lake), Workspace.here().temp / folders.of_location(lon, lat), request, debug=debug)


def _names(band: str | Sequence[str], card: str) -> tuple[str, ...]:
    return tuple(band_called(name, CARDS.get(card)) for name in ((band,) if isinstance(band, str) else band))


def folder_of(parent: Path, card: str = "s2") -> Path:
    """Folder of a card's chips inside the folder of a parcel or location."""
    return folders.chips(parent) if card == S2.name else folders.chips(parent) / card


def store(parent: Path, card: str, cutouts: Sequence[Cutout]) -> None:
    """Write cutouts and their lists into the folder of a parcel or location, as `by_pid` does.

    Raises:
        ConfigError, SourceError: the folder cannot be written.
    """
    folder = folder_of(parent, card)
    Workspace.here().prepare(folder)
    files = {id(cutout): folder / cutout.file_name for cutout in cutouts}
    for cutout in cutouts:
        save(cutout, files[id(cutout)])
    for band in dict.fromkeys(cutout.band for cutout in cutouts):
        of_band = [cutout for cutout in cutouts if cutout.band == band]
        chips = [Chip(cutout.product, cutout.obstime, band, files[id(cutout)]) for cutout in of_band]
        folders.write_file(folder / f"images_list.{band}.csv", _listed(chips).to_csv())
    folders.link_chips(parent)


def _written(source: Source, parent: Path, request: ImageRequest, *, debug: bool) -> pd.DataFrame:
    import pandas as pd

    folder = folder_of(parent, request.card)
    Workspace.here().prepare(folder)
    lists = []
    for band in request.bands:
        chips = source.write_chips(replace(request, bands=(band,)), folder)
        lists.append(_listed(chips))
        file = folders.write_file(folder / f"images_list.{band}.csv", lists[-1].to_csv())
        if debug:
            log.debug("%d chips of band %s are listed in %s", len(chips), band, file)
    folders.link_chips(parent)
    return pd.concat(lists, ignore_index=True)


def _listed(chips: Sequence[Chip]) -> pd.DataFrame:
    import pandas as pd

    dates = [f"{chip.obstime:%Y%m%dT%H%M%S}" for chip in chips]
    return pd.DataFrame({"dates": dates, "chips": [chip.file.as_posix() for chip in chips]})
