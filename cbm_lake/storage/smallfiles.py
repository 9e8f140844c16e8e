"""Merge policy of small tables, which limits a table of thousands of commits to about a hundred files.

Rows move up by levels: sixteen files of about as many rows become one of the next level. So each row is written again
once per level, four times in a table of 65,536 rows, and a commit costs the same however long the table is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import groupby
from typing import Final

from cbm_lake.storage.datafiles import DataFile

_FILES: Final = 16
"""Files of one level that are merged."""
_EVERY: Final = 32
"""Commits between two looks; the one that makes such a version looks, and no other."""
_LARGEST: Final = 1 << 16
"""Rows from which on a file stays as it is, but for `compact`."""


def is_due(version: int) -> bool:
    """Whether the writer of that version of a table is to look for files to merge."""
    return version > 0 and version % _EVERY == 0


def groups(files: Iterable[DataFile]) -> list[list[DataFile]]:
    """The files that become one, for each partition and level; those whose rows the log does not count stay.

    Args:
        files: all of a snapshot.
    """
    small = [file for file in files if 0 < (file.rows or 0) < _LARGEST]
    levels = (list(group) for _, group in groupby(sorted(small, key=_partition_and_level), _partition_and_level))
    return [group for group in levels if len(group) >= _FILES]


def _partition_and_level(file: DataFile) -> tuple[list[tuple[str, str]], int]:
    return sorted(file.partition.items()), int(math.log(file.rows or 1, _FILES) + 1e-9)
