"""The traffic lights of a season day by day: do reds turn, how soon after the due date are they said, are they true?

    python -m benchmarks.replay [--seeds 2024] [--swiss FOLDER] [--herault FOLDER] [--step 1]

--swiss is the folder CH_poly of simonopravil/gee-mowing-detection, --herault a folder with safe/ (cropped Sentinel-2
products) and parcels.parquet (pid parcel_id, crop EC_hcat_n). Every day from March to the end of the year is judged as
if the lake had nothing later; what is judged is read once. Who truly breaks the rule is known of the sample by its
generator, and of the Swiss plots by what cameras and people observed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import pandas as pd
import pyarrow as pa

from benchmarks import replay_truth
from benchmarks.markers_truth import AOI, SWISS_YEARS, YEAR, a_swiss_lake
from benchmarks.replay_truth import GRAZED, PARTLY, WHOLLY, Broken
from cbm_lake import card2db, extract, markers, parcels
from cbm_lake.demo import sample
from cbm_lake.lake import Lake, open_lake
from cbm_lake.markers.court import court_of
from cbm_lake.markers.parameters import EPOCH, read

HERAULT = ("fr34", 2018)
SOON = 20
"""Days after the due date within which a red is said soon."""
ENDS = ("green", "yellow", "not yet due", "cannot be seen")
KEY = ["pid", "scenario"]


@dataclass(frozen=True)
class Season:
    """A lake whose season is replayed."""

    name: str
    lake: Lake
    aoi: str
    year: int
    scenarios: Sequence[str] | None = None
    broken: Broken = field(default_factory=dict)
    """Who truly breaks the rule of each scenario of which that is known."""


def main() -> None:
    """Print the tables."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--step", type=int, default=1, help="days from one judgement to the next")
    arguments.add_argument("--seeds", type=int, nargs="*", default=[2024], help="of generated samples")
    arguments.add_argument("--swiss", type=Path, help="the folder CH_poly")
    arguments.add_argument("--herault", type=Path, help="the folder with safe and parcels.parquet")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        histories = [replay(season, options.step) for season in seasons(Path(scratch), options)]
    for table in (turned_table, soon_table, true_table, false_table):
        print(table(histories) + "\n")


def seasons(folder: Path, options: argparse.Namespace) -> Iterator[Season]:
    """The seasons that are replayed, with their markers."""
    for seed in options.seeds:
        yield a_sample(folder / str(seed), seed)
    if options.herault:
        yield a_herault(folder / "herault", options.herault)
    if options.swiss:
        yield from swiss(folder / "swiss", options.swiss)


def swiss(folder: Path, files: Path) -> Iterator[Season]:
    """Both years of the Swiss plots, with what was observed."""
    lake, happened, _ = a_swiss_lake(folder, files)
    plots = pd.concat(pd.read_csv(path).head(1) for path in sorted(files.glob("*.csv"))).rename(
        columns={"plotID": "pid"}
    )
    plots["grazed"] = plots.nGrazing.fillna(0) > 0
    for year in SWISS_YEARS:
        markers.find(AOI, year, lake=lake)
        observed = happened[happened.year == year]
        observed = observed.assign(pid=observed.pid.str.partition("/")[0])
        broken = replay_truth.of_meadows(plots[plots.year == year], observed, year)
        yield Season(f"Swiss plots {year}", lake, AOI, year, ["grassland is mown"], broken)


def a_sample(folder: Path, seed: int) -> Season:
    """A generated place with Sentinel-2 and coherence."""
    written = sample.write(folder / "sample", seed=seed)
    lake = open_lake(str(folder / "lake"))
    parcels.load(written.parcels, AOI, YEAR, pid="parcel_id", crop_name="crop_name", crop_code="crop_code", lake=lake)
    for card in ("s2", "c6"):
        card2db.items(written.items[card], card=card, lake=lake)
        extract.run(extract.plan(card, "2024-03-01", "2024-10-31", aoi=AOI, year=YEAR, lake=lake), workers=0)
    markers.find(AOI, YEAR, lake=lake)
    broken = replay_truth.of_sample(pd.read_parquet(written.events), pd.read_parquet(written.kinds))
    return Season(f"sample {seed}", lake, AOI, YEAR, None, broken)


def a_herault(folder: Path, files: Path) -> Season:
    """Real products and parcels of which nothing is known."""
    lake, (aoi, year) = open_lake(str(folder)), HERAULT
    card2db.safe(files / "safe", lake=lake)
    parcels.load(str(files / "parcels.parquet"), aoi, year, pid="parcel_id", crop_name="EC_hcat_n", lake=lake)
    extract.s2(f"{year}-01-01", f"{year}-12-31", aoi=aoi, year=year, bands=["B04", "B08"], workers=0, lake=lake)
    markers.find(aoi, year, lake=lake)
    return Season("Hérault 2018", lake, aoi, year)


@dataclass(frozen=True)
class History:
    """What was said of the parcels of a season day by day."""

    season: Season
    lights: pd.DataFrame
    """The lights as of each day: day, pid, scenario, colour, due."""
    looks: pd.DataFrame
    """Clear looks: pid, day."""

    @cached_property
    def summary(self) -> pd.DataFrame:
        """A row per light: pid, scenario, its last colour, how its rule is broken, and when it was first red.

        late is the number of days from the due date to the first red, soon_seen the number of clear looks in the first
        days after the due date.
        """
        lights = self.lights.assign(said=self.lights.day.where(self.lights.colour == "red"))
        rows = lights.groupby(KEY).agg(colour=("colour", "last"), said=("said", "first"), due=("due", "last"))
        rows = rows.reset_index()
        rows["late"] = (pd.to_datetime(rows.said) - pd.to_datetime(rows.due)).dt.days
        rows["broken"] = [self._broken(pid, scenario) for pid, scenario in zip(rows.pid, rows.scenario, strict=True)]
        looks = rows.reset_index()[["index", "pid", "due"]].merge(self.looks, on="pid")
        after = (pd.to_datetime(looks.day) - pd.to_datetime(looks.due)).dt.days.between(0, SOON)
        return rows.assign(soon_seen=looks[after].groupby("index").size().reindex(rows.index, fill_value=0))

    def _broken(self, pid: str, scenario: str) -> str:
        known = self.season.broken.get(scenario)
        return "unknown" if known is None else known.get(pid, "no")


