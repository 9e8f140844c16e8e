"""What a crop check of a large area costs, from the lake to the verdicts: 100,000 parcels.

    python -m benchmarks.crops_lake [--parcels 100000] [--scenes 73] [--radar 60] [--lake FOLDER]

The season is the made-up one of benchmarks.season with backscatter and coherence beside it: 20 crops, 40 % of what is
seen is cloud; 5 % of the declarations are exchanged for another crop before they are loaded. The peak is the
process's resident memory, of a process that only opens the lake. With --lake, the lake stays in a folder and is filled
only once.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import season
from benchmarks.markers import peak, timed, watch
from cbm_lake.crops import checking, declarations, reading
from cbm_lake.crops.calendar import Calendar
from cbm_lake.lake import Lake, schemas
from cbm_lake.markers import parameters

WRONG = 0.05
"""Share of the declarations that are exchanged."""
_LEVELS = {"c6": {"VV": (0.35, 0.2), "VH": (0.35, 0.2)}, "bs": {"VV": (0.10, 0.06), "VH": (0.02, 0.015)}}
"""Mean over the year and amplitude of each band of a card."""


def main() -> None:
    """Print seconds, memory, and how many of the exchanged declarations are first in the list."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--parcels", type=int, default=100_000)
    arguments.add_argument("--scenes", type=int, default=73)
    arguments.add_argument("--radar", type=int, default=60)
    arguments.add_argument("--lake", type=Path)
    arguments.add_argument("--check", action="store_true", help="only measure the check of a lake that is there")
    options = arguments.parse_args()
    size = season.Season(options.parcels, options.scenes)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.lake or Path(scratch) / "lake"
        if options.check:
            measure(Lake(str(folder)), size)
            return
        if not folder.exists():
            fill(Lake(str(folder)), size, options.radar)
        command = [sys.executable, "-m", "benchmarks.crops_lake", "--check", "--lake", str(folder)]
        subprocess.run([*command, "--parcels", str(options.parcels)], check=True)


def measure(lake: Lake, size: season.Season) -> None:
    """The check as a whole, and its reading alone."""
    before = peak()
    rows = timed("check, from the lake to the table", lambda: checking.check(season.AOI, season.YEAR, lake=lake))
    print(f"peak memory {peak():.2f} GB, {before:.2f} GB of it before")
    parcels = lake.parcel_set(season.AOI, season.YEAR)
    declared = declarations.read(lake, parcels)
    calendar = Calendar.until(season.YEAR, datetime(season.YEAR, 12, 31).date())
    timed(
        "  of it reading the lake", lambda: reading.read(lake, parcels, declared, calendar, parameters.read(None).clear)
    )
    wrong = {size.pid(number) for number in np.flatnonzero(_exchanged(size))}
    for share in (0.05, 0.1):
        first = rows.slice(0, int(share * rows.num_rows))["pid"].to_pylist()
        print(f"{len(wrong & set(first)) / len(wrong):.2f} of the exchanged declarations in the first {share:.0%}")
    print(pc.value_counts(rows["verdict"]).to_pylist())
    accused = rows.filter(pc.equal(rows["verdict"], "disagrees"))["pid"].to_pylist()
    print(f"{len(set(accused) - wrong) / max(len(accused), 1):.3f} of the accused were declared correctly")


def fill(lake: Lake, size: season.Season, looks: int) -> None:
    """The made-up season with both cards of radar."""
    with watch("filling the lake"):
        for _ in season.fill(lake, size):
            pass
        parcels = lake.parcel_set(season.AOI, season.YEAR)
        lake.add_parcels(
            season.AOI, season.YEAR, "", season.VERSION + "_wrong", _wrong(lake.read_parcels(parcels), size)
        )
        rng = np.random.default_rng(1)
        for card in _LEVELS:
            lake.prepare(card)
            for look in range(looks):
                _write(lake, card, size, look, rng)


def _exchanged(size: season.Season) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(2).random(size.parcels) < WRONG


def _wrong(rows: pa.Table, size: season.Season) -> pa.Table:
    """The parcels with some declarations exchanged for another crop."""
    names = rows["crop:name"].to_numpy(zero_copy_only=False).copy()
    some = np.flatnonzero(_exchanged(size))
    crops = np.array(season.CROPS, object)
    step = np.random.default_rng(3).integers(1, len(crops), len(some))
    position = {crop: number for number, crop in enumerate(season.CROPS)}
    names[some] = crops[(np.array([position[name] for name in names[some]]) + step) % len(crops)]
    for column in ("crop:name", "crop:code"):
        rows = rows.set_column(rows.column_names.index(column), rows.schema.field(column), [names])
    return rows.select(schemas.PARCELS.names)


def _write(lake: Lake, card: str, size: season.Season, look: int, rng: np.random.Generator) -> None:
    """One look of radar at all parcels; what it sees says nothing of the crop."""
    moment = season.START + 6 * look * (size.obstime(1) - size.obstime(0)) / 5
    name, extraction = f"S1A_{moment:%Y%m%d}_{card}", (1 + list(_LEVELS).index(card)) * 1_000_000 + look
    key = {"card": card, "scene": name, "aoi": season.AOI, "year": season.YEAR, "ptype": "", "parcels": season.VERSION}
    done = {"base": None, "bands": ["VV", "VH"], "rule": "centre", "cube": False, "status": "done", "problem": None}
    done |= {"boa_offset": None, "rows": size.parcels, "started": moment, "finished": moment, "version": "benchmark"}
    values: dict[str, object] = {"pid": [size.pid(number) for number in range(size.parcels)]}
    for band, (mean, amplitude) in _LEVELS[card].items():
        level = mean + amplitude * (np.cos(look / 8) + 0.3 * rng.standard_normal(size.parcels))
        values |= {f"{band}_mean": level.clip(1e-3, 0.98), f"{band}_count": [40] * size.parcels}
    same = {**key, "obstime": moment, "reference": name, "rule": "centre", "extraction": extraction}
    arrays = [
        pa.array(values[field.name], field.type)
        if field.name in values
        else pa.repeat(pa.scalar(same.get(field.name), field.type), size.parcels)
        for field in schemas.signatures(card)
    ]
    lake.write_signatures(card, pa.table(arrays, schema=schemas.signatures(card)), extraction)
    lake.record({**key, **done, "extraction": extraction})


if __name__ == "__main__":
    main()
