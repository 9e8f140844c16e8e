"""Endpoints of the original about images, /query/…: chips of scenes, and backgrounds."""

from __future__ import annotations

import hashlib
import html
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import shapely
from fastapi import APIRouter, Body, Depends, Query, Request
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.io import DatasetReader
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, SourceError, TooManyError
from cbm_lake.files import durable
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel import basemaps, chips
from cbm_lake.rasters import render
from cbm_lake.server.accounts import Account
from cbm_lake.server.questions import Chipsize, Flag, Lat, Lon, Pid, answered, is_true, too_many
from cbm_lake.server.results import Results
from cbm_lake.server.security import Declared, Parcels, User
from cbm_lake.server.state import ServerState, State

log = logging.getLogger(__name__)

router = APIRouter(prefix="/query", tags=["original"])

_YELLOW: Final = (255, 220, 0)
_RADAR_PRODUCTS: Final = {card.product_type: card.name for card in cards.CARDS.values() if not card.is_optical}
_MOST_CHIPS: Final = 24
_FIRST: Final = "2014-01-01"
"""Before the first Sentinel scene."""
_MOST_OF_BATCH: Final = 36
Band = Annotated[str, Query(max_length=10)]
_MOMENTS = re.compile(r"\d{8}T\d{6}")

# -- chips ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Images:
    """Chips of the scenes over a location in some days, for a user."""

    state: ServerState
    user: Account
    lon: float
    lat: float
    days: tuple[date | str, date | str]
    chipsize: int

    def write(self, band: str, card: str = "s2", limit: int = _MOST_CHIPS) -> list[chips.Chip]:
        """Chips of a band in a folder of results.

        Raises:
            TooManyError: there are more than are made at once.
        """
        name, results = cards.band_called(band, cards.get(card)), self.state.results
        folder = results.folder(self.user.name, self.lon, self.lat, name, self.chipsize, card)
        with self.state.heavy:
            return chips.write(
                self.state.lake,
                self.lon,
                self.lat,
                *self.days,
                band=name,
                chipsize=self.chipsize,
                folder=folder,
                limit=limit,
                card=card,
            )

    def linked(self, band: str) -> Response:
        """Links to the chips of a band, as the original answers."""
        try:
            images = self.write(band)
        except TooManyError:
            return too_many("scenes", _MOST_CHIPS)
        dates = [_moment(chip) for chip in images]
        return answered({"dates": dates, "chips": [self.state.results.link(chip.file) for chip in images]})

    def listed(self) -> Response:
        """The products of the scenes, the one that covers most first."""
        scenes = chips.covering(self.state.lake, self.lon, self.lat, *self.days, chipsize=self.chipsize)
        ordered = sorted(scenes, key=lambda scene: (-scene.overlap, scene.baseline, scene.obstime))
        return answered({"chips": [f"{scene.product}.SAFE" for scene in ordered]})


@router.get("/rawChipByLocation")
def raw_chip_by_location(
    state: State,
    user: User,
    lon: Lon,
    lat: Lat,
    start_date: date,
    end_date: date,
    band: Band = "B04",
    chipsize: Chipsize = 1280,
    plevel: str = "LEVEL2A",
    onlylist: Flag = "",
) -> Response:
    """Links to GeoTIFFs of a band of every scene over a place."""
    images = _Images(state, user, lon, lat, (start_date, end_date), chipsize)
    return images.listed() if is_true(onlylist) else images.linked(band)


@router.get("/rawChipByParcelID")
def raw_chip_by_parcel_id(
    declared: Parcels,
    pid: Pid,
    start_date: date,
    end_date: date,
    band: Band = "B04",
    chipsize: Chipsize = 1280,
    plevel: str = "LEVEL2A",
    onlylist: Flag = "",
) -> Response:
    """Links to GeoTIFFs of a band of every scene over a parcel."""
    lon, lat = _centroid(declared, declared.parcels, pid)
    images = _Images(declared.state, declared.user, lon, lat, (start_date, end_date), chipsize)
    return images.listed() if is_true(onlylist) else images.linked(band)


def _centroid(declared: Declared, parcels: ParcelSet, pid: str) -> tuple[float, float]:
    """Longitude and latitude of a parcel."""
    parcel = declared.state.source.parcel(parcels.key(pid))
    return parcel.lon, parcel.lat


