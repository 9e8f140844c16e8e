"""Decoding of JPEG 2000 tiles to pixels with OpenJPEG."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import imagecodecs
import numpy as np

from cbm_lake.geo.windows import PixelArray, Window
from cbm_lake.rasters.jp2.headers import SOT_LENGTH, Header, start_of_tile
from cbm_lake.storage.ranges import ByteSource


class Jp2(Header):
    """A file of one component, its tiles decoded one by one."""

    def decode(self, number: int, data: bytes) -> PixelArray:
        """The pixels of a tile, cut off at the edges of the image.

        Args:
            number: of the tile, row by row.
            data: its `ranges`, one after another.

        Raises:
            SourceError: the file is damaged there.
        """
        parts, extent = list(self._parts(number, data)), self.extent(number)
        expected = extent.bottom - extent.top, extent.right - extent.left
        try:
            pixels = imagecodecs.jpeg2k_decode(self._alone(number, parts), numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise self.damaged(number, " ".join(str(error).split())) from error
        if (pixels.shape, pixels.dtype) != (expected, self.dtype):
            raise self.damaged(number, f"it has {pixels.shape} pixels {pixels.dtype} instead of {expected}")
        return np.asarray(pixels)

    def _alone(self, number: int, parts: Sequence[bytes]) -> bytes:
        """The codestream of an image that is only this tile, in the same position on the reference grid."""
        (rows, columns), (row, col), tile = self.tile, divmod(number, self.across), self.extent(number)
        size = bytearray(self.size)
        image = tile.right, tile.bottom, tile.left, tile.top
        origin = self.origin[1] + col * columns, self.origin[0] + row * rows
        struct.pack_into(">8I", size, 6, *image, columns, rows, *origin)
        pieces = [struct.pack(">HHHI", 0xFF90, 10, 0, 10 + len(part)) + part for part in parts]
        return b"".join([b"\xff\x4f", bytes(size), self.coding, *pieces, b"\xff\xd9"])

    def _parts(self, number: int, data: bytes) -> Iterator[bytes]:
        """Each tile-part of a tile behind the first ten bytes of its header, which name the tile and its length."""
        position = 0
        while position < len(data):
            part = start_of_tile(data[position : position + SOT_LENGTH])
            end = len(data) if part is not None and not part.length else position + (part.length if part else 0)
            if part is None or part.tile != number or end > len(data):
                raise self.damaged(number, "its data are not where the index has them")
            yield data[position + 10 : end]
            position = end


def read(jp2: Jp2, file: ByteSource, windows: Iterable[Window], threads: int) -> Iterator[PixelArray]:
    """The pixels of each window, in that order; each array is the caller's own.

    Every tile is fetched and decoded once, shortly before the first window that needs it, and forgotten after the last.

    Args:
        jp2: its tile-parts located.
        file: its bytes.
        windows: in rows of blocks, no more than a row of tiles is kept.
        threads: how many tiles are decoded side by side.

    Raises:
        SourceError: the file is damaged in a tile that is needed.
    """
    touched = [(window, jp2.touched(window)) for window in windows]
    last = {tile: number for number, (_, tiles) in enumerate(touched) for tile in tiles}
    decoded = _decoded(jp2, file, list(dict.fromkeys(tile for _, tiles in touched for tile in tiles)), threads)
    by_number: dict[int, PixelArray] = {}
    for number, (window, tiles) in enumerate(touched):
        by_number |= {tile: next(decoded) for tile in tiles if tile not in by_number}
        yield _assembled(jp2, window, {tile: by_number[tile] for tile in tiles})
        for tile in tiles:
            if last[tile] == number:
                del by_number[tile]


def _decoded(jp2: Jp2, file: ByteSource, tiles: Sequence[int], threads: int) -> Iterator[PixelArray]:
    """The pixels of tiles; with several threads, the next ones are decoded while one is used."""
    ranges = [jp2.ranges(tile) for tile in tiles]
    contents = file.stream([one for several in ranges for one in several])
    data = (b"".join(islice(contents, len(several))) for several in ranges)
    if threads == 1:
        yield from map(jp2.decode, tiles, data)
        return
    pending: deque[Future[PixelArray]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for tile, content in zip(tiles, data, strict=True):
            pending.append(pool.submit(jp2.decode, tile, content))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _assembled(jp2: Jp2, window: Window, tiles: dict[int, PixelArray]) -> PixelArray:
    """The pixels of a window out of all tiles that it touches."""
    row, col, height, width = window
    pixels = np.empty((height, width), jp2.dtype)
    for number, tile in tiles.items():
        extent = jp2.extent(number)
        top, left = extent.top - jp2.image.top - row, extent.left - jp2.image.left - col
        part = pixels[max(top, 0) : top + tile.shape[0], max(left, 0) : left + tile.shape[1]]
        part[:] = tile[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    return pixels
