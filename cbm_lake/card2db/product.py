"""Sentinel-2 products on disk (SAFE folders) as STAC items, from whatever of their metadata is there."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import shapely

from cbm_lake import cards
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.reprojection import reprojected

_METADATA: Final = "MTD_MSIL2A.xml"
_RASTER = re.compile(r"_(?P<key>B\d\d|B8A|SCL)(?:_(?P<metres>\d\d)m)?$")
_TILE = re.compile(r"_T(?P<tile>\d{2}[A-Z]{3})(?:_|$)")
_NAME = re.compile(r"S2[A-D]_\w*L2A\w*")
_TYPES: Final = {".jp2": "image/jp2", ".tif": "image/tiff; application=geotiff"}
_BAND_IDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""The bands by the numbers that the metadata calls them by."""


def find(folder: Path) -> tuple[list[Path], list[str]]:
    """The products at or below a folder, and what is refused there with the reason.

    Raises:
        SourceError: there is no such folder.
    """
    if not folder.is_dir():
        raise SourceError(f"folder {folder} does not exist; give a .SAFE folder or one that holds some")
    products, refused = [], []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        refused += [f"{here / name}: it is zipped; unpack it" for name in files if name.endswith(".SAFE.zip")]
        if here.suffix == ".SAFE" or _METADATA in files:
            products.append(here)
            folders.clear()
        else:
            # os.walk does not enter linked folders: a linked product is taken here
            products += [here / name for name in folders if name.endswith(".SAFE") and (here / name).is_symlink()]
    return sorted(products), sorted(refused)


def to_items(product: Path) -> Iterator[dict[str, Any]]:
    """One STAC item per tile of a product (the oldest products hold several), footprints taken from the rasters.

    Raises:
        InvalidInputError: it is not a Level-2A product of Sentinel-2.
        SourceError: it has no raster that can be read.
    """
    text = _read(product / _METADATA)
    name = next((n for n in (_tag(text, "PRODUCT_URI_2A"), _tag(text, "PRODUCT_URI"), product.name) if n), "")
    name = name.removesuffix(".SAFE")
    if not _NAME.match(name):
        raise InvalidInputError(f"{product.name}: it is not a Level-2A product of Sentinel-2")
    granules = sorted(path for path in product.glob("GRANULE/*") if path.is_dir())
    if not granules:
        raise SourceError(f"{product.name}: it has no granule; fetch it again")
    for granule in granules:
        tile = _tile(granule)
        yield _item(name if len(granules) == 1 else f"{name}_T{tile}", name, text, granule, tile)


def rasters(folder: Path) -> dict[str, Path]:
    """The raster of each band at the card's pixel size, of old naming or new, below a product or granule."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("IMG_DATA/**/*")):
        parts = _RASTER.search(path.stem)
        if parts and path.suffix in _TYPES:
            band = cards.asset_band(parts["key"] + (f"_{parts['metres']}m" if parts["metres"] else ""))
            if band is not None:
                found[band] = path
    return found


def to_assets(folder: Path, offsets: dict[str, float] | None = None) -> dict[str, dict[str, Any]]:
    """The bands' rasters as STAC assets, with the offset (in stored numbers) where it is known."""
    assets: dict[str, dict[str, Any]] = {}
    for band, path in rasters(folder).items():
        assets[band] = {"href": str(path.resolve()), "type": _TYPES[path.suffix]}
        if offsets and band in offsets:
            assets[band]["raster:bands"] = [{"scale": 0.0001, "offset": offsets[band] * 0.0001}]
    return assets


def _item(identifier: str, name: str, text: str, granule: Path, tile: str | None) -> dict[str, Any]:
    assets = to_assets(granule, _offsets(text))
    crs, outline = _ground(identifier, assets)
    taken = re.search(r"\d{8}T\d{6}", name)
    properties = {
        "datetime": _tag(text, "PRODUCT_START_TIME") or (f"{taken[0]}Z" if taken else None),
        "platform": (_tag(text, "SPACECRAFT_NAME") or f"sentinel-{name[1:3]}").lower(),
        "eo:cloud_cover": _tag(text, "Cloud_Coverage_Assessment") or _tag(text, "CLOUD_COVERAGE_PERCENTAGE"),
        "proj:code": crs,
        "grid:code": f"MGRS-{tile}" if tile else None,
        "sat:relative_orbit": _tag(text, "SENSING_ORBIT_NUMBER"),
        "sat:orbit_state": _tag(text, "SENSING_ORBIT_DIRECTION"),
        "s2:processing_baseline": _tag(text, "PROCESSING_BASELINE"),
        "s2:datatake_id": _attribute(text, "datatakeIdentifier"),
        "s2:product_uri": name,
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": identifier,
        "geometry": shapely.geometry.mapping(outline),
        "properties": properties,
        "links": [{"rel": "product", "href": str(granule.parent.parent.resolve())}],
        "assets": assets,
    }


def _ground(name: str, assets: dict[str, dict[str, Any]]) -> tuple[str, shapely.Geometry]:
    """Coordinate system and outline in degrees of the first raster that can be read.

    Metadata give the outline of the whole tile even where a product was cropped; the rasters tell what is there.
    """
    import rasterio

    problem = "it has no raster of a band"
    for asset in assets.values():
        try:
            with rasterio.open(asset["href"]) as raster:
                if raster.crs is not None:
                    epsg = raster.crs.to_epsg()
                    crs = f"EPSG:{epsg}" if epsg else raster.crs.to_wkt()
                    box = shapely.box(*raster.bounds)
                    dense = shapely.segmentize(box, box.length / 32)  # straight in metres is bent in degrees
                    return crs, reprojected(dense, crs, 4326)
                problem = f"{asset['href']} has no coordinate system"
        except rasterio.errors.RasterioIOError as error:
            problem = str(error).splitlines()[0]
    raise SourceError(f"{name}: none of its rasters can be read ({problem}); fetch it again")


def _offsets(text: str) -> dict[str, float]:
    """The BOA_ADD_OFFSET of each band that the metadata state, in stored numbers."""
    found = re.findall(r'<BOA_ADD_OFFSET\s+band_id="(\d+)"\s*>\s*(-?[\d.]+)', text)
    return {_BAND_IDS[int(number)]: float(value) for number, value in found if int(number) < len(_BAND_IDS)}


def _tile(granule: Path) -> str | None:
    """The tile that a granule's name or its rasters' names carry."""
    found = _TILE.search(granule.name) or next(
        (match for path in rasters(granule).values() if (match := _TILE.search(f"_{path.stem}"))), None
    )
    return found["tile"] if found else None


def _read(path: Path) -> str:
    """The text of a metadata file, empty when there is none: much can be told without."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _tag(text: str, name: str) -> str | None:
    # not an XML parser: one would refuse a truncated file, and would have to be guarded against hostile ones
    found = re.search(rf"<{name}[^>]*>\s*([^<]+?)\s*</{name}>", text)
    return found[1] if found else None


def _attribute(text: str, name: str) -> str | None:
    found = re.search(rf'{name}="([^"]+)"', text)
    return found[1] if found else None