@router.get("/chipsByLocation")
def chips_by_location(
    state: State,
    user: User,
    lon: Lon,
    lat: Lat,
    start_date: date,
    end_date: date,
    lut: Annotated[str, Query(max_length=10)] = "5_95",
    bands: Annotated[str, Query(max_length=50)] = "B08_B04_B03",
    chipsize: Chipsize = 1280,
    plevel: str = "LEVEL2A",
) -> Response:
    """A page of pictures, eight in a row: three bands of every scene over a place."""
    scenes = chips.covering(state.lake, lon, lat, start_date, end_date, chipsize=chipsize)
    if len(scenes) > _MOST_CHIPS:
        return too_many("scenes", _MOST_CHIPS)
    names = [cards.band_called(name) for name in bands.split("_")]
    chips.check_rasters(scenes, names)
    folder = state.results.folder(user.name, lon, lat, bands, chipsize, lut, "pictures")
    picture = partial(chips.picture, state.lake, lut=None if lut == "None" else lut)

    def draw(scene: chips.Scene) -> str | None:
        return _draw(folder / f"{scene.product}.png", lambda: picture(scene, names, lon, lat, chipsize))

    with state.heavy:
        problems = [draw(scene) for scene in scenes]
    if scenes and all(problems):
        raise SourceError(f"no scene can be read: {problems[0]}")
    links = [state.results.link(folder / f"{scene.product}.png") for scene in scenes]
    return HTMLResponse(_page(list(map(_cell, scenes, problems, links))))


def _cell(scene: chips.Scene, problem: str | None, link: str) -> str:
    """A cell of the table of pictures."""
    moment = html.escape(f"{scene.obstime:%Y-%m-%d %H:%M}")
    image = "cannot be read" if problem else f'<img src="{html.escape(link)}" alt="{moment}">'
    return f"<td>{moment}<br>{image}</td>"


def _page(cells: Sequence[str]) -> str:
    rows = ["".join(cells[first : first + 8]) for first in range(0, len(cells), 8)]
    return "<!doctype html><title>chips</title><table><tr>" + "</tr><tr>".join(rows) + "</tr></table>"


def _draw(file: Path, picture: Callable[[], bytes]) -> str | None:
    """Write a picture of a scene, unless it is there; None, or why it cannot be."""
    if file.exists():
        return None
    try:
        with durable.replacing(file) as draft:
            draft.write_bytes(picture())
    except SourceError as error:  # the other scenes are shown all the same
        log.warning("%s", error)
        return str(error)
    return None


