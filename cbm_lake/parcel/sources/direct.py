"""`direct` source: reads parcel data from the lake."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely

from cbm_lake import cards
from cbm_lake.cards import Card
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import decimals
from cbm_lake.geo.areas import Area
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel import basemaps, chips
from cbm_lake.parcel.basemaps import Background, Square
from cbm_lake.parcel.chips import Chip, Cutout, Reader
from cbm_lake.parcel.declaration import Parcel
from cbm_lake.parcel.series import TimeSeries
from cbm_lake.parcel.sources import answers, declared, ofpolygon, polygons
from cbm_lake.parcel.sources.declared import Declared, Row
from cbm_lake.parcel.sources.protocol import (
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

_EQUAL_AREA: Final = 3035
_PEER_AREA: Final = 3000.0
"""Square metres above which a parcel can be a peer."""
_TOLERANCE: Final = 1e-9
"""Degrees, a tenth of a millimetre: a place on an edge is on it also when the edge was transformed."""
_MOST_PEERS: Final = 10_000
_MOST_EXAMPLES: Final = 5


class LakeSource:
    """Source that reads from a lake; see `Source`.

    Args:
        lake: which.
        hold: keep parcel sets in memory, for a server that is asked often. Without it a source is for a few questions,
            and remembers the parcels and cubes that it was asked about.
    """

    def __init__(self, lake: Lake, *, hold: bool = False) -> None:
        self.lake = lake
        self._hold = hold
        self._pixels: Reader | None = None
        self._rows: dict[tuple[ParcelSet, str], Row] = {}

    def answer(self, question: Question) -> Columns:
        """See `Source.answer`."""
        match question:
            case ByPid(key, geometry, wgs84):
                return answers.parcels([self._row(self._set(key), key.pid)], geometry=geometry, wgs84=wgs84)
            case ByLocation():
                return self._by_location(question)
            case ByPolygon():
                return self._by_polygon(question)
            case Peers():
                return self._peers(question)
            case Statistics() | OfPolygon():
                return self._statistics(question) if isinstance(question, Statistics) else self._of_polygon(question)
            case Weather(key) | Markers(key):
                return self._weather(key) if isinstance(question, Weather) else self._markers(key)

    # -- parcels ------------------------------------------------------------------------------------------------------

    def parcel(self, key: ParcelKey) -> Parcel:
        """See `Source.parcel`."""
        row = self._row(self._set(key), key.pid)
        lon, lat, outline = row["centroid_lon"], row["centroid_lat"], shapely.from_wkb(row["geometry"])
        crop, code, area = row["crop_name"] or None, row["crop_code"] or None, float(round(row["area_m2"]))
        return Parcel(
            key.aoi, key.year, row["pid"], key.ptype or None, crop, code, area, lon, lat, row["epsg"], outline
        )

    def _set(self, key: ParcelKey) -> ParcelSet:
        return self.lake.parcel_set(key.aoi, key.year, key.ptype)

    def _by_location(self, question: ByLocation) -> Columns:
        lon, lat = question.lon, question.lat
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            raise InvalidInputError(f"lon {lon}, lat {lat} is no place in degrees; longitude comes first")
        parcels = self.lake.parcel_set(question.aoi, question.year, question.ptype)
        rows = self._meeting(parcels, Area(shapely.Point(lon, lat), tolerance=_TOLERANCE))
        if not rows:
            raise NotFoundError(f"no parcel of {parcels.name} at longitude {lon}, latitude {lat}")
        return answers.parcels(rows, geometry=question.geometry, wgs84=question.wgs84)

    def _by_polygon(self, question: ByPolygon) -> Columns:
        parcels = self.lake.parcel_set(question.aoi, question.year, question.ptype)
        rows = self._meeting(parcels, polygons.read(question.polygon))[: question.limit]
        answer = answers.parcels(rows, geometry=question.geometry, wgs84=question.wgs84)
        return {name: answer[name] for name in answer if name in ("pid", "geom")} if question.only_ids else answer

    def _peers(self, question: Peers) -> Columns:
        """Distances are computed in EPSG:3035."""
        distance, limit = question.distance, question.limit
        if not (math.isfinite(distance) and distance >= 0):
            raise InvalidInputError(f"distance {distance} is no number of metres")
        if limit > _MOST_PEERS:
            raise InvalidInputError(f"at most {_MOST_PEERS} peers are listed, not {limit}; ask for parcels by polygon")
        parcels = self._set(question.key)
        declared_set, parcel = self._declared(parcels), self._row(parcels, question.key.pid)
        around = reprojected(shapely.from_wkb(parcel["geometry"]), declared_set.epsg, _EQUAL_AREA)
        west, south, east, north = around.bounds
        box = shapely.box(west - distance, south - distance, east + distance, north + distance)
        rows = [
            row
            for row in declared_set.near(Area(box, _EQUAL_AREA).bounds)
            if row["crop_name"] == parcel["crop_name"] and row["pid"] != parcel["pid"] and row["area_m2"] > _PEER_AREA
        ]
        shapes = reprojected(shapely.from_wkb([row["geometry"] for row in rows]), declared_set.epsg, _EQUAL_AREA)
        metres = shapely.distance(shapes, around)
        nearest = [number for number in np.argsort(metres, kind="stable") if metres[number] <= distance]
        nearest = nearest[: max(0, int(limit))]
        return {"pids": [rows[number]["pid"] for number in nearest], "distance": [float(metres[n]) for n in nearest]}

    def parcels_of_area(self, parcels: ParcelSet, area: Area) -> list[Row]:
        """Parcels that meet an area, with `shape`, the geometry in degrees."""
        return self._shaped(parcels, self._meeting(parcels, area))

    def _shaped(self, parcels: ParcelSet, rows: Sequence[Row]) -> list[Row]:
        shapes = reprojected(shapely.from_wkb([row["geometry"] for row in rows]), self._declared(parcels).epsg, 4326)
        return [{**row, "shape": shape} for row, shape in zip(rows, shapes, strict=True)]

    def declared_parcel(self, parcels: ParcelSet, pid: str) -> Row:
        """The parcel of a set by identifier, with its `shape` in degrees.

        Raises:
            NotFoundError: there is none.
        """
        row = self._row(parcels, pid)
        return {**row, "shape": reprojected(shapely.from_wkb(row["geometry"]), row["epsg"], 4326)}

    def _declared(self, parcels: ParcelSet) -> Declared:
        return declared.in_memory(self.lake, parcels) if self._hold else declared.Asked(self.lake, parcels)

    def _row(self, parcels: ParcelSet, pid: str) -> Row:
        row = self._rows.get((parcels, pid)) or self._declared(parcels).find(pid)
        if row is None:
            raise NotFoundError(
                f"no parcel {pid!r} in {parcels.name}; identifiers are text, exactly as the agency wrote them"
            )
        if not self._hold:
            self._rows[parcels, pid] = row
        return row

    def declared_row(self, key: ParcelKey) -> Row:
        """All attributes of a parcel.

        Raises:
            NotFoundError: there is none.
        """
        return self._row(self._set(key), key.pid)

    def _meeting(self, parcels: ParcelSet, area: Area) -> list[Row]:
        """Parcels that intersect an area: prefiltered by boxes, then tested in the area's coordinate system."""
        declared_set = self._declared(parcels)
        rows = declared_set.near(area.bounds)
        met = area.meets(shapely.from_wkb([row["geometry"] for row in rows]), declared_set.epsg)
        return [row for row, meets in zip(rows, met, strict=True) if meets]

    # -- time series --------------------------------------------------------------------------------------------------

    def series(self, parcel: Parcel, card: Card) -> TimeSeries:
        """See `Source.series`."""
        rows = self.lake.query(f"time_series.wide_{card.name}", **parcel.key.params)
        return TimeSeries(parcel, card, rows, self._looks(parcel, card) if card.classification else None)

    def _looks(self, parcel: Parcel, card: Card) -> Callable[[tuple[int, ...]], pa.Table]:
        """What asks for a parcel's looks when scene classes are screened, once for the same classes."""
        query = f"time_series.looks_{card.name}"
        return lru_cache(4)(lambda classes: self.lake.query(query, screen=list(classes), **parcel.key.params))

    def _statistics(self, question: Statistics) -> Columns:
        """Scenes without histogram are dropped if others have one, with a warning."""
        tstype, parcels = question.tstype, self._set(question.key)
        key = question.key.params | {"aoi": parcels.aoi}
        if tstype == "scl":
            rows = self.lake.query("time_series.scl", **key)
            answer = {"obsid": rows["obsid"].to_pylist(), "hist": answers.histograms(rows["scl"])}
        else:
            rows = self.lake.query(
                f"time_series.{cards.get(tstype).name}", **key, bands=answers.bands(tstype, question.band)
            )
            answer = answers.series(rows, tstype, scl=question.scl, ref=question.ref)
            unclassified = rows.num_rows - len(answer["band"])
            if unclassified:
                message = (
                    "parcel %s of %s: %d of %d rows are left out, since no pixel of it is classified on their dates"
                )
                log.warning(message, question.key.pid, parcels.name, unclassified, rows.num_rows)
        if not rows.num_rows:
            self._row(parcels, question.key.pid)
        return answer

    def looks(self, question: Statistics, screened: tuple[int, ...]) -> Columns:
        """Statistics as `answer` gives them, of clear pixels alone where these stand for the parcel.

        With two columns more: clear_part, whether they are of these, and usable, whether the look counts. `screened`
        are the scene classes that count as clouds.
        """
        card, key = cards.get(question.tstype), question.key.params | {"aoi": self._set(question.key).aoi}
        bands = answers.bands(card.name, question.band)
        rows = self.lake.query(f"time_series.clear_{card.name}", **key, bands=bands, screen=list(screened))
        if not rows.num_rows:
            self._row(self._set(question.key), question.key.pid)
        more = {name: rows[name].to_pylist() for name in ("clear_part", "usable")}
        rows = rows.drop_columns(list(more))
        return answers.series(rows, card.name, scl=True, ref=False, more=more)

    def _weather(self, key: ParcelKey) -> Columns:
        parcels = self._set(key)
        parcel = self._row(parcels, key.pid)
        position = {"lon": parcel["centroid_lon"], "lat": parcel["centroid_lat"]}
        columns: Columns = decimals.written(
            self.lake.query("weather.at_place", aoi=parcels.aoi, **position)
        ).to_pydict()
        return columns

    def _markers(self, key: ParcelKey) -> Columns:
        params = key.params | {"aoi": self._set(key).aoi}
        columns: Columns = self.lake.query("markers.by_pid", **params).to_pydict()
        return columns

    def _of_polygon(self, question: OfPolygon) -> Columns:
        return ofpolygon.columns(self.lake, question)

    # -- images -------------------------------------------------------------------------------------------------------

    def cutouts(self, request: ImageRequest) -> list[Cutout]:
        """See `Source.cutouts`."""
        lon, lat, size, card = request.lon, request.lat, request.chipsize, request.card
        bands = (*request.bands, *request.optional)
        for band in bands:
            chips.check_band(card, band)
        scenes = chips.covering(self.lake, lon, lat, request.start, request.end, card=card, chipsize=size)
        reader = self._reader()
        reader.prepare(scenes, bands)
        items = [(scene, band) for scene in scenes for band in bands if band in dict(scene.hrefs)]
        done = chips.attempted(items, lambda scene, band: chips.cut(reader, scene, band, lon, lat, size))
        errors = [error for (_, band), error in done.errors.items() if band in request.bands]
        if errors and not any(band in request.bands for _, band in done.results):
            raise errors[0]
        for band in request.optional:
            if scenes and not any(band == name for _, name in done.results):
                log.warning("no scene there has %s that can be read", band)
        return list(done.results.values())

    def write_chips(self, request: ImageRequest, folder: Path, limit: int = 24) -> list[Chip]:
        """See `Source.write_chips`."""
        return [
            chip
            for band in request.bands
            for chip in chips.write(
                self.lake,
                request.lon,
                request.lat,
                request.start,
                request.end,
                band=band,
                chipsize=request.chipsize,
                folder=folder,
                limit=limit,
                card=request.card,
            )
        ]

    def background(self, square: Square) -> Background:
        """See `Source.background`; if no tile server answers, a true colour composite of the lake's scenes."""
        return basemaps.render_square(square, self.lake, self._reader())

    def write_background(self, square: Square, file: Path) -> Path:
        """See `Source.write_background`."""
        return basemaps.save(self.background(square), file)

    def _reader(self) -> Reader:
        """Pixel reader; long-running servers use a new one per request."""
        if self._hold or self._pixels is None:
            self._pixels = Reader(self.lake)
        return self._pixels

    # -- what there is ------------------------------------------------------------------------------------------------

    def info(self, aois: Sequence[str] | None = None) -> dict[str, Any]:
        """See `Source.info`: the areas of the lake, optionally limited to `aois`."""
        cards_of = self.lake.query("status.cards").to_pylist()
        areas: dict[str, Any] = {}
        for parcels in self.lake.parcel_sets():
            if aois is not None and parcels.aoi not in aois:
                continue
            area = areas.setdefault(parcels.aoi, {"years": [], "datasets": [], "time_series": []})
            area["years"] = sorted({*area["years"], str(parcels.year)})
            area["datasets"] = sorted({*area["datasets"], *([parcels.ptype] if parcels.ptype else [])})
            area["time_series"] = [row["card"] for row in cards_of if row["aoi"] == parcels.aoi]
            area["tms"] = basemaps.names()
            area["id_table_column"] = "pid"
            example = f"id_examples_{parcels.year}" + (f"_{parcels.ptype}" if parcels.ptype else "")
            ids = self.lake.read_parcels(parcels, ["id"])["id"]
            area[example] = ids.slice(0, _MOST_EXAMPLES).to_pylist()
        return {"aois": areas}
