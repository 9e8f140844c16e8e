"""Verifies reports: values against the lake, pages against the evidence, signature and position in the chain."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import jinja2
import numpy as np

from cbm_lake.errors import InvalidInputError, LakeError, SourceError, some
from cbm_lake.lake import Lake, open_lake
from cbm_lake.parcel.sources import LakeSource
from cbm_lake.report import (
    evidence,
    facts,
    figures,
    htmlpages,
    images,
    judging,
    keys,
    pages,
    pdfpages,
    rechecking,
    seals,
    words,
)
from cbm_lake.report.comparing import count, differences
from cbm_lake.report.facts import Facts
from cbm_lake.report.keys import PublicKey
from cbm_lake.show.reading import Reading

_MOST: Final = 20
"""Differences that are findings."""
_NO_PAGE: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    UnicodeError,
    ValueError,
    RecursionError,
    jinja2.TemplateError,
    SourceError,
)
"""What is raised where facts are of another form than a page needs."""
_NOTHING: Final = np.zeros((1, 1, 3), np.uint8)
"""Stands where a figure of a PDF is not there."""
_UNSAID: Final = (
    "that its notes, what a notice asks, the results of checks and who made it are as they were written, "
    "only a signature could say"
)
"""What the lake cannot say again."""
Known = str | Path | PublicKey | Sequence[str | Path | PublicKey]
"""Public keys: the files of one or of several."""


@dataclass(frozen=True)
class Verdict:
    """Result of a verification."""

    file: Path
    key: Facts
    as_of: str
    differences: tuple[str, ...]
    """What is not equal; empty when all is."""
    numbers: int
    """How many values were compared with the lake."""
    doubts: tuple[str, ...] = ()
    """What could not be verified; empty when all was."""
    notes: tuple[str, ...] = ()
    """How it was verified."""
    signature: str = "not signed"
    """By which key it is signed, and as which of its reports."""

    @property
    def equal(self) -> bool:
        """Whether everything was verified and is equal."""
        return not self.differences and not self.doubts

    @property
    def status(self) -> int:
        """Exit status: 0 equal, 1 different or forged, 2 cannot be verified."""
        return 1 if self.differences else 2 if self.doubts else 0

    def __str__(self) -> str:
        heading = (
            f"{self.file.name}: parcel {self.key['pid']} of {self.key['aoi']} {self.key['year']}, as of {self.as_of}"
        )
        ends = "".join(f"; {note}" for note in (self.signature, *self.notes))
        if self.differences:
            return f"{heading}: NOT equal: {'; '.join(self.differences)}{ends}"
        if self.doubts:
            return f"{heading}: cannot be verified: {'; '.join(self.doubts)}{ends}"
        values = f"all {self.numbers:,} values are equal" if self.numbers else "it is as it was signed"
        return f"{heading}: {values}{ends}"


@dataclass
class _Findings:
    """Collects findings during a verification."""

    differences: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    signature: str = "not signed"
    trusted: bool = False
    """Whether a known key signed it."""
    numbers: int = 0


def verify(
    file: str | Path,
    *,
    url: str | None = None,
    key: Known | None = None,
    redraw: bool = True,
    recheck: bool = True,
    lake: Lake | bool | None = None,
) -> Verdict:
    """Verify a report against its evidence, its signature, and the lake as of that timestamp.

    The pages are rendered again from the evidence, and what a reader sees is compared: texts, images, all else that
    is drawn. With a lake every number is recomputed too, and the figures are redrawn.

    Args:
        file: a report, .pdf or .html, or its evidence alone, .json.
        url: of the lake; without it the workspace's.
        key: files of the public keys, by one of which it must be signed; None takes those of the workspace, if it is
            signed at all.
        redraw: whether figures are redrawn too, which takes seconds.
        recheck: whether the crop check is repeated from what it read, which takes as long as that did.
        lake: the lake that is asked, or whether that of the url is; None asks it unless a key is given and no url.

    Raises:
        SourceError: the file, or that of a key, cannot be read.
        InvalidInputError: it holds no evidence, or that of another version, or of which no page can be set.
    """
    path, asked = Path(file), lake
    if isinstance(lake, Lake):
        url, asked = lake.url, True
    content = evidence.content_of(path)
    document = evidence.parse(path, content)
    findings = _Findings()
    findings.differences += evidence.tampering(document)
    _signature(path, document, keys.read_all(key), findings)
    with_lake = (url is not None or key is None) if asked is None else asked
    _page(path, content, document, findings)
    if with_lake and open_lake(url).is_empty:
        findings.doubts.append(
            "there is no lake here to compare its values with; give the agency's public key, or say where the lake is"
        )
    elif with_lake:
        _values(document, url, findings)
        findings.notes += [] if findings.trusted else [_UNSAID]
        if redraw and document["format"] != evidence.OLD:
            _drawn_again(document, url, findings)
        if recheck:
            repeated = rechecking.repeat(document, url)
            findings.differences += repeated.differences
            findings.notes += repeated.notes
    elif not findings.trusted:
        findings.doubts.append(
            "without a lake and without a signature by a known key nothing says that its values are right"
        )
    more = len(findings.differences) - _MOST
    first_ones = [*findings.differences[:_MOST], f"and {more} more"] if more > 0 else findings.differences
    return Verdict(
        path,
        document["key"],
        document["as_of"],
        tuple(first_ones),
        findings.numbers,
        tuple(findings.doubts),
        tuple(findings.notes),
        findings.signature,
    )


def verify_chain(
    files: Iterable[str | Path], *, key: Known | None = None, register: str | Path | None = None
) -> list[str]:
    """Verify a chain of reports: detects missing, reordered, changed or foreign-signed ones.

    Args:
        files: reports; those of one report in several formats count once.
        key: files of the public keys of the agency; None takes those of the workspace.
        register: the agency's register of reports, against which they are held too; None is without.

    Returns:
        One text for each break; empty if there is none.

    Raises:
        SourceError: a file cannot be read.
        InvalidInputError: it holds no evidence, or the register no statements.
    """
    trusted = keys.read_all(key) if key is not None else keys.listed()
    links_of = {path: seals.link_of(evidence.read(path), path.name) for path in map(Path, files)}
    findings = [f"{path.name} is not signed" for path, link in links_of.items() if link is None]
    links = [link for link in links_of.values() if link is not None]
    findings += seals.broken(links, trusted)
    if register is not None:
        entries = seals.registered(Path(register))
        findings += seals.broken(entries, trusted)
        findings += (
            [] if not entries or min(entry.number for entry in entries) == 1 else ["the register lacks its first lines"]
        )
        findings += seals.unregistered(links, entries)
    return findings


# -- the signature ----------------------------------------------------------------------------------------------------


def _signature(path: Path, document: Facts, trusted: Sequence[PublicKey], findings: _Findings) -> None:
    """Check whether the report is signed, by whom, and whether the signature is valid."""
    link = seals.link_of(document, path.name)
    names = {one.raw for one in trusted or keys.listed()}
    if link is None:
        if document["format"] != evidence.OLD and document["page"]["signer"]:
            findings.differences.append("the signature was taken away")
        elif trusted:
            findings.differences.append("it is not signed, and a key was given by which it should be")
        return
    findings.signature = f"signed by the key {link.public.name} as number {link.number}"
    if not link.holds:
        findings.differences.append("the signature does not hold: evidence or page were changed after it was signed")
    elif link.public.raw in names:
        findings.trusted = True
    elif trusted:
        findings.differences.append(f"it is signed by another key ({link.public.name}), not by {_named(trusted)}")
    else:
        findings.doubts.append(f"the key {link.public.name} is not known here; give the agency's public key")


def _named(trusted: Sequence[PublicKey]) -> str:
    return some(one.name for one in trusted)


# -- the page ---------------------------------------------------------------------------------------------------------


def _page(path: Path, content: bytes, document: Facts, findings: _Findings) -> None:
    """Check that the rendered page shows the evidence."""
    form = path.suffix.lower().removeprefix(".")
    if document["format"] == evidence.OLD:
        findings.doubts.append(
            "an earlier version of cbm-lake made it, whose evidence does not hold its pages; make it anew"
        )
        return
    changes = _differences_of_page(path, content, document)
    if changes is None:
        return
    if not changes:
        findings.notes.append("the page is the one that its evidence makes")
    elif findings.trusted and _is_signed(form, content, document):
        findings.notes.append(f"the page is the one that was signed, set with {_tools(document['tools'])}")
    elif findings.trusted or evidence.of_pages(document["tools"]) == evidence.of_pages(evidence.tools()):
        findings.differences += changes
    else:
        here, there = (_tools(evidence.of_pages(tools)) for tools in (evidence.tools(), document["tools"]))
        findings.doubts.append(
            f"the page was set with {there}, and looks otherwise when set here with {here}: {changes[0]}"
        )


def _differences_of_page(path: Path, content: bytes, document: Facts) -> list[str] | None:
    """Differences of a page from its rendered evidence; None if there is no page.

    Raises:
        InvalidInputError: the evidence makes none.
    """
    try:
        texts = words.of(document)
        if path.suffix.lower() == ".html":
            return _html(content.decode("utf-8"), document, texts)
        return _pdf(content, document, texts) if path.suffix.lower() == ".pdf" else None
    except _NO_PAGE as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise InvalidInputError(
            f"{path} holds evidence of which no page can be set ({reason}); is it a report?"
        ) from error


def _html(page: str, document: Facts, texts: Facts) -> list[str]:
    pictures = htmlpages.pictures(page)
    pixels = {name: images.digest_of_pixels(images.decoded(content)) for name, content in pictures.items()}
    files = {name: images.digest_of_file(content) for name, content in pictures.items()}
    findings = [
        f"the figure {name} was changed" if name in pictures else f"the figure {name} is not there"
        for name, digest in document["pictures"].items()
        if files.get(name) != digest or pixels.get(name) != document["pixels"].get(name)
    ]
    there = {name: pictures.get(name, b"") for name in document["pictures"]}
    return [*findings, *htmlpages.differences(page, pages.html(texts, there, document))]


def _pdf(content: bytes, document: Facts, texts: Facts) -> list[str]:
    try:
        there = pdfpages.read(content)
    except InvalidInputError as error:
        return [f"the pages are none of a report: {error}"]
    pixels_of = {images.digest_of_pixels(pixels): pixels for pixels in there.pictures}
    findings = [
        f"the figure {name} was changed, or is not there"
        for name, digest in document["pixels"].items()
        if digest not in pixels_of
    ]
    more = len(set(pixels_of) - set(document["pixels"].values()))
    findings += [f"{more} pictures are not of the evidence"] if more else []
    pictures = {name: images.encoded(pixels_of.get(digest, _NOTHING)) for name, digest in document["pixels"].items()}
    anew = pages.pdf(texts, pictures, document)
    return findings if content == anew else findings + pdfpages.differences(there, pdfpages.read(anew))


def _is_signed(form: str, content: bytes, document: Facts) -> bool:
    """Whether a page that renders differently here is the signed one: other versions, or saved again."""
    may_differ = form == "pdf" or evidence.of_pages(document["tools"]) != evidence.of_pages(evidence.tools())
    signed = document[evidence.SEAL]["rendered"].get(form)
    return may_differ and bool(signed) and signed == _digest(form, content)


def _digest(form: str, content: bytes) -> str:
    """Digest of a page as it is signed; "" if content was appended."""
    try:
        return pdfpages.digest(content) if form == "pdf" else htmlpages.digest(content.decode("utf-8"))
    except InvalidInputError:
        return ""


def _tools(tools: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in tools.items() if version)


# -- the lake ---------------------------------------------------------------------------------------------------------


def _values(document: Facts, url: str | None, findings: _Findings) -> None:
    """Compare the facts with the lake as of that timestamp."""
    try:
        source, for_farmer = LakeSource(facts.open_at(document["as_of"], url)), "notice" in document["others"]
        with_shares = facts.says_shares(document["facts"])
        again = facts.gather(source, document["key"], for_farmer=for_farmer, with_shares=with_shares)
    except SourceError as error:
        findings.doubts.append(f"the lake cannot be read: {error}")
        return
    except LakeError as error:
        findings.differences.append(f"the lake cannot say it again: {error}")
        return
    findings.differences += differences(document["facts"], again)
    findings.differences += judging.altered(document["facts"].get("judgements"), document["key"], source.lake.at(None))
    findings.numbers = count(again)


def _drawn_again(document: Facts, url: str | None, findings: _Findings) -> None:
    """Redraw the figures from the lake as of that timestamp and compare them, where possible."""
    tms = document["page"]["tms"]
    try:
        lake = facts.open_at(document["as_of"], url)
        with tempfile.TemporaryDirectory() as scratch:
            how = {"with_peers": "notice" not in document["others"], "is_checked": "crop_check" in document["facts"]}
            pictures, missing, _ = figures.draw(Reading.of(lake), document["key"], Path(scratch), tms, **how)
    except LakeError as error:
        findings.notes.append(f"pictures were compared with their digests, as the lake cannot draw them again: {error}")
        return
    again = {name: images.digest_of_pixels(images.decoded(content)) for name, content in pictures.items()}
    others = {name for name in again if name == "place" and tms.lower() != "sentinel"}
    changed = [
        name for name, digest in document["pixels"].items() if name not in others and again.get(name, digest) != digest
    ]
    alone = sorted({*others, *missing} & set(document["pixels"]))
    hidden = sorted(set(document["page"]["missing"]) & set(again) - others)
    if changed and document["tools"] == evidence.tools():
        findings.differences += [f"the figure {name} is not the one that the lake draws" for name in changed]
    elif changed:
        alone += changed
    findings.notes.append("pictures are equal to those drawn anew" if not alone else _by_digest(alone))
    if hidden:
        findings.notes.append(f"the report leaves out {some(hidden)}, which the lake draws now")


def _by_digest(names: Sequence[str]) -> str:
    return f"the pictures {some(names)} were compared with the digests in the evidence, the others drawn anew"
