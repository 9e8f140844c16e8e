"""The code-blocks of JPEG 2000 (ISO/IEC 15444-1, annexes C and D) as machine code: from bytes to coefficients.

A code-block is a rectangle of wavelet coefficients. Their bits come plane by plane, each plane in three passes, through
an adaptive arithmetic decoder whose decisions no processor can predict. So it is written without branches, and the
coefficients of a pass are listed before they are decoded: half the time of OpenJPEG.

Of each column of four coefficients there is one word of 32 bits, as in OpenJPEG. Bits 0 to 17 say which of the 3 x 6
coefficients in and around it are significant, row by row; bits 18 and 31 hold the signs of those above and below; for
each of the four there are three bits from 19 on: its sign, whether it has been refined, whether it was visited in this
plane.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from cbm_lake.compiling import Ints, Ints32, Pixels, inlined, lean

BLOCK_FIELDS: Final = 9
_AROUND, _SELF, _COLUMN = 0x1EF, 0x10, 0x3FFFF
_SIGN, _REFINED, _VISITED = 19, 20, 21
_EACH: Final = 0x249
"""One bit for each coefficient of a column."""
_RUN, _UNIFORM, _CONTEXTS = 17, 18, 19


def _states() -> Pixels:
    """The states of the arithmetic coder (table C.2), twice: for the likely bit 0 and 1.

    An entry has the probability of the unlikely bit in bits 48 to 63, the likely bit in bit 32, and in bytes 0 to 3 the
    states that follow: after the likely bit without and with renormalisation, and after the unlikely one.
    """
    rows = (
        "5601 1 1 1|3401 2 6 0|1801 3 9 0|0AC1 4 12 0|0521 5 29 0|0221 38 33 0|5601 7 6 1|5401 8 14 0|4801 9 14 0|"
        "3801 10 14 0|3001 11 17 0|2401 12 18 0|1C01 13 20 0|1601 29 21 0|5601 15 14 1|5401 16 14 0|5101 17 15 0|"
        "4801 18 16 0|3801 19 17 0|3401 20 18 0|3001 21 19 0|2801 22 19 0|2401 23 20 0|2201 24 21 0|1C01 25 22 0|"
        "1801 26 23 0|1601 27 24 0|1401 28 25 0|1201 29 26 0|1101 30 27 0|0AC1 31 28 0|09C1 32 29 0|08A1 33 30 0|"
        "0521 34 31 0|0441 35 32 0|02A1 36 33 0|0221 37 34 0|0141 38 35 0|0111 39 36 0|0085 40 37 0|0049 41 38 0|"
        "0025 42 39 0|0015 43 40 0|0009 44 41 0|0005 45 42 0|0001 45 43 0|5601 46 46 0"
    )
    entries = np.zeros(94, np.uint64)
    for number, row in enumerate(rows.split("|")):
        texts = zip(row.split(), (16, 10, 10, 10), strict=True)
        probability, likely, unlikely, switch = (int(text, base) for text, base in texts)
        for bit in (0, 1):
            after = (number * 2 + bit, likely * 2 + bit, *[unlikely * 2 + (bit ^ switch)] * 2)
            following = sum(state << 8 * place for place, state in enumerate(after))
            entries[number * 2 + bit] = probability << 48 | bit << 32 | following
    return entries


def _significance(flags: int, band: int) -> int:
    """The context of a coefficient by its neighbours (table D.1); band is 0 for LL, 1 HL, 2 LH, 3 HH."""
    across, along = (flags >> 3 & 1) + (flags >> 5 & 1), (flags >> 1 & 1) + (flags >> 7 & 1)
    diagonal = sum(flags >> bit & 1 for bit in (0, 2, 6, 8))
    if band == 3:
        return (min(across + along, 2), 3 + min(across + along, 2), 6 + min(across + along, 1), 8, 8)[diagonal]
    if band == 1:
        across, along = along, across
    if across == 2:
        return 8
    if across == 1:
        return 7 if along else 5 + min(diagonal, 1)
    return 2 + along if along else min(diagonal, 2)


def _sign(flags: int) -> int:
    """The context of a sign (table D.3), with 128 where it is flipped.

    Bits 0 to 3 of the flags: whether the coefficients to the left, right, above, below are significant; 4 to 7: signs.
    """
    left, right, above, below = ((flags >> n & 1) * (1 - 2 * (flags >> n + 4 & 1)) for n in range(4))
    across, along = max(-1, min(1, left + right)), max(-1, min(1, above + below))
    flipped = across < 0 or (across == 0 and along < 0)
    if flipped:
        across, along = -across, -along
    return (12 + along if across else 9 + along) + 128 * flipped


_STATES: Final = _states()
_SIGNIFICANCE: Final = np.array([[_significance(flags, band) for flags in range(512)] for band in range(4)], np.uint8)
_SIGNS: Final = np.array([_sign(flags) for flags in range(256)], np.uint8)
_PROBABILITY: Final = np.uint64(0xFFFF << 48)


def _counted(typing: Any, number: Any) -> Any:
    """The leading zeros of an unsigned integer that is not 0."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ctlz(values[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


