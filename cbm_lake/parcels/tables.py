"""The table of a parcel set, as it is stored: its columns, their order, and the hash that is its version."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyproj import CRS

from cbm_lake import schemas
from cbm_lake.parcels.geometry import EQUAL_AREA, POLYGONAL, refuse, transform
from cbm_lake.vectors import Features, Geometries

_DEGREES: Final = 4326


def own_columns(
    source: Features, ids: pa.Array, outlines: Geometries, attributes: dict[str, pa.Array], epsg: int
) -> pa.Table:
    """The columns of schemas.PARCELS, in the order of the file."""
    equal_area = outlines if epsg == EQUAL_AREA else transform(outlines, epsg, EQUAL_AREA)
    with np.errstate(invalid="ignore"):  # infinite outlines are refused below
        area = shapely.area(equal_area) / 10_000
    lon, lat = shapely.get_coordinates(transform(shapely.centroid(outlines), epsg, _DEGREES)).T
    lost = ~np.isfinite(area + lon + lat)
    refuse(source, ids, lost, "lie outside the world", "wrong CRS? Give the right one by crs=")
    box = schemas.PARCELS.field("bbox").type
    columns = {
        "id": ids,
        "geometry": pa.array(shapely.to_wkb(outlines), pa.binary()),
        "bbox": pa.StructArray.from_arrays(list(map(pa.array, shapely.bounds(outlines).T)), fields=list(box)),
        "area": area,
        "crop:code": pa.nulls(len(ids), pa.string()),
        "crop:name": pa.nulls(len(ids), pa.string()),
        "epsg": np.full(len(ids), epsg, np.int32),
        "centroid_lon": lon,
        "centroid_lat": lat,
    }
    return pa.table(columns | attributes, schema=schemas.PARCELS)


def in_order(table: pa.Table, outlines: Geometries) -> pa.Table:
    """The rows along a Hilbert curve, so that neighbours lie together; by id where two share a place."""
    centroids = gpd.GeoSeries(shapely.centroid(outlines))
    place = pa.table({"along": centroids.hilbert_distance().to_numpy(), "id": table["id"]})
    return table.take(pc.sort_indices(place, sort_keys=[("along", "ascending"), ("id", "ascending")]))


def version_of(columns: pa.Table) -> str:
    """Twelve hex digits that depend on the parcels' ids, outlines, coordinate system and crops, not on their order."""
    ordered = columns.select(["id", "geometry", "crop:code", "crop:name", "epsg"]).sort_by("id")
    content = hashlib.sha256(str(ordered["epsg"][0]).encode())
    for name in ("id", "geometry", "crop:code", "crop:name"):
        values = ordered[name].cast(pa.large_binary())
        lengths = pc.fill_null(pc.binary_length(values), -1)  # the lengths say where one value ends, -1 is null
        content.update(lengths.to_numpy().astype("<i8").tobytes())
        for chunk in values.chunks:
            start, end = np.frombuffer(chunk.buffers()[1], np.int64)[[chunk.offset, chunk.offset + len(chunk)]]
            content.update(memoryview(chunk.buffers()[2] or b"")[start:end])
    return content.hexdigest()[:12]


def geo(outlines: Geometries, epsg: int) -> dict[str, Any]:
    """The metadata that makes the table GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/)."""
    kinds = set(shapely.get_type_id(outlines).tolist())
    geometry = {
        "encoding": "WKB",
        "geometry_types": [name for kind, name in POLYGONAL.items() if kind in kinds],
        "crs": CRS.from_epsg(epsg).to_json_dict(),
        "bbox": shapely.total_bounds(outlines).tolist(),
        "covering": {"bbox": {name: ["bbox", name] for name in ("xmin", "ymin", "xmax", "ymax")}},
    }
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
