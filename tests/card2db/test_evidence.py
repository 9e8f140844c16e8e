"""What is accepted as a scene, with which offset and rasters, and what is refused with which words."""

import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from pyproj import Transformer

from cbm_lake import card2db, cards
from cbm_lake.card2db import fields, itemfiles, outline, scene
from cbm_lake.card2db.evidence import level_in_name, mission_of, sensor_in
from cbm_lake.errors import InvalidInputError, SourceError

BOX = (3.29, 43.6, 3.33, 43.65)
"""Inside tile 31TEJ."""
NAME = "S2A_MSIL2A_20240501T104021_N0510_R008_T31TEJ_20240501T151515"
S2 = {"datetime": "2024-05-01T10:40:21Z", "platform": "sentinel-2a"}
L2A = {**S2, "processing:level": "L2A", "s2:processing_baseline": "05.10"}
S1 = {"datetime": "2024-05-01T05:50:00Z", "platform": "sentinel-1a"}
GRD = "S1A_IW_GRDH_1SDV_20240501T055000_20240501T055025_053680_0684F5"
RED = {"red": {"href": "/d/B04.tif"}}
RADAR = {"vv": {"href": "/d/vv.tif"}, "vh": {"href": "/d/vh.tif"}}


def item(name="a", properties=None, assets=None, collection=None, box=BOX):
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": name,
        "collection": collection,
        "links": [],
        "geometry": shapely.geometry.mapping(shapely.box(*box)),
        "properties": properties or {},
        "assets": assets or RED,
    }


def row(document, card="s2"):
    return scene.to_row(document, card, "test")


def bands(found):
    return {band: asset["href"] for band, asset in found["assets"].items() if asset}


# -- kind and level -----------------------------------------------------------------------------------------------

ACCEPTED = {
    "by the product's name alone": (item(NAME, {"datetime": S2["datetime"]}), "S2A", -1000),
    "by the product's name in a property": (item("a", {**S2, "s2:product_uri": f"{NAME}.SAFE"}), "S2A", -1000),
    "by the processing level": (item("a", L2A), "S2A", -1000),
    "by the folder of its rasters": (
        item(
            "a", {**S2, "s2:processing_baseline": "05.10"}, {"B04": {"href": f"/d/{NAME}.SAFE/GRANULE/x/B04_10m.jp2"}}
        ),
        "S2A",
        -1000,
    ),
    "by the level in words": (item("a", {**L2A, "processing:level": "Level-2A"}), "S2A", -1000),
    "by the product type": (item("a", {**L2A, "processing:level": None, "s2:product_type": "S2MSI2A"}), "S2A", -1000),
    "by the product type of CDSE": (
        item("a", {**L2A, "processing:level": "L2", "product:type": "S2MSI2A"}),
        "S2A",
        -1000,
    ),
    "by the product type of EOPF": (
        item("a", {**L2A, "processing:level": None, "product:type": "S02MSIL2A"}),
        "S2A",
        -1000,
    ),
    "by the name of Earth Search": (
        item("S2B_31TEJ_20240501_0_L2A", {**L2A, "platform": None, "processing:level": None}),
        "S2B",
        -1000,
    ),
    "by collection and platform": (
        item("a", {**L2A, "processing:level": None}, collection="sentinel-2-l2a"),
        "S2A",
        -1000,
    ),
    "by collection and constellation": (
        item(
            "a",
            {**L2A, "processing:level": None, "platform": None, "constellation": "Sentinel 2"},
            collection="sentinel-s2-l2a-cogs",
        ),
        "S2",
        -1000,
    ),
    "by collection and properties of Sentinel-2": (
        item("a", {**L2A, "processing:level": None, "platform": None}, collection="sentinel-2-l2a"),
        "S2",
        -1000,
    ),
    "of MAJA": (
        item("SENTINEL2A_20240501-104021-123_L2A_T31TEJ_C_V3-1", S2, {"FRE_B4": {"href": "/d/x_FRE_B4.tif"}}),
        "S2A",
        0,
    ),
    "out of a catalogue of ours": (
        item("a", {**S2, "card": "s2", "acquisition": "s2/S2A/20240501T104021/31TEJ", "boa_offset": 0}),
        "S2A",
        0,
    ),
    "not deprecated": (item("a", {**L2A, "deprecated": "false"}), "S2A", -1000),
}


@pytest.mark.parametrize("why", ACCEPTED)
def test_a_scene_of_level_2a_is_accepted_on_evidence(why):
    document, sensor, offset = ACCEPTED[why]
    found = row(document)
    assert (found["sensor"], found["boa_offset"]) == (sensor, offset)
    assert list(bands(found)) == ["B04"]


