"""What chips cost: a window of 128 pixels out of full Sentinel-2 tiles, beside the same window read by rasterio.

    python -m benchmarks.chips [--scenes 30]

Both read the same places of the same files in turns, in one run; medians of places not read before by either, files in
the system's cache ("warm"). The first chip of a process and 30 scenes at one place are timed too, with the memory that
they take. Every scene is the same file under another name, which neither reader knows.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import rasterio
import shapely
from pyproj import Transformer
from rasterio.windows import Window

from benchmarks import tiles
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.slots import SlotContent
from cbm_lake.parcel import chips
from cbm_lake.rasters import Raster
from cbm_lake.rasters import Window as Pixels
from cbm_lake.rasters.blocks import CubeSource
from cbm_lake.rasters.cf import Slot
from cbm_lake.rasters.cube import Cube

START = datetime(2024, 3, 1, 10, 40, tzinfo=UTC)
PLACES = 40
DAYS = ("2024-03-01", "2024-12-31")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=30)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("CBM_LAKE_HOME", folder)
        measure(Path(folder), wanted.scenes)


def measure(folder: Path, count: int) -> None:
    """Fill a lake, read chips of it in all ways."""
    values = tiles.reflectance(tiles.SIZE)
    files = {
        "COG": tiles.write_cog(folder / "B04.tif", values, 10),
        "JPEG 2000": tiles.write_jp2(folder / "B04.jp2", values, 10),
    }
    lake = Lake(str(folder / "lake"))
    lake.add_scenes(pa.Table.from_pylist(list(rows(folder, files, count)), schema=schemas.SCENES))
    print(f"chips of 128 pixels, {count} scenes of {tiles.SIZE} x {tiles.SIZE}, DEFLATE, blocks of 512")
    begun = time.perf_counter()
    chips.read(lake, chips.by_id(lake, "S000"), ["B04"], *place(0), 1280)
    print(f"{'first chip of a process':44}{1000 * (time.perf_counter() - begun):8.1f} ms")
    for name, scene, href in (("COG", "S000", files["COG"]), ("JPEG 2000", "J", files["JPEG 2000"])):
        compare(f"{name}: chips.read, rasterio", lake, scene, href)
    keep(lake, files["COG"])
    compare("cube: chips.read, rasterio from COG", lake, "S000", files["COG"])
    many(lake, folder, count)
    maps(lake)


def rows(folder: Path, files: dict[str, Path], count: int) -> Any:
    """The catalogue: the COG as many scenes, the JPEG 2000 as one in the year before."""
    half = tiles.SIZE * 10
    corners = shapely.box(tiles.LEFT, tiles.TOP - half, tiles.LEFT + half, tiles.TOP).segmentize(5000)
    turn = Transformer.from_crs(tiles.EPSG, 4326, always_xy=True)
    outline = shapely.transform(corners, lambda xy: np.column_stack(turn.transform(xy[:, 0], xy[:, 1])))
    box = dict(zip(("xmin", "ymin", "xmax", "ymax"), outline.bounds, strict=True))
    for number in range(-1, count):
        name, file = (f"S{number:03}", folder / f"S{number:03}.tif") if number >= 0 else ("J", files["JPEG 2000"])
        if number >= 0:
            os.link(files["COG"], file)
        yield {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "geometry": outline.wkb,
            "bbox": box,
            "assets": {"B04": {"href": str(file), "type": "image/tiff"}},
            "card": "s2",
            "reference": f"{name}.SAFE",
            "datetime": START + timedelta(days=5 * number - (365 if number < 0 else 0)),
            "sensor": "S2A",
            "boa_offset": -1000,
            "acquisition": name,
            "source": "made here",
            "ingested": START,
        }


def place(number: int) -> tuple[float, float]:
    """One of many places on the tile, in degrees."""
    x, y = np.random.default_rng(number).uniform(1000, tiles.SIZE * 10 - 1000, 2)
    lon, lat = Transformer.from_crs(tiles.EPSG, 4326, always_xy=True).transform(tiles.LEFT + x, tiles.TOP - y)
    return lon, lat


def compare(title: str, lake: Lake, scene: str, href: Path) -> None:
    """Chips of places, each read by both."""
    found = chips.by_id(lake, scene)
    times: list[tuple[float, float]] = []
    for number in range(1, PLACES + 1):
        lon, lat = place(number)
        begun = time.perf_counter()
        mine = chips.read(lake, found, ["B04"], lon, lat, 1280)["B04"].to_numpy()
        middle = time.perf_counter()
        theirs = plain(href, lon, lat)
        times.append((middle - begun, time.perf_counter() - middle))
        assert np.array_equal(mine, np.where(theirs == 0, 0, np.maximum(theirs.astype(int) - 1000, 1)))
    ours, other = (median(column) for column in zip(*times, strict=True))
    print(f"{title:44}{1000 * ours:8.1f} ms {1000 * other:8.1f} ms   ratio {other / ours:.2f}")


def plain(href: Path, lon: float, lat: float) -> Any:
    """The same window by rasterio alone."""
    with rasterio.open(href) as file:
        x, y = Transformer.from_crs(4326, file.crs, always_xy=True).transform(lon, lat)
        column, row = ~file.transform * (x, y)
        return file.read(1, window=Window(round(column - 64), round(row - 64), 128, 128))


def keep(lake: Lake, href: Path) -> None:
    """A cube that holds the first scene."""
    raster = Raster.inspect(str(href))
    url = lake.cube_url("s2", raster.grid.name)
    lake.prepare("s2")
    lake.reserve_slots("s2", raster.grid.name, [SlotContent("S000", START, -1000, {"B04": raster.stamp})])
    Cube(url).extend(raster.grid, {"B04": "uint16"}, [Slot("S000", START, -1000)])
    for _ in CubeSource(url, "B04", 0, raster).read(Pixels(row, 0, 512, tiles.SIZE) for row in range(0, 10_752, 512)):
        pass
    key = {"card": "s2", "scene": "S000", "aoi": "bench", "year": 2024, "ptype": "", "parcels": "v1", "extraction": 1}
    done = {"base": None, "bands": ["B04"], "rule": "centre", "cube": True, "status": "done", "problem": None}
    moments = {"started": START, "finished": START, "version": "benchmark"}
    lake.record({**key, **done, **moments, "boa_offset": -1000, "rows": 0})


def many(lake: Lake, folder: Path, count: int) -> None:
    """All scenes at one place as files, by the library and by a loop over rasterio."""
    lon, lat = place(99)
    begun = time.perf_counter()
    with watched() as sizes:
        written = chips.write(lake, lon, lat, *DAYS, band="B04", folder=folder / "chips", limit=count)
    middle = time.perf_counter()
    for chip in written:
        plain(folder / f"{chip.scene}.tif", lon, lat)
    ended = time.perf_counter()
    again = chips.write(lake, lon, lat, *DAYS, band="B04", folder=folder / "chips", limit=count)
    grown = (max(sizes) - sizes[0]) / 2**20
    assert len(written) == len(again) == count
    print(
        f"{f'{count} chips written, rasterio reads them only':44}{1000 * (middle - begun):8.1f} ms"
        f" {1000 * (ended - middle):8.1f} ms   {grown:.0f} MB more at the peak"
    )
    print(f"{'the same again, all there':44}{1000 * (time.perf_counter() - ended):8.1f} ms")


@contextmanager
def watched() -> Iterator[list[int]]:
    """Bytes of memory that the process holds, looked at every 5 ms."""
    sizes, done = [held()], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            sizes.append(held())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        done.set()
        thread.join()


def held() -> int:
    """Bytes of memory that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def maps(lake: Lake) -> None:
    """Map tiles of 256 pixels by zoom level."""
    scene = chips.by_id(lake, "S001")
    for z in (8, 11, 13, 15):
        times = []
        for number in range(5):
            lon, lat = place(number)
            x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(lon, lat)
            side = 2 * chips.HALF_MAP / 2**z
            begun = time.perf_counter()
            try:
                chips.tile(lake, scene, "B04", z, int((x + chips.HALF_MAP) // side), int((chips.HALF_MAP - y) // side))
            except InvalidInputError as error:
                print(f"map tile at zoom {z}: {error.args[0].rpartition('/')[2]}")
                break
            times.append(time.perf_counter() - begun)
        else:
            print(f"{f'map tile at zoom {z}, one band':44}{1000 * median(times):8.1f} ms")


if __name__ == "__main__":
    main()
