"""Rasters of one's own by a pattern of their names, bands within files, and decibels."""

import json
import os
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
from ground_truth import SIZE, X, Y, check, coherence, dn, extracted, load, power, write
from s3_server import object_store

from cbm_lake import card2db, cards
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.parcel import chips
from cbm_lake.rasters import Raster, Window, stack
from cbm_lake.rasters.readers import source
from cbm_lake.storage import credentials
from cbm_lake.storage.location import Location

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}


def decibels(seed=0, nodata=-9999.0):
    """Backscatter in decibels, with some nodata, NaN and 0."""
    pixels = np.random.default_rng(seed).normal(-12, 3, (SIZE, SIZE)).astype(np.float32)
    pixels[:4], pixels[5, :50], pixels[7, :30] = nodata, np.nan, 0
    return pixels


def linear(pixels, nodata=-9999.0):
    valid = np.isfinite(pixels) & (pixels != nodata) & (pixels != 0)
    return np.where(valid, 10.0 ** (np.where(valid, pixels, 0).astype(float) / 10), 0).astype(np.float32)


def series(folder, make=power, dates=("20240501", "20240507"), **profile):
    """S1_<date>_<band>.tif; the arrays by date and band."""
    arrays = {}
    for number, date in enumerate(dates):
        for band in ("VV", "VH"):
            arrays[date, band] = make(10 * number + (band == "VH"))
            write(folder / f"S1_{date}_{band}.tif", arrays[date, band], **profile)
    return arrays


def scenes(lake):
    return lake.sql("select * from scenes order by obstime, id").to_pylist()


# -- hrefs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("href", "location"),
    [
        ("/a/x.tif", ("/a/x.tif", 0, "")),
        ("/a/x.tif#band=2", ("/a/x.tif", 2, "")),
        ("/a/x.tif#unit=db", ("/a/x.tif", 0, "db")),
        ("/a/x.tif#band=12&unit=db", ("/a/x.tif", 12, "db")),
        ("https://host/x.tif?a=b#band=1", ("https://host/x.tif?a=b", 1, "")),
        ("/a#band=2/x.tif", ("/a#band=2/x.tif", 0, "")),
        ("/a/b#1/x#2.tif#band=3", ("/a/b#1/x#2.tif", 3, "")),
        ("/a/x.tif#band=0", ("/a/x.tif#band=0", 0, "")),
        ("/a/x.tif#band=2&unit=mw", ("/a/x.tif#band=2&unit=mw", 0, "")),
        ("/a/x.tif#unit=db&band=2", ("/a/x.tif#unit=db&band=2", 0, "")),
        ("/a/x.tif#", ("/a/x.tif#", 0, "")),
        ("#band=2", ("#band=2", 0, "")),
        ("/a/x\n.tif#band=2", ("/a/x\n.tif", 2, "")),
    ],
)
def test_only_a_fragment_of_exactly_that_form_is_parsed(href, location):
    assert Location.of(href) == location
    assert Location(*location).href == href


def test_band_and_unit_stay_when_a_signature_is_taken_off():
    href = "https://user:secret@host/x.tif?sig=abc&se=2024&page=1#band=2&unit=db"
    assert credentials.without_signature(href) == "https://host/x.tif?page=1#band=2&unit=db"
    assert credentials.without_signature("s3://a/x.tif#unit=db") == "s3://a/x.tif#unit=db"
    assert "token" not in credentials.without_signature("https://host/x.tif#token=abc")


def blocks(raster):
    (rows, columns), (height, width) = raster.grid.shape, raster.block
    windows = [
        Window(row, col, min(height, rows - row), min(width, columns - col))
        for row in range(0, rows, height)
        for col in range(0, columns, width)
    ]
    pixels = np.zeros(raster.grid.shape, raster.pixel_dtype)
    for window, values in zip(windows, source(raster).read(windows), strict=True):
        pixels[window.row : window.row + window.height, window.col : window.col + window.width] = values
    return pixels


