"""Encoding of text files, and recoding of formats that GDAL reads only in UTF-8."""

from __future__ import annotations

import codecs
import csv
import io
import json as jsons
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from cbm_lake.errors import InvalidInputError
from cbm_lake.files.charsets import UTF_8, Decision, Declared, codec_of, decide

MARKS: Final = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""How files of an encoding begin."""
DELIMITERS: Final = ",;\t|"
"""Delimiters of text tables."""
_PORTION: Final = 1 << 24
_BETWEEN: Final = re.compile("[\\s,\x1e]*")
_BETWEEN_TEXTS: Final = re.compile(rb"[\x00-\x1f\"',;|<>{}\[\]]+")
_XML: Final = re.compile(rb"<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[\"']")
_FROM_GML: Final = frozenset({UTF_8, "iso8859-1"})
"""Encodings in which GDAL reads XML by itself."""


def encoding_of(path: Path, wish: str | None = None, declared: Declared | None = None) -> Decision:
    """The encoding of a whole file: by its byte order mark, else by all its texts.

    Args:
        path: of the file.
        wish: Python's name of the encoding that the user says.
        declared: what the file says.
    """
    with path.open("rb") as file:
        start = file.read(4)
    mark = next((name for mark, name in MARKS.items() if start.startswith(mark)), None)
    if mark is not None:
        note = f"it begins with the mark of {mark.removesuffix('-sig').upper()} and is read so"
        return Decision(mark, note if wish not in (None, codecs.lookup(mark).name, UTF_8) else "")
    if wish is None and is_utf8(_portions(path), whole=True):
        return decide(set(), None) if declared is None else decide(set(texts(path)), declared)
    return decide(set(texts(path)), declared, wish)


def decoded(content: bytes) -> str:
    """A whole text, by its byte order mark, as UTF-8, or in the encoding that is guessed."""
    mark = next((name for mark, name in MARKS.items() if content.startswith(mark)), None)
    codec = mark or (UTF_8 if is_utf8([content], whole=True) else decide(set(texts_of(content))).codec)
    return content.decode(codec, "replace")


def delimiter_of(header: str, usual: str = ",") -> str:
    """The delimiter that parts a header into the most columns; the usual one where several do."""
    signs = sorted(DELIMITERS, key=lambda sign: sign != usual)
    return max(signs, key=lambda sign: len(next(csv.reader([header], delimiter=sign), [])))


def is_utf8(portions: Iterable[bytes], *, whole: bool = False) -> bool:
    """Whether all of a text is UTF-8; it may end inside of a character unless it is whole."""
    check = codecs.getincrementaldecoder(UTF_8)()
    try:
        for portion in portions:
            check.decode(portion)
        check.decode(b"", final=whole)
    except UnicodeDecodeError:
        return False
    return True


def _portions(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while portion := file.read(_PORTION):
            yield portion


def texts(path: Path) -> Iterator[bytes]:
    """The cells or values of a file that are not ASCII."""
    rest = b""
    for portion in _portions(path):
        whole, newline, rest = (rest + portion).rpartition(b"\n")
        yield from texts_of(whole + newline)
    yield from texts_of(rest)


def texts_of(content: bytes) -> list[bytes]:
    """The cells or values of a text that are not ASCII, whole, for the words of one are of one language."""
    return [text.strip() for text in _BETWEEN_TEXTS.split(content) if not text.isascii()]


def recoded(path: Path, wish: str | None) -> tuple[bytes | None, str]:
    """The content of a text file in UTF-8 where GDAL could not read it as it is, and what to say of that.

    GeoJSON is UTF-8 by its standard; GML says its encoding, of which GDAL knows few.
    """
    xml = path.suffix.lower() in (".gml", ".xml", ".kml")
    said = _xml_encoding(path) if xml else None
    if xml and said is not None and said.codec in _FROM_GML and wish is None:
        return None, ""
    decision = encoding_of(path, wish, said)
    if decision.codec == UTF_8 and said is None:
        return None, decision.note
    if decision.codec == "utf-8-sig" or (xml and said is None and wish is None and decision.codec != "utf-16"):
        return None, decision.note
    text = path.read_bytes().decode(decision.codec, "replace")
    if xml:
        text = re.sub(r"(<\?xml[^>]*?encoding\s*=\s*[\"'])[\w.:-]+", r"\1UTF-8", text, count=1)
    return text.encode(), decision.note


def _xml_encoding(path: Path) -> Declared | None:
    with path.open("rb") as file:
        match = _XML.search(file.read(200))
    codec = codec_of(match[1].decode()) if match else None
    if match and codec is None:
        problem = f"its first line says encoding {match[1].decode()!r}, which is not known"
        raise InvalidInputError(f"{problem}; say encoding=", plain=f"{problem}; save it in UTF-8")
    return Declared(codec, f"its first line says {match[1].decode()}") if match and codec else None


def numbers_for_ids(json: Path | bytes) -> list[int | str | None] | None:
    """The member id of each feature of a GeoJSON file, where that of the first one is a number.

    GDAL takes such numbers for those of rows: it drops them from the attributes, and alters one that stands twice.
    """
    content = io.BytesIO(json) if isinstance(json, bytes) else json.open("rb")
    with io.TextIOWrapper(content, "utf-8-sig", "replace") as file:
        features = _features(file)
        first = next(features, {}).get("id")
        if type(first) is not int:
            return None
        return [first, *(feature.get("id") for feature in features)]


def _features(file: io.TextIOWrapper) -> Iterator[dict[str, Any]]:
    """The features of a collection or sequence, one after the other; none after what is no feature."""
    text = file.read(_PORTION)
    start = re.search(r'"features"\s*:\s*\[', text)
    at, decode = start.end() if start else 0, jsons.JSONDecoder().raw_decode
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
        try:
            feature, at = decode(text, at)
        except ValueError:
            more = file.read(_PORTION)
            if not more:
                return
            text, at = text[at:] + more, 0
            continue
        if not isinstance(feature, dict):
            return
        yield feature
