"""Batch jobs in folders: each has its graph, its state, its log and its result, and outlasts the service.

    <folder>/<id>/job.json       owner, graph, status; replaced atomically
                  log.ndjson     what happened, a line each
                  result.*       there when the status is finished

A job's identifier says the moment of the lake that it reads, so its result can be made again. What was queued or
running when the service ended is queued again when it starts; what ended it `_TRIES` times is given up.
"""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from cbm_lake.errors import LakeError
from cbm_lake.files import clock, durable
from cbm_lake.server.openeo.refusals import OpenEoError
from cbm_lake.server.openeo.working import Written
from cbm_lake.server.results import Room

log = logging.getLogger(__name__)

Status = Literal["created", "queued", "running", "finished", "error", "canceled"]
_NAME: Final = re.compile(r"j-(\d{8}T\d{12}Z)-[0-9a-f]{12}")
_STAMP: Final = "%Y%m%dT%H%M%S%fZ"
_TRIES: Final = 3
MOST_JOBS: Final = 200
"""Of one account."""


class Job(BaseModel):
    """What is known of a job."""

    model_config = ConfigDict(frozen=True)

    id: str
    owner: str
    graph: dict[str, object]
    """The process graph."""
    title: str | None = None
    description: str | None = None
    status: Status = "created"
    created: datetime
    updated: datetime
    tries: int = 0
    """How often it was begun."""
    result: str = ""
    """The name of the file of the result."""
    media_type: str = ""
    way: str = ""
    """How the result was computed."""
    aois: tuple[str, ...] = ()
    """The areas that the result tells of."""

    @property
    def as_of(self) -> datetime:
        """The moment of the lake that the job reads."""
        return snapshot_of(self.id)


def snapshot_of(name: str) -> datetime:
    """The moment that the identifier of a job says."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise OpenEoError("JobNotFound", "there is no such job")
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC)


class StoppedError(Exception):
    """A job was cancelled, or the service ends."""


Work = Callable[[Job, Path, Callable[[], None]], Written]
"""Computes a job's result into a folder; what is called between reads raises `StoppedError`."""


