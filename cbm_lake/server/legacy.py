"""The endpoints of the original's REST service, /query/…: same parameters, same answers."""

from __future__ import annotations

import csv
import html
import io
import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
import orjson
import shapely
from fastapi import APIRouter, Body, HTTPException, Query, Request
from numpy.typing import NDArray
from rasterio.features import rasterize
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from cbm_lake import backgrounds, chips, pictures
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.reprojection import reprojected
from cbm_lake.server import security
from cbm_lake.server.security import User
from cbm_lake.sources import Columns, LakeSource

log = logging.getLogger(__name__)

router = APIRouter(prefix="/query", tags=["original"])

_MOST_PARCELS: Final = 100
"""Parcels of a polygon."""
_YELLOW: Final = (255, 220, 0)
_MOST_CHIPS: Final = 24
_FIRST: Final = "2014-01-01"
"""Before the first Sentinel scene."""
_MOST_OF_BATCH: Final = 36
_EMPTY: Final = b"{}"
_INFO: Final = ("area", "clat", "clon", "cropcode", "cropname", "pid", "srid")
_SERIES: Final = ("date_part", "band", "count", "mean", "std", "min", "p25", "p50", "p75", "max")

Aoi = Annotated[str, Query(min_length=1, max_length=50, description="Area.")]
Year = Annotated[int, Query(ge=1900, le=2200, description="Year of the declaration.")]
Pid = Annotated[str, Query(max_length=200, description="Identifier of the parcel.")]
Ptype = Annotated[str, Query(max_length=50, description="Which parcel set; empty is the main one.")]
Lon = Annotated[float, Query(ge=-180, le=180, description="Degrees east.")]
Lat = Annotated[float, Query(ge=-90, le=90, description="Degrees north.")]
Flag = Annotated[str, Query(max_length=10, description="True, or anything else for no.")]
Chipsize = Annotated[int, Query(ge=1, le=chips.LARGEST, description="Metres a side.")]


def _is_true(flag: str) -> bool:
    return flag == "True"


def _json(answer: Any) -> Response:
    """An answer; one that says that nothing was found is exactly two bytes, by which clients know it."""
    body = orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS) if answer else _EMPTY
    return Response(body, media_type="application/json")


def _source(request: Request) -> LakeSource:
    source: LakeSource = request.app.state.source
    return source


def _sorted(columns: Columns) -> Columns:
    return dict(sorted(columns.items()))


def _none(names: Sequence[str], *, geometry: bool = False) -> Columns:
    """No rows in these columns."""
    return {name: [] for name in sorted((*names, *(["geom"] if geometry else [])))}


# -- parcels ----------------------------------------------------------------------------------------------------------


@router.get("/parcelByID")
def parcel_by_id(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "", withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
) -> Response:  # fmt: skip
    """What is declared of a parcel."""
    source, area = _source(request), security.allowed(user, aoi)
    source.lake.parcel_set(area, year, ptype)
    geometry = _is_true(withGeometry)
    try:
        found = source.parcel_by_id(area, year, pid, ptype=ptype, geometry=geometry, wgs84=_is_true(wgs84))
    except NotFoundError:
        found = _none(_INFO, geometry=geometry)
    return _json(_sorted(found))


@router.get("/parcelByLocation")
def parcel_by_location(
    request: Request, user: User, aoi: Aoi, year: Year, lon: Lon, lat: Lat, ptype: Ptype = "", withGeometry: Flag = "",  # noqa: N803
    wgs84: Flag = "",
) -> Response:  # fmt: skip
    """What is declared of the parcels at a place."""
    source, area = _source(request), security.allowed(user, aoi)
    source.lake.parcel_set(area, year, ptype)
    geometry = _is_true(withGeometry)
    try:
        found = source.parcels_by_location(area, year, lon, lat, ptype=ptype, geometry=geometry, wgs84=_is_true(wgs84))
    except NotFoundError:
        found = _none(_INFO, geometry=geometry)
    return _json(_sorted(found))


