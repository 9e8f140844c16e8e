"""`api` source: a REST server of this project or of the original library."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar

import rasterio
from rasterio.io import MemoryFile

from cbm_lake.cards import CARDS, S2, Card, band_called
from cbm_lake.errors import ConfigError, InvalidInputError, LakeError, NotFoundError, SourceError, TooManyError
from cbm_lake.files import durable
from cbm_lake.files.dates import day_of
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.parcel import basemaps
from cbm_lake.parcel.basemaps import Background, Square
from cbm_lake.parcel.chips import Chip, Cutout
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.parcel.sources import ofpolygon, wire
from cbm_lake.parcel.sources.http import Params, Server
from cbm_lake.parcel.sources.protocol import (
    SUFFIX,
    ByLocation,
    ByPid,
    ByPolygon,
    Columns,
    ImageRequest,
    Markers,
    OfPolygon,
    Peers,
    Question,
    Statistics,
    Weather,
)

log = logging.getLogger(__name__)

Part = TypeVar("Part")
_PARCELS, _IMAGES = 64, 6
"""Parcels and series, and bands of images and backgrounds, that are remembered."""
_MOST_PARCELS: Final = 100
"""Parcels of a polygon that a server gives at most."""


class ApiSource:
    """Source that queries a REST server; see `Source`.

    The objects that figures are drawn from are remembered, a few of each kind, so that the next figure of a parcel
    does not ask for them again.

    Raises:
        ConfigError: no address is given.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._server = Server(url, user, password)
        self._parcel = lru_cache(_PARCELS)(self._asked_parcel)
        self._series = lru_cache(_PARCELS)(lambda key, card: self.answer(Statistics(key, card)))
        self._cutouts = lru_cache(_IMAGES)(self._asked_cutouts)
        self._photos: dict[Square, Background] = {}

    def answer(self, question: Question) -> Columns:
        """See `Source.answer`."""
        match question:
            case ByPid(key):
                answer = self._server.columns("parcelByID", {**_of_key(key), **_flags(question)})
                problem = f"no parcel {key.pid!r} in {key.aoi} {key.year} {key.ptype}"
                return _some(answer, "pid", problem)
            case ByLocation(aoi, year, lon, lat, ptype):
                params = {"aoi": aoi, "year": year, "lon": lon, "lat": lat, "ptype": ptype}
                answer = self._server.columns("parcelByLocation", {**params, **_flags(question)})
                problem = f"no parcel of {aoi} {year} {ptype} at longitude {lon}, latitude {lat}"
                return _some(answer, "pid", problem)
            case ByPolygon():
                return self._by_polygon(question)
            case Peers(key, distance, limit):
                return self._of_parcel("parcelPeers", key, {"distance": distance, "max": limit})
            case Statistics() | OfPolygon():
                return self._statistics(question) if isinstance(question, Statistics) else self._of_polygon(question)
            case Weather(key) | Markers(key):
                return self._of_parcel("markers" if isinstance(question, Markers) else "weatherTimeSeries", key, {})

    # -- parcels ------------------------------------------------------------------------------------------------------

    def parcel(self, key: ParcelKey) -> Parcel:
        """See `Source.parcel`."""
        return self._parcel(key)

    def _asked_parcel(self, key: ParcelKey) -> Parcel:
        return wire.parcel(key, self.answer(ByPid(key, geometry=True)))

    def _by_polygon(self, question: ByPolygon) -> Columns:
        """Servers of the original library return at most 100 parcels."""
        aoi, year, ptype = question.aoi, question.year, question.ptype
        params = {"aoi": aoi, "year": year, "polygon": wire.ring(question.polygon), "ptype": ptype}
        answer = self._server.columns(
            "parcelsByPolygon", {**params, **_flags(question)}, only_ids=str(question.only_ids)
        )
        if not answer:
            raise InvalidInputError(
                f"the server takes this for no polygon, or knows no parcels of {aoi} {year} {ptype}; "
                "first and last point must be equal"
            )
        if len(answer.get("pid", ())) == _MOST_PARCELS:
            log.warning("the server gives %d parcels, as many as it gives at most: there may be more", _MOST_PARCELS)
        return answer

    # -- time series --------------------------------------------------------------------------------------------------

    def series(self, parcel: Parcel, card: Card) -> TimeSeries:
        """See `Source.series`; a server does not report the share of a parcel that was observed."""
        key = ParcelKey(parcel.aoi, parcel.year, parcel.ptype or "", parcel.pid)
        return wire.series(parcel, card, self._series(key, card.name))

    def _statistics(self, question: Statistics) -> Columns:
        band, suffix = question.band, SUFFIX.get(question.tstype, "")
        # the original knows VVb, not VV
        name = f"{band_called(band, CARDS.get(question.tstype))}{suffix}" if band and suffix else band
        params = {"tstype": question.tstype, "band": name, "ref": question.ref}
        answer = self._of_parcel("parcelTimeSeries", question.key, params, scl=str(question.scl))
        # what PostgreSQL 14 and later call the column in the original's server
        return {("date_part" if name == "extract" else name): values for name, values in answer.items()}

    def _of_polygon(self, question: OfPolygon) -> Columns:
        return self._server.columns_of("v1/polygon/timeseries", ofpolygon.body(question))

    # -- images -------------------------------------------------------------------------------------------------------

    def cutouts(self, request: ImageRequest) -> list[Cutout]:
        """See `Source.cutouts`; date ranges that exceed the server's limit are requested in parts."""
        whole = replace(request, start=day_of(request.start), end=day_of(request.end), optional=())
        cutouts = [cutout for band in request.bands for cutout in self._cutouts(replace(whole, bands=(band,)))]
        for band in request.optional:
            try:
                cutouts += self._cutouts(replace(whole, bands=(band,)))
            except LakeError as error:
                log.warning("the server gives no %s there: %s", band, error)
        return cutouts

    def _asked_cutouts(self, request: ImageRequest) -> tuple[Cutout, ...]:
        """The cutouts of one band."""
        [band] = request.bands
        parts = in_parts(partial(self._links, request, band), day_of(request.start), day_of(request.end))
        return tuple(self._cutout(obstime, band, link) for part in parts for obstime, link in part)

    def _cutout(self, obstime: datetime, band: str, link: str) -> Cutout:
        name = wire.name_of(link)
        return wire.cutout(obstime, band, name, self._server.content(link, name))

    def write_chips(self, request: ImageRequest, folder: Path, limit: int = 24) -> list[Chip]:
        """See `Source.write_chips`; the server sets its own limit."""
        chips = []
        for band in request.bands:
            links = self._links(request, band, request.start, request.end)
            if links is None:
                message = f"the server gives no chips from {request.start} to {request.end}: more than {limit}"
                raise TooManyError(f"{message}; ask for fewer days", limit=limit)
            for obstime, link in links:
                file = folder / wire.name_of(link)
                if not _has_size(file, request.chipsize):
                    _write(file, self._server.content(link, file.name))
                chips.append(Chip(file.name.partition(".")[0], obstime, band, file))
        return chips

    def _links(
        self, request: ImageRequest, band: str, first: date | str, last: date | str
    ) -> list[tuple[datetime, str]] | None:
        """Timestamps and links of a band's chips in a date range; None if there are too many at once."""
        if request.card != S2.name:
            message = f"a server gives images of Sentinel-2 only, none of {request.card}; read them from a lake"
            raise InvalidInputError(message)
        params = {"lon": request.lon, "lat": request.lat, "start_date": first, "end_date": last, "band": band}
        answer = self._server.columns("rawChipByLocation", {**params, "chipsize": request.chipsize})
        return wire.links(answer) if answer else None

    def background(self, square: Square) -> Background:
        """See `Source.background`."""
        if square not in self._photos:
            photo = self._asked_background(square)
            if photo.name != square.tms.lower():
                return photo  # what is shown instead is not remembered: the tile server may answer next time
            self._photos = dict([*self._photos.items(), (square, photo)][-_IMAGES:])
        return self._photos[square]

    def _asked_background(self, square: Square) -> Background:
        with MemoryFile(self._background(square)) as file:
            return basemaps.load(file, f"the server's image of {square.tms}", square.tms)

    def write_background(self, square: Square, file: Path) -> Path:
        """See `Source.write_background`."""
        content = self._background(square)
        name = wire.background_name(content, file.name)
        target = basemaps.named_truly(file, square.tms.lower(), name) if name else file
        _write(target, content)
        return target

    def _background(self, square: Square) -> bytes:
        """The GeoTIFF of a background."""
        lon, lat, tms = square.lon, square.lat, square.tms
        params = {"lon": lon, "lat": lat, "chipsize": square.chipsize, "extend": square.extend, "tms": tms}
        link = self._server.asked("backgroundByLocation", {**params, "iformat": "tif"}).text.strip().strip('"')
        if not link or link == "{}":
            raise NotFoundError(f"the server has no image of {tms} at longitude {lon}, latitude {lat}")
        return self._server.content(link, f"{tms.lower()}.tif")

    def info(self, aois: Sequence[str] | None = None) -> dict[str, Any]:
        """See `Source.info`."""
        answer = self._server.object("info", {})
        if aois is not None:
            answer["aois"] = {aoi: area for aoi, area in answer.get("aois", {}).items() if aoi in aois}
        return answer

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _of_parcel(self, name: str, key: ParcelKey, params: Params, **others: str) -> Columns:
        """Columns about a parcel; if they are empty, the parcel's existence is checked with another request."""
        answer = self._server.columns(name, {**_of_key(key), **params}, **others)
        if not any(answer.values()):
            self.answer(ByPid(key))
            if not answer:
                raise SourceError(f"{self._server.url} cannot answer {name} of parcel {key.pid!r}; its log may say why")
        return answer


