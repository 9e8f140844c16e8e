"""What all markers of a large area cost: 100,000 parcels x 73 dates of Sentinel-2 and 60 of coherence.

    python -m benchmarks.markers [--parcels 100000] [--scenes 73] [--coherence 60] [--lake FOLDER]

The season is the made-up one of benchmarks.season; 40 % of what is seen is cloud. The first search compiles, or finds
what an earlier process compiled; the second one is measured step by step. The peak is the process's resident memory,
the search's own share is told beside it. With --lake, the lake stays in a folder and is filled only once.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import numpy as np
import pyarrow as pa

from benchmarks import season
from cbm_lake import markers
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers import finding, series
from cbm_lake.markers.parameters import read


def main() -> None:
    """Print seconds and memory."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=100_000)
    arguments.add_argument("--scenes", type=int, default=73)
    arguments.add_argument("--coherence", type=int, default=60)
    arguments.add_argument("--lake", type=Path)
    options = arguments.parse_args()
    size = season.Season(options.parcels, options.scenes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.lake or Path(scratch) / "lake"
        lake = Lake(str(folder))
        if lake.is_empty:
            fill(lake, size, options.coherence)
        lake = Lake(str(folder))
        before = peak()
        timed("first search, with compiling", lambda: markers.find(season.AOI, season.YEAR, lake=lake))
        parts(lake)
        found = timed("find, all together", lambda: markers.find(season.AOI, season.YEAR, lake=lake))
        timed("phenology", lambda: markers.phenology(season.AOI, season.YEAR, lake=lake))
        timed("traffic light", lambda: markers.traffic_light(season.AOI, season.YEAR, lake=lake))
        print(f"{found.num_rows:,} markers; peak memory {peak():.2f} GB, {before:.2f} GB of it before the search")


def parts(lake: Lake) -> None:
    """Seconds of the steps of a search."""
    chosen = read()
    parcels = lake.parcel_set(season.AOI, season.YEAR)
    seen = timed("  reading the lake", lambda: series.read(lake, parcels, chosen))
    found = timed("  finding", lambda: finding.search(seen, season.YEAR, chosen))
    rows = timed("  making a table", lambda: finding.table(found, seen, parcels))
    timed("  writing", lambda: lake.put("marked", rows, finding.part_of(parcels)))


def timed(name: str, work: Callable[[], Any]) -> Any:
    with watch(name):
        return work()


@contextmanager
def watch(name: str) -> Iterator[None]:
    started, spent = time.perf_counter(), time.process_time()
    yield
    print(f"{name:32} {time.perf_counter() - started:6.1f} s, {time.process_time() - spent:6.1f} s of processors")


def peak() -> float:
    """The most memory that this process held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def fill(lake: Lake, size: season.Season, scenes: int) -> None:
    """The made-up season, with coherence that is low under green crops."""
    with watch("filling the lake"):
        for _ in season.fill(lake, size):
            pass
        lake.prepare("c6")
        rng = np.random.default_rng(1)
        for scene in range(scenes):
            _write_coherence(lake, size, scene, rng)


def _write_coherence(lake: Lake, size: season.Season, scene: int, rng: np.random.Generator) -> None:
    moment = season.START + 6 * scene * (size.obstime(1) - size.obstime(0)) / 5
    name = f"S1A_{moment:%Y%m%d}_COH6"
    key = {"card": "c6", "scene": name, "aoi": season.AOI, "year": season.YEAR, "ptype": "", "parcels": season.VERSION}
    done = {"base": None, "bands": ["VV", "VH"], "rule": "centre", "cube": False, "status": "done", "problem": None}
    done |= {"boa_offset": None, "rows": size.parcels, "started": moment, "finished": moment, "version": "benchmark"}
    level = (0.3 + 0.2 * np.cos(scene / 8) + 0.06 * rng.standard_normal(size.parcels)).clip(0.02, 0.98)
    known = {"pid": [size.pid(number) for number in range(size.parcels)]}
    known |= {f"{band}_mean": level for band in ("VV", "VH")} | {
        f"{band}_count": [40] * size.parcels for band in ("VV", "VH")
    }
    same = {**key, "obstime": moment, "reference": name, "rule": "centre", "extraction": 1_000_000 + scene}
    arrays = [
        pa.array(known[field.name], field.type)
        if field.name in known
        else pa.repeat(pa.scalar(same.get(field.name), field.type), size.parcels)
        for field in schemas.signatures("c6")
    ]
    lake.write_signatures("c6", pa.table(arrays, schema=schemas.signatures("c6")), same["extraction"])
    lake.record({**key, **done, "extraction": same["extraction"]})


if __name__ == "__main__":
    main()
