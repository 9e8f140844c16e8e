"""Runs a stranger's SELECT in a process of its own, where DuckDB is locked and memory, time and rows are limited."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from cbm_lake import queries
from cbm_lake.errors import InvalidInputError, LakeError, SourceError
from cbm_lake.lake import Lake
from cbm_lake.server import statements

_INHERITED: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "CBM_LAKE_HOME")
"""All of the environment that the child gets, and what reaches the object store: no passwords of other services."""
_BATCH: Final = 10_000


@dataclass(frozen=True)
class Limits:
    """What one statement may use."""

    memory_mb: int = 1000
    seconds: float = 30
    rows: int = 1_000_000
    threads: int = 1


@dataclass(frozen=True)
class Question:
    """A statement, for whom, and on which lake."""

    lake: str
    statement: str
    params: dict[str, Any]
    aois: tuple[str, ...] | None
    """Areas whose rows may be seen; None is all."""
    limits: Limits


class SqlBox:
    """Answers questions, each in a process that is used once; one waits ready, so that an answer needs no start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: subprocess.Popen[bytes] | None = None

    def ask(self, question: Question) -> Iterator[pa.RecordBatch | pa.Schema]:
        """The schema of the answer, then its rows, as they come.

        Raises:
            InvalidInputError: the statement is not allowed, cannot be run, or needs more than it may use.
        """
        statements.check(question.statement)
        with self._lock:
            child, self._ready = self._ready or _start(), _start()
        deadline = threading.Timer(question.limits.seconds, child.kill)
        deadline.start()
        began = time.monotonic()
        try:
            yield from _answer(child, question)
        except pa.ArrowInvalid as error:
            raise _reason(child, question, time.monotonic() - began) from error
        finally:
            deadline.cancel()
            child.kill()
            child.communicate()

    def close(self) -> None:
        """End the process that waits."""
        with self._lock:
            if self._ready:
                self._ready.kill()
                self._ready.communicate()
                self._ready = None


def _start() -> subprocess.Popen[bytes]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(("AWS_", "CBM_LAKE_S3__", "CBM_LAKE_LAKE__"))
    }
    command = [sys.executable, "-I" if "PYTHONPATH" not in environment else "-s", "-m", "cbm_lake.server.sqlbox"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)  # noqa: S603 - our own


def _answer(child: subprocess.Popen[bytes], question: Question) -> Iterator[pa.RecordBatch | pa.Schema]:
    if child.stdin is None or child.stdout is None:
        raise SourceError("the process for SQL has no pipes; restart the server")
    child.stdin.write(json.dumps(asdict(question)).encode() + b"\n")
    child.stdin.close()
    child.stdin = None
    with pa.ipc.open_stream(child.stdout) as reader:
        yield reader.schema
        yield from reader
    if child.wait():
        raise pa.ArrowInvalid("the answer broke off")


def _reason(child: subprocess.Popen[bytes], question: Question, spent: float) -> LakeError:
    """Why there is no answer, or only half of one."""
    child.wait()
    told = child.stderr.read().decode("utf-8", "replace").strip().splitlines() if child.stderr else []
    if told and told[-1].startswith("refused: "):
        return InvalidInputError(told[-1].removeprefix("refused: "))
    if spent >= question.limits.seconds:
        return InvalidInputError(f"the statement took more than {question.limits.seconds:g} seconds; ask for less")
    return InvalidInputError(f"the statement needs more than {question.limits.memory_mb} MB of memory; ask for less")


# -- inside the process -------------------------------------------------------------------------------------------


def main() -> None:
    """Read a question from standard input, write the answer as an Arrow stream to standard output."""
    document = json.loads(sys.stdin.readline())
    question = Question(**{**document, "limits": Limits(**document["limits"])})
    try:
        _write(_locked(question), question)
    except (LakeError, MemoryError) as error:
        sys.stderr.write(f"\nrefused: {' '.join(str(error).split()) or 'out of memory'}\n")
        sys.exit(1)


def _locked(question: Question) -> duckdb.DuckDBPyConnection:
    """A connection that can read the lake's files and nothing else, and cannot be changed any more."""
    limits = question.limits
    memory, seconds = (limits.memory_mb + 2000) * 2**20, int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds * limits.threads, seconds * limits.threads))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    connection = Lake(question.lake).connect()
    with queries.translated():
        if question.aois is not None:
            connection.execute("create temp table granted (aoi varchar)")
            connection.executemany("insert into granted values ($1)", [[aoi] for aoi in (*question.aois, "")])
            for view in queries.granted():
                connection.execute(view.sql)
        connection.execute("set allowed_directories = [$folder]", {"folder": question.lake.rstrip("/") + "/"})
        for setting, value in {
            "temp_directory": "", "enable_external_access": False, "python_enable_replacements": False,
            "autoload_known_extensions": False, "autoinstall_known_extensions": False,
            "allow_community_extensions": False, "memory_limit": f"{limits.memory_mb}MB", "threads": limits.threads,
            "lock_configuration": True,
        }.items():  # fmt: skip
            connection.execute(f"set {setting} = $value", {"value": value})
    return connection


def _write(connection: duckdb.DuckDBPyConnection, question: Question) -> None:
    left = question.limits.rows
    with queries.translated():
        reader = connection.sql(question.statement, params=question.params or None).to_arrow_reader(_BATCH)
        with pa.ipc.new_stream(sys.stdout.buffer, reader.schema) as sink:
            for batch in reader:
                sink.write_batch(batch.slice(0, left))
                left -= batch.num_rows
                if left <= 0:
                    break


if __name__ == "__main__":
    main()
