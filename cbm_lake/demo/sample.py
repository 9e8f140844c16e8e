"""Writes the generated sample: parcels, Sentinel-1 and Sentinel-2 images with STAC items, and the ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray

from cbm_lake.demo import ground_truth, imagery, phenology, stac
from cbm_lake.demo.landscape import EPSG, PIXEL, Landscape, build, grid
from cbm_lake.demo.phenology import Floats
from cbm_lake.errors import InvalidInputError

Bands: TypeAlias = Mapping[str, NDArray[np.generic]]
"""Images by the name of their band, shape (rows, columns)."""

SEASON = datetime(2024, 3, 1, 10, 40, 21, tzinfo=UTC)
OPTICAL_STEP, OPTICAL_SLOTS = 5, 49
RADAR_STEP, RADAR_SLOTS = 6, 36
"""Days between overflights and how many there are until the end of October."""
FULLEST = 0.97
"""Cloud cover of an overcast day."""
_SEASON_FILE = """\
# What a night does with this sample: cbm-lake run season.yaml; docs/season.md describes each key.
season: {start: 2024-03-01, end: 2024-10-31}
areas:
  - aoi: demo
    year: 2024
    parcels: {path: parcels.gpkg, pid: parcel_id, crop_name: crop_name, crop_code: crop_code}
sources:
  - {items: s2.json, card: s2}
  - {items: bs.json, card: bs}
  - {items: c6.json, card: c6}
extract:
  s2: {}
  bs: {}
  c6: {}
exports:
  - {what: lights, path: lights.csv}
  - {what: changes, path: changes.csv}
