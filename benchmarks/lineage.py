"""What it costs to relate the parcels of two years, beside geopandas that overlays the same.

    python -m benchmarks.lineage [--parcels 500000] [--peer 20000]

Parcels of 25 vertices and 1.9 ha, side by side, so that each touches about six others; one of a hundred has a hole. The
second year is once realistic (80 % the same to the bit, 10 % drawn again, 4 % split, 3 % merged, 1 % displaced by 15 m,
1 % gone, 1 % new), and once the worst case: every boundary drawn again by itself, so that each parcel overlaps with all
its neighbours. `lineage` reads both sets from the lake, relates them and writes the table, in a fresh process: wall and
CPU seconds of all its threads, the peak of its resident memory, and the rows. geopandas overlays a smaller landscape,
which it is given in memory; the ratio is that of CPU seconds for the same landscape.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]
STEP, BETWEEN = 140.0, 5
"""Metres between corners, and vertices between two corners."""
KINDS = ("same", "redrawn", "split", "merged", "displaced", "gone", "new")
SHARES = (0.80, 0.10, 0.04, 0.03, 0.01, 0.01, 0.01)
CASES = ("realistic", "worst")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=500_000)
    parser.add_argument("--peer", type=int, default=20_000)
    parser.add_argument("--alone", nargs=3, help="how, case, folder: one measurement, as JSON")
    options = parser.parse_args()
    if options.alone:
        how, case, folder = options.alone
        print(json.dumps(alone(how, case, Path(folder))))
        return
    print(f"{'parcels':>9} {'case':10} {'by':9} {'wall s':>7} {'CPU s':>7} {'peak MB':>8} {'rows':>10} {'ratio':>6}")
    for count in (options.peer, options.parcels):
        for case in CASES:
            with tempfile.TemporaryDirectory() as folder:
                compare(Path(folder), case, count, with_peer=count <= options.peer)


def compare(folder: Path, case: str, count: int, *, with_peer: bool) -> None:
    """Write the two years and measure."""
    write(folder, case, count)
    run("load", case, folder)
    run("lineage", case, folder)  # compiles kernels on a new machine
    mine = run("lineage", case, folder)
    line(count, case, "lineage", mine, 1.0)
    if with_peer:
        peer = run("geopandas", case, folder)
        line(count, case, "geopandas", peer, peer["cpu"] / mine["cpu"])


def line(count: int, case: str, by: str, cost: dict[str, float], ratio: float) -> None:
    """Print one line."""
    print(
        f"{count:9,} {case:10} {by:9} {cost['wall']:7.1f} {cost['cpu']:7.1f} {cost['peak']:8.0f}"
        f" {cost['pairs']:10,.0f} {ratio:6.1f}",
        flush=True,
    )


def run(how: str, case: str, folder: Path) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.lineage", "--alone", how, case, str(folder)]
    environment = {**os.environ, "CBM_LAKE_HOME": str(folder)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def alone(how: str, case: str, folder: Path) -> dict[str, float]:
    """What this process takes for one of load, lineage, geopandas."""
    import resource

    work: Callable[[], int] = {"load": load, "lineage": relate, "geopandas": overlay}[how](folder)
    before, began = os.times(), time.perf_counter()
    pairs = work()
    wall, after = time.perf_counter() - began, os.times()
    cpu = after.user - before.user + after.system - before.system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return {"wall": wall, "cpu": cpu, "peak": peak, "pairs": pairs}


def load(folder: Path) -> Callable[[], int]:
    """Both years into a lake."""
    from cbm_lake import parcels

    def work() -> int:
        for year in (2023, 2024):
            parcels.load(folder / f"{year}.parquet", "aa", year, pid="pid")
        return 0

    return work


def relate(folder: Path) -> Callable[[], int]:
    """`parcels.lineage` of them."""
    from cbm_lake import parcels

    return lambda: parcels.lineage("aa", 2023, 2024).num_rows


def overlay(folder: Path) -> Callable[[], int]:
    """`geopandas.overlay` of the same, and the areas."""
    first, second = (gpd.read_parquet(folder / f"{year}.parquet") for year in (2024, 2023))
    return lambda: int((first.overlay(second, how="intersection").area > 0).sum())


def write(folder: Path, case: str, count: int) -> None:
    """The parcels of two years as GeoParquet."""
    rng = np.random.default_rng(1)
    size = math.isqrt(count)
    rings = landscape(size, rng)
    before, after = (realistic if case == "realistic" else worst)(rings, size, rng)
    for year, shapes in ((2023, before), (2024, after)):
        pids = [f"{year % 100}{number:09}" for number in range(len(shapes))]
        gpd.GeoDataFrame({"pid": pids}, geometry=shapes, crs=2154).to_parquet(folder / f"{year}.parquet")


def landscape(size: int, rng: np.random.Generator) -> Floats:
    """Rings of size² parcels, (n, 25, 2), that share their boundaries."""
    x, y = np.meshgrid(np.arange(size + 1) * STEP + 600_000, np.arange(size + 1) * STEP + 6_700_000)
    corners = np.stack([x, y], -1) + rng.uniform(-0.3, 0.3, (*x.shape, 2)) * STEP
    share = (np.arange(1, BETWEEN + 1) / (BETWEEN + 1))[:, None]

    def sides(begin: Floats, end: Floats) -> Floats:
        points = begin[:, :, None] + (end - begin)[:, :, None] * share
        return np.concatenate([begin[:, :, None], points + rng.normal(0, STEP * 0.02, points.shape)], axis=2)

    across, up = sides(corners[:, :-1], corners[:, 1:]), sides(corners[:-1], corners[1:])

    def back(side: Floats, end: Floats) -> Floats:
        return np.concatenate([end[:, :, None], side[:, :, :0:-1]], axis=2)

    ring = np.concatenate(
        [across[:-1], up[:, 1:], back(across[1:], corners[1:, 1:]), back(up[:, :-1], corners[1:, :-1])], axis=2
    )
    ring = ring.reshape(size * size, -1, 2)
    return np.concatenate([ring, ring[:, :1]], axis=1)


def polygons(rings: Floats) -> npt.NDArray[np.object_]:
    """Polygons of rings; one of a hundred has a hole."""
    shapes = np.asarray(shapely.polygons(rings))
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    rows = np.arange(0, len(rings), 100)
    holes = shapely.buffer(shapely.centroid(shapes[rows]), 8)
    shapes[rows] = shapely.difference(shapes[rows], holes)
    return shapes


def redrawn(rings: Floats, metres: float, rng: np.random.Generator) -> Floats:
    """The rings with vertices elsewhere, and one more on the first side."""
    moved = rings[:, :-1] + rng.normal(0, metres, rings[:, :-1].shape)
    moved = np.concatenate([moved[:, :1], moved[:, :2].mean(axis=1, keepdims=True), moved[:, 1:]], axis=1)
    return np.concatenate([moved, moved[:, :1]], axis=1)


def realistic(rings: Floats, size: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.object_], ...]:
    """The parcels of both years as they mostly are."""
    kind = rng.choice(len(KINDS), len(rings), p=SHARES)
    number = {name: np.flatnonzero(kind == position) for position, name in enumerate(KINDS)}
    pairs = number["merged"][number["merged"] % size < size - 1]  # with the parcel to the east, if that is the same
    pairs = pairs[kind[pairs + 1] == KINDS.index("same")]
    same = np.union1d(np.setdiff1d(number["same"], pairs + 1), np.setdiff1d(number["merged"], pairs))
    half, side = rings.shape[1] // 2, BETWEEN // 2 + 1
    split = rings[number["split"]]
    halves = split[:, side : side + half + 1], np.concatenate([split[:, side + half :], split[:, 1 : side + 1]], axis=1)
    whole = polygons(rings)
    after = [
        whole[same],
        polygons(redrawn(rings[number["redrawn"]], 0.5, rng)),
        *(shapely.polygons(np.concatenate([each, each[:, :1]], axis=1)) for each in halves),
        shapely.union(whole[pairs], whole[pairs + 1]),
        shapely.polygons(rings[number["displaced"]] + 15.0),
        whole[number["new"]],
    ]
    return whole[np.setdiff1d(np.arange(len(rings)), number["new"])], np.concatenate(after)


def worst(rings: Floats, size: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.object_], ...]:
    """Every parcel drawn again by itself."""
    return polygons(rings), polygons(redrawn(rings, 1.0, rng))


if __name__ == "__main__":
    main()
