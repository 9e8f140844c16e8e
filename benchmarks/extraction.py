"""What extracting one scene costs: from COG files to statistics, against rasterio's decoding of the whole bands.

    python -m benchmarks.extraction [--parcels 1000,10000,100000] [--bands 4]

Every figure is CPU time (user + system) of this process on one core, measured in pairs in the same run: the peer first,
then cbm-lake, several times; the medians are printed. Peak memory is that of a worker that extracts the whole scene.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import rasterio
import shapely
from rasterio.warp import transform_bounds

from benchmarks.tiles import EPSG, SIZE, fields, reflectance, write_cog
from cbm_lake import extract, parcels, schemas
from cbm_lake.lake import Lake
from cbm_lake.rasters import Raster

S2_BANDS = ("B02", "B03", "B04", "B08", "B05", "B06", "B07", "B11")


def main() -> None:
    """Print the table."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", default="1000,10000,100000")
    arguments.add_argument("--bands", type=int, default=4)
    arguments.add_argument("--repeat", type=int, default=3)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bands = S2_BANDS[: options.bands]
        assets = make_scene(folder, bands)
        decode = median_cpu(options.repeat, lambda: [decode_whole(assets[band]) for band in bands]) / len(bands)
        print(f"tile {SIZE} x {SIZE} uint16 COG, {len(bands)} bands + SCL")
        print(f"rasterio decode of one whole band: {decode:.3f} s CPU")
        print("parcels    pixels  s/band  of decode  us/parcel+band  scene, no cube  scene + cube  peak MB")
        for count in map(int, options.parcels.split(",")):
            row(folder, count, bands, assets, decode, options.repeat)


def row(folder: Path, count: int, bands: tuple[str, ...], assets: dict[str, str], decode: float, repeat: int) -> None:
    """One line of the table."""
    lake = Lake(str(folder / f"lake{count}"))
    frame = gpd.GeoDataFrame({"pid": [f"{n:07d}" for n in range(count)]}, geometry=fields(count), crs=EPSG)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(str(folder / "parcels.parquet"), "bench", 2024, pid="pid", lake=lake)
    add_scene(lake, assets)
    job = plan(lake, bands, cube=False)
    index = extract._index(job.lake, job.parcels, job.rasters[bands[0]].grid.name)  # noqa: SLF001
    extract._signatures(lake, job)  # noqa: SLF001 - warms the kernels
    one = median_cpu(repeat, lambda: [extract._band(lake, job, band) for band in bands]) / len(bands)  # noqa: SLF001
    plain, peak = worker(lake, bands, cube=False)
    cubed, cube_peak = worker(lake, bands, cube=True)
    print(
        f"{count:7d} {index.pixel_count:9d} {one:7.3f} {one / decode:9.2f}x {one / count * 1e6:15.1f} "
        f"{plain:13.2f} s {cubed:11.2f} s {max(peak, cube_peak):8.0f}"
    )


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
        "assets": {name: {"href": assets.get(name), "type": "image/tiff"} for name in schemas.ASSETS},
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


def median_cpu(repeat: int, work: Callable[[], object]) -> float:
    """Median CPU seconds of a piece of work."""
    seconds = []
    for _ in range(repeat):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


def worker(lake: Lake, bands: tuple[str, ...], *, cube: bool) -> tuple[float, float]:
    """CPU seconds and peak megabytes of a fresh process that extracts the scene, files and commit included."""
    code = (
        "import json, sys, time\n"
        "from benchmarks.extraction import plan\n"
        "from cbm_lake import extract, zonal\n"
        "from cbm_lake.lake import Lake\n"
        "lake, bands, cube = json.loads(sys.argv[1])\n"
        "job = plan(Lake(lake), tuple(bands), cube=cube)\n"
        "zonal.warm_up()\n"
        "start = time.process_time()\n"
        "outcome = extract.extract_scene(job)\n"
        "assert outcome.problem is None, outcome\n"
        "seconds = time.process_time() - start\n"
        "peak = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(seconds, int(peak) / 1024)\n"
    )
    argument = json.dumps([lake.url, bands, cube])
    answer = subprocess.run([sys.executable, "-c", code, argument], capture_output=True, text=True, check=True)
    seconds, peak = map(float, answer.stdout.split()[-2:])
    return seconds, peak


if __name__ == "__main__":
    main()
