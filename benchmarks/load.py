"""What two REST services on one workspace bear while everything else goes on: errors, waits, memory.

    python -m benchmarks.load [--minutes 10] [--connections 64] [--workspace FOLDER]

Two `cbm-lake serve` share a workspace with the generated sample, or a copy of the one that is given. All
connections, half of them to each service, ask mixed questions without a pause; beside them commands extract again,
compact, vacuum, load parcels and back up, one after the other, for as long. An account is made and deleted by commands
meanwhile, and both services must know of it at once. An answer of another status than 200 is an error, but for 429 with
Retry-After, which is counted by itself; so is a command that fails, and a file that is no whole GeoTIFF.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import psutil
import requests

from cbm_lake.lake import Lake

WHO = ("ada", "correct horse battery")
GUEST = ("eve", "another long password")
CLI = [sys.executable, "-m", "cbm_lake.cli"]
AREA = {"aoi": "demo", "year": "2024"}
DAYS = {"start_date": "2024-04-01", "end_date": "2024-05-31"}
YEAR = ("--start", "2024-03-01", "--end", "2024-10-31", "--aoi", "demo", "--year", "2024")
HEAVY = ("rawChip", "sql")
BESIDE = (
    ("extract", "s2", *YEAR, "--workers", "0", "--again"),
    ("compact",),
    ("parcels", "load", "{parcels}", "--aoi", "other", "--year", "2024", "--pid", "parcel_id", *("--ptype", "{turn}")),
    ("backup", "{copy}"),
    ("vacuum", "--days", "1"),
    ("extract", "bs", *YEAR, "--workers", "0", "--again"),
)


@dataclass
class Found:
    """What a run found."""

    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of each answer, by the kind of question."""
    again: int = 0
    """Questions asked once more because a service had closed a connection that was idle."""
    busy: int = 0
    """Answers 429, which say when to ask again."""
    errors: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    """Commands that ended well, by their first word."""
    memory: list[tuple[float, list[float]]] = field(default_factory=list)
    """Seconds since the start, and the megabytes of each service with its children."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--workspace", type=Path, help="a workspace that `cbm-lake demo` made")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch, "home")
        if wanted.workspace:
            shutil.copytree(wanted.workspace, home)
        else:
            command(home, "demo", str(home))
        found = run(home, 60 * wanted.minutes, wanted.connections)
    told(found)
    sys.exit(1 if found.errors else 0)


def run(home: Path, seconds: float, connections: int, beside: Sequence[Sequence[str]] = BESIDE) -> Found:
    """Load two services on a workspace for so long."""
    found, stop = Found(), threading.Event()
    command(home, "user", "add", WHO[0], "--password", WHO[1], "--aoi", "demo")
    with ExitStack() as stack:
        services = [stack.enter_context(served(home)) for _ in range(2)]
        ports = [port for port, _ in services]
        questions = kinds(home)
        for port in ports:
            warm(port, questions)
        pool = stack.enter_context(ThreadPoolExecutor(connections + 3))
        work = [pool.submit(Asker(ports[n % 2], questions, found).run, stop, n) for n in range(connections)]
        work += [pool.submit(commands, home, beside, found, stop), pool.submit(accounts, home, ports, found, stop)]
        watch(services, found, seconds)
        stop.set()
        for part in work:
            part.result()
        found.memory.append((seconds, [memory(process) for _, process in services]))
    return found


def told(found: Found) -> None:
    """Print what was found."""
    for kind, waits in sorted(found.waits.items()):
        p50, p99 = 1000 * np.percentile(waits, (50, 99))
        print(f"{kind:20} {len(waits):7} answers   p50 {p50:7.1f} ms   p99 {p99:7.1f} ms")
    for moment, megabytes in found.memory:
        print(f"memory after {moment:5.0f} s: {' and '.join(f'{size:.0f}' for size in megabytes)} MB")
    print(f"commands beside: {dict(found.commands)}; answers 429: {found.busy}; asked again: {found.again}")
    print(f"errors: {sum(found.errors.values())}")
    for error, count in found.errors.most_common(20):
        print(f"  {count} times: {error}")


# -- processes ------------------------------------------------------------------------------------------------------


def command(home: Path, *words: str) -> str:
    """Run a command of cbm-lake in the workspace; what it printed, or a RuntimeError."""
    done = subprocess.run(
        [*CLI, *words], env={**os.environ, "CBM_LAKE_HOME": str(home)}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"cbm-lake {' '.join(words[:2])} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


@contextmanager
def served(home: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The port of a service, and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (home / f"service-{port}.log").open("wb") as log:
        environment = {**os.environ, "CBM_LAKE_HOME": str(home)}
        process = subprocess.Popen([*CLI, "serve", "--port", str(port), "--sql"], stderr=log, env=environment)
    try:
        for _ in range(1200):
            try:
                requests.get(f"http://127.0.0.1:{port}/query/info", auth=WHO, timeout=30)
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        yield port, process
    finally:
        process.terminate()
        process.wait(60)


def memory(process: subprocess.Popen[bytes]) -> float:
    """Megabytes that a process and its children have now."""
    own = psutil.Process(process.pid)
    total = 0
    for part in (own, *own.children(recursive=True)):
        try:
            total += part.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def watch(services: Sequence[tuple[int, subprocess.Popen[bytes]]], found: Found, seconds: float) -> None:
    """Look at the memory now and then until the time is over."""
    start = time.monotonic()
    while (passed := time.monotonic() - start) < seconds:
        found.memory.append((passed, [memory(process) for _, process in services]))
        time.sleep(min(seconds / 10, seconds - passed))


# -- questions --------------------------------------------------------------------------------------------------------


Question = tuple[str, str, bytes | None]
"""Method, path and body."""


def kinds(home: Path) -> dict[str, Callable[[int], Question]]:
    """Question number n of each kind."""
    found = Lake(str(home / "data" / "lake")).sql(
        "select pid, centroid_lon as lon, centroid_lat as lat from parcels where aoi = 'demo'"
    )
    parcels = found.to_pylist()

    def parcel(n: int) -> dict[str, str]:
        return {**AREA, "pid": parcels[n % len(parcels)]["pid"]}

    def place(n: int) -> dict[str, Any]:
        return {name: parcels[n % len(parcels)][name] for name in ("lon", "lat")}

    def query(name: str, **what: Any) -> Question:
        return "GET", f"/query/{name}?{urlencode(what)}", None

    def sql(n: int) -> Question:
        text = f"select count(*) as n, avg(B08_mean) as nir from s2 where pid <> '{parcel(n)['pid']}'"
        return "POST", "/v1/sql", json.dumps({"statement": text}).encode()

    return {
        "parcelByID": lambda n: query("parcelByID", **parcel(n), withGeometry="True"),
        "parcelByLocation": lambda n: query("parcelByLocation", **AREA, **place(n)),
        "parcelTimeSeries": lambda n: query("parcelTimeSeries", **parcel(n), tstype=("s2", "bs")[n % 2]),
        "parcelPeers": lambda n: query("parcelPeers", **parcel(n)),
        "info": lambda _: query("info"),
        "rawChip": lambda n: query("rawChipByLocation", **place(n % 20), **DAYS, band="B08", chipsize=320),
        "sql": sql,
    }


def warm(port: int, questions: dict[str, Callable[[int], Question]]) -> None:
    """Ask each question once, so that parcels are in memory."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    for question in questions.values():
        asked(connection, question(0))


