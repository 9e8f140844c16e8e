"""Sentinel-1 corrected for terrain as providers have it: Planetary Computer, OPERA bursts, Sentinel-1 RTC on AWS."""

import json

import numpy as np
import pytest
import shapely
from ground_truth import SIZE, X, Y, check, extracted, load, power, write

from cbm_lake import card2db

pytestmark = pytest.mark.thorough


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
BURST = "OPERA_L2_RTC-S1_T069-147170-IW1_20240501T055001Z_20240501T113128Z_S1A_30_v1.0"


def items(folder, *documents):
    file = folder / "items.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(documents)}))
    return file


def item(name, assets, **properties):
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "links": [],
        "assets": assets,
        "geometry": shapely.geometry.mapping(shapely.box(2.9, 43.2, 3.1, 43.5)),
        "properties": {"datetime": "2024-05-01T05:50:01Z", "platform": "Sentinel-1A", **properties},
    }


def rasters(folder, nodata, seed=0, **options):
    """VV and VH with a strip of nodata and a nodata hole; the arrays with nodata 0."""
    arrays = {}
    for number, band in enumerate(("VV", "VH")):
        pixels = power(seed + number) + np.float32(0.001)
        pixels[:4] = pixels[40:45, 40:70] = nodata
        write(folder / f"{band}.tif", pixels, nodata=nodata, **{**TILED, **options})
        arrays[band] = np.where(np.isnan(pixels) | (pixels == nodata), 0, pixels)
    return arrays


@pytest.mark.parametrize("nodata", [-32768.0, float("nan"), 0.0, -9999.0])
def test_nodata_of_any_provider_counts_nowhere(lake, tmp_path, nodata):
    arrays = rasters(tmp_path / "a", nodata)
    name = "S1A_IW_GRDH_1SDV_20240501T055001_20240501T055026_053680_0684F5_rtc"
    assets = {band.lower(): {"href": str(tmp_path / f"a/{band}.tif"), "type": "image/tiff"} for band in arrays}
    load(lake, tmp_path)
    found = card2db.items(items(tmp_path, item(name, assets)), card="bs", lake=lake)
    assert found == card2db.Ingested(1, 1)
    extracted(lake, "bs")
    check(lake, "bs", name, arrays)


def test_the_real_items_of_planetary_computer_and_aws_have_their_bands(realdata, lake):
    stac = realdata / "stac"
    for file in (
        stac
        / "planetary_computer/sentinel-1-rtc/S1A_IW_GRDH_1SDV_20250311T044231_20250311T044249_058252_073302_rtc.json",
        stac / "stactools/s1_S1A_20200103_17RMJ_ASC.json",
    ):
        assert card2db.items(file, card="bs", lake=lake) == card2db.Ingested(1, 1)
    rows = lake.sql("select * from scenes order by obstime").to_pylist()
    assert [row["acquisition"] for row in rows] == [
        "bs/S1A/20200103T233556/17RMJ",
        "bs/S1A/20250311T044231/20250311T044249",
    ]
    assert all(row["assets"][band]["href"].startswith("https://") for row in rows for band in ("VV", "VH"))


def burst(folder, name, seed=0, column=0):
    arrays = rasters(folder / name, float("nan"), seed, corner=(X + column, Y))
    keys = {band: {"href": str(folder / name / f"{band}.tif")} for band in arrays}
    keys["mask"] = {"href": str(folder / name / "mask.tif")}
    return item(name, keys), arrays


def test_bursts_of_one_pass_are_neighbours_and_all_count(lake, tmp_path):
    names = [BURST, BURST.replace("IW1", "IW2"), BURST.replace("147170", "147171")]
    bursts = [burst(tmp_path, name, number, 10 * SIZE * number) for number, name in enumerate(names)]
    load(lake, tmp_path)
    found = card2db.items(items(tmp_path, *(one for one, _ in bursts)), card="bs", lake=lake)
    assert found == card2db.Ingested(3, 3)
    rows = lake.sql("select id, acquisition, superseded, sensor from scenes order by id").to_pylist()
    assert len({row["acquisition"] for row in rows}) == 3
    assert {(row["superseded"], row["sensor"]) for row in rows} == {(False, "S1A")}
    extracted(lake, "bs")
    check(lake, "bs", BURST, bursts[0][1])


def test_a_burst_that_was_processed_again_is_the_same_acquisition(lake, tmp_path):
    again = BURST.replace("113128", "193128")
    bursts = [burst(tmp_path, name)[0] for name in (BURST, again)]
    card2db.items(items(tmp_path, *bursts), card="bs", lake=lake)
    rows = lake.sql("select acquisition from scenes").to_pylist()
    assert [row["acquisition"] for row in rows] == ["bs/S1A/20240501T055001/T069-147170-IW1"] * 2


def test_a_granule_of_opera_on_disk_is_read_by_a_pattern(lake, tmp_path):
    arrays = {}
    for number, band in enumerate(("VV", "VH", "mask")):
        pixels = power(number) + np.float32(0.001)
        pixels[:4] = np.nan
        path = tmp_path / f"in/{BURST}/{BURST}_{band}.tif"
        write(path, pixels if band != "mask" else np.zeros((SIZE, SIZE), np.uint8), **TILED)
        arrays[band] = np.nan_to_num(pixels)
    load(lake, tmp_path)
    pattern = str(tmp_path / "in/*/OPERA_L2_RTC-S1_{tile}_{date}_*_{sensor}_30_v1.0_{band}.tif")
    assert card2db.files(pattern, "bs", unit="linear", lake=lake) == card2db.Ingested(1, 1)
    (row,) = lake.sql("select * from scenes").to_pylist()
    assert row["acquisition"].startswith("bs/S1A/20240501T055001/20240501T055001_S1A_T069-147170-IW1_")
    extracted(lake, "bs")
    check(lake, "bs", row["id"], {band: arrays[band] for band in ("VV", "VH")})
