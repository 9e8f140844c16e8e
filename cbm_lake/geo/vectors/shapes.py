"""Parses geometries from WKB, WKT, EWKT (SRID=…;), hexadecimal WKB and GeoJSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.errors import InvalidInputError, some
from cbm_lake.geo.vectors.features import Geometries, of_wkb

_KINDS: Final = "POINT|LINESTRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION"
_KINDS_OF_ARCS: Final = "CURVEPOLYGON|MULTISURFACE|COMPOUNDCURVE|CIRCULARSTRING"
_WKT: Final = re.compile(rf"\s*(SRID=\d+;)?\s*({_KINDS}|{_KINDS_OF_ARCS})\s*(Z|M|ZM)?\s*(\(|EMPTY)", re.IGNORECASE)
_HEX: Final = re.compile(r"(?:0x|\\x)?0[01][0-9A-Fa-f]{16,}")
_JSON: Final = re.compile(r'\s*\{.*"(coordinates|geometries)"', re.DOTALL)
_LOOKED_AT: Final = 200
"""Values by which a column is recognised."""
NAMES: Final = ("geometry", "geom", "wkt", "wkb", "wkb_geometry", "the_geom", "ogr_geometry", "shape", "wkt_geom")
"""Columns that are the geometry where several could be: exactly one of these."""


def has_arcs(wkb: pa.ChunkedArray) -> bool:
    """Whether any geometry is a curve type (WKB codes 8 to 12), which shapely cannot decode."""
    for chunk in wkb.chunks:
        heads = pc.binary_slice(chunk.drop_null(), 1, 5).to_pylist()
        codes = np.frombuffer(b"".join(head for head in heads if len(head) == 4), "<u4")
        if np.isin((codes & 0xFFFF) % 1000, range(8, 13)).any():
            return True
    return False


def of_column(values: pa.ChunkedArray) -> Geometries:
    """Parse geometries from a column of WKB or text.

    Raises:
        ShapelyError, ValueError: a value is not a geometry.
    """
    if not _is_text(values.type):
        return of_wkb(values)
    parts = [_of_texts(chunk.to_pylist()) for chunk in values.chunks]
    return np.concatenate([np.empty(0, object), *parts])


def _of_texts(texts: Sequence[str | None]) -> Geometries:
    shapes = np.full(len(texts), None, object)
    filled = [number for number, text in enumerate(texts) if text and text.strip()]
    shapes[filled] = [_of_text(str(texts[number]).strip()) for number in filled]
    return shapes


def _of_text(text: str) -> shapely.Geometry | None:
    if text[:1] == "{":
        return shapely.from_geojson(text)
    if text[:2].lower() in ("0x", "\\x") or text[:2] in ("00", "01"):
        return shapely.from_wkb(bytes.fromhex(text.removeprefix("0x").removeprefix("\\x")), on_invalid="fix")
    srid, _, wkt = text.rpartition(";")
    shape = shapely.from_wkt(wkt, on_invalid="fix")
    return shapely.set_srid(shape, int(srid[5:])) if srid.upper().startswith("SRID=") else shape


def srid(name: str, geometries: Geometries) -> int | None:
    """EPSG code embedded in the geometries, if any.

    Raises:
        InvalidInputError: they carry several.
    """
    codes = sorted({int(code) for code in np.unique(shapely.get_srid(geometries))} - {0, -1})
    if len(codes) > 1:
        raise InvalidInputError(f"{name}: its geometries are in several coordinate systems: {some(codes)}; give one")
    return codes[0] if codes else None


def column_of(name: str, table: pa.Table) -> int | None:
    """Position of the geometry column, detected by its values; None if there is none.

    Raises:
        InvalidInputError: several do.
    """
    numbers = [number for number, values in enumerate(table.columns) if _holds_geometries(values)]
    if len(numbers) > 1:
        named = [number for number in numbers if table.column_names[number].lower() in NAMES]
        numbers = named if len(named) == 1 else numbers
    if len(numbers) > 1:
        several = some(table.column_names[number] for number in numbers)
        raise InvalidInputError(f"{name} has several columns of geometries: {several}; leave one of them in the file")
    return numbers[0] if numbers else None


def _holds_geometries(values: pa.ChunkedArray) -> bool:
    if not (_is_text(values.type) or is_binary(values.type)):
        return False
    first = list(_first(values))
    return bool(first) and all(map(_is_geometry, first))


def _first(values: pa.ChunkedArray) -> Iterator[str | bytes]:
    """First non-null values."""
    for chunk in values.chunks:
        filled = [value for value in chunk.drop_null().slice(0, 10 * _LOOKED_AT).to_pylist() if value]
        if filled:
            yield from filled[:_LOOKED_AT]
            return


def _is_geometry(value: str | bytes) -> bool:
    if isinstance(value, str):
        return any(pattern.match(value) for pattern in (_WKT, _HEX, _JSON))
    return len(value) >= 9 and value[0] in (0, 1) and shapely.from_wkb(value, on_invalid="ignore") is not None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    """Whether a type is binary."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))
