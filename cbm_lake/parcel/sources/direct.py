"""The lake as a source."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import shapely

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import decimals
from cbm_lake.geo.areas import Area
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.parcel import basemaps, chips
from cbm_lake.parcel.chips import Chip
from cbm_lake.parcel.sources import declared, polygons
from cbm_lake.parcel.sources.declared import Declared, Row
from cbm_lake.parcel.sources.protocol import SUFFIX, Columns

log = logging.getLogger(__name__)

_SERIES: Final = ("date_part", "band", *cards.statistics.SERIES)
_CLASSES: Final = ("SC", "SCL")
"""What the original called its statistics of the scene classes' numbers, which only migrated scenes have."""
_SAFE: Final = ".SAFE"
_EQUAL_AREA: Final = 3035
_PEER_AREA: Final = 3000.0
"""Square metres above which a parcel can be a peer."""
_TOLERANCE: Final = 1e-9
"""Degrees, a tenth of a millimetre: a place on an edge is on it also when the edge was transformed."""
_MOST_PEERS: Final = 10_000
_MOST_EXAMPLES: Final = 5


class LakeSource:
    """Answers from a lake; see `Source`.

    Args:
        lake: which.
        hold: keep parcel sets in memory, for a server that is asked often.
    """

    def __init__(self, lake: Lake, *, hold: bool = False) -> None:
        self.lake = lake
        self._hold = hold

    # -- parcels ------------------------------------------------------------------------------------------------------

    def parcel_by_id(
        self, aoi: str, year: int, pid: str, *, ptype: str | None = None, geometry: bool = False, wgs84: bool = False
    ) -> Columns:
        """See `Source.parcel_by_id`."""
        parcels = self.lake.parcel_set(aoi, year, ptype)
        return _columns([self._parcel(parcels, pid)], geometry=geometry, wgs84=wgs84)

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
        if not (abs(lon) <= 180 and abs(lat) <= 90):
            raise InvalidInputError(f"lon {lon}, lat {lat} is no place in degrees; longitude comes first")
        parcels = self.lake.parcel_set(aoi, year, ptype)
        rows = self._meeting(parcels, Area(shapely.Point(lon, lat), tolerance=_TOLERANCE))
        if not rows:
            raise NotFoundError(f"no parcel of {parcels.name} at longitude {lon}, latitude {lat}")
        return _columns(rows, geometry=geometry, wgs84=wgs84)

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
        limit: int | None = None,
    ) -> Columns:
        """See `Source.parcels_by_polygon`; no more than `limit` of them."""
        parcels = self.lake.parcel_set(aoi, year, ptype)
        answer = _columns(self._meeting(parcels, polygons.read(polygon))[:limit], geometry=geometry, wgs84=wgs84)
        return {name: answer[name] for name in answer if name in ("pid", "geom")} if only_ids else answer

    def parcel_peers(
        self, aoi: str, year: int, pid: str, *, ptype: str | None = None, distance: float = 2000.0, limit: int = 10
    ) -> Columns:
        """See `Source.parcel_peers`; distances are taken in EPSG:3035."""
        if not (math.isfinite(distance) and distance >= 0):
            raise InvalidInputError(f"distance {distance} is no number of metres")
        if limit > _MOST_PEERS:
            raise InvalidInputError(f"at most {_MOST_PEERS} peers are listed, not {limit}; ask for parcels by polygon")
        parcels = self.lake.parcel_set(aoi, year, ptype)
        declaration, parcel = self._declared(parcels), self._parcel(parcels, pid)
        around = reprojected(shapely.from_wkb(parcel["geometry"]), declaration.epsg, _EQUAL_AREA)
        west, south, east, north = around.bounds
        box = shapely.box(west - distance, south - distance, east + distance, north + distance)
        rows = [
            row
            for row in declaration.near(Area(box, _EQUAL_AREA).bounds)
            if row["crop_name"] == parcel["crop_name"] and row["pid"] != parcel["pid"] and row["area_m2"] > _PEER_AREA
        ]
        shapes = reprojected(shapely.from_wkb([row["geometry"] for row in rows]), declaration.epsg, _EQUAL_AREA)
        metres = shapely.distance(shapes, around)
        near = [index for index in np.argsort(metres, kind="stable") if metres[index] <= distance]
        nearest = near[: max(0, int(limit))]
        return {
            "pids": [rows[index]["pid"] for index in nearest],
            "distance": [float(metres[index]) for index in nearest],
        }

    def parcels_of_page(
        self, parcels: ParcelSet, box: tuple[float, float, float, float] | None, offset: int, limit: int
    ) -> tuple[list[Row], int]:
        """Some of the parcels that meet a box in degrees, by their identifiers, and how many there are in all.

        Rows also have `shape`, the outline in degrees.
        """
        if box is None:
            rows, total = self._declared(parcels).page(offset, limit)
        else:
            met = self._meeting(parcels, Area(shapely.box(*box)))
            rows, total = met[offset : offset + limit], len(met)
        return self._shaped(parcels, rows), total

    def parcels_of_area(self, parcels: ParcelSet, area: Area) -> list[Row]:
        """The parcels that meet an area, with `shape`, the outline in degrees."""
        return self._shaped(parcels, self._meeting(parcels, area))

    def _shaped(self, parcels: ParcelSet, rows: Sequence[Row]) -> list[Row]:
        shapes = reprojected(shapely.from_wkb([row["geometry"] for row in rows]), self._declared(parcels).epsg, 4326)
        return [{**row, "shape": shape} for row, shape in zip(rows, shapes, strict=True)]

    def declared_parcel(self, parcels: ParcelSet, pid: str) -> Row:
        """The parcel of a set with that identifier, with its `shape` in degrees.

        Raises:
            NotFoundError: there is none.
        """
        row = self._parcel(parcels, pid)
        return {**row, "shape": reprojected(shapely.from_wkb(row["geometry"]), row["epsg"], 4326)}

    def _declared(self, parcels: ParcelSet) -> Declared:
        return declared.in_memory(self.lake, parcels) if self._hold else declared.Asked(self.lake, parcels)

    def _parcel(self, parcels: ParcelSet, pid: str) -> Row:
        row = self._declared(parcels).find(str(pid))
        if row is None:
            raise NotFoundError(
                f"no parcel {pid!r} in {parcels.name}; identifiers are text, exactly as the agency wrote them"
            )
        return row

    def _meeting(self, parcels: ParcelSet, area: Area) -> list[Row]:
        """Parcels that meet an area: boxes choose candidates, outlines decide, in the system of the area."""
        declaration = self._declared(parcels)
        rows = declaration.near(area.bounds)
        met = area.meets(shapely.from_wkb([row["geometry"] for row in rows]), declaration.epsg)
        return [row for row, meets in zip(rows, met, strict=True) if meets]

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
        """See `Source.parcel_time_series`.

        An image without histogram is left out where others of the parcel have one; a warning says how many.
        """
        parcels = self.lake.parcel_set(aoi, year, ptype)
        key = parcels.key(pid).params
        if tstype == "scl":
            rows = self.lake.query("time_series.scl", **key)
            answer = {"obsid": rows["obsid"].to_pylist(), "hist": _histograms(rows["scl"])}
        else:
            rows = self.lake.query(f"time_series.{cards.get(tstype).name}", **key, bands=_bands(tstype, band))
            answer = _series(rows, tstype, scl=scl, ref=ref)
            left_out = rows.num_rows - len(answer["band"])
            if left_out:
                log.warning(
                    "parcel %s of %s: %d of %d rows are left out, since no pixel of it is classified on their dates",
                    pid,
                    parcels.name,
                    left_out,
                    rows.num_rows,
                )
        if not rows.num_rows:
            self._parcel(parcels, pid)
        return answer

    def weather_time_series(self, aoi: str, year: int, pid: str, *, ptype: str | None = None) -> Columns:
        """See `Source.weather_time_series`."""
        parcels = self.lake.parcel_set(aoi, year, ptype)
        parcel = self._parcel(parcels, pid)
        centroid = {"lon": parcel["centroid_lon"], "lat": parcel["centroid_lat"]}
        columns: Columns = decimals.written(
            self.lake.query("weather.at_place", aoi=parcels.aoi, **centroid)
        ).to_pydict()
        return columns

    def markers(self, aoi: str, year: int, pid: str, *, ptype: str | None = None) -> Columns:
        """See `Source.markers`."""
        parcels = self.lake.parcel_set(aoi, year, ptype)
        columns: Columns = self.lake.query("markers.by_pid", **parcels.key(pid).params).to_pydict()
        return columns

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
        """See `Source.raw_chips`."""
        centre, days = (lon, lat), (start, end)
        return chips.write(
            self.lake, *centre, *days, band=band, chipsize=chipsize, folder=folder, limit=limit, card=card
        )

    def background(
        self, lon: float, lat: float, *, chipsize: int = 256, extend: float = 256, tms: str = "Google", file: Path
    ) -> Path:
        """See `Source.background`; where no tile server answers, it is true colour from the lake."""
        return basemaps.write(lon, lat, chipsize=chipsize, extend=extend, tms=tms, file=file, lake=self.lake)

    # -- what there is ------------------------------------------------------------------------------------------------

    def info(self, aois: Sequence[str] | None = None) -> dict[str, Any]:
        """See `Source.info`: the part that a lake knows, the areas; `aois` limits to some."""
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


