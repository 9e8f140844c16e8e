"""Get the declaration of a parcel: crop, area, location, geometry."""

from __future__ import annotations

import json
import logging
from typing import Any

from cbm_lake.get import folders
from cbm_lake.lake import Lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel import sources
from cbm_lake.parcel.sources import ByLocation, ByPid, ByPolygon, Columns

log = logging.getLogger(__name__)


@checked_options
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
) -> Columns:
    """Get a parcel by identifier; also written to temp/<aoi>/<year>/<pid>/info.json.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier, as the agency wrote it.
        ptype: which parcel set; None is the main one.
        geom: with the geometry.
        wgs84: the geometry in degrees, not in the area's own coordinate system.
        debug: log the steps at level DEBUG.
        lake: the lake; None is what the settings say, the workspace's lake or a server.

    Returns:
        Equally long lists: pid, cropname, cropcode, srid, geom (GeoJSON text), area (m2, EPSG:3035), clon, clat.

    Raises:
        NotFoundError: no such parcel, or no such parcel set.
    """
    key = ParcelKey(aoi, year, ptype or "", str(pid))
    return _written(aoi, year, sources.here(lake).answer(ByPid(key, geom, wgs84)), debug=debug)


@checked_options
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
) -> Columns:
    """Get all parcels that intersect a point, boundaries included; each is also written to its info.json.

    Args:
        aoi: area.
        year: year of the declaration.
        lon: degrees east.
        lat: degrees north.
        ptype: which parcel set; None is the main one.
        geom: with the geometry.
        wgs84: the geometry in degrees.
        debug: log the steps at level DEBUG.
        lake: the lake; None is what the settings say.

    Raises:
        InvalidInputError: no such place on earth.
        NotFoundError: no parcel there.
    """
    question = ByLocation(aoi, year, lon, lat, ptype or "", geom, wgs84)
    return _written(aoi, year, sources.here(lake).answer(question), debug=debug)


@checked_options
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
) -> Columns:
    """Get all parcels that intersect a polygon; columns are empty lists if there are none.

    Args:
        aoi: area.
        year: year of the declaration.
        polygon: in degrees: a shapely geometry, GeoJSON, or the original's text lon_lat-lon_lat-… (a closed ring).
        ptype: which parcel set; None is the main one.
        geom: with the geometries.
        wgs84: the geometries in degrees.
        only_ids: identifiers (and geometries, when asked for) only; False gives everything that is declared.
        debug: log the steps at level DEBUG.
        lake: the lake; None is what the settings say.

    Raises:
        InvalidInputError: the polygon cannot be understood, is open or crosses itself.
    """
    question = ByPolygon(aoi, year, polygon, ptype or "", geom, wgs84, only_ids)
    columns = sources.here(lake).answer(question)
    if debug:
        log.debug("%d parcels of %s %s meet the polygon", len(columns["pid"]), aoi, year)
    return columns


def _written(aoi: str, year: int, columns: Columns, *, debug: bool) -> Columns:
    for number, pid in enumerate(columns["pid"]):
        one = {name: [values[number]] for name, values in columns.items()}
        file = folders.write(aoi, year, pid, "info.json", json.dumps(one, ensure_ascii=False))
        if debug:
            log.debug("parcel %s of %s %s written to %s", pid, aoi, year, file)
    return columns
