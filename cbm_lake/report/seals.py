"""Signatures of reports and their hash chain: each names its predecessor, so that a missing or moved one is detected.

    content      SHA-256 of the evidence and of the digests of its pages
    statement    {"content", "key": name of the key, "number": 1, 2, …, "previous": SHA-256 of the statement before}
    signature    Ed25519 of "cbm-lake report" and the statement as canonical JSON

The statements of a workspace stand, one a line, in data/reports/register.jsonl. A line is added before the files of its
report are written, by one process at a time.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from cbm_lake.config import Workspace
from cbm_lake.errors import ConfigError, InvalidInputError, SourceError
from cbm_lake.files import durable
from cbm_lake.files.documents import read_json
from cbm_lake.report import facts
from cbm_lake.report.evidence import SEAL, without_seal
from cbm_lake.report.facts import Facts
from cbm_lake.report.keys import PublicKey, Signer

_DOMAIN: Final = b"cbm-lake report\n"
"""Prefix of signed messages (domain separation), so that other signatures by the same key are not valid here."""
_SHAPE: Final = {"rendered": dict, "number": int, "previous": str, "public": str, "signature": str}
_LONGEST: Final = 16_384
"""Bytes of a line of the register at most."""
_WAIT: Final = 120
"""Seconds for another process that signs."""


@dataclass(frozen=True)
class Link:
    """Signed statement of a report in the chain."""

    content: str
    key: str
    number: int
    previous: str
    public: PublicKey
    signature: bytes
    label: str
    """Names the report or the line of the register, for messages."""

    @property
    def statement(self) -> Facts:
        """The signed fields."""
        return {"content": self.content, "key": self.key, "number": self.number, "previous": self.previous}

    @property
    def digest(self) -> str:
        """SHA-256 of the statement, by which the next report names this one."""
        return facts.digest(self.statement)

    @property
    def holds(self) -> bool:
        """Whether the signature is valid for this statement and its public key."""
        message = _DOMAIN + facts.text(self.statement).encode("ascii")
        return self.key == self.public.name and self.public.verifies(self.signature, message)


def content_of(sealed: Facts, rendered: dict[str, str]) -> str:
    """SHA-256 of the evidence and of the rendered pages."""
    return facts.digest({"evidence": sealed, "rendered": rendered})


def sign(sealed: Facts, rendered: dict[str, str], signer: Signer) -> Facts:
    """Sign the evidence and append its statement to the register.

    Args:
        sealed: the evidence.
        rendered: digests of its pages by their formats.
        signer: the key.

    Raises:
        ConfigError: the register cannot be read or written.
    """
    file = register()
    try:
        durable.make_folder(file.parent)
        with FileLock(file.with_suffix(".lock"), timeout=_WAIT):
            before = _last(file)
            statement = {
                "content": content_of(sealed, rendered),
                "key": signer.public.name,
                "number": before.number + 1 if before else 1,
                "previous": before.digest if before else "",
            }
            signature = base64.b64encode(signer.sign(_DOMAIN + facts.text(statement).encode("ascii"))).decode("ascii")
            public = base64.b64encode(signer.public.raw).decode("ascii")
            _append(file, {**statement, "public": public, "signature": signature, "report": sealed["key"]})
    except (OSError, Timeout) as error:
        raise ConfigError(f"{file} cannot be written ({error}); check its rights and free space") from error
    seal = {
        "rendered": rendered,
        "number": statement["number"],
        "previous": statement["previous"],
        "public": public,
        "signature": signature,
    }
    return {**sealed, SEAL: seal}


def link_of(document: Facts, label: str) -> Link | None:
    """Read the statement of a report from its evidence; None if it is not signed.

    Raises:
        InvalidInputError: its seal is invalid.
    """
    seal = document.get(SEAL)
    if seal is None:
        return None
    if not isinstance(seal, dict) or any(type(seal.get(name)) is not kind for name, kind in _SHAPE.items()):
        raise InvalidInputError(f"{label} has a seal that is none; ask who made it for another copy")
    sealed = without_seal(document)
    signer = sealed["page"]["signer"] if isinstance(sealed.get("page"), dict) else ""
    return _link({**seal, "content": content_of(sealed, seal["rendered"]), "key": signer}, label)


def _link(row: Facts, label: str) -> Link:
    try:
        public = PublicKey(base64.b64decode(row["public"], validate=True), label)
        signature = base64.b64decode(row["signature"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(
            f"{label} has a seal that is none ({error}); ask who made it for another copy"
        ) from error
    if len(public.raw) != 32 or len(signature) != 64:
        raise InvalidInputError(f"{label} has a seal that is none (no Ed25519); ask who made it for another copy")
    return Link(row["content"], row["key"], row["number"], row["previous"], public, signature, label)


# -- the register -----------------------------------------------------------------------------------------------------


def register() -> Path:
    """Path of the workspace's register of statements."""
    return Workspace.here().data / "reports" / "register.jsonl"


