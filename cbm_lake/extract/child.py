"""A child process that extracts scenes one by one, used where memory is so short that a scene may get it killed.

The kernel then kills the child instead of the parent. It needs no cluster and imports no user script: jobs and outcomes
go through pipes. `main` runs in the child.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import Future
from typing import BinaryIO

from cbm_lake.config import Workspace
from cbm_lake.extract import memory
from cbm_lake.extract.jobs import Job, Outcome
from cbm_lake.extract.scene import extract_scene

_PROGRAM = f"from {__name__} import main; main()"


class DiedError(Exception):
    """The process died during a scene; the message says how."""


class Child:
    """A process that extracts scenes, started when it is needed, and again after one that ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def submit(self, job: Job) -> Future[Outcome]:
        """What becomes of a scene, when it has ended: `DiedError` where it ended its process, as an exception."""
        ended: Future[Outcome] = Future()
        try:
            ended.set_result(self._ask(job))
        except DiedError as error:
            ended.set_exception(error)
        return ended

    def close(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _ask(self, job: Job) -> Outcome:
        if self._process is None:
            command = [sys.executable, "-c", _PROGRAM]
            self._process = subprocess.Popen(  # noqa: S603 - this package
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, **Workspace.here().environment()},
            )
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise DiedError("it has no pipes")
        try:
            pickle.dump(job, process.stdin)
            process.stdin.flush()
            outcome: Outcome = pickle.load(process.stdout)  # noqa: S301 - of this package's own process
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise DiedError(_ending(process.returncode)) from error
        return outcome


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def serve(jobs: BinaryIO, outcomes: BinaryIO) -> None:
    """Extract incoming scenes until the pipe is closed."""
    while True:
        try:
            job: Job = pickle.load(jobs)  # noqa: S301 - of the process that started this one
        except EOFError:
            return
        pickle.dump(extract_scene(job), outcomes)
        outcomes.flush()


def main() -> None:
    """The process: what anything in it prints goes to standard error, for outcomes have standard output."""
    memory.be_first()
    outcomes = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, outcomes)
