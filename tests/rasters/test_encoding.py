"""Stored numbers in the unit of their card: what is counted equals rasterstats on the numbers meant, or is refused."""

import json
import logging

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import zarr
from pyproj import Transformer
from rasterstats import zonal_stats

from cbm_lake import card2db, cards, extract, parcels
from cbm_lake.errors import SourceError
from cbm_lake.lake import open_lake
from cbm_lake.parcel import chips
from cbm_lake.rasters import Raster, Window, encoding
from cbm_lake.rasters.cube import Cube
from cbm_lake.rasters.readers import source

pytestmark = pytest.mark.thorough


LEFT, TOP = 523_560, 4_832_780
SIZE = 60
"""Pixels of 10 m a side."""
NAME = "S2A_MSIL2A_20240501T104021_N{}_R008_T31TEJ_20240501T151515"
RADAR = "S1A_IW_GRDH_1SDV_20240501T055000_20240501T055025_032400_03C000_ABCD_CARD_BS"


def outlines():
    places = ((1, 1), (2, 4), (5, 0))
    return [
        shapely.box(LEFT + 100 * i + 13, TOP - 100 * j - 87, LEFT + 100 * i + 83, TOP - 100 * j - 11) for i, j in places
    ]


def write(path, pixels, metres=10, epsg=32631, **options):
    grid = rasterio.transform.from_origin(LEFT, TOP, metres, metres)
    profile = {
        "driver": "GTiff",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "count": 1,
        "dtype": pixels.dtype,
    }
    scales = options.pop("scale", None)
    with rasterio.open(path, "w", crs=f"EPSG:{epsg}", transform=grid, **profile, **options) as file:
        file.write(pixels, 1)
        if scales:
            file.scales = (scales,)
    return str(path)


def reflectance(seed=1):
    """10000 x reflectance as whole numbers, all of them possible."""
    return np.random.default_rng(seed).integers(1, 6000, (SIZE, SIZE)).astype(np.int32)


def lake_of(folder, hrefs, card="s2", name=None, raster=None, **properties):
    """A lake with the parcels and one scene."""
    lake = open_lake(str(folder / "lake"))
    frame = gpd.GeoDataFrame({"pid": ["0", "1", "2"]}, geometry=outlines(), crs=32631)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(folder / "parcels.parquet", "ms", 2024, pid="pid", lake=lake)
    ground = shapely.box(LEFT, TOP - 10 * SIZE, LEFT + 10 * SIZE, TOP)
    degrees = shapely.transform(ground, Transformer.from_crs(32631, 4326, always_xy=True).transform, interleaved=False)
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name or (NAME.format("0301") if card == "s2" else RADAR),
        "links": [],
        "geometry": shapely.geometry.mapping(degrees),
        "properties": {"datetime": "2024-05-01T10:40:21Z", **properties},
        "assets": {band: {"href": href, "raster:bands": [raster or {}]} for band, href in hrefs.items()},
    }
    (folder / "item.json").write_text(json.dumps(item))
    assert card2db.items(folder / "item.json", card=card, lake=lake).new == 1
    return lake


def taken(lake, band="B04", card="s2", **options):
    return extract.extract(
        card, "2024-05-01", "2024-05-01", aoi="ms", year=2024, lake=lake, workers=0, bands=[band], **options
    )


def assert_is(lake, wanted, band="B04", card="s2", shift=0):
    """The lake's statistics are those of rasterstats on the numbers that are meant; 0 is nodata."""
    grid = rasterio.transform.from_origin(LEFT, TOP, 10, 10)
    truth = zonal_stats(outlines(), wanted, affine=grid, nodata=0, stats="count mean min max std")
    rows = {row["pid"]: row for row in lake.sql(f"from {card} order by pid").to_pylist()}
    assert len(rows) == 3
    for pid, stats in enumerate(truth):
        row = rows[str(pid)]
        assert row[f"{band}_count"] == stats["count"]
        for name in ("mean", "min", "max"):
            assert row[f"{band}_{name}"] == pytest.approx(stats[name] + shift, rel=1e-5)
        assert row[f"{band}_std"] == pytest.approx(stats["std"], rel=1e-4)


