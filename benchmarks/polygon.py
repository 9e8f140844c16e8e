"""What the series of a drawn polygon costs, beside the bare reading of the same pixels: 73 dates, seven bands.

    python -m benchmarks.polygon [--dates 73] [--size 480] [--asked 15]

Scenes of a generated sample are extracted into a cube. Then polygons that nobody asked for before are asked for, fields
of 3 ha. "bare" reads the blocks of the cube that hold their pixels and decodes them, nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import shapely
import zarr

from cbm_lake import card2db, extract, parcels
from cbm_lake.config import Workspace
from cbm_lake.demo import sample
from cbm_lake.extract.drawn import drawn
from cbm_lake.extract.drawnseries import extract_drawn
from cbm_lake.geo.areas import Area
from cbm_lake.lake import Lake, open_lake
from cbm_lake.rasters import Window, shards
from cbm_lake.storage.access import zarr_store
from cbm_lake.storage.store import Store

DAYS = ("2024-01-01", "2024-12-31")


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--dates", type=int, default=73)
    arguments.add_argument("--size", type=int, default=480, help="pixels a side of the scenes")
    arguments.add_argument("--asked", type=int, default=15, help="polygons")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        Workspace.here().create()
        lake = filled(Path(scratch), options.dates, options.size)
        fields = polygons(lake, options.asked + 1)
        rows = asked(lake, fields[0]).num_rows  # which compiles and opens what all need
        timed("series", lambda field: asked(lake, field), fields[1:])
        timed("bare", lambda field: bare(lake, field), fields[1:])
        print(f"{rows} rows of {len(lake.sql('select distinct obstime from scenes'))} dates")


def filled(folder: Path, dates: int, size: int) -> Lake:
    """A lake with an extracted season of Sentinel-2."""
    files = sample.write(folder / "sample", size=size, dates=-(-dates // 2))
    parcels.load(files.parcels, "demo", 2024, pid="parcel_id")
    card2db.items(files.items["s2"], card="s2")
    card2db.items(a_day_later(files.items["s2"], dates // 2), card="s2")
    extract.s2(*DAYS, aoi="demo", year=2024, workers=0)
    return open_lake()


def a_day_later(items: Path, number: int) -> Path:
    """Items of the same files as of the following day, since the sample has 49 dates at most."""
    document = json.loads(items.read_text())
    for feature in document["features"]:
        day = feature["properties"]["datetime"][:10]
        following = str(date.fromisoformat(day) + timedelta(days=1))
        about = json.dumps({name: feature[name] for name in ("id", "properties")})
        moved = about.replace(day, following).replace(day.replace("-", ""), following.replace("-", ""))
        feature.update(json.loads(moved))
    document["features"] = document["features"][:number]
    file = items.with_name("later.json")
    file.write_text(json.dumps(document))
    return file


def polygons(lake: Lake, number: int) -> list[Area]:
    """Fields of 3 ha at random places of the area."""
    (box,) = lake.query("cube.extent", aoi="demo", year=2024).to_pylist()
    rng = np.random.default_rng(1)
    x, y = rng.uniform(box["west"], box["east"] - 200, number), rng.uniform(box["south"], box["north"] - 150, number)
    return [Area(shapely.box(a, b, a + 200, b + 150), box["epsg"]) for a, b in zip(x, y, strict=True)]


def asked(lake: Lake, field: Area) -> pa.Table:
    """The rows of a polygon."""
    polygon = drawn(lake, {"polygon": field}, "demo", 2024)
    return extract_drawn(lake, "s2", polygon, *DAYS, like=lake.parcel_set("demo", 2024)).table


def bare(lake: Lake, field: Area) -> None:
    """Decode the pixels of the box round a polygon in every cube, band and slot."""
    for cube in lake.cubes("s2").to_pylist():
        url = lake.cube_url("s2", cube["grid"])
        store, group = Store(url), zarr.open_group(zarr_store(url), mode="r")
        west, north = float(group["x"][0]), float(group["y"][0])
        metres, (left, bottom, right, top) = cube["resolution"], field.shape.bounds
        row, col = max(int((north - top) / metres), 0), max(int((left - west) / metres), 0)
        part = Window(row, col, int((top - bottom) / metres) + 1, int((right - left) / metres) + 1)
        for band in cube["bands"]:
            array = group[band]
            for slot in range(array.shape[0]):
                shards.window(store, band, slot, array, part)


def timed(name: str, work: Callable[[Area], object], fields: list[Area]) -> None:
    """Print median and worst of wall clock, and the median of processor time."""
    walls, cpus = [], []
    for field in fields:
        wall, cpu = time.perf_counter(), time.process_time()
        work(field)
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    print(f"{name:8} p50 {median(walls):.3f} s, worst {max(walls):.3f} s, processor {median(cpus):.3f} s")


if __name__ == "__main__":
    main()
