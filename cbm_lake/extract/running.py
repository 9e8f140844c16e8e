"""Carrying out a plan: in this process, in a Dask cluster of this machine, or on any Dask scheduler."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from cbm_lake import zonal
from cbm_lake.errors import SourceError
from cbm_lake.extract.jobs import Extracted, Job, Outcome, Plan, Progress
from cbm_lake.extract.scene import extract_scene, record

log = logging.getLogger(__name__)


def run(
    todo: Plan, *, workers: int | None = None, scheduler: str | None = None, progress: Progress | None = None
) -> Extracted:
    """Carry out a plan; see `extract`.

    Raises:
        SourceError: some scenes failed; all others are done.
    """
    outcomes = list(todo.failed)
    total = len(todo.jobs) + len(outcomes)
    if todo.jobs:
        zonal.warm_up()  # once, here, and not at the same time in every worker
        for outcome in _outcomes(todo.jobs, workers, scheduler):
            outcomes.append(outcome)
            if progress:
                progress(len(outcomes), total)
    failed = [outcome for outcome in outcomes if outcome.problem]
    if failed:
        reasons = "; ".join(f"{outcome.scene}: {outcome.problem}" for outcome in failed)
        rest = total - len(failed)
        raise SourceError(f"{len(failed)} of {total} scenes failed, {rest} are done; run again to retry. {reasons}")
    return Extracted(len(outcomes), sum(outcome.rows for outcome in outcomes), todo.done, tuple(outcomes))


def _outcomes(jobs: tuple[Job, ...], workers: int | None, scheduler: str | None) -> Iterator[Outcome]:
    if workers == 0 and scheduler is None:
        yield from map(extract_scene, jobs)
        return
    from distributed import as_completed

    with _client(min(workers, len(jobs)) if workers else None, scheduler) as client:
        futures = {
            client.submit(extract_scene, job, key=f"{job.scene.id}-{time.time_ns()}", pure=False): job for job in jobs
        }
        for future in as_completed(futures):
            error = future.exception()
            yield future.result() if error is None else _lost(futures[future], error)


@contextmanager
def _client(workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A Dask client of that scheduler, or of a cluster of processes on this machine."""
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout="5s")
        except OSError as error:
            raise SourceError(f"no Dask scheduler answers at {scheduler}; start one with: dask scheduler") from error
        with client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            host="127.0.0.1",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _lost(job: Job, error: BaseException) -> Outcome:
    """A job that could not tell its outcome: its worker died, or there is a fault in the program."""
    outcome = Outcome(job.scene.id, 0, f"{type(error).__name__}: {error}")
    log.error("scene %s was lost", job.scene.id, exc_info=error)
    return record(job, datetime.now(UTC), outcome)
