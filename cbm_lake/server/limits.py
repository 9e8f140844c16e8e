"""Limits of requests: rate limiting by token buckets, and size and time limits of bodies."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Final

_REMEMBERED: Final = 10_000
"""Accounts and addresses whose requests are counted; of more, those that asked longest ago are forgotten."""
LARGEST_BODY: Final = 1_000_000
"""Bytes of a request at most."""
_BODY_SECONDS: Final = 30.0
"""For a body to arrive."""
_DRAIN_SECONDS: Final = 30.0
"""For what a refused client still sends, so that it can read why it was refused."""
_DRAIN_PAUSE: Final = 5.0
"""Between two parts of that."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Headers = Iterable[tuple[bytes, bytes]]


class RefusalError(Exception):
    """A refused request, with the status and reason of the response."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, dict(headers or {})


class Rate:
    """Lets everyone ask so many times a second, and so many at once after a rest (a token bucket each)."""

    def __init__(self, per_second: float, burst: float) -> None:
        self._per_second, self._burst = per_second, burst
        self._lock = threading.Lock()
        self._allowances: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str) -> float:
        """0 when they may ask now, else the seconds after which they may."""
        now = time.monotonic()
        with self._lock:
            allowance, since = self._allowances.pop(who, (self._burst, now))
            allowance = min(self._burst, allowance + (now - since) * self._per_second)
            self._allowances[who] = (allowance - 1 if allowance >= 1 else allowance), now
            while len(self._allowances) > _REMEMBERED:
                self._allowances.popitem(last=False)
        return 0.0 if allowance >= 1 else (1 - allowance) / self._per_second

    def give_back(self, who: str) -> None:
        """Do not count the last request."""
        with self._lock:
            if who in self._allowances:
                allowance, since = self._allowances[who]
                self._allowances[who] = min(self._burst, allowance + 1), since

    def ask(self, who: str) -> None:
        """Count a request.

        Raises:
            RefusalError: they are to wait (429).
        """
        seconds = self.wait(who)
        if seconds:
            raise RefusalError(429, "too many requests; wait a little", retry_after(seconds))


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says for how long to wait, a second at least."""
    return {"Retry-After": f"{max(1, round(seconds))}"}


def sender_of(address: str) -> str:
    """By what the requests of an address are counted: itself, or of IPv6 the network (/64) that one customer gets."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_among(address: str, networks: Iterable[str]) -> bool:
    """Whether an address is one of these, or in one of these networks."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)


# -- bodies -----------------------------------------------------------------------------------------------------------


def declared_length(headers: Headers) -> int | None:
    """Bytes of the body as its header says; 0 without a body, None where it comes in chunks of unknown number.

    Raises:
        RefusalError: two headers contradict each other (400), or the body is too large (413).
    """
    lengths = {value for name, value in headers if name == b"content-length"}
    chunked = any(name == b"transfer-encoding" for name, _ in headers)
    if (lengths and chunked) or len(lengths) > 1:
        raise RefusalError(400, "Content-Length and Transfer-Encoding contradict each other; send one of them")
    if chunked:
        return None
    length = next(iter(lengths), b"0")
    if not length.isdigit():
        raise RefusalError(400, "Content-Length is no number")
    if len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY:
        raise _too_large()
    return int(length)


async def body_of(receive: Receive) -> bytes | None:
    """The body of a request, whose bytes are counted as they come; None when the client has gone.

    Raises:
        RefusalError: it is too large (413) or too slow (408).
    """
    parts, size, more = [], 0, True
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > LARGEST_BODY:
                    raise _too_large()
                more = message.get("more_body", False)
    except TimeoutError as error:
        raise RefusalError(408, f"the body did not arrive within {_BODY_SECONDS:.0f} seconds") from error
    return b"".join(parts)


async def drain(receive: Receive) -> None:
    """Throw away what a client still sends, for a while: one whose connection is cut cannot read why."""
    ends = time.monotonic() + _DRAIN_SECONDS
    more = True
    while more and time.monotonic() < ends:
        try:
            async with asyncio.timeout(_DRAIN_PAUSE):
                message = await receive()
        except TimeoutError:
            return
        more = message["type"] == "http.request" and message.get("more_body", False)


def _too_large() -> RefusalError:
    return RefusalError(413, f"the body has more than {LARGEST_BODY} bytes")
