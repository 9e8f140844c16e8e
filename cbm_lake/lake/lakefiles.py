"""The complete list of files of a lake at one point in time, and the order in which they were written (for backups)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from cbm_lake.lake import Lake, tables
from cbm_lake.lake.snapshots import Snapshot
from cbm_lake.storage import leases
from cbm_lake.storage.entries import version_of
from cbm_lake.storage.store import DRAFT, Store

ENTRY: Final = re.compile(r"/_delta_log/\d{20}\.json$")
CHECKPOINT: Final = re.compile(r"/_delta_log/\d{20}\.checkpoint.*\.parquet$")
_SHARD: Final = re.compile(r"^cubes/.*/c/\d+/\d+/\d+$")
"""Pixels of a cube; all else in it is small."""


@dataclass(frozen=True)
class File:
    """A file of a lake by its name there."""

    name: str
    size: int
    modified: int
    """Modification time in nanoseconds since 1970: time travel depends on it, so a copy preserves it."""


def listed(store: Store) -> dict[str, File]:
    """Every file of a lake except drafts."""
    files = store.listing().items()
    return {name: File(name, info.size, info.mtime_ns or 0) for name, info in files if not DRAFT.search(name)}


class LakeState:
    """The state of the lake that is copied: a snapshot, and the files listed after it."""

    def __init__(self, lake: Lake) -> None:
        self.store = Store(lake.url)
        self.snapshot: Snapshot = lake.snapshot()
        lake_tables = tables.of(self.store)
        self.versions = {
            lake_tables[view].name: -1 if version is None else version for view, version in self.snapshot.versions
        }
        """The version of each table by its folder; -1 where it has not been made yet."""
        self.in_force = {
            f"{lake_tables[view].name}/{file.relative}"
            for view, table in self.snapshot.tables.items()
            for file in lake_tables[view].files(table)
        }
        """Files of the tables without which the snapshot cannot be read."""
        self.catalogued = {self.store.name(path) for path in (*self.snapshot.scenes, *self.snapshot.all_parcels)}
        """Files of scenes and parcels."""
        self.small = _small_of_cubes(self.store)
        self.files = listed(self.store)  # after what may name them

    def has(self, name: str, pattern: re.Pattern[str]) -> bool:
        """Whether a file is an entry or a checkpoint of a log, of a version that the snapshot knows."""
        return bool(pattern.search(name)) and version_of(name) <= self.versions.get(table_of(name), -1)

    def is_plain(self, name: str) -> bool:
        """Whether a file belongs to no table, catalogue or lock, and is not what says how a cube is to be read."""
        if name.startswith(("scenes/", "parcels/")) and name.endswith(".parquet"):
            return False  # those of the snapshot get their names with the entries of the logs
        if name.startswith("cubes/"):
            return bool(_SHARD.search(name))
        return not any(name.startswith(f"{folder}/") for folder in (*self.versions, leases.FOLDER))


def table_of(entry: str) -> str:
    """The table of an entry or a checkpoint of a log; "" for another file."""
    return entry.rpartition("/_delta_log/")[0]


def _small_of_cubes(store: Store) -> dict[str, bytes]:
    """The metadata of cubes, read before pixels are listed, so that everything they refer to is there.

    In the order in which it may be written: how an array is to be read after what is in it, and the whole after its
    arrays.
    """
    small = [name for name in store.listing("cubes") if not DRAFT.search(name) and not _SHARD.search(name)]
    small.sort(key=lambda name: (name.endswith("zarr.json"), -name.count("/")))
    contents = ((name, store.read_bytes(name)) for name in small)
    return {name: content for name, content in contents if content is not None}


def added(store: Store, entry: str) -> set[str]:
    """The files that an entry of a log adds to its table; none where it cannot be read, which `check` reports."""
    names = set()
    for line in (store.read_bytes(entry) or b"").splitlines():
        with suppress(ValueError, TypeError, KeyError):
            names.add(f"{table_of(entry)}/{unquote(json.loads(line)['add']['path'])}")
    return names


def named(hint: bytes) -> int:
    """The version of the checkpoint that a hint names; -1 where it cannot be read."""
    try:
        return int(json.loads(hint)["version"])
    except (ValueError, TypeError, KeyError):
        return -1


def as_they_came(files: Iterable[File]) -> list[File]:
    """Files by modification time, but entries of one log by their numbers, whatever the clock said."""
    came: dict[str, int] = {}
    order = []
    for file in sorted(files, key=lambda file: file.name):
        table = table_of(file.name)
        came[table] = max(file.modified, came.get(table, 0)) if table else file.modified
        order.append((came[table], file.name, file))
    return [file for *_, file in sorted(order, key=lambda item: item[:2])]
