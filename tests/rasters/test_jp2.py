"""JPEG 2000 tile by tile: the same pixels as OpenJPEG and GDAL make of the whole image, with no more work."""

import base64
import struct
import weakref
import zlib
from itertools import pairwise, product
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from range_server import range_server

from cbm_lake.errors import SourceError
from cbm_lake.rasters import Raster, Window
from cbm_lake.rasters.jp2 import Jp2, headers
from cbm_lake.rasters.jp2 import read as read_windows
from cbm_lake.rasters.readers import FileSource, Jp2Source, source
from cbm_lake.storage.ranges import LocalFile

PLACE = {"crs": "EPSG:32631", "transform": Affine(10, 0, 600000, 0, -10, 5000040)}
OFFSET = (
    "c-s5#|38pHlK})2fmjlV*@2i9hy|b+0vOpD8UF_{@PL>Mj4Uh+jQ?X8*c}`^JOciwFsL#xIv1rTmZYXABvmT-7o_HS1-QB^l%*CGXXfWA80nen"
    "nf#x?zy&tS45)YV`7Hs0{$Fpj76|!<=4_lFRnTeMvT;`ZfuGC{HA)PENx~QAt`=%k;RWkr1nP=}=$fM2`|p39PNPR#u|d<`lT$Y&eKZvddaPY<"
    "b+T^boKpciJ>?dw>_2}%t&VZ?XVye@gZwY&S_RFUJ-+V0cctl;`lH<6<xSfaZySOQW&#?l05bS~g9YcJtcbVe_2&<Wuts>5*MsGmf%3W#i#>z{"
    "UWw{2IJn>ONmr^v!=>2OAjd*o3RcVlRGb7htWiO;R;=*nd7UfzN_>arZ7bJcYi9AE<(bu?l5JTuDIqSbRAUm*CO5kaJN_^+Xew=<I`!!5_0v*X"
    "YmyimcGv5^Zd)dkA2L0;yi7B~{bPid-&wE?plFeRI7dRzub=f#eZ&8o0POFhIs"
)
"""A codestream of 20 x 26 pixels at (7, 5) of the reference grid in tiles of 16 from (0, 0), by OpenJPEG."""


