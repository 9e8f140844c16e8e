"""How well parts of parcels that were mown are found, and how true their areas are: planted into made-up and real scenes.

    python -m benchmarks.parts [--parcels 60] [--demo] [--herault FOLDER] [--speed 20000]

Made up: parcels of several shapes and directions, drawn in pixels of 1 m and averaged to 10 m, with texture, noise,
the blur of a sensor, neighbours that change by themselves, clouds, and a cloud shadow that no class names on one date.
Of each size as many were mown on a part (cut straight at any angle, at a corner, or in a strip), mown whole, or dried
out in a gradient; or nothing happened.

--demo plants mown halves into the parcels of one crop of the generated sample, --herault into the scenes of the folder
s2_herault_2018 with their 120 real parcels: the pixels' own NDVI is lowered from one date on. What is found on parcels
into which nothing was planted is counted too; on real land some of it is true. --speed searches that many parcels.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.features import rasterize
from shapely import affinity

from cbm_lake import extract, markers
from cbm_lake.demo.imagery import blur, smooth_noise
from cbm_lake.lake import Lake, schemas

AOI, YEAR, EPSG = "planted", 2024, 32631
LEFT, TOP = 500_000, 4_900_000
START = datetime(2024, 5, 2, 10, 40, tzinfo=UTC)
STEP, DATES, MOWN = 8, 9, 5
"""Days between dates, how many, and the number of the first after the cut."""
SIZES = (0.3, 0.5, 1.0, 2.0, 5.0)
SHAPES = ("square", "long", "triangle", "L", "round")
CUTS = ("straight", "corner", "strip")
OTHERS = ("whole", "nothing", "gradient")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """A made-up parcel."""

    pid: str
    geometry: shapely.Geometry
    mown: shapely.Geometry
    """What was mown of it; empty where nothing was."""
    happened: str
    """One of CUTS or OTHERS."""
    others: dict[str, Any] = field(default_factory=dict)


def outline(shape: str, hectares: float, angle: float) -> shapely.Geometry:
    """A parcel of that shape, area and direction round (0, 0)."""
    side = (hectares * 10_000) ** 0.5
    plain = {
        "square": shapely.box(0, 0, side, side),
        "long": shapely.box(0, 0, side * 3**0.5, side / 3**0.5),
        "triangle": shapely.Polygon([(0, 0), (side * 1.5, 0), (side * 0.4, side / 0.75)]),
        "L": shapely.box(0, 0, 2 * side / 3**0.5, 2 * side / 3**0.5)
        - shapely.box(side / 3**0.5, side / 3**0.5, 2 * side, 2 * side),
        "round": shapely.Point(0, 0).buffer((hectares * 10_000 / np.pi) ** 0.5),
    }[shape]
    centred = affinity.translate(plain, -plain.centroid.x, -plain.centroid.y)
    return affinity.rotate(centred, angle, origin=(0, 0))


def half(geometry: shapely.Geometry, angle: float, share: float) -> shapely.Geometry:
    """What lies on one side of a straight line at that angle, which cuts off that share of the area."""
    low, high = -1e4, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        side = affinity.rotate(shapely.box(-1e5, middle, 1e5, 1e5), angle, origin=(0, 0))
        low, high = (middle, high) if side.intersection(geometry).area > share * geometry.area else (low, middle)
    return side.intersection(geometry)


def part(geometry: shapely.Geometry, cut: str, rng: np.random.Generator) -> shapely.Geometry:
    """A part of a parcel that was mown, 0.35 to 0.65 of it."""
    angle, share = float(rng.uniform(0, 360)), float(rng.uniform(0.4, 0.6))
    if cut == "straight":
        return half(geometry, angle, share)
    if cut == "corner":
        return half(half(geometry, angle, 0.75), angle + 90, 0.7)
    return half(geometry, angle, 0.75) - half(geometry, angle, 0.27)


def fields(hectares: float, number: int, rng: np.random.Generator) -> Iterator[Field]:
    """Parcels of a size: `number` with a part that was mown, as many of each other kind; round (0, 0)."""
    for happened in ("part", *OTHERS):
        for k in range(number):
            shape = outline(SHAPES[k % len(SHAPES)], hectares, float(rng.uniform(0, 180)))
            cut = CUTS[0 if hectares < 1 else k // len(SHAPES) % len(CUTS)] if happened == "part" else happened
            mown = shape if cut == "whole" else shapely.Polygon() if cut in OTHERS else part(shape, cut, rng)
            yield Field(f"{hectares:g} {happened} {k}", shape, mown, cut)


def placed(fields: Sequence[Field]) -> tuple[list[Field], int]:
    """The parcels side by side in a square, and its width in pixels, a multiple of 4."""
    room = max(max(np.ptp(f.geometry.bounds[::2]), np.ptp(f.geometry.bounds[1::2])) for f in fields) + 60
    cell, across = int(-(-room // 20)) * 20, int(np.ceil(len(fields) ** 0.5))
    moved = []
    rng = np.random.default_rng(0)
    for number, each in enumerate(fields):
        row, column = divmod(number, across)
        x = LEFT + (column + 0.5) * cell + float(rng.uniform(-5, 5))
        y = TOP - (row + 0.5) * cell + float(rng.uniform(-5, 5))
        shapes = (affinity.translate(shape, x, y) for shape in (each.geometry, each.mown))
        moved.append(Field(each.pid, *shapes, each.happened))
    return moved, -(-across * cell // 40) * 4


# -- scenes ------------------------------------------------------------------------------------------------------------


def shares(shapes: Sequence[shapely.Geometry], width: int) -> Floats:
    """The share of each pixel of 10 m that geometries cover, by pixels of 1 m, in strips of 20 rows."""
    strips = []
    tree = shapely.STRtree(list(shapes))
    for first in range(0, width, 20):
        rows = min(20, width - first)
        box = shapely.box(LEFT, TOP - 10 * (first + rows), LEFT + 10 * width, TOP - 10 * first)
        near = [shapes[k] for k in tree.query(box)]
        transform = Affine(1, 0, LEFT, 0, -1, TOP - 10 * first)
        fine = (
            rasterize(near, (10 * rows, 10 * width), transform=transform, dtype="uint8")
            if near
            else np.zeros((10 * rows, 10 * width), np.uint8)
        )
        strips.append(fine.reshape(rows, 10, width, 10).mean(axis=(1, 3)))
    return np.concatenate(strips)


def ndvi(fields: Sequence[Field], width: int, rng: np.random.Generator, noise: float) -> Iterator[Floats]:
    """NDVI on each date: what grows between the parcels changes by itself, in stripes."""
    inside = shares([f.geometry for f in fields], width)
    mown = shares([f.mown for f in fields if not f.mown.is_empty], width)
    dried = shares([f.geometry for f in fields if f.happened == "gradient"], width)
    slope = (np.arange(width) * 10 % 397) / 397
    texture = 0.03 * smooth_noise((width, width), 4, rng)
    stripe = rng.uniform(0.2, 0.85, (DATES, width // 7 + 1))
    for date in range(DATES):
        season = 0.82 - 0.012 * abs(date - DATES / 2) + float(rng.normal(0, 0.01))
        grass = np.full((width, width), season) + texture
        if date >= MOWN:
            grass -= mown * (0.38 - 0.04 * (date - MOWN)) + dried * slope[None, :] * 0.3
        beyond = stripe[date][np.arange(width) // 7][None, :]
        values = blur(inside * grass + (1 - inside) * beyond)
        yield values + rng.normal(0, noise, values.shape)


def make(folder: Path, fields: Sequence[Field], *, seed: int = 1, noise: float = 0.015, clouds: float = 0.25) -> Lake:
    """A lake of those parcels with extracted scenes and cubes; of a share of the scenes parts are under cloud."""
    rng = np.random.default_rng(seed)
    fields, width = placed(fields)
    lake = Lake(str(folder / "lake"))
    lake.add_parcels(AOI, YEAR, "", "v1", parcels_of(fields))
    scenes = []
    for number, values in enumerate(ndvi(fields, width, rng, noise)):
        classes = np.full((width // 2, width // 2), 4, np.uint8)
        if rng.uniform() < clouds:
            hidden = smooth_noise(classes.shape, 30, rng) > 0.8
            classes[hidden] = 9
            values = np.where(hidden.repeat(2, 0).repeat(2, 1), 0.05, values)
        if number == 2:  # a shadow that nothing names
            values = values - 0.3 * (smooth_noise(values.shape, 25, rng) > 1.2)
        scenes.append(scene(folder / f"S{number}", f"S{number}", START + timedelta(STEP * number), values, classes))
    lake.add_scenes(pa.Table.from_pylist(scenes, schema=schemas.SCENES))
    extract.s2("2024-01-01", "2024-12-31", aoi=AOI, year=YEAR, bands=("B04", "B08"), workers=0, lake=lake)
    return lake


def scene(folder: Path, name: str, day: datetime, values: Floats, classes: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """Write a scene whose pixels have that NDVI, and its row of the catalogue."""
    red = 2000 * (1 - values)
    bands = {"B04": (red, 10), "B08": (4000 - red, 10), "SCL": (classes, 20)}
    hrefs = {}
    for band, (pixels, metres) in bands.items():
        stored = np.round(pixels).clip(1, 65535).astype("uint8" if band == "SCL" else "uint16")
        hrefs[band] = write(folder / f"{band}.tif", stored, Affine(metres, 0, LEFT, 0, -metres, TOP))
    size = 10 * len(values)
    ground = degrees(shapely.box(LEFT, TOP - size, LEFT + size, TOP))
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "geometry": ground.wkb,
        "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), ground.bounds, strict=True)),
        "assets": {band: {"href": href, "type": "image/tiff"} for band, href in hrefs.items()},
        "datetime": day,
        "proj:code": f"EPSG:{EPSG}",
        "card": "s2",
        "reference": f"{name}.SAFE",
        "sensor": "S2A",
        "boa_offset": 0,
        "acquisition": name,
        "source": "made here",
        "ingested": day,
    }


def write(path: Path, values: npt.NDArray[Any], transform: Affine, epsg: int = EPSG) -> str:
    """An array as a tiled GeoTIFF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = values.shape
    options = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "nodata": 0}
    layout = {"count": 1, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.open(path, "w", "GTiff", crs=f"EPSG:{epsg}", transform=transform, **layout, **options) as file:
        file.write(values, 1)
    return str(path)


def degrees(shape: shapely.Geometry) -> shapely.Geometry:
    """A geometry in lon, lat."""
    return shapely.transform(shape, Transformer.from_crs(EPSG, 4326, always_xy=True).transform, interleaved=False)


def parcels_of(fields: Sequence[Field]) -> pa.Table:
    """Rows of schemas.PARCELS."""
    rows = []
    for each in fields:
        centre = degrees(each.geometry.centroid)
        rows.append(
            {
                "id": each.pid,
                "geometry": each.geometry.wkb,
                "bbox": dict(zip(("xmin", "ymin", "xmax", "ymax"), each.geometry.bounds, strict=True)),
                "area": each.geometry.area / 10_000,
                "crop:name": "grassland",
                "crop:code": "1",
                "epsg": EPSG,
                "centroid_lon": centre.x,
                "centroid_lat": centre.y,
            }
        )
    return pa.Table.from_pylist(rows, schema=schemas.PARCELS)


# -- figures -----------------------------------------------------------------------------------------------------------


def compared(found: pa.Table, truth: dict[str, shapely.Geometry]) -> pd.DataFrame:
    """Of each parcel into which a part was planted: whether it was found, and how its area and its place compare."""
    rows = found.to_pandas()
    worked = rows[rows.state.isin(["mown", "ploughed", "harvested"])]
    outcomes = []
    for pid, planted in truth.items():
        events = worked[worked.pid == pid]
        united = {
            start: shapely.union_all(shapely.from_wkb(event.geometry.to_numpy()))
            for start, event in events.groupby("date_start")
        }
        best = max(united.values(), key=lambda shape: shape.intersection(planted).area, default=shapely.Polygon())
        shared = best.intersection(planted).area / shapely.union_all([best, planted]).area
        is_found = shared > 0.5
        area = best.area / planted.area - 1 if is_found else np.nan
        outcomes.append({"pid": pid, "found": is_found, "area": area, "shared": shared, "events": len(united)})
    return pd.DataFrame(outcomes)


def line(name: str, rows: pd.DataFrame) -> str:
    """One line of the table."""
    error = rows.area.dropna().abs()
    within = (error <= 0.1).mean()
    return (
        f"| {name} | {len(rows)} | {rows.found.mean():.2f} | {error.median():.3f} | {error.quantile(0.9):.3f} "
        f"| {within:.2f} | {rows.area.mean():+.3f} | {rows.shared[rows.found].median():.2f} |"
    )


HEAD = (
    "| planted | parcels | found | area error, median | 90 % | within 10 % | bias | shared area |\n"
    "|---|---|---|---|---|---|---|---|"
)


def made_up(number: int) -> None:
    """Found share and area error by size, and false alarms."""
    print(HEAD)
    alarms = dict.fromkeys(OTHERS, 0)
    for hectares in SIZES:
        some = list(fields(hectares, number, np.random.default_rng(int(100 * hectares))))
        with tempfile.TemporaryDirectory() as folder:
            lake = make(Path(folder), some, seed=int(10 * hectares))
            found = markers.parts(AOI, YEAR, lake=lake)
            there = {each.pid: each for each in placed(some)[0]}
        truth = {pid: each.mown for pid, each in there.items() if each.happened in CUTS}
        rows = compared(found, truth)
        print(line(f"{hectares:g} ha", rows), flush=True)
        if hectares >= 1:
            for cut in CUTS:
                print(line(f"{hectares:g} ha, {cut}", rows[[there[pid].happened == cut for pid in rows.pid]]))
        for pid in set(found.filter(pa.compute.is_valid(found["state"]))["pid"].to_pylist()) - set(truth):
            alarms[there[pid].happened] += 1
    total = number * len(SIZES)
    print("\nFalsely divided: " + ", ".join(f"{count} of {total} ({kind})" for kind, count in alarms.items()))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=60, help="of each size and kind")
    given = parser.parse_args()
    made_up(given.parcels)


if __name__ == "__main__":
    main()
