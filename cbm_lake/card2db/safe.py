"""Sentinel-2 Level-2A SAFE products (folders or zip archives) as STAC items, from the available metadata."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

import shapely

from cbm_lake import cards
from cbm_lake.card2db import ground
from cbm_lake.card2db.container import Container
from cbm_lake.errors import InvalidInputError, SourceError

log = logging.getLogger(__name__)

MEMBER: Final = re.compile(r"((?:[^/]+/)*?[^/]+\.SAFE)/|((?:[^/]+/)*)MTD_MSIL2A\.xml$")
"""A file of a SAFE product in an archive; the last matching group is the product folder."""
_METADATA = re.compile(r"(?:MTD_MSIL2A|S2[A-D]_USER_MTD_SAFL2A\w+)\.xml$")
_TILE_METADATA = re.compile(r"(?:MTD_TL|S2[A-D]_USER_MTD_L2A_TL\w+)\.xml$")
_GRANULE = re.compile(r"(GRANULE/[^/]+)/")
_RASTER = re.compile(r"/IMG_DATA/(?:.*/)?[^/]+_(?P<key>B\d\d|B8A|SCL)(?:_(?P<metres>\d\d)m)?(?P<suffix>\.jp2|\.tif)$")
_TILE = re.compile(r"_T(?P<tile>\d{2}[A-Z]{3})(?:_|$|\.)")
_NAME = re.compile(r"S2[A-D]_\w*L2A\w*")
_LEVEL = re.compile(r"(?:S2MSI|Level-|LEVEL)(?P<level>\d[A-Z])", re.IGNORECASE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TYPES: Final = {".jp2": "image/jp2", ".tif": "image/tiff; application=geotiff"}
_BAND_IDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""The bands by the numbers that the metadata calls them by."""


def is_product(folder: Path, names: Collection[str]) -> bool:
    """Whether a folder with these files is a SAFE product, of any mission."""
    return folder.suffix == ".SAFE" or "MTD_MSIL2A.xml" in names


def to_items(files: Container) -> Iterator[dict[str, Any]]:
    """One STAC item per tile of a product (the oldest hold several), with footprints from the rasters.

    Raises:
        InvalidInputError: it is not a Level-2A product of Sentinel-2.
        SourceError: it has no raster that can be read.
    """
    text = _text(files, _METADATA)
    name = next((n for n in (_tag(text, "PRODUCT_URI_2A"), _tag(text, "PRODUCT_URI"), files.name) if n), "")
    name = name.removesuffix(".SAFE")
    _check(files.name, name, text)
    granules = sorted({match[1] for member in files.members if (match := _GRANULE.match(member))})
    if not granules:
        raise SourceError(f"{files.name}: it has no granule; fetch it again")
    for granule in granules:
        tile = _tile(files, granule)
        yield _item(name if len(granules) == 1 else f"{name}_T{tile}", name, text, files, granule, tile)


def rasters(files: Container, granule: str = "GRANULE") -> dict[str, str]:
    """Path of each band's raster at the card's pixel size, by the old or the new naming."""
    members: dict[str, str] = {}
    for member in files.members:
        parts = _RASTER.search(member) if member.startswith(f"{granule}/") else None
        if parts:
            band = cards.S2.asset_band(parts["key"] + (f"_{parts['metres']}m" if parts["metres"] else ""))
            if band is not None:
                members[band] = member
    return members


def _check(folder: str, name: str, text: str) -> None:
    """Refuse products other than Sentinel-2 Level-2A."""
    if re.match(r"S1[A-D]_", name):
        raise InvalidInputError(
            f"{folder}: it is of Sentinel-1 in radar geometry; card bs needs backscatter on the ground (CARD-BS, RTC), "
            "card c6 coherence (CARD-COH6)"
        )
    level = _LEVEL.search(f"{_tag(text, 'PRODUCT_TYPE') or ''} {_tag(text, 'PROCESSING_LEVEL') or ''}")
    if not _NAME.match(name) or (level and level["level"].upper() != "2A"):
        stated = f" (its metadata says Level-{level['level'].upper()})" if level else ""
        raise InvalidInputError(f"{folder}: it is not a Level-2A product of Sentinel-2{stated}")


def _item(identifier: str, name: str, text: str, files: Container, granule: str, tile: str | None) -> dict[str, Any]:
    assets = _assets(files, granule, text)
    first = ground.first_readable(identifier, (str(asset["href"]) for asset in assets.values()))
    missing = [band for band in cards.S2.rasters if band not in assets]
    if missing:
        log.warning("%s lacks %s; it is catalogued with what it has", identifier, ", ".join(missing))
    properties = {
        **_properties(name, text, _text(files, _TILE_METADATA, f"{granule}/"), tile),
        "proj:code": f"EPSG:{first.grid.epsg}",
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": identifier,
        "geometry": shapely.geometry.mapping(ground.geometry(first)),
        "properties": {key: value for key, value in properties.items() if value is not None},
        "links": [{"rel": "product", "href": files.location}],
        "assets": assets,
    }


