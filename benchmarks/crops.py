"""How well wrong declarations are found, whether the promised errors hold, and what a check of many parcels costs.

    python -m benchmarks.crops lpis FILE [--draws 20] [--fewest 10]
    python -m benchmarks.crops cost [--parcels 100000] [--crops 40]

FILE is a GeoParquet of dekads of declared parcels as WorldCereal publishes them: rows of a parcel and a date, medians
of bands (DN/10000, 65535 is missing), VV and VH as 10^((dB + 83) / 20), and the declared crop as `ewoc_code`. In 5 %
of the parcels another code that occurs is planted, drawn by its frequency; blocks are dealt anew for each draw.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "crops"))

import made_up
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj

from cbm_lake.crops import Season, Settings, judge
from cbm_lake.crops.evidence import gather
from cbm_lake.crops.features import features
from cbm_lake.crops.folds import folds_of, training
from cbm_lake.crops.verdicts import verdicts

ALPHAS = (0.01, 0.05, 0.1)
MISSING = 65_535


def main() -> None:
    """Print the tables of docs/crops.md."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = arguments.add_subparsers(required=True, dest="command")
    lpis = commands.add_parser("lpis")
    lpis.add_argument("file")
    lpis.add_argument("--draws", type=int, default=20)
    lpis.add_argument("--fewest", type=int, default=1, help="parcels of a crop that counts")
    cost = commands.add_parser("cost")
    cost.add_argument("--parcels", type=int, default=100_000)
    cost.add_argument("--crops", type=int, default=40)
    options = arguments.parse_args()
    if options.command == "lpis":
        measure(read(options.file), options.draws, options.fewest)
    else:
        spend(options.parcels, options.crops)


def read(file: str) -> Season:
    """The season of such a file."""
    rows = pq.read_table(file).to_pandas().drop_duplicates(["sample_id", "timestamp"])
    rows = rows.sort_values(["sample_id", "timestamp"])
    table = {}
    for column in rows.columns[rows.columns.str.match("S1-|S2-|AGERA5-")]:
        wide = rows.pivot_table(index="sample_id", columns="timestamp", values=column).astype("float32")
        values = wide.where(wide != MISSING).to_numpy()
        if np.isfinite(values).any():
            table[column.split("-")[-1]] = 20 * np.log10(values) - 83 if column.startswith("S1") else values / 1e4
    first = rows.groupby("sample_id").first()
    x, y = pyproj.Transformer.from_crs(4326, 3035, always_xy=True).transform(first["lon"], first["lat"])
    return Season(
        pids=pa.array(first.index.tolist()),
        x=np.asarray(x),
        y=np.asarray(y),
        area_m2=np.full(len(first), np.nan),
        codes=first["ewoc_code"].astype(str).to_numpy(object),
        days=wide.columns.to_numpy("datetime64[D]").astype(np.int64),
        values=table,
        static={name: first[name].to_numpy("float32") for name in ("elevation", "slope")},
    )


def measure(season: Season, draws: int, fewest: int) -> None:
    """Ranking and promise over draws of planted declarations and of blocks, beside a plain random forest."""
    count = pd.Series(season.codes).map(pd.Series(season.codes).value_counts()).to_numpy()
    season = season.at(np.flatnonzero(count >= fewest))
    season = season.at(np.argsort(np.array(season.pids.to_pylist(), object)))
    found, promised = [], []
    for draw in range(draws):
        codes, planted = made_up.plant(season.codes, 0.05, draw)
        one = replace(season, codes=codes)
        evidence = gather(one, Settings(seed=draw))
        score = evidence.scores[np.arange(len(codes)), evidence.crop]
        right = np.array(evidence.crops)[evidence.predicted.together.argmax(axis=1)] == season.codes
        group_of = evidence.cells.group_of
        moved = np.array([group_of.get(a) != group_of[b] for a, b in zip(season.codes, codes, strict=True)])
        found.append(
            [right[~planted].mean(), *found_in(score, planted), *found_in(score, moved), *forest(one, planted, draw)]
        )
        promised.append([counts(evidence, alpha, promise, planted) for alpha in ALPHAS for promise in PROMISES])
    print(f"{len(season.pids)} parcels, {len(set(season.codes))} crops, {draws} draws: mean ± standard deviation")
    for name, mean, spread in zip(FOUND, np.mean(found, axis=0), np.std(found, axis=0), strict=True):
        print(f"  {name:45} {mean:.3f} ± {spread:.3f}")
    for number, (alpha, promise) in enumerate((alpha, promise) for alpha in ALPHAS for promise in PROMISES):
        print(f"  {alpha:4} {promise:12} {promise_line(np.sum([one[number] for one in promised], axis=0), draws)}")


