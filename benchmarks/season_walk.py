"""Walk one season of the demonstration night by night, and draw the pictures of docs/season.md.

    python -m benchmarks.season_walk [docs/images] [--size 320] [--dates 24]

Images of the demonstration are there from the start; their STAC items come one by one. After each new Sentinel-2 image
the night is run (`season.run`) with what has come by then, radar too, and what it did and what the lights are then is
noted. Drawn are the colours of each scenario from night to night, maps of some nights, and what each night cost.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import shapely

from cbm_lake import markers, season
from cbm_lake.demo import sample
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake, open_lake

AOI, YEAR = "demo", 2024
CARDS: Final = ("s2", "bs", "c6")
COLOURS: Final = {
    "green": "#3a9b4c",
    "yellow": "#e8c22e",
    "red": "#cc3b33",
    "not yet due": "#c9ced6",
    "cannot be seen": "#8fb7d8",
}
STEPS: Final = ("parcels", "catalogue", "extract", "guard", "shifts", "markers", "lights", "export", "compact")
MAPS: Final = 4
FILE = """
season: {{start: 2024-03-01, end: 2024-10-31}}
areas:
  - {{aoi: {aoi}, year: {year}, parcels: {{path: sample/parcels.gpkg, pid: parcel_id, crop_name: crop_name}}}}
sources:
  - {{items: items/s2, card: s2}}
  - {{items: items/bs, card: bs}}
  - {{items: items/c6, card: c6}}
extract:
  s2: {{}}
  bs: {{}}
  c6: {{}}
workers: 0
exports:
  - {{what: lights, path: out/lights.csv}}
  - {{what: changes, path: out/changes.csv}}
compact: {{files: 24}}
"""


@dataclass(frozen=True)
class Night:
    """What a night did, and what the lights are after it."""

    day: date
    seconds: dict[str, float]
    scenes: int
    lights: dict[tuple[str, str], str]
    """Colour by parcel and scenario."""


def main() -> None:
    """Walk, print a line for each night, and draw."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("images", type=Path, nargs="?", default=Path("docs/images"))
    arguments.add_argument("--size", type=int, default=320)
    arguments.add_argument("--dates", type=int, default=24)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["CBM_LAKE_HOME"] = name
        folder = Path(name)
        sample.write(folder / "sample", size=options.size, dates=options.dates)
        (folder / "season.yaml").write_text(FILE.format(aoi=AOI, year=YEAR))
        lake = open_lake()
        nights = []
        for night in walk(folder, lake):
            nights.append(night)
            counts = Counter(night.lights.values())
            print(f"{night.day} {night.scenes:3} scenes {sum(night.seconds.values()):6.1f} s", dict(counts), flush=True)
        draw_colours(nights, options.images / "season_colours.png")
        draw_maps(nights, outlines(lake), options.images / "season_maps.png")
        draw_cost(nights, options.images / "season_cost.png")


def walk(folder: Path, lake: Lake) -> Iterator[Night]:
    """Let the images come, one Sentinel-2 date after another, and run the night after each."""
    waiting = {card: items(folder / "sample" / f"{card}.json") for card in CARDS}
    for card in CARDS:
        (folder / "items" / card).mkdir(parents=True)
    for day in sorted({day for day, _ in waiting["s2"]}):
        for card in CARDS:
            for taken, item in waiting[card]:
                if taken <= day:
                    (folder / "items" / card / f"{item['id']}.json").write_text(json.dumps(item))
        done = season.run(folder / "season.yaml", lake=lake)
        assert not done.failed or day == min(one for one, _ in waiting["s2"]), done.failed
        seconds = dict.fromkeys(STEPS, 0.0)
        for entry in done.steps:
            seconds[entry.key.step] += entry.seconds or 0.0
        scenes = sum(entry.scenes for entry in done.steps if entry.key.step == "extract")
        yield Night(day, seconds, scenes, lights(lake))


