"""Series as CoverageJSON (https://docs.ogc.org/cs/21-069r2/21-069r2.html) and GeoJSON, and what is said of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from cbm_lake.server.edr.series import Offered, Row
from cbm_lake.server.features import CRS84
from cbm_lake.server.stac.documents import stamp

Json: TypeAlias = dict[str, Any]
FORMATS: Final = ("CoverageJSON", "GeoJSON", "CSV")
_SPACE: Final = {"type": "GeographicCRS", "id": CRS84}
_FLAGS: Final = {"observable": "1 where the look counts", "share": "part of the parcel that was seen"}
_TIME: Final = {"type": "TemporalRS", "calendar": "Gregorian"}


def collection(root: str, one: Offered) -> Json:
    """What is said of a collection."""
    base, box = f"{root}/collections/{one.id}", list(shapely.from_wkb(one.entry["geometry"]).bounds)
    ends = [stamp(one.entry["start_datetime"]), stamp(one.entry["end_datetime"])]
    return {
        "id": one.id,
        "title": one.title,
        "extent": {"spatial": {"bbox": [box], "crs": CRS84}, "temporal": {"interval": [ends], "trs": "Gregorian"}},
        "data_queries": {kind: {"link": _query(base, kind)} for kind in ("position", "area")},
        "crs": ["CRS84"],
        "output_formats": list(FORMATS),
        "parameter_names": {name: parameter(one, name) for name in one.parameters()},
        "links": [
            {"rel": "self", "href": base, "type": "application/json"},
            *({"rel": "data", "href": f"{base}/{kind}", "title": kind} for kind in ("position", "area")),
        ],
    }


def _query(base: str, kind: str) -> Json:
    variables = {"query_type": kind, "output_formats": list(FORMATS), "default_output_format": FORMATS[0]}
    return {"href": f"{base}/{kind}", "rel": "data", "variables": variables}


def parameter(one: Offered, name: str) -> Json:
    """What is said of a parameter."""
    band, _, statistic = name.rpartition("_")
    label = f"{statistic} of {band} over the parcel" if band else _FLAGS[name]
    observed = {"label": {"en": label}}
    return {"type": "Parameter", "description": {"en": f"{label}; {one.card.measured}"}, "observedProperty": observed}


def coverages(
    one: Offered, location: shapely.Geometry, parcels: Sequence[Row], rows: pa.Table, names: Sequence[str]
) -> Json:
    """A coverage for each parcel: at a point a series of that point, within a polygon of the parcel's outline."""
    described = {name: parameter(one, name) for name in names}
    built = [_coverage(location, parcel, _of(rows, parcel["pid"], one.card.key_band), names) for parcel in parcels]
    if len(built) == 1:
        return {**built[0], "parameters": described}
    return {"type": "CoverageCollection", "parameters": described, "coverages": built}


def _of(rows: pa.Table, pid: str, band: str) -> list[Row]:
    """A parcel's rows by time; of two scenes of one moment, which a series cannot have, that with more pixels."""
    best: dict[datetime, Row] = {}
    for row in rows.filter(pc.equal(rows["pid"], pid)).to_pylist():
        other = best.get(row["obstime"])
        if other is None or (row[f"{band}_count"] or 0) > (other[f"{band}_count"] or 0):
            best[row["obstime"]] = row
    return [best[time] for time in sorted(best)]


def _coverage(location: shapely.Geometry, parcel: Row, rows: Sequence[Row], names: Sequence[str]) -> Json:
    times: Json = {"t": {"values": [stamp(row["obstime"]) for row in rows]}}
    if location.geom_type == "Point":
        axes, kind, space = {"x": {"values": [location.x]}, "y": {"values": [location.y]}}, "PointSeries", ["x", "y"]
    else:
        axes, kind, space = {"composite": _outline(parcel["shape"])}, "PolygonSeries", ["x", "y"]
    systems = [{"coordinates": space, "system": _SPACE}, {"coordinates": ["t"], "system": _TIME}]
    ranges = {
        name: {
            "type": "NdArray",
            "dataType": "float",
            "axisNames": ["t"],
            "shape": [len(rows)],
            "values": [number(row[name]) for row in rows],
        }
        for name in names
    }
    domain = {"type": "Domain", "domainType": kind, "axes": {**axes, **times}, "referencing": systems}
    return {"type": "Coverage", "id": parcel["pid"], "domain": domain, "ranges": ranges}


def _outline(shape: shapely.Geometry) -> Json:
    """Of a parcel of several pieces the rings of all."""
    pieces = shapely.get_parts(shape)
    rings = [shapely.get_coordinates(ring).tolist() for piece in pieces for ring in shapely.get_rings(piece)]
    return {"dataType": "polygon", "coordinates": ["x", "y"], "values": [rings]}


def number(value: float | bool | None) -> float | None:
    """A value of a series; null where there is none."""
    return None if value is None or not math.isfinite(value) else float(value)


def features(parcels: Sequence[Row], rows: pa.Table, names: Sequence[str]) -> Json:
    """A feature for each parcel and scene."""
    outlines = {parcel["pid"]: orjson.Fragment(shapely.to_geojson(parcel["shape"])) for parcel in parcels}
    listed = [
        {
            "type": "Feature",
            "id": f"{row['pid']}:{row['scene']}",
            "geometry": outlines[row["pid"]],
            "properties": {
                "pid": row["pid"],
                "datetime": stamp(row["obstime"]),
                "scene": row["scene"],
                **{name: number(row[name]) for name in names},
            },
        }
        for row in rows.to_pylist()
    ]
    return {"type": "FeatureCollection", "features": listed}
