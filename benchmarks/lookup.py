"""What questions cost on a season of signatures: 100,000 parcels x 73 scenes = 7.3 million wide rows.

    python -m benchmarks.lookup [--parcels 100000] [--scenes 73]

A parcel's year is asked for through the named query of the time series, before and after compaction; the peer in the
same run is pyarrow.dataset reading the same files with the same filter. Wall-clock medians, on one process.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from cbm_lake import schemas
from cbm_lake.lake import Lake, ParcelSet

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11")


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=100_000)
    arguments.add_argument("--scenes", type=int, default=73)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lake = Lake(name)
        start = time.perf_counter()
        fill(lake, options.parcels, options.scenes)
        rows = options.parcels * options.scenes
        print(f"{rows:,} rows written in {time.perf_counter() - start:.0f} s, {megabytes(name):,.0f} MB")
        report("as written", lake, options.parcels)
        start = time.perf_counter()
        lake.compact("s2")
        print(f"compacted in {time.perf_counter() - start:.0f} s")
        report("compacted", lake, options.parcels)


def fill(lake: Lake, parcels: int, scenes: int) -> None:
    """A season of made-up signatures, scene by scene as extraction writes them."""
    rng = np.random.default_rng(0)
    schema = schemas.signatures("s2")
    pids = pa.array([f"{number:08d}" for number in range(parcels)])
    for scene in range(scenes):
        obstime = datetime(2024, 1, 3, 10, 40, tzinfo=UTC) + timedelta(days=5 * scene)
        name = f"S2A_MSIL2A_{obstime:%Y%m%dT%H%M%S}"
        keys = {"aoi": "ms", "year": 2024, "ptype": "", "scene": name, "obstime": obstime}
        keys |= {"reference": name, "rule": "centre"}
        level = rng.normal(2000, 500, parcels).astype("float32")
        columns = []
        for field in schema:
            band, _, statistic = field.name.partition("_")
            if field.name == "pid":
                columns.append(pids)
            elif field.name in keys:
                columns.append(pa.repeat(pa.scalar(keys[field.name], field.type), parcels))
            elif statistic == "count" or band == "scl":
                columns.append(pa.array(rng.integers(0, 300, parcels), field.type))
            elif band in BANDS:
                columns.append(pa.array(np.round(level + rng.normal(0, 60, parcels), 2), field.type))
            else:
                columns.append(pa.nulls(parcels, field.type))
        parcel_set = ParcelSet("ms", 2024, "", "v1", "", "")
        lake.write_signatures("s2", pa.table(columns, schema=schema), parcel_set, name)


def report(state: str, lake: Lake, parcels: int) -> None:
    """One line per question."""
    rng = np.random.default_rng(1)
    ids = [f"{number:08d}" for number in rng.integers(0, parcels, 60)]
    key = {"aoi": "ms", "year": 2024, "ptype": "", "bands": None}
    ours = milliseconds([lambda pid=pid: lake.query("time_series.s2", **key, pid=pid) for pid in ids])
    paths = live(lake)
    peer = ds.dataset(paths, format="parquet")
    theirs = milliseconds([lambda pid=pid: peer.to_table(filter=ds.field("pid") == pid) for pid in ids[:10]])
    print(
        f"{state:11s} a parcel's year: median {statistics.median(ours):7.1f} ms, p99 {np.quantile(ours, 0.99):7.1f} ms "
        f"({len(paths)} files); pyarrow.dataset {statistics.median(theirs):7.1f} ms, "
        f"{statistics.median(theirs) / statistics.median(ours):5.1f}x"
    )
    date = "select avg(B04_mean) from s2 where obstime::date = date '2024-06-16'"
    ndvi = "select week(obstime) as week, median(ndvi(B04_mean, B08_mean)) from s2 where observable group by week"
    for title, text in {"one date, one band": date, "national NDVI per week": ndvi}.items():
        print(f"{state:11s} {title}: {statistics.median(milliseconds([lambda text=text: lake.sql(text)] * 3)):7.0f} ms")


def live(lake: Lake) -> list[str]:
    """The files that count now."""
    table = lake._signatures["s2"].open()  # noqa: SLF001
    return [] if table is None else table.file_uris()


def megabytes(folder: str) -> float:
    """Of all files below a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6


def milliseconds(questions: list[Callable[[], object]]) -> list[float]:
    """Wall-clock of each question, after one that is not counted."""
    questions[0]()
    spent = []
    for question in questions:
        start = time.perf_counter()
        question()
        spent.append((time.perf_counter() - start) * 1000)
    return spent


if __name__ == "__main__":
    main()
