"""Sentinel-1 CARD-BS, CARD-COH6 and CARD-COH12 products (CREODIAS or other output of SNAP) as STAC items.

Layout of the products, which are terrain-corrected:

    <name>/<name>.dim, <name>/<name>.data/Gamma0_VV.img + .hdr     backscatter
    <name>/<name>.tif                                              coherence, band 1 VV, band 2 VH
    <name>/<name>.data/coh_IW1_VV_25Apr2024_01May2024.img + .hdr   coherence of one sub-swath
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import shapely

from cbm_lake.card2db import ground
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.rasters import Raster, opened
from cbm_lake.storage.location import Location

log = logging.getLogger(__name__)

_WORDS: Final = (
    r"(?<![A-Za-z0-9])(?P<kind>gamma0|sigma0|coh|coherence)_(?:(?P<swath>IW[123])_)?(?P<band>VV|VH)"
    r"(?P<rest>(?:_(?:db|mst|slv\d*|ref|sec\d*|\d{2}[a-z]{3}\d{4}))*)"
)
_BAND = re.compile(f"{_WORDS}$", re.IGNORECASE)
_DESCRIBED = re.compile(rf"{_WORDS}\b", re.IGNORECASE)
"""What SNAP calls a band: Gamma0_VV, Sigma0_VH_db, coh_IW1_VV_25Apr2024_01May2024."""
_CARD = re.compile(r"CARD[-_](?P<kind>BS|COH(?:6|12))(?![A-Z0-9])", re.IGNORECASE)
_SENSOR = re.compile(r"(?:^|_)(?P<sensor>S1[A-D])_")
_MISSION = re.compile(r'name="MISSION"[^>]*>\s*SENTINEL-?(?P<unit>1[A-D])\b', re.IGNORECASE)
_MOMENT = re.compile(r"(?<!\d)\d{8}T\d{6}(?!\d)")
_DAY = re.compile(r"(?<![A-Za-z0-9])\d{2}(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\d{4}(?!\d)")
_ABSOLUTE_ORBIT = re.compile(r"S1(?P<unit>[AB])_\w{2}_\w{4}_\w{4}_\d{8}T\d{6}_\d{8}T\d{6}_(?P<orbit>\d{6})_")
_FIRST_ORBIT: Final = {"A": 73, "B": 27}
"""Relative orbits of Sentinel-1 are (absolute orbit - this) mod 175 + 1."""
_RASTERS: Final = {".img": "application/octet-stream", ".tif": "image/tiff; application=geotiff"}
_PREFERRED: Final = ("gamma0", "sigma0")
_LONGEST: Final = 16 * 2**20
"""Bytes of a .dim file that are read; the relevant metadata are near its start."""


@dataclass(frozen=True)
class Folder:
    """One product: its name and files."""

    name: str
    path: Path
    rasters: tuple[Path, ...]
    dim: Path | None = None


@dataclass(frozen=True)
class _Band:
    """One band of a product."""

    kind: str
    """gamma0, sigma0 or coh."""
    swath: str
    name: str
    location: Location
    days: tuple[str, ...] = ()
    """Of a pair of acquisitions, as the band's name has them: 25Apr2024."""


def find(here: Path, folders: Collection[str], names: Collection[str]) -> list[Folder]:
    """Find the products in a folder, given the names of its subfolders and files.

    SNAP's bands lie in `<name>.data`; a GeoTIFF is a product if its name, or the folder's, says that it is a CARD.
    """
    products = []
    for folder in sorted(folders):
        images = sorted(path for path in (here / folder).glob("*.img")) if folder.endswith(".data") else []
        if any(_BAND.match(path.stem) for path in images):
            name = folder.removesuffix(".data")
            dim = here / f"{name}.dim"
            products.append(Folder(name, here, tuple(images), dim if dim.name in names else None))
    tiffs = sorted(name for name in names if name.lower().endswith((".tif", ".tiff")))
    alone = {name: Path(name).stem for name in tiffs if _CARD.search(Path(name).stem) and not products}
    for name, stem in alone.items():
        if not _BAND.search(stem):
            products.append(Folder(stem, here, (here / name,)))
    rest = [here / name for name in tiffs if _BAND.search(Path(name).stem)]
    if _CARD.search(here.name) and rest and not products:
        products.append(Folder(here.name, here, tuple(rest)))
    return products


def to_items(folder: Folder) -> Iterator[tuple[str, dict[str, Any]]]:
    """Card and STAC items of a product: one, or one per sub-swath.

    Raises:
        InvalidInputError: it is not of Sentinel-1, or of no card.
        SourceError: its rasters cannot be read, or their values are not what its name says.
    """
    about = _dim(folder.dim)
    bands = [band for path in folder.rasters for band in _bands(folder, path)]
    card = _card(folder, bands)
    bands = [band for band in bands if (band.kind == "coh") == (card == "c6")]
    for swath in sorted({band.swath for band in bands}):
        mine = [band for band in bands if band.swath == swath]
        yield card, _item(folder, card, swath, _one_each(folder, mine), about)


