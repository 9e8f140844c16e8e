"""Card ls, Landsat 8 and 9: from items as providers write them to reflectance in tables, cubes, questions, figures."""

import json
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from ground_truth import REFERENCE, tilted_squares
from pyproj import Transformer
from rasterstats import zonal_stats
from typer.testing import CliRunner

from cbm_lake import card2db, cards, extract, get, parcels, show
from cbm_lake.card2db import scene
from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError
from cbm_lake.lake import check, open_lake, queries
from cbm_lake.parcel import chips

ORIGIN = (600_000, 5_600_000)
"""Upper left corner of the rasters, EPSG:32631."""
SIZE = 64
DAYS = ("20240601", "20240617", "20240703")
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")
NUMBERS = {"blue": 2, "green": 3, "red": 4, "nir08": 5, "swir16": 6, "swir22": 7}
QUALITY = {1: 0, 21824: 6, 21952: 7, 21826: 1, 22280: 3, 23888: 4, 30048: 5, 54596: 2, 55052: 3, 56660: 2}
"""Values of QA_PIXEL as the USGS lists them (LSDS-1619, table 6-3), and the bit that decides each."""


def outlines():
    """Turned squares of 60 to 300 m, none on the grid, one partly outside, one smaller than a pixel."""
    shapes = tilted_squares((60, 90, 120, 150, 200, 300, 12), ORIGIN, (350, 1500), (350, 1500), seed=5)
    x, y = ORIGIN
    return [*shapes, shapely.box(x - 70, y - 200, x + 190, y - 20)]


def written(folder, day):
    """The rasters of a day as files: DN with fill, the bright ones above what card s2 takes for a reflectance."""
    rng = np.random.default_rng(int(day))
    product = f"LC08_L2SP_199025_{day}_{day}_02_T1"
    profile = {
        "driver": "GTiff",
        "width": SIZE,
        "height": SIZE,
        "count": 1,
        "dtype": "uint16",
        "crs": "EPSG:32631",
        "transform": Affine(30, 0, ORIGIN[0], 0, -30, ORIGIN[1]),
        "tiled": True,
        "blockxsize": 32,
        "blockysize": 32,
        "compress": "deflate",
    }
    files = {}
    for band in BANDS:
        pixels = rng.integers(7_000, 43_000, (SIZE, SIZE)).astype("uint16")
        pixels[:3] = 0
        files[band] = folder / f"{product}_SR_B{NUMBERS[band]}.TIF"
        with rasterio.open(files[band], "w", **profile, nodata=0) as file:
            file.write(pixels, 1)
    quality = rng.choice([*QUALITY], (SIZE, SIZE)).astype("uint16")
    files["QA_PIXEL"] = folder / f"{product}_QA_PIXEL.TIF"
    with rasterio.open(files["QA_PIXEL"], "w", **profile, nodata=1) as file:
        file.write(quality, 1)
    return files


def base(day, files, **properties):
    with rasterio.open(files["red"]) as raster:
        box = shapely.box(*raster.bounds)
    to_degrees = Transformer.from_crs(32631, 4326, always_xy=True).transform
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "links": [],
        "geometry": shapely.geometry.mapping(shapely.transform(box, to_degrees, interleaved=False)),
        "properties": {
            "datetime": f"{day[:4]}-{day[4:6]}-{day[6:]}T10:32:01.123456Z",
            "eo:cloud_cover": 31.4,
            "proj:epsg": 32631,
            "instruments": ["oli", "tirs"],
            "landsat:correction": "L2SP",
            "landsat:wrs_path": "199",
            "landsat:wrs_row": "025",
            "landsat:collection_number": "02",
            "landsat:collection_category": "T1",
            **properties,
        },
    }


