"""Selects the scenes that cover a chip, and the rasters of their bands."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypedDict

import numpy as np
import shapely

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.files.dates import day_of
from cbm_lake.lake import Lake
from cbm_lake.lake.records import SceneAsset

LARGEST: Final = 5120
"""Metres: the widest chip."""
_YEARS: Final = (1970, 2200)
_DATATAKE = re.compile(r"_MSIL\d\w_(\d{8}T\d{6})_")
"""When a Sentinel-2 datatake began, in its products' names; catalogues give the timestamp of each tile."""
_UNSAFE = re.compile(r"[^\w-]")
"""What is not put into the name of a file."""


class _Row(TypedDict):
    """A row of sql/scenes/covering.sql or by_id.sql."""

    id: str
    obstime: datetime
    reference: str
    card: str
    processing_baseline: str | None
    boa_offset: int
    cloud_cover: float | None
    footprint: bytes
    assets: dict[str, SceneAsset | None]


@dataclass(frozen=True)
class Scene:
    """A scene that covers a location."""

    id: str
    product: str
    """The product's name as a file's name has it: without .SAFE, without dots."""
    obstime: datetime
    card: str
    boa_offset: int
    """DN to add to the stored DN."""
    baseline: str
    cloud_cover: float | None
    """Percent of the whole scene."""
    overlap: float
    """Share of the chip that the scene's footprint covers."""
    hrefs: tuple[tuple[str, str], ...]
    """Path or URL of each band."""

    def href(self, band: str) -> str:
        """Path or URL of a band.

        Raises:
            SourceError: the scene was catalogued without it.
        """
        hrefs = dict(self.hrefs)
        if band not in hrefs:
            raise SourceError(f"scene {self.id} has no raster of {band}; it has {', '.join(hrefs) or 'none at all'}")
        return hrefs[band]

    @property
    def moment(self) -> str:
        """Timestamp key, equal for all products of one overflight of the location."""
        match = _DATATAKE.search(self.product)
        return match[1] if match else f"{self.obstime:%Y%m%dT%H%M%S}"


def covering(
    lake: Lake,
    lon: float,
    lat: float,
    start: date | str,
    end: date | str,
    *,
    card: str = "s2",
    chipsize: int = 1280,
    products: Collection[str] | None = None,
) -> list[Scene]:
    """Scenes whose footprint covers a location, by time; of simultaneous ones the one that covers more of the chip.

    Where two cover it alike, the one of the higher processing baseline. Superseded scenes are left out.

    Args:
        lake: where they are catalogued.
        lon: degrees east.
        lat: degrees north.
        start: the first day.
        end: the last day, included.
        card: s2, bs, c6, …, see `cards.CARDS`.
        chipsize: metres a side of the chip.
        products: only these, by their names (`Scene.product`).

    Raises:
        InvalidInputError: invalid position, card or date, a last day before the first, or a chip too large.
    """
    check_square(lon, lat, chipsize)
    first, last = _day(start), _day(end) + timedelta(days=1)
    if last <= first:
        raise InvalidInputError(f"the last day, {end}, comes before the first, {start}; turn them round")
    point = {"lon": float(lon), "lat": float(lat)}
    rows = lake.query("scenes.covering", card=cards.get(card).name, start=first, stop=last, **point).to_pylist()
    best: dict[str, Scene] = {}
    for scene in _over(rows, shapely.Point(lon, lat), _square(lon, lat, chipsize)):
        other = best.get(scene.moment)
        if products is not None and scene.product not in products:
            continue
        if other is None or (round(scene.overlap, 6), scene.baseline) > (round(other.overlap, 6), other.baseline):
            best[scene.moment] = scene
    return sorted(best.values(), key=lambda scene: (scene.obstime, scene.id))


def _over(rows: list[_Row], point: shapely.Point, square: shapely.Geometry) -> Iterator[Scene]:
    """Scenes whose footprint covers a point, with their coverage of a square."""
    for row in rows:
        footprint = shapely.make_valid(shapely.from_wkb(row["footprint"]))
        if footprint.covers(point):
            yield _scene(row, shapely.area(shapely.intersection(footprint, square)) / square.area)


