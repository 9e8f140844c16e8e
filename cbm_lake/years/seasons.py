"""Reads the seasons of a parcel set from the lake."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cbm_lake.cards import CLOUD_CLASSES
from cbm_lake.lake import Lake
from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.years.resemblance import Floats, Seasons

_MONTHLY: Final = ("ndvi", "swir", "mndwi")
_WHOLE: Final = ("ndvi", "ndvi_p10", "ndvi_p90", "ndwi", "mndwi", "ndbi", "red", "swir", "water", "uneven")
_CLOUD: Final = 0.0
"""Share of a parcel's classified pixels that may be in a screened class."""


def read(lake: Lake, parcels: ParcelSet) -> tuple[pa.Table, Seasons]:
    """The declared parcels, in the order of their identifiers, and what was seen of each in the year of the set."""
    declared = lake.query("parcels.declared", **parcels.params, outlines=False)
    rows = lake.query("years.seasons", **parcels.params, screen=list(CLOUD_CLASSES), cloud=_CLOUD)
    count = declared.num_rows
    position, month = (rows[name].to_numpy(zero_copy_only=False) for name in ("place", "month"))
    is_whole = np.isnan(month.astype(np.float64))
    at = position[is_whole]
    days = rows["last"].cast(pa.int32()).to_numpy() - rows["first"].cast(pa.int32()).to_numpy()
    whole = {name: _spread(count, at, _floats(rows, name)[is_whole]) for name in _WHOLE}
    radar = lake.query("years.backscatter", **parcels.params)
    whole["vv"] = _spread(count, radar["place"].to_numpy(), _floats(radar, "vv"))
    monthly = {name: np.full((count, 12), np.nan) for name in _MONTHLY}
    for name, values in monthly.items():
        values[position[~is_whole], month[~is_whole].astype(int) - 1] = _floats(rows, name)[~is_whole]
    seasons = Seasons(
        _crops(declared),
        np.nan_to_num(_spread(count, at, _floats(rows, "looks")[is_whole])),
        np.bincount(position[~is_whole], minlength=count).astype(np.float64),
        np.nan_to_num(_spread(count, at, days[is_whole].astype(np.float64))),
        whole,
        monthly,
    )
    return declared, seasons


def _crops(declared: pa.Table) -> npt.NDArray[np.object_]:
    """The name of the declared crop, or else its code."""
    rows = zip(declared["crop_name"].to_pylist(), declared["crop_code"].to_pylist(), strict=True)
    crops = np.empty(declared.num_rows, object)
    crops[:] = [name or code for name, code in rows]
    return crops


def _floats(rows: pa.Table, name: str) -> Floats:
    return np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=np.float64)


def _spread(count: int, position: npt.NDArray[np.int64], values: Floats) -> Floats:
    """Values at their places, NaN elsewhere."""
    spread = np.full(count, np.nan)
    spread[position] = values
    return spread
