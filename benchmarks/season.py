"""A made-up season as large as a country's: parcels with crops, and what 73 scenes saw of them.

The numbers are as hard to compress as real ones: mean and std have full mantissas, as quotients have; smallest and
largest are whole; quartiles are quarters. A parcel keeps its number of pixels, follows the curve of its crop, and is
under the same cloud as its neighbours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from cbm_lake import cards
from cbm_lake.lake import Lake, schemas

AOI, YEAR = "ms", 2024
BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B11")
TEN_METRES = ("B02", "B03", "B04", "B08")
NEAR_INFRARED = ("B06", "B07", "B08")
CROPS = tuple(f"crop {number:02}" for number in range(20))
START = datetime(2024, 1, 3, 10, 40, tzinfo=UTC)
VERSION = "season"


@dataclass(frozen=True)
class Season:
    """How large the made-up country is."""

    parcels: int = 500_000
    scenes: int = 73

    @property
    def rows(self) -> int:
        """Wide rows: one per parcel and scene."""
        return self.parcels * self.scenes

    def pid(self, number: int) -> str:
        """The identifier of the parcel of that number."""
        return f"MS{number:08}"

    def obstime(self, scene: float) -> datetime:
        """When that scene was taken."""
        return START + timedelta(days=5 * scene)


def fill(lake: Lake, season: Season) -> Iterator[int]:
    """Load the parcels, then write scene by scene as extraction does; says after each how many are written."""
    rng = np.random.default_rng(0)
    pixels, crops = _drawn(season, rng)
    lake.add_parcels(AOI, YEAR, "", VERSION, _parcels(season, pixels, crops))
    lake.prepare("s2")
    for scene in range(season.scenes):
        entry = _entry(season, scene)
        lake.write_signatures("s2", _rows(season, scene, entry, pixels, crops, rng), entry["extraction"])
        lake.record(entry)
        yield scene + 1


def add(lake: Lake, season: Season, scene: float, rng: np.random.Generator, some: npt.NDArray[np.bool_]) -> None:
    """Write one more scene, over some of the parcels of `fill`; scene 30.5 lies between two of these."""
    entry = _entry(season, scene)
    rows = _rows(season, scene, entry, *_drawn(season, np.random.default_rng(0)), rng).filter(pa.array(some))
    lake.write_signatures("s2", rows, entry["extraction"])
    lake.record({**entry, "rows": rows.num_rows})


def _drawn(season: Season, rng: np.random.Generator) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Pixels and crop of each parcel."""
    pixels = np.maximum(rng.lognormal(4.6, 1.0, season.parcels), 4).astype("int32")  # a hundred: one hectare
    return pixels, rng.integers(0, len(CROPS), season.parcels)


def _parcels(season: Season, pixels: npt.NDArray[Any], crops: npt.NDArray[Any]) -> pa.Table:
    """Squares beside each other."""
    number = np.arange(season.parcels)
    west, south, side = 400_000 + number % 1000 * 300.0, 4_700_000 + number // 1000 * 300.0, 10 * np.sqrt(pixels)
    box = {"xmin": west, "ymin": south, "xmax": west + side, "ymax": south + side}
    names = pa.array(CROPS).take(pa.array(crops))
    return pa.table(
        {
            "id": pa.array([season.pid(n) for n in number]),
            "geometry": pa.array(shapely.to_wkb(shapely.box(*box.values())), pa.binary()),
            "bbox": pa.StructArray.from_arrays([pa.array(side) for side in box.values()], list(box)),
            "area": pixels / 100.0,
            "crop:code": names,
            "crop:name": names,
            "epsg": pa.repeat(pa.scalar(32631, pa.int32()), season.parcels),
            "centroid_lon": 2.0 + west / 100_000,
            "centroid_lat": 10.0 + south / 100_000,
        }
    ).cast(schemas.PARCELS)