REFUSED = {
    # what: document, card, words
    "L1C by its tile's name": (
        item(
            "S2A_OPER_MSI_L1C_TL_SGS__20240501T203630_A018414_T31TEJ",
            {**S2, "s2:processing_baseline": "02.07"},
            collection="sentinel-2-l2a",
        ),
        "s2",
        "Level-1C .* by its .* S2A_OPER_MSI_L1C_TL",
    ),
    "L1C by its level": (item("a", {**L2A, "processing:level": "L1"}), "s2", "Level-1C .* processing level|level L1;"),
    "L1C by its type": (item("a", {**L2A, "s2:product_type": "S2MSI1C"}), "s2", "Level-1C .* product type S2MSI1C"),
    "L1C by its collection": (
        item("a", L2A, collection="sentinel-2-l1c"),
        "s2",
        "Level-1C .* collection sentinel-2-l1c",
    ),
    "L1C of EOPF": (item("a", {**L2A, "product:type": "S02MSIL1C"}), "s2", "Level-1C"),
    "L1C by its rasters": (
        item("a", L2A, {"B04": {"href": "s3://sentinel-s2-l1c/tiles/31/T/EJ/2024/5/1/0/B04.jp2"}}),
        "s2",
        "Level-1C .* by its raster s3://sentinel-s2-l1c",
    ),
    "L1C whose file says otherwise": (item(NAME.replace("L2A", "L1C"), L2A), "s2", "Level-1C"),
    "a monthly synthesis": (item("SENTINEL2X_20240415-000000-000_L3A_T31TEJ_C_V1-0", S2), "s2", "composite by its"),
    "a quarterly mosaic": (
        item("Sentinel-2_mosaic_2023_Q1_31SDV_0_0", {**S2, "product:type": "S2MSI_L3__MCQ", "processing:level": "L3"}),
        "s2",
        "composite by its",
    ),
    "a geomedian": (
        item("b3b2", {**L2A, "odc:product": "gm_s2_annual"}),
        "s2",
        "composite by its product gm_s2_annual",
    ),
    "a GeoMAD": (item("x", L2A, collection="ga_s2_geomad"), "s2", "composite by its collection"),
    "what spans months": (
        item("a", {**L2A, "start_datetime": "2024-01-01T00:00:00Z", "end_datetime": "2024-03-31T00:00:00Z"}),
        "s2",
        "spans 90 days",
    ),
    "HLS S30": (item("HLS.S30.T31TEJ.2024122T104021.v2.0", {**S2, "platform": None}), "s2", "HLS"),
    "HLS S30 with its platform": (item("HLS.S30.T31TEJ.2024122T104021.v2.0", L2A), "s2", "HLS"),
    "HLS by its collection": (item("a", L2A, collection="HLSS30.v2.0"), "s2", "HLS"),
    "Landsat": (item("LC09_L2SP_198030_20240501", {**L2A, "platform": "landsat-9"}), "s2", "it is of LANDSAT-9"),
    "Landsat by its name": (item("LC09_L2SP_198030_20240501", {**L2A, "platform": None}), "s2", "it is of LC09"),
    "Sentinel-3": (item("a", {**L2A, "platform": "sentinel-3a"}), "s2", "it is of SENTINEL-3A"),
    "Sentinel-1 for s2": (item("a", {**S1, "processing:level": "L2A"}), "s2", "it is of S1A; card s2 is of Sentinel-2"),
    "a name that denies its platform": (item("S1A_IW_GRDH_1SDV_x", L2A), "s2", "it is of S1; card s2|it is of S1A"),
    "no platform": (
        item("x", {"datetime": S2["datetime"], "processing:level": "L2A"}),
        "s2",
        "nothing says that it is of Sentinel-2 .identifier x",
    ),
    "no level": (item("S2A_31TEJ_20240501_float", S2), "s2", "nothing says that it is Level-2A .*platform sentinel-2a"),
    "a collection alone": (
        item("x", {"datetime": S2["datetime"]}, collection="sentinel-2-l2a"),
        "s2",
        "nothing says that it is of Sentinel-2",
    ),
    "level 2 of something": (
        item("a", {**S2, "processing:level": "L2", "s2:processing_baseline": "05.10"}),
        "s2",
        "nothing says",
    ),
    "deprecated": (item("a", {**L2A, "deprecated": True}), "s2", "deprecated"),
    "deprecated in words": (item("a", {**L2A, "deprecated": "True"}), "s2", "deprecated"),
    "deprecated or not": (
        item("a", {**L2A, "deprecated": "perhaps"}),
        "s2",
        "deprecated 'perhaps' is neither true nor false",
    ),
    "GRD of Earth Search": (
        item(GRD, {**S1, "sar:product_type": "GRD"}, RADAR, "sentinel-1-grd"),
        "bs",
        "GRD in radar geometry .* use sentinel-1-rtc of Planetary Computer, OPERA RTC-S1 or CARD-BS",
    ),
    "GRD of another name": (
        item("x", {**S1, "sar:product_type": "GRD"}, RADAR),
        "bs",
        "GRD in radar geometry by its product type",
    ),
    "GRD that calls itself backscatter in a title": (
        item(GRD, S1, {"vv": {"href": "/d/vv.tif", "title": "VV backscatter"}}),
        "bs",
        "GRD in radar geometry",
    ),
    "SLC": (
        item("S1A_IW_SLC__1SDV_20240501T055000_20240501T055025_053680_0684F5_ABCD", S1, RADAR),
        "bs",
        "single-look complex",
    ),
    "raw radar": (item("x", {**S1, "product:type": "IW_RAW__0S"}, RADAR), "bs", "RAW in radar geometry"),
    "no word on radar": (item("x", S1, RADAR), "bs", "nothing says that it is geocoded backscatter"),
    "ALOS": (item("x_rtc", {**S1, "platform": "ALOS-2"}, RADAR), "bs", "it is of ALOS-2"),
    "a monthly mosaic of radar": (
        item("Sentinel-1_IW_mosaic_2026_M04_10TEQ_0_0", {**S1, "product:type": "S1SAR_L3_IW_MCM"}, RADAR),
        "bs",
        "composite",
    ),
    "coherence for bs": (item("S1A_20240501T055000_CARD-COH6", S1, RADAR), "bs", "coherence by its"),
    "backscatter for c6": (item(f"{GRD}_CARD_BS", S1, RADAR), "c6", "nothing says that it is coherence"),
    "Sentinel-2 for bs": (item(NAME, L2A), "bs", "it is of S2A; card bs is of Sentinel-1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_nothing_says_to_be_of_the_card_or_something_denies_is_refused_in_one_line(what):
    document, card, words = REFUSED[what]
    with pytest.raises(InvalidInputError, match=words) as caught:
        row(document, card)
    assert "\n" not in str(caught.value)


def test_an_item_made_by_hand_that_names_nothing_is_of_the_card_asked_for_and_it_is_said(caplog):
    document = item("day 1", {**S2, "s2:processing_baseline": "05.10"}, {"B04": {"href": "/d/red.tif"}})
    assert row(document)["boa_offset"] == -1000
    assert "day 1: nothing says its level; taken for Level-2A, as card s2 was asked for" in caplog.text
    for said in ({"collection": "mine"}, {"id": "S2A_31TEJ_20240501"}):
        with pytest.raises(InvalidInputError, match="nothing says that it is Level-2A"):
            row({**document, **said})


@pytest.mark.parametrize(
    ("document", "card"),
    [
        (item(f"{GRD}_rtc", {**S1, "sar:product_type": "GRD"}, RADAR, "sentinel-1-rtc"), "bs"),
        (item("OPERA_L2_RTC-S1_T059-125900-IW2_20240501T055000Z_20240502T010101Z_S1A_30_v1.0", S1, RADAR), "bs"),
        (item(f"{GRD}_CARD_BS", {"datetime": S1["datetime"]}, RADAR), "bs"),
        (item("x", {**S1, "sar:product_type": "RTC"}, RADAR), "bs"),
        (item("S1A_20200103_31TEJ_ASC", S1, {"gamma0_vv": {"href": "/d/Gamma0_VV.tif"}}), "bs"),
        (item("S1A__20240501_NRB", S1, {"vv-g-lin": {"href": "/d/vv.tif"}, "vv-s-lin": {"href": "/d/s.tif"}}), "bs"),
        (item("S1A_20240501T055000__S1A_20240425T055000_20240425T055025_CARD-COH6", S1, RADAR), "c6"),
        (item("x", {**S1, "product:type": "CARD-COH12"}, RADAR), "c6"),
        (item("S1A_IW_SLC__1SDV_x_CARD_COH6", S1, {"coh_vv": {"href": "/d/c.tif"}, "vv": {"href": "/d/c.tif"}}), "c6"),
    ],
)
def test_geocoded_backscatter_and_coherence_are_accepted_on_evidence(document, card):
    found = row(document, card)
    assert found["sensor"] == "S1A"
    assert "VV" in bands(found)
    assert bands(found)["VV"] != "/d/s.tif"  # of gamma0 and sigma0 the one that is corrected for slopes


@pytest.mark.parametrize(
    ("text", "sensor"),
    {
        "Sentinel-2A": "S2A",
        "SENTINEL2A": "S2A",
        "S2A": "S2A",
        "S2": "S2",
        "sentinel2b": "S2B",
        "Sentinel 2C": "S2C",
        "sentinel-2d": "S2D",
        "COPERNICUS_S2A": "S2A",
        "S2-A": "S2A",
        "SENTINEL-1": "S1",
        "s1c": "S1C",
        "Sentinel-2A,Sentinel-2B": "S2",
        "landsat-8": "L8",
        "landsat-7": None,
        "sentinel-3a": None,
        "S2X": None,
        "": None,
        "PROBA-V": None,
    }.items(),
)
def test_platforms_are_known_in_every_spelling(text, sensor):
    assert mission_of(text) == sensor


def test_names_tell_sensor_and_level():
    names = {
        NAME: ("S2A", "L2A"),
        "SENTINEL2B_20240501-104021-123_L2A_T31TEJ_C_V3-1": ("S2B", "L2A"),
        "20240501_LEVEL2_SEN2A_BOA": ("S2A", "L2A"),
        "S2A_31TEJ_20240501_0_L2A": ("S2A", "L2A"),
        "S2A_OPER_MSI_L1C_TL_SGS__2024_T31TEJ": ("S2A", "L1C"),
        "S2A_31TEJ_20240501": ("S2A", None),
        "x": (None, None),
    }
    assert {name: (sensor_in(name), level_in_name(name)) for name in names} == names


# -- offset and baseline ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "baseline"),
    [
        ("05.10", "05.10"),
        (5.1, "05.10"),
        ("5.10", "05.10"),
        ("5.1", "05.10"),
        ("N0510", "05.10"),
        ("0510", "05.10"),
        (510, "05.10"),
        ("v05.10", "05.10"),
        ("N05.10", "05.10"),
        ("0300", "03.00"),
        (300, "03.00"),
        (5, "05.00"),
        ("5", "05.00"),
        (5.0, "05.00"),
        (2.08, "02.08"),
        ("2.14", "02.14"),
        ("99.99", "99.99"),
        (5.11, "05.11"),
    ],
)
def test_a_baseline_is_read_in_all_its_spellings(value, baseline):
    assert fields.baseline(value) == baseline
    if not baseline.startswith("99"):
        found = row(item("a", {**L2A, "s2:processing_baseline": value}))
        assert (found["s2:processing_baseline"], found["boa_offset"]) == (baseline, -1000 if baseline >= "04" else 0)


@pytest.mark.parametrize("value", ["new", "51", 51, "05,10", "02.14.01", True, -5.1, 0, "0000", "", [5]])
def test_an_unknown_baseline_is_refused_and_never_taken_as_without_offset(value):
    with pytest.raises(InvalidInputError, match=r"processing baseline .* is unknown"):
        row(item("a", {**L2A, "s2:processing_baseline": value}))


OFFSETS = [
    # properties, statement of the band, offset or the words of the refusal
    ({"earthsearch:boa_offset_applied": "true"}, {}, 0),
    ({"earthsearch:boa_offset_applied": "True"}, {}, 0),
    ({"earthsearch:boa_offset_applied": "1"}, {}, 0),
    ({"earthsearch:boa_offset_applied": 1}, {}, 0),
    ({"earthsearch:boa_offset_applied": "false"}, {}, -1000),
    ({"earthsearch:boa_offset_applied": 0}, {}, -1000),
    ({"boa_offset": -1000.0}, {}, -1000),
    ({"boa_offset": -0.1}, {}, "boa_offset -0.1 is no whole number of DN"),
    ({"earthsearch:boa_offset_applied": "maybe"}, {}, "'maybe' is neither true nor false"),
    ({}, {"raster:bands": [{"scale": "0.0001", "offset": "-0.1"}]}, -1000),
    ({}, {"raster:bands": [{"scale": 0.0001, "offset": 0}]}, 0),
    ({}, {"raster:scale": 0.0001, "raster:offset": -0.1}, -1000),
    ({}, {"raster:bands": [{"scale": 0.00005, "offset": 0}]}, "B04 has a scale of 5e-05"),
    ({}, {"raster:bands": [{"scale": 0.0000275, "offset": -0.2}]}, "B04 has a scale of 2.75e-05"),
    ({}, {"raster:bands": [{"scale": 1, "offset": 0, "data_type": "uint16"}]}, "B04 has a scale of 1"),
    ({}, {"raster:bands": [{"scale": 1, "offset": 0}]}, "B04 has a scale of 1"),
    ({}, {"raster:bands": [{"scale": 10000}]}, "B04 has a scale of 10000"),
    ({}, {"raster:bands": [{"scale": "ten"}]}, "scale of B04 'ten' is no number"),
    ({}, {"raster:bands": [{"scale": 0.0001, "offset": -1000}]}, "an offset of -1000, which is beyond 0.2"),
    ({}, {"raster:bands": [{"scale": 0.0001, "offset": -0.3}]}, "beyond 0.2"),
    ({}, {"raster:bands": [{"offset": -5000}]}, "beyond 0.2"),
    ({"boa_offset": -10000000}, {}, "beyond 0.2"),
    ({"boa_offset": "-1000"}, {}, -1000),
    ({}, {"raster:bands": [{"data_type": "float32", "scale": 1, "offset": 0}]}, 0),
    ({}, {"raster:bands": [{"data_type": "float32", "unit": "reflectance"}]}, 0),
    ({}, {"raster:bands": [{"data_type": "float32", "scale": 0.0001, "offset": 0}]}, "float32 with a scale of 0.0001"),
    ({}, {"raster:bands": [{"unit": "W m-2 sr-1 um-1"}]}, "B04 is in W m-2"),
    ({"s2:processing_baseline": None}, {}, "states neither its processing baseline nor an offset"),
    ({"s2:processing_baseline": None, "s2:generation_time": "2021-12-31T00:00:00Z"}, {}, 0),
    ({"s2:processing_baseline": None, "processing:datetime": "2021-12-31T00:00:00Z"}, {}, 0),
    ({"s2:processing_baseline": None, "s2:generation_time": "2023-10-07T00:00:00Z"}, {}, "states neither"),
    ({"s2:processing_baseline": None, "created": "2021-12-31T00:00:00Z"}, {}, "states neither"),
    ({"s2:processing_baseline": None, "s2:granule_id": "S2A_OPER_MSI_L2A_TL_2APS_x_T31TEJ_N05.10"}, {}, -1000),
    ({"s2:processing_baseline": None, "s2:datastrip_id": "S2A_OPER_MSI_L2A_DS_2APS_x_N03.01"}, {}, 0),
    ({"s2:processing_baseline": None, "processing:version": "05.10"}, {}, -1000),
    ({"s2:processing_baseline": None, "processing:version": "3.2"}, {}, "states neither"),
    ({"s2:processing_baseline": "99.99"}, {}, "baseline 99.99 is that of the Sen2Cor toolbox"),
    ({"s2:processing_baseline": "99.99", "s2:datatake_id": "GS2A_20240501T104021_046271_N05.10"}, {}, -1000),
]


@pytest.mark.parametrize(("properties", "stated", "expected"), OFFSETS)
def test_scale_and_offset_are_those_of_the_card_or_refused_by_value_and_band(properties, stated, expected):
    document = item("a", {**L2A, **properties}, {"red": {"href": "/d/B04.tif", **stated}})
    if isinstance(expected, int):
        assert row(document)["boa_offset"] == expected
    else:
        with pytest.raises(InvalidInputError, match=expected):
            row(document)


def test_an_offset_that_only_some_bands_state_must_be_the_usual_one_of_the_others():
    stated = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    assets = {"red": {"href": "/d/B04.tif", **stated}, "nir": {"href": "/d/B08.tif"}}
    assert row(item("a", L2A, assets))["boa_offset"] == -1000
    for other in ("03.01", None):
        with pytest.raises(InvalidInputError, match=r"different offsets .*B04 -1000, B08"):
            row(item("a", {**L2A, "s2:processing_baseline": other}, assets))


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"unit": "dB"}, "VV is in dB; card bs needs linear power"),
        ({"unit": "decibel"}, "in decibel"),
        ({"unit": "dB", "scale": 10, "data_type": "int16"}, "in dB"),
        ({"unit": "amplitude"}, "VV is in amplitude"),
        ({"scale": 0.01}, "stated scale of 0.01"),
        ({"offset": -83}, "stated offset of -83"),
        ({"data_type": "int16"}, "VV is int16; card bs needs linear power as float32"),
        ({"data_type": "uint16", "nodata": 0}, "VV is uint16"),
    ],
)
def test_radar_in_another_unit_is_refused(stated, words):
    assets = {"vv": {"href": "/d/vv.tif", "raster:bands": [stated]}}
    with pytest.raises(InvalidInputError, match=words):
        row(item(f"{GRD}_rtc", S1, assets), "bs")