def replay(season: Season, step: int = 1) -> History:
    """Judge every day; what is judged is read once, and no verdict uses what is later than its day."""
    parameters, last = read(), date(season.year, 12, 31)
    names = season.scenarios or [name for name, one in parameters.scenarios.items() if not one.example]
    parcels = season.lake.parcel_set(season.aoi, season.year)
    court = court_of(season.lake, parcels, parameters, names, None, last)
    parts = []
    for number in reversed(range(306 // step + 1)):
        day = last - timedelta(days=step * number)
        asked = replace(court, day=(day - EPOCH).days)
        rows = pa.concat_tables([asked.colours(name).select([*KEY, "colour", "due"]) for name in names])
        parts.append(rows.to_pandas().assign(day=day))
    seen = court.case.history
    looks = pd.DataFrame(
        {"pid": seen.pids.to_numpy(False)[seen.looks.owner], "day": pd.to_datetime(seen.looks.day, unit="D")}
    )
    return History(season, pd.concat(parts).sort_values([*KEY, "day"]), looks)


def turns(lights: pd.DataFrame) -> Counter[str]:
    """What reds turned into, from one day to a later one."""
    after = lights.groupby(KEY).colour.shift(-1)
    return Counter(after[(lights.colour == "red") & after.notna() & (after != "red")])


def turned_table(histories: list[History]) -> str:
    """How many reds turned."""
    lines = ["| season | days | lights | red at the end | red → " + " | red → ".join(ENDS) + " |", "|---" * 8 + "|"]
    for history in histories:
        lights, turned = history.lights, turns(history.lights)
        final = history.summary.colour
        numbers = [lights.day.nunique(), len(final), (final == "red").sum(), *(turned[end] for end in ENDS)]
        lines.append(f"| {history.season.name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def soon_table(histories: list[History]) -> str:
    """How soon after the due date reds are said, true or not."""
    lines = [
        f"| season | scenario | red | said before the due date | within {SOON} days | later | soon |",
        "|---" * 7 + "|",
    ]
    total: Counter[str] = Counter()
    for history in histories:
        red = history.summary[history.summary.late.notna()]
        for scenario, rows in red.groupby("scenario"):
            early, soon = int((rows.late < 0).sum()), int(rows.late.between(0, SOON).sum())
            total.update(all=len(rows), soon=early + soon)
            numbers = [len(rows), early, soon, len(rows) - early - soon, _share(early + soon, len(rows))]
            lines.append(f"| {history.season.name} | {scenario} | {' | '.join(map(str, numbers))} |")
    lines.append(f"| all | | {total['all']} | | | | {_share(total['soon'], total['all'])} |")
    return "\n".join(lines)


def true_table(histories: list[History]) -> str:
    """What is said of the parcels that break the rule of a scenario, not on a part only, and how soon.

    Later ones that had no second clear look in the days after the due date could not be settled then.
    """
    names = ["yellow", "cannot be seen", "green"]
    lines = [
        f"| season | scenario | its rule is broken | parcels | red within {SOON} days | later | unseen till then | "
        + " | ".join(names)
        + " | soon, of the red |",
        "|---" * (len(names) + 8) + "|",
    ]
    total: Counter[str] = Counter()
    for history in histories:
        rows = history.summary[history.summary.broken.isin([WHOLLY, GRAZED])]
        for (scenario, broken), some in rows.groupby(["scenario", "broken"]):
            soon, red, late = int((some.late <= SOON).sum()), int(some.late.notna().sum()), some.late > SOON
            unseen = int((late & (some.soon_seen < 2)).sum())
            total.update(all=len(some), soon=soon, red=red, unseen=unseen)
            others = [int((some.colour == name).sum()) for name in names]
            numbers = [len(some), soon, red - soon, unseen, *others, _share(soon, red)]
            lines.append(f"| {history.season.name} | {scenario} | {broken} | {' | '.join(map(str, numbers))} |")
    numbers = [total["all"], total["soon"], total["red"] - total["soon"], total["unseen"], "", "", ""]
    lines.append(f"| all | | | {' | '.join(map(str, numbers))} | {_share(total['soon'], total['red'])} |")
    return "\n".join(lines)


def false_table(histories: list[History]) -> str:
    """The last colours of parcels that break the rule on a part only, and of those that comply."""
    names = ["red", "yellow", "green", "cannot be seen"]
    lines = ["| season | scenario | its rule is | " + " | ".join(names) + " |", "|---" * (len(names) + 3) + "|"]
    for history in histories:
        for scenario, some in history.summary.groupby("scenario"):
            for broken, told in ((PARTLY, "broken on a part"), ("no", "followed")):
                counts = Counter(some.colour[some.broken == broken])
                if counts:
                    numbers = " | ".join(str(counts[name]) for name in names)
                    lines.append(f"| {history.season.name} | {scenario} | {told} | {numbers} |")
    return "\n".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"


if __name__ == "__main__":
    main()
