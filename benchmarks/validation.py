"""What the validation of an LPIS with outlines costs: a mosaic of parcels of 17 vertices, 2 % of them too wide.

    python -m benchmarks.validation [--parcels 1000000] [--peer 40000]

The file is GeoParquet in degrees. Its whole validation is timed, on one process, with the highest memory that it took.
Then the search for overlaps alone is held against plain geopandas on fewer parcels, in processor time: a self-join by
the predicate "overlaps" followed by the areas of the intersections, and a self-overlay.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyarrow as pa
import shapely

from cbm_lake.qa import geometries
from cbm_lake.qa.tablefiles import Shapes
from cbm_lake.qa.validation import validate

STEP = 100.0
"""Metres from one parcel to the next."""
BENDS = 3
"""Vertices between two corners."""


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=1_000_000)
    arguments.add_argument("--peer", type=int, default=40_000)
    arguments.add_argument("--file", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.file:
        whole(options.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lpis.parquet"
        lpis(options.parcels).to_crs(4326).to_parquet(file)
        print(f"{math.isqrt(options.parcels) ** 2:,} parcels, {file.stat().st_size / 1e6:,.0f} MB of GeoParquet")
        # a process of its own, so that its memory is that of the validation and not that of making the file
        subprocess.run([sys.executable, "-m", "benchmarks.validation", "--file", str(file)], check=True)
    against_geopandas(lpis(options.peer))


def whole(file: str) -> None:
    """Validate the file and print what each step took."""
    start, busy = time.perf_counter(), time.process_time()
    found = validate(file, "lpis")
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    slow = sorted(found.steps, key=lambda step: -step.seconds)[:4]
    print(f"whole validation: {seconds:.0f} s ({busy:.0f} s of processor time), {megabytes():,.0f} MB at most")
    print("slowest steps: " + ", ".join(f"{step.name} {step.seconds:.1f} s" for step in slow))
    for finding in found.findings.to_pylist():
        print(f"  {finding['message']}")


def against_geopandas(frame: gpd.GeoDataFrame) -> None:
    """Time the search for overlaps three ways on the same parcels; all must find the same pairs."""
    shapes = Shapes(pa.chunked_array([pa.array(frame.geometry.to_wkb(), pa.large_binary())]), frame.crs)
    measured = geometries.measure(shapes)
    start = time.process_time()
    ours = geometries.overlaps(measured).num_rows
    seconds = time.process_time() - start
    print(f"overlaps of {len(frame):,} parcels: {seconds:.2f} s, {ours:,} pairs")
    for name, peer in {"sjoin": by_join, "overlay": by_overlay}.items():
        start = time.process_time()
        theirs = peer(frame)
        spent = time.process_time() - start
        print(f"  geopandas {name}: {spent:.2f} s, {theirs:,} pairs, {spent / seconds:.1f} times as long")


def by_join(frame: gpd.GeoDataFrame) -> int:
    """Pairs by a spatial join and the areas of the intersections."""
    pairs = gpd.sjoin(frame[["geometry"]], frame[["geometry"]], predicate="overlaps").reset_index()
    pairs = pairs[pairs["index"] < pairs["index_right"]]
    a, b = (frame.geometry.iloc[pairs[name]].reset_index(drop=True) for name in ("index", "index_right"))
    return int((a.intersection(b).area > geometries.SMALLEST).sum())


def by_overlay(frame: gpd.GeoDataFrame) -> int:
    """Pairs by an overlay of the parcels with themselves."""
    numbered = frame[["geometry"]].assign(number=range(len(frame)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = gpd.overlay(numbered, numbered, how="intersection", keep_geom_type=True)
    parts = parts[parts["number_1"] < parts["number_2"]]
    return int((parts.area > geometries.SMALLEST).sum())


def lpis(parcels: int) -> gpd.GeoDataFrame:
    """A square of about so many parcels in EPSG:3035 with all columns of lpis; areas are right."""
    shapes = mosaic(math.isqrt(parcels))
    number = len(shapes)
    hectares = np.floor(shapely.area(shapes)) / 10_000 - 0.01
    none = np.zeros(number)
    names = ("pc_area", "pg_area", "na_area", "af_area", "n2000_area", "pw_area", "lf_area", "anc_area")
    columns = {
        "lpis_code": "A",
        "lpis_rp_id": [f"{row:09d}" for row in range(number)],
        "tot_area": hectares.round(4),
        "al_area": hectares.round(4),
        **dict.fromkeys(names, none),
        "avail_area": np.ones(number, bool),
    }
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=3035)


def mosaic(side: int, wide: float = 0.02) -> np.ndarray:
    """side x side parcels that share their bent edges; a share of them is 3 m too wide."""
    rng = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(np.arange(side + 1), np.arange(side + 1)), -1) * STEP
    corners += rng.uniform(-20, 20, corners.shape)
    across = edges(rng, corners[:, :-1], corners[:, 1:])
    up = edges(rng, corners[:-1], corners[1:])
    top = np.concatenate([corners[1:, 1:, None], across[1:, :, :0:-1]], 2)
    left = np.concatenate([corners[1:, :-1, None], up[:, :-1, :0:-1]], 2)
    rings = np.concatenate([across[:-1], up[:, 1:], top, left, across[:-1, :, :1]], 2)
    shapes = shapely.polygons(rings.reshape(side * side, -1, 2) + np.array([4_000_000, 2_900_000]))
    chosen = rng.random(len(shapes)) < wide
    shapes[chosen] = shapely.buffer(shapes[chosen], 3, quad_segs=1)
    return shapes


def edges(rng: np.random.Generator, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Bent lines from start to end without their last point: (rows, columns, points, 2)."""
    share = np.linspace(0, 1, BENDS + 2)[:-1, None]
    line = start[:, :, None] * (1 - share) + end[:, :, None] * share
    line[:, :, 1:] += rng.uniform(-5, 5, line[:, :, 1:].shape)
    return line


def megabytes() -> float:
    """The highest memory of this process so far; getrusage would give that of the process which started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


if __name__ == "__main__":
    main()
