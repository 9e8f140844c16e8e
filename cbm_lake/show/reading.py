"""`Reading`: fetches and caches the parcels, time series, images and orthophotos that figures are drawn from."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from cbm_lake.cards import CLOUD_CLASSES, S2, Classes, get, screened
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files.dates import day_of
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import chips, images, sources
from cbm_lake.parcel.basemaps import Background, Square
from cbm_lake.parcel.declaration import Parcel, degrees, hectares
from cbm_lake.parcel.images import Image, Images
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.parcel.sources import ByLocation, ImageRequest, LakeSource, Markers, Source, Weather
from cbm_lake.show import computing

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Background",
    "Event",
    "Image",
    "Images",
    "LakeLike",
    "Parcel",
    "Reading",
    "TimeSeries",
    "degrees",
    "hectares",
]

LARGEST: Final = chips.LARGEST
"""Metres: the widest image."""
WORK: Final = ("mowing", "ploughing", "sowing", "harvest")
"""Markers that are something that was done on a day."""


@dataclass(frozen=True)
class Event:
    """A farming activity on a parcel, dated between two observations."""

    name: str
    first: pd.Timestamp
    day: pd.Timestamp
    """The likeliest."""
    last: pd.Timestamp


class Reading:
    """Reads from a source what figures need, and caches the answers."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._parcels: dict[ParcelKey, Parcel] = {}
        self._series: dict[tuple[ParcelKey, str], TimeSeries] = {}
        self._cutouts: dict[ImageRequest, dict[str, list[chips.Cutout]]] = {}

    @classmethod
    def of(cls, lake: LakeLike) -> Reading:
        """Of a lake, of what the settings name where that is None; one that is given is given back."""
        return lake if isinstance(lake, Reading) else cls(sources.here(lake))

    @property
    def lake(self) -> Lake:
        """The lake that is read.

        Raises:
            NotFoundError: a server is.
        """
        if not isinstance(self.source, LakeSource):
            raise NotFoundError("a server does not tell how other parcels of a crop are; read from a lake")
        return self.source.lake

    def parcels(self, aoi: str, year: int, pid: str | Sequence[str], ptype: str | None = None) -> list[Parcel]:
        """The parcels with these identifiers, in order and without duplicates.

        Raises:
            InvalidInputError: no identifier at all.
            NotFoundError: one of them is not there.
        """
        pids = [pid] if isinstance(pid, str | int) else list(pid)
        if not pids:
            raise InvalidInputError("which parcel? the list of identifiers is empty")
        return [self._parcel(ParcelKey(aoi, int(year), ptype or "", one)) for one in dict.fromkeys(map(str, pids))]

    def _parcel(self, key: ParcelKey) -> Parcel:
        if key not in self._parcels:
            self._parcels[key] = self.source.parcel(key)
        return self._parcels[key]

    def pids_at(self, aoi: str, year: int, lon: float, lat: float, ptype: str | None) -> list[str]:
        """Identifiers of the parcels at a position in degrees.

        Raises:
            NotFoundError: there is none.
        """
        return [str(pid) for pid in self.source.answer(ByLocation(aoi, year, lon, lat, ptype or ""))["pid"]]

    def series(self, parcel: Parcel, card: str) -> TimeSeries:
        """Time series of a parcel's statistics; may be empty."""
        key = parcel.key, card
        if key not in self._series:
            self._series[key] = self.source.series(parcel, get(card))
        return self._series[key]

    def weather(self, parcel: Parcel) -> pd.DataFrame:
        """Daily weather of a parcel: meteo_date, tmin, tmax, tmean (°C), prec (mm), and `time`; may be empty."""
        import pandas as pd

        frame = pd.DataFrame(self.source.answer(Weather(_key(parcel))))
        return frame.assign(time=pd.to_datetime(frame["meteo_date"]))

    def work(self, parcel: Parcel) -> list[Event]:
        """Farming activities detected on a parcel (mowing, ploughing, sowing, harvest) by date; may be empty."""
        import pandas as pd

        columns = self.source.answer(Markers(_key(parcel)))
        rows = pd.DataFrame(columns, columns=["marker", "date_start", "date_main", "date_end"]).dropna()
        rows = rows[rows["marker"].isin(WORK)].sort_values("date_main")
        dates = rows[["date_start", "date_main", "date_end"]].apply(pd.to_datetime)
        days = (dates[name] for name in dates)
        return [Event(name, *moments) for name, *moments in zip(rows["marker"], *days, strict=True)]

    def images(self, where: Parcel | tuple[float, float], request: Season, bands: Sequence[str]) -> Images:
        """Images of a parcel, or of a position (longitude, latitude), in a period.

        The share of clouds is that of the parcel's look in the lake, as of `computing.cloud_shares`; of images without
        a look it is counted inside the parcel's geometry, and at a position in the whole image.

        Raises:
            NotFoundError: there are none.
            InvalidInputError: days, bands or a size that cannot be.
        """
        parcel = where if isinstance(where, Parcel) else None
        lon, lat = where if not isinstance(where, Parcel) else (where.lon, where.lat)
        card = get(request.card)
        optional = (card.class_band,) if card.class_band else ()
        asked = ImageRequest(lon, lat, request.first, request.last, (), request.chipsize, request.card)
        cutouts = self._chips(asked, tuple(bands), tuple(band for band in optional if band not in bands))
        data = images.assembled(cutouts, bands, lon, lat, request.chipsize)
        if data is None or not data.sizes["time"]:
            names = ", ".join(bands) if card is S2 else f"{request.card} {', '.join(bands)}"
            raise NotFoundError(
                f"no images of {names} from {request.first} to {request.last} at longitude {lon:.4f}, latitude "
                f"{lat:.4f}; ask for other days, or catalogue scenes with cbm-lake card2db"
            )
        data = computing.with_clouds(data, cutouts, bands, parcel, request.screen, card)
        if parcel and card.classification:
            shares = computing.cloud_shares(self.series(parcel, card.name), screened(request.screen, card))
            data = computing.as_observed(data, shares)
        return Images(data, tuple(cutouts))

    def _chips(self, request: ImageRequest, bands: tuple[str, ...], optional: tuple[str, ...]) -> list[chips.Cutout]:
        """Cutouts of bands, cached."""
        by_band = self._cutouts.setdefault(request, {})
        missing = replace(
            request,
            bands=tuple(band for band in bands if band not in by_band),
            optional=tuple(band for band in optional if band not in by_band),
        )
        if missing.bands or missing.optional:
            cutouts = self.source.cutouts(missing)
            for band in (*missing.bands, *missing.optional):
                by_band[band] = [cutout for cutout in cutouts if cutout.band == band]
        return [cutout for band in (*bands, *optional) for cutout in by_band[band]]

    def background(self, square: Square) -> Background:
        """The orthophoto of a square."""
        return self.source.background(square)