class Jobs:
    """The jobs of a service.

    Args:
        root: folder of all; made when the first is created.
        work: see `Work`.
        room: bytes of the results of one account; no job is begun when there are as many.
    """

    def __init__(self, root: Path, work: Work, room: int = Room.bytes) -> None:
        self._root, self._work, self._room = root, work, room
        self._lock = threading.Lock()
        self._stops: dict[str, threading.Event] = {}
        self._workers: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin to work, first on what was left."""
        self._workers = ThreadPoolExecutor(1, "openeo-jobs")
        for job in sorted(self._all(), key=lambda job: job.updated):
            if job.status in ("queued", "running"):
                if job.status == "running":
                    self._log(job.id, "warning", "the service ended meanwhile; the job begins again")
                self._enqueue(job)

    def close(self) -> None:
        """End; what is running stays so, and is begun again when the service starts."""
        for stop in list(self._stops.values()):
            stop.set()
        if self._workers is not None:
            self._workers.shutdown(cancel_futures=True)

    # -- for accounts -----------------------------------------------------------------------------------------------

    def create(self, owner: str, graph: Mapping[str, object], title: str | None, description: str | None) -> Job:
        """A new job, not started.

        Raises:
            OpenEoError: the account has as many as one may have.
        """
        if len(self.of(owner)) >= MOST_JOBS:
            reason = f"you have {MOST_JOBS} jobs, as many as one account may have; delete some"
            raise OpenEoError("ServiceUnavailable", reason, 429)
        now = clock.now()
        name = f"j-{now.strftime(_STAMP)}-{secrets.token_hex(6)}"
        job = Job(
            id=name,
            owner=owner,
            graph=dict(graph),
            title=title,
            description=description,
            created=now,
            updated=now,
        )
        durable.make_folder(self._root / name, 0o700)
        self._log(name, "info", f"created; it reads the lake as it was at {now:%Y-%m-%dT%H:%M:%S.%fZ}")
        self._write(job)
        return job

    def of(self, owner: str) -> list[Job]:
        """The jobs of an account, the latest first."""
        return sorted((job for job in self._all() if job.owner == owner), key=lambda job: job.id, reverse=True)

    def one(self, owner: str, name: str) -> Job:
        """A job of an account.

        Raises:
            OpenEoError: there is none of that name that is theirs.
        """
        job = self._read(name) if _NAME.fullmatch(name) else None
        if job is None or job.owner != owner:
            raise OpenEoError("JobNotFound", "there is no such job, or it is not yours")
        return job

    def begin(self, owner: str, name: str) -> None:
        """Queue a job, also one that has ended: its result is made again of the same moment of the lake.

        Raises:
            OpenEoError: there is none that is theirs, or no room for a result.
        """
        with self._lock:
            job = self.one(owner, name)
            if job.status in ("queued", "running"):
                return
            if self._is_full(job):
                raise OpenEoError("ServiceUnavailable", self._full, 429)
            job = self._changed(job, status="queued", tries=0, result="", media_type="", way="", aois=())
            self._log(name, "info", "queued")
        self._enqueue(job)

    def cancel(self, owner: str, name: str) -> None:
        """End a job that is queued or running."""
        with self._lock:
            job = self.one(owner, name)
            if job.status not in ("queued", "running"):
                return
            self._changed(job, status="canceled")
            self._log(name, "info", "canceled")
        self._stop(name)

    def delete(self, owner: str, name: str) -> None:
        """End a job, and delete all that is of it."""
        with self._lock:
            job = self.one(owner, name)
            self._stop(name)
            (self._folder(job.id) / "job.json").unlink(missing_ok=True)
            shutil.rmtree(self._folder(job.id), ignore_errors=True)

    def file(self, job: Job) -> Path:
        """The file of a job's result.

        Raises:
            OpenEoError: it is not finished.
        """
        if job.status == "error":
            raise OpenEoError("JobNotFinished", "the job ended with an error; its log says which", 424)
        if job.status != "finished" or not job.result:
            raise OpenEoError("JobNotFinished", f"the job is not finished, it is {job.status}")
        return self._folder(job.id) / job.result

    def log_of(self, job: Job) -> list[dict[str, object]]:
        """What happened to a job, in the order in which it did."""
        try:
            lines = (self._folder(job.id) / "log.ndjson").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        return list(_entries(lines))

    # -- work -------------------------------------------------------------------------------------------------------

    def _enqueue(self, job: Job) -> None:
        self._stops[job.id] = stop = threading.Event()
        if self._workers is not None:
            self._workers.submit(self._run, job.id, stop)

    def _stop(self, name: str) -> None:
        stop = self._stops.pop(name, None)
        if stop is not None:
            stop.set()

    def _run(self, name: str, stop: threading.Event) -> None:
        """Work a job, unless it was cancelled meanwhile; whatever goes wrong is its own error."""
        job = self._begun(name, stop)
        if job is None:
            return

        def check() -> None:
            if stop.is_set():
                raise StoppedError

        try:
            written = self._work(job, self._folder(name), check)
        except StoppedError:
            self._put_back(name)
        except (LakeError, OpenEoError) as error:
            self._end(name, "error", str(error))
        except Exception as error:  # the border of a thread: a fault of one job must not leave it running for ever
            log.exception("job %s failed", name)
            self._end(name, "error", f"{type(error).__name__}: the log of the server says more")
        else:
            self._end(name, "finished", written.way, written)

    def _begun(self, name: str, stop: threading.Event) -> Job | None:
        """A job that is running from now on; None where it is not to be worked any more."""
        with self._lock:
            job = self._read(name)
            if job is None or job.status not in ("queued", "running") or stop.is_set():
                return None
            if job.tries >= _TRIES:
                self._log(name, "error", f"the service ended {_TRIES} times while it worked on this; it is given up")
                self._changed(job, status="error")
                return None
            if self._is_full(job):  # of results of jobs that were queued before it
                self._log(name, "error", self._full)
                self._changed(job, status="error")
                return None
            self._log(name, "info", "running")
            return self._changed(job, status="running", tries=job.tries + 1)

    def _put_back(self, name: str) -> None:
        """Queue a job that the end of the service stopped, which is no fault of its own; not one that was cancelled."""
        with self._lock:
            job = self._read(name)
            if job is not None and job.status == "running":
                self._changed(job, status="queued", tries=job.tries - 1)

    def _end(self, name: str, status: Status, message: str, written: Written | None = None) -> None:
        with self._lock:
            job = self._read(name)
            if job is None or job.status != "running":  # cancelled or deleted meanwhile
                return
            self._log(name, "error" if status == "error" else "info", message)
            if written is None:
                self._changed(job, status=status)
            else:
                durable.sync([written.file])
                result = {"result": written.file.name, "media_type": written.media_type, "way": written.way}
                self._changed(job, status=status, aois=written.aois, **result)
            self._stops.pop(name, None)

    # -- files ------------------------------------------------------------------------------------------------------

    @property
    def _full(self) -> str:
        return f"the results of your jobs have {self._room} bytes, as many as one account may have; delete some"

    def _is_full(self, job: Job) -> bool:
        """Whether the results of its owner's other jobs leave no room for one of a job."""
        return sum(self._size(other) for other in self.of(job.owner) if other.id != job.id) >= self._room

    def _size(self, job: Job) -> int:
        """Bytes of a job's result; 0 of one that has none."""
        try:
            return (self._folder(job.id) / job.result).stat().st_size if job.result else 0
        except FileNotFoundError:  # deleted meanwhile
            return 0

    def _folder(self, name: str) -> Path:
        return self._root / name

    def _changed(self, job: Job, **changes: object) -> Job:
        changed = job.model_copy(update={**changes, "updated": clock.now()})
        self._write(changed)
        return changed

    def _write(self, job: Job) -> None:
        with durable.replacing(self._folder(job.id) / "job.json", private=True) as draft:
            draft.write_bytes(orjson.dumps(job.model_dump(mode="json")))

    def _read(self, name: str) -> Job | None:
        try:
            return Job.model_validate_json((self._folder(name) / "job.json").read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            log.warning("job %s cannot be read: %s", name, " ".join(str(error).split())[:200])
            return None

    def _all(self) -> Iterator[Job]:
        if self._root.is_dir():
            names = sorted(folder.name for folder in self._root.iterdir() if _NAME.fullmatch(folder.name))
            yield from (job for job in map(self._read, names) if job is not None)

    def _log(self, name: str, level: str, message: str) -> None:
        entry = {"time": f"{clock.now():%Y-%m-%dT%H:%M:%S.%fZ}", "level": level, "message": message}
        with (self._folder(name) / "log.ndjson").open("ab") as file:
            file.write(orjson.dumps(entry) + b"\n")


def _entries(lines: list[bytes]) -> Iterator[dict[str, object]]:
    """The entries of a log, without a last line that broke off."""
    for number, line in enumerate(lines):
        try:
            yield {"id": str(number + 1), **orjson.loads(line)}
        except orjson.JSONDecodeError:
            continue