def test_radar_that_states_linear_floats_or_nothing_is_accepted():
    for stated in ({}, {"data_type": "float32", "nodata": -32768}, {"unit": "linear", "scale": 1, "offset": 0}):
        assert row(item(f"{GRD}_rtc", S1, {"vv": {"href": "/d/vv.tif", "raster:bands": [stated]}}), "bs")
    with pytest.raises(InvalidInputError, match="in dB"):
        row(item(f"{GRD}_rtc", S1, {"vv": {"href": "/d/x_VV_db.tif"}}), "bs")


# -- numbers and places -------------------------------------------------------------------------------------------


def test_numbers_as_text_are_read_and_nonsense_is_refused_by_name():
    found = row(item("a", {**L2A, "eo:cloud_cover": "12.5", "proj:epsg": "32631", "sat:relative_orbit": "8"}))
    assert (found["eo:cloud_cover"], found["proj:code"], found["sat:relative_orbit"]) == (12.5, "EPSG:32631", 8)
    for code in ("urn:ogc:def:crs:EPSG::32631", "32631", 32631, "EPSG:32631"):
        assert row(item("a", {**L2A, "proj:code": code}))["proj:code"] == "EPSG:32631"
    assert row(item("a", {**L2A, "eo:cloud_cover": -1}))["eo:cloud_cover"] is None
    wrong = {"eo:cloud_cover": "cloudy", "proj:epsg": "utm", "sat:relative_orbit": "eight"}
    for name, value in wrong.items():
        with pytest.raises(InvalidInputError, match=f"{value}"):
            row(item("a", {**L2A, name: value}))
    for value in (float("nan"), 150):
        with pytest.raises(InvalidInputError, match="cloud cover"):
            row(item("a", {**L2A, "eo:cloud_cover": value}))


