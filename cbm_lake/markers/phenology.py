"""Smooth curves of parcels as rows, and the season that they tell as columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.arguments import checked
from cbm_lake.markers import series
from cbm_lake.markers.finding import dates
from cbm_lake.markers.parameters import Parameters, read
from cbm_lake.markers.series import Seen
from cbm_lake.markers.smoothing import Curves, curves, seasons

_DATES = ("start", "peak", "end")


@checked
def phenology(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """Start, peak and end of the main season of every parcel, read from its smooth NDVI.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        parameters: what differs from cbm_lake/markers/defaults.yaml; the groups season, clear, spike and smooth count.
        pids: only these parcels.
        lake: the lake; None is the workspace's.

    Returns:
        One row per parcel: pid, crop_name, season_start, season_peak, season_end (dates; null where the season was
        under way when the series began, goes on when it ends, or there is none), peak_ndvi, base_ndvi, amplitude,
        length_days, integral (NDVI x days), dates (clear ones) and observable.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    chosen = read(parameters)
    seen, found = _curves(aoi, year, ptype, chosen, pids, lake)
    columns = seasons(found, chosen.smooth)
    return pa.table(
        {
            "pid": seen.pids,
            "crop_name": pa.array(seen.crops, pa.string()),
            **{f"season_{name}": dates(columns.pop(name)) for name in _DATES},
            **{name: pa.array(column, pa.float64(), from_pandas=True) for name, column in columns.items()},
            "dates": seen.dates,
            "observable": seen.observable,
        }
    )


@checked
def smoothed(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    parameters: Mapping[str, Any] | str | Path | None = None,
    pids: Sequence[str] | None = None,
    lake: Lake | None = None,
) -> pa.Table:
    """The smooth NDVI of every parcel on a common grid of days, gaps filled.

    Args: as of `phenology`.

    Returns:
        One row per parcel and step from its first to its last clear date: pid, date, ndvi, and filled, which is true
        where the step had no clear view of its own.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    seen, found = _curves(aoi, year, ptype, read(parameters), pids, lake)
    parcel, step = np.nonzero(~np.isnan(found.value))
    return pa.table(
        {
            "pid": seen.pids.take(pa.array(parcel)),
            "date": dates(found.day[step].astype(np.float64)),
            "ndvi": found.value[parcel, step],
            "filled": ~found.seen[parcel, step],
        }
    )


def _curves(
    aoi: str, year: int, ptype: str | None, chosen: Parameters, pids: Sequence[str] | None, lake: Lake
) -> tuple[Seen, Curves]:
    parcels = lake.parcel_set(aoi, year, ptype)
    seen = series.read(lake, parcels, chosen, pids)
    return seen, curves(seen.ndvi, *chosen.season.days(parcels.year), chosen.smooth)
