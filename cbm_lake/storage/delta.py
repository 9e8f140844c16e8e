"""Writing to Delta tables: append, replace, rewrite, merge small files, vacuum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cbm_lake.files import digests
from cbm_lake.storage import access, datafiles, entries, smallfiles
from cbm_lake.storage.commits import Committed
from cbm_lake.storage.datafiles import DataFile
from cbm_lake.storage.entries import Action
from cbm_lake.storage.store import discard, translated

_SEQUENCE: Final = "sequence"
"""The column that says which rows are later, whatever clocks said; and the name of the commits that are numbered so."""
_READERS: Final = 8
"""Small files that are read at once."""


class Table(Committed):
    """A writable table; see `commits.Committed` for its fields."""

    def append(self, rows: pa.Table) -> None:
        """Append rows in one commit."""

        def actions(table: DeltaTable, _: int, drafts: list[str]) -> list[Action]:
            return self.writer.write(self._in_sequence(rows, table), drafts)

        self._numbered([_SEQUENCE], actions, columns=rows.column_names)

    def put(self, rows: pa.Table, key: str, value: int, notes: Mapping[str, int] | None = None) -> None:
        """Replace all rows whose column `key` has a value by `rows`, in one commit, also with concurrent writers.

        The first writer of a value appends; every later one, also one that started at the same time, is refused by the
        log, looks again and replaces.

        Args:
            rows: those that are to be there.
            key: the column.
            value: its value.
            notes: numbers by name that the commit sets; `DeltaTable.transaction_version` says the latest of a name.
        """

        replaces = False

        def actions(table: DeltaTable, commits: int, drafts: list[str]) -> list[Action] | None:
            nonlocal replaces
            replaces = commits > 0
            replaced = self._replaced(table, key, value, drafts) if replaces else []
            written = self.writer.write(self._in_sequence(rows, table), drafts) if rows.num_rows else []
            noted = [entries.numbered(name, number) for name, number in (notes or {}).items()]
            return [*written, *replaced, *noted] if replaces or written else None

        names = [str(value), *([_SEQUENCE] if self._is_sequenced else [])]
        self._numbered(names, actions, lambda action: replaces and _adds(action, key, value), rows.column_names)

    def _replaced(self, table: DeltaTable, key: str, value: int, drafts: list[str]) -> list[Action]:
        """Delete all rows whose column `key` has a value."""
        actions = []
        for file in self.files(table):
            if file.can_hold(key, value):
                actions += self.writer.without(file, key, value, drafts) or []
        return actions

    def append_next(self, rows: Callable[[int], pa.Table | None], name: str, *, in_sequence: bool = False) -> bool:
        """Add rows in the next commit of that name, which no two writers can have.

        Args:
            rows: what to add, given how many commits of that name there are; None gives up.
            name: under which the commits are counted.
            in_sequence: whether writers of other names wait for each other too, so that no two commits have the same
                number in the sequence of the table, and the sequence counts them. Without it many can write at once.

        Returns:
            Whether anything was added.
        """

        def actions(table: DeltaTable, commits: int, drafts: list[str]) -> list[Action] | None:
            added = rows(commits)
            return None if added is None else self.writer.write(self._in_sequence(added, table), drafts)

        return self._numbered([name, *([_SEQUENCE] if in_sequence else [])], actions)

    def _numbered(
        self,
        names: Sequence[str],
        actions: Callable[[DeltaTable, int, list[str]], list[Action] | None],
        conflicts: Callable[[Action], bool] = lambda _: False,
        columns: Iterable[str] = (),
    ) -> bool:
        """Make the next commit of each name; `actions` gets how many there are of the first.

        Again from the start when another writer was quicker.
        """

        def commit() -> bool:
            table = self.create(columns)
            commits = [table.transaction_version(name) or 0 for name in names]
            with self.drafts() as drafts:
                changes = actions(table, commits[0], drafts)
                if changes is None:
                    return False
                numbers = [entries.numbered(name, number + 1) for name, number in zip(names, commits, strict=True)]
                self.commit(table, [*changes, *numbers], drafts, conflicts)
                return True

        return self.retried(commit)

    @property
    def _is_sequenced(self) -> bool:
        return _SEQUENCE in self.schema.names

    def _in_sequence(self, rows: pa.Table, table: DeltaTable) -> pa.Table:
        """The rows with a number that is above all that a snapshot of the table has, where it numbers its rows.

        The versions of a table grow, and so do numbers made of them; the numbers of its files count too, for a table
        that was recreated begins with version 0 again.
        """
        if not self._is_sequenced:
            return rows
        used = [int(file.bounds[_SEQUENCE][1]) for file in self.files(table) if _SEQUENCE in file.bounds]
        number = 1 + max(table.version(), *used, 0)
        index, field = self.schema.get_field_index(_SEQUENCE), self.schema.field(_SEQUENCE)
        return rows.set_column(index, field, pa.repeat(pa.scalar(number, field.type), rows.num_rows))

    def keep_small(self, version: int) -> None:
        """Write a checkpoint and merge small files, where this commit makes it due."""
        super().keep_small(version)
        if self.small and smallfiles.is_due(version):
            self.tried(self._merge_small)

    def _merge_small(self) -> None:
        table = self.open()
        for files in smallfiles.groups([] if table is None else self.files(table)):
            names = [f"{self.name}/{file.relative}" for file in files]
            with ThreadPoolExecutor(_READERS) as pool:
                parts = [part for part in pool.map(self.store.read, names) if part is not None]
            if len(parts) == len(files):  # else others have merged them, and a vacuum has been
                self.rewrite(files, [[pa.concat_tables(parts, promote_options="default")]], same_rows=True)

    def rewrite(
        self, files: Sequence[DataFile], parts: Iterable[Sequence[pa.Table]], *, same_rows: bool = False
    ) -> bool:
        """Replace some of the table's files atomically: readers see the old ones or the new ones.

        What others commit meanwhile stays.

        Args:
            files: those that go, all of one partition, as `files` lists them.
            parts: for each new file its row groups.
            same_rows: whether these are all the rows that were there, so that who follows the table need not look.

        Returns:
            False where others have taken one of the old files out by then; nothing is changed.

        Raises:
            SourceError: a file cannot be read or written.
        """
        with translated("compact", self.url), self.drafts() as drafts:
            added = [self._add(files[0], datafiles.REWRITTEN, part, drafts) for part in parts]
            gone = {file.relative: _removed(file) for file in files}

            def exchange() -> bool:
                table = self.open()
                if table is None or not gone.keys() <= self.names(table):
                    return False
                actions = [*added, *gone.values()]
                self.commit(table, entries.rearranging(actions) if same_rows else actions, drafts)
                return True

            return self.retried(exchange)

    @contextmanager
    def exchange(self, snapshot: DeltaTable) -> Iterator[Exchange]:
        """A context for adding and removing files in one commit on a snapshot; uncommitted files are deleted."""
        with translated("write", self.url), self.drafts() as drafts:
            yield Exchange(self, snapshot, drafts)

    def _add(self, beside: DataFile, prefix: str, groups: Sequence[pa.Table], drafts: list[str]) -> Action:
        """Write a file of the partition, and in the folder, of the file `beside`."""
        return self.writer.add(beside.partition, prefix, groups, drafts, beside.folder)

    def merge(self) -> int:
        """Make the files of each partition of a small table one, in memory; returns how many were merged.

        A single one is rewritten where it has no digest on record, as an earlier version wrote it.
        """
        table, merged = self.open(), 0
        if table is None or not any(_is_due(files) for _, files in self.by_partition(table)):
            return 0
        table = self._completed(table)  # first, for it may come with what others have added by then
        for values, files in self.by_partition(table):
            if not _is_due(files):
                continue
            kinds = {name: self.schema.field(name).type for name in values}
            only = [(name, "=", pa.scalar(value).cast(kinds[name]).as_py()) for name, value in values.items()]
            with translated("read", self.url):
                rows = table.to_pyarrow_table(filters=only or None)
            merged += len(files) if self.rewrite(files, [[rows]], same_rows=True) else 0
        return merged

    def by_partition(self, table: DeltaTable | None) -> Iterator[tuple[dict[str, str], list[DataFile]]]:
        """The files of a snapshot, those of each partition by themselves, with the partition's values by column."""

        def partition(file: DataFile) -> tuple[str, ...]:
            return tuple(file.partition.values())

        files = [] if table is None else sorted(self.files(table), key=partition)
        for values, group in groupby(files, partition):
            yield dict(zip(self.partitions, values, strict=True)), list(group)

    def vacuum(self, days: float) -> int:
        """Delete files needed by no version of the last days, and leftovers of interrupted writes; returns how many."""
        table = self.open()
        if table is None:
            return 0
        remote = access.is_remote(self.url)
        with translated("vacuum", self.url):
            gone = table.vacuum(int(days * 24), dry_run=not remote, enforce_retention_duration=False, full=True)
            if remote:
                return len(gone)
            filesystem, root = self.store.filesystem
            for name in gone:
                discard(filesystem, f"{root}/{self.name}/{unquote(name)}")
            return len(gone) + self.store.sweep(self.name, days)


