"""How well split and mixed parcels of the generated sample are found: by v1 and v2 on thematic rasters, and by signal.

    python -m benchmarks.foi_truth [--seeds 2024 1 2] [--size 480]

Each seed is another invented place of about 320 parcels. What is found is compared with what was drawn; the drawn cover
itself is the first raster, so that what a check loses can be told from what a raster loses. Parcels of one crop, also
those of another than declared, are whole. A parcel that a check skips counts as not flagged.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import pandas as pd

from cbm_lake import card2db, extract, foi, parcels
from cbm_lake.demo import sample
from cbm_lake.lake import Lake, open_lake

AOI, YEAR = "truth", 2024
SUSPICIOUS = 5
"""Score from which a parcel counts as flagged by its signal."""
RASTERS = {
    "clusters, 4": {"method": "clusters", "clusters": 4},
    "clusters, 6": {"method": "clusters", "clusters": 6},
    "clusters, 8": {"method": "clusters", "clusters": 8},
    "clusters, 6, NDVI only": {"method": "clusters", "clusters": 6, "radar": False},
    "declared crops": {"method": "crops"},
    "declared crops, NDVI only": {"method": "crops", "radar": False},
}


def main() -> None:
    """Print the figures as a Markdown table, all seeds together."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, nargs="+", default=[2024, 1, 2])
    arguments.add_argument("--size", type=int, default=480)
    options = arguments.parse_args()
    found: dict[tuple[str, str], list[pd.DataFrame]] = defaultdict(list)
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as name:
            lake, written = a_lake(Path(name), seed, options.size)
            for key, flags in checked(lake, written, Path(name)):
                found[key].append(compared(flags, written))
    print(table({key: pd.concat(parts, ignore_index=True) for key, parts in found.items()}))


def a_lake(folder: Path, seed: int, size: int) -> tuple[Lake, sample.Sample]:
    """A sample, and a lake with its parcels, signatures and cubes."""
    written = sample.write(folder / "sample", seed=seed, size=size)
    lake = open_lake(str(folder / "lake"))
    parcels.load(written.parcels, AOI, YEAR, pid="parcel_id", crop_name="crop_name", crop_code="crop_code", lake=lake)
    for card in ("s2", "bs"):
        card2db.items(written.items[card], card=card, lake=lake)
        plan = extract.plan(card, "2024-03-01", "2024-10-31", aoi=AOI, year=YEAR, lake=lake)
        extract.run(plan, workers=0)
    return lake, written


def checked(lake: Lake, written: sample.Sample, folder: Path) -> Iterator[tuple[tuple[str, str], pd.DataFrame]]:
    """What every check says of every parcel (pid, foi_h, foi_c), by raster and check."""
    rasters = {"as drawn": (written.cover, written.cover.with_suffix(".yml"))}
    for name, how in RASTERS.items():
        started = time.perf_counter()
        made = foi.thematic(AOI, YEAR, lake=lake, folder=folder / name, **how)
        spent = time.perf_counter() - started
        told = (
            f", accuracy {made.accuracy.overall:.3f}, {made.accuracy.by_parcel:.3f} by parcel" if made.accuracy else ""
        )
        print(f"{name}: {spent:.1f} s{told}", flush=True)
        rasters[name] = (made.raster, made.classes)
    known = {"aoi": AOI, "year": YEAR, "lake": lake, "folder": folder / "out"}
    for name, (raster, classes) in rasters.items():
        yield (name, "v1"), flags(foi.v1(None, raster, classes, 30, 70, 2000, **known))
        yield (name, "v2, buffer -10 m"), flags(foi.v2(None, raster, classes, -10, 30, 70, 8, 20, **known))
    ranked = foi.suspicious(AOI, YEAR, lake=lake)
    some = (ranked["score"] > SUSPICIOUS).astype(int)
    yield ("signal only", f"score > {SUSPICIOUS}"), ranked[["pid", "score"]].assign(foi_h=some, foi_c=some)


def flags(found: foi.Foi) -> pd.DataFrame:
    """pid, foi_h and foi_c of all parcels."""
    frame = found.table.to_pandas()
    columns = {name.lower(): frame[name].fillna(0).astype(int) for name in frame if name.lower() in ("foi_h", "foi_c")}
    return pd.DataFrame({"pid": frame.iloc[:, 0], **columns})


def compared(flags: pd.DataFrame, written: sample.Sample) -> pd.DataFrame:
    """The flags beside what was drawn."""
    truth = pd.read_parquet(written.kinds)[["pid", "kind"]]
    return truth.merge(flags, on="pid", how="left").fillna({"foi_h": 0, "foi_c": 0})


def table(found: dict[tuple[str, str], pd.DataFrame]) -> str:
    """Precision and recall by raster and check."""
    first = next(iter(found.values()))
    counts = first["kind"].value_counts()
    lines = [
        ", ".join(f"{count} {kind}" for kind, count in counts.items()),
        "",
        "| thematic raster | check | foi_h: flagged | precision | recall | foi_c: flagged | precision | recall |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (raster, check), rows in found.items():
        numbers = " | ".join(" | ".join(quality(rows, column)) for column in ("foi_h", "foi_c"))
        lines.append(f"| {raster} | {check} | {numbers} |")
    return "\n".join(lines)


def quality(rows: pd.DataFrame, column: str) -> tuple[str, str, str]:
    """How many are flagged, the share of them that is of two crops, and the share of those of two crops found."""
    flagged, true = rows[column] == 1, rows["kind"].isin(["split", "mixed"])
    both = (flagged & true).sum()
    return f"{flagged.sum()}", f"{both / flagged.sum():.2f}" if flagged.any() else "-", f"{both / true.sum():.2f}"


if __name__ == "__main__":
    main()