@pytest.mark.parametrize("profile", [{}, TILED, {**TILED, "compress": "deflate", "interleave": "band"}])
@pytest.mark.parametrize("driver", ["GTiff", "ENVI"])
def test_each_band_of_a_file_is_read_as_rasterio_reads_it(tmp_path, profile, driver):
    arrays = np.stack([dn(1), dn(2), dn(3)])
    arrays[1, :9] = 999
    path = write(tmp_path / "x.tif", arrays, driver=driver, **(profile if driver == "GTiff" else {}), nodata=999)
    with rasterio.open(path) as file:
        for number in (1, 2, 3):
            truth = np.where(file.read(number) == 999, 0, file.read(number))
            raster = Raster.inspect(f"{path}#band={number}")
            assert np.array_equal(blocks(raster), truth)
            assert Raster.from_json(raster.to_json()) == raster
            lazy = stack.band([raster, raster], raster.grid, "uint16")
            assert np.array_equal(lazy[1].compute(), truth)
    with pytest.raises(SourceError, match="3 bands where one is expected"):
        Raster.inspect(str(path))
    with pytest.raises(SourceError, match="not a band 4"):
        Raster.inspect(f"{path}#band=4")


@pytest.mark.parametrize("profile", [{}, TILED, {**TILED, "compress": "deflate", "predictor": 3}])
@pytest.mark.parametrize("nodata", [-9999.0, None, float("nan")])
def test_decibels_are_read_as_power_by_every_way_and_nodata_stays_nodata(tmp_path, profile, nodata):
    pixels = decibels(nodata=-9999.0 if nodata is None else nodata)
    path = write(tmp_path / "x.tif", np.stack([pixels]), nodata=nodata, **profile)
    raster = Raster.inspect(f"{path}#unit=db").encoded(cards.BS, "VV", 0)
    truth = linear(pixels)
    assert np.array_equal(blocks(raster) == 0, truth == 0)
    assert np.allclose(blocks(raster), truth, rtol=1e-6, atol=0)
    assert np.allclose(stack.band([raster], raster.grid, "float32")[0].compute(), truth, rtol=1e-6, atol=0)


def test_headers_that_were_stored_before_there_were_bands_are_read():
    raster = Raster.from_json(
        json.dumps(
            {
                "href": "/x.tif",
                "dtype": "uint16",
                "block": [512, 512],
                "nodata": None,
                "epsg": 32631,
                "transform": [10, 0, 0, 0, -10, 0],
                "shape": [100, 100],
            }
        )
    )
    assert (raster.band, raster.unit, raster.path) == (1, "", "/x.tif")


def test_complex_numbers_are_no_raster(tmp_path):
    path = write(tmp_path / "x.tif", power().astype(np.complex64))
    with pytest.raises(SourceError, match="complex"):
        Raster.inspect(str(path))


# -- patterns -----------------------------------------------------------------------------------------------------


def test_the_real_series_of_mol_is_catalogued_and_read(realdata, lake, caplog):
    folder = realdata / "s1s2_mol_2023"
    assert card2db.files(str(folder / "s1/S1_{date}_{band}.tif"), "bs", unit="linear", lake=lake) == (
        card2db.Ingested(10, 10)
    )
    assert card2db.files(str(folder / "s2/S2_{date}_{band}.tif"), offset=0, lake=lake) == card2db.Ingested(12, 12)
    (line,) = (line for line in caplog.messages if "B11" in line)
    assert line.endswith("band B11 of card s2 has 20 m; it is left out, like 11 more of that band")
    rows = scenes(lake)
    assert {(row["card"], row["sensor"], row["boa_offset"], row["epsg"]) for row in rows} == {
        ("bs", "S1", 0, 32631),
        ("s2", "S2", 0, 32631),
    }
    assert rows[0]["obstime"] == datetime(2023, 4, 2, tzinfo=UTC)
    for row in rows[:4]:
        for asset in filter(None, row["assets"].values()):
            with rasterio.open(asset["href"]) as file:
                assert np.array_equal(blocks(Raster.inspect(asset["href"])), file.read(1))
    assert card2db.files(str(folder / "s1/S1_{date}_{band}.tif"), "bs", unit="linear", lake=lake).new == 0


