"""Walk one season of the demonstration night by night, and draw the pictures of docs/season.md.

    python -m benchmarks.season_walk [docs/images] [--size 320] [--dates 24] [--nights FILE]

Images of the demonstration are there from the start; their STAC items come one by one. After each new Sentinel-2 image
the night is run (`season.run`) with what has come by then, radar too, and what it did and what the lights are then is
noted, in --nights too, from which a later call draws without walking. Drawn are the colours of each scenario from night
to night, maps of some nights, and what each night cost.
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
from typing import Any, Final, TypeAlias

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.dates
import matplotlib.pyplot as plt
import numpy as np
import shapely
from matplotlib.figure import Figure
from PIL import Image

from cbm_lake import markers, season
from cbm_lake.demo import sample
from cbm_lake.errors import NotFoundError
from cbm_lake.lake import Lake, open_lake
from cbm_lake.markers.parameters import read

AOI, YEAR = "demo", 2024
CARDS: Final = ("s2", "bs", "c6")
COLOURS: Final = {
    "green": "#009e73",
    "yellow": "#f0e442",
    "red": "#d55e00",
    "not yet due": "#d5d9df",
    "cannot be seen": "#56b4e9",
}
"""Colours that all eyes tell apart: Okabe and Ito (2008), Color Universal Design; what is red is hatched, too."""
HATCHES: Final = {"red": "////"}
Row: TypeAlias = dict[str, Any]
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


@dataclass(frozen=True)
class Walked:
    """All nights of a season, and the parcels' geometries."""

    nights: Sequence[Night]
    outlines: dict[str, shapely.Geometry]

    @classmethod
    def of_sample(cls, size: int, dates: int) -> Walked:
        """Walk a generated season; a line for each night is printed."""
        with tempfile.TemporaryDirectory() as name:
            os.environ["CBM_LAKE_HOME"] = name
            folder = Path(name)
            sample.write(folder / "sample", size=size, dates=dates)
            (folder / "season.yaml").write_text(FILE.format(aoi=AOI, year=YEAR))
            lake = open_lake()
            nights = []
            for night in walk(folder, lake):
                nights.append(night)
                seconds, counts = sum(night.seconds.values()), dict(Counter(night.lights.values()))
                print(f"{night.day} {night.scenes:3} scenes {seconds:6.1f} s", counts, flush=True)
            return cls(nights, outlines(lake))

    @classmethod
    def read(cls, path: Path) -> Walked:
        """What `write` left."""
        known = json.loads(path.read_text())
        nights = []
        for row in known["nights"]:
            colours = {(pid, scenario): colour for pid, scenario, colour in row["lights"]}
            nights.append(Night(date.fromisoformat(row["day"]), row["seconds"], row["scenes"], colours))
        return cls(nights, {pid: shapely.from_wkt(text) for pid, text in known["outlines"].items()})

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        nights = [
            {
                "day": str(night.day),
                "seconds": night.seconds,
                "scenes": night.scenes,
                "lights": [[*key, colour] for key, colour in night.lights.items()],
            }
            for night in self.nights
        ]
        shapes = {pid: shapely.to_wkt(shape) for pid, shape in self.outlines.items()}
        path.write_text(json.dumps({"nights": nights, "outlines": shapes}))


