"""Catalogues a user's own raster files as scenes, after validating them against the declared card."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

import numpy as np
import shapely

from cbm_lake import cards
from cbm_lake.card2db import ground
from cbm_lake.card2db.filepattern import Scene
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.rasters import Raster, opened

UNITS: Final = ("linear", "db")
_MGRS = re.compile(r"T?\d{1,2}[C-X][A-Z]{2}")
_MOST_OFFSET: Final = 2000
"""DN: 0.2 of reflectance."""


def check_options(card: str, unit: str | None, offset: int | None) -> None:
    """Check that the required options of the card's files are given, and no others.

    Raises:
        InvalidInputError: it is not.
    """
    kind = cards.get(card)
    if kind.quantity.decibels and unit not in UNITS:
        raise InvalidInputError(f"unit {unit!r}: backscatter is in linear power or in decibels; say linear or db")
    if not kind.quantity.decibels and unit not in (None, "linear"):
        raise InvalidInputError(f"unit {unit} is of card bs only, not of {card}")
    if not kind.shifted and offset is not None:
        raise InvalidInputError(f"an offset is of card s2 only, not of {card}")
    if offset is not None and abs(offset) > _MOST_OFFSET:
        raise InvalidInputError(f"offset {offset} is beyond 0.2 of reflectance; it is 0 or -1000 in all products")


def to_item(
    scene: Scene, card: str, unit: str | None, offset: int | None, left_out: dict[str, list[str]]
) -> dict[str, Any]:
    """Build the STAC item of a scene.

    Args:
        scene: its files.
        card: s2, bs, c6, …, see `cards.CARDS`.
        unit: of backscatter: linear or db.
        offset: of reflectance, in DN; None where the files say it.
        left_out: is given the reasons why files are left out, by band.

    Raises:
        InvalidInputError: nothing says what the offset is.
        SourceError: a file cannot be read, or is not what was said.
    """
    if scene.problem:
        raise InvalidInputError(scene.problem)
    rasters, offsets, unfit = {}, set[int](), dict[str, str]()
    kind = cards.get(card)
    for band, location in scene.bands.items():
        raster, stated = _inspected(scene, card, band, location._replace(unit="db" if unit == "db" else "").href)
        try:
            ground.check_pixel(raster, card, band)
        except SourceError as error:
            unfit[band] = error.reason
            continue
        rasters[band] = raster
        if kind.shifted and not kind.is_classes(band):
            offsets.add(_offset(location.path, stated, offset))
    if not rasters:
        raise SourceError(next(iter(unfit.values())))
    for band, reason in unfit.items():
        left_out.setdefault(band, []).append(reason)
    ground.check_grids(scene.name, rasters)
    if len(offsets) > 1:
        raise SourceError(f"{scene.name}: its files state different offsets ({', '.join(map(str, sorted(offsets)))})")
    first = next(iter(rasters.values()))
    identifier = _identifier(scene, card, first)
    properties = _properties(scene, card, first) | ({"boa_offset": offsets.pop()} if offsets else {})
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": identifier,
        "geometry": shapely.geometry.mapping(ground.geometry(first)),
        "properties": properties,
        "links": [],
        "assets": {band: {"href": raster.href} for band, raster in rasters.items()},
    }


def _identifier(scene: Scene, card: str, raster: Raster) -> str:
    """Scene id from file names and location, so that the same files at another path are the same scene."""
    corner = raster.grid.transform
    corner_digest = sha256(f"{raster.grid.epsg} {corner.c:.3f} {corner.f:.3f}".encode()).hexdigest()[:8]
    mission = "" if "sensor" in scene.about else f"{cards.get(card).mission.code}_"
    return f"{mission}{scene.name}_{corner_digest}"


def _properties(scene: Scene, card: str, raster: Raster) -> dict[str, Any]:
    about, kind = scene.about, cards.get(card)
    mission, tile = kind.mission, about.get("tile", "")
    unit = about.get("sensor", "").removeprefix(mission.code).lower()
    platform = mission.satellite.format(unit=unit)
    properties = {
        "datetime": f"{scene.date:%Y-%m-%dT%H:%M:%SZ}",
        "constellation": mission.satellite.format(unit="").rstrip("-"),
        "platform": None if platform.endswith("-") else platform,
        **kind.stated,
        "proj:code": f"EPSG:{raster.grid.epsg}",
        "grid:code": f"MGRS-{tile.removeprefix('T')}" if _MGRS.fullmatch(tile) else None,
        "sat:relative_orbit": int(about["orbit"][1:]) if "orbit" in about else None,
        "sat:orbit_state": about.get("direction"),
    }
    return {key: value for key, value in properties.items() if value is not None}


def _inspected(scene: Scene, card: str, band: str, href: str) -> tuple[Raster, tuple[float, float]]:
    """Header of a band's file with scale and offset, validated by its values."""
    raster = Raster.inspect(href)
    number = raster.band - 1
    with opened(href) as dataset:
        dtype, described = dataset.dtypes[number], dataset.descriptions[number] or ""
        stated = float(dataset.scales[number]), float(dataset.offsets[number])
        count = dataset.count
    kind = cards.get(card)
    other = kind.asset_band(described)
    if count > 1 and other in scene.bands and other != band:
        raise SourceError(
            f"{raster.path}: its band {raster.band} is called {described}, not {band}; name them in order"
        )
    whole = kind.is_optical
    if whole != (np.dtype(dtype).kind in "iu"):
        expected = f"whole numbers ({1 / kind.scale:.0f} x reflectance)" if whole else "floats"
        raise SourceError(f"{raster.path} holds {dtype}, where card {card} has {expected}; convert it")
    if kind.offset and not kind.is_classes(band) and not (stated == (1, 0) or np.allclose(stated, _scaling(kind))):
        raise SourceError(
            f"{raster.path} declares scale {stated[0]:g} and offset {stated[1]:g}, where those of card {card} are "
            f"{kind.scale:g} and {kind.offset:g}; convert it"
        )
    if not whole:
        if stated != (1, 0):
            raise SourceError(f"{raster.path} declares scale {stated[0]:g} and offset {stated[1]:g}; convert it first")
        values, label = ground.sample(raster), f"{raster.path} ({band})"
        if kind.quantity.decibels:
            ground.check_backscatter(label, values, raster.unit)
        else:
            ground.check_coherence(label, values)
    return raster, stated


def _scaling(card: cards.Card) -> tuple[float, float]:
    return card.scale, card.offset


def _offset(path: str, stated: tuple[float, float], offset: int | None) -> int:
    """Offset of a reflectance file in DN: from the user, else as declared in the file.

    Raises:
        InvalidInputError: neither says it.
        SourceError: the file declares another scale than 0.0001, or another offset than its user says.
    """
    scale, stated_offset = stated
    if scale == 1 and stated_offset == 0:
        if offset is None:
            raise InvalidInputError(
                f"{path}: nothing says which offset its numbers have; say offset 0 (baselines before 04.00, or already "
                "applied) or -1000"
            )
        return offset
    if not np.isclose(scale, 0.0001):
        raise SourceError(f"{path} declares scale {scale:g}, where 0.0001 is expected; convert it")
    declared = round(stated_offset / scale)
    if offset is not None and declared != offset:
        raise SourceError(f"{path} declares offset {declared}, and {offset} was said; mend one of them")
    return declared
