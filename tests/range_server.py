"""A web server on loopback that honours ranges of bytes, and misbehaves as a test asks."""

import contextlib
import re
import socket
import struct
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


class RangeServer:
    """Files in memory, by path; `faults` are what the next requests get, one each, "" for a right answer.

    503, 429, 500, 404, … : that status. cut: half of the bytes, then the end of the connection. unsaid: half of them in
    an answer that does not say how many come. reset: the connection is torn down. dead: it is closed at once. whole:
    the whole file and 200. other: another range than was asked for. short: less than was asked for. silent: nothing,
    until the test ends. slow start: half the bytes, then nothing. less, more: a body of another length than the range
    that the answer names.
    """

    def __init__(self):
        self.files, self.etags, self.modified = {}, {}, {}
        self.faults, self.asked, self.headers = [], [], {}
        self.check = lambda path, headers: None
        self.ended = threading.Event()
        self.lock = threading.Lock()
        self.now = self.most = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.answer(self)

            def do_HEAD(self):
                self.send_error(405)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self):
        """End it."""
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request):
        """Answer a request, or do what is next to go wrong."""
        with self.lock:
            fault = self.faults.pop(0) if self.faults else ""
            self.asked.append((request.path, request.headers.get("Range"), dict(request.headers)))
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self.respond(request, fault)
        finally:
            with self.lock:
                self.now -= 1

    def respond(self, request, fault):
        path = unquote(urlsplit(request.path).path)
        refused = self.check(request.path, request.headers)
        status = refused or (int(fault) if fault.isdecimal() else 0 if path in self.files else 404)
        if fault in ("silent", "dead"):
            request.close_connection = True
            if fault == "silent":
                self.ended.wait()
        elif status:
            body = f"<Error><Code>Code{status}</Code></Error>".encode()
            self.head(request, status, len(body), self.headers)
            request.wfile.write(body)
        else:
            with contextlib.suppress(ConnectionError):
                self.send(request, path, fault)

    def send(self, request, path, fault):
        """The range that was asked for, or what a server makes of it."""
        content = self.files[path]
        span = re.match(r"bytes=(\d+)-(\d+)$", request.headers.get("Range") or "") if fault != "whole" else None
        start, end = (int(span[1]), min(int(span[2]) + 1, len(content))) if span else (0, len(content))
        start, end = start + (fault == "other"), end - (fault == "short")
        said = {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"} if span else {}
        end += {"less": -1, "more": 1}.get(fault, 0)
        self.head(request, 206 if span else 200, None if fault == "unsaid" else end - start, said | self.about(path))
        broken = fault in ("cut", "reset", "unsaid", "slow start")
        request.wfile.write(content[start : start + (end - start) // 2 if broken else end])
        request.close_connection = broken or request.close_connection
        if fault == "reset":
            request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if fault == "slow start":
            self.ended.wait()

    def about(self, path):
        """What is said of a file beside its bytes."""
        etag, modified = self.etags.get(path), self.modified.get(path)
        return ({"ETag": etag} if etag else {}) | ({"Last-Modified": modified} if modified else {})

    def head(self, request, status, length, headers):
        request.send_response(status)
        if length is None:
            request.send_header("Connection", "close")
        else:
            request.send_header("Content-Length", str(length))
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()


@contextmanager
def range_server():
    """A running server, for as long as the context lasts."""
    server = RangeServer()
    try:
        yield server
    finally:
        server.close()
