"""Parses PDF reports: page texts, images, and one digest of everything that is drawn."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from cbm_lake.errors import InvalidInputError, of_extra
from cbm_lake.report import images

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_PAGES: Final = 200
_DEEPEST: Final = 200
_NOT_SEEN: Final = frozenset({"/Metadata", "/EmbeddedFiles", "/AF"})
"""Objects that are not drawn: the attached evidence, and metadata."""
_TITLES: Final = ("/Title", "/Author", "/Subject", "/Keywords")
"""What viewers show in addition to the pages."""
_STORED: Final = frozenset({"/Length", "/Filter", "/DecodeParms"})
"""How a stream is stored, which is not what it holds."""


@dataclass(frozen=True)
class Pages:
    """Parsed content of a PDF."""

    texts: tuple[str, ...]
    """Of each page, without regard to blanks."""
    pictures: tuple[NDArray[Any], ...]
    """The pixels of those that are drawn on pages."""
    notes: tuple[str, ...]
    """Annotations, forms, scripts and further attachments, none of which a report has."""


@contextmanager
def readable() -> Iterator[None]:
    """Convert pypdf's exceptions for broken documents to one error.

    Raises:
        InvalidInputError: it cannot be read.
    """
    with of_extra("report", "reading a PDF"):
        from pypdf.errors import PyPdfError
    try:
        yield
    except InvalidInputError:
        raise
    except (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        IndexError,
        RecursionError,
        AssertionError,
        NotImplementedError,
        OverflowError,
        zlib.error,
        struct.error,
        OSError,
    ) as error:
        raise InvalidInputError(f"it is a damaged PDF: {' '.join(str(error).split())[:200]}") from error


def read(content: bytes) -> Pages:
    """Parse the pages of a PDF.

    Raises:
        InvalidInputError: it cannot be read.
    """
    with readable():
        document = _document(content)
        pages = list(document.pages)
        if len(pages) > _MOST_PAGES:
            raise InvalidInputError(f"it has {len(pages)} pages")
        texts = tuple("".join(page.extract_text().split()) for page in pages)
        pictures = {id(picture): picture for page in pages for picture in _pictures(page)}
        return Pages(texts, tuple(map(_pixels, pictures.values())), tuple(_notes(document, pages)))


def digest(content: bytes) -> str:
    """SHA-256 of all that a PDF draws: pages, fonts, pictures, annotations, scripts; not the attached evidence.

    Raises:
        InvalidInputError: it cannot be read, or was changed after it was written (incremental updates).
    """
    with readable():
        if content.count(b"startxref") != 1 or not content.rstrip().endswith(b"%%EOF"):
            raise InvalidInputError("it was changed by parts that were added to its end")
        document = _document(content, strict=True)
        if {"/Prev", "/XRefStm"} & set(document.trailer):
            raise InvalidInputError("it has several lists of its objects")
        if sum(map(len, document.attachments.values())) > 1:
            raise InvalidInputError("it has further attachments")
        named = document.metadata or {}
        titles = "\0".join(str(named.get(name, "")) for name in _TITLES)
        return hashlib.sha256(f"{titles}\0{_Objects().digest(document.trailer['/Root'])}".encode()).hexdigest()


def _document(content: bytes, *, strict: bool = False) -> Any:
    with of_extra("report", "reading a PDF"):
        from pypdf import PdfReader
    document = PdfReader(io.BytesIO(content), strict=strict)
    if document.is_encrypted:
        raise InvalidInputError("it is encrypted")
    return document


class _Objects:
    """Objects of a document in traversal order from its root, independent of their numbers."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, int], int] = {}
        self.waiting: list[Any] = []

    def digest(self, root: Any) -> str:
        """SHA-256 of an object and everything that it references."""
        hashed = hashlib.sha256(self.text(root.get_object()))
        while self.waiting:
            hashed.update(b"\n" + self.text(self.waiting.pop().get_object()))
        return hashed.hexdigest()

    def text(self, item: Any, depth: int = 0) -> bytes:
        """An object as bytes, others that it refers to by their new numbers."""
        from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

        if depth > _DEEPEST:
            raise InvalidInputError("its objects lie too deep in each other")
        if isinstance(item, IndirectObject):
            return self.reference(item)
        if isinstance(item, ArrayObject):
            return b"[" + b" ".join(self.text(inner, depth + 1) for inner in list.__iter__(item)) + b"]"
        if not isinstance(item, DictionaryObject):
            return repr(item).encode("utf-8", "surrogatepass")
        stream = item.get_data() if isinstance(item, StreamObject) else b""
        names = sorted(set(item) - _NOT_SEEN - (_STORED if isinstance(item, StreamObject) else set()))
        inner = b"".join(name.encode() + b" " + self.text(item.raw_get(name), depth + 1) for name in names)
        return b"(" + inner + b")" + hashlib.sha256(stream).digest()

    def reference(self, item: Any) -> bytes:
        """The new number of an object."""
        position = (item.idnum, item.generation)
        if position not in self.numbers:
            self.numbers[position] = len(self.numbers)
            self.waiting.append(item)
        return b"#%d" % self.numbers[position]


def _pictures(page: Any) -> Iterator[Any]:
    for inner in _dictionary(_dictionary(page, "/Resources"), "/XObject").values():
        image = inner.get_object()
        if image.get("/Subtype") == "/Image":
            yield image


def _dictionary(above: Any, name: str) -> Any:
    """A nested dictionary, or an empty one."""
    item = above.get(name)
    return {} if item is None else item.get_object()


def _pixels(image: Any) -> NDArray[Any]:
    """Pixels of an 8-bit image, with opacity as the last band if it has one."""
    width, height = int(image["/Width"]), int(image["/Height"])
    if not 0 < width * height <= images.MOST_PIXELS or image.get("/BitsPerComponent") != 8:
        raise InvalidInputError(f"a picture has {width} x {height} pixels, or not 8 bits")
    stored = np.frombuffer(image.get_data(), np.uint8)
    pixels = stored.reshape(height, width, -1)
    mask = image.get("/SMask")
    return pixels if mask is None else np.concatenate([pixels, _pixels(mask.get_object())], axis=2)


def _notes(document: Any, pages: list[Any]) -> Iterator[str]:
    root = document.trailer["/Root"].get_object()
    for number, page in enumerate(pages, 1):
        if page.get("/Annots"):
            yield f"page {number} has annotations"
        if page.get("/AA"):
            yield f"page {number} has actions"
    for name, changes in (
        ("/AcroForm", "a form"),
        ("/OpenAction", "an action when it is opened"),
        ("/AA", "actions"),
        ("/OCProperties", "layers"),
        ("/Collection", "a collection of files"),
    ):
        if root.get(name):
            yield f"the document has {changes}"
    if _dictionary(root, "/Names").get("/JavaScript"):
        yield "the document has scripts"
    more = len(document.attachments) - 1
    if more > 0:
        yield f"the document has {more} more attachments"


def differences(there: Pages, expected: Pages) -> list[str]:
    """Differences of a document from the one that its evidence renders to."""
    changes = list(there.notes)
    if len(there.texts) != len(expected.texts):
        changes.append(f"the document has {len(there.texts)} pages where its evidence makes {len(expected.texts)}")
    for number, (one, other) in enumerate(zip(there.texts, expected.texts, strict=False), 1):
        if one != other:
            position = next(
                (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
            )
            excerpts = [text[max(0, position - 10) : position + 30] for text in (one, other)]
            changes.append(f"page {number} says {excerpts[0]!r} where its evidence makes {excerpts[1]!r}")
    return changes or [
        "the document draws something else than its evidence makes, or was saved anew by another program"
    ]
