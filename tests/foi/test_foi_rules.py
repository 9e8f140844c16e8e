"""Both versions answer as their rules say, parcel by parcel, by rasterio and scipy."""

import ast
import functools

import foi_rules
import geopandas as gpd
import numpy as np
import pytest
from affine import Affine

from cbm_lake import foi

PARCELS = 40


@pytest.fixture
def files(tmp_path, workspace):
    return functools.partial(foi_rules.write, tmp_path)


def case(seed):
    """What random numbers say: a generator, pixels, values of classes, nodata, grid and outlines."""
    rng = np.random.default_rng(seed)
    pixels, values, nodata = foi_rules.some_pixels(rng)
    size, x, y = rng.choice([10, 5, 2.5, 20, 0.7]), rng.choice([500_000, 600_003.3]), rng.choice([4.8e6, 4_900_001.7])
    up = -1 if seed % 5 else 1  # some rasters begin in the south
    grid = Affine(size, 0, x, 0, up * size, y)
    return rng, pixels, values, nodata, grid, foi_rules.some_outlines(rng, pixels, grid, PARCELS)


def pairs(text):
    return sorted(ast.literal_eval(f"[{text}]")) if text else []


@pytest.mark.parametrize("seed", range(12))
def test_version_2_answers_as_its_rules_say(seed, files):
    rng, pixels, values, nodata, grid, outlines = case(seed)
    classes = {value: f"c{place}" for place, value in enumerate(values)}
    buffer = round(-grid.a * rng.choice([0, 0, 0.3, 1, 2.2]), 3)
    low, high = float(rng.choice([0, 10, 25, 33.3, 50])), float(rng.choice([50, 66.7, 70, 100]))
    settings = buffer, low, high, int(rng.choice([4, 8])), float(rng.choice([0, 1, 7.5, 20]))
    parcels, raster = files(pixels, outlines, dtype=pixels.dtype, nodata=nodata, grid=grid)
    found = foi.v2(parcels, raster, classes, *settings)
    for row, outline in zip(found.table.to_pylist(), outlines, strict=True):
        counts = None if row["total"] is None else {value: row[name] for value, name in classes.items()}
        large = None if row["foi_c"] is None else pairs(row["clusters"])
        told = row["skipped_foih"], row["skipped_foic"], row["foi_h"], counts, row["foi_c"], large
        assert told == foi_rules.second(outline, pixels, grid, values, *settings)
    for kind in ("foih", "foic"):
        done = [one for one, why in enumerate(foi_rules.flags(found, f"skipped_{kind}"), 1) if why is None]
        assert gpd.read_file(found.files[f"{kind}_v2.shp"])["OBJECTID"].tolist() == done


@pytest.mark.parametrize("seed", range(12, 20))
def test_version_1_answers_as_its_rules_say(seed, files):
    rng, pixels, values, nodata, grid, outlines = case(seed)
    classes = {value: f"c{place}" for place, value in enumerate(values)}
    area = float(rng.choice([0, 3.3, 7, 20])) * grid.a**2
    settings = float(rng.choice([0, 25, 33.3])), float(rng.choice([50, 66.7, 100])), area
    parcels, raster = files(pixels, outlines, dtype=pixels.dtype, nodata=nodata, grid=grid)
    found = foi.v1(parcels, raster, classes, *settings)
    kept = gpd.read_parquet(found.files["foic_clusters_v1.parquet"])
    np.testing.assert_allclose(kept.geometry.area, kept["area"])
    for number, (row, outline) in enumerate(zip(found.table.to_pylist(), outlines, strict=True), 1):
        uneven, counts, shares, several, large = foi_rules.first(outline, pixels, grid, values, *settings)
        told = ({value: row[f"{before}{name}"] for value, name in classes.items()} for before in ("", "p_"))
        assert (row["foi_h"], *told, row["foi_c"]) == (uneven, counts, shares, several)
        own = kept[kept["temp_id"] == number]
        sizes = zip(own["pixelvalue"].tolist(), (own["area"] / grid.a**2).round().astype(int).tolist(), strict=True)
        assert sorted(sizes) == (large if several else [])
