"""Sandbox for untrusted SELECT statements: a separate process with locked DuckDB and limits on memory, time and result.

The process gets a database that holds what the asker may read (see `granting`), and may open the files that its views
name, and no others. What it was asked is taken apart and run there, so neither can cost the server more than a process.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, Final, TypeAlias

import duckdb
import numpy as np
import pyarrow as pa

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, LakeError, SourceError
from cbm_lake.lake import database
from cbm_lake.server import nursery, statements
from cbm_lake.server.nursery import SUPPORTED, Child, Nursery
from cbm_lake.storage.access import is_remote
from cbm_lake.storage.s3files import S3Files

_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "CBM_LAKE_HOME")
"""All of the environment that the child gets where the lake is a folder."""
_OF_BUCKETS: Final = ("AWS_", "CBM_LAKE_S3__", "CBM_LAKE_LAKE__")
"""How the names of those begin that reach an object store."""
_LEAN: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
"""So that the child reserves no memory that it does not use: its limit is one of addresses."""
_RESERVED: Final = 1_500
"""Megabytes of addresses that a child may have beside what its statement uses; it starts with 700."""
_BATCH: Final = 10_000
_PIECE: Final = 4 * 2**20
"""Bytes of rows that are handed over at once."""
_WIDEST: Final = 16 * 2**20
"""Bytes of a single row."""
_MOST_COLUMNS: Final = 4_000
_DEEPEST: Final = 16
"""Levels of lists and records within a column."""
_LONGEST: Final = 1_000
"""Characters of a reason; a value that cannot be converted may stand in one."""
_REFUSED: Final = "refused: "
_LATER: Final = ("pyarrow.dataset",)
"""What answers import when they need it, and a nursery before."""
_COMMAND: Final = (sys.executable, "-s", "-m", "cbm_lake.server.sqlbox")

Process: TypeAlias = subprocess.Popen[bytes] | Child
"""A process that answers one question."""


class TooLargeError(InvalidInputError):
    """The answer is larger than one answer may be."""


@dataclass(frozen=True)
class Limits:
    """What one statement may use."""

    memory_mb: int = 1000
    seconds: float = 30
    rows: int = 1_000_000
    bytes: int = 500_000_000
    """Of the answer, in whatever format it is sent."""
    threads: int = 1


@dataclass(frozen=True)
class Question:
    """A statement, and on which database."""

    database: str
    """Path of the database of what the asker may read."""
    lake: str
    """URL of the lake, whose object store the files are in."""
    statement: str
    params: Mapping[str, object]
    limits: Limits


@dataclass
class Stop:
    """A way to end a question from another thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _child: Process | None = None
    _called: bool = False

    def __call__(self) -> None:
        """End it, at once or as soon as it begins."""
        with self._lock:
            self._called = True
            if self._child:
                self._child.kill()

    def bind(self, child: Process) -> None:
        """Tell which process answers it."""
        with self._lock:
            self._child = child
            if self._called:
                child.kill()


class SqlBox:
    """Answers questions, each in a process that is used once; some wait ready, so that an answer needs no start."""

    def __init__(self, command: Sequence[str] = _COMMAND, *, remote: bool = False) -> None:
        self._command, self._remote = command, remote
        self._lock = threading.Lock()
        self._ready: Process | None = None
        self._nursery = Nursery(command, self._environment) if SUPPORTED else None

    def ask(self, question: Question, stop: Stop | None = None) -> Generator[pa.Schema | pa.RecordBatch, None, None]:
        """The schema of the answer, then its rows, as they come.

        Raises:
            InvalidInputError: the statement is not allowed, cannot be run, or needs more than it may use.
            TooLargeError: the answer has more rows than it may have.
            SourceError: a file of the lake cannot be read.
        """
        with self._lock:
            child = self._next_process()
        deadline = threading.Timer(question.limits.seconds, child.kill)
        deadline.start()
        (stop or Stop()).bind(child)
        began = time.monotonic()
        try:
            yield from _answer(child, question)
        except (pa.ArrowException, OSError) as error:
            child.kill()  # which has ended by itself, or does not get on; what it said is kept
            raise _reason(child, question, time.monotonic() - began) from error
        finally:
            deadline.cancel()
            _end(child)

    def open(self) -> None:
        """Begin to get ready for the first question."""
        if self._nursery:
            self._nursery.open()

    def close(self) -> None:
        """End the processes that wait."""
        with self._lock:
            self._drop_ready()
            if self._nursery:
                self._nursery.close()

    def _next_process(self) -> Process:
        """The process that is ready, or a new one, with another ready in its place."""
        if self._nursery and not self._nursery.is_alive():
            self._drop_ready()
        child, self._ready = self._ready or self._start(), None
        with ExitStack() as undo:
            undo.callback(_end, child)
            self._ready = self._start()
            undo.pop_all()
        return child

    def _drop_ready(self) -> None:
        if self._ready:
            _end(self._ready)
            self._ready = None

    def _start(self) -> Process:
        if self._nursery:
            return self._nursery.child()
        pipe, environment = subprocess.PIPE, self._environment()
        return subprocess.Popen(self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)  # noqa: S603

    def _environment(self) -> dict[str, str]:
        names = (*_INHERITED, "HOME") if self._remote else _INHERITED
        return _LEAN | {
            name: value
            for name, value in {**os.environ, **Workspace.here().environment()}.items()
            if name in names or (self._remote and name.startswith(_OF_BUCKETS))
        }


