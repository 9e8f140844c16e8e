"""Summary files of the catalogue: one file with the rows of hundreds, so that a lake of many scenes opens fast.

    sums/000000096-b2<digest>.parquet        the rows of 96 files of scenes/, whose names stand in its metadata

A sum is no record: the files that it is of stay, for the lake as it was and for other readers. It is used where all of
them count, and where its digest is that of its name; without it all files are read, and the answers are the same.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from cbm_lake.errors import SourceError
from cbm_lake.files import digests
from cbm_lake.storage.store import Store

log = logging.getLogger(__name__)

FOLDER: Final = "sums"
_FILES: Final = 32
"""Files of the catalogue that are read one by one before they are summed up."""
_NAMES: Final = b"cbm-lake.files"


def shortened(store: Store, scenes: Sequence[str]) -> list[str]:
    """Files with the rows of those files of the catalogue: a sum and what it lacks, or all.

    Args:
        store: of the lake.
        scenes: full paths.

    Raises:
        SourceError: the folder of the sums cannot be listed.
    """
    if len(scenes) <= _FILES:
        return list(scenes)
    for path in reversed(store.files(FOLDER)):  # the largest first
        summed = _summed(store, path)
        if summed and summed <= set(scenes):
            return [path, *(scene for scene in scenes if scene not in summed)]
    return list(scenes)


def sum_up(store: Store, scenes: Sequence[str]) -> None:
    """Write a sum where enough files came since the last; where it cannot be written, a later one is."""
    try:
        paths = shortened(store, scenes)
        if len(paths) > _FILES + 1:
            _write(store, paths, [store.name(path) for path in scenes])
    except (SourceError, pa.ArrowException) as error:
        log.warning("the catalogue of %s is not summed up: %s", store.url, error)


def sweep(store: Store, days: float) -> int:
    """Delete all sums except the largest that are older than a number of days; returns how many."""
    return store.discard_old([store.name(path) for path in store.files(FOLDER)[:-1]], days)


def _summed(store: Store, path: str) -> set[str] | None:
    """The files that a sum covers; None where it is damaged or was deleted."""
    try:
        content = store.read_bytes(store.name(path))
        if content is None or digests.computed(content) != digests.recorded(path):
            return None
        metadata = pq.read_schema(pa.BufferReader(content)).metadata or {}
        return {store.path(name) for name in json.loads(metadata[_NAMES])}
    except (SourceError, pa.ArrowException, KeyError, ValueError) as error:
        log.info("%s is not used: %s", path, error)
        return None


def _write(store: Store, paths: Sequence[str], names: Sequence[str]) -> None:
    parts = [part for path in paths if (part := store.read(store.name(path))) is not None]
    if len(parts) < len(paths):
        return  # one has gone meanwhile
    rows = pa.concat_tables(parts, promote_options="permissive")
    rows = rows.replace_schema_metadata({_NAMES: json.dumps(list(names)).encode()})
    stem = f"{FOLDER}/{len(names):09}"
    store.write_as(lambda digest: digests.named(stem, digest), rows.schema, lambda file: file.write_table(rows))
