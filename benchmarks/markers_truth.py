"""How truly events are found: on the generated sample, and on meadows whose mowing was observed.

    python -m benchmarks.markers_truth [--seeds 2024 1 2] [--swiss FOLDER] [--salms FOLDER] [--choose]

--swiss is the folder CH_poly of simonopravil/gee-mowing-detection, --salms scripts/SALMS/inst/extdata of ec-jrc/cbm;
docs/markers.md tells more. The Swiss plots are split in two halves, every second one by name, both years of a plot on
the same side: parameters may be chosen on half A (--choose prints what each value gives there), half B says how good
they are. On the meadows of SALMS nothing was chosen.

An event is found when its date_main lies within the tolerance of one that happened; each counts once, nearest first.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely

from cbm_lake import card2db, cards, extract, markers, parcels
from cbm_lake.demo import sample
from cbm_lake.lake import Lake, open_lake, schemas

AOI, YEAR = "truth", 2024
SWISS_YEARS = (2020, 2021)
SALMS_YEAR = 2020
TOLERANCES = (6, 12, 20)
HEAD = "happened | found | F1 ±6 | F1 ±12 | F1 ±20 | precision ±12 | recall ±12 | mean days off |"
OF_SAMPLE = {"mowing": ["mowing", "mulching"], "harvest": ["harvest"], "ploughing": ["ploughing"], "sowing": ["sowing"]}
"""What was done in the sample, by the marker that should find it."""
CANDIDATES: dict[str, dict[str, list[Any]]] = {
    "spike": {"depth": [0.05, 0.08, 0.12], "regain": [0.5, 0.75, 0.9], "days": [0, 6, 11]},
    "mowing": {
        "drop": [0.08, 0.1, 0.11, 0.12, 0.15, 0.2],
        "high": [0.4, 0.5, 0.6, 0.7],
        "window": [10, 15, 25, 40],
        "regain": [0.1, 0.25, 0.4, 0.5],
        "regrowth": [25, 30, 45, 60],
        "confidence": [0.0, 0.5, 0.55],
        "apart": [15, 20, 25, 30],
    },
}


def main() -> None:
    """Print the figures as Markdown tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, nargs="*", default=[2024, 1, 2])
    arguments.add_argument("--swiss", type=Path, help="the folder CH_poly")
    arguments.add_argument("--salms", type=Path, help="the folder inst/extdata of SALMS")
    arguments.add_argument("--choose", action="store_true", help="what other parameters give on half A")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if options.swiss:
            lake, happened, half = a_swiss_lake(Path(scratch) / "swiss", options.swiss)
            print(swiss_table(lake, happened, half))
            print(calibration(swiss_mowing(lake, None), happened))
            print(lights_table(lake, happened))
            if options.choose:
                print(choices(lake, happened, half))
        if options.salms:
            print(salms_table(Path(scratch) / "salms", options.salms))
        parts = [of_sample(Path(scratch) / str(seed), seed) for seed in options.seeds]
    if parts:
        print(sample_table(parts))
        print(kinds_table(parts))


# -- the generated sample ----------------------------------------------------------------------------------------------


Part = dict[str, tuple[pd.DataFrame, pd.DataFrame]]


def of_sample(folder: Path, seed: int) -> Part:
    """What was found and what happened (pid, date, …) on one invented place, with and without coherence.

    Under "kinds" what was found with what every parcel truly is.
    """
    written = sample.write(folder / "sample", seed=seed)
    lake = open_lake(str(folder / "lake"))
    parcels.load(written.parcels, AOI, YEAR, pid="parcel_id", crop_name="crop_name", crop_code="crop_code", lake=lake)
    work = pd.read_parquet(written.events)
    found = {}
    for card in ("s2", "c6"):
        card2db.items(written.items[card], card=card, lake=lake)
        plan = extract.plan(card, "2024-03-01", "2024-10-31", aoi=AOI, year=YEAR, lake=lake)
        extract.run(plan, workers=0)
        events = markers.find(AOI, YEAR, lake=lake).to_pandas()
        seen = set(events.loc[events.observable, "pid"])
        found[card] = (events[events.pid.isin(seen)], work[work.pid.isin(seen)])
    found["kinds"] = (found["c6"][0], pd.read_parquet(written.kinds))
    return found