_leading_zeros: Any = intrinsic(_counted)


@inlined
def _filled(code: Any, room: Any, position: Any, previous: Any, data: Any, end: Any) -> Any:
    """The code register with as many bytes as go in; bits of a byte after FF are one less, and FF ends the data.

    `room` is how far to the left the next byte goes.
    """
    while room >= 0:
        byte = np.int64(255)
        if position < end:
            byte = np.int64(data[position])
            position += 1
            if previous == 255:
                if byte > 0x8F:
                    byte, position = np.int64(255), end
                    room -= 1
                room += 1
            previous = byte
        code += np.uint64(byte) << np.uint64(room)
        room -= 8
    return code, room, position, previous


@inlined
def _decoded(contexts: Any, context: Any, decoder: Any, data: Any, end: Any) -> Any:
    """The next bit in a context, and the decoder after it."""
    bit, contexts[context], decoder = _stepped(contexts[context], decoder, data, end)
    return bit, decoder


@inlined
def _stepped(entry: Any, decoder: Any, data: Any, end: Any) -> Any:
    """The next bit in a context of that state, its next state, and the decoder after it."""
    interval, code, room, position, previous = decoder
    probability = entry & _PROBABILITY
    interval -= probability
    lower, exchanged = np.int64(code < probability), np.int64(interval < probability)
    unlikely, mask = lower ^ exchanged, np.uint64(0) - np.uint64(lower)
    interval ^= (interval ^ probability) & mask
    code -= probability & ~mask
    small = np.int64((interval >> np.uint64(63)) ^ np.uint64(1))
    following = _STATES[np.int64((entry >> np.uint64(unlikely * 16 + small * 8)) & np.uint64(0xFF))]
    shift = _leading_zeros(interval)
    interval, code, room = interval << shift, code << shift, room + np.int64(shift)
    if room > 32:
        code, room, position, previous = _filled(code, room, position, previous, data, end)
    bit = np.int64((entry >> np.uint64(32)) & np.uint64(1)) ^ unlikely
    return bit, following, (interval, code, room, position, previous)


@inlined
def _spread(flags: Any, word: Any, row: Any, sign: Any, stride: Any) -> Any:
    """Tell the neighbours of a column that its coefficient in a row is significant."""
    flags[word - 1] |= np.uint32(0x20 << 3 * row)
    flags[word + 1] |= np.uint32(0x08 << 3 * row)
    if row == 0:
        above = word - stride
        flags[above] |= np.uint32(sign << 31 | 1 << 16)
        flags[above - 1] |= np.uint32(1 << 17)
        flags[above + 1] |= np.uint32(1 << 15)
    if row == 3:
        below = word + stride
        flags[below] |= np.uint32(sign << 18 | 2)
        flags[below - 1] |= np.uint32(4)
        flags[below + 1] |= np.uint32(1)


@inlined
def _sign_context(flags: Any, word: Any, column: Any, row: Any) -> Any:
    """See `_sign`."""
    own = column >> 3 * row
    left, right = np.int64(flags[word - 1]) >> 3 * row, np.int64(flags[word + 1]) >> 3 * row
    above = column >> 18 if row == 0 else own >> 16
    return np.int64(
        _SIGNS[
            own >> 3 & 1 | (own >> 5 & 1) << 1 | (own >> 1 & 1) << 2 | (own >> 7 & 1) << 3
            | (left >> _SIGN & 1) << 4 | (right >> _SIGN & 1) << 5 | (above & 1) << 6 | (own >> 22 & 1) << 7
        ]
    )  # fmt: skip


