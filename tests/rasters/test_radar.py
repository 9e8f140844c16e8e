"""Sentinel-1: backscatter and coherence take the same way as Sentinel-2, in linear units."""

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from ground_truth import REFERENCE, tilted_squares
from pyproj import Transformer
from rasterstats import zonal_stats

from cbm_lake import card2db, extract, parcels
from cbm_lake.lake import open_lake

pytestmark = pytest.mark.thorough


ORIGIN = (643_260, 5_676_480)
"""Upper left corner of the real rasters, EPSG:32631."""
PRODUCT = "S1A_IW_GRDH_1SDV_{day}T055000_{day}T055025_032400_03C000_ABCD_CARD_{kind}"


def outlines():
    """Turned squares of 8 to 120 m, none on the grid, one of them partly outside the rasters."""
    shapes = tilted_squares((8, 15, 30, 60, 90, 120, 75, 45), ORIGIN, (80, 560), (80, 580), seed=3)
    x, y = ORIGIN
    return [*shapes, shapely.box(x - 42, y - 77, x + 33, y + 21)]


def item(folder, day, rasters, kind):
    """A STAC item over the rasters of a day."""
    with rasterio.open(rasters["VV"]) as raster:
        box = shapely.box(*raster.bounds)
    to_degrees = Transformer.from_crs(32631, 4326, always_xy=True).transform
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": PRODUCT.format(day=day, kind=kind),
        "links": [],
        "geometry": shapely.geometry.mapping(shapely.transform(box, to_degrees, interleaved=False)),
        "properties": {
            "datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T05:50:00Z",
            "platform": "sentinel-1a",
            "proj:code": "EPSG:32631",
        },
        "assets": {band: {"href": str(path)} for band, path in rasters.items()},
    }


def filled(folder, card, days):
    """A lake with the parcels and the scenes of some days, given their rasters by band."""
    lake = open_lake(str(folder / "lake"))
    shapes = outlines()
    frame = gpd.GeoDataFrame({"pid": [f"{n}" for n in range(len(shapes))]}, geometry=shapes, crs=32631)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(folder / "parcels.parquet", "mol", 2023, pid="pid", lake=lake)
    items = folder / "items"
    items.mkdir()
    for day, rasters in days.items():
        (items / f"{day}.json").write_text(json.dumps(item(folder, day, rasters, {"bs": "BS", "c6": "COH6"}[card])))
    assert card2db.items(items, card=card, lake=lake).new == len(days)
    return lake


def assert_equal_rasterstats(lake, card, days):
    rows = {(row["obstime"].strftime("%Y%m%d"), row["pid"]): row for row in lake.sql(f"from {card}").to_pylist()}
    compared = 0
    for day, rasters in days.items():
        for band, path in rasters.items():
            truth = zonal_stats(outlines(), str(path), stats=[*REFERENCE.values()], nodata=0)
            for pid, wanted in enumerate(truth):
                row = rows.get((day, str(pid)), {f"{band}_count": 0})
                assert row[f"{band}_count"] == wanted["count"]
                if wanted["count"]:
                    found = [row[f"{band}_{name}"] for name in REFERENCE]
                    assert found == pytest.approx([wanted[name] for name in REFERENCE.values()], rel=1e-5, abs=1e-9)
                    compared += 1
    return compared


@pytest.fixture(scope="module")
def mol(realdata, tmp_path_factory):
    """Ten real acquisitions of backscatter over a wood, sigma0 as linear power."""
    folder = realdata / "s1s2_mol_2023" / "s1"
    days = sorted({path.name.split("_")[1] for path in folder.glob("S1_*_VV.tif")})
    days = {day: {band: folder / f"S1_{day}_{band}.tif" for band in ("VV", "VH")} for day in days}
    lake = filled(tmp_path_factory.mktemp("mol"), "bs", days)
    extract.bs("2023-04-01", "2023-04-30", aoi="mol", year=2023, lake=lake, workers=0, cube=False)
    return lake, days


def test_real_backscatter_equals_rasterstats(mol):
    lake, days = mol
    assert len(days) == 10
    assert assert_equal_rasterstats(lake, "bs", days) >= 2 * 10 * 8


def test_real_backscatter_of_a_wood_is_what_it_is_known_to_be(mol):
    rows = mol[0].sql("select 10 * log10(avg(VV_mean)) as vv, 10 * log10(avg(VH_mean)) as vh from bs where observable")
    (decibels,) = rows.to_pylist()
    assert -13 < decibels["vv"] < -5
    assert 3 < decibels["vv"] - decibels["vh"] < 9


def test_the_series_of_a_parcel_is_linear_and_in_order(mol):
    lake, days = mol
    rows = lake.query("time_series.bs", aoi="mol", year=2023, ptype="", pid="5", bands=None).to_pylist()
    assert [row["band"] for row in rows[:2]] == ["VH", "VV"]
    assert [row["date_part"] for row in rows] == sorted(row["date_part"] for row in rows)
    assert len(rows) == 2 * len(days)
    assert all(0 < row["mean"] < 1 for row in rows)


def coherence(path, seed, holes=None):
    """A raster of coherence on the 20 m grid of the card; `holes` is what stands where there is none."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(0.05, 0.99, (33, 32)).astype("float32")
    if holes is not None:
        values[rng.random(values.shape) < 0.2] = holes
    transform = rasterio.transform.from_origin(*ORIGIN, 20, 20)
    options = {"driver": "GTiff", "height": 33, "width": 32, "count": 1, "dtype": "float32", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=transform, **options) as raster:
        raster.write(values, 1)
    return path


@pytest.mark.parametrize("cube", [False, True])
def test_coherence_equals_rasterstats_and_zero_is_no_measurement(cube, tmp_path):
    days = {
        day: {band: coherence(tmp_path / f"{day}_{band}.tif", seed, 0) for band, seed in (("VV", 2), ("VH", 3))}
        for day in ("20230403", "20230409")
    }
    lake = filled(tmp_path, "c6", days)
    extract.c6("2023-04-01", "2023-04-30", aoi="mol", year=2023, lake=lake, workers=0, cube=cube)
    assert assert_equal_rasterstats(lake, "c6", days) > 20


def test_pixels_that_are_no_number_do_not_count(tmp_path):
    whole = coherence(tmp_path / "zero.tif", 2, 0)
    gaps = coherence(tmp_path / "nan.tif", 2, np.nan)
    days = {"20230403": {"VV": gaps, "VH": whole}}
    lake = filled(tmp_path, "c6", days)
    extract.c6("2023-04-01", "2023-04-30", aoi="mol", year=2023, lake=lake, workers=0, cube=False)
    for row in lake.sql("from c6").to_pylist():
        assert [row[f"VV_{name}"] for name in REFERENCE] == [row[f"VH_{name}"] for name in REFERENCE]
