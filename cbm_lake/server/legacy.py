"""The original's questions about parcels, /query/…: same parameters, same answers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.parcel.sources import Columns
from cbm_lake.server import security
from cbm_lake.server.questions import (
    NOT_ANSWERED,
    Aoi,
    Flag,
    Lat,
    Lon,
    Pid,
    Ptype,
    SeriesName,
    Year,
    answered,
    is_true,
    source_of,
)
from cbm_lake.server.security import User

router = APIRouter(prefix="/query", tags=["original"])

_MOST_PARCELS: Final = 100
"""Parcels of a polygon."""
_POSTED: Final = ("rawChipsBatch", "rawS1ChipsBatch")
"""Questions that are sent, not asked for."""
_INFO: Final = ("area", "clat", "clon", "cropcode", "cropname", "pid", "srid")
_SERIES: Final = ("date_part", "band", "count", "mean", "std", "min", "p25", "p50", "p75", "max")


def _sorted(columns: Columns) -> Columns:
    return dict(sorted(columns.items()))


def _none(names: Sequence[str], *, geometry: bool = False) -> Columns:
    """No rows in these columns."""
    return {name: [] for name in sorted((*names, *(["geom"] if geometry else [])))}


def _has_set(request: Request, user: User, aoi: str, year: int, ptype: str) -> bool:
    """Whether there is a parcel set of that kind; in the original one that is missing is no error.

    Raises:
        NotFoundError: there is none of any kind of the area and year.
    """
    sets = security.parcel_sets(request, user)
    kinds = [found.ptype for found in sets if (found.aoi, found.year) == (aoi.lower(), year)]
    if not kinds:
        security.parcel_set(request, user, aoi, year, ptype)
    return ptype in kinds


# -- parcels ----------------------------------------------------------------------------------------------------------


@router.get("/parcelByID")
def parcel_by_id(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "", withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
) -> Response:  # fmt: skip
    """What is declared of a parcel."""
    source, area = source_of(request), security.allowed(user, aoi)
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    geometry = is_true(withGeometry)
    try:
        found = source.parcel_by_id(area, year, pid, ptype=ptype, geometry=geometry, wgs84=is_true(wgs84))
    except NotFoundError:
        found = _none(_INFO, geometry=geometry)
    return answered(_sorted(found))


@router.get("/parcelByLocation")
def parcel_by_location(
    request: Request, user: User, aoi: Aoi, year: Year, lon: Lon, lat: Lat, ptype: Ptype = "", withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
) -> Response:  # fmt: skip
    """What is declared of the parcels at a place."""
    source, area = source_of(request), security.allowed(user, aoi)
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    geometry = is_true(withGeometry)
    try:
        found = source.parcels_by_location(area, year, lon, lat, ptype=ptype, geometry=geometry, wgs84=is_true(wgs84))
    except NotFoundError:
        found = _none(_INFO, geometry=geometry)
    return answered(_sorted(found))


@router.get("/parcelsByPolygon")
def parcels_by_polygon(
    request: Request, user: User, aoi: Aoi, year: Year, polygon: Annotated[str, Query(max_length=100_000)],
    ptype: Ptype = "", withGeometry: Flag = "", wgs84: Flag = "", only_ids: Flag = "True",  # noqa: N803
) -> Response:  # fmt: skip
    """The parcels that a polygon meets, 100 at most, which a header tells; {} where it is none."""
    source, area = source_of(request), security.allowed(user, aoi)
    options = {"geometry": is_true(withGeometry), "wgs84": is_true(wgs84), "only_ids": is_true(only_ids)}
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    try:
        found = source.parcels_by_polygon(area, year, polygon, ptype=ptype, limit=_MOST_PARCELS + 1, **options)
    except InvalidInputError:
        return answered({})
    given = {name: values[:_MOST_PARCELS] for name, values in _sorted(found).items()}
    if len(found["pid"]) > _MOST_PARCELS:
        cut = f"the polygon meets more parcels than the {_MOST_PARCELS} that are given; ask for smaller ones"
        return answered(given, {NOT_ANSWERED: cut})
    return answered(given)


@router.get("/parcelPeers")
def parcel_peers(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "",
    distance: Annotated[float, Query(ge=0, le=1e6)] = 2000.0, max: Annotated[int, Query(ge=0, le=10_000)] = 10,  # noqa: A002
) -> Response:  # fmt: skip
    """The nearest parcels of the same crop."""
    source, area = source_of(request), security.allowed(user, aoi)
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    try:
        found = source.parcel_peers(area, year, pid, ptype=ptype, distance=distance, limit=max)
    except NotFoundError:
        found = {"pids": [], "distance": []}
    return answered(_sorted(found))


@router.get("/markers")
def markers(request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "") -> Response:
    """What was found to happen on a parcel."""
    source, area = source_of(request), security.allowed(user, aoi)
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    return answered(_sorted(source.markers(area, year, pid, ptype=ptype)))


# -- time series ------------------------------------------------------------------------------------------------------


@router.get("/parcelTimeSeries")
def parcel_time_series(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "",
    tstype: SeriesName = "s2", band: Annotated[str, Query(max_length=50)] = "",
    scl: Flag = "True", ref: Flag = "", tsformat: Literal["json", "csv"] = "json",
) -> Response:  # fmt: skip
    """The statistics of a parcel by time and band."""
    source, area = source_of(request), security.allowed(user, aoi)
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    try:
        found = source.parcel_time_series(
            area, year, pid, ptype=ptype, tstype=tstype, band=band, scl=is_true(scl), ref=is_true(ref)
        )
    except (NotFoundError, InvalidInputError):  # no such parcel, or no such band
        found = _no_series(tstype, scl=is_true(scl), ref=is_true(ref))
    if tsformat == "csv":
        return _csv(found, f"timeseries_{area}{year}{f'_{ptype}' if ptype else ''}_{pid}_{tstype}.csv")
    return answered(found)


def _no_series(tstype: str, *, scl: bool, ref: bool) -> Columns:
    if tstype == "scl":
        return {"obsid": [], "hist": []}
    more = [*(["hist"] if scl and cards.get(tstype).classification else []), *(["reference"] if ref else [])]
    return {name: [] for name in (*_SERIES, *more)}


@router.get("/weatherTimeSeries")
def weather_time_series(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "",
    tsformat: Literal["json", "csv"] = "json",
) -> Response:  # fmt: skip
    """The daily weather of a parcel's grid cell."""
    source, area = source_of(request), security.allowed(user, aoi)
    if not _has_set(request, user, area, year, ptype):
        return answered({})
    try:
        found = source.weather_time_series(area, year, pid, ptype=ptype)
    except NotFoundError:
        found = {"meteo_date": [], "tmin": [], "tmax": [], "tmean": [], "prec": []}
    if tsformat == "csv":
        return _csv(found, f"timeseries_{area}{year}{f'_{ptype}' if ptype else ''}_{pid}_weather.csv")
    return answered(found)


