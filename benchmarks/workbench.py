"""The workbench in a real browser: from the key to everything drawn, and a step from date to date.

    CBM_LAKE_HOME=demo python -m benchmarks.workbench [--steps 30] [--parcels 100000]

The page of the workspace is opened in Chromium and walked through by keyboard. A parcel counts as drawn when all parts
say that they show it, so that a decision could be recorded, and every picture of the map is decoded; the band of peers
and the small images of the year may come later. Between two keys nobody looks, unless the line says so: then
the next parcel is read ahead. Timed is what the browser itself sees, from the key to the frame. With
--parcels a lake of so many parcels and 73 dates is made first; it has no scene files, so of its map there are the
parcels alone. The line "calibration" says how busy the machine was.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks import season
from cbm_lake.config import Workspace
from cbm_lake.lake import open_lake

SERVER = """
from cbm_lake.ipycbm import website
website.serve("127.0.0.1", 0, accounts=None, opened=lambda url: print(url, flush=True))
"""
STEP = """async (key) => {
  const bar = document.querySelector(".cbm-bar");
  const number = bar.dataset.number, start = performance.now();
  document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const frame = () => new Promise(requestAnimationFrame);
  while (bar.dataset.number === number || !bar.dataset.pid) {
    if (performance.now() - start > 60000) return null;
    await frame();
  }
  const images = [...document.querySelectorAll(".cbm-cell-map img")];
  await Promise.allSettled(images.map((image) => image.decode()));
  await frame();
  return performance.now() - start;
}"""
"""From a key to the next picture on which can be decided, in milliseconds; null where it does not come."""


def main() -> None:
    """Print the figures."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--steps", type=int, default=30)
    arguments.add_argument("--parcels", type=int, help="of a lake that is made first; without it the workspace's")
    arguments.add_argument("--chromium", default="/usr/bin/chromium")
    options = arguments.parse_args()
    calibrate()
    if options.parcels is None:
        walk(options)
        return
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CBM_LAKE_HOME"] = scratch
        Workspace.here().create()
        size = season.Season(options.parcels)
        lake = open_lake()
        for _ in season.fill(lake, size):
            pass
        lake.compact()
        walk(options)


def calibrate() -> None:
    """Say how busy the machine is."""
    times = []
    for _ in range(20):
        start = time.perf_counter()
        sum(range(200_000))
        times.append(1000 * (time.perf_counter() - start))
    show("calibration", times, "2.4 ms when nobody else is busy")


def walk(options: argparse.Namespace) -> None:
    """Walk through parcels and dates, and print how long each took."""
    from playwright.sync_api import sync_playwright

    with served() as (url, process), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=options.chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        start = time.perf_counter()
        page.goto(url, timeout=180_000)
        page.locator(".cbm-bar[data-pid]:not([data-pid=''])").wait_for(timeout=180_000)
        print(f"{'opening the page':<40}{time.perf_counter() - start:9.1f} s")
        show("parcel to parcel, everything drawn", walked(page, "ArrowDown", options.steps))
        show("after a look of a second", walked(page, "ArrowDown", options.steps // 3, looked=1000))
        show("back again", walked(page, "ArrowUp", options.steps))
        show("date to date, the first time", walked(page, "ArrowLeft", options.steps // 3))
        show("date to date, again", walked(page, "ArrowRight", options.steps // 3))
        print(f"{'memory of the process':<40}{peak(process):9.0f} MB")
        browser.close()


def walked(page: Any, key: str, steps: int, looked: float = 0) -> list[float]:
    """Milliseconds of so many steps by a key, each after a person has looked so many milliseconds."""
    times = []
    for _ in range(steps):
        page.wait_for_timeout(looked)
        times.append(page.evaluate(STEP, key))
    return [each for each in times if each is not None]


@contextmanager
def served() -> Iterator[tuple[str, psutil.Process]]:
    """The page of the workspace, in a process of its own."""
    with (Path(tempfile.gettempdir()) / "workbench.log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def peak(server: psutil.Process) -> float:
    """Megabytes that the process of the page has needed at most."""
    peaks = []
    for child in server.children(recursive=True):
        status = Path(f"/proc/{child.pid}/status").read_text("utf-8")
        peaks += [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks, default=0.0)


def show(what: str, times: list[float], note: str = "") -> None:
    """One line: p50, p95 and the greatest."""
    if not times:
        print(f"{what:<40}   none came")
        return
    middle, high = np.percentile(times, [50, 95])
    print(f"{what:<40}{middle:9.1f} ms p50{high:9.1f} ms p95{max(times):9.1f} ms max   n={len(times)}  {note}")


if __name__ == "__main__":
    main()
