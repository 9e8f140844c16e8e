"""A REST server as a source: ours, or the original's."""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import requests
import shapely
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from cbm_lake.cards import CARDS, S2, band_called
from cbm_lake.errors import ConfigError, InvalidInputError, NotFoundError, SourceError
from cbm_lake.files import durable
from cbm_lake.files.documents import load_json
from cbm_lake.parcel import basemaps
from cbm_lake.parcel.chips import Chip
from cbm_lake.parcel.sources.protocol import SUFFIX, Columns

log = logging.getLogger(__name__)

_SECONDS: Final = (5.0, 120.0)
"""For how long a server may take to answer at all, and then between bytes."""
_PIECE: Final = 1 << 20
_NOT_ANSWERED: Final = "X-Not-Answered"
"""The header in which our server tells what was asked for and is not in the answer."""
_MOST_PARCELS: Final = 100
"""Parcels of a polygon that a server gives at most."""
_DOWNLOADS: Final = 3
"""How often a file is begun to be fetched."""
_PAUSE: Final = 1.0
"""Seconds before the second time, and twice as many before the third."""
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins, in either order of bytes, of 32 and 64 bits."""


class ApiSource:
    """Answers from a server; see `Source`.

    Raises:
        ConfigError: no address is given.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        if not url:
            raise ConfigError("no REST server is set; call set_api_account(url, username, password)")
        self.url = url.rstrip("/")
        self._session = _session()
        self._session.auth = (user, password)
        self._public = _session()
        self._public.auth = _nobody

    # -- parcels ------------------------------------------------------------------------------------------------------

    def parcel_by_id(
        self, aoi: str, year: int, pid: str, *, ptype: str | None = None, geometry: bool = False, wgs84: bool = False
    ) -> Columns:
        """See `Source.parcel_by_id`."""
        question = {"aoi": aoi, "year": year, "pid": pid, "ptype": ptype, "withGeometry": geometry, "wgs84": wgs84}
        return _some(self._columns("parcelByID", question), "pid", f"no parcel {pid!r} in {aoi} {year} {ptype or ''}")

    def parcels_by_location(
        self,
        aoi: str,
        year: int,
        lon: float,
        lat: float,
        *,
        ptype: str | None = None,
        geometry: bool = False,
        wgs84: bool = False,
    ) -> Columns:
        """See `Source.parcels_by_location`."""
        question = {"aoi": aoi, "year": year, "lon": lon, "lat": lat, "ptype": ptype}
        columns = self._columns("parcelByLocation", {**question, "withGeometry": geometry, "wgs84": wgs84})
        return _some(columns, "pid", f"no parcel of {aoi} {year} {ptype or ''} at longitude {lon}, latitude {lat}")

    def parcels_by_polygon(
        self,
        aoi: str,
        year: int,
        polygon: Any,
        *,
        ptype: str | None = None,
        geometry: bool = False,
        wgs84: bool = False,
        only_ids: bool = True,
    ) -> Columns:
        """See `Source.parcels_by_polygon`; a server of the original gives at most 100."""
        question = {"aoi": aoi, "year": year, "polygon": _ring(polygon), "ptype": ptype}
        flags = {"withGeometry": geometry, "wgs84": wgs84}
        columns = self._columns("parcelsByPolygon", {**question, **flags}, only_ids=str(only_ids))
        if not columns:
            raise InvalidInputError(
                f"the server takes this for no polygon, or knows no parcels of {aoi} {year} {ptype or ''}; "
                "first and last point must be equal"
            )
        if len(columns.get("pid", ())) == _MOST_PARCELS:
            log.warning("the server gives %d parcels, as many as it gives at most: there may be more", _MOST_PARCELS)
        return columns

    def parcel_peers(
        self, aoi: str, year: int, pid: str, *, ptype: str | None = None, distance: float = 2000.0, limit: int = 10
    ) -> Columns:
        """See `Source.parcel_peers`."""
        question = {"aoi": aoi, "year": year, "pid": pid, "ptype": ptype, "distance": distance, "max": limit}
        return self._of_parcel("parcelPeers", question)

    # -- time series --------------------------------------------------------------------------------------------------

    def parcel_time_series(
        self,
        aoi: str,
        year: int,
        pid: str,
        *,
        ptype: str | None = None,
        tstype: str = "s2",
        band: str = "",
        scl: bool = True,
        ref: bool = False,
    ) -> Columns:
        """See `Source.parcel_time_series`."""
        suffix = SUFFIX.get(tstype, "")
        name = (
            f"{band_called(band, CARDS.get(tstype))}{suffix}" if band and suffix else band
        )  # the original knows VVb, not VV
        question = {"aoi": aoi, "year": year, "pid": pid, "ptype": ptype, "tstype": tstype, "band": name, "ref": ref}
        columns = self._of_parcel("parcelTimeSeries", question, scl=str(scl))
        # what PostgreSQL 14 and later call the column in the original's server
        return {("date_part" if name == "extract" else name): values for name, values in columns.items()}

    def weather_time_series(self, aoi: str, year: int, pid: str, *, ptype: str | None = None) -> Columns:
        """See `Source.weather_time_series`."""
        return self._of_parcel("weatherTimeSeries", {"aoi": aoi, "year": year, "pid": pid, "ptype": ptype})

    def markers(self, aoi: str, year: int, pid: str, *, ptype: str | None = None) -> Columns:
        """See `Source.markers`."""
        return self._of_parcel("markers", {"aoi": aoi, "year": year, "pid": pid, "ptype": ptype})

    # -- images -------------------------------------------------------------------------------------------------------

    def raw_chips(
        self,
        lon: float,
        lat: float,
        start: date | str,
        end: date | str,
        *,
        band: str,
        chipsize: int = 1280,
        folder: Path,
        limit: int = 24,
        card: str = "s2",
    ) -> list[Chip]:
        """See `Source.raw_chips`; how many at once the server itself limits."""
        if card != S2.name:
            raise InvalidInputError(f"a server gives images of Sentinel-2 only, none of {card}; read them from a lake")
        question = {"lon": lon, "lat": lat, "start_date": start, "end_date": end, "band": band, "chipsize": chipsize}
        columns = self._columns("rawChipByLocation", question)
        if not columns:
            raise InvalidInputError(
                f"the server gives no chips from {start} to {end}: more than {limit}; ask for fewer days"
            )
        chips = []
        for obstime, link in _listed(columns):
            file = folder / _name(link)
            if not _is_there(file, chipsize):
                self._fetch(link, file)
            chips.append(Chip(file.name.partition(".")[0], obstime, band, file))
        return chips

    def background(
        self, lon: float, lat: float, *, chipsize: int = 256, extend: float = 256, tms: str = "Google", file: Path
    ) -> Path:
        """See `Source.background`."""
        question = {"lon": lon, "lat": lat, "chipsize": chipsize, "extend": extend, "tms": tms, "iformat": "tif"}
        answer = self._asked("backgroundByLocation", question).text.strip().strip('"')
        if not answer or answer == "{}":
            raise NotFoundError(f"the server has no image of {tms} at longitude {lon}, latitude {lat}")
        with tempfile.TemporaryDirectory() as folder:
            fetched = Path(folder) / file.name
            self._fetch(answer, fetched)
            server = basemaps.tags(fetched).get("tms", "")
            target = basemaps.named_truly(file, tms.lower(), server) if server else file
            _put(fetched, target)
        return target

    def info(self, aois: Sequence[str] | None = None) -> dict[str, Any]:
        """See `Source.info`."""
        document = self._object("info", {})
        if aois is not None:
            document["aois"] = {aoi: area for aoi, area in document.get("aois", {}).items() if aoi in aois}
        return document

    # -- the wire -----------------------------------------------------------------------------------------------------

    def _of_parcel(self, name: str, question: dict[str, Any], **others: str) -> Columns:
        """Columns about a parcel; empty ones leave open whether there is such a parcel, so that is asked too."""
        columns = self._columns(name, question, **others)
        if not any(columns.values()):
            self.parcel_by_id(question["aoi"], question["year"], question["pid"], ptype=question["ptype"])
            if not columns:
                raise SourceError(f"{self.url} cannot answer {name} of parcel {question['pid']!r}; its log may say why")
        return columns

    def _columns(self, name: str, question: dict[str, Any], **others: str) -> Columns:
        """An answer of equally long lists."""
        answer = self._object(name, question, **others)
        lengths = {len(values) if isinstance(values, list) else -1 for values in answer.values()}
        if len(lengths) > 1 or -1 in lengths:
            raise SourceError(f"{self.url} answers {name} with what are not equally long lists; is it a cbm server?")
        return answer

    def _object(self, name: str, question: dict[str, Any], **others: str) -> dict[str, Any]:
        """An answer that is a JSON object."""
        response = self._asked(name, question, **others)
        try:
            answer = load_json(response.content)
        except ValueError as error:
            raise SourceError(
                f"{self.url} answers {name} (status {response.status_code}) with what is no JSON; is it a cbm server?"
            ) from error
        if not isinstance(answer, dict):
            raise SourceError(f"{self.url} answers {name} with what is no JSON object; is it a cbm server?")
        return answer

    def _asked(self, name: str, question: dict[str, Any], **others: str) -> requests.Response:
        """The answer to a question; only flags that are on, and texts that are not empty, are sent."""
        parameters = {
            key: value for key, value in question.items() if value is not None and value is not False and value != ""
        }
        url = f"{self.url}/query/{name}"
        try:
            response = self._session.get(url, params={**parameters, **others}, timeout=_SECONDS)
        except requests.RequestException as error:
            raise SourceError(
                f"{self.url} does not answer ({_reason(error)}); check the address and the net"
            ) from error
        _check(response, name)
        if _NOT_ANSWERED in response.headers:
            log.warning("%s: %s", name, response.headers[_NOT_ANSWERED])
        return response

    def _fetch(self, link: str, file: Path) -> None:
        """Write the GeoTIFF of a result link, in one step; such links want no login, so none is sent.

        What breaks off in the midst is begun again: the server may be starting anew.
        """
        url = urljoin(f"{self.url}/", link if "://" in link else link.lstrip("/"))
        for attempt in range(_DOWNLOADS):
            if attempt:
                time.sleep(_PAUSE * attempt)
            try:
                return self._download(url, file)
            except requests.RequestException as error:
                problem = error
        raise SourceError(f"{file.name} cannot be fetched from {self.url} ({_reason(problem)}); try again") from problem

    def _download(self, url: str, file: Path) -> None:
        """Write a file once it has come as a whole."""
        try:
            with (
                durable.replacing(file) as draft,
                draft.open("wb") as stream,
                self._public.get(url, stream=True, timeout=_SECONDS) as answer,
            ):
                _check(answer, file.name)
                stream.writelines(_of_tiff(answer.iter_content(_PIECE), file.name))
        except requests.RequestException:  # before OSError, whose child it is
            raise
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror}; check rights and free space") from error