def _csv(columns: Columns, name: str) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    headers = {"Content-Disposition": _attachment(name)}
    return Response(text.getvalue().encode(), media_type="text/csv", headers=headers)


def _attachment(name: str) -> str:
    """The header for a file of that name; where it is not ASCII, also as RFC 6266 has it."""
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    if safe.isascii():
        return f"attachment; filename={safe}"
    plain = "".join(letter if letter.isascii() else "_" for letter in safe)
    return f"attachment; filename={plain}; filename*=UTF-8''{quote(safe, errors='replace')}"


# -- what there is ----------------------------------------------------------------------------------------------------


@router.get("/info")
def info(request: Request, user: User, aoi: Annotated[str, Query(max_length=50)] = "") -> Response:
    """The user's areas, with their years, parcel sets and examples of identifiers."""
    names = {parcels.aoi for parcels in security.parcel_sets(request, user)}
    if aoi:
        names &= {security.allowed(user, aoi)}
    areas = source_of(request).info(sorted(names))["aois"]
    base = str(request.base_url).rstrip("/")
    for name, area in areas.items():
        area["request_examples"] = _examples(base, name, area)
    helpers = {"documentation": f"{base}/apidocs", "swagger": f"{base}/apidocs"}
    return answered({"server": {"name": "cbm-lake", "url": base}, "helpers": helpers, "aois": areas})


def _examples(base: str, aoi: str, area: dict[str, Any]) -> dict[str, str]:
    year = area["years"][-1]
    pid = next((ids[0] for name, ids in area.items() if name == f"id_examples_{year}" and ids), "")
    asked = f"aoi={aoi}&year={year}&pid={pid}"
    return {
        "parcelByID": f"{base}/query/parcelByID?{asked}",
        "parcelTimeSeries": f"{base}/query/parcelTimeSeries?{asked}&tstype=s2",
    }


@router.get("/{name}", include_in_schema=False)
def unknown(name: str, user: User) -> None:
    """Names are told apart by capital letters."""
    if name in _POSTED:
        raise HTTPException(405, "Method Not Allowed", {"Allow": "POST"})
    raise HTTPException(404, f"there is no question {name!r}; GET /query/info says what there is")