def scene(shape=(300, 410), dtype="uint16", seed=1):
    """Pixels as fields have them, with nodata at a corner."""
    random = np.random.default_rng(seed)
    patches = np.kron(random.integers(300, 5000, (shape[0] // 20 + 1, shape[1] // 20 + 1)), np.ones((20, 20), int))
    pixels = patches[: shape[0], : shape[1]] + random.integers(-40, 40, shape)
    pixels[:30, :50] = 0
    return (pixels % 250 if np.dtype(dtype).itemsize == 1 else pixels).astype(dtype)


def write(path, pixels, **options):
    """The array by GDAL, in tiles of 128 without loss unless told."""
    profile = {"driver": "JP2OpenJPEG", "count": 1, "dtype": pixels.dtype, "tiled": True, **PLACE}
    tiles = {"QUALITY": "100", "REVERSIBLE": "YES", "BLOCKXSIZE": 128, "BLOCKYSIZE": 128, "RESOLUTIONS": 4}
    height, width = pixels.shape
    with rasterio.open(path, "w", **profile, height=height, width=width, **{**tiles, **options}) as file:
        file.write(pixels, 1)
    return str(path)


def blocks(shape, rows=128, columns=None):
    """Windows over the whole image, row by row."""
    columns = columns or rows
    return [
        Window(row, col, min(rows, shape[0] - row), min(columns, shape[1] - col))
        for row, col in product(range(0, shape[0], rows), range(0, shape[1], columns))
    ]


def assert_is(file, expected, windows=None, threads=1):
    """A file's windows are those of an array."""
    jp2 = Jp2.inspect(file)
    assert (jp2.shape, jp2.dtype) == (expected.shape, expected.dtype)
    windows = blocks(jp2.shape) if windows is None else windows
    got = list(read_windows(jp2.located(file), file, windows, threads))
    for (row, col, height, width), pixels in zip(windows, got, strict=True):
        np.testing.assert_array_equal(pixels, expected[row : row + height, col : col + width])


class Bytes:
    """A file in memory that writes down what is asked of it."""

    def __init__(self, content, href="http://127.0.0.1/b.jp2"):
        self.content, self.href, self.size, self.stamp = content, href, len(content), ""
        self.reads, self.streams = [], []

    def read(self, start, end):
        assert 0 <= start < end <= self.size
        self.reads.append((start, end))
        return self.content[start:end]

    def stream(self, ranges):
        self.streams.append(list(ranges))
        for start, end in ranges:
            assert 0 <= start < end <= self.size
            yield self.content[start:end]


def boxed(codestream, header=b""):
    """A codestream in the boxes that a file needs; `header` is further boxes of its header."""
    ihdr = b"\0\0\0\x16ihdr" + bytes(14)
    content = ihdr + header
    return b"".join(
        struct.pack(">I4s", 8 + len(data), kind) + data
        for kind, data in ((b"jP  ", b"\r\n\x87\n"), (b"jp2h", content), (b"jp2c", codestream))
    )


def codestream(path):
    """The codestream of a file that GDAL wrote."""
    content = Path(path).read_bytes()
    return content[content.index(b"\xff\x4f\xff\x51") :]


def pieces(path):
    """Main header, tile-parts as (number, header, packets) of a file with a PLT marker in each tile."""
    stream = codestream(path)
    position = stream.index(b"\xff\x90\x00\x0a")
    main, parts = stream[:position], []
    while stream[position : position + 2] == b"\xff\x90":
        number, length = struct.unpack(">HI", stream[position + 4 : position + 10])
        data = stream[position + 12 : position + length]
        lengths, where = [], 0
        while data[where : where + 2] != b"\xff\x93":
            marker, size = struct.unpack(">HH", data[where : where + 4])
            assert marker == 0xFF58
            value = 0
            for byte in data[where + 5 : where + 2 + size]:
                value = value << 7 | byte & 0x7F
                if byte < 0x80:
                    lengths.append(value)
                    value = 0
            where += 2 + size
        body = data[where + 2 :]
        assert sum(lengths) == len(body)
        ends = np.cumsum([0, *lengths])
        parts.append((number, [body[a:b] for a, b in pairwise(ends)]))
        position += length
    assert stream[position:] == b"\xff\xd9"
    return main, parts


def tile_part(number, index, count, packets, *, open_end=False):
    """A tile-part of whole packets."""
    data = b"\xff\x93" + b"".join(packets)
    return struct.pack(">HHHIBB", 0xFF90, 10, number, 0 if open_end else 12 + len(data), index, count) + data


# -- the same pixels ----------------------------------------------------------------------------------------------


KINDS = {
    "as ESA": {"PRECINCTS": "{256,256},{128,128},{64,64}", "RESOLUTIONS": 5, "CODEBLOCK_WIDTH": 64},
    "with loss": {"QUALITY": "20", "REVERSIBLE": "NO"},
    "almost without loss": {"QUALITY": "100", "REVERSIBLE": "NO"},
    "layers": {"QUALITY": "5,20,100", "PROGRESSION": "RLCP"},
    "layers with loss": {"QUALITY": "5,10,20", "REVERSIBLE": "NO", "PROGRESSION": "RPCL", "TLM": "YES"},
    "markers": {"SOP": "YES", "EPH": "YES", "PROGRESSION": "PCRL", "PLT": "YES", "TLM": "YES"},
    "small blocks": {"CODEBLOCK_WIDTH": 16, "CODEBLOCK_HEIGHT": 32, "PROGRESSION": "CPRL"},
    "oblong tiles": {"BLOCKXSIZE": 100, "BLOCKYSIZE": 172, "RESOLUTIONS": 6},
    "one tile": {"BLOCKXSIZE": 1024, "BLOCKYSIZE": 1024},
    "code-block styles": {"CODEBLOCK_STYLE": "BYPASS,RESET,TERMALL,VSC,SEGSYM"},
}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_the_whole_image_bit_by_bit(tmp_path, kind, dtype):
    path = write(tmp_path / "b.jp2", scene(dtype=dtype), **KINDS[kind])
    with rasterio.open(path) as file:
        expected = file.read(1)
    np.testing.assert_array_equal(expected, imagecodecs.jpeg2k_decode(Path(path).read_bytes()))
    for threads in (1, 3):
        assert_is(LocalFile(path), expected, threads=threads)
    assert_is(LocalFile(path), expected, blocks(expected.shape, 77, 90))


@pytest.mark.parametrize("bits", [7, 12, 15])
def test_fewer_bits_than_the_type_has(tmp_path, bits):
    pixels = scene(dtype="uint8" if bits < 8 else "uint16") % (1 << bits)
    assert_is(LocalFile(write(tmp_path / "b.jp2", pixels, NBITS=bits)), pixels)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (257, 3), (128, 128), (129, 256)])
def test_images_of_any_size(tmp_path, shape):
    pixels = scene(shape)
    assert_is(LocalFile(write(tmp_path / "b.jp2", pixels)), pixels, blocks(shape, 100))


def test_an_image_that_begins_inside_its_first_tile():
    stream = zlib.decompress(base64.b85decode(OFFSET))
    file = Bytes(boxed(stream))
    expected = imagecodecs.jpeg2k_decode(stream)
    rows, columns = np.mgrid[:20, :26]
    np.testing.assert_array_equal(expected, (columns * 9 + rows * 5).astype("uint8"))
    for rows, columns in ((20, 26), (9, 11), (1, 1), (7, 5)):
        assert_is(file, expected, blocks((20, 26), rows, columns))
    assert Jp2.inspect(file).down == 2


def test_a_tile_may_come_in_several_parts_mixed_with_those_of_others(tmp_path):
    pixels = scene()
    main, tiles = pieces(write(tmp_path / "b.jp2", pixels, PLT="YES"))
    assert len(tiles) == 12
    first = [tile_part(number, 0, 3, packets[:1]) for number, packets in tiles]
    second = [tile_part(number, 1, 0, packets[1:2]) for number, packets in reversed(tiles)]
    third = [tile_part(number, 2, 3, packets[2:], open_end=number == 11) for number, packets in tiles]
    stream = main + b"".join(first + second + third) + b"\xff\xd9"
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(stream), pixels)
    for href in ("b.jp2", "http://127.0.0.1/b.jp2"):
        assert_is(Bytes(boxed(stream), href), pixels, threads=2)


