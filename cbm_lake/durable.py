"""Files that appear whole or not at all, and that outlast a loss of power.

A file gets its name only when its bytes are on the disk, and a write has ended only when the name is there too. Object
stores do both by themselves; this is for local folders.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PRIVATE = 0o600
_USUAL = 0o666
"""The rights of a new file before the user's umask takes some away."""


def sync(files: Iterable[str | Path]) -> None:
    """Wait until files and their names are on the disk: each file once, then each of their folders once.

    Raises:
        OSError: the disk does not take them.
    """
    paths = [Path(file) for file in files]
    for path in paths:
        _sync(path)
    for folder in dict.fromkeys(path.parent for path in paths):
        _sync_folder(folder)


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it that are missing, with their names on the disk.

    Args:
        folder: what is to be there.
        mode: rights of the folders that are made, before the umask.

    Raises:
        OSError: they cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=mode, exist_ok=True)
        _sync_folder(path.parent)


@contextmanager
def replacing(file: Path, *, private: bool = False) -> Iterator[Path]:
    """A draft in the same folder, with the same suffix, that becomes the file when the block ends without an error.

    Args:
        file: the name that the draft gets; what has that name already is replaced.
        private: whether the owner alone may read it.

    Raises:
        OSError: the folder or the disk does not take it; what was there before stays.
    """
    make_folder(file.parent)
    draft = file.with_name(f".{uuid.uuid4().hex}{file.suffix}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE if private else _USUAL))
        yield draft
        _sync(draft)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(file.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":  # where a folder cannot be opened, and names are written through
        _sync(folder)
