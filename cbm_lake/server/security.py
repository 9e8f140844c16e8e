"""Who asks, how often they may, and what every answer carries."""

from __future__ import annotations

import base64
import binascii
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import Depends, HTTPException, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from cbm_lake.server.accounts import Account, Accounts, LockedOutError

log = logging.getLogger(__name__)

_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="Login Required"'}
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self' 'unsafe-inline'",
    "Cache-Control": "no-store",
}
_REMEMBERED: Final = 10_000
"""Accounts and addresses whose requests are counted; of more, those that asked longest ago are forgotten."""
LARGEST_BODY: Final = 1_000_000
"""Bytes of a request at most."""

Next = Callable[[Request], Awaitable[Response]]


class RefusedError(Exception):
    """The login is right, but the area is not theirs."""


class Rate:
    """Lets everyone ask so many times a second, and so many at once after a rest (a token bucket each)."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """0 when they may ask now, else the seconds after which they may."""
        now = time.monotonic()
        with self._lock:
            left, since = self._left.pop(who, (self._burst, now))
            left = min(self._burst, left + (now - since) * self._per_second)
            self._left[who] = (left - 1 if left >= 1 else left), now
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self._per_second


def login(request: Request) -> Account:
    """Whose request this is; what FastAPI calls before every answer but results and documentation."""
    address = request.client.host if request.client else ""
    account = _account(request.app.state.accounts, request.headers.get("authorization", ""), address)
    if account is None:
        _slow_down(request.app.state.strangers, address)
        raise HTTPException(401, "Could not verify.", _CHALLENGE)
    _slow_down(request.app.state.rate, account.name)
    request.state.user = account.name
    return account


User = Annotated[Account, Depends(login)]


def allowed(user: Account, aoi: str) -> str:
    """The area's name as it is kept, when it is theirs to see."""
    if not user.may_read(aoi):
        raise RefusedError
    return aoi.lower()


def _account(accounts: Accounts, header: str, address: str) -> Account | None:
    scheme, _, value = header.partition(" ")
    try:
        if scheme.lower() == "bearer":
            return accounts.check_token(value.strip())
        if scheme.lower() == "basic":
            name, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
            return accounts.check(name, password, address)
    except LockedOutError as error:
        raise HTTPException(429, str(error), {"Retry-After": f"{error.seconds:.0f}"}) from error
    except (binascii.Error, UnicodeDecodeError):
        return None
    return None


def _slow_down(rate: Rate, who: str) -> None:
    seconds = rate.wait(who)
    if seconds:
        raise HTTPException(429, "too many requests; wait a little", {"Retry-After": f"{max(1, round(seconds))}"})


# -- every request ----------------------------------------------------------------------------------------------------


async def guard(request: Request, call_next: Next) -> Response:
    """Refuse bodies that are too large, and set the headers of every answer; one line of log, without secrets."""
    started = time.perf_counter()
    refused = _too_large(request)
    response = refused or await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    if request.url.scheme == "https":
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    log.info(
        "%s %s %s %s %d %.0f ms", request.client.host if request.client else "-",
        getattr(request.state, "user", "-"), request.method, request.url.path, response.status_code,
        1000 * (time.perf_counter() - started),
    )  # fmt: skip
    return response


def _too_large(request: Request) -> Response | None:
    if request.method not in ("POST", "PUT", "PATCH"):
        return None
    length = request.headers.get("content-length", "")
    if not length.isdecimal():
        return JSONResponse({"detail": "a body needs a Content-Length"}, 411)
    if int(length) > LARGEST_BODY:
        return JSONResponse({"detail": f"the body has more than {LARGEST_BODY} bytes"}, 413)
    return None


def refused(_: Request, error: Exception) -> Response:
    """What is answered to someone whose the area is not."""
    return PlainTextResponse("Not authorized for this dataset. Ask the administrator of this server.", 401)


def plain(request: Request, error: Any) -> Response:
    """Errors of HTTP: the login's as text, as the original's clients expect it, all others as JSON."""
    if error.status_code == 401:
        return PlainTextResponse(error.detail, 401, headers=error.headers)
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)
