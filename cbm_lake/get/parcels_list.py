"""Get the peers of a parcel: the nearest parcels of the same crop."""

from __future__ import annotations

import json
import logging

from cbm_lake.get import folders
from cbm_lake.lake import Lake
from cbm_lake.lake.arguments import Args, Kwargs, also, is_number, ptype_stood_at
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.lake.options import checked_options
from cbm_lake.parcel import sources
from cbm_lake.parcel.sources import Columns, Peers

log = logging.getLogger(__name__)


def _order(args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """Argument order of version 0.1: pid, ptype, distance, max_peers, debug."""
    args, kwargs = ptype_stood_at(3, is_number)(args, kwargs)
    return (args[:5], {"debug": args[5], **kwargs}) if len(args) == 6 and isinstance(args[5], bool) else (args, kwargs)


@also(_order, maxPeers="max_peers")
@checked_options
def peers(
    aoi: str,
    year: int,
    pid: str,
    distance: float = 1000.0,
    max_peers: int = 10,
    ptype: str | None = None,
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> Columns:
    """Get the nearest parcels of the same crop above 3000 m²; also written to parcel_peers.json.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        distance: metres from edge to edge within which they lie.
        max_peers: the greatest number of them; also by the original's name, maxPeers.
        ptype: which parcel set; None is the main one. It may also precede distance, as in version 0.1.
        debug: log the steps at level DEBUG.
        lake: the lake; None is what the settings say.

    Returns:
        pids and distance (m, in EPSG:3035), ascending.

    Raises:
        NotFoundError: no such parcel.
    """
    key = ParcelKey(aoi, year, ptype or "", str(pid))
    columns = sources.here(lake).answer(Peers(key, float(distance), int(max_peers)))
    file = folders.write(aoi, year, str(pid), "parcel_peers.json", json.dumps(columns))
    if debug:
        log.debug("%d peers of parcel %s written to %s", len(columns["pids"]), pid, file)
    return columns