# -- shapes of answers ------------------------------------------------------------------------------------------------


def _columns(rows: Sequence[Row], *, geometry: bool, wgs84: bool) -> Columns:
    answer: Columns = {
        "area": [round(row["area_m2"]) for row in rows],
        "clat": [row["centroid_lat"] for row in rows],
        "clon": [row["centroid_lon"] for row in rows],
        "cropcode": [row["crop_code"] for row in rows],
        "cropname": [row["crop_name"] for row in rows],
        "pid": [row["pid"] for row in rows],
        "srid": [row["epsg"] for row in rows],
    }
    if geometry:
        answer["geom"] = [_geojson(row, wgs84=wgs84) for row in rows]
    return answer


def _geojson(row: Row, *, wgs84: bool) -> str:
    """GeoJSON text with 9 decimals; in a system other than degrees it names that system, as PostGIS does."""
    shape = shapely.from_wkb(row["geometry"])
    if wgs84:
        shape = reprojected(shape, row["epsg"], 4326)
    document = json.loads(shapely.to_geojson(shapely.transform(shape, lambda xy: np.round(xy, 9))))
    if not wgs84 and row["epsg"] != 4326:
        crs = {"type": "name", "properties": {"name": f"EPSG:{row['epsg']}"}}
        document = {"type": document["type"], "crs": crs, "coordinates": document["coordinates"]}
    return json.dumps(document, separators=(",", ":"))