SWAPPED = (BOX[1], BOX[0], BOX[3], BOX[2])
GRID = {"proj:transform": [10, 0, 520000, 0, -10, 4840000], "proj:shape": [1200, 1200]}


@pytest.mark.parametrize(
    ("properties", "red"),
    [
        ({"grid:code": "MGRS-31TEJ"}, {}),
        ({"proj:code": "EPSG:32631"}, GRID),
        ({"proj:epsg": 32631, "proj:bbox": [520000, 4828000, 532000, 4840000]}, {}),
    ],
)
def test_a_footprint_with_swapped_axes_is_found_by_the_tile_or_the_grid_and_turned(properties, red, caplog):
    assets = {"red": {"href": "/d/B04.tif", **red}}
    right = row(item("a", {**L2A, **properties}, assets))
    with caplog.at_level(logging.WARNING):
        turned = row(item("a", {**L2A, **properties}, assets, box=SWAPPED))
    assert "axes of its footprint swapped" in caplog.text
    assert shapely.from_wkb(turned["geometry"]).equals(shapely.from_wkb(right["geometry"]))
    assert turned["bbox"] == right["bbox"]
    assert turned["bbox"]["xmin"] == BOX[0]
    with pytest.raises(InvalidInputError, match=r"lies elsewhere than its (tile 31TEJ|rasters)"):
        row(item("a", {**L2A, **properties}, assets, box=(13, 50, 13.1, 50.1)))