@pytest.mark.parametrize("unit", ["linear", "db"])
def test_a_series_gives_the_numbers_of_rasterstats(lake, tmp_path, unit):
    make = power if unit == "linear" else decibels
    arrays = series(tmp_path / "s1", make, nodata=-9999.0 if unit == "db" else None, **TILED)
    load(lake, tmp_path)
    found = card2db.files(str(tmp_path / "s1/S1_{date}_{band}.tif"), "bs", unit=unit, lake=lake)
    assert found == card2db.Ingested(2, 2)
    extracted(lake, "bs")
    rows = scenes(lake)
    turned = {key: pixels if unit == "linear" else linear(pixels) for key, pixels in arrays.items()}
    for row, date in zip(rows, ("20240501", "20240507"), strict=True):
        check(lake, "bs", row["id"], {band: turned[date, band] for band in ("VV", "VH")})
    chip = chips.read(lake, chips.by_id(lake, rows[0]["id"], "bs"), ["VV"], 3.005, 43.346, 300)
    assert chip["VV"].dtype == np.float32
    assert 0.001 < float(chip["VV"].where(chip["VV"] > 0).median()) < 1
    extracted(lake, "bs", again=True, cube=False, rule="coverage")
    means = lake.sql("select VV_mean from bs where scene = $id order by pid", id=rows[0]["id"])["VV_mean"]
    assert all(0.01 < mean < 1 for mean in means.to_pylist())


def test_files_with_several_bands_are_read_in_the_order_that_is_said(lake, tmp_path):
    arrays = np.stack([coherence(1), power(2) + 0.001, power(3) + 0.001])
    for date in ("2024-05-01", "2024-05-13"):
        write(tmp_path / f"in/{date}/all.tif", arrays, **TILED)
    load(lake, tmp_path)
    found = card2db.files(str(tmp_path / "in/{date}/all.tif"), "bs", unit="linear", bands=("-", "VH", "vv"), lake=lake)
    assert found == card2db.Ingested(2, 2)
    row = scenes(lake)[0]
    assert row["assets"]["VH"]["href"].endswith("all.tif#band=2")
    extracted(lake, "bs")
    check(lake, "bs", row["id"], {"VH": arrays[1], "VV": arrays[2]})


def test_bands_that_are_called_otherwise_in_the_file_are_refused(lake, tmp_path):
    write(tmp_path / "S1_20240501.tif", np.stack([power(1), power(2)]), descriptions=("VH", "VV"))
    with pytest.raises(InvalidInputError, match="is called VH, not VV"):
        card2db.files(str(tmp_path / "S1_{date}.tif"), "bs", unit="linear", bands=("VV", "VH"), lake=lake)
    found = card2db.files(str(tmp_path / "S1_{date}.tif"), "bs", unit="linear", bands=("VH", "VV"), lake=lake)
    assert found == card2db.Ingested(1, 1)


@pytest.mark.parametrize(
    ("name", "pattern", "when"),
    [
        ("S1_20240501_VV.tif", "S1_{date}_{band}.tif", "2024-05-01 00:00:00"),
        ("S1_2024-05-01_VV.tif", "S1_{date}_{band}.tif", "2024-05-01 00:00:00"),
        ("S1_2024_05_01_VV.tif", "S1_{date}_{band}.tif", "2024-05-01 00:00:00"),
        ("S1_20240501T055000_VV.tif", "S1_{date}_{band}.tif", "2024-05-01 05:50:00"),
        ("S1_20240501T055000Z-vv.TIF", "S1_{date}-{band}.tif", "2024-05-01 05:50:00"),
        ("S1_2024-05-01T05-50-00_VV.tif", "S1_{date}_{band}.tif", "2024-05-01 05:50:00"),
        ("20240501VV.tif", "{date}{band}.tif", "2024-05-01 00:00:00"),
        ("2024/05/x_20240501T055000_20240501T055025_VV.tif", "**/*_{date}_*_{band}.tif", "2024-05-01 05:50:00"),
        ("2024-05-01/VV/grd.tif", "{date}/{band}/*.tif", "2024-05-01 00:00:00"),
        ("x_20240501_a_VV_b.tif", "*_{date}_*{band}*.tif", "2024-05-01 00:00:00"),
        ("S1_20240501_20240501_VV.tif", "S1_{date}_{date}_{band}.tif", "2024-05-01 00:00:00"),
        ("gr(o+ß)e [1]/S1_20240501_VV.tif", "gr(o+ß)e [1]/S1_{date}_{band}.tif", "2024-05-01 00:00:00"),
    ],
)
def test_dates_are_read_where_the_pattern_says(lake, tmp_path, name, pattern, when):
    write(tmp_path / name, power())
    assert card2db.files(f"{tmp_path}/{pattern}", "bs", unit="linear", lake=lake) == card2db.Ingested(1, 1)
    (row,) = scenes(lake)
    assert f"{row['obstime']:%Y-%m-%d %H:%M:%S}" == when
    assert row["assets"]["VV"]["href"] == str(tmp_path / name)


