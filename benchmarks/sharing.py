"""Reading a table by Delta Sharing with its unmodified client, beside reading the same rows as Parquet.

    python -m benchmarks.sharing [--rows 1000000] [--lake FOLDER]

First the lake of the workspace (the generated sample), then one made here with so many rows of signatures: when the
service has to write the copy, and by both formats of the client when it has it. The bare limit is pandas reading the
same files from the disk. The service is a thread of this process, so the client shares its cores and its interpreter.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import delta_sharing
import pandas as pd
import pyarrow as pa

from benchmarks import season
from benchmarks.loopback import WHO, served
from cbm_lake.lake import Lake, open_lake
from cbm_lake.server.sharing import profiles


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--lake", help="another lake than that of the workspace")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measure(open_lake(wanted.lake), Path(scratch, "sample"))
        if wanted.rows:
            measure(large(Path(scratch, "large"), wanted.rows), Path(scratch, "served"))


def large(folder: Path, rows: int) -> Lake:
    """A lake with that many rows of signatures, of a season with 73 scenes."""
    lake = Lake(str(folder))
    size = season.Season(max(1, rows // 73))
    for _ in season.fill(lake, size):
        pass
    lake.compact()
    return lake


def measure(lake: Lake, folder: Path) -> None:
    """Print how long the signatures of the first area take."""
    parcels = lake.parcel_sets()[0]
    with served(lake, folder) as (url, accounts):
        profile = folder / "ada.share"
        profiles.write(accounts, WHO[0], url, profile)
        table = f"{profile}#{parcels.aoi}.{parcels.year}.s2"
        first, seconds = timed(lambda: delta_sharing.load_as_pandas(table, use_delta_format=False))
        print(f"{parcels.name}: {len(first)} rows, {len(first.columns)} columns")
        print(f"  the copy is written and read    {seconds:7.2f} s")
        files = sorted((folder / "shared").rglob("*.parquet"))
        limit = min(timed(lambda: pd.concat([pd.read_parquet(file) for file in files]))[1] for _ in range(3))
        print(f"  bare limit: Parquet of the disk {limit:7.2f} s   {sum(f.stat().st_size for f in files) / 1e6:.1f} MB")
        for delta in (False, True):
            best = min(
                timed(lambda delta=delta: delta_sharing.load_as_pandas(table, use_delta_format=delta))[1]
                for _ in range(3)
            )
            name = f"format {'delta' if delta else 'parquet'}"
            print(f"  {name:31} {best:7.2f} s   {best / limit:.1f} of the limit")


def timed(work: Callable[[], pd.DataFrame | pa.Table]) -> tuple[pd.DataFrame, float]:
    """The rows, and seconds."""
    start = time.perf_counter()
    rows = work()
    return rows, time.perf_counter() - start


if __name__ == "__main__":
    main()
