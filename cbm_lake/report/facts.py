"""Facts of a report: the numbers and texts that one snapshot of the lake holds about a parcel."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any, Final

import shapely

from cbm_lake import markers
from cbm_lake.cards import CLOUD_CLASSES
from cbm_lake.errors import NotFoundError
from cbm_lake.files import installed
from cbm_lake.foi import result as foi
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.markers import cropchecks
from cbm_lake.parcel.sources import LakeSource, Peers

FORMAT: Final = 2
"""Of the evidence; a later one may say more."""
_DIGITS: Final = 9
"""Digits to which numbers are written: more than float32, in which they are kept, has."""
_MOST_PEERS: Final = 10
_SHARE: Final = "clear_share"

Facts = dict[str, Any]
Key = dict[str, Any]
"""aoi, year, ptype, pid."""


def gather(source: LakeSource, key: Key, *, for_farmer: bool = False, with_shares: bool = True) -> Facts:
    """Gather the facts of a report as JSON-compatible values: texts, numbers, ISO timestamps.

    Args:
        source: a lake as it was at a timestamp, so that the same can be asked again.
        key: aoi, year, ptype, pid.
        for_farmer: without what is in no notice: the nearest parcels of the same crop, which are other people's, and
            what colleagues decided.
        with_shares: also which share of the parcel was clear, see `says_shares`.

    Raises:
        NotFoundError: no such parcel.
    """
    lake, screen = source.lake, {"screen": list(CLOUD_CLASSES)}
    values = {
        "parcel": _parcel(source, key),
        "optical": [
            {name: value for name, value in row.items() if with_shares or name != _SHARE}
            for row in _rows(lake, "report.optical", key | screen)
        ],
        "radar": _rows(lake, "time_series.radar", key),
        "scenes": _rows(lake, "report.scenes", key),
        "markers": _rows(lake, "report.markers", key),
        "lights": _lights(lake, key),
        **({"crop_check": checked} if (checked := crop_check(lake, key)) else {}),
        **({} if for_farmer else {"peers": _peers(source, key)}),
        **({"judgements": decided} if not for_farmer and (decided := judgements(lake, key)) else {}),
        "mask": list(CLOUD_CLASSES),
    }
    return {name: plain(value) for name, value in values.items()}


def says_shares(values: Facts) -> bool:
    """Whether facts say which share of the parcel was clear in each scene: those of early versions do not."""
    return not values["optical"] or any(_SHARE in row for row in values["optical"])


def hidden_share(row: Facts) -> float | None:
    """Share of the parcel that clouds hide in a scene, one of the optical facts; None where it is not known."""
    if row.get(_SHARE) is not None:
        return float(1 - row[_SHARE])
    cloud: float | None = row["cloud"]
    return cloud


def foi_results(lake: Lake, key: Key) -> list[Facts]:
    """FOI results of a parcel in the lake. They are plain files that a later check overwrites."""
    results = []
    for name, aoi in foi.in_lake(lake).items():
        if aoi == key["aoi"]:
            rows = (row for batch in foi.batches(lake, name) for row in _of_parcel(batch, key["pid"]))
            results += [plain({"check": name, **row}) for row in rows]
    return results


def open_at(moment: str, url: str | None = None) -> Lake:
    """Open the lake as of a timestamp."""
    return open_lake(url, as_of=moment)


def now() -> str:
    """The current timestamp, in the format of the evidence."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def snapshot(lake: Lake) -> Facts:
    """Table versions of a lake and the software that wrote them."""
    state = lake.snapshot()
    return {"versions": dict(state.versions), "scenes": len(state.scenes), "cbm_lake": installed.version()}


def digest(value: Any) -> str:
    """SHA-256 of a value as canonical JSON."""
    return hashlib.sha256(text(value).encode()).hexdigest()


def text(value: Any) -> str:
    """Serialize a value as JSON with sorted keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def plain(value: Any) -> Any:
    """Convert to JSON values: ISO timestamps, null for NaN, numbers rounded to nine digits."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None
    return value


def _rows(lake: Lake, query: str, params: Key) -> list[Facts]:
    rows: list[Facts] = lake.query(query, **params).to_pylist()
    return rows


def _parcel(source: LakeSource, key: Key) -> Facts:
    row = dict(source.declared_row(ParcelKey(**key)))
    outline = row.pop("geometry")
    shape = shapely.from_wkb(outline)
    degrees = reprojected(shape, row["epsg"], 4326)
    declared = source.lake.parcel_set(key["aoi"], key["year"], key["ptype"])
    columns = {name: value for name, value in row.items() if name != "bbox"}
    return {
        **columns,
        "version": declared.version,
        "outline_sha256": hashlib.sha256(outline).hexdigest(),
        "perimeter": float(shape.length) if row["epsg"] != 4326 else None,
        "bounds": list(degrees.bounds),
    }


def _lights(lake: Lake, key: Key) -> list[Facts]:
    """Traffic light of the parcel in each applicable scenario, by the default rules."""
    try:
        lights = markers.traffic_light(key["aoi"], key["year"], key["ptype"], pids=[key["pid"]], lake=lake)
    except NotFoundError:  # no markers were found yet
        return []
    return list(lights.drop_columns(["pid", "crop_name"]).to_pylist())


def crop_check(lake: Lake, key: Key) -> Facts | None:
    """What the last crop check says of the parcel, and what it promised; None where the parcel was not checked."""
    rows = _rows(lake, "crops.verdict_of", key) if cropchecks.has_any(lake) else []
    return rows[0] if rows else None


def judgements(lake: Lake, key: Key) -> list[Facts]:
    """All that was decided of the parcel's lights, in order, as JSON-compatible values."""
    rows: list[Facts] = plain(_rows(lake, "report.judgements", key))
    return rows


def _peers(source: LakeSource, key: Key) -> Facts:
    try:
        return source.answer(Peers(ParcelKey(**key), limit=_MOST_PEERS))
    except NotFoundError:
        return {"pids": [], "distance": []}


def _of_parcel(batch: Any, pid: str) -> list[Facts]:
    """Rows of a parcel in a batch of a FOI result, matched by the first column, without geometry."""
    rows = batch.drop_columns(["geometry"])
    return [row for row in rows.to_pylist() if str(next(iter(row.values()))) == pid]