def _end(child: Process) -> None:
    child.kill()
    child.communicate()


def _answer(child: Process, question: Question) -> Iterator[pa.Schema | pa.RecordBatch]:
    if child.stdin is None or child.stdout is None:
        raise SourceError("the process for SQL has no pipes; restart the server")
    stdin, child.stdin = child.stdin, None
    with stdin:
        stdin.write(json.dumps(asdict(question)).encode() + b"\n")
    with pa.ipc.open_stream(child.stdout) as reader:
        yield reader.schema
        yield from reader
    if child.wait():
        raise pa.ArrowInvalid("the answer broke off")


def _reason(child: Process, question: Question, spent: float) -> LakeError:
    """Why there is no answer, or only half of one."""
    lines = _last_words(child.stderr).splitlines()
    child.wait()
    if lines and lines[-1].startswith(_REFUSED):
        kind, _, reason = lines[-1].removeprefix(_REFUSED).partition(" ")
        return _KINDS[kind](reason)
    if spent >= question.limits.seconds or child.returncode == -24:  # SIGXCPU
        return InvalidInputError(f"the statement took more than {question.limits.seconds:g} seconds; ask for less")
    return InvalidInputError(_too_much(question.limits))


def _last_words(stream: IO[bytes] | None) -> str:
    """The end of what the child said, however much that was."""
    said = b""
    while stream and (more := stream.read(1 << 16)):
        said = (said + more)[-(1 << 16) :]
    return said.decode("utf-8", "replace").strip()


def _too_much(limits: Limits) -> str:
    return f"the statement needs more than {limits.memory_mb} MB of memory, or is nested too deep; ask for less"


_KINDS: Final[dict[str, type[LakeError]]] = {
    "invalid": InvalidInputError,
    "large": TooLargeError,
    "source": SourceError,
}
"""How the child names its errors."""


# -- inside the process -------------------------------------------------------------------------------------------


def main() -> None:
    """Answer the question on standard input; where that is a socket, each of many in a process of its own."""
    if stat.S_ISSOCK(os.fstat(0).st_mode):
        for name in _LATER:
            importlib.import_module(name)
        nursery.serve(answer)
    else:
        answer()


def answer() -> None:
    """Read a question from standard input, write the answer as an Arrow stream to standard output."""
    document = json.loads(sys.stdin.readline())
    question = Question(**{**document, "limits": Limits(**document["limits"])})
    _limit(question.limits)
    refusal = respond(question, sys.stdout.buffer)
    if refusal:
        sys.stderr.buffer.write(f"\n{_REFUSED}{' '.join(refusal)}\n".encode("utf-8", "replace"))
        sys.stderr.flush()
    os._exit(1 if refusal else 0)  # at once: what was begun need not be ended in order


def respond(question: Question, out: BinaryIO) -> tuple[str, str] | None:
    """Write the answer; where there is none, or it broke off, the kind of error and the reason in one line."""
    try:
        statements.check(question.statement)
        with closing(_locked(question)) as connection:
            _write(connection, question, out)
        out.flush()
    except LakeError as error:
        return _kind(error), _line(str(error))
    except (MemoryError, RecursionError):
        return "invalid", _too_much(question.limits)
    except (duckdb.Error, OSError) as error:  # which rows that come bring as OSError, by their text alone
        return _explained(error, question.limits)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:  # of values that Arrow or DuckDB refuse
        return "invalid", _line(f"a parameter or a value of the answer cannot be handed over: {error}")
    return None