def of_planetary_computer(day, files):
    """An item as Planetary Computer writes them: scale and offset with each band, other products beside them."""
    numbers = {"scale": 0.0000275, "offset": -0.2, "nodata": 0, "data_type": "uint16", "spatial_resolution": 30}
    assets = {
        band: {
            "href": str(files[band]),
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["reflectance"],
            "raster:bands": [numbers],
            "title": f"{band} Band",
            "eo:bands": [{"name": f"OLI_B{NUMBERS[band]}", "common_name": band}],
        }
        for band in BANDS
    }
    others = {
        "qa_pixel": {
            "href": str(files["QA_PIXEL"]),
            "title": "Pixel Quality Assessment Band",
            "roles": ["cloud"],
            "raster:bands": [{"nodata": 1, "data_type": "uint16", "spatial_resolution": 30}],
        },
        "coastal": {**assets["blue"], "eo:bands": [{"name": "OLI_B1", "common_name": "coastal"}]},
        "lwir11": {
            "href": "/d/x_ST_B10.TIF",
            "title": "Surface Temperature Band",
            "roles": ["temperature"],
            "eo:bands": [{"name": "TIRS_B10", "common_name": "lwir11"}],
        },
        "qa_radsat": {"href": "/d/x_QA_RADSAT.TIF", "title": "Radiometric Saturation and Terrain Occlusion QA Band"},
        "rendered_preview": {"href": "https://h/preview.png", "type": "image/png", "roles": ["overview"]},
    }
    return base(day, files, platform="landsat-8", gsd=30) | {
        "id": f"LC08_L2SP_199025_{day}_02_T1",
        "collection": "landsat-c2-l2",
        "assets": assets | others,
    }


def of_usgs(day, files):
    """An item as the server of the USGS writes them: no numbers, bands by their number."""
    assets = {
        band: {
            "title": f"{band} Band (B{NUMBERS[band]})",
            "type": "image/vnd.stac.geotiff; cloud-optimized=true",
            "roles": ["data"],
            "href": str(files[band]),
            "eo:bands": [{"name": f"B{NUMBERS[band]}", "gsd": 30}],
        }
        for band in BANDS
    }
    quality = {"title": "Pixel Quality Assessment Band", "roles": ["cloud"], "href": str(files["QA_PIXEL"])}
    return base(day, files, platform="LANDSAT_8") | {
        "id": f"LC08_L2SP_199025_{day}_{day}_02_T1_SR",
        "collection": "landsat-c2l2-sr",
        "assets": assets | {"qa_pixel": quality, "qa_aerosol": {**quality, "title": "Aerosol Quality Assessment Band"}},
    }


PROVIDERS = {"Planetary Computer": of_planetary_computer, "USGS": of_usgs}


@pytest.fixture(scope="module", params=PROVIDERS)
def season(request, tmp_path_factory):
    """A lake with three extracted scenes of a provider, and the rasters by day."""
    folder = tmp_path_factory.mktemp("landsat")
    lake = open_lake(str(folder / "data" / "lake"))
    frame = gpd.GeoDataFrame({"pid": [f"{n}" for n in range(len(outlines()))]}, geometry=outlines(), crs=32631)
    frame.to_parquet(folder / "parcels.parquet")
    parcels.load(folder / "parcels.parquet", "ls", 2024, pid="pid", lake=lake)
    rasters, items = {day: written(folder, day) for day in DAYS}, folder / "items"
    items.mkdir()
    for day, files in rasters.items():
        (items / f"{day}.json").write_text(json.dumps(PROVIDERS[request.param](day, files)))
    assert card2db.items(items, card="ls", lake=lake).new == 3
    extract.ls("2024-06-01", "2024-07-31", aoi="ls", year=2024, workers=0, lake=lake)
    return lake, rasters


@pytest.fixture
def at_home(season, monkeypatch):
    """The workspace whose lake it is."""
    lake, _ = season
    monkeypatch.setenv("CBM_LAKE_HOME", str(Path(lake.url).parents[1]))


def reflectance(path):
    """Reflectance x 10000 as the USGS defines it, NaN for fill."""
    with rasterio.open(path) as file:
        stored = file.read(1).astype(float)
    return np.where(stored == 0, np.nan, (stored * 0.0000275 - 0.2) * 10_000)


def truth(values, stats):
    """What rasterstats says of the outlines."""
    place = Affine(30, 0, ORIGIN[0], 0, -30, ORIGIN[1])
    filled = np.where(np.isnan(values), -9e9, values)
    return zonal_stats(outlines(), filled, affine=place, nodata=-9e9, stats=stats)