def _put(file: Path, target: Path) -> None:
    """Copy a file to where it is to be, in one step."""
    try:
        with durable.replacing(target) as draft:
            shutil.copyfile(file, draft)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}; check rights and free space") from error


def _session() -> requests.Session:
    """A session that tries again what a busy server or a lost connection refuses."""
    session = requests.Session()
    # 500 is what the original answers to what it does not know; how long a server bids to wait may be many minutes
    again = Retry(
        total=3,
        backoff_factor=0.5,
        status_forcelist=(429, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=again))
    return session


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """No login, not even one of the user's .netrc."""
    return request


def _check(response: requests.Response, name: str) -> None:
    """Raise what a status means."""
    if response.ok:
        return
    reason = _reason_of(response)
    if response.status_code in (401, 403):
        raise ConfigError(f"the server refuses {name}: {reason}; check the account (set_api_account) and its areas")
    if response.status_code == 404:
        raise NotFoundError(f"the server has no {name}: {reason}")
    if response.status_code in (400, 422):
        raise InvalidInputError(f"the server does not accept {name}: {reason}")
    raise SourceError(f"the server fails on {name} with status {response.status_code}: {reason}; try again later")


def _reason_of(response: requests.Response) -> str:
    """What a server says of an error, in one line."""
    try:
        detail = load_json(response.content)
    except ValueError:
        detail = re.sub(r"<[^>]+>", " ", response.text)
    if isinstance(detail, dict):
        detail = detail.get("detail") or detail.get("error") or json.dumps(detail)
    return " ".join(str(detail).split())[:200] or str(response.reason)


