"""THEIA Sentinel-2 Level-2A products of MAJA (…_FRE_B4.tif, reflectance x 10000, no offset) as STAC items.

Its reflectance is corrected for slopes (FRE); it has no scene classes, so that nothing is screened by them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np
import shapely

from cbm_lake import cards
from cbm_lake.card2db import ground
from cbm_lake.card2db.container import Container
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.rasters import Raster

log = logging.getLogger(__name__)

MEMBER: Final = re.compile(r"((?:[^/]+/)*?)SENTINEL2[A-D]_[\w-]+_FRE_B\d+A?\.tif$")
"""A file of a THEIA product in an archive; its group is the product folder."""
_BAND = re.compile(r"SENTINEL2[A-D]_[\w-]+_FRE_(?P<band>B\d+A?)\.tif$")
_NAME = re.compile(
    r"SENTINEL2(?P<unit>[A-D])_(?P<day>\d{8})-(?P<time>\d{6})-(?P<milli>\d{3})_L2A_T(?P<tile>\d\d[A-Z]{3})_"
)
_NODATA: Final = -10000
_QUANTIFICATION = re.compile(r"<REFLECTANCE_QUANTIFICATION_VALUE[^>]*>\s*([\d.]+)")


def is_product(members: Collection[str]) -> bool:
    """Whether a folder with these files is a THEIA product."""
    return any(_BAND.match(member) for member in members)


def to_items(files: Container) -> Iterator[dict[str, Any]]:
    """Build the STAC item of a product.

    Raises:
        InvalidInputError: its name is another than THEIA's, or its numbers are of another scale.
        SourceError: it has no raster that can be read, or does not declare which number means nodata.
    """
    members = {match["band"]: name for name in files.members if (match := _BAND.match(name))}
    parts = _NAME.match(next(iter(members.values())))
    if parts is None:
        raise InvalidInputError(f"{files.name}: its name is not that of a Level-2A product of MAJA")
    _check_scale(files)
    assets, first = _assets(files, members)
    name = files.name
    properties = {
        "datetime": f"{parts['day']}T{parts['time']}.{parts['milli']}Z",
        "constellation": "sentinel-2",
        "platform": f"sentinel-2{parts['unit'].lower()}",
        "processing:level": "L2A",
        "s2:product_type": "S2MSI2A",
        "proj:code": f"EPSG:{first.grid.epsg}",
        "grid:code": f"MGRS-{parts['tile']}",
        "boa_offset": 0,
    }
    yield {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": shapely.geometry.mapping(ground.geometry(first)),
        "properties": properties,
        "links": [{"rel": "product", "href": files.location}],
        "assets": assets,
    }


def _assets(files: Container, members: dict[str, str]) -> tuple[dict[str, dict[str, Any]], Raster]:
    """Assets of the card's bands, and the header of the first."""
    assets: dict[str, dict[str, Any]] = {}
    rasters: dict[str, Raster] = {}
    for key, member in members.items():
        band = cards.S2.asset_band(key)
        if band is None:
            continue
        rasters[band] = raster = Raster.inspect(files.href(member))
        if np.dtype(raster.dtype).kind not in "iu" or raster.nodata != _NODATA:
            raise SourceError(
                f"{files.name}: {member} is of {raster.dtype} and declares nodata {raster.nodata}, where whole numbers "
                f"with nodata {_NODATA} are expected; declare it (gdal_edit.py -a_nodata {_NODATA} FILE)"
            )
        assets[band] = {"href": raster.href, "type": "image/tiff; application=geotiff"}
    ground.check_grids(files.name, rasters)
    return assets, next(iter(rasters.values()))


def _check_scale(files: Container) -> None:
    """Check that 10000 represents a reflectance of 1."""
    metadata = next((member for member in files.members if member.endswith("_MTD_ALL.xml") and "/" not in member), None)
    match = _QUANTIFICATION.search(files.text(metadata)) if metadata else None
    if match and float(match[1]) != 10000:
        raise InvalidInputError(f"{files.name}: its numbers are {match[1]} x reflectance, where 10000 is expected")
    if match is None:
        log.warning("%s has no metadata of its scale: taken as 10000 x reflectance, as MAJA writes it", files.name)
