"""What it costs to load declared parcels, beside geopandas that reads the same file and writes it as GeoParquet.

    python -m benchmarks.loading [--parcels 10000 500000]

Parcels of 25 vertices on average with seven columns, as GeoPackage, shapefile and GeoParquet, in EPSG:2154. Every
figure is of a fresh process, imports included in its memory and not in its time: wall and CPU seconds of all its
threads, and the peak of its resident memory. Loading checks and measures every outline, orders the parcels and hashes
them, too; geopandas does nothing of that. "again" is the same place in other bytes (rings turned, coordinates moved by
a millimetre), compared with what is in force; "attributes" has the same outlines and another column.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

FORMATS = ("gpkg", "shp", "parquet")
CROPS = np.array(["blé tendre", "maïs", "prairie", "colza", "tournesol"])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, nargs="+", default=[10_000, 500_000])
    parser.add_argument("--alone", nargs=3, help="how, file, folder: one measurement, as JSON")
    options = parser.parse_args()
    if options.alone:
        how, file, folder = options.alone
        print(json.dumps(alone(how, file, Path(folder))))
        return
    print(
        f"{'parcels':>9} {'file':8} {'what':11} {'wall s':>7} {'CPU s':>7} {'peak MB':>8} {'ratio: CPU':>11} {'MB':>5}"
    )
    for count in options.parcels:
        with tempfile.TemporaryDirectory() as folder:
            compare(Path(folder), count)


def compare(folder: Path, count: int) -> None:
    """Write the files and measure every one of them by both."""
    write(folder, count)
    for ending in FORMATS:
        file = folder / f"parcels.{ending}"
        peer = measure("geopandas", file, folder)
        told(count, ending, "geopandas", peer, peer)
        told(count, ending, "load", measure("load", file, folder / ending), peer)
        if ending == "gpkg":
            told(count, ending, "again", measure("load", folder / "again.gpkg", folder / ending), peer)
            told(count, ending, "attributes", measure("load", folder / "attributes.gpkg", folder / ending), peer)


def told(count: int, ending: str, what: str, found: dict[str, float], peer: dict[str, float]) -> None:
    """Print one line."""
    print(
        f"{count:9,} {ending:8} {what:11} {found['wall']:7.1f} {found['cpu']:7.1f} {found['peak']:8.0f}"
        f" {found['cpu'] / peer['cpu']:11.2f} {found['peak'] / peer['peak']:5.2f}",
        flush=True,
    )


def write(folder: Path, count: int) -> None:
    """The files, in a process of its own memory: that of this one is small when the others are started."""
    rng = np.random.default_rng(1)
    frame = gpd.GeoDataFrame(
        {
            "pid": [f"{number:09}" for number in range(count)],
            "crop_name": CROPS[rng.integers(0, len(CROPS), count)],
            "crop_code": rng.integers(100, 140, count).astype(str),
            "farm": [f"F{number:06}" for number in rng.integers(0, count // 20 + 1, count)],
            "surface": rng.uniform(0, 5, count).round(2),
            "organic": rng.integers(0, 2, count),
            "block": rng.integers(0, count, count),
        },
        geometry=outlines(count, rng),
        crs=2154,
    )
    frame.to_file(folder / "parcels.gpkg")
    frame.to_file(folder / "parcels.shp", encoding="utf-8")
    frame.to_parquet(folder / "parcels.parquet")
    frame.assign(practice="no-till").to_file(folder / "attributes.gpkg")
    frame.geometry = shapely.transform(
        shapely.reverse(frame.geometry.to_numpy()), lambda xy: xy + rng.uniform(-0.001, 0.001, (1, 2))
    )
    frame.to_file(folder / "again.gpkg")


def outlines(count: int, rng: np.random.Generator) -> np.ndarray:
    """Star-shaped polygons of 6 to 44 vertices, side by side on a square grid of 110 m."""
    side = int(np.ceil(np.sqrt(count)))
    sizes = rng.integers(6, 45, count)
    row = np.repeat(np.arange(count), sizes)
    turn = np.arange(len(row)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + rng.uniform(0, 0.8, len(row))
    angle, reach = 2 * np.pi * turn / sizes[row], rng.uniform(30, 52, len(row))
    x = 400_000 + 110 * (row % side) + reach * np.cos(angle)
    y = 6_300_000 + 110 * (row // side) + reach * np.sin(angle)
    return shapely.polygons(shapely.linearrings(np.column_stack([x, y]), indices=row))


def measure(how: str, file: Path, folder: Path) -> dict[str, float]:
    """Wall and CPU seconds and peak megabytes of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.loading", "--alone", how, str(file), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def alone(how: str, file: str, folder: Path) -> dict[str, float]:
    """One measurement, of this process."""
    folder.mkdir(exist_ok=True)
    os.environ["CBM_LAKE_HOME"] = str(folder)
    work = by_geopandas(file, folder) if how == "geopandas" else by_lake(file, folder)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak()}


def by_geopandas(file: str, folder: Path) -> Callable[[], None]:
    """The peer."""

    def work() -> None:
        frame = gpd.read_parquet(file) if file.endswith("parquet") else gpd.read_file(file)
        frame.to_parquet(folder / "by_geopandas.parquet", compression="zstd")

    return work


def by_lake(file: str, folder: Path) -> Callable[[], None]:
    """The parcels into a lake, which may have them already."""
    from cbm_lake import parcels
    from cbm_lake.lake import Lake

    lake = Lake(str(folder / "lake"))
    return lambda: print(parcels.load(file, "bench", 2024, lake=lake), file=sys.stderr)


def peak() -> float:
    """Megabytes that the process had at most; what its parent had is not counted."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