@inlined
def _become(contexts: Any, decoder: Any, data: Any, end: Any, flags: Any, word: Any, row: Any, stride: Any) -> Any:
    """Decode the sign of a coefficient that has become significant, and tell its column and the neighbours."""
    column = np.int64(flags[word])
    context = _sign_context(flags, word, column, row)
    bit, decoder = _decoded(contexts, context & 127, decoder, data, end)
    sign = bit ^ context >> 7
    flags[word] = np.uint32(column | sign << _SIGN + 3 * row | _SELF << 3 * row)
    _spread(flags, word, row, sign, stride)
    return decoder


@inlined
def _listed(flags: Any, first: Any, width: Any, valid: Any, shift: Any, flip: Any, todo: Any) -> Any:
    """List the coefficients of a stripe to decode: those significant or not, and not visited where `shift` says so."""
    count = 0
    for col in range(width):
        column = np.int64(flags[first + col])
        chosen = (column >> 4 ^ flip) & ~(column >> shift) & valid
        for row in range(4):
            todo[count] = col << 2 | row
            count += chosen >> 3 * row & 1
    return count


@inlined
def _significance_pass(
    contexts: Any, decoder: Any, data: Any, end: Any, flags: Any, first: Any, stride: Any, valid: Any, todo: Any,
    meaning: Any, values: Any, base: Any, value: Any,
) -> Any:  # fmt: skip
    """Of a stripe: the coefficients that are not significant and have neighbours that are."""
    for number in range(_listed(flags, first, stride - 2, valid, 40, _EACH, todo)):
        col, row = np.int64(todo[number]) >> 2, np.int64(todo[number]) & 3
        word = first + col
        around = np.int64(flags[word]) >> 3 * row & _AROUND
        if around:
            bit, decoder = _decoded(contexts, np.int64(meaning[around]), decoder, data, end)
            flags[word] |= np.uint32(1 << _VISITED + 3 * row)
            if bit:
                values[base + todo[number]] = value
                decoder = _become(contexts, decoder, data, end, flags, word, row, stride)
    return decoder


@inlined
def _refinement_pass(
    contexts: Any, decoder: Any, data: Any, end: Any, flags: Any, first: Any, stride: Any, valid: Any, todo: Any,
    values: Any, base: Any, half: Any,
) -> Any:  # fmt: skip
    """Of a stripe: the coefficients that were significant before this plane."""
    alone, beside, again = contexts[14], contexts[15], contexts[16]
    for number in range(_listed(flags, first, stride - 2, valid, _VISITED, 0, todo)):
        col, row = np.int64(todo[number]) >> 2, np.int64(todo[number]) & 3
        own = np.int64(flags[first + col]) >> 3 * row
        refined, around = own & 1 << _REFINED != 0, own & _AROUND != 0
        state = again if refined else beside if around else alone
        bit, state, decoder = _stepped(state, decoder, data, end)
        again = state if refined else again
        beside = state if around and not refined else beside
        alone = alone if around or refined else state
        values[base + todo[number]] += half * np.int32(2 * bit - 1)
        flags[first + col] |= np.uint32(1 << _REFINED + 3 * row)
    contexts[14], contexts[15], contexts[16] = alone, beside, again
    return decoder


@inlined
def _run(contexts: Any, decoder: Any, data: Any, end: Any) -> Any:
    """Of a column without anything significant: the row of the first coefficient that becomes so, 4 for none."""
    bit, decoder = _decoded(contexts, _RUN, decoder, data, end)
    row = np.int64(4)
    if bit:
        high, decoder = _decoded(contexts, _UNIFORM, decoder, data, end)
        low, decoder = _decoded(contexts, _UNIFORM, decoder, data, end)
        row = high << 1 | low
    return row, decoder


@inlined
def _cleanup_pass(
    contexts: Any, decoder: Any, data: Any, end: Any, flags: Any, first: Any, stride: Any, valid: Any, meaning: Any,
    values: Any, base: Any, value: Any,
) -> Any:  # fmt: skip
    """Of a stripe: all other coefficients."""
    for col in range(stride - 2):
        word, row, run = first + col, np.int64(0), False
        column = np.int64(flags[word])
        if column == 0 and valid == _EACH:
            row, decoder = _run(contexts, decoder, data, end)
            run = row < 4
        elif ~(column >> 4 | column >> _VISITED) & valid == 0:
            row = np.int64(4)
        while row < 4:
            own = np.int64(flags[word]) >> 3 * row
            if own & (_SELF | 1 << _VISITED) == 0 and valid >> 3 * row & 1:
                bit = np.int64(1)
                if not run:
                    bit, decoder = _decoded(contexts, np.int64(meaning[own & _AROUND]), decoder, data, end)
                if bit:
                    values[base + (col << 2 | row)] = value
                    decoder = _become(contexts, decoder, data, end, flags, word, row, stride)
            run = False
            row += 1
        flags[word] &= np.uint32(~(_EACH << _VISITED) & 0xFFFFFFFF)
    return decoder


