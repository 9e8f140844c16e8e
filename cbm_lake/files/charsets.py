"""Character encodings of attribute texts: declared, detected from the bytes, or guessed and reported.

The bytes come first: texts that are valid UTF-8 are UTF-8, whatever was declared. A declaration is followed where all
texts can be read in it. Without one, the code page is guessed for all texts of a file together (guessing.py). A file
has few texts and short ones; so the guess is always reported, with a sample and the runner-up.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import InvalidInputError, some, wrong_argument
from cbm_lake.files.guessing import CANDIDATES, IMPOSSIBLE, ranked

UTF_8: Final = "utf-8"

_CUT: Final = ("unexpected end of data", "incomplete multibyte sequence")
"""Reasons of Python where a text ends inside of a character."""
_CLOSE: Final = 0.6
"""Natural logarithm per letter: a second reading that is nearer to the first is named too."""
_MUCH_BETTER: Final = 2.5
"""By so much another code page must be likelier than the declared one to be mentioned."""
_SINGLE: Final = r"(?:windows|win|cp|ansi|oem|ibm|pc|ms|dos|msdos|ms-dos|codepage|code page|wcp|x-cp)?[ _-]*(\d{3,5})"
_LATIN: Final = {number + 28590: f"iso8859-{number}" for number in range(1, 17)}
_NUMBERED: Final = {65001: UTF_8, 20127: "ascii", 1200: "utf-16-le", 936: "gbk", 949: "cp949", 950: "cp950"} | _LATIN
_SYSTEM: Final = frozenset({"ansi", "oem", "system", "current", "default", "local", "none", "unknown", "neutral"})
"""Labels that name no encoding but that of the writer's computer."""
_DRIVER_BYTES: Final = {
    437: "01 09 0B 0D 0F 11 15 18 19 1B",
    737: "6A 86",
    850: "02 0A 0E 10 12 14 16 1A 1D 25 37",
    852: "1F 22 23 40 64 87",
    857: "6B 88",
    860: "24",
    861: "67",
    863: "1C 6C",
    865: "08 17 66",
    866: "26 65",
    874: "50 7C",
    932: "13 7B",
    936: "4D 7A",
    949: "4E 79",
    950: "4F 78",
    1250: "C8",
    1251: "C9",
    1252: "03 58 59",
    1253: "CB",
    1254: "CA",
    1257: "CC",
}
"""Language driver bytes of a dBASE header, in hexadecimal digits, by code page."""
_DRIVERS: Final = {driver: page for page, drivers in _DRIVER_BYTES.items() for driver in bytes.fromhex(drivers)}
"""Code page of a dBase language driver; 0x57 is that of the writer's computer, which names none."""


@dataclass(frozen=True)
class Declared:
    """What a file says of its encoding."""

    codec: str
    says: str
    """Who says so, for messages: its .cpg says ANSI 1250."""


@dataclass(frozen=True)
class Decision:
    """The encoding of a file's texts."""

    codec: str = UTF_8
    note: str = ""
    """What was guessed or substituted; empty where nothing was."""


# -- declared ----------------------------------------------------------------------------------------------------------


def codec_of(label: str) -> str | None:
    """Python's name of the encoding that a label means, in whatever spelling; None where it means none.

    ANSI 1250, OEM 852, windows-1250, 1250, 88591, 8859-1, UTF8, 65001, LDID/87, latin 1.
    """
    text = label.strip().strip("\0\ufeff\"'").strip().lower()
    if driver := re.fullmatch(r"ldid/(?:0x([0-9a-f]+)|(\d+))", text):
        return codec_of_driver(int(driver[1], 16) if driver[1] else int(driver[2]))
    if latin := re.fullmatch(r"(?:iso)?[ _-]*8859[ _-]*(\d{1,2})", text):
        return _codec_name(f"iso8859-{int(latin[1])}")
    if named := re.fullmatch(r"(?:iso)?[ _-]*latin[ _-]*(\d{1,2})", text):
        return _codec_name(f"latin{int(named[1])}")
    if numbered := re.fullmatch(_SINGLE, text):
        return _codec_name(_NUMBERED.get(int(numbered[1]), f"cp{int(numbered[1])}"))
    return None if text in _SYSTEM else _codec_name(re.sub(r"[ _-]+", "_", text))


def codec_of_driver(number: int) -> str | None:
    """The encoding of a dBase language driver, the byte at position 29 of a .dbf; None where it names none."""
    page = _DRIVERS.get(number)
    return None if page is None else codec_of(str(page))


