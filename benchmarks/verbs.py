"""What the verbs of one parcel ask of the lake: lakes and logs opened, questions, and milliseconds, without `lake=`.

    python -m benchmarks.verbs [WORKSPACE]

The workspace is one that `cbm-lake demo` made; without it one is made. Each verb is called once to warm it up and then
as often as --times says; questions are those of one warm call, milliseconds the median of all.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

DAYS = {"start_date": "2024-05-01", "end_date": "2024-06-30"}


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("workspace", nargs="?")
    arguments.add_argument("--times", type=int, default=5)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = options.workspace or scratch
        if not options.workspace:
            from cbm_lake.demo import run

            run(Path(scratch), workers=0, console=Console(quiet=True))
        for name, verb in _verbs(Path(scratch) / "out").items():
            print(f"{name:<24} {_measured(verb, options.times)}", flush=True)


def _verbs(folder: Path) -> dict[str, Callable[[], object]]:
    import cbm_lake as cbm

    pid = cbm.open_lake().sql("select min(pid) as pid from parcels where aoi = 'demo'")["pid"][0].as_py()
    key = ("demo", 2024, pid)
    return {
        "get.parcel_info": lambda: cbm.get.parcel_info.by_pid(*key),
        "get.time_series": lambda: cbm.get.time_series.by_pid(*key),
        "show.time_series.ndvi": lambda: cbm.show.time_series.ndvi(*key),
        "show.calendar": lambda: cbm.show.calendar.by_pid(*key, **DAYS),
        "report.parcel": lambda: cbm.report.parcel(*key, formats=("html",), folder=folder),
        "markers.smoothed": lambda: cbm.markers.smoothed("demo", 2024, pids=[pid]),
    }


def _measured(verb: Callable[[], object], times: int) -> str:
    from questions import counted

    verb()
    with counted() as count:
        verb()
    spent = []
    for _ in range(times):
        start = time.perf_counter()
        verb()
        spent.append(1000 * (time.perf_counter() - start))
    asked = f"{count.lakes} lakes, {count.logs} logs, {count.questions:3} questions"
    return f"{asked}, {statistics.median(spent):6.0f} ms"


if __name__ == "__main__":
    main()
