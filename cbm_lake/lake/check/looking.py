"""A pass over a lake: the files that exist, and the findings that the parts of `check` add."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar, cast

import duckdb

from cbm_lake.lake import queries
from cbm_lake.storage.store import DRAFT, Store

Progress = Callable[[int, int], None]
"""Called with the number of files checked and the total."""

Row: TypeAlias = Mapping[str, Any]
"""A row of a query of sql/check: its values by the names that its SELECT gives them."""
_T = TypeVar("_T")
READERS: Final = 8
"""Files that are read concurrently, as they may be remote."""
UNREADABLE: Final = (OSError, RuntimeError, ValueError, KeyError, TypeError)
"""What the Arrow, Zarr and JSON readers raise for damaged bytes."""
RESTORE: Final = "restore it from a copy"
_LENGTH: Final = 200


@dataclass(frozen=True)
class Finding:
    """One fault or note; the fields are the columns of FINDINGS."""

    severity: str
    part: str
    what: str
    file: str
    advice: str

    @property
    def subject(self) -> tuple[str, str, str]:
        """What it is about, whatever numbers it says."""
        return self.part, re.sub(r"\d[\d,]*", "…", self.what), self.file


@dataclass(frozen=True)
class Listing:
    """The files of a lake at one time."""

    files: Mapping[str, tuple[int, int]]
    """Size, and time of the last change in nanoseconds, by the name in the lake."""

    @classmethod
    def of(cls, store: Store) -> Listing:
        """What lies there now.

        Raises:
            SourceError: the folder cannot be listed.
        """
        return cls({name: (info.size or 0, info.mtime_ns or 0) for name, info in store.listing().items()})


@dataclass
class Looking:
    """One pass, to which the parts of the check add their findings."""

    store: Store
    deep: bool
    listing: Listing
    progress: Progress
    suspects: frozenset[str] | None = None
    """The only files that a second look reads deeply; None is all."""
    findings: list[Finding] = field(default_factory=list)
    looked_at: int = 0

    def fault(self, part: str, what: str, file: str, advice: str) -> None:
        """Add a fault, which must be repaired."""
        self.findings.append(Finding("fault", part, what, file, advice))

    def note(self, part: str, what: str, file: str, advice: str) -> None:
        """Add a note, which is harmless."""
        self.findings.append(Finding("note", part, what, file, advice))

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return name in self.listing.files

    def size(self, name: str) -> int:
        """Bytes of a file that is there."""
        return self.listing.files[name][0]

    def reads_all(self, name: str) -> bool:
        """Whether every byte of a file is to be read."""
        return self.deep and (self.suspects is None or name in self.suspects)

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """The files below a folder, without drafts, in order."""
        names = (name for name in self.listing.files if name.startswith(f"{folder}/") and name.endswith(suffix))
        return sorted(name for name in names if not DRAFT.search(name))

    def each(self, work: Callable[[str], _T], names: Iterable[str]) -> list[_T]:
        """Apply a function to many files concurrently; results are in the order of the names."""
        answers, total = [], len(self.listing.files)
        with ThreadPoolExecutor(READERS) as pool:
            for answer in pool.map(work, names):
                answers.append(answer)
                self.looked_at += 1
                self.progress(min(self.looked_at, total), total)
        return answers


def reason(error: Exception) -> str:
    """The message of an error as one line of bounded length."""
    message = " ".join(str(error).split()) or type(error).__name__
    return message if len(message) <= _LENGTH else f"{message[:_LENGTH]}…"


def part_of(name: str) -> str:
    """The table or folder that a file belongs to."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] in ("signatures", "set_aside", "weather", "qa") else parts[0]


def answers(connection: duckdb.DuckDBPyConnection, question: str) -> list[Row]:
    """The rows of a named query of the folder check."""
    rows = connection.sql(queries.get(f"check.{question}").sql).to_arrow_table()
    return cast("list[Row]", rows.to_pylist())