def meant():
    """10000 x reflectance with a hole."""
    wanted = reflectance()
    wanted[20:24, 20:30] = 0
    return wanted


STORED = {
    # what: dtype and options of the file, what is put in the hole, what the item states
    "int16 of MAJA": ("int16", {"nodata": -10000}, -10000, None),
    "int16 of FORCE": ("int16", {"nodata": -9999}, -9999, None),
    "int16 of openEO": ("int16", {"nodata": -32768}, -32768, {"data_type": "int16", "nodata": -32768}),
    "int32": ("int32", {}, 0, None),
    "uint32": ("uint32", {}, 0, None),
    "uint16 with nodata 65535": ("uint16", {"nodata": 65535}, 65535, None),
    "uint16 with a scale in the header": ("uint16", {"scale": 0.0001}, 0, None),
    "float32": ("float32", {"nodata": np.nan}, np.nan, {"data_type": "float32", "scale": 1, "offset": 0}),
    "float32 with nodata -9999": (
        "float32",
        {"nodata": -9999},
        -9999,
        {"data_type": "float32", "scale": 1, "offset": 0},
    ),
    "float64": ("float64", {}, np.nan, None),
    "tiled float32": ("float32", {"tiled": True, "blockxsize": 16, "blockysize": 16}, np.nan, None),
    "tiled int16": ("int16", {"tiled": True, "blockxsize": 16, "blockysize": 16, "nodata": -9999}, -9999, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", STORED)
def test_what_is_stored_otherwise_counts_as_the_same_dn_with_and_without_a_cube(what, tmp_path):
    dtype, options, hole, stated = STORED[what]
    wanted = meant()
    stored = np.where(wanted == 0, hole, wanted / 10000 if dtype.startswith("float") else wanted).astype(dtype)
    lake = lake_of(tmp_path, {"B04": write(tmp_path / "b.tif", stored, **options)}, raster=stated)
    for how in ({"cube": False}, {"cube": True}, {"cube": True, "again": True}):
        assert taken(lake, **how).discarded == 0
        assert_is(lake, wanted)
    headers = lake.sql("select header from rasters")["header"].to_pylist()  # without what depends on the card
    assert {json.loads(header)["encoding"] for header in headers} == {None}


WRONG = {
    # what: dtype, numbers that are no reflectance
    "below 0": ("int16", [-1, -32768, -200]),
    "below 0 in more bits": ("int32", [-1, -100_000, 70_000]),
    "wrapped": ("uint16", [65535, 65530, 32768]),
    "floats": ("float32", [-0.0001, 3.3, -7.0]),
}


@pytest.mark.parametrize("rule", ["centre", "coverage"])
@pytest.mark.parametrize("what", WRONG)
def test_numbers_that_are_no_reflectance_are_nodata_and_counted(what, rule, tmp_path, caplog):
    dtype, numbers = WRONG[what]
    wanted, factor = meant(), 10000 if dtype == "float32" else 1
    stored = (wanted / factor).astype(dtype)
    places = [(14, 14), (15, 15), (45, 25)]  # inside the first parcel, and the second
    for (row, column), number in zip(places, numbers, strict=True):
        stored[row, column], wanted[row, column] = number, 0
    lake = lake_of(tmp_path, {"B04": write(tmp_path / "b.tif", stored)})
    with caplog.at_level(logging.WARNING):
        done = taken(lake, rule=rule, cube=rule == "centre")
    assert done.discarded == 3
    assert "has 3 pixels that are no measurement" in caplog.text
    if rule == "coverage":
        rows = lake.sql("select B04_max, B04_min from s2").to_pylist()
        assert all(row["B04_min"] > 0 and row["B04_max"] <= 6000 for row in rows)
        return
    assert_is(lake, wanted)
    assert taken(lake, again=True).discarded == 3  # out of the cube, too
    assert_is(lake, wanted)


def test_the_highest_reflectance_counts(tmp_path):
    wanted = reflectance()
    wanted[14, 14] = 32767
    lake = lake_of(tmp_path, {"B04": write(tmp_path / "b.tif", wanted.astype("uint16"))})
    assert taken(lake).discarded == 0
    assert_is(lake, wanted)


def test_the_offset_of_whole_numbers_is_added_and_wrapped_ones_are_looked_for_before(tmp_path):
    stored = reflectance().astype("uint16")
    stored[14, 14] = 65000
    lake = lake_of(tmp_path, {"B04": write(tmp_path / "b.tif", stored)}, name=NAME.format("0510"))
    assert taken(lake).discarded == 1
    wanted = stored.astype(np.int32)
    wanted[14, 14] = 0
    assert_is(lake, wanted, shift=-1000)


REFUSED = {
    # what: dtype, metres, options, properties, words
    "floats whose offset is not told": ("float32", 10, {}, {"s2:processing_baseline": "05.10"}, "does not state"),
    "pixels of 30 m": ("uint16", 30, {}, {}, "pixels of 30 m; band B04 of card s2 has 10 m"),
    "pixels of 20 m": ("int16", 20, {}, {}, "pixels of 20 m; band B04"),
    "eight bits": ("uint8", 10, {}, {}, "is uint8; band B04 needs uint16"),
    "another scale": ("uint16", 10, {"scale": 0.00005}, {}, "has a scale of 5e-05; band B04 needs 0.0001"),
    "DN as floats": ("float32", 10, {}, {}, "is float32 but holds numbers like"),
}


@pytest.mark.parametrize("cube", [False, True])
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_of_the_card_is_refused_the_same_with_and_without_a_cube(what, cube, tmp_path):
    dtype, metres, options, properties, words = REFUSED[what]
    pixels = reflectance() / (10000 if dtype == "float32" and what != "DN as floats" else 1)
    file = write(tmp_path / "b.tif", pixels.clip(0, 200 if dtype == "uint8" else None).astype(dtype), metres, **options)
    name = "S2A_31TEJ_20240501_0_L2A"
    lake = lake_of(tmp_path, {"B04": file}, name=name, **{"s2:processing_baseline": "03.01", **properties})
    with pytest.raises(SourceError, match=words) as caught:
        taken(lake, cube=cube)
    assert "b.tif" in str(caught.value)
    assert lake.sql("select count(*) as n from s2")["n"][0].as_py() == 0


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (
            lambda power: (10 * np.log10(power)).astype("float32"),
            "median of -1.* as dB or undeclared nodata would have; card bs needs linear power",
        ),
        (lambda power: (np.sqrt(power) * 1000).astype("float32"), "as scaled numbers or amplitude would have"),
        (lambda power: (power * 1000).astype("int16"), "is int16; card bs needs linear power as float32"),
    ],
)
@pytest.mark.parametrize("cube", [False, True])
def test_radar_in_another_unit_is_refused_by_sign_size_or_type(pixels, words, cube, tmp_path):
    power = np.random.default_rng(3).gamma(4, 0.02, (SIZE, SIZE))
    lake = lake_of(tmp_path, {"VV": write(tmp_path / "b.tif", pixels(power))}, "bs")
    with pytest.raises(SourceError, match=words):
        taken(lake, "VV", "bs", cube=cube)


