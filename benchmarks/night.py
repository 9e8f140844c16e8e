"""What a night of a country costs: four new scenes of eight bands (local COG) over a season of earlier ones.

    python -m benchmarks.night [--parcels 10000,30000,100000] [--history 40] [--scenes 4] [--workers 2]

Each of the new scenes is a whole tile that sees every parcel, as many parcels as there are: the hardest night that
there can be. (A country's parcels lie on several tiles, of which a scene sees one.) The lake has the signatures,
markers and lights of the earlier scenes already; then `season.run` is called once, by a file as docs/season.md has it:
catalogue, extraction with the cube, both guards, markers, lights, an export of the lights, compaction when it is due.

Printed are the seconds by the clock and of CPU (this process and its workers), and the share of each step; then a line
through the sizes, seconds = a + b x parcels, and what it says of a million parcels. On a machine that does other work
the clock says little; CPU seconds divided by the cores are what it would say otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import rasterio
import shapely
from rasterio.warp import transform_bounds

from benchmarks import season as earlier
from benchmarks.extraction import S2_BANDS, make_scene
from benchmarks.tiles import EPSG, fields
from cbm_lake import parcels, season
from cbm_lake.lake import Lake, schemas
from cbm_lake.season.journal import Entry

AIM = 15 * 60
"""Seconds that a night of a million parcels may take."""
MILLION = 1_000_000
FILE = """
season: {{start: 2024-08-28, end: 2024-12-31}}
areas:
  - {{aoi: {aoi}, year: {year}}}
sources:
  - {{items: items}}
extract:
  s2: {{bands: [{bands}]}}
workers: {workers}
exports:
  - {{what: lights, path: out/lights.parquet}}
"""


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--parcels", default="10000,30000,100000")
    arguments.add_argument("--history", type=int, default=40, help="scenes that are extracted already")
    arguments.add_argument("--scenes", type=int, default=4)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--tile", type=Path, help="where the tile is kept for the next time")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CBM_LAKE_HOME"] = name
        assets = tile(options.tile or folder / "tile")
        print(f"{options.scenes} scenes of {len(S2_BANDS)} bands, {options.history} before; {options.workers} workers")
        nights = []
        for count in map(int, options.parcels.split(",")):
            nights.append(Night(count, measured(folder / str(count), count, assets, options)))
            nights[-1].show()
        extrapolate(nights, max(options.workers, 1))


def tile(folder: Path) -> dict[str, str]:
    """The files of a whole tile, made unless they are there."""
    names = (*S2_BANDS, "SCL")
    if all((folder / f"{name}.tif").exists() for name in names):
        return {name: str(folder / f"{name}.tif") for name in names}
    folder.mkdir(exist_ok=True)
    return make_scene(folder, S2_BANDS)


@dataclass
class Cost:
    """Seconds of a step."""

    clock: float = 0.0
    cpu: float = 0.0


@dataclass
class Watcher:
    """Adds up what the steps of a kind cost."""

    costs: dict[str, Cost] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    _cpu: float = 0.0

    def begin(self, title: str) -> Callable[[int, int], None]:
        """A step begins."""
        self._cpu = cpu()
        return lambda _done, _total: None

    def end(self, entry: Entry) -> None:
        """A step has ended."""
        cost = self.costs.setdefault(entry.key.step, Cost())
        cost.clock += entry.seconds or 0.0
        cost.cpu += cpu() - self._cpu
        self.failed += [f"{entry.key.title}: {entry.problem}"] if entry.failed else []


@dataclass
class Night:
    """What a night of so many parcels cost."""

    parcels: int
    costs: dict[str, Cost]

    @property
    def clock(self) -> float:
        """Of all steps."""
        return sum(cost.clock for cost in self.costs.values())

    @property
    def cpu(self) -> float:
        """Of all steps."""
        return sum(cost.cpu for cost in self.costs.values())

    def show(self) -> None:
        """Print the share of each step."""
        print(f"\n{self.parcels:,} parcels: {self.clock:.1f} s by the clock, {self.cpu:.1f} s of CPU")
        for step, cost in self.costs.items():
            print(f"  {step:<10} {cost.clock:8.1f} s {cost.cpu:8.1f} s CPU {cost.cpu / self.cpu:6.1%}", flush=True)


def measured(folder: Path, count: int, assets: dict[str, str], options: argparse.Namespace) -> dict[str, Cost]:
    """Make a lake with its season so far, let the new scenes come, and run the night."""
    folder.mkdir()
    lake = Lake(str(folder / "lake"))
    places = {"aoi": earlier.AOI, "year": earlier.YEAR, "bands": ", ".join(S2_BANDS), "workers": options.workers}
    (folder / "season.yaml").write_text(FILE.format(**places))
    fill(lake, folder, count, options.history)
    (folder / "items").mkdir()
    lake.compact()
    before = season.run(folder / "season.yaml", lake=lake)
    assert not before.failed, before.failed
    for number in range(options.scenes):
        write_item(folder, assets, number)
    watcher = Watcher()
    season.run(folder / "season.yaml", lake=lake, watcher=watcher)
    assert not watcher.failed, watcher.failed
    lake.close()
    shutil.rmtree(folder / "lake")
    return watcher.costs


def fill(lake: Lake, folder: Path, count: int, history: int) -> None:
    """Parcels anywhere on the tile, and the signatures of the scenes before, written as extraction writes them."""
    made_up = earlier.Season(parcels=count, scenes=history)
    rng = np.random.default_rng(0)
    crops = rng.integers(0, len(earlier.CROPS), count)
    names = np.array(["grass", "wheat", "maize", "vines"])[crops % 4]
    frame = gpd.GeoDataFrame(
        {"pid": [made_up.pid(n) for n in range(count)], "crop": names}, geometry=fields(count), crs=EPSG
    )
    frame.to_parquet(folder / "parcels.parquet")
    loaded = parcels.load(folder / "parcels.parquet", earlier.AOI, earlier.YEAR, pid="pid", crop_name="crop", lake=lake)
    pixels = np.maximum(shapely.area(frame.geometry.values) / 100, 1).astype("int32")
    lake.prepare("s2")
    lake.add_scenes(pa.Table.from_pylist([catalogued(made_up, scene) for scene in range(history)], schemas.SCENES))
    for scene in range(history):
        entry = earlier._entry(made_up, scene) | {"parcels": loaded.version}  # noqa: SLF001
        rows = earlier._rows(made_up, scene, entry, pixels, crops, rng)  # noqa: SLF001
        lake.write_signatures("s2", rows, entry["extraction"])
        lake.record(entry)


def catalogued(made_up: earlier.Season, scene: int) -> dict[str, Any]:
    """The catalogue's entry of an earlier scene, whose files are nowhere: it is extracted already."""
    box = {"xmin": 2.0, "ymin": 43.0, "xmax": 5.0, "ymax": 46.0}
    name = earlier._entry(made_up, scene)["scene"]  # noqa: SLF001
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": shapely.to_wkb(shapely.box(*box.values())),
        "bbox": box,
        "assets": {},
        "datetime": made_up.obstime(scene),
        "card": "s2",
        "reference": f"{name}.SAFE",
        "sensor": "S2A",
        "boa_offset": -1000,
        "acquisition": name,
        "source": "benchmark",
        "ingested": datetime.now(UTC),
    }