def by_day(lake, statement):
    return {(row["obstime"].strftime("%Y%m%d"), row["pid"]): row for row in lake.sql(statement).to_pylist()}


# -- the catalogue ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_item_becomes_a_scene_with_every_band_and_its_quality(provider, tmp_path):
    files = written(tmp_path, DAYS[0])
    row = scene.to_row(PROVIDERS[provider](DAYS[0], files), "ls", "test")
    assert {name: asset["href"] for name, asset in row["assets"].items()} == {n: str(f) for n, f in files.items()}
    assert (row["sensor"], row["boa_offset"], row["proj:code"]) == ("L8", 0, "EPSG:32631")
    assert row["acquisition"] == "ls/L8/20240601/199025"


def test_both_providers_tell_of_one_acquisition_so_that_the_newer_product_counts(season):
    lake, rasters = season
    rows = [of(DAYS[0], rasters[DAYS[0]]) for of in PROVIDERS.values()]
    assert len({scene.to_row(row, "ls", "test")["acquisition"] for row in rows}) == 1
    assert lake.sql("select count(*) as n from scenes where superseded")["n"][0].as_py() == 0


REFUSED = {
    "another card": ({}, "s2", "LANDSAT"),
    "backscatter": ({}, "bs", "LANDSAT"),
    "Landsat 7": ({"id": "LE07_L2SP_199025_20020615_02_T1", "platform": "landsat-7"}, "ls", "it is of LANDSAT-7"),
    "Level-1": ({"id": "LC08_L1TP_199025_20240601_02_T1", "correction": "L1TP"}, "ls", "Level-1"),
    "Collection 1": ({"id": "LC08_L2SP_199025_20240601_20240611_01_T1"}, "ls", "Collection 1"),
    "HLS": ({"id": "HLS.L30.T31UFS.2024153T103201.v2.0", "collection": "HLSL30_2.0"}, "ls", "HLS"),
    "another scale": ({"scale": 0.0001}, "ls", "its blue has the scale 0.0001; card ls needs 2.75e-05"),
    "another offset": ({"offset": 0}, "ls", "its blue has the offset 0; card ls needs -0.2"),
    "floats": ({"data_type": "float32"}, "ls", "its blue is float32; card ls needs uint16"),
    "nothing said": ({"id": "a", "collection": None, "correction": None}, "ls", "nothing says that it is Collection 2"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_landsat_collection_2_level_2_is_refused_by_name(what, tmp_path):
    changes, card, words = REFUSED[what]
    item = of_planetary_computer(DAYS[0], written(tmp_path, DAYS[0]))
    if what == "nothing said":  # names of files would say it
        for name, asset in item["assets"].items():
            asset["href"] = f"/d/{name}.tif"
    for name, value in changes.items():
        if name in ("scale", "offset", "data_type"):
            item["assets"]["blue"]["raster:bands"] = [{**item["assets"]["red"]["raster:bands"][0], name: value}]
        elif name in ("id", "collection"):
            item[name] = value
        else:
            item["properties"][{"correction": "landsat:correction"}.get(name, name)] = value
    with pytest.raises(InvalidInputError, match=words):
        scene.to_row(item, card, "test")


# -- signatures and cubes -----------------------------------------------------------------------------------------


def test_signatures_are_reflectance_as_rasterstats_has_it(season):
    lake, rasters = season
    rows, compared = by_day(lake, "from ls"), 0
    for day, files in rasters.items():
        for band in BANDS:
            for pid, expected in enumerate(truth(reflectance(files[band]), [*REFERENCE.values()])):
                row = rows.get((day, str(pid)), {f"{band}_count": 0})
                assert row[f"{band}_count"] == expected["count"]
                if expected["count"]:
                    mine = [row[f"{band}_{name}"] for name in REFERENCE]
                    assert mine == pytest.approx([expected[name] for name in REFERENCE.values()], rel=1e-5, abs=1e-2)
                    compared += 1
    assert compared > 100
    assert max(row["red_max"] for row in rows.values()) > 32_767 * 0.275 - 2000  # brighter than s2 has


def test_the_bit_mask_becomes_classes_that_are_counted(season):
    lake, rasters = season
    rows = by_day(lake, "select pid, obstime, qa from ls")
    for day, files in rasters.items():
        with rasterio.open(files["QA_PIXEL"]) as file:
            classes = np.vectorize(QUALITY.get)(file.read(1))
        for value in range(8):
            for pid, expected in enumerate(truth(np.where(classes == value, 1.0, 0.0), ["sum"])):
                if (day, str(pid)) in rows:
                    assert rows[day, str(pid)]["qa"][value] == (expected["sum"] or 0)


def test_every_bit_decides_in_its_turn():
    """By a table: which class a pixel is of when these bits are set."""
    table = {(): 0, (0, 3): 0, (1, 3): 3, (1, 2): 2, (1, 4): 4, (1,): 1, (5, 6): 5, (6, 7): 7, (6,): 6, (7,): 7}
    masks = np.array([sum(1 << bit for bit in bits) for bits in table], np.uint16)
    assert cards.LS.classification.classes_of(masks | 1 << 14).tolist() == [*table.values()]


def test_the_cube_gives_stored_numbers_and_reflectance(season):
    lake, rasters = season
    stored, measured = lake.cube("ls", aoi="ls"), lake.cube("ls", aoi="ls", harmonised=True)
    for day in DAYS:
        left = int((float(stored.x[0]) - ORIGIN[0]) // 30)
        top = int((ORIGIN[1] - float(stored.y[0])) // 30)
        part = slice(top, top + stored.sizes["y"]), slice(left, left + stored.sizes["x"])
        with rasterio.open(rasters[day]["nir08"]) as file:
            expected = file.read(1)[part]
        date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        seen = stored["nir08"].sel(time=date).values[0]
        inside = seen > 0  # blocks without parcels are not stored
        assert inside.any()
        assert (seen[inside] == expected[inside]).all()
        values = measured["nir08"].sel(time=date).values[0]
        assert np.nanmax(np.abs(values - reflectance(rasters[day]["nir08"])[part])[inside]) < 0.01
    assert stored["QA_PIXEL"].dtype == np.uint8
    assert set(np.unique(stored["QA_PIXEL"])) <= set(range(8))


def test_a_reader_of_zarr_alone_sees_reflectance(season):
    lake, _ = season
    [name] = lake.cubes("ls")["grid"].to_pylist()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cube = xr.open_zarr(lake.cube_url("ls", name))
    ours = lake.cube("ls", harmonised=True)
    assert np.nanmax(np.abs(cube["red"].values * 10_000 - ours["red"].values)) < 0.1
    assert np.isfinite(ours["red"].values).any()
    assert check.check(lake, deep=True).num_rows == 0


# -- questions ----------------------------------------------------------------------------------------------------


def test_ndvi_in_sql_is_that_of_the_means_of_reflectance(season):
    lake, rasters = season
    rows = by_day(lake, "select pid, obstime, ndvi(red_mean, nir08_mean) as ndvi from ls")
    for day, files in rasters.items():
        red, nir = (truth(reflectance(files[band]), ["mean"]) for band in ("red", "nir08"))
        for (seen, pid), row in rows.items():
            if seen == day:
                pair = red[int(pid)]["mean"], nir[int(pid)]["mean"]
                assert row["ndvi"] == pytest.approx((pair[1] - pair[0]) / (pair[1] + pair[0]), rel=1e-4)


def test_long_rows_are_equal_by_look_up_and_by_sql(season):
    lake, _ = season
    key = {"aoi": "ls", "year": 2024, "ptype": "", "pid": "3", "bands": ["red", "nir08"]}
    fast, slow = lake.query("time_series.ls", **key), lake.sql(queries.get("time_series.ls").sql, **key)
    assert fast.num_rows == 6
    assert fast.to_pylist() == slow.to_pylist()
    assert lake.sql("select distinct band from ls_long order by band")["band"].to_pylist() == sorted(BANDS)


def test_a_report_tells_of_its_scenes(season):
    lake, _ = season
    rows = lake.query("report.scenes", aoi="ls", year=2024, ptype="", pid="3").to_pylist()
    assert [row["card"] for row in rows] == ["ls"] * 3
    assert all(row["product"].startswith("LC08_L2SP") for row in rows)


def test_a_time_series_has_the_bands_and_the_classes(season, monkeypatch, tmp_path):
    lake, _ = season
    frame = get.time_series.by_pid("ls", 2024, "3", "ls", band="nir", lake=lake)
    assert set(frame["band"]) == {"nir08"}
    assert len(frame) == 3
    assert {int(value) for histogram in frame["hist"] for value in histogram} <= set(range(8))


def test_chips_are_reflectance(season, tmp_path):
    lake, rasters = season
    place = lake.sql("select centroid_lon as lon, centroid_lat as lat from parcels where pid = '4'").to_pylist()[0]
    made = chips.write(
        lake,
        **place,
        start=DAYS[0][:4] + "-06-01",
        end="2024-07-31",
        band="red",
        chipsize=300,
        folder=tmp_path,
        card="ls",
    )
    assert len(made) == 3
    with rasterio.open(made[0].file) as file:
        pixels, place = file.read(1), file.transform
    row, column = round((ORIGIN[1] - place.f) / 30), round((place.c - ORIGIN[0]) / 30)
    expected = reflectance(rasters[DAYS[0]]["red"])[row : row + 10, column : column + 10]
    assert np.abs(pixels - expected.clip(1)).max() <= 0.5


def test_pictures_of_its_bands_and_classes_are_drawn():
    assert show.views.view("ls red").card is cards.LS
    assert show.views.view("ls nir08_red_green").bands == ("nir08", "red", "green")
    assert show.views.view("ls QA_PIXEL").classes
    assert show.views.view("ls true colour").bands == ("red", "green", "blue")
    with pytest.raises(InvalidInputError, match="no view"):
        show.views.view("ls B05")


@pytest.mark.parametrize("name", ["ndvi", "evi", "ndmi"])
def test_an_index_of_pixels_is_that_of_reflectance(name):
    """By the formulas themselves: Rouse (1974), Huete (2002), Gao (1996)."""
    pixels = {"blue": 400.0, "red": 800.0, "nir08": 3200.0, "swir16": 1900.0}
    blue, red, nir, swir = (value / 10_000 for value in pixels.values())
    expected = {
        "ndvi": (nir - red) / (nir + red),
        "evi": 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1),
        "ndmi": (nir - swir) / (nir + swir),
    }
    view = show.views.view(f"ls {name}")
    assert view.values({band: np.array([[pixels[band]]]) for band in view.bands}) == pytest.approx(expected[name])


def test_curves_are_drawn_of_the_means_of_reflectance(season, at_home, tmp_path):
    _, rasters = season
    figure = show.time_series.index("ls", 2024, "4", "ndvi", card="ls", screen=[])
    [line] = [line for line in figure.axes[0].lines if len(line.get_ydata()) == 3 and line.get_linestyle() != "None"]
    expected = []
    for files in rasters.values():
        red, nir = (truth(reflectance(files[band]), ["mean"])[4]["mean"] for band in ("red", "nir08"))
        expected.append((nir - red) / (nir + red))
    assert [*line.get_ydata()] == pytest.approx(expected, rel=1e-4)
    show.time_series.s2("ls", 2024, "4", card="ls", file=tmp_path / "bands.png")
    assert (tmp_path / "bands.png").stat().st_size > 5_000


def test_images_are_drawn_from_chips_with_the_clouds_of_their_own_classes(season, at_home, tmp_path):
    show.chip_images.by_pid("ls", 2024, "5", "2024-06-01", "2024-06-30", "ls ndvi", file=tmp_path / "ndvi.png")
    assert (tmp_path / "ndvi.png").stat().st_size > 5_000


# -- the command line ---------------------------------------------------------------------------------------------


def test_it_is_among_the_observations_with_the_clouds_of_its_own_classes(season):
    lake, _ = season
    rows = lake.sql(
        "select o.pid, o.card, o.ndvi, o.cloud, ls.qa from observations o join ls using (pid, scene)"
    ).to_pylist()
    assert len(rows) == lake.sql("from ls").num_rows > 15
    for row in rows:
        classified = sum(row["qa"][1:])
        assert row["card"] == "ls"
        assert row["cloud"] == pytest.approx(sum(row["qa"][1:6]) / classified if classified else None, rel=1e-6)


def test_the_command_line_knows_it():
    run = CliRunner().invoke
    assert "Landsat 8 and 9" in run(app, ["extract", "--help"]).output
    assert run(app, ["extract", "ls", "--help"]).exit_code == 0
    assert "ls" in run(app, ["get", "time-series", "--help"]).output


def test_the_command_line_draws_it(season, at_home, tmp_path):
    file = tmp_path / "evi.svg"
    parcel = ["--aoi", "ls", "--year", "2024", "--pid", "4"]
    done = CliRunner().invoke(
        app, ["show", "time-series", *parcel, "--kind", "evi", "--card", "ls", "--out", str(file)]
    )
    assert done.exit_code == 0, done.output
    assert file.read_text().startswith("<?xml")


def test_a_lake_without_it_has_its_views_and_no_table_of_it(tmp_path):
    lake = open_lake(str(tmp_path / "lake"))
    lake.prepare("s2")
    assert lake.sql("from ls").num_rows == lake.sql("from ls_long").num_rows == 0
    assert sorted(path.name for path in (tmp_path / "lake" / "signatures").iterdir()) == ["s2"]


def test_the_catalogue_of_other_cards_has_none_of_its_assets(tmp_path):
    import pyarrow.parquet as pq

    from cbm_lake.demo import sample

    made = sample.write(tmp_path / "sample", dates=1, size=120)
    lake = open_lake(str(tmp_path / "lake"))
    card2db.items(str(made.items["s2"]), card="s2", lake=lake)
    [file] = (tmp_path / "lake" / "scenes").glob("**/*.parquet")
    assert [field.name for field in pq.read_schema(file).field("assets").type] == [*cards.S2.rasters, "VV", "VH"]
    assert lake.sql("select count(assets.red) as n, count(assets.B04) as m from scenes").to_pylist() == [
        {"n": 0, "m": 1}
    ]


def test_an_index_of_each_pixel_is_of_reflectance_within_an_inner_buffer(season, tmp_path):
    lake, rasters = season
    items, other = Path(lake.url).parents[1] / "items", open_lake(str(tmp_path / "lake"))
    large = {f"{n}": shape for n, shape in enumerate(outlines()) if shape.buffer(-5).area > 20 * 900}
    gpd.GeoDataFrame({"pid": [*large]}, geometry=[*large.values()], crs=32631).to_parquet(tmp_path / "parcels.parquet")
    parcels.load(tmp_path / "parcels.parquet", "ls", 2024, pid="pid", lake=other)
    card2db.items(items, card="ls", lake=other)
    key = {"aoi": "ls", "year": 2024, "workers": 0, "lake": other}
    extract.ls("2024-06-01", "2024-07-31", **key, indices="ndvi,evi", inner_buffer=5)
    rows, place = by_day(other, "select * from ls"), Affine(30, 0, ORIGIN[0], 0, -30, ORIGIN[1])
    for day, files in rasters.items():
        red, nir, blue = (reflectance(files[band]) / 10_000 for band in ("red", "nir08", "blue"))
        for name, above, below in (
            ("NDVI", nir - red, nir + red),
            ("EVI", 2.5 * (nir - red), nir + 6 * red - 7.5 * blue + 1),
        ):
            values = np.where(below > 0, above / np.where(below > 0, below, 1), -9e9)
            shapes = [shape.buffer(-5) for shape in large.values()]
            expected = zonal_stats(
                shapes, np.nan_to_num(values, nan=-9e9), affine=place, nodata=-9e9, stats="count mean std"
            )
            for pid, numbers in zip(large, expected, strict=True):
                row = rows[day, pid]
                assert row["rule"] == "centre, 5 m inside"
                assert row[f"{name}_count"] == numbers["count"]
                assert row[f"{name}_mean"] == pytest.approx(numbers["mean"], rel=1e-4)
                assert row[f"{name}_std"] == pytest.approx(numbers["std"], rel=1e-4)