def _entry(season: Season, scene: float) -> dict[str, Any]:
    """What the ledger says of that scene."""
    name = _name(season, scene)
    key = {"card": "s2", "scene": name, "aoi": AOI, "year": YEAR, "ptype": "", "parcels": VERSION}
    number = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:8]) >> 1
    done = {"base": None, "bands": list(BANDS), "rule": "centre", "cube": False, "status": "done", "problem": None}
    moments = {"started": START, "finished": START, "version": "benchmark"}
    return {**key, **done, **moments, "extraction": number, "rows": season.parcels}


def _name(season: Season, scene: float) -> str:
    return f"S2A_MSIL2A_{season.obstime(scene):%Y%m%dT%H%M%S}_R051_T31TEJ"


def _rows(
    season: Season,
    scene: float,
    entry: dict[str, Any],
    pixels: npt.NDArray[Any],
    crops: npt.NDArray[Any],
    rng: np.random.Generator,
) -> pa.Table:
    """What that scene saw of every parcel, in the order of pids."""
    cloud = np.repeat(rng.random(season.parcels // 1000 + 1) < 0.4, 1000)[: season.parcels]
    known = {**entry, "obstime": season.obstime(scene), "reference": f"{entry['scene']}.SAFE"}
    columns = {
        "pid": pa.array([season.pid(n) for n in range(season.parcels)]),
        **_classes(cloud, pixels, rng),
    }
    for band in BANDS:
        count = pixels if band in TEN_METRES else pixels // 4 + 1
        columns |= _band(band, _level(band, scene, crops, cloud), count, rng)
    arrays = []
    for field in schemas.signatures("s2"):
        if field.name in columns:
            arrays.append(pa.array(columns[field.name], field.type))
        elif field.name in known:
            arrays.append(pa.repeat(pa.scalar(known[field.name], field.type), season.parcels))
        else:
            arrays.append(pa.nulls(season.parcels, field.type))
    return pa.table(arrays, schema=schemas.signatures("s2"))


def _level(band: str, scene: float, crops: npt.NDArray[Any], cloud: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The DN about which a crop's parcels lie that day: each crop is green at its own time; clouds are bright."""
    peak = 100 + 8 * crops
    green = np.exp(-(((5 * scene - peak) / 45) ** 2)).astype("float32")
    level = 2200 + 2500 * green if band in NEAR_INFRARED else 1700 - 1100 * green
    return np.where(cloud, np.float32(6000), level)


def _band(
    band: str, level: npt.NDArray[Any], count: npt.NDArray[Any], rng: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """The eight statistics of a band."""
    noise = rng.standard_normal((4, len(level)), dtype="float32")
    mean = level * (1 + np.float32(0.12) * noise[0])
    std = np.abs(mean) * np.float32(0.06) * np.exp(np.float32(0.4) * noise[1])
    middle = np.round(4 * (mean + std * np.float32(0.1) * noise[2])) / 4
    half = np.round(4 * std * (np.float32(0.67) + np.float32(0.05) * noise[3])) / 4
    reach = np.float32(0.6) * np.log(count.astype("float32") + 2)
    found = {
        "count": count,
        "mean": mean,
        "std": std,
        "min": np.round(mean - std * (reach + np.float32(0.2) * noise[2])),
        "max": np.round(mean + std * (reach + np.float32(0.2) * noise[3])),
        "p25": middle - half,
        "p50": middle,
        "p75": middle + half,
    }
    return {f"{band}_{name}": values for name, values in found.items()}


def _classes(
    cloud: npt.NDArray[Any], pixels: npt.NDArray[Any], rng: np.random.Generator
) -> dict[str, npt.NDArray[Any]]:
    """Pixels of each scene class: vegetation and bare soil, or cloud."""
    count = pixels // 4 + 1
    share = rng.random((2, len(count)), dtype="float32")
    first, second = ((count * part).astype("int32") for part in share)
    none = np.zeros_like(count)
    held = dict.fromkeys(cards.CLASSES, none)
    held |= {4: np.where(cloud, none, first), 5: np.where(cloud, none, count - first)}
    held |= {8: np.where(cloud, second, none), 9: np.where(cloud, count - second, none)}
    return {f"scl_{value}": numbers for value, numbers in held.items()}
