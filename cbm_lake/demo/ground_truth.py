"""Ground truth of the sample as tables: NDVI and clouds per parcel and scene, crops, farm work, and the declaration."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import geopandas as gpd
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cbm_lake.demo import imagery, phenology
from cbm_lake.demo.landscape import EPSG, Landscape
from cbm_lake.demo.phenology import Floats


def of_scene(landscape: Landscape, time: datetime, clear: Mapping[str, Floats], scl: NDArray[np.uint8]) -> pd.DataFrame:
    """True NDVI, clouded share and share outside the swath of each parcel; null where it holds no pixel centre."""
    classes = scl.repeat(2, axis=0).repeat(2, axis=1).ravel()[landscape.pixel]
    count = np.bincount(landscape.pixel_parcel, minlength=len(landscape.parcels)).astype(float)
    count[count == 0] = np.nan

    def mean(values: NDArray[np.generic]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(landscape.pixel_parcel, weights=values, minlength=len(count)) / count)

    red, nir = (mean(clear[band].ravel()[landscape.pixel]) for band in ("B04", "B08"))
    table = landscape.parcels[["pid", "crop", "second", "declared", "kinds"]].copy()
    return table.assign(
        obstime=pd.Timestamp(time),
        ndvi=(nir - red) / (nir + red),
        clouded=mean(np.isin(classes, imagery.UNSEEN_CLASSES)),
        outside=mean(classes == 0),
    )


def kinds(landscape: Landscape) -> pd.DataFrame:
    """The true kind and crops of each parcel, its pixel count and the share of its second crop."""
    second = landscape.parcels["second"].to_numpy(dtype=str)[landscape.pixel_parcel]
    grown = np.array(landscape.covers)[landscape.labels.ravel()[landscape.pixel]]
    pixels = np.bincount(landscape.pixel_parcel, minlength=len(landscape.parcels))
    share_of_pixels = np.bincount(landscape.pixel_parcel, weights=grown == second, minlength=len(pixels))
    table = pd.DataFrame(landscape.parcels[["pid", "declared", "crop", "second", "kinds"]]).rename(
        columns={"kinds": "kind"}
    )
    return table.assign(pixels=pixels, share=share_of_pixels / pixels.clip(1))[pixels > 0]


def events(growth: phenology.Growth, landscape: Landscape) -> pd.DataFrame:
    """Farm work on declared parcels, with the crop that it concerns (a split parcel has two)."""
    work = growth.events()
    owner = landscape.owner[work["surface"].to_numpy()]
    mine = work[owner >= 0]
    days = pd.to_timedelta(mine["day"] - 1, unit="D")
    return pd.DataFrame(
        {
            "pid": landscape.parcels["pid"].to_numpy()[owner[owner >= 0]],
            "crop": [landscape.covers[surface] for surface in mine["surface"]],
            "event": mine["event"].to_numpy(),
            "date": (pd.Timestamp("2024-01-01") + days).dt.date.to_numpy(),
        }
    )


def declaration(parcels: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The parcels as farmers declare them, in EPSG:4326."""
    codes = {crop.name: crop.code for crop in phenology.CROPS}
    columns = {
        "parcel_id": parcels["pid"],
        "crop_name": parcels["declared"],
        "crop_code": parcels["declared"].map(codes),
        "farm_id": parcels["farm_id"],
    }
    return gpd.GeoDataFrame(columns, geometry=parcels.geometry, crs=EPSG).to_crs(4326)
