"""Windows of a cube's blocks decoded without zarr, whose ways from call to call cost ten times the pixels of a polygon.

A block is a Zarr shard: compressed chunks, and at its end an index of where each begins, with a checksum. `window`
reads the index and the chunks that a window touches, and checks both. Arrays with other codecs than those that
`cube.Cube` writes are left to zarr.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, TypeAlias

import google_crc32c
import imagecodecs
import numpy as np
from zarr.codecs import BloscCodec, BytesCodec, Crc32cCodec, ShardingCodec
from zarr.codecs.sharding import ShardingCodecIndexLocation

from cbm_lake.rasters import PixelArray, Window
from cbm_lake.rasters.blocks import ADVICE, DamagedError
from cbm_lake.storage.store import Store, translated

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa
    from zarr.abc.codec import Codec

    from cbm_lake.storage.access import ZarrArray

_CHECKSUM: Final = 4
_PAIR: Final = 16
"""Bytes of the index for each chunk."""
_HEADER: Final = 16
"""Bytes of Blosc before the table of where its blocks begin, 4 bytes each; a block begins with its length."""
_COPIED: Final = 0x02
"""Flag of a chunk that Blosc did not compress."""
_IN_ONE_PIECE: Final = 0x10
"""Flag of one whose blocks are not split by the bytes of the type."""
_MISSING: Final = np.iinfo(np.uint64).max
Index: TypeAlias = "npt.NDArray[np.uint64]"
"""Offset and length of each chunk of a block, by its numbers down and across."""


def is_readable(array: ZarrArray) -> bool:
    """Whether `window` can decode an array's blocks."""
    codecs: tuple[Codec, ...] = getattr(array.metadata, "codecs", ())
    if len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec):
        return False
    sharding = codecs[0]
    inner = [type(codec) for codec in sharding.codecs]
    index = [type(codec) for codec in sharding.index_codecs]
    at_end = sharding.index_location == ShardingCodecIndexLocation.end
    return inner == [BytesCodec, BloscCodec, Crc32cCodec] and index == [BytesCodec, Crc32cCodec] and at_end