def _bands(folder: Folder, path: Path) -> Iterator[_Band]:
    """Bands in a file, from its name or its band names."""
    band_match = _BAND.search(path.stem)
    if band_match:
        yield _named(band_match, Location(str(path.resolve())))
        return
    if path.suffix == ".img":  # masks, angles, elevation
        return
    with opened(str(path.resolve())) as dataset:
        descriptions = [text or "" for text in dataset.descriptions]
    matches = [_DESCRIBED.search(text) for text in descriptions]
    if any(matches):
        for number, match in enumerate(matches, 1):
            if match:
                yield _named(match, Location(str(path.resolve()), number))
    elif len(descriptions) == 2:  # as CREODIAS writes them, without names
        kind = "gamma0" if _card_of(folder.name) == "bs" else "coh"
        for number, name in enumerate(("VV", "VH"), 1):
            yield _Band(kind, "", name, Location(str(path.resolve()), number))
    else:
        raise SourceError(
            f"{folder.name}: {path.name} has {len(descriptions)} bands without names, where VV and VH are expected; "
            "catalogue it with card2db files, which lets you name them"
        )


def _named(match: re.Match[str], location: Location) -> _Band:
    """Parse a band from a name."""
    kind = "coh" if match["kind"].lower().startswith("coh") else match["kind"].lower()
    decibels = re.search(r"_db(?:_|$)", match["rest"], re.IGNORECASE)
    location = location._replace(unit="db" if decibels else "")
    days = tuple(_DAY.findall(match["rest"].replace("_", " ")))
    return _Band(kind, (match["swath"] or "").upper(), match["band"].upper(), location, days)


def _card_of(name: str) -> str | None:
    stated = _CARD.search(name)
    return None if not stated else "bs" if stated["kind"].upper() == "BS" else "c6"


def _card(folder: Folder, bands: list[_Band]) -> str:
    """Card of a product by its name, else by its bands."""
    kinds = {"c6" if band.kind == "coh" else "bs" for band in bands}
    stated = _card_of(folder.name)
    if not kinds or (stated and stated not in kinds):
        names = ", ".join(path.name for path in folder.rasters[:6])
        raise InvalidInputError(
            f"{folder.name}: it has no raster of VV or VH of {'coherence' if stated == 'c6' else 'backscatter'}; "
            f"there are {names}"
        )
    if stated is None and len(kinds) > 1:
        raise InvalidInputError(f"{folder.name}: it holds backscatter and coherence; keep them in two products")
    return stated or kinds.pop()


def _one_each(folder: Folder, bands: list[_Band]) -> dict[str, _Band]:
    """One raster per polarisation, all of one kind: gamma0 before sigma0, power before decibels."""
    for kind in (*_PREFERRED, "coh"):
        for unit in ("", "db"):
            fitting = [band for band in bands if (band.kind, band.location.unit) == (kind, unit)]
            bands_by_name: dict[str, _Band] = {}
            for band in fitting:
                if band.name in bands_by_name:
                    files = f"{Path(bands_by_name[band.name].location.path).name} and {Path(band.location.path).name}"
                    raise InvalidInputError(f"{folder.name}: both {files} are {band.name}; keep one of them")
                bands_by_name[band.name] = band
            if bands_by_name:
                return bands_by_name
    raise InvalidInputError(f"{folder.name}: it has no raster of VV or VH")


def _item(folder: Folder, card: str, swath: str, bands: dict[str, _Band], about: str) -> dict[str, Any]:
    name = f"{folder.name}_{swath}" if swath else folder.name
    rasters, problems = _inspected(name, card, bands, about)
    if not rasters:
        raise SourceError(f"{problems[0]}")
    for problem in problems:
        log.warning("%s; it is catalogued without", problem)
    ground.check_grids(name, rasters)
    if len(rasters) < 2:
        log.warning("%s has %s only", name, ", ".join(rasters))
    first = next(iter(rasters.values()))
    kind = _CARD.search(folder.name)
    properties = {
        **_times(folder.name, card, bands),
        "constellation": "sentinel-1",
        "platform": f"sentinel-{_sensor(folder.name, about)[1:].lower()}",
        "product:type": kind[0].upper().replace("_", "-") if kind else f"CARD-{'BS' if card == 'bs' else 'COH'}",
        "processing:level": "L2",
        "sar:polarizations": sorted(rasters, reverse=True),
        "proj:code": f"EPSG:{first.grid.epsg}",
        "sat:orbit_state": _attribute(about, "PASS"),
        "sat:relative_orbit": _relative_orbit(folder.name, about),
        "s1:product_identifier": name,
    }
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": shapely.geometry.mapping(ground.geometry(first)),
        "properties": {key: value for key, value in properties.items() if value is not None},
        "links": [{"rel": "product", "href": str(folder.path.resolve())}],
        "assets": {
            band: {"href": raster.href, "type": _RASTERS[Path(raster.path).suffix.lower()[:4]]}
            for band, raster in rasters.items()
        },
    }