def _of_key(key: ParcelKey) -> Params:
    return {"aoi": key.aoi, "year": key.year, "pid": key.pid, "ptype": key.ptype}


def _flags(question: ByPid | ByLocation | ByPolygon) -> Params:
    return {"withGeometry": question.geometry, "wgs84": question.wgs84}


def in_parts(ask: Callable[[date, date], Part | None], first: date, last: date) -> Iterator[Part]:
    """Answers for a date range; ranges that exceed the server's limit (None) are bisected.

    Raises:
        TooManyError: there is too much of a single day.
    """
    answer = ask(first, last)
    if answer is not None:
        yield answer
        return
    if first >= last:
        raise TooManyError(f"{first} alone has more scenes than the server gives at once")
    middle = first + (last - first) // 2
    yield from in_parts(ask, first, middle)
    yield from in_parts(ask, middle + timedelta(days=1), last)


def _write(file: Path, content: bytes) -> None:
    """Write a file atomically."""
    try:
        with durable.replacing(file) as draft:
            draft.write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}; check rights and free space") from error


def _some(answer: Columns, column: str, problem: str) -> Columns:
    if not answer.get(column):
        raise NotFoundError(problem)
    return answer


def _has_size(file: Path, chipsize: int) -> bool:
    """Whether the existing chip has that size in metres."""
    if not file.is_file():
        return False
    try:
        with rasterio.open(file) as raster:
            return bool(abs(raster.width * raster.res[0] - chipsize) <= 2 * raster.res[0])
    except rasterio.RasterioIOError:
        return False