def main() -> None:
    """Walk, print a line for each night, and draw."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("images", type=Path, nargs="?", default=Path("docs/images"))
    arguments.add_argument("--size", type=int, default=320)
    arguments.add_argument("--dates", type=int, default=24)
    arguments.add_argument("--nights", type=Path, help="file of what was walked")
    options = arguments.parse_args()
    if options.nights is not None and options.nights.exists():
        walked = Walked.read(options.nights)
    else:
        walked = Walked.of_sample(options.size, options.dates)
        if options.nights is not None:
            walked.write(options.nights)
    draw_colours(walked.nights, options.images / "season_colours.png")
    draw_maps(walked.nights, walked.outlines, options.images / "season_maps.png")
    draw_cost(walked.nights, options.images / "season_cost.png")


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
    """The number of parcels of each colour from night to night, scenario by scenario, and the due date of each."""
    scenarios = list(dict.fromkeys(scenario for night in nights for _, scenario in night.lights))
    figure, axes = plt.subplots(len(scenarios), 1, figsize=(9, 1.7 * len(scenarios) + 0.6), sharex=True, squeeze=False)
    days = [night.day for night in nights]
    for axis, scenario in zip(axes[:, 0], scenarios, strict=True):
        counted = [Counter(one for (_, of), one in night.lights.items() if of == scenario) for night in nights]
        counts = np.array([[night[colour] for night in counted] for colour in COLOURS])
        areas = axis.stackplot(days, counts, colors=COLOURS.values(), step="post", labels=COLOURS, linewidth=0)
        for area, colour in zip(areas, COLOURS, strict=True):
            area.set(hatch=HATCHES.get(colour), edgecolor="white")
        axis.axvline(due_of(scenario, days[0].year), color="black", linewidth=1, linestyle="--")
        axis.set_ylabel("parcels")
        axis.set_title(scenario, loc="left", fontsize=9)
        axis.set_xlim(days[0], days[-1])
        axis.set_ylim(0, counts.sum(axis=0).max())
        axis.xaxis.set_major_formatter(mpl.dates.DateFormatter("%-d %b"))
    figure.legend(handles=legend(), ncols=5, fontsize=8, loc="upper center", frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    save(figure, path)


def due_of(scenario: str, year: int) -> date:
    """The day on which a scenario is judged, the same for all parcels."""
    (due,) = read().scenarios[scenario].due or ()
    return date.fromisoformat(f"{year}-{due.day}")


def legend() -> list[mpl.patches.Patch]:
    """A patch for each colour of a light."""
    return [
        mpl.patches.Patch(facecolor=colour, edgecolor="white", hatch=HATCHES.get(name), label=name)
        for name, colour in COLOURS.items()
    ]


def draw_maps(nights: Sequence[Night], shapes: dict[str, shapely.Geometry], path: Path) -> None:
    """The parcels in the colours of the scenario of their crop, after some of the nights."""
    chosen = [nights[index] for index in np.linspace(len(nights) // 5, len(nights) - 1, MAPS).astype(int)]
    figure, axes = plt.subplots(2, len(chosen) // 2, figsize=(8, 8.6))
    for axis, night in zip(axes.flat, chosen, strict=True):
        colours = {pid: colour for (pid, scenario), colour in night.lights.items() if scenario != "looks as declared"}
        for pid, shape in shapes.items():
            name = colours.get(pid, "")
            look = {"facecolor": COLOURS.get(name, "#f2f2f0"), "edgecolor": "white", "hatch": HATCHES.get(name)}
            for part in shapely.get_parts(shape):
                axis.fill(*part.exterior.xy, linewidth=0.5, **look)
        axis.set_title(f"{night.day:%-d %B}", fontsize=10)
        axis.set_aspect("equal")
        axis.set_axis_off()
    figure.legend(handles=legend(), ncols=5, fontsize=8, loc="lower center", frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1), pad=0.3)
    save(figure, path)


def draw_evidence(lights: Sequence[Row], rests_on: Sequence[Sequence[Row]], path: Path) -> None:
    """What some lights rest on: clear looks, and the markers that count, each from its first day to its last.

    Args:
        lights: rows of `markers.traffic_light`.
        rests_on: rows of `markers.evidence` for each of these.
        path: of the picture.
    """
    figure, axes = plt.subplots(len(lights), 1, figsize=(9, 2.1 * len(lights)), sharex=True, squeeze=False)
    for axis, light, rows in zip(axes[:, 0], lights, rests_on, strict=True):
        looks = sorted((row["date_main"], row["value_1"]) for row in rows if row["marker"] == "look")
        axis.plot(*zip(*looks, strict=True), color="#1f2a37", marker="o", markersize=4, linewidth=1)
        for row in rows:
            if row["marker"] != "look":
                look = {"color": COLOURS[light["colour"]], "alpha": 0.5, "hatch": HATCHES.get(light["colour"])}
                axis.axvspan(row["date_start"], row["date_end"], **look)
        axis.axvline(light["due"], color="black", linewidth=1, linestyle="--")
        axis.set(ylim=(0, 1), ylabel="NDVI")
        axis.set_title(f"{light['pid']}: {light['colour']}, {light['reason']}", loc="left", fontsize=9)
        axis.xaxis.set_major_formatter(mpl.dates.DateFormatter("%-d %b"))
    figure.tight_layout()
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a picture with few colours, and so a small file."""
    figure.savefig(path, dpi=100)
    plt.close(figure)
    with Image.open(path) as picture:
        few = picture.convert("RGB").quantize(128, Image.Quantize.MAXCOVERAGE)
    few.save(path, optimize=True)


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
    save(figure, path)


if __name__ == "__main__":
    main()
