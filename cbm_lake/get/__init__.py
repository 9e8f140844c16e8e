"""Get data of single parcels and locations, and store it as files under temp/<aoi>/<year>/<pid>/.

Read from the lake, or from a REST server where the settings say so (`set_api_account`).
"""

from cbm_lake.get import (
    background,
    chip_images,
    folders,
    leftovers,
    lists,
    notes,
    parcel_info,
    parcels_list,
    several,
    time_series,
)

__all__ = [
    "background",
    "chip_images",
    "folders",
    "leftovers",
    "lists",
    "notes",
    "parcel_info",
    "parcels_list",
    "several",
    "time_series",
]
