"""Paging of 25,000 features, and item searches over 100,000 scenes, over HTTP on loopback.

python -m benchmarks.catalogue [SCENES]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import requests
import shapely
from pyproj import Transformer

from benchmarks.loopback import WHO, served
from cbm_lake.lake import Lake, schemas

PARCELS = 25_000
ROW = 250
"""Parcels in a row."""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(f"{folder}/lake")
        lake.add_parcels("ms", 2024, "", "v1", parcels())
        lake.add_scenes(scenes(count))
        with served(lake, Path(folder, "service"), ["ms"]) as (url, _):
            paging(url)
            searching(url, count)


def paging(url: str) -> None:
    session = requests.Session()
    session.auth = WHO
    for title, asked in (("as they are", ""), ("filtered and sorted", "&filter=area_m2 > 0&sortby=-crop_name")):
        session.get(f"{url}/ogc/collections/parcels_ms_2024/items").raise_for_status()
        began, found, address = (
            time.perf_counter(),
            [],
            f"{url}/ogc/collections/parcels_ms_2024/items?limit=1000{asked}",
        )
        while address:
            page = session.get(address).json()
            found += [one["id"] for one in page["features"]]
            address = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
        assert len(set(found)) == len(found) == PARCELS
        print(f"{PARCELS:,} features in pages of 1,000, {title}: {time.perf_counter() - began:.2f} s")


def searching(url: str, count: int) -> None:
    session = requests.Session()
    session.auth = WHO
    began = time.perf_counter()
    session.get(f"{url}/stac").raise_for_status()
    print(f"first look at a catalogue of {count:,} scenes: {time.perf_counter() - began:.2f} s")
    month = "2024-05-01T00:00:00Z/2024-05-31T23:59:59Z"
    for title, body in (
        ("box and month", {"bbox": [3, 43.3, 3.1, 43.4], "datetime": month}),
        ("filter", {"filter": {"op": "<", "args": [{"property": "eo:cloud_cover"}, 5]}}),
        ("all", {}),
        ("one id", {"ids": ["S000777"]}),
    ):
        matched, seconds = measured(lambda body=body: session.post(f"{url}/stac/search", json={**body, "limit": 10}))
        print(f"item search over {count:,} scenes, {title} ({matched:,} match): median {1000 * seconds:.0f} ms")


def measured(ask: Callable[[], requests.Response]) -> tuple[int, float]:
    times, matched = [], 0
    for _ in range(9):
        began = time.perf_counter()
        answer = ask()
        times.append(time.perf_counter() - began)
        matched = answer.json()["numberMatched"]
    return matched, statistics.median(times)


def parcels() -> pa.Table:
    to_degrees = Transformer.from_crs(32631, 4326, always_xy=True)
    rows = []
    for number in range(PARCELS):
        x, y = 500_000 + 110 * (number % ROW), 4_800_000 + 110 * (number // ROW)
        lon, lat = to_degrees.transform(x + 50, y + 50)
        box = dict(zip(("xmin", "ymin", "xmax", "ymax"), (x, y, x + 100, y + 100), strict=True))
        crop = {"crop:code": str(number % 7), "crop:name": f"crop {number % 7}"}
        shape = {"geometry": shapely.box(x, y, x + 100, y + 100).wkb, "bbox": box}
        place = {"epsg": 32631, "centroid_lon": lon, "centroid_lat": lat}
        rows.append({"id": f"p{number:05}", "area": 1.0, **crop, **shape, **place})
    return pa.Table.from_pylist(rows, schema=schemas.PARCELS)


def scenes(count: int) -> pa.Table:
    start, now = datetime(2017, 1, 1, 10, 40, tzinfo=UTC), datetime.now(UTC)
    rows = []
    for number in range(count):
        west, south = 2.9 + (number % 40) * 0.01, 43 + (number % 30) * 0.01
        box = (west, south, west + 0.5, south + 0.5)
        name, when = f"S{number:06}", start + timedelta(minutes=42 * number)
        rows.append(
            {
                "type": "Feature",
                "stac_version": "1.1.0",
                "id": name,
                "geometry": shapely.box(*box).wkb,
                "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
                "assets": {"B04": {"href": f"s3://scenes/{name}/B04.tif", "type": "image/tiff"}},
                "datetime": when,
                "proj:code": "EPSG:32631",
                "grid:code": "MGRS-31TEJ",
                "s2:processing_baseline": "05.10",
                "card": "s2",
                "reference": f"{name}.SAFE",
                "sensor": "S2A",
                "boa_offset": -1000,
                "acquisition": name,
                "source": "made here",
                "ingested": now,
                "eo:cloud_cover": float(number % 100),
            }
        )
    return pa.Table.from_pylist(rows, schema=schemas.SCENES)


if __name__ == "__main__":
    main()