@pytest.mark.parametrize(
    "date", ["20241301", "20240230", "19980501", "01052024", "240501", "2024121", "01May2024", "20240501T256000"]
)
def test_what_is_no_date_is_refused_by_name(lake, tmp_path, date):
    write(tmp_path / "S1_20240507_VV.tif", power())
    write(tmp_path / f"S1_{date}_VV.tif", power())
    found = card2db.files(str(tmp_path / "S1_{date}_{band}.tif"), "bs", unit="linear", lake=lake)
    assert (found.found, found.new) == (2, 1)
    assert f"S1_{date}_VV.tif" in found.skipped[0]
    assert "is no date" in found.skipped[0]


def test_a_name_with_two_dates_is_refused_where_the_pattern_does_not_say_which(lake, tmp_path):
    write(tmp_path / "S1_20240501_VV.tif", power())
    write(tmp_path / "coh_20240501_20240507_VV.tif", power())
    found = card2db.files(str(tmp_path / "*_{date}_*{band}.tif"), "bs", unit="linear", lake=lake)
    assert found.new == 1
    assert "holds two dates, 20240501 and 20240507" in found.skipped[0]
    found = card2db.files(str(tmp_path / "coh_20240501_{date}_{band}.tif"), "bs", unit="linear", lake=lake)
    assert found == card2db.Ingested(1, 1)


def test_placeholders_tell_scenes_apart_and_are_kept(lake, tmp_path):
    for sensor, orbit, way in (("S1A", "8", "A"), ("S1A", "037", "desc"), ("S1B", "8", "ascending")):
        write(tmp_path / f"{sensor}_{orbit}_{way}_20240501_VV.tif", power())
    pattern = str(tmp_path / "{sensor}_{orbit}_{direction}_{date}_{band}.tif")
    assert card2db.files(pattern, "bs", unit="linear", lake=lake) == card2db.Ingested(3, 3)
    facts = [(row["sensor"], row["relative_orbit"], row["orbit_state"]) for row in scenes(lake)]
    assert sorted(facts) == [("S1A", 8, "ascending"), ("S1A", 37, "descending"), ("S1B", 8, "ascending")]
    assert len({row["acquisition"] for row in scenes(lake)}) == 3


def test_tiles_of_one_day_are_neighbours_and_the_same_files_elsewhere_are_the_same_scene(lake, tmp_path):
    for tile, corner in (("31TEJ", (X, Y)), ("T31TFJ", (X + 100_000, Y))):
        for folder in ("a", "b"):
            write(tmp_path / folder / f"{tile}_20240501_B04.tif", dn(), corner=corner)
    assert card2db.files(str(tmp_path / "a/{tile}_{date}_{band}.tif"), offset=0, lake=lake) == card2db.Ingested(2, 2)
    assert [row["tile"] for row in scenes(lake)] == ["31TEJ", "31TFJ"]
    assert card2db.files(str(tmp_path / "b/{tile}_{date}_{band}.tif"), offset=0, lake=lake) == card2db.Ingested(
        2, 0, changed=2
    )


def test_two_areas_of_one_day_are_two_scenes(lake, tmp_path):
    for area, corner in (("a", (X, Y)), ("b", (X + 100_000, Y))):
        write(tmp_path / area / "S1_20240501_VV.tif", power(), corner=corner)
        card2db.files(str(tmp_path / area / "S1_{date}_{band}.tif"), "bs", unit="linear", lake=lake)
    rows = scenes(lake)
    assert len(rows) == 2
    assert not any(row["superseded"] for row in rows)


def truncated(path):
    write(path, power())
    path.write_bytes(path.read_bytes()[:200])


def scaled(path):
    write(path, power())
    with rasterio.open(path, "r+") as file:
        file.scales = (0.01,)


def beside(name, **options):
    """Makes a second file of the same scene."""

    def make(path):
        write(path, power())
        write(path.with_name(name), power(), **options)

    return make


