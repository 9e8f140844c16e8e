"""Reading rasters: the same pixels as GDAL whatever the file is like, nodata, damage, distance, and Zarr products."""

import json
import re
import shutil
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import rasterio
import shapely
import zarr
from affine import Affine
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from numcodecs import Blosc
from rasterio.enums import ColorInterp
from zarr.codecs import BloscCodec

from cbm_lake import rasters, zonal
from cbm_lake.errors import SourceError
from cbm_lake.rasters import Raster, Window, eopf
from cbm_lake.rasters.readers import FileSource, TiffSource, source
from cbm_lake.rasters.tiff import Tiff, _integrate
from cbm_lake.storage.ranges import open_bytes

UTM = Affine(10, 0, 600000, 0, -10, 5000040)
PLACE = {"crs": "EPSG:32631", "transform": UTM}
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64")


def write(path, pixels, **profile):
    """The array as a GeoTIFF, in tiles of 64 unless told."""
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    height, width = pixels.shape
    with rasterio.open(
        path,
        "w",
        **{"driver": "GTiff", **tiles, **PLACE, **profile},
        count=1,
        dtype=pixels.dtype,
        height=height,
        width=width,
    ) as file:
        file.write(pixels, 1)
    return str(path)


def declare(path, nodata):
    """Make nodata what rasterio does not let anyone write: 300 for 255, -1 for 25."""
    content = Path(path).read_bytes()
    for possible, other in ((255, 300), (25, -1)):
        if nodata == other:
            assert f"{possible}\0".encode() in content
            content = content.replace(f"{possible}\0".encode(), f"{other}\0".encode(), 1)
    Path(path).write_bytes(content)


def noise(shape=(150, 170), dtype="uint16", seed=1):
    """Pixels that use the type's whole range; floats have some NaN."""
    random = np.random.default_rng(seed)
    pixels = np.frombuffer(random.bytes(shape[0] * shape[1] * np.dtype(dtype).itemsize), dtype).reshape(shape).copy()
    if pixels.dtype.kind == "f":
        pixels = random.normal(0, 1000, shape).astype(dtype)
        pixels[random.random(shape) < 0.05] = np.nan
    return pixels