class Exchange:
    """Files added and removed atomically in one commit."""

    def __init__(self, table: Table, snapshot: DeltaTable, drafts: list[str]) -> None:
        self._table = table
        self._snapshot = snapshot
        self._drafts = drafts
        self._actions: list[Action] = []

    def add(self, groups: Sequence[pa.Table], beside: DataFile, *, rewritten: bool = False) -> None:
        """Write a file of these row groups, of the partition of the file `beside`, which may be another table's."""
        prefix = datafiles.REWRITTEN if rewritten else datafiles.PART
        self._actions.append(self._table._add(beside, prefix, groups, self._drafts))  # noqa: SLF001 - same module

    def remove(self, file: DataFile) -> None:
        """Remove a file."""
        self._actions.append(_removed(file))

    def commit(self, numbers: dict[str, int] | None = None) -> bool:
        """Make the commit, under names and with a number for each where they are given.

        Returns:
            False where another writer was quicker: with a commit of such a name since the snapshot, or with other files
            for those that were to go. Nothing is changed then.
        """
        numbered = [entries.numbered(*number) for number in (numbers or {}).items()]
        try:
            self._table.commit(self._snapshot, [*self._actions, *numbered], self._drafts)
        except CommitFailedError:
            return False
        return True


def _removed(file: DataFile) -> Action:
    """That a file goes."""
    return entries.removed(file.relative, file.size, file.partition)


def _is_due(files: Sequence[DataFile]) -> bool:
    """Whether the files of a partition are several, or one that has no digest on record."""
    return len(files) > 1 or not all(digests.recorded(file.name) for file in files)


def _adds(action: Action, key: str, value: int) -> bool:
    """Whether an action can add rows of that value."""
    return "add" in action and datafiles.can_hold(action["add"].get("stats"), key, value)
