"""The middleware that every request passes: concurrency limit, authentication, body limit, headers, access log.

The login is checked before the body is read, and the body before any work is done. Every response gets the common
headers, one line in the log, and a row in the access log.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote_plus

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cbm_lake.server import oauth
from cbm_lake.server.accounts import Account
from cbm_lake.server.audit import AccessLog, Look
from cbm_lake.server.limits import Rate, RefusalError, body_of, declared_length, drain, retry_after
from cbm_lake.server.login import Door
from cbm_lake.server.openeo.api import OPEN as OPEN_OF_OPENEO
from cbm_lake.server.openeo.routing import code_of
from cbm_lake.server.plain import escaped

log = logging.getLogger(__name__)

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'",
    "Cache-Control": "no-store",
}
_OPEN: Final = ("/static/", "/", "/openapi.json", "/apidocs", "/health", "/metrics", *OPEN_OF_OPENEO)
"""What is read without a login: results by links that nobody can guess, the documentation, and how the service is."""
_READING: Final = ("GET", "HEAD")
_MOST_AT_ONCE: Final = 512
"""Requests that are worked on or wait for it."""


@dataclass
class Doors:
    """Whom the gate asks."""

    door: Door
    """Who someone is."""
    rate: Rate
    """How often an account may ask."""
    access: AccessLog | None
    """Where it is written who looked; None is nowhere."""


class Gate:
    """Passes on the requests that are allowed."""

    def __init__(self, app: ASGIApp, doors: Doors) -> None:
        self._app, self._doors = app, doors
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the server calls for each request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, answer = time.perf_counter(), _Answer(scope, send)
        inner: Scope = {**scope, "method": "GET" if scope["method"] == "HEAD" else scope["method"]}
        inner["state"] = {**scope.get("state", {})}
        body = b""
        self._working += 1
        try:
            admitted = await self._admitted(inner, receive)
            if admitted is not None:
                body = admitted
                await self._app(inner, _replayed(body, receive), answer)
        except RefusalError as refusal:
            await _refuse(refusal, inner, receive, answer)
        finally:
            self._working -= 1
            self._write(inner, answer, b"" if _is_login(inner) else body, 1000 * (time.perf_counter() - started))

    async def _admitted(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body of a request that may pass; None when its client has gone.

        Raises:
            RefusalError: it may not pass.
        """
        if self._working > _MOST_AT_ONCE:
            raise RefusalError(503, "too many ask at once; wait a little", retry_after(1))
        length = declared_length(scope["headers"])
        if _is_open(scope):
            return b""
        if _is_login(scope):
            if length is None or length > oauth.LARGEST:
                raise RefusalError(413, f"a request for a token has at most {oauth.LARGEST:,} bytes, and says how many")
            return b"" if length == 0 else await body_of(receive)
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        account = await self._doors.door.enter(header, _address(scope))
        scope["state"]["account"] = account
        self._doors.rate.ask(account.name)
        return b"" if length == 0 else await body_of(receive)

    def _write(self, scope: Scope, answer: _Answer, body: bytes, ms: float) -> None:
        account: Account | None = scope["state"].get("account")
        who = account.name if account else "-"
        line = f"{_address(scope) or '-'} {who} {answer.method} {_public_path(scope)}"
        log.info("%s %d %.0f ms", escaped(line), answer.status, ms)
        # Of strangers it is written who was not let in, and what a link gave; these are limited, others are not.
        counts = account or answer.status == 401 or (answer.status < 400 and _path(scope).startswith(_OPEN[0]))
        if self._doors.access is not None and answer.status and counts:
            self._doors.access.add(_look(scope, answer, body, ms))


class _Answer:
    """Sends an answer on with the headers that every answer has, and remembers its status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.method: str = scope["method"]
        self.status = 0
        self._secure, self._send = scope["scheme"] == "https", send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "status": self._status(message)}
            headers = MutableHeaders(raw=list(message["headers"]))
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            if self._secure:
                headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            if "allow" in headers:
                headers["Allow"] = _methods(headers["Allow"])
            if self.status == 204:
                del headers["content-length"], headers["content-type"]
            message["headers"] = headers.raw
        elif self.method == "HEAD" or self.status == 204:
            message = {**message, "body": b""}
        await self._send(message)

    def _status(self, message: Message) -> int:
        """Its own; of OPTIONS, which no endpoint answers by itself, 204 with the methods that there are."""
        self.status = message["status"]
        if self.method == "OPTIONS" and self.status == 405:
            self.status = 204
        return self.status


def _methods(allowed: str) -> str:
    """What may be asked where an endpoint has these methods."""
    methods = {name.strip() for name in allowed.split(",")} | {"OPTIONS"}
    return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))


async def _refuse(refusal: RefusalError, scope: Scope, receive: Receive, answer: _Answer) -> None:
    """Say why; a client that still sends its body is heard for a while, and then the connection ends."""
    body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
    headers = {**refusal.headers, **({"Connection": "close"} if body else {})}
    response: Response = JSONResponse({"detail": refusal.reason}, refusal.status, headers=headers)
    if _path(scope).startswith("/openeo"):
        document = {"code": code_of(refusal.status), "message": refusal.reason}
        response = JSONResponse(document, refusal.status, headers=headers)
    elif refusal.status == 401:
        response = PlainTextResponse(refusal.reason, refusal.status, headers=headers)
    start = {"type": "http.response.start", "status": refusal.status, "headers": response.raw_headers}
    await answer(start)
    await answer({"type": "http.response.body", "body": bytes(response.body), "more_body": body})
    if body:
        await drain(receive)
        await answer({"type": "http.response.body", "body": b"", "more_body": False})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body, which was read, and then what else comes of the client."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _is_open(scope: Scope) -> bool:
    path = _path(scope)
    return scope["method"] in _READING and (path.startswith(_OPEN[0]) or path in _OPEN[1:])


def _is_login(scope: Scope) -> bool:
    """Whether somebody logs in by what the body says, which is then written nowhere."""
    return scope["method"] == "POST" and _path(scope) == oauth.PATH


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _public_path(scope: Scope) -> str:
    """The path, of a result without the part that lets whoever knows it in."""
    path = _path(scope)
    return f"/static/…/{path.rpartition('/')[2]}" if path.startswith("/static/") else path


def _address(scope: Scope) -> str:
    return str(scope["client"][0]) if scope.get("client") else ""


def _look(scope: Scope, answer: _Answer, body: bytes, ms: float) -> Look:
    account: Account | None = scope["state"].get("account")
    query = scope["query_string"].decode("latin-1")
    asked = {name: values[-1] for name, values in parse_qs(query, errors="replace").items()}  # the one that counts
    named = {name: str(value) for name, value in scope.get("path_params", {}).items()}
    aoi = scope["state"].get("aoi") or named.get("aoi") or asked.get("aoi", "")
    pid = named.get("feature") or asked.get("pid")
    question = _text(body) or unquote_plus(query, errors="replace")
    who, path = account.name if account else None, _public_path(scope)
    asked_of = (_address(scope), "rest", answer.method, path, answer.status, round(ms, 1))
    return Look(who, *asked_of, aoi.lower() or None, pid, question)


def _text(body: bytes) -> str:
    """What a body asks: of SQL the statement, and the parameters where it has some."""
    text = body.decode("utf-8", "replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(document, dict) or not isinstance(document.get("statement"), str):
        return text
    return (
        f"{document['statement']}\n-- {json.dumps(document['params'])}"
        if document.get("params")
        else document["statement"]
    )
