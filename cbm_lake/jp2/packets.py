"""Where the code-blocks of a JPEG 2000 tile are in its packets (ISO/IEC 15444-1, annex B).

What is provided for is what lossless scenes of Sentinel-2 have: one quality layer, the reversible wavelet, plain
code-blocks, packets in order of resolutions. `Coding.parse` answers None for everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np

from cbm_lake.compiling import Ints, Pixels, inlined, lean
from cbm_lake.jp2.ebcot import BLOCK_FIELDS

_COD, _QCD = b"\xff\x52", b"\xff\x5c"
_LARGEST_BLOCK: Final = 6
"""Of code-blocks, 64 x 64."""
_UNKNOWN: Final = 1 << 30
_MOST_PLANES: Final = 28


@dataclass(frozen=True)
class Coding:
    """How the coefficients of a tile are coded."""

    levels: int
    block: tuple[int, int]
    """Rows and columns of code-blocks, as exponents of 2."""
    precincts: tuple[tuple[int, int], ...]
    """Rows and columns of precincts at each resolution, as exponents of 2."""
    planes: tuple[int, ...]
    """The most bit planes of each band: LL, then HL, LH, HH of each level from the coarsest on."""

    @classmethod
    def parse(cls, segments: bytes) -> Coding | None:
        """From the COD and QCD segments, where they are all that there is and say what is provided for here."""
        length = 2 + int.from_bytes(segments[2:4], "big")
        style, quantisation = segments[:length], segments[length:]
        if style[:2] != _COD or quantisation[:2] != _QCD or len(quantisation) != 2 + quantisation[3]:
            return None
        levels, across, down = style[9], style[10] + 2, style[11] + 2
        sizes = style[14:] if style[4] & 1 else b"\xff" * (levels + 1)
        exponents = [byte >> 3 for byte in quantisation[5:]]
        plain = style[4] < 2 and style[5] <= 2 and style[6:9] == b"\0\1\0" and style[12:14] == b"\0\1"
        if not plain or quantisation[4] & 31 or len(exponents) != 3 * levels + 1 or len(sizes) != levels + 1:
            return None
        planes = tuple((quantisation[4] >> 5) + exponent - 1 for exponent in exponents)
        if (
            max(across, down) > _LARGEST_BLOCK
            or max(planes) > _MOST_PLANES
            or any(not size & 15 or size < 16 for size in sizes[1:])
        ):
            return None
        return cls(levels, (down, across), tuple((size >> 4, size & 15) for size in sizes), planes)


def _halved(number: int, times: int) -> int:
    """Divided by 2 so many times and rounded up."""
    return -(-number >> times)


def resolution(extent: tuple[int, int, int, int], reductions: int) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of a tile after so many reductions by 2."""
    top, left, bottom, right = (_halved(edge, reductions) for edge in extent)
    return top, left, bottom, right


_Row = tuple[int, ...]


def layout(coding: Coding, extent: tuple[int, int, int, int]) -> Ints:
    """The parts of bands that the packets hold, one after another.

    Of each: whether a packet begins with it; rows and columns of code-blocks; row and column of the first, in units of
    code-blocks of the band; exponents of their size; top, left, bottom, right in the band; row and column in the array
    of coefficients at which the band begins, less its own top and left; the most planes; the kind of band.
    """
    rows: list[_Row] = []
    for number, (high, wide) in enumerate(coding.precincts):
        top, left, bottom, right = resolution(extent, coding.levels - number)
        if top == bottom or left == right:
            continue
        for down, across in product(
            range(top >> high, _halved(bottom, high)), range(left >> wide, _halved(right, wide))
        ):
            precinct = down << high, across << wide, (down + 1) << high, (across + 1) << wide
            kinds = (0,) if number == 0 else (1, 2, 3)
            rows += [_part(coding, extent, number, kind, precinct, first=kind == kinds[0]) for kind in kinds]
    return np.array(rows, np.int64).reshape(len(rows), 14)


def _part(
    coding: Coding, extent: tuple[int, int, int, int], number: int, kind: int, precinct: tuple[int, ...], *, first: bool
) -> _Row:
    """One row of the `layout`; kind is 0 for LL, 1 HL, 2 LH, 3 HH."""
    half = int(number > 0)
    level = coding.levels - number + half
    shift = [(kind >> 1 << level) >> 1, ((kind & 1) << level) >> 1] * 2
    band = [_halved(edge - offset, level) for edge, offset in zip(extent, shift, strict=True)]
    inside = [edge >> half for edge in precinct]
    top, left = (max(a, b) for a, b in zip(band[:2], inside[:2], strict=True))
    bottom, right = (min(a, b) for a, b in zip(band[2:], inside[2:], strict=True))
    high, wide = (min(size, whole - half) for size, whole in zip(coding.block, coding.precincts[number], strict=True))
    count_down = _halved(bottom, high) - (top >> high) if bottom > top and right > left else 0
    count_across = _halved(right, wide) - (left >> wide) if count_down else 0
    coarser = resolution(extent, level)
    origin = (
        (coarser[2] - coarser[0]) * (kind >> 1) - band[0],
        (coarser[3] - coarser[1]) * (kind & 1) - band[1],
    )  # fmt: skip
    planes = coding.planes[0 if number == 0 else 3 * number - 3 + kind]
    return (
        int(first), count_down, count_across, top >> high, left >> wide, high, wide, top, left, bottom, right,
        *origin, planes << 2 | kind,
    )  # fmt: skip


