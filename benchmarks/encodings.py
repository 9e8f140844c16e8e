"""What encodings that every reader knows cost: the size of signatures, and the time to write and to read them.

    python -m benchmarks.encodings [--parcels 20000] [--scenes 40]

The same rows, those of the benchmark of a season, are written as compaction writes them, with floating
numbers byte-stream-split, plain, by dictionary, or plain but for those that repeat (smallest, largest, quartiles), and
read whole and by row group. All is measured in one process as time
of processors, the best of three, and told in proportion to the first.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from benchmarks import season
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.compaction import GROUP

KINDS = ("byte-stream-split", "plain", "plain, level 6", "plain, level 9", "dictionary", "quarters")


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=20_000)
    arguments.add_argument("--scenes", type=int, default=40)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        rows = _rows(options.parcels, options.scenes, f"{scratch}/lake")
        found = {kind: _measured(rows, Path(scratch) / f"{kind}.parquet", kind) for kind in KINDS}
    for kind, figures in found.items():
        told = (f"{name} {value:9.3f} ({value / found[KINDS[0]][name]:4.2f})" for name, value in figures.items())
        print(f"{kind:18}", "   ".join(told))


def _rows(parcels: int, scenes: int, folder: str) -> pa.Table:
    """Signatures of a season, each parcel's together."""
    lake = Lake(folder)
    deque(season.fill(lake, season.Season(parcels, scenes)), maxlen=0)
    rows = DeltaTable(f"{folder}/signatures/s2").to_pyarrow_table()
    return rows.sort_by([("pid", "ascending"), ("obstime", "ascending")])


def _measured(rows: pa.Table, file: Path, kind: str) -> dict[str, float]:
    schema = pa.schema([field for field in schemas.signatures("s2") if field.name not in ("aoi", "year")])
    floats = [field.name for field in schema if pa.types.is_floating(field.type)]
    others = [field.name for field in schema if field.name not in floats]
    repeating = {"dictionary": floats, "quarters": [name for name in floats if not name.endswith(("mean", "std"))]}
    options: dict[str, Any] = {"use_dictionary": others + repeating.get(kind, [])}
    if kind == "byte-stream-split":
        options["column_encoding"] = dict.fromkeys(floats, "BYTE_STREAM_SPLIT")
    table, level = rows.select(schema.names), int(kind[-1]) if "level" in kind else 3
    write = _seconds(
        lambda: pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=level,
            row_group_size=GROUP,
            write_statistics=["pid"],
            store_schema=False,
            **options,
        )
    )
    opened = pq.ParquetFile(file)
    groups = np.random.default_rng(1).integers(0, opened.num_row_groups, 50).tolist()
    mean = f"select avg(B04_mean), avg(B08_mean) from read_parquet('{file}')"
    return {
        "bytes a row": file.stat().st_size / rows.num_rows,
        "write s": write,
        "read all s": _seconds(lambda: pq.read_table(file)),
        "50 row groups s": _seconds(lambda: [opened.read_row_group(group) for group in groups]),
        "two columns s": _seconds(lambda: duckdb.sql(mean).fetchall()),
    }


def _seconds(work: Callable[[], object]) -> float:
    """The shortest of three."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
