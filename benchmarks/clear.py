"""Clear pixels of partly clouded parcels: what they give back, how right it is, and what they cost.

Clouds are planted over the clear scenes of a generated season (classes and brightness), so that the truth of every look
is the same scene without them. Printed are the looks that clear pixels add, the error of their NDVI, by how much of the
parcel is clear, and the cost: CPU of an extraction with and without them, in turns, and the size of the table.

    python benchmarks/clear.py --size 500 --dates 12 --figure docs/images/clear_pixels.png
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from scipy import ndimage

from cbm_lake import card2db, cards, extract, parcels
from cbm_lake.cards import observation
from cbm_lake.demo import sample
from cbm_lake.lake import Lake

SEASON = {"start": "2024-01-01", "end": "2024-12-31", "aoi": "demo", "year": 2024}
COVER = 0.15
"""Share of a scene under planted clouds."""
BRIGHT = {"B02": 5200, "B03": 5300, "B04": 5400, "B05": 5500, "B08": 6000, "B11": 4200}
"""What a cloud's pixels hold, in stored numbers."""


def lake_of(folder: Path, season: Path) -> Lake:
    """A lake with the season's scenes and parcels."""
    lake = Lake(str(folder))
    card2db.items(str(season / "s2.json"), card="s2", lake=lake)
    parcels.load(str(season / "parcels.gpkg"), "demo", 2024, pid="parcel_id", lake=lake)
    return lake


def clear_scenes(season: Path) -> list[str]:
    """The scenes without a pixel in a screened class."""
    ids = [item["id"] for item in json.loads((season / "s2.json").read_text())["features"]]
    return [one for one in ids if not np.isin(pixels(season, one, "SCL"), cards.CLOUD_CLASSES).any()]


def pixels(season: Path, scene: str, band: str) -> np.ndarray:
    """The pixels of a band of a scene."""
    with rasterio.open(season / "s2" / scene / f"{band}.tif") as file:
        return np.asarray(file.read(1))


