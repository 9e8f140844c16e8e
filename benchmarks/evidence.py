"""What it costs to look at a parcel: its curves, the band of its peers and its images, p50 and p95 over parcels.

    python -m benchmarks.evidence [--lake FOLDER] [--parcels 100000] [--number 40] [--demo WORKSPACE]

Measured are the steps of the parts of the workbench without a browser: reading the year and making the figure, again
from what was read ahead, the band of peers, the days of the strip and its images. The lake is a made-up season of
--parcels parcels and 73 scenes, as benchmarks.lookup keeps one, or made here; with --demo the lake of a workspace that
`cbm-lake demo` made, which has images. The line "calibration" says how busy the machine was: at twice its time, so are
all others.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks import season
from cbm_lake.cards import INDICES
from cbm_lake.ipycbm.desk import thumbnails
from cbm_lake.ipycbm.desk.evidence import Evidence
from cbm_lake.ipycbm.desk.observed import Observations
from cbm_lake.ipycbm.desk.state import Request, State
from cbm_lake.lake import Lake, open_lake
from cbm_lake.lake.keys import ParcelKey
from cbm_lake.show import peers, views

T = TypeVar("T")
LAYER = "true colour"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", help="a lake of --parcels parcels that was filled and compacted before")
    parser.add_argument("--parcels", type=int, default=100_000)
    parser.add_argument("--number", type=int, default=40, help="parcels that are looked at")
    parser.add_argument("--demo", help="a workspace of cbm-lake demo, looked at instead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = options.demo or scratch
        if options.demo:
            lake, aoi, year = open_lake(), "demo", 2024
        else:
            lake, aoi, year = made(options.lake, scratch, options.parcels), season.AOI, season.YEAR
        measure(lake, aoi, year, options.number)
    print(f"{'peak memory':34s} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:7d} MB")


def made(url: str | None, scratch: str, parcels: int) -> Lake:
    """The made-up season."""
    lake = Lake(url or str(Path(scratch, "lake")))
    if url is None:
        for _ in season.fill(lake, season.Season(parcels)):
            pass
        lake.compact()
    return lake


def measure(lake: Lake, aoi: str, year: int, number: int) -> None:
    """Look at parcels, one after another."""
    listed = lake.sql("select pid from parcels where aoi = $aoi and year = $year order by pid", aoi=aoi, year=year)
    pids = np.random.default_rng(0).choice(listed["pid"].to_pylist(), number + 1, replace=False).tolist()
    observations, view = Observations(lake, most=number + 2), views.view(LAYER)
    evidence, pool = Evidence(State(), observations, language="en"), ThreadPoolExecutor(4)
    spent: dict[str, list[tuple[float, float]]] = {}

    def timed(name: str, work: Callable[[], T]) -> T:
        wall, computing = time.perf_counter(), time.process_time()
        result = work()
        times = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - computing)
        spent.setdefault(name, []).append(times)
        return result

    for pid in pids:
        timed("calibration (2.4 ms when idle)", lambda: sum(range(200_000)))
        asked = Request(ParcelKey(aoi, year, "", str(pid)), "", "", LAYER, "ndvi", datetime.now(UTC))
        drawn = timed("curves and facts, parcel new", lambda: evidence.read(asked))  # noqa: B023 - called at once
        timed("curves and facts, read ahead", lambda: evidence.read(asked))  # noqa: B023
        seen = drawn.observed
        band = INDICES["ndvi"], seen.screen, seen.optical.card.name
        timed("band of peers, parcel new", lambda: peers.of_index(seen.reading, seen.parcel, *band))  # noqa: B023
        looks = timed("days of the strip", lambda: thumbnails.looks(seen, view))  # noqa: B023
        images = thumbnails.drawn(seen, view, looks, observations.reader, pool)
        if looks:
            timed("images of the strip", lambda: drained(images))  # noqa: B023
    for name, times in spent.items():
        wall, computing = (np.array(column[1:]) for column in zip(*times, strict=True))
        p50, p95 = np.quantile(wall, [0.5, 0.95])
        print(f"{name:34s} p50 {p50:7.1f} ms  p95 {p95:7.1f} ms  CPU {np.median(computing):7.1f} ms")


def drained(images: Iterator[object]) -> int:
    """How many pieces came."""
    return sum(1 for _ in images)


if __name__ == "__main__":
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    main()
