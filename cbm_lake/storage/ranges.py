"""Byte ranges of local files, objects of object stores and files of web servers: one concurrent, retrying reader.

`open_bytes` accepts paths and s3://, az://, abfs://, gs://, http:// and https:// URLs. Remote files are read by
obstore: several requests are in flight at once, neighbouring ranges are merged into one request, and each request is
retried by itself, from the byte at which it was interrupted. ETag, size and modification time are compared in every
response, so that bytes of two versions of a file are never mixed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import re
import tempfile
import time
import weakref
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

import obstore
from obstore.exceptions import BaseError, NotSupportedError

from cbm_lake.errors import SourceError
from cbm_lake.storage import access, stores

if TYPE_CHECKING:
    from obstore import GetResult

log = logging.getLogger(__name__)

HEADER: Final = 65_536
"""Bytes that come with the first request: the header of a COG with all its offsets."""
_SAMPLE: Final = 16_384
"""First bytes that tell versions of a file apart where a server gives neither an ETag nor a modification time."""
_GAP: Final = 65_536
"""Ranges that lie no further apart are one request."""
_LARGEST: Final = 1_572_864
"""Bytes of one request; longer ranges are fetched in parts, side by side."""
_WINDOW: Final = 25_165_824
"""Bytes that are in flight or wait to be used, in each stream."""
_CHUNK: Final = 524_288
"""Bytes of an interrupted response that are kept, a multiple of this."""
_BACKOFF: Final = 0.2
_LONGEST_PAUSE: Final = 20.0
"""Seconds before the first retry, and at most before any, unless the server asks for more."""
_LONGEST_WAIT: Final = 120.0
"""Longest wait in seconds that a server may ask for before the request fails."""
_TIMED_OUT: Final = re.compile(r"timed out|TimedOut|operation timed|too slow")
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP status codes of transient failures."""
_CHANGED: Final = "changed while it was read"


