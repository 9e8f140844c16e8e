"""What is declared of a parcel: crop, area, place, outline."""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
import shapely

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.get import folders
from cbm_lake.lake import Lake, ParcelSet, open_lake

log = logging.getLogger(__name__)

_BETWEEN_POINTS = re.compile(r"(?<=[\d.])-|\s+-\s+|\s*,\s*")
"""What stands between two points: a hyphen that follows a number is no sign."""

Answer = dict[str, list[Any]]
"""Equally long lists by name: pid, cropname, cropcode, srid, geom (GeoJSON text), area (m², EPSG:3035), clon, clat."""


def by_pid(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    geom: bool = True,
    wgs84: bool = False,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> Answer:
    """The parcel of that identifier; also written to temp/<aoi>/<year>/<pid>/info.json.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier, as the agency wrote it.
        ptype: which parcel set; None is the main one.
        geom: with the outline.
        wgs84: the outline in degrees, not in the area's own coordinate system.
        debug: tell the log (level DEBUG) what is done.
        lake: the lake; None is the workspace's.

    Raises:
        NotFoundError: no such parcel, or no such parcel set.
    """
    lake = lake or open_lake()
    parcels = lake.parcel_set(aoi, year, ptype)
    rows = lake.query("parcels.by_pid", **_key(parcels), pid=str(pid)).to_pylist()
    if not rows:
        raise NotFoundError(
            f"no parcel {pid!r} in {parcels.name}; identifiers are text, exactly as the agency wrote them"
        )
    return _written(parcels, rows, geom=geom, wgs84=wgs84, debug=debug)


def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    ptype: str | None = None,
    geom: bool = True,
    wgs84: bool = False,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> Answer:
    """All parcels that the point meets, edges included; each also written to its info.json.

    Args:
        aoi: area.
        year: year of the declaration.
        lon: degrees east.
        lat: degrees north.
        ptype: which parcel set; None is the main one.
        geom: with the outline.
        wgs84: the outline in degrees.
        debug: tell the log (level DEBUG) what is done.
        lake: the lake; None is the workspace's.

    Raises:
        InvalidInputError: no such place on earth.
        NotFoundError: no parcel there.
    """
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise InvalidInputError(f"lon {lon}, lat {lat} is no place in degrees; longitude comes first")
    lake = lake or open_lake()
    parcels = lake.parcel_set(aoi, year, ptype)
    rows = _meeting(lake, parcels, shapely.Point(lon, lat))
    if not rows:
        raise NotFoundError(f"no parcel of {parcels.name} at longitude {lon}, latitude {lat}")
    return _written(parcels, rows, geom=geom, wgs84=wgs84, debug=debug)


def by_polygon(
    aoi: str,
    year: int,
    polygon: Any,
    ptype: str | None = None,
    geom: bool = False,
    wgs84: bool = False,
    only_ids: bool = True,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> Answer:
    """All parcels that the polygon meets; equally long empty lists where there are none.

    Args:
        aoi: area.
        year: year of the declaration.
        polygon: in degrees: a shapely geometry, GeoJSON, or the original's text lon_lat-lon_lat-… (a closed ring).
        ptype: which parcel set; None is the main one.
        geom: with the outlines.
        wgs84: the outlines in degrees.
        only_ids: identifiers (and outlines, when asked for) only; False gives everything that is declared.
        debug: tell the log (level DEBUG) what is done.
        lake: the lake; None is the workspace's.

    Raises:
        InvalidInputError: the polygon cannot be understood, is open or crosses itself.
    """
    lake = lake or open_lake()
    parcels = lake.parcel_set(aoi, year, ptype)
    answer = _columns(_meeting(lake, parcels, _polygon(polygon)), geom=geom, wgs84=wgs84)
    if debug:
        log.debug("%d parcels of %s meet the polygon", len(answer["pid"]), parcels.name)
    return {name: answer[name] for name in answer if name in ("pid", "geom")} if only_ids else answer


def _key(parcels: ParcelSet) -> dict[str, Any]:
    return {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype}


def _meeting(lake: Lake, parcels: ParcelSet, shape: shapely.Geometry) -> list[dict[str, Any]]:
    """Parcels that meet a shape in degrees: boxes choose candidates, shapely decides in the parcels' own system."""
    epsg = lake.epsg(parcels.aoi)
    shape = _reproject(shape, 4326, epsg or 4326)
    xmin, ymin, xmax, ymax = shape.bounds
    if not all(math.isfinite(value) for value in shape.bounds):
        return []
    rows = lake.query("parcels.in_box", **_key(parcels), xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax).to_pylist()
    return [row for row in rows if shapely.from_wkb(row["geometry"]).intersects(shape)]


def _reproject(shape: shapely.Geometry, source: int, target: int) -> shapely.Geometry:
    from pyproj import Transformer

    if source == target:
        return shape
    transformer = Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(shape, lambda xy: np.column_stack(transformer.transform(xy[:, 0], xy[:, 1])))


def _polygon(value: Any) -> shapely.Geometry:
    try:
        if isinstance(value, shapely.Geometry):
            shape = value
        elif isinstance(value, str) and not value.lstrip().startswith("{"):
            points = [
                [float(number) for number in point.replace("_", " ").split()] for point in _BETWEEN_POINTS.split(value)
            ]
            shape = shapely.Polygon(points) if points[0] == points[-1] else None
        else:
            shape = shapely.from_geojson(value if isinstance(value, str) else json.dumps(value))
    except (ValueError, TypeError, shapely.GEOSException) as error:
        raise InvalidInputError(
            f"this is no polygon: {error}; write lon_lat-lon_lat-…, first and last point equal"
        ) from error
    if shape is None or shape.geom_type not in ("Polygon", "MultiPolygon") or not shape.is_valid or shape.is_empty:
        raise InvalidInputError(
            "this is no polygon, or it is empty, not closed or crosses itself; first and last point must be equal"
        )
    return shape


def _columns(rows: Iterable[dict[str, Any]], *, geom: bool, wgs84: bool) -> Answer:
    rows = list(rows)
    answer: Answer = {
        "area": [round(row["area_m2"]) for row in rows],
        "clat": [row["centroid_lat"] for row in rows],
        "clon": [row["centroid_lon"] for row in rows],
        "cropcode": [row["crop_code"] for row in rows],
        "cropname": [row["crop_name"] for row in rows],
        "pid": [row["pid"] for row in rows],
        "srid": [row["epsg"] for row in rows],
    }
    if geom:
        answer["geom"] = [_geojson(row, wgs84=wgs84) for row in rows]
    return answer


def _geojson(row: dict[str, Any], *, wgs84: bool) -> str:
    """GeoJSON text with 9 decimals; in a system other than degrees it names that system, as PostGIS does."""
    shape = shapely.from_wkb(row["geometry"])
    if wgs84:
        shape = _reproject(shape, row["epsg"], 4326)
    document = json.loads(shapely.to_geojson(shapely.transform(shape, lambda xy: np.round(xy, 9))))
    if not wgs84 and row["epsg"] != 4326:
        crs = {"type": "name", "properties": {"name": f"EPSG:{row['epsg']}"}}
        document = {"type": document["type"], "crs": crs, "coordinates": document["coordinates"]}
    return json.dumps(document, separators=(",", ":"))


def _written(parcels: ParcelSet, rows: list[dict[str, Any]], *, geom: bool, wgs84: bool, debug: bool) -> Answer:
    for row in rows:
        text = json.dumps(_columns([row], geom=geom, wgs84=wgs84), ensure_ascii=False)
        file = folders.write(parcels.aoi, parcels.year, row["pid"], "info.json", text)
        if debug:
            log.debug("parcel %s of %s written to %s", row["pid"], parcels.name, file)
    return _columns(rows, geom=geom, wgs84=wgs84)
