"""Carrying out a plan: in this process, in a Dask cluster of this machine, or on any Dask scheduler.

Only jobs and outcomes, a few kilobytes each, go through the scheduler; workers read scenes, indexes and parcels
themselves and commit their own scene. So a lost worker costs the scene it was at, and a lost scheduler or client
costs nothing that the ledger has.
"""

from __future__ import annotations

import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cbm_lake import zonal
from cbm_lake.errors import InvalidInputError, SourceError
from cbm_lake.extract.jobs import Extracted, Job, Outcome, Plan, Progress
from cbm_lake.extract.scene import extract_scene, record

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

Scheduler: TypeAlias = "str | Client | None"
"""Address of a Dask scheduler, or a client of it."""
WORKER_MEMORY: Final = 2_500_000_000
"""Bytes that a worker may need for a Sentinel-2 tile with half a million parcels; see docs/performance.md."""
_PATIENCE: Final = 30
"""Seconds for which a scheduler without workers is given time to get some."""


def run(
    todo: Plan, *, workers: int | None = None, scheduler: Scheduler = None, progress: Progress | None = None
) -> Extracted:
    """Carry out a plan; see `extract`.

    Raises:
        InvalidInputError: workers is below 0, or processes were asked for in a script without a main guard.
        SourceError: no scheduler or no worker there, or some scenes failed; all others are done.
    """
    if workers is not None and workers < 0:
        raise InvalidInputError(f"workers={workers} is no number of processes; give 0 for none, or 1, 2, 3, …")
    outcomes = {outcome.scene: outcome for outcome in todo.failed}
    total = len(todo.jobs) + len(outcomes)
    if todo.jobs:
        zonal.warm_up()  # once, here, and not at the same time in every worker
        try:
            for outcome in _outcomes(todo.jobs, workers, scheduler):
                outcomes[outcome.scene] = outcome
                if progress:
                    progress(len(outcomes), total)
        except CancelledError as error:
            done = sum(outcome.problem is None for outcome in outcomes.values())
            raise SourceError(
                f"the Dask scheduler was lost: {done} of {total} scenes are done; start it and run again for the others"
            ) from error
    return _result(todo, list(outcomes.values()))


def _result(todo: Plan, outcomes: list[Outcome]) -> Extracted:
    failed = [outcome for outcome in outcomes if outcome.problem]
    if failed:
        reasons = "; ".join(f"{outcome.scene}: {outcome.problem}" for outcome in failed)
        rest = len(outcomes) - len(failed)
        raise SourceError(
            f"{len(failed)} of {len(outcomes)} scenes failed, {rest} are done; run again to retry. {reasons}"
        )
    return Extracted(len(outcomes), sum(outcome.rows for outcome in outcomes), todo.done, tuple(outcomes))


def _outcomes(jobs: tuple[Job, ...], workers: int | None, scheduler: Scheduler) -> Iterator[Outcome]:
    """What becomes of each job, as they end; one that failed on reading a remote raster is tried once more."""
    with _pool(len(jobs), workers, scheduler) as pool:
        left = jobs
        while left:
            again = []
            for job, outcome in pool(left):
                if left is jobs and outcome.problem and outcome.reading and _is_remote(job):
                    log.warning("scene %s is tried again: %s", outcome.scene, outcome.problem)
                    again.append(job)
                else:
                    yield outcome
            left = tuple(again)


def _is_remote(job: Job) -> bool:
    return any("://" in raster.href for raster in job.rasters.values())


@contextmanager
def _pool(jobs: int, workers: int | None, scheduler: Scheduler) -> Iterator[Any]:
    """A function that turns jobs into pairs of job and outcome, in the order in which they end."""
    if workers == 0 and scheduler is None:
        with ThreadPoolExecutor(1) as thread:  # one after the other, and whatever is raised is kept with its job
            yield lambda todo: ((job, _outcome(job, thread.submit(extract_scene, job))) for job in todo)
        return
    with _connected(scheduler) if scheduler is not None else _local(jobs, workers) as client:
        yield lambda todo: _on(client, todo)


def _on(client: Any, jobs: tuple[Job, ...]) -> Iterator[tuple[Job, Outcome]]:
    from distributed import as_completed

    try:
        futures = {
            client.submit(extract_scene, job, key=f"{job.scene.id}-{time.time_ns()}", pure=False): job for job in jobs
        }
        for future in as_completed(futures):
            if future.cancelled():
                raise CancelledError
            yield futures[future], _outcome(futures[future], future)
    except OSError as error:  # of the connection to the scheduler
        raise CancelledError from error


def _outcome(job: Job, future: Any) -> Outcome:
    error = future.exception()
    found: Outcome = future.result() if error is None else _lost(job, error)
    return found


def _lost(job: Job, error: BaseException) -> Outcome:
    """A job that could not tell its outcome: its worker died, or there is a fault in the program."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if type(error).__name__ == "KilledWorker":
        reason = f"its workers died, for want of memory or by a crash; give each {WORKER_MEMORY / 1e9:g} GB or more"
    log.error("scene %s was lost", job.scene.id, exc_info=error)
    return record(job, datetime.now(UTC), Outcome(job.scene.id, 0, reason))


# -- clusters -----------------------------------------------------------------------------------------------------


@contextmanager
def _local(jobs: int, workers: int | None) -> Iterator[Any]:
    """A Dask client of a cluster of processes on this machine."""
    from distributed import Client, LocalCluster

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # a worker that has just read the script as far as this call; its parent says what is wrong
    count = min(jobs, workers or _default_workers())
    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # else port 8787 of all addresses would be taken
    options = {"threads_per_worker": 1, "host": "127.0.0.1", "scheduler_kwargs": quiet}
    try:
        cluster = LocalCluster(n_workers=count, silence_logs=logging.CRITICAL, **options)
    except RuntimeError as error:
        raise InvalidInputError(
            f"worker processes cannot be started ({' '.join(str(error).split())}); in a script, put the call under "
            '`if __name__ == "__main__":`, since they read the script too, or give workers=0'
        ) from error
    with cluster, Client(cluster) as client:
        yield client


def _default_workers() -> int:
    """One per core, but no more than have the memory that a worker may need."""
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    return max(1, min(int(CPU_COUNT), int(MEMORY_LIMIT // WORKER_MEMORY)))


@contextmanager
def _connected(scheduler: str | Client) -> Iterator[Any]:
    """A Dask client of a running scheduler, with workers that have the same version of this package."""
    if isinstance(scheduler, str):
        with _opened(scheduler) as client:
            _check_workers(client)
            yield client
    else:
        _check_workers(scheduler)
        yield scheduler


def _opened(scheduler: str) -> Any:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # what matters is looked at below
        try:
            return Client(scheduler, timeout="5s")
        except (OSError, ValueError) as error:
            raise SourceError(f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler") from error


def _check_workers(client: Any) -> None:
    """Wait for a worker, and see that all have the same version of this package."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        reason = f"the Dask scheduler {address} has no workers; start some with: dask worker {address}"
        raise SourceError(reason) from error
    try:
        found = client.run(version, "cbm-lake")
    except ImportError as error:  # of the package's metadata, where it is not installed
        raise SourceError(f"workers lack cbm-lake ({error}); install version {version('cbm-lake')} there") from error
    others = {worker: held for worker, held in found.items() if held != version("cbm-lake")}
    if others:
        told = ", ".join(f"{worker} has {held}" for worker, held in sorted(others.items()))
        raise SourceError(f"workers have another cbm-lake than {version('cbm-lake')}: {told}; install the same")