def test_real_files_of_esa(realdata):
    paths = sorted((realdata / "s2_herault_2018" / "safe").glob("*20180707*/**/*.jp2"))
    assert len(paths) > 8
    for path in paths:
        with rasterio.open(path) as file:
            assert_is(LocalFile(str(path)), file.read(1))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    st.integers(1, 150),
    st.integers(1, 150),
    st.integers(1, 6),
    st.sampled_from(["uint8", "int16", "uint16"]),
    st.sampled_from(["noise", "nothing", "sparse", "steps"]),
    st.integers(0, 2**32 - 1),
)
def test_any_image_without_loss(height, width, resolutions, dtype, content, seed):
    random, limits = np.random.default_rng(seed), np.iinfo(dtype)
    pixels = random.integers(limits.min, limits.max, (height, width), dtype, endpoint=True)
    if content == "nothing":
        pixels[:] = random.choice([limits.min, 0, limits.max])
    elif content == "sparse":
        pixels[random.random((height, width)) < 0.99] = 0
    elif content == "steps":
        pixels[:] = pixels[:, :1]
    stream = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, resolutions=resolutions)
    file = Bytes(boxed(stream))
    jp2 = Jp2.inspect(file).located(file)
    expected = imagecodecs.jpeg2k_decode(stream)
    np.testing.assert_array_equal(expected, pixels)
    got = next(read_windows(jp2, file, [Window(0, 0, height, width)], 1))
    np.testing.assert_array_equal(got, expected)


# -- no more than is needed ---------------------------------------------------------------------------------------


def test_only_the_tiles_of_the_windows_are_fetched_and_each_is_decoded_once(tmp_path, monkeypatch):
    pixels = scene()
    path = write(tmp_path / "b.jp2", pixels, TLM="YES")
    file, decoded = Bytes(Path(path).read_bytes()), []
    decode = Jp2.decode
    monkeypatch.setattr(Jp2, "decode", lambda self, number, data: decoded.append(number) or decode(self, number, data))
    assert_is(file, pixels, [Window(0, 130, 64, 64), Window(64, 130, 64, 64), Window(128, 390, 128, 20)])
    assert decoded == [1, 7]
    jp2 = Jp2.inspect(file)
    assert file.streams == [[jp2.parts[1][1:], jp2.parts[7][1:]]]
    assert file.reads == [(0, min(file.size, 65536))] * 2  # the header is one request