def test_a_footprint_that_nothing_can_be_held_against_stays_and_a_box_in_degrees_is_no_grid():
    assert row(item("a", L2A, box=SWAPPED))["bbox"]["xmin"] == SWAPPED[0]
    degrees = {"proj:code": "EPSG:32631", "proj:bbox": list(BOX)}  # as EOPF products have it
    assert row(item("a", {**L2A, **degrees}))["bbox"]["xmin"] == BOX[0]


@pytest.mark.parametrize(
    ("tile", "x", "y"),
    [
        ("31TEJ", 499980, 4900020),
        ("20EPT", 600000, 3300040),
        ("07HFE", 600000, 6500020),
        ("55WFR", 600000, 7600020),
        ("32VML", 399960, 6600000),
        ("06VVN", 399960, 6800040),
        ("53NKG", 199980, 700020),
        ("01CCV", 300000, 2000020),
    ],
)
def test_the_box_of_a_tile_holds_the_tile(tile, x, y):
    """Upper left corners as Sentinel-2 products of these tiles have them."""
    epsg = int(outline.utm(tile)[5:])
    corners = [(x, y), (x + 109800, y), (x + 109800, y - 109800), (x, y - 109800)]
    points = Transformer.from_crs(epsg, 4326, always_xy=True).itransform(corners)
    assert outline.of_tile(tile).buffer(1e-6).covers(shapely.MultiPoint(list(points)))