class Asker:
    """One connection that asks question after question, and is opened anew when it was lost."""

    def __init__(self, port: int, questions: dict[str, Callable[[int], Question]], found: Found) -> None:
        self._port, self._questions, self._found = port, questions, found
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._used = False

    def run(self, stop: threading.Event, first: int) -> None:
        """Ask until it is enough."""
        for n in itertools.count(first):
            if stop.is_set():
                break
            stop.wait(self.ask(self._name(n), n * 31))
        self._connection.close()

    def _name(self, n: int) -> str:
        names = list(self._questions)
        name = names[n % len(names)]
        return "parcelTimeSeries" if name in HEAVY and n % 5 else name  # of heavy ones there are fewer

    def ask(self, name: str, n: int) -> float:
        """Ask one question; for how many seconds the service asks to wait."""
        start = time.perf_counter()
        try:
            status, headers, content = asked(self._connection, self._questions[name](n))
        except (OSError, http.client.HTTPException) as error:
            self._lost(name, error)
            return 0
        self._used = True
        if status == 429 and headers.get("Retry-After"):
            self._found.busy += 1
            return float(headers["Retry-After"])
        if status != 200:
            self._found.errors[f"{name}: {status} {content[:150]!r}"] += 1
            return 0
        self._found.waits[name].append(time.perf_counter() - start)
        if name == "rawChip":
            fetch(self._port, content, self._found)
        return 0

    def _lost(self, name: str, error: Exception) -> None:
        """A connection that was used may be closed by the service at any moment; a new one may not."""
        self._connection.close()
        if self._used and isinstance(error, ConnectionError):
            self._found.again += 1
        else:
            self._found.errors[f"{name}: {type(error).__name__} {error}"] += 1
        self._used = False