LakeLike: TypeAlias = Lake | Reading | None
"""What figures take as their lake: one; None is what the settings name; a `Reading` that several figures share."""


@dataclass(frozen=True)
class Season:
    """The period and the card of the images that are drawn."""

    first: date
    last: date
    chipsize: int
    """Metres a side."""
    screen: Classes = CLOUD_CLASSES
    """Scene classes that count as clouds."""
    card: str = "s2"

    @classmethod
    def of(
        cls, start: str | date, end: str | date, chipsize: int, screen: Classes = CLOUD_CLASSES, card: str = "s2"
    ) -> Season:
        """Of days as users write them.

        Raises:
            InvalidInputError: no days, or the last comes before the first.
        """
        return cls(*_days(start, end), chipsize, screen, card)


def heading(parcels: Sequence[Parcel]) -> str:
    """Heading of a figure: the parcel, or the number of parcels."""
    first = parcels[0]
    area = f"{first.aoi} {first.year}"
    return f"Parcel {first.label} · {area}" if len(parcels) == 1 else f"{len(parcels)} parcels of {area}"


def chipsize_for(parcels: Iterable[Parcel]) -> int:
    """Side length of images in metres, such that the parcels fill about half of the width: 160 to 5120."""
    widest = max(parcel.widest for parcel in parcels)
    return int(min(max(np.ceil(1.6 * widest / 20) * 20, 160), LARGEST))


def months_between(start: str | date, end: str | date) -> list[tuple[date, date]]:
    """Split the days between a first and a last one by month.

    Raises:
        InvalidInputError: no days, or the last comes before the first.
    """
    first, last = _days(start, end)
    parts = []
    while first <= last:
        final = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        parts.append((first, min(final, last)))
        first = final + timedelta(days=1)
    return parts


def _days(start: str | date, end: str | date) -> tuple[date, date]:
    first, last = day_of(start), day_of(end)
    if last < first:
        raise InvalidInputError(f"the last day, {last}, comes before the first, {first}")
    return first, last


def _key(parcel: Parcel) -> ParcelKey:
    """The parcel's key as it was asked for."""
    return ParcelKey(parcel.aoi, parcel.year, parcel.ptype or "", parcel.pid)
