"""The hint next to a local log: number of the last entry, and the digests of checkpoints.

The loss of the last entry of a log leaves no gap. So every commit records its number in a separate file, `_last_entry`,
once the entry is on disk. It is a hint: it may lag behind where a writer was interrupted, but never runs ahead, and
copies of a log leave it out. A lake in an object store has none.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from cbm_lake.files import digests

NAME: Final = "_last_entry"


@dataclass(frozen=True)
class Hint:
    """What was noted last."""

    version: int = -1
    """Number of the entry."""
    digest: str = ""
    """Of the entry."""
    sums: Mapping[str, str] = field(default_factory=dict)
    """Digest of each checkpoint by its name."""


def parsed(content: bytes) -> Hint:
    """What the bytes of a hint say.

    Raises:
        ValueError: they are not what was written.
    """
    text, _, digest = content.decode().rstrip("\n").rpartition("\n")
    if not text or digests.computed(text.encode()) != digest or not content.endswith(b"\n"):
        raise ValueError("it is cut or was changed")
    fields = json.loads(text)
    return Hint(int(fields["version"]), str(fields["digest"]), dict(fields["sums"]))


def note_entry(log: Path, version: int, content: bytes) -> None:
    """Note that an entry is the last one."""
    _write(log, replace(read(log), version=version, digest=digests.computed(content)))


def note_sum(log: Path, name: str) -> None:
    """Note the digest of a checkpoint."""
    with suppress(OSError):
        while True:
            digest = digests.computed((log / name).read_bytes())
            hint = read(log)
            _write(log, replace(hint, sums={**hint.sums, name: digest}))
            if digests.computed((log / name).read_bytes()) == digest:
                return  # another writer checkpointed the same version


def read(log: Path) -> Hint:
    """What was noted last in the folder of a log; where nothing of use was, the empty hint."""
    try:
        return parsed((log / NAME).read_bytes())
    except (OSError, ValueError, KeyError):
        return Hint()


def _write(log: Path, hint: Hint) -> None:
    """Replace the hint; where the disk does not take it, the old one stays, for what it is of is done."""
    text = json.dumps({"version": hint.version, "digest": hint.digest, "sums": dict(hint.sums)})
    draft = log / f".{uuid.uuid4().hex}"
    with suppress(OSError):
        try:
            draft.write_text(f"{text}\n{digests.computed(text.encode())}\n")
            draft.replace(log / NAME)
        finally:
            draft.unlink(missing_ok=True)
