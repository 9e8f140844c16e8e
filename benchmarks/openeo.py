"""What openEO costs beside the SQL that it stands on: a parcel's year, 320 parcels' season, a date of 500,000 parcels.

    python -m benchmarks.openeo [--parcels 14000 500000] [--lake FOLDER]

Each question is asked by the unmodified client, over a socket of the same machine, and in the same run as SQL in
the process of the lake; the median of several is printed, and what the first cost. A country's season is 73 scenes of
14,000 parcels here, and 3 scenes of the largest size, of which one is asked for: scenes that are not asked for cost
nothing. With --lake, a lake that benchmarks.lookup kept is asked for all of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import openeo

from benchmarks import season
from benchmarks.loopback import WHO, served
from cbm_lake.lake import Lake

AIMS = {"a parcel's year": 0.1, "320 parcels, a season": 1.0, "all parcels, one date": 5.0}
"""Seconds."""
COLUMNS = "pid, obstime, B04_mean"


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, nargs=2, default=[14_000, 500_000])
    arguments.add_argument("--lake", help="a lake that benchmarks.lookup kept, of the second of --parcels")
    options = arguments.parse_args()
    few, many = options.parcels
    logging.getLogger("openeo").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        print(f"{'question':<24} {'rows':>9} {'first':>8} {'openEO':>8} {'SQL':>8} {'aim':>6}   (seconds)")
        if options.lake:
            measure(Path(scratch), Lake(options.lake), season.Season(many), tuple(AIMS))
            return
        for size, names in ((season.Season(few), tuple(AIMS)[:2]), (season.Season(many, 3), tuple(AIMS)[2:])):
            lake = Lake(f"{scratch}/{size.parcels}")
            for _ in season.fill(lake, size):
                pass
            lake.compact()
            measure(Path(scratch), lake, size, names)


def measure(scratch: Path, lake: Lake, size: season.Season, names: tuple[str, ...]) -> None:
    """Ask a lake some of the questions."""
    with served(lake, scratch / str(size.parcels), [season.AOI]) as (url, _):
        connection = openeo.connect(f"{url}/openeo").authenticate_basic(*WHO)
        items = f"{url}/ogc/collections/parcels_{season.AOI}_{season.YEAR}/items"
        for name in names:
            graphs = [graph(items, extent, ids) for extent, ids in asked(name, size)]
            first, seconds = timed([lambda one=one: connection.execute(one, validate=False) for one in graphs])
            statements = [statement(lake, extent, ids) for extent, ids in asked(name, size)]
            _, bare = timed(statements)
            rows = statements[-1]()
            print(f"{name:<24} {rows:>9,} {first:>8.3f} {seconds:>8.3f} {bare:>8.3f} {AIMS[name]:>6}", flush=True)


def asked(name: str, size: season.Season) -> list[tuple[list[str], list[str] | None]]:
    """Intervals and parcels of a question, other ones each time."""
    year = [f"{season.YEAR}-01-01", f"{season.YEAR + 1}-01-15"]
    if name == "all parcels, one date":
        days = [[f"{size.obstime(n):%Y-%m-%d}", f"{size.obstime(n + 1):%Y-%m-%d}"] for n in (0, 1, 2, 0, 1)]
        return [(day, None) for day in days]
    count = 1 if name == "a parcel's year" else 320
    step = size.parcels // 12
    return [(year, [size.pid((n * step + k) % size.parcels) for k in range(count)]) for n in range(11)]


def graph(items: str, extent: list[str], ids: list[str] | None) -> dict[str, object]:
    """The mean of B04 of some parcels."""
    query = "" if ids is None else "?" + "&".join(f"ids={pid}" for pid in ids)
    loaded = {"id": "s2", "spatial_extent": None, "temporal_extent": extent, "bands": ["B04"]}
    reducer = {"m": {"process_id": "mean", "arguments": {"data": {"from_parameter": "data"}}, "result": True}}
    statistics = {
        "data": {"from_node": "load"},
        "geometries": items + query,
        "reducer": {"process_graph": reducer},
    }
    return {
        "load": {"process_id": "load_collection", "arguments": loaded},
        "statistics": {"process_id": "aggregate_spatial", "arguments": statistics, "result": True},
    }


def statement(lake: Lake, extent: list[str], ids: list[str] | None) -> Callable[[], int]:
    """The same by SQL; it gives the number of rows."""
    where = (
        "aoi = $aoi and year = $year and ptype = '' and obstime >= $start::timestamptz and obstime < $stop::timestamptz"
    )
    limits = {"aoi": season.AOI, "year": season.YEAR, "start": extent[0], "stop": extent[1]}
    if ids is None:
        return lambda: lake.sql(f"select {COLUMNS} from s2 where {where}", **limits).num_rows
    return lambda: lake.sql(f"select {COLUMNS} from s2 where {where} and pid in $ids", **limits, ids=ids).num_rows


def timed(questions: list[Callable[[], object]]) -> tuple[float, float]:
    """Seconds of the first of several questions, and the median of the others."""
    seconds = []
    for question in questions:
        began = time.perf_counter()
        question()
        seconds.append(time.perf_counter() - began)
    return seconds[0], median(seconds[1:])


if __name__ == "__main__":
    main()
