"""The original's questions about images, /query/…: chips of scenes, and backgrounds."""

from __future__ import annotations

import hashlib
import html
import logging
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import shapely
from fastapi import APIRouter, Body, Query, Request
from numpy.typing import NDArray
from rasterio.features import rasterize
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import durable
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.parcel import basemaps, chips
from cbm_lake.rasters import render
from cbm_lake.server import security
from cbm_lake.server.questions import (
    Aoi,
    Chipsize,
    Flag,
    Lat,
    Lon,
    Pid,
    Ptype,
    Year,
    answered,
    is_true,
    source_of,
    too_many,
)
from cbm_lake.server.security import User

log = logging.getLogger(__name__)

router = APIRouter(prefix="/query", tags=["original"])

_YELLOW: Final = (255, 220, 0)
_RADAR_PRODUCTS: Final = {card.product_type: card.name for card in cards.CARDS.values() if not card.is_optical}
_MOST_CHIPS: Final = 24
_FIRST: Final = "2014-01-01"
"""Before the first Sentinel scene."""
_MOST_OF_BATCH: Final = 36
_MOMENTS = re.compile(r"\d{8}T\d{6}")

# -- chips ------------------------------------------------------------------------------------------------------------


def _chips(
    request: Request, user: User, place: tuple[float, float], days: tuple[date, date], band: str, chipsize: int,
    card: str = "s2", limit: int = _MOST_CHIPS,
) -> list[chips.Chip] | None:  # fmt: skip
    """Chips in a folder of results; None where there are more than are made at once."""
    results, band = request.app.state.results, cards.band_called(band, cards.get(card))
    folder = results.folder(user.name, *place, band, chipsize, card)
    with request.app.state.heavy:
        try:
            return chips.write(
                source_of(request).lake,
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
        return too_many("scenes", _MOST_CHIPS)
    dates = [_moment(chip) for chip in found]
    return answered({"dates": dates, "chips": [request.app.state.results.link(chip.file) for chip in found]})


def _listed(request: Request, place: tuple[float, float], days: tuple[date, date], chipsize: int) -> Response:
    found = chips.covering(source_of(request).lake, *place, *days, chipsize=chipsize)
    ordered = sorted(found, key=lambda scene: (-scene.overlap, scene.baseline, scene.obstime))
    return answered({"chips": [f"{scene.product}.SAFE" for scene in ordered]})


@router.get("/rawChipByLocation")
def raw_chip_by_location(
    request: Request, user: User, lon: Lon, lat: Lat, start_date: date, end_date: date,
    band: Annotated[str, Query(max_length=10)] = "B04", chipsize: Chipsize = 1280, plevel: str = "LEVEL2A",
    onlylist: Flag = "",
) -> Response:  # fmt: skip
    """Links to GeoTIFFs of a band of every scene over a place."""
    days = (start_date, end_date)
    if is_true(onlylist):
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
    if is_true(onlylist):
        return _listed(request, place, days, chipsize)
    return _linked(request, _chips(request, user, place, days, band, chipsize))


def _centroid(request: Request, user: User, aoi: str, year: int, pid: str, ptype: str) -> tuple[float, float]:
    parcels = security.parcel_set(request, user, aoi, year, ptype)
    found = source_of(request).parcel_by_id(parcels.aoi, year, pid, ptype=ptype)
    return found["clon"][0], found["clat"][0]


@router.get("/chipsByLocation")
def chips_by_location(
    request: Request, user: User, lon: Lon, lat: Lat, start_date: date, end_date: date,
    lut: Annotated[str, Query(max_length=10)] = "5_95", bands: Annotated[str, Query(max_length=50)] = "B08_B04_B03",
    chipsize: Chipsize = 1280, plevel: str = "LEVEL2A",
) -> Response:  # fmt: skip
    """A page of pictures, eight in a row: three bands of every scene over a place."""
    found = chips.covering(source_of(request).lake, lon, lat, start_date, end_date, chipsize=chipsize)
    if len(found) > _MOST_CHIPS:
        return too_many("scenes", _MOST_CHIPS)
    names = [cards.band_called(name) for name in bands.split("_")]
    chips.check_rasters(found, names)
    results, stretch = request.app.state.results, None if lut == "None" else lut
    folder = results.folder(user.name, lon, lat, bands, chipsize, lut, "pictures")
    asked = source_of(request).lake, names, (lon, lat), chipsize, stretch
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
        with durable.replacing(file) as draft:
            draft.write_bytes(chips.picture(lake, scene, bands, *place, chipsize, lut=lut))
    except SourceError as error:  # the other scenes are shown all the same
        log.warning("%s", error)
        return str(error)
    return None


@router.post("/rawChipsBatch")
def raw_chips_batch(request: Request, user: User, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Links to chips of named products and bands."""
    problem = _keys(body, ("lon", "lat", "tiles", "bands", "chipsize"))
    if problem:
        return answered({"error": problem})
    place, size = _batch_place(body)
    tiles, bands = _texts(body["tiles"], "tiles"), [cards.band_called(name) for name in _texts(body["bands"], "bands")]
    if len(tiles) * len(bands) > _MOST_OF_BATCH:
        return too_many("chips", _MOST_OF_BATCH)
    lake, results = source_of(request).lake, request.app.state.results
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
    return _batch(results, [(f"{_moment(chip)}_{chip.band}", chip) for chip in found])


@router.post("/rawS1ChipsBatch")
def raw_s1_chips_batch(request: Request, user: User, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Links to radar chips of both polarisations between two days."""
    problem = _keys(body, ("lon", "lat", "dates", "chipsize", "plevel"))
    if problem:
        return answered({"error": problem})
    card = _RADAR_PRODUCTS.get(str(body["plevel"]))
    days = _texts(body["dates"], "dates")
    if card is None or len(days) != 2:
        raise InvalidInputError("plevel is CARD-BS or CARD-COH6, and dates are the first and the last day")
    place, size = _batch_place(body)
    found = []
    for band in ("VV", "VH"):
        some = _chips(request, user, place, (days[0], days[1]), band, size, card, _MOST_OF_BATCH)  # type: ignore[arg-type]
        if some is None:
            return too_many("chips", _MOST_OF_BATCH)
        found += [
            (f"{_first_moment(chip) if card == cards.C6.name else _moment(chip)}_{chip.band}", chip) for chip in some
        ]
    return _batch(request.app.state.results, found)


def _moment(chip: chips.Chip) -> str:
    return f"{chip.obstime:%Y%m%dT%H%M%S}"


def _first_moment(chip: chips.Chip) -> str:
    """Of coherence, when the first image of the pair was taken, as the product's name says."""
    return min(_MOMENTS.findall(chip.scene), default=_moment(chip))


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
    return answered({"dates": [name for name, _ in found], "chips": [results.link(chip.file) for _, chip in found]})


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
    parcels, outline = security.parcel_set(request, user, aoi, year, ptype), None
    if is_true(withGeometry):
        outline = source_of(request).declared_parcel(parcels, pid)["shape"]
    return _background(request, user, place, chipsize, extend, tms, "tif" if raw is not None else iformat, outline)


def _background(
    request: Request, user: User, place: tuple[float, float], chipsize: int, extend: float, tms: str, iformat: str,
    outline: shapely.Geometry | None = None,
) -> Response:  # fmt: skip
    if iformat not in ("tif", "png") or tms.lower() not in {name.lower() for name in basemaps.names()}:
        return answered({})
    results = request.app.state.results
    file = results.folder(user.name, *place, chipsize, extend, "background") / f"{tms.lower()}.tif"
    with request.app.state.heavy:
        if not file.exists():
            file = basemaps.write(
                *place, chipsize=chipsize, extend=extend, tms=tms, file=file, lake=source_of(request).lake
            )
        shown = basemaps.caption(basemaps.tags(file), tms)
        if iformat == "png":
            file = _as_png(file, outline)
    address = str(request.base_url).rstrip("/") + results.link(file)
    headers = {"X-Background": shown.encode("ascii", "backslashreplace").decode("ascii")}
    if iformat == "tif":
        return PlainTextResponse(address, headers=headers)
    words = html.escape(shown)
    return HTMLResponse(
        f'<!doctype html><title>{words}</title><img src="{html.escape(address)}" alt="{words}"><p>{words}</p>',
        headers=headers,
    )


def _as_png(file: Path, outline: shapely.Geometry | None) -> Path:
    """A background as PNG, with the outline (degrees) of a parcel where there is one."""
    import rasterio

    picture = file.with_suffix(".png")
    if outline is not None:  # one for each outline, which another version of the parcels may change
        picture = file.with_name(f"{file.stem}_{hashlib.sha256(outline.wkb).hexdigest()[:16]}.png")
    if not picture.exists():
        with rasterio.open(file) as dataset:
            pixels = dataset.read()
            if outline is not None:
                pixels[:, _line(outline, dataset)] = np.array(_YELLOW, dtype=pixels.dtype)[:, None]
        with durable.replacing(picture) as draft:
            draft.write_bytes(render.png(pixels))
    return picture


def _line(outline: shapely.Geometry, dataset: Any) -> NDArray[np.bool_]:
    """The pixels of a background, in Web Mercator, on which a parcel's outline lies."""
    border = reprojected(outline, 4326, dataset.crs).boundary
    pixels = rasterize([border], dataset.shape, transform=dataset.transform, all_touched=True, dtype="uint8")
    return np.asarray(pixels, dtype=bool)
