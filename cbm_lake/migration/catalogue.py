"""Migrates the scene catalogue of the original library; scenes keep their numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import shapely
from shapely.errors import ShapelyError

from cbm_lake import cards
from cbm_lake.card2db import scene
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.records import SceneRecord
from cbm_lake.migration.dumps import Dumps

COLUMNS: Final = ("id", "obstime", "reference", "card")
DEFAULTS: Final = ("sensor", "footprint")
SOURCE: Final = "migrated"
_KINDS: Final = {card.name: card.product_type for card in cards.CARDS.values() if card.migrated}
"""Product types of the cards in the original's catalogue."""


@dataclass(frozen=True)
class Numbered:
    """A scene of the dump with its number and its id in the lake."""

    card: str
    id: str
    obstime: datetime
    reference: str
    boa_offset: int
    """Offset in DN, to add to the stored values."""
    shift: int
    """DN to add to the statistics of the dump."""


def take(lake: Lake, dumps: Dumps, aoi: str, *, shifted: bool) -> tuple[int, dict[int, Numbered]]:
    """Catalogue the scenes of the view "catalogue"; returns the row count, and the scenes by number.

    A product that is already in the lake, under any identifier, is not catalogued twice.

    Args:
        lake: where to.
        dumps: where from.
        aoi: area whose parcels' extent replaces missing footprints.
        shifted: whether the offset of a scene is to be added to the statistics of the dump.
    """
    rows = dumps.rows("catalogue").to_pylist()
    catalogued = {(row["card"], row["reference"]): row for row in lake.query("migrate.scenes").to_pylist()}
    extent = lake.footprint(aoi)
    scenes: dict[int, Numbered] = {}
    products: set[tuple[str, str]] = set()
    new, refused = [], []
    for row in rows:
        try:
            entry = _row(row, extent)
            key = entry["card"], entry["reference"]
            _check_new(row["number"] not in scenes and key not in products)
        except InvalidInputError as error:
            refused.append((f"{row['id']},{row['reference']}", str(error)))
            continue
        products.add(key)
        existing = catalogued.get(key, entry)
        shift = entry["boa_offset"] if shifted else 0
        scenes[row["number"]] = Numbered(
            key[0], existing["id"], entry["datetime"], existing["reference"], existing["boa_offset"], shift
        )
        if existing is entry:
            new.append(entry)
    dumps.refuse_rows("catalogue", refused)
    if new:
        lake.add_scenes(pa.Table.from_pylist(new, schema=schemas.SCENES))
    _number(lake, scenes)
    return len(rows), scenes


def _check_new(new: bool) -> None:
    """Refuse a second row of one number or product: the scene of a signature would be ambiguous."""
    if not new:
        raise InvalidInputError("another row of the catalogue has this number, or this card and reference")


def _row(row: Mapping[str, Any], extent: shapely.Geometry) -> SceneRecord:
    """A row of the dump as one of schemas.SCENES."""
    for name, column in (("number", "id"), ("moment", "obstime"), ("reference", "reference")):
        if row[name] in (None, ""):
            raise InvalidInputError(f"its {column} is missing or cannot be read")
    card = cards.get((row["card"] or "").strip().lower()).name
    reference = row["reference"].strip().removesuffix(".SAFE")
    sensor = (row["sensor"] or "").strip().upper().removeprefix("S")
    document = {
        "id": reference,
        "geometry": shapely.geometry.mapping(_footprint(row["footprint"], extent)),
        "properties": {
            "datetime": row["moment"].isoformat(),
            "platform": f"sentinel-{sensor.lower()}" if sensor else None,
            "s2:product_uri": reference,
            "product:type": _KINDS[card],
        },
        "links": [{"rel": "product", "href": reference}],
    }
    return scene.to_row(document, card, SOURCE)


def _footprint(text: str | None, extent: shapely.Geometry) -> shapely.Geometry:
    """A footprint in degrees, from WKT, WKB in hexadecimal digits, or GeoJSON."""
    if not text:
        return extent
    try:
        return geometry(text)
    except (ShapelyError, ValueError) as error:
        raise InvalidInputError(f"its footprint cannot be read ({error})") from error


def geometry(text: str) -> shapely.Geometry:
    """Parse a geometry from WKT (with or without SRID), hexadecimal WKB, or GeoJSON.

    Raises:
        ShapelyError: it is in none of these formats.
        ValueError: it is in none of these formats.
    """
    text = text.strip().removeprefix("\\x")
    if text.startswith("{"):
        return shapely.from_geojson(text)
    if text[:2] in ("00", "01"):
        return shapely.from_wkb(text)
    srid, sign, wkt = text.rpartition(";")
    polygon = shapely.from_wkt(wkt)
    return shapely.set_srid(polygon, int(srid.upper().removeprefix("SRID="))) if sign else polygon


def _number(lake: Lake, scenes: dict[int, Numbered]) -> None:
    """Keep the numbers of scenes."""
    rows = sorted((scene.card, scene.id, number) for number, scene in scenes.items())
    part = int.from_bytes(hashlib.sha256(repr(rows).encode()).digest()[:8]) >> 1
    listed = [{"card": card, "scene": name, "obsid": number, "part": part} for card, name, number in rows]
    if listed:
        lake.put("obsids", pa.Table.from_pylist(listed, schema=schemas.OBSIDS), part)
