"""Zonal statistics against rasterstats and exactextract, in CPU time per parcel and band, on the same polygons.

Run: python -m benchmarks.zonal [--parcels 1000,10000,100000] [--peers 1000] [--against FOLDER]
With --against, the folder of another checkout, its kernels run in turn with these in one process on the same arrays,
and what is printed are ratios of the best of nine calls each: noise of the machine touches both alike.
The tile is 10980 x 10980 uint16 at 10 m; parcels are turned, jagged rectangles of 1.5 ha in the median, lognormal,
with 24 corners (the public sets of AT, BE, DK, FR and NL have 13 to 40 in the median), in random order.
Every figure is the best of three calls.
"""

from __future__ import annotations

import argparse
import importlib
import resource
import sys
import time
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import shapely
from affine import Affine

from cbm_lake import zonal
from cbm_lake.zonal import coverage
from cbm_lake.zonal.columns import Columns

SIZE = 10980
GRID = Affine(10, 0, 600000, 0, -10, 5000040)
STATS = "count mean std min max percentile_25 percentile_50 percentile_75"
BANDS = 8


def parcels(number: int, seed: int = 7) -> np.ndarray:
    """Random parcels all over the tile, 24 corners each, in no particular order."""
    random = np.random.default_rng(seed)
    area = 15000 * np.exp(random.normal(0, 1.0, number))
    ratio = np.sqrt(random.uniform(1, 4, number))
    angle = random.uniform(0, np.pi, number)
    side = np.linspace(-1, 1, 6, endpoint=False)
    one = np.ones_like(side)
    u, v = np.concatenate([side, one, -side, -one]), np.concatenate([-one, side, one, -side])
    wobble = random.uniform(0.95, 1.05, (2, number, len(u)))
    along, across = (
        u * wobble[0] * (np.sqrt(area) / 2 * ratio)[:, None],
        v * wobble[1] * (np.sqrt(area) / 2 / ratio)[:, None],
    )
    x = random.uniform(0, SIZE * 10, number)[:, None] + along * np.cos(angle)[:, None] - across * np.sin(angle)[:, None]
    y = random.uniform(0, SIZE * 10, number)[:, None] + along * np.sin(angle)[:, None] + across * np.cos(angle)[:, None]
    return shapely.polygons(np.stack([GRID.c + x, GRID.f - y], axis=-1))