def test_a_tile_across_the_date_line_is_met_on_either_side():
    for box in ((179.2, 66, 180.9, 66.5), (-180.8, 66, -179.1, 66.5), (-179.9, 66, -179.1, 66.5)):
        assert row(item("a", {**L2A, "grid:code": "MGRS-01WCP"}, box=box))


# -- rasters of bands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "TOC-B04_10M",
        "FRE_B4",
        "SRE_B4",
        "B04_BOA",
        "SR_B4",
        "B04.jp2",
        "B4_10m",
        "b04_10m",
        "reflectance_B04",
        "sr_red",
        "r10m/b04",
        "measurements/reflectance/r10m/b04",
        "RED",
        "band4",
        "red-jp2",
    ],
)
def test_a_band_is_known_by_its_key_at_any_provider(key):
    assert bands(row(item("a", L2A, {key: {"href": "/d/x.tif"}}))) == {"B04": "/d/x.tif"}
    assert cards.asset_band(key) == "B04"


UNKNOWN_KEYS = {
    "the stated band": ({"x": {"href": "/d", "bands": [{"name": "B04", "eo:common_name": "red"}]}}, "B04"),
    "a common name": ({"x": {"href": "/d", "bands": [{"name": "nir08"}], "gsd": 20}}, "B8A"),
    "the common name of STAC 1.1": (
        {"x": {"href": "/d", "bands": [{"name": "x", "eo:common_name": "rededge071"}]}},
        "B05",
    ),
    "a number": ({"x": {"href": "/d", "eo:bands": [{"name": "band5", "common_name": "rededge"}], "gsd": 20}}, "B05"),
    "the title": ({"x": {"href": "/d", "title": "Red (band 4) - 10m"}}, "B04"),
    "the title of classes": ({"x": {"href": "/d", "title": "Scene classification map (SCL) - 20m"}}, "SCL"),
    "the file": ({"x": {"href": "https://h/T31TEJ_20240501T104021_B8A_20m.jp2?sig=B02_10m"}}, "B8A"),
    "the file of MAJA": ({"x": {"href": "/d/SENTINEL2A_20240501-104021-123_L2A_T31TEJ_C_V3-1_FRE_B11.tif"}}, "B11"),
}