def asked(label: str | None) -> str | None:
    """The encoding that a user names.

    Raises:
        InvalidInputError: there is none of that name.
    """
    if label is None:
        return None
    codec = codec_of(label)
    if codec is None:
        raise wrong_argument("encoding", f"{label!r} is not known; write it as UTF-8, cp1250 or iso-8859-2")
    return codec


def _codec_name(name: str) -> str | None:
    try:
        codec = codecs.lookup(name)
        "a".encode(codec.name).decode(codec.name)  # such as base64 are codecs, but none of texts
    except (LookupError, ValueError, TypeError):
        return None
    return {"utf_8": UTF_8, "utf-8-sig": UTF_8, "ascii": UTF_8}.get(codec.name, codec.name)


# -- decided -----------------------------------------------------------------------------------------------------------


def decide(
    texts: Collection[bytes],
    declared: Declared | None = None,
    wish: str | None = None,
    advice: str = "say encoding=",
) -> Decision:
    """The encoding of the texts of one file.

    Args:
        texts: all distinct ones that are not ASCII.
        declared: what the file says.
        wish: Python's name of the encoding that the user says.
        advice: what to do where a guess is wrong.

    Raises:
        InvalidInputError: the texts cannot be read in the encoding that the user says.
    """
    if not texts:
        return Decision(wish or UTF_8)
    utf8 = _is_utf8(texts)
    if wish is not None:
        return _as_wished(texts, wish, utf8)
    if utf8:
        return _as_utf8(texts, declared)
    if declared is not None and declared.codec != UTF_8 and _decodes(texts, declared.codec):
        return _as_declared(texts, declared)
    return _guessed(texts, declared, advice)


def _as_wished(texts: Collection[bytes], wish: str, utf8: bool) -> Decision:
    bad = [] if wish == UTF_8 and utf8 else [raw for raw in texts if not _fits(raw, wish)]
    if bad:
        best = ranked(texts)[0][1]
        problem = (
            f"{len(bad)} texts, as {bad[0]!r}, are not in {labelled(wish)}; "
            f"{labelled(best)} would read {sample(bad, best)}"
        )
        raise InvalidInputError(f"{problem}; give another by encoding=", plain=f"{problem}; give another encoding")
    if utf8 and wish != UTF_8:
        return Decision(
            wish, f"the texts are valid UTF-8, as {sample(texts, UTF_8)}, but are read as {labelled(wish)}, as was said"
        )
    return Decision(wish)


def _as_utf8(texts: Collection[bytes], declared: Declared | None) -> Decision:
    if declared is None or declared.codec == UTF_8:
        return Decision()
    return Decision(UTF_8, f"{declared.says}, but the texts are valid UTF-8 and are read so, as {sample(texts, UTF_8)}")


def _as_declared(texts: Collection[bytes], declared: Declared) -> Decision:
    """As declared; where another encoding is much likelier, that is mentioned."""
    if declared.codec not in CANDIDATES:
        return Decision(declared.codec)
    guesses = ranked(texts)
    scores = {codec: score for score, codec in guesses}
    best = guesses[0][1]
    if scores[best] - scores.get(declared.codec, IMPOSSIBLE) < _MUCH_BETTER:
        return Decision(declared.codec)
    note = (
        f"{declared.says}, and the texts are read so, as {sample(texts, declared.codec)}, "
        f"but {labelled(best)} is likelier, as {sample(texts, best)}; if that is right, say encoding={labelled(best)}"
    )
    return Decision(declared.codec, note)


def _guessed(texts: Collection[bytes], declared: Declared | None, advice: str) -> Decision:
    guesses = ranked(texts)
    score, codec = guesses[0]
    text = sample(texts, codec)
    others = [(other, sample(texts, other)) for least, other in guesses[1:] if score - least < _CLOSE]
    other = next((f"; it may be {labelled(name)} too, as {reading}" for name, reading in others if reading != text), "")
    why = f"{declared.says}, but the texts are not in it" if declared else "nothing says the encoding of the texts"
    return Decision(codec, f"{why}; {labelled(codec)} is assumed, as {text}{other}; if that is wrong, {advice}")


def labelled(codec: str) -> str:
    """An encoding as it is written."""
    if codec == UTF_8:
        return "UTF-8"
    return re.sub(r"^iso8859[_-]", "iso-8859-", codec).replace("_", "-")


def sample(texts: Collection[bytes], codec: str, most: int = 3) -> str:
    """The first texts, as an encoding reads them."""
    decoded = [raw.decode(codec, "replace") for raw in islice(sorted(texts, key=lambda raw: (len(raw), raw)), most)]
    return ", ".join(repr(text[:60]) for text in decoded)


