"""Rasters on a small piece of ground with five parcels, and what rasterstats finds in them."""

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterstats import zonal_stats

from cbm_lake import extract, parcels

X, Y, SIZE = 500_000, 4_800_000, 120
"""Upper left corner in EPSG:32631, and pixels of 10 m a side."""
SHAPES = [
    shapely.box(X + 100 * i + 13, Y - 100 * j - 87, X + 100 * i + 83, Y - 100 * j - 11)
    for i, j in ((0, 0), (2, 1), (4, 4), (7, 8), (10, 10))
]
YEAR = {"aoi": "ms", "year": 2024}
REFERENCE = {
    "count": "count",
    "mean": "mean",
    "std": "std",
    "min": "min",
    "max": "max",
    "p25": "percentile_25",
    "p50": "percentile_50",
    "p75": "percentile_75",
}
"""The stored statistics, and what rasterstats calls them."""


def tilted_squares(sizes, corner, east, south, seed):
    """Squares off the grid, each turned by another angle.

    Args:
        sizes: half a diagonal of each, metres.
        corner: x and y of the upper left corner of the ground.
        east: metres from there to the centres, least and most.
        south: the same downwards.
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    shapes = []
    for size in sizes:
        x, y = corner[0] + rng.uniform(*east), corner[1] - rng.uniform(*south)
        angles = rng.uniform(0, 6) + np.arange(4) * np.pi / 2
        shapes.append(shapely.Polygon([(x + size * np.cos(angle), y + size * np.sin(angle)) for angle in angles]))
    return shapes


def write(path, pixels, metres=10, driver="GTiff", descriptions=(), epsg=32631, corner=(X, Y), **profile):
    """An array (rows, columns) or (bands, rows, columns) as a raster."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    count, height, width = pixels.shape
    place = {"crs": f"EPSG:{epsg}", "transform": Affine(metres, 0, corner[0], 0, -metres, corner[1])}
    kind = {"driver": driver, "width": width, "height": height, "count": count, "dtype": pixels.dtype, **place}
    with rasterio.open(path, "w", **{**kind, **profile}) as file:
        file.write(pixels)
        for number, text in enumerate(descriptions, 1):
            file.set_band_description(number, text)
    return path


def power(seed=0, size=SIZE):
    """Backscatter as linear power, some nodata."""
    pixels = np.random.default_rng(seed).gamma(2, 0.05, (size, size)).astype(np.float32)
    pixels[:3] = 0
    return pixels


def coherence(seed=0):
    return np.random.default_rng(seed).uniform(0.05, 0.95, (SIZE, SIZE)).astype(np.float32)


def dn(seed=0, size=SIZE, dtype="uint16"):
    return np.random.default_rng(seed).integers(1100, 4000, (size, size)).astype(dtype)


def load(lake, folder):
    """The five parcels as area ms of 2024, in the lake."""
    names = [f"00{number}" for number in range(len(SHAPES))]
    file = folder / "parcels.gpkg"
    gpd.GeoDataFrame({"pid": names, "crop": "wheat"}, geometry=SHAPES, crs=32631).to_file(file, driver="GPKG")
    parcels.load(file, pid="pid", crop_name="crop", lake=lake, **YEAR)


def extracted(lake, card, **options):
    """Every scene of a card extracted in this process."""
    return extract.extract(card, "2015-01-01", "2030-12-31", workers=0, lake=lake, **{**YEAR, **options})


def check(lake, card, scene, truths, offset=0):
    """Compare the statistics of a scene with those of rasterstats.

    Args:
        lake: where it is extracted.
        card: of the scene.
        scene: its id.
        truths: of each band a raster, or an array (rows, columns) of linear values on the ground with nodata 0.
        offset: of the scene.
    """
    rows = lake.sql(f"select * from {card} where scene = $scene order by pid", scene=scene).to_pylist()  # noqa: S608
    assert len(rows) == len(SHAPES)
    for band, truth in truths.items():
        source, place = (truth, None) if not isinstance(truth, np.ndarray) else (truth, Affine(10, 0, X, 0, -10, Y))
        expected = zonal_stats(SHAPES, source, affine=place, nodata=0, stats=[*REFERENCE.values()])
        for row, values in zip(rows, expected, strict=True):
            assert row[f"{band}_count"] == values["count"] > 0
            for name, key in REFERENCE.items():
                shift = 0 if name in ("count", "std") else offset
                assert row[f"{band}_{name}"] == pytest.approx(values[key] + shift, rel=2e-6), (band, name)
