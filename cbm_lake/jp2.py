"""JPEG 2000 files of one component, decoded tile by tile without GDAL.

A file is a run of boxes around one codestream: a main header, then the tile-parts, each a tile's or a piece of one.
Every tile is made into a codestream of its own, the main header with the image cut down to that tile and its tile-parts
behind it, and decoded by OpenJPEG. Its position on the reference grid stays what it was, on which the wavelet depends,
so that the pixels are those of the whole image, bit by bit. What is unusual is left to GDAL: `Jp2.inspect` then answers
None.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, NamedTuple

import imagecodecs
import numpy as np
import numpy.typing as npt

from cbm_lake.errors import SourceError
from cbm_lake.ranges import ByteSource
from cbm_lake.stores import is_distant

Pixels = npt.NDArray[Any]

_HEAD: Final = 65536
"""Bytes that are read at once from the beginning: boxes and main header, in nearly all files."""
_LARGEST_TILE: Final = 4096 * 4096
"""Pixels; OpenJPEG needs 12 bytes for each while it decodes."""
_SIZ, _COD, _TLM, _SOT = 0xFF51, 0xFF52, 0xFF55, 0xFF90
_KEPT: Final = {_COD, 0xFF53, 0xFF5C, 0xFF5D, 0xFF5E}
"""COD, COC, QCD, QCC and RGN: a tile is decoded by them."""
_DROPPED: Final = {_TLM, 0xFF57, 0xFF63, 0xFF64}
"""TLM, PLM, CRG and COM: they say nothing of how a tile is decoded."""
_SOT_LENGTH: Final = 12
_PROBES: Final = 8
"""How many chains of tile-parts are followed side by side in a remote file without a table of them."""


class Extent(NamedTuple):
    """A rectangle on the reference grid."""

    top: int
    left: int
    bottom: int
    right: int


class TilePart(NamedTuple):
    """Where a piece of a tile's data is in the file, its header included."""

    tile: int
    start: int
    end: int


