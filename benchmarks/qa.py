"""What it costs to draw the sample of the quality assessment: reading the list, selecting, writing the files.

    python -m benchmarks.qa [--parcels 85000 1000000] [--reference 10000]

The peer is the literal telling of the rules in tests/qa_rules.py, on a list that it can manage; wall-clock seconds.
A parcel is in 2.4 of 23 groups on average; some groups are rare.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from qa_rules import Literal, Row

from cbm_lake import qa

GROUPS = 23
OPTIONS = ({}, {"three_percent": True, "covered_priority": 1}, {"covered_priority": 1, "noncontributing": 1})


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, nargs="+", default=[85_000, 1_000_000])
    arguments.add_argument("--reference", type=int, default=10_000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for parcels in options.parcels:
            rows = a_list(parcels)
            path = Path(name) / "parcels.csv"
            pyarrow.csv.write_csv(rows, path)
            for given in OPTIONS:
                spent, drawn = seconds(path, name, given)
                print(f"{parcels:,} parcels, {rows.num_rows:,} rows, {given}: {drawn:,} drawn in {spent:.2f} s")
        compare(a_list(options.reference), Path(name))


def a_list(parcels: int) -> pa.Table:
    """A made-up ranked list with groups of very different size."""
    rng = np.random.default_rng(0)
    shares = np.append(rng.random(GROUPS - 1) ** 6, 0)
    shares = np.maximum(shares * 2.4 / shares.sum(), 5 / parcels)
    members = [np.flatnonzero(rng.random(parcels) < share) for share in shares]
    parcel, group = np.concatenate(members), np.repeat(np.arange(GROUPS), [len(rows) for rows in members])
    order = rng.permutation(len(parcel))
    parcel, group = parcel[order], group[order]
    return pa.table(
        {
            "gsa_par_id": [f"{number:08d}" for number in parcel],
            "gsa_hol_id": [f"H{number}" for number in rng.integers(0, parcels // 8, parcels)[parcel]],
            "ua_grp_id": [f"G{number}" for number in group],
            "covered": (rng.random(parcels) < 0.4).astype(np.int64)[parcel],
            "ranking": rng.permutation(parcels)[parcel] + 1,
        }
    )


def seconds(source: Path | pa.Table, folder: str | Path, given: dict[str, object]) -> tuple[float, int]:
    """Wall-clock from the list to its files, and the number of rows drawn."""
    start = time.perf_counter()
    drawn = qa.sample(source, extraction_id="b", folder=folder, **given)
    return time.perf_counter() - start, drawn.rows.num_rows


def compare(rows: pa.Table, folder: Path) -> None:
    """The same list by the literal rules."""
    drawn = qa.sample(rows, extraction_id="b", folder=folder)
    targets = dict(zip(*(drawn.buckets[name].to_pylist() for name in ("bucket_id", "target")), strict=True))
    start = time.perf_counter()
    literal = Literal([Row(**row) for row in rows.to_pylist()], targets, False, 0, 0).run()
    theirs = time.perf_counter() - start
    ours, count = seconds(rows, folder, {})
    assert count == len(literal)
    print(f"{rows.num_rows:,} rows by the literal rules: {theirs:.2f} s, {theirs / ours:,.0f} times {ours:.3f} s")


if __name__ == "__main__":
    main()
