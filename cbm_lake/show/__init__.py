"""Figures of parcels: time series, satellite images, orthophotos, parcel information and calendar views of a year.

All are matplotlib figures, which belong to no global state, or, with `interactive=True`, objects of holoviews.
"""

from cbm_lake.show import background, calendar, chip_images, crop_check, parcel_info, time_series

__all__ = ["background", "calendar", "chip_images", "crop_check", "parcel_info", "time_series"]