def test_no_more_than_a_row_of_tiles_is_in_memory(tmp_path, monkeypatch):
    pixels = scene((600, 300))
    file = LocalFile(write(tmp_path / "b.jp2", pixels, BLOCKXSIZE=100, BLOCKYSIZE=100))
    jp2, decode, done = Jp2.inspect(file).located(file), Jp2.decode, []

    def counted(self, number, data):
        tile = decode(self, number, data)
        done.append((number, weakref.ref(tile)))
        return tile

    monkeypatch.setattr(Jp2, "decode", counted)
    most = 0
    for _ in read_windows(jp2, file, blocks((600, 300), 50, 100), 2):
        most = max(most, sum(tile() is not None for _, tile in done))
    assert sorted(number for number, _ in done) == list(range(18))
    assert 3 <= most <= 3 + 2 + 1  # a row, and two threads ahead


def test_tile_parts_are_found_by_the_table_or_one_by_the_other(tmp_path):
    pixels = scene()
    for options in ({"TLM": "YES"}, {}):
        file = LocalFile(write(tmp_path / "b.jp2", pixels, **options))
        jp2 = Jp2.inspect(file)
        assert (jp2.parts is not None) == bool(options)
        parts = jp2.located(file).parts
        assert [part.tile for part in parts] == list(range(12))
        content = Path(file.href).read_bytes()
        assert all(content[start : start + 4] == b"\xff\x90\x00\x0a" for _, start, _ in parts)
        assert content[parts[-1].end :] == b"\xff\xd9"


def test_a_table_that_does_not_fill_the_file_is_not_believed(tmp_path):
    pixels = scene()
    content = bytearray(Path(write(tmp_path / "b.jp2", pixels, TLM="YES")).read_bytes())
    where = content.index(b"\xff\x55")
    content[where + 10] ^= 1
    file = Bytes(bytes(content))
    assert Jp2.inspect(file).parts is None
    assert_is(file, pixels)


def test_at_a_distance_tile_parts_are_found_in_few_rounds(tmp_path):
    pixels = scene((700, 700))
    content = Path(write(tmp_path / "b.jp2", pixels, BLOCKXSIZE=64, BLOCKYSIZE=64)).read_bytes()
    near, far = Bytes(content, "b.jp2"), Bytes(content)
    expected = Jp2.inspect(near).located(near).parts
    assert len(near.streams) == len(expected) == 121
    assert Jp2.inspect(far).located(far).parts == expected
    assert len(far.streams) <= 1 + 121 // 4
    assert sum(end - start for ranges in far.streams for start, end in ranges) < 0.15 * len(content)
    assert_is(Bytes(content), pixels)


def test_what_looks_like_a_tile_part_and_is_none_does_not_mislead(tmp_path, monkeypatch):
    pixels = scene((700, 700))
    content = Path(write(tmp_path / "b.jp2", pixels, BLOCKXSIZE=64, BLOCKYSIZE=64)).read_bytes()
    near, far = Bytes(content, "b.jp2"), Bytes(content)
    expected = Jp2.inspect(near).located(near).parts
    false = [part.start + 20 for part in expected[::9]] + [expected[40].start, expected[3].start]
    monkeypatch.setattr(headers, "_probed", lambda jp2, file: false)
    assert Jp2.inspect(far).located(far).parts == expected


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"TLM": "YES"}, {}])
def test_of_a_truncated_file_the_tiles_that_are_there_are_read(tmp_path, options):
    pixels = scene()
    path = Path(write(tmp_path / "b.jp2", pixels, **options))
    whole = LocalFile(str(path))
    part = Jp2.inspect(whole).located(whole).parts[6]
    path.write_bytes(path.read_bytes()[: part.end - 5])
    raster = Raster.inspect(str(path))
    windows = blocks(pixels.shape)
    for pixel_block, window in zip(source(raster).read(windows[:6]), windows[:6], strict=True):
        row, col, height, width = window
        np.testing.assert_array_equal(pixel_block, pixels[row : row + height, col : col + width])
    with pytest.raises(
        SourceError, match=r"b\.jp2 cannot be read: its tile in row 1, column 2 is damaged \(the file en"
    ):
        list(source(raster).read(windows[6:7]))
    with pytest.raises(SourceError, match=r"b\.jp2 .* row 2, column 0 is damaged"):
        list(source(raster).read(windows[8:9]))


