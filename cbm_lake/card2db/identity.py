"""Product identity: datastrip, production time and catalogue revision tell reprocessed products apart.

Names are never enough. Providers reprocess in place, under the same id and addresses; receiving stations deliver one
tile in two halves under one baseline; and one datastrip is delivered twice. The view `superseding` compares what is
found here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cbm_lake.card2db.scene import Item
    from cbm_lake.lake.records import SceneRecord

log = logging.getLogger(__name__)

_DATASTRIP = re.compile(r"_DS_\w{4}_\d{8}T\d{6}_S(?P<start>\d{8}T\d{6})")
"""The identifier of a datastrip: who made it, when, and the start of its sensing."""
_GRANULE = re.compile(r"(?:^|/)L2A_T\d{2}[A-Z]{3}_A\d{6}_(?P<start>\d{8}T\d{6})(?:/|$)")
"""The name of a granule, which carries the start of its datastrip's sensing too."""
_DISCRIMINATOR = re.compile(r"^S2[A-D]_MSIL2A_\d{8}T\d{6}(?:_N\d{4})?_R\d{3}_T\d{2}[A-Z]{3}_(?P<time>\d{8}T\d{6})")
"""The last timestamp in a product name, which distinguishes products of one datatake; it follows the processing."""
_BURST = re.compile(
    r"T(?P<track>\d{3})-(?P<burst>\d{6})-(?P<swath>IW\d)_(?P<start>\d{8}T\d{6})Z_(?P<made>\d{8}T\d{6})Z"
)
"""A burst in the names of OPERA: where it lies, the start of its sensing, and when it was processed."""
_NEAR_REAL_TIME: Final = "NRT"
_PRODUCED: Final = (
    "s2:generation_time",
    "s1:processing_datetime",
    "processing:datetime",
    "sentinel:generation_time",
    "created",
)
"""Properties that say when a product was made, the most telling first."""
_REVISED: Final = (
    "acquisition",
    "reference",
    "datastrip",
    "s2:processing_baseline",
    "produced",
    "updated",
    "boa_offset",
)


def datastrip(item: Item) -> datetime | None:
    """Sensing start of the Sentinel-2 datastrip, or None."""
    names = [str(item.properties.get(name, "")) for name in ("s2:datastrip_id", "eopf:datastrip_id")]
    result = next((match for match in map(_DATASTRIP.search, names) if match), None)
    if result is None:
        granules = (str(item.properties.get("s2:granule_id", "")), *(asset["href"] for asset in item.assets.values()))
        result = next((match for match in map(_GRANULE.search, granules) if match), None)
    return _time(result["start"]) if result and item.kind.shifted else None


def produced(item: Item) -> datetime | None:
    """Production time, from the product name or as stated; None if unknown, and for near-real-time radar.

    So a near-real-time slice never takes the place of the one that was processed with precise orbits.
    """
    if str(item.properties.get("s1:product_timeliness", "")).upper().startswith(_NEAR_REAL_TIME):
        return None
    named = _DISCRIMINATOR.match(item.reference)
    if named:
        return _time(named["time"])
    if match := _BURST.search(item.reference):
        return _time(match["made"])
    product = item.kind.product.pattern.search(item.reference) if item.kind.product else None
    if product and product["made"]:
        return _time(product["made"])
    return next((timestamp for name in _PRODUCED if (timestamp := _stated(item, name))), None)


def burst(reference: str) -> tuple[str, str] | None:
    """Sensing start and burst id (T069-147170-IW1) of a burst product; None for other names."""
    match = _BURST.search(reference)
    return (match["start"], f"T{match['track']}-{match['burst']}-{match['swath']}") if match else None


def updated(item: Item) -> datetime | None:
    """Timestamp of the item's last update, or None."""
    return _stated(item, "updated")


def revision(row: SceneRecord) -> str:
    """Digest of the entry's product statements and raster addresses; equal entries have equal digests.

    Args:
        row: of schemas.SCENES, but for its revision.
    """
    assets = {band: asset["href"] for band, asset in sorted(row["assets"].items())}
    facts = [assets, *(str(value) for value in map(row.get, _REVISED))]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _stated(item: Item, name: str) -> datetime | None:
    """Parse a timestamp property; invalid ones are ignored rather than refusing the scene."""
    if name not in item.properties:
        return None
    try:
        return _time(item.properties[name])
    except (TypeError, ValueError):
        log.info("%s has %s %r, which is no time", item.document["id"], name, item.properties[name])
        return None


def _time(value: str | datetime) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