def fields(shape=(150, 170)):
    """DN of fields, some nodata."""
    rows, columns = np.indices(shape)
    pixels = (1500 + 400 * ((rows // 20 + columns // 20) % 5) + np.random.default_rng(2).integers(0, 90, shape)).astype(
        np.uint16
    )
    pixels[:15, :40] = 0
    return pixels


def truth(path):
    with rasterio.open(path) as file:
        return file.read(1)


def blocks(raster):
    (rows, columns), (height, width) = raster.grid.shape, raster.block
    return [
        Window(row, col, min(height, rows - row), min(width, columns - col))
        for row in range(0, rows, height)
        for col in range(0, columns, width)
    ]


def cut(pixels, window):
    return pixels[window.row : window.row + window.height, window.col : window.col + window.width]


def assert_reads(origin, windows, pixels):
    found = list(origin.read(windows))
    assert len(found) == len(windows)
    for window, values in zip(windows, found, strict=True):
        assert values.dtype == pixels.dtype
        np.testing.assert_array_equal(values, cut(pixels, window))


# -- tiled TIFF ---------------------------------------------------------------------------------------------------


@st.composite
def profiles(draw):
    dtype = draw(st.sampled_from(DTYPES))
    compress = draw(st.sampled_from(["none", "deflate", "zstd", "lzw"]))
    predictor = draw(st.sampled_from([1, 2, 3])) if compress != "none" else 1
    assume(predictor != 3 or dtype.startswith("float"))
    return {
        "dtype": dtype,
        "shape": (draw(st.integers(1, 150)), draw(st.integers(1, 150))),
        "profile": {
            "compress": compress,
            **({"predictor": predictor} if compress != "none" else {}),
            "blockxsize": 16 * draw(st.integers(1, 5)),
            "blockysize": 16 * draw(st.integers(1, 5)),
            "ENDIANNESS": draw(st.sampled_from(["LITTLE", "BIG"])),
            "BIGTIFF": draw(st.sampled_from(["YES", "NO"])),
        },
    }


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(profiles(), st.data())
def test_pixels_equal_gdals_for_every_way_of_packing_tiles(tmp_path, case, data):
    pixels = noise(case["shape"], case["dtype"])
    raster = Raster.inspect(write(tmp_path / "case.tif", pixels, **case["profile"]))
    origin = source(raster)
    assert isinstance(origin, TiffSource)
    assert_reads(origin, blocks(raster), truth(raster.href))
    rows, columns = case["shape"]
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    window = Window(row, col, data.draw(st.integers(1, rows - row)), data.draw(st.integers(1, columns - col)))
    assert_reads(origin, [window], pixels)
    np.testing.assert_array_equal(next(iter(source(raster).read([window]))), cut(pixels, window))


def test_a_cloud_optimised_file_with_overviews_is_read_at_full_size(tmp_path):
    pixels = fields((600, 700))
    options = {"blockxsize": None, "blockysize": None, "tiled": None, "BLOCKSIZE": 128, "PREDICTOR": "YES"}
    raster = Raster.inspect(write(tmp_path / "b.tif", pixels, driver="COG", COMPRESS="DEFLATE", nodata=0, **options))
    assert isinstance(source(raster), TiffSource)
    assert raster.block == (512, 512)
    assert_reads(source(raster), blocks(raster), pixels)


@pytest.mark.parametrize("width", [1, 2, 15, 16, 17, 100])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_differences_are_summed_up_and_wrap_around(width, dtype):
    numbers = noise((3, width), dtype)
    expected = np.cumsum(numbers, axis=1, dtype=dtype)
    _integrate(numbers)
    np.testing.assert_array_equal(numbers, expected)


@pytest.mark.parametrize(
    "profile",
    [
        {"tiled": False, "compress": "deflate"},
        {"compress": "lerc"},
        {"compress": "lzma"},
        {"compress": "deflate", "NBITS": 12},
        {"compress": "jpeg"},
    ],
    ids=str,
)
def test_what_is_not_provided_for_is_left_to_gdal(tmp_path, profile):
    pixels = fields() % 4096 if "jpeg" not in profile.values() else (fields() % 251).astype(np.uint8)
    raster = Raster.inspect(write(tmp_path / "b.tif", pixels, **profile))
    assert isinstance(source(raster), FileSource)
    assert_reads(source(raster), blocks(raster), truth(raster.href))


def with_mask(path, pixels, mask, internal=True):
    """The array with a mask in the file or beside it, and overviews."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES" if internal else "NO"):
        write(path, pixels, compress="deflate")
        with rasterio.open(path, "r+") as file:
            file.write_mask(mask)
            file.build_overviews([2, 4])
    return str(path)


@pytest.mark.parametrize("internal", [True, False], ids=["internal", "sidecar"])
def test_what_a_mask_leaves_out_is_nodata_as_for_rasterio(tmp_path, internal):
    pixels, mask = noise() | 1, np.ones((150, 170), bool)
    mask[20:70, 30:90] = False
    raster = Raster.inspect(with_mask(tmp_path / "b.tif", pixels, mask, internal))
    assert (tmp_path / "b.tif.msk").exists() != internal
    with rasterio.open(raster.href) as file:
        expected = file.read(1, masked=True).filled(0)
    assert (expected == 0).sum() == 50 * 60
    assert raster.masked
    assert Raster.from_json(raster.to_json()) == raster
    assert_reads(source(raster), blocks(raster), expected)
    assert_reads(source(raster), [Window(10, 20, 50, 60)], expected)


def with_alpha(path, pixels, mask):
    write(path, pixels)
    profile = {"count": 2, "height": 150, "width": 170, "dtype": pixels.dtype, "crs": "EPSG:32631", "alpha": "YES"}
    with rasterio.open(path, "w", "GTiff", transform=Affine(10, 0, 0, 0, -10, 0), **profile) as file:
        file.write(np.stack([pixels, mask * pixels.dtype.type(300)]))
        file.colorinterp = (ColorInterp.gray, ColorInterp.alpha)
    return str(path)


def with_mask_of_the_band(path, pixels, mask):
    """A mask beside the file which does not say that it is of the whole dataset."""
    write(path, pixels)
    with rasterio.open(f"{path}.msk", "w", "GTiff", count=1, height=150, width=170, dtype="uint8") as file:
        file.write(mask * np.uint8(255), 1)
        file.update_tags(INTERNAL_MASK_FLAGS_1="0")
    return str(path)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", [with_alpha, with_mask_of_the_band])
def test_an_alpha_band_and_the_mask_of_one_band_are_masks_too(tmp_path, kind):
    pixels, mask = noise() | 1, np.ones((150, 170), bool)
    mask[20:70, 30:90] = False
    raster = Raster.inspect(kind(tmp_path / "b.tif", pixels, mask))
    with rasterio.open(raster.href) as file:
        assert np.array_equal(file.read_masks(1) > 0, mask)
    assert (raster.masked, raster.band) == (True, 1)
    assert_reads(source(raster), blocks(raster), np.where(mask, pixels, 0).astype(pixels.dtype))


def test_an_internal_mask_is_heeded_at_a_distance_too(tmp_path):
    mask = np.ones((150, 170), bool)
    mask[20:70, 30:90] = False
    with_mask(tmp_path / "b.tif", noise() | 1, mask)
    with served(tmp_path) as (address, _):
        raster = Raster.inspect(f"{address}/b.tif")
        assert_reads(source(raster), blocks(raster), np.where(mask, noise() | 1, 0).astype(np.uint16))


@pytest.mark.parametrize("driver", ["ENVI", "JP2OpenJPEG", "GTiff"])
def test_files_beside_a_raster_say_where_it_is_and_what_is_nodata(tmp_path, driver):
    pixels = fields()
    pixels[40:50] = 65535
    endings = {"ENVI": "img", "JP2OpenJPEG": "jp2", "GTiff": "tif"}
    options = {
        "ENVI": {},
        "JP2OpenJPEG": {"QUALITY": 100, "REVERSIBLE": "YES"},
        "GTiff": {"PROFILE": "BASELINE", "TFW": "YES", "tiled": True, "blockxsize": 64, "blockysize": 64},
    }
    path = tmp_path / f"b.{endings[driver]}"
    with rasterio.open(
        path,
        "w",
        driver=driver,
        count=1,
        dtype="uint16",
        height=150,
        width=170,
        nodata=65535,
        **PLACE,
        **options[driver],
    ) as file:
        file.write(pixels, 1)
    assert len(list(tmp_path.iterdir())) > 1
    raster = Raster.inspect(str(path))
    assert (raster.grid.epsg, raster.grid.transform, raster.nodata) == (32631, UTM, 65535)
    assert_reads(source(raster), blocks(raster), np.where(pixels == 65535, 0, pixels).astype(np.uint16))


@pytest.mark.parametrize("declared", [-3.4028234663852886e38, -3.4e38, -9999.9, 0.1])
@pytest.mark.parametrize("tiled", [True, False])
def test_nodata_with_more_digits_than_a_float32_has_is_nodata(tmp_path, declared, tiled):
    pixels = np.random.default_rng(1).uniform(1, 2, (150, 170)).astype(np.float32)
    pixels[20:30] = declared
    raster = Raster.inspect(write(tmp_path / "b.tif", pixels, nodata=declared, tiled=tiled))
    expected = pixels.copy()
    expected[20:30] = 0
    assert_reads(source(raster), blocks(raster), expected)


@pytest.mark.parametrize("dtype", ["complex_int16", "complex64"])
def test_complex_numbers_are_refused(tmp_path, dtype):
    with rasterio.open(
        tmp_path / "b.tif", "w", driver="GTiff", count=1, dtype=dtype, height=15, width=17, **PLACE
    ) as file:
        file.write(np.ones((15, 17), np.complex64), 1)
    with pytest.raises(SourceError, match=f"b.tif has complex numbers .{dtype}."):
        Raster.inspect(str(tmp_path / "b.tif"))


@pytest.mark.parametrize(
    "place", [Affine(10, 1, 600000, 0, -10, 5e6), Affine(-10, 0, 600000, 0, -10, 5e6), Affine(10, 0, 6e5, 0, 10, 5e6)]
)
def test_what_is_turned_or_mirrored_is_refused(tmp_path, place):
    path = write(tmp_path / "b.tif", fields(), transform=place)
    with pytest.raises(SourceError, match=r"b.tif has no known coordinate system or is not north-up"):
        Raster.inspect(path)


@pytest.mark.parametrize(
    ("dtype", "nodata"), [("uint16", None), ("uint16", 0), ("int16", -32768), ("float32", np.nan), ("uint8", 300)]
)
def test_tiles_that_were_never_written_are_nodata(tmp_path, dtype, nodata):
    path = str(tmp_path / "b.tif")
    tiles = {"tiled": True, "blockxsize": 64, "blockysize": 64, "SPARSE_OK": True, "compress": "deflate"}
    size = {"count": 1, "height": 128, "width": 192, "dtype": dtype, "nodata": 255 if nodata == 300 else nodata}
    with rasterio.open(path, "w", driver="GTiff", **size, **tiles, **PLACE) as file:
        file.write(np.full((64, 64), 7, dtype), 1, window=((64, 128), (64, 128)))
    declare(path, nodata)
    assert Tiff.inspect(open_bytes(str(path))).has_holes
    raster = Raster.inspect(path)
    expected = truth(path)
    expected[expected == (nodata if raster.nodata is not None else 0)] = 0
    assert_reads(source(raster), [Window(0, 0, 128, 192), Window(64, 64, 64, 64)], expected)
    assert_reads(FileSource(raster), [Window(0, 0, 128, 192)], expected)


# -- nodata -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "declared", "found"),
    [
        ("int16", -32768, -32768),
        ("uint16", 65535, 65535),
        ("float32", -9999, -9999),
        ("float32", np.inf, np.inf),
        ("float64", -1e300, -1e300),
        ("uint16", 0, None),
        ("uint16", None, None),
        ("float32", np.nan, None),
        ("uint8", 300, None),
        ("uint8", -1, None),
    ],
)
def test_pixels_that_the_file_calls_nodata_are_0_in_every_reader(tmp_path, dtype, declared, found):
    pixels = noise((70, 80), dtype)
    pixels[20:30, 30:50] = np.array(found or 0).astype(dtype)
    expected = pixels.copy()
    if found is not None:
        expected[expected == np.dtype(dtype).type(found)] = 0
        assert not np.array_equal(pixels, expected, equal_nan=True)
    writable = {300: 255, -1: 25}.get(declared, declared)
    declare(write(tmp_path / "a.tif", pixels, compress="deflate", nodata=writable), declared)
    declare(write(tmp_path / "b.tif", pixels, tiled=False, nodata=writable), declared)
    tiled, striped = (Raster.inspect(str(tmp_path / name)) for name in ("a.tif", "b.tif"))
    assert tiled.nodata == striped.nodata == found
    assert isinstance(source(tiled), TiffSource)
    assert isinstance(source(striped), FileSource)
    for raster in (tiled, striped):
        assert_reads(source(raster), [Window(0, 0, 70, 80), Window(15, 25, 20, 20)], expected)


def test_the_header_survives_json(tmp_path):
    raster = Raster.inspect(write(tmp_path / "a.tif", noise(dtype="int16"), nodata=-32768))
    assert Raster.from_json(raster.to_json()) == raster


def test_nodata_of_sentinel_1_never_counts(tmp_path):
    power = np.random.default_rng(3).uniform(0.01, 0.4, (100, 100)).astype(np.float32)
    power[:, :37] = -32768
    power[:10] = np.nan
    raster = Raster.inspect(write(tmp_path / "vv.tif", power, nodata=-32768))
    (pixels,) = source(raster).read([Window(0, 0, 100, 100)])
    table = zonal.zonal_stats([shapely.box(600000, 4999040, 601000, 5000040)], pixels, UTM)
    assert table["count"][0].as_py() == 90 * 63
    assert table["mean"][0].as_py() == pytest.approx(power[10:, 37:].mean(dtype=float), rel=1e-9)


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", ["deflate", "zstd", "lzw", "none"])
def test_a_file_that_was_cut_off_gives_one_error_that_names_it(tmp_path, compress):
    path = write(tmp_path / "b.tif", noise((300, 300)), compress=compress)
    raster = Raster.inspect(path)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SourceError, match=r"b.tif cannot be read: .*fetch it again"):
        list(source(raster).read(blocks(raster)))


def test_a_file_that_was_cut_off_after_it_was_opened_says_which_tile_is_missing(tmp_path):
    path = write(tmp_path / "b.tif", noise((300, 300)), compress="deflate")
    raster = Raster.inspect(path)
    origin = source(raster)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(SourceError, match=r"b.tif cannot be read: its tile in row 3, column \d is damaged \(the file"):
        list(origin.read(blocks(raster)))
    Path(path).unlink()
    with pytest.raises(SourceError, match=r"b.tif cannot be read: .*No such file"):
        list(origin.read(blocks(raster)))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10**9), st.integers(1, 255))
@example(32_940_928, 1)
def test_a_byte_that_changed_in_the_pixels_is_never_read_as_other_pixels(tmp_path, place, change):
    pixels = fields()
    path = write(tmp_path / "b.tif", pixels, compress="deflate", predictor=2)
    raster, tiff = Raster.inspect(path), Tiff.inspect(open_bytes(str(path)))
    content = bytearray(Path(path).read_bytes())
    number = place % len(tiff.offsets)
    content[tiff.offsets[number] + place % tiff.sizes[number]] ^= change
    before = list(source(raster).read(blocks(raster)))
    Path(path).write_bytes(content)
    outcome = read_or_reason(raster)
    if isinstance(outcome, str):
        assert "b.tif cannot be read: its tile in row" in outcome
    else:  # a bit that fills up the last byte of a stream means nothing
        assert all(map(np.array_equal, before, outcome))


def read_or_reason(raster):
    """All blocks of a raster, or why they cannot be read."""
    try:
        return list(source(raster).read(blocks(raster)))
    except SourceError as error:
        return str(error)


def test_a_damaged_file_that_gdal_reads_gives_gdals_own_reason(tmp_path):
    path = write(tmp_path / "b.tif", noise((300, 300)), compress="deflate", tiled=False)
    raster, content = Raster.inspect(path), bytearray(Path(path).read_bytes())
    content[2000:90000] = bytes(88000)
    Path(path).write_bytes(content)
    with pytest.raises(SourceError, match=r"b.tif cannot be read: (?!Read failed)"):
        list(source(raster).read(blocks(raster)))


def test_a_header_that_is_no_header_is_an_error_with_the_files_name(tmp_path):
    (tmp_path / "b.tif").write_bytes(b"II*\0" + bytes(100))
    assert Tiff.inspect(open_bytes(str(tmp_path / "b.tif"))) is None
    with pytest.raises(SourceError, match=r"b.tif cannot be opened"):
        Raster.inspect(str(tmp_path / "b.tif"))


# -- JPEG 2000 ----------------------------------------------------------------------------------------------------


def test_jpeg_2000_is_read_in_its_own_tiles_with_any_number_of_threads(tmp_path):
    pixels = fields((1100, 1300))
    path = str(tmp_path / "b.jp2")
    options = {"QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 640, "BLOCKYSIZE": 640}
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=1, dtype="uint16", height=1100, width=1300, **PLACE, **options
    ) as file:
        file.write(pixels, 1)
    raster = Raster.inspect(path)
    with rasterio.open(path) as file:
        assert raster.block == file.block_shapes[0] != (512, 512)
    for threads in (1, 2):
        assert_reads(source(raster, threads), blocks(raster), pixels)


# -- at a distance ------------------------------------------------------------------------------------------------


class Ranges(SimpleHTTPRequestHandler):
    """A static web server that honours ranges of bytes, as object stores do."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, body):
        path = Path(self.translate_path(self.path))
        self.server.asked.append((self.command, self.path, self.headers.get("Range")))
        if not path.is_file():
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        span = re.match(r"bytes=(\d*)-(\d*)$", self.headers.get("Range") or "")
        first, last = 0, len(content) - 1
        if span:
            first = int(span[1]) if span[1] else len(content) - int(span[2])
            last = min(int(span[2]), last) if span[1] and span[2] else last
        part = content[first : last + 1]
        self.send_response(206 if span else 200)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if body:
            self.wfile.write(part)

    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    """The folder on loopback: its address, and what was asked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Ranges(*given, directory=str(folder)))
    server.asked = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_file_on_the_web_is_read_in_ranges_and_only_where_it_is_wanted(tmp_path):
    pixels = noise((2048, 4096))
    write(tmp_path / "b.tif", pixels, compress="deflate", blockxsize=512, blockysize=512)
    with served(tmp_path) as (address, asked):
        raster = Raster.inspect(f"{address}/b.tif")
        wanted = [window for window in blocks(raster) if window.row == 512 or window.col == 1024]
        assert_reads(source(raster), wanted, pixels)
        fetched = [span for command, _, span in asked if command == "GET" and span]
    total = sum(int(last) - int(first) + 1 for first, last in (span[6:].split("-") for span in fetched))
    assert len(wanted) == 11
    assert total < (tmp_path / "b.tif").stat().st_size / 2
    assert len(fetched) < len(wanted)  # blocks side by side are one request


def test_a_missing_file_on_the_web_is_an_error_with_its_address(tmp_path):
    with served(tmp_path) as (address, _), pytest.raises(SourceError, match=r"127.0.0.1:\d+/none.tif cannot be opened"):
        Raster.inspect(f"{address}/none.tif")


# -- Zarr products ------------------------------------------------------------------------------------------------

NAME = "S2A_MSIL2A_20251113T102311_N0511_R065_T32TNQ_20251113T142515.zarr"
BAND = "measurements/reflectance/r10m/b04"


def proj(shape, size=10):
    """The attributes by which arrays of EOPF say where they are."""
    rows, columns = shape
    left, top = UTM.c, UTM.f
    return {
        "proj:bbox": [left, top - size * rows, left + size * columns, top],
        "proj:epsg": 32631,
        "proj:shape": [rows, columns],
        "proj:transform": [size, 0.0, left, 0.0, -size, top, 0.0, 0.0, 1.0],
    }


def product(folder, pixels, zarr_format=2, name=NAME, path=BAND, attributes=None):
    """A product with one band, in the layout and with the attributes of EOPF's samples; the band's path."""
    packing = {"add_offset": -0.1, "scale_factor": 0.0001, "dtype": "<u2", "fill_value": 0, "units": "digital_counts"}
    given = {"_eopf_attrs": packing, **packing, **proj(pixels.shape)} if attributes is None else attributes
    root = zarr.open_group(str(folder / name), mode="w", zarr_format=zarr_format)
    root.attrs["other_metadata"] = {"horizontal_CRS_code": "EPSG:32631"}
    group = root.require_group(path.rpartition("/")[0])
    if zarr_format == 2:
        packed = {"chunks": (64, 64), "compressors": Blosc(cname="zstd", clevel=3, shuffle=Blosc.BITSHUFFLE)}
    else:
        packed = {"chunks": (32, 32), "shards": (96, 96), "compressors": BloscCodec(cname="zstd", typesize=2)}
    array = group.create_array(path.rpartition("/")[2], shape=pixels.shape, dtype=pixels.dtype, fill_value=0, **packed)
    array[:] = pixels
    array.attrs.update(given)
    rows, columns = pixels.shape
    group.create_array("x", data=UTM.c + 5 + 10.0 * np.arange(columns))
    group.create_array("y", data=UTM.f - 5 - 10.0 * np.arange(rows))
    return f"{folder / name}/{path}"


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_band_of_a_zarr_product_gives_the_statistics_of_the_same_pixels_as_cog(tmp_path, zarr_format):
    pixels = fields()
    band = Raster.inspect(product(tmp_path, pixels, zarr_format))
    cog = Raster.inspect(write(tmp_path / "b04.tif", pixels, compress="deflate", nodata=0))
    assert band.grid == cog.grid
    assert (band.dtype, band.nodata) == ("uint16", None)
    index = zonal.build_index(
        [shapely.box(600000 + 130 * i, 4999000, 600120 + 130 * i, 4999900) for i in range(12)], UTM, pixels.shape
    )
    tables = []
    for raster in (band, cog):
        plan = index.blocks(raster.block)
        pool = plan.new_pool(raster.dtype)
        for number, values in enumerate(source(raster).read(Window(*block) for block in plan)):
            plan.gather(values, number, pool)
        tables.append(zonal.pool_statistics(pool, plan.offsets))
    assert tables[0].equals(tables[1])
    assert min(tables[0]["count"].to_pylist()) > 0
    assert_reads(source(band), [Window(50, 60, 41, 99), Window(0, 0, 150, 170)], pixels)


def test_the_block_of_a_product_is_a_whole_number_of_chunks_up_to_the_raster(tmp_path):
    assert Raster.inspect(product(tmp_path, np.ones((1200, 1100), np.uint16))).block == (512, 512)
    assert Raster.inspect(product(tmp_path, np.ones((600, 400), np.uint16), 3)).block == (512, 400)


@pytest.mark.parametrize(
    "attributes",
    [
        {},  # x and y of the group, the coordinate system of the product
        {"proj:bbox": proj((150, 170))["proj:bbox"], "proj:code": "EPSG:32631"},
    ],
    ids=["coordinates", "bbox"],
)
def test_the_grid_is_found_wherever_the_product_says_it(tmp_path, attributes):
    raster = Raster.inspect(product(tmp_path, fields(), attributes=attributes))
    assert raster.grid == rasters.Grid(32631, UTM, (150, 170))


def test_a_grid_mapping_gives_the_coordinate_system(tmp_path):
    href = product(tmp_path, fields(), attributes={"grid_mapping": "spatial_ref"})
    root = zarr.open_group(str(tmp_path / NAME), mode="r+")
    del root.attrs["other_metadata"]
    reference = root[BAND.rpartition("/")[0]].create_array("spatial_ref", data=np.array(0))
    reference.attrs["crs_wkt"] = rasterio.CRS.from_epsg(32631).to_wkt()
    assert Raster.inspect(href).grid == rasters.Grid(32631, UTM, (150, 170))
    del reference.attrs["crs_wkt"]
    with pytest.raises(SourceError, match="b04 cannot be read: 'crs_wkt'"):
        Raster.inspect(href)


@pytest.mark.parametrize(("baseline", "offset"), [("N0511", -1000), ("N0400", -1000), ("N0301", 0)])
def test_a_store_of_reflectance_gives_the_dn_that_it_was_made_of(tmp_path, baseline, offset):
    numbers = np.array([[0, 1, 999, 1000], [1001, 5432, 20000, 65535]], np.uint16)
    reflectance = np.where(numbers == 0, np.nan, numbers * 0.0001 + offset / 10000).astype(np.float32)
    href = product(tmp_path, reflectance, 3, NAME.replace("N0511", baseline), attributes=proj(numbers.shape))
    raster = Raster.inspect(href)
    assert (raster.dtype, raster.nodata) == ("uint16", None)
    assert_reads(source(raster), [Window(0, 0, 2, 4)], numbers)


def test_reflectance_beyond_all_dn_becomes_the_nearest_dn_and_never_nodata(tmp_path):
    reflectance = np.array([[-0.5, -0.1, 6.4535, 9.0]], np.float64)
    raster = Raster.inspect(product(tmp_path, reflectance, attributes=proj(reflectance.shape)))
    assert_reads(source(raster), [Window(0, 0, 1, 4)], np.array([[1, 1, 65535, 65535]], np.uint16))


def test_reflectance_in_a_store_without_the_products_name_is_refused(tmp_path):
    href = product(tmp_path, np.ones((20, 20), np.float32), name="mine.zarr")
    with pytest.raises(SourceError, match="lacks the processing baseline"):
        Raster.inspect(href)


def test_a_products_own_nodata_is_0(tmp_path):
    pixels = fields()
    pixels[40:50] = 65535
    raster = Raster.inspect(product(tmp_path, pixels, attributes={**proj(pixels.shape), "_FillValue": 65535}))
    assert raster.nodata == 65535
    assert_reads(source(raster), [Window(0, 0, 150, 170)], np.where(pixels == 65535, 0, pixels).astype(np.uint16))


def test_a_group_is_read_when_it_has_one_band(tmp_path):
    href = product(tmp_path, fields()).rpartition("/")[0]
    assert_reads(source(Raster.inspect(href)), [Window(10, 10, 50, 60)], fields())
    zarr.open_group(href, mode="r+").create_array("b03", data=fields())
    with pytest.raises(SourceError, match=r"r10m is a group of 2 bands \(b0., b0.\); name one of them"):
        Raster.inspect(href)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_product_on_the_web_is_read_chunk_by_chunk(tmp_path, zarr_format):
    product(tmp_path, fields(), zarr_format)
    with served(tmp_path) as (address, asked):
        raster = Raster.inspect(f"{address}/{NAME}/{BAND}")
        asked.clear()
        assert_reads(source(raster), [Window(0, 0, 60, 60)], fields())
        pixels = [path for _, path, _ in asked if "b04/" in path and not path.endswith(("json", "zattrs", "zarray"))]
    assert len(set(pixels)) == 1


def test_a_product_that_is_missing_or_damaged_is_an_error_with_its_name(tmp_path):
    href = product(tmp_path, fields())
    raster = Raster.inspect(href)
    chunk = next(path for path in Path(href).iterdir() if path.name == "0.0")
    chunk.write_bytes(chunk.read_bytes()[:20])
    with pytest.raises(SourceError, match="b04 cannot be read: "):
        list(source(raster).read([Window(0, 0, 10, 10)]))
    for wrong in (href[:-1] + "9", str(tmp_path / "none.zarr/b04")):
        with pytest.raises(SourceError, match="cannot be read"):
            Raster.inspect(wrong)
    with served(tmp_path) as (address, _), pytest.raises(SourceError, match=r"none.zarr/b04 cannot be read"):
        Raster.inspect(f"{address}/none.zarr/b04")
    (Path(href) / ".zarray").write_text("{")
    with pytest.raises(SourceError, match="b04 cannot be read"):
        Raster.inspect(href)


def test_what_is_no_north_up_band_is_refused(tmp_path):
    turned = {**proj((150, 170)), "proj:transform": [10, 1, 0, 0, -10, 0]}
    with pytest.raises(SourceError, match="not north-up"):
        Raster.inspect(product(tmp_path, fields(), attributes=turned))
    shutil.rmtree(tmp_path / NAME)
    root = zarr.open_group(str(tmp_path / NAME), mode="w")
    root.create_array("cube", data=np.zeros((2, 3, 4)))
    with pytest.raises(SourceError, match="it has 3 dimensions"):
        Raster.inspect(f"{tmp_path / NAME}/cube")


def test_only_hrefs_into_a_store_are_taken_for_products():
    assert eopf.holds("https://host/a.zarr/measurements/b04")
    assert eopf.holds("/data/a.zarr")
    assert not eopf.holds("/data/a.zarr.tif")
    assert not eopf.holds("/vsis3/eodata/b04.jp2")


def test_real_items_lead_into_stores(realdata):
    for file in (realdata / "stac" / "eopf").glob("*.json"):
        item = json.loads(file.read_text())
        assert eopf.holds(next(a["href"] for a in item["assets"].values() if "zarr" in a["type"]))
