"""What extracting one scene costs: from COG files to statistics and Parquet, against what cannot be undercut.

    python -m benchmarks.extraction [--parcels 1000,10000,100000] [--bands 8] [--repeat 5]

Every figure is CPU time (user + system) on one core. Two peers are measured in the same process and in turn with
cbm-lake, several times; what is printed are the medians of the ratios of neighbours in time, since other work on the
machine changes the seconds:

    decode   rasterio reads the whole band
    floor    libdeflate inflates the tiles that hold parcels, out of memory, and nothing else is done

"band" is from the file to the statistics of all parcels. "scene" is all bands and the classification to a committed
Parquet file, in a process of its own, against the floor of all files; "first" includes loading the index and planning
blocks. Peak memory is that process's.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import imagecodecs
import numpy as np
import pyarrow as pa
import rasterio
import shapely
from rasterio.warp import transform_bounds

from benchmarks.tiles import EPSG, SIZE, fields, reflectance, write_cog, write_jp2
from cbm_lake import cards, extract, parcels, zonal
from cbm_lake.extract import jobparcels, scene
from cbm_lake.extract.pixelindices import PixelIndices
from cbm_lake.lake import Lake, schemas
from cbm_lake.rasters import Raster, Window
from cbm_lake.rasters.readers import source
from cbm_lake.rasters.tiff import Tiff
from cbm_lake.storage.ranges import open_bytes

S2_BANDS = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B11")


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", default="1000,10000,100000")
    arguments.add_argument("--bands", type=int, default=8)
    arguments.add_argument("--repeat", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bands = S2_BANDS[: options.bands]
        assets = make_scene(folder, bands)
        print(f"tile {SIZE} x {SIZE} uint16 COG, {len(bands)} bands + SCL; seconds are CPU time")
        print("parcels    pixels   band  /decode   /floor   scene    first   /floor  of it writing  peak MB  plan")
        for count in map(int, options.parcels.split(",")):
            row(folder, count, bands, assets, options.repeat)
        jpeg_2000(folder)


def row(folder: Path, count: int, bands: tuple[str, ...], assets: dict[str, str], repeat: int) -> None:
    """One line of the table."""
    lake = Lake(str(folder / f"lake{count}"))
    frame = gpd.GeoDataFrame({"pid": [f"{n:07d}" for n in range(count)]}, geometry=fields(count), crs=EPSG)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(str(folder / "parcels.parquet"), "bench", 2024, pid="pid", lake=lake)
    add_scene(lake, assets)
    job = plan(lake, bands, cube=False)
    index = jobparcels.index(job, job.rasters[bands[0]].grid.name)
    planning = median(repeat, lambda: zonal.BlockPlan(index, job.rasters[bands[0]].block))
    content = Path(assets[bands[0]]).read_bytes()
    seconds, of_decode, of_floor = in_turn(
        repeat,
        lambda: scene._band(job, bands[0], scene._begun(job, bands[0]), PixelIndices(job)),  # noqa: SLF001
        lambda: decode_whole(assets[bands[0]]),
        lambda: inflate(job.rasters[bands[0]], index, content),
    )
    whole = whole_scene(lake, bands)
    print(
        f"{count:7d} {index.pixel_count:9d} {seconds:5.3f}s {of_decode:7.2f}x {of_floor:7.2f}x "
        f"{whole['later']:6.2f}s {whole['first']:7.2f}s {whole['later'] / whole['floor']:7.2f}x "
        f"{whole['writing'] / whole['later']:13.1%} {whole['peak']:8.0f} {planning:.3f}s"
    )


def in_turn(repeat: int, ours: Callable[[], object], *peers: Callable[[], object]) -> tuple[float, ...]:
    """The median seconds of our work, and the median ratios to each peer's, all done one after another."""
    for work in (ours, *peers):
        work()
    rounds = np.array([[cpu(work) for work in (ours, *peers)] for _ in range(repeat)])
    return float(np.median(rounds[:, 0])), *np.median(rounds[:, :1] / rounds[:, 1:], axis=0)


def inflate(raster: Raster, index: zonal.SpanIndex, content: bytes) -> None:
    """The floor: decompress the tiles that hold parcels, out of memory and into the same room."""
    tiff = Tiff.inspect(open_bytes(raster.href))
    assert tiff is not None
    room = np.empty(tiff.tile[0] * tiff.tile[1] * tiff.dtype.itemsize, np.uint8)
    for block in index.blocks(tiff.tile):
        number = block.row // tiff.tile[0] * tiff.across + block.col // tiff.tile[1]
        first = tiff.offsets[number]
        imagecodecs.deflate_decode(memoryview(content)[first : first + tiff.sizes[number]], out=room)


