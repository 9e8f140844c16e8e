"""Cost of each operation of an extraction on this machine, measured on a small synthetic tile."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import rasterio
import shapely
from affine import Affine
from deltalake import DeltaTable

from cbm_lake import cards, zonal
from cbm_lake.extract.jobparcels import Shapes
from cbm_lake.files import installed
from cbm_lake.geo.inside import shrunk
from cbm_lake.lake import Lake, schemas
from cbm_lake.lake.records import LedgerEntry
from cbm_lake.rasters import CHUNK, Raster, Window
from cbm_lake.rasters.blocks import CubeSource
from cbm_lake.rasters.cube import Cube, Slot
from cbm_lake.rasters.readers import source

Progress = Callable[[int, int], None]

_SIZE: Final = 2048
_PARCELS: Final = 4_000
_ROWS: Final = 20_000
_MOST_SLOTS: Final = 1_000
"""Goes of keeping pixels; each takes a few milliseconds at least."""
_SECONDS: Final = 2.0
"""For how long a stage is tried, at least."""


@dataclass(frozen=True)
class Machine:
    """Measured cost of each operation on one core of a machine, in seconds of wall clock."""

    index: float
    """Per parcel and grid: from its geometry to its pixels."""
    reading: float
    """Per pixel of a band: from a COG to an array."""
    keeping: float
    """Per pixel of a band: from an array into the cube."""
    statistics: float
    """Per pixel of a parcel and band: all eight statistics."""
    writing: float
    """Per row and band: into the Delta table."""
    compacting: float
    """Per row and band."""
    row_bytes: float
    """Per row and band, as stored."""
    pixel_bytes: float
    """Per pixel of a band in the cube, as stored."""
    shrinking: float = 0.0
    """Per parcel and grid: its geometry without the margin of an inner buffer."""
    indices: float = 0.0
    """Per pixel of a parcel and index: from the pixels of two bands to all eight statistics."""


def measure(progress: Progress | None = None) -> Machine:
    """Measure every stage on a synthetic tile, with the code that does the real work."""
    with tempfile.TemporaryDirectory(prefix="cbm-lake-") as name:
        folder, rates = Path(name), {}
        zonal.warm_up()
        raster = _raster(folder / "band.tif")
        shapes = _shapes(raster)
        index = zonal.build_index(shapes, raster.grid.transform, raster.grid.shape)
        steps: dict[str, Callable[[], float]] = {
            "index": lambda: _indexing(shapes, raster),
            "reading": lambda: _reading(raster),
            "keeping": lambda: _keeping(raster, folder / "cube.zarr"),
            "statistics": lambda: _statistics(raster, index),
            "shrinking": lambda: _repeated(lambda: shrunk(shapes, raster.grid.epsg, 5), len(shapes)),
            "indices": lambda: _indices(index),
            "writing": lambda: _writing(Lake(str(folder / "lake"))),
            "compacting": lambda: _compacting(Lake(str(folder / "lake"))),
        }
        for number, (stage, step) in enumerate(steps.items(), 1):
            rates[stage] = step()
            if progress:
                progress(number, len(steps))
        rates["keeping"] = max(rates["keeping"] - rates["reading"], 0.0)
        return Machine(**rates, row_bytes=_row_bytes(folder), pixel_bytes=_pixel_bytes(folder))


def _repeated(work: Callable[[], object], units: int) -> float:
    """Seconds per unit of a piece of work, the median of as many goes as fit in, after one that is not counted."""
    work()
    spent: list[float] = []
    while sum(spent) < _SECONDS:
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return float(np.median(spent)) / units


def _indexing(shapes: Shapes, raster: Raster) -> float:
    return _repeated(lambda: zonal.build_index(shapes, raster.grid.transform, raster.grid.shape), len(shapes))


def _reading(raster: Raster) -> float:
    return _repeated(lambda: [block.shape for block in source(raster).read(_blocks())], _SIZE**2)


def _keeping(raster: Raster, folder: Path) -> float:
    """Reading and keeping together; making slots, once for all bands of a scene, is not counted."""
    cube, slots = Cube(str(folder)), iter(range(_MOST_SLOTS))
    cube.extend(raster.grid, {"B04": "uint16"}, [Slot(str(n), datetime.now(UTC), 0) for n in range(_MOST_SLOTS)])

    def keep() -> None:
        for _ in CubeSource(cube.url, "B04", next(slots), raster).read(_blocks()):
            pass

    return _repeated(keep, _SIZE**2)


def _statistics(raster: Raster, index: zonal.SpanIndex) -> float:
    (array,) = source(raster).read([Window(0, 0, _SIZE, _SIZE)])
    plan = index.blocks((CHUNK, CHUNK))

    def gather() -> None:
        pool = plan.new_pool(array.dtype)
        for number, block in enumerate(plan):
            plan.gather(array[block.slices], number, pool)
        zonal.pool_statistics(pool, index.pixel_offsets)

    return _repeated(gather, index.pixel_count)


def _indices(index: zonal.SpanIndex) -> float:
    rng = np.random.default_rng(2)
    red, nir = (rng.integers(200, 4000, index.pixel_count).astype("uint16") for _ in range(2))

    def describe() -> None:
        bands = {"red": red.astype(np.float64), "nir": nir.astype(np.float64)}
        zonal.pool_statistics(cards.INDICES["ndvi"].of(bands), index.pixel_offsets, None)

    return _repeated(describe, index.pixel_count)


def _writing(lake: Lake) -> float:
    lake.prepare("s2")
    numbers = iter(range(1, 10_000))
    seconds = _repeated(lambda: lake.write_signatures("s2", _rows(number := next(numbers)), number), _cells())
    for number in range(1, next(numbers)):  # what the ledger does not know would not be compacted
        lake.record(_entry(number))
    return seconds


def _entry(number: int) -> LedgerEntry:
    """The entry in the ledger of a scene of `_rows`."""
    now = datetime.now(UTC)
    return {
        "card": "s2",
        "scene": f"scene{number}",
        "aoi": "ms",
        "year": 2024,
        "ptype": "",
        "parcels": "made up",
        "extraction": number,
        "rule": "centre",
        "cube": False,
        "status": "done",
        "rows": _ROWS,
        "started": now,
        "finished": now,
        "version": installed.version(),
    }


def _cells() -> int:
    return _ROWS * len(cards.CARD_BANDS["s2"])


def _compacting(lake: Lake) -> float:
    rows = lake.sql("select count(*) as n from signatures_s2")["n"][0].as_py()
    start = time.perf_counter()
    lake.compact("s2")
    return float((time.perf_counter() - start) / rows * _ROWS / _cells())


def _row_bytes(folder: Path) -> float:
    """As stored after compaction, per row and band."""
    lake = Lake(str(folder / "lake"))
    rows = lake.sql("select count(*) as n from signatures_s2")["n"][0].as_py()
    files = DeltaTable(f"{lake.url}/signatures/s2").file_uris()
    return float(sum(Path(file).stat().st_size for file in files) / rows * _ROWS / _cells())


def _pixel_bytes(folder: Path) -> float:
    """As stored in a shard."""
    return float(np.mean([path.stat().st_size for path in folder.glob("cube.zarr/B04/c/*/0/0")])) / _SIZE**2


# -- a made-up tile -----------------------------------------------------------------------------------------------


def _blocks() -> list[Window]:
    starts = range(0, _SIZE, CHUNK)
    return [Window(row, col, CHUNK, CHUNK) for row in starts for col in starts]


def _raster(file: Path) -> Raster:
    """A band as fields have it: patches of different brightness, and noise; a COG as providers write them."""
    rng = np.random.default_rng(0)
    patches = rng.integers(1200, 4800, (_SIZE // 64, _SIZE // 64))
    values = (np.kron(patches, np.ones((64, 64))) + rng.normal(0, 60, (_SIZE, _SIZE))).astype("uint16")
    profile = {"driver": "COG", "width": _SIZE, "height": _SIZE, "count": 1, "dtype": "uint16", "nodata": 0}
    position = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 4_900_000)}
    options = {"compress": "DEFLATE", "predictor": "YES", "blocksize": 512, "overviews": "NONE"}
    with rasterio.open(file, "w", **profile, **position, **options) as dataset:
        dataset.write(values, 1)
    return Raster.inspect(str(file))


def _shapes(raster: Raster) -> Shapes:
    """Rotated rectangles of about 2.4 ha."""
    rng = np.random.default_rng(1)
    west, south, east, north = raster.grid.bounds
    x, y = rng.uniform(west, east, _PARCELS), rng.uniform(south, north, _PARCELS)
    wide, high = (np.exp(rng.normal(np.log(77), 0.4, _PARCELS)) for _ in range(2))
    angle = rng.uniform(0, np.pi, _PARCELS)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)])
    u, v = corners[:, 0] * wide[:, None], corners[:, 1] * high[:, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    points = np.stack([x[:, None] + u * cos - v * sin, y[:, None] + u * sin + v * cos], axis=-1)
    return np.asarray(shapely.polygons(points))


def _rows(number: int) -> pa.Table:
    """Signatures of one scene with values that compress as real ones do."""
    rng = np.random.default_rng(number)
    level = rng.normal(2000, 500, _ROWS)
    keys = {
        "aoi": "ms",
        "year": 2024,
        "ptype": "",
        "scene": f"scene{number}",
        "reference": f"scene{number}",
        "rule": "centre",
        "extraction": number,
        "obstime": datetime.fromtimestamp(1_704_000_000 + 86_400 * number, UTC),
    }
    columns = []
    for item in schemas.signatures("s2"):
        if item.name == "pid":
            columns.append(pa.array([f"{pid:08d}" for pid in range(_ROWS)]))
        elif item.name in keys:
            columns.append(pa.repeat(pa.scalar(keys[item.name], item.type), _ROWS))
        elif item.name == "share":
            columns.append(pa.repeat(pa.scalar(1, item.type), _ROWS))
        elif item.name == "mask":
            columns.append(pa.nulls(_ROWS, item.type))
        elif pa.types.is_floating(item.type):
            columns.append(pa.array(level + rng.normal(0, 60, _ROWS), item.type))
        else:
            columns.append(pa.array(rng.integers(0, 300, _ROWS), item.type))
    return pa.table(columns, schema=schemas.signatures("s2"))
