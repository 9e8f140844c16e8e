"""Figures of parcels: curves over time, images of scenes, orthophotos, what is declared, and calendars of a year.

All are matplotlib figures, which belong to no global state, or, with `interactive=True`, objects of holoviews.
"""

from cbm_lake.show import background, calendar, chip_images, parcel_info, time_series

__all__ = ["background", "calendar", "chip_images", "parcel_info", "time_series"]
