"""Compaction: signature files become files of few parcels each, of which a look-up reads one row group.

Scene files hold every parcel once; after compaction a parcel's rows lie together, in the order of time, and never
across two row groups. Parcels are taken slice by slice, so that memory does not grow with the table.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake import queries
from cbm_lake.store import Table

log = logging.getLogger(__name__)

SLICE = 1_000_000
"""Rows sorted at a time: about 1.5 GB of memory."""
GROUP = 4_096
"""Rows of a row group: a look-up decodes one; with fewer of them footers grow, which questions of all parcels read."""
FILE = 65_536
"""Rows of a file, 9 MB: a look-up that comes to a file for the first time reads its whole footer."""


def compact(table: Table, connection: duckdb.DuckDBPyConnection, dropped: Sequence[int]) -> int:
    """Rewrite the partitions to which files came since the last time; each is one commit.

    Whoever is stopped goes on from the first partition that was not finished.

    Args:
        table: of signatures.
        connection: which reads the files.
        dropped: extractions whose rows are left out.

    Returns:
        How many files were merged into others.

    Raises:
        SourceError: files cannot be read or written, or someone replaced rows of the partition meanwhile; it stays as
            it was.
    """
    merged = 0
    held = table.open()
    if held is None:
        return 0
    for partition, files in _partitions(table.files(held)):
        if all(table.is_rewritten(file) for file in files):
            continue
        log.info("compacting %s %s: %d files", table.url, partition, len(files))
        table.rewrite(held, files, _parts(connection, [file["path"] for file in files], dropped))
        merged += len(files)
    return merged


def _partitions(files: Sequence[dict[str, Any]]) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """Files of one partition each, in the order of partitions."""

    def partition(file: dict[str, Any]) -> tuple[str, ...]:
        return tuple(str(value) for name, value in file.items() if name.startswith("partition."))

    for values, found in groupby(sorted(files, key=partition), partition):
        yield values, list(found)


def _parts(connection: duckdb.DuckDBPyConnection, files: list[str], dropped: Sequence[int]) -> Iterator[list[pa.Table]]:
    """For each new file its row groups."""
    given = {"files": files, "dropped": list(dropped)}
    with queries.translated():
        counted = connection.sql(queries.get("compaction.parcels").sql, params=given).to_arrow_table()
    ends = np.cumsum(counted["rows"].to_numpy())
    last = np.searchsorted(ends, _cut(ends, SLICE)[1:])
    for first, final in pairwise([-1, *last.tolist()]):
        pids = {"first": counted["pid"][first + 1].as_py(), "last": counted["pid"][final].as_py()}
        with queries.translated():
            rows = connection.sql(queries.get("compaction.rows").sql, params={**given, **pids}).to_arrow_table()
        yield from _files(rows)


def _files(rows: pa.Table) -> Iterator[list[pa.Table]]:
    """Row groups for each of the files that sorted rows fill; a parcel is never cut."""
    pids = rows["pid"].combine_chunks()
    changes = pc.not_equal(pids.slice(1), pids.slice(0, len(pids) - 1)).to_numpy(zero_copy_only=False)
    parcels = np.append(np.flatnonzero(changes) + 1, len(pids))
    groups = _cut(parcels, GROUP)
    for start, end in pairwise(_cut(groups[1:], FILE)):
        cuts = groups[(groups >= start) & (groups <= end)]
        yield [rows.slice(first, last - first) for first, last in pairwise(cuts.tolist())]


def _cut(ends: npt.NDArray[np.int64], length: int) -> npt.NDArray[np.int64]:
    """Where to cut: 0 and some of the ends, at most `length` apart wherever the ends allow it."""
    cuts = [0]
    while len(ends) and cuts[-1] < ends[-1]:
        reached = np.searchsorted(ends, cuts[-1] + length, side="right") - 1
        following = np.searchsorted(ends, cuts[-1], side="right")
        cuts.append(int(ends[max(reached, following)]))
    return np.array(cuts)
