"""Carrying out a plan: in this process, in a Dask cluster of this machine, or on any Dask scheduler.

Only jobs and outcomes, a few kilobytes each, go through the scheduler; workers read scenes, indexes and parcels
themselves and commit their own scene. So a lost worker costs the scene it was at, and a lost scheduler or client
costs nothing that the ledger has.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import resource_tracker
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cbm_lake import zonal
from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.extract.jobs import Extracted, Job, Outcome, Plan, Progress
from cbm_lake.extract.scene import extract_scene, record
from cbm_lake.lake import Lake

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

Scheduler: TypeAlias = "str | Client | None"
"""Address of a Dask scheduler, or a client of it."""
WORKER_MEMORY: Final = 3_000_000_000
"""Bytes that a worker may need: 10 bands of a Sentinel-2 tile with half a million parcels take 2.6 GB; see
docs/clusters.md."""
PATIENCE: Final = 30.0
"""Seconds for which a scheduler without workers is given time to get some."""
_LOOK: Final = 5.0
"""Seconds without an outcome after which it is looked whether there are still workers."""
_GDAL_CACHE: Final = "64"
"""Megabytes; GDAL would take a twentieth of the machine in every worker, for blocks that are read only once."""
_NO_PAUSE: Final = {f"distributed.worker.memory.{step}": False for step in ("target", "spill", "pause")}
"""Workers of Dask pause until there is more memory; ours hold nothing to put away, so they might for ever."""
_ALIKE: Final = ("python", "dask", "distributed", "msgpack", "cloudpickle")
"""What Dask wants to be the same everywhere."""


class _LostError(Exception):
    """Nobody is left to do the other scenes; says who is missing, and what to do."""


def run(
    todo: Plan,
    *,
    workers: int | None = None,
    scheduler: Scheduler = None,
    patience: float = PATIENCE,
    progress: Progress | None = None,
) -> Extracted:
    """Carry out a plan; see `extract`. Scenes that fail are also logged as warnings as they come.

    Raises:
        InvalidInputError: workers is below 0, or processes were asked for in a script without a main guard.
        SourceError: no scheduler or no worker there, or some scenes failed; all others are done.
    """
    if workers is not None and workers < 0:
        raise InvalidInputError(f"workers={workers} is no number of processes; give 0 for none, or 1, 2, 3, …")
    outcomes = list(todo.failed)
    total = len(todo.jobs) + len(outcomes)
    try:
        for outcome in _outcomes(todo.jobs, workers, scheduler, patience):
            outcomes.append(outcome)
            if outcome.problem:
                log.warning("scene %s failed: %s", outcome.scene, outcome.problem)
            if progress:
                progress(len(outcomes), total)
    except _LostError as error:
        done = sum(outcome.problem is None for outcome in outcomes)
        rest = f"{done} of {total} scenes are done; run again for the other {total - done}"
        raise SourceError(f"{error}: {rest}") from error
    finally:
        _publish(todo)
    return _result(todo, outcomes)


def _publish(todo: Plan) -> None:
    """Say in the cubes what counts by now, however the run ended; a newer scene may supersede one in another cube."""
    if todo.jobs:
        Lake(todo.jobs[0].lake).publish_cubes(todo.card)


def _result(todo: Plan, outcomes: list[Outcome]) -> Extracted:
    failed = [outcome for outcome in outcomes if outcome.problem]
    if failed:
        reasons = "; ".join(f"{outcome.scene}: {outcome.problem}" for outcome in failed)
        rest = len(outcomes) - len(failed)
        raise SourceError(
            f"{len(failed)} of {len(outcomes)} scenes failed, {rest} are done; run again to retry. {reasons}"
        )
    return Extracted(len(outcomes), sum(outcome.rows for outcome in outcomes), todo.done, tuple(outcomes))


def _outcomes(jobs: tuple[Job, ...], workers: int | None, scheduler: Scheduler, patience: float) -> Iterator[Outcome]:
    """What becomes of each job, as they end.

    One that failed on reading a remote raster is tried once more. So is one whose worker died, by itself, since Dask
    blames all that waited at that worker, and only one of them may have killed it.
    """
    if not jobs:
        return
    zonal.warm_up()  # once, here, and not at the same time in every worker
    again: list[Job] = []
    lost: list[Job] = []
    with _pool(len(jobs), workers, scheduler, patience) as pool:
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


@contextmanager
def _pool(jobs: int, workers: int | None, scheduler: Scheduler, patience: float) -> Iterator[Any]:
    """A function that turns jobs into pairs of job and outcome, in the order in which they end."""
    if workers == 0 and scheduler is None:
        with ThreadPoolExecutor(1) as thread:  # one after the other, and whatever is raised is kept with its job
            yield lambda todo: ((job, _outcome(job, thread.submit(extract_scene, job))) for job in todo)
        return
    with _connected(scheduler, patience) if scheduler is not None else _local(jobs, workers) as client:
        yield lambda todo: _on(client, todo, patience)


def _on(client: Any, jobs: Sequence[Job], patience: float) -> Iterator[tuple[Job, Outcome]]:
    lost = "the Dask scheduler was lost (start it again)"
    ended: SimpleQueue[Any] = SimpleQueue()
    try:
        futures = {
            client.submit(extract_scene, job, key=f"extract_scene-{job.scene.id}-{time.time_ns()}", pure=False): job
            for job in jobs
        }
        for future in futures:
            future.add_done_callback(ended.put)
        for _ in futures:
            future = _next(client, ended, patience)
            if future.cancelled():
                raise _LostError(lost)
            yield futures[future], _outcome(futures[future], future)
    except OSError as error:  # of the connection to the scheduler
        raise _LostError(lost) from error


def _next(client: Any, ended: SimpleQueue[Any], patience: float) -> Any:
    """The next future that ended; Dask itself would wait for ever for workers that nobody starts again."""
    while True:
        try:
            return ended.get(timeout=_LOOK)
        except Empty:
            _await_worker(client, patience)


def _await_worker(client: Any, patience: float) -> None:
    """Wait for a worker that takes work."""
    address = client.scheduler.address
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError as error:
        raise _LostError(
            f"the Dask scheduler {address} has no workers (start some with: dask worker {address})"
        ) from error


def _outcome(job: Job, future: Any) -> Outcome:
    error = future.exception()
    found: Outcome = future.result() if error is None else _lost(job, error)
    return found


def _lost(job: Job, error: BaseException) -> Outcome:
    """A job that could not tell its outcome: its worker died, or there is a fault in the program."""
    if type(error).__name__ == "KilledWorker":
        reason = (
            f"its workers died, for want of memory or by a crash; give each {WORKER_MEMORY / 1e9:g} GB or more "
            "(fewer workers on a machine), and if that does not help, run this scene with workers=0 to see why"
        )
        return Outcome(job.scene.id, 0, reason, lost=True)
    log.error("a fault of the program in scene %s", job.scene.id, exc_info=error)
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return record(job, datetime.now(UTC), Outcome(job.scene.id, 0, reason))


# -- clusters -----------------------------------------------------------------------------------------------------


@contextmanager
def _local(jobs: int, workers: int | None) -> Iterator[Any]:
    """A Dask client of a cluster of processes on this machine."""
    import dask
    from distributed import Client

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # a worker that has just read the script as far as this call; its parent says what is wrong
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_NO_PAUSE))  # until the end, since workers that are started anew ask again
        with _interrupts_held():
            cluster = stack.enter_context(_cluster(worker_count(jobs, workers)))
        yield stack.enter_context(Client(cluster, set_as_default=False))


def _cluster(count: int) -> Any:
    """Worker processes that share the free memory; one that needs more than its share is ended and started anew."""
    from distributed import LocalCluster

    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # else port 8787 of all addresses would be taken
    try:
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=_free_memory() // count,
            env={"GDAL_CACHEMAX": os.environ.get("GDAL_CACHEMAX", _GDAL_CACHE)},
            host="127.0.0.1",
            scheduler_kwargs=quiet,
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        raise InvalidInputError(
            f"worker processes cannot be started ({' '.join(str(error).split())}); in a script, put the call under "
            '`if __name__ == "__main__":`, since they read the script too, or give workers=0'
        ) from error


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Let Ctrl-C wait, and never reach the threads and processes that are started meanwhile: they inherit that.

    A terminal sends it to all processes of a command, and each worker would answer with a page of traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started later, it would let interrupts through again in the thread that does so
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_count(jobs: int, workers: int | None) -> int:
    """As many processes as were asked for, else one per core as far as free memory goes; never more than jobs."""
    from dask.system import CPU_COUNT

    return max(1, min(jobs, workers or min(int(CPU_COUNT), _free_memory() // WORKER_MEMORY)))


def _free_memory() -> int:
    """Bytes that this machine, or the container on it, can still give."""
    import psutil
    from distributed.system import MEMORY_LIMIT

    return min(int(psutil.virtual_memory().available), int(MEMORY_LIMIT))


@contextmanager
def _connected(scheduler: str | Client, patience: float) -> Iterator[Any]:
    """A Dask client of a running scheduler, with workers that have the same version of this package."""
    with ExitStack() as stack:
        client: Any = stack.enter_context(_opened(scheduler)) if isinstance(scheduler, str) else scheduler
        _await_worker(client, patience)
        _check_versions(client.get_versions(packages=["cbm-lake"]))
        yield client


def _opened(scheduler: str) -> Any:
    from distributed import Client
    from distributed.versions import VersionMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # what matters is looked at below
        try:
            return Client(scheduler, timeout="5s", set_as_default=False)
        except (OSError, ValueError) as error:
            raise SourceError(f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler") from error


def _check_versions(told: dict[str, Any]) -> None:
    """Refuse a cluster with another version of this package; say in one line what else differs."""
    here, own = told["client"]["packages"], version("cbm-lake")
    there = {f"worker {address}": found["packages"] for address, found in told["workers"].items()}
    there["the scheduler"] = told["scheduler"]["packages"]
    held = {who: packages["cbm-lake"] for who, packages in there.items()}
    others = sorted(f"{who} has {found or 'none'}" for who, found in held.items() if found != own)
    if others:
        raise SourceError(f"not all have cbm-lake {own}: {some(others, 3)}; install that version there")
    differing = {
        f"{name} is {here[name]} here and {found[name]} there"
        for found in there.values()
        for name in _ALIKE
        if found[name] != here[name]
    }
    if differing:
        log.warning(
            "the cluster should have the same environment as this process, but %s", ", ".join(sorted(differing))
        )