@pytest.mark.parametrize("what", UNKNOWN_KEYS)
def test_a_band_under_a_key_that_says_nothing_is_known_by_what_does(what):
    assets, band = UNKNOWN_KEYS[what]
    assert list(bands(row(item("a", L2A, assets)))) == [band]


NO_RASTERS = {
    "one file with several bands": (
        {"bands-10m": {"href": "/d", "eo:bands": [{"name": "B04"}, {"name": "B03"}]}},
        r"bands-10m \(B04, B03 in one file\)",
    ),
    "copies at other pixel sizes": (
        {"B04_20m": {"href": "/d"}, "SCL_60m": {"href": "/d"}},
        "its assets are B04_20m, SCL_60m",
    ),
    "a stated other pixel size": ({"B04": {"href": "/d", "gsd": 20}}, "its assets are B04"),
    "a grid of another pixel size": ({"B04": {"href": "/d", "proj:transform": [30, 0, 0, 0, -30, 0]}}, "no raster"),
    "what three bands share": (
        {"x": {"href": "/d", "eo:bands": [{"name": "x", "common_name": "rededge"}]}},
        "no raster",
    ),
    "a corrected view": ({"nbart_red": {"href": "/d"}}, "its assets are nbart_red"),
    "top of atmosphere": ({"B04_TOA": {"href": "/d", "bands": [{"name": "B04"}]}}, "no raster"),
    "a picture": (
        {
            "x": {"href": "/d/x.png", "title": "Band 4"},
            "visual": {"href": "/d/x.tif", "roles": ["visual"], "title": "B04"},
        },
        "no raster",
    ),
    "metadata": ({"B04": {"href": "/d/B04.xml", "type": "application/xml"}}, "no raster"),
    "nothing": ({"thumbnail": {"href": "/d/x.png"}}, "its assets are thumbnail"),
}


@pytest.mark.parametrize("what", NO_RASTERS)
def test_what_is_no_raster_of_a_band_is_named_with_the_keys_that_were_there(what):
    assets, words = NO_RASTERS[what]
    with pytest.raises(InvalidInputError, match=words):
        row(item("a", L2A, assets))


def test_of_several_rasters_of_a_band_that_at_its_own_pixel_size_is_taken():
    assets = {
        "B04_20m": {"href": "/d/20.tif"},
        "B04_10m": {"href": "/d/10.tif", "gsd": 10},
        "visual": {"href": "/d/rgb.tif"},
        "x": {"href": "/d/x.tif", "bands": [{"name": "B04"}], "gsd": 60},
        "red-jp2": {"href": "/d/10.jp2", "gsd": 10},
    }
    assert bands(row(item("a", L2A, assets))) == {"B04": "/d/10.tif"}
    twice = {"x": {"href": "https://h/a_B04.tif"}, "s3_x": {"href": "s3://h/a_B04.tif"}}
    assert bands(row(item("a", L2A, twice))) == {"B04": "https://h/a_B04.tif"}
    sized = {"x": {"href": "/d/x.tif", "bands": [{"name": "B04"}]}}
    sized["y"] = {**sized["x"], "href": "/d/y.tif", "gsd": 10}
    assert bands(row(item("a", L2A, sized))) == {"B04": "/d/y.tif"}
    assert bands(row(item("a", L2A, {**sized, "B04": {"href": "/d/z.tif"}}))) == {"B04": "/d/z.tif"}
    twins = {"B04_jp2": {"href": "/d/B04.jp2"}, "B04": {"href": "/d/B04.tif"}}
    assert bands(row(item("a", L2A, twins))) == {"B04": "/d/B04.tif"}
    both = {"SRE_B4": {"href": "/d/SRE_B4.tif"}, "FRE_B4": {"href": "/d/FRE_B4.tif"}}
    assert bands(row(item("a", L2A, both))) == {"B04": "/d/FRE_B4.tif"}
    with pytest.raises(InvalidInputError, match=r"several rasters of B04 \(assets B04, red"):
        row(item("a", L2A, {"B04": {"href": "/d/1.tif"}, "red": {"href": "/d/2.tif"}}))


@pytest.mark.parametrize("key", ["reflectance", "SR_10m"])
def test_groups_of_eopf_products_hold_the_bands_at_their_own_pixel_sizes(key):
    group = "https://h/S2A_MSIL2A_N0511_.zarr/measurements/reflectance"
    ends = {"reflectance": "", "SR_10m": "/r10m"}[key]
    asset = {"href": group + ends, "type": "application/vnd.zarr; version=3"}
    found = bands(row(item("a", L2A, {key: asset})))
    wanted = {band: size for band, size in cards.S2.resolutions.items() if not ends or size == 10}
    assert found == {band: f"{group}/r{size}m/{band.lower()}" for band, size in wanted.items()}
    named = {**asset, "bands": [{"name": "B04"}, {"name": "B01"}, {"name": "b08", "gsd": 10}]}
    assert set(bands(row(item("a", L2A, {key: named})))) == {"B04", "B08"}