@router.post("/rawChipsBatch")
def raw_chips_batch(state: State, user: User, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Links to chips of named products and bands."""
    problem = _keys(body, ("lon", "lat", "tiles", "bands", "chipsize"))
    if problem:
        return answered({"error": problem})
    location, size = _batch_place(body)
    tiles, bands = _texts(body["tiles"], "tiles"), [cards.band_called(name) for name in _texts(body["bands"], "bands")]
    if len(tiles) * len(bands) > _MOST_OF_BATCH:
        return too_many("chips", _MOST_OF_BATCH)
    products = {tile.removesuffix(".SAFE") for tile in tiles}
    folder = state.results.folder(user.name, *location, size, "batch")
    write = partial(chips.write, chipsize=size, folder=folder, limit=_MOST_OF_BATCH, products=products)
    with state.heavy:
        each = [write(state.lake, *location, _FIRST, f"{date.today()}", band=band) for band in bands]
    return _batch(state.results, [(f"{_moment(chip)}_{chip.band}", chip) for images in each for chip in images])


@router.post("/rawS1ChipsBatch")
def raw_s1_chips_batch(state: State, user: User, body: Annotated[dict[str, Any], Body()]) -> Response:
    """Links to radar chips of both polarisations between two days."""
    problem = _keys(body, ("lon", "lat", "dates", "chipsize", "plevel"))
    if problem:
        return answered({"error": problem})
    card = _RADAR_PRODUCTS.get(str(body["plevel"]))
    days = _texts(body["dates"], "dates")
    if card is None or len(days) != 2:
        raise InvalidInputError("plevel is CARD-BS or CARD-COH6, and dates are the first and the last day")
    (lon, lat), size = _batch_place(body)
    images = _Images(state, user, lon, lat, (days[0], days[1]), size)
    try:
        images_made = [chip for band in ("VV", "VH") for chip in images.write(band, card, _MOST_OF_BATCH)]
    except TooManyError:
        return too_many("chips", _MOST_OF_BATCH)
    moment = _first_moment if card == cards.C6.name else _moment
    return _batch(state.results, [(f"{moment(chip)}_{chip.band}", chip) for chip in images_made])


def _moment(chip: chips.Chip) -> str:
    return f"{chip.obstime:%Y%m%dT%H%M%S}"


def _first_moment(chip: chips.Chip) -> str:
    """Of coherence, when the first image of the pair was taken, as the product's name says."""
    return min(_MOMENTS.findall(chip.scene), default=_moment(chip))


def _keys(body: Mapping[str, object], expected: Sequence[str]) -> str | None:
    """What is wrong with the keys of a batch, in the original's words."""
    for key in body:
        if key not in expected:
            return f"{key} not allowed as key"
    return None if len(body) == len(expected) else f"{len(body)} parameters supplied, {len(expected)} required"


def _batch_place(body: Mapping[str, Any]) -> tuple[tuple[float, float], int]:
    try:
        return (float(body["lon"]), float(body["lat"])), int(body["chipsize"])
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInputError("lon, lat and chipsize are numbers") from error


def _texts(values: object, name: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidInputError(f"{name} is a list of texts")
    return values


def _batch(results: Results, named: list[tuple[str, chips.Chip]]) -> Response:
    ordered = sorted(named, key=lambda item: item[0])
    return answered({"dates": [name for name, _ in ordered], "chips": [results.link(chip.file) for _, chip in ordered]})


# -- backgrounds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Background:
    """How a background is asked for."""

    chipsize: int
    """Pixels a side."""
    extend: float
    """Metres a side."""
    tms: str
    iformat: str
    """tif or png."""


def _asked(
    chipsize: Annotated[int, Query(ge=1, le=4096)] = 256,
    extend: Annotated[float, Query(ge=1, le=50_000)] = 256,
    tms: Annotated[str, Query(max_length=50)] = "Google",
    iformat: Annotated[str, Query(max_length=10)] = "png",
    raw: str | None = None,
) -> _Background:
    return _Background(chipsize, extend, tms, "tif" if raw is not None else iformat)


Background = Annotated[_Background, Depends(_asked)]


@router.get("/backgroundByLocation")
def background_by_location(
    request: Request,
    state: State,
    user: User,
    lon: Lon,
    lat: Annotated[float, Query(ge=-85, le=85)],
    asked: Background,
) -> Response:
    """An orthophoto round a place: the address of a GeoTIFF, or a page that shows it."""
    return _background(request, state, user, (lon, lat), asked)


@router.get("/backgroundByParcelID")
def background_by_parcel_id(
    request: Request,
    declared: Parcels,
    pid: Pid,
    asked: Background,
    withGeometry: Flag = "",  # noqa: N803
) -> Response:
    """An orthophoto round a parcel."""
    parcels, geometry = declared.parcels, None
    centroid = _centroid(declared, parcels, pid)
    if is_true(withGeometry):
        geometry = declared.state.source.declared_parcel(parcels, pid)["shape"]
    return _background(request, declared.state, declared.user, centroid, asked, geometry)


def _background(
    request: Request,
    state: ServerState,
    user: Account,
    location: tuple[float, float],
    asked: _Background,
    geometry: shapely.Geometry | None = None,
) -> Response:
    tms, size = asked.tms, (asked.chipsize, asked.extend)
    if asked.iformat not in ("tif", "png") or tms.lower() not in {name.lower() for name in basemaps.names()}:
        return answered({})
    file = state.results.folder(user.name, *location, *size, "background") / f"{tms.lower()}.tif"
    with state.heavy:
        if not file.exists() or basemaps.tags(file).get("tms") != tms.lower():
            file = basemaps.write(
                *location, chipsize=asked.chipsize, extend=asked.extend, tms=tms, file=file, lake=state.lake
            )
        caption = basemaps.caption(basemaps.tags(file), tms)
        if asked.iformat == "png":
            file = _as_png(file, geometry)
    address = str(request.base_url).rstrip("/") + state.results.link(file)
    headers = {"X-Background": caption.encode("ascii", "backslashreplace").decode("ascii")}
    if asked.iformat == "tif":
        return PlainTextResponse(address, headers=headers)
    words = html.escape(caption)
    return HTMLResponse(
        f'<!doctype html><title>{words}</title><img src="{html.escape(address)}" alt="{words}"><p>{words}</p>',
        headers=headers,
    )


def _as_png(file: Path, geometry: shapely.Geometry | None) -> Path:
    """A background as PNG, with the outline (degrees) of a parcel where there is one."""
    import rasterio

    picture = file.with_suffix(".png")
    if geometry is not None:  # one per geometry, which may differ between versions of the parcels
        picture = file.with_name(f"{file.stem}_{hashlib.sha256(geometry.wkb).hexdigest()[:16]}.png")
    if not picture.exists() or picture.stat().st_mtime_ns < file.stat().st_mtime_ns:
        with rasterio.open(file) as dataset:
            pixels = dataset.read()
            if geometry is not None:
                pixels[:, _line(geometry, dataset)] = np.array(_YELLOW, dtype=pixels.dtype)[:, None]
        with durable.replacing(picture) as draft:
            draft.write_bytes(render.png(pixels))
    return picture


def _line(geometry: shapely.Geometry, dataset: DatasetReader) -> NDArray[np.bool_]:
    """The pixels of a background, in Web Mercator, on which a parcel's outline lies."""
    border = reprojected(geometry, 4326, dataset.crs).boundary
    pixels = rasterize([border], dataset.shape, transform=dataset.transform, all_touched=True, dtype="uint8")
    return np.asarray(pixels, dtype=bool)
