"""Cubes as files for other programs: what rasterio, xarray and gdalinfo read is what the cube has."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
import two_tiles
import xarray as xr
from foi_rules import files_of_at_most
from two_tiles import LEFT, OFFSETS, TOP
from typer.testing import CliRunner

from cbm_lake.cli import app
from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError
from cbm_lake.rasters import pixelfiles

pytestmark = pytest.mark.thorough


PLACE = (10, 0, LEFT + 100, 0, -10, TOP - 300)
"""Transform of area ms at 10 m."""


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    return two_tiles.make(tmp_path_factory.mktemp("tiles"))


@pytest.fixture
def out(tmp_path):
    """A folder in which a failure must leave nothing."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def same(values, expected):
    return np.array_equal(values, expected, equal_nan=True)


def test_a_geotiff_has_a_band_for_each_date_and_band(tiles, out):
    seen = []
    assert tiles.export_cube("s2", out / "a.tif", aoi="ms", resolution=10, progress=lambda *n: seen.append(n)) == 6
    cube = tiles.cube("s2", "ms", resolution=10, harmonised=True)
    with rasterio.open(out / "a.tif") as file:
        assert file.crs.to_epsg() == 32631
        assert tuple(file.transform)[:6] == PLACE
        assert np.isnan(file.nodata)
        assert file.descriptions == (
            "2024-01-01 B04",
            "2024-01-01 B08",
            "2024-01-11 B04",
            "2024-01-11 B08",
            "2024-01-21 B04",
            "2024-01-21 B08",
        )
        for number in range(3):
            for place, band in enumerate(("B04", "B08"), 1):
                assert same(file.read(2 * number + place), cube[band][number])
        assert file.tags(3)["scene"] == "S1_ms"
        assert file.tags(3)["boa_offset"] == "-1000"
    assert seen[-1] == (6, 6)
    assert left(out) == ["a.tif"]


def test_the_progress_of_netcdf_ends_at_its_end(tiles, tmp_path):
    seen = []
    tiles.export_cube("s2", tmp_path / "a.nc", aoi="ms", resolution=10, progress=lambda *n: seen.append(n))
    done, total = seen[-1]
    assert done == total > 1


def test_stored_dn_keep_their_type_and_classes_their_numbers(tiles, out):
    tiles.export_cube("s2", out / "a.tif", aoi="ms", resolution=20, harmonised=False)
    cube = tiles.cube("s2", "ms", resolution=20)
    with rasterio.open(out / "a.tif") as file:
        assert (file.dtypes[0], file.nodata) == ("uint16", 0)
        assert same(file.read(4), cube["SCL"][1])
        assert same(file.read(3), cube["B05"][1])
    tiles.export_cube("s2", out / "b.tif", aoi="ms", resolution=20)
    with rasterio.open(out / "b.tif") as file:
        classes = cube["SCL"][1].values.astype(float)
        assert same(file.read(4), np.where(classes == 0, np.nan, classes))


