"""Estimates of time, memory and storage of a season: the measured cost of every stage, scaled up.

print(cbm.estimate(parcels=1_000_000, scenes=73, bands=8))
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from cbm_lake import cards
from cbm_lake.cards.observation import LEAST_PIXELS
from cbm_lake.cards.pixelrule import checked_buffer
from cbm_lake.errors import InvalidInputError, wrong_argument
from cbm_lake.extract.machine import Machine, Progress, measure

_TILE: Final = 10_980
"""Pixels a side of a Sentinel-2 tile at 10 m."""
_FINE: Final = 4
"""Bands of a card that have 10 m pixels; the others, and the scene classes, have a quarter as many pixels."""
CLEAR: Final = 0.06
"""Rows of clear pixels alone, as a share of those of all pixels: parcels that are partly clouded, of a usual season."""
_BASE_MEMORY: Final = 400_000_000
"""Bytes of a worker that does nothing: Python, its libraries, GDAL's cache."""


@dataclass(frozen=True)
class Stage:
    """One stage of the work."""

    name: str
    hours: float
    """Wall clock with all workers at it."""


@dataclass(frozen=True)
class Estimate:
    """Time, memory and storage of a season."""

    stages: tuple[Stage, ...]
    worker_memory: float
    """Bytes that each worker needs at most."""
    signatures: float
    """Bytes of the signatures."""
    cubes: float
    """Bytes of the cubes."""
    rows: int
    """Signatures of all pixels: one per parcel and scene; those of clear pixels alone are in all other figures."""

    @property
    def hours(self) -> float:
        """Wall clock of everything."""
        return sum(stage.hours for stage in self.stages)

    @property
    def bound(self) -> Stage:
        """The stage that takes longest."""
        return max(self.stages, key=lambda stage: stage.hours)

    def to_table(self) -> pa.Table:
        """One row per stage: hours, and its share of the whole in percent."""
        rows = [{"stage": s.name, "hours": s.hours, "percent": 100 * s.hours / self.hours} for s in self.stages]
        return pa.Table.from_pylist(rows)

    def __str__(self) -> str:
        return (
            f"{self.rows:,} signatures in {self.hours:.2f} hours, most of them for {self.bound.name}; "
            f"{self.worker_memory / 1e9:.1f} GB of memory per worker; {self.signatures / 1e9:.1f} GB of signatures, "
            f"{self.cubes / 1e9:.1f} GB of cubes"
        )


def estimate(
    parcels: int,
    scenes: int,
    bands: int = 6,
    *,
    workers: int = 1,
    tiles: int | None = None,
    pixels: float = 236,
    cube: bool = True,
    indices: int = 0,
    inner_buffer: float = 0,
    clear: float = 0.0,
    machine: Machine | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate the cost of a season.

    Args:
        parcels: how many.
        scenes: dates on which each parcel is observed.
        bands: bands with statistics, the first four of 10 m, the others of 20 m; the scene classes come along.
        workers: processes that share the work.
        tiles: Sentinel-2 tiles that the parcels lie on; None takes one for 100,000 parcels. All of a tile is read.
        pixels: pixels of 10 m in a parcel, on average; 236 is 2.4 ha.
        cube: whether pixels are stored in cubes.
        indices: how many indices are computed pixel by pixel, of bands of 10 m.
        inner_buffer: width in metres of the margin inside parcels that does not count; they are taken for squares.
        clear: rows of clear pixels alone, of partly clouded parcels, as a share of those of all pixels: `CLEAR` of a
            usual season; 0 is none.
        machine: what was measured before; None measures this one, which takes about 20 seconds.
        progress: called with how many stages are measured, and how many there are.

    Raises:
        InvalidInputError: a number is not above 0, or one of indices or an inner buffer that cannot be.
    """
    counts = {"parcels": parcels, "scenes": scenes, "bands": bands, "workers": workers, "pixels": pixels}
    if not (clear >= 0 and math.isfinite(clear)):
        raise wrong_argument("clear", f"{clear} is no share of rows, 0 or more")
    for name, value in (counts | {"tiles": 1 if tiles is None else tiles}).items():
        if not (value > 0 and math.isfinite(value)):
            raise InvalidInputError(f"{name}={value} is no number above 0")
    if not 0 <= indices <= len(cards.INDICES):
        raise wrong_argument("indices", f"{indices} is no number of indices; there are {len(cards.INDICES)}")
    machine = machine or measure(progress)
    tiles = tiles or math.ceil(parcels / 100_000)
    fine, coarse = min(bands, _FINE), max(bands - _FINE, 0) + 1
    read = tiles * scenes * _TILE**2 * (fine + coarse / 4)
    inside, looks = _inside(pixels, checked_buffer(inner_buffer)), parcels * scenes * (1 + clear)
    covered = looks * inside * (fine + coarse / 4)
    cells = looks * (bands + indices)
    indexing = 2 * machine.index + machine.shrinking if inner_buffer else machine.index
    seconds = {
        "indexing": parcels * 2 * indexing,
        "reading scenes": read * machine.reading,
        "keeping pixels": read * machine.keeping if cube else 0.0,
        "statistics": covered * machine.statistics + looks * inside * indices * machine.indices,
        "writing signatures": cells * machine.writing,
        "compaction": cells * machine.compacting * workers,  # one process does it
    }
    return Estimate(
        tuple(Stage(name, value / workers / 3600) for name, value in seconds.items()),
        _BASE_MEMORY + _worker_memory(parcels / tiles, bands, inside, indices),
        cells * machine.row_bytes,
        read * machine.pixel_bytes if cube else 0.0,
        parcels * scenes,
    )


def _inside(pixels: float, margin: float) -> float:
    """Pixels of 10 m of a square parcel without a margin in metres; all where fewer than an observable parcel has."""
    inside = max(math.sqrt(pixels) - 2 * margin / 10, 0) ** 2
    return inside if inside >= LEAST_PIXELS else pixels


def _worker_memory(parcels: float, bands: int, pixels: float, indices: int) -> float:
    """Bytes for a scene: the spans (32 each, 12 a parcel), the pools that are kept, all statistics, a row of shards."""
    pools = 1 + min(bands, 2 * indices)
    return parcels * (12 * 32 + pixels * 2 * pools + (bands + indices) * 8 * 8 * 2) + _TILE * 2048 * 2 * 2
