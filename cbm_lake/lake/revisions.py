"""Comparison of catalogue entries of one scene: which is a new revision, and which is of an older product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

import pyarrow as pa

Entry: TypeAlias = Mapping[str, object]
"""Columns of schemas.SCENES by name."""
Key: TypeAlias = tuple[str, str]
"""Card and id."""

_STATED: Final = ("reference", "processing_baseline", "boa_offset", "assets")
"""What entries of version 0.1 tell of a product too."""
_DATED: Final = ("datastrip", "produced", "updated")


def by_key(rows: pa.Table) -> Iterator[tuple[Key, Entry]]:
    """Rows of schemas.SCENES, or of the query scenes.entries, as entries."""
    named = rows.rename_columns([name.removeprefix("s2:") for name in rows.column_names])
    for entry in named.select(["card", "id", *_STATED, *_DATED, "revision"]).to_pylist():
        yield (entry["card"], entry["id"]), entry


def choose(scenes: pa.Table, entries: Mapping[Key, Entry]) -> dict[Key, tuple[int, str | None]]:
    """The scenes that are to be catalogued: their row numbers, and the revisions that they are to have.

    Args:
        scenes: rows of schemas.SCENES; of several under one key the newest is taken.
        entries: those in force.
    """
    accepted: dict[Key, tuple[int, str | None]] = {}
    current = dict(entries)
    for number, (key, entry) in enumerate(by_key(scenes)):
        other = current.get(key)
        if other is None or (_differs(entry, other) and _age(entry) >= _age(other)):
            revision = None if other is not None and _completes(entry, other) else entry["revision"]
            current[key] = {**entry, "revision": revision}
            accepted[key] = number, None if revision is None else str(revision)
    return accepted


def rows(table: pa.Table, accepted: Mapping[Key, tuple[int, str | None]]) -> pa.Table:
    """The rows of the accepted entries, each with its revision."""
    numbers, revisions = [number for number, _ in accepted.values()], [revision for _, revision in accepted.values()]
    rows_of_entries = table.take(numbers)
    index = rows_of_entries.schema.get_field_index("revision")
    return rows_of_entries.set_column(index, rows_of_entries.schema.field(index), pa.array(revisions, pa.string()))


def is_another(other: Entry, revision: str | None) -> bool:
    """Whether that revision is another than an entry's; entries of version 0.1, which have none, may be completed."""
    return revision is not None or other["revision"] is not None


def _differs(entry: Entry, other: Entry) -> bool:
    if entry["revision"] is not None and other["revision"] is not None:
        return entry["revision"] != other["revision"]
    return any(entry[name] != other[name] for name in _STATED) or _completes(entry, other)


def _completes(entry: Entry, other: Entry) -> bool:
    """Whether an entry says of the same product when it was sensed and made, which that of version 0.1 does not.

    It is no new revision: what was extracted goes on counting.
    """
    undated = other["revision"] is None and all(other[name] is None for name in _DATED)
    same = all(entry[name] == other[name] for name in _STATED)
    return undated and same and any(entry[name] is not None for name in _DATED)


def _age(entry: Entry) -> tuple[str, datetime, datetime]:
    """What entries under one id are ordered by, as in the view current_scenes."""
    produced, updated = (_timestamp(entry[name]) for name in ("produced", "updated"))
    return str(entry["processing_baseline"] or ""), produced, updated


def _timestamp(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.min.replace(tzinfo=UTC)