def test_a_folder_has_a_cog_for_each_date_and_band(tiles, out):
    assert tiles.export_cube("s2", out / "cogs", aoi="ms", resolution=20, start="2024-01-10") == 4
    assert left(out / "cogs") == [
        "2024-01-11_B05.tif",
        "2024-01-11_SCL.tif",
        "2024-01-21_B05.tif",
        "2024-01-21_SCL.tif",
    ]
    cube = tiles.cube("s2", "ms", resolution=20, harmonised=True)
    with rasterio.open(out / "cogs" / "2024-01-11_B05.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert same(file.read(1), cube["B05"][1])
        assert file.tags(1)["scene"] == "S1_ms"
    with rasterio.open(out / "cogs" / "2024-01-11_SCL.tif") as file:
        assert (file.dtypes[0], file.nodata) == ("uint8", 0)
        assert same(file.read(1), cube["SCL"][1])
    with pytest.raises(InvalidInputError, match="holds something already"):
        tiles.export_cube("s2", out / "cogs", aoi="ms", resolution=20)
    (out / "empty").mkdir()
    assert tiles.export_cube("s2", out / "empty", aoi="ms", bands=["B04"]) == 3


def test_two_scenes_of_one_day_have_files_of_their_own(tiles, out):
    cube = tiles.cube("s2", "ms", bands=["B04"])
    cube = cube.assign_coords(
        time=("time", np.array(["2024-01-01T10", "2024-01-01T11", "2024-01-02"], "datetime64[us]"))
    )
    pixelfiles.write(cube, out / "cogs")
    assert left(out / "cogs") == ["2024-01-01_S0_ms_B04.tif", "2024-01-01_S1_ms_B04.tif", "2024-01-02_B04.tif"]


@pytest.mark.parametrize("harmonised", [True, False])
def test_netcdf_is_cf_and_holds_the_cube(tiles, out, harmonised):
    tiles.export_cube("s2", out / "a.nc", aoi="ms", resolution=20, harmonised=harmonised)
    cube = tiles.cube("s2", "ms", resolution=20, harmonised=harmonised)
    with xr.open_dataset(out / "a.nc", mask_and_scale=False, decode_coords="all") as found:
        for name in ("B05", "SCL"):
            assert same(found[name], cube[name])
            assert found[name].dtype == cube[name].dtype
        assert np.array_equal(found["time"].values, cube["time"].values)
        assert [str(name) for name in found["scene"].values] == [f"{name}_ms" for name in OFFSETS]
        assert found.attrs["Conventions"].startswith("CF-")
    assert left(out) == ["a.nc"]


def test_a_cube_of_one_pixel_knows_its_size(tiles, out):
    one = tiles.cube("s2", "ms", bands=["B04"]).isel(x=slice(3, 4), y=slice(2, 3))
    pixelfiles.write(one, out / "a.tif")
    with rasterio.open(out / "a.tif") as file:
        assert tuple(file.transform)[:6] == (10, 0, PLACE[2] + 30, 0, -10, PLACE[5] - 20)


def test_a_large_cube_is_written_block_by_block(tiles, out, monkeypatch):
    monkeypatch.setattr(pixelfiles, "CHUNK", 16)
    monkeypatch.setitem(pixelfiles._TILED, "blockxsize", 16)
    monkeypatch.setitem(pixelfiles._TILED, "blockysize", 16)
    read = []
    real = pixelfiles._pixels
    monkeypatch.setattr(pixelfiles, "_pixels", lambda part, *how: read.append(part.shape) or real(part, *how))
    name = next(row["grid"] for row in tiles.cubes("s2", "east").to_pylist() if row["resolution"] == 10)
    tiles.export_cube("s2", out / "a.tif", grid=name, bands=["B08"])
    assert len(read) == 3 * 8 * 8
    assert max(rows * columns for rows, columns in read) == 256
    with rasterio.open(out / "a.tif") as file:
        assert same(file.read(2), tiles.cube("s2", grid=name, harmonised=True)["B08"][1])


@pytest.mark.parametrize("name", ["a.tif", "a.nc", "cogs"])
@pytest.mark.parametrize("size", [900, 3_000])
def test_a_full_disk_is_told_and_leaves_nothing(tiles, out, name, size):
    with files_of_at_most(size), pytest.raises(SourceError, match=f"cannot write .*{name}"):
        tiles.export_cube("s2", out / name, aoi="ms", resolution=10)
    assert left(out) == []


def test_what_was_there_stays_when_writing_fails(tiles, out, monkeypatch):
    (out / "a.tif").write_bytes(b"before")
    with files_of_at_most(900), pytest.raises(SourceError):
        tiles.export_cube("s2", out / "a.tif", aoi="ms", resolution=10)
    assert (out / "a.tif").read_bytes() == b"before"
    monkeypatch.setattr(pixelfiles, "_pixels", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tiles.export_cube("s2", out / "a.tif", aoi="ms", resolution=10)
    assert left(out) == ["a.tif"]


def test_a_damaged_cube_is_an_error_and_no_file(tmp_path, out):
    lake = two_tiles.make(tmp_path, areas=("ms",))
    shard = next(Path(lake.url).glob("cubes/s2/*_10m_*/B04/c/1/0/0"))
    shard.write_bytes(b"\1" * 100)
    for name in ("a.tif", "a.nc", "cogs"):
        with pytest.raises(SourceError, match=r"cube file .*B04/c/1/0/0 is damaged .*; `cbm-lake check` names "):
            lake.export_cube("s2", out / name, aoi="ms", resolution=10)
    assert left(out) == []


def test_other_endings_and_what_is_not_there_are_refused(tiles, out):
    with pytest.raises(InvalidInputError, match=r"write \.tif, \.nc, or a folder"):
        tiles.export_cube("s2", out / "a.png", aoi="ms", resolution=10)
    with pytest.raises(NotFoundError, match="no cube of bs"):
        tiles.export_cube("bs", out / "a.tif")
    assert left(out) == []


def test_on_the_command_line_rows_and_cubes_share_a_verb(tiles, out, monkeypatch):
    monkeypatch.setenv("CBM_LAKE_LAKE__URL", tiles.url)
    run = CliRunner().invoke
    done = run(
        app, ["export", "cube", "s2", str(out / "a.tif"), "--aoi", "ms", "--bands", "B04,B08", "--end", "2024-01-15"]
    )
    assert "4 rasters written" in done.output, done.output
    assert "harmonised" in done.output
    done = run(app, ["export", "cube", "s2", str(out / "b.nc"), "--aoi", "ms", "--resolution", "20", "--stored"])
    assert "stored DN" in done.output, done.output
    for words in (["s2"], ["rows", "s2"], ["-p", "n=1", "select $n as n"]):
        done = run(app, ["export", *words, str(out / "rows.csv")])
        assert "rows written" in done.output, done.output
    assert left(out) == ["a.tif", "b.nc", "rows.csv"]


# -- the GDAL of the machine, which is older than that of the wheels ---------------------------------------------------


def gdalinfo(name, *options):
    tool = shutil.which("gdalinfo", path="/usr/bin:/usr/local/bin")
    if not tool:
        pytest.skip("no gdalinfo on this machine")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GDAL_", "PROJ_"))}
    done = subprocess.run([tool, "-json", *options, name], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", ["tif", "nc", "cogs"])
def test_the_gdal_of_the_machine_reads_every_kind(tiles, out, kind):
    path = out / ("cogs" if kind == "cogs" else f"a.{kind}")
    tiles.export_cube("s2", path, aoi="ms", bands=["B04"])
    stored = tiles.cube("s2", "ms", bands=["B04"], harmonised=True)["B04"]
    files = {"tif": str(path), "nc": f"NETCDF:{path}:B04", "cogs": str(path / "2024-01-11_B04.tif")}
    told = gdalinfo(files[kind], "-stats")
    assert told["size"] == [stored.sizes["x"], stored.sizes["y"]]
    assert told["geoTransform"] == [PLACE[2], 10, 0, PLACE[5], 0, -10]
    assert "32631" in told["coordinateSystem"]["wkt"]
    band = told["bands"][0 if kind == "cogs" else 1]
    assert band["noDataValue"] == "NaN"
    assert band["minimum"] == float(stored[1].min())
    assert band["maximum"] == float(stored[1].max())
    if kind == "tif":
        assert band["description"] == "2024-01-11 B04"
