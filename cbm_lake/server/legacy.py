"""Endpoints of the original about parcels, /query/…: same parameters, same responses."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel.sources import ByLocation, ByPid, ByPolygon, Columns, Markers, Peers, Statistics, Weather
from cbm_lake.server import security
from cbm_lake.server.questions import NOT_ANSWERED, Flag, Lat, Lon, Pid, SeriesName, answered, is_true
from cbm_lake.server.security import Parcels, User
from cbm_lake.server.state import State

router = APIRouter(prefix="/query", tags=["original"])

_MOST_PARCELS: Final = 100
"""Parcels of a polygon."""
_POSTED: Final = ("rawChipsBatch", "rawS1ChipsBatch")
"""Questions that are sent, not asked for."""
_INFO: Final = ("area", "clat", "clon", "cropcode", "cropname", "pid", "srid")
_SERIES: Final = ("date_part", "band", *cards.statistics.SERIES)


def _sorted(columns: Columns) -> Columns:
    return dict(sorted(columns.items()))


def _none(names: Sequence[str], *, geometry: bool = False) -> Columns:
    """No rows in these columns."""
    return {name: [] for name in sorted((*names, *(["geom"] if geometry else [])))}


# -- parcels ----------------------------------------------------------------------------------------------------------


@router.get("/parcelByID")
def parcel_by_id(
    declared: Parcels,
    pid: Pid = "",
    withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
) -> Response:
    """What is declared of a parcel."""
    source, parcels = declared.state.source, declared.original
    geometry = is_true(withGeometry)
    try:
        columns = source.answer(ByPid(parcels.key(pid), geometry, is_true(wgs84)))
    except NotFoundError:
        columns = _none(_INFO, geometry=geometry)
    return answered(_sorted(columns))


@router.get("/parcelByLocation")
def parcel_by_location(
    declared: Parcels,
    lon: Lon,
    lat: Lat,
    withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
) -> Response:
    """What is declared of the parcels at a place."""
    source, parcels = declared.state.source, declared.original
    geometry = is_true(withGeometry)
    try:
        columns = source.answer(
            ByLocation(parcels.aoi, parcels.year, lon, lat, parcels.ptype, geometry, is_true(wgs84))
        )
    except NotFoundError:
        columns = _none(_INFO, geometry=geometry)
    return answered(_sorted(columns))


@router.get("/parcelsByPolygon")
def parcels_by_polygon(
    declared: Parcels,
    polygon: Annotated[str, Query(max_length=100_000)],
    withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
    only_ids: Flag = "True",
) -> Response:
    """The parcels that a polygon meets, 100 at most, which a header tells; {} where it is none."""
    source, parcels = declared.state.source, declared.original
    options = {"geometry": is_true(withGeometry), "wgs84": is_true(wgs84), "only_ids": is_true(only_ids)}
    try:
        columns = source.answer(
            ByPolygon(parcels.aoi, parcels.year, polygon, parcels.ptype, limit=_MOST_PARCELS + 1, **options)
        )
    except InvalidInputError:
        return answered({})
    first = {name: values[:_MOST_PARCELS] for name, values in _sorted(columns).items()}
    if len(columns["pid"]) > _MOST_PARCELS:
        cut = f"the polygon meets more parcels than the {_MOST_PARCELS} that are given; ask for smaller ones"
        return answered(first, {NOT_ANSWERED: cut})
    return answered(first)


@router.get("/parcelPeers")
def parcel_peers(
    declared: Parcels,
    pid: Pid = "",
    distance: Annotated[float, Query(ge=0, le=1e6)] = 2000.0,
    max: Annotated[int, Query(ge=0, le=10_000)] = 10,  # noqa: A002
) -> Response:
    """The nearest parcels of the same crop."""
    source, parcels = declared.state.source, declared.original
    try:
        columns = source.answer(Peers(parcels.key(pid), distance, max))
    except NotFoundError:
        columns = {"pids": [], "distance": []}
    return answered(_sorted(columns))


@router.get("/markers")
def markers(declared: Parcels, pid: Pid = "") -> Response:
    """What was found to happen on a parcel."""
    source, parcels = declared.state.source, declared.original
    return answered(_sorted(source.answer(Markers(parcels.key(pid)))))


# -- time series ------------------------------------------------------------------------------------------------------


@router.get("/parcelTimeSeries")
def parcel_time_series(
    declared: Parcels,
    pid: Pid = "",
    tstype: SeriesName = "s2",
    band: Annotated[str, Query(max_length=50)] = "",
    scl: Flag = "True",
    ref: Flag = "",
    tsformat: Literal["json", "csv"] = "json",
) -> Response:
    """The statistics of a parcel by time and band."""
    source, parcels = declared.state.source, declared.original
    try:
        columns = source.answer(Statistics(parcels.key(pid), tstype, band, is_true(scl), is_true(ref)))
    except (NotFoundError, InvalidInputError):  # no such parcel, or no such band
        columns = _no_series(tstype, scl=is_true(scl), ref=is_true(ref))
    if tsformat == "csv":
        return _csv(columns, _file_name(parcels, pid, tstype))
    return answered(columns)


def _no_series(tstype: str, *, scl: bool, ref: bool) -> Columns:
    if tstype == "scl":
        return {"obsid": [], "hist": []}
    more = [*(["hist"] if scl and cards.get(tstype).classification else []), *(["reference"] if ref else [])]
    return {name: [] for name in (*_SERIES, *more)}


@router.get("/weatherTimeSeries")
def weather_time_series(declared: Parcels, pid: Pid = "", tsformat: Literal["json", "csv"] = "json") -> Response:
    """The daily weather of a parcel's grid cell."""
    source, parcels = declared.state.source, declared.original
    try:
        columns = source.answer(Weather(parcels.key(pid)))
    except NotFoundError:
        columns = {"meteo_date": [], "tmin": [], "tmax": [], "tmean": [], "prec": []}
    if tsformat == "csv":
        return _csv(columns, _file_name(parcels, pid, "weather"))
    return answered(columns)


def _file_name(parcels: ParcelSet, pid: str, kind: str) -> str:
    of_kind = f"_{parcels.ptype}" if parcels.ptype else ""
    return f"timeseries_{parcels.aoi}{parcels.year}{of_kind}_{pid}_{kind}.csv"


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
def info(request: Request, state: State, user: User, aoi: Annotated[str, Query(max_length=50)] = "") -> Response:
    """The user's areas, with their years, parcel sets and examples of identifiers."""
    names = {parcels.aoi for parcels in security.parcel_sets(state, user)}
    if aoi:
        names &= {security.allowed(user, aoi)}
    areas = state.source.info(sorted(names))["aois"]
    base = str(request.base_url).rstrip("/")
    for name, area in areas.items():
        area["request_examples"] = _examples(base, name, area)
    helpers = {"documentation": f"{base}/apidocs", "swagger": f"{base}/apidocs"}
    return answered({"server": {"name": "cbm-lake", "url": base}, "helpers": helpers, "aois": areas})


def _examples(base: str, aoi: str, area: Mapping[str, Any]) -> dict[str, str]:
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
