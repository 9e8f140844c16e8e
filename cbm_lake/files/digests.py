"""Digests of files: computed while writing, recorded in the name, and verified by `cbm-lake check --deep`.

    with open(draft, "wb") as file:
        target = digests.Target(file)
        pq.write_table(rows, target)
    name = digests.named("part-1", target.digest)       part-1-b2<32 hexadecimal digits>.parquet
    digests.recorded(name) == digests.computed(file)    unless a bit has turned

A name without a digest is that of a file which an earlier version wrote.
"""

from __future__ import annotations

import hashlib
import io
import re
from typing import IO, Any, Final

import pyarrow as pa

_IN_NAME: Final = re.compile(r"-b2([0-9a-f]{32})\.\w+$")
_BLOCK: Final = 1 << 20


def named(stem: str, digest: str, suffix: str = ".parquet") -> str:
    """The name of a file with its digest on record."""
    return f"{stem}-b2{digest}{suffix}"


def recorded(name: str) -> str | None:
    """The digest that a file has by its name or path; None where the name has none."""
    match = _IN_NAME.search(name)
    return match[1] if match else None


def computed(content: bytes | IO[bytes] | pa.NativeFile) -> str:
    """The digest of bytes, or of what is left to read of an open file: BLAKE2b of 16 bytes, in hexadecimal."""
    hasher = _hasher()
    if isinstance(content, bytes):
        hasher.update(content)
        return hasher.hexdigest()
    while block := content.read(_BLOCK):
        hasher.update(block)
    return hasher.hexdigest()


class Target(io.RawIOBase):
    """A file open for writing that knows its digest and size; bytes come in order, as Parquet's do."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self._hasher = _hasher()
        self.size = 0
        """Bytes written."""

    @property
    def digest(self) -> str:
        """Of all bytes written."""
        return self._hasher.hexdigest()

    def writable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next bytes go."""
        return self.size

    def write(self, block: Any, /) -> int:
        """Add bytes."""
        view = memoryview(block)
        self._file.write(view)
        self._hasher.update(view)
        self.size += view.nbytes
        return view.nbytes


def _hasher() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)
