"""What it costs that everything is on the disk before it is reported: extraction with and without syncs, in turn.

    python -m benchmarks.durability [--parcels 10000] [--scenes 4] [--pairs 3] [--folder .]

Scenes are copies of one full tile (8 bands and the classification, COG); each run is a lake of its own in the folder
given, which should be on the kind of disk in question. The last line is what was spent waiting for the disk.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from unittest import mock

from benchmarks.extraction import S2_BANDS, make_scene
from benchmarks.scaling import filled, serial
from cbm_lake import zonal


class Waits:
    """How often and how long the disk was waited for."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note every sync."""
        real = os.fsync

        def fsync(handle: int) -> None:
            began = time.perf_counter()
            real(handle)
            with self._lock:
                self.count += 1
                self.seconds += time.perf_counter() - began

        with mock.patch.object(os, "fsync", fsync):
            yield


def main() -> None:
    """Print the ratios."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=10_000)
    arguments.add_argument("--scenes", type=int, default=4)
    arguments.add_argument("--pairs", type=int, default=3)
    arguments.add_argument("--folder", default=".")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name).resolve()
        assets = make_scene(folder, S2_BANDS)
        zonal.warm_up()
        serial(filled(folder, options.parcels, 1, assets))  # files are in the cache of the system from here on
        for cube in (False, True):
            ratios, waits, synced = [], Waits(), 0.0
            for _ in range(options.pairs):
                with mock.patch.object(os, "fsync", return_value=None):
                    bare, _ = serial(filled(folder, options.parcels, options.scenes, assets), cube=cube)
                lake = filled(folder, options.parcels, options.scenes, assets)
                with waits.noted():
                    wall, _ = serial(lake, cube=cube)
                synced += wall
                ratios.append(wall / bare)
            print(
                f"cube={cube}: with syncs {median(ratios):.3f} of without ({min(ratios):.3f} to {max(ratios):.3f}); "
                f"{waits.count / options.pairs / options.scenes:.0f} syncs a scene, "
                f"{waits.seconds / synced:.2%} of the time",
                flush=True,
            )


if __name__ == "__main__":
    main()
