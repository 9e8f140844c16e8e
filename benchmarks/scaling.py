"""How the cost of extraction grows with scenes, parcels and workers, and how true the estimate is.

    python -m benchmarks.scaling [--parcels 1000,10000,100000] [--scenes 1,2,5,10]

Scenes are copies of one full tile (8 bands and the classification, COG). Each run is a lake of its own, from planned to
committed. Workers are Dask processes that are up before the clock starts. The line "estimate" is what `cbm.estimate`
says of the same work on this machine, divided by what it took.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
from distributed import Client, LocalCluster

from benchmarks.extraction import S2_BANDS, add_scene, make_scene
from benchmarks.tiles import EPSG, fields
from cbm_lake import extract, parcels, zonal
from cbm_lake.extract.cost import estimate
from cbm_lake.lake import Lake, schemas

FIRST = datetime(2024, 6, 1, 10, 40, tzinfo=UTC)


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", default="1000,10000,100000")
    arguments.add_argument("--scenes", default="1,2,5,10")
    arguments.add_argument("--workers", default="1,2")
    options = arguments.parse_args()
    counts, dates, workers = (list(map(int, text.split(","))) for text in vars(options).values())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        assets = make_scene(folder, S2_BANDS)
        zonal.warm_up()
        print("parcels  scenes     wall      CPU   CPU a scene")
        for count, number in [
            *((counts[-1], number) for number in dates),
            *((count, dates[-1]) for count in counts[:-1]),
        ]:
            wall, cpu = serial(filled(folder, count, number, assets))
            print(f"{count:7d} {number:7d} {wall:7.2f}s {cpu:7.2f}s {cpu / number:10.2f}s", flush=True)
        walls = {number: parallel(filled(folder, counts[-1], dates[-1], assets), number) for number in workers}
        for number, wall in walls.items():
            print(f"{number} workers: {wall:.2f}s, {walls[workers[0]] / wall:.2f} x one", flush=True)
        for cube in (False, True):
            told = estimate(counts[-1], dates[-1], len(S2_BANDS), workers=1, cube=cube).hours * 3600
            took, _ = serial(filled(folder, counts[-1], dates[-1], assets), cube=cube)
            print(f"estimate, cube={cube}: {told:.1f}s, {told / took:.2f} of what it took ({took:.1f}s)", flush=True)


def filled(folder: Path, count: int, number: int, assets: dict[str, str]) -> Lake:
    """A lake with parcels and scenes, nothing extracted."""
    lake = Lake(tempfile.mkdtemp(dir=folder))
    frame = gpd.GeoDataFrame({"pid": [f"{n:07d}" for n in range(count)]}, geometry=fields(count), crs=EPSG)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(str(folder / "parcels.parquet"), "bench", 2024, pid="pid", lake=lake)
    add_scene(lake, assets)
    first = lake.sql("from stac_scenes").to_pylist()[0]
    names = {name: first[name] for name in schemas.SCENES.names}
    copies = [
        {
            **names,
            "id": f"tile{n}",
            "acquisition": f"tile{n}",
            "reference": f"tile{n}",
            "datetime": FIRST + timedelta(n),
        }
        for n in range(1, number)
    ]
    if copies:
        lake.add_scenes(pa.Table.from_pylist(copies, schema=schemas.SCENES))
    return lake


def serial(lake: Lake, *, cube: bool = False) -> tuple[float, float]:
    """Seconds of wall clock and of CPU in this process alone."""
    wall, cpu = time.perf_counter(), time.process_time()
    run(lake, cube=cube, workers=0)
    return time.perf_counter() - wall, time.process_time() - cpu


def parallel(lake: Lake, workers: int) -> float:
    """Seconds of wall clock with so many worker processes."""
    options = {"scheduler_kwargs": {"dashboard": False, "dashboard_address": "127.0.0.1:0"}, "host": "127.0.0.1"}
    with LocalCluster(n_workers=workers, threads_per_worker=1, **options) as cluster, Client(cluster) as client:
        client.run(zonal.warm_up)
        wall = time.perf_counter()
        run(lake, cube=False, scheduler=client)
        return time.perf_counter() - wall


def run(lake: Lake, *, cube: bool, **how: object) -> None:
    """Extract all scenes."""
    done = extract.s2("2024-06-01", "2024-06-30", aoi="bench", year=2024, bands=S2_BANDS, cube=cube, lake=lake, **how)
    assert done.scenes, done


if __name__ == "__main__":
    main()