def _bands(tstype: str, band: str) -> list[str] | None:
    """The band asked for by the lake's name; it may come by one of the original's tables."""
    if not band:
        return None
    card = cards.get(tstype)
    name = cards.band_called(band, card)
    if card.migrated and name in _CLASSES:
        return [_CLASSES[0]]
    return [*card.check_bands((name,))]


def _series(rows: pa.Table, tstype: str, *, scl: bool, ref: bool) -> Columns:
    others = [name for name in cards.statistics.OPTIONAL if name in rows.column_names]
    answer: Columns = {name: decimals.shortest(rows[name]).to_pylist() for name in (*_SERIES, *others)}
    answer["count"] = [float(count) for count in answer["count"]]
    answer["band"] = [band + SUFFIX[tstype] for band in answer["band"]]
    classes = cards.get(tstype).classification
    if classes and scl:
        answer["hist"] = _histograms(rows[classes.column])
    if ref:
        ending = _SAFE if tstype == cards.S2.name else ""
        answer["reference"] = [name.removesuffix(ending) + ending for name in rows["reference"].to_pylist()]
    if any(answer.get("hist", ())) and not all(answer["hist"]):
        complete = [index for index, histogram in enumerate(answer["hist"]) if histogram]
        answer = {name: [values[index] for index in complete] for name, values in answer.items()}
    return answer


def _histograms(scl: pa.ChunkedArray) -> list[dict[str, int]]:
    """Pixels of each scene class that occurs, by the class as text; the bands of a scene share one."""
    cached: dict[tuple[int | None, ...], dict[str, int]] = {}
    histograms = []
    for counts in map(tuple, scl.to_pylist()):
        if counts not in cached:
            cached[counts] = {str(name): int(count) for name, count in enumerate(counts) if count}
        histograms.append(cached[counts])
    return histograms
