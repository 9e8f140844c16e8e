"""Ranks parcels by their heterogeneity in zonal statistics alone, without a raster: `suspicious`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pandas as pd

from cbm_lake.cards import Classes, scene_classes
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, lake_or_default, looks
from cbm_lake.lake.arguments import checked

BANDS: Final = ("B02", "B03", "B04", "B08")
"""The bands of 10 m: half a parcel is seen in them, where those of 20 m see its edges."""
SCREEN: Final = (3, 8, 9, 10, 11)
"""Scene classes in which the ground is not seen: shadow, clouds, cirrus, snow."""


@checked
def suspicious(
    aoi: str,
    year: int,
    ptype: str | None = None,
    *,
    bands: Sequence[str] = ("B04", "B08"),
    screen: Classes = SCREEN,
    cloud: float = 0.0,
    peers: int = 5,
    dates: int = 3,
    lake: Lake | None = None,
) -> pd.DataFrame:
    """Rank parcels by how much more heterogeneous they are than their crop usually is, most suspicious first.

    Only parcels of at least 8 pixels are there, and only dates on which they were seen; sql/foi/suspicious.sql says how
    the numbers are made.

    Args:
        aoi: area.
        year: year of the declaration.
        ptype: which parcel set; None is the main one.
        bands: some of BANDS.
        screen: scene classes in which the ground is not seen: numbers, or 3_8_9_10_11.
        cloud: greatest share of a parcel, 0 to 1, that may be in them on a date that counts; one stray cloud makes any
            parcel uneven, so 0 unless dates are rare.
        peers: crops with fewer observed parcels on a date are compared with all parcels of that date.
        dates: parcels seen on fewer are left out.
        lake: the lake; None is the workspace's.

    Returns:
        rank (from 1), pid, crop_name ("" where none was declared), dates, and medians over the season of cv (std /
        mean), iqr ((p75 - p25) / mean), cv_z and iqr_z (robust z-scores within the crop and date), and score, the mean
        of both z-scores. A score near 0 is usual; above 5 a parcel differs from its crop far beyond chance.
        `attrs["looks"]` counts the looks at parcels that were clear, cloudy, unknown, cut by an edge or too small.

    Raises:
        NotFoundError: no such parcels were loaded.
        InvalidInputError: a band that is not of 10 m, or a share or number out of range.
    """
    lake = lake_or_default(lake)
    unknown = sorted(set(bands) - set(BANDS))
    if unknown or not bands:
        raise InvalidInputError(f"bands {unknown or 'none'} cannot tell how even a parcel is; give some of {BANDS}")
    if not 0 <= cloud <= 1 or peers < 1 or dates < 1:
        raise InvalidInputError(f"give cloud from 0 to 1, peers and dates from 1, not {cloud}, {peers} and {dates}")
    parcels = lake.parcel_set(aoi, year, ptype)
    key = parcels.params
    screened = list(scene_classes(screen))
    how = {"bands": list(bands), "screen": screened, "cloud": cloud, "peers": peers, "dates": dates}
    ranked = lake.query("foi.suspicious", **key, **how).to_pandas()
    ranked.attrs["looks"] = looks.count(lake, "status.looks", **key, screen=screened, cloud=cloud)
    looks.tell(parcels.name, ranked.attrs["looks"])
    return ranked