def _reason(error: requests.RequestException) -> str:
    return type(error).__name__ if not error.args else f"{type(error).__name__}: {str(error.args[0])[:150]}"


def _some(answer: Columns, column: str, problem: str) -> Columns:
    if not answer.get(column):
        raise NotFoundError(problem)
    return answer


def _listed(columns: Columns) -> list[tuple[datetime, str]]:
    """The moments and links of chips."""
    try:
        moments = [datetime.strptime(moment[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for moment in columns["dates"]]
        return list(zip(moments, map(str, columns["chips"]), strict=True))
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(f"the server's list of chips cannot be understood: {error}") from error


def _is_there(file: Path, chipsize: int) -> bool:
    """Whether a chip of that many metres was fetched before."""
    import rasterio

    if not file.is_file():
        return False
    try:
        with rasterio.open(file) as raster:
            return bool(abs(raster.width * raster.res[0] - chipsize) <= 2 * raster.res[0])
    except rasterio.RasterioIOError:
        return False


def _of_tiff(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The pieces of a file, once its beginning is that of a TIFF."""
    first = next(pieces, b"")
    if first[:4] not in _TIFF:
        raise SourceError(f"what the server gives for {name} is no GeoTIFF; the link may have expired: ask again")
    yield first
    yield from pieces


def _ring(polygon: Any) -> str:
    """A polygon as the server wants it: lon_lat,lon_lat,… ; the comma, since a hyphen would be taken for a sign."""
    if isinstance(polygon, str) and not polygon.lstrip().startswith("{"):
        return polygon
    try:
        shape = polygon if isinstance(polygon, shapely.Geometry) else shapely.from_geojson(_text(polygon))
        points, holes = shapely.get_coordinates(shape.exterior), len(shape.interiors)
    except (TypeError, ValueError, AttributeError, shapely.GEOSException) as error:
        raise InvalidInputError(f"this is no polygon of one part: {error}") from error
    if holes:
        raise InvalidInputError(f"the polygon has {holes} holes, which the server cannot be told; ask for it without")
    return ",".join(f"{lon:.9f} {lat:.9f}" for lon, lat in points)


def _text(polygon: Any) -> str:
    return polygon if isinstance(polygon, str) else json.dumps(polygon)


def _name(link: str) -> str:
    """The file's name in a link."""
    name = link.rpartition("/")[2]
    if not name or name.startswith("."):
        raise SourceError(f"the server names a file {name!r}; that is none")
    return name