def tile(seed: int = 3) -> np.ndarray:
    """A band with fields 30 pixels wide, noise, and 2 % nodata in patches."""
    random = np.random.default_rng(seed)
    fields = random.integers(300, 4000, (SIZE // 30, SIZE // 30), dtype=np.uint16)
    band = np.repeat(np.repeat(fields, 30, 0), 30, 1)
    band = band + random.integers(0, 400, band.shape, dtype=np.uint16)
    band[np.repeat(np.repeat(random.random((SIZE // 30, SIZE // 30)) < 0.02, 30, 0), 30, 1)] = 0
    return np.ascontiguousarray(band)


def cpu(work: Callable[[], Any], repeat: int = 3) -> float:
    """CPU seconds of one call, the best of so many calls."""
    best = np.inf
    for _ in range(repeat):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def rasterstats_seconds(shapes: np.ndarray, band: np.ndarray) -> float:
    import rasterstats

    return cpu(lambda: rasterstats.zonal_stats(list(shapes), band, affine=GRID, nodata=0, stats=STATS))


def exactextract_seconds(shapes: np.ndarray, band: np.ndarray, bands: int) -> float:
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    box = GRID.c, GRID.f + SIZE * GRID.e, GRID.c + SIZE * GRID.a, GRID.f
    rasters = [NumPyRasterSource(band, *box, nodata=0, name=f"b{i}") for i in range(bands)]
    features = [{"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(s)} for s in shapes]
    operations = coverage.operations(Columns.of(zonal.STATISTICS))
    return cpu(lambda: exact_extract(rasters, features, operations, output="pandas"))


def report(number: int, band: np.ndarray, peer_number: int) -> None:
    shapes = parcels(number)
    wkb = shapely.to_wkb(shapes)
    index_seconds = cpu(lambda: zonal.build_index(shapes, GRID, band.shape))
    wkb_seconds = cpu(lambda: zonal.build_index(wkb, GRID, band.shape))
    index = zonal.build_index(wkb, GRID, band.shape)
    ours = cpu(lambda: zonal.statistics(index, band)) / number * 1e6
    subset = shapes[:peer_number]
    peers = {
        "rasterstats": rasterstats_seconds(subset, band) / len(subset) * 1e6,
        f"exactextract, {BANDS} bands at once": exactextract_seconds(subset, band, BANDS) / len(subset) / BANDS * 1e6,
        "exactextract, 1 band": exactextract_seconds(subset, band, 1) / len(subset) * 1e6,
    }
    print(
        f"\n{number} parcels, {index.pixel_count} parcel pixels, median {np.median(shapely.area(shapes)) / 1e4:.1f} ha"
    )
    print(
        f"  index: {index_seconds:.2f} s from shapely, {wkb_seconds:.2f} s from WKB; {12 * len(index.row) / 1e6:.1f} MB"
    )
    print(f"  {'':34}{'µs per parcel and band':>24}{'peer / ours':>13}")
    print(f"  {'cbm_lake.zonal.statistics':34}{ours:>24.2f}{'-':>13}")
    for name, micros in peers.items():
        print(f"  {name + f' ({len(subset)} of them)':34}{micros:>24.1f}{micros / ours:>13.0f}")


def other_zonal(folder: str) -> ModuleType:
    """The package `zonal` of another checkout, beside this one's."""
    own = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "cbm_lake"}
    for name in own:
        del sys.modules[name]
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("cbm_lake.zonal")
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.partition(".")[0] == "cbm_lake"]:
            del sys.modules[name]
        sys.modules.update(own)


def alternating(works: dict[str, Callable[[], object]], repeat: int = 9) -> dict[str, float]:
    """CPU seconds of the best call of each, one after the other in turn."""
    seconds = dict.fromkeys(works, np.inf)
    for _ in range(repeat):
        for name, work in works.items():
            seconds[name] = min(seconds[name], cpu(work, 1))
    return seconds


def compare(other: ModuleType, number: int, band: np.ndarray) -> None:
    """Print what the statistics cost beside those of another checkout, which must be equal, and of more of them."""
    wkb = shapely.to_wkb(parcels(number))
    index, former = zonal.build_index(wkb, GRID, band.shape), other.build_index(wkb, GRID, band.shape)
    ours, theirs = zonal.statistics(index, band), other.statistics(former, band)
    for name in theirs.column_names:
        np.testing.assert_array_equal(ours[name], theirs[name])
    further = [*zonal.STATISTICS, "p10", "p90", "valid_share"]
    seconds = alternating(
        {
            "other": lambda: other.statistics(former, band),
            "usual": lambda: zonal.statistics(index, band),
            "with p10, p90, valid_share": lambda: zonal.statistics(index, band, statistics=further),
        }
    )
    ratios = ", ".join(f"{name} {cost / seconds['other']:.3f}" for name, cost in list(seconds.items())[1:])
    memory = ", ".join(
        f"{name} {peak(work) / 1e6:.1f} MB"
        for name, work in (
            ("other", lambda: other.statistics(former, band)),
            ("usual", lambda: zonal.statistics(index, band)),
        )
    )
    print(f"{number} parcels, {band.dtype}: CPU time beside the other checkout's: {ratios}; peak memory: {memory}")


def peak(work: Callable[[], object]) -> int:
    """Bytes that a call has at most at the same time, as numpy asks Python for them."""
    tracemalloc.start()
    work()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parcels", default="1000,10000,100000", help="numbers of parcels, with commas")
    options.add_argument("--peers", type=int, default=1000, help="the other libraries do so many of them")
    options.add_argument("--against", help="folder of another checkout")
    chosen = options.parse_args()
    print(f"kernels ready in {zonal.warm_up(['uint16']):.1f} s")
    band = tile()
    if chosen.against:
        other = other_zonal(chosen.against)
        other.warm_up(["uint16"])
        for number in chosen.parcels.split(","):
            for values in (band, band.astype(np.float32) + np.float32(0.25)):
                compare(other, int(number), values)
        return
    for number in chosen.parcels.split(","):
        report(int(number), band, chosen.peers)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, of which the tile 230 MB")


if __name__ == "__main__":
    main()
