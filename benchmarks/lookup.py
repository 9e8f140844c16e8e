"""What questions cost on a country's season: 500,000 parcels x 73 scenes x 8 bands = 36.5 million wide rows.

    python -m benchmarks.lookup [--parcels 14000 100000 500000] [--lake FOLDER | --keep FOLDER]

Each size is filled, compacted and asked. A parcel's year is asked for through the named query of the time series and
through get.time_series.by_pid, for parcels not asked for before and again; in fresh processes; and, in the same run,
of PostgreSQL, which holds the same rows of 5,000 parcels as the original does. With --lake, a lake that an earlier run
left is asked. The line "calibration" says how busy the machine was: at twice its time, so are all others.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import postgres, season
from cbm_lake.get import time_series
from cbm_lake.lake import Lake

KEY = {"aoi": season.AOI, "year": season.YEAR, "ptype": ""}
PEER = 5_000
"""Parcels that PostgreSQL gets; size is scaled by rows, look-ups hardly depend on it while all is in memory."""
FRESH = """
import json, sys, time
start = time.perf_counter(), time.process_time()
import pandas, cbm_lake
from cbm_lake.lake import open_lake
ready = time.perf_counter(), time.process_time()
rows = open_lake(sys.argv[1]).query("time_series.s2", aoi="ms", year=2024, ptype="", pid=sys.argv[2], bands=None)
done = time.perf_counter(), time.process_time()
print(json.dumps([[1000 * (b - a) for a, b in zip(*pair)] for pair in ((start, ready), (ready, done))]))
"""


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, nargs="*", default=[14_000, 100_000, 500_000])
    arguments.add_argument("--lake", help="a lake that was filled and compacted here, of --parcels parcels")
    arguments.add_argument("--keep", help="folder in which the lakes stay")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        for parcels in options.parcels:
            size = season.Season(parcels)
            url = options.lake or f"{options.keep or scratch}/{parcels}"
            print(f"-- {size.rows / 1e6:.1f} M wide rows, {size.rows * len(season.BANDS) / 1e6:.0f} M band records")
            if not options.lake:
                _make(url, size)
            _ask(url, size)
        _compare(url, size)


def _make(url: str, size: season.Season) -> None:
    """Fill a lake and compact it."""
    _, seconds, peak = alone(_fill, url, size)
    line("filling, as 73 commits", f"{seconds:7.0f} s   {_bytes(url) / size.rows:6.0f} bytes a row, peak {peak} MB")
    _, seconds, peak = alone(_compact, url)
    line("compaction", f"{seconds:7.0f} s   {_bytes(url) / size.rows:6.0f} bytes a row, peak {peak} MB")


def _ask(url: str, size: season.Season) -> None:
    """One line per question."""
    show("calibration", milliseconds([lambda: sum(range(200_000))] * 20), "2.4 ms when nobody else is busy")
    lake = Lake(url)
    pids = [size.pid(number) for number in np.random.default_rng(1).choice(size.parcels, 201, replace=False)]
    ask = [lambda pid=pid: lake.query("time_series.s2", **KEY, pid=pid, bands=None) for pid in pids]
    show("a parcel's year, parcel and file new", milliseconds(ask), "10 ms, p99 30 ms")
    show("a parcel's year, asked before", milliseconds([*ask[:51], *ask[:51]])[51:], "10 ms, p99 30 ms")
    frames = [lambda pid=pid: time_series.by_pid("ms", season.YEAR, pid, lake=lake) for pid in pids[:50]]
    show("the same by get.time_series.by_pid", milliseconds(frames), "10 ms")
    fresh = [json.loads(subprocess.check_output([sys.executable, "-c", FRESH, url, pid])) for pid in pids[:15]]
    show("fresh process, imports", [spent[0] for spent in fresh[1:]], "")
    show("fresh process, opening and answer", [spent[1] for spent in fresh[1:]], "60 ms")
    for name, target in {"one_date": "1 s", "ndvi_by_crop_and_week": "3 s"}.items():
        spent, _, peak = alone(_national, url, name)
        show(f"national.{name}, first time", spent[:1], "")
        show(f"national.{name}", spent[1:], f"{target}; peak {peak} MB")


def _national(url: str, name: str) -> list[tuple[float, float]]:
    """Milliseconds of a question of all parcels, the first with files that were not opened before."""
    extra = {"one_date": {"date": "2024-06-06", "band": "B04"}}.get(name, {})
    lake = Lake(url)
    return milliseconds([lambda: lake.query(f"national.{name}", **KEY, **extra)] * 5, skip=0)


def _compare(url: str, size: season.Season) -> None:
    """The peer's look-ups and size beside the lake's."""
    lake = Lake(url)
    parcels = min(PEER, size.parcels)
    numbers = np.random.default_rng(2).choice(parcels, 60, replace=False).tolist()
    with postgres.server() as connection:
        held = postgres.load(connection, _long_rows(lake, size, parcels))
        ours = [lambda n=n: lake.query("time_series.s2", **KEY, pid=size.pid(n), bands=None) for n in numbers]
        theirs = [lambda n=n: postgres.series(connection, n) for n in numbers]
        for ask in (*ours, *theirs):  # what was asked before is warm on both sides
            ask()
        spent = {"the lake": milliseconds(ours), "PostgreSQL": milliseconds(theirs)}
    for name, found in spent.items():
        show(f"a parcel's year, asked before: {name}", found, "not slower than PostgreSQL")
    wide = _bytes(url) / size.rows
    line(
        "bytes a wide row",
        f"{wide:7.0f}     PostgreSQL {held.per_row * len(season.BANDS):.0f} ({held.rows:,} long rows)",
    )
    line("storage against PostgreSQL", f"{wide / held.per_row / len(season.BANDS):7.3f}     target 0.25")


def _long_rows(lake: Lake, size: season.Season, parcels: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Each scene with its long rows of the first parcels, numbers instead of text."""
    statement = """
        select pid[3:]::bigint as pid, $number::integer as obsid, band, count, mean, std, min, max, p25, p50, p75
        from s2_long where obstime = $moment and pid < $last order by pid, band
    """
    for number in range(size.scenes):
        moment = size.obstime(number)
        rows = lake.sql(statement, number=number, moment=moment, last=size.pid(parcels))
        yield pa.table({"id": [number], "obstime": [moment.isoformat()], "reference": [f"{number:060}"]}), rows


