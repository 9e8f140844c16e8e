"""What the lights of a night cost, beside lights that are judged from the beginning, and whether both are the same.

    python -m benchmarks.lights [--parcels 3000,10000,30000] [--scenes 45] [--coherence 60]

A season up to the middle of August over parcels of grass, wheat, maize and fallow land is judged; then comes one more
scene over all of them, and one that is three months late over a third. Processor time and peak memory of one process;
then a line through the sizes, seconds = a + b x parcels, and what it says of a million.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import numpy as np
import pyarrow as pa

from benchmarks import season
from benchmarks.markers import fill
from cbm_lake import markers
from cbm_lake.lake import Lake
from cbm_lake.markers import lights
from cbm_lake.markers.court import last_day
from cbm_lake.markers.parameters import read

MILLION = 1_000_000
CROPS = ("grass", "wheat", "maize", "fallow")
LATE = 18
"""Scenes before the last one: three months."""


def main() -> None:
    """Print seconds and memory."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--parcels", default="3000,10000,30000")
    arguments.add_argument("--scenes", type=int, default=45)
    arguments.add_argument("--coherence", type=int, default=60)
    options = arguments.parse_args()
    season.CROPS = tuple(f"{CROPS[number % 4]} {number:02}" for number in range(20))  # type: ignore[assignment]
    counts = [int(count) for count in options.parcels.split(",")]
    print(f"{'parcels':>9} {'anew':>9} {'first':>9} {'a scene':>9} {'a late one':>10} {'peak':>9}  same lights")
    seconds = []
    for count in counts:
        with tempfile.TemporaryDirectory() as scratch:
            size = season.Season(count, options.scenes)
            lake = Lake(str(Path(scratch) / "lake"))
            fill(lake, size, options.coherence)
            seconds.append(nights(lake, size))
    extrapolate(counts, seconds)


def nights(lake: Lake, size: season.Season) -> list[float]:
    """The costs of all ways, in seconds: from the beginning, the first night, a new scene, a late scene."""
    rng = np.random.default_rng(2)
    everywhere = np.ones(size.parcels, bool)
    find(lake)
    night(lake)  # compiles
    forget(lake)
    _, first = measured(lambda: night(lake))
    season.add(lake, size, size.scenes + 0.5, rng, everywhere)
    find(lake)
    _, new = measured(lambda: night(lake))
    season.add(lake, size, size.scenes + 0.5 - LATE, rng, rng.random(size.parcels) < 1 / 3)
    find(lake)
    by_night, late = measured(lambda: night(lake))
    anew, full = measured(lambda: markers.traffic_light(season.AOI, season.YEAR, lake=lake))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    costs = f"{full:7.2f} s {first:7.2f} s {new:7.2f} s {late:8.2f} s {peak:6.0f} MB"
    print(f"{size.parcels:9,} {costs}  {by_night.drop_columns('turned').equals(anew)}", flush=True)
    return [full, first, new, late]


def find(lake: Lake) -> None:
    """Find the markers of what is new."""
    markers.find(season.AOI, season.YEAR, only_new=True, lake=lake)


def forget(lake: Lake) -> None:
    """Delete what is remembered."""
    for file in (Path(lake.url) / "searches").rglob("*.parquet"):
        file.unlink()


def night(lake: Lake) -> pa.Table:
    """The lights as a night run judges them."""
    parcels = lake.parcel_set(season.AOI, season.YEAR)
    day = last_day(lake, parcels)
    assert day is not None
    return lights.nightly(lake, parcels, read(None), None, day)


def measured(work: Callable[[], pa.Table]) -> tuple[pa.Table, float]:
    """A result and the processor time that it took, in seconds."""
    started = time.process_time()
    return work(), time.process_time() - started


def extrapolate(counts: list[int], seconds: list[list[float]]) -> None:
    """A line through the sizes, and what it says of a million parcels; nothing with fewer than two sizes."""
    if len(counts) < 2:
        return
    print(f"seconds = a + b x parcels, for {MILLION:,} parcels:")
    for number, name in enumerate(("anew", "first", "a scene", "a late one")):
        slope, fixed = np.polyfit(counts, [costs[number] for costs in seconds], 1)
        print(f"  {name:<10} {fixed:5.1f} s + {slope * 1e6:6.1f} us x parcels = {fixed + slope * MILLION:7.0f} s")


if __name__ == "__main__":
    main()
