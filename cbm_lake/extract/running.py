"""Execution of a plan: in this process, in a local Dask cluster, or on any Dask scheduler.

Only jobs and outcomes, a few kilobytes each, go through the scheduler; workers read scenes, indexes and parcels
themselves and commit their own scene. So a lost worker costs the scene it was at, and a lost scheduler or client
costs nothing that the ledger has.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, TypeAlias

from cbm_lake import zonal
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.extract import memory
from cbm_lake.extract.causes import as_before, listed, still_failing
from cbm_lake.extract.child import Child, DiedError
from cbm_lake.extract.clusters import (
    MOST_WORKERS,
    PATIENCE,
    WORKER_MEMORY,
    LostError,
    Scheduler,
    Watch,
    connected,
    guarded,
    local,
    mismatch,
    quiet,
    worker_count,
)
from cbm_lake.extract.jobs import Extracted, Job, Outcome, Plan
from cbm_lake.extract.scene import extract_scene, record
from cbm_lake.lake import open_lake
from cbm_lake.progress import Wish, reported

if TYPE_CHECKING:
    from distributed import Client
    from distributed import Future as DaskFuture

    Ended: TypeAlias = DaskFuture[Outcome | tuple[str | None, str]]
    """The outcome of a job, or the version and address of a worker that is not like this process."""

Work: TypeAlias = Callable[[Sequence[Job]], Iterator[tuple[Job, Outcome]]]
"""Runs jobs and yields pairs of job and outcome, in order of completion."""
log = logging.getLogger(__name__)

_LOOK: Final = 5.0
"""Seconds without an outcome after which it is looked whether there are still workers."""


def run(
    todo: Plan,
    *,
    workers: int | None = None,
    scheduler: Scheduler = None,
    patience: float = PATIENCE,
    progress: Wish = None,
) -> Extracted:
    """Execute a plan; see `extract`. Failures are also logged as warnings as they occur.

    Raises:
        InvalidInputError: workers is below 0 or above 256, or processes were asked for in a script without a guard.
        SourceError: no scheduler or no worker there, or some scenes failed; all others are done.
    """
    if workers is not None and not 0 <= workers <= MOST_WORKERS:
        raise InvalidInputError(
            f"workers={workers} is no number of processes; give 0 for none, or 1, 2, 3, … up to {MOST_WORKERS}",
            plain=f"{workers} is no number of processes; give 0 for none, or 1, 2, 3, … up to {MOST_WORKERS}",
        )
    outcomes = list(todo.failed)
    total = len(todo.jobs) + len(outcomes)
    try:
        with reported(progress, f"extract {todo.card}") as tell:
            for outcome in _outcomes(todo, workers, scheduler, patience):
                outcomes.append(outcome)
                _log(outcome)
                tell(len(outcomes), total, f"scene {outcome.scene}")
    except LostError as error:
        done = sum(outcome.problem is None for outcome in outcomes)
        rest = f"{done} of {total} scenes are done; run again for the other {total - done}"
        raise SourceError(f"{error}: {rest}") from error
    finally:
        _settle(todo)
    return _result(todo, outcomes)


def _log(outcome: Outcome) -> None:
    if outcome.problem:
        level = logging.INFO if outcome.repeated else logging.WARNING
        log.log(level, "scene %s failed: %s", outcome.scene, outcome.problem)
    if outcome.warning:
        log.warning("scene %s: %s", outcome.scene, outcome.warning)
    if outcome.discarded:
        log.warning("scene %s has %d pixels that are no measurement: nodata", outcome.scene, outcome.discarded)


def _settle(todo: Plan) -> None:
    """Let tables and cubes hold what counts by now, however this run ended, and an earlier one that was killed."""
    if todo.lake:
        open_lake(todo.lake).settle(todo.card)


def _result(todo: Plan, outcomes: list[Outcome]) -> Extracted:
    failed = [outcome for outcome in outcomes if outcome.problem and not outcome.repeated]
    still = tuple(outcome for outcome in outcomes if outcome.repeated)
    done = len(outcomes) - len(failed) - len(still)
    if failed:
        count = f"{len(failed)} of {len(outcomes)} scenes failed, {done} are done"
        said = f"{count}; run again to retry. {listed(failed)}"
        raise SourceError(
            f"{said}. {as_before(still)}" if still else said, plain=f"{said}. {still_failing(still)}" if still else said
        )
    rows = sum(outcome.rows for outcome in outcomes)
    return Extracted(done, rows, todo.done, tuple(outcomes), still, todo.too_small)


def _outcomes(todo: Plan, workers: int | None, scheduler: Scheduler, patience: float) -> Iterator[Outcome]:
    """The outcome of each job, in order of completion.

    One that failed on reading a remote raster is tried once more. So is one whose worker died, by itself, since Dask
    blames all that waited at that worker, and only one of them may have killed it.
    """
    jobs = todo.jobs
    if not jobs:
        return
    if scheduler is None:
        jobs = _with_threads(jobs, workers)
    zonal.warm_up()  # once, here, and not at the same time in every worker
    again: list[Job] = []
    lost: list[Job] = []
    with _pool(jobs, todo.parcel_count, workers, scheduler, patience) as pool:
        for job, outcome in pool(jobs):
            if outcome.lost:
                lost.append(job)
            elif outcome.reading and _is_remote(job):
                again.append(job)
            else:
                yield outcome
        for group in (again, *([job] for job in lost)):
            for job, outcome in pool(group):
                yield record(job, datetime.now(UTC), outcome) if outcome.lost else outcome


def _is_remote(job: Job) -> bool:
    return any("://" in raster.href for raster in job.rasters.values())


def _with_threads(jobs: tuple[Job, ...], workers: int | None) -> tuple[Job, ...]:
    """The jobs, each with its share of this machine's cores."""
    from dask.system import CPU_COUNT

    threads = max(1, int(CPU_COUNT) // (1 if workers == 0 else worker_count(len(jobs), workers)))
    return tuple(replace(job, threads=threads) for job in jobs)


@contextmanager
def _pool(
    jobs: Sequence[Job], parcels: int, workers: int | None, scheduler: Scheduler, patience: float
) -> Iterator[Work]:
    """A function that turns jobs into pairs of job and outcome, in the order in which they end."""
    if workers == 0 and scheduler is None:
        with _alone(jobs, parcels) as submit:  # one after the other, and whatever is raised is kept with its job
            yield lambda todo: ((job, _outcome(job, submit(job))) for job in todo)
        return
    with quiet(), connected(scheduler) if scheduler is not None else local(len(jobs), workers) as client:
        watch = Watch(client, patience, is_local=scheduler is None)
        if scheduler is not None:
            watch.check_scheduler()
        yield lambda todo: _on(client, watch, todo, patience)


@contextmanager
def _alone(jobs: Sequence[Job], parcels: int) -> Iterator[Callable[[Job], Future[Outcome]]]:
    """What does one job after the other: a thread, or a process of its own where memory might not be enough."""
    if memory.free() >= max(memory.needed(job, parcels) for job in jobs):
        with ThreadPoolExecutor(1) as thread:
            yield lambda job: thread.submit(extract_scene, job)
        return
    log.info("memory is short: scenes are extracted in a process of their own, which alone may end for want of it")
    child = Child()
    try:
        yield child.submit
    finally:
        child.close()


def _on(client: Client, watch: Watch, jobs: Sequence[Job], patience: float) -> Iterator[tuple[Job, Outcome]]:
    """Submit jobs and yield their outcomes as they come; on exit, jobs that have not started are cancelled."""
    ended: SimpleQueue[Ended] = SimpleQueue()
    futures: dict[Ended, Job] = {}
    try:
        for job in jobs:
            key = f"extract_scene-{job.scene.id}-{time.time_ns()}"
            future = client.submit(guarded, extract_scene, job, version("cbm-lake"), key=key, pure=False)
            futures[future] = job
            future.add_done_callback(ended.put)
        watch.look()
        for _ in jobs:
            future = _next(ended, watch, min(_LOOK, patience))
            if future.cancelled():
                raise LostError(f"the Dask scheduler {watch.address} was lost (start it again)")
            yield futures[future], _outcome(futures[future], future, watch)
    except OSError as error:  # of the connection to the scheduler
        raise LostError(f"the Dask scheduler {watch.address} was lost (start it again)") from error
    finally:
        for future in futures:
            future.release()  # does not wait for the scheduler, which may be what failed


def _next(ended: SimpleQueue[Ended], watch: Watch, seconds: float) -> Ended:
    """The next completed future; Dask itself would wait for ever for workers that never return."""
    while True:
        try:
            return ended.get(timeout=seconds)
        except Empty:
            watch.look()


def _outcome(job: Job, future: Future[Outcome] | Ended, watch: Watch | None = None) -> Outcome:
    """What a job's future says.

    Raises:
        SourceError: a worker has another version of this package.
    """
    error = future.exception()
    if isinstance(error, ImportError | AttributeError) and watch:  # perhaps since the worker lacks what was sent
        watch.check_workers()
    result: Outcome | tuple[str | None, str] = future.result() if error is None else _lost(job, error)
    if isinstance(result, tuple):
        raise mismatch({f"worker {result[1]}": result[0]})
    return result


def _lost(job: Job, error: BaseException) -> Outcome:
    """The outcome of a job that returned none: its worker died, or there is a bug."""
    if type(error).__name__ == "KilledWorker":
        reason = (
            f"its workers died, for want of memory or by a crash; give each {WORKER_MEMORY / 1e9:g} GB or more "
            "(fewer workers on a machine), and if that does not help, run this scene with workers=0 to see why"
        )
        return Outcome(job.scene.id, 0, reason, lost=True)
    if isinstance(error, DiedError):
        reason = (
            f"its process ended ({error}), for want of memory or by a crash: {memory.free() / 1e9:.1f} GB are free "
            f"now, and a scene takes up to {WORKER_MEMORY / 1e9:g}; give this machine or container more, or take fewer "
            "bands at once"
        )
        return Outcome(job.scene.id, 0, reason, lost=True)
    log.error("a fault of the program in scene %s", job.scene.id, exc_info=error)
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return record(job, datetime.now(UTC), Outcome(job.scene.id, 0, reason))
