"""Cataloguing: real answers of every provider, a real STAC server, SAFE folders, and what can go wrong."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import rasterio.shutil
import rasterio.warp
import shapely
from stac_server import answering, free_port, serving

from cbm_lake import card2db, cards
from cbm_lake.card2db import hrefs, scene, stacapi
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import schemas

ALL = ["B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12", "SCL"]
RADAR = ["VV", "VH"]
BOX = (3.29, 43.6, 3.33, 43.65)
TILE = (500000, 4890240, 31)  # somewhere in EPSG:32631


def normalised(path, card="s2"):
    document = json.loads(path.read_text())
    if document["type"] == "FeatureCollection":
        document = document["features"][0]
    return scene.to_row(document, card, "test", str(path))


def bands(row):
    return sorted((name for name, asset in row["assets"].items() if asset), key=cards.ASSETS.index)


# -- what providers send ------------------------------------------------------------------------------------------

S2_ANSWERS = {
    # file: sensor, baseline, offset, crs, tile, relative orbit, orbit state, start of datatake, time, reference
    "earth_search_v1/sentinel-2-l2a/S2B_20EPT_20250731_0_L2A.json": (
        "S2B",
        "05.11",
        0,
        "EPSG:32720",
        "20EPT",
        95,
        None,
        "20250731T131909",
        "2025-07-31T13:19:22.930",
        "S2B_MSIL2A_20250731T131909_N0511_R095_T20EPT_20250731T143919",
    ),
    "earth_search_v1/S2A_32TPS_20230602_0_L2A.json": (
        "S2A",
        "05.09",
        0,
        "EPSG:32632",
        "32TPS",
        22,
        None,
        "20230602T100601",
        "2023-06-02T10:18:03.169",
        "S2A_MSIL2A_20230602T100601_N0509_R022_T32TPS_20230602T162001",
    ),
    "earth_search_v1/sentinel-2-c1-l2a/S2B_T20EPT_20250731T131905_L2A.json": (
        "S2B",
        "05.11",
        -1000,
        "EPSG:32720",
        "20EPT",
        95,
        None,
        "20250731T131909",
        "2025-07-31T13:19:22.930",
        "S2B_MSIL2A_20250731T131909_N0511_R095_T20EPT_20250731T143919",
    ),
    "earth_search_v0_legacy/S2A_28QCH_20200714_0_L2A.json": (
        "S2A",
        "02.14",
        0,
        "EPSG:32628",
        "28QCH",
        123,
        None,
        "20200714T115221",
        "2020-07-14T11:55:52.000",
        "S2A_MSIL2A_20200714T115221_N0214_R123_T28QCH_20200714T191310",
    ),
    "planetary_computer/sentinel-2-l2a/S2B_MSIL2A_20250312T014549_R074_T53NKG_20250312T041213.json": (
        "S2B",
        "05.11",
        -1000,
        "EPSG:32653",
        "53NKG",
        74,
        "descending",
        "20250312T014549",
        "2025-03-12T01:45:49.024",
        "S2B_MSIL2A_20250312T014549_N0511_R074_T53NKG_20250312T041213",
    ),
    "planetary_computer/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": (
        "S2B",
        "02.12",
        0,
        "EPSG:32606",
        "06VVN",
        43,
        "descending",
        "20190629T212529",
        "2019-06-29T21:25:29.024",
        "S2B_MSIL2A_20190629T212529_N0212_R043_T06VVN_20201006T080531",
    ),
    "cdse_stac/S2B_N0500_T36NYH_FeatureCollection.json": (
        "S2B",
        "05.00",
        -1000,
        "EPSG:32636",
        "36NYH",
        135,
        "descending",
        "20200322T074609",
        "2020-03-22T07:46:09.024",
        "S2B_MSIL2A_20200322T074609_N0500_R135_T36NYH_20230612T214223",
    ),
    "cdse_stac/S2C_N0512_T55WFR_FeatureCollection.json": (
        "S2C",
        "05.12",
        -1000,
        "EPSG:32655",
        "55WFR",
        17,
        "descending",
        "20260527T014651",
        "2026-05-27T01:46:51.025",
        "S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005",
    ),
    "stactools/S2A_T07HFE_20190212T192646_L2A.json": (
        "S2A",
        "02.12",
        0,
        "EPSG:32707",
        "07HFE",
        13,
        "descending",
        "20190212T192651",
        "2019-02-12T19:26:51.024",
        "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857",
    ),
    "eopf/S2A_MSIL2A_20250831T103701_N0511_R008_T31TFL_20250831T145420.json": (
        "S2A",
        "05.11",
        -1000,
        "EPSG:32631",
        "31TFL",
        8,
        "descending",
        "20250831T103701",
        "2025-08-31T10:37:01.024",
        "S2A_MSIL2A_20250831T103701_N0511_R008_T31TFL_20250831T145420",
    ),
    "eopf/S2A_MSIL2A_20251113T102311_N0511_R065_T32TNQ_20251113T142515.json": (
        "S2A",
        "05.11",
        -1000,
        "EPSG:32632",
        "32TNQ",
        65,
        "descending",
        "20251113T102311",
        "2025-11-13T10:23:11.024",
        "S2A_MSIL2A_20251113T102311_N0511_R065_T32TNQ_20251113T142515",
    ),
}


@pytest.mark.parametrize("file", S2_ANSWERS)
def test_a_real_sentinel_2_item_becomes_the_row_that_was_worked_out_by_hand(realdata, file):
    row = normalised(realdata / "stac" / file)
    sensor, baseline, offset, crs, tile, orbit, state, taken, when, reference = S2_ANSWERS[file]
    assert row["sensor"] == sensor
    assert row["s2:processing_baseline"] == baseline
    assert row["boa_offset"] == offset
    assert row["proj:code"] == crs
    assert row["grid:code"] == f"MGRS-{tile}"
    assert (row["sat:relative_orbit"], row["sat:orbit_state"]) == (orbit, state)
    assert row["acquisition"] == f"s2/{sensor}/{taken}/{tile}"
    assert row["datetime"] == datetime.fromisoformat(f"{when}+00:00")
    assert row["reference"] == reference
    assert row["card"] == "s2"
    assert bands(row) == ALL
    assert 0 <= row["eo:cloud_cover"] <= 100


@pytest.mark.parametrize(
    ("file", "key", "href"),
    [
        (
            "earth_search_v1/sentinel-2-l2a/S2B_20EPT_20250731_0_L2A.json",
            "B8A",
            "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/20/E/PT/2025/7/S2B_20EPT_20250731_0_L2A/B8A.tif",
        ),
        (
            "cdse_stac/S2C_N0512_T55WFR_FeatureCollection.json",
            "B05",
            (
                "s3://eodata/Sentinel-2/MSI/L2A/2026/05/27/"
                "S2C_MSIL2A_20260527T014651_N0512_R017_T55WFR_20260527T042005.SAFE/GRANULE/"
                "L2A_T55WFR_A008996_20260527T014647/IMG_DATA/R20m/T55WFR_20260527T014651_B05_20m.jp2"
            ),
        ),
        (
            "eopf/S2A_MSIL2A_20250831T103701_N0511_R008_T31TFL_20250831T145420.json",
            "B11",
            (
                "https://esa-zarr-sentinel-explorer-fra.s3.de.io.cloud.ovh.net/tests-output/sentinel-2-l2a-staging/"
                "S2A_MSIL2A_20250831T103701_N0511_R008_T31TFL_20250831T145420.zarr/measurements/reflectance/r20m/b11"
            ),
        ),
        (
            "eopf/S2A_MSIL2A_20251113T102311_N0511_R065_T32TNQ_20251113T142515.json",
            "B04",
            (
                "https://objects.eodc.eu:443/e05ab01a9d56408d82ac32d69a5aae2a:202511-s02msil2a-eu/13/products/cpm_v262/"
                "S2A_MSIL2A_20251113T102311_N0511_R065_T32TNQ_20251113T142515.zarr/measurements/reflectance/r10m/b04"
            ),
        ),
    ],
)
def test_the_asset_of_a_band_is_the_one_at_its_own_pixel_size_and_a_cog_where_there_is_a_choice(
    realdata, file, key, href
):
    assert normalised(realdata / "stac" / file)["assets"][key]["href"] == href


@pytest.mark.parametrize("file", [name for name in S2_ANSWERS if name.startswith(("cdse", "stactools", "planetary"))])
def test_every_band_is_taken_at_the_pixel_size_of_the_card(realdata, file):
    row = normalised(realdata / "stac" / file)
    for band, metres in {**cards.S2.resolutions, "SCL": 20}.items():
        assert f"_{band}_{metres}m." in row["assets"][band]["href"]


def test_relative_hrefs_start_from_the_file_that_the_item_was_read_from(realdata):
    file = realdata / "stac/stactools/S2A_T07HFE_20190212T192646_L2A.json"
    href = normalised(file)["assets"]["B04"]["href"]
    stated = json.loads(file.read_text())["assets"]["red"]["href"]
    assert href == str((file.parent / stated).resolve())


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "planetary_computer/sentinel-1-rtc/S1A_IW_GRDH_1SDV_20250311T044231_20250311T044249_058252_073302_rtc.json",
            ("S1A", "EPSG:32634", None, 80, "descending", "bs/S1A/20250311T044231/20250311T044249"),
        ),
        (
            "stactools/s1_S1A_20200103_17RMJ_ASC.json",
            ("S1A", "EPSG:32617", "MGRS-17RMJ", 121, "ascending", "bs/S1A/20200103T233556/17RMJ"),
        ),
    ],
)
def test_a_real_sentinel_1_item_becomes_the_row_that_was_worked_out_by_hand(realdata, file, expected):
    row = normalised(realdata / "stac" / file, "bs")
    names = ("sensor", "proj:code", "grid:code", "sat:relative_orbit", "sat:orbit_state", "acquisition")
    assert tuple(row[name] for name in names) == expected
    assert (row["boa_offset"], row["s2:processing_baseline"]) == (0, None)
    assert bands(row) == RADAR


@pytest.mark.parametrize(
    ("file", "card", "reason"),
    [
        ("sentinel-2-l1c/S2B_24MUV_20250731_0_L1C.json", "s2", "Level-1C"),
        ("sentinel-2-l2a/S2B_24MUV_20250731_0_L2A.json", "bs", "card bs is of Sentinel-1"),
        (
            "sentinel-1-grd/S1A_IW_GRDH_1SSH_20250731T135608_20250731T135637_060328_077F7E.json",
            "bs",
            "GRD in radar geometry .* use sentinel-1-rtc of Planetary Computer",
        ),
    ],
)
def test_what_cannot_be_a_scene_of_the_card_is_refused_with_the_reason(realdata, file, card, reason):
    with pytest.raises(InvalidInputError, match=reason):
        normalised(realdata / "stac/earth_search_v1" / file, card)


def test_one_acquisition_has_one_key_at_both_collections_of_earth_search_whatever_their_times(realdata):
    folder = realdata / "stac/earth_search_v1"
    keys = [
        {normalised(file)["acquisition"] for file in (folder / name).glob("*.json")}
        for name in ("sentinel-2-l2a", "sentinel-2-c1-l2a")
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) == 6


def test_real_stac_geoparquet_files_are_catalogued_whole(realdata, lake):
    found = card2db.geoparquet(
        realdata / "stac/planetary_computer/100-sentinel-2-items.stac-geoparquet.parquet", lake=lake
    )
    assert found == card2db.Ingested(100, 100)
    radar = realdata / "stac/cdse_stac/sentinel-1-global-mosaics.stac-geoparquet.parquet"
    refused = card2db.geoparquet(radar, card="bs", lake=lake)
    assert (refused.found, refused.new, len(refused.skipped)) == (4, 0, 4)
    assert all("it is a composite by its" in line for line in refused.skipped)
    counts = lake.sql("select card, sensor, count(*) as n from scenes group by all order by all").to_pylist()
    assert [(row["card"], row["sensor"], row["n"]) for row in counts] == [
        ("s2", "S2A", 50),
        ("s2", "S2B", 50),
    ]
    row = lake.sql(
        "select * from scenes where id = 'S2B_MSIL2A_20241203T174629_R098_T13TDE_20241203T211406'"
    ).to_pylist()[0]
    assert (row["epsg"], row["tile"], row["processing_baseline"], row["boa_offset"]) == (32613, "13TDE", "05.11", -1000)


FEED_ANSWERS = {
    # file: card, found, new, and of one scene: sensor, baseline, offset, epsg, acquisition
    "creodias_search_S2MSI2A.json": ("s2", 3, 3, "S2A", "05.00", -1000, 32632, "s2/S2A/20150818T110046/32VML"),
    "creodias_search_S2MSI1C.json": ("s2", 3, 0),
    "creodiasPixelValueOffsetNeeded.json": ("s2", 12, 12, "S2B", "05.10", -1000, 32631, "s2/S2B/20230301T104859/31UDT"),
    "creodiasPhoebus.json": ("s2", 2, 2, "S2A", "99.99", 0, 32630, "s2/S2A/20180911T105621/30SVH"),
    "creodias_search_CARD-BS.json": ("bs", 3, 3, "S1A", None, 0, None, "bs/S1A/20141030T050838/20141030T050903"),
    "creodias_search_CARD-COH6.json": ("c6", 3, 3, "S1A", None, 0, None, "c6/S1A/20141023T025837/20141018T025020"),
    "creodiasSentinel1RTCResponse.json": (
        "bs",
        9,
        9,
        "S1A",
        None,
        0,
        None,
        "bs/S1A/20180225T025030/S15E039_2018_02_25_02392E",
    ),
    "gfmap_cdse_S1_query_results.json": ("bs", 60, 0),
}


@pytest.mark.parametrize("file", FEED_ANSWERS)
def test_a_saved_answer_of_the_creodias_feed_is_catalogued(realdata, lake, file):
    card, count, new, *expected = FEED_ANSWERS[file]
    found = card2db.creodias("ms", None, card=card, url=str(realdata / "stac/creodias_resto" / file), lake=lake)
    assert (found.found, found.new, len(found.skipped)) == (count, new, count - new)
    columns = ("sensor", "processing_baseline", "boa_offset", "epsg", "acquisition")
    rows = lake.sql("select * from scenes").to_pylist()
    assert not expected or expected in [[row[name] for name in columns] for row in rows]


def test_a_product_of_the_feed_whose_folder_can_be_reached_gets_its_rasters(realdata, lake, tmp_path):
    safe = next((realdata / "s2_herault_2018/safe").glob("*20180806*.SAFE"))
    entry = {
        "type": "Feature",
        "id": "0a0a0a0a-1111-4222-8333-444444444444",
        "geometry": shapely.geometry.mapping(shapely.box(*BOX)),
        "properties": {
            "title": safe.name,
            "productIdentifier": str(safe),
            "platform": "S2A",
            "processingBaseline": 2.08,
            "startDate": "2018-08-06T10:40:21.024Z",
            "completionDate": "2018-08-06T10:40:21.024Z",
        },
    }
    away = {**entry, "id": "b", "properties": {**entry["properties"], "productIdentifier": "/nowhere/product"}}
    file = tmp_path / "answer.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [entry, away]}))
    assert card2db.creodias(None, None, url=str(file), lake=lake).new == 2
    rows = {row["id"]: row for row in lake.sql("select id, assets, superseded from scenes").to_pylist()}
    near, far = rows[safe.stem], rows["B"]
    assert near["assets"]["B8A"]["href"].endswith("R20m/T31TEJ_20180806T104021_B8A_20m.jp2")
    assert not near["superseded"]
    assert far["superseded"]  # the copy without rasters must not hide the one with them


# -- items made here ----------------------------------------------------------------------------------------------


def item(name="S2A_T31TEJ_20240306T104021_L2A", when="2024-03-06T10:40:21Z", **changes):
    properties = {
        "datetime": when,
        "platform": "sentinel-2a",
        "s2:processing_baseline": "05.10",
        "grid:code": "MGRS-31TEJ",
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "sentinel-2-l2a",
        "geometry": shapely.geometry.mapping(shapely.box(*BOX)),
        "bbox": list(BOX),
        "properties": {**properties, **changes.pop("properties", {})},
        "links": [],
        "assets": {"red": {"href": "/data/B04.tif", "type": "image/tiff"}},
        **changes,
    }


def row_of(document, card="s2"):
    return scene.to_row(document, card, "test")


def test_a_row_matches_the_schema_of_the_catalogue_in_names_and_order():
    numbered = [name for name in schemas.SCENES.names if name != "sequence"]  # which the lake adds
    assert list(row_of(item())) == numbered


STATED = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}


@pytest.mark.parametrize(
    ("properties", "red", "offset"),
    [
        ({"s2:processing_baseline": "04.00"}, {}, -1000),
        ({"s2:processing_baseline": "03.01"}, {}, 0),
        ({"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": True}, STATED, 0),
        ({"s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": False}, {}, -1000),
        ({"s2:processing_baseline": "02.14", "earthsearch:boa_offset_applied": False}, STATED, 0),
        ({"s2:processing_baseline": "05.10", "sentinel:boa_offset_applied": True}, {}, 0),
        ({"s2:processing_baseline": "05.10"}, {"raster:bands": [{"scale": 1e-4, "offset": 0}]}, 0),
        ({"s2:processing_baseline": None}, STATED, -1000),
        ({"s2:processing_baseline": None}, {"raster:bands": [{"offset": -0.1}]}, -1000),
        ({"s2:processing_baseline": None}, {"raster:scale": 1e-4, "raster:offset": -0.1}, -1000),
        ({"s2:processing_baseline": None}, {"bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]}, -1000),
        ({"s2:processing_baseline": None}, {"raster:bands": [{"offset": -1000}]}, -1000),
        ({"s2:processing_baseline": "99.99", "s2:datatake_id": "GS2A_20180911T105621_016822_N02.06"}, {}, 0),
        ({"s2:processing_baseline": "99.99", "s2:datatake_id": "GS2A_20240306T104021_045469_N05.10"}, {}, -1000),
        ({"s2:processing_baseline": "05.10", "boa_offset": 0}, {}, 0),
    ],
)
def test_the_offset_is_decided_by_the_metadata_of_the_scene(properties, red, offset):
    early = item(when="2016-01-01T00:00:00Z", properties=properties)  # the date must not matter
    late = item(when="2026-01-01T00:00:00Z", properties=properties)
    for document in (early, late):
        document["assets"]["red"].update(red)
        assert row_of(document)["boa_offset"] == offset


def test_bands_that_state_different_offsets_are_refused():
    document = item()
    document["assets"]["red"]["raster:bands"] = [{"scale": 1e-4, "offset": -0.1}]
    document["assets"]["nir"] = {"href": "/b", "raster:bands": [{"scale": 1e-4, "offset": 0}]}
    with pytest.raises(InvalidInputError, match="different offsets"):
        row_of(document)


@pytest.mark.parametrize(
    ("name", "stated", "offset"),
    [
        ("N0511", {"data_type": "uint16", "raster:scale": 0.0001, "raster:offset": -0.1}, -1000),
        ("N0511", {"data_type": "uint16"}, -1000),
        ("N0511", {"data_type": "float32", "raster:scale": 1, "raster:offset": 0}, -1000),
        ("N0511", {"bands": [{"name": "B04", "data_type": "float32", "raster:offset": 0}]}, -1000),
        ("N0301", {"data_type": "float32", "raster:scale": 1, "raster:offset": 0}, 0),
        ("N0301", {"data_type": "uint16", "raster:scale": 0.0001, "raster:offset": 0}, 0),
    ],
)
def test_the_offset_of_a_zarr_product_is_that_of_its_dn_whatever_its_store_holds(name, stated, offset):
    product = f"S2A_MSIL2A_20251113T102311_{name}_R065_T32TNQ_20251113T142515"
    href = f"https://host/{product}.zarr/measurements/reflectance/r10m/b04"
    assets = {"B04_10m": {"href": href, "type": "application/vnd.zarr", **stated}}
    row = row_of(item(product, assets=assets))
    assert row["boa_offset"] == offset
    assert row["assets"]["B04"]["href"] == href


def test_two_processings_of_an_acquisition_from_different_providers_have_one_key():
    name = "S2A_MSIL2A_20240306T104021_N{}_R008_T31TEJ_20240306T151515"
    rows = [
        row_of(
            item(
                name.format("0510").replace("_N0510", ""), properties={"s2:product_uri": name.format("0510") + ".SAFE"}
            )
        ),
        row_of(item(name.format("0511"), "2024-03-06T10:40:21.024Z", properties={"grid:code": None})),
        row_of(
            item("S2A_31TEJ_20240306_0_L2A", "2024-03-06T10:49:33Z", properties={"s2:product_uri": name.format("0500")})
        ),
        row_of(
            item(
                "S2A_31TEJ_20240306_1_L2A",
                "2024-03-06T10:49:33Z",
                properties={"eopf:datatake_id": "GS2A_20240306T104021_045469_N05.10", "grid:code": "MGRS-31TEJ"},
            )
        ),
    ]
    assert {row["acquisition"] for row in rows} == {"s2/S2A/20240306T104021/31TEJ"}


def test_a_tile_of_a_single_digit_zone_has_one_name_in_all_writings():
    writings = [
        {"grid:code": "MGRS-7HFE"},
        {"grid:code": None, "s2:mgrs_tile": "07HFE"},
        {"grid:code": None, "mgrs:utm_zone": 7, "mgrs:latitude_band": "H", "mgrs:grid_square": "FE"},
    ]
    there = shapely.geometry.mapping(shapely.box(-139.6, -31.8, -139.5, -31.7))
    rows = [row_of(item(properties=properties, geometry=there)) for properties in writings]
    assert {(row["grid:code"], row["proj:code"]) for row in rows} == {("MGRS-07HFE", "EPSG:32707")}


def test_an_item_without_datetime_takes_the_middle_of_its_start_and_end():
    times = {"start_datetime": "2024-03-06T10:40:00Z", "end_datetime": "2024-03-06T12:40:30+02:00"}
    assert row_of(item(when=None, properties=times))["datetime"] == datetime(2024, 3, 6, 10, 40, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("key", "band"),
    {
        "B04": "B04",
        "B4": "B04",
        "red": "B04",
        "B04_10m": "B04",
        "B04_20m": None,
        "red_60m": None,
        "red-jp2": "B04",
        "B8A": "B8A",
        "nir08": "B8A",
        "nir": "B08",
        "nir09": None,
        "B8A_20m": "B8A",
        "SCL_20m": "SCL",
        "scl_60m": None,
        "scl": "SCL",
        "vv": "VV",
        "gamma0_vh": "VH",
        "visual": None,
        "B01": None,
        "B10": None,
        "safe_manifest": None,
        "schema-product-vv": None,
        "": None,
        "B": None,
    }.items(),
)
def test_the_key_of_an_asset_tells_its_band(key, band):
    assert cards.asset_band(key) == band


def test_an_asset_under_an_unknown_key_is_known_by_the_band_it_states():
    document = item(assets={"img": {"href": "/b", "gsd": 10, "eo:bands": [{"name": "B04", "common_name": "red"}]}})
    assert bands(row_of(document)) == ["B04"]
    document["assets"]["img"]["gsd"] = 60
    with pytest.raises(InvalidInputError, match="no raster"):
        row_of(document)


@pytest.mark.parametrize(
    ("href", "base", "expected"),
    [
        ("./B04.tif", "/data/x/item.json", "/data/x/B04.tif"),
        ("../B04.tif", "/data/x/item.json", "/data/B04.tif"),
        ("/a/B04.tif", "/data/x/item.json", "/a/B04.tif"),
        ("https://h/B04.tif", "/data/x/item.json", "https://h/B04.tif"),
        ("/vsis3/b/B04.tif", "https://h/i.json", "/vsis3/b/B04.tif"),
        ("../B04.tif", "https://h/x/y/i.json", "https://h/x/B04.tif"),
        ("../B04.tif", "s3://bucket/x/y/i.json", "s3://bucket/x/B04.tif"),
        ("./B04.tif", "s3://bucket/x/y/i.json", "s3://bucket/x/y/B04.tif"),
        ("B04.tif", "", str(Path("B04.tif").absolute())),
    ],
)
def test_hrefs_become_absolute(href, base, expected):
    assert hrefs.absolute(href, base) == expected


WRONG = [None, [], {}, "x", "", -1, 1e308, True, [[]], [None], {"a": None}, [1, 2], ["x"]]


def test_an_item_with_any_part_of_a_wrong_kind_is_refused_or_understood_and_never_breaks_the_run():
    """Every field and every property in turn is replaced by every kind of wrong value."""
    whole = item(
        properties={"s2:product_uri": "S2A_MSIL2A_x", "proj:code": "EPSG:32631", "earthsearch:boa_offset_applied": None}
    )
    whole["assets"]["red"]["raster:bands"] = [{"scale": 1e-4, "offset": -0.1}]
    whole["assets"]["img"] = {"href": "/b", "gsd": 10, "bands": [{"name": "B08"}]}
    whole["links"] = [{"rel": "self", "href": "https://h/i.json"}]
    places = [((), key) for key in whole] + [(("properties",), key) for key in whole["properties"]]
    places += [(("assets", "red"), key) for key in whole["assets"]["red"]] + [
        (("assets",), "red"),
        (("links", 0), "rel"),
    ]
    places += [(("assets", "img"), key) for key in whole["assets"]["img"]]
    for path, key in places:
        for value in WRONG:
            document = json.loads(json.dumps(whole))
            inside = document
            for step in path:
                inside = inside[step]
            inside[key] = value
            with suppress(InvalidInputError):
                assert row_of(document)["card"] == "s2"


# -- static STAC --------------------------------------------------------------------------------------------------


def write(path, document):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_a_broken_item_is_skipped_with_its_reason_and_the_rest_goes_on(lake, tmp_path):
    broken = [
        item("no-date", None),
        item("bad-date", "yesterday"),
        {**item(), "id": None},
        item("no-geometry", geometry=None),
        item("bad-geometry", geometry={"type": "Polygon", "coordinates": "here"}),
        item("in-metres", geometry=shapely.geometry.mapping(shapely.box(500000, 4800000, 600000, 4900000))),
        item("no-bands", assets={"thumbnail": {"href": "/x.png"}}),
        item("landsat", properties={"platform": "landsat-8"}),
        item("odd-collection", collection=5, properties={"processing:level": "L2A"}),
    ]
    file = write(tmp_path / "items.json", {"type": "FeatureCollection", "features": [item("good"), *broken, "text"]})
    found = card2db.items(file, lake=lake)
    assert (found.found, found.new, len(found.skipped)) == (11, 1, 10)
    for name, reason in {
        "no-date": "no datetime",
        "bad-date": "isoformat",
        "an item in": "no id",
        "no-geometry": "no geometry",
        "bad-geometry": "",
        "in-metres": "not in degrees",
        "no-bands": "no raster",
        "landsat": "is of LANDSAT-8",
        "odd-collection": "well-formed",
    }.items():
        assert any(line.startswith(name) and reason in line for line in found.skipped), name
    assert lake.sql("select id from scenes")["id"].to_pylist() == ["good"]


def test_the_same_items_as_file_collection_catalogue_and_folder_are_the_same_scenes(workspace, tmp_path):
    from cbm_lake.lake import open_lake

    documents = [item(f"S2A_{n}", assets={"red": {"href": f"./{n}/B04.tif"}}) for n in range(3)]
    catalogue = {
        "type": "Catalog",
        "id": "c",
        "links": [{"rel": "child", "href": "./2024/collection.json"}, {"rel": "root", "href": "."}],
    }
    links = [{"rel": "item", "href": f"./{d['id']}.json"} for d in documents]
    write(tmp_path / "static/catalog.json", catalogue)
    collection = {
        "type": "Collection",
        "id": "x",
        "links": [*links, links[0], {"rel": "child", "href": "../catalog.json"}],
    }
    write(tmp_path / "static/2024/collection.json", collection)
    for document in documents:
        write(tmp_path / f"static/2024/{document['id']}.json", document)
    seen = []
    for number, path in enumerate(("static/catalog.json", "static/2024/collection.json", "static", "static/2024")):
        lake = open_lake(str(tmp_path / f"lake{number}"))
        assert card2db.items(tmp_path / path, lake=lake) == card2db.Ingested(3, 3)
        seen.append(lake.sql("select id, assets from scenes order by id").to_pylist())
        assert card2db.items(tmp_path / path, lake=lake) == card2db.Ingested(3, 0)
    assert all(rows == seen[0] for rows in seen)
    assert seen[0][1]["assets"]["B04"]["href"] == str(tmp_path / "static/2024/1/B04.tif")


def test_a_catalogue_with_a_missing_item_gives_the_others(lake, tmp_path):
    write(tmp_path / "there.json", item())
    links = [{"rel": "item", "href": name} for name in ("gone.json", "there.json")]
    found = card2db.items(write(tmp_path / "catalog.json", {"type": "Catalog", "id": "c", "links": links}), lake=lake)
    assert (found.found, found.new) == (2, 1)
    assert "gone.json cannot be read" in found.skipped[0]


def test_a_folder_with_other_json_gives_its_items_and_names_the_rest(lake, tmp_path):
    write(tmp_path / "x/a/item.json", item())
    write(tmp_path / "x/b.json", {"hello": 1})
    (tmp_path / "x/c.json").write_text("{")
    found = card2db.items(tmp_path / "x", lake=lake)
    assert (found.found, found.new, len(found.skipped)) == (3, 1, 2)


@pytest.mark.parametrize("text", ["{", '{"type": "Nothing"}', "[]", ""])
def test_a_file_that_holds_no_stac_is_a_source_error_that_names_it(lake, tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(SourceError, match=r"x\.json"):
        card2db.items(file, lake=lake)


def test_missing_files_are_source_errors(lake, tmp_path):
    with pytest.raises(SourceError, match="gone"):
        card2db.items(tmp_path / "gone.json", lake=lake)
    with pytest.raises(SourceError, match="gone"):
        card2db.geoparquet(tmp_path / "gone.parquet", lake=lake)
    with pytest.raises(SourceError, match="gone"):
        card2db.safe(tmp_path / "gone", lake=lake)
    with pytest.raises(SourceError, match="gone"):
        card2db.creodias(None, None, url=str(tmp_path / "gone.json"), lake=lake)


def test_a_parquet_file_without_stac_is_a_source_error(lake, tmp_path):
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("no parquet")
    for name in ("a.parquet", "b.parquet"):
        with pytest.raises(SourceError, match=name):
            card2db.geoparquet(tmp_path / name, lake=lake)


def test_the_scenes_file_of_a_lake_can_be_catalogued_by_another_lake_without_loss(workspace, tmp_path):
    from cbm_lake.lake import open_lake

    one, two = open_lake(str(tmp_path / "one")), open_lake(str(tmp_path / "two"))
    applied = item("applied", properties={"earthsearch:boa_offset_applied": True})
    card2db.items(
        write(tmp_path / "items.json", {"type": "FeatureCollection", "features": [item(), applied]}), lake=one
    )
    file = next((tmp_path / "one/scenes").glob("*.parquet"))
    assert card2db.geoparquet(file, lake=two) == card2db.Ingested(2, 2)
    columns = "id, obstime, reference, sensor, processing_baseline, boa_offset, epsg, tile, acquisition, assets"
    rows = [lake.sql(f"select {columns} from scenes order by id").to_pylist() for lake in (one, two)]  # noqa: S608
    assert rows[0] == rows[1]
    assert [row["boa_offset"] for row in rows[1]] == [-1000, 0]


# -- SAFE ---------------------------------------------------------------------------------------------------------


def test_the_real_products_of_herault_are_catalogued_with_the_footprint_of_their_rasters(realdata, lake):
    folder = realdata / "s2_herault_2018/safe"
    steps = []
    found = card2db.safe(folder, lake=lake, progress=lambda done, total: steps.append((done, total)))
    assert found == card2db.Ingested(10, 10)
    assert steps == [(n, 10) for n in range(1, 11)]
    rows = lake.sql("select * from scenes order by obstime").to_pylist()
    days = ["01-23", "01-28", "02-12", "04-18", "06-27", "07-07", "08-06", "08-26", "09-20", "10-05"]
    assert [f"{row['obstime']:%m-%d}" for row in rows] == days
    assert [row["processing_baseline"] for row in rows] == ["02.06"] * 3 + ["02.07"] + ["02.08"] * 6
    assert {(row["boa_offset"], row["epsg"], row["tile"], row["relative_orbit"]) for row in rows} == {
        (0, 32631, "31TEJ", 8)
    }
    assert [row["sensor"] for row in rows] == ["S2B", "S2A", "S2B", "S2A", "S2A", "S2A", "S2A", "S2A", "S2B", "S2A"]
    clouds = [5.3875, 2.491, 6.7513, 0.25688, 0.309438, 0.622257, 1.271828, 0.734162, 0.79735, 0.848511]
    assert [row["cloud_cover"] for row in rows] == clouds
    for row in rows:
        assert [band for band, asset in row["assets"].items() if asset] == ALL
        outline = shapely.from_wkb(row["footprint"])
        with rasterio.open(row["assets"]["B04"]["href"]) as raster:
            west, south, east, north = rasterio.warp.transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
        assert shapely.box(west - 1e-9, south - 1e-9, east + 1e-9, north + 1e-9).covers(outline)
        assert outline.area == pytest.approx((east - west) * (north - south), rel=0.02)
    assert card2db.safe(folder, lake=lake) == card2db.Ingested(10, 0)
    one = next(folder.glob("*20180806*"))
    assert card2db.safe(one, lake=lake) == card2db.Ingested(1, 0)


METADATA = """<?xml version="1.0"?><n1:Level-2A_User_Product>
<PRODUCT_START_TIME>2024-03-06T10:40:21.024Z</PRODUCT_START_TIME>
<PRODUCT_URI>{name}.SAFE</PRODUCT_URI><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<Datatake datatakeIdentifier="GS2A_20240306T104021_045469_N05.10"><SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
<SENSING_ORBIT_NUMBER>8</SENSING_ORBIT_NUMBER><SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION></Datatake>
{offsets}<Cloud_Coverage_Assessment>12.5</Cloud_Coverage_Assessment></n1:Level-2A_User_Product>"""
OFFSETS = "".join(f'<BOA_ADD_OFFSET band_id="{number}">-1000</BOA_ADD_OFFSET>\n' for number in range(13))


def raster(path, metres=10, epsg=32631, east=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    grid = rasterio.transform.from_origin(523560 + east, 4832780, metres, metres)
    profile = {"driver": "GTiff", "width": 16, "height": 16, "count": 1, "dtype": "uint16", "nodata": 0}
    with rasterio.open(path, "w", crs=f"EPSG:{epsg}", transform=grid, **profile) as file:
        file.write(np.full((1, 16, 16), 1500, "uint16"))
    return path


def made(folder, name="S2A_MSIL2A_20240306T104021_N0510_R008_T31TEJ_20240306T151515", metadata=None, tile="31TEJ"):
    """A product on disk with three bands; B04 also at 20 m, which must not be taken."""
    safe = folder / f"{name}.SAFE"
    images = safe / f"GRANULE/L2A_T{tile}_A045469_20240306T104745/IMG_DATA"
    for band, metres in (("B04", 10), ("B04", 20), ("B08", 10), ("SCL", 20), ("B11", 20), ("B11", 60)):
        raster(images / f"R{metres}m/T{tile}_20240306T104021_{band}_{metres}m.tif", metres)
    if metadata:
        (safe / "MTD_MSIL2A.xml").write_text(metadata)
    return safe


def catalogued(lake, folder):
    found = card2db.safe(folder, lake=lake)
    return found, lake.sql("select * from scenes order by id").to_pylist()


def test_a_product_without_metadata_is_told_from_its_name_and_rasters(lake, tmp_path):
    made(tmp_path / "2024/03")
    found, (row,) = catalogued(lake, tmp_path)
    assert found == card2db.Ingested(1, 1)
    assert row["id"] == row["reference"] == "S2A_MSIL2A_20240306T104021_N0510_R008_T31TEJ_20240306T151515"
    assert row["obstime"] == datetime(2024, 3, 6, 10, 40, 21, tzinfo=UTC)
    assert (row["processing_baseline"], row["boa_offset"], row["epsg"]) == ("05.10", -1000, 32631)
    assert (row["sensor"], row["tile"], row["relative_orbit"], row["cloud_cover"]) == ("S2A", "31TEJ", 8, None)
    assert {band: asset["href"][-7:-4] for band, asset in row["assets"].items() if asset} == {
        "B04": "10m",
        "B08": "10m",
        "SCL": "20m",
        "B11": "20m",
    }


def test_the_offset_of_a_product_is_what_its_metadata_state_before_what_its_baseline_says(lake, tmp_path):
    name = "S2A_MSIL2A_20240306T104021_N0301_R008_T31TEJ_20240306T151515"
    made(tmp_path, name, METADATA.format(name=name, baseline="03.01", offsets=OFFSETS))
    _, (row,) = catalogued(lake, tmp_path)
    assert (row["boa_offset"], row["cloud_cover"], row["orbit_state"]) == (-1000, 12.5, "descending")
    assert row["obstime"] == datetime(2024, 3, 6, 10, 40, 21, 24000, tzinfo=UTC)


def test_an_old_product_with_several_tiles_and_no_folders_by_pixel_size_gives_a_scene_per_tile(lake, tmp_path):
    name = "S2A_USER_PRD_MSIL2A_PDMC_20160310T041843_R008_V20160308T104021_20160308T104021"
    for number, tile in enumerate(("31TEJ", "31TFJ")):
        granule = f"S2A_USER_MSI_L2A_TL_SGS__20160308T182953_A003715_T{tile}_N02.01"
        for band, metres in (("B04", 10), ("SCL", 20)):
            raster(
                tmp_path / f"{name}.SAFE/GRANULE/{granule}/IMG_DATA/{granule[:-7]}_{band}_{metres}m.tif",
                metres,
                east=number * 99960,
            )
    text = METADATA.format(name=name, baseline="02.01", offsets="").replace("20240306T104021", "20160308T104021")
    (tmp_path / f"{name}.SAFE/MTD_MSIL2A.xml").write_text(text)
    _, rows = catalogued(lake, tmp_path)
    assert [row["tile"] for row in rows] == ["31TEJ", "31TFJ"]
    assert [row["id"] for row in rows] == [f"{name}_T31TEJ", f"{name}_T31TFJ"]
    assert {(row["boa_offset"], row["processing_baseline"]) for row in rows} == {(0, "02.01")}
    assert [row["acquisition"] for row in rows] == ["s2/S2A/20160308T104021/31TEJ", "s2/S2A/20160308T104021/31TFJ"]


def test_products_that_cannot_be_used_are_skipped_with_the_reason_and_the_rest_goes_on(lake, tmp_path):
    made(tmp_path)
    name = "S2B_MSIL2A_20240309T104021_N0510_R008_T31TEJ_20240309T151515"
    for file in made(tmp_path, name).rglob("*.tif"):
        file.write_bytes(file.read_bytes()[:100])
    made(tmp_path, "S2B_MSIL1C_20240312T104021_N0510_R008_T31TEJ_20240312T151515")
    (tmp_path / "S2B_MSIL2A_20240315T104021_N0510_R008_T31TEJ_20240315T151515.SAFE").mkdir()
    (tmp_path / "S2B_MSIL2A_20240318T104021_N0510_R008_T31TEJ_20240318T151515.SAFE.zip").touch()
    found, rows = catalogued(lake, tmp_path)
    assert (found.found, found.new, len(rows)) == (5, 1, 1)
    reasons = {
        "20240309": "none of its rasters can be read",
        "20240312": "not a Level-2A",
        "20240315": "no granule",
        "20240318": "damaged",
    }
    for day, reason in reasons.items():
        assert any(day in line and reason in line for line in found.skipped), day


def test_one_unreadable_raster_does_not_lose_the_product(lake, tmp_path):
    safe = made(tmp_path)
    sorted(safe.rglob("*_B04_10m.tif"))[0].write_bytes(b"")
    found, _ = catalogued(lake, tmp_path)
    assert found == card2db.Ingested(1, 1)


def test_a_linked_product_is_found(lake, tmp_path):
    safe = made(tmp_path / "elsewhere")
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / safe.name).symlink_to(safe)
    assert catalogued(lake, tmp_path / "archive")[0] == card2db.Ingested(1, 1)


def test_products_outside_the_parcels_are_left_out(lake, tmp_path, monkeypatch):
    made(tmp_path)
    monkeypatch.setattr(
        type(lake), "footprint", lambda _, aoi: {"near": shapely.box(*BOX), "far": shapely.box(10, 50, 11, 51)}[aoi]
    )
    assert card2db.safe(tmp_path, aoi="far", lake=lake) == card2db.Ingested(0, 0)
    assert card2db.safe(tmp_path, aoi="near", lake=lake) == card2db.Ingested(1, 1)


# -- a real STAC API ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cogs(tmp_path_factory):
    """Red, near infrared and classes of one grid as cloud-optimised GeoTIFF."""
    folder = tmp_path_factory.mktemp("cogs")
    for name, metres in (("B04", 10), ("B08", 10), ("SCL", 20)):
        with rasterio.open(raster(folder / f"{name}.raw.tif", metres)) as source:
            rasterio.shutil.copy(source, folder / f"{name}.tif", driver="COG")
    return folder


@pytest.fixture(scope="module")
def api(cogs, tmp_path_factory):
    """A STAC API with 230 scenes, one a day from 1 January 2024, over BOX, and a reprocessed one."""
    days = np.arange("2024-01-01", "2024-08-18", dtype="datetime64[D]").astype(str)
    items = [of_day(day, "0510", cogs) for day in days]
    items.append(of_day("2024-01-05", "0511", cogs))
    far = of_day("2024-01-06", "0510", cogs)
    far["properties"] |= {"grid:code": "MGRS-34UDA", "s2:product_type": "S2MSI2A"}
    items.append({**far, "id": "far", "geometry": {"type": "Point", "coordinates": [20, 50]}})
    with serving(items, tmp_path_factory.mktemp("api")) as url:
        yield url


def of_day(day, baseline, cogs):
    taken = f"{day.replace('-', '')}T104021"
    name = f"S2A_MSIL2A_{taken}_N{baseline}_R008_T31TEJ_{taken}"
    assets = {
        key: {"href": str(cogs / f"{band}.tif")} for key, band in (("red", "B04"), ("nir", "B08"), ("scl", "SCL"))
    }
    baseline = {"s2:processing_baseline": f"{baseline[:2]}.{baseline[2:]}"}
    return item(name, f"{day}T10:40:21.024Z", properties=baseline, assets=assets)


def test_a_search_of_a_real_stac_server_pages_to_the_end_and_again_adds_nothing(api, lake):
    steps = []
    found = card2db.stac(
        start="2024-01-01", end="2024-12-31", url=api, geometry=BOX, lake=lake, progress=lambda *at: steps.append(at)
    )
    assert found == card2db.Ingested(231, 231)
    assert [done for done, _ in steps] == [100, 200, 231]
    assert card2db.stac(start="2024-01-01", end="2024-12-31", url=api, geometry=BOX, lake=lake) == card2db.Ingested(
        231, 0
    )
    assert len(list((lake_folder(lake) / "scenes").glob("*.parquet"))) == 1
    row = lake.sql("select * from scenes where obstime::date = '2024-03-06'").to_pylist()[0]
    assert (row["sensor"], row["epsg"], row["boa_offset"], row["status"]) == ("S2A", 32631, -1000, "ingested")
    assert row["source"] == api
    with rasterio.open(row["assets"]["B08"]["href"]) as band:
        assert band.read(1).mean() == 1500


def lake_folder(lake):
    from pathlib import Path

    return Path(lake.url)


def test_a_reprocessed_scene_supersedes_the_older_without_deleting_it(api, lake):
    card2db.stac(start="2024-01-04", end="2024-01-06", url=api, geometry=BOX, lake=lake)
    rows = lake.sql("select id, superseded, acquisition from scenes order by id").to_pylist()
    assert [("_N0510_" in row["id"], row["superseded"]) for row in rows] == [
        (True, False),
        (True, True),
        (False, False),
        (True, False),
    ]
    assert rows[1]["acquisition"] == rows[2]["acquisition"]


@pytest.mark.parametrize(
    "geometry",
    [
        BOX,
        list(BOX),
        shapely.box(*BOX),
        shapely.geometry.mapping(shapely.box(*BOX)),
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shapely.box(*BOX))},
    ],
    ids=["tuple", "list", "shapely", "geojson", "feature"],
)
def test_the_area_may_be_given_in_any_usual_form(api, lake, geometry):
    assert card2db.stac(start="2024-01-06", end="2024-01-06", url=api, geometry=geometry, lake=lake).found == 1


def test_the_end_day_is_included_and_either_side_may_stay_open(api, lake):
    asked = {"url": api, "geometry": BOX, "lake": lake}
    assert card2db.stac(start="2024-08-17", end="2024-08-17", **asked).found == 1
    assert card2db.stac(start="2024-08-16", **asked).found == 2
    assert card2db.stac(end="2024-01-02", **asked).found == 2
    assert card2db.stac(**asked).found == 231


def test_the_area_of_the_parcels_is_asked_for(api, lake, monkeypatch):
    monkeypatch.setattr(type(lake), "footprint", lambda _, aoi: shapely.box(19, 49, 21, 51))
    card2db.stac("ms", "2024-01-06", "2024-01-06", url=api, lake=lake)
    assert lake.sql("select id from scenes")["id"].to_pylist() == ["far"]


def test_a_collection_that_is_not_there_is_refused(api, lake):
    with pytest.raises(InvalidInputError, match="no collection sentinel-2; did you mean sentinel-2-l2a"):
        card2db.stac(url=api, geometry=BOX, collection="sentinel-2", lake=lake)
    assert card2db.stac(url=api, geometry=BOX, collection="sentinel-2-l2a", start="2030-01-01", lake=lake).found == 0


# -- what can go wrong --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["stac", "creodias"])
def test_dates_the_wrong_way_round_are_refused_naming_both(lake, verb):
    call = {"stac": card2db.stac, "creodias": lambda **asked: card2db.creodias(None, None, **asked)}[verb]
    with pytest.raises(InvalidInputError, match="2024-01-01 lies before start 2024-12-31"):
        call(start="2024-12-31", end="2024-01-01", geometry=BOX, lake=lake)
    with pytest.raises(InvalidInputError, match="'soon' is no date"):
        call(start="soon", geometry=BOX, lake=lake)


def test_an_unknown_card_is_refused_by_every_verb(lake, tmp_path):
    for call in (card2db.stac, card2db.items, card2db.geoparquet):
        with pytest.raises(InvalidInputError, match="unknown card 's3'"):
            call(str(tmp_path), card="s3", lake=lake)
    with pytest.raises(InvalidInputError, match="unknown card 's3'"):
        card2db.creodias(None, None, card="s3", lake=lake)


def test_a_remote_catalogue_is_never_asked_for_the_whole_world(lake):
    with pytest.raises(InvalidInputError, match="aoi= or geometry="):
        card2db.stac(start="2024-01-01", end="2024-12-31", lake=lake)
    with pytest.raises(InvalidInputError, match="aoi= or geometry="):
        card2db.creodias(None, None, url="http://127.0.0.1/search.json", lake=lake)
    with pytest.raises(NotFoundError, match="no parcels of ms"):
        card2db.stac("ms", lake=lake)


@pytest.mark.parametrize(
    "geometry",
    [(1, 2), "here", {"type": "Polygon"}, shapely.Polygon(), (500000, 4800000, 600000, 4900000), {}, (np.nan, 1, 2, 3)],
)
def test_an_area_that_is_none_is_refused(lake, geometry):
    with pytest.raises(InvalidInputError, match="geometry"):
        card2db.stac(geometry=geometry, lake=lake)


def test_providers_are_known_by_short_name_and_by_url():
    assert stacapi.api("cdse", "s2", None) == ("https://stac.dataspace.copernicus.eu/v1", "sentinel-2-l2a")
    assert stacapi.api("https://stac.dataspace.copernicus.eu/v1/", "s2", None)[1] == "sentinel-2-l2a"
    assert stacapi.api("earth-search", "s2", "sentinel-2-l2a")[1] == "sentinel-2-l2a"
    assert stacapi.api("http://h/stac", "s2", None) == ("http://h/stac", None)
    with pytest.raises(InvalidInputError, match="earth-search, cdse, planetary-computer, terrascope"):
        stacapi.api("eart-search", "s2", None)
    with pytest.raises(InvalidInputError, match="no usual collection for card c6"):
        stacapi.api("cdse", "c6", None)


def failing(lake, url, **options):
    with pytest.raises(SourceError) as caught:
        card2db.stac(url=url, geometry=BOX, lake=lake, **{"retries": 0, **options})
    assert "\n" not in str(caught.value)
    assert lake.sql("select count(*) as n from scenes")["n"][0].as_py() == 0
    return str(caught.value)


def test_a_server_that_is_down_is_named_in_one_line(lake):
    port = free_port()
    assert failing(lake, f"http://127.0.0.1:{port}").startswith(f"127.0.0.1:{port} failed: it refuses connections")


def test_a_server_that_fails_is_asked_again_and_then_named(lake):
    with answering(lambda _: (500, "sorry")) as (url, asked):
        assert "HTTP 500" in failing(lake, url, retries=1)
        assert len(asked) == 2
    with answering(lambda _: (404, "what?")) as (url, asked):
        assert "HTTP 404" in failing(lake, url, retries=3)
        assert len(asked) == 1  # asking again would not help


def test_a_slow_server_is_given_up_after_the_timeout(lake):
    def slow(_):
        time.sleep(4)
        return 200, "{}"

    with answering(slow) as (url, _):
        began = time.monotonic()
        assert "does not answer in time" in failing(lake, url, timeout=0.2)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("text", ["<html>", "{}", "[]", '{"type": "Catalog", "id": "x"}', '{"type": "Feature"}'])
def test_a_server_that_sends_no_stac_is_named(lake, text):
    with answering(lambda _: (200, text)) as (url, _):
        assert "no STAC answer" in failing(lake, url)


LANDING = {
    "type": "Catalog",
    "id": "api",
    "description": "x",
    "stac_version": "1.0.0",
    "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
}


def landing(url):
    links = [{"rel": "search", "href": f"{url}/search", "type": "application/geo+json", "method": "GET"}]
    return json.dumps({**LANDING, "links": [{"rel": "root", "href": url}, *links]})


@pytest.mark.parametrize("text", ["<html>", "[]", '{"type": "FeatureCollection", "features": 3}'])
def test_a_search_that_answers_no_items_is_named(lake, text):
    address = []
    with answering(lambda path: (200, text if path.startswith("/search") else landing(address[0]))) as (url, asked):
        address.append(url)
        assert "no STAC answer" in failing(lake, url)
        assert any(path.startswith("/search") for path in asked)


def test_the_creodias_feed_is_asked_for_area_time_and_product_and_paged(lake):
    address = []

    def entry(name):
        title = f"S2A_MSIL2A_20240306T104021_N0510_R008_T31TE{name}_20240306T151515.SAFE"
        about = {
            "title": title,
            "productIdentifier": f"/eodata/{title}",
            "platform": "S2A",
            "startDate": "2024-03-06T10:40:21Z",
        }
        return {"type": "Feature", "id": name, "geometry": item()["geometry"], "properties": about}

    def answer(path):
        links = [] if "page=2" in path else [{"rel": "next", "href": f"{address[0]}/search.json?page=2"}]
        features = [entry("K" if "page=2" in path else "J")]
        return 200, json.dumps(
            {"type": "FeatureCollection", "properties": {"links": links, "totalResults": 2}, "features": features}
        )

    with answering(answer) as (url, asked):
        address.append(url)
        found = card2db.creodias(
            "ms", None, "2024-03-01", "2024-03-31", "s2", "LEVEL2A", url=f"{url}/search.json", geometry=BOX, lake=lake
        )
    assert found == card2db.Ingested(2, 2)
    assert len(asked) == 2
    for part in (
        "productType=S2MSI2A",
        "startDate=2024-03-01T00",
        "completionDate=2024-03-31T23",
        "geometry=POLYGON",
        "maxRecords=100",
    ):
        assert part in asked[0]
    assert lake.sql("select tile from scenes order by tile")["tile"].to_pylist() == ["31TEJ", "31TEK"]


def test_a_feed_that_is_none_is_named(lake):
    with (
        answering(lambda _: (200, '{"type": "Catalog"}')) as (url, _),
        pytest.raises(SourceError, match="no OpenSearch answer"),
    ):
        card2db.creodias(None, None, url=url, geometry=BOX, lake=lake)


def test_static_stac_behind_a_url_is_walked(lake):
    documents = {
        "/catalog.json": {"type": "Catalog", "id": "c", "links": [{"rel": "item", "href": "./x/item.json"}]},
        "/x/item.json": item(assets={"red": {"href": "../B04.tif"}}),
    }
    with answering(lambda path: (200, json.dumps(documents[path]))) as (url, _):
        assert card2db.items(f"{url}/catalog.json", lake=lake).new == 1
        assert lake.sql("select assets from scenes").to_pylist()[0]["assets"]["B04"]["href"] == f"{url}/B04.tif"
