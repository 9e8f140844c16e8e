"""Backups: an incremental copy of a lake that can be opened at any time, even while it or the lake is being written.

    a snapshot of the lake ─► what its files refer to ─► cubes ─► scenes, parcels and log entries ─► checkpoints
                              data, which nobody sees yet         in the order in which the lake got them

A copy passes through the states of the lake: log entries, which alone make data count, are published last, one after
the other in their original order, and none is newer than the snapshot. So whoever opens the copy meanwhile sees the
lake as of some earlier time.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from cbm_lake.errors import InvalidInputError, NotFoundError, SourceError, some
from cbm_lake.files import durable
from cbm_lake.lake import Lake, lake_or_default
from cbm_lake.lake.check import check
from cbm_lake.lake.lakefiles import CHECKPOINT, ENTRY, File, LakeState, added, as_they_came, listed, named, table_of
from cbm_lake.storage import loghint
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.entries import version_of
from cbm_lake.storage.log import LAST_CHECKPOINT
from cbm_lake.storage.store import Store, discard, translated

Progress = Callable[[int, int], None]
"""Called with how many files are done and how many there are."""

_T = TypeVar("_T")
_R = TypeVar("_R")
_AT_ONCE: Final = 8
"""Files that are copied at once."""
_ATTEMPTS: Final = 3
"""How often a snapshot is retaken because files were deleted while they were copied."""
_CHUNK: Final = 8_388_608
_BEGUN: Final = re.compile(r"\.[0-9a-f]{32}(\.\w+)?")
"""Prefix of temporary files of a backup."""


@dataclass(frozen=True)
class Backup:
    """The result of a backup, and the findings of a check of the copy."""

    files: int
    """Number of files copied by this run."""
    bytes: int
    """Their size in bytes."""
    findings: pa.Table = field(repr=False)
    """Findings of `check` in the copy, as rows of check.FINDINGS; empty when it is intact."""

    @property
    def faults(self) -> int:
        """How many of the findings are faults."""
        return int(pc.sum(pc.equal(self.findings["severity"], "fault")).as_py() or 0)


def backup(
    destination: str | Path,
    *,
    lake: Lake | None = None,
    deep: bool = False,
    prune: bool = False,
    progress: Progress | None = None,
) -> Backup:
    """Copy a lake, or update an earlier copy of it, and check the copy.

    The copy is a lake: it is opened like any other, and restored by copying it back. It can be opened at any time,
    even after an interruption, and equals the lake as of some time. The lake may be written meanwhile. Only what the
    copy lacks is copied.

    Args:
        destination: folder, or s3:// URL, of the copy; made where it is missing.
        lake: the lake; None is the workspace's.
        deep: read every byte of the copy when checking it, not only footers and lengths.
        prune: delete data files from the copy that `vacuum` has deleted from the lake; without it the copy keeps
            them, and with them earlier states of the lake.
        progress: called after each file that is copied, then after each that is checked.

    Raises:
        InvalidInputError: the destination is in the lake, or is no copy of it: of another lake, or written to.
        NotFoundError: there is no lake.
        SourceError: files cannot be read or written, or another backup goes there at this state.
    """
    lake = lake_or_default(lake)
    if lake.as_of is not None:
        raise InvalidInputError(f"{lake!r} is the lake as it was; give the lake as it is now to copy it")
    target = Store(str(destination) if "://" in str(destination) else str(Path(destination).absolute()))
    _refuse_nested(lake.url, target.url)
    if lake.is_empty:
        raise NotFoundError(f"there is no lake at {lake.url}; give its folder or URL")
    with _alone(target):
        copying = _Copying(lake, target, progress or (lambda _, __: None))
        copying.run(prune=prune)
        target.note_change()
    findings = check(Lake(target.url), deep=deep, progress=progress)
    return Backup(copying.files, copying.bytes, findings)


def _refuse_nested(source: str, target: str) -> None:
    ends = sorted((f"{source.rstrip('/')}/", f"{target.rstrip('/')}/"), key=len)
    if ends[1].startswith(ends[0]):
        raise InvalidInputError(f"a copy of {source} cannot be in {target}; give a folder beside it, on another disk")


@contextmanager
def _alone(target: Store) -> Iterator[None]:
    """Lock a copy against other backups of this machine."""
    if is_remote(target.url):
        yield
        return
    folder = Path(target.url)
    try:
        durable.make_folder(folder)
        with FileLock(folder.with_name(f".{folder.name}.backup-lock"), timeout=0):
            yield
    except Timeout as error:
        raise SourceError(f"another backup into {target.url} is going on; wait until it has ended") from error
    except OSError as error:
        raise SourceError(f"cannot write {target.url}: {error}; check the path and its rights") from error


class _Copying:
    """One run of a backup."""

    def __init__(self, lake: Lake, target: Store, progress: Progress) -> None:
        self.files = self.bytes = 0
        self._lake, self._target, self._progress = lake, target, progress
        _clear(target)
        self._there = listed(target)
        self._total = 0
        self._lock = threading.Lock()

    def run(self, *, prune: bool) -> None:
        """Copy the lake as it is now; where files are deleted meanwhile, by `vacuum`, with a new snapshot.

        Raises:
            SourceError: files are missing that the lake's tables name, or cannot be read or written.
        """
        for _ in range(_ATTEMPTS):
            state = LakeState(self._lake)
            self._refuse_another(state)
            missing = self._copy_data(state)
            if not missing:
                break
        else:
            problem = f"{some(sorted(missing), 3)}, which the tables of the lake name, cannot be found"
            raise SourceError(f"{problem}; run `cbm-lake check`, which says what to do. The copy stays as it was")
        self._write_small(state)
        self._replay(state)
        self._sum_up(state)
        self._note(state)
        if prune:
            self._prune(state)

    def _refuse_another(self, state: LakeState) -> None:
        """Refuse a destination that is not a copy of this lake, or has diverged from it.

        Raises:
            InvalidInputError: its logs say something else.
        """
        latest = {table_of(name): name for name in sorted(self._there) if ENTRY.search(name)}
        for name in latest.values():
            if not state.has(name, ENTRY) or state.store.read_bytes(name) != self._target.read_bytes(name):
                raise InvalidInputError(
                    f"{self._target.url} is no copy of {state.store.url}: {name} is not the same there. It is of "
                    "another lake, or one of the two was written to since, or restored; give another folder"
                )

    def _copy_data(self, state: LakeState) -> set[str]:
        """Copy the files that are invisible until a log names them; returns those that no longer exist."""
        entries = [name for name in state.files if state.has(name, ENTRY)]
        named = set().union(*self._each(lambda name: added(state.store, name), entries))
        plain = {name for name in state.files if state.is_plain(name)}
        files = [state.files[name] for name in sorted((state.in_force | named | plain) & state.files.keys())]
        files = [file for file in files if self._lacks(file)]
        self._total = self.files + len(files)
        done = self._each(lambda file: self._copy(state.store, file), files)
        gone = {file.name for file, there in zip(files, done, strict=True) if not there}
        return (state.in_force - state.files.keys()) | (state.in_force & gone)

    def _lacks(self, file: File) -> bool:
        """Whether the copy lacks a file or has a different one."""
        there = self._there.get(file.name)
        if there is None or there.size != file.size:
            return True
        if is_remote(self._target.url):  # which keeps its own modification time
            return there.modified < file.modified
        return there.modified != file.modified

    def _write_small(self, state: LakeState) -> None:
        """Write the metadata of cubes where it differs from that of the copy."""
        for name, text in state.small.items():
            there = self._there.get(name)
            if there is None or there.size != len(text) or self._target.read_bytes(name) != text:
                modified = state.files[name].modified if name in state.files else None
                self._put(name, partial(_write, text), modified)

    def _replay(self, state: LakeState) -> None:
        """Publish scenes, parcels and log entries in the copy, in the order in which they were written to the lake."""
        names = state.catalogued | {name for name in state.files if state.has(name, ENTRY)}
        files = [state.files[name] for name in names if name in state.files]
        todo = [file for file in as_they_came(files) if file.name not in self._there or not ENTRY.search(file.name)]
        todo = [file for file in todo if ENTRY.search(file.name) or self._lacks(file)]
        self._total = self.files + len(todo)
        if is_remote(self._target.url):
            for file in todo:
                self._copy(state.store, file)
            return
        with translated("write", self._target.url):
            drafts = self._each(partial(self._draft, state.store), todo)
            durable.publish({draft: self._path(file.name) for draft, file in zip(drafts, todo, strict=True)})

    def _sum_up(self, state: LakeState) -> None:
        """Copy checkpoints, and the hints to the latest one where the copy has it."""
        checkpoints = [file for name, file in sorted(state.files.items()) if state.has(name, CHECKPOINT)]
        self._each(partial(self._copy, state.store), filter(self._lacks, checkpoints))
        versions = {(table_of(file.name), version_of(file.name)) for file in checkpoints}
        for table in state.versions:
            name = f"{table}/_delta_log/{LAST_CHECKPOINT}"
            hint = state.store.read_bytes(name) if name in state.files else None
            if hint is not None and (table, named(hint)) in versions:
                self._put(name, partial(_write, hint), state.files[name].modified)

    def _note(self, state: LakeState) -> None:
        """Record the last entry and checkpoints of each log, so that `check` detects lost ones."""
        if is_remote(self._target.url):
            return
        for table, version in state.versions.items():
            folder = self._path(f"{table}/_delta_log")
            entry = folder / f"{version:020}.json"
            if entry.is_file():
                loghint.note_entry(folder, version, entry.read_bytes())
                for name in sorted(folder.glob("*.checkpoint*.parquet")):
                    loghint.note_sum(folder, name.name)

    def _prune(self, state: LakeState) -> None:
        """Delete data files of tables that the lake no longer has."""
        filesystem, root = self._target.filesystem
        for name in self._there.keys() - state.files.keys() - state.in_force:
            of_table = any(name.startswith(f"{table}/") for table in state.versions)
            if of_table and name.endswith(".parquet") and "/_delta_log/" not in name:
                with translated("delete", self._target.path(name)):
                    discard(filesystem, f"{root}/{name}")

    # -- writing --------------------------------------------------------------------------------------------------

    def _each(self, work: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(work, items))

    def _path(self, name: str) -> Path:
        return Path(self._target.url, name)

    def _copy(self, source: Store, file: File) -> bool:
        """Copy a file; False where it no longer exists."""
        filesystem, root = source.filesystem
        with translated("copy", source.path(file.name)):
            try:
                with filesystem.open_input_stream(f"{root}/{file.name}") as stream:
                    self._put(file.name, lambda to: shutil.copyfileobj(stream, to, _CHUNK), file.modified)
            except FileNotFoundError:
                return False
        self._count(file.size)
        return True

    def _draft(self, source: Store, file: File) -> Path:
        """The name of a temporary file, in the folder of the final one."""
        draft = self._path(file.name).with_name(f".{uuid.uuid4().hex}")
        filesystem, root = source.filesystem
        with translated("copy", source.path(file.name)), filesystem.open_input_stream(f"{root}/{file.name}") as stream:
            durable.make_folder(draft.parent)
            with draft.open("xb") as to:
                shutil.copyfileobj(stream, to, _CHUNK)
            os.utime(draft, ns=(file.modified, file.modified))
        self._count(file.size)
        return draft

    def _put(self, name: str, write: Callable[[BinaryIO], object], modified: int | None) -> None:
        """Write a file of the copy atomically."""
        filesystem, root = self._target.filesystem
        with translated("write", self._target.path(name)):
            if is_remote(self._target.url):
                with filesystem.open_output_stream(f"{root}/{name}") as stream:
                    write(stream)
                return
            with durable.replacing(self._path(name)) as draft:
                with draft.open("wb") as stream:
                    write(stream)
                if modified is not None:
                    os.utime(draft, ns=(modified, modified))

    def _count(self, size: int) -> None:
        with self._lock:
            self.files += 1
            self.bytes += size
            self._progress(self.files, max(self.files, self._total))


def _write(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _clear(target: Store) -> None:
    """Delete temporary files of an earlier backup that was killed."""
    if not is_remote(target.url):
        for path in Path(target.url).rglob(".*"):
            if _BEGUN.fullmatch(path.name):
                path.unlink(missing_ok=True)