def asked(connection: http.client.HTTPConnection, question: Question) -> tuple[int, Any, bytes]:
    """Status, headers and content of an answer."""
    method, path, body = question
    headers = {"Authorization": "Basic " + b64encode(":".join(WHO).encode()).decode(), "Accept": "application/json"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, body=body, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read()


def fetch(port: int, content: bytes, found: Found) -> None:
    """Fetch a chip that a service has listed; it must be a whole GeoTIFF."""
    links = json.loads(content).get("chips", [])
    if not links:
        found.errors["rawChip: no chips"] += 1
        return
    answer = requests.get(f"http://127.0.0.1:{port}{links[0]}", timeout=120)
    whole = answer.ok and answer.content[:4] in (b"II*\0", b"MM\0*", b"II+\0")
    if not whole or len(answer.content) != int(answer.headers["Content-Length"]):
        found.errors[f"chip: {answer.status_code} of {len(answer.content)} bytes"] += 1


# -- beside -----------------------------------------------------------------------------------------------------------


def commands(home: Path, beside: Sequence[Sequence[str]], found: Found, stop: threading.Event) -> None:
    """Run commands one after the other."""
    sample = next(iter(home.rglob("parcels.gpkg")), None)
    given = {"parcels": str(sample), "copy": str(home.parent / "copy")}
    for turn, words in enumerate(itertools.cycle(beside)):
        if stop.is_set():
            return
        try:
            command(home, *(word.format(turn=f"t{turn % 3}", **given) for word in words))
            found.commands[words[0]] += 1
        except RuntimeError as error:
            found.errors[str(error)] += 1


def accounts(home: Path, ports: Sequence[int], found: Found, stop: threading.Event) -> None:
    """Make and delete an account by commands; both services must know it at once."""
    turns = itertools.cycle(
        [(("add", GUEST[0], "--password", GUEST[1], "--aoi", "demo"), 200), (("remove", GUEST[0]), 401)]
    )
    while not stop.is_set():
        words, expected = next(turns)
        try:
            command(home, "user", *words)
        except RuntimeError as error:
            found.errors[str(error)] += 1
        for port in ports:
            status = requests.get(f"http://127.0.0.1:{port}/query/info", auth=GUEST, timeout=120).status_code
            if status not in (expected, 429):
                found.errors[f"account {words[0]}: {status} in place of {expected}"] += 1
        stop.wait(5)


if __name__ == "__main__":
    main()