class ByteSource(Protocol):
    """The bytes of one file."""

    href: str
    size: int
    """Bytes."""
    stamp: str
    """Identifies the content: the ETag, otherwise size and modification time."""

    def read(self, start: int, end: int) -> bytes:
        """The bytes from start up to end, fewer where the file ends before.

        Raises:
            SourceError: they are out of reach, or the file changed since it was opened.
        """

    def stream(self, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """The bytes of each range, in that order.

        Later ones are fetched while earlier ones are used, in bounded memory. Raises what `read` raises.
        """


def open_bytes(href: str) -> ByteSource:
    """Open a file for reading byte ranges.

    Args:
        href: path, or URL of an object store or web server.

    Raises:
        SourceError: it is missing or out of reach; the message names it without secrets.
    """
    return RemoteFile(href) if stores.is_distant(href) else LocalFile(href)


def stamp(href: str) -> str:
    """The stamp that identifies the present content of a file: its ETag, otherwise size and modification time.

    Of a file inside an archive (/vsizip/…) it is that of the archive. Remote files cost one small request.

    Raises:
        SourceError: the file is missing or out of reach.
    """
    return RemoteFile(href, _SAMPLE).stamp if stores.is_distant(href) else _local_stamp(_on_disk(href), href)


# -- on this machine ----------------------------------------------------------------------------------------------


class LocalFile:
    """A file on this machine; it is open only while it is read."""

    def __init__(self, href: str) -> None:
        self.href, self._path = href, stores.local_path(href)
        self.stamp = _local_stamp(self._path, href)
        self.size = Path(self._path).stat().st_size

    def read(self, start: int, end: int) -> bytes:
        """See `ByteSource`."""
        return next(self.stream([(start, end)]))

    def stream(self, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """See `ByteSource`."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
            try:
                for start, end in ranges:
                    yield os.pread(descriptor, max(end - start, 0), start)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(self.href, error.strerror or str(error)) from error


def _local_stamp(path: str, href: str) -> str:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise unreadable(href, error.strerror or str(error), action="opened") from error
    return f"{status.st_size}-{status.st_mtime_ns}"


def _on_disk(href: str) -> str:
    """The file on disk behind a path; for a path into an archive, the archive."""
    path = stores.local_path(href)
    if not path.startswith("/vsi"):
        return path
    inner = re.sub(r"^(/vsi[a-z0-9]+/)+", "", path)
    if braced := re.match(r"\{(.*)\}", inner):
        return braced[1]
    within = [Path(inner), *Path(inner).parents]
    return str(next((file for file in (*within, *(Path("/") / part for part in within)) if file.is_file()), inner))


# -- remote -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Version:
    """The metadata of the file in every response of a server."""

    size: int
    etag: str
    modified: datetime | None

    @classmethod
    def of(cls, answer: GetResult) -> _Version:
        """As the headers of an answer give it; obstore says 1970 where there is no modification time."""
        meta = answer.meta
        modified = meta["last_modified"]
        return cls(meta["size"], (meta["e_tag"] or "").removeprefix("W/"), modified if modified.year > 1970 else None)


class _NoRangesError(Exception):
    """The server answers with whole files only."""


class _Attempts:
    """The remaining retries of a request, and the wait before the next one."""

    def __init__(self, where: stores.Remote, silences: int = 1) -> None:
        """`silences`: how often nothing may come within the time limit; a server that has never answered gets none."""
        self._where, self._silences = where, silences
        self._attempts, self._silent, self._renewed = 0, 0, False

    def progress(self) -> None:
        """Some bytes came: what fails from here on is a new failure."""
        self._attempts = 0

    def again(self, problem: BaseException) -> bool:
        """Count a failure, and wait where it may pass; False where it will not, or has come too often."""
        status = access.STATUS.search(str(problem))
        code = int(status["status"][:3]) if status else 0
        if code in (401, 403) and not self._renewed:
            self._renewed = True
            return self._where.renew()
        if isinstance(problem, FileNotFoundError) or (code and code not in _BUSY):
            return False
        self._silent += bool(_TIMED_OUT.search(str(problem)))
        self._attempts += 1
        if self._attempts > self._where.retries or self._silent > self._silences:
            return False
        pause = min(_BACKOFF * 2 ** (self._attempts - 1), _LONGEST_PAUSE) * random.uniform(0.8, 1.2)  # noqa: S311
        return self._wait(pause if code not in (429, 503) else max(pause, self._where.asked_to_wait()))

    def _wait(self, seconds: float) -> bool:
        """Wait, unless it is too long."""
        if seconds > _LONGEST_WAIT:
            return False
        if seconds > _LONGEST_PAUSE:
            log.warning("%s is busy; going on in %.0f s", stores.redacted(self._where.url), seconds)
        time.sleep(seconds)
        return True


class RemoteFile:
    """A file in an object store or on a web server; making it sends the first request."""

    def __init__(self, href: str, first: int = HEADER) -> None:
        self.href = stores.redacted(href)
        self._where = stores.Remote(href)
        self._version = _Version(0, "", None)
        self._opened = False
        self._whole: IO[bytes] | None = None
        try:
            self._head = self._fetched(0, first)
        except _NoRangesError:
            self._whole = self._downloaded()
            self._head = os.pread(self._whole.fileno(), first, 0)
        self._opened = True
        self.size = self._version.size
        self.stamp = self._stamp(self._version)

    def _stamp(self, version: _Version) -> str:
        if version.etag:
            return f"{version.size}-{version.etag}"
        if version.modified:
            return f"{version.size}-{version.modified.isoformat()}"
        return f"{version.size}-{hashlib.sha256(self._head[:_SAMPLE]).hexdigest()}"

    def read(self, start: int, end: int) -> bytes:
        """See `ByteSource`."""
        return next(iter(self.stream([(start, end)])))

    def stream(self, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """See `ByteSource`."""
        if self._whole is not None:
            return (os.pread(self._whole.fileno(), max(end - start, 0), start) for start, end in ranges)
        return self._streamed([(start, max(start, min(end, self.size))) for start, end in ranges])

    def _streamed(self, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        requests, in_flight = _requests(ranges, len(self._head)), 0
        waiting: deque[tuple[_Request, list[Future[bytes]]]] = deque()
        pool = ThreadPoolExecutor(self._where.connections, "ranges")
        try:
            while True:
                while in_flight < _WINDOW and (request := next(requests, None)) is not None:
                    waiting.append((request, [pool.submit(self._fetched, *part) for part in request.parts]))
                    in_flight += request.size
                if not waiting:
                    return
                request, parts = waiting.popleft()
                content = parts[0].result() if len(parts) == 1 else b"".join(part.result() for part in parts)
                parts.clear()
                for start, end in request.members:
                    yield self._cut(content, request.start, start, end)
                in_flight -= request.size
        finally:  # whoever goes away does not wait for what is under way
            pool.shutdown(wait=False, cancel_futures=True)

    def _cut(self, content: bytes, first: int, start: int, end: int) -> bytes:
        """A range out of what a request brought, or out of the bytes that came when the file was opened."""
        if end <= len(self._head):
            return self._head[start:end]
        return content if (start, end) == (first, first + len(content)) else content[start - first : end - first]

    def _fetched(self, start: int, end: int) -> bytes:
        """The bytes from start up to end or to the end of the file, however often the connection breaks."""
        parts: list[bytes] = []
        attempts, at = _Attempts(self._where, int(self._opened)), start
        while True:
            try:
                for chunk in self._answered(at, end):
                    parts.append(chunk)
                    at += len(chunk)
                    attempts.progress()
                return parts[0] if len(parts) == 1 else b"".join(parts)
            except (BaseError, OSError) as error:
                if isinstance(error, NotSupportedError) and not self._opened:
                    raise _NoRangesError from error
                if not attempts.again(error):
                    raise self._failure(error) from None  # its text has the signature

    def _answered(self, start: int, end: int) -> Iterator[bytes]:
        """The body of one answer, chunk by chunk, as long as the connection lasts."""
        if start >= end:
            return
        with self._where.limit:
            answer = obstore.get(self._where.store(), self._where.path, options={"range": (start, end)})
            self._compare(_Version.of(answer))
            first, last = answer.range
            for chunk in answer.stream(min_chunk_size=_CHUNK):
                first += len(chunk)
                _check_length(min(first, last), first)
                yield bytes(chunk)
            _check_length(first, last)

    def _compare(self, version: _Version) -> None:
        if not self._version.size:
            self._version = version
        elif self._version != version:
            raise SourceError(f"raster {self.href} {_CHANGED}", advice="run again")

    def _downloaded(self) -> IO[bytes]:
        """The whole file, in a temporary file: from a server that knows no ranges."""
        attempts = _Attempts(self._where)
        file = tempfile.TemporaryFile()  # noqa: SIM115
        weakref.finalize(self, file.close)
        while True:
            try:
                with self._where.limit:
                    answer = obstore.get(self._where.store(), self._where.path)
                    self._version = _Version.of(answer)
                    for chunk in answer.stream(min_chunk_size=_CHUNK):
                        file.write(chunk)
                file.flush()
                _check_length(file.tell(), self._version.size)
            except (BaseError, OSError) as error:
                if not attempts.again(error):
                    raise self._failure(error) from None  # its text has the signature
                file.seek(0)
                file.truncate()
            else:
                return file

    def _failure(self, error: BaseException) -> SourceError:
        action = "read" if self._opened else "opened"
        return unreadable(self.href, access.explained(error), self._where.advice(error), action)


def _check_length(came: int, expected: int) -> None:
    """Raise OSError where an answer has another length than it said, which some connections end without an error."""
    if came != expected:
        raise OSError("the answer was cut off, or is longer than it says")


@dataclass
class _Request:
    """Neighbouring ranges that are fetched together."""

    start: int
    end: int
    members: list[tuple[int, int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The ranges of one request: a single one, or parts of a long one."""
        if not self.size:
            return [(self.start, self.end)]
        count = -(-self.size // _LARGEST)
        length = -(-self.size // count)
        return [(at, min(at + length, self.end)) for at in range(self.start, self.end, length)]


def _requests(ranges: Iterable[tuple[int, int]], size: int) -> Iterator[_Request]:
    """The ranges in order, close ones grouped into one request; the first `known` bytes need no request."""
    request: _Request | None = None
    for start, end in ranges:
        here = (start, start) if end <= size else (start, end)
        if request is not None:
            near = request.end <= here[0] <= request.end + _GAP
            if near and here[1] - request.start <= _LARGEST and here[1] > here[0]:
                request.end = here[1]
                request.members.append((start, end))
                continue
            yield request
        request = _Request(*here, [(start, end)])
    if request is not None:
        yield request


def unreadable(href: str, reason: str, advice: str = "", action: str = "read") -> SourceError:
    """The error for a raster that cannot be read."""
    problem = f"raster {href} cannot be {action}: {reason}"
    return SourceError(problem, advice=advice or "fetch it again or leave out this scene")
