"""The traffic lights of a season day by day: do reds turn, and how soon after the due date are they said?

    python -m benchmarks.replay [--step 5] [--seeds 2024] [--swiss FOLDER] [--herault FOLDER]

--swiss is the folder CH_poly of simonopravil/gee-mowing-detection, --herault a folder with safe/ (cropped Sentinel-2
products) and parcels.parquet (pid parcel_id, crop EC_hcat_n). Each day of the season is judged as if the lake had
nothing later.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import numpy as np
import pandas as pd

from benchmarks.markers_truth import AOI, SWISS_YEARS, YEAR, a_swiss_lake
from cbm_lake import card2db, extract, markers, parcels
from cbm_lake.demo import sample
from cbm_lake.lake import Lake, open_lake

HERAULT = ("fr34", 2018)
SOON = 20
"""Days after the due date within which a red is said soon."""
ENDS = ("green", "yellow", "not yet due", "cannot be seen")
HERAULT_SCENARIOS = {
    "grassland is mown": {"crops": ["grass", "pasture", "meadow"]},
    "arable land is worked": {"crops": ["wheat", "cereal"]},
    "cover stays": {"crops": ["fallow"]},
}
"""Crops of EuroCrops' names that the scenarios are about."""


@dataclass(frozen=True)
class Season:
    """A lake whose season is replayed."""

    name: str
    lake: Lake
    aoi: str
    year: int
    scenarios: Sequence[str] | None = None
    mown: frozenset[str] | None = None
    """The parcels on which mowing was observed; None where nobody looked."""


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--step", type=int, default=5, help="days from one judgement to the next")
    arguments.add_argument("--seeds", type=int, nargs="*", default=[2024], help="of generated samples")
    arguments.add_argument("--swiss", type=Path, help="the folder CH_poly")
    arguments.add_argument("--herault", type=Path, help="the folder with safe and parcels.parquet")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        histories = [(season, replay(season, options.step)) for season in seasons(Path(scratch), options)]
    print(turned_table(histories))
    print()
    print(soon_table(histories))
    print()
    print(mown_table(histories))


def seasons(folder: Path, options: argparse.Namespace) -> Iterator[Season]:
    """The seasons that are replayed, with their markers."""
    for seed in options.seeds:
        yield a_sample(folder / str(seed), seed)
    if options.herault:
        yield a_herault(folder / "herault", options.herault)
    if options.swiss:
        lake, happened, _ = a_swiss_lake(folder / "swiss", options.swiss)
        for year in SWISS_YEARS:
            markers.find(AOI, year, lake=lake)
            own = happened[happened.year == year]
            mown = frozenset(own.pid.str.partition("/")[0])
            yield Season(f"Swiss plots {year}", lake, AOI, year, ["grassland is mown"], mown)


def a_sample(folder: Path, seed: int) -> Season:
    """A generated place with Sentinel-2 and coherence."""
    written = sample.write(folder / "sample", seed=seed)
    lake = open_lake(str(folder / "lake"))
    parcels.load(written.parcels, AOI, YEAR, pid="parcel_id", crop_name="crop_name", crop_code="crop_code", lake=lake)
    for card in ("s2", "c6"):
        card2db.items(written.items[card], card=card, lake=lake)
        extract.run(extract.plan(card, "2024-03-01", "2024-10-31", aoi=AOI, year=YEAR, lake=lake), workers=0)
    markers.find(AOI, YEAR, lake=lake)
    work = pd.read_parquet(written.events)
    return Season(f"sample {seed}", lake, AOI, YEAR, None, frozenset(work[work.event.isin(["mowing", "mulching"])].pid))


def a_herault(folder: Path, files: Path) -> Season:
    """Real products and parcels without observed mowing."""
    lake, (aoi, year) = open_lake(str(folder)), HERAULT
    card2db.safe(files / "safe", lake=lake)
    parcels.load(str(files / "parcels.parquet"), aoi, year, pid="parcel_id", crop_name="EC_hcat_n", lake=lake)
    extract.s2(f"{year}-01-01", f"{year}-12-31", aoi=aoi, year=year, bands=["B04", "B08"], workers=0, lake=lake)
    markers.find(aoi, year, lake=lake)
    return Season("Hérault 2018", lake, aoi, year)


def replay(season: Season, step: int) -> pd.DataFrame:
    """The lights as of each day: day, pid, scenario, colour, due."""
    last = date(season.year, 12, 31)
    days = [last - timedelta(days=step * number) for number in range(306 // step + 1)]
    parts = []
    for day in reversed(days):
        rows = markers.traffic_light(season.aoi, season.year, scenarios=season.scenarios, day=day, lake=season.lake)
        parts.append(rows.select(["pid", "scenario", "colour", "due"]).to_pandas().assign(day=day))
    return pd.concat(parts).sort_values(["pid", "scenario", "day"])


def turns(lights: pd.DataFrame) -> Counter[str]:
    """What reds turned into, from one day to a later one."""
    after = lights.groupby(["pid", "scenario"]).colour.shift(-1)
    return Counter(after[(lights.colour == "red") & after.notna() & (after != "red")])


def turned_table(histories: list[tuple[Season, pd.DataFrame]]) -> str:
    """How many reds turned."""
    lines = ["| season | days | lights | red at the end | red → " + " | red → ".join(ENDS) + " |", "|---" * 8 + "|"]
    for season, lights in histories:
        turned, final = turns(lights), lights.groupby(["pid", "scenario"]).colour.last()
        numbers = [lights.day.nunique(), len(final), (final == "red").sum(), *(turned[end] for end in ENDS)]
        lines.append(f"| {season.name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def soon_table(histories: list[tuple[Season, pd.DataFrame]]) -> str:
    """How soon after the due date reds are said."""
    lines = [
        f"| season | scenario | red | said before the due date | within {SOON} days | later | soon |",
        "|---" * 7 + "|",
    ]
    total: Counter[str] = Counter()
    for season, lights in histories:
        red = lights[lights.colour == "red"].groupby(["pid", "scenario"]).first().reset_index()
        red["late"] = (pd.to_datetime(red.day) - pd.to_datetime(red.due)).dt.days
        for scenario, rows in red.groupby("scenario"):
            early, soon = (rows.late < 0).sum(), rows.late.between(0, SOON).sum()
            total.update(all=len(rows), soon=early + soon)
            share = f"{(early + soon) / len(rows):.0%}"
            numbers = [len(rows), early, soon, len(rows) - early - soon, share]
            lines.append(f"| {season.name} | {scenario} | {' | '.join(map(str, numbers))} |")
    lines.append(f"| all | | {total['all']} | | | | {total['soon'] / max(total['all'], 1):.0%} |")
    return "\n".join(lines)


def mown_table(histories: list[tuple[Season, pd.DataFrame]]) -> str:
    """The last colours of grassland that was mown and of grassland on which no mowing was observed."""
    names = ["green", "yellow", "red", "cannot be seen", "not yet due"]
    lines = ["| season | mowing | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for season, lights in histories:
        if season.mown is None:
            continue
        final = lights[lights.scenario == "grassland is mown"].groupby("pid").colour.last()
        observed = np.isin(final.index, list(season.mown))
        for mown, label in ((True, "observed"), (False, "not observed")):
            counts = Counter(final[observed == mown])
            lines.append(f"| {season.name} | {label} | {' | '.join(str(counts[name]) for name in names)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
