"""Windows of a cube's blocks decoded without zarr, whose ways from call to call cost ten times the pixels of a polygon.

A block is a Zarr shard: compressed chunks, and at its end an index of where each begins, with a checksum. `window`
reads the index and the chunks that a window touches, and checks both. Arrays with other codecs than those that
`cube.Cube` writes are left to zarr.
"""

from __future__ import annotations

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
    import pyarrow as pa
    from zarr.abc.codec import Codec

    from cbm_lake.storage.access import ZarrArray

_CHECKSUM: Final = 4
_PAIR: Final = 16
_MISSING: Final = np.iinfo(np.uint64).max
Index: TypeAlias = "np.ndarray[tuple[int, int, int], np.dtype[np.uint64]]"
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
    first, last = (max(part.row, 0), max(part.col, 0)), (part.row + part.height, part.col + part.width)
    for down in range(first[0] // chunk[0], -(-min(last[0], size[0]) // chunk[0])):
        for across in range(first[1] // chunk[1], -(-min(last[1], size[1]) // chunk[1])):
            values = _chunk(file, path, index[down, across], array).reshape(chunk)
            row, col = down * chunk[0], across * chunk[1]
            rows = slice(max(part.row, row), min(last[0], row + chunk[0]))
            columns = slice(max(part.col, col), min(last[1], col + chunk[1]))
            target = (
                slice(rows.start - part.row, rows.stop - part.row),
                slice(columns.start - part.col, columns.stop - part.col),
            )
            pixels[target] = values[rows.start - row : rows.stop - row, columns.start - col : columns.stop - col]


def _index(file: pa.NativeFile, path: str, chunks: tuple[int, int]) -> Index:
    size, length = file.size(), _PAIR * chunks[0] * chunks[1] + _CHECKSUM
    if size < length:
        raise DamagedError(f"cube file {path} is damaged (it has {size:,} bytes, fewer than its index); {ADVICE}")
    tail = bytes(file.read_at(length, size - length))
    if google_crc32c.value(tail[:-_CHECKSUM]) != int.from_bytes(tail[-_CHECKSUM:], "little"):
        raise DamagedError(f"cube file {path} is damaged (its index is damaged); {ADVICE}")
    return np.frombuffer(tail[:-_CHECKSUM], "<u8").astype(np.uint64).reshape(*chunks, 2)


def _chunk(file: pa.NativeFile, path: str, entry: np.ndarray[tuple[int], np.dtype[np.uint64]], array: ZarrArray) -> PixelArray:
    """The pixels of a chunk, flat."""
    offset, length = (int(number) for number in entry)
    if offset == _MISSING:
        raise DamagedError(f"cube file {path} is damaged (pixels are missing in it); {ADVICE}")
    stored = bytes(file.read_at(length, offset))
    is_whole = len(stored) == length > _CHECKSUM
    if not is_whole or google_crc32c.value(stored[:-_CHECKSUM]) != int.from_bytes(stored[-_CHECKSUM:], "little"):
        raise DamagedError(f"cube file {path} is damaged (pixels in it are); {ADVICE}")
    decoded = imagecodecs.blosc_decode(stored[:-_CHECKSUM], numthreads=1)
    return np.frombuffer(decoded, array.dtype).astype(array.dtype.newbyteorder("="), copy=False)