def items(path: Path) -> list[tuple[date, dict[str, Any]]]:
    """The items of a card with their days; their rasters by full paths."""
    found = []
    for item in json.loads(path.read_text())["features"]:
        for asset in item["assets"].values():
            asset["href"] = str((path.parent / asset["href"]).resolve())
        found.append((date.fromisoformat(item["properties"]["datetime"][:10]), item))
    return found


def lights(lake: Lake) -> dict[tuple[str, str], str]:
    """The colour of each parcel in each scenario now."""
    try:
        rows = markers.traffic_light(AOI, YEAR, lake=lake).to_pylist()
    except NotFoundError:  # nothing was extracted yet
        return {}
    return {(row["pid"], row["scenario"]): row["colour"] for row in rows}


def outlines(lake: Lake) -> dict[str, shapely.Geometry]:
    """The parcels' geometries."""
    rows = lake.sql("select pid, geometry from parcels where aoi = $aoi", aoi=AOI)
    return dict(zip(rows["pid"].to_pylist(), shapely.from_wkb(rows["geometry"].to_pylist()), strict=True))


def draw_colours(nights: Sequence[Night], path: Path) -> None:
    """The number of parcels of each colour from night to night, scenario by scenario."""
    scenarios = list(dict.fromkeys(scenario for night in nights for _, scenario in night.lights))
    figure, axes = plt.subplots(len(scenarios), 1, figsize=(9, 1.7 * len(scenarios) + 0.6), sharex=True, squeeze=False)
    days = [night.day for night in nights]
    for axis, scenario in zip(axes[:, 0], scenarios, strict=True):
        counted = [Counter(one for (_, of), one in night.lights.items() if of == scenario) for night in nights]
        counts = np.array([[night[colour] for night in counted] for colour in COLOURS])
        axis.stackplot(days, counts, colors=COLOURS.values(), step="post", labels=COLOURS, linewidth=0)
        axis.set_ylabel("parcels")
        axis.set_title(scenario, loc="left", fontsize=9)
        axis.set_xlim(days[0], days[-1])
    axes[0, 0].legend(ncols=5, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.15), frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def draw_maps(nights: Sequence[Night], shapes: dict[str, shapely.Geometry], path: Path) -> None:
    """The parcels in the colours of the scenario of their crop, after some of the nights."""
    chosen = [nights[index] for index in np.linspace(len(nights) // 5, len(nights) - 1, MAPS).astype(int)]
    figure, axes = plt.subplots(1, len(chosen), figsize=(3 * len(chosen), 3.5))
    for axis, night in zip(axes, chosen, strict=True):
        colours = {pid: colour for (pid, scenario), colour in night.lights.items() if scenario != "looks as declared"}
        for pid, shape in shapes.items():
            for part in shapely.get_parts(shape):
                axis.fill(*part.exterior.xy, color=COLOURS.get(colours.get(pid, ""), "#f2f2f0"), linewidth=0)
        axis.set_title(f"{night.day:%d %B}", fontsize=9)
        axis.set_aspect("equal")
        axis.set_axis_off()
    handles = [mpl.patches.Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, ncols=5, fontsize=8, loc="lower center", frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, dpi=110)


def draw_cost(nights: Sequence[Night], path: Path) -> None:
    """Seconds of each night, step by step, and the number of new scenes."""
    figure, axis = plt.subplots(figsize=(9, 3))
    positions, bottom = np.arange(len(nights)), np.zeros(len(nights))
    for step, colour in zip(STEPS, mpl.colormaps["tab10"].colors, strict=False):
        seconds = np.array([night.seconds[step] for night in nights])
        axis.bar(positions, seconds, bottom=bottom, label=step, color=colour)
        bottom += seconds
    for position, night in zip(positions, nights, strict=True):
        axis.annotate(str(night.scenes), (position, bottom[position]), ha="center", va="bottom", fontsize=7)
    axis.set_xticks(positions, [f"{night.day:%d %b}" for night in nights], rotation=90, fontsize=7)
    axis.set_ylabel("seconds")
    axis.set_title("what each night took; above it the number of scenes that it extracted", fontsize=9, loc="left")
    axis.legend(ncols=4, fontsize=7, frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