def blocks(data: Pixels, parts: Ints) -> Ints | None:
    """The code-blocks in the packets of a tile, as `ebcot.decode` takes them; None where the headers make no sense.

    Args:
        data: bytes of all packets.
        parts: `layout` of the tile.
    """
    counts = parts[:, 1] * parts[:, 2]
    found = np.zeros((int(counts.sum()), BLOCK_FIELDS), np.int64)
    trees = np.zeros((2, 2, 2 * int(counts.max(initial=0)) + 64), np.int64)
    count = _read(data, parts, found, trees)
    return None if count < 0 else found[:count]


@inlined
def _bit(data: Any, reader: Any) -> Any:
    """The next bit of a packet header; after a byte FF come 7 only."""
    position, byte, left = reader
    if left == 0:
        left = np.int64(7 if byte == 255 else 8)
        byte = np.int64(data[position]) if position < len(data) else np.int64(0)
        position += 1
    left -= 1
    return byte >> left & 1, (position, byte, left)


@lean
def _bits(data: Any, reader: Any, count: Any) -> Any:
    """The next number of so many bits."""
    number = np.int64(0)
    for _ in range(count):
        bit, reader = _bit(data, reader)
        number = number << 1 | bit
    return number, reader


@lean
def _is_below(data: Any, reader: Any, tree: Any, size: Any, leaf: Any, threshold: Any) -> Any:
    """Whether a leaf of a tag tree is less than a threshold; the tree has its nodes' lower bounds and values."""
    low, depth = np.int64(0), 0
    while (size[0] - 1) >> depth or (size[1] - 1) >> depth:
        depth += 1
    node = np.int64(0)
    for level in range(depth, -1, -1):
        start = np.int64(0)
        for finer in range(level):
            start += (((size[0] - 1) >> finer) + 1) * (((size[1] - 1) >> finer) + 1)
        node = start + (leaf[0] >> level) * (((size[1] - 1) >> level) + 1) + (leaf[1] >> level)
        low = max(low, tree[0, node])
        while low < threshold and low < tree[1, node]:
            bit, reader = _bit(data, reader)
            if bit:
                tree[1, node] = low
            else:
                low += 1
        tree[0, node] = low
    return tree[1, node] < threshold, reader


@lean
def _passes(data: Any, reader: Any) -> Any:
    """How many coding passes a code-block has (table B.4)."""
    bit, reader = _bits(data, reader, 1)
    if not bit:
        return np.int64(1), reader
    bit, reader = _bits(data, reader, 1)
    if not bit:
        return np.int64(2), reader
    number, reader = _bits(data, reader, 2)
    if number < 3:
        return 3 + number, reader
    number, reader = _bits(data, reader, 5)
    if number < 31:
        return 6 + number, reader
    number, reader = _bits(data, reader, 7)
    return 37 + number, reader


@lean
def _length(data: Any, reader: Any, passes: Any) -> Any:
    """How many bytes a code-block has."""
    bits = np.int64(3)
    more, reader = _bits(data, reader, 1)
    while more and bits < 32:
        bits += 1
        more, reader = _bits(data, reader, 1)
    while passes > 1:
        bits, passes = bits + 1, passes >> 1
    return _bits(data, reader, bits)


@lean
def _part_header(data: Any, reader: Any, part: Any, found: Any, count: Any, trees: Any) -> Any:
    """The code-blocks of one part of a band: their passes, planes, place and how many bytes each has."""
    size, planes = (part[1], part[2]), part[13] >> 2
    trees[:, 0] = 0
    trees[:, 1] = _UNKNOWN
    for row in range(part[1]):
        for col in range(part[2]):
            included, reader = _is_below(data, reader, trees[0], size, (row, col), 1)
            if not included:
                continue
            missing, known = np.int64(-1), False
            while not known and missing < planes:
                missing += 1
                known, reader = _is_below(data, reader, trees[1], size, (row, col), missing + 1)
            block = found[count]
            block[2], reader = _passes(data, reader)
            block[1], reader = _length(data, reader, block[2])
            block[3], block[4] = planes - missing, part[13] & 3
            top, left = max(part[7], part[3] + row << part[5]), max(part[8], part[4] + col << part[6])
            block[5], block[6] = top + part[11], left + part[12]
            block[7] = min(part[9], part[3] + row + 1 << part[5]) - top
            block[8] = min(part[10], part[4] + col + 1 << part[6]) - left
            count += 1
    return count, reader


@lean
def _read(data: Any, parts: Any, found: Any, trees: Any) -> Any:
    """How many code-blocks were found in all packets; -1 where the packets do not end where the data do."""
    position, count, begun, filled = np.int64(0), 0, 0, np.int64(0)
    reader = (position, np.int64(0), np.int64(0))
    for number in range(len(parts)):
        if parts[number, 0]:
            reader = (position, np.int64(0), np.int64(0))
            filled, reader = _bits(data, reader, 1)
            begun = count
        if filled:
            count, reader = _part_header(data, reader, parts[number], found, count, trees)
        if number + 1 == len(parts) or parts[number + 1, 0]:
            position = reader[0] + (1 if reader[1] == 255 else 0)
            for block in range(begun, count):
                found[block, 0] = position
                position += found[block, 1]
                found[block, 1] = position
    return count if position == len(data) else -1