SPOILED = {
    "are both VV": beside("3_20240513_vv.tif"),
    "VV lies on grid": beside("2_20240513_VH.tif", corner=(X + 3, Y)),
    "do not fit": beside("2_20240513_VH.tif", epsg=32632),
    "2 bands where one is expected": lambda path: write(path, np.stack([power(), power()])),
    "no known coordinate system": truncated,
    "is not north-up": lambda path: write(path, power(), crs=None),
    "uint16": lambda path: write(path, dn()),
    "declares scale": scaled,
    "decibels?": lambda path: write(path, decibels()),
    "not backscatter as power": lambda path: write(path, power() * 1000),
}


@pytest.mark.parametrize("words", SPOILED)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_scene_that_is_not_what_was_said_costs_itself_only(lake, tmp_path, words):
    write(tmp_path / "1_20240501_VV.tif", power())
    SPOILED[words](tmp_path / "2_20240513_VV.tif")
    found = card2db.files(str(tmp_path / "*_{date}_{band}.tif"), "bs", unit="linear", lake=lake)
    assert (found.found, found.new) == (2, 1)
    assert words in found.skipped[0]
    assert "\n" not in found.skipped[0]


def test_linear_values_are_not_taken_for_decibels(lake, tmp_path):
    series(tmp_path)
    with pytest.raises(InvalidInputError, match=r"decibels are stated.*none of 2 scenes is catalogued"):
        card2db.files(str(tmp_path / "S1_{date}_{band}.tif"), "bs", unit="db", lake=lake)
    assert not scenes(lake)


def reflectance(folder, scale=None, shift=None, dtype="uint16"):
    for band in ("B04", "B08", "SCL"):
        classes = band == "SCL"
        pixels = np.full((60, 60), 4, "uint8") if classes else dn(dtype=dtype)
        path = write(folder / f"S2_20240501_{band}.tif", pixels, 20 if classes else 10)
        if scale and band != "SCL":
            with rasterio.open(path, "r+") as file:
                file.scales, file.offsets = (scale,), (shift,)
    return str(folder / "S2_{date}_{band}.tif")


def test_the_offset_of_reflectance_is_said_or_stated_and_never_guessed(lake, tmp_path):
    pattern = reflectance(tmp_path)
    with pytest.raises(InvalidInputError, match="nothing says which offset"):
        card2db.files(pattern, lake=lake)
    with pytest.raises(InvalidInputError, match=r"beyond 0\.2"):
        card2db.files(pattern, offset=-10_000, lake=lake)
    load(lake, tmp_path)
    assert card2db.files(pattern, offset=-1000, lake=lake) == card2db.Ingested(1, 1)
    extracted(lake, "s2", bands=("B04", "B08"))
    (row,) = scenes(lake)
    check(lake, "s2", row["id"], {"B04": dn(), "B08": dn()}, -1000)


def test_the_offset_that_files_declare_is_taken(lake, tmp_path):
    pattern = reflectance(tmp_path, 0.0001, -0.1)
    with pytest.raises(InvalidInputError, match="declares offset -1000, and 0 was said"):
        card2db.files(pattern, offset=0, lake=lake)
    assert card2db.files(pattern, lake=lake) == card2db.Ingested(1, 1)
    assert scenes(lake)[0]["boa_offset"] == -1000


@pytest.mark.parametrize(
    ("options", "words"), [({"scale": 0.001, "shift": 0}, "scale"), ({"dtype": "float32"}, "float32")]
)
def test_reflectance_in_other_units_is_refused(lake, tmp_path, options, words):
    with pytest.raises(InvalidInputError, match=words):
        card2db.files(reflectance(tmp_path, **options), offset=0, lake=lake)


@pytest.mark.parametrize(
    ("pattern", "options", "words"),
    [
        ("x_{dat}_{band}.tif", {}, r"\{dat\} is not known"),
        ("x_{band}.tif", {}, r"no \{date\}"),
        ("x_{date}.tif", {}, r"write \{band\}"),
        ("x_{date}_{band}.tif", {"bands": ("VV",)}, "one of the two"),
        ("x_{date}.tif", {"bands": ("B04",)}, "no band B04"),
        ("http://host/x_{date}_{band}.tif", {}, "web server"),
        ("x_{date}_{band}.tif", {"unit": None}, "linear or db"),
        ("x_{date}_{band}.tif", {"unit": "dB/m"}, "linear or db"),
        ("x_{date}_{band}.tif", {"offset": 0}, "card s2 only"),
        ("x_{date}_{band}.tif", {"card": "c6", "unit": "db"}, "card bs only"),
        ("x_{date}_{band}.tif", {"card": "s3"}, "unknown card"),
    ],
)
def test_patterns_and_options_that_make_no_sense_are_refused(lake, tmp_path, monkeypatch, pattern, options, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=words):
        card2db.files(pattern, lake=lake, **{"card": "bs", "unit": "linear", **options})


