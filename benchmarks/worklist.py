"""What a worklist costs: 500,000 parcels with lights of two scenarios, a crop check and judgements.

    python -m benchmarks.worklist [--parcels 500000] [--judged 5000]

The first worklist reads the lake; later ones page through what is held, and see new judgements. In the same run DuckDB
answers the same from a table of its own in memory that has all columns, which is what a page can cost at best.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, TypeVar

import duckdb
import numpy as np
import pyarrow as pa

from benchmarks import season
from cbm_lake import cases
from cbm_lake.cases.worklists import Worklist
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers.finding import part_of

T = TypeVar("T")
KEY = (season.AOI, season.YEAR)
NIGHT = datetime(2024, 9, 1, tzinfo=UTC)
CONDITION = "colour = 'red' and area_ha > 1 and decision is null"
BARE = {
    "page 0": "select * from listed order by number limit 100",
    "page at 400,000": "select * from listed order by number limit 100 offset {deep}",
    "filter": f"select * from listed where {CONDITION} order by number limit 100",
    "sort by area": "select * from listed order by area_ha desc, number limit 100",
    "search": "select * from listed where starts_with(lower(pid), 'ms0001') order by number limit 100",
    "next open": "select number from listed where decision is null and number > {deep} order by number limit 1",
    "position": "select number from listed where pid = '{pid}'",
}


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=500_000)
    arguments.add_argument("--judged", type=int, default=5_000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        lake = Lake(f"{scratch}/lake")
        size = season.Season(options.parcels, 0)
        fill(lake, size, options.judged)
        before = peak()
        first, spent = timed(lambda: cases.worklist(*KEY, lake=lake))
        print(f"first worklist of {first.count().rows:,} parcels: {1000 * spent:,.0f} ms")
        compare(lake, first, size)
        judge(lake, size, [1], "ben")
        _, spent = timed(lambda: cases.worklist(*KEY, lake=lake).page())
        print(f"after somebody's judgement: {1000 * spent:,.0f} ms")
        _, spent = timed(lambda: cases.worklist(*KEY, where=CONDITION, lake=lake).page())
        print(f"after it, with a condition on decisions: {1000 * spent:,.0f} ms")
        held = sum(cache.size for name, cache in lake.caches if name == "worklists") / 1e6
        print(f"held {held:,.0f} MB; peak memory {before:,.0f} MB before, {peak():,.0f} MB after")


def compare(lake: Lake, whole: Worklist, size: season.Season) -> None:
    """Each question of a worklist beside the same of DuckDB: the first time, and the median of later ones."""
    deep, pid = int(0.8 * size.parcels), size.pid(size.parcels // 2)
    listed = whole.listed.with_standing().append_column("number", pa.array(np.arange(size.parcels)))
    connection = duckdb.connect()
    connection.from_arrow(listed).create("listed")

    def asked(**how: Any) -> Callable[[], pa.Table]:
        return lambda: cases.worklist(*KEY, lake=lake, **how).page()

    questions: dict[str, Callable[[], object]] = {
        "page 0": asked(),
        "page at 400,000": lambda: cases.worklist(*KEY, lake=lake).page(deep),
        "filter": asked(where=CONDITION),
        "sort by area": asked(sort="-area_ha"),
        "search": asked(search="MS0001"),
        "next open": lambda: cases.worklist(*KEY, lake=lake).next_open(deep),
        "position": lambda: cases.worklist(*KEY, lake=lake).position(pid),
    }
    print(f"{'':<16} {'first':>8} {'warm':>8} {'DuckDB':>8} {'ratio':>6}  (ms)")
    for name, question in questions.items():
        _, once = timed(question)
        warm = statistics.median(timed(question)[1] for _ in range(9))
        bare = BARE[name].format(deep=deep, pid=pid)
        alone = statistics.median(timed(connection.sql(bare).to_arrow_table)[1] for _ in range(9))
        print(f"{name:<16} {1e3 * once:>8.1f} {1e3 * warm:>8.1f} {1e3 * alone:>8.1f} {warm / alone:>6.2f}")


def fill(lake: Lake, size: season.Season, judged: int) -> None:
    """Load the parcels, record lights of two scenarios and a crop check, and judge some of them."""
    for _ in season.fill(lake, size):
        pass
    rng, count = np.random.default_rng(7), size.parcels
    parcels = lake.parcel_set(*KEY)
    pids = pa.array([size.pid(number) for number in range(count)])
    colours = pa.array(["red", "yellow", "green", "not yet due", "cannot be seen"])
    for scenario in ("grassland is mown", "arable land is worked"):
        drawn = pa.array(rng.choice(5, count, p=[0.02, 0.08, 0.7, 0.15, 0.05]))
        same = {"aoi": parcels.aoi, "year": parcels.year, "ptype": "", "kind": "light", "scenario": scenario}
        same |= {"reason": "no mowing was seen between 1 May and 15 July in nine clear looks", "due": date(2024, 7, 15)}
        same |= {"day": NIGHT.date(), "recorded": NIGHT, "version": "benchmark"}
        rows = filled(schemas.CHANGES, count, same, pid=pids, after=colours.take(drawn))
        lake.record_changes(parcels, partial(lambda rows: rows, rows))
    same = {**parcels.params, "version": parcels.version, "run": "r", "day": NIGHT.date(), "part": part_of(parcels)}
    ranks, same = pa.array(rng.permutation(count) + 1, pa.int32()), {**same, "verdict": "agrees", "reason": "likely"}
    lake.put("checked_crops", filled(schemas.CROP_CHECKS, count, same, pid=pids, rank=ranks), part_of(parcels))
    judge(lake, size, rng.choice(count, judged, replace=False).tolist(), "ann")


def judge(lake: Lake, size: season.Season, numbers: list[int], who: str) -> None:
    """Judge parcels as a whole, all in one commit."""
    parcels = lake.parcel_set(*KEY)
    now = datetime.now(UTC)
    same: dict[str, object] = {
        **parcels.params,
        "scenario": "",
        "number": 1,
        "decision": "confirmed",
        "note": "",
        "who": who,
    }
    same |= {"note": "", "decided": now, "as_of": now, "parcels": parcels.version, "version": "benchmark"}
    pids = pa.array([size.pid(number) for number in numbers])
    lake.add_judgements(lambda: filled(schemas.JUDGEMENTS, len(numbers), same, pid=pids))


def filled(schema: pa.Schema, count: int, same: Mapping[str, object], **columns: pa.Array) -> pa.Table:
    """Rows of a schema of which most columns are the same in all of them."""
    given = {name: pa.repeat(pa.scalar(value, schema.field(name).type), count) for name, value in same.items()}
    arrays = {**given, **columns}
    return pa.table([arrays.get(field.name, pa.nulls(count, field.type)) for field in schema], schema=schema)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """A result, and the seconds it took."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def peak() -> float:
    """The most memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