def kinds_table(parts: list[Part]) -> str:
    """How well parcels of another crop, and of two crops, stand out."""
    joined = pd.concat([found.merge(kinds, on="pid") for found, kinds in (part["kinds"] for part in parts)])
    lines = [
        "| parcels that are not as declared | marker | parcels | flagged | precision | recall |",
        "|---|---|---|---|---|---|",
    ]
    for marker, kind, told, true in (
        ("similarity", "outlier", "of another crop, whole", ["wrong_crop"]),
        ("similarity", "outlier", "of another or of two crops", ["wrong_crop", "split", "mixed"]),
        ("homogeneity", "uneven", "of two crops", ["split", "mixed"]),
    ):
        rows = joined[joined.marker == marker]
        flagged, happened = rows.marker_type == kind, rows.kind.isin(true)
        both = (flagged & happened).sum()
        numbers = f"{happened.sum()} | {flagged.sum()} | {both / flagged.sum():.2f} | {both / happened.sum():.2f}"
        lines.append(f"| {told} | {marker} | {numbers} |")
    wrong = joined[(joined.marker == "similarity") & (joined.kind == "wrong_crop")]
    lines.append(f"\nThe nearest crop is the true one for {(wrong.practice == wrong.crop).mean():.0%} of the first.")
    return "\n".join(lines)


def sample_table(parts: list[Part]) -> str:
    """Scores by marker, all places together; every parcel that was seen counts, whatever grows there."""
    lines = [f"| event | seen by | {HEAD}", "|---" * (HEAD.count("|") + 2) + "|"]
    for marker, events in OF_SAMPLE.items():
        for card, told in (("s2", "NDVI"), ("c6", "NDVI and coherence")):
            found = pd.concat([part[card][0].assign(place=n) for n, part in enumerate(parts)])
            happened = pd.concat([part[card][1].assign(place=n) for n, part in enumerate(parts)])
            found = found[found.marker == marker]
            happened = happened[happened.event.isin(events)]
            for frame in (found, happened):
                frame["pid"] = frame.place.astype(str) + "/" + frame.pid
            lines.append(f"| {marker} | {told} | {row(found, happened)} |")
    return "\n".join(lines)


# -- Swiss meadows -----------------------------------------------------------------------------------------------------


def a_swiss_lake(folder: Path, csv: Path) -> tuple[Lake, pd.DataFrame, dict[str, str]]:
    """A lake of the series as signatures, the mowing that was observed (pid, year, date), and each plot's half."""
    lake = open_lake(str(folder))
    tables = [pd.read_csv(path) for path in sorted(csv.glob("*.csv"))]
    series = pd.concat(tables).rename(columns={"plotID": "pid"})
    names = sorted(series.pid.unique())
    for year in SWISS_YEARS:
        _fill(lake, year, series[series.year == year])
    dates = series.melt(["pid", "year"], [name for name in series if name.startswith("Mow_")], value_name="date")
    happened = dates.dropna().drop_duplicates(["pid", "year", "date"])
    happened = happened.assign(date=pd.to_datetime(happened.date).dt.date)
    return lake, keyed(happened), {name: "AB"[number % 2] for number, name in enumerate(names)}


def _fill(lake: Lake, year: int, series: pd.DataFrame) -> None:
    """One parcel set, and all its series as what a single extraction wrote."""
    plots = series.drop_duplicates("pid").sort_values("pid")
    _declare(lake, year, plots.pid.to_numpy(), shapely.from_geojson(plots[".geo"].to_numpy()))
    series = series[(series.red > 0) & (series.nir > 0)]
    clear = series["mask"].to_numpy() == 1
    known = {
        "pid": series.pid,
        "scene": series["system:index"],
        "obstime": pd.to_datetime(series["system:time_start"], unit="ms", utc=True),
        "B04_mean": 10_000 * series.red,
        "B08_mean": 10_000 * series.nir,
        "B04_count": [100] * len(series),
        "B08_count": [100] * len(series),
        **{f"scl_{value}": np.zeros(len(series), int) for value in cards.CLASSES},
        "scl_4": 25 * clear,
        "scl_9": 25 * ~clear,
    }
    _write(lake, "s2", year, pd.DataFrame(known).sort_values(["pid", "obstime"]))


def _declare(lake: Lake, year: int, pids: Any, shapes: Any) -> None:
    """The plots as parcels of meadow."""
    west, south, east, north = shapely.bounds(shapes).T
    count = len(pids)
    rows = {
        "id": pids,
        "geometry": shapely.to_wkb(shapes),
        "bbox": pa.StructArray.from_arrays([west, south, east, north], ["xmin", "ymin", "xmax", "ymax"]),
        "area": np.ones(count),
        "crop:code": ["meadow"] * count,
        "crop:name": ["meadow"] * count,
        "epsg": np.full(count, 4326),
        "centroid_lon": (west + east) / 2,
        "centroid_lat": (south + north) / 2,
    }
    lake.add_parcels(AOI, year, "", "observed", pa.table(rows).cast(schemas.PARCELS))


