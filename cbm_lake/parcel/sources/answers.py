"""The shapes of a source's answers: columns of parcels and of time series, as the original's functions give them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import shapely

from cbm_lake import cards
from cbm_lake.files import decimals
from cbm_lake.geo.reprojection import reprojected
from cbm_lake.parcel.sources.declared import Row
from cbm_lake.parcel.sources.protocol import SUFFIX, Columns

_SERIES: Final = ("date_part", "band", *cards.statistics.SERIES)
_CLASSES: Final = ("SC", "SCL")
"""What the original called its statistics of the scene classes' numbers, which only migrated scenes have."""
_SAFE: Final = ".SAFE"


def parcels(rows: Sequence[Row], *, geometry: bool, wgs84: bool) -> Columns:
    """One entry per parcel: area in m², centroid in degrees, crop, identifier, EPSG code; geom as GeoJSON if asked."""
    answer: Columns = {
        "area": [round(row["area_m2"]) for row in rows],
        "clat": [row["centroid_lat"] for row in rows],
        "clon": [row["centroid_lon"] for row in rows],
        "cropcode": [row["crop_code"] for row in rows],
        "cropname": [row["crop_name"] for row in rows],
        "pid": [row["pid"] for row in rows],
        "srid": [row["epsg"] for row in rows],
    }
    if geometry:
        answer["geom"] = [_geojson(row, wgs84=wgs84) for row in rows]
    return answer


def _geojson(row: Row, *, wgs84: bool) -> str:
    """GeoJSON text with 9 decimals; in a system other than degrees it names that system, as PostGIS does."""
    shape = shapely.from_wkb(row["geometry"])
    if wgs84:
        shape = reprojected(shape, row["epsg"], 4326)
    document = json.loads(shapely.to_geojson(shapely.transform(shape, lambda xy: np.round(xy, 9))))
    if not wgs84 and row["epsg"] != 4326:
        crs = {"type": "name", "properties": {"name": f"EPSG:{row['epsg']}"}}
        document = {"type": document["type"], "crs": crs, "coordinates": document["coordinates"]}
    return json.dumps(document, separators=(",", ":"))


def bands(tstype: str, band: str) -> list[str] | None:
    """Band names of the lake; a table of the original may imply the band."""
    if not band:
        return None
    card = cards.get(tstype)
    name = cards.band_called(band, card)
    if card.migrated and name in _CLASSES:
        return [_CLASSES[0]]
    if index := cards.indices.named(name):
        return [index.column for _ in cards.indices.check([index.name], card)]
    return [*card.check_bands((name,))]


def series(rows: pa.Table, tstype: str, *, scl: bool, ref: bool, more: Columns | None = None) -> Columns:
    """One entry per scene and band: its statistics, by `scl` the pixel counts per class, by `ref` the scene.

    Scenes without histogram are dropped if others have one. `more` are further columns, as long as the rows.
    """
    others = [name for name in cards.statistics.OPTIONAL if name in rows.column_names]
    answer: Columns = {name: decimals.shortest(rows[name]).to_pylist() for name in (*_SERIES, *others)}
    answer["count"] = [float(count) for count in answer["count"]]
    answer |= more or {}
    answer["band"] = [band + SUFFIX[tstype] for band in answer["band"]]
    classes = cards.get(tstype).classification
    if classes and scl:
        answer["hist"] = histograms(rows[classes.column])
    if ref:
        ending = _SAFE if tstype == cards.S2.name else ""
        answer["reference"] = [name.removesuffix(ending) + ending for name in rows["reference"].to_pylist()]
    if any(answer.get("hist", ())) and not all(answer["hist"]):
        classified = [number for number, histogram in enumerate(answer["hist"]) if histogram]
        answer = {name: [values[number] for number in classified] for name, values in answer.items()}
    return answer


def histograms(scl: pa.ChunkedArray) -> list[dict[str, int]]:
    """Pixel counts per scene class of each scene, classes as text."""
    by_counts: dict[tuple[int | None, ...], dict[str, int]] = {}
    histograms = []
    for counts in map(tuple, scl.to_pylist()):
        if counts not in by_counts:
            by_counts[counts] = {str(name): int(count) for name, count in enumerate(counts) if count}
        histograms.append(by_counts[counts])
    return histograms
