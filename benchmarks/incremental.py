"""What a night's search for markers costs beside a search of everything, and whether both give the same rows.

    python -m benchmarks.incremental [--parcels 20000] [--scenes 73] [--coherence 60] [--lake FOLDER]
        [--shares 0,0.05,0.3,1]

A season of that many scenes over all parcels is searched; then comes night after night one late scene over a share of
the parcels: 5 %, 30 % and all of them, once those beside each other in the order of identifiers (a tile of a country),
once scattered. Processor time of one process, each measured in turn; the rows are compared.
"""

from __future__ import annotations

import argparse
import os
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


def main() -> None:
    """Print seconds and ratios."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=20_000)
    arguments.add_argument("--scenes", type=int, default=73)
    arguments.add_argument("--coherence", type=int, default=60)
    arguments.add_argument("--lake", type=Path)
    arguments.add_argument("--shares", default="0,0.05,0.3,1")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        lake = Lake(str(options.lake or Path(scratch) / "lake"))
        if lake.is_empty:
            fill(lake, season.Season(options.parcels, options.scenes), options.coherence)
        markers.find(season.AOI, season.YEAR, lake=lake)
        nights(lake, options.parcels, [float(share) for share in options.shares.split(",")])


def nights(lake: Lake, parcels: int, shares: list[float]) -> None:
    """One late scene after another over a part of the parcels."""
    scene = (
        lake.sql("select count(distinct scene) as n from s2 where scene not like '%T104000%'")["n"][0].as_py() + 20.5
    )
    rng = np.random.default_rng(2)
    print(f"{'parcels with a new scene':34} {'new only':>9} {'all':>9} {'ratio':>6} {'searched':>9}  same rows")
    for share in shares:
        for name in ("together", "scattered") if 0 < share < 1 else ("",):
            size = season.Season(parcels)
            some = np.arange(parcels) < share * parcels if name != "scattered" else rng.random(parcels) < share
            if share:
                season.add(lake, size, scene, rng, some)
                scene += 1
            new, spent = measured(lambda: markers.find(season.AOI, season.YEAR, only_new=True, lake=lake))
            everything, full = measured(lambda: markers.find(season.AOI, season.YEAR, lake=lake))
            searched = int(new.schema.metadata[b"searched"])
            same = new.replace_schema_metadata().equals(everything.replace_schema_metadata())
            costs = f"{spent:7.2f} s {full:7.2f} s {spent / full:6.2f}"
            print(f"{f'{share:.0%} of {parcels:,} {name}':34} {costs} {searched:9,}  {same}")


def measured(work: Callable[[], pa.Table]) -> tuple[pa.Table, float]:
    """A result and the processor time that it took, in seconds."""
    started = time.process_time()
    return work(), time.process_time() - started


if __name__ == "__main__":
    main()