def _write(lake: Lake, card: str, year: int, rows: pd.DataFrame) -> None:
    """Signatures of a card as what a single extraction wrote."""
    key = {"card": card, "scene": f"all of {year}", "aoi": AOI, "year": year, "ptype": "", "parcels": "observed"}
    same = {**key, "reference": "", "rule": "centre", "extraction": 10 * year + (card == "c6")}
    arrays = [
        pa.array(rows[field.name], field.type)
        if field.name in rows
        else pa.repeat(pa.scalar(same.get(field.name), field.type), len(rows))
        for field in schemas.signatures(card)
    ]
    lake.prepare(card)
    lake.write_signatures(card, pa.table(arrays, schema=schemas.signatures(card)), same["extraction"])
    now = datetime.now(UTC)
    done = {"base": None, "bands": [], "rule": "centre", "cube": False, "status": "done", "problem": None}
    done |= {"boa_offset": 0, "rows": len(rows), "started": now, "finished": now, "version": "benchmark"}
    lake.record({**key, **done, "extraction": same["extraction"]})


def swiss_table(lake: Lake, happened: pd.DataFrame, half: dict[str, str]) -> str:
    """Scores of mowing by half."""
    found = swiss_mowing(lake, None)
    lines = [f"| plots | {HEAD}", "|---" * (HEAD.count("|") + 1) + "|"]
    for name, told in (("A", "half A (parameters chosen)"), ("B", "half B")):
        lines.append(f"| {told} | {row(of_half(found, half, name), of_half(happened, half, name))} |")
    mown = found[found.pid.isin(happened.pid)]
    for name in "AB":
        chosen = of_half(mown, half, name), of_half(happened, half, name)
        lines.append(f"| half {name}, only plots and years with mowing | {row(*chosen)} |")
    return "\n".join(lines)


def of_half(events: pd.DataFrame, half: dict[str, str], name: str) -> pd.DataFrame:
    """The events on the plots of one half."""
    return events[events.pid.str.partition("/")[0].map(half) == name]


def lights_table(lake: Lake, happened: pd.DataFrame) -> str:
    """The colours of grassland that was mown and of grassland on which no mowing was observed."""
    parts = []
    for year in SWISS_YEARS:
        lights = markers.traffic_light(AOI, year, scenarios=["grassland is mown"], lake=lake).to_pandas()
        parts.append(keyed(lights.assign(year=year)))
    lights = pd.concat(parts)
    counts = pd.crosstab(lights.pid.isin(happened.pid), lights.colour)
    lines = ["| plots and years | " + " | ".join(counts.columns) + " |", "|---" * (len(counts.columns) + 1) + "|"]
    for mown, told in ((True, "mown"), (False, "no mowing observed")):
        lines.append(f"| {told} | " + " | ".join(map(str, counts.loc[mown])) + " |")
    return "\n".join(lines)


def swiss_mowing(lake: Lake, parameters: Mapping[str, Any] | None) -> pd.DataFrame:
    """What is found on all plots in both years; pid tells the year too."""
    parts = [markers.find(AOI, year, parameters=parameters, lake=lake).to_pandas() for year in SWISS_YEARS]
    found = pd.concat(parts)
    return keyed(found[found.marker == "mowing"])


def keyed(events: pd.DataFrame) -> pd.DataFrame:
    """The events with the year in the pid."""
    return events.assign(pid=events.pid + "/" + events.year.astype(str))


def choices(lake: Lake, happened: pd.DataFrame, half: dict[str, str]) -> str:
    """F1 within 12 days on half A of each candidate, all other parameters as they are."""
    happened = of_half(happened, half, "A")
    lines = ["| parameter | F1 ±12 on half A by value |", "|---|---|"]
    for group, names in CANDIDATES.items():
        for name, values in names.items():
            told = []
            for value in values:
                found = of_half(swiss_mowing(lake, {group: {name: value}}), half, "A")
                told.append(f"{value}: {f1(found, happened, 12)[0]:.3f}")
            lines.append(f"| {group}.{name} | {', '.join(told)} |")
    return "\n".join(lines)


def calibration(found: pd.DataFrame, happened: pd.DataFrame) -> str:
    """How often what was found with some confidence had happened, within 12 days."""
    lines = ["| confidence | found | happened |", "|---|---|---|"]
    for low, high in ((0, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 1.01)):
        some = found[(found.confidence >= low) & (found.confidence < high)]
        lines.append(f"| {low:.1f} to {min(high, 1):.1f} | {len(some)} | {f1(some, happened, 12)[1]:.2f} |")
    return "\n".join(lines)


# -- meadows of the SALMS package --------------------------------------------------------------------------------------


