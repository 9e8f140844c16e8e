"""How well mown parts of parcels are found, and how true their areas are: planted into made-up and real scenes.

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
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("CBM_LAKE_HOME", tempfile.mkdtemp(prefix="cbm-lake-"))

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import psutil
import pyarrow as pa
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.features import rasterize
from shapely import affinity

from cbm_lake import card2db, extract, markers, parcels, zonal
from cbm_lake.demo import sample
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
    moved, rng = [], np.random.default_rng(0)
    for number, each in enumerate(fields):
        row, column = divmod(number, across)
        x = LEFT + (column + 0.5) * cell + float(rng.uniform(-5, 5))
        y = TOP - (row + 0.5) * cell + float(rng.uniform(-5, 5))
        shapes = (affinity.translate(shape, x, y).buffer(0) for shape in (each.geometry, each.mown))
        moved.append(Field(each.pid, *shapes, each.happened))
    return moved, max(-(-across * cell // 40) * 4, 120)


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
    slope = (1 + np.sin(np.arange(width) * 2 * np.pi / 40)) / 2
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
    for number, ground in enumerate(ndvi(fields, width, rng, noise)):
        hidden = smooth_noise((width // 2, width // 2), 30, rng) > (0.8 if rng.uniform() < clouds else np.inf)
        shadow = smooth_noise(ground.shape, 25, rng) > (1.2 if number == 2 else np.inf)  # which no class names
        values = np.where(hidden.repeat(2, 0).repeat(2, 1), 0.05, ground - 0.3 * shadow)
        classes = np.where(hidden, 9, 4).astype(np.uint8)
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
    return _row(name, day, degrees(shapely.box(LEFT, TOP - size, LEFT + size, TOP)), hrefs)


def _row(name: str, day: datetime, ground: shapely.Geometry, hrefs: dict[str, str]) -> dict[str, Any]:
    """A row of schemas.SCENES."""
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


# -- planted into scenes that are there --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Images:
    """Files of a scene."""

    day: str
    red: Path
    near: Path
    offset: int


def plant(images: Sequence[Images], mown: Sequence[shapely.Geometry], day: str, share: float = 0.45) -> None:
    """Lower the NDVI of what was mown by a share from a day on, in place; mixed pixels by the share that was mown."""
    for each in images:
        if each.day < day:
            continue
        with rasterio.open(each.red) as file, rasterio.open(each.near) as other:
            stored, transform = (file.read(1), other.read(1)), file.transform
        red, near = (band.astype(float) + each.offset for band in stored)
        height, width = red.shape
        fine = rasterize(mown, (10 * height, 10 * width), transform=transform * Affine.scale(0.1), dtype="uint8")
        covered = fine.reshape(height, 10, width, 10).mean(axis=(1, 3))
        total = red + near
        ndvi = np.divide(near - red, total, out=np.zeros_like(red), where=total > 0) * (1 - share * covered)
        lowered = (total * (1 - ndvi) / 2, total * (1 + ndvi) / 2)
        for path, old, new in zip((each.red, each.near), stored, lowered, strict=True):
            changed = np.round(new - each.offset).clip(1, 65535).astype(old.dtype)
            write(path, np.where((old > 0) & (covered > 0), changed, old), transform)


def planted_halves(shapes: pd.Series, seed: int = 3) -> dict[str, shapely.Geometry]:
    """Half of each parcel, by pid, cut straight at any angle."""
    rng = np.random.default_rng(seed)
    halves = {}
    for pid, shape in shapes.items():
        centre = shape.centroid
        moved = affinity.translate(shape, -centre.x, -centre.y)
        cut = half(moved, float(rng.uniform(0, 360)), float(rng.uniform(0.4, 0.6)))
        halves[str(pid)] = affinity.translate(cut, centre.x, centre.y).buffer(0)
    return halves


def on_real_land(name: str, lake: Lake, aoi: str, year: int, truth: dict[str, shapely.Geometry], crs: int) -> None:
    """Print how much of what was planted is found, by size, and on how many other parcels something is."""
    began = time.perf_counter()
    found = markers.parts(aoi, year, lake=lake)
    seconds = time.perf_counter() - began
    epsg = lake.epsg(aoi)
    moved = Transformer.from_crs(crs, epsg, always_xy=True).transform
    truth = {pid: shapely.transform(shape, moved, interleaved=False) for pid, shape in truth.items()}
    hectares = pd.Series({row["id"]: row["area"] for row in lake.read_parcels(lake.parcel_set(aoi, year)).to_pylist()})
    print(f"\n{name}: {len(hectares)} parcels, {len(truth)} with a planted half; {seconds:.1f} s")
    if truth:
        _by_size(compared(found, truth), hectares)
    others = found.filter(pa.compute.is_valid(found["state"])).to_pandas()
    others = others[~others.pid.isin(truth)]
    print(f"Divided without: {others.pid.nunique()} of {len(hectares) - len(truth)}")


def _by_size(rows: pd.DataFrame, hectares: pd.Series) -> None:
    size = hectares[rows.pid].to_numpy()
    print(HEAD)
    for low, high in ((0.0, 0.3), (0.3, 0.5), (0.5, 1), (1, 2), (2, 1e9)):
        some = rows[(size >= low) & (size < high)]
        if len(some):
            print(line(f"{low:g} ha and more", some))
    print(line("from 0.3 ha on", rows[size >= 0.3]))


def herault(folder: Path) -> None:
    """Halves planted into real scenes of 2018, and the scenes as they are."""
    for name, day in (("Hérault as it is", ""), ("Hérault, mown between 7 July and 6 August", "20180806")):
        with tempfile.TemporaryDirectory() as scratch:
            table = gpd.read_parquet(folder / "parcels.parquet")
            lake = Lake(str(Path(scratch) / "lake"))
            parcels.load(folder / "parcels.parquet", "herault", 2018, pid="parcel_id", lake=lake)
            shapes = table.to_crs(EPSG).set_index("parcel_id").geometry
            green = _green(folder, shapes) if day else []
            truth = planted_halves(shapes[green])
            lake.add_scenes(pa.Table.from_pylist(_copied(folder, Path(scratch), truth, day), schema=schemas.SCENES))
            options = {"bands": ("B04", "B08"), "workers": 0, "lake": lake}
            extract.s2("2018-01-01", "2018-12-31", aoi="herault", year=2018, **options)
            on_real_land(name, lake, "herault", 2018, truth, EPSG)


def _green(folder: Path, shapes: pd.Series) -> list[str]:
    """Every second parcel of those whose NDVI is at least 0.4 on 7 July."""
    (red,), (near,) = ((folder / "tif").rglob(f"*20180707*{band}*.tif") for band in ("B04", "B08"))
    with rasterio.open(red) as file:
        values, transform = file.read(1).astype(float), file.transform
    with rasterio.open(near) as file:
        other = file.read(1).astype(float)
    ndvi = (other - values) / (other + values).clip(1)
    means = zonal.zonal_stats(shapes.to_numpy(), ndvi.astype("float32"), transform)["mean"].to_numpy()
    return [pid for pid, mean in zip(shapes.index, means, strict=True) if mean >= 0.4][::2]


def _copied(folder: Path, scratch: Path, truth: dict[str, shapely.Geometry], day: str) -> list[dict[str, Any]]:
    """Rows of the catalogue of copies of the scenes, with the halves planted."""
    rows, images = [], []
    for red in sorted((folder / "tif").rglob("*B04*.tif")):
        date = next(piece[:8] for piece in red.name.split("_") if piece.startswith("2018"))
        files = {band: scratch / date / f"{band}.tif" for band in ("B04", "B08", "SCL")}
        for band, file in files.items():
            source = next((folder / "tif").rglob(f"*{date}*{band}*.tif"))
            with rasterio.open(source) as raster:
                file.parent.mkdir(exist_ok=True)
                write(file, raster.read(1), raster.transform)
                box = shapely.box(*raster.bounds)
        images.append(Images(date, files["B04"], files["B08"], 0))
        moment = datetime.strptime(date + "1040+0000", "%Y%m%d%H%M%z")
        rows.append(_row(date, moment, degrees(box), {band: str(file) for band, file in files.items()}))
    if truth:
        plant(images, list(truth.values()), day)
    return rows


def _drawn(drawn: sample.Sample) -> list[Images]:
    """The scenes of the generated sample."""
    images = []
    for item in json.loads(drawn.items["s2"].read_text("utf-8"))["features"]:
        red, near = (Path(item["assets"][key]["href"]) for key in ("red", "nir"))
        offset = round(10_000 * item["assets"]["red"]["raster:bands"][0]["offset"])
        images.append(Images(item["properties"]["datetime"][:10].replace("-", ""), red, near, offset))
    return images


def demo() -> None:
    """Halves planted into every second meadow of the generated sample, and the sample as it is."""
    for name, day in (("Sample as it is", ""), ("Sample, mown from 1 August", "20240801")):
        with tempfile.TemporaryDirectory() as scratch:
            drawn = sample.write(Path(scratch) / "sample")
            lake = Lake(str(Path(scratch) / "lake"))
            names = {"pid": "parcel_id", "crop_name": "crop_name", "crop_code": "crop_code"}
            parcels.load(drawn.parcels, "demo", 2024, **names, lake=lake)
            kinds = pd.read_parquet(drawn.kinds)
            whole = kinds[(kinds.kind == "whole") & kinds.crop.str.contains("grass")].pid.astype(str).tolist()
            shapes = gpd.read_file(drawn.parcels).to_crs(EPSG).set_index("parcel_id").geometry
            truth = planted_halves(shapes[whole[::2]]) if day else {}
            if truth:
                plant(_drawn(drawn), list(truth.values()), day)
            card2db.items(drawn.items["s2"], card="s2", lake=lake)
            options = {"bands": ("B04", "B08"), "workers": 0, "lake": lake}
            extract.s2("2024-03-01", "2024-10-31", aoi="demo", year=2024, **options)
            on_real_land(name, lake, "demo", 2024, truth, EPSG)
            split = set(kinds[kinds.kind != "whole"].pid.astype(str))
            there = lake.sql("select distinct pid from parts where state is not null")["pid"].to_pylist()
            print(
                f"Of these {len(set(there) & split)} are of two crops ({len(split)} are), {len(set(there) - split)} not"
            )


# -- what it costs -----------------------------------------------------------------------------------------------------


def speed(number: int) -> None:
    """Seconds of processors and memory of a search of so many parcels of 1.4 ha, of which every tenth is half mown."""
    across, cell, side = int(number**0.5), 14, 12
    rng = np.random.default_rng(1)
    width = -(-across * cell // 4) * 4
    fields = []
    mown = np.zeros((width, width))
    for k in range(across * across):
        row, column = divmod(k, across)
        west, north = LEFT + column * cell * 10 + 5, TOP - row * cell * 10 - 5
        shape = shapely.box(west, north - side * 10, west + side * 10, north)
        fields.append(Field(f"{k:07}", shape, shapely.Polygon(), "nothing"))
        if k % 10 == 0:
            mown[row * cell : (row + 1) * cell, column * cell : column * cell + 7] = 1
    with tempfile.TemporaryDirectory() as scratch:
        lake = Lake(str(Path(scratch) / "lake"))
        lake.add_parcels(AOI, YEAR, "", "v1", parcels_of(fields))
        rows = []
        for date in range(24):
            values = 0.8 - 0.35 * mown * (date >= 12) + rng.normal(0, 0.015, mown.shape)
            classes = np.full((width // 2, width // 2), 4, np.uint8)
            rows.append(scene(Path(scratch) / f"S{date}", f"S{date}", START + timedelta(5 * date), values, classes))
        lake.add_scenes(pa.Table.from_pylist(rows, schema=schemas.SCENES))
        extract.s2("2024-01-01", "2024-12-31", aoi=AOI, year=YEAR, bands=("B04", "B08"), workers=0, lake=lake)
        markers.parts(AOI, YEAR, pids=[fields[0].pid], lake=lake)  # compiles
        before, processor, clock = psutil.Process().memory_info().rss, time.process_time(), time.perf_counter()
        found = markers.parts(AOI, YEAR, lake=lake)
        seconds, elapsed = time.process_time() - processor, time.perf_counter() - clock
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    divided = found.filter(pa.compute.is_valid(found["state"])).num_rows // 2
    print(
        f"{len(fields):,} parcels, {len(rows)} dates, {divided:,} divided: {seconds:.1f} s of processors, "
        f"{elapsed:.1f} s by the clock, {1e6 * seconds / len(fields) / len(rows):.0f} µs a parcel and date; "
        f"{peak / 1e9:.1f} GB at most, {before / 1e9:.1f} GB before"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parcels", type=int, default=60, help="of each size and kind")
    parser.add_argument("--demo", action="store_true", help="plant into the generated sample")
    parser.add_argument("--herault", type=Path, help="the folder s2_herault_2018")
    parser.add_argument("--speed", type=int, help="search so many parcels")
    given = parser.parse_args()
    if given.speed:
        speed(given.speed)
    if given.demo:
        demo()
    if given.herault:
        herault(given.herault)
    if not (given.demo or given.herault or given.speed):
        made_up(given.parcels)


if __name__ == "__main__":
    main()