def write_item(folder: Path, assets: dict[str, str], number: int) -> None:
    """A STAC item of a new scene, after the earlier ones; its files are links to those of the tile."""
    with rasterio.open(assets["B02"]) as dataset:
        bounds = transform_bounds(dataset.crs, 4326, *dataset.bounds)
    taken = datetime(2024, 9, 1, 10, 40, 21, tzinfo=UTC) + timedelta(days=5 * number)
    links: dict[str, Any] = {}
    (folder / f"scene{number}").mkdir()
    for band, path in assets.items():
        link = folder / f"scene{number}" / f"{band}.tif"
        link.symlink_to(Path(path).absolute())
        links[band] = {"href": str(link)}
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"S2A_31TEJ_{taken:%Y%m%d}_0_L2A",
        "collection": "sentinel-2-l2a",
        "links": [],
        "geometry": shapely.geometry.mapping(shapely.box(*bounds)),
        "properties": {
            "datetime": f"{taken:%Y-%m-%dT%H:%M:%SZ}",
            "platform": "sentinel-2a",
            "s2:product_type": "S2MSI2A",
            "s2:product_uri": f"S2A_MSIL2A_{taken:%Y%m%dT%H%M%S}_N0510_R008_T31TEJ_{taken:%Y%m%d}T151515.SAFE",
        },
        "assets": links,
    }
    (folder / "items" / f"{number}.json").write_text(json.dumps(item))


def cpu() -> float:
    """Seconds of CPU of this process and of its workers that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def extrapolate(nights: list[Night], cores: int) -> None:
    """A line through the sizes, and what it says of a million parcels; nothing with fewer than two sizes."""
    if len(nights) < 2:
        return
    counts = np.array([night.parcels for night in nights], float)
    print(f"\nseconds = a + b x parcels, for {MILLION:,} parcels:")
    for name in ("clock", "cpu"):
        seconds = np.array([getattr(night, name) for night in nights])
        slope, fixed = np.polyfit(counts, seconds, 1)
        whole = fixed + slope * MILLION
        print(f"  {name:<6} {fixed:6.1f} s + {slope * 1e6:7.1f} us x parcels = {whole / 60:6.1f} min", end="")
        print(f", on {cores} cores {whole / cores / 60:.1f} min at best" if name == "cpu" else "", end="")
        print(f"; measured {', '.join(f'{one:.1f}' for one in seconds)} s")
    print(f"aim: {AIM / 60:g} min")


if __name__ == "__main__":
    main()
