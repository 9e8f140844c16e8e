"""Rasters and grids of absurd size are refused by their headers; large real ones are read by windows."""

import resource
import struct
import tracemalloc

import numpy as np
import pytest
import rasterio
import zarr
from affine import Affine

from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.files import limits
from cbm_lake.foi.rasters import Thematic
from cbm_lake.rasters import Raster
from cbm_lake.report import images
from cbm_lake.show import reading
from cbm_lake.weather import grids

PLACE = {"crs": "EPSG:32631", "transform": Affine(10, 0, 500_000, 0, -10, 4_800_000)}


def sparse(path, rows, columns, *, dtype="uint16", block=None, bands=1):
    """A GeoTIFF of which nothing but the header is written."""
    form = {"tiled": True, "blockysize": block[0], "blockxsize": block[1]} if block else {}
    shape = {"height": rows, "width": columns, "count": bands, "dtype": dtype}
    with rasterio.open(path, "w", driver="GTiff", SPARSE_OK=True, BIGTIFF="YES", **shape, **form, **PLACE):
        pass
    return path


@pytest.fixture
def little_memory():
    """Nothing of the size that a header says is allocated."""
    tracemalloc.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


@pytest.mark.parametrize("inspect", [lambda path: Raster.inspect(str(path)), Thematic.inspect])
@pytest.mark.parametrize(
    ("rows", "columns", "block"),
    [(60_000, 60_000, (40_000, 40_000)), (2_000, 4_000_000, None), (9_000, 3_000_000, (512, 3_000_000 // 16 * 16))],
)
def test_a_raster_whose_blocks_are_too_large_is_refused_by_its_header(
    tmp_path, little_memory, rows, columns, block, inspect
):
    path = sparse(tmp_path / "a.tif", rows, columns, block=block)
    with pytest.raises(SourceError, match=r"a\.tif .*is stored in blocks of .* at most 2,147,483,648"):
        inspect(path)


@pytest.mark.parametrize("inspect", [lambda path: Raster.inspect(str(path)), Thematic.inspect])
def test_a_raster_larger_than_the_earth_is_refused_by_its_header(tmp_path, little_memory, inspect):
    path = sparse(tmp_path / "a.tif", 16, 9_000_000, dtype="uint8", block=(16, 4096))
    with pytest.raises(SourceError, match=r"a\.tif says that it has 16 x 9000000 pixels"):
        inspect(path)


@pytest.mark.parametrize(
    ("rows", "columns", "block", "dtype"),
    [
        (10_980, 10_980, (512, 512), "uint16"),
        (30_000, 30_000, None, "float32"),
        (20_000, 30_000, (1024, 1024), "float32"),
        (400_000, 300_000, (512, 512), "uint8"),
        (10_980, 10_980, (10_992, 10_992), "uint16"),
    ],
)
def test_scenes_and_national_rasters_are_read_by_windows(tmp_path, rows, columns, block, dtype):
    path = sparse(tmp_path / "a.tif", rows, columns, dtype=dtype, block=block)
    assert Raster.inspect(str(path)).grid.shape == (rows, columns)
    if dtype.startswith("u"):
        thematic = Thematic.inspect(path)
        assert thematic.window(rows - 9, columns - 9, 9, 9).sum() == 0


def test_a_whole_image_of_absurd_size_is_not_read(tmp_path, little_memory):
    path = sparse(tmp_path / "chip.tif", 30_000, 30_000, block=(256, 256), bands=3)
    with pytest.raises(SourceError, match=r"chip\.tif says that it has 3 x 30000 x 30000 values"):
        reading.background(path)


def png(width, height, bits=8):
    header = struct.pack(">IIBBBBB", width, height, bits, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header + bytes(200)


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (100_000, 100_000), (0, 5), (50_000_001, 1)])
def test_a_picture_of_absurd_size_is_refused_by_its_header(little_memory, size):
    with pytest.raises(InvalidInputError, match=f"a picture has {size[0]} x {size[1]} pixels"):
        images.decoded(png(*size))


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", png(5, 5), png(5, 5, 16)])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(InvalidInputError, match="a picture"):
        images.decoded(content)


@pytest.mark.parametrize(
    ("sizes", "chunks", "told"),
    [
        ({"time": 10**12, "lat": 2, "lon": 2}, (1, 2, 2), "its axis time has 1,000,000,000,000 values"),
        ({"time": 2, "lat": 10**9, "lon": 2}, (1, 2, 2), "its axis lat has 1,000,000,000 values"),
        ({"time": 2, "lat": 40_000, "lon": 40_000}, (2, 40_000, 40_000), "is stored in blocks of 2 x 40000 x 40000"),
    ],
)
def test_a_grid_of_weather_of_absurd_size_is_refused_by_its_header(tmp_path, little_memory, sizes, chunks, told):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    for number, (name, size) in enumerate(sizes.items()):
        axis = root.create_array(name, shape=(size,), chunks=(chunks[number],), dtype="f8")
        axis.attrs["_ARRAY_DIMENSIONS"] = [name]
    values = root.create_array("t2m", shape=tuple(sizes.values()), chunks=chunks, dtype="f4")
    values.attrs["_ARRAY_DIMENSIONS"] = list(sizes)
    zarr.consolidate_metadata(tmp_path / "a.zarr")
    with pytest.raises(SourceError, match=told):
        grids.read("a", str(tmp_path / "a.zarr"), None, {})


def test_a_netcdf_of_absurd_size_is_refused_by_its_header(tmp_path, little_memory):
    netcdf = pytest.importorskip("netCDF4")
    with netcdf.Dataset(tmp_path / "a.nc", "w") as data:
        data.createDimension("time", 10**10)
        data.createVariable("time", "f8", ("time",), chunksizes=(1000,))
        data.createVariable("t2m", "f4", ("time",), chunksizes=(1000,))
    with pytest.raises(SourceError, match="its axis time has 10,000,000,000 values"):
        grids.read("a", str(tmp_path / "a.nc"), None, {})


def test_the_limits_are_exact():
    limits.check_block("a", (2**15, 2**15), "uint16")
    with pytest.raises(SourceError, match="32769 x 32768 uint16, 2,147,549,184 bytes"):
        limits.check_block("a", (2**15 + 1, 2**15), np.dtype("uint16"))
    limits.check_whole("a", (limits.WHOLE,), "uint8")
    with pytest.raises(SourceError, match="of which an image may have at most"):
        limits.check_whole("a", (limits.WHOLE + 1,), "uint8")
    limits.check_axes("a", {"t": limits.AXIS})
    limits.check_shape("a", (limits.LONGEST, 1))
    with pytest.raises(SourceError, match="more than 8,000,000 a side"):
        limits.check_shape("a", (1, limits.LONGEST + 1))
