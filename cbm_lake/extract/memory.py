"""Available memory of the machine and its control groups, and the estimated memory of a scene."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cbm_lake.extract.jobs import Job

_GROUPS: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")
_SCORE: Final = Path("/proc/self/oom_score_adj")
_FIRST: Final = "1000"
"""Of all processes these are the first that Linux ends when memory runs out."""
_BASE: Final = 1_000_000_000
"""Bytes that a process takes for a small scene, twice over."""
_TILES: Final = {False: 4, True: 10}
"""Arrays of a band's raster that are in memory at once; the decoder of JPEG 2000 has more of them."""
_VALUE: Final = 250
"""Bytes for each parcel and band: pixels, statistics, and the rows as they are written."""
_PER_INDEX: Final = 6
"""For an index of pixels so many times that: the pools of its bands stay until all of them are read."""


def free() -> int:
    """Available memory in bytes of this machine and of every control group of this process.

    Control groups v1 and v2 are supported; reclaimable page cache counts as available.
    """
    import psutil
    from distributed.system import MEMORY_LIMIT

    return max(0, min(int(psutil.virtual_memory().available), int(MEMORY_LIMIT), *_unused()))


def needed(job: Job, parcels: int) -> int:
    """Bytes that a scene may take, rather too many: 10 bands of a Sentinel-2 tile with half a million parcels 3.2 GB.

    Args:
        job: the scene.
        parcels: how many parcels its set has.
    """
    rasters = [(raster, raster.grid.shape[0] * raster.grid.shape[1] * 2) for raster in job.rasters.values()]
    tiles = max((_TILES[raster.href.endswith(".jp2")] * size for raster, size in rasters), default=0)
    return _BASE + tiles + _VALUE * parcels * (len(job.bands) + _PER_INDEX * len(job.indices))


def be_first() -> None:
    """Make this process the kernel's first choice to kill when memory runs out, where supported."""
    with suppress(OSError):
        _SCORE.write_text(_FIRST)


def _unused() -> Iterator[int]:
    """What each control group that limits memory has left."""
    for folder, limit, usage, inactive in _groups():
        with suppress(OSError, ValueError, StopIteration):
            most = int((folder / limit).read_text())  # "max", which is no number, is no limit
            lines = (folder / "memory.stat").read_text().splitlines()
            cached = next(int(line.split()[1]) for line in lines if line.startswith(f"{inactive} "))
            yield most - int((folder / usage).read_text()) + cached


def _groups() -> Iterator[tuple[Path, str, str, str]]:
    """Each group that this process is in, up to the topmost, with the names of its files."""
    lines: list[str] = []
    with suppress(OSError):
        lines = _OWN.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root = _GROUPS / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        elif not controllers:
            root, names = _GROUPS, ("memory.max", "memory.current", "inactive_file")
        else:
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield folder, *names
