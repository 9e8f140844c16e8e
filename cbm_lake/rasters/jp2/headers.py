"""Parser of JPEG 2000 boxes and headers (ISO/IEC 15444-1, annexes A and I): the byte ranges of all tiles."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import numpy as np

from cbm_lake.errors import SourceError
from cbm_lake.geo.windows import Window
from cbm_lake.storage.ranges import ByteSource
from cbm_lake.storage.stores import is_distant

_HEAD: Final = 65536
"""Bytes that are read at once from the beginning: boxes and main header, in nearly all files."""
_LARGEST_TILE: Final = 4096 * 4096
"""Pixels; OpenJPEG needs 12 bytes for each while it decodes."""
_SIZ, _COD, _TLM, _SOT = 0xFF51, 0xFF52, 0xFF55, 0xFF90
_DECODING: Final = {_COD, 0xFF53, 0xFF5C, 0xFF5D, 0xFF5E}
"""COD, COC, QCD, QCC and RGN: a tile is decoded by them."""
_DROPPED: Final = {_TLM, 0xFF57, 0xFF63, 0xFF64}
"""TLM, PLM, CRG and COM: they say nothing of how a tile is decoded."""
SOT_LENGTH: Final = 12
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


_Coding = tuple[Extent, tuple[int, int], tuple[int, int], np.dtype[np.generic], int]
"""Image, tile, origin, dtype and bits of a header."""
_Fields = tuple[*_Coding, bytes, bytes, tuple[int, int], tuple[TilePart, ...] | None]
"""All that a header says, in the order of its fields."""


@dataclass(frozen=True, eq=False)
class Header:
    """Where the tiles of a file are, and how they are stored."""

    href: str
    image: Extent
    tile: tuple[int, int]
    """Rows and columns of every tile; those at the edges are cut off."""
    origin: tuple[int, int]
    """Row and column of the first tile's corner on the reference grid, at or before that of the image."""
    dtype: np.dtype[np.generic]
    bits: int
    """Of a pixel, sign included."""
    size: bytes
    """The SIZ segment."""
    coding: bytes
    """The other segments of the main header that say how tiles are coded."""
    body: tuple[int, int]
    """From where to where the tile-parts are."""
    parts: tuple[TilePart, ...] | None
    """In the file's order; None until they have been located, where the header has no table of them."""

    @classmethod
    def inspect(cls, file: ByteSource) -> Self | None:
        """Read the header; None where there is something in it that is not provided for here."""
        prefix = _Prefix(file)
        try:
            box = _codestream(prefix)
            fields = None if box is None else _parsed(prefix, *box)
            return None if fields is None else cls(file.href, *fields)
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
        upper = max(top, self.image.top), max(left, self.image.left)
        lower = min(top + rows, self.image.bottom), min(left + columns, self.image.right)
        return Extent(*upper, *lower)

    def touched(self, window: Window) -> list[int]:
        """The numbers of the tiles that hold pixels of a window of the image."""
        top, left = self.image.top - self.origin[0] + window.row, self.image.left - self.origin[1] + window.col
        downs = range(top // self.tile[0], -(-(top + window.height) // self.tile[0]))
        acrosses = range(left // self.tile[1], -(-(left + window.width) // self.tile[1]))
        return [down * self.across + across for down in downs for across in acrosses]

    def located(self, file: ByteSource) -> Self:
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

    def damaged(self, number: int, reason: str) -> SourceError:
        """The error of a tile."""
        row, col = divmod(number, self.across)
        return SourceError(
            f"raster {self.href} cannot be read: its tile in row {row}, column {col} is damaged ({reason}); "
            "fetch it again or leave out this scene"
        )


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


def _parsed(prefix: _Prefix, start: int, end: int) -> _Fields | None:
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
    if not segments or segments[0][0] != _SIZ or {m for m, _ in segments[1:]} - _DECODING - _DROPPED:
        return None
    size, coding = segments[0][1], b"".join(content for marker, content in segments if marker in _DECODING)
    fields = _fields(size)
    if fields is None or not all(_is_plain(content) for marker, content in segments if marker == _COD):
        return None
    parts = _table([content for marker, content in segments if marker == _TLM], position, end)
    return *fields, size, coding, (position, min(end, prefix.size)), parts


def _fields(size: bytes) -> _Coding | None:
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
    return Extent(top, left, bottom, right), (rows, columns), (first_row, first_col), dtype, bits


def _is_plain(coding: bytes) -> bool:
    """Whether a COD segment is of part 1: no colour transform, no high-throughput blocks, wavelet 5-3 or 9-7."""
    transform, style, wavelet = coding[8], coding[12], coding[13]
    return transform == 0 and style & 0xC0 == 0 and wavelet <= 1


class _Start(NamedTuple):
    """A start-of-tile segment."""

    tile: int
    length: int
    """Of the tile-part from the segment on; 0 is up to the end of the codestream."""


def start_of_tile(data: bytes) -> _Start | None:
    """A start-of-tile segment; None where it is none."""
    if len(data) < SOT_LENGTH or data[:4] != b"\xff\x90\x00\x0a":
        return None
    start = _Start(*struct.unpack(">HI", data[4:10]))
    return None if 0 < start.length < SOT_LENGTH + 2 else start


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


def _walk(jp2: Header, file: ByteSource) -> tuple[TilePart, ...]:
    """The tile-parts one after another as far as the file has them, found by their own headers.

    Each header says where the next one is, which would be one request after another to a remote file: there, several
    chains are followed at once, begun where `_probed` sees a header. What the first does not lead to is left out.
    """
    first, end = jp2.body
    headers: dict[int, _Start | None] = {}
    frontier = {first, *(_probed(jp2, file) if is_distant(file.href) else ())}
    while frontier:
        positions = sorted(frontier)
        ranges = [(position, min(position + SOT_LENGTH, end)) for position in positions]
        starts = {position: start_of_tile(data) for position, data in zip(positions, file.stream(ranges), strict=True)}
        headers |= starts
        following = {position + start.length for position, start in starts.items() if start and start.length}
        frontier = {position for position in following if position + SOT_LENGTH <= end} - headers.keys()
    parts: list[TilePart] = []
    while (start := headers.get(first)) is not None:
        parts.append(TilePart(start.tile, first, first + start.length if start.length else end - 2))
        first = parts[-1].end
    return tuple(parts)


def _probed(jp2: Header, file: ByteSource) -> list[int]:
    """Where tile-parts seem to begin, spread over the file; none where it has few."""
    first, end = jp2.body
    step, reach = (end - first) // (_PROBES + 1), (end - first) // (jp2.down * jp2.across)
    if jp2.down * jp2.across < 4 * _PROBES:
        return []
    ranges = [(first + step * n, first + step * n + reach) for n in range(1, _PROBES + 1)]
    offsets = [data.find(b"\xff\x90\x00\x0a") for data in file.stream(ranges)]
    return [start + offset for (start, _), offset in zip(ranges, offsets, strict=True) if offset >= 0]