def test_a_table_that_is_wrong_inside_is_noticed(tmp_path):
    content = bytearray(Path(write(tmp_path / "b.jp2", scene(), TLM="YES")).read_bytes())
    where = content.index(b"\xff\x55") + 6
    first, second = (struct.unpack_from(">BI", content, where + 5 * n)[1] for n in range(2))
    struct.pack_into(">I", content, where + 1, first - 3)
    struct.pack_into(">I", content, where + 6, second + 3)
    file = Bytes(bytes(content))
    jp2 = Jp2.inspect(file)
    assert jp2.parts is not None
    with pytest.raises(SourceError, match=r"column 1 is damaged \(its data are not where the index has them"):
        list(read_windows(jp2, file, [Window(0, 128, 9, 9)], 1))


def test_data_that_openjpeg_refuses_are_the_tiles_fault(tmp_path):
    path = Path(write(tmp_path / "b.jp2", scene()))
    file = LocalFile(str(path))
    jp2 = Jp2.inspect(file).located(file)
    content = bytearray(path.read_bytes())
    content[jp2.parts[5].start + 12] = 0  # no start of data
    path.write_bytes(bytes(content))
    for threads in (1, 2):
        with pytest.raises(SourceError, match=r"b\.jp2 cannot be read: its tile in row 1, column 1 is damaged"):
            list(Jp2Source(Raster.inspect(str(path)), jp2, file, threads).read(blocks(jp2.shape)))


def test_a_file_that_is_gone_is_named(tmp_path):
    path = write(tmp_path / "b.jp2", scene())
    raster, file = Raster.inspect(path), LocalFile(path)
    jp2 = Jp2.inspect(file)
    Path(path).unlink()
    with pytest.raises(SourceError, match=r"b\.jp2 cannot be (read|opened)"):
        list(Jp2Source(raster, jp2, file).read([Window(0, 0, 9, 9)]))
    with pytest.raises(SourceError, match=r"b\.jp2 cannot be (read|opened)"):
        list(source(raster).read([Window(0, 0, 9, 9)]))


# -- what is left to GDAL -----------------------------------------------------------------------------------------


def changed(path, before, after):
    """The file with a few bytes exchanged."""
    content = Path(path).read_bytes()
    assert content.count(before) >= 1
    return Bytes(content.replace(before, after, 1))


def test_what_is_unusual_is_left_to_gdal(tmp_path):
    path = write(tmp_path / "b.jp2", scene())
    stream = codestream(path)
    size = stream[2:8]
    assert Jp2.inspect(Bytes(boxed(stream))) is not None
    assert Jp2.inspect(Bytes(stream)) is None  # no boxes
    assert Jp2.inspect(Bytes(boxed(stream, b"\0\0\0\x0cpclr\0\0\0\0"))) is None
    assert Jp2.inspect(Bytes(boxed(stream, b"\0\0\0\x0ccdef\0\0\0\0"))) is None
    assert Jp2.inspect(changed(path, size, size[:4] + b"\x40\x00")) is None  # part 15
    coding = stream.index(b"\xff\x52")
    for offset, value in ((8, 1), (12, 0x40), (13, 2)):  # colour transform, high throughput, another wavelet
        other = bytearray(stream)
        other[coding + offset] = value
        assert Jp2.inspect(Bytes(boxed(bytes(other)))) is None
    for marker in (0xFF5F, 0xFF60, 0xFF50, 0xFF78):  # POC, PPM, CAP, another
        other = stream[:coding] + struct.pack(">HHH", marker, 4, 0) + stream[coding:]
        assert Jp2.inspect(Bytes(boxed(other))) is None


