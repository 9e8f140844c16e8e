"""Cubes and catalogued rasters as datasets: pixels as in the files, scenes that count, metadata for other readers."""

import pickle
import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import factories
import numpy as np
import pyarrow as pa
import pytest
import rasterio
import rioxarray  # noqa: F401 - gives datasets .rio
import two_tiles
import xarray as xr
import zarr
from affine import Affine
from rasterio.vrt import WarpedVRT
from two_tiles import DAYS, LEFT, OFFSETS, TOP, ZONES, pixels

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.lake import Lake, schemas
from cbm_lake.rasters import Grid
from cbm_lake.rasters.cube import Cube, Slot

pytestmark = pytest.mark.thorough


BOX = {10: (slice(30, 40), slice(10, 42)), 20: (slice(15, 20), slice(5, 21))}
"""Rows and columns of the three parcels by pixel size."""


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """Two tiles and areas; only to be read."""
    return two_tiles.make(tmp_path_factory.mktemp("tiles"))


@pytest.fixture
def one(tiles, tmp_path):
    """A lake of its own for a test that changes it."""
    shutil.copytree(tiles.url, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def grid(lake, aoi="ms", metres=10):
    """Name of the cube of an area's tile."""
    table = lake.cubes("s2", aoi).to_pylist()
    return next(row["grid"] for row in table if row["resolution"] == metres)


def url(lake, aoi="ms", metres=10):
    return lake.cube_url("s2", grid(lake, aoi, metres))


def hrefs(lake, scene):
    """Path of each band of a scene."""
    assets = lake.sql("select assets from scenes where id = $id", id=scene)["assets"][0].as_py()
    return {band: asset["href"] for band, asset in assets.items() if asset}


def scenes(dataset):
    return [str(name) for name in dataset["scene"].values]


# -- pixels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aoi", ZONES)
@pytest.mark.parametrize("metres", [10, 20])
def test_cube_stack_and_files_have_the_same_pixels_on_every_date(tiles, aoi, metres):
    cube = tiles.cube("s2", aoi, resolution=metres)
    stack = tiles.stack("s2", aoi, *DAYS, resolution=metres, bands=list(cube.data_vars))
    xr.testing.assert_identical(cube.load(), stack.load())
    assert scenes(cube) == [f"{name}_{aoi}" for name in OFFSETS]
    assert cube["boa_offset"].values.tolist() == list(OFFSETS.values())
    for number, name in enumerate(OFFSETS):
        for band in cube.data_vars:
            with rasterio.open(hrefs(tiles, f"{name}_{aoi}")[band]) as file:
                stored = file.read(1)
            assert np.array_equal(stored, pixels(f"{aoi}{name}", band))
            assert np.array_equal(cube[band][number], stored[BOX[metres]])
            assert cube[band].dtype == stored.dtype
    assert (float(cube.x[0]), float(cube.y[0])) == (
        LEFT + (BOX[metres][1].start + 0.5) * metres,
        TOP - (BOX[metres][0].start + 0.5) * metres,
    )


def test_without_an_area_the_whole_grid_is_there(tiles):
    whole = tiles.cube("s2", grid=grid(tiles, "east"))
    assert dict(whole.sizes) == {"time": 3, "y": 120, "x": 120}
    assert np.array_equal(whole["B08"][1], pixels("eastS1", "B08"))


@pytest.mark.parametrize(
    "read", [lambda lake, **how: lake.cube("s2", "ms", **how), lambda lake, **how: lake.stack("s2", "ms", *DAYS, **how)]
)
def test_harmonised_pixels_have_their_offset_and_nan_for_nodata(tiles, read):
    found = read(tiles, harmonised=True, bands=["B04"])
    for number, (name, offset) in enumerate(OFFSETS.items()):
        stored = pixels(f"ms{name}", "B04")[BOX[10]].astype(float)
        assert np.array_equal(found["B04"][number], np.where(stored == 0, np.nan, stored + offset), equal_nan=True)
    assert found["B04"].dtype == np.float32
    assert (found["B04"] < 0).any()  # nothing is clipped
    classes = read(tiles, harmonised=True, bands=["SCL"])["SCL"]
    assert classes.dtype == np.uint8
    assert np.array_equal(classes[1], pixels("msS1", "SCL")[BOX[20]])


def test_nothing_is_read_before_it_is_asked_for(tiles, monkeypatch):
    monkeypatch.setattr("cbm_lake.rasters.stack._Reader.read", lambda *_: pytest.fail("read"))
    assert tiles.stack("s2", "ms", *DAYS, bands=["B04"])["B04"].chunks[0] == (1, 1, 1)
    assert tiles.cube("s2", "ms", bands=["B04"])["B04"].chunks[0] == (1, 1, 1)


def test_days_are_cut_and_the_last_is_included(tiles):
    day = str(factories.day(1).date())
    for found in (
        tiles.cube("s2", "ms", bands=["B04"], start=day, end=day),
        tiles.stack("s2", "ms", day, day, bands=["B04"]),
    ):
        assert scenes(found) == ["S1_ms"]
    with pytest.raises(InvalidInputError, match="reversed"):
        tiles.cube("s2", "ms", start="2024-02-01", end="2024-01-01")
    with pytest.raises(NotFoundError, match="2023-01-01"):
        tiles.cube("s2", "ms", bands=["B04"], end="2023-01-01")


# -- which grid -------------------------------------------------------------------------------------------------------


def test_where_several_grids_fit_they_are_listed(tiles):
    with pytest.raises(InvalidInputError, match=r"2 cubes hold s2 over ms;.*_10m_.*B04, B08; 3 scenes.*_20m_"):
        tiles.cube("s2", "ms")
    with pytest.raises(InvalidInputError, match=r"2 grids hold s2 over ms.*32631_10m_.*B04, B08.*32631_20m_"):
        tiles.stack("s2", "ms", *DAYS)
    with pytest.raises(InvalidInputError, match=r"2 cubes hold s2 B04;.*32631.*32632"):
        tiles.cube("s2", bands=["B04"])
    with pytest.raises(NotFoundError, match=r"no single cube holds s2 B04, SCL over ms; there are:.*32631"):
        tiles.cube("s2", "ms", bands=["B04", "SCL"])


def test_what_is_not_there_is_said(tiles, lake):
    with pytest.raises(NotFoundError, match="no parcels of nowhere in this lake; there are: east 2024, ms 2024"):
        tiles.cube("s2", "nowhere")
    with pytest.raises(NotFoundError, match="no parcels of ms 2023"):
        tiles.cube("s2", "ms", 2023)
    with pytest.raises(NotFoundError, match="no parcels of nowhere"):
        tiles.stack("s2", "nowhere", *DAYS)
    with pytest.raises(NotFoundError, match="extract with a cube first"):
        lake.cube("bs")
    for wrong, words in (
        ({"year": DAYS[0]}, "no year"),
        ({"resolution": "10"}, "no pixel size"),
        ({"resolution": -10}, "no pixel size"),
        ({"start": 20240101}, "no day"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            tiles.cube("s2", "ms", **wrong)
    for epsg, words in ((99999, "99999 is no coordinate system"), (4326, "EPSG:4326 is in degrees")):
        with pytest.raises(InvalidInputError, match=words):
            tiles.stack("s2", "ms", *DAYS, bands=["B04"], epsg=epsg, resolution=10)
    with pytest.raises(InvalidInputError, match="no band B99"):
        tiles.cube("s2", "ms", bands=["B99"])
    with pytest.raises(InvalidInputError, match="unknown card"):
        tiles.cubes("s9")
    assert lake.cubes("s2").num_rows == 0


def test_the_cubes_are_listed_with_what_they_hold(tiles):
    rows = tiles.cubes("s2", "east").to_pylist()
    assert [(row["epsg"], row["resolution"], row["bands"], row["scenes"]) for row in rows] == [
        (32632, 10, ["B04", "B08"], 3),
        (32632, 20, ["B05", "SCL"], 3),
    ]
    assert (rows[0]["first"], rows[0]["last"]) == (factories.day(0), factories.day(2))
    assert tiles.cubes("s2").num_rows == 4


# -- other readers ----------------------------------------------------------------------------------------------------


def datasets(lake):
    yield lake.cube("s2", "ms", resolution=10)
    yield lake.cube("s2", "ms", resolution=10, harmonised=True)
    yield lake.stack("s2", "ms", *DAYS, bands=["B04"])
    yield lake.cube("s2", "ms", resolution=10).isel(x=slice(4, 9))


def test_rioxarray_finds_the_coordinate_system_the_place_and_the_nodata(tiles):
    for number, found in enumerate(datasets(tiles)):
        assert found.rio.crs.to_epsg() == 32631
        left = LEFT + 10 * (10 + 4 * (number == 3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # rioxarray with affine 3
            assert tuple(found["B04"].rio.transform())[:6] == (10, 0, left, 0, -10, TOP - 300)
        nodata = found["B04"].rio.nodata
        assert np.isnan(nodata) if number == 1 else nodata == 0


def test_a_dataset_is_written_to_zarr_and_netcdf_and_comes_back(tiles, tmp_path):
    found = tiles.cube("s2", "ms", resolution=10).load()
    found.to_netcdf(tmp_path / "a.nc", engine="netcdf4")
    with xr.open_dataset(tmp_path / "a.nc", mask_and_scale=False, decode_coords="all", engine="netcdf4") as again:
        assert np.array_equal(again["B04"], found["B04"])
        assert again.rio.crs == found.rio.crs
    found.to_zarr(tmp_path / "a.zarr", consolidated=False)
    again = xr.open_zarr(tmp_path / "a.zarr", consolidated=False, mask_and_scale=False)
    assert np.array_equal(again["B08"], found["B08"])


def test_a_cube_on_disk_is_read_by_xarray_alone_without_a_warning(tiles):
    found = xr.open_zarr(url(tiles))  # warnings are errors here
    assert set(found.data_vars) == {"B04", "B08"}
    assert {"scene", "boa_offset", "counts", "spatial_ref"} <= set(found.coords)
    assert found["counts"].values.tolist() == [1, 1, 1]
    assert scenes(found) == [f"{name}_ms" for name in OFFSETS]
    assert found.attrs["Conventions"].startswith("CF-")
    assert found.attrs["proj:code"] == "EPSG:32631"
    assert found.attrs["spatial:transform"] == [10, 0, LEFT, 0, -10, TOP]
    assert {entry["name"] for entry in found.attrs["zarr_conventions"]} == {"proj:", "spatial:"}
    assert found["x"].attrs["units"] == "m"
    assert found["x"].attrs["standard_name"] == "projection_x_coordinate"
    stored = pixels("msS1", "B04").astype("float32")
    assert np.array_equal(found["B04"][1], np.where(stored == 0, np.nan, stored), equal_nan=True)
    assert found.rio.crs.to_epsg() == 32631
    assert xr.open_zarr(url(tiles), consolidated=True).sizes == found.sizes
    assert xr.open_zarr(url(tiles, metres=20))["SCL"].rio.nodata is not None


def test_axes_in_degrees_are_said_to_be_so(tmp_path):
    place = Grid(4326, Affine(0.0001, 0, 3.00000000012345, 0, -0.0001, 43.1), (30, 40))
    cube = Cube(str(tmp_path / "degrees.zarr"))
    cube.extend(place, {"VV": "float32"}, [Slot("A", datetime(2024, 5, 1, tzinfo=UTC), 0)], {0})
    found = xr.open_zarr(cube.url)
    assert (found["x"].attrs["units"], found["x"].attrs["standard_name"]) == ("degrees_east", "longitude")
    assert (found["y"].attrs["units"], found["y"].attrs["standard_name"]) == ("degrees_north", "latitude")
    assert found.rio.crs.to_epsg() == 4326
    assert np.isnan(found["VV"]).all()  # of which nothing was ever stored
    assert cube.grid() == place
    assert cube.open()["x"].attrs["units"] == "degrees_east"


# -- what counts ------------------------------------------------------------------------------------------------------


def seen(lake, name=None):
    """The scenes that each door shows, which must be the same: lake.cube, Cube.open, and the flags on disk."""
    name = name or grid(lake)
    stored = xr.open_zarr(lake.cube_url("s2", name), consolidated=True)
    flagged = stored.isel(time=stored["counts"].values == 1).sortby("time")
    opened = Cube(lake.cube_url("s2", name)).open()
    found = lake.cube("s2", grid=name)
    assert scenes(flagged) == scenes(opened) == scenes(found)
    assert flagged["boa_offset"].values.tolist() == found["boa_offset"].values.tolist()
    return scenes(found)


def test_a_slot_of_an_outdated_offset_is_seen_by_nobody(one, tmp_path):
    name = grid(one)
    row = one.sql("select * from stac_scenes where id = 'S0_ms'").to_pylist()[0]
    row |= {"boa_offset": -1000, "ingested": datetime.now(UTC)}
    row = {field.name: row[field.name] for field in schemas.SCENES}
    one.add_scenes(pa.Table.from_pylist([row], schema=schemas.SCENES))
    assert seen(one, name) == ["S1_ms", "S2_ms"]
    assert two_tiles.run(one).scenes == 1
    assert seen(one, name) == ["S0_ms", "S1_ms", "S2_ms"]
    cube = one.cube("s2", "ms", bands=["B04"], harmonised=True)
    stored = pixels("msS0", "B04")[BOX[10]].astype(float)
    assert np.array_equal(cube["B04"][0], np.where(stored == 0, np.nan, stored - 1000), equal_nan=True)
    assert xr.open_zarr(one.cube_url("s2", name)).sizes["time"] == 4


def test_a_suspect_scene_is_seen_by_nobody_until_it_is_cleared(one):
    verdict = {"card": "s2", "scene": "S1_ms", "kind": "twice", "shift": 1000.0, "reason": "r", "version": "0"}
    for number, (status, expected) in enumerate((("suspect", 2), ("cleared", 3))):
        row = {**verdict, "status": status, "found": factories.day(number)}
        one.add_suspects(pa.Table.from_pylist([row], schema=schemas.SUSPECTS))
        assert len(seen(one)) == expected
    row |= {"status": "suspect", "found": factories.day(3)}
    one.add_suspects(pa.Table.from_pylist([row], schema=schemas.SUSPECTS))
    assert scenes(one.stack("s2", "ms", *DAYS, bands=["B04"])) == ["S0_ms", "S2_ms"]


def test_a_superseded_scene_is_seen_until_the_better_one_is_extracted(one, tmp_path):
    better = two_tiles.scene(tmp_path, "ms", "S1", 1, acquisition="S1_ms", reference="new.SAFE")
    better |= {"id": "S1_new", "s2:processing_baseline": "05.11"}
    one.add_scenes(factories.scenes(better))
    assert seen(one) == ["S0_ms", "S1_ms", "S2_ms"]
    two_tiles.run(one)
    assert seen(one) == ["S0_ms", "S1_new", "S2_ms"]
    assert scenes(one.stack("s2", "ms", *DAYS, bands=["B04"])) == ["S0_ms", "S1_new", "S2_ms"]


def test_a_better_scene_without_a_cube_takes_the_older_one_out_too(one, tmp_path):
    better = two_tiles.scene(tmp_path, "ms", "S1", 1, acquisition="S1_ms", reference="new.SAFE")
    one.add_scenes(factories.scenes(better | {"id": "S1_new", "s2:processing_baseline": "05.11"}))
    two_tiles.run(one, cube=False)
    assert seen(one) == ["S0_ms", "S2_ms"]


def test_a_lake_as_it_was_shows_what_counted_then_and_changes_no_cube(one):
    then = datetime.now(UTC)
    row = {"card": "s2", "scene": "S1_ms", "kind": "twice", "shift": 1.0, "reason": "r", "version": "0"}
    row |= {"status": "suspect", "found": then}
    one.add_suspects(pa.Table.from_pylist([row], schema=schemas.SUSPECTS))
    before = Lake(one.url, as_of=then)
    assert scenes(before.cube("s2", "ms", bands=["B04"])) == ["S0_ms", "S1_ms", "S2_ms"]
    with pytest.raises(InvalidInputError, match="the lake as it was"):
        before.publish_cubes("s2")
    assert seen(one) == ["S0_ms", "S2_ms"]


def test_a_cube_that_is_damaged_or_unfinished_stops_no_command(one, caplog):
    fine = grid(one)
    broken = Path(one.cube_url("s2", "32631_10m_broken"))
    zarr.open_group(str(broken), mode="w")
    Path(url(one, metres=20), "x", "zarr.json").write_text("no JSON")
    assert two_tiles.run(one, again=True, cube=False).scenes == 3
    assert "was never made whole" in caplog.text
    assert "is damaged" in caplog.text
    assert seen(one, fine) == ["S0_ms", "S1_ms", "S2_ms"]
    with pytest.raises(SourceError, match=r"20m.*is damaged .*; delete it and extract again"):
        one.cubes("s2")


def test_a_cube_that_was_deleted_is_told_and_the_others_are_read(one, caplog):
    shutil.rmtree(url(one, metres=20))
    assert scenes(one.cube("s2", "ms")) == ["S0_ms", "S1_ms", "S2_ms"]
    assert "no cube at" in caplog.text
    with pytest.raises(NotFoundError, match=r"no cube elsewhere holds s2; there are: 32631_10m_"):
        one.cube("s2", grid="elsewhere")


def test_a_dataset_travels_to_other_processes(tiles):
    for found in datasets(tiles):
        again = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
        assert np.array_equal(again["B04"], found["B04"], equal_nan=True)


def test_what_a_failed_attempt_left_is_seen_by_nobody(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    broken = Path(hrefs(lake, "S1_ms")["B08"])
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 3])
    with pytest.raises(SourceError, match="1 of 3 scenes failed"):
        two_tiles.run(lake)
    assert seen(lake) == ["S0_ms", "S2_ms"]
    stored = zarr.open_array(url(lake), path="B04", mode="r")
    assert np.any([np.array_equal(stored[slot], pixels("msS1", "B04")) for slot in range(3)])  # B04 was written
    broken.write_bytes(content)
    two_tiles.run(lake)
    assert seen(lake) == ["S0_ms", "S1_ms", "S2_ms"]


def test_a_band_that_was_only_begun_is_nodata_on_that_date(tmp_path):
    other = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    two_tiles.run(other, bands=["B04"])
    cube = Cube(url(other))
    slots = [
        Slot(row["scene"], row["obstime"], row["boa_offset"])
        for row in other.query("extractions.slots", card="s2", grid=grid(other)).to_pylist()
    ]
    cube.extend(cube.grid(), {"B08": "uint16"}, slots)
    zarr.open_array(cube.url, path="B08", mode="r+")[:] = 7  # as an attempt that was killed leaves it
    found = other.cube("s2", "ms", resolution=10)
    assert not found["B08"].any()
    assert found["B04"].any()


def test_an_area_sees_only_what_was_extracted_over_it(one):
    one.add_parcels("other", 2024, "", "v1", factories.parcels())
    with pytest.raises(NotFoundError, match="no cube of s2 over other of 10 a pixel holds"):
        one.cube("s2", "other", resolution=10)
    two_tiles.run(one, "other", bands=["B04"])
    assert scenes(one.cube("s2", "other", resolution=10, bands=["B04"])) == ["S0_ms", "S1_ms", "S2_ms"]


def test_numbers_that_are_no_measurement_are_nodata_in_cube_and_stack(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    files = hrefs(lake, "S0_ms")
    wrapped = pixels("msS0", "B04")
    wrapped[32, 11:20] = 65_500
    two_tiles.write(Path(files["B04"]), wrapped, 10, 32631)
    below = pixels("msS0", "B08").astype("int16")
    below[33, 11:20] = -30
    two_tiles.write(Path(files["B08"]), below, 10, 32631)
    two_tiles.run(lake)
    for opened in (lake.cube("s2", "ms", resolution=10), lake.stack("s2", "ms", *DAYS, resolution=10)):
        for band, truth in (("B04", np.where(wrapped > 32_767, 0, wrapped)), ("B08", np.where(below < 0, 0, below))):
            assert np.array_equal(opened[band][0], truth[BOX[10]])
            assert opened[band].dtype == np.uint16
    found = lake.cube("s2", "ms", resolution=10, harmonised=True)
    assert np.isnan(found["B04"][0, 2, 1:10]).all()
    assert float(found["B08"].max()) < 10_000


# -- cubes of version 0.1 ---------------------------------------------------------------------------------------------


def age(place):
    """Make a cube what version 0.1 wrote."""
    group = zarr.open_group(place, mode="a", use_consolidated=False)
    ids = group["scene"][:].tolist()
    for name in ("scene", "counts"):
        del group[name]
    group.attrs.put({"proj:code": "EPSG:32631", "Conventions": "CF-1.11", "scenes": ids})
    for name, array in group.arrays():
        attributes = {
            "time": {"units": "microseconds since 1970-01-01", "calendar": "proleptic_gregorian"},
            "boa_offset": {"units": "DN"},
            "spatial_ref": {"GeoTransform": f"{LEFT} 10 0 {TOP} 0 -10", "crs_wkt": array.attrs.get("crs_wkt")},
        }.get(name, {"grid_mapping": "spatial_ref"})
        array.attrs.put(attributes)


def test_a_cube_of_version_01_is_read_right_lengthened_and_gets_what_it_lacked(one, tmp_path):
    place = url(one)
    age(place)
    cube = one.cube("s2", "ms", resolution=10).load()
    assert scenes(cube) == scenes(Cube(place).open()) == ["S0_ms", "S1_ms", "S2_ms"]
    assert np.array_equal(cube["B04"][2], pixels("msS2", "B04")[BOX[10]])
    one.add_scenes(factories.scenes(two_tiles.scene(tmp_path, "ms", "S1", 5) | {"id": "S5", "acquisition": "S5"}))
    two_tiles.run(one)
    assert seen(one) == ["S0_ms", "S1_ms", "S2_ms", "S5"]
    assert "scenes" not in xr.open_zarr(place).attrs
    assert xr.open_zarr(place, mask_and_scale=False)["B04"].attrs["_FillValue"] == 0
    xr.testing.assert_identical(one.cube("s2", "ms", resolution=10).isel(time=slice(3)).load(), cube)


# -- stacks -----------------------------------------------------------------------------------------------------------


def test_a_stack_of_scenes_that_no_cube_holds(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    found = lake.stack("s2", "ms", *DAYS, resolution=20)
    assert set(found.data_vars) == {"B05", "SCL"}
    assert np.array_equal(found["B05"][2], pixels("msS2", "B05")[BOX[20]])


def test_a_raster_that_has_gone_is_an_error_and_not_nodata(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    found = lake.stack("s2", "ms", *DAYS, bands=["B04"])
    href = Path(hrefs(lake, "S1_ms")["B04"])
    href.unlink()
    with pytest.raises(SourceError, match=r"S1/B04\.tif"):
        found.load()
    with pytest.raises(SourceError, match=r"S1/B04\.tif"):
        lake.stack("s2", "ms", *DAYS, bands=["B04"])


def test_a_scene_without_a_band_is_refused_and_not_nodata(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    row = two_tiles.scene(tmp_path, "ms", "S1", 7) | {"id": "S7", "acquisition": "S7"}
    del row["assets"]["B08"]
    lake.add_scenes(factories.scenes(row))
    with pytest.raises(SourceError, match="no raster of B08 is catalogued on that grid for S7"):
        lake.stack("s2", "ms", *DAYS, bands=["B04", "B08"])
    assert scenes(lake.stack("s2", "ms", *DAYS, bands=["B04"])) == ["S0_ms", "S1_ms", "S2_ms", "S7"]


def test_bands_of_several_sizes_and_tiles_of_several_zones_meet_in_a_system_of_ones_own(tiles):
    found = tiles.stack("s2", "ms", *DAYS, bands=["B04", "B05"], epsg=3035, resolution=10)
    with pytest.raises(InvalidInputError, match="needs bands and a resolution"):
        tiles.stack("s2", "ms", *DAYS, epsg=3035)
    transform = Affine(10, 0, float(found.x[0]) - 5, 0, -10, float(found.y[0]) + 5)
    assert (transform.c % 10, transform.f % 10) == (0, 0)
    for band in ("B04", "B05"):
        href = hrefs(tiles, "S1_ms")[band]
        target = {"crs": "EPSG:3035", "transform": transform, "width": found.sizes["x"], "height": found.sizes["y"]}
        with rasterio.open(href) as file, WarpedVRT(file, **target) as warped:
            assert np.array_equal(found[band][1], warped.read(1))
        assert (found[band][1] > 0).mean() > 0.5
    assert found.rio.crs.to_epsg() == 3035


def test_the_files_own_nodata_is_0_and_what_is_not_the_cards_is_refused(tmp_path):
    lake = two_tiles.make(tmp_path, areas=("ms",), cube=False)
    values = pixels("msS0", "B04").astype("int32")
    values[33, 12:20] = 65_535
    two_tiles.write(Path(hrefs(lake, "S0_ms")["B04"]), values, 10, 32631, nodata=65_535)
    found = lake.stack("s2", "ms", *DAYS, bands=["B04"])
    expected = np.where(values == 65_535, 0, values)[BOX[10]]
    assert np.array_equal(found["B04"][0], expected)
    two_tiles.write(Path(hrefs(lake, "S1_ms")["B04"]), values.astype("float32") / 3, 10, 32631)
    with pytest.raises(SourceError, match=r"S1/B04\.tif is float32 reflectance"):
        lake.stack("s2", "ms", *DAYS, bands=["B04"])