def jpeg_2000(folder: Path) -> None:
    """What a band costs as JPEG 2000, and what threads make of it."""
    values = reflectance(SIZE // 4)
    cog = Raster.inspect(str(write_cog(folder / "small.tif", values, 10)))
    jp2 = Raster.inspect(str(write_jp2(folder / "small.jp2", values, 10)))

    def read(raster: Raster, threads: int) -> None:
        rows, columns = raster.block
        windows = [
            Window(row, col, min(rows, raster.grid.shape[0] - row), min(columns, raster.grid.shape[1] - col))
            for row in range(0, raster.grid.shape[0], rows)
            for col in range(0, raster.grid.shape[1], columns)
        ]
        for _ in source(raster, threads).read(windows):
            pass

    fast, slow = (median(3, lambda raster=raster: read(raster, 1)) for raster in (cog, jp2))  # type: ignore[misc]
    walls = []
    for threads in (1, os.cpu_count() or 1):
        start = time.perf_counter()
        read(jp2, threads)
        walls.append(time.perf_counter() - start)
    print(f"\nJPEG 2000 (a sixteenth of the tile, blocks {jp2.block}): {slow:.2f} s CPU, {slow / fast:.0f} x COG")
    print(f"with {os.cpu_count()} threads {walls[1] / walls[0]:.2f} of the time")


def make_scene(folder: Path, bands: tuple[str, ...]) -> dict[str, str]:
    """COGs of the bands and the classification; returns their paths."""
    assets = {}
    for number, band in enumerate((*bands, "SCL")):
        factor = 1 if band in ("B02", "B03", "B04", "B08") else 2
        values = reflectance(SIZE // factor, seed=number)
        if band == "SCL":
            values = (values % 12).astype("uint8")
        assets[band] = str(write_cog(folder / f"{band}.tif", values, 10 * factor))
    return assets


def add_scene(lake: Lake, assets: dict[str, str]) -> None:
    """Catalogue the scene."""
    grid = Raster.inspect(assets["B02"]).grid
    with rasterio.open(assets["B02"]) as dataset:
        west, south, east, north = transform_bounds(dataset.crs, 4326, *grid.bounds)
    item = {field.name: None for field in schemas.SCENES} | {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "tile",
        "geometry": shapely.to_wkb(shapely.box(west, south, east, north)),
        "bbox": {"xmin": west, "ymin": south, "xmax": east, "ymax": north},
        "assets": {name: {"href": assets.get(name), "type": "image/tiff"} for name in cards.ASSETS},
        "datetime": datetime(2024, 6, 1, 10, 40, tzinfo=UTC),
        "card": "s2",
        "reference": "tile",
        "sensor": "S2A",
        "boa_offset": -1000,
        "acquisition": "tile",
        "source": "benchmark",
        "ingested": datetime.now(UTC),
    }
    lake.add_scenes(pa.Table.from_pylist([item], schema=schemas.SCENES))


def plan(lake: Lake, bands: tuple[str, ...], *, cube: bool) -> extract.Job:
    """The job of the one scene."""
    todo = extract.plan("s2", "2024-06-01", "2024-06-01", aoi="bench", year=2024, bands=bands, cube=cube, lake=lake)
    return todo.jobs[0]


def decode_whole(path: str) -> None:
    """The peer: read a whole band with rasterio."""
    with rasterio.Env(GDAL_NUM_THREADS="1"), rasterio.open(path) as dataset:
        dataset.read(1)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def median(repeat: int, work: Callable[[], object]) -> float:
    """Median CPU seconds of a piece of work."""
    return statistics.median(cpu(work) for _ in range(repeat))


def whole_scene(lake: Lake, bands: tuple[str, ...]) -> dict[str, float]:
    """CPU seconds and peak megabytes of a fresh process that extracts the scene, files and commit included."""
    argument = json.dumps([lake.url, bands])
    command = [sys.executable, "-c", "from benchmarks.extraction import in_process; in_process()", argument]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(answer.stdout))


def in_process() -> None:
    """Extract the scene once and again, and print what it cost."""
    url, bands = json.loads(sys.argv[1])
    lake = Lake(url)
    job = plan(lake, tuple(bands), cube=False)
    zonal.warm_up()
    found = {"first": cpu(lambda: run(job)), "peak": peak()}
    later, floors, writing = [], [], []
    for _ in range(3):
        later.append(cpu(lambda: run(job)))
        floors.append(sum(floor(job)))
        rows, _ = scene._signatures(job)  # noqa: SLF001
        writing.append(cpu(lambda: lake.write_signatures(job.card, rows, job.extraction)))  # noqa: B023
    found |= {"later": statistics.median(later), "floor": statistics.median(floors)}
    print(json.dumps(found | {"writing": statistics.median(writing)}))


def peak() -> float:
    """The most megabytes that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def run(job: extract.Job) -> None:
    """Extract, write and record; what failed is an error here."""
    outcome = extract.extract_scene(job)
    assert outcome.problem is None, outcome


def floor(job: extract.Job) -> list[float]:
    """CPU seconds of inflating the tiles with parcels, file by file."""
    seconds = []
    for raster in job.rasters.values():
        index, content = jobparcels.index(job, raster.grid.name), Path(raster.href).read_bytes()
        seconds.append(cpu(lambda: inflate(raster, index, content)))  # noqa: B023
    return seconds


if __name__ == "__main__":
    main()
