"""The evidence of a report: its facts as JSON with hashes, embedded in the PDF or HTML file and read back from it."""

from __future__ import annotations

import hashlib
import io
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from cbm_lake import show
from cbm_lake.errors import InvalidInputError, SourceError, of_extra
from cbm_lake.files.documents import read_json
from cbm_lake.report import facts, images
from cbm_lake.report.facts import Facts

NAME: Final = "evidence.json"
ELEMENT: Final = "cbm-lake-evidence"
"""The id of the script element that holds it in HTML."""
SEAL: Final = "seal"
"""Key of the signature; see `seals`."""
OLD: Final = 1
"""The format of evidence that says nothing of its pages."""
_LARGEST: Final = 200_000_000
"""Bytes of a report at most."""
TEMPLATES: Final = ("page.html", "page.typ")
"""Of the pages, beside this file."""
_TOOLS: Final = ("cbm-lake", "jinja2", "matplotlib", "typst")
"""What pages and figures are set with."""
_SHAPE: Final[dict[str, type]] = {
    "format": int,
    "key": dict,
    "as_of": str,
    "snapshot": dict,
    "facts": dict,
    "others": dict,
    "pictures": dict,
    "sha256": str,
    "sha256_of_facts": str,
}
_KEY: Final[dict[str, type]] = {"aoi": str, "year": int, "ptype": str, "pid": str}
_PAGE: Final[dict[str, type]] = {"maker": str, "missing": dict, "tms": str, "signer": str}
FIGURES: Final = ("place", "ndvi", "bands", "radar", "calendar", "crop")
"""The figures of a report by their names."""
_YEARS: Final = range(1, 10_000)


@dataclass(frozen=True)
class Page:
    """Page options that are not facts of the lake."""

    maker: str
    """Who made the report."""
    missing: dict[str, str]
    """Figures that could not be drawn, and why."""
    tms: str
    """The background under the geometry."""
    signer: str = ""
    """The name of the key by which it is signed; empty where it is not."""


def seal(
    key: Facts, moment: str, snapshot: Facts, values: Facts, others: Facts, pictures: dict[str, bytes], page: Page
) -> Facts:
    """Seal the evidence of a report with hashes.

    Args:
        key: aoi, year, ptype, pid.
        moment: timestamp as of which the lake was read.
        snapshot: versions of its tables then.
        values: what can be recomputed.
        others: what cannot: notes, results of checks that are replaced when they are made again.
        pictures: the figures of the report by name (PNG).
        page: page options.
    """
    sealed = {
        "format": facts.FORMAT,
        "key": key,
        "as_of": moment,
        "snapshot": snapshot,
        "facts": values,
        "others": others,
        "pictures": {name: images.digest_of_file(content) for name, content in pictures.items()},
        "pixels": {name: images.digest_of_pixels(images.decoded(content)) for name, content in pictures.items()},
        "page": {"maker": page.maker, "missing": page.missing, "tms": page.tms, "signer": page.signer},
        "tools": tools(),
        "sha256_of_facts": facts.digest(values),
    }
    return {**sealed, "sha256": facts.digest(sealed)}


def tools() -> dict[str, str]:
    """Versions of what renders pages and figures (libraries, templates, code); others may render differently."""
    versions = {"machine": platform.machine()}
    for name in _TOOLS:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ""
    templates = b"".join(files(__package__).joinpath(name).read_bytes() for name in TEMPLATES)
    code = (file for file in files(show).iterdir() if file.name.endswith(".py"))
    drawing = b"".join(file.read_bytes() for file in sorted(code, key=lambda file: file.name))
    return {**versions, "templates": _short(templates), "drawing": _short(drawing)}


def of_pages(tools: dict[str, str]) -> dict[str, str]:
    """Those that pages are set with: figures come to pages as they were drawn."""
    return {name: version for name, version in tools.items() if name != "drawing"}


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


def without_seal(document: Facts) -> Facts:
    """The evidence without its seal."""
    return {name: value for name, value in document.items() if name != SEAL}


def tampering(document: Facts) -> list[str]:
    """Check the evidence against its hashes; returns the problems, none if it is intact."""
    without = {name: value for name, value in document.items() if name not in ("sha256", SEAL)}
    problems = (
        [] if facts.digest(without) == document["sha256"] else ["the evidence was changed after it was made (sha256)"]
    )
    if facts.digest(document["facts"]) != document["sha256_of_facts"]:
        problems.append("the facts were changed after they were made (sha256_of_facts)")
    return problems


