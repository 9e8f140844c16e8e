"""A lake of several years, whose parcels are boxes in a row of land 1,000 m long and 100 m high.

A year is a list of (pid, from, to, crop) in metres along the row: areas and shares are known by pencil, 100 m² a metre.
The lineage is written as the module of parcels would write it, from the numbers alone.
"""

from datetime import date

import pyarrow as pa
import shapely
from pyproj import Transformer

from cbm_lake.geo.reprojection import reprojected
from cbm_lake.lake import schemas

EPSG, X, Y, HEIGHT = 3035, 4_000_000, 3_000_000, 100
_TO_DEGREES = Transformer.from_crs(EPSG, 4326, always_xy=True)


def box(start, end):
    return shapely.box(X + start, Y, X + end, Y + HEIGHT)


def table(parcels, epsg=EPSG, **others):
    """The parcels of a year as rows of schemas.PARCELS, in a coordinate system; a crop is a name, or (name, code)."""
    rows = []
    for pid, start, end, crop in parcels:
        name, code = crop if isinstance(crop, tuple) else (crop, None)
        shape = box(start, end)
        lon, lat = _TO_DEGREES.transform(shape.centroid.x, shape.centroid.y)
        shape = reprojected(shapely.segmentize(shape, 10) if epsg != EPSG else shape, EPSG, epsg)
        rows.append(
            {
                "id": pid,
                "geometry": shape.wkb,
                "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True)),
                "area": (end - start) * HEIGHT / 10_000,
                "crop:name": name,
                "crop:code": code,
                "epsg": epsg,
                "centroid_lon": lon,
                "centroid_lat": lat,
            }
        )
    rows = pa.Table.from_pylist(rows, schema=schemas.PARCELS)
    for name, values in others.items():
        rows = rows.append_column(name, pa.array(values))
    return rows


def declare(lake, years, *, lineage=True, ptype="", aoi="ms", **others):
    """Load the parcels of years ({year: parcels}), and the lineage from each to each later one."""
    for year, parcels in years.items():
        lake.add_parcels(aoi, year, ptype, f"g{year}_a{year}", table(parcels, **others))
    if lineage:
        for year in years:
            for before in years:
                if before < year:
                    relate(lake, years, year, before, ptype, aoi)
    return lake


def relate(lake, years, year, before, ptype="", aoi="ms", version=None):
    """Write the lineage between two years."""
    rows = []
    for pid, start, end, _ in years[year]:
        shared = [
            (other, first, last, min(end, last) - max(start, first))
            for other, first, last, _ in years[before]
            if min(end, last) > max(start, first)
        ]
        for other, first, last, metres in shared or [(None, 0, 0, 0)]:
            rows.append(
                {
                    "aoi": aoi,
                    "year": year,
                    "ptype": ptype,
                    "year_before": before,
                    "ptype_before": ptype,
                    "least_share": 0.05,
                    "version": version or f"g{year}_a{year}",
                    "version_before": f"g{before}_a{before}",
                    "pid": pid,
                    "pid_before": other,
                    "relation": "part of" if other else "new",
                    "area_m2": (end - start) * HEIGHT,
                    "area_before_m2": (last - first) * HEIGHT if other else None,
                    "shared_m2": metres * HEIGHT,
                    "share": metres / (end - start),
                    "share_before": metres / (last - first) if other else None,
                    "part": year * 10_000 + before,
                    "sequence": None,
                }
            )
    found = pa.Table.from_pylist(rows, schema=schemas.LINEAGE)
    lake.put("related_parcels", found, year * 10_000 + before)


def mark(lake, year, *events, ptype="", aoi="ms", observed=True, pids=()):
    """Write markers of a year: (pid, marker, day, confidence); and that all `pids` were observed, or not enough."""
    rows = [_marker(aoi, year, ptype, pid, "observed", f"{year}-07-01", 1.0, observed) for pid in pids]
    rows += [_marker(aoi, year, ptype, pid, marker, day, sure, True) for pid, marker, day, sure in events]
    found = pa.Table.from_pylist(rows, schema=schemas.MARKERS)
    lake.put("marked", found, year, memory=0)


def _marker(aoi, year, ptype, pid, marker, day, confidence, observable):
    at = date.fromisoformat(day)
    values = {"aoi": aoi, "year": year, "ptype": ptype, "pid": pid, "marker": marker, "part": year}
    values |= {"date_start": at, "date_main": at, "date_end": at, "confidence": confidence, "observable": observable}
    return {name: values.get(name) for name in schemas.MARKERS.names}


def said(found, rule=None):
    """By pid what a rule says: (holds, reason, hectares, share)."""
    return {
        row["pid"]: (row["holds"], row["reason"], row["area_m2"] / 10_000, row["share"])
        for row in found.to_pylist()
        if rule in (None, row["rule"])
    }