@router.get("/parcelsByPolygon")
def parcels_by_polygon(
    request: Request, user: User, aoi: Aoi, year: Year, polygon: Annotated[str, Query(max_length=100_000)],
    ptype: Ptype = "", withGeometry: Flag = "", wgs84: Flag = "", only_ids: Flag = "True",  # noqa: N803
) -> Response:  # fmt: skip
    """The parcels that a polygon meets, 100 at most; {} where it is none."""
    source, area = _source(request), security.allowed(user, aoi)
    options = {"geometry": _is_true(withGeometry), "wgs84": _is_true(wgs84), "only_ids": _is_true(only_ids)}
    source.lake.parcel_set(area, year, ptype)
    try:
        found = source.parcels_by_polygon(area, year, polygon, ptype=ptype, limit=_MOST_PARCELS, **options)
    except InvalidInputError:
        return _json({})
    return _json(_sorted(found))


@router.get("/parcelPeers")
def parcel_peers(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "",
    distance: Annotated[float, Query(ge=0, le=1e6)] = 2000.0, max: Annotated[int, Query(ge=0)] = 10,  # noqa: A002
) -> Response:  # fmt: skip
    """The nearest parcels of the same crop."""
    source, area = _source(request), security.allowed(user, aoi)
    source.lake.parcel_set(area, year, ptype)
    try:
        found = source.parcel_peers(area, year, pid, ptype=ptype, distance=distance, limit=max)
    except NotFoundError:
        found = {"pids": [], "distance": []}
    return _json(_sorted(found))


@router.get("/markers")
def markers(request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "") -> Response:
    """What was found to happen on a parcel."""
    source, area = _source(request), security.allowed(user, aoi)
    return _json(_sorted(source.markers(area, year, pid, ptype=ptype)))


# -- time series ------------------------------------------------------------------------------------------------------


@router.get("/parcelTimeSeries")
def parcel_time_series(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "",
    tstype: Literal["s2", "bs", "c6", "scl"] = "s2", band: Annotated[str, Query(max_length=10)] = "",
    scl: Flag = "True", ref: Flag = "", tsformat: Literal["json", "csv"] = "json",
) -> Response:  # fmt: skip
    """The statistics of a parcel by time and band."""
    source, area = _source(request), security.allowed(user, aoi)
    source.lake.parcel_set(area, year, ptype)
    try:
        found = source.parcel_time_series(
            area, year, pid, ptype=ptype, tstype=tstype, band=band, scl=_is_true(scl), ref=_is_true(ref)
        )
    except NotFoundError:
        found = _no_series(tstype, scl=_is_true(scl), ref=_is_true(ref))
    if tsformat == "csv":
        return _csv(found, f"timeseries_{area}{year}{f'_{ptype}' if ptype else ''}_{pid}_{tstype}.csv")
    return _json(found)


def _no_series(tstype: str, *, scl: bool, ref: bool) -> Columns:
    if tstype == "scl":
        return {"obsid": [], "hist": []}
    more = [*(["hist"] if scl and tstype == "s2" else []), *(["reference"] if ref else [])]
    return {name: [] for name in (*_SERIES, *more)}


@router.get("/weatherTimeSeries")
def weather_time_series(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid = "", ptype: Ptype = "",
    tsformat: Literal["json", "csv"] = "json",
) -> Response:  # fmt: skip
    """The daily weather of a parcel's grid cell."""
    source, area = _source(request), security.allowed(user, aoi)
    source.lake.parcel_set(area, year, ptype)
    try:
        found = source.weather_time_series(area, year, pid, ptype=ptype)
    except NotFoundError:
        found = {"meteo_date": [], "tmin": [], "tmax": [], "tmean": [], "prec": []}
    if tsformat == "csv":
        return _csv(found, f"timeseries_{area}{year}{f'_{ptype}' if ptype else ''}_{pid}_weather.csv")
    return _json(found)


def _csv(columns: Columns, name: str) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name)
    headers = {"Content-Disposition": f"attachment; filename={safe}"}
    return Response(text.getvalue().encode(), media_type="text/csv", headers=headers)


# -- chips ------------------------------------------------------------------------------------------------------------


def _chips(
    request: Request, user: User, place: tuple[float, float], days: tuple[date, date], band: str, chipsize: int,
    card: str = "s2", limit: int = _MOST_CHIPS,
) -> list[chips.Chip] | None:  # fmt: skip
    """Chips in a folder of results; None where there are more than are made at once."""
    results = request.app.state.results
    folder = results.folder(user.name, *place, band, chipsize, card)
    with request.app.state.heavy:
        try:
            return chips.write(
                _source(request).lake,
                *place,
                *days,
                band=band,
                chipsize=chipsize,
                folder=folder,
                limit=limit,
                card=card,
            )
        except InvalidInputError as error:
            if "are more than" in str(error):
                return None
            raise