def test_what_is_left_out_is_said(lake, tmp_path, caplog, monkeypatch):
    series(tmp_path)
    for name in ("S1_20240501_AOT.tif", "S1_20240507_AOT.tif", "overview.tif", "notes.txt", "deep/S1_20240513_VV.tif"):
        write(tmp_path / name, power())
    monkeypatch.chdir(tmp_path)
    assert card2db.files("S1_{date}_{band}.tif", "bs", unit="linear", lake=lake) == card2db.Ingested(2, 2)
    assert "AOT (2)" in caplog.text
    assert "1 files do not match the pattern: overview.tif" in caplog.text
    with pytest.raises(SourceError, match=r"no file matches .*there are S1_"):
        card2db.files("S2_{date}_{band}.tif", "bs", unit="linear", lake=lake)
    with pytest.raises(SourceError, match="does not exist"):
        card2db.files("gone/S1_{date}_{band}.tif", "bs", unit="linear", lake=lake)


def test_a_file_whose_name_ends_like_a_fragment_is_refused_by_name(lake, tmp_path):
    write(tmp_path / "S1_20240501_VV.tif", power())
    write(tmp_path / "S1_20240507_VV.tif#band=2", power())
    found = card2db.files(str(tmp_path / "S1_{date}_{band}.tif*"), "bs", unit="linear", lake=lake)
    assert found.new == 1
    assert "rename it" in found.skipped[0]


def test_scenes_outside_the_parcels_are_left_out(lake, tmp_path):
    load(lake, tmp_path)
    write(tmp_path / "a/S1_20240501_VV.tif", power())
    write(tmp_path / "a/S1_20240507_VV.tif", power(), corner=(X + 100_000, Y))
    pattern = str(tmp_path / "a/S1_{date}_{band}.tif")
    assert card2db.files(pattern, "bs", unit="linear", aoi="ms", lake=lake) == card2db.Ingested(1, 1)


def test_files_in_a_bucket_are_read_by_a_pattern(lake, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    arrays = np.stack([decibels(1), decibels(2)])
    write(tmp_path / "up/2024/S1_20240501.tif", arrays, nodata=-9999.0, **TILED)
    load(lake, tmp_path)
    with object_store() as store:
        for name, value in store.settings("s3").items():
            monkeypatch.setenv(name, value)
        store.upload(tmp_path / "up", "mine", "scenes")
        found = card2db.files("s3://scenes/mine/*/S1_{date}.tif", "bs", unit="db", bands=("VV", "VH"), lake=lake)
        assert found == card2db.Ingested(1, 1)
        (row,) = scenes(lake)
        assert row["assets"]["VH"]["href"] == "s3://scenes/mine/2024/S1_20240501.tif#band=2&unit=db"
        extracted(lake, "bs")
        check(lake, "bs", row["id"], {"VV": linear(arrays[0]), "VH": linear(arrays[1])})
        with pytest.raises(SourceError, match="no file matches"):
            card2db.files("s3://scenes/mine/{date}_{band}.tif", "bs", unit="db", lake=lake)


def test_the_commands_catalogue_files_and_products(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from cbm_lake.cli import app

    monkeypatch.setenv("CBM_LAKE_HOME", str(tmp_path / "home"))
    series(tmp_path / "s1", decibels, nodata=-9999.0)
    run = CliRunner().invoke
    pattern = str(tmp_path / "s1/S1_{date}_{band}.tif")
    result = run(app, ["card2db", "files", pattern, "--card", "bs", "--unit", "db"])
    assert (result.exit_code, "2 scenes found, 2 new" in result.output) == (0, True)
    result = run(app, ["card2db", "files", pattern, "--card", "bs", "--unit", "linear"])
    assert result.exit_code != 0
    result = run(app, ["card2db", "products", str(tmp_path / "s1"), "--card", "s2"])
    assert (result.exit_code, "0 scenes found" in result.output) == (0, True)
