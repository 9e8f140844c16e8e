"""Get data of single parcels, also as files under temp/<aoi>/<year>/<pid>/."""

from cbm_lake.get import folders, parcel_info, time_series

__all__ = ["folders", "parcel_info", "time_series"]
