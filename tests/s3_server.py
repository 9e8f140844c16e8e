"""An object store on loopback: moto's S3 over HTTP in a process of its own, with the faults that a test asks for."""

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

from stac_server import free_port

KEY, SECRET, BUCKET = "AKIDTESTTESTTEST", "s3cr3t/that+nobody=may/see", "test-lake"
REFUSED = (
    "<Error><Code>InvalidAccessKeyId</Code>"
    "<Message>The AWS Access Key Id you provided does not exist in our records.</Message>"
    "<AWSAccessKeyId>{key}</AWSAccessKeyId><RequestId>1</RequestId></Error>"
)
_CONTROL = "/__faults__"
_COMMIT = r"/_delta_log/\d+\.json$"


class ObjectStore:
    """What a test needs to know of the server, and how it makes it fail."""

    def __init__(self, address):
        self.address = address
        self.endpoint = f"http://{address}"
        self.process = None

    def start(self):
        """Start it, or start it again; what was in it has gone."""
        host, port = self.address.split(":")
        self.process = subprocess.Popen([sys.executable, __file__, host, port], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.request("PUT", f"/{BUCKET}")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"no object store at {self.address}")

    def stop(self):
        """End it at once, as a power cut does."""
        self.process.kill()
        self.process.wait(10)

    def set(self, **faults):
        """Have these faults from now on, and count anew.

        deaf: does not heed If-None-Match. refuses: answers it 501. lost: so many commits are made, and answered 500.
        busy: so many requests are answered 503. pays: refuses who does not pay. slow: seconds that every request takes.
        closed: files whose path ends so cannot be written.
        """
        self.request("PUT", _CONTROL, json.dumps(faults))

    def seen(self):
        """What was asked since: most (requests at once), asked (method, path, signed, token, payer of each), unsafe
        (commits without a condition).
        """
        return json.loads(self.request("GET", _CONTROL))

    def request(self, method, path, body=None):
        connection = HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, path, body, {"Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/x/s3"})
            return connection.getresponse().read()
        finally:
            connection.close()

    def put(self, key, content, bucket=BUCKET):
        """Put an object, past all settings of the library."""
        self.request("PUT", f"/{bucket}/{key}", content)

    def upload(self, folder, prefix, bucket=BUCKET):
        """Put all files of a folder."""
        self.request("PUT", f"/{bucket}")
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes(), bucket)

    def settings(self, section):
        """The environment that tells the library of it."""
        values = {"HOST": self.endpoint, "ACCESS_KEY": KEY, "SECRET_KEY": SECRET, "RETRIES": "2"}
        return {f"CBM_LAKE_{section.upper()}__{name}": value for name, value in values.items()}


@contextmanager
def object_store():
    """A running store with an empty bucket, for as long as the context lasts."""
    store = ObjectStore(f"127.0.0.1:{free_port()}")
    store.start()
    try:
        yield store
    finally:
        store.stop()


class Faulty:
    """The store's web application behind the faults."""

    def __init__(self, application):
        self.application, self.lock = application, threading.Lock()
        self.clear({})

    def clear(self, faults):
        self.faults, self.now, self.most, self.asked, self.unsafe = faults, 0, 0, [], []

    def __call__(self, environment, respond):
        path, method = environment["PATH_INFO"], environment["REQUEST_METHOD"]
        if path == _CONTROL:
            return self.control(method, environment, respond)
        with self.lock:
            if environment.get("HTTP_IF_NONE_MATCH") != "*" and method == "PUT" and re.search(_COMMIT, path):
                self.unsafe.append(path)
            self.now += 1
            self.most = max(self.most, self.now)
            names = ("AUTHORIZATION", "X_AMZ_SECURITY_TOKEN", "X_AMZ_REQUEST_PAYER")
            signed, token, payer = (environment.get(f"HTTP_{name}") for name in names)
            self.asked.append([method, path, bool(signed), token, payer])
        try:
            time.sleep(self.faults.get("slow", 0))
            return self.answer(environment, respond)
        finally:
            with self.lock:
                self.now -= 1

    def control(self, method, environment, respond):
        if method == "PUT":
            self.clear(json.loads(environment["wsgi.input"].read(int(environment["CONTENT_LENGTH"]))))
        respond("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"most": self.most, "asked": self.asked, "unsafe": self.unsafe}).encode()]

    def answer(self, environment, respond):
        authorization = environment.get("HTTP_AUTHORIZATION", "")
        if authorization and f"Credential={KEY}/" not in authorization:
            key = authorization.partition("Credential=")[2].partition("/")[0]
            return self.refuse("403 Forbidden", REFUSED.format(key=key), environment, respond)
        if self.is_forbidden(environment):
            return self.refuse("403 Forbidden", "<Error><Code>AccessDenied</Code></Error>", environment, respond)
        with self.lock:
            busy = self.faults.get("busy", 0)
            self.faults["busy"] = max(busy - 1, 0)
        if busy:
            return self.refuse("503 Slow Down", "<Error><Code>SlowDown</Code></Error>", environment, respond)
        if self.faults.get("refuses") and "HTTP_IF_NONE_MATCH" in environment:
            return self.refuse(
                "501 Not Implemented", "<Error><Code>NotImplemented</Code></Error>", environment, respond
            )
        if self.faults.get("lost") and re.search(_COMMIT, environment["PATH_INFO"]):
            return self.lose(environment, respond)
        if self.faults.get("deaf"):
            environment.pop("HTTP_IF_NONE_MATCH", None)
        return list(self.application(environment, respond))

    def is_forbidden(self, environment):
        if self.faults.get("pays") and environment.get("HTTP_X_AMZ_REQUEST_PAYER") != "requester":
            return True
        closed = self.faults.get("closed")
        return closed and environment["REQUEST_METHOD"] == "PUT" and environment["PATH_INFO"].endswith(closed)

    def lose(self, environment, respond):
        if environment["REQUEST_METHOD"] != "PUT":
            return list(self.application(environment, respond))
        self.faults["lost"] -= 1
        list(self.application(environment, lambda *_: None))
        respond("500 Internal Server Error", [("Content-Length", "0")])
        return []

    def refuse(self, status, text, environment, respond):
        environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        respond(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
        return [] if environment["REQUEST_METHOD"] == "HEAD" else [text.encode()]


def main(host, port):
    """Serve until the end of the process."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_):
            pass

    application = Faulty(DomainDispatcherApplication(create_backend_app))
    make_server(host, int(port), application, threaded=True, request_handler=Quiet).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