def test_nodata_that_a_radar_raster_does_not_declare_is_no_power(tmp_path):
    power = np.random.default_rng(3).gamma(4, 0.02, (SIZE, SIZE)).astype("float32")
    power[14, 14] = power[45, 25] = 0
    stored = power.copy()
    stored[14, 14], stored[45, 25] = -32768, -9999
    lake = lake_of(tmp_path, {"VV": write(tmp_path / "b.tif", stored)}, "bs")
    assert taken(lake, "VV", "bs").discarded == 2
    assert_is(lake, power, "VV", "bs")


@pytest.mark.parametrize("metres", [10, 20, 30])
def test_linear_power_is_accepted_at_the_pixel_sizes_of_providers(metres, tmp_path):
    power = np.random.default_rng(3).gamma(4, 0.02, (SIZE, SIZE)).astype("float32")
    lake = lake_of(tmp_path, {"VV": write(tmp_path / "b.tif", power, metres)}, "bs")
    taken(lake, "VV", "bs")
    if metres == 10:
        assert_is(lake, power, "VV", "bs")


@pytest.mark.parametrize(
    ("card", "band", "metres", "fits"),
    [
        ("s2", "B04", 10, True),
        ("s2", "B05", 20, True),
        ("s2", "B05", 10, False),
        ("s2", "SCL", 20, True),
        ("s2", "SCL", 10, False),
        ("s2", "SCL", 60, False),
        ("s2", "B04", 10.000001, True),
        ("s2", "B04", 10.5, False),
        ("bs", "VV", 10, True),
        ("bs", "VV", 30, True),
        ("bs", "VV", 100, False),
        ("c6", "VH", 20, True),
    ],
)
def test_pixel_sizes_are_the_cards(card, band, metres, fits):
    def check(pixel, epsg):
        encoding.check_pixel(cards.get(card), band, "x.tif", epsg, pixel)

    degrees = (metres / 111_320 / np.cos(np.radians(43)), metres / 111_320)  # x is shorter than y in the north
    for pixel, epsg in (((metres, metres), 32631), ((metres, metres), 3035), (degrees, 4326)):
        if fits:
            check(pixel, epsg)
        elif epsg != 4326 or metres != 10.5:
            with pytest.raises(SourceError, match=r"has pixels of .* m; band"):
                check(pixel, epsg)
    if fits:
        with pytest.raises(SourceError, match="has pixels of"):
            check((metres, 5 * metres), 32631)


