"""How long the workbench's map takes for a parcel, and for a step of its slider of days: wall clock and processor time.

    python -m benchmarks.scenemap [--large FOLDER] [--parcels 10]

reads the lake of the workspace (CBM_LAKE_HOME); with --large a lake that is made in a folder, with scenes of
10980 x 10980 pixels as COGs. A step is measured as the browser asks for it: the looks beside the last one have been
drawn ahead.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import rasterio
import shapely
from pyproj import Transformer

from cbm_lake.ipycbm.desk.scenemap import SceneMap
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.lake import Lake, open_lake, schemas

SIDE, LEFT, TOP, DATES = 10_980, 600_000, 5_700_000, 6


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the clock, and of the processors in this process."""
    clock, busy = time.perf_counter(), time.process_time()
    work()
    return 1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - busy)


def draw(scene_map: SceneMap, state: State) -> None:
    request = Request(state.key, state.day, state.compared, state.layer, state.index, datetime.now(UTC))
    scene_map.show(scene_map.read(request))


def settle(scene_map: SceneMap) -> None:
    """Wait until the looks ahead are drawn."""
    scene_map._timers["ahead"].join(30)  # noqa: SLF001


def walk(lake: Lake, parcels: list[dict[str, object]], layer: str) -> dict[str, list[tuple[float, float]]]:
    """Look at each parcel and step through its days."""
    taken: dict[str, list[tuple[float, float]]] = {
        "parcel": [],
        "first step": [],
        "step": [],
        "step not drawn ahead": [],
    }
    state = State(layer=layer)
    scene_map = SceneMap(state, lake, "en")
    for parcel in parcels:
        state.aoi, state.year, state.ptype = str(parcel["aoi"]), int(str(parcel["year"])), str(parcel["ptype"])
        state.day = ""
        state.pid = str(parcel["pid"])
        taken["parcel"].append(measured(lambda: draw(scene_map, state)))
        days = [look["day"] for look in scene_map.bar.looks]
        state.day = days[0]
        taken["first step"].append(measured(lambda: draw(scene_map, state)))
        for day in days[1:5]:
            settle(scene_map)
            state.day = day
            taken["step"].append(measured(lambda: draw(scene_map, state)))
        if len(days) > 12:
            state.day = days[11]
            taken["step not drawn ahead"].append(measured(lambda: draw(scene_map, state)))
    return taken


def large(folder: Path) -> Lake:
    """A lake with a parcel set on scenes as large as Sentinel-2's."""
    lake = Lake(str(folder / "lake"))
    if lake.parcel_sets():
        return lake
    turn = Transformer.from_crs(32631, 4326, always_xy=True)
    corners = shapely.box(*turn.transform_bounds(LEFT, TOP - 10 * SIDE, LEFT + 10 * SIDE, TOP))
    lake.add_scenes(pa.Table.from_pylist([scene(folder, n, corners) for n in range(DATES)], schema=schemas.SCENES))
    places = np.random.default_rng(1).integers(20_000, 90_000, (12, 2))
    lake.add_parcels(
        "large", 2024, "", "v1", pa.Table.from_pylist([*map(parcel_at, range(12), places)], schema=schemas.PARCELS)
    )
    return lake


def scene(folder: Path, number: int, corners: shapely.Geometry) -> dict[str, object]:
    assets = {}
    for band in ("B02", "B03", "B04", "B08"):
        path = folder / f"S{number}" / f"{band}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        tile = np.random.default_rng(number).integers(500, 4000, (549, 549)).astype("uint16")
        profile = {
            "driver": "COG",
            "crs": "EPSG:32631",
            "count": 1,
            "dtype": "uint16",
            "nodata": 0,
            "compress": "deflate",
        }
        shape = {"height": SIDE, "width": SIDE, "transform": rasterio.Affine(10, 0, LEFT, 0, -10, TOP)}
        with rasterio.open(path, "w", **profile, **shape) as file:
            file.write(np.tile(tile, (20, 20)), 1)
        assets[band] = {"href": str(path), "type": "image/tiff"}
    west, south, east, north = corners.bounds
    moment = datetime(2024, 5, 1, 10, 40, tzinfo=UTC) + timedelta(days=5 * number)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"S{number}",
        "geometry": corners.wkb,
        "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north},
        "assets": assets,
        "datetime": moment,
        "proj:code": "EPSG:32631",
        "grid:code": "MGRS-31UFT",
        "s2:processing_baseline": "05.10",
        "card": "s2",
        "reference": f"S{number}.SAFE",
        "sensor": "S2A",
        "boa_offset": 0,
        "acquisition": f"S{number}",
        "source": "benchmark",
        "ingested": moment,
        "eo:cloud_cover": 1.0,
    }


def parcel_at(number: int, place: np.ndarray) -> dict[str, object]:
    shape = shapely.box(LEFT + place[0], TOP - place[1] - 200, LEFT + place[0] + 200, TOP - place[1])
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(*shape.centroid.coords[0])
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True))
    row = {"id": f"P{number}", "geometry": shape.wkb, "bbox": box, "area": 4.0, "crop:name": "wheat", "crop:code": "1"}
    return {**row, "epsg": 32631, "centroid_lon": lon, "centroid_lat": lat}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--large", type=Path)
    options.add_argument("--parcels", type=int, default=10)
    options.add_argument("--layer", default="true colour")
    asked = options.parse_args()
    lake = large(asked.large) if asked.large else open_lake()
    statement = "select aoi, year, ptype, pid from parcels order by hash(pid) limit $number"
    parcels = lake.sql(statement, number=asked.parcels).to_pylist()
    walk(lake, parcels[:1], asked.layer)  # what is read once in a process
    for name, pairs in walk(lake, parcels, asked.layer).items():
        if pairs:
            clock, busy = np.array(pairs).T
            (p50, p95), (busy50, busy95) = np.percentile(clock, (50, 95)), np.percentile(busy, (50, 95))
            waited, worked = f"p50 {p50:6.0f} p95 {p95:6.0f}", f"p50 {busy50:5.0f} p95 {busy95:5.0f}"
            print(f"{name:22} n={len(clock):3} ms {waited} · processor {worked}")


if __name__ == "__main__":
    main()
