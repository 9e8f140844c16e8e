"""Dask clusters on which jobs run: a local one, or an existing one by its address, client or cluster object.

An existing cluster may have no workers yet and get some only when work is queued, or replace them at any time. So work
is submitted first, and every worker checks by itself that it has this version of the package before it begins.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from cbm_lake.config import Workspace
from cbm_lake.errors import InvalidInputError, SourceError, some
from cbm_lake.extract import memory
from cbm_lake.extract.jobs import Job, Outcome

if TYPE_CHECKING:
    from distributed import Client, LocalCluster
    from distributed.deploy.cluster import Cluster

Answer: TypeAlias = dict[str, Any]
"""A response of a Dask scheduler or worker."""
log = logging.getLogger(__name__)

Scheduler: TypeAlias = "str | Client | Cluster | None"
"""Address of a Dask scheduler, a client of it, or a cluster object, be it of Dask, its gateway, Slurm or Kubernetes."""
WORKER_MEMORY: Final = 3_000_000_000
"""Bytes that a worker may need: 10 bands of a Sentinel-2 tile with half a million parcels take 2.6 GB; see
docs/clusters.md."""
_LEAST_MEMORY: Final = 1_000_000_000
"""Bytes with which a worker gets as far as a scene; with a lower limit it would be ended before, again and again."""
PATIENCE: Final = 30.0
"""Seconds to wait for a scheduler without workers to get some."""
_CONNECTING: Final = 5.0
"""Seconds within which a scheduler answers who connects."""
_ANSWER: Final = 30.0
"""Seconds within which a connected scheduler, however busy, answers a question."""
_GDAL_CACHE: Final = "64"
"""Megabytes; GDAL would take a twentieth of the machine in every worker, for blocks that are read only once."""
_OWN: Final = {
    **{f"distributed.worker.memory.{step}": False for step in ("target", "spill", "pause")},
    "distributed.scheduler.allowed-failures": 0,
}
"""Workers of Dask pause until there is more memory; ours hold nothing to put away, so they might for ever.

