"""What the REST service bears: requests a second at 16 connections, the slowest waits, and what memory it takes.

    python -m benchmarks.server [--parcels 100000] [--requests 5000] [--soak 50000] [--lake FOLDER]

The service is `cbm-lake serve` as an administrator starts it, in a process of its own, on loopback; whoever asks is
another process, which shares the same cores. Each kind of question is asked for parcels and places that are new.
The bare limit in the same run is a question that only logs in (an unknown name: no lake is read). With --lake, a lake
that benchmarks.lookup kept is served. The line "calibration" says how busy the machine was.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from benchmarks import season
from cbm_lake.lake import Lake
from cbm_lake.server.accounts import Accounts

CONNECTIONS = 16
WHO = ("ada", "correct horse battery")
AREA = f"aoi={season.AOI}&year={season.YEAR}"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=5_000)
    parser.add_argument("--soak", type=int, default=50_000)
    parser.add_argument("--lake", help="a lake of --parcels parcels that was filled and compacted before")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        size = season.Season(wanted.parcels)
        url = wanted.lake or f"{scratch}/lake"
        if not wanted.lake:
            lake = Lake(url)
            for _ in season.fill(lake, size):
                pass
            lake.compact()
        Accounts(Path(scratch, "config", "users.json")).add(*WHO, aois=(season.AOI,))
        with served(Path(scratch), url) as (port, server):
            measure(port, server, size, wanted.requests, wanted.soak)


@contextmanager
def served(home: Path, url: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port of the service, and its process."""
    port = 8765
    command = [sys.executable, "-m", "cbm_lake.cli", "serve", "--port", str(port)]
    with (home / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, env={**os.environ, "CBM_LAKE_LAKE__URL": url})
    try:
        for _ in range(300):
            try:
                ask(port, [f"/query/parcelByID?{AREA}&pid=none"])
                break
            except ConnectionRefusedError:
                time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(30)


def measure(port: int, server: subprocess.Popen[bytes], size: season.Season, count: int, soak: int) -> None:
    """One line per question, then memory over many."""
    start = time.perf_counter()
    for _ in range(20):
        sum(range(200_000))
    print(f"calibration {1000 * (time.perf_counter() - start) / 20:.1f} ms (2.4 when nobody else is busy)")
    questions = kinds(size)
    aims = {"parcelTimeSeries": "150/s, p99 100 ms", "parcelByLocation": "300/s"}
    for name, question in questions.items():
        load(port, [question(number) for number in range(50)])  # parcels come to memory with the first question
        seconds, waits = load(port, [question(number) for number in range(50, 50 + count)])
        p50, p99 = 1000 * np.percentile(waits, (50, 99))
        told = f"{count / seconds:7.0f}/s   p50 {p50:5.1f} ms   p99 {p99:6.1f} ms   memory {memory(server):5.0f} MB"
        print(f"{name:20} {told}   {'(aim: ' + aims[name] + ')' if name in aims else ''}")
    mixed = [list(questions.values())[n % len(questions)](100_000 + n) for n in range(soak)]
    for tenth in np.array_split(np.arange(soak), 10):
        load(port, [mixed[n] for n in tenth])
        print(f"memory after {tenth[-1] + 1:6} mixed questions: {memory(server):5.0f} MB")


def kinds(size: season.Season) -> dict[str, Callable[[int], str]]:
    """The path of question number n of each kind."""
    rng = np.random.default_rng(3)
    numbers = rng.permutation(size.parcels)
    back = Transformer.from_crs(32631, 4326, always_xy=True)

    def parcel(n: int) -> int:
        return int(numbers[n % size.parcels])

    def place(n: int) -> str:
        number = parcel(n)
        lon, lat = back.transform(400_010 + number % 1000 * 300.0, 4_700_010 + number // 1000 * 300.0)
        return f"lon={lon:.6f}&lat={lat:.6f}"

    return {
        "login only": lambda _: "/query/nothing",
        "parcelByID": lambda n: f"/query/parcelByID?{AREA}&pid={size.pid(parcel(n))}",
        "parcelByLocation": lambda n: f"/query/parcelByLocation?{AREA}&{place(n)}",
        "parcelTimeSeries": lambda n: f"/query/parcelTimeSeries?{AREA}&pid={size.pid(parcel(n))}&tstype=s2",
    }


def load(port: int, paths: list[str]) -> tuple[float, np.ndarray[Any, Any]]:
    """Seconds that all took, and each one's, asked by 16 connections of another process."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_load, (port, paths))


def _load(port: int, paths: list[str]) -> tuple[float, np.ndarray[Any, Any]]:
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        start = time.perf_counter()
        waits = list(threads.map(lambda part: ask(port, part), [paths[n::CONNECTIONS] for n in range(CONNECTIONS)]))
        return time.perf_counter() - start, np.concatenate(waits)


def ask(port: int, paths: list[str]) -> list[float]:
    """Ask one after the other by one connection; seconds of each."""
    header = {"Authorization": "Basic " + base64.b64encode(":".join(WHO).encode()).decode()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    waits = []
    for path in paths:
        start = time.perf_counter()
        connection.request("GET", path, headers=header)
        answer = connection.getresponse()
        answer.read()
        waits.append(time.perf_counter() - start)
        assert answer.status in (200, 404), (path, answer.status)
    connection.close()
    return waits


def memory(process: subprocess.Popen[bytes]) -> float:
    """Megabytes that a process holds now."""
    told = Path(f"/proc/{process.pid}/status").read_text()
    return int(told.split("VmRSS:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
