"""The log of a Delta table: atomic entries, each under a number that only one writer can get.

An entry, and the files that it names, are on disk before it gets its name, and its name before the commit succeeds.
Entries of this package carry a digest, so that truncated or changed ones are detected; of others, those that are empty
or no JSON.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from cbm_lake.errors import SourceError
from cbm_lake.files import digests, durable
from cbm_lake.storage import access, entries, loghint
from cbm_lake.storage.entries import Action
from cbm_lake.storage.store import Store, translated

_READ: Final = frozenset({"timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"})
"""Features of tables that change nothing of how their files are read."""
_CHECKPOINT_EVERY: Final = 100
_ANSWER: Final = 512
"""Bytes of a cached answer about a checkpoint."""
LAST_CHECKPOINT: Final = "_last_checkpoint"
"""The file next to a log that names its latest checkpoint."""
WITHOUT_SUM: Final = f"delete it and {LAST_CHECKPOINT} beside it: the entries of the log say the same"


class DamagedLogError(SourceError):
    """A damaged log, from which its table cannot be read; other tables can."""


class _Library:
    """Whether the library that reads logs can do so here: its threads do not outlive a fork."""

    def __init__(self) -> None:
        self._started = self._lost = False
        if hasattr(os, "register_at_fork"):  # not on Windows
            os.register_at_fork(after_in_child=self._fork)

    def _fork(self) -> None:
        self._lost = self._started

    def begin(self, url: str) -> None:
        """Raise SourceError in a process that was forked from one that had used it."""
        if self._lost:
            raise SourceError(
                f"cannot read {url}: this process was forked from one that has read a lake; start processes anew "
                "instead (multiprocessing: set_start_method with spawn or forkserver)"
            )
        self._started = True


_LIBRARY: Final = _Library()


@dataclass(frozen=True)
class Newest:
    """The newest entry of a log; in a deleted and recreated log it differs even at the same version."""

    version: int
    """-1 where there is no log."""
    state: str
    """What changes when the file is replaced."""


@dataclass(frozen=True)
class Log:
    """The log of the table of that name in a store."""

    store: Store
    name: str
    """Folder of the table in the store."""

    def file(self, version: int) -> str:
        """The name of an entry in the store."""
        return f"{self.name}/_delta_log/{version:020}.json"

    def _position(self, version: int) -> str:
        return entries.position(self.name, version)

    def open(self) -> DeltaTable | None:
        """The table as it is; None when it has not been made yet.

        Raises:
            DamagedLogError: an entry or a checkpoint is damaged; it is named, with what to do.
            SourceError: the log cannot be read.
        """
        url = self.store.path(self.name)
        _LIBRARY.begin(url)
        with translated("read", url):
            try:
                table = DeltaTable(url, storage_options=self.store.options)
            except TableNotFoundError:
                self._check_entries(self._files())
                return None
            except (DeltaError, ValueError) as error:
                self._check_entries(self._files())
                self._check_checkpoints(error)
                raise DeltaError(str(error)) from error
        self.check()
        _refuse_features(table, url)
        return table

    def newest(self, version: int) -> Newest | None:
        """The entry of that version while it is the newest one; None where another one is, or where it was deleted.

        A look of one request in an object store. Version -1 is the log of a table that has not been made.
        """
        if access.is_remote(self.store.url):
            return self._newest_remote(version)
        if Path(self.store.path(self.file(version + 1))).exists():
            return None
        if version < 0:  # the folder alone may be there: a writer was killed before its first entry
            return Newest(version, "")
        try:
            state = Path(self.store.path(self.file(version))).stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            table = self.store.path(self.name)
            raise SourceError(f"cannot read {table}: {error.strerror}; check its rights") from error
        return Newest(version, f"{state.st_ino} {state.st_size} {state.st_mtime_ns}")

    def _newest_remote(self, version: int) -> Newest | None:
        after = f"{version - 1:020}.json" if version > 0 else ""
        files = self.store.after(f"{self.name}/_delta_log", after)
        noted = {
            file: state for file, state in files.items() if file.endswith(".json") and entries.version_of(file) >= 0
        }
        if version < 0:
            return None if noted else Newest(version, "")
        return Newest(version, noted[self.file(version)]) if noted.keys() == {self.file(version)} else None

    def check(self, version: int | None = None) -> None:
        """Verify the entries and the checkpoint that a version of the table depends on; only for local logs.

        Raises:
            DamagedLogError: an entry or a checkpoint is damaged; it is named, with what to do.
        """
        if not access.is_remote(self.store.url):
            files = self._files(version)
            self._check_entries(files)
            self._check_noted(files)

    def commit(self, actions: Iterable[Action], since: int, conflicts: Callable[[Action], bool]) -> int:
        """Add an entry after version `since`, or after those that others added meanwhile.

        Args:
            actions: what the entry says; the files that it adds are on the disk.
            since: version on which the actions rest; -1 is before the first.
            conflicts: says of an action that another writer committed since whether it takes the ground away.

        Returns:
            The version that the entry makes.

        Raises:
            CommitFailedError: another writer's commit is in conflict; nothing is changed.
            SourceError: the log cannot be read or written.
        """
        actions, version = list(actions), since + 1
        content = entries.encoded(actions, self._position(version))
        while not self._write(version, content):
            others = self.store.read_bytes(self.file(version))
            if others == content:  # the answer to the first try was lost
                break
            if any(map(conflicts, self._decoded(version, others))):
                raise CommitFailedError(f"another writer was quicker with version {version}")
            version += 1
            content = entries.encoded(actions, self._position(version))
        if not access.is_remote(self.store.url):
            loghint.note_entry(self._folder, version, content)
        self.store.note_change()
        return version

    def _write(self, version: int, content: bytes) -> bool:
        """Write an entry; False where another writer was faster. The response of an object store may be lost."""
        try:
            return self.store.create(self.file(version), content)
        except SourceError:
            if not access.is_remote(self.store.url) or self.store.read_bytes(self.file(version)) != content:
                raise
            return True

    def checkpoint(self) -> None:
        """Write a checkpoint, so that opening the table does not read every entry.

        The sum is on the disk before `_last_checkpoint` says that it is there.
        """
        table = self.open()
        if table is None:
            return
        if access.is_remote(self.store.url):
            table.create_checkpoint()
            return
        log = self._folder
        with _copied(_needed(log)) as copied:
            summed = DeltaTable(str(copied.parent))
            if (copied / f"{summed.version():020}.checkpoint.parquet").exists():
                return
            summed.create_checkpoint()
            for name in (f"{summed.version():020}.checkpoint.parquet", LAST_CHECKPOINT):
                with durable.replacing(log / name) as draft:
                    shutil.copyfile(copied / name, draft)
                if name != LAST_CHECKPOINT:
                    loghint.note_sum(log, name)

    def is_due(self, version: int) -> bool:
        """Whether the log is to be summed up after that version."""
        return version % _CHECKPOINT_EVERY == 0 and version > 0

    def _files(self, version: int | None = None) -> list[Path]:
        """What the table, or a version of it, rests on; of a log in an object store all entries."""
        if access.is_remote(self.store.url):
            return [Path(name) for name in self.store.files(f"{self.name}/_delta_log", ".json")]
        return _needed(self._folder, version)

    def _check_entries(self, files: Sequence[Path]) -> None:
        """Raise SourceError for a damaged entry among files: the library passes over an empty one."""
        numbers = sorted(
            entries.version_of(file.name) for file in files if file.suffix == ".json" and file.stem.isdecimal()
        )
        for number in numbers:
            content = self.store.read_bytes(self.file(number))
            is_last = number == numbers[-1] and not self.store.exists(self.file(number + 1))
            self._decoded(number, content, last=is_last)

    def _check_checkpoints(self, error: Exception) -> None:
        """Raise SourceError that names the newest checkpoint: when all entries are sound, nothing else is damaged."""
        files = [name for name in self.store.files(f"{self.name}/_delta_log") if ".checkpoint." in name]
        if files:
            reason = str(error).partition("\n")[0]
            raise DamagedLogError(
                f"cannot read {files[-1]}: this sum of the log is damaged or missing ({reason})", advice=WITHOUT_SUM
            ) from error

    @property
    def _folder(self) -> Path:
        return Path(self.store.path(f"{self.name}/_delta_log"))

    def _check_noted(self, files: Sequence[Path]) -> None:
        """Raise SourceError for a newest checkpoint that is not the one that was written, and says other things."""
        noted = loghint.read(self._folder).sums
        for file in files:
            if file.name in noted and not self._is_sound(file, noted[file.name]):
                raise DamagedLogError(
                    f"cannot read {file}: this sum of the log is not what was written, and says other things than the "
                    "entries",
                    advice=WITHOUT_SUM,
                )

    def _is_sound(self, checkpoint: Path, noted: str) -> bool:
        """Whether a checkpoint has the digest that was noted, or names the files that the entries do."""
        key = (checkpoint, *_state_of(checkpoint), noted)
        return self.store.caches.checkpoints.get(key, lambda: _is_sound(checkpoint, noted), lambda _: _ANSWER)

    def _decoded(self, version: int, content: bytes | None, *, last: bool = True) -> list[Action]:
        """The actions of an entry; SourceError where it is damaged."""
        fault = "it has gone" if content is None else entries.damage(content, self._position(version))
        if fault is None and content is not None:
            return entries.decoded(content)
        path = self.store.path(self.file(version))
        raise DamagedLogError(
            f"cannot read {path}: this entry of the log is damaged ({fault})", advice=entries.advice(last=last)
        )


def _needed(log: Path, version: int | None = None) -> list[Path]:
    """What the newest, or another, version of a local log rests on: the checkpoint before, and the entries after it."""
    last = "9" * 20 if version is None else f"{version:020}"
    sums = [file for file in log.glob("*.checkpoint*.parquet") if file.name[:20].isdecimal()]
    sums = sorted(file for file in sums if file.name[:20] <= last)
    newest = sums[-1].name[:20] if sums else ""
    after = sorted(file for file in log.glob("*.json") if file.stem.isdecimal() and newest < file.stem <= last)
    return [*(file for file in sums if file.name.startswith(newest)), *after]


def _refuse_features(table: DeltaTable, url: str) -> None:
    """Raise SourceError where rows are not simply those of the files, as deletion vectors and renamed columns do it."""
    protocol = table.protocol()
    features = set(protocol.reader_features or ()) | ({"columnMapping"} if protocol.min_reader_version == 2 else set())
    if unread := sorted(features - _READ):
        raise DamagedLogError(
            f"cannot read {url}: another program gave this table features that are not read here ({', '.join(unread)})",
            advice="drop them with that program, or restore the table from a copy",
        )


def _state_of(file: Path) -> tuple[int, int]:
    state = file.stat()
    return state.st_size, state.st_mtime_ns


def _is_sound(checkpoint: Path, noted: str) -> bool:
    """Whether a checkpoint has the digest that was noted, or names the files that the entries do.

    Another program may have rewritten it with other bytes.
    """
    if digests.computed(checkpoint.read_bytes()) == noted:
        return True
    version = checkpoint.name[:20]
    through = sorted(file for file in checkpoint.parent.glob("*.json") if file.stem <= version)
    try:
        return _names_in(*through) == _names_in(checkpoint, *(file for file in through if file.stem == version))
    except DeltaError:
        return False


def _names_in(*files: Path) -> set[str]:
    """The data files of a table that has only these files of its log."""
    with _copied(files) as log:
        return set(pa.table(DeltaTable(str(log.parent)).get_add_actions())["path"].to_pylist())


@contextmanager
def _copied(files: Iterable[Path]) -> Iterator[Path]:
    """A temporary log consisting of copies of these files."""
    with TemporaryDirectory() as scratch:
        log = Path(scratch, "table", "_delta_log")
        log.mkdir(parents=True)
        for file in files:
            shutil.copyfile(file, log / file.name)
        yield log