def _assets(files: Container, granule: str, text: str) -> dict[str, dict[str, object]]:
    """Asset of each band, with the offset from the metadata."""
    offsets = _offsets(text)
    assets: dict[str, dict[str, object]] = {}
    for band, member in rasters(files, granule).items():
        assets[band] = {"href": files.href(member), "type": _TYPES[PurePosixPath(member).suffix]}
        if band in offsets:
            assets[band]["raster:bands"] = [{"scale": 0.0001, "offset": offsets[band] * 0.0001}]
    return assets


def _properties(name: str, text: str, tile_text: str, tile: str | None) -> dict[str, str | None]:
    """Item properties from product and tile metadata and names; None where unknown."""
    acquired = re.search(r"\d{8}T\d{6}", name)
    generated = _tag(text, "GENERATION_TIME")
    return {
        "datetime": _tag(text, "PRODUCT_START_TIME") or (f"{acquired[0]}Z" if acquired else None),
        "created": generated,
        "constellation": "sentinel-2",
        "platform": (_tag(text, "SPACECRAFT_NAME") or f"sentinel-{name[1:3]}").lower(),
        "processing:level": "L2A",
        "eo:cloud_cover": _tag(text, "Cloud_Coverage_Assessment") or _tag(text, "CLOUD_COVERAGE_PERCENTAGE"),
        "grid:code": f"MGRS-{tile}" if tile else None,
        "sat:relative_orbit": _tag(text, "SENSING_ORBIT_NUMBER"),
        "sat:orbit_state": _tag(text, "SENSING_ORBIT_DIRECTION"),
        "s2:processing_baseline": _tag(text, "PROCESSING_BASELINE"),
        "s2:product_type": _tag(text, "PRODUCT_TYPE") or "S2MSI2A",
        "s2:datatake_id": _attribute(text, "datatakeIdentifier"),
        "s2:datastrip_id": _of_tile(text, "datastripIdentifier", tile) or _tag(tile_text, "DATASTRIP_ID"),
        "s2:granule_id": _of_tile(text, "granuleIdentifier", tile) or _tag(tile_text, "TILE_ID"),
        "s2:generation_time": generated,
        "s2:product_uri": name,
    }


def _offsets(text: str) -> dict[str, float]:
    """BOA_ADD_OFFSET per band, in DN."""
    pairs = re.findall(r'<BOA_ADD_OFFSET\s+band_id="(\d+)"\s*>\s*(-?[\d.]+)', text)
    return {_BAND_IDS[int(number)]: float(value) for number, value in pairs if int(number) < len(_BAND_IDS)}


def _tile(files: Container, granule: str) -> str | None:
    """Tile in the name of a granule or its rasters."""
    names = (PurePosixPath(member).stem for member in rasters(files, granule).values())
    result = _TILE.search(granule) or next((match for name in names if (match := _TILE.search(f"_{name}"))), None)
    return result["tile"] if result else None


def _text(files: Container, pattern: re.Pattern[str], folder: str = "") -> str:
    """First metadata file of that name in a product folder, without comments; empty if there is none."""
    names = (member.removeprefix(folder) for member in files.members if member.startswith(folder))
    name = next((name for name in names if pattern.match(name)), None)
    if name is None:
        return ""
    try:
        return _COMMENT.sub("", files.text(f"{folder}{name}"))
    except SourceError as error:  # much is known without: from the name and the rasters
        log.warning("%s: %s", files.name, error)
        return ""


def _tag(text: str, name: str) -> str | None:
    # not an XML parser: one would refuse a truncated file, and would have to be guarded against hostile ones
    match = re.search(rf"<(?:\w+:)?{name}(?:\s[^>]*)?>\s*([^<]+?)\s*</(?:\w+:)?{name}>", text)
    return match[1] if match else None


def _attribute(text: str, name: str) -> str | None:
    match = re.search(rf'{name}="([^"]+)"', text)
    return match[1] if match else None


def _of_tile(text: str, name: str, tile: str | None) -> str | None:
    """Attribute of one granule in the metadata, or of the only one."""
    entries = re.findall(r"<Granules?\s[^>]*>", text)
    fitting = [entry for entry in entries if tile and f"_T{tile}_" in entry] if len(entries) > 1 else entries
    return _attribute(fitting[0], name) if fitting else None
