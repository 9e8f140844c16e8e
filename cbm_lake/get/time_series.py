"""Get the satellite time series and the weather of a parcel."""

from __future__ import annotations

import hashlib
import logging
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import shapely

from cbm_lake import cards
from cbm_lake.cards import CLOUD_CLASSES, Classes
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files.dates import day_of
from cbm_lake.geo.areas import DEGREES
from cbm_lake.get import folders
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel import sources
from cbm_lake.parcel.sources import ByLocation, LakeSource, OfPolygon, Source, Statistics, Weather, polygons
from cbm_lake.parcel.sources.protocol import Columns

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


@checked_options
def by_pid(
    aoi: str,
    year: int,
    pid: str,
    tstype: str = "s2",
    ptype: str | None = None,
    band: str = "",
    debug: bool = False,
    *,
    clear: bool = False,
    screen: Classes = CLOUD_CLASSES,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get a parcel's statistics by time and band; also written to time_series_<tstype><band>.csv in its folder.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        tstype: card: s2, bs, c6, …, see `cards.CARDS`; or scl, the scene classes alone.
        ptype: which parcel set; None is the main one.
        band: one band only; "" is all. Radar bands are VVb, VHb (bs), VVc, VHc (c6); old names of others, such as B4,
            are understood, and SC (statistics of scene classes, which only migrated scenes have).
        debug: log the steps at level DEBUG.
        clear: of scenes in which the clear pixels alone stand for the partly clouded parcel, the statistics of these;
            two columns more say so: clear_part, and usable (whether the look counts). From a lake, of optical cards.
        screen: scene classes that count as clouds then.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Returns:
        date_part (seconds since 1970, UTC), band, count, mean, std, min, p25, p50, p75, max (harmonised DN for s2,
        linear values for bs and c6), and those statistics that extractions were asked for beside these; for s2 also
        hist: pixels of each scene class, {"4": 120}. scl: obsid (the scene's number) and hist. No rows when nothing was
        extracted yet.

    Raises:
        NotFoundError: no such parcel.
        InvalidInputError: unknown tstype or band.
    """
    import pandas as pd

    if isinstance(band, bool):
        raise InvalidInputError(f"band is a name such as B04, not {band}; the file is always written, leave save out")
    question = Statistics(ParcelKey(aoi, year, ptype or "", str(pid)), tstype, band)
    source = sources.here(lake)
    frame = pd.DataFrame(_of_clear(source, question, screen) if clear else source.answer(question))
    return _written(frame, question.key, f"{tstype}{band}", f"rows of parcel {pid}", debug=debug)


def _of_clear(source: Source, question: Statistics, screen: Classes) -> Columns:
    """The statistics of a parcel, of its clear pixels alone where these stand for it.

    Raises:
        InvalidInputError: the card has no scene classes, or the source is a server.
    """
    card = cards.CARDS.get(question.tstype)
    if card is None or card.classification is None:
        raise InvalidInputError(f"{question.tstype} has no scene classes, so there are no clear pixels to take apart")
    if not isinstance(source, LakeSource):
        raise InvalidInputError("a server gives statistics of all pixels only; read those of clear pixels from a lake")
    return source.looks(question, cards.screened(screen, card))


sentinel = by_pid
"""The original's other name of it."""


@checked_options
def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    tstype: str = "s2",
    ptype: str | None = None,
    band: str = "",
    debug: bool = False,
    *,
    geometry: object = None,
    start_date: date | str | None = None,
    end_date: date | str | None = None,
    clear: bool = False,
    screen: Classes = CLOUD_CLASSES,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get the statistics of the parcel at a location; of several the one whose pid sorts first.

    Args and errors are those of `by_pid` and of `parcel_info.by_location`, and of `by_polygon` where there is a
    geometry.

    Args:
        geometry: a polygon instead, as for `by_polygon`, which the location is to be in.
        start_date: first day, of a geometry.
        end_date: last day, included.
        clear: see `by_pid`.
        screen: see `by_pid`.
    """
    if geometry is not None:
        _check_place(geometry, lon, lat)
        return by_polygon(
            aoi,
            year,
            geometry,
            tstype,
            ptype,
            band,
            debug,
            start_date=start_date,
            end_date=end_date,
            clear=clear,
            screen=screen,
            lake=lake,
        )
    if start_date is not None or end_date is not None:
        raise InvalidInputError("a parcel's series has all its days; give days with a geometry only")
    columns = sources.here(lake).answer(ByLocation(aoi, year, lon, lat, ptype or ""))
    pid = columns["pid"][0]
    return by_pid(aoi, year, pid, tstype, ptype, band, debug, clear=clear, screen=screen, lake=lake)


@checked_options
def by_polygon(
    aoi: str,
    year: int,
    polygon: object,
    tstype: str = "s2",
    ptype: str | None = None,
    band: str = "",
    debug: bool = False,
    *,
    start_date: date | str | None = None,
    end_date: date | str | None = None,
    clear: bool = False,
    screen: Classes = CLOUD_CLASSES,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Get the statistics of any polygon by time and band, worked out now of the pixels of all its scenes.

    They are what an extraction would have of the polygon if it were one of the parcels of the set: those scenes that
    the set was extracted in, of each the bands, the pixel rule and the mask that it was extracted with. Where nothing
    of the card was extracted, all catalogued scenes by the usual rule. Nothing is written into the lake. The table is
    also written to time_series_<tstype><band>.csv in the folder of the polygon, whose name is that of its geometry.

    Args:
        aoi: area of the parcel set.
        year: its year.
        polygon: a shapely geometry, a GeoSeries, GeoJSON, or lon_lat-lon_lat-…; in degrees unless it says otherwise.
            Several parts and holes count as they are drawn; what crosses itself is repaired as parcels are.
        tstype: card: s2, bs, c6, …, see `cards.CARDS`.
        ptype: which parcel set; None is the main one.
        band: one band only; "" is all.
        debug: log the steps at level DEBUG.
        start_date: first day (UTC); None is no limit.
        end_date: last day, included.
        clear: see `by_pid`.
        screen: see `by_pid`.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Returns:
        The columns of `by_pid`. No rows where no scene has a pixel of it, such as of one that holds no pixel's centre.
        Scenes that cannot be read are left out, with a warning.

    Raises:
        NotFoundError: no such parcel set.
        InvalidInputError: it is no polygon, or its box has more than 4 million pixels; unknown tstype or band.
        SourceError: no scene can be read.
    """
    import pandas as pd

    area = polygons.read(polygon, crossing=True)
    name = f"polygon {hashlib.sha256(shapely.to_wkb(area.shape)).hexdigest()[:12]}"
    first, last = (None if day is None else day_of(day) for day in (start_date, end_date))
    key = ParcelKey(aoi, year, ptype or "", name)
    question = OfPolygon(key, polygon, tstype, band, first, last, clear, screen)
    frame = pd.DataFrame(sources.here(lake).answer(question))
    return _written(frame, key, f"{tstype}{band}", f"rows of {name}", debug=debug)


def _check_place(geometry: object, lon: float, lat: float) -> None:
    if not polygons.read(geometry, crossing=True).meets(np.array([shapely.Point(lon, lat)]), DEGREES).all():
        raise NotFoundError(f"the geometry is not at longitude {lon}, latitude {lat}; give a place in it")


@checked_options
def weather(
    aoi: str, year: int, pid: str, ptype: str | None = None, debug: bool = False, *, lake: Lake | None = None
) -> pd.DataFrame:
    """Get the daily weather of the parcel's grid cell, all years; also written to time_series_weather.csv.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        ptype: which parcel set; None is the main one.
        debug: log the steps at level DEBUG.
        lake: the lake; None is what the settings say.

    Returns:
        meteo_date (YYYY-MM-DD), tmin, tmax, tmean (degrees Celsius), prec (mm).

    Raises:
        NotFoundError: no such parcel.
    """
    import pandas as pd

    key = ParcelKey(aoi, year, ptype or "", str(pid))
    frame = pd.DataFrame(sources.here(lake).answer(Weather(key)))
    return _written(frame, key, "weather", f"days of parcel {pid}", debug=debug)


def _written(frame: pd.DataFrame, key: ParcelKey, name: str, lines: str, *, debug: bool) -> pd.DataFrame:
    """A table that is also in the file time_series_<name>.csv of the folder of what has the key."""
    file = folders.write(key.aoi, key.year, key.pid, f"time_series_{name}.csv", frame.to_csv())
    if debug:
        log.debug("%d %s of %s %s written to %s", len(frame), lines, key.aoi, key.year, file)
    return frame