Scenes whose worker died are tried again by themselves, once each, and not three times at other workers.
"""
_RESTART: Final = 300.0
"""Seconds within which a local worker is restarted, on a machine short of memory."""
_ALIKE: Final = ("python", "dask", "distributed", "msgpack", "cloudpickle")
"""What Dask wants to be the same everywhere."""
_PACKAGE: Final = "cbm-lake"
_FOREIGN: Final = ("asyncio", "distributed", "tornado")
"""Loggers that write pages about lost connections, which are reported here in one line."""


class LostError(Exception):
    """Scheduler or workers were lost with scenes left to do; the message gives advice."""


# -- workers ------------------------------------------------------------------------------------------------------


def guarded(work: Callable[[Job], Outcome], job: Job, expected: str) -> Outcome | tuple[str | None, str]:
    """Run by a worker of an existing cluster: does the work if it has the expected version of this package.

    Returns:
        The outcome, or the version that the worker has instead, and the worker's address.
    """
    from distributed import get_worker

    memory.be_first()
    try:
        here = version(_PACKAGE)
    except PackageNotFoundError:
        here = None
    return work(job) if here == expected else (here, get_worker().address)


class Watch:
    """Periodically checks that a scheduler responds and has workers, and the versions of the first of them."""

    def __init__(self, client: Client, patience: float, *, is_local: bool = False) -> None:
        self._client, self._patience = client, max(patience, _RESTART) if is_local else patience
        self._last_worker = time.monotonic()
        self._checked = is_local  # workers of one's own have what this process has
        self.address = scheduler.address if (scheduler := client.scheduler) else "that was closed"

    def check_scheduler(self) -> None:
        """Refuse a scheduler with another version of this package.

        Raises:
            SourceError: it has another one, or none.
        """
        self._check({"scheduler": self.ask("versions", packages=[_PACKAGE]), "workers": {}})

    def look(self) -> None:
        """Look once.

        Raises:
            LostError: the scheduler does not answer, or has had no workers for too long.
            SourceError: a worker has another version of this package.
        """
        workers = self.ask("identity")["workers"].values()
        if any(worker["status"] == "running" for worker in workers):
            self._last_worker = time.monotonic()
            if not self._checked:
                self.check_workers()
            self._checked = True
        elif time.monotonic() - self._last_worker >= self._patience:
            raise LostError(
                f"the Dask scheduler {self.address} has no workers (start some with: dask worker {self.address})"
            )

    def check_workers(self) -> None:
        """Refuse workers with another version of this package; say in one line what else differs.

        Raises:
            SourceError: one has another version, or none.
        """
        message = {"op": "versions", "packages": [_PACKAGE]}
        workers = self.ask("broadcast", msg=message, on_error="ignore")
        self._check({"scheduler": self.ask("versions", packages=[_PACKAGE]), "workers": workers})

    def ask(self, question: str, **options: object) -> Answer:
        """What the scheduler answers, in bounded time.

        Raises:
            LostError: it does not, or it has gone.
        """
        try:
            asked = getattr(self._client.scheduler, question)
            answer: Answer = self._client.sync(asked, **options, callback_timeout=_ANSWER)
        except TimeoutError as error:
            raise LostError(f"the Dask scheduler {self.address} does not answer (start it again)") from error
        except (OSError, AttributeError) as error:  # a client that was closed has no scheduler
            raise LostError(f"the Dask scheduler {self.address} was lost (start it again)") from error
        return answer

    def _check(self, versions: Answer) -> None:
        from distributed.versions import get_versions

        check_versions({**versions, "client": get_versions(packages=[_PACKAGE])})


def check_versions(versions: Answer) -> None:
    """Refuse a cluster with another version of this package; say in one line what else differs.

    Raises:
        SourceError: the scheduler or a worker has another version, or none.
    """
    here, installed = versions["client"]["packages"], version(_PACKAGE)
    there = {f"worker {address}": worker["packages"] for address, worker in versions["workers"].items()}
    there["the scheduler"] = versions["scheduler"]["packages"]
    others = {who: packages[_PACKAGE] for who, packages in there.items() if packages[_PACKAGE] != installed}
    if others:
        raise mismatch(others)
    differing = {
        f"{name} is {here[name]} here and {worker[name]} there"
        for worker in there.values()
        for name in _ALIKE
        if worker[name] != here[name]
    }
    if differing:
        log.warning(
            "the cluster should have the same environment as this process, but %s", ", ".join(sorted(differing))
        )


def mismatch(others: dict[str, str | None]) -> SourceError:
    """The error that names those with other versions of this package."""
    named = sorted(f"{who} has {number or 'none'}" for who, number in others.items())
    return SourceError(f"not all have {_PACKAGE} {version(_PACKAGE)}: {some(named, 3)}; install that version there")


# -- a cluster of others --------------------------------------------------------------------------------------------


@contextmanager
def connected(scheduler: str | Client | Cluster) -> Iterator[Client]:
    """A Dask client of a running scheduler; one passed by the caller stays open.

    Raises:
        SourceError: no scheduler answers.
        InvalidInputError: it is nothing by which a scheduler can be reached.
    """
    from distributed import Client

    if getattr(scheduler, "asynchronous", False) is True:
        raise InvalidInputError(f"{scheduler!r} is asynchronous; give one that is not, or the address of its scheduler")
    if isinstance(scheduler, Client):
        if scheduler.status != "running":
            raise InvalidInputError(f"the Dask client is {scheduler.status}; give one that is connected")
        yield scheduler
        return
    if not isinstance(scheduler, str) and not hasattr(scheduler, "scheduler_address"):
        raise InvalidInputError(f"{scheduler!r} is no Dask scheduler; give its address, a client or a cluster")
    with _opened(scheduler) as client:
        yield client


def _opened(scheduler: str | Cluster) -> Client:
    """A new client."""
    from distributed import Client
    from distributed.deploy.cluster import Cluster
    from distributed.versions import VersionMismatchWarning

    address = scheduler if isinstance(scheduler, str) else scheduler.scheduler_address
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VersionMismatchWarning)  # what matters is looked at by `Watch`
        try:
            if hasattr(scheduler, "get_client") and not isinstance(scheduler, Cluster):  # Dask Gateway, behind TLS
                client: Client = scheduler.get_client(set_as_default=False)
                return client
            with ThreadPoolExecutor(1) as thread:  # where no event loop runs, as one does in a notebook
                thread.submit(asyncio.run, _greet(address)).result()
            return Client(scheduler, timeout=_CONNECTING, set_as_default=False)
        except (OSError, ValueError, RuntimeError) as error:
            raise SourceError(f"no Dask scheduler answers at {address}; start one with: dask scheduler") from error


async def _greet(address: str) -> None:
    """Shake hands with a scheduler in bounded time; a client of Dask would wait for ever for one that is silent."""
    from distributed.comm.core import connect
    from distributed.security import Security

    options = Security().get_connection_args("client")
    comm = await asyncio.wait_for(connect(address, timeout=_CONNECTING, **options), 2 * _CONNECTING)
    comm.abort()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Dask's messages about lost schedulers and workers, which are reported here in one line."""
    import distributed  # noqa: F401 - sets up its loggers

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _FOREIGN]
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


# -- a cluster of this machine ----------------------------------------------------------------------------------------


@contextmanager
def local(jobs: int, workers: int | None) -> Iterator[Client]:
    """A Dask client of a cluster of processes on this machine."""
    import dask
    from distributed import Client

    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)  # a worker that has just read the script as far as this call; its parent says what is wrong
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(_OWN))  # until the end, as restarted workers read it again
        with _interrupts_held():
            cluster = stack.enter_context(_cluster(worker_count(jobs, workers)))
        yield stack.enter_context(Client(cluster, set_as_default=False))


def _cluster(count: int) -> LocalCluster:
    """Worker processes that share the free memory; one that exceeds its share is killed and restarted."""
    from distributed import LocalCluster

    quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}  # else port 8787 of all addresses would be taken
    try:
        return LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            memory_limit=max(_LEAST_MEMORY, _free_memory() // count),
            env={
                "GDAL_CACHEMAX": os.environ.get("GDAL_CACHEMAX", _GDAL_CACHE),
                **Workspace.here().environment(),
            },
            host="127.0.0.1",
            scheduler_kwargs=quiet,
            silence_logs=logging.CRITICAL,
        )
    except RuntimeError as error:
        problem = f"worker processes cannot be started ({' '.join(str(error).split())})"
        raise InvalidInputError(
            f'{problem}; in a script, put the call under `if __name__ == "__main__":`, since they read the script too, '
            "or give workers=0",
            plain=f"{problem}; do without them: 0 workers",
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


MOST_WORKERS: Final = 256
"""Processes on one machine: more is a mistyped number."""


def worker_count(jobs: int, workers: int | None) -> int:
    """The requested number of processes, otherwise one per core as far as memory allows; never more than jobs."""
    from dask.system import CPU_COUNT

    return max(1, min(jobs, workers or min(int(CPU_COUNT), _free_memory() // WORKER_MEMORY)))


def _free_memory() -> int:
    """Available memory of this machine or container in bytes."""
    return memory.free()
