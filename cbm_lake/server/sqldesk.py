"""Scheduling of SQL requests: each waits for its turn, is answered completely, and is cancelled on disconnect."""

from __future__ import annotations

import asyncio
import logging
import shutil
import uuid
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from fastapi import HTTPException, Request

from cbm_lake.lake import Lake
from cbm_lake.server.granting import Aois, Grants
from cbm_lake.server.results import Results
from cbm_lake.server.sqlbox import Limits, Question, SqlBox, Stop, TooLargeError
from cbm_lake.server.turns import Allowance, Turns
from cbm_lake.storage.access import is_remote

log = logging.getLogger(__name__)

_LOOK = 0.1
"""Seconds between looks whether the asker is still there, where the server's layers do not let one wait for it."""
_GONE = 499
"""What the log says where nobody waits for the answer any more."""


@dataclass(frozen=True)
class Asking:
    """What somebody asks."""

    who: str
    aois: Aois
    statement: str
    params: Mapping[str, object]


class Write(Protocol):
    """Writes an answer to a file in a folder."""

    def __call__(self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], folder: Path, *, most: int) -> Path:
        """Write the rows as one file of at most so many bytes."""


class SqlDesk:
    """Takes questions.

    Args:
        lake: which is asked.
        results: where answers are written; no account's are more than it has room for.
        root: the folder for the databases of what readers may read.
        limits: of one statement.
        allowance: of accounts.
    """

    def __init__(self, lake: Lake, results: Results, root: Path, limits: Limits, allowance: Allowance) -> None:
        self._lake, self._results, self._limits = lake, results, limits
        self._grants = Grants(lake, root)
        self._box = SqlBox(remote=is_remote(lake.url))
        self._turns = Turns(allowance)
        self._pool = ThreadPoolExecutor(allowance.all, "sql")

    async def answer(self, request: Request, asking: Asking, write: Write) -> Path:
        """The file with the whole answer.

        Raises:
            HTTPException: the answer is too large (413).
            BusyError: it is not their turn, or there is no room for the answer.
            LakeError: there is no answer; see `SqlBox.ask`.
        """
        stop = Stop()

        async def in_turn() -> Path:
            async with self._turns.turn(asking.who):
                work = asyncio.get_running_loop().run_in_executor(self._pool, self._answer, asking, write, stop)
                try:
                    return await asyncio.shield(work)
                except asyncio.CancelledError:
                    stop()
                    await asyncio.wait([work])  # a turn ends with its process
                    work.exception()
                    raise

        try:
            return await _unless_gone(request, in_turn())
        except TooLargeError as error:
            raise HTTPException(413, str(error)) from error

    def open(self) -> None:
        """Begin to get ready for the first question."""
        self._box.open()

    def close(self) -> None:
        """End the processes that wait, and delete what readers were given."""
        self._pool.shutdown(cancel_futures=True)
        self._box.close()
        self._grants.close()

    def _answer(self, asking: Asking, write: Write, stop: Stop) -> Path:
        folder = self._results.folder(asking.who, "sql", uuid.uuid4())
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            with self._grants.database(asking.aois) as database:
                question = Question(str(database), self._lake.url, asking.statement, asking.params, self._limits)
                with closing(self._box.ask(question, stop)) as answer:
                    file = write(next(answer), answer, folder, most=self._limits.bytes)
            undo.pop_all()
            return file


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Path]) -> Path:
    """What is awaited, unless the asker goes away before: then it is cancelled."""
    working, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([working, gone], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            log.info("the asker has gone, the question ends")
            raise HTTPException(_GONE, "the asker has gone")
        return await working
    finally:
        for task in (working, gone):
            task.cancel()
        await asyncio.wait([working, gone])


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(_LOOK)