@dataclass(frozen=True, eq=False)
class Jp2:
    """Where the tiles of a file are, and how they are stored."""

    href: str
    image: Extent
    tile: tuple[int, int]
    """Rows and columns of every tile; those at the edges are cut off."""
    origin: tuple[int, int]
    """Row and column of the first tile's corner on the reference grid, at or before that of the image."""
    dtype: np.dtype[Any]
    size: bytes
    """The SIZ segment."""
    coding: bytes
    """The other segments of the main header that say how tiles are coded."""
    body: tuple[int, int]
    """From where to where the tile-parts are."""
    parts: tuple[TilePart, ...] | None
    """In the file's order; None until they have been located, where the header has no table of them."""

    @classmethod
    def inspect(cls, file: ByteSource) -> Jp2 | None:
        """Read the header; None where there is something in it that is not provided for here."""
        prefix = _Prefix(file)
        try:
            box = _codestream(prefix)
            return None if box is None else _parsed(file.href, prefix, *box)
        except struct.error:  # it ends before it says what it must
            return None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the image."""
        return self.image.bottom - self.image.top, self.image.right - self.image.left

    @property
    def down(self) -> int:
        """Rows of tiles."""
        return -(-(self.image.bottom - self.origin[0]) // self.tile[0])

    @property
    def across(self) -> int:
        """Tiles side by side."""
        return -(-(self.image.right - self.origin[1]) // self.tile[1])

    def extent(self, number: int) -> Extent:
        """Of a tile, numbered row by row, on the reference grid."""
        (rows, columns), (row, col) = self.tile, divmod(number, self.across)
        top, left = self.origin[0] + row * rows, self.origin[1] + col * columns
        return Extent(
            max(top, self.image.top), max(left, self.image.left),
            min(top + rows, self.image.bottom), min(left + columns, self.image.right),
        )  # fmt: skip

    def touched(self, row: int, col: int, height: int, width: int) -> list[int]:
        """The numbers of the tiles that hold pixels of a window of the image."""
        top, left = self.image.top - self.origin[0] + row, self.image.left - self.origin[1] + col
        downs = range(top // self.tile[0], -(-(top + height) // self.tile[0]))
        acrosses = range(left // self.tile[1], -(-(left + width) // self.tile[1]))
        return [down * self.across + across for down in downs for across in acrosses]

    def located(self, file: ByteSource) -> Jp2:
        """With all tile-parts located: from the table in the header, else by going from one to the next."""
        return self if self.parts is not None else replace(self, parts=_walk(self, file))

    def ranges(self, number: int) -> list[tuple[int, int]]:
        """Where the tile-parts of a tile are, those that follow one another as one range.

        Raises:
            SourceError: the file does not have them, or not whole.
        """
        ranges: list[tuple[int, int]] = []
        for tile, start, end in self.parts or ():
            if tile == number:
                beside = bool(ranges) and ranges[-1][1] == start
                ranges[-1:] = [(ranges[-1][0], end)] if beside else [*ranges[-1:], (start, end)]
        if not ranges:
            raise self.damaged(number, "the file does not have it")
        if ranges[-1][1] > self.body[1]:
            raise self.damaged(number, "the file ends before it does")
        return ranges

    def decode(self, number: int, data: bytes) -> Pixels:
        """The pixels of a tile, cut off at the edges of the image.

        Args:
            number: of the tile, row by row.
            data: its `ranges`, one after another.

        Raises:
            SourceError: the file is damaged there.
        """
        extent = self.extent(number)
        expected = extent.bottom - extent.top, extent.right - extent.left
        try:
            pixels = imagecodecs.jpeg2k_decode(self._alone(number, data), numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise self.damaged(number, " ".join(str(error).split())) from error
        if (pixels.shape, pixels.dtype) != (expected, self.dtype):
            raise self.damaged(number, f"it has {pixels.shape} pixels {pixels.dtype} instead of {expected}")
        return np.asarray(pixels)

    def _alone(self, number: int, data: bytes) -> bytes:
        """The codestream of an image that is only this tile, in the same position on the reference grid."""
        (rows, columns), (row, col), tile = self.tile, divmod(number, self.across), self.extent(number)
        size = bytearray(self.size)
        struct.pack_into(
            ">8I", size, 6, tile.right, tile.bottom, tile.left, tile.top, columns, rows,
            self.origin[1] + col * columns, self.origin[0] + row * rows,
        )  # fmt: skip
        pieces, position = [b"\xff\x4f", bytes(size), self.coding], 0
        while position < len(data):
            part = _start_of_tile(data[position : position + _SOT_LENGTH])
            end = len(data) if part is not None and not part.length else position + (part.length if part else 0)
            if part is None or part.tile != number or end > len(data):
                raise self.damaged(number, "its data are not where the index has them")
            pieces += [struct.pack(">HHHI", _SOT, 10, 0, end - position), data[position + 10 : end]]
            position = end
        return b"".join([*pieces, b"\xff\xd9"])

    def damaged(self, number: int, reason: str) -> SourceError:
        """The error of a tile."""
        row, col = divmod(number, self.across)
        return SourceError(
            f"raster {self.href} cannot be read: its tile in row {row}, column {col} is damaged ({reason}); "
            "fetch it again or leave out this scene"
        )


def read(jp2: Jp2, file: ByteSource, windows: Iterable[Sequence[int]], threads: int) -> Iterator[Pixels]:
    """The pixels of each window, in that order; each array is the caller's own.

    Every tile is fetched and decoded once, shortly before the first window that needs it, and forgotten after the last.

    Args:
        jp2: its tile-parts located.
        file: its bytes.
        windows: row, column, height, width of each; in rows of blocks, no more than a row of tiles is kept.
        threads: how many tiles are decoded side by side.

    Raises:
        SourceError: the file is damaged in a tile that is needed.
    """
    wanted = [(window, jp2.touched(*window)) for window in windows]
    last = {tile: number for number, (_, tiles) in enumerate(wanted) for tile in tiles}
    decoded = _decoded(jp2, file, list(dict.fromkeys(tile for _, tiles in wanted for tile in tiles)), threads)
    kept: dict[int, Pixels] = {}
    for number, (window, tiles) in enumerate(wanted):
        kept |= {tile: next(decoded) for tile in tiles if tile not in kept}
        yield _assembled(jp2, window, {tile: kept[tile] for tile in tiles})
        for tile in tiles:
            if last[tile] == number:
                del kept[tile]


def _decoded(jp2: Jp2, file: ByteSource, tiles: Sequence[int], threads: int) -> Iterator[Pixels]:
    """The pixels of tiles; with several threads, the next ones are decoded while one is used."""
    ranges = [jp2.ranges(tile) for tile in tiles]
    contents = file.stream([one for several in ranges for one in several])
    data = (b"".join(islice(contents, len(several))) for several in ranges)
    if threads == 1:
        yield from map(jp2.decode, tiles, data)
        return
    pending: deque[Future[Pixels]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for tile, content in zip(tiles, data, strict=True):
            pending.append(pool.submit(jp2.decode, tile, content))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _assembled(jp2: Jp2, window: Sequence[int], tiles: dict[int, Pixels]) -> Pixels:
    """The pixels of a window out of all tiles that it touches."""
    row, col, height, width = window
    pixels = np.empty((height, width), jp2.dtype)
    for number, tile in tiles.items():
        extent = jp2.extent(number)
        top, left = extent.top - jp2.image.top - row, extent.left - jp2.image.left - col
        part = pixels[max(top, 0) : top + tile.shape[0], max(left, 0) : left + tile.shape[1]]
        part[:] = tile[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    return pixels


class _Prefix:
    """The beginning of a file in memory, the rest on request."""

    def __init__(self, file: ByteSource) -> None:
        self._file, self.size = file, file.size
        self._bytes = file.read(0, min(_HEAD, file.size)) if file.size else b""

    def read(self, start: int, end: int) -> bytes:
        """The bytes up to `end` or to the end of the file."""
        end = min(end, self.size)
        return self._bytes[start:end] if end <= len(self._bytes) or start >= end else self._file.read(start, end)


class _Box(NamedTuple):
    kind: bytes
    start: int
    """Of its content."""
    end: int


def _boxes(prefix: _Prefix, start: int, end: int) -> Iterator[_Box]:
    """The boxes side by side in a range of the file."""
    while start + 8 <= end:
        length, kind = struct.unpack(">I4s", prefix.read(start, start + 8))
        header = 8
        if length == 1:
            (length,), header = struct.unpack(">Q", prefix.read(start + 8, start + 16)), 16
        if length and length < header:
            return
        yield _Box(kind, start + header, start + length if length else end)
        start = start + length if length else end


def _codestream(prefix: _Prefix) -> tuple[int, int] | None:
    """From where to where the codestream is; None where the boxes make something else of it than plain numbers."""
    plain = False
    for kind, start, end in _boxes(prefix, 0, prefix.size):
        if kind == b"jp2h":
            plain = all(box.kind in (b"ihdr", b"bpcc", b"colr", b"res ") for box in _boxes(prefix, start, end))
        elif kind in (b"jpch", b"jplh"):
            plain = False
        elif kind == b"jp2c":
            return (start, end) if plain else None
    return None


def _parsed(href: str, prefix: _Prefix, start: int, end: int) -> Jp2 | None:
    """What the main header says."""
    segments: list[tuple[int, bytes]] = []
    position = start + 2
    if prefix.read(start, position) != b"\xff\x4f":
        return None
    while True:
        marker, length = struct.unpack(">HH", prefix.read(position, position + 4))
        if marker == _SOT:
            break
        segments.append((marker, prefix.read(position, position + 2 + length)))
        if len(segments[-1][1]) != 2 + length:
            return None
        position += 2 + length
    if not segments or segments[0][0] != _SIZ or {m for m, _ in segments[1:]} - _KEPT - _DROPPED:
        return None
    size, coding = segments[0][1], b"".join(content for marker, content in segments if marker in _KEPT)
    fields = _fields(size)
    if fields is None or not all(_is_plain(content) for marker, content in segments if marker == _COD):
        return None
    image, tile, origin, dtype = fields
    jp2 = Jp2(href, image, tile, origin, dtype, size, coding, (position, min(end, prefix.size)), None)
    return replace(jp2, parts=_table([content for marker, content in segments if marker == _TLM], position, end))


def _fields(size: bytes) -> tuple[Extent, tuple[int, int], tuple[int, int], np.dtype[Any]] | None:
    """Image, tile, origin and type of a SIZ segment of one component of at most 16 bits; else None."""
    _, _, capabilities, right, bottom, left, top, columns, rows, first_col, first_row, components, depth, dx, dy = (
        struct.unpack(">3H8IH3B", size[:43])
    )
    bits, signed = (depth & 0x7F) + 1, depth >> 7
    if capabilities & 0xC000 or (components, dx, dy) != (1, 1, 1) or bits > 16:
        return None  # extensions of parts 2 and 15, subsampling, or more than there is to a band
    if not (first_col <= left < right and first_row <= top < bottom and columns and rows):
        return None
    if first_col + columns <= left or first_row + rows <= top or rows * columns > _LARGEST_TILE:
        return None
    dtype = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    return Extent(top, left, bottom, right), (rows, columns), (first_row, first_col), dtype


def _is_plain(coding: bytes) -> bool:
    """Whether a COD segment is of part 1: no colour transform, no high-throughput blocks, wavelet 5-3 or 9-7."""
    transform, style, wavelet = coding[8], coding[12], coding[13]
    return transform == 0 and style & 0xC0 == 0 and wavelet <= 1


class _Start(NamedTuple):
    """A start-of-tile segment."""

    tile: int
    length: int
    """Of the tile-part from the segment on; 0 is up to the end of the codestream."""


def _start_of_tile(data: bytes) -> _Start | None:
    """A start-of-tile segment; None where it is none."""
    if len(data) < _SOT_LENGTH or data[:4] != b"\xff\x90\x00\x0a":
        return None
    start = _Start(*struct.unpack(">HI", data[4:10]))
    return None if 0 < start.length < _SOT_LENGTH + 2 else start


def _table(segments: Sequence[bytes], position: int, end: int) -> tuple[TilePart, ...] | None:
    """The tile-parts by the TLM segments; None where there are none or they do not fill the codestream exactly."""
    parts: list[TilePart] = []
    for segment in sorted(segments, key=lambda content: content[4]):
        numbers, long = segment[5] >> 4 & 3, segment[5] >> 6 & 1
        entry = struct.Struct(">" + ("", "B", "H")[numbers] + "HI"[long]) if numbers < 3 else None
        if entry is None or (len(segment) - 6) % entry.size:
            return None
        for *number, length in entry.iter_unpack(segment[6:]):
            parts.append(TilePart(number[0] if number else len(parts), position, position + length))
            position += length
    return tuple(parts) if parts and 0 <= end - position <= 2 else None


def _walk(jp2: Jp2, file: ByteSource) -> tuple[TilePart, ...]:
    """The tile-parts one after another as far as the file has them, found by their own headers.

    Each header says where the next one is, which would be one request after another to a remote file: there, several
    chains are followed at once, begun where `_probed` sees a header. What the first does not lead to is left out.
    """
    first, end = jp2.body
    headers: dict[int, _Start | None] = {}
    frontier = {first, *(_probed(jp2, file) if is_distant(file.href) else ())}
    while frontier:
        positions = sorted(frontier)
        ranges = [(position, min(position + _SOT_LENGTH, end)) for position in positions]
        found = {position: _start_of_tile(data) for position, data in zip(positions, file.stream(ranges), strict=True)}
        headers |= found
        following = {position + start.length for position, start in found.items() if start and start.length}
        frontier = {position for position in following if position + _SOT_LENGTH <= end} - headers.keys()
    parts: list[TilePart] = []
    while (start := headers.get(first)) is not None:
        parts.append(TilePart(start.tile, first, first + start.length if start.length else end - 2))
        first = parts[-1].end
    return tuple(parts)


def _probed(jp2: Jp2, file: ByteSource) -> list[int]:
    """Where tile-parts seem to begin, spread over the file; none where it has few."""
    first, end = jp2.body
    step, reach = (end - first) // (_PROBES + 1), (end - first) // (jp2.down * jp2.across)
    if jp2.down * jp2.across < 4 * _PROBES:
        return []
    ranges = [(first + step * n, first + step * n + reach) for n in range(1, _PROBES + 1)]
    offsets = [data.find(b"\xff\x90\x00\x0a") for data in file.stream(ranges)]
    return [start + offset for (start, _), offset in zip(ranges, offsets, strict=True) if offset >= 0]
