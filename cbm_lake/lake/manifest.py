"""The manifest: the plain files (parcels, catalogue) that a lake must have besides the files of its Delta tables.

A file is recorded once it is on the disk. One that is not recorded counts all the same: it is of version 0.1, or its
writer was stopped in between; the next writer of its folder records it. One that is recorded but missing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa
from deltalake import DeltaTable

from cbm_lake.errors import InvalidInputError, NotFoundError
from cbm_lake.files import clock, installed
from cbm_lake.lake import schemas
from cbm_lake.lake.records import FileEntry
from cbm_lake.storage import access
from cbm_lake.storage.delta import Table
from cbm_lake.storage.store import Store, Written, translated

FOLDERS: Final = ("parcels", "scenes")
"""Those whose files are recorded. Pixel indexes are not: the next extraction makes those that are missing."""


def recorded(table: Table, snapshot: DeltaTable | None = None) -> dict[str, FileEntry]:
    """The files that must be there, by their names in the lake: those that were added and not removed since.

    Args:
        table: the manifest.
        snapshot: at one of its versions; None is the latest.

    Raises:
        SourceError: it cannot be read.
    """
    return {name: entry for name, entry in _latest(table, snapshot).items() if entry["action"] == "added"}


def record(table: Table, folder: str, written: Written, replaced: Iterable[str] = ()) -> None:
    """Record the files of a folder that are not recorded yet, and those that have been replaced.

    Args:
        table: the manifest.
        folder: one of FOLDERS, or a folder below.
        written: what was just written there.
        replaced: names of files that have gone and are replaced by others.

    Raises:
        SourceError: the folder or the manifest cannot be read or written.
    """
    entries = recorded(table)
    names = [table.store.name(path) for path in table.store.files(folder)]
    rows = [
        _entry("added", name, written.size, written.digest) if name == written.name else _row(table.store, name)
        for name in names
        if name not in entries
    ]
    rows += [_removed(entries[name]) for name in replaced if name in entries]
    if rows:
        table.append(pa.Table.from_pylist(rows, schema=schemas.FILES))


def missing(table: Table, folder: str) -> list[str]:
    """The recorded files of a folder, or of its subfolders, that are missing.

    Raises:
        SourceError: the folder or the manifest cannot be read.
    """
    there = {table.store.name(path) for path in table.store.files(folder)}
    return sorted(name for name in recorded(table) if name.startswith(f"{folder}/") and name not in there)


def forget(table: Table, name: str) -> None:
    """Accept the loss of a file: it is no longer required.

    Raises:
        NotFoundError: no such file is recorded.
        InvalidInputError: it is still there.
        SourceError: the manifest cannot be read or written.
    """
    entries = recorded(table)
    if name not in entries:
        raise NotFoundError(f"no file {name!r} is recorded in this lake; `cbm-lake check` names those that are missing")
    if table.store.exists(name):
        raise InvalidInputError(f"the file {name} is there; what is there is not forgotten")
    table.append(pa.Table.from_pylist([_removed(entries[name])], schema=schemas.FILES))


def _latest(table: Table, snapshot: DeltaTable | None) -> dict[str, FileEntry]:
    opened = table.open() if snapshot is None else snapshot
    if opened is None:
        return {}
    with translated("read", table.url):
        rows = opened.to_pyarrow_table()
    order = rows.sort_by([("sequence", "ascending"), ("recorded", "ascending"), ("action", "ascending")])
    return {entry["name"]: entry for entry in order.to_pylist()}


def _row(store: Store, name: str) -> FileEntry:
    filesystem, root = store.filesystem
    with translated("read", store.path(name)):
        size = filesystem.get_file_info(f"{root}/{name}").size
    digest = None if access.is_remote(store.url) else store.digest(name)  # a remote file would have to be fetched
    return _entry("added", name, size, digest)


def _removed(entry: FileEntry) -> FileEntry:
    return _entry("removed", entry["name"], entry["bytes"], entry["digest"])


def _entry(action: str, name: str, size: int, digest: str | None) -> FileEntry:
    return {
        "name": name,
        "action": action,
        "bytes": size,
        "digest": digest,
        "recorded": clock.now(),
        "version": installed.version(),
        "sequence": None,
    }
