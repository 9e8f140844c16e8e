"""Atomic and durable writes of local files, which survive a loss of power.

A file gets its name only when its bytes are on the disk, and a write has ended only when the name is there too. Object
stores do both by themselves; this is for local folders.
"""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PRIVATE = 0o600
_USUAL = 0o666
"""The rights of a new file before the user's umask takes some away."""
_AT_ONCE: Final = 16
"""Files that are synced at once."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""What file systems say that have no hard links."""
_NO_FOLDERS: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems say, of networks above all, that sync files only: their servers see to the names themselves."""


@dataclass(frozen=True)
class Draft:
    """A file without its name yet; see `drafting`."""

    path: Path

    def publish(self, name: str) -> Path:
        """Give the draft its name in its folder, once its bytes are on the disk; what had that name is replaced."""
        file = self.path.with_name(name)
        _sync(self.path)
        self.path.replace(file)
        _sync_folder(file.parent)
        return file


@contextmanager
def drafting(folder: Path, suffix: str, *, private: bool = False) -> Iterator[Draft]:
    """An empty draft in a folder, for a file whose name is known only when it is written; it goes away unpublished.

    Args:
        folder: where the file is to be; made where it is missing.
        suffix: how the name of the draft ends.
        private: whether the owner alone may read it.

    Raises:
        OSError: the folder or the disk does not take it.
    """
    make_folder(folder)
    path = folder / f".{uuid.uuid4().hex}{suffix}"
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE if private else _USUAL))
        yield Draft(path)
    finally:
        path.unlink(missing_ok=True)


def sync(files: Iterable[str | Path]) -> None:
    """Wait until files, or folders, and their names are on the disk: each once, then each of their folders once.

    Raises:
        OSError: the disk does not take them.
    """
    paths = [Path(file) for file in files]
    folders = dict.fromkeys(path.parent for path in paths).keys() - paths
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a disk takes many at once in little more time than one
        list(pool.map(lambda path: _sync_folder(path) if path.is_dir() else _sync(path), paths))
        list(pool.map(_sync_folder, folders))


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


def move(draft: Path, target: Path) -> None:
    """Give a file, or a folder of files, its name on the same disk once its bytes are there; a file is replaced.

    Raises:
        OSError: the disk does not take it, or a folder that is not empty has the name.
    """
    sync([*draft.rglob("*"), draft])
    draft.replace(target)
    _sync_folder(target.parent)


def publish(drafts: Mapping[Path, Path]) -> None:
    """Give drafts their names together, once the bytes of all are on the disk; what has a name is replaced.

    Args:
        drafts: where each file is to be, in the order in which they get their names, by the draft on the same disk.

    Raises:
        OSError: the disk does not take them.
    """
    sync(drafts)
    for draft, file in drafts.items():
        draft.replace(file)
    sync(drafts.values())


@contextmanager
def replacing(file: Path, *, private: bool = False) -> Iterator[Path]:
    """A draft in the same folder, with the same suffix, that becomes the file when the block ends without an error.

    Args:
        file: the name that the draft gets; what has that name already is replaced.
        private: whether the owner alone may read it.

    Raises:
        OSError: the folder or the disk does not take it; what was there before stays.
    """
    with drafting(file.parent, file.suffix, private=private) as draft:
        yield draft.path
        draft.publish(file.name)


def create(file: Path, content: bytes, *, private: bool = False) -> bool:
    """Write a file under a name that nothing has yet: of several writers at once exactly one gets it.

    Args:
        file: the name.
        content: of the file.
        private: whether the owner alone may read it.

    Returns:
        False where something has that name; it stays as it is.

    Raises:
        OSError: the folder or the disk does not take it.
    """
    with drafting(file.parent, file.suffix, private=private) as draft:
        draft.path.write_bytes(content)
        _sync(draft.path)
        try:
            os.link(draft.path, file)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not _claim(file, content, private=private):
                return False
    _sync_folder(file.parent)
    return True


def _claim(file: Path, content: bytes, *, private: bool) -> bool:
    """The same where there are no hard links: a loss of power may leave the name without its bytes."""
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE if private else _USUAL)
    except FileExistsError:
        return False
    try:
        with os.fdopen(handle, "wb") as target:
            target.write(content)
        _sync(file)
    except OSError:
        file.unlink(missing_ok=True)  # the name is this writer's, and would stand for half a file
        raise
    return True


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # where a folder cannot be opened, and names are written through
        return
    try:
        _sync(folder)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