def test_classes_in_floats_are_refused(tmp_path):
    file = write(tmp_path / "scl.tif", np.full((30, 30), 4, "float32"), 20)
    with pytest.raises(SourceError, match="is float32; classes of card s2 are whole numbers"):
        Raster.inspect(file).encoded(cards.S2, "SCL", 0)


def test_floats_round_to_the_nearest_dn_and_no_measurement_becomes_nodata():
    stored = np.array([[0.1234, 0.12345, 0.00001, np.nan, np.inf, 0.0, 3.2767, 6.5536, -0.5]], "float32")
    found = encoding.decoded(stored, encoding.REFLECTANCE, "x")
    assert found.dtype == np.uint16
    assert found[0, :7].tolist() == [1234, 1235, 1, 0, 0, 0, 32767]
    assert encoding.without_wrapped(found) == 2
    assert found[0, 7:].tolist() == [0, 0]


def test_the_cube_holds_dn_and_chips_show_them(tmp_path):
    wanted = meant()
    stored = np.where(wanted == 0, np.nan, wanted / 10000).astype("float32")
    stored[30, 30] = -0.01
    lake = lake_of(tmp_path, {"B04": write(tmp_path / "b.tif", stored)})
    place = (LEFT + 300, TOP - 300)
    lon, lat = Transformer.from_crs(32631, 4326, always_xy=True).transform(*place)
    (found,) = chips.covering(lake, lon, lat, "2024-05-01", "2024-05-01", chipsize=400)
    shown = [chips.read(lake, found, ["B04"], lon, lat, 400)["B04"].to_numpy()]
    taken(lake)
    (grid,) = {Raster.inspect(str(tmp_path / "b.tif")).grid.name}
    kept = np.asarray(zarr.open_group(lake.cube_url("s2", grid), mode="r")["B04"][0])
    opened = Cube(lake.cube_url("s2", grid)).open()["B04"].isel(time=0).to_numpy()
    shown.append(chips.read(lake, found, ["B04"], lon, lat, 400)["B04"].to_numpy())
    wanted[30, 30] = 0
    for pixels in shown:
        np.testing.assert_array_equal(pixels, wanted[10:50, 10:50])
    assert kept[30, 30] > encoding.HIGHEST  # as a product that wrapped has it: told apart from nodata
    np.testing.assert_array_equal(np.where(kept > encoding.HIGHEST, 0, kept), wanted)
    np.testing.assert_array_equal(opened, wanted)


def test_a_raster_of_no_known_band_is_read_as_it_is(tmp_path):
    stored = (reflectance() - 3000).astype("int16")
    raster = Raster.inspect(write(tmp_path / "b.tif", stored))
    (pixels,) = source(raster).read([Window(0, 0, SIZE, SIZE)])
    np.testing.assert_array_equal(pixels, stored)
    (dn,) = source(raster.encoded(cards.S2, "B04", 0)).read([Window(0, 0, SIZE, SIZE)])
    np.testing.assert_array_equal(dn.view("int16"), stored)