"""
MANTISSA = 17
"""Low bits of float32 cleared in radar images: steps of 1 %, far below speckle, and half the bytes."""


@dataclass(frozen=True)
class Sample:
    """Paths of a written sample."""

    folder: Path
    parcels: Path
    """GeoPackage in EPSG:4326: parcel_id, crop_name, crop_code, farm_id; what was declared."""
    truth: Path
    """Parquet by parcel and S2 date: pid, crop, second, declared, kinds, obstime, ndvi, clouded, outside."""
    events: Path
    """Parquet: pid, crop, event, date."""
    items: dict[str, Path]
    """Card ("s2", "bs", "c6") to STAC item collection, hrefs absolute; those of single items are relative."""

    @property
    def kinds(self) -> Path:
        """Parquet by parcel: pid, declared, crop, second, kind (whole, split, mixed, wrong_crop), pixels, share.

        share is that of the second crop in the parcel's pixels; only parcels that hold a pixel's centre are there.
        """
        return self.folder / "kinds.parquet"

    @property
    def season(self) -> Path:
        """YAML of a night run over the sample."""
        return self.folder / "season.yaml"

    @property
    def cover(self) -> Path:
        """GeoTIFF, uint8: true land cover of each pixel; class names are in cover.yml beside it."""
        return self.folder / "cover.tif"


@dataclass(frozen=True)
class _Weather:
    """What hides the ground on each Sentinel-2 date."""

    cover: NDArray[np.float64]
    """Share of the image under cloud."""
    edge: int
    """The date on which the swath ends inside the image."""


@dataclass(frozen=True)
class _World:
    """All random draws before the first image."""

    landscape: Landscape
    ground: imagery.Ground
    seed: int

    def rng(self, card: str, number: int) -> np.random.Generator:
        """Random generator of one image, independent of all others."""
        return np.random.default_rng([self.seed, *card.encode(), number])


def write(
    folder: Path,
    *,
    seed: int = 2024,
    dates: int = 24,
    size: int = 480,
    progress: Callable[[int, int], None] | None = None,
) -> Sample:
    """Write the sample of a simulated season (March to October 2024) and return its paths.

    What is there under the same names is overwritten, nothing is removed.

    Args:
        dates: number of Sentinel-2 scenes, 1 to 49; Sentinel-1 is in proportion (36 at 24, from April).
        size: width and height of the place in pixels of 10 m, a multiple of 4, at least 120.
        progress: called with the number of images written so far, and their total.
    """
    if not 1 <= dates <= OPTICAL_SLOTS:
        raise InvalidInputError(f"cannot write a sample of {dates} dates: give 1 to {OPTICAL_SLOTS}")
    if size < 120 or size % 4:
        raise InvalidInputError(f"cannot write a sample of {size} pixels: give a multiple of 4, at least 120")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    world = _world(seed, size)
    seasons = {"s2": _optical_passes(dates, seed), "bs": _radar_passes(dates), "c6": _radar_passes(dates)}
    pictures = _pictures(world, seasons, folder)
    items, truth = _collect(pictures, sum(len(passes) for passes in seasons.values()), progress)
    return _finish(world, folder, items, truth)


def _world(seed: int, size: int) -> _World:
    """The place and its year."""
    rng = np.random.default_rng(seed)
    landscape = build(size, rng)
    growth = phenology.draw(landscape.covers, rng)
    return _World(landscape, imagery.ground(growth, landscape.labels, rng), seed)


def _optical_passes(dates: int, seed: int) -> list[stac.Pass]:
    """Some of the overflights by S2A and S2B in turn every 5 days; the first eighth is of old baseline."""
    edges = np.linspace(0, OPTICAL_SLOTS, dates + 1).astype(int)
    rng = np.random.default_rng([seed, 5])
    slots = [int(rng.integers(first, last)) for first, last in pairwise(edges)]
    old = max(1, dates // 8)
    return [
        stac.Pass(
            SEASON + timedelta(days=OPTICAL_STEP * slot),
            "S2A" if slot % 2 == 0 else "S2B",
            baseline="02.14" if number < old else "05.10",
        )
        for number, slot in enumerate(slots)
    ]


def _radar_passes(dates: int) -> list[stac.Pass]:
    """Overflights every 6 days (fewer for a sample with fewer dates), evening and morning in turn."""
    count = min(RADAR_SLOTS, -(-RADAR_SLOTS * dates // 24))
    slots = np.linspace(0, RADAR_SLOTS - 1, count).round().astype(int)
    start = datetime(2024, 4, 2, tzinfo=UTC)
    hours = (timedelta(hours=17, minutes=24, seconds=20), timedelta(hours=5, minutes=49, seconds=10))
    orbits = ("ascending", "descending")
    return [
        stac.Pass(start + timedelta(days=RADAR_STEP * int(slot)) + hours[slot % 2], "S1A", orbit=orbits[slot % 2])
        for slot in slots
    ]


def _weather(dates: int, seed: int) -> _Weather:
    """Clouds on half of the dates, two of them overcast, and a swath edge on a clear one."""
    rng = np.random.default_rng([seed, 8])
    order = rng.permutation(dates)
    overcast = 2 if dates >= 8 else int(dates >= 4)
    cloudy = dates // 2
    cover = np.zeros(dates)
    cover[order[:cloudy]] = rng.uniform(0.06, 0.6, cloudy)
    cover[order[:overcast]] = FULLEST
    return _Weather(cover, int(order[-1]) if dates > 1 else -1)


def _pictures(
    world: _World, seasons: dict[str, list[stac.Pass]], folder: Path
) -> Iterator[tuple[str, stac.Item, pd.DataFrame | None]]:
    """Write image after image; yields card, item and, for Sentinel-2, the truth."""
    weather = _weather(len(seasons["s2"]), world.seed)
    makers: dict[str, Callable[..., tuple[stac.Item, Bands, pd.DataFrame | None]]] = {
        "s2": partial(_optical, weather=weather),
        "bs": _backscatter,
        "c6": _coherence,
    }
    for card, passes in seasons.items():
        for number, overpass in enumerate(passes):
            item, bands, truth = makers[card](world, number, overpass)
            yield card, _store(item, bands, folder / card, world.landscape), truth


def _collect(
    pictures: Iterator[tuple[str, stac.Item, pd.DataFrame | None]],
    total: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, list[stac.Item]], pd.DataFrame]:
    """The items of each card and the whole truth."""
    items: dict[str, list[stac.Item]] = {}
    truths = []
    for done, (card, item, truth) in enumerate(pictures, start=1):
        items.setdefault(card, []).append(item)
        truths += [truth] if truth is not None else []
        if progress is not None:
            progress(done, total)
    return items, pd.concat(truths, ignore_index=True)


def _day(overpass: stac.Pass) -> float:
    """Day of the year."""
    return float(overpass.time.timetuple().tm_yday)


def _optical(
    world: _World, number: int, overpass: stac.Pass, weather: _Weather
) -> tuple[stac.Item, Bands, pd.DataFrame]:
    """Item, stored bands and truth of a Sentinel-2 scene."""
    rng = world.rng("s2", number)
    landscape, day = world.landscape, _day(overpass)
    shape = (landscape.labels.shape[0], landscape.labels.shape[1])
    clear = world.ground.reflectance(day)
    above = imagery.sky(shape, float(weather.cover[number]), rng)
    footprint = _footprint(landscape, cut=number == weather.edge)
    inside = _inside(footprint, shape)
    scl = imagery.scene_classes(world.ground.ndvi(day), above) * inside[::2, ::2]
    seen_bands = imagery.observed(clear, above, rng)
    bands: Bands = {name: _stored(band, overpass.offset, inside) for name, band in seen_bands.items()}
    item = stac.optical_item(overpass, footprint, shape, landscape.transform, scl)
    return item, {**bands, "SCL": scl}, ground_truth.of_scene(landscape, overpass.time, clear, scl)


def _footprint(landscape: Landscape, *, cut: bool) -> shapely.Geometry:
    """The ground that a scene shows; a swath edge runs from north to south, leaning like the orbit."""
    size = landscape.labels.shape[0] * landscape.transform.a
    west, north = landscape.transform.c, landscape.transform.f
    if not cut:
        return shapely.box(west, north - size, west + size, north)
    top, bottom = west + 0.78 * size, west + 0.55 * size
    return shapely.Polygon([(west, north), (top, north), (bottom, north - size), (west, north - size)])


def _inside(footprint: shapely.Geometry, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Which 10 m pixels are in the footprint; whole 20 m pixels are either in or out."""
    half = (shape[0] // 2, shape[1] // 2)
    coarse = rasterio.features.geometry_mask([footprint], half, grid(2 * PIXEL), invert=True)
    return np.asarray(coarse.repeat(2, axis=0).repeat(2, axis=1), dtype=bool)


def _stored(band: NDArray[np.float64], offset: int, inside: NDArray[np.bool_]) -> NDArray[np.uint16]:
    """Reflectance as the product stores it: uint16, 0 outside the swath and nowhere else."""
    valid = inside if band.shape == inside.shape else inside[::2, ::2]
    numbers = np.round(band * 10_000 - offset).clip(1, 65_535)
    return np.asarray(np.where(valid, numbers, 0).astype(np.uint16))


def _backscatter(world: _World, number: int, overpass: stac.Pass) -> tuple[stac.Item, Bands, None]:
    """Item and stored bands of a backscatter image."""
    rng = world.rng("bs", number)
    wet = float(rng.uniform(-1.2, 1.8)) + (0.3 if overpass.orbit == "ascending" else 0)
    bands = world.ground.backscatter(_day(overpass), wet, rng)
    return _radar(world, overpass, "bs", bands)


def _coherence(world: _World, number: int, overpass: stac.Pass) -> tuple[stac.Item, Bands, None]:
    """Item and stored bands of a coherence image, dated by the later of its two images."""
    bands = world.ground.coherence(_day(overpass), RADAR_STEP, world.rng("c6", number))
    return _radar(world, overpass, "c6", bands)


def _radar(world: _World, overpass: stac.Pass, card: str, bands: Mapping[str, Floats]) -> tuple[stac.Item, Bands, None]:
    """Item and stored bands of a radar image, on the grid that its arrays have."""
    shape = bands["vv"].shape
    transform = grid(PIXEL * len(world.landscape.labels) / len(bands["vv"]))
    item = stac.radar_item(overpass, card, _footprint(world.landscape, cut=False), shape, transform)
    return item, {name.upper(): _coarse_floats(band) for name, band in bands.items()}, None


def _coarse_floats(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The values as float32 with few significant bits, which deflate well."""
    bits = values.astype(np.float32).view(np.uint32)
    rounded = (bits + np.uint32(1 << (MANTISSA - 1))) & np.uint32(0xFFFFFFFF << MANTISSA & 0xFFFFFFFF)
    return rounded.view(np.float32)


def _store(item: stac.Item, bands: Bands, folder: Path, landscape: Landscape) -> stac.Item:
    """Write a scene's rasters and its item with relative hrefs; returns the item with absolute ones."""
    home = folder / item["id"]
    home.mkdir(parents=True, exist_ok=True)
    for name, pixels in bands.items():
        _write_cog(home / f"{name}.tif", pixels, grid(PIXEL * len(landscape.labels) / len(pixels)))
    (home / f"{item['id']}.json").write_text(json.dumps(item, indent=1), encoding="utf-8")
    assets = {
        key: {**asset, "href": str((home / Path(asset["href"]).name).resolve())}
        for key, asset in item["assets"].items()
    }
    return {**item, "assets": assets}


def _write_cog(path: Path, pixels: NDArray[np.generic], transform: Affine) -> None:
    """A cloud-optimised GeoTIFF with blocks of 256 pixels, without overviews."""
    height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        driver="COG",
        height=height,
        width=width,
        count=1,
        dtype=pixels.dtype,
        crs=EPSG,
        transform=transform,
        nodata=0,
        compress="DEFLATE",
        blocksize=256,
        overviews="NONE",
        predictor="YES",
    ) as raster:
        raster.write(pixels, 1)


def _finish(world: _World, folder: Path, items: dict[str, list[stac.Item]], truth: pd.DataFrame) -> Sample:
    """Write what concerns all scenes."""
    sample = Sample(
        folder,
        folder / "parcels.gpkg",
        folder / "truth.parquet",
        folder / "events.parquet",
        {card: folder / f"{card}.json" for card in items},
    )
    for card, features in items.items():
        collection = {"type": "FeatureCollection", "features": features}
        sample.items[card].write_text(json.dumps(collection), encoding="utf-8")
    ground_truth.declaration(world.landscape.parcels).to_file(sample.parcels, layer="parcels", driver="GPKG")
    truth.to_parquet(sample.truth, index=False)
    ground_truth.events(world.ground.growth, world.landscape).to_parquet(sample.events, index=False)
    ground_truth.kinds(world.landscape).to_parquet(sample.kinds, index=False)
    sample.season.write_text(_SEASON_FILE, encoding="utf-8")
    _write_cover(world.landscape, sample.cover)
    return sample


def _write_cover(landscape: Landscape, path: Path) -> None:
    """The covers as a raster of classes, numbered from 1, and the names of the classes as YAML."""
    names = list(phenology.COVERS)
    classes = np.array([names.index(cover) + 1 for cover in landscape.covers], np.uint8)
    _write_cog(path, classes[landscape.labels], landscape.transform)
    lines = [f"  {number}: {name}\n" for number, name in enumerate(names, start=1)]
    path.with_suffix(".yml").write_text("category_map:\n" + "".join(lines), encoding="utf-8")
