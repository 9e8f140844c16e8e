"""Parcels like another one."""

from __future__ import annotations

import json
import logging

from cbm_lake import sources
from cbm_lake.get import folders
from cbm_lake.lake import Lake
from cbm_lake.sources import Columns

log = logging.getLogger(__name__)


def peers(
    aoi: str,
    year: int,
    pid: str,
    ptype: str | None = None,
    distance: float = 1000.0,
    max_peers: int = 10,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> Columns:
    """The nearest parcels of the same crop that are larger than 3000 m2; also written to parcel_peers.json.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        ptype: which parcel set; None is the main one.
        distance: metres from edge to edge within which they lie.
        max_peers: the greatest number of them.
        debug: tell the log (level DEBUG) what is done.
        lake: the lake; None is what the settings say.

    Returns:
        pids and distance (m, in EPSG:3035), ascending.

    Raises:
        NotFoundError: no such parcel.
    """
    found = sources.here(lake).parcel_peers(aoi, year, str(pid), ptype=ptype, distance=distance, limit=max_peers)
    file = folders.write(aoi, year, str(pid), "parcel_peers.json", json.dumps(found))
    if debug:
        log.debug("%d peers of parcel %s written to %s", len(found["pids"]), pid, file)
    return found
