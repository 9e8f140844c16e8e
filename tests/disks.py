"""A disk whose power can be lost: what of a folder would be there afterwards, by what was synced and what was not.

Python's fsync is listened to. What it was called for is on the disk from then on: the bytes of a file, or the names in
a folder. Of all else nobody can say: a name may be there or not, and a file may be empty, cut or whole.
"""

import os
import random
import stat
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest


@dataclass(frozen=True)
class Cut:
    """A moment at which the power may go."""

    step: int
    """How many commands had said that they are done."""
    names: dict
    """Of each synced folder: the inode of each name, None for a folder."""
    contents: dict
    """Of each synced inode: its bytes."""
    there: dict
    """What a program saw then, by path: inode and bytes, None for a folder."""

    def survivors(self, kind, seed=0):
        """Files and folders after the loss, by path: bytes, None for a folder.

        Args:
            kind: "synced": nothing but what was synced; "named": every name, but no bytes that were not synced;
                "some": some of what was not synced.
            seed: decides which.
        """
        found = {}
        self._descend(Path(), kind, random.Random(seed), found)  # noqa: S311 - no secret
        return found

    def _descend(self, folder, kind, chance, found):
        synced = self.names.get(folder, {})
        seen = {path.name: what for path, what in self.there.items() if path.parent == folder and path != folder}
        for name in sorted(synced.keys() | seen.keys()):
            states = [self._state(name, synced, seen, source) for source in ("synced", "seen")]
            state = {"synced": states[0], "named": states[1]}.get(kind) or (
                chance.choice(states) if kind == "some" else ()
            )
            if state == ():
                continue
            found[folder / name] = self._bytes(state, kind, chance)
            if state[0] is None:
                self._descend(folder / name, kind, chance, found)

    def _state(self, name, synced, seen, source):
        """Inode and unsynced bytes of a name; () where it is not there."""
        if source == "seen":
            return seen.get(name, ())
        return (synced[name], None) if name in synced else ()

    def _bytes(self, state, kind, chance):
        inode, actual = state
        if inode is None:
            return None
        if actual is None or self.contents.get(inode) == actual:
            return self.contents.get(inode, b"")
        if kind != "some":
            return self.contents.get(inode, b"")
        return chance.choice([b"", actual[: len(actual) // 2], actual])


class Disk:
    """A folder on such a disk; `cuts` grows by two at every fsync."""

    def __init__(self, root):
        self.root = Path(root)
        self.cuts = []
        self.step = 0
        self.synced = []
        """Paths in the order in which they were synced."""
        self._names, self._contents, self._states, self._read = {}, {}, {}, {}
        self._lock = threading.Lock()

    @contextmanager
    def watched(self):
        """Listen to fsync."""
        real = os.fsync

        def fsync(handle):
            path = Path(f"/proc/self/fd/{handle}").readlink()
            if not path.is_relative_to(self.root):
                return real(handle)
            with self._lock:
                self.cut()
                self._sync(path.relative_to(self.root))
                self.synced.append(path)
                self.cut()
            return real(handle)

        with mock.patch.object(os, "fsync", fsync):
            yield self

    def cut(self):
        """Note what a loss at this moment would leave."""
        there = self._look()
        self.cuts.append(Cut(self.step, dict(self._names), dict(self._contents), there))

    def _sync(self, path):
        file = self.root / path
        if not file.is_dir():
            status = file.stat()
            self._contents[status.st_ino] = file.read_bytes()
            self._states[status.st_ino] = _state(status)
            return
        names = {}
        for entry in os.scandir(file):
            status = entry.stat()
            names[entry.name] = None if entry.is_dir() else status.st_ino
            if self._states.get(status.st_ino) != _state(status):  # another file by now, or changed since
                self._contents.pop(status.st_ino, None)
        self._names[path] = names

    def _look(self):
        """Everything there is: inode and bytes by path."""
        found = {}
        for path in self.root.rglob("*"):
            try:
                status = path.stat()
                if stat.S_ISDIR(status.st_mode):
                    found[path.relative_to(self.root)] = (None, None)
                    continue
                key = (status.st_ino, _state(status))
                if key not in self._read:
                    self._read[key] = path.read_bytes()
                found[path.relative_to(self.root)] = (status.st_ino, self._read[key])
            except FileNotFoundError:  # it went while this looked
                continue
        return found


def _state(status):
    return status.st_size, status.st_mtime_ns


def write(survivors, folder):
    """Make what is left after a loss of power."""
    folder.mkdir(parents=True)
    for path, content in survivors.items():
        if content is None:
            (folder / path).mkdir(exist_ok=True)
        else:
            (folder / path).write_bytes(content)
    return folder


@contextmanager
def small_disk(folder, size="1m"):
    """A file system that is soon full."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no rights to mount a small file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
