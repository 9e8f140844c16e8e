"""Servers on loopback: a real STAC API (rustac) over given items, and one that answers whatever a test wants."""

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@contextmanager
def serving(items, folder):
    """The URL of a STAC API that holds these items for as long as the context lasts."""
    file = Path(folder) / "served.json"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    address = f"127.0.0.1:{free_port()}"
    program = shutil.which("rustac", path=str(Path(sys.executable).parent)) or "rustac"
    server = subprocess.Popen(
        [program, "serve", str(file), "--addr", address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(address, server)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(10)


@contextmanager
def answering(answer):
    """The URL of a server whose answers are `answer(path) -> (status, text)`, and the list of paths asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            status, text = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

        def handle(self):
            with suppress(BrokenPipeError, ConnectionResetError):  # when the client gives up, as it should
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port():
    """A port on loopback that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address, server):
    """Wait until the server answers."""
    until = time.monotonic() + 20
    while time.monotonic() < until and server.poll() is None:
        try:
            connection = HTTPConnection(address, timeout=5)
            connection.request("GET", "/")
            connection.getresponse().read()
        except OSError:
            time.sleep(0.05)
        else:
            connection.close()
            return
    raise RuntimeError(f"no STAC server at {address}")
