"""How long the heterogeneity and cardinality of a tile's parcels take, against a loop over parcels.

    python -m benchmarks.foi                # 100,000 parcels, 10,980 x 10,980 pixels
    python -m benchmarks.foi --parcels 20000 --loop 500

Loops over parcels with rasterio.mask and scipy.ndimage.label, one as short as can be and one that goes about it as the
original does, are timed on some of the parcels, which are also compared with the lake's answer one by one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.mask
from scipy import ndimage

from benchmarks import tiles

CLASSES = {value: f"class{value}" for value in range(1, 9)}
BUFFER, LOW, HIGH, CONNECTIVITY, THRESHOLD = -10, 30, 70, 8, 20


def thematic(size: int, seed: int = 0) -> np.ndarray:
    """Classes in patches of 200 m with 3 % of stray pixels, uint8."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(1, 9, (size // 20 + 1, size // 20 + 1), dtype=np.uint8)
    values = np.kron(patches, np.ones((20, 20), np.uint8))[:size, :size]
    stray = rng.random((size, size), dtype=np.float32) < 0.03
    values[stray] = rng.integers(0, 9, int(stray.sum()), dtype=np.uint8)
    return values


def write(folder: Path, count: int, size: int) -> tuple[Path, Path]:
    """A raster and its parcels as files."""
    raster = tiles.write_cog(folder / "classes.tif", thematic(size), 10)
    parcels = gpd.GeoDataFrame({"OBJECTID": np.arange(count)}, geometry=tiles.fields(count, size=size), crs=tiles.EPSG)
    parcels.to_parquet(folder / "parcels.parquet")
    return folder / "parcels.parquet", raster


def in_one_pass(file: Any, shape: Any) -> tuple[int, int]:
    """foi_h and foi_c of one outline; pixels are cut out once, and only classes that are there are labelled."""
    pixels = cut(file, shape)
    return of_shares(pixels), of_clusters(pixels, np.unique(pixels[pixels != 0]))


def in_two_passes(file: Any, shape: Any) -> tuple[int, int]:
    """The same as the original goes about it: each answer for itself, clusters class by class of the map."""
    return of_shares(cut(file, shape)), of_clusters(cut(file, shape), np.array(list(CLASSES)))


def cut(file: Any, shape: Any) -> np.ndarray:
    """The pixels of the buffered outline, 0 outside."""
    inner = shape.buffer(BUFFER)
    if inner.is_empty:
        return np.zeros((0, 0), np.uint8)
    return rasterio.mask.mask(file, [inner], crop=True, nodata=0)[0][0]


def of_shares(pixels: np.ndarray) -> int:
    """foi_h, -1 where the parcel is skipped."""
    _, counts = np.unique(pixels[pixels != 0], return_counts=True)
    shares = 100 * counts / max(counts.sum(), 1)
    return int(((shares >= LOW) & (shares <= HIGH)).any()) if len(counts) else -1


def of_clusters(pixels: np.ndarray, classes: np.ndarray) -> int:
    """foi_c, -1 where the parcel is skipped."""
    several = 0
    for value in classes:
        labels, _ = ndimage.label(pixels == value, structure=np.ones((3, 3)))
        several += bool((np.bincount(labels.ravel())[1:] > THRESHOLD).any())
    return int(several > 1) if pixels.any() else -1


def ours(parcels: str, raster: str, folder: str, answers: Any) -> None:
    """Time all this in a process of its own, whose memory is measured."""
    from cbm_lake import foi
    from cbm_lake.foi import cardinality, heterogeneity
    from cbm_lake.foi.parcels import read_parcels
    from cbm_lake.foi.rasters import Thematic
    from cbm_lake.foi.result import Settings
    from cbm_lake.foi.version2 import look

    def v2() -> Any:
        return foi.v2(parcels, raster, CLASSES, BUFFER, LOW, HIGH, CONNECTIVITY, THRESHOLD, folder=folder)

    def check() -> None:
        found = look(held, header, CLASSES, Settings(BUFFER, CONNECTIVITY, THRESHOLD, zero_counts=False))
        heterogeneity.between(found.survey.counts, LOW, HIGH)
        cardinality.of_several_classes(found.clusters, len(held))

    first = v2()  # kernels are compiled
    flags = [np.asarray(first.table[name].fill_null(-1)) for name in ("foi_h", "foi_c")]
    held, header = read_parcels(parcels), Thematic.inspect(raster)
    with_zero = {0: "none", **CLASSES}
    calls = {
        "check": check,
        "v2": v2,
        "v1": lambda: foi.v1(parcels, raster, with_zero, LOW, HIGH, 2000, folder=folder),
    }
    for name, call in calls.items():
        began, busy = time.perf_counter(), time.process_time()
        found = call()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.put((name, time.perf_counter() - began, time.process_time() - busy, memory, str(found or "")))
    answers.put(flags)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=tiles.SIZE)
    parser.add_argument("--loop", type=int, default=2_000, help="parcels for which the loop is timed")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="foi-") as name:
        parcels, raster = write(Path(name), asked.parcels, asked.size)
        context = multiprocessing.get_context("spawn")
        answers = context.Queue()
        worker = context.Process(target=ours, args=(str(parcels), str(raster), name, answers))
        worker.start()
        taken = {}
        for _ in range(3):
            what, seconds, busy, memory, told = answers.get()
            taken[what] = seconds, busy
            print(f"{what}: {seconds:.2f} s, {busy:.2f} s of processor, memory so far {memory:.0f} MB; {told}")
        flags = np.column_stack(answers.get())
        worker.join()
        compare(gpd.read_parquet(parcels), raster, flags, asked.loop, *taken["check"])


def compare(parcels: gpd.GeoDataFrame, raster: Path, flags: np.ndarray, some: int, seconds: float, busy: float) -> None:
    """Run loops over some parcels, spread over the tile, and print how they stand against the check alone.

    Neither reads or writes parcels; both read the raster's file.
    """
    chosen = np.sort(np.random.default_rng(0).choice(len(parcels), min(some, len(parcels)), replace=False))
    outlines = parcels.geometry.iloc[chosen]
    for one in (in_one_pass, in_two_passes):
        began, before = time.perf_counter(), time.process_time()
        with rasterio.open(raster) as file:
            expected = np.array([one(file, outline) for outline in outlines])
        each, each_busy = (time.perf_counter() - began) / len(chosen), (time.process_time() - before) / len(chosen)
        same = (expected == flags[chosen]).all(axis=1).mean()
        print(f"{one.__name__}: {each * 1e6:.0f} us a parcel, {each_busy * 1e6:.0f} of processor; same: {same:.2%}")
        ratio, ratio_busy = each * len(parcels) / seconds, each_busy * len(parcels) / busy
        print(f"    {ratio:.0f} times as long as the check, {ratio_busy:.0f} times as much processor")


if __name__ == "__main__":
    main()
