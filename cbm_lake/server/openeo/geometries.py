"""Polygons of a request: the lake's own parcels by the address of their set, or GeoJSON that is sent along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import numpy.typing as npt
import orjson
import shapely

from cbm_lake.lake.snapshots import ParcelSet
from cbm_lake.server.collections import id_of
from cbm_lake.server.openeo import refusals
from cbm_lake.server.openeo.graph import Json

Shapes: TypeAlias = npt.NDArray[np.object_]
_POLYGONS: Final = ("Polygon", "MultiPolygon")
_KNOWN_ARGUMENTS: Final = frozenset({"ids", "f", "limit", "offset"})


class Sets(Protocol):
    """The parcel sets that an account may read."""

    def __call__(self) -> Sequence[ParcelSet]:
        """All of them."""


@dataclass(frozen=True)
class Declared:
    """Parcels of the lake by reference."""

    parcels: ParcelSet
    ids: tuple[str, ...] | None = None
    """Some of them, in the order in which they are asked for; None is all, in the order of their identifiers."""


@dataclass(frozen=True, eq=False)
class Uploaded:
    """Polygons in degrees."""

    ids: tuple[str, ...]
    shapes: Shapes


Geometries: TypeAlias = "Declared | Uploaded"


def of_address(url: Json, sets: Sets, process: str = "load_url") -> Declared:
    """The parcels at an address of this service; nothing is fetched.

    Args:
        url: …/ogc/collections/parcels_ms_2024/items, for some of them with ?ids=… as often as there are, or of one
            …/items/{pid}.
        sets: that may be read.
        process: whose argument it is.

    Raises:
        OpenEoError: it is no such address, or no such parcel set may be read.
    """
    parts = urlsplit(url) if isinstance(url, str) and len(url) < 1_000_000 else urlsplit("")
    path = parts.path.rstrip("/").split("/")
    start = next((n for n in range(len(path) - 2) if path[n : n + 2] == ["ogc", "collections"]), None)
    rest = path[start + 2 :] if start is not None else []
    asked = parse_qs(parts.query, keep_blank_values=True, max_num_fields=100_000) if parts.query else {}
    if not 2 <= len(rest) <= 3 or rest[1] != "items" or asked.keys() - _KNOWN_ARGUMENTS:
        advice = "…/ogc/collections/parcels_<area>_<year>/items, with ?ids=…&ids=… for some of them"
        raise refusals.invalid(process, "url", f"this is no parcel set of this lake: write {advice}")
    ids = tuple(dict.fromkeys([*asked.get("ids", []), *map(unquote, rest[2:])])) or None
    for parcels in sets():
        if rest[0] == id_of("parcels", parcels):
            return Declared(parcels, ids)
    raise refusals.invalid(process, "url", f"there is no parcel set {rest[0]!r}, or it is not yours to read")


def of_geojson(document: Json, process: str, parameter: str) -> Uploaded:
    """The polygons of a geometry, feature or collection of these.

    Raises:
        OpenEoError: it is no GeoJSON in degrees, has no polygon, or others than polygons.
    """
    features = list(_features(document, process, parameter))
    ids, shapes = [], []
    for number, (name, geometry) in enumerate(features):
        if not isinstance(geometry, Mapping) or geometry.get("type") not in _POLYGONS:
            raise refusals.invalid(process, parameter, f"feature {number} is no polygon; nothing else has pixels")
        try:
            shape = shapely.from_geojson(orjson.dumps(geometry))
        except (shapely.GEOSException, orjson.JSONEncodeError, ValueError) as error:
            raise refusals.invalid(process, parameter, f"the polygon of feature {number} cannot be read") from error
        _check(shape, number, process, parameter)
        ids.append(name or str(number))
        shapes.append(shape)
    if not shapes:
        raise refusals.invalid(process, parameter, "there is no feature in it")
    return Uploaded(tuple(ids), np.array(shapes, object))


def _features(document: Json, process: str, parameter: str) -> Iterator[tuple[str, Json]]:
    """Identifier and geometry of each feature."""
    if not isinstance(document, Mapping):
        raise refusals.invalid(process, parameter, "this is no GeoJSON")
    crs = document.get("crs")
    if isinstance(crs, Mapping) and not str(crs).replace("'", "").rstrip("}").endswith(("4326", "CRS84")):
        raise refusals.invalid(process, parameter, "GeoJSON is in degrees (longitude, latitude), without another crs")
    kind = document.get("type")
    if kind == "FeatureCollection":
        listed = document.get("features")
        for one in listed if isinstance(listed, Sequence) and not isinstance(listed, str) else ():
            yield from _feature(one)
    elif kind == "Feature":
        yield from _feature(document)
    elif kind == "GeometryCollection":
        listed = document.get("geometries")
        yield from (("", one) for one in (listed if isinstance(listed, Sequence) else ()))
    else:
        yield "", document


def _feature(feature: Json) -> Iterator[tuple[str, Json]]:
    if not isinstance(feature, Mapping):
        yield "", None
        return
    properties = feature.get("properties")
    named = [feature.get("id")]
    if isinstance(properties, Mapping):
        named += [properties.get("pid"), properties.get("id")]
    yield next((str(name) for name in named if name not in (None, "")), ""), feature.get("geometry")


def _check(shape: shapely.Geometry, number: int, process: str, parameter: str) -> None:
    """Raise what is wrong with a polygon."""
    west, south, east, north = shape.bounds if not shape.is_empty else (np.nan,) * 4
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise refusals.invalid(process, parameter, f"the polygon of feature {number} is empty, or not in degrees")
    if not shape.is_valid:
        reason = shapely.is_valid_reason(shape)
        raise refusals.invalid(process, parameter, f"the polygon of feature {number} is not valid: {reason}")


def box(extent: Json, process: str, parameter: str) -> shapely.Geometry:
    """A box of openEO in degrees.

    Raises:
        OpenEoError: it is none.
    """
    if not isinstance(extent, Mapping):
        raise refusals.invalid(process, parameter, "this is no box")
    if extent.get("crs") not in (None, 4326, "4326", "EPSG:4326", "OGC:CRS84"):
        raise refusals.invalid(process, parameter, "boxes are in degrees (EPSG:4326)")
    if extent.get("base") is not None or extent.get("height") is not None:
        raise refusals.invalid(process, parameter, "there are no heights")
    sides = [extent.get(side) for side in ("west", "south", "east", "north")]
    numbers = [float(side) for side in sides if isinstance(side, (int, float)) and not isinstance(side, bool)]
    if len(numbers) < 4 or not (-180 <= numbers[0] < numbers[2] <= 180 and -90 <= numbers[1] < numbers[3] <= 90):
        raise refusals.invalid(process, parameter, "write west, south, east, north in degrees")
    return shapely.box(*numbers)