def _kind(error: LakeError) -> str:
    return next((kind for kind, raised in _KINDS.items() if type(error) is raised), "invalid")


def _line(reason: str) -> str:
    return " ".join(reason[: 2 * _LONGEST].split())


def _limit(limits: Limits) -> None:
    """Let the system end what uses more."""
    memory, seconds = (limits.memory_mb + _RESERVED) * 2**20, int(limits.seconds) + 1
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds * limits.threads, seconds * limits.threads))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _explained(error: duckdb.Error | OSError, limits: Limits) -> tuple[str, str]:
    """Whose fault it is, and the reason in one line."""
    reason, _, others = str(error)[: 10 * _LONGEST].strip().partition("\n")
    if reason.startswith("Out of Memory Error"):
        return "invalid", _too_much(limits)
    if type(error) is duckdb.Error or reason.startswith(("IO Error", "HTTP Error")):
        return "source", _line(f"cannot read the lake: {reason}")
    lines = others.splitlines()
    advice = next((line for line in lines if line.startswith(("Candidate bindings", "Did you mean"))), "")
    return "invalid", _line(f"this SQL cannot be run: {reason[:_LONGEST]} {advice[:_LONGEST]}")


def _locked(question: Question) -> duckdb.DuckDBPyConnection:
    """A connection that can read the files of the database's views and nothing else, and cannot be changed any more."""
    limits = question.limits
    connection = duckdb.connect(Path(question.database), read_only=True)
    database.configure(connection)
    if is_remote(question.lake):
        connection.register_filesystem(S3Files(question.lake))
    paths = [path for (path,) in connection.execute("select path from readable").fetchall()]
    connection.execute("set allowed_paths = $paths", {"paths": paths})
    for setting, value in {
        "temp_directory": "",
        "enable_external_access": False,
        "python_enable_replacements": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "allow_community_extensions": False,
        "memory_limit": f"{limits.memory_mb}MB",
        "threads": limits.threads,
        "lock_configuration": True,
    }.items():
        connection.execute(f"set {setting} = $value", {"value": value})
    return connection


def _write(connection: duckdb.DuckDBPyConnection, question: Question, out: BinaryIO) -> None:
    """Write the rows; not even the first where the columns are too many or too deep."""
    relation = connection.sql(question.statement, params=dict(question.params) or None)
    if len(relation.columns) > _MOST_COLUMNS:
        raise InvalidInputError(f"the answer has {len(relation.columns)} columns; at most {_MOST_COLUMNS} are given")
    reader = relation.to_arrow_reader(_BATCH)
    if any(_depth(column.type) > _DEEPEST for column in reader.schema):
        raise InvalidInputError(f"a column of the answer is nested more than {_DEEPEST} deep; unnest it")
    remaining = question.limits.rows
    with pa.ipc.new_stream(out, reader.schema) as sink:
        for batch in reader:
            remaining -= batch.num_rows
            if remaining < 0:
                raise TooLargeError(_too_many(question.limits.rows))
            for piece in _pieces(_clean(batch)):
                sink.write_batch(piece)


def _too_many(rows: int) -> str:
    advice = f"ask for parts of it: order by …, limit {rows} offset 0, {rows}, …, or for fewer areas, days or columns"
    return f"the answer has more than {rows} rows, the most that one answer may have; {advice}"


def _depth(kind: pa.DataType) -> int:
    deepest = 0
    waiting = [(kind, 0)]
    while waiting:
        kind, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(kind.field(number).type, depth + 1) for number in range(kind.num_fields)]
    return deepest


def _clean(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows without what memory happened to hold where a value is null."""
    places = pa.array(np.arange(batch.num_rows, dtype=np.int32))
    columns = [
        column.take(places) if column.null_count or pa.types.is_nested(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows in portions that the server can hold."""
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        if part.nbytes > _PIECE and part.num_rows > 1:
            half = part.num_rows // 2
            waiting += [part.slice(half), part.slice(0, half)]
        elif part.nbytes > _WIDEST:
            raise TooLargeError(f"a row of the answer has more than {_WIDEST} bytes; ask for less of it")
        else:
            yield part


if __name__ == "__main__":
    main()
