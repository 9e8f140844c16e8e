"""What JPEG 2000 costs beside COG: a tile, a band with parcels, few tiles of many, threads; and what bounds it.

    python -m benchmarks.jp2 [--size 2745] [--parcels 6250] [--repeat 3]

Every figure but those of threads is CPU time (user + system), the median of several, all peers in turn. "OpenJPEG" is
that decoder alone, given each tile as a file of its own in memory: nothing that uses it can be faster. "GDAL" is
rasterio reading the whole file. The data are made up and have more noise than scenes have; ESA's files have 6 to 8 bits
a pixel, and what is decoded is proportional to them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import rasterio
from affine import Affine

from benchmarks.tiles import fields, reflectance, transform, write_cog, write_jp2
from cbm_lake import zonal
from cbm_lake.rasters import Raster, Window
from cbm_lake.rasters.jp2 import Jp2
from cbm_lake.rasters.readers import source
from cbm_lake.storage.ranges import LocalFile


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--size", type=int, default=2745)
    arguments.add_argument("--parcels", type=int, default=6250)
    arguments.add_argument("--repeat", type=int, default=3)
    options = arguments.parse_args()
    values = reflectance(options.size)
    with tempfile.TemporaryDirectory() as name:
        cog, jp2 = write_cog(Path(name) / "b.tif", values, 10), write_jp2(Path(name) / "b.jp2", values, 10)
        print(f"{options.size} x {options.size} pixels, {8 * jp2.stat().st_size / values.size:.1f} bits a pixel")
        whole(cog, jp2, options.repeat)
        with_parcels(cog, jp2, options.parcels, options.repeat)
        proportion(jp2, options.repeat)
        threads(jp2)


def whole(cog: Path, jp2: Path, repeat: int) -> None:
    """All pixels of a file."""
    rasters = [Raster.inspect(str(path)) for path in (cog, jp2)]
    peers = {
        "COG": lambda: read(rasters[0], windows(rasters[0])),
        "JPEG 2000": lambda: read(rasters[1], windows(rasters[1])),
        "OpenJPEG": openjpeg(jp2),
        "GDAL": lambda: decode_whole(jp2),
    }
    seconds = in_turn(repeat, *peers.values())
    for name, value in zip(peers, seconds, strict=True):
        print(f"{name:>10}: {value:6.2f} s, {value / seconds[0]:5.1f} x COG")


def openjpeg(path: Path) -> Callable[[], None]:
    """OpenJPEG, given each tile as a file in memory."""
    file = LocalFile(str(path))
    header = Jp2.inspect(file)
    assert header is not None
    jp2 = header.located(file)
    tiles = []
    for number in range(jp2.down * jp2.across):
        data = b"".join(file.stream(jp2.ranges(number)))
        tiles.append(jp2._alone(number, list(jp2._parts(number, data))))  # noqa: SLF001
    return lambda: [imagecodecs.jpeg2k_decode(tile, numthreads=1) for tile in tiles] and None


def with_parcels(cog: Path, jp2: Path, count: int, repeat: int) -> None:
    """From the file to the statistics of all parcels."""
    rasters = [Raster.inspect(str(path)) for path in (cog, jp2)]
    shape = rasters[0].grid.shape
    index = zonal.build_index(fields(count, size=shape[0]), Affine(*transform()[:6]), shape)

    def statistics_of(raster: Raster) -> Callable[[], None]:
        plan = zonal.BlockPlan(index, raster.block)

        def work() -> None:
            pool = plan.new_pool(np.dtype(raster.dtype))
            chosen = [Window(block.row, block.col, block.height, block.width) for block in plan]
            for number, pixels in enumerate(source(raster).read(chosen)):
                plan.gather(pixels, number, pool)
            zonal.pool_statistics(pool, plan.offsets)

        return work

    fast, slow = in_turn(repeat, *(statistics_of(raster) for raster in rasters))
    print(f"with {count} parcels, to their statistics: COG {fast:.2f} s, JPEG 2000 {slow:.2f} s, {slow / fast:.1f} x")


def proportion(jp2: Path, repeat: int) -> None:
    """Some of the tiles."""
    raster = Raster.inspect(str(jp2))
    every = windows(raster)
    for share in (1, len(every) // 9, len(every) // 3, len(every)):
        (seconds,) = in_turn(repeat, lambda share=share: read(raster, every[:share]))  # type: ignore[misc]
        print(f"{share:3} of {len(every)} tiles: {seconds:.3f} s, {seconds / share * 1000:.0f} ms a tile")


def threads(jp2: Path) -> None:
    """The wall time with all cores."""
    raster, walls = Raster.inspect(str(jp2)), []
    for count in (1, os.cpu_count() or 1):
        start = time.perf_counter()
        read(raster, windows(raster), count)
        walls.append(time.perf_counter() - start)
    print(f"with {os.cpu_count()} threads {walls[1] / walls[0]:.2f} of the wall time")


def windows(raster: Raster) -> list[Window]:
    """All blocks of a raster."""
    (rows, columns), (height, width) = raster.block, raster.grid.shape
    return [
        Window(row, col, min(rows, height - row), min(columns, width - col))
        for row in range(0, height, rows)
        for col in range(0, width, columns)
    ]


def read(raster: Raster, chosen: list[Window], count: int = 1) -> None:
    """Read blocks and forget them."""
    for _ in source(raster, count).read(chosen):
        pass


def decode_whole(path: Path) -> None:
    """Read a whole band with rasterio."""
    with rasterio.Env(GDAL_NUM_THREADS="1"), rasterio.open(path) as dataset:
        dataset.read(1)


def in_turn(repeat: int, *peers: Callable[[], object]) -> list[float]:
    """The median CPU seconds of each, all done one after another, once before for the caches."""
    for work in peers:
        work()
    rounds = [[cpu(work) for work in peers] for _ in range(repeat)]
    return [statistics.median(column) for column in zip(*rounds, strict=True)]


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