def read(path: Path) -> Facts:
    """Read the evidence with its seal from a file.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: it contains no evidence, several, or invalid evidence.
    """
    return parse(path, content_of(path))


def content_of(path: Path) -> bytes:
    """Read the bytes of a report file.

    Raises:
        SourceError: the file cannot be read.
        InvalidInputError: it is of another kind or size than a report.
    """
    if path.suffix.lower() not in _READERS:
        raise InvalidInputError(f"{path} is no report; give a .pdf, a .html, or the .json of its evidence")
    try:
        if path.stat().st_size > _LARGEST:
            raise InvalidInputError(f"{path} has more than {_LARGEST:,} bytes; no report of ours has")
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}; check the path") from error


def parse(path: Path, content: bytes) -> Facts:
    """Parse the evidence with its seal from the bytes of a file.

    Raises:
        InvalidInputError: it contains no evidence, several, or invalid evidence.
    """
    try:
        document = read_json(_READERS[path.suffix.lower()](content))
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInputError(f"{path} holds no evidence that can be read ({reason}); is it a report?") from error
    wrong = _oddity(document)
    if wrong:
        raise InvalidInputError(f"{path} holds no evidence of this form ({wrong}); ask who made it for another copy")
    return dict(document)


def _oddity(document: Any) -> str:
    """The reason why a document is no evidence; "" if it is."""
    if not isinstance(document, dict):
        return "it is no object"
    wrong = _ill_typed(document, _SHAPE) or _ill_typed(document["key"], _KEY)
    if wrong or document["format"] not in (OLD, facts.FORMAT):
        return wrong or f"its format is {str(document['format'])[:20]}, not {facts.FORMAT}; another version made it"
    if document["key"]["year"] not in _YEARS or not _is_moment(document["as_of"]):
        return "key.year is no year, or as_of no moment"
    if document["format"] == OLD:
        return ""
    wrong = _ill_typed(document, {"page": dict, "pixels": dict, "tools": dict}) or _ill_typed(document["page"], _PAGE)
    if not wrong and not {*document["pictures"], *document["pixels"], *document["page"]["missing"]} <= set(FIGURES):
        return "it names figures that no report has"
    named = [] if wrong else [document["pictures"], document["pixels"], document["page"]["missing"]]
    texts = all(isinstance(value, str) for values in named for value in values.values())
    return wrong or ("" if texts else "what it says of a figure is no text")


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _ill_typed(document: Facts, shape: dict[str, type]) -> str:
    """The first field that is missing or of the wrong type."""
    return next(
        (f"{name} is no {kind.__name__}" for name, kind in shape.items() if type(document.get(name)) is not kind), ""
    )


# -- where it stands --------------------------------------------------------------------------------------------------


def _from_pdf(content: bytes) -> str:
    from cbm_lake.report import pdfpages

    with of_extra("report", "reading a PDF"):
        from pypdf import PdfReader
    with pdfpages.readable():
        attached = PdfReader(io.BytesIO(content)).attachments
        attachments = [(name, list(contents)) for name, contents in attached.items()]
    ours = [contents for name, contents in attachments if name == NAME]
    if not ours:
        raise InvalidInputError(f"no attachment {NAME}")
    if len(ours) + len(ours[0]) > 2:
        raise InvalidInputError(f"several attachments {NAME}")
    return bytes(ours[0][0]).decode("utf-8")


class _Scripts(HTMLParser):
    """Collects the text of script elements with our id."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag == "script" and dict(attrs).get("id") == ELEMENT
        if self._inside:
            self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "script"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts[-1] += data


def _from_html(content: bytes) -> str:
    scripts = _Scripts()
    scripts.feed(content.decode("utf-8"))
    if len(scripts.texts) > 1:
        raise InvalidInputError("several elements of evidence")
    return "".join(scripts.texts)


def _from_json(content: bytes) -> str:
    return content.decode("utf-8")


_READERS: Final[dict[str, Callable[[bytes], str]]] = {".pdf": _from_pdf, ".html": _from_html, ".json": _from_json}


def attached(document: Facts) -> str:
    """Serialize the evidence for a script element, with </script> escaped."""
    return json.dumps(document).replace("<", "\\u003c")