def _linked(request: Request, found: Sequence[chips.Chip] | None) -> Response:
    if found is None:
        return _json({})
    dates = [f"{chip.obstime:%Y%m%dT%H%M%S}" for chip in found]
    return _json({"dates": dates, "chips": [request.app.state.results.link(chip.file) for chip in found]})


def _listed(request: Request, place: tuple[float, float], days: tuple[date, date], chipsize: int) -> Response:
    found = chips.covering(_source(request).lake, *place, *days, chipsize=chipsize)
    ordered = sorted(found, key=lambda scene: (-scene.overlap, scene.baseline, scene.obstime))
    return _json({"chips": [f"{scene.product}.SAFE" for scene in ordered]})


@router.get("/rawChipByLocation")
def raw_chip_by_location(
    request: Request, user: User, lon: Lon, lat: Lat, start_date: date, end_date: date,
    band: Annotated[str, Query(max_length=10)] = "B04", chipsize: Chipsize = 1280, plevel: str = "LEVEL2A",
    onlylist: Flag = "",
) -> Response:  # fmt: skip
    """Links to GeoTIFFs of a band of every scene over a place."""
    days = (start_date, end_date)
    if _is_true(onlylist):
        return _listed(request, (lon, lat), days, chipsize)
    return _linked(request, _chips(request, user, (lon, lat), days, band, chipsize))


@router.get("/rawChipByParcelID")
def raw_chip_by_parcel_id(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid, start_date: date, end_date: date, ptype: Ptype = "",
    band: Annotated[str, Query(max_length=10)] = "B04", chipsize: Chipsize = 1280, plevel: str = "LEVEL2A",
    onlylist: Flag = "",
) -> Response:  # fmt: skip
    """Links to GeoTIFFs of a band of every scene over a parcel."""
    place, days = _centroid(request, user, aoi, year, pid, ptype), (start_date, end_date)
    if _is_true(onlylist):
        return _listed(request, place, days, chipsize)
    return _linked(request, _chips(request, user, place, days, band, chipsize))


def _centroid(request: Request, user: User, aoi: str, year: int, pid: str, ptype: str) -> tuple[float, float]:
    found = _source(request).parcel_by_id(security.allowed(user, aoi), year, pid, ptype=ptype)
    return found["clon"][0], found["clat"][0]


@router.get("/chipsByLocation")
def chips_by_location(
    request: Request, user: User, lon: Lon, lat: Lat, start_date: date, end_date: date,
    lut: Annotated[str, Query(max_length=10)] = "5_95", bands: Annotated[str, Query(max_length=50)] = "B08_B04_B03",
    chipsize: Chipsize = 1280, plevel: str = "LEVEL2A",
) -> Response:  # fmt: skip
    """A page of pictures, eight in a row: three bands of every scene over a place."""
    found = chips.covering(_source(request).lake, lon, lat, start_date, end_date, chipsize=chipsize)
    if len(found) > _MOST_CHIPS:
        return _json({})
    results, stretch = request.app.state.results, None if lut == "None" else lut
    folder = results.folder(user.name, lon, lat, bands, chipsize, lut, "pictures")
    asked = _source(request).lake, bands.split("_"), (lon, lat), chipsize, stretch
    with request.app.state.heavy:
        problems = [_drawn(folder / f"{scene.product}.png", scene, *asked) for scene in found]
    if found and all(problems):
        raise SourceError(f"no scene can be read: {problems[0]}")
    cells = []
    for scene, problem in zip(found, problems, strict=True):
        told = html.escape(f"{scene.obstime:%Y-%m-%d %H:%M}")
        link = html.escape(results.link(folder / f"{scene.product}.png"))
        cells.append(
            f"<td>{told}<br>" + ("cannot be read" if problem else f'<img src="{link}" alt="{told}">') + "</td>"
        )
    rows = ["".join(cells[place : place + 8]) for place in range(0, len(cells), 8)]
    return HTMLResponse("<!doctype html><title>chips</title><table><tr>" + "</tr><tr>".join(rows) + "</tr></table>")


