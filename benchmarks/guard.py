"""How often the offset guard is wrong: faults planted into made-up and real seasons, and seasons without any.

    python -m benchmarks.guard [--seasons 20] [--swiss FOLDER]

--swiss is the folder CH_poly of simonopravil/gee-mowing-detection: the bands of 70 real meadows on 164 and 149 dates
of two years, with its cloud mask. All that a day saw is taken for one scene. Faults are put into six dates with ten
clear meadows.

A season has 24 dates, half of them partly clouded, some with haze or snow that no mask names, over parcels whose crops
green and are harvested at their own times. In each, one scene (or two neighbours) is put wrong in each way. Missed: a
planted fault that is not found; false alarm: another scene that is marked.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely

from cbm_lake import guard
from cbm_lake.lake import Lake, schemas

SOIL = {
    "B02": 900,
    "B03": 1200,
    "B04": 1500,
    "B05": 1700,
    "B06": 1900,
    "B07": 2000,
    "B08": 2100,
    "B8A": 2200,
    "B11": 2900,
    "B12": 2400,
}
PLANT = {
    "B02": 300,
    "B03": 600,
    "B04": 350,
    "B05": 900,
    "B06": 3000,
    "B07": 3900,
    "B08": 4200,
    "B8A": 4300,
    "B11": 1900,
    "B12": 1000,
}
HAZE = {
    "B02": 900,
    "B03": 750,
    "B04": 650,
    "B05": 600,
    "B06": 450,
    "B07": 400,
    "B08": 350,
    "B8A": 300,
    "B11": 120,
    "B12": 80,
}
SETS = {"all": tuple(SOIL), "10 m": ("B02", "B03", "B04", "B08"), "20 m": ("B05", "B06", "B07", "B8A", "B11", "B12")}
MEADOWS = {
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "re1": "B05",
    "re2": "B06",
    "re3": "B07",
    "nir": "B08",
    "swir1": "B11",
    "swir2": "B12",
}
"""Columns of the meadows' files."""
START = datetime(2024, 3, 2, 10, 40, tzinfo=UTC)
DATES = 24


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seasons", type=int, default=20)
    parser.add_argument("--swiss", type=Path)
    given = parser.parse_args()
    if given.swiss:
        swiss(given.swiss)
        return
    seasons = given.seasons
    heads = ("parcels", "planted", "bands", "seasons", "missed", "undecided", "false alarms")
    print("{:>8} {:>10} {:>6} {:>8} {:>8} {:>10} {:>15}".format(*heads))
    for parcels in (12, 50, 500):
        for shift in (0, 1000, -1000):
            for name in SETS if shift else ("-",):
                count(parcels, shift, name, seasons)


def count(parcels: int, shift: int, name: str, seasons: int) -> None:
    """One line: a number of parcels, a fault, the bands that have it."""
    missed = undecided = alarms = looked = 0
    start = time.perf_counter()
    for seed in range(seasons):
        rng = np.random.default_rng((seed, parcels, shift + 2000))
        wrong = sorted(rng.choice(DATES, rng.integers(1, 3), replace=False).tolist()) if shift else []
        with tempfile.TemporaryDirectory() as folder:
            os.environ["CBM_LAKE_HOME"] = folder
            lake = fill(Lake(folder), parcels, rng, dict.fromkeys(wrong, shift), SETS.get(name, ()))
            found = guard.scenes("ms", 2024, mark=False, lake=lake).to_pylist()
        verdicts = {row["scene"]: row["verdict"] for row in found}
        planted = [verdicts.get(scene(number), "undecided") for number in wrong]
        missed += planted.count("ok")
        undecided += planted.count("undecided")
        others = [verdict for name_, verdict in verdicts.items() if name_ not in map(scene, wrong)]
        alarms += others.count("suspect")
        looked += len(others)
    told = f"{parcels:8} {shift:+10} {name:>6} {seasons:8} {missed:8} {undecided:10} {alarms:6} of {looked:5}"
    print(f"{told}   {(time.perf_counter() - start) / seasons:.1f} s a season")


def swiss(folder: Path) -> None:
    """A line for each fault in each real year."""
    print("{:>5} {:>8} {:>6} {:>10} {:>14}".format("year", "planted", "bands", "found", "false alarms"))
    for year in (2020, 2021):
        days = read(folder, year)
        seen = days[days["mask"] == 1].groupby("Date").plotID.nunique()
        can = seen[seen >= 10].index
        for shift, name in [(0, "-"), *((shift, name) for shift in (1000, -1000) for name in SETS)]:
            rng = np.random.default_rng(year)
            wrong = dict.fromkeys(rng.choice(can, 6, replace=False), shift) if shift else {}
            with tempfile.TemporaryDirectory() as place:
                os.environ["CBM_LAKE_HOME"] = place
                lake = meadows(Lake(place), days, year, wrong, SETS.get(name, ()))
                verdicts = guard.scenes("ms", year, mark=False, lake=lake).to_pylist()
            told = {row["scene"] for row in verdicts if row["verdict"] == "suspect"}
            looked = sum(row["verdict"] != "undecided" for row in verdicts) - len(wrong)
            found, alarms = len(told & wrong.keys()), len(told - wrong.keys())
            print(f"{year:5} {shift:+8} {name:>6} {found:4} of {len(wrong):2} {alarms:4} of {looked:5}")


def read(folder: Path, year: int) -> pd.DataFrame:
    """What was seen of the meadows in a year: a row per meadow and day."""
    every = pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv"))])
    some = every[(every.year == year) & (every.red > 0) & (every.nir > 0)]
    return some.drop_duplicates(["plotID", "Date"]).sort_values(["Date", "plotID"])


