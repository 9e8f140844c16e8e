"""Processes that are fresh and ready at once: forks of one that has imported everything and never done anything else.

    server ── a socket: pipes ──► nursery, which has one thread ── fork ──► child: the work, once

To start Python and import the libraries takes a second of a core, to fork what has done so some milliseconds. A child
inherits nothing but imported modules, so no two children know of each other, as if each had been started by itself.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import IO, Final

from cbm_lake.errors import SourceError

SUPPORTED: Final = hasattr(os, "pidfd_open") and hasattr(socket, "send_fds")
"""Whether this system has what it takes: Linux has."""
_FORK: Final = b"f"
_STREAMS: Final = 3
_LONGEST: Final = 32
"""Bytes of the number of a process."""
_ATTEMPTS: Final = 2
_PIECE: Final = 1 << 16


@dataclass
class Child:
    """A process of a nursery, with the part of `subprocess.Popen` that is needed."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    stderr: IO[bytes] | None
    pid: int
    _handle: int
    """A descriptor of the process, which never means another one."""
    _status: IO[bytes]
    """Whence the nursery's word comes how it ended."""
    returncode: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def kill(self) -> None:
        """End it, unless it has ended."""
        with self._lock:
            if self._handle >= 0:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    def wait(self) -> int:
        """How it ended, once it has: its exit status, or the signal with a minus."""
        if self.returncode is None:
            word = self._status.read()
            self.returncode = os.waitstatus_to_exitcode(int(word)) if word else -signal.SIGKILL
        return self.returncode

    def communicate(self) -> None:
        """Read what it still says, wait for its end, and free what it holds."""
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None and not stream.closed:
                with suppress(BrokenPipeError), stream:
                    while stream.readable() and stream.read(_PIECE):
                        pass
        self.wait()
        self._status.close()
        with self._lock:
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1


class Nursery:
    """Forks children of a process, which is started with the first one, or again when it has died.

    Args:
        command: of the process, which calls `serve`.
        environment: all of it.
    """

    def __init__(self, command: Sequence[str], environment: Callable[[], Mapping[str, str]]) -> None:
        self._command, self._environment = command, environment
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def open(self) -> None:
        """Start the process, without waiting for its imports."""
        with self._lock:
            self._opened()

    def child(self) -> Child:
        """A new child.

        Raises:
            SourceError: no process can be started.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                with suppress(OSError, EOFError):
                    return _forked(self._opened())
                self._end()
        raise SourceError("no process for SQL can be started; the log of the server says why")

    def is_alive(self) -> bool:
        """Whether the process is there; of the children of one that has died nobody can tell how they end."""
        with self._lock:
            return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End the process; children that work go on."""
        with self._lock:
            self._end()

    def _opened(self) -> socket.socket:
        if self._control is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603
                    self._command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=dict(self._environment())
                )
            self._control = ours
        return self._control

    def _end(self) -> None:
        control, process, self._control, self._process = self._control, self._process, None, None
        if control is not None:
            control.close()
        if process is not None:
            process.kill()
            process.wait()


def _forked(control: socket.socket) -> Child:
    pipes = [os.pipe() for _ in range(_STREAMS + 1)]
    theirs = [pipes[0][0], *(write for _, write in pipes[1:])]
    ours = [pipes[0][1], *(read for read, _ in pipes[1:])]
    with ExitStack() as undo:
        undo.callback(_close, ours)
        try:
            socket.send_fds(control, [_FORK], theirs)
            said, handles, _, _ = socket.recv_fds(control, _LONGEST, 1)
        finally:
            _close(theirs)
        (handle,) = handles or _ended()
        undo.pop_all()
    stdin = os.fdopen(ours[0], "wb")
    stdout, stderr, status = (os.fdopen(descriptor, "rb") for descriptor in ours[1:])
    return Child(stdin, stdout, stderr, int(said), handle, status)


def _ended() -> tuple[int]:
    raise EOFError("the process that forks has ended")


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


# -- inside the process -------------------------------------------------------------------------------------------


def serve(work: Callable[[], None]) -> None:
    """Fork a child for each request on the socket at standard input, until that ends; each does the work and exits."""
    control = socket.socket(fileno=os.dup(0))
    gc.freeze()  # so that children share what they never change
    with control, selectors.DefaultSelector() as waiting:
        waiting.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.fileobj is not control:
                    _bury(waiting, key)
                    continue
                said, descriptors, _, _ = socket.recv_fds(control, len(_FORK), _STREAMS + 1)
                if not said:
                    return
                _fork(control, waiting, descriptors, work)


def _fork(
    control: socket.socket, waiting: selectors.BaseSelector, descriptors: Sequence[int], work: Callable[[], None]
) -> None:
    *streams, status = descriptors
    pid = os.fork()
    if not pid:
        _be_child(streams, work)
    handle = os.pidfd_open(pid)
    _close(streams)
    waiting.register(handle, selectors.EVENT_READ, (pid, status))
    socket.send_fds(control, [str(pid).encode()], [handle])


def _be_child(streams: Sequence[int], work: Callable[[], None]) -> None:
    """Do the work with these streams, and nothing else open; never returns."""
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(_STREAMS, os.sysconf("SC_OPEN_MAX"))
        sys.stdin, sys.stdout, sys.stderr = (
            open(number, mode, closefd=False, encoding="utf-8")  # noqa: SIM115
            for number, mode in enumerate(("r", "w", "w"))
        )
        work()
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(1)


def _bury(waiting: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    """Tell how a child has ended."""
    pid, status = key.data
    waiting.unregister(key.fileobj)
    _, how = os.waitpid(pid, 0)
    os.close(key.fd)
    with suppress(BrokenPipeError), os.fdopen(status, "wb") as word:
        word.write(str(how).encode())