def meeting(
    lake: Lake, box: tuple[float, float, float, float], start: date | str, end: date | str, *, card: str = "s2"
) -> list[tuple[Scene, shapely.Geometry]]:
    """Scenes whose footprint meets a box, the ones with the fewest clouds first; superseded ones are left out.

    Args:
        lake: where they are catalogued.
        box: west, south, east, north in degrees.
        start: the first day.
        end: the last day, included.
        card: s2, bs, c6, …, see `cards.CARDS`.

    Returns:
        Each with the part of the box that its footprint covers; their `overlap` is the share of that part.

    Raises:
        InvalidInputError: invalid card or date.
    """
    first, last = _day(start), _day(end) + timedelta(days=1)
    corners = dict(zip(("west", "south", "east", "north"), map(float, box), strict=True))
    rows = lake.query("scenes.meeting", card=cards.get(card).name, start=first, stop=last, **corners).to_pylist()
    square = shapely.box(*box)
    parts = [shapely.make_valid(shapely.from_wkb(row["footprint"])).intersection(square) for row in rows]
    pairs = [(_scene(row, part.area / square.area), part) for row, part in zip(rows, parts, strict=True)]
    return [(scene, part) for scene, part in pairs if scene.overlap > 0]


def by_id(lake: Lake, scene: str, card: str = "s2") -> Scene:
    """Look up a scene by its id.

    Raises:
        NotFoundError: none is catalogued.
    """
    rows = lake.query("scenes.by_id", card=cards.get(card).name, scene=scene).to_pylist()
    if not rows:
        raise NotFoundError(f"no scene {scene!r} of card {card} is catalogued")
    return _scene(rows[0], 1.0)


def _scene(row: _Row, overlap: float) -> Scene:
    product = _UNSAFE.sub("_", row["reference"].removesuffix(".SAFE"))
    hrefs = tuple((name, asset["href"]) for name, asset in row["assets"].items() if asset and asset["href"])
    baseline = row["processing_baseline"] or ""
    obstime = row["obstime"].astimezone(UTC)
    offset, clouds = row["boa_offset"], row["cloud_cover"]
    return Scene(row["id"], product, obstime, row["card"], offset, baseline, clouds, overlap, hrefs)


def check_square(lon: float, lat: float, chipsize: float) -> None:
    """Raise InvalidInputError if no chip can be made at a position with that size."""
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in degrees; longitude comes first")
    if not 0 < chipsize <= LARGEST:
        raise InvalidInputError(f"chipsize {chipsize} is not between 1 and {LARGEST} metres")
    west, _, east, _ = _square(lon, lat, chipsize).bounds
    if west < -180 or east > 180:
        raise InvalidInputError(f"the chip at lon {lon}, lat {lat} lies across the antimeridian, where none are made")


def _square(lon: float, lat: float, metres: float) -> shapely.Geometry:
    """Approximate extent of a chip in degrees, to compare coverage."""
    up = metres / 2 / 111_320
    across = up / max(np.cos(np.radians(lat)), 0.01)
    return shapely.box(lon - across, lat - up, lon + across, lat + up)


def _day(value: date | str) -> datetime:
    """Start of a day."""
    day = day_of(value)
    if not _YEARS[0] <= day.year <= _YEARS[1]:
        raise InvalidInputError(f"{value} is not between the years {_YEARS[0]} and {_YEARS[1]}")
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def check_rasters(scenes: Sequence[Scene], bands: Collection[str]) -> None:
    """Raise NotFoundError if there are scenes, but none with rasters of the bands."""
    if not scenes or any(set(bands) <= dict(scene.hrefs).keys() for scene in scenes):
        return
    raise NotFoundError(
        f"no raster of {', '.join(bands)} is catalogued of the scenes there ({len(scenes)}, one is {scenes[0].id}); "
        "catalogue them with their rasters, which cbm-lake card2db does"
    )