def meadows(lake: Lake, days: pd.DataFrame, year: int, wrong: dict[str, int], bands: Sequence[str]) -> Lake:
    """A season over the meadows, a scene for each day, named by it, some put wrong by so many DN in some bands."""
    lake.add_parcels("ms", year, "", "v1", _parcels(sorted(days.plotID.unique())))
    lake.prepare("s2")
    for number, (day, rows) in enumerate(days.groupby("Date")):
        count, clear = len(rows), rows["mask"].to_numpy() == 1
        columns: dict[str, Any] = {"pid": rows.plotID.tolist()}
        for column, band in MEADOWS.items():
            off = wrong.get(day, 0) if band in bands else 0
            columns |= {f"{band}_count": np.full(count, 100), f"{band}_mean": 10_000 * rows[column].to_numpy() + off}
        columns |= {"scl_4": np.where(clear, 100, 0), "scl_9": np.where(clear, 0, 100)}
        columns |= {f"scl_{value}": np.zeros(count, int) for value in range(12) if value not in (4, 9)}
        _write(lake, number, datetime.fromisoformat(day).replace(tzinfo=UTC), columns, name=day)
    return lake


def scene(number: int) -> str:
    """The name of a scene."""
    return f"S{number:02}"


def fill(lake: Lake, parcels: int, rng: np.random.Generator, wrong: dict[int, int], bands: Sequence[str]) -> Lake:
    """A season over parcels, with scenes put wrong by so many DN in some bands."""
    pids = [f"{number:06}" for number in range(parcels)]
    lake.add_parcels("ms", 2024, "", "v1", _parcels(pids))
    lake.prepare("s2")
    peak, level = rng.normal(75, 30, parcels), rng.normal(1, 0.15, parcels)
    for number in range(DATES):
        obstime = START + timedelta(days=10 * number + int(rng.integers(0, 3)))
        green = np.exp(-((((obstime - START).days - peak) / 45) ** 2))
        rows = _rows(pids, number, obstime, green, level, rng)
        for band in bands if number in wrong else ():
            for key in ("mean", "min", "max", "p25", "p50", "p75"):
                rows[f"{band}_{key}"] = rows[f"{band}_{key}"] + wrong[number]
        _write(lake, number, obstime, rows)
    return lake


def _parcels(pids: list[str]) -> pa.Table:
    count = len(pids)
    x = 500_000 + 200.0 * np.arange(count)
    box = {"xmin": x, "ymin": np.full(count, 5e6), "xmax": x + 150, "ymax": np.full(count, 5e6 + 150)}
    crop = pa.repeat("crop", count)
    return pa.table(
        {
            "id": pids,
            "geometry": pa.array(shapely.to_wkb(shapely.box(*box.values())), pa.binary()),
            "bbox": pa.StructArray.from_arrays([pa.array(side) for side in box.values()], list(box)),
            "area": np.full(count, 2.25),
            "crop:code": crop,
            "crop:name": crop,
            "epsg": pa.repeat(pa.scalar(32631, pa.int32()), count),
            "centroid_lon": np.full(count, 3.0),
            "centroid_lat": np.full(count, 45.0),
        }
    ).cast(schemas.PARCELS)


def _rows(pids: list[str], number: int, obstime: datetime, green: Any, level: Any, rng: np.random.Generator) -> Any:
    """The signatures of a date: ground, then what is in the air."""
    count = len(pids)
    share = rng.choice([0, 0, 0.3, 0.8])
    clouded = rng.random(count) < share
    air = rng.choice(["clear", "clear", "clear", "haze", "snow"], p=[0.3, 0.3, 0.2, 0.15, 0.05])
    haze = rng.uniform(0.3, 1.6) if air == "haze" else 0.0
    columns: dict[str, Any] = {"pid": pids}
    for band, soil in SOIL.items():
        mean = (soil + (PLANT[band] - soil) * green) * level + haze * HAZE[band] + rng.normal(0, 60, count)
        if air == "snow":
            mean = np.where(rng.random(count) < 0.8, 7000 if band not in ("B11", "B12") else 800, mean)
        mean = np.where(clouded, 6000 + rng.normal(0, 800, count), mean)
        columns |= {f"{band}_count": np.full(count, 200), f"{band}_mean": mean, f"{band}_std": np.full(count, 90.0)}
        spread = {"min": -250, "max": 300, "p25": -60, "p50": 0, "p75": 60}
        columns |= {f"{band}_{key}": mean + by for key, by in spread.items()}
    columns |= {
        f"scl_{value}": np.where(clouded, 200 if value == 9 else 0, 200 if value == 4 else 0) for value in range(12)
    }
    return columns


def _write(lake: Lake, number: int, obstime: datetime, columns: Any, name: str | None = None) -> None:
    name, count = name or scene(number), len(columns["pid"])
    known = {
        "aoi": "ms",
        "year": obstime.year,
        "ptype": "",
        "scene": name,
        "obstime": obstime,
        "reference": name,
        "rule": "centre",
        "extraction": number + 1,
    }
    arrays = [
        pa.array(columns[field.name]).cast(field.type)
        if field.name in columns
        else pa.repeat(pa.scalar(known.get(field.name), field.type), count)
        for field in schemas.signatures("s2")
    ]
    lake.write_signatures("s2", pa.table(arrays, schema=schemas.signatures("s2")), number + 1)
    key = {"card": "s2", "scene": name, "aoi": "ms", "year": obstime.year, "ptype": "", "parcels": "v1"}
    done = {"base": None, "bands": list(SOIL), "rule": "centre", "cube": False, "status": "done", "problem": None}
    moments = {"started": obstime, "finished": obstime, "version": "1"}
    lake.record({**key, **done, **moments, "extraction": number + 1, "rows": count})


if __name__ == "__main__":
    main()