def window(store: Store, band: str, slot: int, array: ZarrArray, part: Window) -> PixelArray | None:
    """The pixels of a window of one slot; None where the cube lacks a block that it touches.

    Args:
        store: of the cube.
        band: name of its array.
        slot: number on its time axis.
        array: the array, of the codecs of `is_readable`.
        part: inside the raster.

    Raises:
        DamagedError: a block that it touches is damaged.
        SourceError: it cannot be read.
    """
    _, *size = array.shards or array.chunks
    pixels = np.empty((part.height, part.width), array.dtype.newbyteorder("="))
    for down in range(part.row // size[0], -(-(part.row + part.height) // size[0])):
        for across in range(part.col // size[1], -(-(part.col + part.width) // size[1])):
            name = f"{band}/c/{slot}/{down}/{across}"
            corner = Window(down * size[0], across * size[1], size[0], size[1])
            if not _fill(store, name, array, part.relative_to(corner), pixels):
                return None
    return pixels


def _fill(store: Store, name: str, array: ZarrArray, part: Window, pixels: PixelArray) -> bool:
    """Put what a block has of a window, which is relative to it, into the window's pixels; False without a block."""
    filesystem, root = store.filesystem
    path = store.path(name)
    with translated("read", path):
        try:
            file = filesystem.open_input_file(f"{root}/{name}")
        except FileNotFoundError:
            return False
        with file:
            _fill_from(file, path, array, part, pixels)
    return True


def _fill_from(file: pa.NativeFile, path: str, array: ZarrArray, part: Window, pixels: PixelArray) -> None:
    (_, *size), (_, *chunk) = array.shards or array.chunks, array.chunks
    index = _index(file, path, (size[0] // chunk[0], size[1] // chunk[1]))
    bottom, right = min(part.row + part.height, size[0]), min(part.col + part.width, size[1])
    for down in range(max(part.row, 0) // chunk[0], -(-bottom // chunk[0])):
        row = down * chunk[0]
        rows = slice(max(part.row, row), min(bottom, row + chunk[0]))
        for across in range(max(part.col, 0) // chunk[1], -(-right // chunk[1])):
            col = across * chunk[1]
            columns = slice(max(part.col, col), min(right, col + chunk[1]))
            stored = _stored(file, path, index[down, across])
            values = _rows_of(stored, array.dtype, chunk[1], rows.start - row, rows.stop - row)
            target = pixels[_moved(rows, part.row), _moved(columns, part.col)]
            target[:] = values[:, _moved(columns, col)]


def _moved(part: slice, by: int) -> slice:
    return slice(part.start - by, part.stop - by)


def _index(file: pa.NativeFile, path: str, chunks: tuple[int, int]) -> Index:
    size, length = file.size(), _PAIR * chunks[0] * chunks[1] + _CHECKSUM
    if size < length:
        raise DamagedError(f"cube file {path} is damaged (it has {size:,} bytes, fewer than its index); {ADVICE}")
    tail = bytes(file.read_at(length, size - length))
    if google_crc32c.value(tail[:-_CHECKSUM]) != int.from_bytes(tail[-_CHECKSUM:], "little"):
        raise DamagedError(f"cube file {path} is damaged (its index is damaged); {ADVICE}")
    return np.frombuffer(tail[:-_CHECKSUM], "<u8").astype(np.uint64).reshape(*chunks, 2)


def _stored(file: pa.NativeFile, path: str, entry: npt.NDArray[np.uint64]) -> bytes:
    """The compressed pixels of a chunk, whose checksum is right."""
    offset, length = (int(number) for number in entry)
    if offset == _MISSING:
        raise DamagedError(f"cube file {path} is damaged (pixels are missing in it); {ADVICE}")
    stored = bytes(file.read_at(length, offset))
    is_whole = len(stored) == length > _CHECKSUM
    if not is_whole or google_crc32c.value(stored[:-_CHECKSUM]) != int.from_bytes(stored[-_CHECKSUM:], "little"):
        raise DamagedError(f"cube file {path} is damaged (pixels in it are); {ADVICE}")
    return stored[:-_CHECKSUM]


def _rows_of(stored: bytes, dtype: np.dtype[np.generic], width: int, first: int, last: int) -> PixelArray:
    """Some rows of a chunk, (last - first, width): of Blosc's blocks only those are decoded that hold them."""
    begin, end = first * width * dtype.itemsize, last * width * dtype.itemsize
    flags, nbytes, blocksize = stored[2], *struct.unpack_from("<2I", stored, 4)
    if flags & _COPIED or not flags & _IN_ONE_PIECE:
        decoded, start = imagecodecs.blosc_decode(stored, numthreads=1), 0
    else:
        numbers = range(begin // blocksize, -(-end // blocksize))
        decoded, start = (
            b"".join(_block(stored, number, nbytes, blocksize) for number in numbers),
            numbers[0] * blocksize,
        )
    values = np.frombuffer(decoded, np.uint8)[begin - start : end - start].view(dtype)
    return values.reshape(last - first, width)


def _block(stored: bytes, number: int, nbytes: int, blocksize: int) -> bytes:
    """One of the blocks that Blosc compresses by themselves, decoded as a buffer of which it is the only one."""
    (start,) = struct.unpack_from("<I", stored, _HEADER + 4 * number)
    (length,) = struct.unpack_from("<I", stored, start)
    size = min(blocksize, nbytes - number * blocksize)
    block = stored[start : start + 4 + length]
    header = stored[:4] + struct.pack("<4I", size, blocksize, _HEADER + 4 + len(block), _HEADER + 4)
    return bytes(imagecodecs.blosc_decode(header + block, numthreads=1))
