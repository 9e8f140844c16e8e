"""A full Sentinel-2 tile and its parcels, made up: the material of the benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from affine import Affine

EPSG = 32631
SIZE = 10980
LEFT, TOP = 499_980.0, 4_900_020.0


def transform(pixel: int = 10) -> Affine:
    """Of the tile's grid with that pixel size in metres."""
    return Affine(pixel, 0, LEFT, 0, -pixel, TOP)


def fields(count: int, *, size: int = SIZE, seed: int = 0) -> Any:
    """Irregular fields of about 1.5 ha (median), log-normal, anywhere on the tile, ordered as a lake orders them."""
    rng = np.random.default_rng(seed)
    corners = rng.integers(4, 13, count)
    area = np.exp(rng.normal(np.log(15_000), 0.9, count)).clip(300, 400_000)
    radius = np.sqrt(area / np.pi)
    x = LEFT + rng.uniform(500, size * 10 - 500, count)
    y = TOP - rng.uniform(500, size * 10 - 500, count)
    owner = np.repeat(np.arange(count), corners)
    start = np.repeat(np.cumsum(corners) - corners, corners)
    angle = (np.arange(owner.size) - start + rng.uniform(0.1, 0.9, owner.size)) / corners[owner] * 2 * np.pi
    reach = radius[owner] * rng.uniform(0.75, 1.3, owner.size)
    points = np.column_stack([x[owner] + reach * np.cos(angle), y[owner] + reach * np.sin(angle)])
    polygons = shapely.polygons(shapely.linearrings(points, indices=owner))
    return polygons[np.lexsort((x, (y // 5120)))]


def reflectance(size: int, seed: int = 0) -> np.ndarray:
    """DN as fields have them: patches of different brightness, texture, a little nodata at one corner; uint16."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(1200, 4800, (size // 60 + 1, size // 60 + 1), dtype=np.uint16)
    values = np.kron(patches, np.ones((60, 60), np.uint16))[:size, :size]
    values += rng.normal(0, 60, (size, size)).astype(np.int16).astype(np.uint16)
    values[: size // 20, : size // 10] = 0
    return values


def write_cog(path: Path, values: np.ndarray, pixel: int) -> Path:
    """The array as a cloud-optimised GeoTIFF, as providers write them: deflate, predictor 2, blocks of 512."""
    profile = {"driver": "COG", "count": 1, "dtype": values.dtype, "height": values.shape[0], "width": values.shape[1]}
    options = {"compress": "DEFLATE", "predictor": "YES", "blocksize": 512, "overviews": "NONE", "bigtiff": "NO"}
    place = {"crs": f"EPSG:{EPSG}", "transform": transform(pixel), "nodata": 0}
    with rasterio.open(path, "w", **place, **profile, **options) as file:
        file.write(values, 1)
    return path


def write_jp2(path: Path, values: np.ndarray, pixel: int) -> Path:
    """The array as JPEG 2000 without loss, in tiles of 1024, as ESA's products come."""
    profile = {"driver": "JP2OpenJPEG", "count": 1, "dtype": values.dtype}
    size = {"height": values.shape[0], "width": values.shape[1]}
    options = {"QUALITY": "100", "REVERSIBLE": "YES", "BLOCKXSIZE": 1024, "BLOCKYSIZE": 1024}
    with rasterio.open(path, "w", crs=f"EPSG:{EPSG}", transform=transform(pixel), **profile, **size, **options) as file:
        file.write(values, 1)
    return path
