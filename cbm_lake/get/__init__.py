"""Get data of single parcels, also as files under temp/<aoi>/<year>/<pid>/."""

from cbm_lake.get import parcel_info, time_series

__all__ = ["parcel_info", "time_series"]
