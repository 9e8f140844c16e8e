"""What exports cost: 500,000 parcels to each format, each in a process of its own, with the peak of its memory.

    python -m benchmarks.exporting [--parcels 500000] [--vertices 24]

The parcels have outlines of --vertices vertices and are written with all columns of the view. The peak is the
process's greatest resident memory, from the import of the package on; the limit is 1 GB.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely

ENDINGS = (".parquet", ".csv", ".arrow", ".xlsx", ".gpkg", ".fgb", ".geojson")
LIMIT = 1000
"""MB"""
_CROPS = np.array(["permanent grassland", "winter wheat", "maize", "sugar beet", "sunflower"])


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=500_000)
    arguments.add_argument("--vertices", type=int, default=24)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        _alone(_fill, f"{scratch}/lake", options.parcels, options.vertices)
        for ending in ENDINGS:
            path = f"{scratch}/parcels{ending}"
            rows, seconds, peak = _alone(_export, f"{scratch}/lake", path)
            assert rows == options.parcels
            size = Path(path).stat().st_size / 1e6
            verdict = "" if peak <= LIMIT else f"   more than {LIMIT} MB"
            print(f"{ending:9} {seconds:6.1f} s   peak {peak:5.0f} MB   {size:6.0f} MB on disk{verdict}", flush=True)
            Path(path).unlink()


def _fill(url: str, count: int, vertices: int) -> int:
    """A lake of parcels: round fields on a grid, of one vertex per corner of a regular polygon."""
    from cbm_lake.lake import Lake

    side = int(np.ceil(np.sqrt(count)))
    numbers = np.arange(count)
    centres = np.stack([300_000 + numbers % side * 100.0, 4_800_000 + numbers // side * 100.0], axis=1)
    angles = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    ring = 45 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    shapes = shapely.polygons(centres[:, None, :] + ring[None, :, :])
    bounds = shapely.bounds(shapes)
    boxes = pa.StructArray.from_arrays([pa.array(edge) for edge in bounds.T], names=["xmin", "ymin", "xmax", "ymax"])
    crops = pa.array(_CROPS[numbers % len(_CROPS)])
    table = pa.table(
        {
            "id": pa.array([f"{number:09}" for number in numbers]),
            "geometry": pa.array(shapely.to_wkb(shapes), pa.binary()),
            "bbox": boxes,
            "area": pa.array(shapely.area(shapes) / 1e4),
            "crop:code": pa.array([str(number) for number in numbers % len(_CROPS)]),
            "crop:name": crops,
            "epsg": pa.array(np.full(count, 32631, np.int32)),
            "centroid_lon": pa.array(3 + numbers % side * 0.001),
            "centroid_lat": pa.array(43 + numbers // side * 0.001),
        }
    )
    Lake(url).add_parcels("ms", 2024, "", "v1", table)
    return count


def _export(url: str, path: str) -> int:
    from cbm_lake.lake import Lake

    return Lake(url).export("parcels", path)


def _alone(function, *arguments):
    """What a function gives in a process of its own, its seconds, and the peak of that process's memory in MB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, function, arguments).result()


def _measured(function, arguments):
    start = time.perf_counter()
    answer = function(*arguments)
    return answer, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
