"""The evidence of a report: what it says as data, with hashes, in the file itself; and whether it still holds."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from cbm_lake.errors import InvalidInputError, LakeError, SourceError, of_extra
from cbm_lake.report import facts
from cbm_lake.report.facts import Facts

NAME: Final = "evidence.json"
ELEMENT: Final = "cbm-lake-evidence"
"""The id of the script element that holds it in HTML."""
_PICTURE: Final = re.compile(r'<img id="(\w+)" src="data:image/png;base64,([\w+/=]+)"')
"""A figure in a page of ours, by its name."""
_MOST: Final = 20
"""Differences that are told."""
_LARGEST: Final = 200_000_000
"""Bytes of a report at most."""


def seal(key: Facts, moment: str, snapshot: Facts, found: Facts, others: Facts, pictures: dict[str, bytes]) -> Facts:
    """The evidence of a report.

    Args:
        key: aoi, year, ptype, pid.
        moment: as of which the lake was read.
        snapshot: versions of its tables then.
        found: what can be recomputed.
        others: what cannot: notes, results of checks that are replaced when they are made again.
        pictures: the figures by name, as they stand in the report.
    """
    sealed = {
        "format": facts.FORMAT, "key": key, "as_of": moment, "snapshot": snapshot, "facts": found, "others": others,
        "pictures": {name: hashlib.sha256(content).hexdigest() for name, content in pictures.items()},
        "sha256_of_facts": facts.digest(found),
    }  # fmt: skip
    return {**sealed, "sha256": facts.digest(sealed)}


@dataclass(frozen=True)
class Verdict:
    """Whether a report still holds."""

    file: Path
    key: Facts
    as_of: str
    differences: tuple[str, ...]
    """What is not equal; empty when all is."""
    numbers: int
    """How many values were compared."""

    @property
    def equal(self) -> bool:
        """Whether every number is."""
        return not self.differences

    def __str__(self) -> str:
        what = f"{self.file.name}: parcel {self.key['pid']} of {self.key['aoi']} {self.key['year']}, as of {self.as_of}"
        if self.equal:
            return f"{what}: all {self.numbers:,} values are equal"
        return f"{what}: NOT equal: " + "; ".join(self.differences)


def verify(file: str | Path, *, url: str | None = None) -> Verdict:
    """Recompute every number of a report from the lake as it was then, and compare.

    Args:
        file: a report, .pdf or .html, or its evidence alone, .json.
        url: of the lake; without it the workspace's.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: it holds no evidence, or that of another version.
    """
    path = Path(file)
    sealed = read(path)
    told = [*_tampering(sealed), *_pictures_of(path, sealed)]
    try:
        again = facts.gather(facts.open_at(sealed["as_of"], url), sealed["key"])
    except LakeError as error:
        told.append(f"the lake cannot say it again: {error}")
        again = sealed["facts"]
    told += differences(sealed["facts"], again)
    more = len(told) - _MOST
    shown = [*told[:_MOST], f"and {more} more"] if more > 0 else told
    return Verdict(path, sealed["key"], sealed["as_of"], tuple(shown), _count(again))


def read(path: Path) -> Facts:
    """The evidence in a file.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: there is no evidence in it.
    """
    readers: dict[str, Callable[[bytes], str]] = {
        ".pdf": _from_pdf,
        ".html": _from_html,
        ".json": lambda content: content.decode("utf-8"),
    }
    if path.suffix.lower() not in readers:
        raise InvalidInputError(f"{path} is no report; give a .pdf, a .html, or the .json of its evidence")
    try:
        if path.stat().st_size > _LARGEST:
            raise InvalidInputError(f"{path} has more than {_LARGEST:,} bytes; no report of ours has")
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path") from error
    try:
        text = readers[path.suffix.lower()](content)
        sealed = json.loads(text)
    except ValueError as error:
        raise InvalidInputError(f"{path} holds no evidence that can be read ({error}); is it a report?") from error
    if not isinstance(sealed, dict) or sealed.get("format") != facts.FORMAT or not _SHAPE.items() <= _kinds(sealed):
        raise InvalidInputError(f"{path} holds no evidence of this form; it was made by another version of cbm-lake")
    return sealed


_SHAPE: Final = {"key": dict, "as_of": str, "facts": dict, "pictures": dict, "sha256": str}


def _kinds(sealed: Facts) -> Any:
    return {name: type(value) for name, value in sealed.items()}.items()


def _from_pdf(content: bytes) -> str:
    import io

    with of_extra("report", "reading a PDF"):
        from pypdf import PdfReader
        from pypdf.errors import PyPdfError
    try:
        attached = PdfReader(io.BytesIO(content)).attachments
    except PyPdfError as error:
        raise ValueError(str(error)) from error
    if NAME not in attached:
        raise ValueError(f"no attachment {NAME}")
    return bytes(attached[NAME][0]).decode("utf-8")


class _Script(HTMLParser):
    """Takes the text of our script element."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and dict(attrs).get("id") == ELEMENT

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.text.append(data)


def _from_html(content: bytes) -> str:
    found = _Script()
    found.feed(content.decode("utf-8"))
    return "".join(found.text)


# -- comparing --------------------------------------------------------------------------------------------------------


def _tampering(sealed: Facts) -> list[str]:
    """Whether the evidence is as it was sealed."""
    without = {name: value for name, value in sealed.items() if name != "sha256"}
    told = [] if facts.digest(without) == sealed["sha256"] else ["the evidence was changed after it was made (sha256)"]
    if facts.digest(sealed["facts"]) != sealed.get("sha256_of_facts"):
        told.append("the facts were changed after they were made (sha256_of_facts)")
    return told


def _pictures_of(path: Path, sealed: Facts) -> list[str]:
    """Whether the figures of a page are those that were sealed; in a PDF they are kept in another form."""
    if path.suffix.lower() != ".html":
        return []
    found = _PICTURE.findall(path.read_text("utf-8"))
    there = {name: hashlib.sha256(base64.b64decode(content)).hexdigest() for name, content in found}
    return [f"the figure {name} was changed" for name, known in sealed["pictures"].items() if there.get(name) != known]


def differences(old: Any, new: Any, place: str = "") -> list[str]:
    """Where two values of JSON are not equal, and what stands there."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = dict.fromkeys([*old, *new])
        return [
            told for name in names for told in differences(old.get(name), new.get(name), f"{place}.{name}".lstrip("."))
        ]
    if isinstance(old, list) and isinstance(new, list):
        longer = range(max(len(old), len(new)))
        inner = [(_at(old, n), _at(new, n), f"{place}[{n}]") for n in longer]
        return [told for pair in inner for told in differences(*pair)]
    return [] if old == new and type(old) is type(new) else [f"{place} was {_told(old)}, is {_told(new)}"]


def _at(values: list[Any], number: int) -> Any:
    return values[number] if number < len(values) else None


def _told(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _count(value: Any) -> int:
    """How many single values there are."""
    if isinstance(value, dict):
        return sum(map(_count, value.values()))
    return sum(map(_count, value)) if isinstance(value, list) else 1