def registered(file: Path) -> list[Link]:
    """Read the statements of a register.

    Raises:
        SourceError: it cannot be read.
        InvalidInputError: a line is invalid.
    """
    try:
        lines = file.read_text("utf-8").split("\n")
    except (OSError, UnicodeError) as error:
        raise SourceError(f"the register {file} cannot be read ({error}); restore it from a backup") from error
    if lines[-1] and not _is_row(lines[-1]):
        lines[-1] = ""  # half a line of a process that was ended while it wrote: its report was never written
    return [_registered(line, f"{file}, line {number}") for number, line in enumerate(lines, 1) if line]


def _registered(line: str, label: str) -> Link:
    try:
        row = read_json(line)
    except InvalidInputError as error:
        raise InvalidInputError(f"{label} is no statement ({error}); restore the register from a backup") from error
    texts = ("content", "key", "previous", "public", "signature")
    if (
        not isinstance(row, dict)
        or type(row.get("number")) is not int
        or not all(isinstance(row.get(name), str) for name in texts)
    ):
        raise InvalidInputError(f"{label} is no statement; restore the register from a backup")
    return _link(row, label)


def _is_row(line: str) -> bool:
    try:
        return isinstance(read_json(line), dict)
    except InvalidInputError:
        return False


def _last(file: Path) -> Link | None:
    """The newest statement."""
    end = _end(file)
    if not end:
        return None
    with file.open("rb") as stream:
        stream.seek(max(0, end - _LONGEST))
        line = stream.read(end - stream.tell()).rstrip(b"\n").rpartition(b"\n")[2]
    return _registered(line.decode("utf-8", "replace"), f"{file}, the last line")


def _end(file: Path) -> int:
    """Offset of the end of the last complete line; a partial line may follow."""
    if not file.exists():
        return 0
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - _LONGEST))
        start = stream.tell()
        return start + stream.read().rfind(b"\n") + 1


def _append(file: Path, row: Facts) -> None:
    """Append a line after the last complete one."""
    end = _end(file)
    with file.open("r+b" if file.exists() else "wb") as stream:
        stream.seek(end)
        stream.truncate()
        stream.write(json.dumps(row, sort_keys=True).encode("ascii") + b"\n")
    durable.sync([file])


# -- the chain --------------------------------------------------------------------------------------------------------


def broken(links: Iterable[Link], trusted: Sequence[PublicKey]) -> list[str]:
    """Check a chain of statements for missing, duplicate, reordered or unsigned ones.

    Args:
        links: the statements, in any order.
        trusted: the public keys whose signatures count.
    """
    ordered = sorted(links, key=lambda link: link.number)
    names = {key.raw for key in trusted}
    problems = [f"{link.label}: its signature does not hold" for link in ordered if not link.holds]
    problems += [
        f"{link.label} is signed by another key ({link.public.name})"
        for link in ordered
        if link.public.raw not in names
    ]
    return problems + [text for pair in pairwise(ordered) for text in _step(*pair)]


def _step(before: Link, after: Link) -> list[str]:
    """Problems between two consecutive statements."""
    if after.number == before.number:
        same = after.digest == before.digest
        return [] if same else [f"{before.label} and {after.label} are both number {after.number}"]
    if after.number > before.number + 1:
        return [f"{_missing(before.number + 1, after.number - 1)} not there, before {after.label}"]
    return [] if after.previous == before.digest else [f"{after.label} does not follow {before.label}"]


def _missing(first: int, last: int) -> str:
    return f"number {first} is" if first == last else f"numbers {first} to {last} are"


def unregistered(links: Sequence[Link], entries: Sequence[Link]) -> list[str]:
    """Reports that are missing from a register, or differ from it."""
    there: dict[int, Any] = {entry.number: entry.digest for entry in entries}
    return [
        f"{link.label} (number {link.number}) is not the report of that number in the register"
        for link in links
        if there.get(link.number) != link.digest
    ]
