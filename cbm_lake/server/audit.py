"""The access log: who read what and when, as JSON lines in daily files in data/access/, and as a table.

A thread writes and syncs rows once a second, so that a kill or a loss of power loses at most one second. Each process
writes its own files. They contain personal data: only their owner may read them, and they are deleted after a number
of days.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from cbm_lake.config import Workspace
from cbm_lake.errors import SourceError
from cbm_lake.files import durable
from cbm_lake.files.dates import day_of

log = logging.getLogger(__name__)

DAYS: Final = 180
"""For which the files are kept, unless told otherwise."""
SCHEMA: Final = pa.schema(
    [
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("who", pa.string()),
        pa.field("address", pa.string()),
        pa.field("door", pa.string()),
        pa.field("method", pa.string()),
        pa.field("path", pa.string()),
        pa.field("aoi", pa.string()),
        pa.field("pid", pa.string()),
        pa.field("question", pa.string()),
        pa.field("status", pa.int32()),
        pa.field("ms", pa.float64()),
    ]
)
"""When (UTC) the answer ended; the account, null where nobody was logged in; the address; "rest" or "app"; the request;
the area and parcel that it names, null where it names none; the rest of the question: parameters, or a body, of SQL the
statement; the answer's status and the milliseconds it took, null of a button that is pressed on the page."""
_SECONDS: Final = 1.0
"""Between two writes."""
_MOST_WAITING: Final = 200_000
"""Rows that are kept while the disk does not take them; of more the oldest are lost, which the log says."""
_LARGEST: Final = 64_000_000
"""Bytes of a file; then another is begun."""
_LONGEST: Final = 20_000
"""Characters of a question."""


@dataclass(frozen=True)
class Look:
    """One request and its answer; a row of the table."""

    who: str | None
    address: str
    door: str
    method: str
    path: str
    status: int | None
    ms: float | None
    aoi: str | None = None
    pid: str | None = None
    question: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def line(self) -> bytes:
        """As it is written: ASCII, so that no text of a stranger can end a line."""
        row = {**asdict(self), "at": self.at.isoformat(), "question": self.question[:_LONGEST]}
        return json.dumps(row).encode() + b"\n"


class AccessLog:
    """Writes looks into a folder.

    Rows are added by one thread, the event loop's, and written by another.

    Args:
        folder: where the files are; made when the first is written.
        days: for which they are kept.
    """

    def __init__(self, folder: Path, days: int = DAYS) -> None:
        self.folder, self.days = folder, days
        self._waiting: deque[Look] = deque(maxlen=_MOST_WAITING)
        self._lost = 0
        self._name = uuid.uuid4().hex[:12]
        self._file: Path | None = None
        self._swept: date | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def add(self, look: Look) -> None:
        """Queue a row, which is written within a second."""
        self._lost += len(self._waiting) == _MOST_WAITING
        self._waiting.append(look)

    def close(self) -> None:
        """Write pending rows, and stop the thread."""
        self._ended.set()
        self._thread.join(10)
        self.write()

    def write(self) -> None:
        """Write pending rows; those that cannot be written stay queued, with a warning."""
        looks = []
        while self._waiting:
            looks.append(self._waiting.popleft())
        try:
            self._sweep()
            if looks:
                self._append(looks)
        except OSError as error:
            self._waiting.extendleft(reversed(looks))
            log.error("the access log cannot be written (%s); %d rows wait", error, len(self._waiting))  # noqa: TRY400
        lost, self._lost = self._lost, 0
        if lost:
            log.error("%d rows of the access log are lost, since it could not be written", lost)

    def _run(self) -> None:
        while not self._ended.wait(_SECONDS):
            self.write()

    def _append(self, looks: Iterable[Look]) -> None:
        file = self._current()
        is_new = not file.exists()
        if is_new:
            durable.make_folder(self.folder, 0o700)
            file.touch(0o600)
        with file.open("ab") as out:
            out.write(b"".join(look.line() for look in looks))
            out.flush()
            os.fsync(out.fileno())
        if is_new:
            durable.sync([file])

    def _current(self) -> Path:
        """Today's file, or the next one where it has grown too large."""
        prefix = f"{datetime.now(UTC):%Y-%m-%d}-"
        file = self._file
        if file is None or not file.name.startswith(prefix) or (file.exists() and file.stat().st_size > _LARGEST):
            file = self._file = self.folder / f"{prefix}{self._name}-{uuid.uuid4().hex[:6]}.jsonl"
        return file

    def _sweep(self) -> None:
        """Delete expired files, once a day."""
        today = datetime.now(UTC).date()
        if self._swept == today:
            return
        self._swept = today
        for file, day in _files(self.folder):
            if day < today - timedelta(days=self.days):
                file.unlink(missing_ok=True)


def folder_of(workspace: Workspace) -> Path:
    """The folder of a workspace's access log."""
    return workspace.data / "access"


def read(
    since: date | str | None = None,
    until: date | str | None = None,
    *,
    who: str | None = None,
    aoi: str | None = None,
    pid: str | None = None,
    folder: Path | None = None,
) -> pa.Table:
    """Read the access log, oldest first, as a table of `SCHEMA`.

    Args:
        since: first day (UTC), 2024-03-01; None is from the first that is kept.
        until: last day, included; None is until now.
        who: of this account only.
        aoi: of this area only.
        pid: of this parcel only.
        folder: of the access log; None is the workspace's.

    Raises:
        InvalidInputError: a day is none.
        SourceError: a file cannot be read.
    """
    first, last = (day_of(value) if value else limit for value, limit in ((since, date.min), (until, date.max)))
    stated = {"who": who and who.strip().lower(), "aoi": aoi and aoi.lower(), "pid": pid}
    asked = {name: value for name, value in stated.items() if value is not None}
    rows = [
        row
        for file, day in _files(folder or folder_of(Workspace.here()))
        if first <= day <= last
        for row in _rows(file)
        if all(row[name] == value for name, value in asked.items())
    ]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["at"]), SCHEMA)


def _files(folder: Path) -> list[tuple[Path, date]]:
    """The files with their days."""
    files = []
    for file in sorted(folder.glob("????-??-??-*.jsonl")):
        try:
            files.append((file, date.fromisoformat(file.name[:10])))
        except ValueError:
            log.warning("%s is none of the access log's files and is left out", file)
    return files


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file; a line that a kill cut short is left out, and the log says so."""
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:  # it was too old just now
        return
    except OSError as error:
        raise SourceError(f"{file} cannot be read ({error.strerror}); it is for the owner of the service") from error
    damaged = 0
    for line in filter(None, lines):
        try:
            row = json.loads(line)
            yield {**dict.fromkeys(SCHEMA.names), **row, "at": datetime.fromisoformat(row["at"])}
        except (ValueError, TypeError, KeyError):
            damaged += 1
    if damaged:
        log.warning("%d lines of %s are damaged and left out; a kill may cut one short", damaged, file)
