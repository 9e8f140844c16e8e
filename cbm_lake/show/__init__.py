"""Figures of parcels: time series, satellite images, orthophotos, parcel information, calendar views of a year,
years compared, and maps of what became of parcels.

All are matplotlib figures, which belong to no global state, or, with `interactive=True`, objects of holoviews.
"""

from cbm_lake.show import background, calendar, chip_images, crop_check, lineage, parcel_info, time_series, years

__all__ = [
    "background",
    "calendar",
    "chip_images",
    "crop_check",
    "lineage",
    "parcel_info",
    "time_series",
    "years",
]
