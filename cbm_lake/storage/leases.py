"""Leases: of several runs, on one machine or on many, one at a time has the lake for a purpose.

On a local folder it is a lock of the operating system, which ends with the process that has it, however that ends. An
object store has no such lock, but refuses to create an object twice. So a lease is an object with a number there, which
exactly one run can create; its holder rewrites another one (the beat) every few seconds. Who wants the lease watches
the beat: while it changes the holder lives; where it stays the same for the term of the lease, the holder is dead, and
the next number may be created, again by one run only. Each machine measures the term by a steady counter of its own:
what clocks say decides nothing.

A holder that could not renew its lease for so long (a machine that slept) finds the higher number, and has lost it.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from cbm_lake.errors import HeldError, SourceError
from cbm_lake.files import clock, durable
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.store import Store, discard, translated

FOLDER: Final = "locks"
"""Where the leases of a lake are; backups leave it out."""
BEAT: Final = 10.0
"""Seconds between two renewals."""
TERM: Final = 60.0
"""Seconds without a renewal after which the holder of a lease is taken for dead."""


@dataclass(frozen=True)
class Holder:
    """Who has a lease."""

    who: str
    """Account, machine and process."""
    since: str
    """When it was taken, by the clock of that machine."""
    token: str = ""
    """Distinguishes two leases of one process."""

    @classmethod
    def here(cls) -> Holder:
        """This process."""
        return cls(whoami(), f"{clock.now():%Y-%m-%dT%H:%M:%SZ}", uuid.uuid4().hex)

    @classmethod
    def read(cls, content: bytes | None) -> Holder:
        """The holder in a file; "somebody" where it is missing or damaged."""
        with suppress(ValueError, TypeError, KeyError):
            document = json.loads(content or b"")
            return cls(*(str(document[name]) for name in ("who", "since", "token")))
        return cls("somebody", "a time that is not on record")

    @property
    def written(self) -> bytes:
        """The content of a file that `read` reads."""
        return json.dumps(asdict(self)).encode()


@dataclass
class Lease:
    """A lease that this process has, unless `check` says otherwise."""

    purpose: str
    holder: Holder
    _lost: threading.Event = field(default_factory=threading.Event)
    by: Holder | None = None
    """Who took it over."""

    def lose(self, by: Holder | None) -> None:
        """Note that another one has it now, or may have."""
        self.by = by
        self._lost.set()

    def check(self) -> None:
        """Raise HeldError where this process could not renew its lease in time, so that another one has it."""
        if self._lost.is_set():
            by = f"{self.by.who} took it over at {self.by.since}" if self.by else "another run may have it by now"
            raise HeldError(
                f"this run could not reach the lake for more than {TERM:g} seconds and lost its lock ({self.purpose}): "
                f"{by}; what was done is stored, run again for the rest"
            )


def whoami() -> str:
    """Account, machine and process, as a lock and the journal name them."""
    try:
        account = getpass.getuser()
    except (KeyError, OSError):  # a container whose account has no name
        account = str(os.getuid()) if hasattr(os, "getuid") else "somebody"
    return f"{account}@{socket.gethostname()} (process {os.getpid()})"


@contextmanager
def acquired(store: Store, purpose: str, *, beat: float = BEAT, term: float = TERM) -> Iterator[Lease]:
    """Have the lease of a purpose as long as the context lasts.

    Args:
        store: of the lake.
        purpose: what for, in messages: night run.
        beat: seconds between two renewals, of object stores.
        term: seconds after which a holder that renews no more has lost it, of object stores.

    Raises:
        HeldError: another run has it; the message says who and since when.
        SourceError: the lake cannot be written.
    """
    taking = _remote(store, purpose, beat, term) if is_remote(store.url) else _local(store, purpose)
    with taking as lease:
        yield lease


def _file(purpose: str) -> str:
    """The name of its files."""
    return purpose.replace(" ", "_")


def _refused(purpose: str, holder: Holder) -> HeldError:
    return HeldError(
        f"another {purpose} is going on in this lake: {holder.who}, since {holder.since}",
        advice="wait until it has ended",
    )


# -- local folders ----------------------------------------------------------------------------------------------------


@contextmanager
def _local(store: Store, purpose: str) -> Iterator[Lease]:
    file = Path(store.path(f"{FOLDER}/{_file(purpose)}.lock"))
    note = file.with_suffix(".json")
    lock = FileLock(file, timeout=0, thread_local=False)
    with translated("lock", str(file)):
        durable.make_folder(file.parent)
        try:
            lock.acquire()
        except Timeout as error:
            raise _refused(purpose, Holder.read(_content(note))) from error
    try:
        lease = Lease(purpose, Holder.here())
        with translated("write", str(note)), durable.replacing(note) as draft:
            draft.write_bytes(lease.holder.written)
        yield lease
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _content(file: Path) -> bytes | None:
    with suppress(OSError):
        return file.read_bytes()
    return None


# -- object stores ----------------------------------------------------------------------------------------------------


@contextmanager
def _remote(store: Store, purpose: str, beat: float, term: float) -> Iterator[Lease]:
    store.prove()
    numbers = _Numbers(store, purpose)
    holder = Holder.here()
    number = numbers.take(holder, beat, term)
    lease, ended = Lease(purpose, holder), threading.Event()
    renewing = threading.Thread(target=_renew, args=(numbers, number, lease, ended, beat, term), daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        ended.set()
        renewing.join()
        numbers.end(number)


@dataclass(frozen=True)
class _Numbers:
    """The objects of a purpose: `N.json` says who has number N, `N.beat` that it lives, `N.end` that it has ended."""

    store: Store
    purpose: str

    def take(self, holder: Holder, beat: float, term: float) -> int:
        """Create the next number.

        Raises:
            HeldError: the holder of the last one lives, or another run was quicker.
        """
        last, ended = self.last()
        if last and not ended and self._lives(last, beat, term):
            raise _refused(self.purpose, self.holder(last))
        number = last + 1
        if not self.store.create(self._name(number, "json"), holder.written) and self.holder(number) != holder:
            raise _refused(self.purpose, self.holder(number))
        self.renew(number)
        latest, _ = self.last()
        if latest > number:  # the number was free again, since a later holder discards those below its own
            raise _refused(self.purpose, self.holder(latest))
        self._discard(below=number)
        return number

    def last(self) -> tuple[int, bool]:
        """The highest number, 0 where there is none, and whether its holder has ended."""
        names = self._listing()
        number = max((one for one, kind in names if kind == "json"), default=0)
        return number, (number, "end") in names

    def holder(self, number: int) -> Holder:
        """Who has a number."""
        return Holder.read(self.store.read_bytes(self._name(number, "json")))

    def renew(self, number: int) -> None:
        """Show that the holder of a number lives."""
        self.store.replace(self._name(number, "beat"), uuid.uuid4().hex.encode())

    def end(self, number: int) -> None:
        """Give a number up; where that fails, the next run waits until the lease has run out."""
        with suppress(SourceError):
            self.store.create(self._name(number, "end"), b"")

    def _lives(self, number: int, beat: float, term: float) -> bool:
        """Whether the holder of a number renews it; as long as that takes, at most the term.

        Raises:
            HeldError: another run has the next number meanwhile.
        """
        before, begun = self._state(number), time.monotonic()
        while time.monotonic() - begun < term:
            time.sleep(min(beat / 2, term / 4))
            last, ended = self.last()
            if last > number:
                raise _refused(self.purpose, self.holder(last))
            if ended:
                return False
            if self._state(number) != before:
                return True
        return False

    def _state(self, number: int) -> bytes | None:
        return self.store.read_bytes(self._name(number, "beat"))

    def _listing(self) -> set[tuple[int, str]]:
        parts = (name.rpartition("/")[2].partition(".") for name in self.store.listing(self._folder))
        return {(int(stem), kind) for stem, _, kind in parts if stem.isdecimal()}

    def _discard(self, below: int) -> None:
        filesystem, root = self.store.filesystem
        for number, kind in self._listing():
            if number < below:
                with suppress(SourceError), translated("delete", self.store.url):
                    discard(filesystem, f"{root}/{self._name(number, kind)}")

    @property
    def _folder(self) -> str:
        return f"{FOLDER}/{_file(self.purpose)}"

    def _name(self, number: int, kind: str) -> str:
        return f"{self._folder}/{number:012}.{kind}"


def _renew(numbers: _Numbers, number: int, lease: Lease, ended: threading.Event, beat: float, term: float) -> None:
    """Renew a lease until its holder has ended or lost it."""
    stopwatch: Callable[[], float] = time.monotonic
    renewed = stopwatch()
    while not ended.wait(beat):
        begun = stopwatch()
        with suppress(SourceError):
            last, _ = numbers.last()
            if last > number:
                lease.lose(numbers.holder(last))
                return
            numbers.renew(number)
            renewed = begun
        if stopwatch() - renewed > term - beat:
            lease.lose(None)
            return