def _is_utf8(texts: Collection[bytes]) -> bool:
    """Whether texts are UTF-8, of which few may be damaged: cut inside their last character, or one of ten at most.

    A text in a code page of one byte that is UTF-8 by chance is rare; one whose last letter looks like the beginning of
    a character is not (Blé in cp1252). So whole characters must be there, and more of them than cut ones.
    """
    whole = cut = valid = damaged = 0
    for raw in texts:
        try:
            whole += _beyond_ascii(raw.decode())
            valid += 1
        except UnicodeDecodeError as error:
            tail = error.end == len(raw) and error.reason in _CUT
            cut += tail
            damaged += not tail
            whole += _beyond_ascii(raw[: error.start].decode())
    return whole > cut and valid >= 9 * damaged and (valid > 0 or not damaged)


def _beyond_ascii(text: str) -> int:
    return sum(letter > "\x7f" for letter in text)


def _fits(raw: bytes, codec: str) -> bool:
    try:
        raw.decode(codec)
    except UnicodeDecodeError as error:
        return error.end == len(raw) and error.reason in _CUT
    return True


def _decodes(texts: Collection[bytes], codec: str) -> bool:
    return all(_fits(raw, codec) for raw in texts)


# -- decoded -----------------------------------------------------------------------------------------------------------


def distinct(columns: Sequence[pa.ChunkedArray], *, wide: bool) -> set[bytes]:
    """The distinct texts of some columns that are not ASCII, as bytes; none where all are in UTF-8 as they stand.

    Args:
        columns: of strings.
        wide: each byte stands as the character of its number, as a file reads that is opened as ISO 8859-1.
    """
    texts: set[bytes] = set()
    if not wide and all(map(_is_valid, columns)):
        return texts
    for values in columns:
        raw = values.filter(pc.invert(pc.string_is_ascii(values)))
        texts.update(_raw(raw, wide=wide).unique().drop_null().to_pylist())
    return texts


def _is_valid(values: pa.ChunkedArray) -> bool:
    """Whether a column of strings is in UTF-8."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _raw(values: pa.ChunkedArray, *, wide: bool) -> pa.ChunkedArray:
    if not wide:
        return values.cast(pa.binary())
    encoded = [None if text is None else text.encode("latin-1") for text in values.to_pylist()]
    return pa.chunked_array([pa.array(encoded, pa.binary())])


def decoded(values: pa.ChunkedArray, codec: str, *, wide: bool) -> tuple[pa.ChunkedArray, list[str]]:
    """A column of texts in UTF-8, and those of its texts that could not be read whole, as they were read.

    Only what is not ASCII is touched: each distinct text once.
    """
    other = pc.fill_null(pc.invert(pc.string_is_ascii(values)), fill_value=False)
    if not pc.any(other).as_py():
        return values, []
    coded = _raw(values.filter(other), wide=wide).combine_chunks().dictionary_encode()
    readings = [_read(raw, codec) for raw in coded.dictionary.to_pylist()]
    damaged = np.array([whole is False for _, whole in readings])
    texts = pa.array([text for text, _ in readings], values.type).take(coded.indices)
    rows = np.flatnonzero(damaged[coded.indices.to_numpy()])
    return pc.replace_with_mask(values, other.combine_chunks(), texts), texts.take(pa.array(rows)).to_pylist()


def _read(raw: bytes, codec: str) -> tuple[str, bool]:
    """A text, and whether it is whole: without the character inside of which it was cut, � for any other damage."""
    try:
        return raw.decode(codec), True
    except UnicodeDecodeError as error:
        if error.end == len(raw) and error.reason in _CUT:
            return raw[: error.start].decode(codec), False
        return raw.decode(codec, "replace"), False


def recoded_columns(table: pa.Table, codec: str, *, wide: bool) -> tuple[pa.Table, list[str]]:
    """A table with all its texts in UTF-8, and what to say of those that could not be read whole."""
    notes = []
    for number, field in enumerate(table.schema):
        if is_text(field.type):
            values, damaged = decoded(table.column(number), codec, wide=wide)
            table = table.set_column(number, field, values)
            if damaged:
                notes.append(_damage(damaged, field.name))
    return table, notes


def texts_of(table: pa.Table) -> list[pa.ChunkedArray]:
    """The columns of texts."""
    return [values for values in table.columns if is_text(values.type)]


def is_text(kind: pa.DataType) -> bool:
    """Whether a column is of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _damage(texts: Sequence[str], column: str) -> str:
    """What to say of the texts of a column that could not be read whole."""
    listed = some(map(repr, dict.fromkeys(texts)))
    return f"{len(texts)} {'texts' if len(texts) > 1 else 'text'} of column {column} cut or damaged, read as {listed}"
