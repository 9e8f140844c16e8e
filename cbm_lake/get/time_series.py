"""What the satellites saw of a parcel over time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cbm_lake import cards, schemas
from cbm_lake.errors import NotFoundError
from cbm_lake.get import folders, parcel_info
from cbm_lake.lake import Lake, open_lake

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

_COLUMNS = ("date_part", "band", "count", "mean", "std", "min", "p25", "p50", "p75", "max")


def by_pid(
    aoi: str,
    year: int,
    pid: str,
    tstype: str = "s2",
    ptype: str | None = None,
    band: str = "",
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """The parcel's statistics by time and band; also written to temp/<aoi>/<year>/<pid>/time_series_<tstype><band>.csv.

    Args:
        aoi: area.
        year: year of the declaration.
        pid: identifier of the parcel.
        tstype: card: s2, bs or c6.
        ptype: which parcel set; None is the main one.
        band: one band only; "" is all.
        debug: tell the log (level DEBUG) what is done.
        lake: the lake; None is the workspace's.

    Returns:
        date_part (seconds since 1970, UTC), band, count, mean, std, min, p25, p50, p75, max (harmonised DN for s2,
        linear values for bs and c6); for s2 also hist: pixels of each scene class, {"4": 120}. No rows when nothing
        was extracted yet.

    Raises:
        NotFoundError: no such parcel.
        InvalidInputError: unknown tstype or band.
    """
    lake = lake or open_lake()
    card = cards.get(tstype)
    bands = [*card.check_bands((band,))] if band else None
    parcels = lake.parcel_set(aoi, year, ptype)
    key = {"aoi": parcels.aoi, "year": parcels.year, "ptype": parcels.ptype, "pid": str(pid)}
    frame = lake.query(f"time_series.{tstype}", **key, bands=bands).to_pandas()
    if frame.empty and not lake.query("parcels.by_pid", **key).num_rows:
        raise NotFoundError(
            f"no parcel {pid!r} in {parcels.name}; identifiers are text, exactly as the agency wrote them"
        )
    columns = list(_COLUMNS)
    frame["count"] = frame["count"].astype(float)  # as in the original's files, where every number is a float
    if tstype == "s2":
        frame["hist"] = [_histogram(counts) for counts in frame["scl"]]
        columns.append("hist")
    frame = frame[columns]
    file = folders.write(parcels.aoi, parcels.year, str(pid), f"time_series_{tstype}{band}.csv", frame.to_csv())
    if debug:
        log.debug("%d rows of parcel %s of %s written to %s", len(frame), pid, parcels.name, file)
    return frame


def by_location(
    aoi: str,
    year: int,
    lon: float,
    lat: float,
    tstype: str = "s2",
    ptype: str | None = None,
    band: str = "",
    debug: bool = False,
    *,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """The statistics of the parcel at a place; where several meet there, of the one whose pid comes first.

    Args and errors are those of `by_pid` and of `parcel_info.by_location`.
    """
    found = parcel_info.by_location(aoi, year, lon, lat, ptype, geom=False, debug=debug, lake=lake)
    return by_pid(aoi, year, found["pid"][0], tstype, ptype, band, debug, lake=lake)


def _histogram(counts: Any) -> dict[str, int]:
    return {str(value): int(count) for value, count in zip(schemas.CLASSES, counts, strict=True) if count and count > 0}
