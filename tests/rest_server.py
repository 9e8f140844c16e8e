"""The REST service on loopback, in a thread."""

import contextlib
import threading
import time

import uvicorn

from cbm_lake.server.accounts import Accounts
from cbm_lake.server.app import Settings, create_app

WHO = ("ada", "correct horse")
OTHER = ("bob", "battery staple")
ROOT = ("root", "very long password")


@contextlib.contextmanager
def served(lake, folder, **settings):
    """The address of a service over a lake; ada may read ms, bob another area, root all."""
    accounts = Accounts(folder / "users.json")
    accounts.add(*WHO, aois=("ms", "demo"))
    accounts.add(*OTHER, aois=("be",))
    accounts.add("carl", "another password", aois=("ms",))
    accounts.add(*ROOT, admin=True)
    (folder / "files" / "ms").mkdir(parents=True, exist_ok=True)
    (folder / "files" / "ms" / "list.csv").write_text("a")
    service = create_app(lake, accounts, Settings(folder / "results", folder / "files", **settings))
    server = uvicorn.Server(uvicorn.Config(service, host="127.0.0.1", port=0, log_level="error", lifespan="on"))
    with running(server) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def running(server):
    """The port of a server while it answers in a thread."""
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
