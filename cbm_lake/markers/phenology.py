"""`phenology` and `smoothed`: season dates and smooth NDVI curves of the parcels of a set, as tables."""

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
from cbm_lake.markers.series import Observations
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
    """Start, peak and end of the main season of every parcel, derived from its smooth NDVI.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        parameters: overrides of cbm_lake/markers/defaults.yaml; the groups season, clear, spike and smooth matter.
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
    resolved = read(parameters)
    observations, smooth = _curves(aoi, year, ptype, resolved, pids, lake)
    columns = seasons(smooth, resolved.smooth)
    return pa.table(
        {
            "pid": observations.pids,
            "crop_name": pa.array(observations.crops, pa.string()),
            **{f"season_{name}": dates(columns.pop(name)) for name in _DATES},
            **{name: pa.array(column, pa.float64(), from_pandas=True) for name, column in columns.items()},
            "dates": observations.dates,
            "observable": observations.observable,
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

    Arguments are those of `phenology`.

    Returns:
        One row per parcel and step from its first to its last clear date: pid, date, ndvi, and filled, which is true
        where the step had no clear view of its own.

    Raises:
        NotFoundError: no such parcels were loaded, or one of `pids` is not among them.
        InvalidInputError: a parameter is unknown or out of range.
    """
    lake = lake_or_default(lake)
    observations, smooth = _curves(aoi, year, ptype, read(parameters), pids, lake)
    parcel, step = np.nonzero(~np.isnan(smooth.value))
    return pa.table(
        {
            "pid": observations.pids.take(pa.array(parcel)),
            "date": dates(smooth.day[step].astype(np.float64)),
            "ndvi": smooth.value[parcel, step],
            "filled": ~smooth.observed[parcel, step],
        }
    )


def _curves(
    aoi: str, year: int, ptype: str | None, parameters: Parameters, pids: Sequence[str] | None, lake: Lake
) -> tuple[Observations, Curves]:
    parcels = lake.parcel_set(aoi, year, ptype)
    observations = series.read(lake, parcels, parameters, pids, for_detectors=False)
    return observations, curves(observations.ndvi, *parameters.season.days(parcels.year), parameters.smooth)
