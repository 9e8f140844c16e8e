"""Chips: small images of a parcel or place, one GeoTIFF per scene and band."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from cbm_lake import sources
from cbm_lake.cards import S2
from cbm_lake.config import Workspace
from cbm_lake.get import folders
from cbm_lake.lake import Lake

if TYPE_CHECKING:
    import pandas as pd

    from cbm_lake.chips import Chip

log = logging.getLogger(__name__)


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
    """Chips round a parcel's centroid, in temp/<aoi>/<year>/<pid>/chipimages/; their list is images_list.<band>.csv.

    Those of radar are in chipimages/bs/ and chipimages/c6/, since both have bands VV and VH.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        start_date: the first day.
        end_date: the last day, included.
        band: one band or several; of several, a list is written for each.
        chipsize: metres a side.
        ptype: which parcel set; None is the main one.
        debug: tell the log (level DEBUG) what is done.
        card: s2, bs (backscatter) or c6 (coherence).
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Returns:
        dates (YYYYMMDDTHHMMSS) and chips (paths of the files), in the order of bands and time.

    Raises:
        NotFoundError: no such parcel.
        InvalidInputError: no such band or date, or more scenes than are given at once.
        SourceError: no scene could be read.
    """
    found = sources.here(lake).parcel_by_id(aoi, year, str(pid), ptype=ptype)
    place = folders.place(aoi, year, str(pid), "")
    where = found["clon"][0], found["clat"][0]
    return _written(place, *where, (start_date, end_date), band, chipsize, debug, card, lake)


def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    start_date: date | str,
    end_date: date | str,
    band: str | Sequence[str] = "B04",
    chipsize: int = 1280,
    debug: bool = False,
    *,
    card: str = "s2",
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Chips round a place, in temp/<lon>_<lat>/chipimages/, _ for the dots. See `by_pid`; aoi and year matter not."""
    place = Workspace.here().temp / folders.of_location(lon, lat)
    return _written(place, lon, lat, (start_date, end_date), band, chipsize, debug, card, lake)


def folder_of(place: Path, card: str = "s2") -> Path:
    """Where the chips of a card are, in the folder of a parcel or place."""
    return folders.chips(place) if card == S2.name else folders.chips(place) / card


def _written(
    place: Path,
    lon: float,
    lat: float,
    days: tuple[date | str, date | str],
    band: str | Sequence[str],
    chipsize: int,
    debug: bool,
    card: str,
    lake: Lake | None,
) -> pd.DataFrame:
    import pandas as pd

    source = sources.here(lake)
    folder = folder_of(place, card)
    lists = []
    for name in (band,) if isinstance(band, str) else band:
        chips = source.raw_chips(lon, lat, *days, band=name, chipsize=chipsize, folder=folder, card=card)
        lists.append(_listed(chips))
        file = folders.write_file(folder / f"images_list.{name}.csv", lists[-1].to_csv())
        if debug:
            log.debug("%d chips of band %s are listed in %s", len(chips), name, file)
    return pd.concat(lists, ignore_index=True)


def _listed(chips: Sequence[Chip]) -> pd.DataFrame:
    import pandas as pd

    dates = [f"{chip.obstime:%Y%m%dT%H%M%S}" for chip in chips]
    return pd.DataFrame({"dates": dates, "chips": [str(chip.file) for chip in chips]})