def _drawn(
    file: Path,
    scene: chips.Scene,
    lake: Lake,
    bands: list[str],
    place: tuple[float, float],
    chipsize: int,
    lut: str | None,
) -> str | None:
    """Write a picture of a scene, unless it is there; None, or why it cannot be."""
    if file.exists():
        return None
    try:
        file.write_bytes(chips.picture(lake, scene, bands, *place, chipsize, lut=lut))
    except SourceError as error:  # the other scenes are shown all the same
        log.warning("%s", error)
        return str(error)
    return None


@router.post("/rawChipsBatch")
def raw_chips_batch(request: Request, user: User, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Links to chips of named products and bands."""
    problem = _keys(body, ("lon", "lat", "tiles", "bands", "chipsize"))
    if problem:
        return _json({"error": problem})
    place, size = _batch_place(body)
    tiles, bands = _texts(body["tiles"], "tiles"), _texts(body["bands"], "bands")
    if len(tiles) * len(bands) > _MOST_OF_BATCH:
        return _json({})
    lake, results = _source(request).lake, request.app.state.results
    folder = results.folder(user.name, *place, size, "batch")
    wanted = {tile.removesuffix(".SAFE") for tile in tiles}
    with request.app.state.heavy:
        found = [
            chip
            for band in bands
            for chip in chips.write(
                lake,
                *place,
                _FIRST,
                f"{date.today()}",
                band=band,
                chipsize=size,
                folder=folder,
                limit=_MOST_OF_BATCH,
                products=wanted,
            )
        ]
    return _batch(results, [(f"{chip.obstime:%Y%m%dT%H%M%S}_{chip.band}", chip) for chip in found])


@router.post("/rawS1ChipsBatch")
def raw_s1_chips_batch(request: Request, user: User, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Links to radar chips of both polarisations between two days."""
    problem = _keys(body, ("lon", "lat", "dates", "chipsize", "plevel"))
    if problem:
        return _json({"error": problem})
    card = {"CARD-BS": "bs", "CARD-COH6": "c6"}.get(str(body["plevel"]))
    days = _texts(body["dates"], "dates")
    if card is None or len(days) != 2:
        raise InvalidInputError("plevel is CARD-BS or CARD-COH6, and dates are the first and the last day")
    place, size = _batch_place(body)
    found = []
    for band in ("VV", "VH"):
        some = _chips(request, user, place, (days[0], days[1]), band, size, card, _MOST_OF_BATCH)  # type: ignore[arg-type]
        if some is None:
            return _json({})
        found += [(f"{chip.obstime:%Y%m%dT%H%M%S}_{chip.band}", chip) for chip in some]
    return _batch(request.app.state.results, found)


def _keys(body: dict[str, Any], wanted: Sequence[str]) -> str | None:
    """What is wrong with the keys of a batch, in the original's words."""
    for key in body:
        if key not in wanted:
            return f"{key} not allowed as key"
    return None if len(body) == len(wanted) else f"{len(body)} parameters supplied, {len(wanted)} required"


def _batch_place(body: dict[str, Any]) -> tuple[tuple[float, float], int]:
    try:
        return (float(body["lon"]), float(body["lat"])), int(body["chipsize"])
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError("lon, lat and chipsize are numbers") from error


def _texts(values: Any, name: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidInputError(f"{name} is a list of texts")
    return values


def _batch(results: Any, found: list[tuple[str, chips.Chip]]) -> Response:
    found = sorted(found, key=lambda item: item[0])
    return _json({"dates": [name for name, _ in found], "chips": [results.link(chip.file) for _, chip in found]})


# -- backgrounds ------------------------------------------------------------------------------------------------------


@router.get("/backgroundByLocation")
def background_by_location(
    request: Request, user: User, lon: Lon, lat: Annotated[float, Query(ge=-85, le=85)],
    chipsize: Annotated[int, Query(ge=1, le=4096)] = 256, extend: Annotated[float, Query(ge=1, le=50_000)] = 256,
    tms: Annotated[str, Query(max_length=50)] = "Google", iformat: Annotated[str, Query(max_length=10)] = "png",
    raw: str | None = None,
) -> Response:  # fmt: skip
    """An orthophoto round a place: the address of a GeoTIFF, or a page that shows it."""
    return _background(request, user, (lon, lat), chipsize, extend, tms, "tif" if raw is not None else iformat)


@router.get("/backgroundByParcelID")
def background_by_parcel_id(
    request: Request, user: User, aoi: Aoi, year: Year, pid: Pid, ptype: Ptype = "",
    chipsize: Annotated[int, Query(ge=1, le=4096)] = 256, extend: Annotated[float, Query(ge=1, le=50_000)] = 256,
    tms: Annotated[str, Query(max_length=50)] = "Google", iformat: Annotated[str, Query(max_length=10)] = "png",
    raw: str | None = None, withGeometry: Flag = "",  # noqa: N803
) -> Response:  # fmt: skip
    """An orthophoto round a parcel."""
    place = _centroid(request, user, aoi, year, pid, ptype)
    outline = None
    if _is_true(withGeometry):
        parcels = _source(request).lake.parcel_set(security.allowed(user, aoi), year, ptype)
        outline = _source(request).declared_parcel(parcels, pid)["shape"]
    return _background(request, user, place, chipsize, extend, tms, "tif" if raw is not None else iformat, outline)


def _background(
    request: Request, user: User, place: tuple[float, float], chipsize: int, extend: float, tms: str, iformat: str,
    outline: shapely.Geometry | None = None,
) -> Response:  # fmt: skip
    if iformat not in ("tif", "png") or tms.lower() not in {name.lower() for name in backgrounds.names()}:
        return _json({})
    results = request.app.state.results
    file = results.folder(user.name, *place, chipsize, extend, "background") / f"{tms.lower()}.tif"
    with request.app.state.heavy:
        if not file.exists():
            backgrounds.write(*place, chipsize=chipsize, extend=extend, tms=tms, file=file, lake=_source(request).lake)
        if iformat == "png":
            file = _as_png(file, outline)
    address = str(request.base_url).rstrip("/") + results.link(file)
    if iformat == "tif":
        return PlainTextResponse(address)
    return HTMLResponse(f'<!doctype html><title>{html.escape(tms)}</title><img src="{html.escape(address)}" alt="">')


def _as_png(file: Path, outline: shapely.Geometry | None) -> Path:
    """A background as PNG, with the outline (degrees) of a parcel where there is one."""
    import rasterio

    picture = file.with_suffix(".png") if outline is None else file.with_name(f"{file.stem}_outline.png")
    if not picture.exists():
        with rasterio.open(file) as dataset:
            pixels = dataset.read()
            if outline is not None:
                pixels[:, _line(outline, dataset)] = np.array(_YELLOW, dtype=pixels.dtype)[:, None]
        draft = picture.with_name(f".{picture.name}")
        draft.write_bytes(pictures.png(pixels))
        draft.replace(picture)
    return picture


def _line(outline: shapely.Geometry, dataset: Any) -> NDArray[np.bool_]:
    """The pixels of a background, in Web Mercator, on which a parcel's outline lies."""
    border = reprojected(outline, 4326, dataset.crs).boundary
    pixels = rasterize([border], dataset.shape, transform=dataset.transform, all_touched=True, dtype="uint8")
    return np.asarray(pixels, dtype=bool)


# -- what there is ----------------------------------------------------------------------------------------------------


@router.get("/info")
def info(request: Request, user: User, aoi: Annotated[str, Query(max_length=50)] = "") -> Response:
    """The user's areas, with their years, parcel sets and examples of identifiers."""
    names = {parcels.aoi for parcels in _source(request).lake.parcel_sets()}
    if aoi:
        names &= {security.allowed(user, aoi)}
    areas = _source(request).info([name for name in names if user.may_read(name)])["aois"]
    base = str(request.base_url).rstrip("/")
    for name, area in areas.items():
        area["request_examples"] = _examples(base, name, area)
    helpers = {"documentation": f"{base}/apidocs", "swagger": f"{base}/apidocs"}
    return _json({"server": {"name": "cbm-lake", "url": base}, "helpers": helpers, "aois": areas})


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
    raise HTTPException(404, f"there is no question {name!r}; GET /query/info says what there is")
