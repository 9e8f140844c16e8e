"""Reads and writes GeoParquet 1.1 metadata (https://geoparquet.org/releases/v1.1.0/)."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import pyarrow as pa
from pyproj import CRS

KEY: Final = b"geo"
"""Of the metadata in a schema."""
SIDES: Final = ("xmin", "ymin", "xmax", "ymax")
"""Fields of a column of bounding boxes."""
DEFAULT_CRS: Final = "OGC:CRS84"
"""Default coordinate system of GeoParquet columns."""
ColumnMetadata: TypeAlias = Mapping[str, object]
"""What the metadata say of one column of geometries."""


def column_metadata(
    geometry_types: Collection[str] = (),
    *,
    crs: CRS | str | None = None,
    bbox: Sequence[float] | None = None,
    covering: str | None = None,
) -> ColumnMetadata:
    """GeoParquet metadata of a WKB column.

    Args:
        geometry_types: Polygon, MultiPolygon Z, …; empty where they are not known.
        crs: of the coordinates; DEFAULT_CRS is not written, None says that it is unknown.
        bbox: minimum x and y, maximum x and y, in `crs`.
        covering: the column of bounding boxes, a struct of SIDES.
    """
    column: dict[str, object] = {"encoding": "WKB", "geometry_types": list(geometry_types)}
    if crs != DEFAULT_CRS:
        column["crs"] = CRS.from_user_input(crs).to_json_dict() if crs is not None else None
    if bbox is not None:
        column["bbox"] = list(bbox)
    if covering is not None:
        column["covering"] = {"bbox": {side: [covering, side] for side in SIDES}}
    return column


def file_metadata(columns: Mapping[str, ColumnMetadata]) -> dict[bytes, bytes]:
    """GeoParquet metadata of a file, for its schema.

    Args:
        columns: of geometries by name, the primary one first.

    Raises:
        ValueError: a bounding box contains a non-number.
    """
    geo = {"version": "1.1.0", "primary_column": next(iter(columns)), "columns": dict(columns)}
    return {KEY: json.dumps(geo, allow_nan=False).encode()}


@dataclass(frozen=True)
class GeometryColumn:
    """The primary geometry column, as described by a file's metadata."""

    name: str
    encoding: str
    """WKB, or the name of a GeoArrow encoding."""
    crs: object
    """PROJJSON; DEFAULT_CRS where the metadata say none, None where they say that it is unknown."""
    geometry_types: tuple[str, ...]
    bbox: tuple[float, ...] | None
    covering: str | None
    """The column of the bounding boxes of its geometries."""


def primary_column(schema: pa.Schema) -> GeometryColumn | None:
    """Primary geometry column in a file's metadata, whether or not the column exists; None without metadata.

    Raises:
        KeyError: the metadata describe no such column.
        ValueError: they are no JSON.
    """
    geo = json.loads((schema.metadata or {}).get(KEY, b"{}"))
    name = geo.get("primary_column")
    if name is None:
        return None
    column = geo["columns"][name]
    bbox = column.get("bbox")
    return GeometryColumn(
        name,
        column.get("encoding", "WKB"),
        column.get("crs", DEFAULT_CRS),
        tuple(column.get("geometry_types", ())),
        None if bbox is None else tuple(bbox),
        column.get("covering", {}).get("bbox", {}).get("xmin", [None])[0],
    )
