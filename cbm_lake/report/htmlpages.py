"""Parses HTML reports and compares their visible content with another page."""

from __future__ import annotations

import base64
import difflib
import hashlib
import re
from html.parser import HTMLParser
from typing import Final

from cbm_lake.errors import InvalidInputError
from cbm_lake.report.evidence import ELEMENT

_PICTURE: Final = re.compile(r'<img id="(\w+)" src="data:image/png;base64,([\w+/=]+)"')
"""A figure in a page of ours, by its name."""
_EVIDENCE: Final = re.compile(rf'(<script type="application/json" id="{ELEMENT}">)([^<]*)(</script>)')
"""The evidence, in which < is written otherwise: what begins there is no part of it."""
_SHOWN: Final = ("alt", "title", "aria-label", "placeholder", "value", "content", "label")
"""Attributes whose texts are shown or read out."""
_MOST: Final = 5


class _Parser(HTMLParser):
    """Collects visible text and attributes, and all elements with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag if tag in ("script", "style") else ""
        self.texts += [f"{name}: {value}" for name, value in attrs if name in _SHOWN and value]
        changes = [f"{name}={(value or '')[:40]}" for name, value in attrs if name != "src"]
        self.elements.append(" ".join([tag, *changes]))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self.elements.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if self._inside == "style":
            self.elements.append(f"styles {data}")
        elif not self._inside and data.strip():
            self.texts.append(" ".join(data.split()))


def digest(page: str) -> str:
    """SHA-256 of a page without the text of its evidence."""
    return hashlib.sha256(_EVIDENCE.sub(r"\1\3", page).encode("utf-8")).hexdigest()


def pictures(page: str) -> dict[str, bytes]:
    """The figures of one of our pages by name (PNG).

    Raises:
        InvalidInputError: one is no base64.
    """
    try:
        return {name: base64.b64decode(content, validate=True) for name, content in _PICTURE.findall(page)}
    except ValueError as error:
        raise InvalidInputError(f"a figure in it cannot be read ({error})") from error


def differences(page: str, anew: str) -> list[str]:
    """Differences of a page from the one that its evidence renders to; empty where they are equal byte for byte."""
    if page == anew:
        return []
    current, expected = _parsed(page), _parsed(anew)
    changes = _changes(expected.texts, current.texts, "the page shows")
    changes = changes or _changes(expected.elements, current.elements, "the page has the element")
    return changes or [f"the page is not what its evidence makes, from line {_line(page, anew)} on"]


def _parsed(page: str) -> _Parser:
    parser = _Parser()
    parser.feed(page)
    return parser


def _changes(expected: list[str], there: list[str], subject: str) -> list[str]:
    changes = []
    for kind, first, last, start, end in difflib.SequenceMatcher(None, expected, there, autojunk=False).get_opcodes():
        if kind != "equal":
            changes.append(
                f"{subject} {_short(there[start:end])} where its evidence makes {_short(expected[first:last])}"
            )
    more = len(changes) - _MOST
    return [*changes[:_MOST], f"and {more} more places"] if more > 0 else changes


def _short(texts: list[str]) -> str:
    text = " ".join(texts)
    return repr(text if len(text) <= 60 else text[:57] + "...") if texts else "nothing"


def _line(page: str, anew: str) -> int:
    pairs = zip(page.splitlines(), anew.splitlines(), strict=False)
    same = next((number for number, (one, other) in enumerate(pairs) if one != other), None)
    return (min(page.count("\n"), anew.count("\n")) if same is None else same) + 1