def salms_table(folder: Path, files: Path) -> str:
    """Scores of mowing on ten meadows with real coherence, which no parameter was chosen on."""
    lake = open_lake(str(folder))
    events = pd.read_csv(files / "gtdir" / "FOIinfo.csv")
    pids = sorted(events.ID.astype(str).unique())
    _declare(lake, SALMS_YEAR, pids, shapely.box(np.arange(len(pids)), 0, np.arange(len(pids)) + 1, 1))
    _write(lake, "s2", SALMS_YEAR, pd.concat([_optical(files, pid) for pid in pids]))
    dates = pd.to_datetime(events.Event_date, format="%d/%m/%Y").dt.date
    happened = keyed(pd.DataFrame({"pid": events.ID.astype(str), "date": dates, "year": SALMS_YEAR}))
    lines = [f"| seen by | {HEAD}", "|---" * (HEAD.count("|") + 1) + "|"]
    for name in ("NDVI", "NDVI and coherence"):
        if name != "NDVI":
            _write(lake, "c6", SALMS_YEAR, pd.concat([_coherence(files, pid) for pid in pids]))
        found = markers.find(AOI, SALMS_YEAR, lake=lake).to_pandas()
        lines.append(f"| {name} | {row(keyed(found[found.marker == 'mowing']), happened)} |")
    return "\n".join(lines)


def _optical(files: Path, pid: str) -> pd.DataFrame:
    """Signatures of a meadow; the histogram is of scene classes."""
    series = pd.read_csv(files / "tsdir" / f"{pid}_s2_ts.csv").set_index(["date", "band"]).sort_index()
    red, nir = (series.xs(band, level="band") for band in ("B04", "B08"))
    known = {
        "pid": pid,
        "scene": red.index,
        "obstime": pd.to_datetime(red.index, utc=True),
        "B04_mean": 10_000 * red.MEAN,
        "B08_mean": 10_000 * nir.MEAN,
        "B04_count": red["count"],
        "B08_count": nir["count"],
        "B04_std": 10_000 * red["STD.DEV"],
        "B08_std": 10_000 * nir["STD.DEV"],
        **{f"scl_{value}": red[f"hist.{value}"] for value in cards.CLASSES},
    }
    return pd.DataFrame(known)


def _coherence(files: Path, pid: str) -> pd.DataFrame:
    """Signatures of a meadow from six-day coherence."""
    series = pd.read_csv(files / "tsdir" / f"{pid}_s1_coh6_ts.csv").set_index(["date", "band"]).sort_index()
    bands = {band: series.xs(f"s1_coh6_{band}", level="band") for band in ("VV", "VH")}
    known = {"pid": pid, "scene": bands["VV"].index, "obstime": pd.to_datetime(bands["VV"].index, utc=True)}
    for band, rows in bands.items():
        known |= {f"{band}_mean": rows.MEAN, f"{band}_count": rows["count"]}
    return pd.DataFrame(known)


# -- scores ------------------------------------------------------------------------------------------------------------


def row(found: pd.DataFrame, happened: pd.DataFrame) -> str:
    """Counts, F1 by tolerance, precision and recall within 12 days, and how far off what was found is."""
    scores = [f"{f1(found, happened, days)[0]:.2f}" for days in TOLERANCES]
    _, precision, recall, off = f1(found, happened, 12)
    numbers = [str(len(happened)), str(len(found)), *scores, f"{precision:.2f}", f"{recall:.2f}", f"{off:.1f}"]
    return " | ".join(numbers)


def f1(found: pd.DataFrame, happened: pd.DataFrame, tolerance: int) -> tuple[float, float, float, float]:
    """F1, precision, recall, and the mean days between those that belong together."""
    off = list(matched(found, happened, tolerance))
    precision, recall = len(off) / max(len(found), 1), len(off) / max(len(happened), 1)
    score = 2 * precision * recall / max(precision + recall, 1e-9)
    return score, precision, recall, float(np.mean(off)) if off else float("nan")


def matched(found: pd.DataFrame, happened: pd.DataFrame, tolerance: int) -> Iterator[int]:
    """Days between each event found and the one that happened, the nearest first, each once."""
    pairs = found[["pid", "date_main"]].reset_index(drop=True).reset_index(names="one")
    pairs = pairs.merge(happened[["pid", "date"]].reset_index(drop=True).reset_index(names="two"), on="pid")
    pairs["off"] = (pd.to_datetime(pairs.date_main) - pd.to_datetime(pairs.date)).abs().dt.days
    taken: tuple[set[int], set[int]] = (set(), set())
    for pair in pairs[pairs.off <= tolerance].sort_values(["off", "one", "two"]).itertuples():
        if pair.one not in taken[0] and pair.two not in taken[1]:
            taken[0].add(pair.one)
            taken[1].add(pair.two)
            yield pair.off


if __name__ == "__main__":
    main()
