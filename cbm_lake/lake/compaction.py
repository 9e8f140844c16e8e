"""Compaction: rewrites signature files sorted by parcel, so that a look-up reads one row group of one file.

Scene files hold every parcel once; after compaction a parcel's rows lie together, in the order of time, and never
across two row groups. Parcels are taken slice by slice, so that memory does not grow with the table.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cbm_lake.errors import LakeError, SourceError
from cbm_lake.lake import queries
from cbm_lake.storage.delta import Table

log = logging.getLogger(__name__)

SLICE = 1_000_000
"""Rows sorted at a time: about 1.5 GB of memory."""
GROUP = 6_144
"""Rows of a row group: a look-up decodes one; with fewer of them footers grow, which questions of all parcels read."""
FILE = 65_536
"""Rows of a file, 9 MB: a look-up that comes to a file for the first time reads its whole footer."""
_ATTEMPTS = 5
"""How often a partition is tried while others replace rows of it."""


def compact(
    table: Table,
    connection: duckdb.DuckDBPyConnection,
    dropped: Sequence[int],
    recorded: frozenset[int] | None = None,
) -> tuple[int, list[str]]:
    """Rewrite the partitions that got files since the last compaction; each in a commit on a snapshot of its own.

    After an interruption it continues with the first unfinished partition. One that fails is left unchanged, and the
    others are still compacted.

    Args:
        table: of signatures.
        connection: which reads the files.
        dropped: extractions whose rows are left out.
        recorded: extractions that the ledger has, for what a running one writes is left alone; None is all.

    Returns:
        How many files were merged into others, and what went wrong: one sentence for each partition.

    Raises:
        SourceError: the table's log cannot be read.
    """
    merged, problems = 0, []
    for partition, _ in list(table.by_partition(table.open())):
        try:
            merged += _compacted(table, partition, connection, dropped, recorded)
        except LakeError as error:
            where = " ".join(f"{name}={value}" for name, value in partition.items())
            problems.append(f"{table.name} {where}: {error}")
    return merged, problems


def _compacted(
    table: Table,
    partition: dict[str, str],
    connection: duckdb.DuckDBPyConnection,
    dropped: Sequence[int],
    recorded: frozenset[int] | None,
) -> int:
    """Rewrite the current state of a partition; repeated where rows of it were replaced meanwhile."""
    for _ in range(_ATTEMPTS):
        files = next((files for values, files in table.by_partition(table.open()) if values == partition), [])
        if recorded is not None:
            files = [
                file for file in files if (extraction := file.only("extraction")) is None or extraction in recorded
            ]
        if all(file.is_rewritten for file in files):  # perhaps by somebody else
            return 0
        log.info("compacting %s %s: %d files", table.url, partition, len(files))
        if table.rewrite(files, _parts(connection, [file.path for file in files], dropped)):
            return len(files)
    raise SourceError("others went on replacing its rows; compact again when they have ended")


def tidy(tables: Iterable[Table], but: tuple[str, ...]) -> list[str]:
    """Merge small tables into one file each and checkpoint all logs; returns a sentence for each table that failed.

    Args:
        tables: every table of a lake.
        but: how the names of those begin whose files are left alone.
    """
    problems = []
    for table in tables:
        try:
            if not table.name.startswith(but):
                table.merge()
            table.checkpoint()
        except LakeError as error:
            problems.append(f"{table.name}: {error}")
    return problems


def _parts(connection: duckdb.DuckDBPyConnection, files: list[str], dropped: Sequence[int]) -> Iterator[list[pa.Table]]:
    """For each new file its row groups."""
    params = {"files": files, "dropped": list(dropped)}
    with queries.translated():
        counted = connection.sql(queries.get("compaction.parcels").sql, params=params).to_arrow_table()
    ends = np.cumsum(counted["rows"].to_numpy())
    last = np.searchsorted(ends, _cut(ends, SLICE)[1:])
    for first, final in pairwise([-1, *last.tolist()]):
        pids = {"first": counted["pid"][first + 1].as_py(), "last": counted["pid"][final].as_py()}
        with queries.translated():
            rows = connection.sql(queries.get("compaction.rows").sql, params={**params, **pids}).to_arrow_table()
        yield from grouped(rows)


def grouped(rows: pa.Table) -> Iterator[list[pa.Table]]:
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