# -- what the world has -------------------------------------------------------------------------------------------

REAL = {
    # folder or file: card, offset or words of the refusal
    "cdse_stac/S2B_N0500_T36NYH_FeatureCollection.json": ("s2", -1000),
    "cdse_stac/S2C_N0512_T55WFR_FeatureCollection.json": ("s2", -1000),
    "cdse_stac/sentinel-2-global-mosaics_search.json": ("s2", "composite"),
    "earth_search_v0_legacy/S2A_28QCH_20200714_0_L2A.json": ("s2", 0),
    "earth_search_v1/S2A_32TPS_20230602_0_L2A.json": ("s2", 0),
    "earth_search_v1/sentinel-1-grd": ("bs", "GRD in radar geometry"),
    "earth_search_v1/sentinel-2-c1-l2a": ("s2", -1000),
    "earth_search_v1/sentinel-2-c1-l2a_item-collection_10.json": ("s2", -1000),
    "earth_search_v1/sentinel-2-l1c": ("s2", "Level-1C"),
    "earth_search_v1/sentinel-2-l2a": ("s2", 0),
    "eopf": ("s2", -1000),
    "planetary_computer/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": ("s2", 0),
    "planetary_computer/sentinel-1-grd": ("bs", "GRD in radar geometry"),
    "planetary_computer/sentinel-1-rtc": ("bs", 0),
    "planetary_computer/sentinel-2-l2a": ("s2", -1000),
    "planetary_computer/two-sentinel-2-items.json": ("s2", -1000),
    "stactools/S2A_T07HFE_20190212T192646_L2A.json": ("s2", 0),
    "stactools/s1_S1A_20200103_17RMJ_ASC.json": ("bs", 0),
    "stactools/s1_S1A_IW_GRDH_1SDV_20210809T173953_20210809T174018_039156_049F13.json": ("bs", "GRD in radar geometry"),
}


@pytest.mark.parametrize("place", REAL)
def test_every_real_item_is_decided_right(realdata, place):
    card, expected = REAL[place]
    path = realdata / "stac" / place
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    documents = [json.loads(file.read_text()) for file in files]
    items = [one for document in documents for one in document.get("features", [document])]
    assert items
    for one in items:
        if isinstance(expected, int):
            found = scene.to_row(one, card, "test", str(path))
            assert found["boa_offset"] == expected
            assert sorted(bands(found), key=cards.ASSETS.index) == list(cards.get(card).rasters)
            for other in {"s2", "bs", "c6"} - {card}:
                with pytest.raises(InvalidInputError):
                    scene.to_row(one, other, "test", str(path))
        else:
            for each in ("s2", "bs", "c6"):
                with pytest.raises(InvalidInputError, match=expected if each == card else None):
                    scene.to_row(one, each, "test", str(path))


# -- files of many items ------------------------------------------------------------------------------------------


def test_items_in_lines_are_catalogued_and_a_damaged_line_is_named(lake, tmp_path):
    file = tmp_path / "items.ndjson"
    file.write_text("\n".join(json.dumps(item(name, L2A)) for name in ("a", "b")) + "\n\n")
    assert card2db.items(file, lake=lake) == card2db.Ingested(2, 2)
    file.write_text('{"type": "Feature"}\n{')
    with pytest.raises(SourceError, match=r"line 2 of .*items\.ndjson is not JSON"):
        card2db.items(file, lake=lake)


def test_stac_geoparquet_is_read_from_folders_and_web_servers(lake, tmp_path):
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    import stac_geoparquet.arrow

    items = [{**item(name, L2A), "bbox": list(BOX)} for name in ("a", "b")]
    table = stac_geoparquet.arrow.parse_stac_items_to_arrow(items)
    (tmp_path / "web/folder").mkdir(parents=True)
    stac_geoparquet.arrow.to_parquet(table, tmp_path / "web/folder/x.parquet")

    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=tmp_path / "web")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}/folder"
        found = list(itemfiles.from_parquet(f"{url}/x.parquet?sig=SECRET"))
        for name in ("gone.parquet", "gone.ndjson"):
            read = itemfiles.from_parquet if name.endswith("parquet") else itemfiles.from_lines
            with pytest.raises(SourceError, match=rf"^http.*{name} cannot be opened: 404") as refused:
                list(read(f"{url}/{name}?sig=SECRET"))
            assert "SECRET" not in str(refused.value)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert [one["id"] for one in found] == ["a", "b"]
    assert card2db.geoparquet(tmp_path / "web/folder", lake=lake) == card2db.Ingested(2, 2)
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(SourceError, match=r"other\.parquet is not JSON .*; use card2db geoparquet"):
        card2db.items(tmp_path / "other.parquet", lake=lake)
    with pytest.raises(SourceError, match=r"other\.parquet cannot be read as STAC-GeoParquet"):
        card2db.geoparquet(tmp_path / "other.parquet", lake=lake)
