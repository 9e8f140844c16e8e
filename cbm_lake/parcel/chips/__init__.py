"""Chips: small windows of scenes around a position, from the cube or the scene files, as GeoTIFF or xarray.

All values are harmonised: DN are reflectance x 10000 for any processing baseline of the scene, DN 0 is
nodata, and what the offset would make darker than nothing is DN 1. Scene classes and radar stay as they are.
"""

from cbm_lake.parcel.chips.cutouts import Cutout, attempted, cut
from cbm_lake.parcel.chips.files import Chip, check_band, name_of, save, write
from cbm_lake.parcel.chips.maps import HALF_MAP, TILE, mapped, picture, tile
from cbm_lake.parcel.chips.pixels import Reader, read
from cbm_lake.parcel.chips.scenes import LARGEST, Scene, by_id, check_rasters, covering, meeting

__all__ = [
    "HALF_MAP",
    "LARGEST",
    "TILE",
    "Chip",
    "Cutout",
    "Reader",
    "Scene",
    "attempted",
    "by_id",
    "check_band",
    "check_rasters",
    "covering",
    "cut",
    "mapped",
    "meeting",
    "name_of",
    "picture",
    "read",
    "save",
    "tile",
    "write",
]
