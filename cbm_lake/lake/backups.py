"""A copy of a lake that can be opened at any moment, also while it is made, and while others write the lake.

    a snapshot of the lake ─► what its files refer to ─► cubes ─► scenes, parcels and log entries ─► checkpoints
                              data, which nobody sees yet         in the order in which the lake got them

A copy goes through the states that the lake went through: entries of the logs, which alone make data count, get their
names last, one after the other as they came, and none that is younger than the snapshot. Whoever opens the copy
meanwhile sees the lake as it was at some moment.
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
from cbm_lake.lake.lakefiles import CHECKPOINT, ENTRY, File, Moment, added, as_they_came, listed, named, table_of
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
"""How often a snapshot is taken anew because its files went while they were copied."""
_CHUNK: Final = 8_388_608
_BEGUN: Final = re.compile(r"\.[0-9a-f]{32}(\.\w+)?")
"""What a backup writes under before a file has its name."""


@dataclass(frozen=True)
class Backup:
    """What a backup did, and what was found in the copy."""

    files: int
    """Files that were copied now."""
    bytes: int
    """Their size."""
    findings: pa.Table = field(repr=False)
    """What `check` says of the copy, as rows of check.FINDINGS; none when it is whole."""

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
    """Copy a lake, or bring an earlier copy of it up to date, and look through the copy.

    The copy is a lake: it is opened like any other, and to restore it is to copy it back. It can be opened at any
    moment, also if this is interrupted, and equals the lake as it was at some moment. Others may write the lake
    meanwhile, whatever they do. Only what the copy lacks is copied.

    Args:
        destination: folder, or s3:// URL, of the copy; made where it is missing.
        lake: the lake; None is the workspace's.
        deep: read the whole copy in looking through it, not footers and lengths only.
        prune: delete data files from the copy that the lake has no more since `vacuum`; without it the copy goes on
            having them, and with them the lake of earlier days.
        progress: called after each file that is copied, then after each that is looked through.

    Raises:
        InvalidInputError: the destination is in the lake, or is no copy of it: of another lake, or written to.
        NotFoundError: there is no lake.
        SourceError: files cannot be read or written, or another backup goes there at this moment.
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
    """Let no two backups of this machine write one copy."""
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
    """One backup."""

    def __init__(self, lake: Lake, target: Store, progress: Progress) -> None:
        self.files = self.bytes = 0
        self._lake, self._target, self._progress = lake, target, progress
        _clear(target)
        self._there = listed(target)
        self._total = 0
        self._lock = threading.Lock()

    def run(self, *, prune: bool) -> None:
        """Copy the lake as it is; as it is by then where files go meanwhile, as `vacuum` lets them.

        Raises:
            SourceError: files are missing that the lake's tables name, or cannot be read or written.
        """
        for _ in range(_ATTEMPTS):
            moment = Moment(self._lake)
            self._refuse_another(moment)
            missing = self._copy_data(moment)
            if not missing:
                break
        else:
            problem = f"{some(sorted(missing), 3)}, which the tables of the lake name, cannot be found"
            raise SourceError(f"{problem}; run `cbm-lake check`, which says what to do. The copy stays as it was")
        self._write_small(moment)
        self._replay(moment)
        self._sum_up(moment)
        self._note(moment)
        if prune:
            self._prune(moment)

    def _refuse_another(self, moment: Moment) -> None:
        """Refuse a destination that is no copy of this lake, or has gone its own way since.

        Raises:
            InvalidInputError: its logs say something else.
        """
        latest = {table_of(name): name for name in sorted(self._there) if ENTRY.search(name)}
        for name in latest.values():
            if not moment.has(name, ENTRY) or moment.store.read_bytes(name) != self._target.read_bytes(name):
                raise InvalidInputError(
                    f"{self._target.url} is no copy of {moment.store.url}: {name} is not the same there. It is of "
                    "another lake, or one of the two was written to since, or restored; give another folder"
                )

    def _copy_data(self, moment: Moment) -> set[str]:
        """Copy what no reader sees before a log names it; the answer is what of the snapshot has gone."""
        entries = [name for name in moment.files if moment.has(name, ENTRY)]
        named = set().union(*self._each(lambda name: added(moment.store, name), entries))
        plain = {name for name in moment.files if moment.is_plain(name)}
        files = [moment.files[name] for name in sorted((moment.in_force | named | plain) & moment.files.keys())]
        files = [file for file in files if self._lacks(file)]
        self._total = self.files + len(files)
        done = self._each(lambda file: self._copy(moment.store, file), files)
        gone = {file.name for file, there in zip(files, done, strict=True) if not there}
        return (moment.in_force - moment.files.keys()) | (moment.in_force & gone)

    def _lacks(self, file: File) -> bool:
        """Whether the copy has no such file, or another one."""
        there = self._there.get(file.name)
        if there is None or there.size != file.size:
            return True
        if is_remote(self._target.url):  # which has the moment of its own writing
            return there.modified < file.modified
        return there.modified != file.modified

    def _write_small(self, moment: Moment) -> None:
        """Write what says how cubes are to be read, where it is another than in the copy."""
        for name, text in moment.small.items():
            there = self._there.get(name)
            if there is None or there.size != len(text) or self._target.read_bytes(name) != text:
                modified = moment.files[name].modified if name in moment.files else None
                self._put(name, partial(_write, text), modified)

    def _replay(self, moment: Moment) -> None:
        """Give scenes, parcels and entries of the logs their names in the copy, as they came to the lake."""
        names = moment.catalogued | {name for name in moment.files if moment.has(name, ENTRY)}
        files = [moment.files[name] for name in names if name in moment.files]
        todo = [file for file in as_they_came(files) if file.name not in self._there or not ENTRY.search(file.name)]
        todo = [file for file in todo if ENTRY.search(file.name) or self._lacks(file)]
        self._total = self.files + len(todo)
        if is_remote(self._target.url):
            for file in todo:
                self._copy(moment.store, file)
            return
        with translated("write", self._target.url):
            drafts = self._each(partial(self._draft, moment.store), todo)
            durable.publish({draft: self._path(file.name) for draft, file in zip(drafts, todo, strict=True)})

    def _sum_up(self, moment: Moment) -> None:
        """Copy checkpoints, and the hints which is the latest where the copy has that one."""
        checkpoints = [file for name, file in sorted(moment.files.items()) if moment.has(name, CHECKPOINT)]
        self._each(partial(self._copy, moment.store), filter(self._lacks, checkpoints))
        versions = {(table_of(file.name), version_of(file.name)) for file in checkpoints}
        for table in moment.versions:
            name = f"{table}/_delta_log/{LAST_CHECKPOINT}"
            hint = moment.store.read_bytes(name) if name in moment.files else None
            if hint is not None and (table, named(hint)) in versions:
                self._put(name, partial(_write, hint), moment.files[name].modified)

    def _note(self, moment: Moment) -> None:
        """Note which entry and which checkpoints are the last of each log, by which `check` knows that one is lost."""
        if is_remote(self._target.url):
            return
        for table, version in moment.versions.items():
            folder = self._path(f"{table}/_delta_log")
            entry = folder / f"{version:020}.json"
            if entry.is_file():
                loghint.note_entry(folder, version, entry.read_bytes())
                for name in sorted(folder.glob("*.checkpoint*.parquet")):
                    loghint.note_sum(folder, name.name)

    def _prune(self, moment: Moment) -> None:
        """Delete data files of the tables that the lake has no more."""
        filesystem, root = self._target.filesystem
        for name in self._there.keys() - moment.files.keys() - moment.in_force:
            of_table = any(name.startswith(f"{table}/") for table in moment.versions)
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
        """Copy a file; False where it has gone."""
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
        """A file under a name that nobody looks at, in the folder where it is to be."""
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
        """Write a file of the copy, which is there whole or not at all."""
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
    """Delete what an earlier backup that was killed had begun."""
    if not is_remote(target.url):
        for path in Path(target.url).rglob(".*"):
            if _BEGUN.fullmatch(path.name):
                path.unlink(missing_ok=True)