def replace(season: Path, scene: str, band: str, values: np.ndarray) -> None:
    """Write other pixels into a scene."""
    path = season / "s2" / scene / f"{band}.tif"
    with rasterio.open(path) as file:
        profile = {**file.profile, "driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256}
    with rasterio.open(path, "w", **profile) as file:
        file.write(values.astype(profile["dtype"]), 1)


def plant(season: Path, scene: str, seed: int) -> None:
    """Put clouds over a part of a scene: round ones of some hundred metres, opaque, as the classes have them."""
    rng = np.random.default_rng(seed)
    classes = pixels(season, scene, "SCL")
    field = ndimage.gaussian_filter(rng.normal(size=classes.shape), 5)
    cloud = (field > np.quantile(field, 1 - COVER)) & (classes > 0)
    replace(season, scene, "SCL", np.where(cloud, 9, classes))
    for band, value in BRIGHT.items():
        stored = pixels(season, scene, band)
        hidden = np.kron(cloud, np.ones((stored.shape[0] // cloud.shape[0],) * 2, bool))
        noise = rng.normal(1, 0.05, stored.shape)
        replace(season, scene, band, np.where(hidden & (stored > 0), value * noise, stored))


def looks(lake: Lake, scenes: list[str]) -> pd.DataFrame:
    """The looks of some scenes."""
    statement = "select pid, scene, ndvi, usable, clear_part, clear_share, why_not from observations"
    rows = lake.sql(f"{statement} where list_contains($scenes::varchar[], scene)", scenes=scenes)
    frame: pd.DataFrame = rows.to_pandas()
    return frame


def compared(truth: Lake, planted: Lake, scenes: list[str]) -> pd.DataFrame:
    """Looks under planted clouds beside those of the same scene without."""
    both = looks(planted, scenes).merge(looks(truth, scenes)[["pid", "scene", "ndvi", "usable"]], on=["pid", "scene"])
    both = both[both["usable_y"]]
    return both.assign(error=(both["ndvi_x"] - both["ndvi_y"]).abs())


def report(both: pd.DataFrame) -> None:
    """Print what is gained and how right it is."""
    added, lost = both[both["clear_part"]], both[both["why_not"] == "cloudy"]
    partly = len(added) + len(lost)
    print(f"{len(both):,} looks that are usable without clouds; planted ones touch {partly / len(both):.1%} of them")
    print(f"clear pixels add {len(added):,}: {len(added) / len(both):.1%} of all, {len(added) / partly:.0%} of those")
    squares = np.sqrt((added["error"] ** 2).mean())
    quantiles = added["error"].quantile([0.5, 0.9, 0.99])
    words = ", ".join(f"p{100 * q:.0f} {value:.4f}" for q, value in quantiles.items())
    print(f"error of their NDVI: root mean square {squares:.4f}, mean {added['error'].mean():.4f}, {words}")
    for low in np.arange(observation.LEAST_CLEAR, 1, 0.1):
        part = added[added["clear_share"].between(low, low + 0.1)]
        if len(part):
            print(f"  {low:.0%} to {low + 0.1:.0%} clear: {len(part):5,} looks, {part['error'].mean():.4f}")


def cost(folder: Path, season: Path, times: int) -> None:
    """Print CPU of an extraction with and without clear pixels, in turns, and the rows and bytes that they add."""
    spent: dict[bool, list[float]] = {True: [], False: []}
    for number in range(times):
        for clear in (True, False) if number % 2 else (False, True):
            lake = lake_of(folder / f"{number}{clear}", season)
            plan = extract.plan("s2", **SEASON, cube=False, clear=clear, lake=lake)
            start = time.process_time()
            extract.run(plan, workers=0)
            spent[clear].append(time.process_time() - start)
    ratio = np.median(np.array(spent[True]) / np.array(spent[False]))
    print(f"CPU of an extraction with clear pixels ÷ without: {ratio:.3f} (of {times} pairs)")
    sizes = {clear: size(folder / f"0{clear}") for clear in (True, False)}
    whole, part = sizes[False][1], sizes[True][1] - sizes[False][1]
    print(f"rows: {part / whole:+.1%}; bytes: {sizes[True][0] / sizes[False][0] - 1:+.1%} after compaction")


def size(folder: Path) -> tuple[int, int]:
    """Bytes and rows of the compacted table."""
    from deltalake import DeltaTable

    Lake(str(folder)).compact("s2")
    table = DeltaTable(f"{folder}/signatures/s2")
    return sum(Path(file).stat().st_size for file in table.file_uris()), table.to_pyarrow_table().num_rows


def draw(both: pd.DataFrame, file: Path) -> None:
    """The NDVI of clear pixels beside that of the same parcels without clouds."""
    from matplotlib import pyplot as plt

    added = both[both["clear_part"]]
    figure, axes = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
    axes.plot([0, 1], [0, 1], "--", color="#999999", linewidth=1)
    points = axes.scatter(added["ndvi_y"], added["ndvi_x"], c=100 * added["clear_share"], s=7, cmap="viridis")
    figure.colorbar(points, label="clear share of the parcel (%)")
    axes.set(
        xlabel="NDVI of the whole parcel without clouds", ylabel="NDVI of its clear pixels", xlim=(0, 1), ylim=(0, 1)
    )
    figure.savefig(file, dpi=120)


def main(arguments: list[str]) -> None:
    """Generate, plant, extract, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=500, help="pixels of a scene a side")
    parser.add_argument("--dates", type=int, default=12)
    parser.add_argument("--times", type=int, default=3, help="pairs of extractions whose CPU is compared")
    parser.add_argument("--figure", type=Path, default=None)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        season = sample.write(folder / "truth", dates=options.dates, size=options.size).folder
        shutil.copytree(season, folder / "planted")
        items = folder / "planted" / "s2.json"
        items.write_text(items.read_text().replace(str(season), str(folder / "planted")))
        scenes = clear_scenes(season)
        for seed, scene in enumerate(scenes):
            plant(folder / "planted", scene, seed)
        lakes = [lake_of(folder / f"lake_{part}", folder / part) for part in ("truth", "planted")]
        for lake in lakes:
            extract.s2(**SEASON, workers=0, lake=lake)
        both = compared(*lakes, scenes)
        report(both)
        if options.figure:
            draw(both, options.figure)
        if options.times:
            cost(folder, folder / "planted", options.times)


if __name__ == "__main__":
    main(sys.argv[1:])