PROMISES = ("parcels", "accusations")
FOUND = (
    "accuracy",
    "planted, first 5 %",
    "planted, first 10 %",
    "planted of another group, first 5 %",
    "planted of another group, first 10 %",
    "plain random forest: accuracy",
    "plain random forest: planted, first 5 %",
    "plain random forest: planted, first 10 %",
)


def found_in(score: np.ndarray, planted: np.ndarray) -> list[float]:
    """Which share of the planted declarations is in the first 5 and 10 % of the list."""
    order = np.argsort(score, kind="stable")
    return [planted[order[: round(share * len(score))]].sum() / max(planted.sum(), 1) for share in (0.05, 0.1)]


def forest(season: Season, planted: np.ndarray, seed: int, models: int | None = None) -> list[float]:
    """Accuracy and ranking of a plain random forest by the same folds: by the probability of the declared crop."""
    from sklearn.ensemble import RandomForestClassifier

    names, crop = np.unique(season.codes.astype(str), return_inverse=True)
    matrix, folds = features(season).matrix, folds_of(season.x, season.y, Settings(seed=seed))
    probability = np.zeros((len(crop), len(names)))
    for number in range(models or folds.count):
        rows = training(folds, number, season.x, season.y, 0)
        model = RandomForestClassifier(200, random_state=seed, n_jobs=-1).fit(matrix[rows], crop[rows])
        probability[np.ix_(~rows, model.classes_)] = model.predict_proba(matrix[~rows])
    right = (probability.argmax(axis=1) == crop)[~planted]
    return [right.mean(), *found_in(probability[np.arange(len(crop)), crop], planted)]


def counts(evidence: object, alpha: float, promise: str, planted: np.ndarray) -> list[float]:
    """Accused, wrongly accused, correct declarations, confirmed of the planted, planted, undecided, parcels."""
    verdict, _ = verdicts(evidence, Settings(alpha=alpha, promise=promise))  # type: ignore[arg-type]
    accused = verdict == "disagrees"
    confirmed = (verdict == "agrees") & planted
    undecided = verdict == "cannot say"
    return [part.sum() for part in (accused, accused & ~planted, ~planted, confirmed, planted, undecided)] + [
        len(planted)
    ]


def promise_line(total: np.ndarray, draws: int) -> str:
    """One line of the table of promises."""
    accused, wrongly, correct, confirmed, planted, undecided, parcels = total
    parts = (
        f"accused {accused / draws:6.1f}, of these wrongly {wrongly / max(accused, 1):.3f}",
        f"of the correct accused {wrongly / correct:.4f}",
        f"of the planted confirmed {confirmed / planted:.3f}",
        f"undecided {undecided / parcels:.3f}",
    )
    return "; ".join(parts)


def spend(parcels: int, crops: int) -> None:
    """Seconds and memory of a check of made-up parcels, beside a plain random forest of one fold."""
    season = made_up.season(parcels, crops, noise=0.3, quantities=12, extent_m=400_000)
    codes, planted = made_up.plant(season.codes, 0.05, 0)
    season = replace(season, codes=codes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start, processor = time.perf_counter(), time.process_time()
    judged = judge(season)
    wall, processor = time.perf_counter() - start, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    accused = judged.verdict == "disagrees"
    print(f"{parcels} parcels, {crops} crops: {wall:.0f} s, {processor:.0f} s of processors")
    print(f"  {peak:.2f} GB at most, {before:.2f} GB of these the season")
    print(f"  verdicts {judged.figures['verdicts']}, accuracy {judged.figures['accuracy']}")
    print(f"  of the planted accused {accused[planted].mean():.3f}, wrongly {(~planted)[accused].mean():.4f}")
    start = time.process_time()
    forest(season, planted, 0, models=1)
    print(f"  the first of five plain random forests, of all parcels elsewhere: {time.process_time() - start:.0f} s")


if __name__ == "__main__":
    main()
