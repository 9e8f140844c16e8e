"""The REST service in a thread of a benchmark's own process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn

from cbm_lake.lake import Lake
from cbm_lake.server.accounts import Accounts
from cbm_lake.server.app import Settings, create_app

WHO: Final = ("ada", "correct horse battery")
"""Name and password of the only account."""


@contextmanager
def served(lake: Lake, folder: Path, aois: Sequence[str] = ()) -> Iterator[tuple[str, Accounts]]:
    """The address of a service over a lake, and its accounts.

    Args:
        lake: that is asked.
        folder: of its files.
        aois: the areas that the account may read; without them it is an administrator.
    """
    folder.mkdir(exist_ok=True)
    accounts = Accounts(folder / "users.json")
    accounts.add(*WHO, aois=tuple(aois), admin=not aois)
    service = create_app(lake, accounts, Settings(folder / "results", folder / "files", rate=1e6))
    server = uvicorn.Server(uvicorn.Config(service, host="127.0.0.1", port=0, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", accounts
    finally:
        server.should_exit = True
        thread.join()