def _inspected(name: str, card: str, bands: dict[str, _Band], about: str) -> tuple[dict[str, Raster], list[str]]:
    """Headers of the bands whose values suit the card, and the problems of the others."""
    rasters: dict[str, Raster] = {}
    problems: list[str] = []
    for band in sorted(bands, reverse=True):  # VV, VH
        try:
            rasters[band] = _checked(name, card, bands[band], about)
        except SourceError as error:
            problems.append(str(error))
    return rasters, problems


def _checked(name: str, card: str, band: _Band, about: str) -> Raster:
    """Header of a band, validated by its values; undeclared negative values are decibels."""
    raster = Raster.inspect(band.location.href)
    if np.dtype(raster.dtype).kind != "f":
        raise SourceError(f"{name}: {band.name} is of {raster.dtype}, where floats are expected; convert it")
    ground.check_pixel(raster, card, band.name)
    values, label = ground.sample(raster), f"{name}: {band.name}"
    if card == "c6":
        ground.check_coherence(label, values)
        return raster
    unit = raster.unit or ("db" if _is_db(about, Path(band.location.path).stem) else "")
    if not unit and values.size and np.median(values) < 0:
        log.warning("%s: most values are below 0 (median %.4g), so they are decibels", label, np.median(values))
        unit = "db"
    ground.check_backscatter(label, values, unit)
    return raster if unit == raster.unit else Raster.inspect(band.location._replace(unit=unit).href)


def _times(name: str, card: str, bands: dict[str, _Band]) -> dict[str, str]:
    """Timestamp: slice start for backscatter, the later acquisition for coherence.

    Names of CARD-COH begin with the later one; bands of SNAP have both days, and the product's name the time of day.

    Raises:
        InvalidInputError: nothing says when.
    """
    try:
        named = [datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC) for text in _MOMENT.findall(name)]
        days = [datetime.strptime(day, "%d%b%Y").date() for band in bands.values() for day in band.days]
    except ValueError as error:
        raise InvalidInputError(f"{name}: a time in it is none ({error})") from error
    if not named:
        raise InvalidInputError(f"{name}: its name holds no time (20240501T055000)")
    if card == "bs":
        return {"datetime": _iso(min(named)), "start_datetime": _iso(min(named)), "end_datetime": _iso(max(named))}
    last = max(named).date()
    later = min(moment for moment in named if moment.date() == last)
    if days and max(days) > last:
        later = datetime.combine(max(days), later.timetz())
    return {"datetime": _iso(later)}


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _sensor(name: str, about: str) -> str:
    """S1A, S1B, … from the product name, else from SNAP's metadata.

    Raises:
        InvalidInputError: neither says that it is of Sentinel-1.
    """
    match = _SENSOR.search(name)
    if match:
        return match["sensor"]
    stated = _MISSION.search(about)
    if stated:
        return f"S{stated['unit'].upper()}"
    raise InvalidInputError(f"{name}: neither its name nor a .dim file says that it is of Sentinel-1")


def _relative_orbit(name: str, about: str) -> int | None:
    stated = _attribute(about, "REL_ORBIT")
    if stated and stated.isdecimal() and 1 <= int(stated) <= 175:
        return int(stated)
    match = _ABSOLUTE_ORBIT.match(name)
    return (int(match["orbit"]) - _FIRST_ORBIT[match["unit"]]) % 175 + 1 if match else None


def _dim(path: Path | None) -> str:
    """Text of SNAP's metadata; "" if there is none."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST).decode("utf-8", "replace")
    except OSError as error:
        log.warning("%s cannot be read: %s", path, error.strerror)
        return ""


def _attribute(about: str, name: str) -> str | None:
    match = re.search(rf'<MDATTR name="{name}"[^>]*>\s*([^<]+?)\s*</MDATTR>', about)
    return match[1] if match else None


def _is_db(about: str, band: str) -> bool:
    """Whether SNAP's metadata declare a band in decibels."""
    for entry in re.findall(r"<Spectral_Band_Info>(.*?)</Spectral_Band_Info>", about, re.DOTALL):
        if re.search(rf"<BAND_NAME>\s*{re.escape(band)}\s*</BAND_NAME>", entry):
            return bool(re.search(r"<PHYSICAL_UNIT>[^<]*db[^<]*</PHYSICAL_UNIT>", entry, re.IGNORECASE))
    return False