def test_several_bands_wide_numbers_and_other_formats_are_left_to_gdal(tmp_path):
    pixels = scene()
    three = imagecodecs.jpeg2k_encode(np.dstack([scene(dtype="uint8")] * 3), level=0, codecformat="jp2")
    assert Jp2.inspect(Bytes(three)) is None
    assert Jp2.inspect(Bytes(imagecodecs.jpeg2k_encode(pixels.astype("uint32"), level=0, codecformat="jp2"))) is None
    assert Jp2.inspect(Bytes(imagecodecs.htj2k_encode(pixels))) is None
    with rasterio.open(
        tmp_path / "b.tif", "w", driver="GTiff", count=1, dtype="uint16", height=9, width=9, **PLACE
    ) as file:
        file.write(pixels[:9, :9], 1)
    assert Jp2.inspect(LocalFile(str(tmp_path / "b.tif"))) is None


def test_a_header_cut_off_anywhere_is_left_to_gdal(tmp_path):
    content = Path(write(tmp_path / "b.jp2", scene((20, 20)), TLM="YES")).read_bytes()
    for length in range(content.index(b"\xff\x90\x00\x0a") + 2):
        assert Jp2.inspect(Bytes(content[:length])) is None


def test_a_long_box_before_the_codestream_is_passed_over(tmp_path):
    pixels = scene()
    content = Path(write(tmp_path / "b.jp2", pixels)).read_bytes()
    start = content.index(b"jp2c") - 4
    for box in (
        struct.pack(">I4s", 200_008, b"xml ") + bytes(200_000),
        struct.pack(">I4sQ", 1, b"xml ", 200_016) + bytes(200_000),
    ):
        file = Bytes(content[:start] + box + content[start:])
        assert_is(file, pixels)
        assert sum(end - start for start, end in file.reads) < 66_000 + 1000  # not the box itself


# -- as a raster --------------------------------------------------------------------------------------------------


def test_rasters_read_it_so_and_gdal_what_is_not_provided_for(tmp_path):
    pixels = scene()
    path = write(tmp_path / "b.JP2", pixels)
    raster = Raster.inspect(path)
    assert isinstance(source(raster, 2), Jp2Source)
    for window, block in zip(blocks(pixels.shape), source(raster, 2).read(blocks(pixels.shape)), strict=True):
        row, col, height, width = window
        np.testing.assert_array_equal(block, pixels[row : row + height, col : col + width])
        block[:] = 1  # it is the caller's own
    content = bytearray(Path(path).read_bytes())
    where = content.index(b"jp2c") - 4
    (tmp_path / "c.jp2").write_bytes(content[:where] + b"\0\0\0\x08jpch" + content[where:])
    other = Raster.inspect(str(tmp_path / "c.jp2"))
    assert isinstance(source(other), FileSource)
    np.testing.assert_array_equal(next(source(other).read([Window(0, 0, 300, 410)])), pixels)


def test_declared_nodata_is_read_as_0(tmp_path):
    pixels = scene()
    path = write(tmp_path / "b.jp2", pixels)
    header = Raster.inspect(path)
    raster = Raster(path, header.grid, header.dtype, header.block, float(pixels[200, 200]))
    got = next(source(raster).read([Window(0, 0, 300, 410)]))
    np.testing.assert_array_equal(got, np.where(pixels == pixels[200, 200], 0, pixels))


@pytest.mark.parametrize("options", [{"TLM": "YES"}, {}])
def test_at_a_distance_header_and_tiles_are_a_request_each(tmp_path, options):
    pixels = scene((1400, 1400))
    path = write(tmp_path / "b.jp2", pixels, **options)
    with range_server() as server:
        server.files["/b.jp2"] = Path(path).read_bytes()
        raster = Raster.inspect(f"{server.url}/b.jp2")
        assert len(server.asked) == 1
        reader = source(raster, 2)
        assert isinstance(reader, Jp2Source)
        windows = [Window(640, 640, 128, 128), Window(1280, 0, 120, 128)]
        for repeat in range(2):  # tile-parts are located once
            server.asked.clear()
            for (row, col, height, width), got in zip(windows, reader.read(windows), strict=True):
                np.testing.assert_array_equal(got, pixels[row : row + height, col : col + width])
            assert (len(server.asked) == 2) == bool(options or repeat)
