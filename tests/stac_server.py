"""Servers on loopback: a real STAC API (rustac) over given items, and ones that answer whatever a test wants."""

import json
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qsl, urlsplit


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


@dataclass
class Asked:
    """A request as a server got it."""

    method: str
    path: str
    query: dict
    body: object
    headers: dict

    def get(self, name):
        """A parameter of a search, wherever it stands."""
        return self.query.get(name) or (self.body or {}).get(name)


@dataclass
class Scripted:
    """A server that answers by a script."""

    url: str
    asked: list

    @property
    def searches(self):
        """The requests that were no landing page."""
        return [asked for asked in self.asked if asked.path != "/"]


@contextmanager
def scripted(answer, methods=("POST",), landing=None):
    """A STAC API whose landing page is right (or `landing`) and whose other answers are `answer(asked, server)`.

    An answer is a document, or status, headers and document; a document may be bytes.
    """
    server = Scripted("", [])

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            size = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(size)) if size else None
            parts = urlsplit(self.path)
            asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), body, dict(self.headers))
            server.asked.append(asked)
            if asked.path == "/":
                found = _landing(server.url, methods) if landing is None else landing
            else:
                found = answer(asked, server)
            status, headers, document = found if isinstance(found, tuple) else (200, {}, found)
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            self.close_connection = headers.get("Connection") == "close"

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_):
            pass

        def handle(self):
            with suppress(BrokenPipeError, ConnectionResetError):  # when the client gives up, as it should
                super().handle()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True  # a client may keep its connection
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


def _landing(url, methods):
    search = [{"rel": "search", "href": f"{url}/search", "method": method} for method in methods]
    return {
        "type": "Catalog",
        "id": "api",
        "description": "x",
        "stac_version": "1.0.0",
        "conformsTo": ["https://api.stacspec.org/v1.0.0/core", "https://api.stacspec.org/v1.0.0/item-search"],
        "links": [{"rel": "root", "href": url}, *search],
    }


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