def _fill(url: str, size: season.Season) -> None:
    for _ in season.fill(Lake(url), size):
        pass


def _compact(url: str) -> None:
    Lake(url).compact()


def _bytes(url: str) -> int:
    """Of the signature files that count now."""
    table = Lake(url)._tables["signatures_s2"]  # noqa: SLF001
    held = table.open()
    return 0 if held is None else sum(file["size_bytes"] for file in table.files(held))


def alone(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    """What a function gives in a process of its own, its seconds and its peak memory in MB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, work, *arguments).result()


def _measured(work: Callable[..., Any], *arguments: Any) -> tuple[Any, float, int]:
    start = time.perf_counter()
    found = work(*arguments)
    return found, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def milliseconds(questions: list[Callable[[], object]], skip: int = 1) -> list[tuple[float, float]]:
    """Wall-clock of each question but the first ones, and the time that this process was computing."""
    spent = []
    for question in questions:
        start, computing = time.perf_counter(), time.process_time()
        question()
        spent.append(((time.perf_counter() - start) * 1000, (time.process_time() - computing) * 1000))
    return spent[skip:]


def show(title: str, spent: list[tuple[float, float]], target: str) -> None:
    """Median and tail of wall-clock, and the median of computing."""
    wall, computing = (np.array(times) for times in zip(*spent, strict=True))
    told = f"{np.median(wall):7.1f} ms  p99 {np.quantile(wall, 0.99):7.1f} ms  CPU {np.median(computing):7.1f} ms"
    line(title, f"{told}   target {target}" if target else told)


def line(title: str, text: str) -> None:
    """A line of the table."""
    print(f"{title:48s} {text}", flush=True)


if __name__ == "__main__":
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    main()