@lean
def _coefficients(
    data: Any, start: Any, end: Any, passes: Any, planes: Any, meaning: Any, contexts: Any, todo: Any, flags: Any,
    values: Any, width: Any, height: Any,
) -> None:  # fmt: skip
    """Twice the magnitudes of a code-block, and one more where they are not 0; signs are in the flags."""
    stride = width + 2
    contexts[:] = _STATES[0]
    contexts[0], contexts[_RUN], contexts[_UNIFORM] = _STATES[8], _STATES[6], _STATES[92]
    code, room, position, previous = _filled(np.uint64(0), np.int64(55), np.int64(start), np.int64(0), data, end)
    decoder = (np.uint64(0x8000 << 48), code, room, position, previous)
    kind, plane = 2, planes
    for _ in range(passes):
        value, half = np.int32(3 << plane >> 1), np.int32(1 << plane >> 1)
        for stripe in range((height + 3) // 4):
            first, base = (stripe + 1) * stride + 1, 4 * width * stripe
            valid = _EACH & (1 << 3 * min(4, height - 4 * stripe)) - 1
            if kind == 0:
                decoder = _significance_pass(
                    contexts, decoder, data, end, flags, first, stride, valid, todo, meaning, values, base, value
                )
            elif kind == 1:
                decoder = _refinement_pass(
                    contexts, decoder, data, end, flags, first, stride, valid, todo, values, base, half
                )
            else:
                decoder = _cleanup_pass(
                    contexts, decoder, data, end, flags, first, stride, valid, meaning, values, base, value
                )
        plane -= kind == 2
        kind = (kind + 1) % 3


def decode(data: Pixels, blocks: Ints, shape: tuple[int, int]) -> Ints32 | None:
    """The coefficients of a tile; None where a code-block has more passes than planes, or lies elsewhere.

    Args:
        data: bytes of its packets.
        blocks: of each code-block, its first byte and the last's successor, passes, planes, kind of band (0 LL, 1 HL,
            2 LH, 3 HH), and the row, column, height and width of its coefficients.
        shape: rows and columns of the tile.
    """
    passes, planes, (rows, columns) = blocks[:, 2], blocks[:, 3], blocks[:, 5:7].T
    outside = (rows < 0) | (columns < 0) | (rows + blocks[:, 7] > shape[0]) | (columns + blocks[:, 8] > shape[1])
    if (planes < 1).any() or (passes > 3 * planes - 2).any() or outside.any():
        return None
    coefficients = np.zeros(shape, np.int32)
    high, wide = (int(blocks[:, field].max(initial=1)) for field in (7, 8))
    stripes = -(-high // 4)
    _decode(
        data, blocks, _SIGNIFICANCE, np.empty(_CONTEXTS, np.uint64), np.empty(4 * wide + 1, np.int16),
        np.empty((stripes + 2) * (wide + 2), np.uint32), np.empty(4 * stripes * wide, np.int32), coefficients,
    )  # fmt: skip
    return coefficients


@lean
def _decode(
    data: Any, blocks: Any, meaning: Any, contexts: Any, todo: Any, flags: Any, values: Any, coefficients: Any
) -> None:
    """See `decode`; the other arrays are workspace."""
    for number in range(len(blocks)):
        block = blocks[number]
        top, left, height, width = block[5], block[6], block[7], block[8]
        flags[: ((height + 3) // 4 + 2) * (width + 2)] = 0
        values[: (height + 3) // 4 * 4 * width] = 0
        _coefficients(
            data, block[0], block[1], block[2], block[3], meaning[block[4]], contexts, todo, flags, values, width,
            height,
        )  # fmt: skip
        for row in range(height):
            first, base, bit = (row // 4 + 1) * (width + 2) + 1, row // 4 * 4 * width + row % 4, _SIGN + 3 * (row % 4)
            for col in range(width):
                negative = np.int32(np.int64(flags[first + col]) >> bit & 1)
                coefficients[top + row, left + col] = ((values[base + 4 * col] >> 1) ^ -negative) + negative
